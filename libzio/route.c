// SPDX-License-Identifier: Apache-2.0
// File routing: which prefixes are served, libfsclient and its volumes, and the guard around calls into it.
#include "libzio/route.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/single_threaded.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libzio/real.h"
#include "libzio/route_priv.h"
#include "libzio/sys.h"

#define TOKENS "tokens"
#define LIBRARY "libfsclient.so.1"

bool route_on;
_Thread_local int route_depth __attribute__((tls_model("initial-exec")));
struct route_vol route_vols[ROUTE_VOLS];
int route_nvols;
char *route_env;
struct route_fsc fsc;
static _Atomic bool fsc_ready;

// ---- prefixes ----

static uint64_t
hash_of(const char *s)
{
    uint64_t h = 14695981039346656037u; // FNV-1a

    while (*s)
        h = (h ^ (unsigned char)*s++) * 1099511628211u;
    return h;
}

// One PREFIX=URL. The strings stay where they are, in our copy of the variable.
static bool
add_vol(char *entry)
{
    struct route_vol *v = &route_vols[route_nvols];
    char *url = strchr(entry, '=');
    struct stat st;
    size_t n;

    if (!url || entry[0] != '/' || route_nvols == ROUTE_VOLS)
        return false;
    *url++ = '\0';
    n = strlen(entry);
    while (n > 1 && entry[n - 1] == '/')
        entry[--n] = '\0';
    if (n < 2 || n >= PATH_MAX / 2 || strstr(entry, "//") || strstr(entry, "/./") || strstr(entry, "/../") ||
        !*url)
        return false;
    v->prefix = entry;
    v->prefix_len = n;
    v->id = hash_of(url);
    v->rdonly = strncmp(url, "ro,", 3) == 0;
    v->url = v->rdonly ? url + 3 : url;
    v->token_dir = v->token = -1;
    v->below = zsys4(SYS_newfstatat, AT_FDCWD, entry, &st, AT_SYMLINK_NOFOLLOW) == 0;
    route_nvols++;
    return true;
}

void
route_config(char **env)
{
    const char *value = NULL;
    size_t n;
    char *p, *next;

    for (; env && *env; env++)
        if (strncmp(*env, "ZIO_FS=", 7) == 0)
            value = *env + 7;
    if (!value || !*value)
        return;
    // The program may change its environment: a copy, and one that is cut into pieces.
    n = strlen(value) + 1;
    p = real.mmap(NULL, 2 * n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return;
    route_env = memcpy(p, value, n);
    p = memcpy(p + n, value, n);
    for (; p; p = next) {
        next = strchr(p, ';');
        if (next)
            *next++ = '\0';
        if (*p && !add_vol(p))
            zio_log(
                0, "ZIO_FS: '%s' is not understood: give /PATH=URL, several separated by ';'; it is left out",
                p);
    }
    if (route_nvols > 0 && route_fds_init() == 0)
        route_on = true;
}

struct route_vol *
route_vol_by_id(uint64_t id)
{
    for (int i = 0; i < route_nvols; i++)
        if (route_vols[i].id == id)
            return &route_vols[i];
    return NULL;
}

// ---- the library ----

const char *
route_self(void)
{
    static const char *name; // of what stays loaded
    Dl_info self;

    if (!name)
        name = dladdr((void *)&fsc_ready, &self) && self.dli_fname ? self.dli_fname : "libzio.so";
    return name;
}

static void *
open_library(void)
{
    static const char *const places[] = {"/", "/../", "/../../fsclient/.libs/"};
    const char *self = route_self(), *slash = strrchr(self, '/');
    char path[PATH_MAX];
    void *lib;

    if (!slash)
        return NULL;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        if ((size_t)snprintf(path, sizeof path, "%.*s%s" LIBRARY, (int)(slash - self), self, places[i]) >=
            sizeof path)
            continue;
        if (zsys2(SYS_access, path, R_OK) != 0)
            continue;
        lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (lib)
            return lib;
        zio_log(0, "%s: %s", path, dlerror());
    }
    return NULL;
}

// Two threads may do this at once: the same library, the same functions.
static int
library(void)
{
    struct route_fsc t;
    void *lib;

    if (atomic_load_explicit(&fsc_ready, memory_order_acquire))
        return 0;
    lib = open_library();
    if (!lib) {
        zio_log(0, LIBRARY " is not beside libzio.so: install zIO anew");
        return -ELIBACC;
    }
#define X(name)                                                                                              \
    if (!(t.name = (__typeof__(t.name))(uintptr_t)dlsym(lib, "fsc_" #name))) {                               \
        zio_log(0, LIBRARY " has no fsc_" #name ": it is of another version");                               \
        return -ELIBBAD;                                                                                     \
    }
    ROUTE_FSC(X)
#undef X
    fsc = t;
    atomic_store_explicit(&fsc_ready, true, memory_order_release);
    return 0;
}

static void
message(void *arg, const char *text)
{
    (void)arg;
    zio_log(1, "%s", text);
}

// The directory of the file of tokens, which is made where an older version made the volume.
static int
open_token_dir(struct route_vol *v)
{
    int dir, fd;

    if (strncmp(v->url, "local:", 6) != 0)
        return -EPROTONOSUPPORT;
    dir = (int)zsys4(SYS_openat, AT_FDCWD, v->url[6] ? v->url + 6 : ".", O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    if (dir < 0)
        return dir;
    fd = (int)zsys4(SYS_openat, dir, TOKENS, O_RDWR | O_CLOEXEC, 0);
    if (fd == -ENOENT) {
        fd = (int)zsys4(SYS_openat, dir, TOKENS, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (fd >= 0)
            zsys2(SYS_fchmod, fd, 0666);
    }
    if (fd >= 0)
        zsys1(SYS_close, fd);
    dir = zio_high_fd(dir);
    zio_fd_ours_set(dir, true);
    return dir;
}

static int open_tokens(struct route_vol *v, int flags);

static int
open_token(struct route_vol *v)
{
    int fd;

    if (v->token >= 0)
        return 0;
    fd = v->token_dir < 0 ? open_token_dir(v) : v->token_dir;
    if (fd < 0)
        return fd;
    v->token_dir = fd;
    fd = zio_high_fd(open_tokens(v, O_ACCMODE | O_CLOEXEC));
    if (fd < 0)
        return fd;
    zio_fd_ours_set(fd, true);
    v->token = fd;
    return 0;
}

int
route_vol_open(struct route_vol *v)
{
    struct fsc_options opt = {.flags = v->rdonly ? FSC_RDONLY : 0, .message = message};
    struct fsc *fs = NULL, *none = NULL;
    struct route_guard g;
    int err = 0;

    if (likely(atomic_load_explicit(&v->fs, memory_order_acquire) != NULL))
        return 0;
    route_enter(&g);
    err = library();
    if (!err)
        err = open_token(v);
    if (!err)
        err = fsc.open_volume(v->url, &opt, &fs);
    if (!err && !atomic_compare_exchange_strong(&v->fs, &none, fs))
        fsc.close_volume(fs); // another thread was faster
    else if (!err)
        route_lock_opened(v);
    route_leave(&g);
    if (err)
        zio_log(1, "%s: the volume %s cannot be opened: %s", v->prefix, v->url, strerror(-err));
    return err;
}

static int
open_tokens(struct route_vol *v, int flags)
{
    char path[64];
    int fd = (int)zsys4(SYS_openat, v->token_dir, TOKENS, flags, 0);

    if (fd != -EACCES) // a program that has given up its rights: not through the directory
        return fd;
    snprintf(path, sizeof path, "/proc/self/fd/%d/" TOKENS, v->token_dir);
    return (int)zsys4(SYS_openat, AT_FDCWD, path, flags, 0);
}

int
route_token(struct route_vol *v, int flags)
{
    int cmd = flags & O_CLOEXEC ? F_DUPFD_CLOEXEC : F_DUPFD;
    int fd = (int)zsys3(SYS_fcntl, v->token, cmd, 0);

    if (likely(fd != -EBADF))
        return fd;
    zio_fd_ours_set(v->token, false); // somebody closed it past the hooks
    v->token = -1;
    fd = open_token(v);
    return fd < 0 ? fd : (int)zsys3(SYS_fcntl, v->token, cmd, 0);
}

int
route_token_own(struct route_vol *v)
{
    return open_tokens(v, O_ACCMODE | O_CLOEXEC);
}

int
route_lock_fd(struct route_vol *v)
{
    return open_tokens(v, O_RDWR | O_CLOEXEC);
}

// ---- the guard ----

// Errors, signals and depth. False: this thread is inside already.
bool
route_enter_outer(struct route_guard *g)
{
    g->outer = route_depth == 0;
    if (!g->outer) {
        route_depth++;
        return false;
    }
    g->saved_errno = errno;
    g->cancellable = false;
    // Who is about to install the first handler waits for those that are inside with their signals open:
    // one of the two sees the other (route_threads_unmasked).
    if (likely(route_unmasked || route_thread())) {
        atomic_store_explicit(route_unmasked, true, memory_order_relaxed);
        atomic_signal_fence(memory_order_seq_cst);
        if (unlikely(route_fenced))
            atomic_thread_fence(memory_order_seq_cst);
    }
    g->masked = zio_has_handlers() || !route_unmasked;
    if (g->masked) {
        zio_block_signals(&g->oldmask);
        if (route_unmasked)
            atomic_store_explicit(route_unmasked, false, memory_order_release);
    }
    route_depth = 1;
    g->lifted = false;
    if (unlikely(route_fsize_limit() != RLIM64_INFINITY)) {
        route_fsize_lift();
        g->lifted = true;
    }
    return true;
}

void
route_enter_cancel(struct route_guard *g)
{
    g->cancellable = true;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &g->cancel);
}

void
route_enter(struct route_guard *g)
{
    // One thread alone is cancelled by nobody but itself.
    if (route_enter_outer(g) && (!__libc_single_threaded || atomic_load(&route_cancels)))
        route_enter_cancel(g);
}

void
route_leave(struct route_guard *g)
{
    if (!g->outer) {
        route_depth--;
        return;
    }
    if (unlikely(g->lifted))
        route_fsize_lower();
    if (unlikely(g->cancellable))
        pthread_setcancelstate(g->cancel, NULL);
    route_depth = 0;
    if (g->masked)
        zio_restore_signals(&g->oldmask);
    else
        atomic_store_explicit(route_unmasked, false, memory_order_release);
    errno = g->saved_errno;
}

int
route_made_fd(int fd)
{
    int saved = errno;

    if (fd < 0 || route_depth == 0)
        return fd;
    fd = zio_high_fd(fd);
    zio_fd_ours_set(fd, true);
    errno = saved;
    return fd;
}

long
route_result(long r)
{
    if (r >= 0)
        return r;
    errno = (int)-r;
    return -1;
}

// ---- counting ----

void
route_count(enum zio_counter id, uint64_t v)
{
    uint64_t *c = &zio_page->counter[id];

    if (__libc_single_threaded)
        __atomic_store_n(c, __atomic_load_n(c, __ATOMIC_RELAXED) + v, __ATOMIC_RELAXED);
    else
        __atomic_fetch_add(c, v, __ATOMIC_RELAXED);
}

void
route_refused(const char *name)
{
    route_count(ZIO_C_route_refused, 1);
    zio_log(2, "%s on a routed file is refused", name);
}
