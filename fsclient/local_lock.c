// SPDX-License-Identifier: Apache-2.0
// The lock of each inode, among the threads of this process and all processes of this machine, and the table
// of the inodes in use. Between processes it is an open-file-description lock (fcntl(2), F_OFD_SETLKW) on
// byte `ino` of DIR/lock: gone when its holder is killed. Rank: linode.lock, then the file lock; table_lock
// and map_lock inside.
//
// Who wants everything (a snapshot) would starve among many writers; so it takes the gate, byte 0,
// exclusively, raises the gate word in the mapped file, and writers who see the word raised pass through the
// gate first. Who was killed with the word raised has lost the gate; the next writer to pass lowers it.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fsclient/local.h"

#define GATE_BYTES 4096 // of DIR/lock that are mapped
#define GATE 0          // no inode has this number

static int
file_lock(int fd, short type, uint64_t start, uint64_t len)
{
    struct flock fl = {.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)start, .l_len = (off_t)len};

    if (fd < 0) // read-only: nobody to keep out
        return 0;
    while (fcntl(fd, type == F_UNLCK ? F_OFD_SETLK : F_OFD_SETLKW, &fl) != 0)
        if (errno != EINTR)
            return -errno;
    return 0;
}

static int
open_lock_file(struct local *l)
{
    char path[4096 + 8];
    int fd, n = snprintf(path, sizeof path, "%s/lock", l->dir);

    if (n < 0 || (size_t)n >= sizeof path)
        return -ENAMETOOLONG;
    fd = open(path, O_RDWR | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int
local_lock_open(struct local *l)
{
    void *p;
    int err = 0;

    if (l->fs->opt.flags & FSC_RDONLY)
        return 0;
    l->lock_fd = open_lock_file(l);
    if (l->lock_fd < 0)
        return l->lock_fd;
    p = mmap(NULL, GATE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, l->lock_fd, 0);
    if (p == MAP_FAILED) {
        err = -errno;
        close(l->lock_fd);
        l->lock_fd = -1;
        return err;
    }
    l->gate = p;
    return 0;
}

void
local_lock_close(struct local *l)
{
    for (size_t i = 0; i < LOCAL_TABLE; i++)
        while (l->table[i]) {
            struct linode *in = l->table[i];

            l->table[i] = in->next;
            free(in);
        }
    if (l->gate)
        munmap((void *)l->gate, GATE_BYTES);
    if (l->lock_fd >= 0)
        close(l->lock_fd);
    l->gate = NULL;
    l->lock_fd = -1;
}

static void
linode_init(struct linode *in)
{
    pthread_mutex_init(&in->lock, NULL);
    pthread_mutex_init(&in->map_lock, NULL);
    pthread_cond_init(&in->free, NULL);
    in->readers = in->waiting = 0;
    in->writer = in->map_valid = false;
    for (size_t i = 0; i < LOCAL_HOT; i++) {
        atomic_init(&in->hot[i].seq, 0);
        atomic_init(&in->hot[i].version, 1);
    }
}

// The threads that held something are the parent's; so is the open file description that the file locks
// belong to.
int
local_lock_fork(struct local *l)
{
    int fd = l->lock_fd >= 0 ? open_lock_file(l) : -1;

    if (l->lock_fd >= 0) {
        if (fd < 0)
            return fd;
        close(l->lock_fd);
        l->lock_fd = fd;
    }
    pthread_mutex_init(&l->table_lock, NULL);
    pthread_mutex_init(&l->garbage_lock, NULL);
    atomic_store(&l->ids, 0); // they are the parent's
    local_pin_fork(l);
    for (size_t i = 0; i < LOCAL_TABLE; i++)
        for (struct linode *in = l->table[i]; in; in = in->next)
            linode_init(in);
    return 0;
}

struct linode *
linode_get(struct local *l, uint64_t ino)
{
    struct linode **bucket = &l->table[ino % LOCAL_TABLE], *in;
    bool fresh;

    table_lock(l);
    for (in = *bucket; in && in->ino != ino; in = in->next)
        ;
    fresh = in == NULL;
    if (!in) {
        in = calloc(1, sizeof *in);
        if (in) {
            in->ino = ino;
            linode_init(in);
            in->next = *bucket;
            *bucket = in;
        }
    }
    if (in && in->refs++ == 0 && !fresh)
        l->idle--;
    table_unlock(l);
    return in;
}

static void
linode_free(struct linode *in)
{
    pthread_mutex_destroy(&in->lock);
    pthread_mutex_destroy(&in->map_lock);
    pthread_cond_destroy(&in->free);
    free(in);
}

// Frees what nobody uses in one bucket after another, until half of the idle ones are gone. With table_lock.
static void
trim_idle(struct local *l)
{
    for (size_t i = 0; i < LOCAL_TABLE && l->idle > LOCAL_IDLE / 2; i++) {
        struct linode **p = &l->table[l->hand++ % LOCAL_TABLE], *in;

        while ((in = *p) != NULL)
            if (in->refs == 0) {
                *p = in->next;
                linode_free(in);
                l->idle--;
            } else {
                p = &in->next;
            }
    }
}

// An inode that nobody uses any more stays for a while with what is known of its chunks: most files that are
// closed are soon opened again, and asking for the chunks anew costs more than the rest of the open.
void
linode_put(struct local *l, struct linode *in)
{
    table_lock(l);
    if (--in->refs == 0 && ++l->idle > LOCAL_IDLE)
        trim_idle(l);
    table_unlock(l);
}

// Waits while somebody wants everything.
static int
pass_gate(struct local *l)
{
    uint32_t raised = l->gate ? atomic_load_explicit(l->gate, memory_order_relaxed) : 0;
    int err;

    if (__builtin_expect(raised == 0, 1))
        return 0;
    err = file_lock(l->lock_fd, F_RDLCK, GATE, 1);
    if (err)
        return err;
    atomic_compare_exchange_strong(l->gate, &raised, 0);
    // Another thread of ours may pass at the same time, under the same lock: giving it back early is
    // harmless, since it only makes the gate a little less strict.
    return file_lock(l->lock_fd, F_UNLCK, GATE, 1);
}

int
linode_lock_shared(struct local *l, struct linode *in)
{
    int err = pass_gate(l);

    if (err)
        return err;
    pthread_mutex_lock(&in->lock);
    while (in->writer || in->waiting > 0)
        pthread_cond_wait(&in->free, &in->lock);
    if (in->readers == 0)
        err = file_lock(l->lock_fd, F_RDLCK, in->ino, 1);
    if (!err)
        in->readers++;
    pthread_mutex_unlock(&in->lock);
    return err;
}

void
linode_unlock_shared(struct local *l, struct linode *in)
{
    pthread_mutex_lock(&in->lock);
    if (--in->readers == 0) {
        file_lock(l->lock_fd, F_UNLCK, in->ino, 1);
        pthread_cond_broadcast(&in->free);
    }
    pthread_mutex_unlock(&in->lock);
}

// Who wants everything waits behind the gate for the locks that are held: their holders must not wait before
// it.
int
linode_lock_second(struct local *l, struct linode *in)
{
    int err;

    pthread_mutex_lock(&in->lock);
    in->waiting++;
    while (in->writer || in->readers > 0)
        pthread_cond_wait(&in->free, &in->lock);
    in->waiting--;
    err = file_lock(l->lock_fd, F_WRLCK, in->ino, 1);
    if (!err)
        in->writer = true;
    else
        pthread_cond_broadcast(&in->free);
    pthread_mutex_unlock(&in->lock);
    return err;
}

int
linode_lock(struct local *l, struct linode *in)
{
    int err = pass_gate(l);

    return err ? err : linode_lock_second(l, in);
}

void
linode_unlock(struct local *l, struct linode *in)
{
    pthread_mutex_lock(&in->lock);
    in->writer = false;
    file_lock(l->lock_fd, F_UNLCK, in->ino, 1);
    pthread_cond_broadcast(&in->free);
    pthread_mutex_unlock(&in->lock);
}

// By an open file description of its own, so that the locks of this process's threads count, too.
int
local_lock_all(struct local *l)
{
    int fd = open_lock_file(l), err;

    if (fd < 0)
        return fd;
    err = file_lock(fd, F_WRLCK, GATE, 1);
    if (!err) {
        atomic_fetch_add(l->gate, 1);
        err = file_lock(fd, F_WRLCK, GATE + 1, 0);
        atomic_store(l->gate, 0);
    }
    if (err) {
        close(fd);
        return err;
    }
    return fd;
}
