// SPDX-License-Identifier: Apache-2.0
// See route_xexec.h. Between fork and exec nothing may be allocated: all that is needed lies in one mapping.
// The rules for scripts are the kernel's (fs/binfmt_script.c), and so are the errors. Set-user-ID and
// set-group-ID bits mean nothing here, as on a file system that is mounted nosuid.
#include "libzio/route_xexec.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libzio/real.h"
#include "libzio/route_priv.h"
#include "libzio/sys.h"
#include "libzio/zio.h"

#define HEAD 256         // bytes of a program that are looked at: BINPRM_BUF_SIZE
#define SCRIPTS 5        // interpreters of interpreters; more is ELOOP
#define COPY (1u << 20)  // bytes at once
#define ARGS_MAX 1000000 // more would not pass the kernel's limit either

static void *
room(struct route_program *p, size_t n)
{
    char *at = p->room + p->room_used;

    n = (n + 15) & ~(size_t)15;
    if (n > p->room_size - p->room_used)
        return NULL;
    p->room_used += n;
    return at;
}

static int
room_make(struct route_program *p, char *const argv[])
{
    size_t argc = 0;

    while (argv && argv[argc])
        if (++argc > ARGS_MAX)
            return -E2BIG;
    p->room_size = SCRIPTS * ((argc + 8) * sizeof *argv + HEAD + 2 * PATH_MAX) + 2 * PATH_MAX;
    p->room = real.mmap(NULL, p->room_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p->room == MAP_FAILED) {
        p->room = NULL;
        return -ENOMEM;
    }
    return 0;
}

void
route_program_done(struct route_program *p)
{
    if (p->fd >= 0)
        real.close(p->fd);
    if (p->room)
        real.munmap(p->room, p->room_size);
    p->fd = -1;
    p->room = NULL;
}

// ---- where it is ----

struct found {
    struct route_program *p;
    struct fsc_file *file; // NULL: native
    uint64_t vol;
    char text[PATH_MAX]; // of the file
};

// exec's permissions: the file's x bits, not its r bits.
static long
open_in(struct route_target *t, void *arg)
{
    struct found *f = arg;
    struct fsc *fs = t->vol->fs;
    struct fsc_attr attr;
    int flags = t->self ? AT_EMPTY_PATH : 0, err;

    err = fsc.getattr(fs, &t->at, t->path, flags, &attr);
    if (!err && !S_ISREG(attr.mode))
        err = S_ISLNK(attr.mode) ? -ELOOP : -EACCES;
    if (!err)
        err = fsc.access(fs, &t->at, t->path, X_OK, flags | AT_EACCESS);
    if (!err && route_table_written(t->vol->id, attr.ino))
        err = -ETXTBSY;
    f->vol = t->vol->id;
    if (!err)
        err = fsc.ino_open(fs, FSC_ENGINE, attr.ino, O_RDONLY | O_NOATIME, &f->file);
    if (!err)
        route_target_text(t, f->text);
    return err;
}

static long
open_out(int dirfd, const char *path, void *arg)
{
    struct found *f = arg;
    size_t n = strlen(path) + 1;
    char *text;
    long r;

    // (One that is not there may be behind a link into a volume: route_call looks.)
    if (*path && (r = zsys3(SYS_faccessat, dirfd, path, F_OK)) < 0)
        return route_result(r);
    text = n <= PATH_MAX ? room(f->p, n) : NULL;
    if (!text)
        return route_result(-ENAMETOOLONG);
    memcpy(text, path, n);
    f->p->dirfd = dirfd;
    f->p->path = text;
    return 0;
}

int
route_text_busy(struct route_target *t, bool nofollow)
{
    struct fsc_attr attr;
    int flags = (t->self ? AT_EMPTY_PATH : 0) | (nofollow ? AT_SYMLINK_NOFOLLOW : 0);

    if (likely(!route_table_any_program()) || fsc.getattr(t->vol->fs, &t->at, t->path, flags, &attr) != 0 ||
        !S_ISREG(attr.mode) || !route_table_running(t->vol->id, attr.ino) ||
        fsc.ino_access(t->vol->fs, t->at.cred, attr.ino, W_OK) != 0) // which is told first
        return 0;
    return -ETXTBSY;
}

// ---- scripts ----

// The words of "#! name arg": 0, or -ENOEXEC. Cut in place.
static int
script_words(char *head, size_t n, char **name, char **arg)
{
    char *end = memchr(head, '\n', n), *p = head + 2;

    if (!end) { // a line that is cut off is good when at least the name is whole
        char *q = p;

        while (q < head + n && (*q == ' ' || *q == '\t'))
            q++;
        while (q < head + n && *q != ' ' && *q != '\t' && *q)
            q++;
        if (q == head + n && n == HEAD)
            return -ENOEXEC;
        end = head + n;
    }
    while (end > p && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    *end = '\0';
    while (*p == ' ' || *p == '\t')
        p++;
    if (!*p)
        return -ENOEXEC;
    *name = p;
    p += strcspn(p, " \t");
    *arg = NULL;
    if (*p) {
        *p++ = '\0';
        p += strspn(p, " \t");
        *arg = *p ? p : NULL;
    }
    return 0;
}

// The interpreter takes the script's place, its path becomes an argument.
static int
script(struct route_program *p, char *head, size_t n, const char *path, const char **interpreter)
{
    char *name, *arg, *text = room(p, strlen(path) + 1);
    size_t argc = 0, k = 0;
    char **v;
    int err = script_words(head, n, &name, &arg);

    if (err)
        return err;
    while (p->argv && p->argv[argc])
        argc++;
    v = room(p, (argc + 4) * sizeof *v);
    if (!v || !text)
        return -E2BIG;
    strcpy(text, path);
    v[k++] = name;
    if (arg)
        v[k++] = arg;
    v[k++] = text;
    for (size_t i = 1; i < argc; i++)
        v[k++] = p->argv[i];
    v[k] = NULL;
    p->argv = v;
    *interpreter = name;
    return 0;
}

// ---- binaries ----

static int
copy_bytes(struct fsc_file *file, int fd)
{
    char *buf = real.mmap(NULL, COPY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint64_t off = 0;
    ssize_t n = 0, w = 0;

    if (buf == MAP_FAILED)
        return -ENOMEM;
    while (w >= 0 && (n = fsc.pread(file, buf, COPY, off)) > 0) {
        for (ssize_t done = 0; done < n && w >= 0; done += w)
            w = real.write(fd, buf + done, (size_t)(n - done));
        off += (uint64_t)n;
    }
    real.munmap(buf, COPY);
    return n < 0 ? (int)n : w < 0 ? -ENOMEM : 0;
}

int
route_copy_memfd(struct fsc_file *file, const char *path)
{
    const char *slash = strrchr(path, '/');
    int fd = memfd_create(slash && strlen(slash + 1) < 200 ? slash + 1 : "program", MFD_CLOEXEC), err;

    if (fd < 0)
        return -errno;
    err = copy_bytes(file, fd);
    if (err) {
        real.close(fd);
        return err;
    }
    return fd;
}

static int
binary(struct route_program *p, struct fsc_file *file, uint64_t vol, const char *text)
{
    char *exe = room(p, strlen(text) + 1);

    if (!exe)
        return -ENAMETOOLONG;
    p->exe = strcpy(exe, text);
    p->vol = vol;
    p->ino = fsc.file_ino(file);
    p->fd = route_copy_memfd(file, text);
    if (p->fd < 0)
        return p->fd;
    return fcntl(p->fd, F_GETFD) < 0 ? -EBADF : 0; // somebody closes what he does not know
}

// ---- all of it ----

// One step. 1: *path is the interpreter, to be looked for next; 0: found; -errno.
static int
step(struct route_program *p, int dirfd, const char **path, int flags)
{
    struct found f = {.p = p};
    struct route_guard g;
    char *head = room(p, HEAD + 1);
    unsigned how =
        (flags & AT_EMPTY_PATH ? ROUTE_EMPTY : 0u) | (flags & AT_SYMLINK_NOFOLLOW ? ROUTE_NOFOLLOW : 0u);
    ssize_t n;
    long r = route_call(dirfd, *path, how, open_in, open_out, &f);

    if (r < 0)
        return -errno;
    if (!f.file)
        return 0;
    route_enter(&g);
    n = head ? fsc.pread(f.file, head, HEAD, 0) : -E2BIG;
    if (n >= 2 && head[0] == '#' && head[1] == '!') {
        r = script(p, head, (size_t)n, dirfd == AT_FDCWD && **path ? *path : f.text, path);
        r = r ? r : 1;
    } else {
        r = n < 0 ? n : binary(p, f.file, f.vol, f.text);
    }
    fsc.close(f.file);
    route_leave(&g);
    return (int)r;
}

static int
follow(struct route_program *p, int dirfd, const char *path, int flags)
{
    int r = 1;

    for (int i = 0; i <= SCRIPTS && r == 1; i++) {
        r = step(p, dirfd, &path, flags);
        dirfd = AT_FDCWD;
        flags = 0;
    }
    return r == 1 ? -ELOOP : r;
}

int
route_program(int dirfd, const char *path, char *const argv[], int flags, struct route_program *p)
{
    int err;

    *p = (struct route_program){.fd = -1, .dirfd = dirfd, .path = path, .argv = argv};
    err = room_make(p, argv);
    if (!err)
        err = follow(p, dirfd, path, flags);
    if (err)
        route_program_done(p);
    return err;
}

int
route_program_script(struct route_program *p)
{
    char *head = room(p, HEAD + 1);
    const char *interpreter;
    ssize_t n = -1;
    int fd;

    if (p->fd >= 0 || !head || !p->path)
        return 0;
    fd = openat(p->dirfd, p->path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        n = real.read(fd, head, HEAD);
        real.close(fd);
    }
    if (n < 2 || head[0] != '#' || head[1] != '!' || script(p, head, (size_t)n, p->path, &interpreter) != 0)
        return 0;
    return follow(p, AT_FDCWD, interpreter, 0) == 0 && p->fd >= 0;
}
