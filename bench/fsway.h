// SPDX-License-Identifier: Apache-2.0
// The ways of `zio bench fs` to reach files: the file system below, a volume of zIO's by three roads, and
// others' file systems for comparison. Each has a worker that does the same work in a directory of its own.
#ifndef ZIO_BENCH_FSWAY_H
#define ZIO_BENCH_FSWAY_H

#include <stdbool.h>

#include <jansson.h>

#include "bench/proc.h"
#include "bench/prog.h"

// All, in the order of enum fsway_id; and the groups of rows.
#define FSWAY_NAMES "native,lib,preload,mount,passthrough,moosefs,gluster,ceph"
#define FSROW_NAMES "read,seq,open,stat,create,unlink,small,untar,start,million"

enum fsway_id {
    FSW_NATIVE,      // the file system below
    FSW_LIB,         // a program that calls libfsclient
    FSW_PRELOAD,     // the native program under `zio run --fs`
    FSW_MOUNT,       // the native program on `zio mount`
    FSW_PASSTHROUGH, // ... on libfuse's passthrough_ll over the file system below
    FSW_MOOSEFS,     // ... on others' mounts, everything on this machine, one copy of the data
    FSW_GLUSTER,
    FSW_CEPH,
    FSW_COUNT
};

struct fsway {
    enum fsway_id id;
    const char *name;
    bool on;          // it works
    char why[300];    // why not
    char url[400];    // ours: the volume
    char dir[400];    // where the worker works, as it names it
    char state[300];  // of a daemon, or ""; the mount is state/mnt
    char prefix[300]; // FSW_PRELOAD: what is routed
    char log[320];    // what other programs in this way said last
    struct worker w;
};

// Is it one of zIO's own, whose failure is the bench's?
bool fsway_ours(enum fsway_id id);
const char *fsway_name(enum fsway_id id);

// Starts one: volume, mount, worker. `url`: the user's volume, or NULL for a new one below `tmp`. 0; or
// -errno with way->why set: -ENOSYS when it is not in this build or not installed.
int fsway_start(struct fsway *way, enum fsway_id id, const char *tmp, const char *url);
// Ends the worker, removes what it left in the user's volume, unmounts, stops the daemons.
void fsway_stop(struct fsway *way);

// Asks its worker; the error's sentence goes to way->why.
int fsway_call(struct fsway *way, struct wreq *q, struct wrep *p);

// Another program in the same way: `argv` ends with NULL, argv[0] is a path. Not for FSW_LIB. Returns what it
// ended with (0: well), or -errno; what it said on standard error is in way->why.
int fsway_program(struct fsway *way, const char *const *argv);

// For the guard: stops the daemons whose state is below tmp, as far as they run.
void fsway_end_all(const char *tmp);

#endif
