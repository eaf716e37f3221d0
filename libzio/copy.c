// SPDX-License-Identifier: Apache-2.0
// See copy.h. A copy goes through three questions: what of the source is absent already (free to refer to),
// what of the destination is absent (free to refer from), and whether the policy pays for taking the rest out
// of the way. Pages that the program keeps touching stay present and are copied plainly, which is how headers
// settle.
#include "libzio/copy.h"

#include <errno.h>
#include <string.h>

#include "libzio/policy.h"
#include "libzio/real.h"
#include "libzio/zio.h"

#define PLAIN_READS 64
#define UNSHARE_PAGE_NS 300
#define SHORT_RUN 8u // present pages in a row that are copied rather than moved away

enum verdict {
    PLAIN,    // memcpy
    FROM_SRC, // destination present, source absent: memcpy, reading the source's blocks
    THROUGH,  // destination absent, source present: copy into a block, refer to it
    ELIDE,
};

struct job {
    uintptr_t d, s;
    size_t n;
    uintptr_t ra;
    uint32_t site;
    struct area *da, *sa;
    struct deferred *defer;
    struct block *mix; // pages made up of several sources
    uint32_t mix_used;
    bool shared; // pages of the source were not to be had: a fork shared them
    bool settle; // what this call site leaves absent is touched too soon: put the pages in place at once
    size_t elided;
};

// A run of source bytes of one kind.
struct piece {
    enum seg_kind kind;
    struct block *blk;
    uint64_t off;
    uintptr_t addr;
    size_t len;
};

static struct piece
source_piece(const struct area *a, uintptr_t s, size_t max)
{
    struct piece p = {.kind = SEG_PRESENT, .addr = s, .len = max};
    const struct seg *g;
    uint32_t i;

    if (!a || !a->tracked)
        return p;
    i = segmap_find(&a->map, area_page(a, s));
    g = &a->map.v[i];
    p.kind = g->kind;
    p.len = min_of(max, area_addr(a, segmap_end(&a->map, i)) - s);
    if (g->kind == SEG_DATA) {
        p.blk = g->blk;
        p.off = g->off + (s - area_addr(a, g->page));
        p.addr = g->blk->base + p.off;
    }
    return p;
}

uint32_t
area_present(const struct area *a, uint32_t p0, uint32_t p1)
{
    uint32_t sum = 0;

    for (uint32_t i = segmap_find(&a->map, p0); i < a->map.n && a->map.v[i].page < p1; i++)
        if (a->map.v[i].kind == SEG_PRESENT)
            sum += min_of(segmap_end(&a->map, i), p1) - max_of(a->map.v[i].page, p0);
    return sum;
}

static bool
defer_add(struct deferred *d, uintptr_t dst, uintptr_t src, size_t len, struct block *hold)
{
    if (d->n == DEFER_MAX)
        return false;
    d->v[d->n++] = (struct defer){dst, src, len, hold};
    if (hold) {
        block_hold(hold);
        d->holds = true;
    }
    return true;
}

void
deferred_run(struct deferred *d)
{
    struct zio_guard g;

    for (unsigned i = 0; i < d->n; i++)
        real.memmove((void *)d->v[i].dst, (const void *)d->v[i].src, d->v[i].len);
    if (!d->holds)
        return;
    zio_lock(&g);
    for (unsigned i = 0; i < d->n; i++)
        if (d->v[i].hold)
            block_release(d->v[i].hold);
    zio_unlock(&g);
}

// Copies [pos, pos + len) of the job plainly, later. Source bytes that sit in blocks are read there.
static bool
plainly(struct job *j, size_t pos, size_t len)
{
    while (len) {
        struct piece p = source_piece(j->sa, j->s + pos, len);

        if (!defer_add(j->defer, j->d + pos, p.kind == SEG_DATA ? p.addr : j->s + pos, p.len,
                       p.kind == SEG_DATA ? p.blk : NULL))
            return false;
        pos += p.len;
        len -= p.len;
    }
    return true;
}

// What a page held before, for the bytes of it that the copy leaves alone.
static void
old_content(uintptr_t to, const struct seg *g, uint32_t page, size_t from, size_t upto)
{
    if (from >= upto)
        return;
    if (g->kind == SEG_DATA)
        real.memcpy((void *)(to + from), (const void *)(g->blk->base + seg_off(g, page) + from), upto - from);
    else if (g->kind == SEG_ZERO)
        memset((void *)(to + from), 0, upto - from);
}

// One absent destination page that is partly overwritten, or whose new bytes come from several places: it is
// put together in a page of its own. Returns the bytes done, 0 when out of memory.
static size_t
mix_page(struct job *j, size_t pos)
{
    uintptr_t d = j->d + pos;
    uint32_t page = area_page(j->da, d);
    struct seg *g = &j->da->map.v[segmap_find(&j->da->map, page)];
    size_t in = d & ZPAGE_MASK, len = min_of(ZPAGE - in, j->n - pos), done = 0;
    uintptr_t to;

    if (!j->mix || j->mix_used == j->mix->npages) {
        struct block *b = block_get(VM_GRANULE, false);

        if (!b)
            return 0;
        if (j->mix)
            block_release(j->mix);
        j->mix = b;
        j->mix_used = 0;
        b->site = j->site;
    }
    to = j->mix->base + ((uintptr_t)j->mix_used << ZPAGE_SHIFT);
    old_content(to, g, page, 0, in);
    old_content(to, g, page, in + len, ZPAGE);
    while (done < len) {
        struct piece p = source_piece(j->sa, j->s + pos + done, len - done);

        if (p.kind == SEG_ZERO || p.kind == SEG_UNDEF)
            memset((void *)(to + in + done), 0, p.len);
        else
            real.memcpy((void *)(to + in + done), (const void *)p.addr, p.len);
        done += p.len;
    }
    block_wrote(j->mix, (size_t)(j->mix_used + 1) << ZPAGE_SHIFT);
    // A page that is shared with a neighbour is about to be touched (the next append, a terminator): it goes
    // to the program at once, for a sixth of what its fault would cost, and stays there.
    if (len < ZPAGE && area_fill(j->da, page, to))
        return len;
    if (segmap_set(&j->da->map, page, page + 1, SEG_DATA, j->mix, (uint64_t)j->mix_used << ZPAGE_SHIFT) < 0)
        return 0;
    j->mix_used++;
    return len;
}

// The copy proper. Source and destination are tracked where anything of them is absent.
static void
elide(struct job *j)
{
    size_t pos = 0;

    while (pos < j->n) {
        uintptr_t d = j->d + pos;
        uint32_t page = area_page(j->da, d), i = segmap_find(&j->da->map, page);
        struct seg *g = &j->da->map.v[i];
        size_t run = min_of(j->n - pos, area_addr(j->da, segmap_end(&j->da->map, i)) - d), done;

        if (g->kind == SEG_PRESENT) {
            if (!plainly(j, pos, run))
                break;
            pos += run;
            continue;
        }
        if ((d & ZPAGE_MASK) == 0 && run >= ZPAGE) {
            struct piece p = source_piece(j->sa, j->s + pos, run);

            if (p.kind != SEG_PRESENT && p.len >= ZPAGE && !(p.kind == SEG_DATA && p.blk->filling)) {
                done = p.len & ~ZPAGE_MASK;
                if (segmap_set(&j->da->map, page, page + (uint32_t)(done >> ZPAGE_SHIFT), p.kind, p.blk,
                               p.off) < 0)
                    break;
                if (p.kind == SEG_DATA && p.blk->site != j->site)
                    policy_gain(p.blk->site, policy_copy_ns(done >> ZPAGE_SHIFT));
                j->elided += done;
                pos += done;
                continue;
            }
        }
        done = mix_page(j, pos);
        if (!done)
            break;
        pos += done;
    }
    if (j->mix)
        block_release(j->mix);
    if (pos < j->n) { // no room or no memory: the rest plainly, through whatever faults that takes
        struct defer *last = &j->defer->v[DEFER_MAX - 1];

        if (j->defer->n ==
            DEFER_MAX) { // the last entry grows to cover it, from its place in the program's memory
            size_t back = j->d + pos - last->dst;

            if (last->hold)
                block_release(last->hold);
            pos -= back;
            j->defer->n--;
        }
        j->defer->v[j->defer->n++] = (struct defer){j->d + pos, j->s + pos, j->n - pos, NULL};
        zio_count(enomem, 1);
    }
}

// Moves the long present runs of the source's full pages into blocks. False when one of them would not go.
static bool
steal_source(struct job *j)
{
    struct area *a = j->sa;
    uint32_t p = area_page(a, zpage_up(j->s)), end = area_page(a, zpage_down(j->s + j->n));

    while (p < end) {
        uint32_t i = segmap_find(&a->map, p), stop = min_of(end, segmap_end(&a->map, i));

        if (a->map.v[i].kind == SEG_PRESENT && stop - p >= SHORT_RUN) {
            struct block *b = area_steal(a, p, stop);

            if (!b)
                return false;
            b->site = j->site;
            block_release(b);
            a->site = j->site;
            a->faults = 0;
            if (a->map.v[segmap_find(&a->map, p)].kind != SEG_DATA)
                return false;
            i = segmap_find(&a->map, p); // it may have gone only in part
            stop = min_of(end, segmap_end(&a->map, i));
            if (stop < end && a->map.v[i + 1].kind == SEG_PRESENT &&
                segmap_end(&a->map, i + 1) - stop >= SHORT_RUN)
                return false;
        }
        p = stop;
    }
    return true;
}

static void
clear_destination(struct job *j)
{
    struct area *a = j->da;
    uint32_t p = area_page(a, zpage_up(j->d)), end = area_page(a, zpage_down(j->d + j->n));

    while (p < end) {
        uint32_t i = segmap_find(&a->map, p), stop = min_of(end, segmap_end(&a->map, i));

        // The bytes are about to be overwritten: undefined until the copy refers elsewhere.
        if (a->map.v[i].kind == SEG_PRESENT && stop - p >= SHORT_RUN &&
            area_discard(a, p, stop, SEG_UNDEF) < 0)
            return;
        p = stop;
    }
}

// The area that covers the range, if there is one that may be elided.
static struct area *
known(uintptr_t addr, size_t n)
{
    struct area *a = area_at(addr);

    return a && area_covers(a, addr, n) && !a->noelide ? a : NULL;
}

static bool
off_limits(uintptr_t addr)
{
    struct area *a = area_at(addr);

    return a && a->noelide;
}

static bool
is_absent(const struct area *a, uintptr_t addr, size_t n)
{
    uint32_t p0 = area_page(a, addr), p1 = area_page(a, addr + n - 1) + 1, present;

    if (!a->tracked)
        return a->fresh && area_peek_missing(a, p0, p1);
    present = area_present(a, p0, p1);
    return present <= 2 + (p1 - p0) / 4;
}

static bool
any_missing(const struct area *a, uintptr_t addr, size_t n)
{
    return !segmap_all(&a->map, area_page(a, addr), area_page(a, addr + n - 1) + 1, SEG_PRESENT);
}

static bool
become_tracked(struct area **a, uintptr_t addr, size_t n)
{
    if (!*a)
        *a = area_make(zpage_down(addr), zpage_up(addr + n));
    return *a && area_track(*a) == 0;
}

static enum verdict
decide(struct job *j)
{
    size_t pages = (zpage_down(j->d + j->n) - zpage_up(j->d)) >> ZPAGE_SHIFT;
    bool src_absent, dst_absent, leave, always = zio_cfg.always;
    uint64_t cost = 0, plain = policy_copy_ns(j->n >> ZPAGE_SHIFT);
    // What is left absent at no cost has an account of its own: only faults can put it in debt.
    uint32_t unpaid = policy_site_of_free(j->ra);

    if (area_stale(j->d) || area_stale(j->s))
        return PLAIN;
    j->da = known(j->d, j->n);
    j->sa = known(j->s, j->n);
    src_absent = j->sa && j->sa->tracked && is_absent(j->sa, j->s, j->n);
    dst_absent = j->da && is_absent(j->da, j->d, j->n);
    if (off_limits(j->d) || zpage_down(j->d + j->n) <= zpage_up(j->d))
        return src_absent ? FROM_SRC : PLAIN;
    if (off_limits(j->s))
        return PLAIN;
    if (!dst_absent)
        cost += policy_move_ns(pages) + (j->da ? j->da->tracked ? 0 : 3000 : policy_costs.area_setup);
    if (!src_absent)
        cost += policy_move_ns(pages) + (j->sa ? j->sa->tracked ? 0 : 3000 : policy_costs.area_setup);
    leave = policy_try(unpaid, 0, plain, always);
    if (!cost)
        j->site = unpaid;
    if (cost ? !policy_try(j->site, cost, plain, always) : !leave) {
        zio_count(copies_policy_plain, 1);
        j->settle = !leave;
        j->site = unpaid;
        // Missing destination pages are cheaper to refer or to copy into blocks than to fault in, one by one.
        if (j->da && j->da->tracked && any_missing(j->da, j->d, j->n))
            return src_absent ? ELIDE : THROUGH;
        return src_absent                                                        ? FROM_SRC
               : dst_absent && (j->da->tracked || j->n >= zio_cfg.threshold * 4) ? THROUGH
                                                                                 : PLAIN;
    }
    if (!become_tracked(&j->da, j->d, j->n))
        goto impossible;
    j->sa = known(j->s, j->n); // making the other may have joined areas
    if (!src_absent) {
        if (!become_tracked(&j->sa, j->s, j->n) || !steal_source(j)) {
            j->shared = j->sa && j->sa->shared;
            j->da = known(j->d, j->n);
            if (dst_absent && j->da && j->da->tracked)
                return THROUGH;
            goto impossible;
        }
        j->da = known(j->d, j->n);
    }
    if (!j->da || !j->da->tracked)
        goto impossible;
    // Whoever made the pages absent pays for their faults: not who finds them so.
    if (!dst_absent || !j->da->site) {
        j->da->site = j->site;
        j->da->faults = 0;
    }
    if (!dst_absent)
        clear_destination(j);
    return ELIDE;
impossible:
    policy_charge(j->site, policy_costs.area_setup);
    zio_count(copies_fallback_plain, 1);
    return src_absent ? FROM_SRC : PLAIN;
}

size_t
copy_deliver(uintptr_t dst, struct block *b, size_t off, size_t n, uint32_t site, struct deferred *df)
{
    struct area *a = known(dst, n);
    uintptr_t end = dst + n;
    size_t kept = 0;

    if (!a || !a->tracked || !zio_on() || zio_paused) {
        defer_add(df, dst, b->base + off, n, b);
        return 0;
    }
    off -= dst & ZPAGE_MASK;
    for (uint32_t p = area_page(a, dst); area_addr(a, p) < end;) {
        uint32_t i = segmap_find(&a->map, p), last = area_page(a, end - 1) + 1;
        uint32_t stop = min_of(segmap_end(&a->map, i), last);
        struct seg g = a->map.v[i];
        uintptr_t lo = max_of(dst, area_addr(a, p)), hi = min_of(end, area_addr(a, stop));
        size_t poff = off + (area_addr(a, p) - zpage_down(dst)); // offset in the block of page p

        if (g.kind == SEG_DATA && g.blk == b && seg_off(&g, p) == poff) {
            kept += hi - lo; // received in place
        } else if (g.kind == SEG_PRESENT) {
            if (!defer_add(df, lo, b->base + poff + (lo - area_addr(a, p)), hi - lo, b)) {
                // Dozens of scattered pages: the last entry takes the rest.
                struct defer *d = &df->v[DEFER_MAX - 1];

                d->len = end - d->dst;
                return kept;
            }
        } else {
            size_t head = lo - area_addr(a, p), tail = area_addr(a, stop) - hi;

            // The block's own pages take over the bytes around what was received.
            old_content(b->base + poff, &g, p, 0, head);
            if (tail)
                old_content(b->base + poff + ((size_t)(stop - 1 - p) << ZPAGE_SHIFT), &g, stop - 1,
                            ZPAGE - tail, ZPAGE);
            block_wrote(b, poff + ((size_t)(stop - p) << ZPAGE_SHIFT));
            if (segmap_set(&a->map, p, stop, SEG_DATA, b, poff) < 0) {
                defer_add(df, lo, b->base + poff + head, end - lo, b);
                return kept;
            }
            kept += hi - lo;
        }
        p = stop;
    }
    if (kept) {
        uint32_t last = area_page(a, end - 1);
        struct seg *g = &a->map.v[segmap_find(&a->map, last)];

        a->tail_page = last;
        if ((end & ZPAGE_MASK) && g->kind == SEG_DATA && g->blk == b && policy_touches_tail(site))
            area_fill(a, last, b->base + seg_off(g, last));
    }
    if (!a->site) {
        a->site = site;
        a->faults = 0;
    }
    return kept;
}

// Pages of the destination that were left absent go to their places in a few calls, before the program asks
// for them one by one.
static void
settle(uintptr_t dst, size_t n)
{
    struct area *a = known(dst, n);

    if (a && a->tracked)
        area_resolve(a, area_page(a, dst), area_page(a, dst + n - 1) + 1);
}

static void
copy_through(void *dst, const void *src, size_t n, const struct job *j)
{
    size_t in = (uintptr_t)dst & ZPAGE_MASK;
    struct deferred df = {0};
    struct zio_guard g;
    struct block *b;

    zio_lock(&g);
    b = block_get(n + in, false);
    zio_unlock(&g);
    if (!b) {
        zio_count(enomem, 1);
        real.memcpy(dst, src, n);
        return;
    }
    real.memcpy((void *)(b->base + in), src, n);
    zio_lock(&g);
    b->site = j->site;
    block_wrote(b, n + in);
    copy_deliver((uintptr_t)dst, b, in, n, j->site, &df);
    block_release(b);
    if (j->settle)
        settle((uintptr_t)dst, n);
    else
        policy_gain(j->site,
                    policy_copy_ns(n >> ZPAGE_SHIFT) / 4); // no zeroed page for each of the program's
    zio_unlock(&g);
    deferred_run(&df);
}

// The source's pages are made movable again, for the next copy of the same bytes. (A destination's are by
// being written to.)
static void
unshare_source(const struct job *j)
{
    uintptr_t start = zpage_up(j->s), end = zpage_down(j->s + j->n);
    struct zio_guard g;

    if (end <= start || !area_unshare(start, end - start))
        return;
    zio_lock(&g);
    policy_charge(j->site, ((end - start) >> ZPAGE_SHIFT) * UNSHARE_PAGE_NS);
    zio_count(pages_unshared, (end - start) >> ZPAGE_SHIFT);
    zio_unlock(&g);
}

void
zio_copy(void *dst, const void *src, size_t n, uintptr_t ra)
{
    struct deferred df;
    struct job j = {.d = (uintptr_t)dst, .s = (uintptr_t)src, .n = n, .ra = ra, .defer = &df};
    struct zio_guard g;
    enum verdict v;
    int saved;

    df.n = 0;
    df.holds = false;
    if (atomic_load_explicit(&zio_state_now, memory_order_relaxed) == ZIO_STATE_READY) {
        int r;

        saved = errno;
        r = zio_start();
        errno = saved;
        if (r < 0) {
            real.memcpy(dst, src, n);
            return;
        }
    }
    zio_lock(&g);
    j.site = policy_site(ra);
    zio_count(copies_seen, 1);
    zio_count(copy_bytes_seen, n);
    v = atomic_load_explicit(&zio_state_now, memory_order_relaxed) == ZIO_STATE_ACTIVE && !zio_paused
            ? decide(&j)
            : PLAIN;
    if (v == ELIDE) {
        elide(&j);
        if (j.settle) {
            settle(j.d, n);
        } else if (j.elided) {
            zio_count(copies_elided, 1);
            zio_count(copy_bytes_elided, j.elided);
            policy_gain(j.site, policy_copy_ns(j.elided >> ZPAGE_SHIFT));
        }
    } else if (v == FROM_SRC) {
        // Source bytes that nobody elides any more are better off in memory, where copies need no lock.
        if (++j.sa->plain_reads >= PLAIN_READS && !zio_cfg.always) {
            j.sa->plain_reads = 0;
            area_resolve(j.sa, area_page(j.sa, j.s), area_page(j.sa, j.s + n - 1) + 1);
        }
        if (!plainly(&j, 0, n))
            v = PLAIN;
    }
    policy_note(j.site, v == ELIDE);
    area_collect_if_due();
    zio_unlock(&g);
    if (unlikely(j.shared))
        unshare_source(&j);
    if (v == THROUGH)
        copy_through(dst, src, n, &j);
    else if (v == PLAIN) {
        for (unsigned i = 0; i < df.n; i++)
            df.v[i].len = 0; // only to release its holds
        deferred_run(&df);
        real.memcpy(dst, src, n);
    } else
        deferred_run(&df);
}

// A buffer that is shifted down over itself (a parser that drops what it has read): absent pages refer to
// their block a little further on. Each page is made from bytes at and above it, so that going upwards never
// reads what it wrote; few enough pieces are present that none has to be done twice.
bool
zio_move_down(void *dst, const void *src, size_t n, uintptr_t ra)
{
    uintptr_t d = (uintptr_t)dst, s = (uintptr_t)src;
    struct deferred df;
    struct job j = {.d = d, .s = s, .n = n, .defer = &df};
    struct zio_guard g;
    struct area *a;
    bool ok = false;

    df.n = 0;
    df.holds = false;
    zio_lock(&g);
    a = area_stale(d) ? NULL : known(d, s + n - d);
    if (a && a->tracked && zio_on() && !zio_paused && is_absent(a, s, n)) {
        uint32_t first = segmap_find(&a->map, area_page(a, d)),
                 last = segmap_find(&a->map, area_page(a, s + n - 1));

        ok = last - first < DEFER_MAX / 4;
        // A zero page would be read in the program's memory, after its place was given to other data.
        for (uint32_t i = first; ok && i <= last; i++)
            ok = a->map.v[i].kind != SEG_ZERO;
    }
    if (ok) {
        j.da = j.sa = a;
        j.site = policy_site(ra);
        zio_count(copies_seen, 1);
        zio_count(copy_bytes_seen, n);
        elide(&j);
        if (j.elided) {
            zio_count(copies_elided, 1);
            zio_count(copy_bytes_elided, j.elided);
        }
    }
    zio_unlock(&g);
    if (ok)
        deferred_run(&df);
    return ok;
}
