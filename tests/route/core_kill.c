// SPDX-License-Identifier: Apache-2.0
// Processes that are killed while they have routed files: what they held is free again. Prints `ok NAME` and
// `FAIL NAME: why`. Also what `core.sh` runs without the library preloaded (core_static).
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <time.h>

#include "tests/route/core.h"

static double
now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
verdict(const char *name, bool good, const char *why)
{
    if (good)
        printf("ok kill/%s\n", name);
    else
        printf("FAIL kill/%s: %s\n", name, why);
    fflush(stdout);
}

// A child that writes without a pause through a shared description dies at any moment, maybe with the
// record's lock.
static void
killed_writers(const char *dir)
{
    char path[5000];
    int fd, wrong = 0;
    double slowest = 0;

    snprintf(path, sizeof path, "%s/shared", dir);
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
    for (int round = 0; round < 40; round++) {
        volatile int *count = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        pid_t pid = fork();
        double began;

        if (pid == 0)
            for (;; ++*count)
                if (write(fd, "12345678", 8) != 8)
                    _exit(1);
        while (*count < 20 + round)
            ;
        kill(pid, SIGKILL);
        began = now();
        for (int i = 0; i < 10; i++)
            wrong += write(fd, "abcdefgh", 8) != 8;
        if (now() - began > slowest)
            slowest = now() - began;
        waitpid(pid, NULL, 0);
        wrong += lseek(fd, 0, SEEK_CUR) % 8 != 0;
        munmap((void *)count, 4096);
    }
    verdict("offset-lock", wrong == 0 && slowest < 5, wrong ? "writes failed" : "it took too long");
    close(fd);
}

// More children than the table has slots, all killed: their slots and records are taken back.
static void
killed_children(const char *dir)
{
    char path[5000], c;
    int fd, wrong = 0;

    snprintf(path, sizeof path, "%s/slots", dir);
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
    if (write(fd, "x", 1) != 1)
        wrong++;
    for (int i = 0; i < 1500; i++) {
        pid_t pid = fork();

        if (pid == 0) {
            if (i % 100 == 0 && (open(path, O_RDONLY) < 0 || pread(fd, &c, 1, 0) != 1))
                _exit(1);
            kill(getpid(), SIGKILL);
        }
        if (pid < 0) {
            wrong++;
            continue;
        }
        {
            int status;

            waitpid(pid, &status, 0);
            wrong += !WIFSIGNALED(status);
        }
    }
    verdict("slots", wrong == 0, "a child could not use its files");
    // A lock that a killed child had is free, and the description is this process's alone again.
    {
        pid_t pid = fork();
        int p = open(path, O_RDWR), status;

        if (pid == 0) {
            flock(open(path, O_RDWR), LOCK_EX);
            kill(getpid(), SIGKILL);
        }
        waitpid(pid, &status, 0);
        verdict("flock", flock(p, LOCK_EX | LOCK_NB) == 0, strerrorname_np(errno));
        close(p);
    }
    close(fd);
}

// Many files open at once, and all closed again, again and again: nothing runs out.
static void
many_files(const char *dir)
{
    char path[5000];
    int fds[300], wrong = 0;

    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 300; i++) {
            snprintf(path, sizeof path, "%s/many%d", dir, i);
            fds[i] = open(path, O_RDWR | O_CREAT, 0644);
            wrong += fds[i] < 0;
        }
        for (int i = 0; i < 300; i++)
            wrong += write(fds[i], "x", 1) != 1 || close(fds[i]) != 0;
    }
    verdict("many-files", wrong == 0, "a file could not be used");
}

int
main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    killed_writers(argv[1]);
    killed_children(argv[1]);
    many_files(argv[1]);
    return 0;
}
