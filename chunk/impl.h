// SPDX-License-Identifier: Apache-2.0
// What the chunk engine's files share. docs/CHUNK.md explains the whole; here is where things lie and who
// owns them.
//
// Locks, in the order in which they are taken:
//   1. chunk exclusive (gate.c): the chunk's owner word in its sum file, among processes; store->excl[],
//   among
//      threads. Writers who took only a cell stay out while the word is set.
//   2. group lock (sumfile.c): the owner word in the sum file's head; store->group_mutex. Making and removing
//      chunks.
//   3. store->lock: the open chunk files and sum files of this handle.
// A writer holds a cell (gate.c) and takes none of these while it does.
#ifndef ZIO_CHUNK_IMPL_H
#define ZIO_CHUNK_IMPL_H

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "chunk/chunk.h"
#include "chunk/sum.h"

#define CHUNK_FORMAT 1u  // version of everything on disk
#define GROUP_CHUNKS 64u // chunks whose sums share a file
#define SUM_PAGE 4096u   // unit in which a sum file takes disk space
#define SLOT_SIZE 256u   // bytes of a slot: SLOT_WORDS words, then SLOT_ENTRIES entries
#define SLOT_ENTRIES 16u // those of a small chunk; a larger one has the rest further back in the file
#define HEAD_SIZE (SUM_PAGE + GROUP_CHUNKS * SLOT_SIZE) // of a sum file: what always has its disk space
#define DIRS 1024u                                      // subdirectories
#define NAME_SIZE 32u                                   // bytes of a name below the store's directory
#define EXCL_MUTEXES 64u                                // by hash of the chunk's id
#define SCRATCH_SIZE (4 * CHUNK_BLOCK_SIZE)
#define SCRATCHES 16u
#define GATE_SLOTS 4095u // handles on one store at once
#define GATE_CELLS 29u   // writes of one handle at once; more wait
#define TRIES 1000       // times that a call starts over because others change the chunk under it

// A word in shared memory: a sum file or the gate, mapped by all processes.
typedef _Atomic uint64_t word_t;

// A chunk's slot in a sum file: words, then an entry (sum.h) for each block. MAGIC to CHECK never change once
// written, and are known beforehand, so that a wrong bit in them can be mended.
enum slot_word {
    SLOT_MAGIC, // written last; 0: there is no chunk
    SLOT_ID,
    SLOT_LAYOUT,  // CHUNK_FORMAT << 48 | block size
    SLOT_CHECK,   // CRC-32C of the three words before
    SLOT_VERSION, // of the chunk, with a check (version_pack)
    SLOT_SEQ,   // even, not 0; moves by 2 when the chunk's name comes to mean another data file; odd while it
                // does
    SLOT_OWNER, // the key of the handle that has the chunk for itself (gate.c), or 0; writers wait
    SLOT_HOT,   // the boot (store->boot) in which the chunk was written and not known to be wholly on disk
                // since; HOT_PENDING while that is not on disk itself; or 0
    SLOT_FLAGS, // SLOT_SHARED, SLOT_NAME_NEW
    SLOT_BACKED, // entries that there are, SLOT_ENTRIES or all; those behind count as NONE, and have no disk
                 // space yet (SIGBUS on a full disk)
    SLOT_WRITES, // SLOT_WRITES_NONE, _SOME, or the mark of the chunk_sync that began last
    SLOT_WORDS = 16
};
#define SLOT_MAGIC_VALUE 0x314d55534f495a43ull // "CZIOSUM1"
#define SLOT_SHARED 1u                         // the data file may have another name: check before writing
#define SLOT_NAME_NEW 2u                       // the name is not known to be on disk
#define SLOT_FAILED 4u                         // the disk refused data: all of it is to be written again
#define HOT_PENDING 1u
enum { SLOT_WRITES_NONE = 0, SLOT_WRITES_SOME = 1 }; // marks are greater

// The first page of a sum file.
enum group_word {
    GROUP_MAGIC,
    GROUP_NO,
    GROUP_LAYOUT, // CHUNK_FORMAT << 48 | block size
    GROUP_BLOCKS, // of a chunk
    GROUP_CHECK,  // CRC-32C of the words before
    GROUP_OWNER,  // the key of the handle that has the group lock, or 0
    GROUP_DEAD,   // 1: the file is no longer the group's, open it again. Group lock
    GROUP_BOOT,   // in which the head was last seen to have its disk space
    GROUP_HIGH,   // the greatest slot that was ever used. Group lock
    GROUP_WORDS
};
#define GROUP_MAGIC_VALUE 0x3152474f495a4bull

// Flushes of one descriptor. The kernel tells of a failed write-back once per descriptor, whoever asks: so
// all who wait must hear of it.
struct flush {
    _Atomic uint64_t arrivals; // calls begun
    pthread_mutex_t mutex;     // of the rest
    uint64_t covered;          // calls with these numbers and below were flushed
    uint64_t failed;           // likewise, the last that failed
    int error;                 // how
};

// A descriptor with its identity, so that after fork() only what is still ours gets closed.
struct owned_fd {
    int fd; // -1: none
    dev_t dev;
    ino_t ino;
};

// An open sum file. Owned by store->lock.
struct group {
    uint64_t no; // id / GROUP_CHUNKS
    struct owned_fd file;
    unsigned char *map;
    unsigned refs; // chunk files and calls that use it
    bool lost;     // read-only store, no usable sum file: the map is private zeros
    struct flush flush;
    struct group *next;      // in its bucket
    TAILQ_ENTRY(group) idle; // while refs is 0
};
TAILQ_HEAD(group_list, group);
#define GROUP_BUCKETS 256u

// An open chunk. The memory of these is never given back while the store is open, so a look-up needs no lock:
// it pins, then checks.
struct chunk_file {
    _Atomic int pins;    // calls in progress; PINS_CLOSED added while nothing is open here
    _Atomic uint64_t id; // 0: none
    atomic_bool stale;   // to be closed by the last who unpins
    atomic_bool used;    // looked up since the clock's hand passed
    atomic_bool wrote;   // this handle wrote to it
    bool foreign;        // read-only store: written in another boot, not to be verified
    // Set before the first pin, constant while pinned:
    struct owned_fd file;
    struct group *group;
    word_t *slot;
    word_t *more; // entries from SLOT_ENTRIES on
    uint64_t seq; // SLOT_SEQ when the file was opened
    struct flush flush;
    // For each block the complement of the entry under which this handle found it right; 0: none. Those of a
    // small chunk lie here; for a larger one there is memory once the first is known, which stays.
    _Atomic uint64_t few[SLOT_ENTRIES];
    _Atomic uint64_t *_Atomic many; // nblocks - SLOT_ENTRIES
    uint32_t nblocks;               // of a chunk; 0 in one that is not in the cache
    _Atomic uint32_t learnt;        // blocks from here on are 0 in `many`
    struct chunk_file *next;        // in its bucket; store->lock
};
#define PINS_CLOSED (-(1 << 30))

struct chunk_store {
    // Constant:
    char *path; // absolute
    unsigned flags;
    uint64_t chunk_size;
    uint32_t nblocks; // of a chunk
    size_t more_size; // bytes of a chunk's further entries in a sum file
    size_t sums_size; // bytes of a sum file
    mode_t mode;
    uint64_t boot; // of this boot of the machine; never 0
    uint32_t nfiles;
    uint32_t nbuckets; // a power of 2
    struct chunk_io io;
    struct chunk_open_options opt;
    // fork: a page that a child finds zeroed (see store_enter)
    _Atomic uint32_t *alive;
    _Atomic pid_t pid; // where the kernel has no such page
    struct owned_fd root;
    // The gate:
    struct owned_fd gate;
    word_t *gate_map;
    unsigned gate_slot;
    uint64_t key;               // names this handle in owner words, as long as it has the slot
    pthread_mutex_t gate_mutex; // looking for dead owners
    pthread_mutex_t excl[EXCL_MUTEXES];
    pthread_mutex_t group_mutex;
    // Open files, lock: lock
    pthread_mutex_t lock;
    struct chunk_file *files; // nfiles
    uint32_t begun;           // those used so far; the others are zeros
    uint32_t hand;            // of the clock
    struct chunk_file **buckets;
    struct group *groups[GROUP_BUCKETS];
    struct group_list idle; // the longest idle first
    uint32_t nidle, max_idle;
    // No lock:
    struct chunk_file *_Atomic *hints; // the chunk looked up last in each bucket
    void *_Atomic scratch[SCRATCHES];
    _Atomic uint64_t syncs; // chunk_sync calls begun
    atomic_bool no_reflink; // the file system can't
    atomic_int names;       // what was asked for of opt.names, or found out
    // Subdirectories whose own names are on disk.
    _Atomic uint64_t dirs_synced[DIRS / 64];
};

// The thread sanitizer knows no fences, and takes them for a fault of the program.
#ifdef __SANITIZE_THREAD__
#define FENCE(order)                                                                                         \
    do {                                                                                                     \
        atomic_int fence_ = 0;                                                                               \
        atomic_fetch_add(&fence_, 1);                                                                        \
    } while (0)
#else
#define FENCE(order) atomic_thread_fence(order)
#endif

// io.c: as the system calls, but -errno, and gone on after EINTR.
extern const struct chunk_io io_system;
ssize_t io_pread_full(struct chunk_store *s, int fd, void *buf, size_t len,
                      uint64_t off); // short only at the end of the file
ssize_t io_pwrite_full(struct chunk_store *s, int fd, const void *buf, size_t len, uint64_t off,
                       int *error); // bytes written; *error: why short
int io_open(struct chunk_store *s, const char *name, int flags);
int io_fdatasync(struct chunk_store *s, int fd);
int io_fsync(struct chunk_store *s, int fd);
int io_ftruncate(struct chunk_store *s, int fd, uint64_t len);
int io_fallocate(struct chunk_store *s, int fd, int mode, uint64_t off, uint64_t len);
int io_link(struct chunk_store *s, const char *from, const char *to);
int io_rename(struct chunk_store *s, const char *from, const char *to);
int io_unlink(struct chunk_store *s, const char *name);
int io_clone(struct chunk_store *s, int dst, int src);
int io_exists(struct chunk_store *s, const char *name); // 1, 0, or -errno
struct owned_fd io_own(int fd);
struct owned_fd io_own_stat(int fd, struct stat *st); // st_nlink 0: could not be asked
void io_disown(struct owned_fd *fd);                  // close it if it still is what it was
int io_lock(int fd, int type, uint64_t off); // an OFD lock on one byte, at once; -EAGAIN: somebody has it
// fdatasync, or fsync if `flags` (or NULL) has SLOT_NAME_NEW; one for all that wait. failed(s, arg) is called
// before anybody who shares the failure, or comes after it, goes on.
int io_flush(struct chunk_store *s, struct flush *f, int fd, const word_t *flags,
             void (*failed)(struct chunk_store *s, void *arg), void *arg);
// names.c
int names_sync(struct chunk_store *s, struct chunk_file *cf); // the chunk's name; its data was flushed
void io_nap(unsigned *round);                                 // wait a little, longer from time to time

// store.c
int store_enter(struct chunk_store *s); // each public call begins with it: goes on after fork()
int store_enter_write(struct chunk_store *s);
void *store_scratch(
    struct chunk_store *s); // SCRATCH_SIZE bytes on a page boundary, or NULL; give back with store_unscratch
void store_unscratch(struct chunk_store *s, void *p);
void store_event(struct chunk_store *s, enum chunk_event_kind kind, uint64_t id, uint64_t off, uint64_t len,
                 const char *text);
static inline void
store_step(struct chunk_store *s, const char *name)
{
    if (__builtin_expect(s->opt.step != NULL, 0))
        s->opt.step(s->opt.step_arg, name);
}
enum name_kind { NAME_DATA, NAME_SUMS, NAME_TMP, NAME_DIR };
void store_name(char name[NAME_SIZE], enum name_kind kind, uint64_t id);

// sumfile.c
int group_get(struct chunk_store *s, uint64_t no, bool create, struct group **out); // takes store->lock
void group_put(struct chunk_store *s, struct group *g);                             // takes store->lock
void group_close_all(struct chunk_store *s);
bool group_shrink(struct chunk_store *s); // close the idle ones; false: there were none
int group_lock(struct chunk_store *s, struct group *g, uint64_t id); // -ESTALE: dead, get it again
void group_unlock(struct chunk_store *s, struct group *g);
int group_flush(struct chunk_store *s, struct group *g); // to the disk
bool group_used(struct chunk_store *s, uint64_t no);     // by their data files, it has chunks
static inline word_t *
group_word(struct group *g, enum group_word w)
{
    return (word_t *)(void *)g->map + w;
}

// slot.c
void slot_find(struct chunk_store *s, struct group *g, uint64_t id,
               struct chunk_file *cf); // slot, more, group
uint64_t slot_more_offset(const struct chunk_store *s, uint64_t id);
// Under the group lock:
void slot_make(struct chunk_store *s, struct group *g, uint64_t id, uint64_t version, uint64_t flags);
int slot_free(struct chunk_store *s, struct group *g, uint64_t id);
int slot_sweep(struct chunk_store *s, struct group *g); // remove the sum file if there is no chunk
int slot_mend(struct chunk_store *s, struct group *g, uint64_t id); // a damaged one; -EBADMSG: can't be
int slot_check(struct chunk_store *s, struct group *g,
               uint64_t id); // -ENOENT: none; -EBADMSG: damaged; -EPROTONOSUPPORT
int slot_back(struct chunk_store *s, struct chunk_file *cf, uint64_t id, uint32_t nblocks); // chunk exclusive
uint64_t version_pack(uint64_t version);
int version_unpack(uint64_t word, uint64_t *version); // -EBADMSG
static inline word_t *
entry_word(const struct chunk_file *cf, uint32_t block)
{
    return block < SLOT_ENTRIES ? cf->slot + SLOT_WORDS + block : cf->more + (block - SLOT_ENTRIES);
}
uint32_t slot_backed(const struct chunk_store *s, word_t *slot); // entries that there are
static inline uint64_t
entry_load(const struct chunk_store *s, const struct chunk_file *cf, uint32_t block)
{
    if (block >= SLOT_ENTRIES && block >= slot_backed(s, cf->slot))
        return 0;
    return atomic_load_explicit(entry_word(cf, block), memory_order_acquire);
}

// cache.c
int cache_get(struct chunk_store *s, uint64_t id, struct chunk_file **out); // pinned
int cache_put(struct chunk_store *s, struct chunk_file *cf,
              int result); // unpin; result -ESTALE: close it. Returns result
int cache_add(struct chunk_store *s, uint64_t id, int fd,
              struct group *g); // a chunk just made; owns fd and one reference of g
void cache_drop(struct chunk_store *s, uint64_t id);
void cache_close_all(struct chunk_store *s, bool tidy);
int cache_init(struct chunk_store *s);
bool cache_shrink(struct chunk_store *s); // close what nobody uses: descriptors ran out. false: nothing was
// The chunk's name still means the file that cf has open. To be asked before and after using it.
static inline bool
file_current(struct chunk_file *cf)
{
    return atomic_load_explicit(&cf->slot[SLOT_SEQ], memory_order_acquire) == cf->seq &&
           (!(cf->seq & 1) || cf->foreign);
}
int file_size(struct chunk_file *cf, uint64_t *size);

// gate.c
int gate_open(struct chunk_store *s);
void gate_close(struct chunk_store *s);
// Make an owner word ours. `mutex`, held, keeps this handle's other threads away from it. -EAGAIN: !wait and
// taken; -EBUSY: the deadline (gate_deadline) is over.
int owner_take(struct chunk_store *s, word_t *word, uint64_t id, bool wait, uint64_t deadline);
void owner_drop(struct chunk_store *s, word_t *word);
uint64_t gate_deadline(void);
// Begin a write to a chunk: a cell, or NULL when somebody has the chunk for himself (gate_pass waits until he
// is done).
word_t *gate_enter(struct chunk_store *s, struct chunk_file *cf);
void gate_leave(word_t *cell);
int gate_pass(struct chunk_store *s, struct chunk_file *cf);
// Have the chunk for oneself: no writer, no summer with a lock. -ESTALE: cf is no longer current; -EAGAIN:
// !wait and taken.
int excl_enter(struct chunk_store *s, struct chunk_file *cf, bool wait);
void excl_leave(struct chunk_store *s, struct chunk_file *cf);
// Do fn with the chunk for oneself, as often as it takes until cf is current.
int excl_do(struct chunk_store *s, uint64_t id,
            int (*fn)(struct chunk_store *s, struct chunk_file *cf, void *arg), void *arg);

// read.c
// Read one block into scratch and compare it with its sum: bytes read. -EIO: damaged (reported), or the
// disk's; -ESTALE.
ssize_t block_verify(struct chunk_store *s, struct chunk_file *cf, uint32_t block, void *scratch);
enum verdict { BLOCK_RIGHT, BLOCK_UNSUMMED, BLOCK_WRONG, BLOCK_CHANGED };
// What the n bytes that were read of the block after `entry` was loaded are worth. A wrong bit in the entry
// is mended on the way.
enum verdict block_judge(struct chunk_store *s, struct chunk_file *cf, uint32_t block, uint64_t entry,
                         const void *data, size_t n);
// The block's entry says something about its content.
static inline bool
entry_tells(struct chunk_file *cf, uint64_t entry)
{
    return !sum_intact(entry) || sum_state(entry) < SUM_DIRTY || !atomic_load(&cf->slot[SLOT_HOT]);
}
static inline bool
block_known(struct chunk_file *cf, uint32_t block, uint64_t entry)
{
    _Atomic uint64_t *many;

    if (block < SLOT_ENTRIES)
        return atomic_load_explicit(&cf->few[block], memory_order_relaxed) == ~entry;
    many = atomic_load_explicit(&cf->many, memory_order_acquire);
    return many && atomic_load_explicit(&many[block - SLOT_ENTRIES], memory_order_relaxed) == ~entry;
}
void block_learn(struct chunk_file *cf, uint32_t block, uint64_t entry);
// A block of which a part is to stay must be right: what a change keeps gets a new sum. 0, -EIO, -ESTALE.
int block_check(struct chunk_store *s, struct chunk_file *cf, uint32_t block, void *scratch);

// write.c
int write_prepare(struct chunk_store *s, struct chunk_file *cf,
                  uint32_t nblocks); // chunk exclusive: what must be so before a write
int write_heat(struct chunk_store *s, struct chunk_file *cf); // chunk exclusive: SLOT_HOT, on disk
void
write_note(struct chunk_file *cf); // after each change of data or size: the next sync has something to do

// sync.c
int sums_recover(struct chunk_store *s,
                 struct chunk_file *cf); // after a crash of the machine; takes the chunk
void sums_tidy(struct chunk_store *s,
               struct chunk_file *cf); // before closing: sum, note that nothing is outstanding
int sums_forget_writers(struct chunk_store *s,
                        struct chunk_file *cf); // takes the chunk: writers that were killed
// Sum block if it is DIRTY and nobody writes to it. 1: done, 0: not to be done now; -ESTALE; -errno.
int sum_one(struct chunk_store *s, struct chunk_file *cf, uint32_t block, void *scratch);

// clone.c
// Chunk exclusive: if the data file is another chunk's too, make a copy of it, cut off at `keep` bytes, this
// chunk's. 0: it was not (any more); -ESTALE: done, cf is to be opened again. Who cuts must have made the
// entries of what is cut off DIRTY.
int clone_break(struct chunk_store *s, struct chunk_file *cf, uint64_t keep);
int clone_shared(struct chunk_file *cf); // 1, 0, or -errno: asks the file system

// direct.c
int direct_live(struct chunk_file *cf); // 1: somebody may write through a descriptor; 0; -errno
int direct_settle(struct chunk_store *s,
                  struct chunk_file *cf); // takes the chunk: DIRECT blocks become DIRTY if nobody may

// list.c
// Call each for every name in the subdirectories that is a 16-digit number and then `suffix`.
int list_names(struct chunk_store *s, const char *suffix, int (*each)(void *arg, uint64_t number), void *arg);

#endif
