// SPDX-License-Identifier: Apache-2.0
// Where a new chunk's name goes to the disk with its data, and where not: asked of real file systems, with
// and without a journal.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chunk/impl.h"
#include "tests/unit/unit.h"

static _Atomic int dirs;

static int
count_fsync(void *arg, int fd)
{
    struct stat st;

    (void)arg;
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
        dirs++;
    return fsync(fd);
}

// The directories that a new chunk's sync flushes in a store below `dir`.
static int
flushed(const char *dir)
{
    struct chunk_io io = io_system;
    struct chunk_open_options opt = {.io = &io};
    struct chunk_store *s;
    char store[600];

    io.fsync = count_fsync;
    snprintf(store, sizeof store, "%s/store", dir);
    assert_int_equal(mkdir(store, 0700), 0);
    assert_int_equal(chunk_format(store, NULL), 0);
    assert_int_equal(chunk_store_open(store, 0, &opt, &s), 0);
    dirs = 0;
    assert_int_equal(chunk_create(s, 1), 0);
    assert_int_equal(chunk_write(s, 1, "one", 3, 0), 3);
    assert_int_equal(chunk_sync(s, 1), 0);
    chunk_store_close(s);
    return dirs;
}

// -1: such a file system can't be had here.
static int
flushed_on(const char *mkfs_options)
{
    char dir[] = "/tmp/zio-names-XXXXXX", cmd[512];
    int n = -1;

    if (geteuid() != 0)
        return -1;
    assert_non_null(mkdtemp(dir));
    snprintf(cmd, sizeof cmd,
             "cd %s && mkdir at && truncate -s 32M image && mkfs.ext4 -q %s image >/dev/null 2>&1 && mount "
             "-o loop "
             "image at >/dev/null 2>&1",
             dir, mkfs_options);
    if (system(cmd) == 0) {
        snprintf(cmd, sizeof cmd, "%s/at", dir);
        n = flushed(cmd);
        assert_int_equal(umount(cmd), 0);
    }
    snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
    assert_int_equal(system(cmd), 0);
    return n;
}

static void
test_journal(void **state)
{
    int n = flushed_on("");

    (void)state;
    if (n < 0)
        skip();
    assert_int_equal(n, 0);
}

static void
test_no_journal(void **state)
{
    int n = flushed_on("-O ^has_journal");

    (void)state;
    if (n < 0)
        skip();
    assert_true(n > 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_journal),
        cmocka_unit_test(test_no_journal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
