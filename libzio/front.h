// SPDX-License-Identifier: Apache-2.0
// Which definition of a function the program's calls reach.
#ifndef ZIO_FRONT_H
#define ZIO_FRONT_H

// NULL when it is this library's; otherwise the file that comes before us, or "nobody". Not for the helper.
const char *front_of(const char *name);

#endif
