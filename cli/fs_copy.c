// SPDX-License-Identifier: Apache-2.0
// `zio fs put` and `get`: the walk over the sources. What fails is told and counted, and the rest goes on. A
// file that is at the target with the source's size and time is not copied again, so that the same command
// goes on where one was cut short; fs_copyfile.c does so inside of a file.
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/fs_copy.h"

#define BUFFER (4u << 20)

void
copy_complain(struct copy *c, const char *path, int err)
{
    c->code = fs_fail(c->a, path, err);
}

static char *
join(const char *dir, const char *name)
{
    char *path = NULL;

    if (asprintf(&path, "%s%s%s", dir, *dir && dir[strlen(dir) - 1] == '/' ? "" : "/", name) < 0)
        return NULL;
    return path;
}

// ---- files with several names (--archive) ----

struct linked {
    uint64_t dev, ino;
    char *path; // the first copy
};

static int
linked_order(const void *a, const void *b)
{
    const struct linked *x = a, *y = b;

    if (x->dev != y->dev)
        return x->dev < y->dev ? -1 : 1;
    return x->ino < y->ino ? -1 : x->ino > y->ino;
}

static void
linked_free(void *p)
{
    free(((struct linked *)p)->path);
    free(p);
}

static int
link_again(struct copy *c, const char *first, const char *dst)
{
    struct side_attr a, b;
    int err = c->to->link(c->fs, first, dst);

    if (err != -EEXIST || c->to->getattr(c->fs, first, false, &a) != 0 ||
        c->to->getattr(c->fs, dst, false, &b) != 0)
        return err;
    if (a.ino == b.ino && a.dev == b.dev)
        return 0;
    err = c->to->unlink(c->fs, dst);
    return err ? err : c->to->link(c->fs, first, dst);
}

// Makes dst one more name of what was copied before from the same file: 1. Not one of those: 0.
static int
link_or_remember(struct copy *c, const char *dst, const struct side_attr *at)
{
    struct linked *e, key = {at->dev, at->ino, NULL}, **found;
    int err;

    if (!c->a->archive || at->nlink < 2)
        return 0;
    found = tfind(&key, &c->links, linked_order);
    if (found) {
        err = link_again(c, (*found)->path, dst);
        if (err)
            copy_complain(c, dst, err);
        progress_to(&c->progress, c->done += S_ISREG(at->mode) ? at->size : 0);
        return 1;
    }
    e = malloc(sizeof *e);
    if (e)
        *e = (struct linked){at->dev, at->ino, strdup(dst)};
    if (!e || !e->path || !tsearch(e, &c->links, linked_order)) {
        copy_complain(c, dst, -ENOMEM);
        if (e)
            linked_free(e);
    }
    return 0;
}

// ---- the walk ----

static void copy_any(struct copy *c, const char *src, const char *dst, bool follow);

struct below {
    struct copy *c;
    const char *src, *dst;
};

static int
copy_entry(void *arg, const char *name)
{
    static const size_t tail = sizeof COPY_PART - 1;
    struct below *b = arg;
    char *src = join(b->src, name), *dst = join(b->dst, name);

    if (!src || !dst)
        copy_complain(b->c, name, -ENOMEM);
    else if (strlen(name) < tail || strcmp(name + strlen(name) - tail, COPY_PART) != 0)
        copy_any(b->c, src, dst, false);
    free(src);
    free(dst);
    return 0;
}

static void
copy_dir(struct copy *c, const char *src, const char *dst, const struct side_attr *at)
{
    struct below b = {c, src, dst};
    struct side_attr have;
    int err;

    if (!c->a->recursive) {
        c->code = fs_say(c->a, src, "is a directory (-r copies it with all below)");
        return;
    }
    err = c->to->mkdir(c->fs, dst, 0700);
    if (err == -EEXIST)
        err = c->to->getattr(c->fs, dst, true, &have) == 0 && S_ISDIR(have.mode) ? 0 : -ENOTDIR;
    if (err) {
        copy_complain(c, dst, err);
        return;
    }
    err = c->from->each(c->fs, src, copy_entry, &b);
    if (err)
        copy_complain(c, src, err);
    err = copy_attributes(c, src, dst, at);
    if (err)
        copy_complain(c, dst, err);
}

static int
copy_link(struct copy *c, const char *src, const char *dst)
{
    char text[PATH_MAX];
    ssize_t n = c->from->readlink(c->fs, src, text, sizeof text - 1);
    int err;

    if (n < 0)
        return (int)n;
    text[n] = '\0';
    err = c->to->symlink(c->fs, text, dst);
    if (err == -EEXIST && (err = c->to->unlink(c->fs, dst)) == 0)
        err = c->to->symlink(c->fs, text, dst);
    return err;
}

// A symbolic link, a FIFO, a socket or a device.
static void
copy_special(struct copy *c, const char *src, const char *dst, const struct side_attr *at)
{
    int err;

    if (!S_ISLNK(at->mode) && !c->a->archive) {
        c->code =
            fs_say(c->a, src, "neither a file, a directory nor a symbolic link: left out (-a copies it)");
        return;
    }
    if (S_ISLNK(at->mode)) {
        err = copy_link(c, src, dst);
    } else {
        err = c->to->mknod(c->fs, dst, at->mode, (dev_t)at->rdev);
        if (err == -EEXIST && (err = c->to->unlink(c->fs, dst)) == 0)
            err = c->to->mknod(c->fs, dst, at->mode, (dev_t)at->rdev);
    }
    if (!err && c->a->archive)
        err = copy_attributes(c, src, dst, at);
    if (err)
        copy_complain(c, dst, err);
}

static void
copy_any(struct copy *c, const char *src, const char *dst, bool follow)
{
    struct side_attr at;
    int err = c->from->getattr(c->fs, src, follow, &at);

    if (err)
        copy_complain(c, src, err);
    else if (S_ISDIR(at.mode))
        copy_dir(c, src, dst, &at);
    else if (link_or_remember(c, dst, &at))
        return;
    else if (S_ISREG(at.mode))
        copy_file(c, src, dst, &at);
    else
        copy_special(c, src, dst, &at);
}

// ---- how much it will be, for the progress bar ----

struct sum {
    struct copy *c;
    const char *dir;
    uint64_t bytes;
};

static int sum_entry(void *arg, const char *name);

static void
sum_any(struct sum *s, const char *path, bool follow)
{
    struct sum below = {s->c, path, 0};
    struct side_attr at;

    if (s->c->from->getattr(s->c->fs, path, follow, &at) != 0)
        return;
    if (S_ISREG(at.mode))
        s->bytes += at.size;
    else if (S_ISDIR(at.mode) && s->c->a->recursive &&
             s->c->from->each(s->c->fs, path, sum_entry, &below) == 0)
        s->bytes += below.bytes;
}

static int
sum_entry(void *arg, const char *name)
{
    struct sum *s = arg;
    char *path = join(s->dir, name);

    if (path)
        sum_any(s, path, false);
    free(path);
    return 0;
}

// The name that a source gets in a directory; to be freed. ".." is a place, not a name: its content is meant.
static char *
base_name(const char *path)
{
    char *copy = strdup(path), *base = copy ? basename(copy) : NULL, *out;

    out = base ? strdup(strcmp(base, "..") == 0 || strcmp(base, "/") == 0 ? "." : base) : NULL;
    free(copy);
    return out;
}

static bool
is_stdin(const struct copy *c, const char *src)
{
    return c->from == &side_host && strcmp(src, "-") == 0;
}

static void
copy_source(struct copy *c, const char *src, const char *target, bool into)
{
    struct side_attr at = {.mode = S_IFREG | 0644, .ino = (uint64_t)getpid()};
    char *name = into ? base_name(src) : NULL;
    char *dst = into && name ? join(target, name) : strdup(target);

    if (!dst || (into && !name))
        copy_complain(c, src, -ENOMEM);
    else if (!is_stdin(c, src))
        copy_any(c, src, dst, true);
    else if (into)
        c->code = fs_say(c->a, target, "is a directory; what comes from standard input needs a name in it");
    else
        copy_file(c, NULL, dst, &at);
    free(dst);
    free(name);
}

static int
copy_all(struct fs_args *a, struct fsc *fs, const struct side *from, const struct side *to)
{
    struct copy c = {.a = a, .fs = fs, .from = from, .to = to};
    const char *target = a->argv[a->argc - 1];
    struct side_attr at;
    bool into = to->getattr(fs, target, true, &at) == 0 && S_ISDIR(at.mode);
    struct sum sum = {.c = &c};

    if (!*target)
        return cli_error(CLI_USAGE, a->name, "the target's name is empty");
    if (!into && (a->argc > 2 || target[strlen(target) - 1] == '/'))
        return fs_say(a, target, "is no directory");
    a->recursive |= a->archive;
    c.buf = malloc(BUFFER);
    if (!c.buf)
        return fs_fail(a, target, -ENOMEM);
    progress_begin(&c.progress, a->name, 0, a);
    for (int i = 0; i + 1 < a->argc && c.progress.on; i++)
        if (!is_stdin(&c, a->argv[i]))
            sum_any(&sum, a->argv[i], true);
    c.progress.total = sum.bytes;
    for (int i = 0; i + 1 < a->argc; i++)
        copy_source(&c, a->argv[i], target, into);
    progress_end(&c.progress);
    tdestroy(c.links, linked_free);
    free(c.buf);
    return c.code;
}

int
fs_put(struct fs_args *a, struct fsc *fs)
{
    return copy_all(a, fs, &side_host, &side_volume);
}

int
fs_get(struct fs_args *a, struct fsc *fs)
{
    return copy_all(a, fs, &side_volume, &side_host);
}
