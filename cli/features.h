// SPDX-License-Identifier: Apache-2.0
// ZIO_FEATURES=-NAME,...: kernel features that are treated as absent, so that the degraded ways can be tried.
#ifndef ZIO_CLI_FEATURES_H
#define ZIO_CLI_FEATURES_H

#include <stdbool.h>
#include <stddef.h>

#define FEATURES_LIST                                                                                        \
    "uffd, kernelfaults, move, wp, events, pagemapscan, procmapquery, populatewrite, fuseclone, "            \
    "fusekillpriv, fuseepoch, sockmap"

// 0, or -EINVAL with the first item that is wrong in bad[len].
int features_check(const char *list, char *bad, size_t len);

// Whether ZIO_FEATURES takes the feature away.
bool features_hidden(const char *name);

#endif
