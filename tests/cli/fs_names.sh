#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# zio fs: volumes, names of all kinds, listings, sizes; what goes wrong and how it is told.
. "${srcdir:-.}/tests/cli/lib.sh"
need_python
vol=$tmp/vol
url=local:$vol

# ---- commands and volumes ----
expect 2 "$zio" fs
expect 0 "$zio" fs --help
for cmd in format info ls put get mv cat rm mkdir du df stat fsck scrub clone snapshot quota trash top; do
    printed out "^  $cmd +[a-z]"
done
for cmd in format info ls put get mv cat rm mkdir du df stat fsck scrub clone snapshot quota trash top; do
    expect 0 "$zio" fs $cmd --help
    printed out "^Usage: zio fs $cmd "
    tr '\n' ' ' <"$tmp/out" | grep -q 'Exit codes' || fail "zio fs $cmd --help says nothing of exit codes"
    expect 2 "$zio" fs $cmd
    expect 2 "$zio" fs $cmd --no-such-option "$url"
done
expect 2 "$zio" fs stst "$url" /
printed err "did you mean 'stat'"
expect 2 "$zio" fs --json ls "$url"
printed err 'the command comes first'
expect 1 "$zio" fs ls "$url"
printed err "zio fs format $url"
expect 2 "$zio" fs ls "$vol"
printed err "such as local:$vol"
expect 2 "$zio" fs ls nfs:/x
printed err "no driver for 'nfs'"
expect 2 "$zio" fs format "$url" --chunk-size 5
printed err 'power of two'
[ ! -e "$vol" ] || fail "a volume of a wrong chunk size was begun"
expect 0 "$zio" fs format "$url" --label 'a label' --trash 3600 --mode 750
expect 1 "$zio" fs format "$url"
printed err 'there is a volume already'
[ "$(wc -l <"$tmp/err")" = 1 ] || fail "told twice"
expect 0 "$zio" fs info "$url"
printed out 'a label'
expect 0 "$zio" fs info --json "$url"
json "$tmp/out" 'j["label"] == "a label"' 'j["chunk_size"] == 64 << 20' 'j["trash_seconds"] == 3600' 'j["inodes"] == 1'
expect 0 "$zio" fs format --trash 604800 "$url.week"
expect 0 "$zio" fs info "$url.week"
printed out '604800 s'
if [ -w /dev/full ]; then
    "$zio" fs info "$url" >/dev/full 2>"$tmp/err"
    [ $? = 1 ] || fail "zio fs info >/dev/full"
fi
echo "ok fs-names/volumes"

# ---- names ----
expect 1 "$zio" fs mkdir "$url" /a/b/c
expect 0 "$zio" fs mkdir -p "$url" /a/b/c
expect 0 "$zio" fs mkdir -p "$url" /a/b/c
expect 1 "$zio" fs mkdir "$url" /a
printed err '/a: File exists'
expect 0 "$zio" fs mkdir --mode 700 "$url" /private
newline='/a/new
line'
bad=$(printf '/a/bad-\377-name')
printf 'content' >"$tmp/file"
for name in '/a/with space' "$newline" "$bad" '/a/-dash' '/a/ünï'; do
    expect 0 "$zio" fs put "$url" "$tmp/file" "$name"
    expect 0 "$zio" fs cat "$url" "$name"
    cmp -s "$tmp/out" "$tmp/file" || fail "cat of a strange name"
done
expect 0 "$zio" fs ls -0 "$url" /a
"$python" - "$tmp/out" <<'X' || fail "ls -0"
import sys
got = sorted(open(sys.argv[1], "rb").read().split(b"\0")[:-1])
want = sorted([b"b", b"with space", b"new\nline", b"bad-\xff-name", b"-dash", "ünï".encode()])
assert got == want, got
X
expect 0 "$zio" fs ls --json "$url" /a
json "$tmp/out" 'len(j) == 6' 'any(e["path"] == "/a/new\nline" for e in j)' \
    'bytes.fromhex([e for e in j if "path_hex" in e][0]["path_hex"]) == b"/a/bad-\xff-name"' \
    'all("path_hex" not in e for e in j if "bad" not in e["path"])' \
    'all(e["size"] == 7 for e in j if e["type"] == "-")'
expect 0 "$zio" fs ls --json "$url" /private
json "$tmp/out" 'j == []'
# On a terminal no name gets through that would steer it.
"$python" - "$zio" "$url" <<'X' || fail "ls on a terminal"
import os, pty, sys
pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], [sys.argv[1], "fs", "ls", sys.argv[2], "/a"])
out = b""
try:
    while b := os.read(fd, 4096):
        out += b
except OSError:
    pass
os.waitpid(pid, 0)
assert b"\xff" not in out and b"bad-?-name" in out and b"new?line" in out, out
X
expect 0 "$zio" fs ls -lR "$url"
printed out '^drwx------ +2 .* /private$'
printed out '^-rw.* 7 .* /a/with space$'
expect 0 "$zio" fs stat --json --layout "$url" "/a/with space" /private
json "$tmp/out" 'len(j) == 2' 'j[0]["layout"][0]["length"] == 7' 'j[1]["mode"] == 0o700'
expect 1 "$zio" fs stat "$url" /a/none "/a/with space"
printed err '/a/none: No such file'
printed out 'Size: 7 '
echo "ok fs-names/names"

# ---- mv, rm ----
expect 0 "$zio" fs mv "$url" '/a/with space' /moved
expect 0 "$zio" fs mv "$url" /moved /private
expect 0 "$zio" fs stat "$url" /private/moved
expect 1 "$zio" fs mv "$url" /a /a/b/x
printed err 'into itself'
expect 1 "$zio" fs mv "$url" /none /private
printed err '/none: No such file'
expect 1 "$zio" fs mv "$url" /a/-dash /private/moved /a/none
printed err '/a/none: is no directory'
expect 1 "$zio" fs mv -n "$url" /a/-dash /private/moved
printed err '/private/moved: is there already'
expect 0 "$zio" fs stat "$url" /a/-dash
expect 0 "$zio" fs mv "$url" /a/-dash /private/moved
expect 1 "$zio" fs stat "$url" /a/-dash
expect 0 "$zio" fs mv "$url" /a/ünï /private/moved /a/b
expect 0 "$zio" fs ls "$url" /a/b/
printed out '^moved$'
expect 1 "$zio" fs rm "$url" /a/b
printed err '/a/b: is a directory \(-r'
expect 1 "$zio" fs rm "$url" /none
expect 0 "$zio" fs rm -f "$url" /none
expect 1 "$zio" fs rm -r "$url" /
printed err 'the root stays'
expect 0 "$zio" fs rm -r "$url" /a
expect 1 "$zio" fs stat "$url" /a
echo "ok fs-names/move-and-remove"

# ---- sizes ----
head -c 100000 /dev/zero >"$tmp/zeros"
expect 0 "$zio" fs mkdir "$url" /d /d/e
expect 0 "$zio" fs put "$url" "$tmp/zeros" /d/e/one
expect 0 "$zio" fs put "$url" "$tmp/file" /d/two
expect 0 "$zio" fs du --json "$url" /d
json "$tmp/out" 'len(j) == 2' 'j[-1]["path"] == "/d"' 'j[-1]["size"] == 100007' 'j[-1]["inodes"] == 4' 'j[0]["size"] == 100000'
expect 0 "$zio" fs du -s "$url" /d /d/two
[ "$(wc -l <"$tmp/out")" = 2 ] || fail "du -s prints a line for each path"
expect 0 "$zio" fs df --json "$url"
json "$tmp/out" 'j["size"] > j["available"] > 0' 'j["inodes_used"] >= 5'
expect 0 "$zio" fs df "$url"
printed out 'Use%'
echo "ok fs-names/sizes"
