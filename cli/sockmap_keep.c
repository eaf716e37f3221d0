// SPDX-License-Identifier: Apache-2.0
// `zio run --sockmap`: a control group for one run. The programs come from the pinned set where there is a
// BPF file system, so that runs join with each other and with `zio sockmap up`; else the run has a set of its
// own.
//
// The keeper is the process that stays behind: it holds what is not pinned, waits until the group is empty,
// and tidies up. If it is killed, pinned programs stay until `zio sockmap down`.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/sockmap_cgroup.h"
#include "cli/sockmap_tool.h"

struct keep {
    struct zsm *set;
    const char *bpffs;    // NULL: not pinned
    char group[PATH_MAX]; // the run's control group
    char link[32];        // the name of its attachment
};

// The set to use: pinned or, where nothing can be pinned, our own.
static int
get_set(struct keep *k, char *why)
{
    int err, lock = zsm_is_bpffs(ZSM_BPFFS) ? zsm_lock(ZSM_BPFFS) : -ENOENT;

    if (lock < 0)
        return zsm_load(&k->set, NULL, why);
    err = zsm_open(&k->set, ZSM_BPFFS, why);
    if (err == -ENOENT) {
        err = zsm_load(&k->set, NULL, why);
        if (!err)
            err = zsm_pin(k->set, ZSM_BPFFS, why);
    }
    if (!err) {
        k->bpffs = ZSM_BPFFS;
        err = zsm_attach(k->set, k->group, k->bpffs, k->link, why);
    }
    close(lock);
    return err;
}

static int
stop_at_first(void *arg, const char *name, uint64_t cgroup)
{
    (void)arg;
    (void)name;
    (void)cgroup;
    return 1;
}

// The pinned set goes with its last attachment, once no socket is in it.
static void
leave_set(struct keep *k)
{
    char why[ZSM_WHY];
    int lock;

    if (!k->bpffs)
        return;
    lock = zsm_lock(k->bpffs);
    zsm_detach(k->bpffs, k->link);
    if (zsm_attachments(k->bpffs, stop_at_first, NULL) == 0 && zsm_sockets(k->set) == 0)
        zsm_unpin(k->bpffs, why);
    if (lock >= 0)
        close(lock);
}

// Lets go of everything that belongs to the caller: it may wait for our standard output to close.
static void
detach_from_caller(void)
{
    int null = open("/dev/null", O_RDWR);

    for (int fd = 0; null >= 0 && fd < 3; fd++)
        dup2(null, fd);
    if (null > 2)
        close(null);
    setsid();
    if (chdir("/") < 0)
        return;
    signal(SIGHUP, SIG_IGN);
    signal(SIGINT, SIG_IGN);
}

static void
keeper(struct keep *k)
{
    detach_from_caller();
    cgroup_wait_empty(k->group);
    // A socket may have been handed to a process outside: while it is joined, what waits in it must stay.
    while (!k->bpffs && zsm_sockets(k->set) > 0)
        poll(NULL, 0, 200);
    leave_set(k);
    zsm_close(k->set);
    while (cgroup_remove(k->group) == -EBUSY)
        poll(NULL, 0, 100);
}

// Everything up to the moment in which the program is in its group. On failure nothing is left.
static int
begin(struct keep *k, pid_t pid, char *why)
{
    int err = cgroup_make(pid, k->group);

    if (err == -ENOENT)
        snprintf(why, ZSM_WHY,
                 "no cgroup2 file system is mounted (mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified)");
    else if (err == -EACCES || err == -EPERM || err == -EROFS)
        snprintf(why, ZSM_WHY, "no privilege to make a control group: it needs root");
    else if (err)
        snprintf(why, ZSM_WHY, "cannot make a control group: %s", strerror(-err));
    if (err)
        return err;
    err = get_set(k, why);
    if (!err && !k->bpffs)
        err = zsm_attach(k->set, k->group, NULL, k->link, why);
    if (!err && (err = cgroup_enter(k->group, pid)) < 0)
        snprintf(why, ZSM_WHY, "%.300s: cannot be entered: %s", k->group, strerror(-err));
    if (err) {
        if (k->set)
            leave_set(k);
        cgroup_remove(k->group);
    }
    return err;
}

int
sockmap_keep(const char *name, int pid)
{
    struct keep k = {0};
    char why[ZSM_WHY] = "";
    pid_t child;

    close_range(3, ~0U, 0);
    snprintf(k.link, sizeof k.link, "run-%d", pid);
    if (begin(&k, pid, why) != 0)
        return cli_error(CLI_FAIL, name, "--sockmap: %s; connections use plain TCP", why);
    child = fork();
    if (child == 0) {
        keeper(&k);
        _exit(0);
    }
    return child > 0 ? CLI_OK : CLI_FAIL;
}

int
sockmap_probe(void)
{
    char why[ZSM_WHY], mount[PATH_MAX];
    struct zsm *set = NULL;

    if (cgroup_mount(mount) != 0) {
        puts("no cgroup2 file system is mounted");
        return CLI_FAIL;
    }
    if (zsm_load(&set, NULL, why) != 0) {
        puts(why);
        return CLI_FAIL;
    }
    zsm_close(set);
    if (zsm_is_bpffs(ZSM_BPFFS))
        puts("tried: the kernel takes the programs");
    else
        puts("tried; " ZSM_BPFFS
             " is no BPF file system, so that a run joins connections within itself only");
    return CLI_OK;
}
