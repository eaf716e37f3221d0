// SPDX-License-Identifier: Apache-2.0
// Every name of the C library that has to do with files or descriptors, and how a routed file fares with it.
// This is the one list: a test compares it with what the running C library exports and with what libzio.so
// exports (tests/route/paths_table.sh).
#ifndef ZIO_ROUTE_NAMES_H
#define ZIO_ROUTE_NAMES_H

#include <stddef.h>

enum route_fare {
    ROUTE_HOOKED,  // libzio.so has a function of that name
    ROUTE_COVERED, // what it calls, or is given, is ours: `why` says what
    ROUTE_NATIVE,  // the C library's alone: `why` says for what reason that is right, or what is told instead
};

struct route_names {
    enum route_fare fare;
    const char *why;
    const char *names; // separated by spaces
};
extern const struct route_names route_names[];
extern const size_t route_names_count;

#endif
