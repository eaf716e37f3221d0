// SPDX-License-Identifier: Apache-2.0
// Starting a program with one of zIO's libraries preloaded: what `zio run` and `zio profile` have in common.
#ifndef ZIO_CLI_LAUNCH_H
#define ZIO_CLI_LAUNCH_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

// --- progfile.c: what a program's file is ---

// Finds `name` as execvp does: itself if it has a slash, else along PATH. Writes the path to be executed to
// out. 0; or -ENOENT (no such program) or -EACCES (there, not executable; out says which file), -ENOTDIR, ...
int progfile_resolve(const char *name, char out[PATH_MAX]);

// Says whether libraries can be preloaded into the program at `path`, following #! lines.
// 0: yes, or it cannot be told. 1: no, and why[len] has one line that says so ("is statically linked, ...").
// -errno: the program cannot be started; why[len] has the reason (a missing interpreter, for instance).
int progfile_check(const char *path, char *why, size_t len);

// Whether the file at `path` is an ELF file, as against a script.
bool progfile_is_elf(const char *path);

// --- routes.c: paths that are served from volumes (ZIO_FS) ---

// Adds PATH=URL or PATH=ro,URL to ZIO_FS. 0; -EINVAL or -ENOENT, and why[len] says what is wrong; or another
// -errno, without.
int routes_add(const char *arg, char *why, size_t len);

// Does this absolute path lie in a volume?
bool routes_have(const char *path);

// --- launch.c ---

// Executes argv[0] with `library` first in LD_PRELOAD; a program that takes no preloaded library gets a line
// on standard error and runs without. `command` opens messages ("zio run"). Returns only on failure: the exit
// code.
int launch_exec(const char *command, const char *library, char **argv);

#endif
