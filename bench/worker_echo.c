// SPDX-License-Identifier: Apache-2.0
// The echo server: receive a message, copy it along a chain of buffers, send it back from the last one.
//
//   recv buffer -> b1 -> b2 -> ... -> bN -> send
//
// The receive buffer is allocated once, always; or several, which take turns. b1..bN are allocated once
// (reused), or each is malloc'd as the chain reaches it and all are freed after the reply (fresh). The
// `fault` variant reads one word on so many pages of bN before it is sent.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "bench/worker.h"

enum { PAGE = 4096, CHAIN_MAX = 64, RING_MAX = 16, SPLIT = 1000 };

static volatile uint64_t sink;

// A whole message. 0: end of file before its first byte; 1: received; -1: errno.
static int
receive(const struct wreq *q, int fd, unsigned char *buf)
{
    size_t got = 0;
    while (got < q->size) {
        ssize_t n = q->recv == WRECV_READ
                        ? read(fd, buf + got, q->size - got)
                        : recv(fd, buf + got, q->size - got, q->recv == WRECV_WAITALL ? MSG_WAITALL : 0);
        if (n == 0)
            return got ? -1 : 0;
        if (n < 0 && errno != EINTR)
            return -1;
        got += n > 0 ? (size_t)n : 0;
    }
    return 1;
}

static int
reply(const struct wreq *q, int fd, unsigned char *buf)
{
    size_t sent = 0;
    while (sent < q->size) {
        size_t left = q->size - sent, head = left > SPLIT ? SPLIT : left;
        struct iovec v[2] = {{buf + sent, head}, {buf + sent + head, left - head}};
        ssize_t n = q->send == WSEND_WRITE  ? write(fd, buf + sent, left)
                    : q->send == WSEND_SEND ? send(fd, buf + sent, left, MSG_NOSIGNAL)
                                            : writev(fd, v, 2);
        if (n < 0 && errno != EINTR)
            return -1;
        sent += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

// One word on each of `pages` pages: the first ones, or spread evenly.
static void
touch(const struct wreq *q, const unsigned char *buf)
{
    size_t all = (q->size + PAGE - 1) / PAGE, n = q->pages < all ? q->pages : all;
    size_t step = q->spread && n ? all / n : 1;
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += *(const volatile unsigned char *)(buf + i * step * PAGE);
    sink += sum;
}

// A buffer that starts i * skew bytes further into its page than the allocator would have it.
static unsigned char *
buffer(const struct wreq *q, unsigned i)
{
    size_t off = (size_t)i * q->skew % PAGE;
    unsigned char *p = malloc(q->size + off);
    // cppcheck-suppress memleak ; unbuffer() knows the offset
    return p ? p + off : NULL;
}

static void
unbuffer(const struct wreq *q, unsigned i, unsigned char *p)
{
    if (p)
        free(p - (size_t)i * q->skew % PAGE);
}

int
worker_echo(const struct wreq *q, int fd)
{
    unsigned char *b[CHAIN_MAX + 1] = {0}, *ring[RING_MAX] = {0};
    unsigned turn = 0, nring = q->ring < 1 ? 1 : q->ring > RING_MAX ? RING_MAX : q->ring;
    unsigned n = q->copies <= CHAIN_MAX ? q->copies : CHAIN_MAX;
    int got = -1;
    for (unsigned i = 0; i < nring; i++) {
        if (!(ring[i] = buffer(q, 0)))
            return 1;
        memset(ring[i], 1, q->size);
    }
    for (unsigned i = 1; i <= (q->fresh ? 0 : n); i++) {
        if (!(b[i] = buffer(q, i)))
            return 1;
        memset(b[i], 1, q->size);
    }
    while ((got = receive(q, fd, b[0] = ring[turn++ % nring])) > 0) {
        for (unsigned i = 1; i <= n; i++) {
            if (q->fresh && !(b[i] = buffer(q, i)))
                return 1;
            memcpy(b[i], b[i - 1], q->size);
        }
        touch(q, b[n]);
        if (reply(q, fd, b[n]) < 0)
            return 1;
        for (unsigned i = 1; q->fresh && i <= n; i++)
            unbuffer(q, i, b[i]);
    }
    for (unsigned i = 1; i <= (q->fresh ? 0 : n); i++)
        unbuffer(q, i, b[i]);
    for (unsigned i = 0; i < nring; i++)
        unbuffer(q, 0, ring[i]);
    return got == 0 ? 0 : 1;
}
