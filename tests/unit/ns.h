// SPDX-License-Identifier: Apache-2.0
// What the tests of the namespace engine share: a volume in a directory of its own, and its check.
#ifndef ZIO_TESTS_NS_H
#define ZIO_TESTS_NS_H

#include "meta/meta.h"
#include "tests/unit/unit.h"

extern char ns_dir[];     // of the volume
extern char ns_message[]; // the last one

// A fresh directory (in TMPDIR) with a volume in it; removed by ns_remove.
void ns_make(const struct meta_format *fmt);
void ns_remove(void);
struct meta *ns_open(unsigned flags);
// The check finds nothing. What it finds is printed.
void ns_check(struct meta *m);
uint64_t ns_findings(struct meta *m, unsigned flags);

extern const struct meta_cred ns_alice,
    ns_bob; // uids 1001, 1002; groups of the same numbers; alice is in 2000, too

#endif
