// SPDX-License-Identifier: Apache-2.0
// The loader: see sockmap.h.
#include "bpf/sockmap.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "bpf/sockmap.skel.h"

// The parts of a set, and the names of their pins.
#define PROGRAMS(X) X(sockops) X(send) X(setsockopt) X(getsockopt) X(look)
#define MAPS(X) X(socks) X(conns) X(syns) X(own) X(counters)

enum part {
#define X(name) P_##name,
    PROGRAMS(X) MAPS(X)
#undef X
        P_control,
    NPARTS
};

static const char *const part_names[NPARTS] = {
#define X(name) #name,
    PROGRAMS(X) MAPS(X)
#undef X
        "control"};

// Where the programs are attached to a control group. sockops last: until then nothing joins.
enum { NHOOKS = 3 };

static const struct {
    enum part part;
    enum bpf_attach_type type;
    const char *suffix; // of the link's pin
} hooks[NHOOKS] = {{P_setsockopt, BPF_CGROUP_SETSOCKOPT, "setsockopt"},
                   {P_getsockopt, BPF_CGROUP_GETSOCKOPT, "getsockopt"},
                   {P_sockops, BPF_CGROUP_SOCK_OPS, "sockops"}};

struct zsm {
    struct sockmap_bpf *skel; // NULL for a set that was opened by its pins
    int fd[NPARTS];           // owned by skel where there is one
    int link[NHOOKS];         // attachments that end with us; -1: none
};

enum { PATH_LEN = PATH_MAX + NAME_MAX };

static char *kernel_log; // where libbpf's complaints are gathered during a load; ZSM_WHY bytes

static int
gather(enum libbpf_print_level level, const char *fmt, va_list ap)
{
    // The first line of a complaint is the one that says what is wrong.
    if (kernel_log && level == LIBBPF_WARN && !kernel_log[0])
        vsnprintf(kernel_log, ZSM_WHY / 2, fmt, ap);
    return 0;
}

static int __attribute__((format(printf, 3, 4))) say(int err, char *why, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(why, ZSM_WHY, fmt, ap);
    va_end(ap);
    return err;
}

static int
load_failed(int err, char *why)
{
    char said[ZSM_WHY / 2];

    snprintf(said, sizeof said, "%.*s", (int)strcspn(kernel_log, "\n"), kernel_log);
    if (err == -EPERM || err == -EACCES)
        return geteuid() == 0 ? say(-EPERM, why, "the kernel does not allow it (%s)", said)
                              : say(-EPERM, why, "it needs root, or CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN");
    return say(-EOPNOTSUPP, why, "this kernel does not take the programs: %s (%s)", strerror(-err), said);
}

static void
set_fds(struct zsm *z)
{
#define X(name) z->fd[P_##name] = bpf_program__fd(z->skel->progs.zsm_##name);
    PROGRAMS(X)
#undef X
#define X(name) z->fd[P_##name] = bpf_map__fd(z->skel->maps.zsm_##name);
    MAPS(X)
#undef X
    z->fd[P_control] = bpf_map__fd(z->skel->maps.data);
}

int
zsm_load(struct zsm **out, const struct zsm_options *o, char *why)
{
    struct zsm *z = calloc(1, sizeof *z);
    char complaints[ZSM_WHY] = "";
    int err = 0;

    if (!z)
        return say(-ENOMEM, why, "out of memory");
    memset(z->link, -1, sizeof z->link);
    kernel_log = complaints;
    libbpf_set_print(gather);
    z->skel = sockmap_bpf__open();
    if (!z->skel)
        err = -errno;
    if (!err) {
        if (o && o->limit)
            z->skel->rodata->zsm_limit = o->limit;
        err = sockmap_bpf__load(z->skel);
    }
    if (!err) {
        set_fds(z);
        err = bpf_prog_attach(z->fd[P_send], z->fd[P_socks], BPF_SK_MSG_VERDICT, 0) < 0 ? -errno : 0;
    }
    if (err) {
        err = load_failed(err, why);
        zsm_close(z);
        z = NULL;
    }
    kernel_log = NULL;
    *out = z;
    return err;
}

void
zsm_close(struct zsm *z)
{
    if (!z)
        return;
    for (size_t i = 0; i < NHOOKS; i++)
        if (z->link[i] >= 0)
            close(z->link[i]);
    for (size_t i = 0; !z->skel && i < NPARTS; i++)
        if (z->fd[i] >= 0)
            close(z->fd[i]);
    sockmap_bpf__destroy(z->skel);
    free(z);
}

bool
zsm_is_bpffs(const char *path)
{
    struct statfs s;

    return statfs(path, &s) == 0 && (unsigned long)s.f_type == BPF_FS_MAGIC;
}

static int
pin_path(char out[PATH_LEN], const char *bpffs, const char *sub, const char *name)
{
    return (size_t)snprintf(out, PATH_LEN, "%s/" ZSM_PINS "%s%s%s", bpffs, sub, *name ? "/" : "", name) <
                   PATH_LEN
               ? 0
               : -ENAMETOOLONG;
}

int
zsm_lock(const char *bpffs)
{
    int fd = open(bpffs, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err;

    if (fd < 0)
        return -errno;
    if (flock(fd, LOCK_EX) == 0)
        return fd;
    err = -errno;
    close(fd);
    return err;
}

int
zsm_open(struct zsm **out, const char *bpffs, char *why)
{
    struct zsm *z = calloc(1, sizeof *z);
    struct zsm_control control = {0};
    char path[PATH_LEN];
    uint32_t zero = 0;
    int err = 0;

    *out = NULL;
    if (!z)
        return say(-ENOMEM, why, "out of memory");
    memset(z->link, -1, sizeof z->link);
    for (size_t i = 0; i < NPARTS; i++)
        z->fd[i] = -1;
    for (size_t i = 0; !err && i < NPARTS; i++) {
        err = pin_path(path, bpffs, "", part_names[i]);
        if (!err && (z->fd[i] = bpf_obj_get(path)) < 0)
            err = -errno;
    }
    if (!err && bpf_map_lookup_elem(z->fd[P_control], &zero, &control) < 0)
        err = -errno;
    if (!err && control.version != ZSM_VERSION)
        err = say(-EPROTO, why,
                  "the programs in %s/" ZSM_PINS " are of another version of zIO: zio sockmap down", bpffs);
    else if (err == -ENOENT)
        say(err, why, "no programs are pinned in %s/" ZSM_PINS " (zio sockmap up)", bpffs);
    else if (err)
        say(err, why, "%s/" ZSM_PINS ": %s", bpffs, strerror(-err));
    if (err)
        zsm_close(z);
    else
        *out = z;
    return err;
}

int
zsm_pin(struct zsm *z, const char *bpffs, char *why)
{
    char path[PATH_LEN], other[ZSM_WHY];
    int err = 0;

    if (!zsm_is_bpffs(bpffs))
        return say(-ENOTDIR, why, "%s is not a BPF file system: mount -t bpf bpf %s", bpffs, bpffs);
    pin_path(path, bpffs, "", "");
    if (mkdir(path, 0700) < 0)
        return say(-errno, why, "%s: %s", path, strerror(errno));
    pin_path(path, bpffs, "/links", "");
    if (mkdir(path, 0700) < 0)
        err = -errno;
    for (size_t i = 0; !err && i < NPARTS; i++) {
        err = pin_path(path, bpffs, "", part_names[i]);
        if (!err && bpf_obj_pin(z->fd[i], path) < 0)
            err = -errno;
    }
    if (err) {
        say(err, why, "%s: cannot be pinned: %s", path, strerror(-err));
        zsm_unpin(bpffs, other);
    }
    return err;
}

// Removes the files of a directory, and it.
static int
clear(const char *dir)
{
    char path[2 * PATH_LEN];
    DIR *d = opendir(dir);
    struct dirent *e;
    int err = 0;

    if (!d)
        return -errno;
    while ((e = readdir(d))) {
        if (e->d_name[0] == '.' || e->d_type == DT_DIR)
            continue;
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        if (unlink(path) < 0)
            err = -errno;
    }
    closedir(d);
    return rmdir(dir) < 0 ? -errno : err;
}

int
zsm_unpin(const char *bpffs, char *why)
{
    char path[PATH_LEN];
    int err;

    pin_path(path, bpffs, "/links", "");
    clear(path);
    pin_path(path, bpffs, "", "");
    err = clear(path);
    return err ? say(err, why, "%s: %s", path, strerror(-err)) : 0;
}

int
zsm_attach(struct zsm *z, const char *path, const char *bpffs, const char *name, char *why)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = fd < 0 ? -errno : 0,
        link[NHOOKS] = {-1, -1, -1};
    char pin[PATH_LEN], sub[NAME_MAX + 16];

    // A link never replaces another program: BPF_F_ALLOW_MULTI is implied.
    for (size_t i = 0; !err && i < NHOOKS; i++)
        if ((link[i] = bpf_link_create(z->fd[hooks[i].part], fd, hooks[i].type, NULL)) < 0)
            err = -errno;
    for (size_t i = 0; !err && bpffs && i < NHOOKS; i++) {
        snprintf(sub, sizeof sub, "%s-%s", name, hooks[i].suffix);
        err = pin_path(pin, bpffs, "/links", sub);
        if (!err && bpf_obj_pin(link[i], pin) < 0)
            err = -errno;
    }
    if (err && bpffs)
        zsm_detach(bpffs, name);
    if (fd >= 0)
        close(fd);
    // Without a pin, the descriptor is what holds the attachment.
    for (size_t i = 0; i < NHOOKS; i++) {
        if (link[i] >= 0 && !err && !bpffs)
            z->link[i] = link[i];
        else if (link[i] >= 0)
            close(link[i]);
    }
    if (err == -EPERM)
        return say(err, why,
                   "%s: another program is attached there that allows no second (bpftool cgroup show)", path);
    return err ? say(err, why, "%s: cannot attach: %s", path, strerror(-err)) : 0;
}

int
zsm_detach(const char *bpffs, const char *name)
{
    char path[PATH_LEN], sub[NAME_MAX + 16];
    int err = 0;

    for (size_t i = 0; i < NHOOKS; i++) {
        snprintf(sub, sizeof sub, "%s-%s", name, hooks[i].suffix);
        err = pin_path(path, bpffs, "/links", sub);
        if (!err && unlink(path) < 0)
            err = -errno;
    }
    return err;
}

int
zsm_attachments(const char *bpffs, int (*f)(void *arg, const char *name, uint64_t cgroup), void *arg)
{
    char path[PATH_LEN], pin[2 * PATH_LEN];
    struct dirent *e;
    int rc = 0;
    DIR *d;

    pin_path(path, bpffs, "/links", "");
    d = opendir(path);
    if (!d)
        return errno == ENOENT ? 0 : -errno;
    while (rc == 0 && (e = readdir(d))) {
        struct bpf_link_info info = {0};
        uint32_t len = sizeof info;
        char *end = strstr(e->d_name, "-sockops");
        int fd;

        if (!end || end[8])
            continue;
        snprintf(pin, sizeof pin, "%s/%s", path, e->d_name);
        fd = bpf_obj_get(pin);
        if (fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
            info.cgroup.cgroup_id = 0;
        if (fd >= 0)
            close(fd);
        *end = '\0';
        rc = f(arg, e->d_name, info.cgroup.cgroup_id);
    }
    closedir(d);
    return rc;
}

int
zsm_pause(struct zsm *z, bool on)
{
    struct zsm_control control = {.version = ZSM_VERSION, .paused = on};
    uint32_t zero = 0;

    return bpf_map_update_elem(z->fd[P_control], &zero, &control, BPF_ANY) < 0 ? -errno : 0;
}

int
zsm_counters(struct zsm *z, uint64_t out[ZSM_NCOUNTERS])
{
    int cpus = libbpf_num_possible_cpus();
    uint64_t *v = cpus > 0 ? calloc((size_t)cpus, sizeof *v) : NULL;
    int err = v ? 0 : -ENOMEM;

    for (uint32_t i = 0; !err && i < ZSM_NCOUNTERS; i++) {
        out[i] = 0;
        if (bpf_map_lookup_elem(z->fd[P_counters], &i, v) < 0)
            err = -errno;
        for (int c = 0; !err && c < cpus; c++)
            out[i] += v[c];
    }
    free(v);
    return err;
}

int
zsm_each(struct zsm *z, int (*f)(void *arg, const struct zsm_key *k, const struct zsm_conn *c), void *arg)
{
    struct zsm_key k, next;
    struct zsm_conn c;
    int rc = 0;

    // A connection that ends meanwhile makes the walk begin again: bounded by how many there can be.
    for (unsigned i = 0; rc == 0 && i < 2 * 65536; i++) {
        if (bpf_map_get_next_key(z->fd[P_conns], i ? &k : NULL, &next) < 0)
            break;
        k = next;
        if (bpf_map_lookup_elem(z->fd[P_conns], &k, &c) == 0)
            rc = f(arg, &k, &c);
    }
    return rc;
}

unsigned
zsm_sockets(struct zsm *z)
{
    struct zsm_key k, next;
    unsigned n = 0;

    while (n < 2 * 65536 && bpf_map_get_next_key(z->fd[P_socks], n ? &k : NULL, &next) == 0) {
        k = next;
        n++;
    }
    return n;
}

int
zsm_look(struct zsm *z, const struct zsm_key *k, struct zsm_view *out)
{
    struct zsm_view v = {.key = *k};
    struct bpf_test_run_opts run = {.sz = sizeof run, .ctx_in = &v, .ctx_size_in = sizeof v};

    // A program of this kind gives its answer in place.
    if (bpf_prog_test_run_opts(z->fd[P_look], &run) < 0)
        return -errno;
    *out = v;
    return v.alive ? 0 : -ENOENT;
}

int
zsm_remove(struct zsm *z, const struct zsm_key *k)
{
    int err = bpf_map_delete_elem(z->fd[P_socks], k) < 0 ? -errno : 0;

    if (bpf_map_delete_elem(z->fd[P_conns], k) < 0 && !err)
        err = -errno;
    return err;
}
