// SPDX-License-Identifier: Apache-2.0
// Parses ZIO_FEATURES.
#include "cli/features.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[] = {"uffd",      "kernelfaults", "move",         "wp",
                                    "events",    "pagemapscan",  "procmapquery", "populatewrite",
                                    "fuseclone", "fusekillpriv", "fuseepoch",    "sockmap"};

static bool
is(const char *item, size_t len, const char *name)
{
    return len == strlen(name) + 1 && item[0] == '-' && memcmp(item + 1, name, len - 1) == 0;
}

int
features_check(const char *list, char *bad, size_t len)
{
    while (*list) {
        size_t n = strcspn(list, ","), i = 0;

        while (i < sizeof names / sizeof names[0] && !is(list, n, names[i]))
            i++;
        if (i == sizeof names / sizeof names[0] && n > 0) {
            snprintf(bad, len, "%.*s", (int)n, list);
            return -EINVAL;
        }
        list += n;
        list += *list == ',';
    }
    return 0;
}

bool
features_hidden(const char *name)
{
    const char *list = getenv("ZIO_FEATURES");

    while (list && *list) {
        size_t n = strcspn(list, ",");

        if (is(list, n, name))
            return true;
        list += n;
        list += *list == ',';
    }
    return false;
}
