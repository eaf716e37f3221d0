// SPDX-License-Identifier: Apache-2.0
// Descriptors: ours must not be seen in the low numbers, and their loss must not cost a byte.
#include "tests/adversarial/adv.h"

#include <dirent.h>
#include <sys/resource.h>

#define N (256 * KIB)

struct fixture {
    uint8_t *absent, *src, *dst;
};

static void
set_up(struct fixture *f)
{
    f->absent = absent(N, 1);
    f->src = new_filled(N, 2);
    f->dst = copied(f->src, N);
}

// After the descriptors are gone: what is absent, what is frozen, and new copies.
static int
still_right(struct fixture *f)
{
    f->src[5 * PAGE] ^= 1;
    EXPECT(same(f->dst, N / 2, 2));
    f->src[5 * PAGE] ^= 1;
    EXPECT(same(f->absent, N, 1));
    uint8_t *again = copied(f->dst, N);
    fill(f->dst, N, 3);
    fill(f->src, N, 4);
    EXPECT(same(again, N, 2));
    for (int i = 0; i < 10; i++) {
        uint8_t *p = absent(N, 7);
        EXPECT(same(p, N, 7));
        free(p);
    }
    pid_t pid = fork();
    if (pid == 0)
        _exit(!same(again, N, 2));
    EXPECT(child_ok(pid));
    int fd[2];
    EXPECT(unix_pair(fd, SOCK_STREAM) == 0);
    EXPECT(send(fd[0], again, 100000, 0) == 100000);
    EXPECT(recv(fd[1], f->dst, 100000, MSG_WAITALL) == 100000);
    EXPECT(same(f->dst, 100000, 2));
    return 0;
}

static int
closefrom_3(void)
{
    struct fixture f;
    set_up(&f);
    closefrom(3);
    return still_right(&f);
}

static int
close_range_all(void)
{
    struct fixture f;
    set_up(&f);
    EXPECT(close_range(3, ~0u, 0) == 0);
    return still_right(&f);
}

static int
close_range_raw(void)
{
    struct fixture f;
    set_up(&f);
    EXPECT(raw_syscall(SYS_close_range, 3, ~0u, 0, 0, 0, 0) == 0);
    return still_right(&f);
}

static int
close_loop(void)
{
    struct fixture f;
    set_up(&f);
    for (int i = 3; i < 65536; i++)
        close(i);
    return still_right(&f);
}

static int
close_every_listed(void)
{
    struct fixture f;
    set_up(&f);
    DIR *dir = opendir("/proc/self/fd");
    EXPECT(dir);
    for (struct dirent *e; (e = readdir(dir));)
        if (atoi(e->d_name) > 2 && atoi(e->d_name) != dirfd(dir))
            close(atoi(e->d_name));
    closedir(dir);
    return still_right(&f);
}

static int
dup_over_high(void)
{
    struct fixture f;
    struct rlimit lim;
    set_up(&f);
    EXPECT(getrlimit(RLIMIT_NOFILE, &lim) == 0);
    int null = open("/dev/null", O_RDWR), top = lim.rlim_cur < 4096 ? (int)lim.rlim_cur : 4096;
    for (int i = 100; i < top; i++)
        EXPECT((i % 2 ? dup2(null, i) : dup3(null, i, O_CLOEXEC)) == i);
    for (int i = 100; i < top; i += 3)
        EXPECT(write(i, "x", 1) == 1);
    for (int i = 100; i < top; i++)
        EXPECT(close(i) == 0);
    return still_right(&f);
}

static int
lowest_numbers(void)
{
    int null = open("/dev/null", O_RDONLY);
    struct fixture f;
    set_up(&f);
    int fds[200];
    for (int i = 0; i < 200; i++) {
        fds[i] = dup(null);
        EXPECT(fds[i] == null + 1 + i);
    }
    close(fds[50]);
    EXPECT(open("/dev/null", O_RDONLY) == fds[50]);
    EXPECT(same(f.absent, N, 1));
    return still_right(&f);
}

static int
fd_limit_small(void)
{
    struct fixture f;
    struct rlimit lim = {16, 16};
    set_up(&f);
    EXPECT(setrlimit(RLIMIT_NOFILE, &lim) == 0);
    int null = open("/dev/null", O_RDONLY), last = null;
    for (int fd; (fd = dup(null)) >= 0;)
        last = fd;
    EXPECT(last == 15 && errno == EMFILE);
    for (int i = null + 1; i <= last; i++)
        close(i);
    return still_right(&f);
}

// The limit is there before the library elides anything: it runs in an exec'd copy of this program.
static int
fd_limit_small_from_the_start(void)
{
    struct rlimit lim = {8, 8};
    EXPECT(setrlimit(RLIMIT_NOFILE, &lim) == 0);
    execl("/proc/self/exe", "adversarial", "store_into_source", NULL);
    return 1;
}

static int
no_descriptors_inherited(void)
{
    struct fixture f;
    set_up(&f);
    FILE *p = popen("LD_PRELOAD= ls /proc/self/fd | wc -l", "r");
    char line[32] = "";
    EXPECT(p && fgets(line, sizeof line, p));
    pclose(p);
    EXPECT(atoi(line) == 4);
    return still_right(&f);
}

static int
closed_before_first_copy(void)
{
    closefrom(3);
    struct fixture f;
    set_up(&f);
    return still_right(&f);
}

static int
stdio_descriptors_closed(void)
{
    int keep = fcntl(2, F_DUPFD, 20);
    close(0);
    close(1);
    close(2);
    struct fixture f;
    set_up(&f);
    EXPECT(open("/dev/null", O_RDONLY) == 0);
    EXPECT(open("/dev/null", O_WRONLY) == 1);
    EXPECT(dup2(keep, 2) == 2);
    return still_right(&f);
}

const struct adv_case adv_fd_cases[] = {
    {"closefrom_3", closefrom_3, ADV_ELIDES},
    {"close_range_all", close_range_all, ADV_ELIDES},
    {"close_range_raw", close_range_raw, ADV_ELIDES},
    {"close_loop", close_loop, ADV_ELIDES},
    {"close_every_listed", close_every_listed, ADV_ELIDES},
    {"dup_over_high", dup_over_high, ADV_ELIDES},
    {"lowest_numbers", lowest_numbers, ADV_ELIDES},
    {"fd_limit_small", fd_limit_small, ADV_ELIDES},
    {"fd_limit_small_from_the_start", fd_limit_small_from_the_start, 0},
    {"no_descriptors_inherited", no_descriptors_inherited, ADV_ELIDES},
    {"closed_before_first_copy", closed_before_first_copy, 0},
    {"stdio_descriptors_closed", stdio_descriptors_closed, 0},
    {NULL, NULL, 0},
};
