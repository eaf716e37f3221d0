// SPDX-License-Identifier: Apache-2.0
// conform DIR [NAME...]: runs the cases whose names begin with a NAME (all without), each in a process of its
// own, in a directory of its own below DIR. Prints `ok`, `FAIL` and `skip` lines, one a check; exits with 0
// or 1.
#include <fnmatch.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <sys/wait.h>

#include "conform.h"
#include "main.h"

#define CASE_SECONDS 20 // a case that takes longer hangs

static const struct test_case *const all[] = {
    cases_names, cases_perms, cases_owner, cases_access, cases_links,   cases_dirs, cases_rename, cases_open,
    cases_size,  cases_io,    cases_times, cases_xattr,  cases_readdir, cases_at,   cases_locks,  cases_map,
};

const char *case_name = "", *ro_dir, *other_dir;
char case_dir[PATH_MAX];
int n_failed;

static const char *way = "ext4";
static const char *ro_root;

// Exclusions for this way: a check's name (a pattern of fnmatch(3)) and the reason.
static struct {
    char name[200], reason[400];
} excluded[200];
static size_t n_excluded;

// Lines "WAY NAME REASON"; '#' begins a comment line.
static int
read_exclusions(const char *path)
{
    char line[1024], of[64], name[200], reason[400];
    FILE *f = fopen(path, "r");

    if (!f) {
        fprintf(stderr, "conform: %s: %s\n", path, strerror(errno));
        return -1;
    }
    while (fgets(line, sizeof line, f)) {
        if (*line == '#' || *line == '\n')
            continue;
        if (sscanf(line, "%63s %199s %399[^\n]", of, name, reason) != 3 || n_excluded == 200) {
            fprintf(stderr, "conform: %s: not understood, or one too many: %s", path, line);
            fclose(f);
            return -1;
        }
        if (strcmp(of, way) != 0)
            continue;
        memcpy(excluded[n_excluded].name, name, sizeof name);
        memcpy(excluded[n_excluded++].reason, reason, sizeof reason);
    }
    fclose(f);
    return 0;
}

static size_t
exclusion_of(const char *name)
{
    size_t i = 0;

    while (i < n_excluded && fnmatch(excluded[i].name, name, 0) != 0)
        i++;
    return i;
}

void
report(const char *name, bool good, const char *why)
{
    size_t i = exclusion_of(name);

    if (i < n_excluded && !good) {
        printf("skip %s: excluded: %s\n", name, excluded[i].reason);
    } else if (i < n_excluded && !strpbrk(excluded[i].name, "*?[")) {
        // An exclusion is kept only as long as it is needed.
        n_failed++;
        printf("FAIL %s: it holds, so its exclusion has to go\n", name);
    } else if (good) {
        printf("ok %s\n", name);
    } else {
        n_failed++;
        printf("FAIL %s: %s\n", name, why);
    }
    fflush(stdout);
}

// In the case's own process.
static int
run_here(const struct test_case *c, const char *dir)
{
    static char ro[PATH_MAX];

    setpgid(0, 0); // so that what it leaves behind can be ended
    case_name = c->name;
    umask(0);
    snprintf(case_dir, sizeof case_dir, "%s/%s", dir, c->name);
    need_true(mkdir(case_dir, 0755) == 0, "the case's directory");
    need_true(chdir(case_dir) == 0, "the case's directory");
    if (ro_root) {
        snprintf(ro, sizeof ro, "%s/%s/%s", ro_root, strrchr(dir, '/') + 1, c->name);
        ro_dir = ro;
    }
    c->run();
    fflush(stdout);
    return n_failed > 0 ? CASE_FAILED : 0;
}

static void
too_late(int sig)
{
    (void)sig; // it only ends the wait
}

// Waits for the case's process, which may have blocked every signal but one.
static bool
wait_case(pid_t pid, int *status)
{
    struct sigaction late = {.sa_handler = too_late};
    bool hangs = false;

    sigaction(SIGALRM, &late, NULL);
    alarm(CASE_SECONDS);
    while (waitpid(pid, status, 0) != pid) {
        if (errno != EINTR)
            return false;
        kill(pid, SIGKILL);
        hangs = true;
    }
    alarm(0);
    if (hangs)
        printf("FAIL %s/case: it hangs\n", case_name);
    return true;
}

static bool
run_case(const struct test_case *c, const char *dir)
{
    char all_of_it[200];
    int status;
    size_t i;
    pid_t pid;

    snprintf(all_of_it, sizeof all_of_it, "%s/*", c->name);
    i = exclusion_of(all_of_it);
    if (i < n_excluded) {
        printf("skip %s: excluded: %s\n", c->name, excluded[i].reason);
        return true;
    }
    fflush(stdout);
    pid = fork();
    if (pid == 0)
        _exit(run_here(c, dir));
    case_name = c->name;
    if (pid < 0 || !wait_case(pid, &status)) {
        printf("FAIL %s/case: fork() or waitpid(): %s\n", c->name, strerror(errno));
        return false;
    }
    kill(-pid, SIGKILL);
    if (WIFSIGNALED(status))
        printf("FAIL %s/case: killed by signal %d (%s)\n", c->name, WTERMSIG(status),
               strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) > CASE_FAILED)
        printf("FAIL %s/case: exit code %d\n", c->name, WEXITSTATUS(status));
    return status == 0;
}

static bool
wanted(const char *name, char **names)
{
    if (!*names)
        return true;
    for (; *names; names++)
        if (strncmp(name, *names, strlen(*names)) == 0)
            return true;
    return false;
}

static int
usage(void)
{
    fputs("usage: conform [--way WAY] [--exclusions FILE] [--ro DIR] [--other DIR] DIR [NAME...]\n"
          "       conform --list\n"
          "  --ro DIR      a read-only view of DIR\n"
          "  --other DIR   a directory of another file system, writable\n",
          stderr);
    return 2;
}

static int
run_all(const char *dir, char **names, bool list)
{
    bool good = true;
    int n = 0;

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        for (const struct test_case *c = all[i]; c->name; c++) {
            if (!wanted(c->name, names))
                continue;
            n++;
            if (list)
                puts(c->name);
            else
                good = run_case(c, dir) && good;
        }
    }
    if (n == 0)
        fputs("conform: no case has such a name\n", stderr);
    return good && n > 0 ? 0 : 1;
}

int
main(int argc, char **argv)
{
    static const struct option options[] = {{"list", no_argument, NULL, 'l'},
                                            {"way", required_argument, NULL, 'w'},
                                            {"exclusions", required_argument, NULL, 'x'},
                                            {"ro", required_argument, NULL, 'r'},
                                            {"other", required_argument, NULL, 'o'},
                                            {NULL, 0, NULL, 0}};
    const char *exclusions = NULL;
    char dir[PATH_MAX - NAME_MAX];
    bool list = false;
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 'l':
            list = true;
            break;
        case 'w':
            way = optarg;
            break;
        case 'x':
            exclusions = optarg;
            break;
        case 'r':
            ro_root = optarg;
            break;
        case 'o':
            other_dir = optarg;
            break;
        default:
            return usage();
        }
    }
    if (exclusions && read_exclusions(exclusions) != 0)
        return 2;
    if (list)
        return run_all(NULL, argv + optind, true);
    if (optind >= argc || argv[optind][0] != '/')
        return usage();
    if (geteuid() != 0) {
        puts("skip conform: it becomes other users, and so has to be started by user 0");
        return 77;
    }
    snprintf(dir, sizeof dir, "%s/c%d", argv[optind], (int)getpid());
    if (mkdir(dir, 0755) != 0 || chmod(dir, 0755) != 0) {
        fprintf(stderr, "conform: %s: %s\n", dir, strerror(errno));
        return 1;
    }
    return run_all(dir, argv + optind + 1, false);
}
