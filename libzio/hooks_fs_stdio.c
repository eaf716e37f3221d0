// SPDX-License-Identifier: Apache-2.0
// See hooks_fs_stdio.h: making streams, and fopen, fdopen, setmntent.
#include "libzio/hooks_fs_stdio.h"

#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>

bool
stream_mode_parse(const char *mode, struct stream_mode *m)
{
    bool plus = false;

    *m = (struct stream_mode){.plain = {mode[0]}};
    switch (mode[0]) {
    case 'r':
        break;
    case 'w':
        m->flags = O_CREAT | O_TRUNC;
        break;
    case 'a':
        m->flags = O_CREAT | O_APPEND;
        break;
    default:
        return false;
    }
    for (int i = 1; i < 8 && mode[i] && mode[i] != ','; i++) {
        plus |= mode[i] == '+';
        m->flags |= (mode[i] == 'x' ? O_EXCL : 0) | (mode[i] == 'e' ? O_CLOEXEC : 0);
    }
    m->ccs = strstr(mode, ",ccs=") != NULL;
    if (plus)
        m->plain[1] = '+';
    m->flags |= plus ? O_RDWR : mode[0] == 'r' ? O_RDONLY : O_WRONLY;
    return true;
}

// ---- what a stream of ours does ----

static ssize_t
stream_read(void *cookie, char *buf, size_t n)
{
    return read(((FILE *)cookie)->_fileno, buf, n);
}

// All of it, or up to an error: so does the C library.
static ssize_t
stream_write(void *cookie, const char *buf, size_t n)
{
    size_t done = 0;

    while (done < n) {
        ssize_t k = write(((FILE *)cookie)->_fileno, buf + done, n - done);

        if (k < 0)
            break;
        done += (size_t)k;
    }
    return (ssize_t)done;
}

static int
stream_seek(void *cookie, off64_t *offset, int whence)
{
    off64_t r = lseek64(((FILE *)cookie)->_fileno, *offset, whence);

    if (r < 0)
        return -1;
    *offset = r;
    return 0;
}

static int
stream_close(void *cookie)
{
    FILE *fp = cookie;
    int fd = fp->_fileno;

    std_stream_closed(fp);
    return fd < 0 ? 0 : close(fd);
}

static const cookie_io_functions_t stream_io = {stream_read, stream_write, stream_seek, stream_close};

// What every stream of ours has behind the FILE: the table of cookie streams and our functions, which the C
// library keeps scrambled (PTR_MANGLE). NULL: no memory.
static const struct cookie_file *
sample(void)
{
    static struct cookie_file copy;
    static _Atomic bool known;
    FILE *fp;

    if (known)
        return &copy;
    fp = FS_REAL(fopencookie)(NULL, "r", stream_io);
    if (!fp)
        return NULL;
    copy.vtable = ((struct cookie_file *)fp)->vtable;
    copy.io = ((struct cookie_file *)fp)->io;
    ((struct cookie_file *)fp)->cookie = fp;
    fp->_fileno = -1;
    fclose(fp);
    known = true;
    return &copy;
}

bool
stream_is_ours(FILE *fp)
{
    const struct cookie_file *c = (const struct cookie_file *)fp, *s = sample();

    return s && c->vtable == s->vtable && c->io.write == s->io.write;
}

FILE *
fs_stream(int fd, const char *mode)
{
    struct stream_mode m;
    FILE *fp;

    if (!stream_mode_parse(mode, &m)) {
        errno = EINVAL;
        return NULL;
    }
    fp = FS_REAL(fopencookie)(NULL, m.plain, stream_io);
    if (fp) {
        ((struct cookie_file *)fp)->cookie = fp;
        fp->_fileno = fd;
        fp->_unused2[0] = 0; // hooks_fs_stdio_wide.c's
    }
    return fp;
}

void
stream_fresh(FILE *fp, const struct stream_mode *m)
{
    __fpurge(fp);
    if (!(fp->_flags & F_USER_BUF))
        free(fp->_IO_buf_base);
    fp->_IO_buf_base = fp->_IO_buf_end = NULL;
    fp->_IO_read_base = fp->_IO_read_ptr = fp->_IO_read_end = NULL;
    fp->_IO_write_base = fp->_IO_write_ptr = fp->_IO_write_end = NULL;
    fp->_flags &= ~(F_USER_BUF | F_UNBUFFERED | F_NO_READS | F_NO_WRITES | F_EOF_SEEN | F_ERR_SEEN |
                    F_LINE_BUF | F_PUTTING | F_APPENDING);
    if ((m->flags & O_ACCMODE) == O_RDONLY)
        fp->_flags |= F_NO_WRITES;
    if ((m->flags & O_ACCMODE) == O_WRONLY)
        fp->_flags |= F_NO_READS;
    if (m->flags & O_APPEND)
        fp->_flags |= F_APPENDING;
    fp->_offset = -1; // not known
    fp->_unused2[0] = 0;
}

// fopen and fdopen allocate FILE, table, lock and the state of wide characters in one piece (struct
// locked_FILE): what a cookie stream keeps behind the table goes where the lock was, and the lock behind
// that, into the state, which a cookie stream does not have. Only for such streams: the table tells.
int
stream_adopt(FILE *fp, const struct stream_mode *m)
{
    struct cookie_file *c = (struct cookie_file *)fp;
    const struct cookie_file *s = sample();

    if (!s)
        return -ENOMEM;
    if ((char *)fp->_lock != (char *)&c->cookie || fp->_mode > 0)
        return -EOPNOTSUPP; // not made by fopen or fdopen, or of wide characters
    stream_fresh(fp, m);
    fp->_lock = memset(c + 1, 0, 16);
    fp->_mode = -1;
    fp->_wide_data = (void *)-1L;
    c->cookie = fp;
    c->io = s->io;
    c->vtable = s->vtable;
    return 0;
}

// ---- the hooks ----

ZIO_EXPORT FILE *
fopen(const char *path, const char *mode)
{
    struct stream_mode m;
    FILE *fp;
    int fd;

    if (route_idle() || !stream_mode_parse(mode, &m) || (m.ccs && !fs_takes_part(path)))
        return FS_REAL(fopen)(path, mode);
    if (m.ccs) { // the encoding of the locale is all that there is
        route_refused("fopen with ccs=");
        errno = EINVAL;
        return NULL;
    }
    fd = open(path, m.flags, 0666);
    if (fd < 0)
        return NULL;
    if ((m.flags & O_APPEND) && (m.flags & O_ACCMODE) == O_WRONLY)
        lseek64(fd, 0, SEEK_END); // ftell is to say so
    fp = route_fd(fd) ? fs_stream(fd, mode) : FS_REAL(fdopen)(fd, mode);
    if (!fp) {
        int err = errno;

        close(fd);
        errno = err;
    }
    return fp;
}
ZIO_ALIAS(fopen64, fopen);
ZIO_ALIAS(_IO_fopen, fopen);

ZIO_EXPORT FILE *
fdopen(int fd, const char *mode)
{
    struct stream_mode m;
    int flags;

    if (route_idle() || !route_fd(fd) || !stream_mode_parse(mode, &m))
        return FS_REAL(fdopen)(fd, mode);
    flags = fcntl(fd, F_GETFL);
    if (flags < 0)
        return NULL;
    if ((flags & O_ACCMODE) != O_RDWR && (flags & O_ACCMODE) != (m.flags & O_ACCMODE)) {
        errno = EINVAL;
        return NULL;
    }
    if ((m.flags & O_APPEND) && !(flags & O_APPEND) && fcntl(fd, F_SETFL, flags | O_APPEND) < 0)
        return NULL;
    if ((m.flags & O_APPEND) && (m.flags & O_ACCMODE) == O_WRONLY)
        lseek64(fd, 0, SEEK_END);
    return fs_stream(fd, mode);
}
ZIO_ALIAS(_IO_fdopen, fdopen);

ZIO_EXPORT FILE *
setmntent(const char *path, const char *mode)
{
    char m[8 + 2];
    size_t n = strlen(mode);
    FILE *fp;

    if (route_idle() || n > 7)
        return FS_REAL(setmntent)(path, mode);
    memcpy(m, mode, n);
    memcpy(m + n, "e", 2);
    fp = fopen(path, m);
    if (fp)
        __fsetlocking(fp, FSETLOCKING_BYCALLER);
    return fp;
}
ZIO_ALIAS(__setmntent, setmntent);
