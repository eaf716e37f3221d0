// SPDX-License-Identifier: Apache-2.0
// Buffers of every kind, ranges and vectors of them.
#include "tests/oracle/oracle.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

const char *const buf_kind_names[B_KINDS] = {"none",   "malloc", "aligned_alloc", "calloc", "mmap",
                                             "shared", "bss",    "stack",         "brk"};

static void *(*volatile do_memcpy)(void *, const void *, size_t) = memcpy;
static void *(*volatile do_memset)(void *, int, size_t) = memset;

// From 1 byte to BUF_MAX, evenly over the magnitudes from 4 KiB on; often a whole number of pages, or nearly.
size_t
random_size(struct ctx *c)
{
    size_t n;
    if (one_in(&c->rng, 12))
        return 1 + rnd(&c->rng, 4 * PAGE);
    n = (size_t)PAGE << rnd(&c->rng, 8);
    n += rnd(&c->rng, n);
    switch (rnd(&c->rng, 6)) {
    case 0:
    case 1:
        n -= n % PAGE;
        break;
    case 2:
        n = n - n % PAGE + 1;
        break;
    case 3:
        n = n - n % PAGE - (n >= 2 * PAGE);
        break;
    default:
        break;
    }
    return n < 1 ? 1 : n > BUF_MAX ? BUF_MAX : n;
}

enum buf_kind
random_kind(struct ctx *c)
{
    static const enum buf_kind kinds[] = {B_MALLOC, B_MALLOC, B_MALLOC, B_MALLOC, B_ALIGNED,
                                          B_CALLOC, B_MMAP,   B_MMAP,   B_MMAP,   B_SHARED};
    return kinds[rnd(&c->rng, sizeof kinds / sizeof *kinds)];
}

bool
has_pages(const struct buf *b)
{
    return b->kind == B_MMAP || b->kind == B_SHARED || b->kind == B_BSS || b->kind == B_ALIGNED;
}

static void *
obtain(struct ctx *c, enum buf_kind kind, size_t n)
{
    int sharing = kind == B_SHARED ? MAP_SHARED : MAP_PRIVATE;
    uint8_t *p;
    switch (kind) {
    case B_MALLOC:
        return malloc(n);
    case B_ALIGNED:
        return aligned_alloc(PAGE, (n + PAGE - 1) / PAGE * PAGE);
    case B_CALLOC:
        p = calloc(1, n);
        raw_set(c->scratch, n, 0);
        MUST(c, p && raw_diff(p, c->scratch, n) == n);
        return p;
    case B_MMAP:
    case B_SHARED:
        p = mmap(NULL, n, PROT_READ | PROT_WRITE, sharing | MAP_ANONYMOUS, -1, 0);
        return p == MAP_FAILED ? NULL : p;
    case B_BSS:
        return c->bss;
    case B_STACK:
        return c->stack;
    case B_BRK:
        p = sbrk((intptr_t)n);
        return p == (void *)-1 ? NULL : p;
    default:
        return NULL;
    }
}

// New content for a whole buffer: stores of ours, libc's memset, or copies of what other buffers hold.
void
buf_fill(struct ctx *c, struct buf *b)
{
    switch (rnd(&c->rng, 4)) {
    case 0: {
        int value = (int)rnd(&c->rng, 256);
        do_memset(b->p, value, b->n);
        raw_set(b->shadow, b->n, (uint8_t)value);
        return;
    }
    case 1: {
        struct buf *from = pick_other(c, READS, b);
        if (from->kind == B_NONE)
            break;
        for (size_t at = 0; at < b->n;) {
            size_t n = b->n - at < from->n ? b->n - at : from->n;
            do_memcpy(b->p + at, from->p, n);
            raw_copy(b->shadow + at, from->shadow, n);
            at += n;
        }
        return;
    }
    default:
        break;
    }
    raw_fill(b->shadow, b->n, rng_next(&c->rng));
    raw_copy(b->p, b->shadow, b->n);
}

void
buf_create(struct ctx *c, int slot, enum buf_kind kind, size_t n)
{
    struct buf *b = &c->bufs[slot];
    if (kind == B_MMAP || kind == B_SHARED)
        n = (n + PAGE - 1) / PAGE * PAGE;
    b->kind = kind;
    b->id = slot;
    b->n = n;
    b->locked = false;
    if (!b->shadow)
        b->shadow = raw_map(SHADOW_SIZE);
    b->p = obtain(c, kind, n);
    if (!b->p && kind == B_BRK) {
        b->kind = B_MALLOC;
        b->p = malloc(n);
    }
    MUST(c, b->p);
    buf_fill(c, b);
}

void
buf_destroy(struct ctx *c, struct buf *b)
{
    if (b->kind == B_MALLOC || b->kind == B_ALIGNED || b->kind == B_CALLOC)
        free(b->p);
    else if (b->kind == B_MMAP || b->kind == B_SHARED)
        MUST(c, munmap(b->p, (b->n + PAGE - 1) / PAGE * PAGE) == 0);
    b->kind = B_NONE;
    b->p = NULL;
}

static bool
usable(const struct buf *b, enum uses use, const struct buf * not )
{
    return b != not &&b->kind != B_NONE && (use == READS || !b->locked);
}

// Mostly a buffer used not long ago, so that operations meet on the same memory.
struct buf *
pick_other(struct ctx *c, enum uses use, const struct buf * not )
{
    if (use == READS && c->shared && one_in(&c->rng, 6))
        return &c->shared[rnd(&c->rng, NSHARED)];
    size_t start = one_in(&c->rng, 3) ? (size_t)c->recent : rnd(&c->rng, NBUF);
    for (size_t i = 0; i < NBUF; i++) {
        struct buf *b = &c->bufs[(start + i) % NBUF];
        if (usable(b, use, not )) {
            c->recent = b->id;
            return b;
        }
    }
    // Only while the first buffers are made: nothing else is there.
    static struct buf none;
    return &none;
}

struct buf *
pick(struct ctx *c, enum uses use)
{
    return pick_other(c, use, NULL);
}

void
pick_range(struct ctx *c, const struct buf *b, size_t *at, size_t *n)
{
    *at = 0;
    *n = b->n;
    if (b->n < 2 || one_in(&c->rng, 3))
        return;
    *at = rnd(&c->rng, b->n);
    if (one_in(&c->rng, 2))
        *at -= *at % PAGE;
    *n = 1 + rnd(&c->rng, b->n - *at);
    if (one_in(&c->rng, 3) && *n > PAGE)
        *n -= *n % PAGE;
}

void
vec_pick(struct ctx *c, struct vec *v, enum uses use, size_t max, const struct vec * not )
{
    int pieces = one_in(&c->rng, 2) ? 1 : 1 + (int)rnd(&c->rng, VEC_MAX - 1);
    *v = (struct vec){0};
    struct buf *b = pick(c, use);
    size_t at, n;
    for (int tries = 0; not &&tries < 2 * NBUF; tries++) {
        bool taken = false;
        for (int k = 0; k < not ->n; k++)
            taken = taken || not ->s[k].b == b;
        if (!taken)
            break;
        b = &c->bufs[(b->id + 1) % NBUF];
        while (!usable(b, use, NULL))
            b = &c->bufs[(b->id + 1) % NBUF];
    }
    pick_range(c, b, &at, &n);
    if (n > max)
        n = max;
    // All pieces come from one range, cut at random places: the parts of one message.
    for (int i = 0; i < pieces && n > 0; i++) {
        size_t part = i == pieces - 1      ? n
                      : one_in(&c->rng, 3) ? rnd(&c->rng, n < 100 ? n : 100)
                                           : rnd(&c->rng, n);
        v->s[v->n].b = b;
        v->s[v->n].at = at;
        v->s[v->n].n = part;
        v->v[v->n] = (struct iovec){b->p + at, part};
        v->n++;
        v->total += part;
        at += part;
        n -= part;
    }
}

void
vec_limit(struct vec *v, size_t total)
{
    size_t sum = 0;
    for (int i = 0; i < v->n; i++) {
        if (sum + v->s[i].n > total)
            v->s[i].n = v->v[i].iov_len = total - sum;
        sum += v->s[i].n;
    }
    v->total = sum;
}

void
vec_skip(struct vec *v, size_t n)
{
    v->total -= n;
    for (int i = 0; i < v->n; i++) {
        size_t part = v->s[i].n < n ? v->s[i].n : n;
        v->s[i].at += part;
        v->s[i].n -= part;
        v->v[i].iov_base = (uint8_t *)v->v[i].iov_base + part;
        v->v[i].iov_len -= part;
        n -= part;
    }
}

void
vec_gather(const struct vec *v, uint8_t *out)
{
    for (int i = 0; i < v->n; i++) {
        raw_copy(out, v->s[i].b->shadow + v->s[i].at, v->s[i].n);
        out += v->s[i].n;
    }
}

void
vec_scatter(const struct vec *v, const uint8_t *in, size_t n)
{
    for (int i = 0; i < v->n && n > 0; i++) {
        size_t part = v->s[i].n < n ? v->s[i].n : n;
        raw_copy(v->s[i].b->shadow + v->s[i].at, in, part);
        in += part;
        n -= part;
    }
}

void
vec_trace(struct ctx *c, const char *name, const struct vec *v)
{
    trace(c, " %s=", name);
    for (int i = 0; i < v->n; i++)
        trace(c, "%s%d:%zu+%zu", i ? "," : "", v->s[i].b->id, v->s[i].at, v->s[i].n);
}

void
context_set_up(struct ctx *c)
{
    c->scratch = raw_map(SCRATCH_SIZE);
    c->file_shadow = raw_map(FILE_MAX + PAGE);
    c->file = memfd_create("oracle", MFD_CLOEXEC);
    MUST(c, c->file >= 0);
    buf_create(c, 0, B_MALLOC, random_size(c));
    buf_create(c, 1, B_BSS, random_size(c));
    buf_create(c, 2, B_STACK, 1 + random_size(c) % c->stack_size);
    buf_create(c, 3, c->stream == 0 ? B_BRK : B_MMAP, random_size(c));
    for (int i = 4; i < NBUF; i++)
        buf_create(c, i, random_kind(c), random_size(c));
}

void
context_tear_down(struct ctx *c)
{
    for (int i = 0; i < NBUF; i++)
        buf_destroy(c, &c->bufs[i]);
    close(c->file);
}
