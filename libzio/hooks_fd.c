// SPDX-License-Identifier: Apache-2.0
// Our descriptors (a handful, high, close-on-exec) stay out of the program's way: closing everything does not
// close them, and a number that the program wants for itself is given up.
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/resource.h>
#include <unistd.h>

#include "libzio/real.h"
#include "libzio/sys.h"
#include "libzio/zio.h"

#define OURS_MAX 8
static int *ours[OURS_MAX];
static int nours;

void
zio_fd_ours_add(int *fdp)
{
    if (nours < OURS_MAX)
        ours[nours++] = fdp;
}

bool
zio_fd_is_ours(int fd)
{
    for (int i = 0; i < nours; i++)
        if (fd >= 0 && *ours[i] == fd)
            return true;
    return false;
}

int
zio_high_fd(int fd)
{
    struct rlimit r = {0, 0};
    long n, from = 900;

    if (fd < 0)
        return fd;
    zsys4(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, &r);
    if (r.rlim_cur < 1000)
        from = (long)r.rlim_cur * 3 / 4;
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

ZIO_EXPORT int
close(int fd)
{
    if (unlikely(!zio_real_ready))
        zio_real_init();
    if (fd >= 100 && zio_fd_is_ours(fd)) {
        errno = EBADF;
        return -1;
    }
    return real.close(fd);
}

ZIO_EXPORT int
dup2(int from, int to)
{
    if (to >= 100 && to != from && fcntl(from, F_GETFD) >= 0)
        zio_fd_yield(to);
    return real.dup2(from, to);
}

ZIO_EXPORT int
dup3(int from, int to, int flags)
{
    if (to >= 100 && to != from && fcntl(from, F_GETFD) >= 0)
        zio_fd_yield(to);
    return real.dup3(from, to, flags);
}

// The range, around ours: piece by piece, in ascending order.
ZIO_EXPORT int
close_range(unsigned first, unsigned last, int flags)
{
    if (first > last || (flags & ~(CLOSE_RANGE_CLOEXEC | CLOSE_RANGE_UNSHARE)) ||
        (flags & CLOSE_RANGE_CLOEXEC))
        return real.close_range(first, last, flags); // ours are close-on-exec anyway
    for (;;) {
        unsigned gap = last;
        bool found = false;

        for (int i = 0; i < nours; i++)
            if (*ours[i] >= 0 && (unsigned)*ours[i] >= first && (unsigned)*ours[i] <= gap) {
                gap = (unsigned)*ours[i];
                found = true;
            }
        if (!found)
            return real.close_range(first, last, flags);
        if (gap > first && real.close_range(first, gap - 1, flags) < 0)
            return -1;
        if (gap == last)
            return 0;
        first = gap + 1;
    }
}

ZIO_EXPORT void
closefrom(int from)
{
    if (close_range(from < 0 ? 0 : (unsigned)from, ~0u, 0) < 0)
        real.closefrom(from);
}
