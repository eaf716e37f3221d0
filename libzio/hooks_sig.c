// SPDX-License-Identifier: Apache-2.0
// Signals. The lock needs to know whether the program has handlers (lock.c). And where core dumps are on, a
// process that dies of a signal first puts its absent memory back, or the core file would hold zeros there:
// the default action of those signals is ours then, and the program does not see it.
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#include "libzio/area.h"
#include "libzio/real.h"
#include "libzio/route_map.h"
#include "libzio/sys.h"
#include "libzio/zio.h"

static const int core_signals[] = {SIGQUIT, SIGILL,  SIGTRAP, SIGABRT, SIGBUS,
                                   SIGFPE,  SIGSEGV, SIGSYS,  SIGXCPU, SIGXFSZ};
static _Atomic bool ours[NSIG]; // the disposition is zio_last_rites, and the program thinks it is SIG_DFL
static bool cores;

static bool
dumps_core(int sig)
{
    for (size_t i = 0; i < sizeof(core_signals) / sizeof(core_signals[0]); i++)
        if (core_signals[i] == sig)
            return true;
    return false;
}

void
zio_last_rites(int sig, siginfo_t *info, void *context)
{
    struct sigaction dfl;
    int saved = errno;

    memset(&dfl, 0, sizeof(dfl));
    dfl.sa_handler = SIG_DFL;
    if (!zio_lock_owned_by((int)zsys0(SYS_gettid)))
        area_restore_all();
    real.sigaction(sig, &dfl, NULL);
    ours[sig] = false;
    // A fault happens again by itself; everything else (sent, a terminal's quit, a trap) is sent again, and
    // waits until we return.
    if (info->si_code <= 0 || (sig != SIGSEGV && sig != SIGBUS && sig != SIGFPE && sig != SIGILL))
        zsys3(SYS_tgkill, zsys0(SYS_getpid), zsys0(SYS_gettid), sig);
    errno = saved;
}

static int
install(int sig)
{
    struct sigaction act;

    memset(&act, 0, sizeof(act));
    act.sa_sigaction = zio_last_rites;
    act.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
    sigfillset(&act.sa_mask);
    ours[sig] = real.sigaction(sig, &act, NULL) == 0;
    return ours[sig] ? 0 : -1;
}

void
zio_guard_core(void)
{
    struct rlimit64 r;

    if (cores || zsys4(SYS_prlimit64, 0, RLIMIT_CORE, 0, &r) < 0 || r.rlim_cur == 0)
        return;
    cores = true;
    for (size_t i = 0; i < sizeof(core_signals) / sizeof(core_signals[0]); i++) {
        struct sigaction now;

        if (real.sigaction(core_signals[i], NULL, &now) == 0 && now.sa_handler == SIG_DFL)
            install(core_signals[i]);
    }
}

ZIO_EXPORT int
sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
    bool hidden;
    int r;

    if (unlikely(!zio_real_ready))
        zio_real_init();
    if (act && act->sa_handler != SIG_DFL && act->sa_handler != SIG_IGN)
        zio_signals_seen();
    if (unlikely(sig == SIGBUS && route_bus_on))
        return route_bus_action(act, old);
    if (likely(!cores) || sig < 1 || sig >= NSIG || !dumps_core(sig))
        return real.sigaction(sig, act, old);
    hidden = ours[sig];
    ours[sig] = hidden && !act;
    if (hidden && act && act->sa_handler == SIG_DFL)
        r = install(sig);
    else {
        r = real.sigaction(sig, act, old);
        if (r == 0 && act && act->sa_handler == SIG_DFL)
            install(sig);
    }
    if (r == 0 && hidden && old) {
        memset(old, 0, sizeof(*old));
        old->sa_handler = SIG_DFL;
    }
    return r;
}

int __sigaction(int sig, const struct sigaction *act, struct sigaction *old);
ZIO_EXPORT int
__sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
    return sigaction(sig, act, old);
}

ZIO_EXPORT sighandler_t
signal(int sig, sighandler_t h)
{
    bool hidden;
    sighandler_t old;

    if (unlikely(!zio_real_ready))
        zio_real_init();
    if (h != SIG_DFL && h != SIG_IGN)
        zio_signals_seen();
    if (unlikely(sig == SIGBUS && route_bus_on)) {
        struct sigaction act = {.sa_handler = h, .sa_flags = SA_RESTART}, was;

        route_bus_action(&act, &was);
        return was.sa_handler;
    }
    hidden = sig > 0 && sig < NSIG && ours[sig];
    if (hidden)
        ours[sig] = false;
    old = real.signal(sig, h);
    if (cores && h == SIG_DFL && old != SIG_ERR && dumps_core(sig))
        install(sig);
    return hidden && old != SIG_ERR ? SIG_DFL : old;
}

// The other names: those of 4.3BSD mean signal, those of System V a handler for once.
sighandler_t bsd_signal(int sig, sighandler_t h);
ZIO_EXPORT sighandler_t
bsd_signal(int sig, sighandler_t h)
{
    return signal(sig, h);
}

sighandler_t ssignal(int sig, sighandler_t h);
ZIO_EXPORT sighandler_t
ssignal(int sig, sighandler_t h)
{
    return signal(sig, h);
}

ZIO_EXPORT sighandler_t
__sysv_signal(int sig, sighandler_t h)
{
    struct sigaction act = {.sa_handler = h, .sa_flags = SA_RESETHAND | SA_NODEFER}, old;

    if (h == SIG_ERR || sig < 1 || sig >= NSIG) {
        errno = EINVAL;
        return SIG_ERR;
    }
    return sigaction(sig, &act, &old) < 0 ? SIG_ERR : old.sa_handler;
}

sighandler_t sysv_signal(int sig, sighandler_t h);
ZIO_EXPORT sighandler_t
sysv_signal(int sig, sighandler_t h)
{
    return __sysv_signal(sig, h);
}

ZIO_EXPORT sighandler_t
sigset(int sig, sighandler_t h)
{
    if (unlikely(!zio_real_ready))
        zio_real_init();
    zio_signals_seen();
    return real.sigset(sig, h);
}
