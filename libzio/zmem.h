// SPDX-License-Identifier: Apache-2.0
// Copies of libzio's own records. memcpy and memmove are hooks of ours: called under the lock with a page or
// more, they would wait for themselves.
#ifndef ZIO_ZMEM_H
#define ZIO_ZMEM_H

#include <stddef.h>
#include <stdint.h>

static inline void
zmem_copy(void *dst, const void *src, size_t n)
{
    __asm__ volatile("rep movsb" : "+D"(dst), "+S"(src), "+c"(n) : : "memory");
}

static inline void
zmem_move(void *dst, const void *src, size_t n)
{
    unsigned char *d = (unsigned char *)dst + n - 1;
    const unsigned char *s = (const unsigned char *)src + n - 1;

    if ((uintptr_t)dst - (uintptr_t)src >= n) {
        zmem_copy(dst, src, n);
        return;
    }
    __asm__ volatile("std\n\trep movsb\n\tcld" : "+D"(d), "+S"(s), "+c"(n) : : "memory");
}

#endif
