// SPDX-License-Identifier: Apache-2.0
// `zio run --fs PATH=URL`: what is wrong with it is told before the program starts.
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/launch.h"

// The path without "." and double slashes and the slash at its end. False: not absolute, "/" itself, or with
// "..".
static bool
normal(const char *path, char out[PATH_MAX])
{
    size_t n = 0;

    if (*path != '/')
        return false;
    while (*path) {
        size_t len;

        path += strspn(path, "/");
        len = strcspn(path, "/");
        if (len == 2 && path[0] == '.' && path[1] == '.')
            return false;
        if (len > 0 && !(len == 1 && path[0] == '.')) {
            if (n + 1 + len >= PATH_MAX)
                return false;
            out[n++] = '/';
            memcpy(out + n, path, len);
            n += len;
        }
        path += len;
    }
    out[n] = '\0';
    return n > 0;
}

// Is there a volume in that directory? Writes its absolute name.
static bool
local_volume(const char *dir, char out[PATH_MAX], char *why, size_t len)
{
    char conf[PATH_MAX + 16];

    if (!*dir) {
        snprintf(why, len, "the directory is missing: write local:DIR");
        return false;
    }
    if (!realpath(dir, out)) {
        snprintf(why, len, "%.*s: %s%s%.*s%s", 256, dir, strerror(errno),
                 errno == ENOENT ? "; 'zio fs format local:" : "", errno == ENOENT ? 256 : 0, dir,
                 errno == ENOENT ? "' makes a volume there" : "");
        return false;
    }
    snprintf(conf, sizeof conf, "%s/volume.conf", out);
    if (access(conf, R_OK) == 0)
        return true;
    if (errno == ENOENT)
        snprintf(why, len, "there is no volume in %.256s; 'zio fs format local:%.256s' makes one", dir, dir);
    else
        snprintf(why, len, "%.256s: %s", conf, strerror(errno));
    return false;
}

static bool
taken(const char *list, const char *prefix)
{
    size_t n = strlen(prefix);

    for (const char *p = list; p && *p; p = strchr(p, ';') ? strchr(p, ';') + 1 : NULL)
        if (strncmp(p, prefix, n) == 0 && p[n] == '=')
            return true;
    return false;
}

int
routes_add(const char *arg, char *why, size_t len)
{
    const char *url = strchr(arg, '='), *old = getenv("ZIO_FS"), *ro;
    char path[PATH_MAX], prefix[PATH_MAX], place[PATH_MAX], *value;
    int err;

    if (!url || url == arg || (size_t)(url - arg) >= sizeof path || !url[1]) {
        snprintf(why, len, "write PATH=URL, such as /data=local:/srv/volume");
        return -EINVAL;
    }
    memcpy(path, arg, (size_t)(url - arg));
    path[url++ - arg] = '\0';
    if (!normal(path, prefix)) {
        snprintf(why, len, "%.256s: PATH must be absolute, below '/', and without '..'", path);
        return -EINVAL;
    }
    ro = strncmp(url, "ro,", 3) == 0 ? "ro," : "";
    url += strlen(ro);
    if (strncmp(url, "local:", 6) != 0) {
        snprintf(why, len, "%.256s: this version of zIO serves local:DIR only", url);
        return -EINVAL;
    }
    if (!local_volume(url + 6, place, why, len))
        return -ENOENT;
    if (strchr(prefix, ';') || strchr(place, ';')) {
        snprintf(why, len, "a ';' in a path cannot be passed on");
        return -EINVAL;
    }
    if (taken(old, prefix)) {
        snprintf(why, len, "%.256s is served already", prefix);
        return -EINVAL;
    }
    if (asprintf(&value, "%s%s%s=%slocal:%s", old && *old ? old : "", old && *old ? ";" : "", prefix, ro,
                 place) < 0)
        return -ENOMEM;
    err = setenv("ZIO_FS", value, 1) == 0 ? 0 : -errno;
    free(value);
    return err;
}

bool
routes_have(const char *path)
{
    const char *list = getenv("ZIO_FS");
    char clean[PATH_MAX];

    if (!list || !normal(path, clean))
        return false;
    for (const char *p = list; p && *p; p = strchr(p, ';') ? strchr(p, ';') + 1 : NULL) {
        size_t n = strcspn(p, "=");

        if (strncmp(clean, p, n) == 0 && (clean[n] == '/' || !clean[n]))
            return true;
    }
    return false;
}
