// SPDX-License-Identifier: Apache-2.0
// How a volume's handle notices that it is in a fork child: a page that the kernel hands to children empty
// (MADV_WIPEONFORK, Linux 4.14), so that the question costs one load and no system call. The first call in
// the child makes the volume good; others that come meanwhile wait for it.
//
// The moment of the fork itself: a thread that is inside SQLite then would leave the child with SQLite's own
// mutexes locked for ever, one that changes the table of inodes with half a table. So these are sections of
// common/forkgate.h, which forks wait for.
#include <errno.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fsclient/driver.h"

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
