// SPDX-License-Identifier: Apache-2.0
// Results: one JSON object a sub-command, with its rows; a text table on a terminal while it grows; Markdown
// from it.
//
// {"bench", "version", "machine", "options", "unit", "lower_is_better", "rows": [{"key": {..}, "plain": {q1,
// median, q3},
//  "shim", "base", "ratio", "ratio_base", "verified", "counters", "targets": [{"what", "target", "got",
//  "met", "within_spread"}], "error"}], "summary": {"rows", "errors", "targets", "met"}}
#ifndef ZIO_BENCH_RESULT_H
#define ZIO_BENCH_RESULT_H

#include <stdbool.h>
#include <stdio.h>

#include <jansson.h>

#include "bench/measure.h"

#define RESULT_VERSION 1

// Fills the document's head. `base` names the third column, or NULL where there is none.
void result_head(json_t *result, const char *unit, bool lower, const char *base, const char *note);

// Runs the row's variants (ids "plain", "shim" and perhaps "base") and builds the row from the figures. Takes
// the reference of key. Returns the row (owned by the result), which has "error" set when a slice failed.
json_t *result_measure(json_t *result, json_t *key, struct variant *va, unsigned n, unsigned *failed);

// A row that its caller fills ("cells" for the document's "columns"). Takes the reference of key.
json_t *result_row(json_t *result, json_t *key);

// A row with no figures but an error. Takes the reference of key.
json_t *result_error(json_t *result, json_t *key, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void row_error(json_t *row, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

// Judges one figure of a row: `got` must be at least (or at most, when most) `want`.
void row_target(json_t *row, const char *what, double want, struct quart got, bool most);
// Judges the row's own "ratio" or "ratio_base".
void row_target_ratio(json_t *row, const char *field, double want);

// The row is complete: prints its line, unless --json.
void row_done(json_t *result, json_t *row);

// Adds the summary. Returns BENCH_OK or BENCH_FAILED.
int result_finish(json_t *result);

json_t *quart_json(struct quart q);
struct quart quart_of(const json_t *obj);

// On a terminal: what is being done now.
void progress(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void progress_clear(void);

#endif
