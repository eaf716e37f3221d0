// SPDX-License-Identifier: Apache-2.0
// Where a file's bytes are, and are not: truncation, holes, sharing, layout, and putting them on disk.
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fsclient/local.h"

// Takes the bytes [from, to) of a chunk away, which metadata says are not to be seen. Space only: where it
// fails, and in a shared chunk, they stay, and whoever lengthens the chunk zeroes them.
static void
cut_tail(struct local *l, const struct meta_cut *cut)
{
    if (cut->id != 0 && !(cut->flags & META_CHUNK_SHARED))
        (void)chunk_truncate(l->c, cut->id, cut->from);
}

int
local_truncate(struct fsc *fs, const struct fsc_cred *cred, uint64_t ino, uint64_t size,
               struct fsc_attr *attr)
{
    struct local *l = LOCAL(fs);
    struct meta_cred buf;
    struct meta_cut cut = {0};
    struct meta_attr now;
    struct linode *in = linode_get(l, ino);
    int err;

    if (!in)
        return -ENOMEM;
    err = linode_lock(l, in);
    if (!err) {
        int pinned = local_pinned(l, ino);

        if (pinned) {
            err = pinned < 0 ? pinned : local_keep_truncate(l, ino, size, local_cred(cred, &buf), &now);
        } else {
            err = meta_truncate(l->m, local_cred(cred, &buf), ino, size, &cut, &now);
            if (!err)
                cut_tail(l, &cut);
        }
        linode_unlock(l, in);
        local_garbage_look(l);
    }
    linode_put(l, in);
    if (!err && attr)
        local_attr(&now, attr);
    return err;
}

// A chunk with gaps: how much of the disk it takes now, for st_blocks and quotas. True: that has changed.
bool
local_space(struct local *l, struct meta_chunk *c)
{
    struct chunk_info info;
    uint32_t before = c->space;

    if (chunk_stat(l->c, c->id, &info) != 0)
        return false;
    c->space = info.stored < c->length ? (uint32_t)info.stored : c->length;
    c->space = c->space ? c->space : 1; // 0 would mean all of it
    return c->space != before;
}

// Bytes inside of a chunk become zeros; of a shared chunk, in a copy.
static int
cut_middle(struct local *l, uint64_t ino, const struct meta_cut *cut)
{
    struct meta_chunk change;
    int err;

    if (meta_get_chunks(l->m, ino, cut->index, &change, 1) != 1 || change.id != cut->id)
        return -ESTALE;
    change.replaces = cut->id;
    if (!(cut->flags & META_CHUNK_SHARED)) {
        err = chunk_punch(l->c, cut->id, cut->from, cut->to - cut->from);
        if (err || !local_space(l, &change))
            return err;
        return meta_commit_write(l->m, ino, 0, META_KEEP_TIMES, &change, 1, NULL);
    }
    err = local_new_id(l, &change.id);
    if (!err)
        err = chunk_clone(l->c, cut->id, change.id);
    if (err)
        return err;
    err = chunk_punch(l->c, change.id, cut->from, cut->to - cut->from);
    local_space(l, &change);
    if (!err)
        err = meta_commit_write(l->m, ino, 0, 0, &change, 1, NULL);
    if (err)
        chunk_delete(l->c, change.id);
    else
        local_garbage_look(l);
    return err;
}

static int
punch(struct local *l, uint64_t ino, uint64_t offset, uint64_t length)
{
    struct meta_cut cut[2];
    int n = local_pinned(l, ino), err = 0;

    if (n)
        return n < 0 ? n : local_keep_punch(l, ino, offset, length);
    n = meta_punch(l->m, ino, offset, length, cut);
    for (int i = 0; i < n && !err; i++)
        err = cut_middle(l, ino, &cut[i]);
    local_garbage_look(l);
    return n < 0 ? n : err;
}

int
local_fallocate(struct fsc_file *file, int mode, uint64_t offset, uint64_t length)
{
    struct local *l = LOCAL(file->fs);
    struct linode *in = file->priv;
    struct meta_attr attr;
    int err;

    if (l->fs->opt.flags & FSC_RDONLY)
        return -EROFS;
    err = linode_lock(l, in);
    if (err)
        return err;
    err = meta_getattr(l->m, in->ino, &attr);
    if (!err)
        err = local_kill_suid(l, in->ino, &attr);
    if (!err && mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
        err = punch(l, in->ino, offset, length);
    if (!err && !(mode & FALLOC_FL_KEEP_SIZE) && offset + length > attr.size)
        err = meta_commit_write(l->m, in->ino, offset + length, 0, NULL, 0, NULL);
    linode_unlock(l, in);
    return err;
}

// Every chunk of the file, whoever wrote it, and then the metadata.
int
local_fsync(struct fsc_file *file, bool data_only)
{
    struct local *l = LOCAL(file->fs);
    struct meta_chunk v[64];
    uint64_t next = 0;
    ssize_t n = S_ISREG(file->type) ? 64 : 0;
    int err = 0;

    while (n == 64 && !err) {
        n = meta_get_chunks(l->m, file->ino, next, v, 64);
        for (ssize_t i = 0; i < n && !err; i++) {
            err = chunk_sync(l->c, v[i].id);
            if (err == -ENOENT) // replaced or cut off since; who did that answers for the new one
                err = 0;
            next = v[i].index + 1;
        }
    }
    if (n < 0)
        err = (int)n;
    return err ? err : meta_sync(l->m);
}

// ---- layout ----

// The next data (or hole) in chunk `c` at or after byte `at` of it; the end of what is stored where there is
// none.
static int64_t
seek_in_chunk(struct local *l, const struct meta_chunk *c, uint64_t at, int whence)
{
    int64_t r = chunk_seek(l->c, c->id, at, whence);

    if (r == -ENXIO || r > (int64_t)c->length)
        return c->length;
    return r;
}

int64_t
local_seek(struct fsc_file *file, uint64_t offset, int whence)
{
    struct local *l = LOCAL(file->fs);
    struct meta_attr attr;
    int err = meta_getattr(l->m, file->ino, &attr);

    if (err)
        return err;
    if (offset >= attr.size)
        return -ENXIO;
    while (offset < attr.size) {
        uint64_t index = offset / l->chunk_size, at = offset % l->chunk_size;
        struct meta_chunk c = {0};
        ssize_t n = meta_get_chunks(l->m, file->ino, index, &c, 1);
        bool here = n == 1 && c.index == index;
        int64_t to = 0;

        if (n < 0)
            return n;
        if (!here || at >= c.length) { // a hole, up to the next chunk that is there
            if (whence == SEEK_HOLE)
                return (int64_t)offset;
            if (n == 0)
                break;
            if (here) {
                offset = (index + 1) * l->chunk_size;
                continue;
            }
            offset = c.index * l->chunk_size;
            at = 0;
        }
        to = seek_in_chunk(l, &c, at, whence);
        if (to < 0)
            return to;
        if ((uint64_t)to < c.length || (whence == SEEK_HOLE && c.length < l->chunk_size)) {
            offset = c.index * l->chunk_size + (uint64_t)to;
            return (int64_t)(offset < attr.size ? offset : attr.size);
        }
        offset = (c.index + 1) * l->chunk_size;
    }
    return whence == SEEK_HOLE ? (int64_t)attr.size : -ENXIO;
}

static void
chunk_path(struct local *l, uint64_t id, char *out, size_t size)
{
    char link[64];
    struct chunk_fd fd;
    ssize_t n;

    out[0] = '\0';
    if (chunk_fd_open(l->c, id, O_RDONLY, &fd) != 0)
        return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd.fd);
    n = readlink(link, out, size);
    if (n < 0 || (size_t)n >= size)
        n = 0;
    out[n] = '\0';
    chunk_fd_close(&fd);
}

ssize_t
local_layout(struct fsc_file *file, uint64_t offset, uint64_t length, struct fsc_extent *v, size_t n)
{
    struct local *l = LOCAL(file->fs);
    struct meta_attr attr;
    uint64_t end;
    size_t got = 0;
    int err = meta_getattr(l->m, file->ino, &attr);

    if (err)
        return err;
    end = length < attr.size - (offset < attr.size ? offset : attr.size) ? offset + length : attr.size;
    while (offset < end && got < n) {
        uint64_t index = offset / l->chunk_size, stop = end;
        struct meta_chunk c;
        ssize_t k = meta_get_chunks(l->m, file->ino, index, &c, 1);
        bool hole = k == 0 || c.index > index;

        if (k < 0)
            return k;
        if (k == 1 && stop > (c.index + !hole) * l->chunk_size)
            stop = (c.index + !hole) * l->chunk_size;
        memset(&v[got], 0, sizeof v[got]);
        v[got].offset = offset;
        v[got].length = stop - offset;
        if (!hole) {
            v[got].chunk = c.id;
            v[got].shared = c.flags & META_CHUNK_SHARED;
            chunk_path(l, c.id, v[got].path, sizeof v[got].path);
        }
        got++;
        offset = stop;
    }
    return (ssize_t)got;
}

// The locks in the order of the inodes' numbers.
int
local_clone_range(struct fsc_file *src, uint64_t src_offset, struct fsc_file *dst, uint64_t dst_offset,
                  uint64_t length)
{
    struct local *l = LOCAL(src->fs);
    struct linode *a = src->priv, *b = dst->priv;
    struct linode *low = a->ino < b->ino ? a : b, *high = low == a ? b : a;
    int err;

    err = linode_lock(l, low);
    if (err)
        return err;
    if (high != low)
        err = linode_lock_second(l, high);
    if (!err) {
        // Chunks of a mapped file are not shared: what is stored there would show in both.
        err = local_pinned(l, a->ino);
        err = err ? err : local_pinned(l, b->ino);
        if (err > 0)
            err = -EINVAL;
        if (!err)
            err = meta_clone_range(l->m, a->ino, src_offset, b->ino, dst_offset, length, NULL);
        if (high != low)
            linode_unlock(l, high);
    }
    linode_unlock(l, low);
    local_garbage_look(l);
    return err;
}
