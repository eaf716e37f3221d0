// SPDX-License-Identifier: Apache-2.0
// Quotas, trash, snapshots; and the checks: planted damage is found, told with the file it concerns, and
// mended where that can be.
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>

#include "chunk/chunk.h"
#include "tests/unit/fc.h"

static struct fsc *fs;

static int
make(void **state)
{
    fc_make(NULL);
    fs = fc_open(0);
    return 0;
}

static int
end(void **state)
{
    fc_check(fs);
    fsc_close_volume(fs);
    fc_remove();
    return 0;
}

static void
grow(const char *path, uint64_t size)
{
    struct fsc_file *f = fc_file(fs, path, O_CREAT | O_WRONLY);
    char *buf = calloc(1, size);

    IS(fsc_pwrite(f, buf, size, 0), size);
    free(buf);
    OK(fsc_close(f));
}

// ---- quotas ----

static void
test_quota_user(void **state)
{
    struct fsc_usage u;
    struct fsc_quota v[8];
    struct fsc_file *f;
    char *big = calloc(1, 3 * FC_CHUNK);

    IS(fsc_quota_set(fs, fc_alice.cred, FSC_QUOTA_USER, 1001, 1, 1), -EPERM);
    OK(fsc_quota_set(fs, fc_root.cred, FSC_QUOTA_USER, 1001, 2 * FC_CHUNK, 3));
    OK(fsc_open(fs, &fc_alice, "a", O_CREAT | O_RDWR, 0600, &f));
    IS(fsc_pwrite(f, big, FC_CHUNK, 0), FC_CHUNK);
    // What fits is written; the rest is refused.
    assert_true(fsc_pwrite(f, big, 3 * FC_CHUNK, FC_CHUNK) < 3 * FC_CHUNK);
    IS(fsc_pwrite(f, big, 3 * FC_CHUNK, 4 * FC_CHUNK), -EDQUOT);
    OK(fsc_quota_get(fs, FSC_QUOTA_USER, 1001, &u));
    assert_true(u.space <= 2 * FC_CHUNK);
    IS(u.inodes, 1);
    IS(u.max_inodes, 3);
    OK(fsc_mkdir(fs, &fc_alice, "d", 0700));
    OK(fsc_symlink(fs, "x", &fc_alice, "s"));
    IS(fsc_mkdir(fs, &fc_alice, "e", 0700), -EDQUOT);
    OK(fsc_mkdir(fs, &fc_bob, "e", 0700)); // others are not concerned
    OK(fsc_ftruncate(f, 0));
    OK(fsc_maintain(fs));
    IS(fsc_pwrite(f, big, 2 * FC_CHUNK, 0), 2 * FC_CHUNK);
    IS(fsc_quota_list(fs, 0, v, 8), 3); // root, alice, bob
    IS(fsc_quota_list(fs, 1, v, 1), 1);
    OK(fsc_close(f));
    OK(fsc_quota_set(fs, fc_root.cred, FSC_QUOTA_USER, 1001, 0, 0));
    OK(fsc_mkdir(fs, &fc_alice, "f", 0700));
    free(big);
}

static void
test_quota_dir(void **state)
{
    struct fsc_attr dir;
    struct fsc_file *f;
    struct statvfs sv;
    struct fsc_usage u;
    char *big = calloc(1, 2 * FC_CHUNK);

    OK(fsc_mkdir(fs, &fc_root, "d", 0777));
    OK(fsc_mkdir(fs, &fc_root, "d/sub", 0777));
    grow("d/there", 1000);
    OK(fsc_getattr(fs, &fc_root, "d", 0, &dir));
    OK(fsc_quota_set(fs, fc_root.cred, FSC_QUOTA_DIR, dir.ino, 2 * FC_CHUNK, 0));
    OK(fsc_quota_get(fs, FSC_QUOTA_DIR, dir.ino, &u)); // what was below it is counted
    assert_true(u.space >= 1000 && u.inodes >= 2);
    f = fc_file(fs, "d/sub/f", O_CREAT | O_RDWR);
    IS(fsc_pwrite(f, big, FC_CHUNK, 0), FC_CHUNK);
    IS(fsc_pwrite(f, big, 2 * FC_CHUNK, 2 * FC_CHUNK), -ENOSPC);
    OK(fsc_statvfs(fs, &fc_root, "d/sub", &sv));
    IS(sv.f_blocks * sv.f_frsize, 2 * FC_CHUNK);
    grow("outside", 3 * FC_CHUNK);
    IS(fsc_rename(fs, &fc_root, "outside", NULL, "d/in", 0), -ENOSPC);
    IS(fsc_link(fs, &fc_root, "outside", NULL, "d/in", 0), -EXDEV);
    OK(fsc_close(f));
    free(big);
}

// ---- trash ----

static void
test_trash(void **state)
{
    struct fsc_trash v[4];
    struct fsc_usage u;
    uint64_t ino;

    OK(fsc_volume_limits(fs, 0, 0, 3600));
    fc_put(fs, "a", "dear");
    fc_put(fs, "b", "cheap");
    OK(fsc_unlink(fs, &fc_root, "a", 0));
    OK(fsc_unlink(fs, &fc_root, "b", 0));
    IS(fsc_trash_list(fs, fc_root.cred, 0, v, 4), 2);
    assert_string_equal(v[0].name, "a");
    IS(v[0].parent, FSC_ROOT);
    IS(v[0].size, 4);
    IS(v[0].expires - v[0].deleted, 3600 * INT64_C(1000000000));
    ino = v[0].ino;
    IS(fsc_trash_list(fs, fc_root.cred, ino, v, 4), 1);
    IS(fsc_trash_list(fs, fc_alice.cred, 0, v, 4), 0);
    fc_put(fs, "a", "taken");
    IS(fsc_trash_restore(fs, &fc_root, ino, "a"), -EEXIST);
    OK(fsc_trash_restore(fs, &fc_root, ino, "a2"));
    fc_same(fs, "a2", "dear");
    IS(fsc_trash_restore(fs, &fc_root, ino, "a3"), -ENOENT);
    IS(fsc_trash_purge(fs, fc_root.cred, 0), 1);
    IS(fsc_trash_list(fs, fc_root.cred, 0, v, 4), 0);
    OK(fsc_unlink(fs, &fc_root, "a", 0));
    OK(fsc_unlink(fs, &fc_root, "a2", 0));
    IS(fsc_trash_purge(fs, fc_root.cred, ino), 1);
    IS(fsc_trash_purge(fs, fc_root.cred, 0), 1);
    OK(fsc_usage(fs, &u));
    IS(u.inodes, 1);
    IS(u.space, 0);
}

// ---- snapshots ----

static void
test_snapshot(void **state)
{
    struct fsc_usage before, after;
    struct fsc_file *f;
    struct stat st;
    uint64_t n;

    OK(fsc_mkdir(fs, &fc_root, "d", 0755));
    OK(fsc_mkdir(fs, &fc_root, "d/e", 0755));
    fc_put(fs, "d/e/f", "then");
    OK(fsc_link(fs, &fc_root, "d/e/f", NULL, "d/g", 0));
    OK(fsc_symlink(fs, "e/f", &fc_root, "d/s"));
    OK(fsc_setxattr(fs, &fc_root, "d/e", "user.x", "1", 1, 0, 0));
    f = fc_file(fs, "d/e/f", O_RDWR);
    OK(fsc_usage(fs, &before));
    OK(fsc_snapshot(fs, &fc_root, "d", NULL, "snap"));
    OK(fsc_usage(fs, &after));
    IS(after.inodes, 2 * before.inodes - 1);
    IS(fsc_pwrite(f, "now!", 4, 0), 4); // by what was open before
    fc_same(fs, "d/s", "now!");
    fc_same(fs, "snap/s", "then");
    fc_same(fs, "snap/g", "then");
    OK(fsc_stat(fs, &fc_root, "snap/g", 0, &st));
    IS(st.st_nlink, 2);
    IS(fsc_getxattr(fs, &fc_root, "snap/e", "user.x", NULL, 0, 0), 1);
    IS(fsc_unlink(fs, &fc_root, "snap/g", 0), -EROFS);
    IS(fsc_mkdir(fs, &fc_root, "snap/new", 0700), -EROFS);
    IS(fsc_chmod(fs, &fc_root, "snap", 0700, 0), -EROFS);
    IS(fsc_setxattr(fs, &fc_root, "snap/e", "user.x", "2", 1, 0, 0), -EROFS);
    IS(fsc_truncate(fs, &fc_root, "snap/g", 0), -EROFS);
    // A clone of the snapshot can be written, and the two after it are apart.
    OK(fsc_clone_tree(fs, &fc_root, "snap", NULL, "work"));
    fc_put(fs, "work/g", "more");
    fc_same(fs, "work/e/f", "more");
    fc_same(fs, "snap/e/f", "then");
    IS(fsc_clone_tree(fs, &fc_root, "d", NULL, "work"), -EEXIST);
    IS(fsc_clone_tree(fs, &fc_alice, "d", NULL, "hers"), -EACCES); // not all hers
    OK(fsc_remove_tree(fs, &fc_root, "snap", &n));
    IS(n, 4);
    fc_same(fs, "work/e/f", "more");
    OK(fsc_close(f));
}

// ---- planted damage ----

static struct fsc_extent
extent(const char *path, uint64_t offset)
{
    struct fsc_file *f = fc_file(fs, path, O_RDONLY);
    struct fsc_extent v;

    IS(fsc_get_layout(f, offset, FC_CHUNK, &v, 1), 1);
    OK(fsc_close(f));
    return v;
}

static void
chunks(void (*fn)(struct chunk_store *c, uint64_t id), uint64_t id)
{
    struct chunk_store *c;
    char path[4200];

    snprintf(path, sizeof path, "%s/chunks", fc_dir);
    OK(chunk_store_open(path, 0, NULL, &c));
    fn(c, id);
    chunk_store_close(c);
}

static void
plant_orphan(struct chunk_store *c, uint64_t id)
{
    OK(chunk_create(c, id));
    IS(chunk_write(c, id, "lost", 4, 0), 4);
}

static void
plant_missing(struct chunk_store *c, uint64_t id)
{
    OK(chunk_delete(c, id));
}

static void
plant_short(struct chunk_store *c, uint64_t id)
{
    OK(chunk_truncate(c, id, 10));
}

static void
test_fsck_chunks(void **state)
{
    struct fsc_file *f;
    char buf[100];

    grow("a", 3 * FC_CHUNK);
    OK(fsc_sync_volume(fs));
    chunks(plant_orphan, 777000777);
    IS(fc_findings(fs, false), 1);
    assert_string_equal(fc_codes, "leak ");
    IS(fc_findings(fs, true), 1);
    IS(fc_findings(fs, false), 0);
    chunks(plant_missing, extent("a", FC_CHUNK).chunk);
    IS(fc_findings(fs, false), 1);
    assert_string_equal(fc_codes, "missing ");
    f = fc_file(fs, "a", O_RDONLY);
    IS(fsc_pread(f, buf, 100, FC_CHUNK), -EIO);
    IS(fsc_pread(f, buf, 100, 0), 100);
    OK(fsc_close(f));
    chunks(plant_short, extent("a", 0).chunk);
    IS(fc_findings(fs, false), 2);
    OK(fsc_unlink(fs, &fc_root, "a", 0));
    OK(fsc_maintain(fs));
}

static void
test_fsck_names(void **state)
{
    static const char *const harm[] = {
        "UPDATE inode SET nlink = 7 WHERE ino = (SELECT ino FROM name WHERE name = CAST('f' AS BLOB))",
        "UPDATE usage SET space = 5, inodes = 1000 WHERE kind = 0",
        "UPDATE inode SET space = 999 WHERE ino = (SELECT ino FROM name WHERE name = CAST('f' AS BLOB))",
        "DELETE FROM name WHERE name = CAST('f' AS BLOB)",
        "DELETE FROM inode WHERE ino = (SELECT ino FROM name WHERE name = CAST('f' AS BLOB))",
    };
    char path[4200];
    sqlite3 *db;

    snprintf(path, sizeof path, "%s/meta/meta.db", fc_dir);
    for (size_t i = 0; i < sizeof harm / sizeof harm[0]; i++) {
        fsc_unlink(fs, &fc_root, "f", 0);
        grow("f", 1000);
        OK(fsc_sync_volume(fs));
        fsc_close_volume(fs);
        IS(sqlite3_open(path, &db), SQLITE_OK);
        IS(sqlite3_exec(db, harm[i], NULL, NULL, NULL), SQLITE_OK);
        assert_true(sqlite3_changes(db) > 0);
        sqlite3_close(db);
        fs = fc_open(0);
        assert_true(fc_findings(fs, false) > 0);
        assert_true(fc_findings(fs, true) > 0);
        fc_check(fs);
    }
}

static int
stop_at_once(void *arg, const char *code, const char *text, bool repaired, uint64_t done, uint64_t total)
{
    return code ? -ECANCELED : 0;
}

static char scrub_text[512];

static int
scrub_says(void *arg, const char *code, const char *text, bool repaired, uint64_t done, uint64_t total)
{
    if (code)
        snprintf(scrub_text, sizeof scrub_text, "%s: %s", code, text);
    return 0;
}

// One bit: that block alone can't be read, scrub says where, and writing it anew mends it.
static void
test_scrub(void **state)
{
    struct fsc_check out;
    struct fsc_file *f;
    struct fsc_extent x;
    char buf[FC_CHUNK] = "";
    int fd;

    grow("a", 2 * FC_CHUNK);
    f = fc_file(fs, "a", O_RDWR);
    OK(fsc_fsync(f));
    OK(fsc_scrub(fs, NULL, NULL, &out));
    IS(out.findings, 0);
    IS(out.chunks, 2);
    x = extent("a", FC_CHUNK);
    fd = open(x.path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    IS(pwrite(fd, "\1", 1, 500), 1);
    close(fd);
    fsc_close(f);
    fsc_close_volume(fs); // what was verified once is not verified again by the same handle
    fs = fc_open(0);
    OK(fsc_scrub(fs, scrub_says, NULL, &out));
    IS(out.findings, 1);
    assert_non_null(strstr(scrub_text, "damage: /a: "));
    assert_non_null(strstr(scrub_text, "offset 65536"));
    IS(fsc_scrub(fs, stop_at_once, NULL, &out), -ECANCELED);
    f = fc_file(fs, "a", O_RDWR);
    IS(fsc_pread(f, buf, 10, FC_CHUNK + 500), -EIO);
    IS(fsc_pread(f, buf, 10, 0), 10);
    assert_non_null(strstr(fc_message, "inode"));
    IS(fsc_pwrite(f, buf, FC_CHUNK, FC_CHUNK), FC_CHUNK);
    IS(fsc_pread(f, buf, 10, FC_CHUNK + 500), 10);
    OK(fsc_close(f));
    OK(fsc_scrub(fs, NULL, NULL, &out));
    IS(out.findings, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(test_##name, make, end)

int
main(void)
{
    const struct CMUnitTest tests[] = {T(quota_user),  T(quota_dir),  T(trash), T(snapshot),
                                       T(fsck_chunks), T(fsck_names), T(scrub)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
