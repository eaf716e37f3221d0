#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# An ordinary user: with access to /dev/userfaultfd (as the udev rule gives it) copies are elided; without, the
# program runs plainly and the library says why. Root is needed to become somebody else; the device's mode is changed
# only in a mount namespace of the test's own.
# deadline: 120
. "$(dirname "$0")/../lib.sh"
need /usr/bin/python3 setpriv unshare
[ "$(id -u)" = 0 ] || skip_all "only root can run a program as another user"
[ "$(cat /proc/sys/vm/unprivileged_userfaultfd)" = 0 ] || skip_all "vm.unprivileged_userfaultfd=1 lets every user elide"
unshare --mount --propagation private true 2>/dev/null || skip_all "no private mount namespace can be made here"
[ -c /dev/userfaultfd ] || skip_all "/dev/userfaultfd is missing (Linux 6.1)"

# The build tree may be out of a user's reach.
mkdir "$TMP/lib"
cp "$LIBZIO" "$TMP/lib/libzio.so"
mkdir -m 777 "$TMP/out"
chmod 755 "$TMP" "$TMP/lib" "$TMP/lib/libzio.so"
cat >"$TMP/copies.py" <<'END'
import hashlib
import random
import socket

noise = random.Random(3).randbytes(3 << 20)
digest = hashlib.sha256()
left, right = socket.socketpair()
kept = []
for i in range(40):
    copy = bytearray(noise)
    again = bytes(copy)
    copy[i * 5000:i * 5000 + 3] = b"zio"
    left.sendall(again[i * 7:i * 7 + 60000])
    digest.update(right.recv(60000, socket.MSG_WAITALL))
    kept = (kept + [copy, again])[-6:]
for data in kept:
    digest.update(data)
print(digest.hexdigest())
END
chmod 644 "$TMP/copies.py"

# as_nobody DEVICE_MODE NAME=VALUE...: the program as user 65534, with /dev/userfaultfd of that mode.
as_nobody() {
    local mode=$1
    shift
    # shellcheck disable=SC2016
    timeout 60 unshare --mount --propagation private sh -c '
        mode=$1 dir=$2
        shift 2
        mount -t tmpfs -o mode=755 none /mnt && cp -a /dev/userfaultfd /mnt/node && chmod "$mode" /mnt/node &&
            mount --bind /mnt/node /dev/userfaultfd || exit 99
        exec setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all env "$@" /usr/bin/python3 -I "$dir/copies.py"' \
        sh "$mode" "$TMP" "$@"
}

as_nobody 600 >"$TMP/plain" 2>&1
status=$?
[ $status -ne 99 ] || skip_all "no mount namespace can be made here"
check user/plain test $status -eq 0

for mode in 666 600; do
    STATS=$TMP/out/stats.$mode
    as_nobody $mode "ZIO_STATS=$STATS" ZIO_THRESHOLD=4096 ZIO_POLICY=always LD_PRELOAD="$TMP/lib/libzio.so" >"$TMP/shim.$mode" 2>&1
    same "user/device-$mode" "$TMP/plain" "$TMP/shim.$mode"
    n=$(counted copies_elided "$STATS")
    case $mode in
    666) check "user/device-$mode/active ($n copies elided)" test "$n" -gt 0 ;;
    600) check "user/device-$mode/off ($n copies elided)" test "$n" -eq 0 ;;
    esac
    prove_gone "user/device-$mode"
done
log=$(as_nobody 600 ZIO_LOG=info LD_PRELOAD="$TMP/lib/libzio.so" 2>&1 | grep -ai 'zio' | head -n 5)
check "user/says-why" grep -q 'elision is off: .*zio doctor' <<<"$log"
echo "$log"
finish
