#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# deadline: 150
# The threads that serve a mount: none is ended or made anew meanwhile, one alone is enough, many programs at once get
# right bytes with each way of waiting for requests, the mount outlives a want of threads or memory, and it ends while some wait.
. "$(dirname "$0")/mount_lib.sh"

M=$TMP/m

# threads: the thread ids of the mount's server.
threads() {
    ls "/proc/$(servers "$M")/task" | sort
}

# files DIR N: makes, reads and removes N files; what was read is printed.
files() {
    local i
    mkdir -p "$1"
    for ((i = 0; i < $2; i++)); do echo "$i" >"$1/$i"; done
    cat "$1"/* | sort -n | md5sum
    rm -r "$1"
}

volume v
mount_on v m
right=$(files "$TMP/disk" 300)

# --- threads stay ---
check stay/warm test "$(files "$M/d" 300)" = "$right"
before=$(threads)
check stay/work test "$(files "$M/d" 300)" = "$right"
gone=$(comm -23 <(echo "$before") <(threads))
if [ -z "$gone" ]; then ok stay/threads; else fail stay/threads "threads have ended: $gone"; fi
check stay/few test "$(threads | wc -l)" -le 20
unmount m

# --- many programs at once, by each way of waiting ---
for option in poll=50 poll=0 max_threads=1 max_threads=1,poll=0 clone_fd clone_fd,poll=0 max_threads=3,poll=1000; do
    mount_on v m -o "$option"
    for i in 1 2 3 4; do files "$M/d$i" 60 >"$TMP/out$i" 2>&1 & done
    dd if=/dev/urandom of="$M/big" bs=1M count=16 conv=fsync status=none
    check "many/$option/big" cmp <(dd if="$M/big" bs=64k iflag=direct status=none) "$M/big"
    wait
    want=$(files "$TMP/disk" 60)
    for i in 1 2 3 4; do check "many/$option/$i" test "$(cat "$TMP/out$i")" = "$want"; done
    rm "$M/big"
    pid=$(servers "$M")
    unmount m
    check "many/$option/ends" ended "$pid"
done
ZIO_FEATURES=-fuseclone mount_on v m 2>"$TMP/said"
check noclone/said grep -q 'not polled for' "$TMP/said"
check noclone/work test "$(files "$M/d" 100)" = "$(files "$TMP/disk" 100)"
unmount m

# --- no threads, or few: it is said and nothing is left, or it works ---
for n in 0 1 2 3 4 5 6; do
    LD_PRELOAD=$top_builddir/tests/fs/.libs/few_threads.so FEW_THREADS=$n mount_on v m >"$TMP/said" 2>&1
    code=$?
    pid=$(servers "$M")
    if [ $code = 0 ]; then
        check "few/$n/work" test "$(timeout 20 bash -c "$(declare -f files); files '$M/d' 100")" = "$(files "$TMP/disk" 100)"
        unmount m
        few=$n
    else
        check "few/$n/code" test $code = 1
        check "few/$n/said" grep -q threads "$TMP/said"
        check "few/$n/unmounted" eval '! mounted m'
    fi
    check "few/$n/ends" test -z "$pid" -o $code = 0
done
check few/some test "${few:-none}" = 6

# --- memory runs short while it works: who asks may be told, but the mount stays ---
limited() {
    local pid size i
    mount_on v m
    pid=$(servers "$M")
    size=$(awk '$1 == "VmSize:" { print $2 * 1024 }' "/proc/$pid/status")
    prlimit --pid "$pid" --as=$((size + $1)):
    for i in 1 2 3 4; do files "$M/d$i" 30 >/dev/null 2>&1 & done
    for i in 1 2 3 4; do dd if=/dev/zero of="$M/z$i" bs=1M count=8 conv=fsync status=none 2>/dev/null & done
    wait
    for i in 1 2 3 4; do cat "$M/z$i" >/dev/null 2>&1 & done
    wait
    mounted m && ! ended "$pid" && prlimit --pid "$pid" --as=unlimited: && rm -rf "$M"/[dz][1-4] &&
        [ "$(files "$M/d" 30)" = "$(files "$TMP/disk" 30)" ]
}
for mib in 0 1 9 17 27; do
    check "memory/$mib" limited $((mib << 20))
    unmount m
done

# --- the end, by a signal, while a lock is waited for and a thread is asleep in the kernel ---
mount_on v m
pid=$(servers "$M")
: >"$M/locked"
exec 3<"$M/locked"
flock 3
flock "$M/locked" true 2>/dev/null &
waiter=$!
wait_until 10 eval 'grep -q "FLOCK\|OFDLCK\|POSIX" /proc/locks'
kill -TERM "$pid"
check end/by-signal wait_until 20 ended "$pid"
wait $waiter
exec 3<&-
check end/unmounted eval '! mounted m'

# --- the end, by a signal, while pages are read that another process changes: telling the kernel of the change waits for
# --- a page, and the page for an answer ---
head -c 1M /dev/zero >"$TMP/source"
"$ZIO" fs put -qf "local:$TMP/v" "$TMP/source" hot
for n in {1..12}; do
    mount_on v m
    pid=$(servers "$M")
    others=()
    for i in 1 2; do
        /usr/bin/python3 -c 'import os, random, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
while True: os.pread(fd, 4096, random.randrange(256) * 4096)' "$M/hot" 2>/dev/null &
        others+=($!)
    done
    "$ZIO" run --fs "$TMP/r=local:$TMP/v" -- /usr/bin/python3 -c 'import os, random, sys
fd = os.open(sys.argv[1], os.O_WRONLY)
open(sys.argv[2], "w")
while True: os.pwrite(fd, b"x" * 4096, random.randrange(256) * 4096)' "$TMP/r/hot" "$TMP/writes" &
    others+=($!)
    PIDS+=("${others[@]}")
    wait_until 10 test -e "$TMP/writes"
    kill -TERM "$pid"
    check "end/hot-$n" wait_until 10 ended "$pid"
    kill -KILL "${others[@]}" 2>/dev/null
    wait "${others[@]}" 2>/dev/null
    rm -f "$TMP/writes"
    ended "$pid" || break
done

# --- somebody else changes a volume that is mounted with the writeback cache: it is said, once ---
mkdir -p "$M"
"$ZIO" mount -f -o writeback "local:$TMP/v" "$M" 2>"$TMP/said" &
wait_until 10 mounted m
echo mine >"$M/file"
cat "$M/file" >/dev/null
check writeback/alone test ! -s "$TMP/said"
for i in 1 2; do
    echo "not mine $i" >"$TMP/source"
    check "writeback/other-$i" "$ZIO" fs put -qf "local:$TMP/v" "$TMP/source" file
done
check writeback/said wait_until 10 grep -q 'another process changes' "$TMP/said"
check writeback/once test "$(wc -l <"$TMP/said")" = 1
unmount m
check sound sound v
finish
