// SPDX-License-Identifier: Apache-2.0
// Blocks: runs of bytes in the pool. A block's bytes do not change while anything but its maker refers to it.
// References come from segments of areas (block_ref/block_unref) and from system calls and copies under way
// (block_hold/block_release). When both are gone the run goes back to the pool, its pages kept for the next
// one. All under the engine's lock, but for the bytes themselves, which a holder may read without it.
#ifndef ZIO_BLOCK_H
#define ZIO_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct block {
    uintptr_t base;     // address of the first byte, page aligned
    uint32_t npages;    // capacity
    uint32_t populated; // pages from the start that may be present; a bound, not a count
    uint32_t moved;     // pages that were moved out into the program's memory
    uint32_t filling;   // receives under way into bytes that segments already refer to
    uint32_t holds;     // system calls and copies under way
    uint32_t refs;      // segments
    uint32_t foreign;   // segments whose delta differs from `home`
    uint64_t home;      // address minus offset of the segments that map the block in one piece
    uint64_t delta_sum; // sum of all segments' deltas (so that the last one's is known)
    uint64_t ref_pages; // pages of all segments; a page that two segments map counts twice
    uint64_t *mark;     // during a collection: which pages are referred to
    uint32_t site;      // call site that filled it (policy)
    int cls;
    struct block *next; // free list
};

int block_init(size_t reserve, size_t cached_limit, size_t live_limit); // 0 or -errno
bool block_in_pool(uintptr_t addr);
uintptr_t block_pool_base(size_t *size);

// A block of at least `bytes`, with one hold and no reference. `empty` asks for one none of whose pages is
// present (the target of a move). NULL when out of memory or over the limit of live blocks.
struct block *block_get(size_t bytes, bool empty);
void block_hold(struct block *b);
void block_release(struct block *b);

// delta is the address at which the segment would map the block's byte 0 (address - offset), modulo 2^64.
// pages is how many of the block's pages the segment maps.
void block_ref(struct block *b, uint64_t delta, uint32_t pages);
void block_unref(struct block *b, uint64_t delta, uint32_t pages);

// True when each page of the block is mapped by at most one page of the program, at this delta: its pages may
// be moved.
bool block_exclusive(const struct block *b, uint64_t delta);
void block_wrote(struct block *b, size_t end); // bytes [0, end) may be present now
void block_moved(struct block *b, uint32_t pages);

// Present pages of blocks that no segment maps, because only a part of what was received is still wanted.
// When there are too many, a collection (area_collect) marks what is mapped and gives the rest back.
uint64_t block_waste_pages(void);
bool block_wasteful(const struct block *b);
bool block_mark(struct block *b, uint64_t first, uint64_t last); // pages; false when out of memory
void block_sweep(struct block *b);
void block_unmark(struct block *b); // gives nothing back

// Gives cached pages back to the kernel until at most `keep` bytes stay; returns the bytes given back.
size_t block_trim(size_t keep);
size_t block_cached(void);
void block_shrink_pool(void); // gives unused addresses back
void block_trim_idle(void);   // gives back what no one asked for since the last call

#endif
