// SPDX-License-Identifier: Apache-2.0
// chmod and its kin: who may, which bits stay, and what a mode then permits.
#include "conform.h"

static int
make(const char *type, const char *path, mode_t mode)
{
    int r = *type == 'd' ? mkdir(path, 0700) : *type == 'p' ? mkfifo(path, 0600) : put_file(path, 0600, "");

    return r == 0 ? chmod(path, mode) : -1;
}

static void
sets(void)
{
    static const mode_t modes[] = {0, 0111, 0400, 0644, 0777, 01777, 02755, 04755, 06711, 07777};
    static const char *const types[] = {"file", "dir", "pipe"};
    int fd;

    for (size_t t = 0; t < 3; t++) {
        for (size_t m = 0; m < sizeof modes / sizeof modes[0]; m++) {
            NEED(make(types[t], types[t], 0600));
            T(label_of("%s-%04o", types[t], modes[m]), 0, chmod(types[t], modes[m]));
            EQ(label_of("%s-%04o-is", types[t], modes[m]), modes[m], mode_of(types[t]));
            NEED(remove(types[t]));
        }
    }
    NEED(put_file("f", 0600, ""));
    NEED(fd = open("f", O_RDONLY));
    T("fchmod", 0, fchmod(fd, 0641));
    EQ("fchmod-is", 0641, mode_of("f"));
    close(fd);
    NEED(fd = open("f", O_PATH));
    T("fchmod-path", EBADF, fchmod(fd, 0600));
    close(fd);
    T("type-bits-are-ignored", 0, chmod("f", S_IFDIR | 0604));
    EQ("type-stays", S_IFREG | 0604, stat_of("f").st_mode);
    T("bad-fd", EBADF, fchmod(-1, 0600));
}

static void
links(void)
{
    NEED(put_file("f", 0600, ""));
    NEED(symlink("f", "s"));
    NEED(link("f", "hard"));
    T("follows", 0, chmod("s", 0640));
    EQ("target", 0640, mode_of("f"));
    EQ("other-name", 0640, mode_of("hard"));
    EQ("link-stays", 0777, mode_of("s"));
    T("nofollow-on-link", EOPNOTSUPP, fchmodat(AT_FDCWD, "s", 0600, AT_SYMLINK_NOFOLLOW));
    T("at", 0, fchmodat(AT_FDCWD, "f", 0604, 0));
    EQ("at-is", 0604, mode_of("f"));
    T("at-bad-flag", EINVAL, fchmodat(AT_FDCWD, "f", 0604, 0x40000000));
}

static void
who(void)
{
    NEED(put_file("mine", 0644, ""));
    NEED(chown("mine", U1, G1));
    NEED(put_file("theirs", 0666, ""));
    NEED(chown("theirs", U2, G1));
    NEED(mkdir("theirdir", 0777));
    AS (U1, G1) {
        T("owner", 0, chmod("mine", 0600));
        T("other", EPERM, chmod("theirs", 0600));
        T("other-no-change", EPERM, chmod("theirs", 0666));
        T("other-dir", EPERM, chmod("theirdir", 0755));
        int fd = open("theirs", O_RDWR);
        T("other-fchmod", EPERM, fchmod(fd, 0600));
    }
    EQ("owner-is", 0600, mode_of("mine"));
    EQ("other-is", 0666, mode_of("theirs"));
    T("root", 0, chmod("theirs", 0));
}

// S_ISGID of a file goes when its group is not one of the caller's.
static void
set_gid(void)
{
    NEED(put_file("f", 0644, ""));
    NEED(chown("f", U1, G2));
    NEED(mkdir("d", 0755));
    NEED(chown("d", U1, G2));
    AS (U1, G1) {
        T("foreign", 0, chmod("f", 02755));
        EQ("foreign-is", 0755, mode_of("f"));
        T("foreign-dir", 0, chmod("d", 02755));
        EQ("foreign-dir-is", 0755, mode_of("d"));
        T("setuid-stays", 0, chmod("f", 06755));
        EQ("setuid-is", 04755, mode_of("f"));
    }
    AS (U1, G1, G2) {
        T("supplementary", 0, chmod("f", 02755));
        EQ("supplementary-is", 02755, mode_of("f"));
    }
    AS (U1, G2) {
        T("own", 0, chmod("f", 06711));
        EQ("own-is", 06711, mode_of("f"));
        T("sticky-file", 0, chmod("f", 01644));
        EQ("sticky-file-is", 01644, mode_of("f"));
    }
    T("root", 0, chmod("f", 02755));
    EQ("root-is", 02755, mode_of("f"));
}

// A write by someone without privilege takes the setuid and setgid bits away; so does truncate.
static void
killed_by_write(void)
{
    static const struct {
        const char *name;
        mode_t before, after;
    } rows[] = {
        {"setuid", 04777, 0777}, {"setgid", 02777, 0777}, {"both", 06777, 0777}, {"locking", 02766, 0766}};
    int fd;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        NEED(put_file("f", 0777, "text"));
        NEED(chown("f", U1, G1));
        NEED(chmod("f", rows[i].before));
        AS (U2, G2) {
            NEED(fd = open("f", O_WRONLY));
            T(label_of("write-%s", rows[i].name), 0, write(fd, "x", 1));
        }
        EQ(label_of("write-%s-is", rows[i].name), rows[i].after, mode_of("f"));
        NEED(chmod("f", rows[i].before));
        AS (U2, G2)
            T(label_of("truncate-%s", rows[i].name), 0, truncate("f", 2));
        EQ(label_of("truncate-%s-is", rows[i].name), rows[i].after, mode_of("f"));
        NEED(chmod("f", rows[i].before));
        AS (U2, G2)
            T(label_of("open-trunc-%s", rows[i].name), 0, try_open("f", O_WRONLY | O_TRUNC, 0));
        EQ(label_of("open-trunc-%s-is", rows[i].name), rows[i].after, mode_of("f"));
        NEED(chmod("f", rows[i].before));
        AS (U2, G2) {
            NEED(fd = open("f", O_WRONLY));
            T(label_of("ftruncate-%s", rows[i].name), 0, ftruncate(fd, 1));
        }
        EQ(label_of("ftruncate-%s-is", rows[i].name), rows[i].after, mode_of("f"));
    }
    // Without group execute, S_ISGID is no privilege: it stays where the writer is in the group.
    NEED(chmod("f", 02766));
    AS (U2, G1) {
        NEED(fd = open("f", O_WRONLY));
        T("write-member", 0, write(fd, "x", 1));
    }
    EQ("write-member-is", 02766, mode_of("f"));
    NEED(chmod("f", 06777));
    NEED(fd = open("f", O_WRONLY));
    T("root-write", 0, write(fd, "y", 1));
    EQ("root-write-is", 06777, mode_of("f"));
    close(fd);
    NEED(chmod("f", 06777));
    AS (U2, G2) {
        NEED(fd = open("f", O_RDONLY));
        char c;
        T("read", 0, read(fd, &c, 1));
    }
    EQ("read-is", 06777, mode_of("f"));
}

// What a mode lets three users (owner, group, other) do to a file; the owner is judged by the owner's bits
// alone.
static void
file_bits(void)
{
    static const struct {
        const char *name;
        uid_t uid;
        gid_t gid;
        int shift;
    } users[] = {{"owner", U1, G3, 6}, {"group", U2, G1, 3}, {"other", U2, G2, 0}};

    NEED(put_file("f", 0, ""));
    NEED(chown("f", U1, G1));
    for (size_t u = 0; u < 3; u++) {
        for (mode_t bits = 0; bits < 8; bits++) {
            mode_t mode = (mode_t)((0777 & ~(7 << users[u].shift)) | (bits << users[u].shift));
            int got = 0;

            NEED(chmod("f", mode));
            AS (users[u].uid, users[u].gid) {
                got = (try_open("f", O_RDONLY, 0) == 0 ? 4 : 0) | (try_open("f", O_WRONLY, 0) == 0 ? 2 : 0) |
                      (access("f", X_OK) == 0 ? 1 : 0);
                EQ(label_of("%s-%04o", users[u].name, mode), bits, got);
                T(label_of("%s-%04o-rw", users[u].name, mode), (bits & 6) == 6 ? 0 : EACCES,
                  try_open("f", O_RDWR, 0));
            }
        }
    }
    NEED(chmod("f", 0070));
    AS (U2, G2, G3, G1)
        T("supplementary", 0, try_open("f", O_RDWR, 0));
    NEED(chmod("f", 0));
    T("root-reads", 0, try_open("f", O_RDWR, 0));
    T("root-runs-none", EACCES, access("f", X_OK));
    NEED(chmod("f", 0001));
    T("root-runs-any", 0, access("f", X_OK));
}

static int
list(const char *path)
{
    return try_open(path, O_RDONLY | O_DIRECTORY, 0);
}

static int
make_and_remove(const char *path)
{
    return mkdir(path, 0755) == 0 ? rmdir(path) : -1;
}

// Read lists, write with search makes and removes, search goes through.
static void
dir_bits(void)
{
    struct stat st;

    NEED(mkdir("d", 0755));
    NEED(chown("d", U1, G1));
    NEED(put_file("d/f", 0644, ""));
    for (mode_t bits = 0; bits < 8; bits++) {
        NEED(chmod("d", bits << 6));
        AS (U1, G1) {
            T(label_of("list-%o", bits), bits & 4 ? 0 : EACCES, list("d"));
            T(label_of("search-%o", bits), bits & 1 ? 0 : EACCES, stat("d/f", &st));
            T(label_of("change-%o", bits), (bits & 3) == 3 ? 0 : EACCES, make_and_remove("d/new"));
            T(label_of("chdir-%o", bits), bits & 1 ? 0 : EACCES, chdir("d"));
        }
    }
    NEED(chmod("d", 0));
    T("root", 0, make_and_remove("d/new"));
}

// umask, and what mkdir and open give from the mode that is asked.
static void
umasks(void)
{
    static const mode_t masks[] = {0, 022, 027, 077, 0777};

    for (size_t i = 0; i < sizeof masks / sizeof masks[0]; i++) {
        umask(masks[i]);
        NEED(try_open("f", O_WRONLY | O_CREAT, 0777));
        NEED(mkdir("d", 0777));
        NEED(mkfifo("p", 0777));
        NEED(symlink("x", "s"));
        EQ(label_of("file-%03o", masks[i]), 0777 & ~masks[i], mode_of("f"));
        EQ(label_of("dir-%03o", masks[i]), 0777 & ~masks[i], mode_of("d"));
        EQ(label_of("pipe-%03o", masks[i]), 0777 & ~masks[i], mode_of("p"));
        EQ(label_of("symlink-%03o", masks[i]), 0777, mode_of("s"));
        NEED(unlink("f"));
        NEED(rmdir("d"));
        NEED(unlink("p"));
        NEED(unlink("s"));
    }
    umask(022);
    NEED(put_file("f", 0600, ""));
    T("chmod-has-none", 0, chmod("f", 0777));
    EQ("chmod-has-none-is", 0777, mode_of("f"));
}

const struct test_case cases_perms[] = {
    {"chmod-sets", sets},
    {"chmod-links", links},
    {"chmod-who", who},
    {"chmod-setgid", set_gid},
    {"chmod-killed", killed_by_write},
    {"chmod-file", file_bits},
    {"chmod-dir", dir_bits},
    {"umask", umasks},
    {NULL, NULL},
};
