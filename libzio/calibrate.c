// SPDX-License-Identifier: Apache-2.0
// See calibrate.h. Two 256 KiB runs of the pool are copied and moved; a few pages of a scratch mapping are
// touched, for what a fault's way to the helper and back costs. Children inherit the result.
#include "libzio/calibrate.h"

#include <sys/mman.h>
#include <time.h>

#include "libzio/block.h"
#include "libzio/policy.h"
#include "libzio/real.h"
#include "libzio/sys.h"
#include "libzio/uffd.h"
#include "libzio/uffd_compat.h"
#include "libzio/zio.h"

#define BYTES ((size_t)256 << 10)
#define PAGES (BYTES >> ZPAGE_SHIFT)

static uint64_t
now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void
calibrate(void)
{
    static bool done;
    struct block *a = block_get(BYTES, false), *b = block_get(BYTES, false), *c = block_get(BYTES, true);
    uint64_t best = UINT64_MAX, t;

    if (done || !a || !b || !c)
        goto out;
    done = true;
    for (int i = 0; i < 4; i++) { // the first two rounds bring the pages in
        t = now();
        real.memcpy((void *)a->base, (void *)b->base, BYTES);
        t = now() - t;
        best = min_of(best, t);
    }
    block_wrote(a, BYTES);
    block_wrote(b, BYTES);
    // Real copies find their bytes between the nearest cache and memory: DESIGN's table puts that at twice
    // the best.
    policy_costs.copy_page = (uint32_t)max_of((uint64_t)20, best * 2 / PAGES);
    if (zio_features & ZIO_F_MOVE) {
        t = now();
        if (uffd_move(uffd_pool, c->base, a->base, BYTES) == (long)BYTES) {
            t = now() - t;
            policy_costs.move_page =
                (uint32_t)(t > policy_costs.move_base ? (t - policy_costs.move_base) / PAGES : 20);
            uffd_move(uffd_pool, a->base, c->base, BYTES);
        }
    }
    zio_log(3, "calibrated: copy %u ns a page, move %u ns a page", policy_costs.copy_page,
            policy_costs.move_page);
out:
    if (a)
        block_release(a);
    if (b)
        block_release(b);
    if (c)
        block_release(c);
}

#define FAULTS 5

static void
sort(uint64_t *v, unsigned n)
{
    for (unsigned i = 1; i < n; i++)
        for (unsigned k = i; k > 0 && v[k] < v[k - 1]; k--) {
            uint64_t x = v[k];

            v[k] = v[k - 1];
            v[k - 1] = x;
        }
}

// Twenty times as much where the helper runs on a CPU of its own, that must be woken from its idle sleep, as
// where both share one. The second best of a few tells which it is.
void
calibrate_faults(void)
{
    static _Atomic bool done;
    size_t len = (size_t)FAULTS << ZPAGE_SHIFT;
    uint64_t took[FAULTS];
    long p;

    if (uffd_general < 0 || atomic_exchange(&done, true))
        return;
    p = zsys6(SYS_mmap, 0, (long)len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p < 0 && p > -4096)
        return;
    if (uffd_register(uffd_general, (uintptr_t)p, len, UFFDIO_REGISTER_MODE_MISSING) == 0) {
        for (unsigned i = 0; i < FAULTS; i++) {
            volatile char *at = (char *)p + ((size_t)i << ZPAGE_SHIFT);
            uint64_t t = now();

            (void)*at;
            took[i] = now() - t;
        }
        sort(took, FAULTS);
        policy_costs.fault = (uint32_t)min_of(took[1], (uint64_t)1000000);
        zio_log(3, "calibrated: a fault takes %u ns", policy_costs.fault);
        uffd_unregister(uffd_general, (uintptr_t)p, len); // so that no event tells of the unmapping
    }
    zsys2(SYS_munmap, p, len);
}
