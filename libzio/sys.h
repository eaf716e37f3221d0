// SPDX-License-Identifier: Apache-2.0
// Raw system calls: usable before the hooks are resolved and by the fault helper, which has no C library
// state of its own (no errno). Each returns the kernel's result: a value or -errno.
#ifndef ZIO_SYS_H
#define ZIO_SYS_H

#include <stdint.h>
#include <sys/syscall.h>

static inline long
zsys6(long nr, long a, long b, long c, long d, long e, long f)
{
    long ret;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(ret)
                     : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return ret;
}

#define zsys0(nr) zsys6(nr, 0, 0, 0, 0, 0, 0)
#define zsys1(nr, a) zsys6(nr, (long)(a), 0, 0, 0, 0, 0)
#define zsys2(nr, a, b) zsys6(nr, (long)(a), (long)(b), 0, 0, 0, 0)
#define zsys3(nr, a, b, c) zsys6(nr, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define zsys4(nr, a, b, c, d) zsys6(nr, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define zsys5(nr, a, b, c, d, e) zsys6(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)

#endif
