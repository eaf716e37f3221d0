// SPDX-License-Identifier: Apache-2.0
// What this process knows of the volume: nodes by inode, inodes by (parent, name), also names that are not
// there. An entry holds as long as the version of its bucket is what it was, which counts the changes by
// others (internal.h): what this process changes, it changes here, too. So all puts are made under the
// volume's lock, and they tell when an entry could not be reached that may have become wrong.
//
// Tables of sets of WAYS. Each entry has a lock that nobody waits for long: who finds it taken has a cache
// miss. So a signal handler can't be caught in it. When a table is full, a larger one is put before it;
// entries stay where they are, since a reader may be at them.
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "meta/internal.h"

#define WAYS 4
#define GROW 8    // times as many entries
#define SPINS 200 // tries to get at an entry

// The keys are looked at before the lock is taken, and again with it.
struct node_entry {
    atomic_flag lock;
    uint32_t age;
    _Atomic uint64_t ino;
    uint64_t version; // 0: empty (a real one is even and its epoch is at least 1)
    struct node node;
};

struct name_entry {
    atomic_flag lock;
    uint32_t type;
    _Atomic uint64_t h;
    uint64_t version, parent, h2, ino;
};

struct table {
    uint32_t sets; // power of two
    struct node_entry *nodes;
    struct name_entry *names;
    struct table *older;
    uint32_t lost; // entries that others took the place of
};

struct cache {
    struct table *_Atomic top;
    uint32_t clock;
    uint64_t most; // entries of a table
};

// Large, zeroed, and given memory page by page as it is used.
static void *
map(size_t n)
{
    void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return p == MAP_FAILED ? NULL : p;
}

static void
table_free(struct table *t)
{
    if (t->nodes)
        munmap(t->nodes, (size_t)t->sets * WAYS * sizeof(*t->nodes));
    if (t->names)
        munmap(t->names, (size_t)t->sets * WAYS * sizeof(*t->names));
    free(t);
}

static struct table *
table_new(uint64_t entries)
{
    struct table *t = calloc(1, sizeof(*t));

    if (!t)
        return NULL;
    for (t->sets = 16; (uint64_t)t->sets * WAYS < entries && t->sets < 1u << 24;)
        t->sets *= 2;
    t->nodes = map((size_t)t->sets * WAYS * sizeof(*t->nodes));
    t->names = map((size_t)t->sets * WAYS * sizeof(*t->names));
    if (t->nodes && t->names)
        return t;
    table_free(t);
    return NULL;
}

// A 32nd of the machine's memory, at the most.
static uint64_t
by_memory(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    uint64_t bytes = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page / 32 : 0;

    return bytes / (sizeof(struct node_entry) + sizeof(struct name_entry));
}

struct cache *
cache_new(uint32_t entries, uint32_t most)
{
    struct cache *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    c->most = most ? most : by_memory();
    atomic_init(&c->top, table_new(entries));
    if (!atomic_load(&c->top)) {
        free(c);
        return NULL;
    }
    return c;
}

void
cache_free(struct cache *c)
{
    struct table *t, *older;

    if (!c)
        return;
    for (t = atomic_load(&c->top); t; t = older) {
        older = t->older;
        table_free(t);
    }
    free(c);
}

void
cache_forget(struct cache *c)
{
    // A shell forks for each command: its child must not touch megabytes to clear them.
    for (struct table *t = atomic_load(&c->top); t; t = t->older) {
        madvise(t->nodes, (size_t)t->sets * WAYS * sizeof(*t->nodes), MADV_DONTNEED);
        madvise(t->names, (size_t)t->sets * WAYS * sizeof(*t->names), MADV_DONTNEED);
    }
}

// An entry that was of use has to go.
static void
lose(struct cache *c, struct table *t)
{
    uint64_t entries = (uint64_t)t->sets * WAYS, want = entries * GROW;

    if (++t->lost < entries / 8 || c->most <= entries)
        return;
    t->lost = 0;
    while (want > c->most && want > 2 * entries)
        want /= 2;
    struct table *larger = want <= c->most ? table_new(want) : NULL;

    if (!larger) {
        c->most = entries; // it stays as it is
        return;
    }
    larger->older = t;
    atomic_store_explicit(&c->top, larger, memory_order_release);
}

static size_t
set_of(const struct table *t, uint64_t a, uint64_t b)
{
    uint64_t h = (a ^ b * 0xc2b2ae3d27d4eb4fULL) * 0x9e3779b97f4a7c15ULL;

    // One product is not enough: inodes come in a row, and a row may fall into few sets.
    h = (h ^ h >> 32) * 0xff51afd7ed558ccdULL;
    return (size_t)((uint32_t)(h >> 36) & (t->sets - 1)) * WAYS;
}

static bool
has_key(const _Atomic uint64_t *at, uint64_t key)
{
    return atomic_load_explicit(at, memory_order_relaxed) == key;
}

static bool
try_lock(atomic_flag *lock)
{
    return !atomic_flag_test_and_set_explicit(lock, memory_order_acquire);
}

// A reader holds it for nanoseconds, unless a signal has come between.
static bool
lock_soon(atomic_flag *lock)
{
    for (int i = 0; i < SPINS; i++)
        if (try_lock(lock))
            return true;
    return false;
}

static void
unlock(atomic_flag *lock)
{
    atomic_flag_clear_explicit(lock, memory_order_release);
}

bool
cache_node(struct cache *c, uint64_t ino, uint64_t version, struct node *out)
{
    if (version & 1)
        return false;
    for (struct table *t = atomic_load_explicit(&c->top, memory_order_acquire); t; t = t->older) {
        struct node_entry *e = &t->nodes[set_of(t, ino, 0)];

        for (int i = 0; i < WAYS; i++, e++) {
            bool hit;

            if (!has_key(&e->ino, ino) || !try_lock(&e->lock))
                continue;
            hit = has_key(&e->ino, ino) && e->version == version;
            if (hit)
                *out = e->node;
            unlock(&e->lock);
            if (hit)
                return true;
        }
    }
    return false;
}

bool
cache_drop_node(struct cache *c, uint64_t ino)
{
    bool all = true;

    for (struct table *t = atomic_load(&c->top); t; t = t->older) {
        struct node_entry *e = &t->nodes[set_of(t, ino, 0)];

        for (int i = 0; i < WAYS; i++, e++) {
            // Only who puts changes a key, and that is us.
            if (!has_key(&e->ino, ino))
                continue;
            if (!lock_soon(&e->lock)) {
                all = false;
                continue;
            }
            e->version = 0;
            unlock(&e->lock);
        }
    }
    return all;
}

bool
cache_put_node(struct cache *c, uint64_t version, const struct node *node)
{
    struct table *t = atomic_load(&c->top);
    struct node_entry *set = &t->nodes[set_of(t, node->a.ino, 0)], *victim = NULL;
    bool all = cache_drop_node(c, node->a.ino), lost;

    for (int i = 0; i < WAYS; i++)
        if (!victim || !set[i].version || (victim->version && set[i].age < victim->age))
            victim = &set[i];
    if (!lock_soon(&victim->lock))
        return all; // it is not remembered, no more
    lost = victim->version != 0;
    victim->node = *node;
    atomic_store_explicit(&victim->ino, node->a.ino, memory_order_relaxed);
    victim->version = version;
    victim->age = c->clock++;
    unlock(&victim->lock);
    if (lost)
        lose(c, t);
    return all;
}

bool
cache_name(struct cache *c, uint64_t parent, struct name_hash h, uint64_t version, uint64_t *ino,
           uint32_t *type)
{
    if (version & 1)
        return false;
    for (struct table *t = atomic_load_explicit(&c->top, memory_order_acquire); t; t = t->older) {
        struct name_entry *e = &t->names[set_of(t, parent, h.h)];

        for (int i = 0; i < WAYS; i++, e++) {
            bool hit;

            if (!has_key(&e->h, h.h) || !try_lock(&e->lock))
                continue;
            hit = has_key(&e->h, h.h) && e->h2 == h.h2 && e->parent == parent && e->version == version;
            if (hit) {
                *ino = e->ino;
                *type = e->type;
            }
            unlock(&e->lock);
            if (hit)
                return true;
        }
    }
    return false;
}

static bool
drop_name(struct cache *c, uint64_t parent, uint64_t h)
{
    bool all = true;

    for (struct table *t = atomic_load(&c->top); t; t = t->older) {
        struct name_entry *e = &t->names[set_of(t, parent, h)];

        for (int i = 0; i < WAYS; i++, e++) {
            if (!has_key(&e->h, h))
                continue;
            if (!lock_soon(&e->lock)) {
                all = false;
                continue;
            }
            if (e->parent == parent)
                e->version = 0;
            unlock(&e->lock);
        }
    }
    return all;
}

bool
cache_put_name(struct cache *c, uint64_t parent, struct name_hash h, uint64_t version, uint64_t ino,
               uint32_t type)
{
    struct table *t = atomic_load(&c->top);
    struct name_entry *set = &t->names[set_of(t, parent, h.h)];
    struct name_entry *victim = &set[h.h2 & (WAYS - 1)]; // where all places are others'
    bool all = drop_name(c, parent, h.h), lost;

    // A name that is not there is of less use than one that is.
    for (int i = 0; i < WAYS; i++)
        if (!set[i].version || (victim->version && victim->ino && !set[i].ino))
            victim = &set[i];
    if (!lock_soon(&victim->lock))
        return all;
    lost = victim->version && victim->ino;
    victim->parent = parent;
    atomic_store_explicit(&victim->h, h.h, memory_order_relaxed);
    victim->h2 = h.h2;
    victim->ino = ino;
    victim->type = type;
    victim->version = version;
    unlock(&victim->lock);
    if (lost)
        lose(c, t);
    return all;
}

#define ROTL(x, b) ((x) << (b) | (x) >> (64 - (b)))
#define SIPROUND                                                                                             \
    do {                                                                                                     \
        v0 += v1, v1 = ROTL(v1, 13), v1 ^= v0, v0 = ROTL(v0, 32);                                            \
        v2 += v3, v3 = ROTL(v3, 16), v3 ^= v2;                                                               \
        v0 += v3, v3 = ROTL(v3, 21), v3 ^= v0;                                                               \
        v2 += v1, v1 = ROTL(v1, 17), v1 ^= v2, v2 = ROTL(v2, 32);                                            \
    } while (0)

// SipHash-1-3 with 128 bits of result (Aumasson, Bernstein: "SipHash: a fast short-input PRF"). Keyed by the
// volume, so that nobody can choose names that collide.
struct name_hash
name_hash(const uint64_t key[2], const char *name, size_t len)
{
    uint64_t v0 = key[0] ^ 0x736f6d6570736575ULL, v1 = key[1] ^ 0x646f72616e646f6dULL ^ 0xee;
    uint64_t v2 = key[0] ^ 0x6c7967656e657261ULL, v3 = key[1] ^ 0x7465646279746573ULL, w;
    struct name_hash h;
    size_t i;

    for (i = 0; i + 8 <= len; i += 8) {
        memcpy(&w, name + i, 8);
        v3 ^= w;
        SIPROUND;
        v0 ^= w;
    }
    w = (uint64_t)len << 56;
    for (size_t k = 0; i + k < len; k++)
        w |= (uint64_t)(uint8_t)name[i + k] << (8 * k);
    v3 ^= w;
    SIPROUND;
    v0 ^= w;
    v2 ^= 0xee;
    SIPROUND;
    SIPROUND;
    SIPROUND;
    h.h = (v0 ^ v1 ^ v2 ^ v3) >> 1;
    v1 ^= 0xdd;
    SIPROUND;
    SIPROUND;
    SIPROUND;
    h.h2 = v0 ^ v1 ^ v2 ^ v3;
    if (h.h < COOKIE_MIN)
        h.h += COOKIE_MIN;
    return h;
}
