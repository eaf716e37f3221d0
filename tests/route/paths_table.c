// SPDX-License-Identifier: Apache-2.0
// Prints the table of names (libzio/route_names.h), a name a line: NAME HOOKED|COVERED|NATIVE [WHY]. Fails
// when a name is in it twice, or when one that is not hooked has no reason.
#include <stdio.h>
#include <string.h>

#include "libzio/route_names.h"

static const char *const fares[] = {"HOOKED", "COVERED", "NATIVE"};
static char seen[4000][64];
static size_t nseen;

static int
one(const char *name, size_t n, const struct route_names *g)
{
    int bad = 0;

    if (n >= sizeof(seen[0]) || nseen == sizeof(seen) / sizeof(seen[0]))
        return 1;
    snprintf(seen[nseen], sizeof(seen[0]), "%.*s", (int)n, name);
    for (size_t i = 0; i < nseen; i++)
        if (strcmp(seen[i], seen[nseen]) == 0) {
            fprintf(stderr, "%s is in the table twice\n", seen[i]);
            bad = 1;
        }
    printf("%s %s %s\n", seen[nseen++], fares[g->fare], g->why);
    return bad;
}

int
main(void)
{
    int bad = 0;

    for (size_t i = 0; i < route_names_count; i++) {
        const struct route_names *g = &route_names[i];

        if ((g->fare == ROUTE_HOOKED) != (g->why[0] == '\0')) {
            fprintf(stderr, "a reason is missing, or too many: %.60s\n", g->names);
            bad = 1;
        }
        for (const char *p = g->names; *p;) {
            size_t n = strcspn(p, " ");

            bad |= one(p, n, g);
            p += n + strspn(p + n, " ");
        }
    }
    return bad;
}
