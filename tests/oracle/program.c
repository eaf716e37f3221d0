// SPDX-License-Identifier: Apache-2.0
// A whole random program: set-up, operations in one thread and in several, and the last check of every byte.
#include "tests/oracle/oracle.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define STACK_SIZE ((size_t)256 * 1024)

struct operation {
    const char *name;
    void (*run)(struct ctx *);
    unsigned weight;
};

static const struct operation operations[] = {
#define X(name, weight) {#name, op_##name, weight},
    OPERATIONS(X)
#undef X
};
#define NOPERATIONS (sizeof operations / sizeof *operations)

static uint8_t bss[NTHREADS + 1][BUF_MAX] __attribute__((aligned(PAGE)));

const char *operations_left_out = ""; // names with commas around each

static bool
left_out(const char *name)
{
    char key[64];
    snprintf(key, sizeof key, ",%s,", name);
    return strstr(operations_left_out, key);
}

// Each program likes some operations and leaves out others, so that rare ones meet each other often enough.
static unsigned weights[NOPERATIONS];

static void
choose_weights(struct rng *r)
{
    static const unsigned factors[] = {0, 1, 1, 4};
    unsigned sum = 0;
    bool plain = one_in(r, 4);
    for (size_t i = 0; i < NOPERATIONS; i++)
        sum += weights[i] = operations[i].weight * (plain || i == 0 ? 1 : factors[rnd(r, 4)]);
    if (sum < 40)
        weights[0] += 40;
    for (size_t i = 1; i < NOPERATIONS; i++)
        if (left_out(operations[i].name))
            weights[i] = 0;
}

static const struct operation *
choose(struct rng *r)
{
    unsigned sum = 0;
    for (size_t i = 0; i < NOPERATIONS; i++)
        sum += weights[i];
    size_t at = rnd(r, sum);
    for (size_t i = 0;; i++) {
        if (at < weights[i])
            return &operations[i];
        at -= weights[i];
    }
}

void
run_operations(struct ctx *c, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        const struct operation *op = choose(&c->rng);
        trace(c, "%u %s", c->opno, op->name);
        c->opno++;
        op->run(c);
        trace(c, "\n");
        if (c->check_each)
            verify_all(c, op->name);
    }
}

struct thread {
    struct ctx c;
    unsigned ops;
    pthread_t id;
};

static void *
thread_main(void *arg)
{
    struct thread *t = arg;
    uint8_t stack[STACK_SIZE];
    t->c.stack = stack;
    t->c.stack_size = sizeof stack;
    context_set_up(&t->c);
    signals_set_up(&t->c);
    run_operations(&t->c, t->ops);
    verify_all(&t->c, "thread ends");
    signals_tear_down(&t->c);
    buf_destroy(&t->c, &t->c.bufs[2]); // the stack goes with the thread; the rest is handed over
    return NULL;
}

// Its buffers belong to the joining thread now: read them, copy them, free them.
static void
take_over(struct ctx *c, struct thread *t)
{
    static void *(*volatile do_copy)(void *, const void *, size_t) = memcpy;
    for (int i = 0; i < NBUF; i++) {
        struct buf *from = &t->c.bufs[i], *to = pick(c, WRITES);
        if (from->kind == B_NONE)
            continue;
        size_t n = from->n < to->n ? from->n : to->n;
        do_copy(to->p, from->p, n);
        raw_copy(to->shadow, from->shadow, n);
    }
    verify_all(&t->c, "a joined thread's buffers");
    context_tear_down(&t->c);
}

static void
run_with_threads(struct ctx *c, unsigned ops, unsigned threads)
{
    static struct thread t[NTHREADS];
    for (unsigned i = 0; i < threads; i++) {
        t[i].ops = ops;
        t[i].c = (struct ctx){.rng = {rng_next(&c->rng)},
                              .shared = c->shared,
                              .traces = c->traces,
                              .stream = 1 + (int)i,
                              .async = c->async,
                              .concurrent = true,
                              .check_each = c->check_each,
                              .bss = bss[1 + i]};
    }
    c->concurrent = true;
    for (unsigned i = 0; i < threads; i++)
        MUST(c, pthread_create(&t[i].id, NULL, thread_main, &t[i]) == 0);
    run_operations(c, ops);
    for (unsigned i = 0; i < threads; i++)
        MUST(c, pthread_join(t[i].id, NULL) == 0);
    c->concurrent = false;
    for (unsigned i = 0; i < threads; i++)
        take_over(c, &t[i]);
}

static struct buf shared[NSHARED];

// Borrows the first slots to make the buffers that every thread reads.
static void
make_shared(struct ctx *c)
{
    for (int i = 0; i < NSHARED; i++) {
        struct buf keep = c->bufs[4 + i];
        c->bufs[4 + i] = (struct buf){0};
        buf_create(c, 4 + i, i ? B_MMAP : B_MALLOC, random_size(c));
        shared[i] = c->bufs[4 + i];
        shared[i].id = 100 + i;
        shared[i].locked = true;
        c->bufs[4 + i] = keep;
    }
    c->shared = shared;
}

int
program_run(uint64_t seed, unsigned ops, unsigned threads, bool check_each, struct traces *traces)
{
    uint8_t stack[STACK_SIZE];
    static struct ctx main_context;
    struct ctx *c = &main_context;
    *c = (struct ctx){.rng = {seed * 0x9e3779b97f4a7c15u + 1},
                      .traces = traces,
                      .check_each = check_each,
                      .bss = bss[0],
                      .stack = stack,
                      .stack_size = sizeof stack};
    choose_weights(&c->rng);
    if (threads > NTHREADS)
        threads = NTHREADS;
    // One program in three has threads, one in five lives under a storm of signals.
    unsigned use = one_in(&c->rng, 3) ? threads : 0;
    c->async = one_in(&c->rng, 5);
    faults_set_up();
    context_set_up(c);
    signals_set_up(c);
    make_shared(c);
    if (c->async)
        storm(true);
    run_operations(c, use ? ops / 3 : ops);
    if (use) {
        run_with_threads(c, ops / 3, use);
        run_operations(c, ops / 3);
    }
    verify_all(c, "the end");
    storm(false);
    signal(SIGALRM, SIG_IGN);
    signals_tear_down(c);
    context_tear_down(c);
    trace(c, "end\n");
    traces->finished = 1;
    return 0;
}
