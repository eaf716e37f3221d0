// SPDX-License-Identifier: Apache-2.0
// Copies and removal of whole trees, in SQL statements over sets: time goes with the entries, not with the
// bytes. The table `tree` of this connection numbers the inodes of a tree; a copy's inodes are base + number.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "meta/internal.h"

int
tree_fill(struct op *op, uint64_t top)
{
    struct meta_db *db = op->m->db;
    int r = db_run(db, SQL_TREE_CLEAR, "");

    return r < 0 ? r : db_run(db, SQL_TREE_FILL, "i", top);
}

struct owner_sum {
    uint32_t uid;
    int64_t inodes, space;
};

// Who owns how much in the tree: an array to free.
static int
owners(struct op *op, struct owner_sum **out, size_t *n)
{
    struct meta_db *db = op->m->db;
    struct owner_sum *v = NULL;
    size_t cap = 0;
    int r = db_query(db, SQL_TREE_SUM, "");

    *n = 0;
    while (r >= 0 && (r = db_step(db, SQL_TREE_SUM)) == 1) {
        if (*n == cap) {
            struct owner_sum *w = realloc(v, (cap = cap ? cap * 2 : 16) * sizeof(*v));

            if (!w) {
                r = -ENOMEM;
                break;
            }
            v = w;
        }
        v[(*n)++] = (struct owner_sum){(uint32_t)db_int(db, SQL_TREE_SUM, 0), db_int(db, SQL_TREE_SUM, 1),
                                       db_int(db, SQL_TREE_SUM, 2)};
    }
    db_done(db, SQL_TREE_SUM);
    *out = v;
    return r < 0 ? r : 0;
}

static int
charge_copy(struct op *op, const struct meta_cred *c, uint32_t quota)
{
    struct owner_sum *v;
    size_t n;
    int r = owners(op, &v, &n);

    for (size_t i = 0; r == 0 && i < n; i++) {
        // What others own may not even be readable to who asks.
        if (!cred_root(c) && v[i].uid != c->uid)
            r = -EACCES;
        else
            r = op_charge(op, v[i].uid, quota, v[i].space, v[i].inodes);
    }
    free(v);
    return r;
}

struct link_count {
    uint64_t ino;
    int64_t n;
};

// Files of the tree with several links, and how many of those are in the tree: an array to free.
static int
links(struct op *op, struct link_count **out, size_t *n)
{
    struct meta_db *db = op->m->db;
    struct link_count *v = NULL;
    size_t cap = 0;
    int r = db_query(db, SQL_TREE_LINKS, "");

    *n = 0;
    while (r >= 0 && (r = db_step(db, SQL_TREE_LINKS)) == 1) {
        if (*n == cap) {
            struct link_count *w = realloc(v, (cap = cap ? cap * 2 : 64) * sizeof(*v));

            if (!w) {
                r = -ENOMEM;
                break;
            }
            v = w;
        }
        v[(*n)++] =
            (struct link_count){(uint64_t)db_int(db, SQL_TREE_LINKS, 0), db_int(db, SQL_TREE_LINKS, 1)};
    }
    db_done(db, SQL_TREE_LINKS);
    *out = v;
    return r < 0 ? r : 0;
}

// Links from outside the tree are not links of the copy.
static int
fix_links(struct op *op, uint64_t base)
{
    struct meta_db *db = op->m->db;
    struct link_count *v;
    size_t n;
    int r = links(op, &v, &n);

    for (size_t i = 0; r == 0 && i < n; i++) {
        uint64_t number;

        if ((r = db_query(db, SQL_TREE_NEW, "i", v[i].ino)) < 0 || (r = db_step(db, SQL_TREE_NEW)) <= 0)
            break;
        number = (uint64_t)db_int(db, SQL_TREE_NEW, 0);
        db_done(db, SQL_TREE_NEW);
        r = db_run(db, SQL_SET_NLINK, "ii", base + number, v[i].n);
    }
    free(v);
    return r;
}

// What a copy is to be like, besides its source.
struct how {
    uint32_t flags; // META_F_SNAPSHOT or 0
    struct meta_swap *swap;
    size_t nswap;
};

// The copy's inodes are base + 1 to base + n.
static int
swap_chunks(struct op *op, uint64_t base, uint64_t n, const struct how *how)
{
    struct meta_db *db = op->m->db;
    int r = 0;

    for (size_t i = 0; i < how->nswap && r >= 0; i++) {
        struct meta_swap *w = &how->swap[i];

        if ((r = db_run(db, SQL_TREE_SWAP, "iiii", w->id, w->instead, base, base + n)) < 0 ||
            (r = db_query(db, SQL_TREE_SWAPPED, "i", w->instead)) < 0 ||
            (r = db_step(db, SQL_TREE_SWAPPED)) < 0)
            break;
        w->used = r == 1;
        db_done(db, SQL_TREE_SWAPPED);
        if (w->used)
            r = db_run(db, SQL_TREE_UNREF, "i", w->id);
    }
    return r < 0 ? r : 0;
}

static int
copy_rows(struct op *op, uint64_t base, uint64_t n, const struct how *how, uint32_t quota)
{
    struct meta_db *db = op->m->db;
    int r;

    if ((r = db_run(db, SQL_TREE_INODES, "iiiii", base, op_now(), (int64_t)how->flags, (int64_t)quota,
                    (int64_t)META_F_SNAPSHOT)) < 0 ||
        (r = db_run(db, SQL_TREE_NAMES, "i", base)) < 0 || (r = db_run(db, SQL_TREE_TEXTS, "i", base)) < 0 ||
        (r = db_run(db, SQL_TREE_XATTRS, "i", base)) < 0 || (r = db_run(db, SQL_TREE_REFS, "")) < 0 ||
        (r = db_run(db, SQL_TREE_CHUNKS, "i", base)) < 0 || (r = swap_chunks(op, base, n, how)) < 0)
        return r;
    return fix_links(op, base);
}

static int
count(struct op *op, uint64_t *n)
{
    struct meta_db *db = op->m->db;
    int r = db_query(db, SQL_TREE_COUNT, "");

    if (r < 0 || (r = db_step(db, SQL_TREE_COUNT)) < 0)
        return r;
    *n = (uint64_t)db_int(db, SQL_TREE_COUNT, 1);
    db_done(db, SQL_TREE_COUNT);
    return 0;
}

static int
copy(struct op *op, const struct meta_cred *c, struct node *src, struct node *dir, const char *name,
     struct name_hash h, const struct how *how, struct node *out)
{
    uint64_t n, base, there;
    bool is_dir = node_is(src, S_IFDIR);
    uint32_t type;
    int r;

    if ((r = op_name(op, dir->a.ino, name, h, &there, &type)) < 0)
        return r;
    if (r)
        return -EEXIST;
    if (dir->a.nlink == 0)
        return -ENOENT;
    if ((r = perm_dir_write(op, c, dir)) < 0 || (r = perm_check(op, c, src, is_dir ? R_OK | X_OK : R_OK)) < 0)
        return r;
    if ((r = tree_fill(op, src->a.ino)) < 0 || (r = count(op, &n)) < 0 ||
        (r = charge_copy(op, c, quota_of(dir))) < 0 || (r = op_new_ino(op, n, &base)) < 0)
        return r;
    base--; // numbers start at 1; the top is the first
    if ((r = copy_rows(op, base, n, how, quota_of(dir))) < 0)
        return r;
    op->epoch = true; // every chunk of the source is shared now
    if ((r = op_get(op, ROW_INODE, base + 1, 0, (union row_any *)out, NULL)) != 1)
        return r < 0 ? r : -EUCLEAN;
    out->a.parent = is_dir ? dir->a.ino : 0;
    if (!is_dir)
        out->a.nlink = 1;
    out->a.flags = (out->a.flags & ~(how->flags ? 0u : META_F_SNAPSHOT)) | how->flags;
    if ((r = op_put_node(op, out)) < 0 ||
        (r = op_put_name(op, dir->a.ino, name, h, out->a.ino, out->a.mode)) < 0)
        return r;
    return dir_touch(op, dir, 1, is_dir, op_now());
}

static int
clone_to(struct meta *m, const struct meta_cred *c, uint64_t src, uint64_t parent, const char *name,
         const struct how *how, struct meta_attr *attr)
{
    union row_any out; // as large as op_get wants it
    struct node from, dir;
    struct op *op;
    size_t len;
    int r;

    if ((r = name_check(name, &len)) < 0)
        return r;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return -EEXIST;
    if ((r = op_begin(m, OP_DIRECT, &op)) < 0)
        return r;
    if ((r = op_node(op, src, &from)) == 0 && (r = op_node(op, parent, &dir)) == 0) {
        if (!node_is(&dir, S_IFDIR))
            r = -ENOTDIR;
        else if (from.a.nlink == 0)
            r = -ENOENT;
        else if ((r = perm_check(op, c, &dir, X_OK)) == 0)
            r = copy(op, c, &from, &dir, name, name_hash(m->key, name, len), how, &out.node);
    }
    db_run(m->db, SQL_TREE_CLEAR, "");
    r = op_end(op, r);
    if (r == 0)
        attr_out(&out.node, attr);
    return r;
}

int
meta_clone_tree(struct meta *m, const struct meta_cred *cred, uint64_t src, uint64_t new_parent,
                const char *new_name, struct meta_attr *attr)
{
    return clone_to(m, cred, src, new_parent, new_name, &(struct how){0}, attr);
}

int
meta_snapshot(struct meta *m, const struct meta_cred *cred, uint64_t src, uint64_t new_parent,
              const char *new_name, struct meta_attr *attr)
{
    return clone_to(m, cred, src, new_parent, new_name, &(struct how){.flags = META_F_SNAPSHOT}, attr);
}

int
meta_clone_tree_but(struct meta *m, const struct meta_cred *cred, uint64_t src, uint64_t new_parent,
                    const char *new_name, bool snapshot, struct meta_swap *swap, size_t nswap,
                    struct meta_attr *attr)
{
    struct how how = {snapshot ? META_F_SNAPSHOT : 0, swap, nswap};

    return clone_to(m, cred, src, new_parent, new_name, &how, attr);
}

int
meta_tree_has(struct meta *m, uint64_t top, const uint64_t *inos, bool *has, size_t n)
{
    struct op *op;
    int r = op_begin(m, OP_DIRECT, &op);

    if (r < 0)
        return r;
    r = tree_fill(op, top);
    for (size_t i = 0; r >= 0 && i < n; i++) {
        if ((r = db_query(m->db, SQL_TREE_NEW, "i", inos[i])) < 0 || (r = db_step(m->db, SQL_TREE_NEW)) < 0)
            break;
        has[i] = r == 1;
        db_done(m->db, SQL_TREE_NEW);
    }
    db_run(m->db, SQL_TREE_CLEAR, "");
    return op_end(op, r < 0 ? r : 0);
}

// ---- removal ----

// One inode of a tree that goes: `names` of its links go with the tree.
static int
remove_one(struct op *op, uint64_t ino, int64_t names, int64_t now)
{
    struct node n;
    int r = op_node(op, ino, &n);

    if (r < 0)
        return r == -ESTALE ? 0 : r;
    if (node_is(&n, S_IFDIR)) {
        n.a.nlink = 0;
        n.a.size = 0;
    } else if ((int64_t)n.a.nlink > names) {
        n.a.nlink -= (uint32_t)names;
        n.a.ctime = now;
        return op_put_node(op, &n);
    } else {
        n.a.nlink = 0;
    }
    return node_unnamed(op, &n, 0, NULL, now);
}

static int64_t
names_of(const struct link_count *v, size_t n, uint64_t ino)
{
    size_t lo = 0, hi = n;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;

        if (v[mid].ino < ino)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < n && v[lo].ino == ino ? v[lo].n : 1;
}

static int
by_ino(const void *a, const void *b)
{
    const struct link_count *x = a, *y = b;

    return x->ino < y->ino ? -1 : x->ino > y->ino;
}

static int
remove_inodes(struct op *op, uint64_t *removed)
{
    struct meta_db *db = op->m->db;
    int64_t now = op_now();
    struct link_count *v;
    uint64_t after = 0, ino[256];
    size_t n;
    int r = links(op, &v, &n), k = 256;

    if (r == 0)
        r = db_run(db, SQL_TREE_UNNAME, "");
    if (n)
        qsort(v, n, sizeof(*v), by_ino);
    while (r == 0 && k == 256) {
        k = 0;
        r = db_query(db, SQL_TREE_LIST, "ii", after, (int64_t)256);
        while (r >= 0 && k < 256 && (r = db_step(db, SQL_TREE_LIST)) == 1) {
            after = (uint64_t)db_int(db, SQL_TREE_LIST, 0);
            ino[k++] = (uint64_t)db_int(db, SQL_TREE_LIST, 1);
        }
        db_done(db, SQL_TREE_LIST);
        if (r > 0)
            r = 0;
        for (int i = 0; r == 0 && i < k; i++)
            r = remove_one(op, ino[i], names_of(v, n, ino[i]), now);
        *removed += (uint64_t)k;
        if (r == 0)
            r = op_spill(op);
    }
    free(v);
    return r;
}

static int
remove_checked(struct op *op, const struct meta_cred *c, uint64_t parent, const char *name,
               struct name_hash h, uint64_t *removed)
{
    struct node dir, top;
    uint64_t ino;
    uint32_t type;
    int r;

    if ((r = op_node(op, parent, &dir)) < 0)
        return r;
    if (!node_is(&dir, S_IFDIR))
        return -ENOTDIR;
    if ((r = perm_check(op, c, &dir, X_OK)) < 0)
        return r;
    if ((r = op_name(op, parent, name, h, &ino, &type)) <= 0)
        return r < 0 ? r : -ENOENT;
    if ((r = op_node(op, ino, &top)) < 0 || (r = perm_dir_write(op, c, &dir)) < 0)
        return r;
    if (!cred_root(c) && c->uid != top.a.uid)
        return -EPERM;
    op->epoch = true;
    if (!node_is(&top, S_IFDIR)) {
        *removed = 1;
        r = remove_one(op, ino, 1, op_now());
    } else if ((r = tree_fill(op, ino)) == 0) {
        r = remove_inodes(op, removed);
    }
    if (r < 0 || (r = op_del_name(op, parent, h)) < 0)
        return r;
    return dir_touch(op, &dir, -1, node_is(&top, S_IFDIR) ? -1 : 0, op_now());
}

int
meta_remove_tree(struct meta *m, const struct meta_cred *cred, uint64_t parent, const char *name,
                 uint64_t *removed)
{
    uint64_t ignored;
    struct op *op;
    size_t len;
    int r;

    if (!removed)
        removed = &ignored;
    *removed = 0;
    if ((r = name_check(name, &len)) < 0)
        return r;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return -EINVAL;
    if ((r = op_begin(m, OP_DIRECT, &op)) < 0)
        return r;
    r = remove_checked(op, cred, parent, name, name_hash(m->key, name, len), removed);
    db_run(m->db, SQL_TREE_CLEAR, "");
    return op_end(op, r);
}
