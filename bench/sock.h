// SPDX-License-Identifier: Apache-2.0
// zio-bench sock: what its files share.
#ifndef ZIO_BENCH_SOCK_H
#define ZIO_BENCH_SOCK_H

#include <jansson.h>
#include <stdint.h>

// Adds the rows of real programs. What is not installed is added to `skipped`.
void sock_apps(json_t *result, json_t *skipped);

// Writes `zio run --disable --sockmap --` in front of argv, into out (at least n + 6 pointers), or, plain,
// argv alone.
void sock_argv(const char **out, const char *const *argv, int joined);

// How many connections were joined so far; 0 when nothing is joined.
uint64_t sock_joined(void);

#endif
