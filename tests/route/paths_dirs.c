// SPDX-License-Identifier: Apache-2.0
// Directory streams, getdents, scandir, glob.
#include <dirent.h>
#include <glob.h>
#include <sys/syscall.h>
#include <wordexp.h>

#include "tests/route/paths.h"

#define MANY 300

static int
by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

// The names of a stream in order, since each file system has its own.
static void
names_of(const char *what, DIR *dir)
{
    static char names[MANY + 50][32];
    struct dirent *e;
    size_t n = 0;

    while ((errno = 0, e = readdir(dir)) != NULL && n < MANY + 50)
        snprintf(names[n++], 32, "%.20s:%d", e->d_name, e->d_type);
    trace("%s: %zu entries, errno %d", what, n, errno);
    qsort(names, n, sizeof(names[0]), by_name);
    for (size_t i = 0; i<n; i += n> 50 ? 17 : 1)
        trace("    %s", names[i]);
}

static void
streams(void)
{
    DIR *dir = opendir("d"), *other;
    struct dirent *e, entry, *result;
    char first[256];
    long at;
    int fd, n = 0;

    names_of("d", dir);
    rewinddir(dir);
    names_of("d again", dir);
    rewinddir(dir);
    e = readdir(dir);
    snprintf(first, sizeof(first), "%s", e->d_name);
    e = readdir(dir);
    at = telldir(dir);
    e = readdir(dir);
    snprintf(first, sizeof(first), "%s", e->d_name);
    while (readdir(dir))
        n++;
    T(n);
    seekdir(dir, at);
    e = readdir(dir);
    T(strcmp(e->d_name, first));
    rewinddir(dir);
    n = 0;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    while (readdir_r(dir, &entry, &result) == 0 && result)
        n += result->d_reclen > 0;
#pragma GCC diagnostic pop
    T(n);
    T(dirfd(dir) > 2);
    T(fcntl(dirfd(dir), F_GETFD));
    T(faccessat(dirfd(dir), "f7", F_OK, 0));
    T(closedir(dir));
    S((char *)opendir("none"));
    S((char *)opendir(""));
    S((char *)opendir("f"));
    S((char *)fdopendir(-1));
    fd = open("f", O_RDONLY);
    S((char *)fdopendir(fd));
    close(fd);
    fd = open("d", O_RDONLY);
    other = fdopendir(fd);
    T(dirfd(other) == fd);
    T(fcntl(fd, F_GETFD));
    names_of("fdopendir", other);
    T(closedir(other));
    T(fcntl(fd, F_GETFD));
    fd = open("d", O_PATH);
    S((char *)fdopendir(fd));
    close(fd);
}

// What is there all the while is told once, whatever comes and goes.
static void
changes(void)
{
    DIR *dir = opendir("d");
    struct dirent *e;
    int seen = 0;

    for (int i = 0; i < 50; i++)
        if (!readdir(dir))
            break;
    for (int i = 0; i < MANY; i += 3) {
        char name[32];

        snprintf(name, sizeof(name), "d/f%d", i);
        unlink(name);
    }
    rewinddir(dir);
    while ((e = readdir(dir)) != NULL)
        seen++;
    trace("after removing a third: %d", seen);
    T(closedir(dir));
}

// What SYS_getdents gives: sums, as the order is the file system's.
static void
old_form(int fd)
{
    unsigned long names = 0, types[16] = {0};
    int n = 0;
    char buf[2000];
    long k;

    T(lseek(fd, 0, SEEK_SET));
    while ((k = syscall(SYS_getdents, fd, buf, sizeof(buf))) > 0)
        for (char *p = buf; p < buf + k; n++) {
            unsigned short len;

            memcpy(&len, p + 16, sizeof(len));
            for (const char *c = p + 18; *c; c++)
                names += (unsigned char)*c * (unsigned long)(c - p);
            types[p[len - 1] & 15]++;
            p += len;
        }
    trace("%ld, %d entries, names %lu, types %lu %lu %lu %lu", k, n, names, types[DT_DIR], types[DT_REG],
          types[DT_LNK], types[DT_FIFO]);
    T(lseek(fd, 0, SEEK_SET));
    T(syscall(SYS_getdents, fd, buf, 8));
}

static void
by_number(void)
{
    int fd = open("d", O_RDONLY | O_DIRECTORY), n = 0;
    char buf[2000];
    off_t base = 0;
    long k;

    while ((k = getdents64(fd, buf, sizeof(buf))) > 0)
        for (char *p = buf; p < buf + k; p += ((struct dirent *)(void *)p)->d_reclen)
            n++;
    T(k);
    T(n);
    T(lseek(fd, 0, SEEK_SET));
    n = 0;
    while ((k = syscall(SYS_getdents64, fd, buf, sizeof(buf))) > 0)
        for (char *p = buf; p < buf + k; p += ((struct dirent *)(void *)p)->d_reclen)
            n++;
    T(n);
    old_form(fd);
    T(lseek(fd, 0, SEEK_SET));
    T(getdents64(fd, buf, 8));
    T(getdirentries(fd, buf, sizeof(buf), &base) > 0);
    close(fd);
    fd = open("f", O_RDONLY);
    T(getdents64(fd, buf, sizeof(buf)));
    close(fd);
}

static int
ends_in_7(const struct dirent *e)
{
    return e->d_name[strlen(e->d_name) - 1] == '7';
}

static void
scans(void)
{
    struct dirent **list = NULL;
    int n = T(scandir("d", &list, ends_in_7, alphasort));

    for (int i = 0; i < n; i++) {
        if (i % 5 == 0)
            trace("    %s", list[i]->d_name);
        free(list[i]);
    }
    free(list);
    T(scandir("none", &list, NULL, NULL));
    n = T(scandirat(AT_FDCWD, P("d"), &list, NULL, versionsort));
    for (int i = 0; i < n; i++) {
        if (i % 50 == 0)
            trace("    %s", list[i]->d_name);
        free(list[i]);
    }
    free(list);
}

static void
globs(const char *pattern, int flags)
{
    glob_t g = {0};
    int r = glob(pattern, flags, NULL, &g);

    trace("glob %s %x = %d, %zu", pattern, (unsigned)flags, r, g.gl_pathc);
    for (size_t i = 0; r == 0 && i<g.gl_pathc; i += g.gl_pathc> 20 ? 9 : 1)
        trace("    %s", g.gl_pathv[i]);
    if (r == 0)
        globfree(&g);
}

static void
words(const char *text, int flags)
{
    static wordexp_t w;
    int r = wordexp(text, &w, flags);

    trace("wordexp %s %x = %d, %zu", text, (unsigned)flags, r, w.we_wordc);
    for (size_t i = 0; r == 0 && i < w.we_wordc; i++)
        trace("    %s", w.we_wordv[i]);
    if (r == 0 && !(flags & WRDE_REUSE))
        return;
    wordfree(&w);
}

static void
expansions(void)
{
    setenv("PATTERN", "d/f2[0-2]", 1);
    setenv("DIRECTORY", "d", 1);
    words("d/f1? none* plain", 0);
    words("$PATTERN", WRDE_APPEND);
    words("${DIRECTORY}/f3? $((2*3))", WRDE_APPEND);
    words("'d/f1?'", WRDE_APPEND);
    words("d/s*", WRDE_APPEND);
    words(P("d/sub* $((1+2))"), WRDE_REUSE);
    words("d/*5", WRDE_NOCMD);
    words("* d/[x-z]*", WRDE_REUSE);
}

void
family_dirs(void)
{
    char name[32];
    glob_t g = {0};

    T(mkdir("d", 0755));
    T(mkdir("d/sub", 0755));
    T(symlink("sub", "d/link"));
    T(mkfifo("d/fifo", 0600));
    put("f", "x");
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof(name), "d/f%d", i);
        put(name, "");
    }
    streams();
    by_number();
    scans();
    expansions();
    globs("d/*1", 0);
    globs("*", GLOB_MARK);
    globs("d/s*b/", 0);
    globs("none*", 0);
    globs("none*", GLOB_NOCHECK);
    globs("{f,d}", GLOB_BRACE);
    globs("d/*", GLOB_ONLYDIR);
    globs(P("d/f?"), 0);
    globs(P("*/link/../f1*"), GLOB_MARK);
    T(glob("f", 0, NULL, &g));
    T(glob("d/f2?", GLOB_APPEND, NULL, &g));
    T(g.gl_pathc);
    globfree(&g);
    changes();
}
