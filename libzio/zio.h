// SPDX-License-Identifier: Apache-2.0
// What every part of libzio shares: pages, the state of the process, the lock, the real functions behind the
// hooks.
//
// Words (DESIGN section 4): a block is an immutable run of bytes in the pool, with references; an area is a
// range of the program's memory that zIO knows; within a tracked area each page is present (it holds the
// program's bytes), absent with data (its content is a block's), or blank (never written: zero, or undefined
// after malloc).
#ifndef ZIO_ZIO_H
#define ZIO_ZIO_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/counters.h"
#include "common/statpage.h"

#define ZPAGE_SHIFT 12
#define ZPAGE ((size_t)1 << ZPAGE_SHIFT)
#define ZPAGE_MASK (ZPAGE - 1)
#define zpage_down(x) ((uintptr_t)(x) & ~ZPAGE_MASK)
#define zpage_up(x) (((uintptr_t)(x) + ZPAGE_MASK) & ~ZPAGE_MASK)

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define ZIO_EXPORT __attribute__((visibility("default")))
#define min_of(a, b) ((a) < (b) ? (a) : (b))
#define max_of(a, b) ((a) > (b) ? (a) : (b))

// Kernel features; each can be made absent with ZIO_FEATURES=-name.
enum zio_feature {
    ZIO_F_UFFD = 1 << 0, // userfaultfd at all (4.3)
    ZIO_F_KERNELFAULTS =
        1 << 1,            // may resolve faults of the kernel's own accesses (privilege or /dev/userfaultfd)
    ZIO_F_MOVE = 1 << 2,   // UFFDIO_MOVE (6.8)
    ZIO_F_WP = 1 << 3,     // write-protect registration (5.7); MOVE into the pool needs it
    ZIO_F_EVENTS = 1 << 4, // unmap, remap and remove events (4.11)
    ZIO_F_PROCMAPQUERY = 1 << 5, // PROCMAP_QUERY (6.11); /proc/self/maps is read before
    ZIO_F_POPULATE = 1 << 6,     // MADV_POPULATE_WRITE (5.14); tried at the first need
};

struct zio_config {
    size_t threshold; // bytes; the smallest copy that is considered
    bool sockmap;     // sockets may be joined: zio_sockmap_begin()
    bool disabled;
    bool always;           // ZIO_POLICY=always: elide whatever the cost model says
    uint32_t start_ms;     // CPU time that the program has had before anything is elided
    unsigned features_off; // enum zio_feature bits
    int log_level;         // 0 error .. 3 debug
    char log_file[200];    // "" is standard error
    char stats_file[200];  // "" is none
};
extern struct zio_config zio_cfg;

// Process-wide state. `active` gates every hook: false until the engine is ready, and for good once it is
// off.
extern _Atomic int zio_state_now; // enum zio_state
extern unsigned zio_features;     // what this machine has, less what is switched off

extern _Atomic bool zio_paused; // a debugger is attached: nothing becomes absent for now

static inline bool
zio_on(void)
{
    int s = atomic_load_explicit(&zio_state_now, memory_order_relaxed);
    return s == ZIO_STATE_READY || s == ZIO_STATE_ACTIVE;
}

// Counters. The page exists before anything counts (a static one until the shared one is there).
extern struct zio_statpage *zio_page;
// Under the engine's lock, so that no read-modify-write is needed; a reader sees each counter whole.
#define zio_count(id, v)                                                                                     \
    __atomic_store_n(&zio_page->counter[ZIO_C_##id],                                                         \
                     __atomic_load_n(&zio_page->counter[ZIO_C_##id], __ATOMIC_RELAXED) + (uint64_t)(v),      \
                     __ATOMIC_RELAXED)

// The one lock of the engine. All signals that the program could have handlers for are blocked while it is
// held, and nothing that can wait for somebody else is called under it.
struct zio_guard {
    uint64_t oldmask;
    bool masked;
};
void zio_lock(struct zio_guard *g);
void zio_unlock(struct zio_guard *g);
bool zio_lock_owned_by(int tid);
void zio_lock_raw(void);          // by the fault helper: its signals are blocked for good
bool zio_lock_raw_timed(long ns); // false when the time ran out
void zio_unlock_raw(void);
void zio_lock_init(void);
bool zio_waits_for_lock(int tid);   // is that thread of this process waiting in a futex now?
void zio_orphaned(const char *why); // under the lock: nobody prepared the fork of this child
void zio_lock_reinit(void);         // in a fork child
void zio_signals_seen(void);        // the program has, or is about to have, a signal handler
bool zio_has_handlers(void);
void zio_block_signals(uint64_t *old);
void zio_restore_signals(const uint64_t *old);

// stats.c, config.c, log.c, init.c
void zio_config_read(char **env);
void zio_stats_open(void);
void zio_stats_dump(void);
void zio_stats_init(void);
void zio_set_state(enum zio_state s, const char *reason);
void zio_log(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void zio_guard_core(void); // core dumps show what was absent; when the engine starts
void zio_last_rites(int sig, siginfo_t *info,
                    void *context); // a handler: puts all back, then the default action
int zio_start(void);                // a large copy came: the engine may become active; 0 or -errno
void zio_shrink(const char *why);   // zio_stop, and the reserved addresses go back
void zio_helper_leaves(void);       // the same, said by the helper itself
void zio_stop(const char *why);     // elision ends for good: everything absent is put back; the helper leaves

int zio_high_fd(int fd); // moves fd out of the program's way, close-on-exec; returns the new number or -errno
bool zio_fd_is_ours(int fd);
void zio_fd_ours_add(int *fdp); // *fdp is a descriptor of ours (or -1); the variable lives for ever
void zio_fd_yield(int fd);      // the program is about to use this number: ours moves away

#endif
