// SPDX-License-Identifier: Apache-2.0
// The memory of libfsclient.so (heap.c). Any thread, any signal handler, any fork child may call; nothing
// waits.
#ifndef FSCLIENT_HEAP_H
#define FSCLIENT_HEAP_H

#include <stdbool.h>
#include <stddef.h>

// As malloc and its kin: NULL and ENOMEM (a bad alignment: EINVAL). To be given to heap_free.
void *heap_malloc(size_t n);
void *heap_calloc(size_t n, size_t size);
void *heap_aligned(size_t align, size_t n); // align: a power of two up to 64 KiB
// False: not from here. p is not NULL, and 16 readable bytes lie before it, as before all that a malloc gave.
bool heap_free(void *p);
size_t heap_room(void *p); // bytes that may be used; 0: not from here
size_t heap_taken(void);   // bytes of addresses in use, for tests

#endif
