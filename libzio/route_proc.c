// SPDX-License-Identifier: Apache-2.0
// What passes from process to process. A fork child has all that its parent had: its slot in the table of
// records is made before. A program after exec is told in ZIO_FDS, and takes that out of its environment
// again:
//
//     ZIO_FDS=1:TABLE:SLOT:HIDE[:c:RECORD][:s:VOLUME:SESSION]...[:FD:RECORD:LOCK | :x:VOLUME:INODE]...
//
// in decimal: the descriptor of the table, the slot, what is to be hidden (ROUTE_HIDE_*), the record of the
// current directory, the sessions that have locks of this process, and of each descriptor its record and the
// descriptor of its lock (-1: none), or what inode it was of, if exec closes it and the process had a lock
// there.
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "libzio/real.h"
#include "libzio/route_map.h"
#include "libzio/route_priv.h"
#include "libzio/sys.h"

#define FDS "ZIO_FDS="

static _Thread_local struct route_guard fork_guard __attribute__((tls_model("initial-exec")));

const char *route_exe;

// ---- fork ----

void
route_fork_prepare(void)
{
    if (!route_on)
        return;
    route_enter(&fork_guard);
    route_fd_fork_prepare();
    route_table_fork_prepare();
    rmap_fork_prepare();
}

void
route_fork_parent(void)
{
    if (!route_on)
        return;
    route_table_fork_parent();
    rmap_fork_parent();
    route_leave(&fork_guard);
}

void
route_fork_child(void)
{
    if (!route_on)
        return;
    route_cred_changes();                       // a clone may be in a user namespace of its own
    atomic_fetch_add(&route_memory_changes, 1); // MADV_DONTFORK
    rmap_fork_child();
    route_lock_fork_child();
    route_table_fork_child();
    route_fd_fork_child();
    route_fsize_fork_child(fork_guard.lifted);
    route_leave(&fork_guard);
}

// ---- after exec ----

static bool
number(const char **p, long *out)
{
    char *end;

    if (**p != ':')
        return false;
    *out = strtol(*p + 1, &end, 10);
    if (end == *p + 1)
        return false;
    *p = end;
    return true;
}

static void
adopt_fd(long fd, long record, long lock)
{
    struct route_file *f;

    // (What came through a program without the library is not ours to know: it stays a token.)
    if (fd < 0 || fd >= (long)ROUTE_FDS || record < 0 || !route_table_holds((uint32_t)record) ||
        zsys3(SYS_fcntl, fd, F_GETFD, 0) < 0)
        return;
    f = route_file_of((uint32_t)record);
    if (!f)
        return;
    if (lock >= 0 && atomic_load(&f->lock_fd) < 0) {
        zsys3(SYS_fcntl, lock, F_SETFD, FD_CLOEXEC);
        zio_fd_ours_set((int)lock, true);
        atomic_store(&f->lock_fd, (int)lock);
    }
    route_link((int)fd, f);
}

static void
adopt(const char *p)
{
    long table, slot, hide, fd, record, lock;

    if (*p++ != '1' || !number(&p, &table) || !number(&p, &slot) || !number(&p, &hide) || table < 0 ||
        route_table_adopt((int)table, (uint32_t)slot) < 0)
        return;
    zsys3(SYS_fcntl, table, F_SETFD, FD_CLOEXEC);
    zio_fd_ours_set((int)table, true);
    if (strncmp(p, ":c:", 3) == 0) {
        p += 2;
        if (!number(&p, &record))
            return;
        if (route_table_holds((uint32_t)record))
            route_cwd_adopt(route_file_adopt((uint32_t)record));
    }
    for (p = route_lock_told(p); number(&p, &fd) && number(&p, &record) && number(&p, &lock);
         p = route_lock_told(p))
        adopt_fd(fd, record, lock);
}

static long
hidden(const char *p)
{
    long skip, hide;

    return *p++ == '1' && number(&p, &skip) && number(&p, &skip) && number(&p, &hide) ? hide : 0;
}

static void
keep(int fd, struct route_file *f, void *arg)
{
    uint64_t *kept = arg;

    (void)fd;
    kept[f->index / 64] |= 1ull << (f->index % 64);
}

// What was closed on exec is let go.
static void
trim(void)
{
    uint64_t kept[ROUTE_RECORDS / 64] = {0};
    struct route_file *cwd = route_cwd_peek();

    if (route_table_fd() < 0)
        return;
    route_each_fd(0, ROUTE_FDS - 1, keep, kept);
    if (cwd)
        keep(-1, cwd, kept);
    route_table_trim(kept);
}

// Libraries that are loaded by now; those that came as descriptors need them no longer.
static void
cut_libs(char *entry)
{
    char *p = entry, *at = NULL;

    while ((p = strstr(p, "::")) != NULL)
        at = p++;
    if (!at)
        return;
    for (p = at; (p = strstr(p, ":/proc/self/fd/")) != NULL; p++)
        zsys1(SYS_close, strtol(p + 15, NULL, 10));
    *at = '\0';
}

// What an exec of ours has put into the environment, and was not in what the program gave.
static bool
is_hidden(char *entry, long hide)
{
    if (strncmp(entry, FDS, strlen(FDS)) == 0)
        return true;
    if (strncmp(entry, "ZIO_EXE=", 8) == 0) {
        route_exe = entry + 8; // the kernel's strings stay where they are
        return true;
    }
    if (strncmp(entry, "ZIO_FS=", 7) == 0)
        return hide & ROUTE_HIDE_FS;
    if (strncmp(entry, "LD_PRELOAD=", 11) != 0)
        return false;
    if (hide & ROUTE_HIDE_LIBS)
        cut_libs(entry);
    if (hide & ROUTE_HIDE_SELF) {
        char *rest = strchr(entry, ':');

        if (rest)
            memmove(entry + 11, rest + 1, strlen(rest + 1) + 1);
    }
    return hide & ROUTE_HIDE_PRELOAD;
}

// The kernel names a process after the file that it runs, which is a copy.
static void
take_name(void)
{
    const char *slash = route_exe ? strrchr(route_exe, '/') : NULL;

    if (slash)
        zsys2(SYS_prctl, PR_SET_NAME, slash + 1);
}

void
route_start(char **env)
{
    const char *fds = NULL;
    char **to = env;
    long hide;

    route_config(env);
    for (char **e = env; e && *e && !fds; e++)
        if (strncmp(*e, FDS, strlen(FDS)) == 0)
            fds = *e + strlen(FDS);
    if (fds) {
        hide = hidden(fds);
        for (char **from = env; *from; from++)
            if (!is_hidden(*from, hide))
                *to++ = *from;
        *to = NULL;
        take_name();
    }
    if (!route_on)
        return;
    route_thread_start();
    if (fds)
        adopt(fds);
    route_table_make();
    route_std_start();
    trim();
    route_cwd_start();
    route_lock_start();
    route_fsize_start();
}
