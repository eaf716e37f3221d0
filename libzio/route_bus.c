// SPDX-License-Identifier: Apache-2.0
// SIGBUS in a mapping of a routed file. A page that the file has by now, but had not when it was mapped (it
// grew into another chunk, or was cut and written again by another process), is put in place and the access
// happens again. All else is the program's: its own handler, of which the kernel knows nothing, is called as
// the kernel would.
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <ucontext.h>

#include "libzio/real.h"
#include "libzio/route_map.h"
#include "libzio/sys.h"

bool route_bus_on;
static struct sigaction theirs; // what the program has set; under the lock
static _Atomic uint32_t word;   // the lock, held with signals blocked

static void
lock(uint64_t *mask)
{
    zio_block_signals(mask);
    while (atomic_exchange_explicit(&word, 1, memory_order_acquire) != 0)
        zsys0(SYS_sched_yield);
}

static void
unlock(const uint64_t *mask)
{
    atomic_store_explicit(&word, 0, memory_order_release);
    zio_restore_signals(mask);
}

// What the program asked for. The mask is the one its handler is to run with.
static void
pass_on(int sig, siginfo_t *info, void *context)
{
    const ucontext_t *uc = context;
    struct sigaction a;
    uint64_t mask;
    sigset_t set;

    lock(&mask);
    a = theirs;
    if (a.sa_flags & (int)SA_RESETHAND)
        theirs.sa_handler = SIG_DFL;
    unlock(&mask);
    if (a.sa_handler == SIG_IGN && info->si_code <= 0)
        return;
    // An access that is ignored would happen for ever: the kernel does not ignore it either.
    if (a.sa_handler == SIG_DFL || a.sa_handler == SIG_IGN) {
        zio_last_rites(sig, info, context);
        return;
    }
    sigorset(&set, &uc->uc_sigmask, &a.sa_mask);
    if (!(a.sa_flags & SA_NODEFER))
        sigaddset(&set, sig);
    pthread_sigmask(SIG_SETMASK, &set, NULL);
    if (a.sa_flags & SA_SIGINFO)
        a.sa_sigaction(sig, info, context);
    else
        a.sa_handler(sig);
}

static void
on_bus(int sig, siginfo_t *info, void *context)
{
    int saved = errno;
    bool there = info->si_code > 0 && !zio_lock_owned_by((int)zsys0(SYS_gettid)) &&
                 rmap_fault((uintptr_t)info->si_addr);

    errno = saved;
    if (!there)
        pass_on(sig, info, context);
    errno = saved;
}

// (It is no handler that the locks must fear: in a call of ours it finds nothing to do.)
// On the program's stack, not the alternate one, which may be too small for us.
int
route_bus_install(void)
{
    struct sigaction act = {0}, now;
    uint64_t mask;
    int err = 0;

    if (route_bus_on)
        return 0;
    act.sa_sigaction = on_bus;
    act.sa_flags = SA_SIGINFO | SA_RESTART;
    sigfillset(&act.sa_mask);
    if (sigaction(SIGBUS, NULL, &now) != 0) // the hook's: what the program believes
        return -errno;
    lock(&mask);
    if (!route_bus_on) {
        theirs = now;
        err = real.sigaction(SIGBUS, &act, NULL) != 0 ? -errno : 0;
        route_bus_on = !err;
    }
    unlock(&mask);
    return err;
}

int
route_bus_action(const struct sigaction *act, struct sigaction *old)
{
    uint64_t mask;

    lock(&mask);
    if (old)
        *old = theirs;
    if (act)
        theirs = *act;
    unlock(&mask);
    return 0;
}
