// SPDX-License-Identifier: Apache-2.0
// The conformance suite: what a POSIX file system on Linux answers, in the spirit of pjdfstest. A *case* is a
// function that runs in a process of its own, in an empty directory (its current one), as user 0 with umask
// 0. A *check* is one line of output, named CASE/LABEL; the names are the same wherever the suite runs.
#ifndef CONFORM_H
#define CONFORM_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

struct test_case {
    const char *name;
    void (*run)(void);
};

// Each file's cases, ended by an empty one.
extern const struct test_case cases_names[], cases_perms[], cases_owner[], cases_access[], cases_links[],
    cases_dirs[], cases_rename[], cases_open[], cases_size[], cases_io[], cases_times[], cases_xattr[],
    cases_readdir[], cases_at[], cases_locks[], cases_map[];

// Users and groups that nobody else on a machine has.
enum { U1 = 12001, U2 = 12002, G1 = 12101, G2 = 12102, G3 = 12103 };

// Of the run: a read-only view of the same tree (NULL: none) with the case's directory in it, a directory of
// another file system (NULL: none), and the case's directory itself, absolute.
extern const char *ro_dir, *other_dir;
extern char case_dir[];

// ---- checks ----

// T: the call succeeds (want 0) or fails with this errno. EQ: two integers are equal. B: it is true.
#define T(label, want, call)                                                                                 \
    do {                                                                                                     \
        errno = 0;                                                                                           \
        long r_ = (long)(call);                                                                              \
        check_call(label, want, r_, errno, #call);                                                           \
    } while (0)
#define EQ(label, want, got) check_equal(label, (long long)(want), (long long)(got), #got)
#define B(label, cond) check_true(label, cond, #cond)
void check_call(const char *label, int want, long result, int err, const char *text);
void check_equal(const char *label, long long want, long long got, const char *text);
void check_true(const char *label, bool cond, const char *text);
// A check that cannot be made here.
void check_skip(const char *label, const char *reason);
// A label made of parts, good until the fourth call after this.
const char *label_of(const char *format, ...) __attribute__((format(printf, 1, 2)));
// What the case itself needs; when it fails, the case ends with a FAIL line.
#define NEED(call) need_true((call) >= 0, #call)
void need_true(bool cond, const char *text);

// AS(uid, gid, groups...) { ... }: the block runs in a child process as that user.
#define AS(uid, gid, ...)                                                                                    \
    for (bool as_ = as_enter(uid, gid, (gid_t[]){0, ##__VA_ARGS__},                                          \
                             sizeof((gid_t[]){0, ##__VA_ARGS__}) / sizeof(gid_t));                           \
         as_; as_leave())
bool as_enter(uid_t uid, gid_t gid, const gid_t *groups, size_t n); // groups[0] is not looked at
void as_leave(void);

// CHILD() { ... }: the block runs in a child, as the same user.
#define CHILD() for (bool child_ = child_enter(); child_; as_leave())
bool child_enter(void);

// ---- shorthands; each returns 0 or -1 and errno, but for what is said ----

int put_file(const char *path, mode_t mode, const char *text); // makes or replaces it
int try_open(const char *path, int flags, mode_t mode);        // opens and closes
struct stat stat_of(const char *path);                         // lstat; the case ends if it fails
mode_t mode_of(const char *path);                              // permission bits
bool exists(const char *path);                                 // by lstat
bool has_text(const char *path, const char *text);             // the file's content is exactly this
bool times_equal(struct timespec a, struct timespec b);
bool time_before(struct timespec a, struct timespec b);
// Lets the file system's clock move on, so that the next change shows in the times.
void next_instant(void);

#endif
