// SPDX-License-Identifier: Apache-2.0
// The embedded driver, local:DIR: the namespace engine (DIR/meta) and the chunk engine (DIR/chunks) joined in
// this process. Many processes use one directory at once. What crosses both engines is kept right by one lock
// for each inode (local_lock.c):
//
//   shared      who writes bytes in place: in chunks that are mapped, not shared with clones, and long enough
//   exclusive   who changes which chunks a file has, or how long they are: growth, holes, truncation, copy on
//   write everything  who makes chunks shared: clone and snapshot of a tree none        who reads: the
//   inode's version (meta_version) tells afterwards whether to read again
//
// Data is written before the change of the metadata that shows it.
#ifndef FSCLIENT_LOCAL_H
#define FSCLIENT_LOCAL_H

#include <pthread.h>

#include "chunk/chunk.h"
#include "common/forkgate.h"
#include "fsclient/driver.h"
#include "meta/meta.h"

#define LOCAL_TABLE 1024 // buckets of the table of inodes in use
#define LOCAL_WINDOW 32  // chunks of a file that are remembered
#define LOCAL_IDLE 2048  // inodes that are kept although nobody uses them; 2 KiB each

// What a read within one chunk must know, as of a version of the inode. Readers take it without a lock: `seq`
// is odd while it is written, and changed afterwards (local_read.c).
struct hot {
    _Atomic uint32_t seq;
    _Atomic uint32_t version; // of the inode; odd: nothing is known
    _Atomic uint64_t index, id, size;
    _Atomic uint32_t length;
};

#define LOCAL_HOT 8 // by index; power of two

// An inode in use in this process, or of late.
struct linode {
    struct linode *next; // in its bucket; table_lock
    uint64_t ino;
    int refs; // table_lock

    pthread_mutex_t lock; // of the fields down to the blank line
    pthread_cond_t free;
    int readers; // threads that hold it shared; the first took the file lock, the last gives it back
    int waiting; // threads that want it exclusively: new readers stand back
    bool writer; // a thread holds it exclusively

    struct hot hot[LOCAL_HOT];
    _Atomic uint32_t quick; // reads that asked nobody for the time since one that did

    pthread_mutex_t map_lock; // of what is known of its chunks
    bool map_valid;
    uint32_t map_version;         // meta_version before it was asked for
    uint64_t map_first, map_last; // the indexes that it tells about
    size_t map_n;
    struct meta_chunk map[LOCAL_WINDOW];
};

// Inodes whose chunks must stay what they are, since somebody has them mapped: local_pin.c.
struct local_pins {
    pthread_mutex_t lock; // of all down here
    struct pin {
        uint64_t ino;
        unsigned count;
    } * v;
    size_t n, cap; // entries with count 0 among them
    size_t live;
    int own_fd;   // DIR/maps: its description has a lock on byte `ino` of each
    int ask_fd;   // another description, to ask for locks
    bool foreign; // own_fd is shared with the parent of this fork child
};

struct local {
    struct fsc *fs;
    struct meta *m;
    struct chunk_store *c;
    uint64_t chunk_size;
    unsigned chunk_shift; // the size is 1 << this
    char *dir;
    int lock_fd;            // DIR/lock: byte `ino` is the lock of that inode
    _Atomic uint32_t *gate; // its first word, shared by all: somebody wants everything (local_lock.c)
    pthread_mutex_t table_lock;
    struct linode *table[LOCAL_TABLE];
    uint32_t idle;                          // inodes in the table that nobody uses
    uint32_t hand;                          // the bucket that is trimmed next
    LIST_HEAD(token_list, fsc_file) tokens; // files with a descriptor for flock; table_lock
    struct local_pins pins;
    _Atomic uint64_t ids;         // chunk numbers of ours that are free: the first << 8 | how many
    pthread_mutex_t garbage_lock; // one thread takes the garbage out
};

// NULL stands for the engine itself.
static inline const struct meta_cred *
local_cred(const struct fsc_cred *cred, struct meta_cred *out)
{
    if (cred == FSC_ENGINE)
        return NULL;
    *out = (struct meta_cred){cred->uid, cred->gid, cred->groups, cred->ngroups, cred->umask, cred->checked};
    return out;
}

bool local_space(struct local *l, struct meta_chunk *c); // local_space.c
void local_attr(const struct meta_attr *in, struct fsc_attr *out);

// local.c: the chunk engine's way to the disk in volumes opened from now on; NULL: the system's. Tests put
// faults here.
extern const struct chunk_io *local_io;

// The table of inodes and the list of tokens: what a fork must find whole.
static inline void
table_lock(struct local *l)
{
    forkgate_enter();
    pthread_mutex_lock(&l->table_lock);
}

static inline void
table_unlock(struct local *l)
{
    pthread_mutex_unlock(&l->table_lock);
    forkgate_leave();
}

// local_lock.c
int local_lock_open(struct local *l);
void local_lock_close(struct local *l);
int local_lock_fork(struct local *l); // in the child: nobody holds anything
struct linode *linode_get(struct local *l, uint64_t ino);
void linode_put(struct local *l, struct linode *in);
int linode_lock_shared(struct local *l, struct linode *in);
void linode_unlock_shared(struct local *l, struct linode *in);
int linode_lock(struct local *l, struct linode *in);
int linode_lock_second(struct local *l, struct linode *in); // by who holds the lock of a lower inode
void linode_unlock(struct local *l, struct linode *in);
int local_lock_all(struct local *l); // a descriptor; close it to unlock

// local_pin.c
void local_pin_init(struct local *l);
void local_pin_close(struct local *l);
void local_pin_fork(struct local *l); // in the child
int local_pin(struct local *l, uint64_t ino);
void local_unpin(struct local *l, uint64_t ino);
// 1: some process has it pinned; 0; -errno. While the inode's lock is held it stays so.
int local_pinned(struct local *l, uint64_t ino);
// The first pinned inode with a number >= *ino: 1 and *ino; 0: none.
int local_pinned_next(struct local *l, uint64_t *ino);

// local_fd.c
int local_chunk_fd(struct fsc_file *file, uint64_t offset, unsigned how, struct fsc_chunk *out);
int local_settle(struct fsc_file *file, uint64_t offset, uint64_t length);
int local_verify(struct fsc_file *file, uint64_t offset, uint64_t length);
// The chunk's data, of which c->length bytes count, is made to end at `span`, zeros in between; c->length
// follows.
int local_fit(struct local *l, struct meta_chunk *c, uint64_t span, bool *changed);
// local_keep.c: changes of inodes that are pinned; the lock is held.
int local_keep_truncate(struct local *l, uint64_t ino, uint64_t size, const struct meta_cred *cred,
                        struct meta_attr *now);
int local_keep_punch(struct local *l, uint64_t ino, uint64_t offset, uint64_t length);
// Everything is locked. The chunks of the tree's pinned inodes, each with a private copy: an array for
// local_keep_swapped, which takes away what was not used.
int local_keep_swaps(struct local *l, uint64_t top, struct meta_swap **v, size_t *n);
void local_keep_swapped(struct local *l, struct meta_swap *v, size_t n, bool done);

// local_map.c
// The chunks with indexes first..last into v[last - first + 1]; holes have id 0. From memory while the
// inode's version is what it was.
int local_map(struct local *l, struct linode *in, uint64_t first, uint64_t last, struct meta_chunk *v);
// These changes were committed by who holds the lock, and `before` was the inode's version: what is known
// stays known.
void local_map_changed(struct local *l, struct linode *in, uint32_t before, const struct meta_chunk *v,
                       size_t n);

// A number for a new chunk.
int local_new_id(struct local *l, uint64_t *id);

// Chunks may have become garbage; takes it out when it is worth it.
void local_garbage_look(struct local *l);
int local_garbage_take(struct local *l);

// local_read.c
ssize_t local_preadv(struct fsc_file *file, const struct iovec *iov, int count, uint64_t offset);
// local_write.c
ssize_t local_pwritev(struct fsc_file *file, const struct iovec *iov, int count, uint64_t offset, bool append,
                      uint64_t *end);
int local_kill_suid(struct local *l, uint64_t ino, const struct meta_attr *attr);
// local_space.c
int local_truncate(struct fsc *fs, const struct fsc_cred *cred, uint64_t ino, uint64_t size,
                   struct fsc_attr *attr);
int local_fallocate(struct fsc_file *file, int mode, uint64_t offset, uint64_t length);
int local_fsync(struct fsc_file *file, bool data_only);
int64_t local_seek(struct fsc_file *file, uint64_t offset, int whence);
int local_clone_range(struct fsc_file *src, uint64_t src_offset, struct fsc_file *dst, uint64_t dst_offset,
                      uint64_t length);
ssize_t local_layout(struct fsc_file *file, uint64_t offset, uint64_t length, struct fsc_extent *v, size_t n);
// local_names.c and the rest: what the driver's table names
#define LOCAL(fs) ((struct local *)(fs)->priv)

#endif
