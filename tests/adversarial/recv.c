// SPDX-License-Identifier: Apache-2.0
// Receiving: into memory whose content is absent, less than asked for, and not at all. What was not received
// keeps its old value.
#include "tests/adversarial/adv.h"

#include <poll.h>
#include <pthread.h>
#include <sys/time.h>

#define N (512 * KIB)

static int
shorter_than_asked(uint8_t *into)
{
    int fd[2];
    EXPECT(unix_pair(fd, SOCK_STREAM) == 0);
    static const size_t lengths[] = {1, 100, 4095, 4096, 4097, 65535, 65536, 100001};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        size_t n = lengths[i];
        uint8_t *piece = new_filled(n, 7);
        EXPECT(send_all(fd[0], piece, n));
        EXPECT(recv(fd[1], into, N, 0) == (ssize_t)n);
        EXPECT(same_from(into + n, N - n, 1, n));
        EXPECT(same(into, n, 7));
        fill(into, n, 1);
        free(piece);
    }
    return 0;
}

static int
recv_short(void)
{
    return shorter_than_asked(new_filled(N, 1));
}

static int
recv_short_into_absent(void)
{
    return shorter_than_asked(absent(N, 1));
}

// Again and again into one buffer, each time made absent anew, and copied afterwards.
static int
recv_short_into_copied(void)
{
    int fd[2];
    EXPECT(unix_pair(fd, SOCK_STREAM) == 0);
    uint8_t *into = new_filled(N, 1);
    for (unsigned i = 0; i < 20; i++) {
        size_t n = 4096 + i * 5001;
        uint8_t *before = copied(into, N), *piece = new_filled(n, i + 10);
        EXPECT(send_all(fd[0], piece, n));
        EXPECT(recv(fd[1], into, N, 0) == (ssize_t)n);
        uint8_t *after = copied(into, N);
        fill(into, N, 99);
        EXPECT(same(after, n, i + 10));
        EXPECT(same_from(after + n, N - n, 1, n));
        EXPECT(same(before, N, 1));
        fill(into, N, 1);
        free(before);
        free(after);
        free(piece);
    }
    return 0;
}

static int
recv_nothing(void)
{
    int fd[2];
    EXPECT(unix_pair(fd, SOCK_STREAM) == 0);
    uint8_t *into = absent(N, 1);
    EXPECT(recv(fd[1], into, N, MSG_DONTWAIT) == -1 && errno == EAGAIN);
    EXPECT(same(into, N, 1));
    uint8_t *other = absent(N, 2);
    close(fd[0]);
    EXPECT(recv(fd[1], other, N, 0) == 0);
    EXPECT(read(fd[1], other, N) == 0);
    EXPECT(same(other, N, 2));
    EXPECT(recv(fd[0], other, N, 0) == -1 && errno == EBADF);
    EXPECT(same(other, N, 2));
    return 0;
}

static int
recv_timed_out(void)
{
    int fd[2];
    struct timeval tv = {.tv_usec = 20000};
    EXPECT(unix_pair(fd, SOCK_STREAM) == 0);
    EXPECT(setsockopt(fd[1], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv) == 0);
    uint8_t *into = absent(N, 1);
    EXPECT(recv(fd[1], into, N, 0) == -1 && errno == EAGAIN);
    EXPECT(same(into, N, 1));
    uint8_t *piece = new_filled(50000, 2);
    EXPECT(send_all(fd[0], piece, 50000));
    EXPECT(recv(fd[1], into, N, MSG_WAITALL) == 50000);
    EXPECT(same(into, 50000, 2));
    EXPECT(same_from(into + 50000, N - 50000, 1, 50000));
    return 0;
}

static int
recv_peeked(void)
{
    int fd[2];
    EXPECT(unix_pair(fd, SOCK_STREAM) == 0);
    uint8_t *piece = absent(100000, 2), *a = absent(N, 1), *b = absent(N, 1);
    EXPECT(send(fd[0], piece, 100000, 0) == 100000);
    EXPECT(recv(fd[1], a, 70000, MSG_PEEK) == 70000);
    EXPECT(same(a, 70000, 2));
    EXPECT(same_from(a + 70000, N - 70000, 1, 70000));
    EXPECT(recv(fd[1], b, N, 0) == 100000);
    EXPECT(same(b, 100000, 2));
    EXPECT(same_from(b + 100000, N - 100000, 1, 100000));
    return 0;
}

static int
recv_truncated(void)
{
    int fd[2];
    EXPECT(unix_pair(fd, SOCK_DGRAM) == 0);
    uint8_t *piece = absent(100000, 2), *a = absent(N, 1);
    EXPECT(send(fd[0], piece, 100000, 0) == 100000);
    EXPECT(recv(fd[1], a, 65536, MSG_TRUNC) == 100000);
    EXPECT(same(a, 65536, 2));
    EXPECT(same_from(a + 65536, N - 65536, 1, 65536));
    struct iovec v = {a, 40000};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    EXPECT(send(fd[0], piece, 90000, 0) == 90000);
    EXPECT(recvmsg(fd[1], &m, 0) == 40000 && (m.msg_flags & MSG_TRUNC));
    EXPECT(send(fd[0], piece, 30000, 0) == 30000);
    m.msg_flags = 0;
    EXPECT(recvmsg(fd[1], &m, 0) == 30000 && !(m.msg_flags & MSG_TRUNC));
    return 0;
}

// TCP throws data away when asked to receive with MSG_TRUNC; the buffer must keep its bytes.
static int
recv_discarded(void)
{
    int fd[2];
    EXPECT(tcp_pair(fd) == 0);
    uint8_t *piece = absent(64 * KIB, 2), *a = absent(N, 1);
    EXPECT(send(fd[0], piece, 64 * KIB, 0) == (ssize_t)(64 * KIB));
    size_t got = 0;
    while (got < 64 * KIB) {
        ssize_t n = recv(fd[1], a, 64 * KIB - got, MSG_TRUNC);
        EXPECT(n > 0);
        got += (size_t)n;
    }
    EXPECT(same(a, N, 1));
    return 0;
}

static int
recv_by_every_call(void)
{
    int fd[2];
    EXPECT(unix_pair(fd, SOCK_STREAM) == 0);
    uint8_t *p = absent_map(N, 9), *piece = new_filled(N, 1);
    size_t n = 20000, at = 0;
    EXPECT(send_all(fd[0], piece, 6 * n));
    EXPECT(recv(fd[1], p + at, n, 0) == (ssize_t)n);
    EXPECT(recvfrom(fd[1], p + (at += n), n, 0, NULL, NULL) == (ssize_t)n);
    EXPECT(read(fd[1], p + (at += n), n) == (ssize_t)n);
    at += n;
    struct iovec v[3] = {{p + at, 1}, {p + at + 1, n - 2}, {p + at + n - 1, 1}};
    EXPECT(readv(fd[1], v, 3) == (ssize_t)n);
    at += n;
    struct iovec w[2] = {{p + at, 9000}, {p + at + 9000, n - 9000}};
    struct msghdr m = {.msg_iov = w, .msg_iovlen = 2};
    EXPECT(recvmsg(fd[1], &m, 0) == (ssize_t)n);
    EXPECT(raw_syscall(SYS_recvfrom, fd[1], (long)(p + (at += n)), (long)n, 0, 0, 0) == (long)n);
    EXPECT(same(p, 6 * n, 1));
    EXPECT(same_from(p + 6 * n, N - 6 * n, 9, 6 * n));
    EXPECT(unix_pair(fd, SOCK_DGRAM) == 0);
    EXPECT(send(fd[0], piece, n, 0) == (ssize_t)n && send(fd[0], piece + n, n / 2, 0) == (ssize_t)(n / 2));
    uint8_t *q = absent_map(N, 9);
    struct iovec x[2] = {{q, n}, {q + n, n}};
    struct mmsghdr mm[2] = {{.msg_hdr = {.msg_iov = &x[0], .msg_iovlen = 1}},
                            {.msg_hdr = {.msg_iov = &x[1], .msg_iovlen = 1}}};
    EXPECT(recvmmsg(fd[1], mm, 2, 0, NULL) == 2 && mm[0].msg_len == n && mm[1].msg_len == n / 2);
    EXPECT(same(q, n + n / 2, 1));
    EXPECT(same_from(q + n + n / 2, N - n - n / 2, 9, n + n / 2));
    return 0;
}

static int
recv_into_middle_of_absent(void)
{
    int fd[2];
    EXPECT(unix_pair(fd, SOCK_STREAM) == 0);
    uint8_t *p = absent(N, 1), *piece = new_filled(100000, 2), *snapshot = copied(p, N);
    EXPECT(send_all(fd[0], piece, 100000));
    EXPECT(recv(fd[1], p + 123457, 100000, MSG_WAITALL) == 100000);
    uint8_t *copy = copied(p, N);
    free(p);
    EXPECT(same(copy, 123457, 1));
    EXPECT(same(copy + 123457, 100000, 2));
    EXPECT(same_from(copy + 223457, N - 223457, 1, 223457));
    EXPECT(same(snapshot, N, 1));
    return 0;
}

static int
recv_bad_addresses(void)
{
    int fd[2];
    EXPECT(unix_pair(fd, SOCK_STREAM) == 0);
    uint8_t *piece = new_filled(64 * KIB, 2), *ro = absent_map(N, 1), *gone = map_anon(N);
    EXPECT(mprotect(ro, N, PROT_READ) == 0);
    munmap(gone, N);
    EXPECT(send_all(fd[0], piece, 64 * KIB));
    EXPECT(recv(fd[1], gone, N, 0) == -1 && errno == EFAULT);
    EXPECT(unix_pair(fd, SOCK_STREAM) == 0);
    EXPECT(send_all(fd[0], piece, 64 * KIB));
    EXPECT(recv(fd[1], ro, N, 0) == -1 && errno == EFAULT);
    EXPECT(same(ro, N, 1));
    return 0;
}

static volatile sig_atomic_t alarms;

static void
on_alarm(int sig)
{
    (void)sig;
    alarms++;
}

struct late {
    int fd;
    pthread_t waiter;
    const uint8_t *data;
    size_t n;
};

static bool
alarmed(void *arg)
{
    (void)arg;
    return alarms > 0;
}

// Signals the waiter until its handler has run, then lets its receive end.
static void *
signal_then_send(void *arg)
{
    struct late *l = arg;
    int64_t end = now_ns() + 5000000000ll;
    while (!alarmed(NULL) && now_ns() < end)
        pthread_kill(l->waiter, SIGALRM);
    send_all(l->fd, l->data, l->n);
    return NULL;
}

// Without SA_RESTART a blocked receive ends in EINTR; with it, it goes on.
static int
recv_interrupted(void)
{
    int fd[2];
    pthread_t thread;
    uint8_t *piece = new_filled(64 * KIB, 2), *into = absent(N, 1);
    for (int restart = 0; restart < 2; restart++) {
        struct sigaction act = {.sa_handler = on_alarm, .sa_flags = restart ? SA_RESTART : 0};
        EXPECT(unix_pair(fd, SOCK_STREAM) == 0);
        EXPECT(sigaction(SIGALRM, &act, NULL) == 0);
        alarms = 0;
        struct late l = {.fd = fd[0], .waiter = pthread_self(), .data = piece, .n = 64 * KIB};
        EXPECT(pthread_create(&thread, NULL, signal_then_send, &l) == 0);
        ssize_t n = recv(fd[1], into, N, 0);
        int error = errno;
        EXPECT(pthread_join(thread, NULL) == 0);
        if (!restart && alarms) {
            EXPECT((n == -1 && error == EINTR) || n > 0);
            if (n < 0) {
                EXPECT(same(into, N, 1));
                EXPECT(recv(fd[1], into, 64 * KIB, MSG_WAITALL) == (ssize_t)(64 * KIB));
            }
        } else {
            EXPECT(n == (ssize_t)(64 * KIB));
        }
        EXPECT(same(into, 64 * KIB, 2));
        EXPECT(same_from(into + 64 * KIB, N - 64 * KIB, 1, 64 * KIB));
        into = absent(N, 1);
    }
    return 0;
}

const struct adv_case adv_recv_cases[] = {
    {"recv_short", recv_short, 0},
    {"recv_short_into_absent", recv_short_into_absent, ADV_ELIDES},
    {"recv_short_into_copied", recv_short_into_copied, ADV_ELIDES},
    {"recv_nothing", recv_nothing, ADV_ELIDES},
    {"recv_timed_out", recv_timed_out, ADV_ELIDES},
    {"recv_peeked", recv_peeked, ADV_ELIDES},
    {"recv_truncated", recv_truncated, ADV_ELIDES},
    {"recv_discarded", recv_discarded, ADV_ELIDES},
    {"recv_by_every_call", recv_by_every_call, ADV_ELIDES},
    {"recv_into_middle_of_absent", recv_into_middle_of_absent, ADV_ELIDES},
    {"recv_bad_addresses", recv_bad_addresses, ADV_ELIDES},
    {"recv_interrupted", recv_interrupted, ADV_ELIDES},
    {NULL, NULL, 0},
};
