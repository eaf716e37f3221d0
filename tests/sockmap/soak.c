// SPDX-License-Identifier: Apache-2.0
// See soak.h. soak SEED COUNT: the programs with seeds SEED ... SEED+COUNT-1. soak CASE [SEED]: one of
// soak_many.c's.
#include "tests/sockmap/soak.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

uint64_t
draw(struct prog *p, uint64_t below)
{
    p->rng ^= p->rng << 13;
    p->rng ^= p->rng >> 7;
    p->rng ^= p->rng << 17;
    return below ? (p->rng * 0x9e3779b97f4a7c15u >> 32) % below : 0;
}

void
say(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
}

void
die(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
    fflush(stdout);
    _exit(1);
}

const char *
name_of(int err)
{
    const char *n = strerrorname_np(err);

    return n ? n : "?";
}

uint64_t
sum(const unsigned char *b, size_t n)
{
    uint64_t h = 0xcbf29ce484222325u;

    for (size_t i = 0; i < n; i++)
        h = (h ^ b[i]) * 0x100000001b3u;
    return h;
}

void
fill(const struct end *e, unsigned char *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t at = e->sent + i;

        b[i] = (unsigned char)(at * 31 + (at >> 8) * 7 + (at >> 16));
    }
}

uint64_t
waiting(const struct end *e)
{
    return e->peer->sent - e->got;
}

static uint64_t
now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void
settle(struct end *e)
{
    uint64_t until = now_ms() + DEADLINE_MS;
    struct pollfd p = {.fd = e->fd, .events = POLLRDHUP};
    int n = 0;

    for (;;) {
        if (ioctl(e->fd, FIONREAD, &n) < 0)
            die("FIONREAD: %s", name_of(errno));
        if ((uint64_t)n >= waiting(e) &&
            (!e->peer->fin_sent || (poll(&p, 1, 0) > 0 && (p.revents & POLLRDHUP))))
            return;
        if (now_ms() > until)
            die("%d of %llu bytes arrived, no more within %d ms", n, (unsigned long long)waiting(e),
                DEADLINE_MS);
        poll(NULL, 0, 1); // the condition is looked at again; there is no event for it
    }
}

void
make_pair(int fd[2], int family, bool small)
{
    struct sockaddr_in6 any = {.sin6_family = AF_INET6};
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr *to = (struct sockaddr *)(family == 1 ? (void *)&any : (void *)&v4);
    socklen_t len = family == 1 ? sizeof any : sizeof v4, got = sizeof any;
    int listener = socket(family ? AF_INET6 : AF_INET, SOCK_STREAM, 0), one = 1, zero = 0, size = 2048;

    if (family == 1)
        any.sin6_addr = in6addr_loopback;
    if (family == 2)
        setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
    if (small)
        setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (bind(listener, family ? (struct sockaddr *)&any : to, family ? sizeof any : len) < 0 ||
        listen(listener, 8) < 0)
        die("listen: %s", name_of(errno));
    if (family) {
        getsockname(listener, (struct sockaddr *)&any, &got);
        v4.sin_port = any.sin6_port;
    } else {
        getsockname(listener, to, &len);
    }
    fd[0] = socket(family == 1 ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
    if (small) {
        setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
        setsockopt(fd[0], SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    }
    if (connect(fd[0], to, len) < 0 || (fd[1] = accept(listener, NULL, NULL)) < 0)
        die("connect: %s", name_of(errno));
    close(listener);
    for (int i = 0; i < 2; i++)
        setsockopt(fd[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static void
run_program(uint64_t seed, struct prog *p)
{
    int fd[2], family;
    unsigned n;
    bool small;

    p->rng = seed * 0x9e3779b97f4a7c15u + 1;
    for (int i = 0; i < 8; i++)
        draw(p, 1);
    family = (int)draw(p, 3);
    small = draw(p, 8) == 0;
    n = 5 + (unsigned)draw(p, 40);
    make_pair(fd, family, small);
    p->file_at = 0;
    if (ftruncate(p->file, 0) < 0)
        die("ftruncate");
    say("seed %llu: family %d%s, %u steps\n", (unsigned long long)seed, family, small ? ", tiny buffers" : "",
        n);
    for (int i = 0; i < 2; i++)
        p->end[i] = (struct end){.fd = fd[i], .peer = &p->end[!i]};
    for (unsigned i = 0; i < n; i++) {
        const struct op *o = &ops[draw(p, nops)];
        struct end *e = &p->end[draw(p, 2)];

        say("%llu.%u %c %s ", (unsigned long long)seed, i, e == &p->end[0] ? 'a' : 'b', o->name);
        o->run(p, e);
        say("\n");
    }
    const struct op *last = &ends[draw(p, nends)];
    say("%llu end %s ", (unsigned long long)seed, last->name);
    last->run(p, &p->end[draw(p, 2)]);
    say("\n");
    for (int i = 0; i < 2; i++)
        if (p->end[i].fd >= 0)
            close(p->end[i].fd);
}

int
main(int argc, char **argv)
{
    struct prog p = {0};
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1,
             count = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;

    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    if (argc > 1 && (argv[1][0] < '0' || argv[1][0] > '9'))
        return many_main(argv[1], count);
    p.buf = malloc(BIG);
    p.file = memfd_create("soak", MFD_CLOEXEC);
    if (!p.buf || p.file < 0)
        die("no memory");
    for (uint64_t i = 0; i < count; i++)
        run_program(seed + i, &p);
    free(p.buf);
    return fflush(stdout) == 0 ? 0 : 1;
}
