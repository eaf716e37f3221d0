// SPDX-License-Identifier: Apache-2.0
// See segmap.h. Each entry of kind SEG_DATA holds one reference to its block, with the delta (address -
// offset) that tells whether several entries map the block in one piece.
#include "libzio/segmap.h"

#include <errno.h>

#include "libzio/meta.h"
#include "libzio/zio.h"
#include "libzio/zmem.h"

uint64_t segmap_absent_pages;

#define INLINE_SEGS (sizeof(((struct segmap *)0)->inline_v) / sizeof(struct seg))

static uint64_t
delta_of(const struct segmap *m, const struct seg *s)
{
    return m->base + ((uint64_t)s->page << ZPAGE_SHIFT) - s->off;
}

void
segmap_init(struct segmap *m, uintptr_t base, uint32_t npages, enum seg_kind kind)
{
    m->base = base;
    m->npages = npages;
    m->n = 1;
    m->cap = INLINE_SEGS;
    m->absent = 0;
    m->v = m->inline_v;
    m->v[0] = (struct seg){.page = 0, .kind = kind};
}

void
segmap_fini(struct segmap *m)
{
    for (uint32_t i = 0; i < m->n; i++)
        if (m->v[i].kind == SEG_DATA)
            block_unref(m->v[i].blk, delta_of(m, &m->v[i]), segmap_end(m, i) - m->v[i].page);
    if (m->v != m->inline_v)
        meta_free(m->v, m->cap * sizeof(*m->v));
    m->v = m->inline_v;
    m->n = 0;
    m->cap = INLINE_SEGS;
    segmap_absent_pages -= m->absent;
    m->absent = 0;
}

uint32_t
segmap_find(const struct segmap *m, uint32_t page)
{
    uint32_t lo = 0, hi = m->n;

    while (hi - lo > 1) {
        uint32_t mid = lo + (hi - lo) / 2;

        if (m->v[mid].page <= page)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

static int
reserve(struct segmap *m, uint32_t need)
{
    uint32_t cap = m->cap;
    struct seg *v;

    if (need <= cap)
        return 0;
    while (cap < need)
        cap *= 2;
    v = meta_alloc(cap * sizeof(*v));
    if (!v)
        return -ENOMEM;
    zmem_copy(v, m->v, m->n * sizeof(*v));
    if (m->v != m->inline_v)
        meta_free(m->v, m->cap * sizeof(*v));
    m->v = v;
    m->cap = cap;
    return 0;
}

int
segmap_reserve(struct segmap *m)
{
    return reserve(m, m->n + 2);
}

// Whether b continues a, when b begins at the page after a's last.
static bool
continues(const struct seg *a, const struct seg *b)
{
    if (a->kind != b->kind)
        return false;
    return a->kind != SEG_DATA || (a->blk == b->blk && seg_off(a, b->page) == b->off);
}

int
segmap_set(struct segmap *m, uint32_t p0, uint32_t p1, enum seg_kind kind, struct block *blk, uint64_t off)
{
    struct seg new = {.page = p0, .kind = kind, .blk = blk, .off = off};
    struct seg put[3];
    uint32_t i, j, k = 0, at = 0, first, last;

    if (p0 >= p1)
        return 0;
    if (reserve(m, m->n + 2) < 0)
        return -ENOMEM;
    i = segmap_find(m, p0);
    j = segmap_find(m, p1 - 1);

    // What replaces entries i..j: the left rest of i, the new one, the right rest of j.
    if (m->v[i].page < p0)
        put[k++] = m->v[i];
    at = k;
    put[k++] = new;
    if (segmap_end(m, j) > p1) {
        put[k] = m->v[j];
        put[k].page = p1;
        if (put[k].kind == SEG_DATA)
            put[k].off = seg_off(&m->v[j], p1);
        k++;
    }
    // New references first, so that no block goes away in between.
    for (uint32_t x = 0; x < k; x++)
        if (put[x].kind == SEG_DATA)
            block_ref(put[x].blk, delta_of(m, &put[x]),
                      (x + 1 < k ? put[x + 1].page : segmap_end(m, j)) - put[x].page);
    for (uint32_t x = i; x <= j; x++) {
        struct seg *s = &m->v[x];

        if (s->kind == SEG_DATA) {
            uint32_t lo = max_of(s->page, p0), hi = min_of(segmap_end(m, x), p1);

            m->absent -= hi - lo;
            segmap_absent_pages -= hi - lo;
            block_unref(s->blk, delta_of(m, s), segmap_end(m, x) - s->page);
        }
    }
    if (kind == SEG_DATA) {
        m->absent += p1 - p0;
        segmap_absent_pages += p1 - p0;
    }
    if (k != j - i + 1)
        zmem_move(&m->v[i + k], &m->v[j + 1], (m->n - j - 1) * sizeof(*m->v));
    zmem_copy(&m->v[i], put, k * sizeof(*put));
    m->n = m->n + k - (j - i + 1);

    // Join with the neighbours. `at` is the new entry's place.
    at += i;
    first = at > 0 && continues(&m->v[at - 1], &m->v[at]) ? at - 1 : at;
    last = at + 1 < m->n && continues(&m->v[at], &m->v[at + 1]) ? at + 1 : at;
    if (first != last) {
        for (uint32_t x = first + 1; x <= last; x++)
            if (m->v[x].kind == SEG_DATA)
                block_unref(m->v[x].blk, delta_of(m, &m->v[x]), 0); // its pages go on in the neighbour's
        zmem_move(&m->v[first + 1], &m->v[last + 1], (m->n - last - 1) * sizeof(*m->v));
        m->n -= last - first;
    }
    return 0;
}

bool
segmap_all(const struct segmap *m, uint32_t p0, uint32_t p1, enum seg_kind kind)
{
    for (uint32_t i = segmap_find(m, p0); i < m->n && m->v[i].page < p1; i++)
        if (m->v[i].kind != (uint32_t)kind)
            return false;
    return true;
}
