// SPDX-License-Identifier: Apache-2.0
// open(2) and its kin.
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libzio/real.h"
#include "libzio/route_node.h"
#include "libzio/route_priv.h"
#include "libzio/sys.h"

#define WANTS_MODE(flags) ((flags)&O_CREAT || ((flags)&O_TMPFILE) == O_TMPFILE)

struct open_args {
    int flags;
    mode_t mode;
    unsigned resolve;       // FSC_RESOLVE_*
    struct route_node node; // a FIFO was met: the opening goes on outside of the volume
};

// The file that /proc/self/fd/N names, opened anew.
static long
open_self(struct route_target *t, const struct open_args *a, struct fsc_file **file)
{
    int flags = a->flags & ~(O_CREAT | O_EXCL | O_NOFOLLOW);

    if ((a->flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
        return -EEXIST;
    return fsc.ino_open(t->vol->fs, t->at.cred, fsc.file_ino(t->at.dir), flags, file);
}

static unsigned
open_flags(int flags)
{
    unsigned f = WANTS_MODE(flags) ? ROUTE_CREATE : 0;

    if (flags & O_NOFOLLOW || (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
        f |= ROUTE_NOFOLLOW;
    return f;
}

static long
open_in(struct route_target *t, void *arg)
{
    struct open_args *a = arg;
    struct fsc_file *file;
    char text[PATH_MAX];
    // What is made or cut must have its descriptor for sure.
    int token = -1;
    long r;

    if (a->flags & (O_ACCMODE | O_TRUNC) && !(a->flags & (O_PATH | O_EXCL)) &&
        (r = route_text_busy(t, open_flags(a->flags) & ROUTE_NOFOLLOW)) < 0)
        return r;
    if (a->flags & (O_CREAT | O_TRUNC)) {
        token = route_token(t->vol, a->flags);
        if (token < 0)
            return token;
    }
    t->at.resolve = a->resolve;
    r = t->self ? open_self(t, a, &file) : fsc.open(t->vol->fs, &t->at, t->path, a->flags, a->mode, &file);
    if (r < 0) {
        if (token >= 0)
            zsys1(SYS_close, token);
        if (unlikely(r == -EOPNOTSUPP))
            r = route_node_find(t, a->flags, &a->node);
        return r;
    }
    if (t->self)
        route_rec_path(t->hold->index, text);
    else
        route_target_text(t, text);
    return token >= 0 ? route_install_token(token, t->vol, file, text, a->flags)
                      : route_install(t->vol, file, text, a->flags);
}

static long
open_out(int dirfd, const char *path, void *arg)
{
    const struct open_args *a = arg;

    return route_made_fd(real.openat64(dirfd, path, a->flags, a->mode));
}

static int
open_any(int dirfd, const char *path, int flags, mode_t mode)
{
    struct open_args a = {flags, mode, 0, {NULL, 0}};
    int fd;

    if (unlikely(!zio_real_ready))
        zio_real_init();
    if (likely(!route_on))
        return real.openat64(dirfd, path, flags, mode);
    pthread_testcancel();
    fd = (int)route_call(dirfd, path, open_flags(flags), open_in, open_out, &a);
    return unlikely(a.node.vol != NULL) ? route_node_open(&a.node, flags) : fd;
}

#define TAKE_MODE(flags)                                                                                     \
    do {                                                                                                     \
        if (WANTS_MODE(flags)) {                                                                             \
            va_list ap;                                                                                      \
            va_start(ap, flags);                                                                             \
            mode = va_arg(ap, mode_t);                                                                       \
            va_end(ap);                                                                                      \
        }                                                                                                    \
    } while (0)

// A 64-bit kernel makes no difference between open and open64.
#define OPEN(name)                                                                                           \
    int name(const char *path, int flags, ...);                                                              \
    ZIO_EXPORT int name(const char *path, int flags, ...)                                                    \
    {                                                                                                        \
        mode_t mode = 0;                                                                                     \
        TAKE_MODE(flags);                                                                                    \
        return open_any(AT_FDCWD, path, flags, mode);                                                        \
    }
#define OPENAT(name)                                                                                         \
    int name(int dirfd, const char *path, int flags, ...);                                                   \
    ZIO_EXPORT int name(int dirfd, const char *path, int flags, ...)                                         \
    {                                                                                                        \
        mode_t mode = 0;                                                                                     \
        TAKE_MODE(flags);                                                                                    \
        return open_any(dirfd, path, flags, mode);                                                           \
    }

OPEN(open)
OPEN(open64)
OPEN(__open)
OPEN(__open64)
OPENAT(openat)
OPENAT(openat64)

ZIO_EXPORT int
creat(const char *path, mode_t mode)
{
    return open_any(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

ZIO_EXPORT int
creat64(const char *path, mode_t mode)
{
    return open_any(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

// The fortified forms: a mode is due, and there is none.
void __fortify_fail(const char *msg) __attribute__((noreturn));

#define OPEN_2(name, real_name)                                                                              \
    int name(const char *path, int flags);                                                                   \
    ZIO_EXPORT int name(const char *path, int flags)                                                         \
    {                                                                                                        \
        return WANTS_MODE(flags) ? real.real_name(path, flags) : open_any(AT_FDCWD, path, flags, 0);         \
    }
#define OPENAT_2(name, real_name)                                                                            \
    int name(int dirfd, const char *path, int flags);                                                        \
    ZIO_EXPORT int name(int dirfd, const char *path, int flags)                                              \
    {                                                                                                        \
        return WANTS_MODE(flags) ? real.real_name(dirfd, path, flags) : open_any(dirfd, path, flags, 0);     \
    }
OPEN_2(__open_2, __open_2)
OPEN_2(__open64_2, __open64_2)
OPENAT_2(__openat_2, __openat_2)
OPENAT_2(__openat64_2, __openat64_2)

// ---- openat2(2), which the C library has no function for ----

static bool
how_is_plain(const struct open_how *how)
{
    const uint64_t known = RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH |
                           RESOLVE_IN_ROOT | 0x20 /* RESOLVE_CACHED */;
    bool makes = WANTS_MODE((int)how->flags);

    if (how->flags >> 31 || how->resolve & ~known || (how->mode && !makes) || how->mode & ~07777ull)
        return false;
    return !(how->resolve & RESOLVE_BENEATH && how->resolve & RESOLVE_IN_ROOT);
}

long
route_openat2(int dirfd, const char *path, const void *arg, size_t size)
{
    struct open_how how;
    struct open_args a = {0};
    struct route_target t;
    struct route_guard g;
    unsigned flags;
    long r;

    if (!arg || size != sizeof how)
        goto native;
    memcpy(&how, arg, sizeof how);
    flags = open_flags((int)how.flags);
    if (how.resolve & RESOLVE_IN_ROOT && path && *path == '/') { // the start is "/"
        path += strspn(path, "/");
        path = *path ? path : ".";
    }
    r = route_find(dirfd, path, flags, &t);
    if (r < 0)
        return route_result(r);
    // Within a limit that forbids to leave the start, no path that starts natively gets into a volume.
    if (!t.vol || (!t.hold && how.resolve & (RESOLVE_NO_XDEV | RESOLVE_BENEATH | RESOLVE_IN_ROOT))) {
        bool xdev = t.vol && how.resolve & (RESOLVE_NO_XDEV | RESOLVE_BENEATH);

        route_done(&t);
        if (xdev)
            return route_result(-EXDEV);
        goto native;
    }
    a = (struct open_args){(int)how.flags,
                           (mode_t)how.mode,
                           (how.resolve & RESOLVE_BENEATH ? FSC_RESOLVE_BENEATH : 0) |
                               (how.resolve & RESOLVE_IN_ROOT ? FSC_RESOLVE_IN_ROOT : 0) |
                               (how.resolve & RESOLVE_NO_SYMLINKS ? FSC_RESOLVE_NO_SYMLINKS : 0),
                           {NULL, 0}};
    if (!how_is_plain(&how)) {
        r = -EINVAL;
    } else if (how.resolve & 0x20) {
        r = -EAGAIN; // "from the cache or not at all": always allowed to say no
    } else {
        route_enter(&g);
        r = open_in(&t, &a);
        route_leave(&g);
        if (r == -EREMOTE)
            r = how.resolve & RESOLVE_NO_XDEV ? -EXDEV : route_next(&t, flags, r);
        if (r == 1 && !t.vol)
            r = zsys4(SYS_openat2, t.dirfd, t.path, arg, size);
    }
    route_done(&t);
    return a.node.vol ? route_node_open(&a.node, a.flags) : route_result(r);
native:
    return route_made_fd((int)real_syscall(SYS_openat2, dirfd, path, arg, size));
}
