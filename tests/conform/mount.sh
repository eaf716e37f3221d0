#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The conformance suite on a volume that is mounted by FUSE.
# deadline: 330
# usage: mount.sh [CASE...]
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/conform/lib.sh
. "$(dirname "$0")/lib.sh"
zio=$top_builddir/zio
"$zio" mount --help >/dev/null 2>&1 || skip_all "this build has no zio mount (configure found no libfuse3)"
[ -w /dev/fuse ] || skip_all "no /dev/fuse that can be opened"
begin
mkdir "$DISK/rw" "$DISK/ro"
"$zio" fs format "local:$DISK/vol" || { fail format; finish; }
for how in rw ro; do
    MOUNTS+=("$DISK/$how")
    timeout 20 "$zio" mount -o "$how" "local:$DISK/vol" "$DISK/$how" || { fail "mount -o $how"; finish; }
done
verdict "$CONFORM" --ro "$DISK/ro" --way mount "$DISK/rw" "$@"
check "umount" umount "$DISK/rw"
check "umount-ro" umount "$DISK/ro"
MOUNTS=()
check "fsck finds nothing" "$zio" fs fsck "local:$DISK/vol"
finish
