// SPDX-License-Identifier: Apache-2.0
// What `zio fs` says: errors with advice, names, JSON.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/fs.h"

int
fs_say(const struct fs_args *a, const char *path, const char *what)
{
    char clean[4096];

    snprintf(clean, sizeof clean, "%s", path);
    text_clean(clean);
    return cli_error(CLI_FAIL, a->name, "%s: %s", clean, what);
}

// What a person can do about it, where that is not plain from the error itself.
static const char *
advice(int err)
{
    switch (-err) {
    case ENOSPC:
        return "; 'zio fs df' shows the space, 'zio fs quota' the limits of directories";
    case EDQUOT:
        return "; 'zio fs quota' shows the limits";
    case EIO:
        return "; 'zio fs scrub' finds damaged data, 'zio fs fsck' damaged metadata";
    case EROFS:
        return " (a snapshot never changes; 'zio fs clone' makes a copy of it that may)";
    default:
        return "";
    }
}

int
fs_fail(const struct fs_args *a, const char *path, int err)
{
    char what[300];

    snprintf(what, sizeof what, "%s%s", strerror(-err), advice(err));
    return fs_say(a, path, what);
}

int
fs_print_json(json_t *answer)
{
    json_dumpf(answer, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(answer);
    return CLI_OK;
}

void
fs_json_item(json_t *item, bool first)
{
    fputs(first ? "[\n" : ",\n", stdout);
    json_dumpf(item, stdout, JSON_COMPACT);
    json_decref(item);
}

void
fs_json_end(bool empty)
{
    puts(empty ? "[]" : "\n]");
}

void
fs_json_path(json_t *o, const char *path)
{
    static const char digit[] = "0123456789abcdef";
    json_t *text = json_string(path); // NULL where it is not UTF-8
    size_t n = strlen(path);
    char *clean, *hex;

    if (text) {
        json_object_set_new(o, "path", text);
        return;
    }
    clean = strdup(path);
    hex = malloc(2 * n + 1);
    if (clean && hex) {
        text_clean(clean);
        for (size_t i = 0; i < n; i++) {
            hex[2 * i] = digit[(unsigned char)path[i] >> 4];
            hex[2 * i + 1] = digit[path[i] & 15];
        }
        hex[2 * n] = '\0';
        json_object_set_new(o, "path", json_string(clean));
        json_object_set_new(o, "path_hex", json_string(hex));
    }
    free(clean);
    free(hex);
}

void
fs_print_name(const char *text)
{
    char *clean = isatty(STDOUT_FILENO) ? strdup(text) : NULL;

    if (clean)
        text_clean(clean);
    fputs(clean ? clean : text, stdout);
    free(clean);
}
