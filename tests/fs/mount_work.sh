#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# deadline: 180
# A day's work through the mount, compared with the same on the disk below: mount_io's checks, coreutils, tar, Python,
# ACLs and extended attributes, quotas.
. "$(dirname "$0")/mount_lib.sh"

# report NAME OUTPUT: the lines of mount_io as ours.
report() {
    local line
    while read -r line; do
        case $line in
        ok\ *) ok "$1/${line#ok }" ;;
        FAIL\ *) fail "$1/${line#FAIL }" ;;
        skip\ *) echo "skip $1/${line#skip }" ;;
        *) printf '%s\n' "$line" ;;
        esac
    done <"$2"
}

# --- mount_io: on the disk first, where it must pass; then small chunks (all edges), the default, the writeback cache ---
seed=${ZIO_SEED:-$RANDOM}
mkdir "$TMP/disk"
timeout 60 "$IO" "$TMP/disk" "$seed" >"$TMP/out" 2>&1 || fail disk "exit code $?: mount_io itself is wrong"
report disk "$TMP/out"
volume small --chunk-size 64k
volume v
for cell in small:m: v:m: v:m:-owriteback small:m:-otimeout=0,negative_timeout=0; do
    IFS=: read -r vol dir option <<<"$cell"
    mount_on "$vol" "$dir" ${option:+"$option"}
    timeout 60 "$IO" "$TMP/$dir" "$seed" >"$TMP/out" 2>&1
    code=$?
    report "mount/$vol$option" "$TMP/out"
    [ $code -le 1 ] || fail "mount/$vol$option" "exit code $code (seed $seed)"
    check "mount/$vol$option/empty" test -z "$(ls -A "$TMP/$dir")"
    unmount "$dir"
    check "mount/$vol$option/sound" sound "$vol"
done

# --- the same work here and there ---
work() {
    cd "$1" || return 1
    cp -a /usr/include/linux tree
    tar -cf tree.tar tree
    mkdir out
    tar -xf tree.tar -C out
    diff -r tree out/tree && echo extracted
    find tree -type f -name '*.h' | sort | head -n 300 | xargs cat | md5sum
    ln tree/fuse.h hard && stat -c %h hard
    ln -s tree/fuse.h soft && readlink soft && cmp soft hard
    ln -s dangling nowhere && cat nowhere 2>&1
    mkfifo pipe && (echo through >pipe & cat pipe)
    sed -i 's/FUSE/fuse/' hard && md5sum <hard
    sort -R --random-source=/dev/zero tree/fuse.h | md5sum
    dd if=/dev/zero of=sparse bs=1 count=1 seek=1000000 status=none && stat -c %s sparse && md5sum <sparse
    truncate -s 10 sparse && stat -c %s sparse
    touch -d '2001-02-03 04:05:06.789 UTC' dated && stat -c '%y %x' dated
    chmod 4711 dated && stat -c %A dated
    mv tree moved && mv moved/fuse.h renamed && find moved | wc -l
    rm -r moved && ls | sort
    cp --reflink=auto tree.tar copy.tar && cmp tree.tar copy.tar && echo same
    printf '#!/bin/sh\necho ran\n' >script && chmod +x script && ./script
    cp /bin/echo program && ./program executed
    flock lockfile -c 'flock -n lockfile true || echo locked'
    find . -newer dated -type d | sort
    du -s --apparent-size out/tree >/dev/null && echo counted
    getfattr --only-values -n user.none script 2>&1 | sed 's|.*: ||'
    setfattr -n user.color -v blue script && getfattr --only-values -n user.color script && echo
    python3 - <<'P'
import os, mmap, shutil, sqlite3, tempfile
with open('m', 'w+b') as f:
    f.write(bytes(10000))
    f.flush()
    with mmap.mmap(f.fileno(), 0) as m:
        m[5000:5005] = b'hello'
print(open('m', 'rb').read()[4999:5006])
db = sqlite3.connect('t.db')
db.execute('create table t(a)')
db.executemany('insert into t values (?)', ((i,) for i in range(1000)))
db.commit()
print(db.execute('select sum(a), count(*) from t').fetchone(), db.execute('pragma integrity_check').fetchone())
db.execute('pragma journal_mode=wal')
db.execute('delete from t where a % 2')
db.commit()
print(db.execute('select sum(a), count(*) from t').fetchone())
db.close()
with tempfile.TemporaryDirectory(dir='.') as d:
    shutil.copytree('out', d + '/copy')
    print(sum(len(files) for _, _, files in os.walk(d)))
print(os.posix_fallocate(os.open('m', os.O_RDWR), 0, 20000), os.stat('m').st_size)
P
}
mkdir -p "$TMP/disk/work"
mount_on v m
mkdir "$TMP/m/work"
for side in disk m; do
    (work "$TMP/$side/work") >"$TMP/work.$side" 2>&1
done
same work "$TMP/work.disk" "$TMP/work.m"
(cd "$TMP/disk/work" && find . -printf '%P %M %n %s %l\n' | grep -v '^[^ ]* d' | sort) >"$TMP/find.disk"
(cd "$TMP/m/work" && find . -printf '%P %M %n %s %l\n' | grep -v '^[^ ]* d' | sort) >"$TMP/find.m"
same work/tree "$TMP/find.disk" "$TMP/find.m"
check work/umount unmount m
check work/sound sound v
mount_on v m
check work/remounted diff -r --no-dereference -x pipe -x '*.tar' "$TMP/disk/work" "$TMP/m/work"

# --- ACLs, asked by the kernel ---
if ! command -v setfacl >/dev/null; then
    skip acl "setfacl is missing (./quickstart --with-tests installs it)"
elif [ "$(id -u)" != 0 ]; then
    skip acl "only root can become somebody else"
else
    as_nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups "$@" 2>/dev/null; }
    chmod 711 "$TMP"
    echo secret >"$TMP/m/acl"
    chmod 600 "$TMP/m/acl"
    check acl/before eval '! as_nobody cat "$TMP/m/acl"'
    check acl/set setfacl -m u:65534:r "$TMP/m/acl"
    check acl/allows test "$(as_nobody cat "$TMP/m/acl")" = secret
    check acl/only-that eval '! as_nobody dd of="$TMP/m/acl" if=/dev/null conv=notrunc status=none'
    chmod 600 "$TMP/m/acl" # the mask
    check acl/mask eval '! as_nobody cat "$TMP/m/acl"'
    mkdir "$TMP/m/inherit"
    setfacl -d -m u:65534:rwx "$TMP/m/inherit"
    (umask 077; echo child >"$TMP/m/inherit/child")
    check acl/inherited eval 'getfacl -cpn "$TMP/m/inherit/child" | grep -q "^user:65534:rwx"'
    check acl/umask-overruled test "$(as_nobody cat "$TMP/m/inherit/child")" = child
    setfacl -b "$TMP/m/acl"
    check acl/removed eval '! getfacl -cpn "$TMP/m/acl" | grep -q 65534'
    # Groups that only the kernel knows the program to be in.
    mkdir -m 2770 "$TMP/m/group"
    chgrp 4321 "$TMP/m/group"
    check group/supplementary setpriv --reuid 65534 --regid 65534 --groups 4321 touch "$TMP/m/group/file"
    check group/inherited test "$(stat -c %u:%g "$TMP/m/group/file")" = 65534:4321
    check group/others eval '! as_nobody ls "$TMP/m/group"'
fi

# --- no room ---
mkdir "$TMP/m/full"
"$ZIO" fs quota --size 1m "local:$TMP/v" dir:/full >"$TMP/out" 2>&1 || fail quota/set "$(cat "$TMP/out")"
dd if=/dev/zero of="$TMP/m/full/big" bs=64k count=64 status=none 2>"$TMP/out"
check quota/code test $? = 1
check quota/text grep -q 'No space left' "$TMP/out"
check quota/df test "$(df --output=size -k "$TMP/m/full" | tail -n 1)" -le 1024
rm "$TMP/m/full/big"
check quota/again dd if=/dev/zero of="$TMP/m/full/small" bs=64k count=4 status=none
unmount m
check end/sound sound v
finish
