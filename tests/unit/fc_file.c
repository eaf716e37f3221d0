// SPDX-License-Identifier: Apache-2.0
// Unit tests of fsclient.h: volumes, and the calls by handle: what they do, what they refuse, with which
// errno.
#include <ftw.h>
#include <limits.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <sys/uio.h>

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
test_volume(void **state)
{
    struct fsc_options opt = {0};
    struct fsc_format fmt = {.chunk_size = 3000};
    struct fsc_usage usage;
    struct statvfs sv;
    struct fsc_info info;
    struct fsc *other;
    char url[PATH_MAX + 32];

    IS(fsc_format("nothing", NULL, NULL), -EINVAL);
    IS(fsc_format(":x", NULL, NULL), -EINVAL);
    IS(fsc_format("bogus:x", NULL, NULL), -EPROTONOSUPPORT);
    IS(fsc_format("local:", NULL, NULL), -EINVAL);
    IS(fsc_format(fc_url, NULL, NULL), -EEXIST);
    snprintf(url, sizeof url, "%s/lock/x", fc_url);
    IS(fsc_format(url, NULL, NULL), -ENOTDIR);
    snprintf(url, sizeof url, "%s/new", fc_url);
    IS(fsc_format(url, &fmt, NULL), -EINVAL);
    IS(fsc_open_volume(url, &opt, &other), -ENOENT);
    IS(fsc_open_volume("local", NULL, &other), -EINVAL);
    IS(fsc_open_volume("zio://host/vol", NULL, &other), -EPROTONOSUPPORT);
    OK(fsc_volume_info(fs, &info));
    assert_string_equal(info.driver, "local");
    IS(info.chunk_size, FC_CHUNK);
    assert_true(info.schema > 0);
    OK(fsc_volume_limits(fs, 1 << 20, 100, 60));
    OK(fsc_volume_info(fs, &info));
    IS(info.max_space, 1 << 20);
    IS(info.max_inodes, 100);
    IS(info.trash_seconds, 60);
    OK(fsc_usage(fs, &usage));
    IS(usage.max_inodes, 100);
    OK(fsc_statvfs(fs, &fc_root, "/", &sv));
    IS(sv.f_files, 100);
    IS(sv.f_blocks * sv.f_frsize, 1 << 20);
    IS(sv.f_namemax, FSC_NAME_MAX);
    OK(fsc_volume_limits(fs, 0, 0, 0));
    OK(fsc_sync_volume(fs));
    OK(fsc_maintain(fs));
    OK(fsc_fork_child(fs));
    fsc_close_volume(NULL);
    OK(fsc_close(NULL));
}

static void
test_rdonly(void **state)
{
    struct fsc_file *f;
    struct fsc *ro;
    char c;

    fc_put(fs, "a", "text");
    ro = fc_open(FSC_RDONLY);
    fc_same(ro, "a", "text");
    IS(fsc_open(ro, &fc_root, "a", O_RDWR, 0, &f), -EROFS);
    IS(fsc_open(ro, &fc_root, "b", O_CREAT | O_RDWR, 0600, &f), -EROFS);
    IS(fsc_open(ro, &fc_root, "a", O_RDONLY | O_TRUNC, 0, &f), -EROFS);
    IS(fsc_unlink(ro, &fc_root, "a", 0), -EROFS);
    IS(fsc_mkdir(ro, &fc_root, "d", 0700), -EROFS);
    IS(fsc_rename(ro, &fc_root, "a", NULL, "b", 0), -EROFS);
    IS(fsc_chmod(ro, &fc_root, "a", 0600, 0), -EROFS);
    IS(fsc_truncate(ro, &fc_root, "a", 0), -EROFS);
    IS(fsc_setxattr(ro, &fc_root, "a", "user.x", "1", 1, 0, 0), -EROFS);
    IS(fsc_link(ro, &fc_root, "a", NULL, "b", 0), -EROFS);
    IS(fsc_symlink(ro, "a", &fc_root, "b"), -EROFS);
    IS(fsc_clone_tree(ro, &fc_root, "a", NULL, "b"), -EROFS);
    IS(fsc_remove_tree(ro, &fc_root, "a", NULL), -EROFS);
    // What others change is seen.
    f = fc_file(ro, "a", O_RDONLY);
    fc_put(fs, "a", "TEXT");
    IS(fsc_pread(f, &c, 1, 0), 1);
    IS(c, 'T');
    OK(fsc_close(f));
    IS(fc_findings(ro, false), 0);
    fsc_close_volume(ro);
}

static void
test_open(void **state)
{
    struct fsc_file *f, *g;
    struct fsc_at at = fc_root;
    struct stat st;
    char long_name[300];

    IS(fsc_open(fs, &fc_root, "a", O_RDWR, 0, &f), -ENOENT);
    IS(fsc_open(fs, &fc_root, "", O_RDWR | O_CREAT, 0600, &f), -ENOENT);
    IS(fsc_open(fs, &fc_root, "a/", O_RDWR | O_CREAT, 0600, &f), -EISDIR);
    IS(fsc_open(fs, &fc_root, "/", O_RDWR | O_CREAT, 0600, &f), -EISDIR);
    IS(fsc_open(fs, &fc_root, "/", O_WRONLY, 0600, &f), -EISDIR);
    IS(fsc_open(fs, &fc_root, "d", O_CREAT | O_DIRECTORY, 0600, &f), -EINVAL);
    memset(long_name, 'x', 256);
    long_name[256] = '\0';
    IS(fsc_open(fs, &fc_root, long_name, O_RDWR | O_CREAT, 0600, &f), -ENAMETOOLONG);
    long_name[255] = '\0';
    OK(fsc_open(fs, &fc_root, long_name, O_RDWR | O_CREAT | O_EXCL, 0604, &f));
    IS(fsc_file_flags(f) & O_ACCMODE, O_RDWR);
    OK(fsc_fstat(f, &st));
    IS(st.st_mode, S_IFREG | 0604);
    IS(st.st_ino, fsc_file_ino(f));
    OK(fsc_close(f));
    IS(fsc_open(fs, &fc_root, long_name, O_RDWR | O_CREAT | O_EXCL, 0600, &f), -EEXIST);
    fc_put(fs, "a", "12345");
    OK(fsc_open(fs, &fc_root, "a", O_RDONLY | O_TRUNC, 0, &f));
    OK(fsc_close(f));
    IS(fc_size(fs, "a"), 0);
    IS(fsc_open(fs, &fc_root, "a", O_RDONLY | O_DIRECTORY, 0, &f), -ENOTDIR);
    IS(fsc_open(fs, &fc_root, "a/b", O_RDONLY, 0, &f), -ENOTDIR);
    OK(fsc_symlink(fs, "a", &fc_root, "link"));
    IS(fsc_open(fs, &fc_root, "link", O_RDONLY | O_NOFOLLOW, 0, &f), -ELOOP);
    IS(fsc_open(fs, &fc_root, "link", O_CREAT | O_EXCL | O_RDWR, 0600, &f), -EEXIST);
    OK(fsc_open(fs, &fc_root, "link", O_PATH | O_NOFOLLOW, 0, &f));
    OK(fsc_fstat(f, &st));
    assert_true(S_ISLNK(st.st_mode));
    IS(fsc_pread(f, long_name, 1, 0), -EBADF);
    IS(fsc_fsync(f), -EBADF);
    IS(fsc_file_set_flags(f, O_APPEND), -EBADF);
    OK(fsc_close(f));
    OK(fsc_symlink(fs, "made", &fc_root, "dangling"));
    OK(fsc_open(fs, &fc_root, "dangling", O_CREAT | O_RDWR, 0600, &f));
    OK(fsc_close(f));
    IS(fc_size(fs, "made"), 0);
    OK(fsc_mknod(fs, &fc_root, "fifo", S_IFIFO | 0666, 0));
    IS(fsc_open(fs, &fc_root, "fifo", O_RDONLY, 0, &f), -EOPNOTSUPP);
    OK(fsc_open(fs, &fc_root, "fifo", O_PATH, 0, &f));
    OK(fsc_close(f));
    OK(fsc_mknod(fs, &fc_root, "sock", S_IFSOCK | 0666, 0));
    IS(fsc_open(fs, &fc_root, "sock", O_RDONLY, 0, &f), -ENXIO);
    // Permissions, and who may leave times alone.
    OK(fsc_chmod(fs, &fc_root, "a", 0640, 0));
    IS(fsc_open(fs, &fc_alice, "a", O_RDONLY, 0, &f), -EACCES);
    OK(fsc_chmod(fs, &fc_root, "a", 0644, 0));
    IS(fsc_open(fs, &fc_alice, "a", O_RDONLY | O_NOATIME, 0, &f), -EPERM);
    IS(fsc_open(fs, &fc_alice, "a", O_RDONLY | O_TRUNC, 0, &f), -EACCES);
    // Who makes a file may write it whatever its mode is.
    OK(fsc_open(fs, &fc_alice, "odd", O_CREAT | O_RDWR, 0, &f));
    IS(fsc_pwrite(f, "x", 1, 0), 1);
    OK(fsc_close(f));
    IS(fsc_open(fs, &fc_alice, "odd", O_RDONLY, 0, &f), -EACCES);
    // Relative to a directory; and a handle that two share.
    OK(fsc_mkdir(fs, &fc_root, "dir", 0755));
    at.dir = fc_file(fs, "dir", O_RDONLY | O_DIRECTORY);
    OK(fsc_open(fs, &at, "x", O_CREAT | O_RDWR, 0600, &g));
    OK(fsc_dup(g));
    OK(fsc_close(g));
    IS(fsc_pwrite(g, "x", 1, 0), 1);
    OK(fsc_close(g));
    IS(fc_size(fs, "dir/x"), 1);
    IS(fsc_pread(at.dir, long_name, 1, 0), -EISDIR);
    IS(fsc_pwrite(at.dir, long_name, 1, 0), -EBADF);
    OK(fsc_close(at.dir));
}

static void
test_tmpfile(void **state)
{
    struct fsc_at at = fc_root;
    struct fsc_file *f;
    struct stat st;
    struct fsc_usage before, after;

    OK(fsc_usage(fs, &before));
    IS(fsc_open(fs, &fc_root, "/", O_TMPFILE | O_RDONLY, 0600, &f), -EINVAL);
    OK(fsc_open(fs, &fc_root, "/", O_TMPFILE | O_RDWR, 0600, &f));
    IS(fsc_pwrite(f, "hello", 5, 0), 5);
    OK(fsc_fstat(f, &st));
    IS(st.st_nlink, 0);
    at.dir = f;
    OK(fsc_link(fs, &at, "", &fc_root, "named", AT_EMPTY_PATH));
    OK(fsc_close(f));
    fc_same(fs, "named", "hello");
    OK(fsc_unlink(fs, &fc_root, "named", 0));
    OK(fsc_open(fs, &fc_root, "/", O_TMPFILE | O_RDWR | O_EXCL, 0600, &f));
    at.dir = f;
    IS(fsc_link(fs, &at, "", &fc_root, "named", AT_EMPTY_PATH), -ENOENT);
    OK(fsc_close(f));
    OK(fsc_usage(fs, &after));
    IS(after.inodes, before.inodes);
}

static void
test_read_write(void **state)
{
    struct fsc_file *f = fc_file(fs, "a", O_CREAT | O_RDWR), *r = fc_file(fs, "a", O_RDONLY),
                    *w = fc_file(fs, "a", O_WRONLY);
    char buf[16] = "", zero[8] = "";
    struct iovec iov[3] = {{"ab", 2}, {"", 0}, {"cde", 3}}, in[2] = {{buf, 1}, {buf + 1, 9}};
    uint64_t last = 0;

    IS(fsc_pread(w, buf, 1, 0), -EBADF);
    IS(fsc_pwrite(r, buf, 1, 0), -EBADF);
    IS(fsc_pread(r, buf, 4, 0), 0);
    IS(fsc_pwrite(w, buf, 0, 0), 0);
    IS(fsc_pwrite(w, buf, 1, UINT64_MAX), -EINVAL);
    IS(fsc_pread(r, buf, 1, UINT64_MAX), -EINVAL);
    IS(fsc_pwrite(w, buf, 1, INT64_MAX), -EFBIG);
    IS(fsc_pread(r, buf, 1, INT64_MAX), 0);
    IS(fsc_preadv(r, iov, -1, 0), -EINVAL);
    IS(fsc_preadv(r, iov, IOV_MAX + 1, 0), -EINVAL);
    IS(fsc_pwritev(w, iov, 3, FC_CHUNK - 2, 0, &last), 5); // over the border of two chunks
    IS(last, FC_CHUNK + 3);
    IS(fsc_preadv(r, in, 2, FC_CHUNK - 2), 5);
    assert_memory_equal(buf, "abcde", 5);
    IS(fsc_pread(r, buf, 8, 100), 8); // a hole
    assert_memory_equal(buf, zero, 8);
    IS(fsc_pwritev(w, iov, 3, 0, 0x4000, NULL), -EOPNOTSUPP);
    IS(fsc_pwritev(w, iov, 1, 7, RWF_APPEND, &last), 2);
    IS(last, FC_CHUNK + 5);
    IS(fsc_pwritev(w, iov, 1, 0, RWF_DSYNC, &last), 2);
    IS(last, 2);
    IS(fsc_append(w, "z", 1, &last), 1);
    IS(last, FC_CHUNK + 6);
    OK(fsc_file_set_flags(w, O_APPEND | O_RDONLY));
    IS(fsc_file_flags(w) & O_ACCMODE, O_WRONLY);
    IS(fsc_pwrite(w, "!", 1, 0), 1);
    IS(fc_size(fs, "a"), FC_CHUNK + 7);
    OK(fsc_fdatasync(f));
    OK(fsc_close(f));
    OK(fsc_close(r));
    OK(fsc_close(w));
}

static void
test_truncate_and_space(void **state)
{
    struct fsc_file *f = fc_file(fs, "a", O_CREAT | O_RDWR), *r = fc_file(fs, "a", O_RDONLY);
    char buf[32], zero[32] = "";
    struct stat st;

    IS(fsc_ftruncate(r, 0), -EINVAL);
    IS(fsc_ftruncate(f, UINT64_MAX), -EINVAL);
    IS(fsc_truncate(fs, &fc_root, "/", 0), -EISDIR);
    IS(fsc_pwrite(f, "0123456789", 10, 0), 10);
    OK(fsc_ftruncate(f, 4));
    OK(fsc_ftruncate(f, 10));
    IS(fsc_pread(f, buf, 32, 0), 10);
    assert_memory_equal(buf, "0123\0\0\0\0\0\0", 10); // what was cut off does not come back
    OK(fsc_ftruncate(f, 4));
    IS(fsc_pwrite(f, "x", 1, 8), 1);
    IS(fsc_pread(f, buf, 32, 0), 9);
    assert_memory_equal(buf, "0123\0\0\0\0x", 9);
    // fallocate
    IS(fsc_fallocate(f, 0, 0, 0), -EINVAL);
    IS(fsc_fallocate(f, FALLOC_FL_PUNCH_HOLE, 0, 1), -EOPNOTSUPP);
    IS(fsc_fallocate(f, FALLOC_FL_COLLAPSE_RANGE, 0, 1), -EOPNOTSUPP);
    IS(fsc_fallocate(r, 0, 0, 1), -EBADF);
    IS(fsc_fallocate(f, 0, INT64_MAX, 5), -EFBIG);
    OK(fsc_fallocate(f, FALLOC_FL_KEEP_SIZE, 0, 1000));
    IS(fc_size(fs, "a"), 9);
    OK(fsc_fallocate(f, 0, 0, 3 * FC_CHUNK));
    IS(fc_size(fs, "a"), 3 * FC_CHUNK);
    OK(fsc_fallocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1, 2));
    IS(fsc_pread(f, buf, 9, 0), 9);
    assert_memory_equal(buf, "0\0\0003\0\0\0\0x", 9);
    OK(fsc_fallocate(f, FALLOC_FL_ZERO_RANGE, 0, 4 * FC_CHUNK));
    IS(fc_size(fs, "a"), 4 * FC_CHUNK);
    IS(fsc_pread(f, buf, 32, 0), 32);
    assert_memory_equal(buf, zero, 32);
    OK(fsc_fstat(f, &st));
    IS(st.st_blocks, 0);
    // seek
    IS(fsc_seek(f, 0, SEEK_DATA), -ENXIO);
    IS(fsc_seek(f, 4 * FC_CHUNK, SEEK_HOLE), -ENXIO);
    IS(fsc_seek(f, 5, SEEK_HOLE), 5);
    IS(fsc_seek(f, 5, SEEK_SET), -EINVAL);
    IS(fsc_pwrite(f, "x", 1, 2 * FC_CHUNK), 1);
    IS(fsc_seek(f, 0, SEEK_DATA), 2 * FC_CHUNK);
    assert_in_range(fsc_seek(f, 2 * FC_CHUNK, SEEK_HOLE), 2 * FC_CHUNK + 1, 3 * FC_CHUNK);
    OK(fsc_fstat(f, &st));
    assert_true(st.st_blocks > 0);
    OK(fsc_close(f));
    OK(fsc_close(r));
}

static void
test_setuid_goes(void **state)
{
    struct fsc_file *f;
    struct stat st;

    // A write by who is not root drops the bits; the tests run as root, so its own thread's user is changed.
    if (geteuid() != 0)
        skip();
    fc_put(fs, "s", "text");
    OK(fsc_chmod(fs, &fc_root, "s", 06777, 0));
    f = fc_file(fs, "s", O_RDWR);
    IS(fsc_pwrite(f, "x", 1, 0), 1);
    IS(fsc_fstat(f, &st), 0);
    IS(st.st_mode & 07777, 06777);
    OK(setresuid(-1, 1001, -1));
    IS(fsc_pwrite(f, "x", 1, 0), 1);
    OK(setresuid(-1, 0, -1));
    OK(fsc_fstat(f, &st));
    IS(st.st_mode & 07777, 0777);
    // So does a truncation: by handle, by path, by open.
    OK(fsc_chmod(fs, &fc_root, "s", 06777, 0));
    OK(fsc_ftruncate(f, 3));
    OK(fsc_truncate(fs, &fc_root, "s", 2));
    OK(fsc_fstat(f, &st));
    IS(st.st_mode & 07777, 06777);
    OK(setresuid(-1, 1001, -1));
    OK(fsc_ftruncate(f, 1));
    OK(setresuid(-1, 0, -1));
    OK(fsc_fstat(f, &st));
    IS(st.st_mode & 07777, 0777);
    OK(fsc_close(f));
    OK(fsc_chmod(fs, &fc_root, "s", 06777, 0));
    OK(fsc_open(fs, &fc_alice, "s", O_WRONLY | O_TRUNC, 0, &f));
    OK(fsc_fstat(f, &st));
    IS(st.st_mode & 07777, 0777);
    OK(fsc_close(f));
}

static void
test_clone_and_layout(void **state)
{
    struct fsc_file *a = fc_file(fs, "a", O_CREAT | O_RDWR), *b = fc_file(fs, "b", O_CREAT | O_RDWR),
                    *ro = fc_file(fs, "a", O_RDONLY);
    struct fsc_extent v[8];
    char buf[8];

    IS(fsc_pwrite(a, "one", 3, 0), 3);
    IS(fsc_pwrite(a, "two", 3, 2 * FC_CHUNK), 3);
    IS(fsc_get_layout(a, 0, INT64_MAX, v, 8), 3);
    assert_true(v[0].chunk && !v[1].chunk && v[2].chunk);
    IS(v[1].offset, FC_CHUNK);
    IS(v[1].length, FC_CHUNK);
    IS(v[2].length, 3);
    assert_false(v[0].shared);
    IS(access(v[0].path, R_OK), 0);
    IS(fsc_get_layout(a, FC_CHUNK + 5, 10, v, 8), 1);
    IS(v[0].length, 10);
    IS(fsc_get_layout(a, 0, INT64_MAX, v, 2), 2);
    IS(fsc_clone_range(a, 1, b, 0, FC_CHUNK), -EINVAL);
    IS(fsc_clone_range(a, 0, ro, 0, FC_CHUNK), -EBADF);
    IS(fsc_clone_range(a, UINT64_MAX, b, 0, 5), -EINVAL);
    OK(fsc_clone_range(a, 0, b, 0, 2 * FC_CHUNK + 3));
    IS(fc_size(fs, "b"), 2 * FC_CHUNK + 3);
    IS(fsc_get_layout(b, 0, INT64_MAX, v, 8), 3);
    assert_true(v[0].shared && v[2].shared);
    // A later write to either is its own.
    IS(fsc_pwrite(a, "ONE", 3, 0), 3);
    IS(fsc_pread(b, buf, 3, 0), 3);
    assert_memory_equal(buf, "one", 3);
    IS(fsc_pwrite(b, "2", 1, 2 * FC_CHUNK), 1);
    IS(fsc_pread(a, buf, 3, 2 * FC_CHUNK), 3);
    assert_memory_equal(buf, "two", 3);
    IS(fsc_pread(b, buf, 3, 2 * FC_CHUNK), 3);
    assert_memory_equal(buf, "2wo", 3);
    // Holes and punches in what is shared.
    OK(fsc_clone_range(a, 2 * FC_CHUNK, b, 2 * FC_CHUNK, 3));
    OK(fsc_fallocate(b, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2 * FC_CHUNK, 2));
    IS(fsc_pread(a, buf, 3, 2 * FC_CHUNK), 3);
    assert_memory_equal(buf, "two", 3);
    IS(fsc_pread(b, buf, 3, 2 * FC_CHUNK), 3);
    assert_memory_equal(buf, "\0\0o", 3);
    OK(fsc_close(a));
    OK(fsc_close(b));
    OK(fsc_close(ro));
}

static void
test_versions(void **state)
{
    struct fsc_file *f = fc_file(fs, "a", O_CREAT | O_RDWR);
    struct fsc *other = fc_open(0);
    uint64_t v = fsc_file_version(f);

    IS(fsc_file_version(f), v);
    OK(fsc_chmod(other, &fc_root, "a", 0600, 0));
    assert_true(fsc_file_version(f) != v);
    v = fsc_file_version(f);
    fc_put(other, "a", "x");
    assert_true(fsc_file_version(f) != v);
    v = fsc_ino_version(fs, fsc_file_ino(f));
    fc_put(other, "b", "x");
    IS(fsc_ino_version(fs, fsc_file_ino(f)), v);
    fsc_close_volume(other);
    OK(fsc_close(f));
}

static void
test_deleted_open(void **state)
{
    struct fsc_file *f;
    struct fsc_usage before, with, after;
    struct stat st;
    char buf[4];

    OK(fsc_usage(fs, &before));
    f = fc_file(fs, "a", O_CREAT | O_RDWR);
    OK(fsc_unlink(fs, &fc_root, "a", 0));
    IS(fsc_pwrite(f, "data", 4, FC_CHUNK), 4);
    IS(fsc_pread(f, buf, 4, FC_CHUNK), 4);
    assert_memory_equal(buf, "data", 4);
    OK(fsc_fstat(f, &st));
    IS(st.st_nlink, 0);
    OK(fsc_fsync(f));
    OK(fsc_usage(fs, &with));
    IS(with.inodes, before.inodes + 1);
    OK(fsc_ino_hold(fs, fsc_file_ino(f)));
    OK(fsc_close(f));
    OK(fsc_ino_open(fs, FSC_ENGINE, st.st_ino, O_RDONLY, &f));
    IS(fsc_pread(f, buf, 4, FC_CHUNK), 4);
    OK(fsc_close(f));
    OK(fsc_ino_release(fs, st.st_ino));
    IS(fsc_ino_open(fs, FSC_ENGINE, st.st_ino, O_RDONLY, &f), -ESTALE);
    IS(fsc_ino_release(fs, st.st_ino), -EBADF);
    OK(fsc_usage(fs, &after));
    IS(after.inodes, before.inodes);
    IS(after.space, before.space);
}

static off_t data_bytes; // that the chunks' data files take on the disk

static int
add_data(const char *path, const struct stat *st, int type, struct FTW *at)
{
    if (type == FTW_F && strspn(path + at->base, "0123456789abcdef") == 16 && !path[at->base + 16])
        data_bytes += st->st_blocks * 512;
    return 0;
}

static off_t
data_on_disk(void)
{
    char dir[PATH_MAX];

    snprintf(dir, sizeof dir, "%s/chunks", fc_dir);
    data_bytes = 0;
    OK(nftw(dir, add_data, 16, FTW_PHYS));
    return data_bytes;
}

// A large file's space is given back at once, whatever it was that took its bytes away, and that of many
// middling ones soon.
enum { MIB = 1 << 20, BIG = 17 };

static void
fill_big(const char *name, uint64_t mib)
{
    struct fsc_file *f = fc_file(fs, name, O_CREAT | O_WRONLY);
    char *buf = calloc(1, MIB);

    assert_non_null(buf);
    for (uint64_t i = 0; i < mib; i++)
        IS(fsc_pwrite(f, buf, MIB, i * MIB), MIB);
    free(buf);
    OK(fsc_fsync(f));
    OK(fsc_close(f));
    assert_true(data_on_disk() >= (off_t)mib * MIB);
}

static void
test_space_at_once(void **state)
{
    struct fsc_file *f;
    char name[32];

    fill_big("big", BIG);
    OK(fsc_unlink(fs, &fc_root, "big", 0));
    assert_true(data_on_disk() < MIB);

    fill_big("big", BIG);
    OK(fsc_close(fc_file(fs, "big", O_WRONLY | O_TRUNC)));
    assert_true(data_on_disk() < MIB);

    fill_big("big", BIG);
    OK(fsc_truncate(fs, &fc_root, "big", 1));
    assert_true(data_on_disk() < 2 * MIB);

    fill_big("big", BIG);
    OK(fsc_close(fc_file(fs, "small", O_CREAT | O_WRONLY)));
    OK(fsc_rename(fs, &fc_root, "small", &fc_root, "big", 0));
    assert_true(data_on_disk() < MIB);

    fill_big("big", BIG);
    f = fc_file(fs, "big", O_RDONLY);
    OK(fsc_unlink(fs, &fc_root, "big", 0));
    assert_true(data_on_disk() >= BIG * MIB);
    OK(fsc_close(f));
    assert_true(data_on_disk() < MIB);

    for (int i = 0; i < BIG; i++) {
        snprintf(name, sizeof name, "some%d", i);
        fill_big(name, 1);
    }
    for (int i = 0; i < BIG; i++) {
        snprintf(name, sizeof name, "some%d", i);
        OK(fsc_unlink(fs, &fc_root, name, 0));
    }
    assert_true(data_on_disk() < 2 * MIB);
}

#define T(name) cmocka_unit_test_setup_teardown(test_##name, make, end)

int
main(void)
{
    const struct CMUnitTest tests[] = {T(volume),       T(rdonly),           T(open),
                                       T(tmpfile),      T(read_write),       T(truncate_and_space),
                                       T(setuid_goes),  T(clone_and_layout), T(versions),
                                       T(deleted_open), T(space_at_once)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
