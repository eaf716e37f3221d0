#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The conformance suite on the kernel's own ext4: what does not hold there is an error of the suite.
# deadline: 330
# usage: ext4.sh [CASE...]
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/conform/lib.sh
. "$(dirname "$0")/lib.sh"
begin
mkdir "$DISK/rw"
if ro_view "$DISK/rw" "$DISK/ro"; then
    verdict "$CONFORM" --ro "$DISK/ro" --way ext4 "$DISK/rw" "$@"
else
    verdict "$CONFORM" --way ext4 "$DISK/rw" "$@"
fi
twice=$(awk '/^(ok|FAIL|skip) / { sub(/:$/, "", $2); print $2 }' "$TMP/lines" | sort | uniq -d | tr '\n' ' ')
check "every check has a name of its own ${twice:+(not: $twice)}" test -z "$twice"
finish
