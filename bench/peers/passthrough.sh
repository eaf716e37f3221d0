#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# libfuse's own example passthrough_ll, as its package ships it, over a directory of the file system below.
# shellcheck source=bench/peers/lib.sh
. "${0%/*}/lib.sh"
source=/usr/share/doc/libfuse3-dev/examples/passthrough_ll.c
case $verb in
check)
    need libfuse3-dev=pkg-config gcc=cc fuse3=fusermount3
    [ -e $source ] || { echo "there is no $source (package libfuse3-dev; dpkg may have been told to leave out documentation)"; exit 77; }
    pkg-config --exists fuse3 || { echo "not installed: apt install libfuse3-dev"; exit 77; }
    ;;
start)
    mkdir -p "$mnt" "$dir/below"
    # shellcheck disable=SC2046 # flags are words
    cc -O2 -o "$dir/passthrough_ll" $source $(pkg-config --cflags --libs fuse3) || die "$source does not compile"
    # Its defaults, but for the source.
    "$dir/passthrough_ll" -o "source=$dir/below" "$mnt" || die "passthrough_ll does not start"
    wait_for 10 mountpoint -q "$mnt" || die "passthrough_ll does not mount"
    ;;
stop)
    wait_for 10 unmounted || umount -l "$mnt"
    ;;
esac
