// SPDX-License-Identifier: Apache-2.0
// Cases with processes, or with many connections: they print what happened, as the random programs do.
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/sockmap/soak.h"

enum { SHORT = 2000, THREADS = 8 };

// Short connections: a request, an answer, an end, in one of four orders. The sum of all bytes must be the
// same.
static int
many_short(uint64_t seed)
{
    struct prog p = {.rng = seed * 2654435761u + 1};
    uint64_t h = 0;

    for (int i = 0; i < SHORT; i++) {
        unsigned char out[3000], in[3000];
        size_t n = 1 + (size_t)draw(&p, sizeof out), had = 0;
        int fd[2], order = (int)draw(&p, 4);
        struct end e = {.sent = (uint64_t)i * 77};
        ssize_t r;

        make_pair(fd, (int)draw(&p, 3), false);
        fill(&e, out, n);
        if (send(fd[0], out, n, 0) != (ssize_t)n)
            die("send %d: %s", i, name_of(errno));
        if (order == 1)
            shutdown(fd[0], SHUT_WR);
        while (had < n && (r = recv(fd[1], in + had, n - had, 0)) > 0)
            had += (size_t)r;
        h = h * 31 + sum(in, had);
        if (order == 2)
            close(fd[0]);
        if (order != 2 && send(fd[1], in, had, 0) != (ssize_t)had)
            die("answer %d: %s", i, name_of(errno));
        close(fd[1]);
        for (had = 0; order != 2 && (r = recv(fd[0], in + had, sizeof in - had, 0)) > 0;)
            had += (size_t)r;
        h = h * 31 + (order != 2 ? sum(in, had) + (uint64_t)r : 0);
        if (order != 2)
            close(fd[0]);
    }
    say("%d connections: %016llx\n", SHORT, (unsigned long long)h);
    return 0;
}

// kill -9 of the receiver, when it has read everything and waits for more: the sender sees an end, then an
// error.
static int
kill_reader(uint64_t seed)
{
    struct prog p = {.rng = seed + 99};

    for (int i = 0; i < 50; i++) {
        size_t n = 1 + (size_t)draw(&p, 30000), had = 0;
        unsigned char out[30000], in[16];
        struct end e = {0};
        int fd[2], status;
        ssize_t r;
        pid_t pid;

        make_pair(fd, (int)draw(&p, 3), false);
        fill(&e, out, n);
        pid = fork();
        if (pid == 0) {
            close(fd[0]);
            while (had < n && (r = recv(fd[1], out, sizeof out, 0)) > 0)
                had += (size_t)r;
            send(fd[1], "done", 4, 0);
            for (;;)
                pause();
        }
        close(fd[1]);
        send(fd[0], out, n, 0);
        r = recv(fd[0], in, 4, MSG_WAITALL);
        say("%d: answer %zd ", i, r);
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        r = recv(fd[0], in, sizeof in, 0);
        say("after kill %zd ", r);
        r = send(fd[0], "x", 1, MSG_NOSIGNAL);
        say("send %zd\n", r);
        close(fd[0]);
    }
    return 0;
}

// kill -9 of the sender: what it had sent arrives whole, then the end.
static int
kill_writer(uint64_t seed)
{
    struct prog p = {.rng = seed + 7};

    for (int i = 0; i < 50; i++) {
        size_t n = 1 + (size_t)draw(&p, 50000), had = 0;
        static unsigned char out[50000], in[50001];
        struct end e = {0};
        int fd[2], go[2], status;
        ssize_t r;
        pid_t pid;

        make_pair(fd, (int)draw(&p, 3), false);
        fill(&e, out, n);
        if (pipe(go) < 0)
            die("pipe");
        pid = fork();
        if (pid == 0) {
            close(fd[1]);
            send(fd[0], out, n, 0);
            if (write(go[1], "x", 1) == 1)
                for (;;)
                    pause();
            _exit(1);
        }
        close(fd[0]);
        if (read(go[0], in, 1) != 1)
            die("the child could not send");
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        while ((r = recv(fd[1], in + had, sizeof in - had, 0)) > 0)
            had += (size_t)r;
        say("%d: %zu:%016llx then %zd\n", i, had, (unsigned long long)sum(in, had), r);
        close(fd[1]);
        close(go[0]);
        close(go[1]);
    }
    return 0;
}

struct duplex {
    int fd;
    uint64_t bytes, sum;
    bool writer;
};

static void *
duplex_run(void *arg)
{
    struct duplex *d = arg;
    struct end e = {0};
    unsigned char b[8192];
    ssize_t r;

    while (d->writer && e.sent < d->bytes) {
        size_t n = 1 + (size_t)(e.sent * 7919 % sizeof b);

        n = n < d->bytes - e.sent ? n : (size_t)(d->bytes - e.sent);
        fill(&e, b, n);
        r = send(d->fd, b, n, MSG_NOSIGNAL);
        if (r < 0)
            die("duplex send: %s", name_of(errno));
        e.sent += (uint64_t)r;
    }
    if (d->writer)
        shutdown(d->fd, SHUT_WR);
    d->sum = 0xcbf29ce484222325u;
    while (!d->writer && (r = recv(d->fd, b, sizeof b, 0)) > 0) {
        d->bytes += (uint64_t)r;
        for (ssize_t i = 0; i < r; i++)
            d->sum = (d->sum ^ b[i]) * 0x100000001b3u;
    }
    if (!d->writer && r < 0)
        die("duplex recv: %s", name_of(errno));
    return NULL;
}

// Both directions at once, a thread for each of the four ends, several connections side by side.
static int
duplex(uint64_t seed)
{
    struct prog p = {.rng = seed + 5};
    struct duplex d[THREADS * 4];
    pthread_t t[THREADS * 4];

    for (int c = 0; c < THREADS; c++) {
        int fd[2];

        make_pair(fd, c % 3, false);
        for (int k = 0; k < 4; k++)
            d[c * 4 + k] =
                (struct duplex){.fd = fd[k / 2], .writer = k % 2, .bytes = k % 2 ? draw(&p, 4000000) : 0};
    }
    for (int i = 0; i < THREADS * 4; i++)
        pthread_create(&t[i], NULL, duplex_run, &d[i]);
    for (int i = 0; i < THREADS * 4; i++)
        pthread_join(t[i], NULL);
    for (int i = 0; i < THREADS * 4; i++)
        say("%d: %llu:%016llx\n", i, (unsigned long long)d[i].bytes,
            d[i].writer ? 0 : (unsigned long long)d[i].sum);
    return 0;
}

int
many_main(const char *which, uint64_t seed)
{
    static const struct {
        const char *name;
        int (*run)(uint64_t seed);
    } cases[] = {{"short", many_short},
                 {"kill-reader", kill_reader},
                 {"kill-writer", kill_writer},
                 {"duplex", duplex}};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (strcmp(which, cases[i].name) == 0) {
            int rc = cases[i].run(seed);

            return fflush(stdout) == 0 ? rc : 1;
        }
    fprintf(stderr, "soak: there is no case '%s'\n", which);
    return 2;
}
