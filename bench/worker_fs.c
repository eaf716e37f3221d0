// SPDX-License-Identifier: Apache-2.0
// What `zio bench fs` times, over one of two sets of calls (worker_fs.h). All names are below the directory
// w.dir: "large" (read), "written", "small/" (FILES files of 4 KiB), "new/" (made and removed), "many/".
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/pattern.h"
#include "bench/worker.h"
#include "bench/worker_fs.h"

enum { BLOCK = 4096, IO = 131072, FILES = 1000, CHECKED = 100, THREADS_MAX = 64, SEED = 21, NAME = 460 };

static struct {
    char dir[400];
    uint64_t size; // of "large"
    uint64_t made; // names in new/ now, 0 .. made - 1
    uint64_t random;
    bool opened; // `large` is
    fsio_file large;
    unsigned char *buf; // IO bytes of pattern; the first 8 of each IO bytes of a file say where they are
    unsigned char *in;  // IO bytes
} w;

static uint64_t
random_next(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static const char *
in_dir(char *out, const char *sub, uint64_t i)
{
    if (i == UINT64_MAX)
        snprintf(out, NAME, "%s/%s", w.dir, sub);
    else
        snprintf(out, NAME, "%s/%s/f%07llu", w.dir, sub, (unsigned long long)i);
    return out;
}

static int
make_dir(const char *sub)
{
    char path[NAME];
    int err = fsio.mkdir(in_dir(path, sub, UINT64_MAX));
    return err == -EEXIST ? 0 : err;
}

static int
write_all(fsio_file f, const unsigned char *p, size_t n, uint64_t at)
{
    while (n) {
        ssize_t k = fsio.write(f, p, n, at);
        if (k <= 0)
            return k < 0 ? (int)k : -EIO;
        p += k;
        n -= (size_t)k;
        at += (uint64_t)k;
    }
    return 0;
}

// A new file of w.size bytes of pattern, on disk.
static int
write_large(const char *name)
{
    char path[NAME];
    fsio_file f;
    int err = fsio.open(in_dir(path, name, UINT64_MAX), O_WRONLY | O_CREAT | O_TRUNC, 0666, &f);
    if (err)
        return err;
    for (uint64_t at = 0; !err && at < w.size; at += IO) {
        memcpy(w.buf, &at, sizeof at);
        err = write_all(f, w.buf, IO, at);
    }
    if (!err)
        err = fsio.fsync(f);
    int err2 = fsio.close(f);
    return err ? err : err2;
}

// Are these n bytes what a large file has at `at`? Both are multiples of BLOCK.
static int
check_bytes(const unsigned char *p, size_t n, uint64_t at)
{
    size_t skip = at % IO ? 0 : sizeof at;
    if (skip && memcmp(p, &at, sizeof at))
        return -EBADMSG;
    return pattern_check(p + skip, n - skip, SEED, (at % IO + skip) / 8) < 0 ? 0 : -EBADMSG;
}

static int
read_large(const char *name, bool check)
{
    char path[NAME];
    fsio_file f;
    uint64_t at = 0;
    ssize_t n = 0;
    int err = fsio.open(in_dir(path, name, UINT64_MAX), O_RDONLY, 0, &f);
    if (err)
        return err;
    while (!err && (n = fsio.read(f, w.in + at % IO, IO - at % IO, at)) > 0) {
        at += (uint64_t)n;
        if (check && at % IO == 0)
            err = check_bytes(w.in, IO, at - IO);
    }
    fsio.close(f);
    return err ? err : n < 0 ? (int)n : at == w.size ? 0 : -EBADMSG;
}

static int
make_small(const char *sub, uint64_t i, bool sync)
{
    char path[NAME];
    fsio_file f;
    int err = fsio.open(in_dir(path, sub, i), O_WRONLY | O_CREAT | O_EXCL, 0666, &f);
    if (err)
        return err;
    memcpy(w.buf, &i, sizeof i);
    err = write_all(f, w.buf, BLOCK, 0);
    if (!err && sync)
        err = fsio.fsync(f);
    int err2 = fsio.close(f);
    return err ? err : err2;
}

static int
read_small(const char *sub, uint64_t i, bool check)
{
    char path[NAME];
    fsio_file f;
    int err = fsio.open(in_dir(path, sub, i), O_RDONLY, 0, &f);
    if (err)
        return err;
    ssize_t n = fsio.read(f, w.in, BLOCK, 0);
    err = fsio.close(f);
    if (n != BLOCK)
        return n < 0 ? (int)n : -EBADMSG;
    if (check && (memcmp(w.in, &i, sizeof i) || pattern_check(w.in + 8, BLOCK - 8, SEED, 1) >= 0))
        return -EBADMSG;
    return err;
}

static int
make_empty(const char *sub, uint64_t i)
{
    char path[NAME];
    fsio_file f;
    int err = fsio.open(in_dir(path, sub, i), O_WRONLY | O_CREAT | O_EXCL, 0666, &f);
    return err ? err : fsio.close(f);
}

static int
make_new(uint32_t method, uint64_t i)
{
    return method == FSOP_CREATE || method == FSOP_UNLINK ? make_empty("new", i)
                                                          : make_small("new", i, method == FSOP_SMALL_SYNC);
}

static int
unlink_new(void)
{
    char path[NAME];
    while (w.made) {
        int err = fsio.unlink(in_dir(path, "new", w.made - 1));
        if (err)
            return err;
        w.made--;
    }
    return 0;
}

// ---- random reads by several threads ----

struct reader {
    pthread_t thread;
    pthread_barrier_t *start;
    fsio_file f;
    uint64_t ns, ops, random;
    unsigned char *buf;
    bool check;
    int err;
};

static void *
reader_main(void *arg)
{
    struct reader *r = arg;
    pthread_barrier_wait(r->start);
    uint64_t t0 = clock_ns();
    do {
        for (unsigned i = 0; i < 16; i++) {
            uint64_t at = random_next(&r->random) % (w.size / BLOCK) * BLOCK;
            ssize_t n = fsio.pread(r->f, r->buf, BLOCK, at);
            if (n != BLOCK)
                r->err = n < 0 ? (int)n : -EIO;
            else if (r->check)
                r->err = check_bytes(r->buf, BLOCK, at);
            if (r->err)
                return NULL;
        }
        r->ops += 16;
    } while (clock_ns() - t0 < r->ns);
    return NULL;
}

static int
random_reads(const struct wreq *q, uint64_t ns, bool check, struct wrep *p)
{
    struct reader v[THREADS_MAX];
    pthread_barrier_t start;
    unsigned n = 0;
    int err = 0;
    pthread_barrier_init(&start, NULL, q->threads + 1);
    for (; n < q->threads; n++) {
        v[n] = (struct reader){.start = &start, .f = w.large, .ns = ns, .check = check};
        v[n].random = random_next(&w.random);
        v[n].buf = aligned_alloc(BLOCK, BLOCK);
        // A barrier that some never reach can't be left: there is no going on without memory and threads.
        if (!v[n].buf || pthread_create(&v[n].thread, NULL, reader_main, &v[n]))
            exit(1);
    }
    pthread_barrier_wait(&start);
    uint64_t t0 = clock_ns();
    for (unsigned i = 0; i < n; i++) {
        pthread_join(v[i].thread, NULL);
        p->ops += v[i].ops;
        err = err ? err : v[i].err;
        free(v[i].buf);
    }
    p->ns = clock_ns() - t0;
    pthread_barrier_destroy(&start);
    return err;
}

// ---- a directory with very many names ----

static int
many_create(const struct wreq *q, struct wrep *p)
{
    uint64_t t0 = clock_ns();
    int err = 0;
    for (uint64_t i = q->first; !err && i < q->first + q->count; i++)
        err = make_empty("many", i);
    p->ops = q->count;
    p->ns = clock_ns() - t0;
    return err;
}

// ---- the worker ----

// Runs op(arg) until ns have passed.
static int
repeat_for(uint64_t ns, int (*op)(const struct wreq *q), const struct wreq *q, struct wrep *p)
{
    uint64_t t0 = clock_ns(), t;
    do {
        for (unsigned i = 0; i < 8; i++) {
            int err = op(q);
            if (err)
                return err;
        }
        p->ops += 8;
        t = clock_ns();
    } while (t - t0 < ns);
    p->ns = t - t0;
    return 0;
}

static int
one_open(const struct wreq *q)
{
    (void)q;
    return read_small("small", random_next(&w.random) % FILES, false);
}

static int
one_stat(const struct wreq *q)
{
    char path[NAME];
    struct stat st;
    const char *sub = q->method == FSOP_STAT ? "small" : "many";
    return fsio.stat(in_dir(path, sub, random_next(&w.random) % (q->method == FSOP_STAT ? FILES : q->count)),
                     &st);
}

static int
one_new(const struct wreq *q)
{
    int err = make_new(q->method, w.made);
    w.made += !err;
    return err;
}

// The whole of a file, or the removal of what there is, is one slice whatever its length.
static int
timed(int err, uint64_t t0, uint64_t ops, struct wrep *p)
{
    p->ns = clock_ns() - t0;
    p->ops = ops;
    return err;
}

static int
seq_write(struct wrep *p)
{
    char path[NAME];
    int err = fsio.unlink(in_dir(path, "written", UINT64_MAX));
    if (err && err != -ENOENT)
        return err;
    uint64_t t0 = clock_ns();
    err = write_large("written");
    return timed(err, t0, w.size, p);
}

static int
slice_of(const struct wreq *q, struct wrep *p)
{
    struct wrep unused = {0};
    uint64_t t0;
    char path[NAME];
    int err;
    switch (q->method) {
    case FSOP_READ:
        return random_reads(q, q->slice_ns, false, p);
    case FSOP_SEQ_READ:
        t0 = clock_ns();
        return timed(read_large("large", false), t0, w.size, p);
    case FSOP_SEQ_WRITE:
        return seq_write(p);
    case FSOP_OPEN:
        return repeat_for(q->slice_ns, one_open, q, p);
    case FSOP_STAT:
    case FSOP_LOOKUP:
        return repeat_for(q->slice_ns, one_stat, q, p);
    case FSOP_CREATE:
    case FSOP_SMALL:
    case FSOP_SMALL_SYNC:
        err = repeat_for(q->slice_ns, one_new, q, p);
        return err ? err : unlink_new();
    case FSOP_UNLINK:
        err = repeat_for(q->slice_ns, one_new, q, &unused);
        t0 = clock_ns();
        err = err ? err : unlink_new();
        return timed(err, t0, unused.ops, p);
    case FSOP_MANY:
        return many_create(q, p);
    case FSOP_LIST:
        return fs_list(in_dir(path, "many", UINT64_MAX), p);
    case FSOP_REMOVE:
        t0 = clock_ns();
        err = fs_remove_tree(q->path, p);
        p->ns = clock_ns() - t0;
        return err;
    }
    return -EINVAL;
}

static int
slice(const struct wreq *q, struct wrep *p)
{
    int err = slice_of(q, p);
    if (err)
        snprintf(p->text, sizeof p->text, "%s", err == -EBADMSG ? "wrong bytes were read" : strerror(-err));
    return -err;
}

// Makes what is asked for, looks at all of it, and removes it again: the names, sizes and bytes must be
// right.
static int
verify_new(const struct wreq *q)
{
    struct wrep p = {0};
    struct stat st;
    char path[NAME];
    bool empty = q->method == FSOP_CREATE || q->method == FSOP_UNLINK;
    int err = 0;
    while (!err && w.made < CHECKED)
        err = one_new(q);
    for (uint64_t i = 0; !err && i < CHECKED; i++) {
        err = fsio.stat(in_dir(path, "new", i), &st);
        if (!err && (!S_ISREG(st.st_mode) || st.st_size != (empty ? 0 : BLOCK)))
            err = -EBADMSG;
        if (!err && !empty)
            err = read_small("new", i, true);
    }
    if (!err)
        err = fs_list(in_dir(path, "new", UINT64_MAX), &p);
    if (!err && p.ops != CHECKED)
        err = -EBADMSG;
    if (!err)
        err = unlink_new();
    p.ops = 0;
    if (!err)
        err = fs_list(in_dir(path, "new", UINT64_MAX), &p);
    return err ? err : p.ops ? -EBADMSG : 0;
}

static int
verify_of(const struct wreq *q, struct wrep *p)
{
    struct stat st;
    char path[NAME];
    int err = 0;
    switch (q->method) {
    case FSOP_READ:
        return random_reads(q, 5000000, true, p);
    case FSOP_SEQ_READ:
        return read_large("large", true);
    case FSOP_SEQ_WRITE:
        err = fsio.stat(in_dir(path, "written", UINT64_MAX), &st);
        return err ? write_large("written") : read_large("written", true);
    case FSOP_OPEN:
    case FSOP_STAT:
        for (uint64_t i = 0; !err && i < CHECKED; i++)
            err = read_small("small", i, true);
        for (uint64_t i = 0; !err && i < CHECKED; i++) {
            err = fsio.stat(in_dir(path, "small", i), &st);
            err = err ? err : S_ISREG(st.st_mode) && st.st_size == BLOCK ? 0 : -EBADMSG;
        }
        return err;
    case FSOP_MANY:
        return 0;
    }
    return verify_new(q);
}

static int
verify(const struct wreq *q, struct wrep *p)
{
    int err = verify_of(q, p);
    if (err)
        snprintf(p->text, sizeof p->text, "%s",
                 err == -EBADMSG ? "wrong bytes, sizes or names came back" : strerror(-err));
    return -err;
}

static void
close_large(void)
{
    if (w.opened)
        fsio.close(w.large);
    w.opened = false;
}

// The file stays open for the row, as a program's would: a FUSE file system may drop what the kernel keeps of
// a file whenever it is opened. Buffered, all of it is read once.
static int
open_large(const struct wreq *q)
{
    char path[NAME];
    ssize_t n = 1;
    int err =
        fsio.open(in_dir(path, "large", UINT64_MAX), O_RDONLY | (q->direct ? O_DIRECT : 0), 0, &w.large);
    if (err)
        return err;
    w.opened = true;
    for (uint64_t at = 0; !q->direct && n > 0 && at < w.size; at += (uint64_t)n)
        n = fsio.pread(w.large, w.in, IO, at);
    return n < 0 ? (int)n : 0;
}

// What the method needs, unless it is there from the row before.
static int
prepare(const struct wreq *q)
{
    char path[NAME];
    struct stat st;
    int err = 0;
    switch (q->method) {
    case FSOP_READ:
    case FSOP_SEQ_READ:
        err = fsio.stat(in_dir(path, "large", UINT64_MAX), &st);
        err = err || (uint64_t)st.st_size != w.size ? write_large("large") : 0;
        return err || q->method == FSOP_SEQ_READ ? err : open_large(q);
    case FSOP_OPEN:
    case FSOP_STAT:
        err = fsio.stat(in_dir(path, "small", FILES - 1), &st);
        if (!err)
            return 0;
        err = make_dir("small");
        for (uint64_t i = 0; !err && i < FILES; i++)
            err = make_small("small", i, false);
        return err;
    case FSOP_MANY:
        return make_dir("many");
    case FSOP_CREATE:
    case FSOP_UNLINK:
    case FSOP_SMALL:
    case FSOP_SMALL_SYNC:
        return make_dir("new");
    }
    return 0;
}

static int
setup(const struct wreq *q, struct wrep *p)
{
    int err = fsio.begin(q);
    if (!w.buf) {
        w.buf = aligned_alloc(BLOCK, IO);
        w.in = aligned_alloc(BLOCK, IO);
        if (!w.buf || !w.in)
            return ENOMEM;
        pattern_fill(w.buf, IO, SEED, 0);
    }
    close_large();
    snprintf(w.dir, sizeof w.dir, "%s", q->path);
    w.size = q->size;
    if (q->threads > THREADS_MAX || w.size % IO || (!w.size && q->method && q->method <= FSOP_SEQ_WRITE))
        return EINVAL;
    if (!err) {
        err = fsio.mkdir(w.dir);
        err = err == -EEXIST ? 0 : err;
    }
    if (!err)
        err = prepare(q);
    if (err)
        snprintf(p->text, sizeof p->text, "%s", strerror(-err));
    return -err;
}

const struct wkind_ops worker_fs = {setup, verify, slice};
