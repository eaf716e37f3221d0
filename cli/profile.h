// SPDX-License-Identifier: Apache-2.0
// `zio profile`: what its two halves, running the program (profile.c) and reporting (profile_report.c),
// share.
#ifndef ZIO_CLI_PROFILE_H
#define ZIO_CLI_PROFILE_H

#include <stdbool.h>
#include <stdio.h>

#include "libzio/profiler.h"

struct profile_run {
    char **argv;        // the program and its arguments
    int status;         // as waitpid gives it
    double elapsed_ns;  // from start to end
    double ns_per_tick; // of the time-stamp counter
    unsigned top;       // stacks to report; 0: all
};

// Writes the report on a finished run. 0, or -errno.
int profile_report(FILE *out, const struct profile_run *run, struct zio_prof_table *table, bool json);

#endif
