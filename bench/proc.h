// SPDX-License-Identifier: Apache-2.0
// Workers: this binary re-executed, plain or under libzio.so, pinned to the server's CPU and told over a
// control socket what to do. A worker that stops answering is killed and reported; none outlives the bench.
#ifndef ZIO_BENCH_PROC_H
#define ZIO_BENCH_PROC_H

#include <stdbool.h>
#include <sys/types.h>

#include "bench/wire.h"

enum { CALL_TIMEOUT_MS = 30000 };

// What the worker's data descriptor is, and ours at the other end.
enum data_kind { DATA_NONE, DATA_TCP, DATA_UNIX };

struct worker {
    pid_t pid;        // 0: not running
    int pidfd;        // -1: not running
    int ctl;          // our end of the control socket
    int data;         // our end of the data socket, or -1
    int shim;         // 1: under libzio.so
    const char *name; // for messages; NULL: "the plain worker" or "the shim worker"
    int timeout_ms;   // for an answer
    char why[240];    // after a failure: a sentence for people
};

#define WORKER_INIT                                                                                          \
    {                                                                                                        \
        .pidfd = -1, .ctl = -1, .data = -1, .timeout_ms = CALL_TIMEOUT_MS                                    \
    }

// A connected pair of TCP sockets over loopback, with TCP_NODELAY and time-outs on both. 0 or -errno.
int tcp_pair(int fd[2]);

// Starts one. 0 or -errno with w->why set; after a failure nothing is left to stop.
int worker_start(struct worker *w, int shim, enum data_kind data);

// The same for a worker that is another program than this one: `argv`, in the environment `envp`, on any CPU,
// with no data socket, its standard error in the file `said`. `name` is for messages.
int worker_start_program(struct worker *w, const char *name, const char *const *argv, char *const *envp,
                         const char *said);

// Sends a request; waits for the reply (or only one of the two). 0 or -errno with w->why set: -EPIPE when the
// worker died, -ETIMEDOUT, or what the worker itself reported.
int worker_send(struct worker *w, const struct wreq *q);
int worker_reply(struct worker *w, struct wrep *p);
int worker_call(struct worker *w, const struct wreq *q, struct wrep *p);

// Closes its sockets and waits for it (kills it after 5 s). Returns 0 when it ended with exit code 0; else
// -ECHILD with w->why set. Does nothing to a worker that does not run.
int worker_stop(struct worker *w);

// Has it ended?
bool worker_gone(const struct worker *w);

// Says in w->why how a worker that closed its sockets ended, if it ended.
void worker_autopsy(struct worker *w);

// Waits until pid (with pidfd) ends; kills it after timeout_ms. Returns the wait status, or -errno.
int proc_wait(pid_t pid, int pidfd, int timeout_ms);

#endif
