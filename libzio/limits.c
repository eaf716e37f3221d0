// SPDX-License-Identifier: Apache-2.0
// See limits.h. cgroups(7): version 2 keeps memory.max, version 1 memory.limit_in_bytes.
#include "libzio/limits.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "libzio/sys.h"
#include "libzio/zio.h"

static long
slurp(const char *path, char *buf, size_t room)
{
    long fd = zsys4(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0), n = -1;

    if (fd >= 0) {
        n = zsys3(SYS_read, fd, buf, room - 1);
        zsys1(SYS_close, fd);
    }
    buf[n > 0 ? n : 0] = 0;
    return n;
}

static size_t
cgroup_limit(void)
{
    char groups[4096], path[4400], value[64];
    size_t least = SIZE_MAX;

    slurp("/proc/self/cgroup", groups, sizeof(groups));
    for (char *line = strtok(groups, "\n"); line; line = strtok(NULL, "\n")) {
        bool v2 = strncmp(line, "0::", 3) == 0;
        char *dir = v2 ? line + 3 : strstr(line, ":memory:");

        if (!dir)
            continue;
        if (!v2)
            dir += 8;
        snprintf(path, sizeof(path),
                 v2 ? "/sys/fs/cgroup%s/memory.max" : "/sys/fs/cgroup/memory%s/memory.limit_in_bytes", dir);
        if (slurp(path, value, sizeof(value)) > 0 && value[0] != 'm') {
            unsigned long long n = strtoull(value, NULL, 10);

            if (n && n < least)
                least = n;
        }
    }
    return least;
}

static size_t
available(void)
{
    static size_t known;

    if (!known) {
        struct sysinfo s;

        known = sysinfo(&s) == 0 ? (size_t)s.totalram * s.mem_unit : (size_t)1 << 30;
        known = min_of(known, cgroup_limit());
    }
    return known;
}

size_t
limits_live(void)
{
    return available() / 4;
}

size_t
limits_cached(void)
{
    return min_of(available() / 32, (size_t)512 << 20);
}
