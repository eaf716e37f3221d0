// SPDX-License-Identifier: Apache-2.0
// zio-bench sock, real programs: a server and its own load generator, each plain, and each under `zio run
// --sockmap`. Both servers are alive at once and take turns.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/env.h"
#include "bench/guard.h"
#include "bench/proc.h"
#include "bench/prog.h"
#include "bench/result.h"
#include "bench/sock.h"

struct app {
    const char *op;
    int joined;
    int port;
    struct prog server;
    const char *load[20]; // the load generator's command
    double (*parse)(const char *path);
    char dir[TMPDIR_MAX + 16], port_text[16], url[64];
};

// The key of a connection's rows, too: a program's messages have no one size.
static json_t *
app_key(const char *name, const char *op)
{
    char text[64];

    snprintf(text, sizeof text, "%s %s", name, op);
    return json_pack("{s:i, s:s, s:s}", "size", 0, "op", text, "cpus", "two");
}

static double
parse_redis(const char *path)
{
    char line[512];
    double rps = 0;
    FILE *f = fopen(path, "re");

    while (f && fgets(line, sizeof line, f)) {
        char *p = strstr(line, "\",\"");

        if (p && p[3] >= '0' && p[3] <= '9')
            rps = strtod(p + 3, NULL);
    }
    if (f)
        fclose(f);
    return rps;
}

static double
parse_wrk(const char *path)
{
    char line[512];
    double rps = 0;
    FILE *f = fopen(path, "re");

    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, "Requests/sec:", 13) == 0)
            rps = strtod(line + 13, NULL);
    if (f)
        fclose(f);
    return rps;
}

static int
slice(void *ctx, uint64_t ns, double *value)
{
    struct app *a = ctx;
    const char *argv[26];
    char out[TMPDIR_MAX + 32];
    struct prog p = {0};
    struct prog_io io = {NULL, NULL, out, NULL};
    int err, status;

    (void)ns; // the generators know requests and whole seconds only
    snprintf(out, sizeof out, "%s/out", a->dir);
    sock_argv(argv, a->load, a->joined);
    err = prog_start(&p, argv, ENV_PLAIN, opt.cpu_client, &io);
    status = err ? err : prog_wait(&p, CALL_TIMEOUT_MS);
    if (status != 0)
        return status < 0 ? status : -EIO;
    *value = a->parse(out);
    return *value > 0 ? 0 : -EPROTO;
}

static int
serve(struct app *a, const char *const *plain)
{
    const char *argv[26];
    char log[TMPDIR_MAX + 32];
    struct prog_io io = {NULL, NULL, log, log};
    int err;

    snprintf(log, sizeof log, "%s/log", a->dir);
    sock_argv(argv, plain, a->joined);
    err = prog_start(&a->server, argv, ENV_PLAIN, opt.cpu_server, &io);
    if (!err && (err = port_connect(a->port, &a->server)) >= 0) {
        close(err);
        err = 0;
    }
    return err;
}

static void
row(json_t *result, struct app a[2], const char *name, const char *op)
{
    struct variant va[2] = {{"plain", slice, &a[0], NULL}, {"shim", slice, &a[1], NULL}};
    json_t *r, *key = app_key(name, op);
    uint64_t before = sock_joined();
    unsigned rounds = opt.rounds, who = 0;

    progress("sock %s %s", name, op);
    opt.rounds = opt.smoke ? 1 : opt.quick ? 3 : 7;
    r = result_measure(result, key, va, 2, &who);
    opt.rounds = rounds;
    if (json_object_get(r, "failed"))
        row_error(r, "%s: its load generator failed", who ? "joined" : "plain");
    else if (sock_joined() == before)
        row_error(r, "nothing was joined");
    row_target_ratio(r, "ratio", 0.97);
    row_done(result, r);
}

static int
prepare(struct app a[2], const char *dir)
{
    for (int i = 0; i < 2; i++) {
        a[i].joined = i;
        a[i].port = port_free();
        snprintf(a[i].port_text, sizeof a[i].port_text, "%d", a[i].port);
        snprintf(a[i].dir, sizeof a[i].dir, "%.240s/%s", dir, i ? "joined" : "plain");
        if (a[i].port < 0 || (mkdir(a[i].dir, 0755) < 0 && errno != EEXIST))
            return -errno;
    }
    return 0;
}

static void
redis(json_t *result, json_t *skipped, const char *dir)
{
    char server[256], load[256];
    struct app a[2] = {{.parse = parse_redis}, {.parse = parse_redis}};
    const char *n = opt.smoke ? "200" : "20000", *many = opt.smoke ? "1600" : "200000";
    int err = prepare(a, dir);

    if (!prog_find("redis-server", server) || !prog_find("redis-benchmark", load)) {
        json_array_append_new(skipped, json_string("redis"));
        return;
    }
    for (int i = 0; !err && i < 2; i++) {
        const char *argv[] = {server,   "--port", a[i].port_text, "--bind", "127.0.0.1",
                              "--save", "",       "--dir",        a[i].dir, NULL};

        err = serve(&a[i], argv);
    }
    for (int pipelined = 0; !err && pipelined < 2; pipelined++) {
        for (int i = 0; i < 2; i++) {
            const char *argv[] = {
                load,    "-p", a[i].port_text,         "-c", "8", "-n", pipelined ? many : n, "-t", "get",
                "--csv", "-P", pipelined ? "16" : "1", NULL};

            memcpy(a[i].load, argv, sizeof argv);
        }
        row(result, a, "redis", pipelined ? "GET -P 16" : "GET");
    }
    if (err)
        row_done(result,
                 result_error(result, app_key("redis", "start"), "does not start: %s", strerror(-err)));
    for (int i = 0; i < 2; i++)
        prog_stop(&a[i].server, SIGTERM);
}

static int
nginx_config(const struct app *a)
{
    char path[TMPDIR_MAX + 32];
    FILE *f;

    snprintf(path, sizeof path, "%s/page", a->dir);
    f = fopen(path, "we");
    for (int i = 0; f && i < 64; i++)
        fputs("0123456789abcdef", f);
    if (!f || fclose(f))
        return -EIO;
    snprintf(path, sizeof path, "%s/conf", a->dir);
    f = fopen(path, "we");
    if (!f)
        return -errno;
    fprintf(f,
            "daemon off;\nmaster_process off;\npid %s/pid;\nerror_log %s/log warn;\nevents {}\n"
            "http { access_log off; keepalive_requests 1000000000;\n client_body_temp_path %s/t1; "
            "proxy_temp_path %s/t2;\n"
            " fastcgi_temp_path %s/t3; uwsgi_temp_path %s/t4; scgi_temp_path %s/t5;\n"
            " server { listen 127.0.0.1:%d; root %s; } }\n",
            a->dir, a->dir, a->dir, a->dir, a->dir, a->dir, a->dir, a->port, a->dir);
    return fclose(f) ? -errno : 0;
}

static void
nginx(json_t *result, json_t *skipped, const char *dir)
{
    char server[256], load[256], conf[2][TMPDIR_MAX + 32];
    struct app a[2] = {{.parse = parse_wrk}, {.parse = parse_wrk}};
    int err = prepare(a, dir);

    if (!prog_find("nginx", server) || !prog_find("wrk", load)) {
        json_array_append_new(skipped, json_string("nginx"));
        return;
    }
    chmod(dir, 0755); // nginx drops to a user of its own where root starts it
    for (int i = 0; !err && i < 2; i++) {
        const char *argv[] = {server, "-p", a[i].dir, "-c", conf[i], NULL};

        snprintf(conf[i], sizeof conf[i], "%s/conf", a[i].dir);
        err = nginx_config(&a[i]);
        if (!err)
            err = serve(&a[i], argv);
        snprintf(a[i].url, sizeof a[i].url, "http://127.0.0.1:%d/page", a[i].port);
    }
    for (int i = 0; i < 2; i++) {
        const char *argv[] = {load, "-t", "1", "-c", "8", "-d", "1", a[i].url, NULL};

        memcpy(a[i].load, argv, sizeof argv);
    }
    if (err)
        row_done(result,
                 result_error(result, app_key("nginx", "start"), "does not start: %s", strerror(-err)));
    else
        row(result, a, "nginx", "wrk 1 KiB");
    for (int i = 0; i < 2; i++)
        prog_stop(&a[i].server, SIGTERM);
}

void
sock_apps(json_t *result, json_t *skipped)
{
    static const struct {
        const char *name;
        void (*run)(json_t *result, json_t *skipped, const char *dir);
    } apps[] = {{"redis", redis}, {"nginx", nginx}};

    for (size_t i = 0; i < sizeof apps / sizeof *apps; i++) {
        const char *dir;

        if (!list_has(opt.apps, apps[i].name))
            continue;
        guard_tmpdir_done();
        dir = guard_tmpdir();
        if (dir)
            apps[i].run(result, skipped, dir);
    }
}
