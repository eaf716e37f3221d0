// SPDX-License-Identifier: Apache-2.0
// The environment of libzio (libzio(7)). A bad value gets one clear message and the default.
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/sockmap.h"
#include "libzio/zio.h"

struct zio_config zio_cfg = {.threshold = 128 << 10, .start_ms = 40, .log_level = 1};

static void
bad(const char *name, const char *value, const char *want)
{
    zio_log(1, "%s=%s is not understood: %s; the default is used", name, value, want);
}

static void
read_threshold(const char *v)
{
    char *end;
    unsigned long long n = strtoull(v, &end, 10);
    int shift = 0;

    switch (tolower((unsigned char)*end)) {
    case 'k':
        shift = 10, end++;
        break;
    case 'm':
        shift = 20, end++;
        break;
    case 'g':
        shift = 30, end++;
        break;
    }
    if (!isdigit((unsigned char)v[0]) || *end || n > (1ull << 40) >> shift || n << shift < ZPAGE)
        bad("ZIO_THRESHOLD", v, "give a size of at least 4096 bytes, such as 64k or 1m");
    else
        zio_cfg.threshold = n << shift;
}

static void
read_start(const char *v)
{
    char *end;
    unsigned long n = strtoul(v, &end, 10);

    if (!isdigit((unsigned char)v[0]) || *end || n > 1000000)
        bad("ZIO_START_MS", v, "give milliseconds of CPU time, 0 to 1000000");
    else
        zio_cfg.start_ms = (uint32_t)n;
}

static void
copy_string(char *to, size_t room, const char *name, const char *v)
{
    if (strlen(v) >= room)
        bad(name, v, "the path is too long");
    else
        strcpy(to, v);
}

static void
read_log(const char *v)
{
    static const char *names[] = {"error", "warn", "info", "debug"};
    size_t n = strcspn(v, ":");

    if (v[n] == ':')
        copy_string(zio_cfg.log_file, sizeof(zio_cfg.log_file), "ZIO_LOG", v + n + 1);
    for (int i = 0; i < 4; i++)
        if (n == strlen(names[i]) && strncmp(v, names[i], n) == 0) {
            zio_cfg.log_level = i;
            return;
        }
    bad("ZIO_LOG", v, "give error, warn, info or debug, and :FILE if you like");
}

static void
read_features(const char *list)
{
    static const struct {
        const char *name;
        unsigned bit;
    } known[] = {{"uffd", ZIO_F_UFFD},
                 {"kernelfaults", ZIO_F_KERNELFAULTS},
                 {"move", ZIO_F_MOVE},
                 {"wp", ZIO_F_WP},
                 {"events", ZIO_F_EVENTS},
                 {"procmapquery", ZIO_F_PROCMAPQUERY},
                 {"populatewrite", ZIO_F_POPULATE},
                 {"pagemapscan", 0},
                 {"fuseclone", 0}, // zio mount's
                 {"fusekillpriv", 0},
                 {"fuseepoch", 0},
                 {"sockmap", 0}}; // zio run --sockmap's

    for (const char *v = list; *v; v += strspn(v, ",")) {
        size_t n = strcspn(v, ","), i;

        for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
            if (v[0] == '-' && n == strlen(known[i].name) + 1 && strncmp(v + 1, known[i].name, n - 1) == 0)
                break;
        if (i == sizeof(known) / sizeof(known[0]))
            bad("ZIO_FEATURES", list, "give names with a minus, such as -move,-events (see zio doctor)");
        else
            zio_cfg.features_off |= known[i].bit;
        v += n;
    }
}

// The C library is not initialised yet when our constructor runs (-z initfirst): getenv would find nothing.
static const char *
value_of(char **env, const char *name)
{
    size_t n = strlen(name);

    for (; env && *env; env++)
        if (strncmp(*env, name, n) == 0 && (*env)[n] == '=')
            return *env + n + 1;
    return NULL;
}

void
zio_config_read(char **env)
{
    const char *v;

    if ((v = value_of(env, "ZIO_LOG")) && *v)
        read_log(v);
    if ((v = value_of(env, "ZIO_THRESHOLD")) && *v)
        read_threshold(v);
    if ((v = value_of(env, "ZIO_START_MS")) && *v)
        read_start(v);
    if ((v = value_of(env, "ZIO_STATS")) && *v)
        copy_string(zio_cfg.stats_file, sizeof(zio_cfg.stats_file), "ZIO_STATS", v);
    if ((v = value_of(env, "ZIO_FEATURES")) && *v)
        read_features(v);
    if ((v = value_of(env, "ZIO_DISABLE")) && *v) {
        if (strcmp(v, "1") == 0)
            zio_cfg.disabled = true;
        else if (strcmp(v, "0") != 0)
            bad("ZIO_DISABLE", v, "give 1 or 0");
    }
    if ((v = value_of(env, ZSM_ENV)) && strcmp(v, "1") == 0)
        zio_cfg.sockmap = true;
    if ((v = value_of(env, "ZIO_POLICY")) && *v) {
        if (strcmp(v, "always") == 0)
            zio_cfg.always = true;
        else if (strcmp(v, "model") != 0)
            bad("ZIO_POLICY", v, "give model or always");
    }
}
