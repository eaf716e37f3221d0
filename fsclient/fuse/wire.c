// SPDX-License-Identifier: Apache-2.0
// What libfuse 3.14 does not know of the protocol (linux/fuse.h), by its hooks for reading requests and
// writing answers:
//
// - FUSE_HANDLE_KILLPRIV_V2: that set-user-ID goes with a write is left to us, and said in the requests that
// it
//   concerns. Without it the kernel asks for an extended attribute (security.capability) before each write.
// - FUSE_TMPFILE: open(2)'s O_TMPFILE. FUSE_STATX (Linux 6.6): the time of birth.
// - FUSE_NOTIFY_INC_EPOCH (Linux 6.16): all names that the kernel has are to be looked up again.
//
// A libfuse that knows them does no harm: the flag is set twice, the opcode never gets to it.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fuse.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fsclient/fuse/mount.h"

#define NOTIFY_INC_EPOCH 8 // of protocol 7.44
#define INC_EPOCH_MINOR 44
#define BULK (64u << 10) // bytes

// Of protocol 7.39.
#define OPCODE_STATX 52
struct time_out {
    int64_t sec;
    uint32_t nsec;
    int32_t unused;
};
struct statx_out {
    uint64_t valid;
    uint32_t valid_nsec, flags;
    uint64_t spare[2];
    // struct fuse_statx
    uint32_t mask, blksize;
    uint64_t attributes;
    uint32_t nlink, uid, gid;
    uint16_t mode, spare0;
    uint64_t ino, size, blocks, attributes_mask;
    struct time_out atime, btime, ctime, mtime;
    uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
    uint64_t spare2[14];
};
_Static_assert(sizeof(struct statx_out) == 32 + 256, "as the kernel has it");

_Thread_local struct wire_extra wire_extra = {.fd = -1};

// Set by the first request, before any other is answered.
static uint64_t init_unique;
static uint32_t init_minor;
static _Atomic bool init_killpriv, init_epoch, init_answered;

bool
wire_kills_suid(void)
{
    return init_killpriv;
}

// ---- requests ----

// The argument behind the header, if all of it is there.
static bool
argument(const char *buf, size_t n, void *out, size_t size)
{
    if (n < sizeof(struct fuse_in_header) + size)
        return false;
    memcpy(out, buf + sizeof(struct fuse_in_header), size);
    return true;
}

static void
note_init(struct mount *m, const struct fuse_in_header *h, const char *buf, size_t n)
{
    struct fuse_init_in in = {0};

    if (n < sizeof *h + 16) // the oldest form
        return;
    memcpy(&in, buf + sizeof *h, n - sizeof *h < sizeof in ? n - sizeof *h : sizeof in);
    init_unique = h->unique;
    init_minor = in.minor;
    init_killpriv = in.flags & FUSE_HANDLE_KILLPRIV_V2 && option_has("fusekillpriv");
    init_epoch = init_minor >= INC_EPOCH_MINOR && option_has("fuseepoch");
    m->entry_timeout = init_epoch ? m->opt.timeout : 0;
}

static uint32_t
note_kill(const struct fuse_in_header *h, const char *buf, size_t n)
{
    union {
        struct fuse_write_in write;
        struct fuse_setattr_in setattr;
        struct fuse_open_in open;
    } u;

    switch (h->opcode) {
    case FUSE_WRITE:
        return argument(buf, n, &u.write, sizeof u.write) ? u.write.write_flags & FUSE_WRITE_KILL_SUIDGID : 0;
    case FUSE_SETATTR:
        return argument(buf, n, &u.setattr, sizeof u.setattr) ? u.setattr.valid & FATTR_KILL_SUIDGID : 0;
    case FUSE_OPEN:
        return argument(buf, n, &u.open, sizeof u.open) ? u.open.open_flags & FUSE_OPEN_KILL_SUIDGID : 0;
    case FUSE_FALLOCATE: // these say nothing
    case FUSE_COPY_FILE_RANGE:
        return h->uid != 0;
    default:
        return 0;
    }
}

// Many bytes are to be read: mostly the kernel reads ahead, and asks for the next ones meanwhile.
static bool
is_bulk(const struct fuse_in_header *h, const char *buf, size_t n)
{
    struct fuse_read_in in;

    return h->opcode == FUSE_READ && argument(buf, n, &in, sizeof in) && in.size >= BULK;
}

// Where the answer to this thread's request goes.
static int
answer_fd(int fd)
{
    return wire_extra.fd >= 0 ? wire_extra.fd : fd;
}

static void
answer(int fd, uint64_t unique, int err, void *body, size_t size, bool *sent)
{
    struct fuse_out_header h = {.unique = unique, .error = err};
    struct iovec iov[2] = {{&h, sizeof h}, {body, err ? 0 : size}};

    h.len = (uint32_t)(iov[0].iov_len + iov[1].iov_len);
    *sent = writev(answer_fd(fd), iov, 2) == (ssize_t)h.len && !err;
}

// Seconds as the protocol has them.
static void
timeout(double s, uint64_t *sec, uint32_t *nsec)
{
    *sec = (uint64_t)s;
    *nsec = (uint32_t)((s - (double)*sec) * 1e9);
}

static void
fill_attr(const struct stat *st, struct fuse_attr *a)
{
    *a = (struct fuse_attr){
        .ino = st->st_ino,
        .size = (uint64_t)st->st_size,
        .blocks = (uint64_t)st->st_blocks,
        .atime = (uint64_t)st->st_atim.tv_sec,
        .mtime = (uint64_t)st->st_mtim.tv_sec,
        .ctime = (uint64_t)st->st_ctim.tv_sec,
        .atimensec = (uint32_t)st->st_atim.tv_nsec,
        .mtimensec = (uint32_t)st->st_mtim.tv_nsec,
        .ctimensec = (uint32_t)st->st_ctim.tv_nsec,
        .mode = st->st_mode,
        .nlink = (uint32_t)st->st_nlink,
        .uid = st->st_uid,
        .gid = st->st_gid,
        .rdev = (uint32_t)st->st_rdev,
        .blksize = (uint32_t)st->st_blksize,
    };
}

static void
do_tmpfile(struct mount *m, int fd, const struct fuse_in_header *h, const char *buf, size_t n)
{
    struct {
        struct fuse_entry_out entry;
        struct fuse_open_out open;
    } out = {0};
    struct fuse_create_in in;
    struct fuse_entry_param e;
    struct fsc_cred cred = {.uid = h->uid, .gid = h->gid, .checked = true};
    bool sent;
    int err = -EINVAL;

    if (argument(buf, n, &in, sizeof in)) {
        cred.umask = in.umask;
        err = open_tmpfile(m, &cred, h->nodeid, (int)in.flags, in.mode, &e, &out.open.fh);
    }
    if (!err) {
        out.entry.nodeid = e.ino;
        timeout(e.attr_timeout, &out.entry.attr_valid, &out.entry.attr_valid_nsec);
        fill_attr(&e.attr, &out.entry.attr);
        out.open.open_flags = FOPEN_KEEP_CACHE;
    }
    answer(fd, h->unique, err, &out, sizeof out, &sent);
    if (!err && !sent)
        close_tmpfile(m, e.ino, out.open.fh);
}

static struct time_out
time_of(int64_t ns)
{
    int64_t sec = ns / 1000000000 - (ns % 1000000000 < 0);

    return (struct time_out){.sec = sec, .nsec = (uint32_t)(ns - sec * 1000000000)};
}

static void
do_statx(struct mount *m, int fd, const struct fuse_in_header *h)
{
    struct statx_out out = {0};
    struct fsc_attr a;
    struct stat st;
    bool sent;
    int err = fsc_ino_getattr(m->fs, h->nodeid, &a);

    if (!err) {
        fsc_attr_stat(m->fs, &a, &st);
        timeout(m->opt.timeout, &out.valid, &out.valid_nsec);
        out.mask = STATX_BASIC_STATS | STATX_BTIME;
        out.blksize = (uint32_t)st.st_blksize;
        out.attributes_mask = STATX_ATTR_IMMUTABLE;
        out.attributes = a.flags & FSC_ATTR_SNAPSHOT ? STATX_ATTR_IMMUTABLE : 0;
        out.nlink = a.nlink;
        out.uid = a.uid;
        out.gid = a.gid;
        out.mode = (uint16_t)a.mode;
        out.ino = a.ino;
        out.size = a.size;
        out.blocks = (uint64_t)st.st_blocks;
        out.atime = time_of(a.atime);
        out.btime = time_of(a.btime);
        out.ctime = time_of(a.ctime);
        out.mtime = time_of(a.mtime);
        out.rdev_major = major(a.rdev);
        out.rdev_minor = minor(a.rdev);
    }
    answer(fd, h->unique, err, &out, sizeof out, &sent);
}

// The next request that is libfuse's.
static ssize_t
io_read(int fd, void *buf, size_t len, void *userdata)
{
    struct fuse_in_header h;

    for (;;) {
        ssize_t n = loop_read(fd, buf, len);

        if (n < (ssize_t)sizeof h)
            return n;
        memcpy(&h, buf, sizeof h);
        wire_extra.opcode = h.opcode;
        wire_extra.bulk = is_bulk(&h, buf, (size_t)n);
        wire_extra.kill = init_killpriv ? note_kill(&h, buf, (size_t)n) : 0;
        if (h.opcode == FUSE_INIT && !init_unique)
            note_init(userdata, &h, buf, (size_t)n);
        if (h.opcode != FUSE_TMPFILE && h.opcode != OPCODE_STATX)
            return n;
        if (h.opcode == FUSE_TMPFILE)
            do_tmpfile(userdata, fd, &h, buf, (size_t)n);
        else
            do_statx(userdata, fd, &h);
    }
}

// ---- answers ----

static ssize_t
io_writev(int fd, struct iovec *iov, int count, void *userdata)
{
    (void)userdata;
    if (!init_answered && count >= 2 && iov[0].iov_len == sizeof(struct fuse_out_header)) {
        const struct fuse_out_header *h = iov[0].iov_base;
        struct fuse_init_out *out = iov[1].iov_base;

        if (h->unique == init_unique && h->error == 0 &&
            iov[1].iov_len >= offsetof(struct fuse_init_out, max_background)) {
            init_answered = true;
            if (init_killpriv)
                out->flags |= FUSE_HANDLE_KILLPRIV_V2;
        }
    }
    return writev(answer_fd(fd), iov, count);
}

int
wire_clone(const struct mount *m)
{
    uint32_t from = (uint32_t)fuse_session_fd(m->se);
    int fd = option_has("fuseclone") ? open("/dev/fuse", O_RDWR | O_CLOEXEC) : -1;

    if (fd >= 0 && ioctl(fd, FUSE_DEV_IOC_CLONE, &from) != 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

int
wire_start(struct mount *m)
{
    static const struct fuse_custom_io io = {.read = io_read, .writev = io_writev};

    return fuse_session_custom_io(m->se, &io, fuse_session_fd(m->se));
}

// ---- news for the kernel ----

static int
notify(const struct mount *m, int code, void *body, size_t size)
{
    struct fuse_out_header h = {.len = (uint32_t)(sizeof h + size), .error = code};
    struct iovec iov[2] = {{&h, sizeof h}, {body, size}};

    return writev(fuse_session_fd(m->se), iov, size ? 2 : 1) < 0 ? -errno : 0;
}

int
wire_inc_epoch(const struct mount *m)
{
    return init_epoch ? notify(m, NOTIFY_INC_EPOCH, NULL, 0) : 0;
}

// -ENOENT: the kernel does not know it (any more, or not yet).
int
wire_inval_inode(const struct mount *m, uint64_t ino, bool pages)
{
    struct fuse_notify_inval_inode_out out = {.ino = ino, .off = pages ? 0 : -1};

    return notify(m, FUSE_NOTIFY_INVAL_INODE, &out, sizeof out);
}
