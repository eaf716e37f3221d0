// SPDX-License-Identifier: Apache-2.0
// The calls to the disk: the system's own, and how the rest of the engine calls them (whole, -errno, past
// EINTR).
#include <errno.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "chunk/impl.h"

static ssize_t
sys_pread(void *arg, int fd, void *buf, size_t len, off_t off)
{
    return pread(fd, buf, len, off);
}

static ssize_t
sys_pwrite(void *arg, int fd, const void *buf, size_t len, off_t off)
{
    return pwrite(fd, buf, len, off);
}

static int
sys_openat(void *arg, int dirfd, const char *name, int flags, mode_t mode)
{
    return openat(dirfd, name, flags, mode);
}

static int
sys_fdatasync(void *arg, int fd)
{
    return fdatasync(fd);
}

static int
sys_fsync(void *arg, int fd)
{
    return fsync(fd);
}

static int
sys_ftruncate(void *arg, int fd, off_t len)
{
    return ftruncate(fd, len);
}

static int
sys_fallocate(void *arg, int fd, int mode, off_t off, off_t len)
{
    return fallocate(fd, mode, off, len);
}

static int
sys_linkat(void *arg, int dirfd, const char *from, const char *to)
{
    return linkat(dirfd, from, dirfd, to, 0);
}

static int
sys_renameat(void *arg, int dirfd, const char *from, const char *to)
{
    return renameat(dirfd, from, dirfd, to);
}

static int
sys_unlinkat(void *arg, int dirfd, const char *name)
{
    return unlinkat(dirfd, name, 0);
}

static int
sys_clone(void *arg, int dst, int src)
{
    return ioctl(dst, FICLONE, src);
}

const struct chunk_io io_system = {
    .pread = sys_pread,
    .pwrite = sys_pwrite,
    .openat = sys_openat,
    .fdatasync = sys_fdatasync,
    .fsync = sys_fsync,
    .ftruncate = sys_ftruncate,
    .fallocate = sys_fallocate,
    .linkat = sys_linkat,
    .renameat = sys_renameat,
    .unlinkat = sys_unlinkat,
    .clone = sys_clone,
};

// Call until it was not interrupted; the result, or -errno.
#define CALL(call)                                                                                           \
    ({                                                                                                       \
        __typeof__(call) result_;                                                                            \
        do                                                                                                   \
            result_ = (call);                                                                                \
        while (result_ < 0 && errno == EINTR);                                                               \
        result_ < 0 ? -errno : result_;                                                                      \
    })

ssize_t
io_pread_full(struct chunk_store *s, int fd, void *buf, size_t len, uint64_t off)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = CALL(s->io.pread(s->io.arg, fd, (char *)buf + done, len - done, (off_t)(off + done)));

        if (n < 0)
            return n;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

ssize_t
io_pwrite_full(struct chunk_store *s, int fd, const void *buf, size_t len, uint64_t off, int *error)
{
    size_t done = 0;

    *error = 0;
    while (done < len) {
        ssize_t n =
            CALL(s->io.pwrite(s->io.arg, fd, (const char *)buf + done, len - done, (off_t)(off + done)));

        if (n <= 0) {
            *error = n < 0 ? (int)n : -EIO;
            break;
        }
        done += (size_t)n;
    }
    return (ssize_t)done;
}

static void
share(const struct chunk_store *s, int fd)
{
    struct stat st;

    if (fstat(fd, &st) == 0 && (st.st_mode & 0777) != s->mode && st.st_uid == geteuid())
        (void)fchmod(fd, s->mode);
}

int
io_open(struct chunk_store *s, const char *name, int flags)
{
    int fd = CALL(s->io.openat(s->io.arg, s->root.fd, name, flags | O_CLOEXEC, s->mode));

    // What is merely kept open makes room.
    if ((fd == -EMFILE || fd == -ENFILE) && cache_shrink(s))
        fd = CALL(s->io.openat(s->io.arg, s->root.fd, name, flags | O_CLOEXEC, s->mode));
    // Where others use the store too, this process's umask is not to shut them out.
    if (fd >= 0 && flags & O_CREAT && s->mode & 066)
        share(s, fd);
    return fd;
}

int
io_fdatasync(struct chunk_store *s, int fd)
{
    return CALL(s->io.fdatasync(s->io.arg, fd));
}

int
io_fsync(struct chunk_store *s, int fd)
{
    return CALL(s->io.fsync(s->io.arg, fd));
}

int
io_ftruncate(struct chunk_store *s, int fd, uint64_t len)
{
    return CALL(s->io.ftruncate(s->io.arg, fd, (off_t)len));
}

int
io_fallocate(struct chunk_store *s, int fd, int mode, uint64_t off, uint64_t len)
{
    return CALL(s->io.fallocate(s->io.arg, fd, mode, (off_t)off, (off_t)len));
}

int
io_link(struct chunk_store *s, const char *from, const char *to)
{
    return CALL(s->io.linkat(s->io.arg, s->root.fd, from, to));
}

int
io_rename(struct chunk_store *s, const char *from, const char *to)
{
    return CALL(s->io.renameat(s->io.arg, s->root.fd, from, to));
}

int
io_unlink(struct chunk_store *s, const char *name)
{
    return CALL(s->io.unlinkat(s->io.arg, s->root.fd, name));
}

int
io_clone(struct chunk_store *s, int dst, int src)
{
    return CALL(s->io.clone(s->io.arg, dst, src));
}

int
io_exists(struct chunk_store *s, const char *name)
{
    struct stat st;
    int r = CALL(fstatat(s->root.fd, name, &st, AT_SYMLINK_NOFOLLOW));

    return r == 0 ? 1 : r == -ENOENT ? 0 : r;
}

struct owned_fd
io_own_stat(int fd, struct stat *st)
{
    if (fstat(fd, st) != 0)
        *st = (struct stat){0};
    return (struct owned_fd){.fd = fd, .dev = st->st_dev, .ino = st->st_ino};
}

struct owned_fd
io_own(int fd)
{
    struct stat st;

    return io_own_stat(fd, &st);
}

void
io_disown(struct owned_fd *own)
{
    struct stat st;

    // A program that closes what it does not know may have another file under this number by now.
    if (own->fd >= 0 && fstat(own->fd, &st) == 0 && st.st_dev == own->dev && st.st_ino == own->ino)
        (void)close(own->fd);
    own->fd = -1;
}

int
io_lock(int fd, int type, uint64_t off)
{
    struct flock fl = {.l_type = (short)type, .l_whence = SEEK_SET, .l_start = (off_t)off, .l_len = 1};
    int r = CALL(fcntl(fd, F_OFD_SETLK, &fl));

    return r == -EACCES ? -EAGAIN : r;
}

int
io_flush(struct chunk_store *s, struct flush *f, int fd, const word_t *flags,
         void (*failed)(struct chunk_store *s, void *arg), void *arg)
{
    uint64_t mine = atomic_fetch_add(&f->arrivals, 1) + 1;
    int r = 0;

    pthread_mutex_lock(&f->mutex);
    if (f->covered < mine) {
        uint64_t covers = atomic_load(&f->arrivals);

        // Whoever waits set the flag before he came, or knows that the name is on disk.
        r = flags && atomic_load(flags) & SLOT_NAME_NEW ? io_fsync(s, fd) : io_fdatasync(s, fd);
        f->covered = covers;
        if (r) {
            f->failed = covers;
            f->error = r;
            failed(s, arg);
        }
    } else if (f->failed >= mine) {
        r = f->error;
    }
    pthread_mutex_unlock(&f->mutex);
    return r;
}

void
io_nap(unsigned *round)
{
    unsigned us = *round < 10 ? 20 : *round < 100 ? 200 : 2000;
    struct timespec ts = {.tv_nsec = us * 1000L};

    ++*round;
    (void)nanosleep(&ts, NULL);
}
