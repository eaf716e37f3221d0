// SPDX-License-Identifier: Apache-2.0
// The fs worker's calls as any program makes them. Natively, preloaded and on a mount it is the same program.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "bench/worker_fs.h"

static int
result(int r)
{
    return r < 0 ? -errno : 0;
}

static int
px_begin(const struct wreq *q)
{
    (void)q;
    return 0;
}

static int
px_open(const char *path, int flags, mode_t mode, fsio_file *out)
{
    int fd = open(path, flags | O_CLOEXEC, mode);

    *out = fd;
    return result(fd);
}

static int
px_close(fsio_file f)
{
    return result(close((int)f));
}

static ssize_t
px_pread(fsio_file f, void *buf, size_t n, uint64_t at)
{
    ssize_t k = pread((int)f, buf, n, (off_t)at);

    return k < 0 ? -errno : k;
}

static ssize_t
px_read(fsio_file f, void *buf, size_t n, uint64_t at)
{
    ssize_t k = read((int)f, buf, n);

    (void)at;
    return k < 0 ? -errno : k;
}

static ssize_t
px_write(fsio_file f, const void *buf, size_t n, uint64_t at)
{
    ssize_t k = write((int)f, buf, n);

    (void)at;
    return k < 0 ? -errno : k;
}

static int
px_fsync(fsio_file f)
{
    return result(fsync((int)f));
}

static int
px_stat(const char *path, struct stat *st)
{
    return result(stat(path, st));
}

static int
px_mkdir(const char *path)
{
    return result(mkdir(path, 0777));
}

static int
px_rmdir(const char *path)
{
    return result(rmdir(path));
}

static int
px_unlink(const char *path)
{
    return result(unlink(path));
}

static int
px_list(const char *path, fsio_each fn, void *arg)
{
    DIR *d = opendir(path);
    const struct dirent *e;
    struct stat st;
    int err = d ? 0 : -errno;

    while (d && !err && (errno = 0, e = readdir(d))) {
        bool dir = e->d_type == DT_DIR;
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
            continue;
        if (e->d_type == DT_UNKNOWN)
            dir = fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
        err = fn(arg, e->d_name, dir);
    }
    if (d && !err && errno)
        err = -errno;
    if (d)
        closedir(d);
    return err;
}

const struct fsio fsio = {
    px_begin, px_open, px_close, px_pread, px_read,   px_write,
    px_fsync, px_stat, px_mkdir, px_rmdir, px_unlink, px_list,
};
