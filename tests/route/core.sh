#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The trace of each family of calls (core FAMILY) on a disk and on a routed volume: the same, line by line.
# deadline: 300
. "$(dirname "$0")/lib.sh"
need timeout
CORE=$top_builddir/tests/route/core

trace() {
    local dir=$1 file=$2
    shift 2
    rm -f "$file"
    timeout -k 10 60 "$@" "$CORE" "$family" "$dir" "$file" </dev/null >"$file.stdout" 2>"$file.stderr"
    echo "exit code $?" >>"$file"
}

for family in ${FAMILIES:-$("$CORE" --list)}; do
    fresh
    trace "$NATIVE" "$TMP/native.txt" env
    tail -n 2 "$TMP/native.txt" | tr '\n' ' ' | grep -q '^end exit code 0' ||
        fail "$family/native" "the program fails: $(tail -n 3 "$TMP/native.txt")"
    trace "$ROUTED" "$TMP/routed.txt" "${routed[@]}"
    same "$family" "$TMP/native.txt" "$TMP/routed.txt"
    same "$family/stderr" "$TMP/native.txt.stderr" "$TMP/routed.txt.stderr"
    # Nothing of it may lie in the kernel's tree.
    check "$family/routed-only" [ ! -e "$ROUTED" ]
done
finish
