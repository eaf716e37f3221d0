// SPDX-License-Identifier: Apache-2.0
// Drawing a result with gnuplot.
#ifndef ZIO_BENCH_PLOT_H
#define ZIO_BENCH_PLOT_H

#include <jansson.h>

// Whether gnuplot is to be found in PATH.
int plot_possible(void);

// Draws the rows' ratios into an SVG. 0, or -1 after a message on standard error.
int plot_result(const json_t *result, const char *path);

#endif
