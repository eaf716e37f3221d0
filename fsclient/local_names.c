// SPDX-License-Identifier: Apache-2.0
// Names, attributes and open files of local:DIR: mostly the namespace engine's calls, in the driver's shape.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "fsclient/local_ops.h"

void
local_attr(const struct meta_attr *in, struct fsc_attr *out)
{
    *out = (struct fsc_attr){
        .ino = in->ino,
        .size = in->size,
        .space = in->space,
        .rdev = in->rdev,
        .mode = in->mode,
        .nlink = in->nlink,
        .uid = in->uid,
        .gid = in->gid,
        .flags = (in->flags & META_F_SNAPSHOT ? FSC_ATTR_SNAPSHOT : 0) |
                 (in->flags & (META_F_ACL | META_F_DEFACL) ? FSC_ATTR_ACL : 0) |
                 (in->flags & META_F_XATTR ? FSC_ATTR_XATTR : 0),
        .atime = in->atime,
        .mtime = in->mtime,
        .ctime = in->ctime,
        .btime = in->btime,
    };
}

// The result of a call that filled `in`.
static int
give(int err, const struct meta_attr *in, struct fsc_attr *out)
{
    if (!err && out)
        local_attr(in, out);
    return err;
}

int
local_lookup(struct fsc *fs, const struct fsc_cred *cred, uint64_t dir, const char *name,
             struct fsc_attr *attr)
{
    struct meta_cred buf;
    struct meta_attr a;

    return give(meta_lookup(LOCAL(fs)->m, local_cred(cred, &buf), dir, name, &a), &a, attr);
}

int
local_getattr(struct fsc *fs, uint64_t ino, struct fsc_attr *attr)
{
    struct meta_attr a;

    return give(meta_getattr(LOCAL(fs)->m, ino, &a), &a, attr);
}

int
local_setattr(struct fsc *fs, const struct fsc_cred *cred, uint64_t ino, unsigned set,
              const struct fsc_attr *in, struct fsc_attr *attr)
{
    static const unsigned bits[][2] = {
        {FSC_SET_MODE, META_SET_MODE},
        {FSC_SET_UID, META_SET_UID},
        {FSC_SET_GID, META_SET_GID},
        {FSC_SET_ATIME, META_SET_ATIME},
        {FSC_SET_MTIME, META_SET_MTIME},
        {FSC_SET_ATIME_NOW, META_SET_ATIME_NOW},
        {FSC_SET_MTIME_NOW, META_SET_MTIME_NOW},
    };
    struct meta_attr a = {
        .mode = in->mode, .uid = in->uid, .gid = in->gid, .atime = in->atime, .mtime = in->mtime};
    struct meta_attr now;
    struct meta_cred buf;
    unsigned meta_set = 0;

    for (size_t i = 0; i < sizeof bits / sizeof bits[0]; i++)
        if (set & bits[i][0])
            meta_set |= bits[i][1];
    return give(meta_setattr(LOCAL(fs)->m, local_cred(cred, &buf), ino, meta_set, &a, &now), &now, attr);
}

int
local_access(struct fsc *fs, const struct fsc_cred *cred, uint64_t ino, int mode)
{
    struct meta_cred buf;

    return meta_access(LOCAL(fs)->m, local_cred(cred, &buf), ino, mode);
}

int
local_mknod(struct fsc *fs, const struct fsc_cred *cred, uint64_t dir, const char *name, mode_t mode,
            uint64_t rdev, struct fsc_attr *attr)
{
    struct meta_cred buf;
    const struct meta_cred *c = local_cred(cred, &buf);
    struct meta_attr a;
    int err;

    if (S_ISDIR(mode))
        err = meta_mkdir(LOCAL(fs)->m, c, dir, name, mode & 07777, &a);
    else
        err = meta_mknod(LOCAL(fs)->m, c, dir, name, mode, rdev, &a);
    return give(err, &a, attr);
}

int
local_symlink(struct fsc *fs, const struct fsc_cred *cred, const char *text, uint64_t dir, const char *name,
              struct fsc_attr *attr)
{
    struct meta_cred buf;
    struct meta_attr a;

    return give(meta_symlink(LOCAL(fs)->m, local_cred(cred, &buf), text, dir, name, &a), &a, attr);
}

int
local_link(struct fsc *fs, const struct fsc_cred *cred, uint64_t ino, uint64_t dir, const char *name,
           struct fsc_attr *attr)
{
    struct meta_cred buf;
    struct meta_attr a;

    return give(meta_link(LOCAL(fs)->m, local_cred(cred, &buf), ino, dir, name, &a), &a, attr);
}

int
local_unlink(struct fsc *fs, const struct fsc_cred *cred, uint64_t dir, const char *name)
{
    struct local *l = LOCAL(fs);
    struct meta_attr gone = {0};
    struct meta_cred buf;
    int err = meta_unlink(l->m, local_cred(cred, &buf), dir, name, &gone);

    if (!err)
        local_garbage_look(l);
    if (!err && gone.nlink == 0 && (S_ISFIFO(gone.mode) || S_ISSOCK(gone.mode)))
        local_node_gone(l, gone.ino, gone.mode);
    return err;
}

int
local_rmdir(struct fsc *fs, const struct fsc_cred *cred, uint64_t dir, const char *name)
{
    struct meta_cred buf;

    return meta_rmdir(LOCAL(fs)->m, local_cred(cred, &buf), dir, name);
}

int
local_rename(struct fsc *fs, const struct fsc_cred *cred, uint64_t dir, const char *name, uint64_t new_dir,
             const char *new_name, unsigned flags)
{
    struct meta_cred buf;
    int err = meta_rename(LOCAL(fs)->m, local_cred(cred, &buf), dir, name, new_dir, new_name, flags);

    if (!err)
        local_garbage_look(LOCAL(fs)); // of what the name was before
    return err;
}

ssize_t
local_readlink(struct fsc *fs, uint64_t ino, char *buf, size_t size)
{
    return meta_readlink(LOCAL(fs)->m, ino, buf, size);
}

ssize_t
local_readdir(struct fsc *fs, uint64_t dir, uint64_t cookie, struct fsc_dirent *v, size_t n)
{
    struct meta_dirent batch[16];
    size_t got = 0;
    ssize_t k = 1;

    while (got < n && k > 0) {
        size_t want = n - got < 16 ? n - got : 16;

        k = meta_readdir(LOCAL(fs)->m, dir, cookie, batch, want);
        if (k < 0)
            return got ? (ssize_t)got : k;
        for (ssize_t i = 0; i < k; i++, got++) {
            v[got].ino = batch[i].ino;
            v[got].cookie = cookie = batch[i].cookie;
            v[got].type = (unsigned char)batch[i].type;
            memcpy(v[got].name, batch[i].name, (size_t)batch[i].len + 1);
        }
    }
    if (cookie && !(fs->opt.flags & FSC_NOATIME))
        meta_touch_atime(LOCAL(fs)->m, dir);
    return (ssize_t)got;
}

int
local_setxattr(struct fsc *fs, const struct fsc_cred *cred, uint64_t ino, const char *name, const void *value,
               size_t size, int flags)
{
    struct meta_cred buf;

    return meta_setxattr(LOCAL(fs)->m, local_cred(cred, &buf), ino, name, value, size, flags);
}

ssize_t
local_getxattr(struct fsc *fs, const struct fsc_cred *cred, uint64_t ino, const char *name, void *value,
               size_t size)
{
    struct meta_cred buf;

    return meta_getxattr(LOCAL(fs)->m, local_cred(cred, &buf), ino, name, value, size);
}

ssize_t
local_listxattr(struct fsc *fs, const struct fsc_cred *cred, uint64_t ino, char *list, size_t size)
{
    struct meta_cred buf;

    return meta_listxattr(LOCAL(fs)->m, local_cred(cred, &buf), ino, list, size);
}

int
local_removexattr(struct fsc *fs, const struct fsc_cred *cred, uint64_t ino, const char *name)
{
    struct meta_cred buf;

    return meta_removexattr(LOCAL(fs)->m, local_cred(cred, &buf), ino, name);
}

uint64_t
local_version(struct fsc *fs, uint64_t ino)
{
    return meta_data_version(LOCAL(fs)->m, ino);
}

int
local_watch(struct fsc *fs)
{
    return meta_watch(LOCAL(fs)->m);
}

uint32_t
local_watch_slot(struct fsc *fs, uint64_t ino)
{
    (void)fs;
    return meta_watch_slot(ino);
}

bool
local_watch_news(struct fsc *fs, uint64_t ino)
{
    return meta_watch_news(LOCAL(fs)->m, ino);
}

_Static_assert(FSC_WATCH_SLOTS == META_WATCH_SLOTS && FSC_WATCH_ALL == META_WATCH_ALL, "passed through");

int
local_watch_wait(struct fsc *fs, int wait_ms, fsc_watch_fn fn, void *arg)
{
    return meta_watch_wait(LOCAL(fs)->m, wait_ms, fn, arg);
}

// ---- open files ----

// The inode is held by the engine; now by the handle.
static int
attach(struct fsc_file *file, const struct meta_attr *a, struct fsc_attr *attr)
{
    struct local *l = LOCAL(file->fs);
    struct linode *in = linode_get(l, a->ino);

    if (!in) {
        meta_close_file(l->m, a->ino);
        return -ENOMEM;
    }
    file->ino = a->ino;
    file->type = a->mode & S_IFMT;
    file->priv = in;
    if (attr)
        local_attr(a, attr);
    return 0;
}

int
local_open(struct fsc_file *file, const struct fsc_cred *cred, uint64_t ino, struct fsc_attr *attr)
{
    int flags = atomic_load(&file->flags);
    struct meta_cred buf;
    struct meta_attr a;
    int err;

    err = meta_open_file(LOCAL(file->fs)->m, local_cred(cred, &buf), ino,
                         flags & O_PATH ? O_RDONLY : flags & O_ACCMODE, &a);
    return err ? err : attach(file, &a, attr);
}

int
local_create(struct fsc_file *file, const struct fsc_cred *cred, uint64_t dir, const char *name, mode_t mode,
             struct fsc_attr *attr)
{
    struct meta_cred buf;
    struct meta_attr a;
    int err = meta_create(LOCAL(file->fs)->m, local_cred(cred, &buf), dir, name, mode, META_HOLD, &a);

    return err ? err : attach(file, &a, attr);
}

int
local_tmpfile(struct fsc_file *file, const struct fsc_cred *cred, uint64_t dir, mode_t mode,
              struct fsc_attr *attr)
{
    struct meta_cred buf;
    struct meta_attr a;
    int err = meta_tmpfile(LOCAL(file->fs)->m, local_cred(cred, &buf), dir, mode, META_HOLD, &a);

    return err ? err : attach(file, &a, attr);
}

void
local_close(struct fsc_file *file)
{
    struct local *l = LOCAL(file->fs);

    if (file->pinned)
        local_unpin(l, file->ino);
    local_token_close(l, file);
    meta_close_file(l->m, file->ino);
    linode_put(l, file->priv);
    local_garbage_look(l);
}

int
local_hold(struct fsc *fs, uint64_t ino)
{
    struct meta_attr a;

    return meta_open_file(LOCAL(fs)->m, NULL, ino, O_RDONLY, &a);
}

int
local_release(struct fsc *fs, uint64_t ino)
{
    int err = meta_close_file(LOCAL(fs)->m, ino);

    local_garbage_look(LOCAL(fs));
    return err;
}

// ---- locks ----

static int64_t
now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

// How long to wait on: -1 for ever; 0: the time is over.
static int
left_ms(int wait_ms, int64_t began)
{
    int64_t left = wait_ms - (now_ms() - began);

    return wait_ms < 0 ? -1 : left > 0 ? (int)left : 0;
}

static int
take_lock(struct fsc_file *file, uint64_t owner, const struct meta_lock *lock, int wait_ms)
{
    struct meta *m = LOCAL(file->fs)->m;
    int64_t began = wait_ms ? now_ms() : 0;
    int err, left;

    for (;;) {
        uint32_t seq = meta_lock_seq(m, file->ino);

        err = meta_setlk(m, file->ino, owner, lock, wait_ms != 0);
        if (err != -EAGAIN || wait_ms == 0)
            return err;
        left = left_ms(wait_ms, began);
        err = left == 0 ? -ETIMEDOUT : meta_lock_wait(m, file->ino, seq, left);
        if (err) {
            meta_lock_cancel(m, file->ino, owner);
            return err;
        }
    }
}

int
local_setlk(struct fsc_file *file, uint64_t owner, const struct fsc_lock *lock, int wait_ms)
{
    struct meta_lock ml = {.start = lock->start, .end = lock->end, .type = lock->type, .pid = lock->pid};

    return take_lock(file, owner, &ml, wait_ms);
}

int
local_getlk(struct fsc_file *file, uint64_t owner, struct fsc_lock *lock)
{
    struct meta_lock ml = {.start = lock->start, .end = lock->end, .type = lock->type, .pid = lock->pid};
    int err = meta_getlk(LOCAL(file->fs)->m, file->ino, owner, &ml);

    if (!err)
        *lock = (struct fsc_lock){ml.start, ml.end, ml.type, ml.pid};
    return err;
}

int
local_unlock_owner(struct fsc_file *file, uint64_t owner)
{
    return meta_unlock_all(LOCAL(file->fs)->m, file->ino, owner);
}

int
local_take_locks(struct fsc *fs, uint64_t session, uint64_t owner)
{
    return meta_lock_take(LOCAL(fs)->m, session, owner);
}

uint64_t
local_session(struct fsc *fs)
{
    return meta_session_number(LOCAL(fs)->m);
}
