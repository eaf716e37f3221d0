// SPDX-License-Identifier: Apache-2.0
// The bytes that the bench sends: a function of (seed, position), so that a reply can be checked with no copy
// kept.
#ifndef ZIO_BENCH_PATTERN_H
#define ZIO_BENCH_PATTERN_H

#include <stddef.h>
#include <stdint.h>

static inline uint64_t
pattern_word(uint64_t seed, uint64_t i)
{
    uint64_t x = (seed + i) * 0x9e3779b97f4a7c15u;
    return x ^ (x >> 29);
}

// Words are read and written byte-wise so that any alignment will do and no libc copy takes part.
typedef uint64_t pattern_u64 __attribute__((aligned(1), may_alias));

// Fills n bytes at p with the pattern that starts at word `first`.
static inline void
pattern_fill(void *p, size_t n, uint64_t seed, uint64_t first)
{
    pattern_u64 *w = p;
    size_t i;
    for (i = 0; i < n / 8; i++)
        w[i] = pattern_word(seed, first + i);
    for (size_t b = i * 8; b < n; b++)
        ((unsigned char *)p)[b] = (unsigned char)(pattern_word(seed, first + i) >> (8 * (b & 7)));
}

// The offset of the first wrong byte's word, or -1.
static inline long
pattern_check(const void *p, size_t n, uint64_t seed, uint64_t first)
{
    const pattern_u64 *w = p;
    size_t i;
    for (i = 0; i < n / 8; i++)
        if (w[i] != pattern_word(seed, first + i))
            return (long)(i * 8);
    for (size_t b = i * 8; b < n; b++)
        if (((const unsigned char *)p)[b] != (unsigned char)(pattern_word(seed, first + i) >> (8 * (b & 7))))
            return (long)b;
    return -1;
}

// A stream that repeats itself: PATTERN_RING words of seed PATTERN_RING_SEED, over and over.
enum { PATTERN_RING = 131073, PATTERN_RING_SEED = 77 };

// The stream's n bytes (a multiple of 8) from word `first` on: the offset of the first wrong word, or -1.
static inline long
pattern_check_ring(const void *p, size_t n, uint64_t first)
{
    const pattern_u64 *w = p;
    for (size_t i = 0; i < n / 8; i++)
        if (w[i] != pattern_word(PATTERN_RING_SEED, (first + i) % PATTERN_RING))
            return (long)(i * 8);
    return -1;
}

#endif
