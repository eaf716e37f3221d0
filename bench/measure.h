// SPDX-License-Identifier: Apache-2.0
// The method: variants of one row take turns, a slice each, round after round; figures are medians and
// quartiles, and a ratio is the median of the rounds' ratios, so that what disturbs the machine disturbs both
// sides.
#ifndef ZIO_BENCH_MEASURE_H
#define ZIO_BENCH_MEASURE_H

#include <stdbool.h>
#include <stdint.h>

enum { ROUNDS_MAX = 1000, VARIANTS_MAX = 12 };

struct quart {
    double q1, median, q3;
};

// One contestant of a row. `slice` runs for about ns nanoseconds and gives its figure, or returns -errno.
struct variant {
    const char *id;                                      // "plain", "shim", "base", ...
    int (*slice)(void *ctx, uint64_t ns, double *value); // one slice
    void *ctx;                                           // the slice's own
    double *v;                                           // the rounds' figures; owned by measure.c
};

// Sorts a copy of v. n > 0.
struct quart quartiles(const double *v, unsigned n);

// Runs `rounds` rounds of n variants, each round starting with the next one. 0, or the first failing slice's
// -errno, with its variant's index in *who. Free the figures with measure_free().
int measure(struct variant *va, unsigned n, unsigned rounds, uint64_t ns, unsigned *who);
void measure_free(struct variant *va, unsigned n);

// Quartiles of the rounds' speed ratio a / b; when lower figures are better, b / a.
struct quart ratio_of(const struct variant *a, const struct variant *b, unsigned rounds, bool lower);
// Quartiles of the rounds' difference a - b.
struct quart difference_of(const struct variant *a, const struct variant *b, unsigned rounds);

#endif
