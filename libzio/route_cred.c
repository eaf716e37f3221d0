// SPDX-License-Identifier: Apache-2.0
// The umask, which can be read without a change only from /proc: asked once, then followed through the hook.
// User and groups are asked anew for each call that makes something, since threads may change them by system
// calls.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
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

void
route_cred_fill(struct route_target *t)
{
    int mask = atomic_load_explicit(&known, memory_order_relaxed), none = -1;
    long n;

    if (mask < 0) {
        mask = ask();
        if (mask < 0)
            return; // the library asks in its own way
        if (!atomic_compare_exchange_strong(&known, &none, mask))
            mask = none;
    }
    t->cred.uid = (uid_t)zsys1(SYS_setfsuid, -1); // refused, and so only asks
    t->cred.gid = (gid_t)zsys1(SYS_setfsgid, -1);
    n = t->cred.uid == 0 ? 0 : zsys2(SYS_getgroups, 64, t->groups);
    if (n < 0) // more than 64
        return;
    t->cred.groups = t->groups;
    t->cred.ngroups = (uint32_t)n;
    t->cred.umask = (mode_t)mask;
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
