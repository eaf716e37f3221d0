// SPDX-License-Identifier: Apache-2.0
// Files and their bytes.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/uio.h>

#include "fsclient/fuse/mount.h"

#define READ_MAX (1u << 20)  // what the kernel asks for at most
#define COPY_MAX (16u << 20) // bytes that one request copies, so that it ends some time
#define CLONE_MAX (1u << 30) // bytes that one request clones (the answer has 32 bits)

// ---- opening ----

// What of open(2)'s flags the volume is to know. O_APPEND goes with each write, since the kernel writes back
// pages through any handle, at their own place.
static int
volume_flags(const struct mount *m, int flags)
{
    int out = flags & (O_ACCMODE | O_TRUNC | O_NOATIME | O_SYNC | O_DSYNC | O_EXCL);

    // The writeback cache reads what it writes a part of.
    if (m->opt.writeback && (out & O_ACCMODE) == O_WRONLY)
        out = (out & ~O_ACCMODE) | O_RDWR;
    return out;
}

// Who only writes gets past the page cache: the kernel then neither copies the bytes into pages nor asks for
// an extended attribute (security.capability) before the first write, and drops the pages that it has of
// them. They can't be mapped through this descriptor, so nothing is lost but that a reader finds them cached.
static bool
past_pages(const struct mount *m, int flags)
{
    return (flags & O_ACCMODE) == O_WRONLY && !m->opt.writeback;
}

// Has another changed it? Then its pages go at this open, and its attributes at once. One that has lost its
// last name to another is hardly the one that was meant: with -ESTALE the kernel looks the name up again, and
// who comes back with the same inode meant it (/proc/self/fd).
static int
check_news(struct mount *m, uint64_t ino, struct fuse_file_info *fi)
{
    struct fsc_attr attr;

    fi->keep_cache = !fsc_watch_news(m->fs, ino);
    if (!fi->keep_cache)
        wire_inval_inode(m, ino, false); // attributes only: this never waits for a page
    if (fsc_ino_getattr(m->fs, ino, &attr) != 0)
        return -ESTALE;
    return attr.nlink == 0 && known_doubt(m->known, ino) ? -ESTALE : 0;
}

void
do_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct mount *m = mount_of(req);
    struct fsc_file *file;
    int err = check_news(m, ino, fi);

    if (!err && fi->flags & O_TRUNC) {
        m->dirty = true;
        kill_suid(req, ino);
    }
    if (!err)
        err = fsc_ino_open(m->fs, FSC_ENGINE, ino, volume_flags(m, fi->flags), &file);
    if (err) {
        reply_err(req, err);
        return;
    }
    fi->fh = (uintptr_t)file;
    fi->direct_io = past_pages(m, fi->flags);
    if (fuse_reply_open(req, fi) != 0)
        fsc_close(file);
}

void
do_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
    struct mount *m = mount_of(req);
    struct fsc_cred cred = cred_of(req);
    struct fuse_entry_param e;
    struct fsc_file *file;
    struct fsc_attr attr;
    int err;

    m->dirty = true;
    err = fsc_ino_create(m->fs, &cred, parent, name, volume_flags(m, fi->flags), mode, &attr, &file);
    if (!err) {
        err = known_add(m->known, attr.ino, false);
        if (err)
            fsc_close(file);
    }
    if (err) {
        reply_err(req, err);
        return;
    }
    fill_entry(m, &attr, &e);
    fi->fh = (uintptr_t)file;
    fi->keep_cache = !fsc_watch_news(m->fs, attr.ino);
    fi->direct_io = past_pages(m, fi->flags);
    if (fuse_reply_create(req, &e, fi) != 0)
        close_tmpfile(m, attr.ino, fi->fh);
}

int
open_tmpfile(struct mount *m, const struct fsc_cred *cred, uint64_t dir, int flags, mode_t mode,
             struct fuse_entry_param *e, uint64_t *fh)
{
    struct fsc_file *file;
    struct fsc_attr attr;
    int err;

    m->dirty = true;
    err = fsc_ino_tmpfile(m->fs, cred, dir, volume_flags(m, flags), mode, &attr, &file);
    if (err)
        return err;
    err = known_add(m->known, attr.ino, false);
    if (err) {
        fsc_close(file);
        return err;
    }
    fill_entry(m, &attr, e);
    *fh = (uintptr_t)file;
    return 0;
}

void
close_tmpfile(struct mount *m, uint64_t ino, uint64_t fh)
{
    fsc_close((struct fsc_file *)(uintptr_t)fh);
    known_forget(m->known, ino, 1);
}

// A process closes a descriptor: its locks on the file go, whichever descriptor they were taken through.
void
do_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct known_table *t = mount_of(req)->known;
    uint64_t owner;
    int err = 0;

    known_closed(t, ino);
    while (!err && known_take_owner(t, ino, owner_of(fi), 0, &owner))
        err = fsc_unlock_owner(FILE_OF(fi), owner);
    reply_err(req, err);
}

// The last descriptor of an open file description is closed. Owners that are left are the description itself
// (F_OFD_SETLK): the kernel does not tell of those, processes have been through do_flush.
void
do_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    uint64_t owner;

    while (known_take_owner(mount_of(req)->known, ino, 0, fi->fh, &owner))
        fsc_unlock_owner(FILE_OF(fi), owner);
    reply_err(req, fsc_close(FILE_OF(fi)));
}

// ---- bytes ----

// A buffer for each thread; gone with it.
static pthread_key_t buffer_key;
static pthread_once_t buffer_once = PTHREAD_ONCE_INIT;
static int buffer_err;

static void
buffer_init(void)
{
    buffer_err = -pthread_key_create(&buffer_key, free);
}

// 0, -ENOMEM, or -EAGAIN: the process has used up its keys.
static int
buffer(char **out)
{
    void *p;
    int err;

    pthread_once(&buffer_once, buffer_init);
    if (buffer_err)
        return buffer_err;
    p = pthread_getspecific(buffer_key);
    if (!p) {
        err = posix_memalign(&p, 4096, READ_MAX);
        if (err)
            return -err;
        err = pthread_setspecific(buffer_key, p);
        if (err) {
            free(p);
            return -err;
        }
    }
    *out = p;
    return 0;
}

// As many bytes as there are: the kernel takes a short answer for the end of the file. What cannot be read
// whole is an error, and the kernel asks again for smaller pieces.
static ssize_t
read_all(struct fsc_file *file, char *buf, size_t size, uint64_t off)
{
    size_t done = 0;

    while (done < size) {
        ssize_t n = fsc_pread(file, buf + done, size - done, off + done);

        if (n < 0)
            return n;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

void
do_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
    char *buf;
    ssize_t n = buffer(&buf);

    (void)ino;
    if (size > READ_MAX)
        size = READ_MAX;
    if (n == 0)
        n = read_all(FILE_OF(fi), buf, size, (uint64_t)off);
    if (n < 0)
        reply_err(req, (int)n);
    else
        fuse_reply_buf(req, buf, (size_t)n);
}

void
do_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off, struct fuse_file_info *fi)
{
    struct mount *m = mount_of(req);
    struct iovec iov = {.iov_base = (char *)buf, .iov_len = size};
    bool append = fi->flags & O_APPEND && !fi->writepage && !m->opt.writeback;
    uint64_t end = 0;
    ssize_t n;

    m->dirty = true;
    kill_suid(req, ino);
    n = fsc_pwritev(FILE_OF(fi), &iov, 1, (uint64_t)off, append ? RWF_APPEND : 0, &end);
    if (n < 0) {
        reply_err(req, (int)n);
        return;
    }
    fuse_reply_write(req, (size_t)n);
    // Another has appended before: the kernel has these bytes in its cache, but at the wrong place.
    if (append && end != (uint64_t)off + (uint64_t)n)
        watch_again(m, ino);
}

void
do_fsync(fuse_req_t req, fuse_ino_t ino, int data_only, struct fuse_file_info *fi)
{
    (void)ino;
    reply_err(req, data_only ? fsc_fdatasync(FILE_OF(fi)) : fsc_fsync(FILE_OF(fi)));
}

void
do_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t length, struct fuse_file_info *fi)
{
    mount_of(req)->dirty = true;
    kill_suid(req, ino);
    reply_err(req, fsc_fallocate(FILE_OF(fi), mode, (uint64_t)off, (uint64_t)length));
}

void
do_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence, struct fuse_file_info *fi)
{
    int64_t at;

    (void)ino;
    // The kernel does not write back before it asks: let it take the file for all data, as it may.
    at = mount_of(req)->opt.writeback ? -ENOSYS : fsc_seek(FILE_OF(fi), (uint64_t)off, whence);
    if (at < 0)
        reply_err(req, (int)at);
    else
        fuse_reply_lseek(req, at);
}

// ---- copying inside the volume ----

static ssize_t
copy_bytes(struct fsc_file *from, uint64_t off, struct fsc_file *to, uint64_t off_to, size_t len)
{
    char *buf;
    size_t done = 0;
    int err = buffer(&buf);

    if (err)
        return err;
    if (len > COPY_MAX)
        len = COPY_MAX;
    while (done < len) {
        ssize_t got = fsc_pread(from, buf, len - done < READ_MAX ? len - done : READ_MAX, off + done), n;

        n = got > 0 ? fsc_pwrite(to, buf, (size_t)got, off_to + done) : got;
        if (n < 0)
            return done ? (ssize_t)done : n;
        done += (size_t)n;
        if (n == 0 || n < got)
            break;
    }
    return (ssize_t)done;
}

// How much of it can be taken by reference: whole chunks, or up to the end of the source.
static size_t
cloneable(const struct mount *m, uint64_t size, uint64_t off, uint64_t off_to, size_t len)
{
    if (off % m->chunk_size || off_to % m->chunk_size || off >= size)
        return 0;
    if (len > CLONE_MAX)
        len = CLONE_MAX;
    return len >= size - off ? (size_t)(size - off) : len - len % m->chunk_size;
}

void
do_copy(fuse_req_t req, fuse_ino_t ino, off_t off, struct fuse_file_info *fi, fuse_ino_t ino_to, off_t off_to,
        struct fuse_file_info *fi_to, size_t len, int flags)
{
    struct mount *m = mount_of(req);
    struct fsc_attr attr;
    size_t whole;
    ssize_t n = fsc_ino_getattr(m->fs, ino, &attr);

    (void)flags;
    m->dirty = true;
    if (n < 0) {
        reply_err(req, (int)n);
        return;
    }
    kill_suid(req, ino_to);
    whole = cloneable(m, attr.size, (uint64_t)off, (uint64_t)off_to, len);
    n = -EINVAL;
    if (whole) {
        n = fsc_clone_range(FILE_OF(fi), (uint64_t)off, FILE_OF(fi_to), (uint64_t)off_to, whole);
        if (n == 0)
            n = (ssize_t)whole;
    }
    if (n == -EINVAL) // not by reference
        n = copy_bytes(FILE_OF(fi), (uint64_t)off, FILE_OF(fi_to), (uint64_t)off_to, len);
    if (n < 0)
        reply_err(req, (int)n);
    else
        fuse_reply_write(req, (size_t)n);
}
