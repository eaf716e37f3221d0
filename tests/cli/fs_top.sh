#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# zio fs top: a process that has the volume open is shown with what it does; one that is gone is not.
. "${srcdir:-.}/tests/cli/lib.sh"
need_python
url=local:$tmp/vol
expect 0 "$zio" fs format "$url"
expect 0 "$zio" fs top --json -d 0.05 "$url"
json "$tmp/out" 'j["processes"] == []' 'j["seconds"] >= 0.05'
expect 2 "$zio" fs top -d 0 "$url"

# A put that is fed through a pipe: it is there as long as we want, and has written what we gave it.
mkfifo "$tmp/pipe"
"$zio" fs put "$url" - /file <"$tmp/pipe" &
pid=$!
exec 9>"$tmp/pipe"
head -c 8388608 /dev/zero >&9
end=$(($(date +%s) + 20))
until "$zio" fs top --json -d 0.05 "$url" >"$tmp/out" && grep -q '"write_bytes":8388608' "$tmp/out"; do
    [ "$(date +%s)" -lt $end ] || fail "8 MiB written by process $pid are not shown within 20 s"
done
json "$tmp/out" 'len(j["processes"]) == 1' "j['processes'][0]['pid'] == $pid" 'j["processes"][0]["program"] == "zio-fs"' \
    'j["processes"][0]["total"]["writes"] >= 2' 'j["processes"][0]["total"]["changes"] >= 1' 'j["processes"][0]["write_bytes_per_second"] == 0'
expect 0 "$zio" fs top -n 2 -d 0.05 "$url"
[ "$(grep -c "^ *$pid zio-fs " "$tmp/out")" = 2 ] || fail "two looks show the process twice"
printed out '^ +PID +PROGRAM'

# The rate of what is written between two looks.
"$zio" fs top --json -d 1 "$url" >"$tmp/out" &
top=$!
i=0
while kill -0 $top 2>/dev/null && [ $i -lt 200 ]; do
    head -c 1048576 /dev/zero >&9
    i=$((i + 1))
done
wait $top || fail "top ended with $?"
json "$tmp/out" 'j["processes"][0]["write_bytes_per_second"] > 100000' 'j["processes"][0]["writes_per_second"] > 0'
exec 9>&-
wait $pid || fail "put ended with $?"
expect 0 "$zio" fs top --json -d 0.05 "$url"
json "$tmp/out" 'j["processes"] == []'
echo "ok fs-top"
