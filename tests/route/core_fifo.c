// SPDX-License-Identifier: Apache-2.0
// FIFOs: a pipe for all who open the name, in this process and in others.
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <sys/time.h>

#include "tests/route/core.h"

static void
show_poll(const char *text, int fd, short events)
{
    struct pollfd p = {fd, events, 0};
    int n = poll(&p, 1, 0);

    trace("%s: poll %d, revents %#x", text, n, p.revents);
}

// Is what the descriptor shows what the path shows?
static void
show_same(const char *text, int fd, const char *name)
{
    struct stat by_fd = {0}, by_path = {0}, by_at = {0};
    struct statx sx = {0};

    T(fstat(fd, &by_fd));
    T(stat(P(name), &by_path));
    T(fstatat(fd, "", &by_at, AT_EMPTY_PATH));
    T(statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &sx));
    trace("%s: mode %o %o %o %o, owner %u %u, links %ld %ld, %s", text, by_fd.st_mode, by_path.st_mode,
          by_at.st_mode, sx.stx_mode, by_fd.st_uid, by_fd.st_gid, (long)by_fd.st_nlink,
          (long)by_path.st_nlink,
          by_fd.st_ino == by_path.st_ino && by_fd.st_dev == by_path.st_dev && by_at.st_ino == by_fd.st_ino &&
                  by_at.st_dev == by_fd.st_dev && sx.stx_ino == by_fd.st_ino &&
                  makedev(sx.stx_dev_major, sx.stx_dev_minor) == by_fd.st_dev
              ? "the same file"
              : "another file");
}

// Both ends in one process, none of which waits.
static void
one_process(void)
{
    struct timespec past[2] = {{1000, 0}, {2000, 0}};
    struct stat st = {0};
    char buf[16];
    int r, w;

    T(mkfifo(P("p"), 0640));
    T(open(P("p"), O_WRONLY | O_NONBLOCK));
    T((r = open(P("p"), O_RDONLY | O_NONBLOCK)));
    T(read(r, buf, sizeof buf));
    T((w = open(P("p"), O_WRONLY | O_NONBLOCK)));
    T(fcntl(w, F_GETFL));
    T(read(r, buf, sizeof buf));
    show_poll("empty", r, POLLIN);
    show_poll("room", w, POLLOUT);
    T(write(w, "twelve bytes", 12));
    show_poll("filled", r, POLLIN);
    T(read(r, buf, 5));
    show_fd("the rest", r);
    show_same("reader", r, "p");
    T(fchmod(r, 0604));
    T(fchown(w, 12, 34));
    T(futimens(r, past));
    show_same("changed", w, "p");
    T(stat(P("p"), &st));
    trace("times %ld %ld", (long)st.st_atime, (long)st.st_mtime);
    T(lseek(r, 0, SEEK_SET));
    T(pread(r, buf, 1, 0));
    T(pwrite(w, buf, 1, 0));
    T(ftruncate(w, 0));
    T(fsync(w));
    T(mmap(NULL, 4096, PROT_READ, MAP_SHARED, r, 0) == MAP_FAILED ? -1 : 0);
    T(fcntl(w, F_SETPIPE_SZ, 8192));
    T(fcntl(r, F_GETPIPE_SZ));
    T(flock(r, LOCK_EX | LOCK_NB));
    T(write(r, "x", 1));
    T(read(w, buf, 1));
    T(close(w));
    T(read(r, buf, sizeof buf));
    show_poll("no writer", r, POLLIN);
    T((w = open(P("p"), O_WRONLY)));
    T(close(r));
    signal(SIGPIPE, SIG_IGN);
    T(write(w, "x", 1));
    signal(SIGPIPE, SIG_DFL);
    T(close(w));
    T((r = open(P("p"), O_RDWR)));
    T(write(r, "both ways", 9));
    show_fd("both ways", r);
    T(close(r));
}

static void
flags(void)
{
    int fd;

    T(open(P("p"), O_RDONLY | O_NONBLOCK | O_DIRECTORY));
    T(open(P("p"), O_RDONLY | O_NONBLOCK | O_CREAT | O_EXCL, 0600));
    T((fd = open(P("p"), O_RDONLY | O_NONBLOCK | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)));
    T(fcntl(fd, F_GETFD));
    T(fcntl(fd, F_GETFL));
    T(close(fd));
    T((fd = open(P("p"), O_PATH)));
    T(read(fd, (char[1]){0}, 1));
    show_same("by path", fd, "p");
    char magic[40];
    snprintf(magic, sizeof magic, "/proc/self/fd/%d", fd);
    int r = -1, w = -1;
    T((r = open(magic, O_RDONLY | O_NONBLOCK)));
    T((w = open("p", O_WRONLY)));
    T(write(w, "through /proc", 13));
    show_fd("through /proc", r);
    T(close(r));
    T(close(w));
    T(close(fd));
    T(symlink("p", P("link")));
    T(open(P("link"), O_RDONLY | O_NONBLOCK | O_NOFOLLOW));
    T((fd = open(P("link"), O_RDONLY | O_NONBLOCK)));
    T(close(fd));
    T(truncate(P("p"), 0));
}

// The pipe belongs to the inode, whatever becomes of the name.
static void
names(void)
{
    int r, w, dir;

    T((r = open(P("p"), O_RDONLY | O_NONBLOCK)));
    T(mkdir(P("d"), 0755));
    T(link(P("p"), P("d/q")));
    T(rename(P("p"), P("moved")));
    T((dir = open(P("d"), O_RDONLY | O_DIRECTORY)));
    T((w = openat(dir, "q", O_WRONLY | O_NONBLOCK)));
    T(write(w, "by the link", 11));
    show_fd("by the link", r);
    show_same("link", w, "d/q");
    T(close(w));
    T(unlink(P("d/q")));
    T((w = open(P("moved"), O_WRONLY | O_NONBLOCK)));
    T(unlink(P("moved")));
    T(mkfifo(P("moved"), 0600));
    T(open(P("moved"), O_WRONLY | O_NONBLOCK));
    T(write(w, "no name", 7));
    show_fd("no name", r);
    T(close(w));
    T(close(r));
    T(close(dir));
}

static void
writes(void *arg)
{
    int fd = open(P(arg), O_WRONLY); // waits for the reader

    if (write(fd, "from another", 12) != 12)
        _exit(1);
    close(fd);
    fd = open(P("three"), O_WRONLY);
    if (write(fd, "once more", 9) != 9)
        _exit(2);
}

static void
holds(void *arg)
{
    char byte;
    int fd = open(P(arg), O_RDONLY); // waits for the writer

    if (read(fd, &byte, 1) != 1)
        _exit(1);
    kill(getpid(), SIGKILL);
}

static void
nothing(int sig)
{
    (void)sig;
}

static void
processes(void)
{
    struct itimerval soon = {{0, 20000}, {0, 20000}}, never = {{0, 0}, {0, 0}};
    struct sigaction act = {.sa_handler = nothing};
    int fd;
    pid_t pid;

    T(mkfifo(P("two"), 0600));
    T(mkfifo(P("three"), 0600));
    pid = begin_child(writes, (void *)"two");
    T((fd = open(P("two"), O_RDONLY)));
    show_fd("first", fd);
    show_fd("its end", fd);
    T(close(fd));
    T((fd = open(P("three"), O_RDONLY)));
    show_fd("second", fd);
    T(close(fd));
    await_child("writer", pid);
    pid = begin_child(holds, (void *)"two");
    T((fd = open(P("two"), O_WRONLY)));
    T(write(fd, "x", 1));
    await_child("killed", pid);
    T(open(P("two"), O_WRONLY | O_NONBLOCK));
    T(close(fd));
    T(sigaction(SIGALRM, &act, NULL));
    T(setitimer(ITIMER_REAL, &soon, NULL));
    T(open(P("two"), O_RDONLY));
    T(setitimer(ITIMER_REAL, &never, NULL));
}

static void
execs(void *arg)
{
    char number[16], *argv[] = {(char *)"core",
                                (char *)"--child",
                                (char *)root,
                                (char *)trace_file,
                                (char *)"fifo",
                                number,
                                NULL};

    snprintf(number, sizeof number, "%d", *(int *)arg);
    execv(self_, argv);
    _exit(9);
}

void
fifo_child(int fd)
{
    int w;

    show_same("after exec", fd, "two");
    show_fd("after exec", fd);
    T((w = open("two", O_WRONLY | O_NONBLOCK)));
    T(write(w, "from the program", 16));
}

void
family_fifo(void)
{
    int fd, w;
    FILE *fp;
    char line[32] = "";

    one_process();
    flags();
    names();
    processes();
    T((fd = open(P("two"), O_RDONLY | O_NONBLOCK)));
    T((w = open(P("two"), O_WRONLY)));
    T(write(w, "for the program", 15));
    T(fcntl(w, F_SETFD, FD_CLOEXEC));
    T(fcntl(fd, F_SETFL, 0));
    in_child("exec", execs, &fd);
    show_fd("what it wrote", fd);
    T(close(w));
    T(close(fd));
    T((fd = open(P("two"), O_RDWR)));
    fp = fopen(P("two"), "r+");
    if (fp && fprintf(fp, "a line\n") == 7 && fflush(fp) == 0 && fgets(line, sizeof line, fp))
        trace("stream: %s", line);
    if (fp)
        fclose(fp);
    T(close(fd));
    T(system("echo through the shell >two & read line <two; test \"$line\" = 'through the shell'"));
    T(unlink(P("two")));
    T(unlink(P("three")));
    T(unlink(P("moved")));
}
