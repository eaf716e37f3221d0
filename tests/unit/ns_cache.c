// SPDX-License-Identifier: Apache-2.0
// The cache of nodes and names (meta/cache.c): it grows with what is in use; a process's own changes do not
// cost it what it knows of other things; and what anybody changed is seen by the next call of all.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/ns.h"

enum { NAMES = 20000, READERS = 3, CHANGES = 20000 };

static struct meta *mine, *other;
static uint64_t inos[NAMES];

static struct meta *
open_sized(uint32_t first, uint32_t most)
{
    struct meta_options opt = {.cache_inodes = first, .cache_most = most};
    struct meta *m = NULL;

    assert_int_equal(meta_open(ns_dir, 0, &opt, &m), 0);
    return m;
}

static int
tear_down(void **state)
{
    (void)state;
    if (other)
        meta_close(other);
    ns_check(mine);
    meta_close(mine);
    mine = other = NULL;
    ns_remove();
    return 0;
}

static const char *
name_of(unsigned i)
{
    static _Thread_local char name[2][32]; // two calls in an expression

    snprintf(name[i % 2], sizeof(name[0]), "n%u", i);
    return name[i % 2];
}

static void
make_names(void)
{
    struct meta_attr a;

    for (unsigned i = 0; i < NAMES; i++) {
        assert_int_equal(meta_create(mine, NULL, META_ROOT, name_of(i), 0644, 0, &a), 0);
        inos[i] = a.ino;
    }
}

// Looks all names up; the share, in per cent, that took no SQL.
static unsigned
hits(struct meta *m)
{
    struct meta_stats before, after;
    struct meta_attr a;

    meta_stats(m, &before);
    for (unsigned i = 0; i < NAMES; i++) {
        assert_int_equal(meta_lookup(m, NULL, META_ROOT, name_of(i), &a), 0);
        assert_int_equal(a.ino, inos[i]);
    }
    meta_stats(m, &after);
    return (unsigned)((after.lookup_hits - before.lookup_hits) * 100 / NAMES);
}

static int
set_up_large(void **state)
{
    (void)state;
    ns_make(NULL);
    mine = open_sized(64, 4 * NAMES);
    return 0;
}

// Twenty thousand names of our own making: others' counters are hit by them, our entries are not.
static void
test_grows(void **state)
{
    unsigned share;

    (void)state;
    make_names();
    share = hits(mine);
    print_message("# %u %% of lookups were answered from memory\n", share);
    assert_true(share >= 70); // with each own change as a stranger's it would be 50
}

static int
set_up_small(void **state)
{
    (void)state;
    ns_make(NULL);
    mine = open_sized(64, 64);
    return 0;
}

static void
test_stays(void **state)
{
    (void)state;
    make_names();
    assert_true(hits(mine) <= 5);
}

static int
set_up_two(void **state)
{
    (void)state;
    ns_make(NULL);
    mine = open_sized(64, 4 * NAMES);
    other = open_sized(64, 4 * NAMES);
    return 0;
}

// Both have all of it in memory; every change by either is seen by both.
static void
test_coherent(void **state)
{
    (void)state;
    make_names();
    assert_true(hits(other) < 100);
    for (unsigned i = 0; i < NAMES; i += 7) {
        struct meta *who = i % 2 ? mine : other;
        struct meta_attr a, set = {.mode = 0600 + i % 64};
        char moved[40];

        snprintf(moved, sizeof(moved), "moved%u", i);
        switch (i / 7 % 4) {
        case 0:
            assert_int_equal(meta_unlink(who, NULL, META_ROOT, name_of(i), NULL), 0);
            for (int k = 0; k < 2; k++)
                assert_int_equal(meta_lookup(k ? mine : other, NULL, META_ROOT, name_of(i), &a), -ENOENT);
            assert_int_equal(meta_getattr(who, inos[i], &a), -ESTALE);
            break;
        case 1:
            assert_int_equal(meta_setattr(who, NULL, inos[i], META_SET_MODE, &set, NULL), 0);
            for (int k = 0; k < 2; k++) {
                assert_int_equal(meta_getattr(k ? mine : other, inos[i], &a), 0);
                assert_int_equal(a.mode & 07777, set.mode);
            }
            break;
        case 2:
            assert_int_equal(meta_rename(who, NULL, META_ROOT, name_of(i), META_ROOT, moved, 0), 0);
            for (int k = 0; k < 2; k++) {
                assert_int_equal(meta_lookup(k ? mine : other, NULL, META_ROOT, name_of(i), &a), -ENOENT);
                assert_int_equal(meta_lookup(k ? mine : other, NULL, META_ROOT, moved, &a), 0);
                assert_int_equal(a.ino, inos[i]);
            }
            break;
        default: // one name in another's place: more names than one, and an inode that goes
            assert_int_equal(meta_rename(who, NULL, META_ROOT, name_of(i), META_ROOT, name_of(i + 1), 0), 0);
            for (int k = 0; k < 2; k++) {
                assert_int_equal(meta_lookup(k ? mine : other, NULL, META_ROOT, name_of(i + 1), &a), 0);
                assert_int_equal(a.ino, inos[i]);
                assert_int_equal(meta_getattr(k ? mine : other, inos[i + 1], &a), -ESTALE);
            }
        }
    }
}

// ---- threads of one handle ----

static _Atomic uint32_t told; // the mode that a change that is over has set
static _Atomic bool over;
static uint64_t changed;

static void *
reader(void *arg)
{
    (void)arg;
    for (unsigned i = 0; !atomic_load(&over); i++) {
        uint32_t at_least = atomic_load(&told);
        struct meta_attr a;

        // The sizes only grow.
        if (meta_getattr(mine, changed, &a) != 0 || a.size < at_least)
            return (void *)1;
        if (i % 64 == 0 && (meta_lookup(mine, NULL, META_ROOT, "file", &a) != 0 || a.size < at_least))
            return (void *)1;
    }
    return NULL;
}

// What a call has returned, a call that begins afterwards sees, in whichever thread.
static void
test_threads(void **state)
{
    pthread_t thread[READERS];
    struct meta_attr a;

    (void)state;
    atomic_store(&over, false);
    atomic_store(&told, 0);
    assert_int_equal(meta_create(mine, NULL, META_ROOT, "file", 0644, 0, &a), 0);
    changed = a.ino;
    for (unsigned i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, reader, NULL), 0);
    for (uint32_t i = 1; i <= CHANGES; i++) {
        struct meta *who = i % 5 ? mine : other;

        assert_int_equal(meta_commit_write(who, changed, i, META_KEEP_TIMES, NULL, 0, NULL), 0);
        atomic_store(&told, i);
    }
    atomic_store(&over, true);
    for (unsigned i = 0; i < READERS; i++) {
        void *bad;

        assert_int_equal(pthread_join(thread[i], &bad), 0);
        assert_null(bad);
    }
}

// Held inodes are counted without a lock: many threads open and close the same few files while their names go
// and come. Who is inside must find the inode; who is out last ends it.
enum { HELD = 4, HOLDERS = 4 };
static _Atomic uint64_t current[HELD];

static void *
holder(void *arg)
{
    unsigned n = (unsigned)(uintptr_t)arg;

    for (unsigned i = 0; !atomic_load(&over); i++) {
        uint64_t ino = atomic_load(&current[(i + n) % HELD]);
        struct meta_attr a;
        int r = ino ? meta_open_file(mine, NULL, ino, O_RDONLY, &a) : -ESTALE;

        if (r == -ESTALE)
            continue;
        if (r != 0 || meta_getattr(mine, ino, &a) != 0 || meta_close_file(mine, ino) != 0)
            return (void *)1;
    }
    return NULL;
}

static void
test_holds(void **state)
{
    pthread_t thread[HOLDERS];
    struct meta_attr a;

    (void)state;
    atomic_store(&over, false);
    for (unsigned i = 0; i < HELD; i++)
        atomic_store(&current[i], 0);
    for (unsigned i = 0; i < HOLDERS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, holder, (void *)(uintptr_t)i), 0);
    for (unsigned i = 0; i < CHANGES / 2; i++) {
        struct meta *who = i % 2 ? mine : other;

        if (i >= HELD)
            assert_int_equal(meta_unlink(who, NULL, META_ROOT, name_of(i % HELD), NULL), 0);
        assert_int_equal(meta_create(who, NULL, META_ROOT, name_of(i % HELD), 0644, 0, &a), 0);
        atomic_store(&current[i % HELD], a.ino);
    }
    atomic_store(&over, true);
    for (unsigned i = 0; i < HOLDERS; i++) {
        void *bad;

        assert_int_equal(pthread_join(thread[i], &bad), 0);
        assert_null(bad);
    }
    // Nobody holds anything: what has no name is gone.
    struct meta_usage u;
    assert_int_equal(meta_usage(mine, &u), 0);
    assert_int_equal(u.inodes, HELD + 1);
}

// More files open than there are places without a lock; a fork child holds them, too.
static void
test_many_holds(void **state)
{
    struct meta_attr a;
    int status = -1;

    (void)state;
    make_names();
    for (unsigned i = 0; i < NAMES; i++)
        for (unsigned k = 0; k <= i % 3; k++)
            assert_int_equal(meta_open_file(mine, NULL, inos[i], O_RDONLY, NULL), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        bool good = true;

        meta_close(other);
        good = meta_fork_child(mine) == 0;
        for (unsigned i = 0; i < NAMES && good; i++)
            good = meta_getattr(mine, inos[i], &a) == 0;
        meta_close(mine);
        _exit(!good);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    for (unsigned i = 0; i < NAMES; i++)
        assert_int_equal(meta_unlink(other, NULL, META_ROOT, name_of(i), NULL), 0);
    for (unsigned i = 0; i < NAMES; i++)
        for (unsigned k = 0; k <= i % 3; k++) {
            assert_int_equal(meta_getattr(mine, inos[i], &a), 0);
            assert_int_equal(meta_close_file(mine, inos[i]), 0);
        }
    for (unsigned i = 0; i < NAMES; i++) {
        assert_int_equal(meta_getattr(mine, inos[i], &a), -ESTALE);
        assert_int_equal(meta_close_file(mine, inos[i]), -EBADF);
    }
}

int
main(void)
{
#define CASE(f, s) cmocka_unit_test_setup_teardown(f, s, tear_down)
    const struct CMUnitTest tests[] = {CASE(test_grows, set_up_large),  CASE(test_stays, set_up_small),
                                       CASE(test_coherent, set_up_two), CASE(test_threads, set_up_two),
                                       CASE(test_holds, set_up_two),    CASE(test_many_holds, set_up_two)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
