// SPDX-License-Identifier: Apache-2.0
// The arena: large allocations on pages of their own, whose absent pages are recycled by bookkeeping.
// Everything smaller, and everything when the program brings its own malloc in front of ours, goes to the
// next allocator.
#ifndef ZIO_ALLOC_H
#define ZIO_ALLOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void alloc_init(void);          // decides whether the arena serves this process
void alloc_off(void);           // no new allocations from the arena; the live ones stay valid
size_t alloc_trim(size_t keep); // gives free slots' pages back; under the lock

#endif
