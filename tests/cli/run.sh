#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# zio run: exit codes, signals, options into the environment, LD_PRELOAD, missing things.
# shellcheck disable=SC2016 # $ in quotes is for the inner shell
. "${srcdir:-.}/tests/cli/lib.sh"

for code in 0 1 2 3 125 255; do
    expect $code "$zio" run -- sh -c "exit $code"
done
expect 0 "$zio" run sh -c 'echo "$0 $1"' -- --help
printed out '^-- --help$'

# Signals: the program is zio's process.
for sig in TERM:143 KILL:137 USR1:138; do
    "$zio" run -- sh -c "kill -${sig%:*} \$\$" 2>"$tmp/err"
    [ $? = "${sig#*:}" ] || fail "SIG${sig%:*} did not give ${sig#*:}"
done
mkfifo "$tmp/ready" "$tmp/never"
"$zio" run -- sh -c "echo \$\$ >'$tmp/ready'; read x <'$tmp/never'" &
pid=$!
read -r inner <"$tmp/ready"
[ "$inner" = "$pid" ] || fail "the program has process id $inner, zio had $pid"
kill -TERM "$pid"
wait "$pid"
[ $? = 143 ] || fail "kill -TERM of zio run did not give 143"

# LD_PRELOAD: ours first, the others kept, no second mention.
lib=$(cd "$build/libzio/.libs" && pwd -P)/libzio.so
expect 0 "$zio" run -- sh -c 'echo "$LD_PRELOAD"'
[ "$(cat "$tmp/out")" = "$lib" ] || fail "LD_PRELOAD is not $lib"
LD_PRELOAD=/nonexistent/a.so:$lib sh -c '"$0" run -- sh -c "echo \$LD_PRELOAD"' "$zio" >"$tmp/out" 2>/dev/null
[ "$(cat "$tmp/out")" = "$lib:/nonexistent/a.so" ] || fail "LD_PRELOAD was not kept: $(cat "$tmp/out")"

# Options.
cd "$tmp" || exit 1
expect 0 "$zio" run --threshold=8k --log=info:log --stats=st --features=-move,-wp --policy=always -- env
printed out '^ZIO_THRESHOLD=8k$'
printed out "^ZIO_LOG=info:$(pwd)/log\$"
printed out "^ZIO_STATS=$(pwd)/st\$"
printed out '^ZIO_FEATURES=-move,-wp$'
printed out '^ZIO_POLICY=always$'
not_printed out '^ZIO_DISABLE='
expect 0 "$zio" run --disable -s - -l error -- env
printed out '^ZIO_DISABLE=1$'
printed out '^ZIO_STATS=-$'
printed out '^ZIO_LOG=error$'
for bad in --threshold=1 --threshold=64q --threshold= --log=loud --log=info: --features=move --features=-x \
    --policy=never --stats= --no-such-option; do
    expect 2 "$zio" run $bad -- true
    printed err '^zio run: '
done
for bad in --fs=x --fs=data=local:/x --fs=/=local:/x --fs=/a/../b=local:/x --fs=/data= --fs=/data=nfs:x; do
    expect 2 "$zio" run "$bad" -- true
    printed err "^zio run: $bad"
done
expect 125 "$zio" run --fs /data=local:/no/such/directory -- true
printed err "zio fs format local:/no/such/directory"
expect 125 "$zio" run --fs /data=local:/etc -- true
printed err 'there is no volume in /etc'
# --sockmap itself: tests/sockmap. Here, that doing without it changes nothing.
ZIO_FEATURES=-sockmap expect 7 "$zio" run --sockmap -- sh -c 'exit 7'
printed err 'plain TCP'

# What is not there.
expect 127 "$zio" run -- no-such-program-here
printed err 'no-such-program-here: no such program in PATH'
expect 127 "$zio" run -- ./no-such-file
expect 127 "$zio" run -- ''
: >"$tmp/plain"
expect 126 "$zio" run -- "$tmp/plain"
printed err 'cannot be executed'
expect 126 "$zio" run -- /
PATH=$tmp expect 126 "$zio" run -- plain
ZIO_LIBDIR=$tmp expect 125 "$zio" run -- true
printed err "libzio.so is not where it should be .*$tmp"
ZIO_LIBDIR=$build/libzio/.libs expect 0 "$zio" run -- true
mkdir "$tmp/a b"
cp "$lib" "$tmp/a b/"
ZIO_LIBDIR="$tmp/a b" expect 125 "$zio" run -- true
printed err 'blank'
