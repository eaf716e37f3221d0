// SPDX-License-Identifier: Apache-2.0
// wordexp: the C library expands the words, and leaves a pattern as it is where nothing matches natively.
// Patterns that lead into a volume are matched behind it, by our glob. It matches only what is a pattern in
// the words themselves: where they have quotes, or wildcards may have come out of a variable or a command,
// nothing says afterwards which those were, and patterns stay.
#include <stdlib.h>
#include <string.h>

#include "libzio/hooks_fs.h"

static bool
in_volume(const char *pattern)
{
    size_t plain = strcspn(pattern, "*?[");
    char dir[PATH_MAX];

    while (plain > 0 && pattern[plain - 1] != '/')
        plain--;
    if (plain >= sizeof dir)
        return false;
    memcpy(dir, pattern, plain);
    dir[plain] = '\0';
    return fs_takes_part(plain ? dir : ".");
}

// Is every wildcard in what comes out one that was written as such?
static bool
plain_words(const char *p)
{
    char name[128];
    const char *value;

    if (strpbrk(p, "'\"\\`"))
        return false;
    while ((p = strchr(p, '$')) != NULL) {
        bool braces = *++p == '{';
        size_t n;

        if (p[0] == '(' && p[1] == '(') // a number
            continue;
        p += braces;
        n = strspn(p, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");
        if (n == 0 || n >= sizeof name || (braces && p[n] != '}'))
            return false;
        memcpy(name, p, n);
        name[n] = '\0';
        value = getenv(name);
        if (value && value[strcspn(value, "*?[")])
            return false;
    }
    return true;
}

struct words {
    char **v;
    size_t n, room;
};

static bool
add(struct words *w, char *word)
{
    if (w->n == w->room) {
        size_t room = w->room ? 2 * w->room : 32;
        char **v = realloc(w->v, room * sizeof *v);

        if (!v)
            return false;
        w->v = v;
        w->room = room;
    }
    w->v[w->n++] = word;
    return true;
}

// The matches of one word in its place; it is freed. False: no memory.
static bool
match(struct words *w, char *word)
{
    glob_t g = {0};
    bool good = true;

    if (!word || !word[strcspn(word, "*?[")] || !in_volume(word) || glob(word, 0, NULL, &g) != 0)
        return add(w, word);
    for (size_t i = 0; i < g.gl_pathc && good; i++) {
        char *copy = strdup(g.gl_pathv[i]);

        good = copy && add(w, copy);
        if (!good)
            free(copy);
    }
    globfree(&g);
    if (good)
        free(word);
    return good;
}

static int
match_all(wordexp_t *out, size_t from)
{
    size_t total = out->we_offs + out->we_wordc;
    struct words w = {0};
    bool good = true;

    for (size_t i = 0; i < total && good; i++)
        good = i < out->we_offs + from ? add(&w, out->we_wordv[i]) : match(&w, out->we_wordv[i]);
    if (!good || !add(&w, NULL)) {
        free(w.v); // a few words may be lost with it: there is no memory
        return WRDE_NOSPACE;
    }
    free(out->we_wordv);
    out->we_wordv = w.v;
    out->we_wordc = w.n - 1 - out->we_offs;
    return 0;
}

ZIO_EXPORT int
wordexp(const char *words, wordexp_t *out, int flags)
{
    size_t before = flags & WRDE_APPEND ? out->we_wordc : 0;
    int r = FS_REAL(wordexp)(words, out, flags);

    if (route_idle() || r != 0 || !plain_words(words))
        return r;
    if (!(flags & (WRDE_DOOFFS | WRDE_APPEND)))
        out->we_offs = 0;
    for (size_t i = before; i < out->we_wordc; i++) {
        const char *word = out->we_wordv[out->we_offs + i];

        if (word[strcspn(word, "*?[")])
            return match_all(out, before);
    }
    return r;
}
