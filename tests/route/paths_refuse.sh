#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a routed path is refused: the errno, that it is counted, and that nothing was done behind the refusal. And loading
# of a library that lies in a volume, by its chunk and (where it has several) by a copy in memory.
# deadline: 60
. "$(dirname "$0")/lib.sh"
need timeout
[ "$(id -u)" = 0 ] || skip_all "mount, chroot and swapon tell others EPERM before they look at the path"
fresh
so=$top_builddir/tests/route/.libs/paths_library.so
program=$top_builddir/tests/route/paths_refuse

# run NAME DIRECTORY: the program's verdicts are ours.
run() {
    local line
    "${routed[@]}" mkdir "$2" && "${routed[@]}" cp "$so" "$2/library.so" || fail "$1/copy" "$?"
    timeout 30 "${routed[@]}" "ZIO_STATS=$TMP/stats.$1" "$program" "$2" ./library.so >"$TMP/out" 2>&1
    [ $? = 0 ] || fail "$1/exit" "$(tail -n 1 "$TMP/out")"
    while read -r line; do
        case $line in
        "ok "*) ok "$1/${line#ok }" ;;
        *) fail "$1" "$line" ;;
        esac
    done <"$TMP/out"
}

run chunk "$ROUTED/dir"
n=$(counted route_refused "$TMP/stats.chunk")
if [ "$n" -ge 9 ]; then ok "counted ($n)"; else fail counted "only $n refusals"; fi
check nothing-done [ "$("${routed[@]}" ls "$ROUTED/dir")" = $'d\nf\nlibrary.so' ]
check nothing-native [ ! -e "$ROUTED" ]

# Chunks of 64 KiB: a library padded beyond one has no file of its own.
rm -rf "$VOLUME"
"$ZIO_FS_TOOL" format --chunk-size=64k "local:$VOLUME" >"$TMP/format.out" 2>&1 || fail format "$(cat "$TMP/format.out")"
head -c 200000 /dev/zero >"$TMP/padding"
cat "$so" "$TMP/padding" >"$TMP/padded.so"
so=$TMP/padded.so
run copy "$ROUTED/dir"
finish
