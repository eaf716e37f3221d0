// SPDX-License-Identifier: Apache-2.0
// login_tty and forkpty put a terminal on descriptors 0 to 2 from inside the C library: no hook would see
// that these are no longer a volume's.
#include <pty.h>
#include <sys/ioctl.h>
#include <utmp.h>

#include "libzio/hooks_fs.h"

ZIO_EXPORT int
login_tty(int fd)
{
    if (route_idle())
        return FS_REAL(login_tty)(fd);
    setsid();
    if (ioctl(fd, TIOCSCTTY, NULL) < 0)
        return -1;
    for (int i = 0; i < 3; i++)
        while (dup2(fd, i) < 0 && errno == EBUSY)
            ;
    if (fd > 2)
        close(fd);
    return 0;
}

ZIO_EXPORT int
forkpty(int *main_fd, char *name, const struct termios *t, const struct winsize *w)
{
    int fd, tty, err;
    pid_t p;

    if (route_idle())
        return FS_REAL(forkpty)(main_fd, name, t, w);
    if (openpty(&fd, &tty, name, t, w) < 0)
        return -1;
    p = fork();
    if (p == 0) {
        close(fd);
        if (login_tty(tty) < 0)
            _exit(1);
        return 0;
    }
    err = errno;
    close(tty);
    if (p < 0) {
        close(fd);
        errno = err;
        return -1;
    }
    *main_fd = fd;
    return p;
}
