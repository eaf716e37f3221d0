// SPDX-License-Identifier: Apache-2.0
// Writing. Bytes that fall into chunks which are there, unshared and long enough, are written in place under
// the shared lock; times are then as coarse as the kernel's own (its clock ticks every few milliseconds),
// which spares most of the commits. All else goes under the exclusive lock: new chunks, longer chunks,
// private copies of shared ones; and then one commit that shows it all.
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "fsclient/local.h"

#define PIECES 32        // chunks that one commit covers
#define TICK_NS 10000000 // of the kernel's coarse clock, at most
#define TRIES 16         // attempts against others that change the map outside of our locks

// A place in a vector.
struct cursor {
    const struct iovec *iov;
    size_t skip;
};

static int64_t
coarse_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME_COARSE, &ts);
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

static void
cursor_move(struct cursor *c, size_t n)
{
    while (n > 0) {
        size_t part = c->iov->iov_len - c->skip < n ? c->iov->iov_len - c->skip : n;

        c->skip += part;
        n -= part;
        if (c->skip == c->iov->iov_len) {
            c->iov++;
            c->skip = 0;
        }
    }
}

// Writes `len` bytes from the cursor at `at` in chunk `id`; *done tells how many were.
static int
write_piece(struct local *l, uint64_t id, struct cursor *from, size_t len, uint64_t at, size_t *done)
{
    *done = 0;
    while (*done < len) {
        size_t part = len - *done;
        ssize_t n;

        while (from->skip == from->iov->iov_len) {
            from->iov++;
            from->skip = 0;
        }
        if (part > from->iov->iov_len - from->skip)
            part = from->iov->iov_len - from->skip;
        n = chunk_write(l->c, id, (const char *)from->iov->iov_base + from->skip, part, at + *done);
        if (n < 0)
            return (int)n;
        if (n == 0)
            return -EIO;
        from->skip += (size_t)n;
        *done += (size_t)n;
    }
    return 0;
}

int
local_kill_suid(struct local *l, uint64_t ino, const struct meta_attr *attr)
{
    struct meta_cred who;
    struct cred_buf buf;
    int err;

    if (__builtin_expect(!(attr->flags & META_F_CAPS) && !(attr->mode & (S_ISUID | S_ISGID)), 1))
        return 0;
    if (cred_own_root() && !(attr->flags & META_F_CAPS))
        return 0;
    if (!cred_get(NULL, false, &buf))
        return -ENOMEM;
    err = meta_setattr(l->m, local_cred(&buf.cred, &who), ino, META_SET_KILL_SUID, attr, NULL);
    cred_put(&buf);
    return err;
}

// ---- in place ----

// May [at, at + len) of this chunk be written in place?
static bool
in_place(const struct meta_chunk *c, uint64_t at, uint64_t len)
{
    return c->id && !(c->flags & META_CHUNK_SHARED) && at + len <= c->length;
}

// 0: the whole write is done. -EAGAIN: it is not of this kind, and nothing was done (or what was may be done
// again).
static int
overwrite(struct local *l, struct linode *in, struct cursor from, size_t total, uint64_t offset)
{
    uint64_t first = offset / l->chunk_size, last = (offset + total - 1) / l->chunk_size;
    struct meta_chunk map[PIECES], changes[PIECES];
    struct meta_attr attr;
    size_t done = 0, n, n_changes = 0;
    int64_t now;
    int err;

    if (last - first >= PIECES)
        return -EAGAIN;
    err = meta_getattr(l->m, in->ino, &attr);
    if (err)
        return err;
    if (offset + total > attr.size)
        return -EAGAIN;
    err = local_map(l, in, first, last, map);
    for (uint64_t i = first; i <= last && !err; i++) {
        uint64_t from_byte = i == first ? offset % l->chunk_size : 0;
        uint64_t to = i == last ? (offset + total - 1) % l->chunk_size + 1 : l->chunk_size;

        if (!in_place(&map[i - first], from_byte, to - from_byte))
            err = -EAGAIN;
    }
    while (done < total && !err) {
        uint64_t at = (offset + done) % l->chunk_size;
        size_t len = total - done;

        if (len > l->chunk_size - at)
            len = (size_t)(l->chunk_size - at);
        err = write_piece(l, map[(offset + done) / l->chunk_size - first].id, &from, len, at, &n);
        done += n;
    }
    if (err)
        return err == -ENOENT ? -EAGAIN : err;
    err = local_kill_suid(l, in->ino, &attr);
    now = coarse_now();
    for (uint64_t i = first; i <= last && !err; i++) { // gaps may have been filled
        struct meta_chunk *c = &map[i - first];

        c->replaces = c->id;
        if (c->space < c->length && local_space(l, c))
            changes[n_changes++] = *c;
    }
    // Not where the last change was in this very tick of the clock (a time further ahead was set by utimens).
    if (!err && !n_changes && attr.mtime >= now && attr.mtime - now < TICK_NS)
        meta_wrote(l->m, in->ino);
    else if (!err)
        err = meta_commit_write(l->m, in->ino, 0, now, changes, n_changes, NULL);
    return err;
}

// ---- everything else ----

// The change of one chunk: `c` as it is (id 0: a hole), bytes [at, at + len) to be written.
static int
prepare_chunk(struct local *l, const struct meta_chunk *c, uint64_t at, size_t len, struct meta_chunk *out,
              bool *fresh)
{
    bool whole = at == 0 && len >= c->length;
    int err = 0;

    *out = *c;
    out->replaces = c->id;
    *fresh = c->id == 0 || c->flags & META_CHUNK_SHARED;
    if (*fresh) {
        err = local_new_id(l, &out->id);
        if (!err)
            err = c->id == 0 || whole ? chunk_create(l->c, out->id) : chunk_clone(l->c, c->id, out->id);
        if (err)
            return err;
        if (whole)
            out->length = 0;
    }
    // What an earlier, longer life of the chunk has left between its end and the new bytes must not show.
    if (at > out->length && c->id && !whole)
        err = chunk_punch(l->c, out->id, out->length, at - out->length);
    if (err == -EOPNOTSUPP) // no holes below: cut off instead; the write makes it longer again
        err = chunk_truncate(l->c, out->id, out->length);
    if (err && *fresh)
        chunk_delete(l->c, out->id);
    return err;
}

// Bytes allocated: all that was written, without the gaps of a sparse file.
static uint32_t
space_after(const struct meta_chunk *old, const struct meta_chunk *now, uint64_t at, size_t len)
{
    uint64_t old_length = now->length ? old->length : 0,
             grown = at + len > old_length ? at + len - old_length : 0;
    uint64_t space = old->id ? old->space : 0;

    space += grown < len ? grown : len;
    if (space > at + len && space > old_length)
        space = at + len > old_length ? at + len : old_length;
    return space ? (uint32_t)space : 1;
}

struct batch {
    struct meta_chunk changes[PIECES];
    bool fresh[PIECES]; // made by this write
    size_t n;
};

// The data of one chunk, and its change into the batch. *n: bytes written; none: no change either.
static int
batch_add(struct local *l, struct batch *b, const struct meta_chunk *c, struct cursor *from, size_t len,
          uint64_t at, size_t *n)
{
    struct meta_chunk *to = &b->changes[b->n];
    int err;

    *n = 0;
    err = prepare_chunk(l, c, at, len, to, &b->fresh[b->n]);
    if (err)
        return err;
    err = write_piece(l, to->id, from, len, at, n);
    if (*n == 0) {
        if (b->fresh[b->n])
            chunk_delete(l->c, to->id);
        return err;
    }
    to->space = space_after(c, to, at, *n);
    if (at + *n > to->length)
        to->length = (uint32_t)(at + *n);
    if (c->id && c->space < c->length) // it had gaps, and the write may have filled some
        local_space(l, to);
    b->n++;
    return err;
}

static int
batch_commit(struct local *l, struct linode *in, struct batch *b, uint64_t size)
{
    int err = meta_commit_write(l->m, in->ino, size, coarse_now(), b->changes, b->n, NULL);

    for (size_t i = 0; err && i < b->n; i++)
        if (b->fresh[i])
            chunk_delete(l->c, b->changes[i].id);
    if (!err)
        local_garbage_look(l);
    return err;
}

// Writes up to PIECES chunks' worth and commits it. The lock is held. *done: bytes that are written and
// committed.
static int
write_batch(struct local *l, struct linode *in, struct cursor *from, size_t total, uint64_t offset,
            size_t *done)
{
    uint64_t first = offset / l->chunk_size, last = (offset + total - 1) / l->chunk_size;
    struct meta_chunk map[PIECES];
    struct batch b = {.n = 0};
    uint32_t version = meta_version(l->m, in->ino);
    int err, bad = 0;

    *done = 0;
    if (last - first >= PIECES)
        last = first + PIECES - 1;
    err = local_map(l, in, first, last, map);
    if (err)
        return err;
    for (uint64_t i = first; i <= last && !bad; i++) {
        uint64_t at = (offset + *done) % l->chunk_size;
        size_t len = total - *done, n;

        if (len > l->chunk_size - at)
            len = (size_t)(l->chunk_size - at);
        map[i - first].index = i;
        bad = batch_add(l, &b, &map[i - first], from, len, at, &n);
        *done += n;
    }
    if (*done == 0)
        return bad;
    err = batch_commit(l, in, &b, offset + *done);
    if (err)
        *done = 0;
    else
        local_map_changed(l, in, version, b.changes, b.n);
    return err ? err : bad;
}

static ssize_t
write_locked(struct local *l, struct linode *in, const struct iovec *iov, size_t total, uint64_t *offset,
             bool append)
{
    struct cursor from = {.iov = iov}, start;
    struct meta_attr attr;
    size_t done = 0, n;
    int err = meta_getattr(l->m, in->ino, &attr), tries = 0;

    if (err)
        return err;
    if (append)
        *offset = attr.size;
    if (*offset >= INT64_MAX)
        return -EFBIG;
    if (total > INT64_MAX - *offset)
        total = (size_t)(INT64_MAX - *offset);
    err = local_kill_suid(l, in->ino, &attr);
    while (done < total && !err) {
        start = from;
        err = write_batch(l, in, &from, total - done, *offset + done, &n);
        done += n;
        if (err) {
            from = start;
            cursor_move(&from, n);
        }
        if (err == -ESTALE && tries++ < TRIES) // somebody without our locks, such as a check that repairs
            err = meta_getattr(l->m, in->ino, &attr);
        else if (err == -ENOSPC && tries++ == 0) // what waits for its deletion may be all that is missing
            err = local_garbage_take(l) == 0 ? 0 : -ENOSPC;
    }
    return done > 0 ? (ssize_t)done : err;
}

ssize_t
local_pwritev(struct fsc_file *file, const struct iovec *iov, int count, uint64_t offset, bool append,
              uint64_t *end)
{
    struct local *l = LOCAL(file->fs);
    struct linode *in = file->priv;
    struct meta_attr attr;
    size_t total = 0;
    ssize_t n = -EAGAIN;
    int err;

    if (l->fs->opt.flags & FSC_RDONLY)
        return -EROFS;
    for (int i = 0; i < count; i++)
        total += iov[i].iov_len;
    // What grows the file is not of the first kind; nothing is lost where that changes meanwhile.
    if (!append && meta_getattr(l->m, in->ino, &attr) == 0 && offset + total <= attr.size) {
        err = linode_lock_shared(l, in);
        if (err)
            return err;
        n = overwrite(l, in, (struct cursor){.iov = iov}, total, offset);
        linode_unlock_shared(l, in);
        if (n == 0)
            n = (ssize_t)total;
    }
    if (n == -EAGAIN) {
        err = linode_lock(l, in);
        if (err)
            return err;
        n = write_locked(l, in, iov, total, &offset, append);
        linode_unlock(l, in);
    }
    if (n >= 0) {
        *end = offset + (uint64_t)n;
        meta_count_io(l->m, true, (uint64_t)n);
    }
    return n;
}
