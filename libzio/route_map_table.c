// SPDX-License-Identifier: Apache-2.0
// The table of mappings: an array in the order of addresses, under one lock. Signals are blocked while it is
// held, since a handler may touch or change a mapping.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "libzio/route_fsc.h"
#include "libzio/route_map.h"
#include "libzio/sys.h"

_Atomic uintptr_t rmap_low = UINTPTR_MAX, rmap_high;
_Atomic unsigned rmap_count;

static _Atomic uint32_t word; // the lock: 0 free, 1 held
static struct rmap *v;
static size_t n, cap;

static _Atomic int fork_thread; // who forks, and holds the lock

// A thread that forks waits for malloc's lock meanwhile, which the thread whose handler we are in may hold:
// then the lock changes hands (see lock.c).
static bool
take_from_fork(void)
{
    int tid = atomic_load(&fork_thread);

    return tid && zio_waits_for_lock(tid) && atomic_compare_exchange_strong(&fork_thread, &tid, 0);
}

static void
lock(uint64_t *mask)
{
    zio_block_signals(mask);
    for (unsigned i = 1; atomic_exchange_explicit(&word, 1, memory_order_acquire) != 0; i++) {
        zsys0(SYS_sched_yield); // it is held for less than a microsecond, but for forks
        if (i % 4096 == 0 && take_from_fork())
            break;
    }
}

static void
unlock(const uint64_t *mask)
{
    atomic_store_explicit(&word, 0, memory_order_release);
    zio_restore_signals(mask);
}

static void
bounds(void)
{
    atomic_store_explicit(&rmap_low, n ? v[0].start : UINTPTR_MAX, memory_order_relaxed);
    atomic_store_explicit(&rmap_high, n ? v[n - 1].end : 0, memory_order_relaxed);
    atomic_store_explicit(&rmap_count, (unsigned)n, memory_order_relaxed);
}

// The first entry that ends behind `at`.
static size_t
find(uintptr_t at)
{
    size_t lo = 0, hi = n;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;

        if (v[mid].end <= at)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

// Room for two entries more: each cut of a range may make one.
static bool
has_room(void)
{
    size_t want = cap ? cap * 2 : 128;
    long p;

    if (n + 2 <= cap)
        return true;
    p = zsys6(SYS_mmap, 0, (long)(want * sizeof *v), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
              0);
    if (p < 0 && p > -4096)
        return false;
    if (n)
        memcpy((void *)p, v, n * sizeof *v);
    if (v)
        zsys2(SYS_munmap, v, cap * sizeof *v);
    v = (struct rmap *)p;
    cap = want;
    return true;
}

static void
insert(size_t at, const struct rmap *m)
{
    memmove(v + at + 1, v + at, (n - at) * sizeof *v);
    v[at] = *m;
    n++;
}

// Does b go on where a ends?
static bool
joins(const struct rmap *a, const struct rmap *b)
{
    return a->end == b->start && a->file == b->file && a->offset + (a->end - a->start) == b->offset &&
           a->prot == b->prot && a->keep == b->keep && a->flags == b->flags;
}

// Entry i and the one behind it become one, if they can. (Its file has another reference then.)
static void
join(size_t i)
{
    if (i + 1 >= n || !joins(&v[i], &v[i + 1]))
        return;
    atomic_fetch_sub(&v[i].file->refs, 1);
    v[i].end = v[i + 1].end;
    n--;
    memmove(v + i + 1, v + i + 2, (n - i - 1) * sizeof *v);
}

int
rmap_add(const struct rmap *m)
{
    uint64_t mask;
    bool room;
    size_t i;

    lock(&mask);
    room = has_room();
    if (room) {
        i = find(m->start);
        insert(i, m);
        join(i);
        if (i > 0)
            join(i - 1);
        bounds();
    }
    unlock(&mask);
    return room ? 0 : -ENOMEM;
}

static struct rmap
cut(const struct rmap *m, uintptr_t start, uintptr_t end)
{
    struct rmap out = *m;

    out.start = start > m->start ? start : m->start;
    out.end = end < m->end ? end : m->end;
    out.offset = m->offset + (out.start - m->start);
    return out;
}

bool
rmap_take(uintptr_t start, uintptr_t end, struct rmap *out)
{
    struct rmap old, tail;
    uint64_t mask;
    size_t i;
    bool got;

    lock(&mask);
    i = find(start);
    got = start < end && i < n && v[i].start < end;
    if (got) {
        old = v[i];
        *out = cut(&old, start, end);
        if (old.start < out->start && out->end < old.end && !has_room()) {
            // No room to cut it in two: all behind `end` is forgotten, too, and stays mapped as it is.
            v[i].end = out->start;
            atomic_fetch_add(&old.file->refs, 1);
        } else if (old.start < out->start && out->end < old.end) {
            tail = cut(&old, out->end, old.end);
            v[i].end = out->start;
            insert(i + 1, &tail);
            atomic_fetch_add(&old.file->refs, 2);
        } else if (old.start < out->start) {
            v[i].end = out->start;
            atomic_fetch_add(&old.file->refs, 1);
        } else if (out->end < old.end) {
            v[i] = cut(&old, out->end, old.end);
            atomic_fetch_add(&old.file->refs, 1);
        } else {
            n--;
            memmove(v + i, v + i + 1, (n - i) * sizeof *v);
        }
        bounds();
    }
    unlock(&mask);
    return got;
}

bool
rmap_next(uintptr_t start, uintptr_t end, struct rmap *out)
{
    uint64_t mask;
    size_t i;
    bool got;

    lock(&mask);
    i = find(start);
    got = start < end && i < n && v[i].start < end;
    if (got) {
        *out = cut(&v[i], start, end);
        atomic_fetch_add(&out->file->refs, 1);
    }
    unlock(&mask);
    return got;
}

bool
rmap_find(uintptr_t addr, struct rmap *out)
{
    uint64_t mask;
    size_t i;
    bool got;

    lock(&mask);
    i = find(addr);
    got = i < n && v[i].start <= addr;
    if (got) {
        *out = v[i];
        atomic_fetch_add(&out->file->refs, 1);
    }
    unlock(&mask);
    return got;
}

void
rmap_file_put(struct rmap_file *f)
{
    struct route_guard g;

    if (atomic_fetch_sub(&f->refs, 1) > 1)
        return;
    route_enter(&g);
    fsc.close(f->file);
    route_leave(&g);
    free(f);
}

static __thread uint64_t fork_mask __attribute__((tls_model("initial-exec")));

void
rmap_fork_prepare(void)
{
    lock(&fork_mask);
    atomic_store(&fork_thread, (int)zsys0(SYS_gettid));
}

void
rmap_fork_parent(void)
{
    int tid = (int)zsys0(SYS_gettid);

    if (atomic_compare_exchange_strong(&fork_thread, &tid, 0))
        unlock(&fork_mask);
    else
        zio_restore_signals(&fork_mask);
}

void
rmap_fork_child(void)
{
    atomic_store(&fork_thread, 0);
    unlock(&fork_mask);
}
