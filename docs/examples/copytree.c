// SPDX-License-Identifier: Apache-2.0
// Copies a directory tree of this machine into a volume: directories, files with their holes left out,
// symbolic links and modes.
//
//   cc copytree.c $(pkg-config --cflags --libs libfsclient) -o copytree
//   ./copytree local:/srv/vol /usr/include /include
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <fsclient.h>

static struct fsc *fs;
static unsigned long files, bytes;

static void
say(void *arg, const char *text)
{
    (void)arg;
    fprintf(stderr, "copytree: %s\n", text);
}

static int
complain(const char *path, int err)
{
    fprintf(stderr, "copytree: %s: %s\n", path, strerror(-err));
    return err;
}

// The bytes between holes; the rest of the file stays a hole in the volume, too.
static int
copy_data(int from, struct fsc_file *to, off_t size)
{
    static char buf[1 << 20];
    off_t at = 0, end;

    while (at < size && (at = lseek(from, at, SEEK_DATA)) >= 0) {
        end = lseek(from, at, SEEK_HOLE);
        while (at < end) {
            size_t want = end - at < (off_t)sizeof buf ? (size_t)(end - at) : sizeof buf;
            ssize_t n = pread(from, buf, want, at), w;

            if (n <= 0)
                return n < 0 ? -errno : 0; // shorter than it was
            for (ssize_t done = 0; done < n; done += w) {
                w = fsc_pwrite(to, buf + done, (size_t)(n - done), (uint64_t)(at + done));
                if (w < 0)
                    return (int)w;
            }
            at += n;
            bytes += (unsigned long)n;
        }
    }
    return fsc_ftruncate(to, (uint64_t)size);
}

static int
copy_file(int dirfd, const char *name, const struct fsc_at *to, const struct stat *st)
{
    int from = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC), err;
    struct fsc_file *file;

    if (from < 0)
        return -errno;
    err = fsc_open(fs, to, name, O_WRONLY | O_CREAT | O_EXCL, st->st_mode & 07777, &file);
    if (!err) {
        err = copy_data(from, file, st->st_size);
        files++;
        if (fsc_close(file) != 0 && !err)
            err = -EIO;
    }
    close(from);
    return err;
}

static int copy_dir(int dirfd, const char *name, const struct fsc_at *at, const char *as, mode_t mode);

static int
copy_one(int dirfd, const char *name, const struct fsc_at *to)
{
    char text[PATH_MAX];
    struct stat st;
    ssize_t n;

    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return -errno;
    if (S_ISDIR(st.st_mode))
        return copy_dir(dirfd, name, to, name, st.st_mode);
    if (S_ISREG(st.st_mode))
        return copy_file(dirfd, name, to, &st);
    if (!S_ISLNK(st.st_mode))
        return fsc_mknod(fs, to, name, st.st_mode, st.st_rdev);
    n = readlinkat(dirfd, name, text, sizeof text - 1);
    if (n < 0)
        return -errno;
    text[n] = '\0';
    return fsc_symlink(fs, text, to, name);
}

// Each level has its directories open, so that no path is walked twice.
static int
copy_dir(int dirfd, const char *name, const struct fsc_at *at, const char *as, mode_t mode)
{
    int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err;
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct fsc_at to = *at;
    struct dirent *e;

    if (!dir)
        return -errno;
    err = fsc_mkdir(fs, at, as, 0700);
    if (!err || err == -EEXIST)
        err = fsc_open(fs, at, as, O_RDONLY | O_DIRECTORY, 0, &to.dir);
    if (err) {
        closedir(dir);
        return err;
    }
    while (!err && (e = readdir(dir)))
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
            err = copy_one(fd, e->d_name, &to);
            if (err)
                complain(e->d_name, err);
        }
    if (!err)
        err = fsc_chmod(fs, &to, "", mode & 07777, AT_EMPTY_PATH);
    fsc_close(to.dir);
    closedir(dir);
    return err;
}

int
main(int argc, char **argv)
{
    // All files are made as this user; without a credential each call would ask the kernel who calls.
    struct fsc_cred me = {.uid = geteuid(), .gid = getegid(), .umask = 0};
    struct fsc_options options = {.message = say};
    struct fsc_at at = {.cred = &me};
    struct stat st;
    int err;

    if (argc != 4) {
        fprintf(stderr, "usage: copytree URL DIRECTORY PATH-IN-THE-VOLUME\n");
        return 2;
    }
    err = fsc_open_volume(argv[1], &options, &fs);
    if (err)
        return complain(argv[1], err) != 0;
    err = stat(argv[2], &st) != 0 ? -errno : copy_dir(AT_FDCWD, argv[2], &at, argv[3], st.st_mode);
    if (!err)
        err = fsc_sync_volume(fs);
    if (err)
        complain(argv[2], err);
    else
        printf("%lu files, %lu bytes\n", files, bytes);
    fsc_close_volume(fs);
    return err != 0;
}
