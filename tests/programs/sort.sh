#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# sort and its relatives on large files: in memory, through temporary files, with threads.
# deadline: 600

work() {
    set -e
    sort "$DATA/lines" | tee sorted | sha256sum
    sort -c sorted
    sort -S 4M --parallel=2 -T . "$DATA/lines" | cmp - sorted
    sort -n -r -k2,2 "$DATA/lines" | sha256sum
    sort -u -k1.1,1.3 "$DATA/lines" | sha256sum
    sort -m sorted sorted | uniq -d | sha256sum
    shuf --random-source="$DATA/random" "$DATA/lines" | sort | cmp - sorted
    tac sorted | tac | cmp - sorted
    join sorted sorted 2>/dev/null | wc -l
    comm -12 sorted sorted | cmp - sorted
    awk '{ n[substr($1, 1, 2)] += $2 } END { for (k in n) print k, n[k] }' "$DATA/lines" | sort | sha256sum
    sed -n 's/^\(..\)\(.*\)/\2\1/p' "$DATA/lines" | sha256sum
    grep -c abc "$DATA/lines"
    wc "$DATA/lines" | awk '{ print $1, $2, $3 }'
}

if [ "${1:-}" = work ]; then work; exit; fi
. "$(dirname "$0")/../lib.sh"
need openssl sort
mkdir -p "$TMP/data"
noise 7 $((8 << 20)) | od -An -v -tx1 -w24 | tr -d ' ' | awk '{ print substr($0, 1, 40), NR * 7919 % 1000003, $0 }' >"$TMP/data/lines"
noise 8 $((8 << 20)) >"$TMP/data/random"
each_cell 60
finish
