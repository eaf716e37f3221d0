// SPDX-License-Identifier: Apache-2.0
// The HTTP client: see http.h.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/http.h"
#include "bench/pattern.h"

enum { HEAD_MAX = 8192 };

int
http_open(struct http *h, int fd, size_t largest)
{
    h->fd = fd;
    h->cap = largest + HEAD_MAX;
    h->buf = malloc(h->cap);
    return h->buf ? 0 : -ENOMEM;
}

void
http_close(struct http *h)
{
    if (h->fd > 0)
        close(h->fd);
    free(h->buf);
    *h = (struct http){0};
}

int
http_get(struct http *h, const char *path, size_t size, const uint64_t *seed)
{
    char ask[256];
    int n = snprintf(ask, sizeof ask, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
    size_t got = 0, head = 0;
    if (send(h->fd, ask, (size_t)n, MSG_NOSIGNAL) != n)
        return -errno;
    while (!head || got < head + size) {
        ssize_t k = recv(h->fd, h->buf + got, h->cap - got, 0);
        if (k <= 0)
            return k < 0 ? -errno : -EPIPE;
        got += (size_t)k;
        unsigned char *end = head ? NULL : memmem(h->buf, got, "\r\n\r\n", 4);
        if (!end)
            continue;
        head = (size_t)(end - h->buf) + 4;
        h->buf[head - 1] = '\0';
        char *len = strcasestr((char *)h->buf, "content-length:");
        if (strncmp((char *)h->buf, "HTTP/1.1 200", 12) || !len || strtoull(len + 15, NULL, 10) != size)
            return -EPROTO;
    }
    if (got != head + size || (seed && pattern_check(h->buf + head, size, *seed, 0) >= 0))
        return -EBADMSG;
    return 0;
}
