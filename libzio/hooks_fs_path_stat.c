// SPDX-License-Identifier: Apache-2.0
// stat, statx, access and all their forms.
#include <string.h>
#include <sys/sysmacros.h>

#include "libzio/hooks_fs.h"
#include "libzio/route_node.h"

// ---- stat ----

struct stat_args {
    struct stat *st;
    int flags;
};

static long
stat_in(struct route_target *t, void *arg)
{
    struct stat_args *a = arg;
    long r;

    if (fs_fault(t, a->flags, a->st, sizeof *a->st, &r))
        return r;
    return fsc.stat(t->vol->fs, &t->at, t->path, fs_at_flags(t, a->flags), a->st);
}

static long
stat_out(int dirfd, const char *path, void *arg)
{
    struct stat_args *a = arg;
    int r = FS_REAL(fstatat)(dirfd, path, a->st, a->flags);

    if (r == 0 && unlikely(S_ISFIFO(a->st->st_mode)))
        route_node_show(a->st);
    return r;
}

static int
stat_at(int dirfd, const char *path, struct stat *st, int flags)
{
    struct stat_args a = {st, flags};

    if (route_idle())
        return FS_REAL(fstatat)(dirfd, path, st, flags);
    return (int)fs_call(dirfd, path, fs_flags(flags), stat_in, stat_out, &a);
}

ZIO_EXPORT int
stat(const char *path, struct stat *st)
{
    return stat_at(AT_FDCWD, path, st, 0);
}
ZIO_ALIAS(stat64, stat);

ZIO_EXPORT int
lstat(const char *path, struct stat *st)
{
    return stat_at(AT_FDCWD, path, st, AT_SYMLINK_NOFOLLOW);
}
ZIO_ALIAS(lstat64, lstat);

ZIO_EXPORT int
fstatat(int dirfd, const char *path, struct stat *st, int flags)
{
    return stat_at(dirfd, path, st, flags);
}
ZIO_ALIAS(fstatat64, fstatat);

// Programs built before glibc 2.33 say stat like this; the version is that of struct stat: 1, or 0, the
// kernel's, which is the same on 64-bit machines.
int __xstat(int ver, const char *path, struct stat *st);
ZIO_EXPORT int
__xstat(int ver, const char *path, struct stat *st)
{
    return ver == 0 || ver == 1 ? stat_at(AT_FDCWD, path, st, 0) : (int)fs_result(-EINVAL);
}
ZIO_ALIAS(__xstat64, __xstat);

int __lxstat(int ver, const char *path, struct stat *st);
ZIO_EXPORT int
__lxstat(int ver, const char *path, struct stat *st)
{
    return ver == 0 || ver == 1 ? stat_at(AT_FDCWD, path, st, AT_SYMLINK_NOFOLLOW) : (int)fs_result(-EINVAL);
}
ZIO_ALIAS(__lxstat64, __lxstat);

int __fxstatat(int ver, int dirfd, const char *path, struct stat *st, int flags);
ZIO_EXPORT int
__fxstatat(int ver, int dirfd, const char *path, struct stat *st, int flags)
{
    return ver == 0 || ver == 1 ? stat_at(dirfd, path, st, flags) : (int)fs_result(-EINVAL);
}
ZIO_ALIAS(__fxstatat64, __fxstatat);

// ---- statx ----

struct statx_args {
    struct statx *stx;
    int flags;
    unsigned mask;
};

static struct statx_timestamp
stx_time(int64_t ns)
{
    int64_t rest = ns % 1000000000;

    return (struct statx_timestamp){.tv_sec = ns / 1000000000 - (rest < 0),
                                    .tv_nsec = (uint32_t)(rest < 0 ? rest + 1000000000 : rest)};
}

static void
stx_fill(struct fsc *fs, const struct fsc_attr *a, struct statx *x)
{
    struct stat st;

    fsc.attr_stat(fs, a, &st);
    memset(x, 0, sizeof(*x));
    x->stx_mask = STATX_BASIC_STATS | STATX_BTIME;
    x->stx_blksize = (uint32_t)st.st_blksize;
    x->stx_nlink = (uint32_t)st.st_nlink;
    x->stx_uid = st.st_uid;
    x->stx_gid = st.st_gid;
    x->stx_mode = (uint16_t)st.st_mode;
    x->stx_ino = st.st_ino;
    x->stx_size = (uint64_t)st.st_size;
    x->stx_blocks = (uint64_t)st.st_blocks;
    x->stx_atime = stx_time(a->atime);
    x->stx_btime = stx_time(a->btime);
    x->stx_ctime = stx_time(a->ctime);
    x->stx_mtime = stx_time(a->mtime);
    x->stx_rdev_major = major(st.st_rdev);
    x->stx_rdev_minor = minor(st.st_rdev);
    x->stx_dev_major = major(st.st_dev);
    x->stx_dev_minor = minor(st.st_dev);
}

static long
statx_in(struct route_target *t, void *arg)
{
    struct statx_args *a = arg;
    struct fsc_attr attr;
    long r;

    if ((a->mask & STATX__RESERVED) || (a->flags & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE)
        return -EINVAL;
    if (fs_fault(t, a->flags, a->stx, sizeof *a->stx, &r))
        return r;
    r = fsc.getattr(t->vol->fs, &t->at, t->path, fs_at_flags(t, a->flags & ~AT_STATX_SYNC_TYPE), &attr);
    if (r == 0)
        stx_fill(t->vol->fs, &attr, a->stx);
    return r;
}

// The FIFO of a volume that a native one stands for.
static void
node_fill(struct statx *x)
{
    struct stat st = {
        .st_mode = x->stx_mode, .st_ino = x->stx_ino, .st_dev = makedev(x->stx_dev_major, x->stx_dev_minor)};
    struct route_node n;
    struct fsc_attr attr;
    int r;

    if (route_idle() || !route_node_of(&st, &n))
        return;
    FS_INSIDE(r, fsc.ino_getattr(n.vol->fs, n.ino, &attr));
    if (r == 0)
        stx_fill(n.vol->fs, &attr, x);
}

static long
statx_out(int dirfd, const char *path, void *arg)
{
    struct statx_args *a = arg;
    int r = FS_REAL(statx)(dirfd, path, a->flags, a->mask, a->stx);

    if (r == 0 && unlikely(S_ISFIFO(a->stx->stx_mode)))
        node_fill(a->stx);
    return r;
}

ZIO_EXPORT int
statx(int dirfd, const char *path, int flags, unsigned mask, struct statx *stx)
{
    struct statx_args a = {stx, flags, mask};

    if (route_idle())
        return FS_REAL(statx)(dirfd, path, flags, mask, stx);
    __asm__("" : "+r"(path)); // the header says that it is never NULL; Linux 6.11 takes NULL for ""
    if (!path && (flags & AT_EMPTY_PATH) && route_fd(dirfd))
        path = "";
    return (int)fs_call(dirfd, path, fs_flags(flags), statx_in, statx_out, &a);
}

// ---- access ----

struct access_args {
    int mode, flags;
};

static long
access_in(struct route_target *t, void *arg)
{
    struct access_args *a = arg;

    if (!(a->flags & AT_EACCESS))
        t->at.cred = NULL; // the real user's and group's rights: the library asks for these
    return fsc.access(t->vol->fs, &t->at, t->path, a->mode, fs_at_flags(t, a->flags));
}

static long
access_out(int dirfd, const char *path, void *arg)
{
    struct access_args *a = arg;

    return FS_REAL(faccessat)(dirfd, path, a->mode, a->flags);
}

ZIO_EXPORT int
faccessat(int dirfd, const char *path, int mode, int flags)
{
    struct access_args a = {mode, flags};

    if (route_idle())
        return FS_REAL(faccessat)(dirfd, path, mode, flags);
    return (int)fs_call(dirfd, path, fs_flags(flags), access_in, access_out, &a);
}

ZIO_EXPORT int
access(const char *path, int mode)
{
    return faccessat(AT_FDCWD, path, mode, 0);
}

ZIO_EXPORT int
euidaccess(const char *path, int mode)
{
    return faccessat(AT_FDCWD, path, mode, AT_EACCESS);
}
ZIO_ALIAS(eaccess, euidaccess);
