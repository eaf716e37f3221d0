// SPDX-License-Identifier: Apache-2.0
// Takes malloc's address, and is linked as a program at a fixed address (front.sh): malloc's address is a
// stub in the program then, though the program has no malloc.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *(*volatile allocate)(size_t);
static void (*volatile release)(void *);

int
main(void)
{
    allocate = malloc; // an immediate operand, which only a stub can be
    release = free;
    for (int i = 0; i < 20; i++) {
        char *p = allocate(1 << 20), *q = malloc(1 << 20);
        if (!p || !q)
            return 1;
        memset(p, i, 1 << 20);
        memcpy(q, p, 1 << 20);
        if (q[12345] != i)
            return 2;
        release(q);
        free(p);
    }
    puts("done");
    return 0;
}
