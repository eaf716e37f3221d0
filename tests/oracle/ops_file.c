// SPDX-License-Identifier: Apache-2.0
// Files with a model of their content, and pipes.
#include "tests/oracle/oracle.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

void
op_file_write(struct ctx *c)
{
    struct vec out;
    vec_pick(c, &out, READS, BUF_MAX, NULL);
    size_t at = rnd(&c->rng, FILE_MAX - out.total + 1);
    if (one_in(&c->rng, 2))
        at = rnd(&c->rng, c->file_size + 1) % (FILE_MAX - out.total + 1);
    size_t how = rnd(&c->rng, 6);
    trace(c, " how=%zu at=%zu", how, at);
    vec_trace(c, "out", &out);
    ssize_t n;
    size_t total = out.total;
    switch (how) {
    case 0:
        vec_limit(&out, total = out.v[0].iov_len);
        n = pwrite(c->file, out.v[0].iov_base, total, (off_t)at);
        break;
    case 1:
        n = pwritev(c->file, out.v, out.n, (off_t)at);
        break;
    case 2:
        n = pwritev2(c->file, out.v, out.n, (off_t)at, 0);
        break;
    case 3:
        vec_limit(&out, total = out.v[0].iov_len);
        n = raw_syscall(SYS_pwrite64, c->file, (long)out.v[0].iov_base, (long)total, (long)at, 0, 0);
        break;
    default:
        MUST(c, lseek(c->file, (off_t)at, SEEK_SET) == (off_t)at);
        n = call_out(&c->rng, c->file, &out, false, 0);
        MUST(c, lseek(c->file, 0, SEEK_CUR) == (off_t)(at + total));
        break;
    }
    result(c, n);
    MUST(c, n == (ssize_t)total);
    if (total && at > c->file_size)
        raw_set(c->file_shadow + c->file_size, at - c->file_size, 0);
    vec_gather(&out, c->file_shadow + at);
    if (total && at + total > c->file_size)
        c->file_size = at + total;
}

void
op_file_read(struct ctx *c)
{
    struct vec in;
    vec_pick(c, &in, WRITES, BUF_MAX, NULL);
    size_t at = rnd(&c->rng, c->file_size + 1 + c->file_size / 8);
    size_t how = rnd(&c->rng, 6), left = at < c->file_size ? c->file_size - at : 0;
    trace(c, " how=%zu at=%zu", how, at);
    vec_trace(c, "in", &in);
    ssize_t n;
    switch (how) {
    case 0:
        vec_limit(&in, in.v[0].iov_len);
        n = pread(c->file, in.v[0].iov_base, in.v[0].iov_len, (off_t)at);
        break;
    case 1:
        n = preadv(c->file, in.v, in.n, (off_t)at);
        break;
    case 2:
        n = preadv2(c->file, in.v, in.n, (off_t)at, 0);
        break;
    case 3:
        vec_limit(&in, in.v[0].iov_len);
        n = raw_syscall(SYS_pread64, c->file, (long)in.v[0].iov_base, (long)in.v[0].iov_len, (long)at, 0, 0);
        break;
    default:
        MUST(c, lseek(c->file, (off_t)at, SEEK_SET) == (off_t)at);
        n = call_in(&c->rng, c->file, &in, false, 0);
        break;
    }
    result(c, n);
    MUST(c, n == (ssize_t)(in.total < left ? in.total : left));
    vec_scatter(&in, c->file_shadow + at, (size_t)n);
}

void
op_file_truncate(struct ctx *c)
{
    size_t n = rnd(&c->rng, FILE_MAX);
    trace(c, " size=%zu", n);
    MUST(c, ftruncate(c->file, (off_t)n) == 0);
    if (n > c->file_size)
        raw_set(c->file_shadow + c->file_size, n - c->file_size, 0);
    c->file_size = n;
}

void
op_pipe_loop(struct ctx *c)
{
    int fd[2];
    struct vec out, in;
    MUST(c, pipe2(fd, O_NONBLOCK | O_CLOEXEC) == 0);
    if (one_in(&c->rng, 2))
        fcntl(fd[0], F_SETPIPE_SZ, (int)PAGE << rnd(&c->rng, 8));
    vec_pick(c, &out, READS, BUF_MAX, NULL);
    vec_pick(c, &in, WRITES, out.total ? out.total : 1, &out);
    size_t n = in.total < out.total ? in.total : out.total;
    vec_limit(&out, n);
    vec_limit(&in, n);
    vec_trace(c, "out", &out);
    vec_trace(c, "in", &in);
    vec_gather(&out, c->scratch);
    vec_scatter(&in, c->scratch, n);
    struct rng r = {rng_next(&c->rng)};
    while (in.total) {
        ssize_t got = out.total ? call_out(&r, fd[1], &out, false, 0) : 0;
        MUST(c, got >= 0 || errno == EAGAIN);
        if (got > 0)
            vec_skip(&out, (size_t)got);
        got = call_in(&r, fd[0], &in, false, 0);
        MUST(c, got > 0 || (got < 0 && errno == EAGAIN));
        if (got > 0)
            vec_skip(&in, (size_t)got);
    }
    vec_pick(c, &in, WRITES, BUF_MAX, NULL);
    if (in.total)
        result(c, call_in(&r, fd[0], &in, false, 0));
    close(fd[1]);
    if (!c->concurrent && in.total) // a child of another thread may hold the other end for a while
        result(c, call_in(&r, fd[0], &in, false, 0));
    close(fd[0]);
}
