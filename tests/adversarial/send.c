// SPDX-License-Identifier: Apache-2.0
// Sending absent memory: the kernel sees what the program sees, and every return value and errno is the
// native one.
#include "tests/adversarial/adv.h"

#include <linux/errqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>

#define N (512 * KIB)

static int
join_drain(pthread_t thread, const struct drain *d)
{
    EXPECT(pthread_join(thread, NULL) == 0);
    EXPECT(d->ok);
    return 0;
}

// Non-blocking: partial counts and EAGAIN, with the program's own loop around them.
static int
partial_send(bool tcp)
{
    int fd[2];
    int small = 65536;
    EXPECT((tcp ? tcp_pair(fd) : unix_pair(fd, SOCK_STREAM)) == 0);
    EXPECT(setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small) == 0);
    EXPECT(setsockopt(fd[1], SOL_SOCKET, SO_RCVBUF, &small, sizeof small) == 0);
    uint8_t *p = absent(4 * N, 1), *got = malloc(4 * N);
    size_t sent = 0, received = 0, partial = 0, again = 0;
    EXPECT(set_nonblock(fd[0], true) && set_nonblock(fd[1], true));
    while (received < 4 * N) {
        ssize_t n = sent < 4 * N ? send(fd[0], p + sent, 4 * N - sent, MSG_NOSIGNAL) : 0;
        EXPECT(n >= 0 || errno == EAGAIN);
        partial += n > 0 && (size_t)n < 4 * N - sent;
        again += n < 0;
        sent += n > 0 ? (size_t)n : 0;
        if (n > 0)
            continue;
        n = recv(fd[1], got + received, 4 * N - received, 0);
        EXPECT(n > 0 || errno == EAGAIN);
        received += n > 0 ? (size_t)n : 0;
    }
    EXPECT(partial > 0 && again > 0);
    EXPECT(same(got, 4 * N, 1));
    EXPECT(same(p, 4 * N, 1));
    return 0;
}

static int
partial_send_unix(void)
{
    return partial_send(false);
}

static int
partial_send_tcp(void)
{
    return partial_send(true);
}

static int
send_blocking(void)
{
    int fd[2];
    pthread_t thread;
    EXPECT(tcp_pair(fd) == 0);
    struct drain d = {.fd = fd[1], .n = 8 * N, .seed = 1};
    uint8_t *p = absent(8 * N, 1);
    EXPECT(pthread_create(&thread, NULL, drain_main, &d) == 0);
    EXPECT(send(fd[0], p, 8 * N, 0) == (ssize_t)(8 * N));
    return join_drain(thread, &d);
}

// Every call that writes, from one absent buffer, at odd places.
static int
send_by_every_call(void)
{
    int fd[2];
    pthread_t thread;
    EXPECT(tcp_pair(fd) == 0);
    uint8_t *p = absent(7 * N + 5, 1);
    struct drain d = {.fd = fd[1], .n = 7 * N, .seed = 1};
    EXPECT(pthread_create(&thread, NULL, drain_main, &d) == 0);
    struct iovec v[4] = {{p, 100}, {p + 100, N - 103}, {NULL, 0}, {p + N - 3, 3}};
    EXPECT(writev(fd[0], v, 4) == (ssize_t)N);
    EXPECT(write(fd[0], p + N, N) == (ssize_t)N);
    EXPECT(send(fd[0], p + 2 * N, N, MSG_NOSIGNAL) == (ssize_t)N);
    EXPECT(sendto(fd[0], p + 3 * N, N, 0, NULL, 0) == (ssize_t)N);
    v[0] = (struct iovec){p + 4 * N, 70001};
    v[1] = (struct iovec){p + 4 * N + 70001, N - 70001};
    struct msghdr m = {.msg_iov = v, .msg_iovlen = 2};
    EXPECT(sendmsg(fd[0], &m, 0) == (ssize_t)N);
    struct mmsghdr mm[2] = {0};
    v[0] = (struct iovec){p + 5 * N, N / 2};
    v[1] = (struct iovec){p + 5 * N + N / 2, N / 2};
    mm[0].msg_hdr = (struct msghdr){.msg_iov = &v[0], .msg_iovlen = 1};
    mm[1].msg_hdr = (struct msghdr){.msg_iov = &v[1], .msg_iovlen = 1};
    EXPECT(sendmmsg(fd[0], mm, 2, 0) == 2);
    EXPECT(mm[0].msg_len == N / 2 && mm[1].msg_len == N / 2);
    EXPECT(raw_syscall(SYS_write, fd[0], (long)(p + 6 * N), N, 0, 0, 0) == (long)N);
    return join_drain(thread, &d);
}

// What was handed to the kernel is what was there then, not what is there when the peer reads.
static int
stored_to_after_send(void)
{
    int fd[2];
    EXPECT(unix_pair(fd, SOCK_STREAM) == 0);
    uint8_t *p = absent(100000, 1), *got = malloc(100000);
    EXPECT(send(fd[0], p, 100000, 0) == 100000);
    fill(p, 100000, 2);
    EXPECT(recv(fd[1], got, 100000, MSG_WAITALL) == 100000);
    EXPECT(same(got, 100000, 1));
    EXPECT(tcp_pair(fd) == 0);
    p = absent(100000, 1);
    EXPECT(send(fd[0], p, 100000, 0) == 100000);
    free(p);
    p = new_filled(100000, 2);
    EXPECT(recv(fd[1], got, 100000, MSG_WAITALL) == 100000);
    EXPECT(same(got, 100000, 1));
    return 0;
}

static volatile sig_atomic_t pipes;

static void
on_pipe(int sig)
{
    (void)sig;
    pipes++;
}

static int
broken_pipe(void)
{
    int fd[2];
    uint8_t *p = absent(N, 1);
    struct iovec v = {p, N};
    signal(SIGPIPE, on_pipe);
    EXPECT(unix_pair(fd, SOCK_STREAM) == 0);
    close(fd[1]);
    EXPECT(send(fd[0], p, N, MSG_NOSIGNAL) == -1 && errno == EPIPE && pipes == 0);
    EXPECT(send(fd[0], p, N, 0) == -1 && errno == EPIPE && pipes == 1);
    EXPECT(write(fd[0], p, N) == -1 && errno == EPIPE && pipes == 2);
    EXPECT(writev(fd[0], &v, 1) == -1 && errno == EPIPE && pipes == 3);
    EXPECT(pipe(fd) == 0);
    close(fd[0]);
    EXPECT(write(fd[1], p, N) == -1 && errno == EPIPE && pipes == 4);
    signal(SIGPIPE, SIG_IGN);
    EXPECT(write(fd[1], p, N) == -1 && errno == EPIPE);
    EXPECT(same(p, N, 1));
    return 0;
}

static int
killed_by_sigpipe(void)
{
    int fd[2], status;
    EXPECT(unix_pair(fd, SOCK_STREAM) == 0);
    uint8_t *p = absent(N, 1);
    pid_t pid = fork();
    if (pid == 0) {
        close(fd[1]);
        signal(SIGPIPE, SIG_DFL);
        shutdown(fd[0], SHUT_WR);
        send(fd[0], p, N, 0);
        _exit(0);
    }
    EXPECT(waitpid(pid, &status, 0) == pid);
    EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGPIPE);
    return 0;
}

static int
send_errors(void)
{
    int fd[2];
    volatile int negative = -1, too_many = 5000;
    uint8_t *p = absent(N, 1), *bad = map_anon(N);
    munmap(bad, N);
    EXPECT(unix_pair(fd, SOCK_STREAM) == 0);
    EXPECT(send(-1, p, N, 0) == -1 && errno == EBADF);
    EXPECT(write(900000, p, N) == -1 && errno == EBADF);
    EXPECT(send(open("/dev/null", O_WRONLY), p, N, 0) == -1 && errno == ENOTSOCK);
    EXPECT(write(open("/dev/null", O_RDONLY), p, N) == -1 && errno == EBADF);
    EXPECT(write(open("/dev/null", O_WRONLY), p, N) == (ssize_t)N);
    EXPECT(send(fd[0], bad, N, MSG_DONTWAIT) == -1 && errno == EFAULT);
    struct iovec v[2] = {{p, N}, {p, (size_t)-1}};
    EXPECT(writev(fd[0], v, 2) == -1 && errno == EINVAL);
    EXPECT(writev(fd[0], v, negative) == -1 && errno == EINVAL);
    EXPECT(writev(fd[0], v, too_many) == -1 && errno == EINVAL);
    EXPECT(write(fd[0], NULL, 0) == 0);
    EXPECT(same(p, N, 1));
    return 0;
}

static int
datagrams(void)
{
    int fd[2];
    int big = 4 << 20;
    EXPECT(unix_pair(fd, SOCK_DGRAM) == 0);
    setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &big, sizeof big);
    uint8_t *p = absent(100000, 1), *got = malloc(200000);
    EXPECT(send(fd[0], p, 100000, 0) == 100000);
    EXPECT(send(fd[0], p + 5, 60000, 0) == 60000);
    EXPECT(recv(fd[1], got, 200000, 0) == 100000);
    EXPECT(same(got, 100000, 1));
    EXPECT(recv(fd[1], got, 200000, 0) == 60000);
    EXPECT(same_from(got, 60000, 1, 5));
    uint8_t *large = absent(16 * MIB, 1);
    EXPECT(send(fd[0], large, 16 * MIB, 0) == -1 && errno == EMSGSIZE);
    EXPECT(unix_pair(fd, SOCK_SEQPACKET) == 0);
    EXPECT(send(fd[0], p, 50000, MSG_EOR) == 50000);
    EXPECT(recv(fd[1], got, 200000, 0) == 50000);
    EXPECT(same(got, 50000, 1));
    return 0;
}

static int
descriptors_by_sendmsg(void)
{
    int fd[2], inner[2];
    EXPECT(unix_pair(fd, SOCK_STREAM) == 0 && pipe(inner) == 0);
    uint8_t *p = absent(64 * KIB, 1), *got = absent(64 * KIB, 2);
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec v = {p, 64 * KIB};
    struct msghdr m = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    *(int *)CMSG_DATA(c) = inner[1];
    EXPECT(sendmsg(fd[0], &m, 0) == (ssize_t)(64 * KIB));
    close(inner[1]);
    control = (typeof(control)){0};
    v.iov_base = got;
    m.msg_controllen = sizeof control;
    // A receive ends where the message with the descriptors does.
    ssize_t first = recvmsg(fd[1], &m, MSG_WAITALL);
    EXPECT(first > 0);
    if ((size_t)first < 64 * KIB)
        EXPECT(recv_all(fd[1], got + first, 64 * KIB - (size_t)first));
    EXPECT(same(got, 64 * KIB, 1));
    c = CMSG_FIRSTHDR(&m);
    EXPECT(c && c->cmsg_type == SCM_RIGHTS && m.msg_controllen == CMSG_SPACE(sizeof(int)));
    EXPECT(write(*(int *)CMSG_DATA(c), "y", 1) == 1);
    char y = 0;
    EXPECT(read(inner[0], &y, 1) == 1 && y == 'y');
    return 0;
}

// vmsplice lends the program's own pages to a pipe; once the pipe is drained they may be reused.
static int
vmspliced(void)
{
    int fd[2];
    EXPECT(pipe(fd) == 0);
    uint8_t *p = absent_map(64 * KIB, 1), *got = malloc(64 * KIB);
    struct iovec v = {p, 64 * KIB};
    ssize_t n = vmsplice(fd[1], &v, 1, 0);
    EXPECT(n == (ssize_t)(64 * KIB));
    EXPECT(read(fd[0], got, 64 * KIB) == n);
    EXPECT(same(got, 64 * KIB, 1));
    fill(p, 64 * KIB, 2);
    uint8_t *again = copied(p, 64 * KIB);
    EXPECT(vmsplice(fd[1], &v, 1, 0) == n);
    EXPECT(read(fd[0], got, 64 * KIB) == n);
    EXPECT(same(got, 64 * KIB, 2));
    EXPECT(same(again, 64 * KIB, 2));
    return 0;
}

static bool
completed(void *arg)
{
    struct msghdr m = {0};
    char control[128];
    m.msg_control = control;
    m.msg_controllen = sizeof control;
    return recvmsg(*(int *)arg, &m, MSG_ERRQUEUE | MSG_DONTWAIT) >= 0;
}

// The program's own MSG_ZEROCOPY: it may store again only after the completion.
static int
zerocopy_of_its_own(void)
{
    int fd[2], one = 1;
    pthread_t thread;
    EXPECT(tcp_pair(fd) == 0);
    uint8_t *p = absent(N, 1);
    SKIP_IF(setsockopt(fd[0], SOL_SOCKET, SO_ZEROCOPY, &one, sizeof one) < 0, "no SO_ZEROCOPY");
    struct drain d = {.fd = fd[1], .n = 2 * N, .seed = 1};
    EXPECT(pthread_create(&thread, NULL, drain_main, &d) == 0);
    ssize_t n = send(fd[0], p, N, MSG_ZEROCOPY);
    SKIP_IF(n < 0 && errno == ENOBUFS, "no locked memory for MSG_ZEROCOPY");
    EXPECT(n == (ssize_t)N);
    EXPECT(wait_until(completed, &fd[0], 10));
    fill_from(p, N, 1, N);
    EXPECT(send(fd[0], p, N, MSG_ZEROCOPY) == (ssize_t)N);
    EXPECT(join_drain(thread, &d) == 0);
    EXPECT(wait_until(completed, &fd[0], 10));
    return 0;
}

// A server's loop: receive, copy a few times, send; fresh and reused buffers.
static int
echo_loop(void)
{
    int fd[2];
    EXPECT(tcp_pair(fd) == 0);
    uint8_t *in = malloc(N), *reused = malloc(N), *back = malloc(N);
    for (unsigned i = 0; i < 60; i++) {
        pthread_t thread;
        size_t n = i % 3 ? N : 100001;
        struct drain d = {.fd = fd[0], .n = n, .seed = i};
        fill(back, n, i);
        pid_t pid = fork();
        if (pid == 0)
            _exit(!send_all(fd[0], back, n));
        EXPECT(recv(fd[1], in, n, MSG_WAITALL) == (ssize_t)n);
        EXPECT(child_ok(pid));
        uint8_t *fresh = copied(in, n), *fresh2 = copied(fresh, n);
        do_memcpy(reused, fresh2, n);
        free(fresh);
        EXPECT(pthread_create(&thread, NULL, drain_main, &d) == 0);
        EXPECT(send(fd[1], i % 2 ? reused : fresh2, n, 0) == (ssize_t)n);
        EXPECT(join_drain(thread, &d) == 0);
        free(fresh2);
    }
    return 0;
}

const struct adv_case adv_send_cases[] = {
    {"partial_send_unix", partial_send_unix, ADV_ELIDES},
    {"partial_send_tcp", partial_send_tcp, ADV_ELIDES},
    {"send_blocking", send_blocking, ADV_ELIDES},
    {"send_by_every_call", send_by_every_call, ADV_ELIDES},
    {"stored_to_after_send", stored_to_after_send, ADV_ELIDES},
    {"broken_pipe", broken_pipe, ADV_ELIDES},
    {"killed_by_sigpipe", killed_by_sigpipe, ADV_ELIDES},
    {"send_errors", send_errors, ADV_ELIDES},
    {"datagrams", datagrams, ADV_ELIDES},
    {"descriptors_by_sendmsg", descriptors_by_sendmsg, ADV_ELIDES},
    {"vmspliced", vmspliced, ADV_ELIDES},
    {"zerocopy_of_its_own", zerocopy_of_its_own, ADV_ELIDES},
    {"echo_loop", echo_loop, ADV_ELIDES},
    {NULL, NULL, 0},
};
