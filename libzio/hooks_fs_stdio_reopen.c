// SPDX-License-Identifier: Apache-2.0
// freopen: the stream stays, what it is over changes. The program knows the stream by its address, so that a
// plain one whose new file is routed becomes one of ours in place.
#include <limits.h>
#include <stdio_ext.h>
#include <string.h>

#include "libzio/hooks_fs_stdio.h"

// The new file, for a stream that has descriptor `old` (-1: none). NULL path: the same file in another mode.
static int
reopen_fd(int old, const char *path, const struct stream_mode *m)
{
    char same[PATH_MAX];

    if (!path) {
        snprintf(same, sizeof(same), "/proc/self/fd/%d", old);
        if (route_fd(old)) {
            struct route_file *f = route_file_get(old);
            ssize_t n = f ? fs_path_of(f, same, sizeof(same) - 1) : -EBADF;

            if (f)
                route_file_put(f);
            if (n < 0)
                return (int)fs_result(n);
            same[n] = '\0';
        }
        path = same;
    }
    return open(path, m->flags, 0666);
}

// The stream's number stays what it was: the new file is put there.
static int
place_fd(FILE *fp, int old, int fd, const struct stream_mode *m)
{
    if (old >= 0 && fd != old) {
        if (dup3(fd, old, m->flags & O_CLOEXEC) < 0) {
            int err = errno;

            close(fd);
            errno = err;
            return -1;
        }
        close(fd);
        fd = old;
    }
    fp->_fileno = fd;
    if ((m->flags & O_APPEND) && (m->flags & O_ACCMODE) == O_WRONLY)
        lseek64(fd, 0, SEEK_END);
    return 0;
}

// What is left of a stream whose new file could not be had: as after fclose, but for its memory.
static FILE *
leave_closed(FILE *fp, int old)
{
    static const struct stream_mode none = {.flags = O_RDWR};
    int err = errno;

    stream_fresh(fp, &none);
    fp->_flags |= F_NO_READS | F_NO_WRITES;
    fp->_fileno = -1;
    if (old >= 0)
        close(old);
    errno = err;
    return NULL;
}

static FILE *
reopen_ours(FILE *fp, const char *path, const struct stream_mode *m)
{
    int old = fp->_fileno, fd;

    fflush(fp);
    fd = reopen_fd(old, path, m);
    if (fd < 0 || place_fd(fp, old, fd, m) < 0)
        return leave_closed(fp, old);
    stream_fresh(fp, m);
    return fp;
}

// A stream of the C library's whose new file (fd) is routed.
static FILE *
reopen_plain(FILE *fp, int old, int fd, const struct stream_mode *m)
{
    int err = stream_adopt(fp, m);

    if (err == 0 && place_fd(fp, old, fd, m) == 0)
        return fp;
    if (err == -EOPNOTSUPP)
        route_refused("freopen");
    close(fd);
    errno = err ? -err : errno;
    return NULL;
}

ZIO_EXPORT FILE *
freopen(const char *path, const char *mode, FILE *fp)
{
    struct stream_mode m;
    int old, fd;

    if (route_idle() || !stream_mode_parse(mode, &m))
        return FS_REAL(freopen)(path, mode, fp);
    if (stream_is_ours(fp))
        return reopen_ours(fp, path, &m);
    old = fileno(fp);
    if (!(path ? fs_takes_part(path) : old >= 0 && route_fd(old)))
        return FS_REAL(freopen)(path, mode, fp);
    fflush(fp);
    fd = reopen_fd(old, path, &m);
    if (fd < 0 || !route_fd(fd)) {
        if (fd >= 0)
            close(fd);
        return FS_REAL(freopen)(path, mode, fp); // says why
    }
    return reopen_plain(fp, old, fd, &m);
}
ZIO_ALIAS(freopen64, freopen);
