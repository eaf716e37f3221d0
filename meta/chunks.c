// SPDX-License-Identifier: Apache-2.0
// Which chunks a file is made of, and who else refers to them. A chunk that one file refers to has no row in
// `refs`; more references are counted there. The last reference's end puts the id into the garbage, from
// which whoever stores the data takes it.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "meta/internal.h"

static int
unref(struct op *op, uint64_t id, uint32_t space)
{
    union row_any any;
    int r = op_get(op, ROW_REFS, id, 0, &any, NULL);

    if (r < 0)
        return r;
    if (r == 0) {
        op->garbage++;
        op->garbage_bytes += space;
        return op_put(op, ROW_GARBAGE, id, 0, NULL, 0);
    }
    if (--any.refs > 1)
        return op_put(op, ROW_REFS, id, 0, &any.refs, sizeof(any.refs));
    return op_del(op, ROW_REFS, id, 0);
}

static int
ref(struct op *op, uint64_t id)
{
    union row_any any;
    int r = op_get(op, ROW_REFS, id, 0, &any, NULL);

    if (r < 0)
        return r;
    any.refs = r ? any.refs + 1 : 2;
    return op_put(op, ROW_REFS, id, 0, &any.refs, sizeof(any.refs));
}

static int
is_shared(struct op *op, uint64_t id)
{
    union row_any any;

    return op_get(op, ROW_REFS, id, 0, &any, NULL);
}

static int
drop_one(struct op *op, struct node *n, uint64_t index, const struct row_chunk *c)
{
    int r = unref(op, c->id, c->space);

    if (r < 0 || (r = op_del(op, ROW_CHUNK, n->a.ino, index)) < 0)
        return r;
    n->nchunk--;
    n->a.space -= c->space < n->a.space ? c->space : n->a.space;
    return 0;
}

// The last index that a file of this node can have mapped.
static uint64_t
last_index(struct op *op, const struct node *n)
{
    return n->a.size ? (n->a.size - 1) / op->m->info.chunk_size : 0;
}

static int
drop_range_sql(struct op *op, struct node *n, uint64_t first, uint64_t last)
{
    struct meta_db *db = op->m->db;
    int r;

    if ((r = op_flush(op)) < 0)
        return r;
    for (;;) {
        struct row_chunk c[256];
        uint64_t index[256];
        int k = 0;

        r = db_query(db, SQL_CHUNK_LIST, "iiii", n->a.ino, first, last > INT64_MAX ? INT64_MAX : last,
                     (int64_t)256);
        while (r >= 0 && k < 256 && (r = db_step(db, SQL_CHUNK_LIST)) == 1) {
            index[k] = (uint64_t)db_int(db, SQL_CHUNK_LIST, 0);
            c[k].id = (uint64_t)db_int(db, SQL_CHUNK_LIST, 1);
            c[k].length = (uint32_t)db_int(db, SQL_CHUNK_LIST, 2);
            c[k++].space = (uint32_t)db_int(db, SQL_CHUNK_LIST, 3);
        }
        db_done(db, SQL_CHUNK_LIST);
        if (r < 0)
            return r;
        for (int i = 0; i < k; i++)
            if ((r = drop_one(op, n, index[i], &c[i])) < 0)
                return r;
        if (k < 256)
            return 0;
        first = index[k - 1] + 1;
    }
}

// Unmap first..last; the node's counts follow, its usage does not (the caller knows what else changes).
int
chunks_drop(struct op *op, struct node *n, uint64_t first, uint64_t last)
{
    uint64_t end = last_index(op, n);
    union row_any any;
    int r;

    if (last > end)
        last = end;
    if (n->nchunk == 0 || first > last)
        return 0;
    if (last - first >= 8)
        return drop_range_sql(op, n, first, last);
    for (uint64_t i = first; i <= last; i++) {
        if ((r = op_get(op, ROW_CHUNK, n->a.ino, i, &any, NULL)) < 0)
            return r;
        if (r && (r = drop_one(op, n, i, &any.chunk)) < 0)
            return r;
    }
    return 0;
}

static int
file_node(struct op *op, uint64_t ino, struct node *n)
{
    int r = op_node(op, ino, n);

    if (r < 0)
        return r;
    if (node_is(n, S_IFDIR))
        return -EISDIR;
    if (!node_is(n, S_IFREG))
        return -EINVAL;
    return 0;
}

static int
file_for_change(struct op *op, uint64_t ino, struct node *n)
{
    int r = file_node(op, ino, n);

    return r < 0 ? r : n->a.flags & META_F_SNAPSHOT ? -EROFS : 0;
}

// ---- reading the map ----

static ssize_t
get_few(struct op *op, const struct node *n, uint64_t first, uint64_t last, struct meta_chunk *v, size_t max)
{
    size_t k = 0;

    for (uint64_t i = first; i <= last && k < max; i++) {
        union row_any any;
        int r = op_get(op, ROW_CHUNK, n->a.ino, i, &any, NULL), s;

        if (r < 0)
            return r;
        if (r == 0)
            continue;
        v[k] = (struct meta_chunk){.index = i,
                                   .id = any.chunk.id,
                                   .length = any.chunk.length,
                                   .space = any.chunk.space,
                                   .replaces = any.chunk.id};
        if ((s = is_shared(op, v[k].id)) < 0)
            return s;
        v[k++].flags = s ? META_CHUNK_SHARED : 0;
    }
    return (ssize_t)k;
}

static ssize_t
get_many(struct op *op, const struct node *n, uint64_t first, struct meta_chunk *v, size_t max)
{
    struct meta_db *db = op->m->db;
    size_t k = 0;
    int r;

    if (op->m->s->log.kinds & (1u << ROW_CHUNK | 1u << ROW_REFS) && (r = op_flush(op)) < 0)
        return r;
    r = db_query(db, SQL_CHUNK_LIST, "iiii", n->a.ino, first, INT64_MAX,
                 (int64_t)(max > INT32_MAX ? INT32_MAX : max));
    while (r >= 0 && k < max && (r = db_step(db, SQL_CHUNK_LIST)) == 1) {
        struct meta_chunk *c = &v[k++];

        memset(c, 0, sizeof(*c));
        c->index = (uint64_t)db_int(db, SQL_CHUNK_LIST, 0);
        c->id = c->replaces = (uint64_t)db_int(db, SQL_CHUNK_LIST, 1);
        c->length = (uint32_t)db_int(db, SQL_CHUNK_LIST, 2);
        c->space = (uint32_t)db_int(db, SQL_CHUNK_LIST, 3);
        c->flags = db_int(db, SQL_CHUNK_LIST, 4) > 1 ? META_CHUNK_SHARED : 0;
    }
    db_done(db, SQL_CHUNK_LIST);
    return r < 0 ? r : (ssize_t)k;
}

ssize_t
meta_get_chunks(struct meta *m, uint64_t ino, uint64_t first, struct meta_chunk *v, size_t n)
{
    struct node node;
    struct op *op;
    ssize_t k;
    int r = volume_enter(m);

    if (r < 0)
        return r;
    // A new file has none, and that is known without asking.
    if (cache_node(m->cache, ino, node_version(m, ino), &node) && node_is(&node, S_IFREG) && !node.nchunk)
        return 0;
    if ((r = op_begin(m, OP_READ, &op)) < 0)
        return r;
    if ((k = file_node(op, ino, &node)) == 0 && node.nchunk && n && first <= last_index(op, &node)) {
        uint64_t last = last_index(op, &node);

        if (last - first >= n && n <= 8)
            last = first + 8; // a few holes at most, else SQL is asked
        k = last - first <= 8 ? get_few(op, &node, first, last, v, n) : 0;
        if (k >= 0 && (size_t)k < n && last < last_index(op, &node))
            k = get_many(op, &node, first, v, n);
        else if (k == 0 && last - first > 8)
            k = get_many(op, &node, first, v, n);
    }
    op_abort(op, 0);
    return k;
}

// ---- writing ----

static int
change(struct op *op, struct node *n, const struct meta_chunk *c)
{
    struct row_chunk new = {.id = c->id, .length = c->length, .space = c->space ? c->space : c->length};
    union row_any any;
    int r = op_get(op, ROW_CHUNK, n->a.ino, c->index, &any, NULL), shared;

    if (r < 0)
        return r;
    if ((r ? any.chunk.id : 0) != c->replaces)
        return -ESTALE;
    if (r && c->id == c->replaces) {
        if ((shared = is_shared(op, c->id)) != 0)
            return shared < 0 ? shared : -ESTALE;
        if (new.length < any.chunk.length)
            new.length = any.chunk.length;
        if (!c->space && new.space < any.chunk.space)
            new.space = any.chunk.space;
    } else if (r) {
        if ((r = unref(op, c->replaces, any.chunk.space)) < 0)
            return r;
    } else {
        any.chunk.space = 0;
        n->nchunk++;
    }
    n->a.space += new.space;
    n->a.space -= any.chunk.space < n->a.space ? any.chunk.space : n->a.space;
    return op_put(op, ROW_CHUNK, n->a.ino, c->index, &new, sizeof(new));
}

static int
write_checked(struct op *op, struct node *n, uint64_t size, int64_t mtime, const struct meta_chunk *v,
              size_t k)
{
    uint64_t before = n->a.space, cs = op->m->info.chunk_size;
    int r;

    if (size > META_FILE_MAX)
        return -EFBIG;
    if (size > n->a.size)
        n->a.size = size;
    for (size_t i = 0; i < k; i++) {
        if (v[i].id == 0 || v[i].length > cs || v[i].length == 0 || v[i].index >= META_FILE_MAX / cs ||
            v[i].index * cs + v[i].length > n->a.size)
            return -EINVAL;
        if ((r = change(op, n, &v[i])) < 0)
            return r;
    }
    if ((r = op_charge(op, n->a.uid, n->a.quota, (int64_t)(n->a.space - before), 0)) < 0)
        return r;
    if (mtime != META_KEEP_TIMES)
        n->a.mtime = n->a.ctime = mtime ? mtime : op_now();
    return op_put_node(op, n);
}

int
meta_commit_write(struct meta *m, uint64_t ino, uint64_t size, int64_t mtime,
                  const struct meta_chunk *changes, size_t n, struct meta_attr *attr)
{
    struct node node;
    struct op *op;
    int r = op_begin(m, OP_WRITE, &op);

    if (r < 0)
        return r;
    if ((r = file_for_change(op, ino, &node)) == 0)
        r = write_checked(op, &node, size, mtime, changes, n);
    r = op_end(op, r);
    if (r == 0)
        attr_out(&node, attr);
    return r;
}

int
meta_reserve_append(struct meta *m, uint64_t ino, uint64_t count, uint64_t *offset)
{
    struct node n;
    struct op *op;
    int r = op_begin(m, OP_WRITE, &op);

    if (r < 0)
        return r;
    if ((r = file_for_change(op, ino, &n)) == 0) {
        *offset = n.a.size;
        if (count > META_FILE_MAX - n.a.size) {
            r = -EFBIG;
        } else if (count) {
            n.a.size += count;
            n.a.mtime = n.a.ctime = op_now();
            r = op_put_node(op, &n);
        }
    }
    return op_end(op, r);
}

// Bytes [from, to) of a chunk stop to count, and are its last ones: its length is lowered to `from`.
static int
cut_tail(struct op *op, struct node *n, uint64_t index, uint32_t from, struct meta_cut *cut)
{
    union row_any any;
    int r = op_get(op, ROW_CHUNK, n->a.ino, index, &any, NULL), shared;

    if (r < 0)
        return r;
    if (r == 0 || any.chunk.length <= from)
        return 0;
    if ((shared = is_shared(op, any.chunk.id)) < 0)
        return shared;
    *cut = (struct meta_cut){index, any.chunk.id, from, any.chunk.length, shared ? META_CHUNK_SHARED : 0};
    any.chunk.length = from;
    if (any.chunk.space > from) {
        n->a.space -= any.chunk.space - from;
        any.chunk.space = from;
    }
    r = op_put(op, ROW_CHUNK, n->a.ino, index, &any.chunk, sizeof(any.chunk));
    return r < 0 ? r : 1;
}

static int
truncate_checked(struct op *op, const struct meta_cred *c, uint64_t ino, uint64_t size, struct meta_cut *cut,
                 struct node *n)
{
    uint64_t cs = op->m->info.chunk_size, before, keep = (size + cs - 1) / cs;
    int r;

    if ((r = file_node(op, ino, n)) < 0 || (c && (r = perm_check(op, c, n, W_OK)) < 0))
        return r;
    if (n->a.flags & META_F_SNAPSHOT)
        return -EROFS;
    before = n->a.space;
    if (size < n->a.size) {
        if ((r = chunks_drop(op, n, keep, UINT64_MAX)) < 0)
            return r;
        if (size % cs && (r = cut_tail(op, n, size / cs, (uint32_t)(size % cs), cut)) < 0)
            return r;
    }
    n->a.size = size;
    n->a.mtime = n->a.ctime = op_now();
    if (c && c->uid)
        perm_drop_suid(c, n);
    if ((r = op_charge(op, n->a.uid, n->a.quota, (int64_t)(n->a.space - before), 0)) < 0)
        return r;
    return op_put_node(op, n);
}

int
meta_truncate(struct meta *m, const struct meta_cred *cred, uint64_t ino, uint64_t size, struct meta_cut *cut,
              struct meta_attr *attr)
{
    struct meta_cut none;
    struct node n;
    struct op *op;
    int r;

    if (!cut)
        cut = &none;
    memset(cut, 0, sizeof(*cut));
    if (size > META_FILE_MAX)
        return -EFBIG;
    if ((r = op_begin(m, OP_WRITE, &op)) < 0)
        return r;
    r = op_end(op, truncate_checked(op, cred, ino, size, cut, &n));
    if (r == 0)
        attr_out(&n, attr);
    return r;
}

// The part [from, to) of one chunk. 1: `cut` says what to zero in the data.
static int
punch_part(struct op *op, struct node *n, uint64_t index, uint32_t from, uint32_t to, struct meta_cut *cut)
{
    union row_any any;
    int r = op_get(op, ROW_CHUNK, n->a.ino, index, &any, NULL), shared;

    if (r < 0)
        return r;
    if (r == 0 || any.chunk.length <= from)
        return 0;
    if (any.chunk.length <= to) {
        // All that it has from there on: shorter is enough, and nothing left is no chunk.
        if (from == 0)
            return drop_one(op, n, index, &any.chunk);
        return cut_tail(op, n, index, from, cut);
    }
    if ((shared = is_shared(op, any.chunk.id)) < 0)
        return shared;
    *cut = (struct meta_cut){index, any.chunk.id, from, to, shared ? META_CHUNK_SHARED : 0};
    return 1;
}

static int
punch(struct op *op, struct node *n, uint64_t offset, uint64_t end, struct meta_cut cut[2])
{
    uint64_t cs = op->m->info.chunk_size, first = offset / cs, last = (end - 1) / cs, before = n->a.space;
    bool whole_first = offset % cs == 0 && (first < last || end % cs == 0), whole_last = end % cs == 0;
    int k = 0, r;

    if (!whole_first) {
        r = punch_part(op, n, first, (uint32_t)(offset % cs),
                       first == last && end % cs ? (uint32_t)(end % cs) : (uint32_t)cs, &cut[k]);
        if (r < 0)
            return r;
        k += r;
    }
    if (last > first && !whole_last) {
        if ((r = punch_part(op, n, last, 0, (uint32_t)(end % cs), &cut[k])) < 0)
            return r;
        k += r;
    }
    first += !whole_first;
    if (last > 0 || whole_last) {
        if (first <= last - !whole_last && (r = chunks_drop(op, n, first, last - !whole_last)) < 0)
            return r;
    }
    n->a.mtime = n->a.ctime = op_now();
    if ((r = op_charge(op, n->a.uid, n->a.quota, (int64_t)(n->a.space - before), 0)) < 0 ||
        (r = op_put_node(op, n)) < 0)
        return r;
    return k;
}

int
meta_punch(struct meta *m, uint64_t ino, uint64_t offset, uint64_t length, struct meta_cut cut[2])
{
    struct node n;
    struct op *op;
    int r, k = 0;

    if (length == 0 || offset > META_FILE_MAX)
        return -EINVAL;
    if (length > META_FILE_MAX - offset)
        length = META_FILE_MAX - offset;
    memset(cut, 0, 2 * sizeof(*cut));
    if ((r = op_begin(m, OP_WRITE, &op)) < 0)
        return r;
    if ((r = file_for_change(op, ino, &n)) == 0 && offset < n.a.size) {
        uint64_t end = offset + length < n.a.size ? offset + length : n.a.size;
        uint64_t cs = m->info.chunk_size;

        // Behind the end of the file there is nothing: the last chunk counts as wholly covered.
        if (end == n.a.size && offset + length >= n.a.size)
            end = (end + cs - 1) / cs * cs;
        k = r = punch(op, &n, offset, end, cut);
    }
    r = op_end(op, r);
    return r < 0 ? r : k;
}

// ---- sharing ----

static int
share_one(struct op *op, const struct node *src, uint64_t from, struct node *dst, uint64_t to, uint32_t limit)
{
    union row_any any, old;
    struct row_chunk *c = &any.chunk;
    int r = op_get(op, ROW_CHUNK, dst->a.ino, to, &old, NULL);

    if (r < 0 || (r && (r = drop_one(op, dst, to, &old.chunk)) < 0))
        return r;
    if ((r = op_get(op, ROW_CHUNK, src->a.ino, from, &any, NULL)) <= 0)
        return r;
    if (c->length > limit)
        c->length = limit;
    if (c->space > c->length)
        c->space = c->length;
    if (c->length == 0)
        return 0;
    if ((r = ref(op, c->id)) < 0)
        return r;
    dst->nchunk++;
    dst->a.space += c->space;
    return op_put(op, ROW_CHUNK, dst->a.ino, to, c, sizeof(*c));
}

static int
clone_checked(struct op *op, const struct node *src, uint64_t src_off, struct node *dst, uint64_t dst_off,
              uint64_t length)
{
    uint64_t cs = op->m->info.chunk_size, before = dst->a.space, n = (length + cs - 1) / cs;
    int r;

    if (src_off % cs || dst_off % cs || src_off > src->a.size || length > src->a.size - src_off ||
        dst_off > META_FILE_MAX - length)
        return -EINVAL;
    if (length % cs && (src_off + length != src->a.size || dst_off + length < dst->a.size))
        return -EINVAL;
    if (src->a.ino == dst->a.ino && src_off < dst_off + length && dst_off < src_off + length)
        return -EINVAL;
    if (dst_off + length > dst->a.size)
        dst->a.size = dst_off + length;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t left = length - i * cs;

        if ((r = share_one(op, src, src_off / cs + i, dst, dst_off / cs + i,
                           (uint32_t)(left < cs ? left : cs))) < 0)
            return r;
    }
    if ((r = op_charge(op, dst->a.uid, dst->a.quota, (int64_t)(dst->a.space - before), 0)) < 0)
        return r;
    dst->a.mtime = dst->a.ctime = op_now();
    op_touch(op, src->a.ino); // its chunks are shared now
    return op_put_node(op, dst);
}

int
meta_clone_range(struct meta *m, uint64_t src, uint64_t src_off, uint64_t dst, uint64_t dst_off,
                 uint64_t length, struct meta_attr *attr)
{
    struct node a, b;
    struct op *op;
    int r = op_begin(m, OP_WRITE, &op);

    if (r < 0)
        return r;
    if ((r = file_node(op, src, &a)) == 0 && (r = file_for_change(op, dst, &b)) == 0) {
        if (length == 0)
            length = src_off < a.a.size ? a.a.size - src_off : 0;
        if (length)
            r = clone_checked(op, &a, src_off, &b, dst_off, length);
    }
    r = op_end(op, r);
    if (r == 0)
        attr_out(&b, attr);
    return r;
}

// ---- garbage ----

ssize_t
meta_take_garbage(struct meta *m, uint64_t *ids, size_t n)
{
    struct op *op;
    uint64_t after = 0;
    size_t k = 0;
    bool end = false;
    int r;

    if ((r = op_begin(m, OP_DIRECT, &op)) < 0)
        return r;
    while (r >= 0 && k < n && !end) {
        size_t want = n - k, got = 0;

        r = db_query(m->db, SQL_GARBAGE_LIST, "ii", after, (int64_t)(want > 1024 ? 1024 : want));
        while (r >= 0 && (r = db_step(m->db, SQL_GARBAGE_LIST)) == 1) {
            uint64_t session = (uint64_t)db_int(m->db, SQL_GARBAGE_LIST, 1);

            after = (uint64_t)db_int(m->db, SQL_GARBAGE_LIST, 0);
            got++;
            if (session == 0 || session == m->session || !session_alive(op, session))
                ids[k++] = after;
        }
        end = got == 0;
    }
    for (size_t i = 0; r >= 0 && i < k; i++)
        r = db_run(m->db, SQL_GARBAGE_CLAIM, "ii", ids[i], m->session);
    if (r >= 0) {
        atomic_store(&m->garbage, 0);
        atomic_store(&m->garbage_bytes, 0);
    }
    r = op_end(op, r);
    return r < 0 ? r : (ssize_t)k;
}

uint32_t
meta_garbage(const struct meta *m, uint64_t *bytes)
{
    *bytes = atomic_load(&m->garbage_bytes);
    return atomic_load(&m->garbage);
}

int
meta_garbage_done(struct meta *m, const uint64_t *ids, size_t n)
{
    struct op *op;
    int r = op_begin(m, OP_DIRECT, &op);

    if (r < 0)
        return r;
    for (size_t i = 0; r == 0 && i < n; i++)
        r = db_run(m->db, SQL_GARBAGE_DEL, "i", ids[i]);
    return op_end(op, r);
}

static int
state_of(struct op *op, uint64_t id, enum meta_chunk_state *state)
{
    struct meta *m = op->m;
    union row_any any;
    int r;

    *state = META_CHUNK_USED;
    if ((r = db_query(m->db, SQL_CHUNK_USED, "i", id)) < 0 || (r = db_step(m->db, SQL_CHUNK_USED)) < 0)
        return r;
    db_done(m->db, SQL_CHUNK_USED);
    if (r)
        return 0;
    *state = META_CHUNK_GARBAGE;
    if ((r = op_get(op, ROW_GARBAGE, id, 0, &any, NULL)) != 0)
        return r < 0 ? r : 0;
    *state = META_CHUNK_FREE;
    for (uint32_t i = 0; i < SHARED_SESSIONS; i++) {
        const struct shared_session *e = &m->s->session[i];

        if (atomic_load(&e->pid) && id >= e->chunk_first && id < e->chunk_end &&
            session_alive(op, shared_session_number(m->s, i)))
            *state = META_CHUNK_PENDING;
    }
    return 0;
}

int
meta_chunk_states(struct meta *m, const uint64_t *ids, enum meta_chunk_state *states, size_t n)
{
    struct op *op;
    int r = op_begin(m, OP_READ, &op);

    if (r < 0)
        return r;
    r = op_flush(op);
    for (size_t i = 0; r == 0 && i < n; i++)
        r = state_of(op, ids[i], &states[i]);
    return op_abort(op, r);
}
