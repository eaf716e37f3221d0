// SPDX-License-Identifier: Apache-2.0
// The memory of libfsclient.so: no two blocks overlap and none loses its bytes, by many threads at once, in
// signal handlers that interrupt them anywhere, and in fork children.
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fsclient/heap.h"
#include "tests/unit/unit.h"

#define SLOTS 200
#define ROUNDS 60000

struct slot {
    unsigned char *p;
    size_t n;
    unsigned char fill;
};

static bool
whole(const struct slot *s)
{
    for (size_t i = 0; i < s->n; i += i < 64 || s->n - i < 65 ? 1 : 61)
        if (s->p[i] != s->fill)
            return false;
    return true;
}

static bool
step(struct slot *s, unsigned *seed)
{
    static const size_t aligns[] = {16, 64, 512, 4096};
    size_t n = (size_t)rand_r(seed) % (rand_r(seed) % 16 ? 600 : 200000), align = 16;

    if (s->p) {
        if (!whole(s) || heap_room(s->p) < s->n || !heap_free(s->p))
            return false;
        s->p = NULL;
        return true;
    }
    if (rand_r(seed) % 8 == 0) {
        align = aligns[rand_r(seed) % 4];
        s->p = heap_aligned(align, n);
    } else if (rand_r(seed) % 3 == 0) {
        s->p = heap_calloc(1, n);
        for (size_t i = 0; s->p && i < n; i++)
            if (s->p[i])
                return false;
    } else {
        s->p = heap_malloc(n);
    }
    if (!s->p || (uintptr_t)s->p % align || heap_room(s->p) < n)
        return false;
    s->n = n;
    s->fill = (unsigned char)rand_r(seed);
    memset(s->p, s->fill, n);
    return true;
}

static bool
work(unsigned seed, unsigned rounds)
{
    struct slot *slots = calloc(SLOTS, sizeof(*slots));
    bool ok = slots != NULL;

    for (unsigned i = 0; ok && i < rounds; i++)
        ok = step(&slots[(unsigned)rand_r(&seed) % SLOTS], &seed);
    for (unsigned i = 0; ok && i < SLOTS; i++)
        ok = !slots[i].p || (whole(&slots[i]) && heap_free(slots[i].p));
    free(slots);
    return ok;
}

static void *
thread(void *arg)
{
    return work((unsigned)(uintptr_t)arg, ROUNDS) ? arg : NULL;
}

static _Atomic unsigned handled;
static _Atomic bool handler_wrong;

static void
handler(int sig)
{
    static _Atomic unsigned seed = 77;
    struct slot s[8] = {{0}};
    unsigned mine = atomic_fetch_add(&seed, 1);
    int saved = errno;

    (void)sig;
    for (unsigned i = 0; i < 16; i++)
        if (!step(&s[i % 8], &mine))
            handler_wrong = true;
    handled++;
    errno = saved;
}

static void
test_threads_and_handlers(void **state)
{
    struct sigaction act = {.sa_handler = handler, .sa_flags = SA_RESTART};
    struct itimerval fast = {{0, 300}, {0, 300}}, off = {{0, 0}, {0, 0}};
    pthread_t t[4];
    void *ok;

    (void)state;
    assert_int_equal(sigaction(SIGALRM, &act, NULL), 0);
    setitimer(ITIMER_REAL, &fast, NULL);
    for (uintptr_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, thread, (void *)(i + 1)), 0);
    for (unsigned i = 0; i < 10; i++) {
        pid_t pid = fork();
        int status;

        if (pid == 0) {
            setitimer(ITIMER_REAL, &off, NULL);
            _exit(work(1000 + i, 3000) ? 0 : 1);
        }
        assert_true(pid > 0);
        while (waitpid(pid, &status, 0) < 0)
            assert_int_equal(errno, EINTR);
        assert_int_equal(status, 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(t[i], &ok), 0);
        assert_non_null(ok);
    }
    setitimer(ITIMER_REAL, &off, NULL);
    assert_true(handled > 0);
    assert_false(handler_wrong);
}

static void
test_edges(void **state)
{
    size_t before;
    char *p;

    (void)state;
    assert_null(heap_malloc(SIZE_MAX));
    assert_int_equal(errno, ENOMEM);
    assert_null(heap_malloc(SIZE_MAX - 4096));
    assert_null(heap_calloc(SIZE_MAX / 2, 3));
    assert_null(heap_aligned(24, 10));
    assert_int_equal(errno, EINVAL);
    p = malloc(100); // the C library's
    assert_non_null(p);
    assert_false(heap_free(p));
    assert_int_equal(heap_room(p), 0);
    free(p);
    // What is freed is used again: nothing grows.
    for (unsigned i = 0; i < 1000; i++)
        heap_free(heap_malloc(i * 7));
    before = heap_taken();
    for (unsigned i = 0; i < 100000; i++)
        heap_free(heap_malloc(i * 7 % 7000));
    assert_int_equal(heap_taken(), before);
    p = heap_malloc(0);
    assert_non_null(p);
    assert_true(heap_free(p));
    assert_false(heap_free(p)); // a second time it is not from here
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_threads_and_handlers),
    };

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    // It looks in front of what malloc gave, and runs within signal handlers: the sanitizers forbid both.
    puts("skip fc-heap: no place for a sanitizer");
    (void)tests;
    return 77;
#endif
    return cmocka_run_group_tests(tests, NULL, NULL);
}
