// SPDX-License-Identifier: Apache-2.0
// The namespace engine: inodes, names, links, xattrs, ACLs, chunk lists, open files, locks, sessions, quotas
// and trash of a volume, in SQL. It stores no file data and does no network I/O. docs/META.md says how it
// works.
//
// What holds for every call, unless its comment says otherwise:
// - It returns 0 (or a count, where said) or a negative errno. Nothing is printed; where a person must be
// told, the
//   message hook of the handle is called. A failed call changed nothing.
// - Any thread may call, with any handle; a handle is safe for use by many threads. No locks are held across
// the
//   message hook's callers' code but the handle's own: the hook must not call back into the handle.
// - Operations are linearizable across all processes that have the volume open. They are atomic against kill
// -9. They
//   are on disk after meta_sync, and within a checkpoint's time otherwise.
// - Errors that any call may give besides its own: -EIO (disk), -EUCLEAN (the database is damaged: see the
// message),
//   -ENOSPC (the disk below is full), -ENOMEM, -ESTALE (no such inode any more), -EROFS (a read-only handle,
//   or an inode of a snapshot), -EDQUOT (a quota), -EBADF (the handle's descriptors were closed by somebody).
// - SQLITE_BUSY is never surfaced: the call waits for its turn.
// - After fork(2) the child may go on with the handle: the first call there (best: meta_fork_child from the
// fork hook)
//   opens the volume anew, as a session of its own, that holds the inodes which the parent held when it
//   forked. fork waits until no other thread is inside the engine (common/forkgate.h), and keeps them out
//   until it is done.
// - Strings are NUL-terminated bytes. Names are one path component, without '/': "" is -ENOENT, longer than
//   META_NAME_MAX is -ENAMETOOLONG. "." and ".." are resolved by meta_lookup, and refused elsewhere with the
//   errno that POSIX gives (-EEXIST, -EINVAL, -ENOTEMPTY, -EBUSY).
// - Walking paths and following symbolic links (ELOOP) is the caller's.
#ifndef ZIO_META_META_H
#define ZIO_META_META_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#define META_ROOT 1           // the inode of the volume's root
#define META_NAME_MAX 255     // bytes of a name
#define META_SYMLINK_MAX 4095 // bytes of a symbolic link's text
#define META_LINK_MAX 65000   // hard links to a file; more: -EMLINK
#define META_XATTR_NAME_MAX 255
#define META_XATTR_MAX 65536 // bytes of a value, and of a list of names
#define META_FILE_MAX INT64_MAX

struct meta; // a handle: this process's view of one volume

// ---- the volume ----

// How a volume is made. Zero in a field means its default.
struct meta_format {
    uint64_t chunk_size;    // bytes; power of two, 64 KiB .. 1 GiB; default 64 MiB; for ever
    uint64_t max_space;     // bytes that files may take; 0: no limit
    uint64_t max_inodes;    // 0: no limit
    uint32_t trash_seconds; // how long deleted files stay in the trash; 0: no trash
    uint32_t root_mode;     // permission bits of the root; 0: 0755
    uid_t root_uid;         // its owner
    gid_t root_gid;
    char label[64]; // for people; may be empty
};

// What is asked for when a volume is opened.
struct meta_options {
    // Told what went wrong, where, why, and what to do: one line without newline. May be NULL.
    void (*message)(void *arg, const char *text);
    void *arg;
    uint32_t cache_inodes;     // attributes and names kept in this process; 0: 65536 of each, to begin with
    uint32_t cache_most;       // so many when there are more; 0: cache_inodes, or by the machine's memory
    uint32_t checkpoint_bytes; // of SQLite's log, at which a writer stops to check-point it; 0: 64 MiB
    void (*step)(void *arg,
                 const char *name); // for tests: called at the named places where a process may die
    uint32_t busy_ms;               // how long to wait for the write lock before -ETIMEDOUT; 0: without end
    // Is an owner with META_OWNER_SHARED still there? Called with the volume's lock held. NULL: none ever is.
    bool (*owner_alive)(void *arg, uint64_t owner);
};

enum {
    META_RDONLY = 1 << 0,  // no call that changes the volume (opening files for reading still counts them)
    META_NOATIME = 1 << 1, // meta_touch_atime does nothing
    // As with fs.protected_hardlinks of Linux (proc_sys_fs(5)): who can't write to another's file can't link
    // it
    META_PROTECT_LINKS = 1 << 2,
};

struct meta_info {
    uint64_t chunk_size, max_space, max_inodes;
    uint32_t trash_seconds;
    uint32_t schema; // version of the schema
    uint8_t uuid[16];
    char label[64];
};

// Make a volume in `url`: a directory, or "sqlite:DIR". The directory is made where it is missing; one that
// already holds a volume is -EEXIST. "postgresql:..." is -EOPNOTSUPP in a build without that dialect (this
// one). `fmt` and `opt` may be NULL.
int meta_format(const char *url, const struct meta_format *fmt, const struct meta_options *opt);

// Open a volume; an older schema is brought up to date first (a newer one is -EPROTONOSUPPORT). Sessions that
// died are cleaned up. -ENOENT: nothing there. -EMEDIUMTYPE: a database, but no volume of zIO.
int meta_open(const char *url, unsigned flags, const struct meta_options *opt, struct meta **out);

// End the session: its holds and locks are gone, what only it held open and nobody names is deleted. NULL is
// allowed. No other thread may be in a call. In a fork child that never used the handle: gives back the
// memory, no more.
void meta_close(struct meta *m);

// In the child, after fork(2): what the first call would do. 0 or the error of meta_open; the handle stays
// usable for another try. In the parent: nothing.
int meta_fork_child(struct meta *m);

int meta_info(struct meta *m, struct meta_info *info);
int meta_set_limits(struct meta *m, uint64_t max_space, uint64_t max_inodes, uint32_t trash_seconds);

// Everything that was committed before the call, by anybody, is on disk when it returns. fsync(2) calls this
// after the data is on disk.
int meta_sync(struct meta *m);
// The same, and all of it is in the database: for who copies that, or goes on with another release.
int meta_sync_sql(struct meta *m);

// Small work off the hot path, for a thread or an idle moment: checkpoint the log when it has grown, clean up
// after dead sessions, expire trash. Costs little when there is nothing to do. Never needed for correctness.
int meta_maintain(struct meta *m);

// Does this descriptor belong to the handle? For a library that must keep its host from closing it.
bool meta_owns_fd(const struct meta *m, int fd);

// X(name): what is counted, from the session's start. Others may look (meta_sessions); where threads meet, a
// count may get lost.
#define META_STATS(X)                                                                                        \
    X(lookups)     /* meta_lookup: calls, ... */                                                             \
    X(lookup_hits) /* ... and those that took no SQL */                                                      \
    X(getattrs)                                                                                              \
    X(getattr_hits)                                                                                          \
    X(reads) /* SQL transactions */                                                                          \
    X(writes)                                                                                                \
    X(shared_commits) /* operations that shared another's transaction */                                     \
    X(busy_waits)     /* waits for another process's transaction */                                          \
    X(checkpoints)                                                                                           \
    X(changes)    /* operations that changed something */                                                    \
    X(syncs)      /* meta_sync */                                                                            \
    X(file_reads) /* by meta_count_io: file data */                                                          \
    X(file_read_bytes)                                                                                       \
    X(file_writes)                                                                                           \
    X(file_write_bytes)

struct meta_stats {
#define X(name) uint64_t name;
    META_STATS(X)
#undef X
};
void meta_stats(const struct meta *m, struct meta_stats *out); // of this handle
// The caller has read or written data of a file.
void meta_count_io(struct meta *m, bool write, uint64_t bytes);

// Who has the volume open: up to `n` behind the first `skip`, the count. Sessions of dead processes are left
// out.
struct meta_session {
    uint64_t number; // never used again
    pid_t pid;       // in its own pid namespace
    bool foreign;    // which is not the caller's
    bool own;        // this handle's
    struct meta_stats stats;
};
ssize_t meta_sessions(struct meta *m, size_t skip, struct meta_session *v, size_t n);

// ---- who asks ----

// Given to each call that checks permissions; not kept. NULL means the engine itself (all is allowed; uid 0,
// gid 0).
struct meta_cred {
    uid_t uid; // effective (file-system) user; 0 may do all
    gid_t gid;
    const gid_t *groups; // supplementary
    uint32_t ngroups;
    mode_t umask; // for new inodes; ignored where the parent has a default ACL
    bool checked; // permissions were asked elsewhere (by a kernel): this says only who owns what is made
};

// ---- attributes ----

// Times are nanoseconds since 1970, 1678 to 2262; those outside are clamped.
struct meta_attr {
    uint64_t ino;
    uint64_t parent; // of a directory: the directory above (the root's is itself); of others 0
    uint64_t size;   // bytes; of a symbolic link the length of its text; of a directory an estimate
    uint64_t space;  // bytes allocated, for st_blocks
    uint64_t rdev;
    uint32_t mode; // type and permission bits
    uint32_t nlink;
    uid_t uid;
    gid_t gid;
    uint32_t flags; // META_F_*
    uint32_t quota; // id of the directory quota it is charged to; 0: none
    int64_t atime, mtime, ctime, btime;
};

enum {
    META_F_ACL = 1 << 0,      // has an access ACL
    META_F_DEFACL = 1 << 1,   // has a default ACL
    META_F_SNAPSHOT = 1 << 2, // belongs to a snapshot: read-only
    META_F_XATTR = 1 << 3,    // has (had) extended attributes
    META_F_CAPS = 1 << 4,     // has security.capability, which a write drops
};

// Wants search permission on `parent`, which -ENOTDIR tells from other files. -ENOENT is cached like the
// rest.
// "." and ".." work (the root's ".." is the root).
int meta_lookup(struct meta *m, const struct meta_cred *cred, uint64_t parent, const char *name,
                struct meta_attr *attr);

// No permission is asked. -ESTALE: no such inode.
int meta_getattr(struct meta *m, uint64_t ino, struct meta_attr *attr);

enum {
    META_SET_MODE = 1 << 0,
    META_SET_UID = 1 << 1,
    META_SET_GID = 1 << 2,
    META_SET_ATIME = 1 << 3,
    META_SET_MTIME = 1 << 4,
    META_SET_ATIME_NOW = 1 << 5, // utimensat's UTIME_NOW: write permission suffices
    META_SET_MTIME_NOW = 1 << 6,
    META_SET_KILL_SUID = 1 << 7, // a write: drop file capabilities and, but for uid 0, set-user-ID and
                                 // set-group-ID (cred NULL: those too); no owner check
};

// chmod, chown, utimens, as the bits of `set` say, from the same fields of `in` (mode, uid, gid, atime,
// mtime). The rules are POSIX's, with Linux's where POSIX leaves a choice: -EPERM for who is not the owner,
// set-user-ID and set-group-ID cleared by chown of a file, set-group-ID by chmod of a file of a foreign
// group, ctime; the ACL's mask follows chmod. chown(-1, -1) is: no bit at all. Size: see meta_truncate.
// `out` (may be NULL): the new state.
int meta_setattr(struct meta *m, const struct meta_cred *cred, uint64_t ino, unsigned set,
                 const struct meta_attr *in, struct meta_attr *out);

// `mask` of R_OK, W_OK, X_OK (or 0): 0 or -EACCES (or -EROFS for W_OK on a snapshot). ACLs count.
int meta_access(struct meta *m, const struct meta_cred *cred, uint64_t ino, int mask);

// Reading's mark on atime, by the rule of relatime: SQL only where the mark is older than mtime, ctime or a
// day.
int meta_touch_atime(struct meta *m, uint64_t ino);

// ---- names ----

enum {
    META_HOLD = 1 << 0, // meta_create, meta_tmpfile: and hold it, as meta_open_file would
};

// New inodes. They want write and search permission on `parent`; -EEXIST where the name is taken (looked at
// before permission to write, as Linux does). Owner: cred's; group: cred's, or the parent's where that has
// set-group-ID. Default ACLs are inherited. `attr` is filled.
int meta_create(struct meta *m, const struct meta_cred *cred, uint64_t parent, const char *name, mode_t mode,
                unsigned flags, struct meta_attr *attr);
int meta_mkdir(struct meta *m, const struct meta_cred *cred, uint64_t parent, const char *name, mode_t mode,
               struct meta_attr *attr);
// `mode` with type: S_IFREG, S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK (devices: -EPERM unless uid 0).
int meta_mknod(struct meta *m, const struct meta_cred *cred, uint64_t parent, const char *name, mode_t mode,
               uint64_t rdev, struct meta_attr *attr);
int meta_symlink(struct meta *m, const struct meta_cred *cred, const char *text, uint64_t parent,
                 const char *name, struct meta_attr *attr);
// A file without a name (O_TMPFILE), which is gone when nobody holds it, unless meta_link gave it a name.
int meta_tmpfile(struct meta *m, const struct meta_cred *cred, uint64_t parent, mode_t mode, unsigned flags,
                 struct meta_attr *attr);

// A further name for `ino`: -EPERM for a directory, -EMLINK, -EXDEV across directory quotas. A file that was
// unlinked can't be linked again (-ENOENT), but for one of meta_tmpfile.
int meta_link(struct meta *m, const struct meta_cred *cred, uint64_t ino, uint64_t parent, const char *name,
              struct meta_attr *attr);

// -EISDIR for a directory (Linux's errno), -EPERM/-EACCES by sticky bits and permissions. What nobody names
// and nobody holds is deleted at once (its chunks to the garbage), or goes to the trash. `gone` (may be
// NULL): the attributes it had left, nlink as it is now.
int meta_unlink(struct meta *m, const struct meta_cred *cred, uint64_t parent, const char *name,
                struct meta_attr *gone);
int meta_rmdir(struct meta *m, const struct meta_cred *cred, uint64_t parent, const char *name);

// `flags`: 0, RENAME_NOREPLACE or RENAME_EXCHANGE (linux/fs.h); others, and both: -EINVAL. A directory into
// itself: -EINVAL. -EXDEV: a directory that is not empty, across directory quotas.
int meta_rename(struct meta *m, const struct meta_cred *cred, uint64_t parent, const char *name,
                uint64_t new_parent, const char *new_name, unsigned flags);

// The text into buf (not terminated); its length, or how much fits into `size`. -EINVAL: no symbolic link.
ssize_t meta_readlink(struct meta *m, uint64_t ino, char *buf, size_t size);

struct meta_dirent {
    uint64_t ino;
    uint64_t cookie; // give it to meta_readdir to go on behind this entry; > 0, < 2^63
    uint32_t type;   // DT_*
    uint16_t len;    // of the name
    char name[META_NAME_MAX + 1];
};

// Up to `n` entries behind `cookie` (0: from the start), "." and ".." first; the count, 0 at the end. Asks no
// permission (opening the directory did). An entry that is there all the while is given exactly once, however
// the directory changes meanwhile; cookies stay good for ever, also across processes. -ENOTDIR.
ssize_t meta_readdir(struct meta *m, uint64_t dir, uint64_t cookie, struct meta_dirent *v, size_t n);

// ---- extended attributes and ACLs ----

// Names are "user.x", "trusted.x" (uid 0), "security.x" (uid 0 to write), "system.posix_acl_access" and
// "..._default" (checked, bound into the mode; -EINVAL for a bad one). Others: -EOPNOTSUPP. `flags`: 0,
// XATTR_CREATE, XATTR_REPLACE. "user." only on files and directories (-EPERM). -ENODATA: none of this name.
// -ERANGE: `size` is too small; 0 asks for the size.
int meta_setxattr(struct meta *m, const struct meta_cred *cred, uint64_t ino, const char *name,
                  const void *value, size_t size, int flags);
ssize_t meta_getxattr(struct meta *m, const struct meta_cred *cred, uint64_t ino, const char *name,
                      void *value, size_t size);
ssize_t meta_listxattr(struct meta *m, const struct meta_cred *cred, uint64_t ino, char *list, size_t size);
int meta_removexattr(struct meta *m, const struct meta_cred *cred, uint64_t ino, const char *name);

// ---- open files ----

// Hold an inode for this session: it outlives its last name until meta_close_file was called as often, or the
// session ends or dies. `flags`: open(2)'s access mode, checked against permissions (cred NULL: not checked);
// -EISDIR for writing to a directory. No SQL most times. -ENFILE: too many held in the volume (tens of
// thousands).
int meta_open_file(struct meta *m, const struct meta_cred *cred, uint64_t ino, int flags,
                   struct meta_attr *attr);
int meta_close_file(struct meta *m, uint64_t ino);

// ---- chunks of a file ----
//
// A file's bytes [index * chunk_size, (index + 1) * chunk_size) are a chunk, or a hole where none is mapped.
// Of a chunk the first `length` bytes count; behind them the file reads as zeros up to its size, whatever the
// chunk engine has stored there: WHO LENGTHENS A CHUNK must first see to it that what lies between its old
// length and the first byte written is zeros (punch the chunk there). A chunk that is shared
// (META_CHUNK_SHARED) is never written: write a new one with the old content and commit it with `replaces`.

enum {
    META_CHUNK_SHARED = 1 << 0, // other files (clones, snapshots) refer to it: copy on write
};

struct meta_chunk {
    uint64_t index;  // in the file
    uint64_t id;     // of the chunk; never used again after it was deleted; > 0
    uint32_t length; // bytes that count
    uint32_t space;  // bytes allocated, for quotas and st_blocks; 0 in a change means `length`
    uint32_t flags;  // META_CHUNK_*; ignored in a change
    uint64_t
        replaces; // in a change: the id that the index must have now (0: must be a hole), else -ESTALE. Same
                  // as `id`: the length (and space) change only. meta_get_chunks gives it as the id.
};

// The chunks with index >= first, in order, up to `n`: the count. Holes are left out.
ssize_t meta_get_chunks(struct meta *m, uint64_t ino, uint64_t first, struct meta_chunk *v, size_t n);

// Ids for new chunks, from a range reserved for this handle: no SQL most times. Ids that are never committed
// are simply not used.
int meta_new_chunks(struct meta *m, uint64_t *ids, size_t n);

// After data was written: maps the changes, raises the size to `size` (never lowers it), sets mtime and ctime
// to `mtime` (0: now), all at once. Length of a chunk never shrinks by this. Chunks that were replaced lose a
// reference (and may become garbage). n may be 0. -ESTALE: a change's `replaces` does not hold: somebody was
// faster; get the chunks and write again. `attr` may be NULL.
#define META_KEEP_TIMES INT64_MIN // in place of `mtime`: the file reads as before, so its times stay
int meta_commit_write(struct meta *m, uint64_t ino, uint64_t size, int64_t mtime,
                      const struct meta_chunk *changes, size_t n, struct meta_attr *attr);
// The append form: the file's size right now is where the bytes belong; O_APPEND is: reserve, write, commit.
// Returns in `offset` the size that it had, and raises it by `count` at once (the bytes read as zeros until
// they are committed).
int meta_reserve_append(struct meta *m, uint64_t ino, uint64_t count, uint64_t *offset);

// What must be cut in the data after meta_truncate or meta_punch: bytes [from, to) of chunk `id`, which are
// not to be seen any more. Of a shared chunk the caller makes a private copy without them (meta_commit_write
// with `replaces`).
struct meta_cut {
    uint64_t index, id;
    uint32_t from, to;
    uint32_t flags; // META_CHUNK_*
};

// Set the size. Chunks behind it are unmapped (and become garbage); the one that it cuts has its length
// lowered, so that it reads right at once: `cut` (may be NULL) says what its data may give back; cut->id is 0
// if there is none. cred NULL: through a descriptor, no permission asked; else W_OK is. -EISDIR, -EINVAL (no
// file), -EFBIG. Set-user-ID is dropped as by a write. mtime and ctime change even where the size stays, as
// ftruncate's do.
int meta_truncate(struct meta *m, const struct meta_cred *cred, uint64_t ino, uint64_t size,
                  struct meta_cut *cut, struct meta_attr *attr);

// Unmap what [offset, offset + length) covers wholly; the cuts at both ends (0 to 2 of them) are the caller's
// to zero in the data: a chunk whose tail is cut has its length lowered instead. Returns their number. The
// size stays.
int meta_punch(struct meta *m, uint64_t ino, uint64_t offset, uint64_t length, struct meta_cut cut[2]);

// The chunks that nothing refers to any more, to be deleted by whoever has time: up to n ids claimed for this
// session (another gets others, until this one dies), or -errno. After the data is deleted,
// meta_garbage_done. Deleting twice is harmless; a crash in between gives the same ids again.
ssize_t meta_take_garbage(struct meta *m, uint64_t *ids, size_t n);
// How many chunks of how many bytes this handle's calls have made garbage since it last took any.
uint32_t meta_garbage(const struct meta *m, uint64_t *bytes);
int meta_garbage_done(struct meta *m, const uint64_t *ids, size_t n);

// For the chunk store's own check: what is known of an id.
enum meta_chunk_state {
    META_CHUNK_FREE,    // nothing refers to it, nobody will: its data is a leak
    META_CHUNK_USED,    // mapped
    META_CHUNK_GARBAGE, // waits for its deletion
    META_CHUNK_PENDING, // a live session may be about to commit it
};
int meta_chunk_states(struct meta *m, const uint64_t *ids, enum meta_chunk_state *states, size_t n);

// Share chunks: both offsets multiples of chunk_size, and the length too unless it reaches the source's end
// (and then the target's end or beyond): else -EINVAL, and the caller copies bytes. Replaces what the target
// had. Size and times of `dst` follow.
int meta_clone_range(struct meta *m, uint64_t src, uint64_t src_off, uint64_t dst, uint64_t dst_off,
                     uint64_t length, struct meta_attr *attr);

// A copy of a directory tree (or a file) under a new name, at one instant, sharing every chunk; time goes
// with the entries. Wants read and search on the top, write on new_parent; who is not uid 0 must own all of
// it
// (-EACCES). Owners and modes are kept.
int meta_clone_tree(struct meta *m, const struct meta_cred *cred, uint64_t src, uint64_t new_parent,
                    const char *new_name, struct meta_attr *attr);
// The same, read-only for ever (META_F_SNAPSHOT): every change inside is -EROFS. The name can be removed with
// meta_remove_tree.
int meta_snapshot(struct meta *m, const struct meta_cred *cred, uint64_t src, uint64_t new_parent,
                  const char *new_name, struct meta_attr *attr);
// Both, with private copies of some chunks: where the tree has a chunk `id`, the copy gets `instead`, which
// has the same content. For chunks that are written behind the engine's back (mapped files). `id` must not be
// shared.
struct meta_swap {
    uint64_t id, instead;
    bool used; // set: whether the tree has it
};
// Which of these inodes are in the tree below `top` (itself, too).
int meta_tree_has(struct meta *m, uint64_t top, const uint64_t *inos, bool *has, size_t n);
int meta_clone_tree_but(struct meta *m, const struct meta_cred *cred, uint64_t src, uint64_t new_parent,
                        const char *new_name, bool snapshot, struct meta_swap *swap, size_t nswap,
                        struct meta_attr *attr);
// Remove a name and all that is below it, snapshots too (which only this call can). `removed` (may be NULL):
// how many inodes. Needs uid 0 or the owner of the top, and write on `parent`.
int meta_remove_tree(struct meta *m, const struct meta_cred *cred, uint64_t parent, const char *name,
                     uint64_t *removed);

// ---- locks across processes ----

// A byte range; `end` is inclusive, UINT64_MAX for "to the end for ever".
struct meta_lock {
    uint64_t start, end;
    short type; // F_RDLCK, F_WRLCK, F_UNLCK
    pid_t pid;  // meta_getlk: who holds it; meta_setlk: told to those who ask
};

// An owner with this bit is one of the volume, whatever session speaks for it: its locks are there as long as
// meta_options.owner_alive says so. All others are the session's, and below that bit.
#define META_OWNER_SHARED (1ULL << 62)

// fcntl locks of `owner` (a number of the caller's choice, by session: a process, an open file description,
// FUSE's owner). F_UNLCK unlocks, ranges merge and split as POSIX says. -EAGAIN: another holds it; with
// `wait`, -EDEADLK if waiting would close a circle among waiters. To wait: do { n = meta_lock_seq(ino); r =
// meta_setlk(..., true) } while (r == -EAGAIN && meta_lock_wait(ino, n, ms) == 0).
int meta_setlk(struct meta *m, uint64_t ino, uint64_t owner, const struct meta_lock *lock, bool wait);
int meta_getlk(struct meta *m, uint64_t ino, uint64_t owner,
               struct meta_lock *lock); // type F_UNLCK: would succeed
int meta_flock(struct meta *m, uint64_t ino, uint64_t owner,
               short type); // LOCK_SH, LOCK_EX, LOCK_UN of sys/file.h; -EAGAIN
// Give up everything that `owner` has on `ino` (close): flock and ranges.
int meta_unlock_all(struct meta *m, uint64_t ino, uint64_t owner);
uint32_t meta_lock_seq(struct meta *m, uint64_t ino);
// Until something changes at ino, or `ms` are over (-1: for ever): 0. -EINTR: a signal; tell the engine that
// waiting is over with meta_lock_cancel.
int meta_lock_wait(struct meta *m, uint64_t ino, uint32_t seq, int ms);
int meta_lock_cancel(struct meta *m, uint64_t ino, uint64_t owner);
// exec: what `owner` has locked under `session`, one of this same process that nobody uses any more, is this
// session's. -ESRCH: there is no such.
int meta_lock_take(struct meta *m, uint64_t session, uint64_t owner);
uint64_t meta_session_number(const struct meta *m);

// ---- change, as seen by caches ----

// A counter that changes whenever the inode (its attributes, chunks, xattrs, locks) may have changed. Costs a
// load. For caches above (mappings, pages, FUSE invalidation): read it before fetching; what was fetched
// holds while it stays. Odd: a change is under way.
uint32_t meta_version(struct meta *m, uint64_t ino);

// A write in place that is in the same tick of the clock as the one before changes no row: so this tells that
// data did change. The version with that in it.
void meta_wrote(struct meta *m, uint64_t ino);
uint32_t meta_data_version(struct meta *m, uint64_t ino);

// The same as news, of what other handles change: a cache above, such as the kernel's over a FUSE mount, need
// not ask for versions then. Inodes share slots (META_WATCH_SLOTS of them), so some news is about nothing.
#define META_WATCH_SLOTS 65536u
#define META_WATCH_ALL UINT32_MAX // in place of a slot: everything may have changed

// From now on the handle tells its own changes from those of others. Not while other threads use it.
int meta_watch(struct meta *m);
uint32_t meta_watch_slot(uint64_t ino);
// Has another changed something in the inode's slot, of which meta_watch_wait has not told (or is telling)?
bool meta_watch_news(struct meta *m, uint64_t ino);
// Waits for changes by others, at most `ms` (-1: for ever), and calls fn for each slot with some. One thread
// only. `fn` may call the engine. 1: called, maybe for nothing; 0: the time is over; -EINTR: a signal.
// Between two calls, others' commits cost nothing: to wait a little before the next gathers news.
int meta_watch_wait(struct meta *m, int ms, void (*fn)(void *arg, uint32_t slot), void *arg);

// ---- quotas, usage, trash ----

struct meta_usage {
    uint64_t space, inodes;         // taken
    uint64_t max_space, max_inodes; // limits; 0: none
};

// Of the volume.
int meta_usage(struct meta *m, struct meta_usage *u);

enum meta_quota_kind {
    META_QUOTA_USER, // id: a uid
    META_QUOTA_DIR,  // id: a directory's inode
};

// Set limits (0 in both: removes the quota). For a directory, what is below it is counted now, once, in time
// of its entries. Over a user's limit: -EDQUOT; over a directory's, as over the volume's: -ENOSPC (what
// statfs of that directory shows). -EBUSY: the directory has hard links that lead out of it. cred: uid 0 only
// (-EPERM).
int meta_quota_set(struct meta *m, const struct meta_cred *cred, enum meta_quota_kind kind, uint64_t id,
                   uint64_t max_space, uint64_t max_inodes);
int meta_quota_get(struct meta *m, enum meta_quota_kind kind, uint64_t id,
                   struct meta_usage *u); // -ENOENT: no limit and no use
struct meta_quota {
    enum meta_quota_kind kind;
    uint64_t id;
    struct meta_usage usage;
};
// The quotas (and users with use) in order, behind the first `skip`: the count.
ssize_t meta_quota_list(struct meta *m, size_t skip, struct meta_quota *v, size_t n);

// Deleted files, while the volume has trash_seconds.
struct meta_trash {
    uint64_t ino;
    uint64_t parent; // where its last name was
    uint64_t size;
    uid_t uid;
    int64_t deleted; // ns since 1970
    int64_t expires;
    char name[META_NAME_MAX + 1];
};
// In the order of inodes, behind `after` (0: from the start), only those that cred owns (uid 0: all). The
// count.
ssize_t meta_trash_list(struct meta *m, const struct meta_cred *cred, uint64_t after, struct meta_trash *v,
                        size_t n);
int meta_trash_restore(struct meta *m, const struct meta_cred *cred, uint64_t ino, uint64_t parent,
                       const char *name, struct meta_attr *attr);
// Delete one now (ino), or all that expired before `now` (ino 0; INT64_MAX: all): the count. uid 0 or the
// owner.
ssize_t meta_trash_purge(struct meta *m, const struct meta_cred *cred, uint64_t ino, int64_t now);

// ---- check ----

enum {
    META_FSCK_REPAIR = 1 << 0,
};

// Called for each finding: `code` is a stable word (nlink, orphan, dangling, ...), `text` explains it in a
// line, repaired says whether it is mended.
typedef void (*meta_fsck_fn)(void *arg, const char *code, uint64_t ino, const char *text, bool repaired);

struct meta_fsck {
    uint64_t inodes, names, chunks; // looked at
    uint64_t findings, repaired;
};
// Checks everything against everything, in one transaction. The number of findings is in `out`; the result
// tells only whether the check itself worked. `fn` may be NULL; it must not call the engine.
int meta_fsck(struct meta *m, unsigned flags, meta_fsck_fn fn, void *arg, struct meta_fsck *out);

#endif
