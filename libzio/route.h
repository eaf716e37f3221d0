// SPDX-License-Identifier: Apache-2.0
// File routing: the seam between its parts (docs/ROUTING.md). Hooks ask here whether a path or a descriptor
// is a volume's; route.c and its kin own prefixes, records, descriptors and the current directory.
//
// Everything here may be called from any thread; nothing here sets errno but where said. Functions that are
// called for the program return like the libc call (-1 and errno); the others a negative errno.
#ifndef ZIO_ROUTE_H
#define ZIO_ROUTE_H

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/counters.h"
#include "fsclient/fsclient.h"
#include "libzio/route_fsc.h"

// True where ZIO_FS names at least one prefix. Every hook: if (likely(!route_on)) return real...
extern bool route_on;

// A prefix and its volume.
struct route_vol {
    char *prefix; // "/data": absolute, normal, no slash at its end
    size_t prefix_len;
    char *url;
    bool rdonly;            // "PREFIX=ro,URL"
    uint64_t id;            // of the URL and of that, the same in all processes
    struct fsc *_Atomic fs; // NULL until it is needed; see route_vol_open
    bool below;             // the prefix exists in the kernel's tree, too
    int token_dir;          // the directory with the file of tokens (O_PATH), ours; -1: not open
    int token;              // what the descriptors of open files are copies of; ours
};
int route_vol_open(struct route_vol *v); // 0 or -errno; idempotent

// Around every call into libfsclient. Cheap; nests. Signals and cancellation wait; errno is kept.
struct route_guard {
    uint64_t oldmask;
    int cancel;
    int saved_errno;
    bool outer, masked, cancellable;
    bool lifted; // route_fsize_lift
};
void route_enter(struct route_guard *g);
void route_leave(struct route_guard *g);
// Is this thread inside libfsclient? Then hooks go to the real functions at once.
extern _Thread_local int route_depth __attribute__((tls_model("initial-exec")));
// What a hook asks first: does routing take part at all in this call?
#define route_idle() (__builtin_expect(!route_on, 1) || route_depth > 0)
// A descriptor that the real function made: where it was the library that called, it is moved out of the
// program's way and noted as ours. Keeps errno.
int route_made_fd(int fd);
// For the program: r >= 0, or errno is set and -1 is returned.
long route_result(long r);

// ---- paths ----

enum {
    ROUTE_NOFOLLOW = 1 << 0, // the last component is not followed (lstat, unlink, ...)
    ROUTE_EMPTY = 1 << 1,    // AT_EMPTY_PATH: "" is dirfd itself
    ROUTE_CREATE = 1 << 2,   // the call may make the last component: at.cred knows the umask
};

// Where a path leads. When it is native, `dirfd` and `path` say how to reach it natively: those given, or an
// absolute path outside of the volume after a link led out. Large: never clear it, route_find fills it.
struct route_target {
    struct route_vol *vol; // NULL: native
    struct fsc_at at;      // at.dir is borrowed from the record it came from; released by route_done
    const char *path;      // within the volume, or natively
    // The path was "" with ROUTE_EMPTY, or /proc/self/fd/N: path is "" and at.dir is meant itself. Calls
    // that take AT_EMPTY_PATH must pass it.
    bool self;
    int dirfd;               // native only
    struct route_file *hold; // what at.dir is borrowed from; NULL: nothing
    int links;               // followed across borders
    bool looked;             // native, and no link leads into a volume
    struct fsc_cred cred;
    char escape[PATH_MAX]; // at.escape
    char buf[PATH_MAX];    // where a path had to be made
};

// The text of the path alone decides. 0 and *t, to be given to route_done; or -errno (-EBADF, -ENOTDIR: a bad
// dirfd; -ENOMEM; the volume cannot be opened; -EFAULT is never found here). A NULL path: native.
int route_find(int dirfd, const char *path, unsigned flags, struct route_target *t);
// After a call on t->vol returned -EREMOTE (a link led out) or a native one failed or is about to be made
// (links that lead in; `result` 0 then): find the next place. 1: *t is another place, call again. 0: it stays
// where it is. -errno.
int route_next(struct route_target *t, unsigned flags, long result);
void route_done(struct route_target *t);

// One path call in whole, for hooks whose native form takes (dirfd, path): `in` does it on a volume, within
// route_enter, and returns as fsc_ calls do; `out` does it natively and returns -1 and errno. Returns for the
// program.
typedef long (*route_in_fn)(struct route_target *t, void *arg);
typedef long (*route_out_fn)(int dirfd, const char *path, void *arg);
long route_call(int dirfd, const char *path, unsigned flags, route_in_fn in, route_out_fn out, void *arg);
// Two paths (rename, link): both in the same volume, both native, or EXDEV.
typedef long (*route_in2_fn)(struct route_target *from, struct route_target *to, void *arg);
typedef long (*route_out2_fn)(int dirfd, const char *path, int dirfd2, const char *path2, void *arg);
long route_call2(int dirfd, const char *path, unsigned flags, int dirfd2, const char *path2, unsigned flags2,
                 route_in2_fn in, route_out2_fn out, void *arg);

// ---- descriptors ----

#define ROUTE_FDS (1u << 18) // higher numbers are never routed

// An open file of this process; a reference is held between route_file_get and route_file_put, so that
// another thread's close does not take it away.
struct route_file;
extern struct route_file *_Atomic *route_fds; // by descriptor; NULL where route_on is false

// Is fd routed? No reference, no opening: a branch and a load.
static inline bool
route_fd(int fd)
{
    return __builtin_expect(route_on, 0) && (unsigned)fd < ROUTE_FDS &&
           atomic_load_explicit(&route_fds[fd], memory_order_relaxed) != NULL;
}
// NULL: not routed (or not open). Opens the fsc_file where that is due; where that fails, route_file_fsc is
// NULL and route_file_error says why.
struct route_file *route_file_get(int fd);
void route_file_put(struct route_file *f);
struct fsc_file *route_file_fsc(struct route_file *f);
int route_file_error(struct route_file *f); // -errno where route_file_fsc is NULL
struct route_vol *route_file_vol(struct route_file *f);
int route_file_flags(struct route_file *f); // open(2)'s, as F_GETFL shows them
// The path text by which it was opened, absolute, for /proc/self/fd and getcwd; may be out of date.
const char *route_file_path(struct route_file *f);
// The offset of the open file description (of a directory: the cookie), locked against all who share it.
// Between the two no signal is taken; calls into the library are allowed.
int64_t route_pos_begin(struct route_file *f, struct route_guard *g);
void route_pos_end(struct route_file *f, struct route_guard *g, int64_t pos);

// Gives an open volume file a descriptor, the lowest free one: the number, or -errno (the file is closed
// then). `path` is its absolute text. O_CLOEXEC in flags is for the descriptor.
int route_install(struct route_vol *v, struct fsc_file *file, const char *path, int flags);
// The absolute text of a target in a volume, lexically cleaned of "." and "//".
void route_target_text(const struct route_target *t, char out[PATH_MAX]);

// ---- the current directory ----

// NULL: native. To be put.
struct route_file *route_cwd_get(void);

// ---- the standard streams (hooks_fs_stdio_std.c) ----

// When the library starts, behind the descriptors that came over exec.
void route_std_start(void);
// Descriptor 0, 1 or 2 was just linked to a routed file.
void route_std_routed(int fd);

// ---- exec ----

// The path in the volume of the program that runs here; NULL: it is a native one.
extern const char *route_exe;

// ---- counting ----

void route_refused(const char *name); // one more call that was refused because it can't be done
void route_count(enum zio_counter id, uint64_t v);

#endif
