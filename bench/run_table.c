// SPDX-License-Identifier: Apache-2.0
// zio-bench table: the founding comparison. A file in the page cache goes to a loopback TCP socket that this
// process drains on the client's CPU; each way has its own worker, all are alive at once and take turns.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "bench/app.h"
#include "bench/bench.h"
#include "bench/drain.h"
#include "bench/env.h"
#include "bench/guard.h"
#include "bench/pattern.h"
#include "bench/proc.h"
#include "bench/result.h"
#include "bench/zstat.h"

enum { DRAIN = 1 << 20, SEED = 12 };
static unsigned char drain_buf[DRAIN];

// The rows. `user` and `kernel` are bytes copied by the CPU for each byte sent, on the sender's side.
static const struct way {
    const char *name;
    uint32_t method, copies;
    int shim;
    double user, kernel;
} ways[] = {
    {"read+write", TM_READ_WRITE, 0, 0, 0, 2},
    {"mmap+write", TM_MMAP_WRITE, 0, 0, 0, 1},
    {"sendfile", TM_SENDFILE, 0, 0, 0, 0},
    {"splice", TM_SPLICE, 0, 0, 0, 0},
    {"read+vmsplice+splice", TM_VMSPLICE, 0, 0, 0, 1},
    {"read+send MSG_ZEROCOPY", TM_ZEROCOPY, 0, 0, 0, 1},
    {"read+1 copy+write", TM_READ_WRITE, 1, 0, 1, 2},
    {"read+4 copies+write", TM_READ_WRITE, 4, 0, 4, 2},
    {"zIO: read+write", TM_READ_WRITE, 0, 1, 0, 2},
    {"zIO: read+1 copy+write", TM_READ_WRITE, 1, 1, 1, 2},
    {"zIO: read+4 copies+write", TM_READ_WRITE, 4, 1, 4, 2},
};
enum { WAYS = sizeof ways / sizeof *ways };

struct side {
    struct worker w;
    struct wreq q;
    uint64_t length;                          // of the file
    uint64_t bytes, calls, switches, cpu, ns; // sums over the timed slices
    uint64_t zc_copied;                       // MSG_ZEROCOPY: per cent of the sends that the kernel copied
    struct zio_statpage before;
};

static int
slice(void *ctx, uint64_t ns, double *value)
{
    struct side *s = ctx;
    struct wrep p;
    uint64_t helper = zstat_helper_ns(s->w.pid);
    s->q.op = WOP_SLICE;
    s->q.slice_ns = ns;
    int err = worker_call_draining(&s->w, &s->q, &p, s->length);
    if (err)
        return err;
    *value = (double)p.ops * (double)s->length * 1e9 / (double)p.ns / 1048576;
    s->bytes += p.ops * s->length;
    s->ns += p.ns;
    s->calls += p.aux[0];
    s->switches += p.aux[1];
    s->cpu += p.aux[2] + (zstat_helper_ns(s->w.pid) - helper);
    s->zc_copied = p.aux[3];
    return 0;
}

// One pass over the file with every byte checked here.
static int
verify(struct side *s)
{
    struct wrep p;
    s->q.op = WOP_VERIFY;
    int err = worker_send(&s->w, &s->q);
    for (uint64_t at = 0; !err && at < s->length;) {
        size_t n = s->length - at < DRAIN ? (size_t)(s->length - at) : DRAIN;
        ssize_t k = recv(s->w.data, drain_buf, n, MSG_WAITALL);
        if (k != (ssize_t)n)
            err = k < 0 ? -errno : -EPIPE;
        else if (pattern_check(drain_buf, n, SEED, at / 8) >= 0)
            err = -EBADMSG;
        at += n;
    }
    if (err == -EBADMSG)
        snprintf(s->w.why, sizeof s->w.why, "wrong bytes arrived");
    else if (err)
        worker_autopsy(&s->w);
    return err ? err : worker_reply(&s->w, &p);
}

static int
side_start(struct side *s, const struct way *way, const char *path, uint64_t length)
{
    struct wrep p;
    double unused;
    int size = 1 << 20, err = worker_start(&s->w, way->shim, DATA_TCP);
    s->q = (struct wreq){.op = WOP_SETUP, .kind = WK_TABLE, .method = way->method, .copies = way->copies};
    s->q.size = opt.sizes.n ? opt.sizes.v[0] : 524288;
    s->length = length;
    snprintf(s->q.path, sizeof s->q.path, "%s", path);
    if (err)
        return err;
    // Bounded, so that the workers' ring of lent buffers is larger than what may be under way.
    setsockopt(s->w.data, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    err = worker_call(&s->w, &s->q, &p);
    if (!err)
        err = verify(s);
    if (!err)
        err = slice(s, opt.warm_ns, &unused);
    s->bytes = s->ns = s->calls = s->switches = s->cpu = 0;
    zstat_read(s->w.pid, &s->before);
    return err;
}

// CPU copies for each byte sent: derived from the way's design; for zIO what its own counters say it left
// out.
static double
copies(const struct side *s, const struct way *way, json_t *counters)
{
    double n = way->user + way->kernel;
    if (way->shim && s->bytes)
        n -= (double)json_integer_value(json_object_get(counters, "copy_bytes_elided")) / (double)s->bytes;
    if (way->method == TM_ZEROCOPY)
        n += (double)s->zc_copied / 100;
    return n;
}

static void
row(json_t *result, struct side *s, const struct way *way, const struct variant *va)
{
    struct zio_statpage after;
    double gib = (double)s->bytes / (1 << 30);
    json_t *r = result_row(result, json_pack("{s:s}", "way", way->name)), *c = NULL;
    if (way->shim && zstat_read(s->w.pid, &after) == 0)
        json_object_set_new(r, "counters", c = zstat_delta(&s->before, &after));
    json_t *m = json_pack("{s:f, s:f, s:f, s:f, s:f}", "syscalls_per_gib", (double)s->calls / gib,
                          "context_switches_per_gib", (double)s->switches / gib, "cpu_copies_per_byte",
                          copies(s, way, c), "mib_per_s", quartiles(va->v, opt.rounds).median,
                          "cpu_ms_per_gib", (double)s->cpu / 1e6 / gib);
    json_object_set_new(r, "throughput", quart_json(quartiles(va->v, opt.rounds)));
    json_object_set_new(r, "cells", m);
    if (verify(s) < 0)
        row_error(r, "%s", s->w.why);
    json_object_set_new(r, "verified", json_boolean(!json_object_get(r, "error")));
    row_done(result, r);
}

static void
head(json_t *result)
{
    result_head(
        result, "a GiB sent", false, NULL,
        "A file in the page cache to a loopback TCP socket that a peer drains. System calls are counted by "
        "the "
        "program, context switches and CPU time (with zIO's helper) by the kernel. CPU copies a byte, on the "
        "sender's side, are derived; for zIO less what its counters say was elided; for MSG_ZEROCOPY with "
        "what its completions say was copied after all.");
    json_object_set_new(result, "columns",
                        json_pack("[[s,s],[s,s],[s,s],[s,s],[s,s]]", "syscalls_per_gib", "system calls",
                                  "context_switches_per_gib", "switches", "cpu_copies_per_byte",
                                  "CPU copies a byte", "mib_per_s", "MiB/s", "cpu_ms_per_gib", "CPU ms"));
}

int
run_table(json_t *result)
{
    static struct side side[WAYS];
    struct variant va[WAYS];
    const char *dir = guard_tmpdir();
    char path[200];
    unsigned who = 0;
    uint64_t length = opt.smoke ? 4 << 20 : 32 << 20;
    head(result);
    int err = dir ? app_file(dir, "file", length, SEED) : -errno;
    snprintf(path, sizeof path, "%s/file", dir ? dir : "");
    for (unsigned i = 0; i < WAYS; i++)
        side[i].w = (struct worker)WORKER_INIT;
    if (err)
        snprintf(side[0].w.why, sizeof side[0].w.why, "temporary file: %s", strerror(-err));
    for (unsigned i = 0; !err && i < WAYS; i++) {
        progress("table: %s", ways[i].name);
        who = i;
        err = side_start(&side[i], &ways[i], path, length);
        va[i] = (struct variant){ways[i].name, slice, &side[i], NULL};
    }
    progress("table: %d ways in turn", WAYS);
    if (!err)
        err = measure(va, WAYS, opt.rounds, opt.slice_ns, &who);
    if (err)
        row_done(result,
                 result_error(result, json_pack("{s:s}", "way", ways[who].name), "%s", side[who].w.why));
    for (unsigned i = 0; !err && i < WAYS; i++)
        row(result, &side[i], &ways[i], &va[i]);
    for (unsigned i = 0; i < WAYS; i++)
        worker_stop(&side[i].w);
    if (!err)
        measure_free(va, WAYS);
    guard_tmpdir_done();
    return result_finish(result);
}
