// SPDX-License-Identifier: Apache-2.0
// File routing: the seam between its parts (docs/ROUTING.md). Hooks ask here whether a path or a descriptor
// is a volume's; route.c and its kin own prefixes, records, descriptors and the current directory.
//
// Everything here may be called from any thread; nothing here sets errno but where said. Functions that are
// called for the program return like the libc call (-1 and errno); the others a negative errno.
#ifndef ZIO_ROUTE_H
#define ZIO_ROUTE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "fsclient/fsclient.h"

// True where ZIO_FS names at least one prefix. Every hook: if (likely(!route_on)) return real...
extern bool route_on;

// The functions of libfsclient, filled when it is opened. X(result, name without fsc_, parameters): see
// route_fsc.h.
struct route_fsc;
extern struct route_fsc fsc;

// A prefix and its volume.
struct route_vol {
    char *prefix; // "/data": absolute, normal, no slash at its end
    size_t prefix_len;
    char *url;
    struct fsc *fs; // NULL until it is needed; see route_vol_open
    int open_error; // why it could not be opened: every routed call gives this errno
    bool below;     // the prefix exists in the kernel's tree, too
};
int route_vol_open(struct route_vol *v); // 0 or -errno; idempotent

// Around every call into libfsclient. Cheap; nests.
struct route_guard {
    uint64_t oldmask;
    bool masked;
};
void route_enter(struct route_guard *g);
void route_leave(struct route_guard *g);
// Is this thread inside libfsclient? Then hooks go to the real functions at once.
extern _Thread_local int route_depth __attribute__((tls_model("initial-exec")));
// What a hook asks first: does routing take part at all in this call?
#define route_idle() (__builtin_expect(!route_on, 1) || route_depth > 0)

// ---- paths ----

enum {
    ROUTE_NOFOLLOW = 1 << 0, // the last component is not followed (lstat, unlink, ...)
    ROUTE_EMPTY = 1 << 1,    // AT_EMPTY_PATH: "" is dirfd itself
    ROUTE_CREATE = 1 << 2,   // the call may make the last component
};

// Where a path leads. When it is native, `dirfd` and `path` say how to reach it natively: those given, or an
// absolute path outside of the volume after a link led out.
struct route_target {
    struct route_vol *vol; // NULL: native
    struct fsc_at at;      // at.dir is borrowed from the record it came from; released by route_done
    const char *path;      // within the volume, or natively
    int dirfd;             // native only
    void *hold;            // route.c's
    char *buf;             // route.c's: PATH_MAX bytes where a path had to be made, else NULL
    char *escape;          // PATH_MAX bytes for at.escape
    int links;             // followed across borders
};

// The text of the path alone decides (a system call only for a relative path natively outside of any volume's
// reach: none). 0 and *t, to be given to route_done; or -errno (-EBADF, -ENOTDIR: a bad dirfd; -ENOMEM; the
// volume cannot be opened; -EFAULT is never found here). A NULL path: native.
int route_find(int dirfd, const char *path, unsigned flags, struct route_target *t);
// After a call on t->vol returned -EREMOTE (a link led out) or a native one failed or is about to be made
// (links that lead in): find the next place. 1: *t is another place, call again. 0: it stays where it is.
// -errno.
int route_next(struct route_target *t, unsigned flags, long result);
void route_done(struct route_target *t);

// One path call in whole, for hooks whose native form takes (dirfd, path): `in` does it on a volume and
// returns as fsc_ calls do; `out` does it natively and returns -1 and errno. Returns for the program.
typedef long (*route_in_fn)(struct route_target *t, void *arg);
typedef long (*route_out_fn)(int dirfd, const char *path, void *arg);
long route_call(int dirfd, const char *path, unsigned flags, route_in_fn in, route_out_fn out, void *arg);
// Two paths (rename, link): both in the same volume, both native, or EXDEV.
typedef long (*route_in2_fn)(struct route_target *from, struct route_target *to, void *arg);
typedef long (*route_out2_fn)(int dirfd, const char *path, int dirfd2, const char *path2, void *arg);
long route_call2(int dirfd, const char *path, unsigned flags, int dirfd2, const char *path2, unsigned flags2,
                 route_in2_fn in, route_out2_fn out, void *arg);

// ---- descriptors ----

// An open file of this process; a reference is held between route_file_get and route_file_put, so that
// another thread's close does not take it away.
struct route_file;
struct route_file *
route_file_get(int fd); // NULL: not routed (or not open). Opens the fsc_file where that is due
void route_file_put(struct route_file *f);
// Is fd routed? No reference, no opening.
bool route_fd(int fd);
struct fsc_file *route_file_fsc(struct route_file *f); // NULL with O_PATH of something that can't be opened
struct route_vol *route_file_vol(struct route_file *f);
int route_file_flags(struct route_file *f); // open(2)'s, as F_GETFL shows them
// The path text by which it was opened, absolute, for /proc/self/fd and getcwd; may be out of date.
const char *route_file_path(struct route_file *f);

// Gives an open volume file a descriptor, the lowest free one: the number, or -errno (the file is closed
// then).
int route_install(struct route_vol *v, struct fsc_file *file, const char *path, int flags);

// ---- the current directory ----

// NULL: native. To be put.
struct route_file *route_cwd_get(void);

// ---- counting ----

void
route_refused(const char *name); // one more call that was refused because it can't be done (counted, logged)

#endif
