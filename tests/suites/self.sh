#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# This project built in the volume: autoreconf, configure, make; each object and library has to be, byte for byte, what a build on the
# disk makes. Whole: all of it, its unit tests, an installation and a release, too; else the engines' libraries.
# deadline: 300

# products DIR KIND: their sums as results, so that a different one is a missing one.
products() {
    find "$1" -name '*.o' -type f | LC_ALL=C sort | while IFS= read -r f; do
        echo "ok object/$(sha256sum <"$f" | cut -c 1-16)/${f#./}"
    done >>"$RESULTS"
}

# step NAME COMMAND...
step() {
    local name=$1
    shift
    if "$@" >"../$name.out" 2>&1; then
        echo "ok $name" >>"$RESULTS"
    else
        echo "bad $name" >>"$RESULTS"
        echo "== $name"
        tail -n 30 "../$name.out"
        return 1
    fi
}

work() {
    set -e
    export CFLAGS='-O1 -g0' TMPDIR=$PWD/tmp
    mkdir tmp src build
    (cd "$SOURCES" && tar -cf - --exclude='./build*' --exclude=./.git --exclude=./autom4te.cache .) | tar -xf - -C src
    cd src
    step autoreconf autoreconf -fi
    mkdir build
    cd build
    step configure ../configure --prefix="$PWD/to"
    if [ "$WHOLE" = yes ]; then
        step make make -j2
        step again make -q
        products .
        step install make install
        (cd to && find . | LC_ALL=C sort | sed 's/^/ok installed\//' >>"$RESULTS")
        step unit-programs make -j2 tests/unit/unit-policy tests/unit/unit-segmap
        step dist make dist
        tar -tzf zio-*.tar.gz | LC_ALL=C sort | sed 's/^/ok released\//' >>"$RESULTS"
        step clean make clean
        (find . | LC_ALL=C sort | sed 's/^/ok left\//' >>"$RESULTS")
    else
        step common make -j2 $SLICE
        products .
    fi
}

SLICE='meta/libzmeta.la chunk/libzchunk.la'
export SLICE
if [ "${1:-}" = work ]; then work; exit; fi
. "$(dirname "$0")/lib.sh"
need autoreconf automake make gcc
export SOURCES=$top_srcdir
roads 120 1800
finish
