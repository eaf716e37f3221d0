// SPDX-License-Identifier: Apache-2.0
// Finds and checks the page of counters of a process. See statread.h.
#include "cli/statread.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"

#define LINK_TEXT "/memfd:" ZIO_STAT_NAME " (deleted)"

int
statread_parse(const void *bytes, size_t n, struct zio_statpage *out)
{
    const size_t fixed = offsetof(struct zio_statpage, counter);
    struct zio_statpage page = {0};

    if (n < fixed)
        return -EPROTO;
    memcpy(&page, bytes, fixed);
    if (page.magic != ZIO_STAT_MAGIC)
        return -EPROTO;
    if (page.version != ZIO_STAT_VERSION)
        return -EPROTONOSUPPORT;
    if (page.ncounters > (ZIO_STAT_SIZE - fixed) / sizeof page.counter[0] ||
        page.size < fixed + page.ncounters * sizeof page.counter[0] || page.size > n)
        return -EPROTO;
    if (page.ncounters > ZIO_C_COUNT)
        page.ncounters = ZIO_C_COUNT; // a newer writer appended some that have no name here
    memcpy(page.counter, (const char *)bytes + fixed, page.ncounters * sizeof page.counter[0]);
    page.reason[sizeof page.reason - 1] = '\0';
    page.program[sizeof page.program - 1] = '\0';
    text_clean(page.reason);
    text_clean(page.program);
    *out = page;
    return 0;
}

// The number by which the process knows itself: in its innermost pid namespace.
static int
own_pid(pid_t pid)
{
    char path[64], line[256];
    int own = pid;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    f = fopen(path, "re");
    if (!f)
        return own;
    while (fgets(line, sizeof line, f))
        if (strncmp(line, "NSpid:", 6) == 0) {
            const char *last = strrchr(line, '\t');

            if (last)
                own = atoi(last + 1);
            break;
        }
    fclose(f);
    return own;
}

static int
read_page(int dir, const char *name, struct zio_statpage *out)
{
    char bytes[ZIO_STAT_SIZE];
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), rc;
    ssize_t n;

    if (fd < 0)
        return -errno;
    // read, not mapped: a page that its owner truncates must not kill the reader.
    n = pread(fd, bytes, sizeof bytes, 0);
    rc = n < 0 ? -errno : statread_parse(bytes, (size_t)n, out);
    close(fd);
    return rc;
}

int
statread_pid(pid_t pid, struct zio_statpage *out)
{
    char path[64], target[sizeof LINK_TEXT + 1];
    int rc = -ENODATA, own;
    struct dirent *e;
    DIR *dir;

    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    dir = opendir(path);
    if (!dir)
        return errno == ENOENT ? -ESRCH : errno == EPERM ? -EACCES : -errno;
    own = own_pid(pid);
    while (rc != 0 && (errno = 0, e = readdir(dir))) {
        ssize_t n = readlinkat(dirfd(dir), e->d_name, target, sizeof target - 1);
        int err;

        if (n != (ssize_t)strlen(LINK_TEXT) || memcmp(target, LINK_TEXT, (size_t)n) != 0)
            continue;
        err = read_page(dirfd(dir), e->d_name, out);
        // A page that was inherited or received counts another process's work.
        if (err == 0 && out->pid != own)
            continue;
        rc = err;
    }
    // A zombie's directory opens and cannot be read; another user's reads as "Permission denied".
    if (rc == -ENODATA && (errno == EACCES || errno == EPERM))
        rc = -EACCES;
    closedir(dir);
    return rc;
}

const char *
statread_strerror(int err)
{
    switch (err) {
    case -ESRCH:
        return "no such process";
    case -EACCES:
        return "not allowed to look at it: be its user, or root";
    case -ENODATA:
        return "it does not run under zIO (start it with 'zio run')";
    case -EPROTO:
        return "its page of counters is damaged";
    case -EPROTONOSUPPORT:
        return "its page of counters is of another version of zIO: use that version's 'zio stat'";
    default:
        return strerror(-err);
    }
}

const char *
statread_state(uint32_t state)
{
    static const char *const names[] = {
        [ZIO_STATE_STARTING] = "starting", [ZIO_STATE_READY] = "ready",       [ZIO_STATE_ACTIVE] = "active",
        [ZIO_STATE_OFF] = "off",           [ZIO_STATE_DISABLED] = "disabled",
    };

    return state < sizeof names / sizeof names[0] ? names[state] : "unknown";
}
