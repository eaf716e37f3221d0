// SPDX-License-Identifier: Apache-2.0
// Signal handlers that do I/O at full rate, threads that open, read, dup and close at once, descriptors sent
// to another process, and what the kernel is told about a routed descriptor behind the hooks' back.
#include <linux/io_uring.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>

#include "tests/route/core.h"

// ---- signals ----

static int handler_fd, log_fd;
static volatile int handled, wrong;

static void
handler(int sig)
{
    int saved = errno, fd;
    char c[4];

    (void)sig;
    if (pread(handler_fd, c, 4, 0) != 4 || memcmp(c, "good", 4) != 0)
        wrong++;
    fd = open(P("h"), O_RDONLY);
    if (fd < 0 || read(fd, c, 4) != 4 || close(fd) != 0)
        wrong++;
    if (write(log_fd, "h", 1) != 1)
        wrong++;
    handled++;
    errno = saved;
}

void
family_signals(void)
{
    struct itimerval fast = {{0, 200}, {0, 200}}, off = {{0, 0}, {0, 0}};
    struct sigaction act = {.sa_handler = handler, .sa_flags = SA_RESTART};
    char block[4096];
    int fd = make("a", ""), n = 0;

    handler_fd = make("h", "good");
    log_fd = open(P("log"), O_WRONLY | O_CREAT | O_APPEND, 0644);
    memset(block, 'b', sizeof block);
    sigaction(SIGALRM, &act, NULL);
    setitimer(ITIMER_REAL, &fast, NULL);
    for (; n < 200000 && handled < 1000; n++) {
        int d = dup(fd);

        if (pwrite(fd, block, sizeof block, (n % 64) * 4096) != (ssize_t)sizeof block ||
            pread(d, block, sizeof block, (n % 64) * 4096) != (ssize_t)sizeof block ||
            lseek(fd, n, SEEK_SET) != n || close(d) != 0)
            wrong++;
        d = open(P("a"), O_RDONLY);
        if (d < 0 || read(d, block, 1) != 1 || close(d) != 0)
            wrong++;
    }
    setitimer(ITIMER_REAL, &off, NULL);
    trace("handlers %s, %d wrong, log %s", handled >= 1000 ? "ran" : "did not run", wrong,
          lseek(log_fd, 0, SEEK_END) == handled ? "whole" : "short");
}

// The same with handlers that were installed by functions of old; one is there for once, and installs itself.
sighandler_t __sysv_signal(int sig, sighandler_t h);

static void
once_handler(int sig)
{
    struct itimerval soon = {{0, 0}, {0, 500}}; // one at a time, as the next one might find no handler

    __sysv_signal(sig, once_handler);
    handler(sig);
    setitimer(ITIMER_REAL, &soon, NULL);
}

void
family_signals_of_old(void)
{
    struct itimerval soon = {{0, 0}, {0, 500}}, off = {{0, 0}, {0, 0}};
    char block[64];
    int fd = make("a", "");

    handler_fd = make("h", "good");
    log_fd = open(P("log"), O_WRONLY | O_CREAT | O_APPEND, 0644);
    memset(block, 'b', sizeof block);
    trace("before: %d", __sysv_signal(SIGALRM, once_handler) == SIG_DFL);
    T(__sysv_signal(0, once_handler));
    setitimer(ITIMER_REAL, &soon, NULL);
    for (int n = 0; n < 200000 && handled < 300; n++)
        if (pwrite(fd, block, sizeof block, 0) != sizeof block || fsync(fd) != 0)
            wrong++;
    setitimer(ITIMER_REAL, &off, NULL);
    trace("handlers %s, %d wrong, log %s", handled >= 300 ? "ran" : "did not run", wrong,
          lseek(log_fd, 0, SEEK_END) == handled ? "whole" : "short");
}

// A handler that opens a file while its thread is inside of malloc, which most of these find it in.
static void
opening_handler(int sig)
{
    int saved = errno, fd = open(P("h"), O_RDWR | O_CREAT, 0644);
    char c[4];

    (void)sig;
    if (fd < 0 || pwrite(fd, "good", 4, 0) != 4 || read(fd, c, 4) != 4 || memcmp(c, "good", 4) != 0 ||
        close(fd) != 0)
        wrong++;
    handled++;
    errno = saved;
}

void
family_signals_in_malloc(void)
{
    struct itimerval fast = {{0, 200}, {0, 200}}, off = {{0, 0}, {0, 0}};
    struct sigaction act = {.sa_handler = opening_handler, .sa_flags = SA_RESTART};
    void *volatile p[64] = {NULL};

    close(make("h", "good"));
    sigaction(SIGALRM, &act, NULL);
    setitimer(ITIMER_REAL, &fast, NULL);
    for (unsigned n = 0; handled < 2000; n++) {
        free(p[n % 64]);
        p[n % 64] = malloc(n * 37 % 5000 + 1000);
    }
    setitimer(ITIMER_REAL, &off, NULL);
    for (unsigned n = 0; n < 64; n++)
        free(p[n]);
    trace("%d wrong", wrong);
}

// The same in several threads, while another forks: fork waits for malloc's lock, which they hold, and must
// not keep from them what their handlers need.
static char opened[4096];
static _Atomic bool forked_enough;
static _Atomic int opened_wrong;
static _Atomic unsigned opened_often;

static void
open_again(int sig)
{
    int saved = errno, fd = open(opened, O_RDWR);
    char c[4];

    (void)sig;
    if (fd < 0 || read(fd, c, 4) != 4 || memcmp(c, "good", 4) != 0 || close(fd) != 0)
        opened_wrong++;
    opened_often++;
    errno = saved;
}

static void *
stay_in_malloc(void *arg)
{
    void *volatile p[64] = {NULL};

    (void)arg;
    for (unsigned n = 0; !forked_enough; n++) {
        free(p[n % 64]);
        p[n % 64] = malloc(n * 37 % 5000 + 2000);
    }
    for (unsigned n = 0; n < 64; n++)
        free(p[n]);
    return NULL;
}

void
family_forks_signalled(void)
{
    struct sigaction act = {.sa_handler = open_again, .sa_flags = SA_RESTART};
    pthread_t t[3];

    snprintf(opened, sizeof opened, "%s", P("h"));
    close(make("h", "good"));
    sigaction(SIGUSR1, &act, NULL);
    for (int i = 0; i < 3; i++)
        pthread_create(&t[i], NULL, stay_in_malloc, NULL);
    for (int i = 0; i < 100; i++) {
        pid_t pid;
        int status;

        for (int k = 0; k < 3; k++)
            pthread_kill(t[k], SIGUSR1);
        pid = fork();
        if (pid == 0) {
            open_again(0);
            _exit(opened_wrong);
        }
        for (int k = 0; k < 3; k++)
            pthread_kill(t[k], SIGUSR1);
        if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
            opened_wrong++;
    }
    forked_enough = true;
    for (int i = 0; i < 3; i++)
        pthread_join(t[i], NULL);
    trace("%d wrong, handlers %s", opened_wrong, opened_often ? "ran" : "did not run");
}

// ---- threads ----

static _Atomic int thread_wrong;

static void *
churn(void *arg)
{
    long me = (long)arg;
    char buf[16], want[16], name[16];

    snprintf(name, sizeof name, "t%ld", me);
    snprintf(want, sizeof want, "thread %7ld", me);
    for (int i = 0; i < 400; i++) {
        int fd = open(P(name), O_RDWR | O_CREAT, 0644), d;

        if (fd < 0 || write(fd, want, 14) != 14 || (d = dup(fd)) < 0 || close(fd) != 0) {
            thread_wrong++;
            continue;
        }
        if (lseek(d, 0, SEEK_SET) != 0 || read(d, buf, 14) != 14 || memcmp(buf, want, 14) != 0 ||
            close(d) != 0)
            thread_wrong++;
    }
    return NULL;
}

static void *
fork_much(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20; i++) {
        pid_t pid = fork();
        int status;

        if (pid == 0) {
            char c[4];

            _exit(pread(handler_fd, c, 4, 0) == 4 ? 0 : 1);
        }
        if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
            thread_wrong++;
    }
    return NULL;
}

static int shared_fd;

static void *
share(void *arg)
{
    (void)arg;
    for (int i = 0; i < 500; i++)
        if (write(shared_fd, "12345678", 8) != 8)
            thread_wrong++;
    return NULL;
}

void
family_threads(void)
{
    pthread_t t[7];

    handler_fd = make("h", "good");
    shared_fd = make("shared", "");
    for (long i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, churn, (void *)i);
    pthread_create(&t[4], NULL, fork_much, NULL);
    pthread_create(&t[5], NULL, share, NULL);
    pthread_create(&t[6], NULL, share, NULL);
    for (int i = 0; i < 7; i++)
        pthread_join(t[i], NULL);
    trace("%d wrong, shared is %ld long", thread_wrong, (long)lseek(shared_fd, 0, SEEK_END));
}

// ---- cancelling ----

static int cancel_fd;
static _Atomic bool began;

static void *
reader(void *arg)
{
    char c[64];

    (void)arg;
    for (;;) {
        if (pread(cancel_fd, c, sizeof c, 0) != 10)
            thread_wrong++;
        began = true;
    }
    return NULL;
}

static void *
opener(void *arg)
{
    (void)arg;
    for (;;) {
        int fd = open(P("a"), O_RDONLY);

        if (fd >= 0)
            close(fd);
        began = true;
    }
    return NULL;
}

static void *
waiter(void *arg)
{
    int fd = open(P("a"), O_RDWR);
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    (void)arg;
    began = true;
    fcntl(fd, F_SETLKW, &l); // its holder does not let go
    thread_wrong++;
    return NULL;
}

static void
cancelled(const char *text, void *(*fn)(void *))
{
    void *result = NULL;
    pthread_t t;

    began = false;
    pthread_create(&t, NULL, fn, NULL);
    while (!began)
        sched_yield();
    pthread_cancel(t);
    pthread_join(t, &result);
    trace("%s: %s", text, result == PTHREAD_CANCELED ? "cancelled" : "ended");
}

static void
hold_lock(void *arg)
{
    int *p = arg, fd = open(P("a"), O_RDWR);
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    char c = 'x';

    fcntl(fd, F_SETLK, &l);
    if (write(p[1], &c, 1) != 1 || read(p[2], &c, 1) != 1)
        _exit(1);
}

void
family_cancel(void)
{
    int p[4];
    pid_t pid;
    char c;

    cancel_fd = make("a", "0123456789");
    cancelled("reader", reader);
    cancelled("opener", opener);
    if (pipe(p) < 0 || pipe(p + 2) < 0)
        return;
    pid = begin_child(hold_lock, p);
    if (read(p[0], &c, 1) != 1)
        trace("no holder");
    cancelled("waiter", waiter);
    if (write(p[3], "x", 1) != 1)
        trace("no holder");
    await_child("holder", pid);
    // The locks of the library are free: others go on.
    show_file("a");
    trace("%d wrong", thread_wrong);
}

// ---- bad addresses ----

static struct {
    int fd;
    char *page;
} half;

static void
read_without(void *arg)
{
    (void)arg;
    T(pread(half.fd, half.page, 10, 0));
    T(pwrite(half.fd, half.page, 10, 0));
}

// What is before the bad part is done.
static void
half_good(int fd)
{
    char *m = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct iovec v[3] = {{m, 100}, {m + 4000, 200}, {m + 8192, 100}},
                 other[2] = {{m, 10}, {(char *)-4096, 10}};

    memset(m, 'm', 16384);
    mprotect(m + 4096, 4096, PROT_NONE);
    T(pwrite(fd, m, 8192, 0));
    T(pwrite(fd, m + 100, 5000, 10));
    T(pwritev(fd, v, 3, 4096));
    T(pwritev(fd, other, 2, 0));
    T(write(fd, m + 4090, 100));
    T(lseek(fd, 0, SEEK_CUR));
    T(pread(fd, m, 8192, 0));
    T(pread(fd, m + 4096, 10, 100000)); // at the end nothing is stored
    T(preadv(fd, v, 3, 0));
    T(preadv(fd, other, 2, 0));
    T(pread(fd, m + 8192, 4096, 0));
    T(madvise(m + 8192, 4096, MADV_DONTFORK));
    half.fd = fd;
    half.page = m + 8192;
    in_child("without a page", read_without, NULL);
    T(lseek(fd, 0, SEEK_END));
    munmap(m, 16384);
}

void
family_fault(void)
{
    int fd = make("a", "0123456789");
    const struct iovec *volatile list = (struct iovec *)1; // the compiler must not know
    char *const bad[] = {NULL, (char *)1, (char *)-1, (char *)0x7fffffffffff};

    for (int i = 0; i < 4; i++) {
        struct iovec v = {bad[i], 10};

        trace("address %d", i);
        T(read(fd, bad[i], 10));
        T(pread(fd, bad[i], 10, 0));
        T(readv(fd, &v, 1));
        T(write(fd, bad[i], 10));
        T(pwrite(fd, bad[i], 10, 0));
        T(pwritev(fd, &v, 1, 0));
        T(open(bad[i], O_RDONLY));
        T(openat(AT_FDCWD, bad[i], O_RDWR | O_CREAT, 0644));
        T(chdir(bad[i]));
        T(lseek(fd, 0, SEEK_CUR));
    }
    T(readv(fd, list, 1));
    T(fcntl(fd, F_SETLK, NULL));
    show_file("a");
    half_good(fd);
}

// ---- past the hooks ----

// The kernel's own view of a routed descriptor must be an error, never another file's bytes: the results are
// not the native ones, so that only the verdict is traced.
static void
raw_calls(int fd, bool routed)
{
    char c[8] = "";
    long r, w;

    __asm__ volatile("syscall"
                     : "=a"(r)
                     : "a"(SYS_pread64), "D"(fd), "S"(c), "d"(4)
                     : "rcx", "r11", "memory");
    __asm__ volatile("syscall"
                     : "=a"(w)
                     : "a"(SYS_write), "D"(fd), "S"("junk"), "d"(4)
                     : "rcx", "r11", "memory");
    trace("raw read and write: %s", routed ? (r == -EBADF && w == -EBADF ? "honest" : "not honest")
                                           : (r >= 0 && w == 4 ? "honest" : "not honest"));
}

static void
uring(int fd, bool routed)
{
    struct io_uring_params p = {0};
    int ring = (int)syscall(SYS_io_uring_setup, 4, &p);
    struct io_uring_sqe *sqe;
    struct io_uring_cqe *cqe;
    static char buf[16];
    unsigned *array, *tail, *head;
    char *sq;

    if (ring < 0) {
        trace("io_uring: honest");
        return;
    }
    sq = mmap(NULL, p.sq_off.array + p.sq_entries * 4 + 4096, PROT_READ | PROT_WRITE, MAP_SHARED, ring,
              IORING_OFF_SQ_RING);
    sqe = mmap(NULL, p.sq_entries * sizeof *sqe, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
    array = (unsigned *)(sq + p.sq_off.array);
    tail = (unsigned *)(sq + p.sq_off.tail);
    memset(sqe, 0, sizeof *sqe);
    sqe->opcode = IORING_OP_READ;
    sqe->fd = fd;
    sqe->addr = (uintptr_t)buf;
    sqe->len = sizeof buf;
    array[0] = 0;
    __atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
    syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0);
    head = (unsigned *)(sq + p.cq_off.head);
    cqe = (struct io_uring_cqe *)(sq + p.cq_off.cqes) + (*head & (p.cq_entries - 1));
    trace("io_uring: %s", (routed ? cqe->res < 0 : cqe->res >= 0) ? "honest" : "not honest");
    close(ring);
}

static void
send_fd(int sock, int fd)
{
    union {
        struct cmsghdr h;
        char room[CMSG_SPACE(sizeof(int))];
    } c;
    struct iovec iov = {(char *)"x", 1};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof c};

    c.h = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(&c.h), &fd, sizeof fd);
    T(sendmsg(sock, &m, 0));
}

static int
receive_fd(int sock)
{
    union {
        struct cmsghdr h;
        char room[CMSG_SPACE(sizeof(int))];
    } c;
    char x;
    struct iovec iov = {&x, 1};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof c};
    int fd = -1;

    if (recvmsg(sock, &m, 0) == 1 && CMSG_FIRSTHDR(&m))
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof fd);
    return fd;
}

static void
receiver(void *arg)
{
    int fd = receive_fd(*(int *)arg);

    T(fd >= 0);
    show_fd("received", fd);
    T(lseek(fd, 2, SEEK_SET));
}

void
family_pass(void)
{
    int fd = make("a", "0123456789"), pair[2], got;
    bool routed = getenv("ZIO_FS") != NULL;
    pid_t pid;

    raw_calls(open(P("b"), O_RDWR | O_CREAT, 0644), routed);
    uring(fd, routed);
    T(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    send_fd(pair[0], fd);
    pid = begin_child(receiver, &pair[1]);
    await_child("receiver", pid);
    T(lseek(fd, 0, SEEK_CUR)); // moved by the receiver
    // To itself: a descriptor more of the same open file description.
    T(lseek(fd, 5, SEEK_SET));
    send_fd(pair[0], fd);
    got = receive_fd(pair[1]);
    show_fd("to itself", got);
    T(lseek(fd, 0, SEEK_CUR));
}
