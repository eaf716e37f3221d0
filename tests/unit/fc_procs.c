// SPDX-License-Identifier: Apache-2.0
// Several processes on one volume: fork with open files, locks of both kinds, appends, and holders that are
// killed.
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "tests/unit/fc.h"

static struct fsc *fs;
static _Atomic int *word; // shared with the children

static int
make(void **state)
{
    fc_make(NULL);
    fs = fc_open(0);
    word = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return word == MAP_FAILED;
}

static int
end(void **state)
{
    munmap((void *)word, 4096);
    fc_check(fs);
    fsc_close_volume(fs);
    fc_remove();
    return 0;
}

// A child that runs `body`, with the number of a line as its code where something was wrong (0 to 255).
static pid_t
child(int (*body)(void))
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        int line = body();

        if (line)
            fprintf(stderr, "# child: line %d\n", line);
        _exit(line > 255 ? 255 : line);
    }
    return pid;
}

static void
until(int value)
{
    for (int i = 0; atomic_load(word) < value; i++) {
        if (i > 30000)
            fail_msg("nobody said %d within 30 s", value);
        usleep(1000);
    }
}

static struct fsc_file *shared;

static int
use_what_was_open(void)
{
    char buf[8];

    CHILD_CHECK(fsc_pread(shared, buf, 5, 0) == 5 && memcmp(buf, "first", 5) == 0);
    CHILD_CHECK(fsc_pwrite(shared, "child", 5, 5) == 5);
    CHILD_CHECK(fsc_mkdir(fs, &fc_root, "by the child", 0755) == 0);
    CHILD_CHECK(fsc_unlink(fs, &fc_root, "a", 0) == 0);
    CHILD_CHECK(fsc_close(shared) == 0);
    fsc_close_volume(fs);
    return 0;
}

static void
test_fork(void **state)
{
    struct stat st;
    char buf[16];

    if (!FC_FORKED_HANDLES)
        skip();
    shared = fc_file(fs, "a", O_CREAT | O_RDWR);
    IS(fsc_pwrite(shared, "first", 5, 0), 5);
    IS(fc_wait(child(use_what_was_open)), 0);
    IS(fsc_pread(shared, buf, 16, 0), 10);
    assert_memory_equal(buf, "firstchild", 10);
    OK(fsc_stat(fs, &fc_root, "by the child", 0, &st));
    IS(fsc_stat(fs, &fc_root, "a", 0, &st), -ENOENT);
    IS(fsc_pwrite(shared, "still", 5, 10), 5); // the parent's open file keeps it
    OK(fsc_close(shared));
}

// More children than there are sessions, one after the other, that end without a word, as shells' do.
static int
look(void)
{
    char buf[8];
    struct stat st;

    CHILD_CHECK(fsc_stat(fs, &fc_root, "kept", 0, &st) == 0);
    CHILD_CHECK(fsc_pread(shared, buf, 5, 0) == 5 && memcmp(buf, "still", 5) == 0);
    return 0;
}

static void
test_many_children(void **state)
{
    if (!FC_FORKED_HANDLES)
        skip();
    fc_put(fs, "kept", "x");
    shared = fc_file(fs, "gone", O_CREAT | O_RDWR);
    IS(fsc_pwrite(shared, "still", 5, 0), 5);
    OK(fsc_unlink(fs, &fc_root, "gone", 0));
    for (int i = 0; i < 1100; i++)
        IS(fc_wait(child(look)), 0);
    IS(look(), 0);
    OK(fsc_close(shared));
}

// Threads that are in the library at the moment of the fork do not hurt the child.
static _Atomic bool over;

static void *
busy(void *arg)
{
    struct fsc_file *f = fc_file(fs, arg, O_CREAT | O_RDWR);
    char buf[100] = "";
    struct stat st;

    for (uint64_t i = 0; !atomic_load(&over); i++)
        if (fsc_pwrite(f, buf, sizeof buf, i % 1000 * 100) != 100 ||
            fsc_pread(f, buf, sizeof buf, i % 7) != 100 || fsc_stat(fs, &fc_root, arg, 0, &st) != 0)
            abort();
    fsc_close(f);
    return NULL;
}

static int
after_busy_fork(void)
{
    struct fsc_file *f;
    char buf[4];

    CHILD_CHECK(fsc_open(fs, &fc_root, "c", O_CREAT | O_RDWR, 0600, &f) == 0);
    CHILD_CHECK(fsc_pwrite(f, "abcd", 4, 0) == 4 && fsc_pread(f, buf, 4, 0) == 4);
    CHILD_CHECK(fsc_close(f) == 0 && fsc_unlink(fs, &fc_root, "c", 0) == 0);
    fsc_close_volume(fs);
    return 0;
}

static void
test_fork_among_threads(void **state)
{
    pthread_t t[2];

    if (!FC_FORKED_HANDLES)
        skip();
    atomic_store(&over, false);
    OK(pthread_create(&t[0], NULL, busy, "one"));
    OK(pthread_create(&t[1], NULL, busy, "two"));
    for (int i = 0; i < 100; i++)
        IS(fc_wait(child(after_busy_fork)), 0);
    atomic_store(&over, true);
    OK(pthread_join(t[0], NULL));
    OK(pthread_join(t[1], NULL));
}

// ---- appends ----

enum { WRITERS = 4, RECORDS = 150 };
static int writer;

static int
append(void)
{
    struct fsc *mine = fc_open(0);
    struct fsc_file *f;
    char rec[600];

    CHILD_CHECK(fsc_open(mine, &fc_root, "log", O_WRONLY | O_APPEND, 0, &f) == 0);
    for (int i = 0; i < RECORDS; i++) {
        size_t len = 10 + (size_t)(i * 37 + writer * 101) % 590;

        memset(rec, 'a' + writer, len);
        rec[len - 1] = '\n';
        CHILD_CHECK(fsc_pwrite(f, rec, len, 0) == (ssize_t)len);
    }
    CHILD_CHECK(fsc_close(f) == 0);
    fsc_close_volume(mine);
    return 0;
}

// No record is lost, none is torn by another.
static void
test_append(void **state)
{
    pid_t pid[WRITERS];
    size_t size, want = 0, at = 0;
    struct fsc_file *f;
    int count[WRITERS] = {0};
    char *all;

    fc_put(fs, "log", "");
    for (writer = 0; writer < WRITERS; writer++)
        pid[writer] = child(append);
    for (int w = 0; w < WRITERS; w++) {
        IS(fc_wait(pid[w]), 0);
        for (int i = 0; i < RECORDS; i++)
            want += 10 + (size_t)(i * 37 + w * 101) % 590;
    }
    size = fc_size(fs, "log");
    IS(size, want);
    all = malloc(size);
    f = fc_file(fs, "log", O_RDONLY);
    IS(fsc_pread(f, all, size, 0), size);
    while (at < size) {
        int w = all[at] - 'a';
        size_t len;

        assert_in_range(w, 0, WRITERS - 1);
        len = 10 + (size_t)(count[w]++ * 37 + w * 101) % 590;
        for (size_t k = 0; k + 1 < len; k++)
            IS(all[at + k], 'a' + w);
        IS(all[at + len - 1], '\n');
        at += len;
    }
    OK(fsc_close(f));
    free(all);
}

// ---- flock ----

static int
hold_exclusively(void)
{
    struct fsc *mine = fc_open(0);
    struct fsc_file *f;

    CHILD_CHECK(fsc_open(mine, &fc_root, "a", O_RDONLY, 0, &f) == 0);
    CHILD_CHECK(fsc_flock(f, LOCK_EX, -1) == 0);
    atomic_store(word, 1);
    for (;;)
        pause();
}

static int
inherit(void)
{
    CHILD_CHECK(fsc_flock(shared, LOCK_UN, 0) == 0); // the same open file description as the parent's
    return 0;
}

static int
wait_shared(void)
{
    struct fsc *mine = fc_open(0);
    struct fsc_file *f;

    CHILD_CHECK(fsc_open(mine, &fc_root, "a", O_RDONLY, 0, &f) == 0);
    CHILD_CHECK(fsc_flock(f, LOCK_SH, 0) == 0);
    atomic_fetch_add(word, 1);
    until(2); // or the other would find it exclusive
    CHILD_CHECK(fsc_flock(f, LOCK_EX, -1) == 0);
    return 0;
}

static void
test_flock(void **state)
{
    struct fsc_file *a, *b, *other;
    struct fsc *again = fc_open(0);
    char path[4200];
    struct stat st;
    struct flock fl = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_len = 1};
    pid_t pid, two;
    int fd;

    fc_put(fs, "a", "x");
    a = fc_file(fs, "a", O_RDONLY);
    b = fc_file(fs, "a", O_RDWR);
    other = fc_file(again, "a", O_RDONLY);
    IS(fsc_flock(a, LOCK_EX | LOCK_NB, 0), -EINVAL);
    OK(fsc_flock(a, LOCK_UN, 0));
    OK(fsc_flock(a, LOCK_SH, 0));
    OK(fsc_flock(b, LOCK_SH, 0));
    OK(fsc_flock(other, LOCK_SH, 0));
    IS(fsc_flock(a, LOCK_EX, 0), -EAGAIN); // and its shared one is gone, as flock(2) says
    OK(fsc_flock(b, LOCK_UN, 0));
    OK(fsc_flock(other, LOCK_EX, 0));
    IS(fsc_flock(a, LOCK_SH, 20), -ETIMEDOUT);
    OK(fsc_flock(other, LOCK_SH, 0)); // EX to SH
    OK(fsc_flock(a, LOCK_SH, 0));
    OK(fsc_close(a));
    OK(fsc_flock(other, LOCK_EX, 0)); // close gave it back
    // It is the byte of the inode's number in DIR/tokens, for all who know that.
    snprintf(path, sizeof path, "%s/tokens", fc_dir);
    fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    OK(fsc_fstat(b, &st));
    fl.l_start = (off_t)st.st_ino;
    IS(fcntl(fd, F_OFD_SETLK, &fl), -1);
    OK(fsc_flock(other, LOCK_SH, 0));
    OK(fcntl(fd, F_OFD_SETLK, &fl));
    IS(fsc_flock(other, LOCK_EX, 0), -EAGAIN);
    close(fd);
    OK(fsc_flock(other, LOCK_EX, 0));
    OK(fsc_close(other));
    fsc_close_volume(again);
    // kill -9 gives it back.
    atomic_store(word, 0);
    pid = child(hold_exclusively);
    until(1);
    IS(fsc_flock(b, LOCK_SH, 0), -EAGAIN);
    OK(kill(pid, SIGKILL));
    IS(fc_wait(pid), 128 + SIGKILL);
    OK(fsc_flock(b, LOCK_EX, 0));
    // Forked handles are one open file description.
    shared = b;
    IS(fc_wait(child(inherit)), 0);
    a = fc_file(fs, "a", O_RDONLY);
    OK(fsc_flock(a, LOCK_EX, 0));
    OK(fsc_close(a));
    // Two that hold it shared and want it exclusively both get it, one after the other.
    atomic_store(word, 0);
    pid = child(wait_shared);
    two = child(wait_shared);
    IS(fc_wait(pid), 0);
    IS(fc_wait(two), 0);
    OK(fsc_close(b));
}

static void
no_op(int sig)
{
    (void)sig;
}

static int
interrupted(void)
{
    struct sigaction sa = {.sa_handler = no_op};
    struct fsc *mine = fc_open(0);
    struct fsc_file *f;
    struct fsc_lock lock = {0, 9, F_WRLCK, 0};

    sigaction(SIGUSR1, &sa, NULL);
    CHILD_CHECK(fsc_open(mine, &fc_root, "a", O_RDWR, 0, &f) == 0);
    atomic_store(word, 1);
    CHILD_CHECK(fsc_flock(f, LOCK_EX, -1) == -EINTR);
    atomic_store(word, 2);
    CHILD_CHECK(fsc_setlk(f, 1, &lock, -1) == -EINTR);
    return 0;
}

static void
test_interrupted(void **state)
{
    struct fsc_lock lock = {0, 9, F_WRLCK, 0};
    struct fsc_file *f;
    int status, n = 0;
    pid_t pid;

    fc_put(fs, "a", "x");
    f = fc_file(fs, "a", O_RDWR);
    OK(fsc_flock(f, LOCK_EX, 0));
    OK(fsc_setlk(f, 7, &lock, 0));
    atomic_store(word, 0);
    pid = child(interrupted);
    until(1);
    // Signals until it is done: the first may come before it waits.
    while (waitpid(pid, &status, WNOHANG) == 0 && n++ < 30000) {
        kill(pid, SIGUSR1);
        usleep(1000);
    }
    assert_true(WIFEXITED(status));
    IS(WEXITSTATUS(status), 0);
    OK(fsc_close(f));
}

// ---- ranges ----

static int
hold_range(void)
{
    struct fsc_lock lock = {100, 199, F_WRLCK, getpid()};
    struct fsc *mine = fc_open(0);
    struct fsc_file *f;

    CHILD_CHECK(fsc_open(mine, &fc_root, "a", O_RDWR, 0, &f) == 0);
    CHILD_CHECK(fsc_setlk(f, 1, &lock, 0) == 0);
    atomic_store(word, 1);
    for (;;)
        pause();
}

static int
circle(void)
{
    struct fsc_lock one = {0, 9, F_WRLCK, 0}, two = {10, 19, F_WRLCK, 0};
    int err;

    CHILD_CHECK(fsc_setlk(shared, 2, &two, 0) == 0);
    atomic_store(word, 1);
    err = fsc_setlk(shared, 2, &one, -1);
    CHILD_CHECK(err == 0 || err == -EDEADLK);
    CHILD_CHECK(fsc_unlock_owner(shared, 2) == 0);
    return err == -EDEADLK ? 99 : 0;
}

static void
test_ranges(void **state)
{
    struct fsc_lock lock = {0, 9, F_RDLCK, 11}, want = {5, UINT64_MAX, F_WRLCK, 12};
    struct fsc_file *f, *r;
    pid_t pid;
    int err;

    fc_put(fs, "a", "x");
    f = fc_file(fs, "a", O_RDWR);
    r = fc_file(fs, "a", O_RDONLY);
    IS(fsc_setlk(r, 1, &want, 0), -EBADF);
    OK(fsc_setlk(r, 1, &lock, 0));
    OK(fsc_setlk(f, 2, &lock, 0));
    IS(fsc_setlk(f, 2, &want, 0), -EAGAIN);
    OK(fsc_getlk(f, 2, &want));
    IS(want.type, F_RDLCK);
    IS(want.pid, 11);
    IS(want.end, 9);
    lock.start = 20;
    IS(fsc_setlk(f, 1, &lock, 0), -EINVAL);
    OK(fsc_unlock_owner(f, 1));
    OK(fsc_unlock_owner(f, 2));
    want = (struct fsc_lock){5, UINT64_MAX, F_WRLCK, 12};
    OK(fsc_setlk(f, 2, &want, 0));
    IS(fsc_setlk(f, 1, &want, 20), -ETIMEDOUT);
    OK(fsc_unlock_owner(f, 2));
    // A holder that is killed.
    atomic_store(word, 0);
    pid = child(hold_range);
    until(1);
    want = (struct fsc_lock){150, 150, F_RDLCK, 0};
    IS(fsc_setlk(f, 1, &want, 0), -EAGAIN);
    OK(kill(pid, SIGKILL));
    IS(fc_wait(pid), 128 + SIGKILL);
    OK(fsc_setlk(f, 1, &want, 20000));
    OK(fsc_unlock_owner(f, 1));
    // A circle of two: one of them is told.
    shared = f;
    lock = (struct fsc_lock){0, 9, F_WRLCK, 0};
    OK(fsc_setlk(f, 1, &lock, 0));
    atomic_store(word, 0);
    pid = child(circle);
    until(1);
    want = (struct fsc_lock){10, 19, F_WRLCK, 0};
    err = fsc_setlk(f, 1, &want, 20000);
    OK(fsc_unlock_owner(f, 1));
    IS(fc_wait(pid), err == -EDEADLK ? 0 : 99);
    assert_true(err == 0 || err == -EDEADLK);
    OK(fsc_close(f));
    OK(fsc_close(r));
}

// ---- many processes that make files in one directory ----

static int
create_many(void)
{
    struct fsc *mine = fc_open(0);
    struct fsc_file *f;
    char name[32];

    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof name, "d/%d-%d", writer, i);
        CHILD_CHECK(fsc_open(mine, &fc_root, name, O_CREAT | O_EXCL | O_WRONLY, 0600, &f) == 0);
        CHILD_CHECK(fsc_pwrite(f, name, strlen(name), 0) == (ssize_t)strlen(name));
        CHILD_CHECK(fsc_close(f) == 0);
        // All want this one; each name is somebody's exactly once.
        snprintf(name, sizeof name, "d/common-%d", i);
        if (fsc_mkdir(mine, &fc_root, name, 0700) == 0)
            atomic_fetch_add(word, 1);
    }
    fsc_close_volume(mine);
    return 0;
}

static void
test_create_together(void **state)
{
    struct stat st;
    pid_t pid[WRITERS];
    char name[32];

    OK(fsc_mkdir(fs, &fc_root, "d", 0755));
    atomic_store(word, 0);
    for (writer = 0; writer < WRITERS; writer++)
        pid[writer] = child(create_many);
    for (int w = 0; w < WRITERS; w++)
        IS(fc_wait(pid[w]), 0);
    IS(atomic_load(word), 300);
    OK(fsc_stat(fs, &fc_root, "d", 0, &st));
    IS(st.st_nlink, 302);
    for (int w = 0; w < WRITERS; w++) {
        snprintf(name, sizeof name, "d/%d-299", w);
        fc_same(fs, name, name);
    }
}

// Who shares chunks between two files holds both; who takes a snapshot wants everything, and waits for them
// while others wait behind it.
static int
clone_much(void)
{
    struct fsc *mine = fc_open(0);
    struct fsc_file *a, *b;

    CHILD_CHECK(fsc_open(mine, &fc_root, "a", O_RDWR, 0, &a) == 0);
    CHILD_CHECK(fsc_open(mine, &fc_root, "b", O_RDWR, 0, &b) == 0);
    for (int i = 0; i < 1500; i++) {
        struct fsc_file *from = i % 2 ? a : b, *to = i % 2 ? b : a;

        CHILD_CHECK(fsc_clone_range(from, 0, to, 0, 65536) == 0);
        CHILD_CHECK(fsc_pwrite(to, "x", 1, (uint64_t)i % 65536) == 1);
    }
    CHILD_CHECK(fsc_close(a) == 0 && fsc_close(b) == 0);
    fsc_close_volume(mine);
    return 0;
}

static int
snapshot_much(void)
{
    struct fsc *mine = fc_open(0);
    char name[32];

    for (int i = 0; i < 150; i++) {
        snprintf(name, sizeof name, "s%d", i);
        CHILD_CHECK(fsc_snapshot(mine, &fc_root, "b", &fc_root, name) == 0);
        CHILD_CHECK(fsc_remove_tree(mine, &fc_root, name, NULL) == 0);
    }
    fsc_close_volume(mine);
    return 0;
}

static void
test_clone_and_snapshot(void **state)
{
    char block[65536];
    pid_t pid[3];

    memset(block, 'b', sizeof block);
    for (int i = 0; i < 2; i++) {
        struct fsc_file *f = fc_file(fs, i ? "a" : "b", O_CREAT | O_RDWR);

        IS(fsc_pwrite(f, block, sizeof block, 0), sizeof block);
        OK(fsc_close(f));
    }
    pid[0] = child(clone_much);
    pid[1] = child(clone_much);
    pid[2] = child(snapshot_much);
    for (int i = 0; i < 3; i++)
        IS(fc_wait(pid[i]), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(test_##name, make, end)

int
main(void)
{
    const struct CMUnitTest tests[] = {T(fork),   T(many_children),   T(fork_among_threads),
                                       T(append), T(flock),           T(interrupted),
                                       T(ranges), T(create_together), T(clone_and_snapshot)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
