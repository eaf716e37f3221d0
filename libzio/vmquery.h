// SPDX-License-Identifier: Apache-2.0
// What the kernel says of a range of the program's memory.
#ifndef ZIO_VMQUERY_H
#define ZIO_VMQUERY_H

#include <stdbool.h>
#include <stdint.h>

// True when [start, end) lies in mappings that are private, anonymous, readable and writable, not executable,
// and not the stack of the process or of the calling thread. Raw calls only.
bool vmquery_elidable(uintptr_t start, uintptr_t end);

// How many mappings [start, end) lies in, when all are elidable; else 0.
unsigned vmquery_pieces(uintptr_t start, uintptr_t end);

#endif
