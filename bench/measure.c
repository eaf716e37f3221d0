// SPDX-License-Identifier: Apache-2.0
// The method: see measure.h. Pure arithmetic but for the slices, which are the callers'.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench/measure.h"

static int
by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// The q-quantile of sorted values, interpolated.
static double
quantile(const double *s, unsigned n, double q)
{
    double at = q * (n - 1);
    unsigned i = (unsigned)at;
    return i + 1 < n ? s[i] + (at - i) * (s[i + 1] - s[i]) : s[n - 1];
}

struct quart
quartiles(const double *v, unsigned n)
{
    double s[ROUNDS_MAX] = {0};
    memcpy(s, v, n * sizeof *s);
    qsort(s, n, sizeof *s, by_value);
    return (struct quart){quantile(s, n, 0.25), quantile(s, n, 0.5), quantile(s, n, 0.75)};
}

int
measure(struct variant *va, unsigned n, unsigned rounds, uint64_t ns, unsigned *who)
{
    for (unsigned i = 0; i < n; i++)
        if (!(va[i].v = calloc(rounds, sizeof(double))))
            return -ENOMEM;
    for (unsigned r = 0; r < rounds; r++)
        for (unsigned k = 0; k < n; k++) {
            unsigned i = (r + k) % n;
            int err = va[i].slice(va[i].ctx, ns, &va[i].v[r]);
            if (err < 0) {
                *who = i;
                return err;
            }
        }
    return 0;
}

void
measure_free(struct variant *va, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        free(va[i].v);
        va[i].v = NULL;
    }
}

struct quart
ratio_of(const struct variant *a, const struct variant *b, unsigned rounds, bool lower)
{
    double r[ROUNDS_MAX] = {0};
    for (unsigned i = 0; i < rounds; i++)
        r[i] = lower ? b->v[i] / a->v[i] : a->v[i] / b->v[i];
    return quartiles(r, rounds);
}

struct quart
difference_of(const struct variant *a, const struct variant *b, unsigned rounds)
{
    double d[ROUNDS_MAX] = {0};
    for (unsigned i = 0; i < rounds; i++)
        d[i] = a->v[i] - b->v[i];
    return quartiles(d, rounds);
}
