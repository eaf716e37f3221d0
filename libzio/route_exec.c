// SPDX-License-Identifier: Apache-2.0
// What a program is given over exec: ZIO_FDS (route_proc.c), and, where its environment was cleared, the
// library and the prefixes again, which it takes out before it looks.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libzio/hooks_fs.h"
#include "libzio/real.h"
#include "libzio/route_libs.h"
#include "libzio/route_map.h"
#include "libzio/route_priv.h"
#include "libzio/route_xexec.h"
#include "libzio/sys.h"

#define LIB 280 // bytes that a library takes in LD_PRELOAD
#define PAIR 48 // bytes that a descriptor takes in ZIO_FDS

struct handover {
    char **env;
    size_t size; // of the memory that holds all of it
    char *text, *end;
    struct route_libs *libs;
    int lib_fds[ROUTE_LIBS_MAX]; // copies of libraries, open over exec
    int nlib_fds;
};

static bool
stays_open(int fd)
{
    long flags = zsys3(SYS_fcntl, fd, F_GETFD, 0);

    return flags >= 0 && !(flags & FD_CLOEXEC);
}

static void
count(int fd, struct route_file *f, void *arg)
{
    (void)fd, (void)f;
    ++*(int *)arg;
}

static void
put_fd(int fd, struct route_file *f, void *arg)
{
    struct handover *h = arg;
    int lock;

    if (h->end - h->text < PAIR)
        return;
    if (!stays_open(fd)) {
        h->text += route_lock_tell_closed(h->text, PAIR, f);
        return;
    }
    // The next program may fork before it has opened the volume.
    lock = atomic_load(&f->rec->flags) & O_PATH ? -1 : route_file_lock_fd(f);
    lock = lock < 0 ? -1 : lock;
    h->text += snprintf(h->text, PAIR, ":%d:%u:%d", fd, f->index, lock);
    if (lock >= 0)
        zsys3(SYS_fcntl, lock, F_SETFD, 0);
}

static void
keep_closed(int fd, struct route_file *f, void *arg)
{
    int lock = atomic_load(&f->lock_fd);

    (void)fd, (void)arg;
    if (lock >= 0)
        zsys3(SYS_fcntl, lock, F_SETFD, FD_CLOEXEC);
}

static const char *
value_in(char *const envp[], const char *name)
{
    size_t n = strlen(name);

    for (; envp && *envp; envp++)
        if (strncmp(*envp, name, n) == 0)
            return *envp + n;
    return NULL;
}

static bool
preloads_us(const char *value)
{
    const char *self = route_self();
    size_t n = strlen(self);

    for (const char *p = value; p && (p = strstr(p, self)); p += n)
        if ((p == value || p[-1] == ':' || p[-1] == ' ') && (!p[n] || p[n] == ':' || p[n] == ' '))
            return true;
    return false;
}

bool
route_env_complete(char *const envp[])
{
    const char *fs = value_in(envp, "ZIO_FS=");

    return fs && strcmp(fs, route_env) == 0 && preloads_us(value_in(envp, "LD_PRELOAD="));
}

// A path to the library's bytes that the dynamic linker can go.
static int
lib_path(struct handover *h, const char *path, char *to, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC), r = -ENOENT;
    struct route_file *f = fd < 0 ? NULL : route_file_get(fd);
    struct route_guard g;

    if (f && route_file_fsc(f)) {
        // (A list of LD_PRELOAD's ends at either of these.)
        if (fs_one_chunk(route_file_fsc(f), to, size) && !strpbrk(to, ": ")) {
            r = 0;
        } else {
            route_enter(&g);
            r = route_copy_memfd(route_file_fsc(f), path);
            route_leave(&g);
            if (r >= 0) {
                h->lib_fds[h->nlib_fds++] = r;
                zsys3(SYS_fcntl, r, F_SETFD, 0);
                snprintf(to, size, "/proc/self/fd/%d", r);
            }
        }
    }
    route_file_put(f);
    if (fd >= 0)
        close(fd);
    return r < 0 ? r : 0;
}

// Behind what LD_PRELOAD has, and an empty entry.
static int
put_libs(struct handover *h)
{
    char path[256];
    int n = 0;

    for (int i = 0; i < h->libs->n; i++)
        if (lib_path(h, h->libs->lib[i].path, path, sizeof path) == 0)
            h->text += snprintf(h->text, (size_t)(h->end - h->text), "%s%s", n++ ? ":" : "::", path);
    return n ? ROUTE_HIDE_LIBS : 0;
}

// What the program needs that the dynamic linker will not find.
static struct route_libs *
find_libs(const char *file, char *const envp[])
{
    const char *list = value_in(envp, "LD_LIBRARY_PATH=");

    return file ? route_libs_find(file, list) : NULL;
}

// The bits of what was put in and is to be taken out again: see route_start.
static int
put_missing(struct handover *h, char ***to, const char *preload, bool fs)
{
    int hide = 0;

    if (!fs) {
        *(*to)++ = h->text;
        h->text += snprintf(h->text, (size_t)(h->end - h->text), "ZIO_FS=%s", route_env) + 1;
        hide |= ROUTE_HIDE_FS;
    }
    if (!preloads_us(preload)) {
        *(*to)++ = h->text;
        h->text += snprintf(h->text, (size_t)(h->end - h->text), "LD_PRELOAD=%s%s%s", route_self(),
                            preload ? ":" : "", preload ? preload : "");
        hide |= preload ? ROUTE_HIDE_SELF : ROUTE_HIDE_PRELOAD;
    } else if (h->libs) {
        *(*to)++ = h->text;
        h->text += snprintf(h->text, (size_t)(h->end - h->text), "LD_PRELOAD=%s", preload);
    }
    if (h->libs)
        hide |= put_libs(h);
    if (h->libs || !preloads_us(preload))
        h->text++;
    return hide;
}

static int
prepare(struct handover *h, char *const envp[], const char *exe, const char *file)
{
    const char *preload = value_in(envp, "LD_PRELOAD=");
    bool fs = value_in(envp, "ZIO_FS=") != NULL;
    struct route_file *cwd = route_cwd_get();
    size_t n = 0, room;
    char **to;
    int hide, files = 0;

    h->libs = find_libs(file, envp);
    h->nlib_fds = 0;
    while (envp && envp[n])
        n++;
    route_each_fd(0, ROUTE_FDS - 1, count, &files);
    room = (size_t)(files + route_nvols) * PAIR + 256 + strlen(route_env) + strlen(route_self()) +
           (preload ? strlen(preload) : 0) + (exe ? strlen(exe) : 0) +
           (h->libs ? (size_t)h->libs->n * LIB : 0);
    h->size = (n + 5) * sizeof(char *) + room;
    h->env = real.mmap(NULL, h->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (h->env == MAP_FAILED) {
        route_libs_free(h->libs);
        route_file_put(cwd);
        return -ENOMEM;
    }
    h->text = (char *)(h->env + n + 5);
    h->end = (char *)h->env + h->size;
    to = h->env;
    for (size_t i = 0; i < n; i++)
        if (strncmp(envp[i], "ZIO_FDS=", 8) != 0 && strncmp(envp[i], "ZIO_EXE=", 8) != 0 &&
            ((preloads_us(preload) && !h->libs) || strncmp(envp[i], "LD_PRELOAD=", 11) != 0))
            *to++ = envp[i];
    hide = put_missing(h, &to, preload, fs);
    if (exe) {
        *to++ = h->text;
        h->text += snprintf(h->text, (size_t)(h->end - h->text), "ZIO_EXE=%s", exe) + 1;
    }
    *to++ = h->text;
    h->text += snprintf(h->text, 64, "ZIO_FDS=1:%d:%u:%d", route_table_fd(), route_table_slot(), hide);
    if (cwd)
        h->text += snprintf(h->text, 32, ":c:%u", cwd->index);
    h->text += route_lock_tell(h->text, (size_t)route_nvols * PAIR);
    route_file_put(cwd);
    if (route_table_fd() >= 0) {
        zsys3(SYS_fcntl, route_table_fd(), F_SETFD, 0);
        route_each_fd(0, ROUTE_FDS - 1, put_fd, h);
    }
    *to = NULL;
    return 0;
}

static void
take_back(struct handover *h)
{
    if (route_table_fd() >= 0) {
        zsys3(SYS_fcntl, route_table_fd(), F_SETFD, FD_CLOEXEC);
        route_each_fd(0, ROUTE_FDS - 1, keep_closed, NULL);
    }
    for (int i = 0; i < h->nlib_fds; i++)
        zsys1(SYS_close, h->lib_fds[i]);
    route_libs_free(h->libs);
    zsys2(SYS_munmap, h->env, h->size);
}

int
route_exec_native(int dirfd, const char *path, char *const argv[], char *const envp[], int flags,
                  const char *exe)
{
    struct handover h;
    bool lifted;
    long r;

    if (rmap_count)
        route_map_settle(-1);
    // A native program takes libraries from a volume only where it is told to.
    if (!exe && dirfd == AT_FDCWD && !flags && route_libs_path(value_in(envp, "LD_LIBRARY_PATH=")))
        r = prepare(&h, envp, exe, path);
    else
        r = prepare(&h, envp, exe, exe);

    if (r < 0)
        return (int)r;
    lifted = route_fsize_exec();
    if (dirfd == AT_FDCWD && !flags)
        r = zsys3(SYS_execve, path, argv, h.env);
    else
        r = zsys5(SYS_execveat, dirfd, path, argv, h.env, flags);
    route_fsize_exec_failed(lifted);
    take_back(&h);
    return (int)r;
}
