#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# nginx: files of 1 KiB to 8 MiB with sendfile on and off, through a proxy, compressed on the fly, and an upload; every byte compared. Then
# wrk, which must see no error.
# deadline: 400
. "$(dirname "$0")/../lib.sh"
need nginx wrk curl openssl /usr/bin/python3
here=$(dirname "$SELF")

root=$TMP/files
mkdir -p "$root"
for kib in 1 4 15 64 65 256 1024 3000 8192; do noise "$kib" $((kib * 1024)) >"$root/$kib"; done
noise 99 1000001 >"$root/odd"
chmod 755 "$TMP" "$root"

configure() {
    mkdir -p "$1"
    chmod 777 "$1"
    cat >"$1/nginx.conf" <<END
user $(id -un);
worker_processes 2;
pid $1/pid;
error_log $1/error.log warn;
events { worker_connections 256; }
http {
    access_log off;
    client_body_temp_path $1/body;
    proxy_temp_path $1/proxy;
    fastcgi_temp_path $1/fastcgi;
    uwsgi_temp_path $1/uwsgi;
    scgi_temp_path $1/scgi;
    output_buffers 2 512k;
    client_max_body_size 64m;
    client_body_buffer_size 1m;
    gzip_min_length 1;
    gzip_types *;
    server {
        listen 127.0.0.1:$port;
        location /read/ { alias $root/; sendfile off; }
        location /sendfile/ { alias $root/; sendfile on; }
        location /proxied/ {
            proxy_pass http://127.0.0.1:$port/read/;
            proxy_buffers 16 128k;
            proxy_buffer_size 128k;
        }
        location /squeezed/ { alias $root/; gzip on; sendfile off; }
        location /upload/ { proxy_pass http://127.0.0.1:$port/sink/; proxy_request_buffering on; }
        location /sink/ { proxy_pass http://127.0.0.1:$port/read/1; proxy_method GET; }
    }
}
END
}

start() {
    local try
    for try in 1 2 3; do
        port=$(free_port)
        configure "$1"
        spawn "${UNDER[@]}" nginx -p "$1" -e "$1/error.log" -c "$1/nginx.conf" -g 'daemon off;' >>"$1/log" 2>&1 </dev/null
        server=$SPAWNED
        wait_until 20 port_open "$port" && ! gone "$server" && return 0
        kill "$server" 2>/dev/null
    done
    tail -n 20 "$1/log" "$1/error.log"
    return 1
}

squeezed() {
    curl -sS --max-time 30 --compressed "http://127.0.0.1:$port/squeezed/3000" | cmp - "$root/3000"
}

upload() {
    curl -sS --max-time 30 --data-binary "@$root/8192" "http://127.0.0.1:$port/upload/" | cmp - "$root/1"
}

# hammered PATH: two seconds of wrk without one error.
hammered() {
    timeout --foreground 60 wrk -t1 -c8 -d2s --timeout 20s "http://127.0.0.1:$port/$1" >"$TMP/wrk" 2>&1 || return
    if grep -E 'Non-2xx|Socket errors|unable' "$TMP/wrk"; then return 1; fi
    grep -q ' requests in ' "$TMP/wrk" && ! grep -q '^ *0 requests in' "$TMP/wrk"
}

fetched() {
    timeout --foreground 120 /usr/bin/python3 "$here/http_fetch.py" "$port" "$root" "$@"
}

for cell in plain "${CELLS[@]}"; do
    enter "$cell"
    if ! start "$TMP/$cell"; then
        fail "nginx/$cell" "the server does not start"
        continue
    fi
    check "nginx/$cell/files" fetched /read/ /sendfile/ /proxied/
    check "nginx/$cell/gzip" squeezed
    check "nginx/$cell/upload" upload
    case $cell in
    plain | own:forced) check "nginx/$cell/wrk-read" hammered read/1024 && check "nginx/$cell/wrk-proxied" hammered proxied/256 ;;
    *) check "nginx/$cell/wrk-sendfile" hammered sendfile/64 ;;
    esac
    kill -QUIT "$server"
    reap "$server" 20
    status=$?
    check "nginx/$cell/exit" test $status -eq 0
    [ "$cell" = plain ] || { prove_gone "nginx/$cell"; prove_active "nginx/$cell/active"; }
    printf '    %s copies elided, %s receives into blocks, %s sends from blocks\n' "$(counted copies_elided "$STATS")" \
        "$(counted recv_block_calls "$STATS")" "$(counted send_block_calls "$STATS")"
    if grep -E '\[(emerg|alert|crit)\]|exited on signal' "$TMP/$cell/error.log"; then fail "nginx/$cell/error-log" "see above"; fi
done
finish
