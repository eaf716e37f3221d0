// SPDX-License-Identifier: Apache-2.0
// The memory of libfsclient.so, apart from the program's. The library lies in strangers' processes, and a
// signal handler of theirs may open a file at any instruction, also one inside of malloc: had the library
// called the same malloc, it would wait for a lock that its own thread holds. These functions are found
// before the C library's by everything that is linked into libfsclient.so (its SQLite, too), and by nobody
// else: the version script keeps them inside.
//
// No locks, so that neither a handler nor a fork child meets one that is held: a lock-free stack of free
// blocks for each size class (Treiber, IBM RJ 5118, 1986), each head being an index and a count against ABA
// in one word. Memory comes from one reserved range, in runs, and stays here; large blocks are mappings of
// their own. What the C library allocated (realpath(path, NULL)) is told by its address and goes back there.
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "fsclient/heap.h"

#define UNIT 16u                        // bytes; of alignment and of indexes
#define RANGE ((size_t)4 << 30)         // bytes of addresses
#define RANGE_SMALL ((size_t)256 << 20) // the same where addresses are limited
#define LARGE ((size_t)64 << 10)        // bytes: from here on a mapping of its own
#define RUN ((size_t)64 << 10)          // bytes taken from the range for a class at once
#define CLASSES 44                      // 16, 32, 48, 64, then four to each doubling
#define MAGIC 0x7a696f2d68656170u

// In front of each block that was given out.
struct head {
    uint32_t cls;   // CLASSES: a mapping of its own
    uint32_t back;  // bytes from the block's start to what the caller has
    uint64_t check; // MAGIC ^ address, so that a foreign one is told
};

static _Atomic uintptr_t range;         // its start; 0: not reserved yet
static _Atomic size_t range_size;       // 0 with a start: could not be
static _Atomic size_t taken;            // bytes of the range
static _Atomic uint64_t freed[CLASSES]; // index + 1 in the low half, a count in the high one

static size_t
class_size(unsigned cls)
{
    unsigned double_of;

    if (cls < 4)
        return (cls + 1) * (size_t)UNIT;
    double_of = (cls - 4) / 4;
    return ((size_t)64 << double_of) + ((size_t)16 << double_of) * ((cls - 4) % 4 + 1);
}

static unsigned
class_of(size_t bytes)
{
    unsigned top;

    if (bytes <= 64)
        return bytes ? (unsigned)((bytes - 1) / UNIT) : 0;
    top = 63 - (unsigned)__builtin_clzll(bytes - 1); // 2^top < bytes <= 2^(top + 1)
    return 4 + (top - 6) * 4 + (unsigned)((bytes - 1 - ((size_t)1 << top)) >> (top - 2));
}

// Whoever comes first reserves; who loses that race gives its own back.
static uintptr_t
reserve(void)
{
    size_t sizes[] = {RANGE, RANGE_SMALL};
    uintptr_t none = 0;

    for (int i = 0; i < 2; i++) {
        void *p =
            mmap(NULL, sizes[i], PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

        if (p == MAP_FAILED)
            continue;
        if (!atomic_compare_exchange_strong(&range, &none, (uintptr_t)p))
            munmap(p, sizes[i]);
        else
            atomic_store(&range_size, sizes[i]);
        break;
    }
    return atomic_load(&range);
}

static uintptr_t
block_at(uint32_t index)
{
    return atomic_load_explicit(&range, memory_order_relaxed) + (uintptr_t)index * UNIT;
}

static void
push(unsigned cls, uintptr_t block)
{
    uint64_t old = atomic_load(&freed[cls]), now;
    uint32_t index = (uint32_t)((block - atomic_load_explicit(&range, memory_order_relaxed)) / UNIT);

    do {
        atomic_store_explicit((_Atomic uint32_t *)block, (uint32_t)old, memory_order_relaxed);
        now = ((old >> 32) + 1) << 32 | (index + 1);
    } while (!atomic_compare_exchange_weak(&freed[cls], &old, now));
}

static uintptr_t
pop(unsigned cls)
{
    uint64_t old = atomic_load(&freed[cls]), now;
    uintptr_t block;

    do {
        if (!(uint32_t)old)
            return 0;
        block = block_at((uint32_t)old - 1);
        // May be another's by now, and hold anything: then the count has moved, and the exchange fails.
        now = ((old >> 32) + 1) << 32 | atomic_load_explicit((_Atomic uint32_t *)block, memory_order_relaxed);
    } while (!atomic_compare_exchange_weak(&freed[cls], &old, now));
    return block;
}

// A run from the range: its first block is the caller's, the others are free.
static uintptr_t
carve(unsigned cls)
{
    size_t size = class_size(cls), run = size < RUN / 8 ? RUN / size * size : size;
    uintptr_t start = atomic_load(&range);
    size_t at;

    if (!start && !(start = reserve()))
        return 0;
    at = atomic_fetch_add(&taken, run);
    if (at + run > atomic_load(&range_size)) {
        atomic_fetch_sub(&taken, run);
        return 0;
    }
    for (size_t b = size; b + size <= run; b += size)
        push(cls, start + at + b);
    return start + at;
}

static void *
hand_out(uintptr_t block, unsigned cls, size_t align)
{
    uintptr_t user = (block + sizeof(struct head) + align - 1) & ~(align - 1);
    struct head *h = (struct head *)user - 1;

    // May lie where a pop that is about to fail still looks.
    atomic_store_explicit((_Atomic uint32_t *)&h->cls, cls, memory_order_relaxed);
    h->back = (uint32_t)(user - block);
    h->check = MAGIC ^ user;
    return (void *)user;
}

// A mapping of its own begins with its size; align is at most a page's half, or the mapping has room for
// more.
static void *
map_large(size_t n, size_t align)
{
    size_t whole = (n + align + 2 * sizeof(struct head) + 4095) & ~(size_t)4095;
    uintptr_t p;

    if (whole < n)
        return NULL;
    p = (uintptr_t)mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == (uintptr_t)MAP_FAILED)
        return NULL;
    *(size_t *)p = whole;
    return (char *)hand_out(p + sizeof(struct head), CLASSES, align);
}

static void *
allocate(size_t n, size_t align)
{
    size_t want = n + sizeof(struct head) + (align > UNIT ? align : 0);
    void *p = NULL;
    uintptr_t block;

    if (want >= n && want <= LARGE) {
        unsigned cls = class_of(want);

        block = pop(cls);
        if (!block)
            block = carve(cls);
        if (block)
            p = hand_out(block, cls, align < UNIT ? UNIT : align);
    }
    if (!p && want >= n) // too large, or the range is full
        p = map_large(n, align < UNIT ? UNIT : align);
    if (!p)
        errno = ENOMEM;
    return p;
}

static struct head *
head_of(void *p)
{
    struct head *h = (struct head *)p - 1;

    return ((uintptr_t)p & (UNIT - 1)) == 0 && h->check == (MAGIC ^ (uintptr_t)p) ? h : NULL;
}

// Bytes that the caller may use.
static size_t
room(const struct head *h)
{
    uintptr_t block = (uintptr_t)(h + 1) - h->back;

    if (h->cls < CLASSES)
        return class_size(h->cls) - h->back;
    return *(size_t *)(block - sizeof(struct head)) - sizeof(struct head) - h->back;
}

void *
heap_malloc(size_t n)
{
    return allocate(n, UNIT);
}

void *
heap_calloc(size_t n, size_t size)
{
    size_t bytes;
    void *p;

    if (__builtin_mul_overflow(n, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    p = allocate(bytes, UNIT);
    if (p && head_of(p)->cls < CLASSES)
        memset(p, 0, bytes);
    return p;
}

void *
heap_aligned(size_t align, size_t n)
{
    if (align == 0 || align & (align - 1) || align > LARGE) {
        errno = EINVAL;
        return NULL;
    }
    return allocate(n, align);
}

bool
heap_free(void *p)
{
    struct head *h = head_of(p);
    uintptr_t block;
    int saved = errno;

    if (!h)
        return false;
    block = (uintptr_t)p - h->back;
    h->check = 0; // a second free goes to the C library, which stops the program
    if (h->cls < CLASSES) {
        push(h->cls, block);
    } else {
        block -= sizeof(struct head);
        munmap((void *)block, *(size_t *)block);
    }
    errno = saved;
    return true;
}

size_t
heap_room(void *p)
{
    struct head *h = head_of(p);

    return h ? room(h) : 0;
}

size_t
heap_taken(void)
{
    return atomic_load(&taken);
}
