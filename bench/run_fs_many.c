// SPDX-License-Identifier: Apache-2.0
// zio-bench fs --million: one directory with very many names: does creation get slower, do lookups, does
// reading it begin at once? Each way does it on its own; peers would take an hour and are left out.
#include <stdio.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/result.h"
#include "bench/run_fs.h"

enum { BATCH = 20000 };

// What one way reached.
struct many {
    struct fsway *way;
    bool done;
    double first, last;  // creations a second
    double few, all;     // lookups a second
    double names, start; // readdir: names a second; ms until the first
};

// A figure of each way, as a slice that is already measured.
struct figure {
    double v;
};

static int
figure_slice(void *ctx, uint64_t ns, double *value)
{
    const struct figure *f = ctx;
    (void)ns;
    *value = f->v;
    return 0;
}

static int
ask(struct many *m, uint32_t op, uint32_t method, uint64_t first, uint64_t count, struct wrep *p)
{
    struct wreq q = {
        .op = op, .kind = WK_FS, .method = method, .first = first, .count = count, .slice_ns = 1000000000};
    if (opt.smoke)
        q.slice_ns = 1000000;
    return fsway_call(m->way, &q, p);
}

static double
rate(const struct wrep *p)
{
    return p->ns ? (double)p->ops * 1e9 / (double)p->ns : 0;
}

static int
many_run(struct many *m, uint64_t window)
{
    struct wrep p;
    uint64_t at = window;
    int err = ask(m, WOP_SETUP, FSOP_MANY, 0, 0, &p);
    if (!err && !(err = ask(m, WOP_SLICE, FSOP_MANY, 0, window, &p)))
        m->first = rate(&p);
    if (!err && !(err = ask(m, WOP_SLICE, FSOP_LOOKUP, 0, window, &p)))
        m->few = rate(&p);
    while (!err && at < opt.million - window) {
        uint64_t n = opt.million - window - at < BATCH ? opt.million - window - at : BATCH;
        progress("fs: %s: %llu of %llu names", m->way->name, (unsigned long long)at,
                 (unsigned long long)opt.million);
        err = ask(m, WOP_SLICE, FSOP_MANY, at, n, &p);
        at += n;
    }
    if (!err && !(err = ask(m, WOP_SLICE, FSOP_MANY, at, opt.million - at, &p)))
        m->last = rate(&p);
    if (!err && !(err = ask(m, WOP_SLICE, FSOP_LOOKUP, 0, opt.million, &p)))
        m->all = rate(&p);
    if (!err && !(err = ask(m, WOP_SLICE, FSOP_LIST, 0, 0, &p))) {
        m->names = rate(&p);
        m->start = (double)p.aux[0] / 1e6;
        if (p.ops != opt.million) {
            snprintf(m->way->why, sizeof m->way->why, "%llu names were listed", (unsigned long long)p.ops);
            return -1;
        }
    }
    return err;
}

static json_t *
row(struct fsrun *r, const char *op, const char *unit, bool lower, const struct many *m, size_t field)
{
    static const struct fs_targets none;
    struct figure f[FSW_COUNT];
    bool in[FSW_COUNT];
    for (unsigned i = 0; i < FSW_COUNT; i++) {
        in[i] = m[i].done;
        memcpy(&f[i].v, (const char *)&m[i] + field, sizeof f[i].v);
    }
    return fs_row(r, fs_key(op, 1), unit, lower, 1, figure_slice, f, sizeof *f, in, &none);
}

// Judges a / b of each of zIO's ways.
static void
targets(json_t *row, const struct many *m, const char *what, size_t a, size_t b, double want, bool most)
{
    for (unsigned i = FSW_LIB; i <= FSW_MOUNT; i++) {
        double x, y;
        char text[64];
        if (!m[i].done)
            continue;
        memcpy(&x, (const char *)&m[i] + a, sizeof x);
        memcpy(&y, (const char *)&m[i] + b, sizeof y);
        snprintf(text, sizeof text, "%s %s", m[i].way->name, what);
        row_target(row, text, want, (struct quart){x / y, x / y, x / y}, most);
    }
}

void
fs_rows_many(struct fsrun *r)
{
    struct many m[FSW_COUNT] = {{0}};
    uint64_t window = opt.million / 4 < 10000 ? opt.million / 4 : 10000;
    char op[64];
    json_t *w;
    for (unsigned i = 0; i < FSW_COUNT; i++) {
        m[i].way = &r->way[i];
        if (!r->way[i].on || i >= FSW_MOOSEFS)
            continue;
        m[i].done = many_run(&m[i], window) == 0;
        if (!m[i].done) {
            snprintf(op, sizeof op, "%llu names", (unsigned long long)opt.million);
            w = result_error(r->result, fs_key(op, 1), "%s: %s", r->way[i].name, r->way[i].why);
            row_done(r->result, w);
        }
    }
    snprintf(op, sizeof op, "create, first %llu", (unsigned long long)window);
    row_done(r->result, row(r, op, "ops/s", false, m, offsetof(struct many, first)));
    snprintf(op, sizeof op, "create, last of %llu", (unsigned long long)opt.million);
    w = row(r, op, "ops/s", false, m, offsetof(struct many, last));
    targets(w, m, "last / first", offsetof(struct many, last), offsetof(struct many, first), 0.5, false);
    row_done(r->result, w);
    snprintf(op, sizeof op, "stat among %llu", (unsigned long long)window);
    row_done(r->result, row(r, op, "ops/s", false, m, offsetof(struct many, few)));
    snprintf(op, sizeof op, "stat among %llu", (unsigned long long)opt.million);
    w = row(r, op, "ops/s", false, m, offsetof(struct many, all));
    targets(w, m, "time, many / few", offsetof(struct many, few), offsetof(struct many, all), 2, true);
    row_done(r->result, w);
    row_done(r->result, row(r, "readdir of all", "names/s", false, m, offsetof(struct many, names)));
    row_done(r->result, row(r, "its first name", "ms", true, m, offsetof(struct many, start)));
}
