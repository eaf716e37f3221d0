// SPDX-License-Identifier: Apache-2.0
// Mappings of routed files. The pages are those of the chunks' own files, piece by piece; the table says
// which range of memory shows which file, so that the calls that change mappings can do for it what the
// kernel does for its own files. (route_map_table.c: the table; route_map_place.c: pages; route_map.c: the
// calls; route_bus.c: SIGBUS.)
#ifndef ZIO_ROUTE_MAP_H
#define ZIO_ROUTE_MAP_H

#include "libzio/route.h"
#include "libzio/zio.h"

// A file that is mapped. Lives until the last range of it is gone.
struct rmap_file {
    _Atomic int refs;
    struct fsc_file *file; // a duplicate of the handle it was mapped by
    uint64_t ino;
    struct route_vol *vol;
    bool rdwr;             // the handle is open for reading and writing
    uint64_t room;         // the volume's chunk size
    _Atomic uint64_t size; // of the file, when it was last looked at
};

enum {
    RMAP_SHARED = 1 << 0, // MAP_SHARED
    RMAP_STORE = 1 << 1,  // shared, and announced to the chunk engine as being written
};

// [start, end) shows the file from `offset` on. Page boundaries all.
struct rmap {
    uintptr_t start, end;
    uint64_t offset;
    struct rmap_file *file;
    int prot;
    int keep; // of mmap's flags: MAP_NORESERVE, MAP_LOCKED, MAP_POPULATE, MAP_NONBLOCK, MAP_STACK
    unsigned flags;
};

// ---- the table: any thread; its lock is held with signals blocked and never across another call ----

// May [addr, addr + len) meet a mapping? Two loads and no lock.
extern _Atomic uintptr_t rmap_low, rmap_high;
static inline bool
rmap_meets(const void *addr, size_t len)
{
    uintptr_t a = (uintptr_t)addr;

    return __builtin_expect(a < atomic_load_explicit(&rmap_high, memory_order_relaxed), 0) &&
           a + len > atomic_load_explicit(&rmap_low, memory_order_relaxed);
}
int
rmap_add(const struct rmap *m); // takes over the caller's reference of m->file. -ENOMEM (then it does not)
bool rmap_take(uintptr_t start, uintptr_t end,
               struct rmap *out); // the first piece in there, out of the table
bool rmap_next(uintptr_t start, uintptr_t end,
               struct rmap *out);                 // a copy of it, cut to the range, with a reference
bool rmap_find(uintptr_t addr, struct rmap *out); // the whole range that addr is in, with a reference
void rmap_fork_prepare(void);
void rmap_fork_parent(void);
void rmap_fork_child(void);
void rmap_file_put(struct rmap_file *f);

// ---- pages ----

// Puts the file's pages into [from, to) of m: 0 or -errno (then some may be in place).
int rmap_place(const struct rmap *m, uintptr_t from, uintptr_t to);
// The same for the piece around `addr` that is in one chunk.
int rmap_place_at(const struct rmap *m, uintptr_t addr);

// ---- the calls ----

void *route_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off);
void route_map_forget(uintptr_t start, uintptr_t end);              // munmap, or something is mapped over it
int route_map_protect(uintptr_t start, uintptr_t end, int prot);    // before mprotect: 0 or -errno
void route_map_protected(uintptr_t start, uintptr_t end, int prot); // after it
void *route_mremap(void *old, size_t oldlen, size_t newlen, int flags, void *to, bool *ours);
int route_madvise(uintptr_t start, uintptr_t end, int advice, bool *done); // MADV_REMOVE
void route_map_advised(uintptr_t start, uintptr_t end, int advice);        // after madvise
int route_msync(uintptr_t start, uintptr_t end, int flags);                // after msync(MS_ASYNC) succeeded
// After a change of the file's size in this process: what was behind its end may be there now.
void route_map_changed(struct route_file *f);
void route_map_fd_changed(int fd); // the same; keeps errno
// Before a system call gets memory that may be a mapping: what another process has made the file grow by is
// there.
struct iovec;
void route_map_ready(const struct iovec *iov, int n);
// What was stored so far shows in times and space: before somebody looks by this descriptor; -1: of all
// files, before the mappings go with the process or its program. Both keep errno.
void route_map_settle(int fd);
extern _Atomic unsigned rmap_count; // 0: no need to call them

// Those of syscall(2)'s numbers that map or move bytes: true and *r where it is one.
bool route_map_syscall(long nr, const long *a, long *r);

// ---- SIGBUS ----

bool rmap_fault(uintptr_t addr); // the page is there now
int route_bus_install(void);
extern bool route_bus_on;
struct sigaction;
int route_bus_action(const struct sigaction *act, struct sigaction *old); // sigaction(SIGBUS) of the program

#endif
