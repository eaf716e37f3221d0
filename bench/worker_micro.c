// SPDX-License-Identifier: Apache-2.0
// A small memcpy, called through the PLT in a plain loop: what the hook adds to it.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench/env.h"
#include "bench/pattern.h"
#include "bench/worker.h"

enum { CALLS = 1024 };

static struct {
    size_t size;
    unsigned char *src, *dst;
} w;

static int
setup(const struct wreq *q, struct wrep *p)
{
    (void)p;
    w.size = q->size;
    w.src = aligned_alloc(4096, 65536);
    w.dst = aligned_alloc(4096, 65536);
    if (!w.src || !w.dst || w.size > 65536)
        return ENOMEM;
    memset(w.dst, 0, 65536);
    pattern_fill(w.src, 65536, 1, 0);
    return 0;
}

static int
verify(const struct wreq *q, struct wrep *p)
{
    (void)p;
    pattern_fill(w.src, w.size, q->seed, 0);
    memcpy(w.dst, w.src, w.size);
    memset(w.src, 0x5a, w.size);
    return pattern_check(w.dst, w.size, q->seed, 0) < 0 ? 0 : EBADMSG;
}

static int
slice(const struct wreq *q, struct wrep *p)
{
    uint64_t t0 = now_ns(), t;
    do {
        for (unsigned i = 0; i < CALLS; i++)
            memcpy(w.dst, w.src, w.size);
        p->ops += CALLS;
        t = now_ns();
    } while (t - t0 < q->slice_ns);
    p->ns = t - t0;
    return 0;
}

const struct wkind_ops worker_micro = {setup, verify, slice};
