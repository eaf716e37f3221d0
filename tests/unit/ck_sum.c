// SPDX-License-Identifier: Apache-2.0
// Checksums: a wrong bit anywhere in data or sums is found, told with file, chunk and offset, and keeps only
// its own block from being read; writing the whole block mends it. A wrong bit in the sums is put right. The
// scrubber finds what is wrong, tells how far it is, and keeps its rate.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "chunk/impl.h"
#include "tests/unit/ck.h"

#define BLOCKS 20u
#define TAIL 1000u // bytes of the last block
#define SIZE ((BLOCKS - 1) * CK_BLOCK + TAIL)
#define ID 70u // not the first of its group

static unsigned char *want, *got;

static int
set_up(void **state)
{
    ck_make(BLOCKS * CK_BLOCK);
    want = malloc(SIZE);
    got = malloc(SIZE + 1);
    assert_true(want && got);
    return 0;
}

static int
tear_down(void **state)
{
    free(want);
    free(got);
    ck_remove();
    return 0;
}

// A chunk of `size` bytes, synced, in a store that was closed.
static void
make(uint64_t size)
{
    struct chunk_store *s = ck_open(0, NULL);

    ck_fill(want, size, ID, 0, 1);
    assert_int_equal(chunk_create(s, ID), 0);
    assert_int_equal(chunk_write(s, ID, want, size, 0), size);
    assert_int_equal(chunk_sync(s, ID), 0);
    chunk_store_close(s);
    ck_deaf();
}

static void
test_pure(void **state)
{
    static unsigned char zeros[CK_BLOCK], data[CK_BLOCK], copy[CK_BLOCK];

    // RFC 3720, B.4: 32 bytes of zeros, of ones, and ascending, here followed by zeros up to the block's end.
    uint32_t reg = 0xffffffff;
    for (unsigned i = 0; i < 32; i++)
        data[i] = (unsigned char)i;
    for (unsigned i = 0; i < CK_BLOCK; i++)
        for (unsigned k = 0, b = data[i]; k < 8; k++, b >>= 1)
            reg = (reg ^ b) & 1 ? reg >> 1 ^ 0x82f63b78 : reg >> 1;
    assert_int_equal(sum_block(data, CK_BLOCK), ~reg);
    assert_int_equal(sum_block(data, 32), ~reg);
    assert_int_equal(sum_copy(copy, data, CK_BLOCK), ~reg);
    for (unsigned i = 0; i < 50; i++) {
        size_t len = unit_below(CK_BLOCK + 1);

        ck_fill(data, len, i, 0, 0);
        memset(data + len, 0, CK_BLOCK - len);
        assert_int_equal(sum_block(data, len), sum_block(data, CK_BLOCK));
        assert_int_equal(sum_copy(copy, data, len), sum_block(data, len));
        assert_memory_equal(copy, data, len);
    }
    assert_true(sum_all_zeros(zeros, CK_BLOCK) && sum_all_zeros(zeros, 0) && !sum_all_zeros(data, CK_BLOCK));
    for (unsigned i = 0; i < 200; i++) {
        uint32_t crc = (uint32_t)unit_random();
        uint64_t entry = i == 0 ? 0 : sum_pack(SUM_VALID, 0, unit_below(1 << 20), crc), mended;

        assert_true(sum_intact(entry));
        for (unsigned bit = 0; bit < 64; bit++) {
            assert_false(sum_intact(entry ^ 1ull << bit));
            assert_true(sum_mend(entry ^ 1ull << bit, crc, i == 0, &mended));
            assert_true(sum_state(mended) == sum_state(entry) && (i == 0 || sum_crc(mended) == crc));
            assert_false(sum_mend(entry ^ 1ull << bit, ~crc, false, &mended));
        }
    }
    // A version: one wrong bit is always noticed.
    for (unsigned i = 0; i < 200; i++) {
        uint64_t version = unit_random() & CHUNK_VERSION_MAX, back;

        assert_true(version_unpack(version_pack(version), &back) == 0 && back == version);
        for (unsigned bit = 0; bit < 64; bit++)
            assert_int_equal(version_unpack(version_pack(version) ^ 1ull << bit, &back), -EBADMSG);
    }
}

static void
expect_told(enum chunk_event_kind kind, unsigned block)
{
    char name[64];

    assert_int_not_equal(ck_heard.count[kind], 0);
    assert_int_equal(ck_heard.id, ID);
    assert_int_equal(ck_heard.offset, (uint64_t)block * CK_BLOCK);
    snprintf(name, sizeof(name), "001/%016x", ID);
    assert_string_equal(ck_heard.file, name);
}

// Only this block can't be read; the others can, together and one by one.
static void
expect_damaged(struct chunk_store *s, unsigned bad)
{
    ssize_t n = chunk_read(s, ID, got, SIZE, 0);

    assert_int_equal(n, bad ? (ssize_t)(bad * CK_BLOCK) : -EIO);
    for (unsigned b = 0; b < BLOCKS; b++) {
        uint64_t off = (uint64_t)b * CK_BLOCK, len = b == BLOCKS - 1 ? TAIL : CK_BLOCK;

        if (b == bad) {
            assert_int_equal(chunk_read(s, ID, got, 10, off + len / 2), -EIO);
            assert_int_equal(chunk_read(s, ID, got, CK_BLOCK, off), -EIO);
        } else {
            assert_int_equal(chunk_read(s, ID, got, CK_BLOCK, off), len);
            assert_memory_equal(got, want + off, len);
        }
    }
}

static void
test_flip_data(void **state)
{
    char path[PATH_MAX];

    make(SIZE);
    ck_path(path, ID, false);
    for (unsigned b = 0; b < BLOCKS; b++) {
        uint64_t off = (uint64_t)b * CK_BLOCK, len = b == BLOCKS - 1 ? TAIL : CK_BLOCK;
        struct chunk_store *s;

        ck_flip(path, off + unit_below((uint32_t)len), unit_below(8));
        s = ck_open(CHUNK_RDONLY, NULL);
        expect_damaged(s, b);
        expect_told(CHUNK_EV_DAMAGE, b);
        assert_int_equal(ck_scrub(s), 1);
        chunk_store_close(s);
        s = ck_open(0, NULL);
        expect_damaged(s, b);
        expect_told(CHUNK_EV_DAMAGE, b);
        // Part of it does not mend it, nor does cutting through it, nor a clone; and neither makes it worse.
        assert_int_equal(chunk_write(s, ID, want + off, 100, off), -EIO);
        assert_int_equal(chunk_punch(s, ID, off + 100, 100), -EIO);
        if (b < BLOCKS - 1) {
            assert_int_equal(chunk_truncate(s, ID, off + 100), -EIO);
        }
        assert_int_equal(chunk_clone(s, ID, 1000 + b), 0);
        assert_int_equal(chunk_read(s, 1000 + b, got, 10, off), -EIO);
        assert_int_equal(chunk_delete(s, 1000 + b), 0);
        expect_damaged(s, b);
        assert_int_equal(ck_scrub(s), 1);
        expect_told(CHUNK_EV_DAMAGE, b);
        // The whole block does.
        assert_int_equal(chunk_write(s, ID, want + off, len, off), len);
        ck_expect(s, ID, want, SIZE);
        assert_int_equal(chunk_sync(s, ID), 0);
        assert_int_equal(ck_scrub(s), 0);
        chunk_store_close(s);
        ck_deaf();
    }
}

// Each bit of the slot, of the further entries, and of the head: everything stays readable, is put right, and
// never is there anything wrong.
static void
flip_sums(uint64_t from, uint64_t to, uint64_t size)
{
    char path[PATH_MAX];

    ck_path(path, ID, true);
    for (uint64_t bit = from * 8; bit < to * 8; bit++) {
        struct chunk_store *s;
        struct chunk_info info;

        ck_flip(path, bit / 8, bit % 8);
        if (bit % 3 == 0) {
            s = ck_open(CHUNK_RDONLY, NULL);
            ck_expect(s, ID, want, size);
            chunk_store_close(s);
        }
        s = ck_open(0, NULL);
        ck_expect(s, ID, want, size);
        assert_int_equal(chunk_stat(s, ID, &info), 0);
        assert_int_equal(info.version, 1);
        assert_int_equal(chunk_sync(s, ID), 0);
        chunk_store_close(s);
        assert_int_equal(ck_heard.count[CHUNK_EV_SUM_LOST] + ck_heard.count[CHUNK_EV_DAMAGE] +
                             ck_heard.count[CHUNK_EV_UNSURE],
                         0);
        // Put right: a second look finds nothing to tell, and the data is still verified.
        ck_deaf();
        s = ck_open(0, NULL);
        ck_expect(s, ID, want, size);
        assert_int_equal(chunk_scrub(s, ID, NULL), 0);
        chunk_store_close(s);
        assert_int_equal(ck_heard.count[CHUNK_EV_REPAIRED] + ck_heard.count[CHUNK_EV_DAMAGE], 0);
    }
}

static void
expect_guarded(uint64_t size)
{
    struct chunk_store *s;
    char path[PATH_MAX];

    ck_path(path, ID, false);
    for (uint64_t off = 0; off < size; off += CK_BLOCK)
        ck_flip(path, off, 3);
    s = ck_open(0, NULL);
    for (uint64_t off = 0; off < size; off += CK_BLOCK)
        assert_int_equal(chunk_read(s, ID, got, 1, off), -EIO);
    chunk_store_close(s);
}

static void
test_flip_slot(void **state)
{
    uint64_t slot = SUM_PAGE + ID % GROUP_CHUNKS * SLOT_SIZE;

    make(2 * CK_BLOCK + 77);
    flip_sums(slot, slot + (SLOT_WORDS + 3) * 8, 2 * CK_BLOCK + 77);
    flip_sums(0, GROUP_WORDS * 8, 2 * CK_BLOCK + 77);
    expect_guarded(2 * CK_BLOCK + 77);
}

static void
test_flip_more(void **state)
{
    uint64_t more = HEAD_SIZE + ID % GROUP_CHUNKS * SUM_PAGE;

    make(SIZE);
    flip_sums(more, more + (BLOCKS - SLOT_ENTRIES) * 8, SIZE);
    expect_guarded(SIZE);
}

// An entry beyond repair: its block, and no other.
static void
test_entry_lost(void **state)
{
    char path[PATH_MAX];

    make(SIZE);
    ck_path(path, ID, true);
    for (unsigned b = 0; b < BLOCKS; b++) {
        uint64_t at = b < SLOT_ENTRIES ? SUM_PAGE + ID % GROUP_CHUNKS * SLOT_SIZE + (SLOT_WORDS + b) * 8
                                       : HEAD_SIZE + ID % GROUP_CHUNKS * SUM_PAGE + (b - SLOT_ENTRIES) * 8;
        uint64_t off = (uint64_t)b * CK_BLOCK, len = b == BLOCKS - 1 ? TAIL : CK_BLOCK, entry = 0;
        struct chunk_store *s;
        int fd;

        switch (b % 3) {
        case 0: // two bits, of those that the check can't see together
            ck_flip(path, at, 0);
            ck_flip(path, at, 6);
            break;
        case 1: // as if it had never been written
        case 2: // as if it were being written
            if (b % 3 == 2)
                entry = sum_pack(SUM_DIRTY, 0, 3, 0);
            fd = open(path, O_RDWR);
            assert_int_equal(pwrite(fd, &entry, 8, (off_t)at), 8);
            close(fd);
        }
        s = ck_open(0, NULL);
        expect_damaged(s, b);
        expect_told(CHUNK_EV_DAMAGE, b);
        assert_int_equal(ck_scrub(s), 1);
        assert_int_equal(chunk_write(s, ID, want + off, len, off), len);
        ck_expect(s, ID, want, SIZE);
        assert_int_equal(chunk_sync(s, ID), 0);
        chunk_store_close(s);
    }
}

// The whole slot, or the whole file, is gone: the data is served, unverified and with a word of it.
static void
test_sums_lost(void **state)
{
    static const char zeros[SLOT_SIZE];
    uint64_t slot = SUM_PAGE + ID % GROUP_CHUNKS * SLOT_SIZE;
    struct chunk_store *s;
    char path[PATH_MAX];
    int fd;

    make(SIZE);
    ck_path(path, ID, true);
    for (int i = 0; i < 4; i++) {
        if (i == 0) { // not one wrong bit, but rubbish
            fd = open(path, O_RDWR);
            assert_int_equal(pwrite(fd, want, SLOT_SIZE, (off_t)slot), SLOT_SIZE);
            close(fd);
        } else if (i == 1) {
            fd = open(path, O_RDWR);
            assert_int_equal(pwrite(fd, zeros, SLOT_SIZE, (off_t)slot), SLOT_SIZE);
            close(fd);
        } else if (i == 2) {
            assert_int_equal(unlink(path), 0);
        } else {
            assert_int_equal(truncate(path, 5000), 0);
        }
        s = ck_open(CHUNK_RDONLY, NULL);
        ck_expect(s, ID, want, SIZE);
        chunk_store_close(s);
        s = ck_open(0, NULL);
        ck_expect(s, ID, want, SIZE);
        assert_int_not_equal(ck_heard.count[CHUNK_EV_SUM_LOST] + ck_heard.count[CHUNK_EV_UNSURE], 0);
        assert_int_equal(ck_scrub(s), 0);
        chunk_store_close(s);
        ck_deaf();
        s = ck_open(0, NULL); // summed by the scrub
        ck_expect(s, ID, want, SIZE);
        chunk_store_close(s);
        for (unsigned k = 0; k < CHUNK_EV_COUNT; k++)
            assert_int_equal(ck_heard.count[k], 0);
    }
    expect_guarded(SIZE);
}

// Somebody else's hands in the data file.
static void
test_foreign_change(void **state)
{
    struct chunk_store *s;
    char path[PATH_MAX];
    int fd;

    make(SIZE);
    ck_path(path, ID, false);
    assert_int_equal(truncate(path, 3 * CK_BLOCK + 5), 0);
    s = ck_open(0, NULL);
    assert_int_equal(chunk_read(s, ID, got, 100, 3 * CK_BLOCK), -EIO);
    assert_int_equal(chunk_read(s, ID, got, 100, 2 * CK_BLOCK), 100);
    assert_int_equal(ck_scrub(s), BLOCKS - 3); // the sums say what is missing
    assert_int_equal(chunk_write(s, ID, want + 3 * CK_BLOCK, SIZE - 3 * CK_BLOCK, 3 * CK_BLOCK),
                     SIZE - 3 * CK_BLOCK);
    ck_expect(s, ID, want, SIZE);
    // A hole that is none any more.
    assert_int_equal(chunk_punch(s, ID, 5 * CK_BLOCK, 2 * CK_BLOCK), 0);
    assert_int_equal(chunk_sync(s, ID), 0);
    chunk_store_close(s);
    fd = open(path, O_RDWR);
    assert_int_equal(pwrite(fd, "x", 1, 6 * CK_BLOCK + 9), 1);
    close(fd);
    s = ck_open(0, NULL);
    assert_int_equal(chunk_read(s, ID, got, 1, 6 * CK_BLOCK + 9), -EIO);
    assert_int_equal(chunk_read(s, ID, got, 10, 5 * CK_BLOCK), 10);
    assert_int_equal(ck_scrub(s), 1);
    assert_int_equal(chunk_punch(s, ID, 6 * CK_BLOCK, CK_BLOCK), 0);
    assert_int_equal(ck_scrub(s), 0);
    chunk_store_close(s);
}

static void
test_header(void **state)
{
    struct chunk_store *s;
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%.4000s/store", ck_dir);
    for (unsigned byte = 0; byte < 64; byte++) {
        ck_flip(path, byte, byte % 8);
        int r = chunk_store_open(ck_dir, 0, NULL, &s);
        assert_true(r == (byte < 8 ? -EMEDIUMTYPE : byte < 12 ? -EPROTONOSUPPORT : -EBADMSG));
        assert_null(s);
        ck_flip(path, byte, byte % 8);
    }
    assert_int_equal(truncate(path, 40), 0);
    assert_int_equal(chunk_store_open(ck_dir, 0, NULL, &s), -EBADMSG);
    assert_int_equal(chunk_format(ck_dir, NULL), -EEXIST);
}

struct seen {
    uint64_t done, calls, stop_at;
};

static int
watch(void *arg, uint64_t id, uint64_t done)
{
    struct seen *seen = arg;

    assert_int_equal(id, ID);
    assert_true(done >= seen->done && done <= BLOCKS * CK_BLOCK);
    seen->done = done;
    return ++seen->calls == seen->stop_at ? 42 : 0;
}

static double
seconds(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void
test_scrub(void **state)
{
    struct seen seen = {0};
    struct chunk_scrub_options opt = {.progress = watch, .arg = &seen, .rate = 4 * BLOCKS * CK_BLOCK};
    struct chunk_store *s;
    double start;

    make(SIZE);
    s = ck_open(0, NULL);
    start = seconds();
    assert_int_equal(chunk_scrub(s, 0, &opt), 0);
    assert_true(seconds() - start > 0.22); // a quarter of a second's worth
    assert_true(seen.calls >= 2 && seen.done >= SIZE);
    seen = (struct seen){.stop_at = 1};
    opt.rate = 0;
    assert_int_equal(chunk_scrub(s, 0, &opt), 42);
    assert_int_equal(seen.calls, 1);
    assert_int_equal(chunk_scrub(s, ID + 1, &opt), -ENOENT);
    chunk_store_close(s);
}

int
main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(test_pure),           CASE(test_flip_data),  CASE(test_flip_slot),
        CASE(test_flip_more),      CASE(test_entry_lost), CASE(test_sums_lost),
        CASE(test_foreign_change), CASE(test_header),     CASE(test_scrub),
    };

    unit_seed(20251126);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
