// SPDX-License-Identifier: Apache-2.0
// `zio bench`: becomes zio-bench, which parses its own arguments.
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

int
cmd_bench(int argc, char **argv)
{
    char path[3 * PATH_MAX], self[PATH_MAX] = "";

    (void)argc;
    if (paths_find_exec("zio-bench", "/bench", path, sizeof path) != 0)
        return cli_error(CLI_BROKEN, argv[0],
                         "zio-bench is not where it should be (%s): install zIO's benchmarks", path);
    // Where it is installed, zio-bench is not beside zio, which it runs.
    if (readlink("/proc/self/exe", self, sizeof self - 1) > 0)
        setenv("ZIO_EXE", self, 1);
    execv(path, argv);
    return cli_error(CLI_BROKEN, argv[0], "%s: %s", path, strerror(errno));
}
