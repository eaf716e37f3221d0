// SPDX-License-Identifier: Apache-2.0
// Who asks: each way by which a thread's user and groups change shows at the next call. Files that one
// thread closes while others use them. Threads that are cancelled in the midst of their calls.
#include <grp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/file.h>
#include <sys/fsuid.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "tests/route/core.h"

enum { ALICE = 1001, TEAM = 2002 };

// ---- who asks ----

static int dir;

// By way of a descriptor, since the way there may be closed to others.
static int
try(const char *name)
{
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);

    if (fd >= 0)
        close(fd);
    return fd < 0 ? -1 : 0;
}

static int
owner_of_new(const char *name)
{
    struct stat st;
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600), r;

    r = fd >= 0 && fstat(fd, &st) == 0 ? (int)st.st_uid : -1;
    if (fd >= 0)
        close(fd);
    return r;
}

static void
by_functions(void *arg)
{
    static const gid_t team[] = {TEAM};

    (void)arg;
    T(try("own"));
    T(seteuid(ALICE));
    T(try("own"));
    T(owner_of_new("alice's"));
    T(seteuid(0));
    T(try("own"));
    T(owner_of_new("root's"));
    T(setfsuid(ALICE));
    T(try("own"));
    T(setfsuid(0));
    T(try("own"));
    T(setgroups(0, NULL));
    T(setresuid(-1, ALICE, -1));
    T(try("team's"));
    T(setresuid(-1, 0, -1));
    T(setgroups(1, team));
    T(setreuid(-1, ALICE));
    T(try("team's"));
    T(setreuid(-1, 0));
    T(setgroups(0, NULL));
    T(setegid(TEAM));
    T(seteuid(ALICE));
    T(try("team's"));
    T(seteuid(0));
    T(setregid(0, 0));
    T(setfsgid(TEAM));
    T(setfsuid(ALICE));
    T(try("team's"));
    T(setfsgid(0));
    T(try("team's"));
    T(setfsuid(0));
    T(setreuid(ALICE, 0)); // access asks for the real user
    T(faccessat(dir, "own", R_OK, 0));
    T(faccessat(dir, "own", R_OK, AT_EACCESS));
    T(try("own"));
    T(setreuid(0, 0));
    T(setuid(ALICE));
    T(try("own"));
}

static void
by_number(void *arg)
{
    static const gid_t team[] = {TEAM};

    (void)arg;
    T(try("own"));
    T(syscall(SYS_setresuid, -1, ALICE, -1));
    T(try("own"));
    T(syscall(SYS_setresuid, -1, 0, -1));
    T(try("own"));
    T(syscall(SYS_setfsuid, ALICE));
    T(try("own"));
    T(syscall(SYS_setfsuid, 0));
    T(syscall(SYS_setgroups, 1, team));
    T(syscall(SYS_setreuid, -1, ALICE));
    T(try("team's"));
    T(syscall(SYS_setreuid, -1, 0));
    T(syscall(SYS_setgroups, 0, NULL));
    T(syscall(SYS_setuid, ALICE));
    T(try("team's"));
}

static pthread_barrier_t step;

static void
turn(void)
{
    pthread_barrier_wait(&step);
}

static void *
other_thread(void *arg)
{
    (void)arg;
    T(try("own"));
    turn(); // the first one changes all threads
    turn();
    T(try("own"));
    turn(); // and back
    turn();
    T(try("own"));
    T(syscall(SYS_setresuid, -1, ALICE, -1)); // this one alone
    T(try("own"));
    turn();
    turn();
    return NULL;
}

static void
by_threads(void *arg)
{
    pthread_t t;

    (void)arg;
    pthread_barrier_init(&step, NULL, 2);
    pthread_create(&t, NULL, other_thread, NULL);
    turn();
    T(seteuid(ALICE));
    turn();
    turn();
    T(seteuid(0));
    turn();
    turn();
    T(try("own"));
    turn();
    pthread_join(t, NULL);
}

static void
by_birth(void *arg)
{
    (void)arg;
    T(try("own"));
}

void
family_who(void)
{
    if (geteuid() != 0) {
        trace("not root");
        return;
    }
    close(make("own", "x"));
    close(make("team's", "x"));
    T(chmod(root, 0777));
    T(chmod(P("own"), 0600));
    T(chown(P("team's"), 0, TEAM));
    T(chmod(P("team's"), 0040));
    dir = open(root, O_RDONLY | O_DIRECTORY);
    in_child("functions", by_functions, NULL);
    in_child("numbers", by_number, NULL);
    in_child("threads", by_threads, NULL);
    T(seteuid(ALICE));
    in_child("birth", by_birth, NULL);
    T(seteuid(0));
    T(try("own"));
    close(dir);
}

// ---- files in use ----

enum { USERS = 4, ROUNDS = 300 };

static _Atomic int used_fd, bad;
static atomic_bool stop;

static void *
user(void *arg)
{
    char c[4], *mine = arg;

    while (!stop) {
        int fd = used_fd;
        ssize_t n = pread(fd, c, 4, 0);

        // The number may be another file's by now, never another content.
        if (n == 4 ? memcmp(c, "aaaa", 4) != 0 && memcmp(c, "bbbb", 4) != 0 : n != -1 || errno != EBADF)
            bad++;
        n = read(fd, c, 0);
        if (n != 0 && errno != EBADF)
            bad++;
    }
    return mine;
}

// A file is let go of when the last who uses it is done: its lock is free then.
static void
try_locks(void *arg)
{
    int *busy = arg, a = open(P("a"), O_RDONLY), b = open(P("b"), O_RDONLY);

    *busy = flock(a, LOCK_EX | LOCK_NB) != 0 || flock(b, LOCK_EX | LOCK_NB) != 0;
    _exit(*busy);
}

void
family_uses(void)
{
    pthread_t t[USERS];
    int leaked = 0, busy = 0, status;

    close(make("a", "aaaa"));
    close(make("b", "bbbb"));
    for (int round = 0; round < ROUNDS / 10; round++) {
        stop = false;
        used_fd = open(P("a"), O_RDONLY);
        for (int i = 0; i < USERS; i++)
            pthread_create(&t[i], NULL, user, NULL);
        for (int i = 0; i < 10; i++) {
            int fd = open(P(i % 2 ? "a" : "b"), O_RDONLY);

            flock(fd, LOCK_SH);
            sched_yield();
            if (i % 3) {
                dup2(fd, used_fd);
                close(fd);
            } else {
                close(used_fd);
                used_fd = fd;
            }
            sched_yield();
        }
        close(used_fd);
        stop = true;
        for (int i = 0; i < USERS; i++)
            pthread_join(t[i], NULL);
        waitpid(begin_child(try_locks, &busy), &status, 0);
        leaked += WEXITSTATUS(status);
    }
    trace("%d wrong, %d left over", bad, leaked);
}

// ---- the first to be cancelled ----

static void *
writer(void *arg)
{
    int fd = *(int *)arg;
    char c[4] = "cccc";

    while (bad < 1000000) // until it is cancelled
        if (pwrite(fd, c, 4, 0) != 4 || fsync(fd) != 0 || pread(fd, c, 4, 0) != 4 ||
            lseek(fd, 4, SEEK_SET) != 4)
            bad++;
    return NULL;
}

// The threads are inside of some call when for the first time in this process one is cancelled; whatever they
// held then, the file can be used.
static void
cancel_all(void *arg)
{
    pthread_t t[USERS];
    char c[4];
    int fd = *(int *)arg;

    for (int i = 0; i < USERS; i++)
        pthread_create(&t[i], NULL, writer, arg);
    for (int i = 0; i < 100; i++)
        sched_yield();
    for (int i = 0; i < USERS; i++)
        pthread_cancel(t[i]);
    for (int i = 0; i < USERS; i++)
        pthread_join(t[i], NULL);
    if (pwrite(fd, "dddd", 4, 0) != 4 || fsync(fd) != 0 || pread(fd, c, 4, 0) != 4 || memcmp(c, "dddd", 4))
        bad++;
    _exit(bad ? 1 : 0);
}

void
family_cancels(void)
{
    int failed = 0, status;

    for (int i = 0; i < 20; i++) {
        int fd = make("c", "text");

        waitpid(begin_child(cancel_all, &fd), &status, 0);
        failed += status != 0;
        close(fd);
    }
    trace("%d failed", failed);
}

// ---- the first handler ----

static _Atomic int handled;
static const char *handled_file;
static int first_fd;

static void
open_here(int sig)
{
    int fd = open(handled_file, O_RDONLY);

    (void)sig;
    handled = fd < 0 ? errno : -1;
    close(fd);
}

static void *
stat_for_ever(void *arg)
{
    struct stat st;

    while (!stop)
        if (stat(handled_file, &st) != 0)
            bad++;
    return arg;
}

// A thread is inside of some call when this process gets its first handler, which runs in that thread at
// once.
static void
handle_first(void *arg)
{
    struct sigaction act = {.sa_handler = open_here, .sa_flags = SA_RESTART};
    pthread_t t;

    pthread_create(&t, NULL, *(int *)arg % 2 ? stat_for_ever : writer, &first_fd);
    for (int i = 0; i < 100; i++)
        sched_yield();
    alarm(20);
    sigaction(SIGUSR1, &act, NULL);
    pthread_kill(t, SIGUSR1);
    while (!handled)
        sched_yield();
    _exit(handled == -1 ? 0 : handled);
}

void
family_handles_first(void)
{
    int failed = 0, status;

    handled_file = P("c");
    for (int i = 0; i < 20; i++) {
        first_fd = make("c", "text");
        waitpid(begin_child(handle_first, &i), &status, 0);
        failed += status != 0;
        close(first_fd);
    }
    trace("%d failed", failed);
}

// ---- RLIMIT_FSIZE, and who has it ----

// The limit of a child is the program's, whatever another thread does meanwhile.
void
family_limited(void)
{
    char *argv[] = {"sh", "-c", "[ $(ulimit -Sf) = 2048 ]", NULL};
    struct rlimit all, few;
    extern char **environ;
    int failed = 0, status;
    pthread_t t;
    pid_t pid;

    close(make("c", "text"));
    handled_file = P("c");
    T(getrlimit(RLIMIT_FSIZE, &all));
    few = (struct rlimit){1 << 20, all.rlim_max};
    T(setrlimit(RLIMIT_FSIZE, &few));
    T(chdir("/")); // nothing of the children's is in a volume
    stop = false;
    pthread_create(&t, NULL, stat_for_ever, NULL);
    for (int i = 0; i < 20; i++) {
        if (posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ) != 0 || waitpid(pid, &status, 0) != pid)
            status = -1;
        failed += status != 0;
    }
    stop = true;
    pthread_join(t, NULL);
    trace("%d failed", failed);
    T(setrlimit(RLIMIT_FSIZE, &all));
    T(chdir(root));
}
