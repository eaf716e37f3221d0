// SPDX-License-Identifier: Apache-2.0
// read, recv and their kin: large buffers are received straight into blocks. Each calls the C library's own
// function, so that cancellation points, restarts and errno are the C library's.
#include <errno.h>

#include "libzio/iobuf.h"
#include "libzio/real.h"
#include "libzio/route_node.h"
#include "libzio/route_priv.h"
#include "libzio/sys.h"
#include "libzio/zio.h"

#define CALLER ((uintptr_t)__builtin_return_address(0))
#define VEC_MAX 8 // of an iov list, as many buffers are looked at

// A thread that is cancelled while it waits lets go of its block (cancel.c).
static void
in_cleanup(struct inbuf *in)
{
    inbuf_end(in, 0);
}
#define INBUF __attribute__((cleanup(in_cleanup))) struct inbuf

struct invec {
    int n;
    struct inbuf in[VEC_MAX];
    struct iovec iov[VEC_MAX];
};

static void
invec_cleanup(struct invec *v)
{
    for (int i = 0; i < v->n; i++)
        inbuf_end(&v->in[i], 0);
}
#define INVEC __attribute__((cleanup(invec_cleanup))) struct invec

// False: nothing of the list is received into blocks.
static bool
invec_begin(struct invec *v, const struct iovec *iov, size_t n, uintptr_t ra)
{
    bool any = false;

    v->n = 0;
    if (n == 0 || n > VEC_MAX || !zio_on())
        return false;
    for (size_t i = 0; i < n; i++) {
        v->iov[i].iov_base = inbuf_begin(&v->in[i], iov[i].iov_base, iov[i].iov_len, ra);
        v->iov[i].iov_len = iov[i].iov_len;
        any |= v->in[i].b != NULL;
        v->n++;
    }
    return any;
}

static void
invec_end(struct invec *v, ssize_t got)
{
    for (int i = 0; i < v->n; i++) {
        ssize_t here = got < (ssize_t)v->iov[i].iov_len ? got : (ssize_t)v->iov[i].iov_len;

        inbuf_end(&v->in[i], here);
        got = got > here ? got - here : 0;
    }
    v->n = 0;
}

#define ONE(call)                                                                                            \
    do {                                                                                                     \
        INBUF in;                                                                                            \
        void *p = inbuf_begin(&in, buf, n, CALLER);                                                          \
        ssize_t r;                                                                                           \
        if (likely(!in.b))                                                                                   \
            return call;                                                                                     \
        r = call;                                                                                            \
        inbuf_end(&in, r);                                                                                   \
        return r;                                                                                            \
    } while (0)

// The library's own calls (libfsclient's) are no cancellation points, which cost two locked instructions.
#define ONE_INNER(call, inner)                                                                               \
    do {                                                                                                     \
        INBUF in;                                                                                            \
        void *p = inbuf_begin(&in, buf, n, CALLER);                                                          \
        ssize_t r;                                                                                           \
        if (likely(!in.b))                                                                                   \
            return unlikely(route_on) && route_depth > 0 ? route_result(inner) : call;                       \
        r = call;                                                                                            \
        inbuf_end(&in, r);                                                                                   \
        return r;                                                                                            \
    } while (0)

#define MANY(call, plain)                                                                                    \
    do {                                                                                                     \
        INVEC v;                                                                                             \
        ssize_t r;                                                                                           \
        v.n = 0;                                                                                             \
        if (n < 0 || !invec_begin(&v, iov, (size_t)n, CALLER))                                               \
            return plain;                                                                                    \
        r = call;                                                                                            \
        invec_end(&v, r);                                                                                    \
        return r;                                                                                            \
    } while (0)

// Files of volumes have nothing to do with blocks.
#define ROUTED(call)                                                                                         \
    do {                                                                                                     \
        if (unlikely(route_fd(fd)))                                                                          \
            return call;                                                                                     \
    } while (0)
// -1 is no offset, but for preadv2 and pwritev2, where it is the file's own.
#define PLACE(off) ((off) < 0 ? -2 : (off))

ZIO_EXPORT ssize_t
read(int fd, void *buf, size_t n)
{
    ROUTED(route_read(fd, buf, n));
    ONE_INNER(real.read(fd, p, n), zsys3(SYS_read, fd, p, n));
}

ZIO_EXPORT ssize_t
pread64(int fd, void *buf, size_t n, off_t off)
{
    ROUTED(route_pread(fd, buf, n, off));
    ONE_INNER(real.pread64(fd, p, n, off), zsys4(SYS_pread64, fd, p, n, off));
}

ZIO_EXPORT ssize_t
pread(int fd, void *buf, size_t n, off_t off)
{
    ROUTED(route_pread(fd, buf, n, off));
    ONE_INNER(real.pread64(fd, p, n, off), zsys4(SYS_pread64, fd, p, n, off));
}

ZIO_EXPORT ssize_t
recv(int fd, void *buf, size_t n, int flags)
{
    if (flags & MSG_TRUNC) // TCP writes nothing then, and says that it did
        return real.recv(fd, buf, n, flags);
    ONE(real.recv(fd, p, n, flags));
}

// A sender's name in a volume is shown as its program gave it; *len was `room`.
static ssize_t
named(ssize_t r, struct sockaddr *from, socklen_t *len, socklen_t room)
{
    if (unlikely(route_on) && r >= 0 && from && len)
        route_sock_show(from, len, room);
    return r;
}
#define ROOM(len) (unlikely(route_on) && (len) && !route_bad_address((len), sizeof *(len)) ? *(len) : 0)

ZIO_EXPORT ssize_t
recvfrom(int fd, void *restrict buf, size_t n, int flags, struct sockaddr *restrict from,
         socklen_t *restrict len)
{
    socklen_t room = ROOM(len);

    if (flags & MSG_TRUNC)
        return named(real.recvfrom(fd, buf, n, flags, from, len), from, len, room);
    ONE(named(real.recvfrom(fd, p, n, flags, from, len), from, len, room));
}

ZIO_EXPORT ssize_t
readv(int fd, const struct iovec *iov, int n)
{
    ROUTED(route_readv(fd, iov, n));
    MANY(real.readv(fd, v.iov, n), real.readv(fd, iov, n));
}

ZIO_EXPORT ssize_t
preadv64(int fd, const struct iovec *iov, int n, off_t off)
{
    ROUTED(route_preadv(fd, iov, n, PLACE(off), 0));
    MANY(real.preadv64(fd, v.iov, n, off), real.preadv64(fd, iov, n, off));
}

ZIO_EXPORT ssize_t
preadv(int fd, const struct iovec *iov, int n, off_t off)
{
    ROUTED(route_preadv(fd, iov, n, PLACE(off), 0));
    MANY(real.preadv64(fd, v.iov, n, off), real.preadv64(fd, iov, n, off));
}

ZIO_EXPORT ssize_t
preadv64v2(int fd, const struct iovec *iov, int n, off_t off, int flags)
{
    ROUTED(route_preadv(fd, iov, n, off, flags));
    MANY(real.preadv64v2(fd, v.iov, n, off, flags), real.preadv64v2(fd, iov, n, off, flags));
}

ZIO_EXPORT ssize_t
preadv2(int fd, const struct iovec *iov, int n, off_t off, int flags)
{
    ROUTED(route_preadv(fd, iov, n, off, flags));
    MANY(real.preadv64v2(fd, v.iov, n, off, flags), real.preadv64v2(fd, iov, n, off, flags));
}

// The kernel writes lengths and flags into the program's own header; only the list of buffers is ours.
static ssize_t
any_recvmsg(int fd, struct msghdr *msg, int flags, uintptr_t ra)
{
    struct iovec *iov;
    INVEC v;
    ssize_t r;

    v.n = 0;
    if (!msg || (flags & MSG_TRUNC) || !invec_begin(&v, msg->msg_iov, msg->msg_iovlen, ra))
        return real.recvmsg(fd, msg, flags);
    iov = msg->msg_iov;
    msg->msg_iov = v.iov;
    r = real.recvmsg(fd, msg, flags);
    msg->msg_iov = iov;
    invec_end(&v, r);
    return r;
}

ZIO_EXPORT ssize_t
recvmsg(int fd, struct msghdr *msg, int flags)
{
    socklen_t room = unlikely(route_on) && !route_bad_address(msg, sizeof *msg) ? msg->msg_namelen : 0;
    ssize_t r = any_recvmsg(fd, msg, flags, CALLER);

    if (likely(!route_on) || r < 0)
        return r;
    route_sock_show(msg->msg_name, &msg->msg_namelen, room);
    if (msg->msg_controllen > 0)
        route_pass_received(msg);
    return r;
}

// Lists of datagrams are small ones: absent buffers among them are put back by the kernel's faults.
ZIO_EXPORT int
recvmmsg(int fd, struct mmsghdr *msgs, unsigned n, int flags, struct timespec *timeout)
{
    int got;

    if (n == 1 && msgs && !timeout) {
        ssize_t r = recvmsg(fd, &msgs->msg_hdr, flags & ~MSG_WAITFORONE);

        if (r < 0)
            return -1;
        msgs->msg_len = (unsigned)r;
        return 1;
    }
    got = real.recvmmsg(fd, msgs, n, flags, timeout);
    for (int i = 0; unlikely(route_on) && i < got; i++) {
        struct msghdr *m = &msgs[i].msg_hdr;

        // How much room there was is gone; more than an address of ours takes, or it could not be parsed.
        route_sock_show(m->msg_name, &m->msg_namelen, m->msg_namelen);
        if (m->msg_controllen > 0)
            route_pass_received(m);
    }
    return got;
}

extern void __chk_fail(void) __attribute__((noreturn));
ssize_t __read_chk(int fd, void *buf, size_t n, size_t room);
ssize_t __pread_chk(int fd, void *buf, size_t n, off_t off, size_t room);
ssize_t __pread64_chk(int fd, void *buf, size_t n, off_t off, size_t room);
ssize_t __recv_chk(int fd, void *buf, size_t n, size_t room, int flags);
ssize_t __recvfrom_chk(int fd, void *restrict buf, size_t n, size_t room, int flags,
                       struct sockaddr *restrict from, socklen_t *restrict len);
ssize_t __read(int fd, void *buf, size_t n);
ssize_t __pread64(int fd, void *buf, size_t n, off_t off);
ssize_t __recv(int fd, void *buf, size_t n, int flags);

#define CHECK_ROOM()                                                                                         \
    do {                                                                                                     \
        if (n > room)                                                                                        \
            __chk_fail();                                                                                    \
    } while (0)

ZIO_EXPORT ssize_t
__read_chk(int fd, void *buf, size_t n, size_t room)
{
    CHECK_ROOM();
    ROUTED(route_read(fd, buf, n));
    ONE_INNER(real.read(fd, p, n), zsys3(SYS_read, fd, p, n));
}

ZIO_EXPORT ssize_t
__pread_chk(int fd, void *buf, size_t n, off_t off, size_t room)
{
    CHECK_ROOM();
    ROUTED(route_pread(fd, buf, n, off));
    ONE_INNER(real.pread64(fd, p, n, off), zsys4(SYS_pread64, fd, p, n, off));
}

ZIO_EXPORT ssize_t
__pread64_chk(int fd, void *buf, size_t n, off_t off, size_t room)
{
    CHECK_ROOM();
    ROUTED(route_pread(fd, buf, n, off));
    ONE_INNER(real.pread64(fd, p, n, off), zsys4(SYS_pread64, fd, p, n, off));
}

ZIO_EXPORT ssize_t
__recv_chk(int fd, void *buf, size_t n, size_t room, int flags)
{
    CHECK_ROOM();
    if (flags & MSG_TRUNC)
        return real.recv(fd, buf, n, flags);
    ONE(real.recv(fd, p, n, flags));
}

ZIO_EXPORT ssize_t
__recvfrom_chk(int fd, void *restrict buf, size_t n, size_t room, int flags, struct sockaddr *restrict from,
               socklen_t *restrict len)
{
    socklen_t space = ROOM(len);

    CHECK_ROOM();
    if (flags & MSG_TRUNC)
        return named(real.recvfrom(fd, buf, n, flags, from, len), from, len, space);
    ONE(named(real.recvfrom(fd, p, n, flags, from, len), from, len, space));
}

ZIO_EXPORT ssize_t
__read(int fd, void *buf, size_t n)
{
    ROUTED(route_read(fd, buf, n));
    ONE_INNER(real.read(fd, p, n), zsys3(SYS_read, fd, p, n));
}

ZIO_EXPORT ssize_t
__pread64(int fd, void *buf, size_t n, off_t off)
{
    ROUTED(route_pread(fd, buf, n, off));
    ONE_INNER(real.pread64(fd, p, n, off), zsys4(SYS_pread64, fd, p, n, off));
}

ZIO_EXPORT ssize_t
__recv(int fd, void *buf, size_t n, int flags)
{
    if (flags & MSG_TRUNC) // TCP writes nothing then, and says that it did
        return real.recv(fd, buf, n, flags);
    ONE(real.recv(fd, p, n, flags));
}
