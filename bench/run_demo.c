// SPDX-License-Identifier: Apache-2.0
// zio-bench demo: what ./quickstart shows. A real redis-server and the echo server at 512 KiB, plain and
// under zIO, and what zIO left out.
#include <stdio.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/env.h"
#include "bench/measure.h"
#include "bench/render.h"
#include "bench/result.h"

enum { SIZE = 524288 };

// "12.3 GiB of 13.0 GiB": bytes that were not copied, of the bytes that the program asked to copy.
static void
elided_text(const json_t *row, char *out, size_t size)
{
    const json_t *c = json_object_get(row, "counters");
    double seen = (double)json_integer_value(json_object_get(c, "copy_bytes_seen"));
    double gone = (double)json_integer_value(json_object_get(c, "copy_bytes_elided"));
    if (!c)
        snprintf(out, size, "-");
    else if (seen <= 0)
        snprintf(out, size, "no large copies");
    else
        snprintf(out, size, "%.1f of %.1f GiB (%.0f %%)", gone / (1 << 30), seen / (1 << 30),
                 100 * gone / seen);
}

static void
what_text(const json_t *row, char *out, size_t size)
{
    const json_t *k = json_object_get(row, "key");
    const char *op = json_string_value(json_object_get(k, "op"));
    int copies = (int)json_integer_value(json_object_get(k, "copies"));
    if (op)
        snprintf(out, size, "redis %s", op);
    else if (!copies)
        snprintf(out, size, "echo, no copies");
    else
        snprintf(out, size, "echo, %d copies, %s buffers", copies,
                 json_string_value(json_object_get(k, "buffers")));
}

static void
lines(const json_t *result)
{
    const char *unit = json_string_value(json_object_get(result, "unit"));
    char what[80], gone[64], plain[24], shim[24];
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(result, "rows"), i, row)
    {
        what_text(row, what, sizeof what);
        if (json_object_get(row, "error")) {
            printf("%-34s %s\n", what, json_string_value(json_object_get(row, "error")));
            continue;
        }
        elided_text(row, gone, sizeof gone);
        render_number(quart_of(json_object_get(row, "plain")).median, plain);
        render_number(quart_of(json_object_get(row, "shim")).median, shim);
        printf("%-34s %8s %8s %-12s %5.2fx   %s\n", what, plain, shim,
               strcmp(unit, "MiB/s") ? "requests/s" : unit, quart_of(json_object_get(row, "ratio")).median,
               gone);
    }
    fflush(stdout);
}

// Runs one bench without its own output. NULL where all was skipped.
static json_t *
part(const char *name, int (*run)(json_t *), int *rc)
{
    bool json = opt.json;
    json_t *r = json_object();
    opt.json = true;
    *rc = run(r);
    opt.json = json;
    progress_clear();
    json_object_set_new(r, "bench", json_string(name));
    return r;
}

int
run_demo(json_t *result)
{
    int rc_app, rc_echo;
    opt.quick = !opt.smoke;
    opt.sizes = (struct numlist){{SIZE}, 1};
    opt.copies = opt.smoke ? (struct numlist){{4}, 1} : (struct numlist){{0, 4, 12}, 3};
    opt.apps = "redis";
    opt.rounds = opt.smoke ? 1 : opt.rounds < 15 ? opt.rounds : 9;
    if (!opt.json)
        printf("Values and messages of 512 KiB. Bytes are checked before and after each line.\n\n%-34s %8s "
               "%8s %-12s %6s   %s\n",
               "unmodified program", "plain", "zIO", "", "zIO is", "copies gone");
    json_t *echo = part("echo", run_echo, &rc_echo);
    json_object_set_new(result, "echo", echo);
    if (!opt.json)
        lines(echo);
    json_t *app = part("app", run_app, &rc_app);
    json_object_set_new(result, "app", app);
    if (!opt.json && rc_app != BENCH_SKIPPED)
        lines(app);
    json_object_set_new(result, "bench", json_string("demo"));
    return rc_echo == BENCH_FAILED || rc_app == BENCH_FAILED ? BENCH_FAILED : BENCH_OK;
}
