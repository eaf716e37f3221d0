// SPDX-License-Identifier: Apache-2.0
// What every file of zio-bench shares: the options of this run, exit codes, and the entry of each
// sub-command.
#ifndef ZIO_BENCH_BENCH_H
#define ZIO_BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

enum bench_exit {
    BENCH_OK = 0,
    BENCH_FAILED = 1,  // bytes differed, a worker died, or a measurement could not be made
    BENCH_SKIPPED = 77 // a needed program is missing: nothing was measured
};

enum { LIST_MAX = 24 };

// A list of numbers given on the command line; n == 0 means "the sub-command's own default".
struct numlist {
    uint64_t v[LIST_MAX];
    unsigned n;
};

// The options, read once by opts.c and constant afterwards.
struct opts {
    const char *bench;     // the sub-command
    const char *plot;      // SVG to write, or NULL
    const char *out;       // report: the directory
    const char *lib;       // absolute path of libzio.so
    const char *policy;    // ZIO_POLICY of the shim runs, or NULL
    const char *threshold; // ZIO_THRESHOLD of the shim runs, or NULL
    const char *dests;     // copy: comma list, or NULL for all
    const char *touches;   // copy: comma list, or NULL for all
    const char *source;    // copy, alloc: "stable", "rewrite" or "recv"
    const char *buffers;   // echo, fault: "reused", "fresh" or NULL for both
    const char *send;      // echo, fault: "write", "send" or "writev"
    const char *recv;      // echo, fault: "loop", "waitall" or "read"
    const char *order;     // fault: "first" or "spread"
    const char *apps;      // app: comma list, or NULL for all
    const char *target;    // fs: a directory, or the URL of a volume; NULL: a temporary directory
    const char *ways;      // fs: comma list, or NULL for all
    const char *rows;      // fs: comma list, or NULL for all
    const char *tree;      // fs: the directory whose copy is untarred
    struct numlist sizes;  // bytes
    struct numlist copies; // echo, fault
    struct numlist pages;  // fault
    uint64_t slice_ns;     // length of one slice
    uint64_t warm_ns;      // warm-up of each variant of a row
    uint64_t size;         // fs: bytes of the large file
    uint64_t million;      // fs: names in one directory; 0: no such rows
    uint64_t ring;   // echo: receive buffers that take turns, but for the copy-free server of comparison
    uint64_t skew;   // echo, fault: bytes by which each buffer's start differs from the one before
    unsigned rounds; // slices of each variant in a row
    int cpu_server;  // where workers and servers run
    int cpu_client;  // where clients, feeders and drains run
    bool slice_given, rounds_given; // --slice, --rounds
    bool json;                      // one JSON document on stdout, nothing else
    bool ceiling;                   // app: redis also with its large copies left out, bytes wrong: the bound
    bool quick;                     // a short run
    bool ordinary;                  // not under SCHED_RR, even where that is allowed
    bool smoke;                     // the tests' run: every path once, no time worth judging
};

extern struct opts opt;

// Each fills the result (result.h) and returns an enum bench_exit.
int run_copy(json_t *result);
int run_echo(json_t *result);
int run_fault(json_t *result);
int run_alloc(json_t *result);
int run_micro(json_t *result);
int run_app(json_t *result);
int run_table(json_t *result);
int run_fs(json_t *result);
int run_sock(json_t *result);
int run_demo(json_t *result);
int run_report(json_t *result);

// True when `name` is a member of the comma separated `list`, or list is NULL.
bool list_has(const char *list, const char *name);

#endif
