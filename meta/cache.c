// SPDX-License-Identifier: Apache-2.0
// What this process knows of the volume: nodes by inode, inodes by (parent, name), also names that are not
// there. An entry holds as long as the shared counter of its bucket is what it was. Direct-mapped in sets of
// two. Each entry has a lock that nobody waits for: who finds it taken has a cache miss. So a signal handler
// can't be caught in it.
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "meta/internal.h"

struct node_entry {
    atomic_flag lock;
    uint32_t age;
    uint64_t version; // 0: empty (a real one is even and its epoch is at least 1)
    struct node node;
};

struct name_entry {
    atomic_flag lock;
    uint32_t type;
    uint64_t version, parent, h, h2, ino;
};

struct cache {
    uint32_t sets; // power of two
    _Atomic uint32_t clock;
    struct node_entry *nodes; // 2 a set
    struct name_entry *names;
};

// Large, zeroed, and given memory page by page as it is used.
static void *
map(size_t n)
{
    void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return p == MAP_FAILED ? NULL : p;
}

struct cache *
cache_new(uint32_t entries)
{
    struct cache *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    for (c->sets = 64; c->sets * 2 < entries && c->sets < 1u << 24;)
        c->sets *= 2;
    c->nodes = map((size_t)c->sets * 2 * sizeof(*c->nodes));
    c->names = map((size_t)c->sets * 2 * sizeof(*c->names));
    if (!c->nodes || !c->names) {
        cache_free(c);
        return NULL;
    }
    return c;
}

void
cache_free(struct cache *c)
{
    if (!c)
        return;
    if (c->nodes)
        munmap(c->nodes, (size_t)c->sets * 2 * sizeof(*c->nodes));
    if (c->names)
        munmap(c->names, (size_t)c->sets * 2 * sizeof(*c->names));
    free(c);
}

void
cache_forget(struct cache *c)
{
    // A shell forks for each command: its child must not touch megabytes to clear them.
    madvise(c->nodes, (size_t)c->sets * 2 * sizeof(*c->nodes), MADV_DONTNEED);
    madvise(c->names, (size_t)c->sets * 2 * sizeof(*c->names), MADV_DONTNEED);
}

static uint32_t
set_of(const struct cache *c, uint64_t a, uint64_t b)
{
    uint64_t h = (a ^ b * 0xc2b2ae3d27d4eb4fULL) * 0x9e3779b97f4a7c15ULL;

    // One product is not enough: inodes come in a row, and a row may fall into few sets.
    h = (h ^ h >> 32) * 0xff51afd7ed558ccdULL;
    return (uint32_t)(h >> 36) & (c->sets - 1);
}

bool
cache_node(struct cache *c, uint64_t ino, uint64_t version, struct node *out)
{
    struct node_entry *e = &c->nodes[(size_t)set_of(c, ino, 0) * 2];

    if (version & 1)
        return false;
    for (int i = 0; i < 2; i++, e++) {
        bool hit;

        if (atomic_flag_test_and_set_explicit(&e->lock, memory_order_acquire))
            continue;
        hit = e->node.a.ino == ino && e->version == version;
        if (hit)
            *out = e->node;
        atomic_flag_clear_explicit(&e->lock, memory_order_release);
        if (hit)
            return true;
    }
    return false;
}

void
cache_put_node(struct cache *c, uint64_t version, const struct node *node)
{
    struct node_entry *e = &c->nodes[(size_t)set_of(c, node->a.ino, 0) * 2], *victim = NULL;

    for (int i = 0; i < 2; i++) {
        if (atomic_flag_test_and_set_explicit(&e[i].lock, memory_order_acquire))
            continue;
        if (e[i].node.a.ino == node->a.ino) {
            if (victim)
                atomic_flag_clear_explicit(&victim->lock, memory_order_release);
            victim = &e[i];
            break;
        }
        if (!victim) {
            victim = &e[i];
        } else if (e[i].age < victim->age) {
            atomic_flag_clear_explicit(&victim->lock, memory_order_release);
            victim = &e[i];
        } else {
            atomic_flag_clear_explicit(&e[i].lock, memory_order_release);
        }
    }
    if (!victim)
        return;
    victim->node = *node;
    victim->version = version;
    victim->age = atomic_fetch_add_explicit(&c->clock, 1, memory_order_relaxed);
    atomic_flag_clear_explicit(&victim->lock, memory_order_release);
}

bool
cache_name(struct cache *c, uint64_t parent, struct name_hash h, uint64_t version, uint64_t *ino,
           uint32_t *type)
{
    struct name_entry *e = &c->names[(size_t)set_of(c, parent, h.h) * 2];

    if (version & 1)
        return false;
    for (int i = 0; i < 2; i++, e++) {
        bool hit;

        if (atomic_flag_test_and_set_explicit(&e->lock, memory_order_acquire))
            continue;
        hit = e->h == h.h && e->h2 == h.h2 && e->parent == parent && e->version == version;
        if (hit) {
            *ino = e->ino;
            *type = e->type;
        }
        atomic_flag_clear_explicit(&e->lock, memory_order_release);
        if (hit)
            return true;
    }
    return false;
}

void
cache_put_name(struct cache *c, uint64_t parent, struct name_hash h, uint64_t version, uint64_t ino,
               uint32_t type)
{
    struct name_entry *e = &c->names[(size_t)set_of(c, parent, h.h) * 2], *victim = NULL;
    int preferred = h.h2 & 1; // where both places are another's

    for (int i = 0; i < 2; i++) {
        struct name_entry *x = &e[i];

        if (atomic_flag_test_and_set_explicit(&x->lock, memory_order_acquire))
            continue;
        if (!victim || (x->h == h.h && x->parent == parent) || (!x->version && victim->h != h.h) ||
            (victim->version && victim->h != h.h && i == preferred)) {
            if (victim)
                atomic_flag_clear_explicit(&victim->lock, memory_order_release);
            victim = x;
        } else {
            atomic_flag_clear_explicit(&x->lock, memory_order_release);
        }
    }
    if (!victim)
        return;
    victim->parent = parent;
    victim->h = h.h;
    victim->h2 = h.h2;
    victim->ino = ino;
    victim->type = type;
    victim->version = version;
    atomic_flag_clear_explicit(&victim->lock, memory_order_release);
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
