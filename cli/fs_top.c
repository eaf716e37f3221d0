// SPDX-License-Identifier: Apache-2.0
// `zio fs top`: which processes have the volume open, and what each does in a second. The counts lie in the
// volume's shared memory; looking at them costs those processes nothing.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/fs.h"

#define SESSIONS 1024

// X(field, what JSON calls its rate)
#define RATES(X)                                                                                             \
    X(reads, "reads_per_second")                                                                             \
    X(read_bytes, "read_bytes_per_second")                                                                   \
    X(writes, "writes_per_second")                                                                           \
    X(write_bytes, "write_bytes_per_second")                                                                 \
    X(lookups, "lookups_per_second")                                                                         \
    X(changes, "changes_per_second")                                                                         \
    X(syncs, "syncs_per_second")

struct look {
    struct fsc_session v[SESSIONS];
    size_t n;
    uint64_t ns;
};

struct row {
    const struct fsc_session *now;
    double seconds; // that the rates are of
    struct fsc_session rate;
};

static uint64_t
now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int
look(struct fsc *fs, struct look *l)
{
    ssize_t n = fsc_sessions(fs, 0, l->v, SESSIONS);

    l->n = n < 0 ? 0 : (size_t)n;
    l->ns = now_ns();
    return n < 0 ? (int)n : 0;
}

// How much more than in the look before; one that was not there then began with nothing.
static struct row
row_make(const struct look *before, const struct look *after, const struct fsc_session *now)
{
    static const struct fsc_session none;
    struct row r = {.now = now, .seconds = (double)(after->ns - before->ns) / 1e9};
    const struct fsc_session *old = &none;

    for (size_t i = 0; i < before->n; i++)
        if (before->v[i].id == now->id)
            old = &before->v[i];
#define X(field, name) r.rate.field = now->field - old->field;
    RATES(X)
#undef X
    return r;
}

static int
busiest_first(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    uint64_t p = x->rate.read_bytes + x->rate.write_bytes, q = y->rate.read_bytes + y->rate.write_bytes;

    if (p != q)
        return p < q ? 1 : -1;
    p = x->rate.lookups + x->rate.changes + x->rate.reads + x->rate.writes;
    q = y->rate.lookups + y->rate.changes + y->rate.reads + y->rate.writes;
    if (p != q)
        return p < q ? 1 : -1;
    return x->now->pid - y->now->pid;
}

static void
program(const struct fsc_session *s, char name[32])
{
    char path[64];
    FILE *f;

    snprintf(name, 32, "?");
    if (s->foreign)
        return; // the number means another process here
    snprintf(path, sizeof path, "/proc/%d/comm", (int)s->pid);
    f = fopen(path, "re");
    if (f && fgets(name, 32, f))
        name[strcspn(name, "\n")] = '\0';
    if (f)
        fclose(f);
    text_clean(name);
}

static json_t *
row_json(const struct row *r)
{
    char name[32];
    json_t *j, *total = json_object();

    program(r->now, name);
    j = json_pack("{s:i, s:s, s:I, s:b}", "pid", (int)r->now->pid, "program", name, "session",
                  (json_int_t)r->now->id, "other_namespace", r->now->foreign);
#define X(field, text)                                                                                       \
    json_object_set_new(j, text, json_real((double)r->rate.field / r->seconds));                             \
    json_object_set_new(total, #field, json_integer((json_int_t)r->now->field));
    RATES(X)
#undef X
    json_object_set_new(j, "total", total);
    return j;
}

static void
row_print(const char *pid, const char *name, const struct fsc_session *rate, double seconds)
{
    char text[5][TEXT_MAX], in[TEXT_MAX], out[TEXT_MAX];

    printf("%8s %-16.16s %10s %10s/s %10s %10s/s %10s %10s %8s\n", pid, name,
           text_count(text[0], (uint64_t)((double)rate->reads / seconds)),
           text_bytes(in, (uint64_t)((double)rate->read_bytes / seconds)),
           text_count(text[1], (uint64_t)((double)rate->writes / seconds)),
           text_bytes(out, (uint64_t)((double)rate->write_bytes / seconds)),
           text_count(text[2], (uint64_t)((double)rate->lookups / seconds)),
           text_count(text[3], (uint64_t)((double)rate->changes / seconds)),
           text_count(text[4], (uint64_t)((double)rate->syncs / seconds)));
}

static void
show(const struct fs_args *a, const struct row *rows, size_t n, double seconds)
{
    struct fsc_session sum = {0};
    json_t *list;

    if (a->json) {
        list = json_array();
        for (size_t i = 0; i < n; i++)
            json_array_append_new(list, row_json(&rows[i]));
        list = json_pack("{s:s, s:f, s:o}", "url", a->url, "seconds", seconds, "processes", list);
        json_dumpf(list, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(list);
        return;
    }
    if (isatty(STDOUT_FILENO))
        fputs("\033[H\033[J", stdout);
    printf("%8s %-16s %10s %12s %10s %12s %10s %10s %8s\n", "PID", "PROGRAM", "READS/s", "READ", "WRITES/s",
           "WRITTEN", "LOOKUPS/s", "CHANGES/s", "SYNCS/s");
    for (size_t i = 0; i < n; i++) {
        char pid[24], name[32];

        snprintf(pid, sizeof pid, "%d", (int)rows[i].now->pid);
        program(rows[i].now, name);
        row_print(pid, name, &rows[i].rate, seconds);
#define X(field, text) sum.field += rows[i].rate.field;
        RATES(X)
#undef X
    }
    row_print("", "all", &sum, seconds);
}

// One look, `interval` after the one before.
static int
once(struct fs_args *a, struct fsc *fs, struct look *before, struct look *after, struct row *rows)
{
    double interval = a->interval > 0 ? a->interval : 1;
    struct timespec ts = {(time_t)interval, (long)((interval - (double)(time_t)interval) * 1e9)};
    size_t n = 0;
    int err;

    while (nanosleep(&ts, &ts) != 0 && errno == EINTR)
        ;
    err = look(fs, after);
    for (size_t i = 0; i < after->n && !err; i++)
        if (!after->v[i].own)
            rows[n++] = row_make(before, after, &after->v[i]);
    if (err)
        return err;
    qsort(rows, n, sizeof *rows, busiest_first);
    show(a, rows, n, (double)(after->ns - before->ns) / 1e9);
    return fflush(stdout) == 0 ? 0 : -errno;
}

int
fs_top(struct fs_args *a, struct fsc *fs)
{
    struct look *l = calloc(2, sizeof *l);
    struct row *rows = calloc(SESSIONS, sizeof *rows);
    uint64_t looks = a->count ? a->count : isatty(STDOUT_FILENO) ? UINT64_MAX : 1;
    int err = l && rows ? look(fs, &l[0]) : -ENOMEM;

    for (uint64_t i = 0; i < looks && !err; i++)
        err = once(a, fs, &l[i & 1], &l[~i & 1], rows);
    free(rows);
    free(l);
    return err ? fs_fail(a, a->url, err) : CLI_OK;
}
