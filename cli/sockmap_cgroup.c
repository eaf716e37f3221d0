// SPDX-License-Identifier: Apache-2.0
// See sockmap_cgroup.h.
#include "cli/sockmap_cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/magic.h>
#include <mntent.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

static bool
is_cgroup(const char *path)
{
    struct statfs s;

    return statfs(path, &s) == 0 && (unsigned long)s.f_type == CGROUP2_SUPER_MAGIC;
}

int
cgroup_mount(char out[PATH_MAX])
{
    FILE *f = setmntent("/proc/self/mounts", "re");
    struct mntent *m;
    int err = -ENOENT;

    while (f && err && (m = getmntent(f)))
        if (strcmp(m->mnt_type, "cgroup2") == 0 && strlen(m->mnt_dir) < PATH_MAX) {
            strcpy(out, m->mnt_dir);
            err = 0;
        }
    if (f)
        endmntent(f);
    return err;
}

int
cgroup_find(const char *name, char out[PATH_MAX])
{
    char mount[PATH_MAX];

    if (is_cgroup(name) && strlen(name) < PATH_MAX) {
        strcpy(out, name);
        return 0;
    }
    if (cgroup_mount(mount) != 0 ||
        (size_t)snprintf(out, PATH_MAX, "%.2000s/%.2000s", mount, name + strspn(name, "/")) >= PATH_MAX)
        return -ENOENT;
    return is_cgroup(out) ? 0 : -ENOENT;
}

uint64_t
cgroup_id(const char *path)
{
    struct stat s;

    return stat(path, &s) == 0 ? s.st_ino : 0;
}

static struct {
    uint64_t id;
    char name[PATH_MAX];
} wanted;

static int
look(const char *path, const struct stat *s, int type, struct FTW *at)
{
    (void)at;
    if (type != FTW_D || s->st_ino != wanted.id)
        return 0;
    snprintf(wanted.name, sizeof wanted.name, "%s", path);
    return 1;
}

void
cgroup_name(uint64_t id, char out[PATH_MAX])
{
    char mount[PATH_MAX];

    wanted.id = id;
    strcpy(out, "?");
    if (id && cgroup_mount(mount) == 0 && nftw(mount, look, 16, FTW_PHYS) == 1)
        snprintf(out, PATH_MAX, "%s", wanted.name[strlen(mount)] ? wanted.name + strlen(mount) : "/");
}

static int
write_file(const char *dir, const char *name, const char *text)
{
    char path[PATH_MAX + 64];
    int fd, err;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    err = write(fd, text, strlen(text)) < 0 ? -errno : 0;
    close(fd);
    return err;
}

int
cgroup_make(pid_t pid, char out[PATH_MAX])
{
    char mount[PATH_MAX], file[64], line[PATH_MAX], group[PATH_MAX] = "";
    FILE *f;
    int err = cgroup_mount(mount);

    snprintf(file, sizeof file, "/proc/%d/cgroup", (int)pid);
    f = err ? NULL : fopen(file, "re");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, "0::", 3) == 0)
            snprintf(group, sizeof group, "%.*s", (int)strcspn(line + 3, "\n"), line + 3);
    if (f)
        fclose(f);
    if (err || !group[0])
        return -ENOENT;
    if ((size_t)snprintf(out, PATH_MAX, "%.2000s%.2000s/zio-run-%d", mount, strcmp(group, "/") ? group : "",
                         (int)pid) >= PATH_MAX)
        return -ENAMETOOLONG;
    cgroup_remove(out); // of an earlier process with that number
    return mkdir(out, 0755) < 0 ? -errno : 0;
}

int
cgroup_enter(const char *path, pid_t pid)
{
    char id[32];

    snprintf(id, sizeof id, "%d", (int)pid);
    return write_file(path, "cgroup.procs", id);
}

static bool
populated(int events)
{
    char text[256];
    ssize_t n = pread(events, text, sizeof text - 1, 0);

    if (n < 0)
        return false; // the group is gone
    text[n] = '\0';
    return strstr(text, "populated 1") != NULL;
}

void
cgroup_wait_empty(const char *path)
{
    char file[PATH_MAX + 64];
    struct pollfd p = {.events = POLLPRI};

    snprintf(file, sizeof file, "%s/cgroup.events", path);
    p.fd = open(file, O_RDONLY | O_CLOEXEC);
    if (p.fd < 0)
        return;
    while (populated(p.fd))
        poll(&p, 1, 10000);
    close(p.fd);
}

static int
remove_one(const char *path, const struct stat *s, int type, struct FTW *at)
{
    (void)s;
    (void)at;
    return type == FTW_DP && rmdir(path) < 0 ? errno : 0;
}

int
cgroup_remove(const char *path)
{
    int rc = nftw(path, remove_one, 16, FTW_PHYS | FTW_DEPTH);

    return rc < 0 ? -errno : -rc;
}
