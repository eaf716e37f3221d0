// SPDX-License-Identifier: Apache-2.0
// What the commands of `zio` share: the table of commands, exit codes, and small helpers for finding zIO's
// other files and for printing. Everything here is single-threaded.
#ifndef ZIO_CLI_CLI_H
#define ZIO_CLI_CLI_H

#include <argp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

// Exit codes of zio itself; `zio run` and `zio profile` otherwise end as the program does.
enum cli_exit {
    CLI_OK = 0,
    CLI_FAIL = 1,        // the command ran and its answer is no: nothing found, elision off
    CLI_USAGE = 2,       // wrong options or arguments
    CLI_BROKEN = 125,    // zio's own files or resources are missing
    CLI_NOT_RUN = 126,   // the program is there and cannot be executed
    CLI_NOT_FOUND = 127, // no such program
};

// X(name, help): every command; cmd_NAME() runs it. argv[0] is "zio NAME".
#define CLI_COMMANDS(X)                                                                                      \
    X(run, "run a program with its large copies elided")                                                     \
    X(stat, "show the live counters of programs under zIO")                                                  \
    X(profile, "show which call stacks of a program copy most")                                              \
    X(doctor, "say what this machine allows, what is missing, and what mends it")                            \
    X(fs, "make, fill, list and check volumes: files that other programs reach with zio run --fs")           \
    X(mount, "mount a volume on a directory, for programs that nothing can be preloaded into")               \
    X(umount, "unmount a volume")                                                                            \
    X(sockmap, "let connections of chosen control groups pass by TCP on this machine")                       \
    X(bench, "run zIO's benchmarks")                                                                         \
    X(help, "explain a command")

#define X(name, help) int cmd_##name(int argc, char **argv);
CLI_COMMANDS(X)
#undef X

// The child of `zio doctor` that copies under libzio.so and tells what came of it (see selftest.c).
#define CLI_SELFTEST "selftest-child"
int cmd_selftest_child(void);

// --- error.c ---
// First in main(): what argp is to know of us.
void cli_begin(void);
// Last in main(): `code`, or CLI_FAIL and a message where standard output could not be written.
int cli_finish(const char *name, int code);

// Prints "NAME: message" on standard error, NAME being the command ("zio run"); returns `code`.
int cli_error(int code, const char *name, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

// An argp parser for commands whose non-options are passed on as they are (a program and its arguments): call
// it from the parser for ARGP_KEY_ARG and ARGP_KEY_ARGS; `rest` is NULL-terminated, being the end of argv.
error_t cli_rest(int key, struct argp_state *state, int *argc, char ***rest);

// --- sockmap.c ---
// Puts this process into a control group of its own whose same-host connections pass by TCP. Where that
// cannot be done, or `program` takes no library, says why on standard error, and that plain TCP is used.
// `command` opens messages.
void sockmap_join(const char *command, const char *program);

// Asks zio-sockmap whether sockets can be joined here: its one line goes to why[len]. 0: they can. -EACCES:
// they cannot. -ENOENT: zio was built without.
int sockmap_ask(char *why, size_t len);

// --- paths.c ---
// Where zIO's own files are. Both write an absolute path to out[len] and return 0, or -ENOENT and, in out,
// the places that were tried. Order: $ZIO_LIBDIR (libraries only), the build tree beside the executable, the
// installed place.
int paths_find_library(const char *name, char *out, size_t len);
int paths_find_exec(const char *name, const char *build_dir, char *out, size_t len);

// --- text.c ---
// Amounts for people: "1.5 MiB", "12.3 k", "1.20 ms". The buffer is the caller's and is returned.
#define TEXT_MAX 32
char *text_bytes(char buf[TEXT_MAX], uint64_t bytes);
char *text_count(char buf[TEXT_MAX], uint64_t n);
char *text_ns(char buf[TEXT_MAX], double ns);
// Replaces control characters and what is not UTF-8 by '?': another process's bytes must not steer a terminal
// nor spoil JSON.
void text_clean(char *s);
// The edit distance of two words (insertions, deletions, replacements; swaps of neighbours count one).
unsigned text_distance(const char *a, const char *b);
// BYTES with an optional suffix k, m, g (times 1024 each, either case). 0, or -EINVAL.
int text_parse_bytes(const char *s, uint64_t *out);

#endif
