// SPDX-License-Identifier: Apache-2.0
// What every command does first and last, with errors, and with arguments that are another program's.
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "cli/cli.h"
#include "config.h"

// Assigned, not defined here: a definition with hidden visibility would not be the one that argp reads.
void
cli_begin(void)
{
    argp_program_version = "zio " PACKAGE_VERSION;
    argp_program_bug_address = "<" PACKAGE_BUGREPORT ">";
    argp_err_exit_status = CLI_USAGE;
}

// What was printed must have arrived: `zio stat >/dev/full` is an error.
int
cli_finish(const char *name, int code)
{
    if ((fflush(stdout) != 0 || ferror(stdout)) && code == CLI_OK)
        return cli_error(CLI_FAIL, name, "cannot write to standard output: %s", strerror(errno));
    return code;
}

int
cli_error(int code, const char *name, const char *fmt, ...)
{
    va_list ap;

    fflush(stdout);
    fprintf(stderr, "%s: ", name);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    return code;
}

error_t
cli_rest(int key, struct argp_state *state, int *argc, char ***rest)
{
    // Not taking the first argument makes argp offer all of them at once.
    if (key == ARGP_KEY_ARG)
        return ARGP_ERR_UNKNOWN;
    if (key != ARGP_KEY_ARGS)
        return ARGP_ERR_UNKNOWN;
    *argc = state->argc - state->next;
    *rest = state->argv + state->next;
    return 0;
}
