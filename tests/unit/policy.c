// SPDX-License-Identifier: Apache-2.0
// The cost model, driven by simulated call sites. "Balance" is what a site truly gained or lost, in ns: the
// model's own account is not looked at.
#include "libzio/policy.h"

#include <string.h>

#include "tests/unit/unit.h"

#define GRANT 200000  // policy.c: what a site may lose before it stops
#define LONGEST 65536 // copies between two chances, at most

struct site {
    uintptr_t ra;
    uint64_t cost;   // ns of a chance that is taken
    uint64_t gain;   // ns that it then brings
    uint64_t faults; // ns that come back
    int64_t balance;
    uint64_t tries, plain;
};

// One copy, as the hook and then the engine do it. True when it was elided.
static bool
copy_once(struct site *s)
{
    uint32_t site;

    if (policy_skips(s->ra)) {
        s->plain++;
        return false;
    }
    site = policy_site(s->ra);
    if (!policy_try(site, s->cost, s->gain, false)) {
        s->plain++;
        return false;
    }
    s->tries++;
    policy_gain(site, s->gain);
    policy_charge(site, s->faults);
    s->balance += (int64_t)(s->gain - s->cost - s->faults);
    return true;
}

static struct site
loser(uintptr_t ra)
{
    return (struct site){
        .ra = ra, .cost = policy_move_ns(128), .gain = policy_copy_ns(128), .faults = policy_fault_ns(128)};
}

static struct site
winner(uintptr_t ra)
{
    return (struct site){.ra = ra, .cost = policy_move_ns(16), .gain = policy_copy_ns(128)};
}

static uintptr_t
some_address(void)
{
    return 0x400000 + (unit_random() & 0xffffffffffull);
}

// A site that always faults back may lose a grant, then half a grant for each chance, and the chances get
// rare.
static void
loser_stops(void **state)
{
    struct site s;
    int64_t once, bound;
    uint64_t copies = 0, chances = 0;

    policy_reset();
    s = loser(0x401234);
    once = (int64_t)(s.cost + s.faults - s.gain);
    assert_true(once > 0);
    for (uint64_t stop = 2; stop <= 1u << 21; stop *= 2) {
        for (; copies < stop; copies++)
            copy_once(&s);
        // Chances begin at copy 2^k until they come each LONGEST copies.
        for (chances = 0; (1ull << chances) < stop && chances < 17;)
            chances++;
        if (stop > LONGEST)
            chances += stop / LONGEST;
        bound = GRANT + once + (int64_t)chances * (GRANT / 2 + once);
        assert_true(-s.balance <= bound);
    }
    // In the long run: less than 5 ns a copy, nothing beside the copy's own 8 µs.
    s.balance = 0;
    for (copies = 0; copies < 20 * LONGEST; copies++)
        copy_once(&s);
    assert_true(-s.balance < (int64_t)copies * 5);
    assert_true(s.balance < 0); // it still tries now and then
}

// Same for any costs: the sizes of copies, the part that faults back.
static void
losers_of_all_sizes(void **state)
{
    unit_seed(2);
    for (int n = 0; n < 300; n++) {
        size_t pages = 1 + unit_below(1024);
        struct site s = {.ra = some_address(), .cost = policy_move_ns(pages), .gain = policy_copy_ns(pages)};
        int64_t once;

        policy_reset();
        s.faults = policy_fault_ns(1 + unit_below((uint32_t)pages));
        once = (int64_t)(s.cost + s.faults - s.gain);
        if (once <= 0)
            continue;
        for (int c = 0; c < 50000; c++)
            copy_once(&s);
        assert_true(-s.balance <= GRANT + once + 17 * (GRANT / 2 + once));
    }
}

static void
winner_goes_on(void **state)
{
    struct site s;

    policy_reset();
    s = winner(0x401234);
    for (int n = 0; n < 100000; n++)
        assert_true(copy_once(&s));
    assert_int_equal(s.plain, 0);
}

// One copy in ten faults back, the others pay for it.
static void
mixed_winner_goes_on(void **state)
{
    struct site s;
    uint64_t n;

    unit_seed(3);
    policy_reset();
    s = winner(0x401234);
    for (n = 0; n < 100000; n++) {
        s.faults = unit_one_in(10) ? policy_fault_ns(4) : 0;
        copy_once(&s);
    }
    assert_int_equal(s.tries, n);
    assert_true(s.balance > 0);
}

// Runs of plain copies between chances: at least 1, 2, 4, ... up to LONGEST, each but for the copy that found
// the debt; and so many that the chance before cost no more than a 64th of their time.
static void
backoff_doubles(void **state)
{
    struct site s;
    uint64_t run = 0, want = 1, runs = 0;
    bool elided = true;

    policy_reset();
    s = loser(0x405678);
    while (runs < 20) {
        bool now = copy_once(&s);

        if (!now) {
            run++;
        } else if (!elided) {
            assert_true(run >= want + 1 && run <= LONGEST + 1);
            assert_true(runs == 0 || run >= LONGEST || run * s.gain >= (s.cost + s.faults - s.gain) * 64 / 2);
            want = min_of(want * 2, (uint64_t)LONGEST);
            run = 0;
            runs++;
        }
        elided = now;
    }
}

// With and without the quick way (policy_skips), a site takes exactly the same chances.
static void
skips_agrees_with_try(void **state)
{
    uint64_t chances[2][64];
    unsigned n[2] = {0};

    for (int quick = 0; quick < 2; quick++) {
        struct site s = loser(0x405678);
        uint32_t id;

        policy_reset();
        id = policy_site(s.ra);
        for (uint64_t c = 0; c < 300000 && n[quick] < 64; c++) {
            if (quick && policy_skips(s.ra))
                continue;
            assert_int_equal(policy_site(s.ra), id);
            if (!policy_try(id, s.cost, s.gain, false))
                continue;
            policy_gain(id, s.gain);
            policy_charge(id, s.faults);
            chances[quick][n[quick]++] = c;
        }
    }
    assert_true(n[0] > 10);
    assert_int_equal(n[0], n[1]);
    assert_memory_equal(chances[0], chances[1], n[0] * sizeof(uint64_t));
}

// A site in its longest back-off whose copies begin to pay comes back, with one wait at most; and its
// back-off starts anew once it has earned a grant.
static void
recovers(void **state)
{
    struct site s, w;
    uint64_t n, run = 0;

    policy_reset();
    s = loser(0x40abcd);
    for (n = 0; n < 20 * LONGEST; n++)
        copy_once(&s);
    w = winner(s.ra);
    for (n = 0; n <= LONGEST + 1 && !copy_once(&w); n++)
        ;
    assert_true(n <= LONGEST + 1);
    for (n = 0; n < 1000; n++) // from now on each is elided, with no further wait
        assert_true(copy_once(&w));
    // Bad again: it stops once more, and waits little.
    s.tries = 0;
    for (n = 0; copy_once(&s); n++)
        assert_true(n * (s.cost + s.faults - s.gain) <= 3 * GRANT);
    for (run = 1; !copy_once(&s); run++)
        ;
    assert_true(run >= 2 && run <= 2 + 3 * GRANT * 64 / s.gain);
}

// ZIO_POLICY=always: every chance is taken, and nothing is drawn for it.
static void
always(void **state)
{
    uint32_t id;

    policy_reset();
    id = policy_site(0x40abcd);
    for (int n = 0; n < 1000; n++) {
        assert_true(policy_try(id, 1000000, 8000, true));
        assert_false(policy_skips(0x40abcd));
    }
    assert_true(policy_try(id, 1, 8000, false));
}

static void
sites_are_apart(void **state)
{
    struct site bad, good;

    policy_reset();
    bad = loser(0x40abcd);
    good = winner(0x40abd2);
    assert_int_not_equal(policy_site(bad.ra), policy_site(good.ra));
    for (int n = 0; n < 10000; n++) {
        copy_once(&bad);
        assert_true(copy_once(&good));
    }
    assert_true(bad.plain > 9000);
}

// More sites than places: each gets its own account or nobody's; an account never changes hands.
static void
table_full(void **state)
{
    enum { N = 3 * POLICY_SITES };
    static uintptr_t ra[N];
    static uint32_t id[N];
    static uintptr_t owner[POLICY_SITES];
    unsigned none = 0, own = 0;

    unit_seed(4);
    policy_reset();
    memset(owner, 0, sizeof(owner));
    for (unsigned i = 0; i < N; i++) {
        ra[i] = some_address();
        id[i] = policy_site(ra[i]);
        assert_true(id[i] < POLICY_SITES);
        if (id[i] == POLICY_NONE) {
            none++;
        } else {
            assert_int_equal(owner[id[i]], 0);
            owner[id[i]] = ra[i];
            own++;
        }
    }
    assert_true(own > POLICY_SITES * 9 / 10);
    assert_int_equal(none + own, N);
    for (unsigned i = 0; i < N; i++) {
        assert_int_equal(policy_site(ra[i]), id[i]);
        assert_false(policy_skips(ra[i])); // nobody is in debt
    }
    // The homeless share one account, which is bounded like any other.
    {
        struct site s = loser(0);
        uint64_t copies = 0;

        for (unsigned round = 0; round < 100; round++)
            for (unsigned i = 0; i < N; i++) {
                s.ra = ra[i];
                if (id[i] == POLICY_NONE)
                    copy_once(&s), copies++;
            }
        assert_true(copies > 100000);
        assert_true(s.plain > copies * 99 / 100);
        assert_true(-s.balance < 25 * (GRANT / 2 + (int64_t)(s.cost + s.faults)));
    }
    for (unsigned i = 0; i < N; i++) // nor does their debt touch the others
        if (id[i] != POLICY_NONE)
            assert_true(policy_try(id[i], 1, 8000, false));
}

// In an empty table each address gets an account of its own.
static void
table_empty(void **state)
{
    unit_seed(8);
    for (int n = 0; n < 20000; n++) {
        if (n % 500 == 0)
            policy_reset();
        assert_int_not_equal(policy_site(some_address()), POLICY_NONE);
    }
}

// A site displaced from its first place by another has no quick way, and the other's debt is not its own.
static void
displaced(void **state)
{
    uintptr_t first = 0x400001, second = 0;
    struct site s;
    uint32_t id;

    policy_reset();
    id = policy_site(first);
    for (uintptr_t ra = first + 1; !second; ra++) {
        policy_reset();
        if (policy_site(ra) == id)
            second = ra;
    }
    policy_reset();
    assert_int_equal(policy_site(first), id);
    assert_int_not_equal(policy_site(second), id);
    s = loser(first);
    for (int n = 0; n < 1000; n++)
        copy_once(&s);
    for (int n = 0; n < 1000; n++) {
        assert_false(policy_skips(second));
        assert_true(policy_try(policy_site(second), 1, 8000, false));
    }
}

// Random behaviour that changes: what is lost is never more than a grant and what the chances were worth,
// beyond what was earned.
static void
random_sites(void **state)
{
    unit_seed(5);
    for (int n = 0; n < 60; n++) {
        struct site s = {.ra = some_address()};
        int64_t worst = 0, once = 0;
        uint64_t stops = 0;
        bool good = unit_one_in(2), elided = true;

        policy_reset();
        for (int c = 0; c < 50000; c++) {
            size_t pages = 1 + unit_below(256);
            bool now;

            if (unit_one_in(2000))
                good = !good;
            s.gain = policy_copy_ns(pages);
            s.cost = good ? unit_below((uint32_t)s.gain + 1) : policy_move_ns(pages);
            s.faults = good ? 0 : policy_fault_ns(pages);
            once = max_of(once, (int64_t)(s.cost + s.faults));
            now = copy_once(&s);
            stops += elided && !now;
            elided = now;
            worst = max_of(worst, -s.balance);
        }
        assert_true(worst <= GRANT + once + (int64_t)stops * (GRANT / 2 + once));
    }
}

// Copies of which some part is touched as a whole, by chance, whatever the part: where that does not pay, the
// loss is at most 3 in 100 of the time that the copies themselves take.
static void
mixtures_do_no_harm(void **state)
{
    unit_seed(9);
    for (uint32_t percent = 0; percent <= 100; percent += percent < 20 ? 2 : 20)
        for (size_t pages = 16; pages <= 256; pages *= 4) {
            struct site s = {.ra = 0x401000, .cost = 200, .gain = policy_copy_ns(pages)};
            int64_t plain = 0;

            policy_reset();
            for (int n = 0; n < 300000; n++) {
                s.faults = unit_below(100) < percent ? policy_fault_ns(pages) : 0;
                copy_once(&s);
                plain += (int64_t)s.gain;
            }
            assert_true(s.balance > -plain * 3 / 100);
            assert_true(percent > 0 || s.balance > plain * 3 / 4);
        }
}

static void
costs(void **state)
{
    assert_int_equal(policy_copy_ns(0), 0);
    assert_int_equal(policy_copy_ns(10), 10 * (uint64_t)policy_costs.copy_page);
    assert_int_equal(policy_move_ns(10), policy_costs.move_base + 10 * (uint64_t)policy_costs.move_page);
    assert_int_equal(policy_fault_ns(10), policy_costs.fault + 10 * (uint64_t)policy_costs.fill_page);
    assert_int_equal(policy_copy_ns((size_t)1 << 40),
                     policy_costs.copy_page * ((uint64_t)1 << 40)); // no 32-bit sums
}

// One touched tail may be chance, two are a habit; each site has its own.
static void
tails(void **state)
{
    uint32_t a, b;

    policy_reset();
    a = policy_site(0x400100);
    b = policy_site(0x400200);
    policy_tail_touched(a);
    assert_false(policy_touches_tail(a));
    for (int n = 0; n < 1000; n++) {
        policy_tail_touched(a);
        assert_true(policy_touches_tail(a));
        assert_false(policy_touches_tail(b));
    }
    policy_reset();
    assert_false(policy_touches_tail(a));
}

// The predictor of allocations: two equal outcomes turn it, one does not turn a firm one.
static void
alloc_predictor(void **state)
{
    uint32_t a, b;

    unit_seed(6);
    policy_reset();
    a = policy_alloc_site(0x400100, 3);
    b = policy_alloc_site(0x400100, 4);
    assert_int_not_equal(a, b); // sizes are apart
    assert_int_equal(a, policy_alloc_site(0x400100, 3));
    assert_false(policy_alloc_wants_present(a));
    policy_alloc_learn(a, true, true);
    assert_false(policy_alloc_wants_present(a));
    policy_alloc_learn(a, true, true);
    assert_true(policy_alloc_wants_present(a));
    assert_false(policy_alloc_wants_present(b));
    for (int n = 0; n < 1000; n++)
        policy_alloc_learn(a, true, true);
    policy_alloc_learn(a, true, false);
    assert_true(policy_alloc_wants_present(a));
    policy_alloc_learn(a, true, false);
    assert_false(policy_alloc_wants_present(a));
    for (int n = 0; n < 1000; n++)
        policy_alloc_learn(a, true, false);
    policy_alloc_learn(a, true, true);
    assert_false(policy_alloc_wants_present(a));
    for (int n = 0; n < 100000; n++)
        assert_true(policy_alloc_site(unit_random(), (int)unit_below(64)) < POLICY_SITES);
    policy_reset();
    assert_false(policy_alloc_wants_present(a));
}

// A site whose memory comes back as it was given: it is tried now and then with absent memory, and turns.
static void
alloc_predictor_probes(void **state)
{
    uint32_t a, n, last = 0;
    unsigned probes = 0;

    policy_reset();
    a = policy_alloc_site(0x400100, 3);
    for (n = 0; n < 3; n++)
        policy_alloc_learn(a, true, true);
    for (n = 1; n < 1000000; n++) { // everything is touched: rarer and rarer, by a factor of two
        bool want = policy_alloc_wants_present(a);

        if (!want) {
            assert_true(n - last >= 256 && n - last >= (probes < 9 ? 256u << probes : 65536u));
            last = n;
            probes++;
        }
        policy_alloc_learn(a, want, true);
    }
    assert_true(probes >= 9 && probes < 30);
    for (n = 0; policy_alloc_wants_present(a); n++) // nothing is touched, but for what is given present
        policy_alloc_learn(a, true, true);
    assert_true(n <= 65536);
    policy_alloc_learn(a, false, false);
    for (n = 0; n < 1000; n++) {
        assert_false(policy_alloc_wants_present(a));
        policy_alloc_learn(a, false, false);
    }
}

// A site whose memory is touched 9 times in 10 is mostly guessed right.
static void
alloc_predictor_learns(void **state)
{
    uint32_t a;
    int right = 0;

    unit_seed(7);
    policy_reset();
    a = policy_alloc_site(0x400100, 3);
    for (int n = 0; n < 10000; n++) {
        bool present = !unit_one_in(10);

        right += policy_alloc_wants_present(a) == present;
        policy_alloc_learn(a, true, present);
    }
    assert_true(right > 8500);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(costs),
        cmocka_unit_test(loser_stops),
        cmocka_unit_test(losers_of_all_sizes),
        cmocka_unit_test(winner_goes_on),
        cmocka_unit_test(mixed_winner_goes_on),
        cmocka_unit_test(backoff_doubles),
        cmocka_unit_test(skips_agrees_with_try),
        cmocka_unit_test(recovers),
        cmocka_unit_test(always),
        cmocka_unit_test(sites_are_apart),
        cmocka_unit_test(table_empty),
        cmocka_unit_test(table_full),
        cmocka_unit_test(displaced),
        cmocka_unit_test(random_sites),
        cmocka_unit_test(mixtures_do_no_harm),
        cmocka_unit_test(tails),
        cmocka_unit_test(alloc_predictor),
        cmocka_unit_test(alloc_predictor_probes),
        cmocka_unit_test(alloc_predictor_learns),
    };
    return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
