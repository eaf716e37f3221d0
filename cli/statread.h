// SPDX-License-Identifier: Apache-2.0
// Reads the page of counters (common/statpage.h) that a process under libzio.so holds open.
// The page belongs to another process, which may be hostile or of another version: what comes out of here is
// checked, has bounded counts and strings that end.
#ifndef ZIO_CLI_STATREAD_H
#define ZIO_CLI_STATREAD_H

#include <stddef.h>
#include <sys/types.h>

#include "common/statpage.h"

// Reads the page of process `pid` into *out.
// 0; -ESRCH no such process; -EACCES not allowed to look; -ENODATA it holds no page of its own (not under
// zIO); -EPROTO a page that is not one (magic, size); -EPROTONOSUPPORT another version's page.
int statread_pid(pid_t pid, struct zio_statpage *out);

// The pure part: judges `n` bytes of a page. Counters that the writer does not know are 0 in *out.
int statread_parse(const void *bytes, size_t n, struct zio_statpage *out);

// What an error of the above means, for people.
const char *statread_strerror(int err);

// The name of a state; "unknown" for a number that is none.
const char *statread_state(uint32_t state);

#endif
