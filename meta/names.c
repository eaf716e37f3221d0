// SPDX-License-Identifier: Apache-2.0
// Names: making and removing them, and what becomes of inodes without one. The order of checks is Linux's,
// which programs and test suites know: search permission, existence, write permission, the sticky bit, types.
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "meta/internal.h"

int
name_check(const char *name, size_t *len)
{
    size_t n = strnlen(name, META_NAME_MAX + 1);

    if (n == 0)
        return -ENOENT;
    if (n > META_NAME_MAX)
        return -ENAMETOOLONG;
    if (memchr(name, '/', n))
        return -EINVAL;
    *len = n;
    return 0;
}

static int
dots(const char *name)
{
    if (strcmp(name, ".") == 0)
        return 1;
    return strcmp(name, "..") == 0 ? 2 : 0;
}

void
attr_out(const struct node *n, struct meta_attr *attr)
{
    if (!attr)
        return;
    *attr = n->a;
    attr->flags &= ~NODE_PRIVATE;
    if (node_is(n, S_IFDIR))
        attr->size = 4096 + (n->a.size * 32 & ~4095ULL);
}

uint32_t
quota_of(const struct node *dir)
{
    return dir->a.quota;
}

int
quota_move(struct op *op, struct node *n, uint32_t to)
{
    int r = op_charge(op, n->a.uid, n->a.quota, -(int64_t)n->a.space, -1);

    if (r < 0)
        return r;
    n->a.quota = to;
    return op_charge(op, n->a.uid, to, (int64_t)n->a.space, 1);
}

// A directory in which a name is looked for.
static int
dir_search(struct op *op, const struct meta_cred *c, uint64_t ino, struct node *dir)
{
    int r = op_node(op, ino, dir);

    if (r < 0)
        return r;
    if (!node_is(dir, S_IFDIR))
        return -ENOTDIR;
    return perm_check(op, c, dir, X_OK);
}

int
dir_for_change(struct op *op, const struct meta_cred *c, uint64_t ino, struct node *dir)
{
    int r = dir_search(op, c, ino, dir);

    if (r < 0)
        return r;
    if (dir->a.nlink == 0)
        return -ENOENT;
    return perm_dir_write(op, c, dir);
}

int
dir_touch(struct op *op, struct node *dir, int entries, int subdirs, int64_t now)
{
    dir->a.mtime = dir->a.ctime = now;
    dir->a.size += (uint64_t)(int64_t)entries;
    dir->a.nlink += (uint32_t)subdirs;
    return op_put_node(op, dir);
}

// ---- new inodes ----

struct wish {
    uint32_t mode;
    uint64_t rdev;
    const char *text; // of a symbolic link
    bool hold, unnamed;
};

// Owner, group and mode of what is made in `dir`; with a default ACL also the ACLs (in SQL: the operation is
// direct then).
static int
dress(struct op *op, const struct meta_cred *c, const struct node *dir, struct node *n)
{
    bool is_dir = node_is(n, S_IFDIR);
    uint8_t blob[ACL_MAX];
    int len, r;

    n->a.uid = c ? c->uid : 0;
    n->a.gid = c ? c->gid : 0;
    if (dir->a.mode & S_ISGID) {
        n->a.gid = dir->a.gid;
        if (is_dir)
            n->a.mode |= S_ISGID;
    }
    if (!is_dir && (n->a.mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) && !cred_root(c) &&
        !cred_in_group(c, n->a.gid))
        n->a.mode &= ~(uint32_t)S_ISGID;
    if (node_is(n, S_IFLNK))
        return 0;
    if (!(dir->a.flags & META_F_DEFACL)) {
        n->a.mode &= ~(c ? c->umask & 0777 : 0u);
        return 0;
    }
    len = xattr_get(op, dir->a.ino, ACL_DEFAULT, blob, sizeof(blob));
    if (len < 0)
        return len;
    if (is_dir) {
        if ((r = xattr_put(op, n->a.ino, ACL_DEFAULT, blob, (size_t)len)) < 0)
            return r;
        n->a.flags |= META_F_DEFACL | META_F_XATTR;
    }
    r = acl_inherit(blob, (size_t)len, &n->a.mode);
    if (r != 1)
        return r;
    n->a.flags |= META_F_ACL | META_F_XATTR;
    return xattr_put(op, n->a.ino, ACL_ACCESS, blob, (size_t)len);
}

static int
make(struct op *op, const struct meta_cred *c, struct node *dir, const char *name, struct name_hash h,
     const struct wish *w, struct node *n)
{
    int64_t now = op_now();
    bool is_dir = S_ISDIR(w->mode);
    uint64_t ino;
    int r;

    memset(n, 0, sizeof(*n));
    if ((r = op_new_ino(op, 1, &ino)) < 0)
        return r;
    n->a.ino = ino;
    n->a.mode = w->mode;
    n->a.rdev = w->rdev;
    n->a.quota = quota_of(dir);
    n->a.nlink = w->unnamed ? 0 : is_dir ? 2 : 1;
    n->a.parent = is_dir ? dir->a.ino : 0;
    n->a.size = w->text ? strlen(w->text) : 0;
    n->a.atime = n->a.mtime = n->a.ctime = n->a.btime = now;
    if (w->unnamed)
        n->a.flags = NODE_TMPFILE;
    if ((r = dress(op, c, dir, n)) < 0 || (r = op_charge(op, n->a.uid, n->a.quota, 0, 1)) < 0 ||
        (r = op_put_node(op, n)) < 0)
        return r;
    if (w->text && (r = op_put(op, ROW_LINK, n->a.ino, 0, w->text, n->a.size)) < 0)
        return r;
    if (w->unnamed)
        return op_put(op, ROW_ORPHAN, n->a.ino, 0, NULL, 0);
    if ((r = op_put_name(op, dir->a.ino, name, h, n->a.ino, n->a.mode)) < 0)
        return r;
    return dir_touch(op, dir, 1, is_dir, now);
}

static int
make_checked(struct op *op, const struct meta_cred *c, uint64_t parent, const char *name, struct name_hash h,
             const struct wish *w, struct node *n, bool *again)
{
    struct node dir;
    uint64_t there;
    uint32_t type;
    int r = dir_search(op, c, parent, &dir);

    if (r < 0)
        return r;
    if (!w->unnamed) {
        if ((r = op_name(op, parent, name, h, &there, &type)) < 0)
            return r;
        if (r)
            return -EEXIST;
    }
    if (dir.a.nlink == 0)
        return -ENOENT;
    if ((r = perm_dir_write(op, c, &dir)) < 0)
        return r;
    if ((S_ISCHR(w->mode) || S_ISBLK(w->mode)) && !cred_root(c) && !(S_ISCHR(w->mode) && w->rdev == 0))
        return -EPERM;
    if (dir.a.flags & META_F_DEFACL && !op->direct && !S_ISLNK(w->mode)) {
        *again = true;
        return -EAGAIN;
    }
    return make(op, c, &dir, name, h, w, n);
}

static int
create(struct meta *m, const struct meta_cred *c, uint64_t parent, const char *name, const struct wish *w,
       struct meta_attr *attr)
{
    struct name_hash h = {0, 0};
    unsigned how = OP_WRITE;
    struct node n;
    struct op *op;
    size_t len;
    int r;

    if (!w->unnamed) {
        if ((r = name_check(name, &len)) < 0)
            return r;
        if (dots(name))
            return -EEXIST;
        if ((r = volume_enter(m)) < 0)
            return r;
        h = name_hash(m->key, name, len);
    }
    for (;;) {
        bool again = false;

        if ((r = op_begin(m, how, &op)) < 0)
            return r;
        r = make_checked(op, c, parent, name, h, w, &n, &again);
        if (!again)
            break;
        op_abort(op, 0);
        how |= OP_DIRECT;
    }
    if (r == 0 && w->hold && (r = hold_add(m, n.a.ino)) == 0) {
        r = op_commit(op);
        if (r < 0)
            hold_drop(m, n.a.ino);
    } else {
        r = op_end(op, r);
    }
    if (r == 0)
        attr_out(&n, attr);
    return r;
}

int
meta_create(struct meta *m, const struct meta_cred *cred, uint64_t parent, const char *name, mode_t mode,
            unsigned flags, struct meta_attr *attr)
{
    struct wish w = {.mode = S_IFREG | (mode & 07777), .hold = flags & META_HOLD};

    return create(m, cred, parent, name, &w, attr);
}

int
meta_mkdir(struct meta *m, const struct meta_cred *cred, uint64_t parent, const char *name, mode_t mode,
           struct meta_attr *attr)
{
    struct wish w = {.mode = S_IFDIR | (mode & 01777)};

    return create(m, cred, parent, name, &w, attr);
}

int
meta_mknod(struct meta *m, const struct meta_cred *cred, uint64_t parent, const char *name, mode_t mode,
           uint64_t rdev, struct meta_attr *attr)
{
    struct wish w = {.mode = mode & (S_IFMT | 07777), .rdev = rdev};

    switch (mode & S_IFMT) {
    case 0:
        w.mode |= S_IFREG;
        break;
    case S_IFREG:
    case S_IFIFO:
    case S_IFSOCK:
        w.rdev = 0;
        break;
    case S_IFCHR:
    case S_IFBLK:
        break;
    case S_IFDIR:
        return -EPERM;
    default:
        return -EINVAL;
    }
    return create(m, cred, parent, name, &w, attr);
}

int
meta_symlink(struct meta *m, const struct meta_cred *cred, const char *text, uint64_t parent,
             const char *name, struct meta_attr *attr)
{
    struct wish w = {.mode = S_IFLNK | 0777, .text = text};
    size_t n = strnlen(text, META_SYMLINK_MAX + 1);

    if (n == 0)
        return -ENOENT;
    if (n > META_SYMLINK_MAX)
        return -ENAMETOOLONG;
    return create(m, cred, parent, name, &w, attr);
}

int
meta_tmpfile(struct meta *m, const struct meta_cred *cred, uint64_t parent, mode_t mode, unsigned flags,
             struct meta_attr *attr)
{
    struct wish w = {.mode = S_IFREG | (mode & 07777), .hold = flags & META_HOLD, .unnamed = true};

    return create(m, cred, parent, "", &w, attr);
}

// ---- the end of inodes ----

// Everything of it goes: chunks, text, xattrs, quota.
int
node_delete(struct op *op, struct node *n)
{
    uint64_t ino = n->a.ino;
    union row_any any;
    int r;

    if ((r = op_charge(op, n->a.uid, n->a.quota, -(int64_t)n->a.space, -1)) < 0 ||
        (r = chunks_drop(op, n, 0, UINT64_MAX)) < 0)
        return r;
    if (node_is(n, S_IFLNK) && (r = op_del(op, ROW_LINK, ino, 0)) < 0)
        return r;
    if (n->a.quota == ino && op_get(op, ROW_USAGE, USAGE_DIR, ino, &any, NULL) == 1 &&
        (r = op_del(op, ROW_USAGE, USAGE_DIR, ino)) < 0)
        return r;
    return op_del_node(op, n);
}

int
node_unnamed(struct op *op, struct node *n, uint64_t parent, const char *name, int64_t now)
{
    struct meta *m = op->m;
    int r;

    n->a.ctime = now;
    if (name && m->info.trash_seconds && node_is(n, S_IFREG) && n->nchunk) {
        struct row_trash t = {.parent = parent, .deleted = now, .len = (uint32_t)strlen(name)};

        memcpy(t.name, name, t.len);
        if ((r = op_put(op, ROW_TRASH, n->a.ino, 0, &t, offsetof(struct row_trash, name) + t.len)) < 0)
            return r;
        return op_put_node(op, n);
    }
    op_close_version(op, n->a.ino);
    if (shared_held(m->s, n->a.ino, UINT32_MAX)) {
        if ((r = op_put(op, ROW_ORPHAN, n->a.ino, 0, NULL, 0)) < 0)
            return r;
        return op_put_node(op, n);
    }
    return node_delete(op, n);
}

static int
file_unlinked(struct op *op, struct node *n, uint64_t parent, const char *name, int64_t now)
{
    n->a.nlink--;
    if (n->a.nlink == 0)
        return node_unnamed(op, n, parent, name, now);
    n->a.ctime = now;
    return op_put_node(op, n);
}

static int
dir_removed(struct op *op, struct node *n, int64_t now)
{
    n->a.nlink = 0;
    return node_unnamed(op, n, 0, NULL, now);
}

// A name and its inode, which `c` wants to remove from `dir`.
static int
victim(struct op *op, const struct meta_cred *c, const struct node *dir, const char *name, struct name_hash h,
       struct node *n)
{
    uint64_t ino;
    uint32_t type;
    int r = op_name(op, dir->a.ino, name, h, &ino, &type);

    if (r <= 0)
        return r < 0 ? r : -ENOENT;
    if ((r = op_node(op, ino, n)) < 0)
        return r == -ESTALE ? -EUCLEAN : r;
    if ((r = perm_dir_write(op, c, dir)) < 0)
        return r;
    if ((r = perm_sticky(c, dir, n)) < 0)
        return r;
    return n->a.flags & META_F_SNAPSHOT && dir->a.flags & META_F_SNAPSHOT ? -EROFS : 0;
}

static int
remove_name(struct meta *m, const struct meta_cred *c, uint64_t parent, const char *name, bool rmdir,
            struct meta_attr *gone)
{
    struct node dir, n;
    struct name_hash h;
    int64_t now = op_now();
    struct op *op;
    uint64_t space;
    size_t len;
    int r;

    if ((r = name_check(name, &len)) < 0)
        return r;
    if (dots(name))
        return !rmdir ? -EISDIR : dots(name) == 1 ? -EINVAL : -ENOTEMPTY;
    if ((r = op_begin(m, OP_WRITE, &op)) < 0)
        return r;
    h = name_hash(m->key, name, len);
    if ((r = dir_search(op, c, parent, &dir)) < 0 || (r = victim(op, c, &dir, name, h, &n)) < 0)
        return op_abort(op, r);
    space = n.a.space;
    if (rmdir != node_is(&n, S_IFDIR))
        return op_abort(op, rmdir ? -ENOTDIR : -EISDIR);
    if (rmdir && n.a.size)
        return op_abort(op, n.a.flags & META_F_SNAPSHOT ? -EROFS : -ENOTEMPTY);
    if ((r = op_del_name(op, parent, h)) == 0 && (r = dir_touch(op, &dir, -1, rmdir ? -1 : 0, now)) == 0)
        r = rmdir ? dir_removed(op, &n, now) : file_unlinked(op, &n, parent, name, now);
    r = op_end(op, r);
    if (r == 0) {
        n.a.space = space; // that it had: who asks wants to know what there is to give back
        attr_out(&n, gone);
    }
    return r;
}

int
meta_unlink(struct meta *m, const struct meta_cred *cred, uint64_t parent, const char *name,
            struct meta_attr *gone)
{
    return remove_name(m, cred, parent, name, false, gone);
}

int
meta_rmdir(struct meta *m, const struct meta_cred *cred, uint64_t parent, const char *name)
{
    return remove_name(m, cred, parent, name, true, NULL);
}

// ---- link ----

// may_linkat() of Linux, where links are protected.
static bool
may_link(struct op *op, const struct meta_cred *c, const struct node *n)
{
    if (cred_root(c) || c->uid == n->a.uid)
        return true;
    if (!node_is(n, S_IFREG) || n->a.mode & S_ISUID ||
        (n->a.mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP))
        return false;
    return perm_check(op, c, n, R_OK | W_OK) == 0;
}

static int
link_checked(struct op *op, const struct meta_cred *c, struct node *n, uint64_t parent, const char *name,
             struct name_hash h)
{
    struct node dir;
    int64_t now = op_now();
    uint64_t there;
    uint32_t type;
    int r = dir_search(op, c, parent, &dir);

    if (r < 0)
        return r;
    if ((r = op_name(op, parent, name, h, &there, &type)) < 0)
        return r;
    if (r)
        return -EEXIST;
    if (dir.a.nlink == 0)
        return -ENOENT;
    if (op->m->flags & META_PROTECT_LINKS && !may_link(op, c, n))
        return -EPERM;
    if ((r = perm_dir_write(op, c, &dir)) < 0)
        return r;
    if (n->a.flags & META_F_SNAPSHOT)
        return -EROFS;
    if (node_is(n, S_IFDIR))
        return -EPERM;
    if (n->a.nlink == 0 && !(n->a.flags & NODE_TMPFILE))
        return -ENOENT;
    if (n->a.nlink >= META_LINK_MAX)
        return -EMLINK;
    if (n->a.quota != quota_of(&dir)) {
        if (n->a.nlink)
            return -EXDEV;
        if ((r = quota_move(op, n, quota_of(&dir))) < 0)
            return r;
    }
    if (n->a.nlink == 0 && (r = op_del(op, ROW_ORPHAN, n->a.ino, 0)) < 0)
        return r;
    n->a.flags &= ~NODE_TMPFILE;
    n->a.nlink++;
    n->a.ctime = now;
    if ((r = op_put_node(op, n)) < 0 || (r = op_put_name(op, parent, name, h, n->a.ino, n->a.mode)) < 0)
        return r;
    return dir_touch(op, &dir, 1, 0, now);
}

int
meta_link(struct meta *m, const struct meta_cred *cred, uint64_t ino, uint64_t parent, const char *name,
          struct meta_attr *attr)
{
    struct node n;
    struct op *op;
    size_t len;
    int r;

    if ((r = name_check(name, &len)) < 0)
        return r;
    if (dots(name))
        return -EEXIST;
    if ((r = op_begin(m, OP_WRITE, &op)) < 0)
        return r;
    if ((r = op_node(op, ino, &n)) == 0)
        r = link_checked(op, cred, &n, parent, name, name_hash(m->key, name, len));
    r = op_end(op, r);
    if (r == 0)
        attr_out(&n, attr);
    return r;
}

// ---- reading ----

ssize_t
meta_readlink(struct meta *m, uint64_t ino, char *buf, size_t size)
{
    union row_any any;
    struct node n;
    struct op *op;
    uint32_t len = 0;
    int r = op_begin(m, OP_READ, &op);

    if (r < 0)
        return r;
    if ((r = op_node(op, ino, &n)) == 0)
        r = node_is(&n, S_IFLNK) ? op_get(op, ROW_LINK, ino, 0, &any, &len) : -EINVAL;
    if (r == 0)
        r = -EUCLEAN;
    op_abort(op, 0);
    if (r < 0)
        return r;
    if (len > size)
        len = (uint32_t)size;
    memcpy(buf, any.text, len);
    return len;
}

static void
dot_entry(struct meta_dirent *e, uint64_t ino, uint64_t cookie, const char *name)
{
    e->ino = ino;
    e->cookie = cookie;
    e->type = DT_DIR;
    e->len = (uint16_t)strlen(name);
    strcpy(e->name, name);
}

static ssize_t
list(struct op *op, const struct node *dir, uint64_t cookie, struct meta_dirent *v, size_t n)
{
    struct meta_db *db = op->m->db;
    size_t k = 0, len;
    int r;

    if (cookie < COOKIE_DOT && k < n)
        dot_entry(&v[k++], dir->a.ino, COOKIE_DOT, ".");
    if (cookie < COOKIE_DOTDOT && k < n)
        dot_entry(&v[k++], dir->a.parent, COOKIE_DOTDOT, "..");
    if (k == n)
        return (ssize_t)k;
    if (op->m->s->log.kinds & 1u << ROW_NAME && (r = op_flush(op)) < 0)
        return r;
    if ((r = db_query(db, SQL_NAME_LIST, "iii", dir->a.ino, cookie, (uint64_t)(n - k))) < 0)
        return r;
    while (k < n && (r = db_step(db, SQL_NAME_LIST)) == 1) {
        struct meta_dirent *e = &v[k++];
        const char *name = db_blob(db, SQL_NAME_LIST, 3, &len);

        e->cookie = (uint64_t)db_int(db, SQL_NAME_LIST, 0);
        e->ino = (uint64_t)db_int(db, SQL_NAME_LIST, 1);
        e->type = (uint32_t)db_int(db, SQL_NAME_LIST, 2);
        e->len = (uint16_t)(len < META_NAME_MAX ? len : META_NAME_MAX);
        memcpy(e->name, name, e->len);
        e->name[e->len] = '\0';
    }
    db_done(db, SQL_NAME_LIST);
    return r < 0 ? r : (ssize_t)k;
}

ssize_t
meta_readdir(struct meta *m, uint64_t dir, uint64_t cookie, struct meta_dirent *v, size_t n)
{
    struct node d;
    struct op *op;
    ssize_t k;
    int r = op_begin(m, OP_READ, &op);

    if (r < 0)
        return r;
    if (n > INT32_MAX)
        n = INT32_MAX;
    if ((r = op_node(op, dir, &d)) < 0)
        k = r;
    else if (!node_is(&d, S_IFDIR))
        k = -ENOTDIR;
    else if (d.a.nlink == 0)
        k = 0; // removed, yet open: empty
    else
        k = list(op, &d, cookie, v, n);
    op_abort(op, 0);
    return k;
}
