// SPDX-License-Identifier: Apache-2.0
// truncate and ftruncate, posix_fallocate, the modes of fallocate, holes, and offsets.
#include <signal.h>
#include <sys/resource.h>

#include "conform.h"

enum { K64 = 65536 };

// All bytes of a range are `c`.
static bool
all_are(int fd, off_t offset, size_t n, char c)
{
    char buf[4096];

    while (n > 0) {
        ssize_t got = pread(fd, buf, n < sizeof buf ? n : sizeof buf, offset);

        if (got <= 0)
            return false;
        for (ssize_t i = 0; i < got; i++)
            if (buf[i] != c)
                return false;
        offset += got;
        n -= (size_t)got;
    }
    return true;
}

static int
fill(int fd, off_t offset, size_t n, char c)
{
    char buf[4096];

    memset(buf, c, sizeof buf);
    while (n > 0) {
        size_t part = n < sizeof buf ? n : sizeof buf;

        if (pwrite(fd, buf, part, offset) != (ssize_t)part)
            return -1;
        offset += (off_t)part;
        n -= part;
    }
    return 0;
}

static off_t
size_of(int fd)
{
    struct stat st = {0};

    NEED(fstat(fd, &st));
    return st.st_size;
}

// The same list for truncate(2) and ftruncate(2).
static void
lengths(void)
{
    static const off_t rows[] = {0, 1, 4095, 4096, 4097, 65536, 200000, 1 << 26, (1 << 26) + 1, 5ll << 32};

    for (int by_fd = 0; by_fd < 2; by_fd++) {
        const char *name = by_fd ? "ftruncate" : "truncate";

        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            int fd = open("f", O_RDWR | O_CREAT | O_TRUNC, 0644);

            NEED(fd);
            NEED(fill(fd, 0, 10000, 'a'));
            T(label_of("%s-%lld", name, (long long)rows[i]), 0,
              by_fd ? ftruncate(fd, rows[i]) : truncate("f", rows[i]));
            EQ(label_of("%s-%lld-size", name, (long long)rows[i]), rows[i], size_of(fd));
            if (rows[i] > 10000) {
                B(label_of("%s-%lld-kept", name, (long long)rows[i]), all_are(fd, 0, 10000, 'a'));
                B(label_of("%s-%lld-zero", name, (long long)rows[i]), all_are(fd, 10000, 5000, 0));
                B(label_of("%s-%lld-last", name, (long long)rows[i]), all_are(fd, rows[i] - 3000, 3000, 0));
            }
            close(fd);
        }
    }
}

// What was cut off is gone, even where the file grows again.
static void
regrow(void)
{
    int fd = open("f", O_RDWR | O_CREAT, 0644);

    NEED(fd);
    NEED(fill(fd, 0, 3 * K64, 'a'));
    T("shrink", 0, ftruncate(fd, 1000));
    T("grow", 0, ftruncate(fd, 3 * K64));
    B("kept", all_are(fd, 0, 1000, 'a'));
    B("zero", all_are(fd, 1000, 3 * K64 - 1000, 0));
    NEED(fill(fd, 0, 5000, 'b'));
    T("shrink-2", 0, ftruncate(fd, 100));
    NEED(fill(fd, 8000, 10, 'c'));
    B("gap-is-zero", all_are(fd, 100, 7900, 0));
    EQ("write-behind-end", 8010, size_of(fd));
    EQ("read-at-end", 0, pread(fd, &(char){0}, 1, 8010));
    close(fd);
    T("blocks-given-back", 0, truncate("f", 0));
    EQ("blocks", 0, stat_of("f").st_blocks);
}

static void
size_errors(void)
{
    int fd;

    NEED(put_file("f", 0644, "text"));
    NEED(mkdir("d", 0755));
    NEED(put_file("theirs", 0644, "text"));
    NEED(mkfifo("p", 0666));
    T("negative", EINVAL, truncate("f", -1));
    T("dir", EISDIR, truncate("d", 0));
    T("dir-negative", EINVAL, truncate("d", -1));
    T("fifo", EINVAL, truncate("p", 0));
    AS (U1, G1)
        T("no-write", EACCES, truncate("theirs", 0));
    T("none", ENOENT, truncate("none", 0));
    NEED(fd = open("f", O_RDONLY));
    T("fd-rdonly", EINVAL, ftruncate(fd, 0));
    close(fd);
    NEED(fd = open("f", O_RDWR));
    T("fd-negative", EINVAL, ftruncate(fd, -1));
    NEED(fchmod(fd, 0));
    AS (U1, G1)
        T("fd-keeps-its-right", 0, ftruncate(fd, 3));
    close(fd);
    T("fd-bad", EBADF, ftruncate(fd, 0));
}

static volatile sig_atomic_t noted;

static void
note_signal(int sig)
{
    noted = sig;
}

// The limit is there for the call alone: the lines that we print go to a file, too.
static void
limit_size(rlim_t max)
{
    struct rlimit limit;
    int err = errno;

    NEED(getrlimit(RLIMIT_FSIZE, &limit));
    limit.rlim_cur = max;
    NEED(setrlimit(RLIMIT_FSIZE, &limit));
    errno = err;
}

#define LIMITED(call)                                                                                        \
    ({                                                                                                       \
        limit_size(100);                                                                                     \
        long result_ = (long)(call);                                                                         \
        limit_size(RLIM_INFINITY);                                                                           \
        result_;                                                                                             \
    })

static void
size_limit(void)
{
    int fd;

    NEED(put_file("f", 0644, "text"));
    NEED(fd = open("f", O_RDWR));
    signal(SIGXFSZ, note_signal);
    T("ftruncate", 0, LIMITED(ftruncate(fd, 100)));
    T("ftruncate-over", EFBIG, LIMITED(ftruncate(fd, 101)));
    EQ("ftruncate-signal", SIGXFSZ, noted);
    noted = 0;
    T("truncate-over", EFBIG, LIMITED(truncate("f", 101)));
    EQ("truncate-signal", SIGXFSZ, noted);
    noted = 0;
    EQ("partial-write", 5, LIMITED(pwrite(fd, "123456789", 9, 95)));
    EQ("partial-no-signal", 0, noted);
    T("write-over", EFBIG, LIMITED(pwrite(fd, "1", 1, 100)));
    EQ("write-signal", SIGXFSZ, noted);
    noted = 0;
    T("fallocate", EFBIG, LIMITED(fallocate(fd, 0, 0, 200)));
    EQ("unharmed", 100, stat_of("f").st_size);
    T("shrink", 0, LIMITED(ftruncate(fd, 50)));
    close(fd);
}

// The limit is for the program's files: whatever else a file system writes on its behalf is none of them.
static void
size_limit_of_others(void)
{
    int fd, failed = 0;
    char name[32];

    signal(SIGXFSZ, note_signal);
    noted = 0;
    limit_size(1000);
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof(name), "f%d", i);
        fd = open(name, O_RDWR | O_CREAT, 0644);
        failed += fd < 0 || pwrite(fd, "0123456789", 10, 990) != 10 || fsync(fd) != 0 || close(fd) != 0;
        failed += rename(name, "g") != 0;
    }
    failed += mkdir("d", 0755) != 0 || rmdir("d") != 0 || unlink("g") != 0;
    limit_size(RLIM_INFINITY);
    EQ("works", 0, failed);
    EQ("no-signal", 0, noted);
}

static void
size_times(void)
{
    struct stat before;

    NEED(put_file("f", 0644, "text"));
    before = stat_of("f");
    next_instant();
    T("change", 0, truncate("f", 2));
    B("change-mtime", time_before(before.st_mtim, stat_of("f").st_mtim));
    B("change-ctime", time_before(before.st_ctim, stat_of("f").st_ctim));
    before = stat_of("f");
    next_instant();
    T("same", 0, truncate("f", 2));
    B("same-mtime", time_before(before.st_mtim, stat_of("f").st_mtim));
    before = stat_of("f");
    next_instant();
    T("fails", EINVAL, truncate("f", -1));
    B("failure-changes-nothing", times_equal(before.st_ctim, stat_of("f").st_ctim));
}

static void
posix_space(void)
{
    int fd;

    NEED(fd = open("f", O_RDWR | O_CREAT, 0644));
    EQ("new", 0, posix_fallocate(fd, 0, 10000));
    EQ("new-size", 10000, size_of(fd));
    B("new-zero", all_are(fd, 0, 10000, 0));
    NEED(fill(fd, 100, 50, 'a'));
    EQ("again", 0, posix_fallocate(fd, 0, 5000));
    EQ("again-size", 10000, size_of(fd));
    B("again-kept", all_are(fd, 100, 50, 'a'));
    EQ("beyond", 0, posix_fallocate(fd, 20000, 1000));
    EQ("beyond-size", 21000, size_of(fd));
    EQ("length-0", EINVAL, posix_fallocate(fd, 0, 0));
    EQ("length-negative", EINVAL, posix_fallocate(fd, 0, -1));
    EQ("offset-negative", EINVAL, posix_fallocate(fd, -1, 1));
    close(fd);
    EQ("bad-fd", EBADF, posix_fallocate(fd, 0, 1));
    NEED(fd = open("f", O_RDONLY));
    EQ("rdonly", EBADF, posix_fallocate(fd, 0, 1));
    close(fd);
    NEED(mkdir("d", 0755));
    NEED(fd = open("d", O_RDONLY));
    EQ("dir", EBADF, posix_fallocate(fd, 0, 1));
    close(fd);
}

static void
modes(void)
{
    off_t before;
    int fd;

    NEED(fd = open("f", O_RDWR | O_CREAT, 0644));
    NEED(fill(fd, 0, 4 * K64, 'a'));
    T("keep-size", 0, fallocate(fd, FALLOC_FL_KEEP_SIZE, 4 * K64, K64));
    EQ("keep-size-is", 4 * K64, size_of(fd));
    T("grow", 0, fallocate(fd, 0, 4 * K64, 100));
    EQ("grow-is", 4 * K64 + 100, size_of(fd));
    before = stat_of("f").st_blocks;
    T("punch", 0, fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, K64, K64));
    B("punch-zero", all_are(fd, K64, K64, 0));
    B("punch-before", all_are(fd, 0, K64, 'a'));
    B("punch-behind", all_are(fd, 2 * K64, 2 * K64, 'a'));
    EQ("punch-size", 4 * K64 + 100, size_of(fd));
    B("punch-gives-back", stat_of("f").st_blocks < before);
    T("punch-unaligned", 0, fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 100, 10000));
    B("punch-unaligned-before", all_are(fd, 0, 100, 'a'));
    B("punch-unaligned-zero", all_are(fd, 100, 10000, 0));
    B("punch-unaligned-behind", all_are(fd, 10100, 10000, 'a'));
    T("punch-behind-end", 0, fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 10 * K64, K64));
    EQ("punch-behind-end-size", 4 * K64 + 100, size_of(fd));
    T("punch-alone", EOPNOTSUPP, fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 100));
    T("zero", 0, fallocate(fd, FALLOC_FL_ZERO_RANGE, 3 * K64 + 10, 1000));
    B("zero-zero", all_are(fd, 3 * K64 + 10, 1000, 0));
    B("zero-behind", all_are(fd, 3 * K64 + 1010, 1000, 'a'));
    T("zero-keep", 0, fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 4 * K64, K64));
    EQ("zero-keep-size", 4 * K64 + 100, size_of(fd));
    T("zero-grow", 0, fallocate(fd, FALLOC_FL_ZERO_RANGE, 4 * K64, K64));
    EQ("zero-grow-size", 5 * K64, size_of(fd));
    T("length-0", EINVAL, fallocate(fd, 0, 0, 0));
    T("negative", EINVAL, fallocate(fd, 0, -1, 10));
    T("too-large", EFBIG, fallocate(fd, 0, INT64_MAX - 10, 100));
    T("unknown-mode", EOPNOTSUPP, fallocate(fd, 1 << 20, 0, 100));
    T("punch-and-zero", EOPNOTSUPP,
      fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 0, 100));
    close(fd);
    NEED(fd = open("f", O_RDONLY));
    T("rdonly", EBADF, fallocate(fd, 0, 0, 1));
    close(fd);
}

static void
holes(void)
{
    int fd;

    NEED(fd = open("f", O_RDWR | O_CREAT, 0644));
    T("empty-data", ENXIO, lseek(fd, 0, SEEK_DATA));
    T("empty-hole", ENXIO, lseek(fd, 0, SEEK_HOLE));
    NEED(fill(fd, 8 * K64, K64, 'a'));
    NEED(ftruncate(fd, 16 * K64));
    EQ("data", 8 * K64, lseek(fd, 0, SEEK_DATA));
    EQ("offset-moved", 8 * K64, lseek(fd, 0, SEEK_CUR));
    EQ("data-inside", 8 * K64 + 5, lseek(fd, 8 * K64 + 5, SEEK_DATA));
    EQ("hole", 0, lseek(fd, 0, SEEK_HOLE));
    EQ("hole-behind-data", 9 * K64, lseek(fd, 8 * K64, SEEK_HOLE));
    EQ("hole-inside", 3 * K64 + 7, lseek(fd, 3 * K64 + 7, SEEK_HOLE));
    T("data-none-left", ENXIO, lseek(fd, 9 * K64, SEEK_DATA));
    T("data-at-end", ENXIO, lseek(fd, 16 * K64, SEEK_DATA));
    T("hole-at-end", ENXIO, lseek(fd, 16 * K64, SEEK_HOLE));
    NEED(fill(fd, 15 * K64, K64, 'b'));
    EQ("hole-is-end", 16 * K64, lseek(fd, 15 * K64, SEEK_HOLE));
    NEED(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 8 * K64, K64));
    EQ("data-after-punch", 15 * K64, lseek(fd, 0, SEEK_DATA));
    T("negative", ENXIO, lseek(fd, -1, SEEK_DATA));
    B("sparse", stat_of("f").st_blocks * 512 < 16 * K64);
    NEED(fill(fd, 0, 16 * K64, 'c'));
    B("filled", stat_of("f").st_blocks * 512 >= 16 * K64);
    close(fd);
}

static void
offsets(void)
{
    char buf[8];
    int fd, fd2;

    NEED(put_file("f", 0644, "0123456789"));
    NEED(fd = open("f", O_RDWR));
    EQ("start", 0, lseek(fd, 0, SEEK_CUR));
    EQ("set", 4, lseek(fd, 4, SEEK_SET));
    EQ("cur", 6, lseek(fd, 2, SEEK_CUR));
    EQ("end", 9, lseek(fd, -1, SEEK_END));
    EQ("behind", 100, lseek(fd, 90, SEEK_END));
    EQ("behind-read", 0, read(fd, buf, 1));
    EQ("behind-size", 10, size_of(fd));
    T("negative", EINVAL, lseek(fd, -1, SEEK_SET));
    T("negative-cur", EINVAL, lseek(fd, -101, SEEK_CUR));
    EQ("unmoved", 100, lseek(fd, 0, SEEK_CUR));
    T("bad-whence", EINVAL, lseek(fd, 0, 99));
    NEED(lseek(fd, 2, SEEK_SET));
    NEED(fd2 = dup(fd));
    EQ("dup-shares", 2, lseek(fd2, 0, SEEK_CUR));
    EQ("dup-read", 3, read(fd2, buf, 3));
    EQ("dup-moves-both", 5, lseek(fd, 0, SEEK_CUR));
    close(fd2);
    CHILD ()
        EQ("child-read", 2, read(fd, buf, 2));
    EQ("child-moves-ours", 7, lseek(fd, 0, SEEK_CUR));
    NEED(fd2 = open("f", O_RDONLY));
    EQ("own-open-own-offset", 0, lseek(fd2, 0, SEEK_CUR));
    close(fd2);
    EQ("pread-moves-none", 3, pread(fd, buf, 3, 0));
    EQ("pwrite-moves-none", 3, pwrite(fd, "abc", 3, 0));
    EQ("unmoved-2", 7, lseek(fd, 0, SEEK_CUR));
    T("pread-negative", EINVAL, pread(fd, buf, 1, -1));
    T("pwrite-negative", EINVAL, pwrite(fd, buf, 1, -1));
    close(fd);
}

const struct test_case cases_size[] = {
    {"truncate", lengths},
    {"truncate-regrow", regrow},
    {"truncate-errors", size_errors},
    {"truncate-limit", size_limit},
    {"truncate-limit-others", size_limit_of_others},
    {"truncate-times", size_times},
    {"posix_fallocate", posix_space},
    {"fallocate", modes},
    {"seek-hole", holes},
    {"lseek", offsets},
    {NULL, NULL},
};
