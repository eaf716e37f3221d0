// SPDX-License-Identifier: Apache-2.0
// What is in the store's directories.
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "chunk/impl.h"

// The number that a name of exactly 16 digits and the suffix stands for.
static bool
parse_name(const char *name, const char *suffix, uint64_t *number)
{
    *number = 0;
    for (int i = 0; i < 16; i++) {
        char c = name[i];
        int d = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;

        if (d < 0)
            return false;
        *number = *number << 4 | (uint64_t)d;
    }
    return strcmp(name + 16, suffix) == 0;
}

static int
list_dir(struct chunk_store *s, uint32_t d, const char *suffix, int (*each)(void *arg, uint64_t number),
         void *arg)
{
    char name[NAME_SIZE];
    uint64_t number;
    struct dirent *e;
    int fd, r = 0;

    store_name(name, NAME_DIR, (uint64_t)d * GROUP_CHUNKS);
    if ((fd = io_open(s, name, O_RDONLY | O_DIRECTORY)) < 0)
        return fd == -ENOENT ? 0 : fd;
    DIR *dir = fdopendir(fd);
    if (!dir) {
        r = -errno;
        close(fd);
        return r;
    }
    while (r == 0) {
        errno = 0;
        if ((e = readdir(dir)) == NULL) {
            r = -errno;
            break;
        }
        if (!parse_name(e->d_name, suffix, &number))
            continue;
        // A file in a directory where it does not belong is none of ours.
        uint64_t group = strcmp(suffix, ".sum") == 0 ? number : number / GROUP_CHUNKS;
        if (group % DIRS == d)
            r = each(arg, number);
    }
    closedir(dir);
    return r;
}

int
list_names(struct chunk_store *s, const char *suffix, int (*each)(void *arg, uint64_t number), void *arg)
{
    int r = 0;

    for (uint32_t d = 0; d < DIRS && r == 0; d++)
        r = list_dir(s, d, suffix, each, arg);
    return r;
}

int
chunk_list(struct chunk_store *s, int (*each)(void *arg, uint64_t id), void *arg)
{
    int r = store_enter(s);

    return r ? r : list_names(s, "", each, arg);
}
