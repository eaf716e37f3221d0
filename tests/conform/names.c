// SPDX-License-Identifier: Apache-2.0
// What every call that takes a path answers to a bad one: a table of calls, against a table of bad paths.
#include <limits.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>

#include "conform.h"

enum {
    MAKES = 1,    // the last component must not exist
    CHANGES = 2,  // refused where the file system is read-only
    DIR_ONLY = 4, // what exists has to be a directory
    LINK = 8,     // of a symbolic link itself, where it ends in one
};

static int
op_link_to(const char *p)
{
    return link("file", p);
}

static int
op_link_from(const char *p)
{
    return link(p, "linked");
}

static int
op_rename_to(const char *p)
{
    return rename("file", p);
}

static int
op_rename_from(const char *p)
{
    return rename(p, "renamed");
}

static int
op_stat(const char *p)
{
    struct stat st;

    return stat(p, &st);
}

static int
op_lstat(const char *p)
{
    struct stat st;

    return lstat(p, &st);
}

static int
op_statx(const char *p)
{
    struct statx st;

    return statx(AT_FDCWD, p, AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &st);
}

static int
op_statvfs(const char *p)
{
    struct statvfs st;

    return statvfs(p, &st);
}

static int
op_readlink(const char *p)
{
    char buf[PATH_MAX];

    return (int)readlink(p, buf, sizeof buf);
}

static int
op_mkdir(const char *p)
{
    return mkdir(p, 0755);
}

static int
op_mkfifo(const char *p)
{
    return mkfifo(p, 0644);
}

static int
op_mknod(const char *p)
{
    return mknod(p, S_IFREG | 0644, 0);
}

static int
op_symlink(const char *p)
{
    return symlink("file", p);
}

static int
op_open(const char *p)
{
    return try_open(p, O_RDONLY, 0);
}

static int
op_open_path(const char *p)
{
    return try_open(p, O_PATH, 0);
}

static int
op_open_dir(const char *p)
{
    return try_open(p, O_RDONLY | O_DIRECTORY, 0);
}

static int
op_open_creat(const char *p)
{
    return try_open(p, O_WRONLY | O_CREAT | O_EXCL, 0644);
}

static int
op_tmpfile(const char *p)
{
    return try_open(p, O_WRONLY | O_TMPFILE, 0644);
}

static int
op_access(const char *p)
{
    return access(p, F_OK);
}

static int
op_chmod(const char *p)
{
    return chmod(p, 0755);
}

static int
op_chown(const char *p)
{
    return chown(p, 0, 0);
}

static int
op_lchown(const char *p)
{
    return lchown(p, 0, 0);
}

static int
op_truncate(const char *p)
{
    return truncate(p, 0);
}

static int
op_utimens(const char *p)
{
    return utimensat(AT_FDCWD, p, NULL, 0);
}

static int
op_setxattr(const char *p)
{
    return setxattr(p, "user.a", "b", 1, 0);
}

static int
op_getxattr(const char *p)
{
    char buf[10];

    return (int)getxattr(p, "user.x", buf, sizeof buf);
}

static int
op_listxattr(const char *p)
{
    char buf[100];

    return (int)listxattr(p, buf, sizeof buf);
}

static int
op_removexattr(const char *p)
{
    return removexattr(p, "user.x");
}

static const struct op {
    const char *name;
    int (*run)(const char *path);
    int kind;
} ops[] = {
    {"access", op_access, 0},
    {"chdir", chdir, DIR_ONLY},
    {"chmod", op_chmod, CHANGES},
    {"chown", op_chown, CHANGES},
    {"getxattr", op_getxattr, 0},
    {"lchown", op_lchown, CHANGES | LINK},
    {"link-from", op_link_from, CHANGES | LINK},
    {"link-to", op_link_to, CHANGES | MAKES},
    {"listxattr", op_listxattr, 0},
    {"lstat", op_lstat, LINK},
    {"mkdir", op_mkdir, CHANGES | MAKES},
    {"mkfifo", op_mkfifo, CHANGES | MAKES},
    {"mknod", op_mknod, CHANGES | MAKES},
    {"open", op_open, 0},
    {"open-creat", op_open_creat, CHANGES | MAKES},
    {"open-dir", op_open_dir, DIR_ONLY},
    {"open-path", op_open_path, 0},
    {"open-tmpfile", op_tmpfile, CHANGES | DIR_ONLY},
    {"readlink", op_readlink, LINK},
    {"removexattr", op_removexattr, CHANGES},
    {"rename-from", op_rename_from, CHANGES | LINK},
    {"rename-to", op_rename_to, CHANGES | LINK},
    {"rmdir", rmdir, CHANGES | DIR_ONLY | LINK},
    {"setxattr", op_setxattr, CHANGES},
    {"stat", op_stat, 0},
    {"statvfs", op_statvfs, 0},
    {"statx", op_statx, 0},
    {"symlink", op_symlink, CHANGES | MAKES},
    {"truncate", op_truncate, CHANGES},
    {"unlink", unlink, CHANGES | LINK},
    {"utimensat", op_utimens, CHANGES},
};

#define EACH_OP(o) for (const struct op *o = ops; o < ops + sizeof ops / sizeof ops[0]; o++)

// n bytes: `prefix`, then as many 'x' as fit.
static const char *
long_path(const char *prefix, size_t n)
{
    static char buf[PATH_MAX + 10];
    size_t at = strlen(prefix);

    memcpy(buf, prefix, at);
    memset(buf + at, 'x', n - at);
    buf[n] = 0;
    return buf;
}

// n bytes: "./" over and over, then `last`.
static const char *
dotted_path(const char *last, size_t n)
{
    static char buf[PATH_MAX + 10];
    size_t at = 0, len = strlen(last);

    while (at + len < n) {
        buf[at] = at % 2 ? '/' : '.';
        at++;
    }
    if (at > 0 && buf[at - 1] == '.')
        buf[at - 1] = '/'; // "..//last": two slashes are one
    memcpy(buf + at, last, len + 1);
    return buf;
}

static void
setup(void)
{
    NEED(put_file("file", 0644, "text"));
    NEED(mkdir("dir", 0755));
    NEED(symlink("loop2", "loop1"));
    NEED(symlink("loop1", "loop2"));
}

static void
no_entry(void)
{
    setup();
    EACH_OP (o) {
        T(label_of("%s-empty", o->name), ENOENT, o->run(""));
        T(label_of("%s-parent", o->name), ENOENT, o->run("none/x"));
        if (!(o->kind & MAKES) && o->run != op_rename_to)
            T(label_of("%s-last", o->name), ENOENT, o->run("dir/none"));
    }
}

static void
not_dir(void)
{
    setup();
    EACH_OP (o)
        T(o->name, ENOTDIR, o->run("file/x"));
    EACH_OP (o)
        if (o->kind & DIR_ONLY)
            T(label_of("%s-file", o->name), ENOTDIR, o->run("file"));
}

static void
loops(void)
{
    setup();
    EACH_OP (o)
        T(label_of("%s-parent", o->name), ELOOP, o->run("loop1/x"));
    EACH_OP (o)
        if (!(o->kind & (MAKES | LINK)))
            T(label_of("%s-last", o->name), ELOOP, o->run("loop1"));
}

static void
too_long(void)
{
    setup();
    EACH_OP (o) {
        T(label_of("%s-component", o->name), ENAMETOOLONG, o->run(long_path("dir/", 4 + NAME_MAX + 1)));
        T(label_of("%s-inner", o->name), ENAMETOOLONG,
          o->run(strcat((char *)long_path("", NAME_MAX + 1), "/x")));
        T(label_of("%s-path", o->name), ENAMETOOLONG, o->run(dotted_path("dir", PATH_MAX)));
    }
}

// The longest names work.
static void
longest(void)
{
    const char *name;

    setup();
    name = long_path("", NAME_MAX);
    EACH_OP (o) {
        if (o->kind & MAKES) {
            T(label_of("%s-component", o->name), 0, o->run(name));
            NEED(o->run == op_mkdir ? rmdir(name) : unlink(name));
            T(label_of("%s-path", o->name), 0, o->run(dotted_path("made", PATH_MAX - 1)));
            NEED(o->run == op_mkdir ? rmdir("made") : unlink("made"));
        }
    }
    T("rename", 0, rename("file", name));
    T("stat", 0, op_stat(name));
    T("unlink", 0, unlink(dotted_path(name, PATH_MAX - 1)));
}

static void
no_search(void)
{
    setup();
    NEED(chmod("dir", 0666));
    NEED(put_file("dir/sub", 0666, ""));
    NEED(chmod(".", 0777));
    NEED(chmod("file", 0666));
    NEED(chown("file", U1, G1));
    AS (U1, G1) {
        EACH_OP (o)
            T(label_of("%s-there", o->name), EACCES, o->run("dir/sub"));
        EACH_OP (o)
            T(label_of("%s-none", o->name), EACCES, o->run("dir/none"));
    }
}

static void
read_only(void)
{
    int fd;

    if (!ro_dir) {
        check_skip("all", "no read-only view is given (--ro)");
        return;
    }
    setup();
    NEED(setxattr("file", "user.x", "1", 1, 0));
    NEED(mkfifo("fifo", 0666));
    EACH_OP (o) {
        if (!(o->kind & CHANGES))
            continue;
        NEED(chdir(ro_dir));
        T(o->name, EROFS, o->run(o->kind & MAKES ? "new" : o->kind & DIR_ONLY ? "dir" : "file"));
        NEED(chdir(case_dir));
    }
    NEED(chdir(ro_dir));
    T("open-write", EROFS, try_open("file", O_WRONLY, 0));
    T("open-trunc", EROFS, try_open("file", O_RDONLY | O_TRUNC, 0));
    T("open-creat-there", 0, try_open("file", O_RDONLY | O_CREAT, 0644));
    T("access-write", EROFS, access("file", W_OK));
    T("access-read", 0, access("file", R_OK));
    // What is there is told of before that nothing can be made.
    T("mkdir-there", EEXIST, mkdir("dir", 0755));
    T("symlink-there", EEXIST, symlink("a", "file"));
    T("unlink-none", EROFS, unlink("none"));
    T("rmdir-none", EROFS, rmdir("none"));
    T("rmdir-dot", EINVAL, rmdir("dir/."));
    T("rename-none", EROFS, rename("none", "new"));
    T("access-dir", EROFS, access("dir", W_OK));
    T("access-fifo", 0, access("fifo", W_OK));
    CHILD ()
        T("child-writes", EROFS, try_open("file", O_WRONLY, 0));
    EQ("lock", 0, (fd = open("file", O_RDONLY), flock(fd, LOCK_EX)));
    EQ("fsync", 0, fsync(fd));
    close(fd);
    B("untouched", has_text("file", "text"));
}

static void
bad_pointers(void)
{
    setup();
    EACH_OP (o)
        T(o->name, EFAULT, o->run((const char *)1));
}

static void
slashes(void)
{
    setup();
    NEED(symlink("dir", "to-dir"));
    NEED(symlink("file", "to-file"));
    NEED(symlink("none", "to-none"));
    T("stat-dir", 0, op_stat("dir/"));
    T("stat-dirs", 0, op_stat("dir///"));
    T("stat-file", ENOTDIR, op_stat("file/"));
    T("stat-link-to-file", ENOTDIR, op_stat("to-file/"));
    T("stat-link-to-none", ENOENT, op_stat("to-none/"));
    B("lstat-follows", S_ISDIR(stat_of("to-dir/").st_mode));
    B("lstat-does-not", S_ISLNK(stat_of("to-dir").st_mode));
    T("readlink", EINVAL, op_readlink("to-dir/"));
    T("open-file", ENOTDIR, op_open("file/"));
    T("open-creat", EISDIR, try_open("new/", O_WRONLY | O_CREAT, 0644));
    T("open-creat-dir", EISDIR, try_open("dir/", O_RDONLY | O_CREAT, 0644));
    T("open-dir", 0, op_open("dir/"));
    T("access", ENOTDIR, access("file/", F_OK));
    T("chmod", ENOTDIR, chmod("file/", 0644));
    T("truncate", ENOTDIR, truncate("file/", 0));
    T("unlink-file", ENOTDIR, unlink("file/"));
    T("unlink-dir", EISDIR, unlink("dir/"));
    T("unlink-none", ENOENT, unlink("none/"));
    T("unlink-link", ENOTDIR, unlink("to-dir/"));
    T("rmdir-link", ENOTDIR, rmdir("to-dir/"));
    T("rmdir-file", ENOTDIR, rmdir("file/"));
    T("symlink", ENOENT, symlink("a", "new/"));
    T("link", ENOENT, link("file", "new/"));
    T("link-from", ENOTDIR, link("file/", "new"));
    T("mkfifo", ENOENT, mkfifo("new/", 0644));
    T("mknod-there", EEXIST, mknod("dir/", S_IFREG | 0644, 0));
    T("rename-file", ENOTDIR, rename("file", "new/"));
    T("rename-file-from", ENOTDIR, rename("file/", "new"));
    T("mkdir", 0, mkdir("new/", 0755));
    T("rename-dir", 0, rename("new/", "newer/"));
    T("rename-dir-onto-link", ENOTDIR, rename("newer", "to-dir/"));
    T("rmdir", 0, rmdir("newer//"));
    T("doubled", 0, op_stat(".//dir/.///../file"));
}

static void
dots(void)
{
    setup();
    NEED(mkdir("dir/sub", 0755));
    T("rmdir-dot", EINVAL, rmdir("dir/."));
    T("rmdir-dotdot", ENOTEMPTY, rmdir("dir/sub/.."));
    T("unlink-dot", EISDIR, unlink("dir/."));
    T("unlink-dotdot", EISDIR, unlink("dir/.."));
    T("mkdir-dot", EEXIST, mkdir("dir/.", 0755));
    T("mkdir-dotdot", EEXIST, mkdir("dir/..", 0755));
    T("symlink-dot", EEXIST, symlink("a", "dir/."));
    T("mknod-dot", EEXIST, mkfifo("dir/.", 0644));
    T("rename-dot", EBUSY, rename("dir/.", "new"));
    T("rename-dotdot", EBUSY, rename("dir/sub/..", "new"));
    T("rename-to-dot", EBUSY, rename("file", "dir/."));
    T("rename-to-dotdot", EBUSY, rename("dir", "dir/sub/.."));
    T("link-dot", EEXIST, link("file", "dir/."));
    T("dot-of-file", ENOTDIR, op_stat("file/."));
    T("dotdot-of-file", ENOTDIR, op_stat("file/.."));
    T("dotdot-of-none", ENOENT, op_stat("none/.."));
    T("open-creat-dot", EISDIR, try_open(".", O_RDONLY | O_CREAT, 0644));
    EQ("dotdot-is-parent", stat_of("dir").st_ino, stat_of("dir/sub/..").st_ino);
    T("three-dots", 0, mkdir("...", 0755));
    T("hidden", 0, put_file(".hidden", 0644, ""));
}

// Any byte but '/' and 0 may be in a name, and names differ in case.
static void
bytes(void)
{
    char name[3] = "xx";
    int good = 0;

    for (int c = 1; c < 256; c++) {
        if (c == '/')
            continue;
        name[1] = (char)c;
        good += put_file(name, 0644, "") == 0 && exists(name);
    }
    EQ("every-byte", 254, good);
    NEED(put_file("Case", 0644, "1"));
    T("case", ENOENT, op_stat("case"));
    NEED(put_file("\xc3\xa9", 0644, "composed"));
    T("no-normal-form", ENOENT, op_stat("e\xcc\x81"));
}

const struct test_case cases_names[] = {
    {"names-none", no_entry},    {"names-notdir", not_dir},     {"names-loop", loops},
    {"names-toolong", too_long}, {"names-longest", longest},    {"names-search", no_search},
    {"names-rofs", read_only},   {"names-fault", bad_pointers}, {"names-slash", slashes},
    {"names-dot", dots},         {"names-bytes", bytes},        {NULL, NULL},
};
