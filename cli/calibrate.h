// SPDX-License-Identifier: Apache-2.0
// What copying and moving pages cost on this machine, measured in a few milliseconds.
#ifndef ZIO_CLI_CALIBRATE_H
#define ZIO_CLI_CALIBRATE_H

struct calibration {
    double hot_ns_per_byte;   // memcpy of 256 KiB that is in the cache
    double fresh_ns_per_byte; // memcpy of 1 MiB to never-touched memory: the page faults are most of it
    double move_ns;           // moving 64 pages of 4 KiB by page table (mremap), once
};

// 0, or -errno (out of memory).
int calibrate(struct calibration *out);

#endif
