// SPDX-License-Identifier: Apache-2.0
// Calls that change attributes: modes, owners, times, and the size by path.
#include <errno.h>
#include <signal.h>
#include <sys/time.h>
#include <utime.h>

#include "libzio/hooks_fs.h"
#include "libzio/sys.h"

struct attr_args {
    mode_t mode;
    uid_t uid;
    gid_t gid;
    const struct timespec *times;
    off_t size;
    int flags;
    bool over; // by truncate: the size is beyond RLIMIT_FSIZE
};

// ---- mode ----

static long
chmod_in(struct route_target *t, void *arg)
{
    struct attr_args *a = arg;

    return fsc.chmod(t->vol->fs, &t->at, t->path, a->mode, fs_at_flags(t, a->flags));
}

static long
chmod_out(int dirfd, const char *path, void *arg)
{
    struct attr_args *a = arg;

    return FS_REAL(fchmodat)(dirfd, path, a->mode, a->flags);
}

ZIO_EXPORT int
fchmodat(int dirfd, const char *path, mode_t mode, int flags)
{
    struct attr_args a = {.mode = mode, .flags = flags};

    if (route_idle())
        return FS_REAL(fchmodat)(dirfd, path, mode, flags);
    return (int)fs_call(dirfd, path, fs_flags(flags), chmod_in, chmod_out, &a);
}

ZIO_EXPORT int
chmod(const char *path, mode_t mode)
{
    return fchmodat(AT_FDCWD, path, mode, 0);
}

ZIO_EXPORT int
lchmod(const char *path, mode_t mode)
{
    return fchmodat(AT_FDCWD, path, mode, AT_SYMLINK_NOFOLLOW);
}

// ---- owner ----

static long
chown_in(struct route_target *t, void *arg)
{
    struct attr_args *a = arg;

    return fsc.chown(t->vol->fs, &t->at, t->path, a->uid, a->gid, fs_at_flags(t, a->flags));
}

static long
chown_out(int dirfd, const char *path, void *arg)
{
    struct attr_args *a = arg;

    return FS_REAL(fchownat)(dirfd, path, a->uid, a->gid, a->flags);
}

ZIO_EXPORT int
fchownat(int dirfd, const char *path, uid_t uid, gid_t gid, int flags)
{
    struct attr_args a = {.uid = uid, .gid = gid, .flags = flags};

    if (route_idle())
        return FS_REAL(fchownat)(dirfd, path, uid, gid, flags);
    return (int)fs_call(dirfd, path, fs_flags(flags), chown_in, chown_out, &a);
}

ZIO_EXPORT int
chown(const char *path, uid_t uid, gid_t gid)
{
    return fchownat(AT_FDCWD, path, uid, gid, 0);
}

ZIO_EXPORT int
lchown(const char *path, uid_t uid, gid_t gid)
{
    return fchownat(AT_FDCWD, path, uid, gid, AT_SYMLINK_NOFOLLOW);
}

// ---- times ----

static long
utimens_in(struct route_target *t, void *arg)
{
    struct attr_args *a = arg;

    if (a->times && route_bad_address(a->times, 2 * sizeof *a->times))
        return -EFAULT;
    return fsc.utimens(t->vol->fs, &t->at, t->path, a->times, fs_at_flags(t, a->flags));
}

static long
utimens_out(int dirfd, const char *path, void *arg)
{
    struct attr_args *a = arg;

    return FS_REAL(utimensat)(dirfd, path, a->times, a->flags);
}

static int
utimens_at(int dirfd, const char *path, const struct timespec *times, int flags)
{
    struct attr_args a = {.times = times, .flags = flags};

    if (route_idle())
        return FS_REAL(utimensat)(dirfd, path, times, flags);
    return (int)fs_call(dirfd, path, fs_flags(flags), utimens_in, utimens_out, &a);
}

ZIO_EXPORT int
utimensat(int dirfd, const char *path, const struct timespec times[2], int flags)
{
    // The system call takes a NULL path for the descriptor itself; the C library's function does not.
    return utimens_at(dirfd, path, times, flags);
}

// struct timeval in, struct timespec out; NULL: no times (now). -EINVAL.
static int
from_timeval(const struct timeval *tv, struct timespec *buf, const struct timespec **out)
{
    *out = tv ? buf : NULL;
    for (int i = 0; tv && i < 2; i++) {
        if (tv[i].tv_usec < 0 || tv[i].tv_usec > 999999)
            return -EINVAL;
        buf[i] = (struct timespec){.tv_sec = tv[i].tv_sec, .tv_nsec = tv[i].tv_usec * 1000};
    }
    return 0;
}

static int
utimes_at(int dirfd, const char *path, const struct timeval *tv, int flags)
{
    struct timespec buf[2];
    const struct timespec *times;

    if (from_timeval(tv, buf, &times) < 0)
        return (int)fs_result(-EINVAL);
    return utimens_at(dirfd, path, times, flags);
}

ZIO_EXPORT int
utimes(const char *path, const struct timeval tv[2])
{
    return utimes_at(AT_FDCWD, path, tv, 0);
}

ZIO_EXPORT int
lutimes(const char *path, const struct timeval tv[2])
{
    return utimes_at(AT_FDCWD, path, tv, AT_SYMLINK_NOFOLLOW);
}

ZIO_EXPORT int
futimesat(int dirfd, const char *path, const struct timeval tv[2])
{
    __asm__("" : "+r"(path)); // NULL is the descriptor itself
    if (!path)
        return futimes(dirfd, tv);
    return utimes_at(dirfd, path, tv, 0);
}

ZIO_EXPORT int
utime(const char *path, const struct utimbuf *t)
{
    struct timespec buf[2];

    if (!t)
        return utimens_at(AT_FDCWD, path, NULL, 0);
    buf[0] = (struct timespec){.tv_sec = t->actime};
    buf[1] = (struct timespec){.tv_sec = t->modtime};
    return utimens_at(AT_FDCWD, path, buf, 0);
}

// ---- size ----

static long
truncate_in(struct route_target *t, void *arg)
{
    off_t size = ((struct attr_args *)arg)->size;

    struct stat st;
    int r;

    if (size < 0)
        return -EINVAL;
    if (unlikely((uint64_t)size > route_fsize_limit()) &&
        fsc.stat(t->vol->fs, &t->at, t->path, fs_at_flags(t, 0), &st) == 0 && st.st_size < size) {
        ((struct attr_args *)arg)->over = true;
        return -EFBIG;
    }
    r = route_text_busy(t, false);
    if (r < 0)
        return r;
    if (t->self) // by /proc/self/fd: as if by its path
        return fsc.ino_truncate(t->vol->fs, t->at.cred, fsc.file_ino(t->at.dir), (uint64_t)size, NULL);
    return fsc.truncate(t->vol->fs, &t->at, t->path, (uint64_t)size);
}

static long
truncate_out(int dirfd, const char *path, void *arg)
{
    (void)dirfd; // an absolute path, or one relative to the current directory, as it was given
    return FS_REAL(truncate)(path, ((struct attr_args *)arg)->size);
}

ZIO_EXPORT int
truncate(const char *path, off_t size)
{
    struct attr_args a = {.size = size};
    int r;

    if (route_idle())
        return FS_REAL(truncate)(path, size);
    r = (int)fs_call(AT_FDCWD, path, 0, truncate_in, truncate_out, &a);
    // The kernel's own has raised it already, where the file was its.
    if (unlikely(r < 0) && errno == EFBIG && a.over) {
        zsys3(SYS_tgkill, zsys0(SYS_getpid), zsys0(SYS_gettid), SIGXFSZ);
        errno = EFBIG;
    }
    return r;
}
ZIO_ALIAS(truncate64, truncate);
