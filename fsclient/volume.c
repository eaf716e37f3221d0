// SPDX-License-Identifier: Apache-2.0
// Volumes: which driver serves a URL, and what concerns the volume as a whole.
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "fsclient/driver.h"

static const struct fsc_driver *const drivers[] = {&fsc_driver_local};

#define NDRIVERS (sizeof drivers / sizeof drivers[0])

void
fsc_tell(const struct fsc_options *opt, const char *fmt, ...)
{
    char text[1024];
    va_list ap;

    if (!opt || !opt->message)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    opt->message(opt->arg, text);
}

// The driver of a URL, and what stands behind the colon. Schemes are written as in RFC 3986.
static int
find_driver(const char *url, const struct fsc_options *opt, const struct fsc_driver **out, const char **rest)
{
    size_t len = 0;

    while (isalnum((unsigned char)url[len]) || (len > 0 && url[len] && strchr("+-.", url[len])))
        len++;
    if (len == 0 || url[len] != ':') {
        fsc_tell(opt, "'%s' is no URL of a volume: write SCHEME:PLACE, such as local:%s", url,
                 *url ? url : "DIR");
        return -EINVAL;
    }
    *rest = url + len + 1;
    for (size_t i = 0; i < NDRIVERS; i++)
        if (strlen(drivers[i]->scheme) == len && strncasecmp(drivers[i]->scheme, url, len) == 0) {
            *out = drivers[i];
            return 0;
        }
    fsc_tell(opt, "%s: no driver for '%.*s' is built into this version; it has: local:DIR", url, (int)len,
             url);
    return -EPROTONOSUPPORT;
}

int
fsc_format(const char *url, const struct fsc_format *format, const struct fsc_options *options)
{
    const struct fsc_format defaults = {0};
    const struct fsc_driver *drv;
    const char *rest;
    int err = find_driver(url, options, &drv, &rest);

    return err ? err : drv->format(rest, format ? format : &defaults, options);
}

int
fsc_open_volume(const char *url, const struct fsc_options *options, struct fsc **out)
{
    const struct fsc_driver *drv;
    struct fsc *fs;
    const char *rest;
    int err = find_driver(url, options, &drv, &rest);

    if (err)
        return err;
    fs = calloc(1, sizeof *fs);
    if (!fs)
        return -ENOMEM;
    fs->drv = drv;
    if (options)
        fs->opt = *options;
    err = fork_watch(fs);
    if (!err)
        err = drv->open_volume(fs, rest);
    if (err) {
        fork_unwatch(fs);
        free(fs);
        return err;
    }
    *out = fs;
    return 0;
}

void
fsc_close_volume(struct fsc *fs)
{
    if (!fs)
        return;
    fs->drv->close_volume(fs, fork_is_child(fs));
    fork_unwatch(fs);
    free(fs);
}

int
fsc_volume_info(struct fsc *fs, struct fsc_info *info)
{
    int err = fs_enter(fs);

    if (err)
        return err;
    memset(info, 0, sizeof *info);
    snprintf(info->driver, sizeof info->driver, "%s", fs->drv->scheme);
    return fs->drv->info(fs, info);
}

int
fsc_volume_limits(struct fsc *fs, uint64_t max_space, uint64_t max_inodes, uint32_t trash_seconds)
{
    int err = fs_enter(fs);

    return err ? err : fs->drv->limits(fs, max_space, max_inodes, trash_seconds);
}

int
fsc_sync_volume(struct fsc *fs)
{
    int err = fs_enter(fs);

    return err ? err : fs->drv->sync(fs);
}

int
fsc_maintain(struct fsc *fs)
{
    int err = fs_enter(fs);

    return err ? err : fs->drv->maintain(fs);
}

int
fsc_fork_child(struct fsc *fs)
{
    return fs_enter(fs);
}

bool
fsc_owns_fd(struct fsc *fs, int fd)
{
    return fs->drv->owns_fd(fs, fd);
}

int
fsc_usage(struct fsc *fs, struct fsc_usage *usage)
{
    int err = fs_enter(fs);

    return err ? err : fs->drv->usage(fs, usage);
}

int
fsc_quota_set(struct fsc *fs, const struct fsc_cred *cred, enum fsc_quota_kind kind, uint64_t id,
              uint64_t max_space, uint64_t max_inodes)
{
    struct cred_buf buf;
    int err = fs_enter(fs);

    if (err)
        return err;
    cred = cred_get(cred, false, &buf);
    err = cred ? fs->drv->quota_set(fs, cred, kind, id, max_space, max_inodes) : -ENOMEM;
    cred_put(&buf);
    return err;
}

int
fsc_quota_get(struct fsc *fs, enum fsc_quota_kind kind, uint64_t id, struct fsc_usage *usage)
{
    int err = fs_enter(fs);

    return err ? err : fs->drv->quota_get(fs, kind, id, usage);
}

ssize_t
fsc_quota_list(struct fsc *fs, size_t skip, struct fsc_quota *v, size_t n)
{
    int err = fs_enter(fs);

    return err ? err : fs->drv->quota_list(fs, skip, v, n);
}

ssize_t
fsc_trash_list(struct fsc *fs, const struct fsc_cred *cred, uint64_t after, struct fsc_trash *v, size_t n)
{
    struct cred_buf buf;
    ssize_t r = fs_enter(fs);

    if (r)
        return r;
    cred = cred_get(cred, false, &buf);
    r = cred ? fs->drv->trash_list(fs, cred, after, v, n) : -ENOMEM;
    cred_put(&buf);
    return r;
}

ssize_t
fsc_trash_purge(struct fsc *fs, const struct fsc_cred *cred, uint64_t ino)
{
    struct cred_buf buf;
    ssize_t r = fs_enter(fs);

    if (r)
        return r;
    cred = cred_get(cred, false, &buf);
    r = cred ? fs->drv->trash_purge(fs, cred, ino) : -ENOMEM;
    cred_put(&buf);
    return r;
}

int
fsc_fsck(struct fsc *fs, bool repair, fsc_check_fn fn, void *arg, struct fsc_check *out)
{
    int err = fs_enter(fs);

    memset(out, 0, sizeof *out);
    return err ? err : fs->drv->fsck(fs, repair, fn, arg, out);
}

int
fsc_scrub(struct fsc *fs, fsc_check_fn fn, void *arg, struct fsc_check *out)
{
    int err = fs_enter(fs);

    memset(out, 0, sizeof *out);
    return err ? err : fs->drv->scrub(fs, fn, arg, out);
}

ssize_t
fsc_sessions(struct fsc *fs, size_t skip, struct fsc_session *v, size_t n)
{
    int err = fs_enter(fs);

    return err ? err : fs->drv->sessions(fs, skip, v, n);
}
