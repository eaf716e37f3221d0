// SPDX-License-Identifier: Apache-2.0
// `zio sockmap`, and what `zio run --sockmap` does first: both start zio-sockmap, since zio itself must not
// bring the BPF library into every command.
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/features.h"
#include "cli/launch.h"
#include "common/sockmap.h"

#define INSTALL "apt install clang bpftool libbpf-dev, then configure and build again"
#define NOT_BUILT "this zIO was built without socket redirection: " INSTALL

static int
find(char path[3 * PATH_MAX])
{
    return paths_find_exec("zio-sockmap", "/cli", path, 3 * PATH_MAX);
}

int
cmd_sockmap(int argc, char **argv)
{
    char path[3 * PATH_MAX];

    (void)argc;
    if (find(path) != 0)
        return cli_error(CLI_BROKEN, argv[0], NOT_BUILT " (looked in %s)", path);
    execv(path, argv);
    return cli_error(CLI_BROKEN, argv[0], "%s: %s", path, strerror(errno));
}

// The helper leaves a process of its own behind, which is no child of ours: what we become must not find
// children that it did not make.
void
sockmap_join(const char *command, const char *program)
{
    char path[3 * PATH_MAX], self[32], file[PATH_MAX], why[PATH_MAX + 128];
    int status = 0;
    pid_t pid;

    if (features_hidden("sockmap")) {
        cli_error(0, command, "--sockmap: taken away by ZIO_FEATURES=-sockmap; connections use plain TCP");
        return;
    }
    // What the kernel leaves undone for redirected bytes, the library does.
    if (progfile_resolve(program, file) == 0 && progfile_check(file, why, sizeof why) > 0) {
        cli_error(0, command, "--sockmap: %s %s; its connections use plain TCP", file, why);
        return;
    }
    if (find(path) != 0) {
        cli_error(0, command, "--sockmap: " NOT_BUILT "; connections use plain TCP");
        return;
    }
    snprintf(self, sizeof self, "%d", (int)getpid());
    pid = fork();
    if (pid == 0) {
        execl(path, command, "keep", self, (char *)NULL);
        _exit(CLI_NOT_RUN);
    }
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    // Whatever else it had to say, it has said.
    if (pid < 0 || !WIFEXITED(status) || WEXITSTATUS(status) == CLI_NOT_RUN)
        cli_error(0, command, "--sockmap: %s cannot be started; connections use plain TCP", path);
    else if (WEXITSTATUS(status) == CLI_OK)
        setenv(ZSM_ENV, "1", 1);
}

int
sockmap_ask(char *why, size_t len)
{
    char path[3 * PATH_MAX], line[256] = "";
    int pipes[2], status = -1;
    ssize_t n;
    pid_t pid;

    if (find(path) != 0) {
        snprintf(why, len, NOT_BUILT);
        return -ENOENT;
    }
    if (pipe(pipes) < 0)
        return -errno;
    pid = fork();
    if (pid == 0) {
        dup2(pipes[1], STDOUT_FILENO);
        close(pipes[0]);
        close(pipes[1]);
        execl(path, "zio doctor", "probe", (char *)NULL);
        _exit(CLI_NOT_RUN);
    }
    close(pipes[1]);
    n = pid > 0 ? read(pipes[0], line, sizeof line - 1) : 0;
    close(pipes[0]);
    line[n > 0 ? n : 0] = '\0';
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    snprintf(why, len, "%.*s", (int)strcspn(line, "\n"), line[0] ? line : "zio-sockmap cannot be started");
    return WIFEXITED(status) && WEXITSTATUS(status) == CLI_OK ? 0 : -EACCES;
}
