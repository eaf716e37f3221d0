// SPDX-License-Identifier: Apache-2.0
// zio-bench fs: whole programs. tar unpacks a tree of small files; `true` and `stat` tell what a start costs.
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/env.h"
#include "bench/result.h"
#include "bench/run_fs.h"

// ---- untar ----

struct untar {
    struct fsway *way;
    const char *tar, *archive;
    uint64_t *entries; // of the tree: what the first that was unpacked had, for all
};

static int
untar_slice(void *ctx, uint64_t ns, double *value)
{
    struct untar *u = ctx;
    struct wreq q = {.op = WOP_SLICE, .kind = WK_FS, .method = FSOP_REMOVE};
    struct wrep p;
    const char *argv[] = {u->tar, "-xf", u->archive, "-C", u->way->dir, NULL};
    (void)ns;
    uint64_t t0 = now_ns();
    int rc = fsway_program(u->way, argv);
    uint64_t took = now_ns() - t0;
    if (rc)
        return rc < 0 ? rc : -ECHILD;
    snprintf(q.path, sizeof q.path, "%.380s/tree", u->way->dir);
    int err = fsway_call(u->way, &q, &p);
    if (err)
        return err;
    if (!*u->entries)
        *u->entries = p.ops;
    if (*u->entries != p.ops) {
        snprintf(u->way->why, sizeof u->way->why, "%llu files came out of the archive instead of %llu",
                 (unsigned long long)p.ops, (unsigned long long)*u->entries);
        return -EBADMSG;
    }
    *value = (double)p.ops * 1e9 / (double)took;
    return 0;
}

// The archive, in memory where that can be, since it is not what is measured.
static int
archive_make(struct fsrun *r, const char *tar, char *archive, size_t size)
{
    struct prog p = {0};
    struct stat st;
    const char *tree = opt.tree ? opt.tree : opt.smoke ? "/usr/include/asm-generic" : "/usr/include";
    if (!opt.tree && stat(tree, &st) < 0)
        tree = "/usr/include/rpc";
    snprintf(archive, size, "%s/tree.tar", r->tmp);
    const char *argv[] = {tar, "-cf", archive, "-C", tree, "--transform=s,^\\.,tree,S", ".", NULL};
    struct prog_io io = {0};
    int err = prog_start(&p, argv, 0, -1, &io);
    int status = err ? err : prog_wait(&p, CALL_TIMEOUT_MS);
    return status < 0 ? status : status || stat(archive, &st) < 0 ? -ECHILD : 0;
}

void
fs_rows_untar(struct fsrun *r)
{
    static const struct fs_targets t = {0.5, 0.5, true, 0};
    struct untar u[FSW_COUNT];
    bool in[FSW_COUNT];
    char tar[256], archive[PATH_MAX];
    uint64_t entries = 0;
    double unused;
    json_t *key = fs_key("untar", 1);
    progress("fs: making the archive");
    int err = prog_find("tar", tar) ? archive_make(r, tar, archive, sizeof archive) : -ENOENT;
    if (err) {
        row_done(r->result, result_error(r->result, key, "tar made no archive of %s: %s",
                                         opt.tree ? opt.tree : "/usr/include", strerror(-err)));
        return;
    }
    for (unsigned i = 0; i < FSW_COUNT; i++) {
        u[i] = (struct untar){&r->way[i], tar, archive, &entries};
        in[i] = r->way[i].on && i != FSW_LIB; // tar knows no library
    }
    // Once before it counts: programs and archive come into memory. Peers take too long for that.
    for (unsigned i = 0; i < FSW_MOOSEFS; i++)
        if (in[i] && !opt.smoke) {
            progress("fs: untar: %s gets ready", r->way[i].name);
            untar_slice(&u[i], 0, &unused);
        }
    progress("fs: untar");
    json_t *row = fs_row(r, key, "files/s", false,
                         opt.rounds < 5 ? opt.rounds
                         : opt.quick    ? 3
                                        : 5,
                         untar_slice, u, sizeof *u, in, &t);
    json_object_set_new(row, "files", json_integer((json_int_t)entries));
    json_object_set_new(row, "verified", json_boolean(!json_object_get(row, "error")));
    row_done(r->result, row);
    unlink(archive);
}

// ---- start ----

struct start {
    struct fsway *way;
    const char *argv[12];
};

static int
start_slice(void *ctx, uint64_t ns, double *value)
{
    struct start *s = ctx;
    (void)ns;
    uint64_t t0 = now_ns();
    int rc = fsway_program(s->way, s->argv);
    *value = (double)(now_ns() - t0) / 1e6;
    return rc > 0 ? -ECHILD : rc;
}

static void
start_row(struct fsrun *r, const char *op, bool touch)
{
    static const struct fs_targets t = {.more = 5};
    static char exe[PATH_MAX];
    struct start s[FSW_COUNT] = {{.way = &r->way[0]}};
    bool in[FSW_COUNT] = {[FSW_NATIVE] = r->way[FSW_NATIVE].on, [FSW_PRELOAD] = r->way[FSW_PRELOAD].on};
    char program[2][256];
    if (env_zio(exe) < 0 || !prog_find("true", program[0]) || !prog_find("stat", program[1]))
        return;
    for (unsigned i = 0; i < FSW_COUNT; i++) {
        unsigned n = 0;
        s[i].way = &r->way[i];
        if (i == FSW_NATIVE) { // the other has this from its way
            s[i].argv[n++] = exe;
            s[i].argv[n++] = "run";
            s[i].argv[n++] = "--";
        }
        s[i].argv[n++] = program[touch];
        if (touch)
            s[i].argv[n++] = r->way[i].dir;
    }
    progress("fs: %s", op);
    json_t *row = fs_row(r, fs_key(op, 1), "ms", true,
                         opt.smoke   ? 2
                         : opt.quick ? 30
                                     : 100,
                         start_slice, s, sizeof *s, in, &t);
    row_done(r->result, row);
}

void
fs_rows_start(struct fsrun *r)
{
    if (!r->way[FSW_PRELOAD].on || !r->way[FSW_NATIVE].on)
        return;
    start_row(r, "start of true", false);
    start_row(r, "start, stat a file", true);
}
