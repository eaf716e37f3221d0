// SPDX-License-Identifier: Apache-2.0
// Paths: which are a volume's, and where the walk goes on when a symbolic link or ".." crosses a prefix.
//
// What the text tells costs nothing. A native path whose text tells nothing may still lead into a volume
// through a symbolic link: route_next looks for that, component by component, after the native call has
// failed (or before it, where a prefix exists in the kernel's tree, since there the call might succeed in the
// wrong place).
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libzio/real.h"
#include "libzio/route_priv.h"
#include "libzio/sys.h"

// ---- what the text says ----

// Behind the components of `path` that are nothing: "", ".".
const char *
route_skip_nothing(const char *p)
{
    for (;;) {
        if (*p == '/')
            p++;
        else if (p[0] == '.' && (p[1] == '/' || !p[1]))
            p++;
        else
            return p;
    }
}

// Bytes of the name at p. (The C library's strcspn takes 50 ns for one.)
static size_t
name_len(const char *p)
{
    size_t n = 0;

    while (p[n] && p[n] != '/')
        n++;
    return n;
}

// Does `path` begin with the prefix, component by component? Then what is behind it, with no slash before.
static const char *
behind(const struct route_vol *v, const char *path)
{
    const char *p = path, *q = v->prefix;

    while (*q) {
        size_t n = name_len(++q);

        p = route_skip_nothing(p);
        if (strncmp(p, q, n) != 0 || (p[n] && p[n] != '/'))
            return NULL;
        p += n;
        q += n;
    }
    while (*p == '/')
        p++;
    return p;
}

// The volume whose prefix `path` (absolute) begins with, and the rest (no slash before it). The longest
// prefix wins. A ".." before the prefix is complete tells nothing.
static struct route_vol *
match(const char *path, const char **rest)
{
    struct route_vol *best = NULL;

    for (int i = 0; i < route_nvols; i++) {
        struct route_vol *v = &route_vols[i];
        const char *p = behind(v, path);

        if (p && (!best || v->prefix_len > best->prefix_len)) {
            best = v;
            *rest = p;
        }
    }
    return best;
}

// A relative path seen from an absolute directory: leading ".." are taken off its end, as both are without
// links. False: too long.
static bool
join(const char *dir, const char *path, char out[PATH_MAX])
{
    size_t n = strlen(dir);

    if (n >= PATH_MAX)
        return false;
    memmove(out, dir, n);
    while (n > 0 && out[n - 1] == '/')
        n--;
    for (path = route_skip_nothing(path); path[0] == '.' && path[1] == '.' && (path[2] == '/' || !path[2]);
         path = route_skip_nothing(path + 2))
        while (n > 0 && out[--n] != '/')
            ;
    if (n + 1 + strlen(path) >= PATH_MAX)
        return false;
    out[n] = '/';
    memmove(out + n + 1, path, strlen(path) + 1);
    return true;
}

// "/proc/self/fd/N", "/dev/fd/N", "/dev/stdin" and the like: the descriptor, and what stands behind it; else
// -1.
static int
magic_fd(const char *path, const char **rest)
{
    static const char *const names[] = {"/dev/stdin", "/dev/stdout", "/dev/stderr"};
    const char *p = NULL;
    char own[32];
    char *end;
    long fd;

    if (path[0] != '/' || (path[1] != 'd' && path[1] != 'p'))
        return -1;
    for (int i = 0; i < 3; i++) {
        size_t n = strlen(names[i]);

        if (strncmp(path, names[i], n) == 0 && !path[n]) {
            *rest = "";
            return i;
        }
    }
    if (strncmp(path, "/dev/fd/", 8) == 0)
        p = path + 8;
    else if (strncmp(path, "/proc/self/fd/", 14) == 0)
        p = path + 14;
    else if (strncmp(path, "/proc/thread-self/fd/", 21) == 0)
        p = path + 21;
    else if (strncmp(path, "/proc/", 6) == 0 && path[6] >= '1' && path[6] <= '9') {
        int n = snprintf(own, sizeof own, "/proc/%ld/fd/", zsys0(SYS_getpid));

        if (strncmp(path, own, (size_t)n) == 0)
            p = path + n;
    }
    if (!p || *p < '0' || *p > '9')
        return -1;
    fd = strtol(p, &end, 10);
    if ((*end && *end != '/') || fd > INT_MAX)
        return -1;
    *rest = end + strspn(end, "/");
    return (int)fd;
}

// ---- targets ----

static void
set_native(struct route_target *t, int dirfd, const char *path)
{
    t->vol = NULL;
    t->dirfd = dirfd;
    t->path = path;
    t->self = false;
}

static void
drop_hold(struct route_target *t)
{
    route_file_put(t->hold);
    t->hold = NULL;
    t->at.dir = NULL;
}

// Takes over the reference `dir`.
static int
set_routed(struct route_target *t, struct route_vol *v, struct route_file *dir, const char *path,
           unsigned flags)
{
    int err = route_vol_open(v);

    drop_hold(t);
    t->hold = dir;
    if (!err && dir && !route_file_fsc(dir))
        err = route_file_error(dir);
    if (err)
        return err;
    t->vol = v;
    t->at.dir = dir ? route_file_fsc(dir) : NULL;
    t->path = path;
    t->self = false;
    if (!dir && !*path)
        t->path = "/";
    else if (dir && !*path)
        t->self = (flags & ROUTE_EMPTY) != 0;
    route_cred_fill(t, flags & ROUTE_CREATE);
    return 0;
}

// An absolute path, by its text.
static int
find_absolute(const char *path, unsigned flags, struct route_target *t)
{
    struct route_vol *v;
    const char *rest;
    int fd = magic_fd(path, &rest);

    if (unlikely(fd >= 0)) {
        struct route_file *f = route_file_get(fd);

        if (!f || (!*rest && flags & ROUTE_NOFOLLOW)) { // the link itself is the kernel's
            route_file_put(f);
            set_native(t, AT_FDCWD, path);
            return 0;
        }
        return set_routed(t, f->vol, f, rest, *rest ? flags : flags | ROUTE_EMPTY);
    }
    v = match(path, &rest);
    if (v)
        return set_routed(t, v, NULL, rest, flags);
    set_native(t, AT_FDCWD, path);
    return 0;
}

static int
find(int dirfd, const char *path, unsigned flags, struct route_target *t)
{
    struct route_file *dir;
    struct route_vol *v;
    const char *rest, *cwd;

    if (path[0] == '/')
        return find_absolute(path, flags, t);
    dir = dirfd == AT_FDCWD ? route_cwd_get() : route_file_get(dirfd);
    if (dir && (*path || flags & ROUTE_EMPTY || dirfd == AT_FDCWD))
        return set_routed(t, dir->vol, dir, path, flags);
    if (dir) { // "" without AT_EMPTY_PATH: the volume says ENOENT
        int err = set_routed(t, dir->vol, dir, path, 0);

        return err;
    }
    set_native(t, dirfd, path);
    cwd = dirfd == AT_FDCWD && *path ? route_cwd_native() : NULL;
    if (cwd && join(cwd, path, t->buf) && (v = match(t->buf, &rest)))
        return set_routed(t, v, NULL, rest, flags);
    return 0;
}

int
route_find(int dirfd, const char *path, unsigned flags, struct route_target *t)
{
    t->hold = NULL;
    t->links = 0;
    t->looked = false;
    t->at.dir = NULL;
    t->at.cred = NULL;
    t->at.resolve = 0;
    t->at.escape = t->escape;
    t->at.escape_size = sizeof t->escape;
    if (route_bad_string(path)) { // the kernel says EFAULT
        set_native(t, dirfd, path);
        return 0;
    }
    return find(dirfd, path, flags, t);
}

void
route_done(struct route_target *t)
{
    if (t->hold)
        drop_hold(t);
}

// ---- the text of a target ----

void
route_target_text(const struct route_target *t, char out[PATH_MAX])
{
    const char *dir = t->hold ? route_file_path(t->hold) : t->vol->prefix, *p = t->path;
    size_t n = strnlen(dir, PATH_MAX - 1);

    if (*p == '/') {
        dir = t->vol->prefix;
        n = t->vol->prefix_len;
    }
    memcpy(out, dir, n);
    for (p = route_skip_nothing(p); *p; p = route_skip_nothing(p)) {
        if (n + 1 + name_len(p) >= PATH_MAX)
            break;
        out[n++] = '/';
        while (*p && *p != '/')
            out[n++] = *p++;
    }
    out[n] = '\0';
}

// ---- out of a volume ----

// at.escape has "/abs/rest" or "../rest".
static int
leave(struct route_target *t, unsigned flags)
{
    struct route_vol *v = t->vol;
    size_t up;

    if (++t->links > ROUTE_LINKS_MAX)
        return -ELOOP;
    if (t->escape[0] == '/') {
        memcpy(t->buf, t->escape, strlen(t->escape) + 1);
    } else {
        const char *rest = t->escape + 2;

        up = (size_t)(strrchr(v->prefix, '/') - v->prefix);
        rest += strspn(rest, "/");
        if (up + 1 + strlen(rest) >= PATH_MAX)
            return -ENAMETOOLONG;
        memcpy(t->buf, v->prefix, up);
        t->buf[up] = '/';
        memcpy(t->buf + up + 1, rest, strlen(rest) + 1);
    }
    drop_hold(t);
    t->looked = false;
    return find_absolute(t->buf, flags, t);
}

// ---- into a volume ----

static int
enter(struct route_target *t, unsigned flags)
{
    struct route_vol *v;
    int r = route_walk(t, flags, &v);

    if (r <= 0)
        return r;
    r = set_routed(t, v, NULL, t->buf, flags);
    return r ? r : 1;
}

static bool
any_below(void)
{
    for (int i = 0; i < route_nvols; i++)
        if (route_vols[i].below)
            return true;
    return false;
}

int
route_next(struct route_target *t, unsigned flags, long result)
{
    int saved = errno, r;

    if (t->vol) {
        if (result != -EREMOTE)
            return 0;
        r = leave(t, flags);
        return r ? r : 1;
    }
    if (t->looked || route_bad_string(t->path) || !*t->path)
        return 0;
    if (result >= 0 ? !any_below() : errno != ENOENT && errno != ENOTDIR)
        return 0;
    if (result < 0 && route_plainly_missing(t)) {
        errno = saved;
        return 0;
    }
    t->looked = true;
    r = enter(t, flags);
    errno = saved;
    return r;
}

// ---- whole calls ----

static long
native(struct route_target *t, unsigned flags, route_out_fn out, void *arg, bool *again)
{
    int r = route_next(t, flags, 0);
    long got;

    *again = r != 0;
    if (r)
        return r;
    got = out(t->dirfd, t->path, arg);
    if (got >= 0)
        return got;
    r = route_next(t, flags, got);
    *again = r != 0;
    return r ? r : got;
}

long
route_call(int dirfd, const char *path, unsigned flags, route_in_fn in, route_out_fn out, void *arg)
{
    struct route_target t;
    struct route_guard g;
    bool again;
    long r;

    if (route_idle())
        return out(dirfd, path, arg);
    r = route_find(dirfd, path, flags, &t);
    while (r >= 0) {
        if (!t.vol) {
            r = native(&t, flags, out, arg, &again);
            if (!again) {
                route_done(&t);
                return r;
            }
            continue;
        }
        route_enter(&g);
        r = in(&t, arg);
        route_leave(&g);
        if (r != -EREMOTE)
            break;
        r = route_next(&t, flags, r);
    }
    route_done(&t);
    return route_result(r);
}

static int
settle(struct route_target *t, unsigned flags)
{
    int r = t->vol ? 0 : route_next(t, flags, 0);

    return r < 0 ? r : 0;
}

// Both native, and one failed: does a link of either lead into a volume?
static int
look_again(struct route_target *a, unsigned aflags, struct route_target *b, unsigned bflags)
{
    int r = a->vol ? 0 : route_next(a, aflags, -1), s;

    if (r < 0)
        return r;
    s = b->vol ? 0 : route_next(b, bflags, -1);
    return s < 0 ? s : r || s;
}

// The escape of a call with two paths does not say which of them left the volume.
static bool
leaves(struct route_target *t)
{
    struct fsc_attr attr;
    struct route_guard g;
    int r;

    route_enter(&g);
    r = fsc.getattr(t->vol->fs, &t->at, t->path, AT_SYMLINK_NOFOLLOW, &attr);
    route_leave(&g);
    return r == -EREMOTE;
}

static long
call2(struct route_target *a, unsigned aflags, struct route_target *b, unsigned bflags, route_in2_fn in,
      route_out2_fn out, void *arg)
{
    struct route_guard g;
    long r = settle(a, aflags);

    if (!r)
        r = settle(b, bflags);
    while (!r || r == 1) {
        if (!a->vol && !b->vol) {
            r = out(a->dirfd, a->path, b->dirfd, b->path, arg);
            if (r >= 0)
                return r;
            r = look_again(a, aflags, b, bflags);
            if (r == 0)
                return -errno;
            continue;
        }
        if (a->vol != b->vol) {
            errno = ENOENT; // one of them may still lead to the other's side
            r = look_again(a, aflags, b, bflags);
            if (r == 0)
                return -EXDEV;
            continue;
        }
        route_enter(&g);
        r = in(a, b, arg);
        route_leave(&g);
        if (r != -EREMOTE)
            return r;
        r = leaves(a) ? route_next(a, aflags, r) : leaves(b) ? route_next(b, bflags, r) : -ESTALE;
    }
    return r;
}

long
route_call2(int dirfd, const char *path, unsigned flags, int dirfd2, const char *path2, unsigned flags2,
            route_in2_fn in, route_out2_fn out, void *arg)
{
    struct route_target a, b;
    long r;

    if (route_idle())
        return out(dirfd, path, dirfd2, path2, arg);
    r = route_find(dirfd, path, flags, &a);
    if (r < 0)
        return route_result(r);
    r = route_find(dirfd2, path2, flags2, &b);
    if (!r)
        r = call2(&a, flags, &b, flags2, in, out, arg);
    route_done(&b);
    route_done(&a);
    return route_result(r);
}
