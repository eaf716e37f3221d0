// SPDX-License-Identifier: Apache-2.0
// The volume of local:DIR as a whole: made, opened, closed, carried over a fork; and the driver's table.
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "fsclient/local_ops.h"

#define LOCK_FILE_SIZE 4096 // its first word is the gate (local_lock.c)

const struct chunk_io *local_io;

static void
meta_message(void *arg, const char *text)
{
    const struct local *l = arg;

    fsc_tell(&l->fs->opt, "%s", text);
}

static void
chunk_message(void *arg, const struct chunk_event *ev)
{
    const struct local *l = arg;

    if (ev->kind == CHUNK_EV_REPAIRED)
        return;
    fsc_tell(&l->fs->opt, "%s/chunks: chunk %llu at %llu (%s): %s", l->dir, (unsigned long long)ev->id,
             (unsigned long long)ev->offset, ev->file ? ev->file : "", ev->text);
}

static int
sub(const struct local *l, const char *name, char path[4200])
{
    return (size_t)snprintf(path, 4200, "%s/%s", l->dir, name) < 4200 ? 0 : -ENAMETOOLONG;
}

// ---- made ----

// What lies in a volume's directory is for those who may use all of the directory.
static mode_t
mode_within(mode_t dir)
{
    return (mode_t)(0600 | ((dir & 070) == 070 ? 060 : 0) | ((dir & 07) == 07 ? 06 : 0));
}

// Whatever the umask was.
static int
share(const struct local *l, mode_t mode)
{
    static const char *const names[] = {
        "chunks",           "meta", "chunks/store", "meta/meta.db", "meta/meta.db-wal", "meta/meta.db-shm",
        "meta/meta.shared", "lock"};
    char path[4200];

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (sub(l, names[i], path) != 0)
            return -ENAMETOOLONG;
        if (chmod(path, i < 2 ? mode | (mode & 0444) >> 2 : mode) != 0 && errno != ENOENT)
            return -errno;
    }
    return 0;
}

static int
make_lock_file(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600), err = 0;

    if (fd < 0)
        return -errno;
    if (ftruncate(fd, LOCK_FILE_SIZE) != 0)
        err = -errno;
    close(fd);
    return err;
}

static int
format_engines(const struct local *l, const struct fsc_format *fmt, mode_t mode)
{
    struct meta_format mf = {
        .chunk_size = fmt->chunk_size,
        .max_space = fmt->max_space,
        .max_inodes = fmt->max_inodes,
        .trash_seconds = fmt->trash_seconds,
        .root_mode = fmt->root_mode,
        .root_uid = fmt->root_uid,
        .root_gid = fmt->root_gid,
    };
    struct chunk_format_options cf = {.chunk_size = fmt->chunk_size, .mode = mode};
    struct meta_options mo = {.message = meta_message, .arg = (void *)l};
    char path[4200];
    int err;

    memcpy(mf.label, fmt->label, sizeof mf.label);
    mf.label[sizeof mf.label - 1] = '\0';
    err = sub(l, "chunks", path);
    if (!err)
        err = chunk_format(path, &cf);
    if (!err || err == -EEXIST) // of an attempt that was cut short
        err = sub(l, "meta", path);
    if (!err)
        err = meta_format(path, &mf, &mo);
    return err;
}

static int
local_format(const char *dir, const struct fsc_format *fmt, const struct fsc_options *opt)
{
    struct fsc fs = {.opt = opt ? *opt : (struct fsc_options){0}};
    struct local l = {.fs = &fs, .dir = (char *)dir};
    uint64_t cs = fmt->chunk_size;
    char path[4200];
    struct stat st;
    int err;

    if (*dir == '\0' || (cs && (cs < 65536 || cs > (UINT64_C(1) << 30) || cs & (cs - 1)))) {
        fsc_tell(opt,
                 *dir ? "local:%s: the chunk size must be a power of two from 64 KiB to 1 GiB"
                      : "local:%s: the directory's name is missing: local:DIR",
                 dir);
        return -EINVAL;
    }
    if (sub(&l, "volume.conf", path) != 0)
        return -ENAMETOOLONG;
    if (access(path, F_OK) == 0) {
        fsc_tell(opt, "%s: there is a volume already; remove the directory first if it is not wanted", dir);
        return -EEXIST;
    }
    if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
        err = -errno;
        fsc_tell(opt, "%s: %s", dir, strerror(-err));
        return err;
    }
    if ((fmt->dir_mode && chmod(dir, fmt->dir_mode & 07777) != 0) || stat(dir, &st) != 0) {
        err = -errno;
        fsc_tell(opt, "%s: %s", dir, strerror(-err));
        return err;
    }
    err = format_engines(&l, fmt, mode_within(st.st_mode));
    if (!err)
        err = sub(&l, "lock", path);
    if (!err)
        err = make_lock_file(path);
    if (!err)
        err = share(&l, mode_within(st.st_mode));
    if (!err)
        err = local_make_like(dir, "tokens");
    return err ? err : conf_write(dir, opt);
}

// ---- opened ----

// The rule of this machine's own file systems holds for the volume, too.
static bool
links_protected(void)
{
    int fd = open("/proc/sys/fs/protected_hardlinks", O_RDONLY | O_CLOEXEC);
    char c = '0';

    if (fd >= 0) {
        if (read(fd, &c, 1) != 1)
            c = '0';
        close(fd);
    }
    return c == '1';
}

static int
open_engines(struct local *l)
{
    unsigned flags = l->fs->opt.flags;
    struct meta_options mo = {.message = meta_message, .arg = l, .owner_alive = local_owner_alive};
    struct chunk_open_options co = {.message = chunk_message, .message_arg = l, .io = local_io};
    struct meta_info info;
    char path[4200];
    uint32_t h = 2166136261u; // FNV-1a
    int err = sub(l, "meta", path);

    if (!err)
        err = meta_open(path,
                        (flags & FSC_RDONLY ? META_RDONLY : 0) | (flags & FSC_NOATIME ? META_NOATIME : 0) |
                            (links_protected() ? META_PROTECT_LINKS : 0),
                        &mo, &l->m);
    if (!err)
        err = sub(l, "chunks", path);
    if (!err)
        err = chunk_store_open(path, flags & FSC_RDONLY ? CHUNK_RDONLY : 0, &co, &l->c);
    if (!err)
        err = meta_info(l->m, &info);
    if (err)
        return err;
    for (size_t i = 0; i < sizeof info.uuid; i++)
        h = (h ^ info.uuid[i]) * 16777619u;
    l->fs->dev = makedev(0xf00 | (h >> 20 & 0xff), h & 0xfffff);
    l->chunk_size = info.chunk_size;
    l->chunk_shift = (unsigned)__builtin_ctzll(info.chunk_size);
    if (chunk_store_chunk_size(l->c) == info.chunk_size)
        return 0;
    fsc_tell(&l->fs->opt,
             "%s: the two halves of the volume do not belong together: chunks of %llu and of %llu bytes",
             l->dir, (unsigned long long)info.chunk_size, (unsigned long long)chunk_store_chunk_size(l->c));
    return -EUCLEAN;
}

static void
local_free(struct local *l)
{
    chunk_store_close(l->c);
    meta_close(l->m);
    local_lock_close(l);
    local_pin_close(l);
    free(l->dir);
    free(l);
}

static int
local_open_volume(struct fsc *fs, const char *dir)
{
    struct local *l;
    int err = conf_read(*dir ? dir : ".", &fs->opt);

    if (err)
        return err;
    l = calloc(1, sizeof *l);
    if (!l)
        return -ENOMEM;
    l->fs = fs;
    l->lock_fd = -1;
    pthread_mutex_init(&l->table_lock, NULL);
    pthread_mutex_init(&l->garbage_lock, NULL);
    LIST_INIT(&l->tokens);
    local_pin_init(l);
    l->dir = realpath(*dir ? dir : ".", NULL); // the process may change its directory
    err = l->dir ? local_lock_open(l) : -errno;
    if (!err)
        err = open_engines(l);
    if (err) {
        local_free(l);
        return err;
    }
    fs->priv = l;
    return 0;
}

static void
local_close_volume(struct fsc *fs, bool forked)
{
    struct local *l = LOCAL(fs);

    if (!forked && !(fs->opt.flags & FSC_RDONLY))
        local_garbage_take(l);
    local_free(l);
}

// The chunk engine notices by itself.
static int
local_fork_child(struct fsc *fs)
{
    int err = local_lock_fork(LOCAL(fs));

    return err ? err : meta_fork_child(LOCAL(fs)->m);
}

static int
local_info(struct fsc *fs, struct fsc_info *info)
{
    struct meta_info mi;
    int err = meta_info(LOCAL(fs)->m, &mi);

    if (err)
        return err;
    memcpy(info->label, mi.label, sizeof info->label);
    memcpy(info->uuid, mi.uuid, sizeof info->uuid);
    info->chunk_size = mi.chunk_size;
    info->max_space = mi.max_space;
    info->max_inodes = mi.max_inodes;
    info->trash_seconds = mi.trash_seconds;
    info->schema = mi.schema;
    return 0;
}

static int
local_limits(struct fsc *fs, uint64_t max_space, uint64_t max_inodes, uint32_t trash_seconds)
{
    return meta_set_limits(LOCAL(fs)->m, max_space, max_inodes, trash_seconds);
}

struct sync_all {
    struct chunk_store *c;
    int err;
};

static int
sync_one(void *arg, uint64_t id)
{
    struct sync_all *s = arg;
    int err = chunk_sync(s->c, id);

    if (err && err != -ENOENT && !s->err)
        s->err = err;
    return 0;
}

static int
local_sync(struct fsc *fs)
{
    struct local *l = LOCAL(fs);
    struct sync_all s = {.c = l->c};
    int err = chunk_list(l->c, sync_one, &s);

    if (!err)
        err = s.err;
    return err ? err : meta_sync_sql(l->m);
}

static int
local_maintain(struct fsc *fs)
{
    int err = meta_maintain(LOCAL(fs)->m);

    local_node_sweep(LOCAL(fs));
    return err ? err : local_garbage_take(LOCAL(fs));
}

static bool
local_owns_fd(struct fsc *fs, int fd)
{
    struct local *l = LOCAL(fs);

    return fd >= 0 && (fd == l->lock_fd || fd == l->pins.own_fd || fd == l->pins.ask_fd ||
                       meta_owns_fd(l->m, fd) || local_token_owns(l, fd));
}

const struct fsc_driver fsc_driver_local = {
    .scheme = "local",
    .format = local_format,
    .open_volume = local_open_volume,
    .close_volume = local_close_volume,
    .fork_child = local_fork_child,
    .info = local_info,
    .limits = local_limits,
    .sync = local_sync,
    .maintain = local_maintain,
    .owns_fd = local_owns_fd,
    .lookup = local_lookup,
    .getattr = local_getattr,
    .setattr = local_setattr,
    .access = local_access,
    .mknod = local_mknod,
    .symlink = local_symlink,
    .link = local_link,
    .unlink = local_unlink,
    .rmdir = local_rmdir,
    .rename = local_rename,
    .readlink = local_readlink,
    .truncate = local_truncate,
    .readdir = local_readdir,
    .setxattr = local_setxattr,
    .getxattr = local_getxattr,
    .listxattr = local_listxattr,
    .removexattr = local_removexattr,
    .statvfs = local_statvfs,
    .version = local_version,
    .watch = local_watch,
    .watch_slot = local_watch_slot,
    .watch_news = local_watch_news,
    .watch_wait = local_watch_wait,
    .open = local_open,
    .create = local_create,
    .tmpfile = local_tmpfile,
    .close = local_close,
    .hold = local_hold,
    .release = local_release,
    .preadv = local_preadv,
    .pwritev = local_pwritev,
    .fallocate = local_fallocate,
    .fsync = local_fsync,
    .seek = local_seek,
    .clone_range = local_clone_range,
    .layout = local_layout,
    .chunk_fd = local_chunk_fd,
    .settle = local_settle,
    .verify = local_verify,
    .setlk = local_setlk,
    .getlk = local_getlk,
    .flock = local_flock,
    .unlock_owner = local_unlock_owner,
    .take_locks = local_take_locks,
    .session = local_session,
    .clone_tree = local_clone_tree,
    .remove_tree = local_remove_tree,
    .usage = local_usage,
    .quota_set = local_quota_set,
    .quota_get = local_quota_get,
    .quota_list = local_quota_list,
    .trash_list = local_trash_list,
    .trash_restore = local_trash_restore,
    .trash_purge = local_trash_purge,
    .fsck = local_fsck,
    .scrub = local_scrub,
    .sessions = local_sessions,
};
