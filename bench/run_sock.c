// SPDX-License-Identifier: Apache-2.0
// zio-bench sock: one TCP connection over loopback, plain and under `zio run --sockmap`, then real programs.
// The library is loaded for the joined side, as it is for users, with its copy elision switched off.
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <linux/magic.h>

#include "bench/bench.h"
#include "bench/env.h"
#include "bench/guard.h"
#include "bench/proc.h"
#include "bench/prog.h"
#include "bench/result.h"
#include "bench/sock.h"

enum { PLAIN, JOINED, SIDES };

static char zio[4096];

struct side {
    struct worker w;
    struct wreq q;
};

void
sock_argv(const char **out, const char *const *argv, int joined)
{
    static const char *const prefix[] = {zio, "run", "--disable", "--sockmap", "--"};

    for (size_t i = 0; joined && i < sizeof prefix / sizeof *prefix; i++)
        *out++ = prefix[i];
    while ((*out++ = *argv++))
        ;
}

uint64_t
sock_joined(void)
{
    char command[4200];
    json_t *all;
    uint64_t n;
    FILE *f;

    snprintf(command, sizeof command, "'%s' sockmap status --json 2>/dev/null", zio);
    f = popen(command, "re");
    all = f ? json_loadf(f, 0, NULL) : NULL;
    n = (uint64_t)json_integer_value(json_object_get(json_object_get(all, "counters"), "connections"));
    json_decref(all);
    if (f)
        pclose(f);
    return n;
}

static int
slice(void *ctx, uint64_t ns, double *value)
{
    struct side *s = ctx;
    struct wrep p;
    int err;

    s->q.op = WOP_SLICE;
    s->q.slice_ns = ns;
    err = worker_call(&s->w, &s->q, &p);
    if (!err)
        *value = (double)p.ops * (double)s->q.size * 1e9 / (double)p.ns / 1048576;
    return err;
}

static int
verify(struct side *s, uint64_t seed)
{
    struct wrep p;

    s->q.op = WOP_VERIFY;
    s->q.seed = seed;
    return worker_call(&s->w, &s->q, &p);
}

static int
start(struct side *s, int joined, const struct wreq *q, const char *said)
{
    static const char *const self[] = {"/proc/self/exe", "--worker", NULL};
    const char *argv[10], *plain[3] = {NULL, "--worker", NULL};
    char exe[4096] = "";
    char **envp = env_for(ENV_PLAIN);
    struct wrep p;
    double unused;
    int err = envp && readlink(self[0], exe, sizeof exe - 1) > 0 ? 0 : -ENOMEM;

    plain[0] = exe;
    sock_argv(argv, plain, joined);
    if (!err)
        err =
            worker_start_program(&s->w, joined ? "the joined worker" : "the plain worker", argv, envp, said);
    env_free(envp);
    s->q = *q;
    s->q.op = WOP_SETUP;
    s->q.kind = WK_SOCK;
    if (!err)
        err = worker_call(&s->w, &s->q, &p);
    if (!err)
        err = verify(s, 11);
    return err ? err : slice(s, opt.warm_ns, &unused);
}

static void
row(json_t *result, const struct wreq *q, const char *cpus, const char *said)
{
    struct side side[SIDES] = {{.w = WORKER_INIT}, {.w = WORKER_INIT}};
    struct variant va[SIDES] = {{"plain", slice, &side[PLAIN], NULL}, {"shim", slice, &side[JOINED], NULL}};
    json_t *r, *key = json_pack("{s:I, s:s, s:s}", "size", (json_int_t)q->size, "op",
                                q->spread ? "stream" : "ping-pong", "cpus", cpus);
    uint64_t before = sock_joined();
    unsigned who = 0;
    char text[16];
    int err = 0;

    progress("sock %s, %s, %s", q->spread ? "stream" : "ping-pong", size_text(q->size, text), cpus);
    for (unsigned i = 0; !err && i < SIDES; i++) {
        who = i;
        err = start(&side[i], i == JOINED, q, said);
    }
    r = err ? result_error(result, key, "%s", side[who].w.why) : result_measure(result, key, va, SIDES, &who);
    if (json_object_get(r, "failed"))
        row_error(r, "%s", side[who].w.why);
    if (!err && sock_joined() == before)
        row_error(r, "nothing was joined");
    for (unsigned i = 0; i < SIDES; i++) {
        if (!json_object_get(r, "error") && verify(&side[i], 77) < 0)
            row_error(r, "%s", side[i].w.why);
        if (worker_stop(&side[i].w) < 0 && !json_object_get(r, "error"))
            row_error(r, "%s", side[i].w.why);
    }
    json_object_set_new(r, "verified", json_boolean(!json_object_get(r, "error")));
    row_target_ratio(r, "ratio",
                     q->spread            ? 0.97
                     : q->size <= 1024    ? 1.0
                     : q->size == 65536   ? 1.5
                     : q->size == 1 << 20 ? 2.3
                                          : 0.97);
    row_done(result, r);
}

// Runs join with each other through pins in a BPF file system: one of our own, where there is none.
static bool
pins_own(void)
{
    struct statfs st;

    if (statfs("/sys/fs/bpf", &st) == 0 && (unsigned long)st.f_type == BPF_FS_MAGIC)
        return true;
    return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("bpf", "/sys/fs/bpf", "bpf", 0, NULL) == 0;
}

// Whether a run can be joined here at all: else there is nothing to measure.
static bool
possible(const char *said)
{
    const char *argv[10], *const plain[] = {"/bin/true", NULL};
    struct prog p = {0};
    struct prog_io io = {NULL, NULL, NULL, said};
    char line[512] = "";
    FILE *f;

    if (env_zio(zio) != 0 || !pins_own())
        return false;
    sock_argv(argv, plain, JOINED);
    if (prog_start(&p, argv, ENV_PLAIN, opt.cpu_client, &io) == 0)
        prog_wait(&p, CALL_TIMEOUT_MS);
    f = fopen(said, "re");
    if (f && fgets(line, sizeof line, f))
        fprintf(stderr, "zio-bench: skipped sock: %s", line);
    if (f)
        fclose(f);
    return !line[0];
}

int
run_sock(json_t *result)
{
    static const struct numlist full = {{1024, 16384, 65536, 262144, 1 << 20}, 5},
                                quick = {{1024, 65536, 1 << 20}, 3}, smoke = {{65536}, 1};
    struct numlist sizes = opt.sizes.n ? opt.sizes : opt.smoke ? smoke : opt.quick ? quick : full;
    const char *dir = guard_tmpdir();
    // A run that lasts, so that the set of programs does, and its counters.
    const char *stay[10], *const sleeper[] = {"/bin/sleep", "100000", NULL};
    struct prog holder = {0};
    struct prog_io io = {NULL, NULL, NULL, NULL};
    char said[TMPDIR_MAX + 16];
    json_t *skipped;

    snprintf(said, sizeof said, "%s/said", dir ? dir : "/tmp");
    if (!dir || !possible(said))
        return BENCH_SKIPPED;
    net_own();
    sock_argv(stay, sleeper, JOINED);
    prog_start(&holder, stay, ENV_PLAIN, opt.cpu_client, &io);
    result_head(result, "MiB/s", false, NULL,
                "One TCP connection over loopback (reno), its ends on one CPU or on two. Ping-pong: a "
                "message, and the "
                "same back. Stream: messages one way. Programs: operations a second.");
    skipped = json_array();
    json_object_set_new(result, "skipped", skipped);
    for (int apart = 0; apart < 2; apart++)
        for (unsigned stream = 0; stream < 2; stream++)
            for (unsigned i = 0; i < sizes.n; i++) {
                struct wreq q = {.size = sizes.v[i] < 16 ? 16 : sizes.v[i], .spread = stream};

                q.count = (uint64_t)opt.cpu_client;
                q.first = (uint64_t)(apart ? opt.cpu_server : opt.cpu_client);
                row(result, &q, apart ? "two" : "one", said);
            }
    sock_apps(result, skipped);
    guard_tmpdir_done();
    prog_stop(&holder, SIGTERM);
    return result_finish(result);
}
