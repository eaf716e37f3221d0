// SPDX-License-Identifier: Apache-2.0
// What a program sees of its children and threads: no helper process of ours, no lost SIGCHLD.
#include "tests/adversarial/adv.h"

#include <dirent.h>
#include <pthread.h>
#include <sched.h>

#define N (256 * KIB)

static int
no_children_of_ours(void)
{
    siginfo_t info;
    int status;
    EXPECT(wait(&status) == -1 && errno == ECHILD);
    uint8_t *p = absent(N, 1);
    EXPECT(same(p, N / 2, 1));
    EXPECT(wait(&status) == -1 && errno == ECHILD);
    EXPECT(waitpid(-1, &status, WNOHANG) == -1 && errno == ECHILD);
    EXPECT(waitpid(0, &status, WNOHANG) == -1 && errno == ECHILD);
    EXPECT(waitid(P_ALL, 0, &info, WEXITED | WNOHANG) == -1 && errno == ECHILD);
    pid_t pid = fork();
    if (pid == 0) {
        uint8_t *q = copied(p, N);
        bool ok = same(q, N, 1) && waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD;
        _exit(ok ? 5 : 1);
    }
    EXPECT(wait(&status) == pid && WEXITSTATUS(status) == 5);
    EXPECT(wait(&status) == -1 && errno == ECHILD);
    EXPECT(same(p, N, 1));
    return 0;
}

static volatile sig_atomic_t reaped, sigchlds;

static void
on_child(int sig)
{
    int saved = errno, status;
    (void)sig;
    sigchlds++;
    while (waitpid(-1, &status, WNOHANG) > 0)
        reaped++;
    errno = saved;
}

static bool
all_reaped(void *arg)
{
    (void)arg;
    return reaped == 10;
}

static int
waitpid_in_handler(void)
{
    struct sigaction act = {.sa_handler = on_child, .sa_flags = SA_RESTART};
    EXPECT(sigaction(SIGCHLD, &act, NULL) == 0);
    uint8_t *src = new_filled(N, 1);
    for (int i = 0; i < 10; i++) {
        uint8_t *p = copied(src, N);
        if (fork() == 0)
            _exit(!same(p, N, 1));
        EXPECT(same(p, N, 1));
        free(p);
    }
    EXPECT(wait_until(all_reaped, NULL, 10));
    EXPECT(sigchlds <= 10);
    return 0;
}

// With SIGCHLD ignored children vanish by themselves, and wait blocks until there is none.
static int
ignored_children(void)
{
    signal(SIGCHLD, SIG_IGN);
    uint8_t *p = absent(N, 1);
    EXPECT(fork() != 0 || (_exit(!same(p, N, 1)), 0));
    EXPECT(wait(NULL) == -1 && errno == ECHILD);
    EXPECT(same(p, N, 1));
    return 0;
}

static int
threads_of(const char *path)
{
    DIR *dir = opendir(path);
    int n = 0;
    for (struct dirent *e; dir && (e = readdir(dir));)
        n += e->d_name[0] != '.';
    if (dir)
        closedir(dir);
    return n;
}

// The process stays single-threaded in the kernel's eyes: unshare and setns depend on it.
static int
no_threads_of_ours(void)
{
    uint8_t *p = absent(N, 1);
    EXPECT(threads_of("/proc/self/task") == 1);
    EXPECT(same(p, N, 1));
    EXPECT(threads_of("/proc/self/task") == 1);
    return 0;
}

static int
child_exits_with_absent_memory(void)
{
    siginfo_t info = {0};
    for (int i = 0; i < 20; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            absent(N, 1);
            exit(i);
        }
        EXPECT(waitid(P_PID, (id_t)pid, &info, WEXITED) == 0);
        EXPECT(info.si_pid == pid && info.si_code == CLD_EXITED && info.si_status == i);
    }
    EXPECT(wait(NULL) == -1 && errno == ECHILD);
    return 0;
}

const struct adv_case adv_wait_cases[] = {
    {"no_children_of_ours", no_children_of_ours, ADV_ELIDES},
    {"waitpid_in_handler", waitpid_in_handler, ADV_ELIDES},
    {"ignored_children", ignored_children, ADV_ELIDES},
    {"no_threads_of_ours", no_threads_of_ours, ADV_ELIDES},
    {"child_exits_with_absent_memory", child_exits_with_absent_memory, 0},
    {NULL, NULL, 0},
};
