#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every way that this build and machine have, but others' file systems, which take a minute to start. Then a volume of the
# user's: what the bench leaves in it is nothing.
. "${0%/*}/smoke.sh"
zio=$build/zio
TMPDIR=$out
export TMPDIR
smoke fs
for way in native lib; do
	grep -q "\"$way\"" "$out/json" || { echo "no figures of $way"; exit 1; }
done
leftover=$(find "$out" -name 'zio-bench.*')
[ -z "$leftover" ] || { echo "left behind: $leftover"; exit 1; }

"$zio" fs format "local:$out/volume" || exit 1
smoke fs --ways native,lib --rows read,create "local:$out/volume"
names=$("$zio" fs ls "local:$out/volume")
[ -z "$names" ] || { echo "left in the volume: $names"; exit 1; }

# Wrong words are refused, and a peer that is not there is named and left out.
for bad in '--ways native,nfs' '--rows read,walk' '--size 1' '--million=1' /nonexistent nfs:/x; do
	# shellcheck disable=SC2086
	"$bench" fs --smoke $bad >/dev/null 2>"$out/err"
	rc=$?
	[ $rc = 64 ] || { echo "fs $bad: exit code $rc instead of 64"; cat "$out/err"; exit 1; }
done
(PATH=/nonexistent "$bench" fs --smoke --json --ways native,lib,moosefs --rows stat) >"$out/json" 2>"$out/err" || { cat "$out/err"; exit 1; }
grep -q 'without moosefs: .*apt install' "$out/err" || { echo "a missing peer is not named"; cat "$out/err"; exit 1; }
