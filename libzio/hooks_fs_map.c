// SPDX-License-Identifier: Apache-2.0
// Calls that map files without saying so: dlopen of a library in a volume, which the dynamic linker gets as
// the chunk's own file. (What it needs in turn, by DT_NEEDED, the linker looks for by itself, and not in
// volumes.) And remap_file_pages, which would need the chunk's page numbers.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libzio/real.h"
#include "libzio/route_map.h"

struct library {
    int fd; // -1: native
    char path[PATH_MAX];
};

// All of it into memory, where it lies in several chunks or holes.
static int
copy_library(struct fsc_file *file, uint64_t size)
{
    int fd = memfd_create("library", MFD_CLOEXEC);
    void *p;
    ssize_t n;

    if (fd < 0)
        return -errno;
    p = ftruncate(fd, (off_t)size) != 0 ? MAP_FAILED : mmap(NULL, size, PROT_WRITE, MAP_SHARED, fd, 0);
    n = p == MAP_FAILED ? -ENOMEM : fsc.pread(file, p, size, 0);
    if (p != MAP_FAILED)
        munmap(p, size);
    if (n < 0)
        close(fd);
    return n < 0 ? (int)n : fd;
}

static long
library_in(struct route_target *t, void *arg)
{
    struct library *lib = arg;
    struct fsc_file *file;
    struct fsc_chunk c;
    struct stat st;
    int err = fsc.open(t->vol->fs, &t->at, t->path, O_RDONLY, 0, &file);

    if (err)
        return err;
    err = fsc.fstat(file, &st);
    if (!err)
        err = fsc.verify(file, 0, (uint64_t)st.st_size);
    if (!err)
        err = fsc.chunk_fd(file, 0, 0, &c);
    if (!err && c.fd >= 0 && c.length == (uint64_t)st.st_size) {
        lib->fd = c.fd;
    } else if (!err) {
        if (c.fd >= 0)
            close(c.fd);
        lib->fd = st.st_size > 0 ? copy_library(file, (uint64_t)st.st_size) : -ENOEXEC;
        err = lib->fd < 0 ? lib->fd : 0;
    }
    fsc.close(file);
    route_target_text(t, lib->path);
    return err;
}

// A link may have led out of a volume, or into one and out again.
static long
library_out(int dirfd, const char *path, void *arg)
{
    struct library *lib = arg;

    if (dirfd != AT_FDCWD || (size_t)snprintf(lib->path, sizeof lib->path, "%s", path) >= sizeof lib->path) {
        errno = ENOENT;
        return -1;
    }
    return 0;
}

// The name that the linker is to be told: our descriptor's, or the native path. -1: to be left to the linker,
// which says what is wrong.
static int
find_library(const char *name, struct library *lib, char out[PATH_MAX])
{
    lib->fd = -1;
    lib->path[0] = '\0';
    if (route_call(AT_FDCWD, name, 0, library_in, library_out, lib) < 0)
        return -1;
    if (lib->fd < 0)
        return snprintf(out, PATH_MAX, "%s", lib->path) < PATH_MAX ? 0 : -1;
    return snprintf(out, PATH_MAX, "/proc/self/fd/%d", lib->fd) > 0 ? 0 : -1;
}

// dladdr and the program itself are to see the name that the library has.
static void
opened(void *handle, struct library *lib)
{
    struct route_guard g;
    struct link_map *map = handle;

    if (lib->fd < 0)
        return;
    if (handle && strncmp(map->l_name, "/proc/self/fd/", 14) == 0) {
        char *name = strdup(lib->path); // the linker frees it when the library goes

        if (name)
            map->l_name = name;
    }
    route_enter(&g);
    close(lib->fd);
    route_leave(&g);
}

static __attribute__((noinline)) void *
open_routed(Lmid_t space, bool has_space, const char *name, int mode)
{
    struct library *lib = malloc(sizeof *lib);
    char path[PATH_MAX];
    void *handle;

    if (lib && find_library(name, lib, path) == 0)
        name = path;
    handle = has_space ? real.dlmopen(space, name, mode) : real.dlopen(name, mode);
    if (lib)
        opened(handle, lib);
    free(lib);
    return handle;
}

// A tail call where no volume can take part: the linker looks at the caller's address (RUNPATH, namespace).
ZIO_EXPORT void *
dlopen(const char *name, int mode)
{
    if (unlikely(!zio_real_ready))
        zio_real_init();
    if (route_idle() || !name || !strchr(name, '/'))
        return real.dlopen(name, mode);
    return open_routed(0, false, name, mode);
}

ZIO_EXPORT void *
dlmopen(Lmid_t space, const char *name, int mode)
{
    if (unlikely(!zio_real_ready))
        zio_real_init();
    if (route_idle() || !name || !strchr(name, '/'))
        return real.dlmopen(space, name, mode);
    return open_routed(space, true, name, mode);
}

ZIO_EXPORT int
remap_file_pages(void *addr, size_t len, int prot, size_t pgoff, int flags)
{
    if (unlikely(!zio_real_ready))
        zio_real_init();
    if (rmap_meets(addr, len)) {
        route_refused("remap_file_pages");
        errno = EINVAL;
        return -1;
    }
    return real.remap_file_pages(addr, len, prot, pgoff, flags);
}
