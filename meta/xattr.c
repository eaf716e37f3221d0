// SPDX-License-Identifier: Apache-2.0
// Extended attributes, and ACLs, which are two of them. They are in SQL alone: what changes them is a direct
// operation.
#include <errno.h>
#include <string.h>
#include <sys/xattr.h>

#include "meta/internal.h"

int
xattr_get(struct op *op, uint64_t ino, const char *name, void *buf, size_t size)
{
    struct meta_db *db = op->m->db;
    int r = db_query(db, SQL_XATTR_GET, "ib", ino, name, strlen(name));
    const void *p;
    size_t n;

    if (r < 0 || (r = db_step(db, SQL_XATTR_GET)) < 0)
        return r;
    if (r == 0)
        return -ENODATA;
    p = db_blob(db, SQL_XATTR_GET, 0, &n);
    if (n > META_XATTR_MAX)
        r = -EUCLEAN;
    else if (size && n > size)
        r = -ERANGE;
    else
        r = (int)n;
    if (r > 0 && size)
        memcpy(buf, p, n);
    db_done(db, SQL_XATTR_GET);
    return r;
}

int
xattr_put(struct op *op, uint64_t ino, const char *name, const void *value, size_t size)
{
    return db_run(op->m->db, SQL_XATTR_PUT, "ibb", ino, name, strlen(name), value, size);
}

int
xattr_del(struct op *op, uint64_t ino, const char *name)
{
    int r = xattr_get(op, ino, name, NULL, 0);

    return r < 0 ? r : db_run(op->m->db, SQL_XATTR_DEL, "ib", ino, name, strlen(name));
}

// May `c` touch this attribute of `n`? -EOPNOTSUPP: no such namespace; -EINVAL: no name in it.
static int
allowed(struct op *op, const struct meta_cred *c, const struct node *n, const char *name, bool write)
{
    static const char *const spaces[] = {"user.", "trusted.", "security."};

    if (write && n->a.flags & META_F_SNAPSHOT)
        return -EROFS;
    if (strcmp(name, ACL_ACCESS) == 0 || strcmp(name, ACL_DEFAULT) == 0) {
        if (node_is(n, S_IFLNK))
            return -EOPNOTSUPP;
        return write && !cred_root(c) && c->uid != n->a.uid ? -EPERM : 0;
    }
    for (size_t i = 0; i < sizeof(spaces) / sizeof(spaces[0]); i++)
        if (strcmp(name, spaces[i]) == 0)
            return -EINVAL;
    if (strncmp(name, "user.", 5) == 0) {
        if (!node_is(n, S_IFREG) && !node_is(n, S_IFDIR))
            return write ? -EPERM : -ENODATA;
        if (write && node_is(n, S_IFDIR) && n->a.mode & S_ISVTX && !cred_root(c) && c->uid != n->a.uid)
            return -EPERM;
        return perm_check(op, c, n, write ? W_OK : R_OK);
    }
    if (strncmp(name, "trusted.", 8) == 0)
        return cred_root(c) ? 0 : write ? -EPERM : -ENODATA;
    if (strncmp(name, "security.", 9) == 0)
        return write && !cred_root(c) ? -EPERM : 0;
    return -EOPNOTSUPP;
}

// Setting an ACL: the mode follows; one that the mode says wholly is not kept. 1: keep the blob.
static int
set_acl(const struct meta_cred *c, struct node *n, const char *name, const void *value, size_t size)
{
    bool minimal, access = strcmp(name, ACL_ACCESS) == 0;
    uint32_t flag = access ? META_F_ACL : META_F_DEFACL;
    int r = acl_check(value, size, node_is(n, S_IFDIR));

    if (r < 0)
        return r;
    if (!access && !node_is(n, S_IFDIR))
        return size > 4 ? -EACCES : 0;
    n->a.flags &= ~flag;
    if (size <= 4)
        return 0;
    if (access) {
        acl_to_mode(value, size, &n->a.mode, &minimal);
        if (!cred_root(c) && !cred_in_group(c, n->a.gid))
            n->a.mode &= ~(uint32_t)S_ISGID;
        if (minimal)
            return 0;
    }
    n->a.flags |= flag;
    return 1;
}

static int
set(struct op *op, const struct meta_cred *c, struct node *n, const char *name, const void *value,
    size_t size, int flags)
{
    int r = allowed(op, c, n, name, true);

    if (r < 0)
        return r;
    if (flags) {
        r = xattr_get(op, n->a.ino, name, NULL, 0);
        if (r < 0 && r != -ENODATA)
            return r;
        if (flags & XATTR_CREATE && r >= 0)
            return -EEXIST;
        if (flags & XATTR_REPLACE && r < 0)
            return -ENODATA;
    }
    r = strncmp(name, "system.", 7) == 0 ? set_acl(c, n, name, value, size) : 1;
    if (r < 0)
        return r;
    if (r == 1)
        r = xattr_put(op, n->a.ino, name, value, size);
    else if ((r = xattr_del(op, n->a.ino, name)) == -ENODATA)
        r = 0;
    if (r < 0)
        return r;
    if (strcmp(name, "security.capability") == 0)
        n->a.flags |= META_F_CAPS;
    n->a.flags |= META_F_XATTR;
    n->a.ctime = op_now();
    return op_put_node(op, n);
}

static int
xname_check(const char *name)
{
    size_t n = strnlen(name, META_XATTR_NAME_MAX + 1);

    return n == 0 || n > META_XATTR_NAME_MAX ? -ERANGE : 0;
}

int
meta_setxattr(struct meta *m, const struct meta_cred *cred, uint64_t ino, const char *name, const void *value,
              size_t size, int flags)
{
    struct node n;
    struct op *op;
    int r = xname_check(name);

    if (r < 0)
        return r;
    if (flags & ~(XATTR_CREATE | XATTR_REPLACE))
        return -EINVAL;
    if (size > META_XATTR_MAX)
        return -E2BIG;
    if ((r = op_begin(m, OP_DIRECT, &op)) < 0)
        return r;
    if ((r = op_node(op, ino, &n)) == 0)
        r = set(op, cred, &n, name, value, size, flags);
    return op_end(op, r);
}

int
meta_removexattr(struct meta *m, const struct meta_cred *cred, uint64_t ino, const char *name)
{
    struct node n;
    struct op *op;
    int r = xname_check(name);

    if (r < 0 || (r = op_begin(m, OP_DIRECT, &op)) < 0)
        return r;
    if ((r = op_node(op, ino, &n)) == 0 && (r = allowed(op, cred, &n, name, true)) == 0 &&
        (r = xattr_del(op, ino, name)) == -ENODATA && strncmp(name, "system.", 7) == 0)
        return op_abort(op, 0); // a list of permissions that is not there is gone, as for Linux
    if (r == 0) {
        if (strcmp(name, ACL_ACCESS) == 0)
            n.a.flags &= ~(uint32_t)META_F_ACL;
        else if (strcmp(name, ACL_DEFAULT) == 0)
            n.a.flags &= ~(uint32_t)META_F_DEFACL;
        else if (strcmp(name, "security.capability") == 0)
            n.a.flags &= ~(uint32_t)META_F_CAPS;
        n.a.ctime = op_now();
        r = op_put_node(op, &n);
    }
    return op_end(op, r);
}

ssize_t
meta_getxattr(struct meta *m, const struct meta_cred *cred, uint64_t ino, const char *name, void *value,
              size_t size)
{
    struct node n;
    struct op *op;
    int r = xname_check(name);

    if (r < 0)
        return r;
    // Most files have none, and are asked all the same (ls, security modules): that costs no SQL.
    if ((r = volume_enter(m)) < 0)
        return r;
    if (cache_node(m->cache, ino, node_version(m, ino), &n) && !(n.a.flags & META_F_XATTR) &&
        strncmp(name, "user.", 5) != 0 &&
        (strncmp(name, "system.posix_acl_", 17) == 0 || strncmp(name, "security.", 9) == 0))
        return node_is(&n, S_IFLNK) && name[1] == 'y' ? -EOPNOTSUPP : -ENODATA;
    if ((r = op_begin(m, OP_READ, &op)) < 0)
        return r;
    if ((r = op_node(op, ino, &n)) == 0 && (r = allowed(op, cred, &n, name, false)) == 0)
        r = n.a.flags & META_F_XATTR ? xattr_get(op, ino, name, value, size) : -ENODATA;
    return op_abort(op, r);
}

ssize_t
meta_listxattr(struct meta *m, const struct meta_cred *cred, uint64_t ino, char *out, size_t size)
{
    size_t total = 0, len;
    struct node n;
    struct op *op;
    int r = op_begin(m, OP_READ, &op);

    if (r < 0)
        return r;
    if ((r = op_node(op, ino, &n)) < 0 || !(n.a.flags & META_F_XATTR))
        return op_abort(op, r);
    r = db_query(m->db, SQL_XATTR_LIST, "i", ino);
    while (r >= 0 && (r = db_step(m->db, SQL_XATTR_LIST)) == 1) {
        const char *name = db_blob(m->db, SQL_XATTR_LIST, 0, &len);

        if (len > 8 && memcmp(name, "trusted.", 8) == 0 && !cred_root(cred))
            continue;
        if (size && total + len + 1 > size) {
            r = -ERANGE;
            break;
        }
        if (size) {
            memcpy(out + total, name, len);
            out[total + len] = '\0';
        }
        total += len + 1;
    }
    db_done(m->db, SQL_XATTR_LIST);
    op_abort(op, 0);
    return r < 0 ? r : (ssize_t)total;
}
