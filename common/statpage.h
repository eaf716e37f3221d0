// SPDX-License-Identifier: Apache-2.0
// The page of live counters that a process under libzio shares with `zio stat`.
// It is a memfd named "zio-stat" that the process keeps open (so that it shows as "/memfd:zio-stat (deleted)"
// among the links of /proc/PID/fd and goes away with the process, even by kill -9). A reader maps it
// MAP_SHARED, PROT_READ. Writer: the process, with relaxed atomics. Readers see each counter whole, not a
// snapshot of all of them.
#ifndef ZIO_COMMON_STATPAGE_H
#define ZIO_COMMON_STATPAGE_H

#include <stdint.h>

#include "common/counters.h"

#define ZIO_STAT_NAME "zio-stat"
#define ZIO_STAT_MAGIC 0x5a494f31u // "ZIO1"
#define ZIO_STAT_VERSION 1u
#define ZIO_STAT_SIZE 4096u

// Whether copies are elided in this process.
enum zio_state {
    ZIO_STATE_STARTING = 0,
    ZIO_STATE_READY = 1,    // elision is possible; nothing was elided yet
    ZIO_STATE_ACTIVE = 2,   // elision has begun, the fault helper runs
    ZIO_STATE_OFF = 3,      // elision is off, see reason
    ZIO_STATE_DISABLED = 4, // ZIO_DISABLE=1
};

struct zio_statpage {
    uint32_t magic;     // ZIO_STAT_MAGIC, checked first
    uint32_t version;   // ZIO_STAT_VERSION, checked second
    uint32_t size;      // bytes of this struct as the writer knows it
    uint32_t ncounters; // ZIO_C_COUNT as the writer knows it
    int32_t pid;        // the writing process
    uint32_t state;     // enum zio_state
    uint64_t start_ns;  // CLOCK_MONOTONIC at start
    uint64_t threshold; // bytes; the smallest copy that is considered
    char reason[160];   // why elision is off, or ""
    char program[64];   // the program's short name
    uint64_t counter[ZIO_C_COUNT];
};

_Static_assert(sizeof(struct zio_statpage) <= ZIO_STAT_SIZE, "the stat page is one page");

#endif
