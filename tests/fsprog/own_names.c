// SPDX-License-Identifier: Apache-2.0
// A program with functions of its own that are named as the C library's: gnulib's way for what an old C
// library lacks (a system call by number), and a name that means something else here. The linker exports
// them, so that a library's call by name would come here. In the current directory: renames, looks and reads
// through them; prints what came out.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

EXPORT int renameat2(int dirfd, const char *path, int dirfd2, const char *path2, unsigned flags);
EXPORT int access(const char *path, int mode);

static int strangers; // calls of names that only we are to call
static int depth;     // of renameat2 in itself

int
renameat2(int dirfd, const char *path, int dirfd2, const char *path2, unsigned flags)
{
    long r;

    if (++depth > 10) {
        puts("renameat2 came back");
        fflush(stdout);
        _exit(1);
    }
    r = syscall(SYS_renameat2, dirfd, path, dirfd2, path2, flags);
    depth--;
    return (int)r;
}

int
access(const char *path, int mode)
{
    (void)path, (void)mode;
    strangers++;
    errno = EXDEV;
    return -1;
}

static void
say(const char *what, long r)
{
    printf("%s: %s\n", what, r < 0 ? strerror(errno) : "done");
}

int
main(void)
{
    int fd = open("a", O_CREAT | O_EXCL | O_RDWR, 0644);

    say("open", fd);
    say("write", write(fd, "x", 1));
    say("renameat2", renameat2(AT_FDCWD, "a", AT_FDCWD, "b", 1));
    say("renameat2 without its file", renameat2(AT_FDCWD, "a", AT_FDCWD, "b", 0));
    say("rename", rename("b", "c"));
    say("renameat", renameat(AT_FDCWD, "c", AT_FDCWD, "d"));
    say("access by number", syscall(SYS_access, "d", R_OK));
    say("access of nothing by number", syscall(SYS_access, "c", R_OK));
    say("faccessat", faccessat(AT_FDCWD, "d", W_OK, 0));
    printf("%d calls of our access\n", strangers);
    say("unlink", unlink("d"));
    return 0;
}
