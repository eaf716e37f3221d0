// SPDX-License-Identifier: Apache-2.0
// zio-sockmap: `zio sockmap up|down|status`, and `keep`, which `zio run --sockmap` calls.
#include <argp.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/sockmap_tool.h"

static const struct command {
    const char *name, *title, *args, *help;
    int (*run)(const struct sockmap_args *a);
    int least; // arguments
} commands[] = {
    {"up", "zio sockmap up", "CGROUP...",
     "Lets TCP connections between programs of the control groups, and those below them, pass by TCP while "
     "both ends are "
     "on this machine. Connections that exist already stay as they are.",
     sockmap_up, 1},
    {"down", "zio sockmap down", "",
     "Ends that, for zio run --sockmap, too: connections go on through TCP, and lose nothing.", sockmap_down,
     0},
    {"status", "zio sockmap status", "", "Shows the control groups, the counters and the connections.",
     sockmap_status, 0},
};

enum { OPT_JSON = 256, OPT_BPFFS };

static const struct argp_option options[] = {
    {"json", OPT_JSON, NULL, 0, "status: print JSON (see zio-sockmap(8) for its form)", 0},
    {"bpffs", OPT_BPFFS, "DIR", 0, "The BPF file system that keeps the programs (default " ZSM_BPFFS ")", 0},
    {0},
};

static error_t
parse(int key, char *arg, struct argp_state *state)
{
    struct sockmap_args *a = state->input;

    switch (key) {
    case OPT_JSON:
        a->json = true;
        return 0;
    case OPT_BPFFS:
        a->bpffs = arg;
        return 0;
    case ARGP_KEY_ARG:
        a->argv[a->argc++] = arg;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int
run(const struct command *cmd, int argc, char **argv)
{
    char doc[1024], *rest[argc + 1], title[64];
    struct sockmap_args a = {.name = cmd->title, .bpffs = ZSM_BPFFS, .argv = rest};
    struct argp argp = {.options = options, .parser = parse, .args_doc = cmd->args, .doc = doc};

    snprintf(doc, sizeof doc, "%s\vExit codes: 0 done; 1 it failed; 2 wrong options or arguments.",
             cmd->help);
    snprintf(title, sizeof title, "%s", cmd->title);
    argv[0] = title;
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    if (a.argc < cmd->least)
        return cli_error(CLI_USAGE, a.name,
                         "which control group? (such as /system.slice/redis.service, or / for all)");
    if (!cmd->least && a.argc > 0)
        return cli_error(CLI_USAGE, a.name, "no arguments are expected");
    return cmd->run(&a);
}

static void
usage(FILE *to)
{
    fputs("Usage: zio sockmap COMMAND [OPTION...]\n\nLets TCP connections between programs of this machine "
          "pass by TCP."
          "\n\nCommands:\n",
          to);
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        fprintf(to, "  %-7s %-10s %s\n", commands[i].name, commands[i].args, commands[i].help);
    fputs("\n'zio sockmap COMMAND --help' explains a command; zio-sockmap(8) has everything.\n"
          "Exit codes: 0 done; 1 it failed; 2 wrong options or arguments.\n",
          to);
}

int
main(int argc, char **argv)
{
    cli_begin();
    if (argc == 3 && strcmp(argv[1], "keep") == 0)
        return sockmap_keep(argv[0], atoi(argv[2]));
    if (argc == 2 && strcmp(argv[1], "probe") == 0)
        return sockmap_probe();
    if (argc < 2) {
        usage(stderr);
        return CLI_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-?") == 0 || strcmp(argv[1], "help") == 0) {
        usage(stdout);
        return cli_finish("zio sockmap", CLI_OK);
    }
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return cli_finish("zio sockmap", run(&commands[i], argc - 1, argv + 1));
    return cli_error(CLI_USAGE, "zio sockmap", "there is no command '%s': up, down or status", argv[1]);
}
