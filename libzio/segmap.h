// SPDX-License-Identifier: Apache-2.0
// The range map of one area: what each of its pages holds, as a sorted run of segments that covers it without
// gaps. Pure logic over page numbers (tests drive it against a model); it keeps the references of the blocks
// it names.
#ifndef ZIO_SEGMAP_H
#define ZIO_SEGMAP_H

#include <stdbool.h>
#include <stdint.h>

#include "libzio/block.h"

enum seg_kind {
    SEG_PRESENT = 0, // the pages are in the program's memory
    SEG_UNDEF,       // missing; content undefined (fresh from malloc)
    SEG_ZERO,        // missing; content zero (never touched, or given back with madvise)
    SEG_DATA,        // missing; content is a block's
};

struct seg {
    uint32_t page;     // first page of the segment, relative to the area; it ends where the next begins
    uint32_t kind;     // enum seg_kind
    struct block *blk; // SEG_DATA: whose bytes
    uint64_t off;      // SEG_DATA: offset in the block, in bytes, of the first page's first byte
};

struct segmap {
    uintptr_t base; // address of page 0
    uint32_t npages;
    uint32_t n, cap;
    uint32_t absent; // pages of SEG_DATA
    struct seg *v;
    struct seg inline_v[4];
};

extern uint64_t segmap_absent_pages; // of all maps together

// All pages of one kind (not SEG_DATA).
void segmap_init(struct segmap *m, uintptr_t base, uint32_t npages, enum seg_kind kind);
void segmap_fini(struct segmap *m); // drops all references

// Index of the segment that holds the page; its end.
uint32_t segmap_find(const struct segmap *m, uint32_t page);
static inline uint32_t
segmap_end(const struct segmap *m, uint32_t i)
{
    return i + 1 < m->n ? m->v[i + 1].page : m->npages;
}

// Offset in the block of a page of segment i.
static inline uint64_t
seg_off(const struct seg *s, uint32_t page)
{
    return s->off + ((uint64_t)(page - s->page) << 12);
}

int segmap_reserve(struct segmap *m); // the next segmap_set will not fail; 0 or -ENOMEM

// Makes pages [p0, p1) the given kind. 0, or -ENOMEM with the map unchanged.
int segmap_set(struct segmap *m, uint32_t p0, uint32_t p1, enum seg_kind kind, struct block *blk,
               uint64_t off);

// True when all pages of [p0, p1) are of the kind.
bool segmap_all(const struct segmap *m, uint32_t p0, uint32_t p1, enum seg_kind kind);

#endif
