// SPDX-License-Identifier: Apache-2.0
// Writing. In this order: each block's entry is made DIRTY with one more writer and a new generation; the
// data is written; the writer leaves the entry again, with the sum if he knows it: he wrote all of the block,
// and was alone from entering to leaving. So whenever a process is killed, an entry that is VALID has the sum
// of what is there.
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "chunk/impl.h"

#define BLOCK CHUNK_BLOCK_SIZE
#define PIECE_BLOCKS 16u                   // most of a piece: one megabyte
#define COPY_BLOCKS (SCRATCH_SIZE / BLOCK) // of one that is copied first

// Part of a write, in at most PIECE_BLOCKS blocks.
struct piece {
    const unsigned char *buf;
    size_t len;
    uint64_t off;
    uint32_t first;
    unsigned count;
    uint64_t entered[PIECE_BLOCKS]; // the entries as they were on entering
    uint32_t crc[PIECE_BLOCKS];     // of what is written to a block from its start on, and then zeros
    bool whole[PIECE_BLOCKS];       // that is all of the block
    bool tail[PIECE_BLOCKS];        // likewise, as there is nothing behind it, if
    uint64_t seen;                  // ... its entry is still this one on entering. Of the last block only
    bool stable;                    // nobody changes the buffer
    unsigned nentered;
};

static bool
write_ready(struct chunk_store *s, struct chunk_file *cf, uint32_t nblocks)
{
    return file_current(cf) && !(atomic_load(&cf->slot[SLOT_FLAGS]) & SLOT_SHARED) &&
           atomic_load(&cf->slot[SLOT_HOT]) == s->boot && nblocks <= slot_backed(s, cf->slot);
}

int
write_heat(struct chunk_store *s, struct chunk_file *cf)
{
    int r;

    if (atomic_load(&cf->slot[SLOT_HOT]) == s->boot)
        return 0;
    // On disk before any data or entry changes: else a crash of the machine could leave new data beside a sum
    // that looks settled. Only then the boot's own number, on which others rely: who does this may be killed
    // between.
    atomic_store(&cf->slot[SLOT_HOT], HOT_PENDING);
    store_step(s, "hot-pending");
    if ((r = group_flush(s, cf->group)) < 0) {
        atomic_store(&cf->slot[SLOT_HOT], 0);
        return r;
    }
    atomic_store(&cf->slot[SLOT_HOT], s->boot);
    store_step(s, "hot");
    return 0;
}

int
write_prepare(struct chunk_store *s, struct chunk_file *cf, uint32_t nblocks)
{
    int r = write_heat(s, cf);

    if (r == 0 && atomic_load(&cf->slot[SLOT_FLAGS]) & SLOT_SHARED)
        r = clone_break(s, cf, s->chunk_size);
    return r ? r : slot_back(s, cf, atomic_load(&cf->id), nblocks);
}

static int
write_prepare_once(struct chunk_store *s, struct chunk_file *cf, uint32_t nblocks)
{
    int r = excl_enter(s, cf, true);

    if (r)
        return r;
    r = write_prepare(s, cf, nblocks);
    excl_leave(s, cf);
    return r;
}

void
write_note(struct chunk_file *cf)
{
    // Pairs with chunk_sync, which changes it before it looks at the data.
    FENCE(memory_order_seq_cst);
    if (atomic_load(&cf->slot[SLOT_WRITES]) != SLOT_WRITES_SOME)
        atomic_store(&cf->slot[SLOT_WRITES], SLOT_WRITES_SOME);
    if (!atomic_load_explicit(&cf->wrote, memory_order_relaxed))
        atomic_store_explicit(&cf->wrote, true, memory_order_relaxed);
}

// Whether what is written to block i, and then zeros, are all of it, or will be if nobody else has been in
// between.
static void
look_whole(struct chunk_store *s, struct chunk_file *cf, struct piece *p, unsigned i)
{
    uint64_t at = (uint64_t)(p->first + i) * BLOCK, end = p->off + p->len, size;

    p->whole[i] = p->off <= at && end >= at + BLOCK;
    p->tail[i] = false;
    if (p->whole[i] || p->off > at)
        return;
    // All that there is of the last block.
    p->seen = entry_load(s, cf, p->first + i);
    // Of a block that was never written it is known that zeros follow, however large the file is.
    p->tail[i] =
        (sum_intact(p->seen) && sum_state(p->seen) == SUM_NONE) || (file_size(cf, &size) == 0 && size <= end);
}

// A write of part of a block keeps the rest; it must not get a good sum if it is damaged.
static int
check_rest(struct chunk_store *s, struct chunk_file *cf, struct piece *p)
{
    void *scratch = NULL;
    int r = 0;

    for (unsigned i = 0; i < p->count && r == 0; i++) {
        uint64_t entry = entry_load(s, cf, p->first + i);

        look_whole(s, cf, p, i);
        if (p->whole[i] || p->tail[i] || block_known(cf, p->first + i, entry) || !entry_tells(cf, entry))
            continue;
        if (!scratch && (scratch = store_scratch(s)) == NULL)
            r = -ENOMEM;
        else
            r = block_check(s, cf, p->first + i, scratch);
    }
    store_unscratch(s, scratch);
    return r;
}

// false: some block has as many writers as can be counted (or as many were killed).
static bool
enter_blocks(struct chunk_file *cf, struct piece *p)
{
    for (p->nentered = 0; p->nentered < p->count; p->nentered++) {
        word_t *word = entry_word(cf, p->first + p->nentered);
        uint64_t entry = atomic_load(word);

        do {
            if (sum_intact(entry) && sum_writers(entry) == SUM_WRITERS_MAX)
                return false;
        } while (!atomic_compare_exchange_weak(word, &entry, sum_enter(entry)));
        p->entered[p->nentered] = entry;
    }
    return true;
}

// Leave block i of the piece; with its sum, if what was written and then zeros are all of it.
static void
leave_block(struct chunk_file *cf, const struct piece *p, unsigned i, bool known)
{
    word_t *word = entry_word(cf, p->first + i);
    uint64_t mine = sum_enter(p->entered[i]), entry = mine;

    // Alone: nobody was in when this writer entered, and nobody came since.
    if (known && sum_writers(mine) == 1 && sum_state(mine) == SUM_DIRTY) {
        uint64_t settled = sum_settle(mine, p->crc[i]);

        if (atomic_compare_exchange_strong(word, &entry, settled)) {
            block_learn(cf, p->first + i, settled);
            return;
        }
    }
    entry = atomic_load(word);
    while (!atomic_compare_exchange_weak(word, &entry, sum_leave(entry)))
        ;
}

// Sum what is to be written, by blocks; with a copy, copy it on the way.
static void
sum_piece(struct piece *p, unsigned char *copy)
{
    for (unsigned i = 0; i < p->count; i++) {
        uint64_t at = (uint64_t)(p->first + i) * BLOCK, from = at > p->off ? at : p->off;
        uint64_t to = at + BLOCK < p->off + p->len ? at + BLOCK : p->off + p->len;

        const unsigned char *data = p->buf + (from - p->off);
        size_t len = (size_t)(to - from);

        if (from == at)
            p->crc[i] = copy ? sum_copy(copy + (from - p->off), data, len) : sum_block(data, len);
        else if (copy)
            memcpy(copy, data, len);
    }
}

static ssize_t
write_entered(struct chunk_store *s, struct chunk_file *cf, struct piece *p, const void *data, bool summed)
{
    int error;
    ssize_t n;

    store_step(s, "entered");
    n = io_pwrite_full(s, cf->file.fd, data, p->len, p->off, &error);
    store_step(s, "written");
    write_note(cf);
    for (unsigned i = 0; i < p->count; i++)
        leave_block(cf, p, i, summed && !error && (p->whole[i] || (p->tail[i] && p->entered[i] == p->seen)));
    store_step(s, "left");
    return n ? n : error;
}

// In the gate. *full: too many writers, see sums_forget_writers.
static ssize_t
write_piece(struct chunk_store *s, struct chunk_file *cf, struct piece *p, bool *full)
{
    // What gets a sum is copied first: the program may change its buffer while the kernel copies it, and the
    // sum must be that of what was written. (The copy stays in the processor's cache, from where the kernel
    // takes it.)
    bool sums = p->off % BLOCK == 0 || p->count > 1;
    unsigned char *copy = NULL;
    ssize_t n = check_rest(s, cf, p);

    if (n < 0)
        return n;
    if (sums && !p->stable && (copy = store_scratch(s)) == NULL)
        return -ENOMEM;
    if (sums)
        sum_piece(p, copy);
    if (enter_blocks(cf, p)) {
        n = write_entered(s, cf, p, copy ? copy : p->buf, sums);
    } else {
        for (unsigned i = 0; i < p->nentered; i++)
            leave_block(cf, p, i, false);
        *full = true;
    }
    store_unscratch(s, copy);
    return n;
}

// Write up to p->count blocks of what is in *p, once the chunk lets us.
static ssize_t
write_pinned(struct chunk_store *s, struct chunk_file *cf, struct piece *p)
{
    for (int i = 0; i < TRIES; i++) {
        word_t *cell = gate_enter(s, cf);
        bool full = false;
        ssize_t n;
        int r;

        if (!cell) {
            if ((r = gate_pass(s, cf)) < 0)
                return r;
            continue;
        }
        if (!write_ready(s, cf, p->first + p->count)) {
            gate_leave(cell);
            if ((r = write_prepare_once(s, cf, p->first + p->count)) < 0)
                return r;
            continue;
        }
        n = write_piece(s, cf, p, &full);
        gate_leave(cell);
        if (!full)
            return n;
        if ((r = sums_forget_writers(s, cf)) < 0)
            return r;
        sched_yield();
    }
    return -EBUSY;
}

static struct piece
next_piece(const unsigned char *buf, size_t len, uint64_t off, bool stable)
{
    struct piece p;
    size_t most = (size_t)(stable ? PIECE_BLOCKS : COPY_BLOCKS) * BLOCK - off % BLOCK;

    // The arrays are filled in on the way.
    p.buf = buf;
    p.off = off;
    p.first = (uint32_t)(off / BLOCK);
    p.stable = stable;
    p.nentered = 0;
    p.seen = 0;
    p.len = len < most ? len : most;
    p.count = (unsigned)((off + p.len - 1) / BLOCK - p.first + 1);
    return p;
}

static ssize_t
write_all(struct chunk_store *s, uint64_t id, const void *buf, size_t len, uint64_t off, bool stable)
{
    struct chunk_file *cf;
    size_t done = 0;
    int r = store_enter_write(s);

    if (r)
        return r;
    if (off > s->chunk_size || len > s->chunk_size - off)
        return -EFBIG;
    for (int tries = 0; tries < TRIES; tries++) {
        ssize_t n = 0;

        if ((r = cache_get(s, id, &cf)) < 0)
            return done ? (ssize_t)done : r;
        while (n >= 0 && done < len) {
            struct piece p = next_piece((const unsigned char *)buf + done, len - done, off + done, stable);

            n = write_pinned(s, cf, &p);
            if (n > 0)
                done += (size_t)n;
        }
        (void)cache_put(s, cf, n == -ESTALE ? -ESTALE : 0);
        if (n != -ESTALE)
            return n < 0 && !done ? n : (ssize_t)done;
    }
    return done ? (ssize_t)done : -EBUSY;
}

ssize_t
chunk_write(struct chunk_store *s, uint64_t id, const void *buf, size_t len, uint64_t off)
{
    return write_all(s, id, buf, len, off, false);
}

ssize_t
chunk_write_stable(struct chunk_store *s, uint64_t id, const void *buf, size_t len, uint64_t off)
{
    return write_all(s, id, buf, len, off, true);
}
