# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the scripts of this folder share. Each is called as `NAME.sh check DIR` (exit code 77, and a line that says what is
# missing), `NAME.sh start DIR` (everything on this machine, its state below DIR, mounted at DIR/mnt; 0 when it is there)
# and `NAME.sh stop DIR`. `zio bench fs` calls them; they work by hand, too. As root, on Debian 12.
set -u
[ $# = 2 ] || { echo "usage: ${0##*/} check|start|stop DIR" >&2; exit 2; }
# shellcheck disable=SC2034 # used by the scripts
verb=$1 dir=$2 mnt=$2/mnt

die() {
    echo "${0##*/}: $*" >&2
    exit 1
}

# need PACKAGE=PROGRAM...
need() {
    local p missing=
    for p in "$@"; do
        command -v "${p#*=}" >/dev/null || missing="$missing ${p%=*}"
    done
    [ -e /dev/fuse ] || { echo "there is no /dev/fuse here"; exit 77; }
    [ -z "$missing" ] || { echo "not installed: apt install --no-install-recommends$missing"; exit 77; }
    [ "$(id -u)" = 0 ] || { echo "only root can start it"; exit 77; }
}

# wait_for SECONDS COMMAND...: until it succeeds.
wait_for() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.1
    done
}

unmounted() {
    ! mountpoint -q "$mnt" || umount "$mnt"
}

# end PID: asks it to end, and makes it after ten seconds.
gone() {
    ! kill -0 "$1"
}
end() {
    kill "$1" 2>/dev/null || return 0
    wait_for 10 gone "$1" || kill -9 "$1" 2>/dev/null
}

# end_file FILE NAME: the process whose id the file holds, if it still is a NAME.
end_file() {
    local pid
    pid=$(cat "$1" 2>/dev/null) || return 0
    [ -n "$pid" ] && grep -q "$2" "/proc/$pid/comm" 2>/dev/null && end "$pid"
    return 0
}
