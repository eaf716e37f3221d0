// SPDX-License-Identifier: Apache-2.0
// DIR/volume.conf: lines of "key value", '#' begins a comment. The first key must be "zio-volume" with the
// version of the layout of DIR. It is written last when a volume is made, under its name by rename(2): where
// it is, the volume is whole.
//
//   zio-volume 1
//   meta sqlite
//   chunks dir
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fsclient/local_ops.h"

#define CONF_VERSION 1
#define CONF_MAX 4096 // bytes of the file

static const char conf_text[] =
    "# A volume of zIO. Everything here belongs together; copy it only while nobody uses it.\n"
    "zio-volume 1\n"
    "meta sqlite\n"
    "chunks dir\n";

static int
write_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t k = write(fd, p, n);

        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return -errno;
        p += k;
        n -= (size_t)k;
    }
    return fsync(fd) == 0 ? 0 : -errno;
}

int
conf_write(const char *dir, const struct fsc_options *opt)
{
    char tmp[4200], path[4200];
    int fd, dfd, err;

    if ((size_t)snprintf(path, sizeof path, "%s/volume.conf", dir) >= sizeof path)
        return -ENAMETOOLONG;
    snprintf(tmp, sizeof tmp, "%s/volume.tmp", dir);
    fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    err = fd < 0 ? -errno : write_all(fd, conf_text, sizeof conf_text - 1);
    if (!err && fchmod(fd, 0644) != 0) // for all who may enter the directory, whatever the umask is
        err = -errno;
    if (fd >= 0)
        close(fd);
    if (!err && rename(tmp, path) != 0)
        err = -errno;
    dfd = err ? -1 : open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dfd >= 0) {
        if (fsync(dfd) != 0)
            err = -errno;
        close(dfd);
    }
    if (err)
        fsc_tell(opt, "%s: cannot be written: %s", path, strerror(-err));
    return err;
}

// One line: key and value, split in place; the key is "" for an empty one.
static void
split(char *line, char **key, char **value)
{
    line[strcspn(line, "#")] = '\0';
    line += strspn(line, " \t\r");
    *key = line;
    line += strcspn(line, " \t\r");
    if (*line)
        *line++ = '\0';
    line += strspn(line, " \t\r");
    *value = line;
    for (size_t n = strlen(line); n > 0 && strchr(" \t\r", line[n - 1]); n--)
        line[n - 1] = '\0';
}

static int
check_line(const char *path, const char *key, const char *value, bool first, const struct fsc_options *opt)
{
    char *end;
    unsigned long version;

    if (first) {
        version = strtoul(value, &end, 10);
        if (strcmp(key, "zio-volume") != 0 || end == value || *end) {
            fsc_tell(opt, "%s: does not begin with 'zio-volume VERSION': this is no volume of zIO", path);
            return -EMEDIUMTYPE;
        }
        if (version != CONF_VERSION) {
            fsc_tell(opt,
                     "%s: the volume is of version %lu, and this program knows version %d: use a newer zIO",
                     path, version, CONF_VERSION);
            return -EPROTONOSUPPORT;
        }
        return 0;
    }
    if ((strcmp(key, "meta") == 0 && strcmp(value, "sqlite") == 0) ||
        (strcmp(key, "chunks") == 0 && strcmp(value, "dir") == 0))
        return 0;
    fsc_tell(opt, "%s: '%s %s' is not understood: use the zIO that made the volume, or a newer one", path,
             key, value);
    return -EPROTONOSUPPORT;
}

int
conf_read(const char *dir, const struct fsc_options *opt)
{
    char path[4200], buf[CONF_MAX + 1], *rest = buf, *line, *key, *value;
    bool first = true;
    ssize_t n;
    int fd, err = 0;

    if ((size_t)snprintf(path, sizeof path, "%s/volume.conf", dir) >= sizeof path)
        return -ENAMETOOLONG;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        err = -errno;
        fsc_tell(opt,
                 err == -ENOENT ? "%s: there is no volume; make one with: zio fs format local:%s" : "%s: %s",
                 err == -ENOENT ? dir : path, err == -ENOENT ? dir : strerror(-err));
        return err;
    }
    n = read(fd, buf, CONF_MAX);
    err = n < 0 ? -errno : 0;
    close(fd);
    buf[n > 0 ? n : 0] = '\0';
    while (!err && (line = strsep(&rest, "\n"))) {
        split(line, &key, &value);
        if (*key) {
            err = check_line(path, key, value, first, opt);
            first = false;
        }
    }
    return !err && first ? check_line(path, "", "", true, opt) : err;
}
