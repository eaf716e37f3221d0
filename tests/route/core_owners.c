// SPDX-License-Identifier: Apache-2.0
// Who owns a lock of fcntl's: a process, through exec, or all who share an open file description, until the
// last of them is gone, however it went.
#include <signal.h>
#include <sys/file.h>

#include "tests/route/core.h"

static int
lock(int fd, int cmd, short type, off_t start, off_t len)
{
    struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};

    return fcntl(fd, cmd, &l);
}

static void
ask(void *name)
{
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = open(P(name), O_RDWR), r = fcntl(fd, F_GETLK, &l);

    trace("%s: %d, type %d, start %ld, length %ld, %s", (char *)name, r, l.l_type, (long)l.l_start,
          (long)l.l_len,
          l.l_type == F_UNLCK    ? "nobody"
          : l.l_pid == getppid() ? "the parent"
          : l.l_pid == -1        ? "a description"
                                 : "another");
}

// ---- a process, through exec ----

// Behind exec: descriptors of "kept" (twice) and "idle".
void
owners_child(int kept, int idle)
{
    in_child("kept by exec", ask, (void *)"kept");
    in_child("never looked at", ask, (void *)"idle");
    in_child("its descriptor was closed on exec", ask, (void *)"closed");
    in_child("another descriptor was closed on exec", ask, (void *)"mixed");
    T(lock(kept, F_SETLK, F_WRLCK, 4, 4)); // over its own
    in_child("more", ask, (void *)"kept");
    T(lock(kept, F_SETLK, F_UNLCK, 2, 1));
    in_child("less", ask, (void *)"kept");
    T(close(idle));
    in_child("closed untouched", ask, (void *)"idle");
    T(close(dup(kept)));
    in_child("closed", ask, (void *)"kept");
}

static void
owner_of(void *arg)
{
    char number[16], number2[16];
    char *argv[] = {(char *)"core", (char *)"--child", (char *)root, (char *)trace_file, (char *)"owners",
                    number,         number2,           NULL};
    int kept, idle, closed, mixed;

    (void)arg;
    T((kept = open(P("kept"), O_RDWR)));
    T((idle = open(P("idle"), O_RDWR)));
    T((closed = open(P("closed"), O_RDWR | O_CLOEXEC)));
    T((mixed = open(P("mixed"), O_RDWR)));
    T(open(P("mixed"), O_RDONLY | O_CLOEXEC));
    T(lock(kept, F_SETLK, F_WRLCK, 0, 5));
    T(lock(idle, F_SETLK, F_RDLCK, 7, 1));
    T(lock(closed, F_SETLK, F_WRLCK, 0, 0));
    T(lock(mixed, F_SETLK, F_WRLCK, 0, 0));
    T(execv(P("none"), argv)); // changes nothing
    in_child("after no exec", ask, (void *)"closed");
    snprintf(number, sizeof number, "%d", kept);
    snprintf(number2, sizeof number2, "%d", idle);
    execv(self_, argv);
}

// ---- an open file description ----

static int ready[2], go[2], fd;

// Holds the description until it is killed.
static void
hold(void *arg)
{
    char byte;

    (void)arg;
    close(go[1]);
    if (write(ready[1], "r", 1) != 1 || read(go[0], &byte, 1) != 0)
        _exit(1);
}

static void
changes(void *arg)
{
    int *other = arg;

    T(lock(fd, F_OFD_SETLK, F_RDLCK, 0, 4)); // of the same description: a change of it
    T(lock(*other, F_OFD_SETLK, F_WRLCK, 0, 4));
    T(lock(*other, F_OFD_SETLK, F_RDLCK, 0, 4));
    T(lock(*other, F_OFD_SETLK, F_UNLCK, 0, 4));
    T(lock(fd, F_OFD_SETLK, F_WRLCK, 100, 10));
}

void
owners_exec(int inherited)
{
    T(lock(inherited, F_OFD_SETLK, F_WRLCK, 0, 200));
    in_child("by exec", ask, (void *)"shared");
}

static void
executes(void *arg)
{
    char number[16];
    char *argv[] = {
        (char *)"core", (char *)"--child", (char *)root, (char *)trace_file, (char *)"shared", number, NULL};

    (void)arg;
    snprintf(number, sizeof number, "%d", fd);
    execv(self_, argv);
}

static void
descriptions(void)
{
    pid_t pid[2];
    char byte;
    int other;

    T((fd = open(P("shared"), O_RDWR)));
    T((other = open(P("shared"), O_RDWR)));
    T(lock(fd, F_OFD_SETLK, F_WRLCK, 0, 4));
    in_child("child", changes, &other);
    in_child("two ranges", ask, (void *)"shared");
    T(lock(other, F_OFD_SETLK, F_WRLCK, 105, 1));
    T(lock(other, F_SETLK, F_WRLCK, 105, 1));
    T(lock(fd, F_OFD_SETLK, F_UNLCK, 0, 100));
    in_child("one", ask, (void *)"shared");
    in_child("exec", executes, NULL);
    T(lock(other, F_OFD_SETLK, F_RDLCK, 199, 1));
    T(lock(other, F_OFD_SETLK, F_RDLCK, 200, 1));
    if (pipe2(ready, O_CLOEXEC) != 0 || pipe2(go, O_CLOEXEC) != 0)
        return;
    pid[0] = begin_child(hold, NULL);
    pid[1] = begin_child(hold, NULL);
    if (read(ready[0], &byte, 1) != 1 || read(ready[0], &byte, 1) != 1)
        return;
    T(close(fd));
    T(lock(other, F_OFD_SETLK, F_WRLCK, 0, 0)); // the children have it
    kill(pid[0], SIGKILL);
    await_child("first", pid[0]);
    T(lock(other, F_OFD_SETLK, F_WRLCK, 0, 0));
    kill(pid[1], SIGKILL);
    await_child("last", pid[1]);
    T(lock(other, F_OFD_SETLK, F_WRLCK, 0, 0));
    T(close(other));
    close(go[1]);
}

void
family_owners(void)
{
    static const char *const names[] = {"kept", "idle", "closed", "mixed", "shared"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        close(make(names[i], "0123456789"));
    in_child("exec", owner_of, NULL);
    in_child("gone with the process", ask, (void *)"mixed");
    descriptions();
}
