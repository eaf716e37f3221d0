// SPDX-License-Identifier: Apache-2.0
// mkdir, rmdir, the link counts of directories, sticky directories, special files.
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include "conform.h"

static void
makes(void)
{
    T("make", 0, mkdir("d", 0755));
    B("is-dir", S_ISDIR(stat_of("d").st_mode));
    EQ("two-links", 2, stat_of("d").st_nlink);
    T("there", EEXIST, mkdir("d", 0755));
    NEED(put_file("f", 0644, ""));
    T("there-file", EEXIST, mkdir("f", 0755));
    NEED(symlink("none", "s"));
    T("there-dangling", EEXIST, mkdir("s", 0755));
    T("sub", 0, mkdir("d/sub", 0755));
    EQ("three-links", 3, stat_of("d").st_nlink);
    NEED(put_file("d/f", 0644, ""));
    EQ("files-do-not-count", 3, stat_of("d").st_nlink);
    T("rmdir-full", ENOTEMPTY, rmdir("d"));
    T("rmdir-sub", 0, rmdir("d/sub"));
    EQ("two-links-again", 2, stat_of("d").st_nlink);
    T("rmdir-with-file", ENOTEMPTY, rmdir("d"));
    T("rmdir-file", ENOTDIR, rmdir("f"));
    T("rmdir-symlink", ENOTDIR, rmdir("s"));
    NEED(unlink("d/f"));
    T("rmdir", 0, rmdir("d"));
    B("gone", !exists("d"));
    T("rmdir-none", ENOENT, rmdir("d"));
    NEED(mkdir("d", 0755));
    T("unlinkat", 0, unlinkat(AT_FDCWD, "d", AT_REMOVEDIR));
    T("unlinkat-file", ENOTDIR, unlinkat(AT_FDCWD, "f", AT_REMOVEDIR));
    T("sticky-mode", 0, mkdir("t", 01777));
    EQ("sticky-mode-is", 01777, mode_of("t"));
    // mkdir(2): only the permission bits and the sticky bit are asked for.
    T("setid-mode", 0, mkdir("u", 06755));
    EQ("setid-mode-is", 0755, mode_of("u"));
}

static void
who(void)
{
    NEED(mkdir("shut", 0755));
    NEED(mkdir("shut/sub", 0777));
    NEED(mkdir("open", 0777));
    NEED(mkdir("open/theirs", 0700));
    NEED(mkdir("open/full", 0700));
    NEED(put_file("open/full/f", 0644, ""));
    AS (U1, G1) {
        T("mkdir-no-write", EACCES, mkdir("shut/new", 0755));
        T("mkdir-there-first", EEXIST, mkdir("shut/sub", 0755));
        T("rmdir-no-write", EACCES, rmdir("shut/sub"));
        T("rmdir-none-first", ENOENT, rmdir("shut/none"));
        T("rmdir-anothers", 0, rmdir("open/theirs"));
        T("rmdir-full", ENOTEMPTY, rmdir("open/full"));
        T("mkdir", 0, mkdir("open/mine", 0755));
        T("mkfifo-no-write", EACCES, mkfifo("shut/p", 0644));
        T("open-no-write", EACCES, try_open("shut/f", O_WRONLY | O_CREAT, 0644));
    }
    EQ("owner", U1, stat_of("open/mine").st_uid);
}

enum { OWN_NOTHING, OWN_DIR, OWN_FILE };

// In a sticky directory only the owner of the file, of the directory, or root removes or renames.
static void
sticky(void)
{
    static const char *const names[] = {"nothing", "dir", "file"};

    for (int dir = 0; dir < 2; dir++) {
        for (int own = OWN_NOTHING; own <= OWN_FILE; own++) {
            char l[40];
            int want = own == OWN_NOTHING ? EPERM : 0;

            snprintf(l, sizeof l, "%s-own-%s", dir ? "dir" : "file", names[own]);
            NEED(mkdir(l, 0755));
            NEED(chdir(l));
            NEED(mkdir("t", 01777));
            NEED(chown("t", own == OWN_DIR ? U1 : U2, G2));
            NEED(mkdir("elsewhere", 0777));
            for (int i = 0; i < 3; i++) {
                const char *path = label_of("t/%d", i);

                NEED(dir ? mkdir(path, 0777) : put_file(path, 0666, ""));
                NEED(chown(path, own == OWN_FILE ? U1 : U2, G2));
            }
            AS (U1, G1, G2) {
                T(label_of("%s-rename", l), want, rename("t/0", "t/r"));
                T(label_of("%s-move", l), want, rename("t/1", "elsewhere/m"));
                NEED(dir ? mkdir("elsewhere/n", 0755) : put_file("elsewhere/n", 0644, ""));
                T(label_of("%s-replace", l), want, rename("elsewhere/n", "t/2"));
                if (own != OWN_NOTHING)
                    T(label_of("%s-remove", l), 0, remove("t/2"));
                else
                    T(label_of("%s-remove", l), EPERM, dir ? rmdir("t/2") : unlink("t/2"));
                T(label_of("%s-make", l), 0, put_file("t/new", 0644, ""));
            }
            NEED(chdir(".."));
        }
    }
    NEED(mkdir("t", 01777));
    NEED(chown("t", U2, G2));
    NEED(put_file("t/f", 0644, ""));
    NEED(chown("t/f", U2, G2));
    T("root", 0, unlink("t/f"));
}

static void
special(void)
{
    const struct {
        const char *name;
        mode_t type;
        dev_t dev;
    } rows[] = {{"fifo", S_IFIFO, 0},
                {"socket", S_IFSOCK, 0},
                {"char", S_IFCHR, makedev(1, 3)},
                {"block", S_IFBLK, makedev(259, 1048575)},
                {"file", S_IFREG, 0},
                {"no-type", 0, 0}};

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *name = rows[i].name;
        bool device = rows[i].type == S_IFCHR || rows[i].type == S_IFBLK;

        T(name, 0, mknod(name, rows[i].type | 0640, rows[i].dev));
        EQ(label_of("%s-mode", name), (rows[i].type ? rows[i].type : S_IFREG) | 0640, stat_of(name).st_mode);
        EQ(label_of("%s-nlink", name), 1, stat_of(name).st_nlink);
        EQ(label_of("%s-size", name), 0, stat_of(name).st_size);
        if (device)
            EQ(label_of("%s-rdev", name), rows[i].dev, stat_of(name).st_rdev);
        T(label_of("%s-there", name), EEXIST, mknod(name, rows[i].type | 0640, rows[i].dev));
    }
    T("dir", EPERM, mknod("d", S_IFDIR | 0755, 0));
    T("symlink", EINVAL, mknod("l", S_IFLNK | 0777, 0));
    NEED(mkdir("open", 0777));
    AS (U1, G1) {
        T("user-char", EPERM, mknod("open/c", S_IFCHR | 0644, makedev(1, 3)));
        T("user-block", EPERM, mknod("open/b", S_IFBLK | 0644, makedev(1, 3)));
        T("user-fifo", 0, mknod("open/p", S_IFIFO | 0644, 0));
        T("user-socket", 0, mknod("open/s", S_IFSOCK | 0644, 0));
        T("user-file", 0, mknod("open/f", S_IFREG | 0644, 0));
    }
}

static void
fifo(void)
{
    NEED(mkfifo("p", 0640));
    EQ("mode", S_IFIFO | 0640, stat_of("p").st_mode);
    EQ("size", 0, stat_of("p").st_size);
    T("there", EEXIST, mkfifo("p", 0640));
    T("path", 0, try_open("p", O_PATH, 0));
    T("directory", ENOTDIR, try_open("p", O_RDONLY | O_DIRECTORY | O_NONBLOCK, 0));
    T("chmod", 0, chmod("p", 0600));
    AS (U1, G1)
        T("no-write", EACCES, mkfifo("q", 0644));
    T("unlink", 0, unlink("p"));
}

// A FIFO is a pipe for all who open it; a socket has a name there.
static void
fifo_io(void)
{
    char buf[8];
    int r, w;

    NEED(mkfifo("p", 0600));
    AS (U1, G1)
        T("no-permission", EACCES, open("p", O_RDONLY | O_NONBLOCK));
    T("no-reader", ENXIO, open("p", O_WRONLY | O_NONBLOCK));
    T("open-read", 0, r = open("p", O_RDONLY | O_NONBLOCK));
    T("open-write", 0, w = open("p", O_WRONLY | O_NONBLOCK));
    EQ("write", 5, write(w, "bytes", 5));
    EQ("read", 5, read(r, buf, sizeof buf));
    close(w);
    EQ("end", 0, read(r, buf, sizeof buf));
    T("lseek", ESPIPE, lseek(r, 0, SEEK_SET));
    T("pread", ESPIPE, pread(r, buf, 1, 0));
    T("fallocate", ESPIPE, fallocate((close(r), r = open("p", O_RDWR)), 0, 0, 1));
    close(r);
    EQ("size", 0, stat_of("p").st_size);
}

static void
unix_socket(void)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX, .sun_path = "sock"};
    int s, c;

    NEED(s = socket(AF_UNIX, SOCK_STREAM, 0));
    NEED(c = socket(AF_UNIX, SOCK_STREAM, 0));
    T("bind", 0, bind(s, (struct sockaddr *)&addr, sizeof addr));
    B("is-socket", S_ISSOCK(stat_of("sock").st_mode));
    T("again", EADDRINUSE, bind(c, (struct sockaddr *)&addr, sizeof addr));
    T("listen", 0, listen(s, 1));
    T("connect", 0, connect(c, (struct sockaddr *)&addr, sizeof addr));
    close(c);
    T("chmod", 0, chmod("sock", 0755));
    AS (U1, G1) {
        NEED(c = socket(AF_UNIX, SOCK_STREAM, 0));
        T("no-write", EACCES, connect(c, (struct sockaddr *)&addr, sizeof addr));
        close(c);
    }
    T("chmod-other", 0, chmod("sock", 0752));
    AS (U1, G1) {
        NEED(c = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
        T("write-suffices", 0, connect(c, (struct sockaddr *)&addr, sizeof addr));
        close(c);
    }
    T("open", ENXIO, open("sock", O_RDWR));
    T("unlink", 0, unlink("sock"));
    NEED(c = socket(AF_UNIX, SOCK_STREAM, 0));
    T("connect-gone", ENOENT, connect(c, (struct sockaddr *)&addr, sizeof addr));
}

const struct test_case cases_dirs[] = {
    {"mkdir", makes}, {"mkdir-who", who}, {"sticky", sticky},      {"mknod", special},
    {"mkfifo", fifo}, {"fifo", fifo_io},  {"socket", unix_socket}, {NULL, NULL},
};
