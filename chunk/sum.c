// SPDX-License-Identifier: Apache-2.0
// Sum entries and the checksum itself. Pure.
#include "chunk/sum.h"

#include <isa-l/crc.h>
#include <string.h>

#include "chunk/chunk.h"

#define GEN_SHIFT 32
#define GEN_MASK 0xfffffu
#define WRITERS_SHIFT 52
#define STATE_SHIFT 56
#define CHECK_SHIFT 58
#define ONE_WRITER (1ull << WRITERS_SHIFT)
#define BODY_MASK ((1ull << CHECK_SHIFT) - 1)

// The exclusive or of the body's groups of six bits: any single wrong bit of the entry changes it. An
// all-zero entry is intact, so that a hole in a sum file is NONE.
static uint64_t
check_of(uint64_t body)
{
    body = (body ^ body >> 30) & 0x3fffffff;
    body ^= body >> 18 ^ body >> 12 ^ body >> 24 ^ body >> 6;
    return body & 0x3f;
}

static uint64_t
seal(uint64_t body)
{
    return (body & BODY_MASK) | check_of(body & BODY_MASK) << CHECK_SHIFT;
}

uint64_t
sum_pack(enum sum_state state, unsigned writers, uint32_t gen, uint32_t crc)
{
    return seal((uint64_t)state << STATE_SHIFT | (uint64_t)(writers & SUM_WRITERS_MAX) << WRITERS_SHIFT |
                (uint64_t)(gen & GEN_MASK) << GEN_SHIFT | crc);
}

bool
sum_intact(uint64_t entry)
{
    return entry == seal(entry);
}

enum sum_state
sum_state(uint64_t entry)
{
    return (enum sum_state)(entry >> STATE_SHIFT & 3);
}

unsigned
sum_writers(uint64_t entry)
{
    return (unsigned)(entry >> WRITERS_SHIFT & SUM_WRITERS_MAX);
}

uint32_t
sum_gen(uint64_t entry)
{
    return (uint32_t)(entry >> GEN_SHIFT & GEN_MASK);
}

uint32_t
sum_crc(uint64_t entry)
{
    return (uint32_t)entry;
}

bool
sum_mend(uint64_t entry, uint32_t crc, bool zeros, uint64_t *mended)
{
    for (unsigned bit = 0; bit < 64; bit++) {
        uint64_t was = entry ^ 1ull << bit;

        if (!sum_intact(was) || sum_writers(was))
            continue;
        if (sum_state(was) == SUM_VALID ? sum_crc(was) != crc : sum_state(was) != SUM_NONE || !zeros)
            continue;
        *mended = was;
        return true;
    }
    return false;
}

uint64_t
sum_enter(uint64_t entry)
{
    if (!sum_intact(entry))
        entry = 0;
    return sum_pack(sum_state(entry) == SUM_DIRECT ? SUM_DIRECT : SUM_DIRTY, sum_writers(entry) + 1,
                    sum_gen(entry) + 1, 0);
}

uint64_t
sum_leave(uint64_t entry)
{
    return sum_writers(entry) ? seal((entry & BODY_MASK) - ONE_WRITER) : entry;
}

uint64_t
sum_restate(uint64_t entry, enum sum_state state)
{
    return sum_pack(state, 0, sum_gen(entry) + 1, 0);
}

uint64_t
sum_settle(uint64_t entry, uint32_t crc)
{
    return sum_pack(SUM_VALID, 0, sum_gen(entry), crc);
}

// The product of two polynomials modulo CRC-32C's, bits reflected (as zlib's crc32_combine does it).
static uint32_t
multiply(uint32_t a, uint32_t b)
{
    uint32_t product = 0;

    for (uint32_t m = 1u << 31; m; m >>= 1) {
        if (a & m)
            product ^= b;
        b = b & 1 ? b >> 1 ^ 0x82f63b78u : b >> 1;
    }
    return product;
}

uint32_t
sum_zeros(uint32_t reg, size_t n)
{
    // x^8, and then each the square of the one before: what 1, 2, 4, ... zero bytes multiply the register by.
    static const uint32_t power[17] = {0x00800000, 0x00008000, 0x82f63b78, 0x6ea2d55c, 0x18b8ea18, 0x510ac59a,
                                       0xb82be955, 0xb8fdb1e7, 0x88e56f72, 0x74c360a4, 0xe4172b16, 0x0d65762a,
                                       0x35d73a62, 0x28461564, 0xbf455269, 0xe2ea32dc, 0xfe7740e6};

    // Likewise for 0 to 15 pages at once: the rest of a block behind a small file; and for the rest behind a
    // few words, as in a slot.
    static const uint32_t pages[16] = {0x80000000, 0x35d73a62, 0x28461564, 0x43eefc9f, 0xbf455269, 0x5edcdeb9,
                                       0x65059450, 0x4e6f41a4, 0xe2ea32dc, 0xf5b95b32, 0x695a4c87, 0xf204502c,
                                       0x9a4f01b6, 0x941a0916, 0x4303cb97, 0x4c3d3d65};
    static const uint32_t but_words[8] = {0xfe7740e6, 0x8efd1d90, 0xe203e527, 0xc93b3c1b,
                                          0x061efc68, 0xdb63c9e5, 0xb97dd766, 0xa57e9cc7};

    if (n > CHUNK_BLOCK_SIZE - 64 && n % 8 == 0)
        return multiply(but_words[(CHUNK_BLOCK_SIZE - n) / 8], reg);
    if (n < CHUNK_BLOCK_SIZE) {
        reg = n >> 12 ? multiply(pages[n >> 12], reg) : reg;
        n &= 4095;
    }
    for (unsigned k = 0; n && k < 17; k++, n >>= 1)
        if (n & 1)
            reg = multiply(power[k], reg);
    return reg;
}

uint32_t
sum_block(const void *data, size_t len)
{
    // ISA-L takes the pointer without const, and does not write through it.
    uint32_t reg = crc32_iscsi((unsigned char *)(uintptr_t)data, (int)len, ~0u);

    return ~sum_zeros(reg, CHUNK_BLOCK_SIZE - len);
}

uint32_t
sum_copy(void *to, const void *from, size_t len)
{
    uint32_t reg = ~0u;
    size_t piece;

    // In pieces that stay in the first level cache between the two: the sum then costs next to nothing.
    for (size_t at = 0; at < len; at += piece) {
        piece = len - at < 4096 ? len - at : 4096;
        memcpy((unsigned char *)to + at, (const unsigned char *)from + at, piece);
        reg = crc32_iscsi((unsigned char *)to + at, (int)piece, reg);
    }
    return ~sum_zeros(reg, CHUNK_BLOCK_SIZE - len);
}

bool
sum_all_zeros(const void *data, size_t len)
{
    const unsigned char *p = data;

    return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}
