// SPDX-License-Identifier: Apache-2.0
// This process's open files of volumes: which descriptor stands for which, and who still uses it.
//
// A file's memory is never given back, only used again, so that a thread which read the table may add a
// reference to what another thread closes meanwhile: the count says whether it was still alive, and a second
// look at the table whether it is still the same.
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libzio/real.h"
#include "libzio/route_priv.h"
#include "libzio/sys.h"

#define BATCH 64 // files that are made at once

struct route_file *_Atomic *route_fds;
static struct route_file *free_files;
static _Atomic int free_lock; // held for a few instructions, signals blocked
static unsigned top_fd;       // no number above was ever linked

int
route_fds_init(void)
{
    void *p = real.mmap(NULL, ROUTE_FDS * sizeof *route_fds, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (p == MAP_FAILED)
        return -errno;
    route_fds = p;
    return 0;
}

// ---- memory ----

static void
lock_free(void)
{
    int none = 0;

    while (!atomic_compare_exchange_weak_explicit(&free_lock, &none, 1, memory_order_acquire,
                                                  memory_order_relaxed)) {
        none = 0;
        zsys0(SYS_sched_yield);
    }
}

static void
unlock_free(void)
{
    atomic_store_explicit(&free_lock, 0, memory_order_release);
}

static struct route_file *
take_free(void)
{
    struct route_file *f, *more = NULL;

    lock_free();
    if (!free_files) {
        more =
            real.mmap(NULL, BATCH * sizeof *more, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        for (int i = 0; more != MAP_FAILED && i < BATCH; i++) {
            more[i].next = free_files;
            free_files = &more[i];
        }
    }
    f = free_files;
    if (f)
        free_files = f->next;
    unlock_free();
    return f;
}

static void
give_free(struct route_file *f)
{
    lock_free();
    f->next = free_files;
    free_files = f;
    unlock_free();
}

// ---- files ----

// Within route_enter. The file takes over `file`; where there is no memory it is closed. NULL: -ENFILE.
struct route_file *
route_file_new(struct route_vol *v, struct fsc_file *file, const char *path, int flags)
{
    struct route_file *f = take_free();
    struct route_rec *r;

    r = f ? route_rec_new(&f->index) : NULL;
    if (!r) {
        if (f)
            give_free(f);
        fsc.close(file);
        return NULL;
    }
    r->vol = v->id;
    r->ino = f->ino = fsc.file_ino(file);
    atomic_store_explicit(&r->flags, flags & ~(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC),
                          memory_order_relaxed);
    route_rec_set_path(f->index, path);
    f->vol = v;
    f->rec = r;
    f->long_path = NULL;
    atomic_store_explicit(&f->error, 0, memory_order_relaxed);
    atomic_store_explicit(&f->lock_fd, -1, memory_order_relaxed);
    atomic_store_explicit(&f->file, file, memory_order_relaxed);
    atomic_store_explicit(&f->posix_locked, false, memory_order_relaxed);
    f->maker = route_thread();
    atomic_store_explicit(&f->many, false, memory_order_relaxed);
    atomic_store_explicit(&f->dying, false, memory_order_relaxed);
    atomic_store_explicit(&f->refs, 1, memory_order_release);
    return f;
}

// A record that was passed on by exec; this process holds it already. NULL: no memory, or not of our volumes.
struct route_file *
route_file_adopt(uint32_t index)
{
    struct route_rec *r = route_rec_at(index);
    struct route_vol *v = r ? route_vol_by_id(r->vol) : NULL;
    struct route_file *f = v ? take_free() : NULL;

    if (!f)
        return NULL;
    f->index = index;
    f->rec = r;
    f->vol = v;
    f->ino = r->ino;
    f->long_path = NULL;
    atomic_store_explicit(&f->error, 0, memory_order_relaxed);
    atomic_store_explicit(&f->lock_fd, -1, memory_order_relaxed);
    atomic_store_explicit(&f->file, NULL, memory_order_relaxed);
    atomic_store_explicit(&f->posix_locked, false, memory_order_relaxed);
    f->maker = NULL;
    atomic_store_explicit(&f->many, false, memory_order_relaxed);
    atomic_store_explicit(&f->dying, false, memory_order_relaxed);
    atomic_store_explicit(&f->refs, 1, memory_order_release);
    return f;
}

struct route_file *
route_file_of(uint32_t index)
{
    for (unsigned fd = 0; fd <= top_fd; fd++) {
        struct route_file *f = route_file_peek((int)fd);

        if (f && f->index == index)
            return f;
        route_file_put(f);
    }
    return route_file_adopt(index);
}

int
route_file_open(struct route_file *f)
{
    struct fsc_file *file = NULL, *none = NULL;
    struct route_guard g;
    int flags, err = route_vol_open(f->vol);

    route_enter(&g);
    if (!err) {
        // What the open asked was granted to whoever opened it.
        flags = atomic_load(&f->rec->flags) & ~(O_CREAT | O_EXCL | O_TRUNC | O_NOFOLLOW);
        if ((flags & O_TMPFILE) == O_TMPFILE)
            flags &= ~O_TMPFILE;
        err = fsc.ino_open(f->vol->fs, FSC_ENGINE, f->ino, flags, &file);
    }
    if (!err && !atomic_compare_exchange_strong(&f->file, &none, file))
        fsc.close(file); // another thread was faster
    route_leave(&g);
    atomic_store(&f->error, err);
    return err;
}

// ---- references ----

static bool
add_ref(struct route_file *f)
{
    int n = atomic_load_explicit(&f->refs, memory_order_relaxed);

    while (n > 0)
        if (atomic_compare_exchange_weak_explicit(&f->refs, &n, n + 1, memory_order_acquire,
                                                  memory_order_relaxed))
            return true;
    return false;
}

static struct route_file *
peek(int fd, void (*unref)(struct route_file *))
{
    struct route_file *f;

    if (!route_fd(fd))
        return NULL;
    for (;;) {
        f = atomic_load_explicit(&route_fds[fd], memory_order_acquire);
        if (!f || !add_ref(f)) {
            if (!f || atomic_load(&route_fds[fd]) == f)
                return NULL;
            continue;
        }
        if (likely(atomic_load_explicit(&route_fds[fd], memory_order_acquire) == f))
            return f;
        unref(f);
    }
}

struct route_file *
route_file_peek(int fd)
{
    return peek(fd, route_file_put);
}

struct route_file *
route_file_get(int fd)
{
    struct route_file *f = route_file_peek(fd);

    if (f && unlikely(!atomic_load_explicit(&f->file, memory_order_acquire)))
        route_file_open(f);
    return f;
}

int
route_file_end(struct route_file *f)
{
    struct route_guard g;
    int err = 0, fd;

    route_enter(&g);
    // Nobody else has it: plain looks will do.
    if (f->file && atomic_load_explicit(&f->ofd_locked, memory_order_relaxed)) {
        atomic_store(&f->ofd_locked, false);
        route_ofd_closed(f);
    }
    if (f->file)
        err = fsc.close(f->file);
    fd = atomic_load_explicit(&f->lock_fd, memory_order_relaxed);
    if (fd >= 0) {
        atomic_store(&f->lock_fd, -1);
        zio_fd_ours_set(fd, false);
        zsys1(SYS_close, fd);
    }
    if (f->long_path)
        zsys2(SYS_munmap, f->long_path, PATH_MAX);
    route_rec_leave(f->index);
    atomic_store_explicit(&f->file, NULL, memory_order_relaxed);
    f->rec = NULL;
    give_free(f);
    route_leave(&g);
    return err;
}

int
route_file_unref(struct route_file *f)
{
    if (atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) > 1)
        return 0;
    return route_file_last(f) ? route_file_end(f) : 0;
}

// Around a fork the library may not be called: it waits there for its own threads. What should be closed then
// is closed by whoever opens or closes next.
static struct route_file *_Atomic late;

static void
end_later(struct route_file *f)
{
    f->next = atomic_load(&late);
    while (!atomic_compare_exchange_weak(&late, &f->next, f))
        ;
}

static void
unref_in_fork(struct route_file *f)
{
    if (atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) <= 1 && route_file_last(f))
        end_later(f);
}

static void
close_late(void)
{
    struct route_file *f, *next;

    if (likely(!atomic_load_explicit(&late, memory_order_relaxed)))
        return;
    for (f = atomic_exchange(&late, NULL); f; f = next) {
        next = f->next;
        route_file_end(f);
    }
}

void
route_file_put(struct route_file *f)
{
    if (f)
        route_file_unref(f);
}

struct fsc_file *
route_file_fsc(struct route_file *f)
{
    return atomic_load_explicit(&f->file, memory_order_acquire);
}

int
route_file_error(struct route_file *f)
{
    int err = atomic_load(&f->error);

    return err ? err : -EBADF;
}

struct route_vol *
route_file_vol(struct route_file *f)
{
    return f->vol;
}

int
route_file_flags(struct route_file *f)
{
    int flags = atomic_load(&f->rec->flags);

    return flags & O_PATH ? flags : flags | 0100000; // a 64-bit kernel always shows O_LARGEFILE
}

const char *
route_file_path(struct route_file *f)
{
    char *p, *none = NULL;

    if (!f->rec->long_path)
        return f->rec->path;
    if (f->long_path)
        return f->long_path;
    p = real.mmap(NULL, PATH_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return "";
    route_rec_path(f->index, p);
    if (!__atomic_compare_exchange_n(&f->long_path, &none, p, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        zsys2(SYS_munmap, p, PATH_MAX);
    return f->long_path;
}

int64_t
route_pos_begin(struct route_file *f, struct route_guard *g)
{
    route_enter(g);
    route_rec_lock(f->rec);
    return atomic_load_explicit(&f->rec->offset, memory_order_relaxed);
}

void
route_pos_end(struct route_file *f, struct route_guard *g, int64_t pos)
{
    atomic_store_explicit(&f->rec->offset, pos, memory_order_relaxed);
    route_rec_unlock(f->rec);
    route_leave(g);
}

// ---- descriptors ----

void
route_link(int fd, struct route_file *f)
{
    struct route_file *old;

    if ((unsigned)fd >= ROUTE_FDS) {
        route_file_unref(f);
        return;
    }
    for (unsigned top = top_fd; (unsigned)fd > top;)
        if (__atomic_compare_exchange_n(&top_fd, &top, (unsigned)fd, false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST))
            break;
    old = atomic_exchange_explicit(&route_fds[fd], f, memory_order_acq_rel);
    if (old) {
        route_lock_closed(old);
        route_file_unref(old);
    }
    if (fd <= 2)
        route_std_routed(fd);
}

void
route_unlink(int fd)
{
    struct route_file *old;

    if (!route_fd(fd))
        return;
    old = atomic_exchange(&route_fds[fd], NULL);
    if (!old)
        return;
    route_lock_closed(old);
    route_file_unref(old);
}

// `to` was just made of `from`, or the call failed (-1): the same open file description.
int
route_dup(int from, int to)
{
    struct route_file *f;

    if (to < 0)
        return to;
    f = route_file_peek(from);
    if (!f)
        route_unlink(to);
    else
        route_link(to, f);
    return to;
}

int
route_close(int fd)
{
    struct route_file *f = atomic_exchange(&route_fds[fd], NULL);
    int err;

    close_late();
    if (f)
        route_lock_closed(f);
    if (real.close(fd) < 0 && errno != EINTR) {
        if (f)
            route_file_unref(f);
        return -1;
    }
    err = f ? route_file_unref(f) : 0;
    return (int)route_result(err);
}

int
route_install_token(int token, struct route_vol *v, struct fsc_file *file, const char *path, int flags)
{
    struct route_guard g;
    struct route_file *f = NULL;

    close_late();
    route_enter(&g);
    if ((unsigned)token < ROUTE_FDS)
        f = route_file_new(v, file, path, flags);
    else
        fsc.close(file);
    if (f) {
        route_link(token, f);
    } else {
        zsys1(SYS_close, token);
    }
    route_leave(&g);
    if (!f)
        return (unsigned)token < ROUTE_FDS ? -ENFILE : -EMFILE;
    route_count(ZIO_C_route_opens, 1);
    return token;
}

int
route_install(struct route_vol *v, struct fsc_file *file, const char *path, int flags)
{
    int token = route_token(v, flags);
    struct route_guard g;

    if (token >= 0)
        return route_install_token(token, v, file, path, flags);
    route_enter(&g);
    fsc.close(file);
    route_leave(&g);
    return token;
}

void
route_each_fd(unsigned from, unsigned to, void (*fn)(int fd, struct route_file *f, void *arg), void *arg)
{
    if (to > top_fd)
        to = top_fd;
    for (unsigned fd = from; fd <= to; fd++) {
        struct route_file *f = route_file_peek((int)fd);

        if (!f)
            continue;
        fn((int)fd, f, arg);
        route_file_unref(f);
    }
}

bool
route_any_fd(void)
{
    for (unsigned fd = 0; fd <= top_fd; fd++)
        if (route_fd((int)fd))
            return true;
    return false;
}

// ---- the descriptors behind flock ----

// The lock must belong to all who share the open file description: so the description that it is taken on is
// made before it could be shared by two processes.
int
route_file_lock_fd(struct route_file *f)
{
    int fd = atomic_load(&f->lock_fd), none = -1;
    struct route_guard g;

    if (fd >= 0)
        return fd;
    if (f->vol->token_dir < 0 && route_vol_open(f->vol) < 0)
        return f->error ? f->error : -EIO;
    route_enter(&g);
    fd = zio_high_fd(route_lock_fd(f->vol));
    if (fd >= 0) {
        zio_fd_ours_set(fd, true);
        if (!atomic_compare_exchange_strong(&f->lock_fd, &none, fd)) {
            zio_fd_ours_set(fd, false);
            zsys1(SYS_close, fd);
            fd = none;
        }
    }
    route_leave(&g);
    return fd;
}

// Signals are blocked from here to the other two.
void
route_fd_fork_prepare(void)
{
    for (unsigned fd = 0; fd <= top_fd; fd++) {
        struct route_file *f = peek((int)fd, unref_in_fork);

        if (!f)
            continue;
        if (!(atomic_load(&f->rec->flags) & O_PATH) && f->vol->token_dir >= 0)
            route_file_lock_fd(f);
        unref_in_fork(f);
    }
}

// The list of free ones is the parent's threads' as it may have been in the middle of a change. And what one
// of them opened since route_table_fork_prepare is held by the child, too.
void
route_fd_fork_child(void)
{
    atomic_store(&free_lock, 0);
    free_files = NULL;
    route_thread_fork_child(end_later);
    for (unsigned fd = 0; fd <= top_fd; fd++) {
        struct route_file *f = peek((int)fd, unref_in_fork);

        if (!f)
            continue;
        if (!route_table_holds(f->index))
            route_rec_join(f->index);
        unref_in_fork(f);
    }
}
