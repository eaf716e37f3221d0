// SPDX-License-Identifier: Apache-2.0
// On a terminal, output goes line by line, and reading flushes it: what is left in the buffer at _exit is
// lost. With a directory as its argument, a file in it takes the terminal's place, and gives it back.
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int
main(int argc, char **argv)
{
    char line[100];
    int fd, saved = dup(1);

    printf("line\n");
    printf("before the question ");
    if (fgets(line, sizeof(line), stdin))
        printf("got %s", line);
    if (argc > 1 && chdir(argv[1]) == 0 && (fd = open("out", O_RDWR | O_CREAT | O_TRUNC, 0644)) >= 0) {
        dup2(fd, 1);
        printf("to the file\n");
        fflush(stdout);
        dup2(saved, 1);
        printf("%zd bytes there\n", pread(fd, line, sizeof(line), 0));
    }
    printf("lost");
    _exit(0);
}
