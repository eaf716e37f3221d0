// SPDX-License-Identifier: Apache-2.0
// A program that no library can be preloaded into: says what it makes of its standard input and of a path.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int
main(int argc, char **argv)
{
    char buf[64];
    ssize_t n = read(0, buf, sizeof buf);

    printf("input: %s\n", n < 0 ? strerrorname_np(errno) : n == 0 ? "empty" : "bytes");
    for (int i = 1; i < argc; i++) {
        int fd = open(argv[i], O_RDWR | O_CREAT, 0644);

        printf("%d: %s\n", i, fd < 0 ? strerrorname_np(errno) : "opened");
    }
    return 0;
}
