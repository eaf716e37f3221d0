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

#define INO_RESERVE (1u << 20)
#define INDEX_MIN 32 // rows up to which the operation's own are searched one by one

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

// The last holder died inside. Whatever it had not committed is gone; whatever versions it left odd are even
// again, and nobody's cache holds.
static int
repair(struct meta *m)
{
    struct shared *s = m->s;
    int r;

    shared_broke(s); // until all is done: should SQL fail now, the next one repairs
    if ((r = log_recover(&s->log, m->db, false)) < 0)
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
    op->bytes = op->rows = op->ntouch = op->nknown = op->nstrange = 0;
    if (r == 1)
        shared_repaired(m->s);
    if (r == 1 || m->s->broken) {
        r = repair(m);
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
    watch_tell(m);
    leave(op);
    return 0;
}

// ---- rows ----

static uint32_t
slot_of(const struct op *op, uint8_t kind, uint64_t k1, uint64_t k2)
{
    uint64_t h = (k1 * 0x9e3779b97f4a7c15ULL ^ k2) * 0xff51afd7ed558ccdULL + kind * 0xc2b2ae3d27d4eb4fULL;

    return (uint32_t)(h >> 33) & (op->index_size - 1);
}

static void
own_index_add(struct op *op, uint32_t off)
{
    const struct row *row = (const struct row *)(op->buf + off);

    for (uint32_t i = slot_of(op, row->kind, row->k1, row->k2);; i = (i + 1) & (op->index_size - 1)) {
        const struct row *old = (const struct row *)(op->buf + op->index[i] - 1);

        if (!op->index[i] || (old->kind == row->kind && old->k1 == row->k1 && old->k2 == row->k2)) {
            op->index[i] = off + 1;
            return;
        }
    }
}

static int
own_index_grow(struct op *op)
{
    uint32_t size = op->index_size ? op->index_size : 128;
    uint32_t *v;

    while (size < op->rows * 3)
        size *= 2;
    v = calloc(size, sizeof(*v));
    if (!v)
        return -ENOMEM;
    free(op->index);
    op->index = v;
    op->index_size = size;
    for (uint32_t off = 0; off < op->bytes; off += row_size(((const struct row *)(op->buf + off))->len))
        own_index_add(op, off);
    return 0;
}

static const struct row *
own_row(const struct op *op, uint8_t kind, uint64_t k1, uint64_t k2)
{
    const struct row *found = NULL;

    if (op->rows > INDEX_MIN) {
        for (uint32_t i = slot_of(op, kind, k1, k2); op->index[i]; i = (i + 1) & (op->index_size - 1)) {
            const struct row *row = (const struct row *)(op->buf + op->index[i] - 1);

            if (row->kind == kind && row->k1 == k1 && row->k2 == k2)
                return row;
        }
        return NULL;
    }
    for (uint32_t off = 0; off < op->bytes;) {
        const struct row *row = (const struct row *)(op->buf + off);

        off += row_size(row->len);
        if (row->kind == kind && row->k1 == k1 && row->k2 == k2)
            found = row;
    }
    return found;
}

static int
add(struct op *op, uint8_t kind, bool deleted, uint64_t k1, uint64_t k2, const void *p, size_t len)
{
    uint32_t size = row_size((uint32_t)len), at = op->bytes;
    struct row row = {.kind = kind, .deleted = deleted, .len = (uint32_t)len, .k1 = k1, .k2 = k2};

    if (op->bytes + size > op->cap) {
        uint32_t cap = op->cap ? op->cap * 2 : 16384;
        uint8_t *buf;

        if (op->bytes > (1u << 30))
            return -ENOMEM;
        buf = realloc(op->buf, cap);
        if (!buf)
            return -ENOMEM;
        op->buf = buf;
        op->cap = cap;
    }
    memset(op->buf + at + size - 8, 0, 8);
    memcpy(op->buf + at, &row, sizeof(row));
    if (len)
        memcpy(op->buf + at + sizeof(row), p, len);
    op->bytes += size;
    op->rows++;
    if (op->rows == INDEX_MIN + 1 || (op->rows > INDEX_MIN && op->rows * 2 > op->index_size)) {
        int r;

        if (op->rows == INDEX_MIN + 1 && op->index)
            memset(op->index, 0, op->index_size * sizeof(*op->index));
        if ((r = own_index_grow(op)) < 0) {
            op->bytes = at;
            op->rows--;
            return r;
        }
    } else if (op->rows > INDEX_MIN) {
        own_index_add(op, at);
    }
    return 0;
}

int
op_put(struct op *op, enum row_kind kind, uint64_t k1, uint64_t k2, const void *p, size_t len)
{
    return add(op, (uint8_t)kind, false, k1, k2, p, len);
}

int
op_del(struct op *op, enum row_kind kind, uint64_t k1, uint64_t k2)
{
    return add(op, (uint8_t)kind, true, k1, k2, NULL, 0);
}

static int
sql_node(struct meta_db *db, uint64_t ino, struct node *n)
{
    enum meta_sql s = SQL_INODE_GET;
    struct meta_attr *a = &n->a;
    int c = 0;

    memset(n, 0, sizeof(*n));
    a->ino = ino;
    a->mode = (uint32_t)db_int(db, s, c++);
    a->uid = (uid_t)db_int(db, s, c++);
    a->gid = (gid_t)db_int(db, s, c++);
    a->nlink = (uint32_t)db_int(db, s, c++);
    a->rdev = (uint64_t)db_int(db, s, c++);
    a->size = (uint64_t)db_int(db, s, c++);
    a->space = (uint64_t)db_int(db, s, c++);
    a->atime = db_int(db, s, c++);
    a->mtime = db_int(db, s, c++);
    a->ctime = db_int(db, s, c++);
    a->btime = db_int(db, s, c++);
    a->parent = (uint64_t)db_int(db, s, c++);
    a->flags = (uint32_t)db_int(db, s, c++);
    a->quota = (uint32_t)db_int(db, s, c++);
    n->nchunk = (uint64_t)db_int(db, s, c++);
    return 1;
}

static void
sql_bytes(struct meta_db *db, enum meta_sql s, int col, char *out, size_t size, uint32_t *len)
{
    size_t n;
    const void *p = db_blob(db, s, col, &n);

    if (n > size)
        n = size;
    memcpy(out, p, n);
    *len = (uint32_t)n;
}

// From SQL. The statements are by kind, in the order of enum row_kind.
static int
sql_get(struct meta_db *db, enum row_kind kind, uint64_t k1, uint64_t k2, union row_any *out, uint32_t *len)
{
    static const enum meta_sql gets[] = {
        [ROW_INODE] = SQL_INODE_GET,     [ROW_NAME] = SQL_NAME_GET,     [ROW_CHUNK] = SQL_CHUNK_GET,
        [ROW_USAGE] = SQL_USAGE_GET,     [ROW_LINK] = SQL_LINK_GET,     [ROW_REFS] = SQL_REFS_GET,
        [ROW_GARBAGE] = SQL_GARBAGE_GET, [ROW_ORPHAN] = SQL_ORPHAN_GET, [ROW_TRASH] = SQL_TRASH_GET,
    };
    enum meta_sql s = gets[kind];
    bool two = kind == ROW_NAME || kind == ROW_CHUNK || kind == ROW_USAGE;
    int r = two ? db_query(db, s, "ii", k1, k2) : db_query(db, s, "i", k1);

    if (r < 0 || (r = db_step(db, s)) != 1)
        return r;
    switch (kind) {
    case ROW_INODE:
        sql_node(db, k1, &out->node);
        break;
    case ROW_NAME:
        out->name.ino = (uint64_t)db_int(db, s, 0);
        out->name.type = (uint32_t)db_int(db, s, 1);
        sql_bytes(db, s, 2, out->name.name, META_NAME_MAX, &out->name.len);
        break;
    case ROW_CHUNK:
        out->chunk.id = (uint64_t)db_int(db, s, 0);
        out->chunk.length = (uint32_t)db_int(db, s, 1);
        out->chunk.space = (uint32_t)db_int(db, s, 2);
        break;
    case ROW_USAGE:
        out->usage.space = (uint64_t)db_int(db, s, 0);
        out->usage.inodes = (uint64_t)db_int(db, s, 1);
        out->usage.max_space = (uint64_t)db_int(db, s, 2);
        out->usage.max_inodes = (uint64_t)db_int(db, s, 3);
        out->usage.parent = (uint64_t)db_int(db, s, 4);
        break;
    case ROW_LINK:
        sql_bytes(db, s, 0, out->text, META_SYMLINK_MAX, len);
        break;
    case ROW_REFS:
        out->refs = (uint64_t)db_int(db, s, 0);
        break;
    case ROW_TRASH:
        out->trash.parent = (uint64_t)db_int(db, s, 0);
        out->trash.deleted = db_int(db, s, 1);
        sql_bytes(db, s, 2, out->trash.name, META_NAME_MAX, &out->trash.len);
        break;
    default:
        break;
    }
    db_done(db, s);
    return 1;
}

int
op_get(struct op *op, enum row_kind kind, uint64_t k1, uint64_t k2, union row_any *out, uint32_t *len)
{
    const struct row *row = op->rows ? own_row(op, (uint8_t)kind, k1, k2) : NULL;
    uint32_t ignored;

    if (!row && !op->direct)
        row = log_find(&op->m->s->log, (uint8_t)kind, k1, k2);
    if (row) {
        if (row->deleted)
            return 0;
        memcpy(out, row + 1, row->len);
        if (len)
            *len = row->len;
        return 1;
    }
    return sql_get(op->m->db, kind, k1, k2, out, len ? len : &ignored);
}

int
op_node(struct op *op, uint64_t ino, struct node *node)
{
    struct meta *m = op->m;
    uint64_t version = node_version(m, ino);
    union row_any any;
    bool own;
    int r;

    own = op->rows && own_row(op, ROW_INODE, ino, 0);
    if (!own && cache_node(m->cache, ino, version, node))
        return 0;
    r = op_get(op, ROW_INODE, ino, 0, &any, NULL);
    if (r <= 0)
        return r < 0 ? r : -ESTALE;
    *node = any.node;
    if (!own && !op->direct)
        cache_put_node(m->cache, version, node);
    return 0;
}

int
op_put_node(struct op *op, const struct node *node)
{
    return op_put(op, ROW_INODE, node->a.ino, 0, node, sizeof(*node));
}

int
op_del_node(struct op *op, const struct node *node)
{
    return add(op, ROW_INODE, true, node->a.ino, 0, node, sizeof(*node));
}

int
op_name(struct op *op, uint64_t parent, const char *name, struct name_hash h, uint64_t *ino, uint32_t *type)
{
    struct meta *m = op->m;
    uint64_t version = name_version(m, parent, h.h);
    union row_any any;
    bool own;
    int r;

    own = op->rows && own_row(op, ROW_NAME, parent, h.h);
    if (!own && cache_name(m->cache, parent, h, version, ino, type))
        return *ino != 0;
    r = op_get(op, ROW_NAME, parent, h.h, &any, NULL);
    if (r < 0)
        return r;
    if (r == 1 && (any.name.len != strlen(name) || memcmp(any.name.name, name, any.name.len) != 0))
        return -ENOSPC; // another name of the same 63-bit keyed hash: not in a lifetime
    *ino = r ? any.name.ino : 0;
    *type = r ? any.name.type : 0;
    if (!own && !op->direct)
        cache_put_name(m->cache, parent, h, version, *ino, *type);
    return r;
}

static void
will_know(struct op *op, uint64_t parent, struct name_hash h, uint64_t ino, uint32_t type)
{
    if (op->nknown < sizeof(op->known) / sizeof(op->known[0]))
        op->known[op->nknown++] = (struct known){parent, h, ino, type};
}

int
op_del_name(struct op *op, uint64_t parent, struct name_hash h)
{
    will_know(op, parent, h, 0, 0);
    return op_del(op, ROW_NAME, parent, h.h);
}

int
op_put_name(struct op *op, uint64_t parent, const char *name, struct name_hash h, uint64_t ino, uint32_t mode)
{
    struct row_name n = {.ino = ino, .type = (mode & S_IFMT) >> 12, .len = (uint32_t)strlen(name)};

    memcpy(n.name, name, n.len);
    will_know(op, parent, h, ino, n.type);
    return op_put(op, ROW_NAME, parent, h.h, &n, offsetof(struct row_name, name) + n.len);
}

// A range of numbers out of SQL's counter `key`. It goes with a flush of the log: a log that survives a crash
// of the machine then never uses numbers that SQL does not know as used.
static int
reserve(struct op *op, const char *key, uint64_t n, uint64_t *first)
{
    struct meta *m = op->m;
    struct meta_db *db = m->db;
    bool open = op->direct;
    int r;

    if (!open && ((r = op_flush(op)) < 0 || (r = db_begin(db)) < 0))
        return r;
    *first = 1;
    r = db_query(db, SQL_VOLUME_GET, "b", key, strlen(key));
    if (r == 0 && (r = db_step(db, SQL_VOLUME_GET)) == 1) {
        *first = (uint64_t)db_int(db, SQL_VOLUME_GET, 0);
        db_done(db, SQL_VOLUME_GET);
        r = 0;
    }
    if (r == 0)
        r = db_run(db, SQL_VOLUME_PUT, "bi", key, strlen(key), *first + n);
    if (r == 0 && !open)
        r = log_mark(&m->s->log, db);
    if (open)
        return r;
    if (r < 0) {
        db_rollback(db);
        return r;
    }
    m->s->sql_dirty = 1;
    if ((r = db_commit(db)) == 0) {
        sync_before_reset(m);
        log_reset(&m->s->log);
    }
    return r;
}

int
op_new_ino(struct op *op, uint64_t n, uint64_t *ino)
{
    struct shared *s = op->m->s;
    int r;

    if (op->direct || n > INO_RESERVE / 2)
        return reserve(op, "ino", n, ino); // its own transaction may yet be rolled back
    if (s->ino_end - s->next_ino < n) {
        uint64_t first;

        if ((r = reserve(op, "ino", INO_RESERVE, &first)) < 0)
            return r;
        s->next_ino = first;
        s->ino_end = first + INO_RESERVE;
    }
    *ino = s->next_ino;
    s->next_ino += n;
    return 0;
}

int
meta_new_chunks(struct meta *m, uint64_t *ids, size_t n)
{
    struct shared_session *e;
    struct shared *s;
    struct op *op;
    int r = op_begin(m, OP_WRITE, &op);

    if (r < 0)
        return r;
    s = m->s;
    if (s->chunk_end - s->next_chunk < n) {
        uint64_t first, want = n > INO_RESERVE ? n : INO_RESERVE;

        if ((r = reserve(op, "chunk", want, &first)) < 0)
            return op_abort(op, r);
        s->next_chunk = first;
        s->chunk_end = first + want;
    }
    e = &s->session[m->slot];
    if (!e->chunk_first)
        e->chunk_first = s->next_chunk;
    for (size_t i = 0; i < n; i++)
        ids[i] = s->next_chunk++;
    e->chunk_end = s->next_chunk;
    return op_commit(op);
}

// ---- usage ----

static int
charge(struct op *op, uint64_t kind, uint64_t id, int64_t space, int64_t inodes, int over, uint64_t *parent)
{
    union row_any any;
    struct row_usage *u = &any.usage;
    int r = op_get(op, ROW_USAGE, kind, id, &any, NULL);

    if (r < 0)
        return r;
    if (r == 0)
        memset(u, 0, sizeof(*u));
    if (space > 0 && u->max_space && u->space + (uint64_t)space > u->max_space)
        return over;
    if (inodes > 0 && u->max_inodes && u->inodes + (uint64_t)inodes > u->max_inodes)
        return over;
    // Never below nothing: a wrong sum is for the check to find, not to wrap around.
    u->space = space < 0 && u->space < (uint64_t)-space ? 0 : u->space + (uint64_t)space;
    u->inodes = inodes < 0 && u->inodes < (uint64_t)-inodes ? 0 : u->inodes + (uint64_t)inodes;
    if (parent)
        *parent = u->parent;
    return op_put(op, ROW_USAGE, kind, id, u, sizeof(*u));
}

int
op_charge(struct op *op, uint32_t uid, uint32_t quota, int64_t space, int64_t inodes)
{
    uint64_t id = quota, up = 0;
    int r;

    if (space == 0 && inodes == 0)
        return 0;
    if ((r = charge(op, USAGE_VOLUME, 0, space, inodes, -ENOSPC, NULL)) < 0 ||
        (r = charge(op, USAGE_USER, uid, space, inodes, -EDQUOT, NULL)) < 0)
        return r;
    for (; id; id = up)
        if ((r = charge(op, USAGE_DIR, id, space, inodes, -ENOSPC, &up)) < 0)
            return r;
    return 0;
}
