// SPDX-License-Identifier: Apache-2.0
// Calls relative to a directory's descriptor, the current directory, programs in the file system, descriptors
// by name.
#include <limits.h>
#include <spawn.h>
#include <sys/wait.h>

#include "conform.h"

static void
relative(void)
{
    char buf[20], path[PATH_MAX];
    struct statx sx;
    struct stat st;
    int d, e, f;

    NEED(mkdir("d", 0755));
    NEED(mkdir("e", 0755));
    NEED(put_file("file", 0644, ""));
    NEED(d = open("d", O_RDONLY | O_DIRECTORY));
    NEED(e = open("e", O_PATH | O_DIRECTORY));
    NEED(f = open("file", O_RDONLY));
    T("openat", 0, openat(d, "f", O_WRONLY | O_CREAT, 0644));
    B("openat-there", exists("d/f"));
    T("mkdirat", 0, mkdirat(d, "sub", 0755));
    T("mknodat", 0, mknodat(e, "node", S_IFREG | 0644, 0));
    T("mkfifoat", 0, mkfifoat(e, "fifo", 0644));
    T("symlinkat", 0, symlinkat("f", d, "s"));
    EQ("readlinkat", 1, readlinkat(d, "s", buf, sizeof buf));
    T("linkat", 0, linkat(d, "f", e, "linked", 0));
    T("renameat", 0, renameat(d, "sub", e, "sub2"));
    B("renameat-there", exists("e/sub2"));
    T("fstatat", 0, fstatat(d, "s", &st, 0));
    T("fstatat-nofollow", 0, fstatat(d, "s", &st, AT_SYMLINK_NOFOLLOW));
    B("fstatat-is-link", S_ISLNK(st.st_mode));
    T("fstatat-empty", 0, fstatat(f, "", &st, AT_EMPTY_PATH));
    EQ("fstatat-empty-same", stat_of("file").st_ino, st.st_ino);
    T("fstatat-empty-unasked", ENOENT, fstatat(f, "", &st, 0));
    T("statx-empty", 0, statx(f, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &sx));
    T("fchmodat", 0, fchmodat(d, "f", 0600, 0));
    T("fchownat", 0, fchownat(d, "f", U1, G1, 0));
    T("utimensat", 0, utimensat(d, "f", NULL, 0));
    T("faccessat", 0, faccessat(d, "f", R_OK, 0));
    T("unlinkat", 0, unlinkat(e, "linked", 0));
    T("unlinkat-dir", 0, unlinkat(e, "sub2", AT_REMOVEDIR));
    T("not-a-directory", ENOTDIR, openat(f, "x", O_RDONLY));
    T("bad-fd", EBADF, openat(-5, "x", O_RDONLY));
    snprintf(path, sizeof path, "%s/d/f", case_dir);
    T("absolute-ignores-fd", 0, openat(-5, path, O_RDONLY));
    T("dotdot", 0, openat(d, "../e/node", O_RDONLY));
    NEED(rename("d", "moved"));
    T("after-move", 0, openat(d, "f", O_RDONLY));
    NEED(mkdir("d", 0755));
    T("not-the-new-one", 0, openat(d, "s", O_RDONLY));
    NEED(chmod("moved", 0));
    AS (U1, G1)
        T("search-is-judged-now", EACCES, openat(d, "f", O_RDONLY));
}

static void
current(void)
{
    char buf[PATH_MAX], small[4];
    int fd;

    NEED(mkdir("d", 0755));
    NEED(mkdir("d/e", 0755));
    NEED(put_file("d/e/f", 0644, "text"));
    NEED(symlink("d/e", "s"));
    B("getcwd", getcwd(buf, sizeof buf) && strcmp(buf, case_dir) == 0);
    T("chdir", 0, chdir("d/e"));
    B("getcwd-below", getcwd(buf, sizeof buf) && strcmp(buf, label_of("%s/d/e", case_dir)) == 0);
    B("file", has_text("f", "text"));
    T("dotdot", 0, chdir(".."));
    B("file-from-above", has_text("e/f", "text"));
    errno = 0;
    B("getcwd-short", !getcwd(small, sizeof small) && errno == ERANGE);
    NEED(chdir(case_dir));
    T("by-link", 0, chdir("s"));
    B("by-link-real", getcwd(buf, sizeof buf) && strcmp(buf, label_of("%s/d/e", case_dir)) == 0);
    CHILD ()
        B("child-inherits", has_text("f", "text"));
    NEED(fd = open("..", O_RDONLY));
    T("fchdir", 0, fchdir(fd));
    B("fchdir-there", has_text("e/f", "text"));
    NEED(rename("../d", "../g"));
    B("renamed", getcwd(buf, sizeof buf) && strcmp(buf, label_of("%s/g", case_dir)) == 0);
    close(fd);
    NEED(fd = open("e/f", O_RDONLY));
    T("fchdir-file", ENOTDIR, fchdir(fd));
    T("fchdir-bad", EBADF, fchdir(-1));
    NEED(chdir(case_dir));
    NEED(mkdir("shut", 0700));
    AS (U1, G1)
        T("no-search", EACCES, chdir("shut"));
    T("out", 0, chdir("/"));
    B("out-is", getcwd(buf, sizeof buf) && strcmp(buf, "/") == 0);
    T("back", 0, chdir(case_dir));
}

// A program stored in the file system.
static int
store(const char *from, const char *to)
{
    char buf[65536];
    int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0755);
    ssize_t n;

    while ((n = read(in, buf, sizeof buf)) > 0)
        if (write(out, buf, (size_t)n) != n)
            return -1;
    close(in);
    close(out);
    return n < 0 ? -1 : 0;
}

static int
result_of(pid_t pid)
{
    int status = -1;

    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// Runs it; the program's own exit code, or 200 and the errno where it can't be started.
static int
run(const char *path, const char *arg)
{
    pid_t pid = fork();

    if (pid == 0) {
        execl(path, path, arg, NULL);
        _exit(200 + errno % 50);
    }
    return result_of(pid);
}

static void
programs(void)
{
    char *argv[] = {"sh", "-c", "exit 9", NULL}, *envp[] = {NULL};
    int fd, w;
    char name[1];
    pid_t pid;

    NEED(store("/bin/true", "true"));
    NEED(store("/bin/sh", "sh"));
    EQ("execve", 0, run("./true", NULL));
    EQ("execve-absolute", 0, run(label_of("%s/true", case_dir), NULL));
    NEED(chmod("true", 0644));
    EQ("no-execute-bit", 200 + EACCES, run("./true", NULL));
    NEED(chmod("true", 0711));
    AS (U1, G1)
        EQ("no-read-needed", 0, run("./true", NULL));
    NEED(chmod("true", 0700));
    AS (U1, G1)
        EQ("no-right", 200 + EACCES, run("./true", NULL));
    NEED(chmod("true", 0755));
    EQ("dir", 200 + EACCES, run(".", NULL));
    EQ("none", 200 + ENOENT, run("./none", NULL));
    NEED(put_file("text", 0755, "no program"));
    EQ("no-format", 200 + ENOEXEC, run("./text", NULL));
    NEED(put_file("script", 0755, "#!/bin/sh\nexit 7\n"));
    EQ("script", 7, run("./script", NULL));
    NEED(put_file("script2", 0755, label_of("#!%s/sh\nexit 8\n", case_dir)));
    EQ("script-of-its-own-shell", 8, run("./script2", NULL));
    NEED(fd = open("true", O_RDONLY | O_CLOEXEC));
    pid = fork();
    if (pid == 0) {
        fexecve(fd, argv, envp);
        _exit(100);
    }
    EQ("fexecve", 0, result_of(pid));
    close(fd);
    EQ("posix_spawn", 0, posix_spawn(&pid, "./sh", NULL, NULL, argv, envp));
    EQ("posix_spawn-result", 9, result_of(pid));
    EQ("posix_spawn-none", ENOENT, posix_spawn(&pid, "./none", NULL, NULL, argv, envp));
    // A program that runs isn't written to, and one that is written to doesn't run.
    int p[2], begun[2];
    NEED(pipe(p));
    NEED(pipe2(begun, O_CLOEXEC));
    pid = fork();
    if (pid == 0) {
        dup2(p[0], STDIN_FILENO);
        close(p[1]);
        execl("./sh", "sh", "-c", "read line", NULL);
        _exit(100);
    }
    NEED(w = open("true", O_WRONLY));
    EQ("written-to", 200 + ETXTBSY, run("./true", NULL));
    close(w);
    EQ("written-to-no-more", 0, run("./true", NULL));
    // The child's exec closes its end.
    close(begun[1]);
    NEED(read(begun[0], name, 1));
    T("running-write", ETXTBSY, try_open("sh", O_WRONLY, 0));
    T("running-truncate", ETXTBSY, truncate("sh", 0));
    T("running-unlink", 0, unlink("sh"));
    close(p[1]);
    EQ("running-ended", 1, result_of(pid));
}

// What exec keeps: descriptors and their offsets, the current directory.
static void
kept(void)
{
    char buf[100] = "";
    int fd, out;
    pid_t pid;
    FILE *f;

    NEED(put_file("in", 0644, "one\ntwo\nthree\n"));
    NEED(fd = open("in", O_RDONLY));
    NEED(out = open("out", O_WRONLY | O_CREAT | O_APPEND, 0644));
    NEED(read(fd, buf, 4));
    pid = fork();
    if (pid == 0) {
        dup2(fd, 0);
        dup2(out, 1);
        execl("/bin/sh", "sh", "-c", "read a; echo got $a; cat; echo made >new", NULL);
        _exit(100);
    }
    EQ("run", 0, result_of(pid));
    B("stdin-stdout", has_text("out", "got two\nthree\n"));
    EQ("offset-shared", 14, lseek(fd, 0, SEEK_CUR));
    B("cwd", has_text("new", "made\n"));
    pid = fork();
    if (pid == 0) {
        NEED(fcntl(fd, F_SETFD, FD_CLOEXEC));
        execl("/bin/sh", "sh", "-c", label_of("exec 2>/dev/null; (exec 9<&%d) && exit 1 || exit 0", fd),
              NULL);
        _exit(100);
    }
    EQ("cloexec-closed", 0, result_of(pid));
    NEED(chdir(case_dir));
    EQ("system", 0, system("echo by system >sys"));
    B("system-made", has_text("sys", "by system\n"));
    NEED((f = popen("cat in", "r")) ? 0 : -1);
    B("popen", fgets(buf, sizeof buf, f) && strcmp(buf, "one\n") == 0);
    pclose(f);
}

const struct test_case cases_at[] = {
    {"at", relative}, {"cwd", current}, {"exec", programs}, {"exec-keeps", kept}, {NULL, NULL},
};
