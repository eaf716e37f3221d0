// SPDX-License-Identifier: Apache-2.0
// Reading the live counters of a process under libzio (common/statpage.h).
#ifndef ZIO_BENCH_ZSTAT_H
#define ZIO_BENCH_ZSTAT_H

#include <jansson.h>
#include <sys/types.h>

#include "common/statpage.h"

// Copies pid's page into *out. 0; -ENOENT when the process has none; another -errno.
int zstat_read(pid_t pid, struct zio_statpage *out);

// What the counters grew by from a to b: {name: value} of those that are not 0; gauges as they are in b. New
// reference.
json_t *zstat_delta(const struct zio_statpage *a, const struct zio_statpage *b);

// CPU time of the processes that zIO runs beside pid (its children, and ours of that name), in ns.
uint64_t zstat_helper_ns(pid_t pid);

#endif
