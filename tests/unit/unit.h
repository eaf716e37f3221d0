// SPDX-License-Identifier: Apache-2.0
// What the unit tests share: cmocka, a seeded generator, and doubles for the parts of the engine that are not
// under test. Single-threaded.
#ifndef ZIO_TESTS_UNIT_H
#define ZIO_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "libzio/zio.h"

// Starts the generator anew. The seed is ZIO_TEST_SEED, or the one given; it is printed.
void unit_seed(uint64_t fallback);
uint64_t unit_random(void);
uint32_t unit_below(uint32_t n); // 0..n-1
static inline bool
unit_one_in(uint32_t n)
{
    return unit_below(n) == 0;
}

// What zio_log was told, in one string for a test to look at; each message ends with a newline.
extern char unit_log[4096];
extern unsigned unit_log_lines;
void unit_log_clear(void);

static inline uint64_t
unit_counter(enum zio_counter id)
{
    return zio_page->counter[id];
}

// Records (wrap.c): bytes that the code under test holds; whether the next requests are refused, and how many
// were.
extern size_t unit_meta_bytes;
extern bool unit_meta_refuse;
extern unsigned unit_meta_refused;

// A process of its own, for what cannot be undone (limits, a second pool): its exit code must be 0. `body`
// returns a line number when something is wrong there.
int unit_in_child(int (*body)(void));
#define CHILD_CHECK(x)                                                                                       \
    do {                                                                                                     \
        if (!(x))                                                                                            \
            return __LINE__;                                                                                 \
    } while (0)

unsigned unit_resident(uintptr_t base, size_t pages); // pages of the range that are in memory

#endif
