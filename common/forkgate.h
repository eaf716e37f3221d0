/* SPDX-License-Identifier: Apache-2.0 */
// A gate between fork(2) and the threads that change what a child inherits: for a library in a stranger's
// process, whose child goes on with the library's handles.
//
// Sections (forkgate_enter, forkgate_leave) are short, may nest, and may wait for other processes, but not
// for a thread that is outside of them. Handlers of pthread_atfork(3) close the gate, wait for the sections
// of other threads (two seconds at the most), and open it again: nobody is inside a section at the fork. No
// lock is held meanwhile, and the gate is not one: the C library's fork goes on to take malloc's lock and its
// own, which may be held by a thread whose signal handler waits at the gate. Who sees the forking thread wait
// for a lock, after 20 ms, opens the gate; that child may then find what is left of another thread's section,
// as after a fork that no handler saw (a raw system call). Locks that were held inside of sections must be
// made anew in the child in any case.
//
// The gate's state is in a page that the kernel gives to children empty (MADV_WIPEONFORK, Linux 4.14), which
// means open.
#ifndef ZIO_COMMON_FORKGATE_H
#define ZIO_COMMON_FORKGATE_H

#include <stdbool.h>

// Before the first of all. Any thread, any number of times. 0 or -errno.
int forkgate_init(void);

void forkgate_enter(void);
void forkgate_leave(void);

#endif
