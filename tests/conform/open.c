// SPDX-License-Identifier: Apache-2.0
// open: each flag by itself, the pairs that mean something, and who may.
#include <linux/openat2.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "conform.h"

static void
modes(void)
{
    char c;
    int fd;

    NEED(put_file("f", 0644, "text"));
    NEED(fd = open("f", O_RDONLY));
    EQ("rdonly-read", 1, read(fd, &c, 1));
    T("rdonly-write", EBADF, write(fd, "x", 1));
    T("rdonly-ftruncate", EINVAL, ftruncate(fd, 0));
    EQ("rdonly-flags", O_RDONLY, fcntl(fd, F_GETFL) & O_ACCMODE);
    close(fd);
    NEED(fd = open("f", O_WRONLY));
    T("wronly-read", EBADF, read(fd, &c, 1));
    EQ("wronly-write", 1, write(fd, "x", 1));
    EQ("wronly-flags", O_WRONLY, fcntl(fd, F_GETFL) & O_ACCMODE);
    close(fd);
    NEED(fd = open("f", O_RDWR));
    EQ("rdwr-read", 1, read(fd, &c, 1));
    EQ("rdwr-write", 1, write(fd, "y", 1));
    EQ("rdwr-flags", O_RDWR, fcntl(fd, F_GETFL) & O_ACCMODE);
    close(fd);
    B("content", has_text("f", "xyxt"));
    NEED(mkdir("d", 0755));
    T("dir-wronly", EISDIR, try_open("d", O_WRONLY, 0));
    T("dir-rdwr", EISDIR, try_open("d", O_RDWR, 0));
    NEED(fd = open("d", O_RDONLY));
    T("dir-read", EISDIR, read(fd, &c, 1));
    T("dir-write", EBADF, write(fd, &c, 1));
    T("dir-ftruncate", EINVAL, ftruncate(fd, 0));
    close(fd);
    T("closed", EBADF, read(fd, &c, 1));
    T("closed-twice", EBADF, close(fd));
}

static void
create(void)
{
    struct stat st;
    int fd;

    T("none", ENOENT, try_open("f", O_RDWR, 0));
    NEED(fd = open("f", O_RDWR | O_CREAT, 0));
    EQ("mode-0-writes", 1, write(fd, "x", 1));
    close(fd);
    EQ("mode-0", 0, mode_of("f"));
    EQ("nlink", 1, stat_of("f").st_nlink);
    T("there", 0, try_open("f", O_RDWR | O_CREAT, 0777));
    EQ("there-mode", 0, mode_of("f"));
    EQ("there-size", 1, stat_of("f").st_size);
    T("excl-there", EEXIST, try_open("f", O_RDWR | O_CREAT | O_EXCL, 0644));
    T("excl", 0, try_open("g", O_RDWR | O_CREAT | O_EXCL, 0644));
    NEED(symlink("none", "s"));
    T("excl-dangling", EEXIST, try_open("s", O_WRONLY | O_CREAT | O_EXCL, 0644));
    T("excl-without-creat", 0, try_open("g", O_RDONLY | O_EXCL, 0));
    NEED(mkdir("d", 0755));
    T("dir", EISDIR, try_open("d", O_RDONLY | O_CREAT, 0644));
    T("dir-excl", EEXIST, try_open("d", O_RDONLY | O_CREAT | O_EXCL, 0644));
    T("setid-mode", 0, try_open("m", O_WRONLY | O_CREAT, 07777));
    EQ("setid-mode-is", 07777, mode_of("m"));
    T("creat", 0, creat("g", 0600));
    EQ("creat-keeps-mode", 0644, mode_of("g"));
    // Two that exclude each other: one wins.
    int won = 0;
    for (int i = 0; i < 8; i++) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(open("race", O_WRONLY | O_CREAT | O_EXCL, 0644) >= 0 ? 1 : 0);
    }
    for (int i = 0; i < 8; i++) {
        int status = 0;
        wait(&status);
        won += WEXITSTATUS(status);
    }
    EQ("excl-race", 1, won);
    T("race-made", 0, stat("race", &st));
}

static void
truncates(void)
{
    struct stat before;

    NEED(put_file("f", 0644, "text"));
    T("rdonly", 0, try_open("f", O_RDONLY | O_TRUNC, 0));
    EQ("rdonly-size", 0, stat_of("f").st_size);
    NEED(put_file("f", 0644, "text"));
    before = stat_of("f");
    next_instant();
    T("wronly", 0, try_open("f", O_WRONLY | O_TRUNC, 0));
    EQ("wronly-size", 0, stat_of("f").st_size);
    B("mtime", time_before(before.st_mtim, stat_of("f").st_mtim));
    B("ctime", time_before(before.st_ctim, stat_of("f").st_ctim));
    NEED(put_file("f", 0444, "text"));
    AS (U1, G1) {
        T("no-write", EACCES, try_open("f", O_RDONLY | O_TRUNC, 0));
        T("no-write-creat", EACCES, try_open("f", O_WRONLY | O_TRUNC | O_CREAT, 0644));
    }
    EQ("unharmed", 4, stat_of("f").st_size);
    NEED(mkdir("d", 0755));
    T("dir", EISDIR, try_open("d", O_RDONLY | O_TRUNC, 0));
    NEED(put_file("f", 0644, "text"));
    T("excl-there", EEXIST, try_open("f", O_WRONLY | O_CREAT | O_EXCL | O_TRUNC, 0));
    EQ("excl-unharmed", 4, stat_of("f").st_size);
}

static void
append(void)
{
    struct stat st;
    int a, b;

    NEED(put_file("f", 0644, "text"));
    NEED(a = open("f", O_WRONLY | O_APPEND));
    NEED(b = open("f", O_RDWR));
    EQ("offset-at-first", 0, lseek(a, 0, SEEK_CUR));
    EQ("write", 3, write(a, "end", 3));
    EQ("offset-after", 7, lseek(a, 0, SEEK_CUR));
    NEED(pwrite(b, "12345678", 8, 0));
    EQ("after-other", 1, write(a, "x", 1));
    B("at-the-end", has_text("f", "12345678x"));
    NEED(lseek(a, 0, SEEK_SET));
    EQ("seek-is-no-use", 1, write(a, "y", 1));
    EQ("offset-moves-to-end", 10, lseek(a, 0, SEEK_CUR));
    // Linux: pwrite on an O_APPEND file appends too (pwrite(2), BUGS).
    EQ("pwrite", 1, pwrite(a, "z", 1, 0));
    B("pwrite-appends", has_text("f", "12345678xyz"));
    EQ("set-later", 0, fcntl(b, F_SETFL, O_APPEND));
    EQ("set-later-write", 1, write(b, "!", 1));
    B("set-later-appends", has_text("f", "12345678xyz!"));
    EQ("clear", 0, fcntl(b, F_SETFL, 0));
    NEED(lseek(b, 0, SEEK_SET));
    EQ("clear-write", 1, write(b, "_", 1));
    B("clear-no-append", has_text("f", "_2345678xyz!"));
    T("truncate", 0, ftruncate(a, 2));
    EQ("after-truncate", 1, write(a, "e", 1));
    NEED(fstat(a, &st));
    EQ("after-truncate-size", 3, st.st_size);
    close(a);
    close(b);
    // Appends of several processes lose nothing.
    NEED(put_file("log", 0644, ""));
    for (int i = 0; i < 4; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            a = open("log", O_WRONLY | O_APPEND);
            for (int n = 0; n < 50; n++)
                if (write(a, "0123456789", 10) != 10)
                    _exit(1);
            _exit(0);
        }
    }
    for (int i = 0; i < 4; i++)
        wait(NULL);
    EQ("many", 2000, stat_of("log").st_size);
}

static void
nofollow(void)
{
    struct stat st;
    int fd;

    NEED(put_file("f", 0644, ""));
    NEED(mkdir("d", 0755));
    NEED(symlink("f", "s"));
    NEED(symlink("d", "sd"));
    NEED(put_file("d/f", 0644, ""));
    T("file", 0, try_open("f", O_RDONLY | O_NOFOLLOW, 0));
    T("link", ELOOP, try_open("s", O_RDONLY | O_NOFOLLOW, 0));
    T("link-creat", ELOOP, try_open("s", O_RDONLY | O_NOFOLLOW | O_CREAT, 0644));
    T("link-in-the-middle", 0, try_open("sd/f", O_RDONLY | O_NOFOLLOW, 0));
    T("link-directory", ENOTDIR, try_open("sd", O_RDONLY | O_NOFOLLOW | O_DIRECTORY, 0));
    T("link-path", 0, fd = open("s", O_PATH | O_NOFOLLOW));
    NEED(fstat(fd, &st));
    B("link-path-is-link", S_ISLNK(st.st_mode));
    close(fd);
    T("directory-file", ENOTDIR, try_open("f", O_RDONLY | O_DIRECTORY, 0));
    T("directory-dir", 0, try_open("d", O_RDONLY | O_DIRECTORY, 0));
    T("directory-link", 0, try_open("sd", O_RDONLY | O_DIRECTORY, 0));
    T("directory-none", ENOENT, try_open("n", O_RDONLY | O_DIRECTORY, 0));
}

static void
path_only(void)
{
    struct stat st;
    char c, name[60];
    int fd, dir;

    NEED(put_file("f", 0, "text"));
    NEED(mkdir("d", 0755));
    NEED(put_file("d/g", 0644, "inside"));
    AS (U1, G1)
        T("no-permission-needed", 0, try_open("f", O_PATH, 0));
    NEED(fd = open("f", O_PATH));
    T("read", EBADF, read(fd, &c, 1));
    T("write", EBADF, write(fd, &c, 1));
    T("lseek", EBADF, lseek(fd, 0, SEEK_SET));
    T("ftruncate", EBADF, ftruncate(fd, 0));
    T("fsync", EBADF, fsync(fd));
    T("ioctl", EBADF, ioctl(fd, FIONREAD, &c));
    T("fstat", 0, fstat(fd, &st));
    EQ("fstat-size", 4, st.st_size);
    EQ("flags", O_PATH, fcntl(fd, F_GETFL) & (O_PATH | O_ACCMODE));
    T("fcntl-lock", EBADF, fcntl(fd, F_SETLK, &(struct flock){.l_type = F_RDLCK}));
    T("dup", 0, dup(fd));
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    NEED(chmod("f", 0644));
    T("reopen", 0, try_open(name, O_RDONLY, 0));
    close(fd);
    NEED(dir = open("d", O_PATH));
    T("openat", 0, fd = openat(dir, "g", O_RDONLY));
    EQ("openat-read", 1, read(fd, &c, 1));
    T("fchdir", 0, fchdir(dir));
    B("fchdir-there", has_text("g", "inside"));
    NEED(chdir(".."));
    close(dir);
    T("other-flags-ignored", 0, try_open("f", O_PATH | O_WRONLY | O_TRUNC | O_APPEND, 0));
    EQ("not-truncated", 4, stat_of("f").st_size);
    T("creat-ignored", ENOENT, try_open("none", O_PATH | O_CREAT, 0644));
}

static void
tmpfile_(void)
{
    char name[60], buf[8];
    struct stat st;
    int fd;

    NEED(mkdir("d", 0755));
    T("open", 0, fd = open("d", O_TMPFILE | O_RDWR, 0640));
    NEED(fstat(fd, &st));
    EQ("nlink", 0, st.st_nlink);
    EQ("mode", S_IFREG | 0640, st.st_mode);
    EQ("write", 4, write(fd, "text", 4));
    EQ("read", 4, pread(fd, buf, sizeof buf, 0));
    T("no-name", 0, rmdir("d"));
    NEED(mkdir("d", 0755));
    close(fd);
    NEED(fd = open("d", O_TMPFILE | O_RDWR, 0640));
    NEED(write(fd, "text", 4));
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    T("link", 0, linkat(AT_FDCWD, name, AT_FDCWD, "d/named", AT_SYMLINK_FOLLOW));
    EQ("link-nlink", 1, stat_of("d/named").st_nlink);
    B("link-content", has_text("d/named", "text"));
    close(fd);
    NEED(fd = open("d", O_TMPFILE | O_RDWR, 0640));
    T("link-empty-path", 0, linkat(fd, "", AT_FDCWD, "d/named2", AT_EMPTY_PATH));
    close(fd);
    NEED(fd = open("d", O_TMPFILE | O_RDWR | O_EXCL, 0640));
    T("excl-link", ENOENT, linkat(fd, "", AT_FDCWD, "d/named3", AT_EMPTY_PATH));
    close(fd);
    T("rdonly", EINVAL, try_open("d", O_TMPFILE | O_RDONLY, 0640));
    T("file", ENOTDIR, try_open("d/named", O_TMPFILE | O_RDWR, 0640));
    T("creat", EINVAL, try_open("d", O_TMPFILE | O_RDWR | O_CREAT, 0640));
    AS (U1, G1)
        T("no-write", EACCES, try_open("d", O_TMPFILE | O_RDWR, 0640));
}

static void
other_flags(void)
{
    char c;
    int fd;

    NEED(put_file("f", 0644, "text"));
    NEED(chown("f", U1, G1));
    NEED(fd = open("f", O_RDONLY));
    EQ("no-cloexec", 0, fcntl(fd, F_GETFD));
    close(fd);
    NEED(fd = open("f", O_RDONLY | O_CLOEXEC));
    EQ("cloexec", FD_CLOEXEC, fcntl(fd, F_GETFD));
    close(fd);
    NEED(fd = open("f", O_RDWR | O_SYNC));
    EQ("sync-flag", O_SYNC, fcntl(fd, F_GETFL) & O_SYNC);
    EQ("sync-write", 1, write(fd, "x", 1));
    close(fd);
    NEED(fd = open("f", O_RDWR | O_DSYNC));
    EQ("dsync-flag", O_DSYNC, fcntl(fd, F_GETFL) & O_SYNC);
    EQ("dsync-write", 1, write(fd, "y", 1));
    T("fsync", 0, fsync(fd));
    T("fdatasync", 0, fdatasync(fd));
    close(fd);
    NEED(fd = open("f", O_RDONLY | O_NONBLOCK));
    EQ("nonblock-flag", O_NONBLOCK, fcntl(fd, F_GETFL) & O_NONBLOCK);
    EQ("nonblock-read", 1, read(fd, &c, 1));
    close(fd);
    T("noatime-owner", 0, try_open("f", O_RDONLY | O_NOATIME, 0));
    AS (U2, G2)
        T("noatime-other", EPERM, try_open("f", O_RDONLY | O_NOATIME, 0));
    T("noctty", 0, try_open("f", O_RDONLY | O_NOCTTY, 0));
    NEED(fd = open(".", O_RDONLY));
    T("fsync-dir", 0, fsync(fd));
    close(fd);
    T("bad-fd", EBADF, fsync(-1));
}

static int
open2(int dir, const char *path, uint64_t flags, uint64_t resolve)
{
    struct open_how how = {.flags = flags, .resolve = resolve};

    return (int)syscall(SYS_openat2, dir, path, &how, sizeof how);
}

static void
openat2_(void)
{
    int d;

    NEED(mkdir("d", 0755));
    NEED(put_file("d/f", 0644, ""));
    NEED(symlink("f", "d/s"));
    NEED(symlink("../d/f", "d/up"));
    NEED(symlink("/f", "d/abs"));
    NEED(d = open("d", O_PATH));
    T("plain", 0, open2(d, "f", O_RDONLY, 0));
    T("beneath", 0, open2(d, "s", O_RDONLY, RESOLVE_BENEATH));
    T("beneath-dotdot", EXDEV, open2(d, "../d/f", O_RDONLY, RESOLVE_BENEATH));
    T("beneath-link", EXDEV, open2(d, "up", O_RDONLY, RESOLVE_BENEATH));
    T("beneath-absolute", EXDEV, open2(d, "/f", O_RDONLY, RESOLVE_BENEATH));
    T("in-root", 0, open2(d, "/f", O_RDONLY, RESOLVE_IN_ROOT));
    T("in-root-link", 0, open2(d, "abs", O_RDONLY, RESOLVE_IN_ROOT));
    T("in-root-dotdot", 0, open2(d, "../../f", O_RDONLY, RESOLVE_IN_ROOT));
    T("no-symlinks", ELOOP, open2(d, "s", O_RDONLY, RESOLVE_NO_SYMLINKS));
    T("unknown-flag", EINVAL, open2(d, "f", 1ull << 40, 0));
    T("unknown-resolve", EINVAL, open2(d, "f", O_RDONLY, 1ull << 40));
}

const struct test_case cases_open[] = {
    {"open-modes", modes},       {"open-creat", create},
    {"open-trunc", truncates},   {"open-append", append},
    {"open-nofollow", nofollow}, {"open-path", path_only},
    {"open-tmpfile", tmpfile_},  {"open-flags", other_flags},
    {"openat2", openat2_},       {NULL, NULL},
};
