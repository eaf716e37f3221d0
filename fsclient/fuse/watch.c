// SPDX-License-Identifier: Apache-2.0
// Tells the kernel what others have changed. A thread sleeps until somebody else commits (fsc_watch), and has
// the kernel drop what it keeps of the inodes in question: attributes, ACLs, symbolic links, pages; and,
// where one of them is a directory, the validity of all names: which name it was is not known, and others'
// changes are seldom. It comes some microseconds after the change; up to a few milliseconds when many follow
// each other, since it rests a little in between.
//
// It is no worker: dropping a page may wait for a read of it, which a worker must be free to answer.
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "fsclient/fuse/mount.h"

#define REST_NS 2000000 // between two looks
#define WAIT_MS 1000
#define LATE 256 // inodes that are told of once more
#define LATE_TRIES 50

// An inode that the kernel did not know when it was told, though it was told of it, or is just being: the
// answer to a look-up may be under way, with what was true before.
struct late {
    uint64_t ino;
    int tries;
};

static struct watch {
    struct mount *m;
    pthread_t thread;
    bool running;
    _Atomic bool stop, ended;
    struct late late[LATE];
    size_t nlate;
    // what fn gathers of a slot
    uint64_t *ino;
    size_t n, size;
    bool dir;
    bool warned; // that somebody else is here, though we have the writeback cache
} watch;

// Inodes of which the pages are to go, by our own doing. A thread of its own, for the same reason.
static struct again {
    struct mount *m;
    pthread_t thread;
    bool running;
    pthread_mutex_t lock; // of the rest
    pthread_cond_t more;
    bool stop;
    uint64_t ino[LATE];
    size_t n;
} again = {.lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER};

static void
gather(void *arg, uint64_t ino, bool dir)
{
    struct watch *w = arg;

    if (w->n == w->size) {
        size_t size = w->size ? w->size * 2 : 64;
        uint64_t *v = realloc(w->ino, size * sizeof *v);

        if (!v)
            return; // the timeouts are left
        w->ino = v;
        w->size = size;
    }
    w->ino[w->n++] = ino;
    w->dir |= dir;
}

static void
tell(struct watch *w, uint64_t ino)
{
    if (wire_inval_inode(w->m, ino, true) == -ENOENT && w->nlate < LATE)
        w->late[w->nlate++] = (struct late){.ino = ino, .tries = LATE_TRIES};
}

static void
tell_slot(struct watch *w, uint32_t slot)
{
    w->n = 0;
    w->dir = false;
    known_slot(w->m->known, slot, gather, w);
    if (w->dir)
        wire_inc_epoch(w->m);
    if (w->n && w->m->opt.writeback && !w->warned) {
        w->warned = true;
        say("another process changes the volume: with -o writeback the kernel does not believe its sizes of "
            "files");
    }
    for (size_t i = 0; i < w->n; i++)
        tell(w, w->ino[i]);
}

static void
on_news(void *arg, uint32_t slot)
{
    struct watch *w = arg;

    if (slot != FSC_WATCH_ALL) {
        tell_slot(w, slot);
        return;
    }
    for (uint32_t i = 0; i < FSC_WATCH_SLOTS; i++)
        tell_slot(w, i);
    wire_inc_epoch(w->m);
}

static void
tell_late(struct watch *w)
{
    size_t n = 0;

    for (size_t i = 0; i < w->nlate; i++) {
        struct late *l = &w->late[i];

        if (known_is(w->m->known, l->ino) && wire_inval_inode(w->m, l->ino, true) == -ENOENT &&
            --l->tries > 0)
            w->late[n++] = *l;
    }
    w->nlate = n;
}

static void *
run_again(void *arg)
{
    struct again *a = arg;

    pthread_mutex_lock(&a->lock);
    while (!a->stop) {
        if (a->n == 0) {
            pthread_cond_wait(&a->more, &a->lock);
            continue;
        }
        uint64_t ino = a->ino[--a->n];

        pthread_mutex_unlock(&a->lock);
        wire_inval_inode(a->m, ino, true);
        pthread_mutex_lock(&a->lock);
    }
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

void
watch_again(struct mount *m, uint64_t ino)
{
    struct again *a = &again;
    bool full;

    wire_inval_inode(m, ino, false);
    pthread_mutex_lock(&a->lock);
    full = a->n == LATE;
    for (size_t i = 0; i < a->n && !full; i++)
        full = a->ino[i] == ino; // once is enough
    if (!full)
        a->ino[a->n++] = ino;
    pthread_cond_signal(&a->more);
    pthread_mutex_unlock(&a->lock);
}

static void *
run(void *arg)
{
    const struct timespec rest = {.tv_nsec = REST_NS};
    struct watch *w = arg;
    sigset_t wake;

    sigemptyset(&wake);
    sigaddset(&wake, SIGNAL_WAKE);
    pthread_sigmask(SIG_UNBLOCK, &wake, NULL);
    while (!w->stop) {
        int r = fsc_watch_wait(w->m->fs, w->nlate ? 1 : WAIT_MS, on_news, w);

        tell_late(w);
        if (r == 1 && !w->stop)
            nanosleep(&rest, NULL);
    }
    w->ended = true;
    return NULL;
}

int
watch_start(struct mount *m)
{
    int err;

    watch.m = again.m = m;
    err = pthread_create(&watch.thread, NULL, run, &watch);
    watch.running = err == 0;
    if (!err) {
        err = pthread_create(&again.thread, NULL, run_again, &again);
        again.running = err == 0;
    }
    return -err;
}

void
watch_stop(void)
{
    const struct timespec rest = {.tv_nsec = REST_NS};

    if (again.running) {
        pthread_mutex_lock(&again.lock);
        again.stop = true;
        pthread_cond_signal(&again.more);
        pthread_mutex_unlock(&again.lock);
        pthread_join(again.thread, NULL);
        again.running = false;
    }
    if (watch.running) {
        watch.stop = true;
        // Again and again: it may be about to wait.
        while (pthread_kill(watch.thread, SIGNAL_WAKE) == 0 && !watch.ended)
            nanosleep(&rest, NULL);
        pthread_join(watch.thread, NULL);
        watch.running = false;
    }
    free(watch.ino);
    watch.ino = NULL;
    watch.n = watch.size = 0;
}
