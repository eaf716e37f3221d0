// SPDX-License-Identifier: Apache-2.0
// zio-bench fs: one program's file work natively, on a volume of zIO's by each of its roads, through
// libfuse's passthrough_ll, and on others' file systems. All workers are alive at once and take turns.
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "bench/bench.h"
#include "bench/env.h"
#include "bench/guard.h"
#include "bench/result.h"
#include "bench/run_fs.h"

#define TMPFS 0x01021994 // statfs(2)'s f_type

static const struct fsrow {
    const char *group, *op;
    uint32_t method, threads, direct;
    struct fs_targets t;
} rows[] = {
    {"read", "read 4K", FSOP_READ, 1, 0, {0.9, 0.8, true}},
    {"read", "read 4K", FSOP_READ, 16, 0, {0.9, 0.8, true}},
    {"read", "read 4K O_DIRECT", FSOP_READ, 1, 1, {0.9, 0.8, true}},
    {"read", "read 4K O_DIRECT", FSOP_READ, 16, 1, {0.9, 0.8, true}},
    {"seq", "read all", FSOP_SEQ_READ, 1, 0, {0.9, 0.8, true}},
    {"seq", "write all, fsync", FSOP_SEQ_WRITE, 1, 0, {0.9, 0.8, true}},
    {"open", "open, read 4K", FSOP_OPEN, 1, 0, {0.4, 0.5, true}},
    {"stat", "stat", FSOP_STAT, 1, 0, {0.5, 0.5, true}},
    {"create", "create", FSOP_CREATE, 1, 0, {0.5, 0.5, true}},
    {"unlink", "unlink", FSOP_UNLINK, 1, 0, {0.25, 0.5, true}},
    {"small", "create, write 4K", FSOP_SMALL, 1, 0, {0, 0.5, true}},
    {"small", "the same, fsync", FSOP_SMALL_SYNC, 1, 0, {0, 0.5, true}},
};

json_t *
fs_key(const char *op, unsigned threads)
{
    return json_pack("{s:s, s:i}", "op", op, "threads", (int)threads);
}

static struct fsway *
way_of(struct fsrun *r, const char *name)
{
    for (unsigned i = 0; i < FSW_COUNT; i++)
        if (!strcmp(r->way[i].name, name))
            return &r->way[i];
    return NULL;
}

static const struct variant *
variant_of(const struct variant *va, unsigned n, enum fsway_id id)
{
    for (unsigned i = 0; i < n; i++)
        if (!strcmp(va[i].id, fsway_name(id)))
            return &va[i];
    return NULL;
}

void
fs_leave_out(json_t *row, struct fsway *way)
{
    json_object_set_new(json_object_get(row, "absent"), way->name, json_string(way->why));
    if (fsway_ours(way->id))
        row_error(row, "%s: %s", way->name, way->why);
    if (way->w.pid > 0 && worker_gone(&way->w))
        way->on = false;
}

static void
target_between(json_t *row, const struct variant *a, const struct variant *b, unsigned rounds, bool lower,
               double want)
{
    char what[64];
    if (!a || !b || want <= 0)
        return;
    snprintf(what, sizeof what, "%s / %s", a->id, b->id);
    row_target(row, what, want, ratio_of(a, b, rounds, lower), false);
}

static void
judge(json_t *row, const struct variant *va, unsigned n, unsigned rounds, bool lower,
      const struct fs_targets *t)
{
    const struct variant *native = variant_of(va, n, FSW_NATIVE), *preload = variant_of(va, n, FSW_PRELOAD),
                         *mount = variant_of(va, n, FSW_MOUNT);
    target_between(row, preload, native, rounds, lower, t->preload);
    target_between(row, mount, variant_of(va, n, FSW_PASSTHROUGH), rounds, lower, t->mount);
    if (t->more > 0 && preload && native)
        row_target(row, "preload - native", t->more, difference_of(preload, native, rounds), true);
    for (enum fsway_id id = FSW_MOOSEFS; t->peers && id < FSW_COUNT; id++) {
        target_between(row, preload, variant_of(va, n, id), rounds, lower, 1);
        target_between(row, mount, variant_of(va, n, id), rounds, lower, 1);
    }
}

static void
figures(json_t *row, const struct variant *va, unsigned n, unsigned rounds, bool lower)
{
    const struct variant *native = variant_of(va, n, FSW_NATIVE), *zio = variant_of(va, n, FSW_PRELOAD);
    json_t *ways = json_object(), *to_native = json_object();
    if (!zio)
        zio = variant_of(va, n, FSW_LIB);
    for (unsigned i = 0; i < n; i++) {
        json_object_set_new(ways, va[i].id, quart_json(quartiles(va[i].v, rounds)));
        if (native && &va[i] != native)
            json_object_set_new(to_native, va[i].id, quart_json(ratio_of(&va[i], native, rounds, lower)));
    }
    json_object_set_new(row, "ways", ways);
    json_object_set_new(row, "to_native", to_native);
    if (zio && native) {
        json_object_set_new(row, "ratio", quart_json(ratio_of(zio, native, rounds, lower)));
        json_object_set_new(row, "ratio_of", json_string(zio->id));
    }
}

json_t *
fs_row(struct fsrun *r, json_t *key, const char *unit, bool lower, unsigned rounds,
       int (*slice)(void *ctx, uint64_t ns, double *value), void *ctx, size_t step,
       const bool takes_part[FSW_COUNT], const struct fs_targets *t)
{
    struct variant va[FSW_COUNT];
    unsigned n = 0, who = 0;
    json_t *row = result_row(r->result, key);
    json_object_set_new(row, "unit", json_string(unit));
    json_object_set_new(row, "lower_is_better", json_boolean(lower));
    json_object_set_new(row, "absent", json_object());
    for (unsigned i = 0; i < FSW_COUNT; i++)
        if (r->way[i].on && takes_part[i])
            va[n++] = (struct variant){r->way[i].name, slice, (char *)ctx + i * step, NULL};
    while (n) {
        if (measure(va, n, rounds, opt.slice_ns, &who) == 0)
            break;
        measure_free(va, n);
        fs_leave_out(row, way_of(r, va[who].id));
        memmove(&va[who], &va[who + 1], (--n - who) * sizeof *va);
    }
    if (!n)
        row_error(row, "no way works");
    else
        figures(row, va, n, rounds, lower);
    if (n)
        judge(row, va, n, rounds, lower, t);
    measure_free(va, n);
    return row;
}

// ---- rows of the workers ----

struct ask {
    struct fsway *way;
    struct wreq q;
};

static int
ask_slice(void *ctx, uint64_t ns, double *value)
{
    struct ask *a = ctx;
    struct wrep p;
    a->q.op = WOP_SLICE;
    a->q.slice_ns = ns;
    int err = fsway_call(a->way, &a->q, &p);
    *value = p.ns ? (double)p.ops * 1e9 / (double)p.ns : 0;
    if (a->q.method == FSOP_SEQ_READ || a->q.method == FSOP_SEQ_WRITE)
        *value /= 1 << 20;
    return err;
}

// Set up, checked byte for byte, warmed up.
static int
ask_start(struct ask *a, const struct fsrow *fr)
{
    struct wrep p;
    double unused;
    a->q = (struct wreq){.op = WOP_SETUP,
                         .kind = WK_FS,
                         .method = fr->method,
                         .size = opt.size,
                         .threads = fr->threads,
                         .direct = fr->direct};
    int err = fsway_call(a->way, &a->q, &p);
    a->q.op = WOP_VERIFY;
    if (!err)
        err = fsway_call(a->way, &a->q, &p);
    return err ? err : ask_slice(a, opt.slice_ns / 4, &unused);
}

static void
row_run(struct fsrun *r, const struct fsrow *fr)
{
    struct ask a[FSW_COUNT];
    bool in[FSW_COUNT], seq = fr->method == FSOP_SEQ_READ || fr->method == FSOP_SEQ_WRITE;
    char late[FSW_COUNT][300];
    struct wrep p;
    for (unsigned i = 0; i < FSW_COUNT; i++) {
        a[i].way = &r->way[i];
        late[i][0] = '\0';
        if (!(in[i] = r->way[i].on))
            continue;
        progress("fs: %s, %u threads: %s gets ready", fr->op, fr->threads, r->way[i].name);
        if (ask_start(&a[i], fr) < 0) {
            in[i] = false;
            snprintf(late[i], sizeof late[i], "%s", r->way[i].why);
        }
    }
    progress("fs: %s, %u threads", fr->op, fr->threads);
    json_t *row = fs_row(r, fs_key(fr->op, fr->threads), seq ? "MiB/s" : "ops/s", false,
                         seq && opt.rounds > 5 ? 5 : opt.rounds, ask_slice, a, sizeof *a, in, &fr->t);
    for (unsigned i = 0; i < FSW_COUNT; i++) {
        a[i].q.op = WOP_VERIFY;
        if (late[i][0] || (in[i] && r->way[i].on && fsway_call(&r->way[i], &a[i].q, &p) < 0))
            fs_leave_out(row, &r->way[i]);
    }
    json_object_set_new(row, "verified", json_boolean(!json_object_get(row, "error")));
    row_done(r->result, row);
}

// ---- the run ----

// The head of the document and the ways: which work, and why the others don't.
static void
start_ways(struct fsrun *r, const char *url)
{
    json_t *on = json_array(), *off = json_object();
    for (unsigned i = 0; i < FSW_COUNT; i++) {
        struct fsway *way = &r->way[i];
        *way = (struct fsway){.id = i, .name = fsway_name(i), .w = WORKER_INIT};
        // The tests' run and the quick one leave out the peers, whose start takes a minute, unless asked for.
        if (!list_has(opt.ways, way->name) || (!opt.ways && i >= FSW_MOOSEFS && (opt.smoke || opt.quick)))
            continue;
        progress("fs: starting %s", way->name);
        int err = fsway_start(way, i, r->tmp, url);
        progress_clear();
        if (!err) {
            json_array_append_new(on, json_string(way->name));
            continue;
        }
        json_object_set_new(off, way->name, json_string(way->why));
        fprintf(stderr, "zio-bench: without %s: %s\n", way->name, way->why);
        if (err == -ENOSYS || !fsway_ours(i))
            continue;
        json_t *row = result_error(r->result, fs_key("start", 1), "%s: %s", way->name, way->why);
        row_done(r->result, row);
    }
    json_object_set_new(r->result, "ways", on);
    json_object_set_new(r->result, "skipped", off);
}

// Files go where a disk is: in memory the comparison would be another one.
static void
choose_place(const char *url)
{
    static char dir[400];
    struct statfs sf;
    if (url) {
        snprintf(dir, sizeof dir, "%s", url + strlen("local:"));
        char *slash = strrchr(dir, '/');
        if (slash && slash != dir)
            *slash = '\0';
        setenv("TMPDIR", slash ? dir : ".", 1);
    } else if (opt.target) {
        setenv("TMPDIR", realpath(opt.target, NULL), 1);
    } else if (!getenv("TMPDIR") && statfs("/tmp", &sf) == 0 && sf.f_type == TMPFS) {
        setenv("TMPDIR", "/var/tmp", 1);
    }
}

static int
defaults(const char **url)
{
    struct stat st;
    *url = opt.target && strchr(opt.target, ':') ? opt.target : NULL;
    if (*url && strncmp(*url, "local:/", 7)) {
        fprintf(stderr, "zio-bench: fs: '%s' is neither a directory nor local:/ABSOLUTE/DIR\n", *url);
        return 64;
    }
    if (opt.target && !*url && (stat(opt.target, &st) < 0 || !S_ISDIR(st.st_mode))) {
        fprintf(stderr, "zio-bench: fs: %s: %s\n", opt.target, errno ? strerror(errno) : "is no directory");
        return 64;
    }
    choose_place(*url);
    if (!opt.size)
        opt.size = opt.smoke ? 4 << 20 : opt.quick ? 128 << 20 : 1 << 30;
    if (opt.smoke && !opt.million)
        opt.million = 1000;
    return 0;
}

int
run_fs(json_t *result)
{
    static struct fsrun r;
    const char *url;
    struct sched_param normal = {0};
    uint64_t slice = opt.slice_ns;
    unsigned rounds = opt.rounds, ran = 0;
    int rc = defaults(&url);
    if (rc)
        return rc;
    // Under SCHED_RR the kernel's own writers and the daemons' threads would starve, and threads need all
    // CPUs.
    sched_setscheduler(0, SCHED_OTHER, &normal);
    env_unpin();
    // Slices that see the costs which come now and then: commits, write-back.
    if (!opt.smoke && !opt.slice_given)
        opt.slice_ns = opt.quick ? 100000000 : 250000000;
    if (opt.rounds > 9 && !opt.rounds_given)
        opt.rounds = 9;
    r = (struct fsrun){.result = result, .tmp = guard_tmpdir()};
    result_head(
        result, "each row's unit", false, NULL,
        "Files, one program's work in turn: native, and (with its speed over native) on zIO through "
        "libfsclient, "
        "preloaded and mounted, on libfuse's passthrough_ll, and on other file systems of this machine.");
    if (!r.tmp) {
        row_done(result,
                 result_error(result, fs_key("start", 1), "no temporary directory: %s", strerror(errno)));
        return result_finish(result);
    }
    start_ways(&r, url);
    for (unsigned i = 0; i < FSW_COUNT; i++)
        ran += r.way[i].on;
    for (unsigned i = 0; ran && i < sizeof rows / sizeof *rows; i++)
        if (list_has(opt.rows, rows[i].group))
            row_run(&r, &rows[i]);
    if (ran && list_has(opt.rows, "untar"))
        fs_rows_untar(&r);
    if (ran && list_has(opt.rows, "start"))
        fs_rows_start(&r);
    if (ran && opt.million && list_has(opt.rows, "million"))
        fs_rows_many(&r);
    progress("fs: cleaning up");
    for (unsigned i = 0; i < FSW_COUNT; i++)
        fsway_stop(&r.way[i]);
    progress_clear();
    guard_tmpdir_done();
    opt.slice_ns = slice;
    opt.rounds = rounds;
    env_pin(opt.cpu_client);
    return result_finish(result);
}
