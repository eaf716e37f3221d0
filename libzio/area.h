// SPDX-License-Identifier: Apache-2.0
// Areas: the ranges of the program's memory that zIO knows. Arena areas are the slots that large allocations
// get; general areas are private anonymous memory that somebody else mapped (allocators, brk, .bss, mmap).
//
// A native area's pages fault in the kernel, as ever, and what is present is unknown. A tracked area is
// registered with userfaultfd; its map says exactly which pages are present, since a page appears only when
// we resolve it. All under the engine's lock.
#ifndef ZIO_AREA_H
#define ZIO_AREA_H

#include <stdatomic.h>
#include <stdbool.h>

#include "libzio/segmap.h"
#include "libzio/vm.h"
#include "libzio/zio.h"

struct area {
    struct segmap map; // base and npages are always right; the segments only while tracked
    bool tracked;
    bool arena;           // a slot of the arena, else general
    bool shared;          // the kernel refused to move pages: a fork shared them (area_unshare)
    bool noelide;         // mprotect, mlock, MSG_ZEROCOPY...: leave it alone (arena: until it is freed)
    bool fresh;           // arena, native: nobody touched a page before the present owner
    bool inuse;           // arena: allocated
    bool mostly_present;  // arena, free: which list
    uint16_t faults;      // since the pages were last made absent
    uint32_t window;      // pages to resolve at the next fault in sequence
    uint32_t next_fault;  // page after the last resolved window
    uint32_t site;        // call site that made pages absent last: it pays for the faults
    uint32_t tail_page;   // the page in which the last receive ended
    uint16_t plain_reads; // copies that had to read absent bytes for a destination that stays present
    uint32_t msite;       // arena: call site of the allocation
    bool given_present;   // arena: was mostly present when it was allocated
    uint32_t epoch;       // arena: allocations so far, to tell one life from the next
    size_t req;           // arena: bytes asked for
    int cls;
    struct area *next; // arena: free list
};

extern struct vmrange arena_vm;
extern struct area **arena_slots; // by slot id

int area_init(size_t arena_reserve); // 0 or -errno; 0 reserve means no arena

// The area that holds addr, or NULL.
struct area *area_at(uintptr_t addr);

// Without the lock: could memory at addr be absent? A hint.
extern _Atomic unsigned area_ngeneral;
static inline bool
area_maybe_absent(uintptr_t addr)
{
    return vm_contains(&arena_vm, addr) || atomic_load_explicit(&area_ngeneral, memory_order_relaxed) > 0;
}
// Without the lock: is anything absent in the arena slot at addr? A hint; slots' records are never freed.
static inline bool
area_arena_absent(uintptr_t addr)
{
    const struct area *a;
    long id;

    if (!vm_contains(&arena_vm, addr) || (id = vm_slot_at(&arena_vm, addr)) < 0)
        return false;
    a = arena_slots[id];
    return a && a->tracked && a->map.absent;
}
// The same, for any page that is not present, blank ones too.
static inline bool
area_arena_missing(uintptr_t addr)
{
    const struct area *a;
    long id;

    if (!vm_contains(&arena_vm, addr) || (id = vm_slot_at(&arena_vm, addr)) < 0)
        return false;
    a = arena_slots[id];
    return a && a->tracked && (a->map.n > 1 || a->map.v[0].kind != SEG_PRESENT);
}

// The general area that covers [start, end), page aligned, made or grown if the memory is private, anonymous,
// writable and not a stack. NULL when it is not, or when out of memory.
struct area *area_make(uintptr_t start, uintptr_t end);

int area_track(struct area *a); // native -> tracked; 0 or -errno
// Native: are most pages of [p0, p1) missing? Asks the kernel.
bool area_peek_missing(const struct area *a, uint32_t p0, uint32_t p1);
int area_untrack(struct area *a); // tracked, nothing absent -> native
static inline uint32_t
area_page(const struct area *a, uintptr_t addr)
{
    return (uint32_t)((addr - a->map.base) >> ZPAGE_SHIFT);
}
static inline uintptr_t
area_addr(const struct area *a, uint32_t page)
{
    return a->map.base + ((uintptr_t)page << ZPAGE_SHIFT);
}
static inline uintptr_t
area_end(const struct area *a)
{
    return area_addr(a, a->map.npages);
}
static inline bool
area_covers(const struct area *a, uintptr_t start, size_t len)
{
    return start >= a->map.base && len <= area_end(a) - start;
}
// Areas that meet [*at, end), one after the other; `*at` is the position of the walk. NULL at the end.
struct area *area_next(uintptr_t *at, uintptr_t end);

// Puts the pages [p0, p1) back into the program's memory. 0, -EAGAIN (a mapping change is under way: let go
// of the lock and try again), or -errno.
int area_resolve(struct area *a, uint32_t p0, uint32_t p1);

// Puts one missing page in place with the bytes at `from` (a page in the pool). False when that failed:
// nothing happened.
bool area_fill(struct area *a, uint32_t page, uintptr_t from);

// Takes present pages [p0, p1) out of the program's memory into a new block; they become SEG_DATA of it, in
// one piece. The block comes back with one hold. NULL when that can't be done (no MOVE, pinned, shared, out
// of memory).
struct block *area_steal(struct area *a, uint32_t p0, uint32_t p1);
// The same, but nobody wants the bytes: the pages go to the pool and the range becomes `kind`.
int area_discard(struct area *a, uint32_t p0, uint32_t p1, enum seg_kind kind);

// After area_steal or area_discard was refused for pages that a fork shared: when nobody shares them any
// more, makes the kernel see it, so that the next attempt succeeds. Without the lock. True when it did.
bool area_unshare(uintptr_t start, size_t len);

// Hands the first `pages` pages of one arena slot to another, whose content is nobody's: by page table and
// bookkeeping. False when they must be copied (nothing has been done then).
bool area_transfer(struct area *from, struct area *to, uint32_t pages);

// For all of the program's memory in [start, end). Each lets go of the lock as needed: call without it.
void area_restore_range(uintptr_t start, uintptr_t end, bool retire);    // everything absent is put back
void area_forget_range(uintptr_t start, uintptr_t end, bool unregister); // the memory is going away
// madvise(DONTNEED, FREE): what is absent is zero from now on. Present pages may stay (FREE keeps them until
// memory is short): a page that is gone and faults is zeroed all the same. present_too says that they are
// gone for sure.
void area_blank_range(uintptr_t start, uintptr_t end, bool present_too);
void area_undef_range(uintptr_t start, uintptr_t end); // freed: what was absent is undefined from now on
// Puts everything absent in it back and leaves it alone from now on (arena: until it is freed).
static inline void
area_pin_range(uintptr_t start, uintptr_t end)
{
    area_restore_range(start, end, true);
}
void area_restore_all(void);
bool area_general_meets(uintptr_t start, uintptr_t end); // takes the lock when there are general areas at all
bool area_hint_general(uintptr_t addr);                  // is there a general area near (takes the lock)?
void area_moved(uintptr_t from, uintptr_t to, size_t len); // remap event; under the lock
void area_forget_locked(uintptr_t start, uintptr_t end, bool unregister);
void area_blank_locked(uintptr_t start, uintptr_t end, bool present_too);

// May what the map knows of the caller's memory at addr be about what was there before? So while an event of
// general memory waits to be read: it may tell of an unmapping that came before the caller was given these
// addresses. Asked once, before anything is believed; what goes away later is not the caller's.
bool area_stale(uintptr_t addr);
// After fork, in the child: registers everything again with the child's own descriptors.
void area_after_fork(void);
void area_fill_child(int fd,
                     bool arena);     // in the helper: a child's absent pages, through the child's descriptor
void area_look_again(uintptr_t addr); // asks the kernel whether the page is present now, and notes it
void area_abandon(void); // in a child that forked behind our back: forget everything, call nothing

// Gives back the pages of blocks that nothing refers to any more, when there are many. Under the lock.
void area_collect_if_due(void);
void area_release_all(void); // nothing is absent: unregister everything
size_t area_absent_bytes(void);

#endif
