// SPDX-License-Identifier: Apache-2.0
// `zio fs`, `zio mount` and `zio umount`: they become zio-fs and zio-mount, which parse their own arguments.
// Apart from zio, which starts other programs and must not bring a database with it.
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

static int
become(const char *program, const char *build_dir, char **argv)
{
    char path[3 * PATH_MAX];

    if (paths_find_exec(program, build_dir, path, sizeof path) != 0)
        return cli_error(CLI_BROKEN, argv[0], "%s is not where it should be (%s): install zIO again", program,
                         path);
    execv(path, argv);
    return cli_error(CLI_BROKEN, argv[0], "%s: %s", path, strerror(errno));
}

int
cmd_fs(int argc, char **argv)
{
    (void)argc;
    return become("zio-fs", "/cli", argv);
}

int
cmd_mount(int argc, char **argv)
{
    (void)argc;
    return become("zio-mount", "/fsclient/fuse", argv);
}

int
cmd_umount(int argc, char **argv)
{
    (void)argc;
    return become("zio-mount", "/fsclient/fuse", argv);
}
