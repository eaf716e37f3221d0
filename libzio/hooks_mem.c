// SPDX-License-Identifier: Apache-2.0
// The calls that change mappings. Absent memory that they meet is dropped, put back or left, as the call
// asks; then the call itself goes to the C library. What programs do without these hooks (inline system
// calls, the C library inside itself) reaches the fault helper as userfaultfd events.
#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/mman.h>

#include "libzio/area.h"
#include "libzio/hooks_mem.h"
#include "libzio/real.h"
#include "libzio/route_map.h"
#include "libzio/route_priv.h"
#include "libzio/vmquery.h"
#include "libzio/zio.h"

#ifndef MADV_FREE
#define MADV_FREE 8
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif

static bool
watched(const void *addr, size_t len)
{
    return zio_on() && len && (uintptr_t)addr + len > (uintptr_t)addr &&
           (area_maybe_absent((uintptr_t)addr) || area_maybe_absent((uintptr_t)addr + len - 1));
}
#define START(addr) zpage_down(addr)
#define END(addr, len) zpage_up((uintptr_t)(addr) + (len))

void
hook_munmap(void *addr, size_t len)
{
    if (!watched(addr, len) || ((uintptr_t)addr & ZPAGE_MASK))
        return;
    if (vm_contains(&arena_vm, (uintptr_t)addr) || vm_contains(&arena_vm, (uintptr_t)addr + len - 1))
        area_pin_range(START(addr), END(addr, len)); // a malloc block of ours: hands off until it is freed
    else
        area_forget_range(START(addr), END(addr, len), true);
}

void
hook_mprotect(void *addr, size_t len)
{
    if (watched(addr, len))
        area_pin_range(START(addr), END(addr, len));
}

void
hook_mremap(void *old, size_t oldlen, size_t newlen, int flags, void *to)
{
    if (watched(old, oldlen))
        area_pin_range(START(old), END(old, oldlen));
    if ((flags & MREMAP_FIXED) && watched(to, newlen))
        area_forget_range(START(to), END(to, newlen), true);
}

void
hook_madvise(void *addr, size_t len, int advice)
{
    if (!watched(addr, len) || ((uintptr_t)addr & ZPAGE_MASK)) // unaligned: the kernel will refuse
        return;
    switch (advice) {
    case MADV_DONTNEED:
    case MADV_DONTNEED_LOCKED:
    case MADV_FREE: // the pages may be zero at any time from now on, so the absent ones are at once
        area_blank_range(START(addr), END(addr, len), false);
        break;
    case MADV_DONTFORK:
    case MADV_WIPEONFORK:
    case MADV_HWPOISON:
    case MADV_MERGEABLE:
        area_pin_range(START(addr), END(addr, len));
        break;
    default:
        break;
    }
}

// The kernel may give away addresses whose unmap or remap event (of a system call that no hook saw) the
// helper has not read yet. What is known there is about to be forgotten: it must not be the new owner's.
static void *
settle(void *p, size_t len)
{
    if (p == MAP_FAILED || zio_state_now != ZIO_STATE_ACTIVE)
        return p;
    for (int i = 0; i < 100000 && area_general_meets((uintptr_t)p, END(p, len)); i++)
        sched_yield();
    return p;
}

void *
hook_reserve(void *addr, size_t len, int flags)
{
    return settle(real.mmap(addr, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0),
                  len);
}

ZIO_EXPORT int
munmap(void *addr, size_t len)
{
    int r;

    if (unlikely(!zio_real_ready))
        zio_real_init();
    if (rmap_meets(addr, len) && !((uintptr_t)addr & ZPAGE_MASK))
        route_map_forget(START(addr), END(addr, len));
    hook_munmap(addr, len);
    r = real.munmap(addr, len);
    route_memory_changed();
    return r;
}

int __munmap(void *addr, size_t len);
ZIO_EXPORT int
__munmap(void *addr, size_t len)
{
    return munmap(addr, len);
}

ZIO_EXPORT void *
mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
    if (unlikely(!zio_real_ready))
        zio_real_init();
    // Put back, not forgotten: the call may fail, and then the old mapping stays.
    if ((flags & MAP_FIXED) && (flags & MAP_FIXED_NOREPLACE) != MAP_FIXED_NOREPLACE && watched(addr, len))
        area_pin_range(START(addr), END(addr, len));
    if (!(flags & MAP_ANONYMOUS) && !route_idle() && route_fd(fd)) {
        addr = route_mmap(addr, len, prot, flags, fd, off);
        route_memory_changed();
        return addr;
    }
    if ((flags & MAP_FIXED) && (flags & MAP_FIXED_NOREPLACE) != MAP_FIXED_NOREPLACE && rmap_meets(addr, len))
        route_map_forget(START(addr), END(addr, len));
    addr = real.mmap(addr, len, prot, flags, fd, off);
    // Where something was that the C library has unmapped inside itself, what is there now may be less.
    if (flags & MAP_FIXED || (prot & (PROT_READ | PROT_WRITE)) != (PROT_READ | PROT_WRITE))
        route_memory_changed();
    return flags & MAP_FIXED ? addr : settle(addr, len);
}

ZIO_EXPORT void *
mmap64(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
    return mmap(addr, len, prot, flags, fd, off);
}

void *__mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off);
ZIO_EXPORT void *
__mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
    return mmap(addr, len, prot, flags, fd, off);
}

// Watching a part of a mapping cuts it, and the pieces may not join again; mremap moves one mapping only. A
// move that would have worked without us is done by hand then.
static void *
move_pieces(void *old, size_t oldlen, size_t newlen, int flags, void *to)
{
    void *p = real.mmap(flags & MREMAP_FIXED ? to : NULL, newlen, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | (flags & MREMAP_FIXED ? MAP_FIXED : 0), -1, 0);

    if (p == MAP_FAILED)
        return p;
    real.memcpy(p, old, min_of(oldlen, newlen));
    real.munmap(old, oldlen);
    return p;
}

static bool
in_pieces(void *old, size_t oldlen, size_t newlen, int flags)
{
    struct zio_guard g;
    bool yes;

    if (!zio_on() || !(flags & MREMAP_MAYMOVE) || (flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED)) || oldlen == 0 ||
        ((uintptr_t)old & ZPAGE_MASK) || zio_state_now != ZIO_STATE_ACTIVE)
        return false;
    if (newlen <= oldlen && !(flags & MREMAP_FIXED))
        return false; // shrinks in place
    zio_lock(&g);
    yes = vmquery_pieces((uintptr_t)old, END(old, oldlen)) > 1;
    zio_unlock(&g);
    return yes;
}

ZIO_EXPORT void *
mremap(void *old, size_t oldlen, size_t newlen, int flags, ...)
{
    void *to = NULL;

    if (flags & MREMAP_FIXED) {
        va_list ap;

        va_start(ap, flags);
        to = va_arg(ap, void *);
        va_end(ap);
    }
    if (unlikely(!zio_real_ready))
        zio_real_init();
    hook_mremap(old, oldlen, newlen, flags, to);
    if (rmap_meets(old, oldlen ? oldlen : 1)) {
        bool ours;
        void *p = route_mremap(old, oldlen, newlen, flags, to, &ours);

        if (ours) {
            route_memory_changed();
            return p;
        }
    }
    if ((flags & MREMAP_FIXED) && rmap_meets(to, newlen))
        route_map_forget(START(to), END(to, newlen));
    to = in_pieces(old, oldlen, newlen, flags) ? move_pieces(old, oldlen, newlen, flags, to)
                                               : real_mremap(old, oldlen, newlen, flags, to);
    route_memory_changed();
    return to;
}

// With a key, pkey_mprotect; -1: mprotect.
static int
protect(void *addr, size_t len, int prot, int key)
{
    bool routed = rmap_meets(addr, len) && !((uintptr_t)addr & ZPAGE_MASK);
    int r = routed ? route_map_protect(START(addr), END(addr, len), prot) : 0;

    if (r < 0) {
        errno = -r;
        return -1;
    }
    r = key < 0 ? real.mprotect(addr, len, prot) : real.pkey_mprotect(addr, len, prot, key);
    route_memory_changed();
    if (routed && r == 0)
        route_map_protected(START(addr), END(addr, len), prot);
    return r;
}

ZIO_EXPORT int
mprotect(void *addr, size_t len, int prot)
{
    if (unlikely(!zio_real_ready))
        zio_real_init();
    hook_mprotect(addr, len);
    return protect(addr, len, prot, -1);
}

int __mprotect(void *addr, size_t len, int prot);
ZIO_EXPORT int
__mprotect(void *addr, size_t len, int prot)
{
    return mprotect(addr, len, prot);
}

ZIO_EXPORT int
pkey_mprotect(void *addr, size_t len, int prot, int key)
{
    int r;

    hook_mprotect(addr, len);
    if (key >= 0)
        return protect(addr, len, prot, key);
    r = real.pkey_mprotect(addr, len, prot, key);
    route_memory_changed();
    return r;
}

static int
advise_routed(void *addr, size_t len, int advice)
{
    bool done;
    int r = route_madvise(START(addr), END(addr, len), advice, &done);

    if (r < 0) {
        errno = -r;
        return -1;
    }
    r = done ? 0 : real.madvise(addr, len, advice);
    if (r == 0 && !done)
        route_map_advised(START(addr), END(addr, len), advice);
    return r;
}

ZIO_EXPORT int
madvise(void *addr, size_t len, int advice)
{
    int r;

    if (unlikely(!zio_real_ready))
        zio_real_init();
    hook_madvise(addr, len, advice);
    if (rmap_meets(addr, len) && !((uintptr_t)addr & ZPAGE_MASK))
        return advise_routed(addr, len, advice);
    r = real.madvise(addr, len, advice);
    if (r == 0 && advice == MADV_DONTNEED && watched(addr, len))
        area_blank_range(START(addr), END(addr, len), true);
    return r;
}

int __madvise(void *addr, size_t len, int advice);
ZIO_EXPORT int
__madvise(void *addr, size_t len, int advice)
{
    return madvise(addr, len, advice);
}

// Locked memory stays in memory: never absent again.
ZIO_EXPORT int
mlock(const void *addr, size_t len)
{
    hook_mprotect((void *)addr, len);
    return real.mlock(addr, len);
}

ZIO_EXPORT int
mlock2(const void *addr, size_t len, unsigned flags)
{
    hook_mprotect((void *)addr, len);
    return real.mlock2(addr, len, flags);
}

ZIO_EXPORT int
mlockall(int flags)
{
    if (zio_on())
        zio_stop("the program locks all its memory");
    return real.mlockall(flags);
}

// A smaller break gives memory back: what was absent there is gone before the kernel takes it.
static void
break_moves(uintptr_t to)
{
    uintptr_t now = (uintptr_t)real.sbrk(0);

    if (to < now && zio_on() && atomic_load_explicit(&area_ngeneral, memory_order_relaxed))
        area_forget_range(zpage_up(to), zpage_up(now), true);
}

ZIO_EXPORT int
brk(void *to)
{
    int r;

    if (unlikely(!zio_real_ready))
        zio_real_init();
    break_moves((uintptr_t)to);
    r = real.brk(to);
    route_memory_changed();
    return r;
}

ZIO_EXPORT void *
sbrk(intptr_t by)
{
    void *old;

    if (unlikely(!zio_real_ready))
        zio_real_init();
    if (by < 0)
        break_moves((uintptr_t)real.sbrk(0) + (uintptr_t)by);
    old = real.sbrk(by);
    if (by < 0)
        route_memory_changed();
    return old;
}

// What was stored in a routed file's mapping belongs to the file; its sums and its times are the volume's.
ZIO_EXPORT int
msync(void *addr, size_t len, int flags)
{
    int r;

    if (unlikely(!zio_real_ready))
        zio_real_init();
    if (!rmap_meets(addr, len))
        return real.msync(addr, len, flags);
    // The kernel says whether the call is right; the volume puts the bytes on disk.
    r = real.msync(addr, len, flags & MS_SYNC && !(flags & MS_ASYNC) ? flags & ~MS_SYNC : flags);
    if (r == 0)
        r = route_msync(START(addr), END(addr, len), flags);
    if (r < -1) {
        errno = -r;
        r = -1;
    }
    return r;
}

// It would need the page numbers of the chunk.
ZIO_EXPORT int
remap_file_pages(void *addr, size_t len, int prot, size_t pgoff, int flags)
{
    if (unlikely(!zio_real_ready))
        zio_real_init();
    if (!rmap_meets(addr, len))
        return real.remap_file_pages(addr, len, prot, pgoff, flags);
    route_refused("remap_file_pages");
    errno = EINVAL;
    return -1;
}
