// SPDX-License-Identifier: Apache-2.0
// Raw memory, checks and traces. Built without builtins and loop idioms: none of this may become a call of
// memcpy.
#include "tests/oracle/oracle.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

uint64_t
rng_next(struct rng *r)
{
    uint64_t z = r->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

size_t
rnd(struct rng *r, size_t n)
{
    return (size_t)(rng_next(r) % n);
}

long
raw_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long ret;
    __asm__ volatile("syscall"
                     : "=a"(ret)
                     : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return ret;
}

void *
raw_map(size_t n)
{
    long p = raw_syscall(SYS_mmap, 0, (long)n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p < 0 && p > -4096) {
        static const char text[] = "oracle: out of memory for the model\n";
        raw_syscall(SYS_write, 2, (long)text, sizeof text - 1, 0, 0, 0);
        _exit(4);
    }
    return (void *)p;
}

void
raw_copy(void *dst, const void *src, size_t n)
{
    __asm__ volatile("rep movsb" : "+D"(dst), "+S"(src), "+c"(n) : : "memory");
}

void
raw_move(void *dst, const void *src, size_t n)
{
    volatile uint8_t *to = dst;
    const volatile uint8_t *from = src;
    if (to <= from || to >= from + n) {
        raw_copy(dst, src, n);
        return;
    }
    for (; n >= 8; n -= 8)
        *(volatile uint64_t *)(to + n - 8) = *(const volatile uint64_t *)(from + n - 8);
    while (n-- > 0)
        to[n] = from[n];
}

void
raw_fill(void *p, size_t n, uint64_t seed)
{
    volatile uint8_t *to = p;
    struct rng r = {seed};
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        *(volatile uint64_t *)(to + i) = rng_next(&r);
    for (uint64_t rest = rng_next(&r); i < n; i++, rest >>= 8)
        to[i] = (uint8_t)rest;
}

void
raw_set(void *p, size_t n, uint8_t value)
{
    __asm__ volatile("rep stosb" : "+D"(p), "+c"(n) : "a"(value) : "memory");
}

size_t
raw_diff(const void *a, const void *b, size_t n)
{
    const volatile uint8_t *x = a, *y = b;
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        if (*(const volatile uint64_t *)(x + i) != *(const volatile uint64_t *)(y + i))
            break;
    for (; i < n; i++)
        if (x[i] != y[i])
            return i;
    return n;
}

uint64_t
raw_hash(const void *p, size_t n)
{
    const volatile uint8_t *from = p;
    uint64_t h = 0xcbf29ce484222325u + n;
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        h = (h ^ *(const volatile uint64_t *)(from + i)) * 0x100000001b3u, h ^= h >> 29;
    for (; i < n; i++)
        h = (h ^ from[i]) * 0x100000001b3u;
    return h;
}

static void
put(struct ctx *c, const char *text)
{
    volatile char *to = c->traces->text[c->stream];
    uint32_t at = c->traces->len[c->stream];
    for (; *text && at < STREAM_SIZE - 1; text++)
        to[at++] = *text;
    c->traces->len[c->stream] = at;
}

void
trace(struct ctx *c, const char *format, ...)
{
    char line[512];
    int saved = errno;
    va_list ap;
    va_start(ap, format);
    vsnprintf(line, sizeof line, format, ap);
    va_end(ap);
    put(c, line);
    if (getenv("ORACLE_LIVE"))
        dprintf(2, "[%d:%d]%s", (int)getpid(), c->stream, line);
    errno = saved;
}

void
result(struct ctx *c, long value)
{
    if (value == -1)
        trace(c, " -> -1 %s", strerrorname_np(errno));
    else
        trace(c, " -> %ld", value);
}

void
wrong(struct ctx *c, const char *format, ...)
{
    char line[512];
    va_list ap;
    va_start(ap, format);
    vsnprintf(line, sizeof line, format, ap);
    va_end(ap);
    trace(c, "\nWRONG: %s\n", line);
    dprintf(2, "WRONG in operation %u of stream %d, fork depth %d: %s\n", c->opno, c->stream, c->depth, line);
    _exit(3);
}

void
verify(struct ctx *c, struct buf *b, size_t at, size_t n, const char *why)
{
    size_t first = raw_diff(b->p + at, b->shadow + at, n);
    if (first == n)
        return;
    size_t count = 0, last = first;
    bool zeros = true;
    for (size_t i = first; i < n; i++)
        if (((volatile uint8_t *)b->p)[at + i] != b->shadow[at + i]) {
            count++;
            last = i;
            zeros = zeros && b->p[at + i] == 0;
        }
    size_t i = at + first;
    wrong(c,
          "%s: buffer %d (%s, %zu bytes at page offset %zu): %zu bytes differ from %zu to %zu, first is %02x "
          "and should be %02x%s",
          why, b->id, buf_kind_names[b->kind], b->n, (uintptr_t)b->p % PAGE, count, i, at + last,
          ((volatile uint8_t *)b->p)[i], b->shadow[i], zeros ? " (all are zero)" : "");
}

void
verify_all(struct ctx *c, const char *why)
{
    for (int i = 0; i < NBUF; i++)
        if (c->bufs[i].kind != B_NONE)
            verify(c, &c->bufs[i], 0, c->bufs[i].n, why);
    for (int i = 0; c->shared && i < NSHARED; i++)
        verify(c, &c->shared[i], 0, c->shared[i].n, why);
}
