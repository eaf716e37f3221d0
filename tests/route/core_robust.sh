#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# File routing under stress: killed processes, programs without the library, few descriptors, counters, wrong set-ups.
# deadline: 200
. "$(dirname "$0")/lib.sh"
need timeout
fresh
zio=$top_builddir/zio

# says NAME WANTED COMMAND...: its output is exactly that.
says() {
    local name=$1 wanted=$2 got
    shift 2
    got=$(timeout 60 "$@" 2>&1)
    if [ "$got" = "$wanted" ]; then ok "$name"; else fail "$name" "wanted '$wanted', got '$got'"; fi
}

timeout 120 "${routed[@]}" "$top_builddir/tests/route/core_kill" "$ROUTED" >"$TMP/kill.out" 2>&1 ||
    fail kill "exit code $?"
while read -r line; do
    case $line in
    "ok "*) ok "${line#ok }" ;;
    *) fail kill "$line" ;;
    esac
done <"$TMP/kill.out"
[ "$(grep -c '^ok kill/' "$TMP/kill.out")" = 4 ] || fail kill/all "not all parts ran"

# A program that can't be preloaded: what it is given can't be read, and its names are not found, nor made.
"${routed[@]}" bash -c "echo data >$ROUTED/file"
static=$top_builddir/tests/route/core_static
says static/input 'input: EBADF' "${routed[@]}" bash -c "$static <$ROUTED/file"
says static/path $'input: empty\n1: ENOENT' "${routed[@]}" bash -c "$static $ROUTED/file </dev/null"
says static/cwd $'input: empty\n1: ENOENT' "${routed[@]}" bash -c "cd $ROUTED && $static file </dev/null"
says static/between data "${routed[@]}" bash -c "$static </dev/null >/dev/null; cat $ROUTED/file"

# The environment that a program clears comes back, and is not seen.
says cleared/reads data "${routed[@]}" env -i /bin/cat "$ROUTED/file"
says cleared/unseen '' "${routed[@]}" env -i /usr/bin/env
says cleared/twice data "${routed[@]}" env -i /usr/bin/env -i /bin/cat "$ROUTED/file"
says cleared/others 'A=1' "${routed[@]}" env -i A=1 /usr/bin/env
says cleared/preload 'LD_PRELOAD=libm.so.6' "${routed[@]}" env -i LD_PRELOAD=libm.so.6 /usr/bin/env
says unseen 0 "${routed[@]}" bash -c "exec 5<$ROUTED/file; env | grep -c ZIO_FDS"

# Few descriptors.
says limit/64 data bash -c "ulimit -n 64; ZIO_FS='$ROUTED=local:$VOLUME' LD_PRELOAD=$LIBZIO cat $ROUTED/file"
says limit/12 "cat: $ROUTED/file: Too many open files" \
    bash -c "ulimit -n 12; ZIO_LOG=error ZIO_FS='$ROUTED=local:$VOLUME' LD_PRELOAD=$LIBZIO cat $ROUTED/file"

# Counters.
rm -f "$TMP/stats"
timeout 60 "${routed[@]}" "ZIO_STATS=$TMP/stats" dd if="$ROUTED/file" of="$ROUTED/copy" bs=1 2>/dev/null
for pair in route_opens:2 route_reads:6 route_read_bytes:5 route_writes:5 route_write_bytes:5 route_refused:0; do
    n=$(counted "${pair%:*}" "$TMP/stats")
    if [ "$n" = "${pair#*:}" ]; then ok "count/${pair%:*}"; else fail "count/${pair%:*}" "$n instead of ${pair#*:}"; fi
done

# zio run.
says run/reads data "$zio" run --fs "$ROUTED=local:$VOLUME" -- cat "$ROUTED/file"
says run/relative data env -C "$TMP" "$zio" run --fs "$ROUTED=local:${VOLUME##*/}" -- bash -c "cd / && cat $ROUTED/file"
mkdir "$TMP/second"
rmdir "$TMP/second"
"$ZIO_FS_TOOL" format "local:$TMP/vol2" >/dev/null
says run/two $'data\nsecond' "$zio" run --fs "$ROUTED=local:$VOLUME" --fs "$TMP/second/=local:$TMP/vol2" -- \
    bash -c "echo second >$TMP/second/f; cat $ROUTED/file $TMP/second/f; mv $TMP/second/f $ROUTED/f2"
says run/moved second "$zio" run --fs "$ROUTED=local:$VOLUME" -- cat "$ROUTED/f2"
# A prefix that exists natively is covered.
mkdir "$TMP/covered"
echo native >"$TMP/covered/file"
ln -s "$TMP/covered" "$TMP/tocovered"
covered=(env "ZIO_FS=$TMP/covered=local:$VOLUME" "LD_PRELOAD=$LIBZIO")
says covered/direct data "${covered[@]}" cat "$TMP/covered/file"
says covered/link data "${covered[@]}" cat "$TMP/tocovered/file"
says covered/up data "${covered[@]}" cat "$TMP/second/../covered/../covered/file"
says covered/relative data env -C "$TMP" "${covered[@]}" cat covered/file
says covered/not native cat "$TMP/covered/file"

# What is wrong is told.
rm -rf "$TMP/gone"
says volume/none "cat: $ROUTED/file: No such file or directory" \
    env "ZIO_FS=$ROUTED=local:$TMP/gone" ZIO_LOG=error LD_PRELOAD="$LIBZIO" cat "$ROUTED/file"
finish
