// SPDX-License-Identifier: Apache-2.0
// Asynchronous I/O (aio(7)) of routed files: the C library's helper threads would read the token. Here each
// request is done at once, in the caller's thread, and its result is put where the C library keeps it, so
// that aio_error, aio_return, aio_suspend and aio_cancel find a request that is finished. The notice comes
// before the call returns.
#include <aio.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "libzio/hooks_fs.h"

struct notice {
    void (*fn)(union sigval);
    union sigval value;
};

static void *
run_notice(void *arg)
{
    struct notice n = *(struct notice *)arg;

    free(arg);
    n.fn(n.value);
    return NULL;
}

static void
notify(const struct sigevent *e)
{
    struct notice *n;
    pthread_attr_t attr;
    pthread_t t;

    if (e->sigev_notify == SIGEV_SIGNAL)
        sigqueue(getpid(), e->sigev_signo, e->sigev_value);
    if (e->sigev_notify != SIGEV_THREAD || !(n = malloc(sizeof(*n))))
        return;
    *n = (struct notice){e->sigev_notify_function, e->sigev_value};
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    if (pthread_create(&t, e->sigev_notify_attributes ? e->sigev_notify_attributes : &attr, run_notice, n) !=
        0)
        free(n);
    pthread_attr_destroy(&attr);
}

static int
finished(struct aiocb *cb, ssize_t r)
{
    cb->__return_value = r;
    cb->__error_code = r < 0 ? errno : 0;
    notify(&cb->aio_sigevent);
    return 0;
}

static ssize_t
transfer(struct aiocb *cb, bool writes)
{
    void *buf = (void *)(uintptr_t)cb->aio_buf;

    if (!writes)
        return pread64(cb->aio_fildes, buf, cb->aio_nbytes, cb->aio_offset);
    if (fcntl(cb->aio_fildes, F_GETFL) & O_APPEND)
        return write(cb->aio_fildes, buf, cb->aio_nbytes);
    return pwrite64(cb->aio_fildes, buf, cb->aio_nbytes, cb->aio_offset);
}

static bool
ours(const struct aiocb *cb)
{
    return !route_idle() && route_fd(cb->aio_fildes);
}

ZIO_EXPORT int
aio_read(struct aiocb *cb)
{
    return ours(cb) ? finished(cb, transfer(cb, false)) : FS_REAL(aio_read)(cb);
}
ZIO_ALIAS(aio_read64, aio_read);

ZIO_EXPORT int
aio_write(struct aiocb *cb)
{
    return ours(cb) ? finished(cb, transfer(cb, true)) : FS_REAL(aio_write)(cb);
}
ZIO_ALIAS(aio_write64, aio_write);

ZIO_EXPORT int
aio_fsync(int op, struct aiocb *cb)
{
    if (!ours(cb))
        return FS_REAL(aio_fsync)(op, cb);
    if (op != O_SYNC && op != O_DSYNC)
        return (int)fs_result(-EINVAL);
    return finished(cb, op == O_DSYNC ? fdatasync(cb->aio_fildes) : fsync(cb->aio_fildes));
}
ZIO_ALIAS(aio_fsync64, aio_fsync);

// Cancelling: what was routed is finished already.
ZIO_EXPORT int
aio_cancel(int fd, struct aiocb *cb)
{
    return !route_idle() && route_fd(fd) ? AIO_ALLDONE : FS_REAL(aio_cancel)(fd, cb);
}
ZIO_ALIAS(aio_cancel64, aio_cancel);

// A list with a routed file in it goes one by one.
ZIO_EXPORT int
lio_listio(int mode, struct aiocb *const list[], int n, struct sigevent *e)
{
    bool any = false, failed = false;

    for (int i = 0; i < n; i++)
        any |= list[i] && list[i]->aio_lio_opcode != LIO_NOP && ours(list[i]);
    if (!any || (mode != LIO_WAIT && mode != LIO_NOWAIT))
        return FS_REAL(lio_listio)(mode, list, n, e);
    for (int i = 0; i < n; i++)
        if (list[i] && list[i]->aio_lio_opcode != LIO_NOP)
            failed |= (list[i]->aio_lio_opcode == LIO_READ ? aio_read : aio_write)(list[i]) < 0;
    for (int i = 0; i < n && mode == LIO_WAIT; i++) {
        const struct aiocb *one = list[i];

        if (!one || one->aio_lio_opcode == LIO_NOP)
            continue;
        while (aio_error(one) == EINPROGRESS)
            aio_suspend(&one, 1, NULL);
        failed |= aio_error(one) != 0;
    }
    if (mode == LIO_NOWAIT && e)
        notify(e);
    return failed ? (int)fs_result(-EIO) : 0;
}
ZIO_ALIAS(lio_listio64, lio_listio);
