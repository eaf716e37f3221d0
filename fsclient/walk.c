// SPDX-License-Identifier: Apache-2.0
// The path walk: from a start directory and a path to a directory and a name in it, following symbolic links,
// as Linux does (path_resolution(7)). Each step is a lookup by the driver, which asks for search permission.
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "fsclient/driver.h"

#define LINKS_MAX 40 // as Linux

const struct fsc_at walk_default = {0};

struct state {
    struct fsc *fs;
    const struct fsc_at *at;
    const struct fsc_cred *cred;
    unsigned flags;
    uint64_t start, cur; // where the walk began; where it is
    const char *p;       // what is left
    char *own;           // holds p, once a link was followed
    int links;
};

// The walk leaves the volume with `first` and then what is left.
static int
leave(struct state *s, const char *first, const char *rest)
{
    size_t n = strlen(first), slash = *rest != '\0', m = strlen(rest);

    if (n + slash + m >= s->at->escape_size)
        return -ENAMETOOLONG;
    memmove(s->at->escape + n + slash, rest, m + 1);
    if (slash)
        s->at->escape[n] = '/';
    memcpy(s->at->escape, first, n);
    return -EREMOTE;
}

// To the root of an absolute path.
static int
to_top(struct state *s)
{
    if (s->at->resolve & FSC_RESOLVE_BENEATH)
        return -EXDEV;
    s->cur = s->at->resolve & FSC_RESOLVE_IN_ROOT ? s->start : FSC_ROOT;
    return 0;
}

// Puts a link's text in front of what is left (`after`; `slash`: the link was "name/").
static int
follow(struct state *s, uint64_t ino, const char *after, bool slash)
{
    char text[PATH_MAX], *path;
    size_t more = strlen(after);
    ssize_t n;

    if (s->at->resolve & FSC_RESOLVE_NO_SYMLINKS || ++s->links > LINKS_MAX)
        return -ELOOP;
    n = s->fs->drv->readlink(s->fs, ino, text, sizeof text - 1);
    if (n < 0)
        return (int)n;
    if (n == 0)
        return -ENOENT;
    text[n] = '\0';
    if (text[0] == '/' && s->at->escape && !(s->at->resolve & (FSC_RESOLVE_BENEATH | FSC_RESOLVE_IN_ROOT)))
        return leave(s, text, after);
    path = malloc((size_t)n + more + 2);
    if (!path)
        return -ENOMEM;
    memcpy(path, text, (size_t)n);
    if (more || slash)
        path[n++] = '/';
    memcpy(path + n, after, more + 1);
    free(s->own);
    s->p = s->own = path;
    return path[0] == '/' ? to_top(s) : 0;
}

static int
at_top(struct state *s, struct walk *w)
{
    w->parent = s->cur;
    w->name[0] = '\0';
    w->last = WALK_TOP;
    w->slash = false;
    w->found = true;
    return s->fs->drv->getattr(s->fs, s->cur, &w->attr);
}

// What ".." means here: 0 with the name to look up, or an error.
static int
dotdot(struct state *s, const char *after, const char **name)
{
    if (s->cur == s->start && s->at->resolve & FSC_RESOLVE_BENEATH)
        return -EXDEV;
    if (s->cur == s->start && s->at->resolve & FSC_RESOLVE_IN_ROOT) {
        *name = ".";
        return 0;
    }
    if (s->cur == FSC_ROOT && s->at->escape)
        return leave(s, "..", after);
    return 0;
}

// One component. 1: the walk is over; 0: there is more to walk.
static int
step(struct state *s, struct walk *w)
{
    const char *end = s->p + strcspn(s->p, "/"), *after = end + strspn(end, "/"), *name = w->name;
    size_t len = (size_t)(end - s->p);
    bool final = *after == '\0', slash = final && after != end;
    // Calls that make or remove the last name itself do not follow it, not even as "name/".
    bool itself = (s->flags & (WALK_PARENT | WALK_FOLLOW)) == WALK_PARENT;
    int err = 0;

    if (len > FSC_NAME_MAX)
        return -ENAMETOOLONG;
    memcpy(w->name, s->p, len);
    w->name[len] = '\0';
    w->last = strcmp(name, ".") == 0 ? WALK_DOT : strcmp(name, "..") == 0 ? WALK_DOTDOT : WALK_NORM;
    if (w->last == WALK_DOTDOT)
        err = dotdot(s, after, &name);
    if (err)
        return err;
    w->parent = s->cur;
    w->slash = slash;
    if (final && !slash && w->last == WALK_NORM && s->flags & WALK_UNSEEN) {
        w->found = false;
        return 1;
    }
    err = s->fs->drv->lookup(s->fs, s->cred, s->cur, name, &w->attr);
    w->found = err == 0;
    if (err == -ENOENT && final && s->flags & WALK_PARENT)
        return 1;
    if (err)
        return err;
    if (S_ISLNK(w->attr.mode) && (!final || s->flags & WALK_FOLLOW || (slash && !itself)))
        return follow(s, w->attr.ino, after, slash);
    if (final)
        return slash && !S_ISDIR(w->attr.mode) && !itself ? -ENOTDIR : 1;
    if (!S_ISDIR(w->attr.mode))
        return -ENOTDIR;
    s->cur = w->attr.ino;
    s->p = after;
    return 0;
}

int
walk_path(struct fsc *fs, const struct fsc_at *at, const struct fsc_cred *cred, const char *path,
          unsigned flags, struct walk *w)
{
    struct state s = {.fs = fs, .at = at, .cred = cred, .flags = flags, .p = path};
    int err = 0;

    if (at->dir && at->dir->fs != fs)
        return -EXDEV;
    s.start = s.cur = at->dir ? at->dir->ino : FSC_ROOT;
    if (*path == '\0')
        return flags & WALK_EMPTY ? at_top(&s, w) : -ENOENT;
    if (strlen(path) >= PATH_MAX)
        return -ENAMETOOLONG;
    if (*path == '/')
        err = to_top(&s);
    while (err == 0) {
        s.p += strspn(s.p, "/");
        if (*s.p == '\0') { // nothing but slashes, or a link to such
            err = at_top(&s, w);
            err = err ? err : 1;
        } else {
            err = step(&s, w);
        }
    }
    free(s.own);
    return err < 0 ? err : 0;
}
