// SPDX-License-Identifier: Apache-2.0
// What the tests of the chunk engine share: a store in a directory of its own, and what it told.
#ifndef ZIO_TESTS_CK_H
#define ZIO_TESTS_CK_H

#include <limits.h>

#include "chunk/chunk.h"
#include "tests/unit/unit.h"

#define CK_BLOCK CHUNK_BLOCK_SIZE

extern char ck_dir[PATH_MAX]; // of the store

// What the message hook was told, by kind; and the last event. Counted over all threads of the process.
struct ck_heard {
    _Atomic unsigned count[CHUNK_EV_COUNT];
    _Atomic uint64_t id, offset, len;
    char file[64];
};
extern struct ck_heard ck_heard;
void ck_deaf(void); // forget it

// A fresh directory (in TMPDIR) with a store of this chunk size in it; removed by ck_remove.
void ck_make(uint64_t chunk_size);
void ck_remove(void);
// With ck_heard as its hook; and, unless opt says otherwise, with ck_lazy.
struct chunk_store *ck_open(unsigned flags, const struct chunk_open_options *opt);
// The system's calls, but that nothing is flushed: what a killed process leaves does not depend on it.
extern struct chunk_io ck_lazy;
void ck_path(char path[PATH_MAX], uint64_t id, bool sums); // of a chunk's data or sum file
void ck_flip(const char *path, uint64_t byte, unsigned bit);
// len bytes that differ from place to place and from generation to generation.
void ck_fill(unsigned char *buf, size_t len, uint64_t id, uint64_t off, unsigned generation);
// Reads all of the chunk and compares. size is all it has.
void ck_expect(struct chunk_store *s, uint64_t id, const unsigned char *want, uint64_t size);
// Damaged blocks that a scrub of everything finds.
unsigned ck_scrub(struct chunk_store *s);

#endif
