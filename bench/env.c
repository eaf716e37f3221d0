// SPDX-License-Identifier: Apache-2.0
// What surrounds the bench: the library to measure, the CPUs to use, the machine's description, temporary
// directories.
#include <errno.h>
#include <ftw.h>
#include <gnu/libc-version.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/env.h"

extern char **environ;

uint64_t
now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int
find_lib(void)
{
    static char path[PATH_MAX];
    char try[PATH_MAX + 64] = "";
    const char *dir = getenv("ZIO_LIBDIR");
    if (opt.lib) {
        snprintf(try, sizeof try, "%s", opt.lib);
    } else if (dir && *dir) {
        snprintf(try, sizeof try, "%s/libzio.so", dir);
    } else {
        char exe[PATH_MAX];
        ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
        if (n > 0) {
            exe[n] = '\0';
            *strrchr(exe, '/') = '\0';
            snprintf(try, sizeof try, "%s/../libzio/.libs/libzio.so", exe);
        }
        if (access(try, R_OK) < 0)
            snprintf(try, sizeof try, "%s", PKGLIBDIR "/libzio.so");
    }
    if (access(try, R_OK) < 0 || !realpath(try, path)) {
        fprintf(stderr,
                "zio-bench: libzio.so: %s: %s\nBuild or install zio, or name the library with --lib PATH.\n",
                try, strerror(errno));
        return -1;
    }
    opt.lib = path;
    return 0;
}

static cpu_set_t allowed; // CPUs at the start

int
env_init(void)
{
    cpu_set_t set;
    CPU_ZERO(&allowed);
    sched_getaffinity(0, sizeof allowed, &allowed);
    opt.cpu_server = opt.cpu_client = -1;
    if (sched_getaffinity(0, sizeof set, &set) == 0) {
        for (int c = 0; c < CPU_SETSIZE && opt.cpu_client < 0; c++)
            if (CPU_ISSET(c, &set))
                *(opt.cpu_server < 0 ? &opt.cpu_server : &opt.cpu_client) = c;
        if (opt.cpu_client < 0)
            opt.cpu_client = opt.cpu_server;
    }
    return find_lib();
}

void
env_pin(int cpu)
{
    cpu_set_t set;
    if (cpu < 0)
        return;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    sched_setaffinity(0, sizeof set, &set);
}

void
env_unpin(void)
{
    if (CPU_COUNT(&allowed))
        sched_setaffinity(0, sizeof allowed, &allowed);
}

int
env_beside(const char *name, char *out)
{
    char exe[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (n <= 0)
        return -ENOENT;
    exe[n] = '\0';
    *strrchr(exe, '/') = '\0';
    if (snprintf(out, PATH_MAX, "%s/%s", exe, name) >= PATH_MAX)
        return -ENAMETOOLONG;
    return access(out, R_OK) == 0 ? 0 : -ENOENT;
}

int
env_zio(char *out)
{
    const char *exe = getenv("ZIO_EXE"), *path = getenv("PATH");
    if (env_beside("../zio", out) == 0 && access(out, X_OK) == 0)
        return 0;
    if (exe && snprintf(out, PATH_MAX, "%s", exe) < PATH_MAX && access(out, X_OK) == 0)
        return 0;
    while (path && *path) {
        int n = (int)strcspn(path, ":");
        if (snprintf(out, PATH_MAX, "%.*s/zio", n, path) < PATH_MAX && access(out, X_OK) == 0)
            return 0;
        path += n + (path[n] == ':');
    }
    return -ENOENT;
}

// LD_PRELOAD's list without any libzio.so. Returns a malloc'd string, or NULL.
static char *
preload_without(const char *list)
{
    char *out = malloc(strlen(list) + 1), *o = out;
    if (!out)
        return NULL;
    for (const char *p = list; *p;) {
        p += strspn(p, ": ");
        size_t n = strcspn(p, ": ");
        const char *base = memrchr(p, '/', n);
        base = base ? base + 1 : p;
        if (n && strncmp(base, "libzio.so", 9) != 0) {
            if (o != out)
                *o++ = ':';
            o = mempcpy(o, p, n);
        }
        p += n;
    }
    *o = '\0';
    return out;
}

void
env_drop_preload(char **argv)
{
    const char *list = getenv("LD_PRELOAD");
    if (!list || !strstr(list, "libzio.so"))
        return;
    char *rest = preload_without(list);
    if (!rest)
        return;
    if (*rest)
        setenv("LD_PRELOAD", rest, 1);
    else
        unsetenv("LD_PRELOAD");
    free(rest);
    execv("/proc/self/exe", argv);
}

char **
env_for(int shim)
{
    size_t n = 0, k = 0;
    while (environ[n])
        n++;
    char **envp = calloc(n + 4, sizeof *envp);
    const char *list = getenv("LD_PRELOAD");
    char *rest = preload_without(list ? list : "");
    int bad = !envp || !rest;
    for (size_t i = 0; !bad && i < n; i++) {
        if (!strncmp(environ[i], "LD_PRELOAD=", 11) ||
            (opt.policy && !strncmp(environ[i], "ZIO_POLICY=", 11)) ||
            (opt.threshold && !strncmp(environ[i], "ZIO_THRESHOLD=", 14)))
            continue;
        bad = !(envp[k++] = strdup(environ[i]));
    }
    if (!bad && shim == ENV_NOCOPY) {
        bad = asprintf(&envp[k], "LD_PRELOAD=%.*s/libzio-nocopy.so", (int)(strrchr(opt.lib, '/') - opt.lib),
                       opt.lib) < 0;
        k += !bad;
    } else if (!bad && shim) {
        bad = asprintf(&envp[k], "LD_PRELOAD=%s%s%s", opt.lib, *rest ? ":" : "", rest) < 0;
        k += !bad;
    } else if (!bad && *rest) {
        bad = asprintf(&envp[k], "LD_PRELOAD=%s", rest) < 0;
        k += !bad;
    }
    if (!bad && opt.policy)
        bad = asprintf(&envp[k], "ZIO_POLICY=%s", opt.policy) < 0 || !++k;
    if (!bad && opt.threshold)
        bad = asprintf(&envp[k], "ZIO_THRESHOLD=%s", opt.threshold) < 0;
    free(rest);
    if (bad) {
        env_free(envp);
        return NULL;
    }
    return envp;
}

void
env_free(char **envp)
{
    for (char **e = envp; e && *e; e++)
        free(*e);
    free(envp);
}

// The first line of a small file, or what follows "key" and a colon in it.
static void
file_line(const char *path, const char *key, char *out, size_t size)
{
    char line[512];
    FILE *f = fopen(path, "re");
    out[0] = '\0';
    while (f && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        char *v = line;
        if (key) {
            if (strncmp(line, key, strlen(key)) || !(v = strchr(line, ':')))
                continue;
            v += 1 + strspn(v + 1, " \t");
        }
        snprintf(out, size, "%s", v);
        break;
    }
    if (f)
        fclose(f);
}

json_t *
env_machine(void)
{
    struct utsname u;
    struct sysinfo si = {0};
    char cpu[128], thp[64];
    uname(&u);
    sysinfo(&si);
    file_line("/proc/cpuinfo", "model name", cpu, sizeof cpu);
    file_line("/sys/kernel/mm/transparent_hugepage/enabled", NULL, thp, sizeof thp);
    return json_pack("{s:s, s:i, s:s, s:s, s:s, s:I, s:i, s:i, s:s}", "cpu", cpu, "cpus", get_nprocs(),
                     "kernel", u.release, "glibc", gnu_get_libc_version(), "transparent_hugepage", thp,
                     "memory_mib", (json_int_t)(((uint64_t)si.totalram * si.mem_unit) >> 20), "cpu_server",
                     opt.cpu_server, "cpu_client", opt.cpu_client, "scheduler",
                     sched_getscheduler(0) == SCHED_RR ? "SCHED_RR" : "SCHED_OTHER");
}

char *
size_text(uint64_t n, char *out)
{
    const char *unit[] = {"", "K", "M", "G"};
    unsigned u = 0;
    while (u < 3 && n >= 1024 && n % 1024 == 0) {
        n /= 1024;
        u++;
    }
    snprintf(out, 16, "%llu%s", (unsigned long long)n, unit[u]);
    return out;
}

int
tmpdir_make(char *out)
{
    const char *t = getenv("TMPDIR");
    snprintf(out, TMPDIR_MAX, "%s/zio-bench.XXXXXX", t && *t && strlen(t) < TMPDIR_MAX - 20 ? t : "/tmp");
    return mkdtemp(out) ? 0 : -errno;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    remove(path);
    return 0;
}

// Whatever is still mounted below: its files are somebody's.
static void
unmount_below(const char *dir)
{
    char line[4096], at[2048];
    size_t n = strlen(dir);
    FILE *f = fopen("/proc/self/mounts", "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "%*s %2047s", at) == 1 && !strncmp(at, dir, n) && at[n] == '/')
            umount2(at, MNT_DETACH);
    if (f)
        fclose(f);
}

void
tmpdir_remove(const char *dir)
{
    if (!strstr(dir, "/zio-bench."))
        return;
    unmount_below(dir);
    nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}
