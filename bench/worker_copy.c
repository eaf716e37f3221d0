// SPDX-License-Identifier: Apache-2.0
// One copy, by state of the destination, by what is read of it afterwards, by where the source came from.
//
//   hot           one buffer; one word is stored to each of its pages before each copy, so that it is
//   populated fresh-malloc  malloc, copy, free fresh-mmap    mmap, copy, munmap absent        one buffer,
//   copied to twice in a row: the second copy's destination is a copy that nobody touched
//
// All of that, and the reading, is inside the time, for the plain program as for the other.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "bench/pattern.h"
#include "bench/worker.h"

enum { PAGE = 4096 };

static struct {
    struct wreq q;
    unsigned char *src, *src2; // the source, and the one of absent's first copy
    unsigned char *dst;        // hot and absent: the buffer; fresh: this operation's
    uint64_t word;             // recv: words taken from the feeder's stream so far
    uint32_t turn;             // rewrite: changes what is stored
} w;

// recv: the bench feeds a ring of PATTERN_RING words for ever; size is always a multiple of 8.
static int
source_recv(void)
{
    size_t got = 0;
    while (got < w.q.size) {
        ssize_t n = recv(WORKER_DATA_FD, w.src + got, w.q.size - got, 0);
        if (n <= 0)
            return n < 0 ? errno : EPIPE;
        got += (size_t)n;
    }
    w.word += w.q.size / 8;
    return 0;
}

static int
source_next(void)
{
    switch (w.q.source) {
    case WS_REWRITE:
        memset(w.src, (int)(++w.turn & 0xff), w.q.size);
        return 0;
    case WS_RECV:
        return source_recv();
    }
    return 0;
}

static int
dest_get(void)
{
    switch (w.q.dest) {
    case WD_HOT:
        for (size_t i = 0; i < w.q.size; i += PAGE)
            *(volatile unsigned char *)(w.dst + i) = 1;
        return 0;
    case WD_MALLOC:
        w.dst = malloc(w.q.size);
        return w.dst ? 0 : ENOMEM;
    case WD_MMAP:
        w.dst = mmap(NULL, w.q.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        return w.dst == MAP_FAILED ? errno : 0;
    }
    memcpy(w.dst, w.src2, w.q.size);
    return 0;
}

static void
dest_put(void)
{
    if (w.q.dest == WD_MALLOC)
        free(w.dst);
    else if (w.q.dest == WD_MMAP)
        munmap(w.dst, w.q.size);
}

static size_t
touched(void)
{
    size_t part[WT_COUNT] = {0, w.q.size < PAGE ? w.q.size : PAGE, w.q.size / 2, w.q.size};
    return part[w.q.touch];
}

static int
one(void *arg)
{
    (void)arg;
    int err = source_next();
    if (!err)
        err = dest_get();
    if (err)
        return err;
    memcpy(w.dst, w.src, w.q.size);
    touch_lines(w.dst, touched());
    dest_put();
    return 0;
}

static int
setup(const struct wreq *q, struct wrep *p)
{
    w.q = *q;
    w.src = malloc(q->size);
    w.src2 = malloc(q->size);
    w.dst = q->dest == WD_HOT || q->dest == WD_ABSENT ? malloc(q->size) : NULL;
    if (!w.src || !w.src2 || ((q->dest == WD_HOT || q->dest == WD_ABSENT) && !w.dst))
        return ENOMEM;
    pattern_fill(w.src, q->size, 1, 0);
    pattern_fill(w.src2, q->size, 2, 0);
    if (w.dst)
        memset(w.dst, 7, q->size);
    return 0;
}

static int
wrong(struct wrep *p, const char *what, long at)
{
    snprintf(p->text, sizeof p->text, "%s: wrong byte at offset %ld of %llu", what, at,
             (unsigned long long)w.q.size);
    return EBADMSG;
}

// The operation with every byte of the outcome checked, and the source stored to after the copy: the
// destination must not follow. It leaves the source as the timed part wants it.
static int
verify(const struct wreq *q, struct wrep *p)
{
    uint64_t first = w.word;
    int err = 0;
    long at;
    if (w.q.source == WS_RECV)
        err = source_recv();
    else
        pattern_fill(w.src, w.q.size, q->seed, 0);
    if (!err)
        err = dest_get();
    if (err)
        return err;
    memcpy(w.dst, w.src, w.q.size);
    touch_lines(w.dst, touched());
    memset(w.src, 0x5a, w.q.size / 2);
    at = w.q.source == WS_RECV ? pattern_check_ring(w.dst, w.q.size, first)
                               : pattern_check(w.dst, w.q.size, q->seed, 0);
    if (at >= 0)
        err = wrong(p, "the destination", at);
    for (size_t i = 0; !err && i < w.q.size / 2; i++)
        if (w.src[i] != 0x5a)
            err = wrong(p, "the source", (long)i);
    dest_put();
    pattern_fill(w.src, w.q.size, 1, 0);
    if (w.q.dest == WD_ABSENT && (at = pattern_check(w.src2, w.q.size, 2, 0)) >= 0)
        err = wrong(p, "the first source", at);
    return err;
}

static int
slice(const struct wreq *q, struct wrep *p)
{
    return repeat(one, NULL, q->slice_ns, p);
}

const struct wkind_ops worker_copy = {setup, verify, slice};
