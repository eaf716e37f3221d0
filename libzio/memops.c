// SPDX-License-Identifier: Apache-2.0
// See memops.h. Built with -fno-builtin -fno-stack-protector -ftls-model=initial-exec and without sanitizers:
// gcc would turn the byte loop below into a call of memcpy, that is of itself.
#include "libzio/memops.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "libzio/copy.h"
#include "libzio/policy.h"
#include "libzio/real.h"
#include "libzio/zio.h"

size_t memops_gate = SIZE_MAX;

// Until the C library's own are known (they are chosen by an IFUNC, so dlsym must find them).
static void *
copy_forward(void *dst, const void *src, size_t n)
{
    void *d = dst;

    __asm__ volatile("rep movsb" : "+D"(d), "+S"(src), "+c"(n) : : "memory");
    return dst;
}

static void *
move_any(void *dst, const void *src, size_t n)
{
    unsigned char *d = (unsigned char *)dst + n - 1;
    const unsigned char *s = (const unsigned char *)src + n - 1;

    if ((uintptr_t)dst - (uintptr_t)src >= n)
        return copy_forward(dst, src, n);
    __asm__ volatile("std\n\trep movsb\n\tcld" : "+D"(d), "+S"(s), "+c"(n) : : "memory");
    return dst;
}

static void *(*libc_memcpy)(void *, const void *, size_t) = copy_forward;
static void *(*libc_memmove)(void *, const void *, size_t) = move_any;

void
memops_init(void)
{
    if (real.memcpy)
        libc_memcpy = real.memcpy;
    if (real.memmove)
        libc_memmove = real.memmove;
}

static __attribute__((noinline)) void *
large(void *dst, const void *src, size_t n, uintptr_t ra)
{
    uintptr_t d = (uintptr_t)dst, s = (uintptr_t)src;

    if (!zio_on())
        return libc_memmove(dst, src, n);
    if (d - s < n || s - d < n) {
        if (d < s && n >= zio_cfg.threshold / 2 && area_arena_absent(s) && zio_move_down(dst, src, n, ra))
            return dst;
        return libc_memmove(dst, src, n);
    }
    if (n < zio_cfg.threshold) {
        if (!area_arena_absent(s))
            return libc_memcpy(dst, src, n);
    } else if (policy_skips(ra) && !area_arena_absent(s) && !area_arena_missing(d) &&
               atomic_load_explicit(&area_ngeneral, memory_order_relaxed) == 0) {
        return libc_memcpy(dst, src, n); // the site is in debt, and nothing here is absent
    }
    zio_copy(dst, src, n, ra);
    return dst;
}

#define CALLER ((uintptr_t)__builtin_return_address(0))

ZIO_EXPORT void *
memcpy(void *restrict dst, const void *restrict src, size_t n)
{
    if (likely(n < memops_gate))
        return libc_memcpy(dst, src, n);
    return large(dst, src, n, CALLER);
}

ZIO_EXPORT void *
memmove(void *dst, const void *src, size_t n)
{
    if (likely(n < memops_gate))
        return libc_memmove(dst, src, n);
    return large(dst, src, n, CALLER);
}

ZIO_EXPORT void *
mempcpy(void *restrict dst, const void *restrict src, size_t n)
{
    if (likely(n < memops_gate))
        return (char *)libc_memcpy(dst, src, n) + n;
    return (char *)large(dst, src, n, CALLER) + n;
}

ZIO_EXPORT void *
__mempcpy(void *restrict dst, const void *restrict src, size_t n)
{
    if (likely(n < memops_gate))
        return (char *)libc_memcpy(dst, src, n) + n;
    return (char *)large(dst, src, n, CALLER) + n;
}

ZIO_EXPORT void
bcopy(const void *src, void *dst, size_t n)
{
    if (likely(n < memops_gate))
        libc_memmove(dst, src, n);
    else
        large(dst, src, n, CALLER);
}

// The fortified forms (_FORTIFY_SOURCE): the check, then the same. __chk_fail does not return.
extern void __chk_fail(void) __attribute__((noreturn));
void *__memcpy_chk(void *restrict dst, const void *restrict src, size_t n, size_t room);
void *__memmove_chk(void *dst, const void *src, size_t n, size_t room);
void *__mempcpy_chk(void *restrict dst, const void *restrict src, size_t n, size_t room);

ZIO_EXPORT void *
__memcpy_chk(void *restrict dst, const void *restrict src, size_t n, size_t room)
{
    if (unlikely(room < n))
        __chk_fail();
    if (likely(n < memops_gate))
        return libc_memcpy(dst, src, n);
    return large(dst, src, n, CALLER);
}

ZIO_EXPORT void *
__memmove_chk(void *dst, const void *src, size_t n, size_t room)
{
    if (unlikely(room < n))
        __chk_fail();
    if (likely(n < memops_gate))
        return libc_memmove(dst, src, n);
    return large(dst, src, n, CALLER);
}

ZIO_EXPORT void *
__mempcpy_chk(void *restrict dst, const void *restrict src, size_t n, size_t room)
{
    if (unlikely(room < n))
        __chk_fail();
    if (likely(n < memops_gate))
        return (char *)libc_memcpy(dst, src, n) + n;
    return (char *)large(dst, src, n, CALLER) + n;
}
