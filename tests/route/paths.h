// SPDX-License-Identifier: Apache-2.0
// Programs whose trace must be the same on ext4 and on a routed volume (paths.sh): each call is printed with
// its result and errno. What differs by nature (device and inode numbers, sizes of directories, where the
// root lies) is not printed.
#ifndef TESTS_ROUTE_PATHS_H
#define TESTS_ROUTE_PATHS_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

extern const char *root; // the directory to work in, absolute

// T(call): "call = result" or "call = -1 ERRNO".
#define T(call) (errno = 0, trace_call(#call, (long)(call)))
long trace_call(const char *text, long result);
// S(call): of one that gives a string (or NULL).
#define S(call) (errno = 0, trace_string(#call, (call)))
const char *trace_string(const char *text, const char *result);
// TB(text, bytes): what is in a buffer.
void trace_bytes(const char *text, const char *buf, long n);
void trace(const char *format, ...) __attribute__((format(printf, 1, 2)));

const char *P(const char *name); // root/name: absolute; one of a few buffers
void show(const char *path);     // lstat
void show_stat(const char *text, const struct stat *st);
void put(const char *path, const char *text); // makes a file with these bytes
void show_file(const char *path);             // its bytes

#define FAMILIES(X)                                                                                          \
    X(names)                                                                                                 \
    X(attr)                                                                                                  \
    X(xattr)                                                                                                 \
    X(misc) X(dirs) X(tree) X(fts) X(temp) X(stdio) X(std) X(magic) X(wide) X(border) X(aio) X(raw) X(fault)
#define X(name) void family_##name(void);
FAMILIES(X)
#undef X

#endif
