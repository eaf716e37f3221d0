// SPDX-License-Identifier: Apache-2.0
// zio-bench echo and fault: this process is the client, on the client's CPU; three server processes are alive
// at once (plain, shim, and plain without any copy) and are asked in turn.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "bench/bench.h"
#include "bench/env.h"
#include "bench/pattern.h"
#include "bench/proc.h"
#include "bench/result.h"
#include "bench/zstat.h"

enum { PLAIN, SHIM, BASE, SIDES };

// One server and its client's end. Buffers belong to the row.
struct side {
    struct worker w;
    struct wreq q;
    unsigned char *out, *in; // q.size bytes each
    uint64_t seq;            // messages so far; also the seed of a verified one
};

static int
client_failed(struct side *s, int err)
{
    if (err == -EAGAIN)
        snprintf(s->w.why, sizeof s->w.why, "%s did not answer within %d s",
                 s->w.shim ? "the shim server" : "the plain server", CALL_TIMEOUT_MS / 1000);
    else
        worker_autopsy(&s->w);
    return err;
}

// Sends a message and receives as many bytes.
static int
exchange(struct side *s)
{
    size_t n = s->q.size, done = 0;
    while (done < n) {
        ssize_t k = send(s->w.data, s->out + done, n - done, MSG_NOSIGNAL);
        if (k < 0)
            return client_failed(s, -errno);
        done += (size_t)k;
    }
    for (done = 0; done < n;) {
        ssize_t k = recv(s->w.data, s->in + done, n - done, 0);
        if (k <= 0)
            return client_failed(s, k < 0 ? -errno : -EPIPE);
        done += (size_t)k;
    }
    return 0;
}

static int
mismatch(struct side *s, long at)
{
    snprintf(s->w.why, sizeof s->w.why, "%s replied with a wrong byte at offset %ld of message %llu",
             s->w.shim ? "the shim server" : "the plain server", at, (unsigned long long)s->seq);
    return -EBADMSG;
}

// A timed message: same bytes but for a number at its start and its end, which the reply must carry.
static int
message(struct side *s)
{
    size_t last = s->q.size - sizeof(uint64_t);
    pattern_u64 *head = (pattern_u64 *)s->out, *tail = (pattern_u64 *)(s->out + last);
    *head = *tail = ++s->seq;
    int err = exchange(s);
    if (err)
        return err;
    if (*(pattern_u64 *)s->in != s->seq)
        return mismatch(s, 0);
    return *(pattern_u64 *)(s->in + last) == s->seq ? 0 : mismatch(s, (long)last);
}

static int
slice(void *ctx, uint64_t ns, double *value)
{
    struct side *s = ctx;
    uint64_t ops = 0, t0, t;
    int err = message(s);
    t0 = t = now_ns();
    while (!err && (ops < 2 || t - t0 < ns)) {
        err = message(s);
        ops++;
        t = now_ns();
    }
    *value = (double)ops * (double)s->q.size * 1e9 / (double)(t - t0) / 1048576;
    return err;
}

// Messages with every byte new, and every byte of the reply checked.
static int
verify(struct side *s)
{
    for (unsigned i = 0; i < 4; i++) {
        pattern_fill(s->out, s->q.size, ++s->seq * 7919, 0);
        memset(s->in, 0, s->q.size);
        int err = exchange(s);
        long at = err ? -1 : pattern_check(s->in, s->q.size, s->seq * 7919, 0);
        if (err || at >= 0)
            return err ? err : mismatch(s, at);
    }
    return 0;
}

static int
side_start(struct side *s, int shim, const struct wreq *q, unsigned char *buf)
{
    struct wrep p;
    double unused;
    int err = worker_start(&s->w, shim, DATA_TCP);
    s->q = *q;
    s->q.op = WOP_SETUP;
    s->out = buf;
    s->in = buf + q->size;
    if (!err)
        err = worker_call(&s->w, &s->q, &p);
    if (!err)
        err = verify(s);
    for (unsigned i = 0; !err && i < 8; i++)
        err = message(s);
    return err ? err : slice(s, opt.warm_ns, &unused);
}

static json_t *
row_key(const struct wreq *q, bool fault)
{
    json_t *k = json_pack("{s:I, s:i, s:s}", "size", (json_int_t)q->size, "copies", (int)q->copies, "buffers",
                          q->fresh ? "fresh" : "reused");
    if (fault)
        json_object_set_new(k, "pages", json_integer(q->pages));
    return k;
}

static void
targets(json_t *r, const struct wreq *q, bool fault)
{
    if (fault) {
        row_target_ratio(r, "ratio", 0.97);
        return;
    }
    if (q->size >= 65536)
        row_target_ratio(r, "ratio", 1.0);
    if (q->size >= 524288 && q->copies)
        row_target_ratio(r, "ratio_base", q->fresh ? 0.8 : 0.97);
}

// The servers of a row, started, measured, verified again and stopped.
static void
row(json_t *result, const struct wreq *q, bool fault)
{
    struct side side[SIDES] = {{.w = WORKER_INIT}, {.w = WORKER_INIT}, {.w = WORKER_INIT}};
    struct variant va[SIDES] = {{"plain", slice, &side[PLAIN], NULL},
                                {"shim", slice, &side[SHIM], NULL},
                                {"base", slice, &side[BASE], NULL}};
    struct zio_statpage before, after;
    struct wreq q0 = *q;
    unsigned who = 0;
    unsigned char *buf = malloc(2 * q->size);
    int err = buf ? 0 : -ENOMEM;
    json_t *r, *key = row_key(q, fault);
    q0.copies = q0.pages = 0;
    q0.ring = 1;
    if (buf)
        pattern_fill(buf, 2 * q->size, 5, 0);
    else
        snprintf(side[0].w.why, sizeof side[0].w.why, "out of memory");
    for (unsigned i = 0; !err && i < SIDES; i++) {
        who = i;
        err = side_start(&side[i], i == SHIM, i == BASE ? &q0 : q, buf);
    }
    int have = err ? -1 : zstat_read(side[SHIM].w.pid, &before);
    r = err ? result_error(result, key, "%s", side[who].w.why) : result_measure(result, key, va, SIDES, &who);
    if (json_object_get(r, "failed"))
        row_error(r, "%s", side[who].w.why);
    if (have == 0 && zstat_read(side[SHIM].w.pid, &after) == 0)
        json_object_set_new(r, "counters", zstat_delta(&before, &after));
    for (unsigned i = 0; i < SIDES; i++) {
        if (!json_object_get(r, "error") && verify(&side[i]) < 0)
            row_error(r, "%s", side[i].w.why);
        if (worker_stop(&side[i].w) < 0)
            row_error(r, "%s", side[i].w.why);
    }
    json_object_set_new(r, "verified", json_boolean(!json_object_get(r, "error")));
    targets(r, q, fault);
    row_done(result, r);
    free(buf);
}

static struct wreq
request(void)
{
    struct wreq q = {.kind = WK_ECHO, .skew = opt.skew, .ring = (uint32_t)opt.ring};
    q.send = !strcmp(opt.send, "send")     ? WSEND_SEND
             : !strcmp(opt.send, "writev") ? WSEND_WRITEV
                                           : WSEND_WRITE;
    q.recv = !strcmp(opt.recv, "waitall") ? WRECV_WAITALL
             : !strcmp(opt.recv, "read")  ? WRECV_READ
                                          : WRECV_LOOP;
    q.spread = !strcmp(opt.order, "spread");
    return q;
}

static void
head(json_t *result, const char *note)
{
    result_head(result, "MiB/s", false, "no copy", note);
    json_object_set_new(result, "calls",
                        json_pack("{s:s, s:s, s:I, s:I}", "send", opt.send, "recv", opt.recv, "skew",
                                  (json_int_t)opt.skew, "ring", (json_int_t)opt.ring));
}

int
run_echo(json_t *result)
{
    static const struct numlist full = {{4096, 16384, 65536, 262144, 524288, 1 << 20, 4 << 20}, 7};
    static const struct numlist quick = {{8192, 65536, 524288}, 3}, smoke = {{65536}, 1};
    static const struct numlist all = {{0, 1, 2, 4, 8, 12}, 6}, some = {{0, 1, 4, 12}, 4}, few = {{0, 2}, 2};
    struct numlist sizes = opt.sizes.n ? opt.sizes : opt.smoke ? smoke : opt.quick ? quick : full;
    struct numlist copies = opt.copies.n ? opt.copies : opt.smoke ? few : opt.quick ? some : all;
    struct wreq q = request();
    head(result, "Request and response over loopback TCP; the server copies each message so many times. 'no "
                 "copy' is the "
                 "plain server with 0 copies. Fresh: each copy goes to memory allocated for this message.");
    for (unsigned i = 0; i < sizes.n; i++)
        for (q.fresh = 0; q.fresh < 2; q.fresh++)
            for (unsigned c = 0; c < copies.n; c++) {
                char size[16];
                q.size = sizes.v[i] < 16 ? 16 : sizes.v[i];
                q.copies = (uint32_t)copies.v[c];
                if (!list_has(opt.buffers, q.fresh ? "fresh" : "reused") ||
                    (!q.copies && q.fresh && !opt.buffers))
                    continue;
                progress("echo %s, %u copies, %s", size_text(q.size, size), q.copies,
                         q.fresh ? "fresh" : "reused");
                row(result, &q, false);
            }
    return result_finish(result);
}

int
run_fault(json_t *result)
{
    static const struct numlist size = {{524288}, 1};
    static const struct numlist all = {{0, 1, 2, 4, 8, 16, 32, 64, 128}, 9}, some = {{0, 1, 8, 128}, 4},
                                few = {{1}, 1};
    static const struct numlist two = {{1, 4}, 2};
    struct numlist sizes = opt.sizes.n ? opt.sizes : size, copies = opt.copies.n ? opt.copies : two;
    struct numlist pages = opt.pages.n ? opt.pages : opt.smoke ? few : opt.quick ? some : all;
    struct wreq q = request();
    head(result,
         "Echo; the server reads one word on so many pages of each message's last copy before it sends it.");
    json_object_set_new(result, "order", json_string(opt.order));
    for (unsigned i = 0; i < sizes.n; i++)
        for (q.fresh = 0; q.fresh < 2; q.fresh++)
            for (unsigned c = 0; c < copies.n; c++)
                for (unsigned k = 0; k < pages.n; k++) {
                    q.size = sizes.v[i] < 16 ? 16 : sizes.v[i];
                    q.copies = (uint32_t)copies.v[c];
                    q.pages = (uint32_t)pages.v[k];
                    if (!list_has(opt.buffers, q.fresh ? "fresh" : "reused"))
                        continue;
                    progress("fault: %u copies, %u pages, %s", q.copies, q.pages,
                             q.fresh ? "fresh" : "reused");
                    row(result, &q, true);
                }
    return result_finish(result);
}
