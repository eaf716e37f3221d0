// SPDX-License-Identifier: Apache-2.0
// DIR/nodes: the kernel's FIFOs and sockets that stand for those of the volume, made by preloaded programs
// (docs/ROUTING.md). A name there begins with the number of its inode; the rest is theirs. Each goes with its
// inode: at once where the last name of it is taken away, else when the volume is maintained or checked.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fsclient/local_ops.h"

#define NODES "nodes"

static int
nodes_open(struct local *l)
{
    char path[4200];

    if ((size_t)snprintf(path, sizeof path, "%s/" NODES, l->dir) >= sizeof path)
        return -ENAMETOOLONG;
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

// Most FIFOs and sockets are never used through the library: no directory, no work.
void
local_node_gone(struct local *l, uint64_t ino, mode_t mode)
{
    char name[80];
    struct stat st;
    int fd = nodes_open(l);

    if (fd < 0)
        return;
    if (S_ISFIFO(mode)) {
        snprintf(name, sizeof name, "%llu", (unsigned long long)ino);
        unlinkat(fd, name, 0);
    } else if (fstatat(fd, "..", &st, 0) == 0) {
        snprintf(name, sizeof name, "%llu.%llx", (unsigned long long)ino, (unsigned long long)st.st_ino);
        unlinkat(fd, name, 0);
        strcat(name, ".name");
        unlinkat(fd, name, 0);
    }
    close(fd);
}

// The inode comes before its node, so that what has no inode is over.
void
local_node_sweep(struct local *l)
{
    int fd = nodes_open(l);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *d;

    if (!dir) {
        if (fd >= 0)
            close(fd);
        return;
    }
    while ((d = readdir(dir)) != NULL) {
        struct meta_attr a;
        char *end;
        uint64_t ino = strtoull(d->d_name, &end, 10);

        if (end > d->d_name && meta_getattr(l->m, ino, &a) == -ESTALE)
            unlinkat(fd, d->d_name, 0);
    }
    closedir(dir);
}
