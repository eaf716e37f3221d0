// SPDX-License-Identifier: Apache-2.0
// The links of /proc that lead to a descriptor or to the current directory: natively they lead to the token
// of a routed one, so that calls that take such a path are turned into calls on the descriptor. And the way
// back: what readlink says of them, which is the descriptor's path.
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "libzio/hooks_fs.h"

// A decimal number that ends at a slash or at the end: behind it, or NULL.
static const char *
number(const char *p, int *out)
{
    long n = 0;

    if (*p < '0' || *p > '9' || (*p == '0' && p[1] >= '0' && p[1] <= '9'))
        return NULL;
    for (; *p >= '0' && *p <= '9'; p++)
        if ((n = n * 10 + (*p - '0')) > INT_MAX)
            return NULL;
    *out = (int)n;
    return *p == '\0' || *p == '/' ? p : NULL;
}

static const char *
behind(const char *p, const char *what)
{
    size_t n = strlen(what);

    return strncmp(p, what, n) == 0 ? p + n : NULL;
}

// /proc/self, /proc/thread-self, /proc/PID of this process: what follows the slash.
static const char *
own_proc(const char *path)
{
    const char *p = behind(path, "/proc/"), *q;
    int pid;

    if (!p)
        return NULL;
    if ((q = behind(p, "self/")) || (q = behind(p, "thread-self/")))
        return q;
    q = number(p, &pid);
    return q && *q == '/' && pid == getpid() ? q + 1 : NULL;
}

// What link the path begins with: its descriptor or AT_FDCWD, and the rest behind it. False: none.
static bool
parse(const char *path, int *fd, const char **rest, bool *through_dev)
{
    static const char *const std[] = {"in", "out", "err"};
    const char *p, *q;

    *through_dev = false;
    if ((p = own_proc(path))) {
        if ((q = behind(p, "fd/")))
            return (*rest = number(q, fd)) != NULL;
        if ((q = behind(p, "cwd")) && (*q == '\0' || *q == '/')) {
            *fd = AT_FDCWD;
            *rest = q;
            return true;
        }
        return false;
    }
    if (!(p = behind(path, "/dev/")))
        return false;
    if ((q = behind(p, "fd/")))
        return (*rest = number(q, fd)) != NULL;
    if (!(p = behind(p, "std")))
        return false;
    for (int i = 0; i < 3; i++)
        if ((q = behind(p, std[i])) && (*q == '\0' || *q == '/')) {
            *fd = i;
            *rest = q;
            *through_dev = true; // itself a link to the link
            return true;
        }
    return false;
}

static bool
routed(int fd)
{
    struct route_file *f;

    if (fd != AT_FDCWD)
        return route_fd(fd);
    f = route_cwd_get();
    if (f)
        route_file_put(f);
    return f != NULL;
}

static bool
may_be_magic(const char *path)
{
    return !route_bad_string(path) && path[0] == '/' && (path[1] == 'p' || path[1] == 'd');
}

bool
fs_magic(int *dirfd, const char **path, unsigned *flags)
{
    const char *rest;
    bool through_dev, slash;
    int fd;

    if (!may_be_magic(*path) || !parse(*path, &fd, &rest, &through_dev) || !routed(fd))
        return false;
    slash = *rest == '/';
    rest += strspn(rest, "/");
    if (*rest == '\0') {
        if (!slash && (*flags & ROUTE_NOFOLLOW))
            return false;
        if (slash || fd == AT_FDCWD)
            rest = ".";
        else
            *flags |= ROUTE_EMPTY;
    }
    *dirfd = fd;
    *path = rest;
    return true;
}

int
fs_magic_link(int dirfd, const char *path)
{
    const char *rest;
    bool through_dev;
    int fd;

    (void)dirfd; // relative to a descriptor of /proc/self/fd: natively, which shows the token
    if (!may_be_magic(path) || !parse(path, &fd, &rest, &through_dev) || through_dev || *rest || !routed(fd))
        return -1;
    return fd;
}

// Does the text name the file without links and dots? Then it is where the file is.
static bool
plain_path(struct route_file *f, const char *path)
{
    struct route_vol *v = route_file_vol(f);
    struct fsc_at at = {.cred = FSC_ENGINE, .resolve = FSC_RESOLVE_NO_SYMLINKS};
    struct fsc_attr attr;
    int r;

    for (const char *p = path; *p; p++)
        if (p[0] == '/' && p[1] == '.' && (p[2] == '\0' || p[2] == '/' || p[2] == '.'))
            return false;
    if (strncmp(path, v->prefix, v->prefix_len) != 0)
        return false;
    path += v->prefix_len;
    FS_INSIDE(r, fsc.getattr(v->fs, &at, *path ? path : "/", AT_SYMLINK_NOFOLLOW, &attr));
    return r == 0 && attr.ino == fsc.file_ino(route_file_fsc(f));
}

// The text leads to the file through links or dots: the path without, or 0 when it leads elsewhere by now.
static ssize_t
through_links(struct route_file *f, const char *path, char *buf, size_t size)
{
    char *real = realpath(path, NULL);
    ssize_t n = 0;

    if (real && strlen(real) <= size && plain_path(f, real)) {
        n = (ssize_t)strlen(real);
        memcpy(buf, real, (size_t)n);
    }
    free(real);
    return n;
}

static int
prepend(char *buf, size_t *at, const char *text, size_t n)
{
    if (n > *at)
        return -ENAMETOOLONG;
    *at -= n;
    memcpy(buf + *at, text, n);
    return 0;
}

// The name of inode `ino` in directory `dir`, into e->name.
static int
name_of(struct fsc *fs, uint64_t dir, uint64_t ino, struct fsc_dirent *v, size_t n, const char **name)
{
    uint64_t cookie = 0;
    ssize_t k;

    while ((k = fsc.ino_readdir(fs, dir, cookie, v, n)) > 0)
        for (ssize_t i = 0; i < k; i++) {
            cookie = v[i].cookie;
            if (v[i].ino == ino && strcmp(v[i].name, ".") != 0 && strcmp(v[i].name, "..") != 0) {
                *name = v[i].name;
                return 0;
            }
        }
    return k < 0 ? (int)k : -ENOENT;
}

// A directory that was renamed (or one above it): upwards by "..", as getcwd of old did it.
static ssize_t
climb(struct route_file *f, char *buf, size_t size)
{
    enum { BATCH = 64 };
    struct route_vol *v = route_file_vol(f);
    struct fsc_dirent *list = malloc(BATCH * sizeof(*list));
    uint64_t ino = fsc.file_ino(route_file_fsc(f));
    size_t at = size;
    int r = list ? 0 : -ENOMEM;

    while (r == 0 && ino != FSC_ROOT) {
        struct fsc_attr up;
        const char *name = NULL;

        r = fsc.ino_lookup(v->fs, FSC_ENGINE, ino, "..", &up);
        if (r == 0)
            r = name_of(v->fs, up.ino, ino, list, BATCH, &name);
        if (r == 0)
            r = prepend(buf, &at, name, strlen(name));
        if (r == 0)
            r = prepend(buf, &at, "/", 1);
        ino = up.ino;
    }
    if (r == 0)
        r = prepend(buf, &at, v->prefix, v->prefix_len);
    if (r == 0)
        memmove(buf, buf + at, size - at);
    free(list);
    return r < 0 ? r : (ssize_t)(size - at);
}

ssize_t
fs_path_of(struct route_file *f, char *buf, size_t size)
{
    const char *path = route_file_path(f);
    size_t n = strlen(path);
    struct stat st;
    ssize_t r;

    if (!route_file_fsc(f) || plain_path(f, path)) {
        if (n > size)
            return -ENAMETOOLONG;
        memcpy(buf, path, n);
        return (ssize_t)n;
    }
    r = through_links(f, path, buf, size);
    if (r != 0)
        return r;
    FS_INSIDE(r, fsc.fstat(route_file_fsc(f), &st));
    if (r == 0 && S_ISDIR(st.st_mode) && st.st_nlink > 0) {
        FS_INSIDE(r, climb(f, buf, size));
        return r;
    }
    snprintf(buf, size, "%s (deleted)", path);
    return -ENOENT;
}

long
fs_call(int dirfd, const char *path, unsigned flags, route_in_fn in, route_out_fn out, void *arg)
{
    fs_magic(&dirfd, &path, &flags);
    return route_call(dirfd, path, flags, in, out, arg);
}

long
fs_fd_call(int fd, bool need_io, route_in_fn in, void *arg, bool *is_routed)
{
    struct route_file *f = route_file_get(fd);
    struct route_target t; // large: only what `in` looks at is set
    long r;

    *is_routed = f != NULL;
    if (!f)
        return 0;
    t.vol = route_file_vol(f);
    t.at = (struct fsc_at){.dir = route_file_fsc(f)};
    t.path = "";
    t.self = true;
    t.dirfd = fd;
    if (!t.at.dir)
        r = route_file_error(f);
    else if (need_io && (route_file_flags(f) & O_PATH))
        r = -EBADF;
    else
        FS_INSIDE(r, in(&t, arg));
    route_file_put(f);
    return fs_result(r);
}

bool
fs_takes_part(const char *path)
{
    struct route_target t;
    int saved = errno, fd;
    bool yes = false;

    if (route_find(AT_FDCWD, path, 0, &t) == 0) {
        yes = t.vol != NULL;
        route_done(&t);
    }
    if (yes)
        return true;
    fd = open(path, O_PATH | O_CLOEXEC); // changes nothing, and goes through every link
    if (fd >= 0) {
        yes = route_fd(fd);
        close(fd);
    }
    errno = saved;
    return yes;
}
