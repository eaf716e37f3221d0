// SPDX-License-Identifier: Apache-2.0
// Recording of copies by call stack, called from the hooks of libzio-profile.so. Lock-free, without malloc,
// and safe in signal handlers; the table is described in profiler.h.
#ifndef ZIO_LIBZIO_PROFILER_RECORD_H
#define ZIO_LIBZIO_PROFILER_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "libzio/profiler.h"

// Maps the table at `path` (NULL: none). The smallest size to record, in bytes; SIZE_MAX if nothing can be
// recorded.
size_t profiler_start(const char *path);

// Records a copy of n bytes that began at time-stamp `start` and has just ended; `caller` is the return
// address of the hook. Keeps errno.
void profiler_record(size_t n, uint64_t start, void *caller);

#endif
