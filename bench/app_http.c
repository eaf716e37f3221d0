// SPDX-License-Identifier: Apache-2.0
// nginx with a static file (sendfile off, large output buffers), and haproxy in front of a plain nginx: two
// servers alive at once, asked in turn over one kept connection each by this process.
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "bench/app.h"
#include "bench/bench.h"
#include "bench/env.h"
#include "bench/http.h"
#include "bench/result.h"
#include "bench/zstat.h"

enum { LARGEST = 4 << 20, SEED = 31 };

struct site {
    struct prog prog;
    struct http http;
    int port;
    uint64_t size; // this row's file
    char path[32];
};

static int
config(const char *path, const char *fmt, ...)
{
    va_list ap;
    FILE *f = fopen(path, "we");
    if (!f)
        return -errno;
    va_start(ap, fmt);
    vfprintf(f, fmt, ap);
    va_end(ap);
    return fclose(f) ? -errno : 0;
}

static int
slice(void *ctx, uint64_t ns, double *value)
{
    struct site *s = ctx;
    uint64_t ops = 0, t0, t;
    int err = http_get(&s->http, s->path, s->size, NULL);
    t0 = t = now_ns();
    while (!err && (ops < 2 || t - t0 < ns)) {
        err = http_get(&s->http, s->path, s->size, NULL);
        ops++;
        t = now_ns();
    }
    *value = (double)ops * 1e9 / (double)(t - t0);
    return err;
}

static int
verify(struct site *s)
{
    uint64_t seed = SEED + s->size;
    int err = 0;
    for (int i = 0; !err && i < 4; i++)
        err = http_get(&s->http, s->path, s->size, &seed);
    return err;
}

static void
row(struct app_ctx *a, struct site *s, const char *app, const char *op, uint64_t size)
{
    struct variant va[2] = {{"plain", slice, &s[0], NULL}, {"shim", slice, &s[1], NULL}};
    struct zio_statpage before, after;
    unsigned who = 0;
    double unused;
    int err = 0;
    json_t *r, *key = app_key(app, op, size);
    char text[16];
    progress("app: %s %s", app, size_text(size, text));
    for (unsigned i = 0; !err && i < 2; i++) {
        who = i;
        s[i].size = size;
        snprintf(s[i].path, sizeof s[i].path, "/f%llu", (unsigned long long)size);
        err = verify(&s[i]);
        if (!err)
            err = slice(&s[i], opt.warm_ns, &unused);
    }
    int have = err ? -1 : zstat_read(s[1].prog.pid, &before);
    r = err ? result_error(a->result, key, "%s %s: %s", who ? "the shim's" : "the plain", app, strerror(-err))
            : result_measure(a->result, key, va, 2, &who);
    if (json_object_get(r, "failed"))
        row_error(r, "%s %s failed while it was measured", who ? "the shim's" : "the plain", app);
    if (have == 0 && zstat_read(s[1].prog.pid, &after) == 0)
        json_object_set_new(r, "counters", zstat_delta(&before, &after));
    for (unsigned i = 0; i < 2; i++)
        if (!json_object_get(r, "error") && (err = verify(&s[i])) < 0)
            row_error(r, "%s %s: %s", i ? "the shim's" : "the plain", app, strerror(-err));
    json_object_set_new(r, "verified", json_boolean(!json_object_get(r, "error")));
    row_target_ratio(r, "ratio", 0.97);
    row_done(a->result, r);
}

static int
nginx_start(struct app_ctx *a, struct site *s, const char *nginx, const char *name, int shim)
{
    char conf[256], prefix[256], log[256];
    const char *argv[] = {nginx, "-p", prefix, "-c", conf, "-e", log, NULL};
    struct prog_io io = {NULL, NULL, NULL, log};
    s->port = port_free();
    snprintf(prefix, sizeof prefix, "%s", a->dir);
    snprintf(conf, sizeof conf, "%s/%s.conf", a->dir, name);
    snprintf(log, sizeof log, "%s/%s.log", a->dir, name);
    int err =
        config(conf,
               "daemon off;\nmaster_process off;\npid %s/%s.pid;\nerror_log %s warn;\nevents {}\n"
               "http { access_log off; sendfile off; output_buffers 2 1m; keepalive_requests 1000000000;\n"
               " client_body_temp_path %s/t1; proxy_temp_path %s/t2; fastcgi_temp_path %s/t3;\n"
               " uwsgi_temp_path %s/t4; scgi_temp_path %s/t5;\n"
               " server { listen 127.0.0.1:%d; root %s; } }\n",
               a->dir, name, log, a->dir, a->dir, a->dir, a->dir, a->dir, s->port, a->dir);
    if (!err)
        err = s->port < 0 ? s->port : prog_start(&s->prog, argv, shim, opt.cpu_server, &io);
    int fd = err ? err : port_connect(s->port, &s->prog);
    return fd < 0 ? fd : http_open(&s->http, fd, LARGEST);
}

static int
haproxy_start(struct app_ctx *a, struct site *s, const char *haproxy, const char *name, int shim, int backend)
{
    char conf[256], log[256];
    const char *argv[] = {haproxy, "-q", "-db", "-f", conf, NULL};
    struct prog_io io = {NULL, NULL, log, log};
    s->port = port_free();
    snprintf(conf, sizeof conf, "%s/%s.cfg", a->dir, name);
    snprintf(log, sizeof log, "%s/%s.log", a->dir, name);
    int err = config(conf,
                     "global\n nbthread 1\n tune.bufsize 1048576\n"
                     "defaults\n mode http\n timeout connect 5s\n timeout client 120s\n timeout server 120s\n"
                     "listen l\n bind 127.0.0.1:%d\n server b 127.0.0.1:%d\n",
                     s->port, backend);
    if (!err)
        err = s->port < 0 ? s->port : prog_start(&s->prog, argv, shim, opt.cpu_server, &io);
    int fd = err ? err : port_connect(s->port, &s->prog);
    return fd < 0 ? fd : http_open(&s->http, fd, LARGEST);
}

static void
site_stop(struct site *s)
{
    http_close(&s->http);
    prog_stop(&s->prog, SIGTERM);
}

static struct numlist
sizes_of(void)
{
    static const struct numlist full = {{4096, 65536, 524288, 4 << 20}, 4}, quick = {{65536, 524288}, 2},
                                smoke = {{65536}, 1};
    return opt.smoke ? smoke : opt.quick ? quick : full;
}

static int
files_make(struct app_ctx *a)
{
    struct numlist sizes = sizes_of();
    char name[32];
    int err = chmod(a->dir, 0755) < 0 ? -errno : 0; // nginx drops to a user of its own where root starts it
    for (unsigned i = 0; !err && i < sizes.n; i++) {
        snprintf(name, sizeof name, "f%llu", (unsigned long long)sizes.v[i]);
        err = app_file(a->dir, name, sizes.v[i], SEED + sizes.v[i]);
    }
    return err;
}

static void
start_failed(struct app_ctx *a, const char *app, int err)
{
    row_done(a->result,
             result_error(a->result, app_key(app, "start", 0), "%s does not start: %s", app, strerror(-err)));
}

int
app_nginx(struct app_ctx *a)
{
    struct site s[2] = {{.prog = {0}}, {.prog = {0}}};
    struct numlist sizes = sizes_of();
    char nginx[256];
    if (!app_program(a, "nginx", nginx))
        return -ENOENT;
    int err = files_make(a);
    if (!err)
        err = nginx_start(a, &s[0], nginx, "nginx-plain", 0);
    if (!err)
        err = nginx_start(a, &s[1], nginx, "nginx-shim", 1);
    if (err)
        start_failed(a, "nginx", err);
    for (unsigned i = 0; !err && i < sizes.n; i++)
        row(a, s, "nginx", "static file", sizes.v[i]);
    site_stop(&s[0]);
    site_stop(&s[1]);
    return 0;
}

int
app_haproxy(struct app_ctx *a)
{
    struct site s[2] = {{.prog = {0}}, {.prog = {0}}}, back = {.prog = {0}};
    struct numlist sizes = sizes_of();
    char nginx[256], haproxy[256];
    if (!app_program(a, "haproxy", haproxy) || !app_program(a, "nginx", nginx))
        return -ENOENT;
    int server = opt.cpu_server, err = files_make(a);
    opt.cpu_server = opt.cpu_client; // the backend belongs to the client's side
    if (!err)
        err = nginx_start(a, &back, nginx, "nginx-back", 0);
    opt.cpu_server = server;
    if (!err)
        err = haproxy_start(a, &s[0], haproxy, "haproxy-plain", 0, back.port);
    if (!err)
        err = haproxy_start(a, &s[1], haproxy, "haproxy-shim", 1, back.port);
    if (err)
        start_failed(a, "haproxy", err);
    for (unsigned i = 0; !err && i < sizes.n; i++)
        row(a, s, "haproxy", "proxied file", sizes.v[i]);
    site_stop(&s[0]);
    site_stop(&s[1]);
    site_stop(&back);
    return 0;
}
