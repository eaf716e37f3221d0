// SPDX-License-Identifier: Apache-2.0
// What mmap, mprotect, mremap, madvise, msync and munmap do where a routed file takes part. Errors, and their
// order, are the kernel's (mm/mmap.c: do_mmap).
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "libzio/hooks_mem.h"
#include "libzio/real.h"
#include "libzio/route_fsc.h"
#include "libzio/route_map.h"

#define ADDRESSES ((size_t)1 << 47) // of a process
#define KEPT_FLAGS (MAP_NORESERVE | MAP_LOCKED | MAP_POPULATE | MAP_NONBLOCK)
// What MAP_SHARED_VALIDATE allows for files without DAX.
#define KNOWN_FLAGS                                                                                          \
    (MAP_TYPE | MAP_FIXED | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_DENYWRITE | MAP_EXECUTABLE | MAP_LOCKED |    \
     MAP_NORESERVE | MAP_POPULATE | MAP_NONBLOCK | MAP_STACK | MAP_HUGETLB | MAP_FIXED_NOREPLACE |           \
     MAP_32BIT)

static int
file_get(struct route_file *rf, struct rmap_file **out)
{
    struct rmap_file *f;
    struct fsc_info info;
    struct route_guard g;
    struct stat st;
    int err;

    if (!route_file_fsc(rf))
        return route_file_error(rf);
    f = calloc(1, sizeof *f);
    if (!f)
        return -ENOMEM;
    atomic_init(&f->refs, 1);
    f->vol = route_file_vol(rf);
    f->rdwr = (route_file_flags(rf) & O_ACCMODE) == O_RDWR;
    f->file = route_file_fsc(rf);
    route_enter(&g);
    err = fsc.volume_info(f->vol->fs, &info);
    if (!err)
        err = fsc.fstat(f->file, &st);
    if (!err)
        err = fsc.dup(f->file);
    route_leave(&g);
    if (err) {
        free(f);
        return err;
    }
    f->ino = st.st_ino;
    f->room = info.chunk_size;
    atomic_init(&f->size, (uint64_t)st.st_size);
    *out = f;
    return 0;
}

// May a file that was opened with `oflags` be mapped like this?
static int
check_args(size_t len, int prot, int flags, int oflags, off_t off)
{
    int type = flags & MAP_TYPE;

    if (oflags & O_PATH)
        return -EBADF;
    if (off & (off_t)ZPAGE_MASK)
        return -EINVAL;
    if (len == 0)
        return -EINVAL;
    if (len > ADDRESSES)
        return -ENOMEM;
    if ((uint64_t)off + zpage_up(len) < (uint64_t)off || (uint64_t)off + zpage_up(len) > INT64_MAX)
        return -EOVERFLOW;
    if (flags & MAP_SYNC || (type == MAP_SHARED_VALIDATE && flags & ~KNOWN_FLAGS))
        return -EOPNOTSUPP;
    if (type != MAP_SHARED && type != MAP_PRIVATE && type != MAP_SHARED_VALIDATE)
        return -EINVAL;
    if (type != MAP_PRIVATE && prot & PROT_WRITE && (oflags & O_ACCMODE) == O_RDONLY)
        return -EACCES;
    if ((oflags & O_ACCMODE) == O_WRONLY)
        return -EACCES;
    return 0;
}

static void *
fail(int err)
{
    errno = -err;
    return MAP_FAILED;
}

// Addresses for the pieces. They belong to nobody else from here on.
static void *
room_for(void *addr, size_t len, int flags)
{
    if ((flags & MAP_FIXED) && (flags & MAP_FIXED_NOREPLACE) != MAP_FIXED_NOREPLACE) {
        if ((uintptr_t)addr & ZPAGE_MASK)
            return fail(-EINVAL);
        route_map_forget((uintptr_t)addr, (uintptr_t)addr + zpage_up(len));
        return addr;
    }
    return hook_reserve(addr, len, flags & (MAP_FIXED | MAP_FIXED_NOREPLACE | MAP_32BIT));
}

void *
route_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
    struct route_file *rf = route_file_get(fd);
    struct rmap m = {.prot = prot, .keep = flags & KEPT_FLAGS, .offset = (uint64_t)off};
    void *p = MAP_FAILED;
    int err;

    if (!rf)
        return fail(-EBADF);
    err = check_args(len, prot, flags, route_file_flags(rf), off);
    if (!err)
        err = route_bus_install();
    if (!err)
        err = file_get(rf, &m.file);
    route_file_put(rf);
    if (err)
        return fail(err);
    if ((flags & MAP_TYPE) != MAP_PRIVATE)
        m.flags = RMAP_SHARED | (prot & PROT_WRITE ? RMAP_STORE : 0u);
    p = room_for(addr, len, flags);
    if (p != MAP_FAILED) {
        m.start = (uintptr_t)p;
        m.end = m.start + zpage_up(len);
        err = rmap_place(&m, m.start, m.end);
        if (!err)
            err = rmap_add(&m);
    }
    if (err && !(flags & MAP_FIXED))
        real.munmap(p, len);
    if (err || p == MAP_FAILED) {
        int why = err ? -err : errno;

        rmap_file_put(m.file);
        errno = why;
        return MAP_FAILED;
    }
    return p;
}

// What was stored shows in the file's times from now on.
static void
settle(const struct rmap *m)
{
    struct route_guard g;

    if (!(m->flags & RMAP_STORE))
        return;
    route_enter(&g);
    (void)fsc.settle(m->file->file, m->offset, m->end - m->start);
    route_leave(&g);
}

void
route_map_settle(int fd)
{
    struct route_file *rf = fd < 0 ? NULL : route_file_get(fd);
    struct fsc_file *file = rf ? route_file_fsc(rf) : NULL;
    struct route_guard g;
    uint64_t ino = 0;
    struct rmap m;

    if (fd >= 0 && !file)
        goto out;
    if (file) {
        route_enter(&g);
        ino = fsc.file_ino(file);
        route_leave(&g);
    }
    for (uintptr_t a = 0; rmap_next(a, UINTPTR_MAX, &m); a = m.end) {
        if (fd < 0 || (m.file->ino == ino && m.file->vol == route_file_vol(rf)))
            settle(&m);
        rmap_file_put(m.file);
    }
out:
    if (rf)
        route_file_put(rf);
}

void
route_map_forget(uintptr_t start, uintptr_t end)
{
    struct rmap m;

    while (rmap_take(start, end, &m)) {
        settle(&m);
        rmap_file_put(m.file);
    }
}

// What was taken out of the table goes in again.
static void
put_back(struct rmap *m, int prot, unsigned flags)
{
    m->prot = prot;
    m->flags |= flags;
    if (rmap_add(m) != 0)
        rmap_file_put(m->file); // it stays mapped as it is
}

int
route_map_protect(uintptr_t start, uintptr_t end, int prot)
{
    struct rmap m;
    int err = 0;

    if (!(prot & PROT_WRITE))
        return 0;
    for (uintptr_t a = start; !err && rmap_next(a, end, &m); a = m.end) {
        if (m.flags & RMAP_SHARED && !m.file->rdwr)
            err = -EACCES;
        rmap_file_put(m.file);
    }
    for (uintptr_t a = start; !err && rmap_next(a, end, &m); a = m.end) {
        bool announce = m.flags & RMAP_SHARED && !(m.flags & RMAP_STORE);
        struct rmap old;

        // The same pages again, through a descriptor that is announced.
        m.flags |= RMAP_STORE;
        if (announce)
            err = rmap_place(&m, m.start, m.end);
        if (announce && !err && rmap_take(m.start, m.end, &old))
            put_back(&old, old.prot, RMAP_STORE);
        rmap_file_put(m.file);
    }
    return err;
}

void
route_map_protected(uintptr_t start, uintptr_t end, int prot)
{
    struct rmap m;

    for (uintptr_t a = start; rmap_next(a, end, &m); a = m.end) {
        struct rmap old;

        if (m.prot != prot && rmap_take(m.start, m.end, &old))
            put_back(&old, prot, 0);
        rmap_file_put(m.file);
    }
}

int
route_msync(uintptr_t start, uintptr_t end, int flags)
{
    struct route_guard g;
    struct rmap m;
    int err = 0;

    for (uintptr_t a = start; rmap_next(a, end, &m); a = m.end) {
        settle(&m);
        if (flags & MS_SYNC && m.flags & RMAP_SHARED && !err) {
            route_enter(&g);
            err = fsc.fsync(m.file->file);
            route_leave(&g);
        }
        rmap_file_put(m.file);
    }
    return err;
}

// MADV_REMOVE punches a hole, which must be the file's, not the chunk's.
int
route_madvise(uintptr_t start, uintptr_t end, int advice, bool *done)
{
    struct route_guard g;
    struct rmap m;
    int err = 0;

    *done = false;
    if (advice != MADV_REMOVE)
        return 0;
    for (uintptr_t a = start; !err && a < end && rmap_next(a, end, &m); a = m.end) {
        *done = true;
        if (m.start != a)
            err = -ENOMEM;
        else if (!(m.flags & RMAP_SHARED) || !m.file->rdwr)
            err = -EACCES;
        if (!err) {
            route_enter(&g);
            err = fsc.fallocate(m.file->file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, m.offset,
                                m.end - m.start);
            route_leave(&g);
        }
        rmap_file_put(m.file);
    }
    return err;
}

void
route_map_advised(uintptr_t start, uintptr_t end, int advice)
{
    struct rmap m;

    if (advice != MADV_DONTNEED)
        return;
    // Of a private mapping, the file's bytes come back; those in anonymous pages by our hand.
    for (uintptr_t a = start; rmap_next(a, end, &m); a = m.end) {
        if (!(m.flags & RMAP_SHARED))
            (void)rmap_place(&m, m.start, m.end);
        rmap_file_put(m.file);
    }
}

// What the file has grown by, but for what is in the chunk that it had, is to be put in place.
static void
grown(const struct rmap *m, uint64_t size)
{
    uint64_t was = atomic_load(&m->file->size), from = zpage_down(was), end = zpage_up(size);
    uint64_t first = m->offset, last = m->offset + (m->end - m->start);

    if (size <= was || (was > 0 && (was - 1) / m->file->room == (size - 1) / m->file->room))
        return;
    from = from < first ? first : from;
    end = end > last ? last : end;
    if (from < end) // what can't be had now, an access asks for again
        (void)rmap_place(m, m->start + (from - first), m->start + (end - first));
}

// All shared mappings of a file, which has `size` bytes now.
static void
refresh(const struct route_vol *vol, uint64_t ino, uint64_t size)
{
    struct rmap m;

    for (int pass = 0; pass < 2; pass++) { // several may share what they remember of it
        for (uintptr_t a = 0; rmap_next(a, UINTPTR_MAX, &m); a = m.end) {
            if (m.file->ino == ino && m.file->vol == vol) {
                if (pass == 1)
                    atomic_store(&m.file->size, size);
                else if (m.flags & RMAP_SHARED)
                    grown(&m, size);
            }
            rmap_file_put(m.file);
        }
    }
}

void
route_map_changed(struct route_file *rf)
{
    struct route_guard g;
    struct stat st;
    int err;

    if (!route_file_fsc(rf))
        return;
    route_enter(&g);
    err = fsc.fstat(route_file_fsc(rf), &st);
    route_leave(&g);
    if (!err)
        refresh(route_file_vol(rf), st.st_ino, (uint64_t)st.st_size);
}

void
route_map_fd_changed(int fd)
{
    int saved = errno;
    struct route_file *rf = route_file_get(fd);

    if (rf) {
        route_map_changed(rf);
        route_file_put(rf);
    }
    errno = saved;
}

void
route_map_ready(const struct iovec *iov, int n)
{
    struct route_guard g;
    struct stat st;
    struct rmap m;
    int err;

    for (int i = 0; i < n; i++) {
        uintptr_t a = (uintptr_t)iov[i].iov_base, end = a + iov[i].iov_len;

        if (!rmap_meets(iov[i].iov_base, iov[i].iov_len))
            continue;
        for (; rmap_next(a, end, &m); a = m.end) {
            route_enter(&g);
            err = fsc.fstat(m.file->file, &st);
            route_leave(&g);
            if (!err && (uint64_t)st.st_size != atomic_load(&m.file->size))
                refresh(m.file->vol, m.file->ino, (uint64_t)st.st_size);
            rmap_file_put(m.file);
        }
    }
}

bool
rmap_fault(uintptr_t addr)
{
    static _Thread_local uintptr_t last __attribute__((tls_model("initial-exec")));
    static _Thread_local uint64_t last_version __attribute__((tls_model("initial-exec")));
    static _Thread_local int tries __attribute__((tls_model("initial-exec")));
    uintptr_t page = zpage_down(addr);
    struct route_guard g;
    uint64_t version;
    struct stat st;
    struct rmap m;
    bool there;

    if (!rmap_meets((void *)page, 1) || route_depth > 0 || !rmap_find(page, &m))
        return false;
    route_enter(&g);
    version = fsc.file_version(m.file->file);
    there = fsc.fstat(m.file->file, &st) == 0 && m.offset + (page - m.start) < (uint64_t)st.st_size;
    route_leave(&g);
    // Where it is in place and does not come all the same, the disk can't be read.
    tries = page == last && version == last_version ? tries + 1 : 0;
    last = page;
    last_version = version;
    there = there && tries < 3 && rmap_place_at(&m, page) == 0;
    rmap_file_put(m.file);
    return there;
}
