// SPDX-License-Identifier: Apache-2.0
// flock(2) of local:DIR: a lock of an open file description (fcntl(2), F_OFD_SETLK) on byte `inode` of
// DIR/tokens. Each handle opens a description of its own at its first flock. So the kernel gives the lock
// back when the last process that shares the handle is gone, by kill -9 too, and whoever else locks that byte
// (the descriptors of preloaded programs, docs/ROUTING.md) takes part.
//
// The list of handles that have a description is the volume's, under table_lock.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fsclient/local_ops.h"

#define NAP_MIN 500000   // nanoseconds between two attempts of a wait that has an end ...
#define NAP_MAX 10000000 // ... growing up to this

// A file of the volume's directory that was not there, for the same users as DIR/lock, whatever the umask is.
int
local_make_like(const char *dir, const char *name)
{
    char path[4200], like[4200];
    struct stat st;
    int fd, err = 0;

    if ((size_t)snprintf(path, sizeof path, "%s/%s", dir, name) >= sizeof path ||
        (size_t)snprintf(like, sizeof like, "%s/lock", dir) >= sizeof like)
        return -ENAMETOOLONG;
    fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return errno == EEXIST ? 0 : -errno;
    if (stat(like, &st) == 0 && fchmod(fd, 0600 | (st.st_mode & 0066)) != 0)
        err = -errno;
    close(fd);
    return err;
}

static int
tokens_open(struct local *l)
{
    char path[4200];
    int fd, err;

    if ((size_t)snprintf(path, sizeof path, "%s/tokens", l->dir) >= sizeof path)
        return -ENAMETOOLONG;
    fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT) {
        err = local_make_like(l->dir, "tokens");
        if (err)
            return err;
        fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    }
    return fd < 0 ? -errno : fd;
}

// The handle's descriptor; threads that come at once agree on one.
static int
token_of(struct local *l, struct fsc_file *file)
{
    int fd = atomic_load(&file->token), mine;

    if (fd >= 0)
        return fd;
    mine = tokens_open(l);
    if (mine < 0)
        return mine;
    table_lock(l);
    fd = atomic_load(&file->token);
    if (fd < 0) {
        fd = mine;
        mine = -1;
        atomic_store(&file->token, fd);
        LIST_INSERT_HEAD(&l->tokens, file, with_token);
    }
    table_unlock(l);
    if (mine >= 0)
        close(mine);
    return fd;
}

void
local_token_close(struct local *l, struct fsc_file *file)
{
    int fd = atomic_load(&file->token);

    if (fd < 0)
        return;
    table_lock(l);
    LIST_REMOVE(file, with_token);
    table_unlock(l);
    close(fd);
}

bool
local_token_owns(struct local *l, int fd)
{
    struct fsc_file *file;
    bool found = false;

    table_lock(l);
    LIST_FOREACH (file, &l->tokens, with_token)
        found = found || atomic_load(&file->token) == fd;
    table_unlock(l);
    return found;
}

static int
set_lock(int fd, int cmd, short type, uint64_t ino)
{
    struct flock fl = {.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)ino, .l_len = 1};

    if (fcntl(fd, cmd, &fl) == 0)
        return 0;
    return errno == EACCES ? -EAGAIN : -errno;
}

static int64_t
now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

// The kernel's wait has no end, so one that has is made of attempts.
static int
lock_until(int fd, short type, uint64_t ino, int64_t until)
{
    struct timespec nap = {.tv_nsec = NAP_MIN};
    int64_t left;
    int err;

    for (;;) {
        err = set_lock(fd, F_OFD_SETLK, type, ino);
        if (err != -EAGAIN)
            return err;
        left = until - now_ns();
        if (left <= 0)
            return -ETIMEDOUT;
        if (nap.tv_nsec > left)
            nap.tv_nsec = left;
        if (nanosleep(&nap, NULL) != 0)
            return -EINTR;
        nap.tv_nsec = nap.tv_nsec * 2 < NAP_MAX ? nap.tv_nsec * 2 : NAP_MAX;
    }
}

// A conversion gives the old lock up before it waits or fails, as flock(2) says: two that hold it shared and
// both want it exclusively do not wait for each other.
int
local_flock(struct fsc_file *file, int op, int wait_ms)
{
    short type = op == LOCK_SH ? F_RDLCK : op == LOCK_EX ? F_WRLCK : F_UNLCK;
    struct local *l = LOCAL(file->fs);
    int fd, err;

    if (type == F_UNLCK && atomic_load(&file->token) < 0)
        return 0;
    fd = token_of(l, file);
    if (fd < 0)
        return fd;
    err = set_lock(fd, F_OFD_SETLK, type, file->ino);
    if (err != -EAGAIN || type == F_UNLCK)
        return err;
    err = set_lock(fd, F_OFD_SETLK, F_UNLCK, file->ino);
    if (err)
        return err;
    if (wait_ms == 0)
        return set_lock(fd, F_OFD_SETLK, type, file->ino); // who waited for the old one may be all there was
    if (wait_ms < 0)
        return set_lock(fd, F_OFD_SETLKW, type, file->ino);
    return lock_until(fd, type, file->ino, now_ns() + wait_ms * INT64_C(1000000));
}

// ---- owners of fcntl's locks that several processes share ----

_Static_assert(FSC_OWNER_SHARED == META_OWNER_SHARED, "passed through");

// Each who shares one has a copy of the same description, with a lock on the owner's byte. No answer is
// "yes": who is gone is found out the next time.
bool
local_owner_alive(void *local, uint64_t owner)
{
    struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)owner, .l_len = 1};
    int fd = tokens_open(local);
    bool alive;

    if (fd < 0)
        return true;
    alive = fcntl(fd, F_OFD_GETLK, &fl) != 0 || fl.l_type != F_UNLCK;
    close(fd);
    return alive;
}
