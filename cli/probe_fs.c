// SPDX-License-Identifier: Apache-2.0
// Checks of what the file system needs: the client library that libzio.so opens, and FUSE for zio mount.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/probe.h"

void
probe_fslibrary(struct probe *p)
{
    char found[3 * PATH_MAX];

    if (paths_find_library("libfsclient.so", found, sizeof found) == 0)
        probe_say(p, PROBE_OK, "", "%.200s", found);
    else
        probe_say(p, PROBE_DEGRADED, "install zIO again", "not found (%.180s): zio run --fs can't work",
                  found);
}

// Users mount through fusermount3, which is set-user-ID; root does without.
static bool
helper_found(void)
{
    static const char *const places[] = {"/bin/fusermount3", "/usr/bin/fusermount3",
                                         "/usr/local/bin/fusermount3"};
    struct stat st;

    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        if (stat(places[i], &st) == 0 && st.st_mode & S_ISUID)
            return true;
    return false;
}

void
probe_fuse(struct probe *p)
{
    int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

    if (fd < 0)
        probe_say(
            p, PROBE_DEGRADED, errno == ENOENT || errno == ENODEV ? "modprobe fuse" : "chmod 666 /dev/fuse",
            "/dev/fuse: %s: zio mount can't work; zio run --fs and zio fs do without it", strerror(errno));
    else if (geteuid() != 0 && !helper_found())
        probe_say(p, PROBE_DEGRADED, "apt-get install fuse3",
                  "fusermount3 is missing, which mounts for ordinary users");
    else
        probe_say(p, PROBE_OK, "", "/dev/fuse can be opened");
    if (fd >= 0)
        close(fd);
}
