#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# tar and gzip: round trips of a tree with small, large, sparse and linked files.
# deadline: 600

work() {
    set -e
    local b
    for b in 1 20 512; do
        tar -c -b "$b" -f "t$b.tar" -C "$DATA" --sort=name --mtime=@0 --owner=0 --group=0 tree
        mkdir "x$b"
        tar -x -b "$b" -f "t$b.tar" -C "x$b"
        diff -r "$DATA/tree" "x$b/tree"
        sha256sum "t$b.tar"
    done
    tar -c -S -C "$DATA" tree | tar -t | sort | sha256sum
    tar -C "$DATA" -c -z tree | tar -x -z
    diff -r "$DATA/tree" tree
    tar -d -f t20.tar -C "$DATA" && echo "tar --diff agrees"
    gzip -n -c "$DATA/tree/big" >big.gz
    gzip -t big.gz
    gunzip -c big.gz | cmp - "$DATA/tree/big"
    gzip -n -9 -c "$DATA/tree/text" | tee text.gz | sha256sum
    zcat text.gz | cmp - "$DATA/tree/text"
    xz -T2 -0 -c "$DATA/tree/text" | xz -dc | cmp - "$DATA/tree/text"
    # Damage must be seen: the same verdict in every cell.
    head -c 100000 big.gz >cut.gz
    gunzip -c cut.gz 2>&1 >/dev/null | sed 's/.*: //' || echo "gunzip: $?"
    sha256sum big.gz
}

if [ "${1:-}" = work ]; then work; exit; fi
. "$(dirname "$0")/../lib.sh"
need tar gzip xz openssl
tree=$TMP/data/tree
mkdir -p "$tree/dir/deep"
noise 4 $((24 << 20)) >"$tree/big"
seq 1 1500000 >"$tree/text"
truncate -s 16M "$tree/sparse"
noise 5 70000 | dd of="$tree/sparse" bs=70000 seek=30 conv=notrunc status=none
for i in $(seq 1 200); do noise "$i" $((i * i)) >"$tree/dir/deep/$i"; done
ln "$tree/big" "$tree/dir/hard"
ln -s ../text "$tree/dir/soft"
PROVE=1
each_cell 60
finish
