// SPDX-License-Identifier: Apache-2.0
// The chunks of files, in the model of ns_model.c: writes, truncation, holes, clones of ranges.
#include <errno.h>
#include <string.h>

#include "tests/unit/ns_model.h"

static struct mnode *
random_file(void)
{
    for (int tries = 0; tries < 50; tries++) {
        struct mnode *n = &node[1 + unit_below(NODES - 1)];

        if (n->kind == FILE_)
            return n;
    }
    return NULL;
}

static void
check_chunks(struct meta *m, struct mnode *n)
{
    struct meta_chunk v[CHUNKS];
    ssize_t k = meta_get_chunks(m, n->ino, 0, v, CHUNKS);
    int j = 0;

    assert_true(k >= 0);
    for (unsigned i = 0; i < CHUNKS; i++) {
        if (!n->chunk[i])
            continue;
        assert_true(j < k);
        assert_int_equal(v[j].index, i);
        assert_int_equal(v[j].id, n->chunk[i]);
        assert_int_equal(v[j].length, n->length[i]);
        j++;
    }
    assert_int_equal(j, k);
}

static bool
shared(uint64_t id)
{
    unsigned n = 0;

    for (int i = 0; i < NODES; i++)
        for (int k = 0; node[i].kind == FILE_ && k < CHUNKS; k++)
            n += node[i].chunk[k] == id;
    return n > 1;
}

static void
do_write(struct meta *m, struct mnode *n)
{
    unsigned i = unit_below(CHUNKS);
    uint32_t len = 1 + unit_below(CHUNK);
    struct meta_chunk c = {.index = i, .length = len, .replaces = n->chunk[i]};
    uint64_t end = (uint64_t)i * CHUNK + len;

    if (n->chunk[i] && !shared(n->chunk[i]) && unit_one_in(2)) {
        c.id = n->chunk[i];
        c.length = len > n->length[i] ? len : n->length[i];
        end = (uint64_t)i * CHUNK + c.length;
    } else {
        assert_int_equal(meta_new_chunks(m, &c.id, 1), 0);
    }
    if (unit_one_in(8)) { // what somebody else has replaced meanwhile
        struct meta_chunk bad = c;

        bad.replaces = 999999999;
        assert_int_equal(meta_commit_write(m, n->ino, end, 0, &bad, 1, NULL), -ESTALE);
    }
    assert_int_equal(meta_commit_write(m, n->ino, end, 0, &c, 1, NULL), 0);
    n->chunk[i] = c.id;
    n->length[i] = c.length;
    if (end > n->size)
        n->size = end;
}

static void
do_truncate(struct meta *m, struct mnode *n)
{
    uint64_t size = unit_below(CHUNKS * CHUNK + 1);
    struct meta_cut cut;
    bool cuts = false;

    assert_int_equal(meta_truncate(m, NULL, n->ino, size, &cut, NULL), 0);
    for (unsigned i = 0; i < CHUNKS && size < n->size; i++) {
        uint64_t start = (uint64_t)i * CHUNK;

        if (start >= size) {
            n->chunk[i] = 0;
        } else if (n->chunk[i] && size - start < n->length[i]) {
            assert_int_equal(cut.id, n->chunk[i]);
            assert_int_equal(cut.from, size - start);
            assert_int_equal(cut.to, n->length[i]);
            n->length[i] = (uint32_t)(size - start);
            cuts = true;
        }
    }
    if (!cuts)
        assert_int_equal(cut.id, 0);
    n->size = size;
}

static void
do_punch(struct meta *m, struct mnode *n)
{
    uint64_t off = unit_below(CHUNKS * CHUNK), len = 1 + unit_below(2 * CHUNK), end = off + len;
    struct meta_cut cut[2];
    int k = meta_punch(m, n->ino, off, len, cut), j = 0;

    assert_true(k >= 0 && k <= 2);
    if (off >= n->size) {
        assert_int_equal(k, 0);
        return;
    }
    for (unsigned i = 0; i < CHUNKS; i++) {
        uint64_t start = (uint64_t)i * CHUNK, a, b;

        if (!n->chunk[i] || start + n->length[i] <= off || start >= end)
            continue;
        a = off > start ? off - start : 0;
        b = end < start + n->length[i] ? end - start : n->length[i];
        if (a == 0 && b == n->length[i]) {
            n->chunk[i] = 0;
            continue;
        }
        assert_true(j < k);
        assert_int_equal(cut[j].id, n->chunk[i]);
        assert_int_equal(cut[j].from, a);
        if (b == n->length[i])
            n->length[i] = (uint32_t)a;
        else
            assert_int_equal(cut[j].to, b);
        j++;
    }
    assert_int_equal(j, k);
}

static void
do_clone(struct meta *m, struct mnode *src)
{
    struct mnode *dst = random_file();

    if (!dst || dst == src || !src->size || dst->size > src->size)
        return;
    assert_int_equal(meta_clone_range(m, src->ino, 0, dst->ino, 0, src->size, NULL), 0);
    memcpy(dst->chunk, src->chunk, sizeof(dst->chunk));
    memcpy(dst->length, src->length, sizeof(dst->length));
    dst->size = src->size;
}

void
model_data(struct meta *m)
{
    struct mnode *n = random_file();

    if (!n)
        return;
    switch (unit_below(5)) {
    case 0:
    case 1:
        do_write(m, n);
        break;
    case 2:
        do_truncate(m, n);
        break;
    case 3:
        do_punch(m, n);
        break;
    default:
        do_clone(m, n);
    }
    check_chunks(h[unit_below(HANDLES)], n);
}
