// SPDX-License-Identifier: Apache-2.0
// The life of blocks, on real memory: pages that a block is said to have or not to have are looked up with
// mincore(). A move out of a block (UFFDIO_MOVE leaves a hole) is played by MADV_DONTNEED.
#include "libzio/block.h"

#include <string.h>
#include <sys/mman.h>

#include "libzio/vm.h"
#include "tests/unit/unit.h"

#define CACHED ((size_t)4 << 20) // limits given to the pool
#define LIVE ((size_t)16 << 20)
#define KIB ((size_t)1 << 10)
#define BASE ((uint64_t)0x7f0000000000)

static size_t
live(void)
{
    return unit_counter(ZIO_C_block_bytes);
}

// As a receive: bytes [from, to) arrive.
static void
fill(struct block *b, size_t from, size_t to)
{
    memset((void *)(b->base + from), 0x5a, to - from);
    block_wrote(b, to);
}

// As a resolved fault: those of pages [p, p + n) that are present go to the program.
static void
move_out(struct block *b, uint32_t p, uint32_t n)
{
    for (uint32_t i = p; i < p + n; i++)
        if (unit_resident(b->base + i * ZPAGE, 1)) {
            assert_int_equal(madvise((void *)(b->base + i * ZPAGE), ZPAGE, MADV_DONTNEED), 0);
            block_moved(b, 1);
        }
}

// Each test begins with nothing live and nothing cached.
static int
nothing_left(void **state)
{
    block_trim(0);
    block_trim_idle();
    unit_meta_refuse = false;
    return live() == 0 && block_cached() == 0 ? 0 : -1;
}

static void
get_and_release(void **state)
{
    struct block *b = block_get(100 * KIB, false), *again;
    size_t size;
    uintptr_t pool = block_pool_base(&size);

    assert_non_null(b);
    assert_int_equal(b->base % ZPAGE, 0);
    assert_int_equal(b->npages, 32); // 128 KiB, the class above
    assert_int_equal(b->holds, 1);
    assert_int_equal(b->refs, 0);
    assert_true(block_in_pool(b->base) && block_in_pool(b->base + 128 * KIB - 1));
    assert_true(b->base >= pool && b->base + 128 * KIB <= pool + size);
    assert_int_equal(live(), 128 * KIB);
    block_hold(b);
    block_release(b);
    assert_int_equal(live(), 128 * KIB);
    block_release(b);
    assert_int_equal(live(), 0);
    assert_int_equal(block_cached(), 0); // nothing was ever written
    again = block_get(128 * KIB, false);
    assert_ptr_equal(again, b);
    block_release(again);
}

static void
references_and_holds(void **state)
{
    struct block *b = block_get(64 * KIB, false);

    block_ref(b, BASE, 1);
    block_release(b);
    assert_int_equal(live(), 64 * KIB); // the segment keeps it
    block_hold(b);
    block_unref(b, BASE, 1);
    assert_int_equal(live(), 64 * KIB); // the call under way keeps it
    block_ref(b, BASE + ZPAGE, 1);
    assert_int_equal(b->home, BASE + ZPAGE); // the first of a new set of references is home
    block_release(b);
    block_unref(b, BASE + ZPAGE, 1);
    assert_int_equal(live(), 0);
}

static void
exclusive(void **state)
{
    struct block *b = block_get(64 * KIB, false);

    block_ref(b, BASE, 1);
    assert_false(block_exclusive(b, BASE)); // held
    block_release(b);
    assert_true(block_exclusive(b, BASE));
    assert_false(block_exclusive(b, BASE + ZPAGE));
    block_ref(b, BASE, 1); // cut in two
    assert_true(block_exclusive(b, BASE));
    block_ref(b, BASE + 64 * ZPAGE, 1); // a copy of it
    assert_false(block_exclusive(b, BASE));
    assert_false(block_exclusive(b, BASE + 64 * ZPAGE));
    block_unref(b, BASE, 1);
    assert_false(block_exclusive(b, BASE));
    block_unref(b, BASE, 1); // only the copy is left: it is the one piece now
    assert_true(block_exclusive(b, BASE + 64 * ZPAGE));
    assert_false(block_exclusive(b, BASE));
    block_ref(b, BASE, 1);
    block_unref(b, BASE + 64 * ZPAGE, 1);
    assert_true(block_exclusive(b, BASE));
    block_hold(b);
    assert_false(block_exclusive(b, BASE));
    block_release(b);
    block_unref(b, BASE, 1);
}

// A run with pages is handed out before one without, unless an empty one is asked for.
static void
warm_and_empty(void **state)
{
    struct block *a = block_get(64 * KIB, false), *b = block_get(64 * KIB, false), *c;

    fill(a, 0, 64 * KIB);
    block_release(a);
    block_release(b);
    assert_int_equal(block_cached(), 64 * KIB);
    c = block_get(64 * KIB, false);
    assert_ptr_equal(c, a);
    assert_int_equal(block_cached(), 0);
    assert_int_equal(unit_resident(c->base, 16), 16);
    block_release(c);
    c = block_get(64 * KIB, true);
    assert_ptr_equal(c, b);
    assert_int_equal(unit_resident(c->base, 16), 0);
    assert_int_equal(block_cached(), 64 * KIB);
    block_release(c);
}

static void
moved_out(void **state)
{
    struct block *b = block_get(64 * KIB, false);

    fill(b, 0, 64 * KIB);
    move_out(b, 0, 16);
    block_release(b); // all went: an empty run
    assert_int_equal(block_cached(), 0);
    assert_ptr_equal(block_get(64 * KIB, true), b);
    assert_int_equal(unit_resident(b->base, 16), 0);
    fill(b, 0, 64 * KIB);
    move_out(b, 3, 4);
    block_release(b); // most of it stayed
    assert_int_equal(block_cached(), 48 * KIB);
    assert_ptr_equal(block_get(64 * KIB, false), b);
    fill(b, 0, 64 * KIB);
    move_out(b, 0, 12);
    block_release(b); // most of it went; what is left is not worth the holes
    assert_int_equal(block_cached(), unit_resident(b->base, 16) * ZPAGE);
}

// A run with holes is filled again, and moved out again in part. What stays must be known of.
static void
holes_filled_again(void **state)
{
    struct block *b = block_get(64 * KIB, false);

    fill(b, 0, 64 * KIB);
    move_out(b, 0, 4);
    block_release(b);
    assert_ptr_equal(block_get(64 * KIB, false), b);
    fill(b, 0, 64 * KIB);
    move_out(b, 0, 12);
    block_release(b);
    assert_true(block_cached() >= unit_resident(b->base, 16) * ZPAGE);
    assert_non_null(b = block_get(64 * KIB, true));
    assert_int_equal(unit_resident(b->base, 16), 0);
    block_release(b);
}

static void
wrote_is_bounded(void **state)
{
    struct block *b = block_get(64 * KIB, false);

    block_wrote(b, 1);
    assert_int_equal(b->populated, 1);
    block_wrote(b, ZPAGE);
    assert_int_equal(b->populated, 1);
    block_wrote(b, ZPAGE + 1);
    assert_int_equal(b->populated, 2);
    block_wrote(b, 10);
    assert_int_equal(b->populated, 2);
    block_wrote(b, 64 * KIB);
    assert_int_equal(b->populated, 16);
    block_wrote(b, 64 * KIB + 1);
    assert_int_equal(b->populated, 16);
    block_release(b);
}

static void
live_limit(void **state)
{
    struct block *v[LIVE / (256 * KIB)];
    size_t n;

    assert_null(block_get(LIVE + 1, false));
    assert_null(block_get(SIZE_MAX, false));
    assert_null(block_get((size_t)1 << 41, true));
    for (n = 0; n < LIVE / (256 * KIB); n++)
        assert_non_null(v[n] = block_get(256 * KIB, unit_one_in(2)));
    assert_int_equal(live(), LIVE);
    assert_null(block_get(1, false));
    assert_null(block_get(1, true));
    assert_int_equal(live(), LIVE);
    block_release(v[--n]);
    assert_null(block_get(257 * KIB, false));
    assert_non_null(v[n] = block_get(256 * KIB, false));
    while (n < LIVE / (256 * KIB))
        block_release(v[n++]);
    for (n = 0; n < LIVE / (256 * KIB) - 1; n++)
        block_release(v[n]);
}

static void
cached_limit(void **state)
{
    struct block *v[LIVE / (256 * KIB)];
    size_t n, resident = 0;

    for (n = 0; n < LIVE / (256 * KIB); n++) {
        v[n] = block_get(256 * KIB, false);
        fill(v[n], 0, 256 * KIB);
    }
    for (n = 0; n < LIVE / (256 * KIB); n++) {
        block_release(v[n]);
        assert_int_equal(block_cached(), min_of((n + 1) * 256 * KIB, CACHED));
        assert_int_equal(unit_counter(ZIO_C_pool_free_bytes), block_cached());
    }
    for (n = 0; n < LIVE / (256 * KIB); n++)
        resident += unit_resident(v[n]->base, v[n]->npages) * ZPAGE;
    assert_int_equal(resident, CACHED);
}

static void
trim(void **state)
{
    struct block *v[8];
    size_t gone;

    for (int i = 0; i < 8; i++) {
        v[i] = block_get(64 * KIB << (i & 1), false);
        fill(v[i], 0, 64 * KIB);
    }
    for (int i = 0; i < 8; i++)
        block_release(v[i]);
    assert_int_equal(block_cached(), 512 * KIB);
    assert_int_equal(block_trim(512 * KIB), 0);
    gone = block_trim(300 * KIB);
    assert_int_equal(gone, 512 * KIB - block_cached());
    assert_true(block_cached() <= 300 * KIB && block_cached() > 300 * KIB - 64 * KIB);
    assert_int_equal(block_trim(0), 256 * KIB);
    assert_int_equal(block_cached(), 0);
    for (int i = 0; i < 8; i++)
        assert_int_equal(unit_resident(v[i]->base, v[i]->npages), 0);
    assert_int_equal(block_trim(0), 0);
}

// Only a few runs of a size stay warm, however large the limit: 4 MiB of them, but four at least.
static void
few_stay_warm(void **state)
{
    struct block *v[8];

    for (int i = 0; i < 8; i++) {
        v[i] = block_get(2 << 20, false);
        assert_non_null(v[i]);
        fill(v[i], 0, ZPAGE);
    }
    for (int i = 0; i < 8; i++)
        block_release(v[i]);
    assert_int_equal(block_cached(), 4 * ZPAGE);
    for (int i = 0; i < 8; i++)
        assert_int_equal(unit_resident(v[i]->base, v[i]->npages), i < 4);
    for (int i = 0; i < 4; i++) // those that are warm come first
        assert_int_equal(unit_resident((v[i] = block_get(2 << 20, false))->base, 1), 1);
    assert_int_equal(block_cached(), 0);
    for (int i = 0; i < 4; i++)
        block_release(v[i]);
    assert_int_equal(block_cached(), 4 * ZPAGE);
}

// Waste is what is present and not mapped; a block that is held, or that nobody maps, is nobody's business.
static void
waste(void **state)
{
    struct block *b = block_get(64 * KIB, false);

    fill(b, 0, 64 * KIB);
    assert_int_equal(block_waste_pages(), 0);
    block_ref(b, BASE, 10);
    assert_int_equal(block_waste_pages(), 6);
    assert_false(block_wasteful(b)); // held
    block_release(b);
    assert_true(block_wasteful(b)); // 6 of 16
    block_ref(b, BASE, 2);
    assert_int_equal(block_waste_pages(), 4);
    assert_false(block_wasteful(b)); // no more than a quarter
    block_unref(b, BASE, 10);
    assert_int_equal(block_waste_pages(), 14);
    block_moved(b, 2);
    assert_int_equal(block_waste_pages(), 12);
    block_ref(b, BASE + ZPAGE, 16); // pages that two segments map count twice
    assert_int_equal(block_waste_pages(), 0);
    block_unref(b, BASE + ZPAGE, 16);
    block_wrote(b, 1); // fills holes: which, is not known
    assert_int_equal(block_waste_pages(), 14);
    block_unref(b, BASE, 2);
    assert_int_equal(block_waste_pages(), 0);
    assert_int_equal(live(), 0);
}

// A sweep leaves the marked pages with their bytes, and no other.
static void
mark_and_sweep(void **state)
{
    unit_seed(32);
    for (int n = 0; n < 300; n++) {
        uint32_t npages = 16 * (1 + unit_below(12)), used = 1 + unit_below(npages), kept = 0, segs;
        struct block *b = block_get(npages * ZPAGE, false);
        size_t records = unit_meta_bytes;
        bool want[256] = {false};

        npages = b->npages;
        for (uint32_t p = 0; p < used; p++)
            memset((void *)(b->base + p * ZPAGE), (int)p & 255, ZPAGE);
        block_wrote(b, used * ZPAGE);
        segs = 1 + unit_below(4);
        block_ref(b, BASE, 1);
        for (uint32_t i = 0; i < segs; i++) {
            uint32_t first = unit_below(npages), last = first + unit_below(unit_one_in(3) ? npages : 5);

            assert_true(block_mark(b, first, last));
            for (uint32_t p = first; p <= last && p < used; p++)
                want[p] = true;
        }
        block_sweep(b);
        assert_null(b->mark);
        assert_int_equal(unit_meta_bytes, records);
        for (uint32_t p = 0; p < npages; p++) {
            const unsigned char *at = (const unsigned char *)(b->base + p * ZPAGE);

            kept += want[p];
            assert_int_equal(unit_resident(b->base + p * ZPAGE, 1), want[p]);
            assert_true(!want[p] || (at[0] == (p & 255) && memcmp(at, at + 1, ZPAGE - 1) == 0));
        }
        assert_int_equal(block_waste_pages(), kept > 1 ? kept - 1 : 0);
        block_unref(b, BASE, 1);
        block_release(b);
        assert_true(block_cached() >= unit_resident(b->base, npages) * ZPAGE);
        block_trim(0);
        assert_int_equal(unit_resident(b->base, npages), 0);
    }
}

static void
mark_without_memory(void **state)
{
    struct block *b = block_get(64 * KIB, false);

    fill(b, 0, 64 * KIB);
    unit_meta_refuse = true;
    assert_false(block_mark(b, 0, 3));
    assert_null(b->mark);
    unit_meta_refuse = false;
    assert_true(block_mark(b, 0, 3));
    unit_meta_refuse = true;
    assert_true(block_mark(b, 5, 5)); // it has its marks
    block_sweep(b);
    assert_int_equal(unit_resident(b->base, 16), 5);
    block_release(b);
}

// The idle trim takes what lay unused since the last one, and leaves what was in use in between.
static void
trim_idle(void **state)
{
    struct block *v[4];

    for (int i = 0; i < 4; i++) {
        v[i] = block_get(64 * KIB, false);
        fill(v[i], 0, 64 * KIB);
    }
    for (int i = 0; i < 4; i++)
        block_release(v[i]);
    block_trim_idle(); // they came just now
    assert_int_equal(block_cached(), 256 * KIB);
    for (int i = 0; i < 3; i++) {
        struct block *a = block_get(64 * KIB, false), *b = block_get(64 * KIB, false);

        block_release(a);
        block_release(b);
    }
    block_trim_idle(); // two of them are in use now and then
    assert_int_equal(block_cached(), 128 * KIB);
    block_trim_idle();
    assert_int_equal(block_cached(), 0);
    block_trim_idle();
    assert_int_equal(block_cached(), 0);
}

static void
no_memory(void **state)
{
    size_t bytes = vm_class_size(20), records = unit_meta_bytes;
    struct block *b;

    unit_meta_refuse = true;
    assert_null(block_get(bytes, false)); // no run of this size was carved yet
    assert_null(block_get(bytes, true));
    assert_int_equal(live(), 0);
    assert_int_equal(unit_meta_bytes, records);
    unit_meta_refuse = false;
    b = block_get(bytes, false);
    assert_non_null(b);
    fill(b, 0, ZPAGE);
    block_release(b);
    unit_meta_refuse = true; // the free run is emptied for who needs an empty one
    assert_ptr_equal(block_get(bytes, true), b);
    assert_int_equal(unit_resident(b->base, b->npages), 0);
    assert_int_equal(block_cached(), 0);
    block_release(b);
}

#define KNOWN 64

static struct {
    struct block *b;
    uint32_t holds, refs;
    bool had; // a run that was live once
} known[KNOWN];

static void
make_one(unsigned i)
{
    size_t bytes = 1 + unit_below(unit_one_in(8) ? 1 << 21 : 192 << 10), had = live();
    bool empty = unit_one_in(3);
    struct block *b = block_get(bytes, empty);

    if (!b) {
        assert_true(live() + vm_class_size(vm_class_of(bytes)) > LIVE);
        return;
    }
    assert_true((size_t)b->npages << ZPAGE_SHIFT >= bytes);
    assert_int_equal(live(), had + ((size_t)b->npages << ZPAGE_SHIFT));
    if (empty)
        assert_int_equal(unit_resident(b->base, b->npages), 0);
    for (unsigned k = 0; k < KNOWN; k++)
        assert_true(!known[k].b || known[k].b->base >= b->base + b->npages * ZPAGE ||
                    b->base >= known[k].b->base + known[k].b->npages * ZPAGE);
    known[i].b = b;
    known[i].holds = 1;
    known[i].refs = 0;
}

static void
use_one(unsigned i)
{
    struct block *b = known[i].b;
    uint32_t p = unit_below(b->npages), n = 1 + unit_below(b->npages - p);

    switch (unit_below(6)) {
    case 0:
        fill(b, unit_one_in(2) ? 0 : p * ZPAGE, (size_t)(p + n) * ZPAGE - unit_below(100));
        break;
    case 1:
        move_out(b, p, unit_one_in(2) ? b->npages - p : n);
        break;
    case 2:
        block_hold(b);
        known[i].holds++;
        break;
    case 3:
        block_ref(b, BASE, 1);
        known[i].refs++;
        break;
    default:
        if (known[i].refs && (!known[i].holds || unit_one_in(2))) {
            known[i].refs--;
            block_unref(b, BASE, 1);
        } else {
            known[i].holds--;
            block_release(b);
        }
    }
    if (!known[i].holds && !known[i].refs)
        known[i].b = NULL;
}

// Pages of the whole pool that are in memory, less those of live blocks: no more than the free runs are said
// to hold.
static void
check_cached(void)
{
    size_t size, used = 0, resident;
    uintptr_t pool = block_pool_base(&size);

    resident = unit_resident(pool, ((size_t)96 << 20) >> ZPAGE_SHIFT); // more than can have been carved
    for (unsigned i = 0; i < KNOWN; i++)
        if (known[i].b)
            used += unit_resident(known[i].b->base, known[i].b->npages);
    assert_true((resident - used) << ZPAGE_SHIFT <= block_cached());
    assert_true(block_cached() <= CACHED);
    assert_int_equal(unit_counter(ZIO_C_pool_free_bytes), block_cached());
}

static void
random_lives(void **state)
{
    unit_seed(31);
    for (uint32_t n = 0; n < 40000; n++) {
        unsigned i = unit_below(KNOWN);
        size_t keep;

        if (!known[i].b)
            make_one(i);
        else
            use_one(i);
        if (unit_one_in(2000)) {
            size_t before = block_cached(), gone;

            keep = unit_below((uint32_t)CACHED);
            gone = block_trim(keep);
            assert_int_equal(gone, before - block_cached());
            assert_true(block_cached() <= keep);
        } else if (unit_one_in(500)) {
            block_trim_idle();
        }
        if (n % 64 == 0)
            check_cached();
    }
    for (unsigned i = 0; i < KNOWN; i++) {
        for (; known[i].b && known[i].refs; known[i].refs--)
            block_unref(known[i].b, BASE, 1);
        for (; known[i].b && known[i].holds; known[i].holds--)
            block_release(known[i].b);
        known[i].b = NULL;
    }
    assert_int_equal(live(), 0);
    block_trim(0);
    check_cached(); // not a page is left in the pool
}

// In a process that is about to be left alone with what it has.
static int
shrunken(void)
{
    struct block *b = block_get(64 * KIB, false), *c = block_get(64 * KIB, false);
    size_t size, left, records;

    CHILD_CHECK(b && c);
    fill(b, 0, 64 * KIB);
    fill(c, 0, 64 * KIB);
    block_release(c);
    CHILD_CHECK(block_cached() == 64 * KIB);
    block_pool_base(&size);
    block_shrink_pool();
    block_pool_base(&left);
    CHILD_CHECK(left < size && block_in_pool(b->base) && block_cached() == 0);
    CHILD_CHECK(*(volatile char *)b->base == 0x5a);
    block_release(b);
    c = block_get(64 * KIB, false);
    CHILD_CHECK(c == b); // what was carved serves on
    records = unit_meta_bytes;
    CHILD_CHECK(!block_get(LIVE / 2 + 1, false)); // and nothing else can be
    CHILD_CHECK(!block_get(LIVE / 2 + 1, true));
    CHILD_CHECK(unit_meta_bytes == records && live() == 64 * KIB);
    return 0;
}

static void
shrink_pool(void **state)
{
    assert_int_equal(unit_in_child(shrunken), 0);
}

static int
pool(void **state)
{
    size_t size;

    if (block_in_pool(0) || block_in_pool((uintptr_t)&size) || block_pool_base(&size))
        return -1;
    return block_init((size_t)1 << 30, CACHED, LIVE);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup(f, nothing_left)
    const struct CMUnitTest tests[] = {
        T(get_and_release),
        T(references_and_holds),
        T(exclusive),
        T(warm_and_empty),
        T(moved_out),
        T(wrote_is_bounded),
        T(live_limit),
        T(cached_limit),
        T(trim),
        T(trim_idle),
        T(few_stay_warm),
        T(waste),
        T(mark_and_sweep),
        T(mark_without_memory),
        T(shrink_pool),
        T(no_memory),
        T(holes_filled_again),
        T(random_lives),
    };
    return cmocka_run_group_tests_name("block", tests, pool, NULL);
}
