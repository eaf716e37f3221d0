// SPDX-License-Identifier: Apache-2.0
// See log.h. Records are appended; an index finds the latest one of a key; `used` is raised last, so that a
// crash in the middle leaves what was there (the index is made again from the records then). Each record
// carries a checksum bound to the batch's number, for the one case where the file may be torn: a machine that
// went down with a log in it.
#include "meta/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define INDEX_FULL (SHARED_INDEX / 4 * 3)

static uint64_t
mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * 0x9fb21c651e98df25ULL;
    return h ^ h >> 32;
}

static uint64_t
sum_of(const struct row *row, uint64_t batch)
{
    uint32_t n = row_size(row->len) / 8;
    const uint8_t *p = (const uint8_t *)row;
    uint64_t h = batch, v;

    for (uint32_t i = 1; i < n; i++) {
        memcpy(&v, p + 8 * (size_t)i, 8);
        h = mix(h, v);
    }
    return h;
}

static uint32_t
slot_of(uint8_t kind, uint64_t k1, uint64_t k2)
{
    return (uint32_t)mix(mix(mix(0, kind), k1), k2) & (SHARED_INDEX - 1);
}

static const struct row *
record(const struct shared_log *log, uint32_t off)
{
    return (const struct row *)(log->data + off);
}

const struct row *
log_find(const struct shared_log *log, uint8_t kind, uint64_t k1, uint64_t k2)
{
    if (!(log->kinds & 1u << kind))
        return NULL;
    for (uint32_t i = slot_of(kind, k1, k2);; i = (i + 1) & (SHARED_INDEX - 1)) {
        const struct row *row;

        if (!log->index[i])
            return NULL;
        row = record(log, log->index[i] - 1);
        if (row->k1 == k1 && row->k2 == k2 && row->kind == kind)
            return row;
    }
}

static void
index_add(struct shared_log *log, uint32_t off)
{
    const struct row *row = record(log, off);

    for (uint32_t i = slot_of(row->kind, row->k1, row->k2);; i = (i + 1) & (SHARED_INDEX - 1)) {
        const struct row *old;

        if (!log->index[i]) {
            log->index[i] = off + 1;
            log->keys++;
            break;
        }
        old = record(log, log->index[i] - 1);
        if (old->k1 == row->k1 && old->k2 == row->k2 && old->kind == row->kind) {
            log->index[i] = off + 1;
            break;
        }
    }
    log->kinds |= 1u << row->kind;
    log->rows++;
}

bool
log_has_room(const struct shared_log *log, uint32_t bytes, uint32_t rows)
{
    return log->used + bytes <= SHARED_LOG && log->keys + rows <= INDEX_FULL;
}

void
log_write(struct shared_log *log, uint8_t *rows, uint32_t bytes)
{
    for (uint32_t off = 0; off < bytes;) {
        struct row *row = (struct row *)(rows + off);

        off += row_size(row->len);
        row->last = off == bytes;
        row->sum = sum_of(row, log->batch);
    }
    memcpy(log->data + log->used, rows, bytes);
}

void
log_publish(struct shared_log *log, uint32_t bytes)
{
    uint32_t at = log->used;

    // The records are there before they count; after a crash, log_recover is on the other side of this.
    atomic_store_explicit(&log->used, at + bytes, memory_order_release);
    for (uint32_t off = at; off < at + bytes; off += row_size(record(log, off)->len))
        index_add(log, off);
}

static int
apply_inode(struct meta_db *db, const struct row *row)
{
    const struct node *n = (const struct node *)(row + 1);
    const struct meta_attr *a = &n->a;
    int r;

    if (!row->deleted)
        return db_run(db, SQL_INODE_PUT, "iiiiiiiiiiiiiiii", row->k1, (int64_t)a->mode, (int64_t)a->uid,
                      (int64_t)a->gid, (int64_t)a->nlink, a->rdev, a->size, a->space, a->atime, a->mtime,
                      a->ctime, a->btime, a->parent, (int64_t)a->flags, (int64_t)a->quota, n->nchunk);
    r = db_run(db, SQL_INODE_DEL, "i", row->k1);
    if (r == 0 && a->flags & META_F_XATTR)
        r = db_run(db, SQL_XATTR_CLEAR, "i", row->k1);
    return r;
}

static int
apply_put(struct meta_db *db, const struct row *row)
{
    const void *p = row + 1;
    const struct row_name *n = p;
    const struct row_chunk *c = p;
    const struct row_usage *u = p;
    const struct row_trash *t = p;

    switch (row->kind) {
    case ROW_NAME:
        return db_run(db, SQL_NAME_PUT, "iiiib", row->k1, row->k2, n->ino, (int64_t)n->type, n->name,
                      (size_t)n->len);
    case ROW_CHUNK:
        return db_run(db, SQL_CHUNK_PUT, "iiiii", row->k1, row->k2, c->id, (int64_t)c->length,
                      (int64_t)c->space);
    case ROW_USAGE:
        return db_run(db, SQL_USAGE_PUT, "iiiiiii", row->k1, row->k2, u->space, u->inodes, u->max_space,
                      u->max_inodes, u->parent);
    case ROW_LINK:
        return db_run(db, SQL_LINK_PUT, "ib", row->k1, p, (size_t)row->len);
    case ROW_REFS:
        return db_run(db, SQL_REFS_PUT, "ii", row->k1, *(const uint64_t *)p);
    case ROW_GARBAGE:
        return db_run(db, SQL_GARBAGE_PUT, "i", row->k1);
    case ROW_ORPHAN:
        return db_run(db, SQL_ORPHAN_PUT, "i", row->k1);
    case ROW_TRASH:
        return db_run(db, SQL_TRASH_PUT, "iiib", row->k1, t->parent, t->deleted, t->name, (size_t)t->len);
    default:
        return -EUCLEAN;
    }
}

int
log_apply_row(struct meta_db *db, const struct row *row)
{
    static const struct {
        enum meta_sql del;
        bool two;
    } dels[] = {
        [ROW_NAME] = {SQL_NAME_DEL, true},      [ROW_CHUNK] = {SQL_CHUNK_DEL, true},
        [ROW_USAGE] = {SQL_USAGE_DEL, true},    [ROW_LINK] = {SQL_LINK_DEL, false},
        [ROW_REFS] = {SQL_REFS_DEL, false},     [ROW_GARBAGE] = {SQL_GARBAGE_DEL, false},
        [ROW_ORPHAN] = {SQL_ORPHAN_DEL, false}, [ROW_TRASH] = {SQL_TRASH_DEL, false},
    };

    if (row->kind == ROW_INODE)
        return apply_inode(db, row);
    if (!row->deleted)
        return apply_put(db, row);
    if (row->kind >= sizeof(dels) / sizeof(dels[0]) || row->kind < ROW_NAME)
        return -EUCLEAN;
    if (dels[row->kind].two)
        return db_run(db, dels[row->kind].del, "ii", row->k1, row->k2);
    return db_run(db, dels[row->kind].del, "i", row->k1);
}

static bool
is_latest(const struct shared_log *log, const struct row *row)
{
    return log_find(log, row->kind, row->k1, row->k2) == row;
}

static int
by_key(const void *a, const void *b, void *arg)
{
    const struct row *x = record(arg, *(const uint32_t *)a), *y = record(arg, *(const uint32_t *)b);

    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    if (x->k1 != y->k1)
        return x->k1 < y->k1 ? -1 : 1;
    return x->k2 < y->k2 ? -1 : x->k2 > y->k2;
}

// In the order of the keys, so that each page of SQL's trees is met once: names lie there by hash. Which
// order makes no difference to the result, since every row is whole and of another key.
int
log_apply(struct shared_log *log, struct meta_db *db)
{
    uint32_t *order = malloc((log->keys + 1) * sizeof(*order)), n = 0;
    int r = 0;

    for (uint32_t off = 0; r == 0 && off < log->used; off += row_size(record(log, off)->len)) {
        const struct row *row = record(log, off);

        if (!is_latest(log, row))
            continue;
        if (order)
            order[n++] = off;
        else
            r = log_apply_row(db, row);
    }
    if (order)
        qsort_r(order, n, sizeof(*order), by_key, log);
    for (uint32_t i = 0; r == 0 && i < n; i++)
        r = log_apply_row(db, record(log, order[i]));
    free(order);
    return r;
}

int
log_mark(const struct shared_log *log, struct meta_db *db)
{
    return db_run(db, SQL_VOLUME_PUT, "bi", "batch", (size_t)5, log->batch);
}

void
log_reset(struct shared_log *log)
{
    // The number first: SQL has the old batch, so that a crash here makes the records meaningless, not new.
    log->batch++;
    atomic_store_explicit(&log->used, 0, memory_order_release);
    if (log->keys)
        memset(log->index, 0, sizeof(log->index));
    log->rows = log->keys = log->kinds = 0;
}

// How much of the log is whole operations with right checksums.
static uint32_t
whole(const struct shared_log *log, uint32_t end)
{
    uint32_t good = 0;

    for (uint32_t off = 0; off + sizeof(struct row) <= end;) {
        const struct row *row = record(log, off);

        if (row->len > sizeof(union row_any) || off + row_size(row->len) > end || row->kind < ROW_INODE ||
            row->kind > ROW_TRASH || row->sum != sum_of(row, log->batch))
            break;
        off += row_size(row->len);
        if (row->last)
            good = off;
    }
    return good;
}

// What is zero already is not written to.
static void
wipe(struct shared_log *log, uint32_t from)
{
    for (uint64_t *p = (uint64_t *)(log->data + from), *end = (uint64_t *)(log->data + SHARED_LOG); p < end;
         p++)
        if (*p)
            *p = 0;
}

int
log_recover(struct shared_log *log, struct meta_db *db, bool reboot)
{
    uint64_t applied = 0;
    uint32_t used;
    int r;

    r = db_query(db, SQL_VOLUME_GET, "b", "batch", (size_t)5);
    if (r == 0 && (r = db_step(db, SQL_VOLUME_GET)) == 1) {
        applied = (uint64_t)db_int(db, SQL_VOLUME_GET, 0);
        db_done(db, SQL_VOLUME_GET);
    }
    if (r < 0)
        return r;
    // After a reboot the number in the head is of any time: the disk may have newer records.
    if (reboot)
        log->batch = applied + 1;
    if (log->batch != applied + 1) {
        log->batch = applied;
        log_reset(log);
        return 0;
    }
    // Records of another batch are SQL's already: who resets the log may die between its two steps.
    used = whole(log, reboot ? SHARED_LOG : log->used);
    // Records behind these, torn or of one who died before they counted, carry the same batch's number. A new
    // one of the same size in the place of the first would make the others count, in whatever order the disk
    // gets the pages.
    wipe(log, used);
    if ((r = sync_log(log, 0, SHARED_LOG)) < 0)
        return r;
    log->rows = log->keys = log->kinds = 0;
    memset(log->index, 0, sizeof(log->index));
    atomic_store(&log->used, used);
    for (uint32_t off = 0; off < used; off += row_size(record(log, off)->len))
        index_add(log, off);
    return 0;
}
