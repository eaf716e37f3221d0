// SPDX-License-Identifier: Apache-2.0
// Start, stop and fork of the engine. Loading the library reads the environment, finds the functions behind
// the hooks, reserves the arena's addresses and makes the stat page: no thread, no helper, no userfaultfd
// until a large copy asks.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "libzio/alloc.h"
#include "libzio/area.h"
#include "libzio/calibrate.h"
#include "libzio/fork.h"
#include "libzio/helper.h"
#include "libzio/limits.h"
#include "libzio/memops.h"
#include "libzio/policy.h"
#include "libzio/real.h"
#include "libzio/route_map.h"
#include "libzio/route_priv.h"
#include "libzio/sockmap.h"
#include "libzio/sys.h"
#include "libzio/uffd.h"
#include "libzio/uffd_compat.h"
#include "libzio/zio.h"

unsigned zio_features;
static __thread struct zio_guard fork_guard __attribute__((tls_model("initial-exec")));
#define FORK_PATIENCE 10000 // times that a fork lets the helper go first

static void
turn_off(const char *reason)
{
    memops_gate = SIZE_MAX;
    alloc_off();
    zio_set_state(ZIO_STATE_OFF, reason);
    zio_log(2, "elision is off: %s", reason);
}

// Handlers that were installed before the hooks saw any: SigCgt of proc(5), without the C library's own two.
static void
look_for_handlers(void)
{
    char buf[4096];
    const char *p;
    long fd = zsys4(SYS_openat, AT_FDCWD, "/proc/self/status", O_RDONLY | O_CLOEXEC, 0), n = 0;

    if (fd >= 0) {
        n = zsys3(SYS_read, fd, buf, sizeof(buf) - 1);
        zsys1(SYS_close, fd);
    }
    buf[n > 0 ? n : 0] = 0;
    p = strstr(buf, "\nSigCgt:");
    if (!p || (strtoull(p + 8, NULL, 16) & ~(3ull << 31)))
        zio_signals_seen();
}

static const char *
engine_up(void)
{
    uintptr_t pool;
    size_t size;
    int r;

    r = uffd_open_all();
    if (r == -EPERM || r == -EACCES)
        return "this process may not resolve the kernel's page faults (run 'zio doctor')";
    if (r < 0)
        return "the kernel has no userfaultfd (run 'zio doctor')";
    if (uffd_general < 0 && !arena_vm.size)
        return "no unmap events, and another allocator is in front of the arena";
    if (!block_pool_base(&size) && block_init((size_t)64 << 30, limits_cached(), limits_live()) < 0)
        return "no address space for the pool";
    pool = block_pool_base(&size);
    if ((zio_features & (ZIO_F_MOVE | ZIO_F_WP)) != (ZIO_F_MOVE | ZIO_F_WP) ||
        uffd_register(uffd_pool, pool, size, UFFDIO_REGISTER_MODE_WP) < 0)
        zio_features &= ~(unsigned)ZIO_F_MOVE;
    calibrate();
    if (helper_start() < 0)
        return "the fault helper could not be started";
    return NULL;
}

// To start costs about a millisecond, and then each call site a try or two: not for a program that has hardly
// run. Asking for the time is a system call, so only some copies ask.
static bool
has_run_long_enough(void)
{
    static _Atomic unsigned asked;
    struct timespec t;

    if (zio_cfg.always || zio_cfg.start_ms == 0)
        return true;
    if (atomic_fetch_add_explicit(&asked, 1, memory_order_relaxed) % 4)
        return false;
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) < 0)
        return true;
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000 >= zio_cfg.start_ms;
}

int
zio_start(void)
{
    struct zio_guard g;
    const char *why = NULL;
    int state;

    if (!has_run_long_enough())
        return -EAGAIN;
    zio_guard_core();
    look_for_handlers();
    zio_lock(&g);
    state = atomic_load(&zio_state_now);
    if (state == ZIO_STATE_READY) {
        why = engine_up();
        if (why)
            uffd_close_all();
        else
            zio_set_state(ZIO_STATE_ACTIVE, NULL);
        state = atomic_load(&zio_state_now);
    }
    zio_unlock(&g);
    if (why)
        turn_off(why);
    else if (state == ZIO_STATE_ACTIVE)
        calibrate_faults();
    if (!why)
        zio_log(3, "elision is active: MOVE %s, events %s", zio_features & ZIO_F_MOVE ? "yes" : "no",
                zio_features & ZIO_F_EVENTS ? "yes" : "no");
    return state == ZIO_STATE_ACTIVE && !why ? 0 : -ENOTSUP;
}

// After this nothing becomes absent: whoever holds the lock next sees the state.
static bool
stop_eliding(const char *why)
{
    struct zio_guard g;
    bool active;

    zio_lock(&g);
    active = atomic_load(&zio_state_now) == ZIO_STATE_ACTIVE;
    if (zio_on()) {
        memops_gate = SIZE_MAX;
        alloc_off();
        zio_set_state(ZIO_STATE_OFF, NULL);
        strncpy(zio_page->reason, why, sizeof(zio_page->reason) - 1);
    }
    zio_unlock(&g);
    return active;
}

void
zio_stop(const char *why)
{
    if (!zio_on())
        return;
    zio_log(2, "elision ends: %s", why);
    if (stop_eliding(why)) {
        area_restore_all();
        area_release_all();
        helper_stop();
    }
}

void
zio_shrink(const char *why)
{
    struct zio_guard g;

    if (atomic_load(&zio_state_now) == ZIO_STATE_DISABLED)
        return;
    zio_stop(why);
    zio_lock(&g);
    vm_release_rest(&arena_vm);
    block_shrink_pool();
    zio_unlock(&g);
}

void
zio_helper_leaves(void)
{
    if (stop_eliding("the descriptors of the fault helper were closed")) {
        area_restore_all();
        area_release_all();
    }
}

// A child that a raw system call made: the parent's helper filled what was absent (event_fork in helper.c).
// What is inherited here, descriptors and records, speaks of the parent.
void
zio_orphaned(const char *why)
{
    memops_gate = SIZE_MAX;
    alloc_off();
    atomic_store(&zio_state_now, ZIO_STATE_OFF);
    helper_after_fork();
    uffd_close_all();
    area_abandon();
    zio_stats_open();
    zio_set_state(ZIO_STATE_OFF, why);
}

void
fork_prepare(void)
{
    struct zio_guard g;

    route_fork_prepare();
    zio_lock(&g);
    // What others unmapped before this call is read first, or the child's map would know memory that is no
    // longer there and may be somebody else's by now.
    for (int i = 0; i < FORK_PATIENCE && helper_events_pending(); i++) {
        zio_unlock(&g);
        zsys0(SYS_sched_yield);
        zio_lock(&g);
    }
    fork_guard = g;
    helper_fork_begins();
}

// A handler may have taken the lock meanwhile (lock.c): then the child had to do without preparation.
void
fork_parent(void)
{
    if (helper_fork_ended())
        zio_unlock(&fork_guard);
    else if (fork_guard.masked)
        zio_restore_signals(&fork_guard.oldmask);
    route_fork_parent();
}

static void
unprepared_child(void)
{
    helper_fork_born();
    zio_orphaned("forked while a signal handler needed the library");
    if (fork_guard.masked)
        zio_restore_signals(&fork_guard.oldmask);
    route_fork_child();
}

// The child has one thread, and nobody looks before this returns.
void
fork_child(void)
{
    int state = atomic_load(&zio_state_now);
    const char *why = NULL;

    zio_lock_reinit();
    if (!helper_fork_thread()) {
        unprepared_child();
        return;
    }
    zio_stats_open(); // before the helper runs, which counts
    helper_after_fork();
    if (state == ZIO_STATE_ACTIVE) {
        uffd_close_all();
        if (uffd_open_all() < 0)
            why = "this process may no longer resolve page faults";
        helper_fork_born();
        area_after_fork(); // by hand where registering fails
        if (!why && helper_start() < 0) {
            why = "the fault helper could not be started";
            uffd_close_all(); // closing unregisters: plain memory again
            area_after_fork();
        }
    }
    helper_fork_born();
    if (why)
        turn_off(why);
    zio_count(forks, state == ZIO_STATE_ACTIVE);
    if (fork_guard.masked)
        zio_restore_signals(&fork_guard.oldmask);
    route_fork_child();
}

static const char *
cannot(void)
{
    struct rlimit r;
    int fd;

    if (getrlimit(RLIMIT_AS, &r) == 0 && r.rlim_cur != RLIM_INFINITY)
        return "the address space is limited (RLIMIT_AS, ulimit -v)";
    if (zio_cfg.features_off & ZIO_F_UFFD)
        return "the kernel has no userfaultfd (run 'zio doctor')";
    fd = uffd_probe();
    if (fd == -EPERM || fd == -EACCES)
        return "this process may not resolve the kernel's page faults (run 'zio doctor')";
    return fd < 0 ? "the kernel has no userfaultfd (run 'zio doctor')" : NULL;
}

static __attribute__((constructor)) void
start(int argc, char **argv, char **envp)
{
    const char *why;

    zio_real_init();
    memops_init();
    zio_lock_init();
    zio_config_read(envp);
    if (zio_cfg.sockmap)
        zio_sockmap_begin();
    zio_fd_ours_add(&uffd_pool);
    zio_fd_ours_add(&uffd_arena);
    zio_fd_ours_add(&uffd_general);
    zio_fd_ours_add(&pagemap_fd);
    helper_init();
    zio_stats_init();
    zio_stats_open();
    pthread_atfork(fork_prepare, fork_parent, fork_child);
    route_start(envp);
    if (zio_cfg.disabled) {
        zio_set_state(ZIO_STATE_DISABLED, "ZIO_DISABLE=1");
        return;
    }
    why = cannot();
    if (why) {
        turn_off(why);
        return;
    }
    alloc_init();
    zio_set_state(ZIO_STATE_READY, NULL);
    memops_gate = zio_cfg.threshold;
}

static __attribute__((destructor)) void
stop(void)
{
    struct policy_report r;

    if (zio_page->pid != (int)getpid())
        return;
    if (rmap_count)
        route_map_settle(-1);
    zio_stats_dump();
    for (uint32_t i = 0; zio_cfg.log_level >= 3 && i < POLICY_SITES; i++)
        if (policy_report(i, &r))
            zio_log(3, "call site %p%s: %u elided, %u plain, %u faults, account %lld ns",
                    (void *)(r.return_address & ~(1ull << 63)), r.return_address >> 63 ? ", free" : "",
                    r.elided, r.plain, r.faults, (long long)r.account);
}
