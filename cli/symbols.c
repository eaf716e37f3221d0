// SPDX-License-Identifier: Apache-2.0
// Names for addresses. Each object file gets its own elfutils session, as programs linked to fixed addresses
// would overlap in one. See symbols.h.
#include "cli/symbols.h"

#include <dlfcn.h>
#include <elfutils/libdwfl.h>
#include <stdlib.h>
#include <string.h>

struct object {
    struct object *next;
    char *path;
    Dwfl *dwfl; // NULL: cannot be read
    Dwfl_Module *mod;
    GElf_Addr bias; // what to add to the object's own addresses
};

// C++ names are shown as they are written, where the C++ library is there to do that (elfutils has no
// demangler).
typedef char *(*demangle_fn)(const char *mangled, char *buf, size_t *len, int *status);

// A C++ name and what it is written as.
struct plain_name {
    struct plain_name *next;
    const char *mangled; // elfutils owns it
    char *plain;         // NULL: not a C++ name after all
};

struct symbols {
    struct object *objects;
    demangle_fn demangle; // NULL: none
    struct plain_name *names;
};

static char *debuginfo_path; // NULL: elfutils' default, below /usr/lib/debug

static const Dwfl_Callbacks callbacks = {
    .find_elf = dwfl_build_id_find_elf,
    .find_debuginfo = dwfl_standard_find_debuginfo,
    .section_address = dwfl_offline_section_address,
    .debuginfo_path = &debuginfo_path,
};

struct symbols *
symbols_new(void)
{
    struct symbols *s = calloc(1, sizeof *s);
    void *lib =
        s ? dlopen("libstdc++.so.6", RTLD_LAZY | RTLD_LOCAL) : NULL; // stays for the life of the process

    if (lib)
        s->demangle = (demangle_fn)dlsym(lib, "__cxa_demangle");
    return s;
}

static const char *
plain(struct symbols *s, const char *mangled)
{
    struct plain_name *n;
    int status;

    if (!mangled || strncmp(mangled, "_Z", 2) != 0 || !s->demangle)
        return mangled;
    for (n = s->names; n; n = n->next)
        if (n->mangled == mangled)
            return n->plain ? n->plain : mangled;
    n = calloc(1, sizeof *n);
    if (!n)
        return mangled;
    *n = (struct plain_name){s->names, mangled, s->demangle(mangled, NULL, NULL, &status)};
    s->names = n;
    return n->plain ? n->plain : mangled;
}

void
symbols_free(struct symbols *s)
{
    while (s && s->objects) {
        struct object *o = s->objects;

        s->objects = o->next;
        if (o->dwfl)
            dwfl_end(o->dwfl);
        free(o->path);
        free(o);
    }
    while (s && s->names) {
        struct plain_name *n = s->names;

        s->names = n->next;
        free(n->plain);
        free(n);
    }
    free(s);
}

static void
object_open(struct object *o)
{
    o->dwfl = dwfl_begin(&callbacks);
    if (!o->dwfl)
        return;
    o->mod = dwfl_report_offline(o->dwfl, o->path, o->path, -1);
    dwfl_report_end(o->dwfl, NULL, NULL);
    if (o->mod && dwfl_module_getelf(o->mod, &o->bias))
        return;
    dwfl_end(o->dwfl);
    o->dwfl = NULL;
}

static struct object *
object_find(struct symbols *s, const char *path)
{
    struct object *o;

    for (o = s->objects; o; o = o->next)
        if (strcmp(o->path, path) == 0)
            return o;
    o = calloc(1, sizeof *o);
    if (!o)
        return NULL;
    o->path = strdup(path);
    if (!o->path) {
        free(o);
        return NULL;
    }
    object_open(o);
    o->next = s->objects;
    s->objects = o;
    return o;
}

void
symbols_lookup(struct symbols *s, const char *path, uint64_t address, struct symbol *out)
{
    struct object *o = *path == '/' ? object_find(s, path) : NULL;
    GElf_Off offset = 0;
    Dwfl_Line *line;
    GElf_Sym sym;

    memset(out, 0, sizeof *out);
    if (!o || !o->dwfl)
        return;
    // A return address is behind the call; one byte back is inside it.
    address += o->bias - 1;
    out->name = plain(s, dwfl_module_addrinfo(o->mod, address, &offset, &sym, NULL, NULL, NULL));
    out->offset = offset + 1;
    line = dwfl_module_getsrc(o->mod, address);
    if (line)
        out->file = dwfl_lineinfo(line, NULL, &out->line, NULL, NULL, NULL);
}
