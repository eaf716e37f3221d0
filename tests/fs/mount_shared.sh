#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# deadline: 120
# Others change the volume: a second mount, zio fs, the C library. What they do is seen at the next open, and, without
# one, soon. Their locks count.
. "$(dirname "$0")/mount_lib.sh"

volume v
mount_on v a
mount_on v b
A=$TMP/a B=$TMP/b

# --- at the next open, always: no waiting ---
/usr/bin/python3 - "$A" "$B" >"$TMP/out" 2>&1 <<'P'
import os, sys
A, B = sys.argv[1] + '/', sys.argv[2] + '/'
def put(name, text, mode='w'):
    with open(name, mode) as f:
        f.write(text)
def get(name):
    with open(name) as f:
        return f.read()
def run(name, change, n=150):
    stale = sum(change(i) != get(B + 'x') for i in range(n))
    print('FAIL %s: %d of %d opens were stale' % (name, stale, n) if stale else 'ok ' + name)
def rewrite(i):
    put(A + 'x', 'w%05d' % i)
    return 'w%05d' % i
def overwrite(i):
    put(A + 'x', 'o%05d' % i, 'r+')
    return 'o%05d' % i
def replace(i):
    put(A + 'tmp', 'r%05d' % i)
    os.rename(A + 'tmp', A + 'x')
    return 'r%05d' % i
def longer(i):
    put(A + 'x', '+', 'a')
    return 'r%05d' % 149 + '+' * (i + 1)
run('open/rewritten', rewrite)
run('open/overwritten', overwrite)
run('open/replaced', replace)
run('open/appended', longer)
P
while read -r line; do case $line in ok*) ok "${line#ok }" ;; *) fail "${line#FAIL }" ;; esac; done <"$TMP/out"
check open/all test "$(grep -c ^ok "$TMP/out")" = 4

# --- soon, without an open: attributes, names, pages of an open file, a mapping. Far below the 60 s of the timeouts ---
/usr/bin/python3 - "$A" "$B" >"$TMP/out" 2>&1 <<'P'
import mmap, os, sys, time
A, B = sys.argv[1] + '/', sys.argv[2] + '/'
BOUND = 2.0 # seconds; the machine may be busy. It takes a few milliseconds.
def run(name, change, see, n=30):
    worst = 0
    for i in range(n):
        change(i)
        began = time.monotonic()
        while not see(i):
            if time.monotonic() - began > BOUND:
                print('FAIL %s: change %d is not seen after %g s' % (name, i, BOUND))
                return
        worst = max(worst, time.monotonic() - began)
    print('ok %s (%.1f ms at most)' % (name, worst * 1e3))
open(A + 'y', 'w').write('....')
os.stat(B + 'y')
def size(i):
    with open(A + 'y', 'w') as f:
        f.write('z' * (i + 4))
run('soon/size', size, lambda i: os.stat(B + 'y').st_size == i + 4)
run('soon/mode', lambda i: os.chmod(A + 'y', 0o600 + i), lambda i: os.stat(B + 'y').st_mode & 0o777 == 0o600 + i)
fd = os.open(B + 'y', os.O_RDONLY)
m = mmap.mmap(fd, 4, prot=mmap.PROT_READ)
def bytes4(i):
    with open(A + 'y', 'r+') as f:
        f.write('%04d' % i)
run('soon/open-file', bytes4, lambda i: os.pread(fd, 4, 0) == b'%04d' % i)
run('soon/mapping', lambda i: bytes4(i + 100), lambda i: m[0:4] == b'%04d' % (i + 100))
def mapped_writer():
    with open(A + 'y', 'r+b') as f:
        w = mmap.mmap(f.fileno(), 4)
    def change(i):
        w[0:4] = b'%04d' % (i + 200)
        w.flush()
    return change
run('soon/mapped-writer', mapped_writer(), lambda i: os.pread(fd, 4, 0) == b'%04d' % (i + 200))
open(A + 'n0', 'w').close()
os.path.exists(B + 'n0'), os.path.exists(B + 'n1')
run('soon/rename', lambda i: os.rename(A + 'n%d' % i, A + 'n%d' % (i + 1)),
    lambda i: os.path.exists(B + 'n%d' % (i + 1)) and not os.path.exists(B + 'n%d' % i))
run('soon/listing', lambda i: os.mkdir(A + 'd%d' % i), lambda i: 'd%d' % i in os.listdir(B))
run('soon/removed', lambda i: os.rmdir(A + 'd%d' % i), lambda i: not os.path.exists(B + 'd%d' % i))
os.symlink('t0', A + 'link')
def relink(i):
    os.unlink(A + 'link')
    os.symlink('t%d' % i, A + 'link')
def target():
    try:
        return os.readlink(B + 'link')
    except FileNotFoundError:
        return ''
run('soon/symlink', relink, lambda i: target() == 't%d' % i)
run('soon/xattr', lambda i: os.setxattr(A + 'y', 'user.i', b'%d' % i), lambda i: os.getxattr(B + 'y', 'user.i') == b'%d' % i)
P
while read -r line; do case $line in ok*) ok "${line#ok }" ;; *) fail "${line#FAIL }" ;; esac; done <"$TMP/out"
check soon/all test "$(grep -c ^ok "$TMP/out")" = 10

# --- both append ---
"$IO" --append "$A/both" 300 & one=$!
"$IO" --append "$B/both" 300 & two=$!
wait $one && wait $two || fail append/both "a writer failed"
check append/all test "$(sort "$A/both" | uniq -c | awk '$1 == 1' | wc -l)" = 600
check append/same cmp "$A/both" "$B/both"

# --- zio fs ---
echo one >"$A/file"
cat "$B/file" >/dev/null
echo three >"$TMP/new"
"$ZIO" fs put -q "local:$TMP/v" "$TMP/new" /file || fail zio-fs/put "exit code $?"
check zio-fs/put-seen test "$(cat "$A/file")" = three
check zio-fs/put-size wait_until 2 test "$(stat -c %s "$B/file")" = 6
"$ZIO" fs rm "local:$TMP/v" /file
check zio-fs/rm-seen wait_until 2 eval '! test -e "$B/file"'
mkdir "$A/tree" && echo old >"$A/tree/f"
"$ZIO" fs snapshot "local:$TMP/v" /tree /snap
check zio-fs/snapshot test "$(cat "$B/snap/f")" = old
check zio-fs/snapshot-fixed eval '! echo new >"$B/snap/f"' 2>/dev/null
echo new >"$A/tree/f"
check zio-fs/snapshot-apart test "$(cat "$B/snap/f" "$B/tree/f")" = $'old\nnew'

# --- locks between the mounts and the C library ---
printf 0123456789 >"$A/lock"
# hold KIND WHO: a process that has the lock and says so; `release` kills it.
hold() {
    case $2 in
    library) spawn "$PEER" "local:$TMP/v" "hold-$1" /lock ;;
    *) spawn "$PEER" - "hold-$1" "$2/lock" ;;
    esac >"$TMP/held"
    wait_until 10 grep -q held "$TMP/held"
}
release() {
    kill -KILL "$SPAWNED"
    wait "$SPAWNED" 2>/dev/null
}
try() {
    case $2 in
    library) "$PEER" "local:$TMP/v" "try-$1" /lock ;;
    *) "$PEER" - "try-$1" "$2/lock" ;;
    esac
}
for kind in range flock; do
    for pair in "$A $B" "library $A" "$A library"; do
        read -r holder other <<<"$pair"
        what=lock/$kind/$(basename "$holder")-$(basename "$other")
        check "$what/free" try $kind "$other"
        hold $kind "$holder" || fail "$what" "the lock is not taken"
        check "$what/kept-out" eval '! try '$kind' "$other"'
        release
        check "$what/after-kill" wait_until 10 try $kind "$other"
    done
done

# --- one is killed; the other goes on, and its locks are gone ---
hold range "$A"
pid=$(servers "$A")
kill -KILL "$pid"
check killed/other-works test "$(cat "$B/lock")" = 0123456789
check killed/locks-gone wait_until 10 try range "$B"
release
mount_on v a
check killed/again test "$(cat "$A/lock")" = 0123456789
unmount a
unmount b
check end/sound sound v
finish
