// SPDX-License-Identifier: Apache-2.0
// rename(2), with NOREPLACE and EXCHANGE. All in one operation: who looks sees all of it or nothing.
#include <errno.h>
#include <linux/fs.h>
#include <string.h>

#include "meta/internal.h"

struct side {
    struct node *dir;
    struct node dir_node;
    const char *name;
    struct name_hash h;
    struct node n; // what the name is; ino 0: nothing
};

static int
look(struct op *op, const struct meta_cred *c, struct side *s)
{
    uint64_t ino;
    uint32_t type;
    int r;

    if (!node_is(s->dir, S_IFDIR))
        return -ENOTDIR;
    if ((r = perm_check(op, c, s->dir, X_OK)) < 0)
        return r;
    s->n.a.ino = 0;
    if ((r = op_name(op, s->dir->a.ino, s->name, s->h, &ino, &type)) <= 0)
        return r;
    r = op_node(op, ino, &s->n);
    return r == -ESTALE ? -EUCLEAN : r;
}

// Is `top` the directory `ino` or above it?
static int
is_above(struct op *op, uint64_t top, uint64_t ino)
{
    struct node n;
    int r;

    for (int depth = 0; depth < 1 << 20; depth++) {
        if (ino == top)
            return 1;
        if (ino == META_ROOT)
            return 0;
        if ((r = op_node(op, ino, &n)) < 0)
            return r;
        ino = n.a.parent;
    }
    return -EUCLEAN;
}

// The right to take s's name away or to give it another inode.
static int
may_leave(struct op *op, const struct meta_cred *c, struct side *s, bool other_parent)
{
    int r;

    if ((r = perm_dir_write(op, c, s->dir)) < 0 || (r = perm_sticky(c, s->dir, &s->n)) < 0)
        return r;
    if (s->n.a.flags & META_F_SNAPSHOT && (other_parent || s->dir->a.flags & META_F_SNAPSHOT))
        return -EROFS;
    // Its ".." changes.
    return other_parent && node_is(&s->n, S_IFDIR) ? perm_check(op, c, &s->n, W_OK) : 0;
}

static int
fit_quota(struct op *op, struct side *s, const struct node *to)
{
    if (quota_of(s->dir) == quota_of(to))
        return 0;
    if (node_is(&s->n, S_IFDIR) ? s->n.a.size || s->n.a.quota == s->n.a.ino : s->n.a.nlink > 1)
        return -EXDEV;
    return quota_move(op, &s->n, quota_of(to));
}

// Put the inode of `s` under the name of `to`.
static int
move_to(struct op *op, struct side *s, struct side *to, int64_t now)
{
    int r;

    if ((r = fit_quota(op, s, to->dir)) < 0)
        return r;
    s->n.a.ctime = now;
    if (node_is(&s->n, S_IFDIR))
        s->n.a.parent = to->dir->a.ino;
    if ((r = op_put_node(op, &s->n)) < 0)
        return r;
    return op_put_name(op, to->dir->a.ino, to->name, to->h, s->n.a.ino, s->n.a.mode);
}

static int
replace(struct op *op, struct side *to, int64_t now)
{
    bool dir = node_is(&to->n, S_IFDIR);

    if (dir && to->n.a.size)
        return -ENOTEMPTY;
    to->dir->a.size--;
    if (dir) {
        to->dir->a.nlink--;
        to->n.a.nlink = 0;
    } else {
        to->n.a.nlink--;
    }
    to->n.a.ctime = now;
    if (to->n.a.nlink)
        return op_put_node(op, &to->n);
    return node_unnamed(op, &to->n, to->dir->a.ino, dir ? NULL : to->name, now);
}

static int
plain(struct op *op, const struct meta_cred *c, struct side *from, struct side *to)
{
    bool dir = node_is(&from->n, S_IFDIR), same = from->dir == to->dir;
    int64_t now = op_now();
    int r;

    if (to->n.a.ino) {
        if ((r = may_leave(op, c, to, false)) < 0)
            return r;
        if (dir && !node_is(&to->n, S_IFDIR))
            return -ENOTDIR;
        if (!dir && node_is(&to->n, S_IFDIR))
            return -EISDIR;
        if ((r = replace(op, to, now)) < 0)
            return r;
    } else {
        if (to->dir->a.nlink == 0)
            return -ENOENT;
        if ((r = perm_dir_write(op, c, to->dir)) < 0)
            return r;
    }
    if ((r = move_to(op, from, to, now)) < 0 || (r = op_del_name(op, from->dir->a.ino, from->h)) < 0)
        return r;
    from->dir->a.size--;
    to->dir->a.size++;
    if (dir) {
        from->dir->a.nlink--;
        to->dir->a.nlink++;
    }
    if (!same && (r = dir_touch(op, to->dir, 0, 0, now)) < 0)
        return r;
    return dir_touch(op, from->dir, 0, 0, now);
}

static int
exchange(struct op *op, const struct meta_cred *c, struct side *from, struct side *to)
{
    bool other = from->dir != to->dir;
    int up = node_is(&from->n, S_IFDIR) - node_is(&to->n, S_IFDIR);
    int64_t now = op_now();
    int r;

    if ((r = may_leave(op, c, to, other)) < 0)
        return r;
    if ((r = move_to(op, from, to, now)) < 0 || (r = move_to(op, to, from, now)) < 0)
        return r;
    if (!other)
        return dir_touch(op, from->dir, 0, 0, now);
    if ((r = dir_touch(op, from->dir, 0, -up, now)) < 0)
        return r;
    return dir_touch(op, to->dir, 0, up, now);
}

static int
rename_checked(struct op *op, const struct meta_cred *c, struct side *from, struct side *to, unsigned flags)
{
    bool other = from->dir != to->dir;
    int r;

    if ((r = look(op, c, from)) < 0 || (r = look(op, c, to)) < 0)
        return r;
    if (!from->n.a.ino)
        return -ENOENT;
    if (flags & RENAME_NOREPLACE && to->n.a.ino)
        return -EEXIST;
    if (flags & RENAME_EXCHANGE && !to->n.a.ino)
        return -ENOENT;
    if (other && node_is(&from->n, S_IFDIR) && (r = is_above(op, from->n.a.ino, to->dir->a.ino)) != 0)
        return r < 0 ? r : -EINVAL;
    if (other && to->n.a.ino && node_is(&to->n, S_IFDIR) &&
        (r = is_above(op, to->n.a.ino, from->dir->a.ino)) != 0)
        return r < 0 ? r : flags & RENAME_EXCHANGE ? -EINVAL : -ENOTEMPTY;
    if (from->n.a.ino == to->n.a.ino)
        return 0; // two links to one file, or one name: nothing is done, and it is no error
    if ((r = may_leave(op, c, from, other)) < 0)
        return r;
    return flags & RENAME_EXCHANGE ? exchange(op, c, from, to) : plain(op, c, from, to);
}

static bool
is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

int
meta_rename(struct meta *m, const struct meta_cred *cred, uint64_t parent, const char *name,
            uint64_t new_parent, const char *new_name, unsigned flags)
{
    struct side from = {.name = name}, to = {.name = new_name};
    size_t n, k;
    struct op *op;
    int r;

    if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE) ||
        flags == (RENAME_NOREPLACE | RENAME_EXCHANGE))
        return -EINVAL;
    if ((r = name_check(name, &n)) < 0 || (r = name_check(new_name, &k)) < 0)
        return r;
    if (is_dots(name))
        return -EBUSY;
    if (is_dots(new_name))
        return flags & RENAME_NOREPLACE ? -EEXIST : -EBUSY;
    if ((r = op_begin(m, OP_WRITE, &op)) < 0)
        return r;
    from.h = name_hash(m->key, name, n);
    to.h = name_hash(m->key, new_name, k);
    from.dir = &from.dir_node;
    to.dir = parent == new_parent ? from.dir : &to.dir_node;
    r = op_node(op, parent, from.dir);
    if (r == 0 && to.dir != from.dir)
        r = op_node(op, new_parent, to.dir);
    if (r == 0)
        r = rename_checked(op, cred, &from, &to, flags);
    return op_end(op, r);
}
