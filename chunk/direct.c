// SPDX-License-Identifier: Apache-2.0
// Descriptors of data files, for those who let the kernel do the work. Who writes through one holds a shared
// lock on a byte far behind the data, on that very descriptor: so the lock lasts as long as any copy of the
// descriptor or mapping through it does, whoever has it, and ends with the last. Blocks announced for writing
// are DIRECT, and are not summed while there is such a lock. Who only wants to go on seeing the chunk (hold)
// has the lock, too: what it keeps away is another file under the chunk's name.
#include <errno.h>
#include <unistd.h>

#include "chunk/impl.h"

#define LOCK_BYTE (1ull << 62)
#define BLOCK CHUNK_BLOCK_SIZE

int
direct_live(struct chunk_file *cf)
{
    struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)LOCK_BYTE, .l_len = 1};

    if (fcntl(cf->file.fd, F_OFD_GETLK, &fl) != 0)
        return -errno;
    return fl.l_type != F_UNLCK;
}

int
direct_settle(struct chunk_store *s, struct chunk_file *cf)
{
    int live, r = excl_enter(s, cf, true);

    if (r)
        return r;
    uint32_t backed = slot_backed(s, cf->slot);
    r = live = direct_live(cf);
    for (uint32_t b = 0; live == 0 && b < backed; b++) {
        uint64_t entry = atomic_load(entry_word(cf, b));

        if (sum_intact(entry) && sum_state(entry) == SUM_DIRECT)
            atomic_store(entry_word(cf, b), sum_restate(entry, SUM_DIRTY));
    }
    excl_leave(s, cf);
    return r < 0 ? r : 0;
}

// For a descriptor to write through, the file must be this chunk's alone.
static int
own_file(struct chunk_store *s, struct chunk_file *cf, void *arg)
{
    return write_prepare(s, cf, 0);
}

int
chunk_fd_open(struct chunk_store *s, uint64_t id, int flags, struct chunk_fd *out)
{
    bool write = (flags & O_ACCMODE) == O_RDWR;
    struct chunk_file *cf;
    char name[NAME_SIZE];
    int fd, r = write ? store_enter_write(s) : store_enter(s);

    *out = (struct chunk_fd){.fd = -1, .flags = flags, .id = id};
    if (r)
        return r;
    if ((flags & O_ACCMODE) == O_WRONLY || flags & ~(O_ACCMODE | O_DIRECT))
        return -EINVAL;
    if (write && (r = excl_do(s, id, own_file, NULL)) < 0)
        return r;
    store_name(name, NAME_DATA, id);
    r = -ESTALE;
    for (int i = 0; i < TRIES && r == -ESTALE; i++) {
        if ((r = cache_get(s, id, &cf)) < 0)
            return r;
        fd = r = io_open(s, name, flags);
        if (fd >= 0) {
            // Which file the name meant when it was opened: the one of this seq, if that is still so.
            r = file_current(cf) ? 0 : -ESTALE;
            out->seq = cf->seq;
            out->fd = fd;
            if (r) {
                close(fd);
                out->fd = -1;
            }
        }
        if (r == -ESTALE && cf->seq & 1)
            (void)gate_pass(s, cf);
        (void)cache_put(s, cf, r);
    }
    return r == -ESTALE ? -EBUSY : r;
}

int
chunk_fd_check(struct chunk_store *s, const struct chunk_fd *cfd)
{
    struct chunk_file *cf;
    int r = store_enter(s);

    for (int i = 0; i < 2 && r == 0; i++) {
        if ((r = cache_get(s, cfd->id, &cf)) < 0)
            return r;
        r = file_current(cf) && cf->seq == cfd->seq ? 0 : -ESTALE;
        bool current = file_current(cf);
        (void)cache_put(s, cf, current ? 0 : -ESTALE);
        // What the cache had open was old itself, or the chunk is gone: look again.
        if (current)
            break;
        if (i == 0)
            r = 0;
    }
    return r;
}

struct announce {
    struct chunk_fd *cfd;
    uint64_t off, len;
    int verdict;
};

static int
announce(struct chunk_store *s, struct chunk_file *cf, void *arg)
{
    struct announce *a = arg;
    uint64_t first = a->off / BLOCK, end = (a->off + a->len + BLOCK - 1) / BLOCK;
    int r;

    a->verdict = -ESTALE;
    if (cf->seq != a->cfd->seq)
        return 0;
    if (atomic_load(&cf->slot[SLOT_FLAGS]) & SLOT_SHARED && (r = clone_shared(cf)) != 0)
        return r < 0 ? r : 0;
    if ((r = write_prepare(s, cf, (uint32_t)end)) < 0)
        return r;
    if ((r = io_lock(a->cfd->fd, F_RDLCK, LOCK_BYTE)) < 0)
        return r;
    a->cfd->writing = true;
    for (uint64_t b = first; b < end; b++) {
        word_t *word = entry_word(cf, (uint32_t)b);
        uint64_t entry = atomic_load(word);

        if (!sum_intact(entry) || sum_state(entry) != SUM_DIRECT) // it stays so from one to the next
            atomic_store(word, sum_restate(entry, SUM_DIRECT));
    }
    write_note(cf);
    a->verdict = 0;
    return 0;
}

int
chunk_fd_begin_write(struct chunk_store *s, struct chunk_fd *cfd, uint64_t off, uint64_t len)
{
    struct announce a = {cfd, off, len, 0};
    int r = store_enter_write(s);

    if (r)
        return r;
    if ((cfd->flags & O_ACCMODE) != O_RDWR || cfd->fd < 0)
        return -EBADF;
    if (off > s->chunk_size || len > s->chunk_size - off)
        return -EFBIG;
    r = excl_do(s, cfd->id, announce, &a);
    return r ? r : a.verdict;
}

static int
hold(struct chunk_store *s, struct chunk_file *cf, void *arg)
{
    struct announce *a = arg;
    int r;

    a->verdict = -ESTALE;
    if (cf->seq != a->cfd->seq)
        return 0;
    if (atomic_load(&cf->slot[SLOT_FLAGS]) & SLOT_SHARED && (r = clone_break(s, cf, s->chunk_size)) != 0)
        return r;
    a->verdict = 0;
    return io_lock(a->cfd->fd, F_RDLCK, LOCK_BYTE);
}

int
chunk_fd_hold(struct chunk_store *s, struct chunk_fd *cfd)
{
    struct announce a = {.cfd = cfd};
    int r = store_enter_write(s);

    if (r)
        return r;
    r = excl_do(s, cfd->id, hold, &a);
    return r ? r : a.verdict;
}

int
chunk_fd_end_write(struct chunk_store *s, struct chunk_fd *cfd)
{
    int r = 0;

    if (cfd->writing && cfd->fd >= 0)
        r = io_lock(cfd->fd, F_UNLCK, LOCK_BYTE);
    cfd->writing = false;
    return r;
}

void
chunk_fd_close(struct chunk_fd *cfd)
{
    if (cfd->fd < 0)
        return;
    (void)chunk_fd_end_write(NULL, cfd);
    close(cfd->fd);
    cfd->fd = -1;
}
