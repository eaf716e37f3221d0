// SPDX-License-Identifier: Apache-2.0
// The functions of libfsclient as libzio calls them: fsc.open(...) is fsc_open, found with dlsym when the
// library is opened. The header's prototypes tell the compiler whether this table is right.
#ifndef ZIO_ROUTE_FSC_H
#define ZIO_ROUTE_FSC_H

#include "fsclient/fsclient.h"

// X(name without fsc_)
#define ROUTE_FSC(X)                                                                                         \
    X(format)                                                                                                \
    X(open_volume)                                                                                           \
    X(close_volume)                                                                                          \
    X(volume_info)                                                                                           \
    X(volume_limits)                                                                                         \
    X(sync_volume)                                                                                           \
    X(maintain)                                                                                              \
    X(fork_child)                                                                                            \
    X(owns_fd)                                                                                               \
    X(attr_stat)                                                                                             \
    X(open)                                                                                                  \
    X(stat)                                                                                                  \
    X(getattr)                                                                                               \
    X(access)                                                                                                \
    X(mkdir)                                                                                                 \
    X(mknod)                                                                                                 \
    X(symlink)                                                                                               \
    X(readlink)                                                                                              \
    X(link)                                                                                                  \
    X(unlink)                                                                                                \
    X(rename)                                                                                                \
    X(chmod)                                                                                                 \
    X(chown)                                                                                                 \
    X(utimens)                                                                                               \
    X(truncate)                                                                                              \
    X(setxattr)                                                                                              \
    X(getxattr)                                                                                              \
    X(listxattr)                                                                                             \
    X(removexattr)                                                                                           \
    X(statvfs)                                                                                               \
    X(clone_tree)                                                                                            \
    X(snapshot)                                                                                              \
    X(remove_tree)                                                                                           \
    X(close)                                                                                                 \
    X(dup)                                                                                                   \
    X(file_ino)                                                                                              \
    X(file_flags)                                                                                            \
    X(file_set_flags)                                                                                        \
    X(pread)                                                                                                 \
    X(pwrite)                                                                                                \
    X(preadv)                                                                                                \
    X(pwritev)                                                                                               \
    X(append)                                                                                                \
    X(ftruncate)                                                                                             \
    X(fallocate)                                                                                             \
    X(fsync)                                                                                                 \
    X(fdatasync)                                                                                             \
    X(seek)                                                                                                  \
    X(fstat)                                                                                                 \
    X(file_version)                                                                                          \
    X(readdir)                                                                                               \
    X(clone_range)                                                                                           \
    X(get_layout)                                                                                            \
    X(setlk)                                                                                                 \
    X(getlk)                                                                                                 \
    X(flock)                                                                                                 \
    X(unlock_owner)                                                                                          \
    X(take_locks)                                                                                            \
    X(session)                                                                                               \
    X(usage)                                                                                                 \
    X(quota_set)                                                                                             \
    X(quota_get)                                                                                             \
    X(quota_list)                                                                                            \
    X(trash_list)                                                                                            \
    X(trash_restore)                                                                                         \
    X(trash_purge)                                                                                           \
    X(chunk_fd)                                                                                              \
    X(settle)                                                                                                \
    X(verify)                                                                                                \
    X(fsck)                                                                                                  \
    X(scrub)                                                                                                 \
    X(ino_lookup)                                                                                            \
    X(ino_getattr)                                                                                           \
    X(ino_setattr)                                                                                           \
    X(ino_access)                                                                                            \
    X(ino_mknod)                                                                                             \
    X(ino_symlink)                                                                                           \
    X(ino_link)                                                                                              \
    X(ino_unlink)                                                                                            \
    X(ino_rmdir)                                                                                             \
    X(ino_rename)                                                                                            \
    X(ino_readlink)                                                                                          \
    X(ino_truncate)                                                                                          \
    X(ino_readdir)                                                                                           \
    X(ino_setxattr)                                                                                          \
    X(ino_getxattr)                                                                                          \
    X(ino_listxattr)                                                                                         \
    X(ino_removexattr)                                                                                       \
    X(ino_statvfs)                                                                                           \
    X(ino_version)                                                                                           \
    X(ino_open)                                                                                              \
    X(ino_create)                                                                                            \
    X(ino_tmpfile)                                                                                           \
    X(ino_hold)                                                                                              \
    X(ino_release)

struct route_fsc {
#define X(name) __typeof__(fsc_##name) *name;
    ROUTE_FSC(X)
#undef X
};
extern struct route_fsc fsc;

#endif
