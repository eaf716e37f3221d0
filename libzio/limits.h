// SPDX-License-Identifier: Apache-2.0
// How much memory zIO may use: shares of the machine's, or of the cgroup's limit when that is less.
#ifndef ZIO_LIMITS_H
#define ZIO_LIMITS_H

#include <stddef.h>

size_t limits_live(void);   // bytes of blocks that the program's memory may refer to
size_t limits_cached(void); // bytes of free pages kept for the next block

#endif
