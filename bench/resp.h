// SPDX-License-Identifier: Apache-2.0
// As much of the Redis protocol as checking a server takes (https://redis.io/docs/reference/protocol-spec/).
#ifndef ZIO_BENCH_RESP_H
#define ZIO_BENCH_RESP_H

#include <stddef.h>
#include <stdio.h>

struct resp {
    int fd;   // for sending
    FILE *in; // the same connection, buffered, for receiving
};

// Takes the connection. 0 or -errno.
int resp_open(struct resp *r, int fd);
void resp_close(struct resp *r);

// Sends a command of n words; a word's length is len[i], or strlen() where len is NULL. 0 or -errno.
int resp_send(struct resp *r, unsigned n, const char *const *word, const size_t *len);

// Receives one reply: a status or integer (line, without its first byte) or a bulk string (buf, at most cap
// bytes). Returns the length, or -EPROTO for an error reply (its text in buf) or nonsense, or -errno.
long resp_reply(struct resp *r, char *buf, size_t cap);

#endif
