// SPDX-License-Identifier: Apache-2.0
// See real.h. Hooks run before our constructor does (other libraries' constructors call them), so the table
// fills itself at the first need; a few bytes serve what dlsym itself might allocate meanwhile.
#include "libzio/real.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>

struct zio_reals real;
int (*real_clone)(int (*)(void *), void *, int, void *, ...);
void *(*real_mremap)(void *, size_t, size_t, int, ...);
long (*real_syscall)(long, ...);
bool zio_real_ready;

void
zio_real_init(void)
{
    static bool busy;

    if (zio_real_ready || busy)
        return;
    busy = true;
#define X(ret, name, args) real.name = (ret(*) args)(uintptr_t)dlsym(RTLD_NEXT, #name);
    ZIO_REALS(X)
#undef X
    real_clone = (int (*)(int (*)(void *), void *, int, void *, ...))(uintptr_t)dlsym(RTLD_NEXT, "clone");
    real_mremap = (void *(*)(void *, size_t, size_t, int, ...))(uintptr_t)dlsym(RTLD_NEXT, "mremap");
    real_syscall = (long (*)(long, ...))(uintptr_t)dlsym(RTLD_NEXT, "syscall");
    route_real_vfork = (pid_t(*)(void))(uintptr_t)dlsym(RTLD_NEXT, "vfork");
    busy = false;
    zio_real_ready = true;
}
