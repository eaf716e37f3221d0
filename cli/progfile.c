// SPDX-License-Identifier: Apache-2.0
// Looks at a program's file before it is run: whether the dynamic linker will preload a library into it, and
// if not, why. Follows #! lines as the kernel does. The file's bytes are input: every offset in them is
// checked.
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "cli/launch.h"

#define LOADER "ld-linux-x86-64.so.2"
#define MAX_SCRIPTS 5   // as deep as the kernel follows #! lines (BINPRM_MAX_RECURSION)
#define SCRIPT_LINE 256 // the kernel's BINPRM_BUF_SIZE

static int __attribute__((format(printf, 4, 5))) say(int code, char *why, size_t len, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(why, len, fmt, ap);
    va_end(ap);
    return code;
}

// 0, or why the kernel would not execute the file.
static int
executable(const char *path)
{
    struct stat st;

    if (stat(path, &st) != 0)
        return -errno;
    if (S_ISDIR(st.st_mode))
        return -EISDIR;
    if (!S_ISREG(st.st_mode))
        return -EACCES;
    return access(path, X_OK) == 0 ? 0 : -errno;
}

int
progfile_resolve(const char *name, char out[PATH_MAX])
{
    const char *path = getenv("PATH");
    char candidate[PATH_MAX];
    int rc = -ENOENT;

    snprintf(out, PATH_MAX, "%s", name);
    if (!*name)
        return -ENOENT;
    if (strlen(name) >= PATH_MAX)
        return -ENAMETOOLONG;
    if (strchr(name, '/'))
        return executable(name);
    for (const char *dir = path ? path : "/bin:/usr/bin"; dir;) {
        size_t len = strcspn(dir, ":");
        int n = len ? snprintf(candidate, sizeof candidate, "%.*s/%s", (int)len, dir, name)
                    : snprintf(candidate, sizeof candidate, "./%s", name);

        if (n > 0 && (size_t)n < sizeof candidate) {
            int err = executable(candidate);

            if (err == 0 || (err == -EACCES && rc == -ENOENT))
                snprintf(out, PATH_MAX, "%s", candidate);
            if (err == 0)
                return 0;
            if (err == -EACCES)
                rc = -EACCES; // a later directory may still have one that can be run
        }
        dir = dir[len] ? dir + len + 1 : NULL;
    }
    return rc;
}

// Whether executing the file gives it rights that the caller does not have: then the dynamic linker ignores a
// preloaded library outside the system's directories.
static bool
gains_rights(int fd, char *why, size_t len)
{
    struct statvfs fs;
    struct stat st;
    char caps[64];

    if (fstat(fd, &st) != 0 || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
        return false;
    if (fstatvfs(fd, &fs) == 0 && (fs.f_flag & ST_NOSUID))
        return false;
    if ((st.st_mode & S_ISUID) && st.st_uid != getuid())
        return say(1, why, len, "is set-user-ID: the system lets no library be preloaded into it");
    if ((st.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) && st.st_gid != getgid())
        return say(1, why, len, "is set-group-ID: the system lets no library be preloaded into it");
    if (getuid() != 0 && fgetxattr(fd, "security.capability", caps, sizeof caps) > 0)
        return say(1, why, len, "has file capabilities: the system lets no library be preloaded into it");
    return false;
}

static bool
is_loader_itself(int fd)
{
    struct stat own, loader;

    return fstat(fd, &own) == 0 && stat("/lib64/" LOADER, &loader) == 0 && own.st_dev == loader.st_dev &&
           own.st_ino == loader.st_ino;
}

// Reads the PT_INTERP string of a 64-bit ELF file. 1: it has one; 0: none, or the headers make no sense.
static int
read_interp(int fd, const Elf64_Ehdr *eh, char out[PATH_MAX])
{
    for (unsigned i = 0; i < eh->e_phnum; i++) {
        Elf64_Phdr ph;
        off_t at = (off_t)(eh->e_phoff + (uint64_t)i * eh->e_phentsize);

        if (eh->e_phentsize != sizeof ph || pread(fd, &ph, sizeof ph, at) != (ssize_t)sizeof ph)
            return 0;
        if (ph.p_type != PT_INTERP)
            continue;
        if (ph.p_filesz == 0 || ph.p_filesz >= PATH_MAX)
            return 0;
        memset(out, 0, PATH_MAX);
        return pread(fd, out, ph.p_filesz, (off_t)ph.p_offset) == (ssize_t)ph.p_filesz;
    }
    return 0;
}

static int
check_elf(int fd, const unsigned char *head, size_t n, char *why, size_t len)
{
    char interp[PATH_MAX];
    const char *base;
    Elf64_Ehdr eh;

    if (n > EI_CLASS && head[EI_CLASS] != ELFCLASS64)
        return say(1, why, len, "is a 32-bit program: the library is for 64-bit x86 programs");
    if (n < sizeof eh)
        return 0; // execve will say what is wrong with it
    memcpy(&eh, head, sizeof eh);
    if (eh.e_machine != EM_X86_64)
        return say(1, why, len, "is not for x86-64: the library is for 64-bit x86 programs");
    if (read_interp(fd, &eh, interp) == 0)
        return is_loader_itself(fd)
                   ? 0
                   : say(1, why, len, "is statically linked: no library can be preloaded into it");
    base = strrchr(interp, '/');
    base = base ? base + 1 : interp;
    if (strcmp(base, LOADER) != 0)
        return say(1, why, len, "is loaded by %.100s: the library needs glibc's %s", base, LOADER);
    return 0;
}

bool
progfile_is_elf(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    char head[SELFMAG];
    bool elf = fd >= 0 && read(fd, head, sizeof head) == SELFMAG && memcmp(head, ELFMAG, SELFMAG) == 0;

    if (fd >= 0)
        close(fd);
    return elf;
}

// Takes the interpreter out of a #! line. False if there is none.
static bool
script_interpreter(char *line, char out[PATH_MAX])
{
    char *start = line + 2 + strspn(line + 2, " \t");

    start[strcspn(start, " \t\n")] = '\0';
    snprintf(out, PATH_MAX, "%s", start);
    return *start != '\0';
}

int
progfile_check(const char *path, char *why, size_t len)
{
    char current[PATH_MAX];

    snprintf(current, sizeof current, "%s", path);
    for (int depth = 0; depth <= MAX_SCRIPTS; depth++) {
        unsigned char head[SCRIPT_LINE + 1] = {0};
        int fd = open(current, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        ssize_t n;
        int rc;

        if (fd < 0)
            return 0; // may be run without being readable
        n = read(fd, head, SCRIPT_LINE);
        if (n >= SELFMAG && memcmp(head, ELFMAG, SELFMAG) == 0) {
            rc = gains_rights(fd, why, len) ? 1 : check_elf(fd, head, (size_t)n, why, len);
            close(fd);
            return rc;
        }
        close(fd);
        if (n < 2 || memcmp(head, "#!", 2) != 0)
            return 0; // without #!, /bin/sh runs it
        if (!script_interpreter((char *)head, current))
            return 0;
        rc = executable(current);
        if (rc < 0)
            return say(rc, why, len, "has %s as its interpreter (#!): %s", current, strerror(-rc));
    }
    return 0;
}
