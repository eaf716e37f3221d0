// SPDX-License-Identifier: Apache-2.0
// A new chunk's name goes to the disk. By POSIX that takes an fsync of its directory, and of the one above if
// that is new. The journals of ext4 and XFS take a file's new name along with the fsync of the file itself:
// its inode was made, linked or renamed in the same transaction as the name. There, the flush of the data was
// all, which spares two of five flushes. (An ext4 without a journal does that for names that are made, but
// not for those that a rename takes over.)
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "chunk/impl.h"

#define XFS_MAGIC 0x58465342

// ext4's driver tells the process of the journal, "<none>" where there is none. That of ext2, which has the
// same magic number, tells nothing.
static bool
has_journal(dev_t dev)
{
    char at[64], device[PATH_MAX], path[PATH_MAX + 64], *name, task = 0;
    ssize_t n;
    int fd;

    snprintf(at, sizeof at, "/sys/dev/block/%u:%u", major(dev), minor(dev));
    n = readlink(at, device, sizeof device - 1);
    if (n <= 0)
        return false;
    device[n] = '\0';
    name = strrchr(device, '/');
    snprintf(path, sizeof path, "/sys/fs/ext4/%s/journal_task", name ? name + 1 : device);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    n = read(fd, &task, 1);
    close(fd);
    return n == 1 && task >= '0' && task <= '9';
}

static bool
with_file(struct chunk_store *s)
{
    int known = atomic_load_explicit(&s->names, memory_order_relaxed);
    struct statfs fs;
    bool yes;

    if (known != CHUNK_NAMES_ASK)
        return known == CHUNK_NAMES_WITH_FILE;
    yes = fstatfs(s->root.fd, &fs) == 0 && (fs.f_type == XFS_MAGIC || fs.f_type == TMPFS_MAGIC ||
                                            (fs.f_type == EXT4_SUPER_MAGIC && has_journal(s->root.dev)));
    atomic_store_explicit(&s->names, yes ? CHUNK_NAMES_WITH_FILE : CHUNK_NAMES_APART, memory_order_relaxed);
    return yes;
}

// A subdirectory stays for ever, so that its own name is to be flushed once.
static int
flush_apart(struct chunk_store *s, uint64_t id)
{
    unsigned dir = (unsigned)(id / GROUP_CHUNKS % DIRS);
    char name[NAME_SIZE];
    int fd, r;

    store_name(name, NAME_DIR, id);
    fd = r = io_open(s, name, O_RDONLY | O_DIRECTORY);
    if (fd >= 0) {
        struct owned_fd own = io_own(fd);

        r = io_fsync(s, fd);
        io_disown(&own);
    }
    if (r == 0 && !(atomic_load(&s->dirs_synced[dir / 64]) & 1ull << dir % 64) &&
        (r = io_fsync(s, s->root.fd)) == 0)
        atomic_fetch_or(&s->dirs_synced[dir / 64], 1ull << dir % 64);
    return r;
}

int
names_sync(struct chunk_store *s, struct chunk_file *cf)
{
    word_t *flags = &cf->slot[SLOT_FLAGS];
    int r = 0;

    if (!(atomic_load(flags) & SLOT_NAME_NEW))
        return 0;
    if (!with_file(s))
        r = flush_apart(s, atomic_load(&cf->id));
    if (r == 0)
        atomic_fetch_and(flags, ~(uint64_t)SLOT_NAME_NEW);
    // The name may mean another file by now, which is new in its turn.
    if (r == 0 && !file_current(cf))
        atomic_fetch_or(flags, SLOT_NAME_NEW);
    return r;
}
