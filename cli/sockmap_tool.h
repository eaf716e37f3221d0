// SPDX-License-Identifier: Apache-2.0
// What the files of zio-sockmap share.
#ifndef ZIO_CLI_SOCKMAP_TOOL_H
#define ZIO_CLI_SOCKMAP_TOOL_H

#include <stdbool.h>

#include "bpf/sockmap.h"

struct sockmap_args {
    const char *name;  // "zio sockmap up"
    const char *bpffs; // where the programs are pinned
    bool json;
    int argc; // control groups
    char **argv;
};

int sockmap_up(const struct sockmap_args *a);
int sockmap_down(const struct sockmap_args *a);
int sockmap_status(const struct sockmap_args *a);
// For `zio run --sockmap`: puts process `pid` into a control group of its own with the programs attached, and
// leaves a process behind that removes the group when it is empty. `name` opens messages.
int sockmap_keep(const char *name, int pid);

// For `zio doctor`: loads the programs and lets them go. Prints one line: what keeps sockets from being
// joined here (CLI_FAIL), or how they are (CLI_OK).
int sockmap_probe(void);

#endif
