// SPDX-License-Identifier: Apache-2.0
// `zio stat`: the live counters of one process, or a line for each process under zIO.
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/statread.h"

#define NAME "zio stat"

struct counter_info {
    const char *id, *unit, *help;
};

static const struct counter_info counters[] = {
#define X(id, unit, help) {#id, unit, help},
    ZIO_COUNTERS(X)
#undef X
};

struct options {
    pid_t pid; // 0: all
    bool json;
    double watch; // seconds between two looks; 0: one look
};

// Nanoseconds of the clock that start_ns is taken from.
static uint64_t
now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static double
uptime(const struct zio_statpage *page)
{
    uint64_t now = now_ns();

    return page->start_ns && page->start_ns < now ? (double)(now - page->start_ns) / 1e9 : 0;
}

static json_t *
to_json(pid_t pid, const struct zio_statpage *page)
{
    json_t *values = json_object();

    for (uint32_t i = 0; i < page->ncounters; i++)
        json_object_set_new(values, counters[i].id, json_integer((json_int_t)page->counter[i]));
    return json_pack("{s:i, s:s, s:s, s:s, s:I, s:f, s:o}", "pid", (int)pid, "program", page->program,
                     "state", statread_state(page->state), "reason", page->reason, "threshold",
                     (json_int_t)page->threshold, "uptime_seconds", uptime(page), "counters", values);
}

static void
print_json(json_t *answer, bool one_line)
{
    json_dumpf(answer, stdout, one_line ? JSON_COMPACT : JSON_INDENT(2));
    putchar('\n');
    json_decref(answer);
}

// An amount in the counter's own unit.
static char *
amount(char buf[TEXT_MAX], const char *unit, const char *id, uint64_t v)
{
    bool count = strcmp(unit, "n") == 0 || strcmp(id, "areas") == 0;

    if (strcmp(unit, "pages") == 0)
        return text_bytes(buf, v > UINT64_MAX / 4096 ? UINT64_MAX : v * 4096);
    return count ? text_count(buf, v) : text_bytes(buf, v);
}

// All counters of one process; `before` (NULL at first) gives the rates.
static void
print_one(pid_t pid, const struct zio_statpage *page, const struct zio_statpage *before, double seconds)
{
    char a[TEXT_MAX], b[TEXT_MAX];

    printf("%d  %s  %s%s%s  up %.1f s, copies of at least %s\n\n", (int)pid, page->program,
           statread_state(page->state), page->reason[0] ? ": " : "", page->reason, uptime(page),
           text_bytes(a, page->threshold));
    for (uint32_t i = 0; i < page->ncounters; i++) {
        const struct counter_info *c = &counters[i];
        uint64_t v = page->counter[i];

        printf("%-22s %10s", c->id, amount(a, c->unit, c->id, v));
        if (before && seconds > 0) {
            uint64_t old = before->counter[i];
            bool rate = strcmp(c->unit, "gauge") != 0 && v > old;

            printf(" %10s%s", rate ? amount(b, c->unit, c->id, (uint64_t)((double)(v - old) / seconds)) : "",
                   rate ? "/s" : "  ");
        }
        printf("  %s\n", c->help);
    }
}

static void
print_list_head(void)
{
    printf("%8s  %-16s %-9s %12s %12s %10s %12s\n", "PID", "PROGRAM", "STATE", "COPIES GONE", "BYTES GONE",
           "FAULTS", "ABSENT NOW");
}

static void
print_list_line(pid_t pid, const struct zio_statpage *page)
{
    char a[TEXT_MAX], b[TEXT_MAX], c[TEXT_MAX], d[TEXT_MAX];

    printf("%8d  %-16.16s %-9s %12s %12s %10s %12s%s%s\n", (int)pid, page->program,
           statread_state(page->state), text_count(a, page->counter[ZIO_C_copies_elided]),
           text_bytes(b, page->counter[ZIO_C_copy_bytes_elided]), text_count(c, page->counter[ZIO_C_faults]),
           text_bytes(d, page->counter[ZIO_C_absent_bytes]), page->reason[0] ? "  " : "", page->reason);
}

// Looks at every process. Returns how many have a page, or -errno.
static int
list_all(const struct options *o)
{
    json_t *all = o->json ? json_array() : NULL;
    DIR *proc = opendir("/proc");
    int found = 0, hidden = 0;
    struct dirent *e;

    if (!proc)
        return -errno;
    while ((e = readdir(proc))) {
        struct zio_statpage page;
        pid_t pid;
        int rc;

        if (!isdigit((unsigned char)e->d_name[0]))
            continue;
        pid = atoi(e->d_name);
        rc = statread_pid(pid, &page);
        hidden += rc == -EACCES;
        if (rc != 0)
            continue;
        if (all)
            json_array_append_new(all, to_json(pid, &page));
        else if (found == 0)
            print_list_head();
        if (!all)
            print_list_line(pid, &page);
        found++;
    }
    closedir(proc);
    if (all) {
        print_json(json_pack("{s:o, s:i}", "processes", all, "unreadable", hidden), o->watch > 0);
        return found;
    }
    if (found == 0)
        printf("No process under zIO%s.\n", hidden ? " among those you may look at" : "");
    return found;
}

static int
show(const struct options *o, struct zio_statpage *last, double *seen)
{
    struct zio_statpage page;
    double now = (double)now_ns() / 1e9;
    int rc;

    if (!o->pid) {
        rc = list_all(o);
        return rc < 0 ? rc : 0;
    }
    rc = statread_pid(o->pid, &page);
    if (rc < 0)
        return rc;
    if (o->json)
        print_json(to_json(o->pid, &page), o->watch > 0);
    else
        print_one(o->pid, &page, *seen > 0 ? last : NULL, now - *seen);
    *last = page;
    *seen = now;
    return 0;
}

// Repeats until the process ends, the reader goes away, or a signal ends zio.
static int
watch(const struct options *o)
{
    struct pollfd gone = {.fd = o->pid ? (int)syscall(SYS_pidfd_open, o->pid, 0) : -1, .events = POLLIN};
    bool redraw = isatty(STDOUT_FILENO) && !o->json;
    struct zio_statpage last;
    double seen = 0;
    int rc;

    for (;;) {
        if (redraw)
            fputs("\033[H\033[J", stdout);
        rc = show(o, &last, &seen);
        if (rc != 0 || fflush(stdout) != 0)
            break;
        if (poll(&gone, 1, (int)lround(o->watch * 1000)) > 0 && gone.revents) {
            if (!o->json)
                printf("Process %d has ended.\n", (int)o->pid);
            break;
        }
        if (!redraw && !o->json)
            putchar('\n');
    }
    if (gone.fd >= 0)
        close(gone.fd);
    // That a watched process ends is how watching ends.
    return rc == -ESRCH && seen > 0 ? 0 : rc;
}

enum { OPT_JSON = 256 };

static const struct argp_option arguments[] = {
    {"json", OPT_JSON, NULL, 0, "Print JSON (see zio(1) for its form)", 0},
    {"watch", 'w', "SECONDS", OPTION_ARG_OPTIONAL,
     "Look again every SECONDS (default 1) until the process ends", 0},
    {0},
};

static error_t
parse(int key, char *arg, struct argp_state *state)
{
    struct options *o = state->input;
    char *end;
    long pid;

    switch (key) {
    case OPT_JSON:
        o->json = true;
        return 0;
    case 'w':
        o->watch = arg ? strtod(arg, &end) : 1;
        if (arg && (end == arg || *end || !(o->watch >= 0.05 && o->watch <= 86400)))
            argp_error(state, "--watch=%s: SECONDS is a number from 0.05 to 86400", arg);
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num > 0)
            argp_error(state, "one process at a time");
        errno = 0;
        pid = strtol(arg, &end, 10);
        if (end == arg || *end || errno || pid < 1 || pid > INT32_MAX)
            argp_error(state, "%s: not a process id", arg);
        o->pid = (pid_t)pid;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    .options = arguments,
    .parser = parse,
    .args_doc = "[PID]",
    .doc = "Shows the live counters of process PID, or a line for each process under zIO.\v"
           "Exit codes: 0 shown, 1 PID is not there, not readable or not under zIO, 2 wrong options.",
};

int
cmd_stat(int argc, char **argv)
{
    struct options o = {0};
    struct zio_statpage last;
    double seen = 0;
    int rc;

    if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
        return CLI_USAGE;
    rc = o.watch > 0 ? watch(&o) : show(&o, &last, &seen);
    if (rc == 0)
        return CLI_OK;
    if (!o.pid)
        return cli_error(CLI_FAIL, NAME, "cannot list processes: %s", strerror(-rc));
    return cli_error(CLI_FAIL, NAME, "process %d: %s", (int)o.pid, statread_strerror(rc));
}
