// SPDX-License-Identifier: Apache-2.0
// oracle --one SEED [--ops N] [--threads N] [--check-each] [--trace]     one program, in this process
// oracle --seed S --count N | --soak SECONDS [--preload LIBS] ...         many programs, each in a process of
// its own,
//     plain and with LIBS preloaded; both must leave the same trace. See usage() for the rest.
#include "tests/oracle/oracle.h"
#include "tests/support/watch.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define JOBS_MAX 16
#define FAILURES_MAX 8 // then the driver gives up

enum phase { PLAIN, SHIMMED };
static const char *const phase_names[] = {"plain", "preloaded"};

static const char *const counters[] = {"copies_elided", "recv_block_calls", "send_block_calls", "faults"};
#define NCOUNTERS (sizeof counters / sizeof *counters)

static struct {
    uint64_t seed, count;
    unsigned ops, threads;
    int soak_s, jobs, deadline_s;
    bool one, trace, check_each, expect_elision;
    const char *preload; // under test
    const char *with;    // preloaded in both runs: an allocator
    char without[512];
    char *without_argument; // operations to leave out
    const char *env[WATCH_ENV_MAX];
    int nenv;
    char self[PATH_MAX], dir[PATH_MAX];
    char preload_env[2 * PATH_MAX], with_env[PATH_MAX + 16];
    uint64_t sums[NCOUNTERS];
    uint64_t programs, failures;
    int64_t slowest_ns; // and the seed that took it
    uint64_t slowest;
} opt = {.seed = 1, .count = 1, .ops = 40, .threads = 2, .jobs = 1, .deadline_s = 30};

// One program in the works.
struct slot {
    uint64_t seed;
    enum phase phase;
    int64_t began_ns;
    int fd[2];
    struct traces *traces[2];
    char *argv[14];
    char text[3][24];
    char out[PATH_MAX + 32], stats[PATH_MAX + 32], stats_env[PATH_MAX + 48];
};

static void
usage(void)
{
    fputs("usage: oracle --one SEED [--ops N] [--threads N] [--check-each] [--trace]\n"
          "       oracle [--seed S] [--count N | --soak SECONDS] [--ops N] [--threads N] [--jobs N]\n"
          "              [--preload LIBS] [--with LIBS] [--env NAME=VALUE]... [--deadline SECONDS]\n"
          "              [--expect-elision] [--check-each] [--without OPERATION,...]\n"
          "--preload: LD_PRELOAD of the second run; --with: of the first (and so an allocator); --env: for "
          "the second\n",
          stderr);
    exit(2);
}

static void *
map_traces(int fd)
{
    void *p = mmap(NULL, sizeof(struct traces), PROT_READ | PROT_WRITE,
                   fd < 0 ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED, fd, 0);
    if (p == MAP_FAILED) {
        perror("oracle: mmap");
        exit(2);
    }
    return p;
}

static int
run_one(void)
{
    struct stat st;
    bool driven = fstat(3, &st) == 0 && st.st_size == sizeof(struct traces);
    struct traces *t = map_traces(driven ? 3 : -1);
    if (driven)
        close(3);
    int code = program_run(opt.seed, opt.ops, opt.threads, opt.check_each, t);
    for (int i = 0; opt.trace && i < NSTREAMS; i++)
        if (t->len[i])
            printf("-- stream %d\n%.*s", i, (int)t->len[i], t->text[i]);
    return code;
}

static void
open_slot(struct slot *s, int i)
{
    for (int k = 0; k < 2; k++) {
        s->fd[k] = memfd_create("traces", MFD_CLOEXEC);
        if (s->fd[k] < 0 || ftruncate(s->fd[k], sizeof(struct traces)) < 0) {
            perror("oracle: memfd");
            exit(2);
        }
        s->traces[k] = map_traces(s->fd[k]);
    }
    snprintf(s->out, sizeof s->out, "%s/out.%d", opt.dir, i);
    snprintf(s->stats, sizeof s->stats, "%s/stats.%d", opt.dir, i);
    snprintf(s->stats_env, sizeof s->stats_env, "ZIO_STATS=%s", s->stats);
}

static void
start(struct slot *s, struct watch_job *job, uint64_t seed, enum phase phase)
{
    int n = 0, e = 0;
    s->seed = seed;
    s->phase = phase;
    s->began_ns = watch_now_ns();
    memset(s->traces[phase], 0, offsetof(struct traces, text));
    snprintf(s->text[0], sizeof s->text[0], "%lu", seed);
    snprintf(s->text[1], sizeof s->text[1], "%u", opt.ops);
    snprintf(s->text[2], sizeof s->text[2], "%u", opt.threads);
    char *argv[] = {opt.self, "--one", s->text[0], "--ops", s->text[1], "--threads", s->text[2]};
    for (; n < 7; n++)
        s->argv[n] = argv[n];
    if (opt.check_each)
        s->argv[n++] = "--check-each";
    if (opt.without_argument) {
        s->argv[n++] = "--without";
        s->argv[n++] = opt.without_argument;
    }
    s->argv[n] = NULL;
    *job = (struct watch_job){
        .argv = s->argv, .out = s->out, .deadline_s = opt.deadline_s, .keep_fd = s->fd[phase]};
    if (phase == PLAIN && opt.with)
        job->env[e++] = opt.with_env;
    if (phase == SHIMMED) {
        job->env[e++] = opt.preload_env;
        job->env[e++] = s->stats_env;
        for (int i = 0; i < opt.nenv; i++)
            job->env[e++] = opt.env[i];
    }
    if (watch_start(job) < 0) {
        perror("oracle: cannot start a program");
        exit(2);
    }
}

static void
print_replay(const struct slot *s)
{
    printf("    replay: ");
    for (int i = 0; s->phase == SHIMMED && i < opt.nenv; i++)
        printf("%s ", opt.env[i]);
    if (s->phase == SHIMMED)
        printf("%s ", opt.preload_env);
    else if (opt.with)
        printf("%s ", opt.with_env);
    printf("%s --one %lu --ops %u --threads %u --check-each --trace\n", opt.self, s->seed, opt.ops,
           opt.threads);
}

// The last lines of a stream: what the program was doing when it ended.
static void
print_last(const struct traces *t)
{
    for (int i = 0; i < NSTREAMS; i++) {
        uint32_t at = t->len[i], lines = 0;
        if (!at)
            continue;
        while (at > 0 && lines < 4 && t->len[i] - at < 1500)
            lines += t->text[i][--at] == '\n';
        at += at > 0;
        printf("    stream %d ends: %.*s\n", i, (int)(t->len[i] - at), t->text[i] + at);
    }
}

static bool
same_traces(const struct slot *s)
{
    const struct traces *a = s->traces[PLAIN], *b = s->traces[SHIMMED];
    for (int i = 0; i < NSTREAMS; i++) {
        uint32_t n = a->len[i] < b->len[i] ? a->len[i] : b->len[i], at = 0, line = 0;
        while (at < n && a->text[i][at] == b->text[i][at])
            if (a->text[i][at++] == '\n')
                line = at;
        if (at == n && a->len[i] == b->len[i])
            continue;
        printf("FAIL seed %lu: the traces differ in stream %d\n", s->seed, i);
        printf("    plain:     %.*s\n", (int)strcspn(a->text[i] + line, "\n"), a->text[i] + line);
        printf("    preloaded: %.*s\n", (int)strcspn(b->text[i] + line, "\n"), b->text[i] + line);
        return false;
    }
    return true;
}

static void
collect_statistics(struct slot *s)
{
    for (size_t i = 0; i < NCOUNTERS; i++)
        opt.sums[i] += watch_counter(s->stats, counters[i]);
}

// Whether the run that ended was right.
static bool
judge(struct slot *s, const struct watch_job *job)
{
    int64_t took = watch_now_ns() - s->began_ns;
    if (took > opt.slowest_ns) {
        opt.slowest_ns = took;
        opt.slowest = s->seed;
    }
    if (s->phase == SHIMMED)
        collect_statistics(s);
    if (job->hung || job->status != 0 || !s->traces[s->phase]->finished) {
        printf("FAIL seed %lu (%s): %s\n", s->seed, phase_names[s->phase], watch_status(job));
        watch_print_tail(stdout, s->out, "    ", 8000);
        print_last(s->traces[s->phase]);
        if (s->phase == PLAIN)
            printf("    (the oracle is wrong here: it fails without the library)\n");
    } else if (s->phase == PLAIN || same_traces(s)) {
        if (s->phase == SHIMMED)
            unlink(s->stats);
        return true;
    }
    print_replay(s);
    fflush(stdout);
    unlink(s->stats);
    return false;
}

static void
run_many(void)
{
    static struct slot slots[JOBS_MAX];
    static struct watch_job jobs[JOBS_MAX];
    uint64_t next = opt.seed;
    int64_t end = opt.soak_s ? watch_now_ns() + opt.soak_s * 1000000000ll : INT64_MAX;
    uint64_t last = opt.soak_s ? UINT64_MAX : opt.seed + opt.count;
    for (int i = 0; i < opt.jobs && next < last; i++) {
        open_slot(&slots[i], i);
        start(&slots[i], &jobs[i], next++, PLAIN);
    }
    for (int i; (i = watch_any(jobs, opt.jobs)) >= 0;) {
        struct slot *s = &slots[i];
        bool right = judge(s, &jobs[i]);
        if (right && s->phase == PLAIN && opt.preload) {
            start(s, &jobs[i], s->seed, SHIMMED);
            continue;
        }
        opt.programs++;
        opt.failures += !right;
        if (next < last && opt.failures < FAILURES_MAX && watch_now_ns() < end)
            start(s, &jobs[i], next++, PLAIN);
    }
}

static void
take_options(int argc, char **argv)
{
    static const struct option longs[] = {{"one", 1, 0, '1'},        {"seed", 1, 0, 's'},
                                          {"count", 1, 0, 'n'},      {"ops", 1, 0, 'o'},
                                          {"threads", 1, 0, 't'},    {"soak", 1, 0, 'S'},
                                          {"jobs", 1, 0, 'j'},       {"preload", 1, 0, 'p'},
                                          {"with", 1, 0, 'w'},       {"env", 1, 0, 'e'},
                                          {"deadline", 1, 0, 'd'},   {"expect-elision", 0, 0, 'x'},
                                          {"without", 1, 0, 'W'},    {"trace", 0, 0, 'T'},
                                          {"check-each", 0, 0, 'c'}, {0}};
    for (int o; (o = getopt_long(argc, argv, "", longs, NULL)) != -1;)
        switch (o) {
        case '1':
            opt.one = true;
            opt.seed = strtoull(optarg, NULL, 0);
            break;
        case 's':
            opt.seed = strtoull(optarg, NULL, 0);
            break;
        case 'n':
            opt.count = strtoull(optarg, NULL, 0);
            break;
        case 'o':
            opt.ops = (unsigned)atoi(optarg);
            break;
        case 't':
            opt.threads = (unsigned)atoi(optarg);
            break;
        case 'S':
            opt.soak_s = atoi(optarg);
            opt.seed = (uint64_t)time(NULL) << 20;
            break;
        case 'j':
            opt.jobs = atoi(optarg) < 1 ? 1 : atoi(optarg) > JOBS_MAX ? JOBS_MAX : atoi(optarg);
            break;
        case 'p':
            opt.preload = optarg;
            break;
        case 'w':
            opt.with = optarg;
            break;
        case 'e':
            if (opt.nenv < WATCH_ENV_MAX - 3)
                opt.env[opt.nenv++] = optarg;
            break;
        case 'd':
            opt.deadline_s = atoi(optarg);
            break;
        case 'x':
            opt.expect_elision = true;
            break;
        case 'W':
            snprintf(opt.without, sizeof opt.without, ",%s,", optarg);
            operations_left_out = opt.without;
            opt.without_argument = optarg;
            break;
        case 'T':
            opt.trace = true;
            break;
        case 'c':
            opt.check_each = true;
            break;
        default:
            usage();
        }
    if (optind < argc)
        usage();
}

static void
find_self(void)
{
    ssize_t n = readlink("/proc/self/exe", opt.self, sizeof opt.self - 1);
    opt.self[n > 0 ? n : 0] = 0;
    const char *tmp = getenv("TMPDIR");
    snprintf(opt.dir, sizeof opt.dir, "%s/oracle-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(opt.dir)) {
        perror("oracle: mkdtemp");
        exit(2);
    }
    snprintf(opt.preload_env, sizeof opt.preload_env, "LD_PRELOAD=%s", opt.preload ? opt.preload : "");
    snprintf(opt.with_env, sizeof opt.with_env, "LD_PRELOAD=%s", opt.with ? opt.with : "");
}

int
main(int argc, char **argv)
{
    take_options(argc, argv);
    if (opt.one)
        return run_one();
    char clean[PATH_MAX + 16];
    int64_t began = watch_now_ns();
    find_self();
    run_many();
    opt.failures += (uint64_t)watch_leftovers(stdout, 10);
    printf("%lu programs from seed %lu, %lu failures, %.1f s, slowest %lu in %.2f s", opt.programs, opt.seed,
           opt.failures, (double)(watch_now_ns() - began) / 1e9, opt.slowest, (double)opt.slowest_ns / 1e9);
    for (size_t i = 0; opt.preload && i < NCOUNTERS; i++)
        printf(", %s %lu", counters[i], opt.sums[i]);
    printf("\n");
    snprintf(clean, sizeof clean, "rm -rf '%s'", opt.dir);
    if (system(clean) != 0)
        return 2;
    if (opt.failures)
        return 1;
    if (opt.expect_elision && (!opt.sums[0] || !opt.sums[1])) {
        printf("FAIL: %s and %s must both be above 0, or this proves nothing\n", counters[0], counters[1]);
        return 1;
    }
    return 0;
}
