// SPDX-License-Identifier: Apache-2.0
// libzio-profile.so: the hooks. Each copies with the C library's own function and, from the minimum size on,
// records the copy with its call stack (profiler_record.c). Compiled with -fno-builtin, or gcc would make
// calls of memcpy out of the code of memcpy, and with -fno-stack-protector, as the hooks run before
// thread-local data is set up.
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/types.h>

#include "libzio/profiler_record.h"

#define EXPORT __attribute__((visibility("default")))

typedef void *(*copy_fn)(void *, const void *, size_t);

// Not from <string.h>, which defines them in line when _FORTIFY_SOURCE is set.
void *memcpy(void *restrict dst, const void *restrict src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *mempcpy(void *restrict dst, const void *restrict src, size_t n);
void *__mempcpy(void *restrict dst, const void *restrict src, size_t n);
void __chk_fail(void) __attribute__((noreturn)); // glibc's: ends a program that overflows a buffer
void *__memcpy_chk(void *dst, const void *src, size_t n, size_t room);
void *__memmove_chk(void *dst, const void *src, size_t n, size_t room);
void *__mempcpy_chk(void *dst, const void *src, size_t n, size_t room);

// Copies before the C library's functions are looked up: other libraries' start-up code.
static void *
early_move(void *dst, const void *src, size_t n)
{
    unsigned char *d = dst;
    const unsigned char *s = src;

    if ((uintptr_t)d - (uintptr_t)s >= n) {
        __asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n) : : "memory");
    } else {
        d += n - 1;
        s += n - 1;
        __asm__ volatile("std\n\trep movsb\n\tcld" : "+D"(d), "+S"(s), "+c"(n) : : "memory");
    }
    return dst;
}

static copy_fn real_memcpy = early_move;
static copy_fn real_memmove = early_move;

// The smallest copy to record; SIZE_MAX while nothing is recorded. Written once, before main.
static size_t minimum = SIZE_MAX;

static __attribute__((noinline)) void *
timed(copy_fn copy, void *dst, const void *src, size_t n, void *caller)
{
    uint64_t start = __builtin_ia32_rdtsc();

    copy(dst, src, n);
    profiler_record(n, start, caller);
    return dst;
}

#define COPY(copy, dst, src, n)                                                                              \
    (__builtin_expect((n) < minimum, 1) ? (copy)(dst, src, n)                                                \
                                        : timed(copy, dst, src, n, __builtin_return_address(0)))

EXPORT void *
memcpy(void *restrict dst, const void *restrict src, size_t n)
{
    return COPY(real_memcpy, dst, src, n);
}

EXPORT void *
memmove(void *dst, const void *src, size_t n)
{
    return COPY(real_memmove, dst, src, n);
}

EXPORT void *
mempcpy(void *restrict dst, const void *restrict src, size_t n)
{
    return (char *)COPY(real_memcpy, dst, src, n) + n;
}

EXPORT void *
__mempcpy(void *restrict dst, const void *restrict src, size_t n)
{
    return (char *)COPY(real_memcpy, dst, src, n) + n;
}

EXPORT void *
__memcpy_chk(void *dst, const void *src, size_t n, size_t room)
{
    if (room < n)
        __chk_fail();
    return COPY(real_memcpy, dst, src, n);
}

EXPORT void *
__memmove_chk(void *dst, const void *src, size_t n, size_t room)
{
    if (room < n)
        __chk_fail();
    return COPY(real_memmove, dst, src, n);
}

EXPORT void *
__mempcpy_chk(void *dst, const void *src, size_t n, size_t room)
{
    if (room < n)
        __chk_fail();
    return (char *)COPY(real_memcpy, dst, src, n) + n;
}

static void __attribute__((constructor)) start(void)
{
    copy_fn copy = (copy_fn)dlsym(RTLD_NEXT, "memcpy"), move = (copy_fn)dlsym(RTLD_NEXT, "memmove");

    if (!copy || !move)
        return;
    real_memcpy = copy;
    real_memmove = move;
    minimum = profiler_start(getenv(ZIO_PROF_ENV));
}
