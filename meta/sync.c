// SPDX-License-Identifier: Apache-2.0
// What is committed goes to the disk. Most of it is in the shared log, whose records carry checksums bound to
// the batch that follows the one SQL has: so it is enough that the disk has the log's pages, and of SQL what
// was committed before. A sync is then one msync of the pages that are new, and no SQL. The price is paid
// when the log goes into SQL: what was promised must be on disk there before the log is written over.
//
// The volume's lock is not held while the disk works: others commit meanwhile.
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "meta/internal.h"

#define TRIES 3 // against others who move the log into SQL meanwhile

// What a sync has to bring to the disk, as of a moment under the lock.
struct due {
    uint64_t batch;
    uint32_t from, to; // of the log
    bool sql;
};

void
sync_before_reset(struct meta *m)
{
    struct shared *s = m->s;

    if (s->log_synced && db_sync(m->db) < 0)
        s->sql_failed = 1; // the operation that came to do this is not to blame
    else if (s->log_synced)
        s->sql_dirty = 0;
    s->log_synced = 0;
}

int
sync_log(struct shared_log *log, uint32_t from, uint32_t to)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uintptr_t first = (uintptr_t)(log->data + from) & ~(page - 1), end = (uintptr_t)(log->data + to);

    return to > from && msync((void *)first, end - first, MS_SYNC) < 0 ? -errno : 0;
}

// The shared file, its size and its name: what is synced in its log must be found after a crash.
static int
name_on_disk(struct meta *m)
{
    int dirfd = open(m->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;

    // Who is in a jail by now, or may not list the directory, has all of the file system written.
    if (fsync(m->map.fd) < 0 || (dirfd < 0 ? syncfs(m->map.fd) : fsync(dirfd)) < 0)
        r = -errno;
    if (dirfd >= 0)
        close(dirfd);
    return r;
}

static bool
look(struct meta *m, struct due *due)
{
    struct shared *s = m->s;

    *due = (struct due){.batch = s->log.batch, .from = s->log_synced, .to = s->log.used, .sql = s->sql_dirty};
    return due->sql || due->from < due->to;
}

// Under the lock. false: SQL got more meanwhile.
static bool
done(struct meta *m, const struct due *due)
{
    struct shared *s = m->s;

    if (s->log.batch != due->batch)
        return false;
    if (s->log_synced < due->to)
        s->log_synced = due->to;
    s->sql_dirty = 0;
    return true;
}

// The long way, with all in SQL: when the log's own pages could not be written, or others are always faster.
static int
sync_sql(struct op *op)
{
    struct meta *m = op->m;
    int r = op_flush(op);

    if (r == 0 && (r = db_sync(m->db)) == 0)
        m->s->sql_dirty = 0;
    if (m->s->sql_failed) { // on the way; told now
        m->s->sql_failed = 0;
        r = r ? r : -EIO;
    }
    return r;
}

int
meta_sync(struct meta *m)
{
    struct op *op;
    struct due due;
    int r = op_begin(m, OP_READ, &op);

    if (r < 0)
        return r;
    STAT(m, syncs);
    if (m->s->sql_failed) {
        m->s->sql_failed = 0;
        return op_end(op, -EIO);
    }
    if (!m->s->named) { // once since the machine started
        if ((r = name_on_disk(m)) < 0)
            return op_end(op, r);
        m->s->named = 1;
    }
    for (int i = 0; i < TRIES; i++) {
        bool todo = look(m, &due);

        if ((r = op_end(op, 0)) < 0 || !todo)
            return r;
        // A second try after a failed one would be told that all is well.
        if (due.sql && (r = db_sync(m->db)) < 0)
            return r;
        bool written = sync_log(&m->s->log, due.from, due.to) == 0;
        if ((r = op_begin(m, OP_READ, &op)) < 0)
            return r;
        if (!written)
            break;
        if (done(m, &due))
            return op_end(op, 0);
    }
    return op_end(op, sync_sql(op));
}

int
meta_sync_sql(struct meta *m)
{
    struct op *op;
    int r = op_begin(m, OP_READ, &op);

    if (r < 0)
        return r;
    STAT(m, syncs);
    return op_end(op, sync_sql(op));
}
