#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The conformance suite on a volume that zio run --fs serves to it in user space. Its processes become other users, who
# reach the files of the volume as themselves: so its directory is open to all (--dir-mode).
# deadline: 330
# usage: preload.sh [CASE...]
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/conform/lib.sh
. "$(dirname "$0")/lib.sh"
zio=$top_builddir/zio
"$zio" run --help 2>/dev/null | grep -q -- --fs || skip_all "this build has no zio run --fs"
begin
"$zio" fs format --dir-mode=777 "local:$DISK/vol" || { fail format; finish; }
prefix=/zio-conform-$$
verdict "$zio" run --fs "$prefix=local:$DISK/vol" -- "$CONFORM" --way preload "$prefix" "$@"
check "fsck finds nothing" "$zio" fs fsck "local:$DISK/vol"
finish
