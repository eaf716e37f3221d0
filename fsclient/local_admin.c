// SPDX-License-Identifier: Apache-2.0
// Trees, usage, quotas and trash of local:DIR.
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "fsclient/local_ops.h"

// Nobody writes in place while chunks become shared.
int
local_clone_tree(struct fsc *fs, const struct fsc_cred *cred, uint64_t ino, uint64_t dir, const char *name,
                 bool snapshot)
{
    struct local *l = LOCAL(fs);
    struct meta_cred buf;
    struct meta_swap *swap;
    struct meta_attr a;
    size_t nswap;
    int fd, err;

    if (fs->opt.flags & FSC_RDONLY)
        return -EROFS;
    fd = local_lock_all(l);
    if (fd < 0)
        return fd;
    err = local_keep_swaps(l, ino, &swap, &nswap);
    if (!err) {
        err = meta_clone_tree_but(l->m, local_cred(cred, &buf), ino, dir, name, snapshot, swap, nswap, &a);
        local_keep_swapped(l, swap, nswap, !err);
    }
    close(fd);
    return err;
}

int
local_remove_tree(struct fsc *fs, const struct fsc_cred *cred, uint64_t dir, const char *name,
                  uint64_t *removed)
{
    struct meta_cred buf;
    int err = meta_remove_tree(LOCAL(fs)->m, local_cred(cred, &buf), dir, name, removed);

    if (!err)
        local_garbage_take(LOCAL(fs));
    return err;
}

static void
give_usage(const struct meta_usage *in, struct fsc_usage *out)
{
    *out = (struct fsc_usage){in->space, in->inodes, in->max_space, in->max_inodes};
}

int
local_usage(struct fsc *fs, struct fsc_usage *usage)
{
    struct meta_usage u;
    int err = meta_usage(LOCAL(fs)->m, &u);

    if (!err)
        give_usage(&u, usage);
    return err;
}

static enum meta_quota_kind
quota_kind(enum fsc_quota_kind kind)
{
    return kind == FSC_QUOTA_DIR ? META_QUOTA_DIR : META_QUOTA_USER;
}

int
local_quota_set(struct fsc *fs, const struct fsc_cred *cred, enum fsc_quota_kind kind, uint64_t id,
                uint64_t max_space, uint64_t max_inodes)
{
    struct meta_cred buf;

    return meta_quota_set(LOCAL(fs)->m, local_cred(cred, &buf), quota_kind(kind), id, max_space, max_inodes);
}

int
local_quota_get(struct fsc *fs, enum fsc_quota_kind kind, uint64_t id, struct fsc_usage *usage)
{
    struct meta_usage u;
    int err = meta_quota_get(LOCAL(fs)->m, quota_kind(kind), id, &u);

    if (!err)
        give_usage(&u, usage);
    return err;
}

ssize_t
local_quota_list(struct fsc *fs, size_t skip, struct fsc_quota *v, size_t n)
{
    struct meta_quota batch[16];
    size_t got = 0;
    ssize_t k = 1;

    for (; got < n && k > 0; got += (size_t)k) {
        k = meta_quota_list(LOCAL(fs)->m, skip + got, batch, n - got < 16 ? n - got : 16);
        if (k < 0)
            return k;
        for (ssize_t i = 0; i < k; i++) {
            struct fsc_quota *q = &v[got + (size_t)i];

            q->kind = batch[i].kind == META_QUOTA_DIR ? FSC_QUOTA_DIR : FSC_QUOTA_USER;
            q->id = batch[i].id;
            give_usage(&batch[i].usage, &q->usage);
        }
    }
    return (ssize_t)got;
}

ssize_t
local_trash_list(struct fsc *fs, const struct fsc_cred *cred, uint64_t after, struct fsc_trash *v, size_t n)
{
    struct meta_trash batch[8];
    struct meta_cred buf;
    size_t got = 0;
    ssize_t k = 1;

    while (got < n && k > 0) {
        k = meta_trash_list(LOCAL(fs)->m, local_cred(cred, &buf), after, batch, n - got < 8 ? n - got : 8);
        if (k < 0)
            return k;
        for (ssize_t i = 0; i < k; i++, got++) {
            const struct meta_trash *t = &batch[i];

            v[got] = (struct fsc_trash){t->ino, t->size, t->parent, t->uid, t->deleted, t->expires, ""};
            memcpy(v[got].name, t->name, sizeof v[got].name);
            after = t->ino;
        }
    }
    return (ssize_t)got;
}

int
local_trash_restore(struct fsc *fs, const struct fsc_cred *cred, uint64_t ino, uint64_t dir, const char *name)
{
    struct meta_cred buf;
    struct meta_attr a;

    return meta_trash_restore(LOCAL(fs)->m, local_cred(cred, &buf), ino, dir, name, &a);
}

ssize_t
local_trash_purge(struct fsc *fs, const struct fsc_cred *cred, uint64_t ino)
{
    struct meta_cred buf;
    ssize_t n = meta_trash_purge(LOCAL(fs)->m, local_cred(cred, &buf), ino, INT64_MAX);

    if (n > 0)
        local_garbage_take(LOCAL(fs));
    return n;
}

// What the disk below has, narrowed by the volume's limits and by a directory's quota.
static void
narrow(struct statvfs *out, const struct meta_usage *u)
{
    uint64_t unit = out->f_frsize, left;

    if (u->max_space) {
        left = u->space < u->max_space ? (u->max_space - u->space) / unit : 0;
        out->f_blocks = u->max_space / unit;
        out->f_bfree = left < out->f_bfree ? left : out->f_bfree;
        out->f_bavail = left < out->f_bavail ? left : out->f_bavail;
    }
    if (u->max_inodes) {
        left = u->inodes < u->max_inodes ? u->max_inodes - u->inodes : 0;
        out->f_files = u->max_inodes;
        out->f_ffree = left < out->f_ffree ? left : out->f_ffree;
        out->f_favail = out->f_ffree;
    }
}

int
local_statvfs(struct fsc *fs, uint64_t ino, struct statvfs *out)
{
    struct local *l = LOCAL(fs);
    struct meta_usage u, quota;
    struct meta_attr a;
    struct statvfs below;
    int err = meta_getattr(l->m, ino, &a);

    if (!err)
        err = meta_usage(l->m, &u);
    if (!err && statvfs(l->dir, &below) != 0)
        err = -errno;
    if (err)
        return err;
    memset(out, 0, sizeof *out);
    out->f_bsize = 65536;
    out->f_frsize = below.f_frsize;
    out->f_bfree = below.f_bfree;
    out->f_bavail = below.f_bavail;
    out->f_blocks = below.f_bfree + u.space / out->f_frsize;
    out->f_ffree = out->f_favail =
        UINT32_MAX; // two rows and two files of the disk each; that ends first by space
    out->f_files = u.inodes + out->f_ffree;
    out->f_fsid = fs->dev;
    out->f_namemax = FSC_NAME_MAX;
    out->f_flag = fs->opt.flags & FSC_RDONLY ? ST_RDONLY : 0;
    narrow(out, &u);
    if (a.quota && meta_quota_get(l->m, META_QUOTA_DIR, a.quota, &quota) == 0)
        narrow(out, &quota);
    return 0;
}

ssize_t
local_sessions(struct fsc *fs, size_t skip, struct fsc_session *v, size_t n)
{
    struct meta_session in;
    size_t k = 0;
    ssize_t r = 1;

    for (; k < n && (r = meta_sessions(LOCAL(fs)->m, skip + k, &in, 1)) > 0; k++)
        v[k] = (struct fsc_session){.id = in.number,
                                    .pid = in.pid,
                                    .foreign = in.foreign,
                                    .own = in.own,
                                    .reads = in.stats.file_reads,
                                    .read_bytes = in.stats.file_read_bytes,
                                    .writes = in.stats.file_writes,
                                    .write_bytes = in.stats.file_write_bytes,
                                    .lookups = in.stats.lookups + in.stats.getattrs,
                                    .changes = in.stats.changes,
                                    .syncs = in.stats.syncs};
    return r < 0 ? r : (ssize_t)k;
}
