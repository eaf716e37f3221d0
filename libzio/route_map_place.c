// SPDX-License-Identifier: Apache-2.0
// The pages of a mapping. Of a shared mapping each piece is the chunk's file itself, which the client library
// keeps in its place (FSC_CHUNK_KEEP). A private mapping, and one of a snapshot, takes the chunks as they
// are: holes, and what a chunk has no bytes for, are anonymous pages. Behind the end of the file there is a
// file without any bytes, so that the kernel raises SIGBUS, as it does for its own.
#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libzio/real.h"
#include "libzio/route_fsc.h"
#include "libzio/route_map.h"

static int
map_fixed(uintptr_t from, uintptr_t to, int prot, int flags, int fd, uint64_t off)
{
    if (from >= to)
        return 0;
    return real.mmap((void *)from, to - from, prot, flags | MAP_FIXED, fd, (off_t)off) == MAP_FAILED ? -errno
                                                                                                     : 0;
}

static int
map_nothing(const struct rmap *m, uintptr_t from, uintptr_t to)
{
    int fd, err;

    if (from >= to)
        return 0;
    fd = memfd_create("zio-nothing", MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    err = map_fixed(from, to, m->prot, m->flags & RMAP_SHARED ? MAP_SHARED : MAP_PRIVATE, fd, 0);
    close(fd);
    return err;
}

static int
map_zeros(const struct rmap *m, uintptr_t from, uintptr_t to)
{
    return map_fixed(from, to, m->prot, MAP_PRIVATE | MAP_ANONYMOUS | m->keep, -1, 0);
}

// A page of which only the first bytes are to be seen.
static int
map_edge(const struct rmap *m, uintptr_t page, int fd, uint64_t off, size_t len)
{
    int err = map_fixed(page, page + ZPAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (err)
        return err;
    if (pread(fd, (void *)page, len, (off_t)off) < 0)
        return -errno;
    return real.mprotect((void *)page, ZPAGE, m->prot) != 0 ? -errno : 0;
}

// Where byte `off` of the file is, within [from, to].
static uintptr_t
at(const struct rmap *m, uint64_t off, uintptr_t from, uintptr_t to)
{
    uintptr_t p = off <= m->offset ? m->start : m->start + (off - m->offset);

    return p < from ? from : p > to ? to : p;
}

// [from, to) is in one chunk, taken as it is.
static int
place_look(const struct rmap *m, uintptr_t from, uintptr_t to, const struct fsc_chunk *c)
{
    int type = m->flags & RMAP_SHARED ? MAP_SHARED : MAP_PRIVATE, err = 0;
    uint64_t off = m->offset + (from - m->start) - c->offset;
    uintptr_t whole, have, end = at(m, zpage_up(c->offset + c->span), from, to);
    struct stat st = {0};
    bool more;

    if (c->fd >= 0 && fstat(c->fd, &st) != 0)
        return -errno;
    // A chunk may have more bytes than count: they were cut off while it was shared.
    more = (uint64_t)st.st_size > c->length;
    whole = at(m, c->offset + (more ? zpage_down(c->length) : zpage_up(c->length)), from, end);
    have = at(m, c->offset + zpage_up(c->length), from, end);
    if (c->fd >= 0)
        err = map_fixed(from, whole, m->prot, type | m->keep, c->fd, off);
    if (!err && whole < have)
        err = map_edge(m, whole, c->fd, zpage_down(c->length), c->length & ZPAGE_MASK);
    if (!err)
        err = map_zeros(m, have, end);
    return err ? err : map_nothing(m, end, to);
}

// One piece from `from` on: up to `to`, or its chunk's end. *next: where the next begins.
static int
place_piece(const struct rmap *m, uintptr_t from, uintptr_t to, uintptr_t *next)
{
    uint64_t off = m->offset + (from - m->start);
    unsigned how = 0;
    struct fsc_chunk c;
    int err;

    if (m->flags & RMAP_SHARED)
        how = FSC_CHUNK_KEEP | (m->file->rdwr ? FSC_CHUNK_WRITE : 0u) |
              (m->flags & RMAP_STORE ? FSC_CHUNK_STORE : 0u);
    err = fsc.chunk_fd(m->file->file, off, how, &c);
    // A reader is not refused for want of space: he gets what there is now.
    if ((err == -ENOSPC || err == -EDQUOT || err == -EROFS) && !(how & FSC_CHUNK_STORE))
        err = fsc.chunk_fd(m->file->file, off, 0, &c);
    if (err)
        return err;
    *next = at(m, c.offset + c.room, from, to);
    if (c.kept && c.fd >= 0)
        err = map_fixed(from, *next, m->prot, MAP_SHARED | m->keep, c.fd, off - c.offset);
    else
        err = place_look(m, from, *next, &c);
    if (c.fd >= 0)
        close(c.fd);
    return err;
}

int
rmap_place(const struct rmap *m, uintptr_t from, uintptr_t to)
{
    struct route_guard g;
    int err = 0;

    route_enter(&g);
    while (!err && from < to)
        err = place_piece(m, from, to, &from);
    route_leave(&g);
    return err;
}

int
rmap_place_at(const struct rmap *m, uintptr_t addr)
{
    struct route_guard g;
    uint64_t off = m->offset + (addr - m->start), chunk = off - off % m->file->room;
    uintptr_t from = addr, next;
    int err;

    // Private pages before this one may be the program's own.
    if (m->flags & RMAP_SHARED)
        from = at(m, chunk, m->start, m->end);
    route_enter(&g);
    err = place_piece(m, from, at(m, chunk + m->file->room, from, m->end), &next);
    route_leave(&g);
    return err;
}
