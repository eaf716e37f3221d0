// SPDX-License-Identifier: Apache-2.0
// What the commands of `zio fs` share. Single-threaded.
#ifndef ZIO_CLI_FS_H
#define ZIO_CLI_FS_H

#include <jansson.h>

#include "cli/cli.h"
#include "fsclient/fsclient.h"

// X(name, arguments, least and most arguments behind the URL (-1: any), help)
#define FS_COMMANDS(X)                                                                                       \
    X(format, "URL", 0, 0, "make a volume")                                                                  \
    X(info, "URL", 0, 0, "show what a volume is and how full")                                               \
    X(ls, "URL [PATH...]", 0, -1, "list directories")                                                        \
    X(put, "URL SOURCE... TARGET", 2, -1, "copy files of this machine into the volume")                      \
    X(get, "URL SOURCE... TARGET", 2, -1, "copy files of the volume to this machine")                        \
    X(cat, "URL PATH...", 1, -1, "write files to standard output")                                           \
    X(rm, "URL PATH...", 1, -1, "remove files, trees and snapshots")                                         \
    X(mkdir, "URL PATH...", 1, -1, "make directories")                                                       \
    X(du, "URL [PATH...]", 0, -1, "add up what trees take")                                                  \
    X(df, "URL [PATH]", 0, 1, "show space and inodes, taken and free")                                       \
    X(stat, "URL PATH...", 1, -1, "show everything about files")                                             \
    X(fsck, "URL", 0, 0, "check the volume, and repair it")                                                  \
    X(scrub, "URL", 0, 0, "read all data and compare it with its checksums")                                 \
    X(clone, "URL SOURCE TARGET", 2, 2, "copy a tree or file at once, sharing its data")                     \
    X(snapshot, "URL SOURCE TARGET", 2, 2, "the same, read-only for ever")                                   \
    X(quota, "URL [user:NAME|dir:PATH]", 0, 1, "show or set quotas")                                         \
    X(trash, "URL [restore INODE PATH | purge]", 0, 3, "show, restore or purge deleted files")

// The options of all commands; each takes those that its table names.
struct fs_args {
    const char *name; // "zio fs ls"
    const char *url;
    char **argv; // what stands behind the URL
    int argc;
    bool json, recursive, force, parents, longer, summary, layout, repair, quiet, reverse;
    uint64_t chunk_size, size, inodes, trash;
    bool has_size, has_inodes;
    const char *label;
    unsigned mode;
};

#define X(name, args, least, most, help) int fs_##name(struct fs_args *a, struct fsc *fs);
FS_COMMANDS(X)
#undef X

// "zio fs ls: PATH: what went wrong"; CLI_FAIL.
int fs_fail(const struct fs_args *a, const char *path, int err);
int fs_print_json(json_t *answer);
extern const struct fsc_options fs_options;

// ---- fs_progress.c: a line on standard error, when that is a terminal ----

struct fs_progress {
    char what[64];
    uint64_t total, done;  // bytes; total 0: not known
    uint64_t began, shown; // ns
    bool on;
};

void progress_begin(struct fs_progress *p, const char *what, uint64_t total, bool quiet);
void progress_to(struct fs_progress *p, uint64_t done);
void progress_end(struct fs_progress *p);

#endif
