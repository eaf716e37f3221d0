// SPDX-License-Identifier: Apache-2.0
// The calls by path: a walk, then one call of the driver. The order of errors is Linux's.
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <unistd.h>

#include "fsclient/driver.h"

// What every call by path sets up, and gives back.
struct op {
    const struct fsc_at *at;
    const struct fsc_cred *cred;
    struct cred_buf buf;
    struct walk w;
};

static int
op_begin(struct op *op, struct fsc *fs, const struct fsc_at *at, bool want_umask)
{
    int err = fs_enter(fs);

    op->buf.more = NULL;
    if (err)
        return err;
    op->at = at ? at : &walk_default;
    op->cred = cred_get(op->at->cred, want_umask, &op->buf);
    return op->cred ? 0 : -ENOMEM;
}

static ssize_t
op_end(struct op *op, ssize_t result)
{
    cred_put(&op->buf);
    return result;
}

// Walks to an inode that is there. `flags` are AT_* of the call, `known` those that it takes.
static int
op_find(struct op *op, struct fsc *fs, const struct fsc_at *at, const char *path, int flags, int known)
{
    unsigned wf = (flags & AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW) | (flags & AT_EMPTY_PATH ? WALK_EMPTY : 0);
    int err;

    op->buf.more = NULL;
    if (flags & ~known)
        return -EINVAL;
    err = op_begin(op, fs, at, false);
    return err ? err : walk_path(fs, op->at, op->cred, path, wf, &op->w);
}

#define AT_BOTH (AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)

// Is the place free for a new name? `dir`: "name/" is allowed for what is not there.
static int
place_free(const struct walk *w, bool dir)
{
    if (w->last != WALK_NORM || w->found)
        return -EEXIST;
    return w->slash && !dir ? -ENOENT : 0;
}

static int
op_place(struct op *op, struct fsc *fs, const struct fsc_at *at, const char *path, bool dir)
{
    int err = op_begin(op, fs, at, true);

    if (!err)
        err = walk_path(fs, op->at, op->cred, path, WALK_PARENT, &op->w);
    return err ? err : place_free(&op->w, dir);
}

int
fsc_getattr(struct fsc *fs, const struct fsc_at *at, const char *path, int flags, struct fsc_attr *attr)
{
    struct op op;
    int err = op_find(&op, fs, at, path, flags, AT_BOTH | AT_NO_AUTOMOUNT);

    if (!err)
        *attr = op.w.attr;
    return (int)op_end(&op, err);
}

int
fsc_stat(struct fsc *fs, const struct fsc_at *at, const char *path, int flags, struct stat *st)
{
    struct fsc_attr attr;
    int err = fsc_getattr(fs, at, path, flags, &attr);

    if (!err)
        fsc_attr_stat(fs, &attr, st);
    return err;
}

static bool
read_only(const struct fsc *fs)
{
    return fs->opt.flags & FSC_RDONLY;
}

// access(2) asks for the real user and group.
int
fsc_access(struct fsc *fs, const struct fsc_at *at, const char *path, int mode, int flags)
{
    struct fsc_at real_at = at ? *at : walk_default;
    struct fsc_cred real;
    struct cred_buf buf;
    struct op op;
    int err;

    if (mode & ~(R_OK | W_OK | X_OK))
        return -EINVAL;
    buf.more = NULL;
    if (!real_at.cred && !(flags & AT_EACCESS)) {
        const struct fsc_cred *own = cred_get(NULL, false, &buf);

        if (!own)
            return -ENOMEM;
        real = *own;
        real.uid = getuid();
        real.gid = getgid();
        real_at.cred = &real;
    }
    err = op_find(&op, fs, &real_at, path, flags, AT_BOTH | AT_EACCESS);
    if (!err && mode)
        err = fs->drv->access(fs, op.cred, op.w.attr.ino, mode);
    if (!err && mode & W_OK && read_only(fs) && (S_ISREG(op.w.attr.mode) || S_ISDIR(op.w.attr.mode)))
        err = -EROFS; // what is no file of the volume's bytes can be written to all the same
    cred_put(&buf);
    return (int)op_end(&op, err);
}

int
fsc_mkdir(struct fsc *fs, const struct fsc_at *at, const char *path, mode_t mode)
{
    struct fsc_attr attr;
    struct op op;
    int err = op_place(&op, fs, at, path, true);

    if (!err)
        err = fs->drv->mknod(fs, op.cred, op.w.parent, op.w.name, S_IFDIR | (mode & 01777), 0, &attr);
    return (int)op_end(&op, err);
}

int
fsc_mknod(struct fsc *fs, const struct fsc_at *at, const char *path, mode_t mode, dev_t dev)
{
    struct fsc_attr attr;
    struct op op;
    int err;

    if ((mode & S_IFMT) == 0)
        mode |= S_IFREG;
    if (S_ISDIR(mode))
        return -EPERM;
    if (S_ISLNK(mode))
        return -EINVAL;
    err = op_place(&op, fs, at, path, false);
    if (!err)
        err = fs->drv->mknod(fs, op.cred, op.w.parent, op.w.name, mode, dev, &attr);
    return (int)op_end(&op, err);
}

int
fsc_symlink(struct fsc *fs, const char *text, const struct fsc_at *at, const char *path)
{
    struct fsc_attr attr;
    struct op op;
    int err;

    if (*text == '\0')
        return -ENOENT;
    if (strlen(text) >= 4096)
        return -ENAMETOOLONG;
    err = op_place(&op, fs, at, path, false);
    if (!err)
        err = fs->drv->symlink(fs, op.cred, text, op.w.parent, op.w.name, &attr);
    return (int)op_end(&op, err);
}

ssize_t
fsc_readlink(struct fsc *fs, const struct fsc_at *at, const char *path, char *buf, size_t size)
{
    struct op op;
    ssize_t r;

    if (size == 0)
        return -EINVAL;
    r = op_find(&op, fs, at, path, AT_BOTH, AT_BOTH);
    if (r == 0)
        r = S_ISLNK(op.w.attr.mode) ? fs->drv->readlink(fs, op.w.attr.ino, buf, size) : -EINVAL;
    return op_end(&op, r);
}

int
fsc_link(struct fsc *fs, const struct fsc_at *at, const char *path, const struct fsc_at *new_at,
         const char *new_path, int flags)
{
    struct fsc_at to = at ? *at : walk_default;
    int known = AT_SYMLINK_FOLLOW | AT_EMPTY_PATH;
    struct fsc_attr attr;
    struct walk w;
    struct op op;
    int err;

    if (flags & ~known)
        return -EINVAL;
    if (*path == '\0' && at && at->dir && (at->dir->flags & (O_TMPFILE | O_EXCL)) == (O_TMPFILE | O_EXCL))
        return -ENOENT; // O_EXCL with O_TMPFILE: never to have a name
    to.dir = new_at ? new_at->dir : NULL;
    // A symbolic link itself may have further names.
    err = op_find(&op, fs, at, path,
                  (flags & AT_EMPTY_PATH) | (flags & AT_SYMLINK_FOLLOW ? 0 : AT_SYMLINK_NOFOLLOW), AT_BOTH);
    if (!err)
        err = walk_path(fs, &to, op.cred, new_path, WALK_PARENT, &w);
    if (!err)
        err = place_free(&w, false);
    if (!err)
        err = fs->drv->link(fs, op.cred, op.w.attr.ino, w.parent, w.name, &attr);
    return (int)op_end(&op, err);
}

// What unlink(2) or rmdir(2) says to the kind of last component.
static int
check_remove(const struct walk *w, bool dir)
{
    static const int as_dir[] = {
        [WALK_NORM] = 0, [WALK_DOT] = -EINVAL, [WALK_DOTDOT] = -ENOTEMPTY, [WALK_TOP] = -EBUSY};

    if (dir)
        return as_dir[w->last] ? as_dir[w->last] : w->found ? 0 : -ENOENT;
    if (w->last != WALK_NORM)
        return -EISDIR;
    if (!w->found)
        return -ENOENT;
    if (w->slash)
        return S_ISDIR(w->attr.mode) ? -EISDIR : -ENOTDIR;
    return 0;
}

int
fsc_unlink(struct fsc *fs, const struct fsc_at *at, const char *path, int flags)
{
    bool dir = flags & AT_REMOVEDIR;
    struct op op;
    int err;

    if (flags & ~AT_REMOVEDIR)
        return -EINVAL;
    err = op_begin(&op, fs, at, false);
    if (!err)
        err = walk_path(fs, op.at, op.cred, path, WALK_PARENT, &op.w);
    if (!err && read_only(fs) && op.w.last == WALK_NORM)
        err = -EROFS; // as in Linux, whether it is there or not
    if (!err)
        err = check_remove(&op.w, dir);
    if (!err)
        err = (dir ? fs->drv->rmdir : fs->drv->unlink)(fs, op.cred, op.w.parent, op.w.name);
    return (int)op_end(&op, err);
}

static int
check_rename(const struct walk *from, const struct walk *to, unsigned flags)
{
    if (from->last != WALK_NORM)
        return -EBUSY;
    if (to->last != WALK_NORM)
        return flags & RENAME_NOREPLACE ? -EEXIST : -EBUSY;
    if (!from->found)
        return -ENOENT;
    if (flags & RENAME_NOREPLACE && to->found)
        return -EEXIST;
    if (flags & RENAME_EXCHANGE && !to->found)
        return -ENOENT;
    if (flags & RENAME_EXCHANGE && !S_ISDIR(to->attr.mode) && to->slash)
        return -ENOTDIR;
    if (!S_ISDIR(from->attr.mode) && (from->slash || (!(flags & RENAME_EXCHANGE) && to->slash)))
        return -ENOTDIR;
    return 0;
}

int
fsc_rename(struct fsc *fs, const struct fsc_at *at, const char *path, const struct fsc_at *new_at,
           const char *new_path, unsigned flags)
{
    struct fsc_at to = at ? *at : walk_default;
    struct walk w;
    struct op op;
    int err;

    if (flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE) || flags == (RENAME_NOREPLACE | RENAME_EXCHANGE))
        return -EINVAL;
    to.dir = new_at ? new_at->dir : NULL;
    err = op_begin(&op, fs, at, false);
    if (!err)
        err = walk_path(fs, op.at, op.cred, path, WALK_PARENT, &op.w);
    if (!err)
        err = walk_path(fs, &to, op.cred, new_path, WALK_PARENT, &w);
    if (!err && read_only(fs) && op.w.last == WALK_NORM && w.last == WALK_NORM)
        err = -EROFS;
    if (!err)
        err = check_rename(&op.w, &w, flags);
    if (!err)
        err = fs->drv->rename(fs, op.cred, op.w.parent, op.w.name, w.parent, w.name, flags);
    return (int)op_end(&op, err);
}

int
fsc_chmod(struct fsc *fs, const struct fsc_at *at, const char *path, mode_t mode, int flags)
{
    struct fsc_attr in = {.mode = mode & 07777};
    struct op op;
    int err = op_find(&op, fs, at, path, flags, AT_BOTH);

    if (!err)
        err = S_ISLNK(op.w.attr.mode) ? -EOPNOTSUPP
                                      : fs->drv->setattr(fs, op.cred, op.w.attr.ino, FSC_SET_MODE, &in, NULL);
    return (int)op_end(&op, err);
}

int
fsc_chown(struct fsc *fs, const struct fsc_at *at, const char *path, uid_t uid, gid_t gid, int flags)
{
    struct fsc_attr in = {.uid = uid, .gid = gid};
    unsigned set = (uid != (uid_t)-1 ? FSC_SET_UID : 0) | (gid != (gid_t)-1 ? FSC_SET_GID : 0);
    struct op op;
    int err = op_find(&op, fs, at, path, flags, AT_BOTH);

    if (!err)
        err = fs->drv->setattr(fs, op.cred, op.w.attr.ino, set, &in, NULL);
    return (int)op_end(&op, err);
}

// One of the two times: the bits to set and the value. -EINVAL: not a time.
static int
one_time(const struct timespec *ts, unsigned set, unsigned set_now, unsigned *bits, int64_t *out)
{
    if (ts->tv_nsec == UTIME_OMIT)
        return 0;
    *bits |= set;
    if (ts->tv_nsec == UTIME_NOW) {
        *bits |= set_now;
        *bits &= ~set;
        return 0;
    }
    if (ts->tv_nsec < 0 || ts->tv_nsec > 999999999)
        return -EINVAL;
    if (ts->tv_sec > INT64_MAX / 1000000000 - 1 || ts->tv_sec < INT64_MIN / 1000000000 + 1)
        *out = ts->tv_sec > 0 ? INT64_MAX : INT64_MIN;
    else
        *out = ts->tv_sec * INT64_C(1000000000) + ts->tv_nsec;
    return 0;
}

int
fsc_utimens(struct fsc *fs, const struct fsc_at *at, const char *path, const struct timespec times[2],
            int flags)
{
    unsigned set = FSC_SET_ATIME_NOW | FSC_SET_MTIME_NOW;
    struct fsc_attr in = {0};
    struct op op;
    int err;

    if (times) {
        set = 0;
        if (one_time(&times[0], FSC_SET_ATIME, FSC_SET_ATIME_NOW, &set, &in.atime) != 0 ||
            one_time(&times[1], FSC_SET_MTIME, FSC_SET_MTIME_NOW, &set, &in.mtime) != 0)
            return -EINVAL;
    }
    if (times && set == 0) // both UTIME_OMIT: Linux looks no further
        return 0;
    err = op_find(&op, fs, at, path, flags, AT_BOTH);
    if (!err)
        err = fs->drv->setattr(fs, op.cred, op.w.attr.ino, set, &in, NULL);
    return (int)op_end(&op, err);
}

int
fsc_truncate(struct fsc *fs, const struct fsc_at *at, const char *path, uint64_t size)
{
    struct op op;
    int err;

    if (size > INT64_MAX)
        return -EINVAL;
    err = op_find(&op, fs, at, path, 0, 0);
    if (!err && S_ISDIR(op.w.attr.mode))
        err = -EISDIR;
    else if (!err && !S_ISREG(op.w.attr.mode))
        err = -EINVAL;
    if (!err)
        err = fs->drv->truncate(fs, op.cred, op.w.attr.ino, size, NULL);
    return (int)op_end(&op, err);
}

int
fsc_setxattr(struct fsc *fs, const struct fsc_at *at, const char *path, const char *name, const void *value,
             size_t size, int xflags, int flags)
{
    struct op op;
    int err = op_find(&op, fs, at, path, flags, AT_BOTH);

    if (!err)
        err = fs->drv->setxattr(fs, op.cred, op.w.attr.ino, name, value, size, xflags);
    return (int)op_end(&op, err);
}

ssize_t
fsc_getxattr(struct fsc *fs, const struct fsc_at *at, const char *path, const char *name, void *value,
             size_t size, int flags)
{
    struct op op;
    ssize_t r = op_find(&op, fs, at, path, flags, AT_BOTH);

    if (r == 0)
        r = fs->drv->getxattr(fs, op.cred, op.w.attr.ino, name, value, size);
    return op_end(&op, r);
}

ssize_t
fsc_listxattr(struct fsc *fs, const struct fsc_at *at, const char *path, char *list, size_t size, int flags)
{
    struct op op;
    ssize_t r = op_find(&op, fs, at, path, flags, AT_BOTH);

    if (r == 0)
        r = fs->drv->listxattr(fs, op.cred, op.w.attr.ino, list, size);
    return op_end(&op, r);
}

int
fsc_removexattr(struct fsc *fs, const struct fsc_at *at, const char *path, const char *name, int flags)
{
    struct op op;
    int err = op_find(&op, fs, at, path, flags, AT_BOTH);

    if (!err)
        err = fs->drv->removexattr(fs, op.cred, op.w.attr.ino, name);
    return (int)op_end(&op, err);
}

int
fsc_statvfs(struct fsc *fs, const struct fsc_at *at, const char *path, struct statvfs *out)
{
    struct op op;
    int err = op_find(&op, fs, at, path, AT_EMPTY_PATH, AT_EMPTY_PATH);

    if (!err)
        err = fs->drv->statvfs(fs, op.w.attr.ino, out);
    return (int)op_end(&op, err);
}

static int
clone_tree(struct fsc *fs, const struct fsc_at *at, const char *path, const struct fsc_at *new_at,
           const char *new_path, bool snapshot)
{
    struct fsc_at to = at ? *at : walk_default;
    struct walk w;
    struct op op;
    int err = op_find(&op, fs, at, path, 0, 0);

    to.dir = new_at ? new_at->dir : NULL;
    if (!err)
        err = walk_path(fs, &to, op.cred, new_path, WALK_PARENT, &w);
    if (!err)
        err = place_free(&w, S_ISDIR(op.w.attr.mode));
    if (!err)
        err = fs->drv->clone_tree(fs, op.cred, op.w.attr.ino, w.parent, w.name, snapshot);
    return (int)op_end(&op, err);
}

int
fsc_clone_tree(struct fsc *fs, const struct fsc_at *at, const char *path, const struct fsc_at *new_at,
               const char *new_path)
{
    return clone_tree(fs, at, path, new_at, new_path, false);
}

int
fsc_snapshot(struct fsc *fs, const struct fsc_at *at, const char *path, const struct fsc_at *new_at,
             const char *new_path)
{
    return clone_tree(fs, at, path, new_at, new_path, true);
}

int
fsc_remove_tree(struct fsc *fs, const struct fsc_at *at, const char *path, uint64_t *removed)
{
    struct op op;
    int err = op_begin(&op, fs, at, false);

    if (!err)
        err = walk_path(fs, op.at, op.cred, path, WALK_PARENT, &op.w);
    if (!err)
        err = check_remove(&op.w, true);
    if (!err)
        err = fs->drv->remove_tree(fs, op.cred, op.w.parent, op.w.name, removed);
    return (int)op_end(&op, err);
}

int
fsc_trash_restore(struct fsc *fs, const struct fsc_at *at, uint64_t ino, const char *path)
{
    struct op op;
    int err = op_place(&op, fs, at, path, false);

    if (!err)
        err = fs->drv->trash_restore(fs, op.cred, ino, op.w.parent, op.w.name);
    return (int)op_end(&op, err);
}
