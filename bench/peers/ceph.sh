#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# CephFS: one monitor, manager, OSD (BlueStore in a file) and metadata server, pools of size 1, ceph-fuse. No authentication.
# shellcheck source=bench/peers/lib.sh
. "${0%/*}/lib.sh"
conf=$dir/ceph.conf
ceph() {
    timeout 40 /usr/bin/ceph -c "$conf" "$@"
}
osd_up() {
    ceph osd stat 2>/dev/null | grep -q '1 up'
}
mds_active() {
    ceph fs status 2>/dev/null | grep -q active
}
pool() { # pool NAME PLACEMENT-GROUPS
    ceph osd pool create "$1" "$2" "$2" && ceph osd pool set "$1" size 1 --yes-i-really-mean-it
}
configure() {
    cat >"$conf" <<X
[global]
fsid = $(cat /proc/sys/kernel/random/uuid)
mon host = [v2:127.0.0.1:3300,v1:127.0.0.1:6789]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
run dir = $dir/run
admin socket = $dir/run/\$cluster-\$name.asok
pid file = $dir/run/\$name.pid
log file = $dir/log/\$name.log
mon cluster log file = $dir/log/cluster.log
crash dir = $dir/crash
ms bind ipv6 = false
osd pool default size = 1
osd pool default min size = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
osd objectstore = bluestore
osd class dir = /usr/lib/x86_64-linux-gnu/rados-classes
mon allow pool size one = true
mon warn on pool no redundancy = false
mon data avail warn = 5
mon data avail crit = 2
mgr initial modules =
debug ms = 0
[mon]
mon data = $dir/mon.\$id
[mgr]
mgr data = $dir/mgr.\$id
[mds]
mds data = $dir/mds.\$id
[osd]
osd data = $dir/osd.\$id
osd memory target = 1073741824
bluestore block size = 21474836480
bluestore fsck on mount = false
X
}
case $verb in
check)
    need ceph-mon=ceph-mon ceph-mgr=ceph-mgr ceph-osd=ceph-osd ceph-mds=ceph-mds ceph-common=/usr/bin/ceph ceph-fuse=ceph-fuse
    ;;
start)
    mkdir -p "$mnt" "$dir/run" "$dir/log" "$dir/mon.a" "$dir/mgr.x" "$dir/mds.a" "$dir/osd.0"
    configure
    monmaptool --create --clobber --fsid "$(sed -n 's/^fsid = //p' "$conf")" \
        --addv a '[v2:127.0.0.1:3300,v1:127.0.0.1:6789]' "$dir/monmap" || die "no monitor map"
    ceph-mon -c "$conf" -i a --mkfs --monmap "$dir/monmap" || die "the monitor's store cannot be made"
    ceph-mon -c "$conf" -i a || die "ceph-mon does not start"
    wait_for 30 ceph -s || die "the monitor does not answer"
    ceph-mgr -c "$conf" -i x || die "ceph-mgr does not start"
    id=$(cat /proc/sys/kernel/random/uuid)
    ceph osd new "$id" 0 || die "no OSD"
    ceph-osd -c "$conf" -i 0 --mkfs --osd-uuid "$id" --osd-objectstore bluestore >"$dir/log/mkfs" 2>&1 ||
        die "the OSD's store cannot be made"
    ceph-osd -c "$conf" -i 0 || die "ceph-osd does not start"
    wait_for 30 osd_up || die "the OSD does not come up"
    pool meta 8 || die "no metadata pool"
    pool data 16 || die "no data pool"
    ceph fs new bench meta data || die "no file system"
    ceph-mds -c "$conf" -i a || die "ceph-mds does not start"
    wait_for 30 mds_active || die "the metadata server does not become active"
    ceph-fuse -c "$conf" "$mnt" >"$dir/log/fuse" 2>&1 || die "ceph-fuse does not start"
    wait_for 20 mountpoint -q "$mnt" || die "ceph-fuse does not mount"
    ;;
stop)
    wait_for 10 unmounted || umount -l "$mnt"
    # The metadata server first: it hangs in its own end when the monitor is gone before it.
    for name in mds.a osd.0 mgr.x mon.a; do end_file "$dir/run/$name.pid" ceph; done
    find "$dir/run" -name 'client*.pid' 2>/dev/null | while read -r f; do end_file "$f" ceph; done
    ;;
esac
