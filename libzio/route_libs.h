// SPDX-License-Identifier: Apache-2.0
// Libraries in volumes that a program or a library needs (DT_NEEDED): the dynamic linker looks for them
// natively, and so has to be given them before it looks (route_libs.c).
#ifndef ZIO_ROUTE_LIBS_H
#define ZIO_ROUTE_LIBS_H

#include "libzio/route.h"

#define ROUTE_LIBS_MAX 64
#define ROUTE_LIB_NAME 128

struct route_lib {
    char name[ROUTE_LIB_NAME]; // as it is needed
    char path[PATH_MAX];       // the program's way to it
    int parent;                // which needs it; -1: the file that was asked about
};
// Large, and mapped: nothing is allocated, since it may be between fork and exec.
struct route_libs {
    int n;
    struct route_lib lib[ROUTE_LIBS_MAX]; // who needs comes before what is needed
};

// What of the libraries that `file` needs, and those in turn, is found in volumes, by its RPATH or RUNPATH
// and `library_path` (LD_LIBRARY_PATH's value, or NULL). NULL: nothing. For route_libs_free.
struct route_libs *route_libs_find(const char *file, const char *library_path);
void route_libs_free(struct route_libs *l);
// Does the value of LD_LIBRARY_PATH name a directory in a volume?
bool route_libs_path(const char *library_path);
// The library without a slash in its name, in a directory of a volume that LD_LIBRARY_PATH names; false:
// elsewhere.
bool route_libs_named(const char *name, const char *library_path, char out[PATH_MAX]);

#endif
