#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Bodies of many sizes through haproxy (which splices) and nginx (edge-triggered, FIONREAD), all joined: a client, the
# proxies and a server in Python. Every body comes back as it went, within its time.
. "$(dirname "$0")/lib.sh"
need nginx haproxy

server=$(free_port) web=$(free_port) front=$(free_port)
mkdir "$TMP/web"
cat >"$TMP/nginx.conf" <<END
daemon off; master_process off; pid $TMP/web/pid; error_log $TMP/web/log warn; events {}
http { access_log off; client_max_body_size 50m; client_body_temp_path $TMP/web/1; proxy_temp_path $TMP/web/2;
 fastcgi_temp_path $TMP/web/3; uwsgi_temp_path $TMP/web/4; scgi_temp_path $TMP/web/5;
 upstream b { server 127.0.0.1:$server; keepalive 4; }
 server { listen 127.0.0.1:$web; location / { proxy_pass http://b; proxy_http_version 1.1; proxy_set_header Connection ""; } } }
END
cat >"$TMP/haproxy.cfg" <<END
global
 nbthread 1
defaults
 mode http
 option splice-auto
 timeout connect 5s
 timeout client 20s
 timeout server 20s
listen l
 bind 127.0.0.1:$front
 server b 127.0.0.1:$web
END
cat >"$TMP/server.py" <<'END'
import http.server, sys
class Echo(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *a):
        pass
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Echo).serve_forever()
END
cat >"$TMP/client.py" <<'END'
import http.client, os, sys
sizes = 10, 5000, 70000, 600000, 1500000, 4000000
for keep in True, False:
    c = None
    for i in range(30):
        if not keep or not c:
            c = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=15)
        body = os.urandom(sizes[i % 6] + i)
        c.request("POST", "/", body=body)
        if c.getresponse().read() != body:
            print("different", len(body))
            sys.exit(1)
print("same")
END
"$zio" sockmap up "$group" >/dev/null || { fail up "see above"; finish; }
spawn "$zio" run --sockmap -- "$python" "$TMP/server.py" "$server"
spawn "$zio" run --sockmap -- "$(command -v nginx)" -p "$TMP/web" -c "$TMP/nginx.conf" -e "$TMP/web/log"
spawn "$zio" run --sockmap -- "$(command -v haproxy)" -q -db -f "$TMP/haproxy.cfg"
for port in $server $web $front; do
    wait_until 20 port_open "$port" || { fail "port $port" "nobody listens"; finish; }
done
for port in $web $front; do
    name=nginx
    [ "$port" = "$web" ] || name="haproxy and nginx"
    before=$(counter connections)
    check "$name" timeout 60 "$zio" run --sockmap -- "$python" "$TMP/client.py" "$port"
    [ "$(counter connections)" -gt "$before" ] || fail "$name" "nothing was joined"
done
finish
