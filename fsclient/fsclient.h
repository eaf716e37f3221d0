// SPDX-License-Identifier: Apache-2.0
// libfsclient: one C interface to the volumes of zIO, whichever driver serves them. docs/FSCLIENT.md is the
// tour, docs/examples/ has programs.
//
// What holds for every call, unless its comment says otherwise:
// - It returns 0 (or a count, where said), or a negative errno: those of the system call of the same name. A
//   failed call changed nothing. Nothing is printed; the message hook of the volume is told what a person
//   should know.
// - Any thread may call with any handle. There is no global state but a gate, for the handlers of
//   fork(2). No threads are started, no signal is touched.
// - After fork(2) the child may go on with the parent's volumes and files: the first call there opens the
//   volume's own descriptors anew. The child must fsc_close_volume what it was given, or exec, or _exit. fork
//   waits for calls of other threads that are inside the namespace engine. (vfork and clone do not: their
//   children exec or _exit.)
// - No call moves a file offset: there is none. Offsets and lengths are bytes, in 64 bits.
// - Paths are as in the *at() system calls; see struct fsc_at. NULL for `at`: from the volume's root, as the
//   calling thread itself. An absolute path starts at the volume's root.
// - Strings and buffers stay the caller's.
#ifndef FSCLIENT_H
#define FSCLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

#define FSC_VERSION 1 // of this interface; grows when something is added
#define FSC_ROOT 1    // the inode number of a volume's root directory
#define FSC_NAME_MAX 255

struct fsc;      // a volume that is open
struct fsc_file; // an open file or directory: an open file description

// ---- who asks ----

// NULL in its place: the calling thread's own file-system user, group, supplementary groups and umask at the
// time of the call. (The umask costs a look at /proc; a caller that makes many files passes a credential.)
struct fsc_cred {
    uid_t uid;
    gid_t gid;
    const gid_t *groups;
    uint32_t ngroups;
    mode_t umask;
    bool checked; // permissions were asked elsewhere (by a kernel): this says only who owns what is made
};

// ---- volumes ----

enum {
    FSC_RDONLY = 1 << 0,  // every change is -EROFS
    FSC_NOATIME = 1 << 1, // reading leaves access times alone
};

struct fsc_options {
    unsigned flags; // FSC_RDONLY, FSC_NOATIME
    // Told what went wrong, where, why and what to do: one line, no newline. Any thread may call it; it must
    // not call back into the library, nor fork. NULL: nobody is told.
    void (*message)(void *arg, const char *text);
    void *arg;
};

// How a volume is made; 0 in a field is its default.
struct fsc_format {
    uint64_t chunk_size;    // bytes; a power of two, 64 KiB to 1 GiB; default 64 MiB
    uint64_t max_space;     // bytes that files may take together; 0: what the disk has
    uint64_t max_inodes;    // 0: no limit
    uint32_t trash_seconds; // how long deleted files can be brought back; 0: they can't
    uint32_t root_mode;     // permission bits of the root directory; 0: 0755
    uid_t root_uid;         // its owner
    gid_t root_gid;
    // Who may use the volume through this library: permission bits of the volume's own directory, and of what
    // is in it for each class that may read, write and enter it (they are then able to read and write all of
    // it, past every permission inside the volume). 0: as the directory is, if it is there already, else
    // 0700.
    uint32_t dir_mode;
    char label[64];
};

struct fsc_info {
    char driver[16];
    char label[64];
    uint8_t uuid[16];
    uint64_t chunk_size, max_space, max_inodes;
    uint32_t trash_seconds;
    uint32_t schema; // version of what is on the disk
};

// `url` is SCHEME:REST; today "local:DIR", a volume in a directory of this machine, which any number of
// processes use at once. -EPROTONOSUPPORT: no driver of that scheme is built in. -EINVAL: no scheme. -EEXIST:
// there is one already.
int fsc_format(const char *url, const struct fsc_format *format, const struct fsc_options *options);
// -ENOENT: no volume there. -EMEDIUMTYPE: something else there. -EPROTONOSUPPORT: also a volume of a newer
// version.
int fsc_open_volume(const char *url, const struct fsc_options *options, struct fsc **out);
// All files must be closed and no other thread be in a call. NULL is allowed.
void fsc_close_volume(struct fsc *fs);
int fsc_volume_info(struct fsc *fs, struct fsc_info *info);
// Limits of the volume; as in struct fsc_format.
int fsc_volume_limits(struct fsc *fs, uint64_t max_space, uint64_t max_inodes, uint32_t trash_seconds);
// All that was written, by anybody, is on disk.
int fsc_sync_volume(struct fsc *fs);
// Work that can wait: data of deleted files, expired trash, dead sessions. Never needed, good now and then.
int fsc_maintain(struct fsc *fs);
// In a fork child, what the first call would do; the handle stays usable for another try when it fails.
int fsc_fork_child(struct fsc *fs);
// Is this descriptor one of the library's? For a host that closes descriptors in bulk.
bool fsc_owns_fd(struct fsc *fs, int fd);

// ---- where a path starts, and how far it may go ----

enum {
    FSC_RESOLVE_BENEATH = 1 << 0,     // openat2(2)'s RESOLVE_BENEATH: what leaves `dir` is -EXDEV
    FSC_RESOLVE_IN_ROOT = 1 << 1,     // RESOLVE_IN_ROOT: `dir` is "/"
    FSC_RESOLVE_NO_SYMLINKS = 1 << 2, // RESOLVE_NO_SYMLINKS: any is -ELOOP
};

struct fsc_at {
    struct fsc_file *dir;        // relative paths start here; NULL: the root
    const struct fsc_cred *cred; // NULL: the caller's own
    unsigned resolve;            // FSC_RESOLVE_*
    // Where the volume is a part of a larger tree (a mount): not NULL makes an absolute symbolic link, and
    // ".." in the root, end the walk with -EREMOTE and the rest of the way here: "/abs/rest" or "../rest".
    // -ENAMETOOLONG: too small.
    char *escape;
    size_t escape_size;
};

// ---- attributes ----

// What struct stat has, and more. Times: nanoseconds since 1970.
struct fsc_attr {
    uint64_t ino;
    uint64_t size;
    uint64_t space; // bytes allocated
    uint64_t rdev;
    uint32_t mode, nlink;
    uid_t uid;
    gid_t gid;
    uint32_t flags; // FSC_ATTR_*
    int64_t atime, mtime, ctime, btime;
};

enum {
    FSC_ATTR_SNAPSHOT = 1 << 0, // in a snapshot: read-only for ever
    FSC_ATTR_ACL = 1 << 1,      // has an access control list
    FSC_ATTR_XATTR = 1 << 2,    // may have extended attributes
};

// What fsc_ino_setattr changes.
enum {
    FSC_SET_MODE = 1 << 0,
    FSC_SET_UID = 1 << 1,
    FSC_SET_GID = 1 << 2,
    FSC_SET_ATIME = 1 << 3,
    FSC_SET_MTIME = 1 << 4,
    FSC_SET_ATIME_NOW = 1 << 5,
    FSC_SET_MTIME_NOW = 1 << 6,
};

// As stat(2) shows it; st_dev is a number made from the volume's id.
void fsc_attr_stat(struct fsc *fs, const struct fsc_attr *attr, struct stat *st);

// ---- by path ----
//
// `flags` are those of the system call: AT_SYMLINK_NOFOLLOW, AT_SYMLINK_FOLLOW, AT_EMPTY_PATH (then `path`
// may be "" and at->dir is meant), AT_EACCESS, AT_REMOVEDIR, RENAME_*. An unknown one is -EINVAL.

// All flags of open(2); O_APPEND is atomic among all processes; O_DIRECT, O_NOCTTY, O_ASYNC, O_NONBLOCK and
// O_CLOEXEC mean nothing here. FIFOs and devices can be opened with O_PATH only (-EOPNOTSUPP; a socket
// -ENXIO).
int fsc_open(struct fsc *fs, const struct fsc_at *at, const char *path, int flags, mode_t mode,
             struct fsc_file **out);
int fsc_stat(struct fsc *fs, const struct fsc_at *at, const char *path, int flags, struct stat *st);
int fsc_getattr(struct fsc *fs, const struct fsc_at *at, const char *path, int flags, struct fsc_attr *attr);
int fsc_access(struct fsc *fs, const struct fsc_at *at, const char *path, int mode, int flags);
int fsc_mkdir(struct fsc *fs, const struct fsc_at *at, const char *path, mode_t mode);
int fsc_mknod(struct fsc *fs, const struct fsc_at *at, const char *path, mode_t mode, dev_t dev);
int fsc_symlink(struct fsc *fs, const char *text, const struct fsc_at *at, const char *path);
// The length; not terminated. -EINVAL: no symbolic link.
ssize_t fsc_readlink(struct fsc *fs, const struct fsc_at *at, const char *path, char *buf, size_t size);
// Credentials, limits and escape are those of `at`; new_at may be NULL (the root) or name another directory.
int fsc_link(struct fsc *fs, const struct fsc_at *at, const char *path, const struct fsc_at *new_at,
             const char *new_path, int flags);
int fsc_unlink(struct fsc *fs, const struct fsc_at *at, const char *path, int flags); // AT_REMOVEDIR: rmdir
int fsc_rename(struct fsc *fs, const struct fsc_at *at, const char *path, const struct fsc_at *new_at,
               const char *new_path, unsigned flags);
int fsc_chmod(struct fsc *fs, const struct fsc_at *at, const char *path, mode_t mode, int flags);
int fsc_chown(struct fsc *fs, const struct fsc_at *at, const char *path, uid_t uid, gid_t gid, int flags);
int fsc_utimens(struct fsc *fs, const struct fsc_at *at, const char *path, const struct timespec times[2],
                int flags);
int fsc_truncate(struct fsc *fs, const struct fsc_at *at, const char *path, uint64_t size);
int fsc_setxattr(struct fsc *fs, const struct fsc_at *at, const char *path, const char *name,
                 const void *value, size_t size, int xflags, int flags);
ssize_t fsc_getxattr(struct fsc *fs, const struct fsc_at *at, const char *path, const char *name, void *value,
                     size_t size, int flags);
ssize_t fsc_listxattr(struct fsc *fs, const struct fsc_at *at, const char *path, char *list, size_t size,
                      int flags);
int fsc_removexattr(struct fsc *fs, const struct fsc_at *at, const char *path, const char *name, int flags);
int fsc_statvfs(struct fsc *fs, const struct fsc_at *at, const char *path, struct statvfs *out);

// A copy of a tree (or a file) at one instant, in time of its entries: data is shared until it is changed.
int fsc_clone_tree(struct fsc *fs, const struct fsc_at *at, const char *path, const struct fsc_at *new_at,
                   const char *new_path);
// The same, read-only for ever.
int fsc_snapshot(struct fsc *fs, const struct fsc_at *at, const char *path, const struct fsc_at *new_at,
                 const char *new_path);
// Remove a name and all below it at once; the only way to remove a snapshot. `removed` (may be NULL): how
// many inodes.
int fsc_remove_tree(struct fsc *fs, const struct fsc_at *at, const char *path, uint64_t *removed);

// ---- open files ----

int fsc_close(struct fsc_file *file); // NULL is allowed. Gives up what `fsc_flock` took with it
int fsc_dup(struct fsc_file *file);   // one more fsc_close is due; the same open file description
uint64_t fsc_file_ino(const struct fsc_file *file);
int fsc_file_flags(const struct fsc_file *file);
int fsc_file_set_flags(struct fsc_file *file, int flags); // F_SETFL: only O_APPEND, O_NOATIME matter

// As their system calls; a short count only at the end of the file. `flags` 0 (or RWF_APPEND, RWF_DSYNC,
// RWF_SYNC).
ssize_t fsc_pread(struct fsc_file *file, void *buf, size_t size, uint64_t offset);
ssize_t fsc_pwrite(struct fsc_file *file, const void *buf, size_t size, uint64_t offset);
ssize_t fsc_preadv(struct fsc_file *file, const struct iovec *iov, int count, uint64_t offset);
// With O_APPEND or RWF_APPEND, `offset` is not looked at, as in Linux; `end` (may be NULL) is the offset
// behind the last byte written, which is how write(2) on such a file moves its offset.
ssize_t fsc_pwritev(struct fsc_file *file, const struct iovec *iov, int count, uint64_t offset, int flags,
                    uint64_t *end);
ssize_t fsc_append(struct fsc_file *file, const void *buf, size_t size, uint64_t *end);
int fsc_ftruncate(struct fsc_file *file, uint64_t size);
// mode: 0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE (with KEEP_SIZE), FALLOC_FL_ZERO_RANGE (with or without
// KEEP_SIZE). Space is not set aside: a later write can still be -ENOSPC. Others: -EOPNOTSUPP.
int fsc_fallocate(struct fsc_file *file, int mode, uint64_t offset, uint64_t length);
int fsc_fsync(struct fsc_file *file);
int fsc_fdatasync(struct fsc_file *file);
// SEEK_DATA or SEEK_HOLE: the offset. -ENXIO: behind the end.
int64_t fsc_seek(struct fsc_file *file, uint64_t offset, int whence);
int fsc_fstat(struct fsc_file *file, struct stat *st);
// A number that changes whenever the file (its data, size, attributes, locks) may have changed, by whomever.
// Cheap.
uint64_t fsc_file_version(struct fsc_file *file);

struct fsc_dirent {
    uint64_t ino;
    uint64_t cookie;    // to go on behind this entry; good for ever, in any process
    unsigned char type; // DT_*
    char name[FSC_NAME_MAX + 1];
};
// Up to `n` entries behind `cookie` (0: from the start), "." and ".." among them: the count, 0 at the end. An
// entry that is there all the while is given once, whatever else happens to the directory.
ssize_t fsc_readdir(struct fsc_file *dir, uint64_t cookie, struct fsc_dirent *v, size_t n);

// Copy by reference inside one volume. -EINVAL: the offsets or the length are no multiples of the chunk size
// (but for a length that ends with the source), or one of the files is mapped somewhere: copy the bytes
// instead. Both files must be open, for reading and for writing.
int fsc_clone_range(struct fsc_file *src, uint64_t src_offset, struct fsc_file *dst, uint64_t dst_offset,
                    uint64_t length);

// Where a file's bytes are. `path` is the file below that holds them on this machine, from byte 0 of the
// chunk on, if there is one.
struct fsc_extent {
    uint64_t offset, length; // in the file
    uint64_t chunk;          // its id; 0: a hole
    bool shared;             // with a clone or a snapshot
    char path[232];
};
// The extents of [offset, offset + length), in order, holes included: the count, up to `n`.
ssize_t fsc_get_layout(struct fsc_file *file, uint64_t offset, uint64_t length, struct fsc_extent *v,
                       size_t n);

// ---- the kernel's view ----
//
// A file that is on this machine, as descriptors of the files below that hold its bytes: for mmap, sendfile,
// exec. -ENODEV: not on this machine.

enum {
    FSC_CHUNK_WRITE = 1 << 0, // with KEEP: the descriptor is for reading and writing; else for reading
    // What is read through the descriptor, and through mappings made with it, is what the file has, now and
    // later: writes, by whomever, go there; clones and snapshots made meanwhile get a copy. A hole gets a
    // chunk. For as long as the handle is open (fork children hold it, too).
    FSC_CHUNK_KEEP = 1 << 1,
    FSC_CHUNK_STORE = 1 << 2, // with WRITE: bytes will be written through it (announced until its last copy
                              // or mapping is gone)
};
struct fsc_chunk {
    int fd;          // the caller's to close; O_CLOEXEC; -1: a hole, or behind the end of the file
    bool kept;       // KEEP was asked for and given; not in a snapshot or a read-only volume
    uint64_t offset; // in the file, of the descriptor's byte 0
    uint64_t room;   // bytes of a file that fall between that and the next chunk
    uint64_t span;   // of these, bytes before the end of the file
    uint64_t length; // of these, the bytes that the descriptor has: what it shows behind them is not to be
                     // seen, the file has zeros there
};
// The chunk that `offset` is in. KEEP: -ENOSPC, -EDQUOT also for a reader (a hole gets a chunk, a shared one
// a copy). -EBADF: the handle is not open for reading; with WRITE, for both. Nothing is verified: see
// fsc_verify.
int fsc_chunk_fd(struct fsc_file *file, uint64_t offset, unsigned how, struct fsc_chunk *out);
// What was stored through descriptors since shows in the file's times and space. Call it when mappings go,
// and before fsync.
int fsc_settle(struct fsc_file *file, uint64_t offset, uint64_t length);
// Compare these bytes with their checksums, where this process has not done so before: -EIO.
int fsc_verify(struct fsc_file *file, uint64_t offset, uint64_t length);

// ---- locks ----

// Byte ranges as fcntl(2)'s: `end` is inclusive; UINT64_MAX means to the end for ever. An owner is a number
// of the caller's, like a process (F_SETLK) or an open file (F_OFD_SETLK); owners of different volumes
// handles differ.
struct fsc_lock {
    uint64_t start, end;
    short type; // F_RDLCK, F_WRLCK, F_UNLCK
    pid_t pid;
};
// wait_ms: 0 tries once (-EAGAIN), -1 waits for ever, else that long (-ETIMEDOUT). -EDEADLK; -EINTR by a
// signal.
int fsc_setlk(struct fsc_file *file, uint64_t owner, const struct fsc_lock *lock, int wait_ms);
int fsc_getlk(struct fsc_file *file, uint64_t owner, struct fsc_lock *lock);
int fsc_flock(struct fsc_file *file, int op, int wait_ms);   // LOCK_SH, LOCK_EX, LOCK_UN
int fsc_unlock_owner(struct fsc_file *file, uint64_t owner); // close(2)'s release of a process's locks

// An owner with this bit is the volume's, not the handle's: any handle may speak for it (the processes that
// share an open file description). Its locks count as long as somebody has a lock of the kernel's (fcntl(2),
// F_OFD_SETLK) on byte `owner` of DIR/tokens. Other owners are below.
#define FSC_OWNER_SHARED (1ULL << 62)
// Behind exec(2): the locks that `owner` took through another handle of this process, which exec has thrown
// away, are this handle's. `session` is what fsc_session said of that one. -ESRCH: there is none of this
// process.
int fsc_take_locks(struct fsc *fs, uint64_t session, uint64_t owner);
uint64_t fsc_session(struct fsc *fs);

// ---- quotas, trash ----

struct fsc_usage {
    uint64_t space, inodes;
    uint64_t max_space, max_inodes; // 0: no limit
};
enum fsc_quota_kind {
    FSC_QUOTA_USER, // id: a user id
    FSC_QUOTA_DIR,  // id: the inode of a directory
};
struct fsc_quota {
    enum fsc_quota_kind kind;
    uint64_t id;
    struct fsc_usage usage;
};
int fsc_usage(struct fsc *fs, struct fsc_usage *usage); // of the volume
// Limits (both 0: no quota any more). Over a user's: -EDQUOT; over a directory's: -ENOSPC. Only for user 0.
int fsc_quota_set(struct fsc *fs, const struct fsc_cred *cred, enum fsc_quota_kind kind, uint64_t id,
                  uint64_t max_space, uint64_t max_inodes);
int fsc_quota_get(struct fsc *fs, enum fsc_quota_kind kind, uint64_t id, struct fsc_usage *usage);
ssize_t fsc_quota_list(struct fsc *fs, size_t skip, struct fsc_quota *v, size_t n);

struct fsc_trash {
    uint64_t ino, size;
    uint64_t parent; // the directory where it was
    uid_t uid;
    int64_t deleted, expires; // nanoseconds since 1970
    char name[FSC_NAME_MAX + 1];
};
ssize_t fsc_trash_list(struct fsc *fs, const struct fsc_cred *cred, uint64_t after, struct fsc_trash *v,
                       size_t n);
int fsc_trash_restore(struct fsc *fs, const struct fsc_at *at, uint64_t ino, const char *path);
// One (ino), or all (ino 0): the count.
ssize_t fsc_trash_purge(struct fsc *fs, const struct fsc_cred *cred, uint64_t ino);

// ---- checks ----

struct fsc_check {
    uint64_t inodes, names, chunks, bytes; // looked at
    uint64_t findings, repaired;
};
// `code` is a stable word; `text` explains the finding in a line. `done` of `total` bytes are told for a
// progress bar (code and text NULL). A result other than 0 ends the check with that result.
typedef int (*fsc_check_fn)(void *arg, const char *code, const char *text, bool repaired, uint64_t done,
                            uint64_t total);
// Names, links, counts, chunks: all against all; with `repair`, what can be mended is. The findings are
// counted in `out`; the result tells only whether the check itself could be made.
int fsc_fsck(struct fsc *fs, bool repair, fsc_check_fn fn, void *arg, struct fsc_check *out);
// Read every byte of every chunk and compare checksums.
int fsc_scrub(struct fsc *fs, fsc_check_fn fn, void *arg, struct fsc_check *out);

// ---- who uses the volume ----

// A process that has it open, and what it has done since it opened it. Cheap counts: where threads of a
// process meet, one may get lost; what the kernel does without the library (a mapped file, a chunk's own
// descriptor) is not in them.
struct fsc_session {
    uint64_t id;  // never used again
    pid_t pid;    // in its own pid namespace
    bool foreign; // which is another than the caller's
    bool own;     // of this very handle
    uint64_t reads, read_bytes, writes, write_bytes;
    uint64_t lookups; // of names and attributes
    uint64_t changes; // of names, attributes and sizes
    uint64_t syncs;
};
// Up to `n` behind the first `skip`: the count.
ssize_t fsc_sessions(struct fsc *fs, size_t skip, struct fsc_session *v, size_t n);

// ---- by inode number, for servers such as a FUSE daemon ----
//
// `name` is one component. An inode stays while a name, an open file or an fsc_ino_hold has it (else
// -ESTALE). `cred`: as everywhere; FSC_ENGINE asks no permission at all.

#define FSC_ENGINE ((const struct fsc_cred *)(intptr_t)-1)

int fsc_ino_lookup(struct fsc *fs, const struct fsc_cred *cred, uint64_t dir, const char *name,
                   struct fsc_attr *attr);
int fsc_ino_getattr(struct fsc *fs, uint64_t ino, struct fsc_attr *attr);
int fsc_ino_setattr(struct fsc *fs, const struct fsc_cred *cred, uint64_t ino, unsigned set,
                    const struct fsc_attr *in, struct fsc_attr *attr);
int fsc_ino_access(struct fsc *fs, const struct fsc_cred *cred, uint64_t ino, int mode);
int fsc_ino_mknod(struct fsc *fs, const struct fsc_cred *cred, uint64_t dir, const char *name, mode_t mode,
                  uint64_t rdev, struct fsc_attr *attr); // S_IFDIR too
int fsc_ino_symlink(struct fsc *fs, const struct fsc_cred *cred, const char *text, uint64_t dir,
                    const char *name, struct fsc_attr *attr);
int fsc_ino_link(struct fsc *fs, const struct fsc_cred *cred, uint64_t ino, uint64_t dir, const char *name,
                 struct fsc_attr *attr);
int fsc_ino_unlink(struct fsc *fs, const struct fsc_cred *cred, uint64_t dir, const char *name);
int fsc_ino_rmdir(struct fsc *fs, const struct fsc_cred *cred, uint64_t dir, const char *name);
int fsc_ino_rename(struct fsc *fs, const struct fsc_cred *cred, uint64_t dir, const char *name,
                   uint64_t new_dir, const char *new_name, unsigned flags);
ssize_t fsc_ino_readlink(struct fsc *fs, uint64_t ino, char *buf, size_t size);
int fsc_ino_truncate(struct fsc *fs, const struct fsc_cred *cred, uint64_t ino, uint64_t size,
                     struct fsc_attr *attr);
ssize_t fsc_ino_readdir(struct fsc *fs, uint64_t dir, uint64_t cookie, struct fsc_dirent *v, size_t n);
int fsc_ino_setxattr(struct fsc *fs, const struct fsc_cred *cred, uint64_t ino, const char *name,
                     const void *value, size_t size, int flags);
ssize_t fsc_ino_getxattr(struct fsc *fs, const struct fsc_cred *cred, uint64_t ino, const char *name,
                         void *value, size_t size);
ssize_t fsc_ino_listxattr(struct fsc *fs, const struct fsc_cred *cred, uint64_t ino, char *list, size_t size);
int fsc_ino_removexattr(struct fsc *fs, const struct fsc_cred *cred, uint64_t ino, const char *name);
int fsc_ino_statvfs(struct fsc *fs, uint64_t ino, struct statvfs *out);
uint64_t fsc_ino_version(struct fsc *fs, uint64_t ino); // as fsc_file_version

// What other processes (and other handles) change, as news, for whoever keeps a cache such as the kernel's.
// Inodes share slots, FSC_WATCH_SLOTS of them; so some news is about nothing.
#define FSC_WATCH_SLOTS 65536u
#define FSC_WATCH_ALL UINT32_MAX // in place of a slot: everything may have changed
typedef void (*fsc_watch_fn)(void *arg, uint32_t slot);
// From now on. Before other threads use the volume. -EOPNOTSUPP: this driver has no news.
int fsc_watch(struct fsc *fs);
uint32_t fsc_watch_slot(struct fsc *fs, uint64_t ino);
// Is there news of the inode's slot that fsc_watch_wait has not told, or is telling now? Cheap.
bool fsc_watch_news(struct fsc *fs, uint64_t ino);
// Waits up to wait_ms (-1: for ever) and calls `fn` for each slot with news. One thread only. 1: called,
// maybe for nothing; 0: the time is over; -EINTR: a signal. Between two calls others' changes cost nothing:
// to wait a little before the next call gathers news.
int fsc_watch_wait(struct fsc *fs, int wait_ms, fsc_watch_fn fn, void *arg);
// Open, and make and open (O_CREAT without O_EXCL opens what is there), without a path. `attr` may be NULL.
int fsc_ino_open(struct fsc *fs, const struct fsc_cred *cred, uint64_t ino, int flags, struct fsc_file **out);
int fsc_ino_create(struct fsc *fs, const struct fsc_cred *cred, uint64_t dir, const char *name, int flags,
                   mode_t mode, struct fsc_attr *attr, struct fsc_file **out);
int fsc_ino_tmpfile(struct fsc *fs, const struct fsc_cred *cred, uint64_t dir, int flags, mode_t mode,
                    struct fsc_attr *attr, struct fsc_file **out);
// Keep an inode alive without a file, and let it go again.
int fsc_ino_hold(struct fsc *fs, uint64_t ino);
int fsc_ino_release(struct fsc *fs, uint64_t ino);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
