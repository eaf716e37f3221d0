// SPDX-License-Identifier: Apache-2.0
// RLIMIT_FSIZE. The program's files obey it by what route_io.c and the hooks compare. The kernel, though,
// compares the engines' own files with it: a log of SQLite's, say, of which the program knows nothing, and
// which is soon longer than a small limit. So the process's limit is lifted while a thread is inside
// libfsclient, as far as the kernel lets us, and is back when the last has left. Who asks for the limit, or
// writes a file on the disk, in another thread in between sees it lifted. The hard limit stays as it was when
// the program lowers it (the shell's `ulimit -f` lowers both): what was lowered could not be lifted any more
// without a privilege.
//
// The lock is held across prlimit alone, and with the program's signals blocked where it has handlers.
#include <errno.h>
#include <pthread.h>
#include <sys/resource.h>

#include "libzio/real.h"
#include "libzio/route_priv.h"
#include "libzio/sys.h"

_Atomic uint64_t route_fsize = RLIM64_INFINITY; // the program's
static uint64_t hard = RLIM64_INFINITY;         // under the lock, like what follows
static unsigned inside;                         // threads for which it was lifted
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static long
set_limit(uint64_t soft, uint64_t max)
{
    struct rlimit64 r = {soft, max};

    return zsys4(SYS_prlimit64, 0, RLIMIT_FSIZE, &r, 0);
}

static void
lift(void)
{
    if (hard == RLIM64_INFINITY || set_limit(RLIM64_INFINITY, RLIM64_INFINITY) < 0)
        set_limit(hard, hard);
}

static void
lower(void)
{
    set_limit(route_fsize_limit(), hard);
}

static void
take_over(void)
{
    struct rlimit64 r;

    if (zsys4(SYS_prlimit64, 0, RLIMIT_FSIZE, 0, &r) < 0)
        return;
    hard = r.rlim_max;
    atomic_store(&route_fsize, r.rlim_cur);
}

void
route_fsize_start(void)
{
    take_over();
}

void
route_fsize_lift(void)
{
    pthread_mutex_lock(&lock);
    if (inside++ == 0)
        lift();
    pthread_mutex_unlock(&lock);
}

void
route_fsize_lower(void)
{
    pthread_mutex_lock(&lock);
    if (--inside == 0)
        lower();
    pthread_mutex_unlock(&lock);
}

// Within route_enter.
int
route_fsize_set(int (*set)(const struct rlimit64 *r), const struct rlimit64 *r)
{
    struct rlimit64 kept = *r;
    int ret, err;

    pthread_mutex_lock(&lock);
    if (inside)
        lower();
    if (kept.rlim_cur <= kept.rlim_max && kept.rlim_max < hard)
        kept.rlim_max = hard;
    ret = set(&kept);
    err = errno;
    take_over();
    if (inside)
        lift();
    pthread_mutex_unlock(&lock);
    errno = err;
    return ret;
}

// What starts in this process's place has the program's limit; lifted again where nothing started.
bool
route_fsize_exec(void)
{
    bool was = inside > 0;

    if (was)
        lower();
    return was;
}

void
route_fsize_exec_failed(bool was)
{
    if (was)
        lift();
}

// Only the thread that forked is here. What another was about to set is set once this one leaves.
void
route_fsize_fork_child(bool lifted)
{
    pthread_mutex_init(&lock, NULL);
    inside = lifted;
    if (!lifted && route_fsize_limit() != RLIM64_INFINITY)
        lower();
}
