// SPDX-License-Identifier: Apache-2.0
// The allocator of records: zeroed, aligned, apart, and what is freed is used again.
#include "libzio/meta.h"

#include <string.h>

#include "tests/unit/unit.h"

#define LIVE 500

static bool
all_are(const unsigned char *p, size_t n, unsigned char byte)
{
    return n == 0 || (p[0] == byte && memcmp(p, p + 1, n - 1) == 0);
}

static size_t
some_size(void)
{
    static const size_t edges[] = {0,    1,    15,   16,    17,    31,    32,    33,
                                   4095, 4096, 4097, 65535, 65536, 65537, 300000};

    if (unit_one_in(4))
        return edges[unit_below(sizeof(edges) / sizeof(edges[0]))];
    return unit_below(1u << (1 + unit_below(14)));
}

// Each record is filled with its own byte, which must still be there at the end of its life.
static void
random_lives(void **state)
{
    static struct {
        unsigned char *p;
        size_t n;
        unsigned char fill;
    } live[LIVE];

    unit_seed(11);
    for (uint32_t n = 0; n < 200000; n++) {
        unsigned i = unit_below(LIVE);

        if (live[i].p) {
            assert_true(all_are(live[i].p, live[i].n, live[i].fill));
            meta_free(live[i].p, live[i].n);
            live[i].p = NULL;
            continue;
        }
        live[i].n = some_size();
        live[i].fill = (unsigned char)(1 + unit_below(255));
        live[i].p = meta_alloc(live[i].n);
        assert_non_null(live[i].p);
        assert_int_equal((uintptr_t)live[i].p % 16, 0);
        assert_true(all_are(live[i].p, live[i].n, 0));
        memset(live[i].p, live[i].fill, live[i].n);
    }
    for (unsigned i = 0; i < LIVE; i++)
        meta_free(live[i].p, live[i].n); // NULL is as good as any
}

// A record that comes and goes takes no new memory, whatever the size within its power of two.
static void
reused(void **state)
{
    for (size_t size = 1; size <= 1 << 20; size *= 2) {
        void *first = meta_alloc(size);

        assert_non_null(first);
        meta_free(first, size);
        for (int i = 0; i < 100; i++) {
            size_t n = i % 2 || size <= 16 ? size : size / 2 + 1;
            void *p = meta_alloc(n);

            assert_ptr_equal(p, first);
            memset(p, 0xff, n);
            meta_free(p, n);
        }
    }
}

// All that are freed are used again, not only the last.
static void
all_reused(void **state)
{
    enum { N = 64, SIZE = 3000 };
    void *first[N];

    for (int i = 0; i < N; i++)
        assert_non_null(first[i] = meta_alloc(SIZE));
    for (int i = 0; i < N; i++)
        meta_free(first[i], SIZE);
    for (int i = 0; i < N; i++) {
        void *p = meta_alloc(SIZE);
        int k = 0;

        while (k < N && first[k] != p)
            k++;
        assert_true(k < N);
        first[k] = NULL; // each once
    }
}

static void
too_large(void **state)
{
    assert_null(meta_alloc((size_t)1 << 40));
    assert_null(meta_alloc(((size_t)1 << 33) + 1));
    assert_null(meta_map((size_t)1 << 60));
}

static void
mapped(void **state)
{
    unsigned char *p = meta_map((size_t)1 << 30); // pages on demand

    assert_non_null(p);
    assert_int_equal((uintptr_t)p % ZPAGE, 0);
    assert_int_equal(p[0], 0);
    assert_int_equal(p[((size_t)1 << 30) - 1], 0);
    p[12345678] = 1;
    assert_true(unit_resident((uintptr_t)p, ((size_t)1 << 30) >> ZPAGE_SHIFT) < 2048);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reused),    cmocka_unit_test(all_reused), cmocka_unit_test(random_lives),
        cmocka_unit_test(too_large), cmocka_unit_test(mapped),
    };
    return cmocka_run_group_tests_name("meta", tests, NULL, NULL);
}
