// SPDX-License-Identifier: Apache-2.0
// The file that all processes of a volume map: the volume's lock, the change counters that caches are checked
// against, the sessions, the table of held inodes, and the log of committed operations that SQL has not got
// yet (log.c). It lasts as long as the machine runs; after a reboot it is made anew, but for the log.
//
// Locking: `lock` is a robust mutex shared by all processes; everything that reads or writes SQL or the log
// holds it. Counters and held inodes are atomics, read without it.
#ifndef ZIO_META_SHARED_H
#define ZIO_META_SHARED_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "meta/meta.h"

#define SHARED_MAGIC 0x3173744d4f497aULL // "zIOMts1"
#define SHARED_VERSION 4
#define SHARED_COUNTERS 65536 // power of two
#define SHARED_SESSIONS 1024
#define SHARED_HOLDS 65536    // power of two
#define SHARED_HOLD_PROBE 64  // slots that are looked at for one inode, as long as those do
#define SHARED_INDEX 131072   // power of two; slots of the log's index
#define SHARED_LOG (4u << 20) // bytes

// A session's counters. Its process alone writes them, without the lock.
struct shared_stats {
#define X(name) _Atomic uint64_t name;
    META_STATS(X)
#undef X
};

// Not an atomic addition, which costs more than what is counted here: threads that meet may lose a count.
static inline void
shared_count(_Atomic uint64_t *v, uint64_t n)
{
    atomic_store_explicit(v, atomic_load_explicit(v, memory_order_relaxed) + n, memory_order_relaxed);
}

struct shared_session {
    _Atomic uint32_t pid; // 0: free
    uint32_t generation;  // makes the session's number one of its own
    uint64_t started;     // of the process, in clock ticks since boot
    uint64_t pidns;       // inode of its pid namespace
    uint64_t chunk_first; // the range of ids reserved for it
    uint64_t chunk_end;
    struct shared_stats stats __attribute__((aligned(64))); // of its own cache lines
};

struct shared_log {
    uint64_t batch;               // number of the log's present content; SQL remembers the last one applied
    _Atomic uint32_t used;        // bytes committed
    uint32_t rows;                // records in there
    uint32_t kinds;               // bit mask of the kinds of rows in there
    uint32_t keys;                // slots of the index in use
    uint32_t index[SHARED_INDEX]; // offset + 1 of the latest record of a key
    uint8_t data[SHARED_LOG] __attribute__((aligned(64)));
};

enum shared_state {
    SHARED_SOUND,
    SHARED_BROKEN, // a repair after a dead holder is not done
    SHARED_FRESH,  // made, or made anew for this boot: the log may be torn, and SQLite's index is of another
                   // life
};

struct shared {
    uint64_t magic;
    uint32_t version;
    uint32_t bytes;
    uint8_t boot[40]; // boot_id of the kernel that it was made under
    pthread_mutex_t lock;
    _Atomic uint64_t epoch; // part of every version: raised when everything may have changed
    uint64_t next_ino;      // the first inode number that nobody has reserved in here; 0: ask SQL
    uint64_t ino_end;       // SQL's reservation ends here
    uint64_t next_chunk, chunk_end;
    uint32_t generation; // of the newest session
    uint32_t broken;     // enum shared_state: what has to be done first by who has the lock
    // Watchers (watch.c): a futex; and who sleeps on it: 0, the one session's slot + 1, or WATCH_MANY.
    _Atomic uint32_t watch_call, watch_asleep;
    _Atomic uint32_t hold_reach; // if greater than SHARED_HOLD_PROBE: how far from its home a hold may lie
    // What is on disk (sync.c); under the lock.
    uint32_t log_synced; // bytes of the log's present content
    uint32_t sql_dirty;  // SQLite's log has transactions that are not known to be
    uint32_t named;      // the file's own name is
    uint32_t sql_failed; // the disk refused them once: the next meta_sync tells
    _Atomic uint32_t counter[SHARED_COUNTERS] __attribute__((aligned(64)));
    _Atomic uint32_t wrote[SHARED_COUNTERS]; // data that was overwritten with no change of rows
    struct shared_session session[SHARED_SESSIONS];
    _Atomic uint64_t hold[SHARED_HOLDS]; // session slot << 48 | inode; 0: free
    struct shared_log log;
};

struct shared_map {
    struct shared *s;
    int fd;
};

// Map the volume's shared file, made or made anew as needed. Then its state is SHARED_FRESH until the first
// who has the lock has looked at the log and thrown away SQLite's index: whoever that is, and before anybody
// uses either.
int shared_open(const char *dir, struct shared_map *map);
void shared_close(struct shared_map *map);
// The last holder of the lock died inside. (What is fresh stays so: that is more to do.)
static inline void
shared_broke(struct shared *s)
{
    if (s->broken == SHARED_SOUND)
        s->broken = SHARED_BROKEN;
}

// The volume's lock. Signals are blocked while it is held (`old` keeps the mask): a handler that does I/O on
// the volume must not meet its own thread's lock. 1: the last holder died with it; the caller must repair,
// then shared_repaired.
int shared_lock(struct shared *s, uint32_t busy_ms, sigset_t *old);
void shared_repaired(struct shared *s);
void shared_unlock(struct shared *s, const sigset_t *old);

// Counters. Even: nothing under way.
static inline uint32_t
shared_bucket(uint64_t a, uint64_t b)
{
    uint64_t h = (a + 0x9e3779b97f4a7c15ULL * (b + 1)) * 0xff51afd7ed558ccdULL;

    h = (h ^ h >> 32) * 0xc4ceb9fe1a85ec53ULL;
    return (uint32_t)(h >> 40) & (SHARED_COUNTERS - 1);
}

static inline uint64_t
shared_version(struct shared *s, uint32_t bucket)
{
    // Pairs with the releases in log.c's commit: who sees the new counter sees the new rows.
    uint64_t v = atomic_load_explicit(&s->counter[bucket], memory_order_acquire);

    return v | atomic_load_explicit(&s->epoch, memory_order_acquire) << 32;
}

// Sessions. All under the lock.
int shared_session_new(struct shared *s, uint32_t *slot);
void shared_session_end(struct shared *s, uint32_t slot);
bool shared_session_dead(struct shared *s, uint32_t slot);
bool shared_session_foreign(const struct shared *s, uint32_t slot); // of another pid namespace
void shared_stats_copy(const struct shared_stats *from, struct meta_stats *to);
static inline uint64_t
shared_session_number(const struct shared *s, uint32_t slot)
{
    return (uint64_t)s->session[slot].generation << 16 | slot;
}

// Held inodes; no lock is needed. `shared_held`: by a session other than `but` (UINT32_MAX: any).
int shared_hold(struct shared *s, uint32_t slot, uint64_t ino);
void shared_unhold(struct shared *s, uint32_t slot, uint64_t ino);
bool shared_held(struct shared *s, uint64_t ino, uint32_t but);

#endif
