// SPDX-License-Identifier: Apache-2.0
// The current directory, and links across the border of the volume in both directions.
#include <sys/syscall.h>

#include "tests/route/core.h"

static void
read_here(void *arg)
{
    int fd = open(arg, O_RDONLY);

    show_fd(arg, fd);
}

void
family_cwd(void)
{
    int dir, fd;

    close(make("a", "top"));
    T(mkdir(P("dir"), 0755));
    T(mkdir(P("dir/sub"), 0755));
    close(make("dir/b", "in dir"));
    T(chdir(P("dir")));
    read_here((void *)"b");
    read_here((void *)"../a");
    read_here((void *)"./sub/../b");
    in_child("child", read_here, (void *)"b");
    T(chdir("sub"));
    read_here((void *)"../b");
    T(chdir("../../dir"));
    read_here((void *)"b");
    T(chdir("none"));
    T(chdir("b"));
    T(chdir(""));
    dir = open(".", O_RDONLY | O_DIRECTORY);
    T(chdir("/"));
    T(open("b", O_RDONLY));
    T(fchdir(dir));
    read_here((void *)"b");
    T(fchdir(99));
    fd = open("b", O_RDONLY);
    T(fchdir(fd));
    T(syscall(SYS_chdir, P("dir/sub")));
    read_here((void *)"../b");
    T(chdir("/dev"));
    T(open("null", O_RDONLY));
    // From the kernel's tree by "..", and from its root.
    {
        char up[5000] = "..";

        strcat(up, P("a"));
        read_here(up);
        T(chdir("/"));
        T(open(up + 3, O_RDONLY) >= 0);
        T(chdir("/proc/self"));
        snprintf(up, sizeof up, "../..%s", P("a"));
        T(chdir("/usr/bin"));
        read_here(up);
    }
    // A directory that is removed while it is the current one.
    T(chdir(P("dir/sub")));
    T(rmdir(P("dir/sub")));
    T(open("x", O_RDWR | O_CREAT, 0644));
    T(chdir(".."));
}

void
family_links(void)
{
    char path[128], link[64];
    int fd;

    close(make("a", "in the volume"));
    T(mkdir(P("dir"), 0755));
    close(make("dir/b", "deeper"));
    // Out of the volume.
    T(symlink("/etc/passwd", P("out")));
    T(symlink("/etc", P("outdir")));
    T(symlink("/dev/null", P("null")));
    T(open(P("out"), O_RDONLY) >= 0);
    T(open(P("outdir/passwd"), O_RDONLY) >= 0);
    T(open(P("outdir/no such file"), O_RDONLY));
    T(open(P("null"), O_WRONLY) >= 0);
    T(open(P("out"), O_RDONLY | O_NOFOLLOW));
    T(open(P("dir/../../../../../../etc/passwd"), O_RDONLY) >= 0);
    // Into the volume, from outside.
    snprintf(link, sizeof link, "/tmp/zio-core-link.%d", getpid());
    T(symlink(P("a"), link) == 0);
    fd = open(link, O_RDONLY);
    show_fd("by a link", fd);
    T(unlink(link) == 0);
    T(symlink(P("dir"), link) == 0);
    snprintf(path, sizeof path, "%s/b", link);
    fd = open(path, O_RDONLY);
    show_fd("through a link", fd);
    snprintf(path, sizeof path, "%s/../a", link);
    fd = open(path, O_RDONLY);
    show_fd("through and up", fd);
    snprintf(path, sizeof path, "%s/new", link);
    T(close(open(path, O_RDWR | O_CREAT | O_EXCL, 0600)));
    T(unlink(link) == 0);
    T(symlink(P("made"), link) == 0); // dangling: the file is made in the volume
    fd = open(link, O_RDWR | O_CREAT, 0644);
    T(write(fd, "made", 4));
    show_file("made");
    T(chdir(link));
    T(unlink(link) == 0);
    // Out, and in again; round and round.
    T(symlink(P("dir"), link) == 0);
    T(symlink(link, P("back")));
    fd = open(P("back/b"), O_RDONLY);
    show_fd("out and in", fd);
    T(unlink(link) == 0);
    T(symlink(P("back"), link) == 0);
    T(open(P("back"), O_RDONLY));
    T(unlink(link) == 0);
    // Descriptors as paths.
    fd = open(P("a"), O_RDONLY);
    T(lseek(fd, 7, SEEK_SET) >= 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    show_fd("anew", open(path, O_RDONLY));
    snprintf(path, sizeof path, "/dev/fd/%d", fd);
    show_fd("anew", open(path, O_RDONLY));
    T(open(path, O_RDWR) >= 0);
    fd = open(P("dir"), O_RDONLY | O_DIRECTORY);
    snprintf(path, sizeof path, "/proc/self/fd/%d/b", fd);
    show_fd("below", open(path, O_RDONLY));
    T(open("/proc/self/fd/99", O_RDONLY));
}
