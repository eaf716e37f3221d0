// SPDX-License-Identifier: Apache-2.0
// Clones by reference. With reflinks, the clone is a file of its own from the start. Without, source and
// clone are two names of one file; its link count, which the file system keeps right through any crash, says
// that it is shared. The first change of either chunk gives that one a copy under its name (copy, flush,
// rename). Reading never copies.
#include <errno.h>
#include <unistd.h>

#include "chunk/impl.h"

int
clone_shared(struct chunk_file *cf)
{
    struct stat st;

    return fstat(cf->file.fd, &st) != 0 ? -errno : st.st_nlink > 1;
}

static int
copy_range(struct chunk_store *s, int from, int to, uint64_t off, uint64_t end, void *buf)
{
    while (off < end) {
        size_t len = end - off < SCRATCH_SIZE ? (size_t)(end - off) : SCRATCH_SIZE;
        ssize_t n = io_pread_full(s, from, buf, len, off);
        int error;

        if (n <= 0)
            return (int)n;
        if (io_pwrite_full(s, to, buf, (size_t)n, off, &error) != n)
            return error;
        off += (uint64_t)n;
    }
    return 0;
}

// Copy the first len bytes, or what there is of them, holes as holes.
static int
copy_data(struct chunk_store *s, int from, int to, uint64_t len)
{
    void *buf = store_scratch(s);
    struct stat st;
    int r = 0;

    if (!buf)
        return -ENOMEM;
    if (fstat(from, &st) != 0) {
        r = -errno;
        goto out;
    }
    if (len > (uint64_t)st.st_size)
        len = (uint64_t)st.st_size;
    for (uint64_t off = 0; off < len && r == 0;) {
        off_t data = lseek(from, (off_t)off, SEEK_DATA), hole;

        if (data < 0 && errno == ENXIO)
            break;
        if (data < 0)
            data = (off_t)off; // a file system without holes
        if ((hole = lseek(from, data, SEEK_HOLE)) < 0 || (uint64_t)hole > len)
            hole = (off_t)len;
        r = copy_range(s, from, to, (uint64_t)data, (uint64_t)hole, buf);
        off = (uint64_t)hole;
    }
    if (r == 0)
        r = io_ftruncate(s, to, len);
out:
    store_unscratch(s, buf);
    return r;
}

// A new, empty file under the chunk's temporary name. Who may make it has the chunk, or the group lock, for
// himself.
static int
open_tmp(struct chunk_store *s, uint64_t id, char tmp[NAME_SIZE])
{
    store_name(tmp, NAME_TMP, id);
    return io_open(s, tmp, O_RDWR | O_CREAT | O_TRUNC);
}

int
clone_break(struct chunk_store *s, struct chunk_file *cf, uint64_t keep)
{
    uint64_t id = atomic_load(&cf->id), seq = cf->seq;
    char tmp[NAME_SIZE], name[NAME_SIZE];
    struct owned_fd own;
    int fd, r = clone_shared(cf);

    if (r < 0)
        return r;
    if (r == 0) {
        // The others have gone their way. That must be on disk before this file is written to: else after a
        // crash of the machine one of them might have its name for it again, and find this chunk's new bytes.
        // The change of the link count takes it there: it is in the same transaction.
        if ((r = io_fsync(s, cf->file.fd)) < 0)
            return r;
        store_step(s, "break-alone");
        atomic_fetch_and(&cf->slot[SLOT_FLAGS], ~(uint64_t)SLOT_SHARED);
        return 0;
    }
    if ((fd = open_tmp(s, id, tmp)) < 0)
        return fd;
    own = io_own(fd);
    store_step(s, "break-tmp");
    // Flushed before it gets the name: what was synced in the old file must be in the new one too.
    if ((r = copy_data(s, cf->file.fd, fd, keep)) < 0 || (r = io_fdatasync(s, fd)) < 0)
        goto out;
    store_step(s, "break-copied");
    store_name(name, NAME_DATA, id);
    // Odd while the name changes its meaning: who reads the old file around this time starts over.
    atomic_store(&cf->slot[SLOT_SEQ], seq + 1);
    // Before it is: we may be killed, and who syncs the new file must see it from the start.
    atomic_fetch_or(&cf->slot[SLOT_FLAGS], SLOT_NAME_NEW);
    r = io_rename(s, tmp, name);
    store_step(s, "break-renamed");
    atomic_store(&cf->slot[SLOT_SEQ], r ? seq : seq + 2);
    if (r == 0) {
        atomic_fetch_and(&cf->slot[SLOT_FLAGS], ~(uint64_t)SLOT_SHARED);
        write_note(cf);
    }
out:
    io_disown(&own);
    if (r == 0)
        return -ESTALE;
    (void)io_unlink(s, tmp);
    return r;
}

// Give dst the data by a file of its own: a reflink, or a copy.
static int
clone_file(struct chunk_store *s, struct chunk_file *src, uint64_t dst, bool copy)
{
    char tmp[NAME_SIZE], name[NAME_SIZE];
    struct owned_fd own;
    int fd = open_tmp(s, dst, tmp), r;

    if (fd < 0)
        return fd;
    own = io_own(fd);
    r = copy ? copy_data(s, src->file.fd, fd, s->chunk_size) : io_clone(s, fd, src->file.fd);
    io_disown(&own);
    store_step(s, "clone-tmp");
    store_name(name, NAME_DATA, dst);
    if (r == 0)
        r = io_rename(s, tmp, name);
    if (r)
        (void)io_unlink(s, tmp);
    return r;
}

static int
clone_link(struct chunk_store *s, struct chunk_file *src, uint64_t dst)
{
    char from[NAME_SIZE], to[NAME_SIZE];

    store_name(from, NAME_DATA, atomic_load(&src->id));
    store_name(to, NAME_DATA, dst);
    // Before the link, so that nobody writes to a shared file.
    atomic_fetch_or(&src->slot[SLOT_FLAGS], SLOT_SHARED);
    store_step(s, "clone-flagged");
    return io_link(s, from, to);
}

static int
clone_data(struct chunk_store *s, struct chunk_file *src, uint64_t dst)
{
    int r, direct;

    if (!atomic_load(&s->no_reflink)) {
        r = clone_file(s, src, dst, false);
        if (r != -EOPNOTSUPP && r != -ENOTTY && r != -EXDEV && r != -EINVAL && r != -ENOSYS)
            return r;
        atomic_store(&s->no_reflink, true);
    }
    // Who writes through a descriptor can't be stopped from writing into the clone, too.
    if ((direct = direct_live(src)) < 0)
        return direct;
    if (!direct) {
        r = clone_link(s, src, dst);
        if (r != -EMLINK && r != -EPERM && r != -EOPNOTSUPP)
            return r;
    }
    return clone_file(s, src, dst, true);
}

// The sums of src become those of dst. Under dst's group lock, src exclusive.
static int
clone_sums(struct chunk_store *s, struct group *g, struct chunk_file *src, uint64_t dst)
{
    uint32_t backed = slot_backed(s, src->slot);
    struct chunk_file to;
    int r;

    slot_find(s, g, dst, &to);
    r = slot_back(s, &to, dst, backed);

    for (uint32_t b = 0; r == 0 && b < backed; b++) {
        uint64_t entry = atomic_load_explicit(entry_word(src, b), memory_order_relaxed);

        if (entry == 0)
            continue;
        // A damaged one is copied as it is: what it says of its block is as much in doubt there.
        if (sum_intact(entry) && sum_state(entry) >= SUM_DIRTY)
            entry = sum_restate(entry, SUM_DIRTY);
        atomic_store_explicit(entry_word(&to, b), entry, memory_order_relaxed);
    }
    return r;
}

static int
clone_locked(struct chunk_store *s, struct group *g, struct chunk_file *src, uint64_t dst)
{
    char name[NAME_SIZE];
    uint64_t version;
    int r;

    store_name(name, NAME_DATA, dst);
    if ((r = io_exists(s, name)) != 0)
        return r < 0 ? r : -EEXIST;
    if (version_unpack(atomic_load(&src->slot[SLOT_VERSION]), &version) != 0)
        return -EIO;
    slot_make(s, g, dst, version, SLOT_NAME_NEW | SLOT_SHARED);
    if ((r = clone_sums(s, g, src, dst)) == 0) {
        store_step(s, "clone-sums");
        r = clone_data(s, src, dst);
    }
    if (r)
        (void)slot_free(s, g, dst);
    else
        store_step(s, "cloned");
    return r;
}

static int
clone_to(struct chunk_store *s, struct chunk_file *src, void *arg)
{
    uint64_t dst = *(uint64_t *)arg;
    struct group *g;
    int r;

    for (int i = 0; i < TRIES; i++) {
        if ((r = group_get(s, dst / GROUP_CHUNKS, true, &g)) < 0)
            return r;
        int locked = group_lock(s, g, dst);
        if (locked == 0) {
            r = clone_locked(s, g, src, dst);
            group_unlock(s, g);
        }
        group_put(s, g);
        if (locked != -ESTALE)
            return locked ? locked : r;
    }
    return -EBUSY;
}

int
chunk_clone(struct chunk_store *s, uint64_t src, uint64_t dst)
{
    int r = store_enter_write(s);

    if (r)
        return r;
    return dst == 0 || dst == src ? -EINVAL : excl_do(s, src, clone_to, &dst);
}
