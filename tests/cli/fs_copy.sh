#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# zio fs put and get: trees there and back, what makes files more than bytes, copies that are killed and taken up again.
. "${srcdir:-.}/tests/cli/lib.sh"
need_python
vol=$tmp/vol
url=local:$vol
expect 0 "$zio" fs format "$url" --chunk-size 1m

# A tree's every path, type, mode, owner, links, size, time, extended attributes and bytes.
cat >"$tmp/list.py" <<'X'
import hashlib, os, stat, sys
top, every = os.fsencode(sys.argv[1]), sys.argv[2] == "archive"
seen = {}
for d, dirs, files in os.walk(top):
    dirs.sort()
    for n in [b"."] + sorted(files + [x for x in dirs if os.path.islink(os.path.join(d, x))]):
        p = os.path.join(d, n)
        s = os.lstat(p)
        row = [os.path.relpath(p, top), oct(s.st_mode), s.st_size if not stat.S_ISDIR(s.st_mode) else 0]
        if not stat.S_ISLNK(s.st_mode) or every:
            row.append(s.st_mtime_ns)
        if every:
            row += [s.st_uid, s.st_gid, s.st_nlink, s.st_rdev, seen.setdefault(s.st_ino, row[0]) if s.st_nlink > 1 and not stat.S_ISDIR(s.st_mode) else 0]
            row.append(sorted((k, os.getxattr(p, k, follow_symlinks=False)) for k in os.listxattr(p, follow_symlinks=False)))
        if stat.S_ISREG(s.st_mode):
            row.append(hashlib.sha256(open(p, "rb").read()).hexdigest())
        if stat.S_ISLNK(s.st_mode):
            row.append(os.readlink(p))
        print(row)
X
list() { # list TREE plain|archive
    "$python" "$tmp/list.py" "$@" || fail "cannot list $1"
}

# ---- a tree ----
src=$tmp/src
mkdir -p "$src/sub/deep er" "$src/empty"
head -c 3000000 /dev/urandom >"$src/big"
head -c 100 /dev/urandom >"$src/sub/small"
: >"$src/nothing"
head -c 5000 /dev/urandom >"$(printf '%s/sub/new\nline-\377' "$src")"
ln -s small "$src/sub/link"
ln -s /nowhere/at/all "$src/dangling"
chmod 4711 "$src/sub/small"
chmod 500 "$src/empty"
touch -d '2001-02-03 04:05:06.123456789' "$src/big" "$src/empty"
expect 0 "$zio" fs put -r "$url" "$src" /
expect 0 "$zio" fs get -r "$url" /src "$tmp/back"
list "$src" plain >"$tmp/a"
list "$tmp/back" plain >"$tmp/b"
cmp -s "$tmp/a" "$tmp/b" || { diff "$tmp/a" "$tmp/b" >"$tmp/out"; fail "the tree that came back differs"; }
expect 1 "$zio" fs put "$url" "$src" /
printed err 'is a directory \(-r'
expect 1 "$zio" fs put "$url" "$src/big" "$src/nothing" /src/big
printed err '/src/big: is no directory'
expect 2 "$zio" fs put "$url" "$src/big" ''
expect 1 "$zio" fs put "$url" "$tmp/none" "$src/big" /src
printed err 'none: No such file'
(cd "$src/sub" && expect 0 "$zio" fs put -r "$url" .. /up) || exit 1
expect 0 "$zio" fs stat "$url" /up/big
printf 'from a pipe' | "$zio" fs put "$url" - /piped || fail "put from standard input"
expect 0 "$zio" fs cat "$url" /piped
[ "$(cat "$tmp/out")" = 'from a pipe' ] || fail "what came from standard input differs"
echo "ok fs-copy/tree"

# ---- the same command again: what is there is not copied, what changed is ----
expect 0 "$zio" fs stat --json "$url" /src/big
before=$(cat "$tmp/out")
printf 'changed' >"$src/sub/small"
expect 0 "$zio" fs put -r "$url" "$src" /
expect 0 "$zio" fs stat --json "$url" /src/big
[ "$before" = "$(cat "$tmp/out")" ] || fail "a file that was there was copied again"
expect 0 "$zio" fs cat "$url" /src/sub/small
[ "$(cat "$tmp/out")" = changed ] || fail "a file that had changed was not copied"
expect 0 "$zio" fs put -f "$url" "$src/big" /src/
expect 0 "$zio" fs stat --json "$url" /src/big
[ "$before" != "$(cat "$tmp/out")" ] || fail "--force copied nothing"
echo "ok fs-copy/again"

# ---- sparse files ----
truncate -s 200M "$src/sparse"
printf 'in the middle' | dd of="$src/sparse" bs=1 seek=100000000 conv=notrunc 2>/dev/null
expect 0 "$zio" fs put "$url" "$src/sparse" /sparse
expect 0 "$zio" fs stat --json "$url" /sparse
json "$tmp/out" 'j[0]["size"] == 200 << 20' 'j[0]["space"] < 4 << 20'
expect 0 "$zio" fs get "$url" /sparse "$tmp/sparse"
cmp -s "$src/sparse" "$tmp/sparse" || fail "a sparse file differs"
[ "$(du -k "$tmp/sparse" | cut -f 1)" -lt 8192 ] || fail "its holes were filled"
rm "$src/sparse"
echo "ok fs-copy/sparse"

# ---- --archive ----
ln "$src/sub/small" "$src/hard"
mkfifo "$src/fifo"
expect 1 "$zio" fs put -r "$url" "$src" /plain
printed err 'fifo: neither .* left out'
"$python" -c 'import os,sys; os.setxattr(sys.argv[1], "user.note", b"a\0b"); os.setxattr(sys.argv[2], "user.dir", b"")' "$src/big" "$src/sub" 2>/dev/null ||
    echo "skip fs-copy/xattr: this file system has no extended attributes"
[ "$(id -u)" != 0 ] || chown -h 12:34 "$src/sub/link" "$src/big"
expect 0 "$zio" fs put -a "$url" "$src" /archive
expect 0 "$zio" fs put -a "$url" "$src" /archive2
expect 0 "$zio" fs get -a "$url" /archive "$tmp/archive"
list "$src" archive >"$tmp/a"
list "$tmp/archive" archive >"$tmp/b"
cmp -s "$tmp/a" "$tmp/b" || { diff "$tmp/a" "$tmp/b" >"$tmp/out"; fail "the archived tree differs"; }
# Once more over what is there.
expect 0 "$zio" fs put -a "$url" "$src/." /archive
expect 0 "$zio" fs get -a "$url" /archive/. "$tmp/archive"
list "$tmp/archive" archive >"$tmp/b"
cmp -s "$tmp/a" "$tmp/b" || { diff "$tmp/a" "$tmp/b" >"$tmp/out"; fail "the second archive differs"; }
echo "ok fs-copy/archive"

# ---- killed in the middle ----
# killed put|get SOURCE TARGET PART-DIRECTORY-LISTER...: ends the command by kill -9 when a part of the file is there.
killed() {
    verb=$1 from=$2 to=$3
    "$zio" fs "$verb" "$url" "$from" "$to" 2>/dev/null &
    pid=$!
    end=$(($(date +%s) + 30))
    until [ "$(part_size "$to")" -gt 20000000 ]; do
        kill -0 $pid 2>/dev/null || break
        [ "$(date +%s)" -lt $end ] || fail "no part of $to within 30 s"
    done
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
    rc=$?
}
part_size() {
    case $verb in
    get) stat -c %s "$tmp"/."${1##*/}".*.zio-part 2>/dev/null || echo 0 ;;
    *) "$zio" fs ls -l "$url" / 2>/dev/null | awk '/zio-part/ { s = $5 } END { print s + 0 }' ;;
    esac
}
head -c 400000000 /dev/zero | openssl enc -aes-128-ctr -K 00 -iv 00 -nosalt 2>/dev/null >"$tmp/large" ||
    head -c 400000000 /dev/urandom >"$tmp/large"
killed put "$tmp/large" /large
if [ "$rc" = 137 ]; then
    had=$(part_size /large)
    [ "$had" -gt 0 ] || fail "nothing was left of a copy that was killed"
    expect 1 "$zio" fs stat "$url" /large
    expect 0 "$zio" fs put "$url" "$tmp/large" /large
    echo "ok fs-copy/put taken up at $had"
else
    echo "skip fs-copy/put-killed: it was done before it could be killed"
fi
killed get /large "$tmp/large.back"
if [ "$rc" = 137 ]; then
    [ ! -e "$tmp/large.back" ] || fail "a part has the name of the whole"
    expect 0 "$zio" fs get "$url" /large "$tmp/large.back"
    cmp "$tmp/large" "$tmp/large.back" || fail "there and back, each killed once: bytes differ"
    echo "ok fs-copy/get taken up"
else
    echo "skip fs-copy/get-killed: it was done before it could be killed"
fi
find "$tmp" -name '*.zio-part' | grep . && fail "parts are left"
"$zio" fs ls "$url" / | grep zio-part && fail "parts are left in the volume"
# A part is only taken up for the very same source: here, another one of the same name, size and time.
killed put "$tmp/large" /other
if [ "$rc" = 137 ]; then
    cp -p "$tmp/large" "$tmp/new"
    printf 'different' | dd of="$tmp/new" bs=1 conv=notrunc 2>/dev/null
    touch -r "$tmp/large" "$tmp/new"
    mv "$tmp/new" "$tmp/large"
    expect 0 "$zio" fs put "$url" "$tmp/large" /other
    "$zio" fs cat "$url" /other | cmp - "$tmp/large" || fail "the part of another file was taken up"
    echo "ok fs-copy/another source"
fi
rm -f "$tmp/large" "$tmp/large.back"

# ---- progress ----
head -c 30000000 /dev/zero >"$tmp/zeros"
expect 0 "$zio" fs put "$url" "$tmp/zeros" /zeros
[ ! -s "$tmp/err" ] || fail "short work is told of"
expect 0 "$zio" fs put -f --progress 0.01 "$url" "$tmp/zeros" /zeros
printed err '^zio fs put: +[0-9]+ %  .* of 28\.6 MiB, .*/s'
not_printed err "$(printf '\r')"
expect 0 "$zio" fs put -f -q --progress 0.01 "$url" "$tmp/zeros" /zeros
[ ! -s "$tmp/err" ] || fail "--quiet is not quiet"
echo "ok fs-copy/progress"

# What a kill leaves behind can be explained, and is repaired.
"$zio" fs fsck "$url" | grep -v -e '^leak: ' -e ' inodes, .* findings, 0 repaired$' && fail "fsck finds more than leaks"
expect 0 "$zio" fs fsck --repair "$url"
expect 0 "$zio" fs fsck "$url"
echo "ok fs-copy/fsck"
