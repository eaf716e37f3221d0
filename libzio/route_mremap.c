// SPDX-License-Identifier: Apache-2.0
// mremap of routed files. Shared mappings are made anew where they go, and the old ones go away: the pages
// are the file's. Private ones may have pages of their own, which are moved.
#include <errno.h>
#include <sys/mman.h>

#include "libzio/hooks_mem.h"
#include "libzio/real.h"
#include "libzio/route_map.h"

static void *
fail(int err)
{
    errno = -err;
    return MAP_FAILED;
}

// As mm/mremap.c: check_mremap_params and what follows, for file mappings.
static int
check(uintptr_t old, size_t oldlen, size_t newlen, int flags, uintptr_t to, const struct rmap *m)
{
    if (flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED) || (flags & MREMAP_FIXED && !(flags & MREMAP_MAYMOVE)))
        return -EINVAL;
    if (old & ZPAGE_MASK || newlen == 0)
        return -EINVAL;
    if (flags & MREMAP_FIXED && (to & ZPAGE_MASK || (to < old + oldlen && old < to + newlen)))
        return -EINVAL;
    if (m->start != old || m->end < old + oldlen)
        return -EFAULT;
    if (oldlen == 0 && !(m->flags & RMAP_SHARED))
        return -EINVAL;
    if (m->offset + newlen < m->offset || m->offset + newlen > INT64_MAX)
        return -EINVAL;
    return 0;
}

// The same file where m ends, if nobody is there.
static int
grow_here(const struct rmap *m, size_t more)
{
    struct rmap tail = *m;
    void *p = hook_reserve((void *)m->end, more, MAP_FIXED_NOREPLACE);
    int err;

    if (p == MAP_FAILED)
        return -ENOMEM;
    tail.start = (uintptr_t)p;
    tail.end = tail.start + more;
    tail.offset += m->end - m->start;
    err = rmap_place(&tail, tail.start, tail.end);
    if (!err) {
        atomic_fetch_add(&tail.file->refs, 1);
        err = rmap_add(&tail);
        if (err)
            rmap_file_put(tail.file);
    }
    if (err)
        real.munmap(p, more);
    return err;
}

// Private pages, to a place that is reserved. In one piece where the kernel can, else page by page.
static int
move_pages(uintptr_t from, uintptr_t to, size_t len)
{
    if (real_mremap((void *)from, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)to) != MAP_FAILED)
        return 0;
    for (size_t at = 0; at < len; at += ZPAGE)
        if (real_mremap((void *)(from + at), ZPAGE, ZPAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
                        (void *)(to + at)) == MAP_FAILED)
            return -errno;
    return 0;
}

static int
move(const struct rmap *m, uintptr_t to, size_t newlen)
{
    size_t oldlen = m->end - m->start, same = oldlen < newlen ? oldlen : newlen;
    struct rmap now = *m, old;
    int err = 0;

    now.start = to;
    now.end = to + newlen;
    if (m->flags & RMAP_SHARED || oldlen == 0)
        same = 0;
    err = rmap_place(&now, to + same, now.end);
    if (!err && same)
        err = move_pages(m->start, to, same);
    if (err)
        return err;
    atomic_fetch_add(&now.file->refs, 1);
    err = rmap_add(&now);
    if (err) {
        rmap_file_put(now.file);
        return err;
    }
    while (oldlen && rmap_take(m->start, m->end, &old))
        rmap_file_put(old.file);
    if (oldlen)
        real.munmap((void *)m->start, oldlen);
    return 0;
}

static void *
remap(const struct rmap *m, size_t newlen, int flags, void *to)
{
    size_t oldlen = m->end - m->start;
    void *p = to;
    int err;

    if (!(flags & MREMAP_FIXED) && oldlen) {
        if (newlen < oldlen)
            return munmap((void *)(m->start + newlen), oldlen - newlen) == 0 ? (void *)m->start : MAP_FAILED;
        if (newlen == oldlen || grow_here(m, newlen - oldlen) == 0)
            return (void *)m->start;
    }
    if (!(flags & MREMAP_MAYMOVE))
        return fail(-ENOMEM);
    if (flags & MREMAP_FIXED)
        munmap(to, newlen);
    p = hook_reserve(p, newlen, flags & MREMAP_FIXED ? MAP_FIXED_NOREPLACE : 0);
    if (p == MAP_FAILED)
        return p;
    err = move(m, (uintptr_t)p, newlen);
    if (err) {
        real.munmap(p, newlen);
        return fail(err);
    }
    return p;
}

void *
route_mremap(void *old, size_t oldlen, size_t newlen, int flags, void *to, bool *ours)
{
    uintptr_t o = (uintptr_t)old;
    struct rmap m;
    void *p;
    int err;

    oldlen = zpage_up(oldlen);
    newlen = zpage_up(newlen);
    *ours = rmap_next(zpage_down(o), zpage_down(o) + (oldlen ? oldlen : ZPAGE), &m);
    if (!*ours)
        return MAP_FAILED;
    err = check(o, oldlen, newlen, flags, (uintptr_t)to, &m);
    if (oldlen == 0)
        m.end = m.start;
    p = err ? fail(err) : remap(&m, newlen, flags, to);
    rmap_file_put(m.file);
    return p;
}
