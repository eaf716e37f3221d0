// SPDX-License-Identifier: Apache-2.0
// The cost model: whether a step that costs something now (taking pages out of the program's memory) will be
// paid back by copies that are not made. Each call site has an account in nanoseconds: elided copies pay in,
// page-table work and faults draw out. A site that is in debt copies plainly for a while: until a 32nd of
// those copies' time is as much as it lost, and at least twice as long each time. Pure logic. All under the
// engine's lock.
#ifndef ZIO_POLICY_H
#define ZIO_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The constants, in ns, calibrated at the first elision (calibrate.c); the defaults are DESIGN section 4's.
struct policy_costs {
    uint32_t copy_page;  // memcpy of one page, between hot and cold
    uint32_t move_base;  // one UFFDIO_MOVE
    uint32_t move_page;  // each of its pages
    uint32_t fault;      // one resolved fault, without its pages
    uint32_t fill_page;  // each page that a fault puts back
    uint32_t area_setup; // query and registration of memory not seen before
};
extern struct policy_costs policy_costs;

#define POLICY_SITES 2048
#define POLICY_NONE 0u // the site of nobody

uint32_t
policy_site(uintptr_t return_address); // finds or makes the account; POLICY_NONE when the table is full

// The same call site's second account, of copies for which no page has to be taken out of the way.
uint32_t policy_site_of_free(uintptr_t return_address);

// Without the lock: does the site still have copies to do plainly? Counts one of them.
bool policy_skips(uintptr_t return_address);

// Receives of the site end in pages that the program touches right away (a terminator): learned from faults.
void policy_tail_touched(uint32_t site);
bool policy_touches_tail(uint32_t site);

// May the site spend `cost` ns on a chance? Draws it from the account when the answer is yes.
// `copy` is what the plain copy takes, ns: it tells how many of them make up for a debt.
bool policy_try(uint32_t site, uint64_t cost, uint64_t copy, bool always);
void policy_gain(uint32_t site, uint64_t ns);
void policy_charge(uint32_t site, uint64_t ns);

uint64_t policy_copy_ns(size_t pages);
uint64_t policy_move_ns(size_t pages);
uint64_t policy_fault_ns(size_t pages);

// Does memory that this site allocates end up touched by the program (present), or absent? Learned from what
// was freed.
uint32_t policy_alloc_site(uintptr_t return_address, int cls);
// What is handed out tends to come back the same: a plain copy fills an absent slot, and is made because the
// slot is present. So a site that wants present memory is given absent memory once in a while, rarer each
// time that it comes back touched, and turns when it does not.
bool policy_alloc_wants_present(uint32_t asite);
void policy_alloc_learn(uint32_t asite, bool given_present, bool present);

// What became of a site's copies, for the debug log.
struct policy_report {
    uintptr_t return_address;
    int64_t account;
    uint32_t elided, plain, faults;
};
void policy_note(uint32_t site, bool elided);
bool policy_report(uint32_t site, struct policy_report *r); // false: no such site

void policy_reset(void); // tests

#endif
