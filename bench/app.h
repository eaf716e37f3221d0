// SPDX-License-Identifier: Apache-2.0
// The programs of `zio-bench app`. Each function measures one program, plain and under libzio.so in turn,
// adds its rows to the result, and returns 0, or -ENOENT when the program (named in `missing`) is not
// installed.
#ifndef ZIO_BENCH_APP_H
#define ZIO_BENCH_APP_H

#include <jansson.h>

#include "bench/prog.h"

struct app_ctx {
    json_t *result;
    const char *dir;   // temporary directory of this run
    char missing[128]; // what is not installed
};

int app_redis(struct app_ctx *a);
int app_nginx(struct app_ctx *a);
int app_haproxy(struct app_ctx *a);
int app_gzip(struct app_ctx *a);
int app_sort(struct app_ctx *a);
int app_sqlite3(struct app_ctx *a);
int app_python3(struct app_ctx *a);
int app_tar(struct app_ctx *a);

// The path of a program; or NULL with a->missing set.
const char *app_program(struct app_ctx *a, const char *name, char *out);

// {"app", "op", "value"}: a row's key.
json_t *app_key(const char *app, const char *op, uint64_t value);

// Writes n bytes of pattern to dir/name. 0 or -errno.
int app_file(const char *dir, const char *name, uint64_t n, uint64_t seed);
// Whether two files hold the same bytes: 0, 1 when they differ, or -errno.
int app_same(const char *a, const char *b);

#endif
