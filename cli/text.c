// SPDX-License-Identifier: Apache-2.0
// Amounts and words, written for people. Pure functions.
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

// Scales by `step` until it fits in front of a unit, three digits shown.
static char *
scaled(char buf[TEXT_MAX], double v, double step, const char *const *units, size_t nunits)
{
    size_t u = 0;

    while (v >= step * 0.9995 && u + 1 < nunits) {
        v /= step;
        u++;
    }
    if (u == 0)
        snprintf(buf, TEXT_MAX, "%.0f%s", v, units[0]);
    else
        snprintf(buf, TEXT_MAX, "%.*f%s", v < 9.995 ? 2 : v < 99.95 ? 1 : 0, v, units[u]);
    return buf;
}

char *
text_bytes(char buf[TEXT_MAX], uint64_t bytes)
{
    static const char *const units[] = {" B", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB"};

    // Sizes are mostly round: say "512 KiB", not "512.0 KiB" or "0.50 MiB".
    for (int shift = 60, u = 6; shift > 0; shift -= 10, u--)
        if (bytes >> shift && bytes >> shift < 10000 && (bytes & ((UINT64_C(1) << shift) - 1)) == 0) {
            snprintf(buf, TEXT_MAX, "%llu%s", (unsigned long long)(bytes >> shift), units[u]);
            return buf;
        }
    return scaled(buf, (double)bytes, 1024, units, sizeof units / sizeof units[0]);
}

char *
text_count(char buf[TEXT_MAX], uint64_t n)
{
    static const char *const units[] = {"", " k", " M", " G", " T", " P", " E"};

    if (n < 100000) {
        snprintf(buf, TEXT_MAX, "%llu", (unsigned long long)n);
        return buf;
    }
    return scaled(buf, (double)n, 1000, units, sizeof units / sizeof units[0]);
}

char *
text_ns(char buf[TEXT_MAX], double ns)
{
    static const char *const units[] = {" ns", " us", " ms", " s"};

    return scaled(buf, ns < 0 ? 0 : ns, 1000, units, sizeof units / sizeof units[0]);
}

// The length of the UTF-8 sequence at s that may be printed, or 0 (bad encoding, control character).
static size_t
printable(const unsigned char *s)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len = s[0] < 0x80 ? 1 : s[0] >> 5 == 6 ? 2 : s[0] >> 4 == 14 ? 3 : s[0] >> 3 == 30 ? 4 : 0;
    uint32_t c = len > 1 ? s[0] & (0x7fu >> len) : s[0];

    if (len == 0)
        return 0;
    for (size_t i = 1; i < len; i++) {
        if ((s[i] & 0xc0) != 0x80) // the terminating NUL, too
            return 0;
        c = c << 6 | (s[i] & 0x3f);
    }
    if (c < smallest[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return 0;
    return c < 0x20 || (c >= 0x7f && c < 0xa0) ? 0 : len;
}

void
text_clean(char *s)
{
    while (*s) {
        size_t len = printable((const unsigned char *)s);

        if (len == 0)
            *s = '?';
        s += len ? len : 1;
    }
}

unsigned
text_distance(const char *a, const char *b)
{
    enum { MAX = 31 };
    unsigned d[MAX + 1][MAX + 1];
    size_t na = strlen(a), nb = strlen(b);

    if (na > MAX || nb > MAX)
        return MAX;
    for (size_t i = 0; i <= na; i++)
        d[i][0] = (unsigned)i;
    for (size_t j = 0; j <= nb; j++)
        d[0][j] = (unsigned)j;
    for (size_t i = 1; i <= na; i++)
        for (size_t j = 1; j <= nb; j++) {
            unsigned best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);

            if (d[i - 1][j] + 1 < best)
                best = d[i - 1][j] + 1;
            if (d[i][j - 1] + 1 < best)
                best = d[i][j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && d[i - 2][j - 2] + 1 < best)
                best = d[i - 2][j - 2] + 1;
            d[i][j] = best;
        }
    return d[na][nb];
}

int
text_parse_bytes(const char *s, uint64_t *out)
{
    unsigned long long v;
    unsigned shift = 0;
    char *end;

    if (!isdigit((unsigned char)*s))
        return -EINVAL;
    errno = 0;
    v = strtoull(s, &end, 10);
    if (errno)
        return -EINVAL;
    switch (tolower((unsigned char)*end)) {
    case 'k':
        shift = 10;
        break;
    case 'm':
        shift = 20;
        break;
    case 'g':
        shift = 30;
        break;
    }
    if (shift)
        end++;
    if (*end != '\0' || v > UINT64_MAX >> shift)
        return -EINVAL;
    *out = (uint64_t)v << shift;
    return 0;
}
