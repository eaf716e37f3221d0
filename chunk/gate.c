// SPDX-License-Identifier: Apache-2.0
// Who writes to which chunk now, among all processes of a store. A writer puts the chunk's id into a cell of
// its handle, in memory that all processes share: two atomic operations, no system call. Whoever wants a
// chunk for himself (to clone, cut, sum what others left) makes its owner word his, and waits until its id is
// in no cell.
//
//   writer:     cell := id (A)   owner? -> cell := 0, wait   ... writes ...   cell := 0 (release)
//   exclusive:  owner := key (A)   wait until id is in no cell (acquire) ...   owner := 0 (release)
//
// (A) are full barriers and pair with each other: one of the two sees the other.
//
// An owner word holds the key of a handle: a random number and its slot here. What a killed process left is
// found out by the lock that each handle keeps on its slot's byte, or by the process's number. (Not by a lock
// on the chunk itself: a lock lives on in fork children that never used the store, and then nobody could end
// it.)
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "chunk/impl.h"

#define GATE_MAGIC 0x3145544147495a43ull // "CZIGATE1"
#define GATE_HEAD 4096u
#define GATE_WORDS 32u // of a slot
#define GATE_SIZE (GATE_HEAD + (size_t)GATE_SLOTS * GATE_WORDS * 8)
#define GATE_READY (64u << 10)                      // bytes with disk space from the first day
enum gate_word { GATE_WORD_MAGIC, GATE_WORD_HIGH }; // HIGH: slots from here on were never used
enum cell_word { CELL_WHO, CELL_KEY, CELL_FIRST = GATE_WORDS - GATE_CELLS }; // of a slot
#define KEY_SLOT 0xfffu // the bits of a key that tell the slot
#define EXCL_SECONDS 60

static word_t *
slot_of(struct chunk_store *s, unsigned i)
{
    return s->gate_map + GATE_HEAD / 8 + (size_t)i * GATE_WORDS;
}

// The process, and the pid namespace in which its number means something.
static uint64_t
whoami(void)
{
    struct stat st;

    if (stat("/proc/self/ns/pid", &st) != 0)
        return 0;
    return (uint64_t)(uint32_t)st.st_ino << 32 | (uint32_t)getpid();
}

// A key that no other handle has, nor one of another boot that left it in an owner word.
static void
make_key(struct chunk_store *s, unsigned slot)
{
    uint64_t random;

    // Without waiting, early in a boot; then the clock and the process will do.
    if (getrandom(&random, sizeof random, GRND_NONBLOCK) != (ssize_t)sizeof random) {
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        random = s->boot ^ ((uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec) << 12 ^
                 (uint64_t)getpid() << 40;
    }
    s->key = (random & ~(uint64_t)KEY_SLOT) | slot;
    if (s->key <= KEY_SLOT) // 0 is nobody
        s->key |= (uint64_t)KEY_SLOT + 1;
}

// Take a slot that nobody has: its byte's lock is the sign of life.
static int
claim_slot(struct chunk_store *s)
{
    static const char zeros[GATE_WORDS * 8];
    int error;

    for (unsigned i = 0; i < GATE_SLOTS; i++) {
        int r = io_lock(s->gate.fd, F_WRLCK, i);

        if (r == -EAGAIN)
            continue;
        if (r)
            return r;
        // Written, not stored: this gives the page its disk space, or fails without SIGBUS.
        uint64_t off = (uint64_t)((char *)slot_of(s, i) - (char *)s->gate_map);
        if (io_pwrite_full(s, s->gate.fd, zeros, sizeof zeros, off, &error) != (ssize_t)sizeof zeros)
            return error;
        s->gate_slot = i;
        make_key(s, i);
        atomic_store(slot_of(s, i) + CELL_WHO, whoami());
        atomic_store(slot_of(s, i) + CELL_KEY, s->key);
        for (uint64_t high = atomic_load(s->gate_map + GATE_WORD_HIGH); high <= i;)
            if (atomic_compare_exchange_weak(s->gate_map + GATE_WORD_HIGH, &high, i + 1))
                break;
        return 0;
    }
    return -EUSERS;
}

int
gate_open(struct chunk_store *s)
{
    uint64_t magic = GATE_MAGIC;
    struct stat st;
    int r, error, fd = io_open(s, "gate", O_RDWR | O_CREAT);

    if (fd < 0)
        return fd;
    s->gate = io_own(fd);
    // Nothing in it outlives a boot, and every step may be done by several processes at once.
    if (fstat(fd, &st) != 0 || (uint64_t)st.st_size < GATE_SIZE) {
        if ((r = io_ftruncate(s, fd, GATE_SIZE)) < 0)
            goto out;
        // So that a full disk does not keep those out who want to delete something. A wish.
        (void)io_fallocate(s, fd, FALLOC_FL_KEEP_SIZE, 0, GATE_READY);
    }
    if (io_pwrite_full(s, fd, &magic, sizeof magic, 0, &error) != (ssize_t)sizeof magic) {
        r = error;
        goto out;
    }
    void *map = mmap(NULL, GATE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        r = -errno;
        goto out;
    }
    s->gate_map = map;
    r = claim_slot(s);
out:
    if (r)
        gate_close(s);
    return r;
}

void
gate_close(struct chunk_store *s)
{
    if (s->gate_map)
        munmap((void *)s->gate_map, GATE_SIZE);
    s->gate_map = NULL;
    io_disown(&s->gate);
}

word_t *
gate_enter(struct chunk_store *s, struct chunk_file *cf)
{
    uint64_t id = atomic_load_explicit(&cf->id, memory_order_relaxed);
    word_t *cells = slot_of(s, s->gate_slot) + CELL_FIRST;
    // Threads begin at different cells: their stacks differ.
    unsigned start = (unsigned)((uintptr_t)__builtin_frame_address(0) >> 12) % GATE_CELLS, round = 0;

    for (;;) {
        for (unsigned i = 0; i < GATE_CELLS; i++) {
            word_t *cell = cells + (start + i) % GATE_CELLS;
            uint64_t none = 0;

            if (atomic_load_explicit(cell, memory_order_relaxed) ||
                !atomic_compare_exchange_strong(cell, &none, id))
                continue;
            if (!atomic_load(&cf->slot[SLOT_OWNER]))
                return cell;
            gate_leave(cell);
            return NULL;
        }
        io_nap(&round);
    }
}

void
gate_leave(word_t *cell)
{
    atomic_store_explicit(cell, 0, memory_order_release);
}

int
gate_pass(struct chunk_store *s, struct chunk_file *cf)
{
    int r = excl_enter(s, cf, true);

    if (r == 0)
        excl_leave(s, cf);
    return r;
}

// Whether the process that had slot i is gone. Its cells are emptied then.
static bool
bury(struct chunk_store *s, unsigned i)
{
    uint64_t who = atomic_load(slot_of(s, i) + CELL_WHO), me = whoami();
    bool locked, gone;

    if (i == s->gate_slot)
        return false;
    // By its lock; taken, so that nobody claims the slot meanwhile. Threads of this handle share locks: one
    // at a time.
    pthread_mutex_lock(&s->gate_mutex);
    locked = io_lock(s->gate.fd, F_WRLCK, i) == 0;
    // The lock lives on in a fork child that never used the store; the writer is gone all the same.
    gone = locked || (me && who && who >> 32 == me >> 32 && kill((pid_t)(uint32_t)who, 0) != 0 &&
                      errno == ESRCH && atomic_load(slot_of(s, i) + CELL_WHO) == who);
    if (gone)
        for (unsigned c = CELL_FIRST; c < GATE_WORDS; c++)
            atomic_store(slot_of(s, i) + c, 0);
    if (locked)
        (void)io_lock(s->gate.fd, F_UNLCK, i);
    pthread_mutex_unlock(&s->gate_mutex);
    return gone;
}

static uint64_t
now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

uint64_t
gate_deadline(void)
{
    return now_ms() + EXCL_SECONDS * 1000;
}

static int
give_up(struct chunk_store *s, uint64_t id)
{
    store_event(s, CHUNK_EV_BLOCKED, id, 0, 0,
                "a process that uses the store does not go on (is it stopped?); end it or let it continue");
    return -EBUSY;
}

static bool
owner_gone(struct chunk_store *s, uint64_t key)
{
    unsigned i = (unsigned)(key & KEY_SLOT);

    // The slot has a new owner, or the gate is of another boot.
    return i >= GATE_SLOTS || atomic_load(slot_of(s, i) + CELL_KEY) != key || bury(s, i);
}

int
owner_take(struct chunk_store *s, word_t *word, uint64_t id, bool wait, uint64_t deadline)
{
    for (unsigned round = 0;; io_nap(&round)) {
        uint64_t was = 0;

        if (atomic_compare_exchange_strong(word, &was, s->key))
            return 0;
        if (!wait)
            return -EAGAIN;
        if ((round == 2 || round % 64 == 63) && owner_gone(s, was) &&
            atomic_compare_exchange_strong(word, &was, s->key))
            return 0;
        if (now_ms() > deadline)
            return give_up(s, id);
    }
}

void
owner_drop(struct chunk_store *s, word_t *word)
{
    uint64_t mine = s->key;

    // Not ours any more when the slot was freed meanwhile.
    (void)atomic_compare_exchange_strong(word, &mine, 0);
}

// Wait until nobody writes to chunk id.
static int
drain(struct chunk_store *s, uint64_t id, uint64_t deadline)
{
    uint64_t high = atomic_load(s->gate_map + GATE_WORD_HIGH);

    for (unsigned i = 0; i < high && i < GATE_SLOTS; i++) {
        for (unsigned c = CELL_FIRST; c < GATE_WORDS; c++) {
            word_t *cell = slot_of(s, i) + c;

            for (unsigned round = 0; atomic_load(cell) == id; io_nap(&round)) {
                if (now_ms() > deadline)
                    return give_up(s, id);
                if (round == 2 || round % 64 == 63)
                    (void)bury(s, i);
            }
        }
    }
    return 0;
}

static pthread_mutex_t *
excl_mutex(struct chunk_store *s, uint64_t id)
{
    return &s->excl[id % EXCL_MUTEXES];
}

int
excl_enter(struct chunk_store *s, struct chunk_file *cf, bool wait)
{
    uint64_t id = atomic_load(&cf->id), deadline;
    int r;

    if (s->flags & CHUNK_RDONLY)
        return -EROFS;
    if (!wait) {
        if (pthread_mutex_trylock(excl_mutex(s, id)) != 0)
            return -EAGAIN;
    } else {
        pthread_mutex_lock(excl_mutex(s, id));
    }
    deadline = gate_deadline();
    if ((r = owner_take(s, &cf->slot[SLOT_OWNER], id, wait, deadline)) < 0)
        goto out_mutex;
    if (!file_current(cf)) {
        uint64_t seq = atomic_load(&cf->slot[SLOT_SEQ]);

        // Odd, and nobody has the chunk: killed between two names. Either name is right.
        if (seq & 1 && atomic_load(&cf->slot[SLOT_ID]) == id)
            atomic_store(&cf->slot[SLOT_SEQ], seq + 1);
        r = -ESTALE;
        goto out_owner;
    }
    store_step(s, "exclusive");
    r = drain(s, id, deadline);
    if (r == 0)
        return 0;
out_owner:
    owner_drop(s, &cf->slot[SLOT_OWNER]);
out_mutex:
    pthread_mutex_unlock(excl_mutex(s, id));
    return r;
}

void
excl_leave(struct chunk_store *s, struct chunk_file *cf)
{
    owner_drop(s, &cf->slot[SLOT_OWNER]);
    pthread_mutex_unlock(excl_mutex(s, atomic_load(&cf->id)));
}

int
excl_do(struct chunk_store *s, uint64_t id,
        int (*fn)(struct chunk_store *s, struct chunk_file *cf, void *arg), void *arg)
{
    struct chunk_file *cf;
    int r = -ESTALE;

    for (int i = 0; i < TRIES && r == -ESTALE; i++) {
        if ((r = cache_get(s, id, &cf)) < 0)
            return r;
        if ((r = excl_enter(s, cf, true)) == 0) {
            r = fn(s, cf, arg);
            excl_leave(s, cf);
        }
        r = cache_put(s, cf, r);
    }
    return r;
}
