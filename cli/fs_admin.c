// SPDX-License-Identifier: Apache-2.0
// `zio fs` format, fsck, scrub, clone, snapshot, quota, trash: what concerns the volume.
#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/fs.h"

int
fs_format(struct fs_args *a, struct fsc *fs)
{
    struct fsc_format fmt = {.chunk_size = a->chunk_size,
                             .max_space = a->size,
                             .max_inodes = a->inodes,
                             .trash_seconds = (uint32_t)a->trash,
                             .root_mode = a->mode,
                             .root_uid = geteuid(),
                             .root_gid = getegid(),
                             .dir_mode = a->dir_mode};
    int err;

    if (a->trash > UINT32_MAX)
        return cli_error(CLI_USAGE, a->name, "--trash: at most %u seconds", UINT32_MAX);
    if (a->label && strlen(a->label) >= sizeof fmt.label)
        return cli_error(CLI_USAGE, a->name, "--label: at most %zu bytes", sizeof fmt.label - 1);
    snprintf(fmt.label, sizeof fmt.label, "%s", a->label ? a->label : "");
    err = fsc_format(a->url, &fmt, &fs_options);
    if (err == -EINVAL || err == -EPROTONOSUPPORT)
        return fs_told() ? CLI_USAGE : cli_error(CLI_USAGE, a->name, "%s: %s", a->url, strerror(-err));
    return !err ? CLI_OK : fs_told() ? CLI_FAIL : fs_fail(a, a->url, err);
}

// ---- fsck, scrub ----

struct check {
    struct fs_args *a;
    struct fs_progress progress;
    json_t *out;
};

static int
check_tell(void *arg, const char *code, const char *text, bool repaired, uint64_t done, uint64_t total)
{
    struct check *ck = arg;
    char clean[1024];

    if (!code) {
        ck->progress.total = total;
        progress_to(&ck->progress, done);
        return 0;
    }
    snprintf(clean, sizeof clean, "%s", text);
    text_clean(clean);
    if (ck->a->json)
        json_array_append_new(
            ck->out, json_pack("{s:s, s:s, s:b}", "code", code, "text", clean, "repaired", repaired));
    else
        printf("%s: %s%s\n", code, clean, repaired ? " (repaired)" : "");
    return 0;
}

static int
check_end(struct check *ck, int err, const struct fsc_check *r)
{
    char bytes[TEXT_MAX];
    bool clean = r->findings == r->repaired;

    progress_end(&ck->progress);
    if (err) {
        json_decref(ck->out);
        return fs_fail(ck->a, ck->a->url, err);
    }
    if (ck->a->json)
        fs_print_json(json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "inodes", (json_int_t)r->inodes,
                                "names", (json_int_t)r->names, "chunks", (json_int_t)r->chunks, "bytes",
                                (json_int_t)r->bytes, "findings", (json_int_t)r->findings, "repaired",
                                (json_int_t)r->repaired, "list", ck->out));
    else if (r->bytes)
        printf("%llu chunks, %s read: %llu damaged\n", (unsigned long long)r->chunks,
               text_bytes(bytes, r->bytes), (unsigned long long)r->findings);
    else
        printf("%llu inodes, %llu names, %llu chunks: %llu findings, %llu repaired\n",
               (unsigned long long)r->inodes, (unsigned long long)r->names, (unsigned long long)r->chunks,
               (unsigned long long)r->findings, (unsigned long long)r->repaired);
    return clean ? CLI_OK : CLI_FAIL;
}

int
fs_fsck(struct fs_args *a, struct fsc *fs)
{
    struct check ck = {.a = a, .out = a->json ? json_array() : NULL};
    struct fsc_check r = {0};

    progress_begin(&ck.progress, a->name, 0, a);
    return check_end(&ck, fsc_fsck(fs, a->repair, check_tell, &ck, &r), &r);
}

int
fs_scrub(struct fs_args *a, struct fsc *fs)
{
    struct check ck = {.a = a, .out = a->json ? json_array() : NULL};
    struct fsc_check r = {0};

    progress_begin(&ck.progress, a->name, 0, a);
    return check_end(&ck, fsc_scrub(fs, check_tell, &ck, &r), &r);
}

int
fs_clone(struct fs_args *a, struct fsc *fs)
{
    int err = fsc_clone_tree(fs, NULL, a->argv[0], NULL, a->argv[1]);

    return err ? fs_fail(a, err == -EEXIST ? a->argv[1] : a->argv[0], err) : CLI_OK;
}

int
fs_snapshot(struct fs_args *a, struct fsc *fs)
{
    int err = fsc_snapshot(fs, NULL, a->argv[0], NULL, a->argv[1]);

    return err ? fs_fail(a, err == -EEXIST ? a->argv[1] : a->argv[0], err) : CLI_OK;
}

// ---- quota ----

// "user:NAME", "user:UID" or "dir:PATH".
static int
quota_target(struct fs_args *a, struct fsc *fs, const char *text, enum fsc_quota_kind *kind, uint64_t *id)
{
    struct fsc_attr at;
    int err;

    if (strncmp(text, "user:", 5) == 0) {
        const struct passwd *pw = getpwnam(text + 5);
        char *end;

        *kind = FSC_QUOTA_USER;
        *id = pw ? pw->pw_uid : strtoul(text + 5, &end, 10);
        if (!pw && (end == text + 5 || *end))
            return cli_error(CLI_FAIL, a->name, "there is no user '%s'", text + 5);
        return CLI_OK;
    }
    if (strncmp(text, "dir:", 4) != 0)
        return cli_error(CLI_USAGE, a->name, "'%s' is neither user:NAME nor dir:PATH", text);
    *kind = FSC_QUOTA_DIR;
    err = fsc_getattr(fs, NULL, text + 4, 0, &at);
    if (err)
        return fs_fail(a, text + 4, err);
    *id = at.ino;
    return CLI_OK;
}

static json_t *
quota_json(const struct fsc_quota *q)
{
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I}", "kind", q->kind == FSC_QUOTA_DIR ? "dir" : "user",
                     "id", (json_int_t)q->id, "space", (json_int_t)q->usage.space, "inodes",
                     (json_int_t)q->usage.inodes, "max_space", (json_int_t)q->usage.max_space, "max_inodes",
                     (json_int_t)q->usage.max_inodes);
}

static void
quota_print(const struct fsc_quota *q)
{
    char space[TEXT_MAX], max[TEXT_MAX], who[64];

    if (q->kind == FSC_QUOTA_DIR)
        snprintf(who, sizeof who, "inode %llu", (unsigned long long)q->id);
    else
        snprintf(who, sizeof who, "user %llu", (unsigned long long)q->id);
    printf("%-20s %-10s of %-10s %8llu inodes of ", who, text_bytes(space, q->usage.space),
           q->usage.max_space ? text_bytes(max, q->usage.max_space) : "no limit",
           (unsigned long long)q->usage.inodes);
    if (q->usage.max_inodes)
        printf("%llu\n", (unsigned long long)q->usage.max_inodes);
    else
        puts("no limit");
}

static int
quota_list(struct fs_args *a, struct fsc *fs)
{
    struct fsc_quota v[32];
    json_t *out = a->json ? json_array() : NULL;
    size_t skip = 0;
    ssize_t n;

    while ((n = fsc_quota_list(fs, skip, v, 32)) > 0)
        for (ssize_t i = 0; i < n; i++, skip++) {
            if (out)
                json_array_append_new(out, quota_json(&v[i]));
            else
                quota_print(&v[i]);
        }
    if (out)
        fs_print_json(out);
    return n < 0 ? fs_fail(a, a->url, (int)n) : CLI_OK;
}

int
fs_quota(struct fs_args *a, struct fsc *fs)
{
    struct fsc_quota q = {0};
    int code, err;

    if (a->argc == 0)
        return a->has_size || a->has_inodes ? cli_error(CLI_USAGE, a->name, "whose? user:NAME or dir:PATH")
                                            : quota_list(a, fs);
    code = quota_target(a, fs, a->argv[0], &q.kind, &q.id);
    if (code)
        return code;
    err = fsc_quota_get(fs, q.kind, q.id, &q.usage);
    if (err == -ENOENT)
        err = 0;
    if (!err && (a->has_size || a->has_inodes))
        err = fsc_quota_set(fs, NULL, q.kind, q.id, a->has_size ? a->size : q.usage.max_space,
                            a->has_inodes ? a->inodes : q.usage.max_inodes);
    else if (!err && a->json)
        fs_print_json(quota_json(&q));
    else if (!err)
        quota_print(&q);
    return err ? fs_fail(a, a->argv[0], err) : CLI_OK;
}

// ---- trash ----

static int
trash_list(struct fs_args *a, struct fsc *fs)
{
    struct fsc_trash v[32];
    json_t *out = a->json ? json_array() : NULL;
    uint64_t after = 0;
    ssize_t n;

    while ((n = fsc_trash_list(fs, NULL, after, v, 32)) > 0)
        for (ssize_t i = 0; i < n; i++) {
            char size[TEXT_MAX];

            after = v[i].ino;
            text_clean(v[i].name);
            if (out)
                json_array_append_new(
                    out, json_pack("{s:I, s:s, s:I, s:I, s:i, s:I, s:I}", "inode", (json_int_t)v[i].ino,
                                   "name", v[i].name, "size", (json_int_t)v[i].size, "parent",
                                   (json_int_t)v[i].parent, "uid", (int)v[i].uid, "deleted_ns",
                                   (json_int_t)v[i].deleted, "expires_ns", (json_int_t)v[i].expires));
            else
                printf("%10llu %-10s %s\n", (unsigned long long)v[i].ino, text_bytes(size, v[i].size),
                       v[i].name);
        }
    if (out)
        fs_print_json(out);
    return n < 0 ? fs_fail(a, a->url, (int)n) : CLI_OK;
}

// An inode's number as `zio fs trash` shows it. 0: it is none.
static uint64_t
trash_inode(const char *text)
{
    char *end;
    uint64_t ino = strtoull(text, &end, 10);

    return *text < '0' || *text > '9' || *end ? 0 : ino;
}

static int
trash_fail(struct fs_args *a, const char *text, int err)
{
    return err == -ENOENT ? fs_say(a, text, "no such inode is in the trash ('zio fs trash' lists it)")
                          : fs_fail(a, text, err);
}

// Is the directory there that `path` names something in?
static bool
parent_there(struct fsc *fs, const char *path)
{
    const char *slash = strrchr(path, '/');
    char *dir = slash && slash != path ? strndup(path, (size_t)(slash - path)) : strdup("/");
    struct fsc_attr at;
    bool there = dir && fsc_getattr(fs, NULL, dir, 0, &at) == 0;

    free(dir);
    return there;
}

int
fs_trash(struct fs_args *a, struct fsc *fs)
{
    const char *what = a->argc ? a->argv[0] : "", *inode = a->argc > 1 ? a->argv[1] : "0";
    uint64_t ino = trash_inode(inode);
    ssize_t n;

    if (a->argc == 0)
        return trash_list(a, fs);
    if (strcmp(what, "purge") != 0 && (strcmp(what, "restore") != 0 || a->argc != 3))
        return cli_error(CLI_USAGE, a->name, "it wants: URL, URL purge [INODE], or URL restore INODE PATH");
    if ((a->argc > 1 && ino == 0) || (*what == 'p' && a->argc > 2))
        return cli_error(CLI_USAGE, a->name, "'%s' is no inode's number",
                         a->argv[a->argc > 2 && ino ? 2 : 1]);
    if (*what == 'p') {
        n = fsc_trash_purge(fs, NULL, ino);
        return n < 0 ? trash_fail(a, inode, (int)n) : n == 0 && ino ? trash_fail(a, inode, -ENOENT) : CLI_OK;
    }
    n = fsc_trash_restore(fs, NULL, ino, a->argv[2]);
    if (n == -ENOENT && parent_there(fs, a->argv[2]))
        return trash_fail(a, inode, (int)n);
    return n < 0 ? fs_fail(a, a->argv[2], (int)n) : CLI_OK;
}
