// SPDX-License-Identifier: Apache-2.0
// See vmquery.h. PROCMAP_QUERY answers in about a microsecond (Linux 6.11); before it, /proc/self/maps is
// read.
#include "libzio/vmquery.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "libzio/sys.h"
#include "libzio/uffd_compat.h"
#include "libzio/zio.h"
#include "libzio/zmem.h"

static bool
kind_ok(uintptr_t vstart, uintptr_t vend, bool rw_private, bool file, const char *name)
{
    uintptr_t sp = (uintptr_t)__builtin_frame_address(0);

    if (!rw_private || file)
        return false;
    if (sp >= vstart && sp < vend)
        return false;
    return !(name[0] == '[' && memcmp(name, "[stack", 6) == 0);
}

static bool
parse_hex(const char **p, const char *end, uintptr_t *v)
{
    const char *s = *p;

    for (*v = 0; s < end; s++) {
        int d = *s >= '0' && *s <= '9' ? *s - '0' : *s >= 'a' && *s <= 'f' ? *s - 'a' + 10 : -1;

        if (d < 0)
            break;
        *v = *v << 4 | (uintptr_t)d;
    }
    if (s == *p || s == end)
        return false;
    *p = s + 1; // past the separator
    return true;
}

// One line of /proc/PID/maps (proc(5)): start-end perms offset dev inode name. *found gets the end of the
// mapping when it holds `at`.
static bool
parse_line(const char *p, const char *end, uintptr_t at, uintptr_t *found)
{
    uintptr_t vs, ve, off;
    const char *perms, *name;
    char inode = '0';
    int spaces = 0;

    if (!parse_hex(&p, end, &vs) || !parse_hex(&p, end, &ve) || end - p < 6)
        return false;
    if (vs > at || ve <= at)
        return false;
    *found = ve;
    perms = p;
    p += 5;
    if (!parse_hex(&p, end, &off))
        return false;
    for (; p < end && spaces < 2; p++) {
        if (*p == ' ')
            spaces++;
        else if (spaces == 1)
            inode = *p == '0' && inode == '0' ? '0' : '1';
    }
    while (p < end && *p == ' ')
        p++;
    name = end - p >= 6 ? p : "";
    return kind_ok(vs, ve, perms[0] == 'r' && perms[1] == 'w' && perms[2] == '-' && perms[3] == 'p',
                   inode != '0', name);
}

static bool
ask_maps(int fd, uintptr_t at, uintptr_t *found)
{
    static char buf[16384]; // under the engine's lock
    size_t have = 0;
    bool ok = false;

    zsys3(SYS_lseek, fd, 0, SEEK_SET);

    while (!*found) {
        long r = zsys3(SYS_read, fd, buf + have, sizeof(buf) - have);
        char *line = buf, *nl;

        if (r <= 0)
            return false;
        have += (size_t)r;
        while (!*found && (nl = memchr(line, '\n', (size_t)(buf + have - line)))) {
            ok = parse_line(line, nl, at, found);
            line = nl + 1;
        }
        have = (size_t)(buf + have - line);
        zmem_move(buf, line, have);
        if (have == sizeof(buf))
            return false;
    }
    return ok;
}

// The mapping that holds `at`: is it of the right kind, and where does it end?
static bool
ask(int fd, uintptr_t at, uintptr_t *end)
{
    struct procmap_query q = {.size = sizeof(q), .query_addr = at};
    uint64_t rwp = PROCMAP_QUERY_VMA_READABLE | PROCMAP_QUERY_VMA_WRITABLE;
    char name[128] = "";
    long r = -1;

    *end = 0;
    if (!(zio_cfg.features_off & ZIO_F_PROCMAPQUERY)) {
        q.vma_name_size = sizeof(name);
        q.vma_name_addr = (uintptr_t)name;
        r = zsys3(SYS_ioctl, fd, PROCMAP_QUERY, &q);
    }
    if (r == -2) // ENOENT: not mapped
        return false;
    if (r < 0)
        return ask_maps(fd, at, end);
    *end = q.vma_end;
    return kind_ok(q.vma_start, q.vma_end, (q.vma_flags & 0xf) == rwp, q.inode != 0, name);
}

bool
vmquery_elidable(uintptr_t start, uintptr_t end)
{
    return vmquery_pieces(start, end) > 0;
}

unsigned
vmquery_pieces(uintptr_t start, uintptr_t end)
{
    unsigned n = 0;
    bool ok = true;
    uintptr_t stop;
    long fd;

    fd = zsys4(SYS_openat, AT_FDCWD, "/proc/self/maps", O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return 0;
    // Registering a part of a mapping cuts it: the range may lie in several that were one.
    for (uintptr_t at = start; ok && at < end; at = stop, n++)
        ok = ask((int)fd, at, &stop) && stop > at;
    zsys1(SYS_close, fd);
    return ok ? n : 0;
}
