// SPDX-License-Identifier: Apache-2.0
// Copies, stores and loads.
#include "tests/oracle/oracle.h"

#include <errno.h>
#include <string.h>

extern void *__memcpy_chk(void *, const void *, size_t, size_t);
extern void *__memmove_chk(void *, const void *, size_t, size_t);
extern void *__mempcpy_chk(void *, const void *, size_t, size_t);

static void *(*volatile do_memcpy)(void *, const void *, size_t) = memcpy;
static void *(*volatile do_memmove)(void *, const void *, size_t) = memmove;
static void *(*volatile do_mempcpy)(void *, const void *, size_t) = mempcpy;
static void *(*volatile do_memset)(void *, int, size_t) = memset;
static int (*volatile do_memcmp)(const void *, const void *, size_t) = memcmp;
static void *(*volatile do_memcpy_chk)(void *, const void *, size_t, size_t) = __memcpy_chk;
static void *(*volatile do_memmove_chk)(void *, const void *, size_t, size_t) = __memmove_chk;
static void *(*volatile do_mempcpy_chk)(void *, const void *, size_t, size_t) = __mempcpy_chk;

struct place {
    struct buf *dst, *src;
    size_t to, from, n;
};

// A source range, and a destination where it fits; often at the same distance from a page's start.
static struct place
pick_place(struct ctx *c)
{
    struct place p = {.src = pick(c, READS)};
    p.dst = pick_other(c, WRITES, p.src);
    pick_range(c, p.src, &p.from, &p.n);
    if (p.n > p.dst->n)
        p.n = p.dst->n;
    size_t room = p.dst->n - p.n;
    p.to = room ? rnd(&c->rng, room + 1) : 0;
    if (!one_in(&c->rng, 4)) {
        size_t even = p.to - p.to % PAGE + p.from % PAGE;
        if (even <= room)
            p.to = even;
    }
    if (one_in(&c->rng, 4))
        p.to = 0;
    return p;
}

static void
do_copy(struct ctx *c, struct place p, int form)
{
    uint8_t *d = p.dst->p + p.to, *s = p.src->p + p.from, *ret;
    size_t room = p.dst->n - p.to;
    trace(c, " form=%d dst=%d:%zu src=%d:%zu n=%zu", form, p.dst->id, p.to, p.src->id, p.from, p.n);
    errno = 0;
    switch (form) {
    case 0:
        ret = do_memcpy(d, s, p.n);
        break;
    case 1:
        ret = do_memmove(d, s, p.n);
        break;
    case 2:
        ret = (uint8_t *)do_mempcpy(d, s, p.n) - p.n;
        break;
    case 3:
        ret = do_memcpy_chk(d, s, p.n, room);
        break;
    case 4:
        ret = do_memmove_chk(d, s, p.n, room);
        break;
    default:
        ret = (uint8_t *)do_mempcpy_chk(d, s, p.n, room) - p.n;
        break;
    }
    MUST(c, ret == d && errno == 0);
    raw_move(p.dst->shadow + p.to, p.src->shadow + p.from, p.n);
}

void
op_copy(struct ctx *c)
{
    do_copy(c, pick_place(c), (int)rnd(&c->rng, 3));
}

void
op_copy_checked(struct ctx *c)
{
    do_copy(c, pick_place(c), 3 + (int)rnd(&c->rng, 3));
}

// Within one buffer; the ranges may meet.
void
op_copy_within(struct ctx *c)
{
    struct place p = {.src = pick(c, WRITES)};
    p.dst = p.src;
    pick_range(c, p.src, &p.from, &p.n);
    size_t room = p.dst->n - p.n;
    p.to = room ? rnd(&c->rng, room + 1) : 0;
    if (one_in(&c->rng, 2))
        p.to -= p.to % PAGE;
    bool apart = p.to + p.n <= p.from || p.from + p.n <= p.to;
    do_copy(c, p, apart && one_in(&c->rng, 2) ? 0 : 1);
}

// A copy of a copy of a copy, the first one written to afterwards.
void
op_copy_chain(struct ctx *c)
{
    struct place p = pick_place(c);
    do_copy(c, p, 0);
    for (int i = 0; i < 3; i++) {
        struct place next = {.src = p.dst, .from = p.to, .n = p.n};
        next.dst = pick_other(c, WRITES, p.dst);
        if (next.n > next.dst->n)
            next.n = next.dst->n;
        next.to = rnd(&c->rng, next.dst->n - next.n + 1);
        if (one_in(&c->rng, 2))
            next.to = next.to - next.to % PAGE;
        do_copy(c, next, 0);
        p = next;
    }
}

void
op_store(struct ctx *c)
{
    struct buf *b = pick(c, WRITES);
    size_t at, n;
    pick_range(c, b, &at, &n);
    size_t how = rnd(&c->rng, 4);
    uint64_t seed = rng_next(&c->rng);
    trace(c, " how=%zu dst=%d:%zu n=%zu", how, b->id, at, n);
    switch (how) {
    case 0: // single bytes
        for (size_t i = at; i < at + n; i += 1 + n / 7) {
            ((volatile uint8_t *)b->p)[i] = (uint8_t)(seed + i);
            b->shadow[i] = (uint8_t)(seed + i);
        }
        return;
    case 1: // a short run
        n = n < 3000 ? n : 3000;
        break;
    case 2:
        do_memset(b->p + at, (int)(seed & 255), n);
        raw_set(b->shadow + at, n, (uint8_t)seed);
        return;
    default:
        break;
    }
    raw_fill(b->shadow + at, n, seed);
    raw_copy(b->p + at, b->shadow + at, n);
}

void
op_load(struct ctx *c)
{
    struct buf *b = pick(c, READS);
    size_t at, n;
    pick_range(c, b, &at, &n);
    if (one_in(&c->rng, 2) && n > 64)
        n = 64;
    trace(c, " src=%d:%zu n=%zu", b->id, at, n);
    if (one_in(&c->rng, 3))
        MUST(c, do_memcmp(b->p + at, b->shadow + at, n) == 0);
    else
        verify(c, b, at, n, "load");
    if (!c->async) // a storm of signals leaves its number in what is copied out of the signal buffer
        trace(c, " hash=%016lx", raw_hash(b->shadow + at, n));
}
