// SPDX-License-Identifier: Apache-2.0
// Faults below both engines: each system call on chunk files that fails, with ENOSPC, EIO or EMFILE, and the
// namespace engine's writes, at the first, second, third ... occasion until a round of work gets through. The
// error reaches the caller as it is; what was acknowledged is there; files have their old bytes or the new
// ones where a call failed; the check finds nothing but chunks that nobody has.
#include <linux/falloc.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "fsclient/local.h"
#include "tests/unit/fc.h"

enum call { NONE, PWRITE, PREAD, OPENAT, FDATASYNC, FTRUNCATE, FALLOCATE, UNLINKAT, SQL_PWRITE, CALLS };

static enum call broken;
static int broken_errno;
static unsigned good, hits; // calls that go well before; calls that failed

static bool
fails(enum call call)
{
    if (call != broken)
        return false;
    if (good > 0) {
        good--;
        return false;
    }
    hits++;
    errno = broken_errno;
    return true;
}

static ssize_t
f_pread(void *arg, int fd, void *buf, size_t len, off_t off)
{
    return fails(PREAD) ? -1 : pread(fd, buf, len, off);
}

static ssize_t
f_pwrite(void *arg, int fd, const void *buf, size_t len, off_t off)
{
    return fails(PWRITE) ? -1 : pwrite(fd, buf, len, off);
}

static int
f_openat(void *arg, int dirfd, const char *name, int flags, mode_t mode)
{
    return fails(OPENAT) ? -1 : openat(dirfd, name, flags, mode);
}

static int
f_fdatasync(void *arg, int fd)
{
    return fails(FDATASYNC) ? -1 : fdatasync(fd);
}

static int
f_fsync(void *arg, int fd)
{
    return fails(FDATASYNC) ? -1 : fsync(fd);
}

static int
f_ftruncate(void *arg, int fd, off_t len)
{
    return fails(FTRUNCATE) ? -1 : ftruncate(fd, len);
}

static int
f_fallocate(void *arg, int fd, int mode, off_t off, off_t len)
{
    return fails(FALLOCATE) ? -1 : fallocate(fd, mode, off, len);
}

static int
f_linkat(void *arg, int dirfd, const char *from, const char *to)
{
    return linkat(dirfd, from, dirfd, to, 0);
}

static int
f_renameat(void *arg, int dirfd, const char *from, const char *to)
{
    return renameat(dirfd, from, dirfd, to);
}

static int
f_unlinkat(void *arg, int dirfd, const char *name)
{
    return fails(UNLINKAT) ? -1 : unlinkat(dirfd, name, 0);
}

static int
f_clone(void *arg, int dst, int src)
{
    errno = EOPNOTSUPP; // the way that all file systems can go
    return -1;
}

static ssize_t
sql_pwrite(int fd, const void *buf, size_t len, off_t off)
{
    return fails(SQL_PWRITE) ? -1 : pwrite(fd, buf, len, off);
}

static const struct chunk_io io = {
    .pread = f_pread,
    .pwrite = f_pwrite,
    .openat = f_openat,
    .fdatasync = f_fdatasync,
    .fsync = f_fsync,
    .ftruncate = f_ftruncate,
    .fallocate = f_fallocate,
    .linkat = f_linkat,
    .renameat = f_renameat,
    .unlinkat = f_unlinkat,
    .clone = f_clone,
};

static int
set_up(void **state)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find("unix");

    assert_non_null(vfs);
    IS(vfs->xSetSystemCall(vfs, "pwrite", (sqlite3_syscall_ptr)sql_pwrite), SQLITE_OK);
    IS(vfs->xSetSystemCall(vfs, "pwrite64", (sqlite3_syscall_ptr)sql_pwrite), SQLITE_OK);
    local_io = &io;
    return 0;
}

static void
arm(enum call call, int err, unsigned after)
{
    broken = call;
    broken_errno = err;
    good = after;
    hits = 0;
}

enum { SIZE = 2 * FC_CHUNK + 1000 };
static char old[SIZE], new[SIZE], buf[SIZE + 10];

// One round of work on "f", which holds `old`; the first error, or 0. *step: how far it came.
static int
work(struct fsc *fs, int *step)
{
    struct fsc_file *f = NULL, *g = NULL;
    ssize_t r;

    *step = 0;
    if ((r = fsc_open(fs, &fc_root, "f", O_RDWR, 0, &f)) < 0)
        goto out;
    if ((r = fsc_pread(f, buf, 100, 5)) < 0)
        goto out;
    *step = 1; // f may be half `new` from here on
    if ((r = fsc_pwrite(f, new, SIZE, 0)) != SIZE)
        goto out;
    *step = 2; // f is `new`
    if ((r = fsc_fsync(f)) < 0)
        goto out;
    if ((r = fsc_open(fs, &fc_root, "g", O_CREAT | O_TRUNC | O_RDWR, 0600, &g)) < 0)
        goto out;
    if ((r = fsc_clone_range(f, 0, g, 0, 2 * FC_CHUNK)) < 0)
        goto out;
    *step = 3; // g has the first two chunks of `new`
    if ((r = fsc_pwrite(g, old, 10, 0)) != 10)
        goto out;
    *step = 4; // but for ten bytes
    if ((r = fsc_fallocate(g, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 100, 200)) < 0)
        goto out;
    if ((r = fsc_ftruncate(g, FC_CHUNK + 10)) < 0)
        goto out;
    if ((r = fsc_unlink(fs, &fc_root, "g", 0)) < 0)
        goto out;
    r = fsc_sync_volume(fs);
out:
    if (g)
        fsc_close(g);
    if (f)
        fsc_close(f);
    if (r >= 0 && *step == 1) // a short count: the error comes with the next call
        return -EIO;
    return r < 0 ? (int)r : 0;
}

static void
reset(struct fsc *fs)
{
    struct fsc_file *f = fc_file(fs, "f", O_CREAT | O_TRUNC | O_RDWR);

    IS(fsc_pwrite(f, old, SIZE, 0), SIZE);
    OK(fsc_fsync(f));
    OK(fsc_close(f));
    fsc_unlink(fs, &fc_root, "g", 0);
    OK(fsc_maintain(fs));
}

static void
look(struct fsc *fs, int step)
{
    struct fsc_file *f = fc_file(fs, "f", O_RDONLY);
    struct stat st;

    IS(fsc_pread(f, buf, sizeof buf, 0), SIZE);
    for (size_t i = 0; i < SIZE; i++)
        assert_true((step < 2 && buf[i] == old[i]) || (step > 0 && buf[i] == new[i]));
    OK(fsc_close(f));
    if (fsc_stat(fs, &fc_root, "g", 0, &st) != 0 || step < 3 || st.st_size < FC_CHUNK)
        return;
    f = fc_file(fs, "g", O_RDONLY);
    IS(fsc_pread(f, buf, 400, 0), 400);
    for (size_t i = 0; i < 400; i++)
        assert_true(buf[i] == new[i] || (i < 10 && buf[i] == old[i]) ||
                    (step == 4 && i >= 100 && i < 300 && buf[i] == 0));
    IS(fsc_pread(f, buf, 10, FC_CHUNK), 10);
    assert_memory_equal(buf, new + FC_CHUNK, 10);
    OK(fsc_close(f));
}

static void
check_leaks_only(struct fsc *fs)
{
    fc_findings(fs, true);
    for (char *p = fc_codes; *p; p += 5)
        if (strncmp(p, "leak ", 5) != 0)
            fail_msg("the check found: %s", fc_codes);
    fc_check(fs);
}

static void
try(enum call call, int err)
{
    unsigned after, left;

    for (after = 0; after < 3000; after++) {
        struct fsc *fs = fc_open(0);
        int r, step;

        arm(NONE, 0, 0);
        reset(fs);
        // Half of the time what is open is open, half of it nothing is.
        if (after % 2) {
            fsc_close_volume(fs);
            fs = fc_open(0);
        }
        arm(call, err, after);
        r = work(fs, &step);
        left = good;
        arm(NONE, 0, 0);
        if (r == 0 && left > 0) {
            fsc_close_volume(fs);
            return; // it got through
        }
        if (r != 0 && r != -err && r != -EIO)
            fail_msg("call %d, occasion %u: %s instead of %s", call, after, strerror(-r), strerror(err));
        look(fs, step);
        fsc_close_volume(fs);
        fs = fc_open(0);
        look(fs, step);
        if (after % 8 == 0)
            check_leaks_only(fs);
        fsc_close_volume(fs);
        after += after / 16; // the later occasions are much alike
    }
    fail_msg("call %d never got through", call);
}

static void
test_faults(void **state)
{
    static const struct {
        enum call call;
        int err;
    } v[] = {{PWRITE, ENOSPC}, {PWRITE, EIO},    {PREAD, EIO},    {OPENAT, EMFILE},     {FDATASYNC, EIO},
             {FTRUNCATE, EIO}, {FALLOCATE, EIO}, {UNLINKAT, EIO}, {SQL_PWRITE, ENOSPC}, {SQL_PWRITE, EIO}};

    for (size_t i = 0; i < SIZE; i++) {
        old[i] = (char)(1 + i % 100);
        new[i] = (char)(101 + i % 99);
    }
    for (size_t i = 0; i < sizeof v / sizeof v[0]; i++) {
        fc_make(NULL);
        try(v[i].call, v[i].err);
        fc_remove();
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_faults)};

    return cmocka_run_group_tests(tests, set_up, NULL);
}
