// SPDX-License-Identifier: Apache-2.0
// What the engine's files share: the handle, operations (op.c), the cache (cache.c), permissions (perm.c).
#ifndef ZIO_META_INTERNAL_H
#define ZIO_META_INTERNAL_H

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "meta/db.h"
#include "meta/log.h"
#include "meta/meta.h"
#include "meta/row.h"
#include "meta/shared.h"

#define VOLUME_FORMAT 1              // of what lies in the directory beside the schema
#define CHECKPOINT_BYTES (64u << 20) // of SQLite's log, at which a writer stops to check-point; ...
#define CHECKPOINT_MOST (256u << 20) // ... or as many as the database has, up to this
#define COOKIE_DOT 1
#define COOKIE_DOTDOT 2
#define COOKIE_MIN 3

struct name_hash {
    uint64_t h;  // the cookie: COOKIE_MIN .. 2^63 - 1
    uint64_t h2; // 64 further bits, so that a cache hit needs no comparison
};

// A name as it will be after the operation, for the cache; ino 0: not there.
struct known {
    uint64_t parent;
    struct name_hash h;
    uint64_t ino;
    uint32_t type;
};

// An operation under way: the rows that it changes, in the form of the log. One a handle, under the volume's
// lock.
struct op {
    struct meta *m;
    sigset_t mask; // of signals, to go back to
    bool direct;   // an SQL transaction is open, and the log is applied in it
    bool epoch;    // what it changes is not all in rows: every version changes
    uint8_t *buf;
    uint32_t bytes, cap, rows;
    uint32_t *index; // offset + 1 of the latest row of a key; power of two slots
    uint32_t index_size;
    uint64_t touch[4]; // inodes that change in something that has no row here
    uint32_t ntouch;
    struct known known[4];
    uint32_t nknown;
    uint32_t strange[8];    // counters whose change the cache has not got
    uint32_t nstrange;      // more than there is room for: none of them
    uint32_t garbage;       // chunks that nothing refers to any more, and ...
    uint64_t garbage_bytes; // ... their space
};

struct hold {
    uint64_t ino;
    uint32_t count;
};

#define HOLD_QUICK 8192 // words; power of two
#define HOLD_PROBE 16

struct meta {
    char dir[PATH_MAX];
    struct meta_options opt;
    struct meta_say say;
    unsigned flags;
    struct meta_db *db;
    struct shared_map map;
    struct shared *s;
    _Atomic uint8_t *alive; // a page that a fork child finds zeroed
    uint32_t slot;          // of the session
    uint64_t session;       // its number
    struct meta_info info;
    uint64_t key[2]; // of the hash of names
    struct cache *cache;
    _Atomic uint32_t
        *own; // of each counter, what this handle's changes made of it that its cache has; the lock
    // What this handle's operations gave to the garbage since somebody last took it; written under the
    // volume's lock.
    _Atomic uint32_t garbage;
    _Atomic uint64_t garbage_bytes;
    // under the volume's lock
    struct op op;
    bool busy; // a thread of this process is inside
    // Held inodes: inode << 16 | count, without a lock; and those that found no place there.
    _Atomic uint64_t *quick; // HOLD_QUICK
    _Atomic uint32_t nslow;  // nholds, for who has not the lock
    pthread_mutex_t hold_lock;
    struct hold *holds; // open addressing; power of two
    uint32_t nholds, hold_cap;
    struct watch *watch;            // watch.c; NULL: nobody watches with this handle
    struct shared_stats *stats;     // the session's, or, between two sessions, ...
    struct shared_stats stats_none; // ... these
};

#define STAT(m, what) shared_count(&(m)->stats->what, 1)

// ---- cache.c: nodes and names that this process knows, each with the version that it holds for. Any thread.
struct cache;
struct cache *cache_new(uint32_t entries, uint32_t most); // most 0: by the machine's memory
void cache_free(struct cache *c);
void cache_forget(struct cache *c); // a fork child: locks that another thread held are free
bool cache_node(struct cache *c, uint64_t ino, uint64_t version, struct node *out);
// Under the volume's lock. false: what was known of it may still be there.
bool cache_put_node(struct cache *c, uint64_t version, const struct node *node);
bool cache_drop_node(struct cache *c, uint64_t ino);
bool cache_name(struct cache *c, uint64_t parent, struct name_hash h, uint64_t version, uint64_t *ino,
                uint32_t *type);
bool cache_put_name(struct cache *c, uint64_t parent, struct name_hash h, uint64_t version, uint64_t ino,
                    uint32_t type);
struct name_hash name_hash(const uint64_t key[2], const char *name, size_t len);

// The version for the cache: changes by others, since what this handle changes it changes there as well
// (op.c's remember). Its own are counted while the counter is odd, so that who sees the same number before
// and after has both of one moment.
static inline uint64_t
cache_version(struct meta *m, uint32_t bucket)
{
    uint32_t own = atomic_load_explicit(&m->own[bucket], memory_order_acquire);
    uint64_t v = shared_version(m->s, bucket);

    if (v & 1 || atomic_load_explicit(&m->own[bucket], memory_order_relaxed) != own)
        return 1;
    return (v & ~(uint64_t)UINT32_MAX) | ((uint32_t)v - own);
}

static inline uint64_t
node_version(struct meta *m, uint64_t ino)
{
    return cache_version(m, shared_bucket(ino, 0));
}

static inline uint64_t
name_version(struct meta *m, uint64_t parent, uint64_t h)
{
    return cache_version(m, shared_bucket(parent, h));
}

// ---- watch.c: what others have changed, for caches above
#define WATCH_EPOCH SHARED_COUNTERS // in place of a counter's number

struct watch {
    // How often this handle has changed each counter, counted before it does; the epoch at the end.
    _Atomic uint32_t own[SHARED_COUNTERS + 1];
    // What the others had, the last time that one looked; only the watching thread writes.
    _Atomic uint32_t seen[SHARED_COUNTERS + 1];
};

static inline void
watch_own(struct meta *m, uint32_t bucket)
{
    if (m->watch)
        atomic_fetch_add(&m->watch->own[bucket], 1);
}

// Something was committed: wakes another handle's watcher that sleeps.
void watch_tell(struct meta *m);

// ---- op.c
enum {
    OP_READ = 0,
    OP_WRITE = 1 << 0,
    OP_DIRECT = 1 << 1,   // SQL itself will be used to change things
    OP_INTERNAL = 1 << 2, // also on a read-only handle
};
// 0: the volume's lock is held until op_commit or op_abort.
int op_begin(struct meta *m, unsigned flags, struct op **op);
int op_commit(struct op *op);
int op_abort(struct op *op, int r); // returns r
// `r` < 0: abort with it; else commit.
int op_end(struct op *op, int r);
// The last holder of the lock died inside, or the machine went down: what was not committed is gone, versions
// that were left odd are even again, and nobody's cache holds. With the lock.
int op_repair(struct meta *m);
// What is in the log goes into SQL now, so that SQL can be asked for ranges. The operation's own rows stay
// where they are.
int op_flush(struct op *op);
void op_touch(struct op *op, uint64_t ino);
// The inode's version turns odd now, not at the commit: nobody opens it by what he knows from before.
void op_close_version(struct op *op, uint64_t ino);
// A direct operation with very many rows: what it has goes into its SQL transaction now.
int op_spill(struct op *op);

int64_t op_now(void);

// ---- rows.c
// The row of a key as this operation sees it: 1, 0 (none) or -errno. `len`: may be NULL.
int op_get(struct op *op, enum row_kind kind, uint64_t k1, uint64_t k2, union row_any *out, uint32_t *len);
int op_put(struct op *op, enum row_kind kind, uint64_t k1, uint64_t k2, const void *p, size_t len);
int op_del(struct op *op, enum row_kind kind, uint64_t k1, uint64_t k2);
// The same, through the cache. op_node: 0 or -ESTALE.
int op_node(struct op *op, uint64_t ino, struct node *node);
int op_put_node(struct op *op, const struct node *node);
int op_del_node(struct op *op, const struct node *node);
// 1: *ino and *type; 0: not there.
int op_name(struct op *op, uint64_t parent, const char *name, struct name_hash h, uint64_t *ino,
            uint32_t *type);
int op_put_name(struct op *op, uint64_t parent, const char *name, struct name_hash h, uint64_t ino,
                uint32_t mode);
int op_del_name(struct op *op, uint64_t parent, struct name_hash h);
// ---- counts.c
int op_new_ino(struct op *op, uint64_t n, uint64_t *ino); // n in a row
// Change what is charged to the node's user, quota and the volume; -ENOSPC, -EDQUOT when it grows over a
// limit.
int op_charge(struct op *op, uint32_t uid, uint32_t quota, int64_t space, int64_t inodes);

// ---- sync.c
// SQL has the log's rows, and the log is about to be written over: what meta_sync has promised of it must be
// on disk elsewhere before.
void sync_before_reset(struct meta *m);

// ---- perm.c
bool cred_root(const struct meta_cred *c);
bool cred_in_group(const struct meta_cred *c, gid_t gid);
void perm_drop_suid(const struct meta_cred *c, struct node *n);
// 0, -EACCES; -EAGAIN: an ACL must be read (op NULL).
int perm_check(struct op *op, const struct meta_cred *c, const struct node *n, int mask);
int perm_dir_write(struct op *op, const struct meta_cred *c, const struct node *dir);
int perm_sticky(const struct meta_cred *c, const struct node *dir, const struct node *victim);
// ACLs as blobs of system.posix_acl_*.
int acl_check(const void *blob, size_t len, bool is_dir);
int acl_to_mode(const void *blob, size_t len, uint32_t *mode, bool *minimal);
int acl_from_mode(uint8_t *blob, size_t len, uint32_t mode); // chmod: the blob's entries follow
int acl_inherit(uint8_t *blob, size_t len, uint32_t *mode);  // a new inode's access ACL from a default ACL
int xattr_get(struct op *op, uint64_t ino, const char *name, void *buf,
              size_t size); // length, -ENODATA, -ERANGE
int xattr_put(struct op *op, uint64_t ino, const char *name, const void *value, size_t size);
int xattr_del(struct op *op, uint64_t ino, const char *name);
#define ACL_ACCESS "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default"
#define ACL_MAX 4096

// ---- names.c
int name_check(const char *name, size_t *len);               // 0, -ENOENT, -ENAMETOOLONG, -EINVAL
void attr_out(const struct node *n, struct meta_attr *attr); // NULL is allowed
#define NODE_TMPFILE (1u << 16)                              // in flags: made without a name, may yet get one
#define NODE_PRIVATE 0xffff0000u                             // flags that are not shown
// A directory, for a change of its entries by `c`.
int dir_for_change(struct op *op, const struct meta_cred *c, uint64_t ino, struct node *dir);
int dir_touch(struct op *op, struct node *dir, int entries, int subdirs, int64_t now); // and puts it
// The rights of a name's removal, and the end of an inode whose last name is gone.
int node_delete(struct op *op, struct node *n);
int node_unnamed(struct op *op, struct node *n, uint64_t parent, const char *name, int64_t now);
// How a quota row id is found for what is put into `dir`.
uint32_t quota_of(const struct node *dir);
int quota_move(struct op *op, struct node *n, uint32_t to);
static inline bool
node_is(const struct node *n, uint32_t type)
{
    return (n->a.mode & S_IFMT) == type;
}

// ---- chunks.c
int chunks_drop(struct op *op, struct node *n, uint64_t first, uint64_t last); // node is changed, not put

// ---- open.c
int hold_add(struct meta *m, uint64_t ino);
int hold_drop(struct meta *m, uint64_t ino); // 1: this session holds it no more
bool session_alive(struct op *op, uint64_t number);
int session_reap(struct op *op, bool all);
int orphans_reap(struct op *op);
int holds_renew(struct meta *m);

// ---- tree.c
int tree_fill(struct op *op,
              uint64_t top); // the inodes of a tree into the table `tree`; in a direct operation

// ---- volume.c
int volume_child(struct meta *m);
static inline int
volume_enter(struct meta *m)
{
    return atomic_load_explicit(m->alive, memory_order_relaxed) ? 0 : volume_child(m);
}

#endif
