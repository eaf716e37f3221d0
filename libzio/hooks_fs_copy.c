// SPDX-License-Identifier: Apache-2.0
// The calls that move bytes from one descriptor to another inside the kernel: sendfile, splice and
// copy_file_range, where a routed file is one of the two. What is read from a routed file goes through the
// descriptors of its chunks, once their checksums were compared; what is written to one goes through the
// client library, as bytes.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libzio/real.h"
#include "libzio/route.h"
#include "libzio/zio.h"

#define MOVE_MAX 0x7ffff000u            // bytes of one call, as the kernel's (MAX_RW_COUNT)
#define SMALL ((size_t)16 << 10)        // bytes that are copied rather than sent by the kernel
#define STEP ((size_t)1 << 20)          // compared with their checksums at once, before they are sent
#define BUFFER ((size_t)256 << 10)      // for bytes
#define CLONE_MIN ((uint64_t)128 << 10) // bytes from which on sharing is better than copying

// One side of a transfer.
struct side {
    int fd;
    struct route_file *file; // NULL: the kernel's
    off_t *given;            // the program's offset; NULL: that of the open file description
    int64_t pos;             // where the transfer is
};

// The offset to start from. 0 or -errno.
static int
side_begin(struct side *s, int fd, off_t *given)
{
    struct route_guard g;

    *s = (struct side){.fd = fd, .file = route_file_get(fd), .given = given, .pos = given ? *given : 0};
    if (!s->file)
        return 0;
    if (!route_file_fsc(s->file))
        return route_file_error(s->file);
    if (!given) {
        s->pos = route_pos_begin(s->file, &g);
        route_pos_end(s->file, &g, s->pos);
    }
    return 0;
}

// Says where the transfer ended. (As the kernel's sendfile, this takes no lock over the whole.)
static void
side_end(struct side *s, ssize_t moved)
{
    struct route_guard g;

    if (moved > 0 && s->given) {
        *s->given = s->pos;
    } else if (moved > 0 && s->file) {
        (void)route_pos_begin(s->file, &g);
        route_pos_end(s->file, &g, s->pos);
    }
    if (s->file)
        route_file_put(s->file);
}

static bool
is_pipe(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode);
}

// ---- out of a routed file, by the kernel ----

// What is at the offset: a descriptor (-1: zeros), its offset, and how many bytes. 0 bytes: the end.
struct source {
    int fd;
    off_t off;
    size_t len;
};

static int
source_open(struct side *in, size_t want, struct source *src)
{
    struct fsc_file *file = route_file_fsc(in->file);
    struct fsc_chunk c;
    struct route_guard g;
    uint64_t at, have;
    int err;

    route_enter(&g);
    err = fsc.chunk_fd(file, (uint64_t)in->pos, 0, &c);
    if (!err) {
        at = (uint64_t)in->pos - c.offset;
        have = c.fd >= 0 && at < c.length ? c.length - at : 0;
        *src = (struct source){c.fd, (off_t)at, want};
        if (!have && c.fd >= 0)
            close(c.fd);
        if (!have) { // zeros up to the end of the chunk, or of the file
            have = at < c.span ? c.span - at : 0;
            src->fd = -1;
        }
        if (src->len > have)
            src->len = (size_t)have;
        if (src->len && src->fd >= 0)
            err = fsc.verify(file, (uint64_t)in->pos, src->len);
        if (err)
            close(src->fd);
    }
    route_leave(&g);
    return err;
}

static void
source_close(struct source *src)
{
    struct route_guard g;

    if (src->fd < 0)
        return;
    route_enter(&g);
    close(src->fd);
    route_leave(&g);
}

// A file's zeros, into whatever takes bytes.
static ssize_t
send_zeros(int fd, size_t len)
{
    static const char zeros[16384];

    return real.write(fd, zeros, len < sizeof zeros ? len : sizeof zeros);
}

static ssize_t
send_step(int out, struct side *in, size_t want, size_t *asked)
{
    struct source src;
    ssize_t n;
    int err = source_open(in, want < STEP ? want : STEP, &src);

    *asked = 0;
    if (err || src.len == 0)
        return err;
    if (src.fd < 0) {
        *asked = src.len < 16384 ? src.len : 16384;
        n = send_zeros(out, src.len);
    } else {
        *asked = src.len;
        n = real.sendfile64(out, src.fd, &src.off, src.len);
    }
    n = n < 0 ? -errno : n;
    source_close(&src);
    return n;
}

// Few bytes are sooner copied than a descriptor is opened.
static ssize_t
send_few(int out, struct side *in, size_t len)
{
    struct route_guard g;
    char buf[SMALL];
    ssize_t n;

    route_enter(&g);
    n = fsc.pread(route_file_fsc(in->file), buf, len, (uint64_t)in->pos);
    route_leave(&g);
    if (n <= 0)
        return n;
    n = real.write(out, buf, (size_t)n);
    if (n < 0)
        return -errno;
    in->pos += n;
    return n;
}

static ssize_t
send_out(int out, struct side *in, size_t len)
{
    size_t done = 0, asked = 1;
    ssize_t n = 0;

    if (len <= SMALL)
        return send_few(out, in, len);
    while (done < len) {
        n = send_step(out, in, len - done, &asked);
        if (n <= 0)
            break;
        done += (size_t)n;
        in->pos += n;
        if ((size_t)n < asked) // a signal, or no room
            break;
    }
    return done ? (ssize_t)done : n;
}

// ---- by bytes ----

static ssize_t
side_read(struct side *in, void *buf, size_t len)
{
    struct route_guard g;
    ssize_t n;

    if (!in->file) {
        n = in->given ? real.pread64(in->fd, buf, len, in->pos) : real.read(in->fd, buf, len);
        return n < 0 ? -errno : n;
    }
    route_enter(&g);
    n = fsc.pread(route_file_fsc(in->file), buf, len, (uint64_t)in->pos);
    route_leave(&g);
    return n;
}

static ssize_t
side_write(struct side *out, const void *buf, size_t len)
{
    struct route_guard g;
    ssize_t n;

    if (!out->file) {
        n = out->given ? real.pwrite64(out->fd, buf, len, out->pos) : real.write(out->fd, buf, len);
        return n < 0 ? -errno : n;
    }
    route_enter(&g);
    n = fsc.pwrite(route_file_fsc(out->file), buf, len, (uint64_t)out->pos);
    route_leave(&g);
    return n;
}

// What was read and could not be written is still there for the next reader.
static void
unread(struct side *in, size_t n)
{
    if (n && !in->file && !in->given)
        (void)lseek(in->fd, -(off_t)n, SEEK_CUR);
}

static ssize_t
move_bytes(struct side *in, struct side *out, size_t len, bool once)
{
    size_t done = 0;
    ssize_t n = 0, w;
    char *buf = malloc(len < BUFFER ? len : BUFFER);

    if (!buf)
        return -ENOMEM;
    while (done < len) {
        n = side_read(in, buf, len - done < BUFFER ? len - done : BUFFER);
        if (n <= 0)
            break;
        w = side_write(out, buf, (size_t)n);
        unread(in, (size_t)(n - (w > 0 ? w : 0)));
        if (w > 0) {
            done += (size_t)w;
            in->pos += w;
            out->pos += w;
        }
        if (w < n || once) {
            n = w;
            break;
        }
    }
    free(buf);
    return done ? (ssize_t)done : n;
}

// ---- the hooks ----

static int
kind(const struct side *s, struct stat *st)
{
    struct route_guard g;
    int err;

    if (!s->file)
        return fstat(s->fd, st) != 0 ? -errno : 0;
    route_enter(&g);
    err = fsc.fstat(route_file_fsc(s->file), st);
    route_leave(&g);
    return err;
}

// May the routed side do that? Access modes and kinds, as do_sendfile looks at them.
static int
check_side(const struct side *s, bool write)
{
    int flags = s->file ? route_file_flags(s->file) : 0;

    if (!s->file)
        return fcntl(s->fd, F_GETFD) < 0 ? -EBADF : 0;
    if (flags & O_PATH || (flags & O_ACCMODE) == (write ? O_RDONLY : O_WRONLY))
        return -EBADF;
    return 0;
}

static bool
appends(const struct side *s)
{
    return s->file && route_file_flags(s->file) & O_APPEND;
}

static ssize_t
route_sendfile(int out_fd, int in_fd, off_t *offset, size_t count)
{
    struct side in, out;
    struct stat st;
    ssize_t n;
    int err = side_begin(&in, in_fd, offset);

    n = side_begin(&out, out_fd, NULL);
    n = err ? err : n;
    if (count > MOVE_MAX)
        count = MOVE_MAX;
    if (!n)
        n = check_side(&in, false);
    if (!n)
        n = check_side(&out, true);
    if (!n)
        n = kind(&in, &st);
    // Only from what has offsets: else the bytes could not be put back.
    if (!n && (!(S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)) || (offset && *offset < 0) || appends(&out)))
        n = -EINVAL;
    if (!n && count)
        n = out.file ? move_bytes(&in, &out, count, false) : send_out(out_fd, &in, count);
    side_end(&in, n);
    side_end(&out, n);
    return route_result(n);
}

ZIO_EXPORT ssize_t
sendfile64(int out, int in, off_t *offset, size_t count)
{
    if (unlikely(!zio_real_ready))
        zio_real_init();
    if (route_idle() || (!route_fd(in) && !route_fd(out)))
        return real.sendfile64(out, in, offset, count);
    return route_sendfile(out, in, offset, count);
}

ZIO_EXPORT ssize_t
sendfile(int out, int in, off_t *offset, size_t count)
{
    return sendfile64(out, in, offset, count); // the same on 64-bit machines
}

static ssize_t
splice_out(struct side *in, int pipe, size_t len, unsigned flags)
{
    struct source src;
    ssize_t n = source_open(in, len < STEP ? len : STEP, &src);

    if (n || src.len == 0)
        return n;
    if (src.fd < 0) {
        struct route_guard g;

        route_enter(&g);
        src.fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
        route_leave(&g);
        src.off = 0;
        n = src.fd < 0 ? -errno : real.splice(src.fd, NULL, pipe, NULL, src.len, flags);
    } else {
        n = real.splice(src.fd, &src.off, pipe, NULL, src.len, flags);
    }
    n = n < 0 ? -errno : n;
    source_close(&src);
    if (n > 0)
        in->pos += n;
    return n;
}

static ssize_t
splice_in(struct side *in, struct side *out, size_t len, unsigned flags)
{
    struct pollfd p = {.fd = in->fd, .events = POLLIN};

    // (What comes between this look and the reading is the program's own race.)
    if (flags & SPLICE_F_NONBLOCK && poll(&p, 1, 0) == 0)
        return -EAGAIN;
    return move_bytes(in, out, len < 65536 ? len : 65536, true);
}

static ssize_t
route_splice(int in_fd, off_t *in_off, int out_fd, off_t *out_off, size_t len, unsigned flags)
{
    struct side in, out;
    ssize_t n, r = side_begin(&in, in_fd, in_off);

    n = side_begin(&out, out_fd, out_off);
    n = r ? r : n;
    if (!n)
        n = check_side(&in, false);
    if (!n)
        n = check_side(&out, true);
    if (!n && ((in.file && out.file) || !is_pipe(in.file ? out_fd : in_fd)))
        n = -EINVAL;
    if (!n && ((!in.file && in_off) || (!out.file && out_off)))
        n = -ESPIPE;
    if (!n && (appends(&out) || (in_off && *in_off < 0) || (out_off && *out_off < 0)))
        n = -EINVAL;
    if (!n)
        n = in.file ? splice_out(&in, out_fd, len, flags) : splice_in(&in, &out, len, flags);
    side_end(&in, n);
    side_end(&out, n);
    return route_result(n);
}

ZIO_EXPORT ssize_t
splice(int in, off_t *in_off, int out, off_t *out_off, size_t len, unsigned flags)
{
    if (unlikely(!zio_real_ready))
        zio_real_init();
    if (route_idle() || (!route_fd(in) && !route_fd(out)))
        return real.splice(in, in_off, out, out_off, len, flags);
    if (len == 0)
        return 0;
    if (flags & ~(unsigned)(SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT))
        return route_result(-EINVAL);
    return route_splice(in, in_off, out, out_off, len, flags);
}

// A token is no pipe, whatever its access mode.
ZIO_EXPORT ssize_t
tee(int in, int out, size_t len, unsigned flags)
{
    if (unlikely(!zio_real_ready))
        zio_real_init();
    if (len && !route_idle() && (route_fd(in) || route_fd(out)))
        return route_result(-EINVAL);
    return real.tee(in, out, len, flags);
}

// ---- copy_file_range ----

// Shares what is whole chunks: the bytes shared, 0 if none can be.
static ssize_t
share(struct side *in, struct side *out, size_t len, uint64_t size)
{
    struct fsc_info info;
    struct route_guard g;
    uint64_t n = 0;
    int err;

    if (!in->file || !out->file || route_file_vol(in->file) != route_file_vol(out->file) || len < CLONE_MIN)
        return 0;
    route_enter(&g);
    err = fsc.volume_info(route_file_vol(in->file)->fs, &info);
    if (!err && in->pos % (int64_t)info.chunk_size == 0 && out->pos % (int64_t)info.chunk_size == 0)
        n = (uint64_t)in->pos + len == size ? len : len - len % info.chunk_size;
    if (n)
        err = fsc.clone_range(route_file_fsc(in->file), (uint64_t)in->pos, route_file_fsc(out->file),
                              (uint64_t)out->pos, n);
    route_leave(&g);
    if (err || n == 0) // by bytes, then; what is wrong shows there
        return 0;
    in->pos += (int64_t)n;
    out->pos += (int64_t)n;
    return (ssize_t)n;
}

static ssize_t
copy_range(struct side *in, struct side *out, size_t len)
{
    struct stat a, b;
    ssize_t n = kind(in, &a), r = kind(out, &b);

    n = n ? n : r;
    if (!n && (S_ISDIR(a.st_mode) || S_ISDIR(b.st_mode)))
        n = -EISDIR;
    if (!n && (!S_ISREG(a.st_mode) || !S_ISREG(b.st_mode)))
        n = -EINVAL;
    if (!n)
        n = check_side(in, false);
    if (!n)
        n = check_side(out, true);
    if (!n && (out->file ? appends(out) : (fcntl(out->fd, F_GETFL) & O_APPEND) != 0))
        n = -EBADF;
    if (!n && (in->pos < 0 || out->pos < 0))
        n = -EOVERFLOW;
    if (n)
        return n;
    if (in->pos >= a.st_size || len == 0)
        return 0;
    if (len > (uint64_t)(a.st_size - in->pos))
        len = (size_t)(a.st_size - in->pos);
    if (a.st_dev == b.st_dev && a.st_ino == b.st_ino && in->pos < out->pos + (int64_t)len &&
        out->pos < in->pos + (int64_t)len)
        return -EINVAL;
    n = share(in, out, len, (uint64_t)a.st_size);
    return n ? n : move_bytes(in, out, len, false);
}

static ssize_t
route_copy_range(int in_fd, off_t *in_off, int out_fd, off_t *out_off, size_t len, unsigned flags)
{
    struct side in, out;
    ssize_t n, r = side_begin(&in, in_fd, in_off);

    n = side_begin(&out, out_fd, out_off);
    n = r ? r : n;
    if (!n && flags)
        n = -EINVAL;
    // A native side without an offset of its own: its description's, for the look at overlaps and the end.
    if (!n && !in.file && !in_off && (in.pos = lseek(in_fd, 0, SEEK_CUR)) < 0)
        n = errno == EBADF ? -EBADF : -EINVAL;
    if (!n)
        n = copy_range(&in, &out, len < MOVE_MAX ? len : MOVE_MAX);
    side_end(&in, n);
    side_end(&out, n);
    return route_result(n);
}

ZIO_EXPORT ssize_t
copy_file_range(int in, off_t *in_off, int out, off_t *out_off, size_t len, unsigned flags)
{
    if (unlikely(!zio_real_ready))
        zio_real_init();
    if (route_idle() || (!route_fd(in) && !route_fd(out)))
        return real.copy_file_range(in, in_off, out, out_off, len, flags);
    return route_copy_range(in, in_off, out, out_off, len, flags);
}
