// SPDX-License-Identifier: Apache-2.0
// Calls that make, remove, rename and read names: mkdir, mknod, mkfifo, symlink, readlink, link, unlink,
// rmdir, remove, rename.
#include <limits.h>
#include <string.h>

#include "libzio/hooks_fs.h"

// ---- what makes a name ----

struct make_args {
    mode_t mode;
    dev_t dev;
    const char *text;
};

static long
mkdir_in(struct route_target *t, void *arg)
{
    return fsc.mkdir(t->vol->fs, &t->at, t->path, ((struct make_args *)arg)->mode);
}

static long
mkdir_out(int dirfd, const char *path, void *arg)
{
    return FS_REAL(mkdirat)(dirfd, path, ((struct make_args *)arg)->mode);
}

ZIO_EXPORT int
mkdirat(int dirfd, const char *path, mode_t mode)
{
    struct make_args a = {.mode = mode};

    if (route_idle())
        return FS_REAL(mkdirat)(dirfd, path, mode);
    return (int)fs_call(dirfd, path, ROUTE_NOFOLLOW | ROUTE_CREATE, mkdir_in, mkdir_out, &a);
}

ZIO_EXPORT int
mkdir(const char *path, mode_t mode)
{
    return mkdirat(AT_FDCWD, path, mode);
}

static long
mknod_in(struct route_target *t, void *arg)
{
    struct make_args *a = arg;

    return fsc.mknod(t->vol->fs, &t->at, t->path, a->mode, a->dev);
}

static long
mknod_out(int dirfd, const char *path, void *arg)
{
    struct make_args *a = arg;

    return FS_REAL(mknodat)(dirfd, path, a->mode, a->dev);
}

ZIO_EXPORT int
mknodat(int dirfd, const char *path, mode_t mode, dev_t dev)
{
    struct make_args a = {.mode = mode, .dev = dev};

    if (route_idle())
        return FS_REAL(mknodat)(dirfd, path, mode, dev);
    return (int)fs_call(dirfd, path, ROUTE_NOFOLLOW | ROUTE_CREATE, mknod_in, mknod_out, &a);
}

ZIO_EXPORT int
mknod(const char *path, mode_t mode, dev_t dev)
{
    return mknodat(AT_FDCWD, path, mode, dev);
}

ZIO_EXPORT int
mkfifoat(int dirfd, const char *path, mode_t mode)
{
    return mknodat(dirfd, path, mode | S_IFIFO, 0);
}

ZIO_EXPORT int
mkfifo(const char *path, mode_t mode)
{
    return mknodat(AT_FDCWD, path, mode | S_IFIFO, 0);
}

int __xmknodat(int ver, int dirfd, const char *path, mode_t mode, dev_t *dev);
ZIO_EXPORT int
__xmknodat(int ver, int dirfd, const char *path, mode_t mode, dev_t *dev)
{
    return ver == 0 ? mknodat(dirfd, path, mode, *dev) : (int)fs_result(-EINVAL);
}

int __xmknod(int ver, const char *path, mode_t mode, dev_t *dev);
ZIO_EXPORT int
__xmknod(int ver, const char *path, mode_t mode, dev_t *dev)
{
    return __xmknodat(ver, AT_FDCWD, path, mode, dev);
}

static long
symlink_in(struct route_target *t, void *arg)
{
    const char *text = ((struct make_args *)arg)->text;

    return route_bad_string(text) ? -EFAULT : fsc.symlink(t->vol->fs, text, &t->at, t->path);
}

static long
symlink_out(int dirfd, const char *path, void *arg)
{
    return FS_REAL(symlinkat)(((struct make_args *)arg)->text, dirfd, path);
}

ZIO_EXPORT int
symlinkat(const char *text, int dirfd, const char *path)
{
    struct make_args a = {.text = text};

    if (route_idle())
        return FS_REAL(symlinkat)(text, dirfd, path);
    return (int)fs_call(dirfd, path, ROUTE_NOFOLLOW | ROUTE_CREATE, symlink_in, symlink_out, &a);
}

ZIO_EXPORT int
symlink(const char *text, const char *path)
{
    return symlinkat(text, AT_FDCWD, path);
}

// ---- readlink ----

struct read_args {
    char *buf;
    size_t size;
};

static long
readlink_in(struct route_target *t, void *arg)
{
    struct read_args *a = arg;
    long n;

    if (a->size > INT_MAX)
        return -EINVAL;
    if (fs_fault(t, AT_SYMLINK_NOFOLLOW, a->buf, 1, &n))
        return n;
    n = fsc.readlink(t->vol->fs, &t->at, t->path, a->buf, a->size);
    return n == -EINVAL && t->self ? -ENOENT : n; // "" of what is no link
}

static long
readlink_out(int dirfd, const char *path, void *arg)
{
    struct read_args *a = arg;

    return FS_REAL(readlinkat)(dirfd, path, a->buf, a->size);
}

// The link of /proc to a routed descriptor: its path.
static ssize_t
read_magic(int fd, char *buf, size_t size)
{
    struct route_file *f = fd == AT_FDCWD ? route_cwd_get() : route_file_get(fd);
    char path[PATH_MAX + 16];
    ssize_t n;

    if (!f)
        return -ENOENT;
    n = fs_path_of(f, path, sizeof(path));
    if (n == -ENOENT)
        n = (ssize_t)strlen(path);
    route_file_put(f);
    if (n < 0)
        return n;
    n = (ssize_t)min_of((size_t)n, size);
    memcpy(buf, path, (size_t)n);
    return n;
}

ZIO_EXPORT ssize_t
readlinkat(int dirfd, const char *path, char *buf, size_t size)
{
    struct read_args a = {buf, size};
    int fd;

    if (route_idle())
        return FS_REAL(readlinkat)(dirfd, path, buf, size);
    fd = fs_magic_link(dirfd, path);
    if (fd != -1 && (ssize_t)size > 0)
        return fs_result(read_magic(fd, buf, size));
    // "" is the descriptor itself, opened with O_PATH | O_NOFOLLOW, without a flag that says so.
    return fs_call(dirfd, path, ROUTE_NOFOLLOW | ROUTE_EMPTY, readlink_in, readlink_out, &a);
}

ZIO_EXPORT ssize_t
readlink(const char *path, char *buf, size_t size)
{
    return readlinkat(AT_FDCWD, path, buf, size);
}

void __chk_fail(void) __attribute__((noreturn));

ssize_t __readlinkat_chk(int dirfd, const char *path, char *buf, size_t size, size_t room);
ZIO_EXPORT ssize_t
__readlinkat_chk(int dirfd, const char *path, char *buf, size_t size, size_t room)
{
    if (size > room)
        __chk_fail();
    return readlinkat(dirfd, path, buf, size);
}

ssize_t __readlink_chk(const char *path, char *buf, size_t size, size_t room);
ZIO_EXPORT ssize_t
__readlink_chk(const char *path, char *buf, size_t size, size_t room)
{
    return __readlinkat_chk(AT_FDCWD, path, buf, size, room);
}

// ---- unlink ----

static long
unlink_in(struct route_target *t, void *arg)
{
    return fsc.unlink(t->vol->fs, &t->at, t->path, *(int *)arg);
}

static long
unlink_out(int dirfd, const char *path, void *arg)
{
    return FS_REAL(unlinkat)(dirfd, path, *(int *)arg);
}

ZIO_EXPORT int
unlinkat(int dirfd, const char *path, int flags)
{
    if (route_idle())
        return FS_REAL(unlinkat)(dirfd, path, flags);
    return (int)fs_call(dirfd, path, ROUTE_NOFOLLOW, unlink_in, unlink_out, &flags);
}

ZIO_EXPORT int
unlink(const char *path)
{
    return unlinkat(AT_FDCWD, path, 0);
}

ZIO_EXPORT int
rmdir(const char *path)
{
    return unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

ZIO_EXPORT int
remove(const char *path)
{
    int r = unlinkat(AT_FDCWD, path, 0);

    return r < 0 && errno == EISDIR ? unlinkat(AT_FDCWD, path, AT_REMOVEDIR) : r;
}

// ---- link, rename ----

// The kernel looks at both pointers before it looks at a name.
static bool
bad_names(const char *path, const char *path2)
{
    return route_bad_string(path) || route_bad_string(path2);
}

static long
link_in(struct route_target *from, struct route_target *to, void *arg)
{
    return fsc.link(from->vol->fs, &from->at, from->path, &to->at, to->path,
                    (*(int *)arg & ~AT_EMPTY_PATH) | (from->self ? AT_EMPTY_PATH : 0));
}

static long
link_out(int dirfd, const char *path, int dirfd2, const char *path2, void *arg)
{
    return FS_REAL(linkat)(dirfd, path, dirfd2, path2, *(int *)arg);
}

ZIO_EXPORT int
linkat(int dirfd, const char *path, int dirfd2, const char *path2, int flags)
{
    unsigned rf =
        (flags & AT_SYMLINK_FOLLOW ? 0 : ROUTE_NOFOLLOW) | (flags & AT_EMPTY_PATH ? ROUTE_EMPTY : 0);
    unsigned rf2 = ROUTE_NOFOLLOW | ROUTE_CREATE;

    if (route_idle())
        return FS_REAL(linkat)(dirfd, path, dirfd2, path2, flags);
    if (bad_names(path, path2)) // the kernel would look for a routed `path` where it is not, and say ENOENT
        return (int)route_result(-EFAULT);
    // The usual way to name what O_TMPFILE made goes through /proc/self/fd.
    if (fs_magic(&dirfd, &path, &rf) && (rf & ROUTE_EMPTY))
        flags = AT_EMPTY_PATH;
    fs_magic(&dirfd2, &path2, &rf2);
    return (int)route_call2(dirfd, path, rf, dirfd2, path2, rf2, link_in, link_out, &flags);
}

ZIO_EXPORT int
link(const char *path, const char *path2)
{
    return linkat(AT_FDCWD, path, AT_FDCWD, path2, 0);
}

static long
rename_in(struct route_target *from, struct route_target *to, void *arg)
{
    return fsc.rename(from->vol->fs, &from->at, from->path, &to->at, to->path, *(unsigned *)arg);
}

static long
rename_out(int dirfd, const char *path, int dirfd2, const char *path2, void *arg)
{
    unsigned flags = *(unsigned *)arg;

    if (flags == 0)
        return FS_REAL(renameat)(dirfd, path, dirfd2, path2);
    return FS_REAL(renameat2)(dirfd, path, dirfd2, path2, flags);
}

ZIO_EXPORT int
renameat2(int dirfd, const char *path, int dirfd2, const char *path2, unsigned flags)
{
    unsigned rf = ROUTE_NOFOLLOW, rf2 = ROUTE_NOFOLLOW | ROUTE_CREATE;

    if (route_idle())
        return (int)rename_out(dirfd, path, dirfd2, path2, &flags);
    if (bad_names(path, path2))
        return (int)route_result(-EFAULT);
    fs_magic(&dirfd, &path, &rf);
    fs_magic(&dirfd2, &path2, &rf2);
    return (int)route_call2(dirfd, path, rf, dirfd2, path2, rf2, rename_in, rename_out, &flags);
}

ZIO_EXPORT int
renameat(int dirfd, const char *path, int dirfd2, const char *path2)
{
    return renameat2(dirfd, path, dirfd2, path2, 0);
}

ZIO_EXPORT int
rename(const char *path, const char *path2)
{
    return renameat2(AT_FDCWD, path, AT_FDCWD, path2, 0);
}
