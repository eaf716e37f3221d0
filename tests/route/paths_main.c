// SPDX-License-Identifier: Apache-2.0
// paths FAMILY ROOT TRACE: does the calls of one family in the (empty) directory ROOT; the trace goes to the
// file TRACE by write(2) alone, so that it does not depend on what is tested.
#include <stdarg.h>

#include "tests/route/paths.h"

const char *root;
static int trace_fd;

void
trace(const char *format, ...)
{
    char line[8192];
    va_list ap;
    char *at;
    int n;

    va_start(ap, format);
    n = vsnprintf(line, sizeof(line) - 1, format, ap);
    va_end(ap);
    n = n < (int)sizeof(line) - 2 ? n : (int)sizeof(line) - 2;
    line[n++] = '\n';
    line[n] = '\0';
    while ((at = strstr(line, root)) != NULL) { // wherever it lies
        size_t len = strlen(root);

        memcpy(at, "ROOT", 4);
        memmove(at + 4, at + len, strlen(at + len) + 1);
        n = (int)strlen(line);
    }
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
trace_string(const char *text, const char *result)
{
    int err = errno;

    if (result)
        trace("%s = \"%s\"", text, result);
    else
        trace("%s = NULL %s", text, err ? strerrorname_np(err) : "(no error)");
    errno = err;
    return result;
}

void
trace_bytes(const char *text, const char *buf, long n)
{
    char out[2048];
    size_t at = 0;

    for (long i = 0; i < n && at < sizeof(out) - 8; i++)
        if (buf[i] >= ' ' && buf[i] < 127)
            out[at++] = buf[i];
        else
            at += (size_t)sprintf(out + at, "\\%03o", (unsigned char)buf[i]);
    out[at] = '\0';
    trace("%s: %ld bytes \"%s\"", text, n, out);
}

const char *
P(const char *name)
{
    static char buf[8][5000];
    static int next;
    char *p = buf[next++ % 8];

    snprintf(p, sizeof(buf[0]), "%s/%s", root, name);
    return p;
}

void
show_stat(const char *text, const struct stat *st)
{
    trace("%s: mode %06o nlink %ld uid %u gid %u rdev %lx size %ld blocks %s", text, st->st_mode,
          (long)st->st_nlink, st->st_uid, st->st_gid, (unsigned long)st->st_rdev,
          S_ISDIR(st->st_mode) ? 0 : (long)st->st_size,
          S_ISREG(st->st_mode) && st->st_blocks ? "some" : "none");
}

void
show(const char *path)
{
    struct stat st;

    if (lstat(path, &st) < 0)
        trace("%s: %s", path, strerrorname_np(errno));
    else
        show_stat(path, &st);
}

void
put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) || close(fd) < 0)
        trace("put %s: %s", path, strerrorname_np(errno));
}

void
show_file(const char *path)
{
    char buf[1024];
    int fd = open(path, O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof(buf));

    if (n < 0)
        trace("%s: %s", path, strerrorname_np(errno));
    else
        trace_bytes(path, buf, n);
    if (fd >= 0)
        close(fd);
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
        for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
            puts(families[i].name);
        return 0;
    }
    if (argc != 4)
        return 2;
    root = argv[2];
    trace_fd = open(argv[3], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (trace_fd < 0 || (trace_fd = fcntl(trace_fd, F_DUPFD_CLOEXEC, 200)) < 0 || chdir(root) < 0)
        return 2;
    umask(022);
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
        if (strcmp(families[i].name, argv[1]) == 0) {
            families[i].run();
            trace("end");
            return 0;
        }
    return 2;
}
