// SPDX-License-Identifier: Apache-2.0
// Descriptors in messages (SCM_RIGHTS). The kernel passes the token; its stamp says what record it is of,
// which all processes of one `zio run` share. Elsewhere it stays a token, which can be neither read nor
// written.
#include <string.h>
#include <sys/socket.h>

#include "libzio/route_priv.h"
#include "libzio/sys.h"

// Calls fn for each descriptor in the message's control data.
static void
each_fd(struct msghdr *m, void (*fn)(int fd))
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        size_t n;

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS || c->cmsg_len < CMSG_LEN(0))
            continue;
        n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            fn(fd);
        }
    }
}

// The descriptors of open files are copies of one token: what is sent becomes one of its own.
static void
stamp(int fd, struct route_file *f)
{
    int own, flags = (int)zsys3(SYS_fcntl, fd, F_GETFD, 0);
    uint32_t index;

    if ((route_rec_stamped(fd, &index) && index == f->index) || route_vol_open(f->vol) < 0)
        return;
    own = route_token_own(f->vol);
    if (own < 0)
        return; // the receiver will not know it
    route_rec_stamp(own, f->index);
    zsys3(SYS_dup3, own, fd, flags & FD_CLOEXEC ? O_CLOEXEC : 0);
    zsys1(SYS_close, own);
}

static void
hold(int fd)
{
    struct route_file *f = route_file_peek(fd);

    if (!f)
        return;
    stamp(fd, f);
    route_rec_send(f->index);
    route_file_put(f);
}

static void
let_go(int fd)
{
    struct route_file *f = route_file_peek(fd);

    if (!f)
        return;
    route_rec_received(f->index);
    route_file_put(f);
}

static void
take(int fd)
{
    struct route_file *f;
    uint32_t index;

    if (!route_rec_stamped(fd, &index))
        return;
    f = route_file_of(index);
    if (!f)
        return;
    if (!route_table_holds(index))
        route_rec_join(index);
    route_rec_received(index);
    route_link(fd, f);
}

void
route_pass_send(const struct msghdr *m)
{
    each_fd((struct msghdr *)m, hold);
}

void
route_pass_unsent(const struct msghdr *m)
{
    each_fd((struct msghdr *)m, let_go);
}

void
route_pass_received(struct msghdr *m)
{
    each_fd(m, take);
}
