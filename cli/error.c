// SPDX-License-Identifier: Apache-2.0
// What every command does with errors, and with arguments that are another program's.
#include <stdarg.h>

#include "cli/cli.h"

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
