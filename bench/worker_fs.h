// SPDX-License-Identifier: Apache-2.0
// What the fs worker asks of a file system: the program's own calls (worker_fs_posix.c, in zio-bench), or
// libfsclient's (worker_fs_lib.c, in zio-bench-fsc, which is nothing else). The work itself is written once,
// above these.
#ifndef ZIO_BENCH_WORKER_FS_H
#define ZIO_BENCH_WORKER_FS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

#include "bench/wire.h"

// A descriptor, or a pointer to the library's handle.
typedef intptr_t fsio_file;

// Told each name of a directory but "." and "..". Not 0 ends the walk with that.
typedef int (*fsio_each)(void *arg, const char *name, bool dir);

// All return 0 (or a count) or -errno.
struct fsio {
    int (*begin)(const struct wreq *q); // before the first of the others; again for each set-up
    int (*open)(const char *path, int flags, mode_t mode, fsio_file *out);
    int (*close)(fsio_file f);
    ssize_t (*pread)(fsio_file f, void *buf, size_t n, uint64_t at);
    // In order, as read(2) and write(2): `at` is where the calls before have come to.
    ssize_t (*read)(fsio_file f, void *buf, size_t n, uint64_t at);
    ssize_t (*write)(fsio_file f, const void *buf, size_t n, uint64_t at);
    int (*fsync)(fsio_file f);
    int (*stat)(const char *path, struct stat *st);
    int (*mkdir)(const char *path);
    int (*rmdir)(const char *path);
    int (*unlink)(const char *path);
    int (*list)(const char *path, fsio_each fn, void *arg);
};

extern const struct fsio fsio;

// worker_fs_tree.c, above fsio. Names of a directory: p->ops and p->ns, p->aux[0] until the first.
int fs_list(const char *path, struct wrep *p);
// A tree and all below it: p->ops entries, but the top.
int fs_remove_tree(const char *path, struct wrep *p);

static inline uint64_t
clock_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

#endif
