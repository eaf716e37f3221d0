// SPDX-License-Identifier: Apache-2.0
// zio-bench micro: what zIO costs where it has nothing to do: a small memcpy, and the start of a program.
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "bench/bench.h"
#include "bench/env.h"
#include "bench/proc.h"
#include "bench/result.h"

static int
memcpy_slice(void *ctx, uint64_t ns, double *value)
{
    struct worker *w = ctx;
    struct wreq q = {.op = WOP_SLICE, .kind = WK_MICRO, .slice_ns = ns};
    struct wrep p;
    int err = worker_call(w, &q, &p);
    if (!err)
        *value = (double)p.ns / (double)p.ops;
    return err;
}

static int
memcpy_start(struct worker *w, int shim, uint64_t size)
{
    struct wreq q = {.op = WOP_SETUP, .kind = WK_MICRO, .size = size, .seed = 9};
    struct wrep p;
    double unused;
    int err = worker_start(w, shim, DATA_NONE);
    if (!err)
        err = worker_call(w, &q, &p);
    q.op = WOP_VERIFY;
    if (!err)
        err = worker_call(w, &q, &p);
    return err ? err : memcpy_slice(w, opt.warm_ns / 4, &unused);
}

static void
memcpy_row(json_t *result, uint64_t size)
{
    struct worker w[2] = {WORKER_INIT, WORKER_INIT};
    struct variant va[2] = {{"plain", memcpy_slice, &w[0], NULL}, {"shim", memcpy_slice, &w[1], NULL}};
    char what[32], text[16];
    unsigned who = 0;
    int err = 0;
    snprintf(what, sizeof what, "memcpy-%s", size_text(size, text));
    json_t *r, *key = json_pack("{s:s}", "what", what);
    for (unsigned i = 0; !err && i < 2; i++) {
        who = i;
        err = memcpy_start(&w[i], (int)i, size);
    }
    r = err ? result_error(result, key, "%s", w[who].why) : result_measure(result, key, va, 2, &who);
    if (json_object_get(r, "failed"))
        row_error(r, "%s", w[who].why);
    for (unsigned i = 0; i < 2; i++)
        if (worker_stop(&w[i]) < 0)
            row_error(r, "%s", w[i].why);
    json_object_set_new(r, "verified", json_boolean(!json_object_get(r, "error")));
    if (json_object_get(r, "difference") && size == 64)
        row_target(r, "ns more a call", 1.5, quart_of(json_object_get(r, "difference")), true);
    else
        row_target_ratio(r, "ratio", 0.97);
    row_done(result, r);
}

// One start of /bin/true, from the spawn to its end. ctx is the environment.
static int
start_slice(void *ctx, uint64_t ns, double *value)
{
    char *argv[] = {(char *)"true", NULL};
    int status = 0;
    pid_t pid;
    (void)ns;
    uint64_t t0 = now_ns();
    int err = posix_spawn(&pid, "/bin/true", NULL, NULL, argv, ctx);
    if (err)
        return -err;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    *value = (double)(now_ns() - t0);
    return status ? -ECHILD : 0;
}

static void
start_row(json_t *result)
{
    char **env[2] = {env_for(0), env_for(1)};
    struct variant va[2] = {{"plain", start_slice, env[0], NULL}, {"shim", start_slice, env[1], NULL}};
    unsigned who = 0, rounds = opt.rounds;
    double unused;
    json_t *r, *key = json_pack("{s:s}", "what", "start-true");
    if (!env[0] || !env[1]) {
        r = result_error(result, key, "out of memory");
    } else {
        // Pinned like a worker; hundreds of starts, since one takes half a millisecond.
        env_pin(opt.cpu_server);
        opt.rounds = opt.smoke ? 2 : opt.quick ? 150 : 400;
        for (unsigned i = 0; i < (opt.smoke ? 2 : 20); i++)
            start_slice(env[i & 1], 0, &unused);
        r = result_measure(result, key, va, 2, &who);
        opt.rounds = rounds;
        env_pin(opt.cpu_client);
    }
    if (json_object_get(r, "failed"))
        row_error(r, "%s /bin/true could not be started or failed", who ? "the shim's" : "the plain");
    if (json_object_get(r, "difference"))
        row_target(r, "ns more a start", 1e6, quart_of(json_object_get(r, "difference")), true);
    row_done(result, r);
    env_free(env[0]);
    env_free(env[1]);
}

int
run_micro(json_t *result)
{
    static const struct numlist full = {{64, 1024, 4096, 16384}, 4};
    struct numlist sizes = opt.sizes.n ? opt.sizes : full;
    result_head(
        result, "ns", true, NULL,
        "A memcpy that is too small to elide, called through the PLT in a loop, and the start of /bin/true.");
    for (unsigned i = 0; i < sizes.n; i++) {
        progress("micro: memcpy of %llu bytes", (unsigned long long)sizes.v[i]);
        memcpy_row(result, sizes.v[i]);
    }
    progress("micro: the start of a program");
    start_row(result);
    return result_finish(result);
}
