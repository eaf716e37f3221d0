// SPDX-License-Identifier: Apache-2.0
// The current directory. In a volume it is an open directory of ours; the kernel's is a directory that was
// removed then, where nothing can be found or made: what no hook sees fails rather than finds another file.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libzio/real.h"
#include "libzio/route_priv.h"
#include "libzio/sys.h"

static struct route_file *_Atomic cwd; // NULL: native
static _Atomic int changing;           // a reader takes its reference, or a change goes on
static char native_cwd[PATH_MAX];      // see route_cwd_native; "" if no prefix is near

// ---- readers ----

static void
begin(struct route_guard *g)
{
    int none;

    route_enter(g);
    for (none = 0; !atomic_compare_exchange_weak_explicit(&changing, &none, 1, memory_order_acquire,
                                                          memory_order_relaxed);
         none = 0)
        zsys0(SYS_sched_yield);
}

static void
end(struct route_guard *g)
{
    atomic_store_explicit(&changing, 0, memory_order_release);
    route_leave(g);
}

struct route_file *
route_cwd_get(void)
{
    struct route_guard g;
    struct route_file *f;

    if (likely(!atomic_load_explicit(&cwd, memory_order_relaxed)))
        return NULL;
    begin(&g);
    f = cwd;
    if (f)
        atomic_fetch_add(&f->refs, 1);
    end(&g);
    if (f && !route_file_fsc(f))
        route_file_open(f);
    return f;
}

const char *
route_cwd_native(void)
{
    return native_cwd[0] ? native_cwd : NULL;
}

// ---- changes ----

// Where ".." and names from the native current directory can reach a prefix by their text, it is remembered.
static void
note_native(void)
{
    char buf[PATH_MAX];
    long n = zsys2(SYS_getcwd, buf, sizeof buf);

    if (n <= 0 || buf[0] != '/')
        native_cwd[0] = '\0';
    else
        memcpy(native_cwd, buf, (size_t)n);
}

static void
set(struct route_file *f)
{
    struct route_guard g;
    struct route_file *old;

    begin(&g);
    old = atomic_exchange(&cwd, f);
    end(&g);
    if (old)
        route_file_unref(old);
}

// The kernel's current directory is no longer one of the program's.
static int
go_nowhere(struct route_vol *v)
{
    char path[64], name[32];
    int err;

    snprintf(name, sizeof name, ".nowhere.%ld", zsys0(SYS_gettid));
    err = (int)zsys3(SYS_mkdirat, v->token_dir, name, 0700);
    if (!err || err == -EEXIST) {
        snprintf(path, sizeof path, "/proc/self/fd/%d/%s", v->token_dir, name);
        err = (int)zsys1(SYS_chdir, path);
        zsys3(SYS_unlinkat, v->token_dir, name, AT_REMOVEDIR);
    }
    // Where the volume's directory may not be written: an empty one of the kernel's own, which nobody writes.
    return err ? (int)zsys1(SYS_chdir, "/proc/self/fdinfo") : 0;
}

void
route_cwd_adopt(struct route_file *f)
{
    atomic_store(&cwd, f);
}

struct route_file *
route_cwd_peek(void)
{
    return atomic_load(&cwd);
}

void
route_cwd_start(void)
{
    if (!atomic_load(&cwd))
        note_native();
}

// Makes the directory f (a reference, taken over) the current one.
static int
enter(struct route_file *f)
{
    struct route_guard g;
    struct stat st;
    int err = route_file_fsc(f) ? 0 : route_file_error(f);

    route_enter(&g);
    if (!err)
        err = fsc.fstat(route_file_fsc(f), &st);
    if (!err && !S_ISDIR(st.st_mode))
        err = -ENOTDIR;
    if (!err) {
        struct fsc_at at = {.dir = route_file_fsc(f)};

        err = fsc.access(f->vol->fs, &at, ".", X_OK, AT_EACCESS);
    }
    if (!err && !atomic_load(&cwd))
        err = go_nowhere(f->vol);
    route_leave(&g);
    if (err) {
        route_file_unref(f);
        return err;
    }
    native_cwd[0] = '\0';
    set(f);
    return 0;
}

static long
chdir_in(struct route_target *t, void *arg)
{
    struct fsc_file *dir;
    struct route_file *f;
    char text[PATH_MAX];
    int err;

    (void)arg;
    if (t->self) {
        atomic_fetch_add(&t->hold->refs, 1);
        return enter(t->hold);
    }
    err = fsc.open(t->vol->fs, &t->at, t->path, O_PATH | O_DIRECTORY, 0, &dir);
    if (err)
        return err;
    route_target_text(t, text);
    f = route_file_new(t->vol, dir, text, O_PATH | O_DIRECTORY);
    return f ? enter(f) : -ENFILE;
}

static int
left(int r)
{
    if (r == 0) {
        set(NULL);
        note_native();
    }
    return r;
}

static long
chdir_out(int dirfd, const char *path, void *arg)
{
    (void)dirfd, (void)arg;
    return left(real.chdir(path));
}

ZIO_EXPORT int
chdir(const char *path)
{
    if (route_idle())
        return real.chdir(path);
    return (int)route_call(AT_FDCWD, path, 0, chdir_in, chdir_out, NULL);
}

ZIO_EXPORT int
fchdir(int fd)
{
    struct route_file *f;

    if (route_idle())
        return real.fchdir(fd);
    f = route_file_get(fd);
    return f ? (int)route_result(enter(f)) : left(real.fchdir(fd));
}
