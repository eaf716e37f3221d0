#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A PostgreSQL server with its data directory in a volume, as an ordinary user: initdb, pgbench, a dump and its restoration,
# kill -9 of all its processes under load, and recovery. Its socket lies on the disk.
# deadline: 400

# in_db DATABASE SQL
in_db() {
    psql -XAtq -d "$1" -c "$2"
}

# A child of this shell: of a server that was killed, nothing must be left that its successor would take for it.
start() {
    local end=$((SECONDS + 60))
    postgres -D data -k "$PGHOST" -h '' >>log 2>&1 &
    server=$!
    until pg_isready -q; do
        kill -0 $server 2>/dev/null && [ $SECONDS -lt $end ] || { cat log; return 1; }
    done
}

stop() {
    pg_ctl -D data -w -s -m fast stop
    wait $server
}

# tables DATABASE: what is in them, and what must hold between them.
tables() {
    in_db "$1" "SELECT md5(string_agg(a::text, ',' ORDER BY aid)) FROM pgbench_accounts a"
    in_db "$1" "SELECT md5(string_agg(t::text, ',' ORDER BY tid)) FROM pgbench_tellers t"
    in_db "$1" "SELECT md5(string_agg(b::text, ',' ORDER BY bid)) FROM pgbench_branches b"
    in_db "$1" "SELECT md5(string_agg((tid, bid, aid, delta)::text, ',' ORDER BY tid, bid, aid, delta)) FROM pgbench_history"
    in_db "$1" "SELECT md5(string_agg(l::text, ',' ORDER BY id)) FROM large l"
}

balanced() {
    in_db bench "SELECT (SELECT sum(delta) FROM pgbench_history) = (SELECT sum(abalance) FROM pgbench_accounts)
        AND (SELECT sum(tbalance) FROM pgbench_tellers) = (SELECT sum(bbalance) FROM pgbench_branches)
        AND (SELECT sum(delta) FROM pgbench_history) = (SELECT sum(bbalance) FROM pgbench_branches)"
}

# until_more THAN: until so many transactions were committed.
until_more() {
    local end=$((SECONDS + 60))
    until [ "$(in_db bench 'SELECT count(*) FROM pgbench_history')" -gt "$1" ]; do [ $SECONDS -lt $end ] || return 1; done
}

# kill_all: the server and its processes, at once. The server is stopped first, so that it can't react.
kill_all() {
    kill -STOP "$server" 2>/dev/null || return 0
    # shellcheck disable=SC2046
    kill -KILL $(ps -o pid= --ppid "$server") "$server"
    wait "$server" || :
}

work() {
    set -e
    server=none
    trap kill_all EXIT
    export HOME=$PWD PGUSER=tester
    initdb -D data -U tester -A trust --no-locale -E UTF8 >initdb.out || { cat initdb.out; return 1; }
    printf '%s\n' 'max_connections = 20' 'shared_buffers = 16MB' 'max_wal_size = 64MB' 'autovacuum_naptime = 1s' >>data/postgresql.conf
    start
    createdb bench
    pgbench -q -i -s 1 bench 2>/dev/null
    in_db bench "CREATE TABLE large AS SELECT i AS id, repeat(md5(i::text), i) AS body FROM generate_series(1, 700) i"
    pgbench -n -c 4 -j 2 -t 60 --random-seed=7 bench 2>&1 | grep -E 'actually processed|failed'
    balanced
    tables bench
    in_db bench 'VACUUM FULL pgbench_accounts'
    in_db bench 'REINDEX DATABASE bench'
    tables bench
    pg_dump -Fc -f dump bench
    createdb again
    pg_restore -d again dump
    tables again
    pg_dump --schema-only bench | grep -v restrict | sha256sum

    # The transactions of which pgbench was told are not known here; those of in_db are.
    in_db bench 'CREATE TABLE marks(n int PRIMARY KEY)'
    pgbench -n -c 3 -T 200 bench >bench.out 2>&1 &
    load=$!
    until_more 350
    for i in $(seq 1 20); do in_db bench "INSERT INTO marks VALUES ($i)"; done
    kill_all
    wait $load || echo pgbench lost its server
    start
    grep -o 'database system was not properly shut down' log
    balanced
    in_db bench 'SELECT count(*), sum(n) FROM marks'
    in_db bench 'SELECT count(*) > 350 FROM pgbench_history'
    pg_amcheck --heapallindexed --install-missing bench && echo sound
    stop
    pg_checksums --enable -D data >checksums.out && grep -o 'Checksums enabled' checksums.out
    start
    tables again
    stop
    pg_checksums --check -D data | grep 'Bad checksums'
    ls data
}

PATH=$(printf '%s:' /usr/lib/postgresql/*/bin)$PATH
if [ "${1:-}" = work ]; then work; exit; fi
. "$(dirname "$0")/lib.sh"
need initdb pg_ctl pgbench psql pg_dump setpriv
[ "$(id -u)" = 0 ] || skip_all "only root can become the user that PostgreSQL asks for, and mount for it"
user=(setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all)
"${user[@]}" test -r "$LIBZIO" -a -x "$ZIO" || skip_all "an ordinary user can't read $LIBZIO"
chmod 755 "$TMP"
mkdir "$TMP/socket"
chown 65534:65534 "$TMP/socket"
export PGHOST=$TMP/socket

for way in native preload mount; do
    way_of $way
    "${UNDER[@]}" chown 65534:65534 "$DIR"
    [ $way != preload ] || chown -R 65534:65534 "$TMP/volume.preload"
    UNDER=("${user[@]}" "${UNDER[@]}")
    began=$SECONDS
    work_in $way 120
    echo "    $way: $((SECONDS - began)) s"
    if [ $way = native ]; then
        grep -qx 'exit code 0' "$TMP/out.native" ||
            fail "postgresql/native" "the work itself fails: $(tail -n 5 "$TMP/out.native" "$TMP/err.native")"
    else
        same "postgresql/$way" "$TMP/out.native" "$TMP/out.$way"
        # The shell says which process was killed.
        sed -i 's/line [0-9]*: *[0-9]* Killed.*/Killed/' "$TMP/err.native" "$TMP/err.$way"
        same "postgresql/$way/errors" "$TMP/err.native" "$TMP/err.$way"
    fi
    way_ends $way
done
finish
