#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What the kernel does with the bytes of routed files: mappings, sendfile and its kin, programs. The same on a disk and in a
# volume, of small chunks (so that each file is several) and of ordinary ones.
# deadline: 300
. "$(dirname "$0")/lib.sh"
need timeout
HERE=$(cd "$(dirname "$0")" && pwd)
BUILT=$top_builddir/tests/route

# sound NAME: nothing is wrong with the volume, and every sum fits.
sound() {
    local tool
    for tool in fsck scrub; do
        "$ZIO_FS_TOOL" "$tool" "local:$VOLUME" >"$TMP/$tool.out" 2>&1
        check "$1/$tool" [ $? = 0 ] || cat "$TMP/$tool.out"
    done
}

# traces SIZE: all traces, with chunks of that size.
traces() {
    local program
    rm -rf "$NATIVE" "$VOLUME"
    mkdir "$NATIVE"
    "$ZIO_FS_TOOL" format --chunk-size "$1" "local:$VOLUME" >"$TMP/format.out" 2>&1 || { fail format "$(cat "$TMP/format.out")"; return; }
    for program in map_cases map_copy; do
        timeout 60 "$BUILT/$program" "$NATIVE" >"$TMP/native.txt" 2>&1
        timeout 120 "${routed[@]}" "$BUILT/$program" "$ROUTED" >"$TMP/routed.txt" 2>&1
        same "$program/$1" "$TMP/native.txt" "$TMP/routed.txt"
    done
    mkdir "$TMP/n1-$1" "$TMP/n2-$1" "$NATIVE/exec"
    "${routed[@]}" mkdir "$ROUTED/exec"
    timeout 60 bash "$HERE/map_exec_steps.sh" "$NATIVE/exec" "$TMP/n1-$1" >"$TMP/native.txt" 2>&1
    timeout 120 "${routed[@]}" bash "$HERE/map_exec_steps.sh" "$ROUTED/exec" "$TMP/n2-$1" >"$TMP/routed.txt" 2>&1
    same "exec/$1" "$TMP/native.txt" "$TMP/routed.txt"
    sound "traces/$1"
}

# random SEED STEPS
random() {
    check "random/$1" timeout 100 "${routed[@]}" "$BUILT/map_random" "$ROUTED" "$1" "$2"
}

traces 64K
seed=${ZIO_TEST_SEED:-$((RANDOM * 32768 + RANDOM))}
echo "seed $seed"
check random/native timeout 60 "$BUILT/map_random" "$NATIVE" 1 500
for s in 1 2 "$seed"; do
    random "$s" 600
done
check threads/native timeout 60 "$BUILT/map_threads" "$NATIVE" "$seed"
check threads timeout 100 "${routed[@]}" "$BUILT/map_threads" "$ROUTED" "$seed"
# Every copy out of and into mappings elided, where that can be.
rm -rf "$NATIVE"
mkdir "$NATIVE"
"$BUILT/map_cases" "$NATIVE" >"$TMP/native.txt" 2>&1
"${routed[@]}" mkdir "$ROUTED/forced"
timeout 120 env ZIO_POLICY=always ZIO_THRESHOLD=4096 "${routed[@]}" "$BUILT/map_cases" "$ROUTED/forced" >"$TMP/routed.txt" 2>&1
same map_cases/elided "$TMP/native.txt" "$TMP/routed.txt"
sound random
traces 64M
finish
