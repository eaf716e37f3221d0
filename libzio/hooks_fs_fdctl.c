// SPDX-License-Identifier: Apache-2.0
// fcntl(2) and ioctl(2).
#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libzio/real.h"
#include "libzio/route_priv.h"
#include "libzio/sys.h"

#define MAY_SET (O_APPEND | O_ASYNC | O_DIRECT | O_NOATIME | O_NONBLOCK)

// ---- fcntl ----

static int
set_flags(struct route_file *f, long arg)
{
    struct fsc_file *file = route_file_fsc(f);
    int flags = atomic_load(&f->rec->flags), err;
    struct route_guard g;
    struct stat st;

    if (!file)
        return route_file_error(f);
    route_enter(&g);
    err = fsc.fstat(file, &st);
    if (!err && arg & O_NOATIME & ~flags && geteuid() != 0 && geteuid() != st.st_uid)
        err = -EPERM;
    if (!err)
        err = fsc.file_set_flags(file, (int)arg & MAY_SET);
    route_leave(&g);
    while (!err &&
           !atomic_compare_exchange_weak(&f->rec->flags, &flags, (flags & ~MAY_SET) | ((int)arg & MAY_SET)))
        ;
    return err;
}

// What the kernel would do for a regular file, where its token would do something else.
static long
routed_fcntl(struct route_file *f, int fd, int cmd, long arg)
{
    bool path = atomic_load(&f->rec->flags) & O_PATH;

    switch (cmd) {
    case F_GETFD:
    case F_SETFD:
        return real.fcntl64(fd, cmd, arg) < 0 ? -errno
                                              : real.fcntl64(fd, F_GETFD) & (cmd == F_GETFD ? ~0 : 0);
    case F_GETFL:
        return route_file_flags(f);
    default:
        if (path)
            return -EBADF;
        break;
    }
    switch (cmd) {
    case F_SETFL:
        return set_flags(f, arg);
    case F_GETLK:
    case F_SETLK:
    case F_SETLKW:
    case F_OFD_GETLK:
    case F_OFD_SETLK:
    case F_OFD_SETLKW:
        return route_lock(f, cmd, (struct flock *)arg);
    case F_GETLEASE: // none is ever held
        return F_UNLCK;
    case F_SETLEASE:
        if (arg != F_RDLCK && arg != F_WRLCK && arg != F_UNLCK)
            return -EINVAL;
        route_refused("fcntl(F_SETLEASE)");
        return -EAGAIN; // as where others have the file open
    case F_NOTIFY:
        if (!(arg & ~(long)DN_MULTISHOT & 0xffffffff)) // takes a notification away
            return 0;
        route_refused("fcntl(F_NOTIFY)");
        return -EINVAL; // as of a kernel without it
    case F_GETOWN:
    case F_SETOWN:
    case F_GETSIG:
    case F_SETSIG:
    case F_GETOWN_EX:
    case F_SETOWN_EX: {
        long r = real.fcntl64(fd, cmd, arg);

        return r < 0 ? -errno : r;
    }
    case F_SETPIPE_SZ:
    case F_GETPIPE_SZ:
        return -EBADF; // no pipe
    default:
        return -EINVAL; // seals, read-write hints and what is newer
    }
}

static void
put_file(void *f)
{
    route_file_put(f);
}

static int
any_fcntl(int fd, int cmd, long arg)
{
    struct route_file *f;
    long r;

    if (unlikely(!zio_real_ready))
        zio_real_init();
    if (likely(!route_on))
        return real.fcntl64(fd, cmd, arg);
    if (cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC) {
        r = real.fcntl64(fd, cmd, arg);
        return route_depth > 0 ? route_made_fd((int)r) : route_dup(fd, (int)r);
    }
    f = route_file_get(fd);
    if (likely(!f))
        return real.fcntl64(fd, cmd, arg);
    pthread_cleanup_push(put_file, f); // a thread that waits for a lock may be cancelled
    r = routed_fcntl(f, fd, cmd, arg);
    pthread_cleanup_pop(1);
    return (int)route_result(r);
}

#define FCNTL(name)                                                                                          \
    int name(int fd, int cmd, ...);                                                                          \
    ZIO_EXPORT int name(int fd, int cmd, ...)                                                                \
    {                                                                                                        \
        va_list ap;                                                                                          \
        long arg;                                                                                            \
        va_start(ap, cmd);                                                                                   \
        arg = va_arg(ap, long);                                                                              \
        va_end(ap);                                                                                          \
        return any_fcntl(fd, cmd, arg);                                                                      \
    }

FCNTL(fcntl)
FCNTL(fcntl64)
FCNTL(__fcntl)

// ---- ioctl ----

static int
bytes_left(struct route_file *f, int *out)
{
    struct fsc_file *file = route_file_fsc(f);
    struct route_guard g;
    struct stat st;
    int64_t pos;
    int err;

    if (!file)
        return route_file_error(f);
    pos = route_pos_begin(f, &g);
    err = fsc.fstat(file, &st);
    route_pos_end(f, &g, pos);
    if (err)
        return err;
    if (!S_ISREG(st.st_mode))
        return -ENOTTY;
    *out = (int)(st.st_size - pos);
    return 0;
}

static int
clone_into(struct route_file *to, const struct file_clone_range *c)
{
    struct route_file *from = route_file_get((int)c->src_fd);
    struct route_guard g;
    struct stat st;
    uint64_t n = c->src_length;
    int err = 0;

    if (!from) {
        if (real.fcntl64((int)c->src_fd, F_GETFD) < 0)
            return -EBADF;
        route_refused("a clone of a file outside of the volume");
        return -EXDEV;
    }
    if (!route_file_fsc(from) || !route_file_fsc(to))
        err = -EBADF;
    else if (from->vol != to->vol)
        err = -EXDEV;
    route_enter(&g);
    if (!err && n == 0) { // to the end
        err = fsc.fstat(route_file_fsc(from), &st);
        if (!err && c->src_offset > (uint64_t)st.st_size)
            err = -EINVAL;
        n = err ? 0 : (uint64_t)st.st_size - c->src_offset;
    }
    if (!err && n > 0)
        err = fsc.clone_range(route_file_fsc(from), c->src_offset, route_file_fsc(to), c->dest_offset, n);
    route_leave(&g);
    route_file_put(from);
    return err;
}

static long
routed_ioctl(struct route_file *f, int fd, unsigned long request, void *arg)
{
    struct file_clone_range all = {.src_fd = (long)arg};

    if (atomic_load(&f->rec->flags) & O_PATH)
        return -EBADF;
    switch (request) {
    case FIOCLEX:
    case FIONCLEX:
        return real.fcntl64(fd, F_SETFD, request == FIOCLEX ? FD_CLOEXEC : 0) < 0 ? -errno : 0;
    case FIONBIO:
        return set_flags(f, (atomic_load(&f->rec->flags) & ~O_NONBLOCK) | (*(int *)arg ? O_NONBLOCK : 0));
    case FIOASYNC:
        return *(int *)arg ? -ENOTTY : 0;
    case FIONREAD:
        return bytes_left(f, arg);
    case FICLONE:
        return clone_into(f, &all);
    case FICLONERANGE:
        return clone_into(f, arg);
    case FS_IOC_FIEMAP:
    case FIDEDUPERANGE:
    case FS_IOC_SETFLAGS:
    case FS_IOC_FSSETXATTR:
        route_refused("ioctl");
        return request == FS_IOC_SETFLAGS || request == FS_IOC_FSSETXATTR ? -ENOTTY : -EOPNOTSUPP;
    default:
        return -ENOTTY; // terminals and the like ask for that
    }
}

ZIO_EXPORT int
ioctl(int fd, unsigned long request, ...)
{
    struct route_file *f;
    va_list ap;
    void *arg;
    long r;

    va_start(ap, request);
    arg = va_arg(ap, void *);
    va_end(ap);
    if (unlikely(!zio_real_ready))
        zio_real_init();
    if (likely(!route_fd(fd)) || !(f = route_file_get(fd))) {
        struct file_clone_range *c = arg;

        if (unlikely(route_on) && ((request == FICLONE && route_fd((int)(long)arg)) ||
                                   (request == FICLONERANGE && c && route_fd((int)c->src_fd))))
            return (int)route_result(-EXDEV);
        return real.ioctl(fd, request, arg);
    }
    r = routed_ioctl(f, fd, request, arg);
    route_file_put(f);
    return (int)route_result(r);
}
