// SPDX-License-Identifier: Apache-2.0
// See uffd.h.
#include "libzio/uffd.h"

#include <errno.h>
#include <fcntl.h>

#include "libzio/helper.h"
#include "libzio/sys.h"
#include "libzio/uffd_compat.h"
#include "libzio/zio.h"

int uffd_pool = -1, uffd_arena = -1, uffd_general = -1, pagemap_fd = -1;

static int helper_fds[2] = {-1, -1};

int
uffd_fd(bool arena)
{
    if (helper_is_me())
        return helper_fds[!arena];
    return arena ? uffd_arena : uffd_general;
}

void
uffd_helper_fds(int arena, int general)
{
    helper_fds[0] = arena;
    helper_fds[1] = general;
}

#define EVENTS (UFFD_FEATURE_EVENT_UNMAP | UFFD_FEATURE_EVENT_REMAP | UFFD_FEATURE_EVENT_REMOVE)
#define FORK UFFD_FEATURE_EVENT_FORK // wants CAP_SYS_PTRACE

static long
open_raw(void)
{
    long dev, fd;

    dev = zsys4(SYS_openat, AT_FDCWD, "/dev/userfaultfd", O_RDWR | O_CLOEXEC, 0);
    if (dev >= 0) {
        fd = zsys3(SYS_ioctl, dev, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);
        zsys1(SYS_close, dev);
        if (fd >= 0)
            return fd;
    }
    return zsys1(SYS_userfaultfd,
                 O_CLOEXEC | O_NONBLOCK); // without USER_MODE_ONLY: needs privilege or the sysctl
}

// What the kernel has, less what is switched off. The handshake spends its descriptor.
static int
ask_features(uint64_t *features)
{
    struct uffdio_api api = {.api = UFFD_API};
    long fd = open_raw(), r;

    if (fd < 0)
        return (int)fd;
    r = zsys3(SYS_ioctl, fd, UFFDIO_API, &api);
    zsys1(SYS_close, fd);
    *features = api.features;
    if (zio_cfg.features_off & ZIO_F_MOVE)
        *features &= ~(uint64_t)UFFD_FEATURE_MOVE;
    if (zio_cfg.features_off & ZIO_F_WP)
        *features &= ~(uint64_t)(UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_MOVE);
    if (zio_cfg.features_off & ZIO_F_EVENTS)
        *features &= ~(uint64_t)(EVENTS | FORK);
    return (int)r;
}

// One descriptor with the features; without fork events where they are not allowed (a child made by a raw
// system call is on its own then, libzio(7)).
static int
open_with(uint64_t features)
{
    for (;; features &= ~(uint64_t)FORK) {
        struct uffdio_api api = {.api = UFFD_API, .features = features};
        long fd = open_raw(), r;

        if (fd < 0)
            return (int)fd;
        r = zsys3(SYS_ioctl, fd, UFFDIO_API, &api);
        if (r == 0)
            return zio_high_fd((int)fd);
        zsys1(SYS_close, fd);
        if (!(features & FORK))
            return (int)r;
    }
}

int
uffd_probe(void)
{
    long fd;

    if (zio_cfg.features_off & ZIO_F_KERNELFAULTS)
        return -EPERM;
    fd = open_raw();
    if (fd >= 0)
        zsys1(SYS_close, fd);
    return fd < 0 ? (int)fd : 0;
}

int
uffd_open_all(void)
{
    uint64_t has = 0, base;
    long p;
    int r;

    if (zio_cfg.features_off & ZIO_F_UFFD)
        return -ENOSYS;
    if (zio_cfg.features_off & ZIO_F_KERNELFAULTS)
        return -EPERM;
    r = ask_features(&has);
    if (r < 0)
        return r;
    base = UFFD_FEATURE_THREAD_ID | (has & (UFFD_FEATURE_MOVE | FORK));
    zio_features = ZIO_F_UFFD | ZIO_F_KERNELFAULTS | (has & UFFD_FEATURE_PAGEFAULT_FLAG_WP ? ZIO_F_WP : 0) |
                   (has & UFFD_FEATURE_MOVE ? ZIO_F_MOVE : 0) | ((has & EVENTS) == EVENTS ? ZIO_F_EVENTS : 0);
    uffd_arena = open_with(base | (has & UFFD_FEATURE_EVENT_REMOVE));
    if (uffd_arena < 0)
        return uffd_arena;
    if (has & UFFD_FEATURE_MOVE)
        uffd_pool = open_with(UFFD_FEATURE_MOVE);
    if (zio_features & ZIO_F_EVENTS)
        uffd_general = open_with(base | EVENTS);
    p = zsys4(SYS_openat, AT_FDCWD, "/proc/self/pagemap", O_RDONLY | O_CLOEXEC, 0);
    pagemap_fd = p < 0 ? -1 : zio_high_fd((int)p);
    return 0;
}

void
uffd_close_all(void)
{
    int *fds[] = {&uffd_pool, &uffd_arena, &uffd_general, &pagemap_fd};

    for (int i = 0; i < 4; i++) {
        if (*fds[i] >= 0)
            zsys1(SYS_close, *fds[i]);
        *fds[i] = -1;
    }
}

int
uffd_register(int fd, uintptr_t start, size_t len, uint64_t mode)
{
    struct uffdio_register r = {.range = {start, len}, .mode = mode};

    return (int)zsys3(SYS_ioctl, fd, UFFDIO_REGISTER, &r);
}

int
uffd_unregister(int fd, uintptr_t start, size_t len)
{
    struct uffdio_range r = {start, len};

    return (int)zsys3(SYS_ioctl, fd, UFFDIO_UNREGISTER, &r);
}

long
uffd_move(int fd, uintptr_t dst, uintptr_t src, size_t len)
{
    struct uffdio_move m = {.dst = dst, .src = src, .len = len, .mode = UFFDIO_MOVE_MODE_ALLOW_SRC_HOLES};
    long r = zsys3(SYS_ioctl, fd, UFFDIO_MOVE, &m);

    return r == 0 ? (long)len : m.move > 0 ? (long)m.move : r;
}

long
uffd_copy(int fd, uintptr_t dst, uintptr_t src, size_t len)
{
    struct uffdio_copy c = {.dst = dst, .src = src, .len = len};
    long r = zsys3(SYS_ioctl, fd, UFFDIO_COPY, &c);

    return r == 0 ? (long)len : c.copy > 0 ? (long)c.copy : r;
}

long
uffd_zero(int fd, uintptr_t dst, size_t len)
{
    struct uffdio_zeropage z = {.range = {dst, len}};
    long r = zsys3(SYS_ioctl, fd, UFFDIO_ZEROPAGE, &z);

    return r == 0 ? (long)len : z.zeropage > 0 ? (long)z.zeropage : r;
}

bool
uffd_changing(int fd)
{
    struct uffdio_copy c = {.dst = 1, .src = 0, .len = 1}; // refused in any case, but first for this reason

    return zsys3(SYS_ioctl, fd, UFFDIO_COPY, &c) == -EAGAIN;
}

void
uffd_wake(int fd, uintptr_t start, size_t len)
{
    struct uffdio_range r = {start, len};

    zsys3(SYS_ioctl, fd, UFFDIO_WAKE, &r);
}
