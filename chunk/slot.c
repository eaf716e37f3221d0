// SPDX-License-Identifier: Apache-2.0
// Slots of sum files: what the engine knows of each chunk. A slot lies in pages that have their disk space
// since the file was made, so it is filled in by stores to the map, without a system call; that a chunk is
// there is said by its first word, which is written last.
#include <errno.h>
#include <string.h>

#include "chunk/impl.h"

#define LAYOUT ((uint64_t)CHUNK_FORMAT << 48 | CHUNK_BLOCK_SIZE)
#define MENDABLE 2 // wrong bits in the words that are known beforehand

uint64_t
version_pack(uint64_t version)
{
    return version | (uint64_t)(sum_block(&version, sizeof version) & 0xffff) << 48;
}

int
version_unpack(uint64_t word, uint64_t *version)
{
    *version = word & CHUNK_VERSION_MAX;
    return version_pack(*version) == word ? 0 : -EBADMSG;
}

uint64_t
slot_more_offset(const struct chunk_store *s, uint64_t id)
{
    return HEAD_SIZE + id % GROUP_CHUNKS * s->more_size;
}

void
slot_find(struct chunk_store *s, struct group *g, uint64_t id, struct chunk_file *cf)
{
    cf->group = g;
    cf->slot = (word_t *)(void *)(g->map + SUM_PAGE + id % GROUP_CHUNKS * SLOT_SIZE);
    cf->more = (word_t *)(void *)(g->map + slot_more_offset(s, id));
}

static word_t *
slot_of(struct chunk_store *s, struct group *g, uint64_t id)
{
    struct chunk_file cf;

    slot_find(s, g, id, &cf);
    return cf.slot;
}

static uint32_t
few_entries(const struct chunk_store *s)
{
    return SLOT_ENTRIES < s->nblocks ? SLOT_ENTRIES : s->nblocks;
}

uint32_t
slot_backed(const struct chunk_store *s, word_t *slot)
{
    uint64_t backed = atomic_load_explicit(&slot[SLOT_BACKED], memory_order_acquire);

    return backed < s->nblocks ? (uint32_t)backed : s->nblocks;
}

// The words that are the same whatever becomes of the chunk.
static void
known_words(uint64_t id, uint64_t words[SLOT_CHECK + 1])
{
    words[SLOT_MAGIC] = SLOT_MAGIC_VALUE;
    words[SLOT_ID] = id;
    words[SLOT_LAYOUT] = LAYOUT;
    words[SLOT_CHECK] = sum_block(words, SLOT_CHECK * sizeof *words);
}

void
slot_make(struct chunk_store *s, struct group *g, uint64_t id, uint64_t version, uint64_t flags)
{
    word_t *slot = slot_of(s, g, id), *high = group_word(g, GROUP_HIGH);
    uint64_t words[SLOT_CHECK + 1];

    if (atomic_load(high) < id % GROUP_CHUNKS)
        atomic_store(high, id % GROUP_CHUNKS);
    known_words(id, words);
    atomic_store(&slot[SLOT_MAGIC], 0);
    for (unsigned w = SLOT_ID; w <= SLOT_CHECK; w++)
        atomic_store_explicit(&slot[w], words[w], memory_order_relaxed);
    atomic_store(&slot[SLOT_VERSION], version_pack(version));
    atomic_store(&slot[SLOT_OWNER], 0);
    atomic_store(&slot[SLOT_HOT], s->boot);
    atomic_store(&slot[SLOT_FLAGS], flags);
    atomic_store(&slot[SLOT_BACKED], few_entries(s));
    atomic_store(&slot[SLOT_WRITES], SLOT_WRITES_SOME);
    for (unsigned i = 0; i < SLOT_ENTRIES; i++)
        atomic_store_explicit(slot + SLOT_WORDS + i, 0, memory_order_relaxed);
    store_step(s, "slot-filled");
    atomic_store(&slot[SLOT_SEQ], 2);
    atomic_store_explicit(&slot[SLOT_MAGIC], SLOT_MAGIC_VALUE, memory_order_release);
    store_step(s, "slot-made");
}

// Read the further entries, which are about to be used through the map, so that a page that the disk can't
// give is known here, where it is an error code and not a signal.
static int
touch_more(struct chunk_store *s, struct group *g, uint64_t id)
{
    void *buf = store_scratch(s);
    int r = buf ? 0 : -ENOMEM;

    for (size_t at = 0; at < s->more_size && r == 0; at += SCRATCH_SIZE) {
        size_t len = s->more_size - at < SCRATCH_SIZE ? s->more_size - at : SCRATCH_SIZE;
        ssize_t n = io_pread_full(s, g->file.fd, buf, len, slot_more_offset(s, id) + at);

        if (n < (ssize_t)len)
            r = n < 0 ? (int)n : -EBADMSG;
    }
    store_unscratch(s, buf);
    return r;
}

int
slot_check(struct chunk_store *s, struct group *g, uint64_t id)
{
    word_t *slot = slot_of(s, g, id);
    uint64_t is[SLOT_CHECK + 1], want[SLOT_CHECK + 1], version, backed;

    if (g->lost)
        return 0;
    if ((is[SLOT_MAGIC] = atomic_load_explicit(&slot[SLOT_MAGIC], memory_order_acquire)) == 0)
        return -ENOENT;
    for (unsigned w = SLOT_ID; w <= SLOT_CHECK; w++)
        is[w] = atomic_load_explicit(&slot[w], memory_order_relaxed);
    known_words(id, want);
    if (is[SLOT_LAYOUT] >> 48 > CHUNK_FORMAT && is[SLOT_CHECK] == sum_block(is, SLOT_CHECK * sizeof *is))
        return -EPROTONOSUPPORT;
    if (memcmp(is, want, sizeof is) != 0)
        return -EBADMSG;
    backed = atomic_load(&slot[SLOT_BACKED]);
    if (version_unpack(atomic_load(&slot[SLOT_VERSION]), &version) != 0 ||
        (backed != few_entries(s) && backed != s->nblocks))
        return -EBADMSG;
    return backed > SLOT_ENTRIES ? touch_more(s, g, id) : 0;
}

// The version that one wrong bit made this of, if that is unambiguous.
static bool
mend_version(uint64_t word, uint64_t *version)
{
    unsigned found = 0;
    uint64_t v;

    for (unsigned bit = 0; bit < 64; bit++) {
        if (version_unpack(word ^ 1ull << bit, &v) == 0) {
            *version = v;
            found++;
        }
    }
    return found == 1;
}

int
slot_mend(struct chunk_store *s, struct group *g, uint64_t id)
{
    word_t *slot = slot_of(s, g, id);
    uint64_t want[SLOT_CHECK + 1], version, backed;
    int wrong = 0, r;

    known_words(id, want);
    for (unsigned w = 0; w <= SLOT_CHECK; w++)
        wrong += __builtin_popcountll(atomic_load(&slot[w]) ^ want[w]);
    if (wrong > MENDABLE)
        return -EBADMSG;
    if (version_unpack(atomic_load(&slot[SLOT_VERSION]), &version) != 0) {
        if (!mend_version(atomic_load(&slot[SLOT_VERSION]), &version))
            return -EBADMSG;
        atomic_store(&slot[SLOT_VERSION], version_pack(version));
    }
    backed = atomic_load(&slot[SLOT_BACKED]);
    if (backed != few_entries(s) && backed != s->nblocks) {
        // Which of the two it was does not matter when the space is there: what was not written is zeros.
        r = s->more_size
                ? io_fallocate(s, g->file.fd, FALLOC_FL_KEEP_SIZE, slot_more_offset(s, id), s->more_size)
                : 0;
        if (r)
            return r;
        atomic_store(&slot[SLOT_BACKED], s->nblocks);
    }
    for (unsigned w = 0; w <= SLOT_CHECK; w++)
        atomic_store(&slot[w], want[w]);
    store_event(s, CHUNK_EV_REPAIRED, id, 0, 0, "a wrong bit in what is known of a chunk was put right");
    return slot_check(s, g, id);
}

int
slot_sweep(struct chunk_store *s, struct group *g)
{
    char name[NAME_SIZE];

    for (uint64_t i = 0; i < GROUP_CHUNKS; i++)
        if (atomic_load_explicit(slot_of(s, g, i), memory_order_relaxed))
            return 0;
    if (group_used(s, g->no))
        return 0;
    atomic_store(group_word(g, GROUP_DEAD), 1);
    store_step(s, "group-dead");
    store_name(name, NAME_SUMS, g->no * GROUP_CHUNKS);
    return io_unlink(s, name);
}

int
slot_free(struct chunk_store *s, struct group *g, uint64_t id)
{
    word_t *slot = slot_of(s, g, id);

    if (atomic_load(&slot[SLOT_MAGIC]) || atomic_load(&slot[SLOT_ID])) {
        bool more = atomic_load(&slot[SLOT_BACKED]) > SLOT_ENTRIES;

        // First the seq, so that who has the chunk open looks for its name again, and does not find it.
        atomic_fetch_add(&slot[SLOT_SEQ], 2);
        atomic_store(&slot[SLOT_MAGIC], 0);
        atomic_store(&slot[SLOT_ID], 0);
        atomic_store(&slot[SLOT_OWNER], 0);
        store_step(s, "slot-cleared");
        // Without holes in the file system, they keep their space until the group goes.
        if (more && s->more_size)
            (void)io_fallocate(s, g->file.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                               slot_more_offset(s, id), s->more_size);
    }
    // Ids are given in order: the group is still being filled if this was the last that was made. (A program
    // that makes and removes one file after the other would make and remove the sum file each time.) A scrub
    // finds what stays.
    uint64_t high = atomic_load(group_word(g, GROUP_HIGH));
    return high < GROUP_CHUNKS - 1 && high == id % GROUP_CHUNKS ? 0 : slot_sweep(s, g);
}

int
slot_back(struct chunk_store *s, struct chunk_file *cf, uint64_t id, uint32_t nblocks)
{
    static const char zeros[SUM_PAGE];
    int error;

    if (nblocks <= slot_backed(s, cf->slot))
        return 0;
    // Written, and not reserved: what an earlier chunk that did not come to be left here must go.
    for (size_t at = 0; at < s->more_size; at += SUM_PAGE)
        if (io_pwrite_full(s, cf->group->file.fd, zeros, sizeof zeros, slot_more_offset(s, id) + at,
                           &error) != (ssize_t)sizeof zeros)
            return error;
    atomic_store_explicit(&cf->slot[SLOT_BACKED], s->nblocks, memory_order_release);
    return 0;
}
