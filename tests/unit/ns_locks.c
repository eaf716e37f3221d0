// SPDX-License-Identifier: Apache-2.0
// What sessions share in the namespace engine: byte ranges and flock, waiting for them, and holds on one
// inode.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/ns.h"

static struct meta *m;
static uint64_t top; // a directory that all may write to

static int
set_up(void **state)
{
    struct meta_format fmt = {.chunk_size = 65536};
    struct meta_attr a;

    ns_make(&fmt);
    m = ns_open(0);
    assert_int_equal(meta_mkdir(m, NULL, META_ROOT, "top", 0777, &a), 0);
    top = a.ino;
    return 0;
}

static int
tear_down(void **state)
{
    ns_check(m);
    meta_close(m);
    ns_remove();
    return 0;
}

static uint64_t
file(const char *name)
{
    struct meta_attr a;

    assert_int_equal(meta_create(m, NULL, top, name, 0644, 0, &a), 0);
    return a.ino;
}

static int
range(struct meta *h, uint64_t ino, uint64_t owner, short type, uint64_t start, uint64_t end, bool wait)
{
    struct meta_lock l = {.start = start, .end = end, .type = type, .pid = (pid_t)owner};

    return meta_setlk(h, ino, owner, &l, wait);
}

static short
who_locks(struct meta *h, uint64_t ino, uint64_t at)
{
    struct meta_lock l = {.start = at, .end = at, .type = F_WRLCK};

    assert_int_equal(meta_getlk(h, ino, 999, &l), 0);
    return l.type;
}

static void
test_locks(void **state)
{
    uint64_t f = file("f"), g = file("g");
    struct meta *o = ns_open(0);
    uint32_t seq;

    assert_int_equal(range(m, f, 1, F_WRLCK, 10, 19, false), 0);
    assert_int_equal(range(o, f, 1, F_RDLCK, 19, 30, false), -EAGAIN); // same owner number, another session
    assert_int_equal(range(o, f, 1, F_RDLCK, 20, 30, false), 0);
    assert_int_equal(range(m, f, 1, F_RDLCK, 25, 40, false), 0);
    assert_int_equal(range(m, f, 1, F_WRLCK, 30, 30, false), -EAGAIN);
    // Split, and merged again.
    assert_int_equal(range(m, f, 1, F_UNLCK, 12, 13, false), 0);
    assert_int_equal(who_locks(o, f, 11), F_WRLCK);
    assert_int_equal(who_locks(o, f, 12), F_UNLCK);
    assert_int_equal(who_locks(o, f, 14), F_WRLCK);
    assert_int_equal(range(m, f, 1, F_RDLCK, 0, UINT64_MAX, false), 0);
    assert_int_equal(who_locks(o, f, 1ULL << 40), F_RDLCK);
    assert_int_equal(range(m, f, 1, F_UNLCK, 0, UINT64_MAX, false), 0);
    assert_int_equal(who_locks(o, f, 1ULL << 40), F_UNLCK);
    // A circle of two.
    assert_int_equal(range(m, g, 1, F_WRLCK, 0, 0, false), 0);
    assert_int_equal(range(o, f, 2, F_WRLCK, 0, 0, false), 0);
    assert_int_equal(range(m, f, 1, F_WRLCK, 0, 0, true), -EAGAIN);
    assert_int_equal(range(o, g, 2, F_WRLCK, 0, 0, true), -EDEADLK);
    assert_int_equal(meta_lock_cancel(m, f, 1), 0);
    assert_int_equal(range(o, g, 2, F_WRLCK, 0, 0, true), -EAGAIN);
    seq = meta_lock_seq(o, g);
    assert_int_equal(meta_unlock_all(m, g, 1), 0);
    assert_int_not_equal(meta_lock_seq(o, g), seq);
    assert_int_equal(meta_lock_wait(o, g, seq, -1), 0); // at once: it has changed
    assert_int_equal(range(o, g, 2, F_WRLCK, 0, 0, true), 0);
    // flock is another kind.
    assert_int_equal(meta_flock(m, f, 7, LOCK_SH), 0);
    assert_int_equal(meta_flock(o, f, 7, LOCK_SH), 0);
    assert_int_equal(meta_flock(o, f, 7, LOCK_EX), -EAGAIN);
    assert_int_equal(meta_flock(m, f, 7, LOCK_UN), 0);
    assert_int_equal(meta_flock(o, f, 7, LOCK_EX), 0);
    assert_int_equal(meta_flock(m, f, 7, LOCK_SH), -EAGAIN);
    meta_close(o); // its locks go with it
    assert_int_equal(meta_flock(m, f, 7, LOCK_EX), 0);
    assert_int_equal(range(m, g, 1, F_WRLCK, 0, 0, false), 0);
}

// The kernel knows no bound of the ranges that one owner holds. stress-ng's lockf was told ENOLCK at 257.
static void
test_many_ranges(void **state)
{
    enum { N = 1000 };
    uint64_t f = file("f");
    struct meta *o = ns_open(0);

    for (uint64_t i = 0; i < N; i++)
        assert_int_equal(range(m, f, 1, i % 3 ? F_WRLCK : F_RDLCK, i * 10, i * 10 + 4, false), 0);
    assert_int_equal(range(o, f, 1, F_WRLCK, 5, 9, false), 0);
    assert_int_equal(range(o, f, 1, F_UNLCK, 5, 9, false), 0);
    assert_int_equal(range(o, f, 1, F_RDLCK, (N - 1) * 10 - 6, (N - 1) * 10 - 6, false), -EAGAIN);
    for (uint64_t i = 0; i < N; i += 2)
        assert_int_equal(range(m, f, 1, F_UNLCK, i * 10 + 2, i * 10 + 2, false), 0);
    for (uint64_t i = 0; i < N; i += 99) {
        short type = i % 3 ? F_WRLCK : F_RDLCK;

        assert_int_equal(who_locks(o, f, i * 10 + 1), type);
        assert_int_equal(who_locks(o, f, i * 10 + 2), i % 2 ? type : F_UNLCK);
        assert_int_equal(who_locks(o, f, i * 10 + 4), type);
        assert_int_equal(who_locks(o, f, i * 10 + 5), F_UNLCK);
    }
    // One over the middle of them; what it cuts at both ends stays.
    assert_int_equal(range(m, f, 1, F_WRLCK, 3001, 6999, false), 0);
    assert_int_equal(who_locks(o, f, 3000), F_RDLCK);
    assert_int_equal(who_locks(o, f, 3005), F_WRLCK);
    assert_int_equal(who_locks(o, f, 6999), F_WRLCK);
    assert_int_equal(who_locks(o, f, 7001), F_WRLCK);
    assert_int_equal(who_locks(o, f, 7002), F_UNLCK);
    assert_int_equal(range(m, f, 1, F_UNLCK, 0, UINT64_MAX, false), 0);
    assert_int_equal(range(o, f, 1, F_WRLCK, 0, UINT64_MAX, false), 0);
    meta_close(o);
}

// Random locks of one owner against an array of what each byte is locked with.
static void
test_range_model(void **state)
{
    enum { SIZE = 40, STEPS = 1500 };
    uint64_t f = file("f");
    struct meta *o = ns_open(0);
    short model[SIZE];
    unsigned seed = 11;

    for (int i = 0; i < SIZE; i++)
        model[i] = F_UNLCK;
    for (int i = 0; i < STEPS; i++) {
        static const short types[] = {F_RDLCK, F_WRLCK, F_UNLCK};
        int at = rand_r(&seed) % SIZE, end = at + rand_r(&seed) % (SIZE - at) % (1 + rand_r(&seed) % 12);
        short type = types[rand_r(&seed) % 3];

        assert_int_equal(range(m, f, 1, type, (uint64_t)at, (uint64_t)end, false), 0);
        for (int b = at; b <= end; b++)
            model[b] = type;
        if (i % 8)
            continue;
        for (int b = 0, e; b < SIZE; b = e) {
            struct meta_lock l = {.start = (uint64_t)b, .end = SIZE, .type = F_WRLCK};

            for (e = b; e < SIZE && model[e] == model[b]; e++)
                ;
            if (model[b] == F_UNLCK)
                continue;
            // What is locked alike and side by side is one lock, as far as it goes from here.
            assert_int_equal(meta_getlk(o, f, 999, &l), 0);
            assert_int_equal(l.type, model[b]);
            assert_int_equal(l.start, b);
            assert_int_equal(l.end, e - 1);
        }
    }
    meta_close(o);
}

// More than fit near the inode's place in the table of holds; and those that are killed leave theirs
// behind for a while.
static void
many_sessions_hold_one_inode(void **state)
{
    enum { N = 100 };
    struct meta_attr a;
    pid_t pid[N];
    int p[2], r = 0;
    uint64_t ino;

    assert_int_equal(meta_create(m, NULL, top, "popular", 0644, 0, &a), 0);
    ino = a.ino;
    assert_int_equal(pipe(p), 0);
    for (int i = 0; i < N; i++) {
        pid[i] = fork();
        if (pid[i] == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL); // also where an assertion ends the test
            alarm(60);
            r = meta_open_file(m, NULL, ino, O_RDONLY, &a);
            if (write(p[1], &r, sizeof r) != (ssize_t)sizeof r)
                _exit(1);
            for (;;)
                pause();
        }
        assert_true(pid[i] > 0);
        assert_int_equal(read(p[0], &r, sizeof r), sizeof r);
        assert_int_equal(r, 0);
    }
    // The last of them alone keeps it alive.
    for (int i = 0; i < N - 1; i++) {
        kill(pid[i], SIGKILL);
        waitpid(pid[i], NULL, 0);
    }
    assert_int_equal(meta_unlink(m, NULL, top, "popular", NULL), 0);
    assert_int_equal(meta_maintain(m), 0);
    assert_int_equal(meta_getattr(m, ino, &a), 0);
    kill(pid[N - 1], SIGKILL);
    waitpid(pid[N - 1], NULL, 0);
    assert_int_equal(meta_maintain(m), 0);
    assert_int_equal(meta_getattr(m, ino, &a), -ESTALE);
    close(p[0]);
    close(p[1]);
}

int
main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(test_locks),
        CASE(test_many_ranges),
        CASE(test_range_model),
        CASE(many_sessions_hold_one_inode),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
