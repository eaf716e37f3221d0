// SPDX-License-Identifier: Apache-2.0
// What the chunk engine costs over the same system calls on the file system below: each case is run in rounds
// that take turns (plain, chunk, plain, chunk, ...), so that a change of the machine's mood meets both.
// Prints medians in microseconds per operation and their ratio.
//
//   chunk-bench DIR [CASE] [ROUNDS]
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "chunk/chunk.h"

#define MIB (1u << 20)
#define SMALL 4096u
#define FILES 3000u
#define ROUNDS_MAX 101

static struct chunk_store *store;
static char base[4096];
static int big = -1; // the plain file as large as a chunk
static unsigned char *buf;
static uint64_t seed = 88172645463325252ull;
static uint64_t next_id; // of a chunk to be made
static unsigned made[2]; // small files and chunks there are

static void
die(const char *what, long r)
{
    fprintf(stderr, "chunk-bench: %s: %s\n", what, strerror(r < 0 ? (int)-r : errno));
    exit(1);
}

static uint64_t
rnd(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    return seed ^= seed << 17;
}

// The thread's own time where the processor is what counts, so that other work on the machine does not; else
// the wall's.
static double
now_us(bool waits)
{
    struct timespec ts;

    clock_gettime(waits ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID, &ts);
    return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static void
small_name(char name[64], unsigned i)
{
    snprintf(name, 64, "plain/%03x/%u", i / 64 % 1024, i);
}

// Each case does n operations, on chunks or plainly. Its clean-up is not timed.

static void
read_hot(bool chunk, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        uint64_t off = rnd() % (64 * MIB / SMALL) * SMALL;
        ssize_t r = chunk ? chunk_read(store, 1, buf, SMALL, off) : pread(big, buf, SMALL, (off_t)off);

        if (r != SMALL)
            die("read", r);
    }
}

static void
write_hot(bool chunk, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        uint64_t off = rnd() % (64 * MIB / SMALL) * SMALL;
        ssize_t r = chunk ? chunk_write(store, 1, buf, SMALL, off) : pwrite(big, buf, SMALL, (off_t)off);

        if (r != SMALL)
            die("write", r);
    }
}

static void
write_large(bool chunk, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        uint64_t off = (uint64_t)(i % 64) * MIB;
        ssize_t r = chunk ? chunk_write(store, 1, buf, MIB, off) : pwrite(big, buf, MIB, (off_t)off);

        if (r != MIB)
            die("write", r);
    }
}

static void
write_stable(bool chunk, unsigned n)
{
    for (unsigned i = 0; i < n && chunk; i++) {
        ssize_t r = chunk_write_stable(store, 1, buf, MIB, (uint64_t)(i % 64) * MIB);

        if (r != MIB)
            die("write", r);
    }
    if (!chunk)
        write_large(false, n);
}

static void
read_large(bool chunk, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        uint64_t off = (uint64_t)(i % 64) * MIB;
        ssize_t r = chunk ? chunk_read(store, 1, buf, MIB, off) : pread(big, buf, MIB, (off_t)off);

        if (r != MIB)
            die("read", r);
    }
}

static void
create(bool chunk, unsigned n)
{
    char name[64];
    ssize_t r;

    for (unsigned i = 0; i < n; i++) {
        if (chunk) {
            if ((r = chunk_create(store, next_id)) < 0 ||
                (r = chunk_write(store, next_id, buf, SMALL, 0)) != SMALL)
                die("create", r);
            next_id++;
        } else {
            small_name(name, made[0]++);
            int fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

            if (fd < 0 || pwrite(fd, buf, SMALL, 0) != SMALL || close(fd) != 0)
                die(name, -1 * errno);
        }
    }
}

static void
open_cold(bool chunk, unsigned n)
{
    char name[64];

    for (unsigned i = 0; i < n; i++) {
        unsigned k = (unsigned)(rnd() % FILES);

        if (chunk) {
            ssize_t r = chunk_read(store, 1000 + k, buf, SMALL, 0);

            if (r != SMALL)
                die("read", r);
        } else {
            small_name(name, k);
            int fd = open(name, O_RDONLY | O_CLOEXEC);

            if (fd < 0 || pread(fd, buf, SMALL, 0) != SMALL || close(fd) != 0)
                die(name, -1 * errno);
        }
    }
}

static void
delete_last(bool chunk, unsigned n)
{
    char name[64];
    int r;

    for (unsigned i = 0; i < n; i++) {
        if (chunk) {
            if ((r = chunk_delete(store, --next_id)) < 0)
                die("delete", r);
        } else {
            small_name(name, --made[0]);
            if (unlink(name) != 0)
                die(name, -1 * errno);
        }
    }
}

static void
sync_small(bool chunk, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        uint64_t off = rnd() % (64 * MIB / SMALL) * SMALL;
        long r;

        if (chunk) {
            if ((r = chunk_write(store, 1, buf, SMALL, off)) != SMALL || (r = chunk_sync(store, 1)) < 0)
                die("sync", r);
        } else if (pwrite(big, buf, SMALL, (off_t)off) != SMALL || fdatasync(big) != 0) {
            die("fdatasync", -1 * errno);
        }
    }
}

static const struct bench_case {
    const char *name;
    void (*run)(bool chunk, unsigned n);
    unsigned n;
    bool waits; // for the disk
} cases[] = {
    {"read 4K random hot", read_hot, 20000},  {"read 1M", read_large, 64},
    {"write 4K random hot", write_hot, 5000}, {"write 1M", write_large, 64},
    {"write 1M stable", write_stable, 64},    {"open+read 4K+close", open_cold, 2000},
    {"create+write 4K", create, 1000},        {"delete", delete_last, 1000},
    {"write 4K+sync", sync_small, 20, true},
};

static int
by_value(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

static void
measure(const struct bench_case *c, unsigned rounds)
{
    double t[2][ROUNDS_MAX], start;

    for (unsigned i = 0; i < rounds; i++) {
        for (int k = 0; k < 2; k++) {
            start = now_us(c->waits);
            c->run(k, c->n);
            t[k][i] = (now_us(c->waits) - start) / c->n;
        }
    }
    for (int k = 0; k < 2; k++)
        qsort(t[k], rounds, sizeof(double), by_value);
    printf("%-22s plain %8.2f  chunk %8.2f  ratio %.2f  (least %.2f, %.2f)\n", c->name, t[0][rounds / 2],
           t[1][rounds / 2], t[1][rounds / 2] / t[0][rounds / 2], t[0][0], t[1][0]);
    fflush(stdout);
}

static void
set_up(void)
{
    struct chunk_open_options opt = {.max_open = 0};
    char name[64];
    long r;

    if (chdir(base) != 0 || (mkdir("plain", 0700) != 0 && errno != EEXIST))
        die(base, -1 * errno);
    if ((r = chunk_format("store", NULL)) < 0 || (r = chunk_store_open("store", 0, &opt, &store)) < 0)
        die("store", r);
    // As in a store that has been in use for a while.
    for (unsigned i = 0; i < 2 * 1024; i++) {
        snprintf(name, sizeof name, "%s/%03x", i % 2 ? "plain" : "store", i / 2);
        if (mkdir(name, 0700) != 0 && errno != EEXIST)
            die(name, -1 * errno);
    }
    if ((big = open("big", O_RDWR | O_CREAT | O_CLOEXEC, 0600)) < 0)
        die("big", -1 * errno);
    if ((r = chunk_create(store, 1)) < 0)
        die("create", r);
    write_large(true, 64);
    write_large(false, 64);
    next_id = 1000;
    create(true, FILES);
    create(false, FILES);
    if ((r = chunk_sync(store, 1)) < 0 || fsync(big) != 0)
        die("sync", r);
    read_large(true, 64);
}

int
main(int argc, char **argv)
{
    const char *only = argc > 2 ? argv[2] : "";
    unsigned rounds = argc > 3 ? (unsigned)atoi(argv[3]) : 11;

    if (argc < 2 || rounds < 1 || rounds > ROUNDS_MAX) {
        fprintf(stderr, "usage: chunk-bench EMPTY-DIR [CASE [ROUNDS]]\n");
        return 2;
    }
    snprintf(base, sizeof base, "%s", argv[1]);
    if ((buf = aligned_alloc(4096, MIB)) == NULL)
        die("memory", -ENOMEM);
    for (size_t i = 0; i < MIB; i++)
        buf[i] = (unsigned char)rnd();
    set_up();
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (!strstr(cases[i].name, only))
            continue;
        // Not made and removed in turns: ext4 looks past every inode that was freed a short time ago, which
        // costs more than all else.
        if (cases[i].run == delete_last) {
            create(true, cases[i].n * rounds);
            create(false, cases[i].n * rounds);
        }
        measure(&cases[i], rounds);
    }
    chunk_store_close(store);
    return 0;
}
