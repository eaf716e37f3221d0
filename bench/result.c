// SPDX-License-Identifier: Apache-2.0
// Results: building the JSON document and printing it as text while it grows and as Markdown at the end
// (result.h).
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/env.h"
#include "bench/load.h"
#include "bench/render.h"
#include "bench/result.h"

json_t *
quart_json(struct quart q)
{
    return json_pack("{s:f, s:f, s:f}", "q1", q.q1, "median", q.median, "q3", q.q3);
}

struct quart
quart_of(const json_t *o)
{
    return (struct quart){json_number_value(json_object_get(o, "q1")),
                          json_number_value(json_object_get(o, "median")),
                          json_number_value(json_object_get(o, "q3"))};
}

void
progress(const char *fmt, ...)
{
    va_list ap;
    if (!isatty(2))
        return;
    va_start(ap, fmt);
    fputs("\r\033[K", stderr);
    vfprintf(stderr, fmt, ap);
    fflush(stderr);
    va_end(ap);
}

void
progress_clear(void)
{
    if (isatty(2))
        fputs("\r\033[K", stderr);
}

void
result_head(json_t *r, const char *unit, bool lower, const char *base, const char *note)
{
    json_t *o = json_pack("{s:b, s:b, s:i, s:f, s:s}", "quick", opt.quick, "smoke", opt.smoke, "rounds",
                          (int)opt.rounds, "slice_ms", (double)opt.slice_ns / 1e6, "lib", opt.lib);
    if (opt.policy)
        json_object_set_new(o, "policy", json_string(opt.policy));
    if (opt.threshold)
        json_object_set_new(o, "threshold", json_string(opt.threshold));
    json_object_set_new(r, "bench", json_string(opt.bench));
    json_object_set_new(r, "version", json_integer(RESULT_VERSION));
    json_object_set_new(r, "machine", env_machine());
    json_object_set_new(r, "options", o);
    json_object_set_new(r, "unit", json_string(unit));
    json_object_set_new(r, "lower_is_better", json_boolean(lower));
    if (base)
        json_object_set_new(r, "base", json_string(base));
    if (note)
        json_object_set_new(r, "note", json_string(note));
    json_object_set_new(r, "rows", json_array());
    load_begin();
    if (!opt.json && note)
        printf("%s\n", note);
}

json_t *
result_row(json_t *result, json_t *key)
{
    json_t *row = json_object();
    json_object_set_new(row, "key", key);
    json_array_append_new(json_object_get(result, "rows"), row);
    return row;
}

void
row_error(json_t *row, const char *fmt, ...)
{
    va_list ap;
    char text[300];
    if (json_object_get(row, "error"))
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    json_object_set_new(row, "error", json_string(text));
}

json_t *
result_error(json_t *result, json_t *key, const char *fmt, ...)
{
    va_list ap;
    char text[300];
    json_t *row = result_row(result, key);
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    row_error(row, "%s", text);
    return row;
}

static const struct variant *
variant_find(const struct variant *va, unsigned n, const char *id)
{
    for (unsigned i = 0; i < n; i++)
        if (!strcmp(va[i].id, id))
            return &va[i];
    return NULL;
}

json_t *
result_measure(json_t *result, json_t *key, struct variant *va, unsigned n, unsigned *failed)
{
    json_t *row = result_row(result, key);
    bool lower = json_is_true(json_object_get(result, "lower_is_better"));
    int err = measure(va, n, opt.rounds, opt.slice_ns, failed);
    if (err < 0) {
        measure_free(va, n);
        json_object_set_new(row, "failed", json_string(va[*failed].id));
        json_object_set_new(row, "errno", json_integer(-err));
        return row;
    }
    const struct variant *plain = variant_find(va, n, "plain"), *shim = variant_find(va, n, "shim");
    const struct variant *base = variant_find(va, n, "base");
    for (unsigned i = 0; i < n; i++)
        json_object_set_new(row, va[i].id, quart_json(quartiles(va[i].v, opt.rounds)));
    if (plain && shim) {
        json_object_set_new(row, "ratio", quart_json(ratio_of(shim, plain, opt.rounds, lower)));
        json_object_set_new(row, "difference", quart_json(difference_of(shim, plain, opt.rounds)));
    }
    if (base && shim)
        json_object_set_new(row, "ratio_base", quart_json(ratio_of(shim, base, opt.rounds, lower)));
    if (base && plain)
        json_object_set_new(row, "plain_base", quart_json(ratio_of(plain, base, opt.rounds, lower)));
    measure_free(va, n);
    return row;
}

void
row_target(json_t *row, const char *what, double want, struct quart got, bool most)
{
    bool met = most ? got.median <= want : got.median >= want;
    bool near = most ? got.q1 <= want : got.q3 >= want;
    json_t *list = json_object_get(row, "targets");
    if (json_object_get(row, "error"))
        return;
    if (!list) {
        list = json_array();
        json_object_set_new(row, "targets", list);
    }
    json_array_append_new(list, json_pack("{s:s, s:s, s:f, s:f, s:b, s:b}", "what", what, "relation",
                                          most ? "at most" : "at least", "target", want, "got", got.median,
                                          "met", met, "within_spread", near));
}

void
row_target_ratio(json_t *row, const char *field, double want)
{
    const json_t *q = json_object_get(row, field);
    if (q)
        row_target(row, strcmp(field, "ratio") ? "shim / plain without copies" : "shim / plain", want,
                   quart_of(q), false);
}

void
row_done(json_t *result, json_t *row)
{
    progress_clear();
    if (opt.json)
        return;
    render_text(result, row);
}

int
result_finish(json_t *result)
{
    size_t i, k, rows = 0, errors = 0, targets = 0, met = 0, near = 0;
    json_t *row, *t;
    json_array_foreach(json_object_get(result, "rows"), i, row)
    {
        rows++;
        errors += json_object_get(row, "error") != NULL;
        json_array_foreach(json_object_get(row, "targets"), k, t)
        {
            targets++;
            met += json_is_true(json_object_get(t, "met"));
            near +=
                !json_is_true(json_object_get(t, "met")) && json_is_true(json_object_get(t, "within_spread"));
        }
    }
    json_object_set_new(result, "summary",
                        json_pack("{s:i, s:i, s:i, s:i, s:i}", "rows", (int)rows, "errors", (int)errors,
                                  "targets", (int)targets, "met", (int)met, "short_within_spread",
                                  (int)near));
    json_object_set_new(result, "load", load_end());
    if (!opt.json && targets)
        printf("%zu of %zu targets met, %zu more within the spread; %zu of %zu rows failed\n", met, targets,
               near, errors, rows);
    if (!opt.json && !opt.smoke)
        load_warn(json_object_get(result, "load"));
    return errors ? BENCH_FAILED : BENCH_OK;
}
