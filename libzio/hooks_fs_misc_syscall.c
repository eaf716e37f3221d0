// SPDX-License-Identifier: Apache-2.0
// syscall(2) by number: programs that bypass the C library's functions (Go's and Rust's do it for a few,
// sandboxes for more) mean the same files. A number that takes a path, or a descriptor that is routed, is
// done by the hook of that name; its arguments are the same, but where said.
#include <dirent.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <utime.h>

#include "libzio/hooks_fs.h"
#include "libzio/route_priv.h"

int execveat(int dirfd, const char *path, char *const argv[], char *const envp[], int flags);

#define SYS_FCHMODAT2 452 // newer than our headers
#define PATH(i) ((const char *)a[i])
#define PTR(i) ((void *)a[i])
#define INT(i) ((int)a[i])
#define MODE(i) ((mode_t)a[i])

// By path: true and *r where it is such a number.
static bool
by_path(long nr, const long *a, long *r)
{
#define DO(number, call)                                                                                     \
    case number:                                                                                             \
        *r = (call);                                                                                         \
        return true
    switch (nr) {
        DO(SYS_open, open(PATH(0), INT(1), MODE(2)));
        DO(SYS_openat, openat(INT(0), PATH(1), INT(2), MODE(3)));
        DO(SYS_creat, creat(PATH(0), MODE(1)));
        DO(SYS_stat, stat(PATH(0), PTR(1)));
        DO(SYS_lstat, lstat(PATH(0), PTR(1)));
        DO(SYS_newfstatat, fstatat(INT(0), PATH(1), PTR(2), INT(3)));
        DO(SYS_statx, statx(INT(0), PATH(1), INT(2), (unsigned)a[3], PTR(4)));
        DO(SYS_access, access(PATH(0), INT(1)));
        DO(SYS_faccessat, faccessat(INT(0), PATH(1), INT(2), 0));
        DO(SYS_faccessat2, faccessat(INT(0), PATH(1), INT(2), INT(3)));
        DO(SYS_mkdir, mkdir(PATH(0), MODE(1)));
        DO(SYS_mkdirat, mkdirat(INT(0), PATH(1), MODE(2)));
        DO(SYS_mknod, mknod(PATH(0), MODE(1), (dev_t)a[2]));
        DO(SYS_mknodat, mknodat(INT(0), PATH(1), MODE(2), (dev_t)a[3]));
        DO(SYS_symlink, symlink(PATH(0), PATH(1)));
        DO(SYS_symlinkat, symlinkat(PATH(0), INT(1), PATH(2)));
        DO(SYS_readlink, readlink(PATH(0), PTR(1), (size_t)a[2]));
        DO(SYS_readlinkat, readlinkat(INT(0), PATH(1), PTR(2), (size_t)a[3]));
        DO(SYS_link, link(PATH(0), PATH(1)));
        DO(SYS_linkat, linkat(INT(0), PATH(1), INT(2), PATH(3), INT(4)));
        DO(SYS_unlink, unlink(PATH(0)));
        DO(SYS_unlinkat, unlinkat(INT(0), PATH(1), INT(2)));
        DO(SYS_rmdir, rmdir(PATH(0)));
        DO(SYS_rename, rename(PATH(0), PATH(1)));
        DO(SYS_renameat, renameat(INT(0), PATH(1), INT(2), PATH(3)));
        DO(SYS_renameat2, renameat2(INT(0), PATH(1), INT(2), PATH(3), (unsigned)a[4]));
        DO(SYS_chmod, chmod(PATH(0), MODE(1)));
        DO(SYS_fchmodat, fchmodat(INT(0), PATH(1), MODE(2), 0));
        DO(SYS_chown, chown(PATH(0), (uid_t)a[1], (gid_t)a[2]));
        DO(SYS_lchown, lchown(PATH(0), (uid_t)a[1], (gid_t)a[2]));
        DO(SYS_fchownat, fchownat(INT(0), PATH(1), (uid_t)a[2], (gid_t)a[3], INT(4)));
        DO(SYS_utime, utime(PATH(0), PTR(1)));
        DO(SYS_utimes, utimes(PATH(0), PTR(1)));
        DO(SYS_futimesat, futimesat(INT(0), PATH(1), PTR(2)));
        DO(SYS_utimensat, PATH(1) ? utimensat(INT(0), PATH(1), PTR(2), INT(3)) : futimens(INT(0), PTR(2)));
        DO(SYS_truncate, truncate(PATH(0), a[1]));
        DO(SYS_setxattr, setxattr(PATH(0), PATH(1), PTR(2), (size_t)a[3], INT(4)));
        DO(SYS_lsetxattr, lsetxattr(PATH(0), PATH(1), PTR(2), (size_t)a[3], INT(4)));
        DO(SYS_getxattr, getxattr(PATH(0), PATH(1), PTR(2), (size_t)a[3]));
        DO(SYS_lgetxattr, lgetxattr(PATH(0), PATH(1), PTR(2), (size_t)a[3]));
        DO(SYS_listxattr, listxattr(PATH(0), PTR(1), (size_t)a[2]));
        DO(SYS_llistxattr, llistxattr(PATH(0), PTR(1), (size_t)a[2]));
        DO(SYS_removexattr, removexattr(PATH(0), PATH(1)));
        DO(SYS_lremovexattr, lremovexattr(PATH(0), PATH(1)));
        DO(SYS_statfs, statfs(PATH(0), PTR(1)));
        DO(SYS_chdir, chdir(PATH(0)));
        DO(SYS_fchdir, fchdir(INT(0)));
        DO(SYS_name_to_handle_at, name_to_handle_at(INT(0), PATH(1), PTR(2), PTR(3), INT(4)));
        DO(SYS_inotify_add_watch, inotify_add_watch(INT(0), PATH(1), (uint32_t)a[2]));
        DO(SYS_umask, (long)umask(MODE(0)));
        DO(SYS_dup, dup(INT(0)));
        DO(SYS_dup2, dup2(INT(0), INT(1)));
        DO(SYS_dup3, dup3(INT(0), INT(1), INT(2)));
        DO(SYS_close, close(INT(0)));
        DO(SYS_close_range, close_range((unsigned)a[0], (unsigned)a[1], INT(2)));
        DO(SYS_execve, execve(PATH(0), PTR(1), PTR(2)));
        DO(SYS_execveat, execveat(INT(0), PATH(1), PTR(2), PTR(3), INT(4)));
        DO(SYS_openat2, route_openat2(INT(0), PATH(1), PTR(2), (size_t)a[3]));
        DO(SYS_bind, bind(INT(0), PTR(1), (socklen_t)a[2]));
        DO(SYS_connect, connect(INT(0), PTR(1), (socklen_t)a[2]));
        DO(SYS_accept, accept(INT(0), PTR(1), PTR(2)));
        DO(SYS_accept4, accept4(INT(0), PTR(1), PTR(2), INT(3)));
        DO(SYS_getsockname, getsockname(INT(0), PTR(1), PTR(2)));
        DO(SYS_getpeername, getpeername(INT(0), PTR(1), PTR(2)));
        DO(SYS_sendto, sendto(INT(0), PTR(1), (size_t)a[2], INT(3), PTR(4), (socklen_t)a[5]));
        DO(SYS_recvfrom, recvfrom(INT(0), PTR(1), (size_t)a[2], INT(3), PTR(4), PTR(5)));
        DO(SYS_fstat, fstat(INT(0), PTR(1)));
        DO(SYS_sendmsg, sendmsg(INT(0), PTR(1), INT(2)));
        DO(SYS_recvmsg, recvmsg(INT(0), PTR(1), INT(2)));
        DO(SYS_setrlimit, setrlimit64((__rlimit_resource_t)a[0], PTR(1)));
        DO(SYS_prlimit64, prlimit64((pid_t)a[0], (__rlimit_resource_t)a[1], PTR(2), PTR(3)));
    case SYS_getcwd: // the length, with the terminator; never allocates
        *r = PTR(0) && getcwd(PTR(0), (size_t)a[1]) ? (long)strlen(PTR(0)) + 1 : -1;
        return true;
    case SYS_FCHMODAT2:
        *r = fchmodat(INT(0), PATH(1), MODE(2), INT(3));
        return true;
    default:
        return false;
    }
}

// The old form has the type at the end of an entry, and the name where the new one has the type; the rest,
// and the length, are the same.
static long
old_getdents(int fd, void *buf, size_t size)
{
    ssize_t n = getdents64(fd, buf, size & UINT_MAX);

    for (char *p = buf; n > 0 && p < (char *)buf + n;) {
        struct dirent64 *e = (struct dirent64 *)(void *)p;
        size_t len = strlen(e->d_name) + 1, all = e->d_reclen;
        char type = (char)e->d_type;

        memmove(p + offsetof(struct dirent64, d_type), e->d_name, len);
        p[all - 1] = type;
        p += all;
    }
    return n;
}

// The first argument is a routed descriptor.
static bool
by_fd(long nr, const long *a, long *r)
{
    switch (nr) {
        DO(SYS_read, read(INT(0), PTR(1), (size_t)a[2]));
        DO(SYS_write, write(INT(0), PTR(1), (size_t)a[2]));
        DO(SYS_pread64, pread64(INT(0), PTR(1), (size_t)a[2], a[3]));
        DO(SYS_pwrite64, pwrite64(INT(0), PTR(1), (size_t)a[2], a[3]));
        DO(SYS_readv, readv(INT(0), PTR(1), INT(2)));
        DO(SYS_writev, writev(INT(0), PTR(1), INT(2)));
        // The offset is in two halves, of which the second is of no use on 64-bit machines.
        DO(SYS_preadv, preadv64(INT(0), PTR(1), INT(2), a[3]));
        DO(SYS_pwritev, pwritev64(INT(0), PTR(1), INT(2), a[3]));
        DO(SYS_preadv2, preadv64v2(INT(0), PTR(1), INT(2), a[3], INT(5)));
        DO(SYS_pwritev2, pwritev64v2(INT(0), PTR(1), INT(2), a[3], INT(5)));
        DO(SYS_lseek, lseek64(INT(0), a[1], INT(2)));
        DO(SYS_fchmod, fchmod(INT(0), MODE(1)));
        DO(SYS_fchown, fchown(INT(0), (uid_t)a[1], (gid_t)a[2]));
        DO(SYS_ftruncate, ftruncate64(INT(0), a[1]));
        DO(SYS_fallocate, fallocate64(INT(0), INT(1), a[2], a[3]));
        DO(SYS_fsync, fsync(INT(0)));
        DO(SYS_fdatasync, fdatasync(INT(0)));
        DO(SYS_syncfs, syncfs(INT(0)));
        DO(SYS_sync_file_range, sync_file_range(INT(0), a[1], a[2], (unsigned)a[3]));
        DO(SYS_fadvise64, fs_result(-posix_fadvise64(INT(0), a[1], a[2], INT(3))));
        DO(SYS_readahead, readahead(INT(0), a[1], (size_t)a[2]));
        DO(SYS_flock, flock(INT(0), INT(1)));
        DO(SYS_fcntl, fcntl64(INT(0), INT(1), a[2]));
        DO(SYS_ioctl, ioctl(INT(0), (unsigned long)a[1], a[2]));
        DO(SYS_fstatfs, fstatfs(INT(0), PTR(1)));
        DO(SYS_fsetxattr, fsetxattr(INT(0), PATH(1), PTR(2), (size_t)a[3], INT(4)));
        DO(SYS_fgetxattr, fgetxattr(INT(0), PATH(1), PTR(2), (size_t)a[3]));
        DO(SYS_flistxattr, flistxattr(INT(0), PTR(1), (size_t)a[2]));
        DO(SYS_fremovexattr, fremovexattr(INT(0), PATH(1)));
        DO(SYS_getdents64, getdents64(INT(0), PTR(1), (size_t)a[2]));
        DO(SYS_getdents, old_getdents(INT(0), PTR(1), (size_t)a[2]));
    default:
        return false;
    }
}

// Another argument is a routed descriptor, or may be: Node copies files with it.
static bool
by_pair(long nr, const long *a, long *r)
{
    switch (nr) {
        DO(SYS_copy_file_range,
           copy_file_range(INT(0), PTR(1), INT(2), PTR(3), (size_t)a[4], (unsigned)a[5]));
        DO(SYS_sendfile, sendfile64(INT(0), INT(1), PTR(2), (size_t)a[3]));
        DO(SYS_splice, splice(INT(0), PTR(1), INT(2), PTR(3), (size_t)a[4], (unsigned)a[5]));
        DO(SYS_tee, tee(INT(0), INT(1), (size_t)a[2], (unsigned)a[3]));
    case SYS_mmap:
        if (a[3] & MAP_ANONYMOUS || !route_fd(INT(4)))
            return false;
        *r = (long)mmap(PTR(0), (size_t)a[1], INT(2), INT(3), INT(4), a[5]);
        return true;
    default:
        return false;
    }
#undef DO
}

bool
fs_syscall(long nr, const long a[6], long *r)
{
    if (by_path(nr, a, r) || by_pair(nr, a, r))
        return true;
    if (a[0] >= 0 && a[0] <= INT_MAX && route_fd((int)a[0]))
        return by_fd(nr, a, r);
    return false;
}
