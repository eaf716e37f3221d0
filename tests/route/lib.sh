# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# For tests of file routing: source it instead of ../lib.sh. $NATIVE is a directory on a disk, $ROUTED one of the same
# length that exists only as a volume's prefix; "${routed[@]}" runs a command with it.
export TMPDIR=${TMPDIR:-/tmp} # a file system with times and extended attributes like a disk's, rather than tmpfs
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
unset ZIO_FS ZIO_FDS
ZIO_FS_TOOL=$top_builddir/cli/zio-fs
NATIVE=$TMP/native
ROUTED=$TMP/routed
VOLUME=$TMP/volume

[ -e "$LIBZIO" ] && [ -e "$ZIO_FS_TOOL" ] || { fail "$TEST_NAME" "no $LIBZIO or $ZIO_FS_TOOL: run make first"; exit 1; }

# fresh: an empty native directory and an empty volume.
fresh() {
    rm -rf "$NATIVE" "$VOLUME"
    mkdir "$NATIVE"
    "$ZIO_FS_TOOL" format "local:$VOLUME" >"$TMP/format.out" 2>&1 || { fail format "$(cat "$TMP/format.out")"; exit 1; }
}

# To be put before a command.
routed=(env "ZIO_FS=$ROUTED=local:$VOLUME" "LD_PRELOAD=$LIBZIO")
