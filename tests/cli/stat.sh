#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# zio stat against a process that makes its own page of counters, and against damaged pages.
. "${srcdir:-.}/tests/cli/lib.sh"
need_python

mkfifo "$tmp/in" "$tmp/ready"
# start HOW: runs the helper; fd 3 keeps it alive.
start() {
    "$helpers/statpage" "$@" <"$tmp/in" >"$tmp/ready" &
    pid=$!
    exec 3>"$tmp/in"
    read -r word <"$tmp/ready"
    [ "$word" = ready ] || fail "the helper does not start"
}
stop() {
    exec 3>&-
    wait "$pid"
}

start
expect 0 "$zio" stat "$pid"
printed out "^$pid  statpage  active  up [0-9.]+ s, copies of at least 64 KiB"
printed out '^copies_elided +1002  copies of which'
printed out '^copy_bytes_elided +3 MiB '
expect 0 "$zio" stat --json "$pid"
json "$tmp/out" "j['pid'] == $pid and j['program'] == 'statpage' and j['state'] == 'active' and j['reason'] == ''" \
    "j['threshold'] == 65536 and 0 <= j['uptime_seconds'] < 600" \
    "j['counters']['copies_seen'] == 1000 and j['counters']['copy_bytes_elided'] == 3 << 20"
expect 0 "$zio" stat
printed out "^ +$pid  statpage +active +1002 +3 MiB"
expect 0 "$zio" stat --json
json "$tmp/out" "[p['counters']['copies_elided'] for p in j['processes'] if p['pid'] == $pid] == [1002]"

# Watching goes on until the process ends, a line of JSON at each look.
"$zio" stat --json --watch=0.05 "$pid" >"$tmp/watch" 3>&- &
watcher=$!
lines=0
deadline=$(($(date +%s) + 20))
while [ "$lines" -lt 3 ]; do
    lines=$(wc -l <"$tmp/watch")
    [ "$(date +%s)" -lt $deadline ] || fail "--watch prints nothing"
done
stop
wait "$watcher" || fail "--watch of a process that ended gives $?"
tail -n 1 "$tmp/watch" >"$tmp/last"
json "$tmp/last" "j['pid'] == $pid"

expect 1 "$zio" stat "$pid"
printed err 'no such process'
expect 1 "$zio" stat $$
printed err 'does not run under zIO'

for how in magic size hugesize ncounters short; do
    start $how
    expect 1 "$zio" stat "$pid"
    printed err 'damaged'
    expect 0 "$zio" stat --json
    json "$tmp/out" "all(p['pid'] != $pid for p in j['processes'])"
    stop
done
start version
expect 1 "$zio" stat "$pid"
printed err 'another version'
stop
start pid
expect 1 "$zio" stat "$pid"
printed err 'does not run under zIO'
stop
start older
expect 0 "$zio" stat --json "$pid"
json "$tmp/out" "len(j['counters']) == 4"
stop
start state
expect 0 "$zio" stat "$pid"
printed out 'unknown'
stop
start strings
expect 0 "$zio" stat --json "$pid"
json "$tmp/out" "j['program'] == '?' * 63 and j['reason'] == '?' * 159"
expect 0 "$zio" stat "$pid"
not_printed out "$(printf '\033')"
stop

# Another user's process is refused with the reason.
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
    start
    expect 1 setpriv --reuid=65534 --regid=65534 --clear-groups "$zio" stat "$pid"
    printed err 'not allowed'
    stop
fi
