// SPDX-License-Identifier: Apache-2.0
// mkdir, mknod, symlink, readlink, link, unlink, rmdir, remove, rename: by absolute and relative path, by
// descriptor.
#include <limits.h>
#include <sys/sysmacros.h>

#include "tests/route/paths.h"

static void
makes(int dir)
{
    T(mkdir("d", 0777));
    show("d");
    T(mkdir("d", 0777));
    T(mkdir("", 0777));
    T(mkdir("d/", 0777));
    T(mkdir("none/d", 0777));
    T(mkdir(P("d/e"), 0700));
    T(mkdirat(dir, "d/e/f/", 0711));
    show("d/e/f");
    T(mkdirat(-1, "x", 0777));
    T(mkdirat(-1, P("abs"), 0777));
    T(mknod("reg", S_IFREG | 0644, 0));
    T(mknod("reg", S_IFREG | 0644, 0));
    T(mknodat(dir, "fifo0", S_IFIFO | 0600, 0));
    T(mkfifo("fifo", 0666));
    T(mkfifoat(dir, "d/fifo", 0640));
    T(mkfifo("reg/x", 0640));
    T(mknod("null", S_IFCHR | 0666, makedev(1, 3)));
    T(mknod("sock", S_IFSOCK | 0666, 0));
    T(mknod("dir", S_IFDIR | 0755, 0));
    show("reg");
    show("fifo0");
    show("fifo");
    show("d/fifo");
    show("null");
    show("sock");
}

static void
links(int dir)
{
    char buf[PATH_MAX];
    char text[300];
    long n;

    T(symlink("reg", "l"));
    T(symlink("", "l2"));
    T(symlink("reg", "l"));
    T(symlinkat("../reg", dir, "d/l"));
    T(symlink("loop", "loop"));
    T(symlink(P("d"), "abs_l"));
    show("l");
    n = T(readlink("l", buf, sizeof(buf)));
    trace_bytes("l", buf, n);
    T(readlink("l", buf, 2));
    trace_bytes("l cut", buf, 2);
    T(readlink("reg", buf, sizeof(buf)));
    T(readlink("none", buf, sizeof(buf)));
    T(readlink("reg/x", buf, sizeof(buf)));
    T(readlink("loop/x", buf, sizeof(buf)));
    T(readlink("l", buf, 0));
    n = T(readlinkat(dir, "d/l", buf, sizeof(buf)));
    trace_bytes("d/l", buf, n);
    show("abs_l");
    show("abs_l/e");
    memset(text, 'x', sizeof(text));
    text[256] = '\0';
    T(mkdir(text, 0755));
    text[255] = '\0';
    T(mkdir(text, 0755));
    T(rmdir(text));
}

static void
hard_links(int dir)
{
    T(link("reg", "reg2"));
    show("reg");
    T(link("reg", "reg2"));
    T(link("none", "x"));
    T(link("d", "d2"));
    T(link("l", "l_hard"));
    show("l_hard");
    T(linkat(dir, "l", dir, "l_followed", AT_SYMLINK_FOLLOW));
    show("l_followed");
    T(linkat(dir, "reg", dir, "d/reg3", 0));
    T(linkat(dir, "reg", dir, "d/reg3", 0x4000));
    T(link(P("reg"), "d/reg4"));
    show("reg");
}

static void
removes(int dir)
{
    T(unlink("none"));
    T(unlink("d"));
    T(unlink("d/reg3"));
    T(unlinkat(dir, "d/reg4", 0));
    T(unlinkat(dir, "d", 0));
    T(unlinkat(dir, "d", AT_REMOVEDIR));
    T(unlinkat(dir, "reg", AT_REMOVEDIR));
    T(unlinkat(dir, "reg", 0x8000));
    T(rmdir("d/e/f"));
    T(rmdir("d/e/."));
    T(rmdir("d/e/.."));
    T(rmdir("reg"));
    T(remove("d/e"));
    T(remove("reg2"));
    T(remove("none"));
    T(remove("d"));
    T(unlink("l_hard/"));
    show("d");
    show("reg");
}

static void
renames(int dir)
{
    put("a", "aaa");
    put("b", "bb");
    T(rename("a", "b"));
    show_file("b");
    T(rename("none", "x"));
    T(rename("b", "d"));
    T(rename("d", "b"));
    T(rename("d", "d/sub"));
    T(rename("b", "b"));
    T(mkdir("e", 0755));
    T(mkdir("e/full", 0755));
    T(mkdir("e2", 0755));
    T(rename("e2", "e"));
    T(rename("e", "e2"));
    T(rename("b", "b2/"));
    T(rename("b", "none/x"));
    T(rename(".", "x"));
    T(renameat(dir, "b", dir, "e2/b"));
    show("e2/b");
    put("c", "c");
    T(renameat2(dir, "c", dir, "e2/b", 1));
    T(renameat2(dir, "c", dir, "e2/b", 2));
    show_file("c");
    T(renameat2(dir, "c", dir, "e2/new", 1));
    T(renameat2(dir, "e2", dir, "e2/new", 2));
    T(renameat2(dir, "c", dir, "none", 2));
    T(renameat2(dir, "e2/b", dir, "x", 3));
    T(renameat2(dir, "e2/b", dir, "x", 8));
    T(rename("fifo", "fifo1"));
    T(rename("l", "l3"));
    show("l3");
    T(rename(P("e2/new"), "moved"));
    T(rename("moved", "/proc/zio-none/x") == -1);
}

void
family_names(void)
{
    int dir = open(".", O_RDONLY | O_DIRECTORY);

    makes(dir);
    links(dir);
    hard_links(dir);
    removes(dir);
    renames(dir);
    // A name that leads through what is removed meanwhile.
    T(mkdir("gone", 0755));
    T(chdir("gone"));
    T(rmdir(P("gone")));
    T(mkdir("x", 0755));
    T(mknod("x", S_IFREG | 0600, 0));
    S(getcwd(NULL, 0));
    T(chdir(".."));
    close(dir);
}
