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
    X(mv, "URL SOURCE... TARGET", 2, -1, "rename or move files and trees within the volume")                 \
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
    X(trash, "URL [restore INODE PATH | purge]", 0, 3, "show, restore or purge deleted files")               \
    X(top, "URL", 0, 0, "show which processes use the volume, and how much")

// The options of all commands; each takes those that its table names.
struct fs_args {
    const char *name; // "zio fs ls"
    const char *url;
    char **argv; // what stands behind the URL
    int argc;
    bool json, recursive, force, parents, longer, summary, layout, repair, quiet, archive, zero, keep;
    double interval; // between two lines of progress, or two looks of top; 0: the default
    uint64_t count;  // looks of top; 0: no end
    uint64_t chunk_size, size, inodes, trash;
    bool has_size, has_inodes;
    const char *label;
    unsigned mode, dir_mode;
};

#define X(name, args, least, most, help) int fs_##name(struct fs_args *a, struct fsc *fs);
FS_COMMANDS(X)
#undef X

// "zio fs ls: PATH: what went wrong", and what to do where that is known; CLI_FAIL.
int fs_fail(const struct fs_args *a, const char *path, int err);
// The same with words of its own.
int fs_say(const struct fs_args *a, const char *path, const char *what);
int fs_print_json(json_t *answer);
// A list that is printed as it grows: fs_json_item takes the reference; true: it is the first. Then
// fs_json_end.
void fs_json_item(json_t *item, bool first);
void fs_json_end(bool empty);
// "path": TEXT, and "path_hex" where a name is not UTF-8 and "path" can't be true to it.
void fs_json_path(json_t *o, const char *path);
// A name for people: as it is into a pipe, with what would steer a terminal replaced on one.
void fs_print_name(const char *text);
extern const struct fsc_options fs_options;
bool fs_told(void); // has the library said what went wrong?

// The paths of the arguments; the root if there are none.
#define FS_EACH_PATH(a, i, path)                                                                             \
    for (int i = 0; (path = i < (a)->argc ? (a)->argv[i] : i == 0 ? "/" : NULL) != NULL; i++)

// ---- fs_list.c ----

// DIR/NAME, to be freed; NULL: out of memory.
char *fs_join(const char *dir, const char *name);
// Calls `fn` for each entry of a directory but "." and "..", in the directory's order, as it is read.
typedef int (*fs_visit)(void *arg, const char *path, const char *name, const struct fsc_attr *at);
int fs_each(struct fsc *fs, const char *dir, fs_visit fn, void *arg);

// ---- fs_progress.c: on standard error, a line that is written over on a terminal, else a line now and then
// ----

struct fs_progress {
    char what[64];
    uint64_t total, done;  // bytes; total 0: not known
    uint64_t began, shown; // ns
    uint64_t every;        // ns between two looks
    bool on, terminal;
};

void progress_begin(struct fs_progress *p, const char *what, uint64_t total, const struct fs_args *a);
void progress_to(struct fs_progress *p, uint64_t done);
void progress_end(struct fs_progress *p);

#endif
