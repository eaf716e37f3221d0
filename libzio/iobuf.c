// SPDX-License-Identifier: Apache-2.0
// See iobuf.h.
#include "libzio/iobuf.h"

#include <errno.h>

#include "libzio/copy.h"
#include "libzio/policy.h"
#include "libzio/real.h"
#include "libzio/zio.h"

#define IN_ARENA_MIN 2048 // smallest receive into absent arena memory that avoids a fault

// Present memory gives its pages away only where the policy hopes to get more back.
static bool
donate(struct area **ap, uintptr_t buf, size_t n, uint32_t site)
{
    struct area *a = *ap;
    size_t pages = (zpage_up(buf + n) - zpage_down(buf)) >> ZPAGE_SHIFT;
    uint32_t p0, p1;

    if (n < zio_cfg.threshold)
        return false;
    if (!policy_try(site, policy_move_ns(pages) + (a ? 0 : policy_costs.area_setup), policy_copy_ns(pages),
                    zio_cfg.always))
        return false;
    if (!a)
        a = area_make(zpage_down(buf), zpage_up(buf + n));
    if (!a || area_track(a) < 0)
        return false;
    *ap = a;
    p0 = area_page(a, zpage_up(buf));
    p1 = area_page(a, zpage_down(buf + n));
    while (p0 < p1) {
        uint32_t i = segmap_find(&a->map, p0), stop = min_of(p1, segmap_end(&a->map, i));

        // Stolen, not discarded: a short receive must leave the old bytes behind it.
        if (a->map.v[i].kind == SEG_PRESENT && stop - p0 >= 8) {
            struct block *b = area_steal(a, p0, stop);

            if (!b)
                return false;
            b->site = site;
            block_release(b);
            a->site = site;
            a->faults = 0;
        }
        p0 = stop;
    }
    return true;
}

static struct block *
choose(struct inbuf *in)
{
    struct area *a = area_at(in->buf);
    uint32_t p0, p1, present;
    size_t page_off = in->buf & ZPAGE_MASK;
    struct block *b;
    struct seg *g;

    if (area_stale(in->buf))
        return NULL;
    if (a && (a->noelide || !area_covers(a, in->buf, in->n)))
        return NULL;
    if (a && a->arena && a->fresh && !a->tracked && in->n >= zio_cfg.threshold &&
        area_peek_missing(a, area_page(a, in->buf), area_page(a, in->buf + in->n - 1) + 1) &&
        area_track(a) < 0)
        return NULL;
    if (!a || !a->tracked) {
        if (!donate(&a, in->buf, in->n, in->site))
            return NULL;
    }
    p0 = area_page(a, in->buf);
    p1 = area_page(a, in->buf + in->n - 1) + 1;
    present = area_present(a, p0, p1);
    // Where some pages are missing, a block is cheaper than their faults, whatever the policy thinks of the
    // others.
    if (present > 2 + (p1 - p0) / 4 && !donate(&a, in->buf, in->n, in->site) && present == p1 - p0)
        return NULL;
    // In place, when nothing else refers to the block that the buffer's first page is in.
    p0 = area_page(a, in->buf);
    g = &a->map.v[segmap_find(&a->map, p0)];
    if (g->kind == SEG_DATA) {
        uint64_t off = seg_off(g, p0);

        b = g->blk;
        if ((off & ZPAGE_MASK) == 0 && block_exclusive(b, area_addr(a, p0) - off) &&
            off + page_off + in->n <= (size_t)b->npages << ZPAGE_SHIFT) {
            in->off = off + page_off;
            in->inplace = true;
            b->filling++;
            block_hold(b);
            return b;
        }
    }
    b = block_get(in->n + page_off, false);
    if (b) {
        in->off = page_off;
        b->site = in->site;
    }
    return b;
}

void *
inbuf_begin(struct inbuf *in, void *buf, size_t n, uintptr_t ra)
{
    struct zio_guard g;
    bool arena = vm_contains(&arena_vm, (uintptr_t)buf);

    in->b = NULL;
    in->inplace = false;
    if (!zio_on() || n < IN_ARENA_MIN || (!arena && n < zio_cfg.threshold) || (ssize_t)n < 0)
        return buf;
    if (atomic_load_explicit(&zio_state_now, memory_order_relaxed) == ZIO_STATE_READY) {
        int saved = errno, r = n >= zio_cfg.threshold ? zio_start() : -1;

        errno = saved;
        if (r < 0)
            return buf;
    }
    in->buf = (uintptr_t)buf;
    in->n = n;
    zio_lock(&g);
    in->site = policy_site(ra);
    in->b = zio_on() && !zio_paused ? choose(in) : NULL;
    policy_note(in->site, in->b != NULL);
    zio_unlock(&g);
    return in->b ? (void *)(in->b->base + in->off) : buf;
}

void
inbuf_end(struct inbuf *in, ssize_t got)
{
    struct deferred df;
    struct zio_guard g;
    struct block *b = in->b;

    if (!b)
        return;
    df.n = 0;
    df.holds = false;
    zio_lock(&g);
    if (in->inplace)
        b->filling--;
    if (got > 0) {
        size_t n = min_of((size_t)got, in->n), kept;

        block_wrote(b, in->off + n);
        kept = copy_deliver(in->buf, b, in->off, n, in->site, &df);
        zio_count(recv_block_calls, 1);
        zio_count(recv_block_bytes, kept);
    }
    block_release(b);
    area_collect_if_due();
    zio_unlock(&g);
    in->b = NULL;
    if (df.n) {
        int saved = errno;

        deferred_run(&df);
        errno = saved;
    }
}

static bool
add_locked(struct outbuf *o, uintptr_t s, size_t n)
{
    struct area *a = area_at(s);

    if (!a || !a->tracked || !a->map.absent || !area_covers(a, s, n) || area_stale(s)) {
        if (o->niov == OUT_MAX)
            return false;
        o->iov[o->niov++] = (struct iovec){(void *)s, n};
        return true;
    }
    while (n) {
        uint32_t page = area_page(a, s), i = segmap_find(&a->map, page);
        struct seg *g = &a->map.v[i];
        size_t len = min_of(n, area_addr(a, segmap_end(&a->map, i)) - s);
        uintptr_t at = s;

        if (o->niov == OUT_MAX || o->nholds == OUT_MAX)
            return false;
        if (g->kind == SEG_DATA) {
            at = g->blk->base + g->off + (s - area_addr(a, g->page));
            block_hold(g->blk);
            o->hold[o->nholds++] = g->blk;
            o->skewed |= ((at ^ s) & 511) != 0;
        }
        if (o->niov && (uintptr_t)o->iov[o->niov - 1].iov_base + o->iov[o->niov - 1].iov_len == at &&
            g->kind == SEG_DATA && o->nholds > 1 && o->hold[o->nholds - 2] == g->blk)
            o->iov[o->niov - 1].iov_len += len;
        else
            o->iov[o->niov++] = (struct iovec){(void *)at, len};
        s += len;
        n -= len;
    }
    return true;
}

bool
outbuf_begin(struct outbuf *o, const void *buf, size_t n)
{
    struct zio_guard g;
    bool ok;

    o->niov = o->nholds = 0;
    o->skewed = false;
    // One byte of a page may be absent as well as a megabyte; below a quarter page the kernel's fault is
    // cheap enough.
    if (n < 1024 || !area_maybe_absent((uintptr_t)buf) || !zio_on())
        return false;
    zio_lock(&g);
    ok = add_locked(o, (uintptr_t)buf, n) && o->nholds > 0;
    if (ok) {
        zio_count(send_block_calls, 1);
        zio_count(send_block_bytes, n);
    }
    zio_unlock(&g);
    if (!ok)
        outbuf_end(o);
    return ok;
}

bool
outbuf_add(struct outbuf *o, const void *buf, size_t n)
{
    struct zio_guard g;
    int niov = o->niov, last = niov;
    size_t lastlen = niov ? o->iov[niov - 1].iov_len : 0;
    bool ok;

    if (o->niov == OUT_MAX)
        return false;
    if (!area_maybe_absent((uintptr_t)buf) || !zio_on()) {
        o->iov[o->niov++] = (struct iovec){(void *)buf, n};
        return true;
    }
    zio_lock(&g);
    ok = n == 0 || add_locked(o, (uintptr_t)buf, n);
    zio_unlock(&g);
    if (ok)
        return true;
    o->niov = last; // the holds stay until the end: harmless
    if (niov)
        o->iov[niov - 1].iov_len = lastlen;
    return false;
}

void
outbuf_end(struct outbuf *o)
{
    struct zio_guard g;

    if (o->nholds == 0)
        return;
    zio_lock(&g);
    while (o->nholds)
        block_release(o->hold[--o->nholds]);
    zio_unlock(&g);
}
