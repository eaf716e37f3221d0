// SPDX-License-Identifier: Apache-2.0
// `zio fs` du, df, info: how much there is.
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/fs.h"

// ---- du ----

struct du {
    struct fs_args *a;
    struct fsc *fs;
    uint64_t space, size, files;
    bool some;      // something was printed
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
    char text[TEXT_MAX];
    json_t *j;

    if (!du->a->json) {
        printf("%-10s ", text_bytes(text, space));
        fs_print_name(path);
        putchar('\n');
        return;
    }
    j = json_pack("{s:I, s:I, s:I}", "space", (json_int_t)space, "size", (json_int_t)size, "inodes",
                  (json_int_t)files);
    fs_json_path(j, path);
    fs_json_item(j, !du->some);
    du->some = true;
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
    err = fs_each(du->fs, path, du_entry, du);
    if (!err && !du->a->summary)
        du_print(du, path, du->space - space, du->size - size, du->files - files);
    return err;
}

int
fs_du(struct fs_args *a, struct fsc *fs)
{
    struct du du = {.a = a, .fs = fs};
    struct fsc_attr at;
    const char *path;
    int code = CLI_OK;

    FS_EACH_PATH(a, i, path)
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
        fs_json_end(!du.some);
    return code;
}

// ---- df, info ----

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
    char uuid[40], t1[TEXT_MAX], t2[TEXT_MAX], t3[TEXT_MAX], t4[TEXT_MAX], trash[TEXT_MAX];
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
    snprintf(trash, sizeof trash, in.trash_seconds ? "%u s" : "none", in.trash_seconds);
    if (a->json)
        return fs_print_json(json_pack("{s:s, s:s, s:s, s:s, s:i, s:I, s:I, s:I, s:I, s:I, s:i}", "url",
                                       a->url, "driver", in.driver, "label", in.label, "uuid", uuid, "schema",
                                       (int)in.schema, "chunk_size", (json_int_t)in.chunk_size, "space",
                                       (json_int_t)u.space, "inodes", (json_int_t)u.inodes, "max_space",
                                       (json_int_t)u.max_space, "max_inodes", (json_int_t)u.max_inodes,
                                       "trash_seconds", (int)in.trash_seconds));
    // Each buffer is used once: the arguments are all made before anything is printed.
    printf("volume      %s%s%s\nuuid        %s\nchunk size  %s\nspace       %s%s%s\ninodes      %llu%s%s\n"
           "trash       %s\nschema      %u\n",
           a->url, *in.label ? "  " : "", in.label, uuid, text_bytes(t1, in.chunk_size),
           text_bytes(t2, u.space), u.max_space ? " of " : "", u.max_space ? text_bytes(t3, u.max_space) : "",
           (unsigned long long)u.inodes, u.max_inodes ? " of " : "",
           u.max_inodes ? text_count(t4, u.max_inodes) : "", trash, in.schema);
    return CLI_OK;
}
