// SPDX-License-Identifier: Apache-2.0
// The calls that make, replace or end a process, and syscall(2), which reaches all the others by number.
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "libzio/fork.h"
#include "libzio/hooks_fs.h"
#include "libzio/hooks_mem.h"
#include "libzio/real.h"
#include "libzio/route_map.h"
#include "libzio/route_priv.h"
#include "libzio/zio.h"

// fork(), daemon() and forkpty() run the handlers that init.c gave to pthread_atfork; these do not.
pid_t _Fork(void);
ZIO_EXPORT pid_t
_Fork(void)
{
    pid_t p;

    fork_prepare();
    p = real._Fork();
    if (p == 0)
        fork_child();
    else
        fork_parent();
    return p;
}

struct clone_start {
    int (*fn)(void *);
    void *arg;
};

static int
clone_child(void *p)
{
    struct clone_start *s = p;

    fork_child();
    return s->fn(s->arg);
}

ZIO_EXPORT int
clone(int (*fn)(void *), void *stack, int flags, void *arg, ...)
{
    struct clone_start s = {fn, arg};
    va_list ap;
    void *ptid, *tls, *ctid;
    int r;

    va_start(ap, arg);
    ptid = va_arg(ap, void *);
    tls = va_arg(ap, void *);
    ctid = va_arg(ap, void *);
    va_end(ap);
    if (flags & CLONE_VM)
        return real_clone(fn, stack, flags, arg, ptid, tls, ctid);
    fork_prepare(); // a child with a copy of the memory: its own copy of s, too
    r = real_clone(clone_child, stack, flags, &s, ptid, tls, ctid);
    fork_parent();
    return r;
}
ZIO_ALIAS(__clone, clone);

ZIO_EXPORT void
_exit(int code)
{
    if (zio_page->pid == (int)getpid()) {
        if (rmap_count)
            route_map_settle(-1);
        zio_stats_dump();
    }
    real._exit(code);
    __builtin_unreachable();
}

void _Exit(int code);
ZIO_EXPORT void
_Exit(int code)
{
    _exit(code);
}

// A process that shares its memory with another (our helper is one) may not leave some namespaces.
ZIO_EXPORT int
unshare(int flags)
{
    int r;

    if (zio_on())
        zio_stop("the program changes its namespaces");
    route_cred_changes();
    r = real.unshare(flags);
    route_cred_changes();
    return r;
}

ZIO_EXPORT int
setns(int fd, int type)
{
    int r;

    if (zio_on())
        zio_stop("the program changes its namespaces");
    route_cred_changes();
    r = real.setns(fd, type);
    route_cred_changes();
    return r;
}

// Our reservations would count against a limit on addresses.
static void
limit_is_set(int what, const struct rlimit64 *r)
{
    if (what == RLIMIT_AS && r && r->rlim_cur != RLIM64_INFINITY)
        zio_shrink("the program limits its address space (RLIMIT_AS)");
}

static int
set_fsize(const struct rlimit64 *r)
{
    return real.setrlimit64(RLIMIT_FSIZE, r);
}

// The limit of a file's size: the kernel's may be lifted for the moment.
static int
limit_fsize(const struct rlimit64 *r)
{
    struct route_guard g;
    int ret, err = errno;

    route_enter(&g);
    ret = route_fsize_set(set_fsize, r);
    if (ret < 0)
        err = errno;
    route_leave(&g);
    errno = err;
    return ret;
}

ZIO_EXPORT int
setrlimit64(__rlimit_resource_t what, const struct rlimit64 *r)
{
    limit_is_set((int)what, r);
    return what == RLIMIT_FSIZE && route_on ? limit_fsize(r) : real.setrlimit64(what, r);
}

ZIO_EXPORT int
setrlimit(__rlimit_resource_t what, const struct rlimit *r)
{
    return setrlimit64(what, (const struct rlimit64 *)r); // the same on 64-bit machines
}

ZIO_EXPORT int
prlimit64(pid_t pid, enum __rlimit_resource what, const struct rlimit64 *r, struct rlimit64 *old)
{
    struct rlimit64 new;

    if (pid != 0 && pid != getpid())
        return real.prlimit64(pid, what, r, old);
    limit_is_set((int)what, r);
    if (what != RLIMIT_FSIZE || !r || !route_on)
        return real.prlimit64(pid, what, r, old);
    new = *r; // may be the same as old
    if (old && real.prlimit64(pid, what, NULL, old) < 0)
        return -1;
    return limit_fsize(&new);
}

ZIO_EXPORT int
prlimit(pid_t pid, enum __rlimit_resource what, const struct rlimit *r, struct rlimit *old)
{
    return prlimit64(pid, what, (const struct rlimit64 *)r, (struct rlimit64 *)old);
}

ZIO_EXPORT int
pthread_setcanceltype(int type, int *old)
{
    if (type == PTHREAD_CANCEL_ASYNCHRONOUS)
        zio_signals_seen(); // cancellation is a signal that may come at any instruction
    return real.pthread_setcanceltype(type, old);
}

static void
before_syscall(long nr, const long *a)
{
    switch (nr) {
    case SYS_munmap:
        hook_munmap((void *)a[0], (size_t)a[1]);
        break;
    case SYS_mmap:
        if (a[3] & MAP_FIXED)
            hook_munmap((void *)a[0], (size_t)a[1]);
        break;
    case SYS_mprotect:
    case SYS_pkey_mprotect:
    case SYS_mlock:
    case SYS_mlock2:
        hook_mprotect((void *)a[0], (size_t)a[1]);
        break;
    case SYS_mremap:
        hook_mremap((void *)a[0], (size_t)a[1], (size_t)a[2], (int)a[3], (void *)a[4]);
        break;
    case SYS_madvise:
        hook_madvise((void *)a[0], (size_t)a[1], (int)a[2]);
        break;
    case SYS_mlockall:
        zio_stop("the program locks all its memory");
        break;
    case SYS_setrlimit:
        limit_is_set((int)a[0], (const struct rlimit64 *)a[1]);
        break;
    case SYS_rt_sigaction:
        if (a[1])
            zio_signals_seen();
        break;
    case SYS_unshare:
    case SYS_setns:
        zio_stop("the program changes its namespaces");
        break;
    default:
        break;
    }
}

ZIO_EXPORT long
syscall(long nr, ...)
{
    bool forks;
    long a[6], r;
    va_list ap;

    va_start(ap, nr);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(ap, long);
    va_end(ap);
    if (unlikely(!zio_real_ready))
        zio_real_init();
    if (nr == SYS_exit_group && zio_page->pid == (int)getpid())
        zio_stats_dump();
    if (!route_idle() && (fs_syscall(nr, a, &r) || route_map_syscall(nr, a, &r)))
        return r;
    if (nr == SYS_close && zio_fd_is_ours((int)a[0])) {
        errno = EBADF;
        return -1;
    }
    forks = nr == SYS_fork || (nr == SYS_clone && !(a[0] & CLONE_VM) && a[1] == 0);
    if (zio_on() && !forks)
        before_syscall(nr, a);
    if (!forks) {
        if (likely(!route_on) || !route_cred_number(nr)) {
            r = real_syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
            if (unlikely(route_on) && route_memory_number(nr))
                route_memory_changed();
            return r;
        }
        route_cred_changes();
        r = real_syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
        route_cred_changes();
        return r;
    }
    fork_prepare();
    r = real_syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
    if (r == 0)
        fork_child();
    else
        fork_parent();
    return r;
}
