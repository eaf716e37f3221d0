// SPDX-License-Identifier: Apache-2.0
// Measures this machine's constants for the cost model, within about a millisecond, once a process.
#ifndef ZIO_CALIBRATE_H
#define ZIO_CALIBRATE_H

void calibrate(void);        // under the lock, when the pool is registered
void calibrate_faults(void); // without the lock, when the helper runs

#endif
