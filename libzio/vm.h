// SPDX-License-Identifier: Apache-2.0
// A reserved range of address space cut into slots of size classes. The arena (the program's large
// allocations) and the pool (blocks) are one each. It hands out addresses only: which slots are free, and
// what their pages hold, is the owner's business. Slots are never given back to the range. All under the
// engine's lock.
#ifndef ZIO_VM_H
#define ZIO_VM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VM_GRANULE_SHIFT 16 // slots are multiples of 64 KiB of address space
#define VM_GRANULE ((size_t)1 << VM_GRANULE_SHIFT)
#define VM_CLASSES 64
#define VM_COMMIT ((size_t)64 << 20) // the range is made accessible in steps of this many bytes

struct vmrange {
    uintptr_t base;    // 0 when the range is not there
    size_t size;       // bytes reserved
    size_t bump;       // bytes handed out
    size_t committed;  // bytes accessible
    uint32_t *slot_of; // granule -> slot id + 1, for the slot's first to last granule
    uint32_t nslots;
    uint32_t maxslots;
};

// The class that holds `bytes`, or -1 when none does; and a class's size in bytes.
int vm_class_of(size_t bytes);
size_t vm_class_size(int cls);

// Reserves at most `size` bytes (halved until the kernel agrees, at least 256 MiB). 0 or -errno.
int vm_reserve(struct vmrange *vm, size_t size);

// A new slot of the class: *base is its address. Returns its id, or -ENOMEM.
long vm_carve(struct vmrange *vm, int cls, uintptr_t *base);

// Gives the addresses that were never handed out back to the process.
void vm_release_rest(struct vmrange *vm);

static inline bool
vm_contains(const struct vmrange *vm, uintptr_t addr)
{
    return addr - vm->base < vm->size;
}

// The id of the slot that holds addr, or -1. addr must lie in the range.
static inline long
vm_slot_at(const struct vmrange *vm, uintptr_t addr)
{
    return (long)vm->slot_of[(addr - vm->base) >> VM_GRANULE_SHIFT] - 1;
}

#endif
