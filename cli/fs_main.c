// SPDX-License-Identifier: Apache-2.0
// zio-fs, which `zio fs` becomes: options, the volume, and the table of commands.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/fs.h"

enum {
    O_CHUNK = 256,
    O_SIZE,
    O_INODES,
    O_TRASH,
    O_LABEL,
    O_MODE,
    O_DIR_MODE,
    O_JSON,
    O_LAYOUT,
    O_REPAIR,
    O_PROGRESS
};

#define COMMON                                                                                               \
    {                                                                                                        \
        "json", O_JSON, 0, 0, "Print JSON"                                                                   \
    }
#define QUIET                                                                                                \
    {"quiet", 'q', 0, 0, "Show no progress"},                                                                \
    {                                                                                                        \
        "progress", O_PROGRESS, "SECONDS", 0,                                                                \
            "Show progress this often (default 0.2 on a terminal, 10 elsewhere)"                             \
    }

static const struct argp_option options_format[] = {
    {"chunk-size", O_CHUNK, "BYTES", 0, "A power of two from 64k to 1g (default 64m)"},
    {"size", O_SIZE, "BYTES", 0, "What all files may take together (default: what the disk has)"},
    {"inodes", O_INODES, "N", 0, "How many files and directories there may be"},
    {"trash", O_TRASH, "SECONDS", 0, "Keep deleted files this long"},
    {"label", O_LABEL, "TEXT", 0, "A name for people"},
    {"mode", O_MODE, "OCTAL", 0, "Permissions of the root directory (default 755)"},
    {"dir-mode", O_DIR_MODE, "OCTAL", 0,
     "Permissions of DIR itself: who may use the volume without a mount (default: as it is, or 700)"},
    {0},
};
static const struct argp_option options_json[] = {COMMON, {0}};
static const struct argp_option options_none[] = {{0}};
static const struct argp_option options_ls[] = {
    COMMON,
    {"zero", '0', 0, 0, "End each name with a NUL, not a line feed"},
    {"long", 'l', 0, 0, "Modes, owners, sizes and times"},
    {"recursive", 'R', 0, 0, "And all below"},
    {0}};
static const struct argp_option options_copy[] = {
    {"recursive", 'r', 0, 0, "Directories, too, with all below"},
    {"archive", 'a', 0, 0,
     "And owners, extended attributes, ACLs, hard links, FIFOs and devices; includes -r"},
    {"force", 'f', 0, 0, "Copy also what is at the target with the same size and time"},
    QUIET,
    {0}};
static const struct argp_option options_mv[] = {{"no-clobber", 'n', 0, 0, "Replace nothing that is there"},
                                                {0}};
static const struct argp_option options_top[] = {
    COMMON,
    {"iterations", 'n', "N", 0,
     "Look N times (default: until interrupted, or once where standard output is no terminal)"},
    {"interval", 'd', "SECONDS", 0, "Between two looks (default 1)"},
    {0}};
static const struct argp_option options_rm[] = {
    {"recursive", 'r', 0, 0, "Directories and snapshots, with all below"},
    {"force", 'f', 0, 0, "No complaint about what is not there"},
    {0}};
static const struct argp_option options_mkdir[] = {
    {"parents", 'p', 0, 0, "And those above; no complaint if it is there"},
    {"mode", O_MODE, "OCTAL", 0, "Permissions (default 777 less umask)"},
    {0}};
static const struct argp_option options_du[] = {
    COMMON, {"summarize", 's', 0, 0, "Only the sum of each PATH"}, {0}};
static const struct argp_option options_stat[] = {
    COMMON, {"layout", O_LAYOUT, 0, 0, "And where the data of files is"}, {0}};
static const struct argp_option options_fsck[] = {
    COMMON, QUIET, {"repair", O_REPAIR, 0, 0, "Mend what can be mended"}, {0}};
static const struct argp_option options_scrub[] = {COMMON, QUIET, {0}};
static const struct argp_option options_quota[] = {
    COMMON,
    {"size", O_SIZE, "BYTES", 0, "Set the limit of space (0: none)"},
    {"inodes", O_INODES, "N", 0, "Set the limit of files and directories (0: none)"},
    {0},
};

#define options_info options_json
#define options_put options_copy
#define options_get options_copy
#define options_cat options_none
#define options_df options_json
#define options_clone options_none
#define options_snapshot options_none
#define options_trash options_json

struct command {
    const char *name, *title, *args, *help;
    int least, most;
    int (*run)(struct fs_args *a, struct fsc *fs);
    const struct argp_option *options;
};

static const struct command commands[] = {
#define X(name, args, least, most, help)                                                                     \
    {#name, "zio fs " #name, args, help, least, most, fs_##name, options_##name},
    FS_COMMANDS(X)
#undef X
};

#define NCOMMANDS (sizeof commands / sizeof commands[0])

static bool told; // the library has said what went wrong

static void
message(void *arg, const char *text)
{
    (void)arg;
    told = true;
    cli_error(0, "zio fs", "%s", text);
}

bool
fs_told(void)
{
    return told;
}

const struct fsc_options fs_options = {.message = message};

static int
number(const char *arg, uint64_t *out, struct argp_state *state, const char *what)
{
    if (text_parse_bytes(arg, out) != 0)
        argp_error(state, "'%s' is no %s: digits, and k, m or g behind them", arg, what);
    return 0;
}

static int
octal(const char *arg, unsigned *out, struct argp_state *state)
{
    char *end;

    *out = (unsigned)strtoul(arg, &end, 8);
    if (*arg == '\0' || *end || *out > 07777)
        argp_error(state, "'%s' is no octal mode such as 755", arg);
    return 0;
}

static error_t
parse(int key, char *arg, struct argp_state *state)
{
    struct fs_args *a = state->input;
    char *end;

    switch (key) {
    case O_JSON:
        a->json = true;
        return 0;
    case 'q':
        a->quiet = true;
        return 0;
    case 'l':
        a->longer = true;
        return 0;
    case 'r':
    case 'R':
        a->recursive = true;
        return 0;
    case 'f':
        a->force = true;
        return 0;
    case 'p':
        a->parents = true;
        return 0;
    case 's':
        a->summary = true;
        return 0;
    case 'a':
        a->archive = true;
        return 0;
    case '0':
        a->zero = true;
        return 0;
    case 'n':
        if (!arg) {
            a->keep = true;
            return 0;
        }
        return number(arg, &a->count, state, "number of looks");
    case 'd':
    case O_PROGRESS:
        a->interval = strtod(arg, &end);
        if (*arg == '\0' || *end || !(a->interval >= 0.01 && a->interval <= 86400))
            argp_error(state, "'%s' is no number of seconds from 0.01 to 86400", arg);
        return 0;
    case O_LAYOUT:
        a->layout = true;
        return 0;
    case O_REPAIR:
        a->repair = true;
        return 0;
    case O_LABEL:
        a->label = arg;
        return 0;
    case O_CHUNK:
        return number(arg, &a->chunk_size, state, "amount of bytes");
    case O_TRASH:
        return number(arg, &a->trash, state, "number of seconds");
    case O_SIZE:
        a->has_size = true;
        return number(arg, &a->size, state, "amount of bytes");
    case O_INODES:
        a->has_inodes = true;
        return number(arg, &a->inodes, state, "number");
    case O_MODE:
        return octal(arg, &a->mode, state);
    case O_DIR_MODE:
        return octal(arg, &a->dir_mode, state);
    case ARGP_KEY_ARG:
        if (!a->url) {
            a->url = arg;
            return 0;
        }
        a->argv[a->argc++] = arg;
        return 0;
    case ARGP_KEY_END:
        if (!a->url)
            argp_error(state, "the volume is missing: a URL such as local:/srv/vol");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int
run(const struct command *cmd, int argc, char **argv)
{
    char doc[512], *rest[argc + 1], title[64];
    struct fs_args a = {.name = cmd->title, .argv = rest};
    struct argp argp = {.options = cmd->options, .parser = parse, .args_doc = cmd->args, .doc = doc};
    struct fsc *fs = NULL;
    int err;

    snprintf(
        doc, sizeof doc,
        "%s%s\vExit codes: 0 done; 1 it failed, or a check found something; 2 wrong options or arguments.",
        cmd->help, strcmp(cmd->name, "trash") ? "" : " (while the volume keeps them: zio fs format --trash)");
    snprintf(title, sizeof title, "%s", cmd->title);
    argv[0] = title;
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    rest[a.argc] = NULL;
    if (a.argc < cmd->least || (cmd->most >= 0 && a.argc > cmd->most))
        return cli_error(CLI_USAGE, a.name, "it wants: %s (zio fs %s --help)", cmd->args, cmd->name);
    if (cmd->run == fs_format)
        return cmd->run(&a, NULL);
    err = fsc_open_volume(a.url, &fs_options, &fs);
    if (err == -EINVAL || err == -EPROTONOSUPPORT)
        return told ? CLI_USAGE : cli_error(CLI_USAGE, a.name, "%s: %s", a.url, strerror(-err));
    if (err)
        return told ? CLI_FAIL : fs_fail(&a, a.url, err);
    err = cmd->run(&a, fs);
    fsc_close_volume(fs);
    return err;
}

static void
usage(FILE *to)
{
    fputs("Usage: zio fs COMMAND [OPTION...] URL [ARGUMENT...]\n\nWorks on a volume without mounting it. URL "
          "is local:DIR."
          "\n\nCommands:\n",
          to);
    for (size_t i = 0; i < NCOMMANDS; i++)
        fprintf(to, "  %-9s %s\n", commands[i].name, commands[i].help);
    fputs("\n'zio fs COMMAND --help' explains a command; zio-fs(1) has everything.\n"
          "Exit codes: 0 done; 1 it failed, or a check found something; 2 wrong options or arguments.\n",
          to);
}

static int
unknown(const char *name)
{
    const char *best = NULL;
    unsigned best_distance = 3;

    for (size_t i = 0; i < NCOMMANDS; i++) {
        unsigned distance = text_distance(name, commands[i].name);

        if (distance < best_distance) {
            best = commands[i].name;
            best_distance = distance;
        }
    }
    if (best)
        return cli_error(CLI_USAGE, "zio fs", "there is no command '%s'; did you mean '%s'?", name, best);
    return cli_error(CLI_USAGE, "zio fs", "there is no command '%s' ('zio fs --help' lists all)", name);
}

int
main(int argc, char **argv)
{
    cli_begin();
    if (argc < 2) {
        usage(stderr);
        return CLI_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-?") == 0 || strcmp(argv[1], "help") == 0) {
        usage(stdout);
        return cli_finish("zio fs", CLI_OK);
    }
    for (size_t i = 0; i < NCOMMANDS; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return cli_finish("zio fs", run(&commands[i], argc - 1, argv + 1));
    return argv[1][0] == '-'
               ? cli_error(CLI_USAGE, "zio fs", "the command comes first ('zio fs --help' lists all)")
               : unknown(argv[1]);
}
