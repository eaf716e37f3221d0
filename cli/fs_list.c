// SPDX-License-Identifier: Apache-2.0
// `zio fs` ls, cat, rm, mkdir, du, df, stat, info: looking at names, making and removing them.
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

// The paths of the arguments; the root if there are none.
#define EACH_PATH(a, i, path)                                                                                \
    for (int i = 0; (path = i < (a)->argc ? (a)->argv[i] : i == 0 ? "/" : NULL) != NULL; i++)

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

    // A name need not be UTF-8, and JSON must be.
    char *clean = strdup(path);
    json_t *j;

    if (!clean)
        return NULL;
    text_clean(clean);
    j = json_pack("{s:s, s:I, s:s, s:i, s:I, s:I, s:I, s:i, s:i, s:I, s:I, s:I, s:I, s:b}", "path", clean,
                  "inode", (json_int_t)at->ino, "type", type, "mode", (int)(at->mode & 07777), "links",
                  (json_int_t)at->nlink, "size", (json_int_t)at->size, "space", (json_int_t)at->space, "uid",
                  (int)at->uid, "gid", (int)at->gid, "atime_ns", (json_int_t)at->atime, "mtime_ns",
                  (json_int_t)at->mtime, "ctime_ns", (json_int_t)at->ctime, "btime_ns", (json_int_t)at->btime,
                  "snapshot", (at->flags & FSC_ATTR_SNAPSHOT) != 0);
    free(clean);
    return j;
}

static char *
join(const char *dir, const char *name)
{
    char *path = NULL;

    if (asprintf(&path, "%s%s%s", dir, *dir && dir[strlen(dir) - 1] == '/' ? "" : "/", name) < 0)
        return NULL;
    return path;
}

typedef int (*visit_fn)(void *arg, const char *path, const char *name, const struct fsc_attr *at);

// Calls `fn` for each entry of a directory, in the directory's order.
static int
each_entry(struct fsc *fs, const char *dir, visit_fn fn, void *arg)
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
            path = join(dir, v[i].name);
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
    json_t *out;
};

static void
print_clean(const char *text)
{
    char *clean = strdup(text);

    if (clean) {
        text_clean(clean);
        fputs(clean, stdout);
        free(clean);
    }
}

static int
ls_print(struct ls *ls, const char *path, const char *shown, const struct fsc_attr *at)
{
    char mode[11], when[40], user[40], link[4096];
    ssize_t n;

    if (ls->a->json)
        return json_array_append_new(ls->out, attr_json(path, at)) == 0 ? 0 : -ENOMEM;
    if (ls->a->longer) {
        mode_text(at->mode, mode);
        time_text(at->mtime, when);
        printf("%s %3u %-8s %6u %12llu %s ", mode, at->nlink, user_text(at->uid, user), at->gid,
               (unsigned long long)at->size, when);
    }
    print_clean(shown);
    if (ls->a->longer && S_ISLNK(at->mode)) {
        n = fsc_readlink(ls->fs, &(struct fsc_at){0}, path, link, sizeof link - 1);
        if (n >= 0) {
            link[n] = '\0';
            fputs(" -> ", stdout);
            print_clean(link);
        }
    }
    putchar('\n');
    return 0;
}

static int
ls_entry(void *arg, const char *path, const char *name, const struct fsc_attr *at)
{
    struct ls *ls = arg;
    int err = ls_print(ls, path, ls->a->recursive ? path : name, at);

    if (!err && ls->a->recursive && S_ISDIR(at->mode))
        err = each_entry(ls->fs, path, ls_entry, ls);
    return err;
}

int
fs_ls(struct fs_args *a, struct fsc *fs)
{
    struct ls ls = {.a = a, .fs = fs, .out = a->json ? json_array() : NULL};
    struct fsc_attr at;
    const char *path;
    int code = CLI_OK;

    EACH_PATH(a, i, path)
    {
        int err = fsc_getattr(fs, NULL, path, 0, &at);

        if (!err)
            err = S_ISDIR(at.mode) ? each_entry(fs, path, ls_entry, &ls) : ls_print(&ls, path, path, &at);
        if (err)
            code = fs_fail(a, path, err);
    }
    if (a->json)
        fs_print_json(ls.out);
    return code;
}

// ---- stat ----

static void
stat_layout(struct fsc *fs, const char *path, json_t *j)
{
    struct fsc_extent v[32];
    struct fsc_file *f;
    uint64_t at = 0;
    json_t *list = json_array();
    ssize_t n = 0;

    if (fsc_open(fs, NULL, path, O_RDONLY, 0, &f) == 0) {
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
}

static void
stat_print(const char *path, const struct fsc_attr *at, const json_t *j)
{
    char mode[11], text[40];
    const json_t *e;
    size_t i;

    mode_text(at->mode, mode);
    fputs("  File: ", stdout);
    print_clean(path);
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
            stat_layout(fs, a->argv[i], j);
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

// ---- cat, mkdir, rm ----

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
        else if (err == -EISDIR) {
            code = cli_error(CLI_FAIL, a->name, "%s: is a directory (-r removes it with all below)", path);
            err = 0;
        }
        if (err && !(err == -ENOENT && a->force))
            code = fs_fail(a, path, err);
    }
    return code;
}

// ---- du, df, info ----

struct du {
    struct fs_args *a;
    struct fsc *fs;
    uint64_t space, size, files;
    json_t *out;
    uint64_t *seen; // inodes with several links that were counted: a hash, 0 is empty
    size_t nseen, room;
};

// Has this inode been counted? Remembers it.
static bool
du_seen(struct du *du, uint64_t ino)
{
    if (2 * du->nseen >= du->room) {
        size_t room = du->room ? 2 * du->room : 256;
        uint64_t *v = calloc(room, sizeof *v);

        if (!v)
            return false;
        for (size_t i = 0; i < du->room; i++)
            if (du->seen[i]) {
                size_t at = du->seen[i] % room;

                while (v[at])
                    at = (at + 1) % room;
                v[at] = du->seen[i];
            }
        free(du->seen);
        du->seen = v;
        du->room = room;
    }
    for (size_t at = ino % du->room;; at = (at + 1) % du->room) {
        if (du->seen[at] == ino)
            return true;
        if (du->seen[at] == 0) {
            du->seen[at] = ino;
            du->nseen++;
            return false;
        }
    }
}

static void
du_print(struct du *du, const char *path, uint64_t space, uint64_t size, uint64_t files)
{
    char text[TEXT_MAX], *clean = strdup(path);

    if (!clean)
        return;
    text_clean(clean);
    if (du->a->json)
        json_array_append_new(du->out,
                              json_pack("{s:s, s:I, s:I, s:I}", "path", clean, "space", (json_int_t)space,
                                        "size", (json_int_t)size, "inodes", (json_int_t)files));
    else
        printf("%-10s %s\n", text_bytes(text, space), clean);
    free(clean);
}

static int
du_entry(void *arg, const char *path, const char *name, const struct fsc_attr *at)
{
    struct du *du = arg;
    uint64_t space = du->space, size = du->size, files = du->files;
    int err = 0;

    if (!S_ISDIR(at->mode) && at->nlink > 1 && du_seen(du, at->ino))
        return 0;
    du->files++;
    du->space += at->space;
    du->size += S_ISREG(at->mode) ? at->size : 0;
    if (!S_ISDIR(at->mode))
        return 0;
    err = each_entry(du->fs, path, du_entry, du);
    if (!err && !du->a->summary)
        du_print(du, path, du->space - space, du->size - size, du->files - files);
    return err;
}

int
fs_du(struct fs_args *a, struct fsc *fs)
{
    struct du du = {.a = a, .fs = fs, .out = a->json ? json_array() : NULL};
    struct fsc_attr at;
    const char *path;
    int code = CLI_OK;

    EACH_PATH(a, i, path)
    {
        uint64_t space = du.space, size = du.size, files = du.files;
        int err = fsc_getattr(fs, NULL, path, AT_SYMLINK_NOFOLLOW, &at);

        if (!err)
            err = du_entry(&du, path, path, &at);
        if (err)
            code = fs_fail(a, path, err);
        else if (a->summary || !S_ISDIR(at.mode))
            du_print(&du, path, du.space - space, du.size - size, du.files - files);
    }
    free(du.seen);
    if (a->json)
        fs_print_json(du.out);
    return code;
}

int
fs_df(struct fs_args *a, struct fsc *fs)
{
    char total[TEXT_MAX], used[TEXT_MAX], avail[TEXT_MAX];
    const char *path = a->argc ? a->argv[0] : "/";
    struct statvfs sv;
    uint64_t unit, taken;
    int err = fsc_statvfs(fs, NULL, path, &sv);

    if (err)
        return fs_fail(a, path, err);
    unit = sv.f_frsize;
    taken = sv.f_blocks > sv.f_bfree ? sv.f_blocks - sv.f_bfree : 0;
    if (a->json)
        return fs_print_json(json_pack(
            "{s:I, s:I, s:I, s:I, s:I}", "size", (json_int_t)(sv.f_blocks * unit), "used",
            (json_int_t)(taken * unit), "available", (json_int_t)(sv.f_bavail * unit), "inodes_used",
            (json_int_t)(sv.f_files - sv.f_ffree), "inodes_free", (json_int_t)sv.f_ffree));
    printf("%-10s %-10s %-10s %5s  %-12s %s\n", "Size", "Used", "Available", "Use%", "Inodes used",
           "Inodes free");
    printf("%-10s %-10s %-10s %4.0f%%  %-12llu %llu\n", text_bytes(total, sv.f_blocks * unit),
           text_bytes(used, taken * unit), text_bytes(avail, sv.f_bavail * unit),
           taken + sv.f_bavail ? 100.0 * (double)taken / (double)(taken + sv.f_bavail) : 0,
           (unsigned long long)(sv.f_files - sv.f_ffree), (unsigned long long)sv.f_ffree);
    return CLI_OK;
}

int
fs_info(struct fs_args *a, struct fsc *fs)
{
    char uuid[40], t1[TEXT_MAX], t2[TEXT_MAX], t3[TEXT_MAX], t4[TEXT_MAX], t5[TEXT_MAX];
    struct fsc_info in;
    struct fsc_usage u;
    const uint8_t *b = in.uuid;
    int err = fsc_volume_info(fs, &in);

    if (!err)
        err = fsc_usage(fs, &u);
    if (err)
        return fs_fail(a, a->url, err);
    snprintf(uuid, sizeof uuid, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
             b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
    text_clean(in.label);
    if (a->json)
        return fs_print_json(json_pack("{s:s, s:s, s:s, s:s, s:i, s:I, s:I, s:I, s:I, s:I, s:i}", "url",
                                       a->url, "driver", in.driver, "label", in.label, "uuid", uuid, "schema",
                                       (int)in.schema, "chunk_size", (json_int_t)in.chunk_size, "space",
                                       (json_int_t)u.space, "inodes", (json_int_t)u.inodes, "max_space",
                                       (json_int_t)u.max_space, "max_inodes", (json_int_t)u.max_inodes,
                                       "trash_seconds", (int)in.trash_seconds));
    // Each buffer is used once: the arguments are all made before anything is printed.
    printf("volume      %s%s%s\nuuid        %s\nchunk size  %s\nspace       %s%s%s\ninodes      %llu%s%s\n"
           "trash       %s%s\nschema      %u\n",
           a->url, *in.label ? "  " : "", in.label, uuid, text_bytes(t1, in.chunk_size),
           text_bytes(t2, u.space), u.max_space ? " of " : "", u.max_space ? text_bytes(t3, u.max_space) : "",
           (unsigned long long)u.inodes, u.max_inodes ? " of " : "",
           u.max_inodes ? text_count(t4, u.max_inodes) : "",
           in.trash_seconds ? text_count(t5, in.trash_seconds) : "none", in.trash_seconds ? " s" : "",
           in.schema);
    return CLI_OK;
}
