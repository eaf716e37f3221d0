// SPDX-License-Identifier: Apache-2.0
// The hooked memcpy family. Its small case is a compare and a jump.
#ifndef ZIO_MEMOPS_H
#define ZIO_MEMOPS_H

#include <stddef.h>

// Copies shorter than this go straight to the C library. SIZE_MAX while nothing is elided.
extern size_t memops_gate;

void memops_init(void); // after zio_real_init

#endif
