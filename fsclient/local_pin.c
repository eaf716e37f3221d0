// SPDX-License-Identifier: Apache-2.0
// Which inodes are mapped by some process (FSC_CHUNK_KEEP), so that their chunks have to stay where they are:
// a lock for reading on byte `ino` of DIR/maps, on a description of this process (F_OFD_SETLK). It is gone
// with the process, by kill -9 too. A fork child inherits the description, and so the pins. Nothing is ever
// unlocked on a description, since a child may rely on it: to drop pins, a new description takes the locks
// that are left, and the old one is closed.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fsclient/local.h"
#include "fsclient/local_ops.h"

#define DEAD_MAX 16 // pins that are not needed any more before they are dropped

static int
open_maps(struct local *l)
{
    char path[4096 + 8];
    int fd, n = snprintf(path, sizeof path, "%s/maps", l->dir);

    if (n < 0 || (size_t)n >= sizeof path)
        return -ENAMETOOLONG;
    fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        int err = local_make_like(l->dir, "maps");

        if (err)
            return err;
        fd = open(path, O_RDWR | O_CLOEXEC);
    }
    return fd < 0 ? -errno : fd;
}

static int
lock_ino(int fd, uint64_t ino)
{
    struct flock fl = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = (off_t)ino, .l_len = 1};

    return fcntl(fd, F_OFD_SETLK, &fl) != 0 ? -errno : 0;
}

void
local_pin_init(struct local *l)
{
    pthread_mutex_init(&l->pins.lock, NULL);
    l->pins.own_fd = l->pins.ask_fd = -1;
}

void
local_pin_close(struct local *l)
{
    if (l->pins.own_fd >= 0)
        close(l->pins.own_fd);
    if (l->pins.ask_fd >= 0)
        close(l->pins.ask_fd);
    free(l->pins.v);
    pthread_mutex_destroy(&l->pins.lock);
}

void
local_pin_fork(struct local *l)
{
    pthread_mutex_init(&l->pins.lock, NULL);
    l->pins.foreign = l->pins.own_fd >= 0;
}

// A new description with the locks that are needed. On an error the old one stays.
static int
renew(struct local *l, struct local_pins *p)
{
    size_t n = 0;
    int fd, err = 0;

    fd = open_maps(l);
    if (fd < 0)
        return fd;
    for (size_t i = 0; i < p->n && !err; i++)
        if (p->v[i].count > 0)
            err = lock_ino(fd, p->v[i].ino);
    if (err) {
        close(fd);
        return err;
    }
    for (size_t i = 0; i < p->n; i++)
        if (p->v[i].count > 0)
            p->v[n++] = p->v[i];
    p->n = n;
    if (p->own_fd >= 0)
        close(p->own_fd);
    p->own_fd = fd;
    p->foreign = false;
    return 0;
}

static struct pin *
find(struct local_pins *p, uint64_t ino)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->v[i].ino == ino)
            return &p->v[i];
    return NULL;
}

static int
add(struct local_pins *p, uint64_t ino)
{
    if (p->n == p->cap) {
        size_t cap = p->cap ? p->cap * 2 : 16;
        struct pin *v = realloc(p->v, cap * sizeof *v);

        if (!v)
            return -ENOMEM;
        p->v = v;
        p->cap = cap;
    }
    p->v[p->n++] = (struct pin){ino, 0};
    return 0;
}

int
local_pin(struct local *l, uint64_t ino)
{
    struct local_pins *p = &l->pins;
    struct pin *pin;
    int err = 0;

    pthread_mutex_lock(&p->lock);
    if (p->own_fd < 0 || p->foreign)
        err = renew(l, p);
    pin = find(p, ino);
    if (!err && !pin) {
        err = lock_ino(p->own_fd, ino);
        if (!err)
            err = add(p, ino);
        pin = err ? NULL : &p->v[p->n - 1];
    }
    if (!err && pin->count++ == 0)
        p->live++;
    pthread_mutex_unlock(&p->lock);
    return err;
}

void
local_unpin(struct local *l, uint64_t ino)
{
    struct local_pins *p = &l->pins;
    struct pin *pin;

    pthread_mutex_lock(&p->lock);
    pin = find(p, ino);
    if (pin && pin->count > 0 && --pin->count == 0)
        p->live--;
    if (p->live == 0 && p->own_fd >= 0) {
        close(p->own_fd);
        p->own_fd = -1;
        p->n = 0;
        p->foreign = false;
    } else if (p->n - p->live > DEAD_MAX + p->live) {
        (void)renew(l, p); // else they stay a little longer
    }
    pthread_mutex_unlock(&p->lock);
}

// The first lock of anybody at or behind byte `ino`; `len` 0: to the end.
static int
ask(struct local *l, uint64_t *ino, uint64_t len)
{
    struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)*ino, .l_len = (off_t)len};
    struct local_pins *p = &l->pins;
    int err = 0;

    pthread_mutex_lock(&p->lock);
    if (p->ask_fd < 0)
        p->ask_fd = open_maps(l);
    if (p->ask_fd < 0)
        err = p->ask_fd;
    else if (fcntl(p->ask_fd, F_OFD_GETLK, &fl) != 0)
        err = -errno;
    pthread_mutex_unlock(&p->lock);
    if (err || fl.l_type == F_UNLCK)
        return err;
    if ((uint64_t)fl.l_start > *ino)
        *ino = (uint64_t)fl.l_start;
    return 1;
}

int
local_pinned(struct local *l, uint64_t ino)
{
    return ask(l, &ino, 1);
}

// The kernel reports any lock that stands in the way; so ask again for what is before it, until there is
// none.
int
local_pinned_next(struct local *l, uint64_t *ino)
{
    uint64_t low = *ino, at = low, high;
    int r = ask(l, &at, 0);

    if (r <= 0)
        return r;
    high = at;
    while (low < high) {
        at = low;
        r = ask(l, &at, high - low);
        if (r < 0)
            return r;
        if (r == 0)
            break;
        high = at;
    }
    *ino = high;
    return 1;
}
