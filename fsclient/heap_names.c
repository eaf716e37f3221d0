// SPDX-License-Identifier: Apache-2.0
// The C library's names for what heap.c does, within libfsclient.so alone.
#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fsclient/heap.h"

void *
malloc(size_t n)
{
    return heap_malloc(n);
}

void *
calloc(size_t n, size_t size)
{
    return heap_calloc(n, size);
}

void *
aligned_alloc(size_t align, size_t n)
{
    return heap_aligned(align, n);
}

int
posix_memalign(void **out, size_t align, size_t n)
{
    int saved = errno, r;
    void *p = heap_aligned(align, n);

    r = p ? 0 : errno;
    errno = saved;
    if (p)
        *out = p;
    return r;
}

// What the C library allocated for us, by whichever malloc the program has.
static void
give_back(void *p)
{
    void (*theirs)(void *) = (void (*)(void *))(uintptr_t)dlsym(RTLD_DEFAULT, "free");

    if (theirs)
        theirs(p);
}

void
free(void *p)
{
    if (p && !heap_free(p))
        give_back(p);
}

void *
realloc(void *p, size_t n)
{
    size_t had = p ? heap_room(p) : 0;
    void *q;

    if (p && !had) { // the C library's: it stays there
        void *(*theirs)(void *, size_t) =
            (void *(*)(void *, size_t))(uintptr_t)dlsym(RTLD_DEFAULT, "realloc");

        return theirs ? theirs(p, n) : NULL;
    }
    if (p && n <= had && (n > had / 4 || had <= 256))
        return p;
    q = heap_malloc(n);
    if (q && p) {
        memcpy(q, p, n < had ? n : had);
        heap_free(p);
    }
    return q;
}
