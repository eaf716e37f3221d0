// SPDX-License-Identifier: Apache-2.0
// stdin, stdout, stderr: while routing is on, the variables point at streams of ours from the start, before
// anybody (such as C++'s streams) has taken a copy of them. They are over the numbers 0, 1 and 2, whatever
// these become by dup2, close and open, so that what is in a buffer goes where the C library's own stream
// would put it.
//
// Also the C library's own writers to a descriptor's number: perror and dprintf.
#include <stdarg.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>

#include "libzio/hooks_fs_stdio.h"

static struct {
    FILE *plain; // the C library's
    FILE *ours;  // NULL: the program has closed it
} std[3];

static FILE **
variable(int fd)
{
    return fd == 0 ? &stdin : fd == 1 ? &stdout : &stderr;
}

void
std_stream_closed(FILE *fp)
{
    for (int i = 0; i < 3; i++)
        if (std[i].ours == fp) {
            std[i].ours = NULL;
            if (*variable(i) == fp)
                *variable(i) = std[i].plain; // whose descriptor is closed: EBADF, as the program expects
        }
}

// A terminal's stream goes line by line. The C library finds out when it makes the buffer, and asks the
// stream, which can't tell: so the flag is set while there is none.
static void
line_by_line(FILE *fp, int fd)
{
    if (fp->_IO_buf_base || (fp->_flags & F_UNBUFFERED))
        return;
    if (!route_fd(fd) && isatty(fd))
        fp->_flags |= F_LINE_BUF;
    else
        fp->_flags &= ~F_LINE_BUF;
}

void
route_std_routed(int fd)
{
    int saved = errno;

    if (fd >= 0 && fd <= 2 && std[fd].ours)
        line_by_line(std[fd].ours, fd);
    errno = saved;
}

void
route_std_start(void)
{
    for (int i = 0; i < 3; i++) {
        FILE *fp = fs_stream(i, i == 0 ? "r" : "w");

        std[i].plain = *variable(i);
        if (!fp)
            continue; // no memory: the C library's does for what is not routed
        std[i].ours = *variable(i) = fp;
        if (i == 2)
            setvbuf(fp, NULL, _IONBF, 0);
        else
            line_by_line(fp, i);
    }
}

// ---- writers by number ----

// glibc's writes to a copy of stderr's descriptor from inside.
ZIO_EXPORT void
perror(const char *s)
{
    int err = errno;

    if (route_idle() || !stream_is_ours(stderr)) {
        FS_REAL(perror)(s);
        return;
    }
    errno = err;
    if (s && *s)
        fprintf(stderr, "%s: %m\n", s);
    else
        fprintf(stderr, "%m\n");
    errno = err;
}

ZIO_EXPORT int
vdprintf(int fd, const char *format, va_list ap)
{
    size_t done = 0;
    char *text;
    int n;

    if (route_idle() || !route_fd(fd))
        return FS_REAL(vdprintf)(fd, format, ap);
    n = vasprintf(&text, format, ap);
    if (n < 0)
        return n;
    while (n >= 0 && done < (size_t)n) {
        ssize_t k = write(fd, text + done, (size_t)n - done);

        if (k < 0)
            n = -1;
        else
            done += (size_t)k;
    }
    free(text);
    return n;
}

ZIO_EXPORT int
dprintf(int fd, const char *format, ...)
{
    va_list ap;
    int n;

    va_start(ap, format);
    n = vdprintf(fd, format, ap);
    va_end(ap);
    return n;
}

int __vdprintf_chk(int fd, int flag, const char *format, va_list ap);
ZIO_EXPORT int
__vdprintf_chk(int fd, int flag, const char *format, va_list ap)
{
    (void)flag; // only says to look at %n more closely
    return vdprintf(fd, format, ap);
}

int __dprintf_chk(int fd, int flag, const char *format, ...);
ZIO_EXPORT int
__dprintf_chk(int fd, int flag, const char *format, ...)
{
    va_list ap;
    int n;

    (void)flag;
    va_start(ap, format);
    n = vdprintf(fd, format, ap);
    va_end(ap);
    return n;
}
