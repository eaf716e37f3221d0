// SPDX-License-Identifier: Apache-2.0
// The records of open files, in a memfd that all processes of one `zio run` map: each fork child and each
// program after exec goes on with them. A process has a slot there, which says what records it has; what a
// process that was killed had is taken back through its slot.
//
//     page 0        header
//     programs      SLOTS inode numbers: what each slot's process runs; together, since writers' opens look
//     records       RECORDS of 256 bytes
//     slots         SLOTS of one page head and a bitmap of RECORDS bits
//     long paths    PATH_MAX for each record; not mapped, used by pread and pwrite
//
// Memory is only taken for what is touched. The locks of records are futexes that hold the owner's thread id.
#include <errno.h>
#include <linux/futex.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "libzio/real.h"
#include "libzio/route_priv.h"
#include "libzio/sys.h"

#define MAGIC 0x5a494f5461626c33u // "ZIOTabl3"
#define RECORDS ROUTE_RECORDS
#define SLOTS 1024u
#define STAMP_MAX (1ull << 43) // a file of ext4 may be that large
#define REC_WAITERS 0x80000000u
#define PENDING 0x80000000u // a slot for a child that is being made: its parent's id, with this

struct header {
    uint64_t magic;
    uint32_t records, slots;
    uint64_t tag; // of this table in stamps; a multiple of RECORDS
    _Atomic uint32_t next_slot;
    _Atomic uint32_t reaping;
    _Atomic uint32_t top_rec;     // no record with a higher number was ever used
    _Atomic uint32_t any_program; // a program of a volume was run, ever
};

struct slot {
    _Atomic uint32_t pid; // 0: free
    uint32_t spare;
    uint64_t started; // of the process (field 22 of /proc/PID/stat), so that a number used again is noticed
    _Atomic uint64_t exe_vol; // of the program that it runs
    uint64_t pad[5];
    _Atomic uint64_t bits[RECORDS / 64];
};

_Static_assert(sizeof(struct route_rec) == 256, "records fill cache lines");

#define AT_PROGRAMS 4096u
#define AT_RECORDS (AT_PROGRAMS + SLOTS * sizeof(uint64_t))
#define AT_SLOTS (AT_RECORDS + RECORDS * sizeof(struct route_rec))
#define AT_PATHS ((AT_SLOTS + SLOTS * sizeof(struct slot) + 4095) & ~4095ul)
#define TABLE_SIZE (AT_PATHS + (uint64_t)RECORDS * PATH_MAX)

static struct header *table;
static struct slot *slots;
static _Atomic uint64_t
    *programs; // by slot: the inode of the program of a volume that it runs; 0: a native one
static struct route_rec *records;
static int table_fd = -1;
static struct slot *mine; // this process's
// Made by route_table_fork_prepare; two threads may fork at once.
static _Thread_local struct slot *child __attribute__((tls_model("initial-exec")));
static _Atomic uint32_t next_rec; // where to look for a free one
static _Atomic int making;

static __thread uint32_t my_tid __attribute__((tls_model("initial-exec")));

// ---- who is alive ----

// The state letter and the start time of a process or a thread; false: there is none.
static bool
process_stat(uint32_t id, char *state, uint64_t *started)
{
    char path[32], buf[512], *p;
    long fd, n;
    int field;

    snprintf(path, sizeof path, "/proc/%u/stat", id);
    fd = zsys4(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0) {
        *state = 'R';
        *started = 0;
        return zsys2(SYS_kill, id, 0) != -ESRCH; // no /proc here
    }
    n = zsys3(SYS_read, fd, buf, sizeof buf - 1);
    zsys1(SYS_close, fd);
    if (n <= 0)
        return false;
    buf[n] = '\0';
    p = strrchr(buf, ')');
    if (!p || p[1] != ' ')
        return false;
    *state = p[2];
    for (field = 2, p++; field < 21 && p; field++)
        p = strchr(p + 1, ' ');
    *started = 0;
    for (p = p ? p + 1 : NULL; p && *p >= '0' && *p <= '9'; p++)
        *started = *started * 10 + (uint64_t)(*p - '0');
    return true;
}

static bool
alive(uint32_t id, uint64_t started)
{
    uint64_t now;
    char state;

    return process_stat(id, &state, &now) && state != 'Z' && state != 'X' &&
           (!started || !now || now == started);
}

static uint64_t
my_start(void)
{
    uint64_t started = 0;
    char state;

    process_stat((uint32_t)zsys0(SYS_getpid), &state, &started);
    return started;
}

// ---- records ----

static void
rec_unref(uint32_t i)
{
    atomic_fetch_sub(&records[i].procs, 1);
}

static void
free_slot(struct slot *s)
{
    for (uint32_t w = 0; w < RECORDS / 64; w++) {
        uint64_t bits =
            atomic_load_explicit(&s->bits[w], memory_order_relaxed) ? atomic_exchange(&s->bits[w], 0) : 0;

        for (; bits; bits &= bits - 1)
            rec_unref(w * 64 + (uint32_t)__builtin_ctzll(bits));
    }
    atomic_store(&programs[s - slots], 0);
    atomic_store(&s->pid, 0);
}

// What dead processes had is free again.
static void
reap(void)
{
    uint32_t me = (uint32_t)zsys0(SYS_getpid), other = 0;

    if (!atomic_compare_exchange_strong(&table->reaping, &other, me)) {
        if (alive(other, 0) || !atomic_compare_exchange_strong(&table->reaping, &other, me))
            return;
    }
    for (struct slot *s = slots; s < slots + SLOTS; s++) {
        uint32_t pid = atomic_load(&s->pid);

        if (pid && s != mine && s != child && !alive(pid & ~PENDING, pid & PENDING ? 0 : s->started))
            free_slot(s);
    }
    atomic_store(&table->reaping, 0);
}

static struct slot *
new_slot(uint32_t pid)
{
    for (int tries = 0; tries < 2; tries++) {
        uint32_t from = atomic_fetch_add(&table->next_slot, 1);

        for (uint32_t i = 0; i < SLOTS; i++) {
            struct slot *s = &slots[(from + i) % SLOTS];
            uint32_t none = 0;

            if (atomic_load_explicit(&s->pid, memory_order_relaxed) == 0 &&
                atomic_compare_exchange_strong(&s->pid, &none, pid))
                return s;
        }
        reap();
    }
    return NULL;
}

static int
map_table(int fd)
{
    void *p = real.mmap(NULL, AT_PATHS, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);

    if (p == MAP_FAILED)
        return -errno;
    table = p;
    programs = (_Atomic uint64_t *)(void *)((char *)p + AT_PROGRAMS);
    records = (struct route_rec *)((char *)p + AT_RECORDS);
    slots = (struct slot *)((char *)p + AT_SLOTS);
    return 0;
}

static int
make_table(void)
{
    int fd = (int)zsys2(SYS_memfd_create, "zio-route", 1 /* MFD_CLOEXEC */), err;

    if (fd < 0)
        return fd;
    fd = zio_high_fd(fd);
    zio_fd_ours_set(fd, true);
    err = (int)zsys2(SYS_ftruncate, fd, TABLE_SIZE);
    if (!err)
        err = map_table(fd);
    if (err) {
        zio_fd_ours_set(fd, false);
        zsys1(SYS_close, fd);
        return err;
    }
    if (zsys3(SYS_getrandom, &table->tag, sizeof table->tag, 0) != (long)sizeof table->tag)
        table->tag = (uint64_t)zsys0(SYS_getpid) << 32;
    table->tag = table->tag % STAMP_MAX & ~(uint64_t)(RECORDS - 1);
    table->records = RECORDS;
    table->slots = SLOTS;
    table->magic = MAGIC;
    mine = new_slot((uint32_t)zsys0(SYS_getpid));
    mine->started = my_start();
    atomic_store_explicit((_Atomic int *)&table_fd, fd, memory_order_release);
    return 0;
}

int
route_table_make(void)
{
    struct route_guard g;
    int none, err = 0;

    if (likely(__atomic_load_n(&table_fd, __ATOMIC_ACQUIRE) >= 0))
        return 0;
    route_enter(&g);
    for (none = 0; !atomic_compare_exchange_strong(&making, &none, 1); none = 0)
        zsys0(SYS_sched_yield);
    if (table_fd < 0)
        err = make_table();
    atomic_store(&making, 0);
    route_leave(&g);
    return err;
}

// False: nothing changed (it was so already, or this process has no slot).
static bool
mark(struct slot *s, uint32_t i, bool on)
{
    uint64_t bit = 1ull << (i % 64), old;

    if (!s)
        return false;
    old = on ? atomic_fetch_or(&s->bits[i / 64], bit) : atomic_fetch_and(&s->bits[i / 64], ~bit);
    return on != !!(old & bit);
}

struct route_rec *
route_rec_new(uint32_t *index)
{
    if (route_table_make() < 0)
        return NULL;
    for (int tries = 0; tries < 2; tries++) {
        uint32_t from = atomic_load_explicit(&next_rec, memory_order_relaxed);

        for (uint32_t n = 0; n < RECORDS; n++) {
            uint32_t i = (from + n) % RECORDS, none = 0;
            struct route_rec *r = &records[i];

            if (atomic_load_explicit(&r->procs, memory_order_relaxed) ||
                !atomic_compare_exchange_strong(&r->procs, &none, 1))
                continue;
            atomic_store_explicit(&next_rec, i + 1, memory_order_relaxed);
            mark(mine, i, true);
            // Nobody else looks at it yet.
            atomic_store_explicit(&r->lock, 0, memory_order_relaxed);
            atomic_store_explicit(&r->offset, 0, memory_order_relaxed);
            atomic_store_explicit(&r->flying, 0, memory_order_relaxed);
            atomic_store_explicit(&r->flocked, false, memory_order_relaxed);
            atomic_store_explicit(&r->owner, 0, memory_order_relaxed);
            for (uint32_t top = atomic_load_explicit(&table->top_rec, memory_order_relaxed); i > top;)
                if (atomic_compare_exchange_weak(&table->top_rec, &top, i))
                    break;
            *index = i;
            return r;
        }
        reap();
    }
    return NULL;
}

struct route_rec *
route_rec_at(uint32_t index)
{
    return table && index < RECORDS && atomic_load(&records[index].procs) ? &records[index] : NULL;
}

void
route_rec_join(uint32_t index)
{
    atomic_fetch_add(&records[index].procs, 1);
    if (!mark(mine, index, true))
        rec_unref(index);
}

void
route_rec_leave(uint32_t index)
{
    if (mark(mine, index, false))
        rec_unref(index);
    if (atomic_load_explicit(&next_rec, memory_order_relaxed) >
        index) // low numbers again: memory that is warm
        atomic_store_explicit(&next_rec, index, memory_order_relaxed);
}

void
route_rec_stamp(int token, uint32_t index)
{
    zsys3(SYS_lseek, token, table->tag | index, SEEK_SET);
}

bool
route_rec_stamped(int token, uint32_t *index)
{
    long flags = zsys3(SYS_fcntl, token, F_GETFL, 0), at;

    if (!table || flags < 0 || (flags & O_ACCMODE) != O_ACCMODE)
        return false;
    at = zsys3(SYS_lseek, token, 0, SEEK_CUR);
    if (at < 0 || ((uint64_t)at & ~(uint64_t)(RECORDS - 1)) != table->tag)
        return false;
    *index = (uint32_t)at & (RECORDS - 1);
    return atomic_load(&records[*index].procs) > 0;
}

void
route_rec_send(uint32_t index)
{
    atomic_fetch_add(&records[index].procs, 1);
    atomic_fetch_add(&records[index].flying, 1);
}

// What is received twice (MSG_PEEK) was sent once.
void
route_rec_received(uint32_t index)
{
    uint32_t n = atomic_load(&records[index].flying);

    while (n > 0)
        if (atomic_compare_exchange_weak(&records[index].flying, &n, n - 1)) {
            rec_unref(index);
            return;
        }
}

bool
route_rec_alone(uint32_t index)
{
    if (atomic_load(&records[index].procs) > 1)
        reap();
    return atomic_load(&records[index].procs) <= 1;
}

// ---- programs that run, and files that are written (ETXTBSY) ----

void
route_table_runs(uint64_t vol, uint64_t ino, uint64_t old[2])
{
    uint64_t was[2] = {0, 0};

    if (mine) {
        was[0] = atomic_load(&mine->exe_vol);
        was[1] = atomic_load(&programs[mine - slots]);
    }
    memcpy(old, was, sizeof was);
    if (!mine || (!ino && !was[1]))
        return;
    atomic_store(&mine->exe_vol, vol);
    atomic_store(&programs[mine - slots], ino);
    if (ino)
        atomic_store(&table->any_program, 1);
}

bool
route_table_running(uint64_t vol, uint64_t ino)
{
    if (!route_table_any_program())
        return false;
    for (uint32_t i = 0; i < SLOTS; i++) {
        struct slot *s = &slots[i];
        uint32_t pid;

        if (likely(atomic_load_explicit(&programs[i], memory_order_relaxed) != ino))
            continue;
        pid = atomic_load(&s->pid);
        if (pid && atomic_load(&s->exe_vol) == vol && alive(pid & ~PENDING, pid & PENDING ? 0 : s->started))
            return true;
    }
    return false;
}

bool
route_table_any_program(void)
{
    return table && atomic_load_explicit(&table->any_program, memory_order_relaxed);
}

static bool
written(uint64_t vol, uint64_t ino)
{
    uint32_t top = table ? atomic_load(&table->top_rec) : 0;

    for (uint32_t i = 0; table && i <= top; i++) {
        struct route_rec *r = &records[i];
        int flags = atomic_load_explicit(&r->flags, memory_order_relaxed);

        if (atomic_load_explicit(&r->procs, memory_order_relaxed) && r->ino == ino && r->vol == vol &&
            !(flags & O_PATH) && (flags & O_ACCMODE) != O_RDONLY)
            return true;
    }
    return false;
}

bool
route_table_written(uint64_t vol, uint64_t ino)
{
    if (!written(vol, ino))
        return false;
    reap(); // by who was killed, perhaps
    return written(vol, ino);
}

// ---- the lock of a record ----

// Signals are blocked, or a handler of this thread would wait for itself.
void
route_rec_lock(struct route_rec *r)
{
    uint32_t now = 0;

    if (unlikely(!my_tid))
        my_tid = (uint32_t)zsys0(SYS_gettid);
    if (likely(atomic_compare_exchange_strong_explicit(&r->lock, &now, my_tid, memory_order_acquire,
                                                       memory_order_relaxed)))
        return;
    for (;;) {
        struct timespec t = {0, 100 * 1000 * 1000};

        now = atomic_load_explicit(&r->lock, memory_order_relaxed);
        if (now == 0) {
            // With the mark, as others may be waiting still.
            if (atomic_compare_exchange_strong_explicit(&r->lock, &now, my_tid | REC_WAITERS,
                                                        memory_order_acquire, memory_order_relaxed))
                return;
            continue;
        }
        if (!(now & REC_WAITERS) && !atomic_compare_exchange_strong(&r->lock, &now, now | REC_WAITERS))
            continue;
        now |= REC_WAITERS;
        if (zsys4(SYS_futex, &r->lock, FUTEX_WAIT, now, &t) == -ETIMEDOUT && !alive(now & ~REC_WAITERS, 0) &&
            atomic_compare_exchange_strong(&r->lock, &now, my_tid | REC_WAITERS))
            return; // its holder was killed; an offset is one word, and so it is whole
    }
}

void
route_rec_unlock(struct route_rec *r)
{
    if (unlikely(atomic_exchange_explicit(&r->lock, 0, memory_order_release) & REC_WAITERS))
        zsys3(SYS_futex, &r->lock, FUTEX_WAKE, 1);
}

// ---- paths ----

void
route_rec_set_path(uint32_t index, const char *path)
{
    struct route_rec *r = &records[index];
    size_t n = strnlen(path, PATH_MAX - 1);

    r->path_len = (uint16_t)n;
    r->long_path = n >= REC_PATH;
    memcpy(r->path, path, r->long_path ? REC_PATH : n);
    if (!r->long_path)
        r->path[n] = '\0';
    if (r->long_path &&
        zsys4(SYS_pwrite64, table_fd, path, n, AT_PATHS + (uint64_t)index * PATH_MAX) != (long)n)
        r->path_len = 0;
}

void
route_rec_path(uint32_t index, char out[PATH_MAX])
{
    struct route_rec *r = &records[index];
    size_t n = r->path_len;

    if (!r->long_path)
        memcpy(out, r->path, n);
    else if (zsys4(SYS_pread64, table_fd, out, n, AT_PATHS + (uint64_t)index * PATH_MAX) != (long)n)
        n = 0;
    out[n] = '\0';
}

// ---- fork and exec ----

int
route_table_fd(void)
{
    return table_fd;
}

uint32_t
route_table_slot(void)
{
    return mine ? (uint32_t)(mine - slots) : SLOTS;
}

int
route_table_adopt(int fd, uint32_t slot)
{
    struct header h;
    int err;

    if (zsys4(SYS_pread64, fd, &h, sizeof h, 0) != (long)sizeof h || h.magic != MAGIC ||
        h.records != RECORDS || h.slots != SLOTS)
        return -EINVAL;
    err = map_table(fd);
    if (err)
        return err;
    table_fd = fd;
    mine = slot < SLOTS && atomic_load(&slots[slot].pid) == (uint32_t)zsys0(SYS_getpid) ? &slots[slot] : NULL;
    if (!mine) {
        mine = new_slot((uint32_t)zsys0(SYS_getpid));
        if (mine)
            mine->started = my_start();
    }
    return 0;
}

bool
route_table_holds(uint32_t index)
{
    return mine && index < RECORDS && atomic_load(&mine->bits[index / 64]) & 1ull << (index % 64);
}

// The child has all that this process has. What it had is taken back with its slot, even if it is never made.
void
route_table_fork_prepare(void)
{
    child = NULL;
    if (table_fd < 0 || !mine)
        return;
    child = new_slot((uint32_t)zsys0(SYS_getpid) | PENDING);
    if (child) {
        atomic_store(&child->exe_vol, atomic_load(&mine->exe_vol));
        atomic_store(&programs[child - slots], atomic_load(&programs[mine - slots]));
    }
    for (uint32_t w = 0; child && w < RECORDS / 64; w++) {
        uint64_t bits = atomic_load_explicit(&mine->bits[w], memory_order_relaxed);

        if (!bits)
            continue;
        atomic_store(&child->bits[w], bits);
        for (; bits; bits &= bits - 1)
            atomic_fetch_add(&records[w * 64 + (uint32_t)__builtin_ctzll(bits)].procs, 1);
    }
}

void
route_table_fork_parent(void)
{
    child = NULL; // its own now
}

void
route_table_fork_child(void)
{
    my_tid = 0;
    atomic_store(&making, 0);
    if (table_fd < 0)
        return;
    mine = child;
    child = NULL;
    if (!mine)
        return;
    mine->started = my_start();
    atomic_store(&mine->pid, (uint32_t)zsys0(SYS_getpid));
}

void
route_table_trim(const uint64_t *kept)
{
    for (uint32_t w = 0; mine && w < RECORDS / 64; w++)
        for (uint64_t bits = atomic_load(&mine->bits[w]) & ~kept[w]; bits; bits &= bits - 1)
            route_rec_leave(w * 64 + (uint32_t)__builtin_ctzll(bits));
}
