// SPDX-License-Identifier: Apache-2.0
// Temporary names: the C library opens and makes them from inside. (tmpfile() has no name: it stays the C
// library's.)
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "libzio/hooks_fs.h"

#define LETTERS 62
#define TRIES (LETTERS * LETTERS * LETTERS) // as the C library does

// The six X before the suffix, or NULL.
static char *
place(char *template, int suffix)
{
    size_t n = strlen(template);

    if (suffix < 0 || n < 6 + (size_t)suffix || memcmp(template + n - 6 - suffix, "XXXXXX", 6) != 0)
        return NULL;
    return template + n - 6 - suffix;
}

static void
letters(char x[6])
{
    static const char set[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    uint64_t v;

    if (getrandom(&v, sizeof(v), GRND_NONBLOCK) != (ssize_t)sizeof(v))
        v = (uint64_t)(uintptr_t)&v ^ (uint64_t)random() << 20;
    for (int i = 0; i < 6; i++, v /= LETTERS)
        x[i] = set[v % LETTERS];
}

struct temp {
    char *template;
    int suffix;
    int (*try)(const char *path, int flags); // >= 0, or -1 and errno; EEXIST: another name
    int flags;
};

static int
try_names(const struct temp *t)
{
    char *x = place(t->template, t->suffix);
    int saved = errno;

    if (!x)
        return (int)fs_result(-EINVAL);
    for (int i = 0; i < TRIES; i++) {
        int r;

        letters(x);
        r = t->try(t->template, t->flags);
        if (r >= 0)
            errno = saved;
        if (r >= 0 || errno != EEXIST)
            return r;
    }
    return (int)fs_result(-EEXIST);
}

static int
try_open(const char *path, int flags)
{
    return open(path, (flags & ~O_ACCMODE) | O_RDWR | O_CREAT | O_EXCL, 0600);
}

static int
try_mkdir(const char *path, int flags)
{
    (void)flags;
    return mkdir(path, 0700);
}

static int
try_free(const char *path, int flags)
{
    struct stat st;

    (void)flags;
    if (lstat(path, &st) == 0 || errno == EOVERFLOW)
        errno = EEXIST;
    return errno == ENOENT ? 0 : -1;
}

ZIO_EXPORT int
mkostemps(char *template, int suffix, int flags)
{
    if (route_idle())
        return FS_REAL(mkostemps)(template, suffix, flags);
    return try_names(&(struct temp){template, suffix, try_open, flags});
}
ZIO_ALIAS(mkostemps64, mkostemps);

ZIO_EXPORT int
mkstemps(char *template, int suffix)
{
    return mkostemps(template, suffix, 0);
}
ZIO_ALIAS(mkstemps64, mkstemps);

ZIO_EXPORT int
mkostemp(char *template, int flags)
{
    return mkostemps(template, 0, flags);
}
ZIO_ALIAS(mkostemp64, mkostemp);

ZIO_EXPORT int
mkstemp(char *template)
{
    return mkostemps(template, 0, 0);
}
ZIO_ALIAS(mkstemp64, mkstemp);

ZIO_EXPORT char *
mkdtemp(char *template)
{
    if (route_idle())
        return FS_REAL(mkdtemp)(template);
    return try_names(&(struct temp){template, 0, try_mkdir, 0}) < 0 ? NULL : template;
}

// No file is made, so that there is a race: the linker warns of it, programs use it nevertheless.
char *__mktemp(char *template);
ZIO_EXPORT char *
__mktemp(char *template)
{
    if (try_names(&(struct temp){template, 0, try_free, 0}) < 0)
        template[0] = '\0';
    return template;
}
ZIO_ALIAS(mktemp, __mktemp);

// TMPDIR, the caller's directory, P_tmpdir: the first that is a directory.
ZIO_EXPORT char *
tempnam(const char *dir, const char *prefix)
{
    const char *list[] = {secure_getenv("TMPDIR"), dir, P_tmpdir};
    struct stat st;
    char *path;

    if (route_idle())
        return FS_REAL(tempnam)(dir, prefix);
    for (int i = 0; i < 3; i++) {
        if (!list[i] || stat(list[i], &st) < 0 || !S_ISDIR(st.st_mode))
            continue;
        if (asprintf(&path, "%s/%.5sXXXXXX", list[i], prefix ? prefix : "file") < 0)
            return NULL;
        if (try_names(&(struct temp){path, 0, try_free, 0}) == 0)
            return path;
        free(path);
        return NULL;
    }
    errno = ENOENT;
    return NULL;
}

ZIO_EXPORT key_t
ftok(const char *path, int id)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return (key_t)-1;
    return (key_t)((st.st_ino & 0xffff) | ((st.st_dev & 0xff) << 16) | ((unsigned)id & 0xff) << 24);
}
