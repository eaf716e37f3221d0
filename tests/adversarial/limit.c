// SPDX-License-Identifier: Apache-2.0
// Little memory, and no growth: limits of every kind, and long runs whose resident size must stay put.
#include "tests/adversarial/adv.h"

#include <sys/resource.h>
#include <sys/stat.h>

#define N (512 * KIB)

static int
churn(unsigned rounds)
{
    for (unsigned i = 0; i < rounds; i++) {
        uint8_t *p = absent(N, i), *q = copied(p, N);
        free(p);
        EXPECT(same(q, N, i));
        free(q);
    }
    return 0;
}

static int
address_space_limit(void)
{
    uint8_t *p = absent(N, 1);
    struct rlimit lim = {400 * MIB, RLIM_INFINITY};
    EXPECT(setrlimit(RLIMIT_AS, &lim) == 0);
    EXPECT(churn(50) == 0);
    errno = 0;
    EXPECT(!malloc(512 * MIB) && errno == ENOMEM);
    EXPECT(same(p, N, 1));
    return 0;
}

// An absolute limit, above what the program itself uses: what the library has reserved must not count against
// it.
static int
address_space_limit_absolute(void)
{
    uint8_t *p = absent(N, 1);
    struct rlimit lim = {512 * MIB, RLIM_INFINITY};
    EXPECT(setrlimit(RLIMIT_AS, &lim) == 0);
    uint8_t *q = malloc(100 * MIB);
    EXPECT(q);
    fill(q, N, 2);
    uint8_t *r = map_anon(100 * MIB);
    do_memcpy(r, q, N);
    EXPECT(churn(20) == 0);
    EXPECT(same(p, N, 1) && same(r, N, 2));
    return 0;
}

static int
address_space_limit_from_the_start(void)
{
    struct rlimit lim = {256 * MIB, RLIM_INFINITY};
    EXPECT(setrlimit(RLIMIT_AS, &lim) == 0);
    execl("/proc/self/exe", "adversarial", "source_freed", NULL);
    return 1;
}

static int
locked_memory_limit(void)
{
    struct rlimit lim = {0, 0};
    EXPECT(setrlimit(RLIMIT_MEMLOCK, &lim) == 0);
    return churn(50);
}

static int
process_limit(void)
{
    struct rlimit lim = {0, 0};
    EXPECT(setrlimit(RLIMIT_NPROC, &lim) == 0);
    SKIP_IF(geteuid() == 0 && setuid(65534) < 0, "cannot become nobody");
    return churn(20);
}

static bool
put_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY);
    bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        close(fd);
    return ok;
}

// Enters a new memory group with this limit; the path of the group goes to dir.
static bool
enter_memory_group(char dir[128], const char *limit)
{
    static const char *const roots[][2] = {{"/sys/fs/cgroup/memory", "memory.limit_in_bytes"},
                                           {"/sys/fs/cgroup", "memory.max"}};
    char path[256], pid[32];
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    for (int i = 0; i < 2; i++) {
        snprintf(dir, 128, "%s/adversarial-%s", roots[i][0], pid);
        if (mkdir(dir, 0755) < 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", dir, roots[i][1]);
        bool limited = put_text(path, limit);
        snprintf(path, sizeof path, "%s/cgroup.procs", dir);
        if (limited && put_text(path, pid))
            return true;
        rmdir(dir);
    }
    return false;
}

// Far more passes through than the group may hold at once; a leak or an unbounded pool is killed.
static int
memory_group_limit(void)
{
    char dir[128];
    int ready[2], status;
    EXPECT(pipe(ready) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        if (!enter_memory_group(dir, "50331648"))
            _exit(SKIPPED);
        CHILD_EXPECT(write(ready[1], dir, sizeof dir) == sizeof dir);
        uint8_t *kept[16];
        for (unsigned i = 0; i < 16; i++)
            kept[i] = absent(N, i);
        CHILD_EXPECT(churn(300) == 0);
        for (unsigned i = 0; i < 16; i++)
            CHILD_EXPECT(same(kept[i], N, i));
        execl("/proc/self/exe", "adversarial", "growth_of_receiver", NULL);
        _exit(1);
    }
    close(ready[1]);
    EXPECT(waitpid(pid, &status, 0) == pid);
    if (read(ready[0], dir, sizeof dir) == sizeof dir)
        rmdir(dir);
    SKIP_IF(WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED, "no memory control group can be made here");
    EXPECT(status == 0);
    return 0;
}

// Receive, copy, free: the resident size after many rounds is what it was after a few.
static int
growth_of_receiver(void)
{
    int fd[2];
    EXPECT(unix_pair(fd, SOCK_STREAM) == 0);
    uint8_t *piece = new_filled(128 * KIB, 1);
    long early = 0;
    for (unsigned i = 0; i < 3000; i++) {
        size_t n = 64 * KIB + i * 37 % (64 * KIB);
        uint8_t *in = malloc(n);
        EXPECT(send_all(fd[0], piece, n));
        EXPECT(recv(fd[1], in, n, MSG_WAITALL) == (ssize_t)n);
        uint8_t *copy = copied(in, n), *again = copied(copy, n);
        free(in);
        if (i % 7 == 0)
            EXPECT(same(again, n, 1));
        free(copy);
        free(again);
        if (i == 500)
            early = status_kib(getpid(), "VmRSS");
    }
    long late = status_kib(getpid(), "VmRSS");
    if (late > early + 16 * 1024)
        dprintf(2, "VmRSS %ld KiB after 500 rounds, %ld KiB after 3000\n", early, late);
    EXPECT(early > 0 && late <= early + 16 * 1024);
    return 0;
}

// A small piece of each large block lives on: it must not keep the block alive for ever.
static int
growth_by_small_pieces(void)
{
    enum { KEPT = 600 };
    static uint8_t *kept[KEPT];
    size_t piece = 4096;
    for (unsigned i = 0; i < KEPT; i++) {
        uint8_t *big = absent(MIB, i);
        kept[i] = malloc(piece);
        do_memcpy(kept[i], big + 40 * PAGE, piece);
        free(big);
    }
    long rss = status_kib(getpid(), "VmRSS"), shm = status_kib(getpid(), "RssShmem");
    if (rss > 160 * 1024)
        dprintf(2, "VmRSS %ld KiB (shmem %ld) for %d KiB kept\n", rss, shm, KEPT * 4);
    EXPECT(rss <= 160 * 1024);
    for (unsigned i = 0; i < KEPT; i++)
        EXPECT(same_from(kept[i], piece, i, 40 * PAGE));
    return 0;
}

static int
growth_by_address_space(void)
{
    EXPECT(churn(200) == 0);
    long early = status_kib(getpid(), "VmSize");
    EXPECT(churn(700) == 0);
    long late = status_kib(getpid(), "VmSize");
    EXPECT(late <= early + 64 * 1024);
    return 0;
}

// The number of mappings is limited (vm.max_map_count): many live copies must not use it up.
static int
many_live_copies(void)
{
    enum { LIVE = 3000 };
    static uint8_t *live[LIVE];
    uint8_t *src = new_filled(16 * PAGE, 1);
    for (unsigned i = 0; i < LIVE; i++) {
        live[i] = malloc(16 * PAGE + 32);
        do_memcpy(live[i], src, 16 * PAGE);
        if (i % 50 == 0)
            fill(src, 16 * PAGE, 1 + i / 50);
    }
    FILE *f = fopen("/proc/self/maps", "r");
    int lines = 0;
    for (int c; f && (c = fgetc(f)) != EOF;)
        lines += c == '\n';
    EXPECT(lines < 30000);
    for (unsigned i = 0; i < LIVE; i++)
        EXPECT(same(live[i], 16 * PAGE, i ? 1 + (i - 1) / 50 : 1));
    return 0;
}

const struct adv_case adv_limit_cases[] = {
    {"address_space_limit", address_space_limit, ADV_ELIDES},
    {"address_space_limit_absolute", address_space_limit_absolute, ADV_ELIDES},
    {"address_space_limit_from_the_start", address_space_limit_from_the_start, 0},
    {"locked_memory_limit", locked_memory_limit, 0},
    {"process_limit", process_limit, 0},
    {"memory_group_limit", memory_group_limit, ADV_SLOW},
    {"growth_of_receiver", growth_of_receiver, ADV_ELIDES | ADV_SLOW},
    {"growth_by_small_pieces", growth_by_small_pieces, ADV_ELIDES | ADV_SLOW},
    {"growth_by_address_space", growth_by_address_space, ADV_ELIDES | ADV_SLOW},
    {"many_live_copies", many_live_copies, ADV_ELIDES},
    {NULL, NULL, 0},
};
