// SPDX-License-Identifier: Apache-2.0
// zio-mount: a volume as a FUSE file system of the kernel, by libfuse's low-level interface over fsclient.h.
//
//   main.c     the command line, the way into the background       options.c  -o
//   attach.c   the mount point: checks, dead mounts, unmounting    session.c  signals, the end
//   loop.c     the threads that serve requests                     op_*.c     the operations
//   wire.c     what libfuse 3.14 does not know of the protocol     watch.c    telling the kernel what others
//   known.c    the inodes that the kernel knows                               changed
//
// Who asks permissions: the kernel (default_permissions, with ACLs), by the attributes that it has; we take
// from a request only who owns what is made. Inode numbers are the volume's own.
//
// Caches. The kernel keeps names and attributes (for `timeout` seconds) and pages. What this mount changes,
// the kernel knows to forget by itself. What others change, watch.c tells it, a few milliseconds later at
// most; and opening a file asks at once, so that close-to-open holds without a gap: pages are kept over an
// open only where nobody else has changed the file. So timeouts can be long, and nothing is asked twice while
// one is alone. Who opens a file only to write goes past the pages. Not used, each for a reason: passthrough
// (FUSE_PASSTHROUGH; the kernel would read and write the chunk's file by itself, past checksums and times),
// splice (a checksum must see the bytes), the writeback cache unless asked for (the kernel then believes no
// other's size of a file), io_uring (the kernel has it switched off, fuse.enable_uring, and libfuse knows it
// from 3.17 on), FOPEN_NOFLUSH (a close has to give up the process's locks, also those that are taken after
// the open).
#ifndef ZIO_FUSE_MOUNT_H
#define ZIO_FUSE_MOUNT_H

#define FUSE_USE_VERSION 312

#include <fuse_lowlevel.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "fsclient/fsclient.h"

// Exit codes, as cli/cli.h has them.
enum { EXIT_FAIL = 1, EXIT_USAGE = 2 };

struct options {
    char *url;    // with the directory made absolute
    char *dir;    // the mount point, absolute
    char *kernel; // what the kernel's mount is given: "nosuid,nodev"; may be ""
    bool read_only, noatime, allow_other, foreground, debug, clone_fd, writeback;
    double timeout, negative_timeout; // seconds; of names and attributes
    unsigned max_threads;
    unsigned poll_us; // microseconds; how long requests are polled for. 0: not
};

struct known;

struct mount {
    struct options opt;
    struct fsc *fs;
    struct fuse_session *se;
    struct known_table *known;
    uint64_t chunk_size;
    double entry_timeout; // opt.timeout, or 0 where the kernel can't be told of changed names
    int ready_fd;         // where the parent waits; -1
    dev_t dev;            // of what we mounted; 0: not known
    _Atomic bool dirty;   // something changed since the last maintenance
};

// The handler's mount.
static inline struct mount *
mount_of(fuse_req_t req)
{
    return fuse_req_userdata(req);
}

// ---- main.c ----

// One line about what went wrong: to standard error, or, in the background, to the system's log.
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void say_to_log(void);

// ---- options.c ----

// Takes an option string "a,b=c" apart. 0, or -EINVAL, said already.
int options_add(struct options *opt, const char *list);
// May this feature of the kernel be used? Not where ZIO_FEATURES=-NAME,... takes it away.
bool option_has(const char *feature);

// ---- attach.c ----

// Is `dir` good to be mounted on? A dead mount of ours there is detached, and that is said. 0, or -errno,
// said.
int attach_check(const struct options *opt);
// Unmount, as root by the system call, else by fusermount3. 0, or -errno, not said.
int attach_detach(const char *dir, bool lazy);
// The device of what is mounted on `dir`, without a question to it. 0 or -ENOENT.
int mount_device(const char *dir, dev_t *dev);
// The absolute path of a mount point, even of a dead one; to be freed. NULL, and errno.
char *mount_point(const char *dir);
int cmd_umount(int argc, char **argv);

// ---- session.c ----

// Mounts and serves until the end. An exit code.
int session_run(struct mount *m);
// The kernel has said hello: whoever started us may go on.
void session_ready(struct mount *m);

// ---- loop.c ----

void loop_init(struct mount *m); // before any other
int loop_run(void);              // serves requests until the mount ends. 0 or -errno
void loop_end(void);             // from another thread
void loop_free(void);            // when nobody answers any more: answers go where their requests came from
// The next request into buf, for a worker; wire_extra.fd is set. As read(2).
ssize_t loop_read(int fd, void *buf, size_t len);

// ---- wire.c ----

// What the header of the request that this thread is at says beyond what libfuse hands on.
struct wire_extra {
    int fd; // where the request came from; -1: the session's. For its answer
    uint32_t opcode;
    bool bulk;     // a read of so many bytes that the next request should not wait for it
    uint32_t kill; // not 0: set-user-ID and set-group-ID are to go (FUSE_HANDLE_KILLPRIV_V2)
};
extern _Thread_local struct wire_extra wire_extra;

int wire_clone(const struct mount *m);     // one more way to the kernel; -1: as before, then
int wire_start(struct mount *m);           // after the mount, before the first request
bool wire_kills_suid(void);                // did the kernel leave that to us?
int wire_inc_epoch(const struct mount *m); // names that the kernel has are to be looked up again
int wire_inval_inode(const struct mount *m, uint64_t ino, bool pages);

// ---- known.c ----

struct known_table *known_new(struct fsc *fs);
void known_free(struct known_table *t);
// The kernel is about to be told of the inode once more. 0 or -ENOMEM.
int known_add(struct known_table *t, uint64_t ino, bool dir);
void known_forget(struct known_table *t, uint64_t ino, uint64_t n);
// Its last name is about to go: keep it for as long as the kernel knows it.
void known_hold(struct known_table *t, uint64_t ino);
// An inode without a name is to be opened: is that in doubt? Not where this mount removed the name, nor for
// who asks again.
bool known_doubt(struct known_table *t, uint64_t ino);
// Lock owners: `owner` may hold byte ranges of the inode, through the handle `fh`. 0 or -ENOMEM.
int known_add_owner(struct known_table *t, uint64_t ino, uint64_t owner, uint64_t fh);
// Forgets those with this owner (fh 0), or with this handle (owner 0), one at a time: the owner. False: none.
bool known_take_owner(struct known_table *t, uint64_t ino, uint64_t owner, uint64_t fh, uint64_t *out);
// A descriptor was closed; and how long ago the last one was, in ns (INT64_MAX: never).
void known_closed(struct known_table *t, uint64_t ino);
int64_t known_since_close(struct known_table *t, uint64_t ino);
// Calls fn for each inode in a slot. fn may not call back into the table.
void known_slot(struct known_table *t, uint32_t slot, void (*fn)(void *arg, uint64_t ino, bool dir),
                void *arg);
bool known_is(struct known_table *t, uint64_t ino);

// ---- watch.c ----

int watch_start(struct mount *m);
void watch_stop(void);
// The kernel is to drop the pages of an inode, for a reason of our own. Soon; not before the answer to the
// request that this thread is at.
void watch_again(struct mount *m, uint64_t ino);

// ---- op_*.c ----

extern const struct fuse_lowlevel_ops mount_ops; // op_table.c

// Answers with an inode that the kernel may not know yet.
void reply_entry(fuse_req_t req, const struct fsc_attr *attr);
void fill_entry(const struct mount *m, const struct fsc_attr *attr, struct fuse_entry_param *e);
// 0 or a negative errno as the answer.
static inline void
reply_err(fuse_req_t req, int err)
{
    fuse_reply_err(req, -err);
}
struct fsc_cred cred_of(fuse_req_t req);

#define FILE_OF(fi) ((struct fsc_file *)(uintptr_t)(fi)->fh)

// The kernel's owner of a lock, a scrambled pointer, is never one of the volume's.
static inline uint64_t
owner_of(const struct fuse_file_info *fi)
{
    return fi->lock_owner & ~FSC_OWNER_SHARED;
}

// op_names.c
void do_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void do_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n);
void do_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *v);
void do_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev);
void do_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void do_symlink(fuse_req_t req, const char *text, fuse_ino_t parent, const char *name);
void do_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name);
void do_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void do_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void do_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
               const char *new_name, unsigned flags);
void do_readlink(fuse_req_t req, fuse_ino_t ino);
// op_attr.c
void do_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void do_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int set, struct fuse_file_info *fi);
void do_access(fuse_req_t req, fuse_ino_t ino, int mask);
void do_statfs(fuse_req_t req, fuse_ino_t ino);
void do_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags);
void do_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void do_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);
void do_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name);
void do_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned cmd, void *arg, struct fuse_file_info *fi,
              unsigned flags, const void *in, size_t in_size, size_t out_size);
// Drops set-user-ID and set-group-ID where the kernel asks for it with this request.
void kill_suid(fuse_req_t req, fuse_ino_t ino);
// op_file.c
void do_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void do_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi);
void do_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void do_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
              struct fuse_file_info *fi);
void do_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void do_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void do_fsync(fuse_req_t req, fuse_ino_t ino, int data_only, struct fuse_file_info *fi);
void do_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t length,
                  struct fuse_file_info *fi);
void do_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence, struct fuse_file_info *fi);
void do_copy(fuse_req_t req, fuse_ino_t ino, off_t off, struct fuse_file_info *fi, fuse_ino_t ino_to,
             off_t off_to, struct fuse_file_info *fi_to, size_t len, int flags);
// What FUSE_TMPFILE wants: a file without a name, open. 0 or -errno; the entry counts as known.
int open_tmpfile(struct mount *m, const struct fsc_cred *cred, uint64_t dir, int flags, mode_t mode,
                 struct fuse_entry_param *e, uint64_t *fh);
void close_tmpfile(struct mount *m, uint64_t ino, uint64_t fh); // of an answer that did not arrive
// op_dir.c
void do_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void do_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void do_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void do_fsyncdir(fuse_req_t req, fuse_ino_t ino, int data_only, struct fuse_file_info *fi);
// op_lock.c
void do_getlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct flock *lock);
void do_setlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct flock *lock, int sleep);
void do_flock(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, int op);
// Waits until no thread waits for a lock any more; they are told to stop.
void locks_stop(void);

// Workers' signals: blocked, but for the one that ends a wait.
#define SIGNAL_WAKE SIGUSR1

#endif
