// SPDX-License-Identifier: Apache-2.0
// The Redis protocol's client side: see resp.h.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/resp.h"

int
resp_open(struct resp *r, int fd)
{
    r->fd = fd;
    r->in = fdopen(fd, "r");
    if (r->in)
        return 0;
    close(fd);
    r->fd = -1;
    return -errno;
}

void
resp_close(struct resp *r)
{
    if (r->in)
        fclose(r->in);
    r->in = NULL;
    r->fd = -1;
}

static int
send_all(int fd, const char *p, size_t n)
{
    while (n) {
        ssize_t k = send(fd, p, n, MSG_NOSIGNAL);
        if (k < 0)
            return -errno;
        p += k;
        n -= (size_t)k;
    }
    return 0;
}

int
resp_send(struct resp *r, unsigned n, const char *const *word, const size_t *len)
{
    char head[32];
    int err = send_all(r->fd, head, (size_t)snprintf(head, sizeof head, "*%u\r\n", n));
    for (unsigned i = 0; !err && i < n; i++) {
        size_t l = len ? len[i] : strlen(word[i]);
        err = send_all(r->fd, head, (size_t)snprintf(head, sizeof head, "$%zu\r\n", l));
        if (!err)
            err = send_all(r->fd, word[i], l);
        if (!err)
            err = send_all(r->fd, "\r\n", 2);
    }
    return err;
}

long
resp_reply(struct resp *r, char *buf, size_t cap)
{
    char line[512];
    if (!fgets(line, sizeof line, r->in))
        return ferror(r->in) && errno ? -errno : -EPIPE;
    line[strcspn(line, "\r\n")] = '\0';
    if (line[0] != '$') {
        snprintf(buf, cap, "%s", line + 1);
        return line[0] == '-' ? -EPROTO : (long)strlen(buf);
    }
    long n = strtol(line + 1, NULL, 10);
    if (n < 0 || (size_t)n > cap)
        return -EPROTO;
    if (fread(buf, 1, (size_t)n, r->in) != (size_t)n || fread(line, 1, 2, r->in) != 2)
        return -EPIPE;
    return n;
}
