// SPDX-License-Identifier: Apache-2.0
// zio-bench app: real programs. What is not installed is skipped by name.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "bench/app.h"
#include "bench/bench.h"
#include "bench/env.h"
#include "bench/guard.h"
#include "bench/pattern.h"
#include "bench/result.h"

static const struct {
    const char *name;
    int (*run)(struct app_ctx *a);
} apps[] = {
    {"redis", app_redis}, {"nginx", app_nginx},     {"haproxy", app_haproxy}, {"gzip", app_gzip},
    {"sort", app_sort},   {"sqlite3", app_sqlite3}, {"python3", app_python3}, {"tar", app_tar},
};

const char *
app_program(struct app_ctx *a, const char *name, char *out)
{
    if (prog_find(name, out))
        return out;
    snprintf(a->missing, sizeof a->missing, "%s", name);
    return NULL;
}

json_t *
app_key(const char *app, const char *op, uint64_t value)
{
    return json_pack("{s:s, s:s, s:I}", "app", app, "op", op, "value", (json_int_t)value);
}

int
app_file(const char *dir, const char *name, uint64_t n, uint64_t seed)
{
    char path[300];
    static unsigned char buf[65536];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "we");
    if (!f)
        return -errno;
    for (uint64_t at = 0; at < n; at += sizeof buf) {
        size_t len = n - at < sizeof buf ? (size_t)(n - at) : sizeof buf;
        pattern_fill(buf, len, seed, at / 8);
        fwrite(buf, 1, len, f);
    }
    int bad = ferror(f);
    return fclose(f) || bad ? -EIO : 0;
}

int
app_same(const char *a, const char *b)
{
    static unsigned char x[65536], y[65536];
    FILE *f = fopen(a, "re"), *g = fopen(b, "re");
    int diff = f && g ? 0 : -ENOENT;
    while (!diff) {
        size_t n = fread(x, 1, sizeof x, f), m = fread(y, 1, sizeof y, g);
        diff = n != m || memcmp(x, y, n) != 0;
        if (!n)
            break;
    }
    if (f)
        fclose(f);
    if (g)
        fclose(g);
    return diff;
}

// The files go to memory where there is enough of it: the disk's own mood is not what is measured.
static void
prefer_memory(void)
{
    struct statvfs v;
    if (!getenv("TMPDIR") && statvfs("/dev/shm", &v) == 0 && v.f_bavail * v.f_frsize > 6ull << 30 &&
        access("/dev/shm", W_OK | X_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 1);
}

static bool
apps_known(void)
{
    char names[128] = "";
    for (size_t i = 0; i < sizeof apps / sizeof *apps; i++)
        strcat(strcat(names, i ? "," : ""), apps[i].name);
    for (const char *p = opt.apps; p && *p;) {
        char one[32] = "";
        size_t n = strcspn(p, ",");
        if (n < sizeof one)
            memcpy(one, p, n);
        if (!*one || !list_has(names, one)) {
            fprintf(stderr, "zio-bench: --apps: '%.*s' is not one of %s\n", (int)n, p, names);
            return false;
        }
        p += n + (p[n] == ',');
    }
    return true;
}

int
run_app(json_t *result)
{
    struct app_ctx a = {.result = result};
    unsigned ran = 0;
    json_t *skipped = json_array();
    if (!apps_known()) {
        json_decref(skipped);
        return 64;
    }
    prefer_memory();
    net_own();
    result_head(result, "operations/s", false, opt.ceiling ? "free copies" : NULL,
                "Real programs, plain and under zIO. redis: redis-benchmark -c 4, append-only file, one key; "
                "files in "
                "memory unless TMPDIR says otherwise. Others: one run of the program, or one request, is an "
                "operation.");
    json_object_set_new(result, "skipped", skipped);
    for (size_t i = 0; i < sizeof apps / sizeof *apps; i++) {
        if (!list_has(opt.apps, apps[i].name))
            continue;
        if (!(a.dir = guard_tmpdir())) {
            row_done(result, result_error(result, app_key(apps[i].name, "start", 0),
                                          "no temporary directory: %s", strerror(errno)));
            continue;
        }
        if (apps[i].run(&a) == -ENOENT) {
            json_array_append_new(skipped, json_string(apps[i].name));
            progress_clear();
            fprintf(stderr, "zio-bench: skipped %s: %s is not installed\n", apps[i].name, a.missing);
        } else {
            ran++;
        }
        guard_tmpdir_done();
    }
    int rc = result_finish(result);
    return ran ? rc : BENCH_SKIPPED;
}
