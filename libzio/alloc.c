// SPDX-License-Identifier: Apache-2.0
// See alloc.h. A slot's free list tells how its last owner left it: mostly present (its pages are kept and
// the next owner finds them warm) or mostly absent (the next owner's elided copies cost no system call).
// Which one an allocation gets is learned from what its call site did before.
#include "libzio/alloc.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "libzio/area.h"
#include "libzio/copy.h"
#include "libzio/front.h"
#include "libzio/meta.h"
#include "libzio/policy.h"
#include "libzio/real.h"
#include "libzio/sys.h"
#include "libzio/uffd.h"
#include "libzio/zio.h"

#define CALLER ((uintptr_t)__builtin_return_address(0))
#define ARENA_MIN ((size_t)128 << 10)

static size_t arena_min = SIZE_MAX;       // smallest allocation that the arena serves
static struct area *lists[2][VM_CLASSES]; // [mostly present]
static size_t cached, cached_limit;

static size_t
pages_of(size_t bytes)
{
    return (bytes + ZPAGE_MASK) >> ZPAGE_SHIFT;
}

void
alloc_off(void)
{
    arena_min = SIZE_MAX;
}

void
alloc_init(void)
{
    static const char *all[] = {"malloc",   "free",           "realloc",       "calloc",
                                "memalign", "posix_memalign", "aligned_alloc", "malloc_usable_size"};

    // Somebody in front of us (an allocator in the program, or preloaded before us) would get our pointers.
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        const char *who = front_of(all[i]);

        if (who) {
            zio_log(2, "%s is %s's: large allocations stay with it", all[i], who);
            return;
        }
    }
    if (area_init((size_t)64 << 30) < 0) {
        zio_log(1, "no address space for the arena; large allocations go to malloc");
        return;
    }
    cached_limit = (size_t)256 << 20;
    arena_min = min_of(ARENA_MIN, max_of(zio_cfg.threshold, (size_t)16 << 10));
}

static struct area *
new_slot(int cls)
{
    struct area *a = meta_alloc(sizeof(*a));
    uintptr_t base;
    long id;

    if (!a)
        return NULL;
    id = vm_carve(&arena_vm, cls, &base);
    if (id < 0) {
        meta_free(a, sizeof(*a));
        return NULL;
    }
    a->map.base = base;
    a->map.npages = (uint32_t)(vm_class_size(cls) >> ZPAGE_SHIFT);
    a->map.v = a->map.inline_v;
    a->arena = a->fresh = true;
    a->cls = cls;
    arena_slots[id] = a;
    return a;
}

static uint32_t
present_pages(const struct area *a, size_t bytes)
{
    if (a->tracked)
        return area_present(a, 0, a->map.npages);
    return a->fresh ? 0 : (uint32_t)pages_of(bytes);
}

static struct area *
pop(bool present, int cls)
{
    struct area *a = lists[present][cls];

    if (a) {
        lists[present][cls] = a->next;
        cached -= (size_t)present_pages(a, a->req) << ZPAGE_SHIFT;
    }
    return a;
}

static void *
arena_malloc(size_t n, uintptr_t ra)
{
    int cls = vm_class_of(n);
    struct zio_guard g;
    struct area *a;
    uint32_t site;
    bool want, given;

    if (cls < 0)
        return NULL;
    zio_lock(&g);
    site = policy_alloc_site(ra, cls);
    want = policy_alloc_wants_present(site);
    given = want;
    a = pop(given, cls);
    if (!a)
        a = pop(given = !want, cls);
    if (!a)
        a = new_slot(cls), given = false;
    if (a) {
        a->inuse = true;
        a->req = n;
        a->site = 0;
        a->plain_reads = 0;
        a->faults = 0;
        a->msite = site;
        a->given_present = given;
        a->epoch++;
        zio_count(arena_allocs, 1);
        zio_count(arena_bytes, n);
        __atomic_store_n(&zio_page->counter[ZIO_C_arena_cached_bytes], cached, __ATOMIC_RELAXED);
    }
    zio_unlock(&g);
    return a ? (void *)a->map.base : NULL;
}

// The owner is gone: what it held in blocks is undefined now.
static void
drop_data(struct area *a)
{
    for (uint32_t i = 0; i < a->map.n;) {
        struct seg *s = &a->map.v[i];

        if (s->kind == SEG_DATA || s->kind == SEG_ZERO) {
            uint32_t page = s->page, end = segmap_end(&a->map, i);

            if (segmap_set(&a->map, page, end, SEG_UNDEF, NULL, 0) < 0)
                return; // it keeps its old bytes, which is as good
            i = segmap_find(&a->map, end - 1) + 1;
        } else {
            i++;
        }
    }
}

static void
give_back(struct area *a)
{
    size_t len = (size_t)a->map.npages << ZPAGE_SHIFT;

    if (a->tracked) {
        drop_data(a);
        if (area_untrack(a) < 0)
            return;
    }
    zsys3(SYS_madvise, a->map.base, len, MADV_DONTNEED);
    a->fresh = true;
}

static void
slot_free(struct area *a)
{
    uint32_t present;
    bool mostly;

    zio_count(arena_bytes, -a->req);
    a->inuse = false;
    if (a->noelide) { // protections, locks and foreign mappings go with the allocation
        a->noelide = false;
        if (a->tracked)
            drop_data(a);
        if (!a->tracked || area_untrack(a) == 0) {
            zsys6(SYS_mmap, (long)a->map.base, (long)a->map.npages << ZPAGE_SHIFT, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
            a->fresh = true;
        }
    }
    if (a->tracked && a->map.absent)
        drop_data(a);
    present = present_pages(a, a->req);
    mostly = present * 2 > pages_of(a->req);
    policy_alloc_learn(a->msite, a->given_present, mostly);
    if (cached + ((size_t)present << ZPAGE_SHIFT) > cached_limit) {
        give_back(a);
        present = 0;
        mostly = false;
    }
    cached += (size_t)present << ZPAGE_SHIFT;
    __atomic_store_n(&zio_page->counter[ZIO_C_arena_cached_bytes], cached, __ATOMIC_RELAXED);
    a->next = lists[mostly][a->cls];
    lists[mostly][a->cls] = a;
}

size_t
alloc_trim(size_t keep)
{
    size_t before = cached;

    for (int c = VM_CLASSES - 1; c >= 0 && cached > keep; c--) {
        struct area *a;

        while (cached > keep && (a = pop(true, c))) {
            give_back(a);
            a->next = lists[0][c];
            lists[0][c] = a;
        }
    }
    return before - cached;
}

static bool
in_arena(const void *p)
{
    return vm_contains(&arena_vm, (uintptr_t)p);
}

// The live slot that begins at p, or NULL.
static struct area *
slot_of(const void *p)
{
    struct area *a = area_at((uintptr_t)p);

    return a && a->inuse && a->map.base == (uintptr_t)p ? a : NULL;
}

// Memory of another allocator that was elided as general memory is being freed: its contents are nobody's.
static void
alloc_general_free(void *p)
{
    uintptr_t start, end;

    if (!area_hint_general((uintptr_t)p))
        return;
    start = zpage_up(p);
    end = zpage_down((uintptr_t)p + real.malloc_usable_size(p));
    if (end > start)
        area_undef_range(start, end);
}

// realloc may read and move it inside the C library, with no hook to tell.
static void
alloc_general_restore(void *p)
{
    if (area_hint_general((uintptr_t)p))
        area_restore_range((uintptr_t)p, (uintptr_t)p + real.malloc_usable_size(p), true);
}

ZIO_EXPORT void *
malloc(size_t n)
{
    if (unlikely(n >= arena_min)) {
        void *p = arena_malloc(n, CALLER);

        if (p)
            return p;
    }
    if (unlikely(!zio_real_ready))
        zio_real_init();
    return real.malloc(n);
}

ZIO_EXPORT void
free(void *p)
{
    struct zio_guard g;
    struct area *a;
    int saved;

    if (likely(!in_arena(p))) {
        if (unlikely(!zio_real_ready))
            zio_real_init();
        if (p && atomic_load_explicit(&area_ngeneral, memory_order_relaxed) && zio_on())
            alloc_general_free(p);
        real.free(p);
        return;
    }
    saved = errno;
    zio_lock(&g);
    a = slot_of(p);
    if (a)
        slot_free(a);
    zio_unlock(&g);
    errno = saved;
    if (!a)
        real.free(p); // not ours to judge: the allocator says what it says of a bad pointer
}

ZIO_EXPORT void *
calloc(size_t n, size_t size)
{
    if (unlikely(!zio_real_ready)) {
        static char early[4096]; // dlsym asking, while we ask dlsym
        static size_t used;
        size_t want = (n * size + 15) & ~(size_t)15;

        zio_real_init();
        if (!real.calloc) {
            used += want;
            return used <= sizeof(early) ? early + used - want : NULL;
        }
    }
    return real.calloc(n, size);
}

// Out of the arena, within it, or into it.
static void *
move_to(void *p, struct area *a, size_t n, uintptr_t ra)
{
    size_t old = a ? pages_of(a->req) << ZPAGE_SHIFT : real.malloc_usable_size(p), keep = min_of(old, n);
    void *q = n >= arena_min ? arena_malloc(n, ra) : NULL;
    struct area *to;
    struct zio_guard g;
    bool moved = false;

    if (!q)
        q = real.malloc(n);
    if (!q)
        return NULL;
    if (a && in_arena(q)) {
        zio_lock(&g);
        to = area_at((uintptr_t)q);
        moved = area_transfer(a, to, (uint32_t)pages_of(keep));
        zio_unlock(&g);
    }
    if (!moved) {
        if (keep >= zio_cfg.threshold && zio_on())
            zio_copy(q, p, keep, ra);
        else
            real.memcpy(q, p, keep);
    }
    free(p);
    return q;
}

static void *
re_alloc(void *p, size_t n, uintptr_t ra)
{
    struct zio_guard g;
    struct area *a;
    bool stays = false;

    if (unlikely(!zio_real_ready))
        zio_real_init();
    if (likely(!in_arena(p))) {
        if (p && n >= arena_min && n > real.malloc_usable_size(p))
            return move_to(p, NULL, n, ra);
        if (p && atomic_load_explicit(&area_ngeneral, memory_order_relaxed) && zio_on())
            alloc_general_restore(p);
        return real.realloc(p, n);
    }
    if (n == 0) {
        free(p);
        return NULL;
    }
    zio_lock(&g);
    a = slot_of(p);
    if (a && n <= (size_t)a->map.npages << ZPAGE_SHIFT && n >= ARENA_MIN / 4 && n >= a->req / 4) {
        zio_count(arena_bytes, n - a->req);
        a->req = n;
        stays = true;
    }
    zio_unlock(&g);
    if (stays)
        return p;
    if (!a)
        return real.realloc(p, n);
    return move_to(p, a, n, ra);
}

ZIO_EXPORT void *
realloc(void *p, size_t n)
{
    if (!p && n >= arena_min) {
        void *q = arena_malloc(n, CALLER);

        if (q)
            return q;
    }
    return re_alloc(p, n, CALLER);
}

ZIO_EXPORT void *
reallocarray(void *p, size_t n, size_t size)
{
    size_t bytes;

    if (unlikely(!zio_real_ready))
        zio_real_init();
    // An allocator in front of us may lack this call (jemalloc 5.3 does): the C library's goes to its
    // realloc.
    if (!arena_vm.size)
        return real.reallocarray(p, n, size);
    if (__builtin_mul_overflow(n, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return re_alloc(p, bytes, CALLER);
}

// Without the lock: the pointer is live, so its slot's record stands still (redis asks at every malloc and
// free).
ZIO_EXPORT size_t
malloc_usable_size(void *p)
{
    if (in_arena(p)) {
        struct area *a = slot_of(p);

        return a ? pages_of(a->req) << ZPAGE_SHIFT : 0;
    }
    if (unlikely(!zio_real_ready))
        zio_real_init();
    return real.malloc_usable_size(p);
}

// Aligned allocations: slots begin on a granule (64 KiB).
#define ALIGNED(align, n) ((n) >= arena_min && (align) <= VM_GRANULE && ((align) & ((align)-1)) == 0)

ZIO_EXPORT void *
memalign(size_t align, size_t n)
{
    void *p = ALIGNED(align, n) ? arena_malloc(n, CALLER) : NULL;

    if (unlikely(!zio_real_ready))
        zio_real_init();
    return p ? p : real.memalign(align, n);
}

ZIO_EXPORT void *
aligned_alloc(size_t align, size_t n)
{
    void *p = align && ALIGNED(align, n) ? arena_malloc(n, CALLER) : NULL;

    if (unlikely(!zio_real_ready))
        zio_real_init();
    return p ? p : real.aligned_alloc(align, n);
}

ZIO_EXPORT int
posix_memalign(void **out, size_t align, size_t n)
{
    void *p = align >= sizeof(void *) && ALIGNED(align, n) ? arena_malloc(n, CALLER) : NULL;

    if (unlikely(!zio_real_ready))
        zio_real_init();
    if (!p)
        return real.posix_memalign(out, align, n);
    *out = p;
    return 0;
}

ZIO_EXPORT void *
valloc(size_t n)
{
    return memalign(ZPAGE, n);
}

ZIO_EXPORT void *
pvalloc(size_t n)
{
    return memalign(ZPAGE, (n + ZPAGE_MASK) & ~ZPAGE_MASK);
}
