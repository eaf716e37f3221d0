# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# For the tests of zio mount: source it first. Volumes and mount points lie in $TMP; what is mounted is unmounted when
# the script ends, however it ends, before $TMP goes.
. "$(dirname "$0")/../lib.sh"

ZIO=$top_builddir/zio
IO=$top_builddir/tests/fs/mount_io
PEER=$top_builddir/tests/fs/mount_peer

trap 'unmount_all; clean_up' EXIT

[ -x "$ZIO" ] || { fail "$TEST_NAME" "no $ZIO: run make first"; exit 1; }
[ -c /dev/fuse ] || skip_all "/dev/fuse is missing: this kernel or container has no FUSE"
[ "$(id -u)" = 0 ] || command -v fusermount3 >/dev/null || skip_all "fusermount3 is missing (./quickstart installs it)"

# mounts: the mount points below $TMP, the topmost first.
mounts() {
    awk -v top="$TMP/" 'index($5, top) == 1 { print $5 }' /proc/self/mountinfo | tac
}

unmount_all() {
    local m pid
    for m in $(mounts); do umount -l "$m" 2>/dev/null || fusermount3 -uqz "$m"; done
    for pid in $(servers); do kill -TERM "$pid" 2>/dev/null; done
    for pid in $(servers); do wait_until 5 ended "$pid" || kill -KILL "$pid"; done
}

# ended PID: the process is over, though its parent (init) may not have looked yet.
ended() {
    ! readlink "/proc/$1/exe" >/dev/null
}

# servers [DIR]: the process ids of zio-mount for mounts below $TMP, or of the one on DIR.
servers() {
    local pid args
    for pid in $(grep -slF "zio mount" /proc/[0-9]*/cmdline | cut -d / -f 3); do
        [ "/proc/$pid/exe" -ef "$top_builddir/fsclient/fuse/zio-mount" ] || continue
        args=$(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null) || continue
        case "$args" in *" ${1:-$TMP}"[/\ ]*) echo "$pid" ;; esac
    done
}

# volume NAME [OPTION...]: a new volume in $TMP/NAME.
volume() {
    local name=$1
    shift
    "$ZIO" fs format "$@" "local:$TMP/$name" || fail "$TEST_NAME" "zio fs format gave $?"
}

# mount_on VOLUME DIR [OPTION...]: mounts $TMP/VOLUME on $TMP/DIR.
mount_on() {
    local vol=$1 dir=$2
    shift 2
    mkdir -p "$TMP/$dir"
    timeout 30 "$ZIO" mount "$@" "local:$TMP/$vol" "$TMP/$dir"
}

# users DIR: which processes use the mount $TMP/DIR, and by what.
users() {
    local link to
    for link in /proc/[0-9]*/{cwd,root,exe,fd/*,map_files/*}; do
        to=$(readlink "$link") && [[ $to == "$TMP/$1"* ]] || continue
        echo "    in use: $link $to ($(cat "/proc/$(cut -d / -f 3 <<<"$link")/comm"))"
    done 2>/dev/null
}

# unmount DIR: unmounts $TMP/DIR and waits for the server's end.
unmount() {
    local pid
    pid=$(servers "$TMP/$1")
    timeout 30 "$ZIO" umount "$TMP/$1" || { users "$1"; return 1; }
    [ -z "$pid" ] || wait_until 20 ended "$pid" || { echo "    process $pid still runs, without its mount"; return 1; }
}

mounted() {
    awk -v m="$TMP/$1" '$5 == m { found = 1 } END { exit !found }' /proc/self/mountinfo
}

# sound VOLUME: zio fs fsck has nothing to say.
sound() {
    "$ZIO" fs fsck "local:$TMP/$1" >"$TMP/fsck.out" 2>&1
}
