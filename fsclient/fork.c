// SPDX-License-Identifier: Apache-2.0
// How a volume's handle notices that it is in a fork child: a page that the kernel hands to children empty
// (MADV_WIPEONFORK, Linux 4.14), so that the question costs one load and no system call. The first call in
// the child makes the volume good; others that come meanwhile wait for it.
//
// The moment of the fork itself: a thread that is inside SQLite then would leave the child with SQLite's own
// mutexes locked for ever. So handlers of pthread_atfork(3), for the list of all open volumes, wait until
// nobody is inside, and keep others out until the fork is done. A volume that this process has not used since
// it was forked itself is left alone: nobody is inside of that.
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fsclient/driver.h"

static TAILQ_HEAD(fsc_list, fsc) volumes = TAILQ_HEAD_INITIALIZER(volumes); // volumes_lock
static pthread_mutex_t volumes_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
before_fork(void)
{
    struct fsc *fs, *last = NULL;

    pthread_mutex_lock(&volumes_lock);
    TAILQ_FOREACH (fs, &volumes, all) {
        fs->forking = atomic_load(fs->alive) == FORK_ALIVE;
        if (!fs->forking)
            continue;
        fs->drv->fork_prepare(fs, last && memcmp(fs->uuid, last->uuid, sizeof fs->uuid) == 0);
        last = fs;
    }
}

// Backwards, so that each gets back the signal mask that it met.
static void
end_fork(bool child)
{
    struct fsc *fs = NULL;

    TAILQ_FOREACH_REVERSE(fs, &volumes, fsc_list, all)
    {
        if (fs->forking)
            fs->drv->fork_end(fs, child);
        fs->forking = false;
    }
}

static void
after_in_parent(void)
{
    end_fork(false);
    pthread_mutex_unlock(&volumes_lock);
}

static void
after_in_child(void)
{
    end_fork(true);
    pthread_mutex_init(&volumes_lock, NULL);
}

static void
set_handlers(void)
{
    pthread_atfork(before_fork, after_in_parent, after_in_child);
}

// From here on forks wait for the volume's callers. In the order of the ids, so that processes that fork at
// once do not wait for each other's volumes, and handles of one volume stand side by side: they share a lock.
void
fork_enlist(struct fsc *fs)
{
    struct fsc_info info = {0};
    struct fsc *next, *behind = NULL;

    fs->drv->info(fs, &info);
    memcpy(fs->uuid, info.uuid, sizeof fs->uuid);
    pthread_once(&once, set_handlers);
    pthread_mutex_lock(&volumes_lock);
    TAILQ_FOREACH (next, &volumes, all)
        if (memcmp(next->uuid, fs->uuid, sizeof fs->uuid) > 0) {
            behind = next;
            break;
        }
    if (behind)
        TAILQ_INSERT_BEFORE(behind, fs, all);
    else
        TAILQ_INSERT_TAIL(&volumes, fs, all);
    pthread_mutex_unlock(&volumes_lock);
}

void
fork_delist(struct fsc *fs)
{
    pthread_mutex_lock(&volumes_lock);
    TAILQ_REMOVE(&volumes, fs, all);
    pthread_mutex_unlock(&volumes_lock);
}

int
fork_watch(struct fsc *fs)
{
    long page = sysconf(_SC_PAGESIZE);
    void *p = mmap(NULL, (size_t)page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int err;

    if (p == MAP_FAILED)
        return -errno;
    if (madvise(p, (size_t)page, MADV_WIPEONFORK) != 0) {
        err = -errno;
        munmap(p, (size_t)page);
        return err;
    }
    fs->alive = p;
    atomic_store_explicit(fs->alive, FORK_ALIVE, memory_order_release);
    return 0;
}

void
fork_unwatch(struct fsc *fs)
{
    if (fs->alive)
        munmap((void *)fs->alive, (size_t)sysconf(_SC_PAGESIZE));
    fs->alive = NULL;
}

bool
fork_is_child(struct fsc *fs)
{
    return atomic_load_explicit(fs->alive, memory_order_acquire) != FORK_ALIVE;
}

int
fork_mend(struct fsc *fs)
{
    uint32_t state;
    int err;

    // All that is known is in the page: a process id would lie where ids repeat (in another namespace, or in
    // time).
    for (;;) {
        state = FORK_WIPED;
        if (atomic_compare_exchange_strong(fs->alive, &state, FORK_MENDING))
            break;
        if (state == FORK_ALIVE)
            return 0;
        sched_yield();
    }
    err = fs->drv->fork_child(fs);
    // After a failure the next call tries again.
    atomic_store_explicit(fs->alive, err ? FORK_WIPED : FORK_ALIVE, memory_order_release);
    return err;
}
