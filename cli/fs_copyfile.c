// SPDX-License-Identifier: Apache-2.0
// One file of `zio fs put` and `get`. It is written under a name of its own beside the target,
// ".NAME.ID.zio-part", and renamed when it is whole. ID is made from what the source is (inode, size, times),
// so that a copy that was cut short is taken up by the same command where it ended, and only if the source is
// still the same. Holes stay holes.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/fs_copy.h"

#define BUFFER (4u << 20)
#define SYNC_FROM (16u << 20) // files of this size and more are put on disk before they get their name

static uint64_t
mix(uint64_t h, const void *p, size_t n)
{
    const unsigned char *b = p;

    for (size_t i = 0; i < n; i++)
        h = (h ^ b[i]) * 0x100000001b3u; // FNV-1a
    return h;
}

static char *
part_name(const char *path, const struct side_attr *at)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    uint64_t v[] = {at->dev, at->ino, at->size, (uint64_t)at->mtime, (uint64_t)at->ctime};
    uint64_t id = mix(mix(0xcbf29ce484222325u, v, sizeof v), name, strlen(name));
    char *out = NULL;

    if (asprintf(&out, "%.*s.%.160s.%016llx" COPY_PART, (int)(name - path), path, name,
                 (unsigned long long)id) < 0)
        return NULL;
    return out;
}

static int
write_all(struct copy *c, union side_file out, const char *buf, size_t n, uint64_t at)
{
    while (n) {
        ssize_t k = c->to->pwrite(out, buf, n, at);

        if (k <= 0)
            return k < 0 ? (int)k : -EIO;
        buf += k;
        n -= (size_t)k;
        at += (uint64_t)k;
    }
    return 0;
}

// The bytes from *at up to `end`, or up to the source's end. *at is moved.
static int
copy_range(struct copy *c, union side_file in, union side_file out, uint64_t *at, uint64_t end)
{
    while (*at < end) {
        size_t want = end - *at < BUFFER ? (size_t)(end - *at) : BUFFER;
        ssize_t n = c->from->pread(in, c->buf, want, *at);
        int err = n > 0 ? write_all(c, out, c->buf, (size_t)n, *at) : (int)n;

        if (err || n == 0)
            return err;
        *at += (uint64_t)n;
        c->done += (uint64_t)n;
        progress_to(&c->progress, c->done);
    }
    return 0;
}

// What has data, from `at` on; then the length is made right, for a hole at the end.
static int
copy_sparse(struct copy *c, union side_file in, union side_file out, uint64_t at, uint64_t size)
{
    int err = 0;

    c->done += at; // what is there already
    while (!err && at < size) {
        int64_t data = c->from->seek(in, at, SEEK_DATA), hole;
        uint64_t was;

        if (data == -ENXIO)
            break;
        if (data < 0 || (uint64_t)data < at)
            data = (int64_t)at; // it can't tell: all is data
        hole = c->from->seek(in, (uint64_t)data, SEEK_HOLE);
        if (hole <= data)
            hole = (int64_t)size;
        c->done += (uint64_t)data - at;
        at = was = (uint64_t)data;
        err = copy_range(c, in, out, &at, (uint64_t)hole < size ? (uint64_t)hole : size);
        if (at == was) // shorter than it was; the caller finds out
            break;
    }
    if (!err && at < size)
        c->done += size - at;
    return err ? err : c->to->truncate(out, size);
}

static int
copy_data(struct copy *c, const char *src, union side_file out, const struct side_attr *at, uint64_t have)
{
    union side_file in;
    uint64_t from = 0;
    int err = c->from->open_read(c->fs, src, &in);

    if (err)
        return err;
    // Some files have no size and yet content (/proc): to their end, then.
    err = at->size ? copy_sparse(c, in, out, have <= at->size ? have : 0, at->size)
                   : copy_range(c, in, out, &from, UINT64_MAX);
    c->from->close(in);
    return err;
}

static int
copy_stdin(struct copy *c, union side_file out)
{
    uint64_t at = 0;
    ssize_t n;

    while ((n = read(STDIN_FILENO, c->buf, BUFFER)) != 0) {
        int err = n < 0 ? (errno == EINTR ? 0 : -errno) : write_all(c, out, c->buf, (size_t)n, at);

        if (err)
            return err;
        at += n > 0 ? (uint64_t)n : 0;
        progress_to(&c->progress, c->done = at);
    }
    return c->to->truncate(out, at);
}

static int
copy_to_part(struct copy *c, const char *src, const char *part, const struct side_attr *at)
{
    struct side_attr have = {0};
    union side_file out;
    int err = c->to->open_write(c->fs, part, &out), err2;

    if (err)
        return err;
    err = c->to->getattr(c->fs, part, false, &have);
    if (!err && have.uid != geteuid())
        err = -EPERM; // somebody put it in our way
    if (!err)
        err = src ? copy_data(c, src, out, at, have.size) : copy_stdin(c, out);
    if (!err && (at->size >= SYNC_FROM || !src))
        err = c->to->sync(out);
    err2 = c->to->close(out);
    return err ? err : err2;
}

static int
copy_xattrs(struct copy *c, const char *src, const char *dst)
{
    enum { LIST = 65536, VALUE = 65536 };
    char *list = malloc(LIST + VALUE), *value = list ? list + LIST : NULL;
    ssize_t n = list ? c->from->listxattr(c->fs, src, list, LIST) : -ENOMEM, k;
    int err = n < 0 && n != -EOPNOTSUPP ? (int)n : 0;

    for (const char *name = list; !err && n > 0 && name < list + n; name += strlen(name) + 1) {
        k = c->from->getxattr(c->fs, src, name, value, VALUE);
        err = k < 0 ? (k == -ENODATA ? 0 : (int)k) : c->to->setxattr(c->fs, dst, name, value, (size_t)k);
        if (err)
            c->code = cli_error(CLI_FAIL, c->a->name, "extended attribute %s: %s", name, strerror(-err));
    }
    free(list);
    return err;
}

// The owner first, since that takes set-user-ID bits and capabilities away; the time last.
int
copy_attributes(struct copy *c, const char *src, const char *dst, const struct side_attr *at)
{
    int err = 0;

    if (c->a->archive) {
        err = c->to->chown(c->fs, dst, at->uid, at->gid);
        if (err == -EPERM && geteuid() != 0)
            err = 0; // as cp -a: who may not give files away keeps them
        if (!err)
            err = copy_xattrs(c, src, dst);
    }
    if (!err && !S_ISLNK(at->mode))
        err = c->to->chmod(c->fs, dst, at->mode);
    return err ? err : c->to->set_mtime(c->fs, dst, at->mtime);
}

// Is the target what the source is, by size and time? Then an earlier run has copied it.
static bool
is_there(struct copy *c, const char *src, const char *dst, const struct side_attr *at)
{
    struct side_attr have;

    if (c->a->force || c->to->getattr(c->fs, dst, false, &have) != 0 || !S_ISREG(have.mode) ||
        have.size != at->size || have.mtime != at->mtime || at->size == 0)
        return false;
    if (have.mode != at->mode || (c->a->archive && (have.uid != at->uid || have.gid != at->gid)))
        return copy_attributes(c, src, dst, at) == 0;
    return true;
}

void
copy_file(struct copy *c, const char *src, const char *dst, const struct side_attr *at)
{
    struct side_attr now;
    char *part;
    int err;

    if (src && is_there(c, src, dst, at)) {
        progress_to(&c->progress, c->done += at->size);
        return;
    }
    part = part_name(dst, at);
    err = part ? copy_to_part(c, src, part, at) : -ENOMEM;
    if (!err && src)
        err = c->from->getattr(c->fs, src, true, &now);
    if (!err && src && (now.size != at->size || now.mtime != at->mtime)) {
        c->to->unlink(c->fs, part);
        c->code = fs_say(c->a, src, "it changed while it was copied; copy it again");
        goto out;
    }
    if (!err && src)
        err = copy_attributes(c, src, part, at);
    else if (!err)
        err = c->to->chmod(c->fs, part, at->mode);
    if (!err)
        err = c->to->rename(c->fs, part, dst);
    if (err && src && (c->from->getattr(c->fs, src, true, &now) != 0 || err == -EIO))
        copy_complain(c, src, err);
    else if (err)
        copy_complain(c, dst, err);
out:
    free(part);
}
