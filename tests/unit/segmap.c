// SPDX-License-Identifier: Apache-2.0
// The range map against a model that keeps each page by itself. Random operations on several maps that share
// blocks; after each, the map must be the model's pages in the fewest segments, and the blocks must count
// exactly those.
#include "libzio/segmap.h"

#include <errno.h>
#include <string.h>

#include "libzio/block.h"
#include "tests/unit/unit.h"

#define MAPS 3
#define PAGES 96  // the most that a map has
#define BLOCKS 10 // known at a time
#define BLOCK_PAGES 32
#ifdef __SANITIZE_THREAD__ // slow, and there is one thread
#define OPERATIONS 200000
#else
#define OPERATIONS 2000000
#endif

struct page {
    enum seg_kind kind;
    unsigned i; // SEG_DATA: which of `blocks`
    uint64_t off;
};

static struct segmap maps[MAPS];
static struct page model[MAPS][PAGES];
static struct block *blocks[BLOCKS]; // NULL: none now
static unsigned holds[BLOCKS];       // ours

static uintptr_t
base_of(unsigned m)
{
    return (uintptr_t)0x7f0000000000 + ((uintptr_t)m << 32);
}

static bool
joins(const struct page *a, const struct page *b)
{
    if (a->kind != b->kind)
        return false;
    return a->kind != SEG_DATA || (a->i == b->i && a->off + ZPAGE == b->off);
}

// The map holds the model's pages, in the fewest segments, and nothing else.
static void
check_map(unsigned m)
{
    const struct segmap *map = &maps[m];
    const struct page *want = model[m];
    uint32_t i = 0, absent = 0;

    for (uint32_t p = 0; p < map->npages; p++) {
        const struct seg *s;

        if (p && !joins(&want[p - 1], &want[p]))
            i++;
        assert_true(i < map->n);
        s = &map->v[i];
        if (p == 0 || !joins(&want[p - 1], &want[p]))
            assert_int_equal(s->page, p);
        assert_int_equal(s->kind, want[p].kind);
        if (want[p].kind != SEG_DATA)
            continue;
        assert_ptr_equal(s->blk, blocks[want[p].i]);
        assert_int_equal(seg_off(s, p), want[p].off);
        absent++;
    }
    assert_int_equal(map->n, i + 1);
    assert_int_equal(map->absent, absent);
    assert_true(map->n <= map->cap);
}

struct tally {
    uint32_t refs, foreign, pages;
    uint64_t sum;
};

static void
tally(struct tally t[BLOCKS])
{
    memset(t, 0, BLOCKS * sizeof(*t));
    for (unsigned m = 0; m < MAPS; m++)
        for (uint32_t p = 0; p < maps[m].npages; p++) {
            const struct page *g = &model[m][p];
            uint64_t delta = base_of(m) + p * ZPAGE - g->off;

            if (g->kind != SEG_DATA)
                continue;
            t[g->i].pages++;
            if (p && joins(g - 1, g))
                continue;
            t[g->i].refs++;
            t[g->i].foreign += delta != blocks[g->i]->home;
            t[g->i].sum += delta;
        }
}

// A true answer means that no byte of the block shows at two places, and that it shows at this delta.
static void
check_exclusive(unsigned i)
{
    const struct block *b = blocks[i];
    bool shown[BLOCK_PAGES * 16 + 16] = {false}; // offsets are multiples of 256
    bool twice = false, elsewhere = false;
    uint64_t delta = 0;

    for (unsigned m = 0; m < MAPS; m++)
        for (uint32_t p = 0; p < maps[m].npages; p++) {
            const struct page *g = &model[m][p];
            uint64_t d = base_of(m) + p * ZPAGE - g->off;

            if (g->kind != SEG_DATA || g->i != i)
                continue;
            elsewhere |= delta && d != delta;
            delta = d;
            for (uint32_t k = 0; k < 16; k++) {
                twice |= shown[g->off / 256 + k];
                shown[g->off / 256 + k] = true;
            }
        }
    if (!delta)
        return;
    if (block_exclusive(b, delta))
        assert_true(!twice && !elsewhere && b->holds == 0);
    else if (b->holds == 0 && b->refs == 1)
        assert_true(false); // the one segment must be able to take its pages
    assert_false(block_exclusive(b, delta + ZPAGE));
}

// Also forgets those that are gone: to be called after each change.
static void
check_blocks(bool deep)
{
    struct tally all[BLOCKS];
    uint64_t live = 0, waste = 0;

    tally(all);
    for (unsigned i = 0; i < BLOCKS; i++) {
        struct block *b = blocks[i];
        struct tally t = all[i];

        if (!b)
            continue;
        if (t.refs == 0 && holds[i] == 0) { // it went back to the pool
            blocks[i] = NULL;
            continue;
        }
        live += (uint64_t)b->npages * ZPAGE;
        assert_int_equal(b->refs, t.refs);
        assert_int_equal(b->holds, holds[i]);
        assert_true(t.refs == 0 || b->foreign == t.foreign);
        assert_true(t.refs == 0 || b->delta_sum == t.sum);
        assert_true(t.refs == 0 || b->ref_pages == t.pages);
        if (t.refs && b->populated > b->moved && b->populated - b->moved > t.pages)
            waste += b->populated - b->moved - t.pages;
        if (t.refs == 1)
            assert_int_equal(b->home, t.sum);
        if (deep)
            check_exclusive(i);
    }
    assert_int_equal(unit_counter(ZIO_C_block_bytes), live);
    assert_int_equal(block_waste_pages(), waste);
}

static void
check_all(void)
{
    uint64_t absent = 0;

    for (unsigned m = 0; m < MAPS; m++) {
        check_map(m);
        absent += maps[m].absent;
    }
    assert_int_equal(segmap_absent_pages, absent);
    check_blocks(true);
}

static void
renew(unsigned m)
{
    uint32_t n = unit_one_in(8) ? 1 : 1 + unit_below(PAGES);
    enum seg_kind kind = (enum seg_kind)unit_below(SEG_DATA);

    if (maps[m].npages) {
        segmap_fini(&maps[m]);
        assert_int_equal(maps[m].absent, 0);
    }
    segmap_init(&maps[m], base_of(m), n, kind);
    for (uint32_t p = 0; p < n; p++)
        model[m][p] = (struct page){.kind = kind};
}

// A block that is known already, or a new one; its index.
static unsigned
some_block(void)
{
    unsigned i = unit_below(BLOCKS);

    if (!blocks[i]) {
        blocks[i] = block_get(BLOCK_PAGES * ZPAGE, false);
        assert_non_null(blocks[i]);
        for (unsigned k = 0; k < BLOCKS; k++) // it is nobody's yet
            assert_true(k == i || blocks[k] != blocks[i]);
        holds[i] = 1;
    }
    return i;
}

// The range, mostly short; now and then one of the map's own segments, or next to one.
static void
some_range(const struct segmap *map, uint32_t *p0, uint32_t *p1)
{
    uint32_t len = unit_one_in(4) ? map->npages : 1 + unit_below(8);

    *p0 = unit_below(map->npages);
    if (unit_one_in(3))
        *p0 = map->v[unit_below(map->n)].page;
    *p1 = *p0 + 1 + unit_below(len);
    if (unit_one_in(3))
        *p1 = segmap_end(map, segmap_find(map, *p0));
    if (unit_one_in(32))
        *p1 = *p0; // nothing
    *p1 = min_of(*p1, map->npages);
}

// The offset for the range, such that it may continue what stands before it or after it.
static uint64_t
some_offset(unsigned m, unsigned i, uint32_t p0, uint32_t p1)
{
    uint64_t room = (BLOCK_PAGES - (p1 - p0)) * ZPAGE, off;

    if (p0 && unit_one_in(3)) {
        const struct page *g = &model[m][p0 - 1];

        if (g->kind == SEG_DATA && g->i == i && g->off + ZPAGE <= room)
            return g->off + ZPAGE;
    }
    if (p1 < maps[m].npages && unit_one_in(2)) {
        const struct page *g = &model[m][p1];

        if (g->kind == SEG_DATA && g->i == i && g->off >= (p1 - p0) * ZPAGE)
            return g->off - (p1 - p0) * ZPAGE;
    }
    off = (uint64_t)p0 * ZPAGE; // same delta at many places
    if (unit_one_in(2) || off > room)
        off = unit_below((uint32_t)(room / ZPAGE) + 1) * ZPAGE;
    if (unit_one_in(4) && off + 256 <= room)
        off += 256 * unit_below(16) % (room - off);
    return off & ~(uint64_t)255;
}

// Both tell which map they changed.
static unsigned
set_op(void)
{
    unsigned m = unit_below(MAPS), i = 0;
    enum seg_kind kind = unit_one_in(2) ? SEG_DATA : (enum seg_kind)unit_below(SEG_DATA);
    struct segmap *map = &maps[m];
    uint64_t off = 0;
    uint32_t p0, p1, cap;
    bool reserved = false;
    int r;

    some_range(map, &p0, &p1);
    if (kind == SEG_DATA) {
        p1 = min_of(p1, p0 + BLOCK_PAGES);
        i = some_block();
        off = some_offset(m, i, p0, p1);
    }
    if (unit_one_in(4)) { // room made beforehand: what follows cannot fail
        assert_int_equal(segmap_reserve(map), 0);
        reserved = true;
    }
    cap = map->cap;
    unit_meta_refuse = reserved || unit_one_in(4);
    unit_meta_refused = 0;
    r = segmap_set(map, p0, p1, kind, kind == SEG_DATA ? blocks[i] : NULL, off);
    unit_meta_refuse = false;
    if (unit_meta_refused) {
        assert_false(reserved);
        assert_int_equal(r, -ENOMEM);
        assert_int_equal(map->cap, cap);
        return m; // and it is found unchanged
    }
    assert_int_equal(r, 0);
    for (uint32_t p = p0; p < p1; p++)
        model[m][p] =
            (struct page){.kind = kind, .i = i, .off = kind == SEG_DATA ? off + (p - p0) * ZPAGE : 0};
    return m;
}

// What the engine does to put a page back: same content, once more.
static unsigned
set_same(void)
{
    unsigned m = unit_below(MAPS);
    uint32_t p = unit_below(maps[m].npages);
    const struct page *g = &model[m][p];
    struct block *b = g->kind == SEG_DATA ? blocks[g->i] : NULL;

    assert_int_equal(segmap_set(&maps[m], p, p + 1, g->kind, b, g->off), 0);
    return m;
}

static void
blocks_op(void)
{
    unsigned i = unit_below(BLOCKS);

    if (blocks[i] && holds[i] && !unit_one_in(3)) {
        holds[i]--;
        block_release(blocks[i]);
        return; // it may be gone
    }
    if (blocks[i] && holds[i] < 3) {
        holds[i]++;
        block_hold(blocks[i]);
    }
    // Said to be filled, and to be emptied: no page is really there, only what counts them is.
    if (blocks[i] && unit_one_in(4))
        block_wrote(blocks[i], 1 + unit_below(BLOCK_PAGES * (uint32_t)ZPAGE));
    if (blocks[i] && unit_one_in(4) && blocks[i]->populated > blocks[i]->moved)
        block_moved(blocks[i], 1 + unit_below(blocks[i]->populated - blocks[i]->moved));
}

static void
questions(void)
{
    unsigned m = unit_below(MAPS);
    uint32_t p0, p1, i;
    enum seg_kind kind = (enum seg_kind)unit_below(SEG_DATA + 1);
    bool all = true;

    some_range(&maps[m], &p0, &p1);
    i = segmap_find(&maps[m], p0);
    assert_true(maps[m].v[i].page <= p0 && p0 < segmap_end(&maps[m], i));
    for (uint32_t p = p0; p < p1; p++)
        all = all && model[m][p].kind == kind;
    if (p0 < p1)
        assert_int_equal(segmap_all(&maps[m], p0, p1, kind), all);
}

static void
model_based(void **state)
{
    unit_seed(1);
    memset(maps, 0, sizeof(maps));
    for (unsigned m = 0; m < MAPS; m++)
        renew(m);
    for (uint32_t n = 0; n < OPERATIONS; n++) {
        uint32_t what = unit_below(1024);

        if (what < 860) {
            if (what < 640)
                check_map(set_op());
            else if (what < 660)
                check_map(set_same());
            else
                blocks_op();
            check_blocks(n % 8 == 0);
        } else if (what < 1021) {
            questions();
        } else {
            renew(unit_below(MAPS));
            check_blocks(false);
        }
        if (n % 16 == 0)
            check_all();
    }
    for (unsigned m = 0; m < MAPS; m++)
        segmap_fini(&maps[m]), maps[m].npages = 0;
    for (unsigned i = 0; i < BLOCKS; i++)
        for (; blocks[i] && holds[i]; holds[i]--)
            block_release(blocks[i]);
    assert_int_equal(segmap_absent_pages, 0);
    assert_int_equal(unit_counter(ZIO_C_block_bytes), 0);
}

// The most segments that a map can have, then one again.
static void
comb(void **state)
{
    enum { N = 20000 };
    struct segmap m;
    size_t before = unit_meta_bytes;

    segmap_init(&m, base_of(0), N, SEG_UNDEF);
    for (uint32_t p = 0; p < N; p += 2)
        assert_int_equal(segmap_set(&m, p, p + 1, SEG_PRESENT, NULL, 0), 0);
    assert_int_equal(m.n, N);
    for (uint32_t p = 0; p < N; p++)
        assert_int_equal(segmap_find(&m, p), p);
    for (uint32_t p = 1; p < N; p += 2)
        assert_int_equal(segmap_set(&m, p, p + 1, SEG_PRESENT, NULL, 0), 0);
    assert_int_equal(m.n, 1);
    assert_int_equal(m.v[0].kind, SEG_PRESENT);
    assert_true(unit_meta_bytes > before);
    segmap_fini(&m);
    assert_int_equal(unit_meta_bytes, before);
}

// Without memory a map that has room goes on, and one that has none stays as it is, at each size.
static void
no_memory(void **state)
{
    struct segmap m;

    segmap_init(&m, base_of(0), 4096, SEG_UNDEF);
    for (uint32_t p = 1; p + 1 < 4096; p += 2) {
        struct seg old[4096];
        uint32_t n = m.n;
        int r;

        memcpy(old, m.v, n * sizeof(*old));
        unit_meta_refuse = true;
        unit_meta_refused = 0;
        r = segmap_reserve(&m);
        assert_int_equal(r, unit_meta_refused ? -ENOMEM : 0);
        unit_meta_refused = 0;
        r = segmap_set(&m, p, p + 1, SEG_ZERO, NULL, 0);
        unit_meta_refuse = false;
        if (unit_meta_refused == 0) {
            assert_int_equal(r, 0);
            continue;
        }
        assert_int_equal(r, -ENOMEM);
        assert_int_equal(m.n, n);
        assert_memory_equal(m.v, old, n * sizeof(*old));
        assert_int_equal(segmap_set(&m, p, p + 1, SEG_ZERO, NULL, 0), 0);
    }
    assert_int_equal(m.n, 4096 - 1);
    segmap_fini(&m);
}

// Replacing the last segment of a block by one of the same block must not send the block away in between.
static void
last_reference(void **state)
{
    struct block *b = block_get(8 * ZPAGE, false);
    struct segmap m;

    assert_non_null(b);
    segmap_init(&m, base_of(0), 8, SEG_UNDEF);
    assert_int_equal(segmap_set(&m, 0, 8, SEG_DATA, b, 0), 0);
    block_release(b);
    assert_int_equal(segmap_set(&m, 0, 8, SEG_DATA, b, 0), 0);
    assert_int_equal(segmap_set(&m, 0, 8, SEG_DATA, b, 256), 0);
    assert_int_equal(b->refs, 1);
    assert_true(block_exclusive(b, base_of(0) - 256));
    assert_int_equal(unit_counter(ZIO_C_block_bytes), 16 * ZPAGE);
    assert_int_equal(segmap_set(&m, 2, 4, SEG_PRESENT, NULL, 0), 0);
    assert_int_equal(b->refs, 2);
    assert_int_equal(segmap_absent_pages, 6);
    segmap_fini(&m);
    assert_int_equal(unit_counter(ZIO_C_block_bytes), 0);
    assert_int_equal(segmap_absent_pages, 0);
}

static int
pool(void **state)
{
    return block_init((size_t)1 << 30, (size_t)64 << 20, (size_t)512 << 20);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comb),
        cmocka_unit_test(no_memory),
        cmocka_unit_test(last_reference),
        cmocka_unit_test(model_based),
    };
    return cmocka_run_group_tests_name("segmap", tests, pool, NULL);
}
