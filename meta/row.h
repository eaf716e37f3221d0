// SPDX-License-Identifier: Apache-2.0
// The rows that the log and the point statements know: what an operation on the namespace changes. The same
// bytes lie in the operation's buffer and in the log.
#ifndef ZIO_META_ROW_H
#define ZIO_META_ROW_H

#include "meta/meta.h"

enum row_kind {
    ROW_INODE = 1, // (ino, 0): struct node
    ROW_NAME,      // (parent, hash): struct row_name
    ROW_CHUNK,     // (ino, index): struct row_chunk
    ROW_USAGE,     // (kind, id): struct row_usage
    ROW_LINK,      // (ino, 0): the text
    ROW_REFS,      // (chunk id, 0): uint64_t
    ROW_GARBAGE,   // (chunk id, 0): nothing
    ROW_ORPHAN,    // (ino, 0): nothing
    ROW_TRASH,     // (ino, 0): struct row_trash
};

// A record: this, then `len` bytes, padded to 8.
struct row {
    uint64_t sum; // of all that follows and of the batch; in the log
    uint8_t kind;
    uint8_t deleted; // the row is gone; no bytes follow, but an inode's last state
    uint8_t last;    // of its operation
    uint8_t spare;
    uint32_t len;
    uint64_t k1, k2;
};

struct node {
    struct meta_attr a; // of a directory, size counts its entries
    uint64_t nchunk;    // chunks mapped
};

struct row_name {
    uint64_t ino;
    uint32_t type; // DT_*
    uint32_t len;
    char name[META_NAME_MAX + 1];
};

struct row_chunk {
    uint64_t id;
    uint32_t length, space;
};

enum { USAGE_VOLUME, USAGE_USER, USAGE_DIR };
struct row_usage {
    uint64_t space, inodes, max_space, max_inodes;
    uint64_t parent; // of a directory's: the id of the next one above; 0: none
};

struct row_trash {
    uint64_t parent;
    int64_t deleted;
    uint32_t len;
    char name[META_NAME_MAX + 1];
};

union row_any {
    struct node node;
    struct row_name name;
    struct row_chunk chunk;
    struct row_usage usage;
    struct row_trash trash;
    uint64_t refs;
    char text[META_SYMLINK_MAX + 1];
};

#endif
