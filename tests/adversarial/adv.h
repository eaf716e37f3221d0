// SPDX-License-Identifier: Apache-2.0
// What the adversarial cases share. A case is one small function; it runs alone in a fresh process, checks
// itself, and must pass without the library before it says anything about the library.
//
// The checks must not be interposed: fills, comparisons and patterns are loops of our own (built with
// -fno-builtin and without loop idioms); the copies under test go through volatile function pointers.
#ifndef ZIO_TESTS_ADVERSARIAL_ADV_H
#define ZIO_TESTS_ADVERSARIAL_ADV_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096u
#define KIB (size_t)1024
#define MIB ((size_t)1024 * 1024)
#define SKIPPED 77

enum adv_flags {
    ADV_ELIDES = 1, // under ZIO_POLICY=always this case must elide at least one copy, or it proves nothing
    ADV_SLOW = 2,   // gets a longer deadline
};

struct adv_case {
    const char *name;
    int (*run)(void); // 0 passed, 1 failed, SKIPPED
    unsigned flags;   // enum adv_flags
};

// One table a theme; each ends with a null name.
extern const struct adv_case adv_copy_cases[];
extern const struct adv_case adv_dest_cases[];
extern const struct adv_case adv_map_cases[];
extern const struct adv_case adv_limit_cases[];
extern const struct adv_case adv_send_cases[];
extern const struct adv_case adv_recv_cases[];
extern const struct adv_case adv_thread_cases[];
extern const struct adv_case adv_signal_cases[];
extern const struct adv_case adv_fork_cases[];
extern const struct adv_case adv_wait_cases[];
extern const struct adv_case adv_watch_cases[];
extern const struct adv_case adv_fd_cases[];
extern const struct adv_case adv_alloc_cases[];
extern const struct adv_case adv_proc_cases[];
extern const struct adv_case adv_file_cases[];

int adv_fail(const char *file, int line, const char *what);
int adv_skip(const char *reason);

#define EXPECT(cond)                                                                                         \
    do {                                                                                                     \
        if (!(cond))                                                                                         \
            return adv_fail(__FILE__, __LINE__, #cond);                                                      \
    } while (0)
// For a child: reports and leaves with status 1.
#define CHILD_EXPECT(cond)                                                                                   \
    do {                                                                                                     \
        if (!(cond)) {                                                                                       \
            adv_fail(__FILE__, __LINE__, #cond);                                                             \
            _exit(1);                                                                                        \
        }                                                                                                    \
    } while (0)
#define SKIP_IF(cond, reason)                                                                                \
    do {                                                                                                     \
        if (cond)                                                                                            \
            return adv_skip(reason);                                                                         \
    } while (0)

// The functions under test, out of the compiler's sight.
extern void *(*volatile do_memcpy)(void *, const void *, size_t);
extern void *(*volatile do_memmove)(void *, const void *, size_t);
extern void *(*volatile do_mempcpy)(void *, const void *, size_t);

// Byte i of the endless pattern with this seed; no two pages of a pattern are alike.
uint8_t pattern(unsigned seed, size_t i);
void fill(void *p, size_t n, unsigned seed);                    // p[i] = pattern(seed, i)
void fill_from(void *p, size_t n, unsigned seed, size_t first); // p[i] = pattern(seed, first + i)
bool same(const void *p, size_t n, unsigned seed);              // prints the first difference
bool same_from(const void *p, size_t n, unsigned seed, size_t first);
bool all_bytes(const void *p, size_t n, uint8_t value);
void set_bytes(void *p, size_t n, uint8_t value);

void *map_anon(size_t n);                     // fresh private anonymous memory, never NULL
uint8_t *new_filled(size_t n, unsigned seed); // malloc and fill
uint8_t *copied(const void *src, size_t n);   // malloc and memcpy
uint8_t *absent(size_t n, unsigned seed);     // a malloc'd copy of a filled source that was then freed
uint8_t *absent_map(size_t n, unsigned seed); // the same in mappings of its own

int unix_pair(int fd[2], int type);
int tcp_pair(int fd[2]);
bool set_nonblock(int fd, bool on);
// Both move everything or return false; for the side that is not under test. raw_: by inline system calls.
bool send_all(int fd, const void *p, size_t n);
bool recv_all(int fd, void *p, size_t n);
long raw_syscall(long nr, long a, long b, long c, long d, long e, long f);

// Runs fn(arg) in a thread that reads n bytes of pattern seed from fd in small pieces and checks them.
struct drain {
    int fd;
    size_t n;
    unsigned seed;
    bool ok;
};
void *drain_main(void *drain);

int temp_file(void);                                            // an unlinked file that O_DIRECT may work on
bool child_ok(pid_t pid);                                       // waits; true when it left with status 0
bool wait_until(bool (*ready)(void *), void *arg, int seconds); // polls, yielding; false at the deadline
long status_kib(pid_t pid, const char *field); // a "Vm..." field of /proc/PID/status, KiB, or -1
int64_t now_ns(void);

#endif
