// SPDX-License-Identifier: Apache-2.0
// zio-profile, which `zio profile` becomes: runs a program with libzio-profile.so preloaded and reports when
// it has ended, whatever way it ends. The table of copies is a memfd of this process, which profiled
// processes open through /proc.
#include "cli/profile.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/launch.h"

#define NAME "zio profile"
#define DEFAULT_MINIMUM 4096
#define DEFAULT_TOP 10

struct options {
    uint64_t minimum;
    unsigned top;
    bool json;
    const char *output; // NULL: standard error, "-": standard output
    int argc;
    char **argv;
};

static int
table_new(uint64_t minimum, struct zio_prof_table **out)
{
    int fd = memfd_create("zio-profile", MFD_CLOEXEC);
    struct zio_prof_table *t;
    char path[64];

    if (fd < 0)
        return -errno;
    if (ftruncate(fd, sizeof *t) != 0)
        return -errno;
    t = mmap(NULL, sizeof *t, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (t == MAP_FAILED)
        return -errno;
    t->magic = ZIO_PROF_MAGIC;
    t->version = ZIO_PROF_VERSION;
    t->size = sizeof *t;
    t->minimum = minimum;
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)getpid(), fd);
    if (setenv(ZIO_PROF_ENV, path, 1) != 0)
        return -errno;
    *out = t; // the memfd stays open for the processes to come
    return 0;
}

// Time by the clock and by the counter that the profiled program stamps with.
struct moment {
    double ns;
    uint64_t ticks;
};

static struct moment
moment_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (struct moment){(double)ts.tv_sec * 1e9 + (double)ts.tv_nsec, __builtin_ia32_rdtsc()};
}

// Waits for the program and passes signals on to it. Those that the terminal sends (SI_KERNEL) it has got
// already, being of the same process group.
static int
wait_program(pid_t pid, const sigset_t *signals)
{
    int status;

    for (;;) {
        siginfo_t info;
        int sig = sigwaitinfo(signals, &info);

        if (sig > 0 && sig != SIGCHLD && info.si_code != SI_KERNEL)
            kill(pid, sig);
        if (sig == SIGCHLD && waitpid(pid, &status, WNOHANG) == pid)
            return status;
    }
}

static int
run_program(const struct options *o, const char *library, struct zio_prof_table *table,
            struct profile_run *run)
{
    static const int passed[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD};
    struct moment start = moment_now(), end;
    struct sigaction chld = {.sa_handler = SIG_DFL}, old_chld;
    sigset_t signals, old;
    pid_t pid;
    int code;

    sigemptyset(&signals);
    for (size_t i = 0; i < sizeof passed / sizeof passed[0]; i++)
        sigaddset(&signals, passed[i]);
    sigprocmask(SIG_BLOCK, &signals, &old);
    sigaction(SIGCHLD, &chld, &old_chld); // an inherited SIG_IGN would eat the exit status
    fflush(NULL);
    pid = fork();
    if (pid < 0)
        return -errno;
    if (pid == 0) {
        sigaction(SIGCHLD, &old_chld, NULL);
        sigprocmask(SIG_SETMASK, &old, NULL);
        code = launch_exec(NAME, library, o->argv);
        table->not_started = 1;
        _exit(code);
    }
    run->status = wait_program(pid, &signals);
    end = moment_now();
    run->elapsed_ns = end.ns - start.ns;
    run->ns_per_tick = end.ticks > start.ticks ? (end.ns - start.ns) / (double)(end.ticks - start.ticks) : 0;
    return 0;
}

// Ends as the program did: by its signal or with its exit code.
static int
end_like(int status)
{
    int sig = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    struct rlimit none = {0, 0};
    sigset_t set;

    if (!sig)
        return WEXITSTATUS(status);
    setrlimit(RLIMIT_CORE, &none); // the program's core is the one of interest
    signal(sig, SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, sig);
    fflush(NULL);
    raise(sig);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    return 128 + sig;
}

static int
write_report(const struct options *o, const struct profile_run *run, struct zio_prof_table *table)
{
    bool to_stdout = o->output && strcmp(o->output, "-") == 0;
    FILE *out = !o->output ? stderr : to_stdout ? stdout : fopen(o->output, "we");
    int rc;

    if (!out)
        return cli_error(-errno, NAME, "cannot write %s: %s", o->output, strerror(errno));
    rc = profile_report(out, run, table, o->json);
    if (out != stderr && (out == stdout ? fflush(out) : fclose(out)) != 0 && rc == 0)
        rc = -errno;
    if (rc < 0)
        cli_error(0, NAME, "cannot write the report: %s", strerror(-rc));
    return rc;
}

enum { OPT_JSON = 256 };

static const struct argp_option arguments[] = {
    {"min", 'm', "BYTES", 0, "Smallest copy to record, with an optional suffix k, m or g (default 4k)", 0},
    {"top", 'n', "N", 0, "Report the N stacks with the most bytes (default 10; 0: all)", 0},
    {"json", OPT_JSON, NULL, 0, "Report in JSON (see zio(1) for its form)", 0},
    {"output", 'o', "FILE", 0, "Write the report to FILE ('-': standard output; default: standard error)", 0},
    {0},
};

static error_t
parse(int key, char *arg, struct argp_state *state)
{
    struct options *o = state->input;
    unsigned long n;
    char *end;

    switch (key) {
    case 'm':
        if (text_parse_bytes(arg, &o->minimum) != 0 || o->minimum == 0)
            argp_error(state, "--min=%s: not a number of bytes such as 4096, 64k or 1m", arg);
        return 0;
    case 'n':
        n = strtoul(arg, &end, 10);
        if (end == arg || *end || *arg == '-' || n > ZIO_PROF_STACKS)
            argp_error(state, "--top=%s: N is a number from 0 to %u", arg, ZIO_PROF_STACKS);
        o->top = (unsigned)n;
        return 0;
    case OPT_JSON:
        o->json = true;
        return 0;
    case 'o':
        o->output = arg;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "which program?");
        return 0;
    default:
        return cli_rest(key, state, &o->argc, &o->argv);
    }
}

static const struct argp argp = {
    .options = arguments,
    .parser = parse,
    .args_doc = "[--] PROGRAM [ARGUMENTS]",
    .doc = "Runs PROGRAM plainly, and says which of its call stacks copy most bytes with memcpy, memmove and "
           "mempcpy, and about what eliding those copies would save.\v"
           "Recording a copy takes about a microsecond; the report says what it came to. It is made whatever "
           "way "
           "PROGRAM ends, kill -9 included; children that PROGRAM leaves behind are not waited for. zio ends "
           "with "
           "PROGRAM's exit code or by its signal. Exit codes of zio itself: 2 wrong options, 125 zIO's "
           "library is "
           "missing or the report cannot be written, 126 PROGRAM cannot be executed, 127 PROGRAM not found.",
};

int
main(int argc, char **argv)
{
    struct options o = {.minimum = DEFAULT_MINIMUM, .top = DEFAULT_TOP};
    struct profile_run run = {0};
    struct zio_prof_table *table = NULL;
    char library[3 * PATH_MAX];
    int rc;

    cli_begin();
    if (argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &o) != 0 || o.argc == 0)
        return CLI_USAGE;
    if (paths_find_library("libzio-profile.so", library, sizeof library) != 0)
        return cli_error(
            CLI_BROKEN, NAME,
            "libzio-profile.so is not where it should be (%s): install zIO, or set ZIO_LIBDIR to its "
            "directory",
            library);
    if (library[strcspn(library, ": ")])
        return cli_error(CLI_BROKEN, NAME, "%s: LD_PRELOAD takes no path with a blank or a colon in it",
                         library);
    rc = table_new(o.minimum, &table);
    if (rc < 0)
        return cli_error(CLI_BROKEN, NAME, "cannot make the table of copies: %s", strerror(-rc));
    run.argv = o.argv;
    run.top = o.top;
    rc = run_program(&o, library, table, &run);
    if (rc < 0)
        return cli_error(CLI_BROKEN, NAME, "cannot start a process: %s", strerror(-rc));
    if (table->not_started) // and that has been said
        return WEXITSTATUS(run.status);
    rc = write_report(&o, &run, table);
    return rc < 0 && WIFEXITED(run.status) && WEXITSTATUS(run.status) == 0 ? CLI_BROKEN
                                                                           : end_like(run.status);
}
