// SPDX-License-Identifier: Apache-2.0
// open(2): flags, in the order in which Linux looks at them, and the life of a handle.
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "fsclient/driver.h"

#define IS_TMPFILE(flags) (((flags)&O_TMPFILE) == O_TMPFILE)

struct fsc_file *
file_new(struct fsc *fs, int flags)
{
    struct fsc_file *file = calloc(1, sizeof *file);

    if (!file)
        return NULL;
    file->fs = fs;
    atomic_init(&file->flags, flags);
    atomic_init(&file->refs, 1);
    atomic_init(&file->token, -1);
    return file;
}

void
file_free(struct fsc_file *file)
{
    free(file);
}

int
fsc_dup(struct fsc_file *file)
{
    atomic_fetch_add(&file->refs, 1);
    return 0;
}

int
fsc_close(struct fsc_file *file)
{
    int err;

    if (!file || atomic_fetch_sub(&file->refs, 1) > 1)
        return 0;
    err = fs_enter(file->fs);
    file->fs->drv->close(file);
    file_free(file);
    return err;
}

// May this inode be opened with these flags at all? Permissions come later.
static int
check_kind(const struct fsc_attr *attr, const struct fsc_cred *cred, int flags)
{
    bool dir = S_ISDIR(attr->mode);

    if (flags & O_CREAT && dir)
        return -EISDIR;
    if (flags & O_DIRECTORY && !dir)
        return -ENOTDIR;
    if (flags & O_PATH)
        return 0;
    if (S_ISLNK(attr->mode))
        return -ELOOP;
    if (dir && ((flags & O_ACCMODE) != O_RDONLY || flags & O_TRUNC))
        return -EISDIR;
    if (S_ISSOCK(attr->mode))
        return -ENXIO;
    if (!dir && !S_ISREG(attr->mode))
        return -EOPNOTSUPP;
    if (flags & O_NOATIME && !cred_is_root(cred) && cred->uid != attr->uid)
        return -EPERM;
    return 0;
}

// Opens an inode that is there; the kind was checked.
static int
open_inode(struct fsc_file *file, const struct fsc_cred *cred, uint64_t ino)
{
    struct fsc *fs = file->fs;
    struct fsc_cred as_checked;
    struct fsc_attr attr;
    int flags = atomic_load(&file->flags), err;

    if (flags & O_TRUNC && !(flags & O_PATH) && cred != FSC_ENGINE) {
        err = fs->drv->access(fs, cred, ino, 02); // also with O_RDONLY, as in Linux
        if (err)
            return err;
    }
    err = fs->drv->open(file, flags & O_PATH ? FSC_ENGINE : cred, ino, &attr);
    if (err || !(flags & O_TRUNC) || flags & O_PATH)
        return err;
    if (cred != FSC_ENGINE) {
        as_checked = *cred; // asked above; it says whether set-user-ID goes
        as_checked.checked = true;
        cred = &as_checked;
    }
    err = fs->drv->truncate(fs, cred, ino, 0, NULL);
    if (err)
        fs->drv->close(file);
    return err;
}

static int
open_tmpfile(struct fsc_file *file, const struct fsc_at *at, const struct fsc_cred *cred, const char *path,
             mode_t mode)
{
    int flags = atomic_load(&file->flags), err;
    struct walk w;

    if ((flags & O_ACCMODE) == O_RDONLY || flags & O_CREAT)
        return -EINVAL;
    err = walk_path(file->fs, at, cred, path, flags & O_NOFOLLOW ? 0 : WALK_FOLLOW, &w);
    if (err)
        return err;
    if (!S_ISDIR(w.attr.mode))
        return -ENOTDIR;
    return file->fs->drv->tmpfile(file, cred, w.attr.ino, mode & 07777, NULL);
}

// One attempt. -EEXIST: the name appeared between the look and the making (`again` says so).
static int
open_once(struct fsc_file *file, const struct fsc_at *at, const struct fsc_cred *cred, const char *path,
          mode_t mode, bool *again)
{
    int flags = atomic_load(&file->flags), err;
    bool create = flags & O_CREAT, excl = create && flags & O_EXCL;
    struct walk w;

    *again = false;
    // A name that must be new is not looked for before it is made. Which other error it is, the long way
    // tells.
    if (excl && walk_path(file->fs, at, cred, path, WALK_PARENT | WALK_UNSEEN, &w) == 0 && !w.found) {
        err = file->fs->drv->create(file, cred, w.parent, w.name, mode & 07777, NULL);
        if (err == 0 || err == -EEXIST)
            return err;
    }
    err = walk_path(file->fs, at, cred, path,
                    (excl || flags & O_NOFOLLOW ? 0 : WALK_FOLLOW) | (create ? WALK_PARENT : 0), &w);
    if (err)
        return err;
    if (create && w.last == WALK_NORM && w.slash)
        return -EISDIR;
    if (!w.found) {
        err = file->fs->drv->create(file, cred, w.parent, w.name, mode & 07777, NULL);
        *again = err == -EEXIST && !excl;
        return err;
    }
    if (excl)
        return -EEXIST;
    err = check_kind(&w.attr, cred, flags);
    if (err)
        return err;
    err = open_inode(file, cred, w.attr.ino);
    *again = err == -ESTALE; // it was replaced between the look and the opening
    return err;
}

int
fsc_open(struct fsc *fs, const struct fsc_at *at, const char *path, int flags, mode_t mode,
         struct fsc_file **out)
{
    const struct fsc_cred *cred;
    struct fsc_file *file;
    struct cred_buf buf;
    bool again = true;
    int err = fs_enter(fs);

    if (err)
        return err;
    at = at ? at : &walk_default;
    if (flags & O_PATH)
        flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    if (!IS_TMPFILE(flags) && (flags & (O_CREAT | O_DIRECTORY)) == (O_CREAT | O_DIRECTORY))
        return -EINVAL;
    file = file_new(fs, flags);
    if (!file)
        return -ENOMEM;
    cred = cred_get(at->cred, (flags & O_CREAT) != 0 || IS_TMPFILE(flags), &buf);
    if (!cred)
        err = -ENOMEM;
    else if (IS_TMPFILE(flags))
        err = open_tmpfile(file, at, cred, path, mode);
    else
        for (int tries = 0; tries < 100 && again; tries++)
            err = open_once(file, at, cred, path, mode, &again);
    cred_put(&buf);
    if (err) {
        file_free(file);
        return err;
    }
    *out = file;
    return 0;
}

// ---- without a path ----

int
fsc_ino_open(struct fsc *fs, const struct fsc_cred *cred, uint64_t ino, int flags, struct fsc_file **out)
{
    struct fsc_file *file;
    struct fsc_attr attr;
    struct cred_buf buf;
    int err = fs_enter(fs);

    if (err)
        return err;
    file = file_new(fs, flags & ~(O_CREAT | O_EXCL | O_NOFOLLOW));
    if (!file)
        return -ENOMEM;
    cred = cred_get(cred, false, &buf);
    err = cred ? fs->drv->getattr(fs, ino, &attr) : -ENOMEM;
    if (!err)
        err = check_kind(&attr, cred, atomic_load(&file->flags));
    if (!err)
        err = open_inode(file, cred, ino);
    cred_put(&buf);
    if (err) {
        file_free(file);
        return err;
    }
    *out = file;
    return 0;
}

static int
create_or_open(struct fsc_file *file, const struct fsc_cred *cred, uint64_t dir, const char *name,
               mode_t mode, struct fsc_attr *attr)
{
    const struct fsc_driver *drv = file->fs->drv;
    int flags = atomic_load(&file->flags), err;

    err = drv->create(file, cred, dir, name, mode & 07777, attr);
    if (err != -EEXIST || flags & O_EXCL)
        return err;
    err = drv->lookup(file->fs, cred, dir, name, attr);
    if (!err)
        err = check_kind(attr, cred, flags);
    if (!err)
        err = open_inode(file, cred, attr->ino);
    if (!err && flags & O_TRUNC)
        err = drv->getattr(file->fs, attr->ino, attr);
    return err;
}

int
fsc_ino_create(struct fsc *fs, const struct fsc_cred *cred, uint64_t dir, const char *name, int flags,
               mode_t mode, struct fsc_attr *attr, struct fsc_file **out)
{
    struct fsc_file *file;
    struct fsc_attr own;
    struct cred_buf buf;
    int err = fs_enter(fs);

    if (err)
        return err;
    file = file_new(fs, flags);
    if (!file)
        return -ENOMEM;
    cred = cred_get(cred, true, &buf);
    err = cred ? create_or_open(file, cred, dir, name, mode, attr ? attr : &own) : -ENOMEM;
    cred_put(&buf);
    if (err) {
        file_free(file);
        return err;
    }
    *out = file;
    return 0;
}

int
fsc_ino_tmpfile(struct fsc *fs, const struct fsc_cred *cred, uint64_t dir, int flags, mode_t mode,
                struct fsc_attr *attr, struct fsc_file **out)
{
    struct fsc_file *file;
    struct cred_buf buf;
    int err = fs_enter(fs);

    if (err)
        return err;
    file = file_new(fs, flags);
    if (!file)
        return -ENOMEM;
    cred = cred_get(cred, true, &buf);
    err = cred ? fs->drv->tmpfile(file, cred, dir, mode & 07777, attr) : -ENOMEM;
    cred_put(&buf);
    if (err) {
        file_free(file);
        return err;
    }
    *out = file;
    return 0;
}
