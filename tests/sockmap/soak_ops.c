// SPDX-License-Identifier: Apache-2.0
// The steps of the random programs. Every receive first waits until all that was sent is there (settle), so
// that what it gives does not depend on time.
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/sockmap/soak.h"

enum {
    LITTLE = 40000,
    QUEUE = 60000
}; // what is sent at a time, and what may wait: less than any buffer but tiny ones

static void
result(ssize_t r, const unsigned char *b)
{
    if (r < 0)
        say("%s", name_of(errno));
    else
        say("%zd:%016llx", r, (unsigned long long)sum(b, r > 0 && b ? (size_t)r : 0));
}

static size_t
size_of(struct prog *p, size_t most)
{
    return 1 + (size_t)draw(p, draw(p, 3) ? (most < 600 ? most : 600) : most);
}

// How much `e` may send without waiting for its peer to read.
static size_t
may_send(const struct end *e)
{
    int size = 0, room = 0;
    socklen_t len = sizeof size;
    size_t most = QUEUE;

    getsockopt(e->fd, SOL_SOCKET, SO_SNDBUF, &size, &len);
    getsockopt(e->peer->fd, SOL_SOCKET, SO_RCVBUF, &room, &len);
    if (size < 20000 || room < 20000)
        most = 500;
    return waiting(e->peer) >= most ? 0 : most - (size_t)waiting(e->peer);
}

static void
op_send(struct prog *p, struct end *e)
{
    static const int flags[] = {0, MSG_NOSIGNAL, MSG_DONTWAIT, MSG_MORE, MSG_EOR};
    size_t n = size_of(p, LITTLE), room = may_send(e), cut;
    int how = (int)draw(p, 5), f = flags[draw(p, 5)], pipes[2];
    struct iovec iov[3];
    ssize_t r = -1;

    n = n > room ? room : n;
    if (n == 0 && !e->fin_sent) {
        say("full");
        return;
    }
    n = n ? n : 1;
    fill(e, p->buf, n);
    cut = n / 3;
    iov[0] = (struct iovec){p->buf, cut};
    iov[1] = (struct iovec){p->buf + cut, cut};
    iov[2] = (struct iovec){p->buf + 2 * cut, n - 2 * cut};
    switch (how) {
    case 0:
        r = send(e->fd, p->buf, n, f);
        break;
    case 1:
        r = write(e->fd, p->buf, n);
        break;
    case 2:
        r = writev(e->fd, iov, 3);
        break;
    case 3:
        // A part of the file that is not written again: TCP sends the file's pages, not copies.
        if (pwrite(p->file, p->buf, n, p->file_at) == (ssize_t)n) {
            off_t at = p->file_at;

            r = sendfile(e->fd, p->file, &at, n);
            p->file_at += 65536;
        }
        break;
    case 4:
        n = n > 4096 ? 4096 : n;
        if (pipe(pipes) == 0) {
            if (write(pipes[1], p->buf, n) == (ssize_t)n)
                r = splice(pipes[0], NULL, e->fd, NULL, n, 0);
            int err = errno;
            close(pipes[0]);
            close(pipes[1]);
            errno = err;
        }
        break;
    }
    say("way %d ", how);
    result(r, NULL);
    if (r > 0)
        e->sent += (uint64_t)r;
}

// Are these the bytes that come next for `e`?
static void
verify(const struct end *e, const unsigned char *b, size_t n)
{
    struct end from = {.sent = e->got};
    unsigned char want[512];

    for (size_t i = 0; i < n; i += sizeof want) {
        size_t k = n - i < sizeof want ? n - i : sizeof want;

        fill(&from, want, k);
        from.sent += k;
        if (memcmp(b + i, want, k) != 0)
            die("wrong bytes within %zu behind %llu", n, (unsigned long long)e->got + i);
    }
}

static ssize_t
receive_once(struct end *e, unsigned char *b, size_t n, int how, int flags)
{
    struct iovec iov[2] = {{b, n / 2}, {b + n / 2, n - n / 2}};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};

    return how == 0   ? recv(e->fd, b, n, flags)
           : how == 1 ? read(e->fd, b, n)
           : how == 2 ? readv(e->fd, iov, 2)
           : how == 3 ? recvmsg(e->fd, &m, flags)
                      : recvfrom(e->fd, b, n, flags, NULL, NULL);
}

// A receive, and again while less came than is there: where one call ends is the kernel's affair.
static void
receive(struct prog *p, struct end *e, size_t n, int how, int flags)
{
    bool peek = (flags & MSG_PEEK) && how != 1 && how != 2,
         count = (flags & MSG_TRUNC) && how != 1 && how != 2;
    size_t want = n < waiting(e) ? n : (size_t)waiting(e), had = 0;
    ssize_t r;

    memset(p->buf, 0xee, n);
    say("way %d %zu ", how, n);
    do {
        r = receive_once(e, p->buf + had, n - had, how, flags);
        if (r > 0 && !count)
            verify(e, p->buf + had, (size_t)r);
        if (r > 0 && !peek)
            e->got += (uint64_t)r;
        had += r > 0 ? (size_t)r : 0;
    } while (r > 0 && !peek && had < want);
    if (peek && r > 0)
        say("peeked");
    else
        result(had ? (ssize_t)had : r, p->buf);
}

// True: a blocking receive would not come back.
static bool
would_block(const struct end *e)
{
    return waiting(e) == 0 && !e->peer->fin_sent;
}

static void
op_recv(struct prog *p, struct end *e)
{
    static const int flags[] = {
        0, 0, MSG_PEEK, MSG_DONTWAIT, MSG_TRUNC, MSG_WAITALL, MSG_PEEK | MSG_DONTWAIT};
    size_t n = size_of(p, LITTLE);
    int how = (int)draw(p, 5), f = flags[draw(p, 7)];

    settle(e);
    if ((f & MSG_WAITALL) && n > waiting(e) && !e->peer->fin_sent)
        n = waiting(e) ? (size_t)waiting(e) : 1;
    if (would_block(e)) {
        how = how == 1 || how == 2 ? 0 : how;
        f = MSG_DONTWAIT;
    }
    say("flags %x ", (unsigned)f);
    receive(p, e, n, how, f);
}

static void
op_count(struct prog *p, struct end *e)
{
    int in = -1, out = -1;

    (void)p;
    settle(e);
    if (ioctl(e->fd, FIONREAD, &in) < 0)
        in = -errno;
    // What the peer has in its hands is acknowledged, sooner or later.
    for (int i = 0; i < 2000; i++) {
        if (ioctl(e->peer->fd, SIOCOUTQ, &out) < 0 || out == 0 || e->peer->fin_sent)
            break;
        poll(NULL, 0, 1);
    }
    say("FIONREAD %d SIOCOUTQ %d", in, e->peer->fin_sent ? 0 : out);
}

static void
op_poll(struct prog *p, struct end *e)
{
    struct epoll_event want = {.events = EPOLLIN | EPOLLRDHUP | EPOLLPRI | (draw(p, 2) ? EPOLLET : 0)},
                       got = {0};
    struct pollfd pf = {.fd = e->fd, .events = POLLIN | POLLRDHUP | POLLPRI};
    int ep = epoll_create1(EPOLL_CLOEXEC), n;

    settle(e);
    epoll_ctl(ep, EPOLL_CTL_ADD, e->fd, &want);
    n = epoll_wait(ep, &got, 1, 0);
    say("epoll %d %x", n, n > 0 ? got.events : 0);
    n = poll(&pf, 1, 0);
    say(" poll %d %x", n, n > 0 ? pf.revents : 0);
    close(ep);
}

static void
op_splice(struct prog *p, struct end *e)
{
    size_t n = size_of(p, 4096), had = 0;
    int pipes[2];
    ssize_t r;

    settle(e);
    if (would_block(e)) {
        say("nothing");
        return;
    }
    if (pipe(pipes) < 0)
        die("pipe");
    // How much one call moves is the kernel's affair: all of it, then.
    while (had < n && (r = splice(e->fd, NULL, pipes[1], NULL, n - had, SPLICE_F_NONBLOCK)) > 0) {
        if (read(pipes[0], p->buf + had, (size_t)r) != r)
            die("the pipe holds less than splice said");
        had += (size_t)r;
        e->got += (uint64_t)r;
        if (would_block(e))
            break;
    }
    result((ssize_t)had, p->buf);
    close(pipes[0]);
    close(pipes[1]);
}

// Much at once, while the peer reads in pieces: through every buffer's end.
static void
op_flood(struct prog *p, struct end *e)
{
    size_t n = draw(p, 3) ? size_of(p, 300000) : size_of(p, BIG), done = 0,
           want = n + (size_t)waiting(e->peer), had = 0;
    size_t piece = 1 + (size_t)draw(p, 100000);
    uint64_t h = 0;

    if (e->fin_sent) {
        say("closed");
        return;
    }
    fill(e, p->buf, n);
    static unsigned char in[100001];
    while (had < want) {
        ssize_t r = done < n ? send(e->fd, p->buf + done, n - done, MSG_DONTWAIT) : 0;
        struct pollfd pf[2] = {{.fd = e->peer->fd, .events = POLLIN},
                               {.fd = e->fd, .events = done < n ? POLLOUT : 0}};

        if (r < 0 && errno != EAGAIN)
            die("send: %s", name_of(errno));
        done += r > 0 ? (size_t)r : 0;
        if (poll(pf, 2, DEADLINE_MS) <= 0)
            die("stuck: %zu of %zu sent, %zu of %zu received", done, n, had, want);
        r = recv(e->peer->fd, in, piece < want - had ? piece : want - had, MSG_DONTWAIT);
        if (r < 0 && errno != EAGAIN)
            die("recv: %s", name_of(errno));
        for (ssize_t i = 0; i < r; i++)
            h = (h ^ in[i]) * 0x100000001b3u;
        had += r > 0 ? (size_t)r : 0;
    }
    e->sent += n;
    e->peer->got += want;
    say("%zu:%016llx", want, (unsigned long long)h);
}

static void
op_urgent(struct prog *p, struct end *e)
{
    unsigned char c = 'U', got = 0;
    struct pollfd pf = {.fd = e->peer->fd, .events = POLLPRI};
    ssize_t r;

    // Seldom, since that takes the connection back to TCP; and only where no byte waits, since a mark's place
    // among unread bytes is another matter (sockatmark, tested apart).
    if (draw(p, 4) || e->fin_sent || waiting(e->peer)) {
        say("not now");
        return;
    }
    r = send(e->fd, &c, 1, MSG_OOB);
    if (r == 1 && poll(&pf, 1, DEADLINE_MS) != 1)
        die("no POLLPRI");
    say("sent %zd ", r);
    r = recv(e->peer->fd, &got, 1, MSG_OOB);
    result(r, &got);
    r = recv(e->peer->fd, p->buf, 10, MSG_DONTWAIT); // passes the mark
    say(" in line ");
    result(r, p->buf);
}

struct sleeper {
    struct end *e;
    unsigned char *buf;
    size_t n;
    int flags, err;
    ssize_t r;
    pid_t tid;
};

static void *
sleep_in_recv(void *arg)
{
    struct sleeper *s = arg;

    __atomic_store_n(&s->tid, gettid(), __ATOMIC_RELEASE);
    s->r = recv(s->e->fd, s->buf, s->n, s->flags);
    s->err = errno;
    return NULL;
}

static bool
sleeps(pid_t tid)
{
    char path[64], text[256] = "";
    FILE *f;

    snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)tid);
    f = fopen(path, "re");
    if (f && !fgets(text, sizeof text, f))
        text[0] = '\0';
    if (f)
        fclose(f);
    return strstr(text, ") S ") != NULL;
}

// A reader that sleeps in recv when the bytes come, or the end.
static void
op_sleeper(struct prog *p, struct end *e)
{
    static unsigned char in[LITTLE];
    struct sleeper s = {
        .e = e, .buf = in, .n = 1 + (size_t)draw(p, 400), .flags = draw(p, 2) ? MSG_WAITALL : 0};
    size_t first, n;
    pthread_t t;

    if (waiting(e) || e->peer->fin_sent || e->fin_sent) {
        say("not now");
        return;
    }
    pthread_create(&t, NULL, sleep_in_recv, &s);
    while (!__atomic_load_n(&s.tid, __ATOMIC_ACQUIRE) || !sleeps(s.tid))
        poll(NULL, 0, 1);
    n = s.flags ? s.n : 1 + (size_t)draw(p, s.n);
    first = s.flags ? 1 + (size_t)draw(p, n) : n;
    fill(e->peer, p->buf, n);
    send(e->peer->fd, p->buf, first, 0);
    if (n > first)
        send(e->peer->fd, p->buf + first, n - first, 0);
    pthread_join(t, NULL);
    errno = s.err;
    e->peer->sent += n;
    if (s.r > 0)
        e->got += (uint64_t)s.r;
    say("flags %x %zu ", (unsigned)s.flags, s.n);
    result(s.r, in);
}

// The end goes to another process, or another descriptor, and back.
static void
op_hand_over(struct prog *p, struct end *e)
{
    char control[CMSG_SPACE(sizeof(int))] = {0}, byte = 0;
    struct iovec iov = {&byte, 1};
    struct msghdr m = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    int sv[2];

    (void)p;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, sv) < 0)
        die("socketpair");
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &e->fd, sizeof(int));
    if (sendmsg(sv[0], &m, 0) != 1 || close(e->fd) < 0 || recvmsg(sv[1], &m, 0) != 1)
        die("SCM_RIGHTS: %s", name_of(errno));
    memcpy(&e->fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(int));
    close(sv[0]);
    close(sv[1]);
    say("passed");
}

static void
op_child_sends(struct prog *p, struct end *e)
{
    size_t n = size_of(p, 3000), room = may_send(e);
    int status = 0;
    pid_t pid;

    n = n > room ? room : n;
    if (n == 0 || e->fin_sent) {
        say("not now");
        return;
    }
    fill(e, p->buf, n);
    pid = fork();
    if (pid == 0)
        _exit(send(e->fd, p->buf, n, 0) == (ssize_t)n ? 0 : 1);
    waitpid(pid, &status, 0);
    e->sent += n;
    say("%zu status %d", n, status);
}

static void
op_shutdown(struct prog *p, struct end *e)
{
    if (draw(p, 6)) {
        say("not now");
        return;
    }
    say("%d", shutdown(e->fd, SHUT_WR));
    e->fin_sent = true;
}

static void
op_options(struct prog *p, struct end *e)
{
    int v = draw(p, 2) ? 1 : 0, e1;

    e1 = setsockopt(e->fd, SOL_SOCKET, SO_KEEPALIVE, &v, sizeof v);
    say("keepalive %d ", e1);
    v = 50 + (int)draw(p, 100);
    if (draw(p, 6) == 0) {
        struct pollfd pf = {.fd = e->fd, .events = POLLIN};
        bool enough = waiting(e) >= (uint64_t)v || e->peer->fin_sent;

        if (waiting(e) == 0 && !e->peer->fin_sent && may_send(e->peer) > 200) {
            e1 = setsockopt(e->fd, SOL_SOCKET, SO_RCVLOWAT, &v, sizeof v);
            fill(e->peer, p->buf, 20);
            e->peer->sent += send(e->peer->fd, p->buf, 20, 0) == 20 ? 20 : 0;
            settle(e);
            say("lowat %d poll %d ", e1, poll(&pf, 1, 0));
            v = 1;
            setsockopt(e->fd, SOL_SOCKET, SO_RCVLOWAT, &v, sizeof v);
        }
        (void)enough;
    }
}

const struct op ops[] = {
    {"send", op_send},           {"send", op_send},         {"send", op_send},
    {"recv", op_recv},           {"recv", op_recv},         {"recv", op_recv},
    {"count", op_count},         {"poll", op_poll},         {"splice", op_splice},
    {"flood", op_flood},         {"urgent", op_urgent},     {"sleeper", op_sleeper},
    {"hand over", op_hand_over}, {"child", op_child_sends}, {"shutdown", op_shutdown},
    {"options", op_options},
};
const unsigned nops = sizeof ops / sizeof *ops;

// Reads to the end: everything that was sent, then EOF or the error, then what comes after it.
static void
drain(struct prog *p, struct end *e)
{
    size_t had = 0;
    ssize_t r;

    while ((r = recv(e->fd, p->buf + had, BIG - had, 0)) > 0)
        had += (size_t)r;
    int err = errno;
    say("%zu:%016llx then ", had, (unsigned long long)sum(p->buf, had));
    errno = err;
    result(r, NULL);
    r = recv(e->fd, p->buf, 1, MSG_DONTWAIT);
    say(" then ");
    result(r, NULL);
}

// Empties e's queue, so that its close is an orderly one.
static void
empty(struct prog *p, struct end *e)
{
    settle(e);
    while (waiting(e) > 0) {
        ssize_t r = recv(e->fd, p->buf, BIG, MSG_DONTWAIT);

        if (r <= 0)
            die("empty: %zd %s", r, name_of(errno));
        e->got += (uint64_t)r;
    }
}

static void
end_close(struct prog *p, struct end *e)
{
    empty(p, e);
    close(e->fd);
    e->fd = -1;
    drain(p, e->peer);
}

static void
end_half(struct prog *p, struct end *e)
{
    if (!e->fin_sent)
        shutdown(e->fd, SHUT_WR);
    drain(p, e->peer);
    if (!e->peer->fin_sent)
        shutdown(e->peer->fd, SHUT_WR);
    say(" / ");
    drain(p, e);
    say(" / write ");
    result(send(e->fd, "x", 1, MSG_NOSIGNAL), NULL);
}

static void
end_reset(struct prog *p, struct end *e)
{
    struct linger l = {1, 0};
    struct pollfd pf = {.fd = e->peer->fd, .events = POLLIN};

    settle(e->peer);
    setsockopt(e->fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
    close(e->fd);
    e->fd = -1;
    while (poll(&pf, 1, DEADLINE_MS) > 0 && !(pf.revents & (POLLERR | POLLHUP)))
        poll(NULL, 0, 1);
    drain(p, e->peer);
    say(" write ");
    result(send(e->peer->fd, "x", 1, MSG_NOSIGNAL), NULL);
}

const struct op ends[] = {{"close", end_close}, {"half", end_half}, {"reset", end_reset}};
const unsigned nends = sizeof ends / sizeof *ends;
