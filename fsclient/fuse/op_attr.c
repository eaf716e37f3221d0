// SPDX-License-Identifier: Apache-2.0
// Attributes, extended ones among them, and the volume's.
#include <errno.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "fsclient/fuse/mount.h"

static void
reply_attr(fuse_req_t req, int err, const struct fsc_attr *attr)
{
    const struct mount *m = mount_of(req);
    struct stat st;

    if (err) {
        reply_err(req, err);
        return;
    }
    fsc_attr_stat(m->fs, attr, &st);
    fuse_reply_attr(req, &st, m->opt.timeout);
}

void
do_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct fsc_attr attr;

    (void)fi;
    reply_attr(req, fsc_ino_getattr(mount_of(req)->fs, ino, &attr), &attr);
}

// Is the program that asks in this group, or root? The request has one of its groups; the others are in
// /proc.
static bool
in_group(fuse_req_t req, gid_t gid)
{
    gid_t groups[256];
    int n;

    if (fuse_req_ctx(req)->uid == 0 || fuse_req_ctx(req)->gid == gid)
        return true;
    n = fuse_req_getgroups(req, 256, groups);
    for (int i = 0; i < n && i < 256; i++)
        if (groups[i] == gid)
            return true;
    return false;
}

// Set-user-ID goes, and set-group-ID where the group may execute, or where it is none of the program's groups
// (setattr_should_drop_sgid in the kernel).
void
kill_suid(fuse_req_t req, fuse_ino_t ino)
{
    struct fsc *fs = mount_of(req)->fs;
    struct fsc_attr attr;
    mode_t mode;

    if (!wire_extra.kill || fsc_ino_getattr(fs, ino, &attr) != 0 || !(attr.mode & (S_ISUID | S_ISGID)))
        return;
    mode = attr.mode & ~(mode_t)S_ISUID;
    if (mode & S_ISGID && (mode & S_IXGRP || !in_group(req, attr.gid)))
        mode &= ~(mode_t)S_ISGID;
    if (mode == attr.mode)
        return;
    attr.mode = mode;
    fsc_ino_setattr(fs, FSC_ENGINE, ino, FSC_SET_MODE, &attr, &attr);
}

static int
set_size(struct mount *m, uint64_t ino, off_t size, struct fuse_file_info *fi, struct fsc_attr *attr)
{
    int err;

    if (!fi) // by path: the kernel has asked whether that may be
        return fsc_ino_truncate(m->fs, FSC_ENGINE, ino, (uint64_t)size, attr);
    err = fsc_ftruncate(FILE_OF(fi), (uint64_t)size);
    return err ? err : fsc_ino_getattr(m->fs, ino, attr);
}

static int64_t
ns(const struct timespec *ts)
{
    return ts->tv_sec * INT64_C(1000000000) + ts->tv_nsec;
}

// "Now" is sent with the time of the kernel's clock, too. With the writeback cache the time of modification
// is the kernel's to tell, by that clock: the time of access has to agree with it.
static unsigned
one_now(const struct mount *m, unsigned want)
{
    if (m->opt.writeback)
        return want & ~(unsigned)(FSC_SET_ATIME_NOW | FSC_SET_MTIME_NOW);
    if (want & FSC_SET_ATIME_NOW)
        want &= ~(unsigned)FSC_SET_ATIME;
    if (want & FSC_SET_MTIME_NOW)
        want &= ~(unsigned)FSC_SET_MTIME;
    return want;
}

void
do_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int set, struct fuse_file_info *fi)
{
    static const unsigned bits[][2] = {
        {FUSE_SET_ATTR_MODE, FSC_SET_MODE},
        {FUSE_SET_ATTR_UID, FSC_SET_UID},
        {FUSE_SET_ATTR_GID, FSC_SET_GID},
        {FUSE_SET_ATTR_ATIME, FSC_SET_ATIME},
        {FUSE_SET_ATTR_MTIME, FSC_SET_MTIME},
        {FUSE_SET_ATTR_ATIME_NOW, FSC_SET_ATIME_NOW},
        {FUSE_SET_ATTR_MTIME_NOW, FSC_SET_MTIME_NOW},
    };
    struct mount *m = mount_of(req);
    struct fsc_attr attr = {.mode = st->st_mode & 07777,
                            .uid = st->st_uid,
                            .gid = st->st_gid,
                            .atime = ns(&st->st_atim),
                            .mtime = ns(&st->st_mtim)};
    struct fsc_attr now;
    unsigned want = 0;
    int err = 0;

    for (size_t i = 0; i < sizeof bits / sizeof bits[0]; i++)
        if (set & (int)bits[i][0])
            want |= bits[i][1];
    want = one_now(m, want);
    m->dirty = true;
    if (set & FUSE_SET_ATTR_SIZE) {
        kill_suid(req, ino);
        err = set_size(m, ino, st->st_size, fi, &now);
    }
    if (!err && (want || !(set & FUSE_SET_ATTR_SIZE))) {
        // The kernel has changed set-user-ID already where it sends a mode.
        if (wire_extra.kill && !(want & FSC_SET_MODE))
            kill_suid(req, ino);
        err = fsc_ino_setattr(m->fs, FSC_ENGINE, ino, want, &attr, &now);
    }
    reply_attr(req, err, &now);
}

void
do_access(fuse_req_t req, fuse_ino_t ino, int mask)
{
    struct fsc_cred cred = cred_of(req);

    cred.checked = false;
    reply_err(req, fsc_ino_access(mount_of(req)->fs, &cred, ino, mask));
}

void
do_statfs(fuse_req_t req, fuse_ino_t ino)
{
    struct statvfs out;
    int err = fsc_ino_statvfs(mount_of(req)->fs, ino ? ino : FSC_ROOT, &out);

    if (err)
        reply_err(req, err);
    else
        fuse_reply_statfs(req, &out);
}

void
do_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags)
{
    mount_of(req)->dirty = true;
    reply_err(req, fsc_ino_setxattr(mount_of(req)->fs, FSC_ENGINE, ino, name, value, size, flags));
}

// The value, or its size where size is 0.
static void
reply_bytes(fuse_req_t req, size_t size, ssize_t n, const char *buf)
{
    if (n < 0)
        reply_err(req, (int)n);
    else if (size == 0)
        fuse_reply_xattr(req, (size_t)n);
    else
        fuse_reply_buf(req, buf, (size_t)n);
}

void
do_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
    char small[1024], *buf = size > sizeof small ? malloc(size) : small;

    if (!buf) {
        reply_err(req, -ENOMEM);
        return;
    }
    reply_bytes(req, size, fsc_ino_getxattr(mount_of(req)->fs, FSC_ENGINE, ino, name, buf, size), buf);
    if (buf != small)
        free(buf);
}

void
do_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
    char small[1024], *buf = size > sizeof small ? malloc(size) : small;
    struct fsc_cred cred = cred_of(req);

    if (!buf) {
        reply_err(req, -ENOMEM);
        return;
    }
    cred.checked = false; // names of "trusted." are for root
    reply_bytes(req, size, fsc_ino_listxattr(mount_of(req)->fs, &cred, ino, buf, size), buf);
    if (buf != small)
        free(buf);
}

void
do_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
    int err = fsc_ino_removexattr(mount_of(req)->fs, FSC_ENGINE, ino, name);

    mount_of(req)->dirty = true;
    // That there was no ACL is no error.
    if (err == -ENODATA && strncmp(name, "system.posix_acl_", 17) == 0)
        err = 0;
    reply_err(req, err);
}

// Of the usual ioctls of files the flags of chattr(1): those of a snapshot are immutable, all others have
// none.
void
do_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned cmd, void *arg, struct fuse_file_info *fi, unsigned flags,
         const void *in, size_t in_size, size_t out_size)
{
    struct fsc_attr attr;
    unsigned value = 0;
    int err;

    (void)arg, (void)fi, (void)flags;
    if (cmd == FS_IOC_GETFLAGS && out_size >= sizeof value) {
        err = fsc_ino_getattr(mount_of(req)->fs, ino, &attr);
        value = attr.flags & FSC_ATTR_SNAPSHOT ? FS_IMMUTABLE_FL : 0;
        if (err)
            reply_err(req, err);
        else
            fuse_reply_ioctl(req, 0, &value, sizeof value);
    } else if (cmd == FS_IOC_SETFLAGS && in_size >= sizeof value) {
        memcpy(&value, in, sizeof value);
        if (value)
            reply_err(req, -EOPNOTSUPP);
        else
            fuse_reply_ioctl(req, 0, NULL, 0);
    } else {
        reply_err(req, -ENOTTY);
    }
}
