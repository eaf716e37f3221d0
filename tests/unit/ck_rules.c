// SPDX-License-Identifier: Apache-2.0
// What chunk.h promises of each function, one by one: errors, limits, descriptors, forks, many threads,
// listing, and that nothing is left behind.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "chunk/impl.h"
#include "tests/unit/ck.h"

#define BLOCKS 20u
#define SIZE (BLOCKS * CK_BLOCK)

static struct chunk_store *s;
static unsigned char *bytes;

static int
set_up(void **state)
{
    ck_make(SIZE);
    s = ck_open(0, NULL);
    bytes = malloc(SIZE + 1);
    assert_non_null(bytes);
    ck_fill(bytes, SIZE, 1, 0, 0);
    return 0;
}

static int
tear_down(void **state)
{
    chunk_store_close(s);
    free(bytes);
    ck_remove();
    return 0;
}

static void
test_format(void **state)
{
    struct chunk_format_options opt = {.chunk_size = 1000};
    struct chunk_open_options many = {.max_open = 65537};
    struct chunk_store *o;
    char dir[PATH_MAX], path[PATH_MAX];

    snprintf(dir, sizeof(dir), "%.4000s/new", ck_dir);
    assert_int_equal(chunk_format(dir, &opt), -EINVAL);
    opt.chunk_size = CHUNK_SIZE_MAX + CK_BLOCK;
    assert_int_equal(chunk_format(dir, &opt), -EINVAL);
    opt = (struct chunk_format_options){.mode = 0060};
    assert_int_equal(chunk_format(dir, &opt), -EINVAL);
    assert_int_equal(chunk_format(ck_dir, NULL), -EEXIST);
    snprintf(path, sizeof(path), "%.4000s/a/b", ck_dir);
    assert_int_equal(chunk_format(path, NULL), -ENOENT);
    assert_int_equal(mkdir(dir, 0700), 0);
    assert_int_equal(chunk_store_open(dir, 0, NULL, &o), -EMEDIUMTYPE);
    snprintf(path, sizeof(path), "%.4000s/file", dir);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    assert_int_equal(chunk_format(dir, NULL), -ENOTEMPTY);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(chunk_format(dir, NULL), 0);
    assert_int_equal(chunk_store_open(dir, 7, NULL, &o), -EINVAL);
    assert_int_equal(chunk_store_open(dir, 0, &many, &o), -EINVAL);
    assert_int_equal(chunk_store_open("/nonexistent", 0, NULL, &o), -ENOENT);
    assert_int_equal(chunk_store_open(dir, 0, NULL, &o), 0);
    assert_int_equal(chunk_store_chunk_size(o), CHUNK_SIZE_DEFAULT);
    chunk_store_close(o);
    chunk_store_close(NULL);
}

static void
test_errors(void **state)
{
    struct chunk_info info;
    struct chunk_fd cfd;

    assert_int_equal(chunk_create(s, 0), -EINVAL);
    assert_int_equal(chunk_create(s, 5), 0);
    assert_int_equal(chunk_create(s, 5), -EEXIST);
    for (uint64_t id = 0; id < 7; id += 6) {
        assert_int_equal(chunk_read(s, id, bytes, 1, 0), -ENOENT);
        assert_int_equal(chunk_write(s, id, bytes, 1, 0), -ENOENT);
        assert_int_equal(chunk_truncate(s, id, 1), -ENOENT);
        assert_int_equal(chunk_punch(s, id, 0, 1), -ENOENT);
        assert_int_equal(chunk_punch(s, id, SIZE, 1), -ENOENT);
        assert_int_equal(chunk_allocate(s, id, 0, 1, true), -ENOENT);
        assert_int_equal(chunk_seek(s, id, 0, SEEK_DATA), -ENOENT);
        assert_int_equal(chunk_sync(s, id), -ENOENT);
        assert_int_equal(chunk_clone(s, id, 9), -ENOENT);
        assert_int_equal(chunk_delete(s, id), -ENOENT);
        assert_int_equal(chunk_stat(s, id, &info), -ENOENT);
        assert_int_equal(chunk_set_version(s, id, 1, 2), -ENOENT);
        assert_int_equal(chunk_fd_open(s, id, O_RDONLY, &cfd), -ENOENT);
    }
    assert_int_equal(chunk_write(s, 5, bytes, 2, SIZE - 1), -EFBIG);
    assert_int_equal(chunk_write(s, 5, bytes, 1, UINT64_MAX), -EFBIG);
    assert_int_equal(chunk_write(s, 5, bytes, SIZE_MAX, 1), -EFBIG);
    assert_int_equal(chunk_truncate(s, 5, SIZE + 1), -EFBIG);
    assert_int_equal(chunk_allocate(s, 5, 1, UINT64_MAX, false), -EFBIG);
    assert_int_equal(chunk_allocate(s, 5, 0, 0, false), -EINVAL);
    assert_int_equal(chunk_stat(s, 5, &info), 0);
    assert_int_equal(info.size, 0);
    assert_int_equal(chunk_write(s, 5, bytes, SIZE, 0), SIZE);
    assert_int_equal(chunk_write(s, 5, bytes, 0, 0), 0);
    assert_int_equal(chunk_read(s, 5, bytes, 1, SIZE), 0);
    assert_int_equal(chunk_read(s, 5, bytes, 1, UINT64_MAX), 0);
    assert_int_equal(chunk_read(s, 5, bytes, SIZE, SIZE - 1), 1);
    assert_int_equal(chunk_punch(s, 5, 10, UINT64_MAX), 0);
    assert_int_equal(chunk_clone(s, 5, 0), -EINVAL);
    assert_int_equal(chunk_clone(s, 5, 5), -EINVAL);
    assert_int_equal(chunk_clone(s, 5, 6), 0);
    assert_int_equal(chunk_clone(s, 5, 6), -EEXIST);
    assert_int_equal(chunk_seek(s, 5, SIZE, SEEK_HOLE), -ENXIO);
    assert_int_equal(chunk_seek(s, 5, UINT64_MAX, SEEK_HOLE), -ENXIO);
    assert_int_equal(chunk_seek(s, 5, 0, SEEK_SET), -EINVAL);
    assert_int_equal(chunk_set_version(s, 5, 1, CHUNK_VERSION_MAX + 1), -EINVAL);
    assert_int_equal(chunk_set_version(s, 5, 1, CHUNK_VERSION_MAX), 0);
    assert_int_equal(chunk_set_version(s, 5, 1, 2), -EAGAIN);
    assert_int_equal(chunk_fd_open(s, 5, O_WRONLY, &cfd), -EINVAL);
    assert_int_equal(chunk_fd_open(s, 5, O_RDONLY | O_APPEND, &cfd), -EINVAL);
}

static void
test_rdonly(void **state)
{
    struct chunk_info info;
    struct chunk_fd cfd;

    assert_int_equal(chunk_create(s, 5), 0);
    assert_int_equal(chunk_write(s, 5, bytes, 1000, 0), 1000);
    struct chunk_store *o = ck_open(CHUNK_RDONLY, NULL);
    ck_expect(o, 5, bytes, 1000);
    assert_int_equal(chunk_create(o, 6), -EROFS);
    assert_int_equal(chunk_write(o, 5, bytes, 1, 0), -EROFS);
    assert_int_equal(chunk_truncate(o, 5, 1), -EROFS);
    assert_int_equal(chunk_punch(o, 5, 0, 1), -EROFS);
    assert_int_equal(chunk_allocate(o, 5, 0, 1, true), -EROFS);
    assert_int_equal(chunk_clone(o, 5, 6), -EROFS);
    assert_int_equal(chunk_delete(o, 5), -EROFS);
    assert_int_equal(chunk_set_version(o, 5, 1, 2), -EROFS);
    assert_int_equal(chunk_fd_open(o, 5, O_RDWR, &cfd), -EROFS);
    assert_int_equal(chunk_sync(o, 5), 0);
    assert_int_equal(chunk_stat(o, 5, &info), 0);
    assert_int_equal(info.size, 1000);
    // What is written meanwhile is seen.
    assert_int_equal(chunk_write(s, 5, bytes + 7, 500, 0), 500);
    ssize_t n = chunk_read(o, 5, bytes + 2000, 500, 0);
    assert_int_equal(n, 500);
    assert_memory_equal(bytes + 2000, bytes + 7, 500);
    chunk_store_close(o);
}

static void
test_descriptors(void **state)
{
    struct chunk_fd cfd, other;
    struct chunk_info info;

    assert_int_equal(chunk_create(s, 5), 0);
    assert_int_equal(chunk_write(s, 5, bytes, SIZE, 0), SIZE);
    assert_int_equal(chunk_fd_open(s, 5, O_RDWR, &cfd), 0);
    assert_true(fcntl(cfd.fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(chunk_fd_check(s, &cfd), 0);
    assert_int_equal(chunk_fd_end_write(s, &cfd), 0);
    assert_int_equal(chunk_fd_begin_write(s, &cfd, SIZE, 1), -EFBIG);
    // A clone, and then a write: to one of the two, and this file is no longer its.
    assert_int_equal(chunk_clone(s, 5, 6), 0);
    assert_int_equal(chunk_stat(s, 5, &info), 0);
    assert_int_equal(chunk_write(s, 5, bytes, 1, 0), 1);
    if (info.shared) { // no reflinks here
        assert_int_equal(chunk_fd_check(s, &cfd), -ESTALE);
        assert_int_equal(chunk_fd_begin_write(s, &cfd, 0, 1), -ESTALE);
    }
    chunk_fd_close(&cfd);
    assert_int_equal(cfd.fd, -1);
    assert_int_equal(chunk_fd_open(s, 5, O_RDONLY, &cfd), 0);
    assert_int_equal(chunk_fd_begin_write(s, &cfd, 0, 1), -EBADF);
    chunk_fd_close(&cfd);
    // Through a mapping, after the descriptor was closed: the announcement lasts as long as the mapping.
    assert_int_equal(chunk_fd_open(s, 5, O_RDWR, &cfd), 0);
    assert_int_equal(chunk_fd_begin_write(s, &cfd, CK_BLOCK, CK_BLOCK), 0);
    unsigned char *map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, cfd.fd, 0);
    assert_true(map != MAP_FAILED);
    int copy = dup(cfd.fd);
    cfd.writing = false; // as when this process forgets it
    chunk_fd_close(&cfd);
    close(copy);
    map[CK_BLOCK + 9] ^= 0xff;
    assert_int_equal(chunk_sync(s, 5), 0);
    assert_int_equal(chunk_stat(s, 5, &info), 0);
    assert_int_equal(info.unsummed, 1);
    map[CK_BLOCK + 10] ^= 0xff;
    bytes[CK_BLOCK + 9] ^= 0xff;
    bytes[CK_BLOCK + 10] ^= 0xff;
    ck_expect(s, 5, bytes, SIZE);
    // While it lasts, a clone is a copy; and others may write.
    assert_int_equal(chunk_clone(s, 5, 7), 0);
    map[CK_BLOCK + 11] ^= 0xff;
    ck_expect(s, 7, bytes, SIZE);
    bytes[CK_BLOCK + 11] ^= 0xff;
    assert_int_equal(chunk_write(s, 5, bytes + CK_BLOCK, 5, CK_BLOCK), 5);
    munmap(map, SIZE);
    assert_int_equal(chunk_sync(s, 5), 0);
    assert_int_equal(chunk_stat(s, 5, &info), 0);
    assert_int_equal(info.unsummed, 0);
    ck_expect(s, 5, bytes, SIZE);
    assert_int_equal(ck_scrub(s), 0);
    // Of a deleted one.
    assert_int_equal(chunk_fd_open(s, 5, O_RDONLY, &other), 0);
    assert_int_equal(chunk_delete(s, 5), 0);
    assert_int_equal(chunk_fd_check(s, &other), -ENOENT);
    unsigned char c;
    assert_int_equal(pread(other.fd, &c, 1, 0), 1);
    chunk_fd_close(&other);
}

struct found {
    unsigned n;
    bool odd;
};

static int
find(void *arg, uint64_t id)
{
    struct found *found = arg;

    found->odd |= id % 3 != 0;
    found->n++;
    return found->n == 2000 ? 17 : 0;
}

static void
test_list(void **state)
{
    struct found found = {0};
    char path[PATH_MAX];
    int r;

    for (uint64_t id = 3; id < 3 * 700; id += 3)
        assert_int_equal(chunk_create(s, id), 0);
    // What is not a chunk's name, or in the wrong place.
    snprintf(path, sizeof(path), "%.4000s/000/0000000000000fff", ck_dir);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    snprintf(path, sizeof(path), "%.4000s/000/0000000000000001.old", ck_dir);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    assert_int_equal(chunk_list(s, find, &found), 0);
    assert_int_equal(found.n, 699);
    assert_false(found.odd);
    found.n = 1990;
    assert_int_equal(chunk_list(s, find, &found), 17);
    for (uint64_t id = 3; id < 3 * 700; id += 3)
        assert_int_equal(chunk_delete(s, id), 0);
    assert_int_equal(ck_scrub(s), 0);
    snprintf(path, sizeof(path), "test -z \"$(find '%.3900s' -name '*.sum' -o -name '*.tmp')\"", ck_dir);
    r = system(path);
    assert_int_equal(r, 0);
}

// More chunks than are kept open, and more writers than there are cells, on few chunks.
#define WRITERS 40u
#define EACH 60u

static void *
write_some(void *arg)
{
    unsigned no = (unsigned)(uintptr_t)arg;

    for (unsigned i = 0; i < EACH; i++) {
        unsigned char c[8];

        memset(c, (int)(no + i), sizeof(c));
        if (chunk_write(s, 1 + i % 5, c, sizeof(c), (uint64_t)no * 8 + i / 5 * 4096) != sizeof(c))
            return (void *)1;
        if (i % 20 == 0 && chunk_truncate(s, 6, i) != 0)
            return (void *)1;
    }
    return NULL;
}

static void
test_threads(void **state)
{
    struct chunk_open_options opt = {.max_open = 2};
    pthread_t t[WRITERS];
    unsigned char c[8];
    void *r;

    chunk_store_close(s);
    s = ck_open(0, &opt);
    for (uint64_t id = 1; id <= 6; id++)
        assert_int_equal(chunk_create(s, id), 0);
    for (unsigned i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_create(&t[i], NULL, write_some, (void *)(uintptr_t)i), 0);
    for (unsigned i = 0; i < WRITERS; i++) {
        assert_int_equal(pthread_join(t[i], &r), 0);
        assert_null(r);
    }
    for (unsigned no = 0; no < WRITERS; no++) {
        for (unsigned i = 0; i < EACH; i++) {
            assert_int_equal(chunk_read(s, 1 + i % 5, c, 8, (uint64_t)no * 8 + i / 5 * 4096), 8);
            for (unsigned k = 0; k < 8; k++)
                assert_int_equal(c[k], (unsigned char)(no + i));
        }
    }
    assert_int_equal(ck_scrub(s), 0);
}

// A child goes on with its parent's handle, while the parent does; and with descriptors closed under it.
static void
test_fork(void **state)
{
    int status;
    pid_t pid;

    assert_int_equal(chunk_create(s, 1), 0);
    assert_int_equal(chunk_write(s, 1, bytes, SIZE, 0), SIZE);
    if ((pid = fork()) == 0) {
        closefrom(3); // a daemon's habit
        if (chunk_write(s, 1, bytes + 100, 100, 100) != 100 || chunk_create(s, 2) != 0 ||
            chunk_sync(s, 1) != 0 || chunk_truncate(s, 2, 77) != 0 || fork() < 0)
            _exit(1);
        _exit(chunk_write(s, 2, bytes, 100, 0) != 100);
    }
    assert_int_equal(chunk_write(s, 1, bytes + 500, 100, 500), 100);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    ck_expect(s, 1, bytes, SIZE);
    // The file now under a number that was ours is left alone.
    if ((pid = fork()) == 0) {
        int fd = open("/dev/null", O_RDONLY);

        for (int i = 3; i < 64; i++)
            if (i != fd)
                dup2(fd, i);
        if (chunk_read(s, 1, bytes, 1, 0) != 1)
            _exit(1);
        chunk_store_close(s);
        for (int i = 3; i < 64; i++)
            if (fcntl(i, F_GETFD) < 0)
                _exit(2);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

int
main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(test_format), CASE(test_errors),  CASE(test_rdonly), CASE(test_descriptors),
        CASE(test_list),   CASE(test_threads), CASE(test_fork),
    };

    unit_seed(20251126);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
