// SPDX-License-Identifier: Apache-2.0
// Where zIO's other files are, seen from the running `zio`: in the build tree beside it, or installed.
// PKGLIBDIR and PKGLIBEXECDIR come from the Makefile.
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

// The directory of the running executable.
static int
exe_dir(char out[PATH_MAX])
{
    ssize_t n = readlink("/proc/self/exe", out, PATH_MAX - 1);
    char *slash;

    if (n <= 0)
        return -ENOENT;
    out[n] = '\0';
    slash = strrchr(out, '/');
    if (!slash)
        return -ENOENT;
    *slash = '\0';
    return 0;
}

// Tries DIR/SUB/NAME; what was tried is gathered in tried[len].
static bool
try_place(const char *dir, const char *sub, const char *name, int mode, char found[PATH_MAX], char *tried,
          size_t len)
{
    char path[PATH_MAX];
    size_t used = strlen(tried);

    if ((size_t)snprintf(path, sizeof path, "%s%s/%s", dir, sub, name) >= sizeof path)
        return false;
    if (access(path, mode) == 0 && realpath(path, found))
        return true;
    snprintf(tried + used, len - used, "%s%s", used ? ", " : "", path);
    return false;
}

static int
answer(bool ok, const char *found, const char *tried, char *out, size_t len)
{
    snprintf(out, len, "%s", ok ? found : tried);
    return ok ? 0 : -ENOENT;
}

int
paths_find_library(const char *name, char *out, size_t len)
{
    const char *dir = getenv("ZIO_LIBDIR");
    char tried[3 * PATH_MAX] = "", found[PATH_MAX], self[PATH_MAX];
    bool ok;

    if (dir && *dir)
        ok = try_place(dir, "", name, R_OK, found, tried, sizeof tried);
    else
        ok = (exe_dir(self) == 0 &&
              (try_place(self, "/libzio/.libs", name, R_OK, found, tried, sizeof tried) ||
               try_place(self, "/fsclient/.libs", name, R_OK, found, tried, sizeof tried) ||
               try_place(self, "/../libzio/.libs", name, R_OK, found, tried, sizeof tried))) ||
             try_place(PKGLIBDIR, "", name, R_OK, found, tried, sizeof tried) ||
             try_place(PKGLIBDIR, "/..", name, R_OK, found, tried, sizeof tried);
    return answer(ok, found, tried, out, len);
}

int
paths_find_exec(const char *name, const char *build_dir, char *out, size_t len)
{
    char tried[3 * PATH_MAX] = "", found[PATH_MAX], self[PATH_MAX];
    bool ok;

    ok = (exe_dir(self) == 0 && try_place(self, build_dir, name, X_OK, found, tried, sizeof tried)) ||
         try_place(PKGLIBEXECDIR, "", name, X_OK, found, tried, sizeof tried);
    return answer(ok, found, tried, out, len);
}
