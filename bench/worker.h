// SPDX-License-Identifier: Apache-2.0
// The worker's side: an ordinary program that knows nothing of zIO. Everything here is what runs plain and
// preloaded.
#ifndef ZIO_BENCH_WORKER_H
#define ZIO_BENCH_WORKER_H

#include <stddef.h>
#include <stdint.h>

#include "bench/wire.h"

// The main function of `zio-bench --worker`: answers requests until the control socket closes. Returns an
// exit code.
int worker_main(void);

// One kind of worker. Each returns 0 or an errno value, with a sentence in p->text where that helps.
struct wkind_ops {
    int (*setup)(const struct wreq *q, struct wrep *p);
    int (*verify)(const struct wreq *q, struct wrep *p);
    int (*slice)(const struct wreq *q, struct wrep *p);
};

extern const struct wkind_ops worker_copy, worker_alloc, worker_micro, worker_table, worker_fs, worker_sock;

// Serves the echo connection until the client closes it. Returns an exit code.
int worker_echo(const struct wreq *q, int fd);

// One load per 64 bytes of n bytes at p, so that every cache line is read. The sum goes where the compiler
// must put it.
void touch_lines(const void *p, size_t n);

// Repeats op(arg) for about ns: p->ops and p->ns. Looks at the clock once every so many operations that the
// look is lost in them.
int repeat(int (*op)(void *arg), void *arg, uint64_t ns, struct wrep *p);

#endif
