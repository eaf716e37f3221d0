// SPDX-License-Identifier: Apache-2.0
// The options of -o: ours, those of every mount, and what stands in fstab for others to read.
#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fsclient/fuse/mount.h"

#define TIMEOUT_MAX 1e6
#define THREADS_MAX 1000
#define POLL_MAX 10000

struct word {
    const char *name;
    size_t field; // of a bool in struct options; NONE: nothing is to be done
    bool value;
};

#define NONE ((size_t)-1)
#define FIELD(f) offsetof(struct options, f)

static const struct word words[] = {
    {"ro", FIELD(read_only), true},
    {"rw", FIELD(read_only), false},
    {"noatime", FIELD(noatime), true},
    {"atime", FIELD(noatime), false},
    {"allow_other", FIELD(allow_other), true},
    {"noallow_other", FIELD(allow_other), false},
    {"writeback", FIELD(writeback), true},
    {"clone_fd", FIELD(clone_fd), true},
    {"noclone_fd", FIELD(clone_fd), false},
    {"foreground", FIELD(foreground), true},
    {"debug", FIELD(debug), true},
    {"default_permissions", NONE, true}, // always
    {"relatime", NONE, true},            // always, unless noatime
    {"defaults", NONE, true},
    {"auto", NONE, true},
    {"noauto", NONE, true},
    {"user", NONE, true},
    {"nouser", NONE, true},
    {"users", NONE, true},
    {"owner", NONE, true},
    {"group", NONE, true},
    {"nofail", NONE, true},
    {"_netdev", NONE, true},
    {"async", NONE, true},
};

// What the kernel's mount does by itself.
static const char *const kernel_words[] = {
    "suid", "nosuid", "dev", "nodev", "exec", "noexec", "sync", "dirsync", "nosymfollow",
};

static int
add_kernel(struct options *opt, const char *word)
{
    char *list = NULL;

    if (asprintf(&list, "%s%s%s", opt->kernel, *opt->kernel ? "," : "", word) < 0)
        return -ENOMEM;
    free(opt->kernel);
    opt->kernel = list;
    return 0;
}

static int
number(const char *name, const char *text, double least, double most, double *out)
{
    char *end;
    double v = strtod(text, &end);

    if (end == text || *end || isnan(v) || v < least || v > most) {
        say("-o %s: '%s' is no number from %g to %g", name, text, least, most);
        return -EINVAL;
    }
    *out = v;
    return 0;
}

static int
add_value(struct options *opt, const char *name, const char *value)
{
    double v;
    int err;

    if (strcmp(name, "timeout") == 0)
        return number(name, value, 0, TIMEOUT_MAX, &opt->timeout);
    if (strcmp(name, "negative_timeout") == 0)
        return number(name, value, 0, TIMEOUT_MAX, &opt->negative_timeout);
    if (strcmp(name, "max_threads") == 0) {
        err = number(name, value, 1, THREADS_MAX, &v);
        opt->max_threads = err ? opt->max_threads : (unsigned)v;
        return err;
    }
    if (strcmp(name, "poll") == 0) {
        err = number(name, value, 0, POLL_MAX, &v);
        opt->poll_us = err ? opt->poll_us : (unsigned)v;
        return err;
    }
    if (strcmp(name, "comment") == 0 || strncmp(name, "x-", 2) == 0)
        return 0;
    say("there is no option '%s=' (zio mount --help lists all)", name);
    return -EINVAL;
}

static int
add_one(struct options *opt, char *word)
{
    char *value = strchr(word, '=');

    if (*word == '\0')
        return 0;
    if (value) {
        *value = '\0';
        return add_value(opt, word, value + 1);
    }
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(word, words[i].name) == 0) {
            if (words[i].field != NONE)
                *(bool *)((char *)opt + words[i].field) = words[i].value;
            return 0;
        }
    for (size_t i = 0; i < sizeof kernel_words / sizeof kernel_words[0]; i++)
        if (strcmp(word, kernel_words[i]) == 0)
            return add_kernel(opt, word);
    if (strncmp(word, "x-", 2) == 0)
        return 0;
    say("there is no option '%s' (zio mount --help lists all)", word);
    return -EINVAL;
}

int
options_add(struct options *opt, const char *list)
{
    char *copy = strdup(list), *rest = copy, *word;
    int err = copy ? 0 : -ENOMEM;

    while (!err && (word = strsep(&rest, ",")))
        err = add_one(opt, word);
    free(copy);
    return err;
}

bool
option_has(const char *feature)
{
    const char *list = getenv("ZIO_FEATURES");

    while (list && *list) {
        size_t n = strcspn(list, ",");

        if (*list == '-' && n == strlen(feature) + 1 && strncmp(list + 1, feature, n - 1) == 0)
            return false;
        list += n;
        list += *list == ',';
    }
    return true;
}
