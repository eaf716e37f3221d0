// SPDX-License-Identifier: Apache-2.0
// Mappings and transfers by syscall(2): done by the hooks of their names where routed files take part.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "libzio/route_map.h"

static bool
maps(long nr, const long *a)
{
    switch (nr) {
    case SYS_mmap:
        return (!(a[3] & MAP_ANONYMOUS) && route_fd((int)a[4])) || rmap_meets((void *)a[0], (size_t)a[1]);
    case SYS_mremap:
        return rmap_meets((void *)a[0], (size_t)a[1] + 1) || rmap_meets((void *)a[4], (size_t)a[2]);
    case SYS_munmap:
    case SYS_mprotect:
    case SYS_madvise:
    case SYS_msync:
    case SYS_remap_file_pages:
        return rmap_meets((void *)a[0], (size_t)a[1]);
    case SYS_sendfile:
    case SYS_tee:
        return route_fd((int)a[0]) || route_fd((int)a[1]);
    case SYS_splice:
    case SYS_copy_file_range:
        return route_fd((int)a[0]) || route_fd((int)a[2]);
    default:
        return false;
    }
}

bool
route_map_syscall(long nr, const long *a, long *r)
{
    void *p = (void *)a[0];
    size_t n = (size_t)a[1];

    if (!maps(nr, a))
        return false;
    switch (nr) {
    case SYS_mmap:
        *r = (long)mmap(p, n, (int)a[2], (int)a[3], (int)a[4], a[5]);
        break;
    case SYS_mremap:
        *r = (long)mremap(p, n, (size_t)a[2], (int)a[3], (void *)a[4]);
        break;
    case SYS_munmap:
        *r = munmap(p, n);
        break;
    case SYS_mprotect:
        *r = mprotect(p, n, (int)a[2]);
        break;
    case SYS_madvise:
        *r = madvise(p, n, (int)a[2]);
        break;
    case SYS_msync:
        *r = msync(p, n, (int)a[2]);
        break;
    case SYS_remap_file_pages:
        *r = remap_file_pages(p, n, (int)a[2], (size_t)a[3], (int)a[4]);
        break;
    case SYS_sendfile:
        *r = sendfile((int)a[0], (int)a[1], (off_t *)a[2], (size_t)a[3]);
        break;
    case SYS_tee:
        *r = tee((int)a[0], (int)a[1], (size_t)a[2], (unsigned)a[3]);
        break;
    case SYS_splice:
        *r = splice((int)a[0], (off_t *)a[1], (int)a[2], (off_t *)a[3], (size_t)a[4], (unsigned)a[5]);
        break;
    default:
        *r =
            copy_file_range((int)a[0], (off_t *)a[1], (int)a[2], (off_t *)a[3], (size_t)a[4], (unsigned)a[5]);
        break;
    }
    return true;
}
