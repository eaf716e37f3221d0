// SPDX-License-Identifier: Apache-2.0
// See policy.h.
#include "libzio/policy.h"

#include <string.h>

#define GRANT 200000 // ns that a site may lose before it stops; also the most that it can save up
#define MAX_BACKOFF 16
#define LONGEST 65536u // copies, 1 << MAX_BACKOFF
#define SHARE 64       // a site may lose this part of the time that its copies take

struct site {
    uintptr_t key;
    int64_t account; // ns
    uint32_t skip;   // copies still to be done plainly
    uint32_t backoff;
    uint32_t tails; // faults in the page where a receive had ended
    struct policy_report did;
};

struct policy_costs policy_costs = {
    .copy_page = 60, .move_base = 700, .move_page = 80, .fault = 7000, .fill_page = 1000, .area_setup = 6000};

static struct site sites[POLICY_SITES];
#define PROBE_FIRST 8 // log2 of the allocations between two probes
#define PROBE_LAST 16

static struct alloc_site {
    uint8_t present; // 0..3, a two-bit counter
    uint8_t probe;   // log2 of the allocations to the next probe, less PROBE_FIRST
    uint32_t served; // since the last one
} alloc_sites[POLICY_SITES];

static uint32_t
hash(uintptr_t x)
{
    return (uint32_t)((x * 0x9e3779b97f4a7c15ull) >> 40);
}

uint32_t
policy_site(uintptr_t ra)
{
    uint32_t h = hash(ra);

    for (uint32_t i = 0; i < 16; i++) {
        uint32_t at = (h + i) % POLICY_SITES;

        if (at == POLICY_NONE)
            continue;
        if (sites[at].key == ra)
            return at;
        if (sites[at].key == 0) {
            sites[at].key = ra;
            return at;
        }
    }
    return POLICY_NONE;
}

uint32_t
policy_site_of_free(uintptr_t ra)
{
    return policy_site(ra ^ (uintptr_t)1 << 63); // no user address has this bit
}

bool
policy_skips(uintptr_t ra)
{
    struct site *s = &sites[hash(ra) % POLICY_SITES]; // a site that was displaced takes the long way

    if (s->key != ra || s->skip < 2)
        return false;
    s->skip--; // another thread may count the same copy: it is only a count
    return true;
}

// Copies to be done plainly: twice as many as the last time, or as many as the debt is worth.
static uint32_t
pause(const struct site *s, uint64_t copy)
{
    uint64_t owed = (uint64_t)-s->account * SHARE / (copy ? copy : 1), least = 1ull << s->backoff;

    owed = owed < LONGEST ? owed : LONGEST;
    return (uint32_t)(owed > least ? owed : least);
}

bool
policy_try(uint32_t site, uint64_t cost, uint64_t copy, bool always)
{
    struct site *s = &sites[site];

    if (always)
        return true;
    if (s->skip) {
        s->skip--;
        return false;
    }
    if (s->account < -GRANT) {
        s->skip = pause(s, copy);
        s->account = -GRANT / 2; // half a grant for the next chance
        if (s->backoff < MAX_BACKOFF)
            s->backoff++;
        return false;
    }
    s->account -= (int64_t)cost;
    return true;
}

void
policy_gain(uint32_t site, uint64_t ns)
{
    struct site *s = &sites[site];

    s->account += (int64_t)ns;
    if (s->account > GRANT) {
        s->account = GRANT;
        s->backoff = 0;
    }
}

void
policy_charge(uint32_t site, uint64_t ns)
{
    sites[site].account -= (int64_t)ns;
    sites[site].did.faults++;
}

void
policy_note(uint32_t site, bool elided)
{
    if (elided)
        sites[site].did.elided++;
    else
        sites[site].did.plain++;
}

bool
policy_report(uint32_t site, struct policy_report *r)
{
    *r = sites[site].did;
    r->return_address = sites[site].key;
    r->account = sites[site].account;
    return r->return_address != 0;
}

void
policy_tail_touched(uint32_t site)
{
    if (sites[site].tails < 3)
        sites[site].tails++;
}

bool
policy_touches_tail(uint32_t site)
{
    return sites[site].tails >= 2;
}

uint64_t
policy_copy_ns(size_t pages)
{
    return pages * policy_costs.copy_page;
}

uint64_t
policy_move_ns(size_t pages)
{
    return policy_costs.move_base + pages * policy_costs.move_page;
}

uint64_t
policy_fault_ns(size_t pages)
{
    return policy_costs.fault + pages * policy_costs.fill_page;
}

uint32_t
policy_alloc_site(uintptr_t ra, int cls)
{
    return hash(ra + (uintptr_t)cls * 0x10001) % POLICY_SITES;
}

bool
policy_alloc_wants_present(uint32_t asite)
{
    struct alloc_site *s = &alloc_sites[asite];

    if (s->present < 2)
        return false;
    if (++s->served >> (s->probe + PROBE_FIRST) == 0)
        return true;
    s->served = 0;
    return false;
}

void
policy_alloc_learn(uint32_t asite, bool given_present, bool present)
{
    struct alloc_site *s = &alloc_sites[asite];
    bool probe = !given_present && s->present >= 2;

    if (probe && !present) {
        s->present = 0;
        s->probe = 0;
    } else if (probe) {
        s->probe = s->probe < PROBE_LAST - PROBE_FIRST ? s->probe + 1 : s->probe;
    } else if (present && s->present < 3) {
        s->present++;
    } else if (!present && s->present > 0) {
        s->present--;
    }
}

void
policy_reset(void)
{
    memset(sites, 0, sizeof(sites));
    memset(alloc_sites, 0, sizeof(alloc_sites));
}
