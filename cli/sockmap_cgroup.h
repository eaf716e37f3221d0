// SPDX-License-Identifier: Apache-2.0
// Control groups (version 2) as zio-sockmap needs them: found, made, entered, waited for and removed.
#ifndef ZIO_CLI_SOCKMAP_CGROUP_H
#define ZIO_CLI_SOCKMAP_CGROUP_H

#include <limits.h>
#include <stdint.h>
#include <sys/types.h>

// Where the version 2 hierarchy is mounted, into out. 0; -ENOENT: nowhere.
int cgroup_mount(char out[PATH_MAX]);
// The directory that the user means by `name`: itself, or below the mount. 0; -ENOENT: neither is a control
// group.
int cgroup_find(const char *name, char out[PATH_MAX]);
// The number by which the kernel knows it; 0: it cannot be told.
uint64_t cgroup_id(const char *path);
// The name, below the mount, of the group with that number, into out; "?" where there is none.
void cgroup_name(uint64_t id, char out[PATH_MAX]);
// Makes a group for process `pid` below the one that it is in. out: the group's directory. 0 or -errno.
int cgroup_make(pid_t pid, char out[PATH_MAX]);
// Moves the process there. 0 or -errno.
int cgroup_enter(const char *path, pid_t pid);
// Waits until no process is left in the group or below.
void cgroup_wait_empty(const char *path);
// Removes it, with the empty ones below. 0 or -errno.
int cgroup_remove(const char *path);

#endif
