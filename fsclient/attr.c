// SPDX-License-Identifier: Apache-2.0
// Attributes in the shape of stat(2).
#include <string.h>

#include "fsclient/driver.h"

#define NS 1000000000

static struct timespec
ns_to_ts(int64_t ns)
{
    int64_t sec = ns / NS, rest = ns % NS;

    if (rest < 0) {
        rest += NS;
        sec--;
    }
    return (struct timespec){.tv_sec = sec, .tv_nsec = rest};
}

void
fsc_attr_stat(struct fsc *fs, const struct fsc_attr *attr, struct stat *st)
{
    memset(st, 0, sizeof *st);
    st->st_dev = fs->dev;
    st->st_ino = attr->ino;
    st->st_mode = attr->mode;
    st->st_nlink = attr->nlink;
    st->st_uid = attr->uid;
    st->st_gid = attr->gid;
    st->st_rdev = attr->rdev;
    st->st_size = (off_t)attr->size;
    st->st_blksize = 65536; // what a checksum covers: the piece that is read and written as one
    st->st_blocks = (blkcnt_t)((attr->space + 511) / 512);
    st->st_atim = ns_to_ts(attr->atime);
    st->st_mtim = ns_to_ts(attr->mtime);
    st->st_ctim = ns_to_ts(attr->ctime);
}
