// SPDX-License-Identifier: Apache-2.0
// See front.h. dlsym() gives a function's address, which in a program that is not position-independent and
// takes that address is a stub in the program itself: an undefined symbol with a value (ELF gABI, "Symbol
// Values"). Calls go past it, to the first library that defines the name.
#include "libzio/front.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "libzio/zio.h"

static bool
defines(const struct link_map *m, const char *name)
{
    void *handle = m->l_name[0] ? dlopen(m->l_name, RTLD_LAZY | RTLD_NOLOAD) : NULL, *f;
    Dl_info info;
    bool r;

    if (!handle)
        return false;
    f = dlsym(handle, name); // in what it needs, too
    r = f && dladdr(f, &info) && info.dli_fbase == (void *)m->l_addr;
    dlclose(handle);
    return r;
}

const char *
front_of(const char *name)
{
    const ElfW(Sym) *sym = NULL;
    const struct link_map *m = NULL;
    void *f = dlsym(RTLD_DEFAULT, name), *program;
    Dl_info me, other;

    dladdr((void *)(uintptr_t)front_of, &me);
    if (!f || !dladdr1(f, &other, (void **)&sym, RTLD_DL_SYMENT))
        return "nobody";
    if (other.dli_fbase == me.dli_fbase)
        return NULL;
    if (!sym || sym->st_shndx != SHN_UNDEF || !other.dli_sname || strcmp(other.dli_sname, name) != 0)
        return other.dli_fname;
    program = dlopen(NULL, RTLD_LAZY);
    if (!program || dlinfo(program, RTLD_DI_LINKMAP, &m) < 0)
        return other.dli_fname;
    dlclose(program);
    for (m = m->l_next; m && (void *)m->l_addr != me.dli_fbase; m = m->l_next)
        if (defines(m, name))
            return m->l_name;
    return m ? NULL : other.dli_fname;
}
