// SPDX-License-Identifier: Apache-2.0
// Appends the lines of standard input to a file in a volume. Any number of these may write to one file: a
// line is never torn by another's, since O_APPEND is atomic among all processes. With a size, the file is
// renamed to FILE.1 when it has grown that large; a flock makes one of the writers do that.
//
//   cc logappend.c $(pkg-config --cflags --libs libfsclient) -o logappend
//   some-server 2>&1 | ./logappend local:/srv/vol /log/server 10000000
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#include <fsclient.h>

static struct fsc *fs;
static const char *path;

static void
say(void *arg, const char *text)
{
    (void)arg;
    fprintf(stderr, "logappend: %s\n", text);
}

static int
open_log(struct fsc_file **log)
{
    return fsc_open(fs, NULL, path, O_WRONLY | O_APPEND | O_CREAT, 0644, log);
}

// The name may stand for a new file already: another was faster.
static int
turn(struct fsc_file **log, uint64_t limit)
{
    struct stat mine, now;
    char old[4096];
    int err = fsc_flock(*log, LOCK_EX, -1);

    if (err)
        return err;
    snprintf(old, sizeof old, "%s.1", path);
    err = fsc_fstat(*log, &mine);
    if (!err && (uint64_t)mine.st_size >= limit && fsc_stat(fs, NULL, path, 0, &now) == 0 &&
        now.st_ino == mine.st_ino)
        err = fsc_rename(fs, NULL, path, NULL, old, 0);
    fsc_close(*log); // and gives the lock back
    *log = NULL;
    return err ? err : open_log(log);
}

int
main(int argc, char **argv)
{
    struct fsc_options options = {.message = say};
    uint64_t limit = argc == 4 ? strtoull(argv[3], NULL, 10) : UINT64_MAX, end;
    struct fsc_file *log = NULL;
    char *line = NULL;
    size_t room = 0;
    ssize_t n;
    int err;

    if (argc < 3) {
        fprintf(stderr, "usage: logappend URL FILE [SIZE]\n");
        return 2;
    }
    path = argv[2];
    err = fsc_open_volume(argv[1], &options, &fs);
    if (!err)
        err = open_log(&log);
    while (!err && (n = getline(&line, &room, stdin)) > 0) {
        n = fsc_append(log, line, (size_t)n, &end);
        err = n < 0 ? (int)n : 0;
        if (!err && end >= limit)
            err = turn(&log, limit);
    }
    if (!err)
        err = fsc_fsync(log);
    if (err)
        fprintf(stderr, "logappend: %s: %s\n", path, strerror(-err));
    free(line);
    fsc_close(log);
    fsc_close_volume(fs);
    return err != 0;
}
