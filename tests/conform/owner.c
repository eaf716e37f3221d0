// SPDX-License-Identifier: Apache-2.0
// chown and its kin: who may give a file to whom, what that does to the mode, and whose new files are.
#include "conform.h"

static void
sets(void)
{
    int fd;

    NEED(put_file("f", 0644, ""));
    NEED(mkdir("d", 0755));
    NEED(symlink("f", "s"));
    T("both", 0, chown("f", U1, G1));
    EQ("both-uid", U1, stat_of("f").st_uid);
    EQ("both-gid", G1, stat_of("f").st_gid);
    T("uid-alone", 0, chown("f", U2, (gid_t)-1));
    EQ("uid-alone-uid", U2, stat_of("f").st_uid);
    EQ("uid-alone-gid", G1, stat_of("f").st_gid);
    T("gid-alone", 0, chown("f", (uid_t)-1, G2));
    EQ("gid-alone-uid", U2, stat_of("f").st_uid);
    EQ("gid-alone-gid", G2, stat_of("f").st_gid);
    T("neither", 0, chown("f", (uid_t)-1, (gid_t)-1));
    EQ("neither-uid", U2, stat_of("f").st_uid);
    T("dir", 0, chown("d", U1, G1));
    EQ("dir-uid", U1, stat_of("d").st_uid);
    T("follows", 0, chown("s", U1, G1));
    EQ("follows-target", U1, stat_of("f").st_uid);
    EQ("follows-link", 0, stat_of("s").st_uid);
    T("lchown", 0, lchown("s", U2, G2));
    EQ("lchown-target", U1, stat_of("f").st_uid);
    EQ("lchown-link", U2, stat_of("s").st_uid);
    EQ("lchown-link-gid", G2, stat_of("s").st_gid);
    T("at-nofollow", 0, fchownat(AT_FDCWD, "s", U1, G1, AT_SYMLINK_NOFOLLOW));
    EQ("at-nofollow-link", U1, stat_of("s").st_uid);
    NEED(fd = open("f", O_RDONLY));
    T("fchown", 0, fchown(fd, U2, G2));
    EQ("fchown-uid", U2, stat_of("f").st_uid);
    close(fd);
    NEED(fd = open("f", O_PATH));
    T("fchown-path", EBADF, fchown(fd, U1, G1));
    T("empty-path", 0, fchownat(fd, "", U1, G1, AT_EMPTY_PATH));
    EQ("empty-path-uid", U1, stat_of("f").st_uid);
    close(fd);
    T("empty-path-unasked", ENOENT, fchownat(AT_FDCWD, "", U1, G1, 0));
    T("bad-flag", EINVAL, fchownat(AT_FDCWD, "f", U1, G1, 0x40000000));
    T("large-ids", 0, chown("f", 0xfffffffeu, 0xfffffffdu));
    EQ("large-uid", 0xfffffffeu, stat_of("f").st_uid);
    EQ("large-gid", 0xfffffffdu, stat_of("f").st_gid);
}

static void
who(void)
{
    NEED(put_file("mine", 0644, ""));
    NEED(chown("mine", U1, G1));
    NEED(put_file("theirs", 0666, ""));
    NEED(chown("theirs", U2, G2));
    AS (U1, G1, G2) {
        T("give-away", EPERM, chown("mine", U2, (gid_t)-1));
        T("give-away-with-group", EPERM, chown("mine", U2, G2));
        T("own-uid", 0, chown("mine", U1, (gid_t)-1));
        T("own-group", 0, chown("mine", (uid_t)-1, G2));
        EQ("own-group-is", G2, stat_of("mine").st_gid);
        T("own-both", 0, chown("mine", U1, G1));
        T("foreign-group", EPERM, chown("mine", (uid_t)-1, G3));
        T("take", EPERM, chown("theirs", U1, (gid_t)-1));
        T("others-group", EPERM, chown("theirs", (uid_t)-1, G1));
        T("others-nothing", 0, chown("theirs", (uid_t)-1, (gid_t)-1));
        T("others-same", EPERM, chown("theirs", U2, G2));
        int fd = open("theirs", O_RDWR);
        T("others-fchown", EPERM, fchown(fd, (uid_t)-1, G1));
    }
    AS (U1, G1)
        T("left-group", EPERM, chown("mine", (uid_t)-1, G2));
    EQ("mine-uid", U1, stat_of("mine").st_uid);
    EQ("theirs-gid", G2, stat_of("theirs").st_gid);
}

// setuid and setgid go with a chown of a file (even root's); those of a directory stay.
static void
set_bits(void)
{
    static const struct {
        const char *name;
        mode_t before, after;
    } rows[] = {{"setuid", 04755, 0755},   {"setgid", 02755, 0755},         {"both", 06755, 0755},
                {"locking", 02644, 02644}, {"setuid-no-exec", 04644, 0644}, {"sticky", 01755, 01755}};

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        NEED(put_file("f", 0644, ""));
        NEED(chown("f", U1, G1));
        NEED(chmod("f", rows[i].before));
        AS (U1, G1, G2)
            T(label_of("owner-%s", rows[i].name), 0, chown("f", (uid_t)-1, G2));
        EQ(label_of("owner-%s-is", rows[i].name), rows[i].after, mode_of("f"));
        NEED(chmod("f", rows[i].before));
        T(label_of("root-%s", rows[i].name), 0, chown("f", U2, G1));
        EQ(label_of("root-%s-is", rows[i].name), rows[i].after, mode_of("f"));
    }
    NEED(chmod("f", 06755));
    NEED(chown("f", U1, G1));
    NEED(chmod("f", 06755));
    AS (U1, G1)
        T("owner-no-change", 0, chown("f", U1, G1));
    EQ("owner-no-change-is", 0755, mode_of("f"));
    NEED(chmod("f", 06755));
    T("root-nothing", 0, chown("f", (uid_t)-1, (gid_t)-1));
    EQ("root-nothing-is", 0755, mode_of("f"));
    NEED(mkdir("d", 0755));
    NEED(chmod("d", 06755));
    T("dir", 0, chown("d", U1, G1));
    EQ("dir-is", 06755, mode_of("d"));
}

// The owner of what is made is the maker; the group too, but in a setgid directory, which hands its own down.
static void
inherits(void)
{
    static const struct {
        const char *name;
        mode_t dir_mode, gid, subdir;
    } rows[] = {{"plain", 0777, G1, 0}, {"setgid", 02777, G2, 02000}};

    for (size_t i = 0; i < 2; i++) {
        const char *name = rows[i].name;

        NEED(mkdir("d", 0777));
        NEED(chown("d", U2, G2));
        NEED(chmod("d", rows[i].dir_mode));
        AS (U1, G1) {
            NEED(try_open("d/f", O_WRONLY | O_CREAT, 0644));
            NEED(try_open("d/x", O_WRONLY | O_CREAT, 02755));
            NEED(mkdir("d/d", 0755));
            NEED(mkfifo("d/p", 0644));
            NEED(symlink("x", "d/s"));
            int fd = open("d", O_RDWR | O_TMPFILE, 0644);
            struct stat st = {0};
            NEED(fstat(fd, &st));
            EQ(label_of("%s-tmpfile", name), rows[i].gid, st.st_gid);
        }
        EQ(label_of("%s-file-uid", name), U1, stat_of("d/f").st_uid);
        EQ(label_of("%s-file", name), rows[i].gid, stat_of("d/f").st_gid);
        EQ(label_of("%s-dir", name), rows[i].gid, stat_of("d/d").st_gid);
        EQ(label_of("%s-dir-mode", name), 0755 | rows[i].subdir, mode_of("d/d"));
        EQ(label_of("%s-pipe", name), rows[i].gid, stat_of("d/p").st_gid);
        EQ(label_of("%s-symlink", name), rows[i].gid, stat_of("d/s").st_gid);
        // A setgid file of a group that is not the maker's is not to be had this way.
        EQ(label_of("%s-setgid-file", name), rows[i].gid == G1 ? 02755 : 0755, mode_of("d/x"));
        NEED(unlink("d/f"));
        NEED(unlink("d/x"));
        NEED(unlink("d/p"));
        NEED(unlink("d/s"));
        NEED(rmdir("d/d"));
        NEED(rmdir("d"));
    }
    NEED(mkdir("d", 0777));
    NEED(chown("d", U2, G2));
    NEED(chmod("d", 02777));
    AS (U1, G1, G2)
        NEED(try_open("d/x", O_WRONLY | O_CREAT, 02755));
    EQ("member-setgid-file", 02755, mode_of("d/x"));
}

// The effective ids count, not the real ones; and who has changed them changes what later calls may.
static void
effective(void)
{
    NEED(mkdir("d", 0777));
    NEED(put_file("f", 0600, ""));
    NEED(chown("f", U1, G1));
    CHILD () {
        NEED(setegid(G1));
        NEED(seteuid(U1));
        T("euid-opens", 0, try_open("f", O_RDWR, 0));
        NEED(try_open("d/made", O_WRONLY | O_CREAT, 0644));
        T("euid-chown", EPERM, chown("d/made", U2, G2));
        NEED(seteuid(0));
        NEED(setegid(0));
        T("root-again", 0, chown("d/made", U1, G2));
    }
    EQ("euid-made", U1, stat_of("d/made").st_uid);
    EQ("root-again-gid", G2, stat_of("d/made").st_gid);
    CHILD () {
        int fd = open("f", O_RDWR);
        NEED(setresgid(G2, G2, G2));
        NEED(setresuid(U2, U2, U2));
        T("new-open", EACCES, try_open("f", O_RDONLY, 0));
        T("old-descriptor", 0, write(fd, "x", 1));
        T("old-truncate", 0, ftruncate(fd, 0));
        T("old-fchmod", EPERM, fchmod(fd, 0666));
    }
}

const struct test_case cases_owner[] = {
    {"chown-sets", sets},           {"chown-who", who},
    {"chown-bits", set_bits},       {"chown-inherits", inherits},
    {"chown-effective", effective}, {NULL, NULL},
};
