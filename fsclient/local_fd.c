// SPDX-License-Identifier: Apache-2.0
// Descriptors of a file's chunks. What they show must be what the file has: so a chunk that is to be kept is
// made the file's alone, exactly as long as the file goes on in it, and the inode is pinned (local_pin.c), so
// that from then on changes leave the chunk in its place (local_keep.c).
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "fsclient/local.h"

#define TRIES 16

static void
place(const struct local *l, uint64_t offset, uint64_t size, struct fsc_chunk *out)
{
    uint64_t start = offset - offset % l->chunk_size;

    *out = (struct fsc_chunk){.fd = -1, .offset = start, .room = l->chunk_size};
    out->span = start >= size ? 0 : size - start < l->chunk_size ? size - start : l->chunk_size;
}

// The chunk as it is, in one look.
static int
look(struct local *l, struct linode *in, uint64_t offset, struct fsc_chunk *out)
{
    struct meta_chunk c = {0};
    struct meta_attr attr;
    struct chunk_fd cfd = {.fd = -1};
    int err;

    for (int i = 0; i < TRIES; i++) {
        uint32_t version = meta_version(l->m, in->ino);

        err = meta_getattr(l->m, in->ino, &attr);
        if (err)
            return err;
        place(l, offset, attr.size, out);
        if (out->span > 0)
            err = local_map(l, in, offset / l->chunk_size, offset / l->chunk_size, &c);
        if (err)
            return err;
        if (out->span == 0 || c.id == 0) {
            if (meta_version(l->m, in->ino) == version)
                return 0;
            continue;
        }
        err = chunk_fd_open(l->c, c.id, O_RDONLY, &cfd);
        if (err && err != -ENOENT)
            return err;
        if (!err && meta_version(l->m, in->ino) == version) {
            out->fd = cfd.fd;
            out->length = c.length < out->span ? c.length : out->span;
            return 0;
        }
        if (!err)
            close(cfd.fd);
    }
    return -EAGAIN;
}

int
local_fit(struct local *l, struct meta_chunk *c, uint64_t span, bool *changed)
{
    struct chunk_info info;
    int err = chunk_stat(l->c, c->id, &info);

    if (!err && info.size > c->length && (info.size != span || c->length != span)) {
        err = chunk_truncate(l->c, c->id, c->length);
        info.size = c->length;
    }
    if (!err && info.size < span)
        err = chunk_truncate(l->c, c->id, span);
    if (!err && c->length < span) {
        c->length = (uint32_t)span;
        *changed = true;
    }
    return err;
}

// Opened, and held or announced.
static int
open_kept(struct local *l, uint64_t id, unsigned how, int *fd)
{
    struct chunk_fd cfd = {.fd = -1};
    int err = -ESTALE;

    for (int i = 0; i < TRIES && err == -ESTALE; i++) {
        err = chunk_fd_open(l->c, id, how & FSC_CHUNK_WRITE ? O_RDWR : O_RDONLY, &cfd);
        if (err)
            return err;
        err = how & FSC_CHUNK_STORE ? chunk_fd_begin_write(l->c, &cfd, 0, l->chunk_size)
                                    : chunk_fd_hold(l->c, &cfd);
        if (err)
            close(cfd.fd);
    }
    *fd = cfd.fd;
    return err;
}

// The lock is held.
static int
keep(struct local *l, struct linode *in, uint64_t offset, unsigned how, struct fsc_chunk *out)
{
    struct meta_chunk c = {0};
    struct meta_attr attr;
    bool fresh = false, changed = false;
    int err = meta_getattr(l->m, in->ino, &attr);

    if (err)
        return err;
    place(l, offset, attr.size, out);
    if (out->span == 0)
        return 0;
    err = local_map(l, in, offset / l->chunk_size, offset / l->chunk_size, &c);
    if (err)
        return err;
    c.index = offset / l->chunk_size;
    c.replaces = c.id;
    c.space = c.space ? c.space : 1;
    if (c.id == 0 || c.flags & META_CHUNK_SHARED) {
        err = local_new_id(l, &c.id);
        if (!err)
            err = c.replaces ? chunk_clone(l->c, c.replaces, c.id) : chunk_create(l->c, c.id);
        fresh = changed = !err;
    }
    if (!err)
        err = local_fit(l, &c, out->span, &changed);
    if (!err)
        err = open_kept(l, c.id, how, &out->fd);
    if (!err && changed)
        err = meta_commit_write(l->m, in->ino, 0, META_KEEP_TIMES, &c, 1, NULL);
    if (err) {
        if (out->fd >= 0)
            close(out->fd);
        out->fd = -1;
        if (fresh)
            chunk_delete(l->c, c.id);
        return err;
    }
    local_garbage_look(l);
    out->length = out->span;
    out->kept = true;
    return 0;
}

int
local_chunk_fd(struct fsc_file *file, uint64_t offset, unsigned how, struct fsc_chunk *out)
{
    struct local *l = LOCAL(file->fs);
    struct linode *in = file->priv;
    struct meta_attr attr;
    int err = meta_getattr(l->m, in->ino, &attr);

    if (err)
        return err;
    if (!(how & FSC_CHUNK_KEEP))
        return look(l, in, offset, out);
    if (l->fs->opt.flags & FSC_RDONLY || attr.flags & META_F_SNAPSHOT)
        return how & FSC_CHUNK_WRITE ? -EROFS : look(l, in, offset, out);
    err = linode_lock(l, in);
    if (err)
        return err;
    if (!atomic_load(&file->pinned)) {
        err = local_pin(l, in->ino);
        atomic_store(&file->pinned, !err);
    }
    for (int i = 0; !err && i < TRIES; i++) {
        err = keep(l, in, offset, how, out);
        if (err != -ESTALE) // else somebody without our locks, such as a check that repairs
            break;
        err = i == TRIES - 1 ? -EBUSY : 0;
    }
    linode_unlock(l, in);
    return err;
}

// ---- times and space ----

static int
settle_one(struct local *l, struct linode *in, struct meta_chunk *c)
{
    struct meta_attr attr;
    struct chunk_info info;
    uint64_t space;
    int err = chunk_stat(l->c, c->id, &info);

    if (!err)
        err = meta_getattr(l->m, in->ino, &attr);
    if (err)
        return err;
    // A change of the inode since then has set its times by itself, or set them on purpose.
    if (info.changed <= attr.ctime)
        return 0;
    space = info.stored < c->length ? info.stored : c->length;
    c->space = space > c->space ? (uint32_t)space : c->space ? c->space : 1;
    c->replaces = c->id;
    err = meta_commit_write(l->m, in->ino, 0, info.changed, c, c->flags & META_CHUNK_SHARED ? 0 : 1, NULL);
    return err == -ESTALE ? 0 : err; // another chunk by now: it was replaced by a write, which set the times
}

int
local_settle(struct fsc_file *file, uint64_t offset, uint64_t length)
{
    struct local *l = LOCAL(file->fs);
    struct linode *in = file->priv;
    struct meta_chunk v[16];
    uint64_t next = offset / l->chunk_size, last;
    ssize_t n = 16;
    int err = 0;

    if (length == 0 || l->fs->opt.flags & FSC_RDONLY)
        return 0;
    last = (offset + length - 1) / l->chunk_size;
    while (n == 16 && next <= last && !err) {
        n = meta_get_chunks(l->m, in->ino, next, v, 16);
        for (ssize_t i = 0; i < n && !err; i++) {
            next = v[i].index + 1;
            if (v[i].index > last)
                break;
            err = settle_one(l, in, &v[i]);
            if (err == -ENOENT)
                err = 0;
        }
    }
    return n < 0 ? (int)n : err;
}

int
local_verify(struct fsc_file *file, uint64_t offset, uint64_t length)
{
    struct local *l = LOCAL(file->fs);
    uint64_t end = offset + length;
    int err = 0;

    while (offset < end && !err) {
        uint64_t at = offset % l->chunk_size, part = l->chunk_size - at;
        struct meta_chunk c;

        if (part > end - offset)
            part = end - offset;
        err = local_map(l, file->priv, offset / l->chunk_size, offset / l->chunk_size, &c);
        if (!err && c.id && at < c.length)
            err = chunk_verify(l->c, c.id, at, part < c.length - at ? part : c.length - at);
        if (err == -ENOENT) // replaced meanwhile
            err = 0;
        offset += part;
    }
    return err;
}
