// SPDX-License-Identifier: Apache-2.0
// Attributes and look-up. What the cache knows costs no lock and no SQL.
#include <errno.h>
#include <string.h>

#include "meta/internal.h"

#define DAY 86400000000000LL

// All from the cache: 0, -ENOENT, -EACCES, ... or -EAGAIN: not known.
static int
lookup_cached(struct meta *m, const struct meta_cred *c, uint64_t parent, struct name_hash h, struct node *n)
{
    struct node dir;
    uint64_t ino;
    uint32_t type;
    int r;

    if (!cache_node(m->cache, parent, node_version(m, parent), &dir))
        return -EAGAIN;
    if (!node_is(&dir, S_IFDIR))
        return -ENOTDIR;
    if ((r = perm_check(NULL, c, &dir, X_OK)) < 0)
        return r;
    if (!cache_name(m->cache, parent, h, name_version(m, parent, h.h), &ino, &type))
        return -EAGAIN;
    if (!ino)
        return -ENOENT;
    return cache_node(m->cache, ino, node_version(m, ino), n) ? 0 : -EAGAIN;
}

static int
lookup_slow(struct op *op, const struct meta_cred *c, uint64_t parent, const char *name, struct name_hash h,
            struct node *n)
{
    struct node dir;
    uint64_t ino;
    uint32_t type;
    int r;

    if ((r = op_node(op, parent, &dir)) < 0)
        return r;
    if (!node_is(&dir, S_IFDIR))
        return -ENOTDIR;
    if ((r = perm_check(op, c, &dir, X_OK)) < 0)
        return r;
    if (strcmp(name, ".") == 0) {
        *n = dir;
        return 0;
    }
    if (strcmp(name, "..") == 0)
        return op_node(op, dir.a.parent, n);
    if ((r = op_name(op, parent, name, h, &ino, &type)) <= 0)
        return r < 0 ? r : -ENOENT;
    r = op_node(op, ino, n);
    return r == -ESTALE ? -EUCLEAN : r;
}

int
meta_lookup(struct meta *m, const struct meta_cred *cred, uint64_t parent, const char *name,
            struct meta_attr *attr)
{
    struct name_hash h;
    struct node n;
    struct op *op;
    size_t len;
    int r;

    if ((r = name_check(name, &len)) < 0 || (r = volume_enter(m)) < 0)
        return r;
    STAT(m, lookups);
    h = name_hash(m->key, name, len);
    r = name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')) ? -EAGAIN
                                                                     : lookup_cached(m, cred, parent, h, &n);
    if (r != -EAGAIN) {
        STAT(m, lookup_hits);
    } else {
        if ((r = op_begin(m, OP_READ, &op)) < 0)
            return r;
        r = op_abort(op, lookup_slow(op, cred, parent, name, h, &n));
    }
    if (r == 0)
        attr_out(&n, attr);
    return r;
}

// Through the cache, or with an operation of its own.
static int
get_node(struct meta *m, uint64_t ino, struct node *n)
{
    struct op *op;
    int r;

    if ((r = volume_enter(m)) < 0)
        return r;
    STAT(m, getattrs);
    if (cache_node(m->cache, ino, node_version(m, ino), n)) {
        STAT(m, getattr_hits);
        return 0;
    }
    if ((r = op_begin(m, OP_READ, &op)) < 0)
        return r;
    return op_abort(op, op_node(op, ino, n));
}

int
meta_getattr(struct meta *m, uint64_t ino, struct meta_attr *attr)
{
    struct node n;
    int r = get_node(m, ino, &n);

    if (r == 0)
        attr_out(&n, attr);
    return r;
}

int
meta_access(struct meta *m, const struct meta_cred *cred, uint64_t ino, int mask)
{
    struct node n;
    struct op *op;
    int r = get_node(m, ino, &n);

    if (r < 0 || (r = perm_check(NULL, cred, &n, mask)) != -EAGAIN)
        return r;
    if ((r = op_begin(m, OP_READ, &op)) < 0)
        return r;
    if ((r = op_node(op, ino, &n)) == 0)
        r = perm_check(op, cred, &n, mask);
    return op_abort(op, r);
}

// chown, as Linux has it: set-user-ID goes whoever asks, also where nothing else changes.
static int
set_owner(struct op *op, const struct meta_cred *c, struct node *n, unsigned set, const struct meta_attr *in)
{
    bool owner = c && c->uid == n->a.uid;
    int r;

    if (!cred_root(c)) {
        if (set & META_SET_UID && (!owner || in->uid != n->a.uid))
            return -EPERM;
        if (set & META_SET_GID && (!owner || (in->gid != n->a.gid && !cred_in_group(c, in->gid))))
            return -EPERM;
    }
    // By the group that it has had, which the caller may be in.
    if (!node_is(n, S_IFDIR) && !(set & META_SET_MODE))
        perm_drop_suid(c, n);
    if (set & META_SET_UID && in->uid != n->a.uid) {
        if ((r = op_charge(op, n->a.uid, n->a.quota, -(int64_t)n->a.space, -1)) < 0)
            return r;
        n->a.uid = in->uid;
        if ((r = op_charge(op, n->a.uid, n->a.quota, (int64_t)n->a.space, 1)) < 0)
            return r;
    }
    if (set & META_SET_GID)
        n->a.gid = in->gid;
    return 0;
}

static int
set_mode(struct op *op, const struct meta_cred *c, struct node *n, const struct meta_attr *in)
{
    uint32_t mode = in->mode & 07777;
    uint8_t blob[ACL_MAX];
    int len;

    if (!cred_root(c) && c->uid != n->a.uid)
        return -EPERM;
    if (!cred_root(c) && !cred_in_group(c, n->a.gid))
        mode &= ~(uint32_t)S_ISGID;
    n->a.mode = (n->a.mode & S_IFMT) | mode;
    if (!(n->a.flags & META_F_ACL))
        return 0;
    len = xattr_get(op, n->a.ino, ACL_ACCESS, blob, sizeof(blob));
    if (len < 0)
        return len == -ENODATA ? 0 : len;
    acl_from_mode(blob, (size_t)len, mode);
    return xattr_put(op, n->a.ino, ACL_ACCESS, blob, (size_t)len);
}

static int
set_times(struct op *op, const struct meta_cred *c, struct node *n, unsigned set, const struct meta_attr *in,
          int64_t now)
{
    bool may = cred_root(c) || c->uid == n->a.uid;
    int r;

    if (!may) {
        if (set & (META_SET_ATIME | META_SET_MTIME))
            return -EPERM;
        // One of both "now" and the other left alone is the owner's, too.
        if (!(set & META_SET_ATIME_NOW) || !(set & META_SET_MTIME_NOW))
            return -EPERM;
        if ((r = perm_check(op, c, n, W_OK)) < 0)
            return r;
    }
    if (set & META_SET_ATIME)
        n->a.atime = in->atime;
    if (set & META_SET_MTIME)
        n->a.mtime = in->mtime;
    if (set & META_SET_ATIME_NOW)
        n->a.atime = now;
    if (set & META_SET_MTIME_NOW)
        n->a.mtime = now;
    return 0;
}

#define SET_TIMES (META_SET_ATIME | META_SET_MTIME | META_SET_ATIME_NOW | META_SET_MTIME_NOW)

// Whose writes leave set-user-ID alone: root's (CAP_FSETID). File capabilities go by anybody's.
static bool
keeps_suid(const struct meta_cred *c)
{
    return c && c->uid == 0;
}

static int
setattr(struct op *op, const struct meta_cred *c, struct node *n, unsigned set, const struct meta_attr *in)
{
    int64_t now = op_now();
    int r;

    if (n->a.flags & META_F_SNAPSHOT)
        return -EROFS;
    if (set == 0 || set & (META_SET_UID | META_SET_GID))
        if ((r = set_owner(op, c, n, set, in)) < 0)
            return r;
    if (set & META_SET_MODE && (r = set_mode(op, c, n, in)) < 0)
        return r;
    if (set & SET_TIMES && (r = set_times(op, c, n, set, in, now)) < 0)
        return r;
    if (set & META_SET_KILL_SUID && !node_is(n, S_IFDIR)) {
        if (!keeps_suid(c))
            perm_drop_suid(c, n);
        if (n->a.flags & META_F_CAPS) {
            r = xattr_del(op, n->a.ino, "security.capability");
            if (r < 0 && r != -ENODATA)
                return r;
            n->a.flags &= ~(uint32_t)META_F_CAPS;
        }
    }
    n->a.ctime = now;
    return op_put_node(op, n);
}

int
meta_setattr(struct meta *m, const struct meta_cred *cred, uint64_t ino, unsigned set,
             const struct meta_attr *in, struct meta_attr *out)
{
    unsigned how = OP_WRITE;
    struct node n;
    struct op *op;
    int r;

    for (;;) {
        if ((r = op_begin(m, how, &op)) < 0)
            return r;
        if ((r = op_node(op, ino, &n)) < 0)
            return op_abort(op, r);
        // Only these touch extended attributes, which are in SQL alone.
        if (how & OP_DIRECT || !(n.a.flags & (META_F_ACL | META_F_CAPS)))
            break;
        op_abort(op, 0);
        how |= OP_DIRECT;
    }
    if (set == META_SET_KILL_SUID &&
        !(n.a.flags & META_F_CAPS || (!keeps_suid(cred) && n.a.mode & (S_ISUID | S_ISGID))))
        r = op_abort(op, 0); // nothing to drop
    else
        r = op_end(op, setattr(op, cred, &n, set, in));
    if (r == 0)
        attr_out(&n, out);
    return r;
}

int
meta_touch_atime(struct meta *m, uint64_t ino)
{
    int64_t now = op_now();
    struct node n;
    struct op *op;
    int r;

    if (m->flags & (META_NOATIME | META_RDONLY))
        return 0;
    if ((r = get_node(m, ino, &n)) < 0)
        return r;
    if ((n.a.atime > n.a.mtime && n.a.atime > n.a.ctime && now - n.a.atime < DAY) ||
        n.a.flags & META_F_SNAPSHOT)
        return 0;
    if ((r = op_begin(m, OP_WRITE, &op)) < 0)
        return r;
    if ((r = op_node(op, ino, &n)) == 0) {
        n.a.atime = now;
        r = op_put_node(op, &n);
    }
    return op_end(op, r);
}
