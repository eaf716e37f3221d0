// SPDX-License-Identifier: Apache-2.0
// The malloc side: every call of the family on absent blocks, and its documented corner cases.
#include "tests/adversarial/adv.h"

#include <malloc.h>
#include <stdlib.h>

#define N (512 * KIB)

// Sizes and results out of the compiler's sight.
static void *(*volatile do_malloc)(size_t) = malloc;
static void *(*volatile do_realloc)(void *, size_t) = realloc;
static void *(*volatile do_calloc)(size_t, size_t) = calloc;
static void (*volatile do_free)(void *) = free;

static int
realloc_grows(void)
{
    uint8_t *p = absent(N, 1);
    for (size_t n = 2 * N; n <= 16 * N; n *= 2) {
        p = do_realloc(p, n);
        EXPECT(p && same(p, N, 1));
        fill_from(p + N, n - N, 1, N);
        uint8_t *copy = copied(p, n);
        do_free(p);
        p = do_realloc(copy, n + 1);
        EXPECT(p && same(p, n, 1));
    }
    return 0;
}

static int
realloc_shrinks(void)
{
    static const size_t sizes[] = {N - 1, N / 2 + 5, 70000, 65536, 65535, 9000, 4097, 4096, 100, 1};
    uint8_t *p = absent(N, 1);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        p = do_realloc(p, sizes[i]);
        EXPECT(p && malloc_usable_size(p) >= sizes[i]);
        uint8_t *copy = copied(p, sizes[i]);
        EXPECT(same(p, sizes[i], 1));
        EXPECT(same(copy, sizes[i], 1));
        do_free(p);
        p = copy;
    }
    p = do_realloc(p, N);
    EXPECT(p && same(p, 1, 1));
    return 0;
}

static int
realloc_back_and_forth(void)
{
    uint8_t *p = absent(N, 1);
    for (unsigned i = 0; i < 100; i++) {
        size_t n = N + (i * 7919 % 50) * 10007;
        p = do_realloc(p, n);
        EXPECT(p && same(p, N, 1));
        p = do_realloc(p, N);
        EXPECT(p);
        uint8_t *q = copied(p, N);
        do_free(p);
        p = q;
    }
    EXPECT(same(p, N, 1));
    return 0;
}

static int
realloc_of_source(void)
{
    uint8_t *src = new_filled(N, 1), *dst = copied(src, N);
    src = do_realloc(src, 4 * N);
    EXPECT(src && same(src, N, 1));
    fill(src, 4 * N, 2);
    EXPECT(same(dst, N, 1));
    return 0;
}

static int
reallocarray_checks(void)
{
    uint8_t *p = absent(N, 1);
    volatile size_t half = SIZE_MAX / 2;
    EXPECT(!reallocarray(p, half, 3) && errno == ENOMEM);
    p = reallocarray(p, 2, N);
    EXPECT(p && same(p, N, 1));
    return 0;
}

static int
calloc_is_zero(void)
{
    for (unsigned i = 0; i < 20; i++) {
        uint8_t *p = new_filled(N, i + 1), *q = copied(p, N);
        do_free(p);
        uint8_t *a = do_calloc(1, N);
        EXPECT(a && all_bytes(a, N, 0));
        do_free(q);
        uint8_t *b = do_calloc(N / 8, 8);
        EXPECT(b && all_bytes(b, N, 0));
        do_memcpy(a, b, N);
        fill(b, N, 3);
        EXPECT(all_bytes(a, N, 0));
        do_free(a);
        do_free(b);
    }
    errno = 0;
    EXPECT(!do_calloc(SIZE_MAX / 4, 8) && errno == ENOMEM);
    return 0;
}

static int
corner_cases(void)
{
    do_free(NULL);
    void *p = do_malloc(0);
    EXPECT(p);
    do_free(p);
    errno = 0;
    EXPECT(!do_malloc(PTRDIFF_MAX) && errno == ENOMEM);
    errno = 0;
    EXPECT(!do_malloc(SIZE_MAX) && errno == ENOMEM);
    p = do_realloc(NULL, N);
    EXPECT(p);
    errno = 0;
    EXPECT(!do_realloc(p, (size_t)PTRDIFF_MAX + 1) && errno == ENOMEM);
    fill(p, N, 1);
    EXPECT(same(p, N, 1));
    EXPECT(!do_realloc(p, 0));
    uint8_t *q = absent(N, 1);
    errno = 4711;
    do_free(q);
    EXPECT(errno == 4711);
    return 0;
}

static int
aligned_calls(void)
{
    static const size_t alignments[] = {16, 64, 4096, 8192, 65536, 2 * 1024 * 1024};
    uint8_t *src = new_filled(N + 5, 1);
    for (size_t i = 0; i < sizeof alignments / sizeof *alignments; i++) {
        size_t a = alignments[i];
        void *p[5] = {0};
        EXPECT(posix_memalign(&p[0], a, N + 5) == 0);
        p[1] = aligned_alloc(a, (N + 5 + a - 1) / a * a);
        p[2] = memalign(a, N + 5);
        p[3] = valloc(N + 5);
        p[4] = pvalloc(N + 5);
        for (int k = 0; k < 5; k++) {
            EXPECT(p[k] && (uintptr_t)p[k] % (k < 3 ? a : PAGE) == 0);
            EXPECT(malloc_usable_size(p[k]) >= N + 5);
            do_memcpy(p[k], src, N + 5);
        }
        p[1] = do_realloc(p[1], 3 * N);
        for (int k = 0; k < 5; k++) {
            EXPECT(same(p[k], N + 5, 1));
            do_free(p[k]);
        }
    }
    void *p = (void *)1;
    EXPECT(posix_memalign(&p, 3, N) == EINVAL && p == (void *)1);
    EXPECT(posix_memalign(&p, 4096, PTRDIFF_MAX) == ENOMEM);
    return 0;
}

// All of what malloc_usable_size grants may be used.
static int
usable_size(void)
{
    for (size_t n = 60000; n < 2 * MIB; n = n * 5 / 4 + 17) {
        uint8_t *p = do_malloc(n);
        size_t usable = malloc_usable_size(p);
        EXPECT(usable >= n);
        fill(p, usable, 1);
        uint8_t *q = copied(p, usable);
        do_free(p);
        EXPECT(same(q, usable, 1));
        do_free(q);
    }
    return 0;
}

static int
neighbours(void)
{
    enum { COUNT = 60 };
    uint8_t *p[COUNT];
    size_t n[COUNT];
    for (unsigned i = 0; i < COUNT; i++) {
        n[i] = 61440 + i * 1111;
        p[i] = i ? copied(p[i - 1], n[i - 1]) : NULL;
        do_free(p[i]);
        p[i] = new_filled(n[i], i);
    }
    for (unsigned i = 0; i < COUNT; i += 2) {
        uint8_t *q = copied(p[i], n[i]);
        do_free(p[i]);
        p[i] = q;
    }
    for (unsigned i = 0; i < COUNT; i++)
        EXPECT(same(p[i], n[i], i));
    for (unsigned i = 0; i < COUNT; i++)
        do_free(p[i]);
    return 0;
}

static int
trimmed_and_tuned(void)
{
    uint8_t *p = absent(N, 1);
    EXPECT(mallopt(M_MMAP_THRESHOLD, 1 << 30) == 1);
    uint8_t *q = absent(4 * N, 2);
    malloc_trim(0);
    EXPECT(same(p, N, 1) && same(q, 4 * N, 2));
    do_free(q);
    malloc_trim(0);
    q = absent(4 * N, 3);
    EXPECT(same(q, 4 * N, 3));
    return 0;
}

const struct adv_case adv_alloc_cases[] = {
    {"realloc_grows", realloc_grows, ADV_ELIDES},
    {"realloc_shrinks", realloc_shrinks, ADV_ELIDES},
    {"realloc_back_and_forth", realloc_back_and_forth, ADV_ELIDES},
    {"realloc_of_source", realloc_of_source, ADV_ELIDES},
    {"reallocarray_checks", reallocarray_checks, ADV_ELIDES},
    {"calloc_is_zero", calloc_is_zero, ADV_ELIDES},
    {"malloc_corner_cases", corner_cases, 0},
    {"aligned_calls", aligned_calls, ADV_ELIDES},
    {"usable_size", usable_size, ADV_ELIDES},
    {"neighbours", neighbours, ADV_ELIDES},
    {"trimmed_and_tuned", trimmed_and_tuned, ADV_ELIDES},
    {NULL, NULL, 0},
};
