// SPDX-License-Identifier: Apache-2.0
// The umask, and the user and groups of each thread, without a system call for each path. The umask can be
// read without a change only from /proc: asked once, then followed through the hook. Users and groups are
// remembered by each thread until any thread calls what may change them: the C library's functions change
// them in all threads, so that the whole process asks anew. (Who changes them by an instruction of his own,
// past syscall(2), has the kernel's checks natively, but the volume's as he was before.)
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libzio/real.h"
#include "libzio/route_priv.h"
#include "libzio/sys.h"

static _Atomic int known = -1;

static int
ask(void)
{
    char buf[512];
    const char *p;
    long fd = zsys4(SYS_openat, AT_FDCWD, "/proc/self/status", O_RDONLY | O_CLOEXEC, 0), n = 0;

    if (fd >= 0) {
        n = zsys3(SYS_read, fd, buf, sizeof buf - 1);
        zsys1(SYS_close, fd);
    }
    buf[n > 0 ? n : 0] = '\0';
    p = strstr(buf, "\nUmask:");
    return p ? (int)(strtoul(p + 7, NULL, 8) & 0777) : -1;
}

// Counted before and after each change: what is asked in between counts for nothing afterwards.
static _Atomic uint32_t changes = 1;
static _Thread_local struct {
    uint32_t as_of; // `changes` when it was asked; 0: never
    int ngroups;    // -1: more than there is room for
    uid_t uid;
    gid_t gid;
    gid_t groups[ROUTE_GROUPS];
} me __attribute__((tls_model("initial-exec")));

void
route_cred_changes(void)
{
    atomic_fetch_add(&changes, 1);
}

static void
ask_ids(uint32_t as_of)
{
    me.as_of = 0;                            // where a signal's handler comes in between
    me.uid = (uid_t)zsys1(SYS_setfsuid, -1); // refused, and so only asks
    me.gid = (gid_t)zsys1(SYS_setfsgid, -1);
    me.ngroups = me.uid == 0 ? 0 : (int)zsys2(SYS_getgroups, ROUTE_GROUPS, me.groups);
    me.as_of = as_of;
}

void
route_cred_fill(struct route_target *t, bool makes)
{
    uint32_t now = atomic_load_explicit(&changes, memory_order_acquire);
    int mask = atomic_load_explicit(&known, memory_order_relaxed), none = -1;

    if (unlikely(mask < 0 && makes)) {
        mask = ask();
        if (mask < 0)
            return; // the library asks in its own way
        if (!atomic_compare_exchange_strong(&known, &none, mask))
            mask = none;
    }
    if (unlikely(me.as_of != now))
        ask_ids(now);
    if (unlikely(me.ngroups < 0))
        return;
    t->cred.uid = me.uid;
    t->cred.gid = me.gid;
    t->cred.groups = me.groups;
    t->cred.ngroups = (uint32_t)me.ngroups;
    t->cred.umask = mask < 0 ? 0 : (mode_t)mask;
    t->cred.checked = false;
    t->at.cred = &t->cred;
}

void
route_umask_set(mode_t mask)
{
    if (route_on)
        atomic_store(&known, (int)(mask & 0777));
}

ZIO_EXPORT mode_t
umask(mode_t mask)
{
    if (unlikely(!zio_real_ready))
        zio_real_init();
    route_umask_set(mask);
    return real.umask(mask);
}

// ---- what changes them ----

#define CHANGES(result, name, params, args)                                                                  \
    ZIO_EXPORT result name params                                                                            \
    {                                                                                                        \
        result r;                                                                                            \
        if (unlikely(!zio_real_ready))                                                                       \
            zio_real_init();                                                                                 \
        if (route_depth > 0) /* libfsclient only asks */                                                     \
            return real.name args;                                                                           \
        route_cred_changes();                                                                                \
        r = real.name args;                                                                                  \
        route_cred_changes();                                                                                \
        return r;                                                                                            \
    }

CHANGES(int, setuid, (uid_t u), (u))
CHANGES(int, seteuid, (uid_t u), (u))
CHANGES(int, setreuid, (uid_t r_, uid_t e), (r_, e))
CHANGES(int, setresuid, (uid_t r_, uid_t e, uid_t s), (r_, e, s))
CHANGES(int, setfsuid, (uid_t u), (u))
CHANGES(int, setgid, (gid_t g), (g))
CHANGES(int, setegid, (gid_t g), (g))
CHANGES(int, setregid, (gid_t r_, gid_t e), (r_, e))
CHANGES(int, setresgid, (gid_t r_, gid_t e, gid_t s), (r_, e, s))
CHANGES(int, setfsgid, (gid_t g), (g))
CHANGES(int, setgroups, (size_t n, const gid_t *g), (n, g))
CHANGES(int, initgroups, (const char *user, gid_t g), (user, g))

bool
route_cred_number(long nr)
{
    switch (nr) {
    case SYS_setuid:
    case SYS_setgid:
    case SYS_setreuid:
    case SYS_setregid:
    case SYS_setresuid:
    case SYS_setresgid:
    case SYS_setfsuid:
    case SYS_setfsgid:
    case SYS_setgroups:
    case SYS_unshare:
    case SYS_setns:
        return true;
    default:
        return false;
    }
}
