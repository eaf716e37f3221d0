// SPDX-License-Identifier: Apache-2.0
// The process that stands above the bench: it puts the measurement before the machine's other work where that
// is allowed, and cleans up when the measurement ends early.
#ifndef ZIO_BENCH_GUARD_H
#define ZIO_BENCH_GUARD_H

// Forks. The child returns 0 and goes on; the parent waits, passes signals on, removes the temporary
// directory and exits as the child did. Returns -1 where there can be no child (the caller goes on alone).
int guard_enter(int first);

// A new temporary directory that the guard removes if we do not. The string stays valid. NULL: errno says
// why. One at a time.
const char *guard_tmpdir(void);
void guard_tmpdir_done(void);

#endif
