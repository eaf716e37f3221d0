// SPDX-License-Identifier: Apache-2.0
// What a thread has for itself, so that threads which read one file write to no common cache line: the file
// that it uses at the moment, and counts that it has not yet added to the page.
//
// A file in use is a hazard pointer (M. Michael, "Hazard Pointers", IEEE TPDS 15(6), 2004): the thread says
// which file it uses, then looks whether the descriptor still stands for it. Whoever drops the last reference
// has taken the file out of the table before, and then looks at the threads: where one uses it, that one lets
// go of it in the end (`dying`). To hold costs one locked instruction on a line of the thread's own, to
// release none: the two sides are put in order by membarrier(2), on the side that is rare. A file that no
// thread but its maker ever used (not `many`) is not looked for when that one drops it.
#include <errno.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "libzio/real.h"
#include "libzio/route_priv.h"
#include "libzio/sys.h"

#define THREADS 1024u // that have a place of their own; others count references
#define LATER 64u     // calls that a thread counts before it tells

struct thread {
    struct route_file *_Atomic using;
    _Atomic uint32_t taken;
    uint32_t seen;            // calls counted, up to LATER
    uint64_t n[ROUTE_COUNTS]; // not yet told
    pthread_t self;
    atomic_bool unmasked; // it is in the guard with its signals open
} __attribute__((aligned(64)));

_Static_assert(ZIO_C_route_reads + ROUTE_WRITES == ZIO_C_route_writes &&
                   ZIO_C_route_reads + ROUTE_COUNTS - 1 == ZIO_C_route_write_bytes,
               "counts are in the order of ZIO_COUNTERS");
_Static_assert(sizeof(struct thread) == 64, "a cache line");

static struct thread threads[THREADS];
static _Atomic uint32_t top; // none from here on was ever taken
static pthread_key_t key;
static bool have_key;
bool route_fenced = true; // membarrier(2) is not there: who releases orders for himself
_Thread_local atomic_bool *route_unmasked __attribute__((tls_model("initial-exec")));
static _Thread_local struct thread *mine __attribute__((tls_model("initial-exec")));
static _Thread_local bool none_left __attribute__((tls_model("initial-exec")));

// ---- places ----

static void
tell(struct thread *t)
{
    for (unsigned i = 0; i < ROUTE_COUNTS; i++) {
        uint64_t v = __atomic_exchange_n(&t->n[i], 0, __ATOMIC_RELAXED);

        if (v)
            route_count(ZIO_C_route_reads + i, v);
    }
}

static void
leave(void *p)
{
    struct thread *t = p;

    tell(t);
    mine = NULL;
    route_unmasked = NULL;
    atomic_store_explicit(&t->taken, 0, memory_order_release);
}

static struct thread *
place(void)
{
    uint32_t high;

    if (likely(mine != NULL) || none_left || !have_key)
        return mine;
    for (uint32_t i = 0; i < THREADS; i++) {
        uint32_t none = 0;

        if (atomic_load_explicit(&threads[i].taken, memory_order_relaxed) ||
            !atomic_compare_exchange_strong(&threads[i].taken, &none, 1))
            continue;
        if (pthread_setspecific(key, &threads[i]) != 0) {
            atomic_store(&threads[i].taken, 0);
            break;
        }
        high = atomic_load(&top);
        while (high <= i && !atomic_compare_exchange_weak(&top, &high, i + 1))
            ;
        threads[i].seen = 0;
        threads[i].self = pthread_self();
        route_unmasked = &threads[i].unmasked;
        return mine = &threads[i];
    }
    none_left = true;
    return NULL;
}

void *
route_thread(void)
{
    return place();
}

// ---- files in use ----

static bool
in_use(const struct route_file *f)
{
    uint32_t n = atomic_load(&top);

    for (uint32_t i = 0; i < n; i++)
        if (atomic_load(&threads[i].using) == f)
            return true;
    return false;
}

static long
membarrier(int cmd)
{
    return zsys3(SYS_membarrier, cmd, 0, 0);
}

// What other threads did before this, or see of what was done before it, is one order.
static void
barrier(void)
{
    if (!route_fenced && membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) == -EPERM) {
        membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
        membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
    }
}

// No reference is left. Must the caller let go of it?
bool
route_file_last(struct route_file *f)
{
    // Pairs with the exchange in hold(): who uses the file has said so before it found it in the table, from
    // where it was taken before.
    atomic_thread_fence(memory_order_seq_cst);
    if (likely(f->maker && f->maker == mine && !atomic_load_explicit(&f->many, memory_order_relaxed)))
        return true;
    if (!in_use(f))
        return true;
    atomic_store(&f->dying, true);
    // Whoever did not see this yet has its release seen from here on.
    barrier();
    return !in_use(f) && atomic_exchange(&f->dying, false);
}

static void
end_for_others(struct route_file *f)
{
    int old;

    for (;;) {
        if (in_use(f) || !atomic_exchange(&f->dying, false))
            return;
        // Between the two it may have been ended, used for another file, and closed again while a thread
        // used that: then it is that one's to end.
        if (likely(!in_use(f)))
            break;
        atomic_store(&f->dying, true);
        barrier();
    }
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
    route_file_end(f);
    pthread_setcancelstate(old, NULL);
}

static void
release(struct thread *t, struct route_file *f)
{
    atomic_store_explicit(&t->using, NULL, memory_order_release);
    if (unlikely(route_fenced))
        atomic_thread_fence(memory_order_seq_cst);
    atomic_signal_fence(memory_order_seq_cst); // pairs with the membarrier in route_file_last
    if (unlikely(atomic_load_explicit(&f->dying, memory_order_relaxed)))
        end_for_others(f);
}

// `many` is looked at behind the table: f may have been closed, opened again under the same number, and be
// its maker's alone again since it was found there first. And the table again where `many` had to be set.
static struct route_file *
hold(struct thread *t, int fd)
{
    for (;;) {
        struct route_file *f = atomic_load_explicit(&route_fds[fd], memory_order_acquire);

        if (!f)
            return NULL;
        atomic_exchange(&t->using, f); // pairs with the fence in route_file_last
        while (likely(atomic_load_explicit(&route_fds[fd], memory_order_acquire) == f)) {
            if (likely(f->maker == t) || atomic_load_explicit(&f->many, memory_order_relaxed))
                return f;
            atomic_exchange(&f->many, true); // pairs with the same fence
        }
        release(t, f);
    }
}

struct route_file *
route_begin(struct route_guard *g, struct route_use *u, int fd)
{
    bool outer = route_enter_outer(g);
    struct thread *t = place();

    u->thread = NULL;
    if (unlikely(!t || t->using)) {
        if (outer)
            route_enter_cancel(g);
        u->f = route_file_get(fd);
    } else {
        u->f = route_fd(fd) ? hold(t, fd) : NULL;
        if (likely(u->f)) {
            u->thread = t;
            // The exchange in hold() comes before this look, as the store in pthread_cancel comes before its
            // own: either the thread is seen to be inside, and is waited for, or it sees this.
            if (unlikely(atomic_load_explicit(&route_cancels, memory_order_relaxed)) && outer)
                route_enter_cancel(g);
            if (unlikely(!atomic_load_explicit(&u->f->file, memory_order_acquire)))
                route_file_open(u->f);
        }
    }
    if (unlikely(!u->f))
        route_leave(g);
    return u->f;
}

void
route_end(struct route_guard *g, struct route_use *u)
{
    if (likely(u->thread))
        release(u->thread, u->f);
    else
        route_file_put(u->f);
    route_leave(g);
}

// ---- cancelling ----

_Atomic bool route_cancels;

// A thread that entered before anybody was ever cancelled did not disable it, which costs two locked
// instructions a call: it is let out first.
ZIO_EXPORT int
pthread_cancel(pthread_t thread)
{
    if (unlikely(!zio_real_ready))
        zio_real_init();
    atomic_store(&route_cancels, true);
    for (uint32_t i = 0; i < atomic_load(&top); i++)
        while (threads[i].self == thread && atomic_load(&threads[i].taken) && &threads[i] != mine &&
               atomic_load(&threads[i].using))
            zsys0(SYS_sched_yield);
    return real.pthread_cancel(thread);
}

// ---- the first handler ----

// A thread that entered before the program had any did not block its signals: it is let out first, or a
// handler that ran in it would be taken for a part of the library. Who is not out after two seconds waits for
// another process, or is not here: this one was forked by an instruction of the program's own.
void
route_threads_unmasked(void)
{
    uint32_t n = atomic_load(&top);
    struct timespec now, end;

    if (n == 0)
        return;
    atomic_thread_fence(memory_order_seq_cst);
    barrier(); // pairs with the look at the handlers in route_enter_outer
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += 2;
    for (uint32_t i = 0; i < n; i++)
        while (&threads[i] != mine && atomic_load(&threads[i].taken) && atomic_load(&threads[i].unmasked)) {
            zsys0(SYS_sched_yield);
            clock_gettime(CLOCK_MONOTONIC, &now);
            if (now.tv_sec > end.tv_sec || (now.tv_sec == end.tv_sec && now.tv_nsec > end.tv_nsec))
                return;
        }
}

// ---- counts ----

void
route_count_io(struct route_use *u, unsigned which, uint64_t bytes)
{
    struct thread *t = u->thread;

    if (unlikely(!t)) {
        route_count(ZIO_C_route_reads + which, 1);
        route_count(ZIO_C_route_reads + which + 1, bytes);
        return;
    }
    __atomic_store_n(&t->n[which], t->n[which] + 1, __ATOMIC_RELAXED);
    __atomic_store_n(&t->n[which + 1], t->n[which + 1] + bytes, __ATOMIC_RELAXED);
    // A short program's are told as they come.
    if (likely(t->seen >= LATER) && likely(t->n[which] < LATER))
        return;
    t->seen += t->seen < LATER;
    tell(t);
}

void
route_counts_tell(void)
{
    for (uint32_t i = 0; i < atomic_load(&top); i++)
        tell(&threads[i]);
}

// ---- the process ----

void
route_thread_start(void)
{
    have_key = pthread_key_create(&key, leave) == 0;
    route_fenced = membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) < 0;
}

// The other threads are not here. What one of them should have let go of is the caller's to do: in `late`.
void
route_thread_fork_child(void (*late)(struct route_file *f))
{
    for (uint32_t i = 0; i < atomic_load(&top); i++) {
        struct thread *t = &threads[i];
        struct route_file *f = atomic_load(&t->using);

        memset(t->n, 0, sizeof t->n);
        if (t == mine)
            continue;
        atomic_store(&t->using, NULL);
        atomic_store(&t->unmasked, false);
        atomic_store(&t->taken, 0);
        if (f && atomic_exchange(&f->dying, false))
            late(f);
    }
}
