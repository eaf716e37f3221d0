// SPDX-License-Identifier: Apache-2.0
// See meta.h. A freed record goes to the list of its size; chunks are never given back (records are few and
// small).
#include "libzio/meta.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "libzio/sys.h"

#define META_CHUNK ((size_t)256 << 10)
#define META_MIN_SHIFT 4
#define META_SHIFTS 34

struct freed {
    struct freed *next;
};
static struct freed *lists[META_SHIFTS];
static char *bump, *bump_end;

void *
meta_map(size_t bytes)
{
    long p = zsys6(SYS_mmap, 0, (long)bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p < 0 && p > -4096 ? NULL : (void *)p;
}

static unsigned
shift_of(size_t bytes)
{
    unsigned s = META_MIN_SHIFT;

    while (((size_t)1 << s) < bytes)
        s++;
    return s;
}

void *
meta_alloc(size_t bytes)
{
    unsigned s = shift_of(bytes);
    size_t size = (size_t)1 << s;
    struct freed *f;
    void *p;

    if (s >= META_SHIFTS)
        return NULL;
    f = lists[s];
    if (f) {
        lists[s] = f->next;
        memset(f, 0, size);
        return f;
    }
    if (size > META_CHUNK / 4)
        return meta_map(size);
    if ((size_t)(bump_end - bump) < size) {
        char *c = meta_map(META_CHUNK);

        if (!c)
            return NULL;
        bump = c;
        bump_end = c + META_CHUNK;
    }
    p = bump;
    bump += size;
    return p;
}

void
meta_free(void *p, size_t bytes)
{
    unsigned s = shift_of(bytes);
    struct freed *f = p;

    if (!p)
        return;
    f->next = lists[s];
    lists[s] = f;
}
