// SPDX-License-Identifier: Apache-2.0
// posix_spawn, system, popen, daemon, vfork. The C library makes these of parts that no hook sees; where a
// routed file, directory or path takes part, or the environment was cleared, they are made here of fork and
// exec.
#include <errno.h>
#include <fcntl.h>
#include <paths.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libzio/real.h"
#include "libzio/route_libs.h"
#include "libzio/route_priv.h"
#include "libzio/sys.h"

// What posix_spawn_file_actions_t points to (posix/spawn_int.h of glibc; part of its ABI, as programs and the
// library are not built together).
struct action {
    enum { DO_CLOSE, DO_DUP2, DO_OPEN, DO_CHDIR, DO_FCHDIR, DO_CLOSEFROM, DO_TCSETPGRP } tag;
    union {
        struct {
            int fd;
        } close;
        struct {
            int fd, to;
        } dup2;
        struct {
            int fd;
            char *path;
            int flags;
            mode_t mode;
        } open;
        char *chdir;
        int fd;
    };
};

struct spawn {
    const char *path;
    const posix_spawn_file_actions_t *actions;
    const posix_spawnattr_t *attr;
    char *const *argv, *const *envp;
    bool search;
    uint64_t mask; // the program's own
};

// ---- in the child ----

static int
do_actions(const posix_spawn_file_actions_t *fa)
{
    const struct action *a = fa ? (const struct action *)fa->__actions : NULL;

    for (int i = 0; a && i < fa->__used; i++, a++) {
        int fd, flags;

        switch (a->tag) {
        case DO_CLOSE: // of what is not open is no failure
            close(a->close.fd);
            break;
        case DO_DUP2:
            if (a->dup2.fd != a->dup2.to) {
                if (dup2(a->dup2.fd, a->dup2.to) < 0)
                    return errno;
            } else if ((flags = fcntl(a->dup2.fd, F_GETFD)) < 0 ||
                       fcntl(a->dup2.fd, F_SETFD, flags & ~FD_CLOEXEC) < 0) {
                return errno;
            }
            break;
        case DO_OPEN:
            close(a->open.fd);
            fd = open(a->open.path, a->open.flags, a->open.mode);
            if (fd < 0 || (fd != a->open.fd && (dup2(fd, a->open.fd) < 0 || close(fd) < 0)))
                return errno;
            break;
        case DO_CHDIR:
            if (chdir(a->chdir) < 0)
                return errno;
            break;
        case DO_FCHDIR:
            if (fchdir(a->fd) < 0)
                return errno;
            break;
        case DO_CLOSEFROM:
            closefrom(a->fd);
            break;
        case DO_TCSETPGRP:
            if (tcsetpgrp(a->fd, getpgrp()) < 0)
                return errno;
            break;
        default:
            return EINVAL;
        }
    }
    return 0;
}

static int
do_attributes(const posix_spawnattr_t *attr, short flags)
{
    struct sched_param param;
    pid_t group;
    int policy;

    posix_spawnattr_getschedparam(attr, &param);
    posix_spawnattr_getschedpolicy(attr, &policy);
    posix_spawnattr_getpgroup(attr, &group);
    if (flags & POSIX_SPAWN_SETSCHEDULER ? sched_setscheduler(0, policy, &param) < 0
                                         : flags & POSIX_SPAWN_SETSCHEDPARAM && sched_setparam(0, &param) < 0)
        return errno;
    if (flags & POSIX_SPAWN_SETSID && setsid() < 0)
        return errno;
    if (flags & POSIX_SPAWN_SETPGROUP && setpgid(0, group) < 0)
        return errno;
    // As the kernel's calls: of this process alone, which has one thread.
    if (flags & POSIX_SPAWN_RESETIDS &&
        (zsys3(SYS_setresgid, -1, getgid(), -1) < 0 || zsys3(SYS_setresuid, -1, getuid(), -1) < 0))
        return EPERM;
    return 0;
}

// No handler of the parent may run here.
static void
reset_signals(const posix_spawnattr_t *attr, short flags)
{
    struct sigaction act, dfl = {.sa_handler = SIG_DFL};
    sigset_t set;

    sigemptyset(&set);
    if (flags & POSIX_SPAWN_SETSIGDEF)
        posix_spawnattr_getsigdefault(attr, &set);
    for (int sig = 1; sig < NSIG; sig++)
        if (real.sigaction(sig, NULL, &act) == 0 &&
            (sigismember(&set, sig) == 1 || (act.sa_handler != SIG_IGN && act.sa_handler != SIG_DFL)))
            real.sigaction(sig, &dfl, NULL);
}

static void __attribute__((noreturn)) child(const struct spawn *s, int out)
{
    short flags = 0;
    sigset_t mask;
    int err = 0;

    if (s->attr)
        posix_spawnattr_getflags(s->attr, &flags);
    reset_signals(s->attr, flags);
    if (s->attr)
        err = do_attributes(s->attr, flags);
    if (!err)
        err = do_actions(s->actions);
    if (!err) {
        if (flags & POSIX_SPAWN_SETSIGMASK && posix_spawnattr_getsigmask(s->attr, &mask) == 0)
            memcpy((void *)&s->mask, &mask, sizeof s->mask);
        zio_restore_signals(&s->mask);
        if (s->search)
            route_execvpe(s->path, s->argv, s->envp);
        else
            route_exec(AT_FDCWD, s->path, s->argv, s->envp, 0);
        err = errno;
    }
    zsys3(SYS_write, out, &err, sizeof err);
    real._exit(127);
    __builtin_unreachable();
}

// ---- in the parent ----

static int
fork_and_exec(pid_t *pid, struct spawn *s)
{
    int p[2], err = 0, n;
    pid_t child_pid;

    if (zsys2(SYS_pipe2, p, O_CLOEXEC) < 0)
        return EMFILE;
    p[0] = zio_high_fd(p[0]);
    p[1] = zio_high_fd(p[1]);
    zio_fd_ours_set(p[0], true);
    zio_fd_ours_set(p[1], true);
    zio_block_signals(&s->mask);
    child_pid = fork();
    if (child_pid == 0)
        child(s, p[1]);
    if (child_pid < 0)
        err = errno;
    zsys1(SYS_close, p[1]);
    while (child_pid > 0 && (n = (int)zsys3(SYS_read, p[0], &err, sizeof err)) == -EINTR)
        ;
    zsys1(SYS_close, p[0]);
    zio_fd_ours_set(p[0], false);
    zio_fd_ours_set(p[1], false);
    if (child_pid > 0 && err)
        while (zsys4(SYS_wait4, child_pid, 0, 0, 0) == -EINTR)
            ;
    zio_restore_signals(&s->mask);
    if (!err && pid)
        *pid = child_pid;
    return err;
}

static bool
leads_in(const char *path)
{
    struct route_target t;
    bool in = route_find(AT_FDCWD, path, 0, &t) == 0 && t.vol;

    route_done(&t);
    return in;
}

static bool
wants_libs(char *const envp[])
{
    for (; envp && *envp; envp++)
        if (strncmp(*envp, "LD_LIBRARY_PATH=", 16) == 0)
            return route_libs_path(*envp + 16);
    return false;
}

static bool
touches_volumes(const struct spawn *s)
{
    const posix_spawn_file_actions_t *fa = s->actions;
    const struct action *a = fa ? (const struct action *)fa->__actions : NULL;
    struct route_file *cwd = route_cwd_get();
    const char *path = getenv("PATH");

    route_file_put(cwd);
    // (While the limit is lifted for another thread, the C library's child would have it so for good.)
    if (cwd || route_any_fd() || route_fsize_limit() != RLIM64_INFINITY || !route_env_complete(s->envp) ||
        wants_libs(s->envp) || leads_in(s->path))
        return true;
    if (s->search && path)
        for (int i = 0; i < route_nvols; i++)
            if (strstr(path, route_vols[i].prefix))
                return true;
    for (int i = 0; a && i < fa->__used; i++, a++)
        if ((a->tag == DO_OPEN && leads_in(a->open.path)) || (a->tag == DO_CHDIR && leads_in(a->chdir)))
            return true;
    return false;
}

// Returns an errno.
static int
spawn(pid_t *pid, struct spawn *s)
{
    int saved = errno, r;

    if (route_idle() || !touches_volumes(s)) {
        r = s->search ? real.posix_spawnp(pid, s->path, s->actions, s->attr, s->argv, s->envp)
                      : real.posix_spawn(pid, s->path, s->actions, s->attr, s->argv, s->envp);
        if (route_idle() || (r != ENOENT && r != ENOTDIR))
            return r; // else a link may lead into a volume
    }
    r = fork_and_exec(pid, s);
    errno = saved;
    return r;
}

ZIO_EXPORT int
posix_spawn(pid_t *restrict pid, const char *restrict path,
            const posix_spawn_file_actions_t *restrict actions, const posix_spawnattr_t *restrict attr,
            char *const argv[restrict], char *const envp[restrict])
{
    struct spawn s = {path, actions, attr, argv, envp, false, 0};

    return spawn(pid, &s);
}

ZIO_EXPORT int
posix_spawnp(pid_t *restrict pid, const char *restrict file,
             const posix_spawn_file_actions_t *restrict actions, const posix_spawnattr_t *restrict attr,
             char *const argv[restrict], char *const envp[restrict])
{
    struct spawn s = {file, actions, attr, argv, envp, true, 0};

    return spawn(pid, &s);
}

// ---- system ----

static int
shell(const char *command, const posix_spawnattr_t *attr)
{
    char *argv[] = {(char *)"sh", (char *)"-c", (char *)command, NULL};
    int err, status = -1;
    pid_t pid;

    err = posix_spawn(&pid, _PATH_BSHELL, NULL, attr, argv, environ);
    if (err)
        return W_EXITCODE(127, 0);
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    return status;
}

ZIO_EXPORT int
system(const char *command)
{
    struct sigaction ign = {.sa_handler = SIG_IGN}, old_int, old_quit;
    sigset_t block, old, dfl;
    posix_spawnattr_t attr;
    int r;

    if (route_idle())
        return real.system(command);
    if (!command) // is there a shell?
        return system("exit 0") == 0;
    real.sigaction(SIGINT, &ign, &old_int);
    real.sigaction(SIGQUIT, &ign, &old_quit);
    sigemptyset(&block);
    sigaddset(&block, SIGCHLD);
    pthread_sigmask(SIG_BLOCK, &block, &old);
    sigemptyset(&dfl);
    if (old_int.sa_handler != SIG_IGN)
        sigaddset(&dfl, SIGINT);
    if (old_quit.sa_handler != SIG_IGN)
        sigaddset(&dfl, SIGQUIT);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setsigmask(&attr, &old);
    posix_spawnattr_setsigdefault(&attr, &dfl);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    r = shell(command, &attr);
    posix_spawnattr_destroy(&attr);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    real.sigaction(SIGINT, &old_int, NULL);
    real.sigaction(SIGQUIT, &old_quit, NULL);
    return r;
}

// ---- popen ----

struct pipe_stream {
    FILE *stream;
    pid_t pid;
    struct pipe_stream *next;
};
static struct pipe_stream *streams;
static pthread_mutex_t streams_lock = PTHREAD_MUTEX_INITIALIZER;

static int
popen_spawn(const char *command, int end, int want, pid_t *pid)
{
    char *argv[] = {(char *)"sh", (char *)"-c", (char *)command, NULL};
    posix_spawn_file_actions_t fa;
    int err;

    posix_spawn_file_actions_init(&fa);
    pthread_mutex_lock(&streams_lock);
    for (struct pipe_stream *s = streams; s; s = s->next) // POSIX: the child has none of the others
        if (fileno(s->stream) != want)
            posix_spawn_file_actions_addclose(&fa, fileno(s->stream));
    pthread_mutex_unlock(&streams_lock);
    err = posix_spawn_file_actions_adddup2(&fa, end, want);
    if (!err)
        err = posix_spawn(pid, _PATH_BSHELL, &fa, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&fa);
    return err;
}

// "r" or "w", and perhaps "e". 0: it is read from; 1: written to.
static int
popen_mode(const char *mode, bool *cloexec)
{
    int write = -1;

    *cloexec = false;
    for (; *mode; mode++)
        if (*mode == 'e')
            *cloexec = true;
        else if (write < 0 && (*mode == 'r' || *mode == 'w'))
            write = *mode == 'w';
        else
            return -1;
    return write;
}

ZIO_EXPORT FILE *
popen(const char *command, const char *mode)
{
    bool cloexec;
    int write = popen_mode(mode, &cloexec), p[2], err;
    struct pipe_stream *s;

    if (route_idle() || write < 0)
        return real.popen(command, mode);
    s = malloc(sizeof *s);
    if (!s || pipe2(p, O_CLOEXEC) < 0) {
        free(s);
        return NULL;
    }
    err = popen_spawn(command, p[!write], write ? 0 : 1, &s->pid);
    close(p[!write]);
    s->stream = err ? NULL : fdopen(p[write], write ? "w" : "r");
    if (!s->stream) {
        err = err ? err : errno;
        close(p[write]);
        free(s);
        errno = err;
        return NULL;
    }
    if (!cloexec)
        fcntl(p[write], F_SETFD, 0);
    pthread_mutex_lock(&streams_lock);
    s->next = streams;
    streams = s;
    pthread_mutex_unlock(&streams_lock);
    return s->stream;
}

ZIO_EXPORT int
pclose(FILE *stream)
{
    struct pipe_stream **p, *s;
    int status = -1;
    pid_t r;

    pthread_mutex_lock(&streams_lock);
    for (p = &streams; (s = *p) && s->stream != stream; p = &s->next)
        ;
    if (s)
        *p = s->next;
    pthread_mutex_unlock(&streams_lock);
    if (!s)
        return real.pclose(stream);
    fclose(stream);
    while ((r = waitpid(s->pid, &status, 0)) < 0 && errno == EINTR)
        ;
    free(s);
    return r < 0 ? -1 : status;
}

// ---- daemon, vfork ----

ZIO_EXPORT int
daemon(int nochdir, int noclose)
{
    int fd;

    if (route_idle())
        return real.daemon(nochdir, noclose);
    switch (fork()) {
    case -1:
        return -1;
    case 0:
        break;
    default:
        _exit(0);
    }
    if (setsid() < 0)
        return -1;
    if (!nochdir && chdir("/") < 0)
        return -1;
    if (noclose)
        return 0;
    fd = open(_PATH_DEVNULL, O_RDWR);
    if (fd < 0)
        return -1;
    for (int i = 0; i < 3; i++)
        dup2(fd, i);
    if (fd > 2)
        close(fd);
    return 0;
}

// The child of a vfork runs on its parent's stack and memory: it would change its parent's table of files.
// And so vfork is fork then; else a jump to the C library's, as the frame of a call would be overwritten.
pid_t (*route_real_vfork)(void) = fork;

__asm__(".text\n"
        ".globl vfork\n.type vfork, @function\nvfork:\n"
        ".globl __vfork\n.type __vfork, @function\n__vfork:\n"
        "    cmpb $0, route_on(%rip)\n"
        "    jne 1f\n"
        "    jmp *route_real_vfork(%rip)\n"
        "1:  jmp *route_fork(%rip)\n"
        ".size vfork, . - vfork\n.size __vfork, . - __vfork\n");
pid_t (*route_fork)(void) = fork;
