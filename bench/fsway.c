// SPDX-License-Identifier: Apache-2.0
// Starting and stopping the ways: see fsway.h. Each daemon is started and stopped by a script of peers/,
// which knows the product; zIO's own mount by `zio mount`.
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/env.h"
#include "bench/fsway.h"

enum { START_MS = 120000, PROGRAM_MS = 600000 };

static const char *const names[FSW_COUNT] = {"native",      "lib",     "preload", "mount",
                                             "passthrough", "moosefs", "gluster", "ceph"};

const char *
fsway_name(enum fsway_id id)
{
    return names[id];
}

bool
fsway_ours(enum fsway_id id)
{
    return id <= FSW_MOUNT;
}

static bool
scripted(enum fsway_id id)
{
    return id >= FSW_PASSTHROUGH;
}

// The last line of what a program said.
static void
said(const char *path, char *out, size_t size)
{
    char line[300];
    FILE *f = fopen(path, "re");
    out[0] = '\0';
    while (f && fgets(line, sizeof line, f))
        if (line[strspn(line, " \t\n")])
            snprintf(out, size, "%.*s", (int)strcspn(line, "\n"), line);
    if (f)
        fclose(f);
}

// Runs a program to its end. 0, or what it ended with; `why` is its last line then.
static int
run(const char *const *argv, const char *log, int timeout_ms, char *why, size_t size)
{
    struct prog p = {0};
    struct prog_io io = {.out = log, .err = log};
    unlink(log);
    int err = prog_start(&p, argv, 0, -1, &io);
    int status = err ? err : prog_wait(&p, timeout_ms);
    if (!status)
        return 0;
    said(log, why, size);
    if (!why[0])
        snprintf(why, size, "%s ended with status %#x", argv[0], (unsigned)status);
    return status < 0 ? status : WIFEXITED(status) ? WEXITSTATUS(status) : -ECHILD;
}

// ---- peers ----

static int
script(enum fsway_id id, const char *verb, const char *state, char *why, size_t size)
{
    char path[PATH_MAX], name[64], log[400];
    snprintf(name, sizeof name, "peers/%s.sh", names[id]);
    if (env_beside(name, path) < 0) {
        snprintf(why, size, "%s is missing", name);
        return -ENOSYS;
    }
    snprintf(log, sizeof log, "%s.log", state);
    const char *argv[] = {"/bin/bash", path, verb, state, NULL};
    int rc = run(argv, log, START_MS, why, size);
    return rc == BENCH_SKIPPED ? -ENOSYS : rc > 0 ? -ECHILD : rc;
}

static int
start_scripted(struct fsway *way)
{
    char unused[300];
    int err = script(way->id, "check", way->state, way->why, sizeof way->why);
    if (err)
        return err;
    if (mkdir(way->state, 0700) < 0)
        return -errno;
    err = script(way->id, "start", way->state, way->why, sizeof way->why);
    if (err) {
        script(way->id, "stop", way->state, unused, sizeof unused);
        way->state[0] = '\0';
    }
    return err;
}

void
fsway_end_all(const char *tmp)
{
    char state[300], why[300];
    struct stat st;
    for (enum fsway_id id = 0; id < FSW_COUNT; id++) {
        snprintf(state, sizeof state, "%s/%s", tmp, names[id]);
        if (scripted(id) && stat(state, &st) == 0)
            script(id, "stop", state, why, sizeof why);
    }
}

// ---- zIO's ----

static int
zio(const char *const *args, const char *log, char *why, size_t size)
{
    char exe[PATH_MAX];
    const char *argv[12] = {exe};
    if (env_zio(exe) < 0) {
        snprintf(why, size, "there is no `zio` beside zio-bench nor in PATH");
        return -ENOSYS;
    }
    for (unsigned i = 0; args[i]; i++)
        argv[i + 1] = args[i];
    return run(argv, log, START_MS, why, size);
}

static int
start_mount(struct fsway *way)
{
    char mnt[320], log[400];
    struct stat above, there;
    snprintf(mnt, sizeof mnt, "%s/mnt", way->state);
    snprintf(log, sizeof log, "%s.log", way->state);
    const char *args[] = {"mount", way->url, mnt, NULL};
    if (mkdir(way->state, 0700) < 0 || mkdir(mnt, 0700) < 0)
        return -errno;
    int rc = zio(args, log, way->why, sizeof way->why);
    if (!rc && (stat(way->state, &above) < 0 || stat(mnt, &there) < 0 || above.st_dev == there.st_dev)) {
        snprintf(way->why, sizeof way->why, "zio mount ended well, but nothing is mounted at %s", mnt);
        rc = -ECHILD;
    }
    if (rc)
        way->state[0] = '\0';
    return rc == 2 ? -ENOSYS : rc > 0 ? -ECHILD : rc; // 2: no such command in this build
}

// A volume of the way's own, so that each is measured on one in the same state.
static int
make_volume(struct fsway *way, const char *tmp, const char *url)
{
    char log[400];
    if (url) {
        snprintf(way->url, sizeof way->url, "%s", url);
        return 0;
    }
    snprintf(way->url, sizeof way->url, "local:%s/volume-%s", tmp, way->name);
    snprintf(log, sizeof log, "%s/format.log", tmp);
    const char *args[] = {"fs", "format", way->url, NULL};
    return zio(args, log, way->why, sizeof way->why) ? -ECHILD : 0;
}

// ---- workers ----

// argv of a program in this way: `zio run --fs PREFIX=URL --` in front of it where it is preloaded.
static int
argv_make(const struct fsway *way, const char *const *argv, const char **out, size_t room)
{
    static char exe[PATH_MAX], routed[720];
    size_t n = 0;
    if (way->id == FSW_PRELOAD) {
        if (env_zio(exe) < 0)
            return -ENOSYS;
        snprintf(routed, sizeof routed, "%s=%s", way->prefix, way->url);
        out[n++] = exe;
        out[n++] = "run";
        out[n++] = "--fs";
        out[n++] = routed;
        out[n++] = "--";
    }
    while (*argv && n + 1 < room)
        out[n++] = *argv++;
    out[n] = NULL;
    return 0;
}

static int
start_worker(struct fsway *way, const char *tmp)
{
    char self[PATH_MAX], log[400];
    const char *program[] = {self, "--worker", NULL}, *argv[16];
    char **envp = env_for(0);
    int err = envp ? env_beside(way->id == FSW_LIB ? "zio-bench-fsc" : "zio-bench", self) : -ENOMEM;
    struct wreq q = {.op = WOP_SETUP, .kind = WK_FS};
    struct wrep p;
    if (!err)
        err = argv_make(way, program, argv, 16);
    if (!err) {
        snprintf(log, sizeof log, "%s/worker-%s.log", tmp, way->name);
        err = worker_start_program(&way->w, way->name, argv, envp, log);
    }
    env_free(envp);
    if (err) {
        snprintf(way->why, sizeof way->why, "%s", way->w.why[0] ? way->w.why : strerror(-err));
        return err;
    }
    err = fsway_call(way, &q, &p);
    if (!err)
        return 0;
    // What it said tells more than how it ended: `zio run` refuses in a line.
    if (err == -EPIPE) {
        int status = way->w.pid > 0 ? proc_wait(way->w.pid, way->w.pidfd, 5000) : 0;
        char line[300];
        said(log, line, sizeof line);
        if (line[0])
            snprintf(way->why, sizeof way->why, "%s", line);
        way->w.pid = 0;
        if (status > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 2)
            err = -ENOSYS; // `zio run` knows no such option
    }
    worker_stop(&way->w);
    return err;
}

int
fsway_start(struct fsway *way, enum fsway_id id, const char *tmp, const char *url)
{
    const char *base = strrchr(tmp, '/') + 1;
    int err = 0;
    *way = (struct fsway){.id = id, .name = names[id], .w = WORKER_INIT};
    snprintf(way->log, sizeof way->log, "%s/program-%s.log", tmp, way->name);
    if (id == FSW_MOUNT || scripted(id))
        snprintf(way->state, sizeof way->state, "%s/%s", tmp, way->name);
    if (id == FSW_LIB || id == FSW_PRELOAD || id == FSW_MOUNT)
        err = make_volume(way, tmp, url);
    if (!err && id == FSW_MOUNT)
        err = start_mount(way);
    else if (!err && scripted(id))
        err = start_scripted(way);
    if (err) {
        if (!way->why[0])
            snprintf(way->why, sizeof way->why, "%s", strerror(-err));
        return err;
    }
    // A prefix that is not there otherwise: what is routed by mistake cannot pass for the file system below.
    if (id == FSW_PRELOAD)
        snprintf(way->prefix, sizeof way->prefix, "%s/routed", tmp);
    if (id == FSW_NATIVE)
        snprintf(way->dir, sizeof way->dir, "%s/native", tmp);
    else
        snprintf(way->dir, sizeof way->dir, "%s%s/%s-%s",
                 id == FSW_LIB       ? ""
                 : id == FSW_PRELOAD ? way->prefix
                                     : way->state,
                 id == FSW_LIB || id == FSW_PRELOAD ? "" : "/mnt", base, way->name);
    err = start_worker(way, tmp);
    way->on = !err;
    if (err)
        fsway_stop(way);
    return err;
}

int
fsway_call(struct fsway *way, struct wreq *q, struct wrep *p)
{
    if (q->op != WOP_SLICE || q->method != FSOP_REMOVE)
        snprintf(q->path, sizeof q->path, "%s", way->dir);
    snprintf(q->url, sizeof q->url, "%s", way->url);
    way->w.timeout_ms = PROGRAM_MS;
    int err = worker_call(&way->w, q, p);
    if (err)
        snprintf(way->why, sizeof way->why, "%s", way->w.why);
    return err;
}

int
fsway_program(struct fsway *way, const char *const *argv)
{
    const char *v[24];
    int err = argv_make(way, argv, v, 24);
    return err ? err : run(v, way->log, PROGRAM_MS, way->why, sizeof way->why);
}

void
fsway_stop(struct fsway *way)
{
    struct wreq q = {.op = WOP_SLICE, .kind = WK_FS, .method = FSOP_REMOVE};
    struct wrep p;
    char mnt[320], why[300];
    if (way->on && way->w.pid > 0) {
        snprintf(q.path, sizeof q.path, "%s", way->dir);
        fsway_call(way, &q, &p);
    }
    worker_stop(&way->w);
    way->on = false;
    if (!way->state[0])
        return;
    if (scripted(way->id)) {
        script(way->id, "stop", way->state, why, sizeof why);
    } else {
        snprintf(mnt, sizeof mnt, "%s/mnt", way->state);
        if (umount2(mnt, 0) < 0)
            umount2(mnt, MNT_DETACH);
    }
    way->state[0] = '\0';
}
