// SPDX-License-Identifier: Apache-2.0
// Children with a deadline. See watch.h.
#include "tests/support/watch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int64_t
watch_now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

static const char *mark(void);

static void
child_main(const struct watch_job *job)
{
    setpgid(0, 0);
    int out = open(job->out, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
    int null = open("/dev/null", O_RDONLY);
    if (out < 0 || null < 0)
        _exit(126);
    int keep = job->keep_fd;
    if (keep >= 0 && keep < 4)
        keep = fcntl(keep, F_DUPFD, 10);
    dup2(null, 0);
    dup2(out, 1);
    dup2(out, 2);
    if (keep >= 0)
        dup2(keep, 3);
    syscall(SYS_close_range, job->keep_fd >= 0 ? 4 : 3, ~0u, 0);
    putenv((char *)mark());
    for (int i = 0; i < WATCH_ENV_MAX && job->env[i]; i++)
        putenv((char *)job->env[i]);
    signal(SIGPIPE, SIG_DFL);
    execv(job->argv[0], job->argv);
    _exit(127);
}

int
watch_start(struct watch_job *job)
{
    fflush(NULL);
    mark();
    job->hung = false;
    job->pidfd = -1;
    pid_t pid = fork();
    if (pid < 0)
        return -errno;
    if (pid == 0)
        child_main(job);
    setpgid(pid, pid);
    job->pid = pid;
    job->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    job->end_ns = watch_now_ns() + job->deadline_s * 1000000000ll;
    return job->pidfd < 0 ? -errno : 0;
}

static void
append_file(FILE *to, const char *what, const char *path)
{
    FILE *from = fopen(path, "r");
    if (!from)
        return;
    char line[512];
    while (fgets(line, sizeof line, from)) {
        if (strcmp(what, "status") == 0 && strncmp(line, "State:", 6) && strncmp(line, "Sig", 3))
            continue;
        line[strcspn(line, "\n")] = 0;
        fprintf(to, "    %s: %s\n", what, line);
    }
    fclose(from);
}

// Says where every thread of a hung process waits.
static void
describe(FILE *to, pid_t pid)
{
    static const char *const files[] = {"comm", "status", "wchan", "syscall", "stack"};
    char path[512];
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *dir = opendir(path);
    if (!dir)
        return;
    for (struct dirent *e; (e = readdir(dir));) {
        if (e->d_name[0] == '.')
            continue;
        fprintf(to, "  process %d thread %s\n", (int)pid, e->d_name);
        for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
            snprintf(path, sizeof path, "/proc/%d/task/%s/%s", (int)pid, e->d_name, files[i]);
            append_file(to, files[i], path);
        }
    }
    closedir(dir);
}

// In the environment of all that is started here, so that a helper can be told to be ours.
static const char *
mark(void)
{
    static char text[64];
    if (!text[0])
        snprintf(text, sizeof text, "ZIO_TEST_RUN=%d", (int)getpid());
    return text;
}

static size_t
read_proc(pid_t pid, const char *what, char *to, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, what);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, to, size - 1);
    if (fd >= 0)
        close(fd);
    to[n > 0 ? n : 0] = 0;
    return n > 0 ? (size_t)n : 0;
}

static bool
is_our_helper(pid_t pid)
{
    static char text[64 * 1024];
    if (!read_proc(pid, "comm", text, sizeof text) || strncmp(text, "zio-fault", 9))
        return false;
    size_t n = read_proc(pid, "environ", text, sizeof text);
    for (size_t at = 0; at < n; at += strlen(text + at) + 1)
        if (strcmp(text + at, mark()) == 0)
            return true;
    return false;
}

// Every process of the job's group, since it may be a child of the program that hangs; and the fault helpers.
static void
describe_group(const char *out, pid_t group)
{
    FILE *to = fopen(out, "a");
    if (!to)
        return;
    fprintf(to, "\nhung: the deadline passed\n");
    DIR *proc = opendir("/proc");
    for (struct dirent *e; proc && (e = readdir(proc));) {
        pid_t pid = atoi(e->d_name);
        if (pid > 0 && (getpgid(pid) == group || is_our_helper(pid)))
            describe(to, pid);
    }
    if (proc)
        closedir(proc);
    fclose(to);
}

static void
reap(struct watch_job *job)
{
    waitpid(job->pid, &job->status, 0);
    kill(-job->pid, SIGKILL); // what the program left behind; ESRCH is the usual answer
    close(job->pidfd);
    job->pidfd = -1;
    job->pid = 0;
}

int
watch_any(struct watch_job *jobs, int n)
{
    for (;;) {
        struct pollfd fds[64];
        int64_t next = INT64_MAX;
        int running = 0;
        for (int i = 0; i < n; i++) {
            fds[i] = (struct pollfd){.fd = jobs[i].pid ? jobs[i].pidfd : -1, .events = POLLIN};
            if (!jobs[i].pid)
                continue;
            running++;
            if (jobs[i].end_ns < next)
                next = jobs[i].end_ns;
        }
        if (!running)
            return -1;
        int64_t left = next - watch_now_ns();
        poll(fds, (nfds_t)n, left > 0 ? (int)(left / 1000000) + 1 : 0);
        for (int i = 0; i < n; i++) {
            if (!jobs[i].pid)
                continue;
            if (!fds[i].revents && watch_now_ns() >= jobs[i].end_ns) {
                jobs[i].hung = true;
                describe_group(jobs[i].out, jobs[i].pid);
                kill(-jobs[i].pid, SIGKILL);
            }
            if (fds[i].revents || jobs[i].hung) {
                reap(&jobs[i]);
                return i;
            }
        }
    }
}

// Counts the helpers that are left; the last time round it names and ends them.
static int
count_helpers(FILE *to)
{
    DIR *proc = opendir("/proc");
    int n = 0;
    for (struct dirent *e; proc && (e = readdir(proc));) {
        pid_t pid = atoi(e->d_name);
        if (pid <= 0 || !is_our_helper(pid))
            continue;
        n++;
        if (!to)
            continue;
        static char args[512];
        size_t len = read_proc(pid, "cmdline", args, sizeof args);
        for (size_t i = 0; i + 1 < len; i++)
            args[i] = args[i] ? args[i] : ' ';
        fprintf(to, "FAIL a helper outlived its program by seconds: process %d of: %s\n", (int)pid, args);
        describe(to, pid);
        kill(pid, SIGKILL);
    }
    if (proc)
        closedir(proc);
    return n;
}

int
watch_leftovers(FILE *to, int seconds)
{
    int64_t end = watch_now_ns() + seconds * 1000000000ll;
    while (count_helpers(NULL) > 0) {
        if (watch_now_ns() > end)
            return count_helpers(to);
        poll(NULL, 0, 10);
    }
    return 0;
}

const char *
watch_status(const struct watch_job *job)
{
    static char text[96];
    if (job->hung)
        snprintf(text, sizeof text, "hung (over %d s)", job->deadline_s);
    else if (WIFSIGNALED(job->status))
        snprintf(text, sizeof text, "signal %d (%s)", WTERMSIG(job->status),
                 strsignal(WTERMSIG(job->status)));
    else
        snprintf(text, sizeof text, "exit %d", WEXITSTATUS(job->status));
    return text;
}

void
watch_print_tail(FILE *to, const char *path, const char *prefix, long max)
{
    FILE *from = fopen(path, "r");
    if (!from)
        return;
    char line[1024];
    fseek(from, 0, SEEK_END);
    long size = ftell(from);
    fseek(from, size > max ? size - max : 0, SEEK_SET);
    while (fgets(line, sizeof line, from)) {
        line[strcspn(line, "\n")] = 0;
        fprintf(to, "%s%s\n", prefix, line);
    }
    fclose(from);
}

uint64_t
watch_counter(const char *path, const char *name)
{
    FILE *from = fopen(path, "r");
    if (!from)
        return 0;
    char key[96];
    char *line = NULL;
    size_t cap = 0;
    uint64_t sum = 0;
    snprintf(key, sizeof key, "\"%s\":", name);
    while (getline(&line, &cap, from) > 0) {
        const char *at = strstr(line, key);
        if (at)
            sum += strtoull(at + strlen(key), NULL, 10);
    }
    free(line);
    fclose(from);
    return sum;
}
