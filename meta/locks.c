// SPDX-License-Identifier: Apache-2.0
// fcntl's byte ranges and flock, as rows in SQL: (inode, kind, session, owner, range). A lock of a session
// that died counts for nothing. Waiting is on the inode's change counter, a futex that all processes share.
#include <errno.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <time.h>

#include "meta/internal.h"

enum { KIND_RANGE, KIND_FLOCK };
#define SLICE_MS 200  // a waiter looks again after that: the holder's death changes no counter
#define WAIT_DEPTH 64 // of a circle of waiters that is looked for

struct range {
    int64_t start, stop;
    short type;
};

struct other {
    uint64_t session, owner;
    struct range range;
    pid_t pid;
};

// Whose locks they are, in SQL's words.
static uint64_t
session_of(const struct meta *m, uint64_t owner)
{
    return owner & META_OWNER_SHARED ? owner : m->session;
}

static void
wake(struct meta *m, uint64_t ino)
{
    syscall(SYS_futex, &m->s->counter[shared_bucket(ino, 0)], FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

// What a lock makes of those of the same owner that it meets: all of them are taken away, and at most three
// come instead.
struct cut {
    struct range left, put, right; // a piece with start > stop is none
    int64_t first, last;           // the starts of those that are taken away
};

// One of the owner's own ranges, which overlaps with `want` or lies beside it.
static void
cut_own(struct cut *c, const struct range *want, const struct range *own)
{
    bool overlaps = own->start <= want->stop && own->stop >= want->start;

    if (own->type == want->type) { // neighbours of a kind are joined
        if (own->start < c->put.start)
            c->put.start = own->start;
        if (own->stop > c->put.stop)
            c->put.stop = own->stop;
    } else if (!overlaps) {
        return;
    } else {
        if (own->start < want->start)
            c->left = (struct range){own->start, want->start - 1, own->type};
        if (own->stop > want->stop)
            c->right = (struct range){want->stop + 1, own->stop, own->type};
    }
    if (own->start < c->first)
        c->first = own->start;
    if (own->start > c->last)
        c->last = own->start;
}

// What is to be done to the owner's own ranges into `cut`; the first conflicting one of others into `who`. 1:
// there is one.
static int
scan(struct op *op, uint64_t ino, int kind, uint64_t owner, const struct range *want, struct cut *cut,
     struct other *who)
{
    struct meta *m = op->m;
    int64_t low = want->start - (want->start > 0), high = want->stop + (want->stop < INT64_MAX);
    int r = db_query(m->db, SQL_LOCK_LIST, "iiii", ino, (int64_t)kind, low, high), found = 0;

    *cut = (struct cut){{0, -1, 0}, *want, {0, -1, 0}, INT64_MAX, -1};
    while (r >= 0 && (r = db_step(m->db, SQL_LOCK_LIST)) == 1) {
        struct other o = {.session = (uint64_t)db_int(m->db, SQL_LOCK_LIST, 0),
                          .owner = (uint64_t)db_int(m->db, SQL_LOCK_LIST, 1),
                          .range = {db_int(m->db, SQL_LOCK_LIST, 2), db_int(m->db, SQL_LOCK_LIST, 3),
                                    (short)db_int(m->db, SQL_LOCK_LIST, 4)},
                          .pid = (pid_t)db_int(m->db, SQL_LOCK_LIST, 5)};

        if (o.session == session_of(m, owner) && o.owner == owner) {
            cut_own(cut, want, &o.range);
        } else if (!found && want->start <= o.range.stop && o.range.start <= want->stop &&
                   (want->type == F_WRLCK || o.range.type == F_WRLCK) && session_alive(op, o.session)) {
            *who = o;
            found = 1;
        }
    }
    db_done(m->db, SQL_LOCK_LIST);
    return r < 0 ? r : found;
}

// The rows of an owner become what the cut says.
static int
apply(struct op *op, uint64_t ino, int kind, uint64_t owner, const struct cut *cut, pid_t pid)
{
    const struct range *piece[] = {&cut->left, &cut->put, &cut->right};
    struct meta *m = op->m;
    int r = 0;

    if (cut->first <= cut->last)
        r = db_run(m->db, SQL_LOCK_CUT, "iiiiii", ino, (int64_t)kind, session_of(m, owner), owner, cut->first,
                   cut->last);
    for (int i = 0; r >= 0 && i < 3; i++)
        if (piece[i]->start <= piece[i]->stop && piece[i]->type != F_UNLCK)
            r = db_run(m->db, SQL_LOCK_PUT, "iiiiiiii", ino, (int64_t)kind, session_of(m, owner), owner,
                       piece[i]->start, piece[i]->stop, (int64_t)piece[i]->type, (int64_t)pid);
    return r;
}

// Would waiting for `who` close a circle?
static int
closes_circle(struct op *op, uint64_t owner, const struct other *who)
{
    struct meta *m = op->m;
    uint64_t session = who->session, o = who->owner;

    for (int i = 0; i < WAIT_DEPTH; i++) {
        int r;

        if (session == session_of(m, owner) && o == owner)
            return 1;
        if ((r = db_query(m->db, SQL_WAIT_GET, "ii", session, o)) < 0 ||
            (r = db_step(m->db, SQL_WAIT_GET)) <= 0)
            return r;
        session = (uint64_t)db_int(m->db, SQL_WAIT_GET, 0);
        o = (uint64_t)db_int(m->db, SQL_WAIT_GET, 1);
        db_done(m->db, SQL_WAIT_GET);
    }
    return 0;
}

static int
conflict(struct op *op, uint64_t owner, const struct other *who, bool wait)
{
    struct meta *m = op->m;
    int r;

    if (!wait)
        return op_abort(op, -EAGAIN);
    if ((r = closes_circle(op, owner, who)) != 0)
        return op_abort(op, r < 0 ? r : -EDEADLK);
    if ((r = db_run(m->db, SQL_WAIT_PUT, "iiii", session_of(m, owner), owner, who->session, who->owner)) < 0)
        return op_abort(op, r);
    r = op_commit(op);
    return r < 0 ? r : -EAGAIN;
}

static int
set(struct meta *m, uint64_t ino, int kind, uint64_t owner, const struct range *want, pid_t pid, bool wait)
{
    struct other who;
    struct node node;
    struct cut cut;
    struct op *op;
    int r = op_begin(m, OP_DIRECT | OP_INTERNAL, &op);

    if (r < 0)
        return r;
    if ((r = op_node(op, ino, &node)) < 0 || (r = scan(op, ino, kind, owner, want, &cut, &who)) < 0)
        return op_abort(op, r);
    if (r && want->type != F_UNLCK)
        return conflict(op, owner, &who, wait);
    if (cut.first > cut.last && want->type == F_UNLCK)
        return op_abort(op, 0);
    r = apply(op, ino, kind, owner, &cut, pid);
    if (r == 0)
        r = db_run(m->db, SQL_WAIT_DEL, "ii", session_of(m, owner), owner);
    op_touch(op, ino);
    r = op_end(op, r);
    if (r == 0)
        wake(m, ino);
    return r;
}

static int64_t
clamp(uint64_t v)
{
    return v > INT64_MAX ? INT64_MAX : (int64_t)v;
}

int
meta_setlk(struct meta *m, uint64_t ino, uint64_t owner, const struct meta_lock *lock, bool wait)
{
    struct range want = {clamp(lock->start), clamp(lock->end), lock->type};

    if (lock->start > lock->end || (lock->type != F_RDLCK && lock->type != F_WRLCK && lock->type != F_UNLCK))
        return -EINVAL;
    return set(m, ino, KIND_RANGE, owner, &want, lock->pid, wait);
}

int
meta_getlk(struct meta *m, uint64_t ino, uint64_t owner, struct meta_lock *lock)
{
    struct range want = {clamp(lock->start), clamp(lock->end), lock->type};
    struct other who;
    struct cut cut;
    struct op *op;
    int r;

    if (lock->start > lock->end || (lock->type != F_RDLCK && lock->type != F_WRLCK))
        return -EINVAL;
    if ((r = op_begin(m, OP_READ, &op)) < 0)
        return r;
    r = op_abort(op, scan(op, ino, KIND_RANGE, owner, &want, &cut, &who));
    if (r < 0)
        return r;
    lock->type = F_UNLCK;
    if (r) {
        lock->start = (uint64_t)who.range.start;
        lock->end = who.range.stop == INT64_MAX ? UINT64_MAX : (uint64_t)who.range.stop;
        lock->type = who.range.type;
        lock->pid = who.pid;
    }
    return 0;
}

int
meta_flock(struct meta *m, uint64_t ino, uint64_t owner, short type)
{
    struct range want = {0, INT64_MAX, F_UNLCK};

    if (type == LOCK_SH)
        want.type = F_RDLCK;
    else if (type == LOCK_EX)
        want.type = F_WRLCK;
    else if (type != LOCK_UN)
        return -EINVAL;
    return set(m, ino, KIND_FLOCK, owner, &want, 0, false);
}

int
meta_unlock_all(struct meta *m, uint64_t ino, uint64_t owner)
{
    struct op *op;
    int r = op_begin(m, OP_DIRECT | OP_INTERNAL, &op);

    if (r < 0)
        return r;
    for (int kind = KIND_RANGE; r == 0 && kind <= KIND_FLOCK; kind++)
        r = db_run(m->db, SQL_LOCK_CLEAR, "iiii", ino, (int64_t)kind, session_of(m, owner), owner);
    if (r == 0)
        r = db_run(m->db, SQL_WAIT_DEL, "ii", session_of(m, owner), owner);
    op_touch(op, ino);
    r = op_end(op, r);
    if (r == 0)
        wake(m, ino);
    return r;
}

uint32_t
meta_lock_seq(struct meta *m, uint64_t ino)
{
    return atomic_load(&m->s->counter[shared_bucket(ino, 0)]);
}

int
meta_lock_wait(struct meta *m, uint64_t ino, uint32_t seq, int ms)
{
    int slice = ms < 0 || ms > SLICE_MS ? SLICE_MS : ms;
    struct timespec t = {slice / 1000, (long)(slice % 1000) * 1000000};

    if (syscall(SYS_futex, &m->s->counter[shared_bucket(ino, 0)], FUTEX_WAIT, seq, &t, NULL, 0) < 0 &&
        errno == EINTR)
        return -EINTR;
    return 0;
}

int
meta_lock_cancel(struct meta *m, uint64_t ino, uint64_t owner)
{
    struct op *op;
    int r = op_begin(m, OP_DIRECT | OP_INTERNAL, &op);

    (void)ino;
    if (r < 0)
        return r;
    return op_end(op, db_run(m->db, SQL_WAIT_DEL, "ii", session_of(m, owner), owner));
}

uint64_t
meta_session_number(const struct meta *m)
{
    return m->session;
}

int
meta_lock_take(struct meta *m, uint64_t session, uint64_t owner)
{
    uint32_t slot = (uint32_t)(session & 0xffff);
    struct shared_session *old, *own;
    struct op *op;
    int r = op_begin(m, OP_DIRECT | OP_INTERNAL, &op);

    if (r < 0)
        return r;
    if (session == m->session || slot >= SHARED_SESSIONS || !session_alive(op, session))
        return op_abort(op, session == m->session ? 0 : -ESRCH);
    old = &m->s->session[slot];
    own = &m->s->session[m->slot];
    if (atomic_load(&old->pid) != atomic_load(&own->pid) || old->started != own->started ||
        old->pidns != own->pidns)
        return op_abort(op, -ESRCH);
    r = db_run(m->db, SQL_LOCK_TAKE, "iii", session, m->session, owner);
    if (r == 0)
        r = db_run(m->db, SQL_WAIT_DEAD, "i", session);
    return op_end(op, r);
}
