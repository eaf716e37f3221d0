#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Unmodified programs in a directory on a disk and in a routed volume: the same output.
# deadline: 600
. "$(dirname "$0")/lib.sh"
need timeout tar find diff
here=$top_srcdir/tests/route

# both NAME COMMAND...: the directory is added to the command. Standard input is empty.
both() {
    local name=$1
    shift
    fresh
    timeout 100 "$@" "$NATIVE" </dev/null >"$TMP/native.txt" 2>&1
    echo "exit code $?" >>"$TMP/native.txt"
    timeout 200 "${routed[@]}" "$@" "$ROUTED" </dev/null >"$TMP/routed.txt" 2>&1
    echo "exit code $?" >>"$TMP/routed.txt"
    sed -i "s|$NATIVE|ROOT|g" "$TMP/native.txt"
    sed -i "s|$ROUTED|ROOT|g" "$TMP/routed.txt"
    grep -q 'exit code 0' "$TMP/native.txt" || fail "$name/native" "$(tail -n 3 "$TMP/native.txt")"
    same "$name" "$TMP/native.txt" "$TMP/routed.txt"
    check "$name/routed-only" [ ! -e "$ROUTED" ]
}

# maybe PROGRAM NAME COMMAND...: with a program that need not be there.
maybe() {
    local program=$1
    shift
    if command -v "$program" >/dev/null; then
        both "$@"
    else
        skip "$1" "$program is missing (./quickstart --with-tests installs it)"
    fi
}

both bash bash "$here/paths_work.sh"
maybe dash dash dash "$here/paths_work.sh"
both tree bash "$here/paths_work_tree.sh"
maybe git tools bash "$here/paths_work_tools.sh"
maybe perl perl perl "$here/paths_work.pl"
maybe /usr/bin/python3 python /usr/bin/python3 "$here/paths_work.py"
finish
