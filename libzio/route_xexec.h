// SPDX-License-Identifier: Apache-2.0
// Programs that are stored in a volume. The kernel runs a copy of them in memory (a memfd): the chunk's own
// file is open for writing in whoever has the volume open, and the kernel does not run what somebody could
// change (ETXTBSY).
#ifndef ZIO_ROUTE_XEXEC_H
#define ZIO_ROUTE_XEXEC_H

#include <limits.h>

#include "libzio/route.h"

// What the kernel is to be given.
struct route_program {
    int fd;            // run this descriptor, with AT_EMPTY_PATH; -1: run the path
    int dirfd;         // of path
    const char *path;  // natively
    char *const *argv; // the caller's, or with a script's interpreter before it
    const char *exe;   // the program's path in the volume, for the new image (ZIO_EXE); NULL: native
    uint64_t vol, ino; // of that: route_vol's id, inode
    char *room;        // where all that lies; ours
    size_t room_size, room_used;
};

// Looks at what execveat(dirfd, path, argv, flags) would run, through scripts and their interpreters. 0: *p
// is filled, to be given to route_program_done. -errno: what exec would say. Flags: AT_EMPTY_PATH,
// AT_SYMLINK_NOFOLLOW.
int route_program(int dirfd, const char *path, char *const argv[], int flags, struct route_program *p);
// A native program failed with ENOENT though it is there: is it a script whose interpreter is in a volume? 1:
// *p is another program now; 0: no.
int route_program_script(struct route_program *p);
void route_program_done(struct route_program *p);
// A copy of the file in memory: a descriptor, close-on-exec, or -errno. Within route_enter.
int route_copy_memfd(struct fsc_file *file, const char *path);

#endif
