// SPDX-License-Identifier: Apache-2.0
// mmap: shared and private, against read and write, between processes, at the end of the file.
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>

#include "conform.h"

enum { PAGE = 4096, LEN = 64 * PAGE };

static char *
map(int fd, int prot, int flags, size_t len)
{
    char *p = mmap(NULL, len, prot, flags, fd, 0);

    NEED(p == MAP_FAILED ? -1 : 0);
    return p;
}

static bool
all_are(const char *p, size_t n, char c)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != c)
            return false;
    return true;
}

static int
make(const char *path, char c, size_t n)
{
    static char buf[LEN];
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);

    memset(buf, c, n);
    return fd >= 0 && write(fd, buf, n) == (ssize_t)n ? fd : -1;
}

static void
shared(void)
{
    struct stat before;
    char buf[8], *p, *q;
    int fd, fd2;

    NEED(fd = make("f", 'a', LEN));
    p = map(fd, PROT_READ | PROT_WRITE, MAP_SHARED, LEN);
    B("content", all_are(p, LEN, 'a'));
    memcpy(p + 10000, "stored", 6);
    EQ("read-sees-store", 6, pread(fd, buf, 6, 10000));
    B("read-sees-bytes", memcmp(buf, "stored", 6) == 0);
    NEED(pwrite(fd, "written", 7, 5 * PAGE));
    B("map-sees-write", memcmp(p + 5 * PAGE, "written", 7) == 0);
    NEED(fd2 = open("f", O_RDWR));
    q = map(fd2, PROT_READ | PROT_WRITE, MAP_SHARED, LEN);
    q[3] = 'q';
    EQ("two-maps", 'q', p[3]);
    EQ("other-descriptor-read", 1, pread(fd2, buf, 1, 10000));
    EQ("other-descriptor-byte", 's', buf[0]);
    before = stat_of("f");
    next_instant();
    p[LEN - 1] = 'z';
    T("msync", 0, msync(p, LEN, MS_SYNC));
    B("store-moves-mtime", time_before(before.st_mtim, stat_of("f").st_mtim));
    close(fd);
    close(fd2);
    p[0] = '0';
    EQ("closed-still-mapped", '0', q[0]);
    NEED(munmap(q, LEN));
    T("munmap", 0, munmap(p, LEN));
    NEED(fd = open("f", O_RDONLY));
    NEED(pread(fd, buf, 1, LEN - 1));
    EQ("kept", 'z', buf[0]);
    NEED(pread(fd, buf, 1, 0));
    EQ("kept-after-close", '0', buf[0]);
    close(fd);
}

static void private(void)
{
    char c, *p;
    int fd;

    NEED(fd = make("f", 'a', LEN));
    p = map(fd, PROT_READ | PROT_WRITE, MAP_PRIVATE, LEN);
    B("content", all_are(p, LEN, 'a'));
    p[100] = 'x';
    NEED(pread(fd, &c, 1, 100));
    EQ("not-written-back", 'a', c);
    T("mprotect", 0, mprotect(p, PAGE, PROT_READ));
    CHILD () {
        p[PAGE] = 'c';
        EQ("child", 'x', p[100]);
    }
    EQ("child-has-its-own", 'a', p[PAGE]);
    NEED(munmap(p, LEN));
    close(fd);
    NEED(fd = open("f", O_RDONLY));
    p = map(fd, PROT_READ | PROT_WRITE, MAP_PRIVATE, LEN);
    p[0] = 'w';
    B("rdonly-descriptor", p[0] == 'w' && p[1] == 'a');
    close(fd);
}

static void
errors(void)
{
    int fd, ro, wo;
    char *p;

    NEED(fd = make("f", 'a', LEN));
    NEED(ro = open("f", O_RDONLY));
    NEED(wo = open("f", O_WRONLY));
#define MAP(prot, flags, fd, len, off) (mmap(NULL, len, prot, flags, fd, off) == MAP_FAILED ? -1 : 0)
    T("rdonly-shared-write", EACCES, MAP(PROT_READ | PROT_WRITE, MAP_SHARED, ro, LEN, 0));
    T("wronly", EACCES, MAP(PROT_READ, MAP_SHARED, wo, LEN, 0));
    T("wronly-private", EACCES, MAP(PROT_READ, MAP_PRIVATE, wo, LEN, 0));
    T("length-0", EINVAL, MAP(PROT_READ, MAP_SHARED, fd, 0, 0));
    T("unaligned", EINVAL, MAP(PROT_READ, MAP_SHARED, fd, PAGE, 10));
    T("no-type", EINVAL, MAP(PROT_READ, 0, fd, PAGE, 0));
    T("bad-fd", EBADF, MAP(PROT_READ, MAP_SHARED, -1, PAGE, 0));
    p = map(ro, PROT_READ, MAP_SHARED, LEN);
    T("mprotect-rdonly", EACCES, mprotect(p, LEN, PROT_READ | PROT_WRITE));
    NEED(mkdir("d", 0755));
    int d = open("d", O_RDONLY);
    T("dir", ENODEV, MAP(PROT_READ, MAP_SHARED, d, PAGE, 0));
    int path = open("f", O_PATH);
    T("path", EBADF, MAP(PROT_READ, MAP_SHARED, path, PAGE, 0));
}

static sigjmp_buf faulted;

static void
on_fault(int sig)
{
    siglongjmp(faulted, sig);
}

// The signal that a look at the byte raises, or 0.
static int
fault_at(const volatile char *p)
{
    struct sigaction act = {.sa_handler = on_fault}, old_bus, old_segv;
    int sig;

    NEED(sigaction(SIGBUS, &act, &old_bus));
    NEED(sigaction(SIGSEGV, &act, &old_segv));
    sig = sigsetjmp(faulted, 1);
    if (sig == 0)
        (void)*p;
    NEED(sigaction(SIGBUS, &old_bus, NULL));
    NEED(sigaction(SIGSEGV, &old_segv, NULL));
    return sig;
}

static void
ends(void)
{
    char c, *p;
    int fd;

    NEED(fd = make("f", 'a', 2 * PAGE + 100));
    p = map(fd, PROT_READ | PROT_WRITE, MAP_SHARED, LEN);
    B("tail-is-zero", all_are(p + 2 * PAGE + 100, PAGE - 100, 0));
    EQ("behind-end", SIGBUS, fault_at(p + 3 * PAGE));
    p[2 * PAGE + 100] = 'x';
    EQ("tail-not-in-file", 2 * PAGE + 100, stat_of("f").st_size);
    NEED(ftruncate(fd, 8 * PAGE));
    EQ("grown", 0, fault_at(p + 7 * PAGE));
    EQ("grown-zero", 0, p[7 * PAGE]);
    p[7 * PAGE] = 'y';
    NEED(pread(fd, &c, 1, 7 * PAGE));
    EQ("grown-store", 'y', c);
    NEED(ftruncate(fd, PAGE));
    EQ("cut", SIGBUS, fault_at(p + 7 * PAGE));
    EQ("cut-kept", 'a', p[PAGE - 1]);
    NEED(ftruncate(fd, 8 * PAGE));
    EQ("grown-again-zero", 0, p[7 * PAGE]);
    T("unlink", 0, unlink("f"));
    p[1] = 'u';
    NEED(pread(fd, &c, 1, 1));
    EQ("unlinked-still-mapped", 'u', c);
    close(fd);
    EQ("unlinked-and-closed", 'u', p[1]);
    NEED(fd = make("g", 'g', LEN));
    p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 10 * PAGE);
    B("offset", p != MAP_FAILED && all_are(p, PAGE, 'g'));
}

static void
processes(void)
{
    int fd, up[2], down[2], good = 0;
    char c, *p;
    pid_t pid;

    NEED(fd = make("f", '-', LEN));
    p = map(fd, PROT_READ | PROT_WRITE, MAP_SHARED, LEN);
    CHILD () {
        p[0] = 'c';
        T("child-stores", 0, msync(p, PAGE, MS_SYNC));
    }
    EQ("parent-sees", 'c', p[0]);
    // Another process that opens and maps the file for itself.
    NEED(pipe(up));
    NEED(pipe(down));
    fflush(stdout);
    NEED(pid = fork());
    if (pid == 0) {
        int other = open("f", O_RDWR);
        char *q = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, other, 0);

        close(down[1]);
        for (int i = 0; i < 50; i++) {
            q[i * 1000] = (char)i;
            if (write(up[1], "x", 1) != 1 || read(down[0], &c, 1) != 1)
                _exit(1);
        }
        _exit(0);
    }
    for (int i = 0; i < 50; i++) {
        if (read(up[0], &c, 1) != 1)
            break;
        good += p[i * 1000] == (char)i && pread(fd, &c, 1, i * 1000) == 1 && c == (char)i;
        if (write(down[1], "x", 1) != 1)
            break;
    }
    close(down[1]);
    EQ("coherent", 50, good);
}

const struct test_case cases_map[] = {
    {"mmap-shared", shared}, {"mmap-private", private},     {"mmap-errors", errors},
    {"mmap-end", ends},      {"mmap-processes", processes}, {NULL, NULL},
};
