// SPDX-License-Identifier: Apache-2.0
// adversarial NAME        runs one case in this process: exit 0 passed, 1 failed, 77 skipped
// adversarial --list      names them all
// adversarial --all [--preload LIBS] [--jobs N] [NAME...]
//                         runs every case (or those named) plain, then with LIBS preloaded eliding whatever
//                         it can, then with the defaults. The plain run must pass: it proves that the case is
//                         right.
#include "tests/adversarial/adv.h"
#include "tests/support/watch.h"

#include <limits.h>

static const struct adv_case *const tables[] = {
    adv_copy_cases, adv_dest_cases,  adv_map_cases,    adv_limit_cases,  adv_send_cases,
    adv_recv_cases, adv_file_cases,  adv_thread_cases, adv_signal_cases, adv_fork_cases,
    adv_wait_cases, adv_watch_cases, adv_fd_cases,     adv_alloc_cases,  adv_proc_cases,
};

#define CASES_MAX 400
#define JOBS_MAX 16

enum mode { PLAIN, ALWAYS, DEFAULTS, MODES };
static const char *const mode_names[MODES] = {"plain", "always", "default"};

enum verdict { PASSED, FAILED, LEFT_OUT };

struct result {
    const struct adv_case *which;
    enum verdict verdict;
};

static struct {
    const struct adv_case *cases[CASES_MAX];
    int ncases;
    char self[PATH_MAX]; // this program
    char dir[PATH_MAX];  // outputs and statistics
    char preload[PATH_MAX + 16];
    int jobs;
    bool can_elide; // the canary elided something
} run = {.jobs = 1};

static const struct adv_case *
find(const char *name)
{
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
        for (const struct adv_case *c = tables[t]; c->name; c++)
            if (strcmp(c->name, name) == 0)
                return c;
    return NULL;
}

// One running case: its job, and the memory that the job points into.
struct slot {
    enum mode mode;
    const struct adv_case *which;
    char *argv[3];
    char out[PATH_MAX + 64];
    char stats[PATH_MAX + 64];
    char stats_env[PATH_MAX + 80];
};

static void
start(struct slot *s, struct watch_job *job, const struct adv_case *which, enum mode mode)
{
    *job = (struct watch_job){.argv = s->argv, .out = s->out, .keep_fd = -1};
    s->which = which;
    s->mode = mode;
    s->argv[0] = run.self;
    s->argv[1] = (char *)which->name;
    snprintf(s->out, sizeof s->out, "%s/%s.%s.out", run.dir, which->name, mode_names[mode]);
    snprintf(s->stats, sizeof s->stats, "%s/%s.%s.stats", run.dir, which->name, mode_names[mode]);
    snprintf(s->stats_env, sizeof s->stats_env, "ZIO_STATS=%s", s->stats);
    job->deadline_s = which->flags & ADV_SLOW ? 120 : 60;
    int n = 0;
    if (mode != PLAIN) {
        job->env[n++] = run.preload;
        job->env[n++] = s->stats_env;
        job->env[n++] = "ZIO_START_MS=0";
    }
    if (mode == ALWAYS) {
        job->env[n++] = "ZIO_POLICY=always";
        job->env[n++] = "ZIO_THRESHOLD=4096";
    }
    if (watch_start(job) < 0) {
        perror("adversarial: cannot start a case");
        exit(1);
    }
}

// The reason that a skipped case printed last.
static const char *
skip_reason(const char *path)
{
    static char line[512];
    static char reason[512];
    FILE *f = fopen(path, "r");
    snprintf(reason, sizeof reason, "no reason given");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, "skip: ", 6) == 0)
            snprintf(reason, sizeof reason, "%.*s", (int)strcspn(line + 6, "\n"), line + 6);
    if (f)
        fclose(f);
    return reason;
}

static enum verdict
judge(const struct slot *s, const struct watch_job *job)
{
    const char *name = s->which->name, *mode = mode_names[s->mode];
    int code = !job->hung && WIFEXITED(job->status) ? WEXITSTATUS(job->status) : 1;
    if (code == SKIPPED) {
        printf("skip %s [%s]: %s\n", name, mode, skip_reason(s->out));
        return LEFT_OUT;
    }
    if (code != 0 || job->hung) {
        printf("FAIL %s [%s]: %s\n", name, mode, watch_status(job));
        watch_print_tail(stdout, s->out, "    ", 6000);
        if (s->mode == PLAIN)
            printf("    (the case is wrong here: it fails without the library)\n");
        else
            printf("    replay: %s %s%s %s\n", run.preload,
                   s->mode == ALWAYS ? "ZIO_POLICY=always ZIO_THRESHOLD=4096 " : "", run.self, name);
        return FAILED;
    }
    if (s->mode == ALWAYS && s->which->flags & ADV_ELIDES && run.can_elide &&
        watch_counter(s->stats, "copies_elided") == 0) {
        printf("FAIL %s [%s]: nothing was elided, so that it proves nothing\n", name, mode);
        return FAILED;
    }
    printf("ok %s [%s]\n", name, mode);
    return PASSED;
}

// A case's modes follow one another in its slot; slots run side by side.
static int
run_cases(void)
{
    static struct slot slots[JOBS_MAX];
    static struct watch_job jobs[JOBS_MAX];
    int next = 0, failures = 0;
    for (int i = 0; i < run.jobs && next < run.ncases; i++)
        start(&slots[i], &jobs[i], run.cases[next++], PLAIN);
    for (int i; (i = watch_any(jobs, run.jobs)) >= 0;) {
        struct slot *s = &slots[i];
        enum verdict verdict = judge(s, &jobs[i]);
        failures += verdict == FAILED;
        if (verdict != LEFT_OUT && run.preload[0] && s->mode + 1 < MODES &&
            (verdict == PASSED || s->mode != PLAIN))
            start(s, &jobs[i], s->which, s->mode + 1);
        else if (next < run.ncases)
            start(s, &jobs[i], run.cases[next++], PLAIN);
        fflush(stdout);
    }
    return failures;
}

// Whether this machine lets the library elide at all; says why not.
static bool
canary(void)
{
    static struct slot slot;
    static struct watch_job job;
    start(&slot, &job, find("canary"), ALWAYS);
    watch_any(&job, 1);
    if (watch_counter(slot.stats, "copies_elided"))
        return true;
    printf("no copy is elided here; the library said:\n");
    watch_print_tail(stdout, slot.stats, "    ", 2000);
    watch_print_tail(stdout, slot.out, "    ", 2000);
    return false;
}

static void
find_self(void)
{
    ssize_t n = readlink("/proc/self/exe", run.self, sizeof run.self - 1);
    run.self[n > 0 ? n : 0] = 0;
    const char *tmp = getenv("TMPDIR");
    snprintf(run.dir, sizeof run.dir, "%s/adversarial-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(run.dir)) {
        perror("adversarial: mkdtemp");
        exit(1);
    }
}

static void
take_arguments(int argc, char **argv)
{
    for (int i = 2; i < argc; i++) {
        if (!strcmp(argv[i], "--preload") && i + 1 < argc) {
            snprintf(run.preload, sizeof run.preload, "LD_PRELOAD=%s", argv[++i]);
        } else if (!strcmp(argv[i], "--jobs") && i + 1 < argc) {
            run.jobs = atoi(argv[++i]);
            run.jobs = run.jobs < 1 ? 1 : run.jobs > JOBS_MAX ? JOBS_MAX : run.jobs;
        } else if (run.ncases < CASES_MAX && find(argv[i])) {
            run.cases[run.ncases++] = find(argv[i]);
        } else {
            fprintf(stderr, "adversarial: no case or option is called %s\n", argv[i]);
            exit(2);
        }
    }
    if (run.ncases)
        return;
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
        for (const struct adv_case *c = tables[t]; c->name && run.ncases < CASES_MAX; c++)
            run.cases[run.ncases++] = c;
}

static int
run_all(int argc, char **argv)
{
    char clean[PATH_MAX + 16];
    find_self();
    take_arguments(argc, argv);
    run.can_elide = run.preload[0] && canary();
    int failures = run_cases();
    failures += watch_leftovers(stdout, 10);
    printf("%d cases, %d failures\n", run.ncases, failures);
    if (failures) {
        printf("outputs are kept in %s\n", run.dir);
        return 1;
    }
    snprintf(clean, sizeof clean, "rm -rf '%s'", run.dir);
    if (system(clean) != 0)
        return 1;
    return run.preload[0] && !run.can_elide ? SKIPPED : 0;
}

int
main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "--all"))
        return run_all(argc, argv);
    if (argc == 2 && !strcmp(argv[1], "--list")) {
        for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
            for (const struct adv_case *c = tables[t]; c->name; c++)
                puts(c->name);
        return 0;
    }
    const struct adv_case *which = argc == 2 ? find(argv[1]) : NULL;
    if (!which) {
        fprintf(stderr, "usage: adversarial NAME | --list | --all [--preload LIBS] [--jobs N] [NAME...]\n");
        return 2;
    }
    return which->run();
}
