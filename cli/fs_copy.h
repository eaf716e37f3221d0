// SPDX-License-Identifier: Apache-2.0
// `zio fs put` and `get`: what the tree walk (fs_copy.c) and the copying of one file (fs_copyfile.c) share.
#ifndef ZIO_CLI_FS_COPY_H
#define ZIO_CLI_FS_COPY_H

#include "cli/fs.h"
#include "cli/fs_side.h"

#define COPY_PART ".zio-part" // how names of files that are not whole end

struct copy {
    struct fs_args *a;
    struct fsc *fs;
    const struct side *from, *to;
    struct fs_progress progress;
    uint64_t done;
    char *buf;
    void *links; // fs_copy.c: names of files that have several (tsearch)
    int code;    // CLI_FAIL once something failed
};

// Tells what went wrong with `path`, and goes on.
void copy_complain(struct copy *c, const char *path, int err);

// A regular file, or standard input (src NULL), under its own name at last; -EEXIST and the like are told.
void copy_file(struct copy *c, const char *src, const char *dst, const struct side_attr *at);
// Owner (--archive), extended attributes (--archive), permissions and time of what is at src: to dst.
int copy_attributes(struct copy *c, const char *src, const char *dst, const struct side_attr *at);

#endif
