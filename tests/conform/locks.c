// SPDX-License-Identifier: Apache-2.0
// Locks: fcntl's of a process and of an open file description, and flock's.
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "conform.h"

static int
lock(int fd, int cmd, short type, off_t start, off_t len)
{
    struct flock fl = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};

    return fcntl(fd, cmd, &fl);
}

// What stands against a lock, as `cmd` (F_GETLK, F_OFD_GETLK) tells it.
static struct flock
asked(int fd, int cmd, short type, off_t start, off_t len)
{
    struct flock fl = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};

    NEED(fcntl(fd, cmd, &fl));
    return fl;
}

static void
process_locks(void)
{
    pid_t me = getpid();
    struct flock fl;
    int fd, fd2;

    NEED(put_file("f", 0644, "0123456789"));
    NEED(fd = open("f", O_RDWR));
    T("write-lock", 0, lock(fd, F_SETLK, F_WRLCK, 2, 4));
    T("again-by-us", 0, lock(fd, F_SETLK, F_WRLCK, 2, 4));
    EQ("get-own", F_UNLCK, asked(fd, F_GETLK, F_WRLCK, 0, 0).l_type);
    CHILD () {
        T("conflict", EAGAIN, lock(fd, F_SETLK, F_WRLCK, 0, 0));
        T("conflict-read", EAGAIN, lock(fd, F_SETLK, F_RDLCK, 5, 1));
        T("beside-before", 0, lock(fd, F_SETLK, F_WRLCK, 0, 2));
        T("beside-behind", 0, lock(fd, F_SETLK, F_WRLCK, 6, 0));
        fl = asked(fd, F_GETLK, F_WRLCK, 0, 0);
        EQ("get-type", F_WRLCK, fl.l_type);
        EQ("get-start", 2, fl.l_start);
        EQ("get-len", 4, fl.l_len);
        EQ("get-pid", me, fl.l_pid);
        EQ("get-whence", SEEK_SET, fl.l_whence);
    }
    T("middle-unlock", 0, lock(fd, F_SETLK, F_UNLCK, 3, 1));
    CHILD () {
        T("middle-is-free", 0, lock(fd, F_SETLK, F_WRLCK, 3, 1));
        T("left-is-not", EAGAIN, lock(fd, F_SETLK, F_WRLCK, 2, 1));
        T("right-is-not", EAGAIN, lock(fd, F_SETLK, F_WRLCK, 5, 1));
    }
    T("downgrade", 0, lock(fd, F_SETLK, F_RDLCK, 0, 0));
    CHILD () {
        T("shared", 0, lock(fd, F_SETLK, F_RDLCK, 0, 10));
        T("shared-write", EAGAIN, lock(fd, F_SETLK, F_WRLCK, 0, 10));
        fl = asked(fd, F_GETLK, F_WRLCK, 0, 0);
        EQ("to-the-end", 0, fl.l_len);
    }
    T("upgrade", 0, lock(fd, F_SETLK, F_WRLCK, 0, 0));
    NEED(fd2 = open("f", O_RDONLY));
    close(fd2);
    CHILD ()
        T("any-close-gives-up", 0, lock(fd, F_SETLK, F_WRLCK, 0, 0));
    NEED(lseek(fd, 4, SEEK_SET));
    fl = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_CUR, .l_start = 1, .l_len = 2};
    T("from-current", 0, fcntl(fd, F_SETLK, &fl));
    fl = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_END, .l_start = -2, .l_len = 1};
    T("from-end", 0, fcntl(fd, F_SETLK, &fl));
    fl = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 3, .l_len = -3};
    T("negative-length", 0, fcntl(fd, F_SETLK, &fl));
    CHILD () {
        EQ("from-current-is", 5, asked(fd, F_GETLK, F_WRLCK, 4, 3).l_start);
        EQ("from-end-is", 8, asked(fd, F_GETLK, F_WRLCK, 8, 9).l_start);
        EQ("negative-length-is", 3, asked(fd, F_GETLK, F_WRLCK, 0, 3).l_len);
    }
    T("negative-start", EINVAL, lock(fd, F_SETLK, F_WRLCK, -1, 1));
    T("bad-type", EINVAL, lock(fd, F_SETLK, 99, 0, 1));
    T("bad-fd", EBADF, lock(-1, F_SETLK, F_WRLCK, 0, 1));
    T("get-unlock", EINVAL, lock(fd, F_GETLK, F_UNLCK, 0, 1));
    close(fd);
    NEED(fd = open("f", O_RDONLY));
    T("rdonly-write-lock", EBADF, lock(fd, F_SETLK, F_WRLCK, 0, 1));
    T("rdonly-read-lock", 0, lock(fd, F_SETLK, F_RDLCK, 0, 1));
    close(fd);
    NEED(fd = open("f", O_WRONLY));
    T("wronly-read-lock", EBADF, lock(fd, F_SETLK, F_RDLCK, 0, 1));
    T("lockf", 0, lockf(fd, F_LOCK, 5));
    CHILD ()
        T("lockf-test", EACCES,
          lockf(fd, F_TEST, 5) == -1 && (errno == EACCES || errno == EAGAIN) ? (errno = EACCES, -1) : 0);
    close(fd);
}

static pid_t
begin_child(void)
{
    pid_t pid;

    fflush(stdout);
    NEED(pid = fork());
    return pid;
}

static int
end_of(pid_t pid)
{
    int status = 0;

    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// Nothing comes out of the pipe for a while. (A lock that is given too early shows; one that is given late
// does not.)
static bool
silent(int fd)
{
    struct pollfd p = {fd, POLLIN, 0};

    return poll(&p, 1, 50) == 0;
}

// One waits until the other lets go: by unlocking, and by ending.
static void
waits(void)
{
    static const char *const names[] = {"fcntl", "ofd", "flock"};

    for (int kind = 0; kind < 3; kind++) {
        for (int by_exit = 0; by_exit < 2; by_exit++) {
            const char *by = by_exit ? "exit" : "unlock";
            int held[2], go[2], got[2];
            pid_t holder, waiter;
            char c = 0;

            NEED(pipe(held));
            NEED(pipe(go));
            NEED(pipe(got));
            holder = begin_child();
            if (holder == 0) {
                int fd = open("f", O_RDWR | O_CREAT, 0644);
                int r = kind == 2   ? flock(fd, LOCK_EX)
                        : kind == 1 ? lock(fd, F_OFD_SETLK, F_WRLCK, 0, 0)
                                    : lock(fd, F_SETLK, F_WRLCK, 0, 0);

                close(go[1]);
                if (r != 0 || write(held[1], "h", 1) != 1 || read(go[0], &c, 1) != 1)
                    _exit(1);
                if (by_exit)
                    _exit(0);
                r = kind == 2   ? flock(fd, LOCK_UN)
                    : kind == 1 ? lock(fd, F_OFD_SETLK, F_UNLCK, 0, 0)
                                : lock(fd, F_SETLK, F_UNLCK, 0, 0);
                _exit(r != 0 || read(go[0], &c, 1) != 1); // lives on until the other has it
            }
            NEED(read(held[0], &c, 1));
            waiter = begin_child();
            if (waiter == 0) {
                int fd = open("f", O_RDWR);
                int r = kind == 2   ? flock(fd, LOCK_EX)
                        : kind == 1 ? lock(fd, F_OFD_SETLKW, F_WRLCK, 0, 0)
                                    : lock(fd, F_SETLKW, F_WRLCK, 0, 0);

                _exit(r != 0 || write(got[1], "g", 1) != 1);
            }
            B(label_of("%s-waits-%s", names[kind], by), silent(got[0]));
            NEED(write(go[1], "u", 1));
            EQ(label_of("%s-goes-on-%s", names[kind], by), 1, read(got[0], &c, 1));
            EQ(label_of("%s-waiter-%s", names[kind], by), 0, end_of(waiter));
            NEED(write(go[1], "e", 1));
            EQ(label_of("%s-holder-%s", names[kind], by), 0, end_of(holder));
            for (int i = 0; i < 2; i++) {
                close(held[i]);
                close(go[i]);
                close(got[i]);
            }
        }
    }
}

static void
nothing(int sig)
{
    (void)sig;
}

// A wait ends by a signal, and where each would wait for the other.
static void
waits_end(void)
{
    struct sigaction act = {.sa_handler = nothing};
    struct itimerval soon = {{0, 20000}, {0, 20000}}, never = {{0, 0}, {0, 0}};
    int fd, a[2], b[2], deadlocks;
    char c;
    pid_t pid;

    NEED(fd = open("f", O_RDWR | O_CREAT, 0644));
    NEED(lock(fd, F_SETLK, F_WRLCK, 0, 1));
    CHILD () {
        NEED(sigaction(SIGALRM, &act, NULL));
        NEED(setitimer(ITIMER_REAL, &soon, NULL));
        T("fcntl-signal", EINTR, lock(fd, F_SETLKW, F_WRLCK, 0, 1));
    }
    int mine = open("f", O_RDWR);
    NEED(flock(mine, LOCK_EX));
    CHILD () {
        int other = open("f", O_RDWR);
        NEED(sigaction(SIGALRM, &act, NULL));
        NEED(setitimer(ITIMER_REAL, &soon, NULL));
        T("flock-signal", EINTR, flock(other, LOCK_EX));
        NEED(setitimer(ITIMER_REAL, &never, NULL));
    }
    NEED(flock(mine, LOCK_UN));
    NEED(pipe(a));
    NEED(pipe(b));
    NEED(lock(fd, F_SETLK, F_WRLCK, 0, 1));
    pid = begin_child();
    if (pid == 0) {
        NEED(lock(fd, F_SETLK, F_WRLCK, 1, 1));
        NEED(write(a[1], "1", 1));
        NEED(read(b[0], &c, 1));
        int r = lock(fd, F_SETLKW, F_WRLCK, 0, 1);
        _exit(r == 0 ? 0 : errno == EDEADLK ? 1 : 9);
    }
    NEED(read(a[0], &c, 1));
    NEED(write(b[1], "1", 1));
    deadlocks = lock(fd, F_SETLKW, F_WRLCK, 1, 1) == -1 && errno == EDEADLK;
    NEED(lock(fd, F_SETLK, F_UNLCK, 0, 0));
    EQ("deadlock-one", 1, deadlocks + end_of(pid));
}

static void
description_locks(void)
{
    struct flock fl;
    int a, b, c;

    NEED(put_file("f", 0644, "text"));
    NEED(a = open("f", O_RDWR));
    NEED(b = open("f", O_RDWR));
    T("set", 0, lock(a, F_OFD_SETLK, F_WRLCK, 0, 4));
    T("other-description", EAGAIN, lock(b, F_OFD_SETLK, F_WRLCK, 0, 1));
    T("other-description-read", EAGAIN, lock(b, F_OFD_SETLK, F_RDLCK, 3, 10));
    T("against-own-process-lock", EAGAIN, lock(b, F_SETLK, F_WRLCK, 0, 1));
    fl = asked(b, F_OFD_GETLK, F_WRLCK, 0, 0);
    EQ("get-type", F_WRLCK, fl.l_type);
    EQ("get-pid", -1, fl.l_pid);
    EQ("get-len", 4, fl.l_len);
    NEED(c = dup(a));
    T("dup-is-the-same", 0, lock(c, F_OFD_SETLK, F_RDLCK, 0, 4));
    T("shared", 0, lock(b, F_OFD_SETLK, F_RDLCK, 0, 4));
    T("shared-unlock", 0, lock(b, F_OFD_SETLK, F_UNLCK, 0, 4));
    T("upgrade", 0, lock(c, F_OFD_SETLK, F_WRLCK, 0, 4));
    CHILD () {
        T("child-is-the-same", 0, lock(a, F_OFD_SETLK, F_WRLCK, 0, 4));
        T("child-other", EAGAIN, lock(b, F_OFD_SETLK, F_WRLCK, 0, 4));
    }
    close(a);
    T("dup-holds", EAGAIN, lock(b, F_OFD_SETLK, F_WRLCK, 0, 4));
    close(open("f", O_RDONLY));
    T("other-close-keeps", EAGAIN, lock(b, F_OFD_SETLK, F_WRLCK, 0, 4));
    close(c);
    T("last-close-gives-up", 0, lock(b, F_OFD_SETLK, F_WRLCK, 0, 4));
    fl = (struct flock){.l_type = F_WRLCK, .l_pid = 1};
    T("pid-not-0", EINVAL, fcntl(b, F_OFD_SETLK, &fl));
    close(b);
}

static void
whole_file(void)
{
    int a, b, c;

    NEED(put_file("f", 0644, "text"));
    NEED(a = open("f", O_RDONLY));
    NEED(b = open("f", O_RDWR));
    T("exclusive", 0, flock(a, LOCK_EX));
    T("exclusive-again", 0, flock(a, LOCK_EX | LOCK_NB));
    T("conflict", EWOULDBLOCK, flock(b, LOCK_EX | LOCK_NB));
    T("conflict-shared", EWOULDBLOCK, flock(b, LOCK_SH | LOCK_NB));
    T("no-fcntl-conflict", 0, lock(b, F_SETLK, F_WRLCK, 0, 0));
    T("downgrade", 0, flock(a, LOCK_SH));
    T("shared", 0, flock(b, LOCK_SH | LOCK_NB));
    T("upgrade-conflict", EWOULDBLOCK, flock(a, LOCK_EX | LOCK_NB));
    T("unlock", 0, flock(b, LOCK_UN));
    T("upgrade", 0, flock(a, LOCK_EX | LOCK_NB));
    NEED(c = dup(a));
    close(a);
    T("dup-holds", EWOULDBLOCK, flock(b, LOCK_EX | LOCK_NB));
    CHILD () {
        T("child-is-the-same", 0, flock(c, LOCK_EX | LOCK_NB));
        T("child-other", EWOULDBLOCK, flock(b, LOCK_EX | LOCK_NB));
    }
    T("child-end-keeps", EWOULDBLOCK, flock(b, LOCK_EX | LOCK_NB));
    CHILD ()
        T("child-unlocks", 0, flock(c, LOCK_UN));
    T("child-unlocked", 0, flock(b, LOCK_EX | LOCK_NB));
    close(b);
    T("close-gives-up", 0, flock(c, LOCK_EX | LOCK_NB));
    T("bad-operation", EINVAL, flock(c, LOCK_SH | LOCK_EX));
    close(c);
    T("bad-fd", EBADF, flock(c, LOCK_EX));
    NEED(mkdir("d", 0755));
    NEED(a = open("d", O_RDONLY));
    NEED(b = open("d", O_RDONLY));
    T("dir", 0, flock(a, LOCK_EX));
    T("dir-conflict", EWOULDBLOCK, flock(b, LOCK_EX | LOCK_NB));
    close(a);
    close(b);
    NEED(a = open("f", O_RDONLY));
    NEED(unlink("f"));
    T("unlinked", 0, flock(a, LOCK_EX));
    NEED(put_file("f", 0644, ""));
    NEED(b = open("f", O_RDONLY));
    T("another-of-the-name", 0, flock(b, LOCK_EX | LOCK_NB));
}

// More ranges than a table of a fixed size would have.
static void
many_ranges(void)
{
    int fd, failed = 0;

    NEED(put_file("f", 0644, ""));
    NEED(fd = open("f", O_RDWR));
    for (int i = 0; i < 600; i++)
        failed += lock(fd, F_SETLK, F_WRLCK, i * 10, 5) != 0;
    EQ("locked", 0, failed);
    for (int i = 0; i < 600; i++)
        failed += lock(fd, F_SETLK, F_UNLCK, i * 10 + 2, 1) != 0;
    EQ("split", 0, failed);
    CHILD () {
        T("left", EAGAIN, lock(fd, F_SETLK, F_RDLCK, 5991, 1));
        T("between", 0, lock(fd, F_SETLK, F_RDLCK, 5992, 1));
        T("right", EAGAIN, lock(fd, F_SETLK, F_RDLCK, 5993, 1));
    }
    T("unlock-all", 0, lock(fd, F_SETLK, F_UNLCK, 0, 0));
    CHILD ()
        T("unlocked-all", 0, lock(fd, F_SETLK, F_WRLCK, 0, 0));
    close(fd);
}

const struct test_case cases_locks[] = {
    {"lock", process_locks},
    {"lock-wait", waits},
    {"lock-wait-ends", waits_end},
    {"lock-ofd", description_locks},
    {"lock-many", many_ranges},
    {"flock", whole_file},
    {NULL, NULL},
};
