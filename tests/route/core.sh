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
    case $family in fifo | sockets) check "$family/nothing-left" [ "$(ls -A "$VOLUME/nodes")" = "" ] ;; esac
done

# Where few descriptors are allowed, zIO's own are the highest.
fresh
# shellcheck disable=SC2016 # the inner shell's variables
check few-descriptors bash -c 'ulimit -Sn 40; exec "$@"' bash "${routed[@]}" bash -c '
    cd "$1" && for i in 1 2 3 4; do echo "$i" >"f$i" || exit; done
    exec 3<f1 4<f2 5<f3 12<f4 && read -r a <&3 && read -r b <&12 && [ "$a$b" = 14 ]' bash "$ROUTED"

# Nodes whose inodes are gone (a name was taken by a rename, or their maker was killed) go with the next check.
fresh
"${routed[@]}" bash -c "mkfifo $ROUTED/p $ROUTED/q && echo >$ROUTED/file && for i in p q; do : <>$ROUTED/\$i; done"
check nodes-made [ "$(find "$VOLUME/nodes" -type p | wc -l)" = 2 ]
check node-taken "${routed[@]}" mv "$ROUTED/file" "$ROUTED/q"
check node-fsck "$ZIO_FS_TOOL" fsck --repair "local:$VOLUME"
check nodes-left [ "$(find "$VOLUME/nodes" -type p | wc -l)" = 1 ]
finish
