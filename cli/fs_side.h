// SPDX-License-Identifier: Apache-2.0
// The two sides of `zio fs put` and `get`: files of this machine and files of a volume, behind the same
// calls, so that copying is written once. All return 0, or a negative errno.
#ifndef ZIO_CLI_FS_SIDE_H
#define ZIO_CLI_FS_SIDE_H

#include "fsclient/fsclient.h"

struct side_attr {
    mode_t mode; // with type
    uint64_t size;
    int64_t mtime; // ns
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
    int (*mkdir)(struct fsc *fs, const char *path, mode_t mode);
    int (*open_read)(struct fsc *fs, const char *path, union side_file *out);
    int (*open_write)(struct fsc *fs, const char *path, union side_file *out); // made if need be, 0600
    ssize_t (*pread)(union side_file f, void *buf, size_t size, uint64_t at);
    ssize_t (*pwrite)(union side_file f, const void *buf, size_t size, uint64_t at);
    int (*sync)(union side_file f);
    int (*close)(union side_file f);
    int (*finish)(struct fsc *fs, const char *from, const char *to);          // rename
    int (*set)(struct fsc *fs, const char *path, const struct side_attr *at); // mode and mtime
    int (*unlink)(struct fsc *fs, const char *path);
};

extern const struct side side_host, side_volume;

#endif
