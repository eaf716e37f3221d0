// SPDX-License-Identifier: Apache-2.0
// Faults below the namespace engine: a full disk and I/O errors under SQLite's system calls, memory that runs
// out (the engine's and SQLite's), fsync that fails, a damaged page. Each is injected at the first, second,
// third ... occasion until an operation gets through without meeting it. The error is the right one; nothing
// that was acknowledged is lost; the check finds nothing. And volumes of older schemas are brought up to
// date.
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "meta/db.h"
#include "meta/schema.h"
#include "tests/unit/ns.h"

#define CHUNK 65536u

enum fault { NO_FAULT, FAULT_WRITE, FAULT_READ, FAULT_MEMORY, FAULT_FSYNC };
static enum fault fault;
static int fault_errno;
static unsigned fault_after; // occasions that go well
static unsigned fault_hits;  // that did not
static bool fault_once;

static bool
hit(enum fault f)
{
    if (f != fault)
        return false;
    if (fault_after) {
        fault_after--;
        return false;
    }
    if (fault_once && fault_hits)
        return false;
    fault_hits++;
    return true;
}

static void
arm(enum fault f, int err, unsigned after, bool once)
{
    fault = f;
    fault_errno = err;
    fault_after = after;
    fault_hits = 0;
    fault_once = once;
}

static ssize_t
sys_pwrite(int fd, const void *buf, size_t n, off_t off)
{
    if (hit(FAULT_WRITE)) {
        errno = fault_errno;
        return -1;
    }
    return pwrite(fd, buf, n, off);
}

static ssize_t
sys_pread(int fd, void *buf, size_t n, off_t off)
{
    if (hit(FAULT_READ)) {
        errno = fault_errno;
        return -1;
    }
    return pread(fd, buf, n, off);
}

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t m);
void *__real_realloc(void *p, size_t n);
int __real_fsync(int fd);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t m);
void *__wrap_realloc(void *p, size_t n);
int __wrap_fsync(int fd);
int __real_msync(void *p, size_t n, int flags);
int __wrap_msync(void *p, size_t n, int flags);

void *
__wrap_malloc(size_t n)
{
    return hit(FAULT_MEMORY) ? NULL : __real_malloc(n);
}

void *
__wrap_calloc(size_t n, size_t m)
{
    return hit(FAULT_MEMORY) ? NULL : __real_calloc(n, m);
}

void *
__wrap_realloc(void *p, size_t n)
{
    return hit(FAULT_MEMORY) ? NULL : __real_realloc(p, n);
}

int
__wrap_fsync(int fd)
{
    if (hit(FAULT_FSYNC)) {
        errno = fault_errno;
        return -1;
    }
    return __real_fsync(fd);
}

int
__wrap_msync(void *p, size_t n, int flags)
{
    if (hit(FAULT_FSYNC)) {
        errno = fault_errno;
        return -1;
    }
    return __real_msync(p, n, flags);
}

static sqlite3_mem_methods real_mem;

static void *
mem_malloc(int n)
{
    return hit(FAULT_MEMORY) ? NULL : real_mem.xMalloc(n);
}

static void *
mem_realloc(void *p, int n)
{
    return hit(FAULT_MEMORY) ? NULL : real_mem.xRealloc(p, n);
}

static int
set_up_all(void **state)
{
    sqlite3_mem_methods mine;
    sqlite3_vfs *vfs;

    assert_int_equal(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real_mem), SQLITE_OK);
    mine = real_mem;
    mine.xMalloc = mem_malloc;
    mine.xRealloc = mem_realloc;
    assert_int_equal(sqlite3_config(SQLITE_CONFIG_MALLOC, &mine), SQLITE_OK);
    assert_int_equal(sqlite3_initialize(), SQLITE_OK);
    vfs = sqlite3_vfs_find("unix");
    assert_int_equal(vfs->xSetSystemCall(vfs, "pwrite", (sqlite3_syscall_ptr)sys_pwrite), SQLITE_OK);
    assert_int_equal(vfs->xSetSystemCall(vfs, "pwrite64", (sqlite3_syscall_ptr)sys_pwrite), SQLITE_OK);
    assert_int_equal(vfs->xSetSystemCall(vfs, "pread", (sqlite3_syscall_ptr)sys_pread), SQLITE_OK);
    assert_int_equal(vfs->xSetSystemCall(vfs, "pread64", (sqlite3_syscall_ptr)sys_pread), SQLITE_OK);
    return 0;
}

static struct meta *m;
static unsigned made;

static int
set_up(void **state)
{
    struct meta_format fmt = {.chunk_size = CHUNK};

    arm(NO_FAULT, 0, 0, false);
    made = 0;
    ns_make(&fmt);
    m = ns_open(0);
    return 0;
}

static int
tear_down(void **state)
{
    arm(NO_FAULT, 0, 0, false);
    meta_close(m);
    ns_remove();
    return 0;
}

// One round of work. The first error ends it; what was acknowledged before is in `made`.
static int
work(void)
{
    struct meta_attr a;
    char name[32];
    int r;

    snprintf(name, sizeof(name), "f%u", made);
    if ((r = meta_create(m, NULL, META_ROOT, name, 0644, 0, &a)) < 0)
        return r;
    made++;
    if ((r = meta_setxattr(m, NULL, a.ino, "user.x", name, strlen(name), 0)) < 0)
        return r;
    snprintf(name, sizeof(name), "d%u", made);
    if ((r = meta_mkdir(m, NULL, META_ROOT, name, 0755, &a)) < 0 ||
        (r = meta_rmdir(m, NULL, META_ROOT, name)) < 0)
        return r;
    return meta_sync(m);
}

static void
all_there(void)
{
    struct meta_attr a;
    char name[32];

    for (unsigned i = 0; i < made; i++) {
        snprintf(name, sizeof(name), "f%u", i);
        assert_int_equal(meta_lookup(m, NULL, META_ROOT, name, &a), 0);
    }
    ns_check(m);
}

// With the fault at the k-th occasion, for each k until it does not come any more.
static void
each_occasion(enum fault f, int err, bool once, const int *allowed, bool reopen)
{
    unsigned hits = 0;

    for (unsigned k = 0; k < 4000; k++) {
        int r;

        if (reopen) { // so that nothing is cached
            meta_close(m);
            m = ns_open(0);
        }
        arm(f, err, k, once);
        r = work();
        fault = NO_FAULT;
        if (fault_hits == 0) {
            assert_int_equal(r, 0);
            break;
        }
        hits++;
        if (r < 0) {
            int i = 0;

            while (allowed[i] && allowed[i] != r)
                i++;
            if (!allowed[i])
                fail_msg("occasion %u: error %d (%s) is not one of those expected; %s", k, -r, strerror(-r),
                         ns_message);
        }
        // A create that failed may not be there; a file of its name from the failed round is in the way of
        // the next one.
        if (r < 0) {
            struct meta_attr a;
            char name[32];

            snprintf(name, sizeof(name), "f%u", made);
            assert_int_equal(meta_lookup(m, NULL, META_ROOT, name, &a), -ENOENT);
            snprintf(name, sizeof(name), "d%u", made);
            r = meta_rmdir(m, NULL, META_ROOT, name);
            assert_true(r == 0 || r == -ENOENT);
        }
        all_there();
    }
    assert_true(hits > 0); // a fault that never comes tests nothing
    meta_close(m);
    m = ns_open(0);
    all_there();
}

static void
test_full(void **state)
{
    static const int allowed[] = {-ENOSPC, 0};

    each_occasion(FAULT_WRITE, ENOSPC, false, allowed, false);
    assert_non_null(strstr(ns_message, "the disk is full"));
}

static void
test_write_error(void **state)
{
    static const int allowed[] = {-EIO, 0};

    each_occasion(FAULT_WRITE, EIO, false, allowed, false);
    each_occasion(FAULT_WRITE, EIO, true, allowed, true);
    assert_non_null(strstr(ns_message, "input/output error"));
}

static void
test_read_error(void **state)
{
    static const int allowed[] = {-EIO, 0};

    each_occasion(FAULT_READ, EIO, true, allowed, true);
}

static void
test_memory(void **state)
{
    static const int allowed[] = {-ENOMEM, 0};

    each_occasion(FAULT_MEMORY, 0, true, allowed, true);
    each_occasion(FAULT_MEMORY, 0, false, allowed, false);
}

// Opening a volume with little memory: an error, or a volume.
static void
test_memory_open(void **state)
{
    struct meta_options opt = {.cache_inodes = 64};
    unsigned hits = 0;

    assert_int_equal(work(), 0);
    for (unsigned k = 0; k < 4000; k++) {
        struct meta *o = NULL;
        int r;

        arm(FAULT_MEMORY, 0, k, true);
        r = meta_open(ns_dir, 0, &opt, &o);
        fault = NO_FAULT;
        assert_true(r == 0 || r == -ENOMEM);
        if (r == 0)
            meta_close(o);
        if (!fault_hits)
            break;
        hits++;
    }
    assert_true(hits > 5);
    all_there();
}

static void
test_fsync(void **state)
{
    struct meta_attr a;

    assert_int_equal(work(), 0);
    assert_int_equal(meta_create(m, NULL, META_ROOT, "s1", 0644, 0, &a), 0);
    arm(FAULT_FSYNC, EIO, 0, false);
    assert_int_equal(meta_sync(m), -EIO);
    assert_non_null(strstr(ns_message, "fsync"));
    fault = NO_FAULT;
    assert_int_equal(meta_sync(m), 0);
    // The log's own pages: what they hold gets to the disk another way.
    assert_int_equal(meta_create(m, NULL, META_ROOT, "s2", 0644, 0, &a), 0);
    arm(FAULT_FSYNC, EIO, 0, true);
    assert_int_equal(meta_sync(m), 0);
    assert_int_equal(fault_hits, 1);
    fault = NO_FAULT;
    // What was synced in the log goes into SQL, and the disk refuses it there: who asks next is told, once.
    assert_int_equal(meta_create(m, NULL, META_ROOT, "s3", 0644, 0, &a), 0);
    assert_int_equal(meta_sync(m), 0);
    arm(FAULT_FSYNC, EIO, 0, false);
    assert_int_equal(meta_setxattr(m, NULL, a.ino, "user.x", "y", 1, 0), 0);
    assert_true(fault_hits > 0);
    fault = NO_FAULT;
    assert_int_equal(meta_sync(m), -EIO);
    assert_int_equal(meta_sync(m), 0);
    for (unsigned i = 1; i <= 3; i++) {
        char name[8];

        snprintf(name, sizeof(name), "s%u", i);
        assert_int_equal(meta_unlink(m, NULL, META_ROOT, name, NULL), 0);
    }
    all_there();
}

// A damaged page: a clear error, not a wrong answer.
static void
test_damage(void **state)
{
    static uint8_t junk[4096];
    char path[4300];
    struct meta_attr a;
    struct stat sb;
    int fd, r = 0;

    for (int i = 0; i < 300; i++)
        assert_int_equal(work(), 0);
    meta_close(m);
    snprintf(path, sizeof(path), "%s/meta.db", ns_dir);
    m = ns_open(0);
    {
        sqlite3 *db; // everything into the database file
        assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL), SQLITE_OK);
        sqlite3_close(db);
    }
    meta_close(m);
    memset(junk, 0x5a, sizeof(junk));
    fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &sb), 0);
    for (off_t at = 17 * 4096; at < sb.st_size; at += 4096)
        assert_int_equal(pwrite(fd, junk, sizeof(junk), at), sizeof(junk));
    close(fd);
    m = ns_open(0);
    for (unsigned i = 0; i < made && r == 0; i++) {
        char name[32];

        snprintf(name, sizeof(name), "f%u", i);
        r = meta_lookup(m, NULL, META_ROOT, name, &a);
    }
    assert_int_equal(r, -EUCLEAN);
    assert_non_null(strstr(ns_message, "damaged"));
}

// ---- schemas ----

static void
test_upgrade(void **state)
{
    struct meta_say say = {NULL, NULL};
    struct meta_attr a;
    struct meta_lock l = {.start = 0, .end = 9, .type = F_WRLCK};
    struct meta_info info;
    struct meta_db *db;

    // A volume as the first release would have left it: version 1 has no table of waiters.
    assert_int_equal(work(), 0);
    meta_close(m);
    assert_int_equal(db_open(ns_dir, false, &say, &db), 0);
    assert_int_equal(db_script(db, "DROP TABLE lockwait"), 0);
    assert_int_equal(db_set_version(db, 1), 0);
    db_close(db);
    m = ns_open(0);
    assert_int_equal(meta_info(m, &info), 0);
    assert_int_equal(info.schema, META_SCHEMA);
    all_there();
    assert_int_equal(meta_lookup(m, NULL, META_ROOT, "f0", &a), 0);
    assert_int_equal(meta_setlk(m, a.ino, 1, &l, true), 0);
    meta_close(m);
    // From nothing to version 1 and then on is the same as all at once.
    {
        char dir[4200];
        uint32_t v;

        snprintf(dir, sizeof(dir), "%s.v1", ns_dir);
        assert_int_equal(mkdir(dir, 0700), 0);
        assert_int_equal(db_open(dir, true, &say, &db), 0);
        assert_int_equal(schema_upgrade(db, 1, &say), 0);
        assert_int_equal(db_get_version(db, &v), 0);
        assert_int_equal(v, 1);
        assert_int_equal(schema_upgrade(db, META_SCHEMA, &say), 0);
        assert_int_equal(db_get_version(db, &v), 0);
        assert_int_equal(v, META_SCHEMA);
        db_close(db);
        snprintf(ns_dir + strlen(ns_dir), 8, ".v1");
        ns_remove();
        ns_dir[strlen(ns_dir) - 3] = '\0';
    }
    // One from the future is left alone.
    assert_int_equal(db_open(ns_dir, false, &say, &db), 0);
    assert_int_equal(db_set_version(db, META_SCHEMA + 1), 0);
    db_close(db);
    {
        struct meta *o;

        assert_int_equal(meta_open(ns_dir, 0, NULL, &o), -EPROTONOSUPPORT);
    }
    assert_int_equal(db_open(ns_dir, false, &say, &db), 0);
    assert_int_equal(db_set_version(db, META_SCHEMA), 0);
    db_close(db);
    m = ns_open(0);
}

static void
test_foreign(void **state)
{
    char dir[4200], path[4300];
    struct meta *o;
    sqlite3 *db;

    assert_int_equal(meta_open("/nonexistent", 0, NULL, &o), -ENOENT);
    assert_int_equal(meta_open("postgresql:host", 0, NULL, &o), -EOPNOTSUPP);
    assert_int_equal(meta_format(ns_dir, NULL, NULL), -EEXIST);
    snprintf(dir, sizeof(dir), "%s.other", ns_dir);
    assert_int_equal(mkdir(dir, 0700), 0);
    snprintf(path, sizeof(path), "%s/meta.db", dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "CREATE TABLE t(x)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(meta_open(dir, 0, NULL, &o), -EMEDIUMTYPE);
    snprintf(ns_dir + strlen(ns_dir), 8, ".other");
    ns_remove();
    ns_dir[strlen(ns_dir) - 6] = '\0';
}

int
main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(test_full),   CASE(test_write_error), CASE(test_read_error),
        CASE(test_memory), CASE(test_memory_open), CASE(test_fsync),
        CASE(test_damage), CASE(test_upgrade),     CASE(test_foreign),
    };

    return cmocka_run_group_tests(tests, set_up_all, NULL);
}
