// SPDX-License-Identifier: Apache-2.0
// zio-mount, which `zio mount` and `zio umount` become: the command line, and the way into the background.
// The parent ends when the mount is ready, or with the child's exit code when it never was.
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include "config.h"
#include "fsclient/fuse/mount.h"

static const char *name = "zio mount";
static _Atomic bool to_log;

void
say(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    if (to_log) {
        vsyslog(LOG_WARNING, fmt, ap);
    } else {
        fprintf(stderr, "%s: ", name);
        vfprintf(stderr, fmt, ap);
        fputc('\n', stderr);
    }
    va_end(ap);
}

void
say_to_log(void)
{
    openlog("zio-mount", LOG_PID, LOG_DAEMON);
    to_log = true;
}

static void
message(void *arg, const char *text)
{
    (void)arg;
    say("%s", text);
}

static const char help[] =
    "Usage: zio mount [OPTION...] URL DIR\n\n"
    "Mounts the volume URL (such as local:/srv/vol) on the directory DIR, and ends when it is ready; the "
    "service "
    "goes on in\nthe background until 'zio umount DIR'.\n\n"
    "  -o OPTION,...      options of the mount, as below\n"
    "  -r, --read-only    -o ro\n"
    "  -f, --foreground   stay here until it is unmounted; messages go to standard error\n"
    "  -d, --debug        -f, and show each request\n"
    "      --help         this text\n"
    "      --version\n\n"
    "Options behind -o:\n"
    "  ro, rw, noatime, nosuid, nodev, noexec, sync, dirsync, nosymfollow   as mount(8) has them\n"
    "  allow_other, noallow_other   may users other than you reach it? (yes if you are root)\n"
    "  timeout=SECONDS              how long the kernel keeps names and attributes (60); changes by others\n"
    "                               are told to it in any case\n"
    "  negative_timeout=SECONDS     and how long that a name is not there (60)\n"
    "  max_threads=N                requests that are served at once (10)\n"
    "  poll=MICROSECONDS            how long a thread looks for the next request before it sleeps (50)\n"
    "  clone_fd                     a channel to the kernel for each thread; slower where there are few "
    "processors\n"
    "  writeback                    the kernel gathers writes; only where no other process writes to the "
    "volume;\n"
    "                               zio-mount(8) tells what it gives up\n\n"
    "Permissions are always checked, by the kernel, ACLs among them.\n"
    "Exit codes: 0 done; 1 it failed; 2 wrong options or arguments. zio-mount(8) has everything.\n";

// ---- the command line ----

// 0: go on; else an exit code + 1.
static int
parse(int argc, char **argv, struct options *opt)
{
    static const struct option longs[] = {
        {"read-only", no_argument, NULL, 'r'}, {"foreground", no_argument, NULL, 'f'},
        {"debug", no_argument, NULL, 'd'},     {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},   {NULL, 0, NULL, 0}};
    int c;

    while ((c = getopt_long(argc, argv, "o:rfdhV", longs, NULL)) != -1)
        switch (c) {
        case 'o':
            if (options_add(opt, optarg) != 0)
                return EXIT_USAGE + 1;
            break;
        case 'r':
            opt->read_only = true;
            break;
        case 'd':
            opt->debug = true;
            break;
        case 'f':
            opt->foreground = true;
            break;
        case 'h':
            fputs(help, stdout);
            return (fflush(stdout) == 0 ? 0 : EXIT_FAIL) + 1;
        case 'V':
            puts("zio " PACKAGE_VERSION);
            return (fflush(stdout) == 0 ? 0 : EXIT_FAIL) + 1;
        default:
            return EXIT_USAGE + 1;
        }
    if (argc - optind != 2) {
        say("it wants a volume and a directory: zio mount URL DIR (zio mount --help)");
        return EXIT_USAGE + 1;
    }
    opt->foreground |= opt->debug;
    return 0;
}

// ---- the volume and the directory ----

// True if `path` is `dir` or below it.
static bool
below(const char *path, const char *dir)
{
    size_t n = strlen(dir);

    return strncmp(path, dir, n) == 0 && (path[n] == '/' || path[n] == '\0' || n == 1);
}

// "local:vol" becomes "local:/home/me/vol", for the list of mounts. A volume below its own mount point would
// disappear under it.
static int
set_places(struct options *opt, const char *url, const char *dir)
{
    char *path = NULL;
    int err = 0;

    opt->dir = mount_point(dir);
    if (!opt->dir) {
        say("%s: %s%s", dir, strerror(errno), errno == ENOENT ? " (make the directory first)" : "");
        return EXIT_FAIL;
    }
    if (strncmp(url, "local:", 6) == 0)
        path = realpath(url[6] ? url + 6 : ".", NULL);
    if (path && below(path, opt->dir)) {
        say("the volume %s lies below %s, and would disappear under the mount", path, opt->dir);
        err = EXIT_FAIL;
    }
    if (asprintf(&opt->url, "%s%s", path ? "local:" : "", path ? path : url) < 0)
        err = EXIT_FAIL;
    free(path);
    return err;
}

static int
serve(struct mount *m)
{
    struct fsc_options fopt = {.flags =
                                   (m->opt.read_only ? FSC_RDONLY : 0) | (m->opt.noatime ? FSC_NOATIME : 0),
                               .message = message};
    struct fsc_info info;
    int err = fsc_open_volume(m->opt.url, &fopt, &m->fs), code;

    if (!err)
        err = fsc_volume_info(m->fs, &info);
    if (!err)
        err = fsc_watch(m->fs);
    if (err) {
        say("%s cannot be opened: %s", m->opt.url, strerror(-err));
        fsc_close_volume(m->fs);
        return err == -EINVAL || err == -EPROTONOSUPPORT ? EXIT_USAGE : EXIT_FAIL;
    }
    m->chunk_size = info.chunk_size;
    m->entry_timeout = m->opt.timeout;
    code = session_run(m);
    fsc_close_volume(m->fs);
    return code;
}

// ---- the background ----

static int
wait_ready(pid_t child, int fd)
{
    char byte;
    ssize_t n;
    int status;

    while ((n = read(fd, &byte, 1)) < 0 && errno == EINTR)
        ;
    if (n == 1)
        return 0;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return EXIT_FAIL;
    if (WIFSIGNALED(status))
        say("the service was ended by signal %d", WTERMSIG(status));
    return WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : EXIT_FAIL;
}

static int
in_background(struct mount *m)
{
    int fd[2];
    pid_t pid;

    if (pipe2(fd, O_CLOEXEC) != 0 || (pid = fork()) < 0) {
        say("%s", strerror(errno));
        return EXIT_FAIL;
    }
    if (pid > 0) {
        close(fd[1]);
        return wait_ready(pid, fd[0]);
    }
    close(fd[0]);
    setsid();
    m->ready_fd = fd[1];
    return serve(m);
}

int
main(int argc, char **argv)
{
    static struct mount m = {
        .ready_fd = -1, .opt = {.timeout = 60, .negative_timeout = 60, .max_threads = 10, .poll_us = 50}};
    struct rlimit files;
    int code;

    if (argc > 0 && strstr(argv[0], "umount")) {
        name = argv[0] = (char *)"zio umount";
        return cmd_umount(argc, argv);
    }
    if (argc > 0)
        argv[0] = (char *)name;
    m.opt.kernel = strdup(geteuid() == 0 ? "suid,dev" : "");
    m.opt.allow_other = geteuid() == 0;
    code = parse(argc, argv, &m.opt);
    if (code)
        return code - 1;
    code = set_places(&m.opt, argv[optind], argv[optind + 1]);
    if (code)
        return code;
    if (attach_check(&m.opt) != 0)
        return EXIT_FAIL;
    // What the shell left open is not ours to keep open.
    close_range(3, ~0u, 0);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    return m.opt.foreground ? serve(&m) : in_background(&m);
}
