// SPDX-License-Identifier: Apache-2.0
// The inodes that the kernel knows: how often it was told of each (it says how often it forgets), whether we
// hold it in the volume, and whether locks were taken on it. In the slots of fsc_watch, so that news of a
// slot finds its inodes. A lock for each 256th slot.
//
// Inodes are held only from the removal of their last name on: the volume can hold some ten thousand, the
// kernel knows any number. An inode that another process removes, and that is not open here, is gone
// (ESTALE).
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "fsclient/fuse/mount.h"

#define LOCKS 256

struct known {
    struct known *next;
    uint64_t ino, lookups;
    bool dir, held, locked;
};

struct known_table {
    struct fsc *fs;
    pthread_mutex_t lock[LOCKS];
    struct known *slot[FSC_WATCH_SLOTS];
};

struct known_table *
known_new(struct fsc *fs)
{
    struct known_table *t = calloc(1, sizeof *t);

    if (!t)
        return NULL;
    t->fs = fs;
    for (size_t i = 0; i < LOCKS; i++)
        pthread_mutex_init(&t->lock[i], NULL);
    return t;
}

void
known_free(struct known_table *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < FSC_WATCH_SLOTS; i++)
        for (struct known *k = t->slot[i], *next; k; k = next) {
            next = k->next;
            if (k->held)
                fsc_ino_release(t->fs, k->ino);
            free(k);
        }
    free(t);
}

// Locks the slot of an inode.
static uint32_t
enter(struct known_table *t, uint64_t ino)
{
    uint32_t slot = fsc_watch_slot(t->fs, ino);

    pthread_mutex_lock(&t->lock[slot % LOCKS]);
    return slot;
}

static void
leave(struct known_table *t, uint32_t slot)
{
    pthread_mutex_unlock(&t->lock[slot % LOCKS]);
}

static struct known **
find(struct known_table *t, uint32_t slot, uint64_t ino)
{
    struct known **p = &t->slot[slot];

    while (*p && (*p)->ino != ino)
        p = &(*p)->next;
    return p;
}

int
known_add(struct known_table *t, uint64_t ino, bool dir)
{
    uint32_t slot = enter(t, ino);
    struct known *k = *find(t, slot, ino);

    if (!k && (k = calloc(1, sizeof *k))) {
        k->ino = ino;
        k->dir = dir;
        k->next = t->slot[slot];
        t->slot[slot] = k;
    }
    if (k)
        k->lookups++;
    leave(t, slot);
    return k ? 0 : -ENOMEM;
}

void
known_forget(struct known_table *t, uint64_t ino, uint64_t n)
{
    uint32_t slot = enter(t, ino);
    struct known **p = find(t, slot, ino), *k = *p;
    bool held = false;

    if (k && k->lookups > n) {
        k->lookups -= n;
    } else if (k) {
        held = k->held;
        *p = k->next;
        free(k);
    }
    leave(t, slot);
    if (held)
        fsc_ino_release(t->fs, ino);
}

void
known_hold(struct known_table *t, uint64_t ino)
{
    uint32_t slot = enter(t, ino);
    struct known *k = *find(t, slot, ino);

    // Under the lock: a name that goes at the same time must not go before it is held.
    if (k && !k->held)
        k->held = fsc_ino_hold(t->fs, ino) == 0;
    leave(t, slot);
}

void
known_set_locked(struct known_table *t, uint64_t ino)
{
    uint32_t slot = enter(t, ino);
    struct known *k = *find(t, slot, ino);

    if (k)
        k->locked = true;
    leave(t, slot);
}

bool
known_locked(struct known_table *t, uint64_t ino)
{
    uint32_t slot = enter(t, ino);
    const struct known *k = *find(t, slot, ino);
    bool locked = k && k->locked;

    leave(t, slot);
    return locked;
}

bool
known_is(struct known_table *t, uint64_t ino)
{
    uint32_t slot = enter(t, ino);
    bool is = *find(t, slot, ino) != NULL;

    leave(t, slot);
    return is;
}

void
known_slot(struct known_table *t, uint32_t slot, void (*fn)(void *arg, uint64_t ino, bool dir), void *arg)
{
    pthread_mutex_lock(&t->lock[slot % LOCKS]);
    for (const struct known *k = t->slot[slot]; k; k = k->next)
        fn(arg, k->ino, k->dir);
    leave(t, slot);
}
