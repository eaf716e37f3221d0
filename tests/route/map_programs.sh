#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Programs that map what they work on, with it in a volume; snapshots of what they have mapped; and what is left of them when
# they are killed.
# deadline: 240
. "$(dirname "$0")/lib.sh"
need timeout python3
fresh

# in_volume NAME SECONDS COMMAND...: with the volume's directory as its own.
in_volume() {
    local name=$1 seconds=$2
    shift 2
    "${routed[@]}" timeout "$seconds" sh -c 'cd "$0" && exec "$@"' "$ROUTED" "$@" >"$TMP/out" 2>&1
    check "$name" [ $? = 0 ] || tail -n 5 "$TMP/out"
}

# ---- one that maps a file, on orders ----

cat >"$TMP/mapper.py" <<'END'
import mmap, sys
f = open(sys.argv[1], "r+b")
m = mmap.mmap(f.fileno(), 0)
f.close()
for order in sys.stdin:
    try:
        r = eval(order)
    except Exception as e:
        r = repr(e)
    print(r, flush=True)
END

tool() { "$ZIO_FS_TOOL" "$1" "local:$VOLUME" "${@:2}"; }
# is NAME WHAT HAVE
is() { if [ "$2" = "$3" ]; then ok "$1"; else fail "$1" "'$3', not '$2'"; fi; }
order() {
    echo "$1" >&"${mapper[1]}"
    read -r -t 20 -u "${mapper[0]}" answer || answer='no answer'
}

# sound NAME: nothing is wrong with the volume, and every sum fits.
sound() {
    local check
    for check in fsck scrub; do
        tool "$check" >"$TMP/out" 2>&1
        check "$1/$check" [ $? = 0 ] || tail -n 5 "$TMP/out"
    done
}

head -c 200000 /dev/zero | tr '\0' . >"$TMP/dots"
"${routed[@]}" sh -c "mkdir $ROUTED/d && cp $TMP/dots $ROUTED/d/f && cp $TMP/dots $ROUTED/other"
coproc mapper { exec "${routed[@]}" python3 "$TMP/mapper.py" "$ROUTED/d/f"; }
pid=$mapper_PID # bash forgets it as soon as it sees the end
order 'm.__setitem__(slice(0, 6), b"before")'
is store None "$answer"
tool snapshot /d /snap >"$TMP/out" 2>&1 || fail snapshot "$(cat "$TMP/out")"
tool clone /d /clone >"$TMP/out" 2>&1 || fail clone "$(cat "$TMP/out")"
order 'm.__setitem__(slice(0, 6), b"behind")'
is snapshot/before "before..." "$(tool cat /snap/f | head -c 9)"
is clone/before "before..." "$(tool cat /clone/f | head -c 9)"
is file/behind "behind..." "$(tool cat /d/f | head -c 9)"
"${routed[@]}" sh -c "printf WRITE | dd of=$ROUTED/d/f bs=1 seek=3 conv=notrunc 2>/dev/null"
order 'm[:9]'
is written-by-another "b'behWRITE.'" "$answer"
# Clones of what is not mapped share as ever.
tool clone /other /other2
check unmapped-clone-shares grep -q '"shared": *true' <(tool stat --json --layout /other2)
order 'm.flush()'
is flush None "$answer"
order 'm.__setitem__(slice(199990, 199994), b"last")'
kill -KILL "$pid"
wait "$pid" 2>/dev/null
is killed/stays "last......" "$(tool cat /d/f | tail -c 10)"
"${routed[@]}" sync -f "$ROUTED/d/f" 2>/dev/null || :
sound killed
# Its announcement is gone with it: from here on the file is shared by clones again, and summed.
tool clone /d/f /again
"${routed[@]}" sh -c "printf new | dd of=$ROUTED/d/f bs=1 conv=notrunc 2>/dev/null"
is killed/clone-is-apart "behWRITE." "$(tool cat /again | head -c 9)"

# ---- the same file through FUSE ----

mount=$top_builddir/fsclient/fuse/zio-mount
mkdir "$TMP/mnt"
if [ -c /dev/fuse ] && "$mount" "local:$VOLUME" "$TMP/mnt" >"$TMP/out" 2>&1; then
    coproc mapper { exec "${routed[@]}" python3 "$TMP/mapper.py" "$ROUTED/d/f"; }
    pid=$mapper_PID
    order 'm[:9]'
    is fuse/mapped "b'newWRITE.'" "$answer"
    is fuse/read newWRITE. "$(head -c 9 "$TMP/mnt/d/f")"
    order '[m.__setitem__(slice(0, 4), b"MAPS"), m.flush()]'
    is fuse/sees-what-was-flushed MAPSRITE. "$(head -c 9 "$TMP/mnt/d/f")"
    printf fuse | dd of="$TMP/mnt/d/f" bs=1 seek=4 conv=notrunc,fsync 2>/dev/null
    order 'm[:9]'
    is fuse/written "b'MAPSfuse.'" "$answer"
    kill "$pid"
    wait "$pid" 2>/dev/null
    "$top_builddir/zio" umount "$TMP/mnt" >"$TMP/out" 2>&1 || fusermount3 -u "$TMP/mnt" || umount -l "$TMP/mnt"
else
    skip fuse "the volume can't be mounted here: $(tail -n 1 "$TMP/out")"
fi

# ---- programs ----

# test_mmap is a package of its own on some systems.
if python3 -c 'import test.test_mmap' 2>/dev/null; then
    in_volume python/test_mmap 60 env TMPDIR="$ROUTED" python3 -m test test_mmap
else
    skip python/test_mmap "python3 has no test.test_mmap"
fi

if command -v sqlite3 >/dev/null; then
    in_volume sqlite/mmap 60 sqlite3 -bail db 'pragma mmap_size=268435456; pragma journal_mode=wal; create table t(a integer primary key, b text);
        with recursive c(x) as (select 1 union all select x+1 from c where x<5000) insert into t select x, hex(randomblob(50)) from c;
        delete from t where a%3=0; vacuum; update t set b=b||b; pragma wal_checkpoint(truncate);'
    is sqlite/sound ok "$("${routed[@]}" sqlite3 "$ROUTED/db" 'pragma mmap_size=268435456; pragma integrity_check' | tail -n 1)"
    tool get /db "$TMP/db" >/dev/null 2>&1
    is sqlite/sound-outside "ok3334" "$(sqlite3 "$TMP/db" 'pragma integrity_check; select count(*) from t' | tr -d '\n')"
else
    skip sqlite "sqlite3 is missing (./quickstart --with-tests installs it)"
fi

if command -v gcc >/dev/null; then
    cat >"$TMP/h.c" <<'END'
#include <stdio.h>
int twice(int x);
int main(void) { return printf("%d\n", twice(21)) != 3; }
END
    echo 'int twice(int x) { return 2 * x; }' >"$TMP/t.c"
    "${routed[@]}" cp "$TMP/h.c" "$TMP/t.c" "$ROUTED"
    in_volume gcc/objects 60 gcc -O1 -g -c h.c t.c
    in_volume gcc/archive 20 ar rcs libt.a t.o
    in_volume gcc/link 60 gcc h.o libt.a -o h
    is gcc/runs 42 "$("${routed[@]}" sh -c "$ROUTED/h")"
    in_volume gcc/strip 20 strip h
    is gcc/runs-stripped 42 "$("${routed[@]}" sh -c "$ROUTED/h")"
else
    skip gcc "gcc is missing"
fi

in_volume cp/reflink 30 cp --reflink=always other copy
in_volume cp/plain 30 cp copy copy2
is cp/same "$(sha256sum <"$TMP/dots")" "$("${routed[@]}" cat "$ROUTED/copy2" | sha256sum)"

sound all
finish
