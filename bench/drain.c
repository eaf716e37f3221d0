// SPDX-License-Identifier: Apache-2.0
// Receiving while a worker sends: see drain.h. One buffer, as a peer that looks at its data would have.
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

#include "bench/drain.h"

enum { DRAIN = 256 << 10 };
static unsigned char buf[DRAIN];

// Receives what is there, or, where `left` is not 0, that much.
static int
drain(struct worker *w, uint64_t *got, uint64_t left)
{
    do {
        ssize_t n = recv(w->data, buf, left && left < DRAIN ? left : DRAIN, left ? 0 : MSG_DONTWAIT);
        if (n <= 0 && !left)
            return 0;
        if (n <= 0) {
            snprintf(w->why, sizeof w->why, "%s sent less than it said",
                     w->shim ? "the shim worker" : "the plain worker");
            return n < 0 ? -errno : -EPIPE;
        }
        *got += (uint64_t)n;
        left -= left ? (uint64_t)n : 0;
    } while (left);
    return 0;
}

int
worker_call_draining(struct worker *w, const struct wreq *q, struct wrep *p, uint64_t each)
{
    uint64_t got = 0;
    int err = worker_send(w, q);
    while (!err && each) {
        struct pollfd pf[2] = {{.fd = w->ctl, .events = POLLIN}, {.fd = w->data, .events = POLLIN}};
        if (poll(pf, 2, CALL_TIMEOUT_MS) <= 0)
            break;
        if (pf[1].revents)
            drain(w, &got, 0);
        if (pf[0].revents)
            break;
    }
    if (!err)
        err = worker_reply(w, p);
    // The reply may be here before the last bytes.
    if (!err && p->ops * each > got)
        err = drain(w, &got, p->ops * each - got);
    return err;
}
