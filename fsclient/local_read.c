// SPDX-License-Identifier: Apache-2.0
// Reading takes no lock: the chunks are looked up, read, and looked up again where the inode's version has
// moved meanwhile. Only a file that never rests is read under its lock.
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "fsclient/local.h"

#define PIECES 32 // chunks that are looked up at once
#define TRIES 8   // readings without the lock
#define QUICK 255 // reads without a look at the clock, for access times

// Reads [offset, offset + len) of the file, all within chunk `c` (a hole where its id is 0): 0, or an error.
static int
read_piece(struct local *l, const struct meta_chunk *c, char *buf, size_t len, uint64_t offset, size_t *done)
{
    uint64_t at = offset % l->chunk_size;
    size_t have = c->id && at < c->length ? c->length - at : 0;

    *done = 0;
    if (have > len)
        have = len;
    while (*done < have) {
        ssize_t n = chunk_read(l->c, c->id, buf + *done, have - *done, at + *done);

        if (n < 0)
            return (int)n;
        if (n == 0) // the chunk's file ends before the length: a hole at its end
            break;
        *done += (size_t)n;
    }
    memset(buf + *done, 0, len - *done);
    *done = len;
    return 0;
}

// One reading of `total` bytes, which are all before the end of the file. `moved` is set if it must be done
// again.
static ssize_t
read_once(struct local *l, struct linode *in, const struct iovec *iov, size_t total, uint64_t offset)
{
    struct meta_chunk map[PIECES];
    uint64_t map_first = 1, map_last = 0;
    size_t done = 0, skip = 0, n;
    int err;

    while (done < total) {
        uint64_t at = offset + done, index = at / l->chunk_size;
        size_t len = total - done;

        if (index < map_first || index > map_last) {
            map_first = index;
            map_last = (offset + total - 1) / l->chunk_size;
            if (map_last - map_first >= PIECES)
                map_last = map_first + PIECES - 1;
            err = local_map(l, in, map_first, map_last, map);
            if (err)
                return err;
        }
        while (skip == iov->iov_len) {
            iov++;
            skip = 0;
        }
        if (len > iov->iov_len - skip)
            len = iov->iov_len - skip;
        if (len > l->chunk_size - at % l->chunk_size)
            len = l->chunk_size - at % l->chunk_size;
        err = read_piece(l, &map[index - map_first], (char *)iov->iov_base + skip, len, at, &n);
        done += n;
        skip += n;
        if (err == -EIO && done > 0)
            return (ssize_t)done; // the next call meets it
        if (err == -EIO)
            fsc_tell(&l->fs->opt, "%s: inode %llu cannot be read at offset %llu: chunk %llu is damaged there",
                     l->dir, (unsigned long long)in->ino, (unsigned long long)at,
                     (unsigned long long)map[index - map_first].id);
        if (err)
            return err;
    }
    return (ssize_t)done;
}

static ssize_t
read_try(struct local *l, struct linode *in, const struct iovec *iov, size_t want, uint64_t offset)
{
    struct meta_attr attr;
    int err = meta_getattr(l->m, in->ino, &attr);

    if (err)
        return err;
    if (offset >= attr.size)
        return 0;
    if (want > attr.size - offset)
        want = (size_t)(attr.size - offset);
    return read_once(l, in, iov, want, offset);
}

// ---- a read within one chunk of an inode that has not changed: what is known of it is enough ----

// 0: the entry's content as of `version`, whole.
static int
hot_get(struct linode *in, uint64_t index, uint32_t version, struct meta_chunk *c, uint64_t *size)
{
    struct hot *h = &in->hot[index & (LOCAL_HOT - 1)];
    uint32_t seq = atomic_load_explicit(&h->seq, memory_order_acquire);

    if (seq & 1 || atomic_load_explicit(&h->version, memory_order_relaxed) != version ||
        atomic_load_explicit(&h->index, memory_order_relaxed) != index)
        return -EAGAIN;
    c->id = atomic_load_explicit(&h->id, memory_order_relaxed);
    c->length = atomic_load_explicit(&h->length, memory_order_relaxed);
    *size = atomic_load_explicit(&h->size, memory_order_relaxed);
    // Pairs with the release fence in hot_put.
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(&h->seq, memory_order_relaxed) == seq ? 0 : -EAGAIN;
}

static void
hot_put(struct local *l, struct linode *in, uint64_t index, uint32_t version)
{
    struct hot *h = &in->hot[index & (LOCAL_HOT - 1)];
    struct meta_attr attr;
    struct meta_chunk c;
    uint32_t seq = atomic_load_explicit(&h->seq, memory_order_relaxed);

    if (version & 1 || meta_getattr(l->m, in->ino, &attr) || local_map(l, in, index, index, &c) ||
        meta_version(l->m, in->ino) != version)
        return;
    // Who comes second leaves it to the first.
    if (seq & 1 || !atomic_compare_exchange_strong_explicit(&h->seq, &seq, seq + 1, memory_order_acquire,
                                                            memory_order_relaxed))
        return;
    atomic_thread_fence(memory_order_release);
    atomic_store_explicit(&h->version, version, memory_order_relaxed);
    atomic_store_explicit(&h->index, index, memory_order_relaxed);
    atomic_store_explicit(&h->id, c.id, memory_order_relaxed);
    atomic_store_explicit(&h->length, c.length, memory_order_relaxed);
    atomic_store_explicit(&h->size, attr.size, memory_order_relaxed);
    atomic_store_explicit(&h->seq, seq + 2, memory_order_release);
}

// -EAGAIN: not this way.
static ssize_t
read_hot(struct local *l, struct linode *in, char *buf, size_t want, uint64_t offset)
{
    uint64_t index = offset >> l->chunk_shift, at = offset & (l->chunk_size - 1), size;
    uint32_t version = meta_version(l->m, in->ino), quick;
    struct meta_chunk c;
    size_t have;
    ssize_t n;

    if (version & 1 || hot_get(in, index, version, &c, &size) != 0)
        return -EAGAIN;
    // Now and then the long way, which looks whether the access time is a day old. A lost count does no harm.
    quick = atomic_load_explicit(&in->quick, memory_order_relaxed);
    atomic_store_explicit(&in->quick, quick + 1, memory_order_relaxed);
    if ((quick & QUICK) == QUICK)
        return -EAGAIN;
    if (offset >= size)
        return 0;
    if (want > size - offset)
        want = (size_t)(size - offset);
    if (want > l->chunk_size - at)
        return -EAGAIN;
    have = !c.id || at >= c.length ? 0 : c.length - at < want ? (size_t)(c.length - at) : want;
    if (have > 0) {
        n = chunk_read(l->c, c.id, buf, have, at);
        if (n != (ssize_t)have)
            return -EAGAIN;
    }
    if (want > have)
        memset(buf + have, 0, want - have);
    return meta_version(l->m, in->ino) == version ? (ssize_t)want : -EAGAIN;
}

ssize_t
local_preadv(struct fsc_file *file, const struct iovec *iov, int count, uint64_t offset)
{
    struct local *l = LOCAL(file->fs);
    struct linode *in = file->priv;
    size_t want = 0;
    uint32_t before;
    ssize_t n;
    int err;

    if (count == 1) {
        n = read_hot(l, in, iov->iov_base, iov->iov_len, offset);
        if (n != -EAGAIN) {
            meta_count_io(l->m, false, (uint64_t)n);
            return n;
        }
    }
    for (int i = 0; i < count; i++)
        want += iov[i].iov_len;
    for (int i = 0; i < TRIES; i++) {
        before = meta_version(l->m, in->ino);
        n = read_try(l, in, iov, want, offset);
        if (n < 0 && n != -ENOENT)
            break;
        if (n != -ENOENT && !(before & 1) && meta_version(l->m, in->ino) == before)
            break;
        n = -EAGAIN;
    }
    if (n == -EAGAIN) {
        err = linode_lock_shared(l, in);
        if (err)
            return err;
        n = read_try(l, in, iov, want, offset);
        linode_unlock_shared(l, in);
        if (n == -ENOENT)
            n = -EIO;
    }
    if (n >= 0 && !(atomic_load_explicit(&file->flags, memory_order_relaxed) & O_NOATIME)) {
        meta_touch_atime(l->m, in->ino);
        if (n > 0 && count == 1)
            hot_put(l, in, offset >> l->chunk_shift, meta_version(l->m, in->ino));
    }
    if (n >= 0)
        meta_count_io(l->m, false, (uint64_t)n);
    return n;
}
