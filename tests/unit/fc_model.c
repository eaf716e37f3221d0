// SPDX-License-Identifier: Apache-2.0
// Random work on files against a model in memory: each worker (threads in several processes, all on one
// volume) has a directory of its own, and the model of what is in there. Every result and every byte must be
// the model's. A failing run is repeated with ZIO_TEST_SEED.
#include <linux/falloc.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>

#include "tests/unit/fc.h"

enum { NAMES = 6, HANDLES = 5, SIZE_MAX_MODEL = 5 * FC_CHUNK, OPS = 4000, PROCESSES = 2, THREADS = 2 };

struct mfile {
    uint8_t *data;
    size_t size;
    int refs; // names and handles
    bool frozen;
};

struct handle {
    struct fsc_file *file;
    struct mfile *m;
    bool append;
};

struct worker {
    struct fsc *fs;
    uint64_t state;
    int id;
    struct mfile *name[NAMES];
    struct mfile *copy[NAMES]; // of the snapshot or clone, while there is one
    bool has_copy;
    struct handle h[HANDLES];
    uint8_t *buf, *want;
    int op;
};

static uint64_t base_seed;
static __thread struct worker *me;

static uint64_t
rnd(struct worker *w)
{
    w->state ^= w->state << 13;
    w->state ^= w->state >> 7;
    w->state ^= w->state << 17;
    return w->state * 0x2545f4914f6cdd1dULL >> 16;
}

static uint32_t
below(struct worker *w, uint32_t n)
{
    return (uint32_t)(rnd(w) % n);
}

// Threads and children can't leave cmocka's way: they say where, and end the process.
static void
must(bool fine, int line, long long got, long long want)
{
    if (fine)
        return;
    fprintf(stderr, "# worker %d, operation %d, line %d: got %lld, want %lld; seed %llu; %s\n", me->id,
            me->op, line, got, want, (unsigned long long)base_seed, fc_message);
    _exit(1);
}

#define SAME(x, want)                                                                                        \
    do {                                                                                                     \
        long long got_ = (long long)(x), want_ = (long long)(want);                                          \
        must(got_ == want_, __LINE__, got_, want_);                                                          \
    } while (0)
#define TRUE(x) must((x), __LINE__, 0, 1)

static struct mfile *
mfile_new(void)
{
    struct mfile *m = calloc(1, sizeof *m);

    m->data = calloc(1, SIZE_MAX_MODEL);
    return m;
}

static void
mfile_put(struct mfile *m)
{
    if (m && --m->refs == 0) {
        free(m->data);
        free(m);
    }
}

static void
m_resize(struct mfile *m, size_t size)
{
    if (size < m->size)
        memset(m->data + size, 0, m->size - size);
    m->size = size;
}

static const char *
path_of(struct worker *w, const char *dir, int i)
{
    static __thread char path[2][64];
    static __thread int turn;

    turn = !turn;
    snprintf(path[turn], sizeof path[turn], "%s%d/%c", dir, w->id, 'a' + i);
    return path[turn];
}

// An offset, often at a border.
static size_t
somewhere(struct worker *w, struct mfile *m)
{
    switch (below(w, 4)) {
    case 0:
        return below(w, (uint32_t)m->size + 1);
    case 1:
        return below(w, 5) * FC_CHUNK;
    case 2:
        return (1 + below(w, 4)) * FC_CHUNK - below(w, 20);
    default:
        return below(w, SIZE_MAX_MODEL);
    }
}

static size_t
some_length(struct worker *w, size_t at)
{
    static const uint32_t sizes[] = {1, 20, 5000, 70000, 200000};
    size_t n = 1 + below(w, sizes[below(w, 5)]);

    return n < SIZE_MAX_MODEL - at ? n : SIZE_MAX_MODEL - at;
}

static void
check_content(struct worker *w, struct fsc_file *f, const struct mfile *m)
{
    struct stat st;

    SAME(fsc_fstat(f, &st), 0);
    SAME(st.st_size, m->size);
    SAME(fsc_pread(f, w->buf, SIZE_MAX_MODEL, 0), m->size);
    for (size_t i = 0; i < m->size; i++)
        if (w->buf[i] != m->data[i])
            must(false, __LINE__, (long long)i, m->data[i]);
}

static struct handle *
some_handle(struct worker *w)
{
    struct handle *h = &w->h[below(w, HANDLES)];

    return h->file ? h : NULL;
}

static void
op_open(struct worker *w)
{
    struct handle *h = &w->h[below(w, HANDLES)];
    int i = (int)below(w, NAMES), flags = O_RDWR;
    bool excl = below(w, 8) == 0;

    if (h->file) {
        SAME(fsc_close(h->file), 0);
        mfile_put(h->m);
        h->file = NULL;
    }
    flags |= below(w, 3) ? O_CREAT : 0;
    flags |= below(w, 8) == 0 ? O_TRUNC : 0;
    flags |= excl ? O_EXCL : 0;
    h->append = below(w, 4) == 0;
    flags |= h->append ? O_APPEND : 0;
    if (!w->name[i] && !(flags & O_CREAT)) {
        SAME(fsc_open(w->fs, &fc_root, path_of(w, "w", i), flags, 0644, &h->file), -ENOENT);
        return;
    }
    if (w->name[i] && flags & O_CREAT && excl) {
        SAME(fsc_open(w->fs, &fc_root, path_of(w, "w", i), flags, 0644, &h->file), -EEXIST);
        h->file = NULL;
        return;
    }
    SAME(fsc_open(w->fs, &fc_root, path_of(w, "w", i), flags, 0644, &h->file), 0);
    if (!w->name[i]) {
        w->name[i] = mfile_new();
        w->name[i]->refs = 1;
    }
    h->m = w->name[i];
    h->m->refs++;
    if (flags & O_TRUNC)
        m_resize(h->m, 0);
}

static void
op_write(struct worker *w)
{
    struct handle *h = some_handle(w);
    size_t at, len, cut;
    struct iovec iov[2];
    uint64_t end;

    if (!h)
        return;
    at = h->append ? h->m->size : somewhere(w, h->m);
    if (at >= SIZE_MAX_MODEL)
        return;
    len = some_length(w, at);
    for (size_t i = 0; i < len; i += 8) {
        uint64_t v = rnd(w);

        memcpy(w->want + i, &v, 8);
    }
    cut = below(w, (uint32_t)len + 1);
    iov[0] = (struct iovec){w->want, cut};
    iov[1] = (struct iovec){w->want + cut, len - cut};
    SAME(fsc_pwritev(h->file, iov, 2, h->append ? 3 : at, 0, &end), len);
    SAME(end, at + len);
    memcpy(h->m->data + at, w->want, len);
    if (at + len > h->m->size)
        h->m->size = at + len;
}

static void
op_read(struct worker *w)
{
    struct handle *h = some_handle(w);
    size_t at, len, want;

    if (!h)
        return;
    at = somewhere(w, h->m);
    len = some_length(w, at);
    want = at >= h->m->size ? 0 : len < h->m->size - at ? len : h->m->size - at;
    SAME(fsc_pread(h->file, w->buf, len, at), want);
    TRUE(memcmp(w->buf, h->m->data + at, want) == 0);
}

static void
op_space(struct worker *w)
{
    struct handle *h = some_handle(w);
    size_t at, len;

    if (!h)
        return;
    at = somewhere(w, h->m);
    len = some_length(w, at);
    if (at >= SIZE_MAX_MODEL)
        return;
    switch (below(w, 4)) {
    case 0:
        SAME(fsc_ftruncate(h->file, at), 0);
        m_resize(h->m, at);
        return;
    case 1:
        SAME(fsc_fallocate(h->file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, len), 0);
        break;
    case 2:
        SAME(fsc_fallocate(h->file, FALLOC_FL_ZERO_RANGE, at, len), 0);
        if (at + len > h->m->size)
            h->m->size = at + len;
        break;
    default:
        SAME(fsc_fallocate(h->file, 0, at, len), 0);
        if (at + len > h->m->size)
            h->m->size = at + len;
        return;
    }
    if (at < h->m->size)
        memset(h->m->data + at, 0, len < h->m->size - at ? len : h->m->size - at);
}

static void
op_clone_range(struct worker *w)
{
    struct handle *a = some_handle(w), *b = some_handle(w);
    size_t from, to, len;

    if (!a || !b || b->append || a->m == b->m)
        return;
    from = below(w, 4) * FC_CHUNK;
    to = below(w, 4) * FC_CHUNK;
    len = (1 + below(w, 2)) * FC_CHUNK;
    if (from + len > a->m->size || to + len > SIZE_MAX_MODEL)
        return;
    SAME(fsc_clone_range(a->file, from, b->file, to, len), 0);
    memcpy(b->m->data + to, a->m->data + from, len);
    if (to + len > b->m->size)
        b->m->size = to + len;
}

// What is told to be a hole has no byte but zeros; data and holes take turns up to the end.
static void
op_seek(struct worker *w)
{
    struct handle *h = some_handle(w);
    int64_t at = 0, next;
    bool data = false;

    if (!h || h->m->size == 0)
        return;
    while (at < (int64_t)h->m->size) {
        next = fsc_seek(h->file, (uint64_t)at, data ? SEEK_HOLE : SEEK_DATA);
        if (!data) {
            int64_t stop = next == -ENXIO ? (int64_t)h->m->size : next;

            TRUE(stop >= at && stop <= (int64_t)h->m->size);
            for (int64_t i = at; i < stop; i++)
                SAME(h->m->data[i], 0);
            if (next == -ENXIO)
                return;
        }
        TRUE(next >= at && next <= (int64_t)h->m->size);
        at = next;
        data = !data;
    }
}

static void
op_names(struct worker *w)
{
    int a = (int)below(w, NAMES), b = (int)below(w, NAMES);
    const char *pa = path_of(w, "w", a), *pb = path_of(w, "w", b);
    struct mfile *swap;

    switch (below(w, 4)) {
    case 0:
        SAME(fsc_unlink(w->fs, &fc_root, pa, 0), w->name[a] ? 0 : -ENOENT);
        mfile_put(w->name[a]);
        w->name[a] = NULL;
        return;
    case 1:
        SAME(fsc_link(w->fs, &fc_root, pa, NULL, pb, 0), !w->name[a] ? -ENOENT : w->name[b] ? -EEXIST : 0);
        if (w->name[a] && !w->name[b])
            (w->name[b] = w->name[a])->refs++;
        return;
    case 2:
        SAME(fsc_rename(w->fs, &fc_root, pa, NULL, pb, 0), w->name[a] ? 0 : -ENOENT);
        if (!w->name[a] || w->name[a] == w->name[b])
            return;
        mfile_put(w->name[b]);
        w->name[b] = w->name[a];
        w->name[a] = NULL;
        return;
    default:
        SAME(fsc_rename(w->fs, &fc_root, pa, NULL, pb, RENAME_EXCHANGE),
             w->name[a] && w->name[b] ? 0 : -ENOENT);
        if (w->name[a] && w->name[b]) {
            swap = w->name[a];
            w->name[a] = w->name[b];
            w->name[b] = swap;
        }
    }
}

static void
check_dir(struct worker *w, const char *dir, struct mfile *const *names, int flags)
{
    struct fsc_file *f;

    for (int i = 0; i < NAMES; i++) {
        int r = fsc_open(w->fs, &fc_root, path_of(w, dir, i), flags, 0, &f);

        SAME(r, names[i] ? 0 : -ENOENT);
        if (r)
            continue;
        check_content(w, f, names[i]);
        SAME(fsc_close(f), 0);
    }
}

// A snapshot or a clone of the worker's directory; later compared with what there was then, and removed.
static void
op_snapshot(struct worker *w)
{
    char src[16], dst[16];
    struct fsc_file *f;
    uint64_t n;

    snprintf(src, sizeof src, "w%d", w->id);
    snprintf(dst, sizeof dst, "s%d", w->id);
    if (w->has_copy) {
        check_dir(w, "s", w->copy, O_RDONLY);
        for (int i = 0; i < NAMES; i++) {
            mfile_put(w->copy[i]);
            w->copy[i] = NULL;
        }
        SAME(fsc_remove_tree(w->fs, &fc_root, dst, &n), 0);
        w->has_copy = false;
        return;
    }
    if (below(w, 2)) {
        SAME(fsc_snapshot(w->fs, &fc_root, src, NULL, dst), 0);
        for (int i = 0; i < NAMES; i++)
            if (w->name[i]) {
                SAME(fsc_open(w->fs, &fc_root, path_of(w, "s", i), O_RDWR, 0, &f), -EROFS);
                break;
            }
    } else {
        SAME(fsc_clone_tree(w->fs, &fc_root, src, NULL, dst), 0);
    }
    for (int i = 0; i < NAMES; i++) {
        if (!w->name[i])
            continue;
        w->copy[i] = mfile_new();
        w->copy[i]->refs = 1;
        w->copy[i]->size = w->name[i]->size;
        memcpy(w->copy[i]->data, w->name[i]->data, w->name[i]->size);
    }
    w->has_copy = true;
}

static void
one(struct worker *w)
{
    struct handle *h;

    switch (below(w, 16)) {
    case 0:
    case 1:
        op_open(w);
        break;
    case 2:
    case 3:
    case 4:
    case 5:
    case 6:
        op_write(w);
        break;
    case 7:
    case 8:
        op_read(w);
        break;
    case 9:
    case 10:
        op_space(w);
        break;
    case 11:
        op_clone_range(w);
        break;
    case 12:
        op_names(w);
        break;
    case 13:
        op_seek(w);
        break;
    case 14:
        if (below(w, 6) == 0)
            op_snapshot(w);
        break;
    default:
        h = some_handle(w);
        if (h && below(w, 8) == 0)
            SAME(fsc_fsync(h->file), 0);
        else if (h)
            check_content(w, h->file, h->m);
    }
}

static void *
work(void *arg)
{
    struct worker *w = me = arg;
    char dir[16];

    w->buf = malloc(SIZE_MAX_MODEL + 8);
    w->want = malloc(SIZE_MAX_MODEL + 8);
    snprintf(dir, sizeof dir, "w%d", w->id);
    SAME(fsc_mkdir(w->fs, &fc_root, dir, 0755), 0);
    for (w->op = 0; w->op < OPS; w->op++)
        one(w);
    for (int i = 0; i < HANDLES; i++)
        if (w->h[i].file) {
            check_content(w, w->h[i].file, w->h[i].m);
            SAME(fsc_close(w->h[i].file), 0);
            mfile_put(w->h[i].m);
        }
    if (w->has_copy)
        op_snapshot(w);
    check_dir(w, "w", w->name, O_RDWR);
    for (int i = 0; i < NAMES; i++)
        mfile_put(w->name[i]);
    free(w->buf);
    free(w->want);
    return NULL;
}

// Threads on one handle of the volume.
static void
run_threads(struct fsc *fs, int first, int threads)
{
    struct worker w[THREADS] = {0};
    pthread_t t[THREADS];

    for (int i = 0; i < threads; i++) {
        w[i].fs = fs;
        w[i].id = first + i;
        w[i].state = (base_seed + (uint64_t)w[i].id) * 0x9e3779b97f4a7c15ULL | 1;
        OK(pthread_create(&t[i], NULL, work, &w[i]));
    }
    for (int i = 0; i < threads; i++)
        OK(pthread_join(t[i], NULL));
}

static void
test_model(void **state)
{
    pid_t pid[PROCESSES];
    struct fsc_usage u;
    struct fsc *fs;

    unit_seed(7);
    base_seed = unit_random();
    fc_make(NULL);
    fs = fc_open(0);
    for (int p = 0; p < PROCESSES; p++) {
        pid[p] = fork();
        if (pid[p] == 0) {
            struct fsc *mine =
                p || !FC_FORKED_HANDLES ? fc_open(0) : fs; // one goes on with what it was forked with

            run_threads(mine, p * THREADS, THREADS);
            fsc_close_volume(mine);
            _exit(0);
        }
    }
    run_threads(fs, PROCESSES * THREADS, 1);
    for (int p = 0; p < PROCESSES; p++)
        IS(fc_wait(pid[p]), 0);
    OK(fsc_maintain(fs));
    fc_check(fs);
    fsc_close_volume(fs);
    // And nothing is left when all is removed.
    fs = fc_open(0);
    for (int i = 0; i < PROCESSES * THREADS + 1; i++) {
        char dir[16];

        snprintf(dir, sizeof dir, "w%d", i);
        OK(fsc_remove_tree(fs, &fc_root, dir, NULL));
    }
    OK(fsc_maintain(fs));
    OK(fsc_usage(fs, &u));
    IS(u.inodes, 1);
    IS(u.space, 0);
    fc_check(fs);
    fsc_close_volume(fs);
    fc_remove();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_model)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
