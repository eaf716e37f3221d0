// SPDX-License-Identifier: Apache-2.0
// mmap and what goes with it, one small case at a time: see map_trace.h.
#include <sched.h>
#include <sys/syscall.h>

#include "tests/route/map_trace.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

#define BIG (200 * 1024 + 100) // several chunks of a volume that is made with 64 KiB
#define RW (PROT_READ | PROT_WRITE)

static char *
map_whole(int fd, size_t len, int prot, int flags)
{
    char *p = mmap(NULL, len, prot, flags, fd, 0);

    if (p == MAP_FAILED) {
        printf("  mmap: %s\n", strerrorname_np(errno));
        exit(1);
    }
    return p;
}

static bool
same_bytes(const char *p, size_t from, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (p[i] != byte_at(from + i))
            return false;
    return true;
}

static void
private_reads(void)
{
    int fd = make_file("f", BIG, O_RDONLY);
    char *p = map_whole(fd, BIG + 3 * PAGE, PROT_READ, MAP_PRIVATE);

    SAY("same %d", same_bytes(p, 0, BIG));
    SAY("the page's rest %s %s", look(p + BIG), look(p + BIG + 1000));
    SAY("behind %s, kernel %s", look(p + BIG + PAGE), kernel_look(p + BIG + PAGE));
    SAY("store %s", store(p, 'x'));
    T(munmap(p, BIG + 3 * PAGE));
    SAY("gone %s", look(p));
}

static void
private_stores_stay_private(void)
{
    int fd = make_file("f", BIG, O_RDONLY);
    char *p = map_whole(fd, BIG, RW, MAP_PRIVATE), *q = map_whole(fd, BIG, PROT_READ, MAP_PRIVATE);

    SAY("store %s", store(p + 70000, '!'));
    SAY("seen %s, elsewhere %s", look(p + 70000), look(q + 70000));
    show("f", 69998, 5);
    T(madvise(p, BIG, MADV_DONTNEED));
    SAY("again %s", look(p + 70000));
    SAY("%s", store(p + BIG - 1, '!'));
    SAY("%s", store(p + BIG, '!'));
    T(madvise(p, BIG, MADV_DONTNEED));
    SAY("again %s %s", look(p + BIG - 1), look(p + BIG));
}

static void
shared_stores_are_the_files(void)
{
    int fd = make_file("f", BIG, O_RDWR);
    char *p = map_whole(fd, BIG, RW, MAP_SHARED), *q = map_whole(fd, BIG, PROT_READ, MAP_SHARED);

    for (size_t i = 0; i < BIG; i += 30000)
        p[i] = '!';
    SAY("%s %s %s", look(q), look(q + 30000), look(q + 180000));
    show("f", 0, 4);
    show("f", 179999, 4);
    SAY("behind the end %s", store(p + BIG, '?'));
    show("f", BIG - 3, 10);
    T(pwrite(fd, "write", 5, 65534)); // over a chunk's border
    show_mem(p + 65530, 12);
    show_mem(q + 65530, 12);
    T(msync(p, BIG, MS_SYNC));
    T(munmap(p, BIG));
    T(munmap(q, BIG));
    show("f", 65530, 12);
}

static void
errors(void)
{
    int fd = make_file("f", 10000, O_RDWR), ro = open("f", O_RDONLY), wo = open("f", O_WRONLY),
        dir = open(".", O_RDONLY);
    int path = open("f", O_PATH), app = open("f", O_RDWR | O_APPEND);
    char *p;

    TP(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, wo, 0));
    TP(mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, wo, 0));
    TP(mmap(NULL, PAGE, RW, MAP_SHARED, ro, 0));
    TP(mmap(NULL, PAGE, RW, MAP_PRIVATE, ro, 0));
    TP(mmap(NULL, PAGE, PROT_NONE, MAP_SHARED, ro, 0));
    TP(mmap(NULL, 0, PROT_READ, MAP_SHARED, fd, 0));
    TP(mmap(NULL, 0, PROT_READ, MAP_SHARED, fd, 5));
    TP(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 100));
    TP(mmap(NULL, PAGE, PROT_READ, 0, fd, 0));
    TP(mmap(NULL, PAGE, PROT_READ, MAP_SHARED | MAP_PRIVATE, fd, 0)); // MAP_SHARED_VALIDATE
    TP(mmap(NULL, PAGE, PROT_READ, MAP_SHARED_VALIDATE | MAP_SYNC, fd, 0));
    TP(mmap(NULL, PAGE, PROT_READ, MAP_SHARED | MAP_SYNC, fd, 0));
    TP(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, dir, 0));
    TP(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, path, 0));
    TP(mmap(NULL, PAGE, RW, MAP_SHARED, app, 0));
    TP(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, 999, 0));
    TP(mmap(NULL, (size_t)-PAGE * 2, PROT_READ, MAP_SHARED, fd, 0));
    TP(mmap(NULL, (size_t)-100, PROT_READ, MAP_SHARED, fd, 0));
    TP(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, (off_t)0x7ffffffffffff000));
    TP(mmap((void *)123, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0));
    TP(p = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, fd, PAGE));
    TP(mmap(p, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0));
    T(munmap(p + 1, PAGE));
    T(munmap(p, 0));
    T(msync(p + 1, PAGE, MS_SYNC));
    T(msync(p, PAGE, MS_SYNC | MS_ASYNC));
    T(msync(p, PAGE, 0));
    T(msync(p, PAGE, 64));
    T(munmap(p + PAGE, PAGE));
    T(msync(p, 2 * PAGE, MS_SYNC));
    T(msync(p, PAGE, MS_ASYNC));
    T(msync(p, PAGE, MS_SYNC | MS_INVALIDATE));
    T(mprotect(p, PAGE, RW));
    SAY("%s", look(p));
}

static void
fixed_and_offset(void)
{
    int fd = make_file("f", BIG, O_RDWR);
    char *p = mmap(NULL, 40 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *q;

    memset(p, '.', 40 * PAGE);
    TP(mmap(p + 4 * PAGE, 20 * PAGE, RW, MAP_SHARED | MAP_FIXED, fd, 10 * PAGE));
    SAY("%s %s %s", look(p + 4 * PAGE - 1), look(p + 24 * PAGE), look(p + 39 * PAGE));
    SAY("same %d", same_bytes(p + 4 * PAGE, 10 * PAGE, 20 * PAGE));
    p[4 * PAGE + 5] = '!';
    show("f", 10 * PAGE + 3, 5);
    TP(mmap(p + 6 * PAGE, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
    SAY("%s %s %s", look(p + 6 * PAGE - 1), look(p + 6 * PAGE), look(p + 7 * PAGE));
    p[6 * PAGE] = '?';
    show("f", 12 * PAGE, 3);
    p[7 * PAGE] = '!';
    show("f", 13 * PAGE, 3);
    TP(q = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 49 * PAGE));
    SAY("same %d", same_bytes(q, 49 * PAGE, PAGE));
    TP(q = mmap(NULL, PAGE, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 50 * PAGE));
    SAY("%s %s", look(q), look(q + 100));
    TP(q = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 51 * PAGE)); // wholly behind the end
    SAY("%s", look(q));
    T(munmap(p, 40 * PAGE));
}

static void
holes(void)
{
    int fd = make_file("f", 10, O_RDWR);
    char *p, *q;

    T(ftruncate(fd, BIG));
    p = map_whole(fd, BIG, RW, MAP_SHARED);
    q = map_whole(fd, BIG, RW, MAP_PRIVATE);
    SAY("%s %s %s %s", look(p + 9), look(p + 10), look(p + 70000), look(p + BIG - 1));
    SAY("%s %s %s %s", look(q + 9), look(q + 10), look(q + 70000), look(q + BIG - 1));
    SAY("kernel %s %s", kernel_look(p + 140000), kernel_look(q + 140000));
    p[70000] = '!';
    p[BIG - 1] = '?';
    q[150000] = 'q';
    show("f", 69999, 3);
    show("f", BIG - 3, 10);
    show("f", 150000, 1);
    T(pwrite(fd, "data", 4, 140000));
    show_mem(p + 139999, 6);
    T(munmap(p, BIG));
    T(munmap(q, BIG));
    show("f", 69999, 3);
}

static void
truncated_under_it(void)
{
    int fd = make_file("f", BIG, O_RDWR);
    char *p = map_whole(fd, BIG, RW, MAP_SHARED);

    T(ftruncate(fd, 70000));
    SAY("%s %s %s", look(p + 69999), look(p + 70000), look(p + 69632 + PAGE - 1));
    SAY("%s %s, kernel %s", look(p + 69632 + PAGE), look(p + 150000), kernel_look(p + 150000));
    T(ftruncate(fd, 150001));
    SAY("%s %s %s", look(p + 69999), look(p + 70000), look(p + 80000));
    SAY("%s kernel %s", look(p + 150000), kernel_look(p + 140000));
    p[150000] = '!';
    p[80000] = '!';
    show("f", 149999, 5);
    show("f", 79999, 3);
    T(ftruncate(fd, 0));
    SAY("%s %s", look(p), look(p + 80000));
    T(pwrite(fd, "new", 3, 0));
    SAY("kernel %s", kernel_look(p));
    show_mem(p, 5);
    T(close(open("f", O_WRONLY | O_TRUNC)));
    SAY("%s", look(p));
    T(pwrite(fd, "x", 1, BIG - 1));
    SAY("%s %s", look(p), look(p + BIG - 1));
}

static void
grows_from_nothing(void)
{
    int fd = make_file("f", 0, O_RDWR);
    char *p = map_whole(fd, BIG, RW, MAP_SHARED), *q = map_whole(fd, BIG, PROT_READ, MAP_SHARED);

    SAY("%s", look(p));
    T(pwrite(fd, "first", 5, 0));
    SAY("kernel %s", kernel_look(p));
    show_mem(q, 6);
    T(pwrite(fd, "later", 5, 69000));
    SAY("%s %s", look(q + 100), look(p + 69000));
    T(ftruncate(fd, 190000));
    SAY("%s %s, behind %s", look(q + 189999), store(p + 189990, '!'), look(q + 200000));
    show("f", 189990, 3);
}

static void
grown_by_another(void)
{
    int fd = make_file("f", 100, O_RDWR), status;
    char *p = map_whole(fd, BIG, RW, MAP_SHARED), *q = map_whole(fd, BIG, PROT_READ, MAP_SHARED);
    pid_t pid = fork();

    if (pid == 0) {
        int own = open("f", O_RDWR);

        _exit(pwrite(own, "other", 5, 100) == 5 && pwrite(own, "far", 3, 180000) == 3 ? 0 : 1);
    }
    waitpid(pid, &status, 0);
    T(status);
    show_mem(p + 98, 9);
    SAY("%s %s", look(q + 180000), look(p + 100000));
    pid = fork();
    if (pid == 0)
        _exit(truncate("f", 50) || truncate("f", 90000));
    waitpid(pid, &status, 0);
    T(status);
    SAY("%s %s %s %s", look(q + 49), look(q + 50), look(q + 89999), look(q + 180000));
    p[89000] = '!';
    show("f", 89000, 2);
}

static void
times(void)
{
    int fd = make_file("f", 10000, O_RDWR);
    struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    struct stat st;
    char *p = map_whole(fd, 10000, RW, MAP_SHARED);

    T(futimens(fd, old));
    SAY("%s", look(p));
    T(msync(p, 10000, MS_SYNC));
    T(fstat(fd, &st));
    SAY("read only: mtime %ld", st.st_mtim.tv_sec);
    do // the clocks that stamp files tick some times in a second
        p[0]++;
    while (msync(p, 10000, MS_SYNC) == 0 && fstat(fd, &st) == 0 && st.st_mtim.tv_sec == 1000);
    SAY("synced: mtime is new: %d, size %ld", st.st_mtim.tv_sec > 1000, (long)st.st_size);
    do { // and without a call: who looks sees it
        futimens(fd, old);
        for (int i = 0; i < 3; i++)
            msync(p, 10000, MS_SYNC);
        p[2]++;
    } while (fstat(fd, &st) == 0 && st.st_mtim.tv_sec == 1000);
    SAY("stored: mtime is new: %d", st.st_mtim.tv_sec > 1000);
    T(futimens(fd, old));
    T(munmap(p, 10000));
    T(fstat(fd, &st));
    SAY("set after the store: mtime %ld", st.st_mtim.tv_sec);
    do {
        p = map_whole(fd, 10000, RW, MAP_SHARED);
        p[1]++;
        munmap(p, 10000);
    } while (fstat(fd, &st) == 0 && st.st_mtim.tv_sec == 1000);
    SAY("unmapped: mtime is new: %d", st.st_mtim.tv_sec > 1000);
}

static void
parts_unmapped(void)
{
    int fd = make_file("f", BIG, O_RDWR);
    char *p = map_whole(fd, BIG, RW, MAP_SHARED);

    T(munmap(p + 5 * PAGE, 20 * PAGE));
    SAY("%s %s %s %s", look(p + 5 * PAGE - 1), look(p + 5 * PAGE), look(p + 25 * PAGE - 1),
        look(p + 25 * PAGE));
    p[25 * PAGE] = '!';
    p[4 * PAGE] = '!';
    show("f", 25 * PAGE, 2);
    show("f", 4 * PAGE, 2);
    T(msync(p, BIG, MS_SYNC));
    T(msync(p + 25 * PAGE, PAGE, MS_SYNC));
    T(munmap(p, BIG));
    T(munmap(p, BIG));
}

static void
remapped(void)
{
    int fd = make_file("f", BIG, O_RDWR);
    char *p = map_whole(fd, 10 * PAGE, RW, MAP_SHARED), *q, *to;

    p[3] = '!';
    TP(q = mremap(p, 10 * PAGE, 48 * PAGE, MREMAP_MAYMOVE));
    SAY("%s same %d", look(q + 3), same_bytes(q + 4, 4, 48 * PAGE - 4));
    q[40 * PAGE] = '!';
    show("f", 40 * PAGE, 2);
    TP(mremap(q, 48 * PAGE, 20 * PAGE, 0));
    SAY("%s %s", look(q + 20 * PAGE - 1), look(q + 20 * PAGE));
    to = mmap(NULL, 60 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    TP(mremap(q, 20 * PAGE, 52 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to));
    SAY("%s %s %s %s", look(q), look(to + 3), look(to + 40 * PAGE), look(to + BIG - 1));
    SAY("%s %s %s", look(to + 50 * PAGE), look(to + 51 * PAGE), look(to + 52 * PAGE));
    TP(mremap(to, 0, 2 * PAGE, MREMAP_MAYMOVE));
    TP(mremap(to + 1, PAGE, PAGE, 0));
    TP(mremap(to, PAGE, 0, MREMAP_MAYMOVE));
    TP(mremap(to, PAGE, PAGE, 64));
    TP(mremap(to, PAGE, PAGE, MREMAP_FIXED, p));
    TP(mremap(to, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to + PAGE));
    T(munmap(to, 60 * PAGE));
    // Private: pages of its own move along.
    p = map_whole(fd, 20 * PAGE, RW, MAP_PRIVATE);
    p[17 * PAGE] = '?';
    TP(q = mremap(p, 20 * PAGE, 50 * PAGE, MREMAP_MAYMOVE));
    SAY("%s %s %s %s", look(q + 17 * PAGE), look(q + 17 * PAGE + 1), look(q + 3), look(q + 30 * PAGE));
    show("f", 17 * PAGE, 2);
    TP(mremap(q, 0, PAGE, MREMAP_MAYMOVE));
}

static void protected(void)
{
    int fd = make_file("f", BIG, O_RDWR), ro = open("f", O_RDONLY);
    char *p = map_whole(fd, BIG, PROT_READ, MAP_SHARED), *q = map_whole(ro, BIG, PROT_READ, MAP_SHARED);
    char *r = map_whole(ro, BIG, PROT_NONE, MAP_PRIVATE);

    SAY("%s", store(p, '!'));
    T(mprotect(p + 15 * PAGE, 3 * PAGE, RW));
    SAY("%s %s %s", store(p + 15 * PAGE - 1, '!'), store(p + 15 * PAGE, '!'), store(p + 17 * PAGE, '!'));
    show("f", 15 * PAGE - 1, 3);
    show("f", 17 * PAGE, 3);
    T(mprotect(q, BIG, RW));
    SAY("%s %s", look(q), store(q, '!'));
    SAY("%s", look(r));
    T(mprotect(r, BIG, RW));
    SAY("%s %s", store(r + 17 * PAGE, '?'), look(r + 17 * PAGE + 1));
    T(mprotect(p, BIG, PROT_NONE));
    SAY("%s", look(p));
    T(mprotect(p, BIG, PROT_READ));
    SAY("%s", look(p + 15 * PAGE));
    close(fd);
    T(mprotect(p, PAGE, RW)); // the mapping was made for reading and writing
    SAY("%s", store(p, '!'));
    show("f", 0, 2);
}

static void
forked(void)
{
    int fd = make_file("f", BIG, O_RDWR), status;
    char *p = map_whole(fd, BIG, RW, MAP_SHARED), *q = map_whole(fd, BIG, RW, MAP_PRIVATE);
    pid_t pid;

    q[0] = 'P';
    pid = fork();
    if (pid == 0) {
        p[70000] = 'C';
        SAY("child %s %s", look(q), look(p + 1));
        q[1] = 'c';
        munmap(p, PAGE);
        fflush(stdout);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    SAY("parent %s %s %s", look(p + 70000), look(q + 1), look(p));
    show("f", 69999, 3);
    pid = fork();
    if (pid == 0) {
        p[80000] = 'K';
        for (;;)
            sched_yield();
    }
    while (((volatile char *)p)[80000] != 'K')
        sched_yield();
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    munmap(p, BIG);
    show("f", 79999, 3);
    T(fsync(fd));
}

static void
closed_and_unlinked(void)
{
    int fd = make_file("f", BIG, O_RDWR), other;
    char *p = map_whole(fd, BIG, RW, MAP_SHARED), *q = map_whole(fd, BIG, PROT_READ, MAP_SHARED);

    T(link("f", "g"));
    T(close(fd));
    p[1] = '!';
    show("g", 0, 3);
    T(unlink("f"));
    T(unlink("g"));
    p[70000] = '!';
    SAY("%s %s same %d", look(q + 70000), look(q + 1), same_bytes(q + 2, 2, 69990));
    T(msync(p, BIG, MS_SYNC));
    other = make_file("f", 100, O_RDWR); // another file of that name
    SAY("%s", look(q + 70000));
    p[0] = '?';
    show("f", 0, 3);
    close(other);
    T(munmap(p, BIG));
    SAY("%s", look(q + 70000));
}

static void
buffers_of_calls(void)
{
    int fd = make_file("f", BIG, O_RDWR), g = make_file("g", BIG, O_RDWR), null = open("/dev/zero", O_RDONLY);
    char *p = map_whole(fd, BIG, RW, MAP_SHARED), *q = map_whole(g, BIG, RW, MAP_SHARED);

    T(pwrite(g, p + 60000, 10000, 100));
    SAY("same %d", same_bytes(q + 100, 60000, 10000));
    T(pread(g, p + 100000, 100, 100));
    SAY("same %d", same_bytes(p + 100000, 60000, 100));
    T(read(null, p + 130000, 5000));
    show("f", 129999, 3);
    T(pwrite(fd, p, 5000, 200)); // onto itself
    T(write(1, "", 0));
    memcpy(p + 10 * PAGE, q + 20 * PAGE, 25 * PAGE);
    SAY("same %d", same_bytes(p + 10 * PAGE, 20 * PAGE, 25 * PAGE));
    SAY("same in the file: %d", same_bytes(q, 0, 100));
}

static void
advised(void)
{
    int fd = make_file("f", BIG, O_RDWR);
    char *p = map_whole(fd, BIG, RW, MAP_SHARED);
    struct stat st;

    p[0] = '!';
    T(madvise(p, BIG, MADV_DONTNEED));
    SAY("%s", look(p));
    T(madvise(p, BIG, MADV_WILLNEED));
    T(madvise(p, BIG, MADV_SEQUENTIAL));
    T(madvise(p, 40 * PAGE, MADV_POPULATE_READ));
    T(madvise(p + 4 * PAGE, 30 * PAGE, MADV_REMOVE));
    SAY("%s %s %s %s", look(p + 4 * PAGE - 1), look(p + 4 * PAGE), look(p + 34 * PAGE - 1),
        look(p + 34 * PAGE));
    show("f", 4 * PAGE - 1, 3);
    p[20 * PAGE] = '!';
    show("f", 20 * PAGE, 3);
    T(fstat(fd, &st));
    T(st.st_size);
    T(mlock(p, PAGE));
    T(munlock(p, PAGE));
    T(madvise(p + 1, PAGE, MADV_REMOVE));
    T(mprotect(p, PAGE, PROT_READ));
    T(madvise(p, PAGE, MADV_REMOVE));
}

static void
by_number(void)
{
    int fd = make_file("f", BIG, O_RDWR);
    char *p, *q;
    struct stat st;

    TP(p = (char *)syscall(SYS_mmap, NULL, BIG, RW, MAP_SHARED, fd, 0));
    SAY("same %d", same_bytes(p, 0, BIG));
    T(syscall(SYS_mprotect, p, PAGE, PROT_READ));
    SAY("%s %s", store(p, '!'), store(p + 70000, '!'));
    T(syscall(SYS_msync, p, BIG, MS_SYNC));
    TP(q = (char *)syscall(SYS_mremap, p + 20 * PAGE, 5 * PAGE, 8 * PAGE, MREMAP_MAYMOVE));
    SAY("%s %s", look(q), look(q + 7 * PAGE));
    T(syscall(SYS_madvise, p, PAGE, MADV_DONTNEED));
    T(syscall(SYS_munmap, p, 20 * PAGE));
    SAY("%s", look(p));
    show("f", 69999, 3);
    T(syscall(SYS_copy_file_range, fd, NULL, fd, NULL, 10, 0));
    T(fstat(fd, &st));
    T(st.st_size);
}

static void
no_handler_of_its_own(void)
{
    int fd = make_file("f", 10, O_RDWR);
    char *p = map_whole(fd, 2 * PAGE, RW, MAP_SHARED);

    p[9] = '!';
    show("f", 8, 2);
    p[PAGE] = '!'; // kills
    SAY("not reached");
}

static void
handlers_come_and_go(void)
{
    int fd = make_file("f", 10, O_RDWR);
    char *p = map_whole(fd, 2 * PAGE, RW, MAP_SHARED);
    struct sigaction old;

    T(sigaction(SIGBUS, NULL, &old));
    T(old.sa_handler == SIG_DFL);
    T(signal(SIGBUS, SIG_IGN) == SIG_DFL);
    T(raise(SIGBUS));
    T(signal(SIGBUS, SIG_DFL) == SIG_IGN);
    SAY("%s", look(p + PAGE));
    SAY("%s", look(p + PAGE));
    signal(SIGBUS, SIG_IGN);
    p[PAGE] = '!'; // kills all the same
    SAY("not reached");
}

static const struct trace_case cases[] = {
#define C(name)                                                                                              \
    {                                                                                                        \
#name, name                                                                                          \
    }
    C(private_reads),
    C(private_stores_stay_private),
    C(shared_stores_are_the_files),
    C(errors),
    C(fixed_and_offset),
    C(holes),
    C(truncated_under_it),
    C(grows_from_nothing),
    C(grown_by_another),
    C(times),
    C(parts_unmapped),
    C(remapped),
    C(protected),
    C(forked),
    C(closed_and_unlinked),
    C(buffers_of_calls),
    C(advised),
    C(by_number),
    C(no_handler_of_its_own),
    C(handlers_come_and_go),
    {NULL, NULL},
};

int
main(int argc, char **argv)
{
    return trace_main(argc, argv, cases);
}
