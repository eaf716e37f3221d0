// SPDX-License-Identifier: Apache-2.0
// What the programs share that do the same things on a kernel's file system and in a volume, and print what
// came of each: the two traces must be equal.
#ifndef ZIO_TESTS_MAP_TRACE_H
#define ZIO_TESTS_MAP_TRACE_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096

// Prints the call, its result, and why it failed. (Flushed: a child may die of the next line.)
#define T(call)                                                                                              \
    ({                                                                                                       \
        errno = 0;                                                                                           \
        long t_ = (long)(call);                                                                              \
        int e_ = errno;                                                                                      \
        printf("  %s = %ld%s%s\n", #call, t_, t_ == -1 ? " " : "", t_ == -1 ? strerrorname_np(e_) : "");     \
        fflush(stdout);                                                                                      \
        errno = e_;                                                                                          \
        t_;                                                                                                  \
    })
// The same of a call whose result is an address: only whether it worked.
#define TP(call)                                                                                             \
    ({                                                                                                       \
        errno = 0;                                                                                           \
        char *t_ = (char *)(call);                                                                           \
        int e_ = errno;                                                                                      \
        printf("  %s %s\n", #call, t_ == MAP_FAILED ? strerrorname_np(e_) : "worked");                       \
        fflush(stdout);                                                                                      \
        t_;                                                                                                  \
    })
#define SAY(...) (printf("  " __VA_ARGS__), printf("\n"), fflush(stdout))

// A byte of memory, or "bus", "segv". (By a handler of SIGBUS and SIGSEGV that the program has.)
const char *look(const volatile char *p);
const char *store(volatile char *p, char c);
// What the kernel makes of it: 1, or EFAULT.
const char *kernel_look(const char *p);

// A file of `size` bytes in which each byte tells its place.
int make_file(const char *name, size_t size, int flags);
char byte_at(size_t offset);
// Up to 64 bytes of the file, as text with \NN; by a descriptor of its own.
void show(const char *name, off_t offset, size_t len);
void show_mem(const char *p, size_t len);

struct trace_case {
    const char *name;
    void (*run)(void);
};
// Each case in a process and an empty directory of its own below `dir`; its end is printed, too. Only those
// whose names are given, or all.
int trace_main(int argc, char **argv, const struct trace_case *cases);

#endif
