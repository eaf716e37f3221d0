// SPDX-License-Identifier: Apache-2.0
// Real programs, plain or under libzio.so: started pinned, ended by pid, never left behind.
#ifndef ZIO_BENCH_PROG_H
#define ZIO_BENCH_PROG_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct prog {
    pid_t pid; // 0: not running
    int pidfd;
};

// The path of a program in PATH or the sbin directories, into out (at least 256 bytes). NULL: not installed.
const char *prog_find(const char *name, char *out);

// Starts argv with stdin from `in` and stdout to `out` (NULL: /dev/null), stderr to `err` (NULL: /dev/null),
// working directory `dir` (NULL: ours). 0 or -errno.
struct prog_io {
    const char *dir, *in, *out, *err;
};
int prog_start(struct prog *p, const char *const *argv, int shim, int cpu, const struct prog_io *io);

// Waits for it; kills it after timeout_ms. Returns the wait status, or -errno.
int prog_wait(struct prog *p, int timeout_ms);

// Sends sig (0: none) and waits. Does nothing to what does not run.
int prog_stop(struct prog *p, int sig);

// A TCP port of 127.0.0.1 that nothing listens on, or -errno.
int port_free(void);

// A connection to 127.0.0.1:port as soon as something listens there; gives up when p ends or after 15 s.
// -errno.
int port_connect(int port, struct prog *p);

// Gives the bench a network of its own (loopback only, reno) where it may: a server cannot be told its
// congestion control, and BBR's pacing makes loopback figures random. Does nothing where that is not allowed.
void net_own(void);

#endif
