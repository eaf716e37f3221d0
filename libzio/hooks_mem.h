// SPDX-License-Identifier: Apache-2.0
// What must happen before a mapping changes; for the hooks and for syscall(2).
#ifndef ZIO_HOOKS_MEM_H
#define ZIO_HOOKS_MEM_H

#include <stddef.h>

void hook_munmap(void *addr, size_t len); // also mmap(MAP_FIXED)
void hook_mprotect(void *addr, size_t len);
void hook_mremap(void *old, size_t oldlen, size_t newlen, int flags, void *to);
void hook_madvise(void *addr, size_t len, int advice);
// Addresses of nobody (PROT_NONE) for something to be mapped over; flags: MAP_FIXED_NOREPLACE, MAP_32BIT. As
// mmap.
void *hook_reserve(void *addr, size_t len, int flags);

#endif
