#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Who serves large allocations: the library, unless another allocator is before it. A program at a fixed address that
# takes malloc's address (Debian's python3 is one) has no allocator of its own.
build=${abs_top_builddir:-$(pwd)}
lib=${ZIO_TEST_PRELOAD:-$build/libzio/.libs/libzio.so}
jemalloc=/usr/lib/x86_64-linux-gnu/libjemalloc.so.2
tmp=$(mktemp -d) && trap 'rm -rf "$tmp"' EXIT
failed=0

# case NAME PRELOAD yes|no
case_of() {
    rm -f "$tmp/stats"
    if ! LD_PRELOAD=$2 ZIO_STATS=$tmp/stats "$build/tests/programs/front" >"$tmp/out"; then
        echo "FAIL $1: the program failed"
        failed=1
        return
    fi
    served=$(sed -n 's/.*"arena_allocs":\([0-9]*\).*/\1/p' "$tmp/stats")
    if { [ "$3" = yes ] && [ "${served:-0}" -ge 20 ]; } || { [ "$3" = no ] && [ "${served:-1}" = 0 ]; }; then
        echo "ok $1"
    else
        echo "FAIL $1: $served allocations came from the arena"
        failed=1
    fi
}

case_of fixed_address "$lib" yes
if [ -e $jemalloc ]; then
    case_of allocator_behind "$lib:$jemalloc" yes
    case_of allocator_in_front "$jemalloc:$lib" no
else
    echo "skip allocator_in_front: libjemalloc.so.2 is not installed"
fi
exit $failed
