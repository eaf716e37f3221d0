// SPDX-License-Identifier: Apache-2.0
// What a routed path is refused, with which errno (paths_refuse.sh counts the refusals). Arguments: a routed
// directory, and a library to load that lies in it (or none).
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/acct.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/un.h>
#include <unistd.h>

#include <errno.h>

static int bad;

static void
expect(const char *call, long result, int wanted)
{
    int got = result < 0 ? errno : 0;

    if (got == wanted) {
        printf("ok refuse/%s\n", call);
    } else {
        printf("FAIL refuse/%s: %s, wanted %s\n", call, strerrorname_np(got), strerrorname_np(wanted));
        bad = 1;
    }
}

static void
handles(void)
{
    struct {
        struct file_handle h;
        unsigned char room[128];
    } h = {.h.handle_bytes = 128};
    int id, fd = open("f", O_RDONLY), in = inotify_init1(0), fan = fanotify_init(FAN_CLASS_NOTIF, O_RDONLY);

    expect("name_to_handle_at", name_to_handle_at(AT_FDCWD, "f", &h.h, &id, 0), EOPNOTSUPP);
    expect("name_to_handle_at-none", name_to_handle_at(AT_FDCWD, "none", &h.h, &id, 0), ENOENT);
    expect("open_by_handle_at", open_by_handle_at(fd, &h.h, O_RDONLY), ESTALE);
    expect("inotify", inotify_add_watch(in, "f", IN_MODIFY), EOPNOTSUPP);
    expect("inotify-none", inotify_add_watch(in, "none", IN_MODIFY), ENOENT);
    expect("inotify-onlydir", inotify_add_watch(in, "f", IN_MODIFY | IN_ONLYDIR), ENOTDIR);
    if (fan >= 0)
        expect("fanotify", fanotify_mark(fan, FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, "f"), EOPNOTSUPP);
    close(fan);
    close(in);
    close(fd);
}

static void
mounts(void)
{
    expect("mount", mount("none", "d", "tmpfs", 0, NULL), EOPNOTSUPP);
    expect("mount-none", mount("none", "none", "tmpfs", 0, NULL), ENOENT);
    expect("umount", umount("d"), EINVAL);
    expect("swapon", swapon("f", 0), EINVAL);
    expect("acct", acct("f"), EIO);
    expect("acct-dir", acct("d"), EACCES);
    expect("chroot", chroot("d"), EPERM);
    expect("chroot-file", chroot("f"), ENOTDIR);
}

// Names of sockets are no refusal any more; what is wrong with them is.
static void
sockets(void)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "sock"};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    strcpy(un.sun_path, "f");
    expect("bind-taken", bind(fd, (struct sockaddr *)&un, sizeof(un)), EADDRINUSE);
    expect("connect-file", connect(fd, (struct sockaddr *)&un, sizeof(un)), ECONNREFUSED);
    strcpy(un.sun_path, "none");
    expect("connect-none", connect(fd, (struct sockaddr *)&un, sizeof(un)), ENOENT);
    close(fd);
}

static void
library(const char *path)
{
    void *lib = dlopen(path, RTLD_NOW), *again = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
    int (*answer)(void) = lib ? (int (*)(void))(uintptr_t)dlsym(lib, "answer") : NULL;

    if (lib && lib == again && answer && answer() == 42) {
        printf("ok dlopen\n");
    } else {
        printf("FAIL dlopen: %s\n", lib ? "not the same, or without its function" : dlerror());
        bad = 1;
    }
    if (dlopen("./none.so", RTLD_NOW)) {
        printf("FAIL dlopen/none: it succeeds\n");
        bad = 1;
    }
}

int
main(int argc, char **argv)
{
    if (argc < 2 || chdir(argv[1]) < 0 || mkdir("d", 0755) < 0)
        return 2;
    close(open("f", O_WRONLY | O_CREAT, 0644));
    handles();
    mounts();
    sockets();
    if (argc > 2)
        library(argv[2]);
    return bad;
}
