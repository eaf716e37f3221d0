// SPDX-License-Identifier: Apache-2.0
// stat in its forms, access, modes, owners, times, truncate; and extended attributes.
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <utime.h>

#include "tests/route/paths.h"

static void
stats(int dir, int fd)
{
    struct stat st;
    struct statx x;

    T(stat("f", &st));
    show_stat("stat f", &st);
    T(stat("l", &st));
    show_stat("stat l", &st);
    T(lstat("l", &st));
    show_stat("lstat l", &st);
    T(stat("dangling", &st));
    T(stat("", &st));
    T(stat("f/", &st));
    T(stat("f/x", &st));
    T(fstat(fd, &st));
    show_stat("fstat f", &st);
    T(fstatat(dir, "f", &st, 0));
    T(fstatat(dir, "l", &st, AT_SYMLINK_NOFOLLOW));
    show_stat("fstatat l", &st);
    T(fstatat(fd, "", &st, AT_EMPTY_PATH));
    show_stat("fstatat empty", &st);
    T(fstatat(fd, "", &st, 0));
    T(fstatat(fd, "x", &st, 0));
    T(fstatat(dir, "f", &st, 0x40000));
    T(fstatat(12345, "f", &st, 0));
    T(statx(dir, "f", AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME, &x));
    trace("statx mode %o nlink %u size %llu btime %s mask %x", x.stx_mode, x.stx_nlink, (long long)x.stx_size,
          x.stx_btime.tv_sec > 1000000000 ? "set" : "none", x.stx_mask & (STATX_BASIC_STATS | STATX_BTIME));
    T(statx(fd, "", AT_EMPTY_PATH, STATX_SIZE, &x));
    trace("statx empty size %llu", (long long)x.stx_size);
    T(statx(dir, "none", 0, STATX_SIZE, &x));
    T(statx(dir, "f", AT_STATX_DONT_SYNC, STATX_ALL, &x));
    T(statx(dir, "f", AT_STATX_SYNC_TYPE, STATX_ALL, &x));
    T(statx(dir, "f", 0, STATX__RESERVED, &x));
    stat("f", &st);
    T(makedev(x.stx_dev_major, x.stx_dev_minor) == st.st_dev);
}

static void
accesses(int dir)
{
    T(access("f", F_OK));
    T(access("f", R_OK | W_OK));
    T(access("f", X_OK));
    T(access("none", F_OK));
    T(access("f", 64));
    T(access("l", R_OK));
    T(access("dangling", F_OK));
    T(faccessat(dir, "f", X_OK, AT_EACCESS));
    T(faccessat(dir, "dangling", F_OK, AT_SYMLINK_NOFOLLOW));
    T(eaccess("f", R_OK));
    T(euidaccess("f", X_OK));
    T(access(".", X_OK));
}

static void
modes(int dir, int fd)
{
    T(chmod("f", 0600));
    show("f");
    T(chmod("l", 0644));
    show("f");
    T(fchmod(fd, 0751));
    show("f");
    T(fchmodat(dir, "f", 04755, 0));
    show("f");
    T(chmod("none", 0600));
    T(chmod("d", 01777));
    show("d");
    T(chown("f", 1234, 4321));
    show("f");
    T(lchown("l", 55, (gid_t)-1));
    show("l");
    show("f");
    T(fchown(fd, (uid_t)-1, 7));
    show("f");
    T(fchownat(dir, "l", 1, 2, AT_SYMLINK_NOFOLLOW));
    show("l");
    T(fchownat(fd, "", 3, 4, AT_EMPTY_PATH));
    show("f");
    T(fchownat(dir, "f", 3, 4, 0x40000));
    T(chown("dangling", 1, 1));
    T(chown("f", (uid_t)-1, (gid_t)-1));
    show("f");
}

static void
show_times(const char *path)
{
    struct stat st;

    if (lstat(path, &st) == 0)
        trace("%s: atime %lld.%09ld mtime %lld.%09ld", path, (long long)st.st_atim.tv_sec, st.st_atim.tv_nsec,
              (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
}

static void
times(int dir, int fd)
{
    struct timespec ts[2] = {{1000000000, 123456789}, {1100000000, 987654321}};
    struct timeval tv[2] = {{1200000000, 111}, {1300000000, 222}};
    struct timespec bad[2] = {{1, 1000000000}, {1, 0}};
    struct timespec omit[2] = {{5, UTIME_OMIT}, {1400000000, 7}};
    struct utimbuf ub = {1500000000, 1600000000};
    const char *none;
    struct stat st;

    T(utimensat(dir, "f", ts, 0));
    show_times("f");
    T(utimensat(dir, "l", ts, AT_SYMLINK_NOFOLLOW));
    show_times("l");
    T(futimens(fd, omit));
    show_times("f");
    T(utimensat(dir, "f", bad, 0));
    T(utimensat(dir, "f", ts, 0x40000));
    __asm__("" : "=r"(none) : "0"(NULL)); // the header says that it is never NULL
    T(utimensat(fd, none, ts, 0));
    T(utimes("f", tv));
    show_times("f");
    T(lutimes("l", tv));
    show_times("l");
    T(futimes(fd, tv));
    T(futimesat(dir, "f", tv));
    tv[0].tv_usec = 1000000;
    T(utimes("f", tv));
    T(utime("f", &ub));
    show_times("f");
    T(utime("none", &ub));
    T(utime("f", NULL));
    T(stat("f", &st));
    T(st.st_mtime > 1700000000);
    T(futimens(fd, NULL));
}

static void
sizes(int fd)
{
    T(truncate("f", 100));
    show("f");
    T(truncate("f", 3));
    show_file("f");
    T(truncate("f", -1));
    T(truncate("d", 0));
    T(truncate("none", 0));
    T(truncate("fifo", 0));
    T(truncate(P("f"), 5));
    T(truncate("l", 1));
    T(ftruncate(fd, 2));
    show_file("f");
}

void
family_attr(void)
{
    int dir = open(".", O_RDONLY | O_DIRECTORY), fd, path_fd;

    put("f", "some text");
    T(symlink("f", "l"));
    T(symlink("none", "dangling"));
    T(mkdir("d", 0755));
    T(mkfifo("fifo", 0600));
    fd = open("f", O_RDWR);
    stats(dir, fd);
    accesses(dir);
    modes(dir, fd);
    times(dir, fd);
    sizes(fd);
    path_fd = T(open("f", O_PATH)) < 0 ? -1 : open("f", O_PATH);
    T(fchmod(path_fd, 0600));
    T(fchown(path_fd, 0, 0));
    T(futimens(path_fd, NULL));
    T(fchmod(-1, 0600));
    close(path_fd);
    close(fd);
    close(dir);
}

static void
list_of(const char *path)
{
    char buf[512];
    ssize_t n = listxattr(path, buf, sizeof(buf));
    char *names[16];
    int k = 0;

    for (char *p = buf; n > 0 && p < buf + n && k < 16; p += strlen(p) + 1)
        names[k++] = p;
    for (int i = 0; i < k; i++) // by name: the order is the file system's
        for (int j = i + 1; j < k; j++)
            if (strcmp(names[i], names[j]) > 0) {
                char *t = names[i];

                names[i] = names[j];
                names[j] = t;
            }
    trace("listxattr %s = %ld", path, (long)n);
    for (int i = 0; i < k; i++)
        trace("    %s", names[i]);
}

void
family_xattr(void)
{
    char buf[64];
    int fd;

    put("f", "x");
    T(symlink("f", "l"));
    fd = open("f", O_RDWR);
    T(setxattr("f", "user.a", "one", 3, 0));
    T(setxattr("l", "user.b", "two2", 4, XATTR_CREATE));
    T(setxattr("f", "user.b", "two2", 4, XATTR_CREATE));
    T(setxattr("f", "user.c", "x", 1, XATTR_REPLACE));
    T(fsetxattr(fd, "user.c", "", 0, 0));
    T(lsetxattr("l", "trusted.d", "t", 1, 0));
    T(lsetxattr("l", "user.d", "t", 1, 0));
    T(setxattr("none", "user.a", "one", 3, 0));
    T(setxattr("f", "nonsense", "one", 3, 0));
    T(getxattr("f", "user.a", buf, sizeof(buf)));
    trace_bytes("user.a", buf, 3);
    T(getxattr("l", "user.b", NULL, 0));
    T(getxattr("f", "user.b", buf, 2));
    T(fgetxattr(fd, "user.c", buf, sizeof(buf)));
    T(lgetxattr("l", "trusted.d", buf, sizeof(buf)));
    T(lgetxattr("l", "user.b", buf, sizeof(buf)));
    T(getxattr("f", "user.none", buf, sizeof(buf)));
    list_of("f");
    T(listxattr("f", buf, 3));
    T(listxattr("f", NULL, 0));
    T(flistxattr(fd, buf, sizeof(buf)));
    T(llistxattr("l", buf, sizeof(buf)));
    T(removexattr("f", "user.a"));
    T(removexattr("f", "user.a"));
    T(fremovexattr(fd, "user.b"));
    T(lremovexattr("l", "trusted.d"));
    list_of("f");
    close(fd);
}
