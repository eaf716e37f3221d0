// SPDX-License-Identifier: Apache-2.0
// Making, opening and closing a volume; sessions across fork; what is known of the volume as a whole.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "common/forkgate.h"
#include "meta/internal.h"
#include "meta/schema.h"

static int
url_dir(const char *url, char dir[PATH_MAX])
{
    if (strncmp(url, "postgresql:", 11) == 0 || strncmp(url, "postgres:", 9) == 0)
        return -EOPNOTSUPP;
    if (strncmp(url, "sqlite:", 7) == 0)
        url += 7;
    if (!*url)
        return -ENOENT;
    if (strlen(url) > PATH_MAX - 32)
        return -ENAMETOOLONG;
    strcpy(dir, url);
    return 0;
}

static int
put_number(struct meta_db *db, const char *key, uint64_t v)
{
    return db_run(db, SQL_VOLUME_PUT, "bi", key, strlen(key), v);
}

static int
put_bytes(struct meta_db *db, const char *key, const void *p, size_t n)
{
    return db_run(db, SQL_VOLUME_PUT, "bb", key, strlen(key), p, n);
}

static int
get_number(struct meta_db *db, const char *key, uint64_t *v)
{
    int r = db_query(db, SQL_VOLUME_GET, "b", key, strlen(key));

    *v = 0;
    if (r < 0 || (r = db_step(db, SQL_VOLUME_GET)) < 0)
        return r;
    if (r == 1) {
        *v = (uint64_t)db_int(db, SQL_VOLUME_GET, 0);
        db_done(db, SQL_VOLUME_GET);
    }
    return 0;
}

static int
get_bytes(struct meta_db *db, const char *key, void *p, size_t size)
{
    int r = db_query(db, SQL_VOLUME_GET, "b", key, strlen(key));
    size_t n;
    const void *q;

    memset(p, 0, size);
    if (r < 0 || (r = db_step(db, SQL_VOLUME_GET)) < 0)
        return r;
    if (r == 0)
        return -EUCLEAN;
    q = db_blob(db, SQL_VOLUME_GET, 0, &n);
    memcpy(p, q, n < size ? n : size);
    db_done(db, SQL_VOLUME_GET);
    return 0;
}

static int
fill_new(struct meta_db *db, const struct meta_format *f)
{
    int64_t now = op_now();
    uint32_t mode = S_IFDIR | (f->root_mode ? f->root_mode & 07777 : 0755);
    uint64_t chunk = f->chunk_size ? f->chunk_size : 64u << 20;
    uint8_t uuid[16];
    uint64_t key[2];
    int r;

    if (getrandom(uuid, sizeof(uuid), 0) != sizeof(uuid) || getrandom(key, sizeof(key), 0) != sizeof(key))
        return -EIO;
    if ((r = put_number(db, "format", VOLUME_FORMAT)) < 0 || (r = put_number(db, "chunk_size", chunk)) < 0 ||
        (r = put_number(db, "trash_seconds", f->trash_seconds)) < 0 ||
        (r = put_bytes(db, "uuid", uuid, sizeof(uuid))) < 0 ||
        (r = put_bytes(db, "key", key, sizeof(key))) < 0 ||
        (r = put_bytes(db, "label", f->label, strnlen(f->label, 63))) < 0 ||
        (r = put_number(db, "ino", 2)) < 0 || (r = put_number(db, "chunk", 1)) < 0 ||
        (r = put_number(db, "batch", 0)) < 0)
        return r;
    if ((r = db_run(db, SQL_INODE_PUT, "iiiiiiiiiiiiiiii", (int64_t)META_ROOT, (int64_t)mode,
                    (int64_t)f->root_uid, (int64_t)f->root_gid, (int64_t)2, (int64_t)0, (int64_t)0,
                    (int64_t)0, now, now, now, now, (int64_t)META_ROOT, (int64_t)0, (int64_t)0, (int64_t)0)) <
        0)
        return r;
    if ((r = db_run(db, SQL_USAGE_PUT, "iiiiiii", (int64_t)USAGE_VOLUME, (int64_t)0, (int64_t)0, (int64_t)1,
                    f->max_space, f->max_inodes, (int64_t)0)) < 0)
        return r;
    return db_run(db, SQL_USAGE_PUT, "iiiiiii", (int64_t)USAGE_USER, (int64_t)f->root_uid, (int64_t)0,
                  (int64_t)1, (int64_t)0, (int64_t)0, (int64_t)0);
}

int
meta_format(const char *url, const struct meta_format *fmt, const struct meta_options *opt)
{
    struct meta_format zero = {0};
    struct meta_say say = {opt ? opt->message : NULL, opt ? opt->arg : NULL};
    char dir[PATH_MAX], path[PATH_MAX + 16];
    struct meta_db *db = NULL;
    struct stat sb;
    int r = url_dir(url, dir);

    if (r < 0)
        return r;
    if (!fmt)
        fmt = &zero;
    if (fmt->chunk_size &&
        (fmt->chunk_size & (fmt->chunk_size - 1) || fmt->chunk_size < 65536 || fmt->chunk_size > 1u << 30))
        return -EINVAL;
    if (mkdir(dir, 0777) < 0 && errno != EEXIST)
        return -errno;
    snprintf(path, sizeof(path), "%s/meta.db", dir);
    if (stat(path, &sb) == 0)
        return -EEXIST;
    // A log or a shared file of something that is no more would be taken for the new volume's.
    snprintf(path, sizeof(path), "%s/meta.shared", dir);
    unlink(path);
    snprintf(path, sizeof(path), "%s/meta.db-wal", dir);
    unlink(path);
    if ((r = db_forget_index(dir)) < 0 || (r = db_open(dir, true, &say, &db)) < 0)
        return r;
    if ((r = schema_upgrade(db, META_SCHEMA, &say)) == 0 && (r = db_begin(db)) == 0) {
        if ((r = fill_new(db, fmt)) == 0)
            r = db_commit(db);
        else
            db_rollback(db);
    }
    if (r == 0 && (r = db_checkpoint(db)) == 0)
        r = db_sync(db);
    db_close(db);
    if (r < 0) {
        snprintf(path, sizeof(path), "%s/meta.db", dir);
        unlink(path);
    }
    return r;
}

static int
load(struct meta *m)
{
    struct meta_info *i = &m->info;
    uint64_t v;
    int r;

    if ((r = get_number(m->db, "format", &v)) < 0)
        return r;
    if (v != VOLUME_FORMAT) {
        meta_say(&m->say,
                 "%s: the volume's format is version %llu, this program knows %d; use a newer release of zIO",
                 m->dir, (unsigned long long)v, VOLUME_FORMAT);
        return -EPROTONOSUPPORT;
    }
    if ((r = get_number(m->db, "chunk_size", &i->chunk_size)) < 0 ||
        (r = get_number(m->db, "trash_seconds", &v)) < 0)
        return r;
    i->trash_seconds = (uint32_t)v;
    i->schema = META_SCHEMA;
    if (i->chunk_size < 65536 || i->chunk_size & (i->chunk_size - 1))
        return -EUCLEAN;
    if ((r = get_bytes(m->db, "uuid", i->uuid, sizeof(i->uuid))) < 0 ||
        (r = get_bytes(m->db, "key", m->key, sizeof(m->key))) < 0)
        return r;
    return get_bytes(m->db, "label", i->label, sizeof(i->label) - 1);
}

// With the volume's lock: the database, the log, a session.
static int
attach(struct meta *m)
{
    bool fresh = m->s->broken == SHARED_FRESH;
    int r;

    if (fresh && (r = db_forget_index(m->dir)) < 0)
        return r;
    if ((r = db_open(m->dir, false, &m->say, &m->db)) < 0)
        return r;
    if ((r = schema_upgrade(m->db, META_SCHEMA, &m->say)) < 0)
        return r;
    if (m->s->broken && (r = op_repair(m)) < 0)
        return r;
    return load(m);
}

static int
new_session(struct meta *m)
{
    int r = shared_session_new(m->s, &m->slot);

    if (r == 0) {
        m->session = shared_session_number(m->s, m->slot);
        m->stats = &m->s->session[m->slot].stats;
    }
    return r;
}

static int
start(struct meta *m)
{
    sigset_t mask;
    struct op *op;
    int r = shared_lock(m->s, m->opt.busy_ms, &mask);

    if (r < 0)
        return r;
    if (r == 1) {
        shared_broke(m->s);
        shared_repaired(m->s);
    }
    r = attach(m);
    shared_unlock(m->s, &mask);
    if (r < 0 || (r = op_begin(m, OP_DIRECT | OP_INTERNAL, &op)) < 0)
        return r;
    // The dead first, so that a table full of them has room.
    if ((r = session_reap(op, true)) == 0 && (r = new_session(m)) == 0)
        r = orphans_reap(op);
    return op_end(op, r);
}

int
meta_open(const char *url, unsigned flags, const struct meta_options *opt, struct meta **out)
{
    char path[PATH_MAX + 16];
    struct stat sb;
    struct meta *m = calloc(1, sizeof(*m));
    int r;

    if (!m)
        return -ENOMEM;
    m->map.fd = -1;
    m->stats = &m->stats_none;
    m->flags = flags;
    (void)forkgate_init(); // without its page it still serves forks that run handlers
    pthread_mutex_init(&m->hold_lock, NULL);
    if (opt)
        m->opt = *opt;
    m->say = (struct meta_say){m->opt.message, m->opt.arg};
    if ((r = url_dir(url, m->dir)) < 0)
        goto out;
    snprintf(path, sizeof(path), "%s/meta.db", m->dir);
    if (stat(path, &sb) < 0) {
        r = -errno;
        goto out;
    }
    m->alive = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (m->alive == MAP_FAILED) {
        m->alive = NULL;
        r = -ENOMEM;
        goto out;
    }
    if (madvise((void *)m->alive, 4096, MADV_WIPEONFORK) < 0) {
        r = -errno;
        goto out;
    }
    atomic_store(m->alive, 1);
    m->quick = calloc(HOLD_QUICK, sizeof(*m->quick));
    m->own = calloc(SHARED_COUNTERS, sizeof(*m->own));
    m->cache = cache_new(m->opt.cache_inodes ? m->opt.cache_inodes : 65536,
                         m->opt.cache_inodes && !m->opt.cache_most ? m->opt.cache_inodes : m->opt.cache_most);
    if (!m->quick || !m->own || !m->cache) {
        r = -ENOMEM;
        goto out;
    }
    r = shared_open(m->dir, &m->map);
    if (r == -ENOSYS)
        meta_say(&m->say, "%s: /proc is needed, to know who uses the volume; mount it here", m->dir);
    if (r < 0)
        goto out;
    m->s = m->map.s;
    r = start(m);
out:
    if (r < 0) {
        db_close(m->db);
        m->db = NULL;
        meta_close(m);
    } else {
        *out = m;
    }
    return r;
}

void
meta_close(struct meta *m)
{
    struct op *op;

    if (!m)
        return;
    if (m->db && m->alive && atomic_load(m->alive)) {
        if (op_begin(m, OP_DIRECT | OP_INTERNAL, &op) == 0) {
            int r = db_run(m->db, SQL_LOCK_DEAD, "i", m->session);

            if (r == 0)
                r = db_run(m->db, SQL_WAIT_DEAD, "i", m->session);
            if (r == 0)
                r = db_run(m->db, SQL_GARBAGE_UNCLAIM, "i", m->session);
            shared_session_end(m->s, m->slot);
            if (r == 0)
                r = orphans_reap(op);
            op->epoch = true; // others may wait for our locks
            op_end(op, r);
        }
        db_close(m->db);
    }
    if (m->s)
        shared_close(&m->map);
    if (m->alive)
        munmap((void *)m->alive, 4096);
    cache_free(m->cache);
    free(m->op.buf);
    free(m->op.index);
    free(m->holds);
    free((void *)m->quick);
    free((void *)m->own);
    free(m->watch);
    pthread_mutex_destroy(&m->hold_lock);
    free(m);
}

// The child of a fork goes on: SQLite's connection is as good as the parent's (its locks are not the
// kernel's, and what it has cached is checked against the shared memory of its log), unless a thread was
// using it.
int
volume_child(struct meta *m)
{
    struct op *op;
    int r;

    pthread_mutex_init(&m->hold_lock, NULL);
    cache_forget(m->cache);
    if (m->busy) {
        struct meta_db *db;

        // The old one is left as it is: it can't even be closed.
        memset(&m->op, 0, sizeof(m->op));
        if ((r = db_open(m->dir, false, &m->say, &db)) < 0)
            return r;
        m->db = db;
        m->busy = false;
    }
    m->slot = UINT32_MAX;
    m->stats = &m->stats_none;
    atomic_store(m->alive, 1);
    r = op_begin(m, OP_WRITE | OP_INTERNAL, &op);
    if (r == 0) {
        r = new_session(m);
        r = op_end(op, r);
    }
    // Who forks and forks fills the table with children that are gone. To bury them takes SQL, so only now.
    // What only they held is left to whoever opens the volume next: this child has not said yet what it
    // holds.
    if (r == -EUSERS && (r = op_begin(m, OP_DIRECT | OP_INTERNAL, &op)) == 0) {
        if ((r = session_reap(op, false)) == 0)
            r = new_session(m);
        r = op_end(op, r);
    }
    if (r == 0)
        r = holds_renew(m);
    if (r < 0)
        atomic_store(m->alive, 0);
    return r;
}

int
meta_fork_child(struct meta *m)
{
    if (atomic_load(m->alive))
        return 0;
    return volume_child(m);
}

int
meta_info(struct meta *m, struct meta_info *info)
{
    struct meta_usage u;
    int r = meta_usage(m, &u);

    if (r < 0)
        return r;
    *info = m->info;
    info->max_space = u.max_space;
    info->max_inodes = u.max_inodes;
    return 0;
}

int
meta_set_limits(struct meta *m, uint64_t max_space, uint64_t max_inodes, uint32_t trash_seconds)
{
    union row_any any = {0};
    struct op *op;
    int r = op_begin(m, OP_DIRECT, &op);

    if (r < 0)
        return r;
    r = op_get(op, ROW_USAGE, USAGE_VOLUME, 0, &any, NULL);
    if (r >= 0) {
        any.usage.max_space = max_space;
        any.usage.max_inodes = max_inodes;
        r = op_put(op, ROW_USAGE, USAGE_VOLUME, 0, &any.usage, sizeof(any.usage));
    }
    if (r == 0)
        r = put_number(m->db, "trash_seconds", trash_seconds);
    op->epoch = true;
    r = op_end(op, r);
    if (r == 0)
        m->info.trash_seconds = trash_seconds;
    return r;
}

int
meta_maintain(struct meta *m)
{
    struct op *op;
    int r = op_begin(m, OP_DIRECT | OP_INTERNAL, &op);

    if (r < 0)
        return r;
    if ((r = session_reap(op, false)) == 0)
        r = orphans_reap(op);
    if ((r = op_end(op, r)) < 0)
        return r;
    if (m->info.trash_seconds && !(m->flags & META_RDONLY)) {
        ssize_t n = meta_trash_purge(m, NULL, 0, op_now());

        if (n < 0)
            return (int)n;
    }
    if ((r = op_begin(m, OP_READ, &op)) < 0)
        return r;
    if (db_log_size(m->db) > CHECKPOINT_BYTES / 16) {
        STAT(m, checkpoints);
        r = db_checkpoint(m->db);
    }
    return op_end(op, r);
}

bool
meta_owns_fd(const struct meta *m, int fd)
{
    return fd >= 0 && (fd == m->map.fd || db_owns_fd(m->db, fd));
}

uint32_t
meta_version(struct meta *m, uint64_t ino)
{
    uint64_t v = shared_version(m->s, shared_bucket(ino, 0));

    return (uint32_t)v + (uint32_t)(v >> 32) * 2; // the epoch's changes too; its parity is the counter's
}

void
meta_stats(const struct meta *m, struct meta_stats *out)
{
    shared_stats_copy(m->stats, out);
}

void
meta_count_io(struct meta *m, bool write, uint64_t bytes)
{
    shared_count(write ? &m->stats->file_writes : &m->stats->file_reads, 1);
    shared_count(write ? &m->stats->file_write_bytes : &m->stats->file_read_bytes, bytes);
}

ssize_t
meta_sessions(struct meta *m, size_t skip, struct meta_session *v, size_t n)
{
    size_t seen = 0, k = 0;

    // Without the lock: a session that begins or ends meanwhile is shown or not.
    for (uint32_t i = 0; i < SHARED_SESSIONS && k < n; i++) {
        const struct shared_session *e = &m->s->session[i];
        uint32_t pid = atomic_load(&e->pid);

        if (!pid || shared_session_dead(m->s, i) || seen++ < skip)
            continue;
        v[k] = (struct meta_session){.number = shared_session_number(m->s, i),
                                     .pid = (pid_t)pid,
                                     .foreign = shared_session_foreign(m->s, i),
                                     .own = i == m->slot};
        shared_stats_copy(&e->stats, &v[k++].stats);
    }
    return (ssize_t)k;
}
