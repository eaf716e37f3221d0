// SPDX-License-Identifier: Apache-2.0
// Directory streams. The offset of an entry is the engine's cookie, so a stream has no state but its handle.
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "fsclient/fuse/mount.h"

#define BATCH 32        // entries that are asked for at once
#define REPLY_MAX 65536 // bytes of an answer

void
do_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct fsc_file *dir;
    int err = fsc_ino_open(mount_of(req)->fs, FSC_ENGINE, ino,
                           (fi->flags & O_NOATIME) | O_RDONLY | O_DIRECTORY, &dir);

    if (err) {
        reply_err(req, err);
        return;
    }
    fi->fh = (uintptr_t)dir;
    if (fuse_reply_open(req, fi) != 0)
        fsc_close(dir);
}

// An answer that is being filled.
struct reply {
    fuse_req_t req;
    struct mount *m;
    char *buf;
    size_t size, used;
    bool plus;
};

static bool
add_plain(struct reply *r, const struct fsc_dirent *d)
{
    struct stat st = {.st_ino = d->ino, .st_mode = (mode_t)d->type << 12};
    size_t n = fuse_add_direntry(r->req, r->buf + r->used, r->size - r->used, d->name, &st, (off_t)d->cookie);

    if (n > r->size - r->used)
        return false;
    r->used += n;
    return true;
}

// With attributes: a look-up of the entry. Where that can't be (the entry went a moment ago; "." and ".."),
// inode 0 says that only the name is given.
static bool
add_plus(struct reply *r, const struct fsc_dirent *d)
{
    bool dots = strcmp(d->name, ".") == 0 || strcmp(d->name, "..") == 0;
    struct fuse_entry_param e = {.attr = {.st_ino = d->ino, .st_mode = (mode_t)d->type << 12}};
    struct fsc_attr attr;
    size_t n;

    if (!dots && fsc_ino_getattr(r->m->fs, d->ino, &attr) == 0 &&
        known_add(r->m->known, d->ino, S_ISDIR(attr.mode)) == 0)
        fill_entry(r->m, &attr, &e);
    n = fuse_add_direntry_plus(r->req, r->buf + r->used, r->size - r->used, d->name, &e, (off_t)d->cookie);
    if (n > r->size - r->used) {
        if (e.ino)
            known_forget(r->m->known, e.ino, 1);
        return false;
    }
    r->used += n;
    return true;
}

static void
fill(fuse_req_t req, size_t size, off_t off, struct fuse_file_info *fi, bool plus)
{
    struct reply r = {.req = req, .m = mount_of(req), .plus = plus};
    struct fsc_dirent *v = malloc(BATCH * sizeof *v);
    uint64_t cookie = (uint64_t)off;
    bool room = true;
    ssize_t n = 0;

    r.size = size < REPLY_MAX ? size : REPLY_MAX;
    r.buf = malloc(r.size);
    if (!v || !r.buf)
        n = -ENOMEM;
    while (n >= 0 && room) {
        // No more than may fit: names are 8 bytes at least, what goes before them 24 or 152.
        size_t want = (r.size - r.used) / (plus ? 160 : 32);

        n = fsc_readdir(FILE_OF(fi), cookie, v, want < 1 ? 1 : want < BATCH ? want : BATCH);
        if (n <= 0)
            break;
        for (ssize_t i = 0; i < n && room; i++) {
            room = plus ? add_plus(&r, &v[i]) : add_plain(&r, &v[i]);
            if (room)
                cookie = v[i].cookie;
        }
    }
    if (n < 0 && r.used == 0)
        reply_err(req, (int)n);
    else
        fuse_reply_buf(req, r.buf, r.used);
    free(r.buf);
    free(v);
}

void
do_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
    (void)ino;
    fill(req, size, off, fi, false);
}

void
do_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
    (void)ino;
    fill(req, size, off, fi, true);
}

void
do_fsyncdir(fuse_req_t req, fuse_ino_t ino, int data_only, struct fuse_file_info *fi)
{
    (void)ino, (void)data_only;
    reply_err(req, fsc_fsync(FILE_OF(fi)));
}
