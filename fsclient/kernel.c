// SPDX-License-Identifier: Apache-2.0
// The calls that give the kernel's view of a file.
#include <errno.h>
#include <fcntl.h>

#include "fsclient/driver.h"

// May this handle do that? `write`: it must be open for both.
static int
enter(struct fsc_file *file, bool write)
{
    int flags = atomic_load_explicit(&file->flags, memory_order_relaxed), mode = flags & O_ACCMODE;

    if (flags & O_PATH || mode == O_WRONLY || (write && mode != O_RDWR))
        return -EBADF;
    if (!S_ISREG(file->type))
        return -ENODEV;
    return fs_enter(file->fs);
}

int
fsc_chunk_fd(struct fsc_file *file, uint64_t offset, unsigned how, struct fsc_chunk *out)
{
    int err = enter(file, (how & FSC_CHUNK_WRITE) != 0);

    *out = (struct fsc_chunk){.fd = -1};
    if (err)
        return err;
    if (offset > INT64_MAX || how & ~(unsigned)(FSC_CHUNK_WRITE | FSC_CHUNK_KEEP | FSC_CHUNK_STORE) ||
        (how & FSC_CHUNK_WRITE && !(how & FSC_CHUNK_KEEP)) ||
        (how & FSC_CHUNK_STORE && !(how & FSC_CHUNK_WRITE)))
        return -EINVAL;
    return file->fs->drv->chunk_fd ? file->fs->drv->chunk_fd(file, offset, how, out) : -ENODEV;
}

int
fsc_settle(struct fsc_file *file, uint64_t offset, uint64_t length)
{
    int err = enter(file, false);

    if (err)
        return err;
    if (offset > INT64_MAX || length > INT64_MAX - offset)
        return -EINVAL;
    return file->fs->drv->settle ? file->fs->drv->settle(file, offset, length) : -ENODEV;
}

int
fsc_verify(struct fsc_file *file, uint64_t offset, uint64_t length)
{
    int err = enter(file, false);

    if (err)
        return err;
    if (offset > INT64_MAX || length > INT64_MAX - offset)
        return -EINVAL;
    return file->fs->drv->verify ? file->fs->drv->verify(file, offset, length) : -ENODEV;
}
