// SPDX-License-Identifier: Apache-2.0
// Reading the live counters of a process under libzio: the page is a memfd among the process's descriptors.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench/zstat.h"

static int
page_open(pid_t pid)
{
    char dir[64], path[PATH_MAX], link[128];
    struct dirent *e;
    int fd = -1;
    snprintf(dir, sizeof dir, "/proc/%d/fd", (int)pid);
    DIR *d = opendir(dir);
    if (!d)
        return -errno;
    while (fd < 0 && (e = readdir(d))) {
        ssize_t n = readlinkat(dirfd(d), e->d_name, link, sizeof link - 1);
        if (n <= 0)
            continue;
        link[n] = '\0';
        if (strncmp(link, "/memfd:" ZIO_STAT_NAME, sizeof "/memfd:" ZIO_STAT_NAME - 1) != 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        fd = open(path, O_RDONLY | O_CLOEXEC);
    }
    closedir(d);
    return fd < 0 ? -ENOENT : fd;
}

int
zstat_read(pid_t pid, struct zio_statpage *out)
{
    int fd = page_open(pid), err = 0;
    memset(out, 0, sizeof *out);
    if (fd < 0)
        return fd;
    struct zio_statpage *p = mmap(NULL, ZIO_STAT_SIZE, PROT_READ, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED) {
        err = -errno;
    } else {
        if (p->magic == ZIO_STAT_MAGIC && p->version == ZIO_STAT_VERSION && p->ncounters <= ZIO_C_COUNT)
            memcpy(out, p, sizeof *out);
        else
            err = -EPROTO;
        munmap(p, ZIO_STAT_SIZE);
    }
    close(fd);
    return err;
}

json_t *
zstat_delta(const struct zio_statpage *a, const struct zio_statpage *b)
{
    static const struct {
        const char *name, *unit;
    } names[] = {
#define X(id, unit, help) {#id, unit},
        ZIO_COUNTERS(X)
#undef X
    };
    json_t *o = json_object();
    for (unsigned i = 0; i < b->ncounters && i < ZIO_C_COUNT; i++) {
        uint64_t v = b->counter[i];
        if (strcmp(names[i].unit, "gauge") != 0)
            v -= a->counter[i];
        if (v)
            json_object_set_new(o, names[i].name, json_integer((json_int_t)v));
    }
    return o;
}

// Adds the CPU time of `parent`'s children; with a name, of those so called.
static uint64_t
children_ns(pid_t parent, const char *name)
{
    char path[96], comm[32];
    uint64_t sum = 0;
    int pid;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)parent, (int)parent);
    FILE *f = fopen(path, "re");
    while (f && fscanf(f, "%d", &pid) == 1) {
        unsigned long long ns = 0;
        snprintf(path, sizeof path, "/proc/%d/comm", pid);
        FILE *c = fopen(path, "re");
        if (!c || !fgets(comm, sizeof comm, c))
            comm[0] = '\0';
        if (c)
            fclose(c);
        if (name && strncmp(comm, name, strlen(name)) != 0)
            continue;
        snprintf(path, sizeof path, "/proc/%d/schedstat", pid);
        c = fopen(path, "re");
        if (c && fscanf(c, "%llu", &ns) == 1)
            sum += ns;
        if (c)
            fclose(c);
    }
    if (f)
        fclose(f);
    return sum;
}

uint64_t
zstat_helper_ns(pid_t pid)
{
    return children_ns(pid, NULL) + children_ns(getpid(), "zio-fault");
}
