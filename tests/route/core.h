// SPDX-License-Identifier: Apache-2.0
// Programs whose trace must be the same on ext4 and on a routed volume (core.sh): descriptors, offsets,
// locks, processes. Each call is printed with its result and errno.
#ifndef TESTS_ROUTE_CORE_H
#define TESTS_ROUTE_CORE_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

extern const char *root;  // the directory to work in, absolute
extern const char *self_; // this program
extern const char *trace_file;

// T(call): "call = result" or "call = -1 ERRNO".
#define T(call) (errno = 0, trace_call(#call, (long)(call)))
long trace_call(const char *text, long result);
void trace(const char *format, ...) __attribute__((format(printf, 1, 2)));
const char *P(const char *name);              // root/name; one of a few buffers
int make(const char *name, const char *text); // a file with these bytes, open for reading and writing, at 0
void show_file(const char *name);
void show_fd(const char *text, int fd); // what is read from here on
// Runs fn(arg) in a child and says how it ended.
void in_child(const char *text, void (*fn)(void *), void *arg);
void await_child(const char *text, pid_t pid);
pid_t begin_child(void (*fn)(void *), void *arg);

#define FAMILIES(X)                                                                                          \
    X(fds)                                                                                                   \
    X(offsets)                                                                                               \
    X(flags)                                                                                                 \
    X(io)                                                                                                    \
    X(space)                                                                                                 \
    X(locks)                                                                                                 \
    X(waits)                                                                                                 \
    X(poll)                                                                                                  \
    X(cwd)                                                                                                   \
    X(links)                                                                                                 \
    X(exec)                                                                                                  \
    X(spawn)                                                                                                 \
    X(signals)                                                                                               \
    X(signals_in_malloc)                                                                                     \
    X(forks_signalled)                                                                                       \
    X(threads)                                                                                               \
    X(cancel)                                                                                                \
    X(fault)                                                                                                 \
    X(pass)                                                                                                  \
    X(fifo)                                                                                                  \
    X(sockets)                                                                                               \
    X(owners)                                                                                                \
    X(who)                                                                                                   \
    X(uses)                                                                                                  \
    X(cancels)                                                                                               \
    X(handles_first)                                                                                         \
    X(limited)                                                                                               \
    X(signals_of_old)
#define X(name) void family_##name(void);
FAMILIES(X)
#undef X
void fifo_child(int fd);
void owners_child(int kept, int idle);
void owners_exec(int inherited);
int exec_child(int argc, char **argv); // what the program does after an exec of itself

#endif
