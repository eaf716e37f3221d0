// SPDX-License-Identifier: Apache-2.0
// See area.h. What is absent at a fork, in the child and for it.
#include <errno.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "libzio/area.h"
#include "libzio/sys.h"
#include "libzio/uffd.h"
#include "libzio/uffd_compat.h"
#include "libzio/zio.h"
#include "libzio/zmem.h"

// The memory may be gone: the kernel writes, and says EFAULT where a store would be the end. -errno or bytes.
static long
write_memory(uintptr_t to, uintptr_t from, size_t len)
{
    struct iovec src = {(void *)from, len}, dst = {(void *)to, len};

    return zsys6(SYS_process_vm_writev, zsys0(SYS_getpid), (long)&src, 1, (long)&dst, 1, 0);
}

// Where the child's pages cannot be absent, they are plain missing pages: a write fills them.
static void
fill_by_hand(struct area *a)
{
    for (uint32_t s = 0; s < a->map.n; s++) {
        struct seg *g = &a->map.v[s];
        uintptr_t to = area_addr(a, g->page), end = area_addr(a, segmap_end(&a->map, s));
        uintptr_t from = g->kind == SEG_DATA ? g->blk->base + g->off : 0;

        while (from && to < end) {
            long n = write_memory(to, from, end - to);

            if (n == -ENOSYS || n == -EPERM) { // no such call here, or a sandbox forbids it
                zmem_copy((void *)to, (void *)from, end - to);
                break;
            }
            n = n > 0 ? n : (long)ZPAGE; // a hole
            to += (uintptr_t)n;
            from += (uintptr_t)n;
        }
    }
    segmap_fini(&a->map);
    a->tracked = false;
    a->fresh = false;
}

// Whether memory is mapped all over the range.
static bool
mapped(uintptr_t start, size_t len)
{
    return zsys3(SYS_msync, start, len, MS_ASYNC) == 0;
}

// The parent's helper closes the descriptor that the child's memory was born with in a moment: EBUSY until
// then.
static int
register_again(int fd, uintptr_t start, size_t len, uint64_t mode)
{
    int r;

    for (int i = 0; (r = uffd_register(fd, start, len, mode)) == -EBUSY && i < 100000; i++)
        zsys0(SYS_sched_yield);
    return r;
}

void
area_after_fork(void)
{
    uintptr_t at = 0;
    struct area *a;
    size_t psize;
    uintptr_t pbase = block_pool_base(&psize);

    if (zio_features & ZIO_F_MOVE && register_again(uffd_pool, pbase, psize, UFFDIO_REGISTER_MODE_WP) < 0)
        zio_features &= ~(unsigned)ZIO_F_MOVE;
    while ((a = area_next(&at, (uintptr_t)1 << 56))) {
        size_t len = (size_t)a->map.npages << ZPAGE_SHIFT;

        if (!a->tracked)
            continue;
        // Not all of a general area need be there: unmapped by a system call whose event was still on its way
        // at the fork, or left out of it (MADV_DONTFORK). Something else may be mapped in its place tomorrow.
        if (register_again(uffd_fd(a->arena), a->map.base, len, UFFDIO_REGISTER_MODE_MISSING) == 0) {
            if (a->arena || mapped(a->map.base, len))
                continue;
            uffd_unregister(uffd_fd(false), a->map.base, len);
        }
        fill_by_hand(a);
        if (!a->arena)
            area_forget_locked(a->map.base, area_end(a), false);
    }
}

void
area_fill_child(int fd, bool arena)
{
    uintptr_t at = 0;
    struct area *a;

    while ((a = area_next(&at, (uintptr_t)1 << 56))) {
        for (uint32_t i = 0; a->arena == arena && a->tracked && i < a->map.n; i++) {
            struct seg *g = &a->map.v[i];

            for (uint32_t p = g->page, end = segmap_end(&a->map, i); g->kind == SEG_DATA && p < end;) {
                long r = uffd_copy(fd, area_addr(a, p), g->blk->base + seg_off(g, p),
                                   (size_t)(end - p) << ZPAGE_SHIFT);

                if (r <= 0) // mappings that were cut: a page at a time
                    r = uffd_copy(fd, area_addr(a, p), g->blk->base + seg_off(g, p), ZPAGE);
                p += r > 0 ? (uint32_t)(r >> ZPAGE_SHIFT) : 1;
            }
        }
    }
}

void
area_look_again(uintptr_t addr)
{
    struct area *a = area_at(addr);
    uint64_t e = 0;

    if (a && a->tracked && zsys4(SYS_pread64, pagemap_fd, &e, 8, (addr >> ZPAGE_SHIFT) * 8) == 8 && e >> 62)
        segmap_set(&a->map, area_page(a, addr), area_page(a, addr) + 1, SEG_PRESENT, NULL, 0);
}
