// SPDX-License-Identifier: Apache-2.0
// The trash: files that lost their last name while the volume keeps deleted files. They are inodes without a
// name and a row that says which it was.
#include <errno.h>
#include <string.h>

#include "meta/internal.h"

static int64_t
whose(const struct meta_cred *c)
{
    return cred_root(c) ? -1 : (int64_t)c->uid;
}

ssize_t
meta_trash_list(struct meta *m, const struct meta_cred *cred, uint64_t after, struct meta_trash *v, size_t n)
{
    enum meta_sql s = SQL_TRASH_LIST;
    struct meta_db *db;
    struct op *op;
    size_t k = 0, len;
    int r = op_begin(m, OP_READ, &op);

    if (r < 0)
        return r;
    db = m->db;
    if ((r = op_flush(op)) == 0)
        r = db_query(db, s, "iii", after, whose(cred), (int64_t)(n > INT32_MAX ? INT32_MAX : n));
    while (r >= 0 && k < n && (r = db_step(db, s)) == 1) {
        struct meta_trash *t = &v[k++];
        const void *name = db_blob(db, s, 3, &len);

        memset(t, 0, sizeof(*t));
        t->ino = (uint64_t)db_int(db, s, 0);
        t->parent = (uint64_t)db_int(db, s, 1);
        t->deleted = db_int(db, s, 2);
        t->expires = t->deleted + m->info.trash_seconds * 1000000000LL;
        memcpy(t->name, name, len < META_NAME_MAX ? len : META_NAME_MAX);
        t->uid = (uid_t)db_int(db, s, 4);
        t->size = (uint64_t)db_int(db, s, 5);
    }
    db_done(db, s);
    op_abort(op, 0);
    return r < 0 ? r : (ssize_t)k;
}

static int
restore(struct op *op, const struct meta_cred *c, struct node *n, uint64_t parent, const char *name,
        struct name_hash h)
{
    union row_any any;
    uint64_t there;
    uint32_t type;
    struct node dir;
    int r = op_get(op, ROW_TRASH, n->a.ino, 0, &any, NULL);

    if (r <= 0)
        return r < 0 ? r : -ENOENT;
    if (!cred_root(c) && c->uid != n->a.uid)
        return -EPERM;
    if ((r = dir_for_change(op, c, parent, &dir)) < 0 ||
        (r = op_name(op, parent, name, h, &there, &type)) < 0)
        return r;
    if (r)
        return -EEXIST;
    if (n->a.quota != quota_of(&dir) && (r = quota_move(op, n, quota_of(&dir))) < 0)
        return r;
    n->a.nlink = 1;
    n->a.ctime = op_now();
    if ((r = op_del(op, ROW_TRASH, n->a.ino, 0)) < 0 || (r = op_put_node(op, n)) < 0 ||
        (r = op_put_name(op, parent, name, h, n->a.ino, n->a.mode)) < 0)
        return r;
    return dir_touch(op, &dir, 1, 0, n->a.ctime);
}

int
meta_trash_restore(struct meta *m, const struct meta_cred *cred, uint64_t ino, uint64_t parent,
                   const char *name, struct meta_attr *attr)
{
    struct node n;
    struct op *op;
    size_t len;
    int r;

    if ((r = name_check(name, &len)) < 0)
        return r;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return -EEXIST;
    if ((r = op_begin(m, OP_WRITE, &op)) < 0)
        return r;
    if ((r = op_node(op, ino, &n)) == 0)
        r = restore(op, cred, &n, parent, name, name_hash(m->key, name, len));
    else if (r == -ESTALE)
        r = -ENOENT;
    r = op_end(op, r);
    if (r == 0)
        attr_out(&n, attr);
    return r;
}

static int
purge_one(struct op *op, const struct meta_cred *c, uint64_t ino)
{
    struct node n;
    union row_any any;
    int r = op_node(op, ino, &n);

    if (r < 0)
        return r == -ESTALE ? -ENOENT : r;
    if ((r = op_get(op, ROW_TRASH, ino, 0, &any, NULL)) <= 0)
        return r < 0 ? r : -ENOENT;
    if (!cred_root(c) && c->uid != n.a.uid)
        return -EPERM;
    if ((r = op_del(op, ROW_TRASH, ino, 0)) < 0)
        return r;
    return node_unnamed(op, &n, 0, NULL, n.a.ctime);
}

static ssize_t
purge_expired(struct op *op, const struct meta_cred *c, int64_t until)
{
    struct meta_db *db = op->m->db;
    uint64_t v[256];
    int n = 0, r = db_query(db, SQL_TRASH_EXPIRED, "iii", until, whose(c), (int64_t)256);

    while (r >= 0 && n < 256 && (r = db_step(db, SQL_TRASH_EXPIRED)) == 1)
        v[n++] = (uint64_t)db_int(db, SQL_TRASH_EXPIRED, 0);
    db_done(db, SQL_TRASH_EXPIRED);
    for (int i = 0; r >= 0 && i < n; i++)
        r = purge_one(op, c, v[i]);
    return r < 0 ? r : n;
}

ssize_t
meta_trash_purge(struct meta *m, const struct meta_cred *cred, uint64_t ino, int64_t now)
{
    int64_t until = now == INT64_MAX ? now : now - m->info.trash_seconds * 1000000000LL;
    ssize_t total = 0, n;
    struct op *op;
    int r;

    do {
        if ((r = op_begin(m, OP_DIRECT, &op)) < 0)
            return r;
        if (ino)
            n = (r = purge_one(op, cred, ino)) < 0 ? r : 1;
        else
            n = purge_expired(op, cred, until);
        if ((r = op_end(op, n < 0 ? (int)n : 0)) < 0)
            return r;
        total += n;
    } while (!ino && n == 256);
    return total;
}
