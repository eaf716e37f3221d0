// SPDX-License-Identifier: Apache-2.0
// A file to a socket, in each of the ways that programs use. Every system call is counted where it is made.
//
// vmsplice and MSG_ZEROCOPY lend pages to the kernel, so they go round a ring of buffers that is larger than
// all the queues between here and the reader (run_table.c bounds the sockets').
#include <errno.h>
#include <fcntl.h>
#include <linux/errqueue.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "bench/env.h"
#include "bench/worker.h"

enum { RING = 32, COPIES_MAX = 16, PIPE = 1 << 20 };

static struct {
    struct wreq q;
    int file;
    int pipe[2];
    uint64_t length;                  // of the file
    unsigned char *b[COPIES_MAX + 1]; // read+write: the chain
    unsigned char *ring[RING];        // vmsplice, MSG_ZEROCOPY
    unsigned turn;                    // place in the ring
    uint64_t calls;                   // system calls so far
    uint64_t lent, back, copied; // MSG_ZEROCOPY: sends, completions, those that the kernel copied after all
} w;

#define SOCKET WORKER_DATA_FD

static int
write_all(const unsigned char *p, size_t n)
{
    while (n) {
        ssize_t k = write(SOCKET, p, n);
        w.calls++;
        if (k < 0)
            return errno;
        p += k;
        n -= (size_t)k;
    }
    return 0;
}

static int
read_all(unsigned char *p, size_t n, off_t at)
{
    ssize_t k = pread(w.file, p, n, at);
    w.calls++;
    return k == (ssize_t)n ? 0 : k < 0 ? errno : EIO;
}

static size_t
chunk(uint64_t at)
{
    return w.length - at < w.q.size ? (size_t)(w.length - at) : (size_t)w.q.size;
}

static int
by_read_write(void)
{
    int err = 0;
    for (uint64_t at = 0; !err && at < w.length; at += w.q.size) {
        err = read_all(w.b[0], chunk(at), (off_t)at);
        for (unsigned i = 1; i <= w.q.copies; i++)
            memcpy(w.b[i], w.b[i - 1], chunk(at));
        if (!err)
            err = write_all(w.b[w.q.copies], chunk(at));
    }
    return err;
}

static int
by_mmap_write(void)
{
    unsigned char *p = mmap(NULL, w.length, PROT_READ, MAP_SHARED, w.file, 0);
    int err = p == MAP_FAILED ? errno : 0;
    for (uint64_t at = 0; !err && at < w.length; at += w.q.size)
        err = write_all(p + at, chunk(at));
    if (p != MAP_FAILED)
        munmap(p, w.length);
    w.calls += 2;
    return err;
}

static int
by_sendfile(void)
{
    off_t at = 0;
    while ((uint64_t)at < w.length) {
        ssize_t k = sendfile(SOCKET, w.file, &at, w.length - (uint64_t)at);
        w.calls++;
        if (k <= 0)
            return k < 0 ? errno : EIO;
    }
    return 0;
}

// Everything in the pipe to the socket.
static int
pipe_to_socket(size_t n)
{
    while (n) {
        ssize_t k = splice(w.pipe[0], NULL, SOCKET, NULL, n, SPLICE_F_MOVE | SPLICE_F_MORE);
        w.calls++;
        if (k <= 0)
            return k < 0 ? errno : EIO;
        n -= (size_t)k;
    }
    return 0;
}

static int
by_splice(void)
{
    off64_t at = 0;
    int err = 0;
    while (!err && (uint64_t)at < w.length) {
        ssize_t k = splice(w.file, &at, w.pipe[1], NULL, PIPE, SPLICE_F_MOVE);
        w.calls++;
        err = k > 0 ? pipe_to_socket((size_t)k) : k < 0 ? errno : EIO;
    }
    return err;
}

static int
by_vmsplice(void)
{
    int err = 0;
    for (uint64_t at = 0; !err && at < w.length; at += w.q.size) {
        unsigned char *b = w.ring[w.turn++ % RING];
        struct iovec v = {b, chunk(at)};
        err = read_all(b, chunk(at), (off_t)at);
        while (!err && v.iov_len) {
            ssize_t k = vmsplice(w.pipe[1], &v, 1, 0);
            w.calls++;
            err = k > 0 ? pipe_to_socket((size_t)k) : k < 0 ? errno : EIO;
            v.iov_base = (char *)v.iov_base + (k > 0 ? k : 0);
            v.iov_len -= k > 0 ? (size_t)k : 0;
        }
    }
    return err;
}

// Takes completions off the error queue until at most `left` sends are out.
static int
reap(uint64_t left)
{
    while (w.lent - w.back > left) {
        char space[128];
        struct msghdr m = {.msg_control = space, .msg_controllen = sizeof space};
        struct pollfd p = {.fd = SOCKET};
        ssize_t k = recvmsg(SOCKET, &m, MSG_ERRQUEUE | MSG_DONTWAIT);
        w.calls++;
        if (k < 0 && errno != EAGAIN)
            return errno;
        if (k < 0) {
            w.calls++;
            if (poll(&p, 1, 10000) <= 0)
                return ETIMEDOUT;
            continue;
        }
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        struct sock_extended_err *e = c ? (struct sock_extended_err *)CMSG_DATA(c) : NULL;
        if (!e || e->ee_origin != SO_EE_ORIGIN_ZEROCOPY)
            return EPROTO;
        w.back += e->ee_data - e->ee_info + 1;
        if (e->ee_code & SO_EE_CODE_ZEROCOPY_COPIED)
            w.copied += e->ee_data - e->ee_info + 1;
    }
    return 0;
}

static int
by_zerocopy(void)
{
    int err = 0;
    for (uint64_t at = 0; !err && at < w.length; at += w.q.size) {
        unsigned char *b = w.ring[w.turn++ % RING];
        size_t n = chunk(at), done = 0;
        err = read_all(b, n, (off_t)at);
        while (!err && done < n) {
            ssize_t k = send(SOCKET, b + done, n - done, MSG_ZEROCOPY);
            w.calls++;
            if (k > 0) {
                w.lent++;
                done += (size_t)k;
            } else {
                err = k < 0 && errno == ENOBUFS ? reap(0) : k < 0 ? errno : EIO;
            }
        }
        if (!err)
            err = reap(RING / 2);
    }
    return err ? err : reap(0);
}

static int (*const methods[TM_COUNT])(void) = {by_read_write, by_mmap_write, by_sendfile,
                                               by_splice,     by_vmsplice,   by_zerocopy};

static int
setup(const struct wreq *q, struct wrep *p)
{
    struct stat st;
    int one = 1;
    w.q = *q;
    w.file = open(q->path, O_RDONLY | O_CLOEXEC);
    if (w.file < 0 || fstat(w.file, &st) < 0 || q->copies > COPIES_MAX || q->method >= TM_COUNT)
        return errno ? errno : EINVAL;
    w.length = (uint64_t)st.st_size;
    for (unsigned i = 0; i <= q->copies; i++)
        if (!(w.b[i] = malloc(q->size)))
            return ENOMEM;
    for (unsigned i = 0; i < RING; i++)
        if ((q->method == TM_VMSPLICE || q->method == TM_ZEROCOPY) &&
            !(w.ring[i] = aligned_alloc(4096, q->size)))
            return ENOMEM;
    if (pipe2(w.pipe, O_CLOEXEC) < 0)
        return errno;
    fcntl(w.pipe[0], F_SETPIPE_SZ, PIPE);
    if (q->method == TM_ZEROCOPY && setsockopt(SOCKET, SOL_SOCKET, SO_ZEROCOPY, &one, sizeof one) < 0) {
        snprintf(p->text, sizeof p->text, "SO_ZEROCOPY: %s", strerror(errno));
        return errno;
    }
    return 0;
}

// One pass over the file; the reader checks the bytes.
static int
verify(const struct wreq *q, struct wrep *p)
{
    (void)q;
    (void)p;
    return methods[w.q.method]();
}

static uint64_t
usage(uint64_t *switches)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    *switches = (uint64_t)(u.ru_nvcsw + u.ru_nivcsw);
    return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000000u +
           (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1000u;
}

static int
slice(const struct wreq *q, struct wrep *p)
{
    uint64_t sw0, sw1, cpu0, cpu1, calls0 = w.calls, t0, t;
    int err = 0;
    cpu0 = usage(&sw0);
    t0 = t = now_ns();
    while (!err && t - t0 < q->slice_ns) {
        err = methods[w.q.method]();
        p->ops++;
        t = now_ns();
    }
    cpu1 = usage(&sw1);
    p->ns = t - t0;
    p->aux[0] = w.calls - calls0;
    p->aux[1] = sw1 - sw0;
    p->aux[2] = cpu1 - cpu0;
    p->aux[3] = w.lent ? w.copied * 100 / w.lent : 0;
    return err;
}

const struct wkind_ops worker_table = {setup, verify, slice};
