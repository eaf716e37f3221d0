// SPDX-License-Identifier: Apache-2.0
// utimensat and its kin, and the three times of the file and of its parent after each kind of call.
#include <sys/time.h>
#include <sys/xattr.h>
#include <time.h>
#include <utime.h>

#include "conform.h"

#define OMIT                                                                                                 \
    {                                                                                                        \
        0, UTIME_OMIT                                                                                        \
    }
#define NOW                                                                                                  \
    {                                                                                                        \
        0, UTIME_NOW                                                                                         \
    }

static bool
is_time(struct timespec t, time_t sec, long nsec)
{
    return t.tv_sec == sec && t.tv_nsec == nsec;
}

static void
sets(void)
{
    static const struct timespec both[2] = {{100000001, 1}, {200000002, 999999999}};
    static const struct timespec atime_only[2] = {{300, 5}, OMIT}, mtime_only[2] = {OMIT, {400, 6}};
    static const struct timespec none[2] = {OMIT, OMIT}, old[2] = {{-1, 0}, {-1000000, 500}};
    static const struct timespec far[2] = {{5000000000, 0}, {4294967296, 123}};
    static const struct timespec bad[2] = {{1, 1000000000}, {1, 0}}, bad2[2] = {{1, 0}, {1, -3}};
    struct timespec began;
    struct stat st;
    int fd;

    NEED(put_file("f", 0644, ""));
    T("both", 0, utimensat(AT_FDCWD, "f", both, 0));
    st = stat_of("f");
    B("both-atime", is_time(st.st_atim, 100000001, 1));
    B("both-mtime", is_time(st.st_mtim, 200000002, 999999999));
    T("atime-only", 0, utimensat(AT_FDCWD, "f", atime_only, 0));
    st = stat_of("f");
    B("atime-only-is", is_time(st.st_atim, 300, 5) && is_time(st.st_mtim, 200000002, 999999999));
    T("mtime-only", 0, utimensat(AT_FDCWD, "f", mtime_only, 0));
    st = stat_of("f");
    B("mtime-only-is", is_time(st.st_atim, 300, 5) && is_time(st.st_mtim, 400, 6));
    next_instant();
    T("neither", 0, utimensat(AT_FDCWD, "f", none, 0));
    B("neither-ctime", times_equal(st.st_ctim, stat_of("f").st_ctim));
    next_instant();
    T("ctime", 0, utimensat(AT_FDCWD, "f", both, 0));
    B("ctime-moves", time_before(st.st_ctim, stat_of("f").st_ctim));
    T("before-1970", 0, utimensat(AT_FDCWD, "f", old, 0));
    st = stat_of("f");
    B("before-1970-is", is_time(st.st_atim, -1, 0) && is_time(st.st_mtim, -1000000, 500));
    T("after-2038", 0, utimensat(AT_FDCWD, "f", far, 0));
    st = stat_of("f");
    B("after-2038-is", is_time(st.st_atim, 5000000000, 0) && is_time(st.st_mtim, 4294967296, 123));
    T("bad-nanoseconds", EINVAL, utimensat(AT_FDCWD, "f", bad, 0));
    T("bad-nanoseconds-2", EINVAL, utimensat(AT_FDCWD, "f", bad2, 0));
    T("bad-flag", EINVAL, utimensat(AT_FDCWD, "f", both, 0x40000000));
    clock_gettime(CLOCK_REALTIME_COARSE, &began);
    T("now", 0, utimensat(AT_FDCWD, "f", NULL, 0));
    st = stat_of("f");
    B("now-is", !time_before(st.st_atim, began) && times_equal(st.st_atim, st.st_mtim));
    NEED(fd = open("f", O_RDONLY));
    T("futimens", 0, futimens(fd, both));
    B("futimens-is", is_time(stat_of("f").st_mtim, 200000002, 999999999));
    close(fd);
    T("bad-fd", EBADF, futimens(fd, both));
    T("utimes", 0, utimes("f", (struct timeval[2]){{5, 6}, {7, 8}}));
    B("utimes-is", is_time(stat_of("f").st_mtim, 7, 8000));
    T("utimes-bad", EINVAL, utimes("f", (struct timeval[2]){{5, 6}, {7, 1000000}}));
    T("utime", 0, utime("f", &(struct utimbuf){11, 12}));
    B("utime-is", is_time(stat_of("f").st_atim, 11, 0) && is_time(stat_of("f").st_mtim, 12, 0));
    NEED(symlink("f", "s"));
    T("symlink-itself", 0, utimensat(AT_FDCWD, "s", both, AT_SYMLINK_NOFOLLOW));
    B("symlink-is", is_time(stat_of("s").st_mtim, 200000002, 999999999));
    B("target-is-not", is_time(stat_of("f").st_mtim, 12, 0));
    NEED(mkdir("d", 0755));
    T("dir", 0, utimensat(AT_FDCWD, "d", both, 0));
    B("dir-is", is_time(stat_of("d").st_mtim, 200000002, 999999999));
}

static void
who(void)
{
    static const struct timespec both[2] = {{1, 1}, {2, 2}}, now[2] = {NOW, NOW}, mixed[2] = {NOW, OMIT};
    static const struct timespec none[2] = {OMIT, OMIT};
    static const struct {
        const char *name;
        const struct timespec *ts;
        int owner, writer, reader;
    } rows[] = {{"set", both, 0, EPERM, EPERM},
                {"null", NULL, 0, 0, EACCES},
                {"now", now, 0, 0, EACCES},
                {"now-omit", mixed, 0, EPERM, EPERM},
                {"omit", none, 0, 0, 0}};

    NEED(put_file("f", 0464, ""));
    NEED(chown("f", U1, G1));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        AS (U1, G2)
            T(label_of("%s-owner", rows[i].name), rows[i].owner, utimensat(AT_FDCWD, "f", rows[i].ts, 0));
        AS (U2, G1)
            T(label_of("%s-writer", rows[i].name), rows[i].writer, utimensat(AT_FDCWD, "f", rows[i].ts, 0));
        AS (U2, G2)
            T(label_of("%s-reader", rows[i].name), rows[i].reader, utimensat(AT_FDCWD, "f", rows[i].ts, 0));
    }
}

enum { ATIME = 1, MTIME = 2, CTIME = 4 };

// Which times of `path` a call has moved.
static int
moved(const char *path, struct stat before)
{
    struct stat now = stat_of(path);

    return (time_before(before.st_atim, now.st_atim) ? ATIME : 0) |
           (time_before(before.st_mtim, now.st_mtim) ? MTIME : 0) |
           (time_before(before.st_ctim, now.st_ctim) ? CTIME : 0);
}

static int
do_write(void)
{
    int fd = open("d/f", O_WRONLY);
    int r = (int)write(fd, "xx", 2);

    close(fd);
    return r;
}

static int
do_chmod(void)
{
    return chmod("d/f", 0640);
}

static int
do_chown(void)
{
    return chown("d/f", U1, G1);
}

static int
do_link(void)
{
    return link("d/f", "d/linked");
}

static int
do_unlink(void)
{
    return unlink("d/linked");
}

static int
do_create(void)
{
    return try_open("d/new", O_WRONLY | O_CREAT, 0644);
}

static int
do_open(void)
{
    return try_open("d/f", O_RDWR | O_CREAT, 0644);
}

static int
do_remove(void)
{
    return unlink("d/new");
}

static int
do_mkdir(void)
{
    return mkdir("d/sub", 0755);
}

static int
do_rmdir(void)
{
    return rmdir("d/sub");
}

static int
do_mkfifo(void)
{
    return mkfifo("d/p", 0644);
}

static int
do_symlink(void)
{
    return symlink("f", "d/s");
}

static int
do_rename(void)
{
    return rename("d/p", "d/q");
}

static int
do_setxattr(void)
{
    return setxattr("d/f", "user.a", "b", 1, 0);
}

static int
do_removexattr(void)
{
    return removexattr("d/f", "user.a");
}

static int
do_fallocate(void)
{
    int fd = open("d/f", O_WRONLY);
    int r = fallocate(fd, 0, 0, 10000);

    close(fd);
    return r;
}

static int
do_punch(void)
{
    int fd = open("d/f", O_WRONLY);
    int r = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 8192);

    close(fd);
    return r;
}

static int
do_write_nothing(void)
{
    int fd = open("d/f", O_WRONLY);
    int r = (int)write(fd, "", 0);

    close(fd);
    return r;
}

static int
do_read(void)
{
    char buf[100];
    int fd = open("d/f", O_RDONLY);
    int r = (int)read(fd, buf, sizeof buf);

    close(fd);
    return r;
}

static int
do_fail(void)
{
    return mkdir("d/f", 0755) == -1 && rmdir("d/none") == -1 && unlink("d") == -1 ? 0 : -1;
}

// atime of a file that is read depends on the mount (relatime): not looked at but in its own case.
static void
moves(void)
{
    static const struct {
        const char *name;
        int (*run)(void);
        int file, parent;
    } rows[] = {
        {"write", do_write, MTIME | CTIME, 0},
        {"chmod", do_chmod, CTIME, 0},
        {"chown", do_chown, CTIME, 0},
        {"link", do_link, CTIME, MTIME | CTIME},
        {"unlink", do_unlink, CTIME, MTIME | CTIME},
        {"create", do_create, 0, MTIME | CTIME},
        {"remove", do_remove, 0, MTIME | CTIME},
        {"mkdir", do_mkdir, 0, MTIME | CTIME},
        {"rmdir", do_rmdir, 0, MTIME | CTIME},
        {"mkfifo", do_mkfifo, 0, MTIME | CTIME},
        {"symlink", do_symlink, 0, MTIME | CTIME},
        {"rename", do_rename, 0, MTIME | CTIME},
        {"setxattr", do_setxattr, CTIME, 0},
        {"removexattr", do_removexattr, CTIME, 0},
        {"fallocate", do_fallocate, MTIME | CTIME, 0},
        {"punch", do_punch, MTIME | CTIME, 0},
        {"write-nothing", do_write_nothing, 0, 0},
        {"open-creat-there", do_open, 0, 0},
        {"read", do_read, 0, 0},
        {"failures", do_fail, 0, 0},
    };

    NEED(mkdir("d", 0755));
    NEED(put_file("d/f", 0644, "text"));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct stat file = stat_of("d/f"), parent = stat_of("d");

        next_instant();
        T(rows[i].name, 0, rows[i].run());
        EQ(label_of("%s-file", rows[i].name), rows[i].file, moved("d/f", file) & (MTIME | CTIME));
        EQ(label_of("%s-parent", rows[i].name), rows[i].parent, moved("d", parent) & (MTIME | CTIME));
    }
}

// A new file's three times are those of its making, and its parent's are not older.
static void
birth(void)
{
    struct timespec began;
    struct stat st, dir;
    struct statx sx;

    clock_gettime(CLOCK_REALTIME_COARSE, &began);
    NEED(put_file("f", 0644, ""));
    st = stat_of("f");
    dir = stat_of(".");
    B("not-in-the-past", !time_before(st.st_atim, began) && !time_before(st.st_mtim, began));
    B("parent", !time_before(dir.st_mtim, began));
    T("statx", 0, statx(AT_FDCWD, "f", 0, STATX_BASIC_STATS | STATX_BTIME, &sx));
    B("btime-told", sx.stx_mask & STATX_BTIME);
    B("btime", sx.stx_btime.tv_sec >= began.tv_sec && sx.stx_btime.tv_sec <= st.st_ctim.tv_sec);
    EQ("statx-ino", st.st_ino, sx.stx_ino);
    EQ("statx-mode", st.st_mode, sx.stx_mode);
    EQ("statx-nlink", st.st_nlink, sx.stx_nlink);
}

// Reading moves an access time that is older than the modification time (relatime does, and strictatime).
static void
atime(void)
{
    static const struct timespec old[2] = {{1000, 0}, {2000, 0}};
    char c;
    int fd;

    NEED(put_file("f", 0644, "text"));
    NEED(utimensat(AT_FDCWD, "f", old, 0));
    NEED(fd = open("f", O_RDONLY | O_NOATIME));
    NEED(read(fd, &c, 1));
    close(fd);
    B("noatime", is_time(stat_of("f").st_atim, 1000, 0));
    NEED(fd = open("f", O_RDONLY));
    B("open-alone", is_time(stat_of("f").st_atim, 1000, 0));
    NEED(read(fd, &c, 1));
    close(fd);
    B("read", time_before(old[1], stat_of("f").st_atim));
    B("read-mtime", is_time(stat_of("f").st_mtim, 2000, 0));
    // The same where the kernel has no page of the file.
    NEED(utimensat(AT_FDCWD, "f", old, 0));
    NEED(fd = open("f", O_RDWR));
    NEED(fsync(fd));
    NEED(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
    NEED(read(fd, &c, 1));
    close(fd);
    B("read-from-disk", time_before(old[1], stat_of("f").st_atim));
}

const struct test_case cases_times[] = {
    {"utimensat", sets},    {"utimensat-who", who}, {"times", moves},
    {"times-birth", birth}, {"times-atime", atime}, {NULL, NULL},
};
