// SPDX-License-Identifier: Apache-2.0
// What the path hooks share. A hook goes on to the real function at once where routing takes no part in the
// call (route_idle()); otherwise it makes the *at() form of the call, which route_call brings to a volume or
// to the kernel.
#ifndef ZIO_HOOKS_FS_H
#define ZIO_HOOKS_FS_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>

#include "libzio/fsreal.h"
#include "libzio/route_priv.h"
#include "libzio/zio.h"

// Another name for the same function: stat64 is stat on 64-bit machines, but headers give it other types.
#define ZIO_ALIAS(name, of) __asm__(".globl " #name "\n.type " #name ", @function\n.set " #name ", " #of)

// As the C library returns what a function of ours gave.
static inline long
fs_result(long r)
{
    if (r >= 0)
        return r;
    errno = (int)-r;
    return -1;
}

// The AT_* flags that a call of libfsclient needs for this target.
static inline int
fs_at_flags(const struct route_target *t, int at_flags)
{
    return at_flags | (t->self ? AT_EMPTY_PATH : 0);
}

// ROUTE_* from the AT_* flags of a call that follows a link at the end unless it is told not to.
static inline unsigned
fs_flags(int at_flags)
{
    return (at_flags & AT_SYMLINK_NOFOLLOW ? ROUTE_NOFOLLOW : 0) |
           (at_flags & AT_EMPTY_PATH ? ROUTE_EMPTY : 0);
}

// Room of n bytes that is not the program's: the kernel would say EFAULT, after it has looked the path up. *r
// is the result of a look at the target.
static inline bool
fs_fault(struct route_target *t, int at_flags, const void *p, size_t n, long *r)
{
    struct fsc_attr attr;

    if (__builtin_expect(!route_bad_room(p, n), 1))
        return false;
    *r = fsc.getattr(t->vol->fs, &t->at, t->path,
                     fs_at_flags(t, at_flags) & (AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH), &attr);
    if (*r >= 0)
        *r = -EFAULT;
    return true;
}

// ---- hooks_fs_magic.c: /proc/self/fd/3, /dev/stdin, /proc/self/cwd ----

// Does the path go through a link of /proc to a routed descriptor or current directory? Then *dirfd and *path
// say where it leads (the path is "" where it is the descriptor itself: *flags gets ROUTE_EMPTY). With
// ROUTE_NOFOLLOW the link itself is meant, and only what is behind it is changed.
bool fs_magic(int *dirfd, const char **path, unsigned *flags);
// The descriptor (AT_FDCWD: the current directory) whose link of /proc this path names, and which is routed;
// -1: none.
int fs_magic_link(int dirfd, const char *path);
// The absolute path of a routed descriptor or directory as it is now, in buf: its length, or -errno. -ENOENT:
// it has no name any more (buf then holds its last name and " (deleted)", as the kernel writes it).
ssize_t fs_path_of(struct route_file *f, char *buf, size_t size);

// route_call, behind fs_magic.
long fs_call(int dirfd, const char *path, unsigned flags, route_in_fn in, route_out_fn out, void *arg);

// ---- a call on a descriptor ----

// Does `in` on what fd is, with an empty path. -1 and errno for the program; *routed says whether fd was
// routed at all. An O_PATH descriptor gives EBADF where `need_io`.
long fs_fd_call(int fd, bool need_io, route_in_fn in, void *arg, bool *routed);

// Like every call into libfsclient by a hook that does not come from route_call.
#define FS_INSIDE(r, expr)                                                                                   \
    do {                                                                                                     \
        struct route_guard fs_guard_;                                                                        \
        route_enter(&fs_guard_);                                                                             \
        (r) = (expr);                                                                                        \
        route_leave(&fs_guard_);                                                                             \
    } while (0)

// Does the path lead to a volume, by its text or its links?
bool fs_takes_part(const char *path);

// ---- hooks_fs_misc_syscall.c ----

// syscall(2) of a number that takes a path or a routed descriptor: done, and *r is its result (with errno).
bool fs_syscall(long nr, const long a[6], long *r);

// ---- hooks_fs_misc_dl.c ----

// The file of the chunk that holds the whole of `file`, into `path`; false: there is none that this process
// may read.
bool fs_one_chunk(struct fsc_file *file, char *path, size_t size);

// ---- hooks_fs_dir.c ----

// getdents64 on a routed directory: bytes, 0 at the end, -errno. *base (may be NULL): the offset before.
ssize_t fs_getdents(int fd, void *buf, size_t size, off_t *base);

// ---- hooks_fs_stdio*.c ----

// A stream of ours over a descriptor, as fopen gives it. NULL and errno; the descriptor stays open then.
FILE *fs_stream(int fd, const char *mode);

#endif
