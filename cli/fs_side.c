// SPDX-License-Identifier: Apache-2.0
// Files of this machine and files of a volume (see fs_side.h).
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "cli/fs_side.h"

#define NS INT64_C(1000000000)

static int
result(int r)
{
    return r < 0 ? -errno : 0;
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
        *out = (struct side_attr){.mode = st.st_mode,
                                  .size = (uint64_t)st.st_size,
                                  .mtime = st.st_mtim.tv_sec * NS + st.st_mtim.tv_nsec,
                                  .ctime = st.st_ctim.tv_sec * NS + st.st_ctim.tv_nsec,
                                  .dev = st.st_dev,
                                  .ino = st.st_ino,
                                  .rdev = st.st_rdev,
                                  .nlink = st.st_nlink,
                                  .uid = st.st_uid,
                                  .gid = st.st_gid};
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
host_link(struct fsc *fs, const char *from, const char *to)
{
    return result(linkat(AT_FDCWD, from, AT_FDCWD, to, 0));
}

static int
host_mkdir(struct fsc *fs, const char *path, mode_t mode)
{
    return result(mkdir(path, mode));
}

static int
host_mknod(struct fsc *fs, const char *path, mode_t mode, dev_t dev)
{
    return result(mknod(path, mode, dev));
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

static int64_t
host_seek(union side_file f, uint64_t at, int whence)
{
    off_t n = lseek(f.fd, (off_t)at, whence);

    return n < 0 ? -errno : n;
}

static int
host_truncate(union side_file f, uint64_t size)
{
    return result(ftruncate(f.fd, (off_t)size));
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
host_rename(struct fsc *fs, const char *from, const char *to)
{
    return result(rename(from, to));
}

static int
host_unlink(struct fsc *fs, const char *path)
{
    return result(unlink(path));
}

static int
host_chown(struct fsc *fs, const char *path, uid_t uid, gid_t gid)
{
    return result(lchown(path, uid, gid));
}

static int
host_chmod(struct fsc *fs, const char *path, mode_t mode)
{
    return result(chmod(path, mode & 07777));
}

static int
host_set_mtime(struct fsc *fs, const char *path, int64_t ns)
{
    struct timespec ts[2];

    mtime_pair(ns, ts);
    return result(utimensat(AT_FDCWD, path, ts, AT_SYMLINK_NOFOLLOW));
}

static ssize_t
host_listxattr(struct fsc *fs, const char *path, char *list, size_t size)
{
    ssize_t n = llistxattr(path, list, size);

    return n < 0 ? -errno : n;
}

static ssize_t
host_getxattr(struct fsc *fs, const char *path, const char *name, void *value, size_t size)
{
    ssize_t n = lgetxattr(path, name, value, size);

    return n < 0 ? -errno : n;
}

static int
host_setxattr(struct fsc *fs, const char *path, const char *name, const void *value, size_t size)
{
    return result(lsetxattr(path, name, value, size, 0));
}

const struct side side_host = {
    .getattr = host_getattr,
    .each = host_each,
    .readlink = host_readlink,
    .symlink = host_symlink,
    .link = host_link,
    .mkdir = host_mkdir,
    .mknod = host_mknod,
    .open_read = host_open_read,
    .open_write = host_open_write,
    .pread = host_pread,
    .pwrite = host_pwrite,
    .seek = host_seek,
    .truncate = host_truncate,
    .sync = host_sync,
    .close = host_close,
    .rename = host_rename,
    .unlink = host_unlink,
    .chown = host_chown,
    .chmod = host_chmod,
    .set_mtime = host_set_mtime,
    .listxattr = host_listxattr,
    .getxattr = host_getxattr,
    .setxattr = host_setxattr,
};

// ---- the volume ----

static int
vol_getattr(struct fsc *fs, const char *path, bool follow, struct side_attr *out)
{
    struct fsc_attr at;
    int err = fsc_getattr(fs, NULL, path, follow ? 0 : AT_SYMLINK_NOFOLLOW, &at);

    if (!err)
        *out = (struct side_attr){.mode = at.mode,
                                  .size = at.size,
                                  .mtime = at.mtime,
                                  .ctime = at.ctime,
                                  .ino = at.ino,
                                  .rdev = at.rdev,
                                  .nlink = at.nlink,
                                  .uid = at.uid,
                                  .gid = at.gid};
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
vol_link(struct fsc *fs, const char *from, const char *to)
{
    return fsc_link(fs, NULL, from, NULL, to, 0);
}

static int
vol_mkdir(struct fsc *fs, const char *path, mode_t mode)
{
    return fsc_mkdir(fs, NULL, path, mode);
}

static int
vol_mknod(struct fsc *fs, const char *path, mode_t mode, dev_t dev)
{
    return fsc_mknod(fs, NULL, path, mode, dev);
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

static int64_t
vol_seek(union side_file f, uint64_t at, int whence)
{
    return fsc_seek(f.f, at, whence);
}

static int
vol_truncate(union side_file f, uint64_t size)
{
    return fsc_ftruncate(f.f, size);
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
vol_rename(struct fsc *fs, const char *from, const char *to)
{
    return fsc_rename(fs, NULL, from, NULL, to, 0);
}

static int
vol_unlink(struct fsc *fs, const char *path)
{
    return fsc_unlink(fs, NULL, path, 0);
}

static int
vol_chown(struct fsc *fs, const char *path, uid_t uid, gid_t gid)
{
    return fsc_chown(fs, NULL, path, uid, gid, AT_SYMLINK_NOFOLLOW);
}

static int
vol_chmod(struct fsc *fs, const char *path, mode_t mode)
{
    return fsc_chmod(fs, NULL, path, mode & 07777, 0);
}

static int
vol_set_mtime(struct fsc *fs, const char *path, int64_t ns)
{
    struct timespec ts[2];

    mtime_pair(ns, ts);
    return fsc_utimens(fs, NULL, path, ts, AT_SYMLINK_NOFOLLOW);
}

static ssize_t
vol_listxattr(struct fsc *fs, const char *path, char *list, size_t size)
{
    return fsc_listxattr(fs, NULL, path, list, size, AT_SYMLINK_NOFOLLOW);
}

static ssize_t
vol_getxattr(struct fsc *fs, const char *path, const char *name, void *value, size_t size)
{
    return fsc_getxattr(fs, NULL, path, name, value, size, AT_SYMLINK_NOFOLLOW);
}

static int
vol_setxattr(struct fsc *fs, const char *path, const char *name, const void *value, size_t size)
{
    return fsc_setxattr(fs, NULL, path, name, value, size, 0, AT_SYMLINK_NOFOLLOW);
}

const struct side side_volume = {
    .getattr = vol_getattr,
    .each = vol_each,
    .readlink = vol_readlink,
    .symlink = vol_symlink,
    .link = vol_link,
    .mkdir = vol_mkdir,
    .mknod = vol_mknod,
    .open_read = vol_open_read,
    .open_write = vol_open_write,
    .pread = vol_pread,
    .pwrite = vol_pwrite,
    .seek = vol_seek,
    .truncate = vol_truncate,
    .sync = vol_sync,
    .close = vol_close,
    .rename = vol_rename,
    .unlink = vol_unlink,
    .chown = vol_chown,
    .chmod = vol_chmod,
    .set_mtime = vol_set_mtime,
    .listxattr = vol_listxattr,
    .getxattr = vol_getxattr,
    .setxattr = vol_setxattr,
};
