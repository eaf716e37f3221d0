// SPDX-License-Identifier: Apache-2.0
// Verdicts, child processes and shorthands of the conformance suite.
#include <grp.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <time.h>

#include "conform.h"
#include "main.h"

static char last_label[200]; // for the line of a case that ends early

static void
verdict(const char *label, bool good, const char *why)
{
    char name[300];

    snprintf(last_label, sizeof last_label, "%s", label);
    snprintf(name, sizeof name, "%s/%s", case_name, label);
    report(name, good, why);
}

void
check_call(const char *label, int want, long result, int err, const char *text)
{
    char why[600], got[100];
    bool good = want ? result == -1 && err == want : result != -1;

    if (result == -1)
        snprintf(got, sizeof got, "%s", strerrorname_np(err) ? strerrorname_np(err) : "an unknown errno");
    else
        snprintf(got, sizeof got, "%ld", result);
    snprintf(why, sizeof why, "%.300s gives %s, not %s", text, got, want ? strerrorname_np(want) : "success");
    verdict(label, good, why);
}

void
check_equal(const char *label, long long want, long long got, const char *text)
{
    char why[600];

    snprintf(why, sizeof why, "%.300s is %lld (0%llo), not %lld (0%llo)", text, got, (unsigned long long)got,
             want, (unsigned long long)want);
    verdict(label, want == got, why);
}

void
check_true(const char *label, bool cond, const char *text)
{
    char why[600];

    snprintf(why, sizeof why, "not so: %.500s", text);
    verdict(label, cond, why);
}

void
check_skip(const char *label, const char *reason)
{
    printf("skip %s/%s: %s\n", case_name, label, reason);
    fflush(stdout);
}

const char *
label_of(const char *format, ...)
{
    static char buf[4][200];
    static unsigned next;
    char *p = buf[next++ % 4];
    va_list ap;

    va_start(ap, format);
    vsnprintf(p, sizeof buf[0], format, ap);
    va_end(ap);
    return p;
}

void
need_true(bool cond, const char *text)
{
    int err = errno;

    if (cond)
        return;
    printf("FAIL %s/case: after '%s', what the case itself needs failed: %s: %s\n", case_name, last_label,
           text, strerror(err));
    fflush(stdout);
    _exit(CASE_FAILED);
}

// ---- children ----

bool
child_enter(void)
{
    int status;
    pid_t pid;

    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        n_failed = 0;
        return true;
    }
    need_true(pid > 0 && waitpid(pid, &status, 0) == pid, "fork() and waitpid()");
    if (WIFEXITED(status) && WEXITSTATUS(status) <= CASE_FAILED) {
        n_failed += WEXITSTATUS(status);
    } else {
        n_failed++;
        printf("FAIL %s/child: after '%s', the child ended with %s %d\n", case_name, last_label,
               WIFEXITED(status) ? "exit code" : "signal",
               WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    }
    return false;
}

bool
as_enter(uid_t uid, gid_t gid, const gid_t *groups, size_t n)
{
    if (!child_enter())
        return false;
    need_true(setgroups(n - 1, groups + 1) == 0 && setresgid(gid, gid, gid) == 0 &&
                  setresuid(uid, uid, uid) == 0,
              "becoming another user");
    return true;
}

void
as_leave(void)
{
    fflush(stdout);
    _exit(n_failed > 0 ? CASE_FAILED : 0);
}

// ---- shorthands ----

int
put_file(const char *path, mode_t mode, const char *text)
{
    size_t n = strlen(text);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    if (fd < 0)
        return -1;
    if (write(fd, text, n) != (ssize_t)n || fchmod(fd, mode) != 0) {
        close(fd);
        return -1;
    }
    return close(fd);
}

int
try_open(const char *path, int flags, mode_t mode)
{
    int fd = open(path, flags, mode);

    return fd < 0 ? -1 : close(fd);
}

struct stat
stat_of(const char *path)
{
    struct stat st;

    memset(&st, 0, sizeof st);
    need_true(lstat(path, &st) == 0, path);
    return st;
}

mode_t
mode_of(const char *path)
{
    return stat_of(path).st_mode & 07777;
}

bool
exists(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0;
}

bool
has_text(const char *path, const char *text)
{
    char buf[4096];
    int fd = open(path, O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof buf);

    if (fd >= 0)
        close(fd);
    return n == (ssize_t)strlen(text) && memcmp(buf, text, (size_t)n) == 0;
}

bool
times_equal(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

bool
time_before(struct timespec a, struct timespec b)
{
    return a.tv_sec < b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec < b.tv_nsec);
}

// A kernel's file system takes its times from the clock of the timer tick, which stands for up to 10 ms.
void
next_instant(void)
{
    struct timespec begin, now, pause = {0, 500000};

    clock_gettime(CLOCK_REALTIME_COARSE, &begin);
    do {
        nanosleep(&pause, NULL);
        clock_gettime(CLOCK_REALTIME_COARSE, &now);
    } while (times_equal(begin, now));
    // Where one process's clock is a tick behind (another processor's), one more.
    begin = now;
    do {
        nanosleep(&pause, NULL);
        clock_gettime(CLOCK_REALTIME_COARSE, &now);
    } while (times_equal(begin, now));
}
