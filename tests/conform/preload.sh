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
prefix=/zio-conform-$$
# Who makes the volume and its first files lets nobody in by default: that must not shut the others out.
umask 077
"$zio" fs format --dir-mode=777 --mode=755 "local:$DISK/vol" || { fail format; finish; }
check "first file" "$zio" run --fs "$prefix=local:$DISK/vol" -- bash -c "echo text >$prefix/first"
umask 022
if setpriv --reuid=12001 --regid=12101 --clear-groups "$zio" --version >/dev/null 2>&1; then
    check "another user" setpriv --reuid=12001 --regid=12101 --clear-groups "$zio" fs ls "local:$DISK/vol"
else
    skip "another user" "the build directory is closed to other users"
fi
verdict "$zio" run --fs "$prefix=local:$DISK/vol" --fs "$prefix-ro=ro,local:$DISK/vol" -- \
    "$CONFORM" --ro "$prefix-ro" --way preload "$prefix" "$@"
check "fsck finds nothing" "$zio" fs fsck "local:$DISK/vol"
finish
