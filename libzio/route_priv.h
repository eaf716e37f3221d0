// SPDX-License-Identifier: Apache-2.0
// What the parts of the file routing share among themselves: records (route_table.c), this process's open
// files (route_fd.c), the current directory (route_cwd.c), and what passes over fork and exec (route_proc.c).
#ifndef ZIO_ROUTE_PRIV_H
#define ZIO_ROUTE_PRIV_H

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "libzio/route.h"
#include "libzio/zio.h"

// ---- route.c ----

#define ROUTE_VOLS 16
extern struct route_vol route_vols[ROUTE_VOLS];
extern int route_nvols;
extern char *route_env; // ZIO_FS as it came

void route_config(char **env); // ZIO_FS; a bad one is told, and left out
struct route_vol *route_vol_by_id(uint64_t id);
// A token: an open file description of the kernel's that can be neither read nor written (access mode 3), so
// that what gets past the hooks is told EBADF. -errno.
int route_token(struct route_vol *v, int flags); // O_CLOEXEC or not
// One of a description of its own, which can be stamped.
int route_token_own(struct route_vol *v);
// A description on the same file for OFD locks: byte `inode` is the flock of that inode. -errno
int route_lock_fd(struct route_vol *v);

// The two halves of route_enter: see there.
bool route_enter_outer(struct route_guard *g);
void route_enter_cancel(struct route_guard *g);

// ---- umask and credentials (route_cred.c) ----

void route_umask_set(mode_t mask); // the program has set it
#define ROUTE_GROUPS 64
// The caller's credential into t, if that can be had cheaply; with its umask if the call makes something.
void route_cred_fill(struct route_target *t, bool makes);
void route_cred_changes(void);   // around whatever may change a thread's user or groups
bool route_cred_number(long nr); // is it a system call that does?

// ---- paths (route_path.c, route_walk.c) ----

#define ROUTE_LINKS_MAX 40 // as Linux
// Behind the components that are nothing: "", ".".
const char *route_skip_nothing(const char *p);
// A native call on t failed: is only the last name missing, and no link? Then no link can have led into a
// volume: this is how nearly all calls fail. Writes t->buf.
bool route_plainly_missing(struct route_target *t);
// Walks t's native path. 1: it leads into *v, and t->buf is the rest; 0: it does not; -errno.
int route_walk(struct route_target *t, unsigned flags, struct route_vol **v);

// ---- the table of records, shared by all processes of one `zio run` (route_table.c) ----

#define ROUTE_RECORDS 65536u
#define REC_PATH 204
struct route_rec {
    _Atomic uint32_t lock;  // 0: free; else the thread that holds it, with REC_WAITERS
    _Atomic uint32_t procs; // processes that have it; 0: the record is free
    _Atomic int64_t offset; // under lock
    uint64_t vol;           // route_vol's id
    uint64_t ino;
    _Atomic uint64_t owner;  // of its fcntl locks (FSC_OWNER_SHARED); 0: it never had one
    _Atomic int flags;       // open(2)'s
    _Atomic uint32_t flying; // descriptors that were sent (SCM_RIGHTS) and not received; each counts in procs
    _Atomic bool flocked;    // flock was called with it, ever
    bool long_path;          // the rest of the path lies in the table's last part
    uint16_t path_len;
    char path[REC_PATH];
};

struct route_rec *route_rec_new(uint32_t *index); // procs is 1: this process; NULL: the table is full
struct route_rec *route_rec_at(uint32_t index);   // NULL: no such
void route_rec_join(uint32_t index);              // this process has it, too
void route_rec_leave(uint32_t index);
// The offset of a token, which nobody reads, says what record it is of; so does a descriptor that came from
// another process. false: no token of this table.
void route_rec_stamp(int token, uint32_t index);
bool route_rec_stamped(int token, uint32_t *index);
void route_rec_send(uint32_t index); // it is kept until the other has it
void route_rec_received(uint32_t index);
bool route_rec_alone(uint32_t index); // does no other living process have it?
void route_rec_lock(struct route_rec *r);
void route_rec_unlock(struct route_rec *r);
void route_rec_set_path(uint32_t index, const char *path);
void route_rec_path(uint32_t index, char out[PATH_MAX]);

int route_table_make(void); // idempotent
int route_table_fd(void);   // -1: there is none
uint32_t route_table_slot(void);
int route_table_adopt(int fd, uint32_t slot); // after exec: the table that was passed on
bool route_table_holds(uint32_t index);       // does this process's slot say that it has the record?
void route_table_trim(const uint64_t *kept);  // lets go of all but those
// This process is about to run a program of a volume (route_vol's id, inode), or a native one (0, 0); `old`
// is what it runs now.
void route_table_runs(uint64_t vol, uint64_t ino, uint64_t old[2]);
bool route_table_any_program(void); // does a process run one, perhaps?
bool route_table_running(uint64_t vol, uint64_t ino);
bool route_table_written(uint64_t vol, uint64_t ino); // has one of the table's processes it open for writing?
void route_table_fork_prepare(void);
void route_table_fork_parent(void);
void route_table_fork_child(void);

// ---- this process's open files (route_fd.c) ----

struct route_file {
    _Atomic int refs;         // descriptors, and calls that use it; 0: free
    _Atomic int lock_fd;      // see route_lock_fd; -1: not made yet
    atomic_bool ofd_locked;   // a lock of the open file description was taken here: closing gives it up
    atomic_bool posix_locked; // one of the process was taken through it
    struct fsc_file *_Atomic file;
    _Atomic int error; // why file is NULL
    struct route_vol *vol;
    struct route_rec *rec;
    uint32_t index; // of rec
    uint64_t ino;
    char *long_path;
    struct route_file *next; // in the list of free ones
    const void *maker;       // route_thread() of who opened it; NULL: another process
    atomic_bool many;        // another thread than that one used it, ever
    atomic_bool dying;       // no reference is left, but a thread uses it
};

int route_fds_init(void);
// The file with a reference, or NULL; unlike route_file_get it opens nothing.
struct route_file *route_file_peek(int fd);
struct route_file *route_file_new(struct route_vol *v, struct fsc_file *file, const char *path, int flags);
struct route_file *route_file_adopt(uint32_t index); // a record that came over exec
struct route_file *route_file_of(uint32_t index);    // this process's file of a record, with a reference
int route_file_open(struct route_file *f);           // the fsc_file, where that is due. 0 or -errno
int route_file_unref(struct route_file *f);          // what closing said
int route_file_end(struct route_file *f);            // nobody has it any more; for route_thread.c
// Links descriptor `fd` (just made) to f; takes over the reference. What was linked there is let go.
void route_link(int fd, struct route_file *f);
void route_unlink(int fd); // forgets what was linked: the number is closed or overwritten
int route_close(int fd);   // close(2)
int route_dup(int from, int to);
int route_install_token(int token, struct route_vol *v, struct fsc_file *file, const char *path, int flags);
bool route_any_fd(void);
void route_fd_fork_prepare(void);
void route_fd_fork_child(void);
int route_file_lock_fd(struct route_file *f); // its descriptor for flock; made where there is none
// Calls fn for each descriptor from..to that is linked.
void route_each_fd(unsigned from, unsigned to, void (*fn)(int fd, struct route_file *f, void *arg),
                   void *arg);

// ---- what a thread has for itself (route_thread.c) ----

// route_enter and route_file_get in one, for calls that are to be fast with many threads: no common memory is
// written. One at a time for each thread; a second one counts references. NULL: fd is not routed after all,
// and nothing was entered.
struct route_use {
    struct route_file *f;
    void *thread; // NULL: it is a reference
};
struct route_file *route_begin(struct route_guard *g, struct route_use *u, int fd);
void route_end(struct route_guard *g, struct route_use *u);
extern _Atomic bool route_cancels;                // pthread_cancel was called, ever
extern _Thread_local atomic_bool *route_unmasked; // is set while this one is in the guard, signals open
extern bool route_fenced;                         // who sets it has to order that himself
void *route_thread(void);                         // a name for the calling thread; NULL: it has none
bool route_file_last(struct route_file *f);       // no reference is left; true: the caller is to end it

#define ROUTE_COUNTS 4 // reads, their bytes, writes, their bytes; in the order of ZIO_COUNTERS
#define ROUTE_READS 0
#define ROUTE_WRITES 2
void route_count_io(struct route_use *u, unsigned which, uint64_t bytes);
void route_counts_tell(void);      // to the page, those of all threads
void route_threads_unmasked(void); // the program has handlers from now on; waits
void route_thread_start(void);
void route_thread_fork_child(void (*late)(struct route_file *f));

// ---- cwd, fork and exec ----

void route_cwd_start(void);
// The text of the native current directory if a prefix can be reached from there by text; else NULL.
const char *route_cwd_native(void);
void route_cwd_adopt(struct route_file *f);
struct route_file *route_cwd_peek(void); // no reference: where nobody changes it
void route_start(char **env);            // ZIO_FDS; called by the constructor
void route_fork_prepare(void);
void route_fork_parent(void);
void route_fork_child(void);

// ---- calls on routed descriptors, for the program (route_io.c) ----

// route_xexec.c, within route_enter: may the file of t be written to? -ETXTBSY: it is a program that runs.
int route_text_busy(struct route_target *t, bool nofollow);
ssize_t route_read(int fd, void *buf, size_t n);
ssize_t route_readv(int fd, const struct iovec *iov, int n);
ssize_t route_pread(int fd, void *buf, size_t n, off_t off);
ssize_t route_preadv(int fd, const struct iovec *iov, int n, off_t off, int flags); // off -1: the file's
ssize_t route_write(int fd, const void *buf, size_t n);
ssize_t route_writev(int fd, const struct iovec *iov, int n);
ssize_t route_pwrite(int fd, const void *buf, size_t n, off_t off);
ssize_t route_pwritev(int fd, const struct iovec *iov, int n, off_t off, int flags);

// ---- the program's memory (route_memory.c) ----

// The kernel would say EFAULT of a pointer to what is not the program's. Costs a few nanoseconds where the
// mapping is one that this thread has just used. Keeps errno.
bool route_bad_address(const void *p, size_t n); // may not all be read
bool route_bad_room(const void *p, size_t n);    // may not all be written
bool route_bad_string(const char *s);            // may not be read up to its end, or PATH_MAX
// Bytes of the n at p that may be read, or written where `room`, before the first that may not.
size_t route_good_bytes(const void *p, size_t n, bool room);
bool route_no_address(const void *p, size_t n); // ends where the kernel's memory is, or wraps around
extern _Atomic uint32_t route_memory_changes;
// Behind a call of the program's that takes memory, or a permission, away. (The library's own are of no
// memory of the program's.)
static inline void
route_memory_changed(void)
{
    if (unlikely(route_on) && route_depth == 0)
        atomic_fetch_add(&route_memory_changes, 1);
}
bool route_memory_number(long nr); // is that such a system call?

// route_fsize.c
struct rlimit64;
extern _Atomic uint64_t route_fsize;
static inline uint64_t
route_fsize_limit(void) // RLIMIT_FSIZE, as the program set it
{
    return atomic_load_explicit(&route_fsize, memory_order_relaxed);
}
void route_fsize_start(void);
void route_fsize_lift(void); // this thread is inside the library from now on: the limit is not for our files
void route_fsize_lower(void);
int route_fsize_set(int (*set)(const struct rlimit64 *r),
                    const struct rlimit64 *r); // setrlimit64, as the program asks
bool route_fsize_exec(void);                   // before execve; what it gave is for route_fsize_exec_failed
void route_fsize_exec_failed(bool was);
void route_fsize_fork_child(bool lifted);
long route_openat2(int dirfd, const char *path, const void *how, size_t size);
off_t route_lseek(int fd, off_t off, int whence);

// hooks_fs_fdlock.c
void route_ofd_closed(struct route_file *f);
int route_lock(struct route_file *f, int cmd, struct flock *l); // fcntl's; -errno
void route_lock_closed(struct route_file *f);                   // a descriptor of it is closed
// route_lock_exec.c: the process's locks go over exec. What is told of them in ZIO_FDS (at most `room` bytes,
// the number that is written): the sessions that have them.
size_t route_lock_tell(char *to, size_t room);
size_t route_lock_tell_closed(char *to, size_t room,
                              struct route_file *f); // a descriptor of it goes with exec
const char *route_lock_told(const char *p);          // takes that in; behind it
void route_lock_start(void);                 // when all descriptors are known: what exec closed is unlocked
void route_lock_opened(struct route_vol *v); // within route_enter: the locks are this process's again
void route_lock_fork_child(void);
bool route_lock_used(void); // has this process, or what it was before exec, taken a lock of a process?
void route_lock_used_set(bool on);

// route_pass.c: around sendmsg (before; and where it failed) and behind recvmsg, where there is control data
void route_pass_send(const struct msghdr *m);
void route_pass_unsent(const struct msghdr *m);
void route_pass_received(struct msghdr *m);

// ---- exec ----

#define ROUTE_HIDE_FS 1      // ZIO_FS was put into the environment by us: it is taken out again
#define ROUTE_HIDE_PRELOAD 2 // LD_PRELOAD
#define ROUTE_HIDE_SELF 4    // the first of LD_PRELOAD
#define ROUTE_HIDE_LIBS 8    // what is behind the last empty one of LD_PRELOAD: libraries in volumes

const char *route_self(void);                // the path of libzio.so
bool route_env_complete(char *const envp[]); // would a program with it be routed as this one is?
// Executes a native file, which is given what this process hands on; `exe` is its path in a volume, if it is
// a copy of a file there, or NULL. -errno; returns only then.
int route_exec_native(int dirfd, const char *path, char *const argv[], char *const envp[], int flags,
                      const char *exe);
// Both return for the program, and only on failure.
int route_exec(int dirfd, const char *path, char *const argv[], char *const envp[], int flags);
int route_execvpe(const char *file, char *const argv[], char *const envp[]);

// ---- descriptors of the library (hooks_fd.c) ----

void zio_fd_ours_set(int fd, bool on);

#endif
