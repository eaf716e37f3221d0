#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# GlusterFS: glusterd, one brick, the FUSE client. "127.1" is 127.0.0.1 spelt so that gluster's comparison of the text with
# "127.0.0.1" does not refuse it.
# shellcheck source=bench/peers/lib.sh
. "${0%/*}/lib.sh"
host=127.1
answers() {
    gluster --mode=script volume list
}
case $verb in
check)
    need glusterfs-server=glusterd glusterfs-cli=gluster glusterfs-client=glusterfs
    ;;
start)
    mkdir -p "$mnt" "$dir/wd" "$dir/run" "$dir/brick"
    cat >"$dir/glusterd.vol" <<X
volume management
    type mgmt/glusterd
    option working-directory $dir/wd
    option run-directory $dir/run
    option transport-type socket
    option transport.address-family inet
    option transport.socket.bind-address 127.0.0.1
    option transport.socket.listen-port 24007
    option ping-timeout 0
    option event-threads 1
    option max-port 60999
end-volume
X
    glusterd -f "$dir/glusterd.vol" -p "$dir/glusterd.pid" -l "$dir/glusterd.log" || die "glusterd does not start"
    wait_for 20 answers || die "glusterd does not answer"
    gluster --mode=script volume create bench $host:"$dir/brick" force || die "no volume"
    gluster --mode=script volume set bench nfs.disable on || die "no volume option"
    gluster --mode=script volume start bench || die "the volume does not start"
    glusterfs --volfile-server=127.0.0.1 --volfile-id=bench -p "$dir/client.pid" -l "$dir/client.log" "$mnt" ||
        die "the client does not start"
    wait_for 20 mountpoint -q "$mnt" || die "the client does not mount"
    # The mount is there before the brick is reached.
    wait_for 20 touch "$mnt/.there" || die "the brick cannot be reached"
    rm -f "$mnt/.there"
    ;;
stop)
    wait_for 10 unmounted || umount -l "$mnt"
    timeout 60 gluster --mode=script volume stop bench force
    end_file "$dir/client.pid" gluster
    end_file "$dir/glusterd.pid" gluster
    find "$dir/run" -name '*.pid' 2>/dev/null | while read -r f; do end_file "$f" gluster; done
    ;;
esac
