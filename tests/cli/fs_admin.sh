#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# zio fs: clones, snapshots, quotas, trash, checks with and without damage.
. "${srcdir:-.}/tests/cli/lib.sh"
need_python
vol=$tmp/vol
url=local:$vol
expect 0 "$zio" fs format "$url" --trash 3600
head -c 300000 /dev/urandom >"$tmp/data"
expect 0 "$zio" fs mkdir "$url" /d
expect 0 "$zio" fs put "$url" "$tmp/data" /d/file

# ---- clones and snapshots ----
expect 0 "$zio" fs clone "$url" /d /copy
expect 0 "$zio" fs snapshot "$url" /d /snap
expect 1 "$zio" fs clone "$url" /d /snap
printed err '/snap: File exists'
expect 1 "$zio" fs clone "$url" /none /x
printed err '/none: No such file'
printf 'other' >"$tmp/other"
expect 0 "$zio" fs put "$url" "$tmp/other" /copy/file
for at in d snap; do
    expect 0 "$zio" fs cat "$url" /$at/file
    cmp -s "$tmp/out" "$tmp/data" || fail "a change of the clone shows in /$at"
done
expect 1 "$zio" fs put "$url" "$tmp/other" /snap/new
printed err 'a snapshot never changes'
expect 0 "$zio" fs stat --json "$url" /snap/file
json "$tmp/out" 'j[0]["snapshot"] is True'
expect 0 "$zio" fs rm -r "$url" /snap
expect 0 "$zio" fs cat "$url" /d/file
cmp -s "$tmp/out" "$tmp/data" || fail "removing a snapshot hurt its source"
echo "ok fs-admin/clones"

# ---- quotas ----
expect 0 "$zio" fs mkdir "$url" /small
expect 0 "$zio" fs quota "$url" dir:/small --size 100k --inodes 3
expect 0 "$zio" fs quota --json "$url" dir:/small
json "$tmp/out" 'j["max_space"] == 102400' 'j["max_inodes"] == 3' 'j["kind"] == "dir"'
expect 1 "$zio" fs put "$url" "$tmp/data" /small/file
printed err "No space left.*zio fs quota"
expect 0 "$zio" fs quota --json "$url"
json "$tmp/out" 'len([q for q in j if q["max_space"] == 102400]) == 1'
expect 0 "$zio" fs quota "$url" dir:/small --size 0 --inodes 0
expect 0 "$zio" fs put "$url" "$tmp/data" /small/file
expect 2 "$zio" fs quota "$url" --size 1k
expect 2 "$zio" fs quota "$url" group:x
expect 1 "$zio" fs quota "$url" user:no-such-user-here
expect 1 "$zio" fs quota "$url" dir:/none
# In the directory is one part less now: what was cut short by the quota goes on where it ended.
expect 0 "$zio" fs cat "$url" /small/file
cmp -s "$tmp/out" "$tmp/data" || fail "the file that the quota cut short is not whole"
echo "ok fs-admin/quotas"

# ---- trash ----
expect 0 "$zio" fs trash --json "$url"
json "$tmp/out" 'isinstance(j, list)'
expect 0 "$zio" fs put "$url" "$tmp/other" /precious
expect 0 "$zio" fs rm "$url" /precious
expect 0 "$zio" fs trash --json "$url"
json "$tmp/out" 'any(t["name"] == "precious" and t["size"] == 5 for t in j)'
ino=$("$python" -c 'import json,sys; print([t["inode"] for t in json.load(open(sys.argv[1])) if t["name"] == "precious"][0])' "$tmp/out")
expect 2 "$zio" fs trash "$url" restore x /back
expect 2 "$zio" fs trash "$url" restore "$ino"
expect 1 "$zio" fs trash "$url" restore 999999 /back
printed err 'no such inode is in the trash'
expect 1 "$zio" fs trash "$url" restore "$ino" /none/back
expect 0 "$zio" fs trash "$url" restore "$ino" /back
expect 0 "$zio" fs cat "$url" /back
cmp -s "$tmp/out" "$tmp/other" || fail "what came back from the trash is something else"
expect 0 "$zio" fs rm "$url" /back
expect 0 "$zio" fs trash "$url" purge "$ino"
expect 0 "$zio" fs trash --json "$url"
json "$tmp/out" "all(t['inode'] != $ino for t in j)"
expect 0 "$zio" fs trash "$url" purge
expect 0 "$zio" fs trash --json "$url"
json "$tmp/out" 'j == []'
echo "ok fs-admin/trash"

# ---- checks ----
expect 0 "$zio" fs fsck --json "$url"
json "$tmp/out" 'j["findings"] == 0' 'j["list"] == []' 'j["inodes"] > 4'
expect 0 "$zio" fs scrub --json "$url"
json "$tmp/out" 'j["findings"] == 0' 'j["bytes"] >= 300000'
expect 0 "$zio" fs stat --json --layout "$url" /d/file
chunk=$("$python" -c 'import json,sys; print(json.load(open(sys.argv[1]))[0]["layout"][0]["file"])' "$tmp/out")
printf 'X' | dd of="$chunk" bs=1 seek=70000 conv=notrunc 2>/dev/null
expect 1 "$zio" fs scrub "$url"
printed out '[0-9]+ damaged'
expect 1 "$zio" fs cat "$url" /d/file
printed err '/d/file: Input/output error.*zio fs scrub'
expect 1 "$zio" fs scrub --json "$url"
json "$tmp/out" 'j["findings"] == 1' 'len(j["list"]) == 1' 'j["list"][0]["code"]'
rm "$chunk"
expect 1 "$zio" fs fsck "$url"
printed out '[1-9][0-9]* findings, 0 repaired'
echo "ok fs-admin/checks"
