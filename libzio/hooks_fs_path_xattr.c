// SPDX-License-Identifier: Apache-2.0
// Extended attributes: set, get, list, remove; of a path, of a link itself, of a descriptor. There are no
// *at() forms, so the native calls get the path as it was (or, after a link led out of a volume, an absolute
// one).
#include "libzio/hooks_fs.h"

struct xattr_args {
    const char *name;
    const void *value; // set
    void *buf;         // get, list
    size_t size;
    int xflags;
    int flags; // AT_*
};

#define NOFOLLOW(a) ((a)->flags & AT_SYMLINK_NOFOLLOW)

// ---- in a volume ----

// Pointers that are none of the program's; a name is read before the path is looked up.
static bool
fault(struct route_target *t, const struct xattr_args *a, bool named, long *r)
{
    *r = -EFAULT;
    if (named && route_bad_string(a->name))
        return true;
    if (a->value && a->size > 0 && route_bad_address(a->value, a->size))
        return true;
    return a->buf && a->size > 0 && fs_fault(t, a->flags, a->buf, 1, r);
}

static long
set_in(struct route_target *t, void *arg)
{
    struct xattr_args *a = arg;
    long r;

    if (fault(t, a, true, &r))
        return r;
    return fsc.setxattr(t->vol->fs, &t->at, t->path, a->name, a->value, a->size, a->xflags,
                        fs_at_flags(t, a->flags));
}

static long
get_in(struct route_target *t, void *arg)
{
    struct xattr_args *a = arg;
    long r;

    if (fault(t, a, true, &r))
        return r;
    return fsc.getxattr(t->vol->fs, &t->at, t->path, a->name, a->buf, a->size, fs_at_flags(t, a->flags));
}

static long
list_in(struct route_target *t, void *arg)
{
    struct xattr_args *a = arg;
    long r;

    if (fault(t, a, false, &r))
        return r;
    return fsc.listxattr(t->vol->fs, &t->at, t->path, a->buf, a->size, fs_at_flags(t, a->flags));
}

static long
remove_in(struct route_target *t, void *arg)
{
    struct xattr_args *a = arg;
    long r;

    if (fault(t, a, true, &r))
        return r;
    return fsc.removexattr(t->vol->fs, &t->at, t->path, a->name, fs_at_flags(t, a->flags));
}

// ---- natively ----

static long
set_out(int dirfd, const char *path, void *arg)
{
    struct xattr_args *a = arg;

    (void)dirfd;
    return NOFOLLOW(a) ? FS_REAL(lsetxattr)(path, a->name, a->value, a->size, a->xflags)
                       : FS_REAL(setxattr)(path, a->name, a->value, a->size, a->xflags);
}

static long
get_out(int dirfd, const char *path, void *arg)
{
    struct xattr_args *a = arg;

    (void)dirfd;
    return NOFOLLOW(a) ? FS_REAL(lgetxattr)(path, a->name, a->buf, a->size)
                       : FS_REAL(getxattr)(path, a->name, a->buf, a->size);
}

static long
list_out(int dirfd, const char *path, void *arg)
{
    struct xattr_args *a = arg;

    (void)dirfd;
    return NOFOLLOW(a) ? FS_REAL(llistxattr)(path, a->buf, a->size)
                       : FS_REAL(listxattr)(path, a->buf, a->size);
}

static long
remove_out(int dirfd, const char *path, void *arg)
{
    struct xattr_args *a = arg;

    (void)dirfd;
    return NOFOLLOW(a) ? FS_REAL(lremovexattr)(path, a->name) : FS_REAL(removexattr)(path, a->name);
}

// ---- the hooks ----

static long
by_path(const char *path, route_in_fn in, route_out_fn out, struct xattr_args *a)
{
    if (route_idle())
        return out(AT_FDCWD, path, a);
    return fs_call(AT_FDCWD, path, fs_flags(a->flags), in, out, a);
}

// By descriptor: false when it is the C library's to do.
static bool
by_fd(int fd, route_in_fn in, struct xattr_args *a, long *r)
{
    bool routed = false;

    a->flags = AT_EMPTY_PATH;
    if (!route_idle())
        *r = fs_fd_call(fd, true, in, a, &routed);
    return routed;
}

ZIO_EXPORT int
setxattr(const char *path, const char *name, const void *value, size_t size, int flags)
{
    struct xattr_args a = {.name = name, .value = value, .size = size, .xflags = flags};

    return (int)by_path(path, set_in, set_out, &a);
}

ZIO_EXPORT int
lsetxattr(const char *path, const char *name, const void *value, size_t size, int flags)
{
    struct xattr_args a = {
        .name = name, .value = value, .size = size, .xflags = flags, .flags = AT_SYMLINK_NOFOLLOW};

    return (int)by_path(path, set_in, set_out, &a);
}

ZIO_EXPORT int
fsetxattr(int fd, const char *name, const void *value, size_t size, int flags)
{
    struct xattr_args a = {.name = name, .value = value, .size = size, .xflags = flags};
    long r;

    return by_fd(fd, set_in, &a, &r) ? (int)r : FS_REAL(fsetxattr)(fd, name, value, size, flags);
}

ZIO_EXPORT ssize_t
getxattr(const char *path, const char *name, void *value, size_t size)
{
    struct xattr_args a = {.name = name, .buf = value, .size = size};

    return by_path(path, get_in, get_out, &a);
}

ZIO_EXPORT ssize_t
lgetxattr(const char *path, const char *name, void *value, size_t size)
{
    struct xattr_args a = {.name = name, .buf = value, .size = size, .flags = AT_SYMLINK_NOFOLLOW};

    return by_path(path, get_in, get_out, &a);
}

ZIO_EXPORT ssize_t
fgetxattr(int fd, const char *name, void *value, size_t size)
{
    struct xattr_args a = {.name = name, .buf = value, .size = size};
    long r;

    return by_fd(fd, get_in, &a, &r) ? r : FS_REAL(fgetxattr)(fd, name, value, size);
}

ZIO_EXPORT ssize_t
listxattr(const char *path, char *list, size_t size)
{
    struct xattr_args a = {.buf = list, .size = size};

    return by_path(path, list_in, list_out, &a);
}

ZIO_EXPORT ssize_t
llistxattr(const char *path, char *list, size_t size)
{
    struct xattr_args a = {.buf = list, .size = size, .flags = AT_SYMLINK_NOFOLLOW};

    return by_path(path, list_in, list_out, &a);
}

ZIO_EXPORT ssize_t
flistxattr(int fd, char *list, size_t size)
{
    struct xattr_args a = {.buf = list, .size = size};
    long r;

    return by_fd(fd, list_in, &a, &r) ? r : FS_REAL(flistxattr)(fd, list, size);
}

ZIO_EXPORT int
removexattr(const char *path, const char *name)
{
    struct xattr_args a = {.name = name};

    return (int)by_path(path, remove_in, remove_out, &a);
}

ZIO_EXPORT int
lremovexattr(const char *path, const char *name)
{
    struct xattr_args a = {.name = name, .flags = AT_SYMLINK_NOFOLLOW};

    return (int)by_path(path, remove_in, remove_out, &a);
}

ZIO_EXPORT int
fremovexattr(int fd, const char *name)
{
    struct xattr_args a = {.name = name};
    long r;

    return by_fd(fd, remove_in, &a, &r) ? (int)r : FS_REAL(fremovexattr)(fd, name);
}
