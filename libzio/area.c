// SPDX-License-Identifier: Apache-2.0
// See area.h. This file finds, makes, splits and removes areas; area_pages.c moves their pages,
// area_fork.c sees to those of fork children.
#include "libzio/area.h"

#include <errno.h>
#include <sys/mman.h>

#include "libzio/helper.h"
#include "libzio/meta.h"
#include "libzio/sys.h"
#include "libzio/uffd.h"
#include "libzio/uffd_compat.h"
#include "libzio/vmquery.h"
#include "libzio/zio.h"
#include "libzio/zmem.h"

#define MAX_GENERAL 2048 // each may split a mapping twice; vm.max_map_count is 65530
#define SCAN_PAGES 512   // pagemap entries read at a time

struct vmrange arena_vm;
struct area **arena_slots;
static struct area *general[MAX_GENERAL]; // sorted by address
_Atomic unsigned area_ngeneral;
#define ngeneral area_ngeneral

int
area_init(size_t arena_reserve)
{
    int r;

    if (!arena_reserve)
        return 0;
    r = vm_reserve(&arena_vm, arena_reserve);
    if (r < 0)
        return r;
    arena_slots = meta_map(arena_vm.maxslots * sizeof(*arena_slots));
    if (!arena_slots) {
        arena_vm.size = 0;
        return -ENOMEM;
    }
    return 0;
}

// Index of the first general area that ends after addr.
static unsigned
general_index(uintptr_t addr)
{
    unsigned lo = 0, hi = ngeneral;

    while (lo < hi) {
        unsigned mid = (lo + hi) / 2;

        if (area_end(general[mid]) <= addr)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

struct area *
area_at(uintptr_t addr)
{
    unsigned i;

    if (vm_contains(&arena_vm, addr)) {
        long id = vm_slot_at(&arena_vm, addr);

        return id < 0 ? NULL : arena_slots[id];
    }
    i = general_index(addr);
    return i < ngeneral && general[i]->map.base <= addr ? general[i] : NULL;
}

bool
area_stale(uintptr_t addr)
{
    struct area *a = area_at(addr);

    return a && !a->arena && helper_unmaps_pending();
}

static int
general_insert(struct area *a)
{
    unsigned i = general_index(a->map.base);

    if (ngeneral == MAX_GENERAL)
        return -ENOMEM;
    zmem_move(&general[i + 1], &general[i], (ngeneral - i) * sizeof(*general));
    general[i] = a;
    ngeneral++;
    zio_count(areas, 1);
    return 0;
}

static void
general_remove(unsigned i)
{
    struct area *a = general[i];

    segmap_fini(&a->map);
    meta_free(a, sizeof(*a));
    ngeneral--;
    zmem_move(&general[i], &general[i + 1], (ngeneral - i) * sizeof(*general));
    zio_count(areas, -1);
}

// What is present of pages [p0, p1) of a range that is registered by now: pages appear only through us from
// here on.
static int
scan(struct area *a, uint32_t p0, uint32_t p1)
{
    uint64_t e[SCAN_PAGES];

    while (p0 < p1) {
        uint32_t n = min_of(p1 - p0, (uint32_t)SCAN_PAGES), i, j;
        long r = zsys4(SYS_pread64, pagemap_fd, e, n * 8, (area_addr(a, p0) >> ZPAGE_SHIFT) * 8);

        if (r != (long)n * 8)
            return r < 0 ? (int)r : -EIO;
        for (i = 0; i < n; i = j) {
            bool here = e[i] >> 62; // present or swapped

            for (j = i + 1; j < n && !!(e[j] >> 62) == here; j++)
                ;
            if (segmap_set(&a->map, p0 + i, p0 + j, here ? SEG_PRESENT : SEG_ZERO, NULL, 0) < 0)
                return -ENOMEM;
        }
        p0 += n;
    }
    return 0;
}

bool
area_peek_missing(const struct area *a, uint32_t p0, uint32_t p1)
{
    uint32_t n = min_of(p1 - p0, (uint32_t)SCAN_PAGES), present = 0;
    uint64_t e[SCAN_PAGES];

    if (zsys4(SYS_pread64, pagemap_fd, e, n * 8, (area_addr(a, p0) >> ZPAGE_SHIFT) * 8) != (long)n * 8)
        return false;
    for (uint32_t i = 0; i < n; i++)
        present += e[i] >> 62 != 0;
    return present <= 2 + n / 4;
}

int
area_track(struct area *a)
{
    size_t len = (size_t)a->map.npages << ZPAGE_SHIFT;
    int fd = uffd_fd(a->arena), r;

    if (a->tracked)
        return 0;
    r = uffd_register(fd, a->map.base, len, UFFDIO_REGISTER_MODE_MISSING);
    if (r < 0)
        return r;
    segmap_init(&a->map, a->map.base, a->map.npages, SEG_PRESENT);
    r = scan(a, 0, a->map.npages);
    if (r < 0) {
        uffd_unregister(fd, a->map.base, len);
        segmap_fini(&a->map);
        return r;
    }
    a->tracked = true;
    a->fresh = false;
    a->faults = 0;
    if (a->arena)
        zio_count(areas, 1);
    return 0;
}

int
area_untrack(struct area *a)
{
    int fd = uffd_fd(a->arena);
    int r;

    if (!a->tracked)
        return 0;
    if (a->map.absent)
        return -EBUSY;
    r = uffd_unregister(fd, a->map.base, (size_t)a->map.npages << ZPAGE_SHIFT); // wakes who waits there
    if (r < 0)
        return r;
    segmap_fini(&a->map);
    a->tracked = false;
    if (a->arena)
        zio_count(areas, -1);
    return 0;
}

// Cuts general area i at the page: the right part becomes area i + 1.
static int
general_split(unsigned i, uint32_t page)
{
    struct area *a = general[i], *r = meta_alloc(sizeof(*r));

    if (!r)
        return -ENOMEM;
    if (ngeneral == MAX_GENERAL)
        goto fail;
    *r = *a;
    segmap_init(&r->map, area_addr(a, page), a->map.npages - page, SEG_PRESENT);
    for (uint32_t s = 0; s < a->map.n; s++) {
        struct seg *g = &a->map.v[s];
        uint32_t lo = max_of(g->page, page), hi = segmap_end(&a->map, s);

        if (hi > lo && segmap_set(&r->map, lo - page, hi - page, g->kind, g->blk,
                                  g->kind == SEG_DATA ? seg_off(g, lo) : 0) < 0)
            goto fail_map;
    }
    if (segmap_set(&a->map, page, a->map.npages, SEG_PRESENT, NULL, 0) < 0)
        goto fail_map;
    a->map.npages = page;
    if (a->map.v[a->map.n - 1].page == page) // the tail that fell off
        a->map.n--;
    general_insert(r);
    return 0;
fail_map:
    segmap_fini(&r->map);
fail:
    meta_free(r, sizeof(*r));
    return -ENOMEM;
}

// Copies what `from` knows into the wider map of `to`.
static int
absorb(struct area *to, const struct area *from)
{
    uint32_t shift = area_page(to, from->map.base);

    for (uint32_t s = 0; s < from->map.n; s++) {
        const struct seg *g = &from->map.v[s];

        if (segmap_set(&to->map, shift + g->page, shift + segmap_end(&from->map, s), g->kind, g->blk,
                       g->off) < 0)
            return -ENOMEM;
    }
    return 0;
}

struct area *
area_make(uintptr_t start, uintptr_t end)
{
    struct area *a;
    unsigned i, n = 0;
    uintptr_t at;

    if (uffd_general < 0 || pagemap_fd < 0 || vm_contains(&arena_vm, start) || block_in_pool(start))
        return NULL;
    // An unmap event that is still on its way speaks of what was at these addresses before.
    if (helper_unmaps_pending())
        return NULL;
    i = general_index(start);
    if (i < ngeneral && general[i]->map.base <= start && area_end(general[i]) >= end)
        return general[i]->noelide ? NULL : general[i];
    while (i + n < ngeneral && general[i + n]->map.base < end)
        n++;
    if (!vmquery_elidable(start, end) || (n == 0 && ngeneral == MAX_GENERAL))
        return NULL;
    if (n) {
        start = min_of(start, general[i]->map.base);
        end = max_of(end, area_end(general[i + n - 1]));
        if (!vmquery_elidable(start, end))
            return NULL;
    }
    if ((end - start) >> ZPAGE_SHIFT > UINT32_MAX / 2 || !(a = meta_alloc(sizeof(*a))))
        return NULL;
    segmap_init(&a->map, start, (uint32_t)((end - start) >> ZPAGE_SHIFT), SEG_PRESENT);
    if (uffd_register(uffd_general, start, end - start, UFFDIO_REGISTER_MODE_MISSING) < 0)
        goto fail;
    if (helper_unmaps_pending()) // begun since: it must not hit the new area
        goto fail_map;
    a->tracked = true;
    at = start;
    for (unsigned k = 0; k <= n; k++) { // the gaps between the old areas are scanned, the areas absorbed
        struct area *old = k < n ? general[i + k] : NULL;
        uintptr_t upto = old ? old->map.base : end;

        if (upto > at && scan(a, area_page(a, at), area_page(a, upto)) < 0)
            goto fail_map;
        if (old && absorb(a, old) < 0)
            goto fail_map;
        if (old && old->site)
            a->site = old->site; // who pays for the faults to come
        at = old ? area_end(old) : end;
    }
    while (n--)
        general_remove(i);
    general_insert(a);
    return a;
fail_map:
    // Old areas in the range stay; what lies between them faults in the kernel again.
    at = start;
    for (unsigned k = 0; k <= n; k++) {
        struct area *old = k < n ? general[i + k] : NULL;
        uintptr_t upto = old ? old->map.base : end;

        if (upto > at)
            uffd_unregister(uffd_general, at, upto - at);
        at = old ? area_end(old) : end;
    }
    segmap_fini(&a->map);
fail:
    meta_free(a, sizeof(*a));
    return NULL;
}

void
area_forget_locked(uintptr_t start, uintptr_t end, bool unregister)
{
    unsigned i = general_index(start);

    while (i < ngeneral && general[i]->map.base < end) {
        struct area *a = general[i];

        if (a->map.base < start) {
            if (general_split(i, area_page(a, start)) < 0)
                return;
            i++;
            continue;
        }
        if (area_end(a) > end && general_split(i, area_page(a, end)) < 0)
            return;
        if (unregister)
            uffd_unregister(uffd_fd(false), a->map.base, (size_t)a->map.npages << ZPAGE_SHIFT);
        general_remove(i);
    }
}

void
area_moved(uintptr_t from, uintptr_t to, size_t len)
{
    unsigned i = general_index(from);

    area_forget_locked(to, to + len, false);
    i = general_index(from);
    if (i < ngeneral && general[i]->map.base < from && general_split(i, area_page(general[i], from)) < 0)
        return;
    for (;;) {
        struct area *a, *n, tmp;
        uintptr_t base;

        i = general_index(from);
        if (i >= ngeneral || general[i]->map.base >= from + len)
            return;
        a = general[i];
        if (area_end(a) > from + len && general_split(i, area_page(a, from + len)) < 0)
            return;
        base = a->map.base - from + to;
        n = meta_alloc(sizeof(*n));
        if (!n)
            return;
        *n = *a;
        segmap_init(&n->map, base, a->map.npages, SEG_PRESENT);
        tmp.map = a->map;
        tmp.map.base = base;
        if (absorb(n, &tmp) < 0)
            zio_log(0, "out of memory while %zu bytes moved to %p", len, (void *)to);
        general_remove(i);
        general_insert(n);
    }
}

struct area *
area_next(uintptr_t *at, uintptr_t end)
{
    while (*at < end) {
        if (vm_contains(&arena_vm, *at)) {
            struct area *a = area_at(*at);

            if (a) {
                *at = area_end(a);
                return a;
            }
            *at = arena_vm.base + arena_vm.size; // beyond the last slot
        } else {
            unsigned i = general_index(*at);
            uintptr_t stop = *at < arena_vm.base ? min_of(end, arena_vm.base) : end;

            if (i < ngeneral && general[i]->map.base < stop) {
                *at = area_end(general[i]);
                return general[i];
            }
            *at = stop;
        }
    }
    return NULL;
}

void
area_blank_locked(uintptr_t start, uintptr_t end, bool present_too)
{
    uintptr_t at = start;
    struct area *a;

    while ((a = area_next(&at, end))) {
        uint32_t p0 = area_page(a, max_of(start, a->map.base)), p1 = area_page(a, min_of(end, area_end(a)));

        if (!a->tracked) {
            a->fresh = false;
            continue;
        }
        for (uint32_t i = segmap_find(&a->map, p0), stop; p0 < p1; p0 = stop, i = segmap_find(&a->map, p0)) {
            stop = min_of(p1, segmap_end(&a->map, i));
            if (present_too || a->map.v[i].kind != SEG_PRESENT)
                segmap_set(&a->map, p0, stop, SEG_ZERO, NULL, 0);
            if (stop == a->map.npages)
                break;
        }
    }
}

void
area_blank_range(uintptr_t start, uintptr_t end, bool present_too)
{
    struct zio_guard g;

    zio_lock(&g);
    area_blank_locked(start, end, present_too);
    zio_unlock(&g);
}

void
area_undef_range(uintptr_t start, uintptr_t end)
{
    struct zio_guard g;
    uintptr_t at = start;
    struct area *a;

    zio_lock(&g);
    while ((a = area_next(&at, end))) {
        uint32_t p = area_page(a, max_of(start, a->map.base)), p1 = area_page(a, min_of(end, area_end(a)));

        while (a->tracked && a->map.absent && p < p1) {
            uint32_t i = segmap_find(&a->map, p), stop = min_of(p1, segmap_end(&a->map, i));

            if (a->map.v[i].kind == SEG_DATA)
                segmap_set(&a->map, p, stop, SEG_UNDEF, NULL, 0);
            p = stop;
        }
    }
    zio_unlock(&g);
}

bool
area_general_meets(uintptr_t start, uintptr_t end)
{
    struct zio_guard g;
    unsigned i;
    bool r;

    if (ngeneral == 0)
        return false;
    zio_lock(&g);
    i = general_index(start);
    r = i < ngeneral && general[i]->map.base < end;
    zio_unlock(&g);
    return r;
}

bool
area_hint_general(uintptr_t addr)
{
    struct zio_guard g;
    unsigned i;
    bool r;

    zio_lock(&g);
    i = general_index(addr);
    r = i < ngeneral && general[i]->map.base < addr + ((uintptr_t)1 << 32);
    zio_unlock(&g);
    return r;
}

void
area_forget_range(uintptr_t start, uintptr_t end, bool unregister)
{
    struct zio_guard g;

    zio_lock(&g);
    area_forget_locked(zpage_down(start), zpage_up(end), unregister);
    zio_unlock(&g);
}

void
area_restore_range(uintptr_t start, uintptr_t end, bool retire)
{
    struct zio_guard g;
    struct area *a;
    uintptr_t at;
    int r;

    start = zpage_down(start);
    end = zpage_up(end);
again:
    r = 0;
    zio_lock(&g);
    at = start;
    while (r == 0 && (a = area_next(&at, end))) {
        uint32_t p0 = area_page(a, max_of(start, a->map.base)), p1 = area_page(a, min_of(end, area_end(a)));

        if (a->tracked) {
            zio_count(materialised_bytes, (size_t)min_of(a->map.absent, p1 - p0) << ZPAGE_SHIFT);
            r = area_resolve(a, p0, p1);
        }
        if (retire && a->arena) {
            a->noelide = true;
            if (a->tracked && !a->map.absent)
                area_untrack(a);
        }
    }
    if (r == 0 && retire)
        area_forget_locked(start, end, true);
    zio_unlock(&g);
    if (r == -EAGAIN) {
        zsys0(SYS_sched_yield);
        goto again;
    }
    if (r < 0)
        zio_log(0, "could not put %zu bytes back at %p: error %d", (size_t)(end - start), (void *)start, -r);
}

void
area_restore_all(void)
{
    area_restore_range(0, (uintptr_t)1 << 56, false);
}

void
area_release_all(void)
{
    struct zio_guard g;
    uintptr_t at = 0;
    struct area *a;

    zio_lock(&g);
    while ((a = area_next(&at, (uintptr_t)1 << 56)))
        if (a->arena)
            area_untrack(a);
    area_forget_locked(0, (uintptr_t)1 << 56, true);
    zio_unlock(&g);
}

size_t
area_absent_bytes(void)
{
    uintptr_t at = 0;
    struct area *a;
    size_t sum = 0;

    while ((a = area_next(&at, (uintptr_t)1 << 56)))
        sum += a->tracked ? (size_t)a->map.absent << ZPAGE_SHIFT : 0;
    return sum;
}

void
area_abandon(void)
{
    uintptr_t at = 0;
    struct area *a;

    while ((a = area_next(&at, (uintptr_t)1 << 56))) {
        segmap_fini(&a->map);
        a->tracked = false;
        a->fresh = false;
    }
    while (ngeneral)
        general_remove(ngeneral - 1);
}

#define COLLECT_MIN 8192u // pages: 32 MiB of waste are not worth a walk

enum collect_step { MARK, SWEEP, UNMARK };

// False when there was no memory for the marks.
static bool
collect(enum collect_step step)
{
    uintptr_t at = 0;
    struct area *a;

    while ((a = area_next(&at, (uintptr_t)1 << 56))) {
        for (uint32_t i = 0; a->tracked && i < a->map.n; i++) {
            struct seg *g = &a->map.v[i];
            uint64_t len = (uint64_t)(segmap_end(&a->map, i) - g->page) << ZPAGE_SHIFT;

            if (g->kind != SEG_DATA || (step != MARK && !g->blk->mark))
                continue;
            if (step == SWEEP)
                block_sweep(g->blk);
            else if (step == UNMARK)
                block_unmark(g->blk);
            else if ((g->blk->mark || block_wasteful(g->blk)) &&
                     !block_mark(g->blk, g->off >> ZPAGE_SHIFT, (g->off + len - 1) >> ZPAGE_SHIFT))
                return false;
        }
    }
    return true;
}

void
area_collect_if_due(void)
{
    static uint64_t due = COLLECT_MIN;

    if (likely(block_waste_pages() < due))
        return;
    // A block that is marked in part must not be swept.
    collect(collect(MARK) ? SWEEP : UNMARK);
    due = max_of((uint64_t)COLLECT_MIN, block_waste_pages() * 2);
}
