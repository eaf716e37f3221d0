// SPDX-License-Identifier: Apache-2.0
// Someone else looks at absent memory: another process, a debugger, the core dump.
#include "tests/adversarial/adv.h"

#include <sched.h>
#include <time.h>

#include <elf.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define N (256 * KIB)

static uint8_t *target;

// A child that makes absent memory at a place that the parent can compute, says so, and waits (or stops).
static pid_t
start_target(int ready[2], int *keep_alive, bool stop)
{
    int alive[2];
    if (pipe(ready) < 0 || pipe(alive) < 0)
        return -1;
    target = mmap(NULL, N, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *keep_alive = alive[1];
    pid_t pid = fork();
    if (pid == 0) {
        char c;
        close(alive[1]);
        uint8_t *src = new_filled(N, 1);
        do_memcpy(target, src, N);
        fill(src, N, 2);
        if (write(ready[1], "r", 1) != 1)
            _exit(1);
        if (stop)
            raise(SIGSTOP);
        (void)!read(alive[0], &c, 1);
        _exit(!same_from(target + 9 * PAGE, N - 9 * PAGE, 1, 9 * PAGE));
    }
    close(alive[0]);
    char c;
    return read(ready[0], &c, 1) == 1 ? pid : -1;
}

static int
process_vm_from_outside(void)
{
    int ready[2], alive;
    pid_t pid = start_target(ready, &alive, false);
    EXPECT(pid > 0);
    uint8_t *got = malloc(N), *put = new_filled(N, 3);
    struct iovec local = {got, N}, remote = {target, N};
    EXPECT(process_vm_readv(pid, &local, 1, &remote, 1, 0) == (ssize_t)N);
    EXPECT(same(got, N, 1));
    local = (struct iovec){put, 9 * PAGE};
    remote = (struct iovec){target, 9 * PAGE};
    EXPECT(process_vm_writev(pid, &local, 1, &remote, 1, 0) == 9 * PAGE);
    local = (struct iovec){got, N};
    remote = (struct iovec){target, N};
    EXPECT(process_vm_readv(pid, &local, 1, &remote, 1, 0) == (ssize_t)N);
    EXPECT(same(got, 9 * PAGE, 3) && same_from(got + 9 * PAGE, N - 9 * PAGE, 1, 9 * PAGE));
    close(alive);
    EXPECT(child_ok(pid));
    return 0;
}

// Waits for the condition, at most five seconds.
#define UNTIL(cond)                                                                                          \
    do {                                                                                                     \
        struct timespec t0, t1;                                                                              \
        clock_gettime(CLOCK_MONOTONIC, &t0);                                                                 \
        for (t1 = t0; !(cond) && t1.tv_sec < t0.tv_sec + 5; clock_gettime(CLOCK_MONOTONIC, &t1))             \
            sched_yield();                                                                                   \
        EXPECT(t1.tv_sec < t0.tv_sec + 5);                                                                   \
    } while (0)

static int
stopped_process_read(void)
{
    int ready[2], alive, status;
    char path[64];
    pid_t pid = start_target(ready, &alive, true);
    EXPECT(pid > 0 && waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
    snprintf(path, sizeof path, "/proc/%d/mem", (int)pid);
    int fd = open(path, O_RDONLY);
    uint8_t *got = malloc(N);
    EXPECT(fd >= 0);
    // The kernel answers EIO while a page is absent; a stopped program's are put back within a moment.
    UNTIL(pread(fd, got, N, (off_t)target) == (ssize_t)N);
    EXPECT(same(got, N, 1));
    kill(pid, SIGCONT);
    close(alive);
    EXPECT(child_ok(pid));
    return 0;
}

static int
ptraced(void)
{
    int ready[2], alive, status;
    pid_t pid = start_target(ready, &alive, false);
    EXPECT(pid > 0);
    SKIP_IF(ptrace(PTRACE_ATTACH, pid, NULL, NULL) < 0, "ptrace is refused here");
    EXPECT(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status));
    long word;
    UNTIL((errno = 0, word = ptrace(PTRACE_PEEKDATA, pid, target + 20 * PAGE, NULL), errno == 0));
    EXPECT(same_from(&word, sizeof word, 1, 20 * PAGE));
    EXPECT(ptrace(PTRACE_POKEDATA, pid, target + 3 * PAGE, 0x1122334455667788) == 0);
    EXPECT(ptrace(PTRACE_PEEKDATA, pid, target + 3 * PAGE, NULL) == 0x1122334455667788);
    EXPECT(ptrace(PTRACE_DETACH, pid, NULL, NULL) == 0);
    close(alive);
    EXPECT(child_ok(pid));
    return 0;
}

static int
gdb_attached(void)
{
    int ready[2], alive;
    char command[256], line[256];
    SKIP_IF(access("/usr/bin/gdb", X_OK) < 0, "no gdb");
    pid_t pid = start_target(ready, &alive, false);
    EXPECT(pid > 0);
    snprintf(command, sizeof command,
             "LD_PRELOAD= timeout -s KILL 15 gdb -nx -p %d -batch -ex 'print/x *(unsigned char*)%p@4' "
             "</dev/null 2>/dev/null",
             (int)pid, (void *)(target + 5 * PAGE));
    FILE *f = popen(command, "r");
    bool seen = false;
    char want[64];
    snprintf(want, sizeof want, "{0x%x, 0x%x, 0x%x, 0x%x}", pattern(1, 5 * PAGE), pattern(1, 5 * PAGE + 1),
             pattern(1, 5 * PAGE + 2), pattern(1, 5 * PAGE + 3));
    while (f && fgets(line, sizeof line, f)) {
        fputs(line, stderr);
        seen = seen || strstr(line, want);
    }
    EXPECT(f);
    int status = pclose(f);
    EXPECT(status == 0 && seen);
    close(alive);
    EXPECT(child_ok(pid));
    return 0;
}

// Whether the ELF core in fd holds n bytes of the pattern at the address.
static int
core_holds(int fd, const uint8_t *address, size_t n, unsigned seed)
{
    Elf64_Ehdr eh;
    EXPECT(pread(fd, &eh, sizeof eh, 0) == sizeof eh && eh.e_ident[0] == 0x7f && eh.e_type == ET_CORE);
    for (int i = 0; i < eh.e_phnum; i++) {
        Elf64_Phdr ph;
        EXPECT(pread(fd, &ph, sizeof ph, (off_t)(eh.e_phoff + (size_t)i * eh.e_phentsize)) == sizeof ph);
        uint64_t at = (uint64_t)address;
        if (ph.p_type != PT_LOAD || at < ph.p_vaddr || at >= ph.p_vaddr + ph.p_memsz)
            continue;
        size_t part = ph.p_vaddr + ph.p_memsz - at < n ? ph.p_vaddr + ph.p_memsz - at : n;
        EXPECT(at + part <= ph.p_vaddr + ph.p_filesz);
        uint8_t *got = malloc(part);
        EXPECT(pread(fd, got, part, (off_t)(ph.p_offset + at - ph.p_vaddr)) == (ssize_t)part);
        EXPECT(same(got, part, seed));
        free(got);
        return part == n ? 0 : core_holds(fd, address + part, n - part, seed);
    }
    EXPECT(!"the address is in the core");
    return 1;
}

static int
core_dumped(void)
{
    char dir[] = "/tmp/adversarial-core-XXXXXX", pattern_text[128] = "", path[256];
    struct rlimit lim = {RLIM_INFINITY, RLIM_INFINITY};
    int fd = open("/proc/sys/kernel/core_pattern", O_RDONLY), status;
    SKIP_IF(fd < 0 || read(fd, pattern_text, sizeof pattern_text - 1) <= 0, "core_pattern cannot be read");
    SKIP_IF(strchr("|/", pattern_text[0]), "core_pattern sends cores elsewhere");
    SKIP_IF(strncmp(pattern_text, "core\n", 5) != 0, "core_pattern is not plain 'core'");
    SKIP_IF(setrlimit(RLIMIT_CORE, &lim) < 0, "RLIMIT_CORE cannot be raised");
    EXPECT(mkdtemp(dir));
    uint8_t *p = map_anon(N);
    pid_t pid = fork();
    if (pid == 0) {
        uint8_t *src = new_filled(N, 1);
        CHILD_EXPECT(chdir(dir) == 0);
        do_memcpy(p, src, N);
        fill(src, N, 2);
        abort();
    }
    EXPECT(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    SKIP_IF(!WCOREDUMP(status), "no core is dumped here");
    snprintf(path, sizeof path, "%s/core", dir);
    fd = open(path, O_RDONLY);
    if (fd < 0) {
        snprintf(path, sizeof path, "%s/core.%d", dir, (int)pid);
        fd = open(path, O_RDONLY);
    }
    EXPECT(fd >= 0);
    int wrong = core_holds(fd, p, N, 1);
    unlink(path);
    rmdir(dir);
    return wrong;
}

static int
own_proc_mem(void)
{
    uint8_t *p = absent(N, 1), *got = malloc(N), *put = new_filled(8 * PAGE, 2);
    int fd = open("/proc/self/mem", O_RDWR);
    EXPECT(fd >= 0);
    // libzio(7), limits: the kernel does not wait for a page to be put back when a process reads its own
    // memory file.
    SKIP_IF(raw_syscall(SYS_pread64, fd, (long)got, N, (long)p, 0, 0) != (long)N,
            "EIO from /proc/self/mem, a limit");
    EXPECT(same(got, N, 1));
    uint8_t *q = absent_map(N, 3);
    EXPECT(raw_syscall(SYS_pwrite64, fd, (long)put, 8 * PAGE, (long)(q + PAGE), 0, 0) == 8 * PAGE);
    EXPECT(same(q, PAGE, 3) && same(q + PAGE, 8 * PAGE, 2));
    EXPECT(same_from(q + 9 * PAGE, N - 9 * PAGE, 3, 9 * PAGE));
    struct iovec local = {got, N}, remote = {q, N};
    do_memcpy(q, p, N);
    EXPECT(process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)N);
    EXPECT(same(got, N, 1));
    return 0;
}

// A source may be written by someone else while it is frozen: the copy must not see it.
static int
source_written_from_outside(void)
{
    int ready[2], go[2];
    uint8_t *src = map_anon(N), *dst = map_anon(N);
    EXPECT(pipe(ready) == 0 && pipe(go) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        char c;
        fill(src, N, 1);
        do_memcpy(dst, src, N);
        CHILD_EXPECT(write(ready[1], "r", 1) == 1 && read(go[0], &c, 1) == 1);
        CHILD_EXPECT(same(dst, N, 1));
        CHILD_EXPECT(same(src, N, 2));
        _exit(0);
    }
    char c;
    uint8_t *put = new_filled(N, 2);
    struct iovec local = {put, N}, remote = {src, N};
    EXPECT(read(ready[0], &c, 1) == 1);
    EXPECT(process_vm_writev(pid, &local, 1, &remote, 1, 0) == (ssize_t)N);
    EXPECT(write(go[1], "g", 1) == 1);
    EXPECT(child_ok(pid));
    return 0;
}

const struct adv_case adv_watch_cases[] = {
    {"process_vm_from_outside", process_vm_from_outside, ADV_ELIDES},
    {"stopped_process_read", stopped_process_read, ADV_ELIDES},
    {"ptraced", ptraced, ADV_ELIDES},
    {"gdb_attached", gdb_attached, ADV_ELIDES | ADV_SLOW},
    {"core_dumped", core_dumped, 0},
    {"own_proc_mem", own_proc_mem, ADV_ELIDES},
    {"source_written_from_outside", source_written_from_outside, ADV_ELIDES},
    {NULL, NULL, 0},
};
