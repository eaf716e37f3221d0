// SPDX-License-Identifier: Apache-2.0
// The last check of `zio doctor`: zio runs itself under libzio.so, copies, looks that the bytes are right,
// and reads from its own page of counters what the library says of itself.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/probe.h"
#include "cli/statread.h"

#define SIZE (4u << 20)
#define DEADLINE_MS 10000

// The first word of the child's answer.
#define ANSWER_WRONG "wrong"   // bytes differ: a defect
#define ANSWER_NOPAGE "nopage" // the library is not there, or did not start
#define ANSWER_STATE "state"   // then: state, copies elided, reason

static void *(*volatile copy)(void *, const void *, size_t) = memcpy; // not to be done in line

static bool
all_are(const unsigned char *p, unsigned char value)
{
    for (size_t i = 0; i < SIZE; i++)
        if (p[i] != value)
            return false;
    return true;
}

int
cmd_selftest_child(void)
{
    unsigned char *a = malloc(SIZE), *b = malloc(SIZE), *c = malloc(SIZE);
    struct zio_statpage page;
    int rc;

    if (!a || !b || !c)
        return CLI_FAIL;
    memset(a, 1, SIZE);
    copy(b, a, SIZE);
    copy(c, b, SIZE);
    memset(a, 2, SIZE); // must not show in the copies
    if (!all_are(a, 2) || !all_are(b, 1) || !all_are(c, 1)) {
        puts(ANSWER_WRONG);
        return CLI_OK;
    }
    rc = statread_pid(getpid(), &page);
    if (rc != 0)
        puts(ANSWER_NOPAGE);
    else
        printf("%s %u %llu %s\n", ANSWER_STATE, (unsigned)page.state,
               (unsigned long long)page.counter[ZIO_C_copies_elided], page.reason);
    return CLI_OK;
}

// The environment of the child: ours, with the library first and nothing that would switch it off or make it
// talk.
static char **
child_environment(const char *library, char *preload, size_t len)
{
    static const char *const dropped[] = {"LD_PRELOAD=", "ZIO_DISABLE=",   "ZIO_STATS=",   "ZIO_LOG=",
                                          "ZIO_POLICY=", "ZIO_THRESHOLD=", "ZIO_START_MS="};
    static char always[] = "ZIO_POLICY=always", asan[] = "ASAN_OPTIONS=verify_asan_link_order=0";
    size_t n = 0, out = 0;
    char **env;

    while (environ[n])
        n++;
    env = calloc(n + 4, sizeof *env);
    if (!env)
        return NULL;
    snprintf(preload, len, "LD_PRELOAD=%s", library);
    env[out++] = preload;
    env[out++] = always;
    if (!getenv("ASAN_OPTIONS")) // a sanitizer build wants to be first itself
        env[out++] = asan;
    for (size_t i = 0; i < n; i++) {
        bool keep = true;

        for (size_t d = 0; d < sizeof dropped / sizeof dropped[0]; d++)
            keep = keep && strncmp(environ[i], dropped[d], strlen(dropped[d])) != 0;
        if (keep)
            env[out++] = environ[i];
    }
    return env;
}

// Runs the child, and reads its answer. 0, or -errno; *status is as waitpid gives it.
static int
run_child(const char *library, char *answer, size_t len, int *status)
{
    char preload[3 * PATH_MAX + 16], exe[] = "/proc/self/exe", name[] = "zio", child[] = CLI_SELFTEST;
    char *argv[] = {name, child, NULL}, **env = child_environment(library, preload, sizeof preload);
    posix_spawn_file_actions_t actions;
    int pipe_fd[2], rc;
    struct pollfd wait;
    size_t used = 0;
    ssize_t n = 1;
    pid_t pid;

    if (!env)
        return -ENOMEM;
    if (pipe2(pipe_fd, O_CLOEXEC) != 0) {
        free(env);
        return -errno;
    }
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pipe_fd[1], STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    rc = -posix_spawn(&pid, exe, &actions, NULL, argv, env);
    posix_spawn_file_actions_destroy(&actions);
    free(env);
    close(pipe_fd[1]);
    wait = (struct pollfd){.fd = pipe_fd[0], .events = POLLIN};
    while (rc == 0 && n > 0 && used + 1 < len) {
        if (poll(&wait, 1, DEADLINE_MS) != 1) {
            kill(pid, SIGKILL);
            break;
        }
        n = read(pipe_fd[0], answer + used, len - used - 1);
        used += n > 0 ? (size_t)n : 0;
    }
    close(pipe_fd[0]);
    answer[used] = '\0';
    answer[strcspn(answer, "\n")] = '\0';
    if (rc == 0)
        waitpid(pid, status, 0);
    return rc;
}

static void
say_state(struct probe *p, const char *answer)
{
    unsigned long long elided = 0;
    unsigned state = 0;
    int reason = 0;

    if (sscanf(answer, ANSWER_STATE " %u %llu %n", &state, &elided, &reason) < 2 || !reason)
        probe_say(p, PROBE_MISSING, "", "an answer that makes no sense: %.100s", answer);
    else if (elided > 0)
        probe_say(p, PROBE_OK, "", "two copies of 4 MiB: right, %llu elided, state %s", elided,
                  statread_state(state));
    else
        probe_say(p, PROBE_MISSING, "", "state %s, no copy elided%s%.120s", statread_state(state),
                  answer[reason] ? ": " : "", answer + reason);
}

void
probe_library(struct probe *p)
{
    char library[3 * PATH_MAX], answer[512];
    const char *disabled = getenv("ZIO_DISABLE");
    int status = 0, rc;

    if (disabled && strcmp(disabled, "1") == 0) {
        probe_say(p, PROBE_MISSING, "unset ZIO_DISABLE", "switched off by ZIO_DISABLE=1");
        return;
    }
    if (paths_find_library("libzio.so", library, sizeof library) != 0) {
        probe_say(p, PROBE_MISSING, "", "not found (%.200s): install zIO, or set ZIO_LIBDIR", library);
        return;
    }
    rc = run_child(library, answer, sizeof answer, &status);
    if (rc != 0)
        probe_say(p, PROBE_MISSING, "", "could not be tried: %s", strerror(-rc));
    else if (WIFSIGNALED(status))
        probe_say(p, PROBE_MISSING, "", "the program that tried it died of signal %d (%s): a defect of zIO",
                  WTERMSIG(status), strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) != 0)
        probe_say(p, PROBE_MISSING, "", "the program that tried it ended with %d", WEXITSTATUS(status));
    else if (strcmp(answer, ANSWER_WRONG) == 0)
        probe_say(p, PROBE_MISSING, "", "copied bytes were wrong: a defect of zIO, please report it");
    else if (strcmp(answer, ANSWER_NOPAGE) == 0)
        probe_say(p, PROBE_MISSING, "", "%.200s does nothing: it keeps no page of counters", library);
    else
        say_state(p, answer);
}
