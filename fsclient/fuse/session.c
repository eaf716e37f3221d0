// SPDX-License-Identifier: Apache-2.0
// The life of a mount: the kernel's side is mounted, workers serve it, and it ends when it is unmounted
// (umount, fusermount3 -u, zio umount) or when a signal (TERM, INT, HUP) asks. Then what is not written back
// yet is first, the mount is detached, and who still has files open there gets ENOTCONN.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "fsclient/fuse/mount.h"

#define MAINTAIN_S 10
#define READ_AHEAD_KB 1024

// ---- ready ----

void
session_ready(struct mount *m)
{
    int null;

    if (m->opt.foreground)
        return;
    null = open("/dev/null", O_RDWR);
    say_to_log();
    if (chdir("/") != 0 || null < 0)
        say("cannot leave the terminal: %s", strerror(errno));
    for (int fd = 0; fd <= 2 && null >= 0; fd++)
        dup2(null, fd);
    if (null > 2)
        close(null);
    if (write(m->ready_fd, "", 1) != 1)
        say("nobody waits for the mount");
    close(m->ready_fd);
    m->ready_fd = -1;
}

// ---- the end, by a signal ----

// Does what we mounted lie on top at its place? It may have been detached (umount -l) while files were open,
// and another mounted there since; or lie over another, that is not ours to take away.
static bool
is_on_top(const struct mount *m)
{
    dev_t dev;

    return m->dev == 0 || (mount_device(m->opt.dir, &dev) == 0 && dev == m->dev);
}

static struct ender {
    struct mount *m;
    pthread_t thread;
    bool running;
    sigset_t set;
    _Atomic bool over; // the loop has ended
} ender;

// Dirty pages of mappings are the kernel's until now.
static void
write_back(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0) {
        syncfs(fd);
        close(fd);
    }
}

static void
end_mount(const struct ender *e)
{
    const char *dir = e->m->opt.dir;
    int err = 0;

    if (is_on_top(e->m)) {
        write_back(dir);
        err = attach_detach(dir, false);
    }
    if (err == -EBUSY) {
        say("%s is in use; it is taken away now, and what is open there fails from now on", dir);
        err = attach_detach(dir, true);
    }
    if (err && !e->over)
        say("%s cannot be unmounted: %s; the service ends all the same", dir, strerror(-err));
    // While requests are still answered: to have a page dropped may wait for a read of it. Without an answer
    // it would wait for ever, no signal ends that wait, and the connection lasts as long as it does.
    watch_stop();
    // Where the last user is gone the kernel ends the connection by itself; else we do.
    loop_end();
}

static void *
wait_for_signal(void *arg)
{
    struct ender *e = arg;
    int sig;

    while (sigwait(&e->set, &sig) != 0)
        ;
    if (!e->over)
        end_mount(e);
    return NULL;
}

// ---- work that can wait ----

static struct keeper {
    struct mount *m;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t end;
    bool running, stop;
} keeper = {.lock = PTHREAD_MUTEX_INITIALIZER, .end = PTHREAD_COND_INITIALIZER};

static void *
keep(void *arg)
{
    struct keeper *k = arg;
    struct timespec until;

    pthread_mutex_lock(&k->lock);
    while (!k->stop) {
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += MAINTAIN_S;
        if (pthread_cond_timedwait(&k->end, &k->lock, &until) != ETIMEDOUT || k->m->opt.read_only)
            continue;
        pthread_mutex_unlock(&k->lock);
        if (atomic_exchange(&k->m->dirty, false))
            fsc_maintain(k->m->fs);
        pthread_mutex_lock(&k->lock);
    }
    pthread_mutex_unlock(&k->lock);
    return NULL;
}

// ---- threads ----

static void
on_wake(int sig)
{
    (void)sig; // it ends a wait, no more
}

static void
set_signals(void)
{
    struct sigaction wake = {.sa_handler = on_wake}, ignore = {.sa_handler = SIG_IGN}; // no SA_RESTART
    sigset_t all;

    sigaction(SIGNAL_WAKE, &wake, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
    sigemptyset(&ender.set);
    sigaddset(&ender.set, SIGTERM);
    sigaddset(&ender.set, SIGINT);
    sigaddset(&ender.set, SIGHUP);
    all = ender.set;
    sigaddset(&all, SIGNAL_WAKE);
    pthread_sigmask(SIG_BLOCK, &all, NULL); // all threads to come
}

static int
start_threads(struct mount *m)
{
    int err;

    ender.m = keeper.m = m;
    loop_init(m);
    err = pthread_create(&ender.thread, NULL, wait_for_signal, &ender);
    ender.running = err == 0;
    if (!err) {
        err = pthread_create(&keeper.thread, NULL, keep, &keeper);
        keeper.running = err == 0;
    }
    return err ? -err : watch_start(m);
}

static void
stop_threads(void)
{
    ender.over = true;
    if (ender.running) {
        pthread_kill(ender.thread, SIGTERM); // pending, if it is not waiting yet
        pthread_join(ender.thread, NULL);
    }
    if (keeper.running) {
        pthread_mutex_lock(&keeper.lock);
        keeper.stop = true;
        pthread_cond_signal(&keeper.end);
        pthread_mutex_unlock(&keeper.lock);
        pthread_join(keeper.thread, NULL);
    }
    watch_stop();
    locks_stop();
    loop_free();
}

// ---- the kernel's side ----

// What libfuse is given: -o and the options of the mount.
static int
mount_args(const struct mount *m, struct fuse_args *args)
{
    const struct options *opt = &m->opt;
    char *list = NULL, *fsname = NULL;
    int err = 0;

    if (asprintf(&list, "default_permissions,subtype=zio%s%s%s%s%s", opt->read_only ? ",ro" : "",
                 opt->noatime ? ",noatime" : "", opt->allow_other ? ",allow_other" : "",
                 *opt->kernel ? "," : "", opt->kernel) < 0)
        list = NULL;
    if (asprintf(&fsname, "fsname=%s", opt->url) < 0)
        fsname = NULL;
    // fuse_opt escapes what is special in the URL.
    if (!list || !fsname || fuse_opt_add_opt_escaped(&list, fsname) != 0 ||
        fuse_opt_add_arg(args, "zio-mount") != 0 || fuse_opt_add_arg(args, "-o") != 0 ||
        fuse_opt_add_arg(args, list) != 0 || (opt->debug && fuse_opt_add_arg(args, "-d") != 0))
        err = -ENOMEM;
    free(list);
    free(fsname);
    return err;
}

// The kernel reads ahead 128 KiB unless root tells it more.
static void
set_read_ahead(dev_t dev)
{
    char path[64];
    FILE *f;

    snprintf(path, sizeof path, "/sys/class/bdi/%u:%u/read_ahead_kb", major(dev), minor(dev));
    f = fopen(path, "we");
    if (f) {
        fprintf(f, "%d\n", READ_AHEAD_KB);
        fclose(f); // not root, or no such file: then as it is
    }
}

static int
serve(struct mount *m)
{
    int err = start_threads(m);

    if (err)
        say("cannot start threads: %s", strerror(-err));
    else if ((err = loop_run()) != 0)
        say("requests cannot be served, for want of threads or memory: %s", strerror(-err));
    stop_threads();
    return err < 0 ? EXIT_FAIL : 0;
}

int
session_run(struct mount *m)
{
    struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
    int code = EXIT_FAIL;

    set_signals();
    if (mount_args(m, &args) != 0 || !(m->se = fuse_session_new(&args, &mount_ops, sizeof mount_ops, m))) {
        say("libfuse takes none of it: see the message above");
        goto out;
    }
    m->known = known_new(m->fs);
    if (!m->known || known_add(m->known, FSC_ROOT, true) != 0) {
        say("out of memory");
        goto out;
    }
    if (fuse_session_mount(m->se, m->opt.dir) != 0) {
        say("%s cannot be mounted: see the message above", m->opt.dir);
        goto out;
    }
    if (mount_device(m->opt.dir, &m->dev) == 0)
        set_read_ahead(m->dev);
    if (wire_start(m) == 0)
        code = serve(m);
    if (is_on_top(m))
        fuse_session_unmount(m->se);
out:
    if (m->se)
        fuse_session_destroy(m->se);
    known_free(m->known);
    fuse_opt_free_args(&args);
    return code;
}
