// SPDX-License-Identifier: Apache-2.0
// See calibrate.h. Two 256 KiB runs of the pool are copied and moved; what can't be measured alone (a fault's
// way to the helper and back) keeps DESIGN's constant. Children inherit the result.
#include "libzio/calibrate.h"

#include <time.h>

#include "libzio/block.h"
#include "libzio/policy.h"
#include "libzio/real.h"
#include "libzio/uffd.h"
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
