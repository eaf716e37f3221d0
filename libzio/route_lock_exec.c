// SPDX-License-Identifier: Apache-2.0
// fcntl's locks of a process stay its own through exec. The volume keeps them under the session of the
// program that took them, which lives as long as the process (its id and its start), so that nothing is lost
// in between, even where the next program never looks at the volume, or does not know of it. When it does
// open it, it takes them over.
//
// exec closes descriptors, and with any descriptor of a file goes what the process has locked there: the next
// program is told of such files, and does it first of all.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libzio/route_priv.h"
#include "libzio/sys.h"

#define CLOSED_MAX 256

// By place in route_vols: the session that has the locks from before exec; 0: none, or taken over.
static _Atomic uint64_t before[ROUTE_VOLS];

static struct closed {
    struct route_vol *vol;
    uint64_t ino;
} closed[CLOSED_MAX];
static size_t nclosed;

// ---- before exec ----

size_t
route_lock_tell(char *to, size_t room)
{
    size_t n = 0;

    for (int i = 0; i < route_nvols && route_lock_used(); i++) {
        struct route_vol *v = &route_vols[i];
        struct fsc *fs = atomic_load(&v->fs);
        uint64_t session = atomic_load(&before[i]);
        struct route_guard g;

        if (!session && fs) {
            route_enter(&g);
            session = fsc.session(fs);
            route_leave(&g);
        }
        if (session && n < room)
            n += (size_t)snprintf(to + n, room - n, ":s:%llu:%llu", (unsigned long long)v->id,
                                  (unsigned long long)session);
    }
    return n < room ? n : 0;
}

struct same {
    struct route_file *f;
    bool locked;
};

static void
look(int fd, struct route_file *f, void *arg)
{
    struct same *s = arg;

    (void)fd;
    if (f->vol == s->f->vol && f->ino == s->f->ino && atomic_load(&f->posix_locked))
        s->locked = true;
}

size_t
route_lock_tell_closed(char *to, size_t room, struct route_file *f)
{
    struct same s = {f, false};
    int n;

    if (!route_lock_used())
        return 0;
    route_each_fd(0, ROUTE_FDS - 1, look, &s);
    if (!s.locked)
        return 0;
    n = snprintf(to, room, ":x:%llu:%llu", (unsigned long long)f->vol->id, (unsigned long long)f->ino);
    return (size_t)n < room ? (size_t)n : 0;
}

// ---- after ----

static bool
two_numbers(const char **p, uint64_t v[2])
{
    const char *at = *p;

    for (int i = 0; i < 2; i++) {
        char *end;

        if (*at != ':')
            return false;
        v[i] = strtoull(at + 1, &end, 10);
        if (end == at + 1)
            return false;
        at = end;
    }
    *p = at;
    return true;
}

const char *
route_lock_told(const char *p)
{
    while (p[0] == ':' && (p[1] == 's' || p[1] == 'x')) {
        bool is_session = p[1] == 's';
        struct route_vol *v;
        uint64_t n[2];

        p += 2;
        if (!two_numbers(&p, n))
            return "";
        v = route_vol_by_id(n[0]);
        if (!v)
            continue;
        if (is_session) {
            atomic_store(&before[v - route_vols], n[1]);
            route_lock_used_set(true);
        } else if (nclosed < CLOSED_MAX) {
            closed[nclosed++] = (struct closed){v, n[1]};
        }
    }
    return p;
}

static void
unlock_closed(const struct closed *c)
{
    struct fsc_file *file;
    struct route_guard g;

    if (route_vol_open(c->vol) < 0)
        return;
    route_enter(&g);
    if (fsc.ino_open(c->vol->fs, FSC_ENGINE, c->ino, O_PATH, &file) == 0) {
        fsc.unlock_owner(file, (uint64_t)zsys0(SYS_getpid));
        fsc.close(file);
    }
    route_leave(&g);
}

static void
mark(int fd, struct route_file *f, void *arg)
{
    (void)fd, (void)arg;
    if (atomic_load(&before[f->vol - route_vols]))
        atomic_store(&f->posix_locked, true); // perhaps: another exec looks
}

void
route_lock_start(void)
{
    if (!route_lock_used())
        return;
    route_each_fd(0, ROUTE_FDS - 1, mark, NULL);
    for (size_t i = 0; i < nclosed; i++)
        unlock_closed(&closed[i]);
    nclosed = 0;
}

void
route_lock_opened(struct route_vol *v)
{
    uint64_t session = atomic_exchange(&before[v - route_vols], 0);

    if (session)
        fsc.take_locks(v->fs, session, (uint64_t)zsys0(SYS_getpid));
}

// They are the parent's.
void
route_lock_fork_child(void)
{
    for (int i = 0; i < route_nvols; i++)
        atomic_store(&before[i], 0);
    route_lock_used_set(false);
}
