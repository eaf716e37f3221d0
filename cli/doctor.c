// SPDX-License-Identifier: Apache-2.0
// `zio doctor`: runs the checks of probe.h and reports, ending in a verdict.
#include <jansson.h>
#include <stdarg.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/features.h"
#include "cli/probe.h"

#define NAME "zio doctor"

struct check {
    const char *id, *kernel;
    bool needed;
    const char *title;
    void (*probe)(struct probe *p);
};

static const struct check checks[] = {
#define X(id, kernel, needed, title) {#id, kernel, needed, title, probe_##id},
    PROBES(X)
#undef X
};

#define NCHECKS (sizeof checks / sizeof checks[0])

static const char *const status_names[] = {
    [PROBE_OK] = "OK",
    [PROBE_DEGRADED] = "degraded",
    [PROBE_MISSING] = "missing",
};

void
probe_say(struct probe *p, enum probe_status status, const char *mend, const char *fmt, ...)
{
    va_list ap;

    p->status = status;
    snprintf(p->mend, sizeof p->mend, "%s", mend);
    va_start(ap, fmt);
    vsnprintf(p->why, sizeof p->why, fmt, ap);
    va_end(ap);
    text_clean(p->why);
}

// The check that keeps elision off, or NULL. The first counts: those after it may fail because of it.
static const struct check *
culprit(const struct probe *answers)
{
    for (size_t i = 0; i < NCHECKS; i++)
        if (checks[i].needed && answers[i].status == PROBE_MISSING)
            return &checks[i];
    return NULL;
}

static void
write_verdict(const struct probe *answers, char *out, size_t len)
{
    const struct check *bad = culprit(answers);
    size_t worse = 0;

    for (size_t i = 0; i < NCHECKS; i++)
        worse += answers[i].status != PROBE_OK;
    if (bad)
        snprintf(out, len, "Copies are NOT elided here: %s: %s", bad->title, answers[bad - checks].why);
    else if (worse)
        snprintf(out, len, "Copies are elided here; %zu of %zu checks are less than ideal", worse, NCHECKS);
    else
        snprintf(out, len, "Copies are elided here");
}

static void
print_text(const struct probe *answers, const char *verdict)
{
    for (size_t i = 0; i < NCHECKS; i++) {
        bool since = strcmp(checks[i].kernel, "-") != 0;

        printf("%-9s %s%s%s%s: %s\n", status_names[answers[i].status], checks[i].title,
               since ? " (Linux " : "", since ? checks[i].kernel : "", since ? ")" : "", answers[i].why);
        if (answers[i].mend[0])
            printf("          mend: %s\n", answers[i].mend);
    }
    printf("\n%s.\n", verdict);
}

static void
print_json(const struct probe *answers, const char *verdict)
{
    json_t *list = json_array(), *all;

    for (size_t i = 0; i < NCHECKS; i++)
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:s, s:b, s:s?, s:s, s:s?}", "id", checks[i].id, "title",
                                        checks[i].title, "status", status_names[answers[i].status], "needed",
                                        checks[i].needed, "oldest_kernel",
                                        checks[i].kernel[0] == '-' ? NULL : checks[i].kernel, "why",
                                        answers[i].why, "mend", answers[i].mend[0] ? answers[i].mend : NULL));
    all =
        json_pack("{s:b, s:s, s:o}", "elision", culprit(answers) == NULL, "verdict", verdict, "checks", list);
    json_dumpf(all, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(all);
}

enum { OPT_JSON = 256 };

static const struct argp_option arguments[] = {
    {"json", OPT_JSON, NULL, 0, "Print JSON (see zio(1) for its form)", 0},
    {0},
};

static error_t
parse(int key, char *arg, struct argp_state *state)
{
    bool *json = state->input;

    (void)arg;
    if (key == ARGP_KEY_ARG)
        argp_error(state, "no arguments are expected");
    if (key != OPT_JSON)
        return ARGP_ERR_UNKNOWN;
    *json = true;
    return 0;
}

static const struct argp argp = {
    .options = arguments,
    .parser = parse,
    .doc = "Tries what libzio.so needs from this machine and says what is there, what is missing, the oldest "
           "kernel "
           "that has it, and the command that mends it.\v"
           "ZIO_FEATURES=-NAME,... treats kernel features as absent: " FEATURES_LIST ". "
           "Exit codes: 0 copies are elided here, 1 they are not, 2 wrong options.",
};

int
cmd_doctor(int argc, char **argv)
{
    const char *features = getenv("ZIO_FEATURES");
    struct probe answers[NCHECKS] = {0};
    char bad[64], verdict[512];
    bool json = false;

    if (argp_parse(&argp, argc, argv, 0, NULL, &json) != 0)
        return CLI_USAGE;
    if (features && features_check(features, bad, sizeof bad) != 0)
        return cli_error(CLI_USAGE, NAME,
                         "ZIO_FEATURES=%s: '%s' is not one of -NAME with NAME in " FEATURES_LIST, features,
                         bad);
    for (size_t i = 0; i < NCHECKS; i++)
        checks[i].probe(&answers[i]);
    write_verdict(answers, verdict, sizeof verdict);
    if (json)
        print_json(answers, verdict);
    else
        print_text(answers, verdict);
    return culprit(answers) ? CLI_FAIL : CLI_OK;
}
