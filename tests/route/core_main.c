// SPDX-License-Identifier: Apache-2.0
// core FAMILY ROOT TRACE: does the calls of one family in the (empty) directory ROOT; the trace goes to the
// file TRACE by write(2) alone.
#include <stdarg.h>

#include "tests/route/core.h"

const char *root, *self_, *trace_file;
static int trace_fd;

void
trace(const char *format, ...)
{
    char line[8192];
    va_list ap;
    char *at;
    int n;

    va_start(ap, format);
    n = vsnprintf(line, sizeof line - 1, format, ap);
    va_end(ap);
    n = n < (int)sizeof line - 2 ? n : (int)sizeof line - 2;
    line[n++] = '\n';
    line[n] = '\0';
    while (root && (at = strstr(line, root)) != NULL) { // wherever it lies
        memcpy(at, "ROOT", 4);
        memmove(at + 4, at + strlen(root), strlen(at + strlen(root)) + 1);
    }
    n = (int)strlen(line);
    if (write(trace_fd, line, (size_t)n) != n)
        _exit(3);
}

long
trace_call(const char *text, long result)
{
    int err = errno;

    if (result == -1)
        trace("%s = -1 %s", text, err ? strerrorname_np(err) : "(no error)");
    else
        trace("%s = %ld", text, result);
    errno = err;
    return result;
}

const char *
P(const char *name)
{
    static _Thread_local char buf[8][5000];
    static _Thread_local int next;
    char *p = buf[next++ % 8];

    snprintf(p, sizeof buf[0], "%s/%s", root, name);
    return p;
}

int
make(const char *name, const char *text)
{
    int fd = open(P(name), O_RDWR | O_CREAT | O_TRUNC, 0644);

    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) || lseek(fd, 0, SEEK_SET) != 0)
        trace("make %s: %s", name, strerrorname_np(errno));
    return fd;
}

void
show_fd(const char *text, int fd)
{
    char buf[512], out[2100];
    ssize_t n = read(fd, buf, sizeof buf);
    size_t at = 0;

    if (n < 0) {
        trace("%s: %s", text, strerrorname_np(errno));
        return;
    }
    for (ssize_t i = 0; i < n; i++)
        at +=
            (size_t)sprintf(out + at, buf[i] >= ' ' && buf[i] < 127 ? "%c" : "\\%03o", (unsigned char)buf[i]);
    out[at] = '\0';
    trace("%s: %zd bytes \"%s\"", text, n, out);
}

void
show_file(const char *name)
{
    int fd = open(P(name), O_RDONLY);

    show_fd(name, fd);
    if (fd >= 0)
        close(fd);
}

pid_t
begin_child(void (*fn)(void *), void *arg)
{
    pid_t pid = fork();

    if (pid == 0) {
        fn(arg);
        _exit(0);
    }
    return pid;
}

void
await_child(const char *text, pid_t pid)
{
    int status = 0;

    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR) {
            trace("%s: no child: %s", text, strerrorname_np(errno));
            return;
        }
    if (WIFEXITED(status))
        trace("%s: exit code %d", text, WEXITSTATUS(status));
    else
        trace("%s: signal %d", text, WTERMSIG(status));
}

void
in_child(const char *text, void (*fn)(void *), void *arg)
{
    await_child(text, begin_child(fn, arg));
}

int
main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } families[] = {
#define X(name) {#name, family_##name},
        FAMILIES(X)
#undef X
    };

    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        for (size_t i = 0; i < sizeof families / sizeof families[0]; i++)
            puts(families[i].name);
        return 0;
    }
    if (argc < 4)
        return 2;
    self_ = "/proc/self/exe";
    root = argv[2];
    trace_file = argv[3];
    trace_fd = open(argv[3], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (trace_fd < 0)
        return 2;
    if (fcntl(trace_fd, F_DUPFD_CLOEXEC, 200) < 0 || close(trace_fd) < 0)
        return 2;
    trace_fd = 200;
    umask(022);
    if (strcmp(argv[1], "--child") == 0)
        return exec_child(argc - 4, argv + 4);
    if (chdir(root) < 0)
        return 2;
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++)
        if (strcmp(families[i].name, argv[1]) == 0) {
            families[i].run();
            trace("end");
            return 0;
        }
    return 2;
}
