// SPDX-License-Identifier: Apache-2.0
// News of what others change (meta/watch.c): two handles on one volume, of which one watches.
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/unit/ns.h"

static struct meta *mine, *other;

struct news {
    unsigned slots, all, wanted;
    uint32_t want;
};

static int
set_up(void **state)
{
    (void)state;
    ns_make(NULL);
    mine = ns_open(0);
    other = ns_open(0);
    assert_int_equal(meta_watch(mine), 0);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    meta_close(mine);
    ns_check(other);
    meta_close(other);
    ns_remove();
    return 0;
}

static void
count(void *arg, uint32_t slot)
{
    struct news *n = arg;

    n->slots++;
    n->all += slot == META_WATCH_ALL;
    n->wanted += slot == n->want;
}

// What there is to tell at once, of inode `ino` among it.
static struct news
look(uint64_t ino)
{
    struct news n = {.want = meta_watch_slot(ino)};

    assert_true(meta_watch_wait(mine, 0, count, &n) >= 0);
    return n;
}

static uint64_t
make(struct meta *m, const char *name)
{
    struct meta_attr a;

    assert_int_equal(meta_create(m, NULL, META_ROOT, name, 0644, 0, &a), 0);
    return a.ino;
}

static void
test_own_is_no_news(void **state)
{
    char name[16];

    (void)state;
    for (int i = 0; i < 500; i++) {
        struct meta_attr a = {.mode = 0600};
        uint64_t ino;

        snprintf(name, sizeof name, "f%d", i);
        ino = make(mine, name);
        assert_int_equal(meta_setattr(mine, NULL, ino, META_SET_MODE, &a, NULL), 0);
        assert_int_equal(meta_setxattr(mine, NULL, ino, "user.x", "1", 1, 0), 0); // by SQL, not by the log
        meta_wrote(mine, ino);
        if (i % 2)
            assert_int_equal(meta_unlink(mine, NULL, META_ROOT, name, NULL), 0);
        assert_false(meta_watch_news(mine, ino));
    }
    assert_int_equal(look(META_ROOT).slots, 0);
}

static void
test_others_is(void **state)
{
    struct meta_attr a = {.mode = 0600};
    uint64_t ino = make(mine, "f");
    struct news n;

    (void)state;
    assert_int_equal(look(ino).slots, 0);
    assert_int_equal(meta_setattr(other, NULL, ino, META_SET_MODE, &a, NULL), 0);
    make(mine, "own"); // an own change beside it hides nothing
    assert_true(meta_watch_news(mine, ino));
    n = look(ino);
    assert_int_equal(n.wanted, 1);
    assert_int_equal(n.all, 0);
    assert_false(meta_watch_news(mine, ino));
    assert_int_equal(look(ino).slots, 0); // told once

    // A new name is news of its directory, bytes written in place are news of the file.
    make(other, "g");
    assert_int_equal(look(META_ROOT).wanted, 1);
    meta_wrote(other, ino);
    assert_true(meta_watch_news(mine, ino));
    assert_int_equal(look(ino).wanted, 1);

    // What changes in more than its rows tell is news of everything.
    assert_int_equal(meta_mkdir(other, NULL, META_ROOT, "d", 0755, &a), 0);
    look(META_ROOT);
    assert_int_equal(meta_clone_tree(other, NULL, a.ino, META_ROOT, "clone", &a), 0);
    assert_true(meta_watch_news(mine, ino));
    assert_true(look(ino).all > 0);
}

static _Atomic bool told;

static void
tell(void *arg, uint32_t slot)
{
    if (slot == *(uint32_t *)arg)
        atomic_store(&told, true);
}

static void *
watcher(void *arg)
{
    uint32_t slot = meta_watch_slot(*(uint64_t *)arg);

    while (!atomic_load(&told))
        if (meta_watch_wait(mine, -1, tell, &slot) < 0)
            return (void *)1;
    return NULL;
}

// A watcher that sleeps without end is woken, whenever the change comes: before, at, or after its falling
// asleep.
static void
test_wakes(void **state)
{
    struct meta_attr a = {.mode = 0600};
    uint64_t ino = make(mine, "f");
    pthread_t thread;
    void *result;

    (void)state;
    for (unsigned i = 0; i < 300; i++) {
        atomic_store(&told, false);
        assert_int_equal(pthread_create(&thread, NULL, watcher, &ino), 0);
        for (volatile unsigned spin = 0; spin < i * 500; spin++)
            ;
        a.mode = 0600 | (i & 1);
        assert_int_equal(meta_setattr(other, NULL, ino, META_SET_MODE, &a, NULL), 0);
        assert_int_equal(pthread_join(thread, &result), 0); // else the test's deadline passes
        assert_null(result);
    }
}

// Permissions that were asked elsewhere: who asks owns what he makes, where he could not have made it.
static void
test_checked(void **state)
{
    struct meta_cred cred = ns_alice;
    struct meta_attr a;

    (void)state;
    assert_int_equal(meta_create(mine, &cred, META_ROOT, "no", 0644, 0, &a), -EACCES);
    cred.checked = true;
    cred.umask = 027;
    assert_int_equal(meta_create(mine, &cred, META_ROOT, "yes", 0666, 0, &a), 0);
    assert_int_equal(a.uid, ns_alice.uid);
    assert_int_equal(a.gid, ns_alice.gid);
    assert_int_equal(a.mode & 07777, 0640);
}

int
main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {CASE(test_own_is_no_news), CASE(test_others_is), CASE(test_wakes),
                                       CASE(test_checked)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
