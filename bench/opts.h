// SPDX-License-Identifier: Apache-2.0
// The command line of zio-bench.
#ifndef ZIO_BENCH_OPTS_H
#define ZIO_BENCH_OPTS_H

// Fills `opt` (bench.h). Prints a message and exits with EX_USAGE (64) on a bad command line.
void opts_parse(int argc, char **argv);

#endif
