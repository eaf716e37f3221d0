// SPDX-License-Identifier: Apache-2.0
// ftw, nftw and fts over a small tree with links, a loop and a name that leads nowhere.
#include <fts.h>
#include <ftw.h>

#include "tests/route/paths.h"

static char lines[200][512];
static size_t nlines;
static bool in_order;

static int
by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

// The order within a directory is the file system's: lines are sorted before they are told.
static void
tell(void)
{
    if (!in_order)
        qsort(lines, nlines, sizeof(lines[0]), by_text);
    for (size_t i = 0; i < nlines; i++)
        trace("    %s", lines[i]);
    nlines = 0;
}

static void
note(const char *path, const char *type, int a, int b, const char *cwd)
{
    if (nlines < 200)
        snprintf(lines[nlines++], 512, "%.200s %s %d %d %.200s", path, type, a, b, cwd);
}

static const char *
type_name(int type)
{
    static const char *const names[] = {"F", "D", "DNR", "NS", "SL", "DP", "SLN"};

    return type >= 0 && type < 7 ? names[type] : "?";
}

static const char *skip_name;
static int skip_result;

static int
visit(const char *path, const struct stat *st, int type, struct FTW *f)
{
    char cwd[4096];

    (void)st;
    note(path, type_name(type), f->base, f->level, getcwd(cwd, sizeof(cwd)) ? cwd : "?");
    return skip_name && strcmp(path + f->base, skip_name) == 0 ? skip_result : 0;
}

static int
visit_plain(const char *path, const struct stat *st, int type)
{
    note(path, type_name(type), S_ISDIR(st->st_mode), 0, "");
    return 0;
}

static void
make_tree(void)
{
    T(mkdir("t", 0755));
    T(mkdir("t/a", 0755));
    T(mkdir("t/a/b", 0755));
    T(mkdir("t/a/b/c", 0700));
    T(mkdir("t/empty", 0755));
    put("t/f", "x");
    put("t/a/g", "yy");
    put("t/a/b/c/h", "zzz");
    T(mkdir("outside", 0755)); // each directory is reached in one way, as which comes first differs
    T(mkdir("outside/o", 0755));
    put("outside/o/p", "p");
    T(symlink("../outside", "t/to_o"));
    T(symlink("none", "t/nowhere"));
    T(symlink("../..", "t/a/b/up"));
    T(mkfifo("t/fifo", 0600));
}

static void
walks(const char *path, int flags)
{
    char cwd[4096];
    int r;

    errno = 0;
    r = nftw(path, visit, 3, flags);
    trace("nftw %s %x = %d %s in %s", path, (unsigned)flags, r, r == -1 ? strerrorname_np(errno) : "",
          getcwd(cwd, sizeof(cwd)));
    tell();
}

void
family_tree(void)
{
    make_tree();
    // Not FTW_CHDIR through a link: glibc comes back by "..", to the wrong directory.
    walks("t", 0);
    walks("t", FTW_DEPTH);
    for (int flags = 0; flags < 4; flags++)
        walks("t", FTW_PHYS | (flags & 1 ? FTW_DEPTH : 0) | (flags & 2 ? FTW_CHDIR : 0));
    walks("t/", FTW_PHYS | FTW_MOUNT);
    walks("t/f", 0);
    walks("t/to_o", FTW_PHYS);
    walks("t/to_o", FTW_CHDIR);
    walks("t/nowhere", 0);
    walks("t/nowhere", FTW_PHYS);
    walks("none", 0);
    walks("", 0);
    walks("t", 0x1000);
    walks(P("t/a"), FTW_PHYS | FTW_CHDIR);
    skip_name = "a";
    skip_result = FTW_SKIP_SUBTREE;
    walks("t", FTW_PHYS | FTW_ACTIONRETVAL);
    skip_result = FTW_STOP;
    skip_name = "t";
    walks("t", FTW_PHYS | FTW_ACTIONRETVAL);
    skip_result = 77;
    skip_name = "t";
    walks("t", FTW_PHYS);
    skip_name = NULL;
    trace("ftw = %d", ftw("t", visit_plain, 1));
    tell();
}

static int
fts_by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static const char *
info_name(int info)
{
    static const char *const names[] = {"?", "D",    "DC", "DEFAULT", "DNR", "DOT",    "DP", "ERR",
                                        "F", "INIT", "NS", "NSOK",    "SL",  "SLNONE", "W"};

    return info >= 0 && info <= 14 ? names[info] : "?";
}

static void
fts_lines(const FTSENT *e)
{
    char cwd[4096];

    trace("    %s path %s acc %s name %s len %d %d level %d errno %d size %ld cycle %s reach %d in %s",
          info_name(e->fts_info), e->fts_path, e->fts_accpath, e->fts_name, e->fts_pathlen, e->fts_namelen,
          e->fts_level, e->fts_errno, e->fts_statp && e->fts_info == FTS_F ? (long)e->fts_statp->st_size : -1,
          e->fts_info == FTS_DC ? e->fts_cycle->fts_path : "-", access(e->fts_accpath, F_OK) == 0,
          getcwd(cwd, sizeof(cwd)));
}

enum { SKIP_A = 1, FOLLOW_LINKS = 2, CHILDREN = 4, AGAIN = 8 };

static void
walk_fts(char *const *roots, int options, int how)
{
    FTS *fts = fts_open(roots, options, fts_by_name);
    FTSENT *e;
    bool again = false;

    trace("fts %x how %d %s", (unsigned)options, how, fts ? "" : strerrorname_np(errno));
    if (!fts)
        return;
    if (how & CHILDREN)
        for (e = fts_children(fts, 0); e; e = e->fts_link)
            trace("    root %s %s", e->fts_name, info_name(e->fts_info));
    while ((errno = 0, e = fts_read(fts)) != NULL) {
        fts_lines(e);
        if ((how & SKIP_A) && strcmp(e->fts_name, "a") == 0)
            T(fts_set(fts, e, FTS_SKIP));
        if ((how & FOLLOW_LINKS) && e->fts_info == FTS_SL && strcmp(e->fts_name, "up") != 0)
            T(fts_set(fts, e, FTS_FOLLOW));
        if ((how & AGAIN) && e->fts_info == FTS_F && !again) {
            again = true;
            T(fts_set(fts, e, FTS_AGAIN));
        }
        if ((how & CHILDREN) && e->fts_info == FTS_D) {
            FTSENT *c = fts_children(fts, e->fts_level == 1 ? FTS_NAMEONLY : 0);

            for (; c; c = c->fts_link)
                trace("        child %s %s", c->fts_name, info_name(c->fts_info));
        }
    }
    T(errno);
    T(fts_close(fts));
    show(".");
    S(getcwd(NULL, 0));
}

void
family_fts(void)
{
    char *roots[] = {"t", NULL}, *two[] = {"t/f", "t/a", "none", NULL}, *dot[] = {".", NULL},
         *link[] = {"t/to_o", NULL};
    char *empty[] = {"", NULL}, abs[5000], *absolute[] = {abs, NULL};

    make_tree();
    snprintf(abs, sizeof(abs), "%s", P("t/a/"));
    walk_fts(roots, FTS_PHYSICAL, 0);
    walk_fts(roots, FTS_PHYSICAL | FTS_NOCHDIR, 0);
    walk_fts(roots, FTS_LOGICAL, 0);
    walk_fts(roots, FTS_PHYSICAL | FTS_SEEDOT | FTS_XDEV, 0);
    walk_fts(two, FTS_PHYSICAL, AGAIN);
    walk_fts(two, FTS_PHYSICAL | FTS_NOCHDIR, CHILDREN);
    walk_fts(dot, FTS_PHYSICAL, 0);
    walk_fts(link, FTS_PHYSICAL, 0);
    walk_fts(link, FTS_PHYSICAL | FTS_COMFOLLOW, 0);
    walk_fts(absolute, FTS_PHYSICAL, 0);
    walk_fts(absolute, FTS_LOGICAL, 0);
    walk_fts(roots, FTS_PHYSICAL, SKIP_A);
    walk_fts(roots, FTS_PHYSICAL, FOLLOW_LINKS);
    walk_fts(roots, FTS_PHYSICAL | FTS_NOCHDIR, FOLLOW_LINKS);
    walk_fts(roots, FTS_PHYSICAL, CHILDREN);
    walk_fts(empty, FTS_PHYSICAL, 0);
    walk_fts(roots, 0x8000 | FTS_PHYSICAL, 0);
}
