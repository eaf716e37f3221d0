// SPDX-License-Identifier: Apache-2.0
// Calls on descriptors of routed files, but for reads and writes (hooks_recv.c, hooks_send.c), locks
// (hooks_fs_fdlock.c) and numbers (hooks_fd.c).
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libzio/real.h"
#include "libzio/route_map.h"
#include "libzio/route_node.h"
#include "libzio/route_priv.h"
#include "libzio/sys.h"

// Runs `call` (a negative errno or a result) on the file behind fd, with `file` its fsc_file.
#define ON_FILE(fd, native, call)                                                                            \
    do {                                                                                                     \
        struct route_file *f;                                                                                \
        struct fsc_file *file;                                                                               \
        struct route_guard g;                                                                                \
        struct route_use u;                                                                                  \
        long r;                                                                                              \
        if (likely(!route_fd(fd)) || !(f = route_begin(&g, &u, fd)))                                         \
            return native;                                                                                   \
        file = route_file_fsc(f);                                                                            \
        r = file ? (long)(call) : route_file_error(f);                                                       \
        route_end(&g, &u);                                                                                   \
        return (int)route_result(r);                                                                         \
    } while (0)

// ---- offsets ----

ZIO_EXPORT off_t
lseek64(int fd, off_t off, int whence)
{
    return unlikely(route_fd(fd)) ? route_lseek(fd, off, whence) : real.lseek64(fd, off, whence);
}

ZIO_EXPORT off_t
lseek(int fd, off_t off, int whence)
{
    return unlikely(route_fd(fd)) ? route_lseek(fd, off, whence) : real.lseek64(fd, off, whence);
}

off_t __lseek(int fd, off_t off, int whence);
ZIO_EXPORT off_t
__lseek(int fd, off_t off, int whence)
{
    return unlikely(route_fd(fd)) ? route_lseek(fd, off, whence) : real.lseek64(fd, off, whence);
}

off_t llseek(int fd, off_t off, int whence);
ZIO_EXPORT off_t
llseek(int fd, off_t off, int whence)
{
    return unlikely(route_fd(fd)) ? route_lseek(fd, off, whence) : real.lseek64(fd, off, whence);
}

// ---- attributes ----

static int
stat_file(struct fsc_file *file, struct stat *st)
{
    return route_bad_room(st, sizeof *st) ? -EFAULT : fsc.fstat(file, st);
}

// A native descriptor may be that of a FIFO of a volume.
static int
shown(int r, struct stat *st)
{
    if (unlikely(route_on) && r == 0)
        route_node_show(st);
    return r;
}

// What was stored through mappings is to show.
#define SETTLE(fd)                                                                                           \
    if (unlikely(atomic_load_explicit(&rmap_count, memory_order_relaxed)) && route_fd(fd))                   \
    route_map_settle(fd)

ZIO_EXPORT int
fstat(int fd, struct stat *st)
{
    SETTLE(fd);
    ON_FILE(fd, shown(real.fstat64(fd, (struct stat64 *)st), st), stat_file(file, st));
}

ZIO_EXPORT int
fstat64(int fd, struct stat64 *st)
{
    SETTLE(fd);
    ON_FILE(fd, shown(real.fstat64(fd, st), (struct stat *)st), stat_file(file, (struct stat *)st));
}

int __fxstat(int version, int fd, struct stat *st);
ZIO_EXPORT int
__fxstat(int version, int fd, struct stat *st)
{
    ON_FILE(fd, shown(real.__fxstat(version, fd, st), st), stat_file(file, st));
}

int __fxstat64(int version, int fd, struct stat64 *st);
ZIO_EXPORT int
__fxstat64(int version, int fd, struct stat64 *st)
{
    ON_FILE(fd, shown(real.__fxstat(version, fd, (struct stat *)st), (struct stat *)st),
            stat_file(file, (struct stat *)st));
}

// By handle, "" with AT_EMPTY_PATH is the file itself.
static struct fsc_at
itself(struct fsc_file *file)
{
    return (struct fsc_at){.dir = file};
}

// What O_PATH allows is close, dup, fstat, fchdir and to be a directory for *at calls.
static int
full(struct route_file *f)
{
    return atomic_load(&f->rec->flags) & O_PATH ? -EBADF : 0;
}

static int
do_fchmod(struct route_file *f, struct fsc_file *file, mode_t mode)
{
    struct fsc_at at = itself(file);
    int err = full(f);

    return err ? err : fsc.chmod(f->vol->fs, &at, "", mode & 07777, AT_EMPTY_PATH);
}

static int
native_fchmod(int fd, mode_t mode)
{
    struct fsc_attr in = {.mode = mode & 07777};
    int r = unlikely(route_on) ? route_node_setattr(fd, FSC_SET_MODE, &in) : 1;

    return r == 1 ? real.fchmod(fd, mode) : (int)route_result(r);
}

ZIO_EXPORT int
fchmod(int fd, mode_t mode)
{
    ON_FILE(fd, native_fchmod(fd, mode), do_fchmod(f, file, mode));
}

static int
do_fchown(struct route_file *f, struct fsc_file *file, uid_t uid, gid_t gid)
{
    struct fsc_at at = itself(file);
    int err = full(f);

    return err ? err : fsc.chown(f->vol->fs, &at, "", uid, gid, AT_EMPTY_PATH);
}

static int
native_fchown(int fd, uid_t uid, gid_t gid)
{
    struct fsc_attr in = {.uid = uid, .gid = gid};
    unsigned set = (uid != (uid_t)-1 ? FSC_SET_UID : 0) | (gid != (gid_t)-1 ? FSC_SET_GID : 0);
    int r = unlikely(route_on) ? route_node_setattr(fd, set, &in) : 1;

    return r == 1 ? real.fchown(fd, uid, gid) : (int)route_result(r);
}

ZIO_EXPORT int
fchown(int fd, uid_t uid, gid_t gid)
{
    ON_FILE(fd, native_fchown(fd, uid, gid), do_fchown(f, file, uid, gid));
}

static int
do_futimens(struct route_file *f, struct fsc_file *file, const struct timespec times[2])
{
    struct fsc_at at = itself(file);
    int err = full(f);

    return err ? err : fsc.utimens(f->vol->fs, &at, "", times, AT_EMPTY_PATH);
}

static int
native_futimens(int fd, const struct timespec times[2])
{
    int r = unlikely(route_on) ? route_node_utimens(fd, times) : 1;

    return r == 1 ? real.futimens(fd, times) : (int)route_result(r);
}

ZIO_EXPORT int
futimens(int fd, const struct timespec times[2])
{
    ON_FILE(fd, native_futimens(fd, times), do_futimens(f, file, times));
}

ZIO_EXPORT int
futimes(int fd, const struct timeval tv[2])
{
    struct timespec ts[2];

    if (likely(!route_fd(fd)))
        return real.futimes(fd, tv);
    for (int i = 0; tv && i < 2; i++) {
        if (tv[i].tv_usec < 0 || tv[i].tv_usec >= 1000000)
            return (int)route_result(-EINVAL);
        ts[i] = (struct timespec){tv[i].tv_sec, tv[i].tv_usec * 1000};
    }
    return futimens(fd, tv ? ts : NULL);
}

// ---- to disk ----

ZIO_EXPORT int
fsync(int fd)
{
    SETTLE(fd);
    if (unlikely(route_fd(fd)))
        pthread_testcancel();
    ON_FILE(fd, real.fsync(fd), fsc.fsync(file));
}

ZIO_EXPORT int
fdatasync(int fd)
{
    SETTLE(fd);
    if (unlikely(route_fd(fd)))
        pthread_testcancel();
    ON_FILE(fd, real.fdatasync(fd), fsc.fdatasync(file));
}

static int
do_sync_range(struct route_file *f, struct fsc_file *file, off_t off, off_t n, unsigned flags)
{
    const unsigned known = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
    int err = full(f);

    if (err)
        return err;
    if (flags & ~known || off < 0 || n < 0 || off + n < off)
        return -EINVAL;
    // Writing back may always begin later; to wait for it is a promise.
    return flags & SYNC_FILE_RANGE_WAIT_AFTER ? fsc.fdatasync(file) : 0;
}

ZIO_EXPORT int
sync_file_range(int fd, off_t off, off_t n, unsigned flags)
{
    ON_FILE(fd, real.sync_file_range(fd, off, n, flags), do_sync_range(f, file, off, n, flags));
}

static int
do_syncfs(struct route_file *f)
{
    int err = full(f);

    return err ? err : fsc.sync_volume(f->vol->fs);
}

ZIO_EXPORT int
syncfs(int fd)
{
    ON_FILE(fd, real.syncfs(fd), do_syncfs(f));
}

ZIO_EXPORT void
sync(void)
{
    struct route_guard g;

    if (!route_idle())
        for (int i = 0; i < route_nvols; i++) {
            struct fsc *fs = atomic_load(&route_vols[i].fs);

            if (!fs)
                continue;
            route_enter(&g);
            fsc.sync_volume(fs);
            route_leave(&g);
        }
    real.sync();
}

// ---- sizes ----

static int
over_limit(uint64_t size, struct fsc_file *file)
{
    struct stat st;

    if (likely(route_fsize_limit() == RLIM64_INFINITY) || size <= route_fsize_limit())
        return 0;
    return fsc.fstat(file, &st) == 0 && (uint64_t)st.st_size >= size ? 0 : -EFBIG;
}

static int
do_ftruncate(struct fsc_file *file, off_t size)
{
    int err = size < 0 ? -EINVAL : over_limit((uint64_t)size, file);

    return err ? err : fsc.ftruncate(file, (uint64_t)size);
}

// After the size may have changed.
static int
resized(int fd, int r)
{
    if (unlikely(atomic_load_explicit(&rmap_count, memory_order_relaxed)))
        route_map_fd_changed(fd);
    if (unlikely(r < 0) && errno == EFBIG && route_fsize_limit() != RLIM64_INFINITY) {
        zsys3(SYS_tgkill, zsys0(SYS_getpid), zsys0(SYS_gettid), SIGXFSZ);
        errno = EFBIG;
    }
    return r;
}

static int
routed_ftruncate(int fd, off_t size)
{
    ON_FILE(fd, real.ftruncate64(fd, size), do_ftruncate(file, size));
}

ZIO_EXPORT int
ftruncate64(int fd, off_t size)
{
    return unlikely(route_fd(fd)) ? resized(fd, routed_ftruncate(fd, size)) : real.ftruncate64(fd, size);
}

ZIO_EXPORT int
ftruncate(int fd, off_t size)
{
    return ftruncate64(fd, size);
}

static int
do_fallocate(struct fsc_file *file, int mode, off_t off, off_t n)
{
    int err = off < 0 || n <= 0 ? -EINVAL : off + n < 0 ? -EFBIG : over_limit((uint64_t)(off + n), file);

    return err ? err : fsc.fallocate(file, mode, (uint64_t)off, (uint64_t)n);
}

static int
routed_fallocate(int fd, int mode, off_t off, off_t n)
{
    ON_FILE(fd, real.fallocate64(fd, mode, off, n), do_fallocate(file, mode, off, n));
}

ZIO_EXPORT int
fallocate64(int fd, int mode, off_t off, off_t n)
{
    return unlikely(route_fd(fd)) ? resized(fd, routed_fallocate(fd, mode, off, n))
                                  : real.fallocate64(fd, mode, off, n);
}

ZIO_EXPORT int
fallocate(int fd, int mode, off_t off, off_t n)
{
    return fallocate64(fd, mode, off, n);
}

// Returns an errno, and leaves errno alone.
ZIO_EXPORT int
posix_fallocate64(int fd, off_t off, off_t n)
{
    int saved = errno, r;

    if (likely(!route_fd(fd)))
        return real.posix_fallocate64(fd, off, n);
    r = off < 0 || n < 0 ? EINVAL : fallocate64(fd, 0, off, n) < 0 ? errno : 0;
    errno = saved;
    return r;
}

ZIO_EXPORT int
posix_fallocate(int fd, off_t off, off_t n)
{
    return posix_fallocate64(fd, off, n);
}

// ---- advice ----

static int
do_fadvise(struct route_file *f, off_t n, int advice)
{
    int err = full(f);

    return err ? err : n < 0 || advice < POSIX_FADV_NORMAL || advice > POSIX_FADV_NOREUSE ? -EINVAL : 0;
}

ZIO_EXPORT int
posix_fadvise64(int fd, off_t off, off_t n, int advice)
{
    struct route_file *f;
    int r;

    if (likely(!route_fd(fd)) || !(f = route_file_get(fd)))
        return real.posix_fadvise64(fd, off, n, advice);
    r = do_fadvise(f, n, advice);
    route_file_put(f);
    return -r;
}

ZIO_EXPORT int
posix_fadvise(int fd, off_t off, off_t n, int advice)
{
    return posix_fadvise64(fd, off, n, advice);
}

static int
do_readahead(struct route_file *f)
{
    int flags = atomic_load(&f->rec->flags);

    return flags & O_PATH || (flags & O_ACCMODE) == O_WRONLY ? -EBADF : flags & O_DIRECTORY ? -EINVAL : 0;
}

ZIO_EXPORT ssize_t
readahead(int fd, off_t off, size_t n)
{
    ON_FILE(fd, real.readahead(fd, off, n), do_readahead(f));
}
