// SPDX-License-Identifier: Apache-2.0
// Another's lock on a file: mount_peer URL|- ACTION PATH. With a URL through the C library, with "-" by the
// kernel. try-range, try-flock: exit 0 if the lock could be had. hold-range, hold-flock: takes it, says
// "held" and stays.
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "fsclient/fsclient.h"

static int
by_library(const char *url, const char *path, bool flocked, struct fsc **fs, struct fsc_file **file)
{
    struct fsc_lock lock = {.start = 2, .end = 5, .type = F_WRLCK, .pid = getpid()};
    int err = fsc_open_volume(url, NULL, fs);

    if (!err)
        err = fsc_open(*fs, NULL, path, O_RDWR, 0, file);
    if (err)
        return err;
    return flocked ? fsc_flock(*file, LOCK_EX, 0) : fsc_setlk(*file, 1, &lock, 0);
}

static int
by_kernel(const char *path, bool flocked)
{
    struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 2, .l_len = 4};
    int fd = open(path, O_RDWR);

    if (fd < 0)
        return -errno;
    return (flocked ? flock(fd, LOCK_EX | LOCK_NB) : fcntl(fd, F_SETLK, &fl)) == 0 ? 0 : -errno;
}

int
main(int argc, char **argv)
{
    struct fsc_file *file = NULL;
    struct fsc *fs = NULL;
    bool flocked;
    int err;

    if (argc != 4)
        return 2;
    flocked = strstr(argv[2], "flock") != NULL;
    err = strcmp(argv[1], "-") ? by_library(argv[1], argv[3], flocked, &fs, &file)
                               : by_kernel(argv[3], flocked);
    if (err && err != -EAGAIN && err != -EACCES)
        fprintf(stderr, "%s: %s\n", argv[3], strerror(-err));
    if (!err && strncmp(argv[2], "hold-", 5) == 0) {
        puts("held");
        fflush(stdout);
        pause();
    }
    fsc_close(file);
    fsc_close_volume(fs);
    return err != 0;
}
