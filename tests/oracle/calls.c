// SPDX-License-Identifier: Apache-2.0
// One call that moves bytes between the program and the kernel, of a random kind, hooked or not.
#include "tests/oracle/oracle.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static ssize_t
libc_result(long ret)
{
    if (ret < 0 && ret > -4096) {
        errno = (int)-ret;
        return -1;
    }
    return ret;
}

// The first piece that is not empty, for the calls that take only one.
static struct iovec
first_piece(const struct vec *v)
{
    for (int i = 0; i < v->n; i++)
        if (v->v[i].iov_len)
            return v->v[i];
    return v->v[0];
}

static bool
single(const struct vec *v)
{
    return first_piece(v).iov_len == v->total;
}

static ssize_t
batch(int fd, const struct vec *v, bool out, int flags)
{
    struct mmsghdr m = {.msg_hdr = {.msg_iov = (struct iovec *)v->v, .msg_iovlen = (size_t)v->n}};
    int n = out ? sendmmsg(fd, &m, 1, flags) : recvmmsg(fd, &m, 1, flags, NULL);
    return n == 1 ? (ssize_t)m.msg_len : -1;
}

ssize_t
call_out(struct rng *r, int fd, const struct vec *v, bool socket, int flags)
{
    struct iovec one = first_piece(v);
    struct msghdr m = {.msg_iov = (struct iovec *)v->v, .msg_iovlen = (size_t)v->n};
    switch (rnd(r, socket ? 8 : 3)) {
    case 0:
        if (single(v) && !flags)
            return write(fd, one.iov_base, one.iov_len);
        break;
    case 1:
        if (single(v) && !flags)
            return libc_result(raw_syscall(SYS_write, fd, (long)one.iov_base, (long)one.iov_len, 0, 0, 0));
        break;
    case 2:
        if (!flags)
            return writev(fd, v->v, v->n);
        break;
    case 3:
        if (single(v))
            return send(fd, one.iov_base, one.iov_len, flags);
        break;
    case 4:
        if (single(v))
            return sendto(fd, one.iov_base, one.iov_len, flags, NULL, 0);
        break;
    case 5:
        return batch(fd, v, true, flags);
    case 6:
        return libc_result(raw_syscall(SYS_sendmsg, fd, (long)&m, flags, 0, 0, 0));
    default:
        break;
    }
    return socket ? sendmsg(fd, &m, flags) : writev(fd, v->v, v->n);
}

ssize_t
call_in(struct rng *r, int fd, const struct vec *v, bool socket, int flags)
{
    struct iovec one = first_piece(v);
    struct msghdr m = {.msg_iov = (struct iovec *)v->v, .msg_iovlen = (size_t)v->n};
    switch (rnd(r, socket ? 8 : 3)) {
    case 0:
        if (single(v) && !flags)
            return read(fd, one.iov_base, one.iov_len);
        break;
    case 1:
        if (single(v) && !flags)
            return libc_result(raw_syscall(SYS_read, fd, (long)one.iov_base, (long)one.iov_len, 0, 0, 0));
        break;
    case 2:
        if (!flags)
            return readv(fd, v->v, v->n);
        break;
    case 3:
        if (single(v))
            return recv(fd, one.iov_base, one.iov_len, flags);
        break;
    case 4:
        if (single(v))
            return recvfrom(fd, one.iov_base, one.iov_len, flags, NULL, NULL);
        break;
    case 5:
        return batch(fd, v, false, flags);
    case 6:
        if (single(v))
            return libc_result(
                raw_syscall(SYS_recvfrom, fd, (long)one.iov_base, (long)one.iov_len, flags, 0, 0));
        break;
    default:
        break;
    }
    return socket ? recvmsg(fd, &m, flags) : readv(fd, v->v, v->n);
}
