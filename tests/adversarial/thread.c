// SPDX-License-Identifier: Apache-2.0
// Threads: racing with a copy, waiting in the kernel while others copy, and dying.
#include "tests/adversarial/adv.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#define N (256 * KIB)

static atomic_bool stop;

// A source whose every 8-byte word is written again and again with its index and a growing generation.
static void *
keep_writing(void *arg)
{
    volatile uint64_t *src = arg;
    for (uint64_t generation = 1; !stop; generation++)
        for (size_t i = 0; i < N / 8 && !stop; i++)
            src[i] = generation << 32 | i;
    return NULL;
}

struct copier {
    const uint8_t *src;
    bool ok;
};

// A torn copy is legal, a word of nowhere is not: each word keeps its index, and later copies are never
// older.
static void *
keep_copying(void *arg)
{
    struct copier *c = arg;
    uint8_t *dst = map_anon(N);
    static _Thread_local uint64_t last[N / 8];
    c->ok = true;
    for (int round = 0; round < 120 && c->ok; round++) {
        do_memcpy(dst, c->src, N);
        const volatile uint64_t *word = (uint64_t *)dst;
        for (size_t i = 0; i < N / 8 && c->ok; i++) {
            uint64_t w = word[i];
            c->ok = (uint32_t)w == i && w >= last[i];
            if (!c->ok)
                dprintf(2, "round %d word %zu is %016lx, was %016lx\n", round, i, w, last[i]);
            last[i] = w;
        }
        // A copy stays what it is, whatever the writer does meanwhile.
        for (size_t i = 0; i < N / 8 && c->ok; i += 61)
            c->ok = word[i] == last[i];
    }
    munmap(dst, N);
    return NULL;
}

static int
copied_while_written(void)
{
    pthread_t writer, copiers[2];
    uint64_t *src = map_anon(N);
    struct copier c[2] = {{.src = (uint8_t *)src}, {.src = (uint8_t *)src}};
    for (size_t i = 0; i < N / 8; i++)
        ((volatile uint64_t *)src)[i] = i;
    EXPECT(pthread_create(&writer, NULL, keep_writing, src) == 0);
    for (int i = 0; i < 2; i++)
        EXPECT(pthread_create(&copiers[i], NULL, keep_copying, &c[i]) == 0);
    for (int i = 0; i < 2; i++)
        pthread_join(copiers[i], NULL);
    stop = true;
    pthread_join(writer, NULL);
    EXPECT(c[0].ok && c[1].ok);
    return 0;
}

struct sender {
    int fd;
    const uint8_t *p;
    size_t n;
    atomic_bool started;
    atomic_bool done;
    bool ok;
};

static void *
blocking_send(void *arg)
{
    struct sender *s = arg;
    s->started = true;
    s->ok = send(s->fd, s->p, s->n, MSG_NOSIGNAL) == (ssize_t)s->n;
    s->done = true;
    return NULL;
}

static void *
blocking_recv(void *arg)
{
    struct sender *s = arg;
    s->started = true;
    s->ok = recv(s->fd, (void *)s->p, s->n, MSG_WAITALL) == (ssize_t)s->n;
    s->done = true;
    return NULL;
}

static bool
is_started(void *arg)
{
    return ((struct sender *)arg)->started;
}

// Copies, reads, frees, sends: everything must go on while another thread waits.
static int
work(unsigned rounds)
{
    int fd[2];
    EXPECT(unix_pair(fd, SOCK_STREAM) == 0);
    for (unsigned i = 0; i < rounds; i++) {
        uint8_t *a = absent(N, i), *b = copied(a, N), *got = malloc(N);
        EXPECT(send(fd[0], b, 100000, 0) == 100000);
        EXPECT(recv(fd[1], got, 100000, MSG_WAITALL) == 100000);
        EXPECT(same(got, 100000, i));
        EXPECT(same(b, N, i));
        EXPECT(same(a, N, i));
        EXPECT(madvise(a - (uintptr_t)a % PAGE + PAGE, N / 2, MADV_DONTNEED) == 0);
        free(a);
        free(b);
        free(got);
        uint8_t *m = absent_map(N, i);
        EXPECT(mprotect(m, N, PROT_READ) == 0);
        EXPECT(munmap(m, N) == 0);
        pid_t pid = i % 10 ? 0 : fork();
        if (i % 10 == 0 && pid == 0)
            _exit(0);
        if (pid)
            EXPECT(child_ok(pid));
    }
    return 0;
}

static int
one_blocked_in_send(void)
{
    int fd[2];
    pthread_t thread, drainer;
    EXPECT(tcp_pair(fd) == 0);
    size_t n = 32 * MIB;
    struct sender s = {.fd = fd[0], .p = absent(n, 5), .n = n};
    struct drain d = {.fd = fd[1], .n = n, .seed = 5};
    EXPECT(pthread_create(&thread, NULL, blocking_send, &s) == 0);
    EXPECT(wait_until(is_started, &s, 5));
    EXPECT(work(40) == 0);
    EXPECT(!s.done);
    EXPECT(pthread_create(&drainer, NULL, drain_main, &d) == 0);
    EXPECT(work(5) == 0);
    pthread_join(thread, NULL);
    pthread_join(drainer, NULL);
    EXPECT(s.ok && d.ok);
    return 0;
}

static int
one_blocked_in_recv(void)
{
    int fd[2];
    pthread_t thread;
    EXPECT(tcp_pair(fd) == 0);
    struct sender s = {.fd = fd[1], .p = absent(N, 5), .n = N};
    uint8_t *piece = new_filled(N, 6);
    EXPECT(pthread_create(&thread, NULL, blocking_recv, &s) == 0);
    EXPECT(wait_until(is_started, &s, 5));
    EXPECT(work(40) == 0);
    EXPECT(!s.done);
    EXPECT(send_all(fd[0], piece, N / 2));
    EXPECT(work(5) == 0);
    EXPECT(send_all(fd[0], piece + N / 2, N / 2));
    pthread_join(thread, NULL);
    EXPECT(s.ok && same(s.p, N, 6));
    return 0;
}

static void *
blocking_read_of_pipe(void *arg)
{
    struct sender *s = arg;
    s->started = true;
    s->ok = read(s->fd, (void *)s->p, s->n) == 5000;
    s->done = true;
    return NULL;
}

static int
one_blocked_in_read(void)
{
    int fd[2];
    pthread_t thread;
    EXPECT(pipe(fd) == 0);
    struct sender s = {.fd = fd[0], .p = absent(N, 5), .n = N};
    uint8_t *piece = new_filled(N, 6);
    EXPECT(pthread_create(&thread, NULL, blocking_read_of_pipe, &s) == 0);
    EXPECT(wait_until(is_started, &s, 5));
    EXPECT(work(20) == 0);
    EXPECT(same_from(s.p + N / 2, N / 2, 5, N / 2));
    EXPECT(write(fd[1], piece, 5000) == 5000);
    pthread_join(thread, NULL);
    EXPECT(s.ok && same(s.p, 5000, 6) && same_from(s.p + 5000, N - 5000, 5, 5000));
    return 0;
}

static void *
make_absent(void *out)
{
    uint8_t **p = out;
    p[0] = absent(N, 1);
    p[1] = absent_map(N, 2);
    return NULL;
}

static int
thread_death(void)
{
    for (int i = 0; i < 30; i++) {
        pthread_t thread;
        uint8_t *p[2];
        EXPECT(pthread_create(&thread, NULL, make_absent, p) == 0);
        EXPECT(pthread_join(thread, NULL) == 0);
        EXPECT(same(p[0], N, 1) && same(p[1], N, 2));
        free(p[0]);
        munmap(p[1], N);
    }
    return 0;
}

struct reader {
    const uint8_t *p;
    pthread_barrier_t *barrier;
    bool ok;
};

static void *
read_it(void *arg)
{
    struct reader *r = arg;
    pthread_barrier_wait(r->barrier);
    r->ok = same(r->p, N, 1);
    return NULL;
}

static int
many_fault_on_one_page(void)
{
    for (int round = 0; round < 20; round++) {
        pthread_t threads[6];
        pthread_barrier_t barrier;
        uint8_t *p = absent(N, 1);
        pthread_barrier_init(&barrier, NULL, 6);
        struct reader r[6];
        for (int i = 0; i < 6; i++) {
            r[i] = (struct reader){.p = p, .barrier = &barrier};
            EXPECT(pthread_create(&threads[i], NULL, read_it, &r[i]) == 0);
        }
        for (int i = 0; i < 6; i++) {
            pthread_join(threads[i], NULL);
            EXPECT(r[i].ok);
        }
        free(p);
    }
    return 0;
}

struct worker {
    unsigned id;
    const uint8_t *shared;
    bool ok;
};

static void *
copy_around(void *arg)
{
    struct worker *w = arg;
    uint8_t *mine[4] = {0};
    unsigned seed[4] = {0};
    w->ok = true;
    for (unsigned i = 0; i < 200 && w->ok; i++) {
        unsigned to = i % 4, from = (i * 7 + w->id) % 4;
        if (!mine[from] || from == to) {
            free(mine[to]);
            mine[to] = copied(w->shared, N);
            seed[to] = 1;
        } else {
            if (!mine[to])
                mine[to] = malloc(N);
            do_memcpy(mine[to], mine[from], N);
            seed[to] = seed[from];
        }
        if (i % 5 == 0) {
            seed[to] = i + 1000 * w->id;
            fill(mine[to], N, seed[to]);
        }
        if (i % 3 == 0)
            w->ok = same(mine[to], N, seed[to]);
    }
    for (int i = 0; i < 4; i++) {
        w->ok = w->ok && (!mine[i] || same(mine[i], N, seed[i]));
        free(mine[i]);
    }
    return NULL;
}

static int
many_copy_from_one_source(void)
{
    pthread_t threads[4];
    struct worker w[4];
    const uint8_t *shared = new_filled(N, 1);
    for (unsigned i = 0; i < 4; i++) {
        w[i] = (struct worker){.id = i, .shared = shared};
        EXPECT(pthread_create(&threads[i], NULL, copy_around, &w[i]) == 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        EXPECT(w[i].ok);
    }
    EXPECT(same(shared, N, 1));
    return 0;
}

// One thread maps, fills, copies and unmaps; the addresses come back to the other thread at once.
static void *
churn_mappings(void *arg)
{
    struct worker *w = arg;
    w->ok = true;
    for (unsigned i = 0; i < 300 && w->ok; i++) {
        uint8_t *p = absent_map(16 * PAGE, i + w->id * 1000), *q = map_anon(16 * PAGE);
        w->ok = all_bytes(q, PAGE, 0);
        do_memcpy(q, p, 16 * PAGE);
        munmap(p, 16 * PAGE);
        w->ok = w->ok && same(q, 16 * PAGE, i + w->id * 1000);
        munmap(q, 16 * PAGE);
    }
    return NULL;
}

static int
mappings_churned_by_threads(void)
{
    pthread_t threads[3];
    struct worker w[3];
    for (unsigned i = 0; i < 3; i++) {
        w[i] = (struct worker){.id = i};
        EXPECT(pthread_create(&threads[i], NULL, churn_mappings, &w[i]) == 0);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        EXPECT(w[i].ok);
    }
    return 0;
}

static void *
copy_for_ever(void *arg)
{
    struct worker *w = arg;
    uint8_t *dst = map_anon(N);
    for (;;) {
        do_memcpy(dst, w->shared, N);
        w->ok = true;
        pthread_testcancel();
    }
    return NULL;
}

static bool
has_copied(void *arg)
{
    return ((volatile struct worker *)arg)->ok;
}

static int
cancelled(void)
{
    for (int i = 0; i < 20; i++) {
        pthread_t thread;
        struct worker w = {.shared = new_filled(N, 1)};
        EXPECT(pthread_create(&thread, NULL, copy_for_ever, &w) == 0);
        EXPECT(wait_until(has_copied, &w, 5));
        EXPECT(pthread_cancel(thread) == 0 && pthread_join(thread, NULL) == 0);
        EXPECT(same(w.shared, N, 1));
    }
    return work(3);
}

// A thread blocked in a receive is a cancellation point, and must not leave anything held.
static int
cancelled_in_recv(void)
{
    for (int i = 0; i < 10; i++) {
        int fd[2];
        pthread_t thread;
        EXPECT(unix_pair(fd, SOCK_STREAM) == 0);
        struct sender s = {.fd = fd[1], .p = absent(N, 5), .n = N};
        EXPECT(pthread_create(&thread, NULL, blocking_recv, &s) == 0);
        EXPECT(wait_until(is_started, &s, 5));
        EXPECT(pthread_cancel(thread) == 0);
        void *result;
        EXPECT(pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED);
        EXPECT(same(s.p, N, 5));
        close(fd[0]);
        close(fd[1]);
    }
    return work(3);
}

static _Atomic bool stop_mapping, stale;

// Each gets, again and again, the addresses that another has just given up by a call that no hook saw.
static void *
map_copy_unmap(void *src)
{
    while (!stop_mapping) {
        uint8_t *p = map_anon(N), *c = copied(p, N);
        if (!all_bytes(c + N / 2, 16, 0))
            stale = true;
        free(c);
        do_memcpy(p, src, N);
        raw_syscall(SYS_munmap, (long)p, N, 0, 0, 0, 0);
    }
    return NULL;
}

static int
addresses_change_hands(void)
{
    pthread_t threads[4];
    uint8_t *src = absent_map(N, 1);
    for (int i = 0; i < 4; i++)
        EXPECT(pthread_create(&threads[i], NULL, map_copy_unmap, src) == 0);
    for (int64_t end = now_ns() + 4000000000ll; now_ns() < end && !stale;)
        sched_yield();
    stop_mapping = true;
    for (int i = 0; i < 4; i++)
        EXPECT(pthread_join(threads[i], NULL) == 0);
    EXPECT(!stale);
    EXPECT(same(src, N, 1));
    return 0;
}

const struct adv_case adv_thread_cases[] = {
    {"copied_while_written", copied_while_written, ADV_ELIDES | ADV_SLOW},
    {"one_blocked_in_send", one_blocked_in_send, ADV_ELIDES},
    {"one_blocked_in_recv", one_blocked_in_recv, ADV_ELIDES},
    {"one_blocked_in_read", one_blocked_in_read, ADV_ELIDES},
    {"thread_death", thread_death, ADV_ELIDES},
    {"many_fault_on_one_page", many_fault_on_one_page, ADV_ELIDES},
    {"many_copy_from_one_source", many_copy_from_one_source, ADV_ELIDES},
    {"mappings_churned_by_threads", mappings_churned_by_threads, ADV_ELIDES},
    {"cancelled", cancelled, ADV_ELIDES},
    {"cancelled_in_recv", cancelled_in_recv, ADV_ELIDES},
    {"addresses_change_hands", addresses_change_hands, ADV_ELIDES | ADV_SLOW},
    {NULL, NULL, 0},
};
