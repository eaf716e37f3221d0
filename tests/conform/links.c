// SPDX-License-Identifier: Apache-2.0
// Hard links, unlink, and symbolic links.
#include <limits.h>
#include <sys/sysmacros.h>

#include "conform.h"

static int
make(const char *type, const char *path)
{
    switch (*type) {
    case 'f':
        return put_file(path, 0644, "text");
    case 'p':
        return mkfifo(path, 0644);
    case 's':
        return symlink("none", path);
    case 'c':
        return mknod(path, S_IFCHR | 0644, makedev(1, 3));
    case 'b':
        return mknod(path, S_IFBLK | 0644, makedev(7, 200));
    default:
        return mknod(path, S_IFSOCK | 0644, 0);
    }
}

static const char *const types[] = {"file", "pipe", "symlink", "char", "block", "unix"};
#define N_TYPES (sizeof types / sizeof types[0])

static void
hard(void)
{
    for (size_t i = 0; i < N_TYPES; i++) {
        const char *t = types[i];

        NEED(make(t, "a"));
        EQ(label_of("%s-one", t), 1, stat_of("a").st_nlink);
        T(label_of("%s-link", t), 0, link("a", "b"));
        EQ(label_of("%s-two", t), 2, stat_of("a").st_nlink);
        EQ(label_of("%s-same", t), stat_of("a").st_ino, stat_of("b").st_ino);
        EQ(label_of("%s-type", t), stat_of("a").st_mode, stat_of("b").st_mode);
        T(label_of("%s-there", t), EEXIST, link("a", "b"));
        T(label_of("%s-unlink", t), 0, unlink("a"));
        EQ(label_of("%s-one-again", t), 1, stat_of("b").st_nlink);
        B(label_of("%s-gone", t), !exists("a"));
        NEED(unlink("b"));
    }
}

static void
hard_errors(void)
{
    int fd;

    NEED(put_file("f", 0644, "text"));
    NEED(mkdir("d", 0755));
    NEED(symlink("f", "s"));
    NEED(symlink("d", "sd"));
    NEED(symlink("none", "dangling"));
    T("dir", EPERM, link("d", "new"));
    T("dir-there", EEXIST, link("f", "d"));
    T("dir-onto-file", EEXIST, link("d", "f"));
    T("itself", EEXIST, link("f", "f"));
    T("onto-symlink", EEXIST, link("f", "s"));
    T("onto-dangling", EEXIST, link("f", "dangling"));
    T("symlink", 0, link("s", "new"));
    B("symlink-itself", S_ISLNK(stat_of("new").st_mode));
    T("follow", 0, linkat(AT_FDCWD, "s", AT_FDCWD, "new2", AT_SYMLINK_FOLLOW));
    B("follow-file", S_ISREG(stat_of("new2").st_mode));
    T("follow-dir", EPERM, linkat(AT_FDCWD, "sd", AT_FDCWD, "new3", AT_SYMLINK_FOLLOW));
    T("follow-dangling", ENOENT, linkat(AT_FDCWD, "dangling", AT_FDCWD, "new3", AT_SYMLINK_FOLLOW));
    T("bad-flag", EINVAL, linkat(AT_FDCWD, "f", AT_FDCWD, "new3", AT_SYMLINK_NOFOLLOW));
    NEED(fd = open("f", O_RDONLY));
    T("empty-path", 0, linkat(fd, "", AT_FDCWD, "new4", AT_EMPTY_PATH));
    EQ("empty-path-same", stat_of("f").st_ino, stat_of("new4").st_ino);
    close(fd);
    if (other_dir) {
        char path[PATH_MAX];

        snprintf(path, sizeof path, "%s/linked", other_dir);
        T("other-device", EXDEV, link("f", path));
    } else {
        check_skip("other-device", "no other file system is given (--other)");
    }
}

// Of this machine: proc_sys_fs(5).
static bool
links_protected(void)
{
    char c = '0';
    int fd = open("/proc/sys/fs/protected_hardlinks", O_RDONLY);

    if (fd >= 0 && read(fd, &c, 1) != 1)
        c = '0';
    close(fd);
    return c == '1';
}

// Of another's files, those that one could not write to can't be linked either.
static void
hard_protected(void)
{
    int want = links_protected() ? EPERM : 0;

    NEED(mkdir("open", 0777));
    NEED(mkdir("shut", 0755));
    NEED(put_file("read", 0644, ""));
    NEED(put_file("write", 0666, ""));
    NEED(put_file("setuid", 04777, ""));
    NEED(put_file("setgid", 02777, ""));
    NEED(mkfifo("fifo", 0666));
    NEED(symlink("write", "symlink"));
    AS (U1, G1) {
        T("read", want, link("read", "open/read"));
        T("write", 0, link("write", "open/write"));
        T("setuid", want, link("setuid", "open/setuid"));
        T("setgid", want, link("setgid", "open/setgid"));
        T("fifo", want, link("fifo", "open/fifo"));
        T("symlink", want, link("symlink", "open/symlink"));
        T("there-first", EEXIST, link("read", "open/write"));
        T("before-the-directory", want ? EPERM : EACCES, link("read", "shut/read"));
    }
    T("root", 0, link("read", "open/root"));
}

static void
hard_who(void)
{
    NEED(put_file("mine", 0600, ""));
    NEED(chown("mine", U1, G1));
    NEED(mkdir("shut", 0755));
    NEED(mkdir("open", 0777));
    AS (U1, G1) {
        T("no-write", EACCES, link("mine", "shut/new"));
        T("write", 0, link("mine", "open/new"));
        T("there-first", EEXIST, link("mine", "open/new"));
        T("unlink-no-write", EACCES, unlink("mine"));
        T("unlink", 0, unlink("open/new"));
        T("unlink-none", ENOENT, unlink("shut/none"));
        // The error of the name comes before that of the permission.
        T("shut-there", EEXIST, link("mine", "shut"));
    }
}

static void
removal(void)
{
    char buf[8];
    struct stat st;
    int fd, fd2;

    NEED(mkdir("d", 0755));
    T("dir", EISDIR, unlink("d"));
    T("dir-at", EISDIR, unlinkat(AT_FDCWD, "d", 0));
    T("none", ENOENT, unlink("none"));
    T("bad-flag", EINVAL, unlinkat(AT_FDCWD, "none", 0x40000000));
    NEED(symlink("d", "s"));
    T("symlink-to-dir", 0, unlink("s"));
    B("symlink-target-stays", exists("d"));
    NEED(put_file("f", 0644, "text"));
    NEED(fd = open("f", O_RDWR));
    T("open-file", 0, unlink("f"));
    T("open-file-stat", 0, fstat(fd, &st));
    EQ("open-file-nlink", 0, st.st_nlink);
    EQ("open-file-size", 4, st.st_size);
    EQ("open-file-read", 4, pread(fd, buf, sizeof buf, 0));
    T("open-file-write", 0, pwrite(fd, "more", 4, 4));
    NEED(fstat(fd, &st));
    EQ("open-file-grown", 8, st.st_size);
    T("open-file-truncate", 0, ftruncate(fd, 2));
    T("open-file-chmod", 0, fchmod(fd, 0600));
    NEED(put_file("f", 0644, "another"));
    EQ("open-file-still", 2, pread(fd, buf, sizeof buf, 0));
    NEED(fd2 = dup(fd));
    close(fd);
    EQ("open-file-dup", 2, pread(fd2, buf, sizeof buf, 0));
    CHILD ()
        EQ("open-file-child", 2, pread(fd2, buf, sizeof buf, 0));
    T("no-name-to-link", ENOENT, linkat(fd2, "", AT_FDCWD, "again", AT_EMPTY_PATH));
    close(fd2);
    B("other-stays", has_text("f", "another"));
    T("twice", 0, unlink("f"));
    T("twice-gone", ENOENT, unlink("f"));
}

static void
open_dir_removed(void)
{
    struct stat st;
    int fd;

    NEED(mkdir("d", 0755));
    NEED(fd = open("d", O_RDONLY | O_DIRECTORY));
    T("rmdir", 0, rmdir("d"));
    T("stat", 0, fstat(fd, &st));
    EQ("nlink", 0, st.st_nlink);
    T("make-in-it", ENOENT, mkdirat(fd, "x", 0755));
    T("open-in-it", ENOENT, openat(fd, "x", O_WRONLY | O_CREAT, 0644));
    T("dot", 0, openat(fd, ".", O_RDONLY));
    close(fd);
    NEED(mkdir("d", 0755));
    CHILD () {
        char buf[PATH_MAX];

        NEED(chdir("d"));
        NEED(rmdir("../d"));
        T("cwd-make", ENOENT, mkdir("x", 0755));
        T("cwd-stat", 0, stat(".", &st));
        errno = 0;
        B("getcwd", getcwd(buf, sizeof buf) == NULL && errno == ENOENT);
        T("cwd-dotdot", 0, stat("..", &st));
    }
}

static void
symbolic(void)
{
    static char text[PATH_MAX + 10];
    char buf[PATH_MAX + 10];
    int fd;

    T("make", 0, symlink("target/of it", "s"));
    EQ("size", 12, stat_of("s").st_size);
    EQ("mode", S_IFLNK | 0777, stat_of("s").st_mode);
    EQ("nlink", 1, stat_of("s").st_nlink);
    EQ("read", 12, readlink("s", buf, sizeof buf));
    B("text", memcmp(buf, "target/of it", 12) == 0);
    EQ("read-short", 3, readlink("s", buf, 3));
    T("read-zero", EINVAL, readlink("s", buf, 0));
    T("there", EEXIST, symlink("x", "s"));
    NEED(mkdir("d", 0755));
    T("there-dir", EEXIST, symlink("x", "d"));
    T("read-dir", EINVAL, readlink("d", buf, sizeof buf));
    T("empty-text", ENOENT, symlink("", "e"));
    memset(text, 'y', sizeof text);
    text[PATH_MAX - 1] = 0;
    T("longest-text", 0, symlink(text, "l"));
    EQ("longest-read", PATH_MAX - 1, readlink("l", buf, sizeof buf));
    B("longest-same", memcmp(buf, text, PATH_MAX - 1) == 0);
    text[PATH_MAX - 1] = 'y';
    text[PATH_MAX] = 0;
    T("too-long-text", ENAMETOOLONG, symlink(text, "m"));
    NEED(fd = open("s", O_PATH | O_NOFOLLOW));
    EQ("readlinkat-empty", 12, readlinkat(fd, "", buf, sizeof buf));
    close(fd);
    AS (U1, G1)
        T("no-write", EACCES, symlink("x", "n"));
    T("unlink", 0, unlink("s"));
}

// Names on the way: chains, links in the middle, absolute ones, the limit of 40.
static void
follows(void)
{
    char name[20], text[PATH_MAX + 20];
    struct stat st;

    NEED(mkdir("d", 0755));
    NEED(put_file("d/f", 0644, "text"));
    NEED(symlink("d", "s"));
    B("middle", has_text("s/f", "text"));
    NEED(symlink("../d/f", "d/up"));
    B("relative-to-its-dir", has_text("s/up", "text"));
    snprintf(text, sizeof text, "%s/d/f", case_dir);
    NEED(symlink(text, "abs"));
    B("absolute", has_text("abs", "text"));
    snprintf(text, sizeof text, "%s/d", case_dir);
    NEED(symlink(text, "absd"));
    B("absolute-middle", has_text("absd/f", "text"));
    B("dotdot-after-link", has_text("absd/../d/f", "text"));
    NEED(symlink("d/f", "c0"));
    for (int i = 1; i <= 41; i++) {
        char before[20];

        snprintf(before, sizeof before, "c%d", i - 1);
        snprintf(name, sizeof name, "c%d", i);
        NEED(symlink(before, name));
    }
    T("chain-of-40", 0, stat("c39", &st));
    T("chain-of-41", ELOOP, stat("c40", &st));
    NEED(symlink(".", "here"));
    *text = 0;
    for (int i = 0; i < 40; i++)
        strcat(text, "here/");
    T("40-in-a-path", 0, stat(strcat(text, "d"), &st));
    strcpy(text + strlen(text) - 1, "here/d");
    T("41-in-a-path", ELOOP, stat(text, &st));
    NEED(symlink("made", "to-made"));
    T("create-through", 0, try_open("to-made", O_WRONLY | O_CREAT, 0644));
    B("created", S_ISREG(stat_of("made").st_mode));
    NEED(symlink("made-dir", "to-made-dir"));
    T("mkdir-through", EEXIST, mkdir("to-made-dir", 0755));
    NEED(mkdir("shut", 0700));
    NEED(symlink("../d/f", "shut/s"));
    NEED(symlink("shut/s", "via"));
    AS (U1, G1)
        T("no-search-on-the-way", EACCES, stat("via", &st));
    if (other_dir) {
        snprintf(name, sizeof name, "out-%d", (int)getpid() % 100000);
        snprintf(text, sizeof text, "%s/%s", other_dir, name);
        NEED(put_file(text, 0644, "outside"));
        NEED(symlink(text, "out"));
        B("out-of-the-file-system", has_text("out", "outside"));
        NEED(unlink(text));
        NEED(symlink(case_dir, text));
        strcat(text, "/d/f");
        B("into-the-file-system", has_text(text, "text"));
        *strstr(text, "/d/f") = 0;
        NEED(unlink(text));
    }
}

const struct test_case cases_links[] = {
    {"link", hard},         {"link-errors", hard_errors},
    {"link-who", hard_who}, {"link-protected", hard_protected},
    {"unlink", removal},    {"rmdir-open", open_dir_removed},
    {"symlink", symbolic},  {"symlink-follow", follows},
    {NULL, NULL},
};
