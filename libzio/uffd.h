// SPDX-License-Identifier: Apache-2.0
// The userfaultfd system calls (userfaultfd(2), ioctl_userfaultfd(2)) as functions: raw calls, results are
// -errno, safe in the fault helper. Three descriptors: one for the pool, which is ours alone; one for the
// arena, where only madvise may come behind our back; and one with all events for the program's other memory.
#ifndef ZIO_UFFD_H
#define ZIO_UFFD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

extern int uffd_pool;    // the target of moves; -1 when not open
extern int uffd_arena;   // the arena; -1 when not open
extern int uffd_general; // all other memory; -1 when not open
extern int pagemap_fd;   // /proc/self/pagemap

// The descriptor to use: the program may push ours to other numbers (dup2), the fault helper has its own,
// fixed ones.
int uffd_fd(bool arena);
void uffd_helper_fds(int arena, int general); // what they are in the helper

int uffd_probe(void);    // could one be opened? 0 or -errno
int uffd_open_all(void); // fills the descriptors above and zio_features; 0 or -errno (-EPERM: not allowed)
void uffd_close_all(void);

int uffd_register(int fd, uintptr_t start, size_t len, uint64_t mode);
int uffd_unregister(int fd, uintptr_t start, size_t len);
// Each returns the bytes done (which may be short) or -errno when none was.
long uffd_move(int fd, uintptr_t dst, uintptr_t src, size_t len);
long uffd_copy(int fd, uintptr_t dst, uintptr_t src, size_t len);
long uffd_zero(int fd, uintptr_t dst, size_t len);
// Has the kernel changed mappings of the descriptor in ways that it has not told yet (or we not read)?
bool uffd_changing(int fd);
void uffd_wake(int fd, uintptr_t start, size_t len);

#endif
