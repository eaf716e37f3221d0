// SPDX-License-Identifier: Apache-2.0
// Elided copies: the destination's pages become references to the blocks that hold the source's bytes.
#ifndef ZIO_COPY_H
#define ZIO_COPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libzio/area.h"
#include "libzio/block.h"

// memcpy for [src, src + n) and [dst, dst + n) that do not overlap, n > 0; `ra` names the call site. Always
// copies: by eliding, or plainly. Preserves errno.
void zio_copy(void *dst, const void *src, size_t n, uintptr_t ra);

// memmove for dst < src < dst + n. False: nothing was done, the caller moves the bytes.
bool zio_move_down(void *dst, const void *src, size_t n, uintptr_t ra);

// Copies to be made after the lock is let go: edges, and pages that the program keeps present.
#define DEFER_MAX 48
struct defer {
    uintptr_t dst, src;
    size_t len;
    struct block *hold; // the block that src lies in, or NULL when it is the program's memory
};
struct deferred {
    unsigned n;
    bool holds;
    struct defer v[DEFER_MAX];
};
void deferred_run(struct deferred *d); // without the lock; releases the holds

// Makes [dst, dst + n) hold the bytes [off, off + n) of the block, which the caller holds and has just
// filled; dst and off are equal modulo the page size. Under the lock; run `d` afterwards. Returns the bytes
// that were not copied.
size_t copy_deliver(uintptr_t dst, struct block *b, size_t off, size_t n, uint32_t site, struct deferred *d);

// Pages of [p0, p1) of a tracked area that are present.
uint32_t area_present(const struct area *a, uint32_t p0, uint32_t p1);

#endif
