// SPDX-License-Identifier: Apache-2.0
// `zio fs` ls, stat, cat: looking at names and files.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/fs.h"

#define ENTRIES 128 // directory entries asked for at once

static char
type_letter(uint32_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFDIR:
        return 'd';
    case S_IFLNK:
        return 'l';
    case S_IFIFO:
        return 'p';
    case S_IFSOCK:
        return 's';
    case S_IFCHR:
        return 'c';
    case S_IFBLK:
        return 'b';
    default:
        return '-';
    }
}

static void
mode_text(uint32_t m, char out[11])
{
    static const char bits[] = "rwxrwxrwx";

    out[0] = type_letter(m);
    for (int i = 0; i < 9; i++)
        out[i + 1] = m & (0400u >> i) ? bits[i] : '-';
    if (m & S_ISUID)
        out[3] = m & S_IXUSR ? 's' : 'S';
    if (m & S_ISGID)
        out[6] = m & S_IXGRP ? 's' : 'S';
    if (m & S_ISVTX)
        out[9] = m & S_IXOTH ? 't' : 'T';
    out[10] = '\0';
}

static void
time_text(int64_t ns, char out[40])
{
    time_t t = ns / 1000000000 - (ns % 1000000000 < 0);
    struct tm tm;

    if (!localtime_r(&t, &tm) || strftime(out, 40, "%Y-%m-%d %H:%M:%S", &tm) == 0)
        snprintf(out, 40, "%lld", (long long)t);
}

static const char *
user_text(uid_t uid, char out[40])
{
    const struct passwd *pw = getpwuid(uid);

    if (pw)
        snprintf(out, 40, "%s", pw->pw_name);
    else
        snprintf(out, 40, "%u", uid);
    return out;
}

static json_t *
attr_json(const char *path, const struct fsc_attr *at)
{
    char type[2] = {type_letter(at->mode), 0};
    json_t *j = json_object();

    if (!j)
        return NULL;
    fs_json_path(j, path);
    json_object_update_new(
        j, json_pack("{s:I, s:s, s:i, s:I, s:I, s:I, s:i, s:i, s:I, s:I, s:I, s:I, s:b}", "inode",
                     (json_int_t)at->ino, "type", type, "mode", (int)(at->mode & 07777), "links",
                     (json_int_t)at->nlink, "size", (json_int_t)at->size, "space", (json_int_t)at->space,
                     "uid", (int)at->uid, "gid", (int)at->gid, "atime_ns", (json_int_t)at->atime, "mtime_ns",
                     (json_int_t)at->mtime, "ctime_ns", (json_int_t)at->ctime, "btime_ns",
                     (json_int_t)at->btime, "snapshot", (at->flags & FSC_ATTR_SNAPSHOT) != 0));
    return j;
}

char *
fs_join(const char *dir, const char *name)
{
    char *path = NULL;

    if (asprintf(&path, "%s%s%s", dir, *dir && dir[strlen(dir) - 1] == '/' ? "" : "/", name) < 0)
        return NULL;
    return path;
}

int
fs_each(struct fsc *fs, const char *dir, fs_visit fn, void *arg)
{
    struct fsc_dirent *v = malloc(ENTRIES * sizeof *v);
    struct fsc_file *f = NULL;
    struct fsc_attr at;
    uint64_t cookie = 0;
    ssize_t n = v ? fsc_open(fs, NULL, dir, O_RDONLY | O_DIRECTORY, 0, &f) : -ENOMEM;
    int err = (int)n;

    while (!err && (n = fsc_readdir(f, cookie, v, ENTRIES)) > 0)
        for (ssize_t i = 0; i < n && !err; i++) {
            char *path;

            cookie = v[i].cookie;
            if (strcmp(v[i].name, ".") == 0 || strcmp(v[i].name, "..") == 0)
                continue;
            path = fs_join(dir, v[i].name);
            err = path ? fsc_getattr(fs, NULL, path, AT_SYMLINK_NOFOLLOW, &at) : -ENOMEM;
            if (err == -ENOENT) // removed since
                err = 0;
            else if (!err)
                err = fn(arg, path, v[i].name, &at);
            free(path);
        }
    fsc_close(f);
    free(v);
    return n < 0 && !err ? (int)n : err;
}

// ---- ls ----

struct ls {
    struct fs_args *a;
    struct fsc *fs;
    bool some; // something was printed
};

static int
ls_print(struct ls *ls, const char *path, const char *shown, const struct fsc_attr *at)
{
    char mode[11], when[40], user[40], link[4096];
    ssize_t n;

    if (ls->a->json) {
        fs_json_item(attr_json(path, at), !ls->some);
        ls->some = true;
        return 0;
    }
    if (ls->a->longer) {
        mode_text(at->mode, mode);
        time_text(at->mtime, when);
        printf("%s %3u %-8s %6u %12llu %s ", mode, at->nlink, user_text(at->uid, user), at->gid,
               (unsigned long long)at->size, when);
    }
    fs_print_name(shown);
    if (ls->a->longer && S_ISLNK(at->mode)) {
        n = fsc_readlink(ls->fs, &(struct fsc_at){0}, path, link, sizeof link - 1);
        if (n >= 0) {
            link[n] = '\0';
            fputs(" -> ", stdout);
            fs_print_name(link);
        }
    }
    putchar(ls->a->zero ? '\0' : '\n');
    return 0;
}

static int
ls_entry(void *arg, const char *path, const char *name, const struct fsc_attr *at)
{
    struct ls *ls = arg;
    int err = ls_print(ls, path, ls->a->recursive ? path : name, at);

    if (!err && ls->a->recursive && S_ISDIR(at->mode))
        err = fs_each(ls->fs, path, ls_entry, ls);
    return err;
}

int
fs_ls(struct fs_args *a, struct fsc *fs)
{
    struct ls ls = {.a = a, .fs = fs};
    struct fsc_attr at;
    const char *path;
    int code = CLI_OK;

    FS_EACH_PATH(a, i, path)
    {
        int err = fsc_getattr(fs, NULL, path, 0, &at);

        if (!err)
            err = S_ISDIR(at.mode) ? fs_each(fs, path, ls_entry, &ls) : ls_print(&ls, path, path, &at);
        if (err)
            code = fs_fail(a, path, err);
    }
    if (a->json)
        fs_json_end(!ls.some);
    return code;
}

// ---- stat ----

static int
stat_layout(struct fsc *fs, const char *path, json_t *j)
{
    struct fsc_extent v[32];
    struct fsc_file *f;
    uint64_t at = 0;
    json_t *list = json_array();
    int err = fsc_open(fs, NULL, path, O_RDONLY, 0, &f);
    ssize_t n = err;

    if (!err) {
        while ((n = fsc_get_layout(f, at, INT64_MAX - at, v, 32)) > 0)
            for (ssize_t i = 0; i < n; i++) {
                at = v[i].offset + v[i].length;
                json_array_append_new(
                    list, json_pack("{s:I, s:I, s:I, s:b, s:s}", "offset", (json_int_t)v[i].offset, "length",
                                    (json_int_t)v[i].length, "chunk", (json_int_t)v[i].chunk, "shared",
                                    v[i].shared, "file", v[i].path));
            }
        fsc_close(f);
    }
    json_object_set_new(j, "layout", list);
    return (int)n;
}

static void
stat_print(const char *path, const struct fsc_attr *at, const json_t *j)
{
    char mode[11], text[40];
    const json_t *e;
    size_t i;

    mode_text(at->mode, mode);
    fputs("  File: ", stdout);
    fs_print_name(path);
    printf("\n  Size: %-14llu Space: %-14llu Inode: %-10llu Links: %u%s\n", (unsigned long long)at->size,
           (unsigned long long)at->space, (unsigned long long)at->ino, at->nlink,
           at->flags & FSC_ATTR_SNAPSHOT ? "  (snapshot)" : "");
    printf("Access: %04o/%s  Uid: %u  Gid: %u\n", at->mode & 07777, mode, at->uid, at->gid);
    time_text(at->atime, text);
    printf("Access: %s\n", text);
    time_text(at->mtime, text);
    printf("Modify: %s\n", text);
    time_text(at->ctime, text);
    printf("Change: %s\n", text);
    time_text(at->btime, text);
    printf(" Birth: %s\n", text);
    for (i = 0; (e = json_array_get(json_object_get(j, "layout"), i)) != NULL; i++) {
        long long chunk = json_integer_value(json_object_get(e, "chunk"));

        printf(" %12lld + %-12lld %s%s %s\n", (long long)json_integer_value(json_object_get(e, "offset")),
               (long long)json_integer_value(json_object_get(e, "length")), chunk ? "chunk" : "hole",
               json_is_true(json_object_get(e, "shared")) ? " (shared)" : "",
               json_string_value(json_object_get(e, "file")));
    }
}

int
fs_stat(struct fs_args *a, struct fsc *fs)
{
    json_t *out = json_array();
    struct fsc_attr at;
    int code = CLI_OK;

    for (int i = 0; i < a->argc; i++) {
        int err = fsc_getattr(fs, NULL, a->argv[i], AT_SYMLINK_NOFOLLOW, &at);
        json_t *j;

        if (err) {
            code = fs_fail(a, a->argv[i], err);
            continue;
        }
        j = attr_json(a->argv[i], &at);
        if (a->layout && S_ISREG(at.mode))
            err = stat_layout(fs, a->argv[i], j);
        if (err)
            code = fs_fail(a, a->argv[i], err);
        if (!a->json)
            stat_print(a->argv[i], &at, j);
        json_array_append_new(out, j);
    }
    if (a->json)
        fs_print_json(out);
    else
        json_decref(out);
    return code;
}

// ---- cat ----

static int
cat_file(struct fs_args *a, struct fsc *fs, const char *path)
{
    enum { BUF = 1 << 20 };
    struct fsc_file *f;
    uint64_t at = 0;
    char *buf;
    ssize_t n = 0;
    int err = fsc_open(fs, NULL, path, O_RDONLY, 0, &f);

    if (err)
        return fs_fail(a, path, err);
    buf = malloc(BUF);
    while (buf && (n = fsc_pread(f, buf, BUF, at)) > 0 && fwrite(buf, 1, (size_t)n, stdout) == (size_t)n)
        at += (uint64_t)n;
    free(buf);
    fsc_close(f);
    return !buf ? fs_fail(a, path, -ENOMEM) : n < 0 ? fs_fail(a, path, (int)n) : CLI_OK;
}

int
fs_cat(struct fs_args *a, struct fsc *fs)
{
    int code = CLI_OK;

    for (int i = 0; i < a->argc; i++)
        if (cat_file(a, fs, a->argv[i]) != CLI_OK)
            code = CLI_FAIL;
    return code;
}
