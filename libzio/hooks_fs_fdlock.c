// SPDX-License-Identifier: Apache-2.0
// Locks of routed files: fcntl(2)'s are the volume's own, so that all its clients see them; flock(2)'s are
// open-file-description locks on the file of tokens, so that the kernel hands them on and takes them back.
//
// Who waits does so in slices, and takes its signals between them.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libzio/real.h"
#include "libzio/route_priv.h"
#include "libzio/sys.h"

#define SLICE_MS 20

static _Atomic bool posix_used; // a lock of F_SETLK was taken, ever: closing must look for it

bool
route_lock_used(void)
{
    return atomic_load(&posix_used);
}

void
route_lock_used_set(bool on)
{
    atomic_store(&posix_used, on);
}

// ---- locks of an open file description ----

// Its owner is a number of its own, which all who share it find in the record.
static uint64_t
ofd_owner(struct route_file *f)
{
    uint64_t owner = atomic_load(&f->rec->owner), mine = 0;

    if (owner)
        return owner;
    if (zsys3(SYS_getrandom, &mine, sizeof mine, 0) != (long)sizeof mine)
        mine = (uint64_t)zsys0(SYS_getpid) << 32 | (uint64_t)f->index << 8 | 1;
    mine = (mine & (FSC_OWNER_SHARED - 1)) | FSC_OWNER_SHARED;
    return atomic_compare_exchange_strong(&f->rec->owner, &owner, mine) ? mine : owner;
}

// The owner is there as long as the descriptor behind flock, which all who share the description have, and
// with it a lock on the owner's byte.
static int
ofd_announce(struct route_file *f, uint64_t owner)
{
    struct flock l = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = (off_t)owner, .l_len = 1};
    int fd = atomic_load(&f->lock_fd);

    if (atomic_load(&f->ofd_locked))
        return 0;
    if (fd < 0 && route_rec_alone(f->index))
        fd = route_file_lock_fd(f);
    if (fd < 0 || real.fcntl64(fd, F_OFD_SETLK, &l) != 0) {
        route_refused("a lock of an open file description that several processes share");
        return -ENOLCK; // there was no descriptor left for it when the file came to be shared
    }
    atomic_store(&f->ofd_locked, true);
    return 0;
}

// ---- fcntl locks ----

// The kernel's struct as first and last byte.
static int
range(struct route_file *f, const struct flock *l, struct fsc_lock *out, bool ofd)
{
    struct stat st;
    int64_t base, end;
    struct route_guard g;
    int err = 0;

    switch (l->l_whence) {
    case SEEK_SET:
        base = 0;
        break;
    case SEEK_CUR:
        base = atomic_load(&f->rec->offset);
        break;
    case SEEK_END:
        route_enter(&g);
        err = fsc.fstat(route_file_fsc(f), &st);
        route_leave(&g);
        base = st.st_size;
        break;
    default:
        return -EINVAL;
    }
    if (err)
        return err;
    if (l->l_start > 0 ? base > INT64_MAX - l->l_start : base + l->l_start < 0)
        return l->l_start > 0 ? -EOVERFLOW : -EINVAL;
    base += l->l_start;
    end = base;
    if (l->l_len > 0) {
        if (l->l_len - 1 > INT64_MAX - base)
            return -EOVERFLOW;
        end = base + l->l_len - 1;
    } else if (l->l_len < 0) {
        if (base + l->l_len < 0)
            return -EINVAL;
        end = base - 1;
        base += l->l_len;
    }
    *out = (struct fsc_lock){(uint64_t)base, l->l_len ? (uint64_t)end : UINT64_MAX, l->l_type,
                             ofd ? -1 : (pid_t)zsys0(SYS_getpid)};
    return 0;
}

// Has a signal come whose handler does not restart the call? All are blocked now; `mask` is the program's.
static bool
interrupted(const uint64_t *mask)
{
    struct timespec none = {0, 0};
    uint64_t pending = 0;
    bool ends = false;

    zsys2(SYS_rt_sigpending, &pending, 8);
    pending &= ~*mask;
    for (int sig = 1; sig < 64 && pending >> (sig - 1); sig++) {
        struct sigaction act;

        if (pending >> (sig - 1) & 1 && real.sigaction(sig, NULL, &act) == 0 && act.sa_handler != SIG_IGN &&
            act.sa_handler != SIG_DFL && !(act.sa_flags & SA_RESTART))
            ends = true;
    }
    zsys5(SYS_ppoll, 0, 0, &none, mask, 8); // they are taken here
    return ends;
}

static int
wait_for(struct route_file *f, uint64_t owner, const struct fsc_lock *l)
{
    uint64_t mask;
    int err;

    for (;;) {
        struct route_guard g;

        pthread_testcancel();
        zio_block_signals(&mask);
        route_enter(&g);
        err = fsc.setlk(route_file_fsc(f), owner, l, SLICE_MS);
        route_leave(&g);
        if (err != -ETIMEDOUT && err != -EAGAIN) {
            zio_restore_signals(&mask);
            return err;
        }
        if (interrupted(&mask)) {
            zio_restore_signals(&mask);
            return -EINTR;
        }
        zio_restore_signals(&mask);
    }
}

static int
get_lock(struct route_file *f, uint64_t owner, struct flock *l, struct fsc_lock *r)
{
    struct route_guard g;
    int err;

    if (l->l_type != F_RDLCK && l->l_type != F_WRLCK)
        return -EINVAL;
    route_enter(&g);
    err = fsc.getlk(route_file_fsc(f), owner, r);
    route_leave(&g);
    if (err)
        return err;
    l->l_type = r->type;
    if (r->type == F_UNLCK)
        return 0;
    l->l_whence = SEEK_SET;
    l->l_start = (off_t)r->start;
    l->l_len = r->end == UINT64_MAX || r->end >= INT64_MAX ? 0 : (off_t)(r->end - r->start + 1);
    l->l_pid = r->pid;
    return 0;
}

int
route_lock(struct route_file *f, int cmd, struct flock *l)
{
    bool ofd = cmd == F_OFD_GETLK || cmd == F_OFD_SETLK || cmd == F_OFD_SETLKW;
    uint64_t owner = ofd ? ofd_owner(f) : (uint64_t)zsys0(SYS_getpid);
    int mode = atomic_load(&f->rec->flags) & O_ACCMODE, err;
    struct route_guard g;
    struct fsc_lock r;

    if (cmd == F_GETLK || cmd == F_OFD_GETLK ? route_bad_room(l, sizeof *l) : route_bad_address(l, sizeof *l))
        return -EFAULT;
    if (!route_file_fsc(f))
        return route_file_error(f);
    if (ofd && l->l_pid)
        return -EINVAL;
    err = range(f, l, &r, ofd);
    if (err)
        return err;
    if (cmd == F_GETLK || cmd == F_OFD_GETLK)
        return get_lock(f, owner, l, &r);
    if (l->l_type != F_RDLCK && l->l_type != F_WRLCK && l->l_type != F_UNLCK)
        return -EINVAL;
    if ((l->l_type == F_RDLCK && mode == O_WRONLY) || (l->l_type == F_WRLCK && mode == O_RDONLY))
        return -EBADF;
    if (ofd && l->l_type != F_UNLCK) {
        err = ofd_announce(f, owner);
        if (err)
            return err;
    } else if (l->l_type != F_UNLCK) {
        atomic_store(&f->posix_locked, true);
        atomic_store(&posix_used, true);
    }
    if (cmd == F_SETLKW || cmd == F_OFD_SETLKW) {
        route_enter(&g);
        err = fsc.setlk(route_file_fsc(f), owner, &r, 0);
        route_leave(&g);
        return err == -EAGAIN || err == -EACCES ? wait_for(f, owner, &r) : err;
    }
    route_enter(&g);
    err = fsc.setlk(route_file_fsc(f), owner, &r, 0);
    route_leave(&g);
    return err;
}

void
route_lock_closed(struct route_file *f)
{
    struct route_guard g;

    if (likely(!atomic_load_explicit(&posix_used, memory_order_relaxed)))
        return;
    if (!route_file_fsc(f) && route_file_open(f) < 0) // it came over exec, perhaps with a lock
        return;
    route_enter(&g);
    fsc.unlock_owner(route_file_fsc(f), (uint64_t)zsys0(SYS_getpid));
    route_leave(&g);
}

// Within route_enter. Where other processes have the description too, it is theirs; if they are closing it as
// well and nobody unlocks, nobody has the owner's byte any more.
void
route_ofd_closed(struct route_file *f)
{
    if (route_rec_alone(f->index))
        fsc.unlock_owner(f->file, ofd_owner(f));
}

// ---- lockf: the C library's own rules on top of fcntl's ----

static int
routed_lockf(int fd, int cmd, off_t len)
{
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_CUR, .l_len = len};

    switch (cmd) {
    case F_TEST:
        l.l_type = F_RDLCK;
        if (fcntl(fd, F_GETLK, &l) < 0)
            return -1;
        if (l.l_type == F_UNLCK || l.l_pid == (pid_t)zsys0(SYS_getpid))
            return 0;
        return (int)route_result(-EACCES);
    case F_ULOCK:
        l.l_type = F_UNLCK;
        return fcntl(fd, F_SETLK, &l);
    case F_LOCK:
        return fcntl(fd, F_SETLKW, &l);
    case F_TLOCK:
        return fcntl(fd, F_SETLK, &l);
    default:
        return (int)route_result(-EINVAL);
    }
}

ZIO_EXPORT int
lockf64(int fd, int cmd, off_t len)
{
    return unlikely(route_fd(fd)) ? routed_lockf(fd, cmd, len) : real.lockf64(fd, cmd, len);
}

ZIO_EXPORT int
lockf(int fd, int cmd, off_t len)
{
    return lockf64(fd, cmd, len);
}

// ---- flock ----

static int
routed_flock(struct route_file *f, int op)
{
    struct flock l = {.l_whence = SEEK_SET, .l_start = (off_t)f->ino, .l_len = 1};
    int fd;

    switch (op & ~LOCK_NB) {
    case LOCK_SH:
        l.l_type = F_RDLCK;
        break;
    case LOCK_EX:
        l.l_type = F_WRLCK;
        break;
    case LOCK_UN:
        l.l_type = F_UNLCK;
        break;
    default:
        return -EINVAL;
    }
    if (atomic_load(&f->rec->flags) & O_PATH)
        return -EBADF;
    fd = atomic_load(&f->lock_fd);
    if (fd < 0 && l.l_type == F_UNLCK)
        return 0;
    if (fd < 0 && !route_rec_alone(f->index)) {
        route_refused("flock");
        return -ENOLCK; // there was no descriptor left for it when the file came to be shared
    }
    if (fd < 0)
        fd = route_file_lock_fd(f);
    if (fd < 0)
        return -ENOLCK;
    if (real.fcntl64(fd, op & LOCK_NB || l.l_type == F_UNLCK ? F_OFD_SETLK : F_OFD_SETLKW, &l) == 0)
        return 0;
    return errno == EACCES ? -EAGAIN : -errno;
}

static void
put_file(void *f)
{
    route_file_put(f);
}

ZIO_EXPORT int
flock(int fd, int op)
{
    struct route_file *f;
    int r;

    if (likely(!route_fd(fd)) || !(f = route_file_peek(fd)))
        return real.flock(fd, op);
    pthread_cleanup_push(put_file, f); // one that waits may be cancelled
    r = routed_flock(f, op);
    pthread_cleanup_pop(1);
    return (int)route_result(r);
}
