// SPDX-License-Identifier: Apache-2.0
// `zio run`: turns options into the environment that libzio.so reads, and becomes the program.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/features.h"
#include "cli/launch.h"

#define NAME "zio run"
#define SMALLEST_THRESHOLD 4096

enum { OPT_FS = 256, OPT_SOCKMAP, OPT_FEATURES, OPT_POLICY, OPT_DISABLE };

struct run {
    int argc;
    char **argv; // the program and its arguments
    bool sockmap;
};

static const struct argp_option options[] = {
    {"threshold", 't', "BYTES", 0,
     "Smallest copy to consider, with an optional suffix k, m or g (default 128k, at least 4096)", 0},
    {"stats", 's', "FILE", 0,
     "Append one line of JSON with the counters to FILE when a process ends ('-': standard error)", 0},
    {"log", 'l', "LEVEL[:FILE]", 0, "Log from LEVEL on (error, warn, info, debug), to FILE or standard error",
     0},
    {"features", OPT_FEATURES, "-NAME,...", 0,
     "Do without these kernel features, to try the degraded ways: " FEATURES_LIST, 0},
    {"policy", OPT_POLICY, "P", 0,
     "'model' elides where it pays (default), 'always' wherever it can (for tests)", 0},
    {"disable", OPT_DISABLE, NULL, 0, "Load the library and leave it switched off", 0},
    {"fs", OPT_FS, "PATH=[ro,]URL", 0,
     "Serve PATH from the volume URL (local:DIR; see zio fs format), read-only with 'ro,'; may be given "
     "several times",
     0},
    {"sockmap", OPT_SOCKMAP, NULL, 0,
     "Let connections between programs of this machine pass by TCP (needs root; see zio-sockmap(8))", 0},
    {0},
};

static void
put(struct argp_state *state, const char *name, const char *value)
{
    if (setenv(name, value, 1) != 0)
        argp_failure(state, CLI_BROKEN, errno, "cannot set %s", name);
}

// The program may change its directory before it writes there: make the file's name absolute.
static void
put_file(struct argp_state *state, const char *name, const char *prefix, const char *file)
{
    char cwd[PATH_MAX], value[2 * PATH_MAX + 32];
    bool relative = *file && *file != '/' && strcmp(file, "-") != 0;

    if (relative && !getcwd(cwd, sizeof cwd))
        argp_failure(state, CLI_BROKEN, errno, "cannot tell the current directory");
    if ((size_t)snprintf(value, sizeof value, "%s%s%s%s", prefix, relative ? cwd : "", relative ? "/" : "",
                         file) >= sizeof value)
        argp_error(state, "%s: the name is too long", file);
    put(state, name, value);
}

static void
put_threshold(struct argp_state *state, const char *arg)
{
    uint64_t bytes;

    if (text_parse_bytes(arg, &bytes) != 0)
        argp_error(state, "--threshold=%s: not a number of bytes such as 65536, 64k or 1m", arg);
    if (bytes < SMALLEST_THRESHOLD)
        argp_error(state, "--threshold=%s: must be at least %d", arg, SMALLEST_THRESHOLD);
    put(state, "ZIO_THRESHOLD", arg);
}

static void
put_log(struct argp_state *state, const char *arg)
{
    static const char *const levels[] = {"error", "warn", "info", "debug"};
    size_t len = strcspn(arg, ":");
    char prefix[16];

    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        if (strlen(levels[i]) != len || strncmp(levels[i], arg, len) != 0)
            continue;
        if (!arg[len]) {
            put(state, "ZIO_LOG", arg);
            return;
        }
        if (!arg[len + 1])
            argp_error(state, "--log=%s: the file's name is missing after ':'", arg);
        snprintf(prefix, sizeof prefix, "%s:", levels[i]);
        put_file(state, "ZIO_LOG", prefix, arg + len + 1);
        return;
    }
    argp_error(state, "--log=%s: LEVEL is one of error, warn, info, debug", arg);
}

static void
put_route(struct argp_state *state, const char *arg)
{
    char why[1024] = "";
    int rc = routes_add(arg, why, sizeof why);

    if (rc == -ENOENT)
        argp_failure(state, CLI_BROKEN, 0, "--fs=%s: %s", arg, why);
    else if (rc < 0 && *why)
        argp_error(state, "--fs=%s: %s", arg, why);
    else if (rc < 0)
        argp_failure(state, CLI_BROKEN, -rc, "--fs=%s", arg);
}

static void
put_features(struct argp_state *state, const char *arg)
{
    char bad[64];

    if (features_check(arg, bad, sizeof bad) != 0)
        argp_error(state, "--features=%s: '%s' is not one of -NAME with NAME in " FEATURES_LIST, arg, bad);
    put(state, "ZIO_FEATURES", arg);
}

static error_t
parse(int key, char *arg, struct argp_state *state)
{
    struct run *run = state->input;

    switch (key) {
    case 't':
        put_threshold(state, arg);
        return 0;
    case 's':
        if (!*arg)
            argp_error(state, "--stats: the file's name is empty");
        put_file(state, "ZIO_STATS", "", arg);
        return 0;
    case 'l':
        put_log(state, arg);
        return 0;
    case OPT_FEATURES:
        put_features(state, arg);
        return 0;
    case OPT_POLICY:
        if (strcmp(arg, "model") != 0 && strcmp(arg, "always") != 0)
            argp_error(state, "--policy=%s: P is 'model' or 'always'", arg);
        put(state, "ZIO_POLICY", arg);
        return 0;
    case OPT_DISABLE:
        put(state, "ZIO_DISABLE", "1");
        return 0;
    case OPT_FS:
        put_route(state, arg);
        return 0;
    case OPT_SOCKMAP:
        run->sockmap = true;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "which program?");
        return 0;
    default:
        return cli_rest(key, state, &run->argc, &run->argv);
    }
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .args_doc = "[--] PROGRAM [ARGUMENTS]",
    .doc =
        "Runs PROGRAM with its large copies elided, and with --fs files of volumes where it looks for them; "
        "everything else stays as it is.\v"
        "zio becomes the program: its exit code and its signals are the program's. Exit codes of zio itself: "
        "2 wrong options, 125 zIO's library or the volume is missing, 126 PROGRAM cannot be executed, 127 "
        "PROGRAM not "
        "found. "
        "A program that no library can be preloaded into (static, set-user-ID, 32-bit, not glibc) is named "
        "on "
        "standard error and runs plainly.",
};

int
cmd_run(int argc, char **argv)
{
    char library[3 * PATH_MAX];
    struct run run = {0};

    if (argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &run) != 0 || run.argc == 0)
        return CLI_USAGE;
    if (paths_find_library("libzio.so", library, sizeof library) != 0)
        return cli_error(
            CLI_BROKEN, NAME,
            "libzio.so is not where it should be (%s): install zIO, or set ZIO_LIBDIR to its directory",
            library);
    if (library[strcspn(library, ": ")])
        return cli_error(CLI_BROKEN, NAME, "%s: LD_PRELOAD takes no path with a blank or a colon in it",
                         library);
    if (run.sockmap)
        sockmap_join(NAME, run.argv[0]);
    return launch_exec(NAME, library, run.argv);
}
