// SPDX-License-Identifier: Apache-2.0
// Unit tests of the pure parts of the zio command: amounts, words, features, and pages of counters.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "cli/cli.h"
#include "cli/features.h"
#include "cli/statread.h"

static void
amounts(void **state)
{
    char buf[TEXT_MAX];

    assert_string_equal(text_bytes(buf, 0), "0 B");
    assert_string_equal(text_bytes(buf, 1023), "1023 B");
    assert_string_equal(text_bytes(buf, 512 << 10), "512 KiB");
    assert_string_equal(text_bytes(buf, 1 << 20), "1 MiB");
    assert_string_equal(text_bytes(buf, 1280 << 10), "1280 KiB");
    assert_string_equal(text_bytes(buf, 352000 << 10), "344 MiB");
    assert_string_equal(text_bytes(buf, 1536), "1.50 KiB");
    assert_string_equal(text_bytes(buf, (1 << 20) - 1), "1.00 MiB");
    assert_string_equal(text_bytes(buf, UINT64_MAX), "16.0 EiB");
    assert_string_equal(text_count(buf, 99999), "99999");
    assert_string_equal(text_count(buf, 123456), "123 k");
    assert_string_equal(text_ns(buf, 999.4), "999 ns");
    assert_string_equal(text_ns(buf, 1500), "1.50 us");
    assert_string_equal(text_ns(buf, -1), "0 ns");
}

static void
sizes(void **state)
{
    static const char *const bad[] = {
        "", "k", "-1", "1kk", "1q", " 1", "18446744073709551616", "17179869184g"};
    uint64_t v;

    assert_int_equal(text_parse_bytes("4096", &v), 0);
    assert_int_equal(v, 4096);
    assert_int_equal(text_parse_bytes("64K", &v), 0);
    assert_int_equal(v, 65536);
    assert_int_equal(text_parse_bytes("2g", &v), 0);
    assert_int_equal(v, UINT64_C(2) << 30);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_true(text_parse_bytes(bad[i], &v) < 0);
}

static void
words(void **state)
{
    assert_int_equal(text_distance("run", "run"), 0);
    assert_int_equal(text_distance("rnu", "run"), 1);
    assert_int_equal(text_distance("stats", "stat"), 1);
    assert_int_equal(text_distance("", "stat"), 4);
    assert_int_equal(text_distance("porfile", "profile"), 1);
}

static void
clean(void **state)
{
    char s[] = "ok \xc3\xa9 \xe2\x82\xac \x1b[H \xff \xc2\x9b \xc0\x80 \xed\xa0\x80 \xe2\x82";

    text_clean(s);
    assert_string_equal(s, "ok \xc3\xa9 \xe2\x82\xac ?[H ? ?? ?? ??? ??");
}

static void
features(void **state)
{
    char bad[16];

    assert_int_equal(features_check("", bad, sizeof bad), 0);
    assert_int_equal(features_check("-uffd,-move,", bad, sizeof bad), 0);
    assert_true(features_check("-uffd,move", bad, sizeof bad) < 0);
    assert_string_equal(bad, "move");
    assert_true(features_check("-uff", bad, sizeof bad) < 0);
    setenv("ZIO_FEATURES", "-wp,-move", 1);
    assert_true(features_hidden("move"));
    assert_true(features_hidden("wp"));
    assert_false(features_hidden("uffd"));
    unsetenv("ZIO_FEATURES");
    assert_false(features_hidden("move"));
}

// Whatever the bytes, what is accepted is bounded and its strings end.
static void
random_pages(void **state)
{
    unsigned seed = (unsigned)time(NULL);
    uint32_t header[4];
    char *bytes;

    print_message("seed %u\n", seed);
    srandom(seed);
    for (int round = 0; round < 200000; round++) {
        size_t n = (size_t)random() % (ZIO_STAT_SIZE + 1);
        struct zio_statpage page;

        bytes = malloc(n + 1); // exactly as long as it says, for the sanitizer
        assert_non_null(bytes);
        memset(bytes, 0xee, n);
        for (size_t i = 0; i < n; i += 64)
            bytes[i] = (char)random();
        header[0] = random() % 8 ? ZIO_STAT_MAGIC : (uint32_t)random();
        header[1] = random() % 8 ? ZIO_STAT_VERSION : (uint32_t)random();
        header[2] = random() % 4 ? (uint32_t)(random() % (ZIO_STAT_SIZE + 64)) : (uint32_t)random();
        header[3] = random() % 4 ? (uint32_t)(random() % 600) : (uint32_t)random();
        memcpy(bytes, header, n < sizeof header ? n : sizeof header);
        if (statread_parse(bytes, n, &page) == 0) {
            assert_true(page.ncounters <= ZIO_C_COUNT);
            assert_true(strlen(page.program) < sizeof page.program);
            assert_true(strlen(page.reason) < sizeof page.reason);
            assert_true(n >= offsetof(struct zio_statpage, counter) + page.ncounters * 8);
        }
        free(bytes);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(amounts), cmocka_unit_test(sizes),    cmocka_unit_test(words),
        cmocka_unit_test(clean),   cmocka_unit_test(features), cmocka_unit_test(random_pages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
