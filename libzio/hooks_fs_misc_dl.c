// SPDX-License-Identifier: Apache-2.0
// dlopen of a library that lies in a volume: the dynamic linker opens and maps by itself, so that it is given
// another path to the same bytes. A file that is one chunk on this machine has one, the chunk's own; then a
// library that is opened twice is found to be the same, as natively. Any other is copied into a memfd, once
// for each version of the file.
//
// The C library looks at who calls (RPATH, $ORIGIN, the namespace), so that the hook has to be a jump: see
// the end.
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "libzio/hooks_fs.h"
#include "libzio/route_libs.h"

#define COPY_PATH 40

struct copy {
    struct copy *next;
    struct route_vol *vol;
    uint64_t ino;
    struct timespec changed; // its ctime: reading leaves that alone
    char path[COPY_PATH];
};
struct text {
    struct text *next;
    char path[];
};
static struct text *texts;
static struct copy *copies; // for ever: what is loaded may be opened again
static pthread_mutex_t copies_lock = PTHREAD_MUTEX_INITIALIZER;

static ssize_t
copy_bytes(struct fsc_file *file, int fd)
{
    size_t room = 1 << 20;
    char *buf = malloc(room);
    off_t at = 0;
    ssize_t n = buf ? 0 : -ENOMEM;

    while (buf) {
        FS_INSIDE(n, fsc.pread(file, buf, room, (uint64_t)at));
        if (n <= 0)
            break;
        for (ssize_t done = 0; done < n;) {
            ssize_t k = pwrite(fd, buf + done, (size_t)(n - done), at + done);

            if (k < 0) {
                free(buf);
                return -errno;
            }
            done += k;
        }
        at += n;
    }
    free(buf);
    return n;
}

// A copy in memory; its path, or NULL.
static const char *
copied(struct route_vol *vol, struct fsc_file *file, const char *name)
{
    uint64_t ino = fsc.file_ino(file);
    struct stat st;
    int r;
    const char *base = strrchr(name, '/');
    struct copy *c;
    int fd;

    FS_INSIDE(r, fsc.fstat(file, &st));
    if (r < 0)
        return NULL;
    for (c = copies; c; c = c->next)
        if (c->vol == vol && c->ino == ino && c->changed.tv_sec == st.st_ctim.tv_sec &&
            c->changed.tv_nsec == st.st_ctim.tv_nsec)
            return c->path;
    c = malloc(sizeof(*c));
    fd = c ? memfd_create(base ? base + 1 : name, MFD_CLOEXEC) : -1;
    if (fd < 0 || copy_bytes(file, fd) < 0) {
        if (fd >= 0)
            close(fd);
        free(c);
        return NULL;
    }
    fd = zio_high_fd(fd); // stays open: the path leads through it
    *c = (struct copy){.next = copies, .vol = vol, .ino = ino, .changed = st.st_ctim};
    snprintf(c->path, sizeof(c->path), "/proc/self/fd/%d", fd);
    copies = c;
    return c->path;
}

bool
fs_one_chunk(struct fsc_file *file, char *path, size_t size)
{
    struct fsc_extent e[2];
    struct stat st;
    ssize_t n;
    bool yes;

    FS_INSIDE(n, fsc.fstat(file, &st));
    if (n < 0 || st.st_size == 0)
        return false;
    FS_INSIDE(n, fsc.get_layout(file, 0, (uint64_t)st.st_size, e, 2));
    if (n != 1 || e[0].path[0] != '/' || e[0].length < (uint64_t)st.st_size || strlen(e[0].path) >= size)
        return false;
    FS_INSIDE(yes, FS_REAL(faccessat)(AT_FDCWD, e[0].path, R_OK, AT_EACCESS) == 0);
    strcpy(path, e[0].path);
    return yes;
}

// The same string for ever: the jump below has no stack of its own to keep it.
static const char *
kept(const char *path)
{
    struct text *t;

    pthread_mutex_lock(&copies_lock);
    for (t = texts; t && strcmp(t->path, path) != 0; t = t->next)
        ;
    if (!t && (t = malloc(sizeof(*t) + strlen(path) + 1))) {
        strcpy(t->path, path);
        t->next = texts;
        texts = t;
    }
    pthread_mutex_unlock(&copies_lock);
    return t ? t->path : NULL;
}

// What the dynamic linker is to open for `name`: the name itself where it is not a volume's.
static const char *
other_path(const char *name)
{
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    struct route_file *f = fd < 0 ? NULL : route_file_get(fd);
    const char *path = NULL;
    char chunk[256];

    if (f && route_file_fsc(f)) {
        if (fs_one_chunk(route_file_fsc(f), chunk, sizeof(chunk))) {
            path = kept(chunk);
        } else {
            pthread_mutex_lock(&copies_lock);
            path = copied(route_file_vol(f), route_file_fsc(f), name);
            pthread_mutex_unlock(&copies_lock);
        }
    }
    if (f)
        route_file_put(f);
    if (fd >= 0)
        close(fd);
    return path ? path : name;
}

// As the program was started with; the dynamic linker looks at it no later.
static const char *
library_path(void)
{
    static _Atomic(const char *) value;
    const char *v = atomic_load(&value);

    if (!v) {
        v = getenv("LD_LIBRARY_PATH");
        v = strdup(v ? v : "");
        atomic_store(&value, v ? v : "");
    }
    return v ? v : "";
}

// What it needs of libraries in volumes is loaded before, the innermost first, and stays. (One without a
// SONAME is not known by its name afterwards, and the dynamic linker does not find it.)
static void
load_needed(const char *name)
{
    struct route_libs *l;
    char *text = realpath(name, NULL);

    l = text ? route_libs_find(text, library_path()) : NULL;
    for (int i = l ? l->n - 1 : -1; i >= 0; i--) {
        void *loaded = FS_REAL(dlopen)(l->lib[i].name, RTLD_LAZY | RTLD_NOLOAD);

        if (loaded)
            dlclose(loaded);
        else
            FS_REAL(dlopen)(other_path(l->lib[i].path), RTLD_LAZY);
    }
    route_libs_free(l);
    free(text);
}

__attribute__((used)) static const char *
dl_path(const char *name)
{
    int saved = errno;
    char found[PATH_MAX];

    if (!route_idle() && name && *name && !strchr(name, '/') && route_libs_path(library_path()) &&
        route_libs_named(name, library_path(), found))
        name = kept(found);
    if (!route_idle() && name && strchr(name, '/') && fs_takes_part(name)) {
        load_needed(name);
        name = other_path(name);
    }
    errno = saved;
    return name;
}

__attribute__((used)) static __typeof__(&dlopen)
dl_real(void)
{
    return &FS_REAL(dlopen);
}

__asm__(".globl dlopen\n"
        ".type dlopen, @function\n"
        "dlopen:\n"
        "\t.cfi_startproc\n"
        "\tpush %rsi\n" // flags
        "\t.cfi_adjust_cfa_offset 8\n"
        "\tcall dl_path\n"
        "\tpush %rax\n"
        "\t.cfi_adjust_cfa_offset 8\n"
        "\tsub $8, %rsp\n" // calls want 16
        "\t.cfi_adjust_cfa_offset 8\n"
        "\tcall dl_real\n"
        "\tadd $8, %rsp\n"
        "\t.cfi_adjust_cfa_offset -8\n"
        "\tpop %rdi\n"
        "\t.cfi_adjust_cfa_offset -8\n"
        "\tpop %rsi\n"
        "\t.cfi_adjust_cfa_offset -8\n"
        "\tjmp *%rax\n"
        "\t.cfi_endproc\n"
        "\t.size dlopen, . - dlopen\n");
