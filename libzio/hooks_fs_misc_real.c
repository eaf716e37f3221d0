// SPDX-License-Identifier: Apache-2.0
// Names of the place itself: realpath and getcwd with their kin. The C library asks the kernel from inside,
// where no hook sees it, so that both are done here: by the hooks' own readlink and current directory.
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "libzio/hooks_fs.h"

void __chk_fail(void) __attribute__((noreturn));

// ---- getcwd ----

// The routed current directory's path: its length; 0: it is native; -errno.
static ssize_t
routed_cwd(char *buf, size_t size)
{
    struct route_file *f = route_idle() ? NULL : route_cwd_get();
    ssize_t n;

    if (!f)
        return 0;
    n = fs_path_of(f, buf, size - 1);
    route_file_put(f);
    if (n > 0)
        buf[n] = '\0';
    return n;
}

ZIO_EXPORT char *
getcwd(char *buf, size_t size)
{
    char path[PATH_MAX];
    ssize_t n = routed_cwd(path, sizeof(path));

    if (n == 0)
        return FS_REAL(getcwd)(buf, size);
    if (n > 0 && buf && size == 0)
        n = -EINVAL;
    if (n > 0 && size > 0 && (size_t)n >= size)
        n = -ERANGE;
    if (n < 0) {
        errno = (int)-n;
        return NULL;
    }
    if (!buf && !(buf = malloc(size ? size : (size_t)n + 1)))
        return NULL;
    return memcpy(buf, path, (size_t)n + 1);
}

char *__getcwd_chk(char *buf, size_t size, size_t room);
ZIO_EXPORT char *
__getcwd_chk(char *buf, size_t size, size_t room)
{
    if (size > room)
        __chk_fail();
    return getcwd(buf, size);
}

// Deprecated, since the caller's room can't be known: PATH_MAX, says the standard.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
ZIO_EXPORT char *
getwd(char *buf)
{
    char path[PATH_MAX];

    __asm__("" : "+r"(buf));
    if (!buf) {
        errno = EINVAL;
        return NULL;
    }
    if (!getcwd(path, sizeof(path))) {
        const char *why = strerrordesc_np(errno);

        strcpy(buf, why ? why : ""); // as the manual has it
        return NULL;
    }
    return strcpy(buf, path);
}
#pragma GCC diagnostic pop

char *__getwd_chk(char *buf, size_t room);
ZIO_EXPORT char *
__getwd_chk(char *buf, size_t room)
{
    char *r = getcwd(buf, room);

    if (!r && errno == ERANGE)
        __chk_fail();
    return r;
}

ZIO_EXPORT char *
get_current_dir_name(void)
{
    const char *pwd = getenv("PWD");
    struct stat here, there;

    if (pwd && stat(".", &here) == 0 && stat(pwd, &there) == 0 && here.st_dev == there.st_dev &&
        here.st_ino == there.st_ino)
        return strdup(pwd);
    return getcwd(NULL, 0);
}

// ---- realpath ----

struct real {
    char path[PATH_MAX]; // resolved so far, absolute; "" for the root
    size_t len;
    char rest[2 * PATH_MAX]; // yet to be walked
    int links;
};

// Must what stands before `end` be a directory: "/", "/." or "/.." follow?
static bool
wants_dir(const char *end)
{
    while (*end == '/') {
        end += strspn(end, "/");
        if (*end == '\0')
            return true;
        if (*end != '.')
            return false;
        end++;
        if (*end == '\0' || (*end == '.' && (end[1] == '\0' || end[1] == '/')))
            return true;
    }
    return false;
}

static void
drop_last(struct real *r)
{
    while (r->len > 0 && r->path[r->len - 1] != '/')
        r->len--;
    if (r->len > 0)
        r->len--;
    r->path[r->len] = '\0';
}

// The last component is a link with this text: it takes the component's place.
static int
take_link(struct real *r, const char *text, size_t n, const char *behind)
{
    size_t m = strlen(behind);

    if (++r->links > 40)
        return -ELOOP;
    if (n + m >= sizeof(r->rest))
        return -ENAMETOOLONG;
    memmove(r->rest + n, behind, m + 1);
    memcpy(r->rest, text, n);
    if (text[0] == '/')
        r->path[r->len = 0] = '\0';
    else
        drop_last(r);
    return 0;
}

static int
is_dir(struct real *r)
{
    char path[PATH_MAX + 2];

    memcpy(path, r->path, r->len);
    strcpy(path + r->len, "/");
    return faccessat(AT_FDCWD, path, F_OK, AT_EACCESS) == 0 ? 0 : -errno;
}

// One component, of n bytes at *p; *p goes behind it.
static int
component(struct real *r, const char **p, size_t n)
{
    char text[PATH_MAX];
    const char *name = *p, *end = name + n;
    ssize_t k;

    *p = end;
    if (n == 1 && name[0] == '.')
        return 0;
    if (n == 2 && name[0] == '.' && name[1] == '.') {
        drop_last(r);
        return 0;
    }
    if (r->len + 1 + n >= sizeof(r->path))
        return -ENAMETOOLONG;
    r->path[r->len] = '/';
    memcpy(r->path + r->len + 1, name, n);
    r->path[r->len += 1 + n] = '\0';
    k = readlink(r->path, text, sizeof(text));
    if (k >= (ssize_t)sizeof(text))
        return -ENAMETOOLONG;
    if (k < 0 && wants_dir(end))
        return is_dir(r);
    if (k < 0)
        return errno == EINVAL ? 0 : -errno;
    *p = r->rest;
    return take_link(r, text, (size_t)k, end);
}

static int
resolve(struct real *r, const char *path)
{
    const char *p = path;
    int err = 0;

    r->len = 0;
    r->links = 0;
    if (*path == '\0')
        return -ENOENT;
    if (*path != '/') {
        if (!getcwd(r->path, sizeof(r->path)))
            return -errno;
        r->len = strcmp(r->path, "/") == 0 ? 0 : strlen(r->path);
    }
    r->path[r->len] = '\0';
    for (p += strspn(p, "/"); err == 0 && *p; p += strspn(p, "/"))
        err = component(r, &p, strcspn(p, "/"));
    if (r->len == 0)
        strcpy(r->path, "/");
    return err;
}

ZIO_EXPORT char *
realpath(const char *path, char *out)
{
    struct real *r;
    int saved = errno, err;

    if (route_idle())
        return FS_REAL(realpath)(path, out);
    __asm__("" : "+r"(path));
    if (!path) {
        errno = EINVAL;
        return NULL;
    }
    r = malloc(sizeof(*r));
    if (!r)
        return NULL;
    err = resolve(r, path);
    if (err == 0 && !out) {
        out = strdup(r->path);
        err = out ? 0 : -ENOMEM;
    } else if (out && *path && (err == 0 || err == -ENOENT || err == -EACCES)) {
        strcpy(out, r->path); // of these failures, too: how far it went
    }
    free(r);
    errno = err ? -err : saved;
    return err ? NULL : out;
}

char *__realpath_chk(const char *path, char *out, size_t room);
ZIO_EXPORT char *
__realpath_chk(const char *path, char *out, size_t room)
{
    if (room < PATH_MAX)
        __chk_fail();
    return realpath(path, out);
}

ZIO_EXPORT char *
canonicalize_file_name(const char *path)
{
    return realpath(path, NULL);
}
