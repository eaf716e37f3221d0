// SPDX-License-Identifier: Apache-2.0
// Which function does what; and what is agreed with the kernel at the start.
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "fsclient/fuse/mount.h"

static void
want(struct fuse_conn_info *conn, unsigned flags)
{
    conn->want |= conn->capable & flags;
}

static void
do_init(void *userdata, struct fuse_conn_info *conn)
{
    struct mount *m = userdata;

    // ACLs are the kernel's to ask, ours to keep; then the umask is ours, too: a default ACL overrules it.
    want(conn, FUSE_CAP_POSIX_ACL | FUSE_CAP_DONT_MASK);
    want(conn, FUSE_CAP_CACHE_SYMLINKS | FUSE_CAP_FLOCK_LOCKS | FUSE_CAP_POSIX_LOCKS);
    // Pages go when watch.c says so, and not when a time of modification moves: our own writes move it.
    if (conn->capable & FUSE_CAP_EXPLICIT_INVAL_DATA) {
        conn->want |= FUSE_CAP_EXPLICIT_INVAL_DATA;
        conn->want &= ~FUSE_CAP_AUTO_INVAL_DATA;
    }
    // The first version of it cannot be told from a write by root; wire.c asks for the second.
    conn->want &=
        ~(FUSE_CAP_HANDLE_KILLPRIV | FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
    if (m->opt.writeback)
        want(conn, FUSE_CAP_WRITEBACK_CACHE);
    conn->max_readahead = 1u << 20;
    conn->max_background = 64;
    conn->congestion_threshold = 48;
    session_ready(m);
}

const struct fuse_lowlevel_ops mount_ops = {
    .init = do_init,
    .lookup = do_lookup,
    .forget = do_forget,
    .forget_multi = do_forget_multi,
    .getattr = do_getattr,
    .setattr = do_setattr,
    .readlink = do_readlink,
    .mknod = do_mknod,
    .mkdir = do_mkdir,
    .unlink = do_unlink,
    .rmdir = do_rmdir,
    .symlink = do_symlink,
    .rename = do_rename,
    .link = do_link,
    .open = do_open,
    .read = do_read,
    .write = do_write,
    .flush = do_flush,
    .release = do_release,
    .fsync = do_fsync,
    .opendir = do_opendir,
    .readdir = do_readdir,
    .readdirplus = do_readdirplus,
    .releasedir = do_release,
    .fsyncdir = do_fsyncdir,
    .statfs = do_statfs,
    .setxattr = do_setxattr,
    .getxattr = do_getxattr,
    .listxattr = do_listxattr,
    .removexattr = do_removexattr,
    .access = do_access,
    .create = do_create,
    .getlk = do_getlk,
    .setlk = do_setlk,
    .flock = do_flock,
    .ioctl = do_ioctl,
    .fallocate = do_fallocate,
    .lseek = do_lseek,
    .copy_file_range = do_copy,
};
