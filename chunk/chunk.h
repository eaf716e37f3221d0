// SPDX-License-Identifier: Apache-2.0
// The chunk engine: a directory of chunks with a checksum for every 64 KiB, used by many threads and many
// processes at once, without a daemon. docs/CHUNK.md says how it works and what is promised after a crash.
//
// A chunk has a 64-bit id that the caller gives and never gives again (0 is no id), a version, and up to the
// store's chunk size of bytes. Its data is a file of its own, whose offsets are the chunk's; its sums are in
// a sum file beside it.
//
// Conventions. Every function returns 0 (or a count) or a negative errno. All functions may be called by
// several threads with the same store, except chunk_store_close. No function raises a signal, starts a
// thread, prints, or keeps global state. After fork() the child may go on with the store: its first call
// makes it new connections. Errors that any function may return, and that are not repeated below:
//   -EIO        the disk failed; or a block's content is not what its sum says (the message hook tells which)
//   -ENOMEM     no memory for the engine's own records
//   -EMFILE, -ENFILE   no descriptor left
//   -EBUSY      another process has held the chunk for itself for a minute (it hangs or is stopped; see the
//   message) -EROFS      a changing call on a store opened with CHUNK_RDONLY
#ifndef ZIO_CHUNK_CHUNK_H
#define ZIO_CHUNK_CHUNK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#define CHUNK_BLOCK_SIZE 65536u              // bytes that one sum covers
#define CHUNK_SIZE_DEFAULT (64u << 20)       // bytes a chunk may have, unless chunk_format says otherwise
#define CHUNK_SIZE_MAX (1024u << 20)         // the largest chunk size a store can be formatted with
#define CHUNK_MAX_OPEN_DEFAULT 64u           // chunk files that a store handle keeps open, at least;
#define CHUNK_MAX_OPEN_MOST 4096u            // at most; between, an eighth of RLIMIT_NOFILE
#define CHUNK_VERSION_MAX ((1ull << 48) - 1) // the largest version a chunk can have

struct chunk_store; // a handle; opaque

// What the message hook tells about: X(id, text). A person should be shown all of them but REPAIRED.
#define CHUNK_EVENTS(X)                                                                                      \
    X(DAMAGE, "the content of a block is not what its sum says; reads of it get EIO")                        \
    X(SUM_LOST,                                                                                              \
      "a sum, or all of a chunk's sums, can't be read; the data is served unverified until summed")          \
    X(UNSURE, "the machine stopped while the chunk was being written; the block's new content was summed")   \
    X(REPAIRED, "traces of a killed process were cleaned up; nothing was lost")                              \
    X(BLOCKED, "another process keeps a chunk to itself for too long")

enum chunk_event_kind {
#define X(id, text) CHUNK_EV_##id,
    CHUNK_EVENTS(X)
#undef X
        CHUNK_EV_COUNT
};

struct chunk_event {
    enum chunk_event_kind kind;
    uint64_t id;      // the chunk; 0 when the event is not about one
    uint64_t offset;  // bytes from the chunk's start, of the block concerned
    uint64_t len;     // bytes concerned; 0 when the event is about the whole chunk
    const char *file; // path of the file concerned, below the store's directory; valid during the call
    const char *text; // what happened and what to do, one line; valid during the call
};

// The calls through which the engine reaches the disk, so that a test can make them fail. Each behaves like
// the system call of its name: -1 and errno on failure. They may be called by several threads at once.
struct chunk_io {
    ssize_t (*pread)(void *arg, int fd, void *buf, size_t len, off_t off);
    ssize_t (*pwrite)(void *arg, int fd, const void *buf, size_t len, off_t off);
    int (*openat)(void *arg, int dirfd, const char *name, int flags, mode_t mode);
    int (*fdatasync)(void *arg, int fd);
    int (*fsync)(void *arg, int fd); // of directories
    int (*ftruncate)(void *arg, int fd, off_t len);
    int (*fallocate)(void *arg, int fd, int mode, off_t off, off_t len);
    int (*linkat)(void *arg, int dirfd, const char *from, const char *to);
    int (*renameat)(void *arg, int dirfd, const char *from, const char *to);
    int (*unlinkat)(void *arg, int dirfd, const char *name);
    int (*clone)(void *arg, int dst, int src); // ioctl(dst, FICLONE, src)
    void *arg;                                 // handed to each
};

// How a store is made. Zero means the default, so that an initialiser of {0} is right.
struct chunk_format_options {
    uint64_t
        chunk_size; // bytes; a multiple of CHUNK_BLOCK_SIZE, up to CHUNK_SIZE_MAX. Default CHUNK_SIZE_DEFAULT
    mode_t
        mode; // permissions of the store's files, less the umask (directories get x for each r). Default 0600
};

// How a store is opened. Zero means the default. What it points to must live as long as the handle, but for
// this struct.
struct chunk_open_options {
    uint32_t max_open; // chunk files kept open, 1 to 65536 (and a quarter of that of sum files). Default: an
                       // eighth of RLIMIT_NOFILE, but CHUNK_MAX_OPEN_DEFAULT to CHUNK_MAX_OPEN_MOST
    const struct chunk_io *io; // the calls to the disk. Default: the system's
    // Whether fsync of a file takes its new name to the disk, too. Default: by the kind of the file system.
    enum { CHUNK_NAMES_ASK, CHUNK_NAMES_WITH_FILE, CHUNK_NAMES_APART } names;
    // Called for each event, by the thread that met it. It must not call chunk_ functions. Default: nobody.
    void (*message)(void *arg, const struct chunk_event *event);
    void *message_arg;
    // For crash tests: called with the step's name at each place where being killed is of interest
    // (docs/CHUNK.md).
    void (*step)(void *arg, const char *name);
    void *step_arg;
};

// flags of chunk_store_open
#define CHUNK_RDONLY 0x1u // change nothing, not even to recover; reading alone, from read-only media too

// What chunk_stat tells.
struct chunk_info {
    uint64_t id;
    uint64_t version;  // 1 for a new chunk; see chunk_set_version
    uint64_t size;     // bytes
    uint64_t stored;   // bytes of disk the data takes; shared bytes count for each of their owners
    uint32_t unsummed; // blocks whose sum is not up to date (written since the last chunk_sync)
    bool shared;       // the data file is another chunk's too: the next write copies it
    int64_t changed;   // when the data was last written, in nanoseconds since 1970; also through a descriptor
};

// Make a store in dir, which must be an empty directory or not exist (its parent must). opt may be NULL.
// -EEXIST: there is a store already, untouched; -ENOTEMPTY: other files are there; -EINVAL: an option is out
// of range.
int chunk_format(const char *dir, const struct chunk_format_options *opt);

// Open the store in dir. flags: 0 or CHUNK_RDONLY. opt may be NULL. *store is set on success, to be closed
// with chunk_store_close. -ENOENT: no directory; -EMEDIUMTYPE: not a store; -EPROTONOSUPPORT: of a newer
// format; -EBADMSG: its header is damaged; -EUSERS: as many handles as a store can have (4095) are open;
// -ENOSYS: no /proc, which says which boot of the machine this is (not with CHUNK_RDONLY).
int chunk_store_open(const char *dir, unsigned flags, const struct chunk_open_options *opt,
                     struct chunk_store **store);

// Close it; store may be NULL. Unsynced data stays with the kernel, as with close(2). No other call may be
// running.
void chunk_store_close(struct chunk_store *store);

// Bytes a chunk of this store may have.
uint64_t chunk_store_chunk_size(const struct chunk_store *store);

// Make an empty chunk of version 1. Durable after chunk_sync. -EEXIST: there is one; -EINVAL: id is 0.
int chunk_create(struct chunk_store *store, uint64_t id);

// Read len bytes at off into buf: the number read, which is less than len only at the chunk's end (0 at or
// behind it) or before a block that is damaged. Holes read as zeros. -EIO: the first block asked for is
// damaged. -ENOENT: no such chunk. A read that runs at the same time as a write to the same bytes returns for
// each either the old or the new.
ssize_t chunk_read(struct chunk_store *store, uint64_t id, void *buf, size_t len, uint64_t off);

// Compare with their sums all blocks that [off, off + len) touches and that this handle has not found right
// before: for who is about to read them through a descriptor. 0; -EIO: one is damaged (reported); -ENOENT.
int chunk_verify(struct chunk_store *store, uint64_t id, uint64_t off, uint64_t len);

// Write len bytes at off, growing the chunk if need be: the number written, which is less than len only where
// an error follows (as with pwrite on a full disk). Durable after chunk_sync. A write of part of a damaged
// block fails with -EIO; of a whole block mends it. -EFBIG: off + len is beyond the chunk size (nothing is
// written); -ENOSPC, -EDQUOT: the disk or a quota is full; -ENOENT.
ssize_t chunk_write(struct chunk_store *store, uint64_t id, const void *buf, size_t len, uint64_t off);

// As chunk_write, of a buffer that nobody changes during the call; this saves a copy. If it is changed all
// the same, the blocks may count as damaged afterwards.
ssize_t chunk_write_stable(struct chunk_store *store, uint64_t id, const void *buf, size_t len, uint64_t off);

// Set the size: cut off, or grow by a hole. -EFBIG as chunk_write; -ENOENT.
int chunk_truncate(struct chunk_store *store, uint64_t id, uint64_t size);

// Make len bytes at off read as zeros, and give their disk space back where they are whole blocks of the file
// system. The size stays; what lies behind the end is ignored. -EOPNOTSUPP: the file system has no holes;
// -ENOENT.
int chunk_punch(struct chunk_store *store, uint64_t id, uint64_t off, uint64_t len);

// Reserve disk space for len bytes at off, so that writing them does not fail with -ENOSPC. The size grows to
// off + len unless keep_size. -EFBIG, -ENOSPC, -EOPNOTSUPP (the file system can't), -ENOENT.
int chunk_allocate(struct chunk_store *store, uint64_t id, uint64_t off, uint64_t len, bool keep_size);

// The next data (whence SEEK_DATA) or hole (SEEK_HOLE) at or after off: its offset, as lseek(2). -ENXIO: off
// is at or behind the end, or no data follows; -EINVAL: another whence; -ENOENT.
int64_t chunk_seek(struct chunk_store *store, uint64_t id, uint64_t off, int whence);

// Put on disk: all data and size changes of the chunk that were complete when the call began, whichever
// process made them, their sums, and the chunk's name. On an error it is not known what reached the disk.
// Calling again writes all of the chunk again from what the kernel still has in memory, and succeeds only if
// that is what was written (with fsync(2) it would succeed in any case); -EIO if not, or while somebody
// writes through a descriptor. -ENOENT.
int chunk_sync(struct chunk_store *store, uint64_t id);

// Make chunk dst with the content and version of src, sharing the bytes: by reflink where the file system has
// it, else by sharing the data file until the first write to either. Time does not depend on the size, but
// for two cases that copy: 65,000 clones of one chunk, and a chunk that a process is writing through its
// descriptor (chunk_fd_begin_write) on a file system without reflinks. Durable after chunk_sync of dst.
// -EEXIST: dst is there; -ENOENT: src is not; -EINVAL: dst is 0 or src; -ENOSPC.
int chunk_clone(struct chunk_store *store, uint64_t src, uint64_t dst);

// Remove the chunk. Descriptors of it stay usable. Durable once a later chunk_sync of any chunk of the same
// directory was, or the file system wrote it by itself; a chunk that comes back after a crash is whole.
// -ENOENT.
int chunk_delete(struct chunk_store *store, uint64_t id);

// Fill *info. -ENOENT.
int chunk_stat(struct chunk_store *store, uint64_t id, struct chunk_info *info);

// Change the version from `from` to `to` if it is `from`. -EAGAIN: it is another; -EINVAL: to >
// CHUNK_VERSION_MAX; -ENOENT. Durable after chunk_sync.
int chunk_set_version(struct chunk_store *store, uint64_t id, uint64_t from, uint64_t to);

// Call each(arg, id) for every chunk, in no order, until it returns non-zero, which is returned. Chunks made
// or deleted meanwhile may or may not be seen. each may call chunk_ functions.
int chunk_list(struct chunk_store *store, int (*each)(void *arg, uint64_t id), void *arg);

// How chunk_scrub works and whom it tells. Zero or NULL: none.
struct chunk_scrub_options {
    uint64_t rate; // bytes a second at most; 0: no limit
    // Called about every MiB and at each chunk's end; non-zero stops, and chunk_scrub returns it. done: bytes
    // looked at until now.
    int (*progress)(void *arg, uint64_t id, uint64_t done);
    // Called for each damaged block; len is CHUNK_BLOCK_SIZE, or less at the chunk's end. Non-zero stops, as
    // above.
    int (*damage)(void *arg, uint64_t id, uint32_t block, uint64_t off, uint64_t len);
    void *arg;
};

// Read everything from the disk (past the cache where the file system lets us) and compare it with the sums;
// sum what has no sum; remove what killed processes left behind. id: one chunk, or 0 for all. Returns 0 also
// when damage was found. opt may be NULL. With CHUNK_RDONLY nothing is summed or removed. -ENOENT: no such
// chunk.
int chunk_scrub(struct chunk_store *store, uint64_t id, const struct chunk_scrub_options *opt);

// A descriptor of a chunk's data file, for sendfile, splice, mmap, exec, direct reads. Offsets are the
// chunk's. See docs/CHUNK.md.
struct chunk_fd {
    int fd;       // owned by the caller until chunk_fd_close; O_CLOEXEC. May be dup()ed and passed to other
                  // processes
    int flags;    // as given to chunk_fd_open
    bool writing; // the engine's: writing is announced
    uint64_t id;  // the chunk
    uint64_t seq; // the engine's: which file it was
};

// Open one. flags: O_RDONLY or O_RDWR, to which O_DIRECT may be added. What is read through it is not
// verified: who wants that calls chunk_read for a range first. Reading needs no announcement. -ENOENT;
// -EINVAL: other flags.
int chunk_fd_open(struct chunk_store *store, uint64_t id, int flags, struct chunk_fd *out);

// 0: it is still the chunk's file. -ESTALE: the chunk was cloned without reflinks and has since been given
// another file by a write: what is read through this one is old, and it must not be written to. Close it and
// open another. -ENOENT: deleted.
int chunk_fd_check(struct chunk_store *store, const struct chunk_fd *cfd);

// Announce that [off, off + len) will be written through cfd->fd (pwrite, a shared mapping, splice). From
// here to chunk_fd_end_write those blocks have no sums; the announcement ends by itself when the last copy of
// the descriptor is gone from every process. A sharing is ended first. May be called again for more. Writing
// elsewhere, ftruncate and fallocate through the descriptor are not allowed: the result would be reported as
// damage. -ESTALE as chunk_fd_check; -EBADF: opened O_RDONLY; -EFBIG: beyond the chunk size; -ENOSPC;
// -ENOENT.
int chunk_fd_begin_write(struct chunk_store *store, struct chunk_fd *cfd, uint64_t off, uint64_t len);

// From here on until the last copy of the descriptor, and the last mapping made through it, is gone from
// every process, the chunk keeps this file: clones are made by copying. For mappings that must go on to see
// what is written. A sharing is ended first. -ESTALE: then, too, the chunk has another file now; open that.
// -ENOSPC; -ENOENT.
int chunk_fd_hold(struct chunk_store *store, struct chunk_fd *cfd);

// All writing through this descriptor and its copies is over; the next chunk_sync (or scrub) sums the blocks
// again. 0 also when nothing was announced.
int chunk_fd_end_write(struct chunk_store *store, struct chunk_fd *cfd);

// chunk_fd_end_write, and close it. The store may be closed before. cfd->fd becomes -1.
void chunk_fd_close(struct chunk_fd *cfd);

#endif
