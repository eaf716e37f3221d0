// SPDX-License-Identifier: Apache-2.0
// The pages of tracked areas: put back where the program wants them, taken out where it does not need them.
// Runs under the engine's lock, in the program's threads and in the fault helper: raw system calls only.
#include <errno.h>
#include <sys/mman.h>

#include "libzio/area.h"
#include "libzio/sys.h"
#include "libzio/uffd.h"
#include "libzio/uffd_compat.h"
#include "libzio/zio.h"

#define LOOK_PAGES 256
#define OWN_PAGE (1ull << 63 | 1ull << 56) // in /proc/self/pagemap: present, and mapped once
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

// Puts back pages [p0, p1) of one segment of data. Returns the pages done, or -errno.
static long
put_data(struct area *a, const struct seg *s, uint32_t p0, uint32_t p1)
{
    int fd = uffd_fd(a->arena);
    uint64_t off = seg_off(s, p0);
    uintptr_t dst = area_addr(a, p0), src = s->blk->base + off;
    size_t len = (size_t)(p1 - p0) << ZPAGE_SHIFT;
    struct block *b = s->blk;
    long r = -1;

    if ((zio_features & ZIO_F_MOVE) && (off & ZPAGE_MASK) == 0 && block_exclusive(b, dst - off)) {
        r = uffd_move(fd, dst, src, len);
        if (r > 0) {
            zio_count(fault_pages_moved, r >> ZPAGE_SHIFT);
            block_moved(b, (uint32_t)(r >> ZPAGE_SHIFT));
            return r >> ZPAGE_SHIFT;
        }
        if (r == -EAGAIN)
            return r;
    }
    r = uffd_copy(fd, dst, src, len);
    if ((r == -ENOENT || r == -EINVAL) && len > ZPAGE) // the range crosses mappings (madvise of a part of it)
        r = uffd_copy(fd, dst, src, ZPAGE);
    if (r == -EEXIST) { // somebody was faster, and may have been so without waking who waits
        uffd_wake(fd, dst, ZPAGE);
        return 1;
    }
    if (r > 0)
        zio_count(fault_pages_copied, r >> ZPAGE_SHIFT);
    return r > 0 ? r >> ZPAGE_SHIFT : r;
}

int
area_resolve(struct area *a, uint32_t p0, uint32_t p1)
{
    while (p0 < p1 && a->map.absent) {
        uint32_t i = segmap_find(&a->map, p0), end = min_of(p1, segmap_end(&a->map, i));
        long n;

        if (a->map.v[i].kind != SEG_DATA) {
            p0 = end;
            continue;
        }
        if (segmap_reserve(&a->map) < 0) // or the pages would be there and the map not know it
            return -ENOMEM;
        n = put_data(a, &a->map.v[i], p0, end);
        if (n < 0)
            return (int)n;
        segmap_set(&a->map, p0, p0 + (uint32_t)n, SEG_PRESENT, NULL, 0);
        p0 += (uint32_t)n;
    }
    return 0;
}

bool
area_fill(struct area *a, uint32_t page, uintptr_t from)
{
    // Room for the map's change is there, or the page would be present and the map not know it.
    if (segmap_reserve(&a->map) < 0 ||
        uffd_copy(uffd_fd(a->arena), area_addr(a, page), from, ZPAGE) != (long)ZPAGE)
        return false;
    segmap_set(&a->map, page, page + 1, SEG_PRESENT, NULL, 0);
    return true;
}

// Moves present pages [p0, p1) into the pool. Returns the block, with *pages the number that went, or NULL.
static struct block *
take(struct area *a, uint32_t p0, uint32_t p1, uint32_t *pages)
{
    size_t len = (size_t)(p1 - p0) << ZPAGE_SHIFT;
    struct block *b;
    long r;

    if (!(zio_features & ZIO_F_MOVE))
        return NULL;
    b = block_get(len, true);
    if (!b)
        return NULL;
    r = uffd_move(uffd_pool, b->base, area_addr(a, p0), len);
    a->shared = r == -EBUSY || (r > 0 && (size_t)r < len);
    if (r <= 0) {
        block_release(b);
        return NULL;
    }
    block_wrote(b, (size_t)r);
    *pages = (uint32_t)(r >> ZPAGE_SHIFT);
    zio_count(pages_stolen, *pages);
    return b;
}

struct block *
area_steal(struct area *a, uint32_t p0, uint32_t p1)
{
    uint32_t n;
    struct block *b = take(a, p0, p1, &n);

    if (!b)
        return NULL;
    if (segmap_set(&a->map, p0, p0 + n, SEG_DATA, b, 0) == 0)
        return b;
    // No memory for the map: put the pages straight back.
    uffd_move(uffd_fd(a->arena), area_addr(a, p0), b->base, (size_t)n << ZPAGE_SHIFT);
    block_moved(b, n);
    block_release(b);
    return NULL;
}

// After a fork the kernel takes every page for shared until somebody writes to it, also when the child is
// long gone, and moves none. A write fault on a page that nobody else maps copies nothing and makes it the
// process's own again; MADV_POPULATE_WRITE (Linux 5.14) asks for that without a store of ours, which could
// meet another thread's. Without the lock: were a page missing after all, the fault helper would have to put
// it in place.
bool
area_unshare(uintptr_t start, size_t len)
{
    uint64_t e[LOOK_PAGES];
    size_t pages = len >> ZPAGE_SHIFT;

    if (zio_cfg.features_off & ZIO_F_POPULATE)
        return false;
    for (size_t p = 0; p < pages; p += LOOK_PAGES) {
        size_t n = min_of(pages - p, (size_t)LOOK_PAGES);

        if (zsys4(SYS_pread64, pagemap_fd, e, n * 8, ((start >> ZPAGE_SHIFT) + p) * 8) != (long)n * 8)
            return false;
        for (size_t i = 0; i < n; i++)
            if ((e[i] & OWN_PAGE) != OWN_PAGE)
                return false; // a child has it, too: to take it apart would cost its memory
    }
    return zsys3(SYS_madvise, start, len, MADV_POPULATE_WRITE) == 0;
}

int
area_discard(struct area *a, uint32_t p0, uint32_t p1, enum seg_kind kind)
{
    uint32_t n;
    struct block *b = take(a, p0, p1, &n);

    if (!b)
        return -EOPNOTSUPP; // madvise would raise an event that waits for our lock
    if (segmap_set(&a->map, p0, p0 + n, kind, NULL, 0) < 0) {
        uffd_move(uffd_fd(a->arena), area_addr(a, p0), b->base, (size_t)n << ZPAGE_SHIFT);
        block_moved(b, n);
        block_release(b);
        return -ENOMEM;
    }
    block_release(b);
    return n == p1 - p0 ? 0 : -EBUSY;
}

static bool
transfer_native(struct area *from, struct area *to, uint32_t pages)
{
    size_t len = (size_t)pages << ZPAGE_SHIFT;

    if (!(zio_features & ZIO_F_MOVE) || uffd_arena < 0 || from->noelide || pages < 32 || !to->fresh)
        return false;
    if (area_track(to) < 0 || !segmap_all(&to->map, 0, pages, SEG_ZERO))
        return false;
    if (uffd_move(uffd_fd(true), to->map.base, from->map.base, len) != (long)len) {
        // Some pages may have gone: bring them back, so that the caller can copy.
        uffd_register(uffd_fd(true), from->map.base, len, UFFDIO_REGISTER_MODE_MISSING);
        uffd_move(uffd_fd(true), from->map.base, to->map.base, len);
        uffd_unregister(uffd_fd(true), from->map.base, len);
        area_untrack(to);
        to->fresh = false;
        return false;
    }
    area_untrack(to); // the holes in what was moved are the kernel's to fill
    to->fresh = false;
    return true;
}

bool
area_transfer(struct area *from, struct area *to, uint32_t pages)
{
    if (zio_state_now != ZIO_STATE_ACTIVE || pages > to->map.npages)
        return false;
    return !from->tracked && !from->fresh && transfer_native(from, to, pages);
}
