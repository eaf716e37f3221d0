// SPDX-License-Identifier: Apache-2.0
// realpath and getcwd, pathconf and statfs, what /proc and /dev say of routed descriptors, temporary names.
#include <limits.h>
#include <sys/ipc.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>

#include "tests/route/paths.h"

static void
real(const char *path)
{
    char buf[PATH_MAX] = "untouched";
    const char *r;

    errno = 0;
    r = realpath(path, buf);
    trace("realpath(%s) = %s %s, buffer %s", path, r ? r : "NULL", r ? "" : strerrorname_np(errno), buf);
    r = canonicalize_file_name(path);
    trace("canonicalize_file_name(%s) = %s", path, r ? r : "NULL");
}

static void
places(void)
{
    static const char *const paths[] = {".",    "d/e",         "d//e/./..", "l",      "l/",  "l2/e",
                                        "none", "none/x",      "f",         "f/",     "f/.", "f/..",
                                        "loop", "d/none/../e", "dangling",  "d/up/f", "",    "d/e/../../f"};
    char buf[PATH_MAX];

    T(mkdir("d", 0755));
    T(mkdir("d/e", 0755));
    put("f", "x");
    T(symlink("d/e", "l"));
    T(symlink(P("d"), "l2"));
    T(symlink("loop", "loop"));
    T(symlink("none", "dangling"));
    T(symlink("..", "d/up"));
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        real(paths[i]);
    real(P("d/up/l/.."));
    S(getcwd(buf, sizeof(buf)));
    S(getcwd(buf, 3));
    S(getcwd(buf, 0));
    S(getcwd(NULL, 0));
    T(chdir("l"));
    S(getcwd(buf, sizeof(buf)));
    T(rename(P("d"), P("renamed")));
    S(getcwd(buf, sizeof(buf)));
    T(rename(P("renamed"), P("d")));
    T(chdir(".."));
    S(getcwd(buf, sizeof(buf)));
    setenv("PWD", P("l2"), 1);
    S(get_current_dir_name());
    setenv("PWD", "/", 1);
    S(get_current_dir_name());
    T(chdir(root));
}

static void
limits(void)
{
    static const struct {
        const char *name;
        int which;
    } conf[] = {{"LINK_MAX", _PC_LINK_MAX},   {"NAME_MAX", _PC_NAME_MAX}, {"PATH_MAX", _PC_PATH_MAX},
                {"PIPE_BUF", _PC_PIPE_BUF},   {"NO_TRUNC", _PC_NO_TRUNC}, {"CHOWN", _PC_CHOWN_RESTRICTED},
                {"SYMLINKS", _PC_2_SYMLINKS}, {"BITS", _PC_FILESIZEBITS}, {"MAX_CANON", _PC_MAX_CANON},
                {"SYNC_IO", _PC_SYNC_IO},     {"ASYNC", _PC_ASYNC_IO},    {"nonsense", 9999}};
    struct statvfs v;
    struct statfs s;
    int fd = open("f", O_RDONLY);

    for (size_t i = 0; i < sizeof(conf) / sizeof(conf[0]); i++) {
        errno = 0;
        trace("pathconf %s %ld %d", conf[i].name, pathconf("f", conf[i].which), errno);
        errno = 0;
        trace("fpathconf %s %ld %d", conf[i].name, fpathconf(fd, conf[i].which), errno);
    }
    T(pathconf("none", _PC_NAME_MAX));
    T(statvfs("f", &v));
    trace("namemax %lu", v.f_namemax);
    T(v.f_blocks > 0 && v.f_bavail <= v.f_blocks && v.f_files > 0);
    T(fstatvfs(fd, &v));
    T(statfs("f", &s));
    T(s.f_blocks > 0 && s.f_namelen == 255);
    T(fstatfs(fd, &s));
    T(statfs("none", &s));
    T(isatty(fd));
    S(ttyname(fd));
    close(fd);
}

void
family_misc(void)
{
    places();
    limits();
    T(ftok("f", 1) == ftok("f", 1));
    T(ftok("none", 1));
}

void
family_magic(void)
{
    char buf[PATH_MAX], link[64];
    struct stat st;
    int fd, dir = open(".", O_RDONLY | O_DIRECTORY), out;
    long n;

    put("f", "hello");
    fd = open("f", O_RDWR);
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, buf, sizeof(buf) - 1);
    buf[n > 0 ? n : 0] = '\0';
    trace("readlink fd: %ld %s", n < 0 ? n : 1, buf);
    T(stat(link, &st));
    show_stat("stat fd", &st);
    T(chmod(link, 0640));
    show("f");
    T(access(link, R_OK));
    T(truncate(link, 3));
    show_file("f");
    S(realpath(link, buf));
    out = open(link, O_RDONLY);
    T(out >= 0);
    n = read(out, buf, sizeof(buf));
    trace_bytes("opened again", buf, n);
    close(out);
    snprintf(link, sizeof(link), "/proc/%d/fd/%d", (int)getpid(), dir);
    n = readlink(link, buf, sizeof(buf) - 1);
    buf[n > 0 ? n : 0] = '\0';
    trace("readlink dir: %s", buf);
    snprintf(link, sizeof(link), "/proc/self/fd/%d/f", dir);
    T(stat(link, &st));
    show_stat("stat dir/f", &st);
    n = readlink("/proc/self/cwd", buf, sizeof(buf) - 1);
    buf[n > 0 ? n : 0] = '\0';
    trace("readlink cwd: %s", buf);
    T(stat("/proc/self/cwd/f", &st));
    T(unlink("f"));
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, buf, sizeof(buf) - 1);
    buf[n > 0 ? n : 0] = '\0';
    trace("readlink unlinked: %s", buf);
    T(stat(link, &st));
    trace("nlink %ld", (long)st.st_nlink);
    close(fd);
    // What was made without a name gets one through its link.
    fd = open(".", O_TMPFILE | O_RDWR, 0600);
    T(fd >= 0);
    T(write(fd, "named", 5));
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    T(linkat(AT_FDCWD, link, AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
    show_file("named");
    close(fd);
    // The shell's names.
    fd = open("named", O_RDONLY);
    T(dup2(fd, 0));
    close(fd);
    T(stat("/dev/stdin", &st));
    show_stat("/dev/stdin", &st);
    out = open("/dev/stdin", O_RDONLY);
    n = read(out, buf, sizeof(buf));
    trace_bytes("/dev/stdin", buf, n);
    close(out);
    T(stat("/dev/fd/0", &st));
    close(dir);
}

static void
made(const char *what, int fd, const char *path, const char *pattern)
{
    struct stat st;

    trace("%s: %s, same length %d, prefix %d", what, fd < 0 ? strerrorname_np(errno) : "made",
          strlen(path) == strlen(pattern), strncmp(path, pattern, strcspn(pattern, "X")) == 0);
    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0)
        show_stat(what, &st);
    trace("flags %o cloexec %d written %ld", (unsigned)fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND),
          fcntl(fd, F_GETFD), (long)write(fd, "x", 1));
    close(fd);
}

void
family_temp(void)
{
    char buf[64], *p;
    FILE *f;
    int fd;

#define TEMP(call, pattern) (strcpy(buf, pattern), fd = (call), made(#call, fd, buf, pattern))
    TEMP(mkstemp(buf), "aXXXXXX");
    TEMP(mkstemps(buf, 2), "bXXXXXX.c");
    TEMP(mkostemp(buf, O_APPEND | O_CLOEXEC), "cXXXXXX");
    TEMP(mkostemps(buf, 3, O_CLOEXEC), "dXXXXXX.cc");
    TEMP(mkstemp(buf), "aXXXXX");
    TEMP(mkstemp(buf), "none/aXXXXXX");
    strcpy(buf, "dirXXXXXX");
    p = mkdtemp(buf);
    T(p == buf);
    strcpy(buf + 9, "");
    T(chmod(buf, 0700));
    T(rmdir(buf));
    strcpy(buf, "none/dirXXXXXX");
    S(mkdtemp(buf));
    strcpy(buf, "nameXXXXXX");
    p = mktemp(buf);
    T(p == buf && strlen(buf) == 10 && access(buf, F_OK) < 0);
    p = tempnam(root, "pre");
    T(p && strncmp(p, P("pre"), strlen(P("pre"))) == 0);
    free(p);
    f = tmpfile();
    T(f && fputs("x", f) >= 0 && fclose(f) == 0);
}
