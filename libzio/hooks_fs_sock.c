// SPDX-License-Identifier: Apache-2.0
// What is asked about the names of sockets: Unix sockets of a volume have the name that the program gave
// (route_sock.c). The kernel's answer is taken whole, as the program's memory may hold a part of it.
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "libzio/hooks_fs.h"
#include "libzio/real.h"
#include "libzio/route_node.h"

union address {
    struct sockaddr any;
    struct sockaddr_un un;
    struct sockaddr_storage storage;
};

// Gives the program what it has room for. The kernel's answer was good.
static void
give(union address *a, socklen_t len, struct sockaddr *to, socklen_t *room)
{
    if (len <= sizeof a->un && a->any.sa_family == AF_UNIX)
        route_sock_shown(&a->un, &len);
    memcpy(to, a, min_of(min_of(len, *room), sizeof *a));
    *room = len;
}

// Is that what the kernel would refuse, or not of our interest?
static bool
plain(const struct sockaddr *addr, const socklen_t *len)
{
    return route_idle() || !addr || route_bad_room(len, sizeof *len) || (int)*len < 0 ||
           route_bad_room(addr, *len);
}

#define NAME(name)                                                                                           \
    ZIO_EXPORT int name(int fd, struct sockaddr *restrict addr, socklen_t *restrict len)                     \
    {                                                                                                        \
        union address a;                                                                                     \
        socklen_t n = sizeof a;                                                                              \
        int r;                                                                                               \
        if (plain(addr, len))                                                                                \
            return FS_REAL(name)(fd, addr, len);                                                             \
        r = FS_REAL(name)(fd, &a.any, &n);                                                                   \
        if (r >= 0)                                                                                          \
            give(&a, n, addr, len);                                                                          \
        return r;                                                                                            \
    }

NAME(getsockname)
NAME(getpeername)
NAME(accept)

ZIO_EXPORT int
accept4(int fd, struct sockaddr *restrict addr, socklen_t *restrict len, int flags)
{
    union address a;
    socklen_t n = sizeof a;
    int r;

    if (plain(addr, len))
        return FS_REAL(accept4)(fd, addr, len, flags);
    r = FS_REAL(accept4)(fd, &a.any, &n, flags);
    if (r >= 0)
        give(&a, n, addr, len);
    return r;
}
