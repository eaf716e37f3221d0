// SPDX-License-Identifier: Apache-2.0
// The scrubber: reads all data from the disk and compares it with the sums; sums what has none; and over the
// whole store, removes what killed processes left: temporary files, and slots without a chunk.
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "chunk/impl.h"

#define BLOCK CHUNK_BLOCK_SIZE
#define PROGRESS_BYTES (1u << 20)

struct scrub {
    struct chunk_store *s;
    const struct chunk_scrub_options *opt;
    uint64_t done, told; // bytes looked at; when progress was last told
    struct timespec start;
    unsigned char *scratch;
    int stop; // what a callback returned
};

static void
throttle(const struct scrub *c)
{
    struct timespec now, nap;
    double ahead;

    if (!c->opt->rate)
        return;
    clock_gettime(CLOCK_MONOTONIC, &now);
    ahead = (double)c->done / (double)c->opt->rate - (double)(now.tv_sec - c->start.tv_sec) -
            (double)(now.tv_nsec - c->start.tv_nsec) / 1e9;
    if (ahead <= 0)
        return;
    nap.tv_sec = (time_t)ahead;
    nap.tv_nsec = (long)((ahead - (double)nap.tv_sec) * 1e9);
    (void)nanosleep(&nap, NULL);
}

static int
tell_progress(struct scrub *c, uint64_t id, uint64_t bytes, bool end)
{
    c->done += bytes;
    throttle(c);
    if (!c->opt->progress || (!end && c->done - c->told < PROGRESS_BYTES))
        return 0;
    c->told = c->done;
    return c->stop = c->opt->progress(c->opt->arg, id, c->done);
}

static int
tell_damage(struct scrub *c, uint64_t id, uint32_t block, uint64_t len)
{
    store_event(
        c->s, CHUNK_EV_DAMAGE, id, (uint64_t)block * BLOCK, len,
        "a block can't be read, or its content is not what was written: the disk, its cable or its memory is "
        "failing, or another program wrote to the file; write the whole block again from a good copy");
    return c->stop =
               c->opt->damage ? c->opt->damage(c->opt->arg, id, block, (uint64_t)block * BLOCK, len) : 0;
}

// fd reads past the cache, if the file system lets it.
static int
scrub_block(struct scrub *c, struct chunk_file *cf, int fd, uint32_t block, uint64_t size)
{
    uint64_t id = atomic_load(&cf->id), at = (uint64_t)block * BLOCK;
    uint64_t len = at >= size ? 0 : size - at < BLOCK ? size - at : BLOCK;
    int r;

    for (int i = 0; i < TRIES; i++) {
        uint64_t entry = entry_load(c->s, cf, block);
        ssize_t n = io_pread_full(c->s, fd, c->scratch, BLOCK, at);

        if (n == -EIO)
            return tell_damage(c, id, block, len);
        if (n < 0)
            return (int)n;
        switch (block_judge(c->s, cf, block, entry, c->scratch, (size_t)n)) {
        case BLOCK_RIGHT:
            return 0;
        case BLOCK_UNSUMMED:
            if (c->s->flags & CHUNK_RDONLY || block >= slot_backed(c->s, cf->slot))
                return 0;
            r = sum_one(c->s, cf, block, c->scratch);
            return r == -EIO ? tell_damage(c, id, block, len) : r < 0 ? r : 0;
        case BLOCK_WRONG:
            return tell_damage(c, id, block, len);
        case BLOCK_CHANGED:
            if (!file_current(cf))
                return -ESTALE;
        }
    }
    return 0; // written all the time: its writer's sync will sum it
}

// What writers that were killed, and holders of descriptors that are gone, left unsummed becomes due.
static int
scrub_prepare(struct scrub *c, struct chunk_file *cf, uint64_t size)
{
    struct chunk_store *s = c->s;
    uint32_t blocks = (uint32_t)((size + BLOCK - 1) / BLOCK);
    int r;

    if (s->flags & CHUNK_RDONLY)
        return 0;
    if ((r = sums_forget_writers(s, cf)) < 0 || (r = direct_settle(s, cf)) < 0 ||
        (r = excl_enter(s, cf, true)) < 0)
        return r;
    r = slot_back(s, cf, atomic_load(&cf->id), blocks < s->nblocks ? blocks : s->nblocks);
    excl_leave(s, cf);
    return r;
}

static int
scrub_file(struct scrub *c, struct chunk_file *cf)
{
    struct chunk_fd own;
    uint64_t size, id = atomic_load(&cf->id);
    int r;

    if ((r = file_size(cf, &size)) < 0 || (r = scrub_prepare(c, cf, size)) < 0)
        return r;
    if ((r = chunk_fd_open(c->s, id, O_RDONLY | O_DIRECT, &own)) == -EINVAL)
        r = chunk_fd_open(c->s, id, O_RDONLY, &own);
    if (r)
        return r;
    for (uint32_t b = 0; b < c->s->nblocks && r == 0 && !c->stop; b++) {
        // Behind the end, a sum tells of data that was cut off by somebody else.
        if ((uint64_t)b * BLOCK >= size && !entry_load(c->s, cf, b))
            continue;
        if ((r = scrub_block(c, cf, own.fd, b, size)) == 0 && !c->stop)
            r = tell_progress(c, id, (uint64_t)b * BLOCK < size ? BLOCK : 0, false);
    }
    chunk_fd_close(&own);
    return r;
}

static int
scrub_chunk(struct scrub *c, uint64_t id)
{
    struct chunk_file *cf;
    int r = -ESTALE;

    for (int i = 0; i < TRIES && r == -ESTALE; i++) {
        if ((r = cache_get(c->s, id, &cf)) < 0)
            return r;
        r = cache_put(c->s, cf, scrub_file(c, cf));
    }
    return r || c->stop ? r : tell_progress(c, id, 0, true);
}

static int
scrub_each(void *arg, uint64_t id)
{
    struct scrub *c = arg;
    int r = scrub_chunk(c, id);

    return r == -ENOENT ? 0 : r ? r : c->stop; // deleted meanwhile
}

// In group `no`, with its lock: slots that say they are used, and whose data file is not there; and the sum
// file itself, if there is no chunk.
static int
clean_slots(void *arg, uint64_t no)
{
    struct scrub *c = arg;
    struct chunk_store *s = c->s;
    char name[NAME_SIZE];
    struct group *g;
    bool found = false;
    int r = group_get(s, no, false, &g);

    if (r)
        return r == -ENOENT ? 0 : r;
    if ((r = group_lock(s, g, no * GROUP_CHUNKS)) < 0)
        goto out;
    for (unsigned i = 0; i < GROUP_CHUNKS; i++) {
        uint64_t id = no * GROUP_CHUNKS + i;

        store_name(name, NAME_DATA, id);
        if (slot_check(s, g, id) == -ENOENT || io_exists(s, name) != 0)
            continue;
        (void)slot_free(s, g, id);
        found = true;
    }
    (void)slot_sweep(s, g);
    group_unlock(s, g);
out:
    group_put(s, g);
    if (found)
        store_event(s, CHUNK_EV_REPAIRED, 0, 0, 0, "sums without a chunk were removed");
    return r == -ESTALE ? 0 : r;
}

// Whoever may have this temporary file in use has the chunk or its group for himself.
static int
remove_tmp(struct chunk_store *s, struct chunk_file *cf, void *arg)
{
    uint64_t id = atomic_load(&cf->id);
    char name[NAME_SIZE];
    int r = group_lock(s, cf->group, id);

    if (r)
        return r;
    store_name(name, NAME_TMP, id);
    r = io_unlink(s, name);
    group_unlock(s, cf->group);
    return r == -ENOENT ? 0 : r;
}

static int
clean_tmp(void *arg, uint64_t id)
{
    struct scrub *c = arg;
    struct chunk_store *s = c->s;
    char name[NAME_SIZE];
    struct group *g;
    int r = excl_do(s, id, remove_tmp, NULL);

    if (r == -ENOENT) { // a clone that did not come to be
        store_name(name, NAME_TMP, id);
        if ((r = group_get(s, id / GROUP_CHUNKS, true, &g)) < 0)
            return r;
        if ((r = group_lock(s, g, id)) == 0) {
            r = io_unlink(s, name);
            group_unlock(s, g);
        }
        group_put(s, g);
    }
    if (r == 0)
        store_event(s, CHUNK_EV_REPAIRED, id, 0, 0, "a temporary file of a killed process was removed");
    return r == -ENOENT || r == -ESTALE ? 0 : r;
}

int
chunk_scrub(struct chunk_store *s, uint64_t id, const struct chunk_scrub_options *opt)
{
    static const struct chunk_scrub_options none;
    struct scrub c = {.s = s, .opt = opt ? opt : &none};
    int r = store_enter(s);

    if (r)
        return r;
    if ((c.scratch = store_scratch(s)) == NULL)
        return -ENOMEM;
    clock_gettime(CLOCK_MONOTONIC, &c.start);
    if (id) {
        r = scrub_chunk(&c, id);
    } else {
        if (!(s->flags & CHUNK_RDONLY)) {
            r = list_names(s, ".tmp", clean_tmp, &c);
            if (r == 0)
                r = list_names(s, ".sum", clean_slots, &c);
        }
        if (r == 0)
            r = list_names(s, "", scrub_each, &c);
    }
    store_unscratch(s, c.scratch);
    return c.stop ? c.stop : r;
}
