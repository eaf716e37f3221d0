// SPDX-License-Identifier: Apache-2.0
// What goes over exec: descriptors, their offsets and locks, the current directory; all ways to start a
// program.
#include <signal.h>
#include <spawn.h>
#include <sys/file.h>
#include <sys/syscall.h>

#include "tests/route/core.h"

// ---- after exec: core --child ROOT TRACE HOW ARGS ----

int
exec_child(int argc, char **argv)
{
    const char *how = argc > 0 ? argv[0] : "";

    if (strcmp(how, "fd") == 0) {
        int fd = atoi(argv[1]);

        T(lseek(fd, 0, SEEK_CUR));
        T(fcntl(fd, F_GETFD));
        show_fd("after exec", fd);
    } else if (strcmp(how, "gone") == 0) {
        T(fcntl(atoi(argv[1]), F_GETFD));
        T(read(atoi(argv[1]), (char[1]){0}, 1));
    } else if (strcmp(how, "cwd") == 0) {
        show_fd("in the directory", open("b", O_RDONLY));
    } else if (strcmp(how, "std") == 0) {
        char buf[100];
        ssize_t n = read(0, buf, sizeof buf);

        trace("%zd bytes of input", n);
        T(write(1, buf, n > 0 ? (size_t)n : 0));
    } else if (strcmp(how, "lock") == 0) {
        T(flock(atoi(argv[1]), LOCK_EX | LOCK_NB));
        T(flock(open(P("lock"), O_RDONLY), LOCK_EX | LOCK_NB));
    } else if (strcmp(how, "dups") == 0) {
        T(lseek(atoi(argv[1]), 3, SEEK_SET));
        T(lseek(atoi(argv[2]), 0, SEEK_CUR));
    } else if (strcmp(how, "owners") == 0) {
        owners_child(atoi(argv[1]), atoi(argv[2]));
    } else if (strcmp(how, "shared") == 0) {
        owners_exec(atoi(argv[1]));
    } else if (strcmp(how, "fifo") == 0) {
        if (chdir(root) == 0)
            fifo_child(atoi(argv[1]));
    } else if (strcmp(how, "env") == 0) {
        trace("HOME %s, ZIO_FDS %s", getenv("HOME") ? "set" : "unset", getenv("ZIO_FDS") ? "set" : "unset");
        show_file("a");
    }
    return 7;
}

static char number[16], number2[16];

static char **
args(const char *how, int fd)
{
    static char *v[8];

    snprintf(number, sizeof number, "%d", fd);
    v[0] = (char *)"core";
    v[1] = (char *)"--child";
    v[2] = (char *)root;
    v[3] = (char *)trace_file;
    v[4] = (char *)how;
    v[5] = number;
    v[6] = number2;
    v[7] = NULL;
    return v;
}

struct start {
    const char *how;
    int fd;
    int kind;
};

enum { EXECVE, EXECL, EXECVP, EXECVEAT, FEXECVE, SYSCALL, CLEARED };

static void
start(void *arg)
{
    const struct start *s = arg;
    char **v = args(s->how, s->fd), *none[] = {NULL};

    switch (s->kind) {
    case EXECVE:
        execve(self_, v, environ);
        break;
    case EXECL:
        execl(self_, v[0], v[1], v[2], v[3], v[4], v[5], v[6], (char *)NULL);
        break;
    case EXECVP:
        execvp(self_, v);
        break;
    case EXECVEAT:
        syscall(SYS_execveat, AT_FDCWD, self_, v, environ, 0);
        break;
    case FEXECVE:
        fexecve(open(self_, O_RDONLY | O_CLOEXEC), v, environ);
        break;
    case SYSCALL:
        syscall(SYS_execve, self_, v, environ);
        break;
    case CLEARED:
        execve(self_, v, none);
        break;
    }
    trace("exec: %s", strerrorname_np(errno));
}

static void
started(const char *how, int fd, int kind)
{
    struct start s = {how, fd, kind};

    in_child(how, start, &s);
}

void
family_exec(void)
{
    int fd = make("a", "0123456789"), cloexec = open(P("a"), O_RDONLY | O_CLOEXEC), d, lock_fd;

    T(lseek(fd, 4, SEEK_SET));
    for (int kind = EXECVE; kind <= SYSCALL; kind++) {
        T(lseek(fd, kind, SEEK_SET));
        started("fd", fd, kind);
    }
    T(lseek(fd, 0, SEEK_CUR)); // the child has moved it
    started("gone", cloexec, EXECVE);
    T(fcntl(fd, F_SETFD, FD_CLOEXEC));
    started("gone", fd, EXECVE);
    T(fcntl(fd, F_SETFD, 0));
    d = dup(fd);
    snprintf(number2, sizeof number2, "%d", d);
    started("dups", fd, EXECVE);
    // The file has lost its name meanwhile.
    T(unlink(P("a")));
    T(lseek(fd, 0, SEEK_SET));
    started("fd", fd, EXECVE);
    close(fd);
    close(make("a", "for env"));
    started("env", 0, CLEARED);
    T(mkdir(P("dir"), 0755));
    close(make("dir/b", "b in dir"));
    T(chdir(P("dir")));
    started("cwd", 0, EXECVE);
    T(chdir(".."));
    lock_fd = make("lock", "");
    T(flock(lock_fd, LOCK_EX));
    started("lock", lock_fd, EXECVE);
    T(flock(open(P("lock"), O_RDONLY), LOCK_EX | LOCK_NB));
    T(execve(P("none"), args("x", 0), environ));
    T(execve(P("dir"), args("x", 0), environ));
    T(execve("/etc/passwd", args("x", 0), environ));
    T(execlp("no such program", "x", (char *)NULL));
    T(lseek(lock_fd, 0, SEEK_CUR)); // all is as it was after an exec that failed
    T(fcntl(lock_fd, F_GETFD));
}

// ---- posix_spawn and the like ----

static void
spawned(const char *text, const posix_spawn_file_actions_t *fa, const posix_spawnattr_t *attr, char **v)
{
    pid_t pid = -1;
    int err = posix_spawn(&pid, self_, fa, attr, v, environ);

    if (err)
        trace("%s: %s", text, strerrorname_np(err));
    else
        await_child(text, pid);
}

static void
vforked(int fd)
{
    pid_t pid = vfork();

    if (pid == 0) {
        execv(self_, args("fd", fd));
        _exit(9);
    }
    await_child("vfork", pid);
}

static void
streams(void)
{
    char command[12000], line[100] = "";
    FILE *f;

    snprintf(command, sizeof command, "cat < %s/in", root);
    f = popen(command, "r");
    if (!f || !fgets(line, sizeof line, f))
        trace("popen: %s", strerrorname_np(errno));
    trace("popen: %s", line);
    T(pclose(f));
    snprintf(command, sizeof command, "cat > %s/written", root);
    f = popen(command, "w");
    fprintf(f, "written by popen");
    T(pclose(f));
    show_file("written");
    f = popen("exit 3", "re");
    T(pclose(f));
    T(popen("true", "x") != NULL);
    snprintf(command, sizeof command, "cat %s/in > %s/copy; exit 5", root, root);
    T(system(command));
    show_file("copy");
    T(system(NULL) != 0);
}

void
family_spawn(void)
{
    posix_spawn_file_actions_t fa;
    posix_spawnattr_t attr;
    int fd = make("in", "input of spawn\n");
    sigset_t all;

    spawned("plain", NULL, NULL, args("fd", fd));
    T(lseek(fd, 0, SEEK_SET));
    posix_spawn_file_actions_init(&fa);
    posix_spawn_file_actions_addopen(&fa, 0, P("in"), O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&fa, 1, P("out"), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    spawned("open", &fa, NULL, args("std", 0));
    show_file("out");
    posix_spawn_file_actions_destroy(&fa);
    posix_spawn_file_actions_init(&fa);
    posix_spawn_file_actions_adddup2(&fa, fd, 0);
    posix_spawn_file_actions_addclose(&fa, fd);
    posix_spawn_file_actions_addopen(&fa, 1, P("out"), O_WRONLY | O_APPEND, 0);
    spawned("dup2", &fa, NULL, args("std", 0));
    spawned("close", &fa, NULL, args("gone", fd));
    show_file("out");
    posix_spawn_file_actions_addopen(&fa, 5, P("none"), O_RDONLY, 0);
    spawned("fails", &fa, NULL, args("std", 0));
    posix_spawn_file_actions_destroy(&fa);
    T(mkdir(P("dir"), 0755));
    close(make("dir/b", "by chdir"));
    posix_spawn_file_actions_init(&fa);
    posix_spawn_file_actions_addchdir_np(&fa, P("dir"));
    spawned("chdir", &fa, NULL, args("cwd", 0));
    posix_spawn_file_actions_destroy(&fa);
    posix_spawnattr_init(&attr);
    sigemptyset(&all);
    posix_spawnattr_setsigmask(&attr, &all);
    posix_spawnattr_setpgroup(&attr, 0);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
    T(lseek(fd, 0, SEEK_SET));
    spawned("attributes", NULL, &attr, args("fd", fd));
    T(lseek(fd, 2, SEEK_SET));
    vforked(fd);
    streams();
}
