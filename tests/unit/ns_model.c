// SPDX-License-Identifier: Apache-2.0
// The namespace engine against a model of a POSIX namespace that is as plain as can be. Random operations
// through several handles on one volume, which see each other as processes do (each has its own session and
// cache); every result must be the model's, whichever handle is asked. Now and then all are closed, or one
// is; the check must find nothing.
#include <errno.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/unit/ns_model.h"

#ifdef __SANITIZE_THREAD__
#define OPERATIONS 6000
#else
#define OPERATIONS 40000
#endif

struct meta *h[HANDLES];
struct mnode node[NODES];

static const char *
name_of(unsigned i)
{
    static char buf[2][300];
    static unsigned turn;
    char *b = buf[turn++ & 1];

    if (i == NAMES - 1) { // one as long as they get
        memset(b, 'x', META_NAME_MAX);
        b[META_NAME_MAX] = '\0';
    } else {
        snprintf(b, 300, "name%u", i);
    }
    return b;
}

static int
new_node(enum kind kind)
{
    for (int i = 1; i < NODES; i++)
        if (node[i].kind == NONE) {
            memset(&node[i], 0, sizeof(node[i]));
            node[i].kind = kind;
            node[i].nlink = kind == DIR_ ? 2 : 1;
            for (int k = 0; k < NAMES; k++)
                node[i].child[k] = -1;
            return i;
        }
    return -1;
}

static bool
held(const struct mnode *n)
{
    for (int i = 0; i < HANDLES; i++)
        if (n->holds[i])
            return true;
    return false;
}

static void
forget_if_gone(struct mnode *n)
{
    if (n->kind && n->nlink == 0 && !held(n))
        n->kind = NONE;
}

static int
random_dir(void)
{
    for (;;) {
        int i = (int)unit_below(NODES);

        if (i == 0 || unit_one_in(8))
            return 0;
        if (node[i].kind == DIR_ && node[i].nlink)
            return i;
    }
}

static bool
is_empty(const struct mnode *d)
{
    for (int i = 0; i < NAMES; i++)
        if (d->child[i] >= 0)
            return false;
    return true;
}

static void
check_node(struct meta *m, int i)
{
    struct mnode *n = &node[i];
    struct meta_attr a;

    assert_int_equal(meta_getattr(m, n->ino, &a), 0);
    assert_int_equal(a.nlink, n->nlink);
    assert_int_equal(a.mode & S_IFMT, n->kind == DIR_ ? S_IFDIR : n->kind == LINK_ ? S_IFLNK : S_IFREG);
    if (n->kind == FILE_)
        assert_int_equal(a.size, n->size);
    if (n->kind == DIR_ && n->nlink)
        assert_int_equal(a.parent, node[n->parent].ino);
}

static void
do_create(struct meta *m)
{
    int d = random_dir(), k;
    unsigned nm = unit_below(NAMES);
    enum kind kind = unit_one_in(4) ? DIR_ : unit_one_in(6) ? LINK_ : FILE_;
    bool there = node[d].child[nm] >= 0;
    struct meta_attr a;
    int r;

    k = there ? -1 : new_node(kind);
    if (!there && k < 0)
        return;
    if (kind == DIR_)
        r = meta_mkdir(m, NULL, node[d].ino, name_of(nm), 0755, &a);
    else if (kind == LINK_)
        r = meta_symlink(m, NULL, "some/where", node[d].ino, name_of(nm), &a);
    else
        r = meta_create(m, NULL, node[d].ino, name_of(nm), 0644, 0, &a);
    assert_int_equal(r, there ? -EEXIST : 0);
    if (there)
        return;
    node[k].ino = a.ino;
    node[k].parent = d;
    node[d].child[nm] = k;
    if (kind == DIR_)
        node[d].nlink++;
}

static void
do_remove(struct meta *m)
{
    int d = random_dir();
    unsigned nm = unit_below(NAMES);
    int k = node[d].child[nm];
    bool rmdir = unit_one_in(3);
    int want = 0, r;

    if (k < 0)
        want = -ENOENT;
    else if (rmdir && node[k].kind != DIR_)
        want = -ENOTDIR;
    else if (!rmdir && node[k].kind == DIR_)
        want = -EISDIR;
    else if (rmdir && !is_empty(&node[k]))
        want = -ENOTEMPTY;
    r = rmdir ? meta_rmdir(m, NULL, node[d].ino, name_of(nm))
              : meta_unlink(m, NULL, node[d].ino, name_of(nm), NULL);
    assert_int_equal(r, want);
    if (r < 0)
        return;
    node[d].child[nm] = -1;
    if (rmdir) {
        node[d].nlink--;
        node[k].nlink = 0;
    } else {
        node[k].nlink--;
    }
    forget_if_gone(&node[k]);
}

static void
do_link(struct meta *m)
{
    int d = random_dir(), k = 1 + (int)unit_below(NODES - 1);
    unsigned nm = unit_below(NAMES);
    int want = 0;

    if (node[k].kind == NONE)
        return;
    if (node[d].child[nm] >= 0)
        want = -EEXIST;
    else if (node[k].kind == DIR_)
        want = -EPERM;
    else if (node[k].nlink == 0)
        want = -ENOENT;
    assert_int_equal(meta_link(m, NULL, node[k].ino, node[d].ino, name_of(nm), NULL), want);
    if (want == 0) {
        node[d].child[nm] = k;
        node[k].nlink++;
    }
}

static bool
above(int top, int d)
{
    for (;; d = node[d].parent) {
        if (d == top)
            return true;
        if (d == 0)
            return false;
    }
}

static int
rename_want(int d, int k, int e, int t, unsigned flags)
{
    if (k < 0)
        return -ENOENT;
    if (flags & RENAME_NOREPLACE && t >= 0)
        return -EEXIST;
    if (flags & RENAME_EXCHANGE && t < 0)
        return -ENOENT;
    if (d != e && node[k].kind == DIR_ && above(k, e))
        return -EINVAL;
    if (d != e && t >= 0 && node[t].kind == DIR_ && above(t, d))
        return flags & RENAME_EXCHANGE ? -EINVAL : -ENOTEMPTY;
    if (k == t || t < 0 || flags & RENAME_EXCHANGE)
        return 0;
    if (node[k].kind == DIR_ && node[t].kind != DIR_)
        return -ENOTDIR;
    if (node[k].kind != DIR_ && node[t].kind == DIR_)
        return -EISDIR;
    return node[t].kind == DIR_ && !is_empty(&node[t]) ? -ENOTEMPTY : 0;
}

static void
move(int k, int from, int to)
{
    if (node[k].kind != DIR_)
        return;
    node[from].nlink--;
    node[to].nlink++;
    node[k].parent = to;
}

static void
do_rename(struct meta *m)
{
    static const unsigned kinds[] = {0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE};
    int d = random_dir(), e = unit_one_in(2) ? d : random_dir();
    unsigned a = unit_below(NAMES), b = unit_below(NAMES), flags = kinds[unit_below(4)];
    int k = node[d].child[a], t = node[e].child[b], want = rename_want(d, k, e, t, flags);

    assert_int_equal(meta_rename(m, NULL, node[d].ino, name_of(a), node[e].ino, name_of(b), flags), want);
    if (want || k == t)
        return;
    move(k, d, e);
    node[e].child[b] = k;
    if (flags & RENAME_EXCHANGE) {
        move(t, e, d);
        node[d].child[a] = t;
        return;
    }
    node[d].child[a] = -1;
    if (t < 0)
        return;
    if (node[t].kind == DIR_) {
        node[e].nlink--;
        node[t].nlink = 0;
    } else {
        node[t].nlink--;
    }
    forget_if_gone(&node[t]);
}

static void
do_lookup(struct meta *m)
{
    int d = random_dir(), k;
    unsigned nm = unit_below(NAMES);
    struct meta_attr a;
    int r = meta_lookup(m, NULL, node[d].ino, name_of(nm), &a);

    k = node[d].child[nm];
    assert_int_equal(r, k < 0 ? -ENOENT : 0);
    if (k >= 0) {
        assert_int_equal(a.ino, node[k].ino);
        check_node(m, k);
    }
}

static void
do_readdir(struct meta *m)
{
    struct meta_dirent v[5];
    int d = random_dir(), seen[NAMES] = {0}, dots = 0;
    uint64_t cookie = 0;
    ssize_t n;

    while ((n = meta_readdir(m, node[d].ino, cookie, v, 1 + unit_below(5))) > 0) {
        for (ssize_t i = 0; i < n; i++) {
            unsigned nm;

            assert_true(v[i].cookie > cookie);
            cookie = v[i].cookie;
            if (v[i].name[0] == '.') {
                dots++;
                assert_int_equal(v[i].ino, v[i].len == 1 ? node[d].ino : node[node[d].parent].ino);
                continue;
            }
            for (nm = 0; nm < NAMES && strcmp(v[i].name, name_of(nm)) != 0; nm++)
                ;
            assert_true(nm < NAMES);
            assert_int_equal(v[i].len, strlen(v[i].name));
            seen[nm]++;
            assert_true(node[d].child[nm] >= 0);
            assert_int_equal(v[i].ino, node[node[d].child[nm]].ino);
        }
    }
    assert_int_equal(n, 0);
    assert_int_equal(dots, 2);
    for (unsigned i = 0; i < NAMES; i++)
        assert_int_equal(seen[i], node[d].child[i] >= 0);
}

static void
do_hold(unsigned who)
{
    int k = 1 + (int)unit_below(NODES - 1);
    struct mnode *n = &node[k];

    if (n->kind == NONE)
        return;
    if (n->holds[who] && unit_one_in(2)) {
        assert_int_equal(meta_close_file(h[who], n->ino), 0);
        n->holds[who]--;
        if (n->nlink == 0 && !held(n)) {
            struct meta_attr a;

            assert_int_equal(meta_getattr(h[unit_below(HANDLES)], n->ino, &a), -ESTALE);
            n->kind = NONE;
        }
        return;
    }
    if (n->holds[who] < 3) {
        assert_int_equal(meta_open_file(h[who], NULL, n->ino, 0, NULL), 0);
        n->holds[who]++;
    }
}

static void
reopen(unsigned i)
{
    meta_close(h[i]);
    h[i] = ns_open(0);
    for (int k = 0; k < NODES; k++) {
        node[k].holds[i] = 0;
        forget_if_gone(&node[k]);
    }
}

static void
tree_is_model(struct meta *m)
{
    for (int i = 0; i < NODES; i++)
        if (node[i].kind)
            check_node(m, i);
}

static void
test_model(void **state)
{
    struct meta_format fmt = {.chunk_size = CHUNK};

    unit_seed(20240607);
    ns_make(&fmt);
    for (int i = 0; i < HANDLES; i++)
        h[i] = ns_open(0);
    memset(node, 0, sizeof(node));
    node[0] = (struct mnode){.kind = DIR_, .ino = META_ROOT, .nlink = 2};
    for (int k = 0; k < NAMES; k++)
        node[0].child[k] = -1;
    for (int i = 0; i < OPERATIONS; i++) {
        unsigned who = unit_below(HANDLES);
        struct meta *m = h[who];

        switch (unit_below(12)) {
        case 0:
        case 1:
        case 2:
            do_create(m);
            break;
        case 3:
            do_remove(m);
            break;
        case 4:
            do_link(m);
            break;
        case 5:
        case 6:
            do_rename(m);
            break;
        case 7:
        case 8:
            do_lookup(m);
            break;
        case 9:
            do_readdir(m);
            break;
        case 10:
            do_hold(who);
            break;
        default:
            model_data(m);
        }
        if (i % 2000 == 1999) {
            tree_is_model(h[unit_below(HANDLES)]);
            ns_check(h[unit_below(HANDLES)]);
            reopen(unit_below(HANDLES));
        }
    }
    for (unsigned i = 0; i < HANDLES; i++)
        reopen(i);
    tree_is_model(h[0]);
    ns_check(h[0]);
    for (int i = 0; i < HANDLES; i++)
        meta_close(h[i]);
    ns_remove();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
