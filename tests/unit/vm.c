// SPDX-License-Identifier: Apache-2.0
// The reserved range and its size classes.
#include "libzio/vm.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "tests/unit/unit.h"

#define LARGEST ((size_t)1 << 30) // of the classes
#define MIB ((size_t)1 << 20)

static int last_class; // the largest

static void
classes_grow(void **state)
{
    size_t before = 0;
    int n = 0;

    for (int c = 0; c < VM_CLASSES && vm_class_size(c) <= LARGEST; c++, n++) {
        size_t size = vm_class_size(c);

        assert_true(size > before);
        assert_int_equal(size % VM_GRANULE, 0);
        assert_true(c < 8 || size <= before + before / 4); // at most a fifth of a slot is waste
        before = size;
    }
    assert_int_equal(before, LARGEST);
    assert_int_equal(vm_class_size(0), VM_GRANULE);
    last_class = n - 1;
}

// The smallest class that holds the bytes, by looking at all.
static int
naive_class(size_t bytes)
{
    for (int c = 0; c <= last_class; c++)
        if (vm_class_size(c) >= bytes)
            return c;
    return -1;
}

static void
class_of(void **state)
{
    unit_seed(21);
    for (int c = 0; c <= last_class; c++)
        for (int d = -2; d <= 2; d++) {
            size_t bytes = vm_class_size(c) + (size_t)(ptrdiff_t)d;

            assert_int_equal(vm_class_of(bytes), naive_class(bytes));
        }
    for (size_t g = 0; g <= (LARGEST >> VM_GRANULE_SHIFT) + 2; g++)
        assert_int_equal(vm_class_of(g << VM_GRANULE_SHIFT), naive_class(g << VM_GRANULE_SHIFT));
    for (int n = 0; n < 1000000; n++) {
        size_t bytes = (size_t)(unit_random() >> (24 + unit_below(40)));

        assert_int_equal(vm_class_of(bytes), naive_class(bytes));
    }
    assert_int_equal(vm_class_of(0), 0);
}

static void
class_overflow(void **state)
{
    for (int e = 31; e < 64; e++)
        for (int d = -2; d <= 2; d++)
            assert_int_equal(vm_class_of(((size_t)1 << e) + VM_GRANULE + (size_t)(ptrdiff_t)d), -1);
    for (size_t d = 0; d < 3 * VM_GRANULE; d += 1023)
        assert_int_equal(vm_class_of(SIZE_MAX - d), -1);
    assert_int_equal(vm_class_of(LARGEST + 1), -1);
}

static bool
same(const struct vmrange *a, const struct vmrange *b)
{
    return a->base == b->base && a->size == b->size && a->bump == b->bump && a->committed == b->committed &&
           a->nslots == b->nslots && a->maxslots == b->maxslots && a->slot_of == b->slot_of;
}

struct slot {
    uintptr_t base;
    size_t size;
};

// Random slots until nothing fits: each where the last one ended, in the range, usable; and every granule
// knows its slot.
static void
carve_all(struct vmrange *vm)
{
    static struct slot slots[8192];
    uintptr_t end = vm->base;
    long n = 0;

    for (;;) {
        struct vmrange old = *vm;
        int cls = (int)unit_below(unit_one_in(16) ? (uint32_t)last_class + 1 : 12);
        size_t left = vm->base + vm->size - end, size = vm_class_size(cls);
        uintptr_t base = 1;
        long id;

        if (left < VM_GRANULE)
            break;
        if (left < 12 * VM_GRANULE && size > left)
            cls = 0, size = VM_GRANULE;
        id = vm_carve(vm, cls, &base);
        if (size > left) {
            assert_int_equal(id, -ENOMEM);
            assert_true(same(vm, &old));
            continue;
        }
        assert_int_equal(id, n);
        assert_int_equal(base, end);
        assert_true(vm_contains(vm, base) && vm_contains(vm, base + size - 1));
        end += size;
        slots[n] = (struct slot){base, size};
        *(volatile char *)base = 1; // not a fault
        *(volatile char *)(base + size - 1) = 1;
        assert_true(++n < 8192);
    }
    assert_true(vm_carve(vm, 0, &end) == -ENOMEM);
    assert_int_equal(vm->nslots, n);
    for (long i = 0; i < n; i++)
        for (uintptr_t p = slots[i].base; p < slots[i].base + slots[i].size; p += VM_GRANULE) {
            assert_int_equal(vm_slot_at(vm, p), i);
            assert_int_equal(vm_slot_at(vm, p + VM_GRANULE - 1), i);
        }
}

static void
carve(void **state)
{
    unit_seed(22);
    for (int n = 0; n < 8; n++) {
        struct vmrange vm = {0};
        size_t size = (256 + 64 * unit_below(8)) * MIB;

        assert_int_equal(vm_reserve(&vm, size), 0);
        assert_int_equal(vm.size, size);
        assert_int_equal(vm.base % VM_GRANULE, 0);
        assert_false(vm_contains(&vm, vm.base - 1));
        assert_false(vm_contains(&vm, vm.base + vm.size));
        assert_int_equal(vm_slot_at(&vm, vm.base), -1);
        assert_int_equal(vm_slot_at(&vm, vm.base + vm.size - 1), -1);
        carve_all(&vm);
    }
}

// Nothing is in memory before it is written.
static void
costs_no_memory(void **state)
{
    struct vmrange vm = {0};
    uintptr_t base;

    assert_int_equal(vm_reserve(&vm, (size_t)64 << 30), 0);
    assert_true(vm_carve(&vm, vm_class_of(512 * MIB), &base) >= 0);
    assert_int_equal(unit_resident(base, 512 * MIB >> ZPAGE_SHIFT), 0);
}

static void
no_range(void **state)
{
    struct vmrange vm = {0};
    uintptr_t base;

    assert_int_equal(vm_carve(&vm, 0, &base), -ENOMEM);
    assert_false(vm_contains(&vm, 0));
    assert_false(vm_contains(&vm, 4096));
    assert_int_equal(vm_reserve(&vm, 128 * MIB), -ENOMEM); // less than is worth it
    unit_meta_refuse = true;
    assert_int_equal(vm_reserve(&vm, 256 * MIB), -ENOMEM);
    unit_meta_refuse = false;
    assert_int_equal(vm.base, 0);
    assert_int_equal(vm.size, 0);
    assert_int_equal(vm_carve(&vm, 0, &base), -ENOMEM);
}

// Bytes of address space or of private writable memory (a line of /proc/self/status, in KiB).
static size_t
now_used(const char *line)
{
    char buf[256];
    size_t kib = 0;
    FILE *f = fopen("/proc/self/status", "r");

    while (f && fgets(buf, sizeof(buf), f))
        if (strncmp(buf, line, strlen(line)) == 0)
            sscanf(buf + strlen(line), " %zu", &kib);
    if (f)
        fclose(f);
    return kib << 10;
}

// RLIMIT_AS: the range is halved until it fits.
static int
little_address_space(void)
{
    struct rlimit lim;
    struct vmrange vm = {0};
    uintptr_t base;

    lim.rlim_cur = lim.rlim_max = now_used("VmSize:") + 1536 * MIB;
    CHILD_CHECK(setrlimit(RLIMIT_AS, &lim) == 0);
    CHILD_CHECK(vm_reserve(&vm, (size_t)64 << 30) == 0);
    CHILD_CHECK(vm.size == 1024 * MIB);
    CHILD_CHECK(vm_carve(&vm, vm_class_of(512 * MIB), &base) == 0);
    memset((void *)base, 1, 4096);
    memset(&vm, 0, sizeof(vm));
    CHILD_CHECK(vm_reserve(&vm, (size_t)64 << 30) == 0);
    CHILD_CHECK(vm.size == 256 * MIB);
    memset(&vm, 0, sizeof(vm));
    CHILD_CHECK(vm_reserve(&vm, (size_t)64 << 30) == -ENOMEM);
    CHILD_CHECK(vm.base == 0 && vm.size == 0);
    return 0;
}

// RLIMIT_DATA: the range is there, but its parts are refused when they are made accessible.
static int
little_data(void)
{
    struct rlimit lim;
    struct vmrange vm = {0};
    uintptr_t base = 1;
    long n = 0, r;

    CHILD_CHECK(getrlimit(RLIMIT_DATA, &lim) == 0);
    CHILD_CHECK(vm_reserve(&vm, (size_t)64 << 30) == 0);
    lim.rlim_cur = now_used("VmData:") + 2 * VM_COMMIT + VM_COMMIT / 2;
    CHILD_CHECK(setrlimit(RLIMIT_DATA, &lim) == 0);
    while ((r = vm_carve(&vm, 15, &base)) >= 0) {
        CHILD_CHECK(r == n++);
        *(volatile char *)(base + vm_class_size(15) - 1) = 1;
    }
    CHILD_CHECK(r == -ENOMEM);
    CHILD_CHECK(vm.nslots == n && vm.bump == (size_t)n * vm_class_size(15));
    CHILD_CHECK(vm.bump <= vm.committed && vm.committed == 2 * VM_COMMIT);
    CHILD_CHECK(vm_slot_at(&vm, vm.base + vm.bump) == -1);
    lim.rlim_cur = lim.rlim_max;
    CHILD_CHECK(setrlimit(RLIMIT_DATA, &lim) == 0);
    CHILD_CHECK(vm_carve(&vm, 15, &base) == n);
    CHILD_CHECK(base == vm.base + (size_t)n * vm_class_size(15));
    *(volatile char *)(base + vm_class_size(15) - 1) = 1;
    return 0;
}

// What was never handed out is the process's again, and the rest stays.
static void
release_rest(void **state)
{
    struct vmrange vm = {0};
    uintptr_t base, next;
    size_t before;

    vm_release_rest(&vm); // no range: nothing
    assert_int_equal(vm_reserve(&vm, 512 * MIB), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(vm_carve(&vm, 10, &base), i);
    *(volatile char *)base = 1;
    before = now_used("VmSize:");
    vm_release_rest(&vm);
    assert_in_range(before - now_used("VmSize:"), 512 * MIB - 3 * vm_class_size(10) - MIB, 512 * MIB);
    assert_int_equal(vm.size, 3 * vm_class_size(10));
    assert_true(vm.committed <= vm.size);
    assert_true(vm_contains(&vm, base + vm_class_size(10) - 1));
    assert_false(vm_contains(&vm, base + vm_class_size(10)));
    assert_int_equal(*(volatile char *)base, 1);
    *(volatile char *)(base + vm_class_size(10) - 1) = 1;
    assert_int_equal(vm_carve(&vm, 0, &next), -ENOMEM);
    vm_release_rest(&vm);
    assert_int_equal(vm.size, 3 * vm_class_size(10));
    assert_int_equal(vm_slot_at(&vm, base), 2);
    assert_int_equal(vm_reserve(&vm, 512 * MIB), 0); // a range of which nothing was handed out
    vm.bump = vm.committed = 0;
    vm_release_rest(&vm);
    assert_int_equal(vm.size, 0);
    assert_false(vm_contains(&vm, vm.base));
}

static void
limits(void **state)
{
    assert_int_equal(unit_in_child(little_address_space), 0);
    assert_int_equal(unit_in_child(little_data), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes_grow),    cmocka_unit_test(class_of),     cmocka_unit_test(class_overflow),
        cmocka_unit_test(carve),           cmocka_unit_test(no_range),     cmocka_unit_test(limits),
        cmocka_unit_test(costs_no_memory), cmocka_unit_test(release_rest),
    };
    return cmocka_run_group_tests_name("vm", tests, NULL, NULL);
}
