// SPDX-License-Identifier: Apache-2.0
// write, send and their kin: absent bytes go to the kernel straight from their blocks. When a buffer lies in
// one block the call is the same with another address; when it lies in several pieces, sockets, pipes and
// regular files take a list instead (for them the two are the same; for other devices the kernel's own faults
// do it).
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "libzio/area.h"
#include "libzio/iobuf.h"
#include "libzio/real.h"
#include "libzio/route_node.h"
#include "libzio/route_priv.h"
#include "libzio/sys.h"
#include "libzio/zio.h"

// A thread that is cancelled while it waits lets go of its blocks.
// The same at every return (cancel.c).
static void
out_cleanup(struct outbuf *o)
{
    outbuf_end(o);
}
#define OUTBUF __attribute__((cleanup(out_cleanup))) struct outbuf

static bool
list_is_the_same(int fd)
{
    struct stat st;
    int saved = errno;
    bool ok = fstat(fd, &st) == 0 && (S_ISREG(st.st_mode) || S_ISSOCK(st.st_mode) || S_ISFIFO(st.st_mode));

    errno = saved;
    return ok;
}

// Direct I/O wants its bytes at sector boundaries, where the program put them: there the kernel's faults do
// it.
static bool
wants_alignment(int fd, const struct outbuf *o)
{
    int saved = errno, flags;

    if (likely(!o->skewed))
        return false;
    flags = fcntl(fd, F_GETFL);
    errno = saved;
    return flags >= 0 && (flags & O_DIRECT);
}

// `plain`: the call where nothing of the buffer is absent.
#define ONE_OR(plain, same, list)                                                                            \
    do {                                                                                                     \
        OUTBUF o;                                                                                            \
        const void *p = buf;                                                                                 \
        if (likely(!outbuf_begin(&o, buf, n)))                                                               \
            return plain;                                                                                    \
        if (wants_alignment(fd, &o))                                                                         \
            return same;                                                                                     \
        if (o.niov == 1)                                                                                     \
            p = o.iov[0].iov_base;                                                                           \
        if (o.niov > 1 && list_is_the_same(fd))                                                              \
            return list;                                                                                     \
        return same;                                                                                         \
    } while (0)

#define ONE(same, list) ONE_OR(same, same, list)
// The library's own calls: see hooks_recv.c.
#define ONE_INNER(same, list, inner)                                                                         \
    ONE_OR(unlikely(route_on) && route_depth > 0 ? route_result(inner) : same, same, list)

static ssize_t
send_list(int fd, struct outbuf *o, int flags, const struct sockaddr *to, socklen_t len)
{
    struct msghdr m = {
        .msg_name = (void *)to, .msg_namelen = len, .msg_iov = o->iov, .msg_iovlen = (size_t)o->niov};

    return real.sendmsg(fd, &m, flags);
}

#define ROUTED(call)                                                                                         \
    do {                                                                                                     \
        if (unlikely(route_fd(fd)))                                                                          \
            return call;                                                                                     \
    } while (0)
#define PLACE(off) ((off) < 0 ? -2 : (off)) // see hooks_recv.c

ZIO_EXPORT ssize_t
write(int fd, const void *buf, size_t n)
{
    ROUTED(route_write(fd, buf, n));
    ONE_INNER(real.write(fd, p, n), real.writev(fd, o.iov, o.niov), zsys3(SYS_write, fd, p, n));
}

ssize_t __write(int fd, const void *buf, size_t n);
ZIO_EXPORT ssize_t
__write(int fd, const void *buf, size_t n)
{
    ROUTED(route_write(fd, buf, n));
    ONE_INNER(real.write(fd, p, n), real.writev(fd, o.iov, o.niov), zsys3(SYS_write, fd, p, n));
}

ZIO_EXPORT ssize_t
pwrite64(int fd, const void *buf, size_t n, off_t off)
{
    ROUTED(route_pwrite(fd, buf, n, off));
    ONE_INNER(real.pwrite64(fd, p, n, off), real.pwritev64(fd, o.iov, o.niov, off),
              zsys4(SYS_pwrite64, fd, p, n, off));
}

ssize_t __pwrite64(int fd, const void *buf, size_t n, off_t off);
ZIO_EXPORT ssize_t
__pwrite64(int fd, const void *buf, size_t n, off_t off)
{
    ROUTED(route_pwrite(fd, buf, n, off));
    ONE_INNER(real.pwrite64(fd, p, n, off), real.pwritev64(fd, o.iov, o.niov, off),
              zsys4(SYS_pwrite64, fd, p, n, off));
}

ZIO_EXPORT ssize_t
pwrite(int fd, const void *buf, size_t n, off_t off)
{
    ROUTED(route_pwrite(fd, buf, n, off));
    ONE_INNER(real.pwrite64(fd, p, n, off), real.pwritev64(fd, o.iov, o.niov, off),
              zsys4(SYS_pwrite64, fd, p, n, off));
}

ZIO_EXPORT ssize_t
send(int fd, const void *buf, size_t n, int flags)
{
    ONE(real.send(fd, p, n, flags), send_list(fd, &o, flags, NULL, 0));
}

ssize_t __send(int fd, const void *buf, size_t n, int flags);
ZIO_EXPORT ssize_t
__send(int fd, const void *buf, size_t n, int flags)
{
    ONE(real.send(fd, p, n, flags), send_list(fd, &o, flags, NULL, 0));
}

// The name may be one of a volume. True: it can't be sent to, errno says why.
static bool
no_such(const struct sockaddr **to, socklen_t *len, struct sockaddr_un *un)
{
    return unlikely(route_on) && *to && *len > sizeof(*to)->sa_family && !route_bad_address(*to, *len) &&
           (*to)->sa_family == AF_UNIX && route_sock_to(to, len, un) < 0;
}

ZIO_EXPORT ssize_t
sendto(int fd, const void *buf, size_t n, int flags, const struct sockaddr *to, socklen_t len)
{
    struct sockaddr_un un;

    if (no_such(&to, &len, &un))
        return -1;
    ONE(real.sendto(fd, p, n, flags, to, len), send_list(fd, &o, flags, to, len));
}

// A list with absent bytes becomes a list that names their blocks; false: use the program's own list.
static bool
outvec_begin(struct outbuf *o, const struct iovec *iov, size_t n)
{
    bool maybe = false;

    o->niov = o->nholds = 0;
    o->skewed = false;
    if (!zio_on() || n == 0 || n > OUT_MAX || !iov)
        return false;
    for (size_t i = 0; i < n && !maybe; i++)
        maybe = iov[i].iov_len >= 1024 && area_maybe_absent((uintptr_t)iov[i].iov_base);
    if (!maybe)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!outbuf_add(o, iov[i].iov_base, iov[i].iov_len)) {
            outbuf_end(o);
            return false;
        }
    return o->nholds > 0;
}

#define MANY(plain, list)                                                                                    \
    do {                                                                                                     \
        OUTBUF o;                                                                                            \
        o.nholds = 0;                                                                                        \
        if (n < 0 || !outvec_begin(&o, iov, (size_t)n))                                                      \
            return plain;                                                                                    \
        if (!wants_alignment(fd, &o) && list_is_the_same(fd))                                                \
            return list;                                                                                     \
        return plain;                                                                                        \
    } while (0)

ZIO_EXPORT ssize_t
writev(int fd, const struct iovec *iov, int n)
{
    ROUTED(route_writev(fd, iov, n));
    MANY(real.writev(fd, iov, n), real.writev(fd, o.iov, o.niov));
}

ZIO_EXPORT ssize_t
pwritev64(int fd, const struct iovec *iov, int n, off_t off)
{
    ROUTED(route_pwritev(fd, iov, n, PLACE(off), 0));
    MANY(real.pwritev64(fd, iov, n, off), real.pwritev64(fd, o.iov, o.niov, off));
}

ZIO_EXPORT ssize_t
pwritev(int fd, const struct iovec *iov, int n, off_t off)
{
    ROUTED(route_pwritev(fd, iov, n, PLACE(off), 0));
    MANY(real.pwritev64(fd, iov, n, off), real.pwritev64(fd, o.iov, o.niov, off));
}

ZIO_EXPORT ssize_t
pwritev64v2(int fd, const struct iovec *iov, int n, off_t off, int flags)
{
    ROUTED(route_pwritev(fd, iov, n, off, flags));
    MANY(real.pwritev64v2(fd, iov, n, off, flags), real.pwritev64v2(fd, o.iov, o.niov, off, flags));
}

ZIO_EXPORT ssize_t
pwritev2(int fd, const struct iovec *iov, int n, off_t off, int flags)
{
    ROUTED(route_pwritev(fd, iov, n, off, flags));
    MANY(real.pwritev64v2(fd, iov, n, off, flags), real.pwritev64v2(fd, o.iov, o.niov, off, flags));
}

static ssize_t
any_sendmsg(int fd, const struct msghdr *msg, int flags)
{
    struct sockaddr_un un;
    struct msghdr m;
    OUTBUF o;

    o.nholds = 0;
    if (unlikely(route_on) && msg && msg->msg_name) {
        const struct sockaddr *to = msg->msg_name;

        m = *msg;
        if (no_such(&to, &m.msg_namelen, &un))
            return -1;
        m.msg_name = (void *)to;
        msg = &m;
    }
    if (!msg || !outvec_begin(&o, msg->msg_iov, msg->msg_iovlen))
        return real.sendmsg(fd, msg, flags);
    m = *msg; // name, control data (descriptors, credentials) and flags stay as they are
    m.msg_iov = o.iov;
    m.msg_iovlen = (size_t)o.niov;
    return real.sendmsg(fd, &m, flags);
}

ZIO_EXPORT ssize_t
sendmsg(int fd, const struct msghdr *msg, int flags)
{
    bool passes = unlikely(route_on) && msg && msg->msg_control && msg->msg_controllen > 0;
    ssize_t r;

    if (likely(!passes))
        return any_sendmsg(fd, msg, flags);
    route_pass_send(msg);
    r = any_sendmsg(fd, msg, flags);
    if (r < 0)
        route_pass_unsent(msg);
    return r;
}

static bool
any_name(const struct mmsghdr *msgs, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        const struct sockaddr *to = msgs[i].msg_hdr.msg_name;

        if (to && msgs[i].msg_hdr.msg_namelen > sizeof to->sa_family && to->sa_family == AF_UNIX)
            return true;
    }
    return false;
}

// Names may be in a volume: one after the other.
static int
each_message(int fd, struct mmsghdr *msgs, unsigned n, int flags)
{
    for (unsigned i = 0; i < n; i++) {
        ssize_t sent = sendmsg(fd, &msgs[i].msg_hdr, flags);

        if (sent < 0)
            return i > 0 ? (int)i : -1;
        msgs[i].msg_len = (unsigned)sent;
    }
    return (int)n;
}

ZIO_EXPORT int
sendmmsg(int fd, struct mmsghdr *msgs, unsigned n, int flags)
{
    int r;

    // One message is sendmsg; of several, the kernel's own faults put absent bytes back.
    if (n == 1 && msgs) {
        ssize_t sent = sendmsg(fd, &msgs->msg_hdr, flags);

        if (sent < 0)
            return -1;
        msgs->msg_len = (unsigned)sent;
        return 1;
    }
    if (unlikely(route_on) && msgs && any_name(msgs, n))
        return each_message(fd, msgs, n, flags);
    for (unsigned i = 0; unlikely(route_on) && msgs && i < n; i++)
        route_pass_send(&msgs[i].msg_hdr);
    r = real.sendmmsg(fd, msgs, n, flags);
    for (unsigned i = r > 0 ? (unsigned)r : 0; unlikely(route_on) && msgs && i < n; i++)
        route_pass_unsent(&msgs[i].msg_hdr);
    return r;
}

int __sendmmsg(int fd, struct mmsghdr *msgs, unsigned n, int flags);
ZIO_EXPORT int
__sendmmsg(int fd, struct mmsghdr *msgs, unsigned n, int flags)
{
    return sendmmsg(fd, msgs, n, flags);
}

// From here on the kernel may go on reading pages after the call: they must not be taken out under it.
ZIO_EXPORT ssize_t
vmsplice(int fd, const struct iovec *iov, size_t n, unsigned flags)
{
    for (size_t i = 0; i < n && i < 1024 && zio_on(); i++)
        area_pin_range(zpage_down(iov[i].iov_base), zpage_up((uintptr_t)iov[i].iov_base + iov[i].iov_len));
    return real.vmsplice(fd, iov, n, flags);
}

ZIO_EXPORT int
setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    if (level == SOL_SOCKET && name == SO_ZEROCOPY && zio_on())
        zio_stop("the program sends with MSG_ZEROCOPY itself");
    return real.setsockopt(fd, level, name, value, len);
}
