// SPDX-License-Identifier: Apache-2.0
// Operations. An operation holds the volume's lock, reads rows (its own, the log's, SQL's), collects the rows
// that it changes, and in the end puts them all into the log at once: that is its commit, and no SQL. The log
// goes into SQL in one transaction when it is full, or when SQL is to be asked for more than single rows: so
// operations of all threads and processes share transactions, and a row that changes often (a directory's
// times, the usage) is written once. An operation that needs SQL itself (OP_DIRECT) opens the transaction,
// and brings the log in with it.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "meta/internal.h"

// For tests: a place at which a process may die.
static inline void
step(struct meta *m, const char *name)
{
    if (m->opt.step)
        m->opt.step(m->opt.arg, name);
}

int64_t
op_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int
op_repair(struct meta *m)
{
    struct shared *s = m->s;
    bool reboot = s->broken == SHARED_FRESH;
    int r;

    shared_broke(s); // until all is done: should SQL fail now, the next one repairs
    // Who died may have moved the log into SQL, and no more.
    sync_before_reset(m);
    if ((r = log_recover(&s->log, m->db, reboot)) < 0)
        return r;
    s->next_ino = s->ino_end = s->next_chunk = s->chunk_end = 0;
    atomic_fetch_add(&s->epoch, 1);
    for (uint32_t i = 0; i < SHARED_COUNTERS; i++)
        if (atomic_load_explicit(&s->counter[i], memory_order_relaxed) & 1)
            atomic_fetch_add(&s->counter[i], 1);
    s->broken = SHARED_SOUND;
    return 0;
}

static void
bump(struct meta *m, uint32_t bucket, bool odd)
{
    struct shared *s = m->s;
    uint32_t v = atomic_load_explicit(&s->counter[bucket], memory_order_relaxed);

    if ((v & 1) == odd)
        return;
    watch_own(m, bucket);
    // Only the holder of the lock writes it. Pairs with shared_version.
    atomic_store(&s->counter[bucket], v + 1);
}

// What the cache has not got, or may have in a place that could not be reached, is as another's change.
static void
is_strange(struct op *op, uint32_t bucket)
{
    if (op->nstrange < sizeof(op->strange) / sizeof(op->strange[0]))
        op->strange[op->nstrange] = bucket;
    op->nstrange++;
}

static bool
known_change(const struct op *op, uint32_t bucket)
{
    if (op->direct || op->nstrange > sizeof(op->strange) / sizeof(op->strange[0]))
        return false;
    for (uint32_t i = 0; i < op->nstrange; i++)
        if (op->strange[i] == bucket)
            return false;
    return true;
}

static void
bump_of(struct op *op, uint32_t bucket, bool odd)
{
    struct meta *m = op->m;

    // Before the counter is even again: see cache_version.
    if (!odd && atomic_load_explicit(&m->s->counter[bucket], memory_order_relaxed) & 1 &&
        known_change(op, bucket))
        atomic_store(&m->own[bucket], atomic_load_explicit(&m->own[bucket], memory_order_relaxed) + 2);
    bump(m, bucket, odd);
}

static void
bump_epoch(struct meta *m)
{
    watch_own(m, WATCH_EPOCH);
    atomic_fetch_add(&m->s->epoch, 1);
}

int
op_begin(struct meta *m, unsigned flags, struct op **out)
{
    struct op *op = &m->op;
    sigset_t mask;
    int r;

    if ((r = volume_enter(m)) < 0)
        return r;
    if (m->flags & META_RDONLY && flags & (OP_WRITE | OP_DIRECT) && !(flags & OP_INTERNAL))
        return -EROFS;
    r = shared_lock(m->s, m->opt.busy_ms, &mask);
    if (r < 0)
        return r;
    m->busy = true;
    op->m = m;
    op->mask = mask;
    op->direct = op->epoch = false;
    op->bytes = op->rows = op->ntouch = op->nknown = op->nstrange = op->garbage = 0;
    op->garbage_bytes = 0;
    if (r == 1)
        shared_repaired(m->s);
    if (r == 1 || m->s->broken) {
        r = op_repair(m);
        if (r < 0)
            return op_abort(op, r);
    }
    STAT(m, reads);
    step(m, "locked");
    if (flags & OP_DIRECT) {
        // The log first, for itself: should this operation fail, that work is not lost.
        if ((r = op_flush(op)) < 0 || (r = db_begin(m->db)) < 0)
            return op_abort(op, r);
        op->direct = true;
    }
    *out = op;
    return 0;
}

static void
leave(struct op *op)
{
    op->m->busy = false;
    shared_unlock(op->m->s, &op->mask);
}

int
op_abort(struct op *op, int r)
{
    if (op->direct)
        db_rollback(op->m->db);
    for (uint32_t i = 0; i < op->ntouch; i++)
        bump(op->m, shared_bucket(op->touch[i], 0), false); // as another's change
    leave(op);
    return r;
}

int
op_end(struct op *op, int r)
{
    return r < 0 ? op_abort(op, r) : op_commit(op);
}

void
op_touch(struct op *op, uint64_t ino)
{
    if (op->ntouch < sizeof(op->touch) / sizeof(op->touch[0]))
        op->touch[op->ntouch++] = ino;
    else
        op->epoch = true;
}

void
op_close_version(struct op *op, uint64_t ino)
{
    op_touch(op, ino);
    if (op->epoch)
        bump_epoch(op->m);
    else
        bump(op->m, shared_bucket(ino, 0), true);
}

int
op_spill(struct op *op)
{
    for (uint32_t off = 0; off < op->bytes;) {
        const struct row *row = (const struct row *)(op->buf + off);
        int r;

        off += row_size(row->len);
        if ((r = log_apply_row(op->m->db, row)) < 0)
            return r;
    }
    op->bytes = op->rows = 0;
    op->epoch = true;
    return 0;
}

static int
checkpoint_when_large(struct meta *m)
{
    uint64_t log = db_log_size(m->db), most = m->opt.checkpoint_bytes;

    // In a large database, whose pages are met at random, a page is in the log many times: the longer it
    // waits, the more often it is written for nothing but the last.
    if (!most) {
        if (log < CHECKPOINT_BYTES)
            return 0;
        most = db_size(m->db);
        most = most > CHECKPOINT_MOST ? CHECKPOINT_MOST : most;
    }
    if (log < most)
        return 0;
    STAT(m, checkpoints);
    // The data is safe in the log whether this works or not; the next one tries again.
    db_checkpoint(m->db);
    step(m, "checkpointed");
    return 0;
}

int
op_flush(struct op *op)
{
    struct meta *m = op->m;
    struct shared_log *log = &m->s->log;
    int r;

    if (op->direct || log->used == 0)
        return 0;
    STAT(m, writes);
    if ((r = db_begin(m->db)) < 0)
        return r;
    if ((r = log_apply(log, m->db)) < 0 || (r = log_mark(log, m->db)) < 0) {
        db_rollback(m->db);
        return r;
    }
    step(m, "flush-applied");
    m->s->sql_dirty = 1;
    if ((r = db_commit(m->db)) < 0)
        return r;
    step(m, "flush-committed");
    sync_before_reset(m);
    log_reset(log);
    step(m, "flush-reset");
    return checkpoint_when_large(m);
}

// The versions of everything that the operation changes, odd before the commit and even after it.
static void
bump_all(struct op *op, bool odd)
{
    for (uint32_t off = 0; off < op->bytes;) {
        const struct row *row = (const struct row *)(op->buf + off);

        off += row_size(row->len);
        if (row->kind == ROW_NAME)
            bump_of(op, shared_bucket(row->k1, row->k2), odd);
        else if (row->kind == ROW_INODE || row->kind == ROW_CHUNK)
            bump_of(op, shared_bucket(row->k1, 0), odd);
    }
    for (uint32_t i = 0; i < op->ntouch; i++)
        bump_of(op, shared_bucket(op->touch[i], 0), odd);
}

// The version that an entry will have when the counter is even again.
static uint64_t
version_to_be(struct meta *m, uint32_t bucket)
{
    uint64_t v = shared_version(m->s, bucket);

    return (v & ~(uint64_t)UINT32_MAX) |
           (((uint32_t)v & ~1u) - atomic_load_explicit(&m->own[bucket], memory_order_relaxed));
}

static bool
remember_name(struct op *op, const struct row *row)
{
    for (uint32_t i = op->nknown; i-- > 0;) {
        const struct known *k = &op->known[i];

        if (k->parent == row->k1 && k->h.h == row->k2)
            return cache_put_name(op->m->cache, k->parent, k->h,
                                  version_to_be(op->m, shared_bucket(row->k1, row->k2)), k->ino, k->type);
    }
    return false;
}

// What was just committed is known to this process. The counters are odd.
static void
remember(struct op *op)
{
    struct meta *m = op->m;

    for (uint32_t i = 0; i < op->ntouch; i++)
        is_strange(op, shared_bucket(op->touch[i], 0));
    for (uint32_t off = 0; off < op->bytes;) {
        const struct row *row = (const struct row *)(op->buf + off);
        uint32_t bucket = shared_bucket(row->k1, row->kind == ROW_NAME ? row->k2 : 0);

        off += row_size(row->len);
        if (row->kind == ROW_INODE && !(row->deleted ? cache_drop_node(m->cache, row->k1)
                                                     : cache_put_node(m->cache, version_to_be(m, bucket),
                                                                      (const struct node *)(row + 1))))
            is_strange(op, bucket);
        if (row->kind == ROW_NAME && !remember_name(op, row))
            is_strange(op, bucket);
    }
}

static void
count_garbage(struct op *op)
{
    if (!op->garbage)
        return;
    atomic_fetch_add(&op->m->garbage, op->garbage);
    atomic_fetch_add(&op->m->garbage_bytes, op->garbage_bytes);
}

static int
commit_direct(struct op *op)
{
    struct meta *m = op->m;
    struct shared_log *log = &m->s->log;
    int r = 0;

    STAT(m, writes);
    for (uint32_t off = 0; r == 0 && off < op->bytes;) {
        const struct row *row = (const struct row *)(op->buf + off);

        off += row_size(row->len);
        r = log_apply_row(m->db, row);
    }
    if (r < 0 || (r = log_mark(log, m->db)) < 0)
        return op_abort(op, r);
    bump_all(op, true);
    if (op->epoch)
        bump_epoch(m);
    step(m, "direct-applied");
    m->s->sql_dirty = 1;
    r = db_commit(m->db);
    if (r == 0) {
        step(m, "direct-committed");
        sync_before_reset(m);
        log_reset(log);
        count_garbage(op);
    }
    if (op->epoch)
        bump_epoch(m);
    bump_all(op, false); // nothing is remembered: what SQL changed by itself has no rows here
    watch_tell(m);
    if (r == 0)
        r = checkpoint_when_large(m);
    leave(op);
    return r;
}

int
op_commit(struct op *op)
{
    struct meta *m = op->m;
    struct shared_log *log = &m->s->log;
    int r;

    if (op->direct)
        return commit_direct(op);
    if (op->bytes == 0) {
        leave(op);
        return 0;
    }
    STAT(m, changes);
    if (op->bytes > SHARED_LOG / 4 || op->rows > SHARED_INDEX / 4) {
        // Too large for the log: straight into SQL.
        if ((r = op_flush(op)) < 0 || (r = db_begin(m->db)) < 0)
            return op_abort(op, r);
        op->direct = true;
        return commit_direct(op);
    }
    if (!log_has_room(log, op->bytes, op->rows) && (r = op_flush(op)) < 0)
        return op_abort(op, r);
    STAT(m, shared_commits);
    bump_all(op, true);
    step(m, "log-odd");
    log_write(log, op->buf, op->bytes);
    step(m, "log-written");
    log_publish(log, op->bytes);
    step(m, "log-published");
    remember(op);
    bump_all(op, false);
    count_garbage(op);
    watch_tell(m);
    leave(op);
    return 0;
}
