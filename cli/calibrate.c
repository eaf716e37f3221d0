// SPDX-License-Identifier: Apache-2.0
// Measures memcpy and page moves. Medians of a few rounds; see calibrate.h.
#include "cli/calibrate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define ROUNDS 9
#define HOT_SIZE (256u << 10)
#define FRESH_SIZE (1u << 20)

static double
now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static int
ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double
median(double *v)
{
    qsort(v, ROUNDS, sizeof *v, ascending);
    return v[ROUNDS / 2];
}

static void *
map(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return p == MAP_FAILED ? NULL : p;
}

// Moves HOT_SIZE bytes at `from` to a place kept free for it and back; the time of one way.
static int
measure_move(void *from, double *ns)
{
    void *place = mmap(NULL, HOT_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    double start = now();

    if (place == MAP_FAILED)
        return -errno;
    if (mremap(from, HOT_SIZE, HOT_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, place) == MAP_FAILED)
        return -errno;
    if (mremap(place, HOT_SIZE, HOT_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, from) == MAP_FAILED)
        return -errno;
    *ns = (now() - start) / 2;
    return 0;
}

int
calibrate(struct calibration *out)
{
    double hot[ROUNDS], fresh[ROUNDS], move[ROUNDS];
    char *src = map(FRESH_SIZE), *dst = map(HOT_SIZE);
    int rc = src && dst ? 0 : -ENOMEM;

    if (rc == 0) {
        memset(src, 1, FRESH_SIZE);
        memset(dst, 1, HOT_SIZE);
    }
    for (int i = 0; rc == 0 && i < ROUNDS; i++) {
        char *target = map(FRESH_SIZE);
        double start;

        if (!target) {
            rc = -ENOMEM;
            break;
        }
        madvise(target, FRESH_SIZE, MADV_NOHUGEPAGE);
        start = now();
        memcpy(target, src, FRESH_SIZE);
        fresh[i] = (now() - start) / FRESH_SIZE;
        munmap(target, FRESH_SIZE);
        memcpy(dst, src, HOT_SIZE);
        start = now();
        memcpy(dst, src, HOT_SIZE);
        __asm__ volatile("" : : "r"(dst) : "memory"); // the copies are for the time they take
        hot[i] = (now() - start) / HOT_SIZE;
        rc = measure_move(dst, &move[i]);
    }
    if (rc == 0)
        *out = (struct calibration){median(hot), median(fresh), median(move)};
    if (src)
        munmap(src, FRESH_SIZE);
    if (dst)
        munmap(dst, HOT_SIZE);
    return rc;
}
