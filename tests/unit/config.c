// SPDX-License-Identifier: Apache-2.0
// The environment: what each variable may hold, and that anything else gives the default and one message.
#include <stdio.h>
#include <string.h>

#include "tests/unit/unit.h"

static struct zio_config defaults;

// Reads an environment of these strings, from the defaults.
static void
read_env(const char *a, const char *b)
{
    char *env[] = {(char *)(a ? a : "HOME=/"), (char *)(b ? b : "TERM=dumb"), NULL};

    zio_cfg = defaults;
    unit_log_clear();
    zio_config_read(env);
}

// The value is refused: everything as by default, one message that names variable and value and says what to
// give.
static void
refused(const char *var)
{
    size_t name = strcspn(var, "=");
    char what[64];

    read_env(var, NULL);
    assert_memory_equal(&zio_cfg, &defaults, sizeof(defaults));
    assert_int_equal(unit_log_lines, 1);
    assert_true(name < sizeof(what));
    memcpy(what, var, name);
    what[name] = '\0';
    assert_non_null(strstr(unit_log, what));
    assert_non_null(strstr(unit_log, var + name + 1));
    assert_non_null(strstr(unit_log, "default"));
}

static void
by_default(void **state)
{
    assert_int_equal(defaults.threshold, 128 << 10);
    assert_false(defaults.disabled);
    assert_false(defaults.always);
    assert_int_equal(defaults.start_ms, 40);
    assert_int_equal(defaults.features_off, 0);
    assert_int_equal(defaults.log_level, 1);
    assert_string_equal(defaults.log_file, "");
    assert_string_equal(defaults.stats_file, "");
}

static void
nothing_set(void **state)
{
    static const char *const same[] = {
        "ZIO_THRESHOLD=",   "ZIO_LOG=",       "ZIO_DISABLE=", "ZIO_DISABLE=0",     "ZIO_POLICY=",
        "ZIO_POLICY=model", "ZIO_FEATURES=",  "ZIO_STATS=",   "ZIO_THRESHOLDS=4k", "XZIO_DISABLE=1",
        "ZIO_DISABLE",      "ZIO_LOG_=debug", "zio_disable=1"};

    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        read_env(same[i], NULL);
        assert_memory_equal(&zio_cfg, &defaults, sizeof(defaults));
        assert_int_equal(unit_log_lines, 0);
    }
    zio_cfg = defaults;
    zio_config_read(NULL);
    assert_memory_equal(&zio_cfg, &defaults, sizeof(defaults));
}

static void
threshold(void **state)
{
    static const struct {
        const char *var;
        size_t want;
    } good[] = {
        {"ZIO_THRESHOLD=4096", 4096},
        {"ZIO_THRESHOLD=4097", 4097},
        {"ZIO_THRESHOLD=4k", 4096},
        {"ZIO_THRESHOLD=64K", 65536},
        {"ZIO_THRESHOLD=1m", 1 << 20},
        {"ZIO_THRESHOLD=3M", 3 << 20},
        {"ZIO_THRESHOLD=2g", (size_t)2 << 30},
        {"ZIO_THRESHOLD=1024G", (size_t)1 << 40},
        {"ZIO_THRESHOLD=1099511627776", (size_t)1 << 40},
        {"ZIO_THRESHOLD=0008192", 8192},
    };
    static const char *const bad[] = {
        "ZIO_THRESHOLD=0",
        "ZIO_THRESHOLD=4095",
        "ZIO_THRESHOLD=3k",
        "ZIO_THRESHOLD=k",
        "ZIO_THRESHOLD=-1",
        "ZIO_THRESHOLD=+8192",
        "ZIO_THRESHOLD= 8192",
        "ZIO_THRESHOLD=8192 ",
        "ZIO_THRESHOLD=64kb",
        "ZIO_THRESHOLD=64kk",
        "ZIO_THRESHOLD=64t",
        "ZIO_THRESHOLD=0x10000",
        "ZIO_THRESHOLD=1.5m",
        "ZIO_THRESHOLD=1e6",
        "ZIO_THRESHOLD=lots",
        "ZIO_THRESHOLD=1025g",
        "ZIO_THRESHOLD=1099511627777",        // past the most
        "ZIO_THRESHOLD=18446744073709551616", // 2^64
        "ZIO_THRESHOLD=18014398509481984k",   // 2^64 again
        "ZIO_THRESHOLD=99999999999999999999999999999g",
    };

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        read_env(good[i].var, NULL);
        assert_int_equal(zio_cfg.threshold, good[i].want);
        assert_int_equal(unit_log_lines, 0);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        refused(bad[i]);
}

static void
log_level(void **state)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    static const char *const bad[] = {"ZIO_LOG=loud", "ZIO_LOG=debugger",  "ZIO_LOG=deb",  "ZIO_LOG=DEBUG",
                                      "ZIO_LOG=2",    "ZIO_LOG=warn,info", "ZIO_LOG= info"};
    char var[64];

    for (int i = 0; i < 4; i++) {
        snprintf(var, sizeof(var), "ZIO_LOG=%s", names[i]);
        read_env(var, NULL);
        assert_int_equal(zio_cfg.log_level, i);
        assert_string_equal(zio_cfg.log_file, "");
        snprintf(var, sizeof(var), "ZIO_LOG=%s:/tmp/a:b.log", names[i]);
        read_env(var, NULL);
        assert_int_equal(zio_cfg.log_level, i);
        assert_string_equal(zio_cfg.log_file, "/tmp/a:b.log");
        assert_int_equal(unit_log_lines, 0);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        refused(bad[i]);
}

// A path one byte too long for its place is refused, the longest that fits is not.
static void
long_paths(void **state)
{
    char var[400];
    size_t room = sizeof(zio_cfg.stats_file);

    for (size_t len = room - 2; len <= room + 2; len++) {
        size_t at = (size_t)snprintf(var, sizeof(var), "ZIO_STATS=");

        memset(var + at, 'p', len);
        var[at + len] = '\0';
        if (len >= room) {
            refused(var);
        } else {
            read_env(var, NULL);
            assert_string_equal(zio_cfg.stats_file, var + at);
            assert_int_equal(unit_log_lines, 0);
        }
    }
    room = sizeof(zio_cfg.log_file);
    for (size_t len = room - 2; len <= room + 2; len++) {
        size_t at = (size_t)snprintf(var, sizeof(var), "ZIO_LOG=info:");

        memset(var + at, 'p', len);
        var[at + len] = '\0';
        read_env(var, NULL);
        assert_string_equal(zio_cfg.log_file, len >= room ? "" : var + at);
        assert_int_equal(unit_log_lines, len >= room);
    }
}

static void
stats(void **state)
{
    read_env("ZIO_STATS=-", NULL);
    assert_string_equal(zio_cfg.stats_file, "-");
    read_env("ZIO_STATS=/tmp/x y", NULL);
    assert_string_equal(zio_cfg.stats_file, "/tmp/x y");
}

static void
switches(void **state)
{
    static const char *const bad[] = {"ZIO_DISABLE=yes",   "ZIO_DISABLE=2",   "ZIO_DISABLE=01",
                                      "ZIO_DISABLE= 1",    "ZIO_POLICY=none", "ZIO_POLICY=Always",
                                      "ZIO_POLICY=always "};

    read_env("ZIO_DISABLE=1", NULL);
    assert_true(zio_cfg.disabled);
    read_env("ZIO_POLICY=always", NULL);
    assert_true(zio_cfg.always);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        refused(bad[i]);
}

static void
features(void **state)
{
    static const struct {
        const char *list;
        unsigned want;
    } good[] = {
        {"ZIO_FEATURES=-uffd", ZIO_F_UFFD},
        {"ZIO_FEATURES=-kernelfaults", ZIO_F_KERNELFAULTS},
        {"ZIO_FEATURES=-move", ZIO_F_MOVE},
        {"ZIO_FEATURES=-wp", ZIO_F_WP},
        {"ZIO_FEATURES=-events", ZIO_F_EVENTS},
        {"ZIO_FEATURES=-procmapquery", ZIO_F_PROCMAPQUERY},
        {"ZIO_FEATURES=-populatewrite", ZIO_F_POPULATE},
        {"ZIO_FEATURES=-pagemapscan", 0}, // known; nothing depends on it
        {"ZIO_FEATURES=-move,-wp", ZIO_F_MOVE | ZIO_F_WP},
        {"ZIO_FEATURES=-move,-move,-events,", ZIO_F_MOVE | ZIO_F_EVENTS},
    };
    static const char *const bad[] = {"ZIO_FEATURES=move", "ZIO_FEATURES=-moves", "ZIO_FEATURES=-mov",
                                      "ZIO_FEATURES=-",    "ZIO_FEATURES=--move", "ZIO_FEATURES=-move wp",
                                      "ZIO_FEATURES=+wp",  "ZIO_FEATURES=,"};

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        read_env(good[i].list, NULL);
        assert_int_equal(zio_cfg.features_off, good[i].want);
        assert_int_equal(unit_log_lines, 0);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        refused(bad[i]);
    // A name that is known counts, whatever stands beside it.
    read_env("ZIO_FEATURES=-wp,-warp,-move", NULL);
    assert_int_equal(zio_cfg.features_off, ZIO_F_WP | ZIO_F_MOVE);
    assert_int_equal(unit_log_lines, 1);
}

// Several at once; of one variable given twice, the first counts, as getenv has it.
static void
together(void **state)
{
    read_env("ZIO_THRESHOLD=8k", "ZIO_LOG=info");
    assert_int_equal(zio_cfg.threshold, 8192);
    assert_int_equal(zio_cfg.log_level, 2);
    read_env("ZIO_THRESHOLD=8k", "ZIO_THRESHOLD=16k");
    assert_int_equal(zio_cfg.threshold, 8192);
    read_env("ZIO_THRESHOLD=bad", "ZIO_DISABLE=1");
    assert_true(zio_cfg.disabled);
    assert_int_equal(zio_cfg.threshold, defaults.threshold);
    assert_int_equal(unit_log_lines, 1);
}

// Random values: never a crash, never a threshold out of bounds, a message exactly when the value was
// refused.
static void
random_values(void **state)
{
    static const char letters[] = "0123456789kKmMgG-+ .,:x";
    char var[40];

    unit_seed(12);
    for (int n = 0; n < 200000; n++) {
        size_t at = (size_t)snprintf(var, sizeof(var), "ZIO_THRESHOLD="), len = 1 + unit_below(12);

        for (size_t i = 0; i < len; i++)
            var[at + i] = letters[unit_below(unit_one_in(8) ? sizeof(letters) - 1 : 10)];
        var[at + len] = '\0';
        read_env(var, NULL);
        assert_true(zio_cfg.threshold >= ZPAGE && zio_cfg.threshold <= (size_t)1 << 40);
        if (unit_log_lines)
            assert_int_equal(zio_cfg.threshold, defaults.threshold);
        assert_true(unit_log_lines <= 1);
    }
}

static void
start(void **state)
{
    static const char *const wrong[] = {"ZIO_START_MS=-1",      "ZIO_START_MS=x",
                                        "ZIO_START_MS=10ms",    "ZIO_START_MS= 1",
                                        "ZIO_START_MS=1000001", "ZIO_START_MS=99999999999999999999"};

    read_env("ZIO_START_MS=0", NULL);
    assert_int_equal(zio_cfg.start_ms, 0);
    read_env("ZIO_START_MS=1000000", NULL);
    assert_int_equal(zio_cfg.start_ms, 1000000);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        read_env(wrong[i], NULL);
        assert_int_equal(zio_cfg.start_ms, defaults.start_ms);
        assert_int_equal(unit_log_lines, 1);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_default), cmocka_unit_test(nothing_set),   cmocka_unit_test(threshold),
        cmocka_unit_test(start),      cmocka_unit_test(log_level),     cmocka_unit_test(long_paths),
        cmocka_unit_test(stats),      cmocka_unit_test(switches),      cmocka_unit_test(features),
        cmocka_unit_test(together),   cmocka_unit_test(random_values),
    };

    defaults = zio_cfg;
    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
