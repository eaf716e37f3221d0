// SPDX-License-Identifier: Apache-2.0
// Copies known amounts from known functions, for the test of `zio profile`; its argument says how it ends.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define BIG (1u << 20)
#define SMALL (16u << 10)

static volatile size_t big = BIG, small = SMALL, tiny = 1000; // not known when compiling
static char *src, *dst;

__attribute__((noinline)) static void
copies_big(void)
{
    for (int i = 0; i < 10; i++)
        memcpy(dst, src, big);
}

__attribute__((noinline)) static void
copies_small(void)
{
    for (int i = 0; i < 64; i++)
        memmove(dst + 1, dst, small);
}

__attribute__((noinline)) static void
copies_tiny(void)
{
    for (int i = 0; i < 1000; i++)
        memcpy(dst, src, tiny);
}

__attribute__((noinline)) static void
copies_mempcpy(void)
{
    if (mempcpy(dst, src, small) != dst + small)
        abort();
}

// Copies from 2^depth different call stacks.
__attribute__((noinline)) static void
copies_from_everywhere(unsigned path, int depth)
{
    // The marks keep the compiler from merging the two calls and from making them jumps.
    if (depth == 0) {
        memcpy(dst, src, small);
    } else if (path & 1) {
        copies_from_everywhere(path >> 1, depth - 1);
        __asm__ volatile("# odd" : : : "memory");
    } else {
        copies_from_everywhere(path >> 1, depth - 1);
        __asm__ volatile("# even" : : : "memory");
    }
}

static int
in_child(void (*copies)(void))
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        copies();
        _exit(0); // no exit handler runs
    }
    return waitpid(pid, &status, 0) == pid && status == 0 ? 0 : 1;
}

int
main(int argc, char **argv)
{
    const char *end = argc > 1 ? argv[1] : "0";

    src = calloc(1, BIG);
    dst = calloc(1, BIG);
    if (!src || !dst)
        return 1;
    if (strcmp(end, "many") == 0) {
        for (unsigned path = 0; path < 1u << 14; path++)
            copies_from_everywhere(path, 14);
        return 0;
    }
    copies_big();
    copies_small();
    copies_tiny();
    copies_mempcpy();
    if (in_child(copies_mempcpy) != 0)
        return 1;
    if (strcmp(end, "kill") == 0)
        raise(SIGKILL);
    if (strcmp(end, "wait") == 0) {
        puts("ready");
        fflush(stdout);
        while (getchar() != EOF)
            ;
    }
    _exit(atoi(end));
}
