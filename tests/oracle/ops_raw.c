// SPDX-License-Identifier: Apache-2.0
// The kernel's entrances that no hook of the library sees.
#include "config.h"
#include "tests/oracle/oracle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#ifdef HAVE_LIBURING
#include <liburing.h>
#endif

static int
raw_file(struct ctx *c)
{
    int fd = (int)raw_syscall(SYS_memfd_create, (long)"raw", MFD_CLOEXEC, 0, 0, 0, 0);
    MUST(c, fd >= 0);
    return fd;
}

static void
close_raw(int fd)
{
    raw_syscall(SYS_close, fd, 0, 0, 0, 0, 0);
}

// What the kernel reads must be what the program would.
void
op_raw_write(struct ctx *c)
{
    struct vec out;
    int fd = raw_file(c);
    vec_pick(c, &out, READS, BUF_MAX, NULL);
    vec_trace(c, "out", &out);
    long n = raw_syscall(SYS_writev, fd, (long)out.v, out.n, 0, 0, 0);
    result(c, n);
    MUST(c, n == (long)out.total);
    vec_gather(&out, c->scratch);
    MUST(c, raw_syscall(SYS_pread64, fd, (long)(c->scratch + BUF_MAX), (long)out.total, 0, 0, 0) == n);
    MUST(c, raw_diff(c->scratch, c->scratch + BUF_MAX, out.total) == out.total);
    close_raw(fd);
}

void
op_raw_read(struct ctx *c)
{
    struct vec in;
    int fd = raw_file(c);
    vec_pick(c, &in, WRITES, BUF_MAX, NULL);
    size_t n = in.total ? 1 + rnd(&c->rng, in.total) : 0;
    raw_fill(c->scratch, n, rng_next(&c->rng));
    trace(c, " bytes=%zu", n);
    vec_trace(c, "in", &in);
    MUST(c, raw_syscall(SYS_pwrite64, fd, (long)c->scratch, (long)n, 0, 0, 0) == (long)n);
    long got = one_in(&c->rng, 2) ? raw_syscall(SYS_readv, fd, (long)in.v, in.n, 0, 0, 0)
                                  : raw_syscall(SYS_preadv, fd, (long)in.v, in.n, 0, 0, 0);
    result(c, got);
    MUST(c, got == (long)n);
    vec_scatter(&in, c->scratch, n);
    close_raw(fd);
}

// stdio calls write and read inside libc, where no hook is.
void
op_raw_stdio(struct ctx *c)
{
    struct buf *from = pick(c, READS), *to = pick_other(c, WRITES, from);
    size_t at, n, into, room;
    pick_range(c, from, &at, &n);
    pick_range(c, to, &into, &room);
    trace(c, " src=%d:%zu n=%zu dst=%d:%zu n=%zu", from->id, at, n, to->id, into, room);
    FILE *f = fdopen(raw_file(c), "w+");
    MUST(c, f);
    if (one_in(&c->rng, 4))
        setvbuf(f, NULL, _IONBF, 0);
    MUST(c, fputc('x', f) == 'x' && fwrite(from->p + at, 1, n, f) == n && fflush(f) == 0);
    MUST(c, fseek(f, 1, SEEK_SET) == 0);
    raw_copy(c->scratch, from->shadow + at, n);
    size_t got = fread(to->p + into, 1, room, f);
    result(c, (long)got);
    MUST(c, got == (n < room ? n : room));
    raw_copy(to->shadow + into, c->scratch, got);
    fclose(f);
}

#ifdef HAVE_LIBURING
struct ring {
    struct io_uring uring;
    bool broken;
};

void
ring_forget(struct ctx *c)
{
    c->ring = NULL;
}

struct request {
    bool out, socket, async;
    int fd;
    void *p;
    size_t n;
};

// One operation through the ring. A signal may cancel what was to start in a worker: then it is asked for
// again.
static int
submit(struct ctx *c, const struct request *q)
{
    struct io_uring *u = &c->ring->uring;
    struct io_uring_cqe *cqe;
    int res;
    do {
        struct io_uring_sqe *sqe = io_uring_get_sqe(u);
        if (q->socket && q->out)
            io_uring_prep_send(sqe, q->fd, q->p, q->n, 0);
        else if (q->socket)
            io_uring_prep_recv(sqe, q->fd, q->p, q->n, 0);
        else if (q->out)
            io_uring_prep_write(sqe, q->fd, q->p, (unsigned)q->n, 0);
        else
            io_uring_prep_read(sqe, q->fd, q->p, (unsigned)q->n, 0);
        if (q->async)
            io_uring_sqe_set_flags(sqe, IOSQE_ASYNC);
        do
            res = io_uring_submit(u);
        while (res == -EINTR);
        do
            res = io_uring_wait_cqe(u, &cqe);
        while (res == -EINTR);
        if (res < 0)
            return res;
        res = cqe->res;
        io_uring_cqe_seen(u, cqe);
    } while (res == -ECANCELED || res == -EINTR);
    return res;
}

void
op_raw_uring(struct ctx *c)
{
    struct buf *from = pick(c, READS), *to = pick_other(c, WRITES, from);
    size_t at, n, into, room;
    pick_range(c, from, &at, &n);
    pick_range(c, to, &into, &room);
    bool socket = one_in(&c->rng, 2), async = one_in(&c->rng, 3);
    if (n > 16 * 1024 && socket)
        n = 16 * 1024;
    trace(c, " src=%d:%zu n=%zu dst=%d:%zu n=%zu socket=%d async=%d", from->id, at, n, to->id, into, room,
          socket, async);
    if (!c->ring) {
        c->ring = calloc(1, sizeof *c->ring);
        MUST(c, c->ring);
        c->ring->broken = io_uring_queue_init(4, &c->ring->uring, 0) < 0;
    }
    if (c->ring->broken)
        return;
    int fd[2];
    if (socket)
        MUST(c, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) == 0);
    else
        fd[0] = fd[1] = raw_file(c);
    raw_copy(c->scratch, from->shadow + at, n);
    struct request out = {
        .out = true, .socket = socket, .async = async, .fd = fd[0], .p = from->p + at, .n = n};
    struct request in = {.socket = socket, .async = async, .fd = fd[1], .p = to->p + into, .n = room};
    int res = submit(c, &out);
    if (res != (int)n)
        wrong(c, "io_uring wrote %d of %zu", res, n);
    res = submit(c, &in);
    result(c, res);
    MUST(c, res == (int)(n < room ? n : room));
    raw_copy(to->shadow + into, c->scratch, (size_t)res);
    close(fd[0]);
    if (socket)
        close(fd[1]);
}

#else
void
ring_forget(struct ctx *c)
{
    c->ring = NULL;
}

void
op_raw_uring(struct ctx *c)
{
    trace(c, " not built in");
}
#endif

// By another way into the same memory: both sides are ours, one of them as if it were another process's.
void
op_raw_process_vm(struct ctx *c)
{
    struct buf *from = pick(c, READS), *to = pick_other(c, WRITES, from);
    size_t at, n, into, room;
    bool writes = one_in(&c->rng, 2);
    pick_range(c, from, &at, &n);
    pick_range(c, to, &into, &room);
    if (n > room)
        n = room;
    trace(c, " src=%d:%zu dst=%d:%zu n=%zu writes=%d", from->id, at, to->id, into, n, writes);
    struct iovec a = {from->p + at, n}, b = {to->p + into, n};
    ssize_t got =
        writes ? process_vm_writev(getpid(), &a, 1, &b, 1, 0) : process_vm_readv(getpid(), &b, 1, &a, 1, 0);
    result(c, got);
    MUST(c, got == (ssize_t)n);
    raw_copy(to->shadow + into, from->shadow + at, n);
}

// The kernel does not wait for absent pages here: it fails with EIO, or stops before them (libzio(7) names
// the limit). What it does read or write must be right.
void
op_raw_self_mem(struct ctx *c)
{
    bool writes = one_in(&c->rng, 2);
    struct buf *b = pick(c, writes ? WRITES : READS);
    size_t at, n;
    pick_range(c, b, &at, &n);
    trace(c, " buf=%d:%zu n=%zu writes=%d", b->id, at, n, writes);
    int fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return;
    if (writes)
        raw_fill(c->scratch, n, rng_next(&c->rng));
    long got = raw_syscall(writes ? SYS_pwrite64 : SYS_pread64, fd, (long)c->scratch, (long)n,
                           (long)(b->p + at), 0, 0);
    MUST(c, got == -EIO || (got > 0 && got <= (long)n));
    if (writes) { // what was not taken is stored by hand, so that all runs go on alike
        size_t done = got > 0 ? (size_t)got : 0;
        raw_copy(b->p + at + done, c->scratch + done, n - done);
        raw_copy(b->shadow + at, c->scratch, n);
    } else if (got > 0)
        MUST(c, raw_diff(b->shadow + at, c->scratch, (size_t)got) == (size_t)got);
    close(fd);
}
