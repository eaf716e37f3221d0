// SPDX-License-Identifier: Apache-2.0
// The inodes that the kernel knows: how often it was told of each (it says how often it forgets), whether we
// hold it in the volume, and whose locks are on it. In the slots of fsc_watch, so that news of a
// slot finds its inodes. A lock for each 256th slot.
//
// Inodes are held only from the removal of their last name on: the volume can hold some ten thousand, the
// kernel knows any number. An inode that another process removes, and that is not open here, is gone
// (ESTALE).
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "fsclient/fuse/mount.h"

#define LOCKS 256
#define DOUBT_NS 1000000000

struct owner {
    struct owner *next;
    uint64_t owner, fh;
};

struct known {
    struct known *next;
    uint64_t ino, lookups;
    struct owner *owners;
    int64_t closed;  // when, of files that are locked; 0: never
    int64_t doubted; // when, an open of it; 0: never
    bool dir, held;
};

struct known_table {
    struct fsc *fs;
    pthread_mutex_t lock[LOCKS];
    struct known *slot[FSC_WATCH_SLOTS];
};

static int64_t
now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

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

static void
free_known(struct known *k)
{
    for (struct owner *o = k->owners, *next; o; o = next) {
        next = o->next;
        free(o);
    }
    free(k);
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
            free_known(k);
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
        free_known(k);
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

bool
known_doubt(struct known_table *t, uint64_t ino)
{
    uint32_t slot = enter(t, ino);
    struct known *k = *find(t, slot, ino);
    int64_t now = now_ns();
    bool doubt = k && !k->held && (!k->doubted || now - k->doubted > DOUBT_NS);

    if (k)
        k->doubted = doubt ? now : 0;
    leave(t, slot);
    return doubt;
}

// ---- locks ----

int
known_add_owner(struct known_table *t, uint64_t ino, uint64_t owner, uint64_t fh)
{
    uint32_t slot = enter(t, ino);
    struct known *k = *find(t, slot, ino);
    struct owner *o = k ? k->owners : NULL;

    while (o && (o->owner != owner || o->fh != fh))
        o = o->next;
    if (k && !o && (o = malloc(sizeof *o))) {
        *o = (struct owner){.next = k->owners, .owner = owner, .fh = fh};
        k->owners = o;
    }
    leave(t, slot);
    return !k || o ? 0 : -ENOMEM;
}

bool
known_take_owner(struct known_table *t, uint64_t ino, uint64_t owner, uint64_t fh, uint64_t *out)
{
    uint32_t slot = enter(t, ino);
    struct known *k = *find(t, slot, ino);
    struct owner **p = k ? &k->owners : NULL, *o = NULL;

    while (p && *p && (fh ? (*p)->fh != fh : (*p)->owner != owner))
        p = &(*p)->next;
    if (p && *p) {
        o = *p;
        *p = o->next;
        *out = o->owner;
    }
    leave(t, slot);
    free(o);
    return o != NULL;
}

void
known_closed(struct known_table *t, uint64_t ino)
{
    uint32_t slot = enter(t, ino);
    struct known *k = *find(t, slot, ino);

    if (k)
        k->closed = now_ns();
    leave(t, slot);
}

int64_t
known_since_close(struct known_table *t, uint64_t ino)
{
    uint32_t slot = enter(t, ino);
    const struct known *k = *find(t, slot, ino);
    int64_t closed = k ? k->closed : 0;

    leave(t, slot);
    return closed ? now_ns() - closed : INT64_MAX;
}

// ---- news ----

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
