#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# MooseFS 3: one master, one chunk server, goal 1, mfsmount. It refuses 127.0.0.0/8 between master and chunk server, so the
# latter connects to 0.0.0.0, and the master takes 127.0.0.1 for that (REMAP_*): every socket is on the loopback.
# shellcheck source=bench/peers/lib.sh
. "${0%/*}/lib.sh"
ip=127.0.0.1
connected() {
    mfscli -H $ip -SCS | grep -q '^chunk servers:.*9422'
}
case $verb in
check)
    need moosefs-master=mfsmaster moosefs-chunkserver=mfschunkserver moosefs-client=mfsmount moosefs-cli=mfscli
    ;;
start)
    mkdir -p "$mnt" "$dir/master" "$dir/server" "$dir/data"
    cp /var/lib/mfs/metadata.mfs.empty "$dir/master/metadata.mfs"
    printf '*  /  rw,alldirs,admin,maproot=0:0\n*  .  rw\n' >"$dir/exports.cfg"
    : >"$dir/topology.cfg"
    printf '%s\n' "$dir/data" >"$dir/hdd.cfg"
    cat >"$dir/master.cfg" <<X
WORKING_USER = root
WORKING_GROUP = root
NICE_LEVEL = 0
DISABLE_OOM_KILLER = 0
DATA_PATH = $dir/master
EXPORTS_FILENAME = $dir/exports.cfg
TOPOLOGY_FILENAME = $dir/topology.cfg
MATOML_LISTEN_HOST = $ip
MATOCS_LISTEN_HOST = $ip
MATOCL_LISTEN_HOST = $ip
REMAP_BITS = 32
REMAP_SOURCE_IP_CLASS = 127.0.0.1
REMAP_DESTINATION_IP_CLASS = 0.0.0.0
X
    cat >"$dir/server.cfg" <<X
WORKING_USER = root
WORKING_GROUP = root
NICE_LEVEL = 0
DISABLE_OOM_KILLER = 0
DATA_PATH = $dir/server
HDD_CONF_FILENAME = $dir/hdd.cfg
BIND_HOST = $ip
MASTER_HOST = 0.0.0.0
MASTER_RECONNECTION_DELAY = 1
CSSERV_LISTEN_HOST = $ip
X
    mfsmaster -c "$dir/master.cfg" start || die "mfsmaster does not start"
    mfschunkserver -c "$dir/server.cfg" start || die "mfschunkserver does not start"
    wait_for 30 connected || die "the chunk server does not reach the master"
    mfsmount "$mnt" -H $ip || die "mfsmount does not start"
    wait_for 10 mountpoint -q "$mnt" || die "mfsmount does not mount"
    mfssetgoal 1 "$mnt"
    ;;
stop)
    wait_for 10 unmounted || umount -l "$mnt"
    [ ! -e "$dir/server.cfg" ] || mfschunkserver -c "$dir/server.cfg" stop
    [ ! -e "$dir/master.cfg" ] || mfsmaster -c "$dir/master.cfg" stop
    ;;
esac
