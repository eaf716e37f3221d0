// SPDX-License-Identifier: Apache-2.0
// New processes: absent memory on both sides of every call that makes one.
#include "tests/adversarial/adv.h"

#include <pthread.h>
#include <spawn.h>
#include <stdatomic.h>

#define N (512 * KIB)

extern char **environ;

static int
child_reads(void)
{
    uint8_t *p = absent(N, 1), *q = absent_map(N, 2);
    pid_t pid = fork();
    if (pid == 0) {
        CHILD_EXPECT(same(p, N, 1));
        CHILD_EXPECT(same(q, N, 2));
        _exit(0);
    }
    EXPECT(same(q, N, 2));
    EXPECT(child_ok(pid));
    EXPECT(same(p, N, 1));
    return 0;
}

static int
child_writes(void)
{
    uint8_t *p = absent(N, 1), *src = new_filled(N, 2), *dst = copied(src, N);
    pid_t pid = fork();
    if (pid == 0) {
        fill(p, N, 3);
        fill(src, N, 4);
        CHILD_EXPECT(same(dst, N, 2));
        fill(dst, N, 5);
        CHILD_EXPECT(same(p, N, 3) && same(src, N, 4) && same(dst, N, 5));
        _exit(0);
    }
    EXPECT(child_ok(pid));
    EXPECT(same(p, N, 1) && same(src, N, 2) && same(dst, N, 2));
    return 0;
}

static int
parent_writes(void)
{
    int go[2];
    uint8_t *p = absent(N, 1), *src = new_filled(N, 2), *dst = copied(src, N);
    EXPECT(pipe(go) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        char c;
        CHILD_EXPECT(read(go[0], &c, 1) == 1);
        CHILD_EXPECT(same(p, N, 1) && same(src, N, 2) && same(dst, N, 2));
        _exit(0);
    }
    fill(p, N, 3);
    fill(src, N, 4);
    EXPECT(same(dst, N, 2));
    free(dst);
    EXPECT(write(go[1], "x", 1) == 1);
    EXPECT(child_ok(pid));
    EXPECT(same(p, N, 3) && same(src, N, 4));
    return 0;
}

static int
both_copy_on(void)
{
    uint8_t *src = new_filled(N, 1), *dst = copied(src, N);
    for (unsigned i = 0; i < 20; i++) {
        pid_t pid = fork();
        CHILD_EXPECT(pid >= 0);
        uint8_t *next = copied(dst, N), *other = copied(src, N);
        if (pid == 0) {
            fill(dst, N, 50 + i);
            fill(src, N, 60 + i);
            CHILD_EXPECT(same(next, N, 1) && same(other, N, 1));
            do_memcpy(other, dst, N);
            CHILD_EXPECT(same(other, N, 50 + i));
            exit(0);
        }
        free(dst);
        dst = next;
        free(other);
        EXPECT(child_ok(pid));
    }
    EXPECT(same(dst, N, 1) && same(src, N, 1));
    return 0;
}

static int
generations(void)
{
    uint8_t *p = absent(N, 1), *q = absent(N, 2);
    for (unsigned depth = 0; depth < 6; depth++) {
        pid_t pid = fork();
        CHILD_EXPECT(pid >= 0);
        if (pid) {
            CHILD_EXPECT(same(q, N, 2));
            bool ok = child_ok(pid) && same(p, N, depth ? 100 + depth - 1 : 1);
            if (depth)
                _exit(!ok);
            EXPECT(ok);
            return 0;
        }
        uint8_t *r = new_filled(N, 100 + depth);
        do_memcpy(p, r, N);
        free(r);
    }
    CHILD_EXPECT(same(p, N, 105) && same(q, N, 2));
    _exit(0);
}

static int
after_raw(long pid, uint8_t *p, uint8_t *q)
{
    if (pid == 0) {
        bool ok = same(p, N, 1) && same(q, N, 2);
        fill(q, N, 3);
        uint8_t *r = map_anon(N);
        do_memcpy(r, p, N);
        ok = ok && same(r, N, 1) && same(q, N, 3);
        _exit(!ok);
    }
    EXPECT(pid > 0);
    EXPECT(child_ok((pid_t)pid));
    EXPECT(same(p, N, 1) && same(q, N, 2));
    return 0;
}

static int
raw_fork(void)
{
    uint8_t *p = absent(N, 1), *q = absent_map(N, 2);
    return after_raw(raw_syscall(SYS_fork, 0, 0, 0, 0, 0, 0), p, q);
}

static int
raw_clone(void)
{
    uint8_t *p = absent(N, 1), *q = absent_map(N, 2);
    return after_raw(syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0), p, q);
}

static int
under_fork(void)
{
    uint8_t *p = absent(N, 1), *q = absent_map(N, 2);
    return after_raw(_Fork(), p, q);
}

static int
vfork_and_exec(void)
{
    uint8_t *p = absent(N, 1);
    for (int i = 0; i < 10; i++) {
        pid_t pid = vfork();
        if (pid == 0) {
            execl("/bin/true", "true", NULL);
            _exit(1);
        }
        EXPECT(pid > 0 && child_ok(pid));
    }
    // The child borrows the parent's memory until it leaves.
    volatile int seen = 0;
    pid_t pid = vfork();
    if (pid == 0) {
        seen = p[5 * PAGE] == pattern(1, 5 * PAGE);
        _exit(0);
    }
    EXPECT(child_ok(pid) && seen);
    EXPECT(same(p, N, 1));
    return 0;
}

static int
spawned(void)
{
    pid_t pid;
    char *argv[] = {"sh", "-c", "exit 0", NULL};
    uint8_t *p = absent(N, 1);
    for (int i = 0; i < 10; i++) {
        EXPECT(posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ) == 0);
        EXPECT(child_ok(pid));
    }
    EXPECT(system("exit 3") == 3 << 8);
    FILE *f = popen("echo hello", "r");
    char line[16] = "";
    EXPECT(f && fgets(line, sizeof line, f) && line[0] == 'h');
    EXPECT(pclose(f) == 0);
    EXPECT(same(p, N, 1));
    return 0;
}

static int
daemonised(void)
{
    int fd[2];
    uint8_t *p = absent(N, 1), *src = new_filled(N, 2), *dst = copied(src, N);
    EXPECT(pipe(fd) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        if (daemon(0, 1) < 0)
            _exit(1);
        fill(src, N, 3);
        bool ok = same(p, N, 1) && same(dst, N, 2);
        _exit(write(fd[1], ok ? "y" : "n", 1) != 1);
    }
    close(fd[1]);
    char c = 0;
    EXPECT(child_ok(pid));
    EXPECT(read(fd[0], &c, 1) == 1 && c == 'y');
    EXPECT(same(p, N, 1));
    return 0;
}

// After exec nothing of the old image may be left over: run the canary in the new one.
static int
exec_with_absent_memory(void)
{
    uint8_t *p = absent(N, 1);
    pid_t pid = fork();
    if (pid == 0) {
        uint8_t *q = copied(p, N);
        if (q[3] == pattern(1, 3))
            execl("/proc/self/exe", "adversarial", "canary", NULL);
        _exit(1);
    }
    EXPECT(child_ok(pid));
    EXPECT(same(p, N, 1));
    execl("/proc/self/exe", "adversarial", "store_into_source", NULL);
    return 1;
}

static atomic_bool stop;

static void *
keep_copying(void *arg)
{
    uint8_t *src = new_filled(N, 7), *dst = map_anon(N);
    bool ok = true;
    while (!stop && ok) {
        do_memcpy(dst, src, N);
        ok = same(dst, PAGE, 7);
        uint8_t *m = absent_map(32 * PAGE, 8);
        ok = ok && same(m, PAGE, 8);
        munmap(m, 32 * PAGE);
    }
    return ok && same(dst, N, 7) ? arg : NULL;
}

static int
fork_while_others_copy(void)
{
    pthread_t threads[2];
    uint8_t *p = absent(N, 1);
    for (int i = 0; i < 2; i++)
        EXPECT(pthread_create(&threads[i], NULL, keep_copying, p) == 0);
    for (unsigned i = 0; i < 40; i++) {
        uint8_t *q = copied(p, N);
        pid_t pid = i % 4 ? fork() : _Fork();
        if (pid == 0) {
            alarm(10);
            CHILD_EXPECT(same(q, N, 1) && same(p, N, 1));
            uint8_t *r = map_anon(N);
            do_memcpy(r, q, N);
            fill(q, N, 2);
            CHILD_EXPECT(same(r, N, 1));
            _exit(0);
        }
        EXPECT(child_ok(pid));
        EXPECT(same(q, N, 1));
        free(q);
    }
    stop = true;
    for (int i = 0; i < 2; i++) {
        void *ok;
        EXPECT(pthread_join(threads[i], &ok) == 0 && ok);
    }
    return 0;
}

static int
exit_in_the_middle(void)
{
    for (int how = 0; how < 5; how++) {
        int status;
        pid_t pid = fork();
        if (pid == 0) {
            pthread_t thread;
            uint8_t *p = absent(N, 1);
            pthread_create(&thread, NULL, keep_copying, p);
            copied(p, N);
            switch (how) {
            case 0:
                exit(7);
            case 1:
                _exit(7);
            case 2:
                raw_syscall(SYS_exit_group, 7, 0, 0, 0, 0, 0);
                break;
            case 3:
                quick_exit(7);
            default:
                raise(SIGKILL);
            }
        }
        EXPECT(waitpid(pid, &status, 0) == pid);
        EXPECT(how < 4 ? WIFEXITED(status) && WEXITSTATUS(status) == 7
                       : WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    }
    return 0;
}

static int
dont_and_wipe_on_fork(void)
{
    uint8_t *p = absent_map(N, 1), *q = absent_map(N, 2), *r = absent_map(N, 3);
    EXPECT(madvise(p, N, MADV_WIPEONFORK) == 0);
    EXPECT(madvise(q, N, MADV_DONTFORK) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        CHILD_EXPECT(all_bytes(p, N, 0));
        CHILD_EXPECT(same(r, N, 3));
        unsigned char vec[1];
        CHILD_EXPECT(mincore(q, PAGE, vec) < 0 && errno == ENOMEM);
        _exit(0);
    }
    EXPECT(child_ok(pid));
    EXPECT(same(p, N, 1) && same(q, N, 2) && same(r, N, 3));
    return 0;
}

// By a system call that no hook sees: the child lacks memory that the library believes it has.
static int
raw_dont_fork(void)
{
    uint8_t *q = absent_map(N, 2), *r = absent_map(N, 3), *part = absent_map(N, 4);
    EXPECT(raw_syscall(SYS_madvise, (long)q, N, MADV_DONTFORK, 0, 0, 0) == 0);
    EXPECT(raw_syscall(SYS_madvise, (long)part + N / 2, N / 2, MADV_DONTFORK, 0, 0, 0) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        unsigned char vec[1];
        CHILD_EXPECT(same(r, N, 3) && same(part, N / 2, 4));
        CHILD_EXPECT(mincore(q, PAGE, vec) < 0 && errno == ENOMEM);
        _exit(0);
    }
    EXPECT(child_ok(pid));
    EXPECT(same(q, N, 2) && same(r, N, 3) && same(part, N, 4));
    return 0;
}

static void *
keep_unmapping(void *arg)
{
    while (!stop) {
        uint8_t *p = map_anon(N);
        do_memcpy(p, arg, N);
        raw_syscall(SYS_munmap, (long)p, N, 0, 0, 0, 0);
    }
    return arg;
}

// A thread is inside of an unmapping that no hook saw while another forks: the memory is gone in the child,
// and its notice is not read yet.
static int
fork_while_others_unmap(void)
{
    pthread_t threads[3];
    uint8_t *p = absent_map(N, 1);
    for (int i = 0; i < 3; i++)
        EXPECT(pthread_create(&threads[i], NULL, keep_unmapping, p) == 0);
    for (unsigned i = 0; i < 400; i++) {
        pid_t pid = i % 4 ? fork() : _Fork();
        if (pid == 0) {
            alarm(10);
            CHILD_EXPECT(same(p, N, 1));
            uint8_t *r = map_anon(N);
            CHILD_EXPECT(all_bytes(copied(r, N), N, 0));
            _exit(0);
        }
        EXPECT(child_ok(pid));
    }
    stop = true;
    for (int i = 0; i < 3; i++)
        EXPECT(pthread_join(threads[i], NULL) == 0);
    return 0;
}

// What was there before a fork stays "shared" for the kernel until it is written to, long after the child has
// gone: copies of it, which is all that a cache makes of its values, are to be elided again. Both while the
// child lives and after.
static int
copy_after_fork(void)
{
    uint8_t *src = new_filled(N, 1), *dst = NULL;
    int go[2];

    EXPECT(pipe(go) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        char c;
        CHILD_EXPECT(read(go[0], &c, 1) == 1);
        CHILD_EXPECT(same(src, N, 1));
        _exit(0);
    }
    for (int i = 0; i < 4; i++) {
        dst = copied(src, N);
        EXPECT(same(dst, N, 1));
        free(dst);
    }
    EXPECT(write(go[1], "g", 1) == 1 && child_ok(pid));
    for (int i = 0; i < 4; i++) {
        dst = copied(src, N);
        fill(src, PAGE, 2 + (unsigned)i);
        EXPECT(same_from(dst + PAGE, N - PAGE, 1, PAGE) && same(dst, PAGE, 1 + (unsigned)i));
        free(dst);
    }
    return 0;
}

// Another thread forks while one, to which signals come without end, is in system calls that read absent
// memory.
static atomic_bool forks_done;

static void
nothing(int sig)
{
    (void)sig;
}

static void *
writes_absent(void *arg)
{
    int fd = *(int *)arg;
    uint8_t *src = new_filled(N, 1);

    while (!atomic_load(&forks_done)) {
        uint8_t *p = copied(src, N);

        for (size_t at = 0; at < N; at += 8 * PAGE)
            if (raw_syscall(SYS_pwrite64, fd, (long)(p + at), 8 * PAGE, (long)at, 0, 0) < 0 && errno != EINTR)
                return NULL;
        free(p);
    }
    return arg;
}

static int
fork_while_signalled(void)
{
    struct sigaction act = {.sa_handler = nothing, .sa_flags = SA_RESTART};
    int fd = memfd_create("absent", MFD_CLOEXEC);
    pthread_t t;
    void *ok;

    EXPECT(fd >= 0 && sigaction(SIGUSR1, &act, NULL) == 0);
    EXPECT(pthread_create(&t, NULL, writes_absent, &fd) == 0);
    for (int i = 0; i < 60; i++) {
        for (int k = 0; k < 200; k++)
            pthread_kill(t, SIGUSR1);
        pid_t pid = fork();
        if (pid == 0)
            _exit(0);
        for (int k = 0; k < 200; k++)
            pthread_kill(t, SIGUSR1);
        EXPECT(pid > 0 && child_ok(pid));
    }
    atomic_store(&forks_done, true);
    EXPECT(pthread_join(t, &ok) == 0 && ok);
    return 0;
}

// Another thread forks while a handler copies in threads that it interrupted inside malloc: they hold
// malloc's lock, for which the C library's fork waits when every handler of pthread_atfork has run.
static atomic_bool handlers_done;
static uint8_t *handlers_source;
static __thread uint8_t *handlers_copy;

static void
copies(int sig)
{
    (void)sig;
    if (handlers_copy)
        do_memcpy(handlers_copy, handlers_source, 64 * KIB);
}

static void *
lives_in_malloc(void *arg)
{
    uint8_t *mine = copied(handlers_source, 64 * KIB);
    void *p[64] = {0};

    handlers_copy = mine;
    for (unsigned i = 0; !atomic_load(&handlers_done); i++) {
        free(p[i % 64]);
        p[i % 64] =
            malloc(2000 + i % 64 * 100); // past the thread's own cache: from the arena, under its lock
    }
    handlers_copy = NULL;
    for (unsigned i = 0; i < 64; i++)
        free(p[i]);
    return same(mine, 64 * KIB, 1) ? arg : NULL;
}

static int
fork_while_handlers_copy(void)
{
    struct sigaction act = {.sa_handler = copies, .sa_flags = SA_RESTART};
    pthread_t t[3];
    void *ok;

    handlers_source = new_filled(64 * KIB, 1);
    EXPECT(sigaction(SIGUSR1, &act, NULL) == 0);
    for (int i = 0; i < 3; i++)
        EXPECT(pthread_create(&t[i], NULL, lives_in_malloc, &handlers_done) == 0);
    for (int i = 0; i < 300; i++) {
        for (int k = 0; k < 3; k++)
            pthread_kill(t[k], SIGUSR1);
        pid_t pid = fork();
        if (pid == 0) {
            uint8_t *p = copied(handlers_source, 64 * KIB);
            _exit(same(p, 64 * KIB, 1) ? 0 : 1);
        }
        for (int k = 0; k < 3; k++)
            pthread_kill(t[k], SIGUSR1);
        EXPECT(pid > 0 && child_ok(pid));
    }
    atomic_store(&handlers_done, true);
    for (int i = 0; i < 3; i++)
        EXPECT(pthread_join(t[i], &ok) == 0 && ok);
    return 0;
}

const struct adv_case adv_fork_cases[] = {
    {"child_reads", child_reads, ADV_ELIDES},
    {"child_writes", child_writes, ADV_ELIDES},
    {"parent_writes", parent_writes, ADV_ELIDES},
    {"both_copy_on", both_copy_on, ADV_ELIDES},
    {"generations", generations, ADV_ELIDES},
    {"copy_after_fork", copy_after_fork, ADV_ELIDES},
    {"fork_while_signalled", fork_while_signalled, ADV_ELIDES | ADV_SLOW},
    {"fork_while_handlers_copy", fork_while_handlers_copy, ADV_SLOW},
    {"raw_fork", raw_fork, ADV_ELIDES},
    {"raw_clone", raw_clone, ADV_ELIDES},
    {"_Fork", under_fork, ADV_ELIDES},
    {"vfork_and_exec", vfork_and_exec, ADV_ELIDES},
    {"spawned", spawned, ADV_ELIDES},
    {"daemonised", daemonised, ADV_ELIDES},
    {"exec_with_absent_memory", exec_with_absent_memory, ADV_ELIDES},
    {"fork_while_others_copy", fork_while_others_copy, ADV_ELIDES | ADV_SLOW},
    {"exit_in_the_middle", exit_in_the_middle, 0},
    {"dont_and_wipe_on_fork", dont_and_wipe_on_fork, ADV_ELIDES},
    {"raw_dont_fork", raw_dont_fork, ADV_ELIDES},
    {"fork_while_others_unmap", fork_while_others_unmap, ADV_ELIDES | ADV_SLOW},
    {NULL, NULL, 0},
};
