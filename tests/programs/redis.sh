#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# redis-server: a scripted workload with values of 1 B to 4 MiB, each reply checked; a snapshot, a rewrite of the
# append-only file, and restarts from both, compared by DEBUG DIGEST with each other and with the plain server.
# deadline: 580
. "$(dirname "$0")/../lib.sh"
need redis-server redis-cli /usr/bin/python3
here=$(dirname "$SELF")
seed=20221

cli() {
    timeout --foreground 60 redis-cli -p "$port" "$@"
}

answers() {
    [ "$(cli ping)" = PONG ]
}

# start DIR [OPTION]...: a server in the cell's environment; tries again when another took the port.
start() {
    local dir=$1 try
    shift
    for try in 1 2 3; do
        port=$(free_port)
        spawn "${UNDER[@]}" redis-server --port "$port" --bind 127.0.0.1 --dir "$dir" --save '' --daemonize no \
            --enable-debug-command yes --appendfsync everysec --auto-aof-rewrite-percentage 0 "$@" >>"$dir/log" 2>&1 </dev/null
        server=$SPAWNED
        wait_until 30 answers && return 0
        gone "$server" && continue
        break
    done
    tail -n 20 "$dir/log"
    return 1
}

# stop: a clean end; the exit code is the server's.
stop() {
    cli shutdown nosave >/dev/null 2>&1
    reap "$server" 30
}

info() {
    cli info persistence | tr -d '\r' | sed -n "s/^$1://p"
}

idle() {
    [ "$(info "$1")" = 0 ]
}

work() {
    timeout --foreground 120 /usr/bin/python3 "$here/redis_work.py" "$1" "$port" $seed
}

# session: everything in one cell; prints the digests.
session() {
    local dir=$1
    mkdir -p "$dir"
    start "$dir" --appendonly yes || return 1
    work fill || return 1
    cli bgsave >/dev/null
    wait_until 60 idle rdb_bgsave_in_progress || return 1
    echo "bgsave $(info rdb_last_bgsave_status)"
    cli bgrewriteaof >/dev/null
    wait_until 60 idle aof_rewrite_scheduled && wait_until 60 idle aof_rewrite_in_progress || return 1
    echo "bgrewriteaof $(info aof_last_bgrewrite_status)"
    cli set after-rewrite "$(seq 1 20000)" || return 1
    work verify || return 1
    stop
    echo "ended with $?"

    start "$dir" --appendonly yes || return 1
    echo "from the append-only file:"
    work verify || return 1
    stop
    echo "ended with $?"

    start "$dir" --appendonly no || return 1
    echo "from the snapshot:"
    work verify || return 1
    stop
    echo "ended with $?"
    redis-check-rdb "$dir/dump.rdb" | grep -c 'RDB looks OK'
}

for cell in plain "${CELLS[@]}"; do
    enter "$cell"
    if ! session "$TMP/$cell" >"$TMP/out.$cell" 2>"$TMP/err.$cell"; then
        echo "the session broke off" >>"$TMP/out.$cell"
        tail -n 15 "$TMP/err.$cell" "$TMP/$cell/log"
        [ "$cell" != plain ] || fail redis/plain "the session itself fails"
    fi
    if [ "$cell" != plain ]; then
        same "redis/$cell" "$TMP/out.plain" "$TMP/out.$cell"
        prove_active "redis/$cell/active"
        prove_gone "redis/$cell"
    fi
    rm -rf "${TMP:?}/$cell"
done
cat "$TMP/out.plain" "$TMP/err.plain"
finish
