// SPDX-License-Identifier: Apache-2.0
// Checks of the rest of the system: kernel version, system calls, limits, memory settings.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/features.h"
#include "cli/kernel_compat.h"
#include "cli/probe.h"

// Reads the first line of a file of /proc or /sys, without its newline. False: there is no such file.
static bool
read_line(const char *path, char *out, size_t len)
{
    FILE *f = fopen(path, "re");
    bool ok = f && fgets(out, (int)len, f);

    if (f)
        fclose(f);
    if (!ok)
        return false;
    out[strcspn(out, "\n")] = '\0';
    return true;
}

void
probe_kernel(struct probe *p)
{
    unsigned major = 0, minor = 0;
    struct utsname name;

    if (uname(&name) != 0 || sscanf(name.release, "%u.%u", &major, &minor) != 2)
        probe_say(p, PROBE_DEGRADED, "", "cannot tell the version");
    else if (major < 5 || (major == 5 && minor < 7))
        probe_say(p, PROBE_MISSING, "", "%s %s: boot Linux 5.7 or later, best 6.11", name.release,
                  name.machine);
    else if (major < 6 || (major == 6 && minor < 11))
        probe_say(p, PROBE_DEGRADED, "", "%s %s: works best from 6.11 on", name.release, name.machine);
    else
        probe_say(p, PROBE_OK, "", "%s %s", name.release, name.machine);
}

void
probe_pagemapscan(struct probe *p)
{
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    struct page_region region;
    struct pm_scan_arg arg = {.size = sizeof arg, .vec = (uintptr_t)&region, .vec_len = 1};
    char *page;
    int fd;

    if (features_hidden("pagemapscan")) {
        probe_say(p, PROBE_DEGRADED, "unset ZIO_FEATURES", "taken away by ZIO_FEATURES=-pagemapscan");
        return;
    }
    page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    arg.start = (uintptr_t)page;
    arg.end = arg.start + size;
    arg.category_mask = arg.return_mask = PAGE_IS_PRESENT;
    if (page == MAP_FAILED || fd < 0)
        probe_say(p, PROBE_DEGRADED, "", "/proc/self/pagemap cannot be read: %s", strerror(errno));
    else if (ioctl(fd, PAGEMAP_SCAN, &arg) == 1)
        probe_say(p, PROBE_OK, "", "tried");
    else
        probe_say(p, PROBE_DEGRADED, "",
                  "not in this kernel: /proc/self/pagemap is read instead, more slowly");
    if (fd >= 0)
        close(fd);
    if (page != MAP_FAILED)
        munmap(page, size);
}

void
probe_procmapquery(struct probe *p)
{
    struct procmap_query query = {.size = sizeof query, .query_addr = (uintptr_t)&query};
    int fd;

    if (features_hidden("procmapquery")) {
        probe_say(p, PROBE_DEGRADED, "unset ZIO_FEATURES", "taken away by ZIO_FEATURES=-procmapquery");
        return;
    }
    fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && ioctl(fd, PROCMAP_QUERY, &query) == 0 && query.vma_start <= query.query_addr)
        probe_say(p, PROBE_OK, "", "tried");
    else
        probe_say(p, PROBE_DEGRADED, "",
                  "not in this kernel: /proc/self/maps is parsed instead, more slowly");
    if (fd >= 0)
        close(fd);
}

static void
say_syscall(struct probe *p, int fd, enum probe_status without)
{
    if (fd >= 0) {
        close(fd);
        probe_say(p, PROBE_OK, "", "tried");
    } else {
        probe_say(p, without, "", "%s", strerror(errno));
    }
}

void
probe_memfd(struct probe *p)
{
    say_syscall(p, memfd_create("zio-doctor", MFD_CLOEXEC), PROBE_MISSING);
}

void
probe_pidfd(struct probe *p)
{
    // Only `zio stat --watch` asks for one, to see at once that the process has ended.
    say_syscall(p, (int)syscall(SYS_pidfd_open, getpid(), 0), PROBE_DEGRADED);
}

void
probe_addrspace(struct probe *p)
{
    struct rlimit limit;
    char size[TEXT_MAX];

    if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        probe_say(p, PROBE_OK, "", "unlimited");
    else
        probe_say(p, PROBE_MISSING, "ulimit -v unlimited",
                  "limited to %s: zIO reserves address space, so elision stays off under a limit",
                  text_bytes(size, limit.rlim_cur));
}

void
probe_overcommit(struct probe *p)
{
    char mode[32] = "?";

    read_line("/proc/sys/vm/overcommit_memory", mode, sizeof mode);
    if (strcmp(mode, "2") == 0)
        probe_say(p, PROBE_DEGRADED, "sudo sysctl -w vm.overcommit_memory=0",
                  "vm.overcommit_memory=2: memory kept for reuse counts against the commit limit");
    else
        probe_say(p, PROBE_OK, "", "vm.overcommit_memory=%s", mode);
}

void
probe_seccomp(struct probe *p)
{
    FILE *f = fopen("/proc/self/status", "re");
    char line[256];
    int mode = 0;

    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "Seccomp: %d", &mode) == 1)
            break;
    if (f)
        fclose(f);
    if (mode == 0)
        probe_say(p, PROBE_OK, "", "none");
    else
        probe_say(p, PROBE_DEGRADED, "",
                  "a seccomp filter is on (container or sandbox): it must allow userfaultfd, mremap, "
                  "process_madvise and clone; what it takes away shows above");
}

void
probe_thp(struct probe *p)
{
    char line[128];
    const char *path = "/sys/kernel/mm/transparent_hugepage/enabled";

    if (!read_line(path, line, sizeof line))
        probe_say(p, PROBE_OK, "", "not in this kernel");
    else if (strstr(line, "[always]"))
        probe_say(p, PROBE_DEGRADED, "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled",
                  "always: huge pages must be split before parts of them can be moved");
    else
        probe_say(p, PROBE_OK, "", "%s", line);
}

// The smallest memory limit from the process's control group up to the root. False: none.
static bool
smallest_limit(uint64_t *out, char *where, size_t len)
{
    char group[PATH_MAX], path[2 * PATH_MAX], value[64];
    bool found = false;

    // "0::/path" is the one line of version 2; with version 1, limits are looked for at the root only.
    if (!read_line("/proc/self/cgroup", group, sizeof group))
        return false;
    if (strncmp(group, "0::", 3) != 0) {
        snprintf(path, sizeof path, "/sys/fs/cgroup/memory/memory.limit_in_bytes");
        if (!read_line(path, value, sizeof value))
            return false;
        *out = strtoull(value, NULL, 10);
        snprintf(where, len, "%s", path);
        return *out < UINT64_C(1) << 60;
    }
    for (char *dir = group + 3; *dir;) {
        uint64_t limit;

        snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.max", strcmp(dir, "/") == 0 ? "" : dir);
        if (read_line(path, value, sizeof value) && text_parse_bytes(value, &limit) == 0 &&
            (!found || limit < *out)) {
            *out = limit;
            snprintf(where, len, "%s", path);
            found = true;
        }
        if (strcmp(dir, "/") == 0)
            break;
        *strrchr(dir, '/') = '\0';
        if (!*dir)
            strcpy(dir, "/");
    }
    return found;
}

void
probe_populatewrite(struct probe *p)
{
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    char *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (features_hidden("populatewrite"))
        probe_say(p, PROBE_DEGRADED, "unset ZIO_FEATURES", "taken away by ZIO_FEATURES=-populatewrite");
    else if (page != MAP_FAILED && madvise(page, size, MADV_POPULATE_WRITE) == 0)
        probe_say(p, PROBE_OK, "", "tried");
    else
        probe_say(p, PROBE_DEGRADED, "",
                  "not in this kernel: what was there before a fork is copied until it is written to");
    if (page != MAP_FAILED)
        munmap(page, size);
}

void
probe_cgroup(struct probe *p)
{
    const uint64_t small = UINT64_C(256) << 20;
    char where[2 * PATH_MAX], size[TEXT_MAX];
    uint64_t limit = 0;

    if (!smallest_limit(&limit, where, sizeof where))
        probe_say(p, PROBE_OK, "", "none");
    else if (limit < small)
        probe_say(p, PROBE_DEGRADED, "", "%s: little is left for pages kept for reuse (%.120s)",
                  text_bytes(size, limit), where);
    else
        probe_say(p, PROBE_OK, "", "%s (%.120s); zIO keeps a share of it", text_bytes(size, limit), where);
}

void
probe_sockmap(struct probe *p)
{
    char why[256] = "";
    int err;

    if (features_hidden("sockmap")) {
        probe_say(p, PROBE_DEGRADED, "unset ZIO_FEATURES", "taken away by ZIO_FEATURES=-sockmap");
        return;
    }
    err = sockmap_ask(why, sizeof why);
    if (err == -ENOENT)
        probe_say(p, PROBE_DEGRADED, "sudo apt install clang bpftool libbpf-dev", "%s", why);
    else if (err)
        probe_say(p, PROBE_DEGRADED, "", "%s: connections use plain TCP", why);
    else if (strstr(why, "no BPF file system"))
        probe_say(p, PROBE_OK, "sudo mount -t bpf bpf /sys/fs/bpf", "%s", why);
    else
        probe_say(p, PROBE_OK, "", "%s", why);
}
