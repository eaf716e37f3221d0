// SPDX-License-Identifier: Apache-2.0
// A request: malloc, copy from a source, perhaps send the copy to a peer that drains it, free.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "bench/pattern.h"
#include "bench/worker.h"

static struct {
    struct wreq q;
    unsigned char *src;
    uint32_t turn;
} w;

static int
send_all(const unsigned char *p, size_t n)
{
    while (n) {
        ssize_t k = send(WORKER_DATA_FD, p, n, MSG_NOSIGNAL);
        if (k < 0 && errno != EINTR)
            return errno;
        if (k > 0) {
            p += k;
            n -= (size_t)k;
        }
    }
    return 0;
}

static int
one(void *arg)
{
    (void)arg;
    if (w.q.source == WS_REWRITE)
        memset(w.src, (int)(++w.turn & 0xff), w.q.size);
    unsigned char *p = malloc(w.q.size);
    if (!p)
        return ENOMEM;
    memcpy(p, w.src, w.q.size);
    int err = w.q.send ? send_all(p, w.q.size) : 0;
    free(p);
    return err;
}

static int
setup(const struct wreq *q, struct wrep *p)
{
    (void)p;
    w.q = *q;
    w.src = malloc(q->size);
    if (!w.src)
        return ENOMEM;
    pattern_fill(w.src, q->size, 1, 0);
    return 0;
}

// The same request; the bytes are checked here, or by the peer that they are sent to. The source is stored to
// before the copy is looked at.
static int
verify(const struct wreq *q, struct wrep *p)
{
    int err = 0;
    pattern_fill(w.src, w.q.size, q->seed, 0);
    unsigned char *d = malloc(w.q.size);
    if (!d)
        return ENOMEM;
    memcpy(d, w.src, w.q.size);
    memset(w.src, 0x5a, w.q.size / 2);
    if (w.q.send) {
        err = send_all(d, w.q.size);
    } else {
        long at = pattern_check(d, w.q.size, q->seed, 0);
        if (at >= 0) {
            snprintf(p->text, sizeof p->text, "the copy: wrong byte at offset %ld", at);
            err = EBADMSG;
        }
    }
    free(d);
    pattern_fill(w.src, w.q.size, 1, 0);
    return err;
}

static int
slice(const struct wreq *q, struct wrep *p)
{
    return repeat(one, NULL, q->slice_ns, p);
}

const struct wkind_ops worker_alloc = {setup, verify, slice};
