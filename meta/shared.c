// SPDX-License-Identifier: Apache-2.0
// See shared.h.
#include "meta/shared.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/forkgate.h"

static ssize_t
slurp(const char *path, char *buf, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return -errno;
    n = read(fd, buf, size - 1);
    close(fd);
    if (n < 0)
        return -EIO;
    buf[n] = '\0';
    return n;
}

// -ENOSYS: there is no /proc. Who does not know which life of the machine this is would make the file anew
// under those that use it; nor could it tell who of them is alive.
static int
boot_id(uint8_t out[40])
{
    char buf[64] = "";

    memset(out, 0, 40);
    if (slurp("/proc/sys/kernel/random/boot_id", buf, sizeof(buf)) <= 0)
        return -ENOSYS;
    memcpy(out, buf, strnlen(buf, 39));
    return 0;
}

// Start time of a process, field 22 of proc(5)'s stat; 0: no such process, or a dead one.
static uint64_t
process_start(pid_t pid)
{
    char path[64], buf[1024], *p;
    unsigned long long t = 0;
    char state = 0;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    if (slurp(path, buf, sizeof(buf)) <= 0)
        return 0;
    p = strrchr(buf, ')'); // the name may hold anything
    if (!p ||
        sscanf(p + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
               &state, &t) != 2)
        return 0;
    return state == 'Z' || state == 'X' ? 0 : t;
}

static uint64_t
pid_namespace(void)
{
    struct stat sb;

    return stat("/proc/self/ns/pid", &sb) == 0 ? sb.st_ino : 0;
}

static int
make(struct shared *s, const uint8_t boot[40])
{
    pthread_mutexattr_t attr;
    int r;

    memset(s, 0, offsetof(struct shared, log));
    s->bytes = sizeof(*s);
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    r = pthread_mutex_init(&s->lock, &attr);
    pthread_mutexattr_destroy(&attr);
    if (r)
        return -r;
    memcpy(s->boot, boot, sizeof(s->boot));
    s->version = SHARED_VERSION;
    s->broken = SHARED_FRESH;
    s->sql_dirty = 1; // who knows
    // Last: what has the magic is whole.
    atomic_thread_fence(memory_order_release);
    s->magic = SHARED_MAGIC;
    return 0;
}

int
shared_open(const char *dir, struct shared_map *map)
{
    char path[PATH_MAX];
    uint8_t boot[40];
    struct stat sb;
    int r = 0;

    map->s = NULL;
    map->fd = -1;
    if ((r = boot_id(boot)) < 0)
        return r;
    if (snprintf(path, sizeof(path), "%s/meta.shared", dir) >= (int)sizeof(path))
        return -ENAMETOOLONG;
    map->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (map->fd < 0)
        return -errno;
    // For the users of the database, whatever the umask is.
    if (snprintf(path, sizeof(path), "%s/meta.db", dir) < (int)sizeof(path) && stat(path, &sb) == 0) {
        mode_t mode = sb.st_mode & 0777;

        if (fstat(map->fd, &sb) == 0 && (sb.st_mode & 0777) != mode && sb.st_uid == geteuid())
            (void)fchmod(map->fd, mode);
    }
    // One at a time looks whether it must be made; flock is by open description, so that no other
    // descriptor's close in this process can drop it.
    while (flock(map->fd, LOCK_EX) < 0)
        if (errno != EINTR) {
            r = -errno;
            goto out;
        }
    if (fstat(map->fd, &sb) < 0) {
        r = -errno;
        goto out;
    }
    // Blocks for all of it now: a full disk must not become SIGBUS later. (Who changes the size must first
    // bring the log over, which may hold what was synced: see meta_sync.)
    if ((size_t)sb.st_size != sizeof(struct shared)) {
        if (ftruncate(map->fd, 0) < 0 || (r = posix_fallocate(map->fd, 0, sizeof(struct shared)))) {
            r = r ? -r : -errno;
            goto out;
        }
    }
    map->s = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_SHARED, map->fd, 0);
    if (map->s == MAP_FAILED) {
        map->s = NULL;
        r = -errno;
        goto out;
    }
    if (map->s->magic != SHARED_MAGIC || map->s->version != SHARED_VERSION ||
        map->s->bytes != sizeof(struct shared) || memcmp(map->s->boot, boot, sizeof(boot)) != 0)
        r = make(map->s, boot);
out:
    if (r < 0)
        shared_close(map);
    else
        flock(map->fd, LOCK_UN);
    return r;
}

void
shared_close(struct shared_map *map)
{
    if (map->s)
        munmap(map->s, sizeof(struct shared));
    if (map->fd >= 0)
        close(map->fd);
    map->s = NULL;
    map->fd = -1;
}

int
shared_lock(struct shared *s, uint32_t busy_ms, sigset_t *old)
{
    sigset_t all;
    int r;

    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, old);
    forkgate_enter();
    if (busy_ms) {
        struct timespec until;

        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += (long)(busy_ms % 1000) * 1000000;
        until.tv_sec += busy_ms / 1000 + until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        r = pthread_mutex_timedlock(&s->lock, &until);
    } else {
        r = pthread_mutex_lock(&s->lock);
    }
    if (r == EOWNERDEAD)
        return 1;
    if (r) {
        forkgate_leave();
        pthread_sigmask(SIG_SETMASK, old, NULL);
    }
    return -r;
}

void
shared_repaired(struct shared *s)
{
    pthread_mutex_consistent(&s->lock);
}

void
shared_unlock(struct shared *s, const sigset_t *old)
{
    pthread_mutex_unlock(&s->lock);
    forkgate_leave();
    pthread_sigmask(SIG_SETMASK, old, NULL);
}

int
shared_session_new(struct shared *s, uint32_t *slot)
{
    for (uint32_t i = 0; i < SHARED_SESSIONS; i++) {
        struct shared_session *e = &s->session[i];

        if (atomic_load(&e->pid))
            continue;
        e->generation = ++s->generation;
        e->started = process_start(getpid());
        e->pidns = pid_namespace();
        e->chunk_first = e->chunk_end = 0;
        memset(&e->stats, 0, sizeof(e->stats));
        atomic_store(&e->pid, (uint32_t)getpid());
        *slot = i;
        return 0;
    }
    return -EUSERS;
}

void
shared_session_end(struct shared *s, uint32_t slot)
{
    for (uint32_t i = 0; i < SHARED_HOLDS; i++)
        if (atomic_load_explicit(&s->hold[i], memory_order_relaxed) >> 48 == slot + 1)
            atomic_store(&s->hold[i], 0);
    atomic_store(&s->session[slot].pid, 0);
}

// A process in another pid namespace can't be judged from here; whoever shares its namespace will.
bool
shared_session_dead(struct shared *s, uint32_t slot)
{
    struct shared_session *e = &s->session[slot];
    uint32_t pid = atomic_load(&e->pid);

    if (!pid || e->pidns != pid_namespace())
        return false;
    return process_start((pid_t)pid) != e->started;
}

bool
shared_session_foreign(const struct shared *s, uint32_t slot)
{
    return s->session[slot].pidns != pid_namespace();
}

void
shared_stats_copy(const struct shared_stats *from, struct meta_stats *to)
{
#define X(name) to->name = atomic_load_explicit(&from->name, memory_order_relaxed);
    META_STATS(X)
#undef X
}

static uint32_t
hold_home(uint64_t ino)
{
    uint64_t h = ino * 0x9e3779b97f4a7c15ULL;

    return (uint32_t)((h ^ h >> 32) * 0xc4ceb9fe1a85ec53ULL >> 40) & (SHARED_HOLDS - 1);
}

static uint32_t
hold_reach(struct shared *s)
{
    uint32_t n = atomic_load(&s->hold_reach);

    return n > SHARED_HOLD_PROBE ? n : SHARED_HOLD_PROBE;
}

// Many have the same file open, or were killed with it: who looks for holds looks further from now on.
static void
hold_reach_raise(struct shared *s, uint32_t past)
{
    uint32_t want = SHARED_HOLD_PROBE, have = atomic_load(&s->hold_reach);

    while (want <= past)
        want *= 2;
    while (have < want && !atomic_compare_exchange_weak(&s->hold_reach, &have, want))
        ;
}

int
shared_hold(struct shared *s, uint32_t slot, uint64_t ino)
{
    uint64_t key = (uint64_t)(slot + 1) << 48 | ino;
    uint32_t home = hold_home(ino);

    for (uint32_t i = 0; i < SHARED_HOLDS; i++) {
        _Atomic uint64_t *p = &s->hold[(home + i) & (SHARED_HOLDS - 1)];
        uint64_t zero = 0;

        if (i >= hold_reach(s))
            hold_reach_raise(s, i);

        // Sequentially consistent, like the look in shared_held: either the unlinker sees the hold, or the
        // holder, who looks at the inode afterwards, sees the unlink.
        if (atomic_load_explicit(p, memory_order_relaxed) == 0 &&
            atomic_compare_exchange_strong(p, &zero, key))
            return 0;
    }
    return -ENFILE;
}

void
shared_unhold(struct shared *s, uint32_t slot, uint64_t ino)
{
    uint64_t key = (uint64_t)(slot + 1) << 48 | ino;
    uint32_t home = hold_home(ino);

    for (uint32_t i = 0, n = hold_reach(s); i < n; i++) {
        _Atomic uint64_t *p = &s->hold[(home + i) & (SHARED_HOLDS - 1)];
        uint64_t is = key;

        // A session may have several; each goes once.
        if (atomic_load_explicit(p, memory_order_relaxed) == key && atomic_compare_exchange_strong(p, &is, 0))
            return;
    }
}

bool
shared_held(struct shared *s, uint64_t ino, uint32_t but)
{
    uint32_t home = hold_home(ino);

    for (uint32_t i = 0, n = hold_reach(s); i < n; i++) {
        uint64_t v = atomic_load(&s->hold[(home + i) & (SHARED_HOLDS - 1)]);

        if (v && (v & ((1ULL << 48) - 1)) == ino && (v >> 48) - 1 != but)
            return true;
    }
    return false;
}
