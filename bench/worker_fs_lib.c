// SPDX-License-Identifier: Apache-2.0
// zio-bench-fsc: the fs worker that calls libfsclient itself. A program of its own, so that zio-bench, which
// is measured as an ordinary program, has nothing of zIO in it.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/worker.h"
#include "bench/worker_fs.h"
#include "fsclient/fsclient.h"

static struct fsc *fs;
// Given with each call: what the library would otherwise ask the kernel each time.
static struct fsc_cred cred = {.umask = 022};
static const struct fsc_at at_root = {.cred = &cred};

static int
lib_begin(const struct wreq *q)
{
    if (fs)
        return 0;
    cred.uid = geteuid();
    cred.gid = getegid();
    return fsc_open_volume(q->url, NULL, &fs);
}

static int
lib_open(const char *path, int flags, mode_t mode, fsio_file *out)
{
    struct fsc_file *f = NULL;
    int err = fsc_open(fs, &at_root, path, flags, mode, &f);

    *out = (fsio_file)f;
    return err;
}

static int
lib_close(fsio_file f)
{
    return fsc_close((struct fsc_file *)f);
}

static ssize_t
lib_pread(fsio_file f, void *buf, size_t n, uint64_t at)
{
    return fsc_pread((struct fsc_file *)f, buf, n, at);
}

static ssize_t
lib_write(fsio_file f, const void *buf, size_t n, uint64_t at)
{
    return fsc_pwrite((struct fsc_file *)f, buf, n, at);
}

static int
lib_fsync(fsio_file f)
{
    return fsc_fsync((struct fsc_file *)f);
}

static int
lib_stat(const char *path, struct stat *st)
{
    return fsc_stat(fs, &at_root, path, 0, st);
}

static int
lib_mkdir(const char *path)
{
    return fsc_mkdir(fs, &at_root, path, 0777);
}

static int
lib_rmdir(const char *path)
{
    return fsc_unlink(fs, &at_root, path, AT_REMOVEDIR);
}

static int
lib_unlink(const char *path)
{
    return fsc_unlink(fs, &at_root, path, 0);
}

static int
lib_list(const char *path, fsio_each fn, void *arg)
{
    enum { N = 256 };
    struct fsc_dirent *v = malloc(N * sizeof *v);
    struct fsc_file *f = NULL;
    uint64_t cookie = 0;
    ssize_t n = 0;
    int err = v ? fsc_open(fs, &at_root, path, O_RDONLY | O_DIRECTORY, 0, &f) : -ENOMEM;

    while (!err && (n = fsc_readdir(f, cookie, v, N)) > 0)
        for (ssize_t i = 0; i < n && !err; i++) {
            cookie = v[i].cookie;
            if (strcmp(v[i].name, ".") != 0 && strcmp(v[i].name, "..") != 0)
                err = fn(arg, v[i].name, v[i].type == DT_DIR);
        }
    fsc_close(f);
    free(v);
    return err ? err : n < 0 ? (int)n : 0;
}

const struct fsio fsio = {
    lib_begin, lib_open, lib_close, lib_pread, lib_pread,  lib_write,
    lib_fsync, lib_stat, lib_mkdir, lib_rmdir, lib_unlink, lib_list,
};

int
main(void)
{
    struct wreq q;
    struct wrep p;

    while (recv(WORKER_CTL_FD, &q, sizeof q, 0) == (ssize_t)sizeof q) {
        memset(&p, 0, sizeof p);
        p.err = q.op == WOP_SETUP    ? worker_fs.setup(&q, &p)
                : q.op == WOP_VERIFY ? worker_fs.verify(&q, &p)
                                     : worker_fs.slice(&q, &p);
        if (send(WORKER_CTL_FD, &p, sizeof p, MSG_NOSIGNAL) < 0)
            return 1;
    }
    fsc_close_volume(fs);
    return 0;
}
