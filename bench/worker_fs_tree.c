// SPDX-License-Identifier: Apache-2.0
// The fs worker's directories: listing, and removing with all below.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/worker_fs.h"

struct count {
    uint64_t names, first_ns;
};

static int
count_one(void *arg, const char *name, bool dir)
{
    struct count *c = arg;
    (void)name;
    (void)dir;
    if (!c->names++)
        c->first_ns = clock_ns();
    return 0;
}

int
fs_list(const char *path, struct wrep *p)
{
    struct count c = {0};
    uint64_t t0 = clock_ns();
    int err = fsio.list(path, count_one, &c);
    p->ns = clock_ns() - t0;
    p->ops = c.names;
    p->aux[0] = c.names ? c.first_ns - t0 : 0;
    return err;
}

struct removal {
    char (*names)[256]; // gathered first: what is removed under a reader may disturb it
    size_t n, room;
};

static int
gather(void *arg, const char *name, bool dir)
{
    struct removal *r = arg;
    if (r->n == r->room) {
        size_t room = r->room ? 2 * r->room : 64;
        void *v = realloc(r->names, room * sizeof *r->names);
        if (!v)
            return -ENOMEM;
        r->names = v;
        r->room = room;
    }
    snprintf(r->names[r->n++], sizeof *r->names, "%c%.250s", dir ? 'd' : 'f', name);
    return 0;
}

int
fs_remove_tree(const char *path, struct wrep *p)
{
    struct removal r = {0};
    char below[4096];
    int err = fsio.list(path, gather, &r);
    for (size_t i = 0; !err && i < r.n; i++) {
        snprintf(below, sizeof below, "%s/%s", path, r.names[i] + 1);
        err = r.names[i][0] == 'd' ? fs_remove_tree(below, p) : fsio.unlink(below);
        p->ops++;
    }
    free(r.names);
    return err ? err : fsio.rmdir(path);
}
