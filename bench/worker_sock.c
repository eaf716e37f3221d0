// SPDX-License-Identifier: Apache-2.0
// zio-bench sock, the worker: both ends of one TCP connection over loopback, each in a process of its own.
// This one sends and measures; the other answers each message with itself, or (stream) takes what comes and
// answers when asked.
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/env.h"
#include "bench/pattern.h"
#include "bench/proc.h"
#include "bench/worker.h"

// The first byte of a message of a stream.
enum { NO_ANSWER, ANSWER, ANSWER_SUM };

static struct {
    size_t size;
    bool stream;
    int fd;
    unsigned char *out, *in;
    uint64_t seq;
} s;

static int
give(int fd, const unsigned char *b, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t k = send(fd, b + done, n - done, MSG_NOSIGNAL);

        if (k < 0)
            return errno;
        done += (size_t)k;
    }
    return 0;
}

static int
take(int fd, unsigned char *b, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t k = recv(fd, b + done, n - done, 0);

        if (k <= 0)
            return k < 0 ? errno : EPIPE;
        done += (size_t)k;
    }
    return 0;
}

static uint64_t
sum_of(const unsigned char *b, size_t n)
{
    uint64_t h = 0xcbf29ce484222325u;

    for (size_t i = 0; i < n; i++)
        h = (h ^ b[i]) * 0x100000001b3u;
    return h;
}

static int
other_end(int fd)
{
    for (;;) {
        uint64_t h = 0;

        if (take(fd, s.in, s.size))
            return 0;
        if (s.stream && s.in[0] == NO_ANSWER)
            continue;
        if (s.stream && s.in[0] == ANSWER_SUM)
            h = sum_of(s.in, s.size);
        if (give(fd, s.stream ? (unsigned char *)&h : s.in, s.stream ? sizeof h : s.size))
            return 1;
    }
}

static int
setup(const struct wreq *q, struct wrep *p)
{
    int fd[2], err;
    pid_t pid;

    (void)p;
    s.size = q->size;
    s.stream = q->spread;
    s.out = malloc(s.size);
    s.in = malloc(s.size);
    if (!s.out || !s.in)
        return ENOMEM;
    memset(s.in, 0, s.size);
    pattern_fill(s.out, s.size, 1, 0);
    err = tcp_pair(fd);
    if (err)
        return -err;
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(fd[0]);
        close(WORKER_CTL_FD);
        env_pin((int)q->first);
        _exit(other_end(fd[1]));
    }
    close(fd[1]);
    s.fd = fd[0];
    env_pin((int)q->count);
    return pid < 0 ? errno : 0;
}

static int
message(void *arg)
{
    int err;

    (void)arg;
    s.out[0] = NO_ANSWER;
    err = give(s.fd, s.out, s.size);
    return err || s.stream ? err : take(s.fd, s.in, s.size);
}

// A stream's slice ends when the last byte of it has been read.
static int
stream_end(unsigned char kind, uint64_t *answer)
{
    int err;

    s.out[0] = kind;
    err = give(s.fd, s.out, s.size);
    return err ? err : take(s.fd, (unsigned char *)answer, sizeof *answer);
}

static int
verify(const struct wreq *q, struct wrep *p)
{
    (void)p;
    for (uint64_t i = 0; i < 4; i++) {
        uint64_t sum = 0;
        int err;

        pattern_fill(s.out, s.size, q->seed + i, 0);
        memset(s.in, 0, s.size);
        if (s.stream) {
            err = stream_end(ANSWER_SUM, &sum);
            if (!err && sum != sum_of(s.out, s.size))
                err = EBADMSG;
        } else {
            err = message(NULL);
            if (!err && memcmp(s.in, s.out, s.size) != 0)
                err = EBADMSG;
        }
        if (err)
            return err;
    }
    return 0;
}

static int
slice(const struct wreq *q, struct wrep *p)
{
    uint64_t t0 = now_ns(), answer;
    int err = repeat(message, NULL, q->slice_ns, p);

    if (!err && s.stream) {
        err = stream_end(ANSWER, &answer);
        p->ops++;
        p->ns = now_ns() - t0;
    }
    return err;
}

const struct wkind_ops worker_sock = {setup, verify, slice};
