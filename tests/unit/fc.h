// SPDX-License-Identifier: Apache-2.0
// What the tests of the client library share: a volume in a directory of its own, its check, and people who
// ask.
#ifndef ZIO_TESTS_FC_H
#define ZIO_TESTS_FC_H

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "fsclient/fsclient.h"
#include "tests/unit/unit.h"

#define FC_CHUNK 65536 // of the volumes here, so that small files have many

extern char fc_dir[];     // of the volume
extern char fc_url[];     // local: and that
extern char fc_message[]; // the last one

extern const struct fsc_at fc_root, fc_alice,
    fc_bob; // uids 0, 1001, 1002; groups of the same numbers; umask 0

// A fresh directory (in TMPDIR) with a volume in it; fc_remove removes it. `fmt` may be NULL; its chunk size
// is FC_CHUNK where it says none.
void fc_make(const struct fsc_format *fmt);
void fc_remove(void);
struct fsc *fc_open(unsigned flags);
// Findings of the check; each is printed, and its code appended to fc_codes with a space behind.
extern char fc_codes[];
uint64_t fc_findings(struct fsc *fs, bool repair);
void fc_check(struct fsc *fs); // there are none
// An open file, or the test fails.
struct fsc_file *fc_file(struct fsc *fs, const char *path, int flags);
void fc_put(struct fsc *fs, const char *path, const char *text); // a file with this text in it
void fc_same(struct fsc *fs, const char *path, const char *text);
uint64_t fc_size(struct fsc *fs, const char *path);
// The child's exit code; 128 and the signal's number where one killed it.
int fc_wait(pid_t pid);

// ThreadSanitizer takes the volume's lock, which the parent holds while it forks, for one that the child
// holds, and is wrong about everything afterwards.
#ifdef __SANITIZE_THREAD__
#define FC_FORKED_HANDLES 0
#else
#define FC_FORKED_HANDLES 1
#endif

#define OK(x) assert_int_equal((x), 0)
#define IS(x, want) assert_int_equal((long long)(x), (long long)(want))

#endif
