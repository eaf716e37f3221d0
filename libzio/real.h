// SPDX-License-Identifier: Apache-2.0
// The functions behind the hooks, found with dlsym(RTLD_NEXT) when the library is loaded (real.c).
#ifndef ZIO_REAL_H
#define ZIO_REAL_H

#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>

// X(result, name, parameters)
#define ZIO_REALS(X)                                                                                         \
    X(void *, memcpy, (void *, const void *, size_t))                                                        \
    X(void *, memmove, (void *, const void *, size_t))                                                       \
    X(void *, malloc, (size_t))                                                                              \
    X(void *, calloc, (size_t, size_t))                                                                      \
    X(void *, realloc, (void *, size_t))                                                                     \
    X(void *, reallocarray, (void *, size_t, size_t))                                                        \
    X(void, free, (void *))                                                                                  \
    X(void *, memalign, (size_t, size_t))                                                                    \
    X(void *, aligned_alloc, (size_t, size_t))                                                               \
    X(int, posix_memalign, (void **, size_t, size_t))                                                        \
    X(void *, valloc, (size_t))                                                                              \
    X(void *, pvalloc, (size_t))                                                                             \
    X(size_t, malloc_usable_size, (void *))                                                                  \
    X(ssize_t, read, (int, void *, size_t))                                                                  \
    X(ssize_t, write, (int, const void *, size_t))                                                           \
    X(ssize_t, readv, (int, const struct iovec *, int))                                                      \
    X(ssize_t, writev, (int, const struct iovec *, int))                                                     \
    X(ssize_t, pread64, (int, void *, size_t, off_t))                                                        \
    X(ssize_t, pwrite64, (int, const void *, size_t, off_t))                                                 \
    X(ssize_t, preadv64, (int, const struct iovec *, int, off_t))                                            \
    X(ssize_t, pwritev64, (int, const struct iovec *, int, off_t))                                           \
    X(ssize_t, preadv64v2, (int, const struct iovec *, int, off_t, int))                                     \
    X(ssize_t, pwritev64v2, (int, const struct iovec *, int, off_t, int))                                    \
    X(ssize_t, send, (int, const void *, size_t, int))                                                       \
    X(ssize_t, sendto, (int, const void *, size_t, int, const struct sockaddr *, socklen_t))                 \
    X(ssize_t, sendmsg, (int, const struct msghdr *, int))                                                   \
    X(int, sendmmsg, (int, struct mmsghdr *, unsigned, int))                                                 \
    X(ssize_t, recv, (int, void *, size_t, int))                                                             \
    X(ssize_t, recvfrom, (int, void *, size_t, int, struct sockaddr *, socklen_t *))                         \
    X(ssize_t, recvmsg, (int, struct msghdr *, int))                                                         \
    X(int, recvmmsg, (int, struct mmsghdr *, unsigned, int, struct timespec *))                              \
    X(ssize_t, vmsplice, (int, const struct iovec *, size_t, unsigned))                                      \
    X(ssize_t, sendfile64, (int, int, off_t *, size_t))                                                      \
    X(ssize_t, splice, (int, off_t *, int, off_t *, size_t, unsigned))                                       \
    X(ssize_t, tee, (int, int, size_t, unsigned))                                                            \
    X(ssize_t, copy_file_range, (int, off_t *, int, off_t *, size_t, unsigned))                              \
    X(void *, mmap, (void *, size_t, int, int, int, off_t))                                                  \
    X(int, munmap, (void *, size_t))                                                                         \
    X(int, mprotect, (void *, size_t, int))                                                                  \
    X(int, pkey_mprotect, (void *, size_t, int, int))                                                        \
    X(int, madvise, (void *, size_t, int))                                                                   \
    X(int, msync, (void *, size_t, int))                                                                     \
    X(int, remap_file_pages, (void *, size_t, int, size_t, int))                                             \
    X(int, mlock, (const void *, size_t))                                                                    \
    X(int, mlock2, (const void *, size_t, unsigned))                                                         \
    X(int, mlockall, (int))                                                                                  \
    X(int, brk, (void *))                                                                                    \
    X(void *, sbrk, (intptr_t))                                                                              \
    X(int, close, (int))                                                                                     \
    X(int, close_range, (unsigned, unsigned, int))                                                           \
    X(void, closefrom, (int))                                                                                \
    X(int, dup2, (int, int))                                                                                 \
    X(int, dup3, (int, int, int))                                                                            \
    X(int, sigaction, (int, const struct sigaction *, struct sigaction *))                                   \
    X(sighandler_t, signal, (int, sighandler_t))                                                             \
    X(int, setsockopt, (int, int, int, const void *, socklen_t))                                             \
    X(int, unshare, (int))                                                                                   \
    X(int, setns, (int, int))                                                                                \
    X(int, setrlimit64, (__rlimit_resource_t, const struct rlimit64 *))                                      \
    X(int, prlimit64, (pid_t, enum __rlimit_resource, const struct rlimit64 *, struct rlimit64 *))           \
    X(pid_t, _Fork, (void))                                                                                  \
    X(void, _exit, (int))                                                                                    \
    X(int, pthread_setcanceltype, (int, int *))                                                              \
    X(int, open64, (const char *, int, ...))                                                                 \
    X(int, openat64, (int, const char *, int, ...))                                                          \
    X(int, __open_2, (const char *, int))                                                                    \
    X(int, __open64_2, (const char *, int))                                                                  \
    X(int, __openat_2, (int, const char *, int))                                                             \
    X(int, __openat64_2, (int, const char *, int))                                                           \
    X(off_t, lseek64, (int, off_t, int))                                                                     \
    X(int, fstat64, (int, struct stat64 *))                                                                  \
    X(int, __fxstat, (int, int, struct stat *))                                                              \
    X(int, fchmod, (int, mode_t))                                                                            \
    X(int, fchown, (int, uid_t, gid_t))                                                                      \
    X(int, futimens, (int, const struct timespec *))                                                         \
    X(int, futimes, (int, const struct timeval *))                                                           \
    X(int, fsync, (int))                                                                                     \
    X(int, fdatasync, (int))                                                                                 \
    X(int, sync_file_range, (int, off_t, off_t, unsigned))                                                   \
    X(int, syncfs, (int))                                                                                    \
    X(void, sync, (void))                                                                                    \
    X(int, ftruncate64, (int, off_t))                                                                        \
    X(int, fallocate64, (int, int, off_t, off_t))                                                            \
    X(int, posix_fallocate64, (int, off_t, off_t))                                                           \
    X(int, posix_fadvise64, (int, off_t, off_t, int))                                                        \
    X(ssize_t, readahead, (int, off_t, size_t))                                                              \
    X(mode_t, umask, (mode_t))                                                                               \
    X(sighandler_t, sigset, (int, sighandler_t))                                                             \
    X(int, pthread_cancel, (pthread_t))                                                                      \
    X(int, setuid, (uid_t))                                                                                  \
    X(int, seteuid, (uid_t))                                                                                 \
    X(int, setreuid, (uid_t, uid_t))                                                                         \
    X(int, setresuid, (uid_t, uid_t, uid_t))                                                                 \
    X(int, setfsuid, (uid_t))                                                                                \
    X(int, setgid, (gid_t))                                                                                  \
    X(int, setegid, (gid_t))                                                                                 \
    X(int, setregid, (gid_t, gid_t))                                                                         \
    X(int, setresgid, (gid_t, gid_t, gid_t))                                                                 \
    X(int, setfsgid, (gid_t))                                                                                \
    X(int, setgroups, (size_t, const gid_t *))                                                               \
    X(int, initgroups, (const char *, gid_t))                                                                \
    X(int, chdir, (const char *))                                                                            \
    X(int, fchdir, (int))                                                                                    \
    X(int, dup, (int))                                                                                       \
    X(int, fcntl64, (int, int, ...))                                                                         \
    X(int, ioctl, (int, unsigned long, ...))                                                                 \
    X(int, lockf64, (int, int, off_t))                                                                       \
    X(int, flock, (int, int))                                                                                \
    X(int, execve, (const char *, char *const *, char *const *))                                             \
    X(int, fexecve, (int, char *const *, char *const *))                                                     \
    X(int, execvpe, (const char *, char *const *, char *const *))                                            \
    X(int, posix_spawn,                                                                                      \
      (pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *, char *const *,  \
       char *const *))                                                                                       \
    X(int, posix_spawnp,                                                                                     \
      (pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *, char *const *,  \
       char *const *))                                                                                       \
    X(int, system, (const char *))                                                                           \
    X(FILE *, popen, (const char *, const char *))                                                           \
    X(int, pclose, (FILE *))                                                                                 \
    X(int, daemon, (int, int))

struct zio_reals {
#define X(ret, name, args) ret(*name) args;
    ZIO_REALS(X)
#undef X
};
extern struct zio_reals real;

extern int (*real_clone)(int (*)(void *), void *, int, void *, ...);
extern void *(*real_mremap)(void *, size_t, size_t, int, ...);
extern long (*real_syscall)(long, ...);
extern pid_t (*route_real_vfork)(void); // hooks_fs_spawn.c

void zio_real_init(void); // idempotent; resolves all. Safe from any hook.
extern bool zio_real_ready;

#endif
