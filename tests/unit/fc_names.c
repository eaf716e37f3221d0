// SPDX-License-Identifier: Apache-2.0
// Unit tests of fsclient.h: paths, attributes, directories, extended attributes and ACLs, the calls by inode.
#include <dirent.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "tests/unit/fc.h"

static struct fsc *fs;

static int
make(void **state)
{
    fc_make(NULL);
    fs = fc_open(0);
    return 0;
}

static int
end(void **state)
{
    fc_check(fs);
    fsc_close_volume(fs);
    fc_remove();
    return 0;
}

static mode_t
mode_of(const char *path)
{
    struct stat st;

    OK(fsc_stat(fs, &fc_root, path, AT_SYMLINK_NOFOLLOW, &st));
    return st.st_mode;
}

static void
test_walk(void **state)
{
    char escape[64], name[PATH_MAX + 8];
    struct fsc_at at = fc_root, out = fc_root;
    struct stat st;

    OK(fsc_mkdir(fs, &fc_root, "d", 0755));
    OK(fsc_mkdir(fs, &fc_root, "d/e/", 0755));
    fc_put(fs, "d/f", "text");
    OK(fsc_stat(fs, &fc_root, "//d///./e/../f", 0, &st));
    OK(fsc_stat(fs, &fc_root, "../../d", 0, &st)); // the root is its own parent
    IS(fsc_stat(fs, &fc_root, "d/f/", 0, &st), -ENOTDIR);
    IS(fsc_stat(fs, &fc_root, "d/f/.", 0, &st), -ENOTDIR);
    IS(fsc_stat(fs, &fc_root, "d/f/..", 0, &st), -ENOTDIR);
    IS(fsc_stat(fs, &fc_root, "", 0, &st), -ENOENT);
    OK(fsc_stat(fs, &fc_root, "", AT_EMPTY_PATH, &st));
    IS(st.st_ino, FSC_ROOT);
    IS(fsc_stat(fs, &fc_root, "d", 0x40000000, &st), -EINVAL);
    IS(fsc_chmod(fs, &fc_root, "d", 0, 0x40000000), -EINVAL);
    memset(name, 'a', sizeof name);
    name[PATH_MAX] = '\0';
    IS(fsc_stat(fs, &fc_root, name, 0, &st), -ENAMETOOLONG);
    // Links: relative, absolute, in a circle, dangling, to a directory.
    OK(fsc_symlink(fs, "f", &fc_root, "d/l"));
    OK(fsc_symlink(fs, "/d/e", &fc_root, "abs"));
    OK(fsc_symlink(fs, "circle", &fc_root, "circle"));
    OK(fsc_symlink(fs, "/d/", &fc_root, "d/e/up"));
    fc_same(fs, "d/l", "text");
    fc_same(fs, "abs/up/l", "text");
    IS(fsc_stat(fs, &fc_root, "circle", 0, &st), -ELOOP);
    OK(fsc_stat(fs, &fc_root, "circle", AT_SYMLINK_NOFOLLOW, &st));
    IS(fsc_stat(fs, &fc_root, "circle/x", AT_SYMLINK_NOFOLLOW, &st), -ELOOP);
    // Limits of openat2(2).
    at.dir = fc_file(fs, "d", O_PATH);
    at.resolve = FSC_RESOLVE_BENEATH;
    OK(fsc_stat(fs, &at, "l", 0, &st));
    OK(fsc_stat(fs, &at, "e/..", 0, &st));
    IS(fsc_stat(fs, &at, "..", 0, &st), -EXDEV);
    IS(fsc_stat(fs, &at, "/d", 0, &st), -EXDEV);
    IS(fsc_stat(fs, &at, "e/up", 0, &st), -EXDEV);
    at.resolve = FSC_RESOLVE_IN_ROOT;
    OK(fsc_stat(fs, &at, "/f", 0, &st));
    OK(fsc_stat(fs, &at, "../../f", 0, &st));
    at.resolve = FSC_RESOLVE_NO_SYMLINKS;
    IS(fsc_stat(fs, &at, "l", 0, &st), -ELOOP);
    OK(fsc_stat(fs, &at, "l", AT_SYMLINK_NOFOLLOW, &st));
    OK(fsc_close(at.dir));
    // A volume inside of a larger tree.
    out.escape = escape;
    out.escape_size = sizeof escape;
    IS(fsc_stat(fs, &out, "abs/x", 0, &st), -EREMOTE);
    assert_string_equal(escape, "/d/e/x");
    IS(fsc_stat(fs, &out, "d/../../y", 0, &st), -EREMOTE);
    assert_string_equal(escape, "../y");
    out.escape_size = 4;
    IS(fsc_stat(fs, &out, "abs/x", 0, &st), -ENAMETOOLONG);
    // Search permission.
    OK(fsc_chmod(fs, &fc_root, "d", 0700, 0));
    IS(fsc_stat(fs, &fc_alice, "d/f", 0, &st), -EACCES);
    IS(fsc_stat(fs, &fc_alice, "d/none", 0, &st), -EACCES);
}

static void
test_make_and_remove(void **state)
{
    const struct fsc_cred careful = {0, 0, NULL, 0, 077};
    const struct fsc_at with_umask = {.cred = &careful};
    struct stat st;
    char buf[8];

    OK(fsc_mkdir(fs, &fc_root, "d", 01777));
    IS(mode_of("d"), S_IFDIR | 01777);
    OK(fsc_mkdir(fs, &with_umask, "u", 0777));
    IS(mode_of("u"), S_IFDIR | 0700);
    IS(fsc_mkdir(fs, &fc_root, "d", 0777), -EEXIST);
    IS(fsc_mkdir(fs, &fc_root, ".", 0777), -EEXIST);
    IS(fsc_mkdir(fs, &fc_root, "none/d", 0777), -ENOENT);
    OK(fsc_mknod(fs, &fc_root, "node", S_IFCHR | 0600, makedev(1, 3)));
    OK(fsc_stat(fs, &fc_root, "node", 0, &st));
    IS(st.st_rdev, makedev(1, 3));
    OK(fsc_mknod(fs, &fc_root, "plain", 0600, 0));
    IS(mode_of("plain"), S_IFREG | 0600);
    IS(fsc_mknod(fs, &fc_root, "x", S_IFDIR | 0600, 0), -EPERM);
    IS(fsc_mknod(fs, &fc_root, "x/", S_IFREG | 0600, 0), -ENOENT);
    IS(fsc_mknod(fs, &fc_alice, "x", S_IFBLK | 0600, 5), -EPERM);
    IS(fsc_symlink(fs, "", &fc_root, "x"), -ENOENT);
    OK(fsc_symlink(fs, "text", &fc_root, "x"));
    IS(fsc_readlink(fs, &fc_root, "x", buf, 8), 4);
    assert_memory_equal(buf, "text", 4);
    IS(fsc_readlink(fs, &fc_root, "x", buf, 2), 2);
    IS(fsc_readlink(fs, &fc_root, "x", buf, 0), -EINVAL);
    IS(fsc_readlink(fs, &fc_root, "plain", buf, 8), -EINVAL);
    OK(fsc_stat(fs, &fc_root, "/", 0, &st));
    IS(st.st_nlink, 4);
    IS(fsc_unlink(fs, &fc_root, "d", 0), -EISDIR);
    IS(fsc_unlink(fs, &fc_root, "x", AT_REMOVEDIR), -ENOTDIR);
    IS(fsc_unlink(fs, &fc_root, "/", AT_REMOVEDIR), -EBUSY);
    IS(fsc_unlink(fs, &fc_root, "d/.", AT_REMOVEDIR), -EINVAL);
    IS(fsc_unlink(fs, &fc_root, "none", 0), -ENOENT);
    IS(fsc_unlink(fs, &fc_root, "x", 0x40000000), -EINVAL);
    fc_put(fs, "d/f", "1");
    IS(fsc_unlink(fs, &fc_root, "d", AT_REMOVEDIR), -ENOTEMPTY);
    OK(fsc_chown(fs, &fc_root, "d/f", 1001, 1001, 0));
    IS(fsc_unlink(fs, &fc_bob, "d/f", 0), -EPERM); // the sticky bit
    OK(fsc_unlink(fs, &fc_alice, "d/f", 0));
    OK(fsc_unlink(fs, &fc_root, "d/", AT_REMOVEDIR));
    OK(fsc_stat(fs, &fc_root, "/", 0, &st));
    IS(st.st_nlink, 3);
}

static void
test_link_and_rename(void **state)
{
    struct stat st;

    fc_put(fs, "a", "A");
    fc_put(fs, "b", "B");
    OK(fsc_mkdir(fs, &fc_root, "d", 0755));
    OK(fsc_mkdir(fs, &fc_root, "e", 0755));
    OK(fsc_link(fs, &fc_root, "a", NULL, "d/a2", 0));
    OK(fsc_stat(fs, &fc_root, "a", 0, &st));
    IS(st.st_nlink, 2);
    IS(fsc_link(fs, &fc_root, "a", NULL, "b", 0), -EEXIST);
    IS(fsc_link(fs, &fc_root, "d", NULL, "d2", 0), -EPERM);
    IS(fsc_link(fs, &fc_root, "a", NULL, "x", 0x40000000), -EINVAL);
    OK(fsc_symlink(fs, "a", &fc_root, "s"));
    OK(fsc_link(fs, &fc_root, "s", NULL, "s2", 0)); // the link itself
    assert_true(S_ISLNK(mode_of("s2")));
    OK(fsc_link(fs, &fc_root, "s", NULL, "a3", AT_SYMLINK_FOLLOW));
    assert_true(S_ISREG(mode_of("a3")));
    OK(fsc_rename(fs, &fc_root, "a", NULL, "d/a2", 0)); // two names of one file: nothing happens
    OK(fsc_stat(fs, &fc_root, "a", 0, &st));
    IS(st.st_nlink, 3);
    IS(fsc_rename(fs, &fc_root, "a", NULL, "b", RENAME_NOREPLACE), -EEXIST);
    OK(fsc_rename(fs, &fc_root, "a", NULL, "b", RENAME_EXCHANGE));
    fc_same(fs, "a", "B");
    fc_same(fs, "b", "A");
    OK(fsc_rename(fs, &fc_root, "a", NULL, "d", RENAME_EXCHANGE)); // a file and a directory
    fc_same(fs, "d", "B");
    fc_same(fs, "a/a2", "A");
    IS(fsc_rename(fs, &fc_root, "b", NULL, "x", RENAME_EXCHANGE), -ENOENT);
    IS(fsc_rename(fs, &fc_root, "b", NULL, "x", RENAME_EXCHANGE | RENAME_NOREPLACE), -EINVAL);
    IS(fsc_rename(fs, &fc_root, "b", NULL, "x", RENAME_WHITEOUT), -EINVAL);
    IS(fsc_rename(fs, &fc_root, "b", NULL, "e", 0), -EISDIR);
    IS(fsc_rename(fs, &fc_root, "e", NULL, "b", 0), -ENOTDIR);
    IS(fsc_rename(fs, &fc_root, "e", NULL, "e/x", 0), -EINVAL);
    IS(fsc_rename(fs, &fc_root, "e", NULL, "a", 0), -ENOTEMPTY);
    IS(fsc_rename(fs, &fc_root, ".", NULL, "x", 0), -EBUSY);
    OK(fsc_rename(fs, &fc_root, "b", NULL, "x", 0));
    OK(fsc_rename(fs, &fc_root, "x", NULL, "d", 0)); // replaces
    fc_same(fs, "d", "A");
    OK(fsc_rename(fs, &fc_root, "e", NULL, "a/e", 0));
    OK(fsc_stat(fs, &fc_root, "a", 0, &st));
    IS(st.st_nlink, 3);
    OK(fsc_stat(fs, &fc_root, "a/e/..", 0, &st));
    IS(fsc_rename(fs, &fc_alice, "a/a2", NULL, "mine", 0), -EACCES);
}

static void
test_attributes(void **state)
{
    const struct timespec past[2] = {{-5, 7}, {5, 999999999}}, omit[2] = {{0, UTIME_OMIT}, {0, UTIME_NOW}},
                          bad[2] = {{0, 1000000000}, {0, 0}}, none[2] = {{0, UTIME_OMIT}, {0, UTIME_OMIT}};
    struct fsc_attr attr;
    struct stat st;

    fc_put(fs, "a", "text");
    OK(fsc_chmod(fs, &fc_root, "a", 0123, 0));
    IS(mode_of("a"), S_IFREG | 0123);
    IS(fsc_chmod(fs, &fc_alice, "a", 0777, 0), -EPERM);
    IS(fsc_chown(fs, &fc_alice, "a", 1001, -1, 0), -EPERM);
    OK(fsc_chown(fs, &fc_root, "a", 1001, 1001, 0));
    OK(fsc_chown(fs, &fc_alice, "a", -1, 2000, 0)); // a group of hers
    IS(fsc_chown(fs, &fc_alice, "a", -1, 7, 0), -EPERM);
    OK(fsc_chmod(fs, &fc_alice, "a", 0600, 0));
    OK(fsc_access(fs, &fc_alice, "a", R_OK | W_OK, 0));
    IS(fsc_access(fs, &fc_alice, "a", X_OK, 0), -EACCES);
    IS(fsc_access(fs, &fc_bob, "a", R_OK, 0), -EACCES);
    IS(fsc_access(fs, &fc_root, "a", X_OK, 0), -EACCES);
    OK(fsc_access(fs, &fc_bob, "a", F_OK, AT_EACCESS));
    IS(fsc_access(fs, &fc_bob, "a", 8, 0), -EINVAL);
    IS(fsc_access(fs, NULL, "none", F_OK, 0), -ENOENT);
    OK(fsc_utimens(fs, &fc_root, "a", past, 0));
    OK(fsc_stat(fs, &fc_root, "a", 0, &st));
    IS(st.st_atim.tv_sec, -5);
    IS(st.st_atim.tv_nsec, 7);
    IS(st.st_mtim.tv_nsec, 999999999);
    OK(fsc_utimens(fs, &fc_root, "a", omit, 0));
    OK(fsc_getattr(fs, &fc_root, "a", 0, &attr));
    IS(attr.atime, -4999999993);
    assert_true(attr.mtime > INT64_C(1000000000000000000));
    IS(fsc_utimens(fs, &fc_root, "a", bad, 0), -EINVAL);
    OK(fsc_utimens(fs, &fc_root, "not there", none, 0)); // as Linux
    IS(fsc_utimens(fs, &fc_bob, "a", NULL, 0), -EACCES);
    IS(fsc_utimens(fs, &fc_bob, "a", past, 0), -EPERM);
    OK(fsc_utimens(fs, &fc_alice, "a", NULL, 0));
    OK(fsc_symlink(fs, "a", &fc_root, "s"));
    IS(fsc_chmod(fs, &fc_root, "s", 0777, AT_SYMLINK_NOFOLLOW), -EOPNOTSUPP);
    OK(fsc_chown(fs, &fc_root, "s", 5, 5, AT_SYMLINK_NOFOLLOW));
    OK(fsc_stat(fs, &fc_root, "s", 0, &st));
    IS(st.st_uid, 1001);
    // The thread's own user, group and umask stand in for a missing credential.
    umask(027);
    OK(fsc_mkdir(fs, NULL, "own", 0777));
    umask(022);
    OK(fsc_stat(fs, NULL, "own", 0, &st));
    IS(st.st_mode & 07777, 0750);
    IS(st.st_uid, geteuid());
}

static void
test_xattr_and_acl(void **state)
{
    // Version 2; user::rwx user:1002:r-- group::r-- mask::rwx other::---, in the kernel's little-endian form.
    static const unsigned char acl[] = {2,    0,   0,   0,   1,    0, 7, 0, 255, 255, 255, 255, 2,    0, 4, 0,
                                        0xea, 3,   0,   0,   4,    0, 4, 0, 255, 255, 255, 255, 0x10, 0, 7, 0,
                                        255,  255, 255, 255, 0x20, 0, 0, 0, 255, 255, 255, 255};
    struct fsc_file *f;
    unsigned char got[64];
    char list[256];
    ssize_t n;

    fc_put(fs, "a", "text");
    OK(fsc_setxattr(fs, &fc_root, "a", "user.x", "value", 5, 0, 0));
    IS(fsc_setxattr(fs, &fc_root, "a", "user.x", "v", 1, XATTR_CREATE, 0), -EEXIST);
    IS(fsc_setxattr(fs, &fc_root, "a", "user.y", "v", 1, XATTR_REPLACE, 0), -ENODATA);
    IS(fsc_setxattr(fs, &fc_root, "a", "bogus.x", "v", 1, 0, 0), -EOPNOTSUPP);
    OK(fsc_setxattr(fs, &fc_root, "a", "user.empty", "", 0, 0, 0));
    IS(fsc_getxattr(fs, &fc_root, "a", "user.x", list, 0, 0), 5);
    IS(fsc_getxattr(fs, &fc_root, "a", "user.x", list, 4, 0), -ERANGE);
    IS(fsc_getxattr(fs, &fc_root, "a", "user.x", list, 256, 0), 5);
    assert_memory_equal(list, "value", 5);
    IS(fsc_getxattr(fs, &fc_root, "a", "user.empty", list, 256, 0), 0);
    IS(fsc_getxattr(fs, &fc_root, "a", "user.none", list, 256, 0), -ENODATA);
    n = fsc_listxattr(fs, &fc_root, "a", list, sizeof list, 0);
    IS(n, sizeof "user.x" + sizeof "user.empty");
    OK(fsc_removexattr(fs, &fc_root, "a", "user.x", 0));
    IS(fsc_removexattr(fs, &fc_root, "a", "user.x", 0), -ENODATA);
    // ACLs: who they let in, how the mode follows, and how a directory's default is inherited.
    OK(fsc_chmod(fs, &fc_root, "a", 0600, 0));
    IS(fsc_open(fs, &fc_bob, "a", O_RDONLY, 0, &f), -EACCES);
    OK(fsc_setxattr(fs, &fc_root, "a", "system.posix_acl_access", acl, sizeof acl, 0, 0));
    IS(mode_of("a") & 0777, 0770);
    OK(fsc_open(fs, &fc_bob, "a", O_RDONLY, 0, &f));
    OK(fsc_close(f));
    IS(fsc_open(fs, &fc_bob, "a", O_RDWR, 0, &f), -EACCES);
    IS(fsc_open(fs, &fc_alice, "a", O_RDONLY, 0, &f), -EACCES);
    OK(fsc_chmod(fs, &fc_root, "a", 0700, 0)); // the mask
    IS(fsc_open(fs, &fc_bob, "a", O_RDONLY, 0, &f), -EACCES);
    IS(fsc_setxattr(fs, &fc_root, "a", "system.posix_acl_access", "bad", 3, 0, 0), -EINVAL);
    OK(fsc_mkdir(fs, &fc_root, "d", 0755));
    OK(fsc_setxattr(fs, &fc_root, "d", "system.posix_acl_default", acl, sizeof acl, 0, 0));
    OK(fsc_open(fs, &fc_root, "d/new", O_CREAT | O_RDWR, 0666, &f));
    OK(fsc_close(f));
    IS(mode_of("d/new") & 0777, 0660);
    IS(fsc_getxattr(fs, &fc_root, "d/new", "system.posix_acl_access", got, sizeof got, 0), sizeof acl);
    OK(fsc_open(fs, &fc_bob, "d/new", O_RDONLY, 0, &f));
    OK(fsc_close(f));
    OK(fsc_mkdir(fs, &fc_root, "d/sub", 0777));
    IS(fsc_getxattr(fs, &fc_root, "d/sub", "system.posix_acl_default", got, sizeof got, 0), sizeof acl);
}

// Every entry that is there all the while once, though others come and go meanwhile.
static void
test_readdir(void **state)
{
    enum { N = 500 };
    struct fsc_dirent v[7];
    struct fsc_file *d;
    unsigned char seen[N] = {0};
    uint64_t cookie = 0;
    char name[32];
    int dots = 0, round = 0;
    ssize_t n;

    OK(fsc_mkdir(fs, &fc_root, "d", 0755));
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "d/%d", i);
        OK(fsc_mknod(fs, &fc_root, name, S_IFREG | 0600, 0));
    }
    d = fc_file(fs, "d", O_RDONLY);
    while ((n = fsc_readdir(d, cookie, v, 7)) > 0) {
        for (ssize_t i = 0; i < n; i++) {
            if (v[i].name[0] == '.')
                dots++;
            else if (v[i].name[0] != 'x')
                seen[atoi(v[i].name)]++;
            IS(v[i].type, v[i].name[0] == '.' ? DT_DIR : DT_REG);
        }
        cookie = v[n - 1].cookie;
        snprintf(name, sizeof name, "d/x%d", round++);
        OK(fsc_mknod(fs, &fc_root, name, S_IFREG | 0600, 0));
        snprintf(name, sizeof name, "d/%d", N - round); // the removed ones may be seen or not
        OK(fsc_unlink(fs, &fc_root, name, 0));
    }
    IS(n, 0);
    IS(dots, 2);
    for (int i = 0; i < N; i++)
        assert_true(seen[i] == 1 || (i >= N - round && seen[i] == 0));
    IS(fsc_readdir(d, cookie, v, 7), 0);
    OK(fsc_close(d));
    d = fc_file(fs, "d", O_PATH);
    IS(fsc_readdir(d, 0, v, 7), -EBADF);
    OK(fsc_close(d));
    d = fc_file(fs, "d/0", O_RDONLY);
    IS(fsc_readdir(d, 0, v, 7), -ENOTDIR);
    OK(fsc_close(d));
}

static void
test_by_inode(void **state)
{
    struct fsc_attr dir, attr, same;
    struct fsc_dirent v[8];
    struct statvfs sv;
    struct fsc_file *f;
    char buf[8];

    OK(fsc_ino_mknod(fs, FSC_ENGINE, FSC_ROOT, "d", S_IFDIR | 0700, 0, &dir));
    OK(fsc_ino_create(fs, fc_root.cred, dir.ino, "f", O_RDWR, 0640, &attr, &f));
    IS(fsc_pwrite(f, "text", 4, 0), 4);
    OK(fsc_close(f));
    OK(fsc_ino_lookup(fs, FSC_ENGINE, dir.ino, "f", &same));
    IS(same.ino, attr.ino);
    IS(fsc_ino_lookup(fs, fc_alice.cred, dir.ino, "f", &same), -EACCES);
    IS(fsc_ino_lookup(fs, FSC_ENGINE, dir.ino, "none", &same), -ENOENT);
    OK(fsc_ino_lookup(fs, FSC_ENGINE, dir.ino, "..", &same));
    IS(same.ino, FSC_ROOT);
    IS(fsc_ino_create(fs, FSC_ENGINE, dir.ino, "f", O_RDWR | O_EXCL, 0640, &attr, &f), -EEXIST);
    OK(fsc_ino_create(fs, FSC_ENGINE, dir.ino, "f", O_RDWR | O_TRUNC, 0640, &attr, &f));
    IS(attr.size, 0);
    OK(fsc_close(f));
    OK(fsc_ino_truncate(fs, FSC_ENGINE, attr.ino, 100, &attr));
    IS(attr.size, 100);
    IS(fsc_ino_truncate(fs, fc_alice.cred, attr.ino, 0, &attr), -EACCES);
    attr.mode = 0604;
    attr.uid = 1002;
    OK(fsc_ino_setattr(fs, FSC_ENGINE, attr.ino, FSC_SET_MODE | FSC_SET_UID, &attr, &attr));
    IS(attr.mode & 0777, 0604);
    OK(fsc_ino_access(fs, fc_bob.cred, attr.ino, R_OK | W_OK));
    OK(fsc_ino_link(fs, FSC_ENGINE, attr.ino, FSC_ROOT, "f2", &attr));
    IS(attr.nlink, 2);
    OK(fsc_ino_symlink(fs, FSC_ENGINE, "to", FSC_ROOT, "s", &same));
    IS(fsc_ino_readlink(fs, same.ino, buf, 8), 2);
    OK(fsc_ino_setxattr(fs, FSC_ENGINE, attr.ino, "user.x", "1", 1, 0));
    IS(fsc_ino_getxattr(fs, FSC_ENGINE, attr.ino, "user.x", buf, 8), 1);
    assert_true(fsc_ino_listxattr(fs, FSC_ENGINE, attr.ino, NULL, 0) > 0);
    OK(fsc_ino_removexattr(fs, FSC_ENGINE, attr.ino, "user.x"));
    IS(fsc_ino_readdir(fs, dir.ino, 0, v, 8), 3);
    OK(fsc_ino_statvfs(fs, dir.ino, &sv));
    IS(sv.f_frsize > 0, 1);
    OK(fsc_ino_rename(fs, FSC_ENGINE, dir.ino, "f", dir.ino, "g", 0));
    OK(fsc_ino_unlink(fs, FSC_ENGINE, dir.ino, "g"));
    OK(fsc_ino_rmdir(fs, FSC_ENGINE, FSC_ROOT, "d"));
    IS(fsc_ino_getattr(fs, dir.ino, &same), -ESTALE);
    OK(fsc_ino_tmpfile(fs, FSC_ENGINE, FSC_ROOT, O_RDWR, 0600, &same, &f));
    IS(same.nlink, 0);
    OK(fsc_close(f));
    IS(fsc_ino_getattr(fs, same.ino, &same), -ESTALE);
}

#define T(name) cmocka_unit_test_setup_teardown(test_##name, make, end)

int
main(void)
{
    const struct CMUnitTest tests[] = {T(walk),       T(make_and_remove), T(link_and_rename),
                                       T(attributes), T(xattr_and_acl),   T(readdir),
                                       T(by_inode)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
