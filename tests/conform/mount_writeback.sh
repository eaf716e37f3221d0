#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The conformance suite on a volume that is mounted with the kernel's writeback cache.
# deadline: 330
# usage: mount_writeback.sh [CASE...]
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/conform/lib.sh
. "$(dirname "$0")/lib.sh"
zio=$top_builddir/zio
"$zio" mount --help >/dev/null 2>&1 || skip_all "this build has no zio mount (configure found no libfuse3)"
[ -w /dev/fuse ] || skip_all "no /dev/fuse that can be opened"
begin
mkdir "$DISK/rw"
"$zio" fs format "local:$DISK/vol" || { fail format; finish; }
MOUNTS+=("$DISK/rw")
timeout 20 "$zio" mount -o writeback "local:$DISK/vol" "$DISK/rw" || { fail "mount -o writeback"; finish; }
verdict "$CONFORM" --way writeback "$DISK/rw" "$@"
check "umount" umount "$DISK/rw"
MOUNTS=()
check "fsck finds nothing" "$zio" fs fsck "local:$DISK/vol"
finish
