// SPDX-License-Identifier: Apache-2.0
// glob, ftw, nftw: walks that the C library makes from inside. glob takes functions for its accesses and is
// given ours; ftw and nftw are done here, with the rules of glibc's ftw.c (which errors end the walk, what is
// said of dangling links, when the directory changes). While routing is on every walk is ours: a native tree
// may hold a prefix or links.
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "libzio/hooks_fs.h"

// ---- glob ----

static void *
glob_opendir(const char *path)
{
    return opendir(path);
}

static struct dirent *
glob_readdir(void *dir)
{
    return readdir(dir);
}

static void
glob_closedir(void *dir)
{
    closedir(dir);
}

ZIO_EXPORT int
glob(const char *pattern, int flags, int (*error)(const char *, int), glob_t *out)
{
    glob_t g;
    int r;

    if (route_idle() || (flags & GLOB_ALTDIRFUNC))
        return FS_REAL(glob)(pattern, flags, error, out);
    g = *out;
    g.gl_opendir = glob_opendir;
    g.gl_readdir = glob_readdir;
    g.gl_closedir = glob_closedir;
    g.gl_stat = stat;
    g.gl_lstat = lstat;
    r = FS_REAL(glob)(pattern, flags | GLOB_ALTDIRFUNC, error, &g);
    out->gl_pathc = g.gl_pathc;
    out->gl_pathv = g.gl_pathv;
    out->gl_offs = g.gl_offs;
    out->gl_flags = g.gl_flags & ~GLOB_ALTDIRFUNC;
    return r;
}
ZIO_ALIAS(glob64, glob);

// ---- ftw, nftw ----

struct place { // a directory seen, for walks that follow links
    dev_t dev;
    ino_t ino;
};

struct walk {
    char path[PATH_MAX + 1];
    size_t len;
    __nftw_func_t fn;
    const int *types; // what the caller calls each FTW_* type
    int flags;
    dev_t dev;
    struct FTW ftw;
    struct place *seen;
    size_t nseen, seen_room;
};

static const int nftw_types[] = {FTW_F, FTW_D, FTW_DNR, FTW_NS, FTW_SL, FTW_DP, FTW_SLN};
static const int ftw_types[] = {FTW_F, FTW_D, FTW_DNR, FTW_NS, FTW_F, -1, FTW_NS};

static int
tell(struct walk *w, const struct stat *st, int type)
{
    return w->fn(w->path, st, w->types[type], &w->ftw);
}

static bool
was_seen(const struct walk *w, const struct stat *st)
{
    for (size_t i = 0; i < w->nseen; i++)
        if (w->seen[i].ino == st->st_ino && w->seen[i].dev == st->st_dev)
            return true;
    return false;
}

static int
see(struct walk *w, const struct stat *st)
{
    if (w->nseen == w->seen_room) {
        size_t room = w->seen_room ? 2 * w->seen_room : 64;
        struct place *p = realloc(w->seen, room * sizeof(*p));

        if (!p)
            return -1;
        w->seen = p;
        w->seen_room = room;
    }
    w->seen[w->nseen++] = (struct place){st->st_dev, st->st_ino};
    return 0;
}

struct names {
    char *v; // one behind the other; an empty one at the end
    size_t n, room;
};

// The terminator that comes last has room, too.
static int
add_name(struct names *l, const char *name)
{
    size_t len = strlen(name) + 1;

    if (l->n + len + 1 > l->room) {
        size_t room = 2 * l->room + len + 4096;
        char *more = realloc(l->v, room);

        if (!more)
            return -1;
        l->v = more;
        l->room = room;
    }
    memcpy(l->v + l->n, name, len);
    l->n += len;
    l->v[l->n] = '\0';
    return 0;
}

// The names in a directory; the stream is closed. NULL and errno.
static char *
read_names(DIR *dir)
{
    struct names l = {0};
    const struct dirent *e;
    int err, r = add_name(&l, "");

    l.n = 0;
    while (r == 0 && (errno = 0, e = readdir(dir)) != NULL)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            r = add_name(&l, e->d_name);
    err = errno;
    closedir(dir);
    if (r < 0 || err) {
        free(l.v);
        errno = err ? err : ENOMEM;
        return NULL;
    }
    return l.v;
}

static int walk_dir(struct walk *w, const struct stat *st, bool top);

// Where a path is asked for: under FTW_CHDIR its name in the current directory.
static const char *
place_of(const struct walk *w)
{
    const char *name = w->path + w->ftw.base;

    return !(w->flags & FTW_CHDIR) ? w->path : *name ? name : ".";
}

// stat as the flags say: what it is, or -1 for an error that ends the walk.
static int
type_of(struct walk *w, struct stat *st, bool top)
{
    const char *place = place_of(w);

    if ((w->flags & FTW_PHYS ? lstat : stat)(place, st) == 0)
        return S_ISDIR(st->st_mode) ? FTW_D : S_ISLNK(st->st_mode) ? FTW_SL : FTW_F;
    if (top ? (w->flags & FTW_PHYS) || errno != ENOENT : errno != EACCES && errno != ENOENT)
        return -1;
    if (!(w->flags & FTW_PHYS) && lstat(place, st) == 0 && S_ISLNK(st->st_mode))
        return FTW_SLN;
    return top ? -1 : FTW_NS;
}

static int
entry(struct walk *w, const char *name)
{
    size_t n = strlen(name), len = w->len;
    struct stat st;
    int type, r = 0;

    if (w->ftw.base + n > PATH_MAX) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(w->path + w->ftw.base, name, n + 1);
    w->len = (size_t)w->ftw.base + n;
    type = type_of(w, &st, false);
    if (type < 0)
        r = -1;
    else if (type == FTW_NS || !(w->flags & FTW_MOUNT) || st.st_dev == w->dev) {
        if (type != FTW_D)
            r = tell(w, &st, type);
        else if ((w->flags & FTW_PHYS) || !was_seen(w, &st))
            r = walk_dir(w, &st, false);
    }
    w->len = len;
    return (w->flags & FTW_ACTIONRETVAL) && r == FTW_SKIP_SUBTREE ? 0 : r;
}

static bool
goes_on(const struct walk *w, int r)
{
    return r == 0 || ((w->flags & FTW_ACTIONRETVAL) && r != -1 && r != FTW_STOP);
}

static int
entries(struct walk *w, const char *names)
{
    int base = w->ftw.base, r = 0;
    size_t len = w->len;

    w->ftw.level++;
    if (w->path[len - 1] != '/') // the root
        w->path[len++] = '/';
    w->ftw.base = (int)len;
    for (const char *p = names; r == 0 && *p; p += strlen(p) + 1)
        r = entry(w, p);
    if ((w->flags & FTW_ACTIONRETVAL) && r == FTW_SKIP_SIBLINGS)
        r = 0;
    w->ftw.level--;
    w->ftw.base = base;
    w->path[w->len] = '\0';
    return r;
}

// The way back from a directory that FTW_CHDIR went into.
static int
back_up(const struct walk *w, int r)
{
    int err = errno;

    if (chdir(w->ftw.base == 1 ? "/" : "..") < 0)
        return -1;
    errno = err;
    return r;
}

static int
walk_dir(struct walk *w, const struct stat *st, bool top)
{
    DIR *dir;
    char *names;
    int r;

    if (!(w->flags & FTW_PHYS) && see(w, st) < 0)
        return -1;
    dir = opendir(place_of(w));
    if (!dir)
        return errno == EACCES ? tell(w, st, FTW_DNR) : -1;
    r = w->flags & FTW_DEPTH ? 0 : tell(w, st, FTW_D);
    if (r != 0 || ((w->flags & FTW_CHDIR) && (r = fchdir(dirfd(dir))) < 0)) {
        closedir(dir);
        return r;
    }
    names = read_names(dir);
    r = names ? entries(w, names) : -1;
    free(names);
    if (r == 0 && (w->flags & FTW_DEPTH))
        r = tell(w, st, FTW_DP);
    return !top && (w->flags & FTW_CHDIR) && goes_on(w, r) ? back_up(w, r) : r;
}

// Under FTW_CHDIR the walk begins in the directory that holds the first name.
static int
to_parent(struct walk *w)
{
    char c = w->path[w->ftw.base - 1];
    int r;

    if (w->ftw.base == 1)
        return chdir("/");
    w->path[w->ftw.base - 1] = '\0';
    r = chdir(w->path);
    w->path[w->ftw.base - 1] = c;
    return r;
}

static int
walk_from(struct walk *w)
{
    struct stat st;
    int type, r;

    if ((w->flags & FTW_CHDIR) && w->ftw.base > 0 && to_parent(w) < 0)
        return -1;
    type = type_of(w, &st, true);
    if (type < 0)
        return -1;
    w->dev = st.st_dev;
    r = type == FTW_D ? walk_dir(w, &st, true) : tell(w, &st, type);
    return (w->flags & FTW_ACTIONRETVAL) && (r == FTW_SKIP_SUBTREE || r == FTW_SKIP_SIBLINGS) ? 0 : r;
}

static int
walk(const char *path, __nftw_func_t fn, const int *types, int flags)
{
    struct walk *w;
    int home = -1, r = -1, err;

    if (*path == '\0' || strlen(path) >= PATH_MAX)
        return (int)fs_result(*path ? -ENAMETOOLONG : -ENOENT);
    w = malloc(sizeof(*w));
    if (!w)
        return -1;
    *w = (struct walk){.fn = fn, .types = types, .flags = flags, .len = strlen(path)};
    strcpy(w->path, path);
    while (w->len > 1 && w->path[w->len - 1] == '/')
        w->path[--w->len] = '\0';
    w->ftw.base = (int)w->len;
    while (w->ftw.base > 0 && w->path[w->ftw.base - 1] != '/')
        w->ftw.base--;
    if (flags & FTW_CHDIR)
        home = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (!(flags & FTW_CHDIR) || home >= 0)
        r = walk_from(w);
    err = errno;
    if (home >= 0) {
        if (fchdir(home) < 0 && r == 0)
            r = -1, err = errno;
        close(home);
    }
    free(w->seen);
    free(w);
    errno = err;
    return r;
}

ZIO_EXPORT int
ftw(const char *path, __ftw_func_t fn, int fds)
{
    if (route_idle())
        return FS_REAL(ftw)(path, fn, fds);
    return walk(path, (__nftw_func_t)(void (*)(void))fn, ftw_types,
                0); // the fourth argument is not looked at
}
ZIO_ALIAS(ftw64, ftw);

ZIO_EXPORT int
nftw(const char *path, __nftw_func_t fn, int fds, int flags)
{
    if (route_idle())
        return FS_REAL(nftw)(path, fn, fds, flags);
    if (flags & ~(FTW_PHYS | FTW_MOUNT | FTW_CHDIR | FTW_DEPTH | FTW_ACTIONRETVAL))
        return (int)fs_result(-EINVAL);
    return walk(path, fn, nftw_types, flags);
}
ZIO_ALIAS(nftw64, nftw);
