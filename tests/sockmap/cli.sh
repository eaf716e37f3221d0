#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# zio sockmap and zio run --sockmap: what they print, what they leave behind, and what they leave alone.
# shellcheck disable=SC2016 # $ in quotes is for the inner shell
. "$(dirname "$0")/lib.sh"

# run CODE NAME COMMAND...: what it prints goes to $TMP/out and $TMP/err.
run() {
    local want=$1 name=$2 got
    shift 2
    timeout 60 "$@" >"$TMP/out" 2>"$TMP/err"
    got=$?
    if [ $got = "$want" ]; then
        ok "$name"
    else
        fail "$name" "exit code $got instead of $want: $(head -n 2 "$TMP/err")"
    fi
}

# has NAME PATTERN FILE
has() {
    if grep -Eq -- "$2" "$TMP/$3"; then ok "$1"; else fail "$1" "'$2' is not in $3: $(head -n 3 "$TMP/$3")"; fi
}

is() {
    if [ "$2" = "$3" ]; then ok "$1"; else fail "$1" "$2 instead of $3"; fi
}

# Talks to itself over TCP: $1 messages of $2 bytes and back; prints `same` when all came back as they went.
cat >"$TMP/echo.py" <<'END'
import os, socket, sys, threading
n, size = int(sys.argv[1]), int(sys.argv[2])
host = sys.argv[3] if len(sys.argv) > 3 else "127.0.0.1"
listener = socket.socket()
listener.bind((host, 0))
listener.listen(5)
def serve():
    c, _ = listener.accept()
    while True:
        d = c.recv(1 << 16)
        if not d:
            break
        c.sendall(d)
    c.close()
t = threading.Thread(target=serve)
t.start()
s = socket.create_connection(listener.getsockname()[:2])
good = True
for i in range(n):
    m, got = os.urandom(size), b""
    s.sendall(m)
    while len(got) < size:
        got += s.recv(1 << 16)
    good = good and got == m
s.close()
t.join()
print("same" if good else "different")
END

# --- off ---
run 0 "status when off" "$zio" sockmap status
has "status says off" '^Off' out
run 0 "down when off" "$zio" sockmap down
run 2 "no command" "$zio" sockmap
run 2 "an unknown command" "$zio" sockmap sideways
run 2 "up without a group" "$zio" sockmap up
run 2 "down with an argument" "$zio" sockmap down x
run 1 "up with no such group" "$zio" sockmap up /no/such/group
has "it is named" '/no/such/group: there is no such control group' err
run 1 "no BPF file system" "$zio" sockmap up --bpffs "$TMP" "$group"
has "how to mount one" 'mount -t bpf bpf' err
run 0 "nothing is left of the failures" "$zio" sockmap status
has "still off" '^Off' out

# --- up ---
run 0 "up" "$zio" sockmap up "$group"
run 0 "up again" "$zio" sockmap up "$group"
run 0 "status" "$zio" sockmap status
has "the group is listed once" "zio-test-$$ +zio sockmap up" out
run 0 "an echo in the group" "${in_group[@]}" "$python" "$TMP/echo.py" 50 1000
has "its bytes" '^same$' out
is "its connection was joined" "$(counter connections)" 1
is "every message was redirected" "$(counter redirected_messages)" 100
run 0 "an echo outside" "$python" "$TMP/echo.py" 5 1000
is "it was left alone" "$(counter connections)" 1

# --- options that are refused, as by a kernel that does not have them ---
cat >"$TMP/options.py" <<'END'
import errno, socket
l = socket.socket()
l.bind(("127.0.0.1", 0))
l.listen(1)
s = socket.create_connection(l.getsockname())
for level, name, value in (1, 60, 1), (1, 42, 0), (6, 31, b"tls"), (6, 19, 1), (6, 36, 1), (1, 9, 1):
    try:
        s.setsockopt(level, name, value)
        print(name, "granted")
    except OSError as e:
        print(name, errno.errorcode[e.errno])
END
run 0 "options" "${in_group[@]}" "$python" "$TMP/options.py"
is "SO_ZEROCOPY, SO_PEEK_OFF, TCP_ULP, TCP_REPAIR, TCP_INQ refused, SO_KEEPALIVE not" \
    "$(tr '\n' ' ' <"$TMP/out")" "60 ENOTSUP 42 ENOTSUP 31 ENOENT 19 EPERM 36 ENOPROTOOPT 9 granted "

# --- down, with bytes in a queue ---
cat >"$TMP/hold.py" <<'END'
import socket, sys
l = socket.socket()
l.bind(("127.0.0.1", 0))
l.listen(1)
s = socket.create_connection(l.getsockname())
c, _ = l.accept()
s.sendall(b"x" * 1000)
print("held", flush=True)
sys.stdin.readline()
print(len(c.recv(2000)), flush=True)
sys.stdin.readline()
s.sendall(b"after")
print(c.recv(10).decode(), flush=True)
END
coproc HOLD { "${in_group[@]}" "$python" "$TMP/hold.py"; }
hold_pid=$HOLD_PID
read -r line <&"${HOLD[0]}"
is "bytes are held" "$line" held
run 0 "status with a connection" "$zio" sockmap status --json
"$python" - "$TMP/out" >"$TMP/answer" <<'END'
import json, sys
ends = json.load(open(sys.argv[1]))["connections"]
print(len(ends), sum(e["waiting_bytes"] for e in ends), sorted(e["state"] for e in ends)[0])
END
is "both ends are listed, and what waits" "$(cat "$TMP/answer")" "2 1000 established"
run 1 "down while bytes wait" "$zio" sockmap down
has "it says so" '1 connections hold bytes' err
echo >&"${HOLD[1]}"
read -r line <&"${HOLD[0]}"
is "they can be read" "$line" 1000
run 0 "down" "$zio" sockmap down
echo >&"${HOLD[1]}"
read -r line <&"${HOLD[0]}"
is "the connection goes on through TCP" "$line" after
wait "$hold_pid" 2>/dev/null
check "nothing is pinned" test ! -e /sys/fs/bpf/zio-sockmap

# --- run ---
for code in 0 7 255; do
    run $code "run: exit code $code" "$zio" run --sockmap -- sh -c "exit $code"
done
run 143 "run: a signal" sh -c '"$1" run --sockmap -- sh -c "kill -TERM \$\$"; exit $?' - "$zio"
"$zio" run --sockmap -- sh -c 'echo $$; exec sed -n s/^0:://p /proc/self/cgroup' >"$TMP/out" &
pid=$!
wait $pid
is "run: the program is zio's process" "$(head -n 1 "$TMP/out")" $pid
is "run: in a group of its own" "$(tail -n 1 "$TMP/out")" "${here_group%/}/zio-run-$pid"
check "run: the group is removed" wait_until 10 group_gone $pid
check "run: nothing stays pinned" wait_until 10 test ! -e /sys/fs/bpf/zio-sockmap
run 0 "run: standard output closes with the program" sh -c '"$1" run --sockmap -- true | cat' - "$zio"
sed 's/socket.socket()/socket.socket(socket.AF_INET6)/' "$TMP/echo.py" >"$TMP/echo6.py"
run 0 "run: IPv6" "$zio" run --sockmap -- "$python" "$TMP/echo6.py" 20 5000 ::1
has "its bytes over IPv6" '^same$' out

# Two runs find each other.
cat >"$TMP/server.py" <<'END'
import socket
l = socket.socket()
l.bind(("127.0.0.1", 0))
l.listen(1)
print(l.getsockname()[1], flush=True)
c, _ = l.accept()
while True:
    d = c.recv(100)
    if not d:
        break
    c.sendall(d)
END
coproc SERVER { exec "$zio" run --sockmap -- "$python" "$TMP/server.py"; }
server_pid=$SERVER_PID
read -r port <&"${SERVER[0]}"
cat >"$TMP/client.py" <<'END'
import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
s.sendall(b"hello")
print(s.recv(10).decode())
END
run 0 "run: a second run" "$zio" run --sockmap -- sh -c '"$@"; zio=$0; "$zio" sockmap status --json' "$zio" "$python" "$TMP/client.py" "$port"
has "it talks with the first" '^hello$' out
has "past TCP" '"redirected_messages": 2' out
wait "$server_pid" 2>/dev/null
check "run: the last one takes the pins away" wait_until 10 test ! -e /sys/fs/bpf/zio-sockmap

# --- what is not there ---
run 3 "features: taken away" env ZIO_FEATURES=-sockmap "$zio" run --sockmap -- sh -c 'exit 3'
has "features: said so" 'taken away by ZIO_FEATURES=-sockmap' err
run 3 "no privilege: plain TCP" setpriv --reuid 65534 --clear-groups "$zio" run --sockmap -- sh -c 'exit 3'
has "no privilege: said so" '--sockmap: .*needs root.*plain TCP' err
printf 'int main(void) { return 5; }\n' | gcc -static -x c -o "$TMP/static" - 2>/dev/null &&
    { run 5 "a static program" "$zio" run --sockmap -- "$TMP/static"; has "it uses plain TCP" 'static.*plain TCP' err; }
umount /sys/fs/bpf
run 0 "no BPF file system: a set for this run alone" "$zio" run --sockmap -- "$python" "$TMP/echo.py" 20 1000
has "its bytes, too" '^same$' out
mount -t bpf bpf /sys/fs/bpf

# --- another network namespace: the same addresses there are not the same ---
if ip link add zsm0 type veth peer name zsm1 2>/dev/null && ip netns add zsm 2>/dev/null; then
    ip link set zsm1 netns zsm && ip addr add 10.77.0.1/24 dev zsm0 && ip link set zsm0 up &&
        ip -n zsm addr add 10.77.0.2/24 dev zsm1 && ip -n zsm link set zsm1 up
    "$zio" sockmap up "$group" >/dev/null
    coproc FAR { "${in_group[@]}" "$python" -c 'import socket
l = socket.socket(); l.bind(("10.77.0.1", 0)); l.listen(1); print(l.getsockname()[1], flush=True)
c, _ = l.accept(); c.sendall(c.recv(10))'; }
    far_pid=$FAR_PID
    read -r port <&"${FAR[0]}"
    run 0 "another namespace" "${in_group[@]}" ip netns exec zsm "$python" -c 'import socket, sys
s = socket.create_connection(("10.77.0.1", int(sys.argv[1]))); s.sendall(b"far"); print(s.recv(9).decode())' "$port"
    has "its bytes arrive" '^far$' out
    is "it is not joined" "$(counter connections)" 0
    wait "$far_pid" 2>/dev/null
    ip netns del zsm
    "$zio" sockmap down >/dev/null
else
    skip "another namespace" "no veth device or named namespace can be made (iproute2)"
fi

# --- other BPF programs on the group ---
other=$top_builddir/tests/sockmap/other.bpf.o
bpftool=$(PATH=$PATH:/usr/sbin:/sbin command -v bpftool)
mkdir /sys/fs/bpf/other
if "$bpftool" prog loadall "$other" /sys/fs/bpf/other pinmaps /sys/fs/bpf/other 2>"$TMP/err"; then
    "$bpftool" cgroup attach "$group" sock_ops pinned /sys/fs/bpf/other/other_count multi
    "$zio" sockmap up "$group" >/dev/null
    run 0 "beside a program that counts" "${in_group[@]}" "$python" "$TMP/echo.py" 20 1000
    has "the bytes beside it" '^same$' out
    is "joined beside it" "$(counter connections)" 1
    "$bpftool" cgroup detach "$group" sock_ops pinned /sys/fs/bpf/other/other_count
    "$zio" sockmap down >/dev/null
    "$bpftool" prog attach pinned /sys/fs/bpf/other/other_send msg_verdict pinned /sys/fs/bpf/other/other_socks
    "$bpftool" cgroup attach "$group" sock_ops pinned /sys/fs/bpf/other/other_take multi
    "$zio" sockmap up "$group" >/dev/null
    run 0 "beside a program with a sockmap of its own" "${in_group[@]}" "$python" "$TMP/echo.py" 20 1000
    has "the bytes beside that" '^same$' out
    is "its sockets are left to it" "$(counter connections)" 0
    "$bpftool" cgroup detach "$group" sock_ops pinned /sys/fs/bpf/other/other_take
    "$zio" sockmap down >/dev/null
else
    fail "other programs" "they do not load: $(tail -n 1 "$TMP/err")"
fi

# --- a keeper that is killed ---
mkfifo "$TMP/stay"
spawn "$zio" run --sockmap -- sh -c "read x <'$TMP/stay'"
run_pid=$SPAWNED
check "a run is pinned" wait_until 10 test -e "/sys/fs/bpf/zio-sockmap/links/run-$run_pid-sockops"
keeper=$(pgrep -f -x "zio run keep $run_pid")
check "its keeper is there" test -n "$keeper"
kill -KILL "$keeper"
check "the attachment outlives it" test -e "/sys/fs/bpf/zio-sockmap/links/run-$run_pid-sockops"
echo >"$TMP/stay"
wait "$run_pid"
run 0 "down tidies up after it" "$zio" sockmap down
check "nothing is pinned any more" test ! -e /sys/fs/bpf/zio-sockmap
rm -rf /sys/fs/bpf/other
rmdir "${cgroups}${here_group%/}/zio-run-$run_pid" 2>/dev/null
finish
