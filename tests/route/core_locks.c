// SPDX-License-Identifier: Apache-2.0
// Locks of fcntl, flock and lockf, between descriptors and processes; waiting, and signals meanwhile.
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/time.h>

#include "tests/route/core.h"

static int
lock(int fd, int cmd, short type, off_t start, off_t len)
{
    struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};

    return fcntl(fd, cmd, &l);
}

static void
who(const char *text, int fd, off_t start, off_t len)
{
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = start, .l_len = len};
    int r = fcntl(fd, F_GETLK, &l);

    trace("%s: %d type %d start %ld len %ld by %s", text, r, l.l_type, (long)l.l_start, (long)l.l_len,
          l.l_type == F_UNLCK    ? "nobody"
          : l.l_pid == getppid() ? "parent"
                                 : "another");
}

static void
lock_child(void *arg)
{
    int fd = open(P("a"), O_RDWR);

    (void)arg;
    who("all", fd, 0, 0);
    who("10", fd, 10, 5);
    who("50", fd, 50, 5);
    T(lock(fd, F_SETLK, F_WRLCK, 0, 5));
    T(lock(fd, F_SETLK, F_WRLCK, 10, 5));
    T(lock(fd, F_SETLK, F_RDLCK, 30, 5));
    T(lock(fd, F_SETLK, F_RDLCK, 10, 5));
    T(lock(fd, F_SETLK, F_WRLCK, 100, 0));
    T(lockf(fd, F_TEST, 12));
    T(lockf(fd, F_TLOCK, 5));
    T(lockf(fd, F_ULOCK, 0));
    T(lock(fd, F_SETLK, F_UNLCK, 0, 0));
}

static void
flock_child(void *arg)
{
    int *fds = arg, own = open(P("f"), O_RDONLY);

    T(flock(own, LOCK_SH | LOCK_NB)); // the parent's is exclusive
    T(flock(own, LOCK_EX | LOCK_NB));
    T(flock(fds[0], LOCK_EX | LOCK_NB)); // the same description
    T(flock(fds[0], LOCK_SH));           // for the parent, too
    T(flock(own, LOCK_SH | LOCK_NB));
    T(flock(own, LOCK_EX | LOCK_NB));
    T(flock(own, 77));
    T(flock(99, LOCK_SH));
    T(flock(own, LOCK_UN));
}

static void
flock_alone(void *arg)
{
    (void)arg;
    T(flock(open(P("f"), O_RDWR), LOCK_EX | LOCK_NB));
}

static void
leave_lock(void *arg)
{
    T(flock(*(int *)arg, LOCK_EX | LOCK_NB)); // and ends: the parent's description still has it
}

void
family_locks(void)
{
    int fd = make("a", "0123456789"), ro = open(P("a"), O_RDONLY), fds[2];

    T(lock(fd, F_SETLK, F_WRLCK, 10, 10));
    T(lock(fd, F_SETLK, F_RDLCK, 30, 10));
    T(lock(ro, F_SETLK, F_WRLCK, 0, 1));
    T(lock(fd, F_SETLK, 77, 0, 1));
    T(lock(99, F_SETLK, F_RDLCK, 0, 1));
    T(lock(fd, F_SETLK, F_WRLCK, -5, 1));
    in_child("locked out", lock_child, NULL);
    T(close(ro)); // gives up all locks of this process on the file
    in_child("free", lock_child, NULL);
    T(lock(fd, F_OFD_SETLK, F_WRLCK, 0, 10));
    ro = open(P("a"), O_RDWR);
    T(lock(ro, F_OFD_SETLK, F_WRLCK, 5, 1));
    T(lock(ro, F_OFD_SETLK, F_WRLCK, 10, 1));
    T(lock(fd, F_OFD_SETLK, F_UNLCK, 0, 0));
    T(lock(ro, F_OFD_SETLK, F_WRLCK, 5, 1));
    close(make("f", ""));
    fds[0] = open(P("f"), O_RDONLY);
    T(flock(fds[0], LOCK_EX));
    fds[1] = open(P("f"), O_RDWR);
    T(flock(fds[1], LOCK_SH | LOCK_NB));
    in_child("flock", flock_child, fds);
    T(flock(fds[1], LOCK_SH | LOCK_NB)); // since the child made it a shared one
    T(close(fds[1]));
    T(flock(fds[0], LOCK_UN));
    in_child("unlocked", flock_alone, NULL);
    in_child("leaves one", leave_lock, &fds[0]);
    in_child("still locked", flock_alone, NULL);
    T(close(fds[0]));
    in_child("closed", flock_alone, NULL);
    T(fcntl(fd, F_SETLEASE, 77));
    T(fcntl(fd, F_GETLEASE));
    T(fcntl(fd, F_GETPIPE_SZ));
    T(fcntl(fd, 7777));
}

// ---- waiting ----

static volatile sig_atomic_t ticks;

static void
tick(int sig)
{
    (void)sig;
    ticks++;
}

static void
on_alarm(int flags)
{
    struct sigaction act = {.sa_handler = tick, .sa_flags = flags};

    sigaction(SIGALRM, &act, NULL);
    ticks = 0;
}

// Holds both kinds of lock until told to let go; tells when it has them.
static void
holder(void *arg)
{
    int *p = arg, fd = open(P("a"), O_RDWR);
    char c = 'x';

    if (lock(fd, F_SETLK, F_WRLCK, 0, 10) < 0 || flock(fd, LOCK_EX) < 0 || write(p[1], &c, 1) != 1)
        _exit(1);
    if (read(p[2], &c, 1) != 1)
        _exit(2);
}

static void
wait_interrupted(int fd)
{
    struct itimerval soon = {{0, 0}, {0, 50000}};

    on_alarm(0);
    setitimer(ITIMER_REAL, &soon, NULL);
    T(lock(fd, F_SETLKW, F_WRLCK, 0, 5));
    trace("%d ticks", (int)ticks);
    on_alarm(0);
    setitimer(ITIMER_REAL, &soon, NULL);
    T(flock(fd, LOCK_EX));
    trace("%d ticks", (int)ticks);
}

static void *
let_go(void *arg)
{
    int *p = arg;

    // Only once the waiter waits, which takes its first signal to tell.
    while (ticks == 0)
        poll(NULL, 0, 5);
    return write(p[3], "x", 1) == 1 ? NULL : arg;
}

static void
wait_restarted(int fd, int *p, pid_t pid)
{
    struct itimerval soon = {{0, 0}, {0, 50000}};
    pthread_t t;

    on_alarm(SA_RESTART);
    pthread_create(&t, NULL, let_go, p);
    setitimer(ITIMER_REAL, &soon, NULL);
    T(lock(fd, F_SETLKW, F_WRLCK, 0, 5));
    trace("%d ticks", ticks > 0);
    pthread_join(t, NULL);
    await_child("holder", pid);
    T(flock(fd, LOCK_EX));
}

static void
deadlock_child(void *arg)
{
    int *p = arg, fd = open(P("a"), O_RDWR);

    T(lock(fd, F_SETLK, F_WRLCK, 101, 1));
    if (write(p[1], "x", 1) != 1)
        _exit(1);
    alarm(20);
    _exit(lock(fd, F_SETLKW, F_WRLCK, 100, 1) == 0 ? 0 : errno == EDEADLK ? 1 : 2);
}

void
family_waits(void)
{
    int fd = make("a", "0123456789"), p[4], told, status;
    char c;
    pid_t pid;

    if (pipe(p) < 0 || pipe(p + 2) < 0)
        return;
    pid = begin_child(holder, p);
    if (read(p[0], &c, 1) != 1)
        trace("no holder");
    T(lock(fd, F_SETLK, F_WRLCK, 0, 5));
    T(flock(fd, LOCK_EX | LOCK_NB));
    wait_interrupted(fd);
    wait_restarted(fd, p, pid);
    T(flock(fd, LOCK_UN));
    T(lock(fd, F_SETLK, F_UNLCK, 0, 0));
    // A deadlock is told to one of the two.
    T(lock(fd, F_SETLK, F_WRLCK, 100, 1));
    pid = begin_child(deadlock_child, p);
    if (read(p[0], &c, 1) != 1)
        trace("no child");
    told = lock(fd, F_SETLKW, F_WRLCK, 101, 1) == 0 ? 0 : errno == EDEADLK ? 1 : 10;
    T(lock(fd, F_SETLK, F_UNLCK, 0, 0));
    if (waitpid(pid, &status, 0) == pid && WIFEXITED(status))
        told += WEXITSTATUS(status);
    trace("deadlock: told to %d of 2", told);
}
