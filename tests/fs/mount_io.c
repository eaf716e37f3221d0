// SPDX-License-Identifier: Apache-2.0
// What a program sees of a mounted volume, in one directory: mount_io DIR [SEED]. Each check must hold on any
// Linux file system with POSIX semantics: the test runs it on the disk below first.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int failures;
static const char *test;

static void
bad(int line, const char *fmt, ...)
{
    va_list ap;

    printf("FAIL %s: line %d: ", test, line);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
    failures++;
}

#define WANT(cond)                                                                                           \
    do                                                                                                       \
        if (!(cond)) {                                                                                       \
            bad(__LINE__, "%s (errno %s)", #cond, strerror(errno));                                          \
            return;                                                                                          \
        }                                                                                                    \
    while (0)

static void
nap(long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&t, NULL);
}

// ---- random I/O against a model ----

#define MODEL_MAX (600 << 10)
static unsigned char model[MODEL_MAX], scratch[MODEL_MAX];
static size_t model_size;
static uint64_t rng;

static uint64_t
rnd(uint64_t n)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return rng % n;
}

static void
fill(unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (unsigned char)rnd(256);
}

static bool
check_range(int fd, size_t at, size_t len, bool mapped)
{
    size_t want = at >= model_size ? 0 : len < model_size - at ? len : model_size - at;
    size_t page = at & ~(size_t)4095;
    unsigned char *p;
    bool same;

    if (!mapped)
        return pread(fd, scratch, len, (off_t)at) == (ssize_t)want && !memcmp(scratch, model + at, want);
    if (want == 0)
        return true;
    p = mmap(NULL, want + (at - page), PROT_READ, MAP_SHARED, fd, (off_t)page);
    if (p == MAP_FAILED)
        return false;
    same = !memcmp(p + (at - page), model + at, want);
    munmap(p, want + (at - page));
    return same;
}

static bool
write_range(int fd, size_t at, size_t len, bool mapped)
{
    size_t page = at & ~(size_t)4095;
    unsigned char *p;

    if (mapped && at >= model_size)
        return true;
    if (mapped && len > model_size - at)
        len = model_size - at;
    if (at > model_size)
        memset(model + model_size, 0, at - model_size);
    fill(model + at, len);
    if (at + len > model_size)
        model_size = at + len;
    if (!mapped)
        return pwrite(fd, model + at, len, (off_t)at) == (ssize_t)len;
    p = mmap(NULL, len + (at - page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)page);
    if (p == MAP_FAILED)
        return false;
    memcpy(p + (at - page), model + at, len);
    if (rnd(3) == 0)
        msync(p, len + (at - page), MS_SYNC);
    return munmap(p, len + (at - page)) == 0;
}

static bool
cut(int fd, size_t size)
{
    if (size > model_size)
        memset(model + model_size, 0, size - model_size);
    model_size = size;
    return ftruncate(fd, (off_t)size) == 0;
}

static bool
punch(int fd, size_t at, size_t len)
{
    if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at, (off_t)len) != 0)
        return errno == EOPNOTSUPP;
    if (at < model_size)
        memset(model + at, 0, len < model_size - at ? len : model_size - at);
    return true;
}

static bool
append(const char *path)
{
    size_t len = 1 + rnd(5000);
    int fd = open(path, O_WRONLY | O_APPEND);
    bool done;

    if (fd < 0 || model_size + len > MODEL_MAX)
        return fd < 0 ? false : close(fd) == 0;
    fill(model + model_size, len);
    done = write(fd, model + model_size, len) == (ssize_t)len;
    model_size += len;
    return close(fd) == 0 && done;
}

static void
random_io(void)
{
    struct stat st;
    int fd = open("fsx", O_RDWR | O_CREAT | O_TRUNC, 0644);

    WANT(fd >= 0);
    model_size = 0;
    for (int i = 0; i < 3000; i++) {
        size_t at = rnd(MODEL_MAX), len = 1 + rnd(rnd(4) ? 5000 : 70000);
        unsigned op = (unsigned)rnd(20);
        bool done = true;

        if (len > MODEL_MAX - at)
            len = MODEL_MAX - at;
        if (op < 5)
            done = check_range(fd, at, len, false);
        else if (op < 8)
            done = check_range(fd, at, len, true);
        else if (op < 12)
            done = write_range(fd, at, len, false);
        else if (op < 14)
            done = write_range(fd, at, len, true);
        else if (op < 15)
            done = cut(fd, rnd(MODEL_MAX));
        else if (op < 16)
            done = punch(fd, at, len);
        else if (op < 17)
            done = append("fsx");
        else if (op < 18)
            done = fsync(fd) == 0;
        else if (op < 19) {
            close(fd);
            fd = open("fsx", O_RDWR | (rnd(3) ? 0 : O_DIRECT));
            WANT(fd >= 0);
            if (fcntl(fd, F_GETFL) & O_DIRECT) { // for what it does to the cache: aligned, then back
                void *p;

                WANT(posix_memalign(&p, 4096, 4096) == 0);
                at = rnd(MODEL_MAX / 4096) * 4096;
                if (at + 4096 <= model_size)
                    done = pread(fd, p, 4096, (off_t)at) == 4096 && !memcmp(p, model + at, 4096);
                free(p);
                close(fd);
                fd = open("fsx", O_RDWR);
                WANT(fd >= 0);
            }
        } else {
            done = fstat(fd, &st) == 0 && (size_t)st.st_size == model_size;
        }
        if (!done) {
            bad(__LINE__, "step %d, operation %u, at %zu, %zu bytes, size %zu: %s", i, op, at, len,
                model_size, strerror(errno));
            return;
        }
    }
    WANT(check_range(fd, 0, MODEL_MAX, false));
    close(fd);
    WANT(unlink("fsx") == 0);
}

// ---- names and handles ----

static void
unlink_open(void)
{
    struct stat st;
    char buf[8] = "";
    int fd = open("u", O_RDWR | O_CREAT | O_EXCL, 0600), path = open("u", O_PATH);
    char *map;

    WANT(fd >= 0 && path >= 0 && write(fd, "before", 6) == 6);
    map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    WANT(map != MAP_FAILED && unlink("u") == 0);
    WANT(fstat(fd, &st) == 0 && st.st_nlink == 0);
    WANT(fstat(path, &st) == 0 && st.st_nlink == 0);
    WANT(pwrite(fd, "after!", 6, 0) == 6 && pread(fd, buf, 6, 0) == 6 && !strcmp(buf, "after!"));
    WANT(memcmp(map, "after!", 6) == 0);
    map[0] = 'A';
    WANT(msync(map, 4096, MS_SYNC) == 0 && pread(fd, buf, 6, 0) == 6 && buf[0] == 'A');
    WANT(ftruncate(fd, 3) == 0 && fstat(fd, &st) == 0 && st.st_size == 3);
    munmap(map, 4096);
    close(fd);
    WANT(fstat(path, &st) == 0 && st.st_nlink == 0);
    close(path);
    WANT(stat("u", &st) != 0 && errno == ENOENT);
}

static void
removed_directory(void)
{
    int top = open(".", O_RDONLY | O_DIRECTORY), fd;
    struct stat st;
    DIR *d;

    WANT(top >= 0 && mkdir("rd", 0755) == 0 && chdir("rd") == 0 && rmdir("../rd") == 0);
    WANT(stat(".", &st) == 0 && st.st_nlink == 0);
    WANT(open("x", O_CREAT | O_WRONLY, 0600) < 0 && errno == ENOENT);
    d = opendir(".");
    WANT(d != NULL);
    errno = 0;
    for (struct dirent *e; (e = readdir(d));)
        WANT(e->d_name[0] == '.');
    closedir(d);
    fd = fchdir(top);
    WANT(fd == 0);
    close(top);
}

static void
tmpfile_link(void)
{
    char link[64];
    struct stat st;
    int fd = open(".", O_TMPFILE | O_RDWR, 0640);

    WANT(fd >= 0 && write(fd, "tmp", 3) == 3);
    WANT(fstat(fd, &st) == 0 && st.st_nlink == 0 && (st.st_mode & 0777) == 0640);
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    WANT(linkat(AT_FDCWD, link, AT_FDCWD, "named", AT_SYMLINK_FOLLOW) == 0);
    close(fd);
    WANT(stat("named", &st) == 0 && st.st_nlink == 1 && st.st_size == 3);
    WANT(unlink("named") == 0);
    fd = open(".", O_TMPFILE | O_RDWR | O_EXCL, 0600);
    WANT(fd >= 0);
    close(fd);
}

static int
put(const char *name, const char *text)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));

    return fd < 0 || close(fd) != 0 || n != (ssize_t)strlen(text) ? -1 : 0;
}

static bool
has(const char *name, const char *text)
{
    char buf[64] = "";
    int fd = open(name, O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof buf - 1);

    if (fd >= 0)
        close(fd);
    return n >= 0 && !strcmp(buf, text);
}

static void
renames(void)
{
    WANT(put("a", "a") == 0 && put("b", "b") == 0);
    WANT(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE) != 0 && errno == EEXIST);
    WANT(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_EXCHANGE) == 0 && has("a", "b") && has("b", "a"));
    WANT(rename("a", "b") == 0 && has("b", "b") && access("a", F_OK) != 0);
    WANT(mkdir("ra", 0755) == 0 && mkdir("ra/in", 0755) == 0 && mkdir("rb", 0755) == 0);
    WANT(rename("ra", "ra/in/x") != 0 && errno == EINVAL);
    WANT(rename("rb", "ra") != 0 && (errno == ENOTEMPTY || errno == EEXIST));
    WANT(rename("ra", "rb") == 0 && access("rb/in", F_OK) == 0);
    WANT(rmdir("rb/in") == 0 && rmdir("rb") == 0 && unlink("b") == 0);
}

static void
large_directory(void)
{
    enum { N = 3000 };
    static char seen[N];
    int n = 0, extra = 0;
    char name[32];
    DIR *d;

    WANT(mkdir("large", 0755) == 0);
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "large/f%d", i);
        WANT(mknod(name, S_IFREG | 0644, 0) == 0);
    }
    // While it is read, every second one goes as it was seen, and others come.
    d = opendir("large");
    WANT(d != NULL);
    for (struct dirent *e; (e = readdir(d));) {
        int i;

        if (e->d_name[0] == 'n')
            extra++;
        if (sscanf(e->d_name, "f%d", &i) != 1)
            continue;
        WANT(i >= 0 && i < N && !seen[i]);
        seen[i] = 1;
        n++;
        snprintf(name, sizeof name, "large/f%d", i);
        WANT(i % 2 || unlink(name) == 0);
        if (n % 10 == 0) {
            snprintf(name, sizeof name, "large/n%d", n);
            WANT(mknod(name, S_IFREG | 0644, 0) == 0);
        }
    }
    WANT(n == N);
    rewinddir(d);
    n = 0;
    for (struct dirent *e; (e = readdir(d));)
        n += e->d_name[0] != '.';
    closedir(d);
    WANT(n == N / 2 + N / 10);
    WANT(rmdir("large") != 0 && errno == ENOTEMPTY);
    d = opendir("large");
    for (struct dirent *e; (e = readdir(d));)
        WANT(e->d_name[0] == '.' || unlinkat(dirfd(d), e->d_name, 0) == 0);
    closedir(d);
    WANT(rmdir("large") == 0);
    (void)extra;
}

static void
holes_and_copies(void)
{
    enum { BIG = 1 << 20 };
    char *p = malloc(BIG), *q = malloc(BIG);
    int fd = open("h", O_RDWR | O_CREAT | O_TRUNC, 0644), to = open("c", O_RDWR | O_CREAT | O_TRUNC, 0644);
    off_t in = 0, out = 0;

    WANT(p && q && fd >= 0 && to >= 0 && ftruncate(fd, BIG) == 0);
    WANT(pwrite(fd, "data", 4, 512 << 10) == 4);
    WANT(lseek(fd, 0, SEEK_DATA) >= 0 && lseek(fd, 0, SEEK_DATA) <= 512 << 10);
    WANT(lseek(fd, 512 << 10, SEEK_HOLE) > 512 << 10);
    WANT(lseek(fd, BIG, SEEK_DATA) < 0 && errno == ENXIO);
    WANT(pread(fd, p, BIG, 0) == BIG);
    while (in < BIG) {
        ssize_t n = copy_file_range(fd, &in, to, &out, (size_t)(BIG - in), 0);

        WANT(n > 0);
    }
    WANT(pread(to, q, BIG, 0) == BIG && !memcmp(p, q, BIG));
    WANT(pwrite(fd, "DATA", 4, 512 << 10) == 4 && pread(to, q, 4, 512 << 10) == 4 && !memcmp(q, "data", 4));
    in = 100;
    out = 7;
    WANT(copy_file_range(fd, &in, to, &out, 5000, 0) == 5000 && pread(to, q, 5000, 7) == 5000 &&
         !memcmp(p + 100, q, 5000));
    close(fd);
    close(to);
    free(p);
    free(q);
    WANT(unlink("h") == 0 && unlink("c") == 0);
}

static void
set_user_id(void)
{
    struct stat st;
    int status;
    pid_t pid;

    if (getuid() != 0) {
        printf("skip %s: only root can change users\n", test);
        return;
    }
    WANT(put("s", "x") == 0 && chmod("s", 06777) == 0);
    pid = fork();
    if (pid == 0) {
        int fd = open("s", O_WRONLY);

        _exit(fd >= 0 && setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0 &&
                      write(fd, "y", 1) == 1
                  ? 0
                  : 1);
    }
    WANT(waitpid(pid, &status, 0) == pid && status == 0);
    WANT(stat("s", &st) == 0 && (st.st_mode & 07777) == 0777);
    WANT(chmod("s", 06777) == 0 && truncate("s", 0) == 0);
    WANT(chown("s", 1, 1) == 0 && stat("s", &st) == 0 && (st.st_mode & 07777) == 0777);
    WANT(chmod("s", 04755) == 0 && put("s", "z") == 0 && stat("s", &st) == 0 &&
         (st.st_mode & 07777) == 04755);
    WANT(unlink("s") == 0);
}

static void
append_together(void)
{
    enum { EACH = 300, WRITERS = 3 };
    char line[16], *buf = calloc(1, WRITERS * EACH * 8 + 1);
    pid_t pid[WRITERS];
    int status, fd;

    WANT(buf && put("ap", "") == 0);
    for (int w = 0; w < WRITERS; w++) {
        pid[w] = fork();
        if (pid[w] == 0) {
            fd = open("ap", O_WRONLY | O_APPEND);
            for (int i = 0; i < EACH; i++) {
                snprintf(line, sizeof line, "%d %05d\n", w, i);
                if (write(fd, line, 8) != 8)
                    _exit(1);
            }
            _exit(0);
        }
    }
    for (int w = 0; w < WRITERS; w++)
        WANT(waitpid(pid[w], &status, 0) == pid[w] && status == 0);
    fd = open("ap", O_RDONLY);
    WANT(pread(fd, buf, WRITERS * EACH * 8, 0) == WRITERS * EACH * 8);
    for (int w = 0, next; w < WRITERS; w++) {
        next = 0;
        for (char *p = buf; *p; p += 8)
            if (p[0] == '0' + w)
                WANT(atoi(p + 2) == next++);
        WANT(next == EACH);
    }
    close(fd);
    free(buf);
    WANT(unlink("ap") == 0);
}

// ---- locks ----

// Until process `pid` sleeps in the kernel (waits for a lock), at most 10 s.
static bool
asleep(pid_t pid)
{
    char path[64], buf[512], *p;

    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    for (int i = 0; i < 1000; i++) {
        int fd = open(path, O_RDONLY);
        ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof buf - 1);

        if (fd >= 0)
            close(fd);
        if (n <= 0)
            return false;
        buf[n] = '\0';
        p = strrchr(buf, ')');
        if (p && (p[2] == 'S' || p[2] == 'D'))
            return true;
        nap(10);
    }
    return false;
}

static int
range_lock(int fd, int cmd, short type, off_t start, off_t len)
{
    struct flock fl = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};

    return fcntl(fd, cmd, &fl);
}

static void
on_alarm(int sig)
{
    (void)sig;
}

static pid_t
wait_in_child(bool flocked, bool with_alarm)
{
    pid_t pid = fork();

    if (pid == 0) {
        struct sigaction sa = {.sa_handler = on_alarm};
        // Again and again: the first may come before the wait.
        const struct itimerval often = {{.tv_usec = 100000}, {.tv_usec = 100000}};
        int fd = open("l", O_RDWR), r;

        sigaction(SIGALRM, &sa, NULL);
        if (with_alarm)
            setitimer(ITIMER_REAL, &often, NULL);
        r = flocked ? flock(fd, LOCK_EX) : range_lock(fd, F_SETLKW, F_WRLCK, 0, 10);
        _exit(r == 0 ? 0 : errno == EINTR ? 4 : 1);
    }
    return pid;
}

static void
locks(bool flocked)
{
    int fd, status;
    pid_t pid;

    WANT(put("l", "0123456789") == 0);
    fd = open("l", O_RDWR);
    WANT(fd >= 0 && (flocked ? flock(fd, LOCK_EX) : range_lock(fd, F_SETLK, F_WRLCK, 0, 10)) == 0);
    // A waiter that a signal interrupts.
    pid = wait_in_child(flocked, true);
    WANT(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 4);
    // One that is killed leaves nothing behind.
    pid = wait_in_child(flocked, false);
    WANT(asleep(pid) && kill(pid, SIGKILL) == 0 && waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
    // One that gets it.
    pid = wait_in_child(flocked, false);
    WANT(asleep(pid));
    WANT((flocked ? flock(fd, LOCK_UN) : range_lock(fd, F_SETLK, F_UNLCK, 0, 10)) == 0);
    WANT(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    // And gave it up by its end.
    WANT((flocked ? flock(fd, LOCK_EX | LOCK_NB) : range_lock(fd, F_SETLK, F_WRLCK, 0, 10)) == 0);
    close(fd);
    WANT(unlink("l") == 0);
}

static void
locks_range(void)
{
    locks(false);
}

static void
locks_flock(void)
{
    locks(true);
}

static void
locks_rules(void)
{
    struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 0};
    int fd, other, status;
    pid_t pid;

    WANT(put("l", "0123456789") == 0);
    fd = open("l", O_RDWR);
    WANT(range_lock(fd, F_SETLK, F_WRLCK, 2, 3) == 0);
    pid = fork();
    if (pid == 0) {
        int own = open("l", O_RDWR);
        bool fine = fcntl(own, F_GETLK, &fl) == 0 && fl.l_type == F_WRLCK && fl.l_start == 2 &&
                    fl.l_len == 3 && fl.l_pid == getppid();

        fine = fine && range_lock(own, F_SETLK, F_RDLCK, 4, 1) != 0 && (errno == EAGAIN || errno == EACCES);
        fine = fine && range_lock(own, F_SETLK, F_RDLCK, 5, 1) == 0;
        _exit(fine ? 0 : 1);
    }
    WANT(waitpid(pid, &status, 0) == pid && status == 0);
    // Any close of the file by the process gives its locks up; those of open file descriptions stay.
    other = open("l", O_RDWR);
    WANT(range_lock(other, F_OFD_SETLK, F_WRLCK, 8, 1) == 0);
    close(open("l", O_RDONLY));
    pid = fork();
    if (pid == 0) {
        int own = open("l", O_RDWR);

        _exit(range_lock(own, F_SETLK, F_WRLCK, 2, 3) == 0 && range_lock(own, F_SETLK, F_WRLCK, 8, 1) != 0
                  ? 0
                  : 1);
    }
    WANT(waitpid(pid, &status, 0) == pid && status == 0);
    close(other);
    for (int i = 0; i < 500 && range_lock(fd, F_SETLK, F_WRLCK, 8, 1) != 0; i++)
        nap(10); // the kernel may tell of the last close after it
    WANT(range_lock(fd, F_SETLK, F_WRLCK, 8, 1) == 0);
    close(fd);
    WANT(unlink("l") == 0);
}

// One of several that append lines to a file, each line in one write.
static int
append_lines(const char *path, int n)
{
    char line[32];
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT, 0644);

    for (int i = 0; i < n; i++) {
        int len = snprintf(line, sizeof line, "%d %d\n", getpid(), i);

        if (fd < 0 || write(fd, line, (size_t)len) != len)
            return 1;
    }
    return close(fd) != 0;
}

int
main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } tests[] = {
        {"random-io", random_io},
        {"unlink-open", unlink_open},
        {"removed-directory", removed_directory},
        {"tmpfile", tmpfile_link},
        {"renames", renames},
        {"large-directory", large_directory},
        {"holes-and-copies", holes_and_copies},
        {"set-user-id", set_user_id},
        {"append-together", append_together},
        {"locks-range", locks_range},
        {"locks-flock", locks_flock},
        {"locks-rules", locks_rules},
    };
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : (uint64_t)time(NULL);
    int total = 0;

    if (argc == 4 && strcmp(argv[1], "--append") == 0)
        return append_lines(argv[2], atoi(argv[3]));
    if (argc < 2 || chdir(argv[1]) != 0) {
        perror("mount_io DIR [SEED]");
        return 2;
    }
    umask(022);
    setvbuf(stdout, NULL, _IOLBF, 0);
    rng = seed * 2654435761u + 88172645463325252u;
    printf("# seed %llu\n", (unsigned long long)seed);
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        test = tests[i].name;
        failures = 0;
        tests[i].run();
        if (!failures)
            printf("ok %s\n", test);
        total += failures;
    }
    return total ? 1 : 0;
}
