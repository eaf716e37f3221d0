// SPDX-License-Identifier: Apache-2.0
// See unit.h.
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static struct zio_statpage page;
struct zio_statpage *zio_page = &page;

char unit_log[4096];
unsigned unit_log_lines;

void
unit_log_clear(void)
{
    unit_log[0] = '\0';
    unit_log_lines = 0;
}

void
zio_log(int level, const char *fmt, ...)
{
    size_t n = strlen(unit_log);
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(unit_log + n, sizeof(unit_log) - n, fmt, ap);
    va_end(ap);
    n = strlen(unit_log);
    snprintf(unit_log + n, sizeof(unit_log) - n, "\n");
    unit_log_lines++;
}

// splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014).
static uint64_t state;

void
unit_seed(uint64_t fallback)
{
    const char *v = getenv("ZIO_TEST_SEED");

    state = v && *v ? strtoull(v, NULL, 0) : fallback;
    printf("# seed %llu (ZIO_TEST_SEED overrides it)\n", (unsigned long long)state);
    fflush(stdout);
}

uint64_t
unit_random(void)
{
    uint64_t z = state += 0x9e3779b97f4a7c15ull;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

uint32_t
unit_below(uint32_t n)
{
    return (uint32_t)(((unit_random() >> 32) * n) >> 32);
}

int
unit_in_child(int (*body)(void))
{
    int status;
    pid_t pid;

    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        int line = body();

        if (line)
            fprintf(stderr, "# child: the check at line %d does not hold\n", line);
        _exit(line ? 1 : 0);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return -1;
    return status;
}

unsigned
unit_resident(uintptr_t base, size_t pages)
{
    unsigned char vec[256];
    unsigned n = 0;

    for (size_t at = 0; at < pages; at += sizeof(vec)) {
        size_t k = min_of(pages - at, sizeof(vec));

        assert_int_equal(mincore((void *)(base + at * ZPAGE), k * ZPAGE, vec), 0);
        for (size_t i = 0; i < k; i++)
            n += vec[i] & 1;
    }
    return n;
}
