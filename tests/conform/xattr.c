// SPDX-License-Identifier: Apache-2.0
// Extended attributes, and access control lists, which are extended attributes to who sets them.
#include <endian.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <sys/xattr.h>

#include "conform.h"

static bool
listed(const char *list, ssize_t n, const char *name)
{
    for (const char *p = list; p < list + n; p += strlen(p) + 1)
        if (strcmp(p, name) == 0)
            return true;
    return false;
}

static void
sets(void)
{
    char buf[300], name[300];
    int fd;

    NEED(put_file("f", 0644, ""));
    T("none", ENODATA, getxattr("f", "user.a", buf, sizeof buf));
    T("set", 0, setxattr("f", "user.a", "value", 5, 0));
    EQ("get", 5, getxattr("f", "user.a", buf, sizeof buf));
    B("value", memcmp(buf, "value", 5) == 0);
    EQ("get-size", 5, getxattr("f", "user.a", NULL, 0));
    T("get-short", ERANGE, getxattr("f", "user.a", buf, 4));
    T("create-there", EEXIST, setxattr("f", "user.a", "x", 1, XATTR_CREATE));
    T("create", 0, setxattr("f", "user.b", "", 0, XATTR_CREATE));
    EQ("empty", 0, getxattr("f", "user.b", buf, sizeof buf));
    T("replace", 0, setxattr("f", "user.a", "longer value", 12, XATTR_REPLACE));
    EQ("replace-get", 12, getxattr("f", "user.a", buf, sizeof buf));
    T("replace-none", ENODATA, setxattr("f", "user.c", "x", 1, XATTR_REPLACE));
    T("bad-flag", EINVAL, setxattr("f", "user.c", "x", 1, 8));
    T("both-flags-there", EEXIST, setxattr("f", "user.a", "x", 1, XATTR_CREATE | XATTR_REPLACE));
    EQ("list-size", 14, listxattr("f", NULL, 0));
    EQ("list", 14, listxattr("f", buf, sizeof buf));
    B("list-names", listed(buf, 14, "user.a") && listed(buf, 14, "user.b"));
    T("list-short", ERANGE, listxattr("f", buf, 13));
    T("remove", 0, removexattr("f", "user.b"));
    T("remove-none", ENODATA, removexattr("f", "user.b"));
    T("bytes", 0, setxattr("f", "user.z", "a\0b\xff", 4, 0));
    EQ("bytes-get", 4, getxattr("f", "user.z", buf, sizeof buf));
    B("bytes-same", memcmp(buf, "a\0b\xff", 4) == 0);
    NEED(fd = open("f", O_RDONLY));
    T("fset", 0, fsetxattr(fd, "user.f", "1", 1, 0));
    EQ("fget", 1, fgetxattr(fd, "user.f", buf, sizeof buf));
    B("flist", listed(buf, flistxattr(fd, buf, sizeof buf), "user.f"));
    T("fremove", 0, fremovexattr(fd, "user.f"));
    close(fd);
    T("bad-fd", EBADF, fgetxattr(fd, "user.a", buf, sizeof buf));
    NEED(fd = open("f", O_PATH));
    T("path-fd", EBADF, fgetxattr(fd, "user.a", buf, sizeof buf));
    close(fd);
    strcpy(name, "user.");
    memset(name + 5, 'n', 251);
    name[255] = 0;
    T("longest-name", 0, setxattr("f", name, "x", 1, 0));
    name[255] = 'n';
    name[256] = 0;
    T("too-long-name", ERANGE, setxattr("f", name, "x", 1, 0));
    T("empty-name", ERANGE, setxattr("f", "", "x", 1, 0));
    T("no-namespace", EOPNOTSUPP, setxattr("f", "plain", "x", 1, 0));
    T("unknown-namespace", EOPNOTSUPP, setxattr("f", "none.a", "x", 1, 0));
    T("prefix-alone", EINVAL, setxattr("f", "user.", "x", 1, 0));
    NEED(rename("f", "g"));
    EQ("rename-keeps", 12, getxattr("g", "user.a", buf, sizeof buf));
    NEED(put_file("f", 0644, ""));
    T("new-has-none", ENODATA, getxattr("f", "user.a", buf, sizeof buf));
}

static void
kinds(void)
{
    char buf[10];

    NEED(mkdir("d", 0755));
    NEED(symlink("d", "s"));
    NEED(mkfifo("p", 0644));
    T("dir", 0, setxattr("d", "user.a", "x", 1, 0));
    EQ("follows", 1, getxattr("s", "user.a", buf, sizeof buf));
    T("symlink", EPERM, lsetxattr("s", "user.a", "x", 1, 0));
    T("symlink-get", ENODATA, lgetxattr("s", "user.a", buf, sizeof buf));
    T("fifo", EPERM, setxattr("p", "user.a", "x", 1, 0));
    T("symlink-trusted", 0, lsetxattr("s", "trusted.a", "x", 1, 0));
    EQ("symlink-trusted-get", 1, lgetxattr("s", "trusted.a", buf, sizeof buf));
    T("fifo-trusted", 0, setxattr("p", "trusted.a", "x", 1, 0));
    EQ("symlink-list", 10, llistxattr("s", NULL, 0));
    T("symlink-remove", 0, lremovexattr("s", "trusted.a"));
}

static void
who(void)
{
    char buf[100];

    NEED(put_file("f", 0640, ""));
    NEED(chown("f", U1, G1));
    NEED(setxattr("f", "user.a", "x", 1, 0));
    NEED(setxattr("f", "trusted.t", "x", 1, 0));
    NEED(setxattr("f", "security.s", "x", 1, 0));
    NEED(mkdir("t", 01777));
    AS (U1, G2) {
        T("owner-set", 0, setxattr("f", "user.b", "x", 1, 0));
        T("owner-remove", 0, removexattr("f", "user.b"));
        T("trusted-get", ENODATA, getxattr("f", "trusted.t", buf, sizeof buf));
        T("trusted-set", EPERM, setxattr("f", "trusted.t", "x", 1, 0));
        T("security-set", EPERM, setxattr("f", "security.s", "x", 1, 0));
        EQ("security-get", 1, getxattr("f", "security.s", buf, sizeof buf));
        B("trusted-not-listed", !listed(buf, listxattr("f", buf, sizeof buf), "trusted.t"));
        T("sticky-dir-of-another", EPERM, setxattr("t", "user.a", "x", 1, 0));
    }
    AS (U2, G1) {
        EQ("reader-get", 1, getxattr("f", "user.a", buf, sizeof buf));
        T("reader-set", EACCES, setxattr("f", "user.a", "y", 1, 0));
        T("reader-remove", EACCES, removexattr("f", "user.a"));
        T("reader-list", 0, listxattr("f", buf, sizeof buf));
    }
    AS (U2, G2) {
        T("other-get", EACCES, getxattr("f", "user.a", buf, sizeof buf));
        T("other-list", 0, listxattr("f", buf, sizeof buf));
    }
    EQ("root-trusted", 1, getxattr("f", "trusted.t", buf, sizeof buf));
    B("root-lists", listed(buf, listxattr("f", buf, sizeof buf), "trusted.t"));
}

// ---- access control lists ----

struct acl {
    struct posix_acl_xattr_header head;
    struct posix_acl_xattr_entry entry[8];
};

// Letters are entries, in the order of the list: u the owner, U another user, g the owning
// group, G another group, m the mask, o others; then for each its permissions, and for U and G the id before.
static size_t
make_acl(struct acl *acl, const char *letters, const int *v)
{
    size_t n = 0;

    acl->head.a_version = htole32(POSIX_ACL_XATTR_VERSION);
    for (; *letters; letters++, n++) {
        struct posix_acl_xattr_entry *e = &acl->entry[n];
        int tag = *letters == 'u'   ? ACL_USER_OBJ
                  : *letters == 'U' ? ACL_USER
                  : *letters == 'g' ? ACL_GROUP_OBJ
                  : *letters == 'G' ? ACL_GROUP
                  : *letters == 'm' ? ACL_MASK
                                    : ACL_OTHER;

        e->e_id = htole32(tag == ACL_USER || tag == ACL_GROUP ? (uint32_t)*v++ : (uint32_t)ACL_UNDEFINED_ID);
        e->e_tag = htole16((uint16_t)tag);
        e->e_perm = htole16((uint16_t)*v++);
    }
    return sizeof acl->head + n * sizeof acl->entry[0];
}

#define ACCESS "system.posix_acl_access"
#define DEFAULT "system.posix_acl_default"

static int
set_acl(const char *path, const char *name, const char *letters, const int *v)
{
    struct acl acl;
    size_t n = make_acl(&acl, letters, v);

    return setxattr(path, name, &acl, n, 0);
}

static int
may(const char *path)
{
    return (access(path, R_OK) == 0 ? 4 : 0) | (access(path, W_OK) == 0 ? 2 : 0) |
           (access(path, X_OK) == 0 ? 1 : 0);
}

static void
acl_access(void)
{
    char buf[200];

    NEED(put_file("f", 0640, ""));
    NEED(chown("f", U1, G1));
    T("none", ENODATA, getxattr("f", ACCESS, buf, sizeof buf));
    // Equal to a mode: that is what it becomes.
    T("minimal", 0, set_acl("f", ACCESS, "ugo", (int[]){6, 4, 0}));
    EQ("minimal-mode", 0640, mode_of("f"));
    T("minimal-is-none", ENODATA, getxattr("f", ACCESS, buf, sizeof buf));
    T("set", 0, set_acl("f", ACCESS, "uUgGmo", (int[]){6, U2, 7, 4, G2, 5, 6, 1}));
    EQ("mask-is-group-bits", 0661, mode_of("f"));
    EQ("get", 4 + 6 * 8, getxattr("f", ACCESS, buf, sizeof buf));
    B("listed", listed(buf, listxattr("f", buf, sizeof buf), ACCESS));
    AS (U1, G3)
        EQ("owner", 6, may("f"));
    AS (U2, G3)
        EQ("named-user-masked", 6, may("f"));
    AS (U2 + 5, G1)
        EQ("owning-group", 4, may("f"));
    AS (U2 + 5, G2)
        EQ("named-group-masked", 4, may("f"));
    AS (U2 + 5, G3, G2)
        EQ("named-group-supplementary", 4, may("f"));
    AS (U2 + 5, G3)
        EQ("others", 1, may("f"));
    AS (U2, G3) {
        T("named-user-opens", 0, try_open("f", O_RDWR, 0));
        T("named-user-chmod", EPERM, chmod("f", 0777));
        T("named-user-set", EPERM, set_acl("f", ACCESS, "ugo", (int[]){7, 7, 7}));
    }
    T("chmod-sets-mask", 0, chmod("f", 0600));
    AS (U2, G3)
        EQ("named-user-shut-out", 0, may("f"));
    T("chmod-back", 0, chmod("f", 0674));
    AS (U2, G3)
        EQ("named-user-again", 7, may("f"));
    T("remove", 0, removexattr("f", ACCESS));
    EQ("remove-keeps-mode", 0674, mode_of("f"));
    AS (U2, G3)
        EQ("removed", 4, may("f"));
}

static void
acl_errors(void)
{
    struct acl acl;

    NEED(put_file("f", 0644, ""));
    NEED(symlink("f", "s"));
    T("no-mask", EINVAL, set_acl("f", ACCESS, "uUgo", (int[]){6, U2, 7, 4, 0}));
    T("no-owner", EINVAL, set_acl("f", ACCESS, "go", (int[]){6, 4}));
    T("bad-order", EINVAL, set_acl("f", ACCESS, "guo", (int[]){6, 4, 0}));
    T("twice", EINVAL, set_acl("f", ACCESS, "uugo", (int[]){6, 6, 4, 0}));
    T("bad-permission", EINVAL, set_acl("f", ACCESS, "ugo", (int[]){8, 4, 0}));
    T("too-short", EINVAL, setxattr("f", ACCESS, "abc", 3, 0));
    make_acl(&acl, "ugo", (int[]){6, 4, 4});
    acl.head.a_version = htole32(3);
    T("bad-version", EOPNOTSUPP, setxattr("f", ACCESS, &acl, 28, 0));
    T("default-of-file", EACCES, set_acl("f", DEFAULT, "ugo", (int[]){6, 4, 0}));
    T("symlink", EOPNOTSUPP, lsetxattr("s", ACCESS, &acl, 28, 0));
    EQ("unharmed", 0644, mode_of("f"));
}

static void
acl_default(void)
{
    char buf[200];

    NEED(mkdir("d", 0755));
    T("set", 0, set_acl("d", DEFAULT, "uUgmo", (int[]){7, U2, 7, 5, 7, 0}));
    EQ("dir-mode-stays", 0755, mode_of("d"));
    EQ("get", 4 + 5 * 8, getxattr("d", DEFAULT, buf, sizeof buf));
    umask(077); // not looked at, where there is a default list
    NEED(try_open("d/f", O_WRONLY | O_CREAT, 0666));
    NEED(mkdir("d/sub", 0777));
    NEED(mkfifo("d/p", 0666));
    umask(0);
    EQ("file-mode", 0660, mode_of("d/f"));
    EQ("dir-mode", 0770, mode_of("d/sub"));
    EQ("fifo-mode", 0660, mode_of("d/p"));
    EQ("file-has-list", 4 + 5 * 8, getxattr("d/f", ACCESS, buf, sizeof buf));
    T("file-has-no-default", ENODATA, getxattr("d/f", DEFAULT, buf, sizeof buf));
    EQ("dir-hands-down", 4 + 5 * 8, getxattr("d/sub", DEFAULT, buf, sizeof buf));
    AS (U2, G3) {
        EQ("named-user", 6, may("d/f"));
        T("named-user-makes", 0, mkdir("d/sub/x", 0777));
    }
    AS (U1, G3)
        EQ("others", 0, may("d/f"));
    T("remove", 0, removexattr("d", DEFAULT));
    umask(027);
    NEED(try_open("d/g", O_WRONLY | O_CREAT, 0666));
    EQ("umask-again", 0640, mode_of("d/g"));
    T("remove-none", 0, removexattr("d", DEFAULT));
}

const struct test_case cases_xattr[] = {
    {"xattr", sets},     {"xattr-kinds", kinds},     {"xattr-who", who},
    {"acl", acl_access}, {"acl-errors", acl_errors}, {"acl-default", acl_default},
    {NULL, NULL},
};
