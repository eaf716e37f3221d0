// SPDX-License-Identifier: Apache-2.0
// The commands that are programs of their own, with arguments of their own: zio becomes them. It starts other
// programs, and must be quick about it: no database, no symbol reader comes with it.
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
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

int
cmd_profile(int argc, char **argv)
{
    (void)argc;
    return become("zio-profile", "/cli", argv);
}

int
cmd_bench(int argc, char **argv)
{
    char self[PATH_MAX] = "";

    (void)argc;
    // Where it is installed, zio-bench is not beside zio, which it runs.
    if (readlink("/proc/self/exe", self, sizeof self - 1) > 0)
        setenv("ZIO_EXE", self, 1);
    return become("zio-bench", "/bench", argv);
}
