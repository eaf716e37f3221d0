#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# zio profile on a program with known copies, ending in each way.
. "${srcdir:-.}/tests/cli/lib.sh"
need_python

# A sanitizer has memcpy for itself.
if ! "$zio" profile --json -o "$tmp/p" -- "$helpers/copies" >/dev/null 2>"$tmp/err" ||
    ! "$python" -c 'import json, sys; sys.exit(json.load(open(sys.argv[1]))["bytes"] == 0)' "$tmp/p"; then
    if ldd "$helpers/copies" | grep -Eq 'lib[at]san'; then
        skip "this build's sanitizer keeps memcpy for itself"
    fi
    fail "nothing was recorded"
fi

top='j["stacks"][0]'
check_known() {
    json "$tmp/p" "${top}['bytes'] == 10 << 20 and ${top}['copies'] == 10" \
        "${top}['min'] == ${top}['max'] == 1 << 20" \
        "${top}['sizes'] == [{'from': 1 << 20, 'copies': 10, 'bytes': 10 << 20}]" \
        "[f['symbol'] for f in ${top}['frames'][:2]] == ['copies_big', 'main']" \
        "${top}['frames'][0]['object'].endswith('/copies')" \
        "${top}['estimated_saving_ns'] <= ${top}['copy_ns']" \
        "j['stacks'][1]['frames'][0]['symbol'] == 'copies_small'" \
        "j['stacks'][1]['bytes'] == 1 << 20 and j['stacks'][1]['copies'] == 64"
    # twice: once in a forked child that leaves by _exit, from another place of main
    json "$tmp/p" "sum(s['bytes'] for s in j['stacks'] if s['frames'][0]['symbol'] == 'copies_mempcpy') == 32 << 10" \
        "all(s['frames'][0]['symbol'] != 'copies_tiny' for s in j['stacks'])" \
        "j['processes'] == 1 and j['overflow'] == {'copies': 0, 'bytes': 0}"
}

for code in 0 3; do
    expect $code "$zio" profile --json --output="$tmp/p" -- "$helpers/copies" $code
    check_known
    json "$tmp/p" "j['run']['exit_code'] == $code and j['run']['signal'] is None"
done
"$zio" profile --json --output="$tmp/p" -- "$helpers/copies" kill 2>"$tmp/err"
[ $? = 137 ] || fail "SIGKILL of the program does not give 137"
check_known
json "$tmp/p" "j['run']['exit_code'] is None and j['run']['signal'] == 9"

# --min, and the text.
expect 0 "$zio" profile --min=500 --top=0 --output=- -- "$helpers/copies"
printed out 'copies_tiny\+0x'
printed out '1\.  10 MiB \([0-9]+ %\) in 10 copies of 1 MiB to 1 MiB'
printed out 'copies_big\+0x[0-9a-f]+ +copies'
expect 0 "$zio" profile --min=64k -- "$helpers/copies"
not_printed err copies_small
not_printed out .
expect 0 "$zio" profile --top=1 -- "$helpers/copies"
printed err 'more stacks; --top=0 shows all'

# More stacks than the table holds: nothing is lost from the sums.
expect 0 "$zio" profile --json --output="$tmp/p" -- "$helpers/copies" many
json "$tmp/p" "j['overflow']['copies'] > 0 and j['stacks_total'] > 4000" \
    "j['copies'] + j['overflow']['copies'] == 1 << 14" \
    "j['bytes'] + j['overflow']['bytes'] == 1 << 28"
expect 0 "$zio" profile -- "$helpers/copies" many
printed err 'Not in the list: .* the table of stacks was full'

# Signals sent to zio go to the program, and the report is still made.
mkfifo "$tmp/in" "$tmp/ready"
for sig in INT:130 TERM:143 USR1:138; do
    # A shell starts background jobs with SIGINT ignored: undo that.
    "$python" -c '
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
' "$zio" profile --json --output="$tmp/p" -- "$helpers/copies" wait <"$tmp/in" >"$tmp/ready" &
    pid=$!
    exec 3>"$tmp/in"
    read -r word <"$tmp/ready"
    [ "$word" = ready ] || fail "the helper does not start"
    kill -"${sig%:*}" "$pid"
    wait "$pid"
    got=$?
    exec 3>&-
    [ "$got" = "${sig#*:}" ] || fail "SIG${sig%:*} gives $got"
    check_known
    json "$tmp/p" "j['run']['signal'] == ${sig#*:} - 128"
done

# Programs that are not there make no report.
expect 127 "$zio" profile -- no-such-program-here
not_printed err 'Copies of at least'
expect 126 "$zio" profile -- /
expect 125 "$zio" profile --output=/nonexistent/report -- true
printed err 'cannot write /nonexistent/report'
ZIO_LIBDIR=$tmp expect 125 "$zio" profile -- true

# Programs that the program executes.
expect 0 "$zio" profile --json --output="$tmp/p" -- sh -c "'$helpers/copies'; '$helpers/copies'"
json "$tmp/p" "${top}['bytes'] == 20 << 20 and ${top}['frames'][0]['symbol'] == 'copies_big' and j['processes'] == 3"
