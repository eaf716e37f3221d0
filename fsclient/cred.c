// SPDX-License-Identifier: Apache-2.0
// The calling thread's own credentials, as the kernel would use them for a file system. Asked anew at each
// call: a program may change them at any time, and each thread has its own.
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fsclient/driver.h"

// The umask can only be read in passing: umask(2) sets it, which other threads would see.
static mode_t
own_umask(void)
{
    char buf[256];
    const char *p;
    mode_t mask = 022;
    ssize_t n = 0;
    int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);

    if (fd >= 0) {
        n = read(fd, buf, sizeof buf - 1);
        close(fd);
    }
    buf[n > 0 ? n : 0] = '\0';
    p = strstr(buf, "\nUmask:");
    if (p)
        mask = (mode_t)strtoul(p + 7, NULL, 8);
    return mask & 0777;
}

const struct fsc_cred *
cred_get(const struct fsc_cred *cred, bool want_umask, struct cred_buf *buf)
{
    gid_t *groups = buf->groups;
    int n;

    buf->more = NULL;
    if (cred)
        return cred;
    buf->cred.uid = (uid_t)setfsuid((uid_t)-1); // refused, and so only asks
    buf->cred.gid = (gid_t)setfsgid((gid_t)-1);
    buf->cred.umask = want_umask ? own_umask() : 0;
    buf->cred.checked = false;
    n = buf->cred.uid == 0 ? 0 : getgroups(64, groups);
    if (n < 0) {
        n = getgroups(0, NULL);
        groups = buf->more = n > 0 ? malloc((size_t)n * sizeof *groups) : NULL;
        if (n > 0 && !groups)
            return NULL;
        n = n > 0 ? getgroups(n, groups) : 0;
    }
    buf->cred.groups = groups;
    buf->cred.ngroups = n > 0 ? (uint32_t)n : 0;
    return &buf->cred;
}

void
cred_put(struct cred_buf *buf)
{
    free(buf->more);
}

bool
cred_own_root(void)
{
    return setfsuid((uid_t)-1) == 0;
}
