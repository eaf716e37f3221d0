// SPDX-License-Identifier: Apache-2.0
// Faults below the chunk engine: a full disk, I/O errors, short writes, descriptors and memory that run out.
// Each is injected at the first, second, third ... occasion, once or from then on, until a round of work gets
// through without meeting it. The error is the one injected; every byte is the old one or the new; what was
// acknowledged is there; and nothing counts as damaged.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "chunk/impl.h"
#include "tests/unit/ck.h"

#define BLOCKS 20u
#define SIZE (BLOCKS * CK_BLOCK)
#ifdef __SANITIZE_THREAD__ // everything takes ten times as long
#define STRIDE 5
#else
#define STRIDE 1
#endif

enum fault {
    NO_FAULT,
    F_READ,
    F_WRITE,
    F_SHORT,
    F_OPEN,
    F_SYNC,
    F_DIRSYNC,
    F_TRUNCATE,
    F_ALLOCATE,
    F_LINK,
    F_RENAME,
    F_UNLINK,
    F_MEMORY
};
static enum fault fault;
static int fault_errno;
static unsigned fault_after, fault_hits, pwrites;
static bool fault_once;

static bool
hit(enum fault f)
{
    if (f != fault || (fault_once && fault_hits))
        return false;
    if (fault_after) {
        fault_after--;
        return false;
    }
    fault_hits++;
    errno = fault_errno;
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
my_pread(void *arg, int fd, void *buf, size_t len, off_t off)
{
    return hit(F_READ) ? -1 : pread(fd, buf, len, off);
}

static ssize_t
my_pwrite(void *arg, int fd, const void *buf, size_t len, off_t off)
{
    pwrites++;
    if (hit(F_WRITE))
        return -1;
    // The disk takes a part of it, and then nothing.
    if (len > 1 && hit(F_SHORT)) {
        arm(F_WRITE, ENOSPC, 0, false);
        fault_hits = 1;
        return pwrite(fd, buf, len / 2, off);
    }
    return pwrite(fd, buf, len, off);
}

static int
my_openat(void *arg, int dirfd, const char *name, int flags, mode_t mode)
{
    return hit(F_OPEN) ? -1 : openat(dirfd, name, flags, mode);
}

static int
my_fdatasync(void *arg, int fd)
{
    return hit(F_SYNC) ? -1 : 0;
}

static int
my_fsync(void *arg, int fd)
{
    return hit(F_DIRSYNC) ? -1 : 0;
}

static int
my_ftruncate(void *arg, int fd, off_t len)
{
    return hit(F_TRUNCATE) ? -1 : ftruncate(fd, len);
}

static int
my_fallocate(void *arg, int fd, int mode, off_t off, off_t len)
{
    return hit(F_ALLOCATE) ? -1 : fallocate(fd, mode, off, len);
}

static int
my_linkat(void *arg, int dirfd, const char *from, const char *to)
{
    return hit(F_LINK) ? -1 : linkat(dirfd, from, dirfd, to, 0);
}

static int
my_renameat(void *arg, int dirfd, const char *from, const char *to)
{
    return hit(F_RENAME) ? -1 : renameat(dirfd, from, dirfd, to);
}

static int
my_unlinkat(void *arg, int dirfd, const char *name)
{
    return hit(F_UNLINK) ? -1 : unlinkat(dirfd, name, 0);
}

static int
my_clone(void *arg, int dst, int src)
{
    errno = EOPNOTSUPP;
    return -1;
}

static const struct chunk_io faulty = {
    .pread = my_pread,
    .pwrite = my_pwrite,
    .openat = my_openat,
    .fdatasync = my_fdatasync,
    .fsync = my_fsync,
    .ftruncate = my_ftruncate,
    .fallocate = my_fallocate,
    .linkat = my_linkat,
    .renameat = my_renameat,
    .unlinkat = my_unlinkat,
    .clone = my_clone,
};

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t m);
void *__real_aligned_alloc(size_t a, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t m);
void *__wrap_aligned_alloc(size_t a, size_t n);

void *
__wrap_malloc(size_t n)
{
    return hit(F_MEMORY) ? NULL : __real_malloc(n);
}

void *
__wrap_calloc(size_t n, size_t m)
{
    return hit(F_MEMORY) ? NULL : __real_calloc(n, m);
}

void *
__wrap_aligned_alloc(size_t a, size_t n)
{
    return hit(F_MEMORY) ? NULL : __real_aligned_alloc(a, n);
}

static const struct chunk_open_options options = {.io = &faulty, .max_open = 3};
static struct chunk_store *s;

// What a chunk may hold: after a change that failed, each byte is of one or of the other.
struct model {
    uint64_t id;          // 0: none
    uint64_t least, most; // size
    bool unsure;          // whether there is one at all
    unsigned char old[SIZE], new[SIZE];
};
static struct model model[4]; // 0 is written once and never again
static uint64_t next_id;
static unsigned generation;

static int
set_up(void **state)
{
    arm(NO_FAULT, 0, 0, false);
    ck_make(SIZE);
    s = ck_open(0, &options);
    memset(model, 0, sizeof(model));
    next_id = 10;
    model[0].id = 1;
    model[0].least = model[0].most = SIZE - 500;
    ck_fill(model[0].old, SIZE - 500, 1, 0, 0);
    memcpy(model[0].new, model[0].old, SIZE);
    assert_int_equal(chunk_create(s, 1), 0);
    assert_int_equal(chunk_write(s, 1, model[0].old, SIZE - 500, 0), SIZE - 500);
    assert_int_equal(chunk_sync(s, 1), 0);
    return 0;
}

static int
tear_down(void **state)
{
    arm(NO_FAULT, 0, 0, false);
    chunk_store_close(s);
    ck_remove();
    return 0;
}

// `r` is what the change gave; `did` bytes of it are sure.
static void
changed(struct model *m, const unsigned char *new, uint64_t size, int r)
{
    memcpy(m->new, new, SIZE);
    if (r == 0) {
        memcpy(m->old, new, SIZE);
        m->least = m->most = size;
    } else {
        m->least = m->least < size ? m->least : size;
        m->most = m->most > size ? m->most : size;
    }
}

static int
do_create(struct model *m)
{
    int r = chunk_create(s, next_id);

    memset(m, 0, sizeof(*m));
    m->id = next_id++;
    m->unsure = r < 0;
    return r;
}

static int
do_write(struct model *m, uint64_t off, uint64_t len)
{
    static unsigned char bytes[SIZE];
    uint64_t size = m->most > off + len ? m->most : off + len;

    memcpy(bytes, m->new, SIZE);
    ck_fill(bytes + off, len, m->id, off, ++generation);
    ssize_t n = chunk_write(s, m->id, bytes + off, len, off);
    if (n > 0) {
        memcpy(m->old + off, bytes + off, (size_t)n);
        if (m->least < off + (uint64_t)n)
            m->least = off + (uint64_t)n;
    }
    changed(m, bytes, size, n == (ssize_t)len ? 0 : -1);
    // As with write(2), the error comes with the next call.
    return n < 0 ? (int)n : n < (ssize_t)len ? -fault_errno : 0;
}

static int
do_truncate(struct model *m, uint64_t size)
{
    static unsigned char bytes[SIZE];
    int r;

    memcpy(bytes, m->new, SIZE);
    memset(bytes + size, 0, SIZE - size);
    r = chunk_truncate(s, m->id, size);
    changed(m, bytes, size, r);
    return r;
}

static int
do_punch(struct model *m, uint64_t off, uint64_t len)
{
    static unsigned char bytes[SIZE];
    int r;

    memcpy(bytes, m->new, SIZE);
    memset(bytes + off, 0, len);
    r = chunk_punch(s, m->id, off, len);
    changed(m, bytes, m->most, r);
    return r;
}

static int
do_clone(struct model *from, struct model *to)
{
    int r = chunk_clone(s, from->id, next_id);

    *to = *from;
    to->id = next_id++;
    to->unsure = r < 0;
    return r;
}

static int
do_delete(struct model *m)
{
    int r = chunk_delete(s, m->id);

    if (r == 0)
        m->id = 0;
    else
        m->unsure = true;
    return r;
}

// One round of work: the first error ends it.
static int
work(void)
{
    struct model *a = &model[1], *b = &model[2], *c = &model[3];
    struct chunk_fd cfd;
    int r;

    if ((r = do_create(a)) < 0 || (r = do_write(a, 0, 3 * CK_BLOCK + 17)) < 0 ||
        (r = chunk_sync(s, a->id)) < 0 || (r = do_write(a, 10, 100)) < 0 ||
        (r = do_write(a, 17 * CK_BLOCK, 5000)) < 0 || (r = do_clone(a, b)) < 0 ||
        (r = do_write(b, 70000, 70000)) < 0 || (r = do_truncate(a, 2 * CK_BLOCK + 9)) < 0 ||
        (r = chunk_sync(s, a->id)) < 0 || (r = chunk_sync(s, b->id)) < 0 ||
        (r = do_punch(b, 100, 2 * CK_BLOCK)) < 0)
        return r;
    if ((r = chunk_allocate(s, b->id, 0, 18 * CK_BLOCK, true)) < 0)
        return r;
    if ((r = do_clone(a, c)) < 0 || (r = chunk_fd_open(s, c->id, O_RDWR, &cfd)) < 0)
        return r;
    r = chunk_fd_begin_write(s, &cfd, 0, CK_BLOCK);
    chunk_fd_close(&cfd);
    if (r < 0 || (r = chunk_sync(s, c->id)) < 0 || (r = chunk_scrub(s, c->id, NULL)) < 0)
        return r;
    return do_delete(a);
}

static void
check_one(struct model *m)
{
    static unsigned char bytes[SIZE + 1];
    ssize_t n = chunk_read(s, m->id, bytes, SIZE + 1, 0);

    if (n == -ENOENT && m->unsure) {
        m->id = 0;
        return;
    }
    if (n < 0)
        fail_msg("chunk %d can't be read: %s", (int)m->id, strerror((int)-n));
    if (n < (ssize_t)m->least || n > (ssize_t)m->most)
        fail_msg("chunk %d has %zd bytes", (int)m->id, n);
    for (ssize_t i = 0; i < n; i++)
        if (bytes[i] != m->old[i] && bytes[i] != m->new[i])
            fail_msg("byte %zd of chunk %d is neither old nor new", i, (int)m->id);
    memset(bytes + n, 0, (size_t)(SIZE - n));
    memcpy(m->old, bytes, SIZE);
    memcpy(m->new, bytes, SIZE);
    m->least = m->most = (uint64_t)n;
    m->unsure = false;
}

static void
check_all(bool damage_told)
{
    for (unsigned i = 0; i < 4; i++)
        if (model[i].id)
            check_one(&model[i]);
    if (!damage_told) // of an EIO in the scrub it is right to tell
        assert_int_equal(ck_heard.count[CHUNK_EV_DAMAGE], 0);
    assert_int_equal(ck_heard.count[CHUNK_EV_SUM_LOST], 0);
    assert_int_equal(ck_heard.count[CHUNK_EV_UNSURE], 0);
    assert_int_equal(ck_heard.count[CHUNK_EV_BLOCKED], 0);
}

static void
remove_all(void)
{
    for (unsigned i = 1; i < 4; i++) {
        if (model[i].id)
            assert_int_equal(chunk_delete(s, model[i].id), 0);
        model[i].id = 0;
    }
}

static void
each_occasion(enum fault f, int err, bool once, bool tolerated)
{
    unsigned hits = 0;

    for (unsigned k = 0; k < 3000; k += STRIDE) {
        if (k % 2) { // so that nothing is cached
            chunk_store_close(s);
            s = ck_open(0, &options);
        }
        ck_deaf();
        arm(f, err, k, once);
        int r = work();
        unsigned met = fault_hits;
        fault = NO_FAULT;
        if (!met) {
            assert_int_equal(r, 0);
            break;
        }
        hits++;
        if (r < 0 && r != -err)
            fail_msg("occasion %u: error %s", k, strerror(-r));
        if (r == 0 && !tolerated && !once)
            fail_msg("occasion %u: no error", k);
        check_all(f == F_READ);
        // Where it was, one can go on at once.
        for (unsigned i = 0; i < 4; i++)
            if (model[i].id)
                assert_int_equal(chunk_sync(s, model[i].id), 0);
        if (k % 8 == 0) {
            assert_int_equal(ck_scrub(s), 0);
            chunk_store_close(s);
            s = ck_open(0, &options);
        }
        check_all(f == F_READ);
        remove_all();
    }
    assert_true(hits > 0); // a fault that never comes tests nothing
    remove_all();
    chunk_store_close(s);
    s = ck_open(0, &options);
    ck_deaf();
    assert_int_equal(ck_scrub(s), 0);
    check_all(false);
}

static void
test_full(void **state)
{
    each_occasion(F_WRITE, ENOSPC, false, false);
    each_occasion(F_SHORT, ENOSPC, false, false);
    each_occasion(F_ALLOCATE, ENOSPC, false, true); // giving space back is a wish
    each_occasion(F_LINK, ENOSPC, false, false);
    each_occasion(F_RENAME, ENOSPC, false, false);
    each_occasion(F_OPEN, ENOSPC, true, true);
}

static void
test_errors(void **state)
{
    each_occasion(F_WRITE, EIO, true, true);
    each_occasion(F_READ, EIO, true, true);
    each_occasion(F_TRUNCATE, EIO, true, true);
    each_occasion(F_RENAME, EIO, true, true);
    each_occasion(F_UNLINK, EIO, true, true);
}

static void
test_sync_errors(void **state)
{
    each_occasion(F_SYNC, EIO, false, false);
    each_occasion(F_DIRSYNC, EIO, false, false);
    each_occasion(F_SYNC, EIO, true, true);
}

static void
test_descriptors(void **state)
{
    each_occasion(F_OPEN, EMFILE, true, true);
    each_occasion(F_OPEN, ENFILE, false, true);
}

static void
test_memory(void **state)
{
    each_occasion(F_MEMORY, ENOMEM, true, true);
    each_occasion(F_MEMORY, ENOMEM, false, true);
}

// Opening a store with few descriptors or little memory: an error, or a store.
static void
test_open(void **state)
{
    struct rlimit old, few;
    struct chunk_store *o;
    unsigned hits = 0;

    for (unsigned k = 0; k < 200; k++) {
        arm(F_MEMORY, ENOMEM, k, true);
        int r = chunk_store_open(ck_dir, 0, NULL, &o);
        fault = NO_FAULT;
        assert_true(r == 0 || (r == -ENOMEM && !o));
        chunk_store_close(o);
        if (!fault_hits)
            break;
        hits++;
    }
    assert_true(hits > 2);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    hits = 0;
    for (rlim_t n = 3; n < 60; n++) {
        few = (struct rlimit){n, old.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
        int r = chunk_store_open(ck_dir, 0, NULL, &o);
        char c;
        ssize_t got = r == 0 ? chunk_read(o, 1, &c, 1, 0) : 0;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
        assert_true(r == 0 || (r == -EMFILE && !o));
        assert_true(got >= 0 || got == -EMFILE);
        chunk_store_close(o);
        hits += r == 0 && got == 1;
    }
    assert_true(hits > 0);
}

// The kernel tells of a write-back that failed once. Whoever syncs next must not be told that all is well
// unless the data was written again.
static void
test_sync_again(void **state)
{
    struct model *a = &model[1];
    struct chunk_store *other = ck_open(0, &options);

    assert_int_equal(do_create(a), 0);
    assert_int_equal(do_write(a, 0, 5 * CK_BLOCK + 100), 0);
    assert_int_equal(chunk_sync(s, a->id), 0);
    assert_int_equal(do_write(a, CK_BLOCK, CK_BLOCK), 0);
    arm(F_SYNC, EIO, 0, true);
    assert_int_equal(chunk_sync(s, a->id), -EIO);
    fault = NO_FAULT;
    pwrites = 0;
    assert_int_equal(chunk_sync(other, a->id), 0);
    assert_true(pwrites >= 6);
    pwrites = 0;
    assert_int_equal(chunk_sync(s, a->id), 0);
    assert_int_equal(pwrites, 0);
    check_all(false);
    // What the disk has is no longer what was written: then there is no way.
    assert_int_equal(do_write(a, CK_BLOCK, CK_BLOCK), 0);
    arm(F_SYNC, EIO, 0, true);
    assert_int_equal(chunk_sync(s, a->id), -EIO);
    fault = NO_FAULT;
    char path[PATH_MAX];
    ck_path(path, a->id, false);
    ck_flip(path, CK_BLOCK + 5, 5);
    chunk_store_close(s);
    s = ck_open(0, &options);
    assert_int_equal(chunk_sync(s, a->id), -EIO);
    assert_int_equal(chunk_sync(other, a->id), -EIO);
    chunk_store_close(other);
}

static _Atomic unsigned in_sync;

static int
slow_fdatasync(void *arg, int fd)
{
    atomic_fetch_add(&in_sync, 1);
    struct flush *f = arg;

    while (atomic_load(&f->arrivals) < 3) // the others wait by now
        sched_yield();
    if (atomic_load(&in_sync) > 1)
        return 0; // the kernel has told already
    errno = EIO;
    return -1;
}

static struct flush shared_flush = {.mutex = PTHREAD_MUTEX_INITIALIZER};
static atomic_bool told_failed;

static void
flush_failed(struct chunk_store *st, void *arg)
{
    atomic_store(&told_failed, true);
}

static void *
flusher(void *arg)
{
    int r = io_flush(arg, &shared_flush, -1, NULL, flush_failed, NULL);

    return (void *)(intptr_t)(r == -EIO || atomic_load(&told_failed));
}

// Of three who flush at once, one is told by the kernel; the others hear of it too.
static void
test_flush_shared(void **state)
{
    struct chunk_store fake = {.io = {.fdatasync = slow_fdatasync, .arg = &shared_flush}};
    pthread_t t[3];

    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&t[i], NULL, flusher, &fake), 0);
    for (int i = 0; i < 3; i++) {
        void *r;

        pthread_join(t[i], &r);
        assert_non_null(r);
    }
}

int
main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(test_full),   CASE(test_errors), CASE(test_sync_errors), CASE(test_descriptors),
        CASE(test_memory), CASE(test_open),   CASE(test_sync_again),  cmocka_unit_test(test_flush_shared),
    };

    unit_seed(20251126);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
