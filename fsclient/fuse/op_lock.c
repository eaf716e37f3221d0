// SPDX-License-Identifier: Apache-2.0
// Locks. One that must be waited for gets a thread of its own: it may wait for ever, and the workers must
// not. A waiter whose program got a signal is told by the kernel (FUSE_INTERRUPT); the signal SIGNAL_WAKE
// ends its wait in the volume. It waits in slices, since that signal may come in the moment before the wait.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <time.h>

#include "fsclient/fuse/mount.h"

#define SLICE_MS 500
#define STACK (256 << 10)
#define CLOSING_NS 20000000 // between the two messages about a last close, at most

struct waiter {
    fuse_req_t req;
    struct fsc_file *file; // ours: one fsc_dup
    struct fsc_lock lock;
    uint64_t owner;
    int fd; // wire_extra's
    int op; // flock's; 0: a byte range
    pthread_t thread;
    _Atomic bool stop;
    struct waiter *next, **prev; // in `waiters`
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; // of these
static pthread_cond_t gone = PTHREAD_COND_INITIALIZER;
static struct waiter *waiters;
static bool stopping;

static void
stop(fuse_req_t req, void *data)
{
    struct waiter *w = data;

    (void)req;
    w->stop = true;
    pthread_kill(w->thread, SIGNAL_WAKE);
}

static int
try_lock(struct waiter *w, int wait_ms)
{
    return w->op ? fsc_flock(w->file, w->op, wait_ms) : fsc_setlk(w->file, w->owner, &w->lock, wait_ms);
}

static void
leave(struct waiter *w)
{
    fsc_close(w->file);
    pthread_mutex_lock(&lock);
    *w->prev = w->next;
    if (w->next)
        w->next->prev = w->prev;
    pthread_cond_signal(&gone);
    pthread_mutex_unlock(&lock);
    free(w);
}

static void *
wait_for_lock(void *arg)
{
    struct waiter *w = arg;
    sigset_t wake;
    int err;

    pthread_mutex_lock(&lock); // w->thread is set
    pthread_mutex_unlock(&lock);
    wire_extra.fd = w->fd;
    sigemptyset(&wake);
    sigaddset(&wake, SIGNAL_WAKE);
    pthread_sigmask(SIG_UNBLOCK, &wake, NULL);
    fuse_req_interrupt_func(w->req, stop, w);
    do
        err = w->stop ? -EINTR : try_lock(w, SLICE_MS);
    while (err == -ETIMEDOUT || (err == -EINTR && !w->stop));
    pthread_sigmask(SIG_BLOCK, &wake, NULL);
    fuse_req_interrupt_func(w->req, NULL, NULL); // and after this nobody has `w`
    reply_err(w->req, err);
    leave(w);
    return NULL;
}

static int
start(struct waiter *w)
{
    pthread_attr_t attr;
    int err;

    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_mutex_lock(&lock);
    err = stopping ? EINTR : pthread_create(&w->thread, &attr, wait_for_lock, w);
    if (!err) {
        w->next = waiters;
        if (waiters)
            waiters->prev = &w->next;
        waiters = w;
        w->prev = &waiters;
    }
    pthread_mutex_unlock(&lock);
    pthread_attr_destroy(&attr);
    return -err;
}

// The kernel does not wait for our answer when the last descriptor goes, and flock's lock with it: a lock
// that is taken right after may come first. It did tell that a descriptor was closed.
static int
try_flock(struct mount *m, uint64_t ino, struct waiter *w)
{
    const struct timespec rest = {.tv_nsec = 500000};
    int err;

    while ((err = try_lock(w, 0)) == -EAGAIN && known_since_close(m->known, ino) < CLOSING_NS)
        nanosleep(&rest, NULL);
    return err;
}

// Once without waiting; then, if it may, in a thread.
static void
take(fuse_req_t req, uint64_t ino, const struct waiter *what, bool sleep)
{
    struct waiter *w = malloc(sizeof *w);
    int err;

    if (!w) {
        reply_err(req, -ENOMEM);
        return;
    }
    *w = *what;
    w->req = req;
    w->fd = wire_extra.fd;
    err = w->op ? try_flock(mount_of(req), ino, w) : try_lock(w, 0);
    if (err == -EAGAIN && sleep) {
        fsc_dup(w->file);
        err = start(w);
        if (!err)
            return;
        fsc_close(w->file);
    }
    free(w);
    reply_err(req, err);
}

static void
range_in(const struct flock *fl, struct fsc_lock *out)
{
    out->type = fl->l_type;
    out->pid = fl->l_pid;
    out->start = (uint64_t)fl->l_start;
    out->end = fl->l_len ? (uint64_t)fl->l_start + (uint64_t)fl->l_len - 1 : UINT64_MAX;
}

void
do_getlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct flock *fl)
{
    struct fsc_lock range;
    int err;

    (void)ino;
    range_in(fl, &range);
    err = fsc_getlk(FILE_OF(fi), owner_of(fi), &range);
    if (err) {
        reply_err(req, err);
        return;
    }
    fl->l_type = range.type;
    fl->l_whence = SEEK_SET;
    fl->l_start = (off_t)range.start;
    fl->l_len = range.end >= INT64_MAX ? 0 : (off_t)(range.end - range.start + 1);
    fl->l_pid = range.pid;
    fuse_reply_lock(req, fl);
}

void
do_setlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct flock *fl, int sleep)
{
    struct waiter w = {.file = FILE_OF(fi), .owner = owner_of(fi)};
    int err = known_add_owner(mount_of(req)->known, ino, owner_of(fi), fi->fh);

    range_in(fl, &w.lock);
    if (err)
        reply_err(req, err);
    else
        take(req, ino, &w, sleep);
}

void
do_flock(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, int op)
{
    struct waiter w = {.file = FILE_OF(fi), .op = op & ~LOCK_NB};

    take(req, ino, &w, !(op & LOCK_NB));
}

void
locks_stop(void)
{
    pthread_mutex_lock(&lock);
    stopping = true;
    for (struct waiter *w = waiters; w; w = w->next)
        stop(NULL, w);
    while (waiters)
        pthread_cond_wait(&gone, &lock);
    pthread_mutex_unlock(&lock);
}
