// SPDX-License-Identifier: Apache-2.0
// stdin, stdout, stderr: once descriptor 0, 1 or 2 is routed, the variable is pointed at a stream of ours,
// made when the library started, and stays there: it works over whatever the descriptor becomes. What was in
// the old stream's buffer moves along, so that a shell's "dup2 over 1 while stdout has bytes" puts them where
// the C library would.
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

static FILE *
make(int fd)
{
    return fs_stream(-1, fd == 0 ? "r" : "w");
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

// Bytes that were read ahead.
static void
move_input(FILE *from, FILE *to)
{
    size_t n = (size_t)(from->_IO_read_end - from->_IO_read_ptr), room = n < BUFSIZ ? BUFSIZ : n;
    char *buf;

    if (from->_flags & F_PUTTING || n == 0 || !(buf = malloc(room)))
        return;
    setvbuf(to, buf, _IOFBF, room); // for ever: the stream is
    memcpy(buf, from->_IO_read_ptr, n);
    to->_IO_read_base = to->_IO_read_ptr = buf;
    to->_IO_read_end = buf + n;
    __fpurge(from);
}

static void
move_output(FILE *from, FILE *to)
{
    size_t n = from->_flags & F_PUTTING ? (size_t)(from->_IO_write_ptr - from->_IO_write_base) : 0;

    if (from->_flags & F_UNBUFFERED)
        setvbuf(to, NULL, _IONBF, 0);
    else if (from->_flags & F_LINE_BUF)
        setvbuf(to, NULL, _IOLBF, 0);
    if (n > 0) {
        fwrite_unlocked(from->_IO_write_base, 1, n, to);
        __fpurge(from);
    }
}

void
route_std_routed(int fd)
{
    FILE **var, *from;

    if (fd < 0 || fd > 2 || !std[fd].plain)
        return;
    var = variable(fd);
    from = *var;
    if (from != std[fd].plain) // ours already, or one that the program put there
        return;
    if (from->_mode > 0) { // of wide characters, which a cookie stream can't have
        route_refused("wide standard stream");
        return;
    }
    if (!std[fd].ours && !(std[fd].ours = make(fd)))
        return;
    std[fd].ours->_fileno = fd;
    if (fd == 0)
        move_input(from, std[fd].ours);
    else
        move_output(from, std[fd].ours);
    *var = std[fd].ours;
}

void
route_std_start(void)
{
    if (std[0].plain)
        return;
    for (int i = 0; i < 3; i++) {
        std[i].ours = make(i);
        std[i].plain = *variable(i);
    }
    for (int i = 0; i < 3; i++)
        if (route_fd(i))
            route_std_routed(i);
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
