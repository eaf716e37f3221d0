// SPDX-License-Identifier: Apache-2.0
// `zio fs put` and `get`. A file is written under a name of its own beside the target, ".NAME.ID.zio-part"
// where ID is made from the source's size and time, and renamed when it is whole. A copy that was cut short
// is so taken up again by the same command where it ended, and only if the source is still the same.
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/fs.h"
#include "cli/fs_side.h"

#define BUFFER (4u << 20)
#define SYNC_FROM (16u << 20) // files of this size and more are put on disk before they get their name

struct copy {
    struct fs_args *a;
    struct fsc *fs;
    const struct side *from, *to;
    struct fs_progress progress;
    uint64_t done;
    char *buf;
    int code; // CLI_FAIL once something failed
};

static void
complain(struct copy *c, const char *path, int err)
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

static char *
part_name(const char *path, const struct side_attr *at)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    char *out = NULL;

    if (asprintf(&out, "%.*s.%.160s.%llx-%llx.zio-part", (int)(name - path), path, name,
                 (unsigned long long)at->size, (unsigned long long)at->mtime) < 0)
        return NULL;
    return out;
}

static int
copy_bytes(struct copy *c, union side_file in, union side_file out, uint64_t at)
{
    ssize_t n = 1, k = 0;

    c->done += at; // what is there already
    while ((n = c->from->pread(in, c->buf, BUFFER, at)) > 0) {
        for (ssize_t w = 0; w < n; w += k) {
            k = c->to->pwrite(out, c->buf + w, (size_t)(n - w), at + (uint64_t)w);
            if (k <= 0)
                return k < 0 ? (int)k : -EIO;
        }
        at += (uint64_t)n;
        c->done += (uint64_t)n;
        progress_to(&c->progress, c->done);
    }
    return (int)n;
}

static int
copy_to_part(struct copy *c, const char *src, const char *part, const struct side_attr *at)
{
    struct side_attr have = {0};
    union side_file in, out;
    int err, err2;

    err = c->from->open_read(c->fs, src, &in);
    if (err)
        return err;
    err = c->to->open_write(c->fs, part, &out);
    if (!err) {
        err = c->to->getattr(c->fs, part, false, &have);
        if (!err)
            err = copy_bytes(c, in, out, have.size <= at->size ? have.size : 0);
        if (!err && at->size >= SYNC_FROM)
            err = c->to->sync(out);
        err2 = c->to->close(out);
        err = err ? err : err2;
    }
    c->from->close(in);
    return err;
}

static void
copy_file(struct copy *c, const char *src, const char *dst, const struct side_attr *at)
{
    struct side_attr now;
    char *part = part_name(dst, at);
    int err = part ? copy_to_part(c, src, part, at) : -ENOMEM;

    if (!err)
        err = c->from->getattr(c->fs, src, true, &now);
    if (!err && (now.size != at->size || now.mtime != at->mtime)) {
        c->to->unlink(c->fs, part);
        free(part);
        c->code = cli_error(CLI_FAIL, c->a->name, "%s: it changed while it was copied; copy it again", src);
        return;
    }
    if (!err)
        err = c->to->set(c->fs, part, at);
    if (!err)
        err = c->to->finish(c->fs, part, dst);
    if (err)
        complain(c, err == -EACCES || err == -ENOENT ? src : dst, err);
    free(part);
}

static void copy_any(struct copy *c, const char *src, const char *dst, bool follow);

struct below {
    struct copy *c;
    const char *src, *dst;
};

static int
copy_entry(void *arg, const char *name)
{
    struct below *b = arg;
    char *src = join(b->src, name), *dst = join(b->dst, name);

    if (!src || !dst)
        complain(b->c, name, -ENOMEM);
    else if (strlen(name) < 9 || strcmp(name + strlen(name) - 9, ".zio-part") != 0)
        copy_any(b->c, src, dst, false);
    free(src);
    free(dst);
    return 0;
}

static void
copy_dir(struct copy *c, const char *src, const char *dst, const struct side_attr *at)
{
    struct below b = {c, src, dst};
    int err;

    if (!c->a->recursive) {
        c->code = cli_error(CLI_FAIL, c->a->name, "%s: is a directory (-r copies it with all below)", src);
        return;
    }
    err = c->to->mkdir(c->fs, dst, 0700);
    if (err == -EEXIST)
        err = 0;
    if (!err)
        err = c->from->each(c->fs, src, copy_entry, &b);
    if (!err)
        err = c->to->set(c->fs, dst, at);
    if (err)
        complain(c, dst, err);
}

static void
copy_link(struct copy *c, const char *src, const char *dst)
{
    char text[PATH_MAX];
    ssize_t n = c->from->readlink(c->fs, src, text, sizeof text - 1);
    int err = n < 0 ? (int)n : 0;

    if (!err) {
        text[n] = '\0';
        err = c->to->symlink(c->fs, text, dst);
        if (err == -EEXIST) {
            c->to->unlink(c->fs, dst);
            err = c->to->symlink(c->fs, text, dst);
        }
    }
    if (err)
        complain(c, dst, err);
}

static void
copy_any(struct copy *c, const char *src, const char *dst, bool follow)
{
    struct side_attr at;
    int err = c->from->getattr(c->fs, src, follow, &at);

    if (err)
        complain(c, src, err);
    else if (S_ISREG(at.mode))
        copy_file(c, src, dst, &at);
    else if (S_ISDIR(at.mode))
        copy_dir(c, src, dst, &at);
    else if (S_ISLNK(at.mode))
        copy_link(c, src, dst);
    else
        c->code = cli_error(CLI_FAIL, c->a->name,
                            "%s: neither a file, a directory nor a symbolic link: left out", src);
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

// The name that a source gets in a directory; to be freed.
static char *
base_name(const char *path)
{
    char *copy = strdup(path), *out = copy ? strdup(basename(copy)) : NULL;

    free(copy);
    return out;
}

static int
copy_all(struct fs_args *a, struct fsc *fs, const struct side *from, const struct side *to)
{
    struct copy c = {.a = a, .fs = fs, .from = from, .to = to, .buf = malloc(BUFFER)};
    const char *target = a->argv[a->argc - 1];
    struct side_attr at;
    bool into = to->getattr(fs, target, true, &at) == 0 && S_ISDIR(at.mode);
    struct sum sum = {.c = &c};

    if (!c.buf)
        return fs_fail(a, target, -ENOMEM);
    if (!into && (a->argc > 2 || target[strlen(target) - 1] == '/')) {
        free(c.buf);
        return cli_error(CLI_FAIL, a->name, "%s: is no directory", target);
    }
    progress_begin(&c.progress, a->name, 0, a->quiet);
    for (int i = 0; i + 1 < a->argc && c.progress.on; i++)
        sum_any(&sum, a->argv[i], true);
    c.progress.total = sum.bytes;
    for (int i = 0; i + 1 < a->argc; i++) {
        char *name = into ? base_name(a->argv[i]) : NULL,
             *dst = into && name ? join(target, name) : strdup(target);

        if (dst && (name || !into))
            copy_any(&c, a->argv[i], dst, true);
        else
            complain(&c, a->argv[i], -ENOMEM);
        free(dst);
        free(name);
    }
    progress_end(&c.progress);
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
