// SPDX-License-Identifier: Apache-2.0
// `zio`: finds the command among its arguments and runs it. Each command parses its own options.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

struct command {
    const char *name;
    const char *title; // "zio NAME", the argv[0] that the command sees
    const char *help;
    int (*run)(int argc, char **argv);
};

static const struct command commands[] = {
#define X(name, help) {#name, "zio " #name, help, cmd_##name},
    CLI_COMMANDS(X)
#undef X
};

#define NCOMMANDS (sizeof commands / sizeof commands[0])

static int
unknown_command(const char *name)
{
    const struct command *best = NULL;
    unsigned best_distance = 3; // further away than two slips it is another word

    for (size_t i = 0; i < NCOMMANDS; i++) {
        unsigned distance = text_distance(name, commands[i].name);

        if (distance < best_distance) {
            best = &commands[i];
            best_distance = distance;
        }
    }
    if (best)
        return cli_error(CLI_USAGE, "zio",
                         "there is no command '%s'; did you mean '%s'? ('zio --help' lists all)", name,
                         best->name);
    return cli_error(CLI_USAGE, "zio", "there is no command '%s' ('zio --help' lists all)", name);
}

static const struct command *
find_command(const char *name)
{
    for (size_t i = 0; i < NCOMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

struct arguments {
    int argc;
    char **argv;
};

static error_t
parse(int key, char *arg, struct argp_state *state)
{
    struct arguments *in = state->input;

    (void)arg;
    if (key == ARGP_KEY_NO_ARGS) {
        argp_state_help(state, stderr, ARGP_HELP_STD_USAGE);
        return EINVAL;
    }
    return cli_rest(key, state, &in->argc, &in->argv);
}

// The list of commands for --help; argp frees it.
static char *
help_filter(int key, const char *text, void *input)
{
    char *list = NULL;
    size_t len = 0;
    FILE *out;

    (void)input;
    if (key != ARGP_KEY_HELP_POST_DOC)
        return (char *)text;
    out = open_memstream(&list, &len);
    if (!out)
        return NULL;
    fputs("Commands:\n", out);
    for (size_t i = 0; i < NCOMMANDS; i++)
        fprintf(out, "  %-9s %s\n", commands[i].name, commands[i].help);
    fputs("\n'zio help COMMAND' explains a command; zio(1) has everything.", out);
    fclose(out);
    return list;
}

static const struct argp argp = {
    .parser = parse,
    .args_doc = "COMMAND [ARGUMENTS]",
    .doc = "Run unmodified programs with their large copies gone.",
    .help_filter = help_filter,
};

int
cmd_help(int argc, char **argv)
{
    char zio[] = "zio", option[] = "--help";
    const struct command *cmd;

    if (argc < 2) {
        argp_help(&argp, stdout, ARGP_HELP_SHORT_USAGE | ARGP_HELP_LONG | ARGP_HELP_DOC, zio);
        return CLI_OK;
    }
    if (argc > 2)
        return cli_error(CLI_USAGE, argv[0], "one command at a time");
    cmd = find_command(argv[1]);
    if (cmd && cmd->run != cmd_help)
        return cmd->run(2, (char *[]){(char *)cmd->title, option, NULL});
    if (!cmd && strcmp(argv[1], option) != 0 && strcmp(argv[1], "-?") != 0)
        return unknown_command(argv[1]);
    puts("Usage: zio help [COMMAND]\n\nExplains a command: its options and its exit codes.");
    return CLI_OK;
}

int
main(int argc, char **argv)
{
    struct arguments in = {0};
    const struct command *cmd;

    cli_begin();
    if (argc > 1 && strcmp(argv[1], CLI_SELFTEST) == 0)
        return cmd_selftest_child();
    if (argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &in) != 0 || in.argc == 0)
        return CLI_USAGE;
    cmd = find_command(in.argv[0]);
    if (!cmd)
        return unknown_command(in.argv[0]);
    in.argv[0] = (char *)cmd->title;
    return cli_finish("zio", cmd->run(in.argc, in.argv));
}
