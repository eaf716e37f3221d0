#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Servers with their data in a routed directory: the same output as over the same directory on a disk.
# deadline: 200
. "$(dirname "$0")/lib.sh"
need timeout
mkdir "$TMP/works" "$TMP/socks"
export SOCKS=$TMP/socks

# Each work is a bash script; $1 is the directory. answers SECONDS COMMAND...: wait until it succeeds.
cat >"$TMP/works/head" <<'WORK'
exec {pause}<> <(:)
answers() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || { echo "no answer: $*"; return 1; }
        read -r -t 0.02 -u "$pause" _
    done
}
WORK

cat >"$TMP/works/redis" <<'WORK'
cd "$1" || exit 1
cli() { redis-cli -s "$SOCKS/redis" "$@"; }
start() {
    redis-server --port 0 --unixsocket "$SOCKS/redis" --dir "$1" --appendonly yes --save "" >>log 2>&1 &
    server=$!
    answers 30 cli ping
}
idle() { cli info persistence | grep -q aof_rewrite_in_progress:0; }
start "$1"
for i in $(seq 50); do echo "set k$i v$i"; done | cli | sort | uniq -c
cli save
cli bgrewriteaof
answers 30 idle
cli info persistence | grep -E '^(aof_last_bgrewrite|aof_last_write|rdb_last_bgsave)_status' | tr -d '\r'
cli shutdown nosave
wait $server
ls . appendonlydir
start "$1"
cli get k33
cli dbsize
cli shutdown nosave
wait $server
WORK

cat >"$TMP/works/nginx" <<'WORK'
cd "$1" && mkdir www logs tmp || exit 1
head -c 300000 /dev/zero | tr '\0' x >www/big
echo small >www/small
cat >"$SOCKS/nginx.conf" <<END
daemon off; worker_processes 2; error_log $1/logs/error; pid $1/pid;
events { worker_connections 64; }
http { access_log $1/logs/access; sendfile on; aio threads; client_body_temp_path $1/tmp/b; proxy_temp_path $1/tmp/p;
fastcgi_temp_path $1/tmp/f; uwsgi_temp_path $1/tmp/u; scgi_temp_path $1/tmp/s;
server { listen unix:$SOCKS/nginx; root $1/www; dav_methods PUT; open_file_cache max=10; } }
END
[ "$(id -u)" != 0 ] || echo 'user root;' >>"$SOCKS/nginx.conf"
rm -f "$SOCKS/nginx"
nginx -p "$1" -c "$SOCKS/nginx.conf" 2>err &
server=$!
get() { curl -s --unix-socket "$SOCKS/nginx" "$@"; }
answers 30 get http://x/small
get http://x/small
get http://x/big | cmp - www/big && echo same
get -r 1000-1999 http://x/big | wc -c
get -o out -w '%{http_code}\n' http://x/none
get -T www/big -w '%{http_code}\n' http://x/put
cmp www/put www/big && echo same
kill -QUIT $server
wait $server
# Without the bytes: a client that has them all may close before the thread that sent them has said so, and nginx notes 0.
sed 's/.*"\(GET\|PUT\)/\1/; s/ [0-9]* "-".*//' logs/access | sort | uniq
WORK

cat >"$TMP/works/postgres" <<'WORK'
cd / || exit 1
bin=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)
ctl() { "$bin/pg_ctl" -D "$1/pg" -o "-k $SOCKS -c listen_addresses=''" -l "$SOCKS/pg.log" -w -t 60 "${@:2}" >/dev/null; }
sql() { "$bin/psql" -h "$SOCKS" postgres -At "$@"; }
"$bin/initdb" -D "$1/pg" -A trust --no-locale >/dev/null 2>&1
echo "initdb $?"
ctl "$1" start
echo "start $?"
sql -c "create table t(a int, b text)" -c "insert into t select i, 'x' || i from generate_series(1, 20000) i" \
    -c "create index on t(a)" -c "checkpoint" -c "vacuum full t" -c "select b from t where a = 777"
ctl "$1" -m fast stop
ctl "$1" start
sql -c "select count(*), sum(a), min(b) from t"
ctl "$1" -m immediate stop
ctl "$1" start # from its log
sql -c "select count(*) from t"
ctl "$1" -m fast stop
echo "stop $?"
WORK

# run WORK PREFIX...: PREFIX is put before the shell (another user).
run() {
    local work=$1
    shift
    fresh
    cat "$TMP/works/head" "$TMP/works/$work" >"$TMP/works/all"
    chmod 755 "$TMP" "$TMP/works" && chmod 777 "$SOCKS" "$NATIVE" && chmod -R a+rwX "$VOLUME"
    rm -rf "${SOCKS:?}"/*
    "$@" timeout 90 bash "$TMP/works/all" "$NATIVE" >"$TMP/native.out" 2>&1 </dev/null
    rm -rf "${SOCKS:?}"/*
    [ $# = 0 ] || { rm -rf "$VOLUME" && mkdir -m 777 "$VOLUME" && "$@" "$ZIO_FS_TOOL" format "local:$VOLUME" >/dev/null; }
    "$@" timeout 90 "${routed[@]}" bash "$TMP/works/all" "$ROUTED" >"$TMP/routed.out" 2>&1 </dev/null
    same "$work" "$TMP/native.out" "$TMP/routed.out"
    check "$work/routed-only" [ ! -e "$ROUTED" ]
    check "$work/did-something" [ "$(wc -l <"$TMP/native.out")" -gt 5 ]
    check "$work/fsck" "$ZIO_FS_TOOL" fsck "local:$VOLUME"
}

if command -v redis-server >/dev/null; then run redis; else skip redis "redis-server is missing"; fi
if command -v nginx >/dev/null && command -v curl >/dev/null; then run nginx; else skip nginx "nginx or curl is missing"; fi
if ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then
    skip postgres "PostgreSQL is missing"
elif [ "$(id -u)" != 0 ]; then
    run postgres
elif id postgres >/dev/null 2>&1; then
    run postgres setpriv --reuid=postgres --regid=postgres --clear-groups
else
    skip postgres "there is no user postgres"
fi
finish
