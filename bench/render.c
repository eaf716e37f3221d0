// SPDX-License-Identifier: Apache-2.0
// A result for people: each row becomes cells, and cells become text or Markdown.
#include <stdio.h>
#include <string.h>

#include "bench/env.h"
#include "bench/measure.h"
#include "bench/render.h"
#include "bench/result.h"

enum { COLUMNS_MAX = 16, CELL = 200 };

// One line of the table: its cells, and in text the width of each.
struct line {
    char cell[COLUMNS_MAX][CELL];
    int width[COLUMNS_MAX]; // negative: to the left
    unsigned n;
};

const char *
render_number(double v, char *out)
{
    const char *fmt = v >= 999.5 || v <= -999.5 ? "%.0f" : v >= 99.95 ? "%.1f" : v >= 9.995 ? "%.2f" : "%.3f";
    snprintf(out, 24, fmt, v);
    return out;
}

static void
add(struct line *l, int width, const char *text)
{
    if (l->n == COLUMNS_MAX)
        return;
    l->width[l->n] = width;
    snprintf(l->cell[l->n++], CELL, "%s", text);
}

static void
add_number(struct line *l, const json_t *v)
{
    char num[24];
    add(l, 10, render_number(json_number_value(v), num));
}

static int
key_width(const char *name)
{
    return !strcmp(name, "op") ? -22 : !strcmp(name, "way") ? -25 : -12;
}

static void
add_key(struct line *l, const char *name, const json_t *v)
{
    char text[64];
    if (json_is_string(v))
        snprintf(text, sizeof text, "%s", json_string_value(v));
    else if (!strcmp(name, "size") || !strcmp(name, "value"))
        size_text((uint64_t)json_integer_value(v), text);
    else
        snprintf(text, sizeof text, "%lld", (long long)json_integer_value(v));
    add(l, key_width(name), text);
}

static void
add_ratio(struct line *l, const json_t *q)
{
    struct quart r = quart_of(q);
    char text[64] = "-";
    if (q)
        snprintf(text, sizeof text, "%.3f [%.2f %.2f]", r.median, r.q1, r.q3);
    add(l, -20, text);
}

// PASS, or what is short of what; "" where nothing is asked.
static void
add_verdict(struct line *l, const json_t *row)
{
    char out[CELL] = "";
    size_t i, n = 0;
    json_t *t;
    json_array_foreach(json_object_get(row, "targets"), i, t)
    {
        bool met = json_is_true(json_object_get(t, "met")),
             near = json_is_true(json_object_get(t, "within_spread"));
        bool base = !strcmp(json_string_value(json_object_get(t, "what")), "shim / plain without copies");
        bool most = !strcmp(json_string_value(json_object_get(t, "relation")), "at most");
        if (n < sizeof out)
            n += (size_t)snprintf(out + n, sizeof out - n, "%s%s%s %s %.4g%s", n ? ", " : "",
                                  met ? "PASS" : "short", base ? " vs 0 copies" : "",
                                  most ? "<=" : ">=", json_number_value(json_object_get(t, "target")),
                                  !met && near ? " (in spread)" : "");
    }
    add(l, -1, out);
}

// A row of ways (run_fs.h): each way's figure, and behind it the speed over native.
static void
add_ways(struct line *l, const json_t *result, const json_t *row)
{
    json_t *name;
    size_t i;
    add(l, -8, json_string_value(json_object_get(row, "unit")));
    json_array_foreach(json_object_get(result, "ways"), i, name)
    {
        const json_t *q = json_object_get(json_object_get(row, "ways"), json_string_value(name));
        const json_t *t = json_object_get(json_object_get(row, "to_native"), json_string_value(name));
        char num[24], text[64] = "-";
        if (q)
            snprintf(text, sizeof text, "%s%s", render_number(quart_of(q).median, num), t ? "" : "     ");
        if (q && t)
            snprintf(text, sizeof text, "%s %.2f", num, quart_of(t).median);
        add(l, 13, text);
    }
}

// The targets that are missed, by name, or PASS.
static void
add_verdicts(struct line *l, const json_t *row)
{
    char out[CELL] = "";
    size_t i, n = 0;
    json_t *t;
    json_array_foreach(json_object_get(row, "targets"), i, t)
    {
        if (json_is_true(json_object_get(t, "met")) || n >= sizeof out)
            continue;
        n += (size_t)snprintf(out + n, sizeof out - n, "%s%s %.3g, not %s %.3g%s", n ? "; " : "",
                              json_string_value(json_object_get(t, "what")),
                              json_number_value(json_object_get(t, "got")),
                              json_string_value(json_object_get(t, "relation")),
                              json_number_value(json_object_get(t, "target")),
                              json_is_true(json_object_get(t, "within_spread")) ? " (in spread)" : "");
    }
    add(l, -1, n ? out : json_array_size(json_object_get(row, "targets")) ? "PASS" : "");
}

static struct line
row_line(const json_t *result, const json_t *row)
{
    struct line l = {.n = 0};
    const char *name;
    json_t *v;
    size_t i;
    json_object_foreach(json_object_get(row, "key"), name, v)
    {
        add_key(&l, name, v);
    }
    if (json_object_get(row, "error")) {
        char text[CELL];
        snprintf(text, sizeof text, "ERROR: %s", json_string_value(json_object_get(row, "error")));
        add(&l, -1, text);
        return l;
    }
    json_array_foreach(json_object_get(result, "columns"), i, v)
    {
        add_number(&l,
                   json_object_get(json_object_get(row, "cells"), json_string_value(json_array_get(v, 0))));
    }
    if (json_object_get(result, "columns"))
        return l;
    if (json_object_get(result, "ways")) {
        add_ways(&l, result, row);
        add_verdicts(&l, row);
        return l;
    }
    add_number(&l, json_object_get(json_object_get(row, "plain"), "median"));
    add_number(&l, json_object_get(json_object_get(row, "shim"), "median"));
    add_ratio(&l, json_object_get(row, "ratio"));
    if (json_object_get(result, "base")) {
        add_number(&l, json_object_get(json_object_get(row, "base"), "median"));
        add_ratio(&l, json_object_get(row, "ratio_base"));
    }
    add_verdict(&l, row);
    return l;
}

static struct line
heading(const json_t *result, const json_t *row)
{
    struct line l = {.n = 0};
    const char *name;
    json_t *v;
    size_t i;
    json_object_foreach(json_object_get(row, "key"), name, v)
    {
        add(&l, key_width(name), name);
    }
    json_array_foreach(json_object_get(result, "columns"), i, v)
    {
        add(&l, 10, json_string_value(json_array_get(v, 1)));
    }
    if (json_object_get(result, "columns"))
        return l;
    if (json_object_get(result, "ways")) {
        add(&l, -8, "unit");
        json_array_foreach(json_object_get(result, "ways"), i, v)
        {
            add(&l, 13, json_string_value(v));
        }
        add(&l, -1, "targets");
        return l;
    }
    add(&l, 10, "plain");
    add(&l, 10, "zIO");
    add(&l, -20, "zIO/plain [quart.]");
    if (json_object_get(result, "base")) {
        add(&l, 10, json_string_value(json_object_get(result, "base")));
        add(&l, -20, "zIO/that [quart.]");
    }
    add(&l, -1, "target");
    return l;
}

static void
print_text(const struct line *l)
{
    for (unsigned i = 0; i < l->n; i++)
        printf("%*s%s", l->width[i], l->cell[i], i + 1 < l->n ? "  " : "\n");
    fflush(stdout);
}

void
render_text(const json_t *result, const json_t *row)
{
    struct line l;
    if (json_array_get(json_object_get(result, "rows"), 0) == row) {
        printf("Medians in %s.\n", json_string_value(json_object_get(result, "unit")));
        l = heading(result, row);
        print_text(&l);
    }
    l = row_line(result, row);
    print_text(&l);
}

static void
print_markdown(const struct line *l, unsigned columns, FILE *f)
{
    for (unsigned i = 0; i < columns; i++)
        fprintf(f, "| %s ", i < l->n ? l->cell[i] : "");
    fprintf(f, "|\n");
}

void
render_markdown(const json_t *result, FILE *f)
{
    json_t *row, *rows = json_object_get(result, "rows");
    struct line l = heading(result, json_array_get(rows, 0));
    unsigned columns = l.n;
    size_t i;
    if (json_object_get(result, "note"))
        fprintf(f, "%s ", json_string_value(json_object_get(result, "note")));
    fprintf(f, "Medians in %s; quartiles in brackets.\n\n",
            json_string_value(json_object_get(result, "unit")));
    print_markdown(&l, columns, f);
    for (unsigned k = 0; k < columns; k++)
        fprintf(f, "|%s", l.width[k] < 0 ? "---" : "---:");
    fprintf(f, "|\n");
    json_array_foreach(rows, i, row)
    {
        l = row_line(result, row);
        print_markdown(&l, columns, f);
    }
    fprintf(f, "\n");
}
