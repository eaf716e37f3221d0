// SPDX-License-Identifier: Apache-2.0
// Reads and writes in all their forms, space, and what tells when a descriptor is ready.
#include <linux/falloc.h>
#include <linux/fs.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "tests/route/core.h"

void
family_io(void)
{
    int fd = make("a", "0123456789abcdef"), ro = open(P("a"), O_RDONLY), wo = open(P("a"), O_WRONLY);
    char x[8] = "", y[8] = "";
    volatile int minus_one = -1, too_many = 1025; // the compiler must not know
    struct iovec v[2] = {{x, 3}, {y, 4}}, w[2] = {{(char *)"AB", 2}, {(char *)"CDE", 3}};

    T(readv(fd, v, 2));
    trace("%.3s %.4s", x, y);
    T(writev(fd, w, 2));
    show_file("a");
    T(preadv(fd, v, 2, 1));
    trace("%.3s %.4s", x, y);
    T(pwritev(fd, w, 2, 20));
    T(preadv2(fd, v, 2, -1, 0));
    T(preadv2(fd, v, 2, 0, 0x40000000));
    T(pwritev2(fd, w, 2, -1, 0));
    T(pwritev2(fd, w, 2, 0, RWF_APPEND));
    T(pwritev2(fd, w, 2, 0, RWF_DSYNC));
    T(lseek(fd, 0, SEEK_CUR));
    show_file("a");
    T(preadv(fd, v, 2, -1));
    T(preadv(fd, v, minus_one, 0));
    T(readv(fd, v, too_many));
    T(readv(fd, v, 0));
    T(read(fd, x, 0));
    T(write(fd, x, 0));
    T(pread(fd, x, 4, -1));
    T(pwrite(fd, x, 4, -1));
    T(pread(fd, x, 4, 1000));
    T(read(wo, x, 1));
    T(write(ro, x, 1));
    T(pread(wo, x, 1, 0));
    T(pwrite(ro, x, 1, 0));
    T(ftruncate(ro, 0));
    T(ftruncate(fd, -1));
    T(ftruncate(fd, 5));
    show_file("a");
    T(ftruncate(fd, 12));
    show_file("a");
    T(fsync(fd));
    T(fdatasync(ro));
    T(fsync(99));
    T(syncfs(fd));
    T(sync_file_range(fd, 0, 10, SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER));
    T(sync_file_range(fd, -1, 10, 0));
    T(sync_file_range(fd, 0, 10, 77));
    T(posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL));
    T(posix_fadvise(fd, 0, 0, 77));
    T(readahead(ro, 0, 100));
    T(readahead(wo, 0, 100));
    T(fchmod(fd, 0600));
    T(fchown(fd, getuid(), getgid()));
    {
        struct timespec t[2] = {{1000, 5}, {2000, 7}};
        struct stat st;

        T(futimens(fd, t));
        T(fstat(fd, &st));
        trace("mode %o size %ld times %ld.%ld %ld.%ld", st.st_mode, (long)st.st_size, (long)st.st_atim.tv_sec,
              st.st_atim.tv_nsec, (long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
    }
    T(syscall(SYS_read, ro, x, 4));
    T(syscall(SYS_pwrite64, fd, "zz", 2, 0));
    T(syscall(SYS_lseek, ro, 0, SEEK_CUR));
    show_file("a");
    {
        int to = open(P("copy"), O_RDWR | O_CREAT, 0644);
        loff_t from = 0;
        char *p;

        T(syscall(SYS_copy_file_range, ro, &from, to, NULL, 6, 0));
        T(syscall(SYS_sendfile, to, ro, NULL, 100));
        show_file("copy");
        p = (char *)syscall(SYS_mmap, NULL, 4096, PROT_READ, MAP_PRIVATE, to, 0);
        trace("mapped %.4s", p == MAP_FAILED ? "not" : p);
    }
}

static void
on_signal(int sig)
{
    (void)sig;
    trace("SIGXFSZ");
}

void
family_space(void)
{
    int fd = make("a", "0123456789abcdef"), n = -1;
    struct rlimit was, limit;

    T(posix_fallocate(fd, 0, 100000));
    T(lseek(fd, 0, SEEK_END));
    T(posix_fallocate(fd, -1, 10));
    T(posix_fallocate(99, 0, 10));
    T(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 200000));
    T(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 8));
    show_file("a");
    T(fallocate(fd, 0, -1, 8));
    T(fallocate(fd, 0, 0, 0));
    T(lseek(fd, 0, SEEK_END));
    T(ftruncate(fd, 0));
    T(ftruncate(fd, 1 << 20));
    T(pwrite(fd, "data", 4, 524288));
    T(lseek(fd, 0, SEEK_DATA) >= 0);
    T(lseek(fd, 1 << 20, SEEK_DATA));
    T(lseek(fd, 1 << 20, SEEK_HOLE));
    T(lseek(fd, 2 << 20, SEEK_HOLE));
    T(lseek(fd, 0, SEEK_SET));
    T(lseek(fd, 1000, SEEK_SET));
    T(ioctl(fd, FIONREAD, &n));
    trace("FIONREAD %d", n);
    T(ioctl(fd, FIOCLEX));
    T(fcntl(fd, F_GETFD));
    T(ioctl(fd, FIONCLEX));
    T(ioctl(fd, 0x5401 /* TCGETS */, &was));
    T(ioctl(99, FIONREAD, &n));
    T(isatty(fd));
    // The limit of a file's size: the rest first, then the signal.
    signal(SIGXFSZ, on_signal);
    T(getrlimit(RLIMIT_FSIZE, &was));
    limit = was;
    limit.rlim_cur = 100000; // the trace is shorter
    T(setrlimit(RLIMIT_FSIZE, &limit));
    T(ftruncate(fd, 0));
    T(pwrite(fd, "0123456789", 10, 99995));
    T(pwrite(fd, "0123456789", 10, 100000));
    T(ftruncate(fd, 100001));
    T(ftruncate(fd, 100000));
    T(setrlimit(RLIMIT_FSIZE, &was));
    T(ftruncate(fd, 100001));
}

void
family_poll(void)
{
    int fd = make("a", "x"), ep = epoll_create1(EPOLL_CLOEXEC), p[2];
    struct epoll_event ev = {.events = EPOLLIN};
    struct pollfd pf[3] = {{fd, POLLIN | POLLOUT, 0}, {99, POLLIN, 0}, {-1, POLLIN, 0}};
    struct timeval none = {0, 0};
    fd_set r, w, e;

    T(poll(pf, 3, -1));
    trace("%x %x %x", pf[0].revents, pf[1].revents, pf[2].revents);
    T(ppoll(pf, 1, NULL, NULL));
    trace("%x", pf[0].revents);
    FD_ZERO(&r);
    FD_ZERO(&w);
    FD_ZERO(&e);
    FD_SET(fd, &r);
    FD_SET(fd, &w);
    FD_SET(fd, &e);
    T(select(fd + 1, &r, &w, &e, &none));
    trace("%d %d %d", FD_ISSET(fd, &r), FD_ISSET(fd, &w), FD_ISSET(fd, &e));
    T(pselect(fd + 1, &r, NULL, NULL, NULL, NULL));
    T(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
    T(epoll_ctl(fd, EPOLL_CTL_ADD, ep, &ev));
    T(pipe(p));
    pf[0] = (struct pollfd){p[0], POLLIN, 0};
    pf[1] = (struct pollfd){fd, POLLIN, 0};
    T(poll(pf, 2, 1000));
    trace("%x %x", pf[0].revents, pf[1].revents);
}
