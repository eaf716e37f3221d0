// SPDX-License-Identifier: Apache-2.0
// New processes, and signals.
#include "tests/oracle/oracle.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILD_STREAMS 7 // for each of the first four streams

extern char **environ;

// While two processes live, neither writes what they share. Returns which slots were not locked before.
static unsigned
lock_shared_memory(struct ctx *c)
{
    unsigned mine = 0;
    for (int i = 0; i < NBUF; i++)
        if (c->bufs[i].kind == B_SHARED && !c->bufs[i].locked) {
            c->bufs[i].locked = true;
            mine |= 1u << i;
        }
    return mine;
}

static void
unlock_shared_memory(struct ctx *c, unsigned mine)
{
    for (int i = 0; i < NBUF; i++)
        if (mine & 1u << i)
            c->bufs[i].locked = false;
}

// The part of a child that may do anything.
static void
child_runs(struct ctx *c, unsigned ops)
{
    close(c->file);
    c->file = memfd_create("oracle", MFD_CLOEXEC);
    MUST(c, c->file >= 0);
    c->file_size = 0;
    run_operations(c, ops);
}

// The part of one where no lock may be taken: it was made behind libc's back, or while other threads ran.
static void
child_copies(struct ctx *c, unsigned ops)
{
    static void (*const simple[])(struct ctx *) = {op_copy, op_copy_within, op_copy_chain, op_store, op_load};
    for (unsigned i = 0; i < ops; i++) {
        trace(c, "%u simple", c->opno++);
        simple[rnd(&c->rng, 5)](c);
        trace(c, "\n");
    }
}

static void
child_main(struct ctx *c, unsigned ops, bool simple, int how_to_end)
{
    c->depth++;
    c->concurrent = false;
    lock_shared_memory(c);
    ring_forget(c);
    c->rng.state ^= 0x1234567;
    if (how_to_end == 0)
        verify_all(c, "child starts");
    if (simple)
        child_copies(c, ops);
    else
        child_runs(c, ops);
    verify_all(c, "child ends");
    verify(c, &c->sigbuf, 0, c->sigbuf.n, "child's signal buffer");
    if (how_to_end == 1 && !simple)
        exit(0);
    _exit(0);
}

// A child checks all memory and changes it; the parent goes on meanwhile, or waits; what each sees is its
// own.
void
op_proc_fork(struct ctx *c)
{
    if (c->depth >= 2)
        return;
    bool together = c->depth == 0 && c->children < CHILD_STREAMS && !one_in(&c->rng, 3);
    unsigned ops = (unsigned)rnd(&c->rng, 8), parents = together ? (unsigned)rnd(&c->rng, 6) : 0;
    size_t how = rnd(&c->rng, 5);
    int end = (int)rnd(&c->rng, 3), status;
    int stream = together ? 4 + c->stream * CHILD_STREAMS + c->children++ : c->stream;
    trace(c, " how=%zu ops=%u stream=%d end=%d\n", how, ops, stream, end);
    bool simple = how < 2 || c->concurrent;
    pid_t pid = how == 0   ? _Fork()
                : how == 1 ? (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL)
                           : fork();
    MUST(c, pid >= 0);
    if (pid == 0) {
        c->stream = stream;
        child_main(c, ops, simple, end);
    }
    unsigned mine = lock_shared_memory(c);
    run_operations(c, parents);
    int ret;
    do
        ret = waitpid(pid, &status, 0);
    while (ret < 0 && errno == EINTR);
    unlock_shared_memory(c, mine);
    trace(c, "%u waited", c->opno);
    if (ret != pid || status)
        wrong(c, "child's wait status %x, waitpid %d", status, ret == pid);
}

void
op_proc_spawn(struct ctx *c)
{
    static char *const argv[] = {"sh", "-c", "exit 5", NULL};
    size_t how = rnd(&c->rng, 3);
    int status = 0, ret = 0;
    pid_t pid;
    trace(c, " how=%zu", how);
    if (how == 0) {
        pid = vfork();
        if (pid == 0) {
            execv("/bin/sh", argv);
            _exit(6);
        }
        MUST(c, pid > 0);
    } else if (how == 1) {
        MUST(c, posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ) == 0);
    } else {
        result(c, status = system("exit 5"));
        return;
    }
    do
        ret = waitpid(pid, &status, 0);
    while (ret < 0 && errno == EINTR);
    trace(c, " status %x", status);
    MUST(c, ret == pid);
}

static _Thread_local struct ctx *self;
static volatile bool storming;

// A signal 200 us after the last one's handler has ended, to whatever thread.
void
storm(bool on)
{
    struct itimerval next = {.it_value = {0, on ? 200 : 0}};
    storming = on;
    setitimer(ITIMER_REAL, &next, NULL);
}

// Reads, writes and copies inside its own buffer; whatever it interrupts.
static void
on_signal(int sig)
{
    struct ctx *c = self;
    int saved = errno;
    if (sig == SIGALRM && storming)
        storm(true);
    if (!c || !c->sigbuf.p)
        return;
    struct buf *b = &c->sigbuf;
    uint64_t k = c->sig_count++;
    size_t at = k * 7919 % (b->n - 16), half = b->n / 2;
    if (raw_diff(b->p + at, b->shadow + at, 16) != 16)
        verify(c, b, at, 16, "signal handler");
    raw_fill(b->shadow + at, 16, k);
    raw_copy(b->p + at, b->shadow + at, 16);
    static void *(*volatile do_copy)(void *, const void *, size_t) = memcpy;
    if (k % 8 == 3) {
        size_t from = k % 5 * 1000, n = half - 5000;
        do_copy(b->p + half, b->p + from, n);
        raw_copy(b->shadow + half, b->shadow + from, n);
    } else if (k % 8 == 7) {
        do_copy(b->p, b->p + half, half - k % 100);
        raw_copy(b->shadow, b->shadow + half, half - k % 100);
    }
    errno = saved;
}

static sigset_t
our_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGALRM);
    return set;
}

void
signals_set_up(struct ctx *c)
{
    struct sigaction act = {.sa_handler = on_signal, .sa_flags = SA_RESTART, .sa_mask = our_signals()};
    struct buf *b = &c->sigbuf;
    b->kind = one_in(&c->rng, 2) ? B_MMAP : B_MALLOC;
    b->id = 99;
    b->n = 128 * 1024;
    b->shadow = raw_map(b->n);
    uint8_t *p = b->kind == B_MMAP
                     ? mmap(NULL, b->n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                     : malloc(b->n);
    MUST(c, p && p != MAP_FAILED);
    raw_fill(b->shadow, b->n, rng_next(&c->rng));
    raw_copy(p, b->shadow, b->n);
    b->p = p;
    self = c;
    sigaction(SIGUSR1, &act, NULL);
    sigaction(SIGALRM, &act, NULL);
}

void
signals_tear_down(struct ctx *c)
{
    struct buf *b = &c->sigbuf;
    self = NULL;
    verify(c, b, 0, b->n, "signal buffer at the end");
    if (b->kind == B_MMAP)
        munmap(b->p, b->n);
    else
        free(b->p);
    b->p = NULL;
}

void
op_sig_raise(struct ctx *c)
{
    size_t n = 1 + rnd(&c->rng, 20);
    trace(c, " times=%zu", n);
    for (size_t i = 0; i < n; i++)
        MUST(c, pthread_kill(pthread_self(), SIGUSR1) == 0);
}

// Between the signal buffer and another one, with the signals blocked: afterwards the handler meets absent
// memory.
void
op_sig_copy(struct ctx *c)
{
    sigset_t set = our_signals(), old;
    static void *(*volatile do_copy)(void *, const void *, size_t) = memcpy;
    bool into = one_in(&c->rng, 2);
    struct buf *b = pick(c, into ? READS : WRITES);
    size_t at, n;
    pick_range(c, b, &at, &n);
    if (n > c->sigbuf.n)
        n = c->sigbuf.n;
    trace(c, " buf=%d:%zu n=%zu into=%d", b->id, at, n, into);
    MUST(c, pthread_sigmask(SIG_BLOCK, &set, &old) == 0);
    struct buf *dst = into ? &c->sigbuf : b, *src = into ? b : &c->sigbuf;
    size_t to = into ? 0 : at, from = into ? at : 0;
    do_copy(dst->p + to, src->p + from, n);
    raw_copy(dst->shadow + to, src->shadow + from, n);
    // The kernel's own pending state must survive: one raised while blocked arrives on unblocking.
    uint64_t before = c->sig_count;
    pthread_kill(pthread_self(), SIGUSR1);
    MUST(c, c->sig_count == before);
    MUST(c, pthread_sigmask(SIG_SETMASK, &old, NULL) == 0);
    MUST(c, c->sig_count > before);
}
