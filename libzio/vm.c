// SPDX-License-Identifier: Apache-2.0
// See vm.h. The range is PROT_NONE until it is handed out, so that neither core dumps nor strict overcommit
// see the part that nobody uses.
#include "libzio/vm.h"

#include <errno.h>
#include <sys/mman.h>

#include "libzio/meta.h"
#include "libzio/sys.h"

// Granules per class: 1 to 8, then four steps to each doubling, up to 1 GiB.
static size_t
class_granules(int cls)
{
    int g, step;

    if (cls < 8)
        return (size_t)cls + 1;
    g = (cls - 8) / 4;
    step = (cls - 8) % 4 + 1;
    return ((size_t)8 << g) + ((size_t)step << (g + 1));
}

size_t
vm_class_size(int cls)
{
    return class_granules(cls) << VM_GRANULE_SHIFT;
}

int
vm_class_of(size_t bytes)
{
    size_t g = (bytes + VM_GRANULE - 1) >> VM_GRANULE_SHIFT;
    int cls, e;

    if (bytes > (size_t)1 << 40)
        return -1;
    if (g <= 8)
        return g ? (int)g - 1 : 0;
    e = 63 - __builtin_clzll(g - 1); // 2^e <= g - 1 < 2^(e+1), e >= 3
    cls = 8 + (e - 3) * 4 + (int)((g - 1 - ((size_t)1 << e)) >> (e - 2));
    return cls < VM_CLASSES && class_granules(cls) <= 16384 ? cls : -1;
}

int
vm_reserve(struct vmrange *vm, size_t size)
{
    for (; size >= (size_t)256 << 20; size /= 2) {
        long p = zsys6(SYS_mmap, 0, (long)(size + VM_GRANULE), PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

        if (p < 0 && p > -4096)
            continue;
        vm->maxslots = (uint32_t)(size >> VM_GRANULE_SHIFT);
        vm->slot_of = meta_map(vm->maxslots * sizeof(*vm->slot_of));
        if (!vm->slot_of) {
            zsys2(SYS_munmap, p, size + VM_GRANULE);
            return -ENOMEM;
        }
        vm->base = ((uintptr_t)p + VM_GRANULE - 1) & ~(VM_GRANULE - 1);
        vm->size = size;
        return 0;
    }
    return -ENOMEM;
}

long
vm_carve(struct vmrange *vm, int cls, uintptr_t *base)
{
    size_t size = vm_class_size(cls), i;

    if (!vm->base || size > vm->size - vm->bump)
        return -ENOMEM;
    while (vm->committed < vm->bump + size) {
        size_t step = vm->size - vm->committed;

        if (step > VM_COMMIT)
            step = VM_COMMIT;
        if (zsys3(SYS_mprotect, vm->base + vm->committed, step, PROT_READ | PROT_WRITE) < 0)
            return -ENOMEM;
        vm->committed += step;
    }
    *base = vm->base + vm->bump;
    vm->nslots++;
    for (i = 0; i < size >> VM_GRANULE_SHIFT; i++)
        vm->slot_of[(vm->bump >> VM_GRANULE_SHIFT) + i] = vm->nslots;
    vm->bump += size;
    return vm->nslots - 1;
}

void
vm_release_rest(struct vmrange *vm)
{
    if (vm->base && vm->size > vm->bump)
        zsys2(SYS_munmap, vm->base + vm->bump, vm->size - vm->bump);
    vm->size = vm->bump;
    if (vm->committed > vm->bump)
        vm->committed = vm->bump;
}
