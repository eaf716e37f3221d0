// SPDX-License-Identifier: Apache-2.0
// zio-bench alloc: malloc, copy, (send,) free; requests a second. The sends go to this process over loopback
// TCP, which receives them on the client's CPU into one buffer.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "bench/bench.h"
#include "bench/drain.h"
#include "bench/env.h"
#include "bench/pattern.h"
#include "bench/proc.h"
#include "bench/result.h"
#include "bench/zstat.h"

struct side {
    struct worker w;
    struct wreq q;
};

static int
slice(void *ctx, uint64_t ns, double *value)
{
    struct side *s = ctx;
    struct wrep p;
    s->q.op = WOP_SLICE;
    s->q.slice_ns = ns;
    int err = worker_call_draining(&s->w, &s->q, &p, s->q.send ? s->q.size : 0);
    if (!err)
        *value = (double)p.ops * 1e9 / (double)p.ns;
    return err;
}

// One checked request: the worker checks its copy, or what it sends is checked here.
static int
verify_one(struct side *s)
{
    struct wrep p;
    unsigned char *buf = NULL;
    s->q.op = WOP_VERIFY;
    s->q.seed += 1000003;
    if (s->w.data < 0)
        return worker_call(&s->w, &s->q, &p);
    int err = worker_send(&s->w, &s->q);
    if (!err && !(buf = malloc(s->q.size)))
        err = -ENOMEM;
    size_t got = 0;
    while (!err && got < s->q.size) {
        ssize_t n = recv(s->w.data, buf + got, s->q.size - got, 0);
        if (n <= 0)
            err = n < 0 ? -errno : -EPIPE;
        else
            got += (size_t)n;
    }
    if (err == -EPIPE)
        worker_autopsy(&s->w);
    if (!err)
        err = worker_reply(&s->w, &p);
    long at = err ? -1 : pattern_check(buf, s->q.size, s->q.seed, 0);
    if (at >= 0) {
        snprintf(s->w.why, sizeof s->w.why, "%s sent a wrong byte at offset %ld",
                 s->w.shim ? "the shim worker" : "the plain worker", at);
        err = -EBADMSG;
    }
    free(buf);
    return err;
}

static int
verify(struct side *s)
{
    int err = 0;
    for (unsigned i = 0; !err && i < 3; i++)
        err = verify_one(s);
    return err;
}

static int
side_start(struct side *s, int shim, const struct wreq *q)
{
    struct wrep p;
    int err = worker_start(&s->w, shim, q->send ? DATA_TCP : DATA_NONE);
    s->q = *q;
    s->q.op = WOP_SETUP;
    if (!err)
        err = worker_call(&s->w, &s->q, &p);
    return err ? err : verify(s);
}

static void
row(json_t *result, const struct wreq *q)
{
    struct side side[2] = {{.w = WORKER_INIT}, {.w = WORKER_INIT}};
    struct variant va[2] = {{"plain", slice, &side[0], NULL}, {"shim", slice, &side[1], NULL}};
    struct zio_statpage before, after;
    double unused;
    unsigned who = 0;
    int err = 0;
    json_t *r,
        *key = json_pack("{s:I, s:s}", "size", (json_int_t)q->size, "then", q->send ? "send" : "nothing");
    for (unsigned i = 0; !err && i < 2; i++) {
        who = i;
        err = side_start(&side[i], (int)i, q);
        if (!err)
            err = slice(&side[i], opt.warm_ns, &unused);
    }
    int have = err ? -1 : zstat_read(side[1].w.pid, &before);
    r = err ? result_error(result, key, "%s", side[who].w.why) : result_measure(result, key, va, 2, &who);
    if (json_object_get(r, "failed"))
        row_error(r, "%s", side[who].w.why);
    if (have == 0 && zstat_read(side[1].w.pid, &after) == 0)
        json_object_set_new(r, "counters", zstat_delta(&before, &after));
    for (unsigned i = 0; i < 2; i++) {
        if (!json_object_get(r, "error") && verify(&side[i]) < 0)
            row_error(r, "%s", side[i].w.why);
        if (worker_stop(&side[i].w) < 0)
            row_error(r, "%s", side[i].w.why);
    }
    json_object_set_new(r, "verified", json_boolean(!json_object_get(r, "error")));
    if (q->size == 1 << 20 && !q->send)
        row_target_ratio(r, "ratio", 5.0);
    else
        row_target_ratio(r, "ratio", 0.97);
    row_done(result, r);
}

int
run_alloc(json_t *result)
{
    static const struct numlist full = {{65536, 131072, 262144, 524288, 1 << 20, 4 << 20, 16 << 20}, 7};
    static const struct numlist quick = {{65536, 262144, 1 << 20, 4 << 20}, 4}, smoke = {{65536, 1 << 20}, 2};
    struct numlist sizes = opt.sizes.n ? opt.sizes : opt.smoke ? smoke : opt.quick ? quick : full;
    struct wreq q = {.kind = WK_ALLOC, .seed = 42};
    q.source = !strcmp(opt.source, "rewrite") ? WS_REWRITE : WS_STABLE;
    result_head(
        result, "requests/s", false, NULL,
        "A request: malloc, memcpy from a source, free; or malloc, memcpy, send over loopback TCP, free.");
    json_object_set_new(result, "source", json_string(opt.source));
    for (q.send = 0; q.send < 2; q.send++)
        for (unsigned i = 0; i < sizes.n; i++) {
            char size[16];
            q.size = sizes.v[i] ? sizes.v[i] : 1;
            progress("alloc %s%s", size_text(q.size, size), q.send ? " and send" : "");
            row(result, &q);
        }
    return result_finish(result);
}
