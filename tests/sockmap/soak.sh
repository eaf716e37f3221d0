#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# deadline: 2400
# Random programs over the ends of TCP connections, plain and under `zio run --sockmap`: the same bytes, errors and ends.
# tests/sockmap/soak.sh [--soak SECONDS]; ZIO_SOCKMAP_SEED and ZIO_SOCKMAP_COUNT choose the programs. A seed that differs
# is replayed by `tests/sockmap/soak SEED 1`, plain and under zio run --sockmap.
. "$(dirname "$0")/lib.sh"

seed=${ZIO_SOCKMAP_SEED:-1}
count=${ZIO_SOCKMAP_COUNT:-200}

# both NAME ARGUMENTS...: the same case plain and joined; the programs must have redirected something meanwhile.
both() {
    local name=$1 before after
    shift
    timeout 120 "$soak" "$@" >"$TMP/plain" 2>&1 || { fail "$name/plain" "$(tail -n 1 "$TMP/plain")"; return; }
    before=$(counter redirected_messages)
    timeout 120 "$zio" run --sockmap -- "$soak" "$@" >"$TMP/joined" 2>"$TMP/err"
    after=$(counter redirected_messages)
    [ ! -s "$TMP/err" ] || { fail "$name" "$(head -n 1 "$TMP/err")"; return; }
    same "$name" "$TMP/plain" "$TMP/joined"
    [ "$after" -gt "$before" ] || fail "$name" "nothing was redirected"
}

"$zio" sockmap up "$group" >/dev/null || { fail up "see above"; finish; }
if [ "${1:-}" = --soak ] || [ "${ZIO_SOAK:-0}" != 0 ]; then
    until=$((SECONDS + ${ZIO_SOAK:-${2:-3600}}))
    seed=${ZIO_SOCKMAP_SEED:-$(date +%s)}
    while [ $SECONDS -lt $until ] && [ $n_fail = 0 ]; do
        both "seeds $seed to $((seed + count - 1))" "$seed" "$count"
        seed=$((seed + count))
        both "short connections, seed $seed" short "$seed"
        both "four threads a connection, seed $seed" duplex "$seed"
    done
    finish
fi
both "random programs, seeds $seed to $((seed + count - 1))" "$seed" "$count"
both "2000 short connections" short 1
both "kill -9 of the reader" kill-reader 1
both "kill -9 of the writer" kill-writer 1
both "both directions at once, in threads" duplex 1
finish
