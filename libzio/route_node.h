// SPDX-License-Identifier: Apache-2.0
// FIFOs and sockets of volumes: the kernel's own, of which each stands for an inode (route_node.c,
// route_sock.c). The hooks of open and of the socket calls come here when they have met one.
#ifndef ZIO_ROUTE_NODE_H
#define ZIO_ROUTE_NODE_H

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "libzio/route_priv.h"

// An inode of a volume that a node of the kernel's stands for; vol NULL: none.
struct route_node {
    struct route_vol *vol;
    uint64_t ino;
};

// Within route_enter: the opening of t with open(2)'s `flags` was refused as that of no regular file. 0 and
// *n: it is a FIFO which the caller may open so; else the errno for it, negative.
int route_node_find(struct route_target *t, int flags, struct route_node *n);
// Opens it, for the program; may wait for the other end, and be cancelled or interrupted there.
int route_node_open(const struct route_node *n, int flags);
// Is this native file the node of a FIFO? Costs a comparison where it is none.
bool route_node_of(const struct stat *st, struct route_node *n);
// The same of a descriptor.
bool route_node_fd(int fd, struct route_node *n);
// The attributes of the FIFO that stands behind *st take its place; others stay. Keeps errno.
void route_node_show(struct stat *st);
// The FIFO's, for the descriptor of its node: -errno, or 1: it is none.
int route_node_setattr(int fd, unsigned set, const struct fsc_attr *in);
int route_node_utimens(int fd, const struct timespec times[2]);
// The device and inode of the volume's directory; -errno.
int route_node_dir(struct route_vol *v, dev_t *dev, ino_t *ino);
// The directory of nodes, made where it is missing, as a path below the volume's directory.
int route_node_mkdir(struct route_vol *v);

// ---- sockets (route_sock.c) ----

// The address that the kernel is to be given for what the program gave; *to and *len are replaced where that
// is another. 0, or -1 and errno.
int route_sock_to(const struct sockaddr **to, socklen_t *len, struct sockaddr_un *buf);
// An address from the kernel, complete in *un: what the program is to be shown; *len is the new length.
void route_sock_shown(struct sockaddr_un *un, socklen_t *len);
// The same where the kernel has written it into the program's memory of `room` bytes.
void route_sock_show(void *addr, socklen_t *len, socklen_t room);

#endif
