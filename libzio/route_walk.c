// SPDX-License-Identifier: Apache-2.0
// Native paths that may lead into a volume through a symbolic link, walked component by component.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libzio/route_priv.h"
#include "libzio/sys.h"

// The absolute text of where a native (dirfd, path) starts.
static bool
start_text(int dirfd, char out[PATH_MAX])
{
    char link[64];
    long n;

    if (dirfd == AT_FDCWD) {
        n = zsys2(SYS_getcwd, out, PATH_MAX);
        return n > 0 && out[0] == '/';
    }
    snprintf(link, sizeof link, "/proc/self/fd/%d", dirfd);
    n = zsys4(SYS_readlinkat, AT_FDCWD, link, out, PATH_MAX - 1);
    if (n <= 0 || out[0] != '/')
        return false;
    out[n] = '\0';
    return true;
}

struct walk {
    char at[PATH_MAX];   // where the walk is: absolute, without links
    char rest[PATH_MAX]; // what is left
    char text[PATH_MAX]; // of a link
};

// The rest after a link's text was put before it. False: too long.
static bool
put_before(struct walk *w, const char *text, const char *rest)
{
    size_t n = strlen(text), m = strlen(rest);

    if (n + 1 + m >= PATH_MAX)
        return false;
    memmove(w->rest + n + 1, rest, m + 1);
    memcpy(w->rest, text, n);
    w->rest[n] = '/';
    if (!m)
        w->rest[n] = '\0';
    if (text[0] == '/')
        w->at[0] = '\0';
    return true;
}

// One native component. 1: there is more to walk; 0: nothing more to find.
static int
step(struct walk *w, unsigned flags, int *links)
{
    const char *p = route_skip_nothing(w->rest);
    size_t len = strcspn(p, "/"), n = strlen(w->at);
    const char *after = p + len + strspn(p + len, "/");
    long r;

    if (!*p)
        return 0;
    if (len == 2 && p[0] == '.' && p[1] == '.') {
        while (n > 0 && w->at[--n] != '/')
            ;
        w->at[n] = '\0';
        memmove(w->rest, after, strlen(after) + 1);
        return 1;
    }
    if (n + 1 + len >= PATH_MAX)
        return 0;
    w->at[n] = '/';
    memcpy(w->at + n + 1, p, len);
    w->at[n + 1 + len] = '\0';
    if (!*after && !p[len] && flags & ROUTE_NOFOLLOW) {
        w->rest[0] = '\0';
        return 1;
    }
    r = zsys4(SYS_readlinkat, AT_FDCWD, w->at, w->text, PATH_MAX - 1);
    if (r > 0) {
        w->text[r] = '\0';
        w->at[n] = '\0';
        return ++*links > ROUTE_LINKS_MAX ? -ELOOP : put_before(w, w->text, after) ? 1 : 0;
    }
    memmove(w->rest, after, strlen(after) + 1);
    return r == -EINVAL || r == -ENOENT ? 1 : 0;
}

// Does a prefix end with this name?
static bool
ends_prefix(const char *name)
{
    for (int i = 0; i < route_nvols; i++)
        if (strcmp(strrchr(route_vols[i].prefix, '/') + 1, name) == 0)
            return true;
    return false;
}

// Is the missing thing only the last name, and that no link and no prefix seen from its directory? Then
// nothing can have led into a volume: this is how nearly all calls fail.
bool
route_plainly_missing(struct route_target *t)
{
    const char *slash = strrchr(t->path, '/');
    struct stat st;
    size_t n = slash ? (size_t)(slash - t->path) : 0;
    char c;

    if ((slash && !slash[1]) || ends_prefix(slash ? slash + 1 : t->path))
        return false;
    if (zsys4(SYS_readlinkat, t->dirfd, t->path, &c, 1) >= 0)
        return false;
    if (n == 0)
        return true;
    if (n >= PATH_MAX)
        return true;
    memmove(t->buf, t->path, n); // t->path may lie in t->buf
    c = t->buf[n];
    t->buf[n] = '\0';
    n = (size_t)zsys4(SYS_newfstatat, t->dirfd, t->buf, &st, 0);
    t->buf[strlen(t->buf)] = c;
    return n == 0;
}

int
route_walk(struct route_target *t, unsigned flags, struct route_vol **out)
{
    struct route_vol *v = NULL;
    struct walk w;
    const char *rest;
    int r;

    if (strlen(t->path) >= PATH_MAX)
        return 0;
    w.at[0] = '\0';
    strcpy(w.rest, t->path);
    if (t->path[0] != '/' && !start_text(t->dirfd, w.at))
        return 0;
    if (w.at[0] == '/' && !w.at[1])
        w.at[0] = '\0';
    for (;;) {
        size_t n = strlen(w.at);

        // Only where the walk stands right at a prefix: its text may come about by ".." or links.
        for (int i = 0; i < route_nvols && !v; i++)
            if (route_vols[i].prefix_len == n && memcmp(route_vols[i].prefix, w.at, n) == 0)
                v = &route_vols[i];
        if (v)
            break;
        r = step(&w, flags, &t->links);
        if (r <= 0)
            return r;
    }
    rest = w.rest + strspn(w.rest, "/");
    if (strlen(rest) >= PATH_MAX)
        return -ENAMETOOLONG;
    memcpy(t->buf, rest, strlen(rest) + 1);
    *out = v;
    return 1;
}
