// SPDX-License-Identifier: Apache-2.0
// redis-server with the append-only file, SET and GET, driven by redis-benchmark: two servers alive at once,
// asked in turn. redis-benchmark times itself to the millisecond, so a slice is never shorter than 200 ms (or
// 20 in a smoke run). The append-only file is rewritten between slices, outside the time, before it grows too
// large.
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#include "bench/app.h"
#include "bench/bench.h"
#include "bench/env.h"
#include "bench/pattern.h"
#include "bench/proc.h"
#include "bench/result.h"
#include "bench/zstat.h"

#include "bench/resp.h"

enum { CLIENTS = 4, AOF_MAX = 1 << 30, KEYS = 3, SERVERS = 3 }; // plain, under zIO, and with --ceiling

static char redis_path[256], bench_path[256];

struct server {
    struct prog prog;
    struct resp r; // our connection
    int port;
    int shim;
    char dir[200];
    uint64_t size;    // this row's value
    const char *op;   // "set" or "get"
    uint64_t n;       // requests in a slice
    uint64_t written; // bytes since the append-only file was rewritten
    char why[200];
};

static int
fail(struct server *s, const char *what, int err)
{
    snprintf(s->why, sizeof s->why, "%s redis-server: %s: %s",
             s->shim == ENV_SHIM ? "the shim's"
             : s->shim           ? "the copy-free"
                                 : "the plain",
             what, strerror(err < 0 ? -err : err));
    return err < 0 ? err : -EPROTO;
}

// A short command; its reply must be a status. 0 or -errno.
static int
command(struct server *s, unsigned n, const char *const *word)
{
    char reply[300];
    int err = resp_send(&s->r, n, word, NULL);
    long k = err ? err : resp_reply(&s->r, reply, sizeof reply);
    return k < 0 ? fail(s, word[0], (int)k) : 0;
}

static int
server_start(struct server *s, const char *dir, int shim, const char *fsync)
{
    char port[16], log[256];
    const char *argv[] = {redis_path,  "--port",
                          port,        "--bind",
                          "127.0.0.1", "--dir",
                          s->dir,      "--save",
                          "",          "--appendonly",
                          "yes",       "--appendfsync",
                          fsync,       "--auto-aof-rewrite-percentage",
                          "0",         "--loglevel",
                          "warning",   NULL};
    struct prog_io io = {NULL, NULL, log, log};
    s->shim = shim;
    snprintf(s->dir, sizeof s->dir, "%s", dir);
    snprintf(log, sizeof log, "%s/log", dir);
    if (mkdir(dir, 0700) < 0 && errno != EEXIST)
        return fail(s, dir, -errno);
    s->port = port_free();
    snprintf(port, sizeof port, "%d", s->port);
    int err = s->port < 0 ? s->port : prog_start(&s->prog, argv, shim, opt.cpu_server, &io);
    int fd = err ? err : port_connect(s->port, &s->prog);
    if (fd >= 0)
        err = resp_open(&s->r, fd);
    return fd < 0 ? fail(s, "does not start", fd) : err;
}

static void
server_stop(struct server *s)
{
    if (s->r.in)
        resp_close(&s->r);
    prog_stop(&s->prog, SIGTERM);
}

// Asks INFO until `field` is followed by 0 or until 20 s have passed.
static int
wait_zero(struct server *s, const char *field)
{
    const char *info[] = {"INFO", "persistence"};
    static char text[16384];
    uint64_t end = now_ns() + 20000000000u;
    while (now_ns() < end) {
        int err = resp_send(&s->r, 2, info, NULL);
        long n = err ? err : resp_reply(&s->r, text, sizeof text - 1);
        if (n < 0)
            return fail(s, "INFO", (int)n);
        text[n] = '\0';
        const char *p = strstr(text, field);
        if (p && p[strlen(field)] == '0')
            return 0;
        poll(NULL, 0, 2);
    }
    return fail(s, "BGREWRITEAOF", -ETIMEDOUT);
}

// Makes the append-only file small again, and waits until the space of the old one has come back, since
// giving it back takes time on the server's CPU.
static int
aof_trim(struct server *s)
{
    const char *rewrite[] = {"BGREWRITEAOF"};
    struct statvfs before, now;
    statvfs(s->dir, &before);
    int err = command(s, 1, rewrite);
    if (!err)
        err = wait_zero(s, "aof_rewrite_scheduled:");
    if (!err)
        err = wait_zero(s, "aof_rewrite_in_progress:");
    uint64_t end = now_ns() + 1000000000u;
    while (!err && now_ns() < end && statvfs(s->dir, &now) == 0 &&
           (now.f_bfree - before.f_bfree) * now.f_frsize + (64 << 20) < s->written)
        poll(NULL, 0, 2);
    s->written = 0;
    return err;
}

// The second field of redis-benchmark's second line: requests a second. 0 when there is none.
static double
parse_rps(const char *path)
{
    char line[512];
    double rps = 0;
    FILE *f = fopen(path, "re");
    for (int i = 0; f && i < 2; i++)
        if (!fgets(line, sizeof line, f))
            line[0] = '\0';
    char *p = f ? strchr(line, ',') : NULL;
    if (p && p[1] == '"')
        rps = strtod(p + 2, NULL);
    if (f)
        fclose(f);
    return rps;
}

// Runs redis-benchmark for n requests. Its own requests a second, or -errno.
static int
drive(struct server *s, uint64_t n, double *rps)
{
    char port[16], count[32], size[32], clients[16], out[256];
    const char *argv[] = {bench_path, "-p", port, "-c",  clients, "-n", count,
                          "-d",       size, "-t", s->op, "--csv", NULL};
    struct prog p = {0};
    struct prog_io io = {NULL, NULL, out, NULL};
    snprintf(port, sizeof port, "%d", s->port);
    snprintf(count, sizeof count, "%llu", (unsigned long long)n);
    snprintf(size, sizeof size, "%llu", (unsigned long long)s->size);
    snprintf(clients, sizeof clients, "%d", CLIENTS);
    snprintf(out, sizeof out, "%s/csv", s->dir);
    int err = prog_start(&p, argv, 0, opt.cpu_client, &io);
    int status = err ? err : prog_wait(&p, CALL_TIMEOUT_MS);
    if (status > 0 && WIFSIGNALED(status))
        return fail(s, "redis-benchmark got no answer", -ETIMEDOUT);
    if (status != 0)
        return fail(s, "redis-benchmark failed", status < 0 ? status : -EIO);
    *rps = parse_rps(out);
    if (*rps > 1e9)
        *rps = (double)n * 1000; // "inf": all within its millisecond
    return *rps > 0 ? 0 : fail(s, "redis-benchmark printed no figure", -EIO);
}

static int
slice(void *ctx, uint64_t ns, double *value)
{
    struct server *s = ctx;
    int err = 0;
    (void)ns;
    bool set = !strcmp(s->op, "set");
    if (set && s->written + s->n * s->size > AOF_MAX)
        err = aof_trim(s);
    if (!err)
        err = drive(s, s->n, value);
    if (set)
        s->written += s->n * s->size;
    return err;
}

// Values of this row's size, set and got back; they stay in the server.
static int
verify(struct server *s, uint64_t seed)
{
    char key[32], *v = malloc(s->size), *got = malloc(s->size);
    int err = v && got ? 0 : fail(s, "verification", -ENOMEM);
    for (unsigned i = 0; !err && i < KEYS; i++) {
        snprintf(key, sizeof key, "check:%llu:%u", (unsigned long long)s->size, i);
        const char *set[] = {"SET", key, v}, *get[] = {"GET", key};
        size_t len[] = {3, strlen(key), s->size};
        pattern_fill(v, s->size, seed + i, 0);
        err = resp_send(&s->r, 3, set, len);
        long n = err ? err : resp_reply(&s->r, got, s->size);
        if (n >= 0 && !(err = resp_send(&s->r, 2, get, NULL)))
            n = resp_reply(&s->r, got, s->size);
        if (err || n < 0)
            err = fail(s, "SET and GET", err ? err : (int)n);
        else if ((size_t)n != s->size || pattern_check(got, s->size, seed + i, 0) >= 0)
            err = fail(s, "GET gave other bytes than SET took", -EBADMSG);
    }
    free(v);
    free(got);
    return err;
}

// How many requests take about a slice: from a few on the plain server, which also warm both.
static int
calibrate(struct server *s, unsigned count)
{
    uint64_t want = opt.smoke   ? 20
                    : opt.quick ? 150
                                : 200,
             n = 16, cap = s->size > 262144 ? 400000000 / s->size : 20000;
    double rps = 0, unused;
    int err = 0;
    if (!strcmp(s->op, "get")) // nothing grows
        cap *= 4;
    for (int i = 0; !err && i < 3; i++) {
        err = drive(&s[0], n, &rps);
        for (unsigned k = 1; !err && k < count; k++)
            err = drive(&s[k], n, &unused);
        if (rps > 1e6) // too few to fill its millisecond: "inf"
            rps = 1e6;
        n = (uint64_t)(rps * (double)want / 1000) + 8;
        n = n > cap + 8 ? cap + 8 : n;
    }
    for (unsigned k = 0; k < count; k++) {
        s[k].written += 100 << 20;
        s[k].n = n;
    }
    return err;
}

// Adds a row. 0, or -EIO when a server failed: it is of no use for another row.
static int
row(struct app_ctx *a, struct server *s, const char *name, uint64_t size, double want)
{
    struct variant va[SERVERS] = {
        {"plain", slice, &s[0], NULL}, {"shim", slice, &s[1], NULL}, {"base", slice, &s[2], NULL}};
    unsigned count = opt.ceiling ? SERVERS : 2;
    struct zio_statpage before, after;
    unsigned who = 0;
    int err = 0;
    char text[16];
    json_t *r, *key = app_key("redis", name, size);
    progress("app: redis %s %s", name, size_text(size, text));
    for (unsigned i = 0; !err && i < 2; i++) {
        who = i;
        s[i].size = size;
        s[i].why[0] = '\0';
        err = verify(&s[i], 100);
    }
    if (opt.ceiling) // its bytes are wrong, and nobody's: only its speed is looked at
        s[2].size = size, s[2].why[0] = '\0';
    if (!err && (err = calibrate(s, count)))
        who = s[1].why[0] ? 1 : s[2].why[0] ? 2 : 0;
    int have = err ? -1 : zstat_read(s[1].prog.pid, &before);
    r = err ? result_error(a->result, key, "%s", s[who].why)
            : result_measure(a->result, key, va, count, &who);
    if (json_object_get(r, "failed"))
        row_error(r, "%s", s[who].why);
    if (have == 0 && zstat_read(s[1].prog.pid, &after) == 0)
        json_object_set_new(r, "counters", zstat_delta(&before, &after));
    for (unsigned i = 0; i < 2; i++)
        if (!json_object_get(r, "error") && verify(&s[i], 200) < 0)
            row_error(r, "%s", s[i].why);
    json_object_set_new(r, "verified", json_boolean(!json_object_get(r, "error")));
    json_object_set_new(r, "requests_a_slice", json_integer((json_int_t)s[0].n));
    row_target_ratio(r, "ratio", want);
    row_done(a->result, r);
    return json_object_get(r, "error") ? -EIO : 0;
}

// What the shim's server wrote to its append-only file, read back by a plain server: the last values of each
// size.
static void
aof_row(struct app_ctx *a, const char *dir, const struct numlist *sizes)
{
    struct server s = {0};
    char key[48], *got = NULL;
    int err = server_start(&s, dir, 0, "no");
    if (!err)
        err = wait_zero(&s, "loading:");
    for (unsigned i = 0; !err && i < sizes->n; i++)
        for (unsigned k = 0; !err && k < KEYS; k++) {
            const char *get[] = {"GET", key};
            long n = -ENOMEM;
            snprintf(key, sizeof key, "check:%llu:%u", (unsigned long long)sizes->v[i], k);
            free(got);
            if ((got = malloc(sizes->v[i])) && !(err = resp_send(&s.r, 2, get, NULL)))
                n = resp_reply(&s.r, got, sizes->v[i]);
            if (n != (long)sizes->v[i] || pattern_check(got, sizes->v[i], 200 + k, 0) >= 0)
                err = fail(&s, "the shim's append-only file holds other bytes than were set", -EBADMSG);
        }
    free(got);
    server_stop(&s);
    if (err) {
        json_t *r = result_error(a->result, app_key("redis", "AOF read back", 0), "%s", s.why);
        row_done(a->result, r);
    } else {
        json_object_set_new(a->result, "redis_aof_read_back", json_true());
    }
}

static void
set_op(struct server *s, const char *op)
{
    for (unsigned i = 0; i < SERVERS; i++)
        s[i].op = op;
}

int
app_redis(struct app_ctx *a)
{
    static const struct numlist full = {{64, 1024, 4096, 16384, 65536, 262144, 524288, 1 << 20, 4 << 20}, 9};
    static const struct numlist quick = {{64, 65536, 524288}, 3}, smoke = {{65536}, 1};
    struct numlist sizes = opt.sizes.n ? opt.sizes : opt.smoke ? smoke : opt.quick ? quick : full;
    struct server s[SERVERS] = {{.prog = {0}}};
    unsigned count = opt.ceiling ? SERVERS : 2;
    const char *everysec[] = {"CONFIG", "SET", "appendfsync", "everysec"},
               *no[] = {"CONFIG", "SET", "appendfsync", "no"};
    char dir[SERVERS][160];
    int err = 0;
    if (!app_program(a, "redis-server", redis_path) || !app_program(a, "redis-benchmark", bench_path))
        return -ENOENT;
    for (unsigned i = 0; !err && i < count; i++) {
        static const char *const kind[SERVERS] = {"plain", "shim", "nocopy"};

        snprintf(dir[i], sizeof dir[i], "%s/redis-%s", a->dir, kind[i]);
        if ((err = server_start(&s[i], dir[i], (int)i, "everysec")))
            row_done(a->result, result_error(a->result, app_key("redis", "start", 0), "%s", s[i].why));
    }
    for (unsigned i = 0; !err && i < sizes.n; i++) {
        uint64_t v = sizes.v[i] < 8 ? 8 : sizes.v[i];
        sizes.v[i] = v;
        set_op(s, "set");
        err = row(a, s, "SET everysec", v, v == 524288 ? 1.3 : 0.97);
        if (!err && !opt.smoke && !opt.quick) {
            for (unsigned k = 0; k < count; k++)
                command(&s[k], 4, no);
            err = row(a, s, "SET fsync-no", v, v == 524288 ? 1.3 : 0.97);
            for (unsigned k = 0; k < count; k++)
                command(&s[k], 4, everysec);
        }
        set_op(s, "get");
        if (!err)
            err = row(a, s, "GET", v, v == 524288 ? 1.15 : 0.97);
    }
    for (unsigned k = 0; k < count; k++)
        server_stop(&s[k]);
    if (!err)
        aof_row(a, dir[1], &sizes);
    return 0;
}
