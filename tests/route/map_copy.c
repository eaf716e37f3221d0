// SPDX-License-Identifier: Apache-2.0
// sendfile, splice, tee, vmsplice and copy_file_range: see map_trace.h. What is native in one trace and
// routed in the other is the current directory; /dev/shm holds files that are native in both.
#include <signal.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "tests/route/map_trace.h"

#define BIG (200 * 1024 + 100) // several chunks of a volume that is made with 64 KiB

static int
native(const char *content)
{
    char name[] = "/dev/shm/zio-copy-XXXXXX";
    int fd = mkstemp(name);

    unlink(name);
    if (write(fd, content, strlen(content)) < 0 || lseek(fd, 0, SEEK_SET) < 0)
        exit(1);
    return fd;
}

static void
contents(const char *what, int fd, off_t at, size_t len)
{
    char buf[64] = "";
    ssize_t n = pread(fd, buf, len, at);

    printf("  %s at %ld: %zd", what, (long)at, n);
    show_mem(buf, n > 0 ? (size_t)n : 0);
}

// All that comes out of a pipe or socket, compared with the file from `from` on.
static size_t
drain(int fd, size_t from, bool *same)
{
    static char buf[1 << 16];
    size_t total = 0;
    ssize_t n;

    *same = true;
    while ((n = read(fd, buf, sizeof buf)) > 0) {
        for (ssize_t i = 0; i < n; i++)
            *same &= buf[i] == byte_at(from + total + (size_t)i);
        total += (size_t)n;
    }
    return total;
}

static void
sendfile_to_a_socket(void)
{
    int fd = make_file("f", BIG, O_RDONLY), s[2], status;
    off_t off = 1000;
    bool same;
    size_t n;

    T(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    pid_t pid = fork();
    if (pid == 0) {
        close(s[0]);
        n = drain(s[1], 1000, &same);
        SAY("came %zu, same %d", n, same);
        exit(0);
    }
    close(s[1]);
    T(sendfile(s[0], fd, &off, BIG));
    T(off);
    T(lseek(fd, 0, SEEK_CUR));
    T(sendfile(s[0], fd, &off, 10));
    close(s[0]);
    waitpid(pid, &status, 0);
    T(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    T(lseek(fd, 65530, SEEK_SET));
    T(sendfile(s[0], fd, NULL, 12));
    T(lseek(fd, 0, SEEK_CUR));
    close(s[0]);
    n = drain(s[1], 65530, &same);
    SAY("came %zu, same %d", n, same);
}

static void
sendfile_does_not_wait(void)
{
    int fd = make_file("f", BIG, O_RDONLY), s[2];
    off_t off = 0;
    ssize_t n, total = 0;
    bool same;

    T(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s));
    while ((n = sendfile(s[0], fd, &off, BIG)) > 0)
        total += n;
    SAY("%s, offset is what was sent: %d", n < 0 ? strerrorname_np(errno) : "the end", off == total);
    close(s[0]);
    fcntl(s[1], F_SETFL, 0);
    n = (ssize_t)drain(s[1], 0, &same);
    SAY("all of it came %d, same %d", n == total, same);
    signal(SIGPIPE, SIG_IGN);
    T(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    close(s[1]);
    off = 0;
    T(sendfile(s[0], fd, &off, 100));
    T(off);
}

static void
sendfile_between_files(void)
{
    int fd = make_file("f", BIG, O_RDWR), g = make_file("g", 0, O_RDWR), n = native("native content");
    off_t off = 5;

    T(sendfile(g, fd, &off, 70000));
    T(off);
    T(lseek(g, 0, SEEK_CUR));
    contents("g", g, 69995, 10);
    T(sendfile(g, n, NULL, 100));
    T(lseek(n, 0, SEEK_CUR));
    T(lseek(g, 0, SEEK_CUR));
    contents("g", g, 69998, 20);
    T(lseek(n, 0, SEEK_SET));
    T(sendfile(n, fd, NULL, 3));
    T(lseek(fd, 0, SEEK_CUR));
    contents("n", n, 0, 20);
    off = BIG - 2;
    T(sendfile(n, fd, &off, 100));
    T(sendfile(n, fd, &off, 100));
    T(ftruncate(fd, BIG + 100000)); // a hole
    off = BIG + 60000;
    T(sendfile(g, fd, &off, 50000));
    contents("g", g, 70014, 4);
    contents("g", g, 70014 + 39996, 8);
}

static void
sendfile_errors(void)
{
    int fd = make_file("f", 100, O_RDONLY), g = make_file("g", 0, O_WRONLY),
        app = open("g", O_WRONLY | O_APPEND);
    int dir = open(".", O_RDONLY), path = open("f", O_PATH), p[2], n = native("native");
    off_t off = -1;

    T(sendfile(fd, fd, NULL, 1));
    T(sendfile(g, g, NULL, 1));
    T(sendfile(app, fd, NULL, 1));
    T(sendfile(g, fd, &off, 1));
    T(sendfile(g, dir, NULL, 1));
    T(sendfile(g, path, NULL, 1));
    T(sendfile(path, fd, NULL, 1));
    T(sendfile(999, fd, NULL, 1));
    T(sendfile(g, 999, NULL, 1));
    T(sendfile(g, fd, NULL, 0));
    T(pipe(p));
    T(sendfile(n, dir, NULL, 1));
    T(sendfile(p[0], fd, NULL, 1));
    T(sendfile(p[1], fd, NULL, 10));
    T(sendfile(p[1], fd, NULL, 1000));
}

static void
splice_out_and_in(void)
{
    int fd = make_file("f", BIG, O_RDWR), g = make_file("g", 10, O_RDWR), p[2];
    off_t off = 65500;
    char buf[100];
    ssize_t n, total = 0;

    T(pipe(p));
    while (total < 100 && (n = splice(fd, &off, p[1], NULL, 100 - (size_t)total, 0)) > 0)
        total += n; // the kernel may stop at a page's end
    T(total);
    T(off);
    T(lseek(fd, 0, SEEK_CUR));
    T(read(p[0], buf, 3));
    show_mem(buf, 3);
    off = 4;
    T(splice(p[0], NULL, g, &off, 50, 0));
    T(off);
    contents("g", g, 0, 60);
    T(lseek(g, 0, SEEK_END));
    T(splice(p[0], NULL, g, NULL, 1000, SPLICE_F_MOVE));
    T(lseek(g, 0, SEEK_CUR));
    contents("g", g, 50, 60);
    T(splice(p[0], NULL, g, NULL, 1000, SPLICE_F_NONBLOCK));
    T(splice(fd, NULL, p[1], NULL, 5, 0));
    T(lseek(fd, 0, SEEK_CUR));
    close(p[1]);
    T(splice(p[0], NULL, g, NULL, 1000, 0));
    T(splice(p[0], NULL, g, NULL, 1000, 0));
}

static void
splice_errors(void)
{
    int fd = make_file("f", 100, O_RDWR), ro = open("f", O_RDONLY), wo = open("f", O_WRONLY),
        app = open("f", O_RDWR | O_APPEND);
    struct iovec iov = {.iov_base = "x", .iov_len = 1};
    int p[2], q[2], n = native("native");
    off_t off = 0, end = 100;

    T(pipe(p));
    T(pipe(q));
    T(write(p[1], "abc", 3));
    T(splice(fd, NULL, ro, NULL, 1, 0));
    T(splice(fd, NULL, n, NULL, 1, 0));
    T(splice(n, NULL, fd, NULL, 1, 0));
    T(splice(fd, NULL, p[1], &off, 1, 0));
    T(splice(p[0], &off, fd, NULL, 1, 0));
    T(splice(p[0], NULL, ro, NULL, 1, 0));
    T(splice(wo, NULL, p[1], NULL, 1, 0));
    T(splice(p[0], NULL, app, NULL, 1, 0));
    T(splice(fd, NULL, p[1], NULL, 1, 1u << 20));
    T(splice(fd, NULL, 999, NULL, 1, 0));
    T(splice(999, NULL, fd, NULL, 1, 0));
    T(splice(fd, NULL, p[1], NULL, 0, 0));
    T(splice(fd, &end, p[1], NULL, 10, 0));
    T(tee(fd, p[1], 1, 0));
    T(tee(p[0], fd, 1, 0));
    T(tee(p[0], q[1], 2, 0));
    T(vmsplice(fd, &iov, 1, 0));
}

static void
copy_ranges(void)
{
    int fd = make_file("f", BIG, O_RDWR), g = make_file("g", 5, O_RDWR), n;
    off_t a = 65536, b = 65536;
    char *buf = malloc(BIG);
    bool same = true;

    T(copy_file_range(fd, NULL, g, NULL, 10, 0));
    T(lseek(fd, 0, SEEK_CUR));
    T(lseek(g, 0, SEEK_CUR));
    T(copy_file_range(fd, &a, g, &b, BIG, 0)); // to the end; whole chunks in a volume
    T(a);
    T(b);
    T(lseek(g, 0, SEEK_END));
    n = (int)pread(g, buf, BIG, 0);
    for (int i = 65536; i < n; i++)
        same &= buf[i] == byte_at((size_t)i);
    SAY("%d same %d", n, same);
    T(copy_file_range(fd, &a, g, &b, 10, 0)); // behind the end
    T(pwrite(fd, "changed", 7, 70000));
    contents("g", g, 70000, 7);
    T(pwrite(g, "other", 5, 131072));
    contents("f", fd, 131072, 5);
    a = 10, b = 100000;
    T(copy_file_range(fd, &a, fd, &b, 50000, 0));
    contents("f", fd, 100000, 10);
    a = 10, b = 20;
    T(copy_file_range(fd, &a, fd, &b, 11, 0));
    T(copy_file_range(fd, &a, fd, &b, 10, 0));
    contents("f", fd, 8, 24);
    free(buf);
}

static void
copy_range_errors(void)
{
    int fd = make_file("f", 100, O_RDWR), ro = open("f", O_RDONLY), wo = open("f", O_WRONLY),
        app = open("f", O_RDWR | O_APPEND);
    int g = make_file("g", 100, O_RDWR), dir = open(".", O_RDONLY), p[2];
    off_t neg = -1, a = 0;

    T(pipe(p));
    T(copy_file_range(fd, NULL, ro, NULL, 1, 0));
    T(copy_file_range(wo, NULL, g, NULL, 1, 0));
    T(copy_file_range(g, NULL, app, NULL, 1, 0));
    T(copy_file_range(fd, NULL, dir, NULL, 1, 0));
    T(copy_file_range(dir, NULL, fd, NULL, 1, 0));
    T(copy_file_range(fd, NULL, g, NULL, 1, 1));
    T(copy_file_range(fd, &neg, g, NULL, 1, 0));
    T(copy_file_range(fd, NULL, p[1], NULL, 1, 0));
    T(copy_file_range(999, NULL, g, NULL, 1, 0));
    T(copy_file_range(fd, NULL, 999, NULL, 1, 0));
    T(copy_file_range(fd, &a, g, NULL, 0, 0));
    T(a);
}

static const struct trace_case cases[] = {
#define C(name)                                                                                              \
    {                                                                                                        \
#name, name                                                                                          \
    }
    C(sendfile_to_a_socket), C(sendfile_does_not_wait), C(sendfile_between_files),
    C(sendfile_errors),      C(splice_out_and_in),      C(splice_errors),
    C(copy_ranges),          C(copy_range_errors),      {NULL, NULL},
};

int
main(int argc, char **argv)
{
    return trace_main(argc, argv, cases);
}
