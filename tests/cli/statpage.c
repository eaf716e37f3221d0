// SPDX-License-Identifier: Apache-2.0
// Stands for a process under libzio.so: makes a page of counters, good or damaged as its argument says,
// prints "ready", and ends when its standard input does.
#include "common/statpage.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static void
fill(struct zio_statpage *page)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    page->magic = ZIO_STAT_MAGIC;
    page->version = ZIO_STAT_VERSION;
    page->size = sizeof *page;
    page->ncounters = ZIO_C_COUNT;
    page->pid = getpid();
    page->state = ZIO_STATE_ACTIVE;
    page->start_ns = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
    page->threshold = 65536;
    strcpy(page->program, "statpage");
    for (unsigned i = 0; i < ZIO_C_COUNT; i++)
        page->counter[i] = 1000 + i;
    page->counter[ZIO_C_copy_bytes_elided] = 3u << 20;
}

static void
damage(struct zio_statpage *page, const char *how)
{
    if (strcmp(how, "magic") == 0)
        page->magic++;
    else if (strcmp(how, "version") == 0)
        page->version++;
    else if (strcmp(how, "size") == 0)
        page->size = 8;
    else if (strcmp(how, "hugesize") == 0)
        page->size = 1u << 30;
    else if (strcmp(how, "ncounters") == 0)
        page->ncounters = UINT32_MAX;
    else if (strcmp(how, "older") == 0)
        page->ncounters = 4; // and the counters behind them are not to be believed
    else if (strcmp(how, "state") == 0)
        page->state = 77;
    else if (strcmp(how, "pid") == 0)
        page->pid = 1;
    else if (strcmp(how, "strings") == 0) {
        memset(page->program, '\033', sizeof page->program); // no end, and would steer a terminal
        memset(page->reason, 0xff, sizeof page->reason);
    }
}

int
main(int argc, char **argv)
{
    int fd = memfd_create(ZIO_STAT_NAME, MFD_CLOEXEC);
    struct zio_statpage *page = MAP_FAILED;

    if (fd >= 0 && ftruncate(fd, ZIO_STAT_SIZE) == 0)
        page = mmap(NULL, ZIO_STAT_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED)
        return 1;
    fill(page);
    if (argc > 1)
        damage(page, argv[1]);
    if (argc > 1 && strcmp(argv[1], "short") == 0 && ftruncate(fd, 10) != 0)
        return 1;
    puts("ready");
    fflush(stdout);
    while (getchar() != EOF)
        ;
    return 0;
}
