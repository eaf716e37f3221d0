# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# For the tests of unmodified programs whose files lie in a volume: source it first. A script's work is `SCRIPT work`,
# done in an empty directory, three ways: on the disk below (native), preloaded with a prefix that exists nowhere else
# (preload), and through the mount (mount). The directories' names are equally long; outputs call each of them ROOT.
export TMPDIR=${TMPDIR:-/tmp} # a file system with times and extended attributes like a disk's, rather than tmpfs
. "$(dirname "${BASH_SOURCE[0]}")/../fs/mount_lib.sh"
unset ZIO_FS ZIO_FDS
# The work has builds of its own: they must not take over the variables and the job server of the one that runs the tests.
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES TESTS
mkdir "$TMP/native"

# way_of WAY: DIR becomes the directory of a way, and UNDER what is to be put before a command; a volume is made for it.
way_of() {
    UNDER=(env)
    DIR=$TMP/native
    case $1 in
    preload)
        DIR=$TMP/routed
        volume volume.preload
        UNDER=("$ZIO" run --fs "$DIR=local:$TMP/volume.preload" --) ;;
    mount)
        DIR=$TMP/fusefs
        volume volume.mount
        mount_on volume.mount fusefs || fail "$TEST_NAME/mount" "zio mount gave $?" ;;
    esac
}

# way_ends WAY: what must hold afterwards.
way_ends() {
    case $1 in
    preload) check "$TEST_NAME/preload/routed-only" test ! -e "$TMP/routed" ;;
    mount) check "$TEST_NAME/mount/unmounted" unmount fusefs ;;
    native) return 0 ;;
    esac
    if sound "volume.$1"; then ok "$TEST_NAME/$1/sound"; else fail "$TEST_NAME/$1/sound" "$(head -n 5 "$TMP/fsck.out")"; fi
}

# work_in WAY SECONDS [ARG...]: the work in the way's directory, with its output in $TMP/out.WAY and its errors in err.WAY.
work_in() {
    local way=$1 limit=$2
    shift 2
    # In the background, since bash would put off its own end until a command in the foreground is done.
    DIR=$DIR spawn timeout --kill-after=5 "$limit" "${UNDER[@]}" bash -c 'cd "$DIR" && exec bash "$@"' bash "$SELF" work "$@" \
        >"$TMP/out.$way" 2>"$TMP/err.$way" </dev/null
    wait "$SPAWNED"
    echo "exit code $?" >>"$TMP/out.$way"
    sed -i "s|$DIR|ROOT|g" "$TMP/out.$way" "$TMP/err.$way"
}

# three_ways SECONDS: the work of the script natively, where it must succeed, preloaded and mounted: the same output.
# A way may take SECONDS, and more where the native run shows that the machine is busy.
three_ways() {
    local way limit=$1 began
    for way in native preload mount; do
        way_of $way
        began=$SECONDS
        work_in $way "$limit"
        echo "    $way: $((SECONDS - began)) s"
        if [ $way = native ]; then
            limit=$((limit + 5 * (SECONDS - began)))
            grep -qx 'exit code 0' "$TMP/out.native" ||
                fail "$TEST_NAME/native" "the work itself fails: $(tail -n 3 "$TMP/out.native" "$TMP/err.native")"
        else
            same "$TEST_NAME/$way" "$TMP/out.native" "$TMP/out.$way"
            same "$TEST_NAME/$way/errors" "$TMP/err.native" "$TMP/err.$way"
        fi
        way_ends $way
    done
}
