// SPDX-License-Identifier: Apache-2.0
// The calls by inode number: the driver's operations, with the caller's credentials filled in.
#include <errno.h>
#include <string.h>

#include "fsclient/driver.h"

// X(result type, name, parameters behind cred, arguments behind cred, umask wanted): calls with a credential.
#define INO_CALLS(X)                                                                                         \
    X(int, lookup,                                                                                           \
      (struct fsc * fs, const struct fsc_cred *cred, uint64_t dir, const char *name, struct fsc_attr *attr), \
      (fs, cred, dir, name, attr), false)                                                                    \
    X(int, setattr,                                                                                          \
      (struct fsc * fs, const struct fsc_cred *cred, uint64_t ino, unsigned set, const struct fsc_attr *in,  \
       struct fsc_attr *attr),                                                                               \
      (fs, cred, ino, set, in, attr), false)                                                                 \
    X(int, access, (struct fsc * fs, const struct fsc_cred *cred, uint64_t ino, int mode),                   \
      (fs, cred, ino, mode), false)                                                                          \
    X(int, mknod,                                                                                            \
      (struct fsc * fs, const struct fsc_cred *cred, uint64_t dir, const char *name, mode_t mode,            \
       uint64_t rdev, struct fsc_attr *attr),                                                                \
      (fs, cred, dir, name, mode, rdev, attr), true)                                                         \
    X(int, symlink,                                                                                          \
      (struct fsc * fs, const struct fsc_cred *cred, const char *text, uint64_t dir, const char *name,       \
       struct fsc_attr *attr),                                                                               \
      (fs, cred, text, dir, name, attr), true)                                                               \
    X(int, link,                                                                                             \
      (struct fsc * fs, const struct fsc_cred *cred, uint64_t ino, uint64_t dir, const char *name,           \
       struct fsc_attr *attr),                                                                               \
      (fs, cred, ino, dir, name, attr), false)                                                               \
    X(int, unlink, (struct fsc * fs, const struct fsc_cred *cred, uint64_t dir, const char *name),           \
      (fs, cred, dir, name), false)                                                                          \
    X(int, rmdir, (struct fsc * fs, const struct fsc_cred *cred, uint64_t dir, const char *name),            \
      (fs, cred, dir, name), false)                                                                          \
    X(int, rename,                                                                                           \
      (struct fsc * fs, const struct fsc_cred *cred, uint64_t dir, const char *name, uint64_t new_dir,       \
       const char *new_name, unsigned flags),                                                                \
      (fs, cred, dir, name, new_dir, new_name, flags), false)                                                \
    X(int, truncate,                                                                                         \
      (struct fsc * fs, const struct fsc_cred *cred, uint64_t ino, uint64_t size, struct fsc_attr *attr),    \
      (fs, cred, ino, size, attr), false)                                                                    \
    X(int, setxattr,                                                                                         \
      (struct fsc * fs, const struct fsc_cred *cred, uint64_t ino, const char *name, const void *value,      \
       size_t size, int flags),                                                                              \
      (fs, cred, ino, name, value, size, flags), false)                                                      \
    X(ssize_t, getxattr,                                                                                     \
      (struct fsc * fs, const struct fsc_cred *cred, uint64_t ino, const char *name, void *value,            \
       size_t size),                                                                                         \
      (fs, cred, ino, name, value, size), false)                                                             \
    X(ssize_t, listxattr,                                                                                    \
      (struct fsc * fs, const struct fsc_cred *cred, uint64_t ino, char *list, size_t size),                 \
      (fs, cred, ino, list, size), false)                                                                    \
    X(int, removexattr, (struct fsc * fs, const struct fsc_cred *cred, uint64_t ino, const char *name),      \
      (fs, cred, ino, name), false)

#define X(type, name, params, args, want_umask)                                                              \
    type fsc_ino_##name params                                                                               \
    {                                                                                                        \
        struct cred_buf buf;                                                                                 \
        type r = fs_enter(fs);                                                                               \
                                                                                                             \
        if (r)                                                                                               \
            return r;                                                                                        \
        cred = cred_get(cred, want_umask, &buf);                                                             \
        r = cred ? fs->drv->name args : -ENOMEM;                                                             \
        cred_put(&buf);                                                                                      \
        return r;                                                                                            \
    }
INO_CALLS(X)
#undef X

int
fsc_ino_getattr(struct fsc *fs, uint64_t ino, struct fsc_attr *attr)
{
    int err = fs_enter(fs);

    return err ? err : fs->drv->getattr(fs, ino, attr);
}

ssize_t
fsc_ino_readlink(struct fsc *fs, uint64_t ino, char *buf, size_t size)
{
    int err = fs_enter(fs);

    return err ? err : fs->drv->readlink(fs, ino, buf, size);
}

ssize_t
fsc_ino_readdir(struct fsc *fs, uint64_t dir, uint64_t cookie, struct fsc_dirent *v, size_t n)
{
    int err = fs_enter(fs);

    return err ? err : fs->drv->readdir(fs, dir, cookie, v, n);
}

int
fsc_ino_statvfs(struct fsc *fs, uint64_t ino, struct statvfs *out)
{
    int err = fs_enter(fs);

    return err ? err : fs->drv->statvfs(fs, ino, out);
}

uint64_t
fsc_ino_version(struct fsc *fs, uint64_t ino)
{
    return fs_enter(fs) ? 0 : fs->drv->version(fs, ino);
}

int
fsc_ino_hold(struct fsc *fs, uint64_t ino)
{
    int err = fs_enter(fs);

    return err ? err : fs->drv->hold(fs, ino);
}

int
fsc_ino_release(struct fsc *fs, uint64_t ino)
{
    int err = fs_enter(fs);

    return err ? err : fs->drv->release(fs, ino);
}

int
fsc_watch(struct fsc *fs)
{
    int err = fs_enter(fs);

    if (err)
        return err;
    return fs->drv->watch ? fs->drv->watch(fs) : -EOPNOTSUPP;
}

uint32_t
fsc_watch_slot(struct fsc *fs, uint64_t ino)
{
    return fs->drv->watch_slot(fs, ino);
}

bool
fsc_watch_news(struct fsc *fs, uint64_t ino)
{
    return fs->drv->watch_news(fs, ino);
}

int
fsc_watch_wait(struct fsc *fs, int wait_ms, fsc_watch_fn fn, void *arg)
{
    int err = fs_enter(fs);

    return err ? err : fs->drv->watch_wait(fs, wait_ms, fn, arg);
}
