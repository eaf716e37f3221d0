// SPDX-License-Identifier: Apache-2.0
// Programs that read, work, write and end: gzip, sort, sqlite3, Python, tar. A slice is one run from spawn to
// exit; the outputs of the plain and the shim's runs are compared byte by byte.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/app.h"
#include "bench/bench.h"
#include "bench/env.h"
#include "bench/pattern.h"
#include "bench/proc.h"
#include "bench/result.h"

enum { ARGS_MAX = 8 };

// One program's run: the side's directory is its working directory, its output is there.
struct batch {
    const char *argv[ARGS_MAX];
    char dir[200]; // of this side
    char in[256];  // standard input, or ""
    char out[256]; // standard output
    char err[256];
    const char *also; // another output file in dir, or NULL
    int shim;
};

static int
run_once(void *ctx, uint64_t ns, double *value)
{
    struct batch *b = ctx;
    struct prog p = {0};
    struct prog_io io = {b->dir, b->in[0] ? b->in : NULL, b->out, b->err};
    (void)ns;
    unlink(b->out);
    uint64_t t0 = now_ns();
    int err = prog_start(&p, b->argv, b->shim, opt.cpu_server, &io);
    int status = err ? err : prog_wait(&p, CALL_TIMEOUT_MS);
    *value = 1e9 / (double)(now_ns() - t0);
    return status < 0 ? status : status ? -ECHILD : 0;
}

// The first line of what the program said, for the row's error.
static void
said(const struct batch *b, char *line, size_t size)
{
    FILE *f = fopen(b->err, "re");
    line[0] = '\0';
    if (f && !fgets(line, (int)size, f))
        line[0] = '\0';
    if (f)
        fclose(f);
    line[strcspn(line, "\n")] = '\0';
}

static int
outputs_same(const struct batch *b)
{
    char x[512], y[512];
    int diff = app_same(b[0].out, b[1].out);
    if (diff || !b[0].also)
        return diff;
    snprintf(x, sizeof x, "%s/%s", b[0].dir, b[0].also);
    snprintf(y, sizeof y, "%s/%s", b[1].dir, b[1].also);
    return app_same(x, y);
}

// `argv` is run in two directories, with `in` (or NULL) as standard input.
static void
row(struct app_ctx *a, const char *app, const char *op, uint64_t value, const char *const *argv,
    const char *in, const char *also)
{
    struct batch b[2] = {{.shim = 0}, {.shim = 1}};
    struct variant va[2] = {{"plain", run_once, &b[0], NULL}, {"shim", run_once, &b[1], NULL}};
    unsigned who = 0;
    double unused;
    int err = 0;
    char line[200];
    json_t *r, *key = app_key(app, op, value);
    progress("app: %s %s", app, op);
    for (unsigned i = 0; !err && i < 2; i++) {
        who = i;
        b[i].also = also;
        for (unsigned k = 0; k < ARGS_MAX && argv[k]; k++)
            b[i].argv[k] = argv[k];
        snprintf(b[i].dir, sizeof b[i].dir, "%s/%s-%s", a->dir, app, i ? "shim" : "plain");
        snprintf(b[i].out, sizeof b[i].out, "%s/out", b[i].dir);
        snprintf(b[i].err, sizeof b[i].err, "%s/err", b[i].dir);
        snprintf(b[i].in, sizeof b[i].in, "%s", in ? in : "");
        if (mkdir(b[i].dir, 0700) < 0 && errno != EEXIST)
            err = -errno;
        else
            err = run_once(&b[i], 0, &unused);
    }
    r = err ? result_error(a->result, key, "%s", strerror(-err))
            : result_measure(a->result, key, va, 2, &who);
    said(&b[who], line, sizeof line);
    if (err || json_object_get(r, "failed")) {
        json_object_del(r, "error");
        row_error(r, "%s %s failed: %s", who ? "the shim's" : "the plain", app, line);
    }
    int diff = json_object_get(r, "error") ? 0 : outputs_same(b);
    if (diff)
        row_error(r, "the outputs of the plain and the shim's %s differ", app);
    json_object_set_new(r, "verified", json_boolean(!json_object_get(r, "error")));
    row_target_ratio(r, "ratio", 0.97);
    row_done(a->result, r);
}

static uint64_t
scaled(uint64_t full)
{
    return opt.smoke ? full / 64 : opt.quick ? full / 4 : full;
}

// A file of pattern that is half zeros, so that it compresses, or of lines for sort.
static int
input_make(struct app_ctx *a, const char *name, uint64_t size, int lines, char *path)
{
    snprintf(path, 256, "%s/%s", a->dir, name);
    FILE *f = fopen(path, "we");
    if (!f)
        return -errno;
    for (uint64_t i = 0; i < size / 16; i++) {
        uint64_t w = pattern_word(5, i);
        if (lines)
            fprintf(f, "%014llx%c\n", (unsigned long long)(w >> 8), (char)('a' + w % 26));
        else
            fprintf(f, "%08llx00000000", (unsigned long long)(w >> 32));
    }
    return fclose(f) ? -errno : 0;
}

static void
input_failed(struct app_ctx *a, const char *app, int err)
{
    row_done(a->result, result_error(a->result, app_key(app, "input", 0), "%s", strerror(-err)));
}

int
app_gzip(struct app_ctx *a)
{
    char gzip[256], in[256];
    uint64_t size = scaled(8 << 20);
    if (!app_program(a, "gzip", gzip))
        return -ENOENT;
    int err = input_make(a, "text", size, 0, in);
    const char *argv[] = {gzip, "-1", "-n", "-c", NULL};
    if (err)
        input_failed(a, "gzip", err);
    else
        row(a, "gzip", "compress", size, argv, in, NULL);
    return 0;
}

int
app_sort(struct app_ctx *a)
{
    char sort[256], in[256];
    uint64_t size = scaled(8 << 20);
    if (!app_program(a, "sort", sort))
        return -ENOENT;
    int err = input_make(a, "lines", size, 1, in);
    const char *argv[] = {sort, "--parallel=1", in, NULL};
    if (err)
        input_failed(a, "sort", err);
    else
        row(a, "sort", "lines", size, argv, NULL, NULL);
    return 0;
}

int
app_tar(struct app_ctx *a)
{
    char tar[256], in[256];
    uint64_t size = scaled(256 << 20);
    if (!app_program(a, "tar", tar))
        return -ENOENT;
    int err = app_file(a->dir, "tarred", size, 6);
    snprintf(in, sizeof in, "--directory=%s", a->dir);
    const char *argv[] = {tar, in, "--blocking-factor=2048", "-cf", "archive.tar", "tarred", NULL};
    if (err)
        input_failed(a, "tar", err);
    else
        row(a, "tar", "create", size, argv, NULL, "archive.tar");
    snprintf(in, sizeof in, "%s/tarred", a->dir);
    unlink(in);
    return 0;
}

// Blobs in and out of a database file: what sqlite3 does with each is a copy or three.
int
app_sqlite3(struct app_ctx *a)
{
    char sqlite[256], in[256], op[64], blob[64];
    uint64_t sizes[] = {524288, 4 << 20}, total = scaled(128 << 20);
    if (!app_program(a, "sqlite3", sqlite))
        return -ENOENT;
    for (unsigned i = 0; i < 2; i++) {
        unsigned rows = (unsigned)(total / sizes[i]) + 1;
        snprintf(blob, sizeof blob, "blob%u", i);
        snprintf(in, sizeof in, "%s/script%u.sql", a->dir, i);
        snprintf(op, sizeof op, "%u blobs in and out", rows);
        int err = app_file(a->dir, blob, sizes[i], 7 + i);
        FILE *f = fopen(in, "we");
        if (f) {
            fprintf(f,
                    ".bail on\nPRAGMA journal_mode=off;\nPRAGMA synchronous=off;\nDROP TABLE IF EXISTS t;\n"
                    "CREATE TABLE t(id INTEGER PRIMARY KEY, b BLOB);\n"
                    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<%u)\n"
                    " INSERT INTO t SELECT i, readfile('../%s') FROM n;\n"
                    "SELECT count(*), sum(length(b)), sum(length(b || x'00')) FROM t;\n"
                    "SELECT writefile('blob', b) FROM t ORDER BY id DESC LIMIT 4;\n",
                    rows, blob);
            fclose(f);
        }
        const char *argv[] = {sqlite, "-batch", "db.sqlite", NULL};
        if (err || !f)
            input_failed(a, "sqlite3", err ? err : -EIO);
        else
            row(a, "sqlite3", op, sizes[i], argv, in, "blob");
    }
    return 0;
}

// Python's bytes: slices, joins and a BytesIO of large values, some never looked at, through a pair of
// sockets.
int
app_python3(struct app_ctx *a)
{
    static const char program[] = "import hashlib,io,socket,sys\n"
                                  "n=int(sys.argv[1]); size=524288\n"
                                  "src=bytearray(bytes(range(256))*(size//256)); h=hashlib.sha256()\n"
                                  "x,y=socket.socketpair()\n"
                                  "for i in range(n):\n"
                                  "    src[i%size]=i&255\n"
                                  "    b=bytes(src); c=bytearray(b); d=bytes(c)+b[:4096]\n"
                                  "    f=io.BytesIO(); f.write(d); e=f.getvalue()\n"
                                  "    if i%8==0: h.update(e)\n"
                                  "    x.send(e[:65536]); y.recv(65536)\n"
                                  "print(h.hexdigest())\n";
    char python[256], count[32];
    if (!app_program(a, "python3", python))
        return -ENOENT;
    snprintf(count, sizeof count, "%d", opt.smoke ? 8 : opt.quick ? 200 : 600);
    const char *argv[] = {python, "-S", "-c", program, count, NULL};
    row(a, "python3", "bytes", 524288, argv, NULL, NULL);
    return 0;
}
