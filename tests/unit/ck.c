// SPDX-License-Identifier: Apache-2.0
// See ck.h.
#include "tests/unit/ck.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "chunk/impl.h"

char ck_dir[PATH_MAX];
struct ck_heard ck_heard;
struct chunk_io ck_lazy;

static int
no_sync(void *arg, int fd)
{
    return 0;
}

__attribute__((constructor)) static void
make_lazy(void)
{
    ck_lazy = io_system;
    ck_lazy.fdatasync = ck_lazy.fsync = no_sync;
}

static void
hear(void *arg, const struct chunk_event *ev)
{
    atomic_fetch_add(&ck_heard.count[ev->kind], 1);
    atomic_store(&ck_heard.id, ev->id);
    atomic_store(&ck_heard.offset, ev->offset);
    atomic_store(&ck_heard.len, ev->len);
    snprintf(ck_heard.file, sizeof(ck_heard.file), "%s", ev->file);
    if (getenv("ZIO_TEST_VERBOSE"))
        fprintf(stderr, "# event %d chunk %" PRIu64 " offset %" PRIu64 " len %" PRIu64 " %s: %s\n",
                (int)ev->kind, ev->id, ev->offset, ev->len, ev->file, ev->text);
}

void
ck_deaf(void)
{
    memset(&ck_heard, 0, sizeof(ck_heard));
}

void
ck_make(uint64_t chunk_size)
{
    struct chunk_format_options opt = {.chunk_size = chunk_size};
    const char *tmp = getenv("TMPDIR");

    snprintf(ck_dir, PATH_MAX, "%s/zio-ck-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(ck_dir));
    assert_int_equal(chunk_format(ck_dir, &opt), 0);
    ck_deaf();
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

void
ck_remove(void)
{
    assert_int_equal(nftw(ck_dir, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

struct chunk_store *
ck_open(unsigned flags, const struct chunk_open_options *opt)
{
    struct chunk_open_options mine = {0};
    struct chunk_store *s = NULL;

    if (opt)
        mine = *opt;
    mine.message = hear;
    if (!mine.io)
        mine.io = &ck_lazy;
    int r = chunk_store_open(ck_dir, flags, &mine, &s);
    if (r < 0)
        fail_msg("the store does not open: %s", strerror(-r));
    return s;
}

void
ck_path(char path[PATH_MAX], uint64_t id, bool sums)
{
    unsigned dir = (unsigned)(id / 64 % 1024);
    int n;

    if (sums)
        n = snprintf(path, PATH_MAX, "%.4000s/%03x/%016" PRIx64 ".sum", ck_dir, dir, id / 64);
    else
        n = snprintf(path, PATH_MAX, "%.4000s/%03x/%016" PRIx64, ck_dir, dir, id);
    assert_true(n > 0 && n < PATH_MAX);
}

void
ck_flip(const char *path, uint64_t byte, unsigned bit)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    unsigned char c;

    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &c, 1, (off_t)byte), 1);
    c ^= (unsigned char)(1u << bit);
    assert_int_equal(pwrite(fd, &c, 1, (off_t)byte), 1);
    close(fd);
}

void
ck_fill(unsigned char *buf, size_t len, uint64_t id, uint64_t off, unsigned generation)
{
    for (size_t i = 0; i < len; i++) {
        uint64_t x = (off + i) * 0x9e3779b97f4a7c15ull + id * 0xc2b2ae3d27d4eb4full + generation;

        buf[i] = (unsigned char)(x >> 56 ^ x >> 29);
    }
}

void
ck_expect(struct chunk_store *s, uint64_t id, const unsigned char *want, uint64_t size)
{
    unsigned char *got = malloc(size + 1);

    assert_non_null(got);
    ssize_t n = chunk_read(s, id, got, size + 1, 0);
    if (n < 0)
        fail_msg("chunk %" PRIu64 " can't be read: %s", id, strerror((int)-n));
    if ((uint64_t)n != size)
        fail_msg("chunk %" PRIu64 " has %zd bytes, not %" PRIu64, id, n, size);
    for (uint64_t i = 0; i < size && memcmp(got, want, size) != 0; i++)
        if (got[i] != want[i])
            fail_msg("chunk %" PRIu64 ": byte %" PRIu64 " is %02x, not %02x", id, i, got[i], want[i]);
    free(got);
}

static int
count_damage(void *arg, uint64_t id, uint32_t block, uint64_t off, uint64_t len)
{
    assert_int_equal(off, (uint64_t)block * CK_BLOCK);
    assert_true(len <= CK_BLOCK);
    ++*(unsigned *)arg;
    return 0;
}

unsigned
ck_scrub(struct chunk_store *s)
{
    unsigned damaged = 0;
    struct chunk_scrub_options opt = {.damage = count_damage, .arg = &damaged};
    int r = chunk_scrub(s, 0, &opt);

    if (r < 0)
        fail_msg("scrub: %s", strerror(-r));
    return damaged;
}
