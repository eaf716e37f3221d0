// SPDX-License-Identifier: Apache-2.0
// Runs a test program as a child with a deadline, its output in a file, and tells how it ended. Shared by the
// oracle and the adversarial driver. One thread; nothing here is preloaded: the library under test goes to
// the child only.
#ifndef ZIO_TESTS_SUPPORT_WATCH_H
#define ZIO_TESTS_SUPPORT_WATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define WATCH_ENV_MAX 24

struct watch_job {
    // Given by the caller.
    char *const *argv; // program and arguments, NULL at the end; owned by the caller
    const char
        *env[WATCH_ENV_MAX]; // NAME=VALUE settings on top of the driver's own environment, NULL at the end
    const char *out;         // file that takes stdout and stderr, truncated first
    int deadline_s;          // seconds until the child is taken for hung and killed
    int keep_fd;             // a descriptor that the child gets as number 3, or -1
    // Filled in by watch_start and watch_any.
    pid_t pid;      // 0 when not running
    int pidfd;      // -1 when not running
    int64_t end_ns; // CLOCK_MONOTONIC time of the deadline
    int status;     // as from waitpid
    bool hung;      // the deadline passed
};

int64_t watch_now_ns(void);

// Starts the child in a process group of its own. 0 or -errno.
int watch_start(struct watch_job *job);

// Waits for any running job of jobs[0..n) to end; one whose deadline passes is described at the end of its
// output file (threads, wait channels, kernel stacks), then killed with its group. Returns its index, or -1
// when none runs.
int watch_any(struct watch_job *jobs, int n);

// Waits until no fault helper of a program started here is left, for at most so many seconds; names those
// that outlive their program, ends them, and returns how many there were. Call it when no job runs.
int watch_leftovers(FILE *to, int seconds);

// A short text for a wait status, in a static buffer: "exit 1", "signal 11 (Segmentation fault)", "hung".
const char *watch_status(const struct watch_job *job);

// Prints at most max bytes from the end of a file, each line after a prefix.
void watch_print_tail(FILE *to, const char *path, const char *prefix, long max);

// Sum of a counter over the lines that ZIO_STATS appended to path; 0 when there are none.
uint64_t watch_counter(const char *path, const char *name);

#endif
