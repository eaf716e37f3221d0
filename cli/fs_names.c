// SPDX-License-Identifier: Apache-2.0
// `zio fs` mkdir, rm, mv: making, removing and renaming.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/fs.h"

static int
make_parents(struct fsc *fs, const char *path, mode_t mode)
{
    char *copy = strdup(path);
    struct fsc_attr at;
    int err = copy ? 0 : -ENOMEM;

    for (char *p = copy ? copy + strspn(copy, "/") : NULL; p && *p && !err;) {
        char *end = p + strcspn(p, "/"), old = *end;
        bool last = end[strspn(end, "/")] == '\0';

        *end = '\0';
        err = fsc_mkdir(fs, NULL, copy, last ? mode : 0777);
        if (err == -EEXIST)
            err = fsc_getattr(fs, NULL, copy, 0, &at) == 0 && S_ISDIR(at.mode) ? 0 : -EEXIST;
        *end = old;
        p = end + strspn(end, "/");
    }
    free(copy);
    return err;
}

int
fs_mkdir(struct fs_args *a, struct fsc *fs)
{
    mode_t mode = a->mode ? a->mode : 0777;
    int code = CLI_OK;

    for (int i = 0; i < a->argc; i++) {
        int err = a->parents ? make_parents(fs, a->argv[i], mode) : fsc_mkdir(fs, NULL, a->argv[i], mode);

        if (!err && a->mode)
            err = fsc_chmod(fs, NULL, a->argv[i], mode, 0);
        if (err)
            code = fs_fail(a, a->argv[i], err);
    }
    return code;
}

int
fs_rm(struct fs_args *a, struct fsc *fs)
{
    int code = CLI_OK;

    for (int i = 0; i < a->argc; i++) {
        const char *path = a->argv[i];
        int err = fsc_unlink(fs, NULL, path, 0);

        if (err == -EISDIR && a->recursive)
            err = fsc_remove_tree(fs, NULL, path, NULL);
        if (err == -EISDIR)
            code = fs_say(a, path, "is a directory (-r removes it with all below)");
        else if (err == -EBUSY)
            code = fs_say(a, path, "the root stays; name what is in it");
        else if (err && !(err == -ENOENT && a->force))
            code = fs_fail(a, path, err);
    }
    return code;
}

static char *
last_name(const char *path)
{
    size_t n = strlen(path);

    while (n && path[n - 1] == '/')
        n--;
    for (size_t i = n; i > 0; i--)
        if (path[i - 1] == '/')
            return strndup(path + i, n - i);
    return strndup(path, n);
}

static int
move_one(struct fs_args *a, struct fsc *fs, const char *src, const char *target, bool into)
{
    char *name = into ? last_name(src) : NULL, *dst = name   ? fs_join(target, name)
                                                      : into ? NULL
                                                             : strdup(target);
    struct fsc_attr at;
    int err = dst ? fsc_rename(fs, NULL, src, NULL, dst, a->keep ? RENAME_NOREPLACE : 0) : -ENOMEM,
        code = CLI_OK;

    if (err == -EINVAL)
        code = fs_say(a, src, "a directory can't be moved into itself");
    else if (err == -EEXIST || err == -ENOTEMPTY)
        code = fs_say(a, dst, "is there already");
    else if (err)
        code = fs_fail(a, fsc_getattr(fs, NULL, src, AT_SYMLINK_NOFOLLOW, &at) == 0 ? dst : src, err);
    free(name);
    free(dst);
    return code;
}

int
fs_mv(struct fs_args *a, struct fsc *fs)
{
    const char *target = a->argv[a->argc - 1];
    struct fsc_attr at;
    bool into = fsc_getattr(fs, NULL, target, 0, &at) == 0 && S_ISDIR(at.mode);
    int code = CLI_OK;

    if (!into && a->argc > 2)
        return fs_say(a, target, "is no directory");
    for (int i = 0; i + 1 < a->argc; i++)
        if (move_one(a, fs, a->argv[i], target, into) != CLI_OK)
            code = CLI_FAIL;
    return code;
}
