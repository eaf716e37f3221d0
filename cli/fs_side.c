// SPDX-License-Identifier: Apache-2.0
// Files of this machine and files of a volume (see fs_side.h).
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/fs_side.h"

#define NS INT64_C(1000000000)

static int
result(int r)
{
    return r < 0 ? -errno : 0;
}

static void
from_stat(const struct stat *st, struct side_attr *out)
{
    *out =
        (struct side_attr){st->st_mode, (uint64_t)st->st_size, st->st_mtim.tv_sec * NS + st->st_mtim.tv_nsec};
}

static void
mtime_pair(int64_t ns, struct timespec ts[2])
{
    ts[0] = (struct timespec){.tv_nsec = UTIME_OMIT};
    ts[1] = (struct timespec){.tv_sec = ns / NS, .tv_nsec = ns % NS};
    if (ts[1].tv_nsec < 0) {
        ts[1].tv_nsec += NS;
        ts[1].tv_sec--;
    }
}

// ---- this machine ----

static int
host_getattr(struct fsc *fs, const char *path, bool follow, struct side_attr *out)
{
    struct stat st;
    int err = result(follow ? stat(path, &st) : lstat(path, &st));

    if (!err)
        from_stat(&st, out);
    return err;
}

static int
host_each(struct fsc *fs, const char *dir, side_each fn, void *arg)
{
    DIR *d = opendir(dir);
    const struct dirent *e;
    int err = d ? 0 : -errno;

    while (d && !err && (errno = 0, e = readdir(d)))
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            err = fn(arg, e->d_name);
    if (d && !err && errno)
        err = -errno;
    if (d)
        closedir(d);
    return err;
}

static ssize_t
host_readlink(struct fsc *fs, const char *path, char *buf, size_t size)
{
    ssize_t n = readlink(path, buf, size);

    return n < 0 ? -errno : n;
}

static int
host_symlink(struct fsc *fs, const char *text, const char *path)
{
    return result(symlink(text, path));
}

static int
host_mkdir(struct fsc *fs, const char *path, mode_t mode)
{
    return result(mkdir(path, mode));
}

static int
host_open_read(struct fsc *fs, const char *path, union side_file *out)
{
    out->fd = open(path, O_RDONLY | O_CLOEXEC);
    return result(out->fd);
}

static int
host_open_write(struct fsc *fs, const char *path, union side_file *out)
{
    out->fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    return result(out->fd);
}

static ssize_t
host_pread(union side_file f, void *buf, size_t size, uint64_t at)
{
    ssize_t n = pread(f.fd, buf, size, (off_t)at);

    return n < 0 ? -errno : n;
}

static ssize_t
host_pwrite(union side_file f, const void *buf, size_t size, uint64_t at)
{
    ssize_t n = pwrite(f.fd, buf, size, (off_t)at);

    return n < 0 ? -errno : n;
}

static int
host_sync(union side_file f)
{
    return result(fsync(f.fd));
}

static int
host_close(union side_file f)
{
    return result(close(f.fd));
}

static int
host_finish(struct fsc *fs, const char *from, const char *to)
{
    return result(rename(from, to));
}

static int
host_set(struct fsc *fs, const char *path, const struct side_attr *at)
{
    struct timespec ts[2];
    int err = result(chmod(path, at->mode & 07777));

    mtime_pair(at->mtime, ts);
    return err ? err : result(utimensat(AT_FDCWD, path, ts, 0));
}

static int
host_unlink(struct fsc *fs, const char *path)
{
    return result(unlink(path));
}

const struct side side_host = {
    host_getattr, host_each,   host_readlink, host_symlink, host_mkdir,  host_open_read, host_open_write,
    host_pread,   host_pwrite, host_sync,     host_close,   host_finish, host_set,       host_unlink,
};

// ---- the volume ----

static int
vol_getattr(struct fsc *fs, const char *path, bool follow, struct side_attr *out)
{
    struct stat st;
    int err = fsc_stat(fs, NULL, path, follow ? 0 : AT_SYMLINK_NOFOLLOW, &st);

    if (!err)
        from_stat(&st, out);
    return err;
}

static int
vol_each(struct fsc *fs, const char *dir, side_each fn, void *arg)
{
    enum { N = 128 };
    struct fsc_dirent *v = malloc(N * sizeof *v);
    struct fsc_file *f = NULL;
    uint64_t cookie = 0;
    ssize_t n = 1;
    int err = v ? fsc_open(fs, NULL, dir, O_RDONLY | O_DIRECTORY, 0, &f) : -ENOMEM;

    while (!err && n > 0) {
        n = fsc_readdir(f, cookie, v, N);
        for (ssize_t i = 0; i < n && !err; i++) {
            cookie = v[i].cookie;
            if (strcmp(v[i].name, ".") != 0 && strcmp(v[i].name, "..") != 0)
                err = fn(arg, v[i].name);
        }
    }
    fsc_close(f);
    free(v);
    return err ? err : n < 0 ? (int)n : 0;
}

static ssize_t
vol_readlink(struct fsc *fs, const char *path, char *buf, size_t size)
{
    return fsc_readlink(fs, NULL, path, buf, size);
}

static int
vol_symlink(struct fsc *fs, const char *text, const char *path)
{
    return fsc_symlink(fs, text, NULL, path);
}

static int
vol_mkdir(struct fsc *fs, const char *path, mode_t mode)
{
    return fsc_mkdir(fs, NULL, path, mode);
}

static int
vol_open_read(struct fsc *fs, const char *path, union side_file *out)
{
    return fsc_open(fs, NULL, path, O_RDONLY, 0, &out->f);
}

static int
vol_open_write(struct fsc *fs, const char *path, union side_file *out)
{
    return fsc_open(fs, NULL, path, O_WRONLY | O_CREAT | O_NOFOLLOW, 0600, &out->f);
}

static ssize_t
vol_pread(union side_file f, void *buf, size_t size, uint64_t at)
{
    return fsc_pread(f.f, buf, size, at);
}

static ssize_t
vol_pwrite(union side_file f, const void *buf, size_t size, uint64_t at)
{
    return fsc_pwrite(f.f, buf, size, at);
}

static int
vol_sync(union side_file f)
{
    return fsc_fsync(f.f);
}

static int
vol_close(union side_file f)
{
    return fsc_close(f.f);
}

static int
vol_finish(struct fsc *fs, const char *from, const char *to)
{
    return fsc_rename(fs, NULL, from, NULL, to, 0);
}

static int
vol_set(struct fsc *fs, const char *path, const struct side_attr *at)
{
    struct timespec ts[2];
    int err = fsc_chmod(fs, NULL, path, at->mode & 07777, 0);

    mtime_pair(at->mtime, ts);
    return err ? err : fsc_utimens(fs, NULL, path, ts, 0);
}

static int
vol_unlink(struct fsc *fs, const char *path)
{
    return fsc_unlink(fs, NULL, path, 0);
}

const struct side side_volume = {
    vol_getattr, vol_each,   vol_readlink, vol_symlink, vol_mkdir,  vol_open_read, vol_open_write,
    vol_pread,   vol_pwrite, vol_sync,     vol_close,   vol_finish, vol_set,       vol_unlink,
};
