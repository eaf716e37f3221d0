// SPDX-License-Identifier: Apache-2.0
// The seam between the engine and an SQL engine: statements by number, values bound by a format. A dialect is
// one file with one table of functions. Used under the volume's lock, by one thread at a time.
#ifndef ZIO_META_DB_H
#define ZIO_META_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "meta/sql.h"

struct meta_db;

// Who is told of what a person must know; may be NULL.
struct meta_say {
    void (*message)(void *arg, const char *text);
    void *arg;
};
void meta_say(const struct meta_say *say, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

// Before the first db_open since the machine started, and where a volume is made: the index of SQLite's log
// is in memory that all share, and what a file of that name holds from before is nobody's.
int db_forget_index(const char *dir);
// Open the database in `dir`; `create`: it is made, and must not be there. -ENOENT, -EEXIST.
int db_open(const char *dir, bool create, const struct meta_say *say, struct meta_db **out);
void db_close(struct meta_db *db);
bool db_owns_fd(const struct meta_db *db, int fd);

int db_begin(struct meta_db *db);
int db_commit(struct meta_db *db); // on an error, everything is rolled back
void db_rollback(struct meta_db *db);

// Start a statement with its values: i (int64_t), b (const void *, size_t), in the order ?1, ?2, ... 0 or
// -errno. Then db_step until it is not 1; db_done is needed only where a caller stops earlier.
int db_query(struct meta_db *db, enum meta_sql s, const char *fmt, ...);
int db_step(struct meta_db *db, enum meta_sql s); // 1: a row; 0: the end; -errno
int64_t db_int(struct meta_db *db, enum meta_sql s, int col);
const void *db_blob(struct meta_db *db, enum meta_sql s, int col, size_t *len); // until the next step
void db_done(struct meta_db *db, enum meta_sql s);
// A statement without rows, all at once.
int db_run(struct meta_db *db, enum meta_sql s, const char *fmt, ...);
// Text without parameters or rows (migrations).
int db_script(struct meta_db *db, const char *sql);

int db_get_version(struct meta_db *db, uint32_t *version); // of the schema; 0: empty
int db_set_version(struct meta_db *db, uint32_t version);

int db_sync(struct meta_db *db);                // what is committed is on disk
int db_checkpoint(struct meta_db *db);          // and moved out of the log
uint64_t db_log_size(const struct meta_db *db); // bytes of it, about
uint64_t db_size(const struct meta_db *db);     // bytes of the database without it

#endif
