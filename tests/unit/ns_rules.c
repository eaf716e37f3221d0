// SPDX-License-Identifier: Apache-2.0
// The rules of the namespace engine, case by case: permissions and errno precedence, times and nlink, ACLs,
// extended attributes, quotas, trash, snapshots, the check and its repair.
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/ns.h"

#define CHUNK 65536u

static struct meta *m;
static uint64_t top; // a directory that all may write to

static int
set_up(void **state)
{
    struct meta_format fmt = {.chunk_size = CHUNK};
    struct meta_attr a;

    ns_make(&fmt);
    m = ns_open(0);
    assert_int_equal(meta_mkdir(m, NULL, META_ROOT, "top", 0777, &a), 0);
    top = a.ino;
    return 0;
}

static int
tear_down(void **state)
{
    ns_check(m);
    meta_close(m);
    ns_remove();
    return 0;
}

static uint64_t
file(const struct meta_cred *c, uint64_t dir, const char *name, mode_t mode)
{
    struct meta_attr a;

    assert_int_equal(meta_create(m, c, dir, name, mode, 0, &a), 0);
    return a.ino;
}

static uint64_t
dir(const struct meta_cred *c, uint64_t d, const char *name, mode_t mode)
{
    struct meta_attr a;

    assert_int_equal(meta_mkdir(m, c, d, name, mode, &a), 0);
    return a.ino;
}

static struct meta_attr
attr(uint64_t ino)
{
    struct meta_attr a;

    assert_int_equal(meta_getattr(m, ino, &a), 0);
    return a;
}

static void
tick(void)
{
    int64_t t = 0;

    for (struct timespec now; t < 2000000; t++)
        clock_gettime(CLOCK_REALTIME, &now);
    (void)t;
}

static void
test_names(void **state)
{
    struct meta_attr a;
    char longest[META_NAME_MAX + 2];

    memset(longest, 'n', sizeof(longest));
    longest[META_NAME_MAX + 1] = '\0';
    assert_int_equal(meta_create(m, NULL, top, longest, 0644, 0, &a), -ENAMETOOLONG);
    assert_int_equal(meta_lookup(m, NULL, top, longest, &a), -ENAMETOOLONG);
    longest[META_NAME_MAX] = '\0';
    file(NULL, top, longest, 0644);
    assert_int_equal(meta_create(m, NULL, top, "", 0644, 0, &a), -ENOENT);
    assert_int_equal(meta_create(m, NULL, top, ".", 0644, 0, &a), -EEXIST);
    assert_int_equal(meta_mkdir(m, NULL, top, "..", 0755, &a), -EEXIST);
    assert_int_equal(meta_rmdir(m, NULL, top, "."), -EINVAL);
    assert_int_equal(meta_rmdir(m, NULL, top, ".."), -ENOTEMPTY);
    assert_int_equal(meta_rename(m, NULL, top, ".", top, "x", 0), -EBUSY);
    assert_int_equal(meta_lookup(m, NULL, top, ".", &a), 0);
    assert_int_equal(a.ino, top);
    assert_int_equal(meta_lookup(m, NULL, top, "..", &a), 0);
    assert_int_equal(a.ino, META_ROOT);
    assert_int_equal(meta_lookup(m, NULL, META_ROOT, "..", &a), 0);
    assert_int_equal(a.ino, META_ROOT);
    assert_int_equal(meta_lookup(m, NULL, attr(top).ino + 5000000, "x", &a), -ESTALE);
    assert_int_equal(meta_create(m, NULL, file(NULL, top, "f", 0644), "x", 0644, 0, &a), -ENOTDIR);
    assert_int_equal(meta_unlink(m, NULL, top, "f", NULL), 0);
    // Creating in a directory that is gone, but held.
    assert_int_equal(meta_open_file(m, NULL, dir(NULL, top, "gone", 0755), O_RDONLY, &a), 0);
    assert_int_equal(meta_rmdir(m, NULL, top, "gone"), 0);
    assert_int_equal(meta_create(m, NULL, a.ino, "x", 0644, 0, NULL), -ENOENT);
    assert_int_equal(meta_close_file(m, a.ino), 0);
}

static void
test_permissions(void **state)
{
    uint64_t d = dir(&ns_alice, top, "d", 0755), f = file(&ns_alice, d, "f", 0640), s;
    struct meta_attr a;

    assert_int_equal(attr(f).uid, 1001);
    assert_int_equal(attr(f).mode, S_IFREG | 0640);
    assert_int_equal(meta_access(m, &ns_bob, f, R_OK), -EACCES);
    assert_int_equal(meta_access(m, &ns_alice, f, R_OK | W_OK), 0);
    assert_int_equal(meta_access(m, &ns_alice, f, X_OK), -EACCES);
    assert_int_equal(meta_access(m, NULL, f, X_OK), -EACCES);
    assert_int_equal(meta_open_file(m, &ns_bob, f, O_RDONLY, NULL), -EACCES);
    assert_int_equal(meta_create(m, &ns_bob, d, "g", 0644, 0, &a), -EACCES);
    assert_int_equal(meta_create(m, &ns_bob, d, "f", 0644, 0, &a),
                     -EEXIST); // looked at before the permission
    assert_int_equal(meta_unlink(m, &ns_bob, d, "f", NULL), -EACCES);
    assert_int_equal(meta_unlink(m, &ns_bob, d, "none", NULL), -ENOENT);
    assert_int_equal(meta_rmdir(m, &ns_bob, d, "f"), -EACCES);
    assert_int_equal(meta_rename(m, &ns_bob, d, "f", top, "f", 0), -EACCES);
    a.mode = 0700;
    assert_int_equal(meta_setattr(m, &ns_alice, d, META_SET_MODE, &a, NULL), 0);
    assert_int_equal(meta_lookup(m, &ns_bob, d, "f", &a), -EACCES);
    assert_int_equal(meta_lookup(m, &ns_bob, d, "none", &a), -EACCES);
    // The sticky bit.
    s = dir(&ns_alice, top, "s", 01777);
    a.mode = 01777;
    assert_int_equal(meta_setattr(m, &ns_alice, s, META_SET_MODE, &a, NULL), 0);
    file(&ns_alice, s, "hers", 0666);
    assert_int_equal(meta_unlink(m, &ns_bob, s, "hers", NULL), -EPERM);
    assert_int_equal(meta_rename(m, &ns_bob, s, "hers", top, "x", 0), -EPERM);
    file(&ns_bob, s, "his", 0666);
    assert_int_equal(meta_rename(m, &ns_bob, s, "his", s, "hers", 0), -EPERM);
    assert_int_equal(meta_unlink(m, &ns_alice, s, "his", NULL), 0); // the directory's owner may
    assert_int_equal(meta_mknod(m, &ns_bob, top, "dev", S_IFBLK | 0600, 1, &a), -EPERM);
    assert_int_equal(meta_mknod(m, NULL, top, "dev", S_IFBLK | 0600, 0x801, &a), 0);
    assert_int_equal(a.rdev, 0x801);
    // A directory that changes its parent must be writable itself.
    dir(&ns_alice, top, "from", 0755);
    assert_int_equal(meta_rename(m, &ns_bob, top, "from", top, "here", 0), 0); // its parent stays
    dir(&ns_bob, top, "into", 0777);
    assert_int_equal(meta_lookup(m, NULL, top, "into", &a), 0);
    assert_int_equal(meta_rename(m, &ns_bob, top, "here", a.ino, "x", 0), -EACCES);
}

static void
test_chmod_chown(void **state)
{
    uint64_t f = file(&ns_alice, top, "f", 0644);
    struct meta_attr in = {.mode = 06755}, a;

    assert_int_equal(meta_setattr(m, &ns_bob, f, META_SET_MODE, &in, NULL), -EPERM);
    assert_int_equal(meta_setattr(m, &ns_alice, f, META_SET_MODE, &in, &a), 0);
    assert_int_equal(a.mode & 07777, 06755);
    in.gid = 2000;
    assert_int_equal(meta_setattr(m, &ns_alice, f, META_SET_GID, &in, &a), 0);
    assert_int_equal(a.gid, 2000);
    assert_int_equal(a.mode & 07777, 0755); // both bits are gone
    in.gid = 1002;
    assert_int_equal(meta_setattr(m, &ns_alice, f, META_SET_GID, &in, &a), -EPERM);
    in.uid = 1002;
    assert_int_equal(meta_setattr(m, &ns_alice, f, META_SET_UID, &in, &a), -EPERM);
    assert_int_equal(meta_setattr(m, NULL, f, META_SET_UID | META_SET_GID, &in, &a), 0);
    assert_int_equal(a.uid, 1002);
    in.gid = 7;
    assert_int_equal(meta_setattr(m, NULL, f, META_SET_GID, &in, &a), 0);
    in.mode = 02755; // set-group-ID of a group that bob is not in
    assert_int_equal(meta_setattr(m, &ns_bob, f, META_SET_MODE, &in, &a), 0);
    assert_int_equal(a.mode & 07777, 0755);
    in.mode = 04755;
    assert_int_equal(meta_setattr(m, NULL, f, META_SET_MODE, &in, &a), 0);
    assert_int_equal(meta_setattr(m, &ns_alice, f, META_SET_KILL_SUID, &in, &a), 0);
    assert_int_equal(a.mode & 07777, 0755);
    // The usage went with the owner.
    {
        struct meta_usage u;

        assert_int_equal(meta_quota_get(m, META_QUOTA_USER, 1002, &u), 0);
        assert_int_equal(u.inodes, 1);
        assert_int_equal(meta_quota_get(m, META_QUOTA_USER, 1001, &u), 0);
        assert_int_equal(u.inodes, 0);
    }
}

static void
test_times(void **state)
{
    uint64_t f = file(&ns_alice, top, "f", 0666);
    struct meta_attr before, after, in = {.atime = 5000000007, .mtime = -3}, d = attr(top);

    before = attr(f);
    tick();
    assert_int_equal(meta_setattr(m, &ns_bob, f, META_SET_ATIME | META_SET_MTIME, &in, NULL), -EPERM);
    assert_int_equal(meta_setattr(m, &ns_bob, f, META_SET_ATIME_NOW | META_SET_MTIME_NOW, &in, NULL), 0);
    assert_true(attr(f).mtime > before.mtime);
    assert_int_equal(meta_setattr(m, &ns_alice, f, META_SET_ATIME | META_SET_MTIME, &in, &after), 0);
    assert_int_equal(after.atime, 5000000007);
    assert_int_equal(after.mtime, -3);
    assert_true(after.ctime > before.ctime);
    assert_int_equal(after.btime, before.btime);
    assert_int_equal(meta_touch_atime(m, f), 0);
    assert_true(attr(f).atime > after.mtime);
    // A link changes the file's ctime and the directory's times; a failed one neither.
    before = attr(f);
    tick();
    assert_int_equal(meta_link(m, &ns_alice, f, top, "f", NULL), -EEXIST);
    assert_int_equal(attr(f).ctime, before.ctime);
    assert_int_equal(meta_link(m, &ns_alice, f, top, "g", NULL), 0);
    assert_true(attr(f).ctime > before.ctime);
    assert_int_equal(attr(f).nlink, 2);
    assert_true(attr(top).mtime > d.mtime);
    before = attr(f);
    tick();
    assert_int_equal(meta_unlink(m, &ns_alice, top, "g", &after), 0);
    assert_int_equal(after.nlink, 1);
    assert_true(attr(f).ctime > before.ctime);
    before = attr(f);
    tick();
    assert_int_equal(meta_rename(m, &ns_alice, top, "f", top, "h", 0), 0);
    assert_true(attr(f).ctime > before.ctime);
    before = attr(f);
    tick();
    assert_int_equal(meta_truncate(m, &ns_alice, f, 0, NULL, &after), 0);
    assert_true(after.mtime > before.mtime);
}

static void
test_setgid_dir(void **state)
{
    uint64_t d = dir(&ns_alice, top, "d", 0777), f;
    struct meta_attr in = {.mode = 02777, .gid = 2000};

    assert_int_equal(meta_setattr(m, &ns_alice, d, META_SET_GID, &in, NULL), 0);
    assert_int_equal(meta_setattr(m, &ns_alice, d, META_SET_MODE, &in, NULL), 0);
    f = file(&ns_bob, d, "f", 02755);
    assert_int_equal(attr(f).gid, 2000);
    assert_int_equal(attr(f).mode & 07777, 0755);
    f = dir(&ns_bob, d, "sub", 0755);
    assert_int_equal(attr(f).gid, 2000);
    assert_int_equal(attr(f).mode & S_ISGID, S_ISGID);
}

// ---- ACLs ----

struct acl {
    uint8_t b[4 + 8 * 8];
    size_t len;
};

static void
acl_add(struct acl *a, unsigned tag, unsigned perm, unsigned id)
{
    uint8_t *p = a->b + a->len;

    if (a->len == 0) {
        memcpy(p, "\2\0\0\0", 4);
        a->len = 4;
        p += 4;
    }
    p[0] = (uint8_t)tag;
    p[1] = 0;
    p[2] = (uint8_t)perm;
    p[3] = 0;
    memcpy(p + 4, &id, 4);
    a->len += 8;
}

static struct acl
acl_for_bob(unsigned user, unsigned bob, unsigned group, unsigned mask, unsigned other)
{
    struct acl a = {.len = 0};

    acl_add(&a, 1, user, ~0u);
    acl_add(&a, 2, bob, 1002);
    acl_add(&a, 4, group, ~0u);
    acl_add(&a, 16, mask, ~0u);
    acl_add(&a, 32, other, ~0u);
    return a;
}

static void
test_acl(void **state)
{
    uint64_t f = file(&ns_alice, top, "f", 0600), d = dir(&ns_alice, top, "d", 0755), g;
    struct acl a = acl_for_bob(6, 6, 0, 7, 0), bad = a;
    struct meta_attr at, in = {.mode = 0640};
    uint8_t back[256];

    assert_int_equal(meta_access(m, &ns_bob, f, R_OK), -EACCES);
    assert_int_equal(meta_setxattr(m, &ns_bob, f, "system.posix_acl_access", a.b, a.len, 0), -EPERM);
    assert_int_equal(meta_setxattr(m, &ns_alice, f, "system.posix_acl_access", a.b, a.len, 0), 0);
    assert_int_equal(meta_access(m, &ns_bob, f, R_OK | W_OK), 0);
    assert_int_equal(attr(f).mode & 0777, 0670); // the mask shows as the group's bits
    assert_int_equal(meta_setattr(m, &ns_alice, f, META_SET_MODE, &in, &at), 0);
    assert_int_equal(meta_access(m, &ns_bob, f, R_OK), 0);
    assert_int_equal(meta_access(m, &ns_bob, f, W_OK), -EACCES); // masked
    assert_int_equal(meta_getxattr(m, &ns_bob, f, "system.posix_acl_access", back, sizeof(back)), a.len);
    assert_int_equal(back[4 + 3 * 8 + 2], 4);
    bad.b[4] = 2;
    assert_int_equal(meta_setxattr(m, &ns_alice, f, "system.posix_acl_access", bad.b, bad.len, 0), -EINVAL);
    assert_int_equal(meta_setxattr(m, &ns_alice, f, "system.posix_acl_access", a.b, a.len - 1, 0), -EINVAL);
    assert_int_equal(meta_setxattr(m, &ns_alice, f, "system.posix_acl_default", a.b, a.len, 0), -EACCES);
    assert_int_equal(meta_removexattr(m, &ns_alice, f, "system.posix_acl_access"), 0);
    assert_int_equal(attr(f).flags & META_F_ACL, 0);
    // A default ACL: the umask does not count, the mode asked for does.
    a = acl_for_bob(7, 7, 5, 7, 5);
    assert_int_equal(meta_setxattr(m, &ns_alice, d, "system.posix_acl_default", a.b, a.len, 0), 0);
    g = file(&ns_alice, d, "g", 0666);
    assert_int_equal(attr(g).mode & 0777, 0664);
    assert_int_equal(meta_access(m, &ns_bob, g, R_OK | W_OK), 0);
    g = dir(&ns_alice, d, "sub", 0777);
    assert_int_equal(attr(g).flags & (META_F_ACL | META_F_DEFACL), META_F_ACL | META_F_DEFACL);
    assert_int_equal(meta_access(m, &ns_bob, g, W_OK), 0);
}

static void
test_xattr(void **state)
{
    uint64_t f = file(&ns_alice, top, "f", 0644), l;
    char buf[64];
    struct meta_attr a;

    assert_int_equal(meta_getxattr(m, &ns_alice, f, "user.a", buf, 64), -ENODATA);
    assert_int_equal(meta_setxattr(m, &ns_alice, f, "user.a", "one", 3, XATTR_REPLACE), -ENODATA);
    assert_int_equal(meta_setxattr(m, &ns_alice, f, "user.a", "one", 3, XATTR_CREATE), 0);
    assert_int_equal(meta_setxattr(m, &ns_alice, f, "user.a", "one", 3, XATTR_CREATE), -EEXIST);
    assert_int_equal(meta_setxattr(m, &ns_bob, f, "user.b", "x", 1, 0), -EACCES);
    assert_int_equal(meta_setxattr(m, &ns_alice, f, "trusted.t", "x", 1, 0), -EPERM);
    assert_int_equal(meta_setxattr(m, NULL, f, "trusted.t", "x", 1, 0), 0);
    assert_int_equal(meta_setxattr(m, NULL, f, "strange.t", "x", 1, 0), -EOPNOTSUPP);
    assert_int_equal(meta_getxattr(m, &ns_bob, f, "user.a", buf, 0), 3);
    assert_int_equal(meta_getxattr(m, &ns_bob, f, "user.a", buf, 2), -ERANGE);
    assert_int_equal(meta_getxattr(m, &ns_bob, f, "user.a", buf, 64), 3);
    assert_memory_equal(buf, "one", 3);
    assert_int_equal(meta_setxattr(m, &ns_alice, f, "user.empty", NULL, 0, 0), 0);
    assert_int_equal(meta_getxattr(m, &ns_alice, f, "user.empty", buf, 64), 0);
    assert_int_equal(meta_listxattr(m, &ns_alice, f, buf, 0), 18);
    assert_int_equal(meta_listxattr(m, NULL, f, buf, 64), 28);
    assert_int_equal(meta_listxattr(m, NULL, f, buf, 10), -ERANGE);
    assert_int_equal(meta_removexattr(m, &ns_alice, f, "user.a"), 0);
    assert_int_equal(meta_removexattr(m, &ns_alice, f, "user.a"), -ENODATA);
    assert_int_equal(meta_symlink(m, &ns_alice, "t", top, "l", &a), 0);
    l = a.ino;
    assert_int_equal(meta_setxattr(m, &ns_alice, l, "user.a", "x", 1, 0), -EPERM);
    assert_int_equal(meta_readlink(m, l, buf, 64), 1);
    assert_int_equal(meta_unlink(m, &ns_alice, top, "f", NULL), 0);
}

static void
test_links_limit(void **state)
{
    uint64_t f = file(NULL, top, "f", 0644);
    char name[32];

    for (int i = 1; i < META_LINK_MAX; i++) {
        snprintf(name, sizeof(name), "l%d", i);
        assert_int_equal(meta_link(m, NULL, f, top, name, NULL), 0);
    }
    assert_int_equal(meta_link(m, NULL, f, top, "more", NULL), -EMLINK);
    assert_int_equal(attr(f).nlink, META_LINK_MAX);
}

static void
test_tmpfile(void **state)
{
    struct meta_attr a;

    assert_int_equal(meta_tmpfile(m, &ns_alice, top, 0600, META_HOLD, &a), 0);
    assert_int_equal(a.nlink, 0);
    assert_int_equal(meta_link(m, &ns_alice, a.ino, top, "named", NULL), 0);
    assert_int_equal(meta_close_file(m, a.ino), 0);
    assert_int_equal(attr(a.ino).nlink, 1);
    assert_int_equal(meta_tmpfile(m, &ns_alice, top, 0600, META_HOLD, &a), 0);
    assert_int_equal(meta_close_file(m, a.ino), 0);
    assert_int_equal(meta_getattr(m, a.ino, &a), -ESTALE);
    assert_int_equal(meta_close_file(m, a.ino), -EBADF);
}

// ---- chunks, clones, quotas, trash ----

static void
put(struct meta *h, uint64_t ino, uint64_t index, uint64_t *id)
{
    struct meta_chunk c = {.index = index, .length = CHUNK};

    assert_int_equal(meta_new_chunks(h, &c.id, 1), 0);
    assert_int_equal(meta_commit_write(h, ino, (index + 1) * CHUNK, 0, &c, 1, NULL), 0);
    *id = c.id;
}

static ssize_t
garbage(uint64_t *ids, size_t n)
{
    ssize_t k = meta_take_garbage(m, ids, n);

    assert_true(k >= 0);
    assert_int_equal(meta_garbage_done(m, ids, (size_t)k), 0);
    return k;
}

static void
test_snapshot(void **state)
{
    uint64_t d = dir(&ns_alice, top, "d", 0755), sub = dir(&ns_alice, d, "sub", 0755),
             f = file(&ns_alice, sub, "f", 0644), id, ids[16], s;
    enum meta_chunk_state st;
    struct meta_attr a, b;
    struct meta_chunk c;
    uint64_t removed;

    put(m, f, 0, &id);
    assert_int_equal(meta_link(m, NULL, f, d, "second", NULL), 0);
    assert_int_equal(meta_link(m, NULL, f, top, "outside", NULL), 0);
    assert_int_equal(meta_symlink(m, NULL, "sub/f", d, "l", &a), 0);
    assert_int_equal(meta_setxattr(m, NULL, sub, "user.x", "y", 1, 0), 0);
    assert_int_equal(meta_snapshot(m, &ns_bob, d, top, "snap", &a), -EACCES);
    assert_int_equal(meta_snapshot(m, NULL, d, top, "snap", &a), 0);
    s = a.ino;
    assert_int_equal(a.nlink, 3);
    ns_check(m);
    assert_int_equal(meta_lookup(m, NULL, s, "sub", &b), 0);
    assert_int_equal(b.parent, s);
    assert_int_equal(meta_lookup(m, NULL, b.ino, "f", &a), 0);
    assert_int_equal(a.nlink, 2); // the name outside is not a link of the copy
    assert_int_equal(a.size, CHUNK);
    assert_int_equal(meta_get_chunks(m, a.ino, 0, &c, 1), 1);
    assert_int_equal(c.id, id);
    assert_int_equal(c.flags, META_CHUNK_SHARED);
    assert_int_equal(meta_get_chunks(m, f, 0, &c, 1), 1);
    assert_int_equal(c.flags, META_CHUNK_SHARED);
    // Read-only, all of it.
    assert_int_equal(meta_create(m, NULL, s, "new", 0644, 0, &b), -EROFS);
    assert_int_equal(meta_unlink(m, NULL, s, "second", NULL), -EROFS);
    assert_int_equal(meta_truncate(m, NULL, a.ino, 0, NULL, NULL), -EROFS);
    assert_int_equal(meta_setattr(m, NULL, a.ino, META_SET_MODE, &a, NULL), -EROFS);
    assert_int_equal(meta_rename(m, NULL, s, "second", top, "x", 0), -EROFS);
    assert_int_equal(meta_access(m, &ns_alice, a.ino, W_OK), -EROFS);
    // A write into the original in place is refused; a new chunk leaves the snapshot as it was.
    c.index = 0;
    c.replaces = c.id = id;
    c.length = CHUNK;
    assert_int_equal(meta_commit_write(m, f, CHUNK, 0, &c, 1, NULL), -ESTALE);
    assert_int_equal(meta_new_chunks(m, &c.id, 1), 0);
    assert_int_equal(meta_chunk_states(m, &c.id, &st, 1), 0);
    assert_int_equal(st, META_CHUNK_PENDING);
    assert_int_equal(meta_commit_write(m, f, CHUNK, 0, &c, 1, NULL), 0);
    assert_int_equal(meta_get_chunks(m, a.ino, 0, &c, 1), 1);
    assert_int_equal(c.id, id);
    assert_int_equal(garbage(ids, 16), 0);
    // A clone of the snapshot can be written.
    assert_int_equal(meta_clone_tree(m, NULL, s, top, "clone", &b), 0);
    assert_int_equal(b.flags & META_F_SNAPSHOT, 0);
    assert_int_equal(meta_remove_tree(m, NULL, top, "snap", &removed), 0);
    assert_int_equal(removed, 4);
    ns_check(m);
    assert_int_equal(garbage(ids, 16), 0);
    file(NULL, b.ino, "new", 0644);
    assert_int_equal(meta_remove_tree(m, NULL, top, "clone", NULL), 0);
    assert_int_equal(garbage(ids, 16), 1);
    assert_int_equal(ids[0], id);
    assert_int_equal(meta_chunk_states(m, &id, &st, 1), 0);
    assert_int_not_equal(st, META_CHUNK_USED);
}

static void
test_quota(void **state)
{
    uint64_t d = dir(&ns_alice, top, "d", 0777), sub = dir(&ns_alice, d, "sub", 0777),
             f = file(&ns_alice, sub, "f", 0666), id;
    struct meta_chunk c = {.index = 1, .length = CHUNK};
    struct meta_usage u;
    struct meta_attr a;

    put(m, f, 0, &id);
    assert_int_equal(meta_quota_set(m, &ns_alice, META_QUOTA_DIR, d, 2 * CHUNK, 5), -EPERM);
    assert_int_equal(meta_quota_set(m, NULL, META_QUOTA_DIR, d, 2 * CHUNK, 5), 0);
    assert_int_equal(meta_quota_get(m, META_QUOTA_DIR, d, &u), 0);
    assert_int_equal(u.inodes, 3);
    assert_int_equal(u.space, CHUNK);
    ns_check(m);
    assert_int_equal(meta_quota_set(m, NULL, META_QUOTA_DIR, sub, 100 * CHUNK, 0), 0);
    ns_check(m);
    file(&ns_bob, sub, "g", 0644);
    file(&ns_bob, d, "h", 0644);
    assert_int_equal(meta_create(m, &ns_bob, sub, "i", 0644, 0, &a), -ENOSPC); // the one above is full
    put(m, f, 1, &id);
    assert_int_equal(meta_new_chunks(m, &c.id, 1), 0);
    c.index = 2;
    assert_int_equal(meta_commit_write(m, f, 3 * CHUNK, 0, &c, 1, NULL), -ENOSPC);
    assert_int_equal(attr(f).size, 2 * CHUNK);
    assert_int_equal(meta_truncate(m, NULL, f, CHUNK / 2, NULL, NULL), 0);
    assert_int_equal(meta_quota_get(m, META_QUOTA_DIR, sub, &u), 0);
    assert_int_equal(u.space, CHUNK / 2);
    // Across: a file goes, a full directory does not.
    assert_int_equal(meta_rename(m, NULL, d, "sub", top, "sub", 0), -EXDEV);
    assert_int_equal(meta_rename(m, NULL, sub, "f", top, "f", 0), 0);
    ns_check(m);
    assert_int_equal(meta_link(m, NULL, f, d, "f", NULL), -EXDEV);
    assert_int_equal(meta_quota_set(m, NULL, META_QUOTA_DIR, d, 0, 0), 0);
    ns_check(m);
    assert_int_equal(meta_quota_set(m, NULL, META_QUOTA_DIR, d, 0, 0), -ENOENT);
    // By user.
    assert_int_equal(meta_quota_set(m, NULL, META_QUOTA_USER, 1002, 0, 3), 0);
    file(&ns_bob, top, "third", 0644);
    assert_int_equal(meta_create(m, &ns_bob, top, "fourth", 0644, 0, &a), -EDQUOT);
    assert_int_equal(meta_unlink(m, &ns_bob, top, "third", NULL), 0);
    file(&ns_bob, top, "fourth", 0644);
    assert_int_equal(meta_set_limits(m, 0, 1, 0), 0);
    assert_int_equal(meta_create(m, NULL, top, "more", 0644, 0, &a), -ENOSPC);
    assert_int_equal(meta_set_limits(m, 0, 0, 0), 0);
}

static void
test_trash(void **state)
{
    uint64_t f = file(&ns_alice, top, "f", 0644), g = file(&ns_bob, top, "g", 0644), id, id2, ids[8];
    struct meta_trash t[4];
    struct meta_attr a;

    put(m, f, 0, &id);
    put(m, g, 0, &id2);
    assert_int_equal(meta_set_limits(m, 0, 0, 3600), 0);
    assert_int_equal(meta_unlink(m, NULL, top, "f", NULL), 0);
    assert_int_equal(meta_unlink(m, NULL, top, "g", NULL), 0);
    assert_int_equal(garbage(ids, 8), 0);
    assert_int_equal(meta_trash_list(m, NULL, 0, t, 4), 2);
    assert_string_equal(t[0].name, "f");
    assert_int_equal(t[0].parent, top);
    assert_true(t[0].expires == t[0].deleted + 3600000000000LL);
    assert_int_equal(meta_trash_list(m, &ns_bob, 0, t, 4), 1);
    assert_int_equal(t[0].ino, g);
    assert_int_equal(meta_trash_restore(m, &ns_bob, f, top, "back", &a), -EPERM);
    assert_int_equal(meta_trash_restore(m, &ns_alice, f, top, "back", &a), 0);
    assert_int_equal(a.nlink, 1);
    assert_int_equal(meta_trash_restore(m, &ns_alice, f, top, "again", &a), -ENOENT);
    assert_int_equal(meta_trash_purge(m, NULL, 0, t[0].deleted + 3599000000000LL), 0);
    assert_int_equal(meta_trash_purge(m, NULL, 0, t[0].deleted + 3600000000000LL), 1);
    assert_int_equal(garbage(ids, 8), 1);
    assert_int_equal(ids[0], id2);
    ns_check(m);
}

static void
test_read_only(void **state)
{
    uint64_t f = file(NULL, top, "f", 0644);
    struct meta *o = ns_open(META_RDONLY);
    struct meta_attr a;

    assert_int_equal(meta_lookup(o, NULL, top, "f", &a), 0);
    assert_int_equal(meta_create(o, NULL, top, "g", 0644, 0, &a), -EROFS);
    assert_int_equal(meta_open_file(o, NULL, f, O_RDWR, NULL), -EROFS);
    assert_int_equal(meta_open_file(o, NULL, f, O_RDONLY, NULL), 0);
    assert_int_equal(meta_unlink(m, NULL, top, "f", NULL), 0);
    assert_int_equal(meta_getattr(o, f, &a), 0);
    assert_int_equal(meta_close_file(o, f), 0);
    assert_int_equal(meta_getattr(m, f, &a), -ESTALE);
    meta_close(o);
}

// What the check is for: each kind of damage, made behind the engine's back, is found, named, mended and then
// gone.
static void
test_fsck(void **state)
{
    static const char *const damage[] = {
        "UPDATE inode SET nlink = 7 WHERE ino = (SELECT ino FROM name WHERE name = CAST('f' AS BLOB))",
        "UPDATE inode SET nlink = 9 WHERE ino = 1",
        "DELETE FROM inode WHERE ino = (SELECT ino FROM name WHERE name = CAST('f' AS BLOB))",
        "DELETE FROM name WHERE name = CAST('d' AS BLOB)",
        "UPDATE name SET type = 4 WHERE name = CAST('f' AS BLOB)",
        "UPDATE inode SET parent = 999 WHERE ino = (SELECT ino FROM name WHERE name = CAST('d' AS BLOB))",
        "UPDATE inode SET size = 77 WHERE ino = 1",
        "INSERT INTO orphan(ino) VALUES(4711)",
        "INSERT INTO trash(ino, parent, deleted, name) VALUES(4711, 1, 1, 'x')",
        "INSERT INTO chunk(ino, idx, id, length, space) VALUES(4711, 0, 123456, 1, 1)",
        "UPDATE chunk SET space = 5 WHERE ino = (SELECT ino FROM name WHERE name = CAST('f' AS BLOB))",
        "INSERT INTO refs(id, n) SELECT id, 3 FROM chunk",
        "INSERT INTO refs(id, n) VALUES(987654, 2)",
        "INSERT INTO garbage(id, session) SELECT id, 0 FROM chunk",
        "DELETE FROM link",
        "INSERT INTO link(ino, text) VALUES(4711, 'x')",
        "INSERT INTO xattr(ino, name, value) VALUES(4711, 'user.x', 'y')",
        "UPDATE usage SET space = 1, inodes = 1000 WHERE kind = 0",
        "DELETE FROM usage WHERE kind = 1",
        "UPDATE inode SET quota = 55 WHERE ino = 1",
        "UPDATE name SET parent = (SELECT ino FROM name WHERE name = CAST('e' AS BLOB)) WHERE name = "
        "CAST('d' AS BLOB)",
    };
    uint64_t d = dir(NULL, META_ROOT, "d", 0755), f = file(NULL, META_ROOT, "f", 0644), id;
    struct meta_attr a;

    dir(NULL, d, "e", 0755);
    assert_int_equal(meta_symlink(m, NULL, "x", META_ROOT, "l", &a), 0);
    put(m, f, 0, &id);
    for (size_t i = 0; i < sizeof(damage) / sizeof(damage[0]); i++) {
        char path[4200], *err = NULL;
        sqlite3 *db;

        assert_int_equal(meta_sync(m), 0);
        meta_close(m);
        snprintf(path, sizeof(path), "%s/meta.db", ns_dir);
        assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, damage[i], NULL, NULL, &err), SQLITE_OK);
        assert_true(sqlite3_changes(db) > 0);
        sqlite3_close(db);
        m = ns_open(0);
        assert_true(ns_findings(m, 0) > 0);
        assert_true(ns_findings(m, META_FSCK_REPAIR) > 0);
        ns_check(m);
        // Things that the repair took away are there again for the next damage.
        if (meta_lookup(m, NULL, META_ROOT, "f", &a) == -ENOENT)
            put(m, file(NULL, META_ROOT, "f", 0644), 0, &id);
        if (meta_lookup(m, NULL, META_ROOT, "d", &a) == -ENOENT)
            dir(NULL, META_ROOT, "d", 0755);
        assert_int_equal(meta_lookup(m, NULL, META_ROOT, "d", &a), 0);
        if (meta_lookup(m, NULL, a.ino, "e", &a) == -ENOENT)
            dir(NULL, a.ino, "e", 0755);
    }
}

// A large directory: all entries stream, in pieces, while it changes.
static void
test_large_dir(void **state)
{
    static struct meta_dirent v[256];
    uint64_t cookie = 0, stay = 0, other = 0;
    char name[32];
    ssize_t n;

    for (int i = 0; i < 20000; i++) {
        snprintf(name, sizeof(name), "e%d", i);
        file(NULL, top, name, 0644);
    }
    for (int round = 0; (n = meta_readdir(m, top, cookie, v, 256)) > 0; round++) {
        cookie = v[n - 1].cookie;
        for (ssize_t i = 0; i < n; i++) {
            if (v[i].name[0] == 'e' && atoi(v[i].name + 1) >= 1000)
                stay++;
            else
                other++;
        }
        if (round < 1000) {
            snprintf(name, sizeof(name), "e%d", round);
            meta_unlink(m, NULL, top, name, NULL);
            snprintf(name, sizeof(name), "new%d", round);
            file(NULL, top, name, 0644);
        }
    }
    assert_int_equal(stay, 19000);
    assert_true(other >= 2);
}

int
main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(test_names),      CASE(test_permissions), CASE(test_chmod_chown), CASE(test_times),
        CASE(test_setgid_dir), CASE(test_acl),         CASE(test_xattr),       CASE(test_links_limit),
        CASE(test_tmpfile),    CASE(test_snapshot),    CASE(test_quota),       CASE(test_trash),
        CASE(test_read_only),  CASE(test_fsck),        CASE(test_large_dir),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
