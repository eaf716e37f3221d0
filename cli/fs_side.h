// SPDX-License-Identifier: Apache-2.0
// The two sides of `zio fs put` and `get`: files of this machine and files of a volume, behind the same
// calls, so that copying is written once. All return 0 (or a count, where said), or a negative errno. No call
// follows a symbolic link at the end of its path, unless it says so.
#ifndef ZIO_CLI_FS_SIDE_H
#define ZIO_CLI_FS_SIDE_H

#include "fsclient/fsclient.h"

struct side_attr {
    mode_t mode; // with type
    uint64_t size;
    int64_t mtime, ctime; // ns
    uint64_t dev, ino, rdev;
    uint64_t nlink;
    uid_t uid;
    gid_t gid;
};

union side_file {
    int fd;
    struct fsc_file *f;
};

typedef int (*side_each)(void *arg, const char *name);

struct side {
    int (*getattr)(struct fsc *fs, const char *path, bool follow, struct side_attr *out);
    int (*each)(struct fsc *fs, const char *dir, side_each fn, void *arg); // without "." and ".."
    ssize_t (*readlink)(struct fsc *fs, const char *path, char *buf, size_t size);
    int (*symlink)(struct fsc *fs, const char *text, const char *path);
    int (*link)(struct fsc *fs, const char *from, const char *to);
    int (*mkdir)(struct fsc *fs, const char *path, mode_t mode);
    int (*mknod)(struct fsc *fs, const char *path, mode_t mode, dev_t dev);
    int (*open_read)(struct fsc *fs, const char *path, union side_file *out);  // follows
    int (*open_write)(struct fsc *fs, const char *path, union side_file *out); // made if need be, 0600
    ssize_t (*pread)(union side_file f, void *buf, size_t size, uint64_t at);
    ssize_t (*pwrite)(union side_file f, const void *buf, size_t size, uint64_t at);
    int64_t (*seek)(union side_file f, uint64_t at, int whence); // SEEK_DATA, SEEK_HOLE: the offset
    int (*truncate)(union side_file f, uint64_t size);
    int (*sync)(union side_file f);
    int (*close)(union side_file f);
    int (*rename)(struct fsc *fs, const char *from, const char *to);
    int (*unlink)(struct fsc *fs, const char *path);
    int (*chown)(struct fsc *fs, const char *path, uid_t uid, gid_t gid);
    int (*chmod)(struct fsc *fs, const char *path, mode_t mode); // follows
    int (*set_mtime)(struct fsc *fs, const char *path, int64_t ns);
    ssize_t (*listxattr)(struct fsc *fs, const char *path, char *list, size_t size);
    ssize_t (*getxattr)(struct fsc *fs, const char *path, const char *name, void *value, size_t size);
    int (*setxattr)(struct fsc *fs, const char *path, const char *name, const void *value, size_t size);
};

extern const struct side side_host, side_volume;

#endif
