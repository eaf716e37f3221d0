// SPDX-License-Identifier: Apache-2.0
// The search of ld.so(8) for needed libraries, as far as it leads into volumes: a library that it would find
// in the kernel's tree is left to it. A library that was loaded before under the name (SONAME) that is needed
// is not looked for: so those that are found here are loaded first, by other paths to the same bytes.
//
// Only ELF files of this machine are looked at; what is not understood is as if it needed nothing.
#include "libzio/route_libs.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libzio/real.h"
#include "libzio/route_priv.h"
#include "libzio/sys.h"

#define SEGMENTS 32
#define DYNAMIC 256
#define NEEDED 48

// What one file says.
struct object {
    int fd;
    Elf64_Phdr ph[SEGMENTS];
    int nph;
    Elf64_Dyn dyn[DYNAMIC];
    int ndyn;
    uint64_t strings; // offset in the file
    uint64_t needed[NEEDED];
    int nneeded;
    bool has_runpath;
    char rpath[PATH_MAX]; // RUNPATH, or RPATH; "": none
    char origin[PATH_MAX];
};

struct search {
    struct route_libs libs;
    struct object o;
    const char *library_path;
    char main_rpath[PATH_MAX],
        main_origin[PATH_MAX]; // of the program, if it has RPATH: good for all it loads
};

static bool
bytes_at(int fd, void *buf, size_t n, uint64_t off)
{
    return pread(fd, buf, n, (off_t)off) == (ssize_t)n;
}

// A string; true: whole in buf.
static bool
string_at(struct object *o, uint64_t off, char *buf, size_t size)
{
    ssize_t n = pread(o->fd, buf, size, (off_t)(o->strings + off));

    return n > 0 && memchr(buf, '\0', (size_t)n);
}

// ---- one file ----

static bool
place_of(const struct object *o, uint64_t address, uint64_t *off)
{
    for (int i = 0; i < o->nph; i++)
        if (o->ph[i].p_type == PT_LOAD && address >= o->ph[i].p_vaddr &&
            address - o->ph[i].p_vaddr < o->ph[i].p_filesz) {
            *off = address - o->ph[i].p_vaddr + o->ph[i].p_offset;
            return true;
        }
    return false;
}

static bool
read_dynamic(struct object *o)
{
    Elf64_Ehdr h;

    if (!bytes_at(o->fd, &h, sizeof h, 0) || memcmp(h.e_ident, ELFMAG, SELFMAG) != 0 ||
        h.e_ident[EI_CLASS] != ELFCLASS64 || h.e_machine != EM_X86_64 || h.e_phentsize != sizeof o->ph[0] ||
        h.e_phnum == 0 || h.e_phnum > SEGMENTS)
        return false;
    o->nph = h.e_phnum;
    if (!bytes_at(o->fd, o->ph, (size_t)o->nph * sizeof o->ph[0], h.e_phoff))
        return false;
    for (int i = 0; i < o->nph; i++)
        if (o->ph[i].p_type == PT_DYNAMIC) {
            o->ndyn = (int)min_of(o->ph[i].p_filesz / sizeof o->dyn[0], DYNAMIC);
            return bytes_at(o->fd, o->dyn, (size_t)o->ndyn * sizeof o->dyn[0], o->ph[i].p_offset);
        }
    return false; // static
}

static bool
read_object(struct object *o, const char *path)
{
    uint64_t run = 0, rpath = 0, table = 0;
    const char *slash = strrchr(path, '/');

    o->nneeded = o->ndyn = 0;
    o->rpath[0] = '\0';
    if (!read_dynamic(o))
        return false;
    for (int i = 0; i < o->ndyn && o->dyn[i].d_tag != DT_NULL; i++)
        switch (o->dyn[i].d_tag) {
        case DT_NEEDED:
            if (o->nneeded < NEEDED)
                o->needed[o->nneeded++] = o->dyn[i].d_un.d_val;
            break;
        case DT_STRTAB:
            table = o->dyn[i].d_un.d_ptr;
            break;
        case DT_RUNPATH:
            run = o->dyn[i].d_un.d_val;
            break;
        case DT_RPATH:
            rpath = o->dyn[i].d_un.d_val;
            break;
        default:
            break;
        }
    if (!place_of(o, table, &o->strings))
        return false;
    o->has_runpath = run != 0;
    if ((run || rpath) && !string_at(o, run ? run : rpath, o->rpath, sizeof o->rpath))
        o->rpath[0] = '\0';
    snprintf(o->origin, sizeof o->origin, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    return true;
}

// ---- directories ----

static bool
in_volume(const char *dir, size_t n)
{
    for (int i = 0; i < route_nvols; i++) {
        const struct route_vol *v = &route_vols[i];

        if (n >= v->prefix_len && strncmp(dir, v->prefix, v->prefix_len) == 0 &&
            (n == v->prefix_len || dir[v->prefix_len] == '/'))
            return true;
    }
    return false;
}

bool
route_libs_path(const char *list)
{
    for (const char *p = list; p && *p; p += strcspn(p, ":;"), p += *p != '\0')
        if (in_volume(p, strcspn(p, ":;")))
            return true;
    return false;
}

// One directory of a list with $ORIGIN in its place. False: not understood.
static bool
expand(const char *dir, size_t n, const char *origin, char *out, size_t size)
{
    size_t k = 0;

    while (n > 0) {
        size_t skip = n >= 7 && strncmp(dir, "$ORIGIN", 7) == 0     ? 7
                      : n >= 9 && strncmp(dir, "${ORIGIN}", 9) == 0 ? 9
                                                                    : 0;

        if (skip) {
            size_t m = strlen(origin);

            if (k + m >= size)
                return false;
            memcpy(out + k, origin, m);
            k += m;
            dir += skip;
            n -= skip;
            continue;
        }
        if (*dir == '$' || k + 1 >= size)
            return false;
        out[k++] = *dir++;
        n--;
    }
    out[k] = '\0';
    return k > 0;
}

// The first directory of the list that has it, and that is in a volume: 1. 0: none has it; -1: one has that
// ld.so finds itself.
static int
look(const char *list, const char *origin, const char *name, char out[PATH_MAX])
{
    char dir[PATH_MAX];

    for (const char *p = list; *p; p += *p != '\0') {
        size_t n = strcspn(p, ":;");
        bool ok = expand(p, n, origin, dir, sizeof dir);

        p += n;
        if (!ok || (size_t)snprintf(out, PATH_MAX, "%s/%s", dir, name) >= PATH_MAX || access(out, R_OK) != 0)
            continue;
        return in_volume(out, strlen(out)) ? 1 : -1;
    }
    return 0;
}

bool
route_libs_named(const char *name, const char *library_path, char out[PATH_MAX])
{
    return library_path && look(library_path, ".", name, out) > 0;
}

// ---- all ----

static void
add(struct search *s, const char *name, const char *path, int parent)
{
    struct route_lib *l;

    for (int i = 0; i < s->libs.n; i++)
        if (strcmp(s->libs.lib[i].name, name) == 0)
            return;
    if (s->libs.n == ROUTE_LIBS_MAX)
        return;
    l = &s->libs.lib[s->libs.n++];
    l->parent = parent;
    snprintf(l->name, sizeof l->name, "%s", name);
    snprintf(l->path, sizeof l->path, "%s", path);
}

// What the file at `path` needs: the order is that of ld.so(8).
static void
needs_of(struct search *s, const char *path, int self)
{
    struct object *o = &s->o;
    char name[ROUTE_LIB_NAME], found[PATH_MAX];

    o->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (o->fd < 0)
        return;
    if (read_object(o, path)) {
        if (self < 0 && !o->has_runpath) {
            memcpy(s->main_rpath, o->rpath, sizeof s->main_rpath);
            memcpy(s->main_origin, o->origin, sizeof s->main_origin);
        }
        for (int i = 0; i < o->nneeded; i++) {
            int r = 0;

            if (!string_at(o, o->needed[i], name, sizeof name) || strchr(name, '/'))
                continue;
            if (!o->has_runpath)
                r = look(o->rpath, o->origin, name, found);
            if (!r && !o->has_runpath)
                r = look(s->main_rpath, s->main_origin, name, found);
            if (!r && s->library_path)
                r = look(s->library_path, ".", name, found);
            if (!r && o->has_runpath)
                r = look(o->rpath, o->origin, name, found);
            if (r > 0)
                add(s, name, found, self);
        }
    }
    close(o->fd);
}

struct route_libs *
route_libs_find(const char *file, const char *library_path)
{
    struct search *s = real.mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (s == MAP_FAILED)
        return NULL;
    s->library_path = library_path;
    needs_of(s, file, -1);
    for (int i = 0; i < s->libs.n; i++)
        needs_of(s, s->libs.lib[i].path, i);
    if (s->libs.n > 0)
        return &s->libs;
    real.munmap(s, sizeof *s);
    return NULL;
}

void
route_libs_free(struct route_libs *l)
{
    if (l)
        real.munmap(l, sizeof(struct search));
}
