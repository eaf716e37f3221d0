// SPDX-License-Identifier: Apache-2.0
// The engine's allocator of records, with the linker's --wrap in between: it can be made to refuse, each
// record must come back with the size it was asked for, and what is held is counted.
#include <stdlib.h>

#include "libzio/meta.h"
#include "tests/unit/unit.h"

#define RECORDS 4096

void *__real_meta_alloc(size_t bytes);
void __real_meta_free(void *p, size_t bytes);
void *__real_meta_map(size_t bytes);
void *__wrap_meta_alloc(size_t bytes);
void __wrap_meta_free(void *p, size_t bytes);
void *__wrap_meta_map(size_t bytes);

size_t unit_meta_bytes;
bool unit_meta_refuse;
unsigned unit_meta_refused;

static struct {
    void *p;
    size_t bytes;
} held[RECORDS]; // open addressing by address; a freed place keeps its bytes at 0

static size_t
place_of(const void *p)
{
    size_t h = ((uintptr_t)p >> 4) * 0x9e3779b97f4a7c15ull >> 52;

    for (size_t i = 0; i < RECORDS; i++) {
        size_t at = (h + i) % RECORDS;

        if (held[at].p == p || !held[at].p)
            return at;
    }
    fail_msg("more than %d records", RECORDS);
    return 0;
}

void *
__wrap_meta_alloc(size_t bytes)
{
    void *p = NULL;

    if (unit_meta_refuse)
        unit_meta_refused++;
    else
        p = __real_meta_alloc(bytes);
    if (p) {
        size_t at = place_of(p);

        assert_int_equal(held[at].bytes, 0);
        held[at].p = p;
        held[at].bytes = bytes;
        unit_meta_bytes += bytes;
    }
    return p;
}

void
__wrap_meta_free(void *p, size_t bytes)
{
    size_t at = place_of(p);

    assert_ptr_equal(held[at].p, p);
    assert_int_equal(held[at].bytes, bytes);
    held[at].bytes = 0;
    unit_meta_bytes -= bytes;
    __real_meta_free(p, bytes);
}

void *
__wrap_meta_map(size_t bytes)
{
    if (unit_meta_refuse) {
        unit_meta_refused++;
        return NULL;
    }
    return __real_meta_map(bytes);
}
