// SPDX-License-Identifier: Apache-2.0
// Our descriptors (a handful, high, close-on-exec) stay out of the program's way: closing everything does not
// close them, and a number that the program wants for itself is given up.
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/resource.h>
#include <unistd.h>

#include "libzio/real.h"
#include "libzio/route_priv.h"
#include "libzio/sys.h"

// The engine's own (a few, each in a variable of ours, so that they can move away), and those of libfsclient
// and of the file routing (any number; who has them keeps the numbers, so that they can't move).
#define OURS_MAX 8
static int *ours[OURS_MAX];
#define TOP 1024 // they lie below, as high as the soft limit allows: higher ones cost the kernel memory
static int nours;
#define FIXED_MAX (1u << 20)
static _Atomic uint64_t fixed[FIXED_MAX / 64];
static _Atomic unsigned fixed_top; // no number above was ever one

void
zio_fd_ours_add(int *fdp)
{
    if (nours < OURS_MAX)
        ours[nours++] = fdp;
}

void
zio_fd_ours_set(int fd, bool on)
{
    unsigned top = atomic_load_explicit(&fixed_top, memory_order_relaxed);

    if (fd < 0 || (unsigned)fd >= FIXED_MAX)
        return;
    while (on && (unsigned)fd > top && !atomic_compare_exchange_weak(&fixed_top, &top, (unsigned)fd))
        ;
    if (on)
        atomic_fetch_or(&fixed[fd / 64], 1ull << (fd % 64));
    else
        atomic_fetch_and(&fixed[fd / 64], ~(1ull << (fd % 64)));
}

static bool
is_fixed(int fd)
{
    return fd >= 0 && (unsigned)fd <= atomic_load_explicit(&fixed_top, memory_order_relaxed) &&
           (atomic_load_explicit(&fixed[fd / 64], memory_order_relaxed) >> (fd % 64) & 1);
}

bool
zio_fd_is_ours(int fd)
{
    for (int i = 0; i < nours; i++)
        if (fd >= 0 && *ours[i] == fd)
            return true;
    return is_fixed(fd);
}

// The lowest number of ours in [first, last], or -1.
static long
next_ours(unsigned first, unsigned last)
{
    unsigned top = atomic_load(&fixed_top);
    long best = -1;

    for (int i = 0; i < nours; i++)
        if (*ours[i] >= 0 && (unsigned)*ours[i] >= first && (unsigned)*ours[i] <= last &&
            (best < 0 || *ours[i] < best))
            best = *ours[i];
    for (unsigned fd = first; fd <= last && fd <= top && (best < 0 || fd < (unsigned)best); fd++) {
        if (fd % 64 == 0 && !fixed[fd / 64]) {
            fd += 63;
            continue;
        }
        if (is_fixed((int)fd))
            return fd;
    }
    return best;
}

int
zio_high_fd(int fd)
{
    struct rlimit r = {TOP, TOP};
    long n = -1, top, step;

    if (fd < 0)
        return fd;
    zsys4(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, &r);
    top = r.rlim_cur < TOP ? (long)r.rlim_cur : TOP;
    step = top / 16 + 1;
    for (long from = top - step; n < 0 && from > fd; from -= step)
        n = zsys3(SYS_fcntl, fd, F_DUPFD_CLOEXEC, from);
    if (n < 0)
        return fd; // no room above: it stays where it is
    zsys1(SYS_close, fd);
    return (int)n;
}

void
zio_fd_yield(int fd)
{
    for (int i = 0; i < nours; i++) {
        long n;

        if (fd < 0 || *ours[i] != fd)
            continue;
        n = zsys3(SYS_fcntl, fd, F_DUPFD_CLOEXEC, fd + 1);
        if (n < 0)
            n = zsys3(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 100);
        if (n >= 0)
            *ours[i] = (int)n; // the old number is the caller's to overwrite
    }
}

// ---- the program's calls ----

ZIO_EXPORT int
close(int fd)
{
    if (unlikely(!zio_real_ready))
        zio_real_init();
    if (unlikely(route_on)) {
        if (route_depth > 0) {
            zio_fd_ours_set(fd, false);
            return real.close(fd);
        }
        if (route_fd(fd))
            return route_close(fd);
    }
    if ((fd >= 100 || route_on) && zio_fd_is_ours(fd)) {
        errno = EBADF;
        return -1;
    }
    return real.close(fd);
}

int __close(int fd);
ZIO_EXPORT int
__close(int fd)
{
    return close(fd);
}

ZIO_EXPORT int
dup(int fd)
{
    if (likely(!route_on))
        return real.dup(fd);
    if (route_depth > 0)
        return route_made_fd(real.dup(fd));
    return route_dup(fd, real.dup(fd));
}

// May the program have this number? -1 and errno: it is one that libfsclient has, and can't be moved.
static int
make_way(int from, int to)
{
    if ((to < 100 && !route_on) || to == from || real.fcntl64(from, F_GETFD) < 0)
        return 0;
    if (is_fixed(to)) {
        route_refused("dup2 onto a descriptor of zIO's own");
        errno = EBUSY;
        return -1;
    }
    zio_fd_yield(to);
    return 0;
}

ZIO_EXPORT int
dup2(int from, int to)
{
    int fd;

    if (likely(!route_on) || route_depth > 0)
        return make_way(from, to) < 0 ? -1 : real.dup2(from, to);
    if (zio_fd_is_ours(from)) {
        errno = EBADF;
        return -1;
    }
    if (make_way(from, to) < 0)
        return -1;
    fd = real.dup2(from, to);
    return from == to ? fd : route_dup(from, fd);
}

int __dup2(int from, int to);
ZIO_EXPORT int
__dup2(int from, int to)
{
    return dup2(from, to);
}

ZIO_EXPORT int
dup3(int from, int to, int flags)
{
    if (make_way(from, to) < 0)
        return -1;
    if (likely(!route_on) || route_depth > 0)
        return real.dup3(from, to, flags);
    return route_dup(from, real.dup3(from, to, flags));
}

static void
close_routed(int fd, struct route_file *f, void *arg)
{
    (void)f, (void)arg;
    route_unlink(fd);
}

// The range, around ours: piece by piece, in ascending order.
ZIO_EXPORT int
close_range(unsigned first, unsigned last, int flags)
{
    if (first > last || (flags & ~(CLOSE_RANGE_CLOEXEC | CLOSE_RANGE_UNSHARE)) ||
        (flags & CLOSE_RANGE_CLOEXEC))
        return real.close_range(first, last, flags); // ours are close-on-exec anyway
    if (route_on)
        route_each_fd(first, last, close_routed, NULL);
    for (;;) {
        long gap = next_ours(first, last);

        if (gap < 0)
            return real.close_range(first, last, flags);
        if (gap > (long)first && real.close_range(first, (unsigned)gap - 1, flags) < 0)
            return -1;
        if ((unsigned)gap == last)
            return 0;
        first = (unsigned)gap + 1;
    }
}

ZIO_EXPORT void
closefrom(int from)
{
    if (close_range(from < 0 ? 0 : (unsigned)from, ~0u, 0) < 0)
        real.closefrom(from);
}
