// SPDX-License-Identifier: Apache-2.0
// Inside libfsclient: the seam between what is common to all volumes (paths, credentials, flags of open,
// handles) and the drivers, which know inodes and bytes. A driver is a table of operations; URL schemes
// choose it (volume.c).
//
// A driver may rely on: names that are one component, credentials that are resolved (never NULL, maybe
// FSC_ENGINE), file handles opened the right way for the call, a volume that was made good after a fork.
// Results are as fsclient.h says of the public call of that name.
#ifndef FSCLIENT_DRIVER_H
#define FSCLIENT_DRIVER_H

#include <stdatomic.h>
#include <sys/queue.h>

#include "fsclient/fsclient.h"

struct fsc_driver;

struct fsc {
    const struct fsc_driver *drv;
    void *priv; // the driver's
    struct fsc_options opt;
    dev_t dev;
    _Atomic uint32_t *alive; // a page that a fork child finds empty; its first word is enum fork_state
};

struct fsc_file {
    struct fsc *fs;
    uint64_t ino;
    _Atomic int flags; // open(2)'s; O_APPEND and O_NOATIME may change
    _Atomic int refs;
    uint32_t type;       // S_IFMT bits
    _Atomic bool pinned; // FSC_CHUNK_KEEP was asked for with it
    // the driver's
    void *priv;
    _Atomic int token; // a descriptor that its flock goes with; -1: none yet
    LIST_ENTRY(fsc_file) with_token;
};

struct fsc_driver {
    const char *scheme;
    int (*format)(const char *rest, const struct fsc_format *fmt, const struct fsc_options *opt);
    int (*open_volume)(struct fsc *fs, const char *rest); // sets fs->priv, fs->dev
    void (*close_volume)(struct fsc *fs, bool forked);    // forked: give back memory and descriptors, no more
    int (*fork_child)(struct fsc *fs);                    // at the child's first call
    int (*info)(struct fsc *fs, struct fsc_info *info);
    int (*limits)(struct fsc *fs, uint64_t max_space, uint64_t max_inodes, uint32_t trash_seconds);
    int (*sync)(struct fsc *fs);
    int (*maintain)(struct fsc *fs);
    bool (*owns_fd)(struct fsc *fs, int fd);

    int (*lookup)(struct fsc *fs, const struct fsc_cred *cred, uint64_t dir, const char *name,
                  struct fsc_attr *attr);
    int (*getattr)(struct fsc *fs, uint64_t ino, struct fsc_attr *attr);
    int (*setattr)(struct fsc *fs, const struct fsc_cred *cred, uint64_t ino, unsigned set,
                   const struct fsc_attr *in, struct fsc_attr *attr);
    int (*access)(struct fsc *fs, const struct fsc_cred *cred, uint64_t ino, int mode);
    int (*mknod)(struct fsc *fs, const struct fsc_cred *cred, uint64_t dir, const char *name, mode_t mode,
                 uint64_t rdev, struct fsc_attr *attr);
    int (*symlink)(struct fsc *fs, const struct fsc_cred *cred, const char *text, uint64_t dir,
                   const char *name, struct fsc_attr *attr);
    int (*link)(struct fsc *fs, const struct fsc_cred *cred, uint64_t ino, uint64_t dir, const char *name,
                struct fsc_attr *attr);
    int (*unlink)(struct fsc *fs, const struct fsc_cred *cred, uint64_t dir, const char *name);
    int (*rmdir)(struct fsc *fs, const struct fsc_cred *cred, uint64_t dir, const char *name);
    int (*rename)(struct fsc *fs, const struct fsc_cred *cred, uint64_t dir, const char *name,
                  uint64_t new_dir, const char *new_name, unsigned flags);
    ssize_t (*readlink)(struct fsc *fs, uint64_t ino, char *buf, size_t size);
    int (*truncate)(struct fsc *fs, const struct fsc_cred *cred, uint64_t ino, uint64_t size,
                    struct fsc_attr *attr);
    ssize_t (*readdir)(struct fsc *fs, uint64_t dir, uint64_t cookie, struct fsc_dirent *v, size_t n);
    int (*setxattr)(struct fsc *fs, const struct fsc_cred *cred, uint64_t ino, const char *name,
                    const void *value, size_t size, int flags);
    ssize_t (*getxattr)(struct fsc *fs, const struct fsc_cred *cred, uint64_t ino, const char *name,
                        void *value, size_t size);
    ssize_t (*listxattr)(struct fsc *fs, const struct fsc_cred *cred, uint64_t ino, char *list, size_t size);
    int (*removexattr)(struct fsc *fs, const struct fsc_cred *cred, uint64_t ino, const char *name);
    int (*statvfs)(struct fsc *fs, uint64_t ino, struct statvfs *out);
    uint64_t (*version)(struct fsc *fs, uint64_t ino);
    int (*watch)(struct fsc *fs);
    uint32_t (*watch_slot)(struct fsc *fs, uint64_t ino);
    bool (*watch_news)(struct fsc *fs, uint64_t ino);
    int (*watch_wait)(struct fsc *fs, int wait_ms, fsc_watch_fn fn, void *arg);

    // file->fs and file->flags are set; these set ino, type and priv. create: -EEXIST where the name is
    // taken.
    int (*open)(struct fsc_file *file, const struct fsc_cred *cred, uint64_t ino, struct fsc_attr *attr);
    int (*create)(struct fsc_file *file, const struct fsc_cred *cred, uint64_t dir, const char *name,
                  mode_t mode, struct fsc_attr *attr);
    int (*tmpfile)(struct fsc_file *file, const struct fsc_cred *cred, uint64_t dir, mode_t mode,
                   struct fsc_attr *attr);
    void (*close)(struct fsc_file *file);
    int (*hold)(struct fsc *fs, uint64_t ino);
    int (*release)(struct fsc *fs, uint64_t ino);

    ssize_t (*preadv)(struct fsc_file *file, const struct iovec *iov, int count, uint64_t offset);
    ssize_t (*pwritev)(struct fsc_file *file, const struct iovec *iov, int count, uint64_t offset,
                       bool append, uint64_t *end);
    int (*fallocate)(struct fsc_file *file, int mode, uint64_t offset, uint64_t length);
    int (*fsync)(struct fsc_file *file, bool data_only);
    int64_t (*seek)(struct fsc_file *file, uint64_t offset, int whence);
    int (*clone_range)(struct fsc_file *src, uint64_t src_offset, struct fsc_file *dst, uint64_t dst_offset,
                       uint64_t length);
    ssize_t (*layout)(struct fsc_file *file, uint64_t offset, uint64_t length, struct fsc_extent *v,
                      size_t n);
    int (*chunk_fd)(struct fsc_file *file, uint64_t offset, unsigned how, struct fsc_chunk *out);
    int (*settle)(struct fsc_file *file, uint64_t offset, uint64_t length);
    int (*verify)(struct fsc_file *file, uint64_t offset, uint64_t length);
    int (*setlk)(struct fsc_file *file, uint64_t owner, const struct fsc_lock *lock, int wait_ms);
    int (*getlk)(struct fsc_file *file, uint64_t owner, struct fsc_lock *lock);
    int (*flock)(struct fsc_file *file, int op, int wait_ms);
    int (*unlock_owner)(struct fsc_file *file, uint64_t owner);
    int (*take_locks)(struct fsc *fs, uint64_t session, uint64_t owner);
    uint64_t (*session)(struct fsc *fs);

    int (*clone_tree)(struct fsc *fs, const struct fsc_cred *cred, uint64_t ino, uint64_t dir,
                      const char *name, bool snapshot);
    int (*remove_tree)(struct fsc *fs, const struct fsc_cred *cred, uint64_t dir, const char *name,
                       uint64_t *removed);
    int (*usage)(struct fsc *fs, struct fsc_usage *usage);
    int (*quota_set)(struct fsc *fs, const struct fsc_cred *cred, enum fsc_quota_kind kind, uint64_t id,
                     uint64_t max_space, uint64_t max_inodes);
    int (*quota_get)(struct fsc *fs, enum fsc_quota_kind kind, uint64_t id, struct fsc_usage *usage);
    ssize_t (*quota_list)(struct fsc *fs, size_t skip, struct fsc_quota *v, size_t n);
    ssize_t (*trash_list)(struct fsc *fs, const struct fsc_cred *cred, uint64_t after, struct fsc_trash *v,
                          size_t n);
    int (*trash_restore)(struct fsc *fs, const struct fsc_cred *cred, uint64_t ino, uint64_t dir,
                         const char *name);
    ssize_t (*trash_purge)(struct fsc *fs, const struct fsc_cred *cred, uint64_t ino);
    int (*fsck)(struct fsc *fs, bool repair, fsc_check_fn fn, void *arg, struct fsc_check *out);
    int (*scrub)(struct fsc *fs, fsc_check_fn fn, void *arg, struct fsc_check *out);
    ssize_t (*sessions)(struct fsc *fs, size_t skip, struct fsc_session *v, size_t n);
};

extern const struct fsc_driver fsc_driver_local;

// Tells a person, if one listens.
void fsc_tell(const struct fsc_options *opt, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

// ---- fork.c: is this still the process that the volume was opened in? ----

int fork_watch(struct fsc *fs);
void fork_unwatch(struct fsc *fs);
int fork_mend(struct fsc *fs);
bool fork_is_child(struct fsc *fs);

enum fork_state {
    FORK_WIPED = 0, // a child that has not called yet: what the kernel leaves it
    FORK_MENDING,   // a thread of it makes the volume good
    FORK_ALIVE,
};

// First thing in every call. 0, or what fork_child said.
static inline int
fs_enter(struct fsc *fs)
{
    if (__builtin_expect(atomic_load_explicit(fs->alive, memory_order_acquire) == FORK_ALIVE, 1))
        return 0;
    return fork_mend(fs);
}

// ---- cred.c ----

struct cred_buf {
    struct fsc_cred cred;
    gid_t groups[64];
    gid_t *more; // where there are more than 64 groups
};

// `cred`, or the calling thread's own put into `buf` where it is NULL; NULL: out of memory. To be given back.
const struct fsc_cred *cred_get(const struct fsc_cred *cred, bool want_umask, struct cred_buf *buf);
void cred_put(struct cred_buf *buf);
bool cred_own_root(void); // is the calling thread itself root?
// May this one do what only root may?
static inline bool
cred_is_root(const struct fsc_cred *cred)
{
    return cred == FSC_ENGINE || cred->uid == 0;
}

// ---- walk.c ----

enum {
    WALK_FOLLOW = 1 << 0, // follow a symbolic link at the end, too
    WALK_PARENT = 1 << 1, // the last component need not be there
    WALK_EMPTY = 1 << 2,  // AT_EMPTY_PATH
    WALK_UNSEEN = 1 << 3, // the last component is not looked up: !found. Not for "name/", "." and ".."
};

enum walk_last { WALK_NORM, WALK_DOT, WALK_DOTDOT, WALK_TOP };

struct walk {
    uint64_t parent; // the directory of the last component (of the target of followed links)
    char name[FSC_NAME_MAX + 1];
    enum walk_last last; // what the last component is: a name, ".", "..", or nothing ("/")
    bool slash;          // something like "name/": must be a directory
    bool found;          // attr is filled
    struct fsc_attr attr;
};

int walk_path(struct fsc *fs, const struct fsc_at *at, const struct fsc_cred *cred, const char *path,
              unsigned flags, struct walk *w);

// Where `at` is NULL.
extern const struct fsc_at walk_default;

// ---- file.c ----

// A handle without an inode yet; file_free gives back one that was never opened.
struct fsc_file *file_new(struct fsc *fs, int flags);
void file_free(struct fsc_file *file);

#endif
