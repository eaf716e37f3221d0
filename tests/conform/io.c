// SPDX-License-Identifier: Apache-2.0
// Bytes through descriptors: vectors, copies between files, O_DIRECT, pipes, stdio, and what fork and exec
// keep.
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "conform.h"

static void
vectors(void)
{
    char a[4], b[4];
    struct iovec iov[2] = {{a, 4}, {b, 4}};
    volatile int minus = -1; // volatile: the compiler knows better
    int fd;

    NEED(fd = open("f", O_RDWR | O_CREAT, 0644));
    memcpy(a, "0123", 4);
    memcpy(b, "4567", 4);
    EQ("writev", 8, writev(fd, iov, 2));
    EQ("pwritev", 8, pwritev(fd, iov, 2, 8));
    EQ("offset", 8, lseek(fd, 0, SEEK_CUR));
    EQ("readv", 8, readv(fd, iov, 2));
    EQ("preadv-short", 6, preadv(fd, iov, 2, 10));
    B("bytes", memcmp(a, "2345", 4) == 0 && memcmp(b, "67", 2) == 0);
    EQ("preadv2", 4, preadv2(fd, iov, 1, 0, 0));
    EQ("pwritev2-append", 4, pwritev2(fd, iov, 1, 0, RWF_APPEND));
    B("appended", has_text("f", "01234567012345670123"));
    T("count-negative", EINVAL, readv(fd, iov, minus));
    EQ("count-0", 0, readv(fd, iov, 0));
    EQ("read-0", 0, read(fd, a, 0));
    EQ("write-0", 0, write(fd, a, 0));
    close(fd);
}

static void
bad_buffers(void)
{
    void *volatile nowhere = (void *)8; // volatile: the compiler knows better
    int fd;

    NEED(put_file("f", 0644, "text"));
    NEED(fd = open("f", O_RDWR));
    T("read", EFAULT, pread(fd, nowhere, 4, 0));
    T("write", EFAULT, pwrite(fd, nowhere, 4, 0));
    EQ("unharmed", 4, stat_of("f").st_size);
    close(fd);
}

// Memory that is mapped, and may not be used as the call needs it; in a child, too, which inherits what the
// parent's calls have learnt of it.
static void
bad_memory(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *m;
    int fd;

    NEED(put_file("f", 0644, "text"));
    NEED(fd = open("f", O_RDWR));
    m = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    NEED(m == MAP_FAILED ? -1 : 0);
    EQ("read-before", 4, pread(fd, m + page, 4, 0));
    EQ("write-before", 4, pwrite(fd, m + page, 4, 0));
    EQ("read-child", 4, pread(fd, m + 2 * page, 4, 0));
    m[page - 1] = 'f'; // a name without an end
    NEED(mprotect(m + page, page, PROT_NONE));
    NEED(mprotect(m + 2 * page, page, PROT_READ));
    T("read", EFAULT, pread(fd, m + page, 4, 0));
    T("read-to-read-only", EFAULT, pread(fd, m + 2 * page, 4, 0));
    T("write", EFAULT, pwrite(fd, m + page, 4, 0));
    EQ("write-from-read-only", 4, pwrite(fd, m + 2 * page, 4, 0));
    T("readv", EFAULT, readv(fd, (struct iovec *)(m + page), 1));
    T("writev", EFAULT, writev(fd, (struct iovec *)(m + page), 1));
    T("open", EFAULT, open(m + page, O_RDONLY));
    T("open-without-end", EFAULT, open(m + page - 1, O_RDONLY));
    T("stat-path", EFAULT, stat(m + page, (struct stat *)m));
    T("stat-room", EFAULT, stat("f", (struct stat *)(m + page)));
    T("stat-read-only", EFAULT, stat("f", (struct stat *)(m + 2 * page)));
    T("fstat-room", EFAULT, fstat(fd, (struct stat *)(m + page)));
    T("rename", EFAULT, rename("f", m + page));
    T("symlink", EFAULT, symlink(m + page, "l"));
    T("lock", EFAULT, fcntl(fd, F_GETLK, m + page));
    CHILD () {
        T("child-read", EFAULT, pread(fd, m + 2 * page, 4, 0));
        T("child-write", EFAULT, pwrite(fd, m + page, 4, 0));
    }
    NEED(munmap(m + 2 * page, page));
    T("read-unmapped", EFAULT, pread(fd, m + 2 * page, 4, 0));
    T("write-unmapped", EFAULT, pwrite(fd, m + 2 * page, 4, 0));
    NEED(mprotect(m + page, page, PROT_READ | PROT_WRITE));
    EQ("read-again", 4, pread(fd, m + page, 4, 0));
    EQ("unharmed", 4, stat_of("f").st_size);
    munmap(m, 2 * page);
    close(fd);
}

static void
copies(void)
{
    static char data[200000], back[200000];
    off_t in = 1000, out = 500;
    int a, b, p[2];

    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)(i * 7 + i / 4096);
    NEED(a = open("a", O_RDWR | O_CREAT, 0644));
    NEED(b = open("b", O_RDWR | O_CREAT, 0644));
    EQ("write", (long)sizeof data, write(a, data, sizeof data));
    EQ("copy_file_range", 100000, copy_file_range(a, &in, b, &out, 100000, 0));
    EQ("copy_file_range-in", 101000, in);
    EQ("copy_file_range-out", 100500, out);
    EQ("copy_file_range-size", 100500, stat_of("b").st_size);
    NEED(pread(b, back, sizeof back, 0));
    B("copy_file_range-same", memcmp(back + 500, data + 1000, 100000) == 0 && back[499] == 0);
    in = sizeof data;
    EQ("copy_file_range-at-end", 0, copy_file_range(a, &in, b, &out, 10, 0));
    in = 0, out = 10;
    T("copy_file_range-overlap", EINVAL, copy_file_range(a, &in, a, &out, 1000, 0));
    T("copy_file_range-flags", EINVAL, copy_file_range(a, NULL, b, NULL, 1000, 1));
    in = 0;
    NEED(ftruncate(b, 0));
    EQ("sendfile", 70000, sendfile(b, a, &in, 70000));
    EQ("sendfile-in", 70000, in);
    EQ("sendfile-out", 70000, lseek(b, 0, SEEK_CUR));
    NEED(pread(b, back, sizeof back, 0));
    B("sendfile-same", memcmp(back, data, 70000) == 0);
    NEED(pipe(p));
    in = 5;
    EQ("splice-to-pipe", 1000, splice(a, &in, p[1], NULL, 1000, 0));
    EQ("pipe-read", 1000, read(p[0], back, sizeof back));
    B("splice-same", memcmp(back, data + 5, 1000) == 0);
    NEED(write(p[1], "from a pipe", 11));
    out = 70000;
    EQ("splice-from-pipe", 11, splice(p[0], NULL, b, &out, 11, 0));
    EQ("splice-size", 70011, stat_of("b").st_size);
    close(b);
    NEED(b = open("b", O_RDONLY));
    T("copy_file_range-rdonly", EBADF, copy_file_range(a, NULL, b, NULL, 10, 0));
    close(b);
    NEED(b = open("b", O_WRONLY | O_APPEND));
    T("copy_file_range-append", EBADF, copy_file_range(a, NULL, b, NULL, 10, 0));
    close(a);
    close(b);
}

static void
direct(void)
{
    char *buf = aligned_alloc(4096, 3 * 4096);
    int fd;

    NEED(buf ? 0 : -1);
    memset(buf, 'd', 3 * 4096);
    T("open", 0, fd = open("f", O_RDWR | O_CREAT | O_DIRECT, 0644));
    EQ("flag", O_DIRECT, fcntl(fd, F_GETFL) & O_DIRECT);
    EQ("write", 2 * 4096, write(fd, buf, 2 * 4096));
    memset(buf, 0, 3 * 4096);
    EQ("read", 4096, pread(fd, buf, 4096, 4096));
    B("bytes", buf[0] == 'd' && buf[4095] == 'd');
    EQ("read-at-end", 0, pread(fd, buf, 4096, 8192));
    NEED(ftruncate(fd, 5000));
    EQ("read-tail", 5000 - 4096, pread(fd, buf, 4096, 4096));
    EQ("off", 0, fcntl(fd, F_SETFL, 0));
    EQ("off-flag", 0, fcntl(fd, F_GETFL) & O_DIRECT);
    EQ("off-unaligned", 10, pread(fd, buf, 10, 1));
    close(fd);
    free(buf);
}

// Whoever reads after a write has returned sees it, by whatever descriptor or process.
static void
coherent(void)
{
    char c = 0;
    int a, b, up[2], down[2];
    bool good = true;
    pid_t pid;

    NEED(put_file("f", 0644, "-"));
    NEED(a = open("f", O_RDWR));
    NEED(b = open("f", O_RDONLY));
    NEED(pwrite(a, "x", 1, 0));
    EQ("two-descriptors", 1, pread(b, &c, 1, 0));
    EQ("two-descriptors-byte", 'x', c);
    NEED(pipe(up));
    NEED(pipe(down));
    pid = fork();
    if (pid == 0) {
        // Each byte that is told by a pipe has been written to the file before.
        int fd = open("f", O_RDWR);

        close(down[1]);
        for (int i = 0; i < 200; i++) {
            c = (char)i;
            if (pwrite(fd, &c, 1, i) != 1 || write(up[1], &c, 1) != 1 || read(down[0], &c, 1) != 1)
                _exit(1);
        }
        _exit(0);
    }
    for (int i = 0; i < 200; i++) {
        struct stat st;

        if (read(up[0], &c, 1) != 1 || pread(b, &c, 1, i) != 1 || c != (char)i || fstat(b, &st) != 0 ||
            st.st_size != i + 1 || stat_of("f").st_size != i + 1 || write(down[1], &c, 1) != 1) {
            good = false;
            break;
        }
    }
    close(down[1]);
    B("two-processes", good);
    NEED(waitpid(pid, NULL, 0));
    close(a);
    close(b);
}

static void
descriptors(void)
{
    struct stat st;
    char c;
    int fd, fd2;

    NEED(put_file("f", 0644, "text"));
    NEED(fd = open("f", O_RDONLY));
    T("dup2", 0, fd2 = dup2(fd, 50));
    EQ("dup2-number", 50, fd2);
    EQ("dup2-read", 1, read(50, &c, 1));
    close(50);
    EQ("still-open", 1, read(fd, &c, 1));
    T("dup2-self", 0, dup2(fd, fd));
    T("dup3-self", EINVAL, dup3(fd, fd, 0));
    T("dup3", 0, dup3(fd, 51, O_CLOEXEC));
    EQ("dup3-cloexec", FD_CLOEXEC, fcntl(51, F_GETFD));
    EQ("dupfd", 60, fcntl(fd, F_DUPFD, 60));
    EQ("dupfd-cloexec", 61, fcntl(fd, F_DUPFD_CLOEXEC, 60));
    T("close_range", 0, close_range(51, 61, 0));
    T("close_range-closed", EBADF, fcntl(60, F_GETFD));
    T("over-another", 0, dup2(fd, STDIN_FILENO));
    EQ("as-stdin", 1, read(STDIN_FILENO, &c, 1));
    NEED(fd2 = open("/dev/null", O_RDONLY));
    T("replaced-by-another", 0, dup2(fd2, fd));
    EQ("replaced-reads", 0, read(fd, &c, 1));
    T("replaced-stat", 0, fstat(fd, &st));
    B("replaced-is-device", S_ISCHR(st.st_mode));
    close(fd);
    close(fd2);
    NEED(fd = open("f", O_RDONLY));
    EQ("lowest-number", fd, (close(fd), fd2 = open("f", O_RDONLY)));
    close(fd2);
}

static void
readiness(void)
{
    struct epoll_event ev = {.events = EPOLLIN};
    struct pollfd p;
    int fd, e, n = 0;

    NEED(put_file("f", 0644, "text"));
    NEED(fd = open("f", O_RDWR));
    p = (struct pollfd){fd, POLLIN | POLLOUT, 0};
    EQ("poll", 1, poll(&p, 1, 0));
    EQ("poll-events", POLLIN | POLLOUT, p.revents);
    fd_set set;
    FD_ZERO(&set);
    FD_SET(fd, &set);
    EQ("select", 1, select(fd + 1, &set, NULL, NULL, &(struct timeval){0, 0}));
    NEED(e = epoll_create1(0));
    T("epoll", EPERM, epoll_ctl(e, EPOLL_CTL_ADD, fd, &ev));
    T("fionread", 0, ioctl(fd, FIONREAD, &n));
    EQ("fionread-is", 4, n);
    T("unknown-ioctl", ENOTTY, ioctl(fd, TIOCGWINSZ, &n));
    EQ("isatty", 0, isatty(fd));
    EQ("fadvise", 0, posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL));
    close(e);
    close(fd);
}

static void
streams(void)
{
    char line[100];
    FILE *f;
    int fd;

    f = fopen("f", "w");
    B("fopen", f != NULL);
    NEED(f ? 0 : -1);
    B("fprintf", fprintf(f, "one\ntwo %d\n", 2) == 10);
    B("fclose", fclose(f) == 0);
    B("content", has_text("f", "one\ntwo 2\n"));
    NEED((f = fopen("f", "r+")) ? 0 : -1);
    B("fgets", fgets(line, sizeof line, f) && strcmp(line, "one\n") == 0);
    B("fseek", fseek(f, 0, SEEK_END) == 0 && ftell(f) == 10);
    B("fputs", fputs("three\n", f) >= 0 && fflush(f) == 0);
    rewind(f);
    B("getline", fgets(line, sizeof line, f) && fgets(line, sizeof line, f) && strcmp(line, "two 2\n") == 0);
    fclose(f);
    NEED((f = fopen("f", "a")) ? 0 : -1);
    fputs("x", f);
    fclose(f);
    EQ("append", 17, stat_of("f").st_size);
    errno = 0;
    B("fopen-none", !fopen("none", "r") && errno == ENOENT);
    errno = 0;
    B("fopen-exclusive", !fopen("f", "wx") && errno == EEXIST);
    NEED(fd = open("f", O_RDONLY));
    NEED((f = fdopen(fd, "r")) ? 0 : -1);
    B("fdopen", fgets(line, sizeof line, f) && strcmp(line, "one\n") == 0);
    fclose(f);
    NEED((f = freopen("f", "r", stdin)) ? 0 : -1);
    B("freopen", fgets(line, sizeof line, f) && strcmp(line, "one\n") == 0);
}

static void
temporary(void)
{
    char name[] = "tmpXXXXXX", dir[] = "dirXXXXXX", suffix[] = "aXXXXXX.c";
    int fd;

    T("mkstemp", 0, fd = mkstemp(name));
    EQ("mkstemp-mode", 0600, mode_of(name));
    close(fd);
    B("mkdtemp", mkdtemp(dir) != NULL);
    EQ("mkdtemp-mode", 0700, mode_of(dir));
    T("mkostemps", 0, fd = mkostemps(suffix, 2, O_CLOEXEC));
    EQ("mkostemps-cloexec", FD_CLOEXEC, fcntl(fd, F_GETFD));
    B("mkostemps-there", exists(suffix));
    close(fd);
    char bad[] = "short-XXXXX";
    T("mkstemp-bad", EINVAL, mkstemp(bad));
}

const struct test_case cases_io[] = {
    {"io-vectors", vectors},
    {"io-fault", bad_buffers},
    {"io-fault-memory", bad_memory},
    {"io-copies", copies},
    {"io-direct", direct},
    {"io-coherent", coherent},
    {"io-dup", descriptors},
    {"io-poll", readiness},
    {"io-stdio", streams},
    {"io-temporary", temporary},
    {NULL, NULL},
};
