// SPDX-License-Identifier: Apache-2.0
// The engine's lock: a futex, held for microseconds. A signal handler of the program that ran while its
// thread holds the lock and then touched absent memory would wait for ever, so signals are blocked meanwhile.
// That costs two system calls, and is skipped as long as the program has no handler at all (hooks_sig.c
// tells).
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/mman.h>
#include <time.h>

#include "libzio/helper.h"
#include "libzio/memops.h"
#include "libzio/route_priv.h"
#include "libzio/segmap.h"
#include "libzio/sys.h"
#include "libzio/zio.h"

// The kernel zeroes this page in every fork child (MADV_WIPEONFORK, Linux 4.14): the lock is free there
// whoever held it, and `ours` tells a child that no hook of ours prepared.
struct lock_page {
    _Atomic uint32_t word; // 0 free, 1 held, 2 held and waited for
    _Atomic int owner;     // tid of the holder, for the fault helper
    _Atomic int ours;
};
static struct lock_page first = {.ours = 1};
static struct lock_page *lp = &first;
static _Atomic bool handlers; // the program has signal handlers
static __thread int my_tid __attribute__((tls_model("initial-exec")));

void
zio_block_signals(uint64_t *old)
{
    uint64_t all = ~0ull;

    zsys4(SYS_rt_sigprocmask, SIG_SETMASK, &all, old, 8);
}

void
zio_restore_signals(const uint64_t *old)
{
    zsys4(SYS_rt_sigprocmask, SIG_SETMASK, old, 0, 8);
}

// A thread that forks holds the lock (init.c) while the C library takes its own: malloc's, stdio's. Whose
// handler we are in may hold one of those. So the lock changes hands where that thread is seen waiting for a
// lock; its fork goes on without us (helper_fork_taken).
#define FORK_WAIT_NS (5 * 1000 * 1000)
#define FORK_WAITS 4

bool
zio_waits_for_lock(int tid)
{
    char path[48] = "/proc/self/task/", buf[8] = "", digits[12];
    char *p = path + 16;
    long fd, n;
    int d = 0;

    while (tid || !d) {
        digits[d++] = (char)('0' + tid % 10);
        tid /= 10;
    }
    while (d)
        *p++ = digits[--d];
    __builtin_memcpy(p, "/syscall", 9);
    fd = zsys3(SYS_open, path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return true; // not to be known: it has had its time
    n = zsys3(SYS_read, fd, buf, sizeof(buf));
    zsys1(SYS_close, fd);
    return n > 4 && buf[0] == '2' && buf[1] == '0' && buf[2] == '2' && buf[3] == ' '; // SYS_futex
}
_Static_assert(SYS_futex == 202, "zio_waits_for_lock");

static bool
take_from_fork(unsigned waits)
{
    int tid = helper_fork_thread();

    return tid && waits >= FORK_WAITS && zio_waits_for_lock(tid) && helper_fork_taken(tid);
}

static bool
acquire(const struct timespec *deadline)
{
    uint32_t c;

    for (int spin = 0; spin < 100; spin++) {
        c = 0;
        if (atomic_compare_exchange_weak_explicit(&lp->word, &c, 1, memory_order_acquire,
                                                  memory_order_relaxed))
            return true;
        __builtin_ia32_pause();
    }
    for (unsigned waits = 0; atomic_exchange_explicit(&lp->word, 2, memory_order_acquire) != 0;
         waits++) { // pairs with the release in unlock
        struct timespec turn = {0, FORK_WAIT_NS};

        if (zsys4(SYS_futex, &lp->word, FUTEX_WAIT_PRIVATE, 2, deadline ? deadline : &turn) == -ETIMEDOUT &&
            (deadline || take_from_fork(waits)))
            return !deadline;
    }
    return true;
}

void
zio_lock_raw(void)
{
    acquire(NULL);
}

bool
zio_lock_raw_timed(long ns)
{
    struct timespec t = {0, ns};

    return acquire(&t);
}

void
zio_unlock_raw(void)
{
    if (atomic_exchange_explicit(&lp->word, 0, memory_order_release) == 2)
        zsys3(SYS_futex, &lp->word, FUTEX_WAKE_PRIVATE, 1);
}

void
zio_lock(struct zio_guard *g)
{
    if (unlikely(helper_is_me())) { // no thread-local data there, and its signals are blocked for good
        struct timespec t = {0, 5 * 1000 * 1000};

        g->masked = false;
        while (!acquire(&t))
            helper_leave_if_alone();
        return;
    }
    for (;;) {
        g->masked = atomic_load_explicit(&handlers, memory_order_acquire);
        if (g->masked)
            zio_block_signals(&g->oldmask);
        acquire(NULL);
        // A handler that was announced while we waited: announce() held the lock, so this sees it.
        if (g->masked || likely(!atomic_load_explicit(&handlers, memory_order_relaxed)))
            break;
        zio_unlock_raw();
    }
    if (unlikely(!atomic_load_explicit(&lp->ours, memory_order_relaxed))) {
        atomic_store(&lp->ours, 1);
        my_tid = 0;
        zio_orphaned("forked by a system call that no hook saw");
    }
    if (unlikely(!my_tid))
        my_tid = (int)zsys0(SYS_gettid);
    atomic_store_explicit(&lp->owner, my_tid, memory_order_relaxed);
}

// While something is absent, copies of a page and more ask where their source is; otherwise only those that
// may become elided.
static void
set_gate(void)
{
    size_t want = segmap_absent_pages ? min_of(ZPAGE, zio_cfg.threshold) : zio_cfg.threshold;

    if (memops_gate != want && memops_gate != SIZE_MAX) // SIZE_MAX: elision is off
        memops_gate = want;
}

void
zio_unlock(struct zio_guard *g)
{
    set_gate();
    __atomic_store_n(&zio_page->counter[ZIO_C_absent_bytes], segmap_absent_pages << ZPAGE_SHIFT,
                     __ATOMIC_RELAXED);
    atomic_store_explicit(&lp->owner, 0, memory_order_relaxed);
    zio_unlock_raw();
    if (g->masked)
        zio_restore_signals(&g->oldmask);
}

void
zio_lock_init(void)
{
    long p = zsys6(SYS_mmap, 0, ZPAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p < 0 && p > -4096)
        return;
    if (zsys3(SYS_madvise, p, ZPAGE, MADV_WIPEONFORK) < 0)
        return;
    lp = (struct lock_page *)p;
    lp->ours = 1;
}

bool
zio_lock_owned_by(int tid)
{
    return atomic_load_explicit(&lp->owner, memory_order_relaxed) == tid;
}

void
zio_lock_reinit(void)
{
    atomic_store(&lp->word, 0);
    atomic_store(&lp->owner, 0);
    atomic_store(&lp->ours, 1);
    my_tid = 0;
}

void
zio_signals_seen(void)
{
    if (atomic_load_explicit(&handlers, memory_order_acquire))
        return;
    // Under the lock, so that nobody who holds it unmasked is still inside when the handler is installed.
    zio_lock_raw();
    atomic_store_explicit(&handlers, true, memory_order_release);
    zio_unlock_raw();
    route_threads_unmasked();
}

bool
zio_has_handlers(void)
{
    return atomic_load_explicit(&handlers, memory_order_acquire);
}
