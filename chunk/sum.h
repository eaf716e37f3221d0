// SPDX-License-Identifier: Apache-2.0
// The 64-bit entry that a sum file keeps for each block: pure functions over its value. All changes of an
// entry in shared memory are compare-and-swap from one value to another (write.c, sync.c); here is what the
// values mean.
//
//   bits 0-31 the CRC-32C | 32-51 generation | 52-55 writers now in flight | 56-57 state | 58-63 check over
//   the other bits
//
//      NONE ---+                    enter: generation + 1, writers + 1
//      VALID --+-- enter --> DIRTY  leave: writers - 1
//      DIRTY --+               |
//                              +-- sum, if no writer is in flight and the generation is that from before
//                              reading --> VALID
//   DIRECT: as DIRTY, but may be written by the holder of a descriptor without enter; turned DIRTY once there
//   is no holder.
#ifndef ZIO_CHUNK_SUM_H
#define ZIO_CHUNK_SUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sum_state {
    SUM_NONE = 0,   // never written (a hole): all zeros
    SUM_VALID = 1,  // the CRC is that of the block
    SUM_DIRTY = 2,  // written since: not verified
    SUM_DIRECT = 3, // may be being written behind the engine's back: not verified
};

#define SUM_WRITERS_MAX 15u

// An entry. gen and writers are cut to their width.
uint64_t sum_pack(enum sum_state state, unsigned writers, uint32_t gen, uint32_t crc);
bool sum_intact(uint64_t entry); // the check fits
enum sum_state sum_state(uint64_t entry);
unsigned sum_writers(uint64_t entry);
uint32_t sum_gen(uint64_t entry);
uint32_t sum_crc(uint64_t entry);

// What a damaged entry must have been, if one of its bits is wrong and it then fits the block's content: its
// CRC, or that it is all zeros.
bool sum_mend(uint64_t entry, uint32_t crc, bool zeros, uint64_t *mended);
// The entry when a writer enters (sum_writers(entry) < SUM_WRITERS_MAX), and when one leaves. A damaged entry
// enters as a NONE.
uint64_t sum_enter(uint64_t entry);
uint64_t sum_leave(uint64_t entry);
// The same without writers, in another state, one generation on.
uint64_t sum_restate(uint64_t entry, enum sum_state state);
// The same content, now with a sum: no generation step, so that what was read under this generation stays
// known.
uint64_t sum_settle(uint64_t entry, uint32_t crc);

// CRC-32C (RFC 3720, 12.1) of a block of which the first len bytes are given and the rest are zeros. len <=
// CHUNK_BLOCK_SIZE.
uint32_t sum_block(const void *data, size_t len);
// The same, of what is copied from `from` to `to` on the way. The copy is what is summed.
uint32_t sum_copy(void *to, const void *from, size_t len);
bool sum_all_zeros(const void *data, size_t len);
// The CRC register after n more zero bytes. n <= CHUNK_BLOCK_SIZE.
uint32_t sum_zeros(uint32_t reg, size_t n);

#endif
