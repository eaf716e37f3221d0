// SPDX-License-Identifier: Apache-2.0
// The check: everything against everything, in one transaction. Each check is a query whose rows are
// findings, a sentence that explains one, and a statement or a function that mends it. The order matters:
// what mends names comes before what counts them.
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "meta/internal.h"

#define COLS 6

struct finding {
    int64_t v[COLS];
};

struct run {
    struct op *op;
    struct meta_db *db;
    bool repair;
    meta_fsck_fn fn;
    void *arg;
    struct meta_fsck *out;
};

struct check {
    const char *code;
    enum meta_sql find;
    int ino_col; // which column is the inode (or what else it is about)
    // The sentence, with the columns in its place; %s is not used.
    const char *text;
    int cols;
    int (*mend)(struct run *run, const struct finding *f);
};

static int
mend_name(struct run *run, const struct finding *f)
{
    return db_run(run->db, SQL_NAME_DEL, "ii", f->v[0], f->v[1]);
}

static int
mend_type(struct run *run, const struct finding *f)
{
    return db_run(run->db, SQL_FSCK_FIX_TYPE, "iii", f->v[0], f->v[1], f->v[4]);
}

static int
mend_nlink(struct run *run, const struct finding *f)
{
    return db_run(run->db, SQL_SET_NLINK, "ii", f->v[0], f->v[2]);
}

static int
mend_entries(struct run *run, const struct finding *f)
{
    return db_run(run->db, SQL_FSCK_FIX_SIZE, "ii", f->v[0], f->v[2]);
}

static int
mend_parent(struct run *run, const struct finding *f)
{
    return db_run(run->db, SQL_FSCK_FIX_PARENT, "ii", f->v[0], f->v[2]);
}

static int
mend_orphan(struct run *run, const struct finding *f)
{
    return db_run(run->db, SQL_ORPHAN_DEL, "i", f->v[0]);
}

static int
mend_trash(struct run *run, const struct finding *f)
{
    return db_run(run->db, SQL_TRASH_DEL, "i", f->v[0]);
}

static int
mend_chunk(struct run *run, const struct finding *f)
{
    int r = db_run(run->db, SQL_CHUNK_DEL, "ii", f->v[0], f->v[1]);

    if (r < 0 || (r = db_query(run->db, SQL_CHUNK_USED, "i", f->v[2])) < 0 ||
        (r = db_step(run->db, SQL_CHUNK_USED)) < 0)
        return r;
    db_done(run->db, SQL_CHUNK_USED);
    return r ? 0 : db_run(run->db, SQL_GARBAGE_PUT, "i", f->v[2]);
}

static int
mend_nchunk(struct run *run, const struct finding *f)
{
    return db_run(run->db, SQL_FSCK_FIX_NCHUNK, "iii", f->v[0], f->v[2], f->v[4]);
}

static int
mend_refs(struct run *run, const struct finding *f)
{
    if (f->v[1] > 1)
        return db_run(run->db, SQL_REFS_PUT, "ii", f->v[0], f->v[1]);
    return db_run(run->db, SQL_REFS_DEL, "i", f->v[0]);
}

static int
mend_refs_lost(struct run *run, const struct finding *f)
{
    return db_run(run->db, SQL_REFS_DEL, "i", f->v[0]);
}

static int
mend_garbage(struct run *run, const struct finding *f)
{
    return db_run(run->db, SQL_GARBAGE_DEL, "i", f->v[0]);
}

static int
mend_usage(struct run *run, const struct finding *f)
{
    return db_run(run->db, SQL_FSCK_FIX_USAGE, "iiii", f->v[0], f->v[1], f->v[4], f->v[5]);
}

static int
mend_usage_none(struct run *run, const struct finding *f)
{
    return db_run(run->db, SQL_USAGE_PUT, "iiiiiii", (int64_t)USAGE_USER, f->v[0], f->v[2], f->v[1],
                  (int64_t)0, (int64_t)0, (int64_t)0);
}

static int
mend_quota(struct run *run, const struct finding *f)
{
    return db_run(run->db, SQL_FSCK_FIX_QUOTA, "i", f->v[0]);
}

static int
mend_link_none(struct run *run, const struct finding *f)
{
    return db_run(run->db, SQL_LINK_PUT, "ib", f->v[0], "(lost)", (size_t)6);
}

static int
mend_link(struct run *run, const struct finding *f)
{
    return db_run(run->db, SQL_LINK_DEL, "i", f->v[0]);
}

static int
mend_xattr(struct run *run, const struct finding *f)
{
    return db_run(run->db, SQL_XATTR_CLEAR, "i", f->v[0]);
}

// The directory that lost inodes are linked into: /lost+found, made if it is not there.
static int
lost_found(struct run *run, uint64_t *ino)
{
    static const char name[] = "lost+found";
    struct meta *m = run->op->m;
    struct name_hash h = name_hash(m->key, name, strlen(name));
    int64_t now = op_now();
    int r;

    if ((r = db_query(run->db, SQL_NAME_GET, "ii", (int64_t)META_ROOT, h.h)) < 0 ||
        (r = db_step(run->db, SQL_NAME_GET)) < 0)
        return r;
    if (r == 1) {
        *ino = (uint64_t)db_int(run->db, SQL_NAME_GET, 0);
        db_done(run->db, SQL_NAME_GET);
        return 0;
    }
    if ((r = op_new_ino(run->op, 1, ino)) < 0)
        return r;
    r = db_run(run->db, SQL_INODE_PUT, "iiiiiiiiiiiiiiii", *ino, (int64_t)(S_IFDIR | 0700), (int64_t)0,
               (int64_t)0, (int64_t)2, (int64_t)0, (int64_t)0, (int64_t)0, now, now, now, now,
               (int64_t)META_ROOT, (int64_t)0, (int64_t)0, (int64_t)0);
    return r < 0 ? r
                 : db_run(run->db, SQL_NAME_PUT, "iiiib", (int64_t)META_ROOT, h.h, *ino, (int64_t)DT_DIR,
                          name, strlen(name));
}

static int
mend_lost(struct run *run, const struct finding *f)
{
    char name[32];
    uint64_t dir;
    struct name_hash h;
    int r = lost_found(run, &dir);

    if (r < 0)
        return r;
    snprintf(name, sizeof(name), "#%lld", (long long)f->v[0]);
    h = name_hash(run->op->m->key, name, strlen(name));
    return db_run(run->db, SQL_NAME_PUT, "iiiib", dir, h.h, f->v[0], (f->v[1] & S_IFMT) >> 12, name,
                  strlen(name));
}

// A circle of directories is cut at this name; the next round finds the directory lost.
static int
mend_loop(struct run *run, const struct finding *f)
{
    struct finding lost = {.v = {f->v[2], S_IFDIR}};
    int r = mend_name(run, f);

    return r < 0 ? r : mend_lost(run, &lost);
}

// clang-format off
static const struct check checks[] = {
    {"dangling", SQL_FSCK_DANGLING, 2, "a name in directory %lld (cookie %lld) leads to inode %lld, which is not there; the name is removed", 3, mend_name},
    {"nodir", SQL_FSCK_NODIR, 0, "a name in inode %lld (cookie %lld), which is no directory, leads to inode %lld; the name is removed", 3, mend_name},
    {"lost", SQL_FSCK_LOST, 0, "inode %lld (mode %lld, %lld links) has no name and nobody holds it; it is linked into /lost+found", 3, mend_lost},
    {"loop", SQL_FSCK_LOOP, 2, "directory %lld has a name (cookie %lld) of directory %lld, which can't be reached from the root; it is moved to /lost+found", 3, mend_loop},
    {"type", SQL_FSCK_TYPE, 2, "a name in directory %lld (cookie %lld) of inode %lld says type %lld, the inode is of type %lld", 5, mend_type},
    {"parent", SQL_FSCK_PARENT, 0, "directory %lld says that inode %lld is above it, its name is in %lld", 3, mend_parent},
    {"nlink", SQL_FSCK_NLINK_FILE, 0, "inode %lld says that it has %lld links, names of it are %lld", 3, mend_nlink},
    {"nlink", SQL_FSCK_NLINK_DIR, 0, "directory %lld says that it has %lld links, with its subdirectories they are %lld", 3, mend_nlink},
    {"entries", SQL_FSCK_ENTRIES, 0, "directory %lld says that it has %lld entries, there are %lld", 3, mend_entries},
    {"orphan", SQL_FSCK_ORPHAN, 0, "inode %lld is noted as without a name, but it has one or is gone; the note is removed", 1, mend_orphan},
    {"trash", SQL_FSCK_TRASH, 0, "inode %lld is noted as in the trash, but it has a name or is gone; the note is removed", 1, mend_trash},
    {"chunk", SQL_FSCK_CHUNK_LOST, 0, "inode %lld is not there, but chunk %lld of it is mapped to %lld; it becomes garbage", 3, mend_chunk},
    {"nchunk", SQL_FSCK_NCHUNK, 0, "inode %lld says that it has %lld chunks, there are %lld; it says %lld bytes, they have %lld", 5, mend_nchunk},
    {"refs", SQL_FSCK_REFS, 0, "chunk %lld is mapped %lld times, its count of references is %lld", 3, mend_refs},
    {"refs", SQL_FSCK_REFS_LOST, 0, "chunk %lld is not mapped, but has a count of references, %lld", 2, mend_refs_lost},
    {"garbage", SQL_FSCK_GARBAGE, 0, "chunk %lld waits for its deletion, but is mapped; it is kept", 1, mend_garbage},
    {"symlink", SQL_FSCK_LINK_NONE, 0, "symbolic link %lld has no text; it gets \"(lost)\"", 1, mend_link_none},
    {"symlink", SQL_FSCK_LINK_LOST, 0, "there is text of a symbolic link %lld that is not there", 1, mend_link},
    {"xattr", SQL_FSCK_XATTR_LOST, 0, "there are extended attributes of inode %lld, which is not there", 1, mend_xattr},
    {"usage", SQL_FSCK_USAGE, 1, "usage of kind %lld, id %lld is noted as %lld bytes in %lld inodes; it is %lld in %lld", 6, mend_usage},
    {"usage", SQL_FSCK_USAGE_NONE, 0, "user %lld has %lld inodes with %lld bytes, but no sum of them", 3, mend_usage_none},
    {"quota", SQL_FSCK_QUOTA_LOST, 0, "inode %lld is charged to the quota of directory %lld, which has none", 2, mend_quota},
};
// clang-format on

static int
report(struct run *run, const char *code, uint64_t ino, const char *text, bool mended)
{
    run->out->findings++;
    run->out->repaired += mended;
    if (run->fn)
        run->fn(run->arg, code, ino, text, mended);
    return 0;
}

static int
collect(struct meta_db *db, enum meta_sql s, int cols, struct finding **out, size_t *n)
{
    struct finding *v = NULL;
    size_t cap = 0;
    int r = db_query(db, s, "");

    *n = 0;
    while (r >= 0 && (r = db_step(db, s)) == 1) {
        if (*n == cap) {
            struct finding *w = realloc(v, (cap = cap ? cap * 2 : 64) * sizeof(*v));

            if (!w) {
                r = -ENOMEM;
                break;
            }
            v = w;
        }
        memset(&v[*n], 0, sizeof(*v));
        for (int i = 0; i < cols; i++)
            v[*n].v[i] = db_int(db, s, i);
        ++*n;
    }
    db_done(db, s);
    *out = v;
    return r < 0 ? r : 0;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" // the formats are those of the table above
static void
explain(const struct check *c, const struct finding *f, char *buf, size_t size)
{
    snprintf(buf, size, c->text, (long long)f->v[0], (long long)f->v[1], (long long)f->v[2],
             (long long)f->v[3], (long long)f->v[4], (long long)f->v[5]);
}
#pragma GCC diagnostic pop

static int
run_check(struct run *run, const struct check *c)
{
    struct finding *v;
    size_t n;
    int r = collect(run->db, c->find, c->cols, &v, &n);

    for (size_t i = 0; r == 0 && i < n; i++) {
        char text[256];

        explain(c, &v[i], text, sizeof(text));
        if (run->repair)
            r = c->mend(run, &v[i]);
        if (r == 0)
            report(run, c->code, (uint64_t)v[i].v[c->ino_col], text, run->repair);
    }
    free(v);
    return r;
}

// Sums of directories with a quota: each has its own inodes and what the quotas below it have.
static int
check_quotas(struct run *run)
{
    struct finding *v;
    size_t n;
    int r =
        collect(run->db, SQL_FSCK_QUOTA, 6, &v, &n); // id, space, inodes, parent, inodes and space of its own

    for (size_t i = 0; r == 0 && i < n; i++) {
        int64_t inodes = 0, space = 0;
        char text[256];

        for (size_t k = 0; k < n; k++) {
            int64_t up = v[k].v[0];

            for (size_t depth = 0; up && up != v[i].v[0] && depth <= n; depth++) {
                size_t j = 0;

                while (j < n && v[j].v[0] != up)
                    j++;
                up = j < n ? v[j].v[3] : 0;
            }
            if (up == v[i].v[0]) {
                inodes += v[k].v[4];
                space += v[k].v[5];
            }
        }
        if (inodes == v[i].v[2] && space == v[i].v[1])
            continue;
        snprintf(text, sizeof(text),
                 "the quota of directory %lld is noted as %lld bytes in %lld inodes; it is %lld in %lld",
                 (long long)v[i].v[0], (long long)v[i].v[1], (long long)v[i].v[2], (long long)space,
                 (long long)inodes);
        if (run->repair)
            r = db_run(run->db, SQL_FSCK_FIX_USAGE, "iiii", (int64_t)USAGE_DIR, v[i].v[0], space, inodes);
        if (r == 0)
            report(run, "quota", (uint64_t)v[i].v[0], text, run->repair);
    }
    free(v);
    return r;
}

int
meta_fsck(struct meta *m, unsigned flags, meta_fsck_fn fn, void *arg, struct meta_fsck *out)
{
    struct run run = {.repair = flags & META_FSCK_REPAIR, .fn = fn, .arg = arg, .out = out};
    int r;

    memset(out, 0, sizeof(*out));
    if ((r = op_begin(m, OP_DIRECT | (run.repair ? 0u : (unsigned)OP_INTERNAL), &run.op)) < 0)
        return r;
    run.db = m->db;
    if ((r = db_query(m->db, SQL_FSCK_COUNT, "")) == 0 && (r = db_step(m->db, SQL_FSCK_COUNT)) == 1) {
        out->inodes = (uint64_t)db_int(m->db, SQL_FSCK_COUNT, 0);
        out->names = (uint64_t)db_int(m->db, SQL_FSCK_COUNT, 1);
        out->chunks = (uint64_t)db_int(m->db, SQL_FSCK_COUNT, 2);
        db_done(m->db, SQL_FSCK_COUNT);
        r = 0;
    }
    for (size_t i = 0; r == 0 && i < sizeof(checks) / sizeof(checks[0]); i++)
        r = run_check(&run, &checks[i]);
    if (r == 0)
        r = check_quotas(&run);
    run.op->epoch = run.repair && out->repaired;
    return op_end(run.op, r);
}
