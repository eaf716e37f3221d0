// SPDX-License-Identifier: Apache-2.0
// A small HTTP/1.1 client over one kept connection: GET a file whose bytes are the pattern.
#ifndef ZIO_BENCH_HTTP_H
#define ZIO_BENCH_HTTP_H

#include <stddef.h>
#include <stdint.h>

struct http {
    int fd;
    unsigned char *buf; // head and body
    size_t cap;
};

// Takes the connection. 0 or -errno.
int http_open(struct http *h, int fd, size_t largest);
void http_close(struct http *h);

// GETs path; its body must be `size` bytes, and with a seed they must be that pattern. 0 or -errno.
int http_get(struct http *h, const char *path, size_t size, const uint64_t *seed);

#endif
