// SPDX-License-Identifier: Apache-2.0
// Numbers: the lowest free one, dup and its kin, close-on-exec, closing in bulk; offsets that are shared;
// flags.
#include <linux/close_range.h>
#include <linux/openat2.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "tests/route/core.h"

static void
show_open(const char *text)
{
    char list[512] = "";
    size_t at = 0;

    for (int fd = 0; fd < 64; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            at += (size_t)sprintf(list + at, " %d%s", fd, fcntl(fd, F_GETFD) & FD_CLOEXEC ? "c" : "");
    trace("%s: open:%s", text, list);
}

static void
close_everything(void *arg)
{
    (void)arg;
    for (int fd = 3; fd < 200; fd++)
        close(fd);
    show_open("closed all");
    T(open(P("a"), O_RDONLY));
    show_fd("after closing all", 3);
    closefrom(3);
    // The trace is closed, too: the rest is told by the exit code.
    _exit(open(P("a"), O_RDONLY) == 3 ? 42 : 43);
}

void
family_fds(void)
{
    int fd = make("a", "0123456789");

    show_open("one file");
    T(open(P("a"), O_RDONLY));
    T(open(P("a"), O_RDONLY | O_CLOEXEC));
    show_open("three");
    T(close(fd + 1));
    T(open(P("none"), O_RDONLY));
    T(open(P("a"), O_WRONLY));
    T(dup(fd));
    T(dup2(fd, 20));
    T(dup2(fd, fd));
    T(dup2(fd, 20));
    T(dup3(fd, 21, O_CLOEXEC));
    T(dup3(fd, fd, 0));
    T(dup3(fd, 21, 12345));
    T(dup2(99, 20));
    T(dup(99));
    T(fcntl(fd, F_DUPFD, 30));
    T(fcntl(fd, F_DUPFD_CLOEXEC, 30));
    T(fcntl(fd, F_DUPFD, -1));
    T(fcntl(fd, F_SETFD, FD_CLOEXEC));
    T(fcntl(fd, F_GETFD));
    T(fcntl(fd, F_SETFD, 0));
    T(fcntl(fd, F_GETFD));
    show_open("many");
    // A routed number that a native file takes over, and the other way round.
    {
        int null = open("/dev/null", O_RDWR);

        T(dup2(null, 20));
        T(write(20, "x", 1));
        T(lseek(20, 0, SEEK_CUR));
        T(dup2(fd, null));
        show_fd("was /dev/null", null);
        T(close(null));
    }
    T(close_range(20, 21, 0));
    show_open("closed 20, 21");
    T(syscall(SYS_close_range, 30, 30, 0));
    T(close_range(31, 40, CLOSE_RANGE_CLOEXEC));
    T(close_range(5, 4, 0));
    show_open("ranges");
    in_child("close everything", close_everything, NULL);
    T(close(fd));
    T(close(fd));
    T(read(fd, (char[1]){0}, 1));
    T(close_range(23, 199, 0));
    show_open("end");
}

// ---- offsets ----

static void
read_some(void *arg)
{
    show_fd("child", *(int *)arg);
}

static void
append_some(void *arg)
{
    int fd = open(P("log"), O_WRONLY | O_APPEND | O_CREAT, 0644);
    char line[17];

    for (int i = 0; i < 200; i++) {
        snprintf(line, sizeof line, "%s %012d\n", (const char *)arg, i);
        if (write(fd, line, 16) != 16)
            _exit(1);
    }
}

static void
write_shared(void *arg)
{
    for (int i = 0; i < 200; i++)
        if (write(*(int *)arg, "abcdefgh", 8) != 8)
            _exit(1);
}

static void
check_lines(void)
{
    int fd = open(P("log"), O_RDONLY), next[2] = {0, 0}, bad = 0;
    char line[16];

    while (read(fd, line, 16) == 16) {
        int which = line[0] == 'B';

        if (line[15] != '\n' || atoi(line + 2) != next[which]++)
            bad++;
    }
    trace("log: %d %d lines, %d bad", next[0], next[1], bad);
    close(fd);
}

void
family_offsets(void)
{
    int fd = make("a", "0123456789abcdef"), d = dup(fd), other = open(P("a"), O_RDWR);
    char buf[4];
    pid_t a, b;

    T(read(fd, buf, 4));
    T(lseek(d, 0, SEEK_CUR));
    T(lseek(other, 0, SEEK_CUR));
    T(lseek(d, 2, SEEK_SET));
    show_fd("shared", fd);
    T(lseek(fd, -3, SEEK_END));
    in_child("child", read_some, &fd);
    T(lseek(fd, 0, SEEK_CUR));
    T(pread(fd, buf, 4, 4));
    T(lseek(fd, 0, SEEK_CUR));
    T(lseek(fd, -1, SEEK_SET));
    T(lseek(fd, -100, SEEK_CUR));
    T(lseek(fd, INT64_MAX, SEEK_END));
    T(lseek(fd, 0, 77));
    T(lseek(fd, 100, SEEK_SET));
    show_fd("behind the end", fd);
    T(write(fd, "end", 3));
    T(lseek(fd, 0, SEEK_END));
    T(lseek(99, 0, SEEK_CUR));
    a = begin_child(append_some, (void *)"A");
    b = begin_child(append_some, (void *)"B");
    await_child("A", a);
    await_child("B", b);
    check_lines();
    // One description, two writers: nothing is overwritten.
    fd = make("shared", "");
    a = begin_child(write_shared, &fd);
    b = begin_child(write_shared, &fd);
    await_child("one", a);
    await_child("two", b);
    T(lseek(fd, 0, SEEK_CUR));
    T(lseek(fd, 0, SEEK_END));
    // O_APPEND moves the offset to the end.
    fd = open(P("a"), O_RDWR | O_APPEND);
    T(write(fd, "tail", 4));
    T(lseek(fd, 0, SEEK_CUR));
    T(pwrite(fd, "more", 4, 0)); // Linux appends all the same
    T(lseek(fd, 0, SEEK_CUR));
    show_file("a");
}

// ---- flags ----

static long
openat2_(const char *path, uint64_t flags, uint64_t mode, uint64_t resolve)
{
    struct open_how how = {.flags = flags, .mode = mode, .resolve = resolve};

    return syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how);
}

static void
show_flags(const char *text, int fd)
{
    trace("%s: %#o", text, (unsigned)fcntl(fd, F_GETFL));
}

static void
direct(void)
{
    int fd = open(P("d"), O_RDWR | O_CREAT | O_DIRECT, 0644);
    char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (fd < 0) {
        trace("no O_DIRECT here: %s", strerrorname_np(errno));
        return;
    }
    memset(p, 'd', 8192);
    T(pwrite(fd, p, 4096, 0));
    T(pwrite(fd, p, 4096, 100));
    T(pwrite(fd, p + 1, 4096, 4096));
    T(pwrite(fd, p, 100, 4096));
    T(pread(fd, p, 4096, 0));
    T(pread(fd, p, 4096, 4096));
    T(pread(fd, p, 100, 0));
    show_flags("direct", fd);
    close(fd);
}

void
family_flags(void)
{
    int fd;

    T(mkdir(P("dir"), 0755));
    T(symlink("target", P("dangling")));
    T(symlink("dir", P("todir")));
    close(make("a", "hello"));
    for (int i = 0; i < 3; i++) {
        fd = open(P("a"), i);
        show_flags("mode", fd);
        T(read(fd, (char[1]){0}, 1));
        T(write(fd, "h", 1));
        close(fd);
    }
    T(open(P("a"), O_RDWR | O_CREAT | O_EXCL, 0644));
    T(open(P("dangling"), O_RDWR | O_CREAT | O_EXCL, 0644));
    T(open(P("dangling"), O_RDONLY));
    T(open(P("dangling"), O_RDONLY | O_NOFOLLOW));
    T(open(P("dir"), O_RDWR));
    T(open(P("dir"), O_RDONLY | O_CREAT, 0644));
    T(open(P("a"), O_RDONLY | O_DIRECTORY));
    T(open(P("a/b"), O_RDONLY));
    T(open(P("none/b"), O_RDWR | O_CREAT, 0644));
    T(open("", O_RDONLY));
    T(open(P("new/"), O_RDWR | O_CREAT, 0644));
    T(open(P("dir"), O_TMPFILE | O_RDONLY, 0644));
    T(open(P("a"), O_TMPFILE | O_RDWR, 0644));
    fd = open(P("dir"), O_TMPFILE | O_RDWR, 0600);
    T(write(fd, "tmp", 3));
    T(lseek(fd, 0, SEEK_SET));
    show_fd("tmpfile", fd);
    close(fd);
    fd = open(P("a"), O_RDWR | O_APPEND | O_NONBLOCK | O_SYNC | O_CLOEXEC);
    show_flags("many", fd);
    T(fcntl(fd, F_SETFL, O_NONBLOCK));
    show_flags("set", fd);
    T(fcntl(fd, F_SETFL, O_APPEND | O_CREAT | O_TRUNC | O_WRONLY));
    show_flags("set more", fd);
    T(write(fd, "!", 1));
    show_file("a");
    close(fd);
    fd = open(P("a"), O_WRONLY | O_TRUNC);
    show_file("a");
    close(fd);
    fd = open(P("a"), O_PATH);
    show_flags("path", fd);
    T(read(fd, (char[1]){0}, 1));
    T(write(fd, "x", 1));
    T(lseek(fd, 0, SEEK_CUR));
    T(fcntl(fd, F_SETFL, 0));
    T(fsync(fd));
    T(ftruncate(fd, 0));
    T(fchmod(fd, 0600));
    T(fchdir(fd));
    T(fstat(fd, &(struct stat){0}));
    T(dup(fd));
    T(close(fd));
    fd = open(P("dangling"), O_PATH | O_NOFOLLOW);
    show_flags("a link", fd);
    close(fd);
    fd = open(P("dir"), O_RDONLY | O_DIRECTORY);
    show_flags("directory", fd);
    T(read(fd, (char[1]){0}, 1));
    T(write(fd, "x", 1));
    T(openat(fd, "in", O_CREAT | O_RDWR, 0640));
    T(openat(fd, "../a", O_RDONLY));
    T(openat(99, "a", O_RDONLY));
    T(openat(open(P("a"), O_RDONLY), "a", O_RDONLY));
    T(creat(P("made"), 0600));
    T(openat2_(P("a"), O_RDONLY, 0, 0));
    T(openat2_("a", O_RDONLY, 0, RESOLVE_BENEATH));
    T(openat2_("../a", O_RDONLY, 0, RESOLVE_BENEATH));
    T(openat2_("todir/in", O_RDONLY, 0, RESOLVE_NO_SYMLINKS));
    T(openat2_("/a", O_RDONLY, 0, RESOLVE_IN_ROOT));
    T(openat2_("a", O_RDONLY, 0644, 0));
    T(openat2_("b", O_RDWR | O_CREAT, 0644, 0));
    T(openat2_("b", O_RDONLY, 0, 1 << 20));
    direct();
}
