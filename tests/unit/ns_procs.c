// SPDX-License-Identifier: Apache-2.0
// Processes that use one volume at once, and a fork child that goes on with its parent's handle.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/ns.h"

// Several processes in one directory: each adds and removes names of its own and fights for common ones;
// whoever creates a common name is the only one, and an exclusive create that worked is seen at once by a
// lookup in the others.
static int
worker(unsigned seed, unsigned rounds)
{
    struct meta_options opt = {0};
    struct meta_attr a;
    struct meta *m;
    unsigned mine = 0;
    char name[32];

    srandom(seed);
    if (meta_open(ns_dir, 0, &opt, &m) < 0)
        return 1;
    for (unsigned i = 0; i < rounds; i++) {
        int r;

        snprintf(name, sizeof(name), "common%ld", random() % 8);
        if (random() % 2) {
            r = meta_create(m, NULL, META_ROOT, name, 0644, 0, &a);
            if (r != 0 && r != -EEXIST)
                return 2;
            mine += r == 0;
        } else {
            r = meta_unlink(m, NULL, META_ROOT, name, NULL);
            if (r != 0 && r != -ENOENT)
                return 3;
            mine -= r == 0;
        }
        snprintf(name, sizeof(name), "own%u.%u", seed, i % 5);
        r = i % 10 < 5 ? meta_create(m, NULL, META_ROOT, name, 0644, 0, &a)
                       : meta_unlink(m, NULL, META_ROOT, name, NULL);
        if (r != 0)
            return 4;
        r = meta_lookup(m, NULL, META_ROOT, name, &a);
        if (r != (i % 10 < 5 ? 0 : -ENOENT))
            return 5;
    }
    meta_close(m);
    return 0;
}

static void
test_processes(void **state)
{
    struct meta *m;
    pid_t pid[4];

    ns_make(NULL);
    for (unsigned i = 0; i < 4; i++) {
        pid[i] = fork();
        assert_true(pid[i] >= 0);
        if (pid[i] == 0)
            _exit(worker(i + 1, 3000));
    }
    for (unsigned i = 0; i < 4; i++) {
        int status;

        assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
    m = ns_open(0);
    ns_check(m);
    meta_close(m);
    ns_remove();
}

// A child goes on with its parent's handle: it sees the parent's work, its own is seen, and what the parent
// holds it holds.
static void
test_fork(void **state)
{
    struct meta_attr a, b;
    struct meta *m;
    int status, up[2], down[2];
    char c = 0;
    pid_t pid;

    ns_make(NULL);
    m = ns_open(0);
    assert_int_equal(meta_create(m, NULL, META_ROOT, "held", 0644, META_HOLD, &a), 0);
    assert_int_equal(pipe(up), 0);
    assert_int_equal(pipe(down), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int r = meta_fork_child(m);

        if (r < 0)
            _exit(1);
        if (meta_create(m, NULL, META_ROOT, "child", 0644, 0, &b) < 0)
            _exit(2);
        if (write(up[1], "x", 1) != 1 || read(down[0], &c, 1) != 1)
            _exit(3);
        _exit(0);
    }
    assert_int_equal(read(up[0], &c, 1), 1);
    assert_int_equal(meta_lookup(m, NULL, META_ROOT, "child", &b), 0);
    assert_int_equal(meta_unlink(m, NULL, META_ROOT, "held", NULL), 0);
    assert_int_equal(meta_close_file(m, a.ino), 0);
    // The child holds it yet.
    assert_int_equal(meta_getattr(m, a.ino, &a), 0);
    assert_int_equal(a.nlink, 0);
    assert_int_equal(write(down[1], "y", 1), 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    // Nobody does any more; whoever looks after the volume notices.
    assert_int_equal(meta_maintain(m), 0);
    assert_int_equal(meta_getattr(m, a.ino, &a), -ESTALE);
    ns_check(m);
    for (int i = 0; i < 2; i++) {
        close(up[i]);
        close(down[i]);
    }
    meta_close(m);
    ns_remove();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_processes),
        cmocka_unit_test(test_fork),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
