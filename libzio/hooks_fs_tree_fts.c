// SPDX-License-Identifier: Apache-2.0
// fts: the walk of 4.4BSD, with the results of glibc's (which entry is told when, with which fts_info,
// fts_accpath and current directory). FTS and FTSENT are public; a handle of ours has a bit in fts_options
// that no caller can set.
//
// Entries of one directory are a list (fts_link); the walk holds the list of the current level, each entry
// leads to its parent. An entry is freed when the walk goes past it.
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "libzio/hooks_fs.h"

#define FTS_OURS 0x40000000
#define PATH_ROOM (USHRT_MAX + 2 + NAME_MAX + 1) // fts_pathlen is an unsigned short

#define IS(fts, option) ((fts)->fts_options & (option))

enum listing {
    LIST_CHILDREN, // fts_children
    LIST_NAMES,    // fts_children, names only
    LIST_READ,     // fts_read goes down
};

static bool
is_dot(const char *s)
{
    return s[0] == '.' && (s[1] == '\0' || (s[1] == '.' && s[2] == '\0'));
}

static FTSENT *
new_entry(FTS *fts, const char *name, size_t n)
{
    size_t head = (offsetof(FTSENT, fts_name) + n + 1 + 7) & ~(size_t)7;
    FTSENT *p = calloc(1, head + (IS(fts, FTS_NOSTAT) ? 0 : sizeof(struct stat)));

    if (!p)
        return NULL;
    memcpy(p->fts_name, name, n);
    p->fts_namelen = (unsigned short)n;
    p->fts_path = fts->fts_path;
    p->fts_instr = FTS_NOINSTR;
    if (!IS(fts, FTS_NOSTAT))
        p->fts_statp = (struct stat *)(void *)((char *)p + head);
    return p;
}

static void
free_list(FTSENT *p)
{
    while (p) {
        FTSENT *next = p->fts_link;

        free(p);
        p = next;
    }
}

// ---- stat ----

static int
kind_of_dir(FTSENT *p, const struct stat *st)
{
    p->fts_dev = st->st_dev;
    p->fts_ino = st->st_ino;
    p->fts_nlink = st->st_nlink;
    if (is_dot(p->fts_name))
        return FTS_DOT;
    for (FTSENT *t = p->fts_parent; t->fts_level >= FTS_ROOTLEVEL; t = t->fts_parent)
        if (t->fts_ino == st->st_ino && t->fts_dev == st->st_dev) {
            p->fts_cycle = t;
            return FTS_DC;
        }
    return FTS_D;
}

static int
look_at(FTS *fts, FTSENT *p, bool follow)
{
    struct stat own = {0}, *st = IS(fts, FTS_NOSTAT) ? &own : p->fts_statp;
    int err = 0;

    if (IS(fts, FTS_LOGICAL) || follow) {
        if (stat(p->fts_accpath, st) < 0) {
            err = errno;
            if (lstat(p->fts_accpath, st) == 0) {
                errno = 0;
                return FTS_SLNONE;
            }
        }
    } else if (lstat(p->fts_accpath, st) < 0) {
        err = errno;
    }
    if (err) {
        p->fts_errno = err;
        memset(st, 0, sizeof(*st));
        return FTS_NS;
    }
    if (S_ISDIR(st->st_mode))
        return kind_of_dir(p, st);
    return S_ISLNK(st->st_mode) ? FTS_SL : S_ISREG(st->st_mode) ? FTS_F : FTS_DEFAULT;
}

// ---- the current directory ----

static int
go_home(const FTS *fts)
{
    return IS(fts, FTS_NOCHDIR) ? 0 : fchdir(fts->fts_rfd);
}

// Into directory p, by a descriptor or (fd -1) a path; only if it is the one that was seen.
static int
go_into(const FTS *fts, const FTSENT *p, int fd, const char *path)
{
    struct stat st;
    int own = -1, r = -1, err;

    if (IS(fts, FTS_NOCHDIR))
        return 0;
    if (fd < 0 && (fd = own = open(path, O_RDONLY | O_CLOEXEC)) < 0)
        return -1;
    if (fstat(fd, &st) == 0) {
        if (p->fts_dev != st.st_dev || p->fts_ino != st.st_ino)
            errno = ENOENT;
        else
            r = fchdir(fd);
    }
    err = errno;
    if (own >= 0)
        close(own);
    errno = err;
    return r;
}

// A link that is to be followed into a directory: the way back is kept.
static void
follow(FTS *fts, FTSENT *p)
{
    p->fts_info = (unsigned short)look_at(fts, p, true);
    if (p->fts_info != FTS_D || IS(fts, FTS_NOCHDIR))
        return;
    p->fts_symfd = open(".", O_RDONLY | O_CLOEXEC);
    if (p->fts_symfd < 0) {
        p->fts_errno = errno;
        p->fts_info = FTS_ERR;
    } else {
        p->fts_flags |= FTS_SYMFOLLOW;
    }
}

// ---- lists ----

static __thread FTS *sorting; // qsort takes no argument for its comparison

static int
compare_entries(const void *a, const void *b)
{
    return sorting->fts_compar((const void *)a, (const void *)b);
}

static FTSENT *
sorted(FTS *fts, FTSENT *head, size_t n)
{
    FTSENT **v, *p = head;

    if (!fts->fts_compar || n < 2)
        return head;
    v = malloc(n * sizeof(FTSENT *));
    if (!v)
        return head;
    for (size_t i = 0; i < n; i++, p = p->fts_link)
        v[i] = p;
    sorting = fts;
    qsort(v, n, sizeof(FTSENT *), compare_entries);
    for (size_t i = 0; i + 1 < n; i++)
        v[i]->fts_link = v[i + 1];
    v[n - 1]->fts_link = NULL;
    head = v[0];
    free(v);
    return head;
}

// Where the name of a child of p goes in the path.
static size_t
append_at(const FTSENT *p)
{
    return p->fts_path[p->fts_pathlen - 1] == '/' ? p->fts_pathlen - 1u : p->fts_pathlen;
}

struct build {
    FTSENT *cur;
    enum listing type;
    int cd_error; // why the directory could not be entered
    size_t len;   // of the path up to the slash
};

// One entry of the directory; NULL: memory.
static FTSENT *
child(FTS *fts, const struct build *b, const struct dirent *e)
{
    size_t n = strlen(e->d_name);
    FTSENT *p = new_entry(fts, e->d_name, n);

    if (!p)
        return NULL;
    p->fts_level = (short)(b->cur->fts_level + 1);
    p->fts_parent = b->cur;
    p->fts_pathlen = (unsigned short)(b->len + 1 + n);
    if (b->cd_error) {
        p->fts_info = b->type == LIST_NAMES ? FTS_NSOK : FTS_NS;
        if (b->type != LIST_NAMES)
            p->fts_errno = b->cd_error;
        p->fts_accpath = b->cur->fts_accpath;
        return p;
    }
    p->fts_accpath = IS(fts, FTS_NOCHDIR) ? p->fts_path : p->fts_name;
    if (b->type == LIST_NAMES ||
        (IS(fts, FTS_NOSTAT) && IS(fts, FTS_PHYSICAL) && e->d_type != DT_DIR && e->d_type != DT_UNKNOWN)) {
        p->fts_info = FTS_NSOK;
        return p;
    }
    if (IS(fts, FTS_NOCHDIR))
        memcpy(fts->fts_path + b->len + 1, p->fts_name, n + 1);
    p->fts_info = (unsigned short)look_at(fts, p, false);
    return p;
}

// All entries into *head: the count, or -1 and errno.
static ssize_t
children(FTS *fts, const struct build *b, DIR *dir, FTSENT **head)
{
    FTSENT **tail = head;
    const struct dirent *e;
    ssize_t n = 0;

    *head = NULL;
    while ((errno = 0, e = readdir(dir)) != NULL) {
        if (!IS(fts, FTS_SEEDOT) && is_dot(e->d_name))
            continue;
        if (b->len + 1 + strlen(e->d_name) > USHRT_MAX)
            errno = ENAMETOOLONG;
        else if ((*tail = child(fts, b, e)) != NULL) {
            tail = &(*tail)->fts_link;
            n++;
            continue;
        }
        free_list(*head);
        *head = NULL;
        return -1;
    }
    return n;
}

static FTSENT *
stop(FTS *fts)
{
    fts->fts_options |= FTS_STOP;
    return NULL;
}

// The entries of the current directory entry, or NULL: then fts_info of it says why (FTS_DP: there are none).
static FTSENT *
build(FTS *fts, enum listing type)
{
    FTSENT *cur = fts->fts_cur, *head;
    struct build b = {.cur = cur, .type = type, .len = append_at(cur)};
    DIR *dir = opendir(cur->fts_accpath);
    bool entered = false;
    ssize_t n;
    int err;

    if (!dir) {
        if (type == LIST_READ) {
            cur->fts_info = FTS_DNR;
            cur->fts_errno = errno;
        }
        return NULL;
    }
    if (type != LIST_NAMES) {
        entered = go_into(fts, cur, dirfd(dir), NULL) == 0;
        if (!entered) {
            b.cd_error = errno;
            if (type == LIST_READ)
                cur->fts_errno = errno;
            cur->fts_flags |= FTS_DONTCHDIR;
        }
    }
    if (IS(fts, FTS_NOCHDIR))
        fts->fts_path[b.len] = '/';
    n = children(fts, &b, dir, &head);
    err = errno;
    closedir(dir);
    if (IS(fts, FTS_NOCHDIR))
        fts->fts_path[b.len == cur->fts_pathlen || n <= 0 ? b.len : b.len + 1] = '\0';
    if (n < 0) {
        cur->fts_info = FTS_ERR;
        errno = err;
        return stop(fts);
    }
    if (entered && (type == LIST_CHILDREN || n == 0) &&
        (cur->fts_level == FTS_ROOTLEVEL ? go_home(fts) : go_into(fts, cur->fts_parent, -1, "..")) != 0) {
        free_list(head);
        cur->fts_info = FTS_ERR;
        return stop(fts);
    }
    if (n == 0) {
        if (type == LIST_READ)
            cur->fts_info = FTS_DP;
        return NULL;
    }
    return sorted(fts, head, (size_t)n);
}

// ---- the hooks ----

static void
load(FTS *fts, FTSENT *p)
{
    size_t len = p->fts_pathlen = p->fts_namelen;
    char *slash;

    memcpy(fts->fts_path, p->fts_name, len + 1);
    slash = strrchr(p->fts_name, '/');
    if (slash && (slash != p->fts_name || slash[1])) {
        len = strlen(++slash);
        memmove(p->fts_name, slash, len + 1);
        p->fts_namelen = (unsigned short)len;
    }
    p->fts_accpath = p->fts_path = fts->fts_path;
    fts->fts_dev = p->fts_dev;
}

// The roots, in order; false and errno.
static bool
add_roots(FTS *fts, char *const *argv, FTSENT *parent, FTSENT **head)
{
    FTSENT **tail = head;
    size_t n = 0;

    for (; *argv; argv++, n++) {
        size_t len = strlen(*argv);
        FTSENT *p;

        if (len == 0 || len > USHRT_MAX) {
            errno = len ? ENAMETOOLONG : ENOENT;
            return false;
        }
        *tail = p = new_entry(fts, *argv, len);
        if (!p)
            return false;
        tail = &p->fts_link;
        p->fts_level = FTS_ROOTLEVEL;
        p->fts_parent = parent;
        p->fts_accpath = p->fts_name;
        p->fts_info = (unsigned short)look_at(fts, p, IS(fts, FTS_COMFOLLOW));
        if (p->fts_info == FTS_DOT)
            p->fts_info = FTS_D;
    }
    *head = sorted(fts, *head, n);
    return true;
}

ZIO_EXPORT FTS *
fts_open(char *const *argv, int options, int (*compare)(const FTSENT **, const FTSENT **))
{
    FTSENT *parent = NULL, *root = NULL;
    FTS *fts;

    if (route_idle())
        return FS_REAL(fts_open)(argv, options, compare);
    if (options & ~FTS_OPTIONMASK) {
        errno = EINVAL;
        return NULL;
    }
    fts = calloc(1, sizeof(*fts));
    if (!fts)
        return NULL;
    fts->fts_compar = (int (*)(const void *, const void *))(void (*)(void))compare;
    fts->fts_options = options | FTS_OURS | (options & FTS_LOGICAL ? FTS_NOCHDIR : 0);
    fts->fts_rfd = -1;
    fts->fts_pathlen = PATH_ROOM;
    fts->fts_path = malloc(PATH_ROOM);
    if (!fts->fts_path || !(parent = new_entry(fts, "", 0)))
        goto fail;
    parent->fts_level = FTS_ROOTPARENTLEVEL;
    if (!add_roots(fts, argv, parent, &root) || !(fts->fts_cur = new_entry(fts, "", 0)))
        goto fail;
    fts->fts_cur->fts_link = root;
    fts->fts_cur->fts_info = FTS_INIT;
    fts->fts_cur->fts_parent = parent;
    if (!IS(fts, FTS_NOCHDIR) && (fts->fts_rfd = open(".", O_RDONLY | O_CLOEXEC)) < 0)
        fts->fts_options |= FTS_NOCHDIR;
    return fts;
fail:
    free_list(root);
    free(parent);
    free(fts->fts_path);
    free(fts);
    return NULL;
}

// Down into the directory p: its first entry, or p itself again.
static FTSENT *
descend(FTS *fts, FTSENT *p, int instr)
{
    if (instr == FTS_SKIP || (IS(fts, FTS_XDEV) && p->fts_dev != fts->fts_dev)) {
        if (p->fts_flags & FTS_SYMFOLLOW)
            close(p->fts_symfd);
        free_list(fts->fts_child);
        fts->fts_child = NULL;
        p->fts_info = FTS_DP;
        return p;
    }
    if (fts->fts_child && IS(fts, FTS_NAMEONLY)) {
        fts->fts_options &= ~FTS_NAMEONLY;
        free_list(fts->fts_child);
        fts->fts_child = NULL;
    }
    if (fts->fts_child) {
        if (go_into(fts, p, -1, p->fts_accpath) != 0) {
            p->fts_errno = errno;
            p->fts_flags |= FTS_DONTCHDIR;
            for (FTSENT *c = fts->fts_child; c; c = c->fts_link)
                c->fts_accpath = c->fts_parent->fts_accpath;
        }
    } else if (!(fts->fts_child = build(fts, LIST_READ))) {
        return IS(fts, FTS_STOP) ? NULL : p;
    }
    p = fts->fts_child;
    fts->fts_child = NULL;
    return p;
}

// The path of an entry that is now told.
static FTSENT *
name_it(FTS *fts, FTSENT *p)
{
    char *t = fts->fts_path + append_at(p->fts_parent);

    *t++ = '/';
    memcpy(t, p->fts_name, p->fts_namelen + 1u);
    return fts->fts_cur = p;
}

// Back up from the last entry of a list to its directory, after its entries.
static FTSENT *
ascend(FTS *fts, FTSENT *last)
{
    FTSENT *p = last->fts_parent;
    int r = 0;

    fts->fts_cur = p;
    free(last);
    if (p->fts_level == FTS_ROOTPARENTLEVEL) {
        free(p);
        errno = 0;
        return fts->fts_cur = NULL;
    }
    fts->fts_path[p->fts_pathlen] = '\0';
    if (p->fts_level == FTS_ROOTLEVEL) {
        r = go_home(fts);
    } else if (p->fts_flags & FTS_SYMFOLLOW) {
        r = IS(fts, FTS_NOCHDIR) ? 0 : fchdir(p->fts_symfd);
        close(p->fts_symfd);
    } else if (!(p->fts_flags & FTS_DONTCHDIR)) {
        r = go_into(fts, p->fts_parent, -1, "..");
    }
    if (r != 0)
        return stop(fts);
    p->fts_info = p->fts_errno ? FTS_ERR : FTS_DP;
    return p;
}

static FTSENT *
next_of(FTS *fts, FTSENT *p)
{
    for (;;) {
        FTSENT *last = p;

        p = p->fts_link;
        if (!p)
            return ascend(fts, last);
        fts->fts_cur = p;
        free(last);
        if (p->fts_level == FTS_ROOTLEVEL) {
            if (go_home(fts) != 0)
                return stop(fts);
            load(fts, p);
            return p;
        }
        if (p->fts_instr == FTS_SKIP)
            continue;
        if (p->fts_instr == FTS_FOLLOW) {
            follow(fts, p);
            p->fts_instr = FTS_NOINSTR;
        }
        return name_it(fts, p);
    }
}

ZIO_EXPORT FTSENT *
fts_read(FTS *fts)
{
    FTSENT *p;
    int instr;

    if (!IS(fts, FTS_OURS))
        return FS_REAL(fts_read)(fts);
    if (!fts->fts_cur || IS(fts, FTS_STOP))
        return NULL;
    p = fts->fts_cur;
    instr = p->fts_instr;
    p->fts_instr = FTS_NOINSTR;
    if (instr == FTS_AGAIN) {
        p->fts_info = (unsigned short)look_at(fts, p, false);
        return p;
    }
    if (instr == FTS_FOLLOW && (p->fts_info == FTS_SL || p->fts_info == FTS_SLNONE)) {
        follow(fts, p);
        return p;
    }
    if (p->fts_info == FTS_D) {
        FTSENT *q = descend(fts, p, instr);

        return !q || q == p ? q : name_it(fts, q);
    }
    return next_of(fts, p);
}

ZIO_EXPORT FTSENT *
fts_children(FTS *fts, int instr)
{
    enum listing type = instr == FTS_NAMEONLY ? LIST_NAMES : LIST_CHILDREN;
    FTSENT *p = fts->fts_cur;
    int home;

    if (!IS(fts, FTS_OURS))
        return FS_REAL(fts_children)(fts, instr);
    if (instr != 0 && instr != FTS_NAMEONLY) {
        errno = EINVAL;
        return NULL;
    }
    errno = 0;
    if (IS(fts, FTS_STOP) || !p)
        return NULL;
    if (p->fts_info == FTS_INIT)
        return p->fts_link;
    if (p->fts_info != FTS_D)
        return NULL;
    free_list(fts->fts_child);
    fts->fts_child = NULL;
    if (instr == FTS_NAMEONLY)
        fts->fts_options |= FTS_NAMEONLY;
    // A relative root: build() would come back to the wrong place.
    if (p->fts_level != FTS_ROOTLEVEL || p->fts_accpath[0] == '/' || IS(fts, FTS_NOCHDIR))
        return fts->fts_child = build(fts, type);
    home = open(".", O_RDONLY | O_CLOEXEC);
    if (home < 0)
        return NULL;
    fts->fts_child = build(fts, type);
    if (fchdir(home) < 0) {
        close(home);
        return NULL;
    }
    close(home);
    return fts->fts_child;
}

ZIO_EXPORT int
fts_set(FTS *fts, FTSENT *p, int instr)
{
    if (!IS(fts, FTS_OURS))
        return FS_REAL(fts_set)(fts, p, instr);
    if (instr != 0 && instr != FTS_AGAIN && instr != FTS_FOLLOW && instr != FTS_NOINSTR &&
        instr != FTS_SKIP) {
        errno = EINVAL;
        return 1;
    }
    p->fts_instr = (unsigned short)instr;
    return 0;
}

ZIO_EXPORT int
fts_close(FTS *fts)
{
    int r = 0, err = 0;

    if (!IS(fts, FTS_OURS))
        return FS_REAL(fts_close)(fts);
    for (FTSENT *p = fts->fts_cur; p;) {
        FTSENT *next = p->fts_link ? p->fts_link : p->fts_parent;

        free(p);
        p = next;
    }
    free_list(fts->fts_child);
    if (!IS(fts, FTS_NOCHDIR)) {
        r = fchdir(fts->fts_rfd);
        err = errno;
        close(fts->fts_rfd);
    }
    free(fts->fts_path);
    free(fts);
    if (r < 0)
        errno = err;
    return r;
}

ZIO_ALIAS(fts64_open, fts_open);
ZIO_ALIAS(fts64_read, fts_read);
ZIO_ALIAS(fts64_children, fts_children);
ZIO_ALIAS(fts64_set, fts_set);
ZIO_ALIAS(fts64_close, fts_close);
