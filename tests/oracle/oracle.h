// SPDX-License-Identifier: Apache-2.0
// The oracle: a seed makes a random program over buffers; the program runs plain and under the library, and
// both runs must leave the same trace. Every buffer also has a model, a shadow that only loops of ours touch,
// so that each process checks itself as well.
//
// Determinism: whatever goes into the trace or decides what happens next comes from the context's generator
// and from results that the kernel guarantees; never from addresses, process numbers, or how far a
// non-blocking call got.
#ifndef ZIO_TESTS_ORACLE_H
#define ZIO_TESTS_ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#define PAGE 4096u
#define BUF_MAX ((size_t)1 << 20) // no buffer is longer
#define SHADOW_SIZE (BUF_MAX + 2 * PAGE)
#define NBUF 10     // buffers of a context
#define NSHARED 2   // read-only buffers that all threads copy from
#define NTHREADS 3  // at most, beside the main thread
#define NSTREAMS 32 // traces: main, threads, then the children of each
#define STREAM_SIZE (64 * 1024)
#define SCRATCH_SIZE (4 * BUF_MAX)
#define FILE_MAX (2 * BUF_MAX)

// Random numbers (splitmix64).
struct rng {
    uint64_t state;
};
uint64_t rng_next(struct rng *r);
size_t rnd(struct rng *r, size_t n); // in [0, n)
static inline bool
one_in(struct rng *r, size_t n)
{
    return rnd(r, n) == 0;
}

// The traces of one run, in memory that the driver shares, so that they survive any crash.
struct traces {
    uint32_t len[NSTREAMS];
    uint32_t finished; // 1 once the program came to its end
    char text[NSTREAMS][STREAM_SIZE];
};

enum buf_kind { B_NONE, B_MALLOC, B_ALIGNED, B_CALLOC, B_MMAP, B_SHARED, B_BSS, B_STACK, B_BRK, B_KINDS };
extern const char *const buf_kind_names[B_KINDS];

struct buf {
    enum buf_kind kind;
    int id;          // slot, for the trace
    uint8_t *p;      // the memory under test
    size_t n;        // its length
    uint8_t *shadow; // what it must hold; SHADOW_SIZE bytes, never interposed
    bool locked;     // others read it now: it must not be written
};

enum uses { READS, WRITES };

struct ctx {
    struct rng rng;
    struct buf bufs[NBUF];
    struct buf *shared; // NSHARED buffers, or NULL; locked while threads run
    struct traces *traces;
    int stream;       // index of its trace
    int children;     // streams handed to children so far
    int depth;        // forks between the first process and this one
    int recent;       // the slot used last
    unsigned opno;    // operations done
    bool async;       // a timer fires all the time
    bool concurrent;  // other threads run
    bool check_each;  // verify everything after each operation
    uint8_t *scratch; // SCRATCH_SIZE bytes of ours
    // A file with its model.
    int file;
    uint8_t *file_shadow;
    size_t file_size;
    // The buffer that only signal handlers of this thread (and we, with signals blocked) touch.
    struct buf sigbuf;
    volatile uint64_t sig_count;
    struct ring *ring; // io_uring of this process, or NULL
    // Static and stack memory lent to it at the start.
    uint8_t *bss, *stack;
    size_t stack_size;
};

// model.c: raw memory, shadows, checks, traces. Nothing here can be interposed.
long raw_syscall(long nr, long a, long b, long c, long d, long e, long f);
void *raw_map(size_t n); // private memory that the library never hears of
void raw_copy(void *dst, const void *src, size_t n);
void raw_move(void *dst, const void *src, size_t n);
void raw_fill(void *p, size_t n, uint64_t seed);
void raw_set(void *p, size_t n, uint8_t value);
size_t raw_diff(const void *a, const void *b, size_t n); // index of the first difference, or n
uint64_t raw_hash(const void *p, size_t n);
void trace(struct ctx *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
void result(struct ctx *c, long value); // traces " -> value" with errno where it is -1
void verify(struct ctx *c, struct buf *b, size_t at, size_t n, const char *why);
void verify_all(struct ctx *c, const char *why);
void wrong(struct ctx *c, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));
#define MUST(c, cond)                                                                                        \
    do {                                                                                                     \
        if (!(cond))                                                                                         \
            wrong(c, "%s:%d: not so: %s (errno %d)", __FILE__, __LINE__, #cond, errno);                      \
    } while (0)

// buf.c: buffers and spans of them.
void buf_create(struct ctx *c, int slot, enum buf_kind kind, size_t n);
void buf_destroy(struct ctx *c, struct buf *b);
void buf_fill(struct ctx *c, struct buf *b); // initial content, in one of many ways
enum buf_kind random_kind(struct ctx *c);
size_t random_size(struct ctx *c);
struct buf *pick(struct ctx *c, enum uses use); // never NULL
struct buf *pick_other(struct ctx *c, enum uses use, const struct buf * not );
void pick_range(struct ctx *c, const struct buf *b, size_t *at, size_t *n);
bool has_pages(const struct buf *b); // its pages are its own: page calls may be made on it
void context_set_up(struct ctx *c);
void context_tear_down(struct ctx *c);

// A list of pieces of buffers, as the kernel's vectors take it.
#define VEC_MAX 6
struct vec {
    int n;
    size_t total;
    struct iovec v[VEC_MAX];
    struct {
        struct buf *b;
        size_t at, n;
    } s[VEC_MAX];
};
void vec_pick(struct ctx *c, struct vec *v, enum uses use, size_t max,
              const struct vec * not );                             // pieces; other buffers than not's
void vec_limit(struct vec *v, size_t total);                        // cuts it down
void vec_skip(struct vec *v, size_t n);                             // drops the first n bytes
void vec_gather(const struct vec *v, uint8_t *out);                 // from the shadows
void vec_scatter(const struct vec *v, const uint8_t *in, size_t n); // the first n bytes into the shadows
void vec_trace(struct ctx *c, const char *name, const struct vec *v);

// One transfer call of a random kind. Socket calls are made only where socket is true.
ssize_t call_out(struct rng *r, int fd, const struct vec *v, bool socket, int flags);
ssize_t call_in(struct rng *r, int fd, const struct vec *v, bool socket, int flags);

// The operations; each does one thing, and traces it.
#define OPERATIONS(X)                                                                                        \
    X(copy, 30)                                                                                              \
    X(copy_checked, 4)                                                                                       \
    X(copy_within, 6)                                                                                        \
    X(copy_chain, 4)                                                                                         \
    X(store, 14)                                                                                             \
    X(load, 10)                                                                                              \
    X(sock_exact, 8)                                                                                         \
    X(sock_loop, 6)                                                                                          \
    X(sock_blocking, 4)                                                                                      \
    X(sock_dgram, 5)                                                                                         \
    X(sock_rights, 2)                                                                                        \
    X(sock_errors, 3)                                                                                        \
    X(file_write, 6)                                                                                         \
    X(file_read, 6)                                                                                          \
    X(file_truncate, 1)                                                                                      \
    X(pipe_loop, 4)                                                                                          \
    X(heap_renew, 6)                                                                                         \
    X(heap_realloc, 6)                                                                                       \
    X(map_protect, 4)                                                                                        \
    X(map_hole, 3)                                                                                           \
    X(map_move, 3)                                                                                           \
    X(map_advise, 6)                                                                                         \
    X(map_lock, 1)                                                                                           \
    X(map_break, 1)                                                                                          \
    X(proc_fork, 3)                                                                                          \
    X(proc_spawn, 1)                                                                                         \
    X(sig_raise, 4)                                                                                          \
    X(sig_copy, 4)                                                                                           \
    X(raw_write, 3)                                                                                          \
    X(raw_read, 3)                                                                                           \
    X(raw_stdio, 3)                                                                                          \
    X(raw_uring, 3)                                                                                          \
    X(raw_process_vm, 3)                                                                                     \
    X(raw_self_mem, 2)

#define X(name, weight) void op_##name(struct ctx *c);
OPERATIONS(X)
#undef X

// program.c: a whole program; the process's exit status.
extern const char *operations_left_out; // ",name,name,"
int program_run(uint64_t seed, unsigned ops, unsigned threads, bool check_each, struct traces *traces);
void run_operations(struct ctx *c, unsigned n);
void signals_set_up(struct ctx *c); // the handlers and this thread's signal buffer
void signals_tear_down(struct ctx *c);
void storm(bool on);                                // SIGALRM all the time, until storm(false)
void faults_set_up(void);                           // before any touch_faults
bool touch_faults(volatile uint8_t *p, bool write); // whether touching raises SIGSEGV at that address
void ring_forget(struct ctx *c);                    // in a child: the ring is the parent's

#endif
