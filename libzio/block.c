// SPDX-License-Identifier: Apache-2.0
// See block.h. Free runs are kept on two lists a class: "warm" ones, whose pages are present (the next
// receive finds them in the cache), and "empty" ones, whose pages were moved out or given back (targets for
// moves).
#include "libzio/block.h"

#include <errno.h>
#include <sys/mman.h>

#include "libzio/meta.h"
#include "libzio/sys.h"
#include "libzio/vm.h"
#include "libzio/zio.h"

static struct vmrange pool;
static struct block *warm[VM_CLASSES], *cold[VM_CLASSES];
static unsigned nwarm[VM_CLASSES];
static size_t cached, cached_limit; // bytes present in free runs
static size_t low;                  // the least that `cached` was since the last idle trim
static size_t live, live_limit;     // bytes of blocks in use

static uint64_t total_waste; // pages
static uint64_t
waste(const struct block *b)
{
    uint64_t present = b->populated > b->moved ? b->populated - b->moved : 0;

    return b->refs && present > b->ref_pages ? present - b->ref_pages : 0;
}

#define CHANGES(b, what)                                                                                     \
    do {                                                                                                     \
        total_waste -= waste(b);                                                                             \
        what;                                                                                                \
        total_waste += waste(b);                                                                             \
    } while (0)

uint64_t
block_waste_pages(void)
{
    return total_waste;
}

int
block_init(size_t reserve, size_t climit, size_t llimit)
{
    int r = vm_reserve(&pool, reserve);

    cached_limit = climit;
    live_limit = llimit;
    if (r == 0)
        zsys3(SYS_madvise, pool.base, pool.size, MADV_NOHUGEPAGE); // moves work by 4 KiB page
    return r;
}

bool
block_in_pool(uintptr_t addr)
{
    return vm_contains(&pool, addr);
}

uintptr_t
block_pool_base(size_t *size)
{
    *size = pool.size;
    return pool.base;
}

static struct block *
pop(struct block **list)
{
    struct block *b = *list;

    if (b)
        *list = b->next;
    return b;
}

static void
push(struct block **list, struct block *b)
{
    b->next = *list;
    *list = b;
}

static size_t
present_bytes(const struct block *b)
{
    return (size_t)(b->populated > b->moved ? b->populated - b->moved : 0) << ZPAGE_SHIFT;
}

static void
empty_run(struct block *b)
{
    if (b->populated)
        zsys3(SYS_madvise, b->base, (size_t)b->populated << ZPAGE_SHIFT, MADV_DONTNEED);
    b->populated = b->moved = 0;
}

static struct block *
take_warm(int cls)
{
    struct block *b = pop(&warm[cls]);

    if (b) {
        nwarm[cls]--;
        cached -= present_bytes(b);
        low = min_of(low, cached);
        __atomic_store_n(&zio_page->counter[ZIO_C_pool_free_bytes], cached, __ATOMIC_RELAXED);
    }
    return b;
}

static struct block *
carve(int cls)
{
    struct block *b = meta_alloc(sizeof(*b));
    uintptr_t base;

    if (!b)
        return NULL;
    if (vm_carve(&pool, cls, &base) < 0) {
        meta_free(b, sizeof(*b));
        return NULL;
    }
    b->base = base;
    b->cls = cls;
    b->npages = (uint32_t)(vm_class_size(cls) >> ZPAGE_SHIFT);
    return b;
}

struct block *
block_get(size_t bytes, bool empty)
{
    int cls = vm_class_of(bytes);
    struct block *b;

    if (cls < 0 || live + vm_class_size(cls) > live_limit)
        return NULL;
    b = empty ? pop(&cold[cls]) : take_warm(cls);
    if (!b && !empty)
        b = pop(&cold[cls]);
    if (!b)
        b = carve(cls);
    if (!b && empty && (b = take_warm(cls)))
        empty_run(b);
    if (!b)
        return NULL;
    b->holds = 1;
    b->refs = b->foreign = b->filling = 0;
    b->delta_sum = 0;
    b->site = 0;
    b->moved = 0;
    live += vm_class_size(cls);
    __atomic_store_n(&zio_page->counter[ZIO_C_block_bytes], live, __ATOMIC_RELAXED);
    return b;
}

// A few warm runs serve the next receives; more would be memory that a program which only copies never uses.
static unsigned
warm_enough(int cls)
{
    size_t runs = ((size_t)4 << 20) / vm_class_size(cls);

    return runs < 4 ? 4 : (unsigned)runs;
}

// The last hold and reference are gone: keep the run, warm if it is worth it.
static void
block_free(struct block *b)
{
    size_t present;

    live -= vm_class_size(b->cls);
    __atomic_store_n(&zio_page->counter[ZIO_C_block_bytes], live, __ATOMIC_RELAXED);
    if (b->moved >= b->populated)
        b->populated = b->moved = 0; // all its pages were moved out
    else if (b->moved > b->populated / 2)
        empty_run(b);
    present = present_bytes(b);
    if (present && (cached + present > cached_limit || nwarm[b->cls] >= warm_enough(b->cls)))
        empty_run(b), present = 0;
    if (!present) {
        push(&cold[b->cls], b);
        return;
    }
    cached += present;
    __atomic_store_n(&zio_page->counter[ZIO_C_pool_free_bytes], cached, __ATOMIC_RELAXED);
    push(&warm[b->cls], b);
    nwarm[b->cls]++;
}

void
block_hold(struct block *b)
{
    b->holds++;
}

void
block_release(struct block *b)
{
    if (--b->holds == 0 && b->refs == 0)
        block_free(b);
}

static void
add_ref(struct block *b, uint64_t delta, uint32_t pages)
{
    if (b->refs++ == 0)
        b->home = delta, b->foreign = 0, b->delta_sum = 0, b->ref_pages = 0;
    else if (delta != b->home)
        b->foreign++;
    b->delta_sum += delta;
    b->ref_pages += pages;
}

void
block_ref(struct block *b, uint64_t delta, uint32_t pages)
{
    CHANGES(b, add_ref(b, delta, pages));
}

static void
drop_ref(struct block *b, uint64_t delta, uint32_t pages)
{
    if (delta != b->home)
        b->foreign--;
    b->delta_sum -= delta;
    b->ref_pages -= pages;
    if (--b->refs == 1)
        b->home = b->delta_sum, b->foreign = 0;
}

void
block_unref(struct block *b, uint64_t delta, uint32_t pages)
{
    CHANGES(b, drop_ref(b, delta, pages));
    if (b->refs == 0 && b->holds == 0)
        block_free(b);
}

bool
block_exclusive(const struct block *b, uint64_t delta)
{
    return b->holds == 0 && b->foreign == 0 && b->home == delta;
}

void
block_wrote(struct block *b, size_t end)
{
    uint32_t pages = (uint32_t)((end + ZPAGE_MASK) >> ZPAGE_SHIFT);

    // Writing fills holes that moves had left; how many is not known, so none is counted on.
    if (pages > b->populated || b->moved)
        CHANGES(b, (b->populated = max_of(b->populated, min_of(pages, b->npages)), b->moved = 0));
}

void
block_moved(struct block *b, uint32_t pages)
{
    CHANGES(b, b->moved += pages);
}

bool
block_wasteful(const struct block *b)
{
    return b->holds == 0 && waste(b) * 4 > b->populated;
}

bool
block_mark(struct block *b, uint64_t first, uint64_t last)
{
    if (!b->mark && !(b->mark = meta_alloc((b->npages + 63) / 64 * sizeof(*b->mark))))
        return false;
    for (uint64_t p = first; p <= last && p < b->npages; p++)
        b->mark[p / 64] |= 1ull << p % 64;
    return true;
}

void
block_sweep(struct block *b)
{
    uint32_t kept = 0, p, q;

    for (p = 0; p < b->populated; p = q) {
        bool want = b->mark[p / 64] >> p % 64 & 1;

        for (q = p + 1; q < b->populated && (bool)(b->mark[q / 64] >> q % 64 & 1) == want; q++)
            ;
        if (want)
            kept += q - p;
        else
            zsys3(SYS_madvise, b->base + ((uintptr_t)p << ZPAGE_SHIFT), (size_t)(q - p) << ZPAGE_SHIFT,
                  MADV_DONTNEED);
    }
    CHANGES(b, b->moved = b->populated - kept);
    block_unmark(b);
}

void
block_unmark(struct block *b)
{
    meta_free(b->mark, (b->npages + 63) / 64 * sizeof(*b->mark));
    b->mark = NULL;
}

size_t
block_trim(size_t keep)
{
    size_t before = cached;

    for (int c = VM_CLASSES - 1; c >= 0 && cached > keep; c--) {
        struct block *b;

        while (cached > keep && (b = take_warm(c))) {
            empty_run(b);
            push(&cold[c], b);
        }
    }
    return before - cached;
}

size_t
block_cached(void)
{
    return cached;
}

void
block_trim_idle(void)
{
    block_trim(cached - min_of(low, cached));
    low = cached;
}

void
block_shrink_pool(void)
{
    block_trim(0);
    vm_release_rest(&pool);
}
