// SPDX-License-Identifier: Apache-2.0
// The log of committed operations in the shared file: rows that SQL has not got yet. All under the volume's
// lock.
#ifndef ZIO_META_LOG_H
#define ZIO_META_LOG_H

#include "meta/db.h"
#include "meta/row.h"
#include "meta/shared.h"

static inline uint32_t
row_size(uint32_t len)
{
    return (uint32_t)sizeof(struct row) + ((len + 7) & ~7u);
}

// The latest record of a key, or NULL.
const struct row *log_find(const struct shared_log *log, uint8_t kind, uint64_t k1, uint64_t k2);
bool log_has_room(const struct shared_log *log, uint32_t bytes, uint32_t rows);
// Append the rows of one operation: first they are written (and count for nothing yet), then published, all
// at once as seen by whoever comes after a crash.
void log_write(struct shared_log *log, uint8_t *rows, uint32_t bytes);
void log_publish(struct shared_log *log, uint32_t bytes);

// Write the log's rows into SQL, within the transaction that is open; the last of each key only.
int log_apply(struct shared_log *log, struct meta_db *db);
// Write one row.
int log_apply_row(struct meta_db *db, const struct row *row);
// Within the same transaction: SQL has this batch.
int log_mark(const struct shared_log *log, struct meta_db *db);
void log_reset(struct shared_log *log);
// sync.c: the bytes [from, to) of the log are on disk.
int sync_log(struct shared_log *log, uint32_t from, uint32_t to);

// After the holder of the lock died, or a reboot (`reboot`: the file may be torn; what has whole operations
// from the start counts): bring the log into order, given what SQL says.
// What is left of an earlier life behind that must not count later: the log is on disk without it.
int log_recover(struct shared_log *log, struct meta_db *db, bool reboot);

#endif
