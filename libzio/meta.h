// SPDX-License-Identifier: Apache-2.0
// Memory for zIO's own records: never from malloc (it is hooked), never given to the program. Power-of-two
// sizes, free lists, bump allocation out of mapped chunks. All under the engine's lock.
#ifndef ZIO_META_H
#define ZIO_META_H

#include <stddef.h>

void *meta_alloc(size_t bytes); // zeroed, 16-byte aligned; NULL when out of memory
void meta_free(void *p, size_t bytes);
void *meta_map(size_t bytes); // a large zeroed table, pages on demand; NULL when out of memory

#endif
