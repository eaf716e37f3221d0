// SPDX-License-Identifier: Apache-2.0
// Reads, writes and offsets of routed files, as the system calls of those names do them.
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "libzio/real.h"
#include "libzio/route_map.h"
#include "libzio/route_priv.h"
#include "libzio/sys.h"

#define SECTOR 512 // what direct I/O must be aligned to
#define RWF_KNOWN (RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT | RWF_APPEND)

// May this I/O be done with O_DIRECT?
static bool
aligned(const struct iovec *iov, int n, uint64_t off)
{
    uintptr_t all = (uintptr_t)off;

    for (int i = 0; i < n; i++)
        all |= (uintptr_t)iov[i].iov_base | iov[i].iov_len;
    return all % SECTOR == 0;
}

static bool
bad_vector(const struct iovec *iov, int n, bool room)
{
    for (int i = 0; i < n; i++)
        if (unlikely(route_good_bytes(iov[i].iov_base, iov[i].iov_len, room) < iov[i].iov_len))
            return true;
    return false;
}

// A bad vector up to its first byte that is not the program's: the kernel, too, does what is before that. How
// many of it are in own[]; -EFAULT: no byte.
static int
good_part(const struct iovec *iov, int n, bool room, struct iovec own[])
{
    size_t sum = 0;
    int kept = 0;

    for (int i = 0; i < n; i++)
        if (route_no_address(iov[i].iov_base, iov[i].iov_len))
            return -EFAULT;
    for (; kept < n; kept++) {
        own[kept] = iov[kept];
        own[kept].iov_len = route_good_bytes(iov[kept].iov_base, iov[kept].iov_len, room);
        sum += own[kept].iov_len;
        if (own[kept].iov_len < iov[kept].iov_len)
            break;
    }
    return sum ? min_of(kept + 1, n) : -EFAULT;
}

// ---- reading ----

static ssize_t
done_read(struct route_use *u, struct route_guard *g, ssize_t r)
{
    if (likely(r >= 0))
        route_count_io(u, ROUTE_READS, (uint64_t)r);
    route_end(g, u);
    return route_result(r);
}

static ssize_t read_at(struct route_file *f, const struct iovec *iov, int n, off_t off);

static ssize_t __attribute__((noinline))
read_good_part(struct route_file *f, const struct iovec *iov, int n, off_t off)
{
    struct iovec own[IOV_MAX];
    struct stat st;

    if (atomic_load(&f->rec->flags) & (O_PATH | O_WRONLY))
        return -EBADF;
    n = good_part(iov, n, true, own);
    if (n < 0)
        return fsc.fstat(route_file_fsc(f), &st) == 0 && S_ISREG(st.st_mode) && off >= st.st_size ? 0 : n;
    return read_at(f, own, n, off);
}

static ssize_t
read_at(struct route_file *f, const struct iovec *iov, int n, off_t off)
{
    struct fsc_file *file = route_file_fsc(f);

    if (unlikely(!file))
        return route_file_error(f);
    if (unlikely(off < 0))
        return -EINVAL;
    if (unlikely(bad_vector(iov, n, true)))
        return read_good_part(f, iov, n, off);
    if (unlikely(atomic_load_explicit(&f->rec->flags, memory_order_relaxed) & O_DIRECT) &&
        !aligned(iov, n, (uint64_t)off))
        return -EINVAL;
    if (unlikely(atomic_load_explicit(&rmap_count, memory_order_relaxed)))
        route_map_ready(iov, n);
    return n == 1 ? fsc.pread(file, iov->iov_base, iov->iov_len, (uint64_t)off)
                  : fsc.preadv(file, iov, n, (uint64_t)off);
}

static ssize_t
read_here(struct route_file *f, const struct iovec *iov, int n)
{
    struct route_guard g;
    int64_t pos = route_pos_begin(f, &g);
    ssize_t r = read_at(f, iov, n, pos);

    route_pos_end(f, &g, r > 0 ? pos + r : pos);
    return r;
}

static bool
begin(struct route_use *u, struct route_guard *g, int fd)
{
    pthread_testcancel();
    return route_begin(g, u, fd) != NULL;
}

ssize_t
route_preadv(int fd, const struct iovec *iov, int n, off_t off, int flags)
{
    struct route_guard g;
    struct route_use u;
    ssize_t r;

    if (!begin(&u, &g, fd))
        return real.preadv64v2(fd, iov, n, off, flags);
    if (n < 0 || n > IOV_MAX || (n > 0 && route_bad_address(iov, (size_t)n * sizeof *iov)))
        r = n > 0 && n <= IOV_MAX ? -EFAULT : -EINVAL;
    else if (flags & ~RWF_KNOWN)
        r = -EOPNOTSUPP;
    else
        r = off == -1 ? read_here(u.f, iov, n) : read_at(u.f, iov, n, off);
    return done_read(&u, &g, r);
}

ssize_t
route_readv(int fd, const struct iovec *iov, int n)
{
    return route_preadv(fd, iov, n, -1, 0);
}

ssize_t
route_read(int fd, void *buf, size_t n)
{
    struct iovec iov = {buf, n};
    struct route_guard g;
    struct route_use u;

    if (!begin(&u, &g, fd))
        return real.read(fd, buf, n);
    return done_read(&u, &g, read_here(u.f, &iov, 1));
}

ssize_t
route_pread(int fd, void *buf, size_t n, off_t off)
{
    struct iovec iov = {buf, n};
    struct route_guard g;
    struct route_use u;

    if (!begin(&u, &g, fd))
        return real.pread64(fd, buf, n, off);
    return done_read(&u, &g, read_at(u.f, &iov, 1, off));
}

// ---- writing ----

// The limit of RLIMIT_FSIZE: how many of n bytes may be written at off; 0: none.
static uint64_t
under_limit(uint64_t off, uint64_t n)
{
    uint64_t limit = route_fsize_limit();

    if (likely(limit == RLIM64_INFINITY))
        return n;
    return off >= limit ? 0 : n < limit - off ? n : limit - off;
}

static ssize_t write_at(struct route_file *f, const struct iovec *iov, int n, off_t off, int flags,
                        uint64_t *end);

static ssize_t __attribute__((noinline))
write_good_part(struct route_file *f, const struct iovec *iov, int n, off_t off, int flags, uint64_t *end)
{
    struct iovec own[IOV_MAX];
    int mode = atomic_load(&f->rec->flags);

    if (mode & O_PATH || (mode & O_ACCMODE) == O_RDONLY)
        return -EBADF;
    n = good_part(iov, n, false, own);
    return n < 0 ? n : write_at(f, own, n, off, flags, end);
}

static ssize_t
write_at(struct route_file *f, const struct iovec *iov, int n, off_t off, int flags, uint64_t *end)
{
    struct fsc_file *file = route_file_fsc(f);
    int own = atomic_load_explicit(&f->rec->flags, memory_order_relaxed);
    struct iovec one;
    ssize_t r;

    if (unlikely(!file))
        return route_file_error(f);
    if (unlikely(off < 0))
        return -EINVAL;
    if (unlikely(bad_vector(iov, n, false)))
        return write_good_part(f, iov, n, off, flags, end);
    if (unlikely(own & O_DIRECT) && !aligned(iov, n, own & O_APPEND ? 0 : (uint64_t)off))
        return -EINVAL;
    if (unlikely(route_fsize_limit() != RLIM64_INFINITY) && n > 0 && (own & O_ACCMODE) != O_RDONLY) {
        struct stat st;
        uint64_t at = (uint64_t)off, sum = 0, may;

        if ((own | (flags & RWF_APPEND ? O_APPEND : 0)) & O_APPEND && fsc.fstat(file, &st) == 0)
            at = (uint64_t)st.st_size;
        for (int i = 0; i < n; i++)
            sum += iov[i].iov_len;
        may = under_limit(at, sum);
        if (may == 0 && sum > 0)
            return -EFBIG;
        if (may < sum) { // the first buffer alone, or what of it may be written
            one = iov[0];
            one.iov_len = one.iov_len < may ? one.iov_len : may;
            iov = &one;
            n = 1;
        }
    }
    flags &= RWF_APPEND | RWF_DSYNC | RWF_SYNC;
    if (likely(!atomic_load_explicit(&rmap_count, memory_order_relaxed)))
        return fsc.pwritev(file, iov, n, (uint64_t)off, flags, end);
    route_map_ready(iov, n);
    r = fsc.pwritev(file, iov, n, (uint64_t)off, flags, end);
    route_map_changed(f);
    return r;
}

static ssize_t
write_here(struct route_file *f, const struct iovec *iov, int n, int flags)
{
    struct route_guard g;
    int64_t pos = route_pos_begin(f, &g);
    uint64_t end = (uint64_t)pos;
    ssize_t r = write_at(f, iov, n, pos, flags, &end);

    route_pos_end(f, &g, r > 0 ? (int64_t)end : pos);
    return r;
}

static ssize_t
write_there(struct route_file *f, const struct iovec *iov, int n, off_t off, int flags)
{
    uint64_t end;

    return write_at(f, iov, n, off, flags, &end);
}

// The signal comes outside of the guard, as it may kill or be handled.
static ssize_t
done_write(struct route_use *u, struct route_guard *g, ssize_t r)
{
    if (likely(r >= 0))
        route_count_io(u, ROUTE_WRITES, (uint64_t)r);
    route_end(g, u);
    if (unlikely(r == -EFBIG) && route_fsize_limit() != RLIM64_INFINITY)
        zsys3(SYS_tgkill, zsys0(SYS_getpid), zsys0(SYS_gettid), SIGXFSZ);
    return route_result(r);
}

ssize_t
route_pwritev(int fd, const struct iovec *iov, int n, off_t off, int flags)
{
    struct route_guard g;
    struct route_use u;
    ssize_t r;

    if (!begin(&u, &g, fd))
        return real.pwritev64v2(fd, iov, n, off, flags);
    if (n < 0 || n > IOV_MAX || (n > 0 && route_bad_address(iov, (size_t)n * sizeof *iov)))
        r = n > 0 && n <= IOV_MAX ? -EFAULT : -EINVAL;
    else if (flags & ~RWF_KNOWN)
        r = -EOPNOTSUPP;
    else
        r = off == -1 ? write_here(u.f, iov, n, flags) : write_there(u.f, iov, n, off, flags);
    return done_write(&u, &g, r);
}

ssize_t
route_writev(int fd, const struct iovec *iov, int n)
{
    return route_pwritev(fd, iov, n, -1, 0);
}

ssize_t
route_write(int fd, const void *buf, size_t n)
{
    struct iovec iov = {(void *)buf, n};
    struct route_guard g;
    struct route_use u;

    if (!begin(&u, &g, fd))
        return real.write(fd, buf, n);
    return done_write(&u, &g, write_here(u.f, &iov, 1, 0));
}

ssize_t
route_pwrite(int fd, const void *buf, size_t n, off_t off)
{
    struct iovec iov = {(void *)buf, n};
    struct route_guard g;
    struct route_use u;

    if (!begin(&u, &g, fd))
        return real.pwrite64(fd, buf, n, off);
    return done_write(&u, &g, write_there(u.f, &iov, 1, off, 0));
}

// ---- offsets ----

static int64_t
sought(struct route_file *f, int64_t pos, int64_t off, int whence)
{
    struct fsc_file *file = route_file_fsc(f);
    struct stat st;
    int64_t base = 0;
    int err;

    if (!file)
        return route_file_error(f);
    if (atomic_load(&f->rec->flags) & O_PATH)
        return -EBADF;
    switch (whence) {
    case SEEK_SET:
        break;
    case SEEK_CUR:
        base = pos;
        break;
    case SEEK_END:
        err = fsc.fstat(file, &st);
        if (err)
            return err;
        base = S_ISDIR(st.st_mode) ? INT64_MAX : st.st_size;
        break;
    case SEEK_DATA:
    case SEEK_HOLE:
        return off < 0 ? -ENXIO : fsc.seek(file, (uint64_t)off, whence);
    default:
        return -EINVAL;
    }
    if (off > 0 && base > INT64_MAX - off)
        return -EINVAL;
    return base + off < 0 ? -EINVAL : base + off;
}

off_t
route_lseek(int fd, off_t off, int whence)
{
    struct route_guard g, inner;
    struct route_use u;
    int64_t pos, r;

    if (!route_begin(&g, &u, fd))
        return real.lseek64(fd, off, whence);
    pos = route_pos_begin(u.f, &inner);
    r = sought(u.f, pos, off, whence);
    route_pos_end(u.f, &inner, r >= 0 ? r : pos);
    route_end(&g, &u);
    return route_result(r);
}
