// SPDX-License-Identifier: Apache-2.0
// rename and renameat2: every pair of types, what it does to links and times, who may.
#include <limits.h>

#include "conform.h"

static const char *const types[] = {"file", "dir", "full", "symlink", "fifo"};
enum { FILE_, DIR_, FULL, SYMLINK_, FIFO, N_TYPES };

static void
make(int type, const char *path)
{
    switch (type) {
    case FILE_:
        NEED(put_file(path, 0644, "text"));
        break;
    case DIR_:
        NEED(mkdir(path, 0755));
        break;
    case FULL:
        NEED(mkdir(path, 0755));
        NEED(put_file(label_of("%s/in", path), 0644, ""));
        break;
    case SYMLINK_:
        NEED(symlink("none", path));
        break;
    default:
        NEED(mkfifo(path, 0644));
    }
}

static bool
is_dir(int type)
{
    return type == DIR_ || type == FULL;
}

static int
want(int from, int to)
{
    if (is_dir(from))
        return !is_dir(to) ? ENOTDIR : to == FULL ? ENOTEMPTY : 0;
    return is_dir(to) ? EISDIR : 0;
}

// Each type onto each, with three sets of flags.
static void
pairs(void)
{
    char l[60];

    for (int from = 0; from < N_TYPES; from++) {
        for (int to = 0; to < N_TYPES; to++) {
            ino_t a, b;

            snprintf(l, sizeof l, "%s-onto-%s", types[from], types[to]);
            NEED(mkdir(l, 0755));
            NEED(chdir(l));
            make(from, "a");
            make(to, "b");
            a = stat_of("a").st_ino;
            b = stat_of("b").st_ino;
            T(label_of("%s-noreplace", l), EEXIST, renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE));
            T(label_of("%s-exchange", l), 0, renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_EXCHANGE));
            B(label_of("%s-exchanged", l), stat_of("a").st_ino == b && stat_of("b").st_ino == a);
            NEED(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_EXCHANGE));
            T(l, want(from, to), rename("a", "b"));
            if (want(from, to) == 0)
                B(label_of("%s-replaced", l), stat_of("b").st_ino == a && !exists("a"));
            else
                B(label_of("%s-unchanged", l), stat_of("b").st_ino == b && stat_of("a").st_ino == a);
            NEED(chdir(".."));
        }
    }
}

static void
fresh(void)
{
    for (int t = 0; t < N_TYPES; t++) {
        ino_t ino;

        make(t, "a");
        ino = stat_of("a").st_ino;
        T(types[t], 0, rename("a", types[t]));
        EQ(label_of("%s-same", types[t]), ino, stat_of(types[t]).st_ino);
        T(label_of("%s-noreplace", types[t]), 0,
          renameat2(AT_FDCWD, types[t], AT_FDCWD, label_of("%s2", types[t]), RENAME_NOREPLACE));
        T(label_of("%s-exchange-none", types[t]), ENOENT,
          renameat2(AT_FDCWD, label_of("%s2", types[t]), AT_FDCWD, "none", RENAME_EXCHANGE));
    }
    B("tree-came-along", exists("full2/in"));
}

static void
special(void)
{
    struct stat st;
    int fd, dir;

    NEED(put_file("f", 0644, "text"));
    NEED(link("f", "hard"));
    T("itself", 0, rename("f", "f"));
    T("other-name-of-it", 0, rename("f", "hard"));
    B("both-stay", exists("f") && exists("hard"));
    T("exchange-itself", 0, renameat2(AT_FDCWD, "f", AT_FDCWD, "f", RENAME_EXCHANGE));
    T("noreplace-itself", EEXIST, renameat2(AT_FDCWD, "f", AT_FDCWD, "f", RENAME_NOREPLACE));
    T("none", ENOENT, rename("none", "x"));
    NEED(mkdir("d", 0755));
    NEED(mkdir("d/sub", 0755));
    NEED(mkdir("d/sub/subsub", 0755));
    T("into-itself", EINVAL, rename("d", "d/new"));
    T("into-below", EINVAL, rename("d", "d/sub/new"));
    T("onto-below", EINVAL, rename("d", "d/sub/subsub"));
    T("onto-ancestor", ENOTEMPTY, rename("d/sub/subsub", "d"));
    T("onto-parent", ENOTEMPTY, rename("d/sub", "d"));
    T("exchange-ancestor", EINVAL, renameat2(AT_FDCWD, "d", AT_FDCWD, "d/sub/subsub", RENAME_EXCHANGE));
    T("both-flags", EINVAL, renameat2(AT_FDCWD, "f", AT_FDCWD, "g", RENAME_EXCHANGE | RENAME_NOREPLACE));
    T("unknown-flag", EINVAL, renameat2(AT_FDCWD, "f", AT_FDCWD, "g", 1u << 20));
    NEED(symlink("f", "s"));
    T("symlink-itself", 0, rename("s", "s2"));
    B("symlink-moved", S_ISLNK(stat_of("s2").st_mode) && exists("f"));
    // An open file keeps its content when its name goes to another.
    NEED(put_file("old", 0644, "old"));
    NEED(put_file("new", 0644, "newer"));
    NEED(fd = open("old", O_RDONLY));
    T("over-open", 0, rename("new", "old"));
    NEED(fstat(fd, &st));
    EQ("over-open-nlink", 0, st.st_nlink);
    EQ("over-open-size", 3, st.st_size);
    B("over-open-new", has_text("old", "newer"));
    close(fd);
    // An open directory goes on working at its new place.
    NEED(dir = open("d/sub", O_RDONLY | O_DIRECTORY));
    T("open-dir", 0, rename("d/sub", "moved"));
    T("open-dir-make", 0, mkdirat(dir, "made", 0755));
    B("open-dir-made", exists("moved/made"));
    close(dir);
    if (other_dir)
        T("other-device", EXDEV, rename("f", label_of("%s/f", other_dir)));
    else
        check_skip("other-device", "no other file system is given (--other)");
}

static void
link_counts(void)
{
    struct stat d1, d2;

    NEED(mkdir("a", 0755));
    NEED(mkdir("b", 0755));
    NEED(mkdir("a/d", 0755));
    NEED(mkdir("b/e", 0755));
    d1 = stat_of("a");
    T("move", 0, rename("a/d", "b/d"));
    EQ("from", d1.st_nlink - 1, stat_of("a").st_nlink);
    EQ("to", 4, stat_of("b").st_nlink);
    EQ("dotdot", stat_of("b").st_ino, stat_of("b/d/..").st_ino);
    T("within", 0, rename("b/d", "b/e"));
    EQ("within-is", 3, stat_of("b").st_nlink);
    NEED(put_file("a/f", 0644, ""));
    T("exchange", 0, renameat2(AT_FDCWD, "a/f", AT_FDCWD, "b/e", RENAME_EXCHANGE));
    EQ("exchange-a", 3, stat_of("a").st_nlink);
    EQ("exchange-b", 2, stat_of("b").st_nlink);
    EQ("exchange-dotdot", stat_of("a").st_ino, stat_of("a/f/..").st_ino);
    NEED(put_file("f", 0644, ""));
    NEED(link("f", "f2"));
    NEED(put_file("g", 0644, ""));
    T("replace-linked", 0, rename("g", "f"));
    EQ("replaced-nlink", 1, stat_of("f2").st_nlink);
    d2 = stat_of("f");
    EQ("replacing-nlink", 1, d2.st_nlink);
}

static void
times(void)
{
    struct stat file, from, to;

    NEED(mkdir("from", 0755));
    NEED(mkdir("to", 0755));
    NEED(put_file("from/f", 0644, "x"));
    file = stat_of("from/f");
    from = stat_of("from");
    to = stat_of("to");
    next_instant();
    T("move", 0, rename("from/f", "to/f"));
    B("from-mtime", time_before(from.st_mtim, stat_of("from").st_mtim));
    B("from-ctime", time_before(from.st_ctim, stat_of("from").st_ctim));
    B("to-mtime", time_before(to.st_mtim, stat_of("to").st_mtim));
    B("to-ctime", time_before(to.st_ctim, stat_of("to").st_ctim));
    B("file-ctime", time_before(file.st_ctim, stat_of("to/f").st_ctim));
    B("file-mtime", times_equal(file.st_mtim, stat_of("to/f").st_mtim));
    to = stat_of("to");
    next_instant();
    T("fails", ENOENT, rename("to/none", "to/x"));
    B("failure-changes-nothing", times_equal(to.st_mtim, stat_of("to").st_mtim));
}

static void
who(void)
{
    NEED(mkdir("shut", 0755));
    NEED(mkdir("open", 0777));
    NEED(mkdir("shut/theirs", 0755));
    NEED(mkdir("open/theirs", 0755));
    NEED(put_file("shut/f", 0666, ""));
    NEED(put_file("open/f", 0600, ""));
    NEED(mkdir("open/mine", 0755));
    NEED(chown("open/mine", U1, G1));
    AS (U1, G1) {
        T("from-shut", EACCES, rename("shut/f", "open/new"));
        T("to-shut", EACCES, rename("open/f", "shut/new"));
        T("onto-in-shut", EACCES, rename("open/f", "shut/f"));
        T("anothers-file", 0, rename("open/f", "open/g"));
        T("anothers-dir-in-place", 0, rename("open/theirs", "open/theirs2"));
        // A directory that moves gets another "..": one has to be allowed to write to it.
        T("anothers-dir-away", EACCES, rename("open/theirs2", "open/mine/theirs"));
        T("own-dir", 0, rename("open/mine", "open/mine2"));
        T("exchange-shut", EACCES, renameat2(AT_FDCWD, "open/g", AT_FDCWD, "shut/f", RENAME_EXCHANGE));
        T("none-in-shut", ENOENT, rename("shut/none", "open/x"));
        T("noreplace-in-shut", EEXIST, renameat2(AT_FDCWD, "open/g", AT_FDCWD, "shut/f", RENAME_NOREPLACE));
    }
}

const struct test_case cases_rename[] = {
    {"rename-pairs", pairs},
    {"rename", fresh},
    {"rename-special", special},
    {"rename-nlink", link_counts},
    {"rename-times", times},
    {"rename-who", who},
    {NULL, NULL},
};
