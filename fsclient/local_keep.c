// SPDX-License-Identifier: Apache-2.0
// Changes of files that are mapped somewhere (pinned): their chunks stay in their place, so that the mappings
// go on to show the file. What is cut off is cut off in the data, where mappings meet it (SIGBUS, as the
// kernel's files); holes are punched into chunks instead of unmapping them; and clones get copies.
#include <errno.h>
#include <stdlib.h>

#include "fsclient/local.h"

// The chunks from `first` on, all of them: an array to free.
static int
list_chunks(struct local *l, uint64_t ino, uint64_t first, struct meta_chunk **out, size_t *n)
{
    struct meta_chunk *v = NULL;
    size_t cap = 0;
    ssize_t k;

    *n = 0;
    *out = NULL;
    do {
        struct meta_chunk *w = realloc(v, (cap += 64) * sizeof *v);

        if (!w) {
            free(v);
            return -ENOMEM;
        }
        v = w;
        k = meta_get_chunks(l->m, ino, *n ? v[*n - 1].index + 1 : first, v + *n, 64);
        if (k < 0) {
            free(v);
            return (int)k;
        }
        *n += (size_t)k;
    } while (k == 64);
    *out = v;
    return 0;
}

// The file grew: so does the data of what was its last chunk, in which mappings end.
static int
grow(struct local *l, uint64_t ino, uint64_t from, uint64_t to)
{
    uint64_t index = from ? (from - 1) / l->chunk_size : 0, span = to - index * l->chunk_size;
    struct meta_chunk c;
    bool changed = false;
    ssize_t n = meta_get_chunks(l->m, ino, index, &c, 1);
    int err;

    if (n <= 0 || c.index != index || c.flags & META_CHUNK_SHARED)
        return n < 0 ? (int)n : 0;
    err = local_fit(l, &c, span < l->chunk_size ? span : l->chunk_size, &changed);
    c.replaces = c.id;
    c.space = c.space ? c.space : 1;
    if (!err && changed)
        err = meta_commit_write(l->m, ino, 0, META_KEEP_TIMES, &c, 1, NULL);
    return err;
}

int
local_keep_truncate(struct local *l, uint64_t ino, uint64_t size, const struct meta_cred *cred,
                    struct meta_attr *now)
{
    struct meta_chunk *v = NULL;
    struct meta_cut cut = {0};
    struct meta_attr was;
    size_t n = 0;
    int err = meta_getattr(l->m, ino, &was);

    if (!err && size < was.size)
        err = list_chunks(l, ino, (size + l->chunk_size - 1) / l->chunk_size, &v, &n);
    if (!err)
        err = meta_truncate(l->m, cred, ino, size, &cut, now);
    if (!err && size > was.size)
        err = grow(l, ino, was.size, size);
    if (!err && cut.id && !(cut.flags & META_CHUNK_SHARED))
        err = chunk_truncate(l->c, cut.id, cut.from);
    for (size_t i = 0; !err && i < n; i++)
        if (!(v[i].flags & META_CHUNK_SHARED))
            err = chunk_truncate(l->c, v[i].id, 0);
    free(v);
    return err == -ENOENT ? 0 : err; // a chunk that somebody has taken away as garbage already
}

// [from, to) of one chunk becomes zeros; of a shared one, in a copy.
static int
punch_one(struct local *l, uint64_t ino, struct meta_chunk *c, uint64_t from, uint64_t to)
{
    struct chunk_info info;
    uint64_t old = c->id;
    bool fresh = false;
    int err = 0;

    c->replaces = old;
    if (c->flags & META_CHUNK_SHARED) {
        err = local_new_id(l, &c->id);
        if (!err)
            err = chunk_clone(l->c, old, c->id);
        fresh = !err;
    }
    if (!err)
        err = chunk_punch(l->c, c->id, from, to - from);
    if (!err)
        err = chunk_stat(l->c, c->id, &info);
    if (!err) {
        if (info.stored < c->space)
            c->space = (uint32_t)info.stored;
        c->space = c->space ? c->space : 1;
        err = meta_commit_write(l->m, ino, 0, 0, c, 1, NULL);
    }
    if (err && fresh)
        chunk_delete(l->c, c->id);
    else if (fresh)
        local_garbage_look(l);
    return err;
}

int
local_keep_punch(struct local *l, uint64_t ino, uint64_t offset, uint64_t length)
{
    uint64_t end = length < INT64_MAX - offset ? offset + length : INT64_MAX, cs = l->chunk_size;
    struct meta_chunk *v;
    size_t n;
    int err = list_chunks(l, ino, offset / cs, &v, &n);

    if (!err && n == 0)
        return meta_commit_write(l->m, ino, 0, 0, NULL, 0, NULL);
    for (size_t i = 0; !err && i < n && v[i].index * cs < end; i++) {
        uint64_t start = v[i].index * cs, from = start > offset ? 0 : offset - start;
        uint64_t to = end - start < cs ? end - start : cs;

        if (from < to)
            err = punch_one(l, ino, &v[i], from, to);
    }
    free(v);
    return err;
}

// ---- clones ----

struct pinned {
    uint64_t *ino;
    bool *in_tree;
    size_t n;
};

static int
list_pinned(struct local *l, uint64_t top, struct pinned *p)
{
    uint64_t at = 1;
    size_t cap = 0;
    int r;

    *p = (struct pinned){NULL, NULL, 0};
    while ((r = local_pinned_next(l, &at)) == 1) {
        if (p->n == cap) {
            uint64_t *w = realloc(p->ino, (cap += 64) * sizeof *w);

            if (!w)
                return -ENOMEM;
            p->ino = w;
        }
        p->ino[p->n++] = at++;
    }
    if (r < 0 || p->n == 0)
        return r;
    p->in_tree = calloc(p->n, sizeof *p->in_tree);
    return p->in_tree ? meta_tree_has(l->m, top, p->ino, p->in_tree, p->n) : -ENOMEM;
}

static int
copy_chunks(struct local *l, uint64_t ino, struct meta_swap **v, size_t *n)
{
    struct meta_chunk *c;
    struct meta_swap *w;
    size_t k;
    int err = list_chunks(l, ino, 0, &c, &k);

    if (err == -ESTALE || err == -EINVAL) // it is gone since, or no file
        return 0;
    if (err)
        return err;
    w = realloc(*v, (*n + k + 1) * sizeof *w);
    if (!w)
        err = -ENOMEM;
    else
        *v = w;
    for (size_t i = 0; !err && i < k; i++) {
        if (c[i].flags & META_CHUNK_SHARED) // mapped from before it was shared, read-only or not at all
            continue;
        (*v)[*n] = (struct meta_swap){.id = c[i].id};
        err = local_new_id(l, &(*v)[*n].instead);
        if (!err)
            err = chunk_clone(l->c, c[i].id, (*v)[*n].instead);
        *n += !err;
    }
    free(c);
    return err;
}

int
local_keep_swaps(struct local *l, uint64_t top, struct meta_swap **v, size_t *n)
{
    struct pinned p;
    int err;

    *v = NULL;
    *n = 0;
    err = list_pinned(l, top, &p);
    for (size_t i = 0; !err && i < p.n; i++)
        if (p.in_tree[i])
            err = copy_chunks(l, p.ino[i], v, n);
    free(p.ino);
    free(p.in_tree);
    if (err) {
        local_keep_swapped(l, *v, *n, false);
        *v = NULL;
        *n = 0;
    }
    return err;
}

void
local_keep_swapped(struct local *l, struct meta_swap *v, size_t n, bool done)
{
    for (size_t i = 0; i < n; i++)
        if (!done || !v[i].used)
            chunk_delete(l->c, v[i].instead);
    free(v);
}
