// SPDX-License-Identifier: Apache-2.0
// Threads that map, store, protect, synchronise, read, write, unmap and fork at once, each in bytes of its
// own.
//
//   map_threads DIRECTORY SEED
#include <pthread.h>
#include <stdatomic.h>

#include "tests/route/map_trace.h"

#define THREADS 4
#define PAGES 70 // of the file: several chunks of 64 KiB
#define STEPS 1500

static char name[4096];
static unsigned seed;
static _Atomic int bad;
static unsigned char mine[THREADS][PAGES]; // what each thread has in its byte of each page

static void
fail(const char *what, size_t page)
{
    printf("FAIL seed %u: %s at page %zu: %s\n", seed, what, page, strerrorname_np(errno));
    fflush(stdout);
    atomic_store(&bad, 1);
}

// A child maps and looks; the parent's mappings are its, too.
static void
in_child(int fd, const char *p, size_t len)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        const char *q = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);

        _exit(q == MAP_FAILED || munmap((void *)p, len) != 0);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
        fail("the child", 0);
}

static void
step(int fd, unsigned r, int me)
{
    size_t first = (r >> 8) % PAGES, pages = 1 + (r >> 16) % 20, half;
    char *p = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)(first * PAGE)), b;

    if (p == MAP_FAILED) {
        fail("mmap", first);
        return;
    }
    for (size_t i = 0; i < pages && first + i < PAGES; i++) {
        char *own = p + i * PAGE + me * 8;

        if ((unsigned char)*own != mine[me][first + i])
            fail("load", first + i);
        mine[me][first + i] = (unsigned char)(*own = (char)(r + i));
    }
    if (r & 1 && mprotect(p, PAGE, PROT_READ) != 0)
        fail("mprotect", first);
    if ((r & 6) == 0 && msync(p, pages * PAGE, MS_ASYNC) != 0)
        fail("msync", first);
    if ((r & 24) == 0) {
        if (pread(fd, &b, 1, (off_t)(first * PAGE) + me * 8) != 1 || (unsigned char)b != mine[me][first])
            fail("pread", first);
        b = (char)(r >> 3);
        if (pwrite(fd, &b, 1, (off_t)(first * PAGE) + me * 8) != 1 || p[me * 8] != b)
            fail("pwrite", first);
        mine[me][first] = (unsigned char)b;
    }
    if (r % 300 == 0)
        in_child(fd, p, pages * PAGE);
    half = r & 32 ? pages / 2 : 0;
    if ((half && munmap(p, half * PAGE) != 0) || munmap(p + half * PAGE, (pages - half) * PAGE) != 0)
        fail("munmap", first);
}

static void *
work(void *arg)
{
    int me = (int)(intptr_t)arg, fd = open(name, O_RDWR);
    unsigned r = seed * THREADS + (unsigned)me;

    for (int i = 0; i < STEPS && !atomic_load(&bad); i++) {
        r = r * 1103515245 + 12345;
        step(fd, r >> 4, me);
    }
    close(fd);
    return NULL;
}

int
main(int argc, char **argv)
{
    pthread_t t[THREADS];
    int fd;

    if (argc != 3) {
        fprintf(stderr, "usage: %s DIRECTORY SEED\n", argv[0]);
        return 2;
    }
    snprintf(name, sizeof name, "%s/threads", argv[1]);
    seed = (unsigned)atoi(argv[2]);
    fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0644);
    if (fd < 0 || ftruncate(fd, PAGES * PAGE) != 0)
        return 1;
    for (int i = 0; i < THREADS; i++)
        pthread_create(&t[i], NULL, work, (void *)(intptr_t)i);
    for (int i = 0; i < THREADS; i++)
        pthread_join(t[i], NULL);
    for (int i = 0; i < THREADS && !bad; i++)
        for (size_t page = 0; page < PAGES; page++) {
            char b;

            if (pread(fd, &b, 1, (off_t)(page * PAGE) + i * 8) != 1 || (unsigned char)b != mine[i][page])
                fail("the end", page);
        }
    unlink(name);
    return bad;
}
