// SPDX-License-Identifier: Apache-2.0
// What the adversarial cases share. See adv.h.
#include "tests/adversarial/adv.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sched.h>
#include <time.h>

void *(*volatile do_memcpy)(void *, const void *, size_t) = memcpy;
void *(*volatile do_memmove)(void *, const void *, size_t) = memmove;
void *(*volatile do_mempcpy)(void *, const void *, size_t) = mempcpy;

int
adv_fail(const char *file, int line, const char *what)
{
    int error = errno;
    dprintf(2, "%s:%d: not so: %s (errno %d %s)\n", file, line, what, error, strerrorname_np(error));
    return 1;
}

int
adv_skip(const char *reason)
{
    dprintf(1, "skip: %s\n", reason);
    return SKIPPED;
}

// Eight bytes at a time, so that filling a megabyte costs little (splitmix64's finalizer).
static uint64_t
pattern_word(unsigned seed, size_t word)
{
    uint64_t z = (uint64_t)seed * 0x9e3779b97f4a7c15u + word + 1;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint8_t
pattern(unsigned seed, size_t i)
{
    return (uint8_t)(pattern_word(seed, i / 8) >> (i % 8 * 8));
}

void
fill_from(void *p, size_t n, unsigned seed, size_t first)
{
    volatile uint8_t *to = p;
    size_t i = 0;
    while (i < n) {
        if ((first + i) % 8 == 0 && n - i >= 8) {
            *(volatile uint64_t *)(to + i) = pattern_word(seed, (first + i) / 8);
            i += 8;
        } else {
            to[i] = pattern(seed, first + i);
            i++;
        }
    }
}

void
fill(void *p, size_t n, unsigned seed)
{
    fill_from(p, n, seed, 0);
}

bool
same_from(const void *p, size_t n, unsigned seed, size_t first)
{
    const volatile uint8_t *from = p;
    size_t i = 0;
    while (i < n) {
        if ((first + i) % 8 == 0 && n - i >= 8 &&
            *(const volatile uint64_t *)(from + i) == pattern_word(seed, (first + i) / 8)) {
            i += 8;
            continue;
        }
        if (from[i] != pattern(seed, first + i)) {
            dprintf(2, "byte %zu of %zu at %p is %02x, not %02x\n", i, n, (const void *)(from + i), from[i],
                    pattern(seed, first + i));
            return false;
        }
        i++;
    }
    return true;
}

bool
same(const void *p, size_t n, unsigned seed)
{
    return same_from(p, n, seed, 0);
}

bool
all_bytes(const void *p, size_t n, uint8_t value)
{
    const volatile uint8_t *from = p;
    for (size_t i = 0; i < n; i++)
        if (from[i] != value) {
            dprintf(2, "byte %zu of %zu at %p is %02x, not %02x\n", i, n, (const void *)(from + i), from[i],
                    value);
            return false;
        }
    return true;
}

void
set_bytes(void *p, size_t n, uint8_t value)
{
    volatile uint8_t *to = p;
    for (size_t i = 0; i < n; i++)
        to[i] = value;
}

void *
map_anon(size_t n)
{
    void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    return p;
}

static void *
must(void *p)
{
    if (!p) {
        perror("malloc");
        exit(1);
    }
    return p;
}

uint8_t *
new_filled(size_t n, unsigned seed)
{
    uint8_t *p = must(malloc(n));
    fill(p, n, seed);
    return p;
}

uint8_t *
copied(const void *src, size_t n)
{
    return do_memcpy(must(malloc(n)), src, n);
}

uint8_t *
absent(size_t n, unsigned seed)
{
    uint8_t *src = new_filled(n, seed);
    uint8_t *dst = copied(src, n);
    free(src);
    return dst;
}

uint8_t *
absent_map(size_t n, unsigned seed)
{
    uint8_t *src = map_anon(n), *dst = map_anon(n);
    fill(src, n, seed);
    do_memcpy(dst, src, n);
    munmap(src, n);
    return dst;
}

int
unix_pair(int fd[2], int type)
{
    return socketpair(AF_UNIX, type, 0, fd);
}

int
tcp_pair(int fd[2])
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0)
        return -1;
    fd[0] = fd[1] = -1;
    if (bind(listener, (struct sockaddr *)&at, sizeof at) == 0 && listen(listener, 1) == 0 &&
        getsockname(listener, (struct sockaddr *)&at, &len) == 0 &&
        (fd[0] = socket(AF_INET, SOCK_STREAM, 0)) >= 0 &&
        connect(fd[0], (struct sockaddr *)&at, sizeof at) == 0)
        fd[1] = accept(listener, NULL, NULL);
    close(listener);
    return fd[1] < 0 ? -1 : 0;
}

bool
set_nonblock(int fd, bool on)
{
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK) == 0;
}

bool
send_all(int fd, const void *p, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t got = send(fd, (const char *)p + done, n - done, MSG_NOSIGNAL);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        done += (size_t)got;
    }
    return true;
}

bool
recv_all(int fd, void *p, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t got = recv(fd, (char *)p + done, n - done, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        done += (size_t)got;
    }
    return true;
}

long
raw_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long ret;
    __asm__ volatile("syscall"
                     : "=a"(ret)
                     : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return ret;
}

void *
drain_main(void *arg)
{
    struct drain *d = arg;
    uint8_t piece[1500];
    size_t done = 0;
    d->ok = true;
    while (done < d->n && d->ok) {
        size_t want = d->n - done < sizeof piece ? d->n - done : sizeof piece;
        long got = raw_syscall(SYS_recvfrom, d->fd, (long)piece, (long)want, 0, 0, 0);
        if (got == -EINTR)
            continue;
        d->ok = got > 0 && same_from(piece, (size_t)got, d->seed, done);
        done += got > 0 ? (size_t)got : 0;
    }
    return NULL;
}

int
temp_file(void)
{
    const char *dir = getenv("TMPDIR");
    char path[512];
    snprintf(path, sizeof path, "%s/adversarial-XXXXXX", dir ? dir : "/tmp");
    int fd = mkstemp(path);
    if (fd >= 0)
        unlink(path);
    return fd;
}

bool
child_ok(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return false;
    if (WIFSIGNALED(status))
        dprintf(2, "the child died of signal %d\n", WTERMSIG(status));
    else if (WEXITSTATUS(status))
        dprintf(2, "the child left with status %d\n", WEXITSTATUS(status));
    return status == 0;
}

int64_t
now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

bool
wait_until(bool (*ready)(void *), void *arg, int seconds)
{
    int64_t end = now_ns() + seconds * 1000000000ll;
    while (!ready(arg)) {
        if (now_ns() > end)
            return false;
        sched_yield();
    }
    return true;
}

long
status_kib(pid_t pid, const char *field)
{
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *f = fopen(path, "r");
    long kib = -1;
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, field, strlen(field)) == 0 && line[strlen(field)] == ':')
            kib = atol(line + strlen(field) + 1);
    if (f)
        fclose(f);
    return kib;
}
