// SPDX-License-Identifier: Apache-2.0
// The threads that serve requests.
//
// One thread leads: it takes the next request, and leads again when it has answered. Others rest meanwhile.
// So requests of one program that follow each other are served by one warm thread, and no other is woken for
// nothing. Another is sent to lead
//   - before a request that may take long is served,
//   - when requests have been waiting for us again and again: there is work for more than one,
//   - when the leader has not come back for a millisecond: the relief looks after that.
// Threads are ended with the mount only. (libfuse's loop ends those that are too many, and makes one with
// nearly each request that overlaps another, the release of a file and the next open: it costs more than the
// request.)
//
// The leader polls for a while before it sleeps in the kernel (which the other way to the kernel is for, see
// wire_clone): waking a thread on an idle processor takes as long as several requests. It yields in between,
// so that a program on the same processor goes on; and where polling is in vain, or others want the
// processor, it is left out more and more often.
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "fsclient/fuse/mount.h"

#define LATE_NS 100000 // a yield that takes longer: others want the processor
#define SKIP_MAX 64    // requests without polling, after many in vain
#define PRESSURE 4     // requests in turn that have been waiting: another thread is sent
#define RELIEF_NS 1000000

struct worker {
    struct worker *next;  // of all
    struct worker *below; // on the stack of those that rest
    pthread_t thread;
    pthread_cond_t go;
    bool sent; // it is to leave the stack
    bool leads;
    _Atomic bool in_kernel; // it waits for a request, or is about to
    _Atomic bool over;      // it has ended
    int fd;                 // its own way to the kernel (-o clone_fd); -1: the session's
    struct fuse_buf buf;
};

static struct loop {
    struct mount *m;
    int poll_fd;            // a way to the kernel that never waits; -1: none
    _Atomic bool led;       // somebody leads, or is on the way to it
    _Atomic unsigned taken; // requests
    _Atomic bool asleep;    // the leader sleeps in the kernel
    _Atomic bool end;
    // The leader's, passed on through `led`.
    unsigned skip, skip_next; // requests not to be polled for; and after the next time in vain
    unsigned pressure;
    pthread_mutex_t lock; // of the rest
    pthread_cond_t ended;
    struct worker *all, *resting; // who went to rest last is sent first: its caches are warm
    unsigned count;
    int err;
    pthread_t relief;
    bool idle; // it waits for `work`
    pthread_cond_t work;
} loop = {.poll_fd = -1,
          .skip_next = 1,
          .lock = PTHREAD_MUTEX_INITIALIZER,
          .ended = PTHREAD_COND_INITIALIZER,
          .work = PTHREAD_COND_INITIALIZER};

static _Thread_local struct worker *self;

static int64_t
now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

static void *work(void *arg);

// ---- who leads ----

// With the lock. 0 or -errno.
static int
add_worker(struct loop *l)
{
    struct worker *w = calloc(1, sizeof *w);
    int err;

    if (!w)
        return -ENOMEM;
    pthread_cond_init(&w->go, NULL);
    w->fd = l->m->opt.clone_fd ? wire_clone(l->m) : -1;
    err = pthread_create(&w->thread, NULL, work, w);
    if (err) {
        if (w->fd >= 0)
            close(w->fd);
        pthread_cond_destroy(&w->go);
        free(w);
        return -err;
    }
    w->next = l->all;
    l->all = w;
    l->count++;
    return 0;
}

// Another thread leads from now on, unless one does. If there is none left, whoever is ready first does.
static void
send_another(struct loop *l)
{
    struct worker *w;

    if (atomic_exchange(&l->led, true))
        return;
    pthread_mutex_lock(&l->lock);
    w = l->resting;
    if (w) {
        l->resting = w->below;
        w->sent = true;
        pthread_cond_signal(&w->go);
    } else if (l->end || l->count >= l->m->opt.max_threads || add_worker(l) != 0) {
        l->led = false;
    }
    pthread_mutex_unlock(&l->lock);
}

static void
rest(struct loop *l, struct worker *w)
{
    pthread_mutex_lock(&l->lock);
    // The leader may have gone to serve, with nobody to send, since we asked.
    w->sent = l->end || !atomic_exchange(&l->led, true);
    if (!w->sent) {
        struct worker **p = &l->resting;

        while (*p && !w->buf.mem) // whoever has no buffer comes last
            p = &(*p)->below;
        w->below = *p;
        *p = w;
    }
    while (!w->sent && !l->end)
        pthread_cond_wait(&w->go, &l->lock);
    pthread_mutex_unlock(&l->lock);
}

// Those that may wait for a disk or for somebody else, by their nature. Waiting for locks has threads of its
// own, but asking for one may wait for the last close of a file.
static bool
is_slow(uint32_t opcode)
{
    switch (opcode) {
    case FUSE_FSYNC:
    case FUSE_FSYNCDIR:
    case FUSE_FALLOCATE:
    case FUSE_COPY_FILE_RANGE:
    case FUSE_SETLK:
    case FUSE_SETLKW:
    case FUSE_INIT: // the first: from here on there is a thread that rests
        return true;
    default:
        return false;
    }
}

// ---- the relief ----

static void *
relieve(void *arg)
{
    const struct timespec a_while = {.tv_nsec = RELIEF_NS};
    struct loop *l = arg;
    unsigned seen = 0;

    while (!l->end) {
        if (l->asleep) {
            pthread_mutex_lock(&l->lock);
            l->idle = true;
            while (l->asleep && !l->end)
                pthread_cond_wait(&l->work, &l->lock);
            l->idle = false;
            pthread_mutex_unlock(&l->lock);
            seen = l->taken;
        }
        nanosleep(&a_while, NULL);
        if (!l->led && l->taken == seen)
            send_another(l);
        seen = l->taken;
    }
    return NULL;
}

// The leader goes to sleep in the kernel, and is back.
static ssize_t
read_asleep(struct loop *l, int fd, void *buf, size_t len)
{
    ssize_t n;
    int err;

    l->asleep = true;
    n = read(fd, buf, len);
    err = errno;
    l->asleep = false;
    pthread_mutex_lock(&l->lock);
    if (l->idle)
        pthread_cond_signal(&l->work);
    pthread_mutex_unlock(&l->lock);
    errno = err;
    return n;
}

// ---- taking a request ----

// One look.
static ssize_t
look(int fd, void *buf, size_t len)
{
    ssize_t n = read(fd, buf, len);

    return n < 0 ? -errno : n;
}

// Looks for a while. -EAGAIN: none came in time, and the next ones are not polled for.
static ssize_t
poll_for(struct loop *l, int fd, void *buf, size_t len)
{
    int64_t before = now_ns(), until = before + l->m->opt.poll_us * INT64_C(1000), now;
    ssize_t n;

    for (;;) {
        sched_yield();
        n = look(fd, buf, len);
        if (n != -EAGAIN)
            break;
        now = now_ns();
        if (now > until || now - before > LATE_NS) {
            l->skip = l->skip_next;
            l->skip_next = l->skip_next < SKIP_MAX ? l->skip_next * 2 : SKIP_MAX;
            return -EAGAIN;
        }
        before = now;
    }
    l->skip_next = 1;
    return n;
}

ssize_t
loop_read(int fd, void *buf, size_t len)
{
    struct loop *l = &loop;
    ssize_t n = -EAGAIN;

    if (l->poll_fd >= 0) {
        wire_extra.fd = l->poll_fd;
        n = look(l->poll_fd, buf, len);
        if (self->leads) {
            l->pressure = n > 0 ? l->pressure + 1 : 0;
            if (n == -EAGAIN && l->skip > 0)
                l->skip--;
            else if (n == -EAGAIN)
                n = poll_for(l, l->poll_fd, buf, len);
        }
    }
    if (n == -EAGAIN && self->leads) {
        wire_extra.fd = self->fd;
        return read_asleep(l, self->fd >= 0 ? self->fd : fd, buf, len);
    }
    if (n < 0)
        errno = (int)-n;
    return n < 0 ? -1 : n;
}

// ---- the threads ----

static void
end_all(struct loop *l, int err)
{
    fuse_session_exit(l->m->se);
    pthread_mutex_lock(&l->lock);
    if (!l->end)
        l->err = err;
    l->end = true;
    for (struct worker *w = l->resting; w; w = w->below)
        pthread_cond_signal(&w->go);
    l->resting = NULL; // they go, and so does their memory
    pthread_cond_signal(&l->work);
    pthread_cond_signal(&l->ended);
    pthread_mutex_unlock(&l->lock);
}

// A request for this thread: as the leader waiting for it, else if one is there. Its size; 0: the end.
static int
take(struct loop *l, struct worker *w)
{
    int n;

    w->in_kernel = true;
    n = fuse_session_receive_buf(l->m->se, &w->buf);
    w->in_kernel = false;
    if (n > 0 && w->leads) {
        bool more = wire_extra.bulk || is_slow(wire_extra.opcode) || l->pressure >= PRESSURE;

        l->taken++;
        w->leads = false;
        l->led = false;
        if (more)
            send_another(l);
    }
    return n;
}

// There was no memory for the thread's buffer: let one lead that has his, or try again in a moment.
static void
without_buffer(struct loop *l, struct worker *w)
{
    const struct timespec a_moment = {.tv_nsec = 1000000};

    if (w->leads) {
        w->leads = false;
        l->led = false;
    }
    nanosleep(&a_moment, NULL);
    rest(l, w);
    w->leads = true;
}

static void *
work(void *arg)
{
    struct worker *w = self = arg;
    struct loop *l = &loop;
    sigset_t wake;
    int n = 0;

    sigemptyset(&wake);
    sigaddset(&wake, SIGNAL_WAKE);
    pthread_sigmask(SIG_UNBLOCK, &wake, NULL);
    w->leads = true; // it is sent for that
    while (!l->end) {
        n = take(l, w);
        if (n > 0) {
            fuse_session_process_buf(l->m->se, &w->buf);
            w->leads = !atomic_exchange(&l->led, true);
        } else if (n == -EAGAIN) {
            rest(l, w);
            w->leads = true;
        } else if (n == -ENOMEM && !w->buf.mem) {
            without_buffer(l, w);
        } else if (n != -EINTR) {
            break;
        }
    }
    end_all(l, n < 0 && n != -EAGAIN && n != -EINTR && n != -ENOMEM ? n : 0);
    free(w->buf.mem);
    w->over = true;
    return NULL;
}

// Those that wait in the kernel are woken, again and again: one may be about to wait.
static void
end_worker(struct worker *w)
{
    const struct timespec a_while = {.tv_nsec = 1000000};

    while (!w->over) {
        if (w->in_kernel)
            pthread_kill(w->thread, SIGNAL_WAKE);
        nanosleep(&a_while, NULL);
    }
    pthread_join(w->thread, NULL);
}

static void
poll_start(struct loop *l)
{
    if (l->m->opt.poll_us == 0 || sysconf(_SC_NPROCESSORS_ONLN) < 2)
        return;
    l->poll_fd = wire_clone(l->m);
    if (l->poll_fd >= 0)
        fcntl(l->poll_fd, F_SETFL, O_NONBLOCK);
    else
        say("the kernel gives no second channel (FUSE_DEV_IOC_CLONE): requests are not polled for");
}

void
loop_init(struct mount *m)
{
    loop.m = m;
}

int
loop_run(void)
{
    struct loop *l = &loop;
    int err;

    poll_start(l);
    err = pthread_create(&l->relief, NULL, relieve, l);
    if (err)
        return -err;
    send_another(l);
    pthread_mutex_lock(&l->lock);
    err = l->count || l->end ? 0 : -EAGAIN;
    l->end = l->end || err;
    pthread_cond_signal(&l->work);
    while (!l->end)
        pthread_cond_wait(&l->ended, &l->lock);
    pthread_mutex_unlock(&l->lock);
    pthread_join(l->relief, NULL);
    for (struct worker *w = l->all; w; w = w->next)
        end_worker(w);
    fuse_session_reset(l->m->se);
    return err ? err : l->err;
}

void
loop_free(void)
{
    struct loop *l = &loop;
    struct worker *w;

    while ((w = l->all)) {
        l->all = w->next;
        if (w->fd >= 0)
            close(w->fd);
        pthread_cond_destroy(&w->go);
        free(w);
    }
    if (l->poll_fd >= 0)
        close(l->poll_fd);
    l->poll_fd = -1;
}

void
loop_end(void)
{
    end_all(&loop, 0);
}
