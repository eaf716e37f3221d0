// SPDX-License-Identifier: Apache-2.0
// A result (result.h) for people: lines of text while it grows, Markdown when it is complete.
#ifndef ZIO_BENCH_RENDER_H
#define ZIO_BENCH_RENDER_H

#include <stdio.h>

#include <jansson.h>

// Prints the row as a line on standard output; before the first row, the heading.
void render_text(const json_t *result, const json_t *row);

// The whole result as a Markdown table, targets beside the measurements.
void render_markdown(const json_t *result, FILE *f);

// A number with three or four significant digits. `out` holds 24 bytes. Returns out.
const char *render_number(double v, char *out);

#endif
