// SPDX-License-Identifier: Apache-2.0
// The rows of an operation: those that it has changed itself, found by an index once they are many; else what
// the log has, else SQL's. Nodes and names go through the cache.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "meta/internal.h"

#define INDEX_MIN 32 // rows up to which the operation's own are searched one by one

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
