# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# For the scripts of the conformance suite, after tests/lib.sh.
CONFORM=$top_builddir/tests/conform/conform
MOUNTS=()

# on_disk: a new directory on an ext4 file system, for the volumes and for the native run; prints it.
on_disk() {
    local dir
    for dir in "${TMPDIR:-/tmp}" /var/tmp "$top_builddir"; do
        if [ -w "$dir" ] && [ "$(stat -f -c %T "$dir")" = ext2/ext3 ]; then
            mktemp -d "$dir/zio-conform.XXXXXX"
            return
        fi
    done
    return 1
}

# begin: what every way needs; sets DISK, a directory that everybody may pass, and opens $TMP as the other file system.
begin() {
    [ "$(id -u)" = 0 ] || skip_all "the suite becomes other users, and so has to be started by user 0"
    DISK=$(on_disk) || skip_all "no ext4 file system to write to (tried ${TMPDIR:-/tmp}, /var/tmp and the build directory)"
    chmod 755 "$DISK" "$TMP"
    mkdir -m 777 "$TMP/other"
    trap end EXIT
}

end() {
    local dir
    for dir in ${MOUNTS[@]+"${MOUNTS[@]}"}; do umount "$dir" 2>/dev/null || umount -l "$dir"; done
    if [ -z "${KEEP_TMP:-}" ]; then rm -rf "$DISK"; else echo "kept: $DISK"; fi
    clean_up
}

# ro_view DIR VIEW: a read-only view of a directory, where this machine lets us mount.
ro_view() {
    mkdir -p "$2"
    mount --bind "$1" "$2" 2>/dev/null || return 1
    MOUNTS+=("$2")
    mount -o remount,bind,ro "$2"
}

# verdict COMMAND...: run the suite; its lines are the verdicts.
verdict() {
    local code
    timeout --kill-after=5 300 "$@" --exclusions "$top_srcdir/tests/conform/exclusions" --other "$TMP/other" \
        >"$TMP/lines" 2>&1
    code=$?
    cat "$TMP/lines"
    if [ $code -eq 0 ]; then
        n_ok=$(grep -c '^ok ' "$TMP/lines")
    else
        n_fail=1
        [ $code -eq 1 ] || echo "FAIL $TEST_NAME: the suite ended with $code"
    fi
}
