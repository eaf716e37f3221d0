// SPDX-License-Identifier: Apache-2.0
// The exec family. Each ends in one place, where a path is native or a volume's (route_xexec.c).
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libzio/real.h"
#include "libzio/route_priv.h"
#include "libzio/route_xexec.h"
#include "libzio/sys.h"

#define ARGS_MAX 65536 // of the forms with a list

static int
run(const struct route_program *p, char *const envp[], int flags)
{
    uint64_t old[2];
    int r;

    route_table_runs(p->vol, p->ino, old);
    if (p->fd >= 0)
        r = route_exec_native(p->fd, "", p->argv, envp, AT_EMPTY_PATH, p->exe);
    else
        r = route_exec_native(p->dirfd, p->path, p->argv, envp, flags, NULL);
    route_table_runs(old[0], old[1], old);
    return r;
}

int
route_exec(int dirfd, const char *path, char *const argv[], char *const envp[], int flags)
{
    struct route_program p;
    int r = route_program(dirfd, path, argv, flags, &p);

    if (r < 0)
        return (int)route_result(r);
    r = run(&p, envp, flags);
    if (r == -ENOENT && route_program_script(&p) > 0)
        r = run(&p, envp, flags);
    route_program_done(&p);
    return (int)route_result(r);
}

ZIO_EXPORT int
execve(const char *path, char *const argv[], char *const envp[])
{
    if (route_idle())
        return real.execve(path, argv, envp);
    return route_exec(AT_FDCWD, path, argv, envp, 0);
}

ZIO_EXPORT int
execv(const char *path, char *const argv[])
{
    return execve(path, argv, environ);
}

int execveat(int dirfd, const char *path, char *const argv[], char *const envp[], int flags);
ZIO_EXPORT int
execveat(int dirfd, const char *path, char *const argv[], char *const envp[], int flags)
{
    if (route_idle())
        return (int)route_result(zsys5(SYS_execveat, dirfd, path, argv, envp, flags));
    return route_exec(dirfd, path, argv, envp, flags);
}

ZIO_EXPORT int
fexecve(int fd, char *const argv[], char *const envp[])
{
    if (route_idle())
        return real.fexecve(fd, argv, envp);
    if (fd < 0)
        return (int)route_result(-EINVAL);
    return route_exec(fd, "", argv, envp, AT_EMPTY_PATH);
}

// ---- along PATH ----

// A file without a known format is a shell script.
static int
exec_shell(const char *path, char *const argv[], char *const envp[])
{
    size_t n = 0;

    while (argv[n])
        n++;
    {
        const char *args[(n > 0 ? n : 1) + 2];

        args[0] = "/bin/sh";
        args[1] = path;
        if (n > 1)
            memcpy(args + 2, argv + 1, (n - 1) * sizeof *args);
        args[(n > 0 ? n : 1) + 1] = NULL;
        return route_exec(AT_FDCWD, "/bin/sh", (char *const *)args, envp, 0);
    }
}

static int
exec_or_shell(const char *path, char *const argv[], char *const envp[])
{
    int r = route_exec(AT_FDCWD, path, argv, envp, 0);

    return errno == ENOEXEC ? exec_shell(path, argv, envp) : r;
}

static bool
look_further(void)
{
    switch (errno) {
    case EACCES:
    case ENOENT:
    case ESTALE:
    case ENOTDIR:
    case ENODEV:
    case ETIMEDOUT:
        return true;
    default:
        return false;
    }
}

int
route_execvpe(const char *file, char *const argv[], char *const envp[])
{
    const char *path = getenv("PATH");
    size_t n = strlen(file);
    bool denied = false;
    char full[PATH_MAX];

    if (!*file)
        return (int)route_result(-ENOENT);
    if (strchr(file, '/'))
        return exec_or_shell(file, argv, envp);
    if (n > NAME_MAX)
        return (int)route_result(-ENAMETOOLONG);
    for (const char *p = path ? path : "/bin:/usr/bin", *end; p; p = *end ? end + 1 : NULL) {
        size_t len;

        end = p + strcspn(p, ":");
        len = (size_t)(end - p);
        if (len + 1 + n >= sizeof full)
            continue;
        memcpy(full, p, len);
        if (len > 0)
            full[len++] = '/';
        memcpy(full + len, file, n + 1);
        exec_or_shell(full, argv, envp);
        if (!look_further())
            return -1;
        denied |= errno == EACCES;
    }
    if (denied)
        errno = EACCES;
    return -1;
}

ZIO_EXPORT int
execvpe(const char *file, char *const argv[], char *const envp[])
{
    if (route_idle())
        return real.execvpe(file, argv, envp);
    return route_execvpe(file, argv, envp);
}

ZIO_EXPORT int
execvp(const char *file, char *const argv[])
{
    return execvpe(file, argv, environ);
}

// ---- with a list ----

static size_t
list_length(va_list ap)
{
    size_t n = 1;

    while (n < ARGS_MAX && va_arg(ap, char *))
        n++;
    return n;
}

#define LIST(first, argv, env)                                                                               \
    va_list ap;                                                                                              \
    size_t n;                                                                                                \
    va_start(ap, first);                                                                                     \
    n = list_length(ap);                                                                                     \
    va_end(ap);                                                                                              \
    char *argv[n + 1];                                                                                       \
    va_start(ap, first);                                                                                     \
    argv[0] = (char *)first;                                                                                 \
    for (size_t i = 1; i <= n; i++)                                                                          \
        argv[i] = va_arg(ap, char *);                                                                        \
    if (!argv[0])                                                                                            \
        n = 0;                                                                                               \
    env;                                                                                                     \
    va_end(ap)

ZIO_EXPORT int
execl(const char *path, const char *arg, ...)
{
    LIST(arg, argv, (void)0);
    return execve(path, argv, environ);
}

ZIO_EXPORT int
execlp(const char *file, const char *arg, ...)
{
    LIST(arg, argv, (void)0);
    return execvpe(file, argv, environ);
}

ZIO_EXPORT int
execle(const char *path, const char *arg, ...)
{
    char **envp;
    LIST(arg, argv, envp = va_arg(ap, char **));
    return execve(path, argv, envp);
}
