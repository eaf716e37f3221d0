// SPDX-License-Identifier: Apache-2.0
// A machine that goes down: what was synced is there, whole operations only, and the check finds nothing;
// also where a process was killed before, in the middle of a commit.
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "meta/shared.h"
#include "tests/unit/ns.h"

#define CHUNK 65536u

static const char *die_at;

static void
step(void *arg, const char *name)
{
    if (die_at && strcmp(name, die_at) == 0)
        raise(SIGKILL);
}

static void
copy_file(const char *from, const char *to, const char *name, off_t cut)
{
    char path[4300], buf[65536];
    int in, out;
    ssize_t n;

    snprintf(path, sizeof(path), "%s/%s", from, name);
    in = open(path, O_RDONLY | O_CLOEXEC);
    if (in < 0)
        return;
    snprintf(path, sizeof(path), "%s/%s", to, name);
    out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(out >= 0);
    while ((n = read(in, buf, sizeof(buf))) > 0)
        assert_int_equal(write(out, buf, (size_t)n), n);
    if (cut) {
        off_t size = lseek(out, 0, SEEK_END);

        assert_int_equal(ftruncate(out, size > cut ? size - cut : 0), 0);
    }
    close(in);
    close(out);
}

static off_t
wal_size(void)
{
    char path[4300];
    struct stat sb;

    snprintf(path, sizeof(path), "%s/meta.db-wal", ns_dir);
    assert_int_equal(stat(path, &sb), 0);
    return sb.st_size;
}

// Of SQLite's log, what the disk has for sure.
static off_t wal_synced;

static void
note_wal(void *arg, const char *name)
{
    // The log was moved into SQL after a sync: what that one promised is on disk there by now.
    if (strcmp(name, "flush-reset") == 0)
        wal_synced = wal_size();
}

static void
poke(const char *dir, off_t at, const void *p, size_t n)
{
    char path[4300];
    int fd;

    snprintf(path, sizeof(path), "%s/meta.shared", dir);
    fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, p, n, at), n);
    close(fd);
}

// SQLite's log as it was when it was last flushed.
static char wal_path[4300], wal_flushed[1 << 20];
static ssize_t wal_flushed_n;

int __real_fsync(int fd);
int __wrap_fsync(int fd);

int
__wrap_fsync(int fd)
{
    char link[64];
    int r = __real_fsync(fd);
    ssize_t n;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, wal_path, sizeof(wal_path) - 1);
    if (r == 0 && n > 4 && memcmp(wal_path + n - 4, "-wal", 4) == 0) {
        wal_flushed_n = pread(fd, wal_flushed, sizeof(wal_flushed), 0);
        assert_in_range(wal_flushed_n, 0, sizeof(wal_flushed) - 1);
    }
    return r;
}

// Since then, nothing of it reached the disk.
static void
wal_unflushed(const char *dir)
{
    char path[4300];
    int fd;

    snprintf(path, sizeof(path), "%s/meta.db-wal", dir);
    fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, wal_flushed, (size_t)wal_flushed_n), wal_flushed_n);
    close(fd);
}

static uint32_t
peek32(const char *dir, off_t at)
{
    char path[4300];
    uint32_t v = 0;
    int fd;

    snprintf(path, sizeof(path), "%s/meta.shared", dir);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &v, sizeof(v), at), sizeof(v));
    close(fd);
    return v;
}

// A copy of the volume as another machine would find it: all that the memory has is on disk, but for `cut`
// bytes of SQLite's log.
static void
copy_volume(char copy[4200], off_t cut)
{
    snprintf(copy, 4200, "%s.copy", ns_dir);
    assert_int_equal(mkdir(copy, 0700), 0);
    copy_file(ns_dir, copy, "meta.db", 0);
    copy_file(ns_dir, copy, "meta.db-wal", cut);
    copy_file(ns_dir, copy, "meta.db-shm", 0); // of before: nobody may believe it
    copy_file(ns_dir, copy, "meta.shared", 0);
    poke(copy, offsetof(struct shared, boot), "another boot", 12);
}

// The machine goes down: the files as they are on the disk at some moment, another boot, the last pages of
// the log torn.
static void
test_power(void **state)
{
    const off_t log_at = offsetof(struct shared, log), data_at = offsetof(struct shared_log, data);
    struct meta_options opt = {.step = note_wal};
    struct meta_format fmt = {.chunk_size = CHUNK};
    char copy[4200];

    for (unsigned round = 0; round < 30; round++) {
        static const char zeros[16];
        char name[32];
        struct meta_attr a;
        struct meta *m;
        unsigned synced = round % 7 + 1, lost = round % 5;
        uint32_t promised = 0; // bytes of the log
        off_t cut = 0;

        ns_make(&fmt);
        assert_int_equal(meta_open(ns_dir, 0, &opt, &m), 0);
        for (unsigned i = 0; i < 20 + round; i++) {
            snprintf(name, sizeof(name), "f%u", i);
            assert_int_equal(meta_create(m, NULL, META_ROOT, name, 0644, 0, &a), 0);
            if (i == synced) {
                assert_int_equal(meta_sync(m), 0);
                wal_synced = wal_size();
                promised = peek32(ns_dir, offsetof(struct shared, log_synced));
                assert_true(promised > 0);
            }
        }
        if (round % 3 == 0) { // SQL transactions behind the sync, which did not reach the disk either
            assert_int_equal(meta_setxattr(m, NULL, a.ino, "user.x", "y", 1, 0), 0);
            assert_int_equal(meta_create(m, NULL, META_ROOT, "last", 0644, 0, &a), 0);
            cut = wal_size() - wal_synced;
            assert_true(cut > 0);
            promised = 0;
        }
        copy_volume(copy, cut);
        // Some of the log never reached the disk, or its head did not.
        if (lost)
            poke(copy, log_at + data_at + promised + (off_t)(lost - 1) * 700, zeros, 16);
        if (round % 2)
            poke(copy, log_at + (off_t)offsetof(struct shared_log, batch), zeros, 16);
        meta_close(m);
        ns_remove();
        strcpy(ns_dir, copy);
        m = ns_open(0);
        ns_check(m);
        for (unsigned i = 0; i <= synced; i++) {
            snprintf(name, sizeof(name), "f%u", i);
            assert_int_equal(meta_lookup(m, NULL, META_ROOT, name, &a), 0);
        }
        if (!lost && !cut) { // nothing was torn: nothing is missing
            snprintf(name, sizeof(name), "f%u", 19 + round);
            assert_int_equal(meta_lookup(m, NULL, META_ROOT, name, &a), 0);
        }
        assert_int_equal(meta_create(m, NULL, META_ROOT, "new", 0644, 0, &a), 0);
        ns_check(m);
        meta_close(m);
        ns_remove();
    }
}

static void
die_in_child(const char *name, int (*work)(struct meta *m))
{
    int status;
    pid_t pid;

    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct meta_options opt = {.step = step};
        struct meta *m;

        if (meta_open(ns_dir, 0, &opt, &m) < 0)
            _exit(1);
        die_at = name; // not while it opened the volume
        _exit(work(m) < 0 ? 2 : 3);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
}

static int
link_dead(struct meta *m)
{
    struct meta_attr a;
    int r = meta_lookup(m, NULL, META_ROOT, "alive", &a);

    return r < 0 ? r : meta_link(m, NULL, a.ino, META_ROOT, "dead", NULL);
}

static int
sync_and_flush(struct meta *m)
{
    struct meta_attr a;
    char name[32];
    int r = meta_create(m, NULL, META_ROOT, "promised", 0644, 0, &a);

    for (unsigned i = 0; r == 0 && i < 20; i++) {
        snprintf(name, sizeof(name), "more%u", i);
        r = meta_create(m, NULL, META_ROOT, name, 0644, 0, &a);
    }
    if (r == 0)
        r = meta_sync(m);
    return r == 0 ? meta_maintain(m) : r; // which needs SQL
}

// Rows of a process that died before they counted lie behind the log's end. What is written over the first of
// them must not make the rest count when the machine goes down.
static void
test_left_over(void **state)
{
    struct meta_attr a;
    struct meta *m;
    char copy[4200];

    ns_make(NULL);
    m = ns_open(0);
    assert_int_equal(meta_create(m, NULL, META_ROOT, "alive", 0644, 0, &a), 0);
    die_in_child("log-written", link_dead);
    // One row in the place of the dead one's first, which is an inode as well; a name follows that.
    assert_int_equal(meta_setattr(m, NULL, a.ino, META_SET_MTIME_NOW, &a, NULL), 0);
    assert_int_equal(meta_sync(m), 0);
    assert_int_equal(meta_lookup(m, NULL, META_ROOT, "dead", &a), -ENOENT);
    copy_volume(copy, 0);
    meta_close(m);
    ns_remove();
    strcpy(ns_dir, copy);
    m = ns_open(0);
    ns_check(m);
    assert_int_equal(meta_lookup(m, NULL, META_ROOT, "dead", &a), -ENOENT);
    meta_close(m);
    ns_remove();
}

// A process dies that has just moved the log into SQL, of which a sync had promised a part. The next sync
// must bring SQL to the disk, and what is in the new log, however short it is.
static void
test_promise_outlives(void **state)
{
    struct meta_attr a;
    struct meta *m;
    char copy[4200];

    for (unsigned i = 0; i < 2; i++) {
        ns_make(NULL);
        m = ns_open(0);
        assert_int_equal(meta_create(m, NULL, META_ROOT, "alive", 0644, 0, &a), 0);
        die_in_child(i ? "flush-committed" : "flush-applied", sync_and_flush);
        // No new inode: numbers are reserved in SQL.
        assert_int_equal(meta_link(m, NULL, a.ino, META_ROOT, "after", NULL), 0);
        assert_int_equal(meta_sync(m), 0);
        assert_int_equal(peek32(ns_dir, offsetof(struct shared, log_synced)),
                         peek32(ns_dir, offsetof(struct shared, log.used)));
        assert_int_equal(peek32(ns_dir, offsetof(struct shared, sql_dirty)), 0);
        copy_volume(copy, 0);
        meta_close(m);
        ns_remove();
        strcpy(ns_dir, copy);
        m = ns_open(0);
        ns_check(m);
        assert_int_equal(meta_lookup(m, NULL, META_ROOT, "promised", &a), 0);
        assert_int_equal(meta_lookup(m, NULL, META_ROOT, "after", &a), 0);
        meta_close(m);
        ns_remove();
    }
}

// A process dies in the middle of the log's reset: its records are SQL's already, and carry the number of the
// batch before. They must not lie before what is synced next.
static uint32_t used_before;

static void
step_half(void *arg, const char *name)
{
    if (die_at && strcmp(name, "flush-applied") == 0)
        used_before = peek32(ns_dir, offsetof(struct shared, log.used));
    if (die_at && strcmp(name, die_at) == 0) {
        poke(ns_dir, offsetof(struct shared, log.used), &used_before, sizeof(used_before));
        raise(SIGKILL);
    }
}

static void
test_reset_half(void **state)
{
    struct meta_options opt = {.step = step_half};
    struct meta_attr a;
    struct meta *m, *dying;
    char copy[4200];
    int status;
    pid_t pid;

    ns_make(NULL);
    m = ns_open(0);
    assert_int_equal(meta_create(m, NULL, META_ROOT, "alive", 0644, 0, &a), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (meta_open(ns_dir, 0, &opt, &dying) < 0)
            _exit(1);
        die_at = "flush-reset"; // not while it opened the volume
        _exit(meta_create(dying, NULL, META_ROOT, "before", 0644, 0, &a) < 0 || meta_maintain(dying) < 0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(meta_link(m, NULL, a.ino, META_ROOT, "after", NULL), 0);
    assert_int_equal(meta_sync(m), 0);
    copy_volume(copy, 0);
    meta_close(m);
    ns_remove();
    strcpy(ns_dir, copy);
    m = ns_open(0);
    ns_check(m);
    assert_int_equal(meta_lookup(m, NULL, META_ROOT, "before", &a), 0);
    assert_int_equal(meta_lookup(m, NULL, META_ROOT, "after", &a), 0);
    meta_close(m);
    ns_remove();
}

// The number of a chunk names a file, which may reach the disk long before anything that was to be synced
// does: nobody may get it again.
static void
test_chunk_numbers(void **state)
{
    uint64_t before, after;
    struct meta *m;
    char copy[4200];

    wal_flushed_n = 0;
    ns_make(NULL);
    m = ns_open(0);
    assert_int_equal(meta_new_chunks(m, &before, 1), 0);
    copy_volume(copy, 0);
    wal_unflushed(copy);
    meta_close(m);
    ns_remove();
    strcpy(ns_dir, copy);
    m = ns_open(0);
    assert_int_equal(meta_new_chunks(m, &after, 1), 0);
    assert_true(after > before);
    meta_close(m);
    ns_remove();
}

// The first sync since the machine started comes from a process that can't see the volume's directory any
// more.
static void
test_sync_in_jail(void **state)
{
    struct meta_attr a;
    int status;
    pid_t pid;

    if (geteuid() != 0)
        skip();
    ns_make(NULL);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct meta *m = ns_open(0);

        if (meta_create(m, NULL, META_ROOT, "name", 0644, 0, &a) != 0 || chroot(ns_dir) != 0 ||
            chdir("/") != 0)
            _exit(1);
        _exit(meta_sync(m) == 0 ? 0 : 2);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(peek32(ns_dir, offsetof(struct shared, named)), 1);
    ns_remove();
}

// A process without /proc does not know whether the machine was started anew since, nor who is alive: it may
// not take the volume from those that use it.
static void
test_no_proc(void **state)
{
    struct meta_attr a;
    struct meta *m;
    int status;
    pid_t pid;

    ns_make(NULL);
    m = ns_open(0);
    assert_int_equal(meta_create(m, NULL, META_ROOT, "name", 0644, 0, &a), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct meta *other;

        if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
            umount2("/proc", MNT_DETACH) != 0)
            _exit(77);
        _exit(meta_open(ns_dir, 0, NULL, &other) == -ENOSYS ? 0 : 2);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        meta_close(m);
        ns_remove();
        skip(); // may not mount
    }
    assert_int_equal(status, 0);
    assert_int_equal(meta_lookup(m, NULL, META_ROOT, "name", &a), 0);
    ns_check(m);
    meta_close(m);
    ns_remove();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_power),
        cmocka_unit_test(test_left_over),
        cmocka_unit_test(test_promise_outlives),
        cmocka_unit_test(test_reset_half),
        cmocka_unit_test(test_chunk_numbers),
        cmocka_unit_test(test_sync_in_jail),
        cmocka_unit_test(test_no_proc),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
