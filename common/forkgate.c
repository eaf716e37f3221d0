// SPDX-License-Identifier: Apache-2.0
// See forkgate.h.
#include "common/forkgate.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define TURN_NS (5 * 1000 * 1000)
#define TURNS_PATIENT 4 // before the forking thread is looked at
#define TURNS_CLOSE 400 // for the sections of others
#define TURNS_BLIND 200 // where it can't be looked at

enum { OPEN, CLOSING, CLOSED };

struct gate {
    _Atomic uint32_t state;
    _Atomic uint32_t inside; // threads
    _Atomic int thread;      // who closed it
};

static struct gate first; // until there is the page
static struct gate *_Atomic gate = &first;
static pthread_mutex_t init_lock = PTHREAD_MUTEX_INITIALIZER;
static bool watching; // init_lock
// Not by a call that might allocate: sections are entered in handlers that interrupted malloc.
static __thread unsigned depth __attribute__((tls_model("initial-exec")));
static __thread bool forks __attribute__((tls_model("initial-exec")));

static void forkgate_close(void);
static void forkgate_open(void);
static void forkgate_child(void);

int
forkgate_init(void)
{
    long size = sysconf(_SC_PAGESIZE);
    int err = 0;
    void *p;

    pthread_mutex_lock(&init_lock);
    if (!watching) {
        err = -pthread_atfork(forkgate_close, forkgate_open, forkgate_child);
        watching = err == 0;
    }
    if (!err && atomic_load(&gate) == &first) {
        p = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED) {
            err = -errno;
        } else if (madvise(p, (size_t)size, MADV_WIPEONFORK) != 0) {
            err = -errno;
            munmap(p, (size_t)size);
        } else {
            atomic_store(&gate, p);
        }
    }
    pthread_mutex_unlock(&init_lock);
    return err;
}

static void
wait_turn(_Atomic uint32_t *word, uint32_t value)
{
    struct timespec turn = {0, TURN_NS};

    (void)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, &turn, NULL, 0);
}

static void
wake(_Atomic uint32_t *word)
{
    (void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
}

// 1: that thread is in futex(2) now; 0: it is not; -1: not to be known.
static int
waits_for_lock(int thread)
{
    char path[64], buf[16] = "";
    ssize_t n;
    int fd;

    snprintf(path, sizeof path, "/proc/self/task/%d/syscall", thread);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    n = read(fd, buf, sizeof buf - 1);
    close(fd);
    return n > 0 ? strtol(buf, NULL, 10) == SYS_futex : -1; // or "running"
}

static void
wait_open(struct gate *g)
{
    for (unsigned turn = 0;; turn++) {
        uint32_t state = atomic_load(&g->state);
        int stuck;

        if (state == OPEN)
            return;
        wait_turn(&g->state, state);
        if (turn < TURNS_PATIENT || atomic_load(&g->state) != CLOSED)
            continue;
        stuck = waits_for_lock(atomic_load(&g->thread));
        state = CLOSED;
        if ((stuck == 1 || (stuck < 0 && turn >= TURNS_BLIND)) &&
            atomic_compare_exchange_strong(&g->state, &state, OPEN))
            wake(&g->state);
    }
}

void
forkgate_enter(void)
{
    struct gate *g = atomic_load_explicit(&gate, memory_order_acquire);

    if (depth > 0) {
        depth++;
        return;
    }
    for (;;) {
        // Sequentially consistent, like those of forkgate_close: one of the two sees the other.
        atomic_fetch_add(&g->inside, 1);
        if (atomic_load(&g->state) == OPEN || forks) {
            depth = 1; // not before it is counted: a handler may come in between, and enter itself
            return;
        }
        if (atomic_fetch_sub(&g->inside, 1) == 1)
            wake(&g->inside);
        wait_open(g);
    }
}

void
forkgate_leave(void)
{
    struct gate *g = atomic_load_explicit(&gate, memory_order_acquire);

    if (--depth > 0)
        return;
    if (atomic_fetch_sub(&g->inside, 1) == 1 && atomic_load(&g->state) != OPEN)
        wake(&g->inside);
}

static void
forkgate_close(void)
{
    struct gate *g = atomic_load(&gate);
    uint32_t state = OPEN, mine = depth > 0, inside; // a handler may fork in a section

    while (!atomic_compare_exchange_strong(&g->state, &state, CLOSING)) {
        wait_open(g);
        state = OPEN;
    }
    atomic_store(&g->thread, (int)syscall(SYS_gettid));
    forks = true;
    for (unsigned turn = 0; (inside = atomic_load(&g->inside)) > mine && turn < TURNS_CLOSE; turn++)
        wait_turn(&g->inside, inside);
    atomic_store(&g->state, CLOSED);
}

static void
forkgate_open(void)
{
    struct gate *g = atomic_load(&gate);

    forks = false;
    // Not where others opened it, and one of them closed it for a fork of its own.
    if (atomic_load(&g->thread) == (int)syscall(SYS_gettid) && atomic_exchange(&g->state, OPEN) != OPEN)
        wake(&g->state);
}

static void
forkgate_child(void)
{
    struct gate *g = atomic_load(&gate);

    forks = false;
    atomic_store(&g->inside, depth > 0);
    atomic_store(&g->thread, 0);
    atomic_store(&g->state, OPEN);
    pthread_mutex_init(&init_lock, NULL);
}
