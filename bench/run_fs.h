// SPDX-License-Identifier: Apache-2.0
// What the files of `zio bench fs` share: the ways that work, and how a row becomes figures, targets and
// JSON.
//
// A row: {"key": {"op", "threads"}, "unit", "lower_is_better", "ways": {NAME: quartiles}, "to_native": {NAME:
// quartiles of the rounds' ratios}, "absent": {NAME: why}, "ratio": that of "ratio_of", "targets",
// "verified", "error"}.
#ifndef ZIO_BENCH_RUN_FS_H
#define ZIO_BENCH_RUN_FS_H

#include <jansson.h>

#include "bench/fsway.h"
#include "bench/measure.h"

struct fsrun {
    json_t *result;
    const char *tmp; // the bench's directory
    struct fsway way[FSW_COUNT];
};

// What a row asks of zIO's ways; 0: nothing.
struct fs_targets {
    double preload; // of native
    double mount;   // of passthrough_ll
    bool peers;     // preload and mount ahead of each peer
    double more;    // preload: at most so many of the unit more than native
};

// A row of the ways in `slice`, measured in turn. ctx[i] (from `ctx`, `step` bytes apart) is given to the
// slice of way i. A way that fails is left out and named; zIO's own makes it the row's error. Takes the
// reference of key.
json_t *fs_row(struct fsrun *r, json_t *key, const char *unit, bool lower, unsigned rounds,
               int (*slice)(void *ctx, uint64_t ns, double *value), void *ctx, size_t step,
               const bool takes_part[FSW_COUNT], const struct fs_targets *t);

json_t *fs_key(const char *op, unsigned threads);

// The way leaves this row, for what way->why says; if its worker is gone, all that follow.
void fs_leave_out(json_t *row, struct fsway *way);

// run_fs_tree.c: untar and start-up; run_fs_many.c: a directory of a million names.
void fs_rows_untar(struct fsrun *r);
void fs_rows_start(struct fsrun *r);
void fs_rows_many(struct fsrun *r);

#endif
