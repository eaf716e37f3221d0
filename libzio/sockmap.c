// SPDX-License-Identifier: Apache-2.0
// `zio run --sockmap`: what the kernel does not do for bytes that a BPF program redirected between two
// sockets, done here, so that the program sees what TCP would have given. It takes the place of entries of
// `real`, so every hook passes through. Where the kernel's answer is TCP's, which is nearly always, it costs
// a compare.
//
// What differs (Linux 6.18, tcp_bpf_recvmsg):
// - a blocking receive ends with EAGAIN when anything but data wakes it: a signal, a reset, the socket's own
// shutdown;
// - MSG_WAITALL, MSG_TRUNC and MSG_OOB are not looked at;
// - a receive stops between the redirected bytes and those that TCP has, and FIONREAD does not count the
// latter: a
//   program that takes a short read for the end of what there is would wait for an event that has been;
// - splice(2) does not see redirected bytes.
#include "libzio/sockmap.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/sockmap.h"
#include "libzio/real.h"

enum {
    SCRATCH = 65536,   // bytes moved at a time where they must pass through here
    RUN_FDS = 1024,    // descriptors whose runs of full reads are known
    RUN_LEAST = 4096,  // a shorter run cannot have been followed by bytes through TCP
    PEEK_AGAIN_MS = 1, // MSG_PEEK with MSG_WAITALL looks again that often
};

static struct zio_reals next; // what `real` held before

static int
joined(int fd)
{
    int saved = errno, v = 0;
    socklen_t len = sizeof v;

    if (getsockopt(fd, ZSM_LEVEL, ZSM_JOINED, &v, &len) < 0)
        v = 0;
    errno = saved;
    return v;
}

// What FIONREAD ought to say of a joined socket; -1: it is not joined.
static int
unread(int fd)
{
    int saved = errno, n = -1;
    socklen_t len = sizeof n;

    if (getsockopt(fd, ZSM_LEVEL, ZSM_INQ, &n, &len) < 0)
        n = -1;
    errno = saved;
    return n;
}

static bool
nonblocking(int fd)
{
    int saved = errno;
    long flags = syscall(SYS_fcntl, fd, F_GETFL);

    errno = saved;
    return flags < 0 || (flags & O_NONBLOCK);
}

static bool
has_timeout(int fd)
{
    struct timeval t = {0};
    socklen_t len = sizeof t;

    return getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, &len) == 0 && (t.tv_sec || t.tv_usec);
}

// Would a signal that woke us end the call? Which one it was is not known: one that does is enough.
static bool
signals_interrupt(void)
{
    for (int sig = 1; sig < NSIG; sig++) {
        struct sigaction act;

        if (sig == SIGSEGV || sig == SIGBUS || sig == SIGILL || sig == SIGFPE)
            continue;
        if (next.sigaction(sig, NULL, &act) == 0 && act.sa_handler != SIG_DFL && act.sa_handler != SIG_IGN &&
            !(act.sa_flags & SA_RESTART))
            return true;
    }
    return false;
}

// A receive that ought to have waited said EAGAIN.
static ssize_t
wait_again(int fd, struct msghdr *m, int flags)
{
    if ((flags & MSG_DONTWAIT) || nonblocking(fd) || !joined(fd))
        return errno = EAGAIN, -1;
    for (;;) {
        ssize_t r = next.recvmsg(fd, m, flags | MSG_DONTWAIT);

        if (r >= 0 || errno != EAGAIN)
            return r; // bytes, an end, or the error that was what woke us
        if (has_timeout(fd))
            return errno = EAGAIN, -1;
        if (signals_interrupt())
            return errno = EINTR, -1;
        r = next.recvmsg(fd, m, flags);
        if (r >= 0 || errno != EAGAIN)
            return r;
    }
}

static ssize_t
once(int fd, struct msghdr *m, int flags)
{
    ssize_t r = next.recvmsg(fd, m, flags);

    return r < 0 && errno == EAGAIN ? wait_again(fd, m, flags) : r;
}

static size_t
room(const struct msghdr *m)
{
    size_t n = 0;

    for (size_t i = 0; i < m->msg_iovlen; i++)
        n += m->msg_iov[i].iov_len;
    return n;
}

// The part of m's buffers from `done` on, as a list of its own: *n entries of iov.
static void
rest(const struct msghdr *m, size_t done, struct iovec *iov, size_t *n)
{
    *n = 0;
    for (size_t i = 0; i < m->msg_iovlen; i++) {
        struct iovec v = m->msg_iov[i];

        if (done >= v.iov_len) {
            done -= v.iov_len;
            continue;
        }
        iov[*n].iov_base = (char *)v.iov_base + done;
        iov[(*n)++].iov_len = v.iov_len - done;
        done = 0;
    }
}

// MSG_WAITALL, by asking until it is all there.
static ssize_t
all_of_it(int fd, struct msghdr *m, int flags)
{
    size_t want = room(m), done = 0;

    while (done < want) {
        struct iovec iov[m->msg_iovlen];
        struct msghdr part = {.msg_iov = iov};
        ssize_t r;

        rest(m, (flags & MSG_PEEK) ? 0 : done, iov, &part.msg_iovlen);
        r = once(fd, &part, flags);
        if (r < 0)
            return done ? (ssize_t)done : -1;
        if (r == 0 || ((flags & MSG_PEEK) && (size_t)r == want))
            return (flags & MSG_PEEK) ? r : (ssize_t)done;
        if ((flags & MSG_PEEK) && (size_t)r == done) { // nothing new: an end behind it?
            struct pollfd p = {.fd = fd, .events = POLLRDHUP};

            if (poll(&p, 1, PEEK_AGAIN_MS) > 0)
                return r;
        }
        done = (flags & MSG_PEEK) ? (size_t)r : done + (size_t)r;
    }
    return (ssize_t)done;
}

// MSG_TRUNC: TCP counts the bytes, and throws them away or (MSG_PEEK) leaves them; the buffer stays as it is.
static ssize_t
count_only(int fd, size_t want, int flags)
{
    size_t done = 0;

    while (done < want) {
        char scratch[SCRATCH];
        struct iovec iov = {scratch, want - done < SCRATCH ? want - done : SCRATCH};
        struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
        ssize_t r =
            once(fd, &m, (done && !(flags & MSG_WAITALL) ? flags | MSG_DONTWAIT : flags) & ~MSG_WAITALL);

        if (r <= 0 || (flags & MSG_PEEK))
            return done ? (ssize_t)done : r;
        done += (size_t)r;
    }
    return (ssize_t)done;
}

static bool
urgent_is_there(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLPRI};

    return poll(&p, 1, 0) > 0 && (p.revents & POLLPRI);
}

// The run of full reads before a short one, by descriptor. Threads may race for it: then one looks once too
// often.
static uint32_t runs[RUN_FDS];

// A read brought less than was asked for: is there more that TCP has?
static ssize_t
top_up(int fd, const struct msghdr *m, size_t got, int flags)
{
    struct iovec iov[m->msg_iovlen];
    struct msghdr part = {.msg_iov = iov};
    int saved = errno;
    ssize_t r;

    // (an error or an end must stay for the next call)
    if (unread(fd) <= 0)
        return (ssize_t)got;
    rest(m, got, iov, &part.msg_iovlen);
    r = next.recvmsg(fd, &part, flags | MSG_DONTWAIT);
    errno = saved;
    return (ssize_t)got + (r > 0 ? r : 0);
}

static ssize_t
after(int fd, const struct msghdr *m, size_t want, ssize_t r, int flags)
{
    uint32_t *run = &runs[(unsigned)fd % RUN_FDS], ran;

    if (r <= 0 || (flags & MSG_PEEK))
        return r;
    ran = *run + (uint32_t)r;
    if ((size_t)r == want) {
        *run = ran > (1U << 30) ? 1U << 30 : ran;
        return r;
    }
    *run = 0;
    return ran < RUN_LEAST ? r : top_up(fd, m, (size_t)r, flags);
}

// A receive with flags that redirected bytes do not obey, on a socket that has or had them.
static ssize_t
take(int fd, struct msghdr *m, int flags)
{
    if (flags & MSG_OOB)
        return urgent_is_there(fd) ? next.recvmsg(fd, m, flags) : (errno = EINVAL, -1);
    if (flags & MSG_TRUNC)
        return count_only(fd, room(m), flags);
    if (!(flags & MSG_DONTWAIT) && !nonblocking(fd))
        return all_of_it(fd, m, flags & ~MSG_WAITALL);
    return after(fd, m, room(m), once(fd, m, flags), flags);
}

#define ONE_BUFFER(buf, n)                                                                                   \
    struct iovec iov = {buf, n};                                                                             \
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1}

#define WANTS_MORE(flags) (((flags) & (MSG_WAITALL | MSG_TRUNC | MSG_OOB)) && !((flags)&MSG_ERRQUEUE))

// The common part of receives into one buffer. An address is not asked for again: TCP gives none.
#define RECEIVE(plain, flags, n)                                                                             \
    ssize_t r;                                                                                               \
    if (WANTS_MORE(flags) && joined(fd))                                                                     \
        return take(fd, &m, flags);                                                                          \
    r = plain;                                                                                               \
    if (r < 0)                                                                                               \
        return errno == EAGAIN ? wait_again(fd, &m, flags) : r;                                              \
    return after(fd, &m, n, r, flags)

static ssize_t
sm_read(int fd, void *buf, size_t n)
{
    ssize_t r = next.read(fd, buf, n);
    ONE_BUFFER(buf, n);

    if (r < 0)
        return errno == EAGAIN ? wait_again(fd, &m, 0) : r;
    return after(fd, &m, n, r, 0);
}

static ssize_t
sm_readv(int fd, const struct iovec *list, int n)
{
    ssize_t r = next.readv(fd, list, n);
    struct msghdr m = {.msg_iov = (struct iovec *)list, .msg_iovlen = n > 0 ? (size_t)n : 0};

    if (r < 0)
        return errno == EAGAIN ? wait_again(fd, &m, 0) : r;
    return r > 0 ? after(fd, &m, room(&m), r, 0) : r;
}

static ssize_t
sm_recv(int fd, void *buf, size_t n, int flags)
{
    ONE_BUFFER(buf, n);
    RECEIVE(next.recv(fd, buf, n, flags), flags, n);
}

static ssize_t
sm_recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *from, socklen_t *len)
{
    ONE_BUFFER(buf, n);
    RECEIVE(next.recvfrom(fd, buf, n, flags, from, len), flags, n);
}

static ssize_t
sm_recvmsg(int fd, struct msghdr *msg, int flags)
{
    struct msghdr m = {.msg_iov = msg ? msg->msg_iov : NULL, .msg_iovlen = msg ? msg->msg_iovlen : 0};

    if (!msg || (flags & MSG_ERRQUEUE))
        return next.recvmsg(fd, msg, flags);
    if (WANTS_MORE(flags) && joined(fd)) {
        ssize_t r = take(fd, &m, flags);

        if (r >= 0)
            msg->msg_controllen = 0, msg->msg_flags = 0;
        return r;
    }
    {
        ssize_t r = next.recvmsg(fd, msg, flags);

        if (r < 0)
            return errno == EAGAIN ? wait_again(fd, msg, flags) : r;
        return after(fd, &m, room(&m), r, flags);
    }
}

// FIONREAD counts redirected bytes only, while a connection goes back to TCP: the programs know of both.
static int
sm_ioctl(int fd, unsigned long request, ...)
{
    va_list ap;
    void *arg;
    int n;

    va_start(ap, request);
    arg = va_arg(ap, void *);
    va_end(ap);
    // The programs are asked first: once they do not know the socket, the kernel's own answer is right.
    if (request != FIONREAD || !arg || (n = unread(fd)) < 0)
        return next.ioctl(fd, request, arg);
    *(int *)arg = n;
    return 0;
}

// How much a pipe takes at once, in whole pages.
static size_t
pipe_room(int fd)
{
    int size = (int)syscall(SYS_fcntl, fd, F_GETPIPE_SZ), used = 0;

    if (size < 0 || next.ioctl(fd, FIONREAD, &used) < 0)
        return 0;
    return size > used ? (size_t)(size - used) / 4096 * 4096 : 0;
}

// From a joined socket into a pipe: looked at, written, and then taken, so that nothing is lost where the
// pipe takes less.
static ssize_t
sm_splice(int in, off_t *in_off, int out, off_t *out_off, size_t len, unsigned flags)
{
    char scratch[SCRATCH];
    struct pollfd p = {.fd = out, .events = POLLOUT};
    struct iovec iov = {scratch, len < SCRATCH ? len : SCRATCH};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    ssize_t r;
    size_t fits;

    if (in_off || out_off || len == 0 || joined(in) != ZSM_IS)
        return next.splice(in, in_off, out, out_off, len, flags);
    while ((fits = pipe_room(out)) == 0) {
        if ((flags & SPLICE_F_NONBLOCK) || nonblocking(out))
            return errno = EAGAIN, -1;
        if (poll(&p, 1, -1) < 0)
            return -1;
    }
    if (iov.iov_len > fits)
        iov.iov_len = fits;
    r = once(in, &m, MSG_PEEK);
    if (r <= 0)
        return r;
    r = next.write(out, scratch, (size_t)r);
    if (r > 0) {
        iov.iov_len = (size_t)r;
        next.recvmsg(in, &m, MSG_DONTWAIT);
    }
    return r;
}

void
zio_sockmap_begin(void)
{
    next = real;
    real.read = sm_read;
    real.readv = sm_readv;
    real.recv = sm_recv;
    real.recvfrom = sm_recvfrom;
    real.recvmsg = sm_recvmsg;
    real.ioctl = sm_ioctl;
    real.splice = sm_splice;
}
