// SPDX-License-Identifier: Apache-2.0
// Between the runner and the checks.
#ifndef CONFORM_MAIN_H
#define CONFORM_MAIN_H

#include <stdbool.h>

enum { CASE_FAILED = 1 }; // exit code of a case's process with failures; anything else above 0 is an accident

extern const char *case_name; // of the case that runs in this process
extern int n_failed;          // checks of this process that failed
// Prints the check's line, after a look at the exclusions.
void report(const char *name, bool good, const char *why);

#endif
