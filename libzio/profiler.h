// SPDX-License-Identifier: Apache-2.0
// The table that libzio-profile.so fills and `zio profile` reads: one memfd, owned by `zio profile`, mapped
// shared by every profiled process. Nothing in it is a pointer, and nothing is ever removed, so that it needs
// no lock, outlives every profiled process however that ends, and is readable at any moment.
//
// Writers: any thread of any profiled process. An entry is claimed by a compare-and-swap of its key from 0;
// whoever claimed it fills the rest and then sets `ready` (release; the reader's acquire pairs with it).
// Counts are added with relaxed atomics, also before the entry is ready. An entry that never gets ready
// belonged to a process that was killed in between: its counts hold, its stack is unknown.
#ifndef ZIO_LIBZIO_PROFILER_H
#define ZIO_LIBZIO_PROFILER_H

#include <stdatomic.h>
#include <stdint.h>

#define ZIO_PROF_ENV "ZIO_PROFILE" // the table's path, for the preloaded library
#define ZIO_PROF_MAGIC 0x5a494f50u // "ZIOP"
#define ZIO_PROF_VERSION 1u
#define ZIO_PROF_STACKS 8192u  // a power of two
#define ZIO_PROF_MODULES 2048u // a power of two
#define ZIO_PROF_FRAMES 40u
#define ZIO_PROF_BUCKETS 48u // bucket b: copies of 2^b to 2^(b+1)-1 bytes; the last takes what is larger
#define ZIO_PROF_PATH 504u
#define ZIO_PROF_NO_MODULE UINT32_MAX

// An object file that some frame lies in.
struct zio_prof_module {
    _Atomic uint64_t key;   // hash of the path; 0: free
    _Atomic uint32_t ready; // path is written
    char path[ZIO_PROF_PATH];
};

// What one call stack copied.
struct zio_prof_stack {
    _Atomic uint64_t key;   // hash of (module, offset) of every frame; 0: free
    _Atomic uint32_t ready; // depth, module and offset are written
    uint32_t depth;         // frames, innermost (the caller of memcpy) first
    _Atomic uint64_t max;   // bytes of the largest copy
    _Atomic uint64_t nmin;  // UINT64_MAX - bytes of the smallest copy (so that 0 is "none yet")
    struct {
        _Atomic uint64_t copies;
        _Atomic uint64_t bytes;
        _Atomic uint64_t ticks; // time-stamp counter ticks spent inside memcpy, page faults included
    } size[ZIO_PROF_BUCKETS];
    uint32_t module[ZIO_PROF_FRAMES]; // index, or ZIO_PROF_NO_MODULE (generated code)
    uint64_t offset[ZIO_PROF_FRAMES]; // the return address, as the object file numbers addresses
};

struct zio_prof_table {
    uint32_t magic;                   // ZIO_PROF_MAGIC, checked first
    uint32_t version;                 // ZIO_PROF_VERSION, checked second
    uint64_t size;                    // bytes of this struct
    uint64_t minimum;                 // smallest copy recorded, bytes; set by zio profile
    _Atomic uint64_t not_started;     // zio profile's child could not execute the program
    _Atomic uint64_t processes;       // program images that were profiled
    _Atomic uint64_t overflow_copies; // copies whose stack found no room in the table
    _Atomic uint64_t overflow_bytes;
    _Atomic uint64_t nested_copies; // copies from a signal handler that interrupted the recording of another
    _Atomic uint64_t nested_bytes;
    _Atomic uint64_t record_ticks; // ticks spent recording
    struct zio_prof_module modules[ZIO_PROF_MODULES];
    struct zio_prof_stack stacks[ZIO_PROF_STACKS];
};

#endif
