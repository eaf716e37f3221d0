#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# FIFOs and sockets of a volume while their makers are killed: what is left serves the next ones, and the nodes that
# stand for inodes which are gone go with the next check.
# deadline: 60
# shellcheck source=tests/route/lib.sh
. "$(dirname "$0")/lib.sh"
need python3 timeout
fresh

cat >"$TMP/work.py" <<'PY'
import os, socket, sys
os.chdir(sys.argv[1])
for i in range(1000000):
    n = str(i % 7)
    for name in ("p" + n, "s" + n):
        if os.path.lexists(name):
            os.unlink(name)
    os.mkfifo("p" + n)
    fd = os.open("p" + n, os.O_RDWR)
    os.write(fd, b"x")
    os.rename("p" + n, "p" + str(i % 5))
    s = socket.socket(socket.AF_UNIX)
    s.bind("s" + n)
    s.listen(1)
    c = socket.socket(socket.AF_UNIX)
    c.connect("s" + n)
    c.close()
    s.close()
    os.close(fd)
    print(i, flush=True)
PY

for round in 1 2 3 4 5 6; do
    coproc maker { exec "${routed[@]}" python3 "$TMP/work.py" "$ROUTED" 2>"$TMP/err"; }
    pid=$! lines=0
    while [ $lines -lt $((round * 5)) ] && read -r -t 20 -u "${maker[0]}" _; do lines=$((lines + 1)); done
    kill -9 "$pid"
    wait "$pid" 2>/dev/null
    if [ $lines -eq $((round * 5)) ]; then ok "round-$round"; else fail "round-$round" "$lines lines: $(tail -n 1 "$TMP/err")"; fi
done
"${routed[@]}" find "$ROUTED" -type p >"$TMP/fifos"
check fsck "$ZIO_FS_TOOL" fsck --repair "local:$VOLUME"
check "no-node-without-inode" [ "$(find "$VOLUME/nodes" -type p | wc -l)" -le "$(wc -l <"$TMP/fifos")" ]
"${routed[@]}" find "$ROUTED" -type s -o -type p >"$TMP/all"
check "no-other-left" [ "$(find "$VOLUME/nodes" -name '[0-9]*' ! -name '*.name' | wc -l)" -le "$(wc -l <"$TMP/all")" ]
# shellcheck disable=SC2016 # the inner shell's variables
check serves "${routed[@]}" bash -c 'rm -f "$1"/* && mkfifo "$1/p" && { echo text >"$1/p" & read -r x <"$1/p"; wait; [ "$x" = text ]; }' \
    bash "$ROUTED"
finish
