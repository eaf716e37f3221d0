// SPDX-License-Identifier: Apache-2.0
// A process that dies at any named step of a commit leaves a volume which is as before the operation or as
// after it, at once usable by others, and in which the check finds nothing. The same for kill -9 at random.
// (A machine that goes down: ns_power.c.)
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/ns.h"

#define OPS 60
#define CHUNK 65536u

struct shared_page {
    _Atomic unsigned acked; // operations that returned
    _Atomic unsigned steps; // seen of the wanted name
};

static struct shared_page *page;
static const char *die_at;
static unsigned die_count; // at which occurrence

static void
step(void *arg, const char *name)
{
    if (die_at && strcmp(name, die_at) == 0 && atomic_fetch_add(&page->steps, 1) + 1 == die_count)
        raise(SIGKILL);
}

// Operation i of a fixed sequence, which has something of everything.
static int
operate(struct meta *m, unsigned i)
{
    char a[16], b[16];
    struct meta_attr at;
    struct meta_chunk c = {.length = 100};
    int r;

    snprintf(a, sizeof(a), "f%u", i / 10);
    snprintf(b, sizeof(b), "g%u", i / 10);
    switch (i % 10) {
    case 0:
        return meta_create(m, NULL, META_ROOT, a, 0644, 0, &at);
    case 1:
        return meta_mkdir(m, NULL, META_ROOT, b, 0755, &at);
    case 2:
        if ((r = meta_lookup(m, NULL, META_ROOT, a, &at)) < 0 || (r = meta_new_chunks(m, &c.id, 1)) < 0)
            return r;
        return meta_commit_write(m, at.ino, 100, 0, &c, 1, NULL);
    case 3:
        if ((r = meta_lookup(m, NULL, META_ROOT, a, &at)) < 0)
            return r;
        return meta_setxattr(m, NULL, at.ino, "user.x", "value", 5, 0);
    case 4:
        if ((r = meta_lookup(m, NULL, META_ROOT, b, &at)) < 0)
            return r;
        return meta_rename(m, NULL, META_ROOT, a, at.ino, a, 0);
    case 5:
        return meta_symlink(m, NULL, "text", META_ROOT, a, &at);
    case 6:
        return meta_sync(m);
    case 7:
        if ((r = meta_lookup(m, NULL, META_ROOT, b, &at)) < 0)
            return r;
        return meta_clone_tree(m, NULL, at.ino, at.ino, "copy", NULL);
    case 8:
        return i % 20 == 8 ? meta_remove_tree(m, NULL, META_ROOT, b, NULL)
                           : meta_unlink(m, NULL, META_ROOT, a, NULL);
    default:
        return meta_maintain(m);
    }
}

static uint64_t
mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * 0x9fb21c651e98df25ULL;
    return h ^ h >> 29;
}

// The tree as a number: names, types, links, sizes, attributes, whatever order the entries come in.
static uint64_t
fingerprint(struct meta *m, uint64_t dir)
{
    struct meta_dirent v[16];
    uint64_t sum = 0, cookie = 0;
    ssize_t n;

    while ((n = meta_readdir(m, dir, cookie, v, 16)) > 0) {
        cookie = v[n - 1].cookie;
        for (ssize_t i = 0; i < n; i++) {
            uint64_t h = 1;
            char buf[64];
            struct meta_attr a;

            if (v[i].name[0] == '.')
                continue;
            for (unsigned k = 0; k < v[i].len; k++)
                h = mix(h, (uint8_t)v[i].name[k]);
            assert_int_equal(meta_getattr(m, v[i].ino, &a), 0);
            h = mix(mix(mix(h, a.mode), a.nlink), S_ISDIR(a.mode) ? 0 : a.size);
            h = mix(h, (uint64_t)meta_getxattr(m, NULL, a.ino, "user.x", buf, sizeof(buf)));
            if (S_ISDIR(a.mode))
                h = mix(h, fingerprint(m, a.ino));
            sum += mix(h, 77);
        }
    }
    assert_int_equal(n, 0);
    return sum;
}

static struct meta *
open_small(bool dying)
{
    struct meta_options opt = {.step = dying ? step : NULL, .checkpoint_bytes = 40000, .cache_inodes = 64};
    struct meta *m = NULL;

    return meta_open(ns_dir, 0, &opt, &m) == 0 ? m : NULL;
}

static void
reference(uint64_t print[OPS + 1])
{
    struct meta_format fmt = {.chunk_size = CHUNK};
    struct meta *m;

    ns_make(&fmt);
    m = ns_open(0);
    print[0] = fingerprint(m, META_ROOT);
    for (unsigned i = 0; i < OPS; i++) {
        assert_int_equal(operate(m, i), 0);
        print[i + 1] = fingerprint(m, META_ROOT);
    }
    ns_check(m);
    meta_close(m);
    ns_remove();
}

static int
run_child(void)
{
    struct meta *m = open_small(true);

    if (!m)
        return 1;
    for (unsigned i = 0; i < OPS; i++) {
        if (operate(m, i) < 0)
            return 2;
        atomic_store(&page->acked, i + 1);
    }
    meta_close(m);
    return 0;
}

// One death; false: the step did not come that often.
static bool
die_once(const char *name, unsigned count, const uint64_t print[OPS + 1])
{
    struct meta_format fmt = {.chunk_size = CHUNK};
    struct meta *watch, *fresh;
    uint64_t now;
    unsigned n;
    int status;
    pid_t pid;

    ns_make(&fmt);
    watch = ns_open(0); // lives through it
    atomic_store(&page->acked, 0);
    atomic_store(&page->steps, 0);
    die_at = name;
    die_count = count;
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(run_child());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    die_at = NULL;
    if (WIFEXITED(status))
        assert_int_equal(WEXITSTATUS(status), 0);
    n = atomic_load(&page->acked);
    now = fingerprint(watch, META_ROOT);
    if (now != print[n] && (n == OPS || now != print[n + 1]))
        fail_msg("%s, time %u: the tree is neither as after operation %u nor as after the next", name, count,
                 n);
    assert_int_equal(meta_maintain(watch), 0);
    ns_check(watch);
    fresh = ns_open(0);
    assert_true(fingerprint(fresh, META_ROOT) == now);
    assert_int_equal(meta_mkdir(fresh, NULL, META_ROOT, "after", 0755, NULL), 0);
    assert_true(fingerprint(fresh, META_ROOT) == fingerprint(watch, META_ROOT));
    ns_check(watch);
    meta_close(fresh);
    meta_close(watch);
    ns_remove();
    return WIFSIGNALED(status);
}

static void
test_steps(void **state)
{
    static const char *const names[] = {
        "locked",          "log-odd",     "log-written",    "log-published",    "flush-applied",
        "flush-committed", "flush-reset", "direct-applied", "direct-committed", "checkpointed"};
    uint64_t print[OPS + 1];

    reference(print);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        unsigned k = 1;

        while (die_once(names[i], k, print))
            k += k < 12 ? 1 : 5;
        print_message("# %s: came %u times\n", names[i], k - 1);
        assert_true(k > 1); // a step that never comes tests nothing
    }
}

// Two processes that work until they are killed, in a volume that a third one uses.
static void
spin(unsigned seed)
{
    struct meta *m = open_small(false);
    char name[32], to[32];

    srandom(seed);
    for (unsigned i = 0; m; i++) {
        struct meta_attr a;

        snprintf(name, sizeof(name), "n%ld", random() % 20);
        snprintf(to, sizeof(to), "n%ld", random() % 20);
        switch (random() % 6) {
        case 0:
            if (meta_create(m, NULL, META_ROOT, name, 0644, META_HOLD, &a) == 0 && random() % 2)
                meta_close_file(m, a.ino);
            break;
        case 1:
            meta_unlink(m, NULL, META_ROOT, name, NULL);
            break;
        case 2:
            meta_rename(m, NULL, META_ROOT, name, META_ROOT, to, 0);
            break;
        case 3:
            if (meta_lookup(m, NULL, META_ROOT, name, &a) == 0)
                meta_setxattr(m, NULL, a.ino, "user.x", "y", 1, 0);
            break;
        case 4:
            if (meta_lookup(m, NULL, META_ROOT, name, &a) == 0) {
                struct meta_chunk c = {.length = 5};

                if (meta_new_chunks(m, &c.id, 1) == 0)
                    meta_commit_write(m, a.ino, 5, 0, &c, 1, NULL);
                meta_flock(m, a.ino, 1, 2);
            }
            break;
        default:
            meta_link(m, NULL, META_ROOT + random() % 50, META_ROOT, to, NULL);
        }
    }
}

static void
test_random_kill(void **state)
{
    struct meta_format fmt = {.chunk_size = CHUNK};
    struct meta *watch;

    unit_seed(99);
    ns_make(&fmt);
    watch = ns_open(0);
    for (unsigned round = 0; round < 40; round++) {
        struct timespec t = {0, 1000000 + (long)unit_below(12000000)};
        pid_t pid[2];

        for (int i = 0; i < 2; i++) {
            pid[i] = fork();
            assert_true(pid[i] >= 0);
            if (pid[i] == 0) {
                spin(round * 2 + (unsigned)i);
                _exit(1);
            }
        }
        nanosleep(&t, NULL); // the moment of death is what is random here
        for (int i = 0; i < 2; i++) {
            int status;

            kill(pid[i], SIGKILL);
            assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
            assert_true(WIFSIGNALED(status));
        }
        assert_int_equal(meta_maintain(watch), 0);
        ns_check(watch);
    }
    meta_close(watch);
    ns_remove();
}

// Others that open and close the volume leave the index of the log alone, which we have mapped: what they cut
// off would end us by SIGBUS, and what they made anew would cost a reading of the log.
static void
test_index_stays(void **state)
{
    char path[PATH_MAX];
    struct stat before, after;
    struct meta_attr a;
    struct meta *m;

    ns_make(NULL);
    // Before ours, so that the child's SQLite knows nothing of our connection.
    atomic_store(&page->acked, 0);
    pid_t pid = fork();
    if (pid == 0) {
        while (atomic_load(&page->acked) == 0)
            usleep(1000);
        m = NULL;
        _exit(meta_open(ns_dir, 0, NULL, &m) < 0 ||
              meta_create(m, NULL, META_ROOT, "theirs", 0644, 0, &a) < 0 || meta_sync(m) < 0 ||
              (meta_close(m), false));
    }
    m = ns_open(0);
    assert_int_equal(meta_create(m, NULL, META_ROOT, "ours", 0644, 0, &a), 0);
    assert_int_equal(meta_sync(m), 0);
    // As after a log of more than 16 MiB: a second piece of the index.
    snprintf(path, sizeof(path), "%s/meta.db-shm", ns_dir);
    assert_int_equal(truncate(path, 65536), 0);
    assert_int_equal(stat(path, &before), 0);
    atomic_store(&page->acked, 1);
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(after.st_ino, before.st_ino);
    assert_int_equal(after.st_size, before.st_size);
    assert_int_equal(meta_lookup(m, NULL, META_ROOT, "theirs", &a), 0);
    assert_int_equal(meta_create(m, NULL, META_ROOT, "ours2", 0644, 0, &a), 0);
    assert_int_equal(meta_sync(m), 0);
    ns_check(m);
    meta_close(m);
    ns_remove();
}

// Several processes open a volume at once that nobody has used since the machine started: one of them makes
// the shared file, and another may be the first with the lock. What it commits then must be there for all.
static int
first_opener(int go, unsigned id)
{
    struct meta_options opt = {0};
    struct meta_attr a;
    struct meta *m;
    char name[32], c;

    if (read(go, &c, 1) != 0 || meta_open(ns_dir, 0, &opt, &m) < 0)
        return 1;
    for (unsigned i = 0; i < 20; i++) {
        snprintf(name, sizeof(name), "of%u.%u", id, i);
        if (meta_create(m, NULL, META_ROOT, name, 0644, 0, &a) != 0 || meta_sync(m) != 0 ||
            meta_lookup(m, NULL, META_ROOT, name, &a) != 0)
            return 2;
    }
    meta_close(m);
    return 0;
}

static void
test_first_openers(void **state)
{
    char path[PATH_MAX + 16], name[32];
    struct meta_attr a;
    struct meta *m;

    (void)state;
    for (unsigned round = 0; round < 25; round++) {
        pid_t pid[4];
        int go[2];

        ns_make(NULL);
        snprintf(path, sizeof(path), "%s/meta.shared", ns_dir);
        assert_true(unlink(path) == 0 || errno == ENOENT);
        assert_int_equal(pipe(go), 0);
        for (unsigned i = 0; i < 4; i++) {
            pid[i] = fork();
            assert_true(pid[i] >= 0);
            if (pid[i] == 0) {
                close(go[1]);
                _exit(first_opener(go[0], i));
            }
        }
        close(go[0]);
        close(go[1]); // all at once
        for (unsigned i = 0; i < 4; i++) {
            int status;

            assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
            assert_int_equal(status, 0);
        }
        m = ns_open(0);
        for (unsigned i = 0; i < 80; i++) {
            snprintf(name, sizeof(name), "of%u.%u", i / 20, i % 20);
            assert_int_equal(meta_lookup(m, NULL, META_ROOT, name, &a), 0);
        }
        ns_check(m);
        meta_close(m);
        ns_remove();
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_openers),
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_random_kill),
        cmocka_unit_test(test_index_stays),
    };

    page = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
