// SPDX-License-Identifier: Apache-2.0
// Which chunks a file has, remembered while the inode's version stays; and taking out the garbage.
#include <errno.h>
#include <string.h>

#include "fsclient/local.h"

// Asks the engine for a window that begins at `first`. map_lock is held.
static int
map_fill(struct local *l, struct linode *in, uint64_t first, uint32_t version)
{
    ssize_t n;

    in->map_valid = false;
    n = meta_get_chunks(l->m, in->ino, first, in->map, LOCAL_WINDOW);
    if (n < 0)
        return (int)n;
    in->map_n = (size_t)n;
    in->map_first = first;
    in->map_last = n < LOCAL_WINDOW ? UINT64_MAX : in->map[n - 1].index;
    in->map_version = version;
    in->map_valid = true;
    return 0;
}

int
local_map(struct local *l, struct linode *in, uint64_t first, uint64_t last, struct meta_chunk *v)
{
    uint64_t want = first;
    int err = 0;

    memset(v, 0, (last - first + 1) * sizeof *v);
    pthread_mutex_lock(&in->map_lock);
    while (want <= last) {
        uint32_t version = meta_version(l->m, in->ino);

        if (!in->map_valid || in->map_version != version || version & 1 || want < in->map_first ||
            want > in->map_last) {
            err = map_fill(l, in, want, version);
            if (err)
                break;
        }
        for (size_t i = 0; i < in->map_n; i++)
            if (in->map[i].index >= want && in->map[i].index <= last)
                v[in->map[i].index - first] = in->map[i];
        if (in->map_last >= last)
            break;
        want = in->map_last + 1;
    }
    pthread_mutex_unlock(&in->map_lock);
    return err;
}

static bool
map_change(struct linode *in, const struct meta_chunk *c)
{
    struct meta_chunk now = *c;

    now.replaces = now.id;
    now.flags = 0; // it was written to, so it is nobody else's
    for (size_t i = 0; i < in->map_n; i++)
        if (in->map[i].index == c->index) {
            in->map[i] = now;
            return true;
        }
    if (in->map_n == LOCAL_WINDOW || in->map_last != UINT64_MAX || c->index < in->map_first ||
        (in->map_n && in->map[in->map_n - 1].index > c->index))
        return false;
    in->map[in->map_n++] = now;
    return true;
}

void
local_map_changed(struct local *l, struct linode *in, uint32_t before, const struct meta_chunk *v, size_t n)
{
    pthread_mutex_lock(&in->map_lock);
    // One commit moves the version by two: more, and somebody else's was between.
    if (in->map_valid && in->map_version == before && !(before & 1) &&
        meta_version(l->m, in->ino) == before + 2) {
        in->map_version = before + 2;
        for (size_t i = 0; i < n && in->map_valid; i++)
            in->map_valid = map_change(in, &v[i]);
    }
    pthread_mutex_unlock(&in->map_lock);
}

// ---- numbers ----

#define IDS 16 // asked for at once; neighbours share a sum file

int
local_new_id(struct local *l, uint64_t *id)
{
    uint64_t v[IDS], have = atomic_load(&l->ids);
    int err;

    while (have & 0xff)
        if (atomic_compare_exchange_weak(&l->ids, &have, have + 0x100 - 1)) {
            *id = have >> 8;
            return 0;
        }
    err = meta_new_chunks(l->m, v, IDS);
    if (err)
        return err;
    *id = v[0];
    // They are in a row. Where another thread did the same, those of one are lost.
    atomic_store(&l->ids, v[1] << 8 | (IDS - 1));
    return 0;
}

// ---- garbage ----

// Each batch costs two transactions, for which the engine's log is emptied: so it waits until it is many
// chunks, or much space.
#define GARBAGE_BATCH 512
#define GARBAGE_BYTES (16u << 20)

// Deletes what nothing refers to any more. A chunk that another process is reading at this moment is read
// again there.
int
local_garbage_take(struct local *l)
{
    uint64_t ids[GARBAGE_BATCH];
    ssize_t n = 0;
    int err = 0;

    if (pthread_mutex_trylock(&l->garbage_lock) != 0)
        return 0; // another thread is at it
    do {
        n = meta_take_garbage(l->m, ids, GARBAGE_BATCH);
        for (ssize_t i = 0; i < n && !err; i++) {
            err = chunk_delete(l->c, ids[i]);
            if (err == -ENOENT)
                err = 0;
        }
        if (n > 0 && !err)
            err = meta_garbage_done(l->m, ids, (size_t)n);
    } while (n == GARBAGE_BATCH && !err);
    pthread_mutex_unlock(&l->garbage_lock);
    return n < 0 ? (int)n : err;
}

void
local_garbage_look(struct local *l)
{
    uint64_t bytes;
    uint32_t n = meta_garbage(l->m, &bytes);

    // What it can't delete now, somebody will later.
    if ((n >= GARBAGE_BATCH || bytes >= GARBAGE_BYTES) && !(l->fs->opt.flags & FSC_RDONLY))
        local_garbage_take(l);
}
