// SPDX-License-Identifier: Apache-2.0
// Loads, attaches, pins and reads the sockmap programs (sockmap.bpf.c). A set is the programs with their
// maps; it lives as long as somebody holds it: this process, or pins under the BPF file system.
// Single-threaded; nothing prints.
#ifndef ZIO_BPF_SOCKMAP_H
#define ZIO_BPF_SOCKMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/bpf.h>

#include "bpf/sockmap_abi.h"

#define ZSM_BPFFS "/sys/fs/bpf" // where a BPF file system usually is
#define ZSM_PINS "zio-sockmap"  // our directory in it
#define ZSM_WHY 512             // enough for any message

struct zsm;

struct zsm_options {
    uint32_t limit; // bytes that may wait in one receiver's queue; 0: the default (512 KiB)
};

// Each returns 0, or -errno with a sentence in why[ZSM_WHY]. What is returned in *out is the caller's:
// zsm_close().

// Loads a new set into the kernel. Attached to nothing yet. -EPERM: no privilege. -EOPNOTSUPP: this kernel
// lacks something.
int zsm_load(struct zsm **out, const struct zsm_options *o, char *why);
// Opens the set pinned below `bpffs`. -ENOENT: there is none.
int zsm_open(struct zsm **out, const char *bpffs, char *why);
// Pins the set there. -EEXIST: there is one.
int zsm_pin(struct zsm *z, const char *bpffs, char *why);
// Removes the pins, links included. The set goes when nobody holds it.
int zsm_unpin(const char *bpffs, char *why);
void zsm_close(struct zsm *z);

// Attaches the programs to the control group at `path` (version 2), beside those of others. The link lasts
// until zsm_close(), or, with `bpffs`, until its pin NAME is removed (zsm_detach).
int zsm_attach(struct zsm *z, const char *path, const char *bpffs, const char *name, char *why);
int zsm_detach(const char *bpffs, const char *name);
// Calls f with each attachment's name that is pinned. Stops when f returns non-zero, and returns that.
int zsm_attachments(const char *bpffs, int (*f)(void *arg, const char *name, uint64_t cgroup), void *arg);

// Is that directory a BPF file system?
bool zsm_is_bpffs(const char *path);
// Locks the pins of `bpffs` against other zio processes: a descriptor to close, or -errno.
int zsm_lock(const char *bpffs);

int zsm_pause(struct zsm *z, bool on);
int zsm_counters(struct zsm *z, uint64_t out[ZSM_NCOUNTERS]);
// Calls f with each joined end. Stops when f returns non-zero, and returns that.
int zsm_each(struct zsm *z, int (*f)(void *arg, const struct zsm_key *k, const struct zsm_conn *c),
             void *arg);
// How many sockets are in the set now.
unsigned zsm_sockets(struct zsm *z);
// Looks at an end's socket. -ENOENT: it is not joined, or gone.
int zsm_look(struct zsm *z, const struct zsm_key *k, struct zsm_view *out);
// Takes an end out of the set. Only when nothing waits in its queue.
int zsm_remove(struct zsm *z, const struct zsm_key *k);

#endif
