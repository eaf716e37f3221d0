// SPDX-License-Identifier: Apache-2.0
// Several processes do random things to one file (write, read, map, load, store, msync, truncate, fork, exit,
// kill) and compare with a model in memory that they share. One at a time, so that the model knows what must
// be there; whose turn it is and what happens follows from the seed alone.
//
//   map_random DIRECTORY SEED STEPS
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#include "tests/route/map_trace.h"

#define FILE_MAX (5 * 65536 + 12345)
#define PROCS 4
#define MAPS 6 // of a process

struct world {
    _Atomic int turn; // the process that may go; -1: the director
    _Atomic int stop;
    uint64_t random;
    int op;
    size_t size;
    unsigned char model[FILE_MAX];
};
static struct world *w;
static int me, fd = -1, seed;
static char file[4096];

struct mapping {
    char *p;
    size_t offset, len;
    bool write;
} maps[MAPS];

static uint64_t
rnd(uint64_t n)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return w->random % n;
}

static void
bad(const char *what, size_t at, int want, int have)
{
    printf("FAIL seed %d, step %d, process %d: %s at %zu of %zu: %d, not %d (%s)\n", seed, w->op, me, what,
           at, w->size, have, want, strerrorname_np(errno));
    fflush(stdout);
    atomic_store(&w->stop, 2);
    exit(1);
}

static void
compare(const char *what, const char *p, size_t at, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        int want = at + i < w->size ? w->model[at + i] : 0;

        if ((unsigned char)p[i] != want)
            bad(what, at + i, want, (unsigned char)p[i]);
    }
}

static void
do_write(void)
{
    static char buf[100000];
    size_t at = rnd(FILE_MAX - 1), len = 1 + rnd(rnd(4) ? 5000 : sizeof buf);

    if (len > FILE_MAX - at)
        len = FILE_MAX - at;
    for (size_t i = 0; i < len; i++)
        buf[i] = (char)(1 + rnd(255));
    if (pwrite(fd, buf, len, (off_t)at) != (ssize_t)len)
        bad("pwrite", at, (int)len, -1);
    memcpy(w->model + at, buf, len);
    if (at + len > w->size)
        w->size = at + len;
}

static void
do_read(void)
{
    static char buf[100000];
    size_t at = rnd(FILE_MAX), len = rnd(sizeof buf), want = at < w->size ? w->size - at : 0;
    ssize_t n = pread(fd, buf, len, (off_t)at);

    if (n != (ssize_t)(want < len ? want : len))
        bad("pread", at, (int)want, (int)n);
    compare("pread", buf, at, (size_t)n);
}

static void
do_truncate(void)
{
    size_t size = rnd(3) ? rnd(FILE_MAX) : rnd(3) * 65536;

    if (ftruncate(fd, (off_t)size) != 0)
        bad("ftruncate", size, 0, -1);
    if (size < w->size)
        memset(w->model + size, 0, w->size - size);
    w->size = size;
}

static void
do_map(void)
{
    struct mapping *m = &maps[rnd(MAPS)];

    if (m->p) {
        size_t cut = rnd(2) ? 0 : rnd(m->len / PAGE + 1) * PAGE;

        if (cut < m->len && munmap(m->p + cut, m->len - cut) != 0)
            bad("munmap", m->offset, 0, -1);
        m->len = cut;
        if (!cut)
            m->p = NULL;
        return;
    }
    m->offset = rnd(FILE_MAX / PAGE) * PAGE;
    m->len = (1 + rnd(rnd(2) ? 8 : 60)) * PAGE;
    m->write = rnd(3) > 0;
    m->p =
        mmap(NULL, m->len, m->write ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, (off_t)m->offset);
    if (m->p == MAP_FAILED)
        bad("mmap", m->offset, 0, -1);
}

// A mapping of ours, and how many bytes of it are before the end of the file.
static struct mapping *
a_mapping(bool write, size_t *have)
{
    size_t first = rnd(MAPS);

    for (size_t i = 0; i < MAPS; i++) {
        struct mapping *m = &maps[(first + i) % MAPS];

        if (!m->p || (write && !m->write) || m->offset >= w->size)
            continue;
        *have = w->size - m->offset < m->len ? w->size - m->offset : m->len;
        return m;
    }
    return NULL;
}

static void
do_load(void)
{
    size_t have, at, len;
    struct mapping *m = a_mapping(false, &have);

    if (!m)
        return;
    at = rnd(have);
    len = 1 + rnd(have - at);
    compare("load", m->p + at, m->offset + at, len < 50000 ? len : 50000);
}

static void
do_store(void)
{
    size_t have, at, len;
    struct mapping *m = a_mapping(true, &have);

    if (!m)
        return;
    at = rnd(have);
    len = 1 + rnd(have - at < 9000 ? have - at : 9000);
    for (size_t i = 0; i < len; i++)
        w->model[m->offset + at + i] = (unsigned char)(m->p[at + i] = (char)(1 + rnd(255)));
}

static void
do_remap(void)
{
    size_t have, len = (1 + rnd(60)) * PAGE;
    struct mapping *m = a_mapping(false, &have);
    char *p;

    if (!m)
        return;
    p = mremap(m->p, m->len, len, MREMAP_MAYMOVE);
    if (p == MAP_FAILED)
        bad("mremap", m->offset, 0, -1);
    m->p = p;
    m->len = len;
}

static void
do_protect(void)
{
    size_t have;
    struct mapping *m = a_mapping(false, &have);

    if (!m)
        return;
    m->write = !m->write;
    if (mprotect(m->p, m->len, m->write ? PROT_READ | PROT_WRITE : PROT_READ) != 0)
        bad("mprotect", m->offset, 0, -1);
}

static void
do_sync(void)
{
    size_t have;
    struct mapping *m = a_mapping(false, &have);

    if (m && msync(m->p, m->len, rnd(2) ? MS_SYNC : MS_ASYNC) != 0)
        bad("msync", m->offset, 0, -1);
    if (rnd(4) == 0 && fsync(fd) != 0)
        bad("fsync", 0, 0, -1);
}

static void
do_reopen(void)
{
    close(fd); // mappings stay
    fd = open(file, O_RDWR);
    if (fd < 0)
        bad("open", 0, 0, -1);
}

static void
one_step(void)
{
    static void (*const ops[])(void) = {do_write, do_write,   do_read, do_read,  do_truncate, do_map,
                                        do_map,   do_map,     do_load, do_load,  do_store,    do_store,
                                        do_remap, do_protect, do_sync, do_reopen};

    ops[rnd(sizeof ops / sizeof ops[0])]();
}

// A process: waits for its turn, does a step, gives the turn back.
static void
live(int number)
{
    me = number;
    if (fd < 0)
        do_reopen();
    for (;;) {
        while (atomic_load(&w->turn) != me) {
            if (atomic_load(&w->stop))
                _exit(0);
            sched_yield();
        }
        one_step();
        fflush(stdout);
        atomic_store(&w->turn, -1);
    }
}

// One that inherits what its parent has mapped: made by a process in its turn.
static pid_t pids[PROCS];

static pid_t
start(int number)
{
    pid_t pid = fork();

    if (pid == 0)
        live(number);
    return pid;
}

static int
direct(int steps)
{
    for (int i = 0; i < PROCS; i++)
        pids[i] = start(i);
    for (w->op = 0; w->op < steps && !atomic_load(&w->stop); w->op++) {
        int k = (int)rnd(PROCS);

        me = PROCS;
        if (rnd(40) == 0) { // a process dies with what it has mapped, and another begins
            kill(pids[k], SIGKILL);
            waitpid(pids[k], NULL, 0);
            pids[k] = start(k);
        } else if (rnd(10) == 0) { // the director, whose children inherit its mappings
            one_step();
        }
        atomic_store(&w->turn, k);
        while (atomic_load(&w->turn) == k && !atomic_load(&w->stop)) {
            int status;

            if (waitpid(pids[k], &status, WNOHANG) == pids[k]) {
                printf("FAIL seed %d, step %d: process %d ended: %d\n", seed, w->op, k, status);
                atomic_store(&w->stop, 2);
            }
            sched_yield();
        }
    }
    return atomic_load(&w->stop) ? 1 : 0;
}

int
main(int argc, char **argv)
{
    static char buf[FILE_MAX];
    int r;

    if (argc != 4) {
        fprintf(stderr, "usage: %s DIRECTORY SEED STEPS\n", argv[0]);
        return 2;
    }
    snprintf(file, sizeof file, "%s/file", argv[1]);
    seed = atoi(argv[2]);
    w = mmap(NULL, sizeof *w, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    w->random = 0x9e3779b97f4a7c15u * (uint64_t)(seed + 1);
    w->turn = -1;
    fd = open(file, O_RDWR | O_CREAT | O_TRUNC, 0644);
    if (fd < 0)
        return 1;
    r = direct(atoi(argv[3]));
    if (!r && (pread(fd, buf, FILE_MAX, 0) != (ssize_t)w->size))
        bad("the end", 0, (int)w->size, 0);
    if (!r)
        compare("the end", buf, 0, w->size);
    atomic_store(&w->stop, 1);
    for (int i = 0; i < PROCS; i++)
        waitpid(pids[i], NULL, 0);
    unlink(file);
    if (!r)
        printf("seed %d: %d steps agree\n", seed, w->op);
    return r;
}
