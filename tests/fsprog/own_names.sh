#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A program with functions that are named as the C library's: the library in it never takes them for these.
# deadline: 120

if [ "${1:-}" = work ]; then exec "$top_builddir/tests/fsprog/own_names"; fi
. "$(dirname "$0")/lib.sh"
export top_builddir
three_ways 30
finish
