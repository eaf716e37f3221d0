// SPDX-License-Identifier: Apache-2.0
// The calls by handle. Here is checked what the handle allows and what the arguments may be; the driver does
// the rest.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <string.h>
#include <sys/file.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fsclient/driver.h"

#define RW_MAX 0x7ffff000u // bytes that one call moves at most, as in Linux

enum { FOR_READ = 1, FOR_WRITE = 2 };

// May this handle do that? -EBADF, or what the volume says.
static int
enter(struct fsc_file *file, int want)
{
    int flags = atomic_load_explicit(&file->flags, memory_order_relaxed), mode = flags & O_ACCMODE;

    if (flags & O_PATH || (want & FOR_READ && mode == O_WRONLY) || (want & FOR_WRITE && mode == O_RDONLY))
        return -EBADF;
    return fs_enter(file->fs);
}

// The bytes of a vector: at most RW_MAX, and not beyond the largest offset.
static ssize_t
iov_bytes(const struct iovec *iov, int count)
{
    size_t sum = 0;

    if (count < 0 || count > IOV_MAX)
        return -EINVAL;
    for (int i = 0; i < count; i++) {
        if (iov[i].iov_len > SSIZE_MAX - sum)
            return -EINVAL;
        sum += iov[i].iov_len;
    }
    return (ssize_t)sum;
}

// The call with a vector that ends after `max` bytes. Apart, since the copy is large and seldom needed.
static __attribute__((noinline)) ssize_t
cut_and_call(struct fsc_file *file, bool write, const struct iovec *iov, int count, size_t max,
             uint64_t offset, bool append, uint64_t *end)
{
    struct iovec cut[IOV_MAX];
    int n = 0;

    for (; n < count && max > 0; n++) {
        cut[n] = iov[n];
        if (cut[n].iov_len > max)
            cut[n].iov_len = max;
        max -= cut[n].iov_len;
    }
    return write ? file->fs->drv->pwritev(file, cut, n, offset, append, end)
                 : file->fs->drv->preadv(file, cut, n, offset);
}

ssize_t
fsc_preadv(struct fsc_file *file, const struct iovec *iov, int count, uint64_t offset)
{
    ssize_t total = enter(file, FOR_READ);

    if (total)
        return total;
    if (S_ISDIR(file->type))
        return -EISDIR;
    if (offset > INT64_MAX)
        return -EINVAL;
    total = iov_bytes(iov, count);
    if (total <= 0)
        return total;
    if ((size_t)total > RW_MAX)
        return cut_and_call(file, false, iov, count, RW_MAX, offset, false, NULL);
    return file->fs->drv->preadv(file, iov, count, offset);
}

ssize_t
fsc_pread(struct fsc_file *file, void *buf, size_t size, uint64_t offset)
{
    struct iovec one = {.iov_base = buf, .iov_len = size < RW_MAX ? size : RW_MAX};

    return fsc_preadv(file, &one, 1, offset);
}

ssize_t
fsc_pwritev(struct fsc_file *file, const struct iovec *iov, int count, uint64_t offset, int flags,
            uint64_t *end)
{
    int own = atomic_load(&file->flags);
    bool append = own & O_APPEND || flags & RWF_APPEND;
    uint64_t last, max = RW_MAX;
    ssize_t r = enter(file, FOR_WRITE);

    if (r)
        return r;
    if (flags & ~(RWF_APPEND | RWF_DSYNC | RWF_SYNC | RWF_HIPRI))
        return -EOPNOTSUPP;
    if (offset > INT64_MAX && !append)
        return -EINVAL;
    r = iov_bytes(iov, count);
    if (r <= 0)
        return r;
    if (!append && max > INT64_MAX - offset)
        max = INT64_MAX - offset;
    if (max == 0)
        return -EFBIG;
    end = end ? end : &last;
    if ((uint64_t)r > max)
        r = cut_and_call(file, true, iov, count, max, offset, append, end);
    else
        r = file->fs->drv->pwritev(file, iov, count, offset, append, end);
    if (r > 0 && (own & O_DSYNC || flags & (RWF_DSYNC | RWF_SYNC))) { // O_SYNC has O_DSYNC's bit
        int err = file->fs->drv->fsync(file, (own & O_SYNC) != O_SYNC && !(flags & RWF_SYNC));

        r = err ? err : r;
    }
    return r;
}

ssize_t
fsc_pwrite(struct fsc_file *file, const void *buf, size_t size, uint64_t offset)
{
    struct iovec one = {.iov_base = (void *)buf, .iov_len = size < RW_MAX ? size : RW_MAX};

    return fsc_pwritev(file, &one, 1, offset, 0, NULL);
}

ssize_t
fsc_append(struct fsc_file *file, const void *buf, size_t size, uint64_t *end)
{
    struct iovec one = {.iov_base = (void *)buf, .iov_len = size < RW_MAX ? size : RW_MAX};

    return fsc_pwritev(file, &one, 1, 0, RWF_APPEND, end);
}

int
fsc_ftruncate(struct fsc_file *file, uint64_t size)
{
    struct cred_buf buf;
    int err;

    if (size > INT64_MAX)
        return -EINVAL;
    err = enter(file, FOR_WRITE);
    if (err == -EBADF && !(file->flags & O_PATH))
        return -EINVAL; // Linux's errno for a descriptor not open for writing
    if (err)
        return err;
    // The handle is the permission; who calls says whether set-user-ID goes.
    if (!cred_get(NULL, false, &buf))
        return -ENOMEM;
    buf.cred.checked = true;
    err = file->fs->drv->truncate(file->fs, &buf.cred, file->ino, size, NULL);
    cred_put(&buf);
    return err;
}

int
fsc_fallocate(struct fsc_file *file, int mode, uint64_t offset, uint64_t length)
{
    int err;

    if (offset > INT64_MAX || length == 0 || length > INT64_MAX)
        return -EINVAL;
    if (mode != 0 && mode != FALLOC_FL_KEEP_SIZE && mode != (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE) &&
        mode != FALLOC_FL_ZERO_RANGE && mode != (FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE))
        return -EOPNOTSUPP;
    err = enter(file, FOR_WRITE);
    if (err)
        return err;
    if (offset + length > INT64_MAX)
        return -EFBIG;
    return file->fs->drv->fallocate(file, mode, offset, length);
}

int
fsc_fsync(struct fsc_file *file)
{
    int err = enter(file, 0);

    return err ? err : file->fs->drv->fsync(file, false);
}

int
fsc_fdatasync(struct fsc_file *file)
{
    int err = enter(file, 0);

    return err ? err : file->fs->drv->fsync(file, true);
}

int64_t
fsc_seek(struct fsc_file *file, uint64_t offset, int whence)
{
    int err = enter(file, 0);

    if (err)
        return err;
    if ((whence != SEEK_DATA && whence != SEEK_HOLE) || !S_ISREG(file->type))
        return -EINVAL;
    if (offset > INT64_MAX)
        return -ENXIO;
    return file->fs->drv->seek(file, offset, whence);
}

int
fsc_fstat(struct fsc_file *file, struct stat *st)
{
    struct fsc_attr attr;
    int err = fsc_ino_getattr(file->fs, file->ino, &attr);

    if (!err)
        fsc_attr_stat(file->fs, &attr, st);
    return err;
}

uint64_t
fsc_file_version(struct fsc_file *file)
{
    return fsc_ino_version(file->fs, file->ino);
}

uint64_t
fsc_file_ino(const struct fsc_file *file)
{
    return file->ino;
}

int
fsc_file_flags(const struct fsc_file *file)
{
    return atomic_load(&file->flags);
}

int
fsc_file_set_flags(struct fsc_file *file, int flags)
{
    const int mine = O_APPEND | O_NOATIME | O_DIRECT | O_NONBLOCK | O_ASYNC;
    int old = atomic_load(&file->flags);

    if (old & O_PATH)
        return -EBADF;
    while (!atomic_compare_exchange_weak(&file->flags, &old, (old & ~mine) | (flags & mine)))
        ;
    return 0;
}

ssize_t
fsc_readdir(struct fsc_file *dir, uint64_t cookie, struct fsc_dirent *v, size_t n)
{
    int err = enter(dir, FOR_READ);

    if (err)
        return err;
    return S_ISDIR(dir->type) ? dir->fs->drv->readdir(dir->fs, dir->ino, cookie, v, n) : -ENOTDIR;
}

int
fsc_clone_range(struct fsc_file *src, uint64_t src_offset, struct fsc_file *dst, uint64_t dst_offset,
                uint64_t length)
{
    int err = enter(src, FOR_READ);

    if (!err)
        err = enter(dst, FOR_WRITE);
    if (err)
        return err;
    if (src->fs != dst->fs)
        return -EXDEV;
    if (S_ISDIR(src->type))
        return -EISDIR;
    if (dst->flags & O_APPEND)
        return -EBADF;
    if (src_offset > INT64_MAX || dst_offset > INT64_MAX || length > INT64_MAX - src_offset ||
        length > INT64_MAX - dst_offset)
        return -EINVAL;
    return length == 0 ? 0 : src->fs->drv->clone_range(src, src_offset, dst, dst_offset, length);
}

ssize_t
fsc_get_layout(struct fsc_file *file, uint64_t offset, uint64_t length, struct fsc_extent *v, size_t n)
{
    int err = enter(file, 0);

    if (err)
        return err;
    if (offset > INT64_MAX || length > INT64_MAX - offset || !S_ISREG(file->type))
        return -EINVAL;
    return file->fs->drv->layout(file, offset, length, v, n);
}

// ---- locks ----

int
fsc_setlk(struct fsc_file *file, uint64_t owner, const struct fsc_lock *lock, int wait_ms)
{
    int err = enter(file, 0);

    if (err)
        return err;
    if (lock->start > lock->end || (lock->type != F_RDLCK && lock->type != F_WRLCK && lock->type != F_UNLCK))
        return -EINVAL;
    // As fcntl(2): a lock for reading wants a handle for reading, one for writing another.
    err = enter(file, lock->type == F_RDLCK ? FOR_READ : lock->type == F_WRLCK ? FOR_WRITE : 0);
    return err ? err : file->fs->drv->setlk(file, owner, lock, wait_ms);
}

int
fsc_getlk(struct fsc_file *file, uint64_t owner, struct fsc_lock *lock)
{
    int err = enter(file, 0);

    if (err)
        return err;
    if (lock->start > lock->end || (lock->type != F_RDLCK && lock->type != F_WRLCK))
        return -EINVAL;
    return file->fs->drv->getlk(file, owner, lock);
}

int
fsc_flock(struct fsc_file *file, int op, int wait_ms)
{
    int err = enter(file, 0);

    if (err)
        return err;
    if (op != LOCK_SH && op != LOCK_EX && op != LOCK_UN)
        return -EINVAL;
    return file->fs->drv->flock(file, op, wait_ms);
}

int
fsc_unlock_owner(struct fsc_file *file, uint64_t owner)
{
    int err = fs_enter(file->fs);

    return err ? err : file->fs->drv->unlock_owner(file, owner);
}

int
fsc_take_locks(struct fsc *fs, uint64_t session, uint64_t owner)
{
    int err = fs_enter(fs);

    return err ? err : fs->drv->take_locks(fs, session, owner);
}

uint64_t
fsc_session(struct fsc *fs)
{
    return fs_enter(fs) ? 0 : fs->drv->session(fs);
}
