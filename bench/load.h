// SPDX-License-Identifier: Apache-2.0
// What else ran on the machine during a measurement, so that a reader can judge its figures.
#ifndef ZIO_BENCH_LOAD_H
#define ZIO_BENCH_LOAD_H

#include <jansson.h>

void load_begin(void);
// {"others_percent", "steal_percent"} of all CPUs' time since load_begin(). A new reference.
json_t *load_end(void);
// Says on standard output that the figures suffered, where they did.
void load_warn(const json_t *load);

#endif
