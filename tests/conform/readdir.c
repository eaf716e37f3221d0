// SPDX-License-Identifier: Apache-2.0
// Directory streams: complete, each once, under change, by cookie; and the functions of glibc's that walk.
#include <dirent.h>
#include <ftw.h>
#include <glob.h>
#include <limits.h>

#include "conform.h"

static void
entries(void)
{
    int dots = 0, good = 0, wrong = 0;
    struct dirent *e;
    DIR *d;

    NEED(mkdir("d", 0755));
    NEED(put_file("d/file", 0644, ""));
    NEED(mkdir("d/dir", 0755));
    NEED(symlink("x", "d/symlink"));
    NEED(mkfifo("d/fifo", 0644));
    d = opendir("d");
    B("opendir", d != NULL);
    NEED(d ? 0 : -1);
    errno = 0;
    while ((e = readdir(d))) {
        const char *path = label_of("d/%s", e->d_name);
        struct stat st = stat_of(path);

        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            dots++;
        if (e->d_ino == st.st_ino && (e->d_type == IFTODT(st.st_mode) || e->d_type == DT_UNKNOWN))
            good++;
        else
            wrong++;
        errno = 0;
    }
    EQ("end-is-no-error", 0, errno);
    EQ("dots", 2, dots);
    EQ("entries", 6, good);
    EQ("wrong", 0, wrong);
    rewinddir(d);
    for (good = 0; readdir(d); good++)
        ;
    EQ("rewind", 6, good);
    NEED(put_file("d/later", 0644, ""));
    rewinddir(d);
    for (good = 0; readdir(d); good++)
        ;
    EQ("rewind-sees-new", 7, good);
    B("dirfd", dirfd(d) >= 0 && faccessat(dirfd(d), "later", F_OK, 0) == 0);
    T("closedir", 0, closedir(d));
    errno = 0;
    B("opendir-none", !opendir("none") && errno == ENOENT);
    errno = 0;
    B("opendir-file", !opendir("d/file") && errno == ENOTDIR);
    NEED(chmod("d", 0311));
    AS (U1, G1) {
        errno = 0;
        B("opendir-no-read", !opendir("d") && errno == EACCES);
    }
    int fd = open("d/file", O_RDONLY);
    errno = 0;
    B("fdopendir-file", !fdopendir(fd) && errno == ENOTDIR);
    close(fd);
}

enum { MANY = 3000 };

static int
number_of(const char *name)
{
    return name[0] == 'n' && name[1] == '-' ? atoi(name + 2) : -1;
}

// Entries that are there all the while come once, whatever else comes and goes in between.
static void
changing(void)
{
    static unsigned char seen[MANY];
    int twice = 0, missing = 0, gone_seen = 0, i = 0;
    struct dirent *e;
    DIR *d;

    NEED(mkdir("d", 0755));
    for (int n = 0; n < MANY; n++)
        NEED(mknod(label_of("d/n-%04d-%s", n, "a longer name than usual, for more blocks"), S_IFREG | 0644,
                   0));
    NEED((d = opendir("d")) ? 0 : -1);
    while ((e = readdir(d))) {
        int n = number_of(e->d_name);

        if (n >= 0 && seen[n]++)
            twice++;
        // One in three goes as soon as it is seen; others are made.
        if (n >= 0 && n % 3 == 0)
            NEED(unlinkat(dirfd(d), e->d_name, 0));
        if (++i % 10 == 0)
            NEED(mknod(label_of("d/made-%d", i), S_IFREG | 0644, 0));
    }
    for (int n = 0; n < MANY; n++)
        missing += !seen[n];
    EQ("once", 0, twice);
    EQ("all", 0, missing);
    rewinddir(d);
    for (i = 0; (e = readdir(d));) {
        int n = number_of(e->d_name);

        i += n >= 0;
        gone_seen += n >= 0 && n % 3 == 0;
    }
    EQ("gone", 0, gone_seen);
    EQ("left", MANY - MANY / 3, i);
    closedir(d);
}

static void
positions(void)
{
    char names[102][NAME_MAX + 1];
    long cookies[103];
    struct dirent *e;
    int n = 0, good = 0;
    DIR *d;

    NEED(mkdir("d", 0755));
    for (int i = 0; i < 100; i++)
        NEED(mknod(label_of("d/n-%d", i), S_IFREG | 0644, 0));
    NEED((d = opendir("d")) ? 0 : -1);
    cookies[0] = telldir(d);
    while (n < 102 && (e = readdir(d))) {
        strcpy(names[n], e->d_name);
        cookies[++n] = telldir(d);
    }
    EQ("entries", 102, n);
    for (int i = 101; i >= 0; i--) {
        seekdir(d, cookies[i]);
        e = readdir(d);
        good += e && strcmp(e->d_name, names[i]) == 0;
    }
    EQ("seekdir", 102, good);
    seekdir(d, cookies[102]);
    B("seekdir-end", !readdir(d));
    closedir(d);
    int fd = open("d", O_RDONLY | O_DIRECTORY);
    NEED((d = fdopendir(fd)) ? 0 : -1);
    B("fdopendir", readdir(d) != NULL);
    closedir(d);
    T("fdopendir-owns", EBADF, fcntl(fd, F_GETFD));
}

static int visited, bytes_seen;

static int
visit(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)path, (void)ftw;
    visited++;
    bytes_seen += flag == FTW_F ? (int)st->st_size : 0;
    return 0;
}

static int
remove_it(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

static int
visible(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

static void
walks(void)
{
    char buf[PATH_MAX], *real;
    struct dirent **list;
    glob_t g;
    int n;

    NEED(mkdir("t", 0755));
    NEED(mkdir("t/a", 0755));
    NEED(mkdir("t/a/b", 0755));
    NEED(put_file("t/a/b/one.c", 0644, "1"));
    NEED(put_file("t/a/two.c", 0644, "22"));
    NEED(put_file("t/three.h", 0644, "333"));
    NEED(symlink("a/b", "t/s"));
    T("nftw", 0, nftw("t", visit, 10, FTW_PHYS));
    EQ("nftw-visited", 7, visited);
    EQ("nftw-bytes", 6, bytes_seen);
    EQ("scandir", 3, n = scandir("t", &list, visible, alphasort));
    B("scandir-sorted",
      n == 3 && strcmp(list[0]->d_name, "a") == 0 && strcmp(list[2]->d_name, "three.h") == 0);
    EQ("glob", 0, glob("t/*/*.c", 0, NULL, &g));
    EQ("glob-found", 2, g.gl_pathc);
    real = realpath("t/s/../two.c", buf);
    B("realpath", real && strcmp(real, label_of("%s/t/a/two.c", case_dir)) == 0);
    errno = 0;
    B("realpath-none", !realpath("t/none/x", buf) && errno == ENOENT);
    T("remove-tree", 0, nftw("t", remove_it, 10, FTW_PHYS | FTW_DEPTH));
    B("removed", !exists("t"));
}

const struct test_case cases_readdir[] = {
    {"readdir", entries}, {"readdir-changing", changing}, {"readdir-position", positions}, {"walk", walks},
    {NULL, NULL},
};
