// SPDX-License-Identifier: Apache-2.0
// access and faccessat: real against effective ids, directories, root, and the order of errors.
#include <sys/statvfs.h>

#include "conform.h"

static void
modes(void)
{
    static const char *const kinds[] = {"file", "dir"};

    for (size_t k = 0; k < 2; k++) {
        NEED(k == 0 ? put_file("file", 0, "") : mkdir("dir", 0));
        NEED(chown(kinds[k], U1, G1));
        for (mode_t bits = 0; bits < 8; bits++) {
            NEED(chmod(kinds[k], bits << 6));
            AS (U1, G2) {
                int got = 0;

                for (int want = 0; want < 8; want++)
                    got |= access(kinds[k], want) == 0 ? 1 << want : 0;
                int should = 0;
                for (unsigned want = 0; want < 8; want++)
                    should |= (want & ~bits) == 0 ? 1 << want : 0;
                EQ(label_of("%s-%o", kinds[k], bits), should, got);
            }
        }
    }
    T("bad-mode", EINVAL, access("file", 8));
    T("bad-flag", EINVAL, faccessat(AT_FDCWD, "file", R_OK, 0x40000000));
}

static void
who(void)
{
    NEED(put_file("f", 0640, ""));
    NEED(chown("f", U1, G1));
    T("root-reads", 0, access("f", R_OK | W_OK));
    T("root-runs", EACCES, access("f", X_OK));
    AS (U2, G1)
        T("group-reads", 0, access("f", R_OK));
    AS (U2, G1)
        T("group-writes", EACCES, access("f", W_OK));
    AS (U2, G2, G1)
        T("supplementary", 0, access("f", R_OK));
    AS (U2, G2)
        T("other", EACCES, access("f", R_OK));
    AS (U2, G2)
        T("exists", 0, access("f", F_OK));
    CHILD () {
        NEED(setresgid(G2, G1, G1));
        NEED(setresuid(U2, U1, U1));
        T("real", EACCES, access("f", R_OK));
        T("effective", 0, faccessat(AT_FDCWD, "f", R_OK, AT_EACCESS));
        T("euidaccess", 0, euidaccess("f", R_OK));
        T("opens", 0, try_open("f", O_RDONLY, 0));
    }
    CHILD () {
        NEED(setresuid(0, U2, U2));
        T("real-root", 0, access("f", R_OK));
        T("effective-other", EACCES, faccessat(AT_FDCWD, "f", R_OK, AT_EACCESS));
    }
}

static void
links(void)
{
    NEED(put_file("f", 0600, ""));
    NEED(symlink("f", "s"));
    NEED(symlink("none", "dangling"));
    AS (U1, G1)
        T("follows", EACCES, access("s", R_OK));
    T("dangling", ENOENT, access("dangling", F_OK));
    T("nofollow", 0, faccessat(AT_FDCWD, "dangling", F_OK, AT_SYMLINK_NOFOLLOW));
    T("nofollow-read", 0, faccessat(AT_FDCWD, "dangling", R_OK | W_OK, AT_SYMLINK_NOFOLLOW));
}

static void
volume(void)
{
    struct statvfs st, st2;
    int fd;

    NEED(put_file("f", 0644, "x"));
    T("statvfs", 0, statvfs("f", &st));
    B("block-size", st.f_bsize >= 512 && st.f_frsize >= 512);
    EQ("name-max", 255, st.f_namemax);
    B("blocks", st.f_blocks > 0 && st.f_bfree <= st.f_blocks && st.f_bavail <= st.f_bfree);
    B("files", st.f_files > 0 && st.f_ffree <= st.f_files);
    NEED(fd = open("f", O_RDONLY));
    T("fstatvfs", 0, fstatvfs(fd, &st2));
    EQ("fstatvfs-same", st.f_namemax, st2.f_namemax);
    EQ("fstatvfs-block-size", st.f_bsize, st2.f_bsize);
    close(fd);
    T("bad-fd", EBADF, fstatvfs(-1, &st));
    B("writable", !(st2.f_flag & ST_RDONLY));
    if (ro_dir) {
        T("read-only-view", 0, statvfs(ro_dir, &st));
        B("read-only-flag", st.f_flag & ST_RDONLY);
    }
    EQ("pathconf-name", 255, pathconf("f", _PC_NAME_MAX));
    EQ("pathconf-path", 4096, pathconf(".", _PC_PATH_MAX));
    B("pathconf-links", pathconf("f", _PC_LINK_MAX) >= 1000);
    EQ("pathconf-restricted", 1, pathconf("f", _PC_CHOWN_RESTRICTED));
    EQ("pathconf-trunc", 1, pathconf("f", _PC_NO_TRUNC));
    NEED(fd = open("f", O_RDONLY));
    EQ("fpathconf", 255, fpathconf(fd, _PC_NAME_MAX));
    close(fd);
}

const struct test_case cases_access[] = {
    {"access-modes", modes}, {"access-who", who}, {"access-links", links}, {"statvfs", volume}, {NULL, NULL},
};
