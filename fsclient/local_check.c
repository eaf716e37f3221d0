// SPDX-License-Identifier: Apache-2.0
// Checks of local:DIR. The namespace engine checks itself; here the two engines are compared: chunks that no
// file has (leaks, which repair deletes), files whose chunks are missing or too short, and damage by the
// files it concerns.
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fsclient/local_ops.h"

#define BATCH 128
#define DEPTH_MAX 2048 // directories below each other that a walk follows

struct check {
    struct local *l;
    bool repair;
    fsc_check_fn fn;
    void *arg;
    struct fsc_check *out;
    int stop; // what fn returned
    uint64_t total;
};

static int __attribute__((format(printf, 4, 5)))
finding(struct check *ck, const char *code, bool repaired, const char *fmt, ...)
{
    char text[1024];
    va_list ap;

    ck->out->findings++;
    ck->out->repaired += repaired;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (ck->fn && !ck->stop)
        ck->stop = ck->fn(ck->arg, code, text, repaired, 0, 0);
    return ck->stop;
}

static int
progress(struct check *ck, uint64_t done)
{
    if (ck->fn && !ck->stop)
        ck->stop = ck->fn(ck->arg, NULL, NULL, false, done, ck->total > done ? ck->total : done);
    return ck->stop;
}

static void
meta_finding(void *arg, const char *code, uint64_t ino, const char *text, bool repaired)
{
    finding(arg, code, repaired, "inode %llu: %s", (unsigned long long)ino, text);
}

// ---- chunks that are there: does a file have them? ----

struct leaks {
    struct check *ck;
    uint64_t ids[BATCH];
    size_t n;
};

static int
leaks_flush(struct leaks *s)
{
    enum meta_chunk_state states[BATCH];
    struct check *ck = s->ck;
    int err = meta_chunk_states(ck->l->m, s->ids, states, s->n);

    for (size_t i = 0; i < s->n && !err; i++) {
        bool gone = false;

        if (states[i] != META_CHUNK_FREE)
            continue;
        if (ck->repair)
            gone = chunk_delete(ck->l->c, s->ids[i]) == 0;
        err = finding(ck, "leak", gone, "chunk %llu belongs to no file%s", (unsigned long long)s->ids[i],
                      gone ? ": deleted" : "; repair deletes it");
    }
    s->n = 0;
    return err;
}

static int
leaks_each(void *arg, uint64_t id)
{
    struct leaks *s = arg;

    s->ck->out->chunks++;
    s->ids[s->n++] = id;
    return s->n == BATCH ? leaks_flush(s) : 0;
}

// ---- files that are there: are their chunks? ----

typedef int (*file_fn)(struct check *ck, uint64_t ino, const char *path, void *arg);

static int walk_entries(struct check *ck, uint64_t dir, char *path, size_t len, int depth, file_fn fn,
                        void *arg);

static int
walk_one(struct check *ck, const struct fsc_dirent *e, char *path, size_t len, int depth, file_fn fn,
         void *arg)
{
    size_t n = strlen(e->name);

    if (strcmp(e->name, ".") == 0 || strcmp(e->name, "..") == 0)
        return 0;
    if (len + n + 2 > PATH_MAX * 16u || depth > DEPTH_MAX)
        return 0; // deeper than anybody can go; its chunks were looked at from their side
    path[len] = '/';
    memcpy(path + len + 1, e->name, n + 1);
    if (e->type == DT_DIR)
        return walk_entries(ck, e->ino, path, len + 1 + n, depth + 1, fn, arg);
    return e->type == DT_REG ? fn(ck, e->ino, path, arg) : 0;
}

static int
walk_entries(struct check *ck, uint64_t dir, char *path, size_t len, int depth, file_fn fn, void *arg)
{
    struct fsc_dirent *v = malloc(16 * sizeof *v);
    uint64_t cookie = 0;
    ssize_t n = v ? 1 : -ENOMEM;
    int err = 0;

    while (n > 0 && !err) {
        n = local_readdir(ck->l->fs, dir, cookie, v, 16);
        for (ssize_t i = 0; i < n && !err; i++) {
            cookie = v[i].cookie;
            err = walk_one(ck, &v[i], path, len, depth, fn, arg);
        }
    }
    free(v);
    return n == -ESTALE || n == -ENOTDIR ? 0 : n < 0 ? (int)n : err; // removed meanwhile
}

static int
each_file(struct check *ck, file_fn fn, void *arg)
{
    char *path = malloc(PATH_MAX * 16);
    int err = path ? walk_entries(ck, META_ROOT, path, 0, 0, fn, arg) : -ENOMEM;

    free(path);
    return err;
}

// Is this chunk the file's still, now that something seems wrong with it?
static bool
still_there(struct check *ck, uint64_t ino, const struct meta_chunk *c)
{
    struct meta_chunk now;

    return meta_get_chunks(ck->l->m, ino, c->index, &now, 1) == 1 && now.id == c->id;
}

static int
check_file(struct check *ck, uint64_t ino, const char *path, void *arg)
{
    struct meta_chunk v[64];
    struct chunk_info ci;
    uint64_t next = 0;
    ssize_t n = 64;
    int err = 0;

    while (n == 64 && !err) {
        n = meta_get_chunks(ck->l->m, ino, next, v, 64);
        for (ssize_t i = 0; i < n && !err; i++) {
            next = v[i].index + 1;
            err = chunk_stat(ck->l->c, v[i].id, &ci);
            if (err == -ENOENT && still_there(ck, ino, &v[i]))
                err = finding(ck, "missing", false,
                              "%s: chunk %llu is missing: %u bytes at offset %llu are lost", path,
                              (unsigned long long)v[i].id, v[i].length,
                              (unsigned long long)(v[i].index * ck->l->chunk_size));
            else if (err == -ENOENT)
                err = 0;
            else if (!err && ci.size < v[i].length && still_there(ck, ino, &v[i]))
                err =
                    finding(ck, "short", false,
                            "%s: chunk %llu has %llu bytes and should have %u: zeros are read in their place",
                            path, (unsigned long long)v[i].id, (unsigned long long)ci.size, v[i].length);
        }
    }
    if (n == -ESTALE)
        n = 0;
    return n < 0 ? (int)n : err;
}

int
local_fsck(struct fsc *fs, bool repair, fsc_check_fn fn, void *arg, struct fsc_check *out)
{
    struct check ck = {.l = LOCAL(fs), .repair = repair, .fn = fn, .arg = arg, .out = out};
    struct leaks leaks = {.ck = &ck};
    struct meta_fsck mf = {0};
    int err = meta_fsck(ck.l->m, repair ? META_FSCK_REPAIR : 0, meta_finding, &ck, &mf);

    out->inodes = mf.inodes;
    out->names = mf.names;
    if (!err && !ck.stop && !(fs->opt.flags & FSC_RDONLY))
        err = local_garbage_take(ck.l);
    if (!err && !ck.stop && repair)
        local_node_sweep(ck.l);
    if (!err && !ck.stop)
        err = chunk_list(ck.l->c, leaks_each, &leaks);
    if (!err && !ck.stop && leaks.n > 0)
        err = leaks_flush(&leaks);
    if (!err && !ck.stop)
        err = each_file(&ck, check_file, NULL);
    return ck.stop ? ck.stop : err;
}

// ---- every byte ----

struct damage {
    uint64_t id, offset, len;
};

struct scrub {
    struct check *ck;
    struct damage *v; // found, for their files' names
    size_t n, room;
};

static int
scrub_progress(void *arg, uint64_t id, uint64_t done)
{
    struct scrub *s = arg;

    s->ck->out->bytes = done;
    return progress(s->ck, done);
}

static int
scrub_damage(void *arg, uint64_t id, uint32_t block, uint64_t off, uint64_t len)
{
    struct scrub *s = arg;

    if (s->n == s->room) {
        size_t room = s->room ? 2 * s->room : 64;
        struct damage *v = realloc(s->v, room * sizeof *v);

        if (!v)
            return -ENOMEM;
        s->v = v;
        s->room = room;
    }
    s->v[s->n++] = (struct damage){id, off, len};
    return 0;
}

static int
name_damage(struct check *ck, uint64_t ino, const char *path, void *arg)
{
    struct scrub *s = arg;
    struct meta_chunk v[64];
    uint64_t next = 0;
    ssize_t n = 64;

    while (n == 64) {
        n = meta_get_chunks(ck->l->m, ino, next, v, 64);
        for (ssize_t i = 0; i < n; i++) {
            next = v[i].index + 1;
            for (size_t k = 0; k < s->n; k++)
                if (s->v[k].id == v[i].id && s->v[k].offset < v[i].length &&
                    finding(ck, "damage", false,
                            "%s: %llu bytes at offset %llu are damaged (chunk %llu, offset %llu)", path,
                            (unsigned long long)s->v[k].len,
                            (unsigned long long)(v[i].index * ck->l->chunk_size + s->v[k].offset),
                            (unsigned long long)v[i].id, (unsigned long long)s->v[k].offset) != 0)
                    return ck->stop;
        }
    }
    return 0;
}

static int
count_chunk(void *arg, uint64_t id)
{
    struct check *ck = arg;
    struct chunk_info ci;

    ck->out->chunks++;
    if (chunk_stat(ck->l->c, id, &ci) == 0)
        ck->total += ci.size;
    return 0;
}

int
local_scrub(struct fsc *fs, fsc_check_fn fn, void *arg, struct fsc_check *out)
{
    struct check ck = {.l = LOCAL(fs), .fn = fn, .arg = arg, .out = out};
    struct scrub s = {.ck = &ck};
    struct chunk_scrub_options so = {.progress = scrub_progress, .damage = scrub_damage, .arg = &s};
    int err = chunk_list(ck.l->c, count_chunk, &ck);
    uint64_t named;

    if (!err)
        err = chunk_scrub(ck.l->c, 0, &so);
    named = out->findings;
    if (!err && s.n > 0)
        err = each_file(&ck, name_damage, &s);
    if (!err && !ck.stop && s.n > 0 && out->findings == named)
        for (size_t i = 0; i < s.n && !ck.stop; i++)
            finding(&ck, "damage", false, "chunk %llu is damaged at offset %llu; no file with a name has it",
                    (unsigned long long)s.v[i].id, (unsigned long long)s.v[i].offset);
    free(s.v);
    return ck.stop ? ck.stop : err;
}
