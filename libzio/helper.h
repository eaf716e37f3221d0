// SPDX-License-Identifier: Apache-2.0
// The fault helper: a process of its own that shares the program's memory (clone(CLONE_VM)) and nothing else,
// and puts absent pages back when they are touched. Not a thread, so that a debugger that stops the program's
// threads, a SIGSTOP, a count of threads or a signal meets only the program.
#ifndef ZIO_HELPER_H
#define ZIO_HELPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void helper_init(void);
void helper_leave_if_alone(void);   // in the helper: ends it when the program is dead
int helper_start(void);             // 0 or -errno
void helper_fork_begins(void);      // under the lock, which the forking thread keeps
bool helper_fork_ended(void);       // the same thread; false: the lock was taken from it
bool helper_fork_born(void);        // its copy in the child; false: the lock was taken from it before
int helper_fork_thread(void);       // who forks, and holds the lock; 0: nobody
bool helper_fork_taken(int thread); // the lock, from that thread; false: it does not fork any more
bool helper_unmaps_pending(void);   // have events of general memory still to be read or acted on?
bool helper_events_pending(void);   // or any events?
void helper_stop(void);             // the caller makes sure that nothing is absent
void helper_after_fork(void);       // in the child: the parent's helper is not ours

extern uintptr_t helper_memory; // stack and thread block; 0 before the first start
#define HELPER_STACK ((size_t)64 << 10)
#define HELPER_TLS ((size_t)4 << 10)

// Is this the helper? It has no C library state: no errno, no thread-local data.
static inline bool
helper_is_me(void)
{
    return (uintptr_t)__builtin_thread_pointer() - helper_memory < HELPER_STACK + HELPER_TLS;
}

#endif
