// SPDX-License-Identifier: Apache-2.0
// The SQLite dialect. WAL mode; statements prepared once. All use of the database, by any process, is under
// the volume's lock (shared.c), so SQLite's own file locks are answered without asking the kernel: that is
// faster, and nothing is lost when somebody in this process closes a descriptor of the same file (as POSIX
// locks would be), and a connection may go on in a fork child. A real lock keeps foreign tools out: see
// guard.
#include "meta/db.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/forkgate.h"

#define SHM_FIRST 128 // the byte of the log's index that SQLite's unix VFS locks while it is in use
#define APPLICATION_ID 0x7a494f66 // "zIOf", in the database's header

struct meta_db {
    sqlite3 *c;
    const struct meta_say *say;
    int walfd;
    int guard;  // holds a real lock, which keeps foreign tools from taking the log away
    bool stuck; // a transaction could not even be rolled back (no memory): to be tried again before anything
                // else
    int pages;  // of the log after the last commit
    char path[PATH_MAX];
    sqlite3_stmt *st[SQL_COUNT];
};

#define META_SQL_TEXT(name, sqlite, pg) sqlite,
static const char *const text[] = {META_SQL(META_SQL_TEXT)};

void
meta_say(const struct meta_say *say, const char *fmt, ...)
{
    char line[1024];
    va_list ap;

    if (!say || !say->message)
        return;
    va_start(ap, fmt);
    vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    say->message(say->arg, line);
}

// SQLite's result as an errno; what a person must know is told.
static int
fail(struct meta_db *db, int rc, const char *doing)
{
    int sys = db->c ? sqlite3_system_errno(db->c) : 0;
    const char *why = db->c ? sqlite3_errmsg(db->c) : sqlite3_errstr(rc);

    switch (rc & 0xff) {
    case SQLITE_FULL:
        meta_say(db->say, "%s: %s: the disk is full; free some space there", db->path, doing);
        return -ENOSPC;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        meta_say(db->say,
                 "%s: %s: the database is damaged (%s); stop the programs that use the volume, copy its "
                 "directory, and "
                 "run a check (zio fs fsck), or go back to a backup",
                 db->path, doing, why);
        return -EUCLEAN;
    case SQLITE_READONLY:
        return -EROFS;
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return -EACCES;
    case SQLITE_IOERR:
        if (rc == SQLITE_IOERR_NOMEM || rc == SQLITE_IOERR_SHMMAP)
            return -ENOMEM;
        if (sys == ENOSPC || sys == EDQUOT)
            return -ENOSPC;
        meta_say(db->say, "%s: %s: input/output error (%s, %s); look at the kernel's log for the disk",
                 db->path, doing, why, strerror(sys));
        return -EIO;
    case SQLITE_CANTOPEN:
        if (sys == EMFILE || sys == ENFILE || sys == EACCES || sys == ENOSPC || sys == EROFS || sys == ENOENT)
            return -sys;
        return -EIO;
    case SQLITE_CONSTRAINT:
        meta_say(db->say, "%s: %s: %s; the volume contradicts itself: run a check (zio fs fsck)", db->path,
                 doing, why);
        return -EUCLEAN;
    default:
        meta_say(db->say, "%s: %s: %s (SQLite %d)", db->path, doing, why, rc);
        return -EIO;
    }
}

// What SQLite's unix VFS gets for fcntl: locks are granted, the rest goes to the kernel.
static int
sys_fcntl(int fd, int cmd, ...)
{
    va_list ap;
    void *arg;

    va_start(ap, cmd);
    arg = va_arg(ap, void *);
    va_end(ap);
    if (cmd == F_SETLK || cmd == F_SETLKW)
        return 0;
    // Somebody always uses the index of the log: who believes to be the first cuts it off, and others, who
    // have it mapped, meet SIGBUS. When it must be made anew, db_forget_index does that.
    if (cmd == F_GETLK) {
        ((struct flock *)arg)->l_type = ((struct flock *)arg)->l_start == SHM_FIRST ? F_RDLCK : F_UNLCK;
        return 0;
    }
    return fcntl(fd, cmd, arg);
}

// SQLite takes EIO from a read for a damaged file system and then for a damaged database; it is an I/O error
// here.
static ssize_t (*next_pread)(int, void *, size_t, off_t);

static ssize_t
sys_pread(int fd, void *buf, size_t n, off_t off)
{
    ssize_t r = next_pread(fd, buf, n, off);

    if (r < 0 && errno == EIO)
        errno = EREMOTEIO;
    return r;
}

static int
set_up_pread(sqlite3_vfs *vfs, const char *name)
{
    sqlite3_syscall_ptr cur = vfs->xGetSystemCall(vfs, name);

    if (!cur || cur == (sqlite3_syscall_ptr)sys_pread)
        return 0;
    next_pread = (ssize_t(*)(int, void *, size_t, off_t))cur;
    return vfs->xSetSystemCall(vfs, name, (sqlite3_syscall_ptr)sys_pread) == SQLITE_OK ? 0 : -ENOSYS;
}

static int
set_up_vfs(void)
{
    sqlite3_vfs *vfs;

    if (sqlite3_initialize() != SQLITE_OK)
        return -ENOMEM;
    vfs = sqlite3_vfs_find("unix");
    if (!vfs || vfs->iVersion < 3)
        return -ENOSYS;
    if (vfs->xSetSystemCall(vfs, "fcntl", (sqlite3_syscall_ptr)sys_fcntl) != SQLITE_OK)
        return -ENOSYS;
    if (set_up_pread(vfs, "pread") < 0 || set_up_pread(vfs, "pread64") < 0)
        return -ENOSYS;
    return 0;
}

static int
on_wal(void *arg, sqlite3 *c, const char *name, int pages)
{
    ((struct meta_db *)arg)->pages = pages;
    return SQLITE_OK;
}

int
db_script(struct meta_db *db, const char *sql)
{
    int rc = sqlite3_exec(db->c, sql, NULL, NULL, NULL);

    return rc == SQLITE_OK ? 0 : fail(db, rc, sql);
}

static int
set_up(struct meta_db *db, bool create)
{
    static const char fresh[] = "PRAGMA page_size = 4096; PRAGMA auto_vacuum = NONE;";
    static const char always[] =
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0;"
        "PRAGMA secure_delete = OFF; PRAGMA cache_size = -65536; PRAGMA temp_store = MEMORY;"
        "PRAGMA foreign_keys = OFF; PRAGMA trusted_schema = OFF;";
    char sql[64];
    int one = 1, r;

    sqlite3_extended_result_codes(db->c, 1);
    if (create) {
        if ((r = db_script(db, fresh)) < 0)
            return r;
        snprintf(sql, sizeof(sql), "PRAGMA application_id = %d", APPLICATION_ID);
        if ((r = db_script(db, sql)) < 0)
            return r;
    }
    if ((r = db_script(db, always)) < 0)
        return r;
    // The log stays when the last one closes: another process may be about to open it.
    sqlite3_file_control(db->c, "main", SQLITE_FCNTL_PERSIST_WAL, &one);
    sqlite3_db_config(db->c, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_wal_hook(db->c, on_wal, db);
    return db_script(db, "CREATE TEMP TABLE IF NOT EXISTS tree(n INTEGER PRIMARY KEY, ino INTEGER UNIQUE)");
}

static int
check_id(struct meta_db *db)
{
    sqlite3_stmt *st;
    int rc, r = 0;

    rc = sqlite3_prepare_v2(db->c, "PRAGMA application_id", -1, &st, NULL);
    if (rc != SQLITE_OK)
        return fail(db, rc, "open");
    rc = sqlite3_step(st);
    if (rc != SQLITE_ROW)
        r = fail(db, rc, "open");
    else if (sqlite3_column_int(st, 0) != APPLICATION_ID)
        r = -EMEDIUMTYPE;
    sqlite3_finalize(st);
    return r;
}

static int
prepare(struct meta_db *db, enum meta_sql s)
{
    int rc;

    if (db->st[s])
        return 0;
    rc = sqlite3_prepare_v3(db->c, text[s], -1, SQLITE_PREPARE_PERSISTENT, &db->st[s], NULL);
    return rc == SQLITE_OK ? 0 : fail(db, rc, text[s]);
}

// A read lock on the bytes that SQLite locks for SHARED: a sqlite3 shell that opens the file in another
// process does not find itself the last one, and so does not remove the log when it closes.
static int
guard(struct meta_db *db)
{
    struct flock fl = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 0x40000002, .l_len = 510};

    db->guard = open(db->path, O_RDONLY | O_CLOEXEC);
    if (db->guard < 0)
        return -errno;
    // Where it is refused (some network file systems), the guard is missing, no more.
    if (fcntl(db->guard, F_OFD_SETLK, &fl) < 0) {
        close(db->guard);
        db->guard = -1;
    }
    return 0;
}

int
db_forget_index(const char *dir)
{
    char path[PATH_MAX + 16];

    if (snprintf(path, sizeof(path), "%s/meta.db-shm", dir) >= (int)sizeof(path))
        return -ENAMETOOLONG;
    return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

static int
open_database(const char *dir, bool create, const struct meta_say *say, struct meta_db **out)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE |
                (create ? SQLITE_OPEN_CREATE : 0);
    char wal[PATH_MAX + 8];
    struct meta_db *db;
    struct stat sb;
    int r, rc;

    if ((r = set_up_vfs()) < 0)
        return r;
    db = calloc(1, sizeof(*db));
    if (!db)
        return -ENOMEM;
    db->walfd = db->guard = -1;
    db->say = say;
    if (snprintf(db->path, sizeof(db->path), "%s/meta.db", dir) >= (int)sizeof(db->path)) {
        r = -ENAMETOOLONG;
        goto out;
    }
    if (!create && stat(db->path, &sb) < 0) {
        r = -errno;
        goto out;
    }
    rc = sqlite3_open_v2(db->path, &db->c, flags, "unix");
    if (rc != SQLITE_OK) {
        r = fail(db, rc, "open");
        goto out;
    }
    if ((!create && (r = check_id(db)) < 0) || (r = set_up(db, create)) < 0 ||
        (r = prepare(db, SQL_BEGIN)) < 0 || (r = prepare(db, SQL_COMMIT)) < 0 ||
        (r = prepare(db, SQL_ROLLBACK)) < 0)
        goto out;
    snprintf(wal, sizeof(wal), "%s-wal", db->path);
    db->walfd = open(wal, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (db->walfd < 0)
        r = -errno;
    else
        r = guard(db);
out:
    if (r < 0)
        db_close(db);
    else
        *out = db;
    return r;
}

// SQLite has lists of all databases that a process has open.
int
db_open(const char *dir, bool create, const struct meta_say *say, struct meta_db **out)
{
    int r;

    forkgate_enter();
    r = open_database(dir, create, say, out);
    forkgate_leave();
    return r;
}

void
db_close(struct meta_db *db)
{
    if (!db)
        return;
    forkgate_enter();
    for (int i = 0; i < SQL_COUNT; i++)
        sqlite3_finalize(db->st[i]);
    sqlite3_close(db->c);
    if (db->walfd >= 0)
        close(db->walfd);
    if (db->guard >= 0)
        close(db->guard);
    free(db);
    forkgate_leave();
}

bool
db_owns_fd(const struct meta_db *db, int fd)
{
    char link[64], path[PATH_MAX];
    ssize_t n;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, path, sizeof(path) - 1);
    if (n < 0)
        return false;
    path[n] = '\0';
    n = (ssize_t)strlen(db->path);
    return strncmp(path, db->path, (size_t)n) == 0 &&
           (path[n] == '\0' || strcmp(path + n, "-wal") == 0 || strcmp(path + n, "-shm") == 0);
}

static int
vquery(struct meta_db *db, enum meta_sql s, const char *fmt, va_list ap)
{
    sqlite3_stmt *st;
    int r, rc;

    if (db->stuck) {
        db_rollback(db);
        if (db->stuck)
            return -ENOMEM;
    }
    if ((r = prepare(db, s)) < 0)
        return r;
    st = db->st[s];
    for (int i = 1; *fmt; fmt++, i++) {
        if (*fmt == 'i') {
            rc = sqlite3_bind_int64(st, i, va_arg(ap, int64_t));
        } else {
            const void *p = va_arg(ap, const void *);
            size_t n = va_arg(ap, size_t);

            rc = sqlite3_bind_blob64(st, i, n ? p : "", n, SQLITE_STATIC);
        }
        if (rc != SQLITE_OK)
            return fail(db, rc, text[s]);
    }
    return 0;
}

int
db_query(struct meta_db *db, enum meta_sql s, const char *fmt, ...)
{
    va_list ap;
    int r;

    va_start(ap, fmt);
    r = vquery(db, s, fmt, ap);
    va_end(ap);
    return r;
}

int
db_step(struct meta_db *db, enum meta_sql s)
{
    int rc = sqlite3_step(db->st[s]), r;

    if (rc == SQLITE_ROW)
        return 1;
    r = rc == SQLITE_DONE ? 0 : fail(db, rc, text[s]);
    sqlite3_reset(db->st[s]);
    return r;
}

int64_t
db_int(struct meta_db *db, enum meta_sql s, int col)
{
    return sqlite3_column_int64(db->st[s], col);
}

const void *
db_blob(struct meta_db *db, enum meta_sql s, int col, size_t *len)
{
    const void *p = sqlite3_column_blob(db->st[s], col);

    *len = (size_t)sqlite3_column_bytes(db->st[s], col);
    return p ? p : "";
}

void
db_done(struct meta_db *db, enum meta_sql s)
{
    if (db->st[s])
        sqlite3_reset(db->st[s]);
}

int
db_run(struct meta_db *db, enum meta_sql s, const char *fmt, ...)
{
    va_list ap;
    int r;

    va_start(ap, fmt);
    r = vquery(db, s, fmt, ap);
    va_end(ap);
    if (r == 0)
        r = db_step(db, s);
    if (r > 0) {
        db_done(db, s);
        r = 0;
    }
    return r;
}

int
db_begin(struct meta_db *db)
{
    return db_run(db, SQL_BEGIN, "");
}

int
db_commit(struct meta_db *db)
{
    int r = db_run(db, SQL_COMMIT, "");

    if (r < 0)
        db_rollback(db);
    return r;
}

void
db_rollback(struct meta_db *db)
{
    // SQLite may have rolled back by itself (disk full, I/O error). The statement is prepared since the
    // start.
    if (!sqlite3_get_autocommit(db->c)) {
        sqlite3_step(db->st[SQL_ROLLBACK]);
        sqlite3_reset(db->st[SQL_ROLLBACK]);
    }
    db->stuck = !sqlite3_get_autocommit(db->c);
}

int
db_get_version(struct meta_db *db, uint32_t *version)
{
    sqlite3_stmt *st;
    int rc = sqlite3_prepare_v2(db->c, "PRAGMA user_version", -1, &st, NULL);

    if (rc != SQLITE_OK)
        return fail(db, rc, "the schema's version");
    rc = sqlite3_step(st);
    *version = rc == SQLITE_ROW ? (uint32_t)sqlite3_column_int(st, 0) : 0;
    sqlite3_finalize(st);
    return rc == SQLITE_ROW ? 0 : fail(db, rc, "the schema's version");
}

int
db_set_version(struct meta_db *db, uint32_t version)
{
    char sql[64];

    snprintf(sql, sizeof(sql), "PRAGMA user_version = %u", version);
    return db_script(db, sql);
}

int
db_sync(struct meta_db *db)
{
    if (fsync(db->walfd) < 0) {
        int r = -errno;

        meta_say(db->say, "%s-wal: fsync: %s; what was changed lately may be lost if the machine fails now",
                 db->path, strerror(-r));
        return r;
    }
    return 0;
}

int
db_checkpoint(struct meta_db *db)
{
    int rc = sqlite3_wal_checkpoint_v2(db->c, "main", SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);

    if (rc != SQLITE_OK)
        return fail(db, rc, "checkpoint");
    db->pages = 0;
    return 0;
}

uint64_t
db_log_size(const struct meta_db *db)
{
    return (uint64_t)db->pages * 4096;
}

uint64_t
db_size(const struct meta_db *db)
{
    struct stat sb;

    return stat(db->path, &sb) == 0 ? (uint64_t)sb.st_size : 0;
}
