// SPDX-License-Identifier: Apache-2.0
// Links that lead into a volume from outside and out of it again: ROOT.out is a native directory in both
// runs.
#include <dirent.h>
#include <ftw.h>
#include <glob.h>
#include <limits.h>

#include "tests/route/paths.h"

static char outside[5000];

static const char *
O(const char *name)
{
    static char buf[4][5200];
    static int next;
    char *p = buf[next++ % 4];

    snprintf(p, sizeof(buf[0]), "%s/%s", outside, name);
    return p;
}

static int
visit(const char *path, const struct stat *st, int type, struct FTW *f)
{
    (void)st;
    trace("    %s %d %d", path, type, f->level);
    return 0;
}

static void
through(const char *in)
{
    char buf[PATH_MAX], path[PATH_MAX];
    struct stat st;
    DIR *dir;
    FILE *f;
    glob_t g;

    snprintf(path, sizeof(path), "%s/f", in);
    T(stat(path, &st));
    show_stat("f", &st);
    T(lstat(in, &st));
    T(access(path, W_OK));
    show_file(path);
    S(realpath(path, buf));
    S(realpath(in, buf));
    dir = opendir(in);
    T(dir != NULL);
    if (dir)
        T(closedir(dir));
    snprintf(path, sizeof(path), "%s/new", in);
    f = fopen(path, "w");
    T(f && fputs("new", f) >= 0 && fclose(f) == 0);
    show_file(P("new"));
    T(chmod(path, 0600));
    show(P("new"));
    T(rename(path, P("new2")));
    snprintf(path, sizeof(path), "%s/dir", in);
    T(mkdir(path, 0755));
    T(rmdir(P("dir")));
    snprintf(path, sizeof(path), "%s/n*", in);
    T(glob(path, 0, NULL, &g));
    trace("    %s", g.gl_pathv[0]);
    globfree(&g);
    T(unlink(P("new2")));
    snprintf(path, sizeof(path), "%s/none", in);
    T(stat(path, &st));
    T(open(path, O_RDONLY));
    snprintf(path, sizeof(path), "%s/f/x", in);
    T(stat(path, &st));
}

// The prefix as a name in its native parent, as who opens a path name by name reaches it.
static void
by_parent(void)
{
    char parent[PATH_MAX];
    const char *name = strrchr(root, '/') + 1;
    struct stat st;
    int fd, in;

    snprintf(parent, sizeof(parent), "%.*s", (int)(name - 1 - root), root);
    fd = open(parent, O_PATH | O_DIRECTORY);
    in = openat(fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW);
    T(in >= 0);
    T(fstatat(in, "f", &st, 0));
    T(fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW));
    T(S_ISDIR(st.st_mode));
    T(fchdir(in));
    T(access("f", R_OK));
    T(fchdir(fd));
    T(access(name, X_OK));
    T(chdir(name));
    T(access("f", R_OK));
    T(close(in));
    T(close(fd));
}

void
family_border(void)
{
    char buf[PATH_MAX];
    struct stat st;
    int fd;

    snprintf(outside, sizeof(outside), "%s.out", root);
    T(mkdir(outside, 0755));
    put(O("native"), "native");
    T(mkdir("d", 0755));
    put("f", "inside");
    by_parent();
    T(symlink(root, O("in")));
    T(symlink(P("f"), O("file")));
    T(symlink(outside, "out"));
    T(symlink(P("f"), "abs"));
    T(symlink("../f", "d/rel"));
    T(symlink(O("file"), "there_and_back"));
    T(symlink(O("none"), "dangling"));
    through(O("in"));
    through(O("in/out/in"));
    show_file(O("file"));
    show_file("out/native");
    show_file("abs");
    show_file("d/rel");
    show_file("there_and_back");
    show_file("dangling");
    S(realpath("there_and_back", buf));
    S(realpath("out/in/d/rel", buf));
    T(chdir(O("in")));
    S(getcwd(buf, sizeof(buf)));
    T(chdir("out"));
    S(getcwd(buf, sizeof(buf)));
    show_file("native");
    show_file("in/f");
    T(chdir("in/d"));
    S(getcwd(buf, sizeof(buf)));
    T(chdir(root));
    T(nftw(O(""), visit, 5, FTW_PHYS | FTW_DEPTH));
    put("out/made", "made from inside");
    show_file(O("made"));
    T(unlink("out/made"));
    T(open("dangling", O_CREAT | O_EXCL | O_WRONLY, 0600));
    fd = open("dangling", O_CREAT | O_WRONLY, 0600); // makes what it leads to
    T(write(fd, "x", 1));
    close(fd);
    show_file(O("none"));
    fd = open(outside, O_RDONLY | O_DIRECTORY);
    T(fstatat(fd, "in/f", &st, 0));
    T(fstatat(fd, "native", &st, 0));
    T(faccessat(fd, "in/none", F_OK, 0));
    T(readlinkat(fd, "file", buf, sizeof(buf)) > 0);
    T(unlinkat(fd, "in", 0)); // the link itself
    close(fd);
    show("f");
    T(unlink(O("file")));
    T(unlink(O("none")));
    T(unlink(O("native")));
    T(rmdir(outside));
    T(stat("out", &st));
    show("out");
    // "..", from the root of the tree and into it.
    snprintf(buf, sizeof(buf), "%s/../%s/f", root, strrchr(root, '/') + 1);
    T(stat(buf, &st));
    snprintf(buf, sizeof(buf), "../%s/d/../f", strrchr(root, '/') + 1);
    T(stat(buf, &st));
    T(stat("/", &st));
    T(stat("..", &st));
    show_stat("..", &st);
}
