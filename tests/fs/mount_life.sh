#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# deadline: 120
# The life of a mount: the command line, errors, readiness, options, busy, signals, kill -9, fstab's helper.
. "$(dirname "$0")/mount_lib.sh"

volume v
V=local:$TMP/v M=$TMP/m
mkdir "$M"

# expect NAME CODE TEXT COMMAND...: the exit code, and what its messages say.
expect() {
    local name=$1 code=$2 text=$3 got
    shift 3
    timeout 30 "$@" >"$TMP/out" 2>&1 </dev/null
    got=$?
    if [ $got -ne "$code" ]; then
        fail "$name" "exit code $got, not $code: $(head -c 300 "$TMP/out")"
    elif ! grep -qe "$text" "$TMP/out"; then
        fail "$name" "no '$text' in: $(head -c 300 "$TMP/out")"
    else
        ok "$name"
    fi
}

# --- the command line ---
expect usage/none 2 'zio mount URL DIR' "$ZIO" mount
expect usage/option 2 "no option 'bogus'" "$ZIO" mount -o bogus "$V" "$M"
expect usage/number 2 'is no number' "$ZIO" mount -o timeout=soon "$V" "$M"
expect usage/help 0 'zio umount DIR' "$ZIO" mount --help
expect usage/umount 2 'zio umount DIR' "$ZIO" umount
expect error/no-volume 1 'nothing' "$ZIO" mount "local:$TMP/nothing" "$M"
expect error/no-driver 2 'bogus:' "$ZIO" mount "bogus:$TMP/v" "$M"
expect error/no-directory 1 'make the directory first' "$ZIO" mount "$V" "$TMP/none"
expect error/no-mount 1 'no volume is mounted' "$ZIO" umount "$M"
expect error/below 1 'would disappear' "$ZIO" mount "$V" "$TMP"
touch "$TMP/file"
expect error/file 1 'Not a directory' "$ZIO" mount "$V" "$TMP/file"
mounts | grep -q . && fail error/nothing-left "$(mounts)"

# --- mounted when it returns; the server has left the terminal ---
out=$(mount_on v m 2>&1) || fail mount "exit code $?: $out"
check mount/ready mounted m
check mount/silent test -z "$out"
pid=$(servers "$M")
check mount/server test -n "$pid"
check mount/session test "$(ps -o sid= -p "$pid" | tr -d ' ')" = "$pid"
check mount/stdio test "$(readlink "/proc/$pid/fd/0" "/proc/$pid/fd/1" "/proc/$pid/fd/2" | sort -u)" = /dev/null
check mount/type grep -q " $M rw.* - fuse.zio local:$TMP/v " /proc/self/mountinfo
echo kept >"$M/file"
expect mount/twice 1 'mounted already' "$ZIO" mount "$V" "$M"
exec 3>"$M/open"
expect umount/busy 1 'in use' "$ZIO" umount "$M"
check umount/busy-stays test "$(cat "$M/file")" = kept
"$ZIO" umount "$M" >"$TMP/out" 2>&1 3>&- &
wait_until 10 test "/proc/$!/exe" -ef "$top_builddir/fsclient/fuse/zio-mount"
exec 3>&-
check umount/busy-no-more wait $!
mount_on v m
check umount unmount m
check umount/gone eval '! mounted m'

# --- options ---
mount_on v m -o ro
check ro/read test "$(cat "$M/file")" = kept
check ro/write eval '! touch "$M/new" 2>/dev/null'
check ro/kernel grep -q " $M ro" /proc/self/mountinfo
unmount m
mount_on v m -o noexec,nosuid,nodev,defaults,nofail,x-systemd.automount,timeout=0,max_threads=2,noclone_fd
cp /bin/true "$M/true"
check options/noexec eval '! "$M/true" 2>/dev/null'
check options/kernel grep -q " $M rw,nosuid,nodev,noexec" /proc/self/mountinfo
check options/work test "$(cat "$M/file")" = kept
unmount m

# --- signals end it, and all is written ---
for sig in TERM INT HUP; do
    mount_on v m
    pid=$(servers "$M")
    /usr/bin/python3 - "$M/mapped" "$sig" <<'P'
import mmap, sys
f = open(sys.argv[1], 'w+b')
f.truncate(100000)
m = mmap.mmap(f.fileno(), 100000)
m[99990:99994] = sys.argv[2].ljust(4).encode()
P
    kill -s $sig "$pid"
    check "signal/$sig/ends" wait_until 10 ended "$pid"
    check "signal/$sig/unmounted" eval '! mounted m'
    mount_on v m
    check "signal/$sig/written" test "$(tail -c 10 "$M/mapped" | head -c 4 | tr -d ' ')" = $sig
    unmount m
done
mount_on v m
pid=$(servers "$M")
exec 3>"$M/open"
kill -TERM "$pid"
check signal/busy/ends wait_until 10 ended "$pid"
check signal/busy/unmounted eval '! mounted m'
check signal/busy/fails eval '! echo x >&3 2>/dev/null' 2>/dev/null
exec 3>&-
mount_on v m
pid=$(servers "$M")
fusermount3 -u "$M"
check signal/fusermount wait_until 10 ended "$pid"

# --- only its own mount is taken away: not one below it, nor one that came to the same place later ---
if [ "$(id -u)" = 0 ]; then
    volume w
    mount_on w m
    echo other >"$M/file"
    unmount m
    mount --bind "$TMP/w" "$M"
    mount_on v m
    pid=$(servers "$M")
    exec 3>"$M/open"
    kill -TERM "$pid"
    check own/ends wait_until 10 ended "$pid"
    check own/below test -e "$M/volume.conf"
    exec 3>&-
    umount "$M"
    mount_on v m
    pid=$(servers "$M")
    exec 3>"$M/open"
    "$ZIO" umount -l "$M"
    mount_on w m
    kill -TERM "$pid"
    check own/lazy-ends wait_until 10 ended "$pid"
    check own/later test "$(cat "$M/file")" = other
    exec 3>&-
    unmount m
fi

# --- foreground ---
spawn "$ZIO" mount -f "$V" "$M"
check foreground/mounts wait_until 10 mounted m
kill -INT "$SPAWNED"
reap "$SPAWNED" 10
check foreground/code test $? = 0

# --- kill -9: a dead mount, that the next one takes away ---
mount_on v m
pid=$(servers "$M")
echo late >"$M/late"
kill -KILL "$pid"
wait_until 10 ended "$pid"
check dead/is eval '! ls "$M" >/dev/null 2>&1 && mounted m'
expect dead/again 0 'was a dead mount' "$ZIO" mount "$V" "$M"
check dead/content test "$(cat "$M/late" "$M/file")" = $'late\nkept'
check dead/one test "$(mounts | wc -l)" = 1
pid=$(servers "$M")
kill -KILL "$pid"
wait_until 10 ended "$pid"
check dead/umount unmount m
check dead/umount-gone eval '! mounted m'
check dead/sound sound v

# --- fstab's helper ---
if [ "$(id -u)" = 0 ]; then
    mkdir -p "$TMP/bin" "$TMP/sbin"
    ln -s "$ZIO" "$TMP/bin/zio"
    cp "$top_srcdir/fsclient/fuse/mount.zio" "$TMP/sbin/"
    "$TMP/sbin/mount.zio" "$V" "$M" -s -o rw,noatime,nofail
    check fstab/mount test "$(cat "$M/file")" = kept
    check fstab/option grep -q " $M rw[a-z,]*noatime" /proc/self/mountinfo
    unmount m
fi

# --- without /dev/fuse, and as an ordinary user: in a mount namespace of their own ---
in_namespace() {
    unshare -m --propagation private bash -c "$1" >"$TMP/out" 2>&1 </dev/null
}
if [ "$(id -u)" = 0 ] && unshare -m true 2>/dev/null; then
    mknod "$TMP/nothing" c 10 254 # a device without a driver
    in_namespace "mount --bind '$TMP/nothing' /dev/fuse; exec '$ZIO' mount '$V' '$M'"
    check no-device/code test $? = 1
    check no-device/text grep -q /dev/fuse "$TMP/out"
    if [ ! -u "$(command -v fusermount3)" ]; then
        skip user "fusermount3 is not set-user-ID root"
    else
        chmod 755 "$TMP"
        mkdir "$TMP/u" "$TMP/um"
        mknod -m 666 "$TMP/fuse" c 10 229
        chown nobody "$TMP/u" "$TMP/um"
        cat >"$TMP/user.sh" <<END
        set -e
        '$ZIO' fs format 'local:$TMP/u/v'
        '$ZIO' mount 'local:$TMP/u/v' '$TMP/um'
        echo mine >'$TMP/um/file'
        [ "\$(stat -c %U:%a '$TMP/um/file')" = nobody:644 ]
        grep -q ' $TMP/um rw,nosuid,nodev.* fuse.zio ' /proc/self/mountinfo
        ! '$ZIO' mount 'local:$TMP/u/v' '$M'
        '$ZIO' umount '$TMP/um'
        ! grep -q ' $TMP/um ' /proc/self/mountinfo
        echo passed
END
        in_namespace "mount --bind '$TMP/fuse' /dev/fuse && timeout 30 setpriv --reuid nobody --regid nogroup \
            --clear-groups bash '$TMP/user.sh'"
        if grep -q passed "$TMP/out"; then ok user; else fail user "$(tail -n 3 "$TMP/out")"; fi
    fi
else
    skip user "no mount namespaces here"
fi
finish
