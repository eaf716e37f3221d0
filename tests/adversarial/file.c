// SPDX-License-Identifier: Apache-2.0
// Files, pipes and the kernel's entrances that no hook sees, with absent buffers.
#include "tests/adversarial/adv.h"

#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#define N (512 * KIB)

static int
write_then_read_back(void)
{
    int fd = temp_file();
    EXPECT(fd >= 0);
    uint8_t *p = absent(N, 1), *q = absent(N, 2);
    EXPECT(write(fd, p, N) == (ssize_t)N);
    EXPECT(pwrite(fd, p + 5, 100000, (off_t)N) == 100000);
    struct iovec v[2] = {{p, 70000}, {p + 70000, 70000}};
    EXPECT(pwritev(fd, v, 2, 2 * (off_t)N) == 140000);
    EXPECT(pwritev2(fd, v, 2, 3 * (off_t)N, 0) == 140000);
    fill(p, N, 3);
    EXPECT(pread(fd, q, N, 0) == (ssize_t)N && same(q, N, 1));
    EXPECT(pread(fd, q, N, (off_t)N) == (ssize_t)N);
    EXPECT(same_from(q, 100000, 1, 5) && all_bytes(q + 100000, N - 100000, 0));
    v[0].iov_base = q;
    v[1].iov_base = q + 70000;
    EXPECT(preadv(fd, v, 2, 2 * (off_t)N) == 140000 && same(q, 140000, 1));
    q = absent(N, 9);
    v[0].iov_base = q;
    v[1].iov_base = q + 70000;
    EXPECT(preadv2(fd, v, 2, 3 * (off_t)N, 0) == 140000 && same(q, 140000, 1));
    EXPECT(same_from(q + 140000, N - 140000, 9, 140000));
    EXPECT(lseek(fd, 0, SEEK_CUR) == (off_t)N);
    return 0;
}

static int
read_at_end_of_file(void)
{
    int fd = temp_file();
    uint8_t *p = absent(N, 1), *q = absent(N, 2);
    EXPECT(write(fd, p, 100001) == 100001);
    EXPECT(pread(fd, q, N, 50000) == 50001);
    EXPECT(same_from(q, 50001, 1, 50000) && same_from(q + 50001, N - 50001, 2, 50001));
    q = absent(N, 2);
    EXPECT(read(fd, q, N) == 0);
    EXPECT(pread(fd, q, N, 1 << 20) == 0);
    EXPECT(pread(fd, q, N, -1) == -1 && errno == EINVAL);
    EXPECT(read(fileno(stdin) + 900000, q, N) == -1 && errno == EBADF);
    EXPECT(same(q, N, 2));
    EXPECT(lseek(fd, 0, SEEK_CUR) == 100001);
    return 0;
}

static int
direct_io(void)
{
    char path[64];
    int fd = temp_file();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int direct = open(path, O_RDWR | O_DIRECT);
    SKIP_IF(direct < 0, "no O_DIRECT here");
    uint8_t *p = absent_map(N, 1), *q = absent_map(N, 2);
    EXPECT(pwrite(direct, p, N, 0) == (ssize_t)N);
    EXPECT(pread(direct, q, N, 0) == (ssize_t)N);
    EXPECT(same(q, N, 1) && same(p, N, 1));
    uint8_t *r = absent_map(N, 3);
    EXPECT(raw_syscall(SYS_pwrite64, direct, (long)r, N, 0, 0, 0) == (long)N);
    q = absent_map(N, 2);
    EXPECT(raw_syscall(SYS_pread64, direct, (long)q, N, 0, 0, 0) == (long)N);
    EXPECT(same(q, N, 3));
    uint8_t *copy = copied(q, N);
    EXPECT(pread(direct, q, N / 2, N / 2) == (ssize_t)(N / 2));
    EXPECT(same(copy, N, 3) && same_from(q, N / 2, 3, N / 2));
    return 0;
}

static int
pipes(void)
{
    int fd[2];
    EXPECT(pipe2(fd, O_NONBLOCK) == 0);
    uint8_t *p = absent(N, 1), *q = absent(N, 2);
    size_t in = 0, out = 0;
    unsigned full = 0, empty = 0;
    while (out < N) {
        ssize_t n = in < N ? write(fd[1], p + in, N - in) : 0;
        EXPECT(n >= 0 || errno == EAGAIN);
        full += n < 0;
        in += n > 0 ? (size_t)n : 0;
        if (n > 0)
            continue;
        n = read(fd[0], q + out, N - out < 30000 ? N - out : 30000);
        EXPECT(n > 0 || errno == EAGAIN);
        empty += n < 0;
        out += n > 0 ? (size_t)n : 0;
    }
    EXPECT(full > 0 && empty == 0);
    EXPECT(same(q, N, 1) && same(p, N, 1));
    EXPECT(read(fd[0], q, N) == -1 && errno == EAGAIN);
    close(fd[1]);
    EXPECT(read(fd[0], q, N) == 0);
    EXPECT(same(q, N, 1));
    return 0;
}

static int
stdio_streams(void)
{
    FILE *f = tmpfile();
    uint8_t *p = absent(N, 1), *q = absent(N, 2);
    EXPECT(f && fwrite(p, 1, N, f) == N);
    EXPECT(fwrite(p + 3, 1, 100003, f) == 100003);
    EXPECT(fflush(f) == 0);
    rewind(f);
    EXPECT(fread(q, 1, N, f) == N && same(q, N, 1));
    q = absent(N, 2);
    EXPECT(fread(q, 1, N, f) == 100003 && feof(f));
    EXPECT(same_from(q, 100003, 1, 3) && same_from(q + 100003, N - 100003, 2, 100003));
    rewind(f);
    setvbuf(f, NULL, _IONBF, 0);
    q = absent(N, 2);
    EXPECT(fread(q, 1, N, f) == N && same(q, N, 1));
    fclose(f);
    return 0;
}

// Other system calls that read or write the program's memory; none of them has a hook.
static int
other_system_calls(void)
{
    int fd = temp_file(), status;
    uint8_t *p = absent_map(N, 1);
    struct stat *st = (struct stat *)(p + 5 * PAGE);
    EXPECT(fstat(fd, st) == 0 && st->st_nlink == 0);
    EXPECT(uname((struct utsname *)(p + 9 * PAGE)) == 0);
    EXPECT(syscall(SYS_getcwd, p + 12 * PAGE, PAGE) > 0 && p[12 * PAGE] == '/');
    EXPECT(syscall(SYS_getrandom, p + 20 * PAGE, 4 * PAGE, 0) == 4 * PAGE);
    EXPECT(same_from(p + 24 * PAGE, PAGE, 1, 24 * PAGE));
    // A path and an argument vector in absent memory.
    uint8_t *src = map_anon(N);
    src[0] = '/';
    strcpy((char *)src + 6 * PAGE + 10, "/bin/true");
    do_memcpy(p, src, N);
    munmap(src, N);
    EXPECT(raw_syscall(SYS_access, (long)(p + 6 * PAGE + 10), X_OK, 0, 0, 0, 0) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        char *argv[] = {(char *)p + 6 * PAGE + 10, NULL};
        execv(argv[0], argv);
        _exit(1);
    }
    EXPECT(waitpid(pid, &status, 0) == pid && status == 0);
    return 0;
}

// A futex word in absent memory, and a wait status written there by the kernel.
static int
kernel_writes_small_things(void)
{
    uint8_t *p = absent_map(N, 1);
    int *status = (int *)(p + 10 * PAGE);
    pid_t pid = fork();
    if (pid == 0)
        _exit(42);
    EXPECT(waitpid(pid, status, 0) == pid && WEXITSTATUS(*status) == 42);
    uint32_t *word = (uint32_t *)(p + 20 * PAGE);
    EXPECT(syscall(SYS_futex, word, 0 /* wait */, *word + 1, NULL, NULL, 0) == -1 && errno == EAGAIN);
    uint8_t *q = absent_map(N, 0);
    word = (uint32_t *)(q + 20 * PAGE);
    EXPECT(syscall(SYS_futex, word, 128 | 1 /* private wake */, 1, NULL, NULL, 0) == 0);
    return 0;
}

static int
sendfile_and_splice(void)
{
    int fd = temp_file(), pair[2];
    EXPECT(unix_pair(pair, SOCK_STREAM) == 0);
    uint8_t *p = absent(100000, 1), *q = absent(100000, 2);
    EXPECT(write(fd, p, 100000) == 100000);
    off_t at = 0;
    EXPECT(sendfile(pair[0], fd, &at, 100000) == 100000);
    EXPECT(recv(pair[1], q, 100000, MSG_WAITALL) == 100000);
    EXPECT(same(q, 100000, 1));
    return 0;
}

const struct adv_case adv_file_cases[] = {
    {"write_then_read_back", write_then_read_back, ADV_ELIDES},
    {"read_at_end_of_file", read_at_end_of_file, ADV_ELIDES},
    {"direct_io", direct_io, ADV_ELIDES},
    {"pipes", pipes, ADV_ELIDES},
    {"stdio_streams", stdio_streams, ADV_ELIDES},
    {"other_system_calls", other_system_calls, ADV_ELIDES},
    {"kernel_writes_small_things", kernel_writes_small_things, ADV_ELIDES},
    {"sendfile_and_splice", sendfile_and_splice, ADV_ELIDES},
    {NULL, NULL, 0},
};
