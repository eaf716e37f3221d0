// SPDX-License-Identifier: Apache-2.0
// See helper.h. Everything here runs without the C library's thread state: raw system calls and plain memory
// only.
//
// It leaves when the program dies (its pidfd becomes readable) or execs (its close-on-exec end of the life
// pipe goes away); in the second case, or when somebody closes that pipe by hand, it first puts all absent
// memory back.
#include "libzio/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include "libzio/area.h"
#include "libzio/policy.h"
#include "libzio/real.h"
#include "libzio/sys.h"
#include "libzio/uffd.h"
#include "libzio/uffd_compat.h"
#include "libzio/zio.h"

#define RETRY_MAX 64
#define LATER_MAX 256
#define WINDOW_FIRST 2u
#define WINDOW_MAX 1024u
#define BLANK_FAULTS 3 // so many faults in never-written memory, and the kernel may do it
#define ZEROS ((size_t)64 << 10)
#define WATCH_MS 100 // while something is absent, a debugger that has come is noticed within this time
#define IDLE_MS 1000 // cached pages that nobody wanted for this long go back

uintptr_t helper_memory; // stack, then a thread block, then a run of zeros
static int life_write = -1;
static int helper_pid;
static _Atomic uint32_t ready;

_Atomic bool zio_paused;
#define FORK_LOG 128
static struct {
    _Atomic unsigned n;
    _Atomic bool serving;
    uintptr_t page[FORK_LOG];
} fork_log;                 // pages that were filled during a fork, the map untouched
static _Atomic int forking; // the thread of a hooked fork that is under way, and holds the lock

struct helper {
    int fd[2];     // the helper's own copies of the two userfaultfds
    int life, pid; // the read end of the life pipe; a pidfd of the program
    int program;   // its process id
    unsigned ticks;
    struct {
        int general;
        uintptr_t addr;
    } retry[RETRY_MAX];
    unsigned nretry;
    struct {
        int which;
        struct uffd_msg m;
    } later[LATER_MAX]; // read without the lock, for when we have it
    unsigned nlater;
    bool events_later; // among them one that changes the map
};
static struct helper h;

// Zeros for [p, p + pages) of blank memory, as many as are missing.
// 0, or -EAGAIN when an event must be read first: the thread stays asleep, and the caller tries again.
static int
fill_blank(int fd, uintptr_t at, size_t len)
{
    uintptr_t zeros = helper_memory + HELPER_STACK + HELPER_TLS;

    while (len) {
        long r = uffd_copy(fd, at, zeros, min_of(len, ZEROS));

        if ((r == -ENOENT || r == -EINVAL) && len > ZPAGE)
            r = uffd_copy(fd, at, zeros, ZPAGE); // the range crosses mappings
        if (r == -EEXIST) {
            uffd_wake(fd, at, ZPAGE);
            r = (long)ZPAGE;
        }
        if (r == -EAGAIN)
            return -EAGAIN;
        if (r <= 0) { // gone, or no memory: whoever waits tries again, and finds out
            uffd_wake(fd, at, ZPAGE);
            return 0;
        }
        zio_count(fault_pages_zeroed, r >> ZPAGE_SHIFT);
        at += (uintptr_t)r;
        len -= (size_t)r;
    }
    return 0;
}

// How many pages to put back at this fault: more each time that the program walks on.
static uint32_t
window(struct area *a, uint32_t page)
{
    if (page == a->next_fault && a->faults)
        a->window = min_of(max_of(a->window, 1u) * 4, WINDOW_MAX);
    else
        a->window = WINDOW_FIRST;
    return a->window;
}

static int
fault(int fd, uintptr_t addr)
{
    struct area *a = area_at(addr);
    uint32_t page, i, end;
    struct seg *g;
    int r;

    zio_count(faults, 1);
    if (!a || !a->tracked)
        return fill_blank(fd, zpage_down(addr), ZPAGE);
    page = area_page(a, addr);
    i = segmap_find(&a->map, page);
    g = &a->map.v[i];
    end = page + window(a, page);
    end = min_of(end, segmap_end(&a->map, i));
    if (a->faults < UINT16_MAX)
        a->faults++;
    if (g->kind == SEG_DATA) {
        if (page == a->tail_page)
            policy_tail_touched(g->blk->site);
        a->next_fault = end;
        policy_charge(a->site, policy_fault_ns(end - page));
        r = area_resolve(a, page, end);
        if (r == -EAGAIN)
            return r;
        if (r < 0)
            uffd_wake(fd, zpage_down(addr), ZPAGE); // it will fault again; by then there may be memory
        return 0;
    }
    if (g->kind == SEG_PRESENT)
        return fill_blank(fd, zpage_down(addr), ZPAGE);
    a->next_fault = end;
    policy_charge(a->site, policy_costs.fault);
    if (a->arena && !a->map.absent && a->faults >= BLANK_FAULTS && area_untrack(a) == 0)
        return 0; // the kernel fills the rest by itself
    if (segmap_set(&a->map, page, end, SEG_PRESENT, NULL, 0) < 0) {
        uffd_wake(fd, zpage_down(addr), ZPAGE); // it faults again; by then there may be memory
        return 0;
    }
    return fill_blank(fd, area_addr(a, page), (size_t)(end - page) << ZPAGE_SHIFT);
}

// A child was forked by a raw system call: it gets its own copy of everything absent, and plain memory from
// then on. A hooked fork's child registers again by itself, once this descriptor is closed. Which of the two
// it is was decided before the event was read: reading it lets the fork return.
static void
event_fork(int which, int child, bool hooked)
{
    if (!hooked)
        area_fill_child(child, which == 0);
    zsys1(SYS_close, child);
}

static void
message(int which, const struct uffd_msg *m)
{
    int fd = h.fd[which];

    switch (m->event) {
    case UFFD_EVENT_PAGEFAULT:
        if (fault(fd, m->arg.pagefault.address) != -EAGAIN)
            break;
        if (h.nretry < RETRY_MAX) {
            h.retry[h.nretry].general = which;
            h.retry[h.nretry++].addr = m->arg.pagefault.address;
        } else {
            uffd_wake(fd, zpage_down(m->arg.pagefault.address), ZPAGE);
        }
        break;
    case UFFD_EVENT_FORK:
        zio_count(uffd_events, 1);
        event_fork(which, (int)m->arg.fork.ufd, false); // we hold the lock, so no hooked fork is under way
        break;
    case UFFD_EVENT_UNMAP:
        zio_count(uffd_events, 1);
        area_forget_locked(m->arg.remove.start, m->arg.remove.end, false);
        break;
    case UFFD_EVENT_REMOVE:
        zio_count(uffd_events, 1);
        area_blank_locked(m->arg.remove.start, m->arg.remove.end, false); // DONTNEED or FREE: it does not say
        break;
    case UFFD_EVENT_REMAP:
        zio_count(uffd_events, 1);
        area_moved(m->arg.remap.from, m->arg.remap.to, m->arg.remap.len);
        break;
    default:
        break;
    }
}

static void
leave(void)
{
    zsys1(SYS_exit_group, 0);
    __builtin_unreachable();
}

// A thread with a signal waiting for it does not sleep in a fault of a system call's, but faults again and
// again until the page is there. Kept once, it is answered as well; kept each time, it would leave no room
// for the events that must be read first.
static bool
is_postponed(int which, const struct uffd_msg *m)
{
    if (m->event != UFFD_EVENT_PAGEFAULT)
        return false;
    for (unsigned i = 0; i < h.nlater; i++)
        if (h.later[i].which == which && h.later[i].m.event == UFFD_EVENT_PAGEFAULT &&
            zpage_down(h.later[i].m.arg.pagefault.address) == zpage_down(m->arg.pagefault.address))
            return true;
    return false;
}

static void
postpone(int which, const struct uffd_msg *m, bool hooked)
{
    if (m->event == UFFD_EVENT_FORK) {
        event_fork(which, (int)m->arg.fork.ufd, hooked);
    } else if (is_postponed(which, m)) {
        return;
    } else if (h.nlater < LATER_MAX) {
        h.events_later |= m->event != UFFD_EVENT_PAGEFAULT;
        h.later[h.nlater].which = which;
        h.later[h.nlater].m = *m;
        __atomic_store_n(&h.nlater, h.nlater + 1, __ATOMIC_RELEASE); // pairs with postponed()
    } else if (m->event == UFFD_EVENT_PAGEFAULT) {
        uffd_wake(h.fd[which], zpage_down(m->arg.pagefault.address), ZPAGE);
    }
}

// The program may have died with the lock in its hand.
void
helper_leave_if_alone(void)
{
    struct pollfd p = {.fd = h.pid, .events = POLLIN};

    if (zsys3(SYS_poll, &p, 1, 0) == 1)
        leave();
}

// The lock's holder may itself wait for a fault of ours: a page that it believed present was taken away
// meanwhile by somebody who did not tell. Natively that page would read as zeros; so it does here.
static void
lock_or_rescue(void)
{
    struct uffd_msg m;

    while (!zio_lock_raw_timed(5 * 1000 * 1000)) {
        helper_leave_if_alone();
        for (int w = 0; w < 2; w++) {
            bool hooked = atomic_load(&forking);

            if (h.fd[w] < 0 || zsys3(SYS_read, h.fd[w], &m, sizeof(m)) != (long)sizeof(m))
                continue;
            if (m.event != UFFD_EVENT_PAGEFAULT) {
                postpone(w, &m, hooked || atomic_load(&forking));
            } else if (!h.events_later && zio_lock_owned_by((int)m.arg.pagefault.feat.ptid) &&
                       fill_blank(h.fd[w], zpage_down(m.arg.pagefault.address), ZPAGE) == 0) {
                continue;
            } else {
                postpone(w, &m, hooked);
            }
        }
    }
}

// A fault while a thread forks. That thread holds the lock, and may wait for the C library's malloc locks,
// which the thread that faults may hold: so the page is filled now. But the map stays as it is, since the
// child's copy of it is taken at a moment that nobody here knows; the log tells parent and child what to look
// at afterwards.
static bool
fork_fault(int which, uintptr_t addr)
{
    struct area *a = area_at(addr);
    uintptr_t page = zpage_down(addr), from = helper_memory + HELPER_STACK + HELPER_TLS; // zeros
    unsigned n = atomic_load(&fork_log.n);
    long r;

    if (n == FORK_LOG || h.events_later)
        return false; // what the map says may be out of date
    if (a && a->tracked) {
        struct seg *g = &a->map.v[segmap_find(&a->map, area_page(a, page))];

        if (g->kind == SEG_DATA)
            from = g->blk->base + seg_off(g, area_page(a, page));
    }
    fork_log.page[n] = page;
    atomic_store(&fork_log.n, n + 1); // before the page is there: a child that sees the page sees this
    r = uffd_copy(h.fd[which], page, from, ZPAGE);
    if (r ==
        -EAGAIN) { // the fork's own event, or another, waits to be read: faults come first out of the queue
        atomic_store(&fork_log.n, n);
        return false;
    }
    if (r < 0)
        uffd_wake(h.fd[which], page, ZPAGE);
    return true;
}

// Faults that could not be answered when they came. Who waits there may hold what the forking thread needs.
static void
fork_faults_again(void)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < h.nlater; i++)
        if (h.later[i].m.event != UFFD_EVENT_PAGEFAULT ||
            !fork_fault(h.later[i].which, h.later[i].m.arg.pagefault.address))
            h.later[kept++] = h.later[i];
    __atomic_store_n(&h.nlater, kept, __ATOMIC_RELEASE);
}

static void
serve_fork(void)
{
    struct uffd_msg m;

    atomic_store(&fork_log.serving, true);
    if (atomic_load(&forking)) {
        fork_faults_again();
        for (int w = 0; w < 2; w++)
            while (h.nlater < LATER_MAX && h.fd[w] >= 0 &&
                   zsys3(SYS_read, h.fd[w], &m, sizeof(m)) == (long)sizeof(m)) {
                if (m.event != UFFD_EVENT_PAGEFAULT || !fork_fault(w, m.arg.pagefault.address))
                    postpone(w, &m, true);
            }
    }
    atomic_store(&fork_log.serving, false);
}

// A debugger reads through ptrace or /proc/PID/mem, where the kernel does not wait for us but fails with EIO:
// while one is attached, everything is put back and nothing is made absent.
static void
watch_for_tracer(void)
{
    char path[32] = "/proc/", buf[2048], *p = path + 6, digits[12];
    int n = h.program, d = 0;
    bool traced = false;
    long fd, got;

    while (n || !d) {
        digits[d++] = (char)('0' + n % 10);
        n /= 10;
    }
    while (d)
        *p++ = digits[--d];
    memcpy(p, "/status", 8);
    fd = zsys3(SYS_open, path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return;
    got = zsys3(SYS_read, fd, buf, sizeof(buf));
    zsys1(SYS_close, fd);
    for (long i = 0; i + 12 < got; i++)
        if (buf[i] == '\n' && memcmp(buf + i + 1, "TracerPid:\t", 11) == 0)
            traced |= buf[i + 12] != '0';
        else if (buf[i] == '\n' && memcmp(buf + i + 1, "State:\tT", 8) == 0)
            traced = true; // stopped: somebody may come to look
    if (traced && !atomic_load(&zio_paused) && zio_lock_raw_timed(1000000)) {
        atomic_store(&zio_paused, true);
        zio_unlock_raw();
    } else if (!traced) {
        atomic_store(&zio_paused, false);
    }
    if (atomic_load(&zio_paused) && segmap_absent_pages)
        area_restore_all();
}

static int
patience(void)
{
    if (h.nretry)
        return 0;
    if (segmap_absent_pages || atomic_load(&zio_paused))
        return WATCH_MS;
    return block_cached() ? IDLE_MS : -1;
}

static void
idle(void)
{
    if (segmap_absent_pages || atomic_load(&zio_paused))
        watch_for_tracer();
    if (++h.ticks % (IDLE_MS / WATCH_MS) == 0 && zio_lock_raw_timed(1000000)) {
        block_trim_idle();
        zio_unlock_raw();
    }
}

static void
serve(void)
{
    struct uffd_msg m[16];
    unsigned n;

    // Events are read under the lock: the thread that raised one goes on as soon as it is read, and must find
    // the map changed when it takes the lock in its turn.
    while (atomic_load(&forking)) {
        serve_fork();
        helper_leave_if_alone();
        zsys0(SYS_sched_yield);
    }
    lock_or_rescue();
    for (unsigned i = 0; i < h.nlater; i++)
        message(h.later[i].which, &h.later[i].m);
    h.nlater = 0;
    h.events_later = false;
    for (int w = 1; w >= 0; w--) {
        long r;

        while (h.fd[w] >= 0 && (r = zsys3(SYS_read, h.fd[w], m, sizeof(m))) > 0)
            for (long i = 0; i < r / (long)sizeof(m[0]); i++)
                message(w, &m[i]);
    }
    n = h.nretry;
    h.nretry = 0;
    for (unsigned i = 0; i < n; i++)
        if (fault(h.fd[h.retry[i].general], h.retry[i].addr) == -EAGAIN)
            h.retry[h.nretry++] = h.retry[i];
    zio_unlock_raw();
    if (h.nretry)
        zsys0(SYS_sched_yield);
}

static void
close_others(void)
{
    int keep[] = {h.fd[0], h.fd[1], h.life, h.pid};
    unsigned from = 0;

    for (;;) { // ascending gaps between the descriptors that stay
        int next = -1;

        for (int i = 0; i < 4; i++)
            if (keep[i] >= (int)from && (next < 0 || keep[i] < next))
                next = keep[i];
        if (next != (int)from) {
            unsigned last = next < 0 ? ~0u : (unsigned)next - 1;

            if (zsys3(SYS_close_range, from, last, 0) == -ENOSYS)
                for (unsigned fd = from; fd <= min_of(last, 65535u); fd++)
                    zsys1(SYS_close, fd);
        }
        if (next < 0)
            return;
        from = (unsigned)next + 1;
    }
}

static int
main_loop(void *arg)
{
    struct pollfd p[4];

    zsys2(SYS_prctl, PR_SET_NAME, "zio-fault");
    zsys0(SYS_setsid); // a signal to the program's process group is not for us
    close_others();
    for (int i = 0; i < 4; i++)
        p[i].events = POLLIN;
    p[0].fd = h.fd[0];
    p[1].fd = h.fd[1];
    p[2].fd = h.pid;
    p[3].fd = h.life;
    atomic_store(&ready, 1);
    zsys3(SYS_futex, &ready, FUTEX_WAKE_PRIVATE, 1);
    for (;;) {
        long r;

        for (int i = 0; i < 4; i++)
            p[i].revents = 0;
        r = zsys3(SYS_poll, p, 4, patience());
        if (r == 0 && !h.nretry)
            idle();
        if (p[2].revents)
            leave();
        if (p[0].revents || p[1].revents || h.nretry)
            serve();
        else if (p[3].revents) { // nobody holds the other end
            zio_helper_leaves();
            leave();
        }
    }
    return 0;
}

static int
open_pidfd(void)
{
    long fd = zsys2(SYS_pidfd_open, zsys0(SYS_getpid), 0);

    return fd < 0 ? (int)fd : zio_high_fd((int)fd);
}

void
helper_init(void)
{
    zio_fd_ours_add(&life_write);
}

int
helper_start(void)
{
    int pipefd[2], flags = CLONE_VM | CLONE_FS | CLONE_SETTLS, i;
    struct timespec wait = {0, 100 * 1000 * 1000};
    uintptr_t self, *tls;
    uint64_t old;
    long r;

    if (!helper_memory) {
        r = zsys6(SYS_mmap, 0, (long)(HELPER_STACK + HELPER_TLS + ZEROS), PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (r < 0 && r > -4096)
            return (int)r;
        helper_memory = (uintptr_t)r;
    }
    // A thread block of zeros, pointing at itself, with the stack guard copied.
    tls = (uintptr_t *)(helper_memory + HELPER_STACK);
    self = (uintptr_t)__builtin_thread_pointer();
    memset(tls, 0, HELPER_TLS);
    memcpy(tls, (void *)self, 0x40);
    tls[0] = tls[2] = (uintptr_t)tls;
    r = zsys2(SYS_pipe2, pipefd, O_CLOEXEC);
    if (r < 0)
        return (int)r;
    h = (struct helper){.fd = {uffd_arena, uffd_general}};
    h.program = (int)zsys0(SYS_getpid);
    uffd_helper_fds(uffd_arena, uffd_general);
    h.life = zio_high_fd(pipefd[0]);
    life_write = zio_high_fd(pipefd[1]);
    h.pid = open_pidfd();
    if (h.life < 0 || life_write < 0 || h.pid < 0)
        return -EMFILE;
    atomic_store(&ready, 0);
    zio_block_signals(&old); // the helper keeps this mask for ever
    r = real_clone(main_loop, (char *)helper_memory + HELPER_STACK - 64, flags, NULL, NULL, tls);
    zio_restore_signals(&old);
    helper_pid = (int)r;
    zsys1(SYS_close, h.life);
    zsys1(SYS_close, h.pid);
    if (r < 0)
        return -EAGAIN;
    for (i = 0; i < 50 && !atomic_load(&ready); i++)
        zsys4(SYS_futex, &ready, FUTEX_WAIT_PRIVATE, 0, &wait);
    return atomic_load(&ready) ? 0 : -ETIMEDOUT;
}

static bool
postponed(void)
{
    return __atomic_load_n(&h.nlater, __ATOMIC_ACQUIRE) > 0;
}

bool
helper_unmaps_pending(void)
{
    return postponed() || (uffd_general >= 0 && uffd_changing(uffd_general));
}

bool
helper_events_pending(void)
{
    return helper_unmaps_pending() || (uffd_arena >= 0 && uffd_changing(uffd_arena));
}

void
helper_fork_begins(void)
{
    atomic_store(&forking, (int)zsys0(SYS_gettid));
}

static void
look_at_log(void)
{
    unsigned n = atomic_load(&fork_log.n);

    for (unsigned i = 0; i < n; i++)
        area_look_again(fork_log.page[i]);
    atomic_store(&fork_log.n, 0);
}

int
helper_fork_thread(void)
{
    return atomic_load(&forking);
}

// Ends the moment of the fork for the helper, and makes the caller the holder of the lock. A fork that the
// kernel makes after this is one that nobody prepared: its child gets its absent memory from event_fork.
bool
helper_fork_taken(int thread)
{
    if (!atomic_compare_exchange_strong(&forking, &thread, 0))
        return false;
    while (atomic_load(&fork_log.serving))
        zsys0(SYS_sched_yield);
    look_at_log();
    return true;
}

bool
helper_fork_ended(void)
{
    return helper_fork_taken((int)zsys0(SYS_gettid));
}

bool
helper_fork_born(void)
{
    bool whole = atomic_exchange(&forking, 0) != 0;

    if (whole)
        look_at_log();
    atomic_store(&fork_log.n, 0);
    atomic_store(&fork_log.serving, false);
    return whole;
}

void
helper_stop(void)
{
    if (life_write >= 0) {
        zsys1(SYS_close, life_write);
        life_write = -1;
        zsys4(SYS_wait4, helper_pid, 0, __WCLONE, 0);
    }
}

void
helper_after_fork(void)
{
    if (life_write >= 0)
        zsys1(SYS_close, life_write);
    life_write = -1;
}
