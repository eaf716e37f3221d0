// SPDX-License-Identifier: Apache-2.0
// A machine that loses its power. Beside the store, which the page cache keeps as the engine sees it, a disk
// is kept: of each file the sectors that have reached it, and of the names those changes that have. A flush
// takes a file there; between flushes some sectors get there by themselves, in any order; and when the power
// fails, any others may have. From that disk a store is made, "booted", and looked at: what was synced is
// there; every byte is the synced one or one written since; nothing counts as damaged; and after a scrub all
// is verified.
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

#define BLOCKS 18u
#define SIZE (BLOCKS * CK_BLOCK)
#define INODES_MOST 256u
#define NAMES_MOST 4096u
#define CHUNKS 6u
#define VERSIONS_MOST 24u

// ---- the disk ----

struct inode {
    dev_t dev;
    ino_t ino;
    int fd; // of ours, so that it can be read after it lost its names
    unsigned char *disk;
    size_t size, room; // on disk
};
static struct inode inodes[INODES_MOST];
static unsigned ninodes;

struct change { // of a name
    char name[NAME_SIZE];
    int inode; // -1: removed
};
static struct change changes[NAMES_MOST];
static unsigned nchanges, on_disk; // changes that have reached the disk, in order
static size_t sector;

static int
inode_of(int fd)
{
    struct stat st;
    char path[64];

    assert_int_equal(fstat(fd, &st), 0);
    for (unsigned i = 0; i < ninodes; i++)
        if (inodes[i].dev == st.st_dev && inodes[i].ino == st.st_ino)
            return (int)i;
    assert_true(ninodes < INODES_MOST);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    inodes[ninodes] =
        (struct inode){.dev = st.st_dev, .ino = st.st_ino, .fd = open(path, O_RDONLY | O_CLOEXEC)};
    assert_true(inodes[ninodes].fd >= 0);
    return (int)ninodes++;
}

// What the page cache has of it.
static size_t
current(const struct inode *in, unsigned char **bytes)
{
    struct stat st;

    assert_int_equal(fstat(in->fd, &st), 0);
    *bytes = calloc(1, (size_t)st.st_size + sector);
    assert_non_null(*bytes);
    assert_int_equal(pread(in->fd, *bytes, (size_t)st.st_size, 0), st.st_size);
    return (size_t)st.st_size;
}

static void
resize(struct inode *in, size_t size)
{
    size_t room = (size + sector - 1) / sector * sector;

    if (room > in->room) {
        in->disk = realloc(in->disk, room);
        assert_non_null(in->disk);
        memset(in->disk + in->room, 0, room - in->room);
        in->room = room;
    }
    if (size < in->size)
        memset(in->disk + size, 0, in->room - size);
    in->size = size;
}

// Each of its sectors reaches the disk with a probability of `percent`; 100: as after a flush.
static void
write_back(struct inode *in, unsigned percent)
{
    unsigned char *bytes;
    size_t size = current(in, &bytes);

    if (percent == 100 || unit_below(100) < percent)
        resize(in, size);
    size_t both = size < in->size ? size : in->size;
    for (size_t at = 0; at < both; at += sector) {
        size_t n = both - at < sector ? both - at : sector;

        if (percent == 100 || unit_below(100) < percent)
            memcpy(in->disk + at, bytes + at, n);
    }
    free(bytes);
}

static void
some_time_passes(void)
{
    if (ninodes && unit_below(12) == 0)
        write_back(&inodes[unit_below(ninodes)], unit_below(100));
    if (unit_below(40) == 0 && on_disk < nchanges)
        on_disk += unit_below(nchanges - on_disk + 1);
}

static void
note(const char *name, int inode)
{
    assert_true(nchanges < NAMES_MOST);
    snprintf(changes[nchanges].name, NAME_SIZE, "%s", name);
    changes[nchanges++].inode = inode;
}

static int
named(const char *name)
{
    for (unsigned i = nchanges; i-- > 0;)
        if (strcmp(changes[i].name, name) == 0)
            return changes[i].inode;
    return -1;
}

// ---- the calls ----

static ssize_t
my_pwrite(void *arg, int fd, const void *buf, size_t len, off_t off)
{
    (void)inode_of(fd);
    some_time_passes();
    ssize_t n = pwrite(fd, buf, len, off);
    some_time_passes();
    return n;
}

static int
my_openat(void *arg, int dirfd, const char *name, int flags, mode_t mode)
{
    bool new = flags &O_CREAT &&faccessat(dirfd, name, F_OK, 0) != 0;
    int fd = openat(dirfd, name, flags, mode);

    if (fd >= 0 && !(flags & O_DIRECTORY)) {
        int i = inode_of(fd);

        if (new)
            note(name, i);
    }
    some_time_passes();
    return fd;
}

static int
my_fdatasync(void *arg, int fd)
{
    write_back(&inodes[inode_of(fd)], 100);
    return 0;
}

// As a journal does: with one change of names go all before it.
static int
my_fsync(void *arg, int fd)
{
    struct stat st;

    on_disk = nchanges;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        write_back(&inodes[inode_of(fd)], 100);
    return 0;
}

static int
my_linkat(void *arg, int dirfd, const char *from, const char *to)
{
    int r = linkat(dirfd, from, dirfd, to, 0);

    if (r == 0)
        note(to, named(from));
    some_time_passes();
    return r;
}

static int
my_renameat(void *arg, int dirfd, const char *from, const char *to)
{
    int i = named(from), r = renameat(dirfd, from, dirfd, to);

    if (r == 0) {
        // One transaction: both or none. (The old name goes last, and a crash between is one with both.)
        note(to, i);
        note(from, -1);
    }
    some_time_passes();
    return r;
}

static int
my_unlinkat(void *arg, int dirfd, const char *name)
{
    int r = unlinkat(dirfd, name, 0);

    if (r == 0)
        note(name, -1);
    some_time_passes();
    return r;
}

static int
my_clone(void *arg, int dst, int src)
{
    errno = EOPNOTSUPP;
    return -1;
}

static struct chunk_io disk_io;

static void
put_file(const char *dir, const char *name, const struct inode *in)
{
    char path[PATH_MAX];
    int fd;

    snprintf(path, sizeof(path), "%.4000s/%.3s", dir, name);
    assert_true(name[3] != '/' || mkdir(path, 0700) == 0 || errno == EEXIST);
    snprintf(path, sizeof(path), "%.4000s/%s", dir, name);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, in->disk, in->size, 0), in->size);
    close(fd);
}

// After a boot all that was hot is of another one.
static void
other_boot(const char *dir, const char *name, uint64_t boot)
{
    char path[PATH_MAX];
    uint64_t words[HEAD_SIZE / 8];
    int fd;

    snprintf(path, sizeof(path), "%.4000s/%s", dir, name);
    fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    ssize_t n = pread(fd, words, sizeof(words), 0);
    for (ssize_t i = 0; i < n / 8; i++)
        if (words[i] == boot)
            words[i] = boot ^ 0xff00;
    assert_int_equal(pwrite(fd, words, (size_t)n, 0), n);
    close(fd);
}

// The power fails; `dir` gets what is on the disk. Hard links are kept as such.
static void
fail_power(const char *dir, uint64_t boot)
{
    int first[INODES_MOST]; // change that named it first
    char path[PATH_MAX], other[PATH_MAX];

    on_disk += unit_below(nchanges - on_disk + 1);
    for (unsigned i = 0; i < ninodes; i++) {
        write_back(&inodes[i], unit_below(4) ? unit_below(101) : 0);
        first[i] = -1;
    }
    for (unsigned i = 0; i < on_disk; i++) {
        const struct change *c = &changes[i];
        bool last = true;

        for (unsigned k = i + 1; k < on_disk && last; k++)
            last = strcmp(changes[k].name, c->name) != 0;
        if (!last || c->inode < 0)
            continue;
        if (first[c->inode] < 0) {
            put_file(dir, c->name, &inodes[c->inode]);
            first[c->inode] = (int)i;
            if (strstr(c->name, ".sum"))
                other_boot(dir, c->name, boot);
        } else {
            snprintf(path, sizeof(path), "%.4000s/%s", dir, changes[first[c->inode]].name);
            snprintf(other, sizeof(other), "%.4000s/%.3s", dir, c->name);
            assert_true(mkdir(other, 0700) == 0 || errno == EEXIST);
            snprintf(other, sizeof(other), "%.4000s/%s", dir, c->name);
            assert_int_equal(link(path, other), 0);
        }
    }
}

// ---- what must be there ----

struct chunk {
    uint64_t id;                         // 0: none
    bool synced;                         // it must be there
    uint64_t deleted;                    // the id of one that may come back
    unsigned nversions;                  // contents since the last sync, the synced one first
    unsigned char *bytes[VERSIONS_MOST]; // SIZE each, zeros behind the size
    uint64_t size[VERSIONS_MOST];
};
static struct chunk chunks[CHUNKS];
static uint64_t next_id;

static void
drop(struct chunk *c)
{
    for (unsigned i = 0; i < c->nversions; i++)
        free(c->bytes[i]);
    memset(c, 0, sizeof(*c));
}

// A new content, to be changed by the caller.
static unsigned char *
next_version(struct chunk *c, uint64_t size)
{
    unsigned n = c->nversions;

    assert_true(n < VERSIONS_MOST);
    c->bytes[n] = calloc(1, SIZE);
    assert_non_null(c->bytes[n]);
    if (n)
        memcpy(c->bytes[n], c->bytes[n - 1], SIZE);
    c->size[n] = size;
    c->nversions++;
    return c->bytes[n];
}

static uint64_t
size_of(const struct chunk *c)
{
    return c->size[c->nversions - 1];
}

static void
all_synced(struct chunk *c)
{
    for (unsigned i = 0; i + 1 < c->nversions; i++)
        free(c->bytes[i]);
    c->bytes[0] = c->bytes[c->nversions - 1];
    c->size[0] = size_of(c);
    c->nversions = 1;
    c->synced = true;
}

static void
do_write(struct chunk_store *s, struct chunk *c)
{
    uint64_t off = unit_one_in(3) ? unit_below(BLOCKS) * CK_BLOCK : unit_below(SIZE);
    uint64_t len = unit_one_in(3) ? CK_BLOCK : 1 + unit_below(3 * CK_BLOCK);
    uint64_t size = size_of(c);

    if (len > SIZE - off)
        len = SIZE - off;
    unsigned char *bytes = next_version(c, size > off + len ? size : off + len);
    ck_fill(bytes + off, len, c->id, off, (unsigned)unit_random());
    assert_int_equal(chunk_write(s, c->id, bytes + off, len, off), len);
}

static void
do_cut(struct chunk_store *s, struct chunk *c)
{
    uint64_t size = size_of(c), off = unit_below(SIZE), len = 1 + unit_below(3 * CK_BLOCK);
    unsigned char *bytes;

    if (unit_one_in(2)) {
        bytes = next_version(c, off);
        if (off < size)
            memset(bytes + off, 0, size - off);
        assert_int_equal(chunk_truncate(s, c->id, off), 0);
    } else {
        bytes = next_version(c, size);
        memset(bytes + off, 0, len < SIZE - off ? len : SIZE - off);
        assert_int_equal(chunk_punch(s, c->id, off, len), 0);
    }
}

static void
do_poke(struct chunk_store *s, struct chunk *c)
{
    uint64_t size = size_of(c), off = unit_below(SIZE - 100000), len = 1 + unit_below(100000);
    unsigned char *bytes = next_version(c, size > off + len ? size : off + len);
    struct chunk_fd cfd;

    ck_fill(bytes + off, len, c->id, off, (unsigned)unit_random());
    assert_int_equal(chunk_fd_open(s, c->id, O_RDWR, &cfd), 0);
    assert_int_equal(chunk_fd_begin_write(s, &cfd, off, len), 0);
    assert_int_equal(pwrite(cfd.fd, bytes + off, len, (off_t)off), len);
    chunk_fd_close(&cfd);
}

static void
do_clone(struct chunk_store *s, struct chunk *from, struct chunk *to)
{
    uint64_t old = to->id;

    if (to->id)
        assert_int_equal(chunk_delete(s, to->id), 0);
    drop(to);
    to->deleted = old;
    to->id = next_id += 1 + unit_below(40);
    assert_int_equal(chunk_clone(s, from->id, to->id), 0);
    // Of the clone may be there what of the original may.
    for (unsigned i = 0; i < from->nversions; i++)
        memcpy(next_version(to, from->size[i]), from->bytes[i], SIZE);
}

static void
operate(struct chunk_store *s)
{
    struct chunk *c = &chunks[unit_below(CHUNKS)], *d = &chunks[unit_below(CHUNKS)];

    if (!c->id) {
        c->id = next_id += 1 + unit_below(40);
        assert_int_equal(chunk_create(s, c->id), 0);
        (void)next_version(c, 0);
        return;
    }
    if (c->nversions > VERSIONS_MOST - 2 || unit_one_in(5)) {
        assert_int_equal(chunk_sync(s, c->id), 0);
        all_synced(c);
        return;
    }
    switch (unit_below(9)) {
    case 0:
        do_cut(s, c);
        break;
    case 1:
        do_poke(s, c);
        break;
    case 2:
        if (c != d)
            do_clone(s, c, d);
        break;
    default:
        do_write(s, c);
    }
}

static bool
may_be(const struct chunk *c, uint64_t at, unsigned char byte)
{
    for (unsigned i = 0; i < c->nversions; i++)
        if (c->bytes[i][at] == byte)
            return true;
    return byte == 0 && c->nversions > 1; // a sector that the file got and nobody wrote
}

static bool
is_one(const struct chunk *c, uint64_t at, const unsigned char *got)
{
    for (unsigned i = 0; i < c->nversions; i++)
        if (memcmp(c->bytes[i] + at, got, 512) == 0)
            return true;
    return false;
}

static void
expect_chunk(struct chunk_store *s, const struct chunk *c)
{
    static unsigned char got[SIZE + 1];
    ssize_t n = chunk_read(s, c->id, got, SIZE + 1, 0);
    uint64_t least = SIZE, most = 0;

    if (n == -ENOENT && !c->synced)
        return;
    if (n < 0)
        fail_msg("chunk %" PRIu64 ": %s", c->id, strerror((int)-n));
    for (unsigned i = 0; i < c->nversions; i++) {
        least = least < c->size[i] ? least : c->size[i];
        most = most > c->size[i] ? most : c->size[i];
    }
    if ((uint64_t)n > most || (c->synced && (uint64_t)n < least))
        fail_msg("chunk %" PRIu64 " has %zd bytes, not %" PRIu64 " to %" PRIu64, c->id, n, least, most);
    for (ssize_t i = 0; i < n && c->synced; i++) {
        // Most of it is of one piece.
        while (i + 512 <= n && is_one(c, (uint64_t)i, got + i))
            i += 512;
        if (i < n && !may_be(c, (uint64_t)i, got[i]))
            fail_msg("chunk %" PRIu64 ": byte %zd is %02x, which was never there", c->id, i, got[i]);
    }
}

static int
read_any(void *arg, uint64_t id)
{
    static unsigned char got[SIZE];
    ssize_t n = chunk_read(arg, id, got, SIZE, 0);

    if (n < 0)
        fail_msg("chunk %" PRIu64 ", which came back: %s", id, strerror((int)-n));
    return 0;
}

static void
look(const char *dir)
{
    char was[PATH_MAX];
    struct chunk_store *s;

    memcpy(was, ck_dir, sizeof(was));
    snprintf(ck_dir, sizeof(ck_dir), "%.4000s", dir);
    for (int i = 0; i < 2; i++) {
        ck_deaf();
        s = ck_open(0, NULL);
        for (unsigned k = 0; k < CHUNKS; k++)
            if (chunks[k].id)
                expect_chunk(s, &chunks[k]);
        assert_int_equal(chunk_list(s, read_any, s), 0);
        assert_int_equal(ck_scrub(s), 0);
        assert_int_equal(ck_heard.count[CHUNK_EV_DAMAGE], 0);
        assert_int_equal(ck_heard.count[CHUNK_EV_SUM_LOST], 0);
        if (i == 1) // all was settled the first time
            assert_int_equal(ck_heard.count[CHUNK_EV_UNSURE], 0);
        chunk_store_close(s);
    }
    ck_remove();
    memcpy(ck_dir, was, sizeof(was));
}

static void
rounds(size_t sector_size, unsigned n)
{
    struct chunk_open_options opt = {.io = &disk_io, .max_open = 3};
    char dir[PATH_MAX], from[PATH_MAX];
    struct chunk_store *s;

    time_t end = time(NULL) + 20; // under a sanitizer, or on a busy machine, there are fewer
    sector = sector_size;
    disk_io = io_system;
    disk_io.pwrite = my_pwrite;
    disk_io.openat = my_openat;
    disk_io.fdatasync = my_fdatasync;
    disk_io.fsync = my_fsync;
    disk_io.linkat = my_linkat;
    disk_io.renameat = my_renameat;
    disk_io.unlinkat = my_unlinkat;
    disk_io.clone = my_clone;
    for (unsigned k = 0; k < n && (k < 5 || time(NULL) < end); k++) {
        // The journal of this disk takes new names along with the file; whether the engine knows or not.
        opt.names = k % 2 ? CHUNK_NAMES_WITH_FILE : CHUNK_NAMES_APART;
        ck_make(SIZE);
        snprintf(from, sizeof(from), "%.4000s/store", ck_dir);
        s = ck_open(0, &opt);
        uint64_t boot = s->boot;
        for (unsigned i = 0, ops = 5 + unit_below(120); i < ops; i++) {
            operate(s);
            if (unit_one_in(40)) {
                chunk_store_close(s);
                s = ck_open(0, &opt);
            }
        }
        snprintf(dir, sizeof(dir), "%.4000s.disk", ck_dir);
        assert_int_equal(mkdir(dir, 0700), 0);
        fail_power(dir, boot);
        chunk_store_close(s);
        char to[PATH_MAX];
        snprintf(to, sizeof(to), "%.4000s/store", dir);
        assert_int_equal(link(from, to), 0);
        look(dir);
        ck_remove();
        for (unsigned i = 0; i < ninodes; i++) {
            close(inodes[i].fd);
            free(inodes[i].disk);
        }
        for (unsigned i = 0; i < CHUNKS; i++)
            drop(&chunks[i]);
        memset(inodes, 0, sizeof(inodes));
        ninodes = nchanges = on_disk = 0;
        next_id = 0;
    }
}

static void
test_sectors(void **state)
{
    rounds(512, 40);
}

static void
test_pages(void **state)
{
    rounds(4096, 60);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sectors),
        cmocka_unit_test(test_pages),
    };

    unit_seed(20251126);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
