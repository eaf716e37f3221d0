// SPDX-License-Identifier: Apache-2.0
// Executes a program with one of zIO's libraries preloaded. There is no process in between: the program takes
// zio's place, so that exit codes, signals, the process id and job control are the program's own.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/launch.h"

// Puts `library` first in LD_PRELOAD, keeps the others in their order, and leaves out a second mention.
static int
preload(const char *library)
{
    const char *old = getenv("LD_PRELOAD");
    size_t size = strlen(library) + (old ? strlen(old) : 0) + 2, used;
    char *value = malloc(size);
    int rc;

    if (!value)
        return -ENOMEM;
    used = (size_t)snprintf(value, size, "%s", library);
    while (old && *old) {
        size_t len = strcspn(old, ": ");

        if (len && !(len == strlen(library) && memcmp(old, library, len) == 0))
            used += (size_t)snprintf(value + used, size - used, ":%.*s", (int)len, old);
        old += len;
        old += strspn(old, ": ");
    }
    rc = setenv("LD_PRELOAD", value, 1) == 0 ? 0 : -errno;
    free(value);
    return rc;
}

// A file without #! that is no ELF file is a shell script, as execvp has it.
static void
exec_shell(const char *path, char **argv)
{
    size_t n = 0;
    char **args;

    while (argv[n])
        n++;
    args = calloc(n + 2, sizeof *args);
    if (!args)
        return;
    args[0] = (char *)"/bin/sh";
    args[1] = (char *)path;
    for (size_t i = 1; i < n; i++)
        args[i + 1] = argv[i];
    execv(args[0], args);
    free(args);
}

static int
not_run(const char *command, const char *name, const char *path, int err)
{
    if (err == ENOENT || err == ENOTDIR)
        return cli_error(CLI_NOT_FOUND, command, "%s: %s", name,
                         strchr(name, '/') ? "no such file" : "no such program in PATH");
    return cli_error(CLI_NOT_RUN, command, "%s: cannot be executed: %s", path, strerror(err));
}

// A program in a volume can only be found by a process that has the library: a shell, which it then replaces.
static int
exec_in_volume(const char *command, const char *library, char **argv)
{
    int rc = preload(library);
    size_t n = 0;
    char **args;

    while (argv[n])
        n++;
    args = rc == 0 ? calloc(n + 4, sizeof *args) : NULL;
    if (!args)
        return cli_error(CLI_BROKEN, command, "%s: %s", argv[0], strerror(rc ? -rc : ENOMEM));
    args[0] = (char *)"sh";
    args[1] = (char *)"-c";
    args[2] = (char *)"exec \"$0\" \"$@\"";
    for (size_t i = 0; i < n; i++)
        args[i + 3] = argv[i];
    execv("/bin/sh", args);
    rc = errno;
    free(args);
    return not_run(command, "/bin/sh", "/bin/sh", rc);
}

int
launch_exec(const char *command, const char *library, char **argv)
{
    char path[PATH_MAX], why[PATH_MAX + 128];
    int rc;

    if (library && routes_have(argv[0]))
        return exec_in_volume(command, library, argv);
    rc = progfile_resolve(argv[0], path);
    if (rc < 0)
        return not_run(command, argv[0], path, -rc);
    rc = progfile_check(path, why, sizeof why);
    if (rc < 0)
        return cli_error(rc == -ENOENT ? CLI_NOT_FOUND : CLI_NOT_RUN, command, "%s %s", path, why);
    if (rc > 0) {
        cli_error(0, command, "%s %s; it runs without zIO%s", path, why,
                  getenv("ZIO_FS") ? " and does not see its volumes" : "");
    } else if (library) {
        rc = preload(library);
        if (rc < 0)
            return cli_error(CLI_BROKEN, command, "cannot set LD_PRELOAD: %s", strerror(-rc));
    }
    execv(path, argv);
    if (errno == ENOENT) // the file is there: what its headers name is not
        return cli_error(CLI_NOT_FOUND, command, "%s: cannot be executed: its dynamic loader is missing",
                         path);
    if (errno == ENOEXEC && !progfile_is_elf(path)) {
        exec_shell(path, argv);
        errno = ENOEXEC;
    }
    return not_run(command, argv[0], path, errno);
}
