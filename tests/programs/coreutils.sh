#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# bash and the coreutils: dd with many block sizes, pipes, large variables, split and join.
# deadline: 600

work() {
    set -e
    local bs n
    for bs in 1021 4096 4097 12288 65536 65537 262144 1000003 1M 4M 16M; do
        dd if="$DATA/big" bs="$bs" iflag=fullblock status=none | sha256sum
        dd if="$DATA/big" of=copy ibs="$bs" obs=8191 status=none
        cmp "$DATA/big" copy
        dd if="$DATA/big" bs="$bs" conv=swab,sync status=none | sha256sum
        dd if="$DATA/big" of=copy bs="$bs" skip=1 seek=2 count=1 conv=notrunc status=none
        sha256sum copy
    done
    cat "$DATA/big" "$DATA/big" | cat | cat >twice
    cmp <(head -c "$(stat -c %s "$DATA/big")" twice) "$DATA/big"
    tee one two <"$DATA/big" | cmp - "$DATA/big"
    cmp one two
    split -b 700001 "$DATA/big" part.
    cat part.* | cmp - "$DATA/big"
    split -n 7 --filter='sha256sum' "$DATA/big"
    tail -c 5000001 "$DATA/big" | sha256sum
    head -c -3000001 "$DATA/big" | sha256sum
    cp --sparse=always --reflink=never "$DATA/big" sparse
    cmp sparse "$DATA/big"
    cp --reflink=never "$DATA/big" copied
    truncate -s 12345678 copied
    cksum copied one | cut -d ' ' -f 1,2
    base64 "$DATA/big" | base64 -d | cmp - "$DATA/big"
    od -v -tx8 -An "$DATA/big" | sha256sum
    tr 'a-z' 'A-Z' <"$DATA/text" | fold -w 37 | sha256sum
    cmp "$DATA/big" twice || echo "cmp: $?"
    # bash itself copies: large variables, here-documents, command substitutions.
    n=$(head -n 12000 "$DATA/text")
    echo ${#n}
    printf %s "${n//7/seven}" | sha256sum
    sha256sum <<<"$n$n"
    (echo "$n" | while read -r line; do [ "$line" != 9999 ] || echo found; done)
    mapfile -t lines <"$DATA/text"
    echo "${#lines[@]} ${lines[1234]}"
    (exit 7) || echo "exit $?"
    (kill -TERM $BASHPID) || echo "signal $?"
}

if [ "${1:-}" = work ]; then work; exit; fi
. "$(dirname "$0")/../lib.sh"
need openssl dd
mkdir -p "$TMP/data"
noise 11 $((9 * 1000003)) >"$TMP/data/big"
seq 1 200000 >"$TMP/data/text"
PROVE=1
each_cell 60
finish
