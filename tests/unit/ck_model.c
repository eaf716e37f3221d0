// SPDX-License-Identifier: Apache-2.0
// Random operations on a store by several processes with several threads each, against plain buffers in
// memory that they share. Each worker owns every so many stripes of each chunk: it alone writes those, while
// others write beside it in the same blocks, and knows what they hold. What changes a chunk as a whole is
// done with its lock held for writing. At the end everything is compared, scrubbed and compared again.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/ck.h"

#define BLOCKS 20u // more than a slot holds by itself
#define SIZE (BLOCKS * CK_BLOCK)
#define SLOTS 10u
#define STRIPE 3000u
#define PROCESSES 3u
#define THREADS 3u
#define WORKERS (PROCESSES * THREADS)

struct slot {
    pthread_rwlock_t lock;
    uint64_t id; // 0: there is none
    uint64_t version;
    _Atomic uint64_t size;
    unsigned char bytes[SIZE]; // zeros behind the size
};

static struct shared {
    struct slot slot[SLOTS];
    _Atomic uint64_t next_id;
    char why[512];
    atomic_bool failed;
} * sh;

struct worker {
    struct chunk_store *s;
    unsigned no, ops;
    uint64_t random;
    pthread_t thread;
};

// Assertions of cmocka's jump; in a thread or another process that must not be.
#define WRONG(w, ...)                                                                                        \
    do {                                                                                                     \
        if (!atomic_exchange(&sh->failed, true))                                                             \
            snprintf(sh->why, sizeof(sh->why), __VA_ARGS__);                                                 \
        return;                                                                                              \
    } while (0)

static uint32_t
below(struct worker *w, uint32_t n)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return (uint32_t)(w->random >> 32) % n;
}

static uint64_t
new_id(struct worker *w)
{
    // Neighbours share a sum file, and some are alone.
    return atomic_fetch_add(&sh->next_id, 1 + (below(w, 8) == 0 ? 64 : 0)) + 1;
}

static void
grow(struct slot *m, uint64_t end)
{
    uint64_t size = atomic_load(&m->size);

    while (size < end && !atomic_compare_exchange_weak(&m->size, &size, end))
        ;
}

// Call each for the part of [off, off + len) in each stripe of the worker's.
static void
stripes(struct worker *w, struct slot *m, uint64_t off, uint64_t len,
        void (*each)(struct worker *w, struct slot *m, uint64_t off, uint64_t len, void *arg), void *arg)
{
    for (uint64_t at = off; at < off + len && !atomic_load(&sh->failed);) {
        uint64_t end = (at / STRIPE + 1) * STRIPE;

        if (end > off + len)
            end = off + len;
        if (at / STRIPE % WORKERS == w->no)
            each(w, m, at, end - at, arg);
        at = end;
    }
}

static void
range(struct worker *w, uint64_t *off, uint64_t *len)
{
    *off = below(w, 4) == 0 ? below(w, BLOCKS) * CK_BLOCK : below(w, SIZE);
    *len = below(w, 3) == 0 ? 1 + below(w, 4 * CK_BLOCK) : 1 + below(w, 6 * STRIPE);
    if (*len > SIZE - *off)
        *len = SIZE - *off;
}

static void
write_stripe(struct worker *w, struct slot *m, uint64_t off, uint64_t len, void *arg)
{
    unsigned char bytes[STRIPE];

    for (uint64_t i = 0; i < len; i++)
        bytes[i] = (unsigned char)below(w, 256);
    ssize_t n = chunk_write(w->s, m->id, bytes, len, off);
    if (n != (ssize_t)len)
        WRONG(w, "write of %" PRIu64 " at %" PRIu64 " of %" PRIu64 ": %zd", len, off, m->id, n);
    memcpy(m->bytes + off, bytes, len);
    grow(m, off + len);
}

static void
do_write(struct worker *w, struct slot *m)
{
    uint64_t off, len;

    range(w, &off, &len);
    stripes(w, m, off, len, write_stripe, NULL);
}

// All of some blocks, by one who has the chunk alone.
static void
do_write_blocks(struct worker *w, struct slot *m)
{
    uint64_t off, len;

    range(w, &off, &len);
    ck_fill(m->bytes + off, len, m->id, off, below(w, 1000));
    ssize_t n = (below(w, 2) ? chunk_write : chunk_write_stable)(w->s, m->id, m->bytes + off, len, off);
    if (n != (ssize_t)len)
        WRONG(w, "write of %" PRIu64 " at %" PRIu64 " of %" PRIu64 ": %zd", len, off, m->id, n);
    grow(m, off + len);
}

struct seen {
    const unsigned char *bytes;
    uint64_t off, n;
};

static void
compare_stripe(struct worker *w, struct slot *m, uint64_t off, uint64_t len, void *arg)
{
    const struct seen *seen = arg;

    for (uint64_t i = off; i < off + len && i < seen->off + seen->n; i++)
        if (seen->bytes[i - seen->off] != m->bytes[i])
            WRONG(w, "worker %u read byte %" PRIu64 " of %" PRIu64 ": %02x, not %02x", w->no, i, m->id,
                  seen->bytes[i - seen->off], m->bytes[i]);
}

static void
do_read(struct worker *w, struct slot *m)
{
    uint64_t off, len, size = atomic_load(&m->size);

    range(w, &off, &len);
    unsigned char *bytes = malloc(len);
    if (!bytes)
        return;
    ssize_t n = chunk_read(w->s, m->id, bytes, len, off);
    uint64_t least = off >= size ? 0 : size - off < len ? size - off : len;
    struct seen seen = {bytes, off, n < 0 ? 0 : (uint64_t)n};
    if (n < 0 || (uint64_t)n < least)
        snprintf(sh->why, sizeof(sh->why), "read of %" PRIu64 " at %" PRIu64 " of %" PRIu64 ": %zd", len, off,
                 m->id, n);
    if (n < 0 || (uint64_t)n < least)
        atomic_store(&sh->failed, true);
    else
        stripes(w, m, off, len, compare_stripe, &seen);
    free(bytes);
}

static void
poke_stripe(struct worker *w, struct slot *m, uint64_t off, uint64_t len, void *arg)
{
    struct chunk_fd *cfd = arg;
    unsigned char bytes[STRIPE];

    for (uint64_t i = 0; i < len; i++)
        bytes[i] = (unsigned char)below(w, 256);
    if (pwrite(cfd->fd, bytes, len, (off_t)off) != (ssize_t)len)
        WRONG(w, "pwrite through a descriptor: %s", strerror(errno));
    memcpy(m->bytes + off, bytes, len);
    grow(m, off + len);
}

static void
do_write_fd(struct worker *w, struct slot *m)
{
    uint64_t off, len;
    struct chunk_fd cfd;
    int r;

    range(w, &off, &len);
    if ((r = chunk_fd_open(w->s, m->id, O_RDWR, &cfd)) < 0)
        WRONG(w, "chunk_fd_open %" PRIu64 ": %d", m->id, r);
    if ((r = chunk_fd_begin_write(w->s, &cfd, off, len)) == 0)
        stripes(w, m, off, len, poke_stripe, &cfd);
    if (below(w, 2))
        (void)chunk_fd_end_write(w->s, &cfd);
    chunk_fd_close(&cfd);
    // Nobody clones while this worker has the lock.
    if (r < 0)
        WRONG(w, "chunk_fd_begin_write %" PRIu64 ": %d", m->id, r);
}

static void
do_sync(struct worker *w, struct slot *m)
{
    int r = chunk_sync(w->s, m->id);

    if (r < 0)
        WRONG(w, "sync %" PRIu64 ": %d", m->id, r);
}

static void
do_truncate(struct worker *w, struct slot *m)
{
    uint64_t old = atomic_load(&m->size),
             size = below(w, 3) == 0 ? below(w, BLOCKS + 1) * CK_BLOCK : below(w, SIZE);
    int r = chunk_truncate(w->s, m->id, size);

    if (r < 0)
        WRONG(w, "truncate %" PRIu64 ": %d", m->id, r);
    if (size < old)
        memset(m->bytes + size, 0, old - size);
    atomic_store(&m->size, size);
}

static void
do_punch(struct worker *w, struct slot *m)
{
    uint64_t off, len;

    range(w, &off, &len);
    int r = chunk_punch(w->s, m->id, off, len);
    if (r < 0)
        WRONG(w, "punch %" PRIu64 ": %d", m->id, r);
    memset(m->bytes + off, 0, len);
}

static void
do_allocate(struct worker *w, struct slot *m)
{
    bool keep = below(w, 2);
    uint64_t off, len;

    range(w, &off, &len);
    int r = chunk_allocate(w->s, m->id, off, len, keep);
    if (r < 0)
        WRONG(w, "allocate %" PRIu64 ": %d", m->id, r);
    if (!keep)
        grow(m, off + len);
}

static void
do_seek(struct worker *w, struct slot *m)
{
    uint64_t off = below(w, SIZE), size = atomic_load(&m->size);
    int64_t data = chunk_seek(w->s, m->id, off, SEEK_DATA);
    uint64_t end = data < 0 ? size : (uint64_t)data;

    if (data < 0 && data != -ENXIO)
        WRONG(w, "seek %" PRIu64 ": %" PRId64, m->id, data);
    for (uint64_t i = off; i < end && i < size; i++)
        if (m->bytes[i])
            WRONG(w, "seek calls byte %" PRIu64 " of %" PRIu64 " a hole", i, m->id);
    int64_t hole = chunk_seek(w->s, m->id, off, SEEK_HOLE);
    if (off >= size ? hole != -ENXIO : hole < (int64_t)off || hole > (int64_t)size)
        WRONG(w, "seek for a hole from %" PRIu64 " of %" PRIu64 ": %" PRId64, off, m->id, hole);
}

static void
do_stat(struct worker *w, struct slot *m)
{
    struct chunk_info info;
    int r = chunk_stat(w->s, m->id, &info);

    if (r < 0 || info.size != atomic_load(&m->size) || info.version != m->version || info.id != m->id)
        WRONG(w, "stat %" PRIu64 ": %d, size %" PRIu64 " version %" PRIu64, m->id, r, info.size,
              info.version);
    if (m->version < 1000000 && below(w, 4) == 0) {
        if ((r = chunk_set_version(w->s, m->id, m->version + 1, m->version + 2)) != -EAGAIN)
            WRONG(w, "set_version from a wrong one: %d", r);
        if ((r = chunk_set_version(w->s, m->id, m->version, m->version + 7)) < 0)
            WRONG(w, "set_version: %d", r);
        m->version += 7;
    }
}

static void
do_scrub(struct worker *w, struct slot *m)
{
    int r = chunk_scrub(w->s, m->id, NULL);

    if (r < 0)
        WRONG(w, "scrub %" PRIu64 ": %d", m->id, r);
}

static void
do_delete(struct worker *w, struct slot *m)
{
    struct chunk_fd cfd;
    int had = chunk_fd_open(w->s, m->id, O_RDONLY, &cfd), r = chunk_delete(w->s, m->id);
    char c;

    if (r < 0)
        WRONG(w, "delete %" PRIu64 ": %d", m->id, r);
    if (had == 0) {
        r = chunk_fd_check(w->s, &cfd);
        chunk_fd_close(&cfd);
        if (r != -ENOENT)
            WRONG(w, "chunk_fd_check of a deleted chunk: %d", r);
    }
    if ((r = (int)chunk_read(w->s, m->id, &c, 1, 0)) != -ENOENT)
        WRONG(w, "read of a deleted chunk: %d", r);
    m->id = 0;
}

static void
do_create(struct worker *w, struct slot *m)
{
    uint64_t id = new_id(w);
    int r = chunk_create(w->s, id);

    if (r < 0)
        WRONG(w, "create %" PRIu64 ": %d", id, r);
    if ((r = chunk_create(w->s, id)) != -EEXIST)
        WRONG(w, "create of one that is there: %d", r);
    memset(m->bytes, 0, SIZE);
    atomic_store(&m->size, 0);
    m->version = 1;
    m->id = id;
}

static void
do_clone(struct worker *w, struct slot *from, struct slot *to)
{
    uint64_t id = new_id(w);
    int r;

    if (to->id)
        do_delete(w, to);
    if (atomic_load(&sh->failed))
        return;
    if ((r = chunk_clone(w->s, from->id, id)) < 0)
        WRONG(w, "clone %" PRIu64 " to %" PRIu64 ": %d", from->id, id, r);
    memcpy(to->bytes, from->bytes, SIZE);
    atomic_store(&to->size, atomic_load(&from->size));
    to->version = from->version;
    to->id = id;
}

static void
clone_some(struct worker *w)
{
    unsigned a = below(w, SLOTS), b = below(w, SLOTS);

    if (a == b)
        return;
    pthread_rwlock_wrlock(&sh->slot[a < b ? a : b].lock);
    pthread_rwlock_wrlock(&sh->slot[a < b ? b : a].lock);
    if (sh->slot[a].id)
        do_clone(w, &sh->slot[a], &sh->slot[b]);
    pthread_rwlock_unlock(&sh->slot[a].lock);
    pthread_rwlock_unlock(&sh->slot[b].lock);
}

static void
operate(struct worker *w)
{
    static void (*const shared_ops[])(struct worker * w, struct slot * m) = {
        do_write, do_write, do_write, do_read, do_read, do_read, do_read, do_write_fd, do_sync,
    };
    static void (*const alone_ops[])(struct worker * w, struct slot * m) = {
        do_write_blocks, do_write_blocks, do_truncate, do_punch,  do_allocate,
        do_seek,         do_stat,         do_scrub,    do_delete,
    };
    struct slot *m = &sh->slot[below(w, SLOTS)];
    bool alone = below(w, 4) == 0;

    if (below(w, 16) == 0) {
        clone_some(w);
        return;
    }
    if (alone)
        pthread_rwlock_wrlock(&m->lock);
    else
        pthread_rwlock_rdlock(&m->lock);
    if (alone && !m->id)
        do_create(w, m);
    else if (m->id && alone)
        alone_ops[below(w, sizeof(alone_ops) / sizeof(*alone_ops))](w, m);
    else if (m->id)
        shared_ops[below(w, sizeof(shared_ops) / sizeof(*shared_ops))](w, m);
    pthread_rwlock_unlock(&m->lock);
}

static void *
work(void *arg)
{
    struct worker *w = arg;

    for (unsigned i = 0; i < w->ops && !atomic_load(&sh->failed); i++)
        operate(w);
    return NULL;
}

// One process: opens the store, or goes on with the one that it has from its parent.
static int
process(unsigned no, struct chunk_store *inherited, unsigned ops, uint64_t seed)
{
    struct chunk_open_options opt = {.max_open = no ? 4 : 0};
    struct chunk_store *s = inherited ? inherited : ck_open(0, &opt);
    struct worker w[THREADS];

    for (unsigned i = 0; i < THREADS; i++) {
        w[i] = (struct worker){s, no * THREADS + i, ops, (seed + no * 100 + i) * 0x9e3779b97f4a7c15ull, 0};
        if (pthread_create(&w[i].thread, NULL, work, &w[i]) != 0)
            abort();
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(w[i].thread, NULL);
    chunk_store_close(s);
    return ck_heard.count[CHUNK_EV_DAMAGE] || ck_heard.count[CHUNK_EV_SUM_LOST] ||
           ck_heard.count[CHUNK_EV_UNSURE] || ck_heard.count[CHUNK_EV_BLOCKED];
}

static void
expect_all(struct chunk_store *s)
{
    for (unsigned i = 0; i < SLOTS; i++)
        if (sh->slot[i].id)
            ck_expect(s, sh->slot[i].id, sh->slot[i].bytes, atomic_load(&sh->slot[i].size));
}

static int
find_id(void *arg, uint64_t id)
{
    for (unsigned i = 0; i < SLOTS; i++)
        if (sh->slot[i].id == id)
            ++*(unsigned *)arg;
    *(unsigned *)arg += 1000;
    return 0;
}

static void
check_all(void)
{
    struct chunk_store *s = ck_open(0, NULL);
    struct chunk_info info;
    unsigned found = 0, want = 0;

    expect_all(s);
    assert_int_equal(ck_scrub(s), 0);
    expect_all(s);
    for (unsigned i = 0; i < SLOTS; i++) {
        want += sh->slot[i].id ? 1001 : 0;
        if (sh->slot[i].id) {
            assert_int_equal(chunk_stat(s, sh->slot[i].id, &info), 0);
            assert_int_equal(info.unsummed, 0);
        }
    }
    assert_int_equal(chunk_list(s, find_id, &found), 0);
    assert_int_equal(found, want);
    chunk_store_close(s);
    s = ck_open(CHUNK_RDONLY, NULL);
    expect_all(s);
    chunk_store_close(s);
    for (unsigned i = 0; i < CHUNK_EV_COUNT; i++)
        assert_int_equal(ck_heard.count[i], 0);
}

static void
rounds(unsigned n, unsigned ops, bool inherit)
{
    pthread_rwlockattr_t attr;

    sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(sh != MAP_FAILED);
    pthread_rwlockattr_init(&attr);
    pthread_rwlockattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    for (unsigned i = 0; i < SLOTS; i++)
        pthread_rwlock_init(&sh->slot[i].lock, &attr);
    ck_make(SIZE);
    for (unsigned k = 0; k < n; k++) {
        struct chunk_store *s = inherit ? ck_open(0, NULL) : NULL;
        pid_t pid[PROCESSES];
        uint64_t seed = unit_random();

        if (s && k)
            expect_all(s); // so that there is something to inherit
        for (unsigned p = 0; p < PROCESSES; p++) {
            if ((pid[p] = fork()) == 0)
                _exit(process(p, s, ops, seed));
            assert_true(pid[p] > 0);
        }
        for (unsigned p = 0; p < PROCESSES; p++) {
            int status;

            assert_int_equal(waitpid(pid[p], &status, 0), pid[p]);
            if (status && !atomic_exchange(&sh->failed, true))
                snprintf(sh->why, sizeof(sh->why), "process %u ended with %x, or was told of damage", p,
                         status);
        }
        if (sh->failed)
            fail_msg("round %u: %s", k, sh->why);
        if (s) {
            expect_all(s);
            chunk_store_close(s);
        }
        check_all();
    }
    ck_remove();
    munmap(sh, sizeof(*sh));
}

static void
test_processes(void **state)
{
    rounds(3, 250, false);
}

static void
test_forks(void **state)
{
    rounds(3, 250, true);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_processes),
        cmocka_unit_test(test_forks),
    };

    unit_seed(20251126);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
