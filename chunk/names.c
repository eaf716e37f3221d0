// SPDX-License-Identifier: Apache-2.0
// A new chunk's name goes to the disk. By POSIX that takes an fsync of its directory, and of the one above if
// that is new. The journals of ext4 and XFS take a file's new name along with the fsync of the file itself:
// its inode was made, linked or renamed in the same transaction as the name. There, the flush of the data was
// all, which spares two of five flushes.
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "chunk/impl.h"

#define XFS_MAGIC 0x58465342

// ext2, ext3 and ext4 have one magic number; the driver of ext2 has no journal.
static bool
is_journaled_ext(dev_t dev)
{
    char line[4096], at[32], *kind;
    FILE *f = fopen("/proc/self/mountinfo", "re");
    bool found = false;

    if (!f)
        return false;
    // "36 35 98:0 /root /mount options - ext4 ...", proc(5)
    snprintf(at, sizeof at, " %u:%u ", major(dev), minor(dev));
    while (!found && fgets(line, sizeof line, f))
        found = strstr(line, at) && (kind = strstr(line, " - ext")) && (kind[6] == '3' || kind[6] == '4');
    fclose(f);
    return found;
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
                                            (fs.f_type == EXT4_SUPER_MAGIC && is_journaled_ext(s->root.dev)));
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
