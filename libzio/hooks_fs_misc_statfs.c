// SPDX-License-Identifier: Apache-2.0
// What a volume says of itself as a file system: statfs, statvfs, pathconf.
#include <limits.h>
#include <linux/magic.h>
#include <string.h>

#include "libzio/hooks_fs.h"

// A program that looks at the type of a file system finds FUSE, which is what the same volume is when it is
// mounted: then tail -f polls, and nothing takes it for ext4.
#define TYPE_FUSE 0x65735546

struct statfs_args {
    struct statvfs *vfs;
    struct statfs *fs;
};

static void
as_statfs(const struct statvfs *v, struct statfs *s)
{
    memset(s, 0, sizeof(*s));
    s->f_type = TYPE_FUSE;
    s->f_bsize = (__typeof__(s->f_bsize))v->f_bsize;
    s->f_frsize = (__typeof__(s->f_frsize))v->f_frsize;
    s->f_blocks = v->f_blocks;
    s->f_bfree = v->f_bfree;
    s->f_bavail = v->f_bavail;
    s->f_files = v->f_files;
    s->f_ffree = v->f_ffree;
    s->f_namelen = (__typeof__(s->f_namelen))v->f_namemax;
    memcpy(&s->f_fsid, &v->f_fsid, min_of(sizeof(s->f_fsid), sizeof(v->f_fsid)));
    s->f_flags = (__typeof__(s->f_flags))(v->f_flag | 0x20); // ST_VALID: that the flags mean something
}

static long
statvfs_in(struct route_target *t, void *arg)
{
    if (!*t->path && !t->self)
        return -ENOENT; // fsclient would take it for the directory itself
    return fsc.statvfs(t->vol->fs, &t->at, t->path, ((struct statfs_args *)arg)->vfs);
}

static long
statvfs_out(int dirfd, const char *path, void *arg)
{
    (void)dirfd;
    return FS_REAL(statvfs)(path, ((struct statfs_args *)arg)->vfs);
}

static long
statfs_in(struct route_target *t, void *arg)
{
    struct statvfs v;
    long r;

    if (fs_fault(t, 0, ((struct statfs_args *)arg)->fs, sizeof(struct statfs), &r))
        return r;
    r = !*t->path && !t->self ? -ENOENT : fsc.statvfs(t->vol->fs, &t->at, t->path, &v);
    if (r == 0)
        as_statfs(&v, ((struct statfs_args *)arg)->fs);
    return r;
}

static long
statfs_out(int dirfd, const char *path, void *arg)
{
    (void)dirfd;
    return FS_REAL(statfs)(path, ((struct statfs_args *)arg)->fs);
}

ZIO_EXPORT int
statvfs(const char *path, struct statvfs *v)
{
    struct statfs_args a = {.vfs = v};

    if (route_idle())
        return FS_REAL(statvfs)(path, v);
    return (int)fs_call(AT_FDCWD, path, 0, statvfs_in, statvfs_out, &a);
}
ZIO_ALIAS(statvfs64, statvfs);

ZIO_EXPORT int
statfs(const char *path, struct statfs *s)
{
    struct statfs_args a = {.fs = s};

    if (route_idle())
        return FS_REAL(statfs)(path, s);
    return (int)fs_call(AT_FDCWD, path, 0, statfs_in, statfs_out, &a);
}
ZIO_ALIAS(statfs64, statfs);
ZIO_ALIAS(__statfs, statfs);

ZIO_EXPORT int
fstatvfs(int fd, struct statvfs *v)
{
    struct statfs_args a = {.vfs = v};
    bool routed = false;
    long r = 0;

    if (!route_idle())
        r = fs_fd_call(fd, false, statvfs_in, &a, &routed);
    return routed ? (int)r : FS_REAL(fstatvfs)(fd, v);
}
ZIO_ALIAS(fstatvfs64, fstatvfs);

ZIO_EXPORT int
fstatfs(int fd, struct statfs *s)
{
    struct statfs_args a = {.fs = s};
    bool routed = false;
    long r = 0;

    if (!route_idle())
        r = fs_fd_call(fd, false, statfs_in, &a, &routed);
    return routed ? (int)r : FS_REAL(fstatfs)(fd, s);
}
ZIO_ALIAS(fstatfs64, fstatfs);

// ---- pathconf ----

struct conf_args {
    int name;
    long value;
};

// The values that the C library makes up from the file system; the others are the same everywhere.
static long
conf_in(struct route_target *t, void *arg)
{
    struct conf_args *a = arg;
    struct statvfs v;
    struct fsc_attr attr;
    int r = fsc.getattr(t->vol->fs, &t->at, t->path, fs_at_flags(t, 0), &attr);

    if (r == 0)
        r = fsc.statvfs(t->vol->fs, &t->at, t->path, &v);
    if (r < 0)
        return r;
    switch (a->name) {
    case _PC_LINK_MAX:
        a->value = 65000; // meta's limit, which is ext4's
        break;
    case _PC_NAME_MAX:
        a->value = (long)v.f_namemax;
        break;
    case _PC_FILESIZEBITS:
        a->value = 64;
        break;
    case _PC_ASYNC_IO:
        a->value = S_ISREG(attr.mode) ? 1 : -1;
        break;
    case _PC_REC_MIN_XFER_SIZE:
        a->value = (long)v.f_bsize;
        break;
    case _PC_REC_XFER_ALIGN:
    case _PC_ALLOC_SIZE_MIN:
        a->value = (long)v.f_frsize;
        break;
    default:
        a->value = FS_REAL(pathconf)("/", a->name);
        return a->value < 0 && errno == EINVAL ? -EINVAL : 0;
    }
    return 0;
}

static long
conf_out(int dirfd, const char *path, void *arg)
{
    struct conf_args *a = arg;

    (void)dirfd;
    a->value = FS_REAL(pathconf)(path, a->name);
    return a->value;
}

// -1 is also an answer ("no limit"): then errno stays as it was.
ZIO_EXPORT long
pathconf(const char *path, int name)
{
    struct conf_args a = {.name = name};
    int saved = errno;

    if (route_idle())
        return FS_REAL(pathconf)(path, name);
    errno = 0;
    if (fs_call(AT_FDCWD, path, 0, conf_in, conf_out, &a) < 0 && errno)
        return -1;
    errno = saved;
    return a.value;
}

ZIO_EXPORT long
fpathconf(int fd, int name)
{
    struct conf_args a = {.name = name};
    bool routed = false;
    long r = 0;
    int saved = errno;

    if (!route_idle())
        r = fs_fd_call(fd, false, conf_in, &a, &routed);
    if (!routed)
        return FS_REAL(fpathconf)(fd, name);
    if (r < 0)
        return -1;
    errno = saved;
    return a.value;
}
