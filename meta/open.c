// SPDX-License-Identifier: Apache-2.0
// Held inodes, and the sessions that hold them. The shared table says which session holds what; how often is
// the session's own business. It counts without a lock, since each open and close comes here: a lock would
// have to keep signals out (a handler may open files), and that is two system calls. The shared table may
// have an inode several times for a session; a count that is not 0 stands for one of them, which is entered
// before and removed after.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/forkgate.h"
#include "meta/internal.h"

// `holds` is open addressing with linear probing; under hold_lock, with signals blocked.
static struct hold *
hold_slot(struct meta *m, uint64_t ino)
{
    uint32_t i = (uint32_t)((ino * 0x9e3779b97f4a7c15ULL) >> 33) & (m->hold_cap - 1);

    while (m->holds[i].ino && m->holds[i].ino != ino)
        i = (i + 1) & (m->hold_cap - 1);
    return &m->holds[i];
}

static int
hold_grow(struct meta *m)
{
    struct hold *old = m->holds;
    uint32_t n = m->hold_cap, cap = n ? n * 2 : 64;
    struct hold *v = calloc(cap, sizeof(*v));

    if (!v)
        return -ENOMEM;
    m->holds = v;
    m->hold_cap = cap;
    for (uint32_t i = 0; i < n; i++)
        if (old[i].ino)
            *hold_slot(m, old[i].ino) = old[i];
    free(old);
    return 0;
}

static void
hold_erase(struct meta *m, struct hold *h)
{
    uint32_t mask = m->hold_cap - 1, hole = (uint32_t)(h - m->holds);

    for (uint32_t i = (hole + 1) & mask; m->holds[i].ino; i = (i + 1) & mask) {
        uint32_t home = (uint32_t)((m->holds[i].ino * 0x9e3779b97f4a7c15ULL) >> 33) & mask;

        if (((i - home) & mask) >= ((i - hole) & mask)) {
            m->holds[hole] = m->holds[i];
            hole = i;
        }
    }
    m->holds[hole].ino = 0;
    atomic_store(&m->nslow, --m->nholds);
}

static void
lock_holds(struct meta *m, sigset_t *mask)
{
    sigset_t all;

    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, mask);
    forkgate_enter();
    pthread_mutex_lock(&m->hold_lock);
}

static void
unlock_holds(struct meta *m, const sigset_t *mask)
{
    pthread_mutex_unlock(&m->hold_lock);
    forkgate_leave();
    pthread_sigmask(SIG_SETMASK, mask, NULL);
}

#define QUICK_COUNT 0xffffu
#define QUICK_MOST 0xfff0u

static _Atomic uint64_t *
quick_at(struct meta *m, uint64_t ino, uint32_t i)
{
    return &m->quick[((uint32_t)((ino * 0x9e3779b97f4a7c15ULL) >> 33) + i) & (HOLD_QUICK - 1)];
}

// The place of the inode's count, or one that can be made so, with what is in it.
static _Atomic uint64_t *
quick_find(struct meta *m, uint64_t ino, uint64_t *word)
{
    _Atomic uint64_t *place = NULL;

    for (uint32_t i = 0; i < HOLD_PROBE; i++) {
        _Atomic uint64_t *p = quick_at(m, ino, i);
        uint64_t w = atomic_load_explicit(p, memory_order_acquire);

        if (w >> 16 == ino && w) {
            *word = w;
            return p;
        }
        if (!place && !(w & QUICK_COUNT)) {
            place = p;
            *word = w;
        }
    }
    return place;
}

// 0; -EAGAIN: there is no place.
static int
quick_add(struct meta *m, uint64_t ino)
{
    bool shared = false; // we have an entry there that no count stands for yet
    int r = -EAGAIN;

    for (;;) {
        uint64_t w = 0;
        _Atomic uint64_t *p = quick_find(m, ino, &w);

        if (!p || (w & QUICK_COUNT) >= QUICK_MOST)
            break;
        bool first = !(w & QUICK_COUNT);
        if (first && !shared) {
            if ((r = shared_hold(m->s, m->slot, ino)) < 0)
                return r;
            shared = true;
            r = -EAGAIN;
        }
        if (atomic_compare_exchange_strong(p, &w, first ? ino << 16 | 1 : w + 1)) {
            shared = shared && !first;
            r = 0;
            break;
        }
    }
    if (shared)
        shared_unhold(m->s, m->slot, ino);
    return r;
}

// 1: a count is 0 now; 0; -EAGAIN: there is none.
static int
quick_drop(struct meta *m, uint64_t ino)
{
    for (uint32_t i = 0; i < HOLD_PROBE; i++) {
        _Atomic uint64_t *p = quick_at(m, ino, i);
        uint64_t w = atomic_load_explicit(p, memory_order_acquire);

        while (w >> 16 == ino && w & QUICK_COUNT)
            if (atomic_compare_exchange_strong(p, &w, w - 1)) {
                if ((w & QUICK_COUNT) > 1)
                    return 0;
                shared_unhold(m->s, m->slot, ino);
                return 1;
            }
    }
    return -EAGAIN;
}

int
hold_add(struct meta *m, uint64_t ino)
{
    struct hold *h;
    sigset_t mask;
    int r = quick_add(m, ino);

    if (r != -EAGAIN)
        return r;
    r = 0;
    lock_holds(m, &mask);
    if (m->nholds * 2 >= m->hold_cap && (r = hold_grow(m)) < 0)
        goto out;
    h = hold_slot(m, ino);
    if (!h->ino) {
        if ((r = shared_hold(m->s, m->slot, ino)) < 0)
            goto out;
        h->ino = ino;
        h->count = 0;
        atomic_store(&m->nslow, ++m->nholds);
    }
    h->count++;
out:
    unlock_holds(m, &mask);
    return r;
}

int
hold_drop(struct meta *m, uint64_t ino)
{
    struct hold *h = NULL;
    sigset_t mask;
    int r = quick_drop(m, ino);

    if (r != -EAGAIN)
        return r;
    r = -EBADF;
    if (!atomic_load(&m->nslow))
        return r;
    lock_holds(m, &mask);
    if (m->hold_cap)
        h = hold_slot(m, ino);
    if (h && h->ino) {
        r = --h->count == 0;
        if (r) {
            hold_erase(m, h);
            shared_unhold(m->s, m->slot, ino);
        }
    }
    unlock_holds(m, &mask);
    return r;
}

// A fork child holds what its parent did, under its own session.
int
holds_renew(struct meta *m)
{
    int r;

    for (uint32_t i = 0; i < HOLD_QUICK; i++) {
        uint64_t w = atomic_load(&m->quick[i]);

        if (w & QUICK_COUNT && (r = shared_hold(m->s, m->slot, w >> 16)) < 0)
            return r;
    }
    for (uint32_t i = 0; i < m->hold_cap; i++) {
        if (m->holds[i].ino && (r = shared_hold(m->s, m->slot, m->holds[i].ino)) < 0)
            return r;
    }
    return 0;
}

static int
open_check(struct meta *m, const struct meta_cred *cred, uint64_t ino, int flags)
{
    int mask = 0;

    switch (flags & O_ACCMODE) {
    case O_RDONLY:
        mask = R_OK;
        break;
    case O_WRONLY:
        mask = W_OK;
        break;
    case O_RDWR:
        mask = R_OK | W_OK;
        break;
    default:
        return -EINVAL;
    }
    if (flags & O_TRUNC)
        mask |= W_OK;
    if (mask & W_OK && m->flags & META_RDONLY)
        return -EROFS;
    if (!cred)
        return 0;
    return meta_access(m, cred, ino, mask);
}

int
meta_open_file(struct meta *m, const struct meta_cred *cred, uint64_t ino, int flags, struct meta_attr *attr)
{
    struct meta_attr a;
    int r = volume_enter(m);

    // Hold it first, look at it then: see shared_hold.
    if (r < 0 || (r = hold_add(m, ino)) < 0)
        return r;
    if ((r = meta_getattr(m, ino, &a)) == 0) {
        if (S_ISDIR(a.mode) && ((flags & O_ACCMODE) != O_RDONLY || flags & O_TRUNC))
            r = -EISDIR;
        else
            r = open_check(m, cred, ino, flags);
    }
    if (r < 0)
        meta_close_file(m, ino);
    else if (attr)
        *attr = a;
    return r;
}

// Nobody names it, nobody holds it: it goes.
static int
reap_one(struct op *op, uint64_t ino)
{
    union row_any any;
    struct node n;
    int r = op_node(op, ino, &n);

    if (r < 0)
        return r == -ESTALE ? 0 : r;
    if (n.a.nlink)
        return 0;
    if ((r = op_get(op, ROW_TRASH, ino, 0, &any, NULL)) != 0)
        return r < 0 ? r : 0;
    op_close_version(op, ino);
    if (shared_held(op->m->s, ino, UINT32_MAX))
        return 0;
    if ((r = op_del(op, ROW_ORPHAN, ino, 0)) < 0)
        return r;
    return node_delete(op, &n);
}

int
meta_close_file(struct meta *m, uint64_t ino)
{
    struct node n;
    struct op *op;
    int r;

    if ((r = volume_enter(m)) < 0 || (r = hold_drop(m, ino)) <= 0)
        return r;
    if (cache_node(m->cache, ino, node_version(m, ino), &n) && n.a.nlink)
        return 0;
    if ((r = op_begin(m, OP_WRITE | OP_INTERNAL, &op)) < 0)
        return r;
    return op_end(op, reap_one(op, ino));
}

// Inodes that only dead sessions held. In a direct operation.
int
orphans_reap(struct op *op)
{
    struct meta_db *db = op->m->db;
    uint64_t v[64], after = 0;
    int r, n;

    do {
        n = 0;
        if ((r = db_query(db, SQL_ORPHAN_LIST, "ii", after, (int64_t)64)) < 0)
            return r;
        while (n < 64 && (r = db_step(db, SQL_ORPHAN_LIST)) == 1)
            v[n++] = (uint64_t)db_int(db, SQL_ORPHAN_LIST, 0);
        db_done(db, SQL_ORPHAN_LIST);
        if (r < 0)
            return r;
        for (int i = 0; i < n; i++)
            if ((r = reap_one(op, v[i])) < 0)
                return r;
        if (n)
            after = v[n - 1];
        if (op->rows > 10000 && (r = op_spill(op)) < 0)
            return r;
    } while (n == 64);
    return 0;
}

static int
session_bury(struct op *op, uint64_t number)
{
    struct meta_db *db = op->m->db;
    int r;

    op->epoch = true; // those who wait for its locks look again
    if ((r = db_run(db, SQL_LOCK_DEAD, "i", number)) < 0 || (r = db_run(db, SQL_WAIT_DEAD, "i", number)) < 0)
        return r;
    return db_run(db, SQL_GARBAGE_UNCLAIM, "i", number);
}

bool
session_alive(struct op *op, uint64_t number)
{
    struct shared *s = op->m->s;
    uint32_t slot = (uint32_t)(number & 0xffff);

    if (number & META_OWNER_SHARED)
        return op->m->opt.owner_alive && op->m->opt.owner_alive(op->m->opt.arg, number);
    if (slot >= SHARED_SESSIONS || !atomic_load(&s->session[slot].pid) ||
        shared_session_number(s, slot) != number)
        return false;
    return slot == op->m->slot || !shared_session_dead(s, slot);
}

// In a direct operation. `all`: also what SQL remembers of sessions that the shared file does not know (after
// a reboot).
int
session_reap(struct op *op, bool all)
{
    struct shared *s = op->m->s;
    struct meta_db *db = op->m->db;
    uint64_t v[64];
    int r, n;

    for (uint32_t i = 0; i < SHARED_SESSIONS; i++) {
        if (!atomic_load(&s->session[i].pid) || !shared_session_dead(s, i))
            continue;
        if ((r = session_bury(op, shared_session_number(s, i))) < 0)
            return r;
        shared_session_end(s, i);
    }
    do {
        bool more = false;

        n = 0;
        if (!all)
            return 0;
        if ((r = db_query(db, SQL_LOCK_SESSIONS, "")) < 0)
            return r;
        while ((r = db_step(db, SQL_LOCK_SESSIONS)) == 1) {
            uint64_t number = (uint64_t)db_int(db, SQL_LOCK_SESSIONS, 0);

            if (!session_alive(op, number)) {
                if (n == 64) {
                    more = true;
                    break;
                }
                v[n++] = number;
            }
        }
        db_done(db, SQL_LOCK_SESSIONS);
        if (r < 0)
            return r;
        for (int i = 0; i < n; i++)
            if ((r = session_bury(op, v[i])) < 0)
                return r;
        if (!more)
            return 0;
    } while (n);
    return 0;
}
