// SPDX-License-Identifier: Apache-2.0
// The stat page (common/statpage.h), the dump at exit, and the log. Nothing here allocates; output is one
// write(2).
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "libzio/helper.h"
#include "libzio/route_priv.h"
#include "libzio/sys.h"
#include "libzio/zio.h"

static union {
    struct zio_statpage p;
    char room[ZIO_STAT_SIZE];
} first_page; // until the shared one is there, or when it can't be had
struct zio_statpage *zio_page = &first_page.p;
static int stat_fd = -1;

_Atomic int zio_state_now = ZIO_STATE_STARTING;

void
zio_set_state(enum zio_state s, const char *reason)
{
    atomic_store(&zio_state_now, (int)s);
    zio_page->state = (uint32_t)s;
    if (reason)
        snprintf(zio_page->reason, sizeof(zio_page->reason), "%s", reason);
}

static void
read_name(char *to, size_t room)
{
    long fd = zsys4(SYS_openat, AT_FDCWD, "/proc/self/comm", O_RDONLY | O_CLOEXEC, 0), n = 0;

    if (fd >= 0) {
        n = zsys3(SYS_read, fd, to, room - 1);
        zsys1(SYS_close, fd);
    }
    if (n > 0 && to[n - 1] == '\n')
        n--;
    to[n > 0 ? n : 0] = 0;
}

void
zio_stats_open(void)
{
    struct zio_statpage *old = zio_page, *p;
    struct timespec now;
    long fd, r;

    fd = zsys2(SYS_memfd_create, ZIO_STAT_NAME, MFD_CLOEXEC);
    if (fd < 0)
        return;
    fd = zio_high_fd((int)fd);
    r = zsys2(SYS_ftruncate, fd, ZIO_STAT_SIZE);
    if (r == 0)
        r = zsys6(SYS_mmap, 0, ZIO_STAT_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (r < 0 && r > -4096) {
        zsys1(SYS_close, fd);
        return;
    }
    p = (struct zio_statpage *)r;
    clock_gettime(CLOCK_MONOTONIC, &now);
    p->version = ZIO_STAT_VERSION;
    p->size = sizeof(*p);
    p->ncounters = ZIO_C_COUNT;
    p->pid = (int)zsys0(SYS_getpid);
    p->state = (uint32_t)atomic_load(&zio_state_now);
    p->start_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    p->threshold = zio_cfg.threshold;
    memcpy(p->reason, old->reason, sizeof(p->reason));
    read_name(p->program, sizeof(p->program));
    p->magic = ZIO_STAT_MAGIC;
    // Gauges go on from what they were (a fork child inherits the memory); sums begin at zero.
#define X(id, unit, help)                                                                                    \
    if (unit[0] == 'g')                                                                                      \
        p->counter[ZIO_C_##id] = old->counter[ZIO_C_##id];
    ZIO_COUNTERS(X)
#undef X
    if (stat_fd >= 0)
        zsys1(SYS_close, stat_fd);
    stat_fd = (int)fd;
    zio_page = p;
    if (old != &first_page.p)
        zsys2(SYS_munmap, old, ZIO_STAT_SIZE);
}

void
zio_stats_init(void)
{
    zio_fd_ours_add(&stat_fd);
}

static int
open_log(const char *name)
{
    long fd;

    if (!name[0] || strcmp(name, "-") == 0)
        return 2;
    fd = zsys4(SYS_openat, AT_FDCWD, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    return (int)fd;
}

static void
put(int fd, const char *buf, size_t n)
{
    if (fd < 0)
        return;
    zsys3(SYS_write, fd, buf, n);
    if (fd != 2)
        zsys1(SYS_close, fd);
}

void
zio_stats_dump(void)
{
    static const char *states[] = {"starting", "ready", "active", "off", "disabled"};
    char buf[4096];
    int n;

    if (!zio_cfg.stats_file[0])
        return;
    route_counts_tell();
    n = snprintf(buf, sizeof(buf), "{\"pid\":%d,\"program\":\"",
                 zio_page->pid ? zio_page->pid : (int)zsys0(SYS_getpid));
    for (const char *c = zio_page->program; *c; c++)
        buf[n++] = *c >= ' ' && *c < 127 && *c != '"' && *c != '\\' ? *c : '?';
    n += snprintf(buf + n, sizeof(buf) - (size_t)n, "\",\"state\":\"%s\",\"counters\":{",
                  states[zio_page->state % 5]);
#define X(id, unit, help)                                                                                    \
    n += snprintf(buf + n, sizeof(buf) - (size_t)n, "\"" #id "\":%llu,",                                     \
                  (unsigned long long)zio_page->counter[ZIO_C_##id]);
    ZIO_COUNTERS(X)
#undef X
    memcpy(buf + n - 1, "}}\n", 3);
    put(open_log(zio_cfg.stats_file), buf, (size_t)n + 2);
}

void
zio_log(int level, const char *fmt, ...)
{
    static const char *names[] = {"error", "warning", "info", "debug"};
    char buf[512];
    int n, saved = errno;
    va_list ap;

    if (level > zio_cfg.log_level || helper_is_me())
        return;
    n = snprintf(buf, sizeof(buf), "zio[%d]: %s: ", (int)zsys0(SYS_getpid), names[level]);
    va_start(ap, fmt);
    n += vsnprintf(buf + n, sizeof(buf) - (size_t)n - 1, fmt, ap);
    va_end(ap);
    n = min_of(n, (int)sizeof(buf) - 2);
    buf[n++] = '\n';
    put(open_log(zio_cfg.log_file), buf, (size_t)n);
    errno = saved;
}
