// SPDX-License-Identifier: Apache-2.0
// The heap's calls and the mapping calls.
#include "tests/oracle/oracle.h"

#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static void *(*volatile do_realloc)(void *, size_t) = realloc;

// Slots from 4 on change their kind; a buffer that others read stays.
static struct buf *
pick_heap(struct ctx *c)
{
    for (int tries = 0; tries < 8; tries++) {
        struct buf *b = pick(c, WRITES);
        if (b->kind == B_MALLOC || b->kind == B_ALIGNED || b->kind == B_CALLOC)
            return b;
    }
    return &c->bufs[0];
}

static struct buf *
pick_pages(struct ctx *c, bool mapping_only)
{
    for (int tries = 0; tries < 12; tries++) {
        struct buf *b = pick(c, WRITES);
        if (b->n >= 2 * PAGE && (mapping_only ? b->kind == B_MMAP : has_pages(b)))
            return b;
    }
    return NULL;
}

// Whole pages inside the buffer.
static void
pick_page_range(struct ctx *c, const struct buf *b, size_t *at, size_t *n)
{
    size_t pages = b->n / PAGE;
    size_t first = rnd(&c->rng, pages);
    *at = first * PAGE;
    *n = (1 + rnd(&c->rng, pages - first)) * PAGE;
    if (one_in(&c->rng, 4)) {
        *at = 0;
        *n = pages * PAGE;
    }
}

void
op_heap_renew(struct ctx *c)
{
    int slot = 4 + (int)rnd(&c->rng, NBUF - 4);
    struct buf *b = &c->bufs[slot];
    if (b->locked)
        return;
    enum buf_kind kind = random_kind(c);
    if (kind == B_SHARED && c->depth)
        kind = B_MMAP;
    size_t n = random_size(c);
    trace(c, " slot=%d %s to %s n=%zu", slot, buf_kind_names[b->kind], buf_kind_names[kind], n);
    buf_destroy(c, b);
    buf_create(c, slot, kind, n);
}

void
op_heap_realloc(struct ctx *c)
{
    struct buf *b = pick_heap(c);
    size_t n = one_in(&c->rng, 3) ? b->n + 1 + rnd(&c->rng, 2 * PAGE) : random_size(c);
    if (n > BUF_MAX)
        n = BUF_MAX;
    size_t keep = n < b->n ? n : b->n;
    bool array = one_in(&c->rng, 4);
    trace(c, " dst=%d %zu to %zu array=%d", b->id, b->n, n, array);
    uint8_t *p = array ? reallocarray(b->p, n, 1) : do_realloc(b->p, n);
    MUST(c, p && malloc_usable_size(p) >= n);
    b->p = p;
    b->n = n;
    if (b->kind != B_MALLOC)
        b->kind = B_MALLOC;
    if (one_in(&c->rng, 2))
        verify(c, b, 0, keep, "realloc");
    raw_fill(b->shadow + keep, n - keep, rng_next(&c->rng));
    raw_copy(b->p + keep, b->shadow + keep, n - keep);
}

static _Thread_local sigjmp_buf fault_jump;
static _Thread_local void *volatile fault_address;
static _Thread_local volatile bool fault_expected;

static void
on_fault(int sig, siginfo_t *info, void *context)
{
    (void)context;
    if (!fault_expected) { // a true crash: let it happen again, undisturbed
        dprintf(2, "unexpected fault at %p\n", info->si_addr);
        signal(sig, SIG_DFL);
        return;
    }
    fault_address = info->si_addr;
    siglongjmp(fault_jump, 1);
}

void
faults_set_up(void)
{
    struct sigaction act = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &act, NULL);
    sigaction(SIGBUS, &act, NULL);
}

bool
touch_faults(volatile uint8_t *p, bool write)
{
    fault_address = NULL;
    if (sigsetjmp(fault_jump, 1) == 0) {
        fault_expected = true;
        if (write)
            *p = 0;
        else
            (void)*p;
    }
    fault_expected = false;
    return fault_address == (void *)p;
}

void
op_map_protect(struct ctx *c)
{
    struct buf *b = pick_pages(c, false);
    size_t at, n;
    if (!b)
        return;
    pick_page_range(c, b, &at, &n);
    bool none = one_in(&c->rng, 2);
    size_t byte = at + rnd(&c->rng, n);
    trace(c, " dst=%d:%zu n=%zu none=%d", b->id, at, n, none);
    MUST(c, mprotect(b->p + at, n, none ? PROT_NONE : PROT_READ) == 0);
    MUST(c, touch_faults(b->p + byte, true));
    MUST(c, touch_faults(b->p + byte, false) == none);
    if (at > 0)
        verify(c, b, at - 1, 1, "before a protected range");
    if (!none && one_in(&c->rng, 2))
        verify(c, b, at, n, "a read-only range");
    MUST(c, mprotect(b->p + at, n, PROT_READ | PROT_WRITE) == 0);
    if (one_in(&c->rng, 2))
        verify(c, b, at, n, "a range that was protected");
}

// A hole is unmapped and mapped again, or mapped over: it is zero, its neighbours are not.
void
op_map_hole(struct ctx *c)
{
    struct buf *b = pick_pages(c, true);
    size_t at, n;
    if (!b)
        return;
    pick_page_range(c, b, &at, &n);
    size_t how = rnd(&c->rng, 3);
    trace(c, " dst=%d:%zu n=%zu how=%zu", b->id, at, n, how);
    int fixed = MAP_PRIVATE | MAP_ANONYMOUS | (how == 0 || c->concurrent ? MAP_FIXED : MAP_FIXED_NOREPLACE);
    if (how == 1 && !c->concurrent)
        MUST(c, munmap(b->p + at, n) == 0);
    if (how == 2 && !c->concurrent)
        MUST(c, raw_syscall(SYS_munmap, (long)(b->p + at), (long)n, 0, 0, 0, 0) == 0);
    if (how && !c->concurrent)
        MUST(c, touch_faults(b->p + at + n - 1, one_in(&c->rng, 2)));
    MUST(c, mmap(b->p + at, n, PROT_READ | PROT_WRITE, fixed, -1, 0) == b->p + at);
    raw_set(b->shadow + at, n, 0);
    if (one_in(&c->rng, 2))
        verify(c, b, 0, b->n, "around a hole");
}

void
op_map_move(struct ctx *c)
{
    struct buf *b = pick_pages(c, true);
    if (!b)
        return;
    size_t old = (b->n + PAGE - 1) / PAGE * PAGE, n = random_size(c) / PAGE * PAGE + PAGE;
    size_t how = rnd(&c->rng, 3);
    if (n > BUF_MAX || how == 1)
        n = old;
    trace(c, " dst=%d %zu to %zu how=%zu", b->id, old, n, how);
    uint8_t *p;
    if (how == 1) {
        uint8_t *to = mmap(NULL, n, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        MUST(c, to != MAP_FAILED);
        p = mremap(b->p, old, n, MREMAP_MAYMOVE | MREMAP_FIXED, to);
    } else if (how == 2) {
        p = (uint8_t *)raw_syscall(SYS_mremap, (long)b->p, (long)old, (long)n, MREMAP_MAYMOVE, 0, 0);
    } else {
        p = mremap(b->p, old, n, MREMAP_MAYMOVE);
    }
    // A range that became several mappings (by advice on a part of it) cannot be moved at once; the kernel
    // may have joined them again or not.
    if (p == MAP_FAILED || (intptr_t)p == -EFAULT) {
        p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        MUST(c, p != MAP_FAILED);
        raw_copy(p, b->p, old < n ? old : n);
        MUST(c, munmap(b->p, old) == 0);
    }
    MUST(c, (uintptr_t)p % PAGE == 0);
    if (n > old)
        raw_set(b->shadow + old, n - old, 0);
    b->p = p;
    b->n = n;
    if (one_in(&c->rng, 2))
        verify(c, b, 0, b->n, "moved memory");
}

// After MADV_FREE each page is what it was, or zero, until it is written.
static void
settle_freed(struct ctx *c, struct buf *b, size_t at, size_t n)
{
    raw_set(c->scratch, PAGE, 0);
    for (size_t i = at; i < at + n; i += PAGE) {
        bool kept = raw_diff(b->p + i, b->shadow + i, PAGE) == PAGE;
        MUST(c, kept || raw_diff(b->p + i, c->scratch, PAGE) == PAGE);
    }
    raw_fill(b->shadow + at, n, rng_next(&c->rng));
    raw_copy(b->p + at, b->shadow + at, n);
}

void
op_map_advise(struct ctx *c)
{
    static const int harmless[] = {MADV_WILLNEED,   MADV_SEQUENTIAL,    MADV_RANDOM,
                                   MADV_NORMAL,     MADV_HUGEPAGE,      MADV_COLD,
                                   MADV_NOHUGEPAGE, MADV_POPULATE_READ, MADV_POPULATE_WRITE};
    struct buf *b = pick_pages(c, false);
    size_t at, n;
    if (!b)
        return;
    pick_page_range(c, b, &at, &n);
    size_t how = rnd(&c->rng, 4);
    int advice = how == 0   ? MADV_DONTNEED
                 : how == 1 ? MADV_FREE
                            : harmless[rnd(&c->rng, sizeof harmless / sizeof *harmless)];
    if (how < 2 && b->kind == B_SHARED)
        advice = MADV_WILLNEED;
    // The heap's pages belong to the allocator: nobody advises on them behind its back.
    bool raw = one_in(&c->rng, 4) && b->kind != B_ALIGNED;
    trace(c, " dst=%d:%zu n=%zu advice=%d raw=%d", b->id, at, n, advice, raw);
    int ret = raw ? (int)raw_syscall(SYS_madvise, (long)(b->p + at), (long)n, advice, 0, 0, 0)
                  : madvise(b->p + at, n, advice);
    MUST(c, ret == 0 || how >= 2);
    if (ret == 0 && advice == MADV_DONTNEED)
        raw_set(b->shadow + at, n, 0);
    if (ret == 0 && advice == MADV_FREE)
        settle_freed(c, b, at, n);
    if (one_in(&c->rng, 3))
        verify(c, b, 0, b->n, "advised memory");
}

void
op_map_lock(struct ctx *c)
{
    struct buf *b = pick(c, READS);
    size_t at, n;
    pick_range(c, b, &at, &n);
    trace(c, " src=%d:%zu n=%zu", b->id, at, n);
    if (mlock(b->p + at, n) == 0) {
        verify(c, b, at, n, "locked memory");
        MUST(c, munlock(b->p + at, n) == 0);
    }
}

// The break goes up, memory there is used, and down again; what comes back is zero.
void
op_map_break(struct ctx *c)
{
    struct buf *b = pick(c, READS);
    size_t n = b->n;
    trace(c, " src=%d n=%zu", b->id, n);
    if (c->concurrent) // the allocator may move the break at any time
        return;
    uint8_t *p = sbrk((intptr_t)(2 * n + 2 * PAGE));
    if (p == (void *)-1)
        return;
    uint8_t *first = p + PAGE - (uintptr_t)p % PAGE;
    raw_copy(first, b->shadow, n);
    static void *(*volatile do_copy)(void *, const void *, size_t) = memcpy;
    do_copy(first + n, first, n);
    raw_set(first, n, 0);
    MUST(c, raw_diff(first + n, b->shadow, n) == n);
    do_copy(first, b->p, n);
    MUST(c, sbrk(0) == p + 2 * n + 2 * PAGE);
    MUST(c, brk(p) == 0);
    MUST(c, brk(p + 2 * n + 2 * PAGE) == 0);
    raw_set(c->scratch, 2 * n, 0);
    MUST(c, raw_diff(first, c->scratch, 2 * n) == 2 * n);
    MUST(c, brk(p) == 0);
}
