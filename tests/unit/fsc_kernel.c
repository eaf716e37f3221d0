// SPDX-License-Identifier: Apache-2.0
// The kernel's view of files (fsc_chunk_fd): descriptors and mappings of chunks go on to show the file
// whatever is done to it, and what is stored through them is the file's, but not its clones'.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fsclient/fsclient.h"
#include "tests/unit/unit.h"

#define CHUNK 65536u
#define KEEP FSC_CHUNK_KEEP
#define STORE (FSC_CHUNK_KEEP | FSC_CHUNK_WRITE | FSC_CHUNK_STORE)

static char dir[PATH_MAX], url[PATH_MAX + 8];

static void
told(void *arg, const char *text)
{
    if (getenv("ZIO_TEST_VERBOSE"))
        print_message("# %s\n", text);
}
static const struct fsc_options opt = {.message = told};

static int
make(void **state)
{
    const char *tmp = getenv("TMPDIR");
    struct fsc_format fmt = {.chunk_size = CHUNK};
    struct fsc *fs;

    snprintf(dir, sizeof dir, "%s/zio-fsck-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(dir))
        return -1;
    snprintf(url, sizeof url, "local:%s/v", dir);
    if (fsc_format(url, &fmt, &opt) != 0 || fsc_open_volume(url, &opt, &fs) != 0)
        return -1;
    *state = fs;
    return 0;
}

static int
drop(void **state)
{
    char cmd[PATH_MAX + 16];

    fsc_close_volume(*state);
    snprintf(cmd, sizeof cmd, "rm -rf '%s'", dir);
    return system(cmd);
}

static int
finding(void *arg, const char *code, const char *text, bool repaired, uint64_t done, uint64_t total)
{
    if (code)
        print_message("# %s: %s\n", code, text);
    return 0;
}

static void
check(struct fsc *fs)
{
    struct fsc_check out = {0};

    assert_int_equal(fsc_fsck(fs, false, finding, NULL, &out), 0);
    assert_int_equal(out.findings, 0);
    memset(&out, 0, sizeof out);
    assert_int_equal(fsc_scrub(fs, finding, NULL, &out), 0);
    assert_int_equal(out.findings, 0);
}

static struct fsc_file *
file_of(struct fsc *fs, const char *name, const void *data, size_t len)
{
    struct fsc_file *f;

    assert_int_equal(fsc_open(fs, NULL, name, O_RDWR | O_CREAT, 0644, &f), 0);
    assert_int_equal(fsc_pwrite(f, data, len, 0), (ssize_t)len);
    return f;
}

// A shared mapping of the chunk at `offset`.
static char *
map(struct fsc_file *f, uint64_t offset, unsigned how)
{
    struct fsc_chunk c;
    char *p;

    assert_int_equal(fsc_chunk_fd(f, offset, how, &c), 0);
    assert_true(c.fd >= 0);
    assert_int_equal(c.offset, offset);
    assert_int_equal(c.length, c.span);
    p = mmap(NULL, CHUNK, how & FSC_CHUNK_STORE ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, c.fd, 0);
    assert_true(p != MAP_FAILED);
    close(c.fd);
    return p;
}

static void
expect(struct fsc *fs, const char *name, uint64_t offset, const char *text)
{
    char buf[64] = "";
    struct fsc_file *f;

    assert_int_equal(fsc_open(fs, NULL, name, O_RDONLY, 0, &f), 0);
    assert_int_equal(fsc_pread(f, buf, strlen(text), offset), (ssize_t)strlen(text));
    assert_memory_equal(buf, text, strlen(text));
    fsc_close(f);
}

static void
reads_and_writes_meet(void **state)
{
    struct fsc *fs = *state;
    struct fsc_file *f = file_of(fs, "a", "hello", 5);
    char *r = map(f, 0, KEEP), *w = map(f, 0, STORE);

    assert_memory_equal(r, "hello", 6);
    assert_int_equal(fsc_pwrite(f, "J", 1, 0), 1);
    assert_int_equal(r[0], 'J');
    w[1] = 'u';
    expect(fs, "a", 0, "Jullo");
    assert_int_equal(fsc_pwrite(f, " world", 6, 5), 6); // the file grows under the mapping
    assert_memory_equal(r, "Jullo world", 11);
    assert_int_equal(fsc_pwrite(f, "end", 3, CHUNK - 3), 3);
    assert_memory_equal(r + CHUNK - 3, "end", 3);
    munmap(r, CHUNK);
    munmap(w, CHUNK);
    fsc_close(f);
    check(fs);
}

static void
holes_get_chunks_without_changing_times(void **state)
{
    struct fsc *fs = *state;
    struct fsc_file *f = file_of(fs, "a", "x", 1);
    struct fsc_chunk c;
    struct stat a, b;
    char *w;

    assert_int_equal(fsc_ftruncate(f, 3 * CHUNK + 10), 0);
    assert_int_equal(fsc_fstat(f, &a), 0);
    assert_int_equal(fsc_chunk_fd(f, CHUNK + 77, 0, &c), 0);
    assert_int_equal(c.fd, -1);
    assert_int_equal(c.offset, CHUNK);
    assert_int_equal(c.span, CHUNK);
    assert_int_equal(fsc_chunk_fd(f, 4 * CHUNK, KEEP, &c), 0); // behind the end
    assert_int_equal(c.fd, -1);
    assert_int_equal(c.span, 0);
    w = map(f, 3 * CHUNK, STORE);
    assert_int_equal(fsc_fstat(f, &b), 0);
    assert_int_equal(a.st_mtim.tv_nsec, b.st_mtim.tv_nsec);
    assert_int_equal(a.st_ctim.tv_nsec, b.st_ctim.tv_nsec);
    assert_int_equal(b.st_size, 3 * CHUNK + 10);
    memcpy(w, "stored", 6);
    expect(fs, "a", 3 * CHUNK, "stored");
    munmap(w, CHUNK);
    fsc_close(f);
    check(fs);
}

static void
settling_shows_in_times_and_space(void **state)
{
    struct fsc *fs = *state;
    struct fsc_file *f = file_of(fs, "a", "x", 1);
    struct timespec past[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    struct stat a, b;
    char *w;

    assert_int_equal(fsc_ftruncate(f, CHUNK), 0);
    w = map(f, 0, STORE);
    assert_int_equal(fsc_settle(f, 0, CHUNK), 0);
    assert_int_equal(fsc_fstat(f, &a), 0);
    do { // until the kernel's clock has moved on
        w[8192] = 1;
        assert_int_equal(msync(w, CHUNK, MS_SYNC), 0);
        assert_int_equal(fsc_settle(f, 0, CHUNK), 0);
        assert_int_equal(fsc_fstat(f, &b), 0);
    } while (b.st_mtim.tv_sec == a.st_mtim.tv_sec && b.st_mtim.tv_nsec == a.st_mtim.tv_nsec);
    assert_true(b.st_blocks * 512 >= 8192);
    // A time that was set after the last store stays.
    assert_int_equal(fsc_utimens(fs, NULL, "a", past, 0), 0);
    assert_int_equal(fsc_settle(f, 0, CHUNK), 0);
    assert_int_equal(fsc_fstat(f, &b), 0);
    assert_int_equal(b.st_mtim.tv_sec, 1000);
    munmap(w, CHUNK);
    fsc_close(f);
    check(fs);
}

static void
shared_chunks_are_left_to_the_clones(void **state)
{
    struct fsc *fs = *state;
    struct fsc_file *f = file_of(fs, "a", "original content", 16);
    char *r, *w;

    assert_int_equal(fsc_clone_tree(fs, NULL, "a", NULL, "b"), 0);
    // A shared chunk that was cut: what is behind the end must not come back.
    assert_int_equal(fsc_ftruncate(f, 8), 0);
    assert_int_equal(fsc_ftruncate(f, 100), 0);
    w = map(f, 0, STORE);
    assert_memory_equal(w, "original\0\0\0\0\0\0\0\0", 16);
    r = map(f, 0, KEEP);
    w[0] = 'O';
    assert_int_equal(r[0], 'O');
    expect(fs, "b", 0, "original content");
    expect(fs, "a", 0, "Original");
    munmap(r, CHUNK);
    munmap(w, CHUNK);
    fsc_close(f);
    check(fs);
}

static void
snapshots_do_not_see_later_stores(void **state)
{
    struct fsc *fs = *state;
    struct fsc_file *f, *other, *g;
    struct fsc_extent e;
    char *w, *r;

    assert_int_equal(fsc_mkdir(fs, NULL, "d", 0755), 0);
    f = file_of(fs, "d/a", "before", 6);
    other = file_of(fs, "x", "elsewhere", 9);
    w = map(f, 0, STORE);
    r = map(f, 0, KEEP);
    memcpy(w, "at the", 6);
    assert_int_equal(fsc_snapshot(fs, NULL, "d", NULL, "snap"), 0);
    memcpy(w, "behind", 6);
    expect(fs, "snap/a", 0, "at the");
    expect(fs, "d/a", 0, "behind");
    // The mappings go on to show the file, which other writers change.
    assert_int_equal(fsc_open(fs, NULL, "d/a", O_RDWR, 0, &g), 0);
    assert_int_equal(fsc_pwrite(g, "BE", 2, 0), 2);
    assert_memory_equal(r, "BEhind", 6);
    assert_memory_equal(w, "BEhind", 6);
    // Reflinks are by bytes then; and a clone of something else shares as ever.
    assert_int_equal(fsc_clone_range(g, 0, other, 0, 6), -EINVAL);
    assert_int_equal(fsc_clone_tree(fs, NULL, "x", NULL, "y"), 0);
    assert_int_equal(fsc_get_layout(other, 0, 9, &e, 1), 1);
    assert_true(e.shared);
    munmap(w, CHUNK);
    munmap(r, CHUNK);
    fsc_close(f);
    fsc_close(g);
    fsc_close(other);
    check(fs);
}

static void
a_fork_child_holds_what_it_inherits(void **state)
{
    struct fsc *fs = *state;
    struct fsc_file *f = file_of(fs, "a", "before", 6);
    char *w = map(f, 0, STORE);
    int go[2], done[2], status;
    char c;

    assert_int_equal(pipe(go), 0);
    assert_int_equal(pipe(done), 0);
    pid_t pid = fork();
    if (pid == 0) {
        if (read(go[0], &c, 1) != 1)
            _exit(1);
        memcpy(w, "child!", 6);
        if (write(done[1], "x", 1) != 1 || read(go[0], &c, 1) != 1)
            _exit(1);
        _exit(0);
    }
    munmap(w, CHUNK);
    fsc_close(f); // the parent has no pin any more
    assert_int_equal(fsc_snapshot(fs, NULL, "a", NULL, "snap"), 0);
    assert_int_equal(write(go[1], "x", 1), 1);
    assert_int_equal(read(done[0], &c, 1), 1);
    expect(fs, "snap", 0, "before");
    expect(fs, "a", 0, "child!");
    kill(pid, SIGKILL); // what it stored stays, and the next sync sums it
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(fsc_open(fs, NULL, "a", O_RDWR, 0, &f), 0);
    assert_int_equal(fsc_fsync(f), 0);
    fsc_close(f);
    expect(fs, "a", 0, "child!");
    check(fs);
    for (int i = 0; i < 2; i++) {
        close(go[i]);
        close(done[i]);
    }
}

static void
cuts_and_holes_show_in_mappings(void **state)
{
    struct fsc *fs = *state;
    char data[2 * CHUNK];
    struct fsc_file *f;
    unsigned char in[16];
    char *a, *b;

    memset(data, 'x', sizeof data);
    f = file_of(fs, "a", data, sizeof data);
    a = map(f, 0, STORE);
    b = map(f, CHUNK, STORE);
    assert_int_equal(fsc_fallocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 2 * CHUNK - 8192), 0);
    assert_int_equal(a[4095], 'x');
    assert_int_equal(a[4096], 0);
    assert_int_equal(b[CHUNK - 4097], 0);
    assert_int_equal(b[CHUNK - 4096], 'x');
    a[5000] = 'y';
    b[5000] = 'z';
    expect(fs, "a", 5000, "y");
    expect(fs, "a", CHUNK + 5000, "z");
    // Cut to 100 bytes: the page's rest is zeros, and pages behind it are no more (the kernel says so by
    // SIGBUS; mincore and reads through a system call say it without a signal).
    assert_int_equal(fsc_ftruncate(f, 100), 0);
    assert_int_equal(a[99], 'x');
    assert_int_equal(a[100], 0);
    int null = open("/dev/zero", O_WRONLY), p[2];
    assert_int_equal(pipe(p), 0);
    assert_int_equal(write(p[1], a + 8192, 1), -1);
    assert_int_equal(errno, EFAULT);
    assert_int_equal(write(p[1], b, 1), -1);
    // Longer again: zeros, in the same mapping of the first chunk.
    assert_int_equal(fsc_ftruncate(f, 20000), 0);
    assert_int_equal(a[8192], 0);
    a[8192] = 'n';
    expect(fs, "a", 8192, "n");
    assert_int_equal(read(p[0], in, 0), 0);
    close(null);
    close(p[0]);
    close(p[1]);
    munmap(a, CHUNK);
    munmap(b, CHUNK);
    fsc_close(f);
    check(fs);
}

static void
damage_is_found_once_asked(void **state)
{
    struct fsc *fs = *state, *again;
    struct fsc_file *f = file_of(fs, "a", "precious", 8);
    struct fsc_extent e;
    int fd;

    assert_int_equal(fsc_fsync(f), 0);
    assert_int_equal(fsc_get_layout(f, 0, 8, &e, 1), 1);
    fsc_close(f);
    fd = open(e.path, O_WRONLY);
    assert_int_equal(pwrite(fd, "q", 1, 0), 1);
    close(fd);
    assert_int_equal(fsc_open_volume(url, &opt, &again), 0); // a handle that has not seen it yet
    assert_int_equal(fsc_open(again, NULL, "a", O_RDONLY, 0, &f), 0);
    assert_int_equal(fsc_verify(f, 0, 8), -EIO);
    fsc_close(f);
    fsc_close_volume(again);
    fd = open(e.path, O_WRONLY);
    assert_int_equal(pwrite(fd, "p", 1, 0), 1);
    close(fd);
    check(fs);
}

static void
what_cannot_be_is_refused(void **state)
{
    struct fsc *fs = *state;
    struct fsc_file *f = file_of(fs, "a", "x", 1), *g;
    struct fsc_chunk c;

    assert_int_equal(fsc_open(fs, NULL, "a", O_RDONLY, 0, &g), 0);
    assert_int_equal(fsc_chunk_fd(g, 0, STORE, &c), -EBADF);
    assert_int_equal(fsc_chunk_fd(g, 0, KEEP, &c), 0);
    assert_int_equal(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, c.fd, 0) == MAP_FAILED, 1);
    close(c.fd);
    fsc_close(g);
    assert_int_equal(fsc_open(fs, NULL, "a", O_WRONLY, 0, &g), 0);
    assert_int_equal(fsc_chunk_fd(g, 0, 0, &c), -EBADF);
    fsc_close(g);
    assert_int_equal(fsc_open(fs, NULL, "/", O_RDONLY | O_DIRECTORY, 0, &g), 0);
    assert_int_equal(fsc_chunk_fd(g, 0, 0, &c), -ENODEV);
    fsc_close(g);
    fsc_close(f);
    // In a snapshot: as it is, for ever.
    assert_int_equal(fsc_snapshot(fs, NULL, "a", NULL, "s"), 0);
    assert_int_equal(fsc_open(fs, NULL, "s", O_RDONLY, 0, &g), 0);
    assert_int_equal(fsc_chunk_fd(g, 0, KEEP, &c), 0);
    assert_false(c.kept);
    assert_int_equal(c.length, 1);
    close(c.fd);
    fsc_close(g);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)
    const struct CMUnitTest tests[] = {
        TEST(reads_and_writes_meet),
        TEST(holes_get_chunks_without_changing_times),
        TEST(settling_shows_in_times_and_space),
        TEST(shared_chunks_are_left_to_the_clones),
        TEST(snapshots_do_not_see_later_stores),
        TEST(a_fork_child_holds_what_it_inherits),
        TEST(cuts_and_holes_show_in_mappings),
        TEST(damage_is_found_once_asked),
        TEST(what_cannot_be_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
