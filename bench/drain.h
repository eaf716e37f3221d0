// SPDX-License-Identifier: Apache-2.0
// Asking a worker that sends what it works on: what it sends is received here meanwhile, to the last byte.
#ifndef ZIO_BENCH_DRAIN_H
#define ZIO_BENCH_DRAIN_H

#include "bench/proc.h"

// worker_call() for such a worker. Each of its operations sends `each` bytes; 0 where it sends nothing.
int worker_call_draining(struct worker *w, const struct wreq *q, struct wrep *p, uint64_t each);

#endif
