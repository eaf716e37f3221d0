// SPDX-License-Identifier: Apache-2.0
// Names.
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "fsclient/fuse/mount.h"

struct fsc_cred
cred_of(fuse_req_t req)
{
    const struct fuse_ctx *ctx = fuse_req_ctx(req);

    return (struct fsc_cred){.uid = ctx->uid, .gid = ctx->gid, .umask = ctx->umask, .checked = true};
}

void
fill_entry(const struct mount *m, const struct fsc_attr *attr, struct fuse_entry_param *e)
{
    memset(e, 0, sizeof *e);
    e->ino = attr->ino;
    e->entry_timeout = m->entry_timeout;
    e->attr_timeout = m->opt.timeout;
    fsc_attr_stat(m->fs, attr, &e->attr);
}

void
reply_entry(fuse_req_t req, const struct fsc_attr *attr)
{
    struct mount *m = mount_of(req);
    struct fuse_entry_param e;
    uint64_t ino = attr->ino;
    int err = known_add(m->known, ino, S_ISDIR(attr->mode));

    if (err) {
        reply_err(req, err);
        return;
    }
    fill_entry(m, attr, &e);
    if (fuse_reply_entry(req, &e) != 0)
        known_forget(m->known, ino, 1); // nobody waits for it any more
}

// The end of a call that makes a name.
static void
reply_made(fuse_req_t req, int err, const struct fsc_attr *attr)
{
    mount_of(req)->dirty = true;
    if (err)
        reply_err(req, err);
    else
        reply_entry(req, attr);
}

// What the engine was asked for by a number that a name gave a moment ago: the kernel shall look again.
static int
dir_err(int err)
{
    return err == -ESTALE ? -ENOENT : err;
}

void
do_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct mount *m = mount_of(req);
    struct fuse_entry_param none = {.entry_timeout = m->opt.negative_timeout};
    struct fsc_attr attr;
    int err = fsc_ino_lookup(m->fs, FSC_ENGINE, parent, name, &attr);

    if (!err)
        reply_entry(req, &attr);
    else if (err == -ENOENT && m->entry_timeout > 0 && none.entry_timeout > 0)
        fuse_reply_entry(req, &none); // not there, and that is known for a while
    else
        reply_err(req, dir_err(err));
}

void
do_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n)
{
    known_forget(mount_of(req)->known, ino, n);
    fuse_reply_none(req);
}

void
do_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *v)
{
    for (size_t i = 0; i < count; i++)
        known_forget(mount_of(req)->known, v[i].ino, v[i].nlookup);
    fuse_reply_none(req);
}

void
do_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
    struct fsc_cred cred = cred_of(req);
    struct fsc_attr attr;
    int err = fsc_ino_mknod(mount_of(req)->fs, &cred, parent, name, mode, rdev, &attr);

    reply_made(req, err, &attr);
}

void
do_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    do_mknod(req, parent, name, S_IFDIR | (mode & 07777), 0);
}

void
do_symlink(fuse_req_t req, const char *text, fuse_ino_t parent, const char *name)
{
    struct fsc_cred cred = cred_of(req);
    struct fsc_attr attr;
    int err = fsc_ino_symlink(mount_of(req)->fs, &cred, text, parent, name, &attr);

    reply_made(req, err, &attr);
}

void
do_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
    struct fsc_attr attr;
    int err = fsc_ino_link(mount_of(req)->fs, FSC_ENGINE, ino, parent, name, &attr);

    reply_made(req, err, &attr);
}

// The inode of a name that is about to go is held while the kernel knows it, so that who has it as his
// current directory, or by O_PATH, still gets its attributes.
static void
hold_last(struct mount *m, uint64_t parent, const char *name)
{
    struct fsc_attr attr;

    if (fsc_ino_lookup(m->fs, FSC_ENGINE, parent, name, &attr) == 0 &&
        (attr.nlink <= 1 || S_ISDIR(attr.mode)))
        known_hold(m->known, attr.ino);
}

void
do_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct mount *m = mount_of(req);

    m->dirty = true;
    hold_last(m, parent, name);
    reply_err(req, fsc_ino_unlink(m->fs, FSC_ENGINE, parent, name));
}

void
do_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct mount *m = mount_of(req);

    m->dirty = true;
    hold_last(m, parent, name);
    reply_err(req, fsc_ino_rmdir(m->fs, FSC_ENGINE, parent, name));
}

void
do_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent, const char *new_name,
          unsigned flags)
{
    struct mount *m = mount_of(req);

    m->dirty = true;
    if (flags == 0)
        hold_last(m, new_parent, new_name);
    reply_err(req, fsc_ino_rename(m->fs, FSC_ENGINE, parent, name, new_parent, new_name, flags));
}

void
do_readlink(fuse_req_t req, fuse_ino_t ino)
{
    char text[PATH_MAX];
    ssize_t n = fsc_ino_readlink(mount_of(req)->fs, ino, text, sizeof text - 1);

    if (n < 0) {
        reply_err(req, (int)n);
        return;
    }
    text[n] = '\0';
    fuse_reply_readlink(req, text);
}
