// SPDX-License-Identifier: Apache-2.0
// `zio sockmap up` and `down`: the pinned set of programs, and its attachments.
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/sockmap_cgroup.h"
#include "cli/sockmap_tool.h"

enum {
    SETTLE_MS = 250,     // a send that was decided before the pause has reached its queue by then
    DOWN_MS = 5000,      // how long `down` waits for programs to read
    LEFTOVERS_SHOWN = 5, // connections that are named
};

static int
fail(const struct sockmap_args *a, const char *why)
{
    return cli_error(CLI_FAIL, a->name, "%s", why);
}

static int
no_bpffs(const struct sockmap_args *a)
{
    return cli_error(CLI_FAIL, a->name, "%s is not a BPF file system: mount -t bpf bpf %s", a->bpffs,
                     a->bpffs);
}

static int
attach_one(const struct sockmap_args *a, struct zsm *set, const char *group)
{
    char path[PATH_MAX], name[64], why[ZSM_WHY];

    if (cgroup_find(group, path) != 0)
        return cli_error(CLI_FAIL, a->name, "%s: there is no such control group (version 2)", group);
    snprintf(name, sizeof name, "up-%llu", (unsigned long long)cgroup_id(path));
    zsm_detach(a->bpffs, name); // again is not twice
    if (zsm_attach(set, path, a->bpffs, name, why) != 0)
        return fail(a, why);
    printf("%s: same-host TCP connections are joined from now on\n", group);
    return CLI_OK;
}

static int
any(void *arg, const char *name, uint64_t cgroup)
{
    (void)arg;
    (void)name;
    (void)cgroup;
    return 1;
}

int
sockmap_up(const struct sockmap_args *a)
{
    struct zsm *set = NULL;
    char why[ZSM_WHY];
    int err, lock, rc = CLI_OK;

    if (!zsm_is_bpffs(a->bpffs))
        return no_bpffs(a);
    lock = zsm_lock(a->bpffs);
    if (lock < 0)
        return cli_error(CLI_FAIL, a->name, "%s: %s", a->bpffs, strerror(-lock));
    err = zsm_open(&set, a->bpffs, why);
    if (err == -ENOENT) {
        err = zsm_load(&set, NULL, why);
        if (!err)
            err = zsm_pin(set, a->bpffs, why);
    }
    if (!err && (err = zsm_pause(set, false)) != 0)
        snprintf(why, sizeof why, "cannot be switched on: %s", strerror(-err));
    if (err)
        rc = fail(a, why);
    for (int i = 0; !err && rc == CLI_OK && i < a->argc; i++)
        rc = attach_one(a, set, a->argv[i]);
    if (rc != CLI_OK && !err && zsm_attachments(a->bpffs, any, NULL) == 0 && zsm_sockets(set) == 0)
        zsm_unpin(a->bpffs, why);
    zsm_close(set);
    close(lock);
    return rc;
}

struct leaving {
    struct zsm *set;
    unsigned busy; // ends with bytes that were not read
};

static int
try_leave(void *arg, const struct zsm_key *k, const struct zsm_conn *c)
{
    struct leaving *l = arg;
    struct zsm_view v;
    int err = zsm_look(l->set, k, &v);

    (void)c;
    if (err == 0 && v.waiting > 0)
        l->busy++;
    else if (err == 0 || err == -ENOENT)
        zsm_remove(l->set, k);
    return 0;
}

static int
detach_all(void *arg, const char *name, uint64_t cgroup)
{
    const struct sockmap_args *a = arg;

    (void)cgroup;
    zsm_detach(a->bpffs, name);
    return 0;
}

int
sockmap_down(const struct sockmap_args *a)
{
    struct leaving l = {0};
    char why[ZSM_WHY];
    int lock, err;

    if (!zsm_is_bpffs(a->bpffs))
        return no_bpffs(a);
    lock = zsm_lock(a->bpffs);
    if (lock < 0)
        return cli_error(CLI_FAIL, a->name, "%s: %s", a->bpffs, strerror(-lock));
    err = zsm_open(&l.set, a->bpffs, why);
    if (err == -EPROTO || err == 0)
        zsm_attachments(a->bpffs, detach_all, (void *)a);
    if (err == 0) {
        // First nothing new, then what waits is read, then the sockets go back to TCP.
        zsm_pause(l.set, true);
        poll(NULL, 0, SETTLE_MS);
        for (int waited = 0;; waited += 100) {
            l.busy = 0;
            zsm_each(l.set, try_leave, &l);
            if (!l.busy || waited >= DOWN_MS)
                break;
            poll(NULL, 0, 100);
        }
    }
    zsm_close(l.set);
    if (l.busy)
        err = cli_error(
            CLI_FAIL, a->name,
            "%u connections hold bytes that their programs have not read yet; nothing more is redirected. "
            "Run this again when they have (zio sockmap status lists them)",
            l.busy);
    else if (err == 0 || err == -EPROTO)
        err = zsm_unpin(a->bpffs, why) ? fail(a, why) : CLI_OK;
    else
        err = err == -ENOENT ? CLI_OK : fail(a, why);
    close(lock);
    return err;
}
