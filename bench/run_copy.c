// SPDX-License-Identifier: Apache-2.0
// zio-bench copy: one memcpy by size, state of its destination, and what is read of it (worker_copy.c says
// how).
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "bench/bench.h"
#include "bench/env.h"
#include "bench/pattern.h"
#include "bench/proc.h"
#include "bench/result.h"
#include "bench/zstat.h"

static const char *const dest_name[WD_COUNT] = {"hot", "fresh-malloc", "fresh-mmap", "absent"};
static const char *const touch_name[WT_COUNT] = {"none", "first", "half", "all"};

// One worker and the feeder's place in its stream.
struct side {
    struct worker w;
    struct wreq q;
    size_t fed; // bytes sent, modulo the ring
};

static unsigned char ring[PATTERN_RING * 8];

// Asks; while the answer is not there, keeps the worker's socket full.
static int
call_feeding(struct side *s, struct wrep *p)
{
    int err = worker_send(&s->w, &s->q);
    while (!err && s->q.source == WS_RECV) {
        struct pollfd pf[2] = {{.fd = s->w.ctl, .events = POLLIN}, {.fd = s->w.data, .events = POLLOUT}};
        if (poll(pf, 2, CALL_TIMEOUT_MS) <= 0 || pf[0].revents || (pf[1].revents & (POLLERR | POLLHUP)))
            break;
        ssize_t n = send(s->w.data, ring + s->fed, sizeof ring - s->fed, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0)
            s->fed = (s->fed + (size_t)n) % sizeof ring;
    }
    return err ? err : worker_reply(&s->w, p);
}

static int
slice(void *ctx, uint64_t ns, double *value)
{
    struct side *s = ctx;
    struct wrep p;
    s->q.op = WOP_SLICE;
    s->q.slice_ns = ns;
    int err = call_feeding(s, &p);
    if (!err)
        *value = (double)p.ns / (double)p.ops;
    return err;
}

static int
verify(struct side *s)
{
    struct wrep p;
    int err = 0;
    s->q.op = WOP_VERIFY;
    for (unsigned i = 0; !err && i < 3; i++) {
        s->q.seed += 1000003;
        err = call_feeding(s, &p);
    }
    return err;
}

static int
side_start(struct side *s, int shim, const struct wreq *q)
{
    struct wrep p;
    int err = worker_start(&s->w, shim, q->source == WS_RECV ? DATA_UNIX : DATA_NONE);
    s->q = *q;
    s->fed = 0;
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
    json_t *r, *key = json_pack("{s:I, s:s, s:s}", "size", (json_int_t)q->size, "dest", dest_name[q->dest],
                                "touch", touch_name[q->touch]);
    for (unsigned i = 0; !err && i < 2; i++) {
        err = side_start(&side[i], (int)i, q);
        if (!err)
            err = slice(&side[i], opt.warm_ns, &unused);
        who = i;
    }
    int have = err ? -1 : zstat_read(side[1].w.pid, &before);
    r = err ? result_error(result, key, "%s", side[who].w.why) : result_measure(result, key, va, 2, &who);
    if (json_object_get(r, "failed"))
        row_error(r, "%s", side[who].w.why);
    if (have == 0 && zstat_read(side[1].w.pid, &after) == 0)
        json_object_set_new(r, "counters", zstat_delta(&before, &after));
    for (unsigned i = 0; i < 2; i++) {
        if (!json_object_get(r, "error") && (verify(&side[i]) < 0))
            row_error(r, "%s", side[i].w.why);
        if (worker_stop(&side[i].w) < 0)
            row_error(r, "%s", side[i].w.why);
    }
    json_object_set_new(r, "verified", json_boolean(!json_object_get(r, "error")));
    row_target_ratio(r, "ratio", 0.97);
    row_done(result, r);
}

int
run_copy(json_t *result)
{
    static const struct numlist full = {{4096, 16384, 65536, 262144, 524288, 1 << 20, 4 << 20, 16 << 20}, 8};
    static const struct numlist quick = {{4096, 65536, 524288, 4 << 20}, 4}, smoke = {{4096, 262144}, 2};
    struct numlist sizes = opt.sizes.n ? opt.sizes : opt.smoke ? smoke : opt.quick ? quick : full;
    struct wreq q = {.kind = WK_COPY, .seed = 42};
    unsigned done = 0;
    q.source = !strcmp(opt.source, "recv")      ? WS_RECV
               : !strcmp(opt.source, "rewrite") ? WS_REWRITE
                                                : WS_STABLE;
    pattern_fill(ring, sizeof ring, PATTERN_RING_SEED, 0);
    result_head(
        result, "ns an operation", true, NULL,
        "One memcpy and what belongs to it. Destination: hot = one word stored to each page before each "
        "copy; "
        "fresh = allocated before and freed after; absent = copied to twice in a row. Touch: one load per 64 "
        "bytes of nothing, the first page, half, all.");
    json_object_set_new(result, "source", json_string(opt.source));
    for (unsigned i = 0; i < sizes.n; i++)
        for (q.dest = 0; q.dest < WD_COUNT; q.dest++)
            for (q.touch = 0; q.touch < WT_COUNT; q.touch++) {
                char size[16];
                q.size = (sizes.v[i] + 7) & ~(uint64_t)7;
                if (!list_has(opt.dests, dest_name[q.dest]) || !list_has(opt.touches, touch_name[q.touch]))
                    continue;
                if (opt.smoke && (q.touch == WT_FIRST || q.touch == WT_HALF))
                    continue;
                progress("copy %s %s %s (row %u)", size_text(q.size, size), dest_name[q.dest],
                         touch_name[q.touch], ++done);
                row(result, &q);
            }
    return result_finish(result);
}
