// SPDX-License-Identifier: Apache-2.0
// Directory streams. One over a routed descriptor is ours: it reads entries in batches behind a cookie, which
// is the descriptor's offset (as it is in the kernel: telldir, lseek and getdents of a copy of the descriptor
// agree). One over a native descriptor is the C library's.
//
// A DIR of ours begins as glibc's does, with the descriptor and a lock; where that has the size of its
// buffer, ours has a number that is no size.
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "libzio/hooks_fs.h"

#define DIR_MAGIC UINT64_C(0x7a696f2064697273)
#define BATCH 64

struct zdir {
    int fd;
    int unused;
    uint64_t magic;
    pthread_mutex_t lock;
    uint64_t cookie; // of the entry that was returned last: telldir
    size_t i, n;     // in the batch
    struct dirent out;
    struct fsc_dirent v[BATCH];
};

static struct zdir *
ours(DIR *dir)
{
    struct zdir *d = (struct zdir *)dir;

    return d && d->magic == DIR_MAGIC ? d : NULL;
}

static DIR *
dir_new(int fd)
{
    struct zdir *d = malloc(sizeof(*d));
    off64_t at = lseek64(fd, 0, SEEK_CUR);

    if (!d)
        return NULL;
    d->fd = fd;
    d->magic = DIR_MAGIC;
    pthread_mutex_init(&d->lock, NULL);
    d->cookie = at > 0 ? (uint64_t)at : 0;
    d->i = d->n = 0;
    return (DIR *)d;
}

ZIO_EXPORT DIR *
fdopendir(int fd)
{
    struct stat st;
    int flags;

    if (route_idle() || !route_fd(fd))
        return FS_REAL(fdopendir)(fd);
    if (fstat(fd, &st) < 0)
        return NULL;
    flags = fcntl(fd, F_GETFL);
    if (!S_ISDIR(st.st_mode) || flags < 0 || (flags & O_ACCMODE) == O_WRONLY) {
        errno = !S_ISDIR(st.st_mode) ? ENOTDIR : flags < 0 ? EBADF : EINVAL;
        return NULL;
    }
    fcntl(fd, F_SETFD, FD_CLOEXEC); // as the C library does
    return dir_new(fd);
}

ZIO_EXPORT DIR *
opendir(const char *path)
{
    DIR *dir;
    int fd;

    if (route_idle())
        return FS_REAL(opendir)(path);
    if (*path == '\0') {
        errno = ENOENT;
        return NULL;
    }
    // Never blocks on a FIFO, as the C library's.
    fd = open(path, O_RDONLY | O_NONBLOCK | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    dir = route_fd(fd) ? dir_new(fd) : FS_REAL(fdopendir)(fd);
    if (!dir) {
        int err = errno;

        close(fd);
        errno = err;
    }
    return dir;
}

// One more batch: its count, 0 at the end, -errno.
static ssize_t
fill(struct zdir *d)
{
    struct route_file *f = route_file_get(d->fd);
    ssize_t n;

    d->i = d->n = 0;
    if (!f)
        return -EBADF; // closed behind the stream's back
    n = route_file_fsc(f) ? 0 : route_file_error(f);
    if (n == 0) {
        struct route_guard g;
        int64_t at = route_pos_begin(f, &g);

        n = fsc.readdir(route_file_fsc(f), (uint64_t)at, d->v, BATCH);
        route_pos_end(f, &g, n > 0 ? (int64_t)d->v[n - 1].cookie : at);
    }
    route_file_put(f);
    d->n = n > 0 ? (size_t)n : 0;
    return n;
}

static void
as_dirent(const struct fsc_dirent *e, struct dirent *out)
{
    size_t n = strlen(e->name);

    out->d_ino = e->ino;
    out->d_off = (off_t)e->cookie;
    out->d_type = e->type;
    out->d_reclen = (unsigned short)((offsetof(struct dirent, d_name) + n + 1 + 7) & ~(size_t)7);
    memcpy(out->d_name, e->name, n + 1);
}

// The next entry into *out: 1, 0 at the end, -errno.
static int
next_entry(struct zdir *d, struct dirent *out)
{
    ssize_t r = 1;

    pthread_mutex_lock(&d->lock);
    if (d->i == d->n)
        r = fill(d);
    if (r > 0) {
        as_dirent(&d->v[d->i], out);
        d->cookie = d->v[d->i++].cookie;
        r = 1;
    }
    pthread_mutex_unlock(&d->lock);
    return (int)r;
}

ZIO_EXPORT struct dirent *
readdir(DIR *dir)
{
    struct zdir *d = ours(dir);
    int r;

    if (!d)
        return FS_REAL(readdir)(dir);
    r = next_entry(d, &d->out);
    if (r < 0 && r != -ENOENT) // of a directory that was removed: the end, says the C library
        errno = -r;
    return r > 0 ? &d->out : NULL;
}
ZIO_ALIAS(readdir64, readdir);

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
ZIO_EXPORT int
readdir_r(DIR *dir, struct dirent *entry, struct dirent **result)
{
    struct zdir *d = ours(dir);
    int r;

    if (!d)
        return FS_REAL(readdir_r)(dir, entry, result);
    r = next_entry(d, entry);
    *result = r > 0 ? entry : NULL;
    return r < 0 && r != -ENOENT ? -r : 0;
}
ZIO_ALIAS(readdir64_r, readdir_r);
#pragma GCC diagnostic pop

static void
go_to(struct zdir *d, uint64_t cookie)
{
    pthread_mutex_lock(&d->lock);
    d->cookie = cookie;
    d->i = d->n = 0;
    lseek64(d->fd, (off64_t)cookie, SEEK_SET);
    pthread_mutex_unlock(&d->lock);
}

ZIO_EXPORT void
seekdir(DIR *dir, long at)
{
    struct zdir *d = ours(dir);

    if (d)
        go_to(d, at > 0 ? (uint64_t)at : 0);
    else
        FS_REAL(seekdir)(dir, at);
}

ZIO_EXPORT void
rewinddir(DIR *dir)
{
    struct zdir *d = ours(dir);

    if (d)
        go_to(d, 0);
    else
        FS_REAL(rewinddir)(dir);
}

ZIO_EXPORT long
telldir(DIR *dir)
{
    struct zdir *d = ours(dir);
    long at;

    if (!d)
        return FS_REAL(telldir)(dir);
    pthread_mutex_lock(&d->lock);
    at = (long)d->cookie;
    pthread_mutex_unlock(&d->lock);
    return at;
}

ZIO_EXPORT int
closedir(DIR *dir)
{
    struct zdir *d = ours(dir);
    int fd;

    if (!d)
        return FS_REAL(closedir)(dir);
    fd = d->fd;
    d->magic = 0;
    pthread_mutex_destroy(&d->lock);
    free(d);
    return close(fd);
}

ZIO_EXPORT int
dirfd(DIR *dir)
{
    struct zdir *d = ours(dir);

    return d ? d->fd : FS_REAL(dirfd)(dir);
}

// ---- by number ----

// As many entries as fit into `size` bytes; false: no more.
static bool
put_entry(const struct fsc_dirent *e, char *buf, size_t size, size_t *at)
{
    struct dirent d;

    as_dirent(e, &d);
    if (*at + d.d_reclen > size)
        return false;
    memset((char *)&d + offsetof(struct dirent, d_name) + strlen(e->name), 0,
           d.d_reclen - offsetof(struct dirent, d_name) - strlen(e->name));
    memcpy(buf + *at, &d, d.d_reclen);
    *at += d.d_reclen;
    return true;
}

// getdents64 on a routed directory: bytes, 0 at the end, -errno. *base: the offset before.
ssize_t
fs_getdents(int fd, void *buf, size_t size, off_t *base)
{
    enum { SOME = 16 };
    struct fsc_dirent v[SOME];
    struct route_file *f = route_file_get(fd);
    struct route_guard g;
    size_t done = 0;
    ssize_t n = f && route_file_fsc(f) && !(route_file_flags(f) & O_PATH) ? 1 : -EBADF;
    bool room = true;
    int64_t at;

    if (n > 0) {
        at = route_pos_begin(f, &g);
        if (base)
            *base = at;
        while (n > 0 && room) {
            n = fsc.readdir(route_file_fsc(f), (uint64_t)at, v, SOME);
            for (ssize_t i = 0; i < n && (room = put_entry(&v[i], buf, size, &done)); i++)
                at = (int64_t)v[i].cookie;
        }
        route_pos_end(f, &g, at);
    }
    if (f)
        route_file_put(f);
    return done > 0 ? (ssize_t)done : n > 0 ? -EINVAL : n;
}

ZIO_EXPORT ssize_t
getdents64(int fd, void *buf, size_t size)
{
    if (route_idle() || !route_fd(fd))
        return FS_REAL(getdents64)(fd, buf, size);
    return fs_result(fs_getdents(fd, buf, min_of(size, (size_t)INT_MAX), NULL));
}

ZIO_EXPORT ssize_t
getdirentries(int fd, char *buf, size_t size, off_t *base)
{
    if (route_idle() || !route_fd(fd))
        return FS_REAL(getdirentries)(fd, buf, size, base);
    return fs_result(fs_getdents(fd, buf, min_of(size, (size_t)INT_MAX), base));
}
ZIO_ALIAS(getdirentries64, getdirentries);

// ---- scandir ----

typedef int (*dir_select)(const struct dirent *);
typedef int (*dir_compare)(const struct dirent **, const struct dirent **);

struct list {
    struct dirent **v;
    size_t n, room;
};

static int
list_add(struct list *l, const struct dirent *e)
{
    size_t size = offsetof(struct dirent, d_name) + strlen(e->d_name) + 1;
    struct dirent *copy;

    if (l->n == l->room) {
        size_t room = l->room ? 2 * l->room : 16;
        struct dirent **v = realloc(l->v, room * sizeof(*v));

        if (!v)
            return -ENOMEM;
        l->v = v;
        l->room = room;
    }
    copy = malloc(max_of(size, (size_t)e->d_reclen));
    if (!copy)
        return -ENOMEM;
    memcpy(copy, e, size);
    l->v[l->n++] = copy;
    return 0;
}

static int
scan(DIR *dir, struct dirent ***names, dir_select select, dir_compare compare)
{
    struct list l = {0};
    const struct dirent *e;
    int saved = errno, err = 0;

    if (!dir)
        return -1;
    while (err == 0 && (errno = 0, (e = readdir(dir)) != NULL)) {
        if (select) {
            errno = 0;
            if (!select(e))
                continue;
        }
        err = list_add(&l, e);
    }
    if (err == 0)
        err = -errno;
    closedir(dir);
    if (err < 0) {
        while (l.n > 0)
            free(l.v[--l.n]);
        free(l.v);
        return (int)fs_result(err);
    }
    if (l.n > 1 && compare)
        qsort(l.v, l.n, sizeof(*l.v), (int (*)(const void *, const void *))compare);
    errno = saved;
    *names = l.v;
    return (int)l.n;
}

ZIO_EXPORT int
scandir(const char *path, struct dirent ***names, dir_select select, dir_compare compare)
{
    if (route_idle())
        return FS_REAL(scandir)(path, names, select, compare);
    return scan(opendir(path), names, select, compare);
}
ZIO_ALIAS(scandir64, scandir);

ZIO_EXPORT int
scandirat(int dirfd, const char *path, struct dirent ***names, dir_select select, dir_compare compare)
{
    DIR *dir;
    int fd;

    if (route_idle())
        return FS_REAL(scandirat)(dirfd, path, names, select, compare);
    fd = openat(dirfd, path, O_RDONLY | O_NONBLOCK | O_DIRECTORY | O_CLOEXEC);
    dir = fd < 0 ? NULL : fdopendir(fd);
    if (fd >= 0 && !dir)
        close(fd);
    return scan(dir, names, select, compare);
}
ZIO_ALIAS(scandirat64, scandirat);
