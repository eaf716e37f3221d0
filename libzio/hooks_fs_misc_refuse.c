// SPDX-License-Identifier: Apache-2.0
// What a volume served in user space can't do: each call is refused with the errno that the kernel has for a
// file system without it, and counted (route_refused). What is wrong with the path itself is told first, as
// the kernel would.
#include "libzio/hooks_fs.h"

struct refuse_args {
    const char *name; // of the call
    int error;        // for a path that exists
    int kind;         // S_IFDIR, S_IFREG: what else is `other`'s error; 0: anything
    int other;
    bool create; // the call would make the name: what is there is EEXIST's kin
    int flags;   // AT_*
    void *call;  // of the native form
};

static long
refuse_in(struct route_target *t, void *arg)
{
    struct refuse_args *a = arg;
    struct fsc_attr attr;
    int r = fsc.getattr(t->vol->fs, &t->at, t->path, fs_at_flags(t, a->flags & AT_SYMLINK_NOFOLLOW), &attr);

    if (r < 0)
        return r;
    if (a->kind && (int)(attr.mode & S_IFMT) != a->kind)
        return -a->other;
    route_refused(a->name);
    return -a->error;
}

// ---- file handles, watches ----

struct handle_call {
    struct file_handle *handle;
    int *mount;
    int flags;
};

static long
handle_out(int dirfd, const char *path, void *arg)
{
    struct handle_call *c = ((struct refuse_args *)arg)->call;

    return FS_REAL(name_to_handle_at)(dirfd, path, c->handle, c->mount, c->flags);
}

ZIO_EXPORT int
name_to_handle_at(int dirfd, const char *path, struct file_handle *handle, int *mount, int flags)
{
    struct handle_call c = {handle, mount, flags};
    struct refuse_args a = {.name = "name_to_handle_at", .error = EOPNOTSUPP, .call = &c};

    if (route_idle())
        return FS_REAL(name_to_handle_at)(dirfd, path, handle, mount, flags);
    a.flags = (flags & AT_SYMLINK_FOLLOW ? 0 : AT_SYMLINK_NOFOLLOW) | (flags & AT_EMPTY_PATH);
    return (int)fs_call(dirfd, path, fs_flags(a.flags), refuse_in, handle_out, &a);
}

ZIO_EXPORT int
open_by_handle_at(int mount_fd, struct file_handle *handle, int flags)
{
    if (route_idle() || !route_fd(mount_fd))
        return FS_REAL(open_by_handle_at)(mount_fd, handle, flags);
    route_refused("open_by_handle_at");
    return (int)fs_result(-ESTALE); // no handle is of this file system
}

struct watch_call {
    int fd;
    uint64_t mask;
    unsigned flags;
};

static long
inotify_out(int dirfd, const char *path, void *arg)
{
    struct watch_call *c = ((struct refuse_args *)arg)->call;

    (void)dirfd;
    return FS_REAL(inotify_add_watch)(c->fd, path, (uint32_t)c->mask);
}

ZIO_EXPORT int
inotify_add_watch(int fd, const char *path, uint32_t mask)
{
    struct watch_call c = {.fd = fd, .mask = mask};
    struct refuse_args a = {.name = "inotify_add_watch", .error = EOPNOTSUPP, .call = &c};

    if (route_idle())
        return FS_REAL(inotify_add_watch)(fd, path, mask);
    a.flags = mask & IN_DONT_FOLLOW ? AT_SYMLINK_NOFOLLOW : 0;
    if (mask & IN_ONLYDIR)
        a.kind = S_IFDIR, a.other = ENOTDIR;
    return (int)fs_call(AT_FDCWD, path, fs_flags(a.flags), refuse_in, inotify_out, &a);
}

static long
fanotify_out(int dirfd, const char *path, void *arg)
{
    struct watch_call *c = ((struct refuse_args *)arg)->call;

    return FS_REAL(fanotify_mark)(c->fd, c->flags, c->mask, dirfd, path);
}

ZIO_EXPORT int
fanotify_mark(int fd, unsigned flags, uint64_t mask, int dirfd, const char *path)
{
    struct watch_call c = {fd, mask, flags};
    struct refuse_args a = {.name = "fanotify_mark", .error = EOPNOTSUPP, .call = &c};

    if (route_idle())
        return FS_REAL(fanotify_mark)(fd, flags, mask, dirfd, path);
    if (!path && dirfd >= 0 && route_fd(dirfd)) { // the descriptor itself
        route_refused(a.name);
        return (int)fs_result(-EOPNOTSUPP);
    }
    a.flags = flags & FAN_MARK_DONT_FOLLOW ? AT_SYMLINK_NOFOLLOW : 0;
    return (int)fs_call(dirfd, path, fs_flags(a.flags), refuse_in, fanotify_out, &a);
}

// ---- mounts, swap, accounting, roots ----

struct mount_call {
    const char *source, *type;
    unsigned long flags;
    const void *data;
    int iflags;
};

static long
mount_out(int dirfd, const char *path, void *arg)
{
    struct mount_call *c = ((struct refuse_args *)arg)->call;

    (void)dirfd;
    return FS_REAL(mount)(c->source, path, c->type, c->flags, c->data);
}

ZIO_EXPORT int
mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data)
{
    struct mount_call c = {.source = source, .type = type, .flags = flags, .data = data};
    struct refuse_args a = {.name = "mount", .error = EOPNOTSUPP, .call = &c};

    if (route_idle())
        return FS_REAL(mount)(source, target, type, flags, data);
    return (int)fs_call(AT_FDCWD, target, 0, refuse_in, mount_out, &a);
}

static long
umount_out(int dirfd, const char *path, void *arg)
{
    (void)dirfd;
    return FS_REAL(umount2)(path, ((struct mount_call *)((struct refuse_args *)arg)->call)->iflags);
}

// Nothing is mounted inside a volume: EINVAL, as of any other directory.
ZIO_EXPORT int
umount2(const char *target, int flags)
{
    struct mount_call c = {.iflags = flags};
    struct refuse_args a = {.name = "umount", .error = EINVAL, .call = &c};

    if (route_idle())
        return FS_REAL(umount2)(target, flags);
    a.flags = flags & UMOUNT_NOFOLLOW ? AT_SYMLINK_NOFOLLOW : 0;
    return (int)fs_call(AT_FDCWD, target, fs_flags(a.flags), refuse_in, umount_out, &a);
}

ZIO_EXPORT int
umount(const char *target)
{
    return umount2(target, 0);
}

static long
swapon_out(int dirfd, const char *path, void *arg)
{
    (void)dirfd;
    return FS_REAL(swapon)(path, ((struct mount_call *)((struct refuse_args *)arg)->call)->iflags);
}

ZIO_EXPORT int
swapon(const char *path, int flags)
{
    struct mount_call c = {.iflags = flags};
    struct refuse_args a = {.name = "swapon", .error = EINVAL, .call = &c};

    if (route_idle())
        return FS_REAL(swapon)(path, flags);
    return (int)fs_call(AT_FDCWD, path, 0, refuse_in, swapon_out, &a);
}

static long
acct_out(int dirfd, const char *path, void *arg)
{
    (void)dirfd;
    (void)arg;
    return FS_REAL(acct)(path);
}

ZIO_EXPORT int
acct(const char *path)
{
    // EIO: acct(2)'s word for a file that the kernel can't write.
    struct refuse_args a = {.name = "acct", .error = EIO, .kind = S_IFREG, .other = EACCES};

    if (route_idle() || !path)
        return FS_REAL(acct)(path);
    return (int)fs_call(AT_FDCWD, path, 0, refuse_in, acct_out, &a);
}

static long
chroot_out(int dirfd, const char *path, void *arg)
{
    (void)dirfd;
    (void)arg;
    return FS_REAL(chroot)(path);
}

ZIO_EXPORT int
chroot(const char *path)
{
    struct refuse_args a = {.name = "chroot", .error = EPERM, .kind = S_IFDIR, .other = ENOTDIR};

    if (route_idle())
        return FS_REAL(chroot)(path);
    return (int)fs_call(AT_FDCWD, path, 0, refuse_in, chroot_out, &a);
}
