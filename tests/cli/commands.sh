#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# zio itself: help, version, unknown commands, wrong options.
# shellcheck disable=SC2016 # $ in quotes is for the inner shell
. "${srcdir:-.}/tests/cli/lib.sh"

expect 0 "$zio" --version
printed out '^zio [0-9]+\.[0-9]+'
expect 0 "$zio" --help
expect 0 "$zio" help
for cmd in run stat profile doctor bench help; do
    printed out "^  $cmd +[a-z]"
done
for cmd in run stat profile doctor; do
    expect 0 "$zio" help $cmd
    printed out "^Usage: zio $cmd "
    cp "$tmp/out" "$tmp/help"
    expect 0 "$zio" $cmd --help
    cmp -s "$tmp/out" "$tmp/help" || fail "'zio help $cmd' and 'zio $cmd --help' differ"
    tr '\n' ' ' <"$tmp/help" | grep -q 'Exit codes' || fail "'zio help $cmd' says nothing of exit codes"
    expect 2 "$zio" $cmd --no-such-option
done

expect 2 "$zio"
expect 2 "$zio" rum
printed err "did you mean 'run'"
expect 2 "$zio" porfile
printed err "did you mean 'profile'"
expect 2 "$zio" xyzzyxyzzy
printed err "no command 'xyzzyxyzzy'"
not_printed err 'did you mean'
expect 2 "$zio" help rum
expect 2 "$zio" run
expect 2 "$zio" profile
expect 2 "$zio" stat 0
expect 2 "$zio" stat 12x
expect 2 "$zio" stat --watch=never
expect 2 "$zio" doctor now
expect 2 "$zio" profile --min=0 -- true
expect 2 "$zio" profile --top=-1 -- true

# What cannot be written is not passed over.
if [ -w /dev/full ]; then
    "$zio" doctor >/dev/full 2>"$tmp/err"
    [ $? = 1 ] || fail "zio doctor >/dev/full"
fi

# zio bench becomes zio-bench, with the arguments as they are. A copy of zio finds the one beside it.
mkdir -p "$tmp/tree/bench"
cp "$zio" "$tmp/tree/zio"
printf '#!/bin/sh\necho "$#:$1:$2"; exit 7\n' >"$tmp/tree/bench/zio-bench"
chmod +x "$tmp/tree/bench/zio-bench"
expect 7 "$tmp/tree/zio" bench echo '--copies=0,1 2'
printed out '^2:echo:--copies=0,1 2$'
