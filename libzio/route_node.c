// SPDX-License-Identifier: Apache-2.0
// FIFOs of volumes. The bytes go through a pipe of the kernel's: that of DIR/nodes/INO, a FIFO which stands
// for the inode. It is made when the inode is opened first, and goes with the inode (fsclient/local_node.c).
// So waiting, poll, the ends' comings and goings, exec and kill -9 are the kernel's; names and permissions
// are the volume's: they are looked at before, and the node itself is open to all who reach DIR.
//
// A descriptor of one is native. What it shows of itself (fstat and its kin) is the volume's inode again,
// which is found by the node's number in DIR/nodes.
#include "libzio/route_node.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libzio/real.h"
#include "libzio/sys.h"

#define NODES "nodes"
#define NODE_PATH 40 // "nodes/NUMBER", and what is behind it while it is made

// What is known of the volumes' directories, by their places in route_vols.
static struct {
    _Atomic uint64_t ino; // 0: not asked yet
    dev_t dev;
} dirs[ROUTE_VOLS];

int
route_node_dir(struct route_vol *v, dev_t *dev, ino_t *ino)
{
    size_t i = (size_t)(v - route_vols);
    struct stat st;
    long r;

    if (!atomic_load_explicit(&dirs[i].ino, memory_order_acquire)) {
        if (strncmp(v->url, "local:", 6) != 0)
            return -EPROTONOSUPPORT;
        r = zsys4(SYS_newfstatat, AT_FDCWD, v->url[6] ? v->url + 6 : ".", &st, 0);
        if (r < 0)
            return (int)r;
        dirs[i].dev = st.st_dev;
        atomic_store_explicit(&dirs[i].ino, st.st_ino, memory_order_release);
    }
    *dev = dirs[i].dev;
    *ino = atomic_load(&dirs[i].ino);
    return 0;
}

// ---- making and opening ----

int
route_node_find(struct route_target *t, int flags, struct route_node *n)
{
    static const int wants[] = {R_OK, W_OK, R_OK | W_OK, R_OK | W_OK};
    struct fsc_attr attr;
    int r =
        fsc.getattr(t->vol->fs, &t->at, t->path,
                    (t->self ? AT_EMPTY_PATH : 0) | (flags & O_NOFOLLOW ? AT_SYMLINK_NOFOLLOW : 0), &attr);

    if (r == 0 && !S_ISFIFO(attr.mode))
        r = -EOPNOTSUPP;
    if (r == 0)
        r = fsc.ino_access(t->vol->fs, t->at.cred, attr.ino,
                           wants[flags & O_ACCMODE] | (flags & O_TRUNC ? W_OK : 0));
    if (r == 0)
        *n = (struct route_node){t->vol, attr.ino};
    return r;
}

int
route_node_mkdir(struct route_vol *v)
{
    int r = (int)zsys3(SYS_mkdirat, v->token_dir, NODES, 0700);

    if (r == 0) // whoever passes DIR may have nodes there, whatever the umask is
        r = (int)zsys3(SYS_fchmodat, v->token_dir, NODES, 0777);
    return r == -EEXIST ? 0 : r;
}

// It appears complete under its name, since others may open it at once. Its times are the inode's.
static int
make_node(const struct route_node *n, const char *path)
{
    char draft[NODE_PATH + 24];
    int dir = n->vol->token_dir, r = route_node_mkdir(n->vol);

    if (r < 0)
        return r;
    snprintf(draft, sizeof draft, "%.*s.%ld", NODE_PATH - 1, path, zsys0(SYS_gettid));
    zsys3(SYS_unlinkat, dir, draft, 0);
    r = (int)zsys4(SYS_mknodat, dir, draft, S_IFIFO | 0600, 0);
    if (r == 0)
        r = (int)zsys3(SYS_fchmodat, dir, draft, 0666);
    if (r == 0)
        r = (int)zsys5(SYS_linkat, dir, draft, dir, path, 0);
    zsys3(SYS_unlinkat, dir, draft, 0);
    return r == -EEXIST ? 0 : r;
}

int
route_node_open(const struct route_node *n, int flags)
{
    char path[NODE_PATH];
    int fd, r;

    snprintf(path, sizeof path, NODES "/%llu", (unsigned long long)n->ino);
    flags &= ~(O_CREAT | O_EXCL | O_TRUNC | O_NOFOLLOW);
    for (int tries = 0; tries < 3; tries++) {
        fd = real.openat64(n->vol->token_dir, path, flags, 0);
        if (fd >= 0 || errno != ENOENT)
            return fd;
        r = make_node(n, path);
        if (r < 0)
            return (int)route_result(r);
    }
    return (int)route_result(-ENOENT);
}

// ---- the way back ----

// The inode whose node has the number `node` in the volume's directory; 0: none.
static uint64_t
number_of(struct route_vol *v, ino_t node)
{
    char buf[4096], *end;
    uint64_t found = 0;
    long n, fd;

    if (route_vol_open(v) < 0)
        return 0;
    fd = zsys4(SYS_openat, v->token_dir, NODES, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (fd < 0)
        return 0;
    while (!found && (n = zsys3(SYS_getdents64, fd, buf, sizeof buf)) > 0)
        for (long at = 0; !found && at < n;) {
            const struct dirent64 *d = (const struct dirent64 *)(buf + at);
            unsigned long long ino = strtoull(d->d_name, &end, 10);

            if (d->d_ino == node && end > d->d_name && *end == '\0')
                found = ino;
            at += d->d_reclen;
        }
    zsys1(SYS_close, fd);
    return found;
}

bool
route_node_of(const struct stat *st, struct route_node *n)
{
    dev_t dev;
    ino_t ino;

    if (!S_ISFIFO(st->st_mode))
        return false;
    for (int i = 0; i < route_nvols; i++) {
        struct route_vol *v = &route_vols[i];
        uint64_t number;

        if (route_node_dir(v, &dev, &ino) < 0 || dev != st->st_dev) // the kernel's pipes have their own
            continue;
        number = number_of(v, st->st_ino);
        if (number) {
            *n = (struct route_node){v, number};
            return true;
        }
    }
    return false;
}

bool
route_node_fd(int fd, struct route_node *n)
{
    struct stat st;

    return !route_idle() && zsys2(SYS_fstat, fd, &st) == 0 && route_node_of(&st, n);
}

void
route_node_show(struct stat *st)
{
    struct route_node n;
    struct fsc_attr attr;
    struct route_guard g;
    int r;

    if (!S_ISFIFO(st->st_mode) || route_idle() || !route_node_of(st, &n))
        return;
    route_enter(&g);
    r = fsc.ino_getattr(n.vol->fs, n.ino, &attr);
    if (r == 0)
        fsc.attr_stat(n.vol->fs, &attr, st);
    route_leave(&g);
}

int
route_node_setattr(int fd, unsigned set, const struct fsc_attr *in)
{
    struct route_node n;
    struct route_guard g;
    int r;

    if (!route_node_fd(fd, &n))
        return 1;
    route_enter(&g);
    r = fsc.ino_setattr(n.vol->fs, NULL, n.ino, set, in, NULL);
    route_leave(&g);
    return r;
}

static int64_t
nanoseconds(const struct timespec *t)
{
    return t->tv_sec * INT64_C(1000000000) + t->tv_nsec;
}

int
route_node_utimens(int fd, const struct timespec times[2])
{
    struct fsc_attr in = {0};
    unsigned set = FSC_SET_ATIME_NOW | FSC_SET_MTIME_NOW;

    if (times) {
        set = times[0].tv_nsec == UTIME_OMIT  ? 0
              : times[0].tv_nsec == UTIME_NOW ? FSC_SET_ATIME_NOW
                                              : FSC_SET_ATIME;
        set |= times[1].tv_nsec == UTIME_OMIT  ? 0
               : times[1].tv_nsec == UTIME_NOW ? FSC_SET_MTIME_NOW
                                               : FSC_SET_MTIME;
        in.atime = nanoseconds(&times[0]);
        in.mtime = nanoseconds(&times[1]);
    }
    return route_node_setattr(fd, set, &in);
}
