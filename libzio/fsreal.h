// SPDX-License-Identifier: Apache-2.0
// The functions behind the path hooks (hooks_fs_path*.c and their kin), found with dlsym(RTLD_NEXT) like
// those of real.h, all at once when the library is loaded. They have a table of their own because most of
// them have their prototypes in headers, which the type is taken from.
#ifndef ZIO_FSREAL_H
#define ZIO_FSREAL_H

#include <aio.h>
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <fts.h>
#include <ftw.h>
#include <glob.h>
#include <mntent.h>
#include <pty.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/acct.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/swap.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <utmp.h>
#include <wchar.h>
#include <wordexp.h>

// Not in any header.
int __vfwprintf_chk(FILE *, int, const wchar_t *, va_list);
int __isoc99_vfwscanf(FILE *, const wchar_t *, va_list);

#define FS_REALS(X)                                                                                          \
    X(fstatat)                                                                                               \
    X(statx)                                                                                                 \
    X(faccessat)                                                                                             \
    X(mkdirat)                                                                                               \
    X(mknodat)                                                                                               \
    X(symlinkat)                                                                                             \
    X(readlinkat)                                                                                            \
    X(linkat)                                                                                                \
    X(unlinkat)                                                                                              \
    X(renameat)                                                                                              \
    X(renameat2)                                                                                             \
    X(fchmodat)                                                                                              \
    X(fchownat)                                                                                              \
    X(utimensat)                                                                                             \
    X(truncate)                                                                                              \
    X(setxattr)                                                                                              \
    X(lsetxattr)                                                                                             \
    X(fsetxattr)                                                                                             \
    X(getxattr)                                                                                              \
    X(lgetxattr)                                                                                             \
    X(fgetxattr)                                                                                             \
    X(listxattr)                                                                                             \
    X(llistxattr)                                                                                            \
    X(flistxattr)                                                                                            \
    X(removexattr)                                                                                           \
    X(lremovexattr)                                                                                          \
    X(fremovexattr)                                                                                          \
    X(statfs)                                                                                                \
    X(fstatfs)                                                                                               \
    X(statvfs)                                                                                               \
    X(fstatvfs)                                                                                              \
    X(pathconf)                                                                                              \
    X(fpathconf)                                                                                             \
    X(name_to_handle_at)                                                                                     \
    X(open_by_handle_at)                                                                                     \
    X(inotify_add_watch)                                                                                     \
    X(fanotify_mark)                                                                                         \
    X(mount)                                                                                                 \
    X(umount2)                                                                                               \
    X(swapon)                                                                                                \
    X(swapoff)                                                                                               \
    X(acct)                                                                                                  \
    X(chroot)                                                                                                \
    X(bind)                                                                                                  \
    X(getsockname)                                                                                           \
    X(getpeername)                                                                                           \
    X(accept)                                                                                                \
    X(accept4)                                                                                               \
    X(connect)                                                                                               \
    X(realpath)                                                                                              \
    X(getcwd)                                                                                                \
    X(dlopen)                                                                                                \
    X(mkdtemp)                                                                                               \
    X(mkostemps)                                                                                             \
    X(tempnam)                                                                                               \
    X(fopen)                                                                                                 \
    X(fopencookie)                                                                                           \
    X(fdopen)                                                                                                \
    X(freopen)                                                                                               \
    X(setmntent)                                                                                             \
    X(perror)                                                                                                \
    X(vdprintf)                                                                                              \
    X(fgetwc)                                                                                                \
    X(fgetwc_unlocked)                                                                                       \
    X(fputwc)                                                                                                \
    X(fputwc_unlocked)                                                                                       \
    X(fgetws)                                                                                                \
    X(fgetws_unlocked)                                                                                       \
    X(fputws)                                                                                                \
    X(fputws_unlocked)                                                                                       \
    X(ungetwc)                                                                                               \
    X(fwide)                                                                                                 \
    X(vfwprintf)                                                                                             \
    X(__vfwprintf_chk)                                                                                       \
    X(vfwscanf)                                                                                              \
    X(__isoc99_vfwscanf)                                                                                     \
    X(aio_read)                                                                                              \
    X(aio_write)                                                                                             \
    X(aio_fsync)                                                                                             \
    X(aio_cancel)                                                                                            \
    X(lio_listio)                                                                                            \
    X(login_tty)                                                                                             \
    X(forkpty)                                                                                               \
    X(opendir)                                                                                               \
    X(scandir)                                                                                               \
    X(scandirat)                                                                                             \
    X(fdopendir)                                                                                             \
    X(readdir)                                                                                               \
    X(readdir_r)                                                                                             \
    X(seekdir)                                                                                               \
    X(telldir)                                                                                               \
    X(rewinddir)                                                                                             \
    X(closedir)                                                                                              \
    X(dirfd)                                                                                                 \
    X(getdents64)                                                                                            \
    X(getdirentries)                                                                                         \
    X(glob)                                                                                                  \
    X(wordexp)                                                                                               \
    X(ftw)                                                                                                   \
    X(nftw)                                                                                                  \
    X(fts_open)                                                                                              \
    X(fts_read)                                                                                              \
    X(fts_children)                                                                                          \
    X(fts_set)                                                                                               \
    X(fts_close)

// readdir_r is deprecated, yet programs call it.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
struct fs_reals {
#define X(name) __typeof__(name)(*name);
    FS_REALS(X)
#undef X
};
#pragma GCC diagnostic pop

extern struct fs_reals fs_real_table;
extern bool fs_real_ready;
void fs_real_init(void); // idempotent

// FS_REAL(mkdirat)(...): the C library's. A constructor that ran before ours may come here first.
#define FS_REAL(name) (*(__builtin_expect(fs_real_ready, 1) ? (void)0 : fs_real_init(), fs_real_table.name))

#endif
