// SPDX-License-Identifier: Apache-2.0
// Unix sockets with names in a volume. bind makes the inode there and binds the kernel's socket to
// DIR/nodes/INO.DIRINO, which stands for it; connect and sendto look the name up in the volume, with its
// permissions, and go on to the node. What the kernel then says of the socket's name is that node's path, as
//
//     /proc/self/fd/N/nodes/INO.DIRINO
//
// so that it fits into an address whatever DIR is; the name that the program gave is the text of the symbolic
// link .../INO.DIRINO.name, by which each process that uses the volume finds it. DIRINO is the inode of DIR:
// it tells volumes apart. All three go with the inode (fsclient/local_node.c).
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libzio/fsreal.h"
#include "libzio/hooks_fs.h"
#include "libzio/real.h"
#include "libzio/route_node.h"
#include "libzio/sys.h"

#define PLACE offsetof(struct sockaddr_un, sun_path)
#define ROOM sizeof((struct sockaddr_un *)NULL)->sun_path
#define NODES "nodes/"

struct look {
    int fd; // to bind; -1: the name is only looked up
    const struct sockaddr *addr;
    socklen_t len;
    struct route_node node;
    char path[ROOM + 1];   // the program's
    char native[PATH_MAX]; // where a link led out of a volume; "": as it was given
};

// The path of an address. False: an abstract one, another family, or none: the kernel's matter.
static bool
path_of(const struct sockaddr *addr, socklen_t len, char path[ROOM + 1])
{
    const struct sockaddr_un *un = (const struct sockaddr_un *)(const void *)addr;
    size_t n;

    if (route_bad_address(addr, len) || len <= PLACE || len > sizeof *un || un->sun_family != AF_UNIX ||
        un->sun_path[0] == '\0')
        return false;
    n = min_of((size_t)len - PLACE, ROOM);
    memcpy(path, un->sun_path, n);
    path[n] = '\0';
    return true;
}

static int
node_name(const struct route_node *n, char *buf, size_t size, const char *end)
{
    dev_t dev;
    ino_t ino;
    int r = route_node_dir(n->vol, &dev, &ino);

    if (r == 0)
        snprintf(buf, size, NODES "%llu.%llx%s", (unsigned long long)n->ino, (unsigned long long)ino, end);
    return r;
}

static int
node_address(const struct route_node *n, struct sockaddr_un *un, socklen_t *len)
{
    char name[64];
    int r = node_name(n, name, sizeof name, "");

    if (r < 0)
        return r;
    un->sun_family = AF_UNIX;
    *len = (socklen_t)(PLACE + 1 +
                       (size_t)snprintf(un->sun_path, ROOM, "/proc/self/fd/%d/%s", n->vol->token_dir, name));
    return 0;
}

// ---- the names that this process gave ----

// A socket keeps its name when the file's is taken away, and the link with it.
#define OWN 32
static struct own {
    uint64_t ino;
    unsigned long long dir;
    char text[ROOM + 1];
} own_names[OWN];
static unsigned next_own;
static _Atomic int own_lock; // for a few instructions

// False: somebody was interrupted, or forked, with it. It is not worth waiting for.
static bool
lock_own(void)
{
    int none = 0;

    for (int tries = 0; tries < 1000; tries++, none = 0) {
        if (atomic_compare_exchange_strong(&own_lock, &none, 1))
            return true;
        zsys0(SYS_sched_yield);
    }
    return false;
}

static void
remember(const struct route_node *n, const char *text)
{
    struct own *o;
    dev_t dev;
    ino_t ino;

    if (route_node_dir(n->vol, &dev, &ino) < 0 || !lock_own())
        return;
    o = &own_names[next_own++ % OWN];
    o->ino = n->ino;
    o->dir = ino;
    memcpy(o->text, text, strlen(text) + 1);
    atomic_store(&own_lock, 0);
}

static long
remembered(unsigned long long ino, unsigned long long dir, char text[ROOM + 1])
{
    long n = -ENOENT;

    if (!lock_own())
        return n;
    for (int i = 0; i < OWN && n < 0; i++)
        if (own_names[i].ino == ino && own_names[i].dir == dir) {
            n = (long)strlen(own_names[i].text);
            memcpy(text, own_names[i].text, (size_t)n);
        }
    atomic_store(&own_lock, 0);
    return n;
}

// ---- bind ----

static bool
has_name(int fd)
{
    struct sockaddr_un un;
    int len = sizeof un;

    return zsys3(SYS_getsockname, fd, &un, &len) == 0 && un.sun_family == AF_UNIX && len > (int)PLACE;
}

static int
bind_node(int fd, const struct route_node *n, const char *text)
{
    char name[64], link[72];
    struct sockaddr_un un;
    socklen_t len;
    int dir = n->vol->token_dir, r = route_node_mkdir(n->vol);

    if (r == 0)
        r = node_name(n, name, sizeof name, "");
    if (r == 0)
        r = node_name(n, link, sizeof link, ".name");
    if (r == 0)
        r = node_address(n, &un, &len);
    if (r < 0)
        return r;
    zsys3(SYS_unlinkat, dir, link, 0);
    r = (int)zsys3(SYS_symlinkat, text, dir, link);
    if (r == 0)
        r = (int)zsys3(SYS_bind, fd, &un, len);
    if (r < 0) {
        zsys3(SYS_unlinkat, dir, link, 0);
        return r;
    }
    zsys3(SYS_fchmodat, dir, name, 0777); // permissions are those of the inode
    remember(n, text);
    return 0;
}

static long
bind_in(struct route_target *t, void *arg)
{
    struct look *k = arg;
    struct fsc_attr attr;
    int r = fsc.mknod(t->vol->fs, &t->at, t->path, S_IFSOCK | 0777, 0);

    if (r < 0)
        return r == -EEXIST ? -EADDRINUSE : r;
    r = fsc.getattr(t->vol->fs, &t->at, t->path, AT_SYMLINK_NOFOLLOW, &attr);
    if (r < 0)
        return r;
    // As the kernel does it: the name first, and away with it if the socket does not want it.
    k->node = (struct route_node){t->vol, attr.ino};
    r = has_name(k->fd) ? -EINVAL : bind_node(k->fd, &k->node, k->path);
    if (r < 0)
        fsc.unlink(t->vol->fs, &t->at, t->path, 0);
    return r;
}

static long
bind_out(int dirfd, const char *path, void *arg)
{
    struct look *k = arg;
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    size_t n = strlen(path);

    (void)dirfd;
    if (strcmp(path, k->path) == 0) // as it was given
        return FS_REAL(bind)(k->fd, k->addr, k->len);
    if (n >= ROOM)
        return fs_result(-ENAMETOOLONG);
    memcpy(un.sun_path, path, n + 1);
    return FS_REAL(bind)(k->fd, (struct sockaddr *)&un, (socklen_t)(PLACE + n + 1));
}

// Is it a socket that could have a name in a file system?
static bool
is_unix(int fd)
{
    int domain = 0, len = sizeof domain;

    return zsys5(SYS_getsockopt, fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_UNIX;
}

ZIO_EXPORT int
bind(int fd, const struct sockaddr *addr, socklen_t len)
{
    struct look k;

    if (route_idle() || !path_of(addr, len, k.path) || !is_unix(fd))
        return FS_REAL(bind)(fd, addr, len);
    k.fd = fd;
    k.addr = addr;
    k.len = len;
    return (int)fs_call(AT_FDCWD, k.path, ROUTE_NOFOLLOW | ROUTE_CREATE, bind_in, bind_out, &k);
}

// ---- to a name ----

static long
look_in(struct route_target *t, void *arg)
{
    struct look *k = arg;
    struct fsc_attr attr;
    char name[64];
    int r = fsc.getattr(t->vol->fs, &t->at, t->path, fs_at_flags(t, 0), &attr);

    if (r == 0)
        r = fsc.ino_access(t->vol->fs, t->at.cred, attr.ino, W_OK);
    if (r == 0 && !S_ISSOCK(attr.mode))
        r = -ECONNREFUSED;
    if (r < 0)
        return r;
    k->node = (struct route_node){t->vol, attr.ino};
    r = node_name(&k->node, name, sizeof name, "");
    // Where there is an inode and no node, nobody has bound it.
    if (r < 0 || zsys3(SYS_faccessat, t->vol->token_dir, name, F_OK) == -ENOENT)
        k->node.vol = NULL;
    return k->node.vol ? 0 : r < 0 ? r : -ECONNREFUSED;
}

static long
look_out(int dirfd, const char *path, void *arg)
{
    struct look *k = arg;

    if (strcmp(path, k->path) != 0 && strlen(path) < sizeof k->native)
        strcpy(k->native, path);
    return FS_REAL(faccessat)(dirfd, path, F_OK, 0);
}

int
route_sock_to(const struct sockaddr **to, socklen_t *len, struct sockaddr_un *buf)
{
    struct look k = {.fd = -1};
    int saved = errno;
    long r;

    if (route_idle() || !path_of(*to, *len, k.path))
        return 0;
    r = fs_call(AT_FDCWD, k.path, 0, look_in, look_out, &k);
    if (k.node.vol) {
        r = node_address(&k.node, buf, len);
        *to = (struct sockaddr *)buf;
        errno = saved;
        return (int)route_result(r);
    }
    // A native path: the kernel says itself what is wrong with it.
    if (r < 0 && !k.native[0] && !fs_takes_part(k.path)) {
        errno = saved;
        return 0;
    }
    if (r < 0)
        return -1;
    errno = saved;
    if (!k.native[0])
        return 0;
    if (strlen(k.native) >= ROOM)
        return (int)route_result(-ENAMETOOLONG);
    *buf = (struct sockaddr_un){.sun_family = AF_UNIX};
    strcpy(buf->sun_path, k.native);
    *to = (struct sockaddr *)buf;
    *len = (socklen_t)(PLACE + strlen(k.native) + 1);
    return 0;
}

ZIO_EXPORT int
connect(int fd, const struct sockaddr *addr, socklen_t len)
{
    const struct sockaddr *to = addr;
    struct sockaddr_un buf;

    if (route_idle() || !addr || len <= PLACE || !is_unix(fd))
        return FS_REAL(connect)(fd, addr, len);
    if (route_sock_to(&to, &len, &buf) < 0)
        return -1;
    return FS_REAL(connect)(fd, to, len);
}
ZIO_ALIAS(__connect, connect);

// ---- the name that is shown ----

// "/proc/self/fd/N/nodes/INO.DIRINO": its last two parts. False: another name.
static bool
parse(const char *path, char name[64], unsigned long long *ino, unsigned long long *dir)
{
    static const char start[] = "/proc/self/fd/";
    char *end;

    if (strncmp(path, start, sizeof start - 1) != 0)
        return false;
    strtoul(path + sizeof start - 1, &end, 10);
    if (*end != '/' || strncmp(end + 1, NODES, sizeof NODES - 1) != 0 || strlen(end + 1) > 56)
        return false;
    snprintf(name, 64, "%s.name", end + 1);
    *ino = strtoull(end + 1 + sizeof NODES - 1, &end, 10);
    if (*end != '.')
        return false;
    *dir = strtoull(end + 1, &end, 16);
    return *end == '\0';
}

void
route_sock_shown(struct sockaddr_un *un, socklen_t *len)
{
    char path[ROOM + 1], name[64];
    unsigned long long number, dir;
    struct route_node n = {0};
    dev_t dev;
    ino_t ino;
    long r;

    if (!path_of((struct sockaddr *)un, *len, path) || !parse(path, name, &number, &dir))
        return;
    for (int i = 0; i < route_nvols && !n.vol; i++)
        if (route_node_dir(&route_vols[i], &dev, &ino) == 0 && ino == dir)
            n.vol = &route_vols[i];
    if (!n.vol || route_vol_open(n.vol) < 0)
        return;
    r = zsys4(SYS_readlinkat, n.vol->token_dir, name, path, ROOM);
    if (r <= 0)
        r = remembered(number, dir, path);
    if (r <= 0)
        return;
    memcpy(un->sun_path, path, (size_t)r);
    if ((size_t)r < ROOM)
        un->sun_path[r] = '\0';
    *len = (socklen_t)(PLACE + (size_t)r + 1);
}

void
route_sock_show(void *addr, socklen_t *len, socklen_t room)
{
    struct sockaddr_un un;

    if (!addr || *len > room || *len <= PLACE || *len > sizeof un)
        return;
    memcpy(&un, addr, *len);
    route_sock_shown(&un, len);
    memcpy(addr, &un, min_of(min_of(*len, room), sizeof un));
}
