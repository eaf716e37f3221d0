// SPDX-License-Identifier: Apache-2.0
// Mount points: what is mounted there, whether it is dead, and taking it away.
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fsclient/fuse/mount.h"

#define FSTYPE "fuse.zio"
#define STACK_MAX 32 // mounts on top of each other that are looked at
#define BUSY_MS 1000 // for so long `zio umount` asks again
#define BUSY_REST_MS 20

// A line of /proc/self/mountinfo (proc(5)).
struct entry {
    char type[64], source[PATH_MAX];
    unsigned major, minor;
};

// "\040" is a blank.
static void
unescape(char *s)
{
    char *to = s;

    for (; *s; s++) {
        unsigned c;

        if (s[0] == '\\' && sscanf(s + 1, "%3o", &c) == 1 && s[1] && s[2] && s[3]) {
            *to++ = (char)c;
            s += 3;
        } else {
            *to++ = *s;
        }
    }
    *to = '\0';
}

static bool
parse_line(char *line, char *point, struct entry *e)
{
    char *rest = strstr(line, " - ");

    if (!rest || sscanf(line, "%*u %*u %u:%u %*s %4095s", &e->major, &e->minor, point) != 3 ||
        sscanf(rest + 3, "%63s %4095s", e->type, e->source) != 2)
        return false;
    unescape(point);
    unescape(e->source);
    return true;
}

// The topmost mount on `dir`: false if there is none.
static bool
find_mount(const char *dir, struct entry *out)
{
    FILE *f = fopen("/proc/self/mountinfo", "re");
    char *line = NULL, point[PATH_MAX];
    struct entry e;
    bool found = false;
    size_t size = 0;

    while (f && getline(&line, &size, f) > 0)
        if (parse_line(line, point, &e) && strcmp(point, dir) == 0) {
            *out = e; // a later one lies on top
            found = true;
        }
    free(line);
    if (f)
        fclose(f);
    return found;
}

int
mount_device(const char *dir, dev_t *dev)
{
    struct entry e;

    if (!find_mount(dir, &e))
        return -ENOENT;
    *dev = makedev(e.major, e.minor);
    return 0;
}

// ---- unmounting ----

static int
run_fusermount(const char *dir, bool lazy)
{
    extern char **environ;
    char *argv[] = {(char *)"fusermount3", (char *)"-u", (char *)"-q", (char *)"--", (char *)dir, NULL};
    char *lazy_argv[] = {(char *)"fusermount3", (char *)"-u", (char *)"-q", (char *)"-z",
                         (char *)"--",          (char *)dir,  NULL};
    int status, err;
    pid_t pid;

    err = posix_spawnp(&pid, "fusermount3", NULL, NULL, lazy ? lazy_argv : argv, environ);
    if (err)
        return -err;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    return lazy ? -EPERM : -EBUSY; // it says no more by its code
}

int
attach_detach(const char *dir, bool lazy)
{
    if (geteuid() != 0)
        return run_fusermount(dir, lazy);
    return umount2(dir, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) == 0 ? 0 : -errno;
}

// A program's last references may go a moment after its end (an mm that somebody looked at by /proc,
// descriptors that were on their way through a socket): what is busy may not be for long.
static int
detach_patiently(const char *dir)
{
    const struct timespec rest = {.tv_nsec = BUSY_REST_MS * 1000000};
    int err = attach_detach(dir, false);

    for (int i = 0; err == -EBUSY && i < BUSY_MS / BUSY_REST_MS; i++) {
        nanosleep(&rest, NULL);
        err = attach_detach(dir, false);
    }
    return err;
}

// Attributes of the root the kernel may still have; how full it is, it must ask.
static bool
is_dead(const char *dir)
{
    struct statvfs st;

    return statvfs(dir, &st) != 0 && (errno == ENOTCONN || errno == ECONNABORTED);
}

// ---- before a mount ----

static int
check_device(void)
{
    int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC), err = errno;

    if (fd >= 0) {
        close(fd);
        return 0;
    }
    if (err == ENOENT || err == ENODEV || err == ENXIO)
        say("/dev/fuse is missing: this kernel or container has no FUSE. 'modprobe fuse' loads it; a "
            "container "
            "needs the device (docker run --device /dev/fuse --cap-add SYS_ADMIN). Without it: zio run --fs");
    else if (err == EACCES || err == EPERM)
        say("/dev/fuse may not be opened by this user: 'chmod 666 /dev/fuse' as root gives everybody access. "
            "Without it: zio run --fs");
    else
        say("/dev/fuse: %s", strerror(err));
    return -err;
}

static int
check_top(const struct options *opt, const struct entry *e)
{
    int err;

    if (!is_dead(opt->dir)) {
        if (strcmp(e->type, FSTYPE) != 0)
            return 0; // something else, alive: one may mount over it
        say("%s is mounted already, with %s: 'zio umount %s' unmounts it", opt->dir, e->source, opt->dir);
        return -EBUSY;
    }
    if (strcmp(e->type, FSTYPE) != 0) {
        say("%s is a dead mount of another kind (%s, %s): 'fusermount3 -u -z %s' takes it away", opt->dir,
            e->type, e->source, opt->dir);
        return -ENOTCONN;
    }
    err = attach_detach(opt->dir, true);
    if (err) {
        say("%s is a dead mount, and this user cannot take it away: %s", opt->dir, strerror(-err));
        return err;
    }
    say("%s was a dead mount of %s, whose zio-mount was killed: taken away", opt->dir, e->source);
    return 1;
}

int
attach_check(const struct options *opt)
{
    struct entry e;
    struct stat st;
    int err = check_device();

    if (err)
        return err;
    for (int i = 0; i < STACK_MAX && find_mount(opt->dir, &e); i++) {
        err = check_top(opt, &e);
        if (err < 0)
            return err;
        if (err == 0)
            break;
    }
    if (stat(opt->dir, &st) != 0) {
        err = -errno;
        say("%s: %s%s", opt->dir, strerror(-err), err == -ENOENT ? " (make the directory first)" : "");
        return err;
    }
    if (!S_ISDIR(st.st_mode)) {
        say("%s: %s", opt->dir, strerror(ENOTDIR));
        return -ENOTDIR;
    }
    return 0;
}

// The absolute path of a mount point, of which the last component may be a dead mount.
char *
mount_point(const char *dir)
{
    char *copy, *slash, *parent, *out = realpath(dir, NULL);
    const char *name;

    if (out || (errno != ENOTCONN && errno != ECONNABORTED))
        return out;
    copy = strdup(dir);
    if (!copy)
        return NULL;
    for (size_t n = strlen(copy); n > 1 && copy[n - 1] == '/';)
        copy[--n] = '\0';
    slash = strrchr(copy, '/');
    name = slash ? slash + 1 : copy;
    if (slash)
        *slash = '\0';
    parent = realpath(!slash ? "." : slash == copy ? "/" : copy, NULL);
    if (parent && asprintf(&out, "%s/%s", strcmp(parent, "/") ? parent : "", name) < 0)
        out = NULL;
    free(parent);
    free(copy);
    return out;
}

// ---- zio umount ----

static const char umount_help[] =
    "Usage: zio umount [OPTION...] DIR...\n\nUnmounts volumes; what was written is in the volume then.\n\n"
    "  -l, --lazy   detach at once, also when in use; it ends when the last user goes\n"
    "      --help   this text\n\n"
    "Exit codes: 0 done; 1 it failed; 2 wrong options or arguments.\n";

static int
umount_one(const char *arg, bool lazy)
{
    char *dir = mount_point(arg);
    struct entry e;
    int err;

    if (!dir) {
        say("%s: %s", arg, strerror(errno));
        return EXIT_FAIL;
    }
    if (!find_mount(dir, &e) || strcmp(e.type, FSTYPE) != 0) {
        say("%s: no volume is mounted there", dir);
        err = -EINVAL;
    } else {
        err = lazy || is_dead(dir) ? attach_detach(dir, true) : detach_patiently(dir);
        if (err == -EBUSY)
            say("%s is in use: files are open there, or it is somebody's current directory ('fuser -vm %s' "
                "shows "
                "who); --lazy detaches it all the same",
                dir, dir);
        else if (err)
            say("%s: %s", dir, strerror(-err));
    }
    free(dir);
    return err ? EXIT_FAIL : 0;
}

int
cmd_umount(int argc, char **argv)
{
    static const struct option longs[] = {
        {"lazy", no_argument, NULL, 'l'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    bool lazy = false;
    int c, code = 0;

    while ((c = getopt_long(argc, argv, "lh", longs, NULL)) != -1)
        switch (c) {
        case 'l':
            lazy = true;
            break;
        case 'h':
            fputs(umount_help, stdout);
            return fflush(stdout) == 0 ? 0 : EXIT_FAIL;
        default:
            return EXIT_USAGE;
        }
    if (optind == argc) {
        say("the directory is missing: zio umount DIR");
        return EXIT_USAGE;
    }
    for (int i = optind; i < argc; i++)
        if (umount_one(argv[i], lazy) != 0)
            code = EXIT_FAIL;
    return code;
}
