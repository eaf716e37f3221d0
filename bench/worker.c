// SPDX-License-Identifier: Apache-2.0
// The worker's main loop: one request, one reply, until the control socket closes. One thread owns
// everything.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "bench/env.h"
#include "bench/worker.h"

static volatile uint64_t sink;

void
touch_lines(const void *p, size_t n)
{
    const unsigned char *b = p;
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i += 64)
        sum += *(const volatile unsigned char *)(b + i);
    sink += sum;
}

int
repeat(int (*op)(void *arg), void *arg, uint64_t ns, struct wrep *p)
{
    uint64_t t0 = now_ns(), t = t0, batch = 1;
    while (t - t0 < ns) {
        uint64_t before = t;
        for (uint64_t i = 0; i < batch; i++) {
            int err = op(arg);
            if (err)
                return err;
        }
        p->ops += batch;
        t = now_ns();
        if (t - before < 20000 && batch < 1u << 16)
            batch *= 2;
    }
    p->ns = t - t0;
    return 0;
}

static const struct wkind_ops *
kind_ops(uint32_t kind)
{
    switch (kind) {
    case WK_COPY:
        return &worker_copy;
    case WK_ALLOC:
        return &worker_alloc;
    case WK_MICRO:
        return &worker_micro;
    case WK_TABLE:
        return &worker_table;
    case WK_FS:
        return &worker_fs;
    case WK_SOCK:
        return &worker_sock;
    }
    return NULL;
}

int
worker_main(void)
{
    const struct wkind_ops *ops = NULL;
    struct wreq q;
    struct wrep p;
    while (recv(WORKER_CTL_FD, &q, sizeof q, 0) == (ssize_t)sizeof q) {
        memset(&p, 0, sizeof p);
        if (q.op == WOP_SETUP && q.kind == WK_ECHO) {
            send(WORKER_CTL_FD, &p, sizeof p, MSG_NOSIGNAL);
            return worker_echo(&q, WORKER_DATA_FD);
        }
        if (q.op == WOP_SETUP)
            ops = kind_ops(q.kind);
        if (!ops)
            p.err = EINVAL;
        else if (q.op == WOP_SETUP)
            p.err = ops->setup(&q, &p);
        else
            p.err = q.op == WOP_VERIFY ? ops->verify(&q, &p) : ops->slice(&q, &p);
        if (send(WORKER_CTL_FD, &p, sizeof p, MSG_NOSIGNAL) < 0)
            return 1;
    }
    return 0;
}
