// SPDX-License-Identifier: Apache-2.0
// Reading. A block is compared with its sum the first time that this handle meets it under its present entry;
// from then on reading it is a pread. An entry changes before the block's content does, so an unchanged entry
// means that the sum is that of the content.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "chunk/impl.h"

#define BLOCK CHUNK_BLOCK_SIZE
#define RUN_BLOCKS 16u // read at once before they are verified: what stays in the cache

enum plan { PLAN_PLAIN, PLAN_VERIFY };

// Whether the block's content must be compared before it is handed out.
static enum plan
plan_block(struct chunk_file *cf, uint32_t block, uint64_t entry)
{
    return block_known(cf, block, entry) || cf->foreign || !entry_tells(cf, entry) ? PLAN_PLAIN : PLAN_VERIFY;
}

void
block_learn(struct chunk_file *cf, uint32_t block, uint64_t entry)
{
    _Atomic uint64_t *many, *none = NULL;
    uint32_t learnt;

    if (block < SLOT_ENTRIES) {
        atomic_store_explicit(&cf->few[block], ~entry, memory_order_relaxed);
        return;
    }
    if (cf->nblocks <= SLOT_ENTRIES) // it is being closed
        return;
    many = atomic_load_explicit(&cf->many, memory_order_acquire);
    if (!many) {
        // Without memory it is verified again the next time.
        if ((many = calloc(cf->nblocks - SLOT_ENTRIES, sizeof *many)) == NULL)
            return;
        if (!atomic_compare_exchange_strong(&cf->many, &none, many)) {
            free((void *)many);
            many = none;
        }
    }
    learnt = atomic_load_explicit(&cf->learnt, memory_order_relaxed);
    while (block >= learnt && !atomic_compare_exchange_weak(&cf->learnt, &learnt, block + 1))
        ;
    atomic_store_explicit(&many[block - SLOT_ENTRIES], ~entry, memory_order_relaxed);
}

enum verdict
block_judge(struct chunk_store *s, struct chunk_file *cf, uint32_t block, uint64_t entry, const void *data,
            size_t n)
{
    bool intact = sum_intact(entry);
    uint64_t mended;

    if (cf->foreign || !entry_tells(cf, entry))
        return BLOCK_UNSUMMED;
    if (intact && (sum_state(entry) == SUM_NONE
                       ? sum_all_zeros(data, n)
                       : sum_state(entry) == SUM_VALID && sum_block(data, n) == sum_crc(entry))) {
        block_learn(cf, block, entry);
        return BLOCK_RIGHT;
    }
    // Pairs with the writer's exchange of the entry, which comes before its write.
    FENCE(memory_order_seq_cst);
    if (!file_current(cf) || entry_load(s, cf, block) != entry)
        return BLOCK_CHANGED;
    if (intact || !sum_mend(entry, sum_block(data, n), sum_all_zeros(data, n), &mended))
        return BLOCK_WRONG;
    if (!(s->flags & CHUNK_RDONLY) && atomic_compare_exchange_strong(entry_word(cf, block), &entry, mended))
        store_event(s, CHUNK_EV_REPAIRED, atomic_load(&cf->id), (uint64_t)block * BLOCK, BLOCK,
                    "a wrong bit in the sum of a block was put right");
    return BLOCK_RIGHT;
}

ssize_t
block_verify(struct chunk_store *s, struct chunk_file *cf, uint32_t block, void *scratch)
{
    for (int i = 0; i < TRIES; i++) {
        uint64_t entry = entry_load(s, cf, block);
        ssize_t n = io_pread_full(s, cf->file.fd, scratch, BLOCK, (uint64_t)block * BLOCK);

        if (n < 0)
            return n;
        enum verdict v = block_judge(s, cf, block, entry, scratch, (size_t)n);
        if (v == BLOCK_RIGHT || v == BLOCK_UNSUMMED)
            return n;
        if (!file_current(cf))
            return -ESTALE;
        if (v == BLOCK_CHANGED)
            continue;
        store_event(
            s, CHUNK_EV_DAMAGE, atomic_load(&cf->id), (uint64_t)block * BLOCK, (uint64_t)n,
            "a block's content is not what was written: the disk, its cable or its memory is failing, or "
            "another program "
            "wrote to the file; reads get EIO until the whole block is written again from a good copy");
        return -EIO;
    }
    return -EBUSY;
}

int
block_check(struct chunk_store *s, struct chunk_file *cf, uint32_t block, void *scratch)
{
    uint64_t entry = entry_load(s, cf, block);

    if (block_known(cf, block, entry) || !entry_tells(cf, entry))
        return 0;
    ssize_t n = block_verify(s, cf, block, scratch);
    return n < 0 ? (int)n : 0;
}

// One block that must be verified, of which [from, from + len) is wanted: copied to buf.
static ssize_t
read_one(struct chunk_store *s, struct chunk_file *cf, uint32_t block, void *buf, size_t from, size_t len)
{
    unsigned char *scratch = store_scratch(s);
    ssize_t n;

    if (!scratch)
        return -ENOMEM;
    n = block_verify(s, cf, block, scratch);
    if (n >= 0) {
        size_t have = (size_t)n > from ? (size_t)n - from : 0;

        n = (ssize_t)(have < len ? have : len);
        memcpy(buf, scratch + from, (size_t)n);
    }
    store_unscratch(s, scratch);
    return n;
}

// Whole blocks that must be verified, read where they are wanted, and only those read again that don't fit.
// (They don't when another thread of the program writes to buf meanwhile: so the verdict is from memory of
// our own.)
static ssize_t
read_run(struct chunk_store *s, struct chunk_file *cf, uint32_t block, unsigned count, unsigned char *buf)
{
    uint64_t entries[RUN_BLOCKS];
    ssize_t n, got = 0;

    for (unsigned i = 0; i < count; i++)
        entries[i] = entry_load(s, cf, block + i);
    n = io_pread_full(s, cf->file.fd, buf, (size_t)count * BLOCK, (uint64_t)block * BLOCK);
    if (n < 0)
        return n;
    for (unsigned i = 0; i < count && got < n; i++) {
        size_t len = (size_t)(n - got) < BLOCK ? (size_t)(n - got) : BLOCK;

        if (block_judge(s, cf, block + i, entries[i], buf + (size_t)i * BLOCK, len) != BLOCK_RIGHT) {
            ssize_t again = read_one(s, cf, block + i, buf + (size_t)i * BLOCK, 0, BLOCK);

            if (again < 0)
                return got ? got : again;
            if ((size_t)again < len)
                return got + again; // cut off meanwhile
        }
        got += (ssize_t)len;
    }
    return got;
}

// As much as can be treated alike from off on.
static ssize_t
read_piece(struct chunk_store *s, struct chunk_file *cf, unsigned char *buf, size_t len, uint64_t off)
{
    uint32_t first = (uint32_t)(off / BLOCK), last = (uint32_t)((off + len - 1) / BLOCK), b;
    enum plan plan = plan_block(cf, first, entry_load(s, cf, first));
    size_t head = BLOCK - off % BLOCK;

    if (plan == PLAN_PLAIN) {
        for (b = first + 1; b <= last && plan_block(cf, b, entry_load(s, cf, b)) == PLAN_PLAIN;)
            b++;
        size_t run = head + (size_t)(b - first - 1) * BLOCK;
        return io_pread_full(s, cf->file.fd, buf, run < len ? run : len, off);
    }
    if (head < BLOCK || len < BLOCK)
        return read_one(s, cf, first, buf, off % BLOCK, head < len ? head : len);
    for (b = first + 1; b <= last && b - first < RUN_BLOCKS && (uint64_t)(b + 1) * BLOCK <= off + len &&
                        plan_block(cf, b, entry_load(s, cf, b)) == PLAN_VERIFY;)
        b++;
    return read_run(s, cf, first, b - first, buf);
}

static ssize_t
read_pinned(struct chunk_store *s, struct chunk_file *cf, unsigned char *buf, size_t len, uint64_t off)
{
    size_t done = 0;

    while (done < len) {
        size_t want = len - done, head = BLOCK - (off + done) % BLOCK;
        ssize_t n = read_piece(s, cf, buf + done, want, off + done);

        if (n == -ESTALE)
            return n;
        if (n < 0) {
            if (!done)
                return n;
            break;
        }
        done += (size_t)n;
        // Every piece ends at a block's end, or where it was to end, or at the end of the chunk.
        if (n == 0 || ((size_t)n < want && (size_t)n != head && (off + done) % BLOCK != 0))
            break;
    }
    // The name may have come to mean another file meanwhile, and this one have been written to by its other
    // owner.
    FENCE(memory_order_acquire);
    return file_current(cf) ? (ssize_t)done : -ESTALE;
}

static int
verify_pinned(struct chunk_store *s, struct chunk_file *cf, uint32_t first, uint32_t last)
{
    void *scratch = NULL;
    ssize_t n = 0;

    for (uint32_t b = first; b <= last && n >= 0; b++) {
        if (plan_block(cf, b, entry_load(s, cf, b)) == PLAN_PLAIN)
            continue;
        if (!scratch && (scratch = store_scratch(s)) == NULL)
            return -ENOMEM;
        n = block_verify(s, cf, b, scratch);
    }
    store_unscratch(s, scratch);
    return n < 0 ? (int)n : file_current(cf) ? 0 : -ESTALE;
}

int
chunk_verify(struct chunk_store *s, uint64_t id, uint64_t off, uint64_t len)
{
    struct chunk_file *cf;
    int r = store_enter(s);

    if (r || off >= s->chunk_size || len == 0)
        return r;
    if (len > s->chunk_size - off)
        len = s->chunk_size - off;
    r = -ESTALE;
    for (int i = 0; i < TRIES && r == -ESTALE; i++) {
        if ((r = cache_get(s, id, &cf)) < 0)
            return r;
        r = file_current(cf)
                ? verify_pinned(s, cf, (uint32_t)(off / BLOCK), (uint32_t)((off + len - 1) / BLOCK))
                : -ESTALE;
        if (r == -ESTALE && cf->seq & 1 && !(s->flags & CHUNK_RDONLY))
            (void)gate_pass(s, cf);
        r = cache_put(s, cf, r);
    }
    return r == -ESTALE ? -EBUSY : r;
}

ssize_t
chunk_read(struct chunk_store *s, uint64_t id, void *buf, size_t len, uint64_t off)
{
    struct chunk_file *cf;
    ssize_t n = -ESTALE;
    int r = store_enter(s);

    if (r)
        return r;
    for (int i = 0; i < TRIES && n == -ESTALE; i++) {
        if ((r = cache_get(s, id, &cf)) < 0)
            return r;
        if (off >= s->chunk_size || len == 0)
            n = 0;
        else
            n = file_current(cf)
                    ? read_pinned(s, cf, buf, len < s->chunk_size - off ? len : s->chunk_size - off, off)
                    : -ESTALE;
        // Odd: killed between two names; whoever takes the chunk sets it right.
        if (n == -ESTALE && cf->seq & 1 && !(s->flags & CHUNK_RDONLY))
            (void)gate_pass(s, cf);
        (void)cache_put(s, cf, n == -ESTALE ? -ESTALE : 0);
    }
    return n == -ESTALE ? -EBUSY : n;
}
