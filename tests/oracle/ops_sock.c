// SPDX-License-Identifier: Apache-2.0
// Sockets: what fits at once with exact results; long streams in a non-blocking loop and with a blocked peer
// thread; datagrams; descriptors; errors.
#include "tests/oracle/oracle.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define FITS ((size_t)24 * 1024) // a message that a fresh AF_UNIX socket takes as one piece

static void
stream_pair(struct ctx *c, int fd[2], bool tcp)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    if (!tcp) {
        MUST(c, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) == 0);
        return;
    }
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    MUST(c,
         listener >= 0 && bind(listener, (struct sockaddr *)&at, sizeof at) == 0 && listen(listener, 1) == 0);
    MUST(c, getsockname(listener, (struct sockaddr *)&at, &len) == 0);
    fd[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int ret = connect(fd[0], (struct sockaddr *)&at, sizeof at);
    MUST(c, ret == 0 || errno == EINTR);
    do
        fd[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    while (fd[1] < 0 && errno == EINTR);
    MUST(c, fd[1] >= 0);
    close(listener);
}

static void
close_pair(const int fd[2])
{
    close(fd[0]);
    close(fd[1]);
}

// A send that fits, then receives that ask for less, as much, or more; PEEK and WAITALL; all results are
// exact.
void
op_sock_exact(struct ctx *c)
{
    int fd[2];
    struct vec out, in;
    stream_pair(c, fd, false);
    vec_pick(c, &out, READS, FITS, NULL);
    vec_trace(c, "out", &out);
    vec_gather(&out, c->scratch);
    ssize_t n = call_out(&c->rng, fd[0], &out, true, one_in(&c->rng, 2) ? MSG_NOSIGNAL : 0);
    result(c, n);
    MUST(c, n == (ssize_t)out.total);
    size_t queued = out.total, taken = 0;
    for (int i = 0; i < 3 && taken < queued; i++) {
        static const int flags[] = {0, 0, 0, MSG_PEEK, MSG_DONTWAIT};
        int flag = flags[rnd(&c->rng, 5)];
        vec_pick(c, &in, WRITES, BUF_MAX, NULL);
        if (in.total == 0)
            continue;
        vec_trace(c, "in", &in);
        n = call_in(&c->rng, fd[1], &in, true, flag);
        size_t want = in.total < queued - taken ? in.total : queued - taken;
        trace(c, " flags=%d", flag);
        result(c, n);
        MUST(c, n == (ssize_t)want);
        vec_scatter(&in, c->scratch + taken, want);
        if (flag != MSG_PEEK)
            taken += want;
    }
    if (one_in(&c->rng, 2) && taken < queued) { // the end of the stream cuts a WAITALL short
        vec_pick(c, &in, WRITES, BUF_MAX, NULL);
        shutdown(fd[0], SHUT_WR);
        vec_trace(c, "all", &in);
        n = call_in(&c->rng, fd[1], &in, true, MSG_WAITALL);
        result(c, n);
        MUST(c, n == (ssize_t)(in.total < queued - taken ? in.total : queued - taken));
        vec_scatter(&in, c->scratch + taken, (size_t)n);
    }
    close_pair(fd);
}

// Small buffers make partial transfers; TCP's are not so small that its timers would set the pace.
static void
small_buffers(struct ctx *c, const int fd[2], bool tcp)
{
    int size = (tcp ? 128 * 1024 : 4096) << rnd(&c->rng, 3);
    if (one_in(&c->rng, 2))
        return;
    setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    setsockopt(fd[1], SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
}

// Both ends in one thread, non-blocking: partial sends, EAGAIN, short receives. How often is timing, and not
// traced; what arrives is not.
void
op_sock_loop(struct ctx *c)
{
    int fd[2];
    struct vec out, in;
    bool tcp = one_in(&c->rng, 2);
    stream_pair(c, fd, tcp);
    small_buffers(c, fd, tcp);
    MUST(c, fcntl(fd[0], F_SETFL, O_NONBLOCK) == 0 && fcntl(fd[1], F_SETFL, O_NONBLOCK) == 0);
    vec_pick(c, &out, READS, BUF_MAX, NULL);
    vec_pick(c, &in, WRITES, out.total ? out.total : 1, &out);
    size_t n = in.total < out.total ? in.total : out.total;
    vec_limit(&out, n);
    vec_limit(&in, n);
    trace(c, " tcp=%d", tcp);
    vec_trace(c, "out", &out);
    vec_trace(c, "in", &in);
    vec_gather(&out, c->scratch);
    vec_scatter(&in, c->scratch, n);
    struct rng r = {rng_next(&c->rng)};
    for (size_t done = 0; done < n;) {
        ssize_t got = out.total ? call_out(&r, fd[0], &out, true, MSG_NOSIGNAL) : 0;
        MUST(c, got >= 0 || errno == EAGAIN || errno == EINTR);
        if (got > 0)
            vec_skip(&out, (size_t)got);
        got = call_in(&r, fd[1], &in, true, one_in(&r, 4) ? MSG_WAITALL : 0);
        MUST(c, got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR)));
        if (got > 0) {
            vec_skip(&in, (size_t)got);
            done += (size_t)got;
        }
    }
    close_pair(fd);
}

struct peer {
    int fd;
    struct vec v;
    struct rng r;
    bool out;
    bool ok;
};

static bool
move_all(struct rng *r, int fd, struct vec *v, bool out)
{
    while (v->total) {
        ssize_t n = out ? call_out(r, fd, v, true, MSG_NOSIGNAL)
                        : call_in(r, fd, v, true, one_in(r, 2) ? MSG_WAITALL : 0);
        if (n == 0 || (n < 0 && errno != EINTR))
            return false;
        if (n > 0)
            vec_skip(v, (size_t)n);
    }
    return true;
}

static void *
peer_main(void *arg)
{
    struct peer *p = arg;
    p->ok = move_all(&p->r, p->fd, &p->v, p->out);
    return NULL;
}

// One side in a thread of its own, both blocking.
void
op_sock_blocking(struct ctx *c)
{
    int fd[2];
    struct vec out, in;
    pthread_t thread;
    bool tcp = !one_in(&c->rng, 3);
    stream_pair(c, fd, tcp);
    small_buffers(c, fd, tcp);
    vec_pick(c, &out, READS, BUF_MAX, NULL);
    vec_pick(c, &in, WRITES, out.total ? out.total : 1, &out);
    size_t n = in.total < out.total ? in.total : out.total;
    vec_limit(&out, n);
    vec_limit(&in, n);
    trace(c, " tcp=%d", tcp);
    vec_trace(c, "out", &out);
    vec_trace(c, "in", &in);
    vec_gather(&out, c->scratch);
    vec_scatter(&in, c->scratch, n);
    bool sends = one_in(&c->rng, 2);
    struct peer p = {.fd = fd[sends ? 0 : 1], .v = sends ? out : in, .r = {rng_next(&c->rng)}, .out = sends};
    struct rng r = {rng_next(&c->rng)};
    MUST(c, pthread_create(&thread, NULL, peer_main, &p) == 0);
    bool ok = move_all(&r, fd[sends ? 1 : 0], sends ? &in : &out, !sends);
    MUST(c, pthread_join(thread, NULL) == 0 && ok && p.ok);
    close_pair(fd);
}

// Messages keep their borders; a short buffer truncates, and MSG_TRUNC tells the whole length.
void
op_sock_dgram(struct ctx *c)
{
    int fd[2];
    struct vec out, in;
    bool packets = one_in(&c->rng, 2);
    MUST(c, socketpair(AF_UNIX, (packets ? SOCK_SEQPACKET : SOCK_DGRAM) | SOCK_CLOEXEC, 0, fd) == 0);
    vec_pick(c, &out, READS, 100000, NULL);
    vec_trace(c, "out", &out);
    vec_gather(&out, c->scratch);
    ssize_t n = call_out(&c->rng, fd[0], &out, true, 0);
    result(c, n);
    if (n != (ssize_t)out.total) {
        close_pair(fd);
        return;
    }
    int flags = one_in(&c->rng, 3) ? MSG_TRUNC : 0;
    vec_pick(c, &in, WRITES, BUF_MAX, NULL);
    struct msghdr m = {.msg_iov = in.v, .msg_iovlen = (size_t)in.n};
    vec_trace(c, "in", &in);
    n = recvmsg(fd[1], &m, flags);
    trace(c, " flags=%d truncated=%d", flags, !!(m.msg_flags & MSG_TRUNC));
    result(c, n);
    size_t want = in.total < out.total ? in.total : out.total;
    MUST(c, n == (ssize_t)(flags ? out.total : want));
    vec_scatter(&in, c->scratch, want);
    close_pair(fd);
}

// A descriptor travels with the message, and works at the other end.
void
op_sock_rights(struct ctx *c)
{
    int fd[2], passed = memfd_create("passed", MFD_CLOEXEC), received;
    struct vec out, in;
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    MUST(c, passed >= 0 && pwrite(passed, "hello", 5, 0) == 5);
    MUST(c, socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fd) == 0);
    vec_pick(c, &out, READS, FITS, NULL);
    vec_pick(c, &in, WRITES, BUF_MAX, NULL);
    vec_gather(&out, c->scratch);
    struct msghdr m = {.msg_iov = out.v,
                       .msg_iovlen = (size_t)out.n,
                       .msg_control = &control,
                       .msg_controllen = sizeof control};
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    *h = (struct cmsghdr){
        .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
    raw_copy(CMSG_DATA(h), &passed, sizeof passed);
    vec_trace(c, "out", &out);
    vec_trace(c, "in", &in);
    ssize_t n = sendmsg(fd[0], &m, 0);
    result(c, n);
    MUST(c, n == (ssize_t)out.total);
    close(passed);
    control.space[0] = 0;
    m = (struct msghdr){.msg_iov = in.v,
                        .msg_iovlen = (size_t)in.n,
                        .msg_control = &control,
                        .msg_controllen = sizeof control};
    n = recvmsg(fd[1], &m, MSG_CMSG_CLOEXEC);
    result(c, n);
    size_t want = in.total < out.total ? in.total : out.total;
    MUST(c, n == (ssize_t)want);
    vec_scatter(&in, c->scratch, want);
    h = CMSG_FIRSTHDR(&m);
    MUST(c, h && h->cmsg_type == SCM_RIGHTS);
    raw_copy(&received, CMSG_DATA(h), sizeof received);
    char text[5] = "";
    MUST(c, pread(received, text, 5, 0) == 5 && text[0] == 'h' && text[4] == 'o');
    MUST(c, (fcntl(received, F_GETFD) & FD_CLOEXEC) != 0);
    close(received);
    close_pair(fd);
}

// Calls that move nothing: the buffers keep their bytes, errno is the kernel's.
void
op_sock_errors(struct ctx *c)
{
    int fd[2];
    struct vec out, in;
    stream_pair(c, fd, false);
    vec_pick(c, &out, READS, BUF_MAX, NULL);
    vec_pick(c, &in, WRITES, BUF_MAX, NULL);
    vec_trace(c, "out", &out);
    vec_trace(c, "in", &in);
    result(c, call_in(&c->rng, fd[1], &in, true, MSG_DONTWAIT));
    result(c, call_in(&c->rng, -1, &in, true, 0));
    result(c, call_out(&c->rng, -1, &out, true, 0));
    shutdown(fd[1], SHUT_RDWR); // not close: a child of another thread may hold it as well
    signal(SIGPIPE, SIG_IGN);
    if (out.total)
        result(c, call_out(&c->rng, fd[0], &out, true, 0));
    result(c, call_in(&c->rng, fd[0], &in, true, 0));
    close_pair(fd);
}
