// SPDX-License-Identifier: Apache-2.0
// Counters: the numbers of inodes and chunks, reserved in SQL by the million; and what is charged to users,
// directories and the volume.
#include <errno.h>
#include <string.h>
#include <time.h>

#include "meta/internal.h"

#define INO_RESERVE (1u << 20)

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

        // Onto the disk: files will have these numbers as names, and may get there before SQL does. After a
        // crash of the machine they would be in the way of who gets the numbers again.
        if ((r = reserve(op, "chunk", want, &first)) < 0 || (r = db_sync(m->db)) < 0)
            return op_abort(op, r);
        s->sql_dirty = 0;
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
