// SPDX-License-Identifier: Apache-2.0
// Quotas, usage and the trash. What is used is kept as rows (volume, user, directory) that every operation
// brings up to date; an inode belongs to the nearest directory with a quota above it (its `quota`), whose row
// names the next one.
#include <errno.h>
#include <string.h>

#include "meta/internal.h"

static void
usage_out(const struct row_usage *u, struct meta_usage *out)
{
    *out = (struct meta_usage){u->space, u->inodes, u->max_space, u->max_inodes};
}

static int
get(struct meta *m, uint64_t kind, uint64_t id, struct meta_usage *u)
{
    union row_any any;
    struct op *op;
    int r = op_begin(m, OP_READ, &op);

    if (r < 0)
        return r;
    r = op_abort(op, op_get(op, ROW_USAGE, kind, id, &any, NULL));
    if (r == 1)
        usage_out(&any.usage, u);
    return r < 0 ? r : r ? 0 : -ENOENT;
}

int
meta_usage(struct meta *m, struct meta_usage *u)
{
    return get(m, USAGE_VOLUME, 0, u);
}

int
meta_quota_get(struct meta *m, enum meta_quota_kind kind, uint64_t id, struct meta_usage *u)
{
    return get(m, kind == META_QUOTA_USER ? USAGE_USER : USAGE_DIR, id, u);
}

// Space and inodes of the whole tree in `tree`.
static int
tree_total(struct op *op, struct row_usage *u)
{
    struct meta_db *db = op->m->db;
    int r = db_query(db, SQL_TREE_SUM, "");

    while (r >= 0 && (r = db_step(db, SQL_TREE_SUM)) == 1) {
        u->inodes += (uint64_t)db_int(db, SQL_TREE_SUM, 1);
        u->space += (uint64_t)db_int(db, SQL_TREE_SUM, 2);
    }
    return r;
}

// Does a file of the tree have a name outside?
static int
leads_out(struct op *op)
{
    struct meta_db *db = op->m->db;
    int r = db_query(db, SQL_TREE_LEADS_OUT, "");

    if (r < 0 || (r = db_step(db, SQL_TREE_LEADS_OUT)) < 0)
        return r;
    db_done(db, SQL_TREE_LEADS_OUT);
    return r;
}

static int
dir_quota_new(struct op *op, struct node *n, uint64_t max_space, uint64_t max_inodes)
{
    struct row_usage u = {.max_space = max_space, .max_inodes = max_inodes, .parent = n->a.quota};
    struct meta_db *db = op->m->db;
    uint64_t ino = n->a.ino;
    int r;

    if (ino > UINT32_MAX)
        return -EOVERFLOW;
    if ((r = tree_fill(op, ino)) < 0 || (r = leads_out(op)) != 0)
        return r < 0 ? r : -EBUSY;
    if ((r = tree_total(op, &u)) < 0 ||
        (r = db_run(db, SQL_TREE_QUOTA, "ii", ino, (int64_t)n->a.quota)) < 0 ||
        (r = db_run(db, SQL_QUOTA_CHILDREN, "ii", ino, (int64_t)n->a.quota)) < 0)
        return r;
    return op_put(op, ROW_USAGE, USAGE_DIR, ino, &u, sizeof(u));
}

static int
dir_quota_remove(struct op *op, struct node *n, const struct row_usage *u)
{
    struct meta_db *db = op->m->db;
    int r;

    if ((r = tree_fill(op, n->a.ino)) < 0 ||
        (r = db_run(db, SQL_TREE_QUOTA, "ii", u->parent, n->a.ino)) < 0 ||
        (r = db_run(db, SQL_QUOTA_CHILDREN, "ii", u->parent, n->a.ino)) < 0)
        return r;
    return op_del(op, ROW_USAGE, USAGE_DIR, n->a.ino);
}

static int
dir_quota(struct op *op, uint64_t ino, uint64_t max_space, uint64_t max_inodes)
{
    union row_any any;
    struct node n;
    int r = op_node(op, ino, &n);

    if (r < 0)
        return r;
    if (!node_is(&n, S_IFDIR))
        return -ENOTDIR;
    if ((r = op_get(op, ROW_USAGE, USAGE_DIR, ino, &any, NULL)) < 0)
        return r;
    op->epoch = true;
    if (!max_space && !max_inodes)
        return r ? dir_quota_remove(op, &n, &any.usage) : -ENOENT;
    if (r == 0)
        return dir_quota_new(op, &n, max_space, max_inodes);
    any.usage.max_space = max_space;
    any.usage.max_inodes = max_inodes;
    return op_put(op, ROW_USAGE, USAGE_DIR, ino, &any.usage, sizeof(any.usage));
}

static int
user_quota(struct op *op, uint64_t uid, uint64_t max_space, uint64_t max_inodes)
{
    union row_any any;
    int r = op_get(op, ROW_USAGE, USAGE_USER, uid, &any, NULL);

    if (r < 0)
        return r;
    if (r == 0)
        memset(&any, 0, sizeof(any.usage));
    any.usage.max_space = max_space;
    any.usage.max_inodes = max_inodes;
    return op_put(op, ROW_USAGE, USAGE_USER, uid, &any.usage, sizeof(any.usage));
}

int
meta_quota_set(struct meta *m, const struct meta_cred *cred, enum meta_quota_kind kind, uint64_t id,
               uint64_t max_space, uint64_t max_inodes)
{
    struct op *op;
    int r;

    if (!cred_root(cred))
        return -EPERM;
    if ((r = op_begin(m, OP_DIRECT, &op)) < 0)
        return r;
    if (kind == META_QUOTA_USER)
        r = id > UINT32_MAX ? -EINVAL : user_quota(op, id, max_space, max_inodes);
    else
        r = dir_quota(op, id, max_space, max_inodes);
    db_run(m->db, SQL_TREE_CLEAR, "");
    return op_end(op, r);
}

ssize_t
meta_quota_list(struct meta *m, size_t skip, struct meta_quota *v, size_t n)
{
    struct meta_db *db;
    struct op *op;
    size_t k = 0;
    int r = op_begin(m, OP_READ, &op);

    if (r < 0)
        return r;
    db = m->db;
    if ((r = op_flush(op)) == 0)
        r = db_query(db, SQL_USAGE_LIST, "ii", (int64_t)(n > INT32_MAX ? INT32_MAX : n), (int64_t)skip);
    while (r >= 0 && k < n && (r = db_step(db, SQL_USAGE_LIST)) == 1) {
        struct meta_quota *q = &v[k++];

        q->kind = db_int(db, SQL_USAGE_LIST, 0) == USAGE_USER ? META_QUOTA_USER : META_QUOTA_DIR;
        q->id = (uint64_t)db_int(db, SQL_USAGE_LIST, 1);
        q->usage = (struct meta_usage){
            (uint64_t)db_int(db, SQL_USAGE_LIST, 2), (uint64_t)db_int(db, SQL_USAGE_LIST, 3),
            (uint64_t)db_int(db, SQL_USAGE_LIST, 4), (uint64_t)db_int(db, SQL_USAGE_LIST, 5)};
    }
    db_done(db, SQL_USAGE_LIST);
    op_abort(op, 0);
    return r < 0 ? r : (ssize_t)k;
}
