// SPDX-License-Identifier: Apache-2.0
// Is that the program's memory? The kernel says EFAULT where it meets a pointer to something else; the
// library would meet a signal. So it looks first: each thread remembers a few ranges of which the kernel has
// said that they may be read, or written, until any thread changes a mapping by a call that may take
// something away. (What the C library unmaps inside itself, what free gives back for instance, is no memory
// of the program's any more: who still passes it on gets the signal.)
//
// The kernel is asked for the whole mapping (PROCMAP_QUERY, Linux 6.11), three microseconds, or for a page
// by a call that reads or writes it and does nothing else, a third of one.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <string.h>

#include "libzio/route_priv.h"
#include "libzio/sys.h"
#include "libzio/uffd_compat.h"
#include "libzio/zio.h"

#define LOWEST 65536u           // mmap_min_addr
#define HIGHEST 0x7ffffffff000u // the end of a program's addresses
#define RANGES 8
#define FEW_PAGES 2   // so many are asked for by the page
#define WHOLE_EVERY 4 // and each so many times not

struct range {
    uintptr_t start, end;
    bool room; // it may be written, too
};

_Atomic uint32_t route_memory_changes = 1;
// A handler may come in between any two instructions, and use it: whoever fills a range has it for himself.
static _Thread_local struct {
    uint32_t as_of; // route_memory_changes
    uint32_t next;
    uint32_t asked;
    struct range range[RANGES];
} known __attribute__((tls_model("initial-exec")));

static const struct range *
find(uintptr_t a, bool room)
{
    if (unlikely(known.as_of != atomic_load_explicit(&route_memory_changes, memory_order_acquire)))
        return NULL;
    for (unsigned i = 0; i < RANGES; i++) {
        const struct range *r = &known.range[i];

        if (a >= r->start && a < r->end && (!room || r->room))
            return r;
    }
    return NULL;
}

static void
remember(uint32_t as_of, uintptr_t start, uintptr_t end, bool room)
{
    struct range *r = &known.range[known.next++ % RANGES];

    if (known.as_of != as_of) {
        for (unsigned i = 0; i < RANGES; i++)
            known.range[i].end = 0;
        atomic_signal_fence(memory_order_seq_cst);
        known.as_of = as_of;
    }
    r->end = 0;
    atomic_signal_fence(memory_order_seq_cst);
    r->start = start;
    r->room = room;
    atomic_signal_fence(memory_order_seq_cst);
    r->end = end;
}

// ---- the kernel ----

// rt_sigprocmask reads its new mask before it sees that it is to do nothing known with it; FUTEX_WAKE_OP adds
// 0 and wakes nobody.
static bool
touch(uintptr_t page, bool room)
{
    static uint32_t word;

    if (room)
        return zsys6(SYS_futex, (long)&word, FUTEX_WAKE_OP_PRIVATE, 0, 0, (long)page,
                     FUTEX_OP(FUTEX_OP_ADD, 0, FUTEX_OP_CMP_LT, -2048)) != -EFAULT;
    return zsys4(SYS_rt_sigprocmask, INT_MAX, page, 0, 8) != -EFAULT;
}

// Bytes of the n at a that may be read or written, page by page.
static size_t
touch_all(uintptr_t a, size_t n, bool room)
{
    uintptr_t page = zpage_down(a);

    while (page < a + n && touch(page, room))
        page += ZPAGE;
    return page <= a ? 0 : min_of(n, page - a);
}

struct answer {
    uintptr_t start, end; // of what may be used, around it
    bool room;
    bool cannot; // it was not to be known
};

static void
ask(uintptr_t a, size_t n, bool room, struct answer *r)
{
    long fd = zsys4(SYS_openat, AT_FDCWD, "/proc/self/maps", O_RDONLY | O_CLOEXEC, 0);

    *r = (struct answer){a, a, true, fd < 0};
    while (fd >= 0 && r->end < a + n) {
        struct procmap_query q = {.size = sizeof q, .query_addr = r->end};
        long err = zsys3(SYS_ioctl, fd, PROCMAP_QUERY, &q);

        if (err < 0)
            r->cannot = err != -ENOENT;
        if (err < 0 || !(q.vma_flags & (room ? PROCMAP_QUERY_VMA_WRITABLE : PROCMAP_QUERY_VMA_READABLE)))
            break;
        if (r->end == a)
            r->start = q.vma_start;
        r->room &= (q.vma_flags & PROCMAP_QUERY_VMA_WRITABLE) != 0;
        r->end = q.vma_end;
    }
    if (fd >= 0)
        zsys1(SYS_close, fd);
}

static size_t
find_out(uintptr_t a, size_t n, bool room)
{
    uint32_t as_of = atomic_load_explicit(&route_memory_changes, memory_order_acquire);
    uintptr_t first = zpage_down(a), last = zpage_up(a + n);
    struct zio_guard g;
    struct answer r;
    size_t good;

    if (!room && last - first <= FEW_PAGES * ZPAGE && known.asked++ % WHOLE_EVERY &&
        touch_all(a, n, room) == n) {
        remember(as_of, first, last, false);
        return n;
    }
    ask(a, n, room, &r);
    if (r.cannot) {
        good = touch_all(a, n, room);
        if (good)
            remember(as_of, first, good == n ? last : zpage_down(a + good), room);
        return good;
    }
    if (r.end < a + n && zio_on()) { // pages may be on the move
        zio_lock(&g);
        ask(a, n, room, &r);
        zio_unlock(&g);
    }
    if (r.end > a)
        remember(as_of, r.start, r.end, r.room);
    return min_of(n, r.end - a);
}

// ---- what is asked here ----

size_t
route_good_bytes(const void *p, size_t n, bool room)
{
    uintptr_t a = (uintptr_t)p;
    const struct range *r = find(a, room);

    if (likely(r && n <= r->end - a))
        return n;
    if (n == 0 || a < LOWEST || a >= HIGHEST)
        return 0;
    return find_out(a, min_of(n, HIGHEST - a), room);
}

bool
route_no_address(const void *p, size_t n)
{
    return n > 0 && ((uintptr_t)p > HIGHEST - n || n > HIGHEST);
}

bool
route_bad_address(const void *p, size_t n)
{
    return unlikely(route_good_bytes(p, n, false) < n);
}

bool
route_bad_room(const void *p, size_t n)
{
    return unlikely(route_good_bytes(p, n, true) < n);
}

bool
route_bad_string(const char *s)
{
    for (size_t seen = 0; seen < PATH_MAX;) {
        const struct range *r = find((uintptr_t)s + seen, false);
        size_t n = r ? r->end - ((uintptr_t)s + seen) : ZPAGE - ((uintptr_t)s + seen) % ZPAGE;

        if (unlikely(!r) && route_good_bytes(s + seen, n, false) < n)
            return true;
        if (likely(n >= PATH_MAX) || memchr(s + seen, '\0', n))
            return false;
        seen += n;
    }
    return false;
}

bool
route_memory_number(long nr)
{
    switch (nr) {
    case SYS_mmap:
    case SYS_munmap:
    case SYS_mremap:
    case SYS_mprotect:
    case SYS_pkey_mprotect:
    case SYS_brk:
    case SYS_shmat:
    case SYS_shmdt:
        return true;
    default:
        return false;
    }
}
