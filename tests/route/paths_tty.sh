#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Standard streams on a terminal, with a routed file in between; forkpty of a program that has routed files.
# deadline: 60
. "$(dirname "$0")/lib.sh"
need timeout /usr/bin/python3
[ -c /dev/ptmx ] || skip_all "no /dev/ptmx: there are no terminals here"
fresh
program=$top_builddir/tests/route/paths_tty

# The terminal's echo of the typed line may come anywhere: it is taken out.
talk() {
    timeout 20 "$@" | sed 's/typed\\r\\n//'
}

talk /usr/bin/python3 "$top_srcdir/tests/route/paths_tty.py" "$program" "$NATIVE" >"$TMP/native.txt"
check native/works grep -q "line.*before the question.*12 bytes there.* 0$" "$TMP/native.txt"
check native/loses eval '! grep -q lost "$TMP/native.txt"'
talk "${routed[@]}" /usr/bin/python3 "$top_srcdir/tests/route/paths_tty.py" "$program" "$ROUTED" >"$TMP/routed.txt"
same terminal "$TMP/native.txt" "$TMP/routed.txt"
# Its standard streams were routed before.
"${routed[@]}" bash -c 'cd "$1"; echo in >in; "${@:2}" <in >out; cat out' bash "$ROUTED" \
    timeout 20 /usr/bin/python3 "$top_srcdir/tests/route/paths_tty.py" "$program" "$ROUTED" | sed 's/typed\\r\\n//' >"$TMP/was.txt"
same terminal/from-routed "$TMP/native.txt" "$TMP/was.txt"
finish
