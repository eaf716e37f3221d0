// SPDX-License-Identifier: Apache-2.0
// Drawing a result with gnuplot: one curve for each set of keys but the one on the x axis, the ratio shim /
// plain on the y axis, its quartiles as bars.
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/env.h"
#include "bench/plot.h"
#include "bench/result.h"

extern char **environ;

enum { CURVES_MAX = 64 };

int
plot_possible(void)
{
    const char *path = getenv("PATH");
    char try[4200];
    while (path && *path) {
        size_t n = strcspn(path, ":");
        snprintf(try, sizeof try, "%.*s/gnuplot", (int)n, path);
        if (access(try, X_OK) == 0)
            return 1;
        path += n + (path[n] == ':');
    }
    return 0;
}

// Which key is the x axis: the one named here, per sub-command.
static const char *
x_key(const char *bench)
{
    static const char *const map[][2] = {{"copy", "size"},  {"echo", "copies"}, {"fault", "pages"},
                                         {"alloc", "size"}, {"app", "value"},   {"sock", "size"}};
    for (size_t i = 0; i < sizeof map / sizeof *map; i++)
        if (!strcmp(bench, map[i][0]))
            return map[i][1];
    return NULL;
}

static void
curve_name(const json_t *row, const char *x, char *out, size_t size)
{
    const char *name;
    json_t *v;
    char text[64];
    size_t n = 0;
    out[0] = '\0';
    json_object_foreach(json_object_get(row, "key"), name, v)
    {
        if ((x && !strcmp(name, x)) || n >= size)
            continue;
        if (json_is_string(v))
            snprintf(text, sizeof text, "%s", json_string_value(v));
        else if (!strcmp(name, "size") || !strcmp(name, "value"))
            size_text((uint64_t)json_integer_value(v), text);
        else
            snprintf(text, sizeof text, "%s %lld", name, (long long)json_integer_value(v));
        n += (size_t)snprintf(out + n, size - n, "%s%s", n ? " " : "", text);
    }
}

// The points of one curve as an inline data block.
static void
data_block(FILE *f, const json_t *result, const char *x, const char *curve, unsigned id)
{
    char name[160];
    size_t i;
    json_t *row;
    fprintf(f, "$d%u << EOD\n", id);
    json_array_foreach(json_object_get(result, "rows"), i, row)
    {
        const json_t *q = json_object_get(row, "ratio");
        curve_name(row, x, name, sizeof name);
        if (!q || (x && strcmp(name, curve) != 0))
            continue;
        struct quart r = quart_of(q);
        if (x)
            fprintf(f, "%lld",
                    (long long)json_integer_value(json_object_get(json_object_get(row, "key"), x)));
        else
            fprintf(f, "\"%s\"", name);
        fprintf(f, " %g %g %g\n", r.median, r.q1, r.q3);
    }
    fprintf(f, "EOD\n");
}

// Rows of ways: a group of bars for each row, a bar for each way but native, which is the line at 1.
static void
ways_script(FILE *f, const json_t *result, const char *path)
{
    json_t *row, *name;
    size_t i, k;
    fprintf(
        f,
        "set terminal svg size 1200,640 dynamic background '#ffffff' font 'sans,12'\nset output '%s'\n"
        "set title 'zIO: %s, speed over native'\nset ylabel 'speed / native'\nset grid y\nset logscale y\n"
        "set key outside right\nset style data histograms\nset style histogram clustered gap 1\n"
        "set style fill solid 0.7\nset boxwidth 0.9\nset xtics rotate by -35\nset datafile missing '-'\n$d "
        "<< EOD\n",
        path, json_string_value(json_object_get(result, "bench")));
    json_array_foreach(json_object_get(result, "rows"), i, row)
    {
        const json_t *key = json_object_get(row, "key");
        if (!json_object_size(json_object_get(row, "to_native")))
            continue;
        fprintf(f, "\"%s", json_string_value(json_object_get(key, "op")));
        if (json_integer_value(json_object_get(key, "threads")) > 1)
            fprintf(f, ", %lld threads", (long long)json_integer_value(json_object_get(key, "threads")));
        fprintf(f, "\"");
        json_array_foreach(json_object_get(result, "ways"), k, name)
        {
            const json_t *q = json_object_get(json_object_get(row, "to_native"), json_string_value(name));
            if (q)
                fprintf(f, " %g", quart_of(q).median);
            else
                fprintf(f, " -");
        }
        fprintf(f, "\n");
    }
    fprintf(f, "EOD\nplot 1 with lines lc 'grey' dt 2 notitle");
    json_array_foreach(json_object_get(result, "ways"), k, name)
    {
        if (strcmp(json_string_value(name), "native") != 0)
            fprintf(f, ", $d using %zu:xtic(1) title '%s'", k + 2, json_string_value(name));
    }
    fprintf(f, "\n");
}

static void
script(FILE *f, const json_t *result, const char *path)
{
    const char *bench = json_string_value(json_object_get(result, "bench")), *x = x_key(bench);
    char curves[CURVES_MAX][160];
    unsigned n = 0;
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(result, "rows"), i, row)
    {
        char name[160];
        unsigned k = 0;
        curve_name(row, x, name, sizeof name);
        while (k < n && x && strcmp(curves[k], name))
            k++;
        if (k == n && n < CURVES_MAX && (x || n == 0))
            memcpy(curves[n++], name, sizeof name);
    }
    fprintf(f,
            "set terminal svg size 1000,640 dynamic background '#ffffff' font 'sans,12'\nset output '%s'\n",
            path);
    fprintf(
        f,
        "set title 'zIO: %s, speed of zIO over plain'\nset ylabel 'zIO / plain'\nset grid\nset logscale y\n",
        bench);
    fprintf(f, "set key outside right\n");
    if (x && (!strcmp(x, "size") || !strcmp(x, "value")))
        fprintf(f, "set logscale x 2\nset xtics format '%%.0b%%BB'\nset xlabel 'bytes'\n");
    else if (x)
        fprintf(f, "set xlabel '%s'\n", x);
    else
        fprintf(f, "set style fill solid 0.5\nset boxwidth 0.6\nset xtics rotate by -35\nunset logscale "
                   "y\nset yrange [0:*]\n");
    for (unsigned k = 0; k < n; k++)
        data_block(f, result, x, curves[k], k);
    fprintf(f, "plot 1 with lines lc 'grey' dt 2 notitle");
    for (unsigned k = 0; k < n; k++) {
        if (x)
            fprintf(f, ", $d%u using 1:2:3:4 with yerrorlines title '%s'", k, curves[k]);
        else
            fprintf(f, ", $d%u using 2:xtic(1) with boxes notitle", k);
    }
    fprintf(f, "\n");
}

int
plot_result(const json_t *result, const char *path)
{
    char tmp[] = "/tmp/zio-plot.XXXXXX";
    char *argv[] = {(char *)"gnuplot", tmp, NULL};
    int status = -1, fd = mkstemp(tmp);
    pid_t pid;
    FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
    if (!f) {
        fprintf(stderr, "zio-bench: %s: %s\n", tmp, strerror(errno));
        return -1;
    }
    (json_object_get(result, "ways") ? ways_script : script)(f, result, path);
    fclose(f);
    int err = posix_spawnp(&pid, "gnuplot", NULL, NULL, argv, environ);
    if (!err)
        waitpid(pid, &status, 0);
    unlink(tmp);
    if (err || status) {
        fprintf(stderr, "zio-bench: --plot %s: gnuplot %s\n", path,
                err ? "could not be started; install it (apt install gnuplot-nox)" : "failed");
        return -1;
    }
    return 0;
}
