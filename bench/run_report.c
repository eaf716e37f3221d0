// SPDX-License-Identifier: Apache-2.0
// zio-bench report --out DIR: every bench in turn; DIR/NAME.json, DIR/NAME.svg, and DIR/RESULTS.md with all
// tables.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "bench/bench.h"
#include "bench/plot.h"
#include "bench/render.h"
#include "bench/result.h"

static const struct part {
    const char *name, *title;
    int (*run)(json_t *result);
} parts[] = {
    {"micro", "Where there is nothing to do", run_micro},
    {"copy", "One copy", run_copy},
    {"alloc", "malloc, copy, free", run_alloc},
    {"echo", "Echo server", run_echo},
    {"fault", "Echo server that looks at its messages", run_fault},
    {"table", "A file to a socket", run_table},
    {"app", "Real programs", run_app},
    {"fs", "Files of a volume", run_fs},
};

static long
summary(const json_t *r, const char *what)
{
    return (long)json_integer_value(json_object_get(json_object_get(r, "summary"), what));
}

static void
section(FILE *f, const struct part *p, const json_t *r, bool drawn)
{
    const json_t *load = json_object_get(r, "load");
    fprintf(f, "## %s (`zio bench %s`)\n\n", p->title, p->name);
    if (drawn)
        fprintf(f, "![%s](%s.svg)\n\n", p->name, p->name);
    render_markdown(r, f);
    if (summary(r, "targets"))
        fprintf(f, "%ld of %ld targets met, %ld more within the spread, %ld rows failed. ", summary(r, "met"),
                summary(r, "targets"), summary(r, "short_within_spread"), summary(r, "errors"));
    fprintf(f, "Meanwhile other work took %.0f %% of the CPUs, the hypervisor %.1f %%.\n\n",
            json_number_value(json_object_get(load, "others_percent")),
            json_number_value(json_object_get(load, "steal_percent")));
}

static void
opening(FILE *f, const json_t *r)
{
    const json_t *m = json_object_get(r, "machine"), *o = json_object_get(r, "options");
    char date[32];
    time_t now = time(NULL);
    struct tm tm;
    strftime(date, sizeof date, "%Y-%m-%d", gmtime_r(&now, &tm));
    fprintf(
        f,
        "# zIO: measurements\n\nMade with `zio bench report%s` on %s: %lld CPUs (%s), Linux %s, glibc %s, "
        "transparent huge pages \"%s\".\n\n",
        opt.quick ? " --quick" : "", date, (long long)json_integer_value(json_object_get(m, "cpus")),
        json_string_value(json_object_get(m, "cpu")), json_string_value(json_object_get(m, "kernel")),
        json_string_value(json_object_get(m, "glibc")),
        json_string_value(json_object_get(m, "transparent_hugepage")));
    fprintf(f,
            "Every ratio comes from one run in which the plain program and the one under zIO took turns, a "
            "slice of "
            "%.0f ms each, %lld rounds; server and client on CPUs of their own; warmed up. A ratio is the "
            "median of the "
            "rounds' ratios, in brackets their quartiles; above 1 zIO is faster. Bytes were checked before "
            "and after each "
            "row. PASS: the median meets the target; \"in spread\": it does not, but the better quartile "
            "does.\n\n",
            json_number_value(json_object_get(o, "slice_ms")),
            (long long)json_integer_value(json_object_get(o, "rounds")));
}

// Runs one part; its files go to opt.out. Returns its exit code.
static int
one(FILE *f, const struct part *p, bool first, json_t *result)
{
    char path[512];
    json_t *r = json_object();
    opt.bench = p->name;
    if (!opt.json)
        printf("%s== %s ==\n", first ? "" : "\n", p->title);
    int rc = p->run(r);
    if (first)
        opening(f, r);
    snprintf(path, sizeof path, "%s/%s.json", opt.out, p->name);
    if (json_dump_file(r, path, JSON_INDENT(1) | JSON_REAL_PRECISION(6)) < 0) {
        fprintf(stderr, "zio-bench: %s: %s\n", path, strerror(errno));
        rc = BENCH_FAILED;
    }
    snprintf(path, sizeof path, "%s/%s.svg", opt.out, p->name);
    bool drawn = !json_object_get(r, "columns") && plot_possible() && plot_result(r, path) == 0;
    section(f, p, r, drawn);
    json_object_set_new(result, p->name, json_incref(json_object_get(r, "summary")));
    json_decref(r);
    return rc;
}

int
run_report(json_t *result)
{
    char path[512];
    int rc = BENCH_OK;
    if (!opt.out) {
        fprintf(stderr, "zio-bench: report needs --out DIR\n");
        return 64;
    }
    if (mkdir(opt.out, 0777) < 0 && errno != EEXIST) {
        fprintf(stderr, "zio-bench: --out %s: %s\n", opt.out, strerror(errno));
        return BENCH_FAILED;
    }
    snprintf(path, sizeof path, "%s/RESULTS.md", opt.out);
    FILE *f = fopen(path, "we");
    if (!f) {
        fprintf(stderr, "zio-bench: %s: %s\n", path, strerror(errno));
        return BENCH_FAILED;
    }
    if (!plot_possible())
        fprintf(stderr, "zio-bench: gnuplot is not in PATH: no plots\n");
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (one(f, &parts[i], i == 0, result) == BENCH_FAILED)
            rc = BENCH_FAILED;
    if (fclose(f))
        rc = BENCH_FAILED;
    json_object_set_new(result, "bench", json_string("report"));
    return rc;
}
