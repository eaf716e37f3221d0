// SPDX-License-Identifier: Apache-2.0
// Buffers of system calls: where a receive should put its bytes, and where a send should take them from.
//
//     struct inbuf in;                               struct outbuf out;
//     p = inbuf_begin(&in, buf, n, ra);              if (outbuf_begin(&out, buf, n)) r = sendmsg(out.iov ...)
//     r = real.recv(fd, p, n, flags);                else r = send(fd, buf ...)
//     inbuf_end(&in, r);                             outbuf_end(&out);
//
// No lock is held between begin and end: the call may block for ever. Both preserve errno.
#ifndef ZIO_IOBUF_H
#define ZIO_IOBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "libzio/block.h"

struct inbuf {
    struct block *b; // NULL: the program's own memory is used
    bool inplace;    // b holds what the buffer holds now: nobody may refer to it while the kernel writes
    size_t off;      // in the block
    uintptr_t buf;
    size_t n;
    uint32_t site;
};
// Returns the address to give to the kernel instead of buf.
void *inbuf_begin(struct inbuf *in, void *buf, size_t n, uintptr_t ra);
void inbuf_end(struct inbuf *in, ssize_t got); // got: what the call returned; <= 0 changes nothing

#define OUT_MAX 256 // pieces; a buffer in more of them goes as it is, through the kernel's faults
struct outbuf {
    int niov, nholds;
    bool skewed; // some bytes lie at another place in their sector than in the program's memory: not for
                 // O_DIRECT
    struct iovec iov[OUT_MAX];
    struct block *hold[OUT_MAX];
};
// True when some of [buf, buf + n) is absent and out->iov names all of its bytes, in blocks and in memory.
bool outbuf_begin(struct outbuf *out, const void *buf, size_t n);
// Appends to an outbuf that has been begun (iov lists). False when there is no room; then the buffer goes in
// as it is.
bool outbuf_add(struct outbuf *out, const void *buf, size_t n);
void outbuf_end(struct outbuf *out);

#endif
