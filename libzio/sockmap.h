// SPDX-License-Identifier: Apache-2.0
// What the kernel does not do for bytes that were redirected between sockets, done here: see sockmap.c.
#ifndef ZIO_SOCKMAP_H
#define ZIO_SOCKMAP_H

// Takes the place of some entries of `real`, which must be filled. Once, before the program runs.
void zio_sockmap_begin(void);

#endif
