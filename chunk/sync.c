// SPDX-License-Identifier: Apache-2.0
// Bringing sums up to date, and data and sums to the disk; and what is left to do after a crash of the
// machine.
#include <errno.h>
#include <unistd.h>

#include "chunk/impl.h"

#define BLOCK CHUNK_BLOCK_SIZE

int
sum_one(struct chunk_store *s, struct chunk_file *cf, uint32_t block, void *scratch)
{
    word_t *word = entry_word(cf, block);
    uint64_t entry = atomic_load(word);

    // A damaged entry stays, and with it the doubt in the block.
    if (!sum_intact(entry) || sum_state(entry) != SUM_DIRTY || sum_writers(entry))
        return 0;
    ssize_t n = io_pread_full(s, cf->file.fd, scratch, BLOCK, (uint64_t)block * BLOCK);
    if (n < 0)
        return (int)n;
    // A writer who gave the chunk another file (clone_break) did it before the entry had this value.
    if (!file_current(cf))
        return -ESTALE;
    // Nobody was in, and nobody came in: else the generation is another, and the exchange fails.
    uint64_t settled = sum_settle(entry, sum_block(scratch, (size_t)n));
    store_step(s, "summed");
    if (!atomic_compare_exchange_strong(word, &entry, settled))
        return 0;
    block_learn(cf, block, settled);
    return 1;
}

// What sum_all found that it could not do.
struct left {
    bool writers; // blocks in which somebody writes, or did until killed
    bool direct;  // blocks that may be written through a descriptor
};

static int
sum_all(struct chunk_store *s, struct chunk_file *cf, struct left *left)
{
    uint32_t backed = slot_backed(s, cf->slot);
    void *scratch = NULL;
    int r = 0;

    *left = (struct left){false, false};
    for (uint32_t b = 0; b < backed && r >= 0; b++) {
        uint64_t entry = atomic_load_explicit(entry_word(cf, b), memory_order_relaxed);

        if (!sum_intact(entry))
            continue;
        left->writers |= sum_writers(entry) > 0;
        left->direct |= sum_state(entry) == SUM_DIRECT;
        if (sum_state(entry) != SUM_DIRTY || sum_writers(entry))
            continue;
        if (!scratch && (scratch = store_scratch(s)) == NULL)
            r = -ENOMEM;
        else
            r = sum_one(s, cf, b, scratch);
    }
    store_unscratch(s, scratch);
    return r < 0 ? r : 0;
}

// Chunk exclusive: whoever is counted as a writer was killed.
static void
forget_writers(struct chunk_store *s, struct chunk_file *cf)
{
    uint32_t backed = slot_backed(s, cf->slot);

    for (uint32_t b = 0; b < backed; b++) {
        uint64_t entry = atomic_load(entry_word(cf, b));

        if (sum_intact(entry) && sum_writers(entry))
            (void)atomic_compare_exchange_strong(entry_word(cf, b), &entry,
                                                 sum_restate(entry, sum_state(entry)));
    }
}

int
sums_forget_writers(struct chunk_store *s, struct chunk_file *cf)
{
    int r = excl_enter(s, cf, true);

    if (r)
        return r;
    forget_writers(s, cf);
    excl_leave(s, cf);
    return 0;
}

static int
sums_fresh(struct chunk_store *s, struct chunk_file *cf, struct left *left)
{
    int r = sum_all(s, cf, left);

    if (r == 0 && left->direct)
        r = direct_settle(s, cf);
    if (r == 0 && left->writers)
        r = sums_forget_writers(s, cf);
    if (r == 0 && (left->writers || left->direct))
        r = sum_all(s, cf, left);
    return r;
}

static void
data_failed(struct chunk_store *s, void *arg)
{
    struct chunk_file *cf = arg;

    atomic_fetch_or(&cf->slot[SLOT_FLAGS], SLOT_FAILED);
}

// The disk refused data of the chunk at some time; the kernel took the pages for clean then, and will not try
// again. They are still there, or what the disk has differs from the sums: so all that verifies is written
// anew.
static int
write_again(struct chunk_store *s, struct chunk_file *cf)
{
    uint64_t size, done = 0;
    void *scratch = store_scratch(s);
    int r = scratch ? excl_enter(s, cf, true) : -ENOMEM, error;

    if (r) {
        store_unscratch(s, scratch);
        return r;
    }
    // Who writes through a descriptor would lose what he writes meanwhile.
    if ((r = direct_live(cf)) != 0 || (r = file_size(cf, &size)) < 0)
        r = r < 0 ? r : -EIO;
    while (r == 0 && done < size) {
        off_t data = lseek(cf->file.fd, (off_t)done, SEEK_DATA);
        if (data < 0)
            break;
        uint32_t block = (uint32_t)((uint64_t)data / BLOCK);
        ssize_t n = block_verify(s, cf, block, scratch);

        done = (uint64_t)block * BLOCK;
        if (n < 0 || io_pwrite_full(s, cf->file.fd, scratch, (size_t)n, done, &error) != n)
            r = n < 0 ? (int)n : error;
        done += BLOCK;
    }
    if (r == 0)
        atomic_fetch_and(&cf->slot[SLOT_FLAGS], ~(uint64_t)SLOT_FAILED);
    store_unscratch(s, scratch);
    excl_leave(s, cf);
    return r;
}

static int
sync_pinned(struct chunk_store *s, struct chunk_file *cf)
{
    // A mark of its own, so that the end of one sync does not cover what another that began later has yet to
    // do.
    uint64_t mark = atomic_fetch_add(&s->syncs, 1) << 16 | (uint64_t)s->gate_slot << 2 | 2;
    struct left left;
    int r;

    if (!file_current(cf))
        return cf->seq & 1 ? gate_pass(s, cf) : -ESTALE;
    // Nothing was changed since a sync that succeeded.
    if (atomic_load(&cf->slot[SLOT_WRITES]) == SLOT_WRITES_NONE &&
        !(atomic_load(&cf->slot[SLOT_FLAGS]) & (SLOT_NAME_NEW | SLOT_FAILED)))
        return 0;
    atomic_store(&cf->slot[SLOT_WRITES], mark);
    FENCE(memory_order_seq_cst); // pairs with write_note
    if ((r = sums_fresh(s, cf, &left)) < 0)
        goto out;
    store_step(s, "sync-summed");
    // Data before sums: sums that are on disk alone would call the old data damaged.
    if (atomic_load(&cf->slot[SLOT_FLAGS]) & SLOT_FAILED && (r = write_again(s, cf)) < 0)
        goto out;
    if ((r = io_flush(s, &cf->flush, cf->file.fd, &cf->slot[SLOT_FLAGS], data_failed, cf)) < 0)
        goto out;
    // Another was told of a failure, in this process or elsewhere, which may have been of this caller's data.
    if (atomic_load(&cf->slot[SLOT_FLAGS]) & SLOT_FAILED) {
        r = -EIO;
        goto out;
    }
    store_step(s, "sync-data");
    if ((r = group_flush(s, cf->group)) < 0 || (r = names_sync(s, cf)) < 0)
        goto out;
    store_step(s, "sync-done");
    if (!file_current(cf))
        r = -ESTALE;
    else if (!left.direct)
        (void)atomic_compare_exchange_strong(&cf->slot[SLOT_WRITES], &mark, SLOT_WRITES_NONE);
out:
    if (r || left.direct)
        atomic_store(&cf->slot[SLOT_WRITES], SLOT_WRITES_SOME);
    return r;
}

int
chunk_sync(struct chunk_store *s, uint64_t id)
{
    struct chunk_file *cf;
    int r = store_enter(s);

    if (r || s->flags & CHUNK_RDONLY)
        return r;
    r = -ESTALE;
    for (int i = 0; i < TRIES && r == -ESTALE; i++) {
        if ((r = cache_get(s, id, &cf)) < 0)
            return r;
        r = cache_put(s, cf, sync_pinned(s, cf));
    }
    return r == -ESTALE ? -EBUSY : r;
}

// All of the chunk is on disk with its sums, as far as its entries tell. Chunk exclusive.
static bool
settled(struct chunk_store *s, struct chunk_file *cf)
{
    uint32_t backed = slot_backed(s, cf->slot);

    if (atomic_load(&cf->slot[SLOT_WRITES]) != SLOT_WRITES_NONE)
        return false;
    for (uint32_t b = 0; b < backed; b++) {
        uint64_t entry = atomic_load_explicit(entry_word(cf, b), memory_order_relaxed);

        if (!sum_intact(entry) || sum_writers(entry) || sum_state(entry) >= SUM_DIRTY)
            return false;
    }
    return true;
}

void
sums_tidy(struct chunk_store *s, struct chunk_file *cf)
{
    struct left left;

    if (!file_current(cf))
        return;
    if (atomic_load(&cf->slot[SLOT_WRITES]) != SLOT_WRITES_NONE) {
        (void)sum_all(s, cf, &left); // what can't be summed now stays DIRTY
        return;
    }
    if (excl_enter(s, cf, false) != 0)
        return;
    if (settled(s, cf))
        atomic_store(&cf->slot[SLOT_HOT], 0);
    excl_leave(s, cf);
}

// The machine stopped while the chunk was being written. Of a block that does not fit its sum it can't be
// known whether a write of that time reached the disk before its DIRTY did, or the disk damaged it: the first
// is what happens, so the new content stands, and is told. 1: the entry was changed.
static int
recover_block(struct chunk_store *s, struct chunk_file *cf, uint32_t block, void *scratch)
{
    word_t *word = entry_word(cf, block);
    uint64_t entry = atomic_load(word);
    ssize_t n = io_pread_full(s, cf->file.fd, scratch, BLOCK, (uint64_t)block * BLOCK);

    if (n < 0)
        return n == -EIO ? 0 : (int)n; // one unreadable block is no reason to refuse the others
    bool zeros = sum_all_zeros(scratch, (size_t)n), intact = sum_intact(entry);
    uint32_t crc = sum_block(scratch, (size_t)n);
    if (intact &&
        (sum_state(entry) == SUM_VALID ? sum_crc(entry) == crc : sum_state(entry) == SUM_NONE && zeros))
        return 0;
    if (!intact)
        store_event(
            s, CHUNK_EV_SUM_LOST, atomic_load(&cf->id), (uint64_t)block * BLOCK, (uint64_t)n,
            "the sum of a block is damaged, and the machine stopped while the chunk was being written; what "
            "the block now holds was taken as written; compare it with a copy");
    else if (sum_state(entry) == SUM_VALID)
        store_event(s, CHUNK_EV_UNSURE, atomic_load(&cf->id), (uint64_t)block * BLOCK, (uint64_t)n,
                    "the machine stopped while this chunk was being written; what this block now holds was "
                    "taken as written");
    atomic_store(word, sum_settle(sum_restate(entry, SUM_DIRTY), crc));
    return 1;
}

// All blocks, and what is said of blocks behind the end. Chunk exclusive.
static int
recover_blocks(struct chunk_store *s, struct chunk_file *cf, uint32_t blocks, void *scratch)
{
    uint32_t backed = slot_backed(s, cf->slot);
    int r = 0, changed = 0;

    for (uint32_t b = 0; b < blocks && r >= 0; b++)
        changed |= r = recover_block(s, cf, b, scratch);
    for (uint32_t b = blocks; b < backed && r >= 0; b++) {
        if (atomic_load(entry_word(cf, b)) == 0)
            continue;
        atomic_store(entry_word(cf, b), 0);
        changed = 1;
    }
    return r < 0 ? r : changed;
}

int
sums_recover(struct chunk_store *s, struct chunk_file *cf)
{
    uint64_t size, hot;
    void *scratch = NULL;
    int r = excl_enter(s, cf, true);

    if (r)
        return r;
    hot = atomic_load(&cf->slot[SLOT_HOT]);
    if (hot == 0 || hot == s->boot)
        goto out; // another did it
    if ((r = file_size(cf, &size)) < 0)
        goto out;
    uint64_t blocks = (size + BLOCK - 1) / BLOCK;
    if (blocks > s->nblocks)
        blocks = s->nblocks;
    if ((r = slot_back(s, cf, atomic_load(&cf->id), (uint32_t)blocks)) < 0)
        goto out;
    if ((scratch = store_scratch(s)) == NULL) {
        r = -ENOMEM;
        goto out;
    }
    r = recover_blocks(s, cf, (uint32_t)blocks, scratch);
    store_step(s, "recovered");
    // The usual case after a regular reboot is that all fits. Then nothing need be flushed.
    if (r > 0)
        r = group_flush(s, cf->group);
    if (r == 0)
        atomic_store(&cf->slot[SLOT_HOT], 0);
out:
    store_unscratch(s, scratch);
    excl_leave(s, cf);
    return r;
}
