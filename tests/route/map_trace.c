// SPDX-License-Identifier: Apache-2.0
// See map_trace.h.
#include "tests/route/map_trace.h"

#include <setjmp.h>
#include <signal.h>

static sigjmp_buf back;

static void
on_fault(int sig)
{
    siglongjmp(back, sig);
}

static const char *
touch(volatile char *p, bool write, char c)
{
    static char text[8][16];
    static int turn;
    char *out = text[turn++ % 8];
    struct sigaction act = {.sa_handler = on_fault}, bus, segv;
    int sig;

    sigaction(SIGBUS, &act, &bus);
    sigaction(SIGSEGV, &act, &segv);
    sig = sigsetjmp(back, 1);
    if (sig == 0 && write)
        *p = c;
    if (sig == 0)
        snprintf(out, 16, "%d", (unsigned char)*p);
    else
        snprintf(out, 16, "%s", sig == SIGBUS ? "bus" : "segv");
    sigaction(SIGBUS, &bus, NULL);
    sigaction(SIGSEGV, &segv, NULL);
    return out;
}

const char *
look(const volatile char *p)
{
    return touch((volatile char *)p, false, 0);
}

const char *
store(volatile char *p, char c)
{
    return touch(p, true, c);
}

const char *
kernel_look(const char *p)
{
    int fd[2];
    ssize_t n;

    if (pipe(fd) != 0)
        return "no pipe";
    n = write(fd[1], p, 1);
    close(fd[0]);
    close(fd[1]);
    return n == 1 ? "1" : strerrorname_np(errno);
}

char
byte_at(size_t offset)
{
    return (char)('a' + (offset / PAGE * 7 + offset) % 26);
}

int
make_file(const char *name, size_t size, int flags)
{
    int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0644);
    char *buf = malloc(size + 1);

    for (size_t i = 0; i < size; i++)
        buf[i] = byte_at(i);
    if (fd < 0 || write(fd, buf, size) != (ssize_t)size) {
        printf("  cannot make %s: %s\n", name, strerrorname_np(errno));
        exit(1);
    }
    free(buf);
    close(fd);
    return open(name, flags);
}

void
show_mem(const char *p, size_t len)
{
    printf("  \"");
    for (size_t i = 0; i < len; i++) {
        if (p[i] > ' ' && p[i] < 127)
            putchar(p[i]);
        else
            printf("\\%d", (unsigned char)p[i]);
    }
    printf("\"\n");
    fflush(stdout);
}

void
show(const char *name, off_t offset, size_t len)
{
    char buf[64];
    int fd = open(name, O_RDONLY);
    ssize_t n = pread(fd, buf, len < sizeof buf ? len : sizeof buf, offset);
    struct stat st = {0};

    fstat(fd, &st);
    printf("  %s: %ld bytes; at %ld: %ld", name, (long)st.st_size, (long)offset, (long)n);
    show_mem(buf, n > 0 ? (size_t)n : 0);
    close(fd);
}

static bool
wanted(int argc, char **argv, const char *name)
{
    for (int i = 2; i < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return true;
    return argc <= 2;
}

int
trace_main(int argc, char **argv, const struct trace_case *cases)
{
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    if (argc < 2 || chdir(argv[1]) != 0) {
        fprintf(stderr, "usage: %s DIRECTORY [CASE...]\n", argv[0]);
        return 2;
    }
    for (; cases->name; cases++) {
        int status;
        pid_t pid;

        if (!wanted(argc, argv, cases->name))
            continue;
        printf("%s\n", cases->name);
        fflush(stdout);
        if (mkdir(cases->name, 0755) != 0 || chdir(cases->name) != 0) {
            printf("  no directory: %s\n", strerrorname_np(errno));
            return 1;
        }
        pid = fork();
        if (pid == 0) {
            alarm(20);
            cases->run();
            fflush(stdout);
            exit(0);
        }
        if (waitpid(pid, &status, 0) != pid)
            return 1;
        if (WIFSIGNALED(status))
            printf("  killed by %s\n", sigabbrev_np(WTERMSIG(status)));
        else if (WEXITSTATUS(status))
            printf("  exit %d\n", WEXITSTATUS(status));
        fflush(stdout);
        if (chdir("..") != 0)
            return 1;
    }
    return 0;
}
