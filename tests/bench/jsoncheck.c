// SPDX-License-Identifier: Apache-2.0
// Reads what `zio-bench --json` printed: one document, with rows, each of them with verified bytes and
// without an error. Usage: jsoncheck BENCH < FILE. Prints the number of rows. Exit code 1 says on standard
// error what is wrong.
#include <stdio.h>
#include <string.h>

#include <jansson.h>

static int
bad(const char *what, const json_t *where)
{
    char *text = where ? json_dumps(where, JSON_COMPACT) : NULL;
    fprintf(stderr, "jsoncheck: %s%s%s\n", what, text ? ": " : "", text ? text : "");
    return 1;
}

// Every row of a document: its number goes to *rows.
static int
check(const json_t *doc, const char *bench, size_t *rows)
{
    json_t *row, *list = json_object_get(doc, "rows");
    const char *name = json_string_value(json_object_get(doc, "bench"));
    size_t i;
    if (!name || strcmp(name, bench) != 0)
        return bad("\"bench\" is not what was asked for", json_object_get(doc, "bench"));
    if (!json_array_size(list) || !json_is_object(json_object_get(doc, "summary")))
        return bad("no rows or no summary", NULL);
    json_array_foreach(list, i, row)
    {
        if (json_object_get(row, "error"))
            return bad("a row failed", row);
        if (json_object_get(row, "verified") && !json_is_true(json_object_get(row, "verified")))
            return bad("a row's bytes were not verified", row);
        if (!json_object_get(row, "ratio") && !json_object_get(row, "cells") && !json_object_get(row, "ways"))
            return bad("a row has no figures", row);
        ++*rows;
    }
    return 0;
}

int
main(int argc, char **argv)
{
    json_error_t e;
    size_t rows = 0;
    json_t *doc = json_loadf(stdin, 0, &e);
    if (argc != 2 || !doc) {
        fprintf(stderr, "jsoncheck: line %d: %s\n", doc ? 0 : e.line,
                doc ? "usage: jsoncheck BENCH" : e.text);
        return 1;
    }
    int rc = strcmp(argv[1], "demo") ? check(doc, argv[1], &rows)
                                     : check(json_object_get(doc, "echo"), "echo", &rows) ||
                                           check(json_object_get(doc, "app"), "app", &rows);
    json_decref(doc);
    if (!rc)
        printf("%zu rows\n", rows);
    return rc;
}
