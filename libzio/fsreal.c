// SPDX-License-Identifier: Apache-2.0
// See fsreal.h.
#include "libzio/fsreal.h"

#include <dlfcn.h>
#include <stdint.h>

struct fs_reals fs_real_table;
bool fs_real_ready;

// Two threads may do this at once: both find the same.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
void
fs_real_init(void)
{
    if (fs_real_ready)
        return;
#define X(name) fs_real_table.name = (__typeof__(fs_real_table.name))(uintptr_t)dlsym(RTLD_NEXT, #name);
    FS_REALS(X)
#undef X
    __atomic_store_n(&fs_real_ready, true, __ATOMIC_RELEASE);
}
#pragma GCC diagnostic pop

static __attribute__((constructor)) void
find_all(void)
{
    fs_real_init();
}
