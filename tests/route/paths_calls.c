// SPDX-License-Identifier: Apache-2.0
// Asynchronous I/O, and files by number of the system call.
#include <aio.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>

#include "tests/route/paths.h"

static volatile sig_atomic_t signals;

static void
on_signal(int sig)
{
    (void)sig;
    signals++;
}

static void
await(struct aiocb *cb)
{
    const struct aiocb *list[] = {cb};

    while (aio_error(cb) == EINPROGRESS)
        aio_suspend(list, 1, NULL);
    T(aio_error(cb));
    T(aio_return(cb));
}

void
family_aio(void)
{
    char buf[16] = "", more[16] = "";
    struct aiocb cb = {
        .aio_fildes = open("f", O_RDWR | O_CREAT, 0644), .aio_buf = "0123456789", .aio_nbytes = 10};
    struct aiocb second = cb, none = {.aio_lio_opcode = LIO_NOP}, *list[] = {&cb, &second, &none, NULL};
    struct sigaction sa = {.sa_handler = on_signal};

    sigaction(SIGUSR1, &sa, NULL);
    cb.aio_sigevent = (struct sigevent){.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    second.aio_sigevent.sigev_notify = SIGEV_NONE;
    T(aio_write(&cb));
    await(&cb);
    for (int i = 0; i < 100000 && !signals; i++) // the notice may come behind the result
        sched_yield();
    T(signals);
    cb.aio_sigevent.sigev_notify = SIGEV_NONE;
    show_file("f");
    cb.aio_buf = buf;
    cb.aio_offset = 3;
    cb.aio_nbytes = 4;
    T(aio_read(&cb));
    await(&cb);
    trace_bytes("read", buf, 4);
    cb.aio_offset = 100;
    T(aio_read(&cb));
    await(&cb);
    T(aio_fsync(O_SYNC, &cb));
    await(&cb);
    T(aio_fsync(99, &cb));
    T(aio_cancel(cb.aio_fildes, NULL));
    cb.aio_lio_opcode = LIO_READ;
    cb.aio_offset = 0;
    second.aio_lio_opcode = LIO_READ;
    second.aio_buf = more;
    second.aio_offset = 5;
    second.aio_nbytes = 5;
    T(lio_listio(LIO_WAIT, list, 4, NULL));
    trace_bytes("first", buf, 4);
    trace_bytes("second", more, 5);
    T(aio_return(&cb));
    T(aio_return(&second));
    close(cb.aio_fildes);
    cb.aio_fildes = open("f", O_RDONLY);
    cb.aio_sigevent.sigev_notify = SIGEV_NONE;
    T(aio_write(&cb));
    await(&cb);
    close(cb.aio_fildes);
}

void
family_raw(void)
{
    char buf[64] = "";
    struct stat st;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, "f", O_RDWR | O_CREAT, 0644), other;

    T(fd >= 0);
    T(syscall(SYS_write, fd, "hello world", 11));
    T(syscall(SYS_lseek, fd, 6, SEEK_SET));
    T(syscall(SYS_read, fd, buf, sizeof(buf)));
    trace_bytes("read", buf, 5);
    T(syscall(SYS_pwrite64, fd, "J", 1, 0));
    T(syscall(SYS_pread64, fd, buf, 5, 0));
    trace_bytes("pread", buf, 5);
    T(syscall(SYS_fstat, fd, &st));
    show_stat("fstat", &st);
    T(syscall(SYS_newfstatat, AT_FDCWD, P("f"), &st, 0));
    T(syscall(SYS_ftruncate, fd, 3));
    T(syscall(SYS_fsync, fd));
    other = (int)syscall(SYS_dup, fd);
    T(other >= 0);
    T(syscall(SYS_close, other));
    T(syscall(SYS_mkdir, "d", 0755));
    T(syscall(SYS_mkdir, "d", 0755));
    T(syscall(SYS_rename, "f", "d/g"));
    T(syscall(SYS_symlinkat, "g", AT_FDCWD, "d/l"));
    T(syscall(SYS_readlink, "d/l", buf, sizeof(buf)));
    T(syscall(SYS_access, "d/l", R_OK));
    T(syscall(SYS_faccessat, AT_FDCWD, "d/none", F_OK));
    T(syscall(SYS_chdir, "d"));
    T(syscall(SYS_getcwd, buf, sizeof(buf)) == (long)strlen(P("d")) + 1);
    T(strcmp(buf, P("d")));
    T(syscall(SYS_getcwd, buf, 2));
    T(syscall(SYS_unlink, "g"));
    T(syscall(SYS_unlink, "g"));
    T(syscall(SYS_chdir, ".."));
    T(syscall(SYS_rmdir, "d"));
    T(syscall(SYS_fcntl, fd, F_GETFL) & O_ACCMODE);
    T(syscall(SYS_fchmodat, AT_FDCWD, "d", 0700));
    show("d");
    T(syscall(SYS_utimensat, fd, NULL, NULL, 0));
    T(syscall(SYS_close, fd));
    T(syscall(SYS_read, fd, buf, 1));
}

// Pointers to nowhere, by number of the call: the C library's functions say in their headers that these are
// never NULL.
void
family_fault(void)
{
    static char *const bad = (char *)16;
    char buf[16];

    put("f", "x");
    T(symlink("f", "l"));
    for (int i = 0; i < 2; i++) {
        const char *f = i ? P("f") : "f", *none = i ? P("none") : "none", *l = i ? P("l") : "l";

        T(syscall(SYS_newfstatat, AT_FDCWD, f, bad, 0));
        T(syscall(SYS_newfstatat, AT_FDCWD, none, bad, 0));
        T(syscall(SYS_statx, AT_FDCWD, f, 0, 0x7ff, bad));
        T(syscall(SYS_readlink, l, bad, 10));
        T(syscall(SYS_readlink, none, bad, 10));
        T(syscall(SYS_statfs, f, bad));
        T(syscall(SYS_setxattr, f, "user.a", bad, 3, 0));
        T(syscall(SYS_setxattr, f, bad, "x", 1, 0));
        T(syscall(SYS_setxattr, f, "user.a", "abc", 3, 0));
        T(syscall(SYS_getxattr, f, "user.a", bad, 3));
        T(syscall(SYS_getxattr, f, "user.a", NULL, 0));
        T(syscall(SYS_utimensat, AT_FDCWD, f, bad, 0));
        T(syscall(SYS_symlink, bad, "new"));
    }
    T(syscall(SYS_mkdir, bad, 0755));
    T(syscall(SYS_rename, "f", bad));
    T(syscall(SYS_rename, bad, "f"));
    T(syscall(SYS_access, NULL, R_OK));
    T(syscall(SYS_chdir, bad));
    T(syscall(SYS_getcwd, bad, sizeof(buf)));
}
